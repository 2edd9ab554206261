import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { CROWD, LOOK_AFTER, TAKEN_WITHIN_MS, Together, WRITTEN_WITHIN_MS } from "./together.mjs";

/** Writes that end when the test says so, and what was in them. */
let writes;
let together;
const write = (env, group) => new Promise((resolve, reject) => writes.push({ env, group, resolve, reject }));

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  writes = [];
  together = new Together({
    isKin: (item, other) => item.at(0) === other.at(0),
    size: () => 1,
    max: 3,
    write,
    width: 2,
  });
});

/** Lets all that can go on without time passing go on. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

/** Puts items, in order, and tells what became of each. */
const put = (...items) =>
  items.map((item) => {
    const one = { item, outcome: "waits" };
    together.put(`env of ${item}`, item).then(
      () => (one.outcome = "durable"),
      (error) => (one.outcome = error.message),
    );
    return one;
  });

const groups = () => writes.map(({ group }) => group.join(" "));
const outcomes = (puts) => puts.map(({ outcome }) => outcome).join(" ");

test("who finds room writes at once, alone", async () => {
  const puts = put("a1", "a2");
  assert.deepEqual(groups(), ["a1", "a2"]);
  writes[1].resolve();
  await settle();
  assert.equal(outcomes(puts), "waits durable");
});

test("who finds none goes with the others, by the hand and the bindings of one of them", async () => {
  const puts = put("a1", "a2", "a3", "b1", "a4");
  assert.deepEqual(groups(), ["a1", "a2"]);
  writes[0].resolve();
  await settle();
  assert.deepEqual(groups(), ["a1", "a2", "a3 a4"]);
  assert.equal(writes[2].env, "env of a3");
  assert.equal(outcomes(puts), "durable waits waits waits waits");
  writes[2].resolve();
  await settle();
  assert.deepEqual(groups().slice(3), ["b1"]);
  assert.equal(outcomes(puts), "durable waits durable waits durable");
});

test("what does not fit waits for a write of its own", async () => {
  put("a1", "a2", "b1", "a3", "a4", "a5");
  writes[0].resolve();
  await settle();
  assert.deepEqual(groups().slice(2), ["b1"]);
  writes[1].resolve();
  await settle();
  assert.deepEqual(groups().slice(3), ["a3 a4 a5"]);
});

test("a write that fails fails for all of its group, and for nobody else", async () => {
  const puts = put("a1", "a2", "a3", "a4");
  writes[0].resolve();
  await settle();
  writes[2].reject(new Error("full"));
  await settle();
  assert.equal(outcomes(puts), "durable waits full full");
  put("a5");
  assert.deepEqual(groups().slice(3), ["a5"]);
});

test("a write that throws where it begins is one that fails", async () => {
  together = new Together({
    isKin: () => true,
    size: () => 1,
    max: 3,
    write: () => {
      throw undefined;
    },
  });
  const puts = put("a1");
  await settle();
  assert.equal(outcomes(puts), "the write failed");
});

test("who is not taken along in time writes itself", async () => {
  const puts = put("a1", "a2", "a3", "a4");
  mock.timers.tick(TAKEN_WITHIN_MS);
  await settle();
  assert.deepEqual(groups().slice(2), ["a3", "a4"]);
  writes[2].resolve();
  writes[3].resolve();
  await settle();
  assert.equal(outcomes(puts), "waits waits durable durable");
});

test("who was taken along by a request that died writes itself, later", async () => {
  const puts = put("a1", "a2", "a3", "a4");
  writes[0].resolve();
  await settle();
  assert.deepEqual(groups().slice(2), ["a3 a4"]);
  mock.timers.tick(TAKEN_WITHIN_MS);
  await settle();
  assert.equal(writes.length, 3);
  mock.timers.tick(WRITTEN_WITHIN_MS);
  await settle();
  assert.deepEqual(groups().slice(3), ["a4"]);
  writes[3].resolve();
  await settle();
  assert.equal(outcomes(puts), "durable waits waits durable");
});

test("who is told late is told all the same", async () => {
  // A bell whose sound is lost on its way to the other request: what follows the promise does not run.
  const { race } = Promise;
  Promise.race = ([, timer]) => race.call(Promise, [timer]);
  try {
    const puts = put("a1", "a2", "a3", "a4");
    writes[0].resolve();
    await settle();
    assert.deepEqual(groups(), ["a1", "a2"]);
    mock.timers.tick(TAKEN_WITHIN_MS);
    await settle();
    assert.deepEqual(groups().slice(2), ["a3", "a4"]);
    put("a5", "a6");
    writes[2].resolve();
    writes[3].reject(new Error("full"));
    await settle();
    assert.equal(outcomes(puts), "durable waits durable full");
  } finally {
    Promise.race = race;
  }
});

test("who died while it waited is not written long after", async () => {
  const { race } = Promise;
  Promise.race = () => new Promise(() => {});
  try {
    put("a1", "a2", "a3");
  } finally {
    Promise.race = race;
  }
  mock.timers.tick(WRITTEN_WITHIN_MS + 1);
  put("a4");
  assert.deepEqual(groups(), ["a1", "a2", "a4"]);
});

test("writes of requests that died do not hold up others for ever", async () => {
  put("a1", "a2");
  mock.timers.tick(WRITTEN_WITHIN_MS + 1);
  put("a3");
  assert.deepEqual(groups(), ["a1", "a2", "a3"]);
});

/** One that gathers: who did is let go on by `go`. */
function gathering(isKin = () => true) {
  const one = { begun: 0 };
  const gather = () => {
    one.begun += 1;
    return new Promise((go) => (one.go = go));
  };
  together = new Together({ isKin, size: ({ length }) => length, max: 99, write, gather });
  return one;
}

/** Lets as many come at once as are a crowd, until that is known. */
async function crowd(turn) {
  for (let n = 0; n < 4; n += 1) {
    put(...Array.from({ length: LOOK_AFTER + 2 * CROWD }, (_, i) => `x${i}`));
    turn.go();
    await settle();
  }
  for (const { resolve } of writes) resolve();
  await settle();
  writes = [];
  turn.begun = 0;
}

test("who is alone gathers nobody", async () => {
  const turn = gathering();
  for (let n = 0; n < 3 * LOOK_AFTER; n += 1) {
    put(`a${n}`);
    writes.at(-1).resolve();
    await settle();
  }
  assert.deepEqual([turn.begun, writes.length], [0, 3 * LOOK_AFTER]);
});

test("where few come they are written at once, and looked for now and then", async () => {
  const turn = gathering();
  const puts = put(...Array.from({ length: LOOK_AFTER + 1 }, (_, i) => `a${i}`));
  assert.deepEqual([turn.begun, writes.length], [1, LOOK_AFTER]);
  puts.push(...put("b1"));
  turn.go();
  await settle();
  assert.deepEqual(groups().slice(LOOK_AFTER), [`a${LOOK_AFTER} b1`]);
  put("b2", "b3");
  assert.deepEqual([turn.begun, writes.length], [1, LOOK_AFTER + 3]);
  for (const { resolve } of writes) resolve();
  await settle();
  assert.ok(puts.every(({ outcome }) => outcome === "durable"));
});

test("of a crowd the first gathers the others, while earlier ones are being written", async () => {
  const turn = gathering();
  await crowd(turn);
  const puts = put("a1", "a2", "a3");
  assert.deepEqual([turn.begun, writes.length], [1, 0]);
  turn.go();
  await settle();
  assert.deepEqual(groups(), ["a1 a2 a3"]);
  put("a4", "a5");
  turn.go();
  await settle();
  assert.deepEqual(groups().slice(1), ["a4 a5"]);
  writes[0].reject(new Error("full"));
  await settle();
  assert.equal(outcomes(puts), "full full full");
});

test("a crowd that has gone is one of the past", async () => {
  const turn = gathering();
  await crowd(turn);
  for (let n = 0; n < 9; n += 1) {
    put(`a${n}`);
    turn.go();
    await settle();
  }
  turn.begun = 0;
  put("b1");
  assert.deepEqual([turn.begun, groups().at(-1)], [0, "b1"]);
});

test("what does not fit those who were gathered is written at once", async () => {
  const turn = gathering((item, other) => item.at(0) === other.at(0));
  await crowd(turn);
  const puts = put("a1", "b1", "a2", "b2", "c1");
  turn.go();
  await settle();
  assert.deepEqual(groups(), ["a1 a2", "b1 b2", "c1"]);
  for (const { resolve } of writes) resolve();
  await settle();
  assert.equal(outcomes(puts), "durable durable durable durable durable");
});

test("no more are taken along than fit", async () => {
  const turn = gathering();
  await crowd(turn);
  const [long, longer, most] = [60, 39, 38].map((length) => "a".repeat(length));
  put("a", long, longer, most);
  turn.go();
  await settle();
  assert.deepEqual(groups(), [`a ${long} ${most}`, longer]);
});

test("who died while it gathered holds nobody up", async () => {
  const turn = gathering();
  await crowd(turn);
  const puts = put("a1", "a2", "a3");
  mock.timers.tick(TAKEN_WITHIN_MS + 1);
  await settle();
  assert.deepEqual(groups(), ["a2", "a3"]);
  for (const { resolve } of writes) resolve();
  await settle();
  assert.equal(outcomes(puts), "waits durable durable");
  put("a4");
  assert.equal(turn.begun, 2);
});

test("writes of requests that died are no crowd", async () => {
  const turn = gathering();
  put(...Array.from({ length: LOOK_AFTER }, (_, i) => `a${i}`));
  mock.timers.tick(WRITTEN_WITHIN_MS + 1);
  put("b1");
  assert.deepEqual([turn.begun, writes.length], [0, LOOK_AFTER + 1]);
});
