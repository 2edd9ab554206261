import assert from "node:assert/strict";
import { test } from "node:test";
import {
  deployConfig,
  ids,
  nameProblem,
  parseBuckets,
  parseCount,
  parseDatabases,
  parseNamespaces,
  parseQueues,
  parseSecrets,
  plan,
  secrets,
  shell,
  wanted,
} from "./deploy-plan.mjs";

const CONFIG = {
  name: "inlet",
  main: "crates/edge/build/index.js",
  build: { command: "scripts/build-edge.sh" },
  vars: { PUBLIC_URL: "", DURABILITY: "queue" },
  d1_databases: [
    { binding: "DB", database_name: "inlet-control", database_id: "0", migrations_dir: "migrations/control" },
    { binding: "EVENTS_0", database_name: "inlet-events-0", database_id: "1", migrations_dir: "migrations/events" },
  ],
  kv_namespaces: [{ binding: "CONFIG", id: "0" }],
  r2_buckets: [{ binding: "BODIES", bucket_name: "inlet-bodies" }],
  queues: {
    producers: [{ binding: "DELIVER", queue: "inlet-deliver" }],
    consumers: [
      { queue: "inlet-deliver", max_batch_size: 10, dead_letter_queue: "inlet-deliver-dlq" },
      { queue: "inlet-deliver-dlq" },
    ],
  },
};
const NOTHING = { worker: false, databases: [], namespaces: [], buckets: [], queues: [] };
const ALL = {
  worker: true,
  databases: [{ name: "inlet-control", id: "c" }, { name: "inlet-events-0", id: "e" }, { name: "other", id: "o" }],
  namespaces: [{ title: "inlet-config", id: "k" }],
  buckets: ["inlet-bodies"],
  queues: [{ name: "inlet-deliver", consumers: 1 }, { name: "inlet-deliver-dlq", consumers: 1 }],
};
const WANT = wanted(CONFIG, "inlet");
const lines = (have, options) => plan(WANT, have, options).commands.map(({ args }) => args.join(" "));

test("an account without anything gets everything, dead letters for 14 days", () => {
  assert.deepEqual(lines(NOTHING), [
    "d1 create inlet-control",
    "d1 create inlet-events-0",
    "kv namespace create inlet-config",
    "r2 bucket create inlet-bodies",
    "queues create inlet-deliver",
    "queues create inlet-deliver-dlq --message-retention-period-secs 1209600",
  ]);
});

test("a second run creates nothing", () => {
  const { commands, clashes } = plan(WANT, ALL);
  assert.deepEqual(commands.filter(({ creates }) => creates), []);
  assert.deepEqual(clashes, []);
  assert.deepEqual(lines(ALL, { retention: 86_400 }), ["queues update inlet-deliver-dlq --message-retention-period-secs 86400"]);
});

test("a run that broke off is continued", () => {
  const have = { ...NOTHING, databases: ALL.databases.slice(0, 1), queues: [{ name: "inlet-deliver", consumers: 0 }] };
  assert.deepEqual(plan(WANT, have).clashes, []);
  assert.deepEqual(lines(have), [
    "d1 create inlet-events-0",
    "kv namespace create inlet-config",
    "r2 bucket create inlet-bodies",
    "queues create inlet-deliver-dlq --message-retention-period-secs 1209600",
  ]);
});

test("a bucket that the list left out is not an error", () => {
  const bucket = plan(WANT, NOTHING).commands.find(({ args }) => args[0] === "r2");
  assert.match("The bucket you tried to create already exists, and you own it. [code: 10004]", bucket.unless);
  assert.doesNotMatch("The bucket name is taken by someone else.", bucket.unless);
});

test("what seems to be someone else's is a clash", () => {
  const clash = (have) => plan(WANT, { ...NOTHING, ...have }).clashes.join("\n");
  assert.match(clash({ worker: true }), /a Worker inlet already/);
  assert.match(clash({ queues: [{ name: "inlet-deliver", consumers: 1 }] }), /queue inlet-deliver has a consumer/);
  assert.match(clash({ namespaces: [{ title: "inlet-config", id: "a" }, { title: "inlet-config", id: "b" }] }), /2 KV namespaces.*a, b/);
  assert.equal(clash({ databases: ALL.databases, worker: true }), "");
});

test("another name renames every resource", () => {
  const want = wanted(CONFIG, "acme");
  const names = plan(want, NOTHING).commands.map(({ args }) => args.find((word) => word.startsWith("acme")));
  assert.deepEqual(names, ["acme-control", "acme-events-0", "acme-config", "acme-bodies", "acme-deliver", "acme-deliver-dlq"]);
  const text = JSON.stringify(deployConfig(CONFIG, "acme", {}, { up: ".." }));
  assert.doesNotMatch(text, /inlet/);
});

test("names that Cloudflare would refuse are refused here", () => {
  for (const good of ["inlet", "a1", "acme-hooks"]) assert.equal(nameProblem(good), null);
  for (const bad of ["", "a", "Inlet", "1nlet", "inlet-", "in_let", "a".repeat(43), "in let"]) assert.match(nameProblem(bad), /INLET_NAME/);
});

test("the final configuration has the ids, and paths that hold from where it lies", () => {
  const config = deployConfig(CONFIG, "inlet", ids(WANT, ALL), { up: "..", publicUrl: "https://hooks.example.com" });
  assert.equal(config.main, "../crates/edge/build/index.js");
  assert.equal(config.build, undefined);
  assert.deepEqual(config.d1_databases.map((db) => [db.database_id, db.migrations_dir]), [["c", "../migrations/control"], ["e", "../migrations/events"]]);
  assert.equal(config.kv_namespaces[0].id, "k");
  assert.deepEqual(config.vars, { PUBLIC_URL: "https://hooks.example.com", DURABILITY: "queue" });
  assert.equal(config.queues.consumers[0].max_batch_size, 10);
  assert.equal(CONFIG.d1_databases[0].database_id, "0", "what was read stays as it was");
});

test("secrets: made when absent, kept when present, given ones used", () => {
  const base = { worker: "inlet", database: "inlet-control", present: [], projects: 0, given: {}, make: (name) => `made ${name}` };
  assert.deepEqual(secrets(base).set, [
    { name: "ROOT_KEY", value: "made ROOT_KEY", made: true },
    { name: "ENCRYPTION_KEY", value: "made ENCRYPTION_KEY", made: true },
  ]);
  const kept = secrets({ ...base, present: ["ROOT_KEY", "ENCRYPTION_KEY"], projects: 5, given: { ROOT_KEY: "r" } });
  assert.deepEqual(kept.set, []);
  assert.match(kept.notes[0], /ROOT_KEY is set already/);
  const key = Buffer.alloc(32).toString("base64");
  assert.deepEqual(secrets({ ...base, present: ["ROOT_KEY"], projects: 5, given: { ENCRYPTION_KEY: key } }).set, [{ name: "ENCRYPTION_KEY", value: key, made: false }]);
  assert.match(secrets({ ...base, given: { ENCRYPTION_KEY: "short" } }).refusal, /32 bytes/);
});

test("secrets: data whose key is gone is never given a new one", () => {
  const { set, refusal } = secrets({ worker: "inlet", database: "inlet-control", present: ["ROOT_KEY"], projects: 3, given: {}, make: String });
  assert.deepEqual(set, []);
  assert.match(refusal, /inlet-control holds 3 project\(s\)/);
  assert.match(refusal, /ENCRYPTION_KEY=<the old key> make deploy/);
});

test("wrangler's lists are read", () => {
  assert.deepEqual(parseDatabases('▲ [WARNING] old wrangler\n\n[\n  {"uuid": "u", "name": "n", "version": "x"}\n]\n'), [{ name: "n", id: "u" }]);
  assert.deepEqual(parseNamespaces('[\n {"id": "i", "title": "t"}\n]\n'), [{ title: "t", id: "i" }]);
  assert.deepEqual(parseNamespaces("[]\n"), []);
  assert.deepEqual(parseSecrets('[{"name":"ROOT_KEY","type":"secret_text"}]'), ["ROOT_KEY"]);
  assert.equal(parseCount('[{"results":[{"n":4}],"success":true}]'), 4);
  assert.deepEqual(parseBuckets("Listing buckets...\nname:           a\ncreation_date:  2026\n\nname:           b-1\ncreation_date:  2026\n"), ["a", "b-1"]);
  assert.throws(() => parseDatabases("Error: no"), /d1 list --json/);
  const table = `┌─────┬───────────────┬────────────┬─────────────┬───────────┬───────────┐
│ id  │ name          │ created_on │ modified_on │ producers │ consumers │
├─────┼───────────────┼────────────┼─────────────┼───────────┼───────────┤
│ abc │ inlet-deliver │ 2026       │ 2026        │ 1         │ 2         │
└─────┴───────────────┴────────────┴─────────────┴───────────┴───────────┘`;
  assert.deepEqual(parseQueues(table), [{ name: "inlet-deliver", consumers: 2 }]);
  assert.deepEqual(parseQueues("\n"), []);
});

test("commands are printed as one would type them", () => {
  assert.equal(shell(["d1", "execute", "DB", "--command", "SELECT 'a'"]), `npx wrangler d1 execute DB --command 'SELECT '\\''a'\\'''`);
});
