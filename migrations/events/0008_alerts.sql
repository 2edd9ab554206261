-- How often deliveries of a subscription failed since `started_at`: of those alone that ask to be told of it.
CREATE TABLE alerts (
  project_id TEXT NOT NULL,
  subscription_id TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  PRIMARY KEY (project_id, subscription_id)
) WITHOUT ROWID;
