//! Keys of projects, and the end of a project.

use serde_json::{Value, json};

use super::gone::GONE;
use super::{Journal, Statement, note_untold, statement};
use crate::api_key::NewApiKey;

pub fn insert_api_key(hash: &str, key: &NewApiKey, project_id: &str) -> Statement {
    statement(
        "INSERT INTO api_keys (hash, id, project_id, created_at, name, mask, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        [
            hash.into(),
            key.uid.as_str().into(),
            project_id.into(),
            key.created_at.into(),
            key.name.as_str().into(),
            key.mask().into(),
            key.expires_at.into(),
        ],
    )
}

/// The project that an API key, by its hash, opens at `now_ms`.
pub fn project_of_key(hash: &str, now_ms: u64) -> Statement {
    statement(
        "SELECT p.doc, k.expires_at FROM api_keys k JOIN projects p ON p.id = k.project_id \
         WHERE k.hash = ?1 AND coalesce(k.expires_at > ?2, 1)",
        [hash.into(), now_ms.into()],
    )
}

/// The keys of a project that are valid at `now_ms`, the oldest first.
pub fn api_keys(project_id: &str, now_ms: u64) -> Statement {
    statement(
        "SELECT id, name, mask, created_at, expires_at FROM api_keys INDEXED BY api_keys_by_project \
         WHERE project_id = ?1 AND coalesce(expires_at > ?2, 1) ORDER BY id",
        [project_id.into(), now_ms.into()],
    )
}

/// Ends a key; a row comes back if there was one.
pub fn delete_api_key(project_id: &str, id: &str) -> Statement {
    statement(
        "DELETE FROM api_keys WHERE project_id = ?1 AND id = ?2 RETURNING id",
        [project_id.into(), id.into()],
    )
}

/// Lets the project's own keys end at `until_ms`, if not before, and forgets those that have ended.
pub fn end_own_keys(project_id: &str, until_ms: u64, now_ms: u64) -> Vec<Statement> {
    vec![
        statement(
            "UPDATE api_keys SET expires_at = min(coalesce(expires_at, ?2), ?2) WHERE project_id = ?1 AND name = ''",
            [project_id.into(), until_ms.into()],
        ),
        statement(
            "DELETE FROM api_keys WHERE project_id = ?1 AND expires_at <= ?2",
            [project_id.into(), now_ms.into()],
        ),
    ]
}

/// Where the control database keeps what belongs to a project.
const TABLES: &[&str] = &[
    "api_keys",
    "consumer_keys",
    "consumer_reports",
    "endpoints",
    "event_types",
    "owed",
    "portal_links",
    "portal_tokens",
    "sources",
    "subscriptions",
];

/// Removes a project and all that it has in the control database, and notes that its events are to follow, and of which sources
/// the edge has to hear that they are gone.
pub fn delete_project(project_id: &str, shard: u32, now_ms: u64) -> Vec<Statement> {
    let tombstone = statement(
        "INSERT INTO deleted_projects (id, shard, deleted_at) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING",
        [project_id.into(), u64::from(shard).into(), now_ms.into()],
    );
    let mut statements = vec![tombstone, note_untold(project_id, now_ms)];
    let delete = |table: &&str| {
        let sql = format!("DELETE FROM {table} WHERE project_id = ?1");
        Statement { sql, params: vec![project_id.into()] }
    };
    statements.extend(TABLES.iter().map(delete));
    statements.push(Statement {
        sql: format!("DELETE FROM subscriptions WHERE project_id = ?1 || '{GONE}'"),
        params: vec![project_id.into()],
    });
    statements.push(statement("DELETE FROM projects WHERE id = ?1", [project_id.into()]));
    statements
}

/// Projects that are gone, as `id`, `shard` and `deleted_at`.
pub fn deleted_projects() -> Statement {
    statement("SELECT id, shard, deleted_at FROM deleted_projects ORDER BY id", [])
}

pub fn forget_project(project_id: &str) -> Statement {
    statement("DELETE FROM deleted_projects WHERE id = ?1", [project_id.into()])
}

/// Removes what is left of a project in its shard when its events and deliveries are gone.
pub fn delete_remains(project_id: &str) -> Vec<Statement> {
    let tables = ["alerts", "breakers", "gates", "rejections", "source_counts", "verdicts"];
    let mut statements = Journal::flush_counts();
    statements.extend(tables.iter().map(|table| Statement {
        sql: format!("DELETE FROM {table} WHERE project_id = ?1"),
        params: vec![project_id.into()],
    }));
    // `0` comes after `/`.
    statements.push(statement(
        "DELETE FROM source_requests WHERE source_id > ?1 || '/' AND source_id < ?1 || '0'",
        [project_id.into()],
    ));
    statements
}

/// Those of `projects` (pairs of project and cutoff) that have something older, as `id`.
pub fn with_expired(projects: Value) -> Statement {
    let older = |table: &str| {
        format!(
            "EXISTS (SELECT 1 FROM {table} AS t WHERE t.project_id = j.value ->> 0 AND t.id < j.value ->> 1)"
        )
    };
    Statement {
        sql: format!(
            "SELECT j.value ->> 0 AS id FROM json_each(?1) AS j WHERE {} OR {} OR {} OR {}",
            older("events"),
            older("deliveries"),
            older("duplicates"),
            older("dead_letters")
        ),
        params: vec![json!(projects).into()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::tests::{database, run};

    fn names(db: &rusqlite::Connection, sql: &str) -> Vec<String> {
        let rows = run(db, &statement(sql, []));
        rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_deleted_project_leaves_nothing_behind() {
        let db = database();
        let with_project = "SELECT m.name AS name FROM sqlite_master AS m WHERE m.type = 'table' \
             AND EXISTS (SELECT 1 FROM pragma_table_info(m.name) AS c WHERE c.name = 'project_id')";
        // By retention, with the deliveries, or, what is parked, by becoming one of these before the tombstone goes.
        let events = ["events", "deliveries", "duplicates", "dead_letters", "parked"];
        let mut known: Vec<String> = TABLES.iter().map(ToString::to_string).collect();
        known.extend(events.map(str::to_owned));
        // Goes when the edge has heard of it.
        known.push("untold".into());
        for statement in delete_remains("p") {
            known.extend(statement.sql.split(' ').nth(2).map(str::to_owned));
        }
        for table in names(&db, with_project) {
            assert!(known.contains(&table), "{table} is not in what a deleted project removes");
        }
        for statement in delete_project("p", 0, 5).iter().chain(&delete_remains("p")) {
            run(&db, statement);
        }
        assert_eq!(run(&db, &deleted_projects()).len(), 1);
        run(&db, &forget_project("p"));
        assert_eq!(run(&db, &deleted_projects()).len(), 0);
    }

    #[test]
    fn keys_open_their_project_until_they_end() {
        let db = database();
        run(&db, &statement("INSERT INTO projects (id, name, doc) VALUES ('p', 'p', '{}')", []));
        let mut n = 0;
        let mut key = |name: &str, expires_at| {
            n += 1;
            let made = NewApiKey::generate(0, &mut |b| b.fill(n));
            let made = NewApiKey { name: name.into(), expires_at, ..made };
            run(&db, &insert_api_key(&format!("hash-{n}"), &made, "p"));
            made.uid
        };
        key("", None);
        let named = key("named", Some(100));
        let opens = |hash: &str, now| run(&db, &project_of_key(hash, now)).len();
        assert_eq!((opens("hash-1", 500), opens("hash-2", 99), opens("hash-2", 100)), (1, 1, 0));
        assert_eq!(opens("hash-3", 0), 0);
        assert_eq!(run(&db, &api_keys("p", 50)).len(), 2);
        assert_eq!(run(&db, &api_keys("p", 100)).len(), 1);
        for statement in end_own_keys("p", 80, 50) {
            run(&db, &statement);
        }
        assert_eq!((opens("hash-1", 79), opens("hash-1", 80), opens("hash-2", 80)), (1, 0, 1));
        assert_eq!(run(&db, &delete_api_key("q", &named)).len(), 0);
        assert_eq!(run(&db, &delete_api_key("p", &named)).len(), 1);
        assert_eq!(opens("hash-2", 80), 0);
    }

    #[test]
    fn only_projects_with_something_old_are_named() {
        let db = database();
        let sql = "INSERT INTO duplicates (project_id, id, event_id, received_at) VALUES ('p', 'b', '', 0)";
        run(&db, &statement(sql, []));
        let found = run(&db, &with_expired(json!([["p", "c"], ["q", "c"]])));
        assert_eq!(json!(found), json!([{"id": "p"}]));
        assert!(run(&db, &with_expired(json!([["p", "b"]]))).is_empty());
    }
}
