/**
 * The bytes of a small body, or nothing if they have not come within `ms`: see `src/body.rs`. The clock is started and stopped
 * in here, so that it costs no call out of WebAssembly.
 */
export const read = (request, ms) =>
  new Promise((resolve, reject) => {
    const clock = setTimeout(resolve, ms);
    const end = (settle) => (value) => {
      clearTimeout(clock);
      settle(value);
    };
    request.arrayBuffer().then(end(resolve), end(reject));
  });

/** For `src/chunks.rs`: a reader of a stream, what it holds next (nothing at its end), and that nothing more is wanted. */
export const reader = (stream) => stream.getReader();
export const chunk = async (reader) => (await reader.read()).value;
export const leave = (reader) => void reader.cancel().catch(() => {});
