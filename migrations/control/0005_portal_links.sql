-- Portal links: what lets an owner of endpoints see them.
CREATE TABLE portal_links (
  project_id TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  owner_id TEXT NOT NULL,
  doc TEXT NOT NULL,
  PRIMARY KEY (project_id, id)
) WITHOUT ROWID;

-- `hash` is a keyed hash of the token, as for API keys. `expires_at` is NULL for the token that a link has for good.
CREATE TABLE portal_tokens (
  hash TEXT PRIMARY KEY,
  project_id TEXT NOT NULL,
  link_id TEXT NOT NULL,
  expires_at INTEGER
) WITHOUT ROWID;
CREATE INDEX portal_tokens_by_link ON portal_tokens (project_id, link_id);
