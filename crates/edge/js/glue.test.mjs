import assert from "node:assert/strict";
import { afterEach, beforeEach, test, mock } from "node:test";

import { goOn, queued, read, send, sendRead } from "./glue.js";

// As `queue.mjs` has it, without others.
globalThis.inletSend = (env, queue, message) => env[queue].send(message);

const set = () => setTimeout.mock.calls.length;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  mock.method(globalThis, "setTimeout");
});

afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

/** A promise, and what keeps it. */
function later() {
  const one = {};
  one.promise = new Promise((resolve) => (one.keep = resolve));
  return one;
}

/** Lets everything run that waits for no timer. */
const settle = async () => {
  for (let turn = 0; turn < 20; turn += 1) await null;
};

/** Whether a promise is settled by now. */
async function isSettled(promise) {
  let is = false;
  promise.then(
    () => (is = true),
    () => (is = true),
  );
  await settle();
  return is;
}

const requestOf = (arrived) => ({ arrayBuffer: () => arrived });
const FIELDS = new Uint8Array([1]);

test("one timer serves for the body and its message", async () => {
  const body = await read(requestOf(Promise.resolve(new ArrayBuffer(3))), 3, 1000);
  assert.equal(body.length, 3);
  const sent = [];
  await sendRead({ Q: { send: async (message) => sent.push([...message]) } }, "Q", FIELDS, body);
  assert.deepEqual(sent, [[1, 0, 0, 0]]);
  assert.equal(set(), 1);
  mock.timers.tick(60_000);
  assert.equal(set(), 1, "it rang for nobody, and was not set again");
});

test("a body that does not come is still pending, and is read on", async () => {
  const arrived = later();
  const step = read(requestOf(arrived.promise), 3, 1000);
  mock.timers.tick(999);
  assert.equal(await isSettled(step), false);
  mock.timers.tick(1);
  const pending = await step;
  const next = goOn(pending, 1000);
  mock.timers.tick(500);
  arrived.keep(new ArrayBuffer(3));
  assert.equal((await next).length, 3);
});

test("a queue that hangs has its own time, from when it was asked", async () => {
  const arrived = later();
  const reading = read(requestOf(arrived.promise), 3, 1000);
  mock.timers.tick(900);
  arrived.keep(new ArrayBuffer(3));
  const body = await reading;
  const sent = sendRead({ Q: { send: () => new Promise(() => {}) } }, "Q", FIELDS, body);
  mock.timers.tick(100);
  mock.timers.tick(4899);
  assert.equal(await isSettled(sent), false);
  mock.timers.tick(1);
  await assert.rejects(sent, /no answer within 5000 ms/);
});

test("a queue that hangs is waited for without a body that was read, too", async () => {
  const sent = send({ Q: { send: () => new Promise(() => {}) } }, "Q", FIELDS, FIELDS);
  mock.timers.tick(5000);
  await assert.rejects(sent, /no answer within 5000 ms/);
});

test("what a queue says is what is heard", async () => {
  const env = { Q: { send: () => Promise.reject(new Error("full")) } };
  await assert.rejects(send(env, "Q", FIELDS, FIELDS), /full/);
});

test("what waits in a queue is told as far as the runtime knows it", async () => {
  const told = async (queue) => JSON.parse(await queued({ Q: queue }, "Q"));
  const now = new Date(1_795_885_094_098);
  assert.deepEqual(await told({ metrics: async () => ({ backlogCount: 2, backlogBytes: 9, oldestMessageTimestamp: now }) }), { count: 2, oldest_at: now.getTime() });
  assert.deepEqual(await told({ metrics: async () => ({ backlogCount: 0, backlogBytes: 0 }) }), { count: 0, oldest_at: null });
  assert.deepEqual(await told({}), { oldest_at: null });
});
