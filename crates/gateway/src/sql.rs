//! The text of every statement. D1 is SQLite, so each runs in a test (one sees to that), over the real
//! migrations, on a plain SQLite; the shell only binds and executes.
//!
//! Many rows travel as one JSON parameter (`json_each(?1)`): D1 takes 100 parameters, and a statement for a
//! hundred rows costs hardly more than one for one.

mod alerts;
mod brokers;
mod control;
mod dispatching;
mod event_types;
mod events;
mod failures;
mod gone;
mod hold;
mod journal;
mod key_check;
mod meta_events;
mod metrics;
mod onboard;
mod owed;
mod parked;
mod portal;
mod projects;
mod range;
mod reading;
mod routing;
mod sessions;
mod sources;
mod untold;

pub use alerts::*;
pub use brokers::*;
pub use control::*;
pub use dispatching::*;
pub use event_types::*;
pub use events::*;
pub use failures::*;
pub use gone::{
    delete_subscription, forget_gone, not_sent, oldest_deliveries, paces_of, retries, with_gone,
};
pub use hold::*;
pub use journal::*;
pub use key_check::*;
pub use meta_events::*;
pub use metrics::*;
pub use onboard::*;
pub use owed::{
    ENDPOINT, LIMIT, RELEASE, SOURCE, forget_owed, owe_endpoint, owe_limit, owe_release, owed,
    owed_by,
};
pub use parked::*;
pub use portal::*;
pub use projects::*;
pub use reading::*;
pub use routing::*;
pub use sessions::*;
pub use sources::*;
pub use untold::*;

use std::borrow::Cow;

use serde_json::Value;

/// What is replaced only if it is as it was read.
#[derive(Debug, Clone, Copy)]
pub enum Kept<'a> {
    Project(&'a str),
    /// Project and endpoint.
    Endpoint(&'a str, &'a str),
    /// Project and link.
    PortalLink(&'a str, &'a str),
    /// Project and subscription.
    Subscription(&'a str, &'a str),
}

/// `statement`, if what is `kept` was last changed at `at_ms`: what belongs to a change, to be run after it. It has a `WHERE`, and
/// perhaps an `ON CONFLICT` after that.
#[must_use]
pub fn if_changed(statement: Statement, kept: Kept<'_>, at_ms: u64) -> Statement {
    let Statement { sql, mut params } = statement;
    let n = params.len();
    let (table, key) = match kept {
        Kept::Project(id) => {
            params.push(id.into());
            ("projects", format!("id = ?{}", n + 1))
        }
        Kept::Endpoint(project, id)
        | Kept::PortalLink(project, id)
        | Kept::Subscription(project, id) => {
            params.extend([project.into(), id.into()]);
            let table = match kept {
                Kept::Endpoint(..) => "endpoints",
                Kept::Subscription(..) => "subscriptions",
                Kept::Project(_) | Kept::PortalLink(..) => "portal_links",
            };
            (table, format!("project_id = ?{} AND id = ?{}", n + 1, n + 2))
        }
    };
    params.push(at_ms.into());
    let condition = format!(
        " AND EXISTS (SELECT 1 FROM {table} WHERE {key} AND doc ->> '$.updated_at' = ?{})",
        params.len()
    );
    let end = sql.find(" ON CONFLICT").unwrap_or(sql.len());
    let (before, after) = sql.split_at_checked(end).unwrap_or((&sql, ""));
    Statement { sql: format!("{before}{condition}{after}"), params }
}

/// A JSON parameter grows up to about this size; D1 takes 2 MB.
pub const PARAM_MAX_BYTES: usize = 500_000;

/// A value for a `?`.
#[derive(Debug, Clone, PartialEq)]
pub enum Param {
    Null,
    Int(u64),
    Text(String),
}

impl From<u64> for Param {
    fn from(value: u64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Param {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Param {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Cow<'_, str>> for Param {
    fn from(value: Cow<'_, str>) -> Self {
        Self::Text(value.into_owned())
    }
}

impl From<Value> for Param {
    fn from(value: Value) -> Self {
        Self::Text(value.to_string())
    }
}

impl<T: Into<Param>> From<Option<T>> for Param {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A statement with its parameters, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    pub sql: String,
    pub params: Vec<Param>,
}

fn statement<const N: usize>(sql: &str, params: [Param; N]) -> Statement {
    Statement { sql: sql.to_owned(), params: params.into() }
}

fn doc<T: serde::Serialize>(value: &T) -> Param {
    Param::Text(serde_json::to_string(value).unwrap_or_default())
}

/// Subscriptions that one page of a directory has, at most, and how many bytes they have as they are stored, give or take one:
/// where there are more, the next page begins after the id of its last.
pub const SUBSCRIPTIONS_PAGE: usize = 5_000;
pub const SUBSCRIPTIONS_PAGE_BYTES: u64 = TRANSACTION_BYTES;

/// What the subscriptions of a project may weigh together ([`crate::subscription::Subscription::weight`]): an event for everybody
/// needs all of them in memory at once.
pub const SUBSCRIPTIONS_MAX_WEIGHT: u64 = 24 << 20;

/// SQL of what the subscriptions of the project `?1` weigh.
const SUBSCRIPTIONS_WEIGHT: &str =
    "(SELECT coalesce(sum(weight), 0) FROM subscriptions WHERE project_id = ?1)";

/// A page of subscriptions after the id `after`, as a directory reads them, which is without their functions, by the JSON list
/// `keys`: `join` says by which index, and what equals what. How many is found by their lengths, which are read without the texts.
fn subscriptions_by(join: &str, keys: Value, after: &str) -> Statement {
    let rows = format!("FROM json_each(?1) AS j JOIN subscriptions AS s {join} AND s.id > ?2");
    let sql = format!(
        "SELECT s.project_id AS project_id, s.id AS id, s.source_id AS source_id, s.endpoint_id AS endpoint_id, \
         json_remove(s.doc, '$.function') AS doc, octet_length(s.doc) AS bytes, s.weight AS weight \
         {rows} AND s.id <= (SELECT max(id) FROM (SELECT id, sum(bytes) OVER (ORDER BY id) - bytes AS before FROM (\
         SELECT s.id AS id, octet_length(s.doc) AS bytes {rows} ORDER BY s.id LIMIT {SUBSCRIPTIONS_PAGE})) \
         WHERE before < {SUBSCRIPTIONS_PAGE_BYTES}) ORDER BY s.id"
    );
    Statement { sql, params: vec![keys.into(), after.into()] }
}

const DELIVERY_COLUMNS: &str = "project_id, id, event_id, subscription_id, endpoint_id, source_id, event_type, \
    delivery_mode, status, description, attempts, attempt, due_at, created_at, updated_at, replay";
/// Payloads up to this many bytes stand in a list.
const LISTED_MAX_BYTES: usize = 16_384;

/// SQL of how many bytes the body of the event `e` has that its row holds, whatever they are written as.
fn body_bytes(e: &str) -> String {
    format!(
        "(CASE {e}.is_base64 WHEN 0 THEN length(CAST({e}.body AS BLOB)) ELSE length(rtrim({e}.body, '=')) * 3 / 4 END)"
    )
}

/// What is shown of a delivery's event, beside the columns of the delivery `t`.
fn delivery_event() -> String {
    let bytes = body_bytes("e");
    format!(
        "(SELECT json_object('idempotency_key', e.idempotency_key, 'query', e.query, \
         'received_at', e.received_at, 'headers', e.headers, 'content_type', e.content_type, 'is_base64', e.is_base64, \
         'is_made', json_type(e.arrived, '$.content_type') IS NOT NULL, \
         'body', CASE WHEN e.body_key IS NULL AND {bytes} <= {LISTED_MAX_BYTES} THEN e.body END) \
         FROM events AS e WHERE e.project_id = t.project_id AND e.id = t.event_id) AS event"
    )
}
const EVENT_COLUMNS: &str = "project_id, id, source_id, mask_id, event_type, received_at, content_type, headers, query, \
    idempotency_key, body, is_base64, body_key, status, failure_reason, verification, target, broker_message_id, arrived";

#[cfg(test)]
pub(crate) mod tests;
