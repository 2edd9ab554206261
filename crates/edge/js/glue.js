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

/**
 * The clock of a request, for all that it waits for one after another: a timer costs more than a call out of WebAssembly. It is never
 * stopped. One that rings when nobody waits does nothing, and the runtime drops it together with its request.
 */
class Clock {
  #isSet = false;
  #due = 0;
  #late;

  /** What `promise` comes to, or after `ms` what `late` is told to make of it. */
  within(ms, promise, late) {
    return new Promise((resolve, reject) => {
      const end = (settle) => (value) => {
        this.#late = undefined;
        settle(value);
      };
      this.#due = Date.now() + ms;
      this.#late = () => late(resolve, reject);
      if (!this.#isSet) this.#set(ms);
      promise.then(end(resolve), end(reject));
    });
  }

  #set(ms) {
    this.#isSet = true;
    setTimeout(() => this.#ring(), ms);
  }

  #ring() {
    this.#isSet = false;
    if (!this.#late) return;
    const left = this.#due - Date.now();
    if (left > 0) return this.#set(left);
    const late = this.#late;
    this.#late = undefined;
    late();
  }
}

/** Bytes before a body, for the fields of its message: see `sendRead`. */
const BEFORE = 2048;
/** From here on it is dearer to copy a body into its message than to read it into a place of our choice. */
const IN_PLACE_FROM = 8192;

const inPlace = async (request, length) => {
  const place = new Uint8Array(new ArrayBuffer(BEFORE + length), BEFORE);
  const { value } = await request.body.getReader({ mode: "byob" }).readAtLeast(length, place);
  if (value?.length !== length) throw new Error("the body is shorter than it says");
  return value;
};

const atOnce = async (request) => new Uint8Array(await request.arrayBuffer());

/** Goes on reading what was still pending. */
export const goOn = ({ reading, clock }, ms) => clock.within(ms, reading, (resolve) => resolve({ reading, clock }));

/** Reads a body of `length` bytes, for `ms` at first: see `src/body.rs`. Whoever writes the body takes its clock along. */
export const read = (request, length, ms) => {
  const clock = new Clock();
  const reading = (length < IN_PLACE_FROM ? atOnce(request) : inPlace(request, length)).then((body) => {
    body.clock = clock;
    return body;
  });
  return goOn({ reading, clock }, ms);
};

/** For `src/chunks.rs`: a reader of a stream, what it holds next (nothing at its end), and that nothing more is wanted. */
export const reader = (stream) => stream.getReader();
export const chunk = async (reader) => (await reader.read()).value;
export const leave = (reader) => void reader.cancel().catch(() => {});

/** How long a durable write may take before the other way is tried. Should it come to its end after all, two copies of an event are one. */
const WRITE_WITHIN = 5000;

const inTime = (promise, clock = new Clock()) =>
  clock.within(WRITE_WITHIN, promise, (_, reject) => reject(new Error(`no answer within ${WRITE_WITHIN} ms`)));

export const send = (env, queue, fields, body, clock) => {
  const message = new Uint8Array(fields.length + body.length);
  message.set(fields);
  message.set(body, fields.length);
  return inTime(globalThis.inletSend(env, queue, message), clock);
};

/** `body` is one that `read` has read. Where it has room before it, the fields go there, and nothing is copied. */
export const sendRead = (env, queue, fields, body) => {
  const start = body.byteOffset - fields.length;
  if (start < 0) return send(env, queue, fields, body, body.clock);
  const message = new Uint8Array(body.buffer, start, fields.length + body.length);
  message.set(fields);
  return inTime(globalThis.inletSend(env, queue, message), body.clock);
};

/** What waits in a queue, for `src/backlog.rs`: nothing where the runtime does not say. */
export const queued = async (env, queue) => {
  const { backlogCount, oldestMessageTimestamp } = (await env[queue].metrics?.()) ?? {};
  return JSON.stringify({ count: backlogCount, oldest_at: Number(oldestMessageTimestamp) });
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
