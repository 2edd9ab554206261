// Messages of the ingest queue, as many events in each as come at the same time.
import { Together } from "./together.mjs";

/** Bytes of a message of many events: what the queue counts as one operation, less what it adds. */
const PACK_MAX = 63_000;
/** The first byte of such a message: see `Envelope::of_message` in `crates/gateway/src/wire.rs`. */
const MANY = 2;
const BYTES = { contentType: "bytes" };

const size = ({ message }) => 4 + message.length;

const pack = (group) => {
  const bytes = new Uint8Array(group.reduce((all, one) => all + size(one), 1));
  const view = new DataView(bytes.buffer);
  bytes[0] = MANY;
  let at = 1;
  for (const { message } of group) {
    view.setUint32(at, message.length, true);
    bytes.set(message, at + 4);
    at += 4 + message.length;
  }
  return bytes;
};

const messages = new Together({
  isKin: (one, other) => one.queue === other.queue,
  size,
  max: PACK_MAX - 1,
  write: (env, group) => env[group[0].queue].send(group.length === 1 ? group[0].message : pack(group), BYTES),
  // What else is ready has come after a turn of the runtime's loop.
  gather: () => new Promise((go) => setTimeout(go, 0)),
});

/** Fulfilled when the queue has the message. One that would leave no room for a second like it does not wait for others. */
export const send = (env, queue, message) =>
  2 * message.length < PACK_MAX ? messages.put(env, { queue, message }) : env[queue].send(message, BYTES);
