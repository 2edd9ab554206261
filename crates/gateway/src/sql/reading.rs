//! Reading one event or delivery back.

use serde_json::json;

use super::{DELIVERY_COLUMNS, EVENT_COLUMNS, Statement, delivery_event, statement};

/// An event by its uid.
pub fn event(project_id: &str, id: &str) -> Statement {
    Statement {
        sql: format!("SELECT {EVENT_COLUMNS} FROM events WHERE project_id = ?1 AND id = ?2"),
        params: vec![project_id.into(), id.into()],
    }
}

/// Endpoints of an event that are shown with it; its deliveries name them all.
const SHOWN_ENDPOINTS: u32 = 1_000;

/// An event by its uid, with the `endpoints` that it went to (a look at the deliveries of its millisecond), or the event that
/// `id` is a dropped copy of: the id of the row tells which.
pub fn event_or_original(project_id: &str, id: &str) -> Statement {
    let columns: Vec<String> =
        EVENT_COLUMNS.split(", ").map(|column| format!("e.{column} AS {column}")).collect();
    let endpoints = format!(
        "CASE WHEN e.id = ?2 THEN (SELECT json_group_array(endpoint_id) FROM (SELECT DISTINCT d.endpoint_id AS endpoint_id \
         FROM deliveries AS d WHERE d.project_id = ?1 AND d.id >= substr(?2, 1, 10) AND d.id < substr(?2, 1, 10) || '~' \
         AND d.event_id = ?2 LIMIT {SHOWN_ENDPOINTS})) END AS endpoints"
    );
    let ids = "SELECT ?2 AS id UNION ALL SELECT event_id FROM duplicates WHERE project_id = ?1 AND id = ?2";
    Statement {
        sql: format!(
            "SELECT {}, {endpoints} FROM ({ids}) AS i JOIN events AS e ON e.project_id = ?1 AND e.id = i.id \
             ORDER BY e.id = ?2 DESC LIMIT 1",
            columns.join(", ")
        ),
        params: vec![project_id.into(), id.into()],
    }
}

/// The endpoints that events went to, as `event_id` and `endpoints`. The deliveries of each millisecond of theirs are looked
/// at once.
pub fn endpoints_of_events(project_id: &str, ids: &[&str]) -> Statement {
    let sql = format!(
        "SELECT event_id, json_group_array(endpoint_id) AS endpoints FROM (\
         SELECT event_id, endpoint_id, row_number() OVER (PARTITION BY event_id) AS n FROM (\
         SELECT DISTINCT d.event_id AS event_id, d.endpoint_id AS endpoint_id FROM \
         (SELECT DISTINCT substr(value, 1, 10) AS at FROM json_each(?2)) AS m CROSS JOIN deliveries AS d \
         ON d.project_id = ?1 AND d.id >= m.at AND d.id < m.at || '~' \
         WHERE d.event_id IN (SELECT value FROM json_each(?2)))) WHERE n <= {SHOWN_ENDPOINTS} GROUP BY event_id"
    );
    Statement { sql, params: vec![project_id.into(), json!(ids).into()] }
}

/// A delivery, as a row of [`crate::deliver::Delivery`].
pub fn delivery(project_id: &str, id: &str) -> Statement {
    Statement {
        sql: format!(
            "SELECT {DELIVERY_COLUMNS}, {} FROM deliveries AS t WHERE project_id = ?1 AND id = ?2",
            delivery_event()
        ),
        params: vec![project_id.into(), id.into()],
    }
}

/// What there is to say of endpoints and sources that answers point at: [`crate::pointed::Row`].
pub fn pointed(project_id: &str, endpoints: &[&str], sources: &[&str]) -> Statement {
    statement(
        "SELECT 'endpoint' AS kind, id, json_object('uid', id, 'name', name, 'url', doc ->> '$.url', 'target_url', \
         doc ->> '$.url', 'owner_id', owner_id, 'status', doc ->> '$.status', 'content_type', \
         coalesce(doc ->> '$.content_type', 'application/json')) AS shown FROM endpoints \
         WHERE project_id = ?1 AND id IN (SELECT value FROM json_each(?2)) \
         UNION ALL SELECT 'source', id, json_object('uid', id, 'name', name, 'type', type, 'provider', provider, \
         'is_disabled', json(iif(doc ->> '$.is_disabled', 'true', 'false'))) FROM sources \
         WHERE project_id = ?1 AND id IN (SELECT value FROM json_each(?3))",
        [project_id.into(), json!(endpoints).into(), json!(sources).into()],
    )
}

/// How endpoints stand: `id` and `status` of those that are there.
pub fn endpoint_statuses(project_id: &str, ids: &[&str]) -> Statement {
    statement(
        "SELECT id, doc ->> '$.status' AS status FROM endpoints \
         WHERE project_id = ?1 AND id IN (SELECT value FROM json_each(?2))",
        [project_id.into(), json!(ids).into()],
    )
}

/// The attempts of a delivery before its last, oldest first.
pub fn earlier_attempts(delivery_id: &str) -> Statement {
    statement("SELECT doc FROM attempts WHERE delivery_id = ?1 ORDER BY n", [delivery_id.into()])
}
