-- Until when a journal is one drain's alone, Unix milliseconds: of a crowd each event is routed, and each bell rung, by one.
ALTER TABLE journal_state ADD COLUMN draining_until INTEGER NOT NULL DEFAULT 0;
