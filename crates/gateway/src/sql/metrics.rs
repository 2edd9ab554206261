//! What is counted for an operator, with bounded reads.

use serde_json::json;

use super::Statement;
use super::sources::all_counts;
use crate::metrics::Figure;

/// Rows that are counted of what waits, or was given up.
const COUNTED_ROWS: u64 = 10_000;
/// The newest deliveries of all projects that are asked about, and of one of them.
const NEWEST_ROWS: u64 = 50_000;
const NEWEST_OF_ONE: u64 = 1_000;

/// What is counted for these projects, as `project_id`, `label` and `n`. Nothing is read but keys that find it.
pub fn figure(figure: Figure, projects: &[String]) -> Statement {
    let of_projects = "IN (SELECT value FROM json_each(?1))";
    let counted = |label: &str, from: &str| {
        format!(
            "SELECT project_id, {label} AS label, count(*) AS n FROM ({from} LIMIT {COUNTED_ROWS}) GROUP BY 1, 2"
        )
    };
    let sql = match figure {
        Figure::Events => format!(
            "SELECT project_id, '' AS label, sum(events) AS n FROM {} GROUP BY 1",
            all_counts(&format!("project_id {of_projects}"))
        ),
        Figure::SetAside => {
            counted("''", &format!("SELECT project_id FROM parked WHERE project_id {of_projects}"))
        }
        Figure::Deliveries => {
            let count = u64::try_from(projects.len()).unwrap_or(u64::MAX).max(1);
            let each = (NEWEST_ROWS / count).clamp(10, NEWEST_OF_ONE);
            format!(
                "SELECT d.project_id AS project_id, d.status AS label, count(*) AS n FROM json_each(?1) AS p \
                 JOIN deliveries AS d ON d.project_id = p.value AND d.id IN (SELECT id FROM deliveries \
                 WHERE project_id = p.value ORDER BY id DESC LIMIT {each}) GROUP BY 1, 2"
            )
        }
        // The index is by time: others' rows are among those that are looked at.
        Figure::Watched => format!(
            "SELECT project_id, '' AS label, count(*) AS n FROM (SELECT project_id FROM deliveries \
             INDEXED BY deliveries_to_look_at WHERE look_at IS NOT NULL LIMIT {COUNTED_ROWS}) \
             WHERE project_id {of_projects} GROUP BY 1"
        ),
        Figure::Held => counted(
            "hold",
            &format!(
                "SELECT project_id, hold FROM deliveries INDEXED BY deliveries_held \
                 WHERE hold IS NOT NULL AND project_id {of_projects}"
            ),
        ),
        Figure::DeadLetters => counted(
            "kind",
            &format!("SELECT project_id, kind FROM dead_letters WHERE project_id {of_projects}"),
        ),
        Figure::Breakers => counted(
            "state",
            &format!("SELECT project_id, state FROM breakers WHERE project_id {of_projects}"),
        ),
    };
    Statement { sql, params: vec![json!(projects).into()] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::statement;
    use crate::sql::tests::{database, run};

    #[test]
    fn what_projects_have_is_counted_and_nothing_of_others() {
        let db = database();
        for (project, id, status, look_at, hold) in [
            ("p", "1", "Success", None, None),
            ("p", "2", "Success", None, None),
            ("p", "3", "Retry", Some(5), Some("limit")),
            ("q", "1", "Failure", None, None),
            ("r", "1", "Retry", Some(4), Some("breaker")),
        ] {
            let sql = "INSERT INTO deliveries (project_id, id, event_id, subscription_id, endpoint_id, source_id, event_type, \
                delivery_mode, status, look_at, hold, created_at, updated_at) \
                VALUES (?1, ?2, '', '', '', '', '', '', ?3, ?4, ?5, 0, 0)";
            let hold = hold.map(|hold: &str| json!(hold));
            let hold = hold.as_ref().and_then(|hold| hold.as_str());
            run(
                &db,
                &statement(
                    sql,
                    [
                        project.into(),
                        id.into(),
                        status.into(),
                        look_at.into(),
                        hold.map_or(super::super::Param::Null, Into::into),
                    ],
                ),
            );
        }
        for sql in [
            "INSERT INTO source_counts VALUES ('p', 'a', 3, 0), ('p', 'b', 4, 0), ('r', 'c', 9, 0)",
            "INSERT INTO dead_letters (id, kind, reason, payload, is_base64, at, project_id) VALUES ('1', 'event', '', '', 0, 0, 'p'), ('2', 'event', '', '', 0, 0, 'r')",
            "INSERT INTO parked (project_id, event_id, meta, body, is_base64, tries, since, due_at) VALUES ('p', '1', '', '', 0, 1, 0, 0), ('r', '2', '', '', 0, 1, 0, 0)",
            "INSERT INTO breakers VALUES ('p', 'e', 'open', 0, '', 0, 0, 0, 0, 0, 0), ('r', 'e', 'open', 0, '', 0, 0, 0, 0, 0, 0)",
        ] {
            run(&db, &statement(sql, []));
        }
        for (of, expect) in [
            (Figure::Events, json!([["p", "", 7]])),
            (Figure::SetAside, json!([["p", "", 1]])),
            (
                Figure::Deliveries,
                json!([["p", "Retry", 1], ["p", "Success", 2], ["q", "Failure", 1]]),
            ),
            (Figure::Watched, json!([["p", "", 1]])),
            (Figure::Held, json!([["p", "limit", 1]])),
            (Figure::DeadLetters, json!([["p", "event", 1]])),
            (Figure::Breakers, json!([["p", "open", 1]])),
        ] {
            let rows = run(&db, &figure(of, &["p".into(), "q".into()]));
            let rows: Vec<_> =
                rows.iter().map(|row| json!([row["project_id"], row["label"], row["n"]])).collect();
            assert_eq!(json!(rows), expect, "{of:?}");
            assert!(run(&db, &figure(of, &[])).is_empty(), "{of:?}");
        }
    }
}
