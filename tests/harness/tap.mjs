// Stands between the runtime and the Worker under test, in the same isolate: counts what the Worker
// asks of its bindings, and refuses it, or lets it wait, when told to. The Worker itself is `./worker/main.mjs`.
import { WorkerEntrypoint } from "cloudflare:workers";
import Worker from "./worker/main.mjs";

/**
 * binding -> {match, delayMs, isAnswer}: calls (or statements that contain `match`) are refused while it is here, or begin so much
 * later; or (`isAnswer`, of statements on their own) one is made and its answer lost.
 */
const faults = new Map();
/** binding -> {calls, messages, statements, rowsRead, rowsWritten, bySql: {sql: {…}}} */
const counters = new Map();
const tapped = new WeakSet();

function counter(binding) {
  if (!counters.has(binding)) {
    const none = { calls: 0, messages: 0, statements: 0, rowsRead: 0, rowsWritten: 0, bySql: {} };
    counters.set(binding, none);
  }
  return counters.get(binding);
}

async function meetFault(binding, text) {
  const fault = faults.get(binding);
  if (fault === undefined || fault.isAnswer || (fault.match && !text.includes(fault.match))) return;
  if (!fault.delayMs) throw new Error(`${binding}: refused by the test harness`);
  await new Promise((resolve) => setTimeout(resolve, fault.delayMs));
}

function loseAnswer(binding, text) {
  const fault = faults.get(binding);
  if (!fault?.isAnswer || !text.includes(fault.match)) return;
  faults.delete(binding);
  throw new Error(`${binding}: the test harness has lost the answer`);
}

/** Replaces methods on the object itself, so its class stays the one the Worker expects. */
function patch(object, methods) {
  for (const [name, wrap] of Object.entries(methods)) {
    if (typeof object[name] !== "function") continue;
    const original = object[name].bind(object);
    Object.defineProperty(object, name, {
      value: wrap(original),
      configurable: true,
      writable: true,
    });
  }
}

function countResult(binding, sql, result) {
  const count = counter(binding);
  const ofSql = (count.bySql[sql] ??= { statements: 0, rowsRead: 0, rowsWritten: 0 });
  for (const each of [count, ofSql]) {
    each.statements += 1;
    each.rowsRead += result?.meta?.rows_read ?? 0;
    each.rowsWritten += result?.meta?.rows_written ?? 0;
  }
  return result;
}

function tapStatement(binding, statement, sql) {
  const run = (original) => async (...args) => {
    counter(binding).calls += 1;
    await meetFault(binding, sql);
    const result = countResult(binding, sql, await original(...args));
    loseAnswer(binding, sql);
    return result;
  };
  // `first` and `raw` answer without the meta data, so they ask through `all` once the tap is on.
  const all = statement.all.bind(statement);
  patch(statement, {
    bind: (original) => (...args) => tapStatement(binding, original(...args), sql),
    all: run,
    run,
    first: () => async (column) => {
      const { results } = await run(all)();
      if (results.length === 0) return null;
      return column === undefined ? results[0] : results[0][column];
    },
    raw: (original) => async (options) => {
      counter(binding).calls += 1;
      await meetFault(binding, sql);
      return original(options);
    },
  });
  statement.harnessSql = sql;
  return statement;
}

function tapDatabase(binding, database) {
  patch(database, {
    prepare: (original) => (sql) => tapStatement(binding, original(sql), sql),
    batch: (original) => async (statements) => {
      counter(binding).calls += 1;
      for (const statement of statements) await meetFault(binding, statement.harnessSql ?? "");
      const results = await original(statements);
      results.forEach((result, i) => countResult(binding, statements[i].harnessSql, result));
      return results;
    },
    exec: (original) => async (sql) => {
      counter(binding).calls += 1;
      await meetFault(binding, sql);
      return original(sql);
    },
    withSession: (original) => (...args) => tapDatabase(binding, original(...args)),
  });
  return database;
}

function tapOther(binding, object) {
  const call = (messages) => (original) => async (...args) => {
    const count = counter(binding);
    count.calls += 1;
    await meetFault(binding, String(args[0]));
    const result = await original(...args);
    count.messages += messages(args);
    return result;
  };
  patch(object, {
    send: call(() => 1),
    sendBatch: call(([batch]) => [...batch].length),
    ...Object.fromEntries(
      ["get", "getWithMetadata", "put", "delete", "list", "head"].map((name) => [name, call(() => 0)]),
    ),
  });
}

function tap(env) {
  if (tapped.has(env)) return env;
  tapped.add(env);
  for (const [binding, value] of Object.entries(env)) {
    if (typeof value !== "object" || value === null || tapped.has(value)) continue;
    tapped.add(value);
    if (typeof value.prepare === "function") tapDatabase(binding, value);
    else tapOther(binding, value);
  }
  return env;
}

export default class extends Worker {
  constructor(ctx, env) {
    super(ctx, tap(env));
  }
}

/** POST /fault {binding, refuse, match?, delayMs?, isAnswer?}; POST /counters {reset?}. */
export class HarnessTap extends WorkerEntrypoint {
  async fetch(request) {
    const text = await request.text();
    const given = text === "" ? {} : JSON.parse(text);
    if (new URL(request.url).pathname === "/fault") {
      if (given.refuse) faults.set(given.binding, given);
      else faults.delete(given.binding);
      return Response.json({ refused: [...faults.keys()] });
    }
    const answer = Object.fromEntries(counters);
    if (given.reset) counters.clear();
    return Response.json(answer);
  }
}
