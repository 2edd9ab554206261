-- One event shard. D1 bills rows written, and an index entry is a row: so there is one index, and it holds only what
-- waits. An event that is delivered once writes 5 rows in queue mode (event, claim, delivery three times) and one more
-- in journal mode.

-- Accepted events. The body is text, base64 when it is not text, or an R2 object when it is large.
CREATE TABLE events (
  project_id TEXT NOT NULL,
  id TEXT NOT NULL,
  source_id TEXT NOT NULL,
  mask_id TEXT NOT NULL,
  event_type TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  content_type TEXT,
  headers TEXT NOT NULL,
  query TEXT NOT NULL,
  idempotency_key TEXT,
  body TEXT NOT NULL,
  is_base64 INTEGER NOT NULL,
  body_key TEXT,
  status TEXT NOT NULL,
  failure_reason TEXT NOT NULL,
  -- JSON: what verification came to, where there was something to verify.
  verification TEXT,
  target TEXT,
  broker_message_id TEXT,
  PRIMARY KEY (project_id, id)
) WITHOUT ROWID;

-- Dedup: who holds a key, and until when. `source_id` is the project for keys of events that were pushed. A claim is taken over when it has run out.
CREATE TABLE claims (
  source_id TEXT NOT NULL,
  key TEXT NOT NULL,
  event_id TEXT NOT NULL,
  claimed_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (source_id, key)
) WITHOUT ROWID;

-- What sources that only observe have seen.
CREATE TABLE verdicts (
  project_id TEXT NOT NULL,
  source_id TEXT NOT NULL,
  verified INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  last_refused_at INTEGER,
  PRIMARY KEY (project_id, source_id)
) WITHOUT ROWID;

-- Refused requests of a source, with the reason: no bodies, no values. `slot` goes round, so there are never more than 100.
CREATE TABLE rejections (
  project_id TEXT NOT NULL,
  source_id TEXT NOT NULL,
  slot INTEGER NOT NULL,
  at INTEGER NOT NULL,
  doc TEXT NOT NULL,
  PRIMARY KEY (project_id, source_id, slot)
) WITHOUT ROWID;

-- Copies that were dropped, so that the id which their sender was given leads to the event.
CREATE TABLE duplicates (
  project_id TEXT NOT NULL,
  id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  PRIMARY KEY (project_id, id)
) WITHOUT ROWID;

-- One event for one endpoint. `attempt` is the last attempt; those before it are in `attempts`.
-- `lease_until`: a dispatcher is at work until then. `due_at`: not to be tried before. `look_at`: when the sweep looks
-- whether the delivery still waits; NULL while the outbox or nothing at all vouches for it.
CREATE TABLE deliveries (
  project_id TEXT NOT NULL,
  id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  subscription_id TEXT NOT NULL,
  endpoint_id TEXT NOT NULL,
  source_id TEXT NOT NULL,
  event_type TEXT NOT NULL,
  delivery_mode TEXT NOT NULL,
  status TEXT NOT NULL,
  description TEXT NOT NULL DEFAULT '',
  attempts INTEGER NOT NULL DEFAULT 0,
  attempt TEXT,
  lease_until INTEGER,
  due_at INTEGER,
  look_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  -- The replay that made it; NULL for the deliveries of the event's own arrival.
  replay TEXT,
  PRIMARY KEY (project_id, id)
) WITHOUT ROWID;
CREATE INDEX deliveries_to_look_at ON deliveries (look_at) WHERE look_at IS NOT NULL;

CREATE TABLE attempts (
  delivery_id TEXT NOT NULL,
  n INTEGER NOT NULL,
  doc TEXT NOT NULL,
  PRIMARY KEY (delivery_id, n)
) WITHOUT ROWID;

-- The deliveries of one fan-out, until the sweep has seen that none of them was forgotten.
CREATE TABLE outbox (
  at INTEGER NOT NULL,
  id TEXT NOT NULL,
  deliveries TEXT NOT NULL,
  PRIMARY KEY (at, id)
) WITHOUT ROWID;

-- Envelopes that are durable and not yet routed. Written by the hour, in turns; nothing is deleted row by row: the
-- router moves `done` forward, and a table whose hour is over is emptied whole, which costs nothing.
-- `seq` is a rowid: it grows in the order of the commits, so `done` never passes a row that is still to appear.
CREATE TABLE journal_0 (seq INTEGER PRIMARY KEY, meta TEXT NOT NULL, body TEXT NOT NULL, is_base64 INTEGER NOT NULL);
CREATE TABLE journal_1 (seq INTEGER PRIMARY KEY, meta TEXT NOT NULL, body TEXT NOT NULL, is_base64 INTEGER NOT NULL);
CREATE TABLE journal_state (journal INTEGER PRIMARY KEY, done INTEGER NOT NULL, epoch INTEGER NOT NULL);
INSERT INTO journal_state (journal, done, epoch) VALUES (0, 0, 0), (1, 0, 0);

-- What could not be routed, as it was, with the reason.
CREATE TABLE dead_letters (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  reason TEXT NOT NULL,
  payload TEXT NOT NULL,
  is_base64 INTEGER NOT NULL,
  at INTEGER NOT NULL
) WITHOUT ROWID;
