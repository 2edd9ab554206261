// Event databases beyond the first, and what each of them has of its own. wrangler.toml writes that down for the first one
// (`EVENTS_0`, `INGEST_0`, `DELIVER_0`); here it is repeated.

/** As many as the Worker looks for: `SHARDS_MAX` of crates/gateway/src/shard.rs. */
export const SHARDS_MAX = 32;

const FIRST = /([_-])0$/;
const of = (name, shard) => name.replace(FIRST, `$1${shard}`);

/** A configuration with so many event databases, each with its ingest queue and that queue's consumer. */
export function withShards(config, shards) {
  const more = Array.from({ length: shards - 1 }, (_, i) => i + 1);
  const repeated = (list, isFirst, copy) =>
    list?.flatMap((item) => [item, ...(isFirst(item) ? more.map((shard) => ({ ...item, ...copy(item, shard) })) : [])]);
  const { producers, consumers, ...queues } = config.queues ?? {};
  const own = (producers ?? []).filter(({ binding }) => FIRST.test(binding)).map(({ queue }) => queue);
  return {
    ...config,
    d1_databases: repeated(
      config.d1_databases,
      ({ binding }) => FIRST.test(binding),
      (db, shard) => ({
        binding: of(db.binding, shard),
        database_name: of(db.database_name, shard),
        // A placeholder, and another one for each.
        database_id: `00000000-0000-0000-0000-${String(shard + 1).padStart(12, "0")}`,
      }),
    ),
    queues: {
      ...queues,
      producers: repeated(
        producers,
        ({ binding }) => FIRST.test(binding),
        ({ binding, queue }, shard) => ({ binding: of(binding, shard), queue: of(queue, shard) }),
      ),
      consumers: repeated(
        consumers,
        ({ queue }) => own.includes(queue),
        ({ queue }, shard) => ({ queue: of(queue, shard) }),
      ),
    },
  };
}

const COUNT = /^[1-9]\d?$/;

/**
 * How many event databases a deployment has: as many as are asked for, or else as there are. `names` are those of all databases
 * of the account; those count that have the ones before them, as for the Worker. There are never fewer than before, because
 * projects live in each of them.
 */
export function shardCount({ given, name, names }) {
  const all = new Set(names);
  let have = 0;
  while (have < SHARDS_MAX && all.has(`${name}-events-${have}`)) have += 1;
  if (!given) return { shards: Math.max(1, have), problem: null };
  const shards = COUNT.test(given.trim()) ? Number(given) : 0;
  if (shards < 1 || shards > SHARDS_MAX) {
    return { shards: have, problem: `SHARDS=${given}: a number of event databases, from 1 to ${SHARDS_MAX}.` };
  }
  if (shards < have) {
    return {
      shards: have,
      problem: `SHARDS=${given}: there are ${have} event databases (${name}-events-0 to ${name}-events-${have - 1}), and projects live in them. Their number only grows; left out, it stays.`,
    };
  }
  return { shards, problem: null };
}
