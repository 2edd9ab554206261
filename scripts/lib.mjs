// What the Node scripts share: where the repository is, wrangler without questions, processes that end with us.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
export const WRANGLER = resolve(ROOT, "node_modules/wrangler/bin/wrangler.js");

export const say = (line = "") => process.stdout.write(`${line}\n`);

/** An error whose message is all the user needs; the stack would only hide it. */
export class Explained extends Error {}

/** Runs `main`, and turns what it throws into a message and an exit code. */
export async function run(main) {
  try {
    await main();
  } catch (error) {
    process.stderr.write(`error: ${error instanceof Explained ? error.message : (error.stack ?? error)}\n`);
    process.exitCode = 1;
  }
}

/** A path as one would type it from the repository. */
export const show = (path) => (path.startsWith(`${ROOT}/`) ? relative(ROOT, path) : path);

/** Whether a key can be sent: it comes in a header. */
export const isSendable = (key) => /^[\x21-\x7e]+$/.test(key);

/** Makes a folder that the variable `name` gives, and those above it, for their owner only. Node's own `recursive` never ends below /proc. */
export function makeFolder(path, name) {
  const make = (folder) => {
    if (!existsSync(folder)) {
      make(dirname(folder));
      mkdirSync(folder, { mode: 0o700 });
    } else if (!statSync(folder).isDirectory()) {
      throw new Error(`${folder} is a file`);
    }
  };
  try {
    make(path);
  } catch (error) {
    throw new Explained(`${name}=${show(path)} cannot be a folder: ${error.message}`);
  }
}

/** wrangler's environment: never a question, a metric, a colour or a log file in the home directory. */
export function wranglerEnv(logs) {
  return {
    ...process.env,
    CI: "true",
    NO_COLOR: "1",
    FORCE_COLOR: "0",
    WRANGLER_HIDE_BANNER: "true",
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_LOG_PATH: logs,
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
  };
}

const running = new Set();

/**
 * Starts a program in a process group of its own, so that it and all it starts can be ended together.
 * `detached` is what makes the group; it also keeps the terminal's Ctrl-C from reaching it before we do.
 */
export function start(command, args, options = {}) {
  const child = spawn(command, args, { cwd: ROOT, ...options, detached: true });
  child.ended = new Promise((done) => {
    child.once("error", (error) => done({ code: 127, error }));
    child.once("close", (code, signal) => done({ code: code ?? 128, signal }));
  });
  running.add(child);
  child.ended.then(() => running.delete(child));
  return child;
}

/** Runs a program to its end. `capture` keeps its output instead of showing it; `input` is its stdin. */
export async function exec(command, args, { capture = false, input, ...options } = {}) {
  const out = capture ? "pipe" : "inherit";
  const child = start(command, args, { ...options, stdio: [input === undefined ? "ignore" : "pipe", out, out] });
  const text = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"]) {
    child[stream]?.setEncoding("utf8").on("data", (chunk) => (text[stream] += chunk));
  }
  if (input !== undefined) {
    // A program that ends before it has read everything closes the pipe; its exit code tells that better.
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  }
  const { code, signal, error } = await child.ended;
  if (error) throw new Explained(`${command} does not start: ${error.message}`);
  return { code, signal, ...text };
}

function signalGroup(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It has ended already.
  }
}

export const after = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds).unref());

/** Ends everything `start` started: politely, then not. */
export async function stopAll(patience = 8000) {
  const children = [...running];
  for (const child of children) signalGroup(child, "SIGTERM");
  const all = Promise.all(children.map((child) => child.ended));
  await Promise.race([all, after(patience)]);
  // What is left of a group whose leader has gone (or not) must go as well.
  for (const child of children) signalGroup(child, "SIGKILL");
  await Promise.race([all, after(2000)]);
}
