-- Meta events of changes to this database, written with the change, until they are on their way with the events.
CREATE TABLE meta_events_noted (
  id TEXT PRIMARY KEY,
  meta TEXT NOT NULL,
  body TEXT NOT NULL
) WITHOUT ROWID;
