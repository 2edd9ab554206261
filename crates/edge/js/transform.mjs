// Runs a user's `transform(x)` in QuickJS, which is compiled to wasm: no clock that could be a limit, no network, no
// bindings, a context of its own for each call. What it may use is counted: memory, stack, how often the engine asks
// whether to go on, and fuel (a deadline would never pass, because a Worker's clock stands still while it computes).
// The engine asks only between steps of JavaScript; fuel is what its own functions use, too (`meter.wat`).
import { newQuickJSWASMModuleFromVariant, newVariant } from "quickjs-emscripten-core";
import variant from "@jitl/quickjs-wasmfile-release-sync";
import wasmModule from "./quickjs.wasm";

// 16 MiB, as the engine has it; one for all engines of this isolate, because a memory that is dropped is not free at once.
const memory = new WebAssembly.Memory({ initial: 256, maximum: 32768 });
let engine;

/** The engine and its fuel, made at the first call, and anew when one has broken. */
async function load() {
  engine ??= (async () => {
    new Uint8Array(memory.buffer).fill(0);
    let fuel;
    const instantiateWasm = (imports, done) => {
      const instance = new WebAssembly.Instance(wasmModule, imports);
      fuel = instance.exports.fuel;
      done(instance);
      return instance.exports;
    };
    const emscriptenModule = { wasmMemory: memory, instantiateWasm, printErr: () => {} };
    const quickjs = await newQuickJSWASMModuleFromVariant(newVariant(variant, { emscriptenModule }));
    return { quickjs, fuel, isBroken: false };
  })();
  const loaded = await engine;
  // It may have broken in the hands of somebody who waited for it, too.
  return loaded.isBroken ? load() : loaded;
}

// `console` writes lines into an array; everything it prints is cut, so that it cannot fill the memory unseen. What is
// needed after the user's code has run is kept from it: it may change every global.
const PRELUDE = `(() => {
  const { parse, stringify } = JSON;
  const kindOf = Function.prototype.call.bind(Object.prototype.toString);
  const lines = [];
  const text = (value) => {
    if (typeof value === "string") return value;
    try { const json = stringify(value); return json === undefined ? String(value) : json; } catch { return String(value); }
  };
  const log = (...values) => {
    if (lines.length >= 100) return;
    let line = "";
    for (let i = 0; i < values.length; i++) line += (i === 0 ? "" : " ") + text(values[i]);
    lines[lines.length] = "" + line;
  };
  globalThis.console = { log, info: log, debug: log, warn: log, error: log };
  return (what, input) => {
    if (what === "line") return input < lines.length ? lines[input] : undefined;
    if (typeof transform !== "function") return "missing";
    if (what === "look") return kindOf(transform).startsWith("[object Async") ? "promise" : "no_call";
    const result = transform(parse(input));
    if (result !== null && typeof result === "object" && typeof result.then === "function") return "promise";
    const json = stringify(result);
    return json === undefined ? "nothing" : "ok" + json;
  };
})()`;
const LINE_MAX = 2_000;

/** What was thrown, as text, with the place in the user's code. */
function thrown(vm, handle) {
  let value;
  try {
    value = vm.dump(handle);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) throw error;
    value = null;
  } finally {
    handle.dispose();
  }
  if (value !== null && typeof value === "object" && typeof value.message === "string") {
    const place = /transform\.js:(\d+)(?::(\d+))?/.exec(String(value.stack ?? ""));
    return {
      name: String(value.name ?? "Error").toWellFormed(),
      message: value.message.toWellFormed(),
      line: place ? Number(place[1]) : null,
      column: place?.[2] ? Number(place[2]) : null,
    };
  }
  // QuickJS has no memory left to describe why it ran out of it.
  if (value === null) return { name: "InternalError", message: "out of memory", line: null, column: null };
  return { name: "", message: shown(value), line: null, column: null };
}

function shown(value) {
  try {
    return typeof value === "object" ? JSON.stringify(value) : String(value).toWellFormed();
  } catch {
    return "something that cannot be shown";
  }
}

/**
 * Runs `code` on `input` (JSON text) within `limits` {memory, stack: bytes; interrupts, fuel, output: counts}.
 * Answers JSON: {"outcome": "ok"|"missing"|"promise"|"nothing"|"thrown"|"interrupted"|"broken"|"too_large"|"no_call",
 * "output", "error", "log", "fuel": what it took}. `input` may be null: then the code is only compiled and its top level run.
 * It rejects only where there is no engine: all else is the doing of the code or of its input.
 */
export async function run(code, input, limits) {
  const loaded = await load();
  const { quickjs, fuel } = loaded;
  const most = JSON.parse(limits);
  const answer = { outcome: "ok", output: null, error: null, log: [] };
  fuel.value = BigInt(most.fuel);
  try {
    execute(quickjs, code, input, most, answer);
  } catch {
    // Wherever it stood, nothing in the engine can be relied upon. Running out of fuel is such a trap.
    loaded.isBroken = true;
    engine = undefined;
    answer.outcome = fuel.value < 0n ? "interrupted" : "broken";
    answer.output = null;
  }
  answer.fuel = most.fuel - Math.max(0, Number(fuel.value));
  return JSON.stringify(answer);
}

function execute(quickjs, code, input, most, answer) {
  const runtime = quickjs.newRuntime();
  let asked = 0;
  runtime.setMemoryLimit(most.memory);
  runtime.setMaxStackSize(most.stack);
  runtime.setInterruptHandler(() => ++asked > most.interrupts);
  const vm = runtime.newContext();
  const settle = (result) => {
    if (!result.error) return result.value;
    answer.error = thrown(vm, result.error);
    answer.outcome = asked > most.interrupts ? "interrupted" : "thrown";
    return null;
  };
  const ask = (prelude, what, argument) =>
    vm.newString(what).consume((what) =>
      argument.consume((argument) => vm.callFunction(prelude, vm.undefined, what, argument)),
    );
  const prelude = vm.unwrapResult(vm.evalCode(PRELUDE, "console.js", { type: "global" }));
  settle(vm.evalCode(code, "transform.js", { type: "global" }))?.dispose();
  if (answer.error === null) {
    const asks = input === null ? ["look", vm.undefined] : ["call", vm.newString(input)];
    const value = settle(ask(prelude, ...asks));
    if (value !== null) {
      const text = value.consume((value) => vm.getString(value));
      if (!text.startsWith("ok")) answer.outcome = text;
      else if (text.length > 2 + most.output) answer.outcome = "too_large";
      else answer.output = text.slice(2);
    }
  }
  for (let i = 0; asked <= most.interrupts && i < 100; i++) {
    const line = ask(prelude, "line", vm.newNumber(i));
    if (line.error) {
      line.error.dispose();
      break;
    }
    const text = line.value.consume((line) => (vm.typeof(line) === "string" ? vm.getString(line) : null));
    if (text === null) break;
    // A cut may leave half a character.
    answer.log.push(text.slice(0, LINE_MAX).toWellFormed());
  }
  prelude.dispose();
  vm.dispose();
  runtime.dispose();
}
