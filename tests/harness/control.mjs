// Runs beside the Worker under test, on the same databases, namespaces and buckets: what tests want
// to look at, set right or set off, without asking the Worker itself.
//
//   POST /sql      {db, sql, params?}                  -> {rows, meta}
//   POST /batch    {db, statements: [{sql, params?}]}  -> {}
//   GET  /kv       all keys of CONFIG; with ?key= its value. DELETE /kv?key=
//   GET  /r2       all keys of BODIES; with ?key= its bytes in base64. DELETE /r2?key=
//   POST /r2       {from, to}: gives a body another key
//   POST /cron     {cron?}: runs the scheduled handler once
//   POST /fault    {binding, refuse, match?}, and
//   POST /counters {reset?}: see tap.mjs

const routes = {
  async "POST /sql"(env, _query, { db, sql, params = [] }) {
    const { results, meta } = await env[db].prepare(sql).bind(...params).all();
    return { rows: results, meta };
  },
  async "POST /batch"(env, _query, { db, statements }) {
    await env[db].batch(
      statements.map(({ sql, params = [] }) => env[db].prepare(sql).bind(...params)),
    );
    return {};
  },
  async "GET /kv"(env, query) {
    if (query.has("key")) return { value: await env.CONFIG.get(query.get("key")) };
    return { keys: (await env.CONFIG.list()).keys.map((key) => key.name) };
  },
  async "DELETE /kv"(env, query) {
    await env.CONFIG.delete(query.get("key"));
    return {};
  },
  async "GET /r2"(env, query) {
    if (!query.has("key")) {
      return { keys: (await env.BODIES.list()).objects.map((object) => object.key) };
    }
    const object = await env.BODIES.get(query.get("key"));
    if (object === null) return { base64: null };
    const bytes = new Uint8Array(await object.arrayBuffer());
    return { base64: btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")) };
  },
  async "POST /r2"(env, _query, { from, to }) {
    const body = await env.BODIES.get(from);
    await env.BODIES.put(to, await body.arrayBuffer());
    await env.BODIES.delete(from);
    return {};
  },
  async "DELETE /r2"(env, query) {
    await env.BODIES.delete(query.get("key"));
    return {};
  },
  async "POST /cron"(env, _query, { cron = env.CRON }) {
    return env.WORKER.scheduled({ cron, scheduledTime: new Date() });
  },
  "POST /fault": tapped("/fault"),
  "POST /counters": tapped("/counters"),
};

function tapped(path) {
  return async (env, _query, given) => {
    if (env.TAP === undefined) throw new Error("the gateway was started without its tap");
    const body = JSON.stringify(given);
    return (await env.TAP.fetch(`http://tap${path}`, { method: "POST", body })).json();
  };
}

export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    const route = routes[`${request.method} ${pathname}`];
    if (route === undefined) return Response.json({ error: "no such route" }, { status: 404 });
    try {
      const text = await request.text();
      return Response.json(await route(env, searchParams, text === "" ? {} : JSON.parse(text)));
    } catch (error) {
      return Response.json({ error: String(error?.message ?? error) }, { status: 500 });
    }
  },
};
