-- What is routed in small batches is counted and watched in the row of the journal's mark, so that all of it is one row written.
-- JSON: `[project, source, events, last_event_at]` of what is not in `source_counts` yet, and `[project, delivery]` of what was made
-- since and may not be finished.
ALTER TABLE journal_state ADD COLUMN counts TEXT NOT NULL DEFAULT '[]';
ALTER TABLE journal_state ADD COLUMN under_way TEXT NOT NULL DEFAULT '[]';
