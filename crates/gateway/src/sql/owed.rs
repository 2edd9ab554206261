//! What a change leaves to be done in the shard of its project, as the control database notes it: in the transaction of the change,
//! so that it is done in the end though the shard does not answer now.

use serde_json::Value;

use super::{Kept, Statement, if_changed, statement};
use crate::pace::RateLimit;
use crate::subscription::Subscription;

/// What waits under a limit that has changed or is gone asks again for a place.
pub const LIMIT: &str = "limit";
/// An endpoint starts afresh: without a breaker, and without places that were given.
pub const ENDPOINT: &str = "endpoint";
/// What waits for an endpoint is let go, but for the deliveries up to `id`, which were.
pub const RELEASE: &str = "release";
/// What was counted and kept of a source goes with it.
pub const SOURCE: &str = "source";

const NOTE: &str = "INSERT INTO owed (project_id, kind, id, endpoint_id, at)";
/// One that is noted already counts anew, so that who is at it right now does not take the note away.
const AGAIN: &str =
    "ON CONFLICT (project_id, kind, id, endpoint_id) DO UPDATE SET at = max(at + 1, excluded.at)";

fn note(
    kind: &str,
    project_id: &str,
    (id, endpoint_id): (&str, &str),
    condition: &str,
    now_ms: u64,
) -> Statement {
    let sql = format!("{NOTE} SELECT ?1, ?2, ?3, ?4, ?5 WHERE {condition} {AGAIN}");
    statement(&sql, [project_id.into(), kind.into(), id.into(), endpoint_id.into(), now_ms.into()])
}

/// Notes that the limit of an endpoint has changed.
pub fn owe_limit(project_id: &str, endpoint_id: &str, now_ms: u64) -> Statement {
    note(LIMIT, project_id, (endpoint_id, endpoint_id), "true", now_ms)
}

/// Notes that an endpoint starts afresh, or is gone.
pub fn owe_endpoint(project_id: &str, endpoint_id: &str, now_ms: u64) -> Statement {
    note(ENDPOINT, project_id, (endpoint_id, endpoint_id), "true", now_ms)
}

/// Notes, under a condition, that a source is gone: `?1` is its project, and `?3` its id.
pub(super) fn owe_source(
    project_id: &str,
    source_id: &str,
    condition: &str,
    now_ms: u64,
) -> Statement {
    note(SOURCE, project_id, (source_id, ""), condition, now_ms)
}

/// Notes that the limits of subscriptions are to go, of which `column` is `?2`: to be run before they do.
pub(super) fn owe_limits(
    column: &str,
    condition: &str,
    project_id: &str,
    value: &str,
    now_ms: u64,
) -> Statement {
    let sql = format!(
        "{NOTE} SELECT project_id, '{LIMIT}', id, endpoint_id, ?3 FROM subscriptions \
         WHERE project_id = ?1 AND {column} = ?2 AND {condition} AND doc ->> '$.rate_limit' IS NOT NULL {AGAIN}"
    );
    statement(&sql, [project_id.into(), value.into(), now_ms.into()])
}

/// What the change of a subscription leaves to be done: what waits is where its limit was.
pub fn owed_by(
    limit: Option<RateLimit>,
    endpoint_id: &str,
    changed: &Subscription,
) -> Option<Statement> {
    let has_moved = changed.endpoint_id != endpoint_id;
    let is_owed = changed.rate_limit != limit || (has_moved && limit.is_some());
    let (project, id, at) = (&*changed.project_id, &*changed.uid, changed.updated_at);
    let owed = || note(LIMIT, project, (id, endpoint_id), "true", at);
    is_owed.then(|| if_changed(owed(), Kept::Subscription(project, id), at))
}

/// Notes that a release goes on after a delivery.
pub fn owe_release(project_id: &str, endpoint_id: &str, after: &str, now_ms: u64) -> Statement {
    note(RELEASE, project_id, (after, endpoint_id), "true", now_ms)
}

/// Some of what is owed: `project_id`, `kind`, `id`, `endpoint_id`, `at` and `shard`. Of a project's the newest, which its call has just
/// left; of all, each shard has its first before any has its second, and so has each project of a shard, the longest first.
pub fn owed(project_id: Option<&str>, limit: usize) -> Statement {
    let (of, order, params) = match project_id {
        Some(id) => ("WHERE o.project_id = ?1", "at DESC", vec![id.into()]),
        None => ("", "turn, at", Vec::new()),
    };
    let sql = format!(
        "WITH noted AS (SELECT o.project_id AS project_id, o.kind AS kind, o.id AS id, o.endpoint_id AS endpoint_id, o.at AS at, \
         p.doc ->> '$.shard' AS shard, row_number() OVER (PARTITION BY o.project_id ORDER BY o.at) AS place \
         FROM owed AS o JOIN projects AS p ON p.id = o.project_id {of}) \
         SELECT project_id, kind, id, endpoint_id, at, shard, \
         row_number() OVER (PARTITION BY shard ORDER BY place, at) AS turn FROM noted ORDER BY {order} LIMIT {limit}"
    );
    Statement { sql, params }
}

/// Takes notes away, `[project, kind, id, endpoint, at]`, but for those that count anew.
pub fn forget_owed(notes: Value) -> Statement {
    statement(
        "DELETE FROM owed WHERE (project_id, kind, id, endpoint_id, at) IN \
         (SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?1))",
        [notes.into()],
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sql::tests::{database, run};
    use crate::sql::{
        delete_endpoint, delete_project, delete_source, delete_subscription, insert_subscription,
    };

    fn world() -> rusqlite::Connection {
        let db = database();
        let project = "INSERT INTO projects (id, name, doc) VALUES ('p', 'p', '{\"shard\":3}')";
        run(&db, &statement(project, []));
        for (id, source, doc) in [
            ("limited", "s", "{\"rate_limit\":{\"count\":1}}"),
            ("plain", "s", "{\"rate_limit\":null}"),
            ("other", "t", "{\"rate_limit\":{\"count\":1}}"),
        ] {
            let sql = "INSERT INTO subscriptions (project_id, id, name, source_id, endpoint_id, doc) VALUES ('p', ?1, '', ?2, 'e', ?3)";
            run(&db, &statement(sql, [id.into(), source.into(), doc.into()]));
        }
        db
    }

    fn all(db: &rusqlite::Connection) -> Vec<Value> {
        let rows = run(db, &owed(None, 9));
        let of = |row: &serde_json::Map<String, Value>| {
            json!([row["kind"], row["id"], row["endpoint_id"], row["at"], row["shard"]])
        };
        rows.iter().map(|row| of(row.as_object().unwrap())).collect()
    }

    #[test]
    fn what_is_deleted_notes_what_is_left_to_be_done_for_it() {
        let db = world();
        let do_all = |statements: Vec<Statement>| {
            for statement in statements {
                run(&db, &statement);
            }
        };
        do_all(delete_source("p", "s", 5));
        do_all(delete_subscription("p", "other", 6));
        do_all(delete_endpoint("p", "e", 7));
        let expect = [
            json!(["limit", "limited", "e", 5, 3]),
            json!(["source", "s", "", 5, 3]),
            json!(["limit", "other", "e", 6, 3]),
            json!(["endpoint", "e", "e", 7, 3]),
        ];
        assert_eq!(all(&db), expect);
        let of_a_call = run(&db, &owed(Some("p"), 1));
        assert_eq!(of_a_call[0]["kind"], "endpoint", "what was left last");
        // One that comes again meanwhile stays.
        do_all(vec![owe_endpoint("p", "e", 7)]);
        do_all(vec![forget_owed(json!([
            ["p", "endpoint", "e", "e", 7],
            ["p", "source", "s", "", 5]
        ]))]);
        let ats: Vec<u64> = all(&db).iter().map(|one| one[3].as_u64().unwrap()).collect();
        assert_eq!(ats, [5, 6, 8]);
        assert_eq!(run(&db, &owed(None, 1)).len(), 1);
        do_all(delete_project("p", 3, 9));
        assert_eq!(run(&db, &statement("SELECT id FROM owed", [])).len(), 0);
    }

    #[test]
    fn no_projects_notes_wait_for_the_many_of_another() {
        let db = database();
        for (project, shard) in [("many", 0), ("few", 0), ("far", 1), ("away", 1)] {
            let doc = format!("{{\"shard\":{shard}}}");
            let sql = "INSERT INTO projects (id, name, doc) VALUES (?1, ?1, ?2)";
            run(&db, &statement(sql, [project.into(), doc.into()]));
        }
        for n in 0..30 {
            run(&db, &owe_limit("many", &format!("e{n:02}"), n));
        }
        for (project, at) in [("few", 40), ("few", 41), ("far", 42), ("away", 43)] {
            run(&db, &owe_limit(project, &at.to_string(), at));
        }
        run(&db, &owe_release("many", "e00", "d", 44));
        let order: Vec<Value> = run(&db, &owed(None, 7))
            .iter()
            .map(|row| json!([row["project_id"], row["at"]]))
            .collect();
        let expect = [
            json!(["many", 0]),
            json!(["far", 42]),
            json!(["few", 40]),
            json!(["away", 43]),
            json!(["many", 1]),
            json!(["few", 41]),
            json!(["many", 2]),
        ];
        assert_eq!(order, expect);
    }

    #[test]
    fn a_limit_that_a_subscription_had_is_owed_to_where_it_was() {
        let db = database();
        let project = "INSERT INTO projects (id, name, doc) VALUES ('p', 'p', '{\"shard\":3}')";
        run(&db, &statement(project, []));
        let input = crate::api::parse(br#"{"name":"a","endpoint_id":"here"}"#).unwrap();
        let mut changed = Subscription::create(input, "p", false, 5, &mut |b| b.fill(1)).unwrap();
        let limit = |count| Some(RateLimit { count, duration_s: 1 });
        changed.rate_limit = limit(1);
        run(&db, &insert_subscription(&changed, false));
        for (before, endpoint, now, expect) in [
            (limit(1), "here", limit(1), None),
            (limit(2), "here", limit(1), Some("here")),
            (limit(1), "there", limit(1), Some("there")),
            (limit(1), "here", None, Some("here")),
            (None, "there", limit(1), Some("there")),
            (None, "there", None, None),
        ] {
            changed.rate_limit = now;
            if let Some(owed) = owed_by(before, endpoint, &changed) {
                run(&db, &owed);
            }
            let noted = all(&db).pop();
            let expect = expect.map(|at| json!(["limit", changed.uid, at, 5, 3]));
            assert_eq!(noted, expect, "{before:?} {now:?}");
            run(&db, &statement("DELETE FROM owed", []));
        }
        changed.updated_at = 6;
        run(&db, &owed_by(limit(2), "here", &changed).unwrap());
        assert_eq!(all(&db), [] as [Value; 0], "that change was overtaken");
    }
}
