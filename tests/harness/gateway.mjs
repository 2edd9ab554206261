// Runs one built Worker in workerd through Miniflare's API, with the bindings of `wrangler.toml`.
//
//   node tests/harness/gateway.mjs '{"state":"/tmp/x","vars":{"DURABILITY":"journal"}}'
//
// prints one JSON line when it is ready ({url, controlUrl, pid, workerdPid, startMs}), sends everything
// the Worker logs to stderr, and stops when its stdin closes: whoever started it and died leaves
// nothing behind. What `controlUrl` answers stands in `control.mjs`. Options (all optional but `state`):
//
//   state       folder that keeps D1, KV and R2; a second start on it finds what the first one wrote
//   ephemeral   remove `state` when stdin closes
//   worker      main module (default: `main` of wrangler.toml); other modules lie next to it
//   vars        plain bindings over those of `[vars]`
//   consumers   {"<queue>": {maxBatchTimeout, retryDelay, …}} over those of wrangler.toml
//   sink        queues whose messages a second Worker takes and forgets, instead of ours
//   tap         true: the Worker runs behind `tap.mjs`, which counts and refuses binding calls
//   outbound    {"<url>": "<document>"}: what the Worker gets when it fetches these; all else goes out as it is
//   closed      true: nothing goes out but to 127.0.0.1; whoever is called elsewhere answers 502
//   shards      how many event databases there are (1)
//   port        of the Worker (default: any free one)
//   migrate     false: leave the databases as they are

import { mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { fetch as miniflareFetch, Log, LogLevel, Miniflare, Response } from "miniflare";
import { withShards } from "../../scripts/shards.mjs";

const HARNESS = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HARNESS, "..", "..");

/** The part of TOML that wrangler.toml uses: tables, arrays of tables, one-line values. */
function parseToml(text) {
  const root = {};
  let table = root;
  const descend = (path, last) =>
    path.split(".").reduce((at, part, i, parts) => {
      if (i === parts.length - 1) return last(at, part);
      const next = (at[part] ??= {});
      return Array.isArray(next) ? next.at(-1) : next;
    }, root);
  for (const raw of text.split("\n")) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    let found;
    if ((found = /^\[\[([\w.-]+)\]\]/.exec(line))) {
      table = {};
      descend(found[1], (at, part) => (at[part] ??= []).push(table));
    } else if ((found = /^\[([\w.-]+)\]/.exec(line))) {
      table = descend(found[1], (at, part) => (at[part] ??= {}));
    } else if ((found = /^([\w-]+)\s*=\s*("(?:[^"\\]|\\.)*"|\[[^\]]*\]|[^#]+)/.exec(line))) {
      // Strings, numbers, booleans and flat arrays of them are JSON, but for a trailing comma.
      table[found[1]] = JSON.parse(found[2].trim().replace(/,\s*\]$/, "]"));
    } else {
      throw new Error(`wrangler.toml: cannot read the line: ${raw}`);
    }
  }
  return root;
}

const byBinding = (list, value) =>
  Object.fromEntries((list ?? []).map((item) => [item.binding, item[value]]));

function readModules(folder) {
  const modules = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!entry.name.startsWith(".")) modules.push(...readModules(path));
    } else if (entry.name.endsWith(".wasm")) {
      modules.push({ type: "CompiledWasm", path, contents: readFileSync(path) });
    } else if (/\.m?js$/.test(entry.name)) {
      modules.push({ type: "ESModule", path, contents: readFileSync(path, "utf8") });
    }
  }
  return modules;
}

/** The Worker's modules, the main one first; behind the tap they move to `/harness/worker/`. */
function collectModules(main, tap) {
  const folder = dirname(main);
  const modules = readModules(folder).sort((a, b) => (b.path === main) - (a.path === main));
  if (!tap) return { modules, modulesRoot: folder };
  for (const module of modules) {
    const name = relative(folder, module.path);
    module.path = join("/harness/worker", module.path === main ? "main.mjs" : name);
  }
  const contents = readFileSync(join(HARNESS, "tap.mjs"), "utf8");
  modules.unshift({ type: "ESModule", path: "/harness/tap.mjs", contents });
  return { modules, modulesRoot: "/harness" };
}

/** Asks the control Worker. */
async function control(path, body) {
  const reply = await fetch(controlUrl + path, { method: "POST", body: JSON.stringify(body) });
  const answer = await reply.json();
  if (!reply.ok) throw new Error(`${path}: ${answer.error}`);
  return answer;
}

/** Applies what is new, with the bookkeeping of `wrangler d1 migrations apply`. */
async function migrate(db, folder) {
  const create =
    "CREATE TABLE IF NOT EXISTS d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)";
  await control("/sql", { db, sql: create });
  const { rows } = await control("/sql", { db, sql: "SELECT name FROM d1_migrations" });
  const applied = new Set(rows.map((row) => row.name));
  const files = readdirSync(folder).filter((name) => name.endsWith(".sql")).sort();
  for (const name of files.filter((file) => !applied.has(file))) {
    const note = { sql: "INSERT INTO d1_migrations (name) VALUES (?1)", params: [name] };
    const sql = readFileSync(join(folder, name), "utf8").trim();
    await control("/batch", { db, statements: [{ sql }, note] });
  }
}

class StderrLog extends Log {
  log(message) {
    process.stderr.write(`${message}\n`);
  }
}

const options = JSON.parse(process.argv[2] ?? "{}");
if (!options.state) throw new Error('the option "state" (a folder) is missing');
mkdirSync(options.state, { recursive: true });
const started = performance.now();

const config = withShards(parseToml(readFileSync(join(ROOT, "wrangler.toml"), "utf8")), options.shards ?? 1);
const main = options.worker ?? join(ROOT, config.main);
const databases = config.d1_databases ?? [];
const consumers = Object.fromEntries(
  (config.queues?.consumers ?? []).map((consumer) => [
    consumer.queue,
    {
      maxBatchSize: consumer.max_batch_size,
      maxBatchTimeout: 0, // tests do not wait for batches to fill
      maxRetries: consumer.max_retries,
      retryDelay: 1,
      deadLetterQueue: consumer.dead_letter_queue,
      ...options.consumers?.[consumer.queue],
    },
  ]),
);

const sunk = new Set(options.sink ?? []);
const pick = (wanted) =>
  Object.fromEntries(Object.entries(consumers).filter(([queue]) => sunk.has(queue) === wanted));

const worker = {
  ...collectModules(main, options.tap === true),
  name: config.name,
  compatibilityDate: config.compatibility_date,
  compatibilityFlags: config.compatibility_flags ?? [],
  bindings: { ...config.vars, ...options.vars },
  d1Databases: byBinding(databases, "database_id"),
  kvNamespaces: byBinding(config.kv_namespaces, "id"),
  r2Buckets: byBinding(config.r2_buckets, "bucket_name"),
  queueProducers: byBinding(config.queues?.producers, "queue"),
  queueConsumers: pick(false),
  unsafeDirectSockets: [{ host: "127.0.0.1", port: options.port ?? 0 }],
};

if (options.outbound || options.closed) {
  const isOurs = (url) => new URL(url).hostname === "127.0.0.1";
  worker.outboundService = (request) => {
    const document = options.outbound?.[request.url];
    if (document !== undefined) return new Response(document);
    if (options.closed && !isOurs(request.url)) return new Response("closed", { status: 502 });
    return miniflareFetch(request);
  };
}

const sink = {
  name: "sink",
  modules: true,
  script: "export default { fetch: () => new Response(), queue: (batch) => batch.ackAll() };",
  compatibilityDate: config.compatibility_date,
  queueConsumers: pick(true),
};

const resources = {
  d1Databases: worker.d1Databases,
  kvNamespaces: worker.kvNamespaces,
  r2Buckets: worker.r2Buckets,
};
const controller = {
  ...resources,
  name: "control",
  modules: [
    {
      type: "ESModule",
      path: "/control.mjs",
      contents: readFileSync(join(HARNESS, "control.mjs"), "utf8"),
    },
  ],
  modulesRoot: "/",
  compatibilityDate: config.compatibility_date,
  compatibilityFlags: ["service_binding_extra_handlers"],
  bindings: { CRON: config.triggers?.crons?.[0] ?? "* * * * *" },
  serviceBindings: {
    WORKER: config.name,
    ...(options.tap ? { TAP: { name: config.name, entrypoint: "HarnessTap" } } : {}),
  },
  unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
};

const mf = new Miniflare({
  workers: [worker, controller, ...(sunk.size > 0 ? [sink] : [])],
  host: "127.0.0.1",
  port: 0,
  cf: false,
  log: new StderrLog(LogLevel.WARN),
  handleRuntimeStdio(stdout, stderr) {
    stdout.pipe(process.stderr, { end: false });
    stderr.pipe(process.stderr, { end: false });
  },
  defaultPersistRoot: options.state,
});

let stopping = false;
async function stop(code) {
  if (stopping) return;
  stopping = true;
  await mf.dispose().catch(() => {});
  if (options.ephemeral) rmSync(options.state, { recursive: true, force: true });
  process.exit(code);
}
process.stdin.on("close", () => stop(0)).on("error", () => stop(0)).resume();

await mf.ready;
const url = (await mf.unsafeGetDirectURL()).origin;
const controlUrl = (await mf.unsafeGetDirectURL("control")).origin;
if (options.migrate !== false) {
  for (const { binding, migrations_dir } of databases) {
    if (migrations_dir) await migrate(binding, join(ROOT, migrations_dir));
  }
}

/** workerd is the only child of this process that is called so. */
function workerdPid() {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim();
  const isWorkerd = (pid) => readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("workerd");
  return Number(children.split(" ").find(isWorkerd));
}

const ready = {
  url,
  controlUrl,
  pid: process.pid,
  workerdPid: workerdPid(),
  startMs: Math.round(performance.now() - started),
};
process.stdout.write(`${JSON.stringify(ready)}\n`);
