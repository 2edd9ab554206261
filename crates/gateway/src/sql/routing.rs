//! Routing: one batch for a whole batch of envelopes; see `route` for the rows.

use serde_json::{Value, json};

use super::{DELIVERY_COLUMNS, Param, Statement, hold, statement};

/// Claims dedup keys: `[scope, key, event, claimed_at, expires_at, project]`. A key is free when nobody
/// holds it or when its time was over as the event arrived.
pub fn claim(rows: impl Into<Param>) -> Statement {
    statement(
        "INSERT INTO claims (source_id, key, event_id, claimed_at, expires_at) \
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?1) WHERE true \
         ON CONFLICT (source_id, key) DO UPDATE SET \
         event_id = excluded.event_id, claimed_at = excluded.claimed_at, expires_at = excluded.expires_at \
         WHERE claims.expires_at <= excluded.claimed_at",
        [rows.into()],
    )
}

/// Keeps, beside them, the claims whose time was over as rows of [`claim`] arrived that will take them over: an event of their time
/// may still be on its way. They stand under [`beside`], each by its own time, and never meet: a claim is taken over after its end, and
/// one that is late has ended before the one that holds the key began, and meets none that is there.
pub fn keep_claims(rows: impl Into<Param>) -> Statement {
    let (scope, key) = beside("c.source_id", "c.key", "c.claimed_at");
    statement(
        &format!(
            "INSERT INTO claims (source_id, key, event_id, claimed_at, expires_at) \
         SELECT {scope}, {key}, c.event_id, c.claimed_at, c.expires_at FROM json_each(?1) AS j \
         JOIN claims AS c ON c.source_id = j.value ->> 0 AND c.key = j.value ->> 1 WHERE c.expires_at <= j.value ->> 3 \
         ON CONFLICT (source_id, key) DO NOTHING"
        ),
        [rows.into()],
    )
}

/// Claims the keys of those rows of [`claim`] that are routed late: their own time was over when whoever holds the key arrived.
/// They have claims of their own beside it, so that of several of them copies are found, too. Of those that are new, the first
/// takes the key, and then the first that came after its end. What was found to be a copy claims nothing when it is routed again.
pub fn claim_late(rows: impl Into<Param>) -> Statement {
    let (beside_scope, beside_key) = beside("scope", "key", "at");
    let is_new = is_new_of_late([
        "j.value ->> 5",
        "j.value ->> 2",
        "j.value ->> 0",
        "j.value ->> 1",
        "j.value ->> 3",
        "j.value ->> 4",
    ]);
    statement(
        &format!(
            "WITH RECURSIVE late (scope, key, event, at, until) AS MATERIALIZED (\
         SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2, j.value ->> 3, j.value ->> 4 FROM json_each(?1) AS j \
         JOIN claims AS c ON c.source_id = j.value ->> 0 AND c.key = j.value ->> 1 \
         WHERE j.value ->> 4 <= c.claimed_at AND {is_new}), \
         taken (scope, key, event, at, until) AS (\
         SELECT scope, key, event, at, until FROM (\
         SELECT *, row_number() OVER (PARTITION BY scope, key ORDER BY at, event) AS n FROM late) WHERE n = 1 \
         UNION ALL SELECT l.scope, l.key, l.event, l.at, l.until FROM taken AS t JOIN late AS l ON l.event = (\
         SELECT m.event FROM late AS m WHERE m.scope = t.scope AND m.key = t.key AND t.until <= m.at \
         ORDER BY m.at, m.event LIMIT 1)) \
         INSERT INTO claims (source_id, key, event_id, claimed_at, expires_at) \
         SELECT {beside_scope}, {beside_key}, event, at, until FROM taken WHERE true ON CONFLICT (source_id, key) DO NOTHING"
        ),
        [rows.into()],
    )
}

/// Scope and key of a claim that stands beside the one that holds the key, by when it began. No scope of others ends so.
pub(super) fn beside(scope: &str, key: &str, at: &str) -> (String, String) {
    (format!("({scope}) || '~'"), format!("({key}) || printf('~%015d', {at})"))
}

/// The last claim beside the one that holds the key that began before `until`: because they never meet, no other can meet an event
/// that ends then.
fn nearest(scope: &str, key: &str, until: &str) -> String {
    let (scope, end) = beside(scope, key, until);
    format!(
        "(SELECT event_id, expires_at FROM claims AS n WHERE n.source_id = {scope} AND n.key >= ({key}) || '~' AND n.key < {end} \
         AND length(n.key) = length({end}) ORDER BY n.key DESC LIMIT 1)"
    )
}

/// Whether an event that is routed late is none of the copies: it was never found to be one, and no other was taken in whose time
/// meets its own.
fn is_new_of_late([project, event, scope, key, at, until]: [&str; 6]) -> String {
    let nearest = nearest(scope, key, until);
    format!(
        "NOT EXISTS (SELECT 1 FROM duplicates AS d WHERE d.project_id = {project} AND d.id = {event}) \
         AND NOT EXISTS (SELECT 1 FROM {nearest} AS l WHERE l.event_id <> {event} AND {at} < l.expires_at)"
    )
}

/// Counts the verdicts of sources that observe, before their events are inserted: `[project, source, event, verified (1 or 0),
/// at]`. What is there already has been counted.
pub fn count_verdicts(rows: impl Into<Param>) -> Statement {
    statement(
        "INSERT INTO verdicts (project_id, source_id, verified, refused, last_refused_at) \
         SELECT j.value ->> 0, j.value ->> 1, sum(j.value ->> 3), sum(1 - (j.value ->> 3)), \
         max(CASE j.value ->> 3 WHEN 0 THEN j.value ->> 4 END) FROM json_each(?1) AS j \
         WHERE NOT EXISTS (SELECT 1 FROM events AS e WHERE e.project_id = j.value ->> 0 AND e.id = j.value ->> 2) \
         GROUP BY j.value ->> 0, j.value ->> 1 \
         ON CONFLICT (project_id, source_id) DO UPDATE SET verified = verified + excluded.verified, \
         refused = refused + excluded.refused, last_refused_at = coalesce(excluded.last_refused_at, last_refused_at)",
        [rows.into()],
    )
}

/// What a source that observes has seen: `verified`, `refused`, `last_refused_at`.
pub fn verdicts(project_id: &str, source_id: &str) -> Statement {
    statement(
        "SELECT verified, refused, last_refused_at FROM verdicts WHERE project_id = ?1 AND source_id = ?2",
        [project_id.into(), source_id.into()],
    )
}

/// Milliseconds of which one refused request of a source is kept, and how many are.
const REJECTION_SLOT_MS: u64 = 5_000;
const REJECTION_SLOTS: u64 = 100;

/// Keeps a refused request in the place of an old one: the first of its five seconds.
pub fn keep_rejection(project_id: &str, source_id: &str, now_ms: u64, doc: Value) -> Statement {
    statement(
        "INSERT INTO rejections (project_id, source_id, slot, at, doc) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (project_id, source_id, slot) DO UPDATE SET at = excluded.at, doc = excluded.doc \
         WHERE rejections.at + ?6 <= excluded.at",
        [
            project_id.into(),
            source_id.into(),
            (now_ms / REJECTION_SLOT_MS % REJECTION_SLOTS).into(),
            now_ms.into(),
            doc.into(),
            REJECTION_SLOT_MS.into(),
        ],
    )
}

/// The refused requests of a source that are kept, newest first.
pub fn rejections(project_id: &str, source_id: &str) -> Statement {
    statement(
        "SELECT doc FROM rejections WHERE project_id = ?1 AND source_id = ?2 ORDER BY at DESC",
        [project_id.into(), source_id.into()],
    )
}

/// Whether an event of the rows of `?1` is none of the copies: it needs no claim or holds one, or is late and new among those
/// that are. The arguments are the places of project, event, scope, key, and of when the event came and its claim ends.
pub(super) fn is_no_copy(places: [&str; 6]) -> String {
    let [_, event, scope, key, _, until] = places;
    let is_new = is_new_of_late(places);
    format!(
        "({key} IS NULL OR EXISTS (SELECT 1 FROM claims AS c WHERE c.source_id = {scope} AND c.key = {key} \
         AND (c.event_id = {event} OR {until} <= c.claimed_at AND {is_new})))"
    )
}

/// Inserts the events that are no copies. A body in `?2` stands for that of the only row.
pub fn insert_events(rows: impl Into<Param>, body: Option<String>) -> Statement {
    let is_no_copy = is_no_copy([
        "j.value ->> 0",
        "j.value ->> 1",
        "coalesce(j.value ->> 18, j.value ->> 2)",
        "j.value ->> 9",
        "j.value ->> 5",
        "j.value ->> 20",
    ]);
    statement(
        &format!(
            "INSERT INTO events (project_id, id, source_id, mask_id, event_type, received_at, content_type, headers, query, \
         idempotency_key, is_base64, body_key, status, failure_reason, body, verification, target, \
         broker_message_id, arrived) SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2, j.value ->> 3, j.value ->> 4, j.value ->> 5, j.value ->> 6, \
         j.value ->> 7, j.value ->> 8, j.value ->> 9, j.value ->> 10, j.value ->> 11, j.value ->> 12, j.value ->> 13, \
         coalesce(?2, j.value ->> 14), j.value ->> 15, j.value ->> 16, j.value ->> 17, j.value ->> 19 FROM json_each(?1) AS j \
         WHERE {is_no_copy} ON CONFLICT (project_id, id) DO NOTHING"
        ),
        [rows.into(), body.into()],
    )
}

/// Gives back the requests that copies took of sources that have a number of them: what they count are events. The rows are those of
/// [`insert_duplicates`], before they are noted; what is noted already has been given back.
pub fn give_back_requests(rows: impl Into<Param>) -> Statement {
    statement(
        "UPDATE source_requests SET requests = max(0, requests - back.copies) FROM (\
         SELECT r.source_id AS source_id, count(*) AS copies FROM json_each(?1) AS j \
         JOIN source_requests AS r ON r.source_id = (j.value ->> 0) || '/' || (j.value ->> 6) \
         WHERE EXISTS (SELECT 1 FROM claims AS c WHERE c.source_id = j.value ->> 2 AND c.key = j.value ->> 3) \
         AND NOT EXISTS (SELECT 1 FROM events AS e WHERE e.project_id = j.value ->> 0 AND e.id = j.value ->> 1) \
         AND NOT EXISTS (SELECT 1 FROM duplicates AS d WHERE d.project_id = j.value ->> 0 AND d.id = j.value ->> 1) \
         GROUP BY r.source_id) AS back WHERE source_requests.source_id = back.source_id",
        [rows.into()],
    )
}

/// Notes the copies among `[project, event, scope, key, received_at, end of the claim, source]`: those that were not inserted.
pub fn insert_duplicates(rows: impl Into<Param>) -> Statement {
    let nearest = nearest("j.value ->> 2", "j.value ->> 3", "j.value ->> 5");
    statement(
        &format!(
            "INSERT INTO duplicates (project_id, id, event_id, received_at) SELECT j.value ->> 0, j.value ->> 1, \
         coalesce(CASE WHEN j.value ->> 5 <= c.claimed_at THEN (SELECT event_id FROM {nearest}) END, c.event_id), j.value ->> 4 \
         FROM json_each(?1) AS j JOIN claims AS c ON c.source_id = j.value ->> 2 AND c.key = j.value ->> 3 \
         WHERE NOT EXISTS (SELECT 1 FROM events AS e WHERE e.project_id = j.value ->> 0 AND e.id = j.value ->> 1) \
         ON CONFLICT (project_id, id) DO NOTHING"
        ),
        [rows.into()],
    )
}

/// Inserts the deliveries `[project, id, event, subscription, endpoint, source, type, mode, now, replay or null]` of events
/// that were inserted. What is there already stays as it is.
pub fn insert_deliveries(rows: impl Into<Param>) -> Statement {
    let inserted = inserted_deliveries("'Scheduled'", "NULL");
    Statement { sql: inserted, params: vec![rows.into()] }
}

/// Inserts deliveries as [`insert_deliveries`], but leases those for `endpoints` until `until_ms`, unless their breaker is not
/// closed. What was inserted comes back, leased (`Processing`) or not; what was there does not, so a lease has one holder.
pub fn insert_leased(rows: impl Into<Param>, endpoints: &[&str], until_ms: u64) -> Statement {
    let is_free = hold::is_free_of("j.value ->> 0", "j.value ->> 4");
    let is_called = format!("j.value ->> 4 IN (SELECT value FROM json_each(?2)) AND {is_free}");
    let status = format!("CASE WHEN {is_called} THEN 'Processing' ELSE 'Scheduled' END");
    let inserted = inserted_deliveries(&status, &format!("CASE WHEN {is_called} THEN ?3 END"));
    Statement {
        sql: format!("{inserted} RETURNING {DELIVERY_COLUMNS}"),
        params: vec![rows.into(), json!(endpoints).into(), until_ms.into()],
    }
}

fn inserted_deliveries(status: &str, lease_until: &str) -> String {
    format!(
        "INSERT INTO deliveries (project_id, id, event_id, subscription_id, endpoint_id, source_id, event_type, delivery_mode, \
         status, lease_until, created_at, updated_at, replay) \
         SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2, j.value ->> 3, j.value ->> 4, j.value ->> 5, j.value ->> 6, \
         j.value ->> 7, {status}, {lease_until}, j.value ->> 8, j.value ->> 8, j.value ->> 9 FROM json_each(?1) AS j \
         WHERE EXISTS (SELECT 1 FROM events AS e WHERE e.project_id = j.value ->> 0 AND e.id = j.value ->> 2) \
         ON CONFLICT (project_id, id) DO NOTHING"
    )
}

/// Notes the deliveries of a fan-out, for the sweep. `deliveries` are pairs of project and delivery.
pub fn insert_outbox(now_ms: u64, id: &str, deliveries: Value) -> Statement {
    statement(
        "INSERT INTO outbox (at, id, deliveries) VALUES (?1, ?2, ?3) ON CONFLICT (at, id) DO NOTHING",
        [now_ms.into(), id.into(), deliveries.into()],
    )
}

/// Which of `deliveries` (pairs of project and delivery) wait for their first attempt, or are in the hands of somebody, and watched
/// by nobody else.
pub fn unfinished(deliveries: Value) -> Statement {
    statement(
        "SELECT d.project_id AS project_id, d.id AS id, d.endpoint_id AS endpoint_id, d.lease_until AS lease_until \
         FROM json_each(?1) AS j JOIN deliveries AS d ON d.project_id = j.value ->> 0 AND d.id = j.value ->> 1 \
         WHERE d.status = 'Scheduled' OR d.status = 'Processing' AND d.look_at IS NULL",
        [deliveries.into()],
    )
}
