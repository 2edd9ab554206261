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
export const head = (request) => {
  let text = `${request.method}\n${request.url}`;
  request.headers.forEach((value, name) => {
    text += `\n${name},${value}`;
  });
  return text;
};

/** `lines`: names of headers and their values in turns. */
const init = (status, lines) => {
  // What nearly every request is answered, as an object whose shape the engine knows.
  if (lines.length === 4 && lines[0] === "content-type" && lines[2] === "inlet-event-id") {
    return { status, headers: { "content-type": lines[1], "inlet-event-id": lines[3] } };
  }
  const headers = {};
  for (let i = 1; i < lines.length; i += 2) headers[lines[i - 1]] = lines[i];
  return { status, headers };
};

/** `head`: the lines of headers. The body is a view of memory that will mean something else. */
export const respond = (status, head, body) =>
  new Response(body.length === 0 ? null : body.slice(), init(status, head.split("\n")));

/** `answer`: the lines of headers, NUL, and a body that is text. One text crosses faster than a text and bytes. */
export const respondText = (status, answer) => {
  const end = answer.indexOf("\0");
  return new Response(answer.slice(end + 1), init(status, answer.slice(0, end).split("\n")));
};

/** A text of `texts.mjs`. */
export const text = (name) => globalThis.inletTexts?.[name] ?? "";

/** See `yaml.mjs`. */
export const yaml = (text) => globalThis.inletYaml?.(text) ?? "!no reader of YAML is built in";

const BYTES = { contentType: "bytes" };
/** How long a durable write may take before the other way is tried. Should it come to its end after all, two copies of an event are one. */
const WRITE_WITHIN = 5000;

/** A promise that is kept within the time, or broken. The clock is stopped in here, so that it costs no call out of WebAssembly. */
const inTime = (promise) =>
  new Promise((resolve, reject) => {
    const late = () => reject(new Error(`no answer within ${WRITE_WITHIN} ms`));
    const clock = setTimeout(late, WRITE_WITHIN);
    const end = (settle) => (value) => {
      clearTimeout(clock);
      settle(value);
    };
    promise.then(end(resolve), end(reject));
  });

export const send = (env, queue, fields, body) => {
  const message = new Uint8Array(fields.length + body.length);
  message.set(fields);
  message.set(body, fields.length);
  return inTime(env[queue].send(message, BYTES));
};

/** `body` is one that `body.js` has read. Where it has room before it, the fields go there, and nothing is copied. */
export const sendRead = (env, queue, fields, body) => {
  const start = body.byteOffset - fields.length;
  if (start < 0) return send(env, queue, fields, body);
  const message = new Uint8Array(body.buffer, start, fields.length + body.length);
  message.set(fields);
  return inTime(env[queue].send(message, BYTES));
};

export const insert = (env, database, sql, meta, body, length, isBase64) =>
  inTime(globalThis.inletAppend(env, database, sql, meta, body, length, isBase64));

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
