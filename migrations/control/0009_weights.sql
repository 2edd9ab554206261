-- What a subscription takes in a router's memory, in bytes, give or take: a project has a limit of all of them together.
ALTER TABLE subscriptions ADD COLUMN weight INTEGER NOT NULL DEFAULT 0;
UPDATE subscriptions SET weight = octet_length(doc) WHERE project_id NOT LIKE '%/gone';
