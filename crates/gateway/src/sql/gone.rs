//! Subscriptions that are deleted, and what deliveries of them that are not over still have to know.
//!
//! Such a subscription leaves a row under a project that no path can name: how its deliveries are retried, whether a function made
//! what they send, and when it was deleted. A delivery of a subscription that has left none was deleted by a version that left
//! none, and nobody can tell how it is to be sent.

use serde_json::{Value, json};

use super::owed::owe_limits;
use super::{Statement, statement};

/// What stands behind the id of a project for its subscriptions that are deleted.
pub(super) const GONE: &str = "/gone";

/// Deletes the subscriptions of which `column` is `?2`.
pub(super) fn delete(column: &str, project_id: &str, value: &str, now_ms: u64) -> Vec<Statement> {
    delete_if(column, "true", project_id, value, now_ms)
}

/// Deletes the subscriptions of which `column` is `?2`, where `condition` (SQL) holds.
pub(super) fn delete_if(
    column: &str,
    condition: &str,
    project_id: &str,
    value: &str,
    now_ms: u64,
) -> Vec<Statement> {
    let params = vec![project_id.into(), value.into()];
    let note = format!(
        "INSERT INTO subscriptions (project_id, id, name, source_id, endpoint_id, doc) \
         SELECT project_id || '{GONE}', id, '', '', '', json_object('retry', json(doc -> '$.retry'), 'had_function', \
         json(iif(coalesce(doc ->> '$.function', '') <> '', 'true', 'false')), 'gone_at', CAST(?3 AS INTEGER)) FROM subscriptions \
         WHERE project_id = ?1 AND {column} = ?2 AND {condition} ON CONFLICT (project_id, id) DO NOTHING"
    );
    let delete = format!(
        "DELETE FROM subscriptions WHERE project_id = ?1 AND {column} = ?2 AND {condition}"
    );
    let mut with_time = params.clone();
    with_time.push(now_ms.into());
    vec![Statement { sql: note, params: with_time }, Statement { sql: delete, params }]
}

/// Deletes a subscription.
pub fn delete_subscription(project_id: &str, id: &str, now_ms: u64) -> Vec<Statement> {
    let mut statements = vec![owe_limits("id", "true", project_id, id, now_ms)];
    statements.extend(delete("id", project_id, id, now_ms));
    statements
}

/// What subscriptions say about their deliveries, as [`super::paces`], wherever they lead to now, and what is left of those that
/// are deleted: `had_function` is 1 if a function made what they send.
pub fn paces_of(project_id: &str, subscriptions: &[&str]) -> Statement {
    Statement {
        sql: format!(
            "SELECT {}, doc ->> '$.had_function' AS had_function FROM subscriptions \
             WHERE project_id IN (?1, ?1 || '{GONE}') AND id IN (SELECT value FROM json_each(?2))",
            super::hold::PACE_COLUMNS
        ),
        params: vec![project_id.into(), json!(subscriptions).into()],
    }
}

/// What these subscriptions say of the deliveries that a list shows, as `id`, `retry` (JSON), `has_function`, and `had_function` of
/// those that are deleted. One that is not among them is not known any more.
pub fn retries(project_id: &str, subscriptions: &[&str]) -> Statement {
    Statement {
        sql: format!(
            "SELECT id, doc -> '$.retry' AS retry, coalesce(doc ->> '$.function', '') <> '' AS has_function, \
             coalesce(doc ->> '$.had_function', 0) AS had_function FROM subscriptions \
             WHERE project_id IN (?1, ?1 || '{GONE}') AND id IN (SELECT value FROM json_each(?2))"
        ),
        params: vec![project_id.into(), json!(subscriptions).into()],
    }
}

/// Those of these subscriptions of which nothing can be sent any more, as `id` and `is_known`: they are deleted and had a function,
/// or nothing is known of them.
pub fn not_sent(project_id: &str, subscriptions: &[&str]) -> Statement {
    statement(
        &format!(
            "SELECT j.value AS id, s.id IS NOT NULL AS is_known FROM json_each(?2) AS j \
             LEFT JOIN subscriptions AS s ON s.project_id = ?1 || '{GONE}' AND s.id = j.value \
             WHERE j.value <> '' AND CASE WHEN s.id IS NULL \
             THEN NOT EXISTS (SELECT 1 FROM subscriptions AS t WHERE t.project_id = ?1 AND t.id = j.value) \
             ELSE s.doc ->> '$.had_function' END"
        ),
        [project_id.into(), json!(subscriptions).into()],
    )
}

/// Rows that one step forgets.
const FORGET_ROWS: usize = 1_000;

/// Projects to which something is left of subscriptions that were deleted before `before_ms`, as `id` and `shard`.
pub fn with_gone(before_ms: u64) -> Statement {
    let sql = format!(
        "SELECT p.id AS id, p.doc ->> '$.shard' AS shard FROM projects AS p WHERE EXISTS (\
         SELECT 1 FROM subscriptions INDEXED BY subscriptions_gone WHERE project_id = p.id || '{GONE}' \
         AND doc ->> '$.gone_at' < ?1)"
    );
    Statement { sql, params: vec![before_ms.into()] }
}

/// The first delivery of each of these projects, as `id` and `oldest`.
pub fn oldest_deliveries(projects: &[&str]) -> Statement {
    statement(
        "SELECT j.value AS id, (SELECT d.id FROM deliveries AS d WHERE d.project_id = j.value ORDER BY d.id LIMIT 1) AS oldest \
         FROM json_each(?1) AS j",
        [json!(projects).into()],
    )
}

/// Forgets what is left of subscriptions, for each project of those that were deleted before a time: `[project, time]`. A row
/// comes back for each.
pub fn forget_gone(projects: &Value) -> Statement {
    let sql = format!(
        "DELETE FROM subscriptions WHERE (project_id, id) IN (SELECT s.project_id, s.id FROM json_each(?1) AS j \
         JOIN subscriptions AS s INDEXED BY subscriptions_gone ON s.project_id = (j.value ->> 0) || '{GONE}' \
         AND s.doc ->> '$.gone_at' < j.value ->> 1 LIMIT {FORGET_ROWS}) RETURNING id"
    );
    statement(&sql, [json!(projects).into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::tests::{database, run};
    use crate::sql::{delete_endpoint, delete_project, delete_source, paces};

    fn insert(db: &rusqlite::Connection, id: &str, source: &str, endpoint: &str, doc: &Value) {
        let sql = "INSERT INTO subscriptions (project_id, id, name, source_id, endpoint_id, doc) VALUES ('p', ?1, '', ?2, ?3, ?4)";
        run(db, &statement(sql, [id.into(), source.into(), endpoint.into(), doc.clone().into()]));
    }

    #[test]
    fn a_deleted_subscription_leaves_what_its_deliveries_have_to_know_and_its_project_takes_it_along()
     {
        let db = database();
        let retry = json!({"type": "linear"});
        insert(&db, "plain", "s", "e", &json!({"function": "", "retry": null, "rate_limit": null}));
        insert(&db, "made", "s", "e", &json!({"function": "f", "rate_limit": {"count": 1}}));
        insert(&db, "own", "t", "e", &json!({"function": "", "retry": retry}));
        insert(&db, "ends", "t", "x", &json!({"function": "f", "retry": retry}));
        let all = ["plain", "made", "own", "ends", "other"];
        assert_eq!(run(&db, &paces("p", "e")).len(), 3, "all of an endpoint, whatever they say");
        let unknown = json!({"id": "other", "is_known": 0});
        assert_eq!(json!(run(&db, &not_sent("p", &all))), json!([unknown]));
        for n in 0..300 {
            insert(&db, &format!("silent{n}"), "", "many", &json!({"function": ""}));
        }
        insert(&db, "speaks", "", "many", &json!({"function": "f"}));
        let many = run(&db, &paces("p", "many"));
        assert!(many.len() == 101 && many[0]["id"] == "speaks", "{}", many.len());

        run(&db, &statement("DELETE FROM subscriptions WHERE endpoint_id = 'many'", []));
        let deletions = [
            delete_source("p", "s", 1),
            delete_subscription("p", "own", 1),
            delete_endpoint("p", "x", 1),
        ];
        for statement in deletions.concat() {
            run(&db, &statement);
        }

        let gone = run(&db, &not_sent("p", &all));
        let had = |id: &str| json!({"id": id, "is_known": 1});
        assert_eq!(json!(gone), json!([had("made"), had("ends"), unknown]));
        assert_eq!(run(&db, &not_sent("q", &["made", ""])), [json!({"id": "made", "is_known": 0})]);
        let left = run(&db, &paces_of("p", &all));
        let of = |id: &str| left.iter().find(|row| row["id"] == id).map(|row| json!(row));
        assert_eq!(of("other"), None);
        let plain = of("plain").unwrap();
        assert_eq!((&plain["retry"], &plain["had_function"]), (&json!("null"), &json!(0)));
        assert_eq!(of("own").unwrap()["retry"], json!(retry.to_string()));
        assert_eq!(of("own").unwrap()["had_function"], 0);
        assert_eq!(of("made").unwrap()["had_function"], 1);
        assert_eq!(run(&db, &retries("p", &all)).len(), 4);
        for statement in delete_project("p", 0, 5) {
            run(&db, &statement);
        }
        assert_eq!(run(&db, &statement("SELECT id FROM subscriptions", [])).len(), 0);
    }

    #[test]
    fn what_is_left_of_a_subscription_is_forgotten_after_its_time() {
        let db = database();
        for project in ["p", "q"] {
            let sql = "INSERT INTO projects (id, name, doc) VALUES (?1, ?1, '{\"shard\":3}')";
            run(&db, &statement(sql, [project.into()]));
        }
        for (id, at) in [("a", 10), ("b", 20), ("lives", 0)] {
            insert(&db, id, "", id, &json!({"function": "f"}));
            if 0 < at {
                for statement in delete_endpoint("p", id, at) {
                    run(&db, &statement);
                }
            }
        }
        assert!(run(&db, &with_gone(10)).is_empty());
        assert_eq!(run(&db, &with_gone(11)), [json!({"id": "p", "shard": 3})]);
        let delivery = "INSERT INTO deliveries (project_id, id, event_id, subscription_id, endpoint_id, source_id, event_type, \
            delivery_mode, status, created_at, updated_at) VALUES ('p', ?1, '', '', '', '', '', '', '', 0, 0)";
        for id in ["2", "1"] {
            run(&db, &statement(delivery, [id.into()]));
        }
        let oldest = run(&db, &oldest_deliveries(&["p", "q"]));
        let expect = json!([{"id": "p", "oldest": "1"}, {"id": "q", "oldest": null}]);
        assert_eq!(json!(oldest), expect);
        let forgotten = run(&db, &forget_gone(&json!([["p", 20], ["q", 99]])));
        assert_eq!(forgotten, [json!({"id": "a"})]);
        assert_eq!(run(&db, &forget_gone(&json!([["p", 21]]))), [json!({"id": "b"})]);
        assert_eq!(
            run(&db, &statement("SELECT id FROM subscriptions", [])),
            [json!({"id": "lives"})]
        );
    }
}
