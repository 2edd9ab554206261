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
