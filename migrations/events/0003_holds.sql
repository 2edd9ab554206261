-- Deliveries that wait for something else than their time: for room under a rate limit (`limit`), for a circuit breaker
-- (`breaker`), or for an endpoint to be active again (`endpoint`). NULL for all others, so the index costs them nothing.
ALTER TABLE deliveries ADD COLUMN hold TEXT;
CREATE INDEX deliveries_held ON deliveries (project_id, endpoint_id) WHERE hold IS NOT NULL;

-- Rate limits: the window that calls are let into now, and how many it holds. `gate` is an endpoint or a subscription.
-- `from_start` and `from_used` are where the last to ask began; `asked` is how many they asked for.
CREATE TABLE gates (
  project_id TEXT NOT NULL,
  gate TEXT NOT NULL,
  start INTEGER NOT NULL,
  used INTEGER NOT NULL,
  from_start INTEGER NOT NULL,
  from_used INTEGER NOT NULL,
  asked INTEGER NOT NULL,
  size INTEGER NOT NULL,
  span INTEGER NOT NULL,
  PRIMARY KEY (project_id, gate)
) WITHOUT ROWID;

-- Circuit breakers of endpoints that have failed. One that never failed has no row, or one that is not written.
CREATE TABLE breakers (
  project_id TEXT NOT NULL,
  endpoint_id TEXT NOT NULL,
  state TEXT NOT NULL,
  since INTEGER NOT NULL,
  reason TEXT NOT NULL,
  next_try INTEGER NOT NULL,
  -- Calls that a half-open breaker still lets through.
  trials INTEGER NOT NULL,
  window_start INTEGER NOT NULL,
  ok INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  -- How often it has opened since it was closed.
  trips INTEGER NOT NULL,
  PRIMARY KEY (project_id, endpoint_id)
) WITHOUT ROWID;
