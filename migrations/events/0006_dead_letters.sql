-- Dead letters belong to a project, so that it can see them and replay them. `project_id` is empty for what could not even
-- be read. Rows are rare, so an index costs little.
ALTER TABLE dead_letters ADD COLUMN project_id TEXT NOT NULL DEFAULT '';
ALTER TABLE dead_letters ADD COLUMN source_id TEXT NOT NULL DEFAULT '';
ALTER TABLE dead_letters ADD COLUMN event_id TEXT;
ALTER TABLE dead_letters ADD COLUMN broker_message_id TEXT;
-- JSON: the headers of a message, its key, and when the broker took it.
ALTER TABLE dead_letters ADD COLUMN detail TEXT;
-- The R2 object of a payload that is not in the row.
ALTER TABLE dead_letters ADD COLUMN body_key TEXT;
ALTER TABLE dead_letters ADD COLUMN length INTEGER;
CREATE INDEX dead_letters_by_project ON dead_letters (project_id, id);
-- A message that the broker hands out again is the same dead letter.
CREATE UNIQUE INDEX dead_letters_by_message ON dead_letters (source_id, broker_message_id)
  WHERE kind = 'broker' AND broker_message_id IS NOT NULL;
