-- What a change leaves to be done in the shard of its project: noted with the change, so that it is done in the end though the
-- shard does not answer. `kind` says what `id` is.
CREATE TABLE owed (
  project_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  endpoint_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (project_id, kind, id, endpoint_id)
) WITHOUT ROWID;

-- What is left of subscriptions that are deleted, by when that was: only they have an entry.
UPDATE subscriptions SET doc = json_set(doc, '$.gone_at', unixepoch() * 1000) WHERE project_id LIKE '%/gone';
CREATE INDEX subscriptions_gone ON subscriptions (project_id, doc ->> '$.gone_at') WHERE doc ->> '$.gone_at' IS NOT NULL;
