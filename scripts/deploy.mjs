// `make deploy`: the gateway on Cloudflare, in the account that `npx wrangler login` (or CLOUDFLARE_API_TOKEN) opened.
// Every step may be repeated: what exists is found by its name and left alone.
//
//   DRY_RUN=1           needs no account: builds, writes the configuration with placeholder ids, prints the commands
//   INLET_NAME          name of the Worker and prefix of its resources (inlet)
//   PUBLIC_URL          where the gateway is reached from outside, when that is not the workers.dev address; kept for later
//                       deployments, until it is given as `-`
//   ROOT_KEY            the key that creates projects, when you do not want one made up (16 characters at least)
//   ENCRYPTION_KEY      32 bytes in base64; only to bring back the key of an earlier deployment
//   DLQ_RETENTION_SECS  how long dead letters are kept on their queues (1209600; the Free plan allows 86400); kept likewise
//   SHARDS              how many event databases there are (1, or as many as there have ever been); projects are spread over them
//   DEPLOY_DIR          where the generated files go (.inlet)
//   HEALTH_SECS         how long to wait for the deployed Worker to answer (60; 0: do not look)
import { randomBytes } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { relative, resolve } from "node:path";
import {
  deployConfig,
  foreignDatabase,
  health,
  ids,
  isNoWorker,
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
  secrets,
  settings,
  shell,
  wanted,
} from "./deploy-plan.mjs";
import { shardCount, withShards } from "./shards.mjs";
import { Explained, ROOT, WRANGLER, exec, makeFolder, run, say, stopAll, wranglerEnv } from "./lib.mjs";

const DRY = !["", "0", "false"].includes(process.env.DRY_RUN ?? "");
const NAME = process.env.INLET_NAME || "inlet";
const HEALTH_SECS = Number(process.env.HEALTH_SECS || 60);
const DIR = resolve(ROOT, process.env.DEPLOY_DIR || ".inlet");
// A rehearsal must not replace the configuration of the real thing.
const CONFIG = resolve(DIR, DRY ? "wrangler.dry-run.json" : "wrangler.deploy.json");
const CONFIG_ARGS = ["--config", relative(ROOT, CONFIG)];
/** What was given to the last deployment of this name, for the next one. */
const KEPT = resolve(DIR, `deploy.${NAME}.json`);
const ENV = wranglerEnv(resolve(DIR, "logs"));
// The keys reach wrangler through its stdin and nowhere else.
delete ENV.ROOT_KEY;
delete ENV.ENCRYPTION_KEY;

const NOTHING = { worker: false, databases: [], namespaces: [], buckets: [], queues: [] };

/** Runs one wrangler command after printing it; answers with its exit code and output. */
async function wrangler(args, { input, stream = false, note = "" } = {}) {
  say(`$ ${shell(args)}${note}`);
  return exec(process.execPath, [WRANGLER, ...args], { capture: !stream, input, env: ENV });
}

/** A command that has to succeed; what it printed is shown when it does not. */
async function must(args, options) {
  const result = await wrangler(args, options);
  if (result.code !== 0) throw failure(args, result);
  return result.stdout;
}

function failure(args, { code, stdout, stderr }) {
  const text = `${stdout}${stderr}`.replace(/\x1b\[[0-9;]*m/g, "").trim();
  let hint = "";
  if (/CLOUDFLARE_API_TOKEN|not authenticated|Authentication error|Not logged in/i.test(text)) {
    hint = "\nNot logged in, or not allowed to: npx wrangler login (or set CLOUDFLARE_API_TOKEN).";
  } else if (/retention/i.test(text) && args[0] === "queues") {
    hint =
      "\nThe Free plan keeps messages for a day at most. It is for a look: it allows 1,000 KV writes (four busy sources) and 10,000 queue\n" +
      "operations (some 1,700 to 3,300 events) a day, 10 ms of CPU and 50 queries. Workers Paid has no such limits. To go on all the same:\n" +
      "  DLQ_RETENTION_SECS=86400 make deploy";
  } else if (args[0] === "r2" && /enable R2|10042/i.test(text)) {
    hint = "\nR2 has to be switched on once, in the dashboard of the account.";
  }
  return new Explained(`\`${shell(args)}\` failed (${code}):\n${text}${hint}`);
}

/** `.toml` as wrangler itself reads it. */
function readConfig() {
  const { experimental_readRawConfig: read } = createRequire(import.meta.url)("wrangler");
  return read({ config: resolve(ROOT, "wrangler.toml") }).rawConfig;
}

function readKept() {
  let text;
  try {
    text = readFileSync(KEPT, "utf8");
  } catch {
    return null;
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Explained(`${relative(ROOT, KEPT)} is not readable JSON: ${error.message}. Delete it, and give PUBLIC_URL and DLQ_RETENTION_SECS anew.`);
  }
}

function readSettings(config, deployed) {
  const given = { PUBLIC_URL: process.env.PUBLIC_URL, DLQ_RETENTION_SECS: process.env.DLQ_RETENTION_SECS };
  const chosen = settings({ given, config, kept: readKept(), deployed });
  if (chosen.problem) throw new Explained(chosen.problem);
  return chosen;
}

function writeConfig(config, found, publicUrl) {
  makeFolder(DIR, "DEPLOY_DIR");
  const final = deployConfig(config, NAME, found, {
    up: relative(DIR, ROOT).replaceAll("\\", "/") || ".",
    publicUrl,
  });
  writeFileSync(CONFIG, `${JSON.stringify(final, null, 2)}\n`);
}

async function queues() {
  const all = [];
  for (let page = 1; ; page += 1) {
    const more = parseQueues(await must(["queues", "list", "--page", String(page), ...CONFIG_ARGS]));
    // A server that ignores the page number would else keep us here.
    if (more.length === 0 || more[0].name === all[0]?.name) return all;
    all.push(...more);
  }
}

async function look(deployed) {
  const [databases, namespaces, buckets, queueList] = await Promise.all([
    must(["d1", "list", "--json", ...CONFIG_ARGS]).then(parseDatabases),
    must(["kv", "namespace", "list", ...CONFIG_ARGS]).then(parseNamespaces),
    must(["r2", "bucket", "list"]).then(parseBuckets),
    queues(),
  ]);
  return { worker: deployed !== null, databases, namespaces, buckets, queues: queueList };
}

/** The names of the Worker's secrets; null when there is no such Worker. */
async function secretNames() {
  const args = ["secret", "list", "--name", NAME];
  const result = await wrangler(args);
  if (result.code === 0) return parseSecrets(result.stdout);
  if (isNoWorker(`${result.stdout}${result.stderr}`, NAME)) return null;
  throw failure(args, result);
}

const make = (name) => (name === "ENCRYPTION_KEY" ? randomBytes(32).toString("base64") : randomBytes(24).toString("base64url"));

const COUNT = "SELECT count(*) AS n FROM projects";
const TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'";
const APPLIED = "SELECT name FROM d1_migrations ORDER BY id";
const query = (database, sql) => ["d1", "execute", database.binding, "--remote", "--json", "--command", sql, ...CONFIG_ARGS];

/** Databases of our names that somebody else seems to use. */
async function foreign(config, want, have) {
  const clashes = [];
  for (const database of want.databases.filter(({ name }) => have.databases.some((db) => db.name === name))) {
    const tables = parseNames(await must(query(database, TABLES)));
    const applied = tables.includes("d1_migrations") ? parseNames(await must(query(database, APPLIED))) : [];
    const folder = config.d1_databases.find(({ binding }) => binding === database.binding)?.migrations_dir;
    const own = readdirSync(resolve(ROOT, folder ?? "migrations")).filter((name) => name.endsWith(".sql"));
    clashes.push(foreignDatabase({ name: database.name, tables, applied, own }));
  }
  return clashes.filter(Boolean);
}

async function setSecrets(want, present) {
  const database = want.databases[0];
  let projects = 0;
  if (!present.includes("ENCRYPTION_KEY")) {
    projects = parseCount(await must(query(database, COUNT)));
  }
  const given = { ROOT_KEY: process.env.ROOT_KEY, ENCRYPTION_KEY: process.env.ENCRYPTION_KEY };
  const { set, notes, refusal } = secrets({ worker: NAME, database: database.name, config: CONFIG_ARGS[1], present, projects, given, make });
  if (refusal) throw new Explained(refusal);
  for (const note of notes) say(note);
  for (const { name, value, made } of set) {
    // Before it is put: what takes effect although its answer is lost cannot be read anywhere else.
    if (made) {
      say(`\n    ${name}=${value}`);
      say(
        name === "ROOT_KEY"
          ? "    It creates projects. Cloudflare never shows it again: keep it now.\n"
          : "    It encrypts the secrets of your sources. Nothing can bring it back: keep a copy in a safe place.\n",
      );
    }
    await must(["secret", "put", name, "--name", NAME], { input: value, note: "   # the value comes through stdin" });
  }
  if (set.length > 0) {
    const now = (await secretNames()) ?? [];
    const missing = set.map(({ name }) => name).filter((name) => !now.includes(name));
    if (missing.length > 0) throw new Explained(`wrangler took ${missing.join(", ")} but the Worker does not have it. Try again.`);
  }
}

async function healthy(url, seconds) {
  if (!seconds || !url) return;
  const deadline = Date.now() + seconds * 1000;
  let seen;
  do {
    try {
      const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(10_000) });
      seen = health({ url, status: response.status, text: await response.text(), seconds });
    } catch (error) {
      seen = health({ url, status: 0, text: error.cause?.message ?? error.message, seconds });
    }
    if (seen.isWell) break;
    await new Promise((done) => setTimeout(done, Math.min(2000, Math.max(0, deadline - Date.now()))));
  } while (Date.now() < deadline);
  if (seen.isIll) throw new Explained(seen.text);
  say(seen.text);
}

async function build() {
  say("$ scripts/build-edge.sh");
  const { code } = await exec(resolve(ROOT, "scripts/build-edge.sh"), []);
  if (code !== 0) throw new Explained("the Worker does not build, see above.");
}

const withConfig = (args) => [...args, ...(args[0] === "r2" ? [] : CONFIG_ARGS)];
const migrations = (want) => want.databases.map(({ binding }) => ["d1", "migrations", "apply", binding, "--remote", ...CONFIG_ARGS]);

/** The configuration with as many event databases as there are to be. */
function sharded(config, names) {
  const { shards, problem } = shardCount({ given: process.env.SHARDS, name: NAME, names });
  if (problem) throw new Explained(problem);
  return withShards(config, shards);
}

async function rehearse(written) {
  const config = sharded(written, []);
  const want = wanted(config, NAME);
  const { publicUrl, retention } = readSettings(config, false);
  writeConfig(config, {}, publicUrl);
  say(`wrote ${relative(ROOT, CONFIG)} with placeholder ids\n\nIn an account that has none of it, make deploy would run:\n`);
  const { commands } = plan(want, NOTHING, { retention });
  const real = (args) => args.map((word) => (word === CONFIG_ARGS[1] ? word.replace("dry-run", "deploy") : word));
  const looks = (pages) => [
    ["d1", "list", "--json", ...CONFIG_ARGS],
    ["kv", "namespace", "list", ...CONFIG_ARGS],
    ["r2", "bucket", "list"],
    ...pages.map((page) => ["queues", "list", "--page", page, ...CONFIG_ARGS]),
  ];
  const names = ["secret", "list", "--name", NAME];
  const put = ["ROOT_KEY", "ENCRYPTION_KEY"].map((name) => ["secret", "put", name, "--name", NAME]);
  const all = [
    names,
    ...looks(["1"]),
    ...commands.map(({ args }) => withConfig(args)),
    ...looks(["1", "2"]),
    ...migrations(want),
    query(want.databases[0], COUNT),
    ...put,
    names,
    ["deploy", ...CONFIG_ARGS],
  ];
  for (const args of all) say(`  ${shell(real(args))}`);
  say();
  const outdir = resolve(DIR, "dist");
  const args = ["deploy", "--dry-run", "--outdir", relative(ROOT, outdir), ...CONFIG_ARGS];
  const { code } = await wrangler(args, { stream: true });
  if (code !== 0) throw new Explained(`\`${shell(args)}\` failed (${code}), see above.`);
  say(`\nThe bundle is in ${relative(ROOT, outdir)}. Nothing was deployed.`);
}

async function deploy(written) {
  // Some of wrangler's commands want a configuration to read the account from, before there are any ids.
  writeConfig(written, {});
  const deployed = await secretNames();
  const { publicUrl, retention, keep, notes } = readSettings(written, deployed !== null);
  let have = await look(deployed);
  const config = sharded(written, have.databases.map(({ name }) => name));
  const want = wanted(config, NAME);
  const { commands, clashes } = plan(want, have, { retention });
  writeConfig(config, ids(want, have), publicUrl);
  clashes.push(...(await foreign(config, want, have)));
  if (clashes.length > 0) {
    throw new Explained(`nothing was changed, because of what is in the account:\n  ${clashes.join("\n  ")}\nAnother name for all of it: INLET_NAME=… make deploy`);
  }
  for (const note of notes) say(note);
  for (const { args, unless } of commands) {
    const full = withConfig(args);
    const result = await wrangler(full);
    if (result.code !== 0 && !unless?.test(`${result.stdout}${result.stderr}`)) throw failure(full, result);
  }
  if (commands.some(({ creates }) => creates)) have = await look(deployed);
  const found = ids(want, have);
  const missing = Object.entries(found).filter(([, id]) => !id);
  if (missing.length > 0) {
    throw new Explained(`no id was found for ${missing.map(([binding]) => binding).join(", ")}, though wrangler created it. Try again in a minute.`);
  }
  writeConfig(config, found, publicUrl);
  writeFileSync(KEPT, `${JSON.stringify(keep, null, 2)}\n`);
  say(`wrote ${relative(ROOT, CONFIG)}`);

  for (const args of migrations(want)) await must(args);
  await setSecrets(want, deployed ?? []);
  const output = await must(["deploy", ...CONFIG_ARGS]);
  say(output.trim());
  const url = publicUrl || config.vars?.PUBLIC_URL || output.match(/https:\/\/[\w.-]+\.workers\.dev/)?.[0];
  await healthy(url, HEALTH_SECS);
  say(`
Deployed. The first project:

  curl -sS -X POST ${url ?? "https://<your domain>"}/api/v1/projects -H "Authorization: Bearer $ROOT_KEY" \\
    -H 'Content-Type: application/json' -d '{"name":"incoming","type":"incoming"}'

Logs: npx wrangler tail ${NAME}`);
}

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, async () => {
    await stopAll();
    process.exit(130);
  });
}

await run(async () => {
  const isWait = Number.isInteger(HEALTH_SECS) && HEALTH_SECS >= 0;
  const badWait = isWait ? null : `HEALTH_SECS=${process.env.HEALTH_SECS}: a whole number of seconds; 0 does not look.`;
  const problem = nameProblem(NAME) ?? keysProblem(process.env) ?? badWait;
  if (problem) throw new Explained(problem);
  const config = readConfig();
  readSettings(config, false);
  sharded(config, []);
  await build();
  await (DRY ? rehearse(config) : deploy(config));
});
