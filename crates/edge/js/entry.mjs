// The Worker's main module: the Rust Worker (`gateway.js`, written by worker-build), and beside it the engine that runs
// users' functions, which Rust finds by its name (`crates/edge/src/transform.rs`).
import { run } from "./transform.mjs";

globalThis.inletTransform = run;

export * from "./gateway.js";
export { default } from "./gateway.js";
