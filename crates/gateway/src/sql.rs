//! The text of every statement. D1 is SQLite, so the tests below run each of them, over the real
//! migrations, on a plain SQLite; the shell only binds and executes.
//!
//! Many rows travel as one JSON parameter (`json_each(?1)`): D1 takes 100 parameters, and a statement for a
//! hundred rows costs hardly more than one for one.

mod brokers;
mod event_types;
mod events;
mod failures;
mod hold;
mod meta_events;
mod portal;
mod projects;
mod range;
mod sources;

pub use brokers::*;
pub use event_types::*;
pub use events::*;
pub use failures::*;
pub use hold::*;
pub use meta_events::*;
pub use portal::*;
pub use projects::*;
pub use sources::*;

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::api::{Direction, PageQuery};
use crate::deliver::INTERRUPTED;
use crate::endpoint::Endpoint;
use crate::event_type::EventType;
use crate::needle;
use crate::project::Project;
use crate::source::Source;
use crate::subscription::Subscription;

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

// --- Control ---

/// A new project, with the event type that every project has.
pub fn insert_project(project: &Project, all: &EventType) -> Vec<Statement> {
    vec![
        statement(
            "INSERT INTO projects (id, name, doc) VALUES (?1, ?2, ?3)",
            [project.uid.as_str().into(), project.name.as_str().into(), doc(project)],
        ),
        insert_event_type(all),
    ]
}

pub fn update_project(project: &Project) -> Statement {
    // Whether there are schemas may have changed since the project was read.
    statement(
        "UPDATE projects SET name = ?2, doc = json_set(?3, '$.has_schemas', json(iif(EXISTS (SELECT 1 FROM event_types \
         WHERE project_id = ?1 AND doc -> '$.json_schema' IS NOT NULL), 'true', 'false'))) WHERE id = ?1",
        [project.uid.as_str().into(), project.name.as_str().into(), doc(project)],
    )
}

pub fn project(id: &str) -> Statement {
    statement("SELECT doc FROM projects WHERE id = ?1", [id.into()])
}

pub fn project_named(name: &str) -> Statement {
    statement("SELECT doc FROM projects WHERE name = ?1", [name.into()])
}

pub fn projects() -> Statement {
    statement("SELECT doc FROM projects ORDER BY id", [])
}

/// Replaces a source; a row comes back if there was one, and if no other has its name where names have to be `unique`.
pub fn update_source(source: &Source, unique: bool) -> Statement {
    let unless = if unique {
        " AND NOT EXISTS (SELECT 1 FROM sources WHERE project_id = ?1 AND name = ?3 AND id <> ?2)"
    } else {
        ""
    };
    let slug = unless_slug_taken("?7", source);
    statement(
        &format!(
            "UPDATE sources SET name = ?3, type = ?4, doc = ?5, provider = ?6 WHERE project_id = ?1 AND id = ?2{unless} AND {slug} \
             RETURNING id, doc"
        ),
        [
            source.project_id.as_str().into(),
            source.uid.as_str().into(),
            source.name.as_str().into(),
            json!(source.kind).as_str().unwrap_or_default().into(),
            doc(source),
            source.provider.as_str().into(),
            source.profile.slug.as_str().into(),
        ],
    )
}

/// Replaces an endpoint; a row comes back if there was one.
pub fn update_endpoint(endpoint: &Endpoint) -> Statement {
    statement(
        "UPDATE endpoints SET name = ?3, owner_id = ?4, doc = ?5 WHERE project_id = ?1 AND id = ?2 RETURNING id, doc",
        [
            endpoint.project_id.as_str().into(),
            endpoint.uid.as_str().into(),
            endpoint.name.as_str().into(),
            endpoint.owner_id.as_str().into(),
            doc(endpoint),
        ],
    )
}

/// Replaces a subscription that was last changed at `before_ms`; a row comes back if there was one.
pub fn update_subscription(subscription: &Subscription, before_ms: u64) -> Statement {
    statement(
        "UPDATE subscriptions SET name = ?3, source_id = ?4, endpoint_id = ?5, doc = ?6 WHERE project_id = ?1 AND id = ?2 \
         AND doc ->> '$.updated_at' = ?7 RETURNING id, doc",
        [
            subscription.project_id.as_str().into(),
            subscription.uid.as_str().into(),
            subscription.name.as_str().into(),
            subscription.source_id.as_str().into(),
            subscription.endpoint_id.as_str().into(),
            doc(subscription),
            before_ms.into(),
        ],
    )
}

/// Stores a source that has just been handed its first secret, unless it got one meanwhile; a row comes back if it was stored.
pub fn capture_secret(source: &Source) -> Statement {
    statement(
        "UPDATE sources SET doc = ?3 WHERE project_id = ?1 AND id = ?2 AND json_extract(doc, '$.verifier.hmac') IS NULL \
         AND coalesce(json_array_length(doc, '$.verifier.trust.secrets'), 0) = 0 RETURNING id, doc",
        [source.project_id.as_str().into(), source.uid.as_str().into(), doc(source)],
    )
}

/// Notes when a source answered its provider's question, whatever else is changed at the same time.
pub fn note_crc(project_id: &str, id: &str, now_ms: u64) -> Statement {
    statement(
        "UPDATE sources SET doc = json_set(doc, '$.crc_verified_at', CAST(?3 AS INTEGER)) WHERE project_id = ?1 AND id = ?2 \
         RETURNING id, doc",
        [project_id.into(), id.into(), now_ms.into()],
    )
}

/// A row comes back if it was inserted: where names have to be `unique` another may have its name.
pub fn insert_source(source: &Source, unique: bool) -> Statement {
    let unless = if unique {
        " AND NOT EXISTS (SELECT 1 FROM sources WHERE project_id = ?1 AND name = ?4)"
    } else {
        ""
    };
    let slug = unless_slug_taken("?8", source);
    statement(
        &format!(
            "INSERT INTO sources (project_id, id, mask_id, name, type, provider, doc) \
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE {slug}{unless} RETURNING id, doc"
        ),
        [
            source.project_id.as_str().into(),
            source.uid.as_str().into(),
            source.mask_id.as_str().into(),
            source.name.as_str().into(),
            json!(source.kind).as_str().unwrap_or_default().into(),
            source.provider.as_str().into(),
            doc(source),
            source.profile.slug.as_str().into(),
        ],
    )
}

/// Other sources of the project are few, and only asked where there is a slug.
fn unless_slug_taken(slug: &str, source: &Source) -> String {
    if source.profile.slug.is_empty() {
        return format!("{slug} = ''");
    }
    format!(
        "NOT EXISTS (SELECT 1 FROM sources WHERE project_id = ?1 AND id <> ?2 AND doc ->> '$.profile.slug' = {slug})"
    )
}

pub fn source(project_id: &str, id: &str) -> Statement {
    statement(
        "SELECT doc FROM sources WHERE project_id = ?1 AND id = ?2",
        [project_id.into(), id.into()],
    )
}

/// A source and its project, by the last part of its ingest URL.
pub fn source_of_mask(mask_id: &str) -> Statement {
    statement(
        "SELECT s.doc AS source, p.doc AS project FROM sources s JOIN projects p ON p.id = s.project_id WHERE s.mask_id = ?1",
        [mask_id.into()],
    )
}

/// Deletes a source, the subscriptions to it, and what companions said of it.
pub fn delete_source(project_id: &str, id: &str) -> Vec<Statement> {
    let params = || [project_id.into(), id.into()];
    vec![
        statement(
            "DELETE FROM consumer_reports WHERE project_id = ?1 AND source_id = ?2",
            params(),
        ),
        statement("DELETE FROM subscriptions WHERE project_id = ?1 AND source_id = ?2", params()),
        statement("DELETE FROM sources WHERE project_id = ?1 AND id = ?2", params()),
    ]
}

pub fn insert_endpoint(endpoint: &Endpoint) -> Statement {
    statement(
        "INSERT INTO endpoints (project_id, id, name, owner_id, doc) VALUES (?1, ?2, ?3, ?4, ?5)",
        [
            endpoint.project_id.as_str().into(),
            endpoint.uid.as_str().into(),
            endpoint.name.as_str().into(),
            endpoint.owner_id.as_str().into(),
            doc(endpoint),
        ],
    )
}

pub fn endpoint(project_id: &str, id: &str) -> Statement {
    statement(
        "SELECT doc FROM endpoints WHERE project_id = ?1 AND id = ?2",
        [project_id.into(), id.into()],
    )
}

/// Deletes an endpoint and the subscriptions that lead to it.
pub fn delete_endpoint(project_id: &str, id: &str) -> Vec<Statement> {
    let params = || [project_id.into(), id.into()];
    vec![
        statement("DELETE FROM subscriptions WHERE project_id = ?1 AND endpoint_id = ?2", params()),
        statement("DELETE FROM endpoints WHERE project_id = ?1 AND id = ?2", params()),
    ]
}

pub fn insert_subscription(subscription: &Subscription) -> Statement {
    statement(
        "INSERT INTO subscriptions (project_id, id, name, source_id, endpoint_id, doc) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        [
            subscription.project_id.as_str().into(),
            subscription.uid.as_str().into(),
            subscription.name.as_str().into(),
            subscription.source_id.as_str().into(),
            subscription.endpoint_id.as_str().into(),
            doc(subscription),
        ],
    )
}

pub fn subscription(project_id: &str, id: &str) -> Statement {
    statement(
        "SELECT doc FROM subscriptions WHERE project_id = ?1 AND id = ?2",
        [project_id.into(), id.into()],
    )
}

pub fn delete_subscription(project_id: &str, id: &str) -> Statement {
    statement(
        "DELETE FROM subscriptions WHERE project_id = ?1 AND id = ?2",
        [project_id.into(), id.into()],
    )
}

/// The subscriptions to any of these sources; `sources` are pairs of project and source.
pub fn subscriptions_of(sources: &[(&str, &str)]) -> Statement {
    statement(
        "SELECT s.doc AS doc FROM json_each(?1) AS j JOIN subscriptions AS s INDEXED BY subscriptions_by_source \
         ON s.project_id = j.value ->> 0 AND s.source_id = j.value ->> 1",
        [json!(sources).into()],
    )
}

/// The endpoint and the project of each of `endpoints`, pairs of project and endpoint.
pub fn endpoints_of(endpoints: &[(&str, &str)]) -> Statement {
    statement(
        "SELECT e.doc AS endpoint, p.doc AS project FROM json_each(?1) AS j \
         JOIN endpoints AS e ON e.project_id = j.value ->> 0 AND e.id = j.value ->> 1 JOIN projects AS p ON p.id = j.value ->> 0",
        [json!(endpoints).into()],
    )
}

/// What the lists of the API go over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    Sources,
    Endpoints,
    Subscriptions,
    PortalLinks,
}

/// One page of a list, newest first unless it is asked for the other way round, and whether anything stands before it: `(page, newer)`.
/// `filters` are columns that have to equal a value; `search` is a part of the name, case aside.
pub fn list(
    list: List,
    project_id: &str,
    filters: &[(&'static str, String)],
    search: Option<&str>,
    page: &PageQuery,
) -> (Statement, impl Fn(&str) -> Statement + use<>) {
    let table = match list {
        List::Sources => "sources",
        List::Endpoints => "endpoints",
        List::Subscriptions => "subscriptions",
        List::PortalLinks => "portal_links",
    };
    let mut params: Vec<Param> = vec![project_id.into()];
    let mut condition = String::from("project_id = ?1");
    for (column, value) in filters {
        params.push(value.as_str().into());
        condition.push_str(&format!(" AND {column} = ?{}", params.len()));
    }
    if let Some(search) = search {
        params.push(needle::folded(search).into());
        let name = needle::sql("name", search, false);
        condition.push_str(&format!(" AND instr({name}, ?{}) > 0", params.len()));
    }
    let before_it = if page.ascending { "<" } else { ">" };
    let (before, before_params) = (condition.clone(), params.clone());
    let newer = move |first: &str| {
        let mut params = before_params.clone();
        params.push(first.into());
        let sql = format!(
            "SELECT 1 AS found FROM {table} WHERE {before} AND id {before_it} ?{} LIMIT 1",
            params.len()
        );
        Statement { sql, params }
    };
    let (compare, order) = match (page.direction, page.ascending) {
        (Direction::Next, false) => ("<=", "DESC"),
        (Direction::Prev, false) => (">", "ASC"),
        (Direction::Next, true) => (">=", "ASC"),
        (Direction::Prev, true) => ("<", "DESC"),
    };
    if let Some(cursor) = &page.cursor {
        params.push(cursor.as_str().into());
        condition.push_str(&format!(" AND id {compare} ?{}", params.len()));
    }
    let limit = page.limit();
    let sql =
        format!("SELECT id, doc FROM {table} WHERE {condition} ORDER BY id {order} LIMIT {limit}");
    (Statement { sql, params }, newer)
}

// --- The journal ---

/// Milliseconds that one journal is written for before the other takes its turn.
const JOURNAL_TURN_MS: u64 = 3_600_000;
/// How long after its turn a journal is left alone, for clocks that differ and routers that are late.
const JOURNAL_REST_MS: u64 = 600_000;
/// Rows that one drain takes.
pub const DRAIN_ROWS: u64 = 200;
/// Bytes of bodies that one transaction carries, give or take one body.
pub const TRANSACTION_BYTES: u64 = 4_000_000;

/// One of the two journals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Journal(u8);

impl Journal {
    /// The journal that is written at `now_ms`.
    pub fn at(now_ms: u64) -> Self {
        Self(u8::from((now_ms / JOURNAL_TURN_MS) % 2 == 1))
    }

    /// Both, the one that is not being written first: its rows are older.
    pub fn both(now_ms: u64) -> [Self; 2] {
        let Self(current) = Self::at(now_ms);
        [Self(1 - current), Self(current)]
    }

    /// The journal that may be emptied at `now_ms`, if it holds nothing that waits.
    pub fn idle(now_ms: u64) -> Option<Self> {
        let [idle, _] = Self::both(now_ms);
        (JOURNAL_REST_MS < now_ms % JOURNAL_TURN_MS).then_some(idle)
    }

    pub(super) fn table(self) -> &'static str {
        if self.0 == 0 { "journal_0" } else { "journal_1" }
    }

    /// Appends an envelope; when this has run, the event is durable.
    pub fn append(
        self,
        meta: impl Into<Param>,
        body: impl Into<Param>,
        is_base64: bool,
    ) -> Statement {
        statement(self.append_sql(), [meta.into(), body.into(), u64::from(is_base64).into()])
    }

    /// The text of [`Journal::append`], for who binds its values without a copy: `meta`, `body`, `is_base64` (0 or 1).
    pub fn append_sql(self) -> &'static str {
        match self.0 {
            0 => "INSERT INTO journal_0 (meta, body, is_base64) VALUES (?1, ?2, ?3)",
            _ => "INSERT INTO journal_1 (meta, body, is_base64) VALUES (?1, ?2, ?3)",
        }
    }

    /// The oldest rows that wait, with the epoch they belong to: up to [`DRAIN_ROWS`] of them, and few when they are large.
    pub fn waiting(self) -> Statement {
        let (table, journal) = (self.table(), self.0);
        Statement {
            sql: format!(
                "SELECT seq, meta, body, is_base64, epoch FROM (\
                 SELECT seq, meta, body, is_base64, epoch, sum(length(body) + length(meta)) OVER (ORDER BY seq) - length(body) AS before FROM (\
                 SELECT j.seq AS seq, j.meta AS meta, j.body AS body, j.is_base64 AS is_base64, s.epoch AS epoch \
                 FROM journal_state AS s JOIN {table} AS j ON j.seq > s.done WHERE s.journal = {journal} \
                 ORDER BY j.seq LIMIT {DRAIN_ROWS})) WHERE before < {TRANSACTION_BYTES} ORDER BY seq"
            ),
            params: Vec::new(),
        }
    }

    /// Marks all rows up to `seq` as routed. It is run after the transaction that routes them: whoever dies between
    /// reads the same rows again. A journal that
    /// was emptied since (another `epoch`) is left alone: its numbers mean other rows now.
    pub fn done(self, seq: u64, epoch: u64) -> Statement {
        statement(
            "UPDATE journal_state SET done = ?2 WHERE journal = ?1 AND epoch = ?3 AND done < ?2",
            [u64::from(self.0).into(), seq.into(), epoch.into()],
        )
    }

    /// Whether there are rows, all of them routed: `1` in `emptiable`.
    pub fn emptiable(self) -> Statement {
        let (table, journal) = (self.table(), self.0);
        Statement {
            sql: format!(
                "SELECT coalesce((SELECT max(seq) FROM {table}) <= done, 0) AS emptiable FROM journal_state WHERE journal = {journal}"
            ),
            params: Vec::new(),
        }
    }

    /// Empties a journal for which [`Journal::emptiable`] said so.
    pub fn empty(self) -> Vec<Statement> {
        let (table, journal) = (self.table(), self.0);
        let sql = |sql: String| Statement { sql, params: Vec::new() };
        vec![
            sql(format!("DELETE FROM {table}")),
            sql(format!(
                "UPDATE journal_state SET done = 0, epoch = epoch + 1 WHERE journal = {journal}"
            )),
        ]
    }
}

// --- Routing: one batch for a whole batch of envelopes; see `route` for the rows ---

/// Claims dedup keys: `[scope, key, event, claimed_at, expires_at]`. A key is free when nobody
/// holds it or when its time was over as the event arrived.
pub fn claim(rows: Value) -> Statement {
    statement(
        "INSERT INTO claims (source_id, key, event_id, claimed_at, expires_at) \
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?1) WHERE true \
         ON CONFLICT (source_id, key) DO UPDATE SET \
         event_id = excluded.event_id, claimed_at = excluded.claimed_at, expires_at = excluded.expires_at \
         WHERE claims.expires_at <= excluded.claimed_at",
        [rows.into()],
    )
}

/// Counts the verdicts of sources that observe, before their events are inserted: `[project, source, event, verified (1 or 0),
/// at]`. What is there already has been counted.
pub fn count_verdicts(rows: Value) -> Statement {
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

/// Inserts the events that hold their claim, or need none. A body in `?2` stands for that of the only row.
pub fn insert_events(rows: Value, body: Option<String>) -> Statement {
    statement(
        "INSERT INTO events (project_id, id, source_id, mask_id, event_type, received_at, content_type, headers, query, \
         idempotency_key, is_base64, body_key, status, failure_reason, body, verification, target, \
         broker_message_id) SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2, j.value ->> 3, j.value ->> 4, j.value ->> 5, j.value ->> 6, \
         j.value ->> 7, j.value ->> 8, j.value ->> 9, j.value ->> 10, j.value ->> 11, j.value ->> 12, j.value ->> 13, \
         coalesce(?2, j.value ->> 14), j.value ->> 15, j.value ->> 16, j.value ->> 17 FROM json_each(?1) AS j \
         WHERE j.value ->> 9 IS NULL OR EXISTS (SELECT 1 FROM claims AS c \
         WHERE c.source_id = coalesce(j.value ->> 18, j.value ->> 2) AND c.key = j.value ->> 9 AND c.event_id = j.value ->> 1) \
         ON CONFLICT (project_id, id) DO NOTHING",
        [rows.into(), body.into()],
    )
}

/// Notes the copies among `[project, event, scope, key, received_at]`: those that were not inserted.
pub fn insert_duplicates(rows: Value) -> Statement {
    statement(
        "INSERT INTO duplicates (project_id, id, event_id, received_at) \
         SELECT j.value ->> 0, j.value ->> 1, c.event_id, j.value ->> 4 FROM json_each(?1) AS j \
         JOIN claims AS c ON c.source_id = j.value ->> 2 AND c.key = j.value ->> 3 \
         WHERE NOT EXISTS (SELECT 1 FROM events AS e WHERE e.project_id = j.value ->> 0 AND e.id = j.value ->> 1) \
         ON CONFLICT (project_id, id) DO NOTHING",
        [rows.into()],
    )
}

/// Inserts the deliveries `[project, id, event, subscription, endpoint, source, type, mode, now, replay or null]` of events
/// that were inserted. What is there already stays as it is.
pub fn insert_deliveries(rows: Value) -> Statement {
    statement(
        "INSERT INTO deliveries (project_id, id, event_id, subscription_id, endpoint_id, source_id, event_type, delivery_mode, \
         status, created_at, updated_at, replay) \
         SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2, j.value ->> 3, j.value ->> 4, j.value ->> 5, j.value ->> 6, \
         j.value ->> 7, 'Scheduled', j.value ->> 8, j.value ->> 8, j.value ->> 9 FROM json_each(?1) AS j \
         WHERE EXISTS (SELECT 1 FROM events AS e WHERE e.project_id = j.value ->> 0 AND e.id = j.value ->> 2) \
         ON CONFLICT (project_id, id) DO NOTHING",
        [rows.into()],
    )
}

/// Notes the deliveries of a fan-out, for the sweep. `deliveries` are pairs of project and delivery.
pub fn insert_outbox(now_ms: u64, id: &str, deliveries: Value) -> Statement {
    statement(
        "INSERT INTO outbox (at, id, deliveries) VALUES (?1, ?2, ?3) ON CONFLICT (at, id) DO NOTHING",
        [now_ms.into(), id.into(), deliveries.into()],
    )
}

/// Which of `deliveries` (pairs of project and delivery) wait for their first attempt.
pub fn scheduled(deliveries: Value) -> Statement {
    statement(
        "SELECT d.project_id AS project_id, d.id AS id, d.endpoint_id AS endpoint_id FROM json_each(?1) AS j \
         JOIN deliveries AS d ON d.project_id = j.value ->> 0 AND d.id = j.value ->> 1 WHERE d.status = 'Scheduled'",
        [deliveries.into()],
    )
}

pub fn insert_dead_letter(
    id: &str,
    kind: &str,
    reason: &str,
    payload: &str,
    is_base64: bool,
    now_ms: u64,
) -> Statement {
    statement(
        "INSERT INTO dead_letters (id, kind, reason, payload, is_base64, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (id) DO NOTHING",
        [
            id.into(),
            kind.into(),
            reason.into(),
            payload.into(),
            u64::from(is_base64).into(),
            now_ms.into(),
        ],
    )
}

// --- Dispatching ---

const DELIVERY_COLUMNS: &str = "project_id, id, event_id, subscription_id, endpoint_id, source_id, event_type, \
    delivery_mode, status, description, attempts, attempt, due_at, created_at, updated_at, replay";
/// What is shown of a delivery's event, beside the columns of the delivery `t`.
const DELIVERY_EVENT: &str = "(SELECT json_object('idempotency_key', e.idempotency_key, 'query', e.query, \
    'received_at', e.received_at) FROM events AS e WHERE e.project_id = t.project_id AND e.id = t.event_id) AS event";
const EVENT_COLUMNS: &str = "project_id, id, source_id, mask_id, event_type, received_at, content_type, headers, query, \
    idempotency_key, body, is_base64, body_key, status, failure_reason, verification, target, broker_message_id";

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
             description = CASE WHEN status = 'Processing' THEN '{INTERRUPTED}' ELSE '' END \
             WHERE {among} AND (({due}) OR ({left})) RETURNING {DELIVERY_COLUMNS}"
        ),
        params: vec![deliveries.into(), now_ms.into(), lease_until.into()],
    }
}

/// Those of `deliveries` (pairs of project and delivery) that another dispatcher holds, and that nobody else watches.
pub fn held(deliveries: Value, now_ms: u64) -> Statement {
    statement(
        "SELECT d.project_id AS project_id, d.id AS id, d.endpoint_id AS endpoint_id FROM json_each(?1) AS j \
         JOIN deliveries AS d ON d.project_id = j.value ->> 0 AND d.id = j.value ->> 1 \
         WHERE d.status = 'Processing' AND d.lease_until >= ?2 AND d.look_at IS NULL",
        [deliveries.into(), now_ms.into()],
    )
}

/// The events of `deliveries` (pairs of project and delivery).
pub fn events_of(deliveries: Value) -> Statement {
    let columns: Vec<String> =
        EVENT_COLUMNS.split(", ").map(|column| format!("e.{column} AS {column}")).collect();
    Statement {
        sql: format!(
            "SELECT DISTINCT {} FROM json_each(?1) AS j \
             JOIN deliveries AS d ON d.project_id = j.value ->> 0 AND d.id = j.value ->> 1 \
             JOIN events AS e ON e.project_id = d.project_id AND e.id = d.event_id",
            columns.join(", ")
        ),
        params: vec![deliveries.into()],
    }
}

/// Records what became of leased deliveries: `[project, id, status, description, attempt or null, due_at, look_at, now,
/// lease_until]`. The attempt before the last moves to its own row first. A dispatcher whose lease was taken over by another
/// writes nothing.
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
             attempts = deliveries.attempts + (j.value ->> 4 IS NOT NULL), lease_until = NULL, \
             due_at = j.value ->> 5, look_at = j.value ->> 6, updated_at = j.value ->> 7 FROM json_each(?1) AS j \
             WHERE deliveries.project_id = j.value ->> 0 AND deliveries.id = j.value ->> 1 \
             AND deliveries.lease_until = j.value ->> 8",
            [rows.into()],
        ),
    ]
}

// --- The sweep ---

/// Fan-outs that are older than `before_ms`.
pub fn old_outbox(before_ms: u64) -> Statement {
    statement(
        "SELECT at, id, deliveries FROM outbox WHERE at < ?1 ORDER BY at LIMIT 100",
        [before_ms.into()],
    )
}

/// Puts those of `deliveries` (JSON: pairs of project and delivery) that still wait under the eye of the sweep.
pub fn watch(deliveries: &str, now_ms: u64) -> Statement {
    statement(
        "UPDATE deliveries SET look_at = max(coalesce(lease_until, 0), ?2) \
         WHERE (project_id, id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?1)) \
         AND status IN ('Scheduled', 'Processing') AND look_at IS NULL",
        [deliveries.into(), now_ms.into()],
    )
}

/// Watches the deliveries of a fan-out, and forgets the fan-out.
pub fn settle_outbox(at: u64, id: &str, deliveries: &str, now_ms: u64) -> Vec<Statement> {
    vec![
        watch(deliveries, now_ms),
        statement("DELETE FROM outbox WHERE at = ?1 AND id = ?2", [at.into(), id.into()]),
    ]
}

/// The deliveries to look at now; they are looked at again at `again_ms`, should their bell be lost too.
pub fn look(now_ms: u64, again_ms: u64) -> Statement {
    statement(
        "UPDATE deliveries SET look_at = ?2 WHERE (project_id, id) IN \
         (SELECT project_id, id FROM deliveries WHERE look_at <= ?1 ORDER BY look_at LIMIT 500) \
         RETURNING project_id, id, endpoint_id",
        [now_ms.into(), again_ms.into()],
    )
}

// --- Reading back ---

/// An event by its uid.
pub fn event(project_id: &str, id: &str) -> Statement {
    Statement {
        sql: format!("SELECT {EVENT_COLUMNS} FROM events WHERE project_id = ?1 AND id = ?2"),
        params: vec![project_id.into(), id.into()],
    }
}

/// The same, with the `endpoints` that it went to: a look at the deliveries of its millisecond.
pub fn event_with_endpoints(project_id: &str, id: &str) -> Statement {
    let endpoints = "(SELECT json_group_array(DISTINCT d.endpoint_id) FROM deliveries AS d WHERE d.project_id = ?1 \
         AND d.id >= substr(?2, 1, 10) AND d.id < substr(?2, 1, 10) || '~' AND d.event_id = ?2) AS endpoints";
    Statement {
        sql: format!(
            "SELECT {EVENT_COLUMNS}, {endpoints} FROM events WHERE project_id = ?1 AND id = ?2"
        ),
        params: vec![project_id.into(), id.into()],
    }
}

/// The event that `id` is a dropped copy of.
pub fn event_of_duplicate(project_id: &str, id: &str) -> Statement {
    let columns: Vec<String> =
        EVENT_COLUMNS.split(", ").map(|column| format!("e.{column} AS {column}")).collect();
    Statement {
        sql: format!(
            "SELECT {} FROM duplicates AS d JOIN events AS e ON e.project_id = d.project_id AND e.id = d.event_id \
             WHERE d.project_id = ?1 AND d.id = ?2",
            columns.join(", ")
        ),
        params: vec![project_id.into(), id.into()],
    }
}

pub fn delivery(project_id: &str, id: &str) -> Statement {
    Statement {
        sql: format!(
            "SELECT {DELIVERY_COLUMNS}, {DELIVERY_EVENT} FROM deliveries AS t WHERE project_id = ?1 AND id = ?2"
        ),
        params: vec![project_id.into(), id.into()],
    }
}

/// The attempts of a delivery before its last, oldest first.
pub fn earlier_attempts(delivery_id: &str) -> Statement {
    statement("SELECT doc FROM attempts WHERE delivery_id = ?1 ORDER BY n", [delivery_id.into()])
}

#[cfg(test)]
pub(crate) mod tests {
    use rusqlite::types::Value as SqlValue;
    use rusqlite::{Connection, params_from_iter};

    use crate::search::Search;

    use super::*;

    /// The two schemas in one database, from the files that production applies.
    pub(crate) fn database() -> Connection {
        let db = Connection::open_in_memory().unwrap();
        for folder in ["control", "events"] {
            let folder = format!("{}/../../migrations/{folder}", env!("CARGO_MANIFEST_DIR"));
            let mut files: Vec<_> =
                std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
            files.sort();
            for file in files {
                db.execute_batch(&std::fs::read_to_string(file).unwrap()).unwrap();
            }
        }
        db
    }

    pub(crate) fn run(db: &Connection, statement: &Statement) -> Vec<Value> {
        let params = statement.params.iter().map(|param| match param {
            Param::Null => SqlValue::Null,
            Param::Int(value) => SqlValue::Integer(i64::try_from(*value).unwrap()),
            Param::Text(value) => SqlValue::Text(value.clone()),
        });
        let mut prepared =
            db.prepare(&statement.sql).unwrap_or_else(|error| panic!("{error}: {}", statement.sql));
        let names: Vec<String> = prepared.column_names().map(ToString::to_string).collect();
        let rows = prepared.query_map(params_from_iter(params), |row| {
            let mut object = serde_json::Map::new();
            for (index, name) in names.iter().enumerate() {
                let value = match row.get::<_, SqlValue>(index)? {
                    SqlValue::Null => Value::Null,
                    SqlValue::Integer(number) => number.into(),
                    SqlValue::Text(text) => text.into(),
                    other => panic!("{name}: {other:?}"),
                };
                object.insert(name.clone(), value);
            }
            Ok(Value::Object(object))
        });
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn count(db: &Connection, table: &str) -> u64 {
        run(db, &statement(&format!("SELECT count(*) AS n FROM {table}"), []))[0]["n"]
            .as_u64()
            .unwrap()
    }

    fn plan(db: &Connection, statement: &Statement) -> String {
        let explain =
            Statement { sql: format!("EXPLAIN QUERY PLAN {}", statement.sql), ..statement.clone() };
        run(db, &explain)
            .iter()
            .map(|row| row["detail"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn event_row(id: &str, key: Option<&str>) -> Value {
        json!(["p", id, "s", "m", "push", 5, null, "[]", "", key, 0, null, "Success", "", "{}"])
    }

    fn arrive(db: &Connection, id: &str, key: &str, at: u64, window: u64) {
        run(db, &claim(json!([["s", key, id, at, at + window]])));
        run(db, &insert_events(json!([event_row(id, Some(key))]), None));
        run(db, &insert_duplicates(json!([["p", id, "s", key, at]])));
    }

    #[test]
    fn a_key_is_claimed_once_in_its_window_and_again_after_it() {
        let db = database();
        arrive(&db, "a", "k", 1000, 500);
        arrive(&db, "b", "k", 1400, 500);
        arrive(&db, "c", "k", 1500, 500);
        arrive(&db, "c", "k", 1500, 500);
        arrive(&db, "a", "k", 1000, 500);
        assert_eq!(count(&db, "events"), 2);
        let duplicates = run(&db, &statement("SELECT id, event_id FROM duplicates", []));
        assert_eq!(duplicates, [json!({"id": "b", "event_id": "a"})]);
        assert_eq!(run(&db, &event_of_duplicate("p", "b"))[0]["id"], "a");
    }

    #[test]
    fn copies_in_one_batch_make_one_event() {
        let db = database();
        let claims: Vec<_> =
            (0..1000).map(|n| json!(["s", "k", format!("e{n:04}"), 1, 100])).collect();
        let events: Vec<_> = (0..1000).map(|n| event_row(&format!("e{n:04}"), Some("k"))).collect();
        run(&db, &claim(json!(claims)));
        run(&db, &insert_events(json!(events), None));
        assert_eq!(count(&db, "events"), 1);
        assert_eq!(run(&db, &event("p", "e0000")).len(), 1);
    }

    #[test]
    fn a_verdict_is_counted_once_however_often_its_event_is_routed() {
        let db = database();
        for (id, verified) in [("e1", 1), ("e2", 0), ("e2", 0)] {
            run(&db, &count_verdicts(json!([["p", "s", id, verified, 7]])));
            run(&db, &insert_events(json!([event_row(id, None)]), None));
        }
        let seen = run(&db, &verdicts("p", "s"));
        assert_eq!(json!(seen), json!([{"verified": 1, "refused": 1, "last_refused_at": 7}]));
        assert!(run(&db, &verdicts("other", "s")).is_empty());
    }

    #[test]
    fn a_bounded_number_of_refused_requests_is_kept() {
        let db = database();
        for at in 0..2_000u64 {
            run(&db, &keep_rejection("p", "s", at * 1_000, json!({"at": at})));
        }
        let kept = run(&db, &rejections("p", "s"));
        assert_eq!(kept.len(), 100);
        assert_eq!(kept[0]["doc"], r#"{"at":1995}"#, "the first of its five seconds");
        assert!(run(&db, &rejections("p", "other")).is_empty());
    }

    #[test]
    fn a_change_is_stored_only_on_what_it_was_made_from() {
        let db = database();
        let body = br#"{"name":"a","endpoint_id":"e"}"#;
        let input = crate::api::parse(body).unwrap();
        let mut first = Subscription::create(input, "p", false, 5, &mut |b| b.fill(1)).unwrap();
        run(&db, &insert_subscription(&first));
        let before = first.updated_at;
        let mut second = first.clone();
        first.toggle(5).unwrap();
        second.toggle(5).unwrap();
        assert_eq!(run(&db, &update_subscription(&first, before)).len(), 1);
        assert_eq!(run(&db, &update_subscription(&second, before)).len(), 0);
    }

    #[test]
    fn a_large_body_is_bound_beside_its_row() {
        let db = database();
        run(&db, &insert_events(json!([event_row("a", None)]), Some("large".into())));
        assert_eq!(run(&db, &event("p", "a"))[0]["body"], "large");
    }

    fn delivered(db: &Connection) {
        run(db, &insert_events(json!([event_row("a", None)]), None));
        let row = json!(["p", "d", "a", "sub", "end", "s", "push", "at_least_once", 10]);
        let orphan =
            json!(["p", "o", "no-such-event", "sub", "end", "s", "push", "at_least_once", 10]);
        run(db, &insert_deliveries(json!([row, orphan])));
    }

    fn ids() -> Value {
        json!([["p", "d"], ["p", "nothing"]])
    }

    #[test]
    fn a_delivery_is_leased_by_one_dispatcher_at_a_time() {
        let db = database();
        delivered(&db);
        assert_eq!(count(&db, "deliveries"), 1);
        assert_eq!(run(&db, &scheduled(ids())).len(), 1);
        assert_eq!(run(&db, &held(ids(), 1000)).len(), 0);
        assert_eq!(run(&db, &lease(ids(), true, 1000, 2000)).len(), 1);
        assert_eq!(run(&db, &lease(ids(), true, 1500, 2500)).len(), 0);
        assert_eq!(run(&db, &held(ids(), 1500)).len(), 1);
        assert_eq!(run(&db, &held(ids(), 2001)).len(), 0);
        assert_eq!(run(&db, &scheduled(ids())).len(), 0);
        let taken_over = run(&db, &lease(ids(), true, 2001, 3000));
        assert_eq!(taken_over[0]["description"], INTERRUPTED);
        assert_eq!(run(&db, &events_of(ids())).len(), 1);
    }

    #[test]
    fn attempts_are_all_kept_and_a_success_is_final() {
        let db = database();
        delivered(&db);
        let record = |attempt: &str, status: &str, due: Option<u64>, lease: u64| {
            for statement in
                super::record(json!([["p", "d", status, "", attempt, due, due, 50, lease]]))
            {
                run(&db, &statement);
            }
        };
        run(&db, &lease(ids(), true, 1000, 2000));
        record("stranger", "Failure", None, 1999);
        record("one", "Retry", Some(100_000), 2000);
        assert_eq!(run(&db, &lease(ids(), true, 97_999, 98_000)).len(), 0);
        assert_eq!(run(&db, &lease(ids(), true, 98_000, 99_000)).len(), 1);
        record("two", "Retry", Some(200_000), 99_000);
        run(&db, &lease(ids(), true, 200_000, 201_000));
        record("three", "Success", None, 201_000);
        record("late", "Retry", Some(1), 201_000);
        let delivery = &run(&db, &delivery("p", "d"))[0];
        assert_eq!((&delivery["attempts"], &delivery["attempt"]), (&json!(3), &json!("three")));
        assert_eq!(delivery["status"], "Success");
        let earlier = run(&db, &earlier_attempts("d"));
        assert_eq!(earlier, [json!({"doc": "one"}), json!({"doc": "two"})]);
    }

    #[test]
    fn the_sweep_finds_what_was_forgotten_and_nothing_else() {
        let db = database();
        delivered(&db);
        run(&db, &insert_outbox(10, "o", ids()));
        assert_eq!(run(&db, &old_outbox(10)).len(), 0);
        let old = run(&db, &old_outbox(11));
        for statement in settle_outbox(10, "o", old[0]["deliveries"].as_str().unwrap(), 100) {
            run(&db, &statement);
        }
        assert_eq!(count(&db, "outbox"), 0);
        assert_eq!(run(&db, &look(99, 160)).len(), 0);
        assert_eq!(run(&db, &look(100, 160)).len(), 1);
        assert_eq!(run(&db, &look(100, 160)).len(), 0);
        run(&db, &lease(ids(), true, 150, 300));
        assert_eq!(run(&db, &look(200, 260)).len(), 0);
        assert_eq!(run(&db, &look(300, 360)).len(), 1);
    }

    #[test]
    fn a_delivery_that_is_done_is_not_looked_at() {
        let db = database();
        delivered(&db);
        run(&db, &lease(ids(), true, 5, 50));
        for statement in record(json!([["p", "d", "Success", "", "x", null, null, 50, 50]])) {
            run(&db, &statement);
        }
        for statement in settle_outbox(10, "o", &ids().to_string(), 100) {
            run(&db, &statement);
        }
        assert_eq!(run(&db, &look(1000, 2000)).len(), 0);
    }

    #[test]
    fn the_journal_is_read_in_order_and_emptied_whole() {
        let db = database();
        let journal = Journal::at(0);
        run(&db, &journal.append("m0", "body", false));
        run(&db, &journal.append("m1", "body", false));
        run(&db, &journal.append("m2", "body", false));
        let rows = run(&db, &journal.waiting());
        assert_eq!(
            rows.iter().map(|row| row["meta"].as_str().unwrap()).collect::<Vec<_>>(),
            ["m0", "m1", "m2"]
        );
        run(&db, &journal.done(2, 0));
        assert_eq!(run(&db, &journal.emptiable())[0]["emptiable"], 0);
        run(&db, &journal.done(3, 0));
        assert_eq!(run(&db, &journal.waiting()).len(), 0);
        assert_eq!(run(&db, &journal.emptiable())[0]["emptiable"], 1);
        for statement in journal.empty() {
            run(&db, &statement);
        }
        assert_eq!(run(&db, &journal.emptiable())[0]["emptiable"], 0);
        run(&db, &journal.append("new", "body", false));
        run(&db, &journal.done(3, 0));
        assert_eq!(
            run(&db, &journal.waiting())[0]["meta"],
            "new",
            "a router of the time before moved the mark"
        );
    }

    #[test]
    fn a_drain_takes_few_rows_when_they_are_large() {
        let db = database();
        let journal = Journal::at(0);
        for n in 0..50 {
            run(&db, &journal.append(format!("m{n}"), "x".repeat(500_000), false));
        }
        assert_eq!(run(&db, &journal.waiting()).len(), 8);
        for n in 0..300 {
            run(&db, &Journal::at(3_600_000).append(format!("m{n}"), "{}", false));
        }
        assert_eq!(run(&db, &Journal::at(3_600_000).waiting()).len(), 200);
    }

    #[test]
    fn journals_take_turns_and_only_a_rested_one_is_emptied() {
        let hour = 3_600_000;
        assert_ne!(Journal::at(0), Journal::at(hour));
        assert_eq!(Journal::at(0), Journal::at(2 * hour));
        assert_eq!(Journal::idle(hour), None);
        assert_eq!(Journal::idle(hour + 600_001), Some(Journal::at(0)));
        assert_eq!(Journal::both(5), [Journal::at(hour), Journal::at(0)]);
    }

    #[test]
    fn the_statements_of_the_hot_path_use_their_keys() {
        let db = database();
        for (statement, expect) in [
            (
                lease(ids(), true, 1, 2),
                "SEARCH deliveries USING PRIMARY KEY (project_id=? AND id=?)",
            ),
            (scheduled(ids()), "SEARCH d USING PRIMARY KEY (project_id=? AND id=?)"),
            (events_of(ids()), "SEARCH e USING PRIMARY KEY (project_id=? AND id=?)"),
            (
                record(ids())[1].clone(),
                "SEARCH deliveries USING PRIMARY KEY (project_id=? AND id=?)",
            ),
            (look(1, 2), "deliveries_to_look_at"),
            (
                search(&Search::deliveries("eventId=e").unwrap(), "p", None, &[]),
                "SEARCH t USING PRIMARY KEY (project_id=? AND id>? AND id<?)",
            ),
            (
                search(
                    &Search::events("sourceId=s&endpointId=e&perPage=5").unwrap(),
                    "p",
                    Some("b"),
                    &[],
                ),
                "SEARCH t USING PRIMARY KEY (project_id=? AND id>? AND id<?)",
            ),
            (
                search(&Search::events("endpointId=e").unwrap(), "p", None, &[]),
                "USING PRIMARY KEY (project_id=? AND id>? AND id<?)",
            ),
            (
                scan_end(&Search::events("sourceId=s").unwrap(), "p", 5).unwrap(),
                "SEARCH t USING PRIMARY KEY (project_id=? AND id>? AND id<?)",
            ),
            (Journal::at(0).waiting(), "SEARCH j USING INTEGER PRIMARY KEY (rowid>?)"),
            (subscriptions_of(&[("p", "s")]), "subscriptions_by_source"),
            (source_of_mask("m"), "(mask_id=?)"),
        ] {
            let plan = plan(&db, &statement);
            assert!(plan.contains(expect), "{}\n{plan}", statement.sql);
        }
    }

    #[test]
    fn lists_are_scoped_filtered_and_paged() {
        let db = database();
        for (project, id, name) in
            [("p", "1", "Alpha"), ("p", "2", "beta"), ("p", "3", "alphabet"), ("q", "4", "alpha")]
        {
            let sql = "INSERT INTO sources (project_id, id, mask_id, name, type, provider, doc) VALUES (?1, ?2, ?2, ?3, 'http', '', '{}')";
            run(&db, &statement(sql, [project.into(), id.into(), name.into()]));
        }
        let ids = |filters: &[(&'static str, String)],
                   search: Option<&str>,
                   query: &str|
         -> (Vec<String>, bool) {
            let (page, newer) = list(List::Sources, "p", filters, search, &PageQuery::parse(query));
            let rows = run(&db, &page);
            let mut ids: Vec<String> =
                rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
            ids.sort_by(|a, b| b.cmp(a));
            let has_newer = ids.first().is_some_and(|first| !run(&db, &newer(first)).is_empty());
            (ids, has_newer)
        };
        let owned = |list: &[&str]| list.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        assert_eq!(ids(&[], None, ""), (owned(&["3", "2", "1"]), false));
        assert_eq!(ids(&[], Some("ALPHA"), ""), (owned(&["3", "1"]), false));
        assert_eq!(ids(&[], None, "next_page_cursor=2"), (owned(&["2", "1"]), true));
        assert_eq!(
            ids(&[], None, "direction=prev&prev_page_cursor=1"),
            (owned(&["3", "2"]), false)
        );
        assert_eq!(ids(&[("provider", "github".into())], None, ""), (owned(&[]), false));
    }

    #[test]
    fn the_rest_of_the_statements_are_sound() {
        let db = database();
        for statement in [
            projects(),
            project("p"),
            project_named("p"),
            project_of_key("h", 1),
            source("p", "s"),
            endpoint("p", "e"),
            subscription("p", "s"),
            verdicts("p", "s"),
            delete_subscription("p", "s"),
            endpoints_of(&[("p", "e")]),
            insert_dead_letter("i", "k", "r", "p", false, 1),
            delivery("p", "d"),
            event_of_duplicate("p", "d"),
        ] {
            run(&db, &statement);
        }
        for statement in delete_source("p", "s").into_iter().chain(delete_endpoint("p", "e")) {
            run(&db, &statement);
        }
    }
}
