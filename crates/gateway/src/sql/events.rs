//! Events and deliveries: whom pushed events are for, lists, replays.

use serde_json::{Value, json};

use super::range::Range;
use super::routing::beside;
use super::{
    DELIVERY_COLUMNS, EVENT_COLUMNS, LISTED_MAX_BYTES, Param, SUBSCRIPTIONS_MAX_WEIGHT,
    SUBSCRIPTIONS_WEIGHT, Statement, body_bytes, delivery_event, doc, statement, subscriptions_by,
};
use crate::deliver::Status;
use crate::endpoint::Endpoint;
use crate::event::CUT;
use crate::page::Direction;
use crate::push::DYNAMIC_NAME;
use crate::search::{Kind, Search};
use crate::subscription::Subscription;

/// A page of the subscriptions of endpoints; `endpoints` are pairs of project and endpoint.
pub fn subscriptions_of_endpoints(endpoints: &[(&str, &str)], after: &str) -> Statement {
    subscriptions_by(
        "INDEXED BY subscriptions_by_endpoint \
         ON s.project_id = j.value ->> 0 AND s.endpoint_id = j.value ->> 1",
        json!(endpoints),
        after,
    )
}

/// The endpoints of owners; `owners` are pairs of project and owner.
pub fn endpoints_of_owners(owners: &[(&str, &str)]) -> Statement {
    statement(
        "SELECT e.project_id AS project_id, e.owner_id AS owner_id, e.id AS endpoint_id FROM json_each(?1) AS j \
         JOIN endpoints AS e INDEXED BY endpoints_by_owner \
         ON e.project_id = j.value ->> 0 AND e.owner_id = j.value ->> 1 AND e.owner_id <> ''",
        [json!(owners).into()],
    )
}

/// A page of all subscriptions of projects.
pub fn subscriptions_of_projects(projects: &[&str], after: &str) -> Statement {
    subscriptions_by("ON s.project_id = j.value", json!(projects), after)
}

/// The oldest endpoints of a project with these URLs, as `url` and `doc`. Those of owners are not meant: an owner may choose any
/// URL, and would see what goes to it.
pub fn endpoints_of_urls(project_id: &str, urls: &[&str]) -> Statement {
    statement(
        "SELECT j.value AS url, e.doc AS doc FROM json_each(?2) AS j JOIN endpoints AS e ON e.project_id = ?1 AND e.id = \
         (SELECT id FROM endpoints INDEXED BY endpoints_by_url WHERE project_id = ?1 AND doc ->> '$.url' = j.value \
         AND owner_id = '' ORDER BY id LIMIT 1)",
        [project_id.into(), json!(urls).into()],
    )
}

/// Inserts an endpoint unless the project has one with its URL that is nobody's.
pub fn insert_endpoint_of_new_url(endpoint: &Endpoint) -> Statement {
    statement(
        "INSERT INTO endpoints (project_id, id, name, owner_id, doc) SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS \
         (SELECT 1 FROM endpoints WHERE project_id = ?1 AND doc ->> '$.url' = ?6 AND owner_id = '')",
        [
            endpoint.project_id.as_str().into(),
            endpoint.uid.as_str().into(),
            endpoint.name.as_str().into(),
            endpoint.owner_id.as_str().into(),
            doc(endpoint),
            endpoint.url.as_str().into(),
        ],
    )
}

/// Gives the subscription that dynamic events keep for an endpoint these event types, or inserts it. Where the project's have no room
/// it goes without: who sends by URL names the endpoint, and it gets what is sent to it.
pub fn subscribe_dynamic(subscription: &Subscription) -> Vec<Statement> {
    let types = json!(subscription.event_types);
    vec![
        statement(
            "UPDATE subscriptions SET doc = json_set(doc, '$.event_types', json(?4), '$.updated_at', CAST(?5 AS INTEGER)), weight = ?6 \
             WHERE project_id = ?1 AND endpoint_id = ?2 AND name = ?3 AND doc -> '$.event_types' <> json(?4)",
            [
                subscription.project_id.as_str().into(),
                subscription.endpoint_id.as_str().into(),
                DYNAMIC_NAME.into(),
                types.into(),
                subscription.updated_at.into(),
                subscription.weight().into(),
            ],
        ),
        statement(
            &format!(
                "INSERT INTO subscriptions (project_id, id, name, source_id, endpoint_id, doc, weight) SELECT ?1, ?2, ?3, '', ?4, ?5, ?6 \
             WHERE CASE WHEN EXISTS (SELECT 1 FROM subscriptions WHERE project_id = ?1 AND endpoint_id = ?4 AND name = ?3) THEN false \
             ELSE {SUBSCRIPTIONS_WEIGHT} <= {SUBSCRIPTIONS_MAX_WEIGHT} END"
            ),
            [
                subscription.project_id.as_str().into(),
                subscription.uid.as_str().into(),
                DYNAMIC_NAME.into(),
                subscription.endpoint_id.as_str().into(),
                doc(subscription),
                subscription.weight().into(),
            ],
        ),
    ]
}

// --- Lists ---

/// SQL of whether the payload of the event `t` stands in a list, together with what it was made from: by its own bytes, not by what
/// they are written as.
fn is_listed() -> String {
    let arrived = "CASE WHEN t.arrived IS NULL THEN 0 WHEN t.arrived ->> '$.body[1]' THEN \
         length(CAST(t.arrived AS BLOB)) - length(t.arrived ->> '$.body[0]') / 4 ELSE length(CAST(t.arrived AS BLOB)) END";
    format!("{} + {arrived} <= {LISTED_MAX_BYTES}", body_bytes("t"))
}

fn table(search: &Search) -> &'static str {
    match search.kind {
        Kind::Events => "events",
        Kind::Deliveries => "deliveries",
    }
}

fn order(search: &Search) -> &'static str {
    if search.goes_down() { "DESC" } else { "ASC" }
}

/// Where the rows end that a look may go over, as `id`: for the next page the first that it may not, because a cursor
/// includes its row; for the page before the last that it may. No row when they do not end before the list does, `None` when
/// there is no such limit.
pub fn scan_end(search: &Search, project_id: &str, rows: u64) -> Option<Statement> {
    let (condition, params) = Range::of(search, project_id).condition();
    let offset = match search.page.direction {
        Direction::Next => rows,
        Direction::Prev => rows.checked_sub(1)?,
    };
    let (table, order) = (table(search), order(search));
    let sql = format!(
        "SELECT t.id AS id FROM {table} AS t WHERE {condition} ORDER BY t.id {order} LIMIT 1 OFFSET {offset}"
    );
    Some(Statement { sql, params })
}

/// What is parked, in the columns that lists of events ask for. The names are those of [`crate::wire::Meta`].
const PARKED: &str = "(SELECT project_id, event_id AS id, meta, body, is_base64, tries, since, due_at, reason, \
    meta ->> '$.s' AS source_id, meta ->> '$.t' AS event_type, meta ->> '$.d.k' AS idempotency_key, \
    meta ->> '$.b' AS broker_message_id, meta -> '$.to' AS target, NULL AS arrived, 'Pending' AS status FROM parked)";

/// What a list of events finds among those that are parked: rows of [`crate::parked::Row`], one page of them and one.
pub fn search_parked(search: &Search, project_id: &str, end: Option<&str>) -> Statement {
    let (from, params) = found_in(PARKED, search, project_id, end);
    let (order, limit, is_listed) = (order(search), search.page.limit(), is_listed());
    Statement {
        sql: format!(
            "SELECT t.id AS event_id, t.meta AS meta, CASE WHEN {is_listed} THEN t.body ELSE '' END AS body, t.is_base64 AS is_base64, \
             NOT ({is_listed}) AS is_cut, t.reason AS reason, t.tries AS tries, t.since AS since, t.due_at AS due_at \
             {from} ORDER BY t.id {order} LIMIT {limit}"
        ),
        params,
    }
}

/// All of a search but its columns: `(from and where, params)`. `end` is what [`scan_end`] found.
fn found(search: &Search, project_id: &str, end: Option<&str>) -> (String, Vec<Param>) {
    found_in(table(search), search, project_id, end)
}

fn found_in(
    table: &str,
    search: &Search,
    project_id: &str,
    end: Option<&str>,
) -> (String, Vec<Param>) {
    let mut range = Range::of(search, project_id);
    if let Some(end) = end {
        match (search.page.direction, search.goes_down()) {
            (Direction::Next, true) => range.from(end, false),
            (Direction::Next, false) => range.up_to(end, false),
            (Direction::Prev, true) => range.from(end, true),
            (Direction::Prev, false) => range.up_to(end, true),
        }
    }
    let (mut condition, mut params) = range.condition();
    for wanted in &search.conditions {
        params.push(wanted.param.as_str().into());
        let sql = wanted.sql.replace("{}", &format!("?{}", params.len()));
        condition.push_str(&format!(" AND {sql}"));
    }
    (format!("FROM {table} AS t WHERE {condition}"), params)
}

/// One page and a row: whole rows, but for large payloads of events, whose `body_key` is then set. `columns` are read
/// instead when there are any.
pub fn search(search: &Search, project_id: &str, end: Option<&str>, columns: &[&str]) -> Statement {
    let (from, params) = found(search, project_id, end);
    let is_listed = is_listed();
    let columns: Vec<String> = match (search.kind, columns) {
        (_, [_, ..]) => columns.iter().map(|column| format!("t.{column} AS {column}")).collect(),
        (Kind::Deliveries, []) => DELIVERY_COLUMNS
            .split(", ")
            .map(|column| match column {
                // What endpoints said: a thousand of their answers are more than an isolate holds.
                "attempt" => "json_set(t.attempt, '$.response_data', '', '$.response_headers', json('[]')) AS attempt".to_owned(),
                column => format!("t.{column} AS {column}"),
            })
            .chain([delivery_event()])
            .collect(),
        (Kind::Events, []) => EVENT_COLUMNS
            .split(", ")
            .map(|column| match column {
                "body" => format!("CASE WHEN {is_listed} THEN t.body ELSE '' END AS body"),
                "arrived" => format!("CASE WHEN {is_listed} THEN t.arrived END AS arrived"),
                "body_key" => {
                    format!("CASE WHEN {is_listed} THEN t.body_key ELSE '{CUT}' END AS body_key")
                }
                column => format!("t.{column} AS {column}"),
            })
            .collect(),
    };
    let (columns, order, limit) = (columns.join(", "), order(search), search.page.limit());
    Statement {
        sql: format!("SELECT {columns} {from} ORDER BY t.id {order} LIMIT {limit}"),
        params,
    }
}

/// How many rows a search finds, as `n`, up to `most`.
pub fn count(search: &Search, project_id: &str, end: Option<&str>, most: u64) -> Statement {
    let (from, params) = found(search, project_id, end);
    Statement { sql: format!("SELECT count(*) AS n FROM (SELECT 1 {from} LIMIT {most})"), params }
}

/// How many of the deliveries that a search finds, `most` of them, went which way: [`crate::resend::OneWay`].
pub fn count_by_way(search: &Search, project_id: &str, end: Option<&str>, most: u64) -> Statement {
    let (from, params) = found(search, project_id, end);
    let way = "endpoint_id, subscription_id";
    let sql = format!(
        "SELECT {way}, count(*) AS n FROM (SELECT t.endpoint_id AS endpoint_id, t.subscription_id AS subscription_id {from} \
         LIMIT {most}) GROUP BY {way}"
    );
    Statement { sql, params }
}

/// How many of the deliveries that a search finds have which status, as `status` and `n`.
pub fn count_by_status(search: &Search, project_id: &str, end: Option<&str>) -> Statement {
    let (from, params) = found(search, project_id, end);
    Statement {
        sql: format!("SELECT t.status AS status, count(*) AS n {from} GROUP BY t.status"),
        params,
    }
}

/// Whether the list has a row before `id`, by the range alone.
pub fn has_before(search: &Search, project_id: &str, id: &str) -> Statement {
    let mut range = Range::whole(search, project_id);
    if search.page.ascending {
        range.up_to(id, false);
    } else {
        range.from(id, false);
    }
    let (condition, params) = range.condition();
    let one = |table: &str| format!("SELECT 1 AS found FROM {table} AS t WHERE {condition}");
    let parked = match search.kind {
        Kind::Events => format!(" UNION ALL {}", one(PARKED)),
        Kind::Deliveries => String::new(),
    };
    let sql = format!("{}{parked} LIMIT 1", one(table(search)));
    Statement { sql, params }
}

// --- Again ---

/// Notes that events, pairs of project and event, have somebody who wants them after all.
pub fn note_wanted(events: impl Into<Param>) -> Statement {
    statement(
        "UPDATE events SET status = 'Success', failure_reason = '' \
         WHERE (project_id, id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?1)) AND status = 'Failure'",
        [events.into()],
    )
}

/// Writes what events are now that their functions have run again: `[project, event, content_type, headers, is_base64,
/// body_key, body, arrived]`. A body in `?2` stands for that of the only row.
pub fn remake_events(rows: impl Into<Param>, body: Option<String>) -> Statement {
    statement(
        "UPDATE events SET content_type = j.value ->> 2, headers = j.value ->> 3, is_base64 = j.value ->> 4, \
         body_key = j.value ->> 5, body = coalesce(?2, j.value ->> 6), arrived = j.value ->> 7 FROM json_each(?1) AS j \
         WHERE events.project_id = j.value ->> 0 AND events.id = j.value ->> 1",
        [rows.into(), body.into()],
    )
}

/// Puts deliveries that are over back to their start, if they have one of `statuses`, and under the eye of the sweep. `ids`
/// are pairs of project and delivery. Those it did come back.
pub fn reschedule(ids: Value, statuses: &[Status], now_ms: u64, look_at: u64) -> Statement {
    let statuses: Vec<&str> = statuses.iter().map(|status| status.name()).collect();
    statement(
        "UPDATE deliveries SET status = 'Scheduled', description = '', due_at = NULL, lease_until = NULL, look_at = ?4, \
         interrupted = 0, updated_at = ?3 WHERE (project_id, id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?1)) \
         AND status IN (SELECT value FROM json_each(?2)) RETURNING project_id, id, endpoint_id",
        [ids.into(), json!(statuses).into(), now_ms.into(), look_at.into()],
    )
}

/// Those of these deliveries that have a status, as [`crate::resend::Again`].
pub fn deliveries_by_id(project_id: &str, ids: Value, status: Status) -> Statement {
    statement(
        "SELECT id, endpoint_id, subscription_id FROM deliveries WHERE project_id = ?1 AND id IN (SELECT value FROM json_each(?2)) AND status = ?3",
        [project_id.into(), ids.into(), status.name().into()],
    )
}

/// Which of these ids are those of deliveries.
pub fn known_deliveries(project_id: &str, ids: Value) -> Statement {
    statement(
        "SELECT id FROM deliveries WHERE project_id = ?1 AND id IN (SELECT value FROM json_each(?2))",
        [project_id.into(), ids.into()],
    )
}

// --- Retention ---

/// Events that one step of the retention removes, and deliveries.
pub const EXPIRE_ROWS: usize = 500;

/// The oldest events before the uid `cutoff`, as `id` and `body_key`, in order.
pub fn expired_events(project_id: &str, cutoff: &str) -> Statement {
    Statement {
        sql: format!(
            "SELECT id, coalesce(body_key, arrived ->> '$.key') AS body_key FROM events WHERE project_id = ?1 AND id < ?2 ORDER BY id LIMIT {EXPIRE_ROWS}"
        ),
        params: vec![project_id.into(), cutoff.into()],
    }
}

/// Removes the events up to `last`, which [`expired_events`] gave, with their claims: those whose time is over, or all. A
/// claim that outlives its event is noted, to be removed by [`expire_claims`]. Bodies in R2 are removed before.
pub fn expire_events(
    project_id: &str,
    last: &str,
    now_ms: u64,
    all_claims: bool,
) -> Vec<Statement> {
    let until = if all_claims { u64::MAX >> 11 } else { now_ms };
    let with_until =
        |sql: String| Statement { sql, params: vec![project_id.into(), last.into(), until.into()] };
    // The key of an event is among its source's, or among its project's; and perhaps beside the one that holds it.
    let of_event = |scope: &str, is_beside: bool| {
        let (scope, key) = (format!("e.{scope}"), "e.idempotency_key".to_owned());
        if is_beside { beside(&scope, &key, "e.received_at") } else { (scope, key) }
    };
    let ways =
        [("source_id", false), ("source_id", true), ("project_id", false), ("project_id", true)];
    let all = |one: &dyn Fn(String, String) -> String| {
        ways.map(|(scope, is_beside)| {
            let (scope, key) = of_event(scope, is_beside);
            one(scope, key)
        })
        .join(" UNION ")
    };
    let left = all(&|scope, key| {
        format!(
            "SELECT c.expires_at, c.source_id, c.key FROM events AS e JOIN claims AS c \
             ON c.source_id = {scope} AND c.key = {key} AND c.event_id = e.id \
             WHERE e.project_id = ?1 AND e.id <= ?2 AND c.expires_at > ?3"
        )
    });
    let keys = all(&|scope, key| {
        format!(
            "SELECT {scope}, {key} FROM events AS e WHERE e.project_id = ?1 AND e.id <= ?2 AND e.idempotency_key IS NOT NULL"
        )
    });
    vec![
        with_until(format!(
            "INSERT INTO claims_left (expires_at, source_id, key) SELECT * FROM ({left}) WHERE true \
             ON CONFLICT DO NOTHING"
        )),
        with_until(format!(
            "DELETE FROM claims WHERE (source_id, key) IN ({keys}) AND expires_at <= ?3"
        )),
        statement(
            "DELETE FROM events WHERE project_id = ?1 AND id <= ?2",
            [project_id.into(), last.into()],
        ),
    ]
}

/// Removes claims that outlived their events, now that their time is over. One that was taken over since stays: it is
/// another event's. The last statement gives back a row for each.
pub fn expire_claims(now_ms: u64) -> Vec<Statement> {
    let over = format!(
        "SELECT expires_at, source_id, key FROM claims_left WHERE expires_at <= ?1 ORDER BY expires_at LIMIT {EXPIRE_ROWS}"
    );
    let sql = |sql: String| Statement { sql, params: vec![now_ms.into()] };
    vec![
        sql(format!(
            "DELETE FROM claims WHERE (source_id, key) IN (SELECT source_id, key FROM ({over})) AND expires_at <= ?1"
        )),
        sql(format!(
            "DELETE FROM claims_left WHERE (expires_at, source_id, key) IN ({over}) RETURNING key"
        )),
    ]
}

/// The oldest notes of copies before the uid `cutoff`, as `id`, in order.
pub fn expired_duplicates(project_id: &str, cutoff: &str) -> Statement {
    Statement {
        sql: format!(
            "SELECT id FROM duplicates WHERE project_id = ?1 AND id < ?2 ORDER BY id LIMIT {EXPIRE_ROWS}"
        ),
        params: vec![project_id.into(), cutoff.into()],
    }
}

/// Removes the notes of copies up to `last`, which [`expired_duplicates`] gave.
pub fn expire_duplicates(project_id: &str, last: &str) -> Statement {
    statement(
        "DELETE FROM duplicates WHERE project_id = ?1 AND id <= ?2",
        [project_id.into(), last.into()],
    )
}

/// Removes the refused requests of a project that are older than `before_ms`.
pub fn expire_rejections(project_id: &str, before_ms: u64) -> Statement {
    statement(
        "DELETE FROM rejections WHERE project_id = ?1 AND at < ?2",
        [project_id.into(), before_ms.into()],
    )
}

/// Removes the oldest deliveries before `cutoff` with their attempts. The last statement gives back a row for each
/// delivery.
pub fn expire_deliveries(project_id: &str, cutoff: &str) -> Vec<Statement> {
    let oldest = |table: &str| {
        format!(
            "SELECT id FROM {table} WHERE project_id = ?1 AND id < ?2 ORDER BY id LIMIT {EXPIRE_ROWS}"
        )
    };
    let sql = |sql: String| Statement { sql, params: vec![project_id.into(), cutoff.into()] };
    vec![
        sql(format!("DELETE FROM attempts WHERE delivery_id IN ({})", oldest("deliveries"))),
        sql(format!(
            "DELETE FROM deliveries WHERE project_id = ?1 AND id IN ({}) RETURNING id",
            oldest("deliveries")
        )),
    ]
}

#[cfg(test)]
mod tests;
