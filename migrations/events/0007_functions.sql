-- JSON: what an event was before its source's functions made it what its row says: its headers, its content type, and its
-- body or the R2 object of it. NULL where no function ran.
ALTER TABLE events ADD COLUMN arrived TEXT;
