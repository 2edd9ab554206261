// `make dev`: a whole gateway on this machine, on an embedded database, with nothing to sign up for.
//
//   PORT        where it listens, on 127.0.0.1 (8787)
//   STATE       where it keeps everything (.inlet/state); delete the folder to start afresh
//   ROOT_KEY    the key that creates projects (made up on the first start)
//   DURABILITY  journal, or queue (whose local form lives in memory: events die with the process)
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { resolve } from "node:path";
import { execFileSync } from "node:child_process";
import { filter } from "./dev-log.mjs";
import { Explained, ROOT, WRANGLER, after, exec, isSendable, makeFolder, run, say, show, start, stopAll, wranglerEnv } from "./lib.mjs";

const PORT = Number(process.env.PORT || 8787);
const STATE = resolve(ROOT, process.env.STATE || ".inlet/state");
const DURABILITY = process.env.DURABILITY || "journal";
const URL_ = `http://127.0.0.1:${PORT}`;
const KEYS = resolve(STATE, "dev.json");
const VARS = resolve(STATE, "dev.vars");
const LOCK = resolve(STATE, "dev.pid");
const READY_MS = 60_000;
const CRON_MS = 60_000;

let stopping = false;

/** Files with keys in them are for their owner only, and are never half written. */
function writeSecret(path, text) {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    if (error.code === "ENOENT") return null;
    throw new Explained(`${path} is not readable JSON: ${error.message}`);
  }
}

/** Written only when they change: what is made from them is older than they are then, and made anew. */
function saveKeys(keys) {
  const text = `${JSON.stringify(keys, null, 2)}\n`;
  if (!existsSync(KEYS) || readFileSync(KEYS, "utf8") !== text) writeSecret(KEYS, text);
}

/** The keys of this state; made on the first start. */
function loadKeys() {
  let keys = readJson(KEYS);
  if (!keys && existsSync(resolve(STATE, "v3"))) {
    throw new Explained(
      `${show(STATE)} holds a database but no dev.json, and with it went the key that its secrets are encrypted with.\n` +
        `Put dev.json back, or start afresh: rm -r ${show(STATE)}`,
    );
  }
  keys ??= { root_key: randomBytes(24).toString("base64url"), encryption_key: randomBytes(32).toString("base64"), projects: {} };
  if (process.env.ROOT_KEY) keys.root_key = process.env.ROOT_KEY;
  envLine("ROOT_KEY", keys.root_key); // One that is refused is not kept.
  saveKeys(keys);
  return keys;
}

/** One line of an .env file: wrangler puts variables in for `$`, and no escape keeps a quote out of the way. */
function envLine(name, value) {
  const quote = ["'", '"', "`"].find((mark) => !value.includes(mark));
  if (!quote || !isSendable(value) || /[$\\]/.test(value)) {
    throw new Explained(`${name} holds a $, a backslash, a space, all kinds of quotes, or what is not printable ASCII; choose another.`);
  }
  return `${name}=${quote}${value}${quote}\n`;
}

const commandOf = (pid) => {
  try {
    return execFileSync("ps", ["-o", "args=", "-p", String(pid)], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    return "";
  }
};

/** One `make dev` a state. One that was killed outright may have left its wrangler behind: that one is ended. */
async function takeState() {
  const last = readJson(LOCK);
  if (last?.pid && last.pid !== process.pid && commandOf(last.pid).includes("dev.mjs")) {
    throw new Explained(`another make dev (pid ${last.pid}) runs on ${show(STATE)}. Stop it, or take another folder: STATE=.inlet/other make dev`);
  }
  if (last?.wrangler && commandOf(last.wrangler).includes(`--persist-to ${STATE}`)) {
    say(`a make dev that was killed left its wrangler (pid ${last.wrangler}) behind: ending it`);
    for (const signal of ["SIGTERM", "SIGKILL"]) {
      try {
        process.kill(-last.wrangler, signal);
      } catch {
        break;
      }
      for (let tries = 0; tries < 50 && commandOf(last.wrangler); tries += 1) await pause(100);
    }
  }
  try {
    writeFileSync(LOCK, JSON.stringify({ pid: process.pid }));
  } catch (error) {
    throw new Explained(`STATE=${show(STATE)} cannot be written: ${error.message}`);
  }
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function portIsFree() {
  const server = createServer();
  await new Promise((done, failed) => {
    server.once("error", (error) => {
      const why = error.code === "EADDRINUSE" ? "is in use by another program" : `cannot be listened on (${error.message})`;
      failed(new Explained(`port ${PORT} ${why}. Stop that program, or take another port: PORT=${PORT + 1} make dev`));
    });
    server.listen(PORT, "127.0.0.1", done);
  });
  await new Promise((done) => server.close(done));
}

async function step(script) {
  const { code } = await exec(resolve(ROOT, "scripts", script), []);
  if (code !== 0) throw new Explained(`scripts/${script} failed, see above.`);
}

async function migrate(env) {
  for (const database of ["DB", "EVENTS_0"]) {
    const args = [WRANGLER, "d1", "migrations", "apply", database, "--local", "--persist-to", STATE];
    const { code, stdout, stderr } = await exec(process.execPath, args, { capture: true, env });
    if (code !== 0) throw new Explained(`the migrations of ${database} failed:\n${stdout}${stderr}`);
    // The table is printed anew after each of them.
    const applied = stdout.matchAll(/│ (\S+\.sql)\s+│ ✅/g);
    for (const name of new Set(Array.from(applied, ([, name]) => name))) say(`  ok  ${database}: ${name}`);
  }
}

/** New code is built and loaded as it comes; the databases are changed only while nothing runs on them. */
function tellOfMigrations() {
  const folder = resolve(ROOT, "migrations");
  const all = () => readdirSync(folder, { recursive: true }).sort().join();
  const applied = all();
  let told = false;
  setInterval(() => {
    if (told || all() === applied) return;
    told = true;
    say("\nthere are new migrations: stop this (Ctrl-C) and start it again, so that they are applied");
  }, 2_000).unref();
}

function startWrangler(env) {
  const args = [
    ...[WRANGLER, "dev", "--ip", "127.0.0.1", "--port", String(PORT), "--inspector-port", "0"],
    ...["--persist-to", STATE, "--env-file", VARS, "--show-interactive-dev-session=false"],
  ];
  const child = start(process.execPath, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  writeFileSync(LOCK, JSON.stringify({ pid: process.pid, wrangler: child.pid }));
  for (const [stream, sink] of [[child.stdout, process.stdout], [child.stderr, process.stderr]]) {
    const wanted = filter();
    let rest = "";
    stream.setEncoding("utf8").on("data", (chunk) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        const text = wanted(line);
        if (text !== null && !stopping) sink.write(`${text}\n`);
      }
    });
  }
  return child;
}

async function status(path, init) {
  try {
    const response = await fetch(URL_ + path, { ...init, signal: AbortSignal.timeout(30_000) });
    return { status: response.status, text: await response.text() };
  } catch (error) {
    return { status: 0, text: error.cause?.message ?? error.message };
  }
}

async function ready(wrangler) {
  const deadline = Date.now() + READY_MS;
  let over = null;
  wrangler.ended.then((end) => (over = end));
  for (let last = ""; ; await pause(150)) {
    if (over) throw new Explained(`wrangler ended with ${over.signal ?? `code ${over.code}`}, see above.`);
    const answer = await status("/healthz");
    if (answer.status === 200) return;
    // It runs, and says what is wrong with its settings: that does not pass.
    if (answer.status === 503) throw new Explained(`the Worker is not well: ${answer.text.slice(0, 500)}`);
    if (answer.status !== 0) last = `; it last answered ${answer.status}: ${answer.text.slice(0, 500)}`;
    if (Date.now() > deadline) throw new Explained(`the Worker was not healthy after ${READY_MS / 1000} s${last}`);
  }
}

/** Miniflare fires no cron triggers: without this, retries would wait for the next request. */
function cron() {
  let busy = false;
  const tick = async () => {
    if (busy || stopping) return;
    busy = true;
    const answer = await status("/cdn-cgi/handler/scheduled?cron=*+*+*+*+*");
    if (answer.status !== 200 && !stopping) say(`cron: the tick failed: ${answer.status} ${answer.text.slice(0, 300)}`);
    busy = false;
  };
  setInterval(tick, CRON_MS).unref();
  return tick();
}

/** Asks the API; `data` is what a good answer holds. */
async function api(key, path, method = "GET", body = undefined) {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const answer = await status(`/api/v1/projects${path}`, { method, headers, body: JSON.stringify(body) });
  try {
    return { ...answer, data: JSON.parse(answer.text).data };
  } catch {
    return answer;
  }
}

/** The two projects of a first start; made again when the database no longer knows them. */
async function projects(keys) {
  const failed = (what, { status, text }) => new Explained(`${what}: ${status} ${text.slice(0, 1000)}`);
  for (const type of ["incoming", "outgoing"]) {
    const known = keys.projects[type];
    if (known) {
      let answer = await api(known.key, `/${known.id}`);
      if (answer.status === 200) continue;
      if ([401, 403].includes(answer.status)) answer = await api(keys.root_key, `/${known.id}`);
      if (answer.status === 200) {
        // It is the key that is gone: replaced, or at its end.
        const made = await api(keys.root_key, `/${known.id}/api-keys`, "POST", { name: "make dev" });
        if (made.status !== 201 || !made.data?.key) throw failed(`the ${type} project takes no new key`, made);
        say(`the key of the ${type} project in dev.json is not valid any more: making another`);
        known.key = made.data.key;
        saveKeys(keys);
        continue;
      }
      if (answer.status !== 404) throw failed(`the ${type} project cannot be read`, answer);
      say(`the ${type} project of dev.json is gone: making a new one`);
    }
    const made = await api(keys.root_key, "", "POST", { name: type, type });
    const id = made.data?.project?.uid;
    const key = made.data?.api_key?.key;
    if (made.status !== 201 || !id || !key) throw failed(`the ${type} project could not be made`, made);
    keys.projects[type] = { id, key };
    saveKeys(keys);
  }
}

function hello(keys) {
  const { incoming, outgoing } = keys.projects;
  say(`
Inlet on ${URL_} (its calls: ${URL_}/docs), kept in ${show(STATE)}
  durability ${DURABILITY}; endpoints may be private or loopback addresses (ALLOW_PRIVATE_ENDPOINTS=true, for a laptop only)
  root key          ${keys.root_key}
  incoming project  ${incoming.id}  key ${incoming.key}
  outgoing project  ${outgoing.id}  key ${outgoing.key}

Next, in a second terminal, something to deliver to:

node scripts/receiver.mjs 9000

and in a third, GitHub's own example of a signed request, from source to endpoint:

API=${URL_}/api/v1/projects/${incoming.id} KEY=${incoming.key}
get() { curl -sS -H "Authorization: Bearer $KEY" "$API$1"; }
post() { curl -sS -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -d "$2" "$API$1"; }
SOURCE=$(post /sources '{"name":"github","type":"http","provider":"github","verifier":{"type":"hmac","hmac":{"secret":"It\\u0027s a Secret to Everybody"}}}')
SOURCE_ID=$(node scripts/json.mjs data.uid <<<"$SOURCE") SOURCE_URL=$(node scripts/json.mjs data.url <<<"$SOURCE")
ENDPOINT_ID=$(post /endpoints '{"name":"receiver","url":"http://127.0.0.1:9000/hooks"}' | node scripts/json.mjs data.uid)
post /subscriptions '{"name":"github to receiver","source_id":"'$SOURCE_ID'","endpoint_id":"'$ENDPOINT_ID'"}' | node scripts/json.mjs message
ANSWER=$(curl -sS -H 'Content-Type: text/plain' -H 'X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17' -d 'Hello, World!' "$SOURCE_URL")
echo "$ANSWER"

and what became of it:

EVENT_ID=$(node scripts/json.mjs event_id <<<"$ANSWER")
get "/events/$EVENT_ID" | node scripts/json.mjs data
DELIVERY_ID=$(get "/eventdeliveries?eventId=$EVENT_ID" | node scripts/json.mjs data.content.0.uid)
get "/eventdeliveries/$DELIVERY_ID/deliveryattempts" | node scripts/json.mjs data

Ctrl-C stops it; nothing is lost.
`);
}

async function main() {
  if (!Number.isInteger(PORT) || PORT < 1 || PORT > 65535) throw new Explained(`PORT=${process.env.PORT} is no port.`);
  makeFolder(STATE, "STATE");
  await takeState();
  await portIsFree();
  const keys = loadKeys();
  const vars = { DURABILITY, LOCAL_QUEUE: "true", RETRY_SECONDS: "5", ALLOW_PRIVATE_ENDPOINTS: "true", ROOT_KEY: keys.root_key, ENCRYPTION_KEY: keys.encryption_key };
  writeSecret(VARS, Object.entries(vars).map(([name, value]) => envLine(name, value)).join(""));

  await step("setup.sh");
  await step("build-edge.sh");
  const logs = resolve(STATE, "logs");
  rmSync(logs, { recursive: true, force: true });
  const env = wranglerEnv(logs);
  await migrate(env);
  const wrangler = startWrangler(env);
  await ready(wrangler);
  await projects(keys);
  hello(keys);
  tellOfMigrations();
  await cron();

  const end = await wrangler.ended;
  if (!stopping) throw new Explained(`wrangler ended with ${end.signal ?? `code ${end.code}`}, see above.`);
}

/** Ends what was started; the exit code says whether that was asked for. */
async function stop() {
  await stopAll();
  if (existsSync(LOCK) && readJson(LOCK)?.pid === process.pid) rmSync(LOCK, { force: true });
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, async () => {
    // A second signal means that someone is tired of waiting.
    if (stopping) return void stopAll(0);
    stopping = true;
    say("\nstopping");
    await stop();
    process.exit(0);
  });
}

await run(async () => {
  try {
    await main();
  } catch (error) {
    // Whatever broke while we are stopping broke because of it.
    if (!stopping) throw error;
  }
});
if (stopping) await after(60_000);
await stop();
