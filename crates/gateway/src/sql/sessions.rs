//! Test sessions that have ended.

use super::owed::{owe_limits, owe_source};
use super::{Statement, gone, statement};

/// Sessions that one step removes.
const TOGETHER: usize = 25;
/// A session that is none any more has been claimed.
const IS_ENDED: &str =
    "doc ->> '$.profile.is_session' = 1 AND doc ->> '$.admission.expires_at' <= ?1";

/// Sessions that ended by `before_ms`, the first of them: `project_id`, `id` and `mask_id`.
pub fn ended_sessions(before_ms: u64) -> Statement {
    let sql = format!(
        "SELECT s.project_id AS project_id, s.id AS id, s.mask_id AS mask_id FROM \
         (SELECT project_id, id, mask_id FROM sources INDEXED BY sessions_by_end WHERE {IS_ENDED} \
         ORDER BY doc ->> '$.admission.expires_at' LIMIT {TOGETHER}) AS s JOIN projects AS p ON p.id = s.project_id"
    );
    Statement { sql, params: vec![before_ms.into()] }
}

/// Deletes one of them, with all that goes with a source; a row comes back if it was still one.
pub fn delete_ended_session(
    project_id: &str,
    id: &str,
    before_ms: u64,
    now_ms: u64,
) -> Vec<Statement> {
    let mut statements = vec![Statement {
        sql: format!(
            "DELETE FROM sources WHERE {IS_ENDED} AND project_id = ?2 AND id = ?3 RETURNING id"
        ),
        params: vec![before_ms.into(), project_id.into(), id.into()],
    }];
    let is_gone = "NOT EXISTS (SELECT 1 FROM sources WHERE project_id = ?1 AND id = ?2)";
    let sql = format!(
        "DELETE FROM consumer_reports WHERE project_id = ?1 AND source_id = ?2 AND {is_gone}"
    );
    statements.push(statement(&sql, [project_id.into(), id.into()]));
    let is_gone_too = "NOT EXISTS (SELECT 1 FROM sources WHERE project_id = ?1 AND id = ?3)";
    statements.extend([
        owe_limits("source_id", is_gone, project_id, id, now_ms),
        owe_source(project_id, id, is_gone_too, now_ms),
    ]);
    statements.extend(gone::delete_if("source_id", is_gone, project_id, id, now_ms));
    statements
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sql::tests::{database, run};

    #[test]
    fn only_sessions_that_ended_long_ago_and_were_not_claimed_go() {
        let db = database();
        let session =
            |ends: u64| json!({"profile": {"is_session": true}, "admission": {"expires_at": ends}});
        let sources = [
            ("old", session(50)),
            ("older", session(40)),
            ("young", session(51)),
            ("claimed", json!({"profile": {}, "admission": {"expires_at": null}})),
            ("source", json!({"admission": {"expires_at": 10}})),
        ];
        run(
            &db,
            &statement(
                "INSERT INTO projects (id, name, doc) VALUES ('p', 'p', '{\"shard\":3}')",
                [],
            ),
        );
        for (id, doc) in sources {
            let sql = "INSERT INTO sources (project_id, id, mask_id, name, type, provider, doc) VALUES ('p', ?1, ?1, '', '', '', ?2)";
            run(&db, &statement(sql, [id.into(), doc.to_string().into()]));
            let sql = "INSERT INTO subscriptions (project_id, id, name, source_id, endpoint_id, doc) VALUES ('p', ?1, '', ?1, '', '{}')";
            run(&db, &statement(sql, [id.into()]));
        }
        let ended = run(&db, &ended_sessions(50));
        let of = |id: &str| json!({"project_id": "p", "id": id, "mask_id": id});
        assert_eq!(ended, [of("older"), of("old")]);
        let delete = |id: &str| -> usize {
            let all = delete_ended_session("p", id, 50, 60);
            let gone: Vec<_> = all.iter().map(|statement| run(&db, statement).len()).collect();
            gone[0]
        };
        assert_eq!(["old", "young", "claimed", "source"].map(delete), [1, 0, 0, 0]);
        let left = "SELECT source_id FROM subscriptions WHERE project_id = 'p' ORDER BY id";
        let left = run(&db, &statement(left, []));
        let left: Vec<&str> = left.iter().map(|row| row["source_id"].as_str().unwrap()).collect();
        assert_eq!(left, ["claimed", "older", "source", "young"]);
        let sql =
            "UPDATE subscriptions SET doc = json_object('function', 'f') WHERE project_id = 'p'";
        run(&db, &statement(sql, []));
        assert_eq!(["young", "older"].map(delete), [0, 1]);
        let gone = run(&db, &crate::sql::not_sent("p", &["old", "older", "young"]));
        assert_eq!(json!(gone), json!([{"id": "older", "is_known": 1}]), "as with any source");
    }
}
