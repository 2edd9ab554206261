-- What an event that is set aside lacks, in words.
ALTER TABLE parked ADD COLUMN reason TEXT NOT NULL DEFAULT '';
