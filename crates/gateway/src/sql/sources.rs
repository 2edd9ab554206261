//! What sources have brought.

use serde_json::json;

use super::control::has_slug;
use super::routing::is_no_copy;
use super::{Journal, Param, Statement, statement};

/// Counts the events of sources, before they are inserted: `[project, source, event, received_at, key, scope, end
/// of the claim]`. What is there already has been counted, and a copy is not an event.
pub fn count_events(rows: impl Into<Param>) -> Statement {
    Statement { sql: add_to_counts(&counted("?1")), params: vec![rows.into()] }
}

/// Adds the rows of a query that ends in `GROUP BY` to `source_counts`.
pub(super) fn add_to_counts(rows: &str) -> String {
    format!(
        "INSERT INTO source_counts (project_id, source_id, events, last_event_at) {rows} \
         ON CONFLICT (project_id, source_id) DO UPDATE SET events = events + excluded.events, \
         last_event_at = max(last_event_at, excluded.last_event_at)"
    )
}

/// What rows of [`count_events`] come to.
pub(super) fn counted(rows: &str) -> String {
    let is_no_copy = is_no_copy([
        "j.value ->> 0",
        "j.value ->> 2",
        "j.value ->> 5",
        "j.value ->> 4",
        "j.value ->> 3",
        "j.value ->> 6",
    ]);
    format!(
        "SELECT j.value ->> 0, j.value ->> 1, count(*), max(j.value ->> 3) FROM json_each({rows}) AS j \
         WHERE NOT EXISTS (SELECT 1 FROM events AS e WHERE e.project_id = j.value ->> 0 AND e.id = j.value ->> 2) \
         AND {is_no_copy} GROUP BY j.value ->> 0, j.value ->> 1"
    )
}

/// Whether another source of the project has this slug: then a row.
pub fn slug_taken(project_id: &str, id: &str, slug: &str) -> Statement {
    let has_slug = has_slug("?3");
    Statement {
        sql: format!(
            "SELECT id FROM sources WHERE project_id = ?1 AND id <> ?2 AND {has_slug} LIMIT 1"
        ),
        params: vec![project_id.into(), id.into(), slug.into()],
    }
}

/// The functions of those of these sources, pairs of project and source, that have any and read no broker:
/// [`crate::made::OfSource`].
pub fn functions_of(sources: &[(&str, &str)]) -> Statement {
    statement(
        "SELECT s.project_id AS project_id, s.id AS source_id, coalesce(s.doc ->> '$.functions.body', '') AS body, \
         coalesce(s.doc ->> '$.functions.header', '') AS header FROM json_each(?1) AS j JOIN sources AS s \
         ON s.project_id = j.value ->> 0 AND s.id = j.value ->> 1 \
         WHERE s.type <> 'pub_sub' AND (s.doc ->> '$.functions.body' <> '' OR s.doc ->> '$.functions.header' <> '')",
        [json!(sources).into()],
    )
}

/// How much each of these sources has brought: `source_id`, `events`, `last_event_at`.
pub fn source_counts(project_id: &str, sources: &[&str]) -> Statement {
    let counts = all_counts("project_id = ?1 AND source_id IN (SELECT value FROM json_each(?2))");
    Statement {
        sql: format!(
            "SELECT source_id, sum(events) AS events, max(last_event_at) AS last_event_at FROM {counts} GROUP BY 1"
        ),
        params: vec![project_id.into(), json!(sources).into()],
    }
}

/// Rows of `source_counts` that stand beside the marks of the journals.
pub(super) const NOTED_COUNTS: &str = "SELECT j.value ->> 0 AS project_id, j.value ->> 1 AS source_id, j.value ->> 2 AS events, \
    j.value ->> 3 AS last_event_at FROM journal_state AS s, json_each(s.counts) AS j";

/// The rows of `source_counts`, and [`NOTED_COUNTS`].
pub(super) fn all_counts(condition: &str) -> String {
    format!(
        "(SELECT project_id, source_id, events, last_event_at FROM source_counts WHERE {condition} \
         UNION ALL SELECT * FROM ({NOTED_COUNTS}) WHERE {condition})"
    )
}

/// Takes one of the `most` requests that a source has; a row comes back if there was one.
pub fn take_request(project_id: &str, source_id: &str, most: u64) -> Statement {
    statement(
        "INSERT INTO source_requests (source_id, requests) VALUES (?1, 1) ON CONFLICT (source_id) \
         DO UPDATE SET requests = requests + 1 WHERE requests < ?2 RETURNING requests",
        [format!("{project_id}/{source_id}").into(), most.into()],
    )
}

/// How many of its requests a source has had, as `requests`.
pub fn requests_of(project_id: &str, source_id: &str) -> Statement {
    statement(
        "SELECT requests FROM source_requests WHERE source_id = ?1",
        [format!("{project_id}/{source_id}").into()],
    )
}

/// Gives a request back that was taken for what did not become durable.
pub fn give_request_back(project_id: &str, source_id: &str) -> Statement {
    statement(
        "UPDATE source_requests SET requests = requests - 1 WHERE source_id = ?1 AND requests > 0",
        [format!("{project_id}/{source_id}").into()],
    )
}

/// Removes what a shard keeps of a source beside its events.
pub fn forget_source(project_id: &str, source_id: &str) -> Vec<Statement> {
    let mut statements = Journal::flush_counts();
    statements.extend(["rejections", "source_counts", "verdicts"].iter().map(|table| Statement {
        sql: format!("DELETE FROM {table} WHERE project_id = ?1 AND source_id = ?2"),
        params: vec![project_id.into(), source_id.into()],
    }));
    statements.push(statement(
        "DELETE FROM source_requests WHERE source_id = ?1 || '/' || ?2",
        [project_id.into(), source_id.into()],
    ));
    statements
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::tests::{database, run};

    #[test]
    fn a_source_has_as_many_requests_as_it_says() {
        let db = database();
        let taken = |source: &str, most| run(&db, &take_request("p", source, most)).len();
        assert_eq!([taken("s", 2), taken("s", 2), taken("s", 2)], [1, 1, 0]);
        run(&db, &give_request_back("p", "s"));
        assert_eq!([taken("s", 2), taken("s", 2)], [1, 0]);
        assert_eq!((taken("s", 3), taken("other", 1)), (1, 1));
        assert_eq!(run(&db, &requests_of("p", "s"))[0]["requests"], 3);
        for statement in forget_source("p", "s") {
            run(&db, &statement);
        }
        assert_eq!((taken("s", 1), taken("other", 1)), (1, 0));
        for statement in crate::sql::delete_remains("p") {
            run(&db, &statement);
        }
        assert_eq!(taken("other", 1), 1);
    }
}
