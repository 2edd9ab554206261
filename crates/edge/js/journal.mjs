// Rows of the journal, as many events in each as come at the same time.
import { Together } from "./together.mjs";

/** Characters of a row of many events. D1 takes 2 MB, and a character may be three bytes. */
const ROW_MAX = 600_000;

const insert = (env, { database, sql, meta, body, isBase64 }) =>
  env[database].prepare(sql).bind(meta, body, isBase64).run();

/** `Pack` in `crates/gateway/src/wire.rs` says what a row of many is. */
const pack = (group) => ({
  ...group[0],
  meta: `[${group.map(({ length, meta }) => `[${length},${meta}]`).join(",")}]`,
  body: group.map(({ body }) => body).join(""),
});

const rows = new Together({
  isKin: (row, other) => row.database === other.database && row.sql === other.sql,
  size: ({ meta, body }) => meta.length + body.length,
  max: ROW_MAX,
  write: (env, group) => insert(env, group.length === 1 ? group[0] : pack(group)),
  // D1 does one after another.
  width: 2,
});

/** `length`: the bytes of `body`. Base64 cannot be joined, and a row of many is full enough. */
export const append = (env, database, sql, meta, body, length, isBase64) => {
  const row = { database, sql, meta, body, length, isBase64 };
  return isBase64 || meta.startsWith("[") ? insert(env, row) : rows.put(env, row);
};
