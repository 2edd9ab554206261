// What of wrangler.toml no run on a machine shows: only Cloudflare makes a difference.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { test } from "node:test";
import { ROOT } from "./lib.mjs";
import { deployConfig } from "./deploy-plan.mjs";

const { experimental_readRawConfig: read } = createRequire(import.meta.url)("wrangler");
const config = deployConfig(read({ config: resolve(ROOT, "wrangler.toml") }).rawConfig, "inlet", {}, { up: ".." });

test("calls reach hosts of the own zone through Cloudflare, past nothing that protects them", () => {
  assert.ok(config.compatibility_flags.includes("global_fetch_strictly_public"));
});

test("no log keeps the URLs of requests, and no old version an address", () => {
  assert.deepEqual(config.observability, { enabled: true, logs: { enabled: true, invocation_logs: false } });
  assert.equal(config.preview_urls, false);
});
