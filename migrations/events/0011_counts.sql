-- How often the store said that it has no such body; `tries` counts all that was in vain.
ALTER TABLE parked ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
