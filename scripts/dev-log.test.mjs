import assert from "node:assert/strict";
import { test } from "node:test";
import { filter } from "./dev-log.mjs";

const shown = (text) => text.split("\n").map(filter()).filter((line) => line !== null);

test("a start is silent", () => {
  const start = `[custom build] Running: scripts/build-edge.sh
[custom build] edge: up to date
[custom build]
Using secrets defined in .inlet/state/dev.vars
Your Worker has access to the following bindings:
Binding                        Resource                  Mode
env.DB (inlet-control)         D1 Database               local

The file crates/edge/src changed, restarting build...
⎔ Starting local server...
\u001b[33m▲ [WARNING]\u001b[0m Scheduled Workers are not automatically triggered during local development.

  To manually trigger a scheduled event, run:
    curl "http://127.0.0.1:8787/cdn-cgi/handler/scheduled"
  For more details, see https://developers.cloudflare.com/

[wrangler:info] Ready on http://127.0.0.1:8787
[wrangler:info] GET /healthz 200 OK (79ms)
[wrangler:info] GET /cdn-cgi/handler/scheduled 200 OK (3ms)
🪵  Logs were written to "logs/wrangler.log"`;
  assert.deepEqual(shown(start), []);
});

test("requests, the Worker's lines, builds and errors are shown", () => {
  const text = `[wrangler:info] POST /ingest/abc 200 OK (5ms)
router: 3 events
[custom build] edge: building
[custom build] error[E0425]: cannot find value
\u001b[31m✘ \u001b[41;31m[\u001b[41;97mERROR\u001b[41;31m]\u001b[0m \u001b[1mboom\u001b[0m
[wrangler:info] GET /healthz 503 Service Unavailable (2ms)`;
  assert.deepEqual(shown(text), [
    "POST /ingest/abc 200 OK (5ms)",
    "router: 3 events",
    "edge: building",
    "error[E0425]: cannot find value",
    "✘ [ERROR] boom",
    "GET /healthz 503 Service Unavailable (2ms)",
  ]);
});

test("a host that is not known is named, and what workerd dumps for it is left out", () => {
  const text = `\u001b[31m✘ \u001b[41;31m[\u001b[41;97mERROR\u001b[41;31m]\u001b[0m \u001b[1me = kj/async-io-unix.c++:1298: failed: DNS lookup failed.; params.host = nosuch.invalid; params.service = ; gai_strerror(status) = Name or service not known\u001b[0m

  stack: /a/node_modules/@cloudflare/workerd-linux-64/bin/workerd@51f50be /a/node_modules/@cloudflare/workerd-linux-64/bin/workerd@51f5bb0

`;
  assert.deepEqual(shown(text), ["nosuch.invalid: Name or service not known"]);
});

test("a build that failed is told once", () => {
  const text = `[custom build] error: this file contains an unclosed delimiter
✘ [ERROR] Error: Command failed with exit code 1: scripts/build-edge.sh
  error: this file contains an unclosed delimiter
      at makeError (cli.js:54995:18) {
    stderr: 'error: this file contains an unclosed delimiter',
    killed: false
  }
✘ [ERROR] Running custom build failed.`;
  assert.deepEqual(shown(text), [
    "error: this file contains an unclosed delimiter",
    "✘ [ERROR] Running custom build failed.",
  ]);
});
