//! Sources of which the edge has still to hear: a change of their project concerns all of them, and one call tells of some.

use serde_json::{Value, json};

use super::{Statement, statement};

/// Notes all sources of a project for the change of `at_ms`. One that is noted already counts anew, so that who is telling of it
/// right now does not take the note away.
pub fn note_untold(project_id: &str, at_ms: u64) -> Statement {
    statement(
        "INSERT INTO untold (project_id, mask_id, at) SELECT ?1, mask_id, ?2 FROM sources WHERE project_id = ?1 \
         ON CONFLICT (project_id, mask_id) DO UPDATE SET at = max(at + 1, excluded.at)",
        [project_id.into(), at_ms.into()],
    )
}

/// Some that are noted, of a project or of any: `project_id`, `mask_id`, `at`.
pub fn untold(project_id: Option<&str>, limit: usize) -> Statement {
    let (of, params) = match project_id {
        Some(id) => ("WHERE project_id = ?1", vec![id.into()]),
        None => ("", Vec::new()),
    };
    let sql = format!(
        "SELECT project_id, mask_id, at FROM untold {of} ORDER BY project_id, mask_id LIMIT {limit}"
    );
    Statement { sql, params }
}

/// How many of a project are noted, as `n`.
pub fn count_untold(project_id: &str) -> Statement {
    statement("SELECT count(*) AS n FROM untold WHERE project_id = ?1", [project_id.into()])
}

/// Takes notes away, `[project, mask, at]`, but for those that count anew.
pub fn forget_untold(notes: Value) -> Statement {
    statement(
        "DELETE FROM untold WHERE (project_id, mask_id, at) IN \
         (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1))",
        [notes.into()],
    )
}

/// The sources behind masks, with their projects: `mask_id`, `source`, `project`.
pub fn sources_of_masks(masks: &[&str]) -> Statement {
    statement(
        "SELECT s.mask_id AS mask_id, s.doc AS source, p.doc AS project FROM json_each(?1) AS j \
         JOIN sources AS s ON s.mask_id = j.value JOIN projects AS p ON p.id = s.project_id",
        [json!(masks).into()],
    )
}

/// The masks of `limit` sources of a project, as `mask_id`.
pub fn masks(project_id: &str, limit: usize) -> Statement {
    Statement {
        sql: format!("SELECT mask_id FROM sources WHERE project_id = ?1 ORDER BY id LIMIT {limit}"),
        params: vec![project_id.into()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::tests::{database, run};
    use crate::sql::{Kept, delete_project, if_changed};

    fn world() -> rusqlite::Connection {
        let db = database();
        for sql in [
            "INSERT INTO projects (id, name, doc) VALUES ('p', 'p', '{\"updated_at\":7}'), ('q', 'q', '{}')",
            "INSERT INTO sources (project_id, id, mask_id, name, type, provider, doc) VALUES ('p', '1', 'a', '', '', '', '{\"n\":1}'), \
             ('p', '2', 'b', '', '', '', '{}'), ('q', '3', 'c', '', '', '', '{}')",
        ] {
            run(&db, &statement(sql, []));
        }
        db
    }

    #[test]
    fn a_note_goes_when_what_it_was_made_for_is_told() {
        let db = world();
        let left = |of| -> Vec<Value> {
            let rows = run(&db, &untold(of, 9));
            rows.iter().map(|row| json!([row["project_id"], row["mask_id"], row["at"]])).collect()
        };
        run(&db, &if_changed(note_untold("p", 5), Kept::Project("p"), 6));
        assert!(left(None).is_empty(), "the change had no effect");
        run(&db, &if_changed(note_untold("p", 7), Kept::Project("p"), 7));
        run(&db, &note_untold("q", 7));
        let told = left(Some("p"));
        assert_eq!(told, [json!(["p", "a", 7]), json!(["p", "b", 7])]);
        // A change of the same millisecond, before the first is told.
        run(&db, &note_untold("p", 7));
        run(&db, &forget_untold(json!(told)));
        assert_eq!(left(Some("p")), [json!(["p", "a", 8]), json!(["p", "b", 8])]);
        run(&db, &forget_untold(json!([["p", "a", 8]])));
        assert_eq!(left(None), [json!(["p", "b", 8]), json!(["q", "c", 7])]);
        assert_eq!(run(&db, &untold(None, 1)).len(), 1);
        assert_eq!(run(&db, &count_untold("p")), [json!({"n": 1})]);
    }

    #[test]
    fn a_source_that_is_gone_is_noted_and_found_no_more() {
        let db = world();
        let found = |masks: &[&str]| run(&db, &sources_of_masks(masks));
        assert_eq!(found(&["a", "none"])[0]["source"], "{\"n\":1}");
        assert_eq!(run(&db, &masks("p", 1)), [json!({"mask_id": "a"})]);
        run(&db, &note_untold("p", 7));
        for statement in delete_project("p", 0, 8) {
            run(&db, &statement);
        }
        assert!(found(&["a", "b"]).is_empty());
        assert_eq!(run(&db, &count_untold("p")), [json!({"n": 2})]);
    }
}
