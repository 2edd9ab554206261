//! Events that lack something to be routed.

use serde_json::Value;

use super::{DRAIN_ROWS, Param, Statement, TRANSACTION_BYTES, statement};
use crate::parked::Waited;

/// Sets an event aside until `due_at`. One that is there already goes on from the try that was counted last.
pub fn park_event(
    (project_id, event_id): (&str, &str),
    meta: impl Into<Param>,
    (body, is_base64): (impl Into<Param>, bool),
    waited: Waited,
    due_at: u64,
) -> Statement {
    statement(
        "INSERT INTO parked (project_id, event_id, meta, body, is_base64, tries, gone, since, due_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (project_id, event_id) \
         DO UPDATE SET tries = excluded.tries, gone = excluded.gone, due_at = excluded.due_at WHERE tries < excluded.tries",
        [
            project_id.into(),
            event_id.into(),
            meta.into(),
            body.into(),
            u64::from(is_base64).into(),
            u64::from(waited.tries).into(),
            u64::from(waited.gone).into(),
            waited.since.into(),
            due_at.into(),
        ],
    )
}

/// Those that are due, the longest first: as many as a drain takes of a journal, found by their lengths as there.
pub fn parked_due(now_ms: u64) -> Statement {
    let key = "due_at, project_id, event_id";
    let sql = format!(
        "SELECT project_id, event_id, meta, body, is_base64, tries, gone, since FROM parked WHERE due_at <= ?1 AND ({key}) <= (\
         SELECT {key} FROM (SELECT {key}, sum(bytes) OVER (ORDER BY {key}) - bytes AS before FROM (\
         SELECT {key}, octet_length(body) + octet_length(meta) AS bytes FROM parked WHERE due_at <= ?1 ORDER BY {key} LIMIT {DRAIN_ROWS})) \
         WHERE before < {TRANSACTION_BYTES} ORDER BY due_at DESC, project_id DESC, event_id DESC LIMIT 1) ORDER BY {key}"
    );
    Statement { sql, params: vec![now_ms.into()] }
}

/// Forgets those that are settled, unless they were parked once more: `[project, event, tries]`. A row for each that is gone.
pub fn unpark(events: Value) -> Statement {
    statement(
        "DELETE FROM parked WHERE (project_id, event_id, tries) IN (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1)) \
         RETURNING event_id",
        [events.into()],
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{database, run};
    use super::*;

    #[test]
    fn few_come_back_at_once_when_they_are_large() {
        let db = database();
        for n in 0..50 {
            let body = "x".repeat(500_000);
            let waited = Waited { tries: 1, gone: 0, since: 7 };
            run(&db, &park_event(("p", &n.to_string()), "m", (body, false), waited, 100 - n));
        }
        let rows = run(&db, &parked_due(100));
        let ids: Vec<&str> = rows.iter().map(|row| row["event_id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["49", "48", "47", "46", "45", "44", "43", "42"]);
    }

    #[test]
    fn what_is_parked_comes_back_when_it_is_due_and_counts_its_tries_once() {
        let db = database();
        let set = |id: &str, tries: u32, due_at: u64| {
            let waited = Waited { tries, gone: tries / 2, since: 7 };
            run(&db, &park_event(("p", id), format!("meta {id}"), ("body", false), waited, due_at));
        };
        let due = |now: u64| -> Vec<(String, u64)> {
            let rows = run(&db, &parked_due(now));
            let of = |row: &Value| Some((row["meta"].as_str()?.to_owned(), row["tries"].as_u64()?));
            rows.iter().map(|row| of(row).unwrap()).collect()
        };
        assert!(due(99).is_empty());
        set("b", 1, 20);
        set("a", 1, 30);
        assert!(due(19).is_empty());
        assert_eq!(due(30), [("meta b".into(), 1), ("meta a".into(), 1)]);
        set("b", 2, 40);
        // The same message once more: it has tried nothing that is not counted.
        set("b", 1, 90);
        assert_eq!(due(40), [("meta a".into(), 1), ("meta b".into(), 2)]);
        let gone = run(&db, &unpark(json!([["p", "a", 1], ["q", "b", 2], ["p", "b", 1]])));
        assert_eq!(gone, [json!({"event_id": "a"})]);
        assert_eq!(due(99), [("meta b".into(), 2)]);
        assert_eq!(run(&db, &parked_due(99))[0]["gone"], 1);
    }
}
