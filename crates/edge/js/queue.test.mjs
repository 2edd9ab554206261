import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { send } from "./queue.mjs";
import { LOOK_AFTER } from "./together.mjs";

/** What was sent, and how to let it be durable. */
let sent;
const env = { Q: { send: (bytes, options) => new Promise((resolve, reject) => sent.push({ bytes, options, resolve, reject })) } };

beforeEach(() => (sent = []));

const settle = async () => {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setTimeout(resolve, 0));
};

/** The messages in one of many, as `Envelope::of_message` reads them. */
function split(bytes) {
  if (bytes[0] !== 2) return [bytes];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages = [];
  for (let at = 1; at < bytes.length; ) {
    const length = view.getUint32(at, true);
    messages.push(bytes.slice(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return messages;
}

const message = (number, length) => Uint8Array.from({ length }, (_, i) => (i === 0 ? 1 : number));

test("what comes at the same time goes in messages of many, all of it and below the limit", async () => {
  const lengths = [1, 500, 9_000, 20_000, 31_499, 31_500, 31_501, 70_000, 127_000];
  const messages = Array.from({ length: 40 * lengths.length }, (_, i) => message(i % 251, lengths[i % lengths.length]));
  const done = messages.map((one) => send(env, "Q", one));
  while (true) {
    await settle();
    const open = sent.filter(({ isEnded }) => !isEnded);
    if (open.length === 0) break;
    for (const one of open) {
      one.isEnded = true;
      one.resolve();
    }
  }
  await Promise.all(done);
  for (const { bytes, options } of sent) {
    assert.ok(bytes.length <= 63_000 || bytes[0] === 1, `${bytes.length}`);
    assert.deepEqual(options, { contentType: "bytes" });
  }
  assert.ok(sent.length < messages.length, `${sent.length}`);
  const hex = (list) => list.map((one) => Buffer.from(one).toString("base64")).sort();
  assert.deepEqual(hex(sent.flatMap(({ bytes }) => split(bytes))), hex(messages));
});

test("queues do not mix", async () => {
  const got = { Q: [], R: [] };
  const take = (name) => ({ send: async (bytes) => void got[name].push(...split(bytes).map(([, number]) => number)) });
  const both = { Q: take("Q"), R: take("R") };
  const numbers = Array.from({ length: 3 * LOOK_AFTER }, (_, number) => number);
  const names = (number) => (number % 2 === 0 ? "Q" : "R");
  await Promise.all(numbers.map((number) => send(both, names(number), message(number, 10))));
  const sorted = Object.values(got).map((some) => some.sort((a, b) => a - b));
  assert.deepEqual(sorted, [numbers.filter((number) => number % 2 === 0), numbers.filter((number) => number % 2 === 1)]);
});
