import assert from "node:assert/strict";
import { test } from "node:test";
import {
  deployConfig,
  foreignDatabase,
  health,
  ids,
  isNoWorker,
  keyProblem,
  keysProblem,
  nameProblem,
  parseBuckets,
  parseCount,
  parseDatabases,
  parseNames,
  parseNamespaces,
  parseQueues,
  parseSecrets,
  plan,
  publicUrlProblem,
  secrets,
  settings,
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
    producers: [{ binding: "DELIVER_0", queue: "inlet-deliver-0" }],
    consumers: [
      { queue: "inlet-deliver-0", max_batch_size: 10, dead_letter_queue: "inlet-deliver-dlq" },
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
  queues: [{ name: "inlet-deliver-0", consumers: 1 }, { name: "inlet-deliver-dlq", consumers: 1 }],
};
const WANT = wanted(CONFIG, "inlet");
const lines = (have, options) => plan(WANT, have, options).commands.map(({ args }) => args.join(" "));

test("an account without anything gets everything, dead letters for 14 days", () => {
  assert.deepEqual(lines(NOTHING), [
    "d1 create inlet-control",
    "d1 create inlet-events-0",
    "kv namespace create inlet-config",
    "r2 bucket create inlet-bodies",
    "queues create inlet-deliver-0",
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
  const have = { ...NOTHING, databases: ALL.databases.slice(0, 1), queues: [{ name: "inlet-deliver-0", consumers: 0 }] };
  assert.deepEqual(plan(WANT, have).clashes, []);
  assert.deepEqual(lines(have), [
    "d1 create inlet-events-0",
    "kv namespace create inlet-config",
    "r2 bucket create inlet-bodies",
    "queues create inlet-deliver-dlq --message-retention-period-secs 1209600",
  ]);
});

test("a bucket that the list left out is not an error", () => {
  const bucketOf = (have) => plan(WANT, have).commands.find(({ args }) => args[0] === "r2");
  const bucket = bucketOf({ ...NOTHING, databases: ALL.databases });
  assert.equal(bucketOf(NOTHING).unless, undefined, "where there is nothing else of ours, it is not ours either");
  assert.match("The bucket you tried to create already exists, and you own it. [code: 10004]", bucket.unless);
  assert.doesNotMatch("The bucket name is taken by someone else.", bucket.unless);
});

test("what seems to be someone else's is a clash", () => {
  const clash = (have) => plan(WANT, { ...NOTHING, ...have }).clashes.join("\n");
  assert.match(clash({ worker: true }), /a Worker inlet already/);
  assert.match(clash({ queues: [{ name: "inlet-deliver-0", consumers: 1 }] }), /queue inlet-deliver-0 has a consumer/);
  assert.match(clash({ namespaces: [{ title: "inlet-config", id: "a" }, { title: "inlet-config", id: "b" }] }), /2 KV namespaces.*a, b/);
  assert.equal(clash({ databases: ALL.databases, worker: true }), "");
  for (const [kind, what] of [["namespaces", "a KV namespace inlet-config"], ["buckets", "a bucket inlet-bodies"]]) {
    assert.match(clash({ [kind]: ALL[kind] }), new RegExp(`there is ${what}, but none of the databases`));
    assert.equal(clash({ [kind]: ALL[kind], databases: ALL.databases }), "");
  }
  assert.match(clash({ queues: [{ name: "inlet-deliver-0", consumers: 0 }] }), /there is a queue inlet-deliver-0, but none/);
});

test("consumers that a deleted Worker has left behind come with the command that removes them", () => {
  const { clashes } = plan(WANT, { ...ALL, worker: false });
  assert.match(clashes.join("\n"), /npx wrangler queues consumer remove inlet-deliver-0 inlet$/m);
});

test("a database of our name is ours when it is empty, or has had our migrations", () => {
  const own = ["0001_control.sql", "0004_projects.sql"];
  const foreign = (tables, applied) => foreignDatabase({ name: "inlet-control", tables, applied, own });
  assert.equal(foreign([], []), null);
  assert.equal(foreign(["_cf_KV", "sqlite_sequence"], []), null);
  assert.equal(foreign(["d1_migrations"], []), null);
  assert.equal(foreign(["d1_migrations", "projects"], own.slice(0, 1)), null);
  assert.equal(foreign(["d1_migrations", "projects"], [...own, "0099_of_a_newer_one.sql"]), null);
  assert.match(foreign(["projects"], []), /database inlet-control already with the tables projects,/);
  assert.match(foreign(["d1_migrations", "users"], ["0001_init.sql"]), /the tables users, and no migration of an Inlet/);
  assert.match(foreign(["d1_migrations"], ["0001_init.sql"]), /the migration 0001_init.sql/);
});

test("a key is looked at as the Worker does", () => {
  const key = Buffer.from(Array.from({ length: 32 }, (_, n) => 255 - n)).toString("base64");
  assert.match(key, /[+/].*=$/);
  for (const good of [key, ` ${key}\n`]) assert.equal(keyProblem(good), null);
  const bad = [key.replaceAll("+", "-").replaceAll("/", "_"), key.slice(0, -1), `${key.slice(0, 9)}!${key.slice(9)}`, `${key.slice(0, 9)}\n${key.slice(9)}`];
  bad.push(key.replace(/.=$/, "B="), "", "short", `${key}${key}`, Buffer.alloc(16, 1).toString("base64"), Buffer.alloc(32).toString("base64"));
  for (const one of bad) assert.match(keyProblem(one), /32 bytes in base64/, one);
});

test("what was given to the last deployment is kept, or said to be reset", () => {
  const of = (given, kept, deployed = true, vars = { PUBLIC_URL: "" }) => settings({ given, config: { vars }, kept, deployed });
  const first = of({ PUBLIC_URL: "https://hooks.example.com/", DLQ_RETENTION_SECS: "86400" }, null, false);
  assert.deepEqual([first.publicUrl, first.retention, first.notes, first.problem], ["https://hooks.example.com", 86_400, [], null]);
  const second = of({}, JSON.parse(JSON.stringify(first.keep)));
  assert.deepEqual([second.publicUrl, second.retention], ["https://hooks.example.com", 86_400]);
  assert.match(second.notes.join("\n"), /PUBLIC_URL=https:\/\/hooks.example.com, as for the last.*\nDLQ_RETENTION_SECS=86400, as/);
  assert.deepEqual(second.keep, first.keep);
  assert.equal(of({ PUBLIC_URL: "https://other.example.com" }, first.keep).publicUrl, "https://other.example.com");
  const forgotten = of({ PUBLIC_URL: "-", DLQ_RETENTION_SECS: "-" }, first.keep);
  assert.deepEqual([forgotten.publicUrl, forgotten.retention, forgotten.keep.PUBLIC_URL], [undefined, 1_209_600, undefined]);
  assert.equal(of({}, first.keep, true, { PUBLIC_URL: "https://toml.example.com" }).publicUrl, undefined, "wrangler.toml says it");
  assert.match(of({}, null).notes.join("\n"), /PUBLIC_URL is not given, and what it was .* is not known here/);
  assert.deepEqual(of({}, null, false).notes, []);
  assert.deepEqual(of({}, {}).notes, [], "it was not given before either");
});

test("settings that cannot be are refused", () => {
  const problem = (given) => settings({ given, config: {}, kept: null, deployed: false }).problem;
  for (const seconds of ["59", "a day", "1.5", "1209601"]) assert.match(problem({ DLQ_RETENTION_SECS: seconds }), /DLQ_RETENTION_SECS must be/);
  assert.match(problem({ PUBLIC_URL: "hooks.example.com" }), /PUBLIC_URL=hooks.example.com: it has to begin with https/);
  for (const good of ["https://hooks.example.com", "HTTP://127.0.0.1:8787/inlet"]) assert.equal(publicUrlProblem(good), null);
  for (const bad of ["hooks.example.com:443", "https:hooks.example.com", "ftp://h", "https://", "https://h/?a=b", "https://h/#a", "https://u@h", "https://u:p@h/a"]) {
    assert.match(publicUrlProblem(bad), /it has to begin with/, bad);
  }
});

test("only wrangler's words and codes say that there is no Worker", () => {
  const yes = ['\x1b[31m✘ [ERROR]\x1b[0m Worker "inlet" not found.', 'Worker "inlet" (env: production) not found', "This Worker does not exist on your account. [code: 10007]", "no [code: 10090]"];
  for (const output of yes) assert.ok(isNoWorker(output, "inlet"), output);
  const no = ["A request to the Cloudflare API (/accounts/ab10007cdef/workers) failed. internal error [code: 7500]", "10090", 'Worker "other" not found', ""];
  for (const output of no) assert.ok(!isNoWorker(output, "inlet"), output);
});

test("a deployed Worker that says what it lacks is no success", () => {
  const of = (status, text) => health({ url: "https://w", status, text, seconds: 6 });
  assert.deepEqual(of(200, "{}"), { isWell: true, isIll: false, text: "https://w/healthz answers 200" });
  const ill = of(503, '{"status":false,"message":"ENCRYPTION_KEY is not 32 bytes"}');
  assert.ok(ill.isIll && !ill.isWell);
  assert.match(ill.text, /answers 503 after 6 s: ENCRYPTION_KEY is not 32 bytes/);
  assert.ok(of(503, "<html>").text.endsWith(": <html>"));
  const broken = of(500, "error code: 1101");
  assert.ok(broken.isIll && broken.text.endsWith("answers 500 after 6 s: error code: 1101"));
  for (const [status, expect] of [[0, "no such host"], [404, "answers 404"], [522, "answers 522"]]) {
    const one = of(status, "no such host");
    assert.ok(!one.isIll && !one.isWell && one.text.includes(`(${expect})`), String(status));
  }
});

test("another name renames every resource", () => {
  const want = wanted(CONFIG, "acme");
  const names = plan(want, NOTHING).commands.map(({ args }) => args.find((word) => word.startsWith("acme")));
  assert.deepEqual(names, ["acme-control", "acme-events-0", "acme-config", "acme-bodies", "acme-deliver-0", "acme-deliver-dlq"]);
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

test("a root key that could be guessed, or not be sent, is refused", () => {
  const long = "k".repeat(16);
  for (const good of [long, ` ${long}\n`, undefined, ""]) assert.equal(keysProblem({ ROOT_KEY: good }), null, good);
  for (const bad of ["x", " ", long.slice(1), `${long} k`, `${long}é`]) assert.match(keysProblem({ ROOT_KEY: bad }), /^ROOT_KEY .*16 characters or more/, bad);
  const base = { worker: "inlet", database: "inlet-control", config: "c", present: [], projects: 0, make: String };
  const { set, refusal } = secrets({ ...base, given: { ROOT_KEY: "x" } });
  assert.deepEqual(set, []);
  assert.match(refusal, /^ROOT_KEY /);
});

test("secrets: made when absent, kept when present, given ones used", () => {
  const base = { worker: "inlet", database: "inlet-control", config: ".inlet/c.json", present: [], projects: 0, given: {}, make: (name) => `made ${name}` };
  assert.deepEqual(secrets(base).set, [
    { name: "ROOT_KEY", value: "made ROOT_KEY", made: true },
    { name: "ENCRYPTION_KEY", value: "made ENCRYPTION_KEY", made: true },
  ]);
  const kept = secrets({ ...base, present: ["ROOT_KEY", "ENCRYPTION_KEY"], projects: 5, given: { ROOT_KEY: "r" } });
  assert.deepEqual(kept.set, []);
  assert.match(kept.notes[0], /ROOT_KEY is set already/);
  const key = Buffer.alloc(32, 7).toString("base64");
  assert.deepEqual(secrets({ ...base, present: ["ROOT_KEY"], projects: 5, given: { ENCRYPTION_KEY: key } }).set, [{ name: "ENCRYPTION_KEY", value: key, made: false }]);
  assert.match(secrets({ ...base, given: { ENCRYPTION_KEY: "short" } }).refusal, /32 bytes/);
});

test("secrets: data whose key is gone is never given a new one", () => {
  const { set, refusal } = secrets({ worker: "inlet", database: "inlet-control", config: ".inlet/c.json", present: ["ROOT_KEY"], projects: 3, given: {}, make: String });
  assert.deepEqual(set, []);
  assert.match(refusal, /inlet-control holds 3 project\(s\)/);
  assert.match(refusal, /ENCRYPTION_KEY=<the old key> make deploy/);
  assert.match(refusal, /npx wrangler d1 delete inlet-control --config .inlet\/c.json/);
});

test("wrangler's lists are read", () => {
  assert.deepEqual(parseDatabases('▲ [WARNING] old wrangler\n\n[\n  {"uuid": "u", "name": "n", "version": "x"}\n]\n'), [{ name: "n", id: "u" }]);
  assert.deepEqual(parseNamespaces('[\n {"id": "i", "title": "t"}\n]\n'), [{ title: "t", id: "i" }]);
  assert.deepEqual(parseNamespaces("[]\n"), []);
  assert.deepEqual(parseSecrets('[{"name":"ROOT_KEY","type":"secret_text"}]'), ["ROOT_KEY"]);
  assert.deepEqual(parseNames('[{"results":[{"name":"a"},{"name":"b"}],"success":true}]'), ["a", "b"]);
  assert.equal(parseCount('[{"results":[{"n":4}],"success":true}]'), 4);
  assert.deepEqual(parseBuckets("Listing buckets...\nname:           a\ncreation_date:  2026\n\nname:           b-1\ncreation_date:  2026\n"), ["a", "b-1"]);
  assert.throws(() => parseDatabases("Error: no"), /d1 list --json/);
  const table = `┌─────┬───────────────┬────────────┬─────────────┬───────────┬───────────┐
│ id  │ name          │ created_on │ modified_on │ producers │ consumers │
├─────┼───────────────┼────────────┼─────────────┼───────────┼───────────┤
│ abc │ inlet-deliver-0 │ 2026       │ 2026        │ 1         │ 2         │
└─────┴───────────────┴────────────┴─────────────┴───────────┴───────────┘`;
  assert.deepEqual(parseQueues(table), [{ name: "inlet-deliver-0", consumers: 2 }]);
  assert.deepEqual(parseQueues("\n"), []);
});

test("commands are printed as one would type them", () => {
  assert.equal(shell(["d1", "execute", "DB", "--command", "SELECT 'a'"]), `npx wrangler d1 execute DB --command 'SELECT '\\''a'\\'''`);
});
