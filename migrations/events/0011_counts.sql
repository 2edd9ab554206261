-- How often the store said that it has no such body; `tries` counts all that was in vain.
ALTER TABLE parked ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;

-- What cannot be read is one dead letter however often it is met: the second half of its uid says where it was (`ids::placed`).
CREATE UNIQUE INDEX dead_letters_by_place ON dead_letters (substr(id, 11)) WHERE kind = 'unreadable';

-- How many of a delivery's dispatchers died since the last attempt that was recorded. The lease counts it, in the row that it writes anyway.
ALTER TABLE deliveries ADD COLUMN interrupted INTEGER NOT NULL DEFAULT 0;
