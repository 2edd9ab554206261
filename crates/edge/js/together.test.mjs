import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { TAKEN_WITHIN_MS, Together, WIDTH, WRITTEN_WITHIN_MS } from "./together.mjs";

/** Writes that end when the test says so, and what was in them. */
let writes;
let together;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  writes = [];
  together = new Together(
    (group, item) => group.length < 3 && group[0].at(0) === item.at(0),
    (env, group) => new Promise((resolve, reject) => writes.push({ env, group, resolve, reject })),
  );
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
  assert.equal(WIDTH, 2);
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
  together = new Together(
    () => true,
    () => {
      throw undefined;
    },
  );
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
