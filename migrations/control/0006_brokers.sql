-- With these keys companions come. `hash` is a keyed hash, as that of API keys.
CREATE TABLE consumer_keys (
  hash TEXT PRIMARY KEY,
  id TEXT NOT NULL,
  project_id TEXT NOT NULL,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  last_used_at INTEGER
) WITHOUT ROWID;
CREATE INDEX consumer_keys_by_project ON consumer_keys (project_id, id);

-- What companions last said of the sources they read.
CREATE TABLE consumer_reports (
  project_id TEXT NOT NULL,
  source_id TEXT NOT NULL,
  companion TEXT NOT NULL,
  version TEXT NOT NULL,
  seen_at INTEGER NOT NULL,
  doc TEXT NOT NULL,
  PRIMARY KEY (project_id, source_id, companion)
) WITHOUT ROWID;
