-- Whose event it is that is set aside: those of one source do not come before all others because they are due before them.
ALTER TABLE parked ADD COLUMN source_id TEXT NOT NULL DEFAULT '';
UPDATE parked SET source_id = coalesce(meta ->> '$.s', '') WHERE json_valid(meta) AND json_type(meta) = 'object';
DROP INDEX parked_due;
CREATE INDEX parked_due ON parked (due_at, source_id);
