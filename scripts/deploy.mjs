// `make deploy`: the gateway on Cloudflare, in the account that `npx wrangler login` (or CLOUDFLARE_API_TOKEN) opened.
// Every step may be repeated: what exists is found by its name and left alone.
//
//   DRY_RUN=1           needs no account: builds, writes the configuration with placeholder ids, prints the commands
//   INLET_NAME          name of the Worker and prefix of its resources (inlet)
//   PUBLIC_URL          where the gateway is reached from outside, when that is not the workers.dev address
//   ROOT_KEY            the key that creates projects, when you do not want one made up
//   ENCRYPTION_KEY      32 bytes in base64; only to bring back the key of an earlier deployment
//   DLQ_RETENTION_SECS  how long dead letters are kept on their queues (1209600; the free plan allows 86400)
//   DEPLOY_DIR          where the generated files go (.inlet)
//   HEALTH_SECS         how long to wait for the deployed Worker to answer (60; 0: do not look)
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { relative, resolve } from "node:path";
import {
  DEAD_LETTER_RETENTION_SECS,
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
import { Explained, ROOT, WRANGLER, exec, run, say, stopAll, wranglerEnv } from "./lib.mjs";

const DRY = !["", "0", "false"].includes(process.env.DRY_RUN ?? "");
const NAME = process.env.INLET_NAME || "inlet";
const RETENTION = Number(process.env.DLQ_RETENTION_SECS || DEAD_LETTER_RETENTION_SECS);
const DIR = resolve(ROOT, process.env.DEPLOY_DIR || ".inlet");
// A rehearsal must not replace the configuration of the real thing.
const CONFIG = resolve(DIR, DRY ? "wrangler.dry-run.json" : "wrangler.deploy.json");
const CONFIG_ARGS = ["--config", relative(ROOT, CONFIG)];
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
    hint = "\nThe free plan keeps messages for a day at most: DLQ_RETENTION_SECS=86400 make deploy";
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

function writeConfig(config, found) {
  mkdirSync(DIR, { recursive: true });
  const final = deployConfig(config, NAME, found, {
    up: relative(DIR, ROOT).replaceAll("\\", "/") || ".",
    publicUrl: process.env.PUBLIC_URL,
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
  // wrangler's wording for a Worker that is not there, and Cloudflare's error codes for it.
  if (/Worker ".*" (\(env: .*\) )?not found|10007|10090/.test(`${result.stdout}${result.stderr}`)) return null;
  throw failure(args, result);
}

const make = (name) => (name === "ENCRYPTION_KEY" ? randomBytes(32).toString("base64") : randomBytes(24).toString("base64url"));

async function setSecrets(want, present) {
  const database = want.databases[0];
  let projects = 0;
  if (!present.includes("ENCRYPTION_KEY")) {
    const count = "SELECT count(*) AS n FROM projects";
    projects = parseCount(await must(["d1", "execute", database.binding, "--remote", "--json", "--command", count, ...CONFIG_ARGS]));
  }
  const given = { ROOT_KEY: process.env.ROOT_KEY, ENCRYPTION_KEY: process.env.ENCRYPTION_KEY };
  const { set, notes, refusal } = secrets({ worker: NAME, database: database.name, present, projects, given, make });
  if (refusal) throw new Explained(refusal);
  for (const note of notes) say(note);
  for (const { name, value, made } of set) {
    await must(["secret", "put", name, "--name", NAME], { input: value, note: "   # the value comes through stdin" });
    // At once: if a later step fails, this is still the only time that it can be read.
    if (made) {
      say(`\n    ${name}=${value}`);
      say(
        name === "ROOT_KEY"
          ? "    It creates projects. Cloudflare never shows it again: keep it now.\n"
          : "    It encrypts the secrets of your sources. Nothing can bring it back: keep a copy in a safe place.\n",
      );
    }
  }
  if (set.length > 0) {
    const now = (await secretNames()) ?? [];
    const missing = set.map(({ name }) => name).filter((name) => !now.includes(name));
    if (missing.length > 0) throw new Explained(`wrangler took ${missing.join(", ")} but the Worker does not have it. Try again.`);
  }
}

async function healthy(url) {
  const seconds = Number(process.env.HEALTH_SECS ?? 60);
  if (!seconds || !url) return;
  const deadline = Date.now() + seconds * 1000;
  let last;
  while (Date.now() < deadline) {
    try {
      const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(10_000) });
      if (response.status === 200) return say(`${url}/healthz answers 200`);
      last = `answers ${response.status}`;
    } catch (error) {
      last = error.cause?.message ?? error.message;
    }
    await new Promise((done) => setTimeout(done, 2000));
  }
  say(`${url}/healthz is not well after ${seconds} s (${last}); a new workers.dev name can take some minutes.`);
}

async function build() {
  say("$ scripts/build-edge.sh");
  const { code } = await exec(resolve(ROOT, "scripts/build-edge.sh"), []);
  if (code !== 0) throw new Explained("the Worker does not build, see above.");
}

const migrations = (want) => want.databases.map(({ binding }) => ["d1", "migrations", "apply", binding, "--remote", ...CONFIG_ARGS]);

async function rehearse(config, want) {
  writeConfig(config, {});
  say(`wrote ${relative(ROOT, CONFIG)} with placeholder ids\n\nIn an account that has none of it, make deploy would run:\n`);
  const { commands } = plan(want, NOTHING, { retention: RETENTION });
  const real = (args) => args.map((word) => (word === CONFIG_ARGS[1] ? word.replace("dry-run", "deploy") : word));
  const lists = [
    ["secret", "list", "--name", NAME],
    ["d1", "list", "--json", ...CONFIG_ARGS],
    ["kv", "namespace", "list", ...CONFIG_ARGS],
    ["r2", "bucket", "list"],
    ["queues", "list", "--page", "1", ...CONFIG_ARGS],
  ];
  const put = ["ROOT_KEY", "ENCRYPTION_KEY"].map((name) => ["secret", "put", name, "--name", NAME]);
  const all = [...lists, ...commands.map(({ args }) => args), ...migrations(want), ...put, ["deploy", ...CONFIG_ARGS]];
  for (const args of all) say(`  ${shell(real(args))}`);
  say();
  const outdir = resolve(DIR, "dist");
  const args = ["deploy", "--dry-run", "--outdir", relative(ROOT, outdir), ...CONFIG_ARGS];
  const { code } = await wrangler(args, { stream: true });
  if (code !== 0) throw new Explained(`\`${shell(args)}\` failed (${code}), see above.`);
  say(`\nThe bundle is in ${relative(ROOT, outdir)}. Nothing was deployed.`);
}

async function deploy(config, want) {
  // Some of wrangler's commands want a configuration to read the account from, before there are any ids.
  writeConfig(config, {});
  const deployed = await secretNames();
  let have = await look(deployed);
  const { commands, clashes } = plan(want, have, { retention: RETENTION });
  if (clashes.length > 0) {
    throw new Explained(`nothing was changed, because of what is in the account:\n  ${clashes.join("\n  ")}\nAnother name for all of it: INLET_NAME=… make deploy`);
  }
  for (const { args, unless } of commands) {
    const full = [...args, ...(args[0] === "r2" ? [] : CONFIG_ARGS)];
    const result = await wrangler(full);
    if (result.code !== 0 && !unless?.test(`${result.stdout}${result.stderr}`)) throw failure(full, result);
  }
  if (commands.some(({ creates }) => creates)) have = await look(deployed);
  const found = ids(want, have);
  const missing = Object.entries(found).filter(([, id]) => !id);
  if (missing.length > 0) {
    throw new Explained(`no id was found for ${missing.map(([binding]) => binding).join(", ")}, though wrangler created it. Try again in a minute.`);
  }
  writeConfig(config, found);
  say(`wrote ${relative(ROOT, CONFIG)}`);

  for (const args of migrations(want)) await must(args);
  await setSecrets(want, deployed ?? []);
  const output = await must(["deploy", ...CONFIG_ARGS]);
  say(output.trim());
  const url = process.env.PUBLIC_URL || output.match(/https:\/\/[\w.-]+\.workers\.dev/)?.[0];
  await healthy(url);
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
  const problem = nameProblem(NAME);
  if (problem) throw new Explained(problem);
  if (!Number.isInteger(RETENTION) || RETENTION < 60) throw new Explained("DLQ_RETENTION_SECS must be a number of seconds, 60 or more.");
  await build();
  const config = readConfig();
  const want = wanted(config, NAME);
  await (DRY ? rehearse(config, want) : deploy(config, want));
});
