/** Bytes before a body, for the fields of its message: see `sendRead` in `glue.js`. */
const BEFORE = 2048;
/** From here on it is dearer to copy a body into its message than to read it into a place of our choice. */
const IN_PLACE_FROM = 8192;

const inPlace = async (request, length) => {
  const place = new Uint8Array(new ArrayBuffer(BEFORE + length), BEFORE);
  const { value } = await request.body.getReader({ mode: "byob" }).readAtLeast(length, place);
  if (value?.length !== length) throw new Error("the body is shorter than it says");
  return value;
};

const bytes = (buffer) => new Uint8Array(buffer);

/** What a promise comes to, or after `ms` that it is still `pending`. The clock is stopped in here, so that it costs no call. */
export const within = (promise, ms) =>
  new Promise((resolve, reject) => {
    const clock = setTimeout(() => resolve({ pending: promise }), ms);
    const end = (settle) => (value) => {
      clearTimeout(clock);
      settle(value);
    };
    promise.then(end(resolve), end(reject));
  });

/** Reads a body of `length` bytes, for `ms` at first: see `src/body.rs`. */
export const read = (request, length, ms) =>
  within(length < IN_PLACE_FROM ? request.arrayBuffer().then(bytes) : inPlace(request, length), ms);

/** Goes on reading what was still pending. */
export const goOn = ({ pending }, ms) => within(pending, ms);

/** For `src/chunks.rs`: a reader of a stream, what it holds next (nothing at its end), and that nothing more is wanted. */
export const reader = (stream) => stream.getReader();
export const chunk = async (reader) => (await reader.read()).value;
export const leave = (reader) => void reader.cancel().catch(() => {});
