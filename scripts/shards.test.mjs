import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { test } from "node:test";
import { ROOT } from "./lib.mjs";
import { SHARDS_MAX, shardCount, withShards } from "./shards.mjs";

const { experimental_readRawConfig: read } = createRequire(import.meta.url)("wrangler");
const CONFIG = read({ config: resolve(ROOT, "wrangler.toml") }).rawConfig;

test("the first database alone is the configuration as it is written", () => {
  assert.deepEqual(withShards(CONFIG, 1), CONFIG);
});

test("each database has its queue, and that its consumer like the first", () => {
  const { d1_databases: databases, queues } = withShards(CONFIG, 3);
  assert.deepEqual(databases.map((db) => [db.binding, db.database_name, db.migrations_dir]), [
    ["DB", "inlet-control", "migrations/control"],
    ["EVENTS_0", "inlet-events-0", "migrations/events"],
    ["EVENTS_1", "inlet-events-1", "migrations/events"],
    ["EVENTS_2", "inlet-events-2", "migrations/events"],
  ]);
  assert.equal(new Set(databases.map((db) => db.database_id)).size, 4);
  assert.deepEqual(
    queues.producers.map(({ binding, queue }) => `${binding} ${queue}`),
    ["INGEST_0 inlet-ingest-0", "INGEST_1 inlet-ingest-1", "INGEST_2 inlet-ingest-2", "DELIVER_0 inlet-deliver-0", "DELIVER_1 inlet-deliver-1", "DELIVER_2 inlet-deliver-2"],
  );
  const consumers = (start) => queues.consumers.filter(({ queue }) => queue.startsWith(start));
  const [first, ...more] = consumers("inlet-ingest-").filter(({ queue }) => !queue.endsWith("dlq"));
  assert.deepEqual(more, [1, 2].map((shard) => ({ ...first, queue: `inlet-ingest-${shard}` })));
  assert.equal(consumers("inlet-deliver-").length, 4);
});

test("there are as many as are asked for, or as there were, and never fewer", () => {
  const names = (count) => ["inlet-control", "inlet-events-x", "inlet-events-0b", "inlet-events-01", "inlet-events-1e1", "inlet-events-31", "other-events-7", "inlet2-events-9", ...Array.from({ length: count }, (_, i) => `inlet-events-${i}`)];
  const count = (given, have) => shardCount({ given, name: "inlet", names: names(have) });
  assert.deepEqual(count(undefined, 0), { shards: 1, problem: null });
  assert.deepEqual(count("", 3), { shards: 3, problem: null });
  assert.deepEqual(count("3", 0), { shards: 3, problem: null });
  assert.deepEqual(count("3", 2), { shards: 3, problem: null });
  assert.deepEqual(count(String(SHARDS_MAX), 3), { shards: SHARDS_MAX, problem: null });
  assert.match(count("2", 3).problem, /there are 3 event databases \(inlet-events-0 to inlet-events-2\)/);
  for (const given of ["0", "-1", "1.5", "two", "1e1", "0x2", "02", String(SHARDS_MAX + 1)]) assert.match(count(given, 0).problem, /from 1 to 32/, given);
});

test("no more are made than the Worker looks for", () => {
  const rust = readFileSync(resolve(ROOT, "crates/gateway/src/shard.rs"), "utf8");
  assert.equal(Number(rust.match(/SHARDS_MAX: u32 = (\d+)/)[1]), SHARDS_MAX);
});
