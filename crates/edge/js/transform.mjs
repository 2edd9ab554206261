// Runs a user's `transform(x)` in QuickJS, which is compiled to wasm: no clock that could be a limit, no network, no
// bindings, a context of its own for each call. What it may use is counted: memory, stack, and how often the engine
// asks whether to go on (a deadline would never pass, because a Worker's clock stands still while it computes).
import { newQuickJSWASMModuleFromVariant, newVariant } from "quickjs-emscripten-core";
import variant from "@jitl/quickjs-wasmfile-release-sync";
import wasmModule from "./quickjs.wasm";

let engine;

/** The engine, made at the first call. */
function load() {
  engine ??= newQuickJSWASMModuleFromVariant(newVariant(variant, { wasmModule }));
  return engine;
}

// `console` writes lines into an array; everything it prints is cut, so that it cannot fill the memory unseen.
const PRELUDE = `
globalThis.__log = [];
globalThis.console = (() => {
  const text = (value) => {
    if (typeof value === "string") return value;
    try { const json = JSON.stringify(value); return json === undefined ? String(value) : json; } catch { return String(value); }
  };
  const log = (...values) => { if (__log.length < 100) __log.push(values.map(text).join(" ").slice(0, 2000)); };
  return { log, info: log, debug: log, warn: log, error: log };
})();`;

const CALL = `(() => {
  if (typeof transform !== "function") return "missing";
  const result = transform(JSON.parse(__input));
  if (result !== null && typeof result === "object" && typeof result.then === "function") return "promise";
  const json = JSON.stringify(result);
  return json === undefined ? "nothing" : "ok" + json;
})()`;

/** What was thrown, as text, with the place in the user's code. */
function thrown(vm, handle) {
  let value;
  try {
    value = vm.dump(handle);
  } catch {
    value = null;
  } finally {
    handle.dispose();
  }
  if (value !== null && typeof value === "object" && typeof value.message === "string") {
    const place = /transform\.js:(\d+)(?::(\d+))?/.exec(String(value.stack ?? ""));
    return {
      name: String(value.name ?? "Error"),
      message: value.message,
      line: place ? Number(place[1]) : null,
      column: place?.[2] ? Number(place[2]) : null,
    };
  }
  // QuickJS has no memory left to describe why it ran out of it.
  if (value === null) return { name: "InternalError", message: "out of memory", line: null, column: null };
  return { name: "", message: typeof value === "string" ? value : JSON.stringify(value), line: null, column: null };
}

/**
 * Runs `code` on `input` (JSON text) within `limits` {memory, stack: bytes; interrupts, output: counts}.
 * Answers JSON: {"outcome": "ok"|"missing"|"promise"|"nothing"|"thrown"|"interrupted"|"too_large"|"no_call", "output", "error", "log"}.
 * `input` may be null: then the code is only compiled and its top level run.
 */
export async function run(code, input, limits) {
  const quickjs = await load();
  const { memory, stack, interrupts, output } = JSON.parse(limits);
  const runtime = quickjs.newRuntime();
  let asked = 0;
  runtime.setMemoryLimit(memory);
  runtime.setMaxStackSize(stack);
  runtime.setInterruptHandler(() => ++asked > interrupts);
  const vm = runtime.newContext();
  try {
    const answer = { outcome: "ok", output: null, error: null, log: [] };
    const evaluate = (source, file) => {
      const result = vm.evalCode(source, file, { type: "global" });
      if (!result.error) return result.value;
      answer.error = thrown(vm, result.error);
      answer.outcome = asked > interrupts ? "interrupted" : "thrown";
      return null;
    };
    evaluate(PRELUDE, "console.js")?.dispose();
    evaluate(code, "transform.js")?.dispose();
    if (answer.error === null) {
      let ask = 'typeof transform === "function" ? "no_call" : "missing"';
      if (input !== null) {
        vm.newString(input).consume((handle) => vm.setProp(vm.global, "__input", handle));
        ask = CALL;
      }
      const value = evaluate(ask, "call.js");
      if (value !== null) {
        const text = vm.getString(value);
        value.dispose();
        if (!text.startsWith("ok")) answer.outcome = text;
        else if (text.length > output) answer.outcome = "too_large";
        else answer.output = text.slice(2);
      }
    }
    const log = asked > interrupts ? null : vm.evalCode("JSON.stringify(__log)", "log.js");
    if (log?.error) log.error.dispose();
    else if (log) answer.log = JSON.parse(log.value.consume((value) => vm.getString(value)));
    return JSON.stringify(answer);
  } finally {
    vm.dispose();
    runtime.dispose();
  }
}
