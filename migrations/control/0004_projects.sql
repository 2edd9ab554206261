-- The names of what happens in a project. Every project has `*`, which stands for all of them.
CREATE TABLE event_types (
  project_id TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  doc TEXT NOT NULL,
  PRIMARY KEY (project_id, name)
) WITHOUT ROWID;

INSERT INTO event_types (project_id, id, name, doc)
SELECT id, id, '*', json_object('uid', id, 'project_id', id, 'name', '*', 'category', '', 'description', '',
  'created_at', doc -> '$.created_at', 'updated_at', doc -> '$.created_at') FROM projects;

-- What is shown of a key, and until when it opens the API; NULL is for ever.
ALTER TABLE api_keys ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN mask TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN expires_at INTEGER;
CREATE INDEX api_keys_by_project ON api_keys (project_id);

-- Projects that are gone, until the sweep has removed the last of their events.
CREATE TABLE deleted_projects (
  id TEXT PRIMARY KEY,
  shard INTEGER NOT NULL,
  deleted_at INTEGER NOT NULL
) WITHOUT ROWID;
