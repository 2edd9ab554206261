// The smoke test of what people run: the real `make dev` on the real `wrangler dev`, README's walkthrough through it, and
// `wrangler deploy --dry-run`. The rest is tested through Miniflare's API, which is a dozen times faster.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const READY_MS = 90_000;
const GITHUB = {
  secret: "It's a Secret to Everybody",
  body: "Hello, World!",
  signature: "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
};

/** Asks until there is an answer, or gives up with what was waited for. */
async function until(what, ask, ms = 30_000) {
  const deadline = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`waited ${ms / 1000} s in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function listen(server) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server.address().port;
}

async function freePort() {
  const server = createServer();
  const port = await listen(server);
  server.close();
  await once(server, "close");
  return port;
}

/** Ends a `make dev` that did not do what it should, and lets go of it: it must not outlive the test, nor hold it up. */
async function end(child) {
  child.kill("SIGTERM");
  await until("it to stop", () => child.exitCode !== null || child.signalCode !== null, 10_000).catch(() => process.kill(-child.pid, "SIGKILL"));
  child.stdout.destroy();
  child.stderr.destroy();
  child.unref();
}

/** Starts `make dev` on a state and waits until it has said what to do next. */
async function dev(state, port) {
  const child = spawn("node", ["scripts/dev.mjs"], {
    cwd: ROOT,
    env: { ...process.env, PORT: String(port), STATE: state },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += text));
  const ended = once(child, "exit");
  try {
    await until("make dev to be ready", () => said.includes("nothing is lost") || child.exitCode !== null, READY_MS);
  } catch (error) {
    await end(child);
    throw new Error(`${error.message}; it said:\n${said}`);
  }
  assert.equal(child.exitCode, null, said);
  // `make dev` ends all it started when it is asked to; that it does is part of what is tested.
  const stop = async (signal) => {
    child.kill(signal);
    try {
      await until("make dev to stop", () => child.exitCode !== null || child.signalCode !== null);
    } catch (error) {
      await end(child);
      throw new Error(`${error.message}; it said:\n${said}`);
    }
    await ended;
  };
  return { said, stop };
}

test("make dev takes a signed webhook in, delivers it signed, and keeps it over a restart", { timeout: 300_000 }, async () => {
  const state = mkdtempSync(join(tmpdir(), "inlet-dev-"));
  const port = await freePort();
  const received = [];
  const receiver = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    received.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
    response.end("thanks");
  });
  const receiverPort = await listen(receiver);
  receiver.unref();
  let gateway = await dev(state, port);
  try {
    const { id, key } = JSON.parse(readFileSync(join(state, "dev.json"), "utf8")).projects.incoming;
    assert.ok(gateway.said.includes(key), "the key is printed");
    const call = async (method, path, body) => {
      const url = `http://127.0.0.1:${port}/api/v1/projects/${id}${path}`;
      const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
      const response = await fetch(url, { method, headers, body: body && JSON.stringify(body) });
      return { status: response.status, ...(await response.json()) };
    };
    const source = await call("POST", "/sources", {
      name: "github", type: "http", provider: "github", verifier: { type: "hmac", hmac: { secret: GITHUB.secret } },
    });
    const endpoint = await call("POST", "/endpoints", { name: "receiver", url: `http://127.0.0.1:${receiverPort}/hooks` });
    await call("POST", "/subscriptions", { name: "all", source_id: source.data.uid, endpoint_id: endpoint.data.uid });
    const send = (signature) =>
      fetch(source.data.url, { method: "POST", headers: { "x-hub-signature-256": signature, "content-type": "text/plain" }, body: GITHUB.body });

    assert.equal((await send(GITHUB.signature.replace("7", "8"))).status, 401);
    const answer = await send(GITHUB.signature);
    assert.equal(answer.status, 200);
    const eventId = answer.headers.get("inlet-event-id");
    assert.equal((await answer.json()).event_id, eventId);

    const [delivered] = await until("the delivery", () => received.length > 0 && received);
    assert.equal(delivered.body, GITHUB.body);
    const [, time, signature] = /^t=(\d+),v1=([0-9a-f]+)$/.exec(delivered.headers["x-convoy-signature"]);
    const expected = createHmac("sha256", endpoint.data.secrets[0].value).update(`${time},${GITHUB.body}`).digest("hex");
    assert.equal(signature, expected);
    const deliveries = await until("the attempt to be recorded", async () => {
      const { data } = await call("GET", `/eventdeliveries?eventId=${eventId}`);
      return data.content[0]?.status === "Success" && data.content;
    });
    const attempts = await call("GET", `/eventdeliveries/${deliveries[0].uid}/deliveryattempts`);
    assert.equal(attempts.data[0].http_status, "200 OK");

    const madeAt = statSync(join(state, "dev.json")).mtimeMs;
    await gateway.stop("SIGINT");
    gateway = await dev(state, port);
    assert.equal(statSync(join(state, "dev.json")).mtimeMs, madeAt, "what is made from the keys stays good");
    assert.equal((await call("GET", `/events/${eventId}`)).data.raw, GITHUB.body);
    assert.equal(received.length, 1, "and it was not delivered again");

    const outgoing = () => JSON.parse(readFileSync(join(state, "dev.json"), "utf8")).projects.outgoing;
    const old = outgoing();
    const ask = (of, method, path) => {
      const headers = { authorization: `Bearer ${of.key}`, "content-type": "application/json" };
      return fetch(`http://127.0.0.1:${port}/api/v1/projects/${of.id}${path}`, { method, headers, body: method === "GET" ? undefined : "{}" });
    };
    assert.equal((await ask(old, "PUT", "/security/keys/regenerate")).status, 200);
    await gateway.stop("SIGINT");
    gateway = await dev(state, port);
    assert.equal(outgoing().id, old.id, "a project whose key was replaced is the same project");
    assert.equal((await ask(outgoing(), "GET", "")).status, 200);
  } finally {
    await gateway.stop("SIGINT");
    receiver.close();
    rmSync(state, { recursive: true, force: true });
  }
});

test("what make dev cannot start with, it names, and does not keep", { timeout: 60_000 }, async () => {
  const state = mkdtempSync(join(tmpdir(), "inlet-dev-"));
  const file = join(state, "file");
  writeFileSync(file, "");
  try {
    const cases = [
      [{ STATE: file }, /STATE=\S+ cannot be a folder: /],
      [{ STATE: join(file, "below") }, /STATE=\S+ cannot be a folder: /],
      ...["a\nb", "pa$$w0rd$x", "a\\b", "ключ", "schlüssel", "a b", "'\"`"].map((key) => [{ STATE: state, ROOT_KEY: key }, /ROOT_KEY holds a \$, /]),
    ];
    if (existsSync("/proc/self")) {
      cases.push([{ STATE: "/proc/x/y" }, /STATE=\/proc\/x\/y cannot be a folder: /], [{ STATE: "/proc" }, /STATE=\/proc cannot be written: /]);
    }
    for (const [env, says] of cases) {
      const port = String(await freePort());
      const options = { cwd: ROOT, env: { ...process.env, PORT: port, ...env }, timeout: 20_000 };
      const failed = await promisify(execFile)("node", ["scripts/dev.mjs"], options).then(
        () => assert.fail("it started"),
        (error) => error,
      );
      assert.match(failed.stderr + failed.stdout, says);
      assert.doesNotMatch(failed.stderr, /\n +at /, "no trace of ours");
    }
    assert.ok(!existsSync(join(state, "dev.json")));
  } finally {
    rmSync(state, { recursive: true, force: true });
  }
});

test("without a Node that will do, make dev says which one to install", async () => {
  const path = mkdtempSync(join(tmpdir(), "inlet-path-"));
  const where = (program) => execFileSync("/bin/sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();
  for (const program of ["bash", "dirname", "head", "sed"]) symlinkSync(where(program), join(path, program));
  const dev = () => promisify(execFile)(where("make"), ["dev"], { cwd: ROOT, env: { PATH: path } }).then(() => assert.fail("it started"), (error) => error.stderr);
  try {
    assert.match(await dev(), /^error: node is not on PATH\. Install Node 20\.3 or newer: https:\/\/nodejs\.org$/m);
    writeFileSync(join(path, "node"), "#!/bin/sh\necho v18.20.0\n", { mode: 0o755 });
    assert.match(await dev(), /^error: Node 18\.20\.0 is too old, 20\.3 or newer is needed\.$/m);
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
});

test("the real wrangler bundles the Worker in a dry run", { timeout: 300_000 }, async () => {
  const env = { ...process.env, DRY_RUN: "1" };
  const { stdout, stderr } = await promisify(execFile)("node", ["scripts/deploy.mjs"], { cwd: ROOT, env, maxBuffer: 1 << 24 });
  assert.match(stdout + stderr, /Total Upload/);
});
