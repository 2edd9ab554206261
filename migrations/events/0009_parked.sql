-- Events that lack something to be routed: they wait here, so that the journal's mark and the queue go on without them.
CREATE TABLE parked (
  project_id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  meta TEXT NOT NULL,
  body TEXT NOT NULL,
  is_base64 INTEGER NOT NULL,
  -- How often it was tried in vain, and since when.
  tries INTEGER NOT NULL,
  since INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  PRIMARY KEY (project_id, event_id)
) WITHOUT ROWID;
CREATE INDEX parked_due ON parked (due_at);
