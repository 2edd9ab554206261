// What the hot path asks of the runtime, in as few calls as can be: a call out of WebAssembly costs as much as some hundred
// lines of Rust, and each text that crosses has to be written anew. `src/glue.rs` says what each of these is for.

// The futures of Rust wake by microtasks. The runtime's own `queueMicrotask` costs ten times as much as a promise's.
const resolved = Promise.resolve();
globalThis.queueMicrotask = (task) => {
  resolved.then(() => {
    try {
      task();
    } catch (error) {
      reportError(error);
    }
  });
};

/** Method, URL, and the header lines as `name,value`: no name holds a comma, nothing here a line feed. */
export const head = (request) =>
  `${request.method}\n${request.url}\n${Array.from(request.headers).join("\n")}`;

/** `headers` are lines, name and value in turns. The body is a view of memory that will mean something else. */
export const respond = (status, headers, body) => {
  const lines = headers.split("\n");
  const init = { status, headers: {} };
  for (let i = 1; i < lines.length; i += 2) init.headers[lines[i - 1]] = lines[i];
  return new Response(body.length === 0 ? null : body.slice(), init);
};

/** A text of `texts.mjs`. */
export const text = (name) => globalThis.inletTexts?.[name] ?? "";

/** See `yaml.mjs`. */
export const yaml = (text) => globalThis.inletYaml?.(text) ?? "!no reader of YAML is built in";

const BYTES = { contentType: "bytes" };

export const send = (env, queue, fields, body) => {
  const message = new Uint8Array(fields.length + body.length);
  message.set(fields);
  message.set(body, fields.length);
  return env[queue].send(message, BYTES);
};

export const insert = (env, database, sql, meta, body, length, isBase64) =>
  globalThis.inletAppend(env, database, sql, meta, body, length, isBase64);

/** Keys of this isolate, by hash and bytes. They are no handles of a request. */
const keys = new Map();
const KEYS_MAX = 200;

export const mac = (hash, key, before, body, after) => {
  let message = body;
  if (before.length + after.length > 0) {
    message = new Uint8Array(before.length + body.length + after.length);
    message.set(before);
    message.set(body, before.length);
    message.set(after, before.length + body.length);
  }
  const name = hash + String.fromCharCode(...key);
  const known = keys.get(name);
  if (known) return crypto.subtle.sign("HMAC", known, message);
  const algorithm = { name: "HMAC", hash };
  return crypto.subtle.importKey("raw", key.slice(), algorithm, false, ["sign"]).then((imported) => {
    if (keys.size >= KEYS_MAX) keys.clear();
    keys.set(name, imported);
    return crypto.subtle.sign("HMAC", imported, message);
  });
};
