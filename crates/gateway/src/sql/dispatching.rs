//! Deliveries: their leases, their attempts, and the sweep that finds the forgotten.

use serde_json::Value;

use super::{DELIVERY_COLUMNS, EVENT_COLUMNS, Statement, TRANSACTION_BYTES, hold, statement};
use crate::deliver::INTERRUPTED;

/// Takes a lease on those of `deliveries` (pairs of project and delivery) that wait and are due, or whose dispatcher's
/// lease ran out. What is returned is this dispatcher's alone until `lease_until`. `guarded`: not those of endpoints whose
/// breaker is not closed.
pub fn lease(deliveries: Value, guarded: bool, now_ms: u64, lease_until: u64) -> Statement {
    let (among, left) = (hold::among("deliveries"), hold::is_left("deliveries"));
    let mut due = hold::is_due("deliveries");
    if guarded {
        due.push_str(" AND ");
        due.push_str(&hold::is_free("deliveries"));
    }
    Statement {
        sql: format!(
            "UPDATE deliveries SET status = 'Processing', lease_until = ?3, updated_at = ?2, hold = NULL, \
             look_at = CASE WHEN look_at IS NULL THEN NULL ELSE ?3 END, \
             description = CASE WHEN status = 'Processing' THEN '{INTERRUPTED}' ELSE '' END, \
             interrupted = interrupted + (status = 'Processing') \
             WHERE {among} AND (({due}) OR ({left})) RETURNING {DELIVERY_COLUMNS}, interrupted"
        ),
        params: vec![deliveries.into(), now_ms.into(), lease_until.into()],
    }
}

/// Those of `deliveries` (pairs of project and delivery) that another dispatcher holds, and that nobody else watches.
pub fn leased_by_others(deliveries: Value, now_ms: u64) -> Statement {
    statement(
        "SELECT d.project_id AS project_id, d.id AS id, d.endpoint_id AS endpoint_id FROM json_each(?1) AS j \
         JOIN deliveries AS d ON d.project_id = j.value ->> 0 AND d.id = j.value ->> 1 \
         WHERE d.status = 'Processing' AND d.lease_until >= ?2 AND d.look_at IS NULL",
        [deliveries.into(), now_ms.into()],
    )
}

/// The events of those of `deliveries` (pairs of project and delivery) that were leased until then.
pub fn events_of(deliveries: Value, lease_until: u64) -> Statement {
    let columns: Vec<String> =
        EVENT_COLUMNS.split(", ").map(|column| format!("e.{column} AS {column}")).collect();
    Statement {
        sql: format!(
            "SELECT DISTINCT {} FROM json_each(?1) AS j \
             JOIN deliveries AS d ON d.project_id = j.value ->> 0 AND d.id = j.value ->> 1 \
             JOIN events AS e ON e.project_id = d.project_id AND e.id = d.event_id WHERE d.lease_until = ?2",
            columns.join(", ")
        ),
        params: vec![deliveries.into(), lease_until.into()],
    }
}

/// Records what became of leased deliveries: `[project, id, status, description, attempt or null, due_at, look_at, now,
/// lease_until]`. The attempt before the last moves to its own row first. A dispatcher whose lease was taken over by another
/// writes nothing; the last statement gives back a row for each that was written.
pub fn record(rows: Value) -> Vec<Statement> {
    vec![
        statement(
            "INSERT INTO attempts (delivery_id, n, doc) SELECT d.id, d.attempts, d.attempt FROM json_each(?1) AS j \
             JOIN deliveries AS d ON d.project_id = j.value ->> 0 AND d.id = j.value ->> 1 \
             WHERE d.attempt IS NOT NULL AND j.value ->> 4 IS NOT NULL AND d.lease_until = j.value ->> 8 \
             ON CONFLICT (delivery_id, n) DO NOTHING",
            [rows.clone().into()],
        ),
        statement(
            "UPDATE deliveries SET status = j.value ->> 2, description = j.value ->> 3, \
             attempt = coalesce(j.value ->> 4, deliveries.attempt), \
             attempts = deliveries.attempts + (j.value ->> 4 IS NOT NULL), \
             interrupted = CASE WHEN j.value ->> 4 IS NULL THEN deliveries.interrupted ELSE 0 END, lease_until = NULL, \
             due_at = j.value ->> 5, look_at = j.value ->> 6, updated_at = j.value ->> 7 FROM json_each(?1) AS j \
             WHERE deliveries.project_id = j.value ->> 0 AND deliveries.id = j.value ->> 1 \
             AND deliveries.lease_until = j.value ->> 8 RETURNING id",
            [rows.into()],
        ),
    ]
}

/// A row if this attempt is recorded: for a dispatcher that has not heard what became of its record.
pub fn recorded(project_id: &str, delivery_id: &str, attempt_uid: &str) -> Statement {
    statement(
        "SELECT id FROM deliveries WHERE project_id = ?1 AND id = ?2 AND attempt ->> '$.uid' = ?3",
        [project_id.into(), delivery_id.into(), attempt_uid.into()],
    )
}

/// Fan-outs that are older than `before_ms`, the oldest first: a hundred, and few when they are large.
pub fn old_outbox(before_ms: u64) -> Statement {
    Statement {
        sql: format!(
            "SELECT at, id, deliveries FROM outbox WHERE at < ?1 AND (at, id) <= (SELECT at, id FROM (\
             SELECT at, id, sum(bytes) OVER (ORDER BY at, id) - bytes AS before FROM (\
             SELECT at, id, octet_length(deliveries) AS bytes FROM outbox WHERE at < ?1 ORDER BY at, id LIMIT 100)) \
             WHERE before < {TRANSACTION_BYTES} ORDER BY at DESC, id DESC LIMIT 1) ORDER BY at, id"
        ),
        params: vec![before_ms.into()],
    }
}

/// Puts those of `deliveries` (JSON: pairs of project and delivery) that still wait under the eye of the sweep.
pub fn watch(deliveries: &str, now_ms: u64) -> Statement {
    let (among, is_unwatched) = (hold::among("deliveries"), hold::is_unwatched("deliveries"));
    Statement {
        sql: format!(
            "UPDATE deliveries SET look_at = max(coalesce(lease_until, 0), ?2) WHERE {among} AND {is_unwatched}"
        ),
        params: vec![deliveries.into(), now_ms.into()],
    }
}

/// Watches the deliveries of a fan-out, and forgets the fan-out.
pub fn settle_outbox(at: u64, id: &str, deliveries: &str, now_ms: u64) -> Vec<Statement> {
    vec![
        watch(deliveries, now_ms),
        statement("DELETE FROM outbox WHERE at = ?1 AND id = ?2", [at.into(), id.into()]),
    ]
}

/// The deliveries to look at now, those that wait for their endpoints after all others; they are looked at again at `again_ms`,
/// should their bell be lost too.
pub fn look(now_ms: u64, again_ms: u64) -> Statement {
    let behind = hold::BEHIND_MS;
    let from = |first: &str, last: &str| {
        format!(
            "SELECT * FROM (SELECT project_id, id FROM deliveries WHERE look_at BETWEEN {first} AND {last} ORDER BY look_at LIMIT 500)"
        )
    };
    Statement {
        sql: format!(
            "UPDATE deliveries SET look_at = ?2 WHERE (project_id, id) IN \
             (SELECT * FROM ({} UNION ALL {}) LIMIT 500) RETURNING project_id, id, endpoint_id",
            from("0", "?1"),
            from(&behind.to_string(), &format!("?1 + {behind}")),
        ),
        params: vec![now_ms.into(), again_ms.into()],
    }
}
