-- Sources of which the edge has still to hear, because their project has changed or is gone. `at` says which change.
CREATE TABLE untold (
  project_id TEXT NOT NULL,
  mask_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (project_id, mask_id)
) WITHOUT ROWID;

-- Test sessions, by their end: only they have an entry.
CREATE INDEX sessions_by_end ON sources (doc ->> '$.admission.expires_at') WHERE doc ->> '$.profile.is_session' = 1;
