//! What the operator has set up: projects, sources, endpoints, subscriptions, and their lists.

use serde_json::json;

use super::owed::{owe_endpoint, owe_limits, owe_source};
use super::{
    Param, SUBSCRIPTIONS_MAX_WEIGHT, SUBSCRIPTIONS_WEIGHT, Statement, doc, gone, insert_event_type,
    statement, subscriptions_by,
};
use crate::endpoint::Endpoint;
use crate::event_type::EventType;
use crate::needle;
use crate::page::{Direction, PageQuery};
use crate::profile::SLUG_ID_CHARS;
use crate::project::Project;
use crate::push::DYNAMIC_NAME;
use crate::source::Source;
use crate::subscription::Subscription;

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

/// Replaces a project that was last changed at `before_ms`; a row comes back if there was one.
pub fn update_project(project: &Project, before_ms: u64) -> Statement {
    // Whether there are schemas may have changed since the project was read.
    statement(
        "UPDATE projects SET name = ?2, doc = json_set(?3, '$.has_schemas', json(iif(EXISTS (SELECT 1 FROM event_types \
         WHERE project_id = ?1 AND doc -> '$.json_schema' IS NOT NULL), 'true', 'false'))) \
         WHERE id = ?1 AND doc ->> '$.updated_at' = ?4 RETURNING id, doc",
        [project.uid.as_str().into(), project.name.as_str().into(), doc(project), before_ms.into()],
    )
}

/// A project, as `doc`.
pub fn project(id: &str) -> Statement {
    statement("SELECT doc FROM projects WHERE id = ?1", [id.into()])
}

pub fn project_named(name: &str) -> Statement {
    statement("SELECT doc FROM projects WHERE name = ?1", [name.into()])
}

pub fn projects() -> Statement {
    statement("SELECT doc FROM projects ORDER BY id", [])
}

/// How many projects there are in each shard: `shard`, `projects`.
pub fn projects_of_shards() -> Statement {
    statement(
        "SELECT doc ->> '$.shard' AS shard, count(*) AS projects FROM projects GROUP BY 1",
        [],
    )
}

/// What every database answers without a look at a table.
pub fn nothing() -> Statement {
    statement("SELECT 1 AS one", [])
}

/// Replaces a source that was last changed at `before_ms`; a row comes back if there was one, and if no other has the name that
/// it gets where names have to be `unique`. A name that it has already may be another's: they were not always unique.
pub fn update_source(source: &Source, unique: bool, before_ms: u64) -> Statement {
    let unless = if unique {
        " AND (name = ?3 OR NOT EXISTS (SELECT 1 FROM sources AS other WHERE other.project_id = ?1 AND other.name = ?3 AND other.id <> ?2))"
    } else {
        ""
    };
    let slug = unless_slug_taken("?7", source);
    statement(
        &format!(
            "UPDATE sources SET name = ?3, type = ?4, doc = ?5, provider = ?6 WHERE project_id = ?1 AND id = ?2{unless} AND {slug} \
             AND doc ->> '$.updated_at' = ?8 \
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
            before_ms.into(),
        ],
    )
}

/// Replaces an endpoint that was last changed at `before_ms`; a row comes back if there was one.
pub fn update_endpoint(endpoint: &Endpoint, before_ms: u64) -> Statement {
    statement(
        "UPDATE endpoints SET name = ?3, owner_id = ?4, doc = ?5 WHERE project_id = ?1 AND id = ?2 \
         AND doc ->> '$.updated_at' = ?6 RETURNING id, doc",
        [
            endpoint.project_id.as_str().into(),
            endpoint.uid.as_str().into(),
            endpoint.name.as_str().into(),
            endpoint.owner_id.as_str().into(),
            doc(endpoint),
            before_ms.into(),
        ],
    )
}

/// Replaces a subscription that was last changed at `before_ms`; a row comes back if there was one and, where it has to be the `only`
/// one of an endpoint that it moves to, if that has none. An endpoint may have several from before it had to.
pub fn update_subscription(subscription: &Subscription, only: bool, before_ms: u64) -> Statement {
    let unless =
        if only { format!(" AND (endpoint_id = ?5 OR {})", no_other()) } else { String::new() };
    statement(
        &format!(
            "UPDATE subscriptions SET name = ?3, source_id = ?4, endpoint_id = ?5, doc = ?6, weight = ?8 WHERE project_id = ?1 AND id = ?2{unless} \
             AND doc ->> '$.updated_at' = ?7 RETURNING id, doc"
        ),
        [
            subscription.project_id.as_str().into(),
            subscription.uid.as_str().into(),
            subscription.name.as_str().into(),
            subscription.source_id.as_str().into(),
            subscription.endpoint_id.as_str().into(),
            doc(subscription),
            before_ms.into(),
            subscription.weight().into(),
        ],
    )
}

/// Notes when a source answered its provider's question, whatever else is changed at the same time.
pub fn note_crc(project_id: &str, id: &str, now_ms: u64) -> Statement {
    statement(
        "UPDATE sources SET doc = json_set(doc, '$.crc_verified_at', CAST(?3 AS INTEGER), '$.updated_at', (doc ->> '$.updated_at') + 1) WHERE project_id = ?1 AND id = ?2 \
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

/// That a source is shown with this slug: its own, or one that ends as its id does.
pub(super) fn has_slug(slug: &str) -> String {
    format!(
        "(doc ->> '$.profile.slug' = {slug} OR (coalesce(doc ->> '$.profile.slug', '') = '' \
         AND lower(substr(id, -{SLUG_ID_CHARS})) = substr({slug}, -{SLUG_ID_CHARS})))"
    )
}

/// Other sources of the project are few, and only asked where there is a slug.
fn unless_slug_taken(slug: &str, source: &Source) -> String {
    if source.profile.slug.is_empty() {
        return format!("{slug} = ''");
    }
    format!(
        "NOT EXISTS (SELECT 1 FROM sources WHERE project_id = ?1 AND id <> ?2 AND {})",
        has_slug(slug)
    )
}

/// A source, as `doc`.
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
pub fn delete_source(project_id: &str, id: &str, now_ms: u64) -> Vec<Statement> {
    let params = || [project_id.into(), id.into()];
    let mut statements = vec![
        owe_limits("source_id", "true", project_id, id, now_ms),
        owe_source(project_id, id, "true", now_ms),
    ];
    statements.extend(gone::delete("source_id", project_id, id, now_ms));
    statements.extend([
        statement(
            "DELETE FROM consumer_reports WHERE project_id = ?1 AND source_id = ?2",
            params(),
        ),
        statement("DELETE FROM sources WHERE project_id = ?1 AND id = ?2", params()),
    ]);
    statements
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

/// An endpoint, as `doc`.
pub fn endpoint(project_id: &str, id: &str) -> Statement {
    statement(
        "SELECT doc FROM endpoints WHERE project_id = ?1 AND id = ?2",
        [project_id.into(), id.into()],
    )
}

/// Deletes an endpoint and the subscriptions that lead to it.
pub fn delete_endpoint(project_id: &str, id: &str, now_ms: u64) -> Vec<Statement> {
    let mut statements = vec![owe_endpoint(project_id, id, now_ms)];
    statements.extend(gone::delete("endpoint_id", project_id, id, now_ms));
    statements.push(statement(
        "DELETE FROM endpoints WHERE project_id = ?1 AND id = ?2",
        [project_id.into(), id.into()],
    ));
    statements
}

/// That the endpoint `?5` of the project `?1` has no subscription but `?2` and that of its dynamic events.
fn no_other() -> String {
    format!(
        "NOT EXISTS (SELECT 1 FROM subscriptions AS other INDEXED BY subscriptions_by_endpoint \
         WHERE other.project_id = ?1 AND other.endpoint_id = ?5 AND other.id <> ?2 AND other.name <> '{DYNAMIC_NAME}')"
    )
}

/// Whether the subscriptions of a project may grow by so much weight, as a row that comes back if they may.
pub fn has_room_for_subscriptions(project_id: &str, more: u64) -> Statement {
    statement(
        &format!(
            "SELECT 1 AS has_room WHERE {SUBSCRIPTIONS_WEIGHT} + ?2 <= {SUBSCRIPTIONS_MAX_WEIGHT}"
        ),
        [project_id.into(), more.into()],
    )
}

/// A row comes back if it was inserted: where it has to be the `only` one of its endpoint another may be there.
pub fn insert_subscription(subscription: &Subscription, only: bool) -> Statement {
    let condition = if only { no_other() } else { "true".into() };
    statement(
        &format!(
            "INSERT INTO subscriptions (project_id, id, name, source_id, endpoint_id, doc, weight) \
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE {condition} RETURNING id, doc"
        ),
        [
            subscription.project_id.as_str().into(),
            subscription.uid.as_str().into(),
            subscription.name.as_str().into(),
            subscription.source_id.as_str().into(),
            subscription.endpoint_id.as_str().into(),
            doc(subscription),
            subscription.weight().into(),
        ],
    )
}

/// A subscription, as `doc`.
pub fn subscription(project_id: &str, id: &str) -> Statement {
    statement(
        "SELECT doc FROM subscriptions WHERE project_id = ?1 AND id = ?2",
        [project_id.into(), id.into()],
    )
}

/// A page of the subscriptions to any of these sources; `sources` are pairs of project and source.
pub fn subscriptions_of(sources: &[(&str, &str)], after: &str) -> Statement {
    subscriptions_by(
        "INDEXED BY subscriptions_by_source \
         ON s.project_id = j.value ->> 0 AND s.source_id = j.value ->> 1",
        json!(sources),
        after,
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

/// Whether endpoints (pairs of project and endpoint) are active, as `endpoint_id` and `status`: those that are there.
pub fn statuses_of(endpoints: &[(&str, &str)]) -> Statement {
    statement(
        "SELECT e.id AS endpoint_id, e.doc ->> '$.status' AS status FROM json_each(?1) AS j \
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
    filters: &[(&'static str, Vec<String>)],
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
    for (column, values) in filters {
        let (is, value) = match values.as_slice() {
            [value] => ("= ?", value.as_str().into()),
            several => ("IN (SELECT value FROM json_each(?", json!(several).into()),
        };
        params.push(value);
        let end = if values.len() == 1 { "" } else { "))" };
        condition.push_str(&format!(" AND {column} {is}{}{end}", params.len()));
    }
    if let Some(search) = search {
        params.push(needle::folded(search).into());
        let name = needle::sql("name", search, false, needle::FOLDED_MAX);
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

#[cfg(test)]
mod tests;
