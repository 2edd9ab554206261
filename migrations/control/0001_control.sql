-- What a row means stands in `doc` (JSON, the stored types of crates/gateway); a column beside it is there to be
-- looked up by. Rows are few and read often.
CREATE TABLE projects (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  doc TEXT NOT NULL
) WITHOUT ROWID;

-- `hash` is a keyed hash of the key; the key itself is shown once and stored nowhere.
CREATE TABLE api_keys (
  hash TEXT PRIMARY KEY,
  id TEXT NOT NULL,
  project_id TEXT NOT NULL,
  created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE sources (
  project_id TEXT NOT NULL,
  id TEXT NOT NULL,
  mask_id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  type TEXT NOT NULL,
  provider TEXT NOT NULL,
  doc TEXT NOT NULL,
  PRIMARY KEY (project_id, id)
) WITHOUT ROWID;

CREATE TABLE endpoints (
  project_id TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  owner_id TEXT NOT NULL,
  doc TEXT NOT NULL,
  PRIMARY KEY (project_id, id)
) WITHOUT ROWID;

CREATE INDEX endpoints_by_owner ON endpoints (project_id, owner_id) WHERE owner_id <> '';
CREATE INDEX endpoints_by_url ON endpoints (project_id, doc ->> '$.url');

CREATE TABLE subscriptions (
  project_id TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  source_id TEXT NOT NULL,
  endpoint_id TEXT NOT NULL,
  doc TEXT NOT NULL,
  PRIMARY KEY (project_id, id)
) WITHOUT ROWID;
CREATE INDEX subscriptions_by_source ON subscriptions (project_id, source_id);
CREATE INDEX subscriptions_by_endpoint ON subscriptions (project_id, endpoint_id);
