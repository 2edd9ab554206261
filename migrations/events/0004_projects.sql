-- How much each source has brought: one row written for a batch of its events, not for each of them.
CREATE TABLE source_counts (
  project_id TEXT NOT NULL,
  source_id TEXT NOT NULL,
  events INTEGER NOT NULL,
  last_event_at INTEGER NOT NULL,
  PRIMARY KEY (project_id, source_id)
) WITHOUT ROWID;

-- Requests that a source with a limit has had.
CREATE TABLE source_requests (
  source_id TEXT PRIMARY KEY,
  requests INTEGER NOT NULL
) WITHOUT ROWID;

-- Claims that outlive their event, because a key is held longer than its project keeps events.
CREATE TABLE claims_left (
  expires_at INTEGER NOT NULL,
  source_id TEXT NOT NULL,
  key TEXT NOT NULL,
  PRIMARY KEY (expires_at, source_id, key)
) WITHOUT ROWID;
