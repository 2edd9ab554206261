// `make deploy` from beginning to end, with the real wrangler, against an account that exists only in this file.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { ROOT, exec } from "./lib.mjs";

const PREFIX = "/client/v4/accounts/acc";
const built = existsSync(resolve(ROOT, "crates/edge/build/index_bg.wasm"));
const skip = built ? false : "the Worker is not built (make build)";

let account, server, base, dir;

const emptyAccount = () => ({ worker: null, databases: [], namespaces: [], buckets: [], queues: [], projects: 0, tables: {}, applied: {}, losesAnswers: false, isFree: false, calls: [], unknown: [] });

/** What Cloudflare's API answers: `[status, result]` or `[status, null, {code, message}]`. */
function answer(method, path, query, body) {
  const json = () => JSON.parse(body.toString("utf8"));
  const [, kind, ...rest] = path.split("/");
  if (path === "/d1/database" && method === "GET") return [200, account.databases];
  if (path === "/d1/database" && method === "POST") {
    account.databases.push({ uuid: randomUUID(), name: json().name });
    return [200, account.databases.at(-1)];
  }
  if (kind === "d1") {
    const sql = json().sql ?? "";
    const name = account.databases.find(({ uuid }) => uuid === rest[1])?.name;
    let results = /count\(\*\) AS n/i.test(sql) ? [{ n: account.projects }] : [];
    if (/FROM sqlite_master WHERE type = 'table'$/.test(sql)) results = (account.tables[name] ?? []).map((name) => ({ name }));
    if (/^SELECT name FROM d1_migrations/.test(sql)) results = (account.applied[name] ?? []).map((name) => ({ name }));
    return [200, [{ results, success: true, meta: {} }]];
  }
  if (path === "/storage/kv/namespaces" && method === "GET") return [200, Number(query.get("page") ?? 1) === 1 ? account.namespaces : []];
  if (path === "/storage/kv/namespaces") {
    account.namespaces.push({ id: randomUUID().replaceAll("-", ""), title: json().title });
    return [200, account.namespaces.at(-1)];
  }
  if (path === "/r2/buckets" && method === "GET") return [200, { buckets: account.buckets }];
  if (path === "/r2/buckets") {
    account.buckets.push({ name: json().name, creation_date: "2026-01-01" });
    return [200, account.buckets.at(-1)];
  }
  if (kind === "r2") return account.buckets.some(({ name }) => name === rest[1]) ? [200, { name: rest[1] }] : [404, null, { code: 10006, message: "no such bucket" }];
  if (path === "/queues" && method === "GET") {
    const names = query.getAll("name");
    if (names.length > 0) return [200, account.queues.filter((queue) => names.includes(queue.queue_name))];
    // Two to a page, to see that pages are followed.
    const page = Number(query.get("page") ?? 1);
    return [200, account.queues.slice(2 * page - 2, 2 * page)];
  }
  if (path === "/queues") {
    const { queue_name, settings } = json();
    if (account.isFree && settings?.message_retention_period > 86_400) {
      return [400, null, { code: 11004, message: "message_retention_period must be at most 86400 on the Free plan" }];
    }
    const queue = { queue_id: randomUUID(), queue_name, settings, created_on: "", modified_on: "", producers_total_count: 0, consumers_total_count: 0, producers: [], consumers: [] };
    account.queues.push(queue);
    return [200, queue];
  }
  if (kind === "queues") {
    const queue = account.queues.find(({ queue_id }) => queue_id === rest[0]);
    if (rest[1] === "consumers") {
      queue.consumers_total_count = 1;
      return [200, { ...json(), consumer_id: randomUUID() }];
    }
    Object.assign((queue.settings ??= {}), json().settings);
    return [200, queue];
  }
  if (kind === "workers" && rest[0] === "subdomain") return [200, { subdomain: "example" }];
  if (kind === "workers" && account.worker?.name !== rest[1] && method === "GET") {
    return [404, null, { code: rest[0] === "services" ? 10090 : 10007, message: "This Worker does not exist on your account." }];
  }
  if (kind === "workers" && rest[0] === "scripts" && rest[2] === "secrets") {
    if (method === "GET") return [200, Object.keys(account.worker.secrets).map((name) => ({ name, type: "secret_text" }))];
    if (!account.worker) return [404, null, { code: 10007, message: "This Worker does not exist on your account." }];
    account.worker.secrets[json().name] = json().text;
    if (account.losesAnswers) return [500, null, { code: 10013, message: "lost" }];
    return [200, { name: json().name, type: "secret_text" }];
  }
  if (kind === "workers" && rest[0] === "scripts" && rest.length === 2 && method === "PUT") {
    account.worker ??= { name: rest[1], secrets: {} };
    account.worker.uploaded = body.toString("latin1");
    return [200, { id: rest[1], default_environment: {}, startup_time_ms: 1, deployment_id: "d", etag: "e" }];
  }
  if (kind === "workers" && rest[0] === "services" && method === "GET") {
    return [200, { default_environment: { environment: "production", script: { last_deployed_from: "wrangler", tag: "t" } } }];
  }
  if (kind === "workers" && rest[2] === "settings") return [200, { bindings: [], compatibility_date: "2026-01-01" }];
  if (kind === "workers" && rest[2] === "versions" && method === "POST") {
    account.worker.uploaded = body.toString("latin1");
    return [200, { id: "v1", number: 1, startup_time_ms: 1, metadata: { has_preview: false }, resources: { script: { etag: "e" } } }];
  }
  if (kind === "workers" && rest[2] === "script-settings") return [200, {}];
  if (kind === "workers" && rest[2] === "deployments" && method === "POST") return [200, { id: "d1" }];
  if (kind === "workers" && rest[2] === "deployments") return [200, { deployments: [] }];
  if (kind === "workers" && rest[2] === "subdomain") return [200, { enabled: true, previews_enabled: false }];
  if (kind === "workers" && rest[2] === "schedules") {
    account.worker.schedules = json();
    return [200, { schedules: json() }];
  }
  account.unknown.push(`${method} ${path}`);
  return [404, null, { code: 7003, message: `not in this account: ${method} ${path}` }];
}

before(async () => {
  server = createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const url = new URL(request.url, "http://127.0.0.1");
      const path = url.pathname.replace(PREFIX, "");
      account.calls.push(`${request.method} ${path}`);
      const [status, result, error] = answer(request.method, path, url.searchParams, Buffer.concat(chunks));
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify({ success: !error, errors: error ? [error] : [], messages: [], result, result_info: { page: 1, per_page: 100, count: 1, total_count: 1, total_pages: 1 } }));
    });
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  base = `http://127.0.0.1:${server.address().port}/client/v4`;
});
beforeEach(() => {
  account = emptyAccount();
  dir = mkdtempSync(join(tmpdir(), "inlet-deploy-"));
});
after(() => server.close());

async function deploy(env = {}) {
  const result = await exec(process.execPath, ["scripts/deploy.mjs"], {
    capture: true,
    env: { ...process.env, CLOUDFLARE_API_BASE_URL: base, CLOUDFLARE_API_TOKEN: "t", CLOUDFLARE_ACCOUNT_ID: "acc", DEPLOY_DIR: dir, HEALTH_SECS: "0", DRY_RUN: "", INLET_NAME: "", ROOT_KEY: "", ENCRYPTION_KEY: "", PUBLIC_URL: "", DLQ_RETENTION_SECS: "", SHARDS: "", ...env },
  });
  assert.deepEqual(account.unknown, [], `wrangler asked for what the pretended account lacks; it said ${result.stderr}`);
  return { ...result, text: result.stdout + result.stderr };
}
const posts = () => account.calls.filter((call) => /^POST \/(d1\/database|storage\/kv\/namespaces|r2\/buckets|queues)$/.test(call));

test("an empty account gets everything once; a second deployment creates nothing, and no key is ever replaced", { skip, timeout: 400_000 }, async () => {
  const first = await deploy();
  assert.equal(first.code, 0, first.text);
  assert.deepEqual(account.databases.map(({ name }) => name), ["inlet-control", "inlet-events-0"]);
  assert.deepEqual(account.namespaces.map(({ title }) => title), ["inlet-config"]);
  assert.deepEqual(account.buckets.map(({ name }) => name), ["inlet-bodies"]);
  assert.deepEqual(
    account.queues.map(({ queue_name, settings }) => [queue_name, settings?.message_retention_period]),
    [["inlet-ingest-0", undefined], ["inlet-deliver-0", undefined], ["inlet-ingest-dlq", 1_209_600], ["inlet-deliver-dlq", 1_209_600]],
  );
  const keys = { ...account.worker.secrets };
  assert.equal(Buffer.from(keys.ENCRYPTION_KEY, "base64").length, 32);
  assert.equal(first.stdout.split(keys.ROOT_KEY).length, 2, "the root key is shown once");
  assert.match(account.worker.uploaded, new RegExp(account.databases[0].uuid));
  assert.match(account.worker.uploaded, new RegExp(account.namespaces[0].id));
  assert.deepEqual(account.worker.schedules, [{ cron: "* * * * *" }]);
  assert.match(first.stdout, /https:\/\/inlet\.example\.workers\.dev\/api\/v1\/projects/);
  const config = JSON.parse(readFileSync(join(dir, "wrangler.deploy.json"), "utf8"));
  assert.equal(config.d1_databases[1].database_id, account.databases[1].uuid);

  // The rehearsal said so before; how many pages the account's list of queues has it cannot know.
  const commands = (text, mark) =>
    text.split("\n").filter((line) => line.startsWith(`${mark}npx wrangler `) && !/--dry-run|--page [2-9]/.test(line)).map((line) => line.slice(mark.length).replace(/ {3}#.*/, ""));
  const rehearsed = await deploy({ DRY_RUN: "1" });
  assert.equal(rehearsed.code, 0, rehearsed.text);
  assert.deepEqual(commands(rehearsed.stdout, "  "), commands(first.stdout, "$ "));

  account.calls = [];
  const second = await deploy();
  assert.equal(second.code, 0, second.text);
  assert.deepEqual(posts(), []);
  assert.deepEqual(account.worker.secrets, keys);
  assert.ok(!second.text.includes(keys.ROOT_KEY), "the root key is not shown again");

  // Data without its key stops the deployment before it does harm.
  delete account.worker.secrets.ENCRYPTION_KEY;
  account.projects = 2;
  account.worker.uploaded = null;
  const refused = await deploy();
  assert.equal(refused.code, 1, refused.text);
  assert.match(refused.stderr, /inlet-control holds 2 project\(s\)/);
  assert.equal(account.worker.secrets.ENCRYPTION_KEY, undefined);
  assert.equal(account.worker.uploaded, null);

  const key = Buffer.alloc(32, 7).toString("base64");
  const restored = await deploy({ ENCRYPTION_KEY: key });
  assert.equal(restored.code, 0, restored.text);
  assert.equal(account.worker.secrets.ENCRYPTION_KEY, key);
  assert.ok(!restored.text.includes(key), "a key that was given is not printed");
  rmSync(dir, { recursive: true });
});

test("someone else's Worker of the same name is left alone", { skip, timeout: 400_000 }, async () => {
  account.worker = { name: "inlet", secrets: {}, uploaded: "theirs" };
  const result = await deploy();
  assert.equal(result.code, 1, result.text);
  assert.match(result.stderr, /there is a Worker inlet already/);
  assert.equal(account.worker.uploaded, "theirs");
  assert.deepEqual(posts(), []);
  rmSync(dir, { recursive: true });
});

test("what was given stays for the next deployment, and what cannot be stops it before anything is done", { skip, timeout: 400_000 }, async () => {
  const bad = [
    { PUBLIC_URL: "hooks.example.com" },
    { DLQ_RETENTION_SECS: "5" },
    { SHARDS: "33" },
    { ENCRYPTION_KEY: Buffer.alloc(32, 255).toString("base64url") },
    { ROOT_KEY: "x" },
    { HEALTH_SECS: "abc" },
    { HEALTH_SECS: "-1" },
  ];
  for (const env of bad) {
    const refused = await deploy(env);
    assert.equal(refused.code, 1, refused.text);
    assert.match(refused.stderr, new RegExp(Object.keys(env)[0]));
  }
  assert.deepEqual(account.calls, []);

  // Its Worker runs, and says what it lacks.
  const ill = createServer((_, response) => response.writeHead(503).end('{"status":false,"message":"DURABILITY has to be queue or journal"}'));
  await new Promise((done) => ill.listen(0, "127.0.0.1", done));
  const url = `http://127.0.0.1:${ill.address().port}`;
  const first = await deploy({ PUBLIC_URL: `${url}/`, DLQ_RETENTION_SECS: "86400", HEALTH_SECS: "1", SHARDS: "2" });
  ill.close();
  assert.equal(first.code, 1, first.text);
  assert.match(first.stderr, /healthz answers 503 after 1 s: DURABILITY has to be queue or journal/);

  const second = await deploy();
  assert.equal(second.code, 0, second.text);
  assert.match(second.stdout, new RegExp(`PUBLIC_URL=${url}, as for the last deployment`));
  const config = JSON.parse(readFileSync(join(dir, "wrangler.deploy.json"), "utf8"));
  assert.equal(config.vars.PUBLIC_URL, url);
  const retained = account.queues.map(({ settings }) => settings?.message_retention_period).filter(Boolean);
  assert.deepEqual(retained, [86_400, 86_400]);

  // Each event database has its queue, and there are never fewer.
  assert.deepEqual(account.databases.map(({ name }) => name), ["inlet-control", "inlet-events-0", "inlet-events-1"]);
  assert.equal(account.queues.find(({ queue_name }) => queue_name === "inlet-ingest-1").consumers_total_count, 1);
  assert.match(first.stdout, /npx wrangler d1 migrations apply EVENTS_1 --remote/);
  for (const binding of ["EVENTS_1", "INGEST_1", "DELIVER_1"]) assert.match(account.worker.uploaded, new RegExp(`"${binding}"`));
  account.calls = [];
  account.worker.uploaded = null;
  const fewer = await deploy({ SHARDS: "1" });
  assert.equal(fewer.code, 1);
  assert.match(fewer.stderr, /there are 2 event databases .* Their number only grows/);
  assert.deepEqual([posts(), account.worker.uploaded], [[], null]);
  rmSync(dir, { recursive: true });
});

test("a key whose answer is lost has been shown", { skip, timeout: 400_000 }, async () => {
  account.losesAnswers = true;
  const result = await deploy();
  assert.equal(result.code, 1, result.text);
  const key = account.worker.secrets.ROOT_KEY;
  assert.ok(key && result.stdout.includes(`ROOT_KEY=${key}\n`), result.text);
  rmSync(dir, { recursive: true });
});

test("the Free plan is told what it lacks, and what to do", { skip, timeout: 400_000 }, async () => {
  account.isFree = true;
  const result = await deploy();
  assert.equal(result.code, 1, result.text);
  assert.match(result.stderr, /1,000 KV writes[^]*DLQ_RETENTION_SECS=86400 make deploy/);
  assert.equal(account.worker, null);
  rmSync(dir, { recursive: true });
});

test("a database of our name with somebody else's tables is left alone", { skip, timeout: 400_000 }, async () => {
  account.databases.push({ uuid: randomUUID(), name: "inlet-control" });
  account.tables["inlet-control"] = ["d1_migrations", "projects"];
  account.applied["inlet-control"] = ["0001_init.sql"];
  const result = await deploy();
  assert.equal(result.code, 1, result.text);
  assert.match(result.stderr, /there is a database inlet-control already with the tables projects, and no migration of an Inlet/);
  assert.equal(account.databases.length, 1);
  assert.deepEqual(account.queues, []);
  rmSync(dir, { recursive: true });
});
