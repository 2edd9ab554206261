// The Worker's main module: the Rust Worker (`gateway.js`, written by worker-build), and beside it the engine that runs
// users' functions, what writes the journal and the queue, a reader of YAML and the texts that are served as they are, which Rust
// finds by their names (`src/transform.rs`, `js/glue.js`).
import { WorkerEntrypoint } from "cloudflare:workers";
import Worker from "./gateway.js";
import { append } from "./journal.mjs";
import { send } from "./queue.mjs";
import { texts } from "./texts.mjs";
import { run } from "./transform.mjs";
import { yaml } from "./yaml.mjs";

globalThis.inletAppend = append;
globalThis.inletSend = send;
globalThis.inletTransform = run;
globalThis.inletTexts = texts;
globalThis.inletYaml = yaml;

// worker-build has each request go through three proxies, so that an instance that crashed is replaced. This does the
// same for the price of a comparison: its constructor starts a new instance where the last one has crashed.
const { fetch, queue, scheduled } = Worker.prototype;
const state = globalThis.__worker_init_state;

function call(entry, handler, event) {
  if (state.criticalError) Reflect.construct(Worker, [entry.ctx, entry.env]);
  try {
    return handler.call(entry, event);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) state.criticalError = true;
    throw error;
  }
}

export default class extends WorkerEntrypoint {
  fetch(request) {
    const answer = call(this, fetch, request);
    // When a sender hangs up, the runtime drops what its request waits for. Rust would never hear of it, and never give back the
    // memory, the share of `Room` or the place in a group that the request holds; so it goes on to its end.
    this.ctx.waitUntil(answer.catch(() => {}));
    return answer;
  }

  queue(batch) {
    return call(this, queue, batch);
  }

  scheduled(event) {
    return call(this, scheduled, event);
  }
}
