//! Events that lack something to be routed.

use serde_json::Value;

use super::{DRAIN_ROWS, Param, Statement, TRANSACTION_BYTES, statement};
use crate::parked::Waited;

/// Sets an event aside until `due_at`, for a reason. One that is there already goes on from the try that was counted last.
pub fn park_event(
    (project_id, event_id, source_id): (&str, &str, &str),
    meta: impl Into<Param>,
    (body, is_base64): (impl Into<Param>, bool),
    waited: Waited,
    (reason, due_at): (&str, u64),
) -> Statement {
    statement(
        "INSERT INTO parked (project_id, event_id, meta, body, is_base64, tries, gone, since, due_at, reason, source_id) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (project_id, event_id) \
         DO UPDATE SET tries = excluded.tries, gone = excluded.gone, due_at = excluded.due_at, reason = excluded.reason \
         WHERE tries < excluded.tries",
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
            reason.into(),
            source_id.into(),
        ],
    )
}

/// How many of those that are due a look goes through for those that it takes.
const LOOKED_AT: usize = 5_000;

/// Those that are due, but for sources that are passed over (pairs of project and source): as many as a drain takes of a journal,
/// found by their lengths as there. Each source has its first before any has its second; of one source those come first that
/// were tried least.
pub fn parked_due(now_ms: u64, passed_over: Value) -> Statement {
    let order = "place, due_at, project_id, event_id";
    let sql = format!(
        "WITH due AS (SELECT project_id, event_id, source_id, tries, due_at, octet_length(body) + octet_length(meta) AS bytes FROM parked \
         WHERE due_at <= ?1 AND (project_id, source_id) NOT IN (SELECT value ->> 0, value ->> 1 FROM json_each(?2)) \
         ORDER BY due_at LIMIT {LOOKED_AT}), \
         placed AS (SELECT project_id, event_id, due_at, bytes, \
         row_number() OVER (PARTITION BY project_id, source_id ORDER BY tries, due_at, event_id) AS place FROM due), \
         few AS (SELECT * FROM placed ORDER BY {order} LIMIT {DRAIN_ROWS}), \
         summed AS (SELECT project_id, event_id, due_at, place, sum(bytes) OVER (ORDER BY {order}) - bytes AS before FROM few) \
         SELECT p.project_id AS project_id, p.event_id AS event_id, p.meta AS meta, p.body AS body, p.is_base64 AS is_base64, \
         p.tries AS tries, p.gone AS gone, p.since AS since FROM summed AS s \
         JOIN parked AS p ON p.project_id = s.project_id AND p.event_id = s.event_id \
         WHERE s.before < {TRANSACTION_BYTES} ORDER BY s.place, s.due_at, s.project_id, s.event_id"
    );
    Statement { sql, params: vec![now_ms.into(), passed_over.into()] }
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
    use crate::search::Search;
    use crate::sql::{has_before, search_parked};
    use crate::wire::tests::envelope;
    use crate::wire::{Body, Target};

    #[test]
    fn few_come_back_at_once_when_they_are_large() {
        let db = database();
        for n in 0..50 {
            let body = "x".repeat(500_000);
            let waited = Waited { tries: 1, gone: 0, since: 7 };
            run(
                &db,
                &park_event(("p", &n.to_string(), "s"), "m", (body, false), waited, ("", 100 - n)),
            );
        }
        let rows = run(&db, &parked_due(100, json!([])));
        let ids: Vec<&str> = rows.iter().map(|row| row["event_id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["49", "48", "47", "46", "45", "44", "43", "42"]);
    }

    /// The names that statements read envelopes by are those that envelopes are written with.
    #[test]
    fn what_is_parked_is_found_like_what_is_stored() {
        let db = database();
        let park = |id: &str, large: bool| {
            let body =
                if large { format!("[{}1]", "0,".repeat(9_000)) } else { "{\"n\":5}".into() };
            let mut sent = envelope(Body::Inline(body.into_bytes()));
            sent.meta.event_id = id.into();
            sent.meta.target = Some(Target::Owner("o".into()));
            sent.meta.broker_message_id = Some("b-1".into());
            let (meta, body) = sent.to_row();
            let waited = Waited { tries: 2, gone: 0, since: 7 };
            let of = (&*sent.meta.project_id, id, &*sent.meta.source_id);
            run(&db, &park_event(of, meta, (&*body.text, body.is_base64), waited, ("no R2", 9)));
            sent.meta
        };
        let ids = [
            "01ARZ3NDEKTSV4RRFFQ69G5FA1",
            "01ARZ3NDEKTSV4RRFFQ69G5FA2",
            "01ARZ3NDEKTSV4RRFFQ69G5FA3",
        ];
        let meta = park(ids[0], false);
        park(ids[1], true);
        park(ids[2], false);
        let project = meta.project_id.as_str();
        let found = |project: &str, query: &str| -> Vec<String> {
            let mut search = Search::events(query).unwrap();
            search.of_owner(&[]);
            let rows = run(&db, &search_parked(&search, project, None));
            rows.iter().map(|row| row["event_id"].as_str().unwrap().to_owned()).collect()
        };
        let all = [ids[2], ids[1], ids[0]];
        let claim = meta.claim.unwrap().key;
        for (query, expect) in [
            (String::new(), &all[..]),
            ("status=Pending".into(), &all),
            (format!("status=Failure&status=Pending&sourceId={}", meta.source_id), &all),
            (format!("eventType={}&idempotencyKey={claim}", meta.event_type), &all),
            ("brokerMessageId=b-1&ownerId=o&sort=asc".into(), &[ids[0], ids[1], ids[2]]),
            ("perPage=1".into(), &all[..2]),
            (format!("next_page_cursor={}", ids[1]), &all[1..]),
            (r#"body={"n":5}"#.into(), &[ids[2], ids[0]]),
            ("status=Success".into(), &[]),
            ("sourceId=another".into(), &[]),
            ("endpointId=e".into(), &[]),
            ("ownerId=another".into(), &[]),
            ("brokerMessageId=none".into(), &[]),
        ] {
            assert_eq!(found(project, &query), expect, "{query}");
        }
        assert!(found("another", "").is_empty());
        let rows = run(&db, &search_parked(&Search::events("").unwrap(), project, None));
        assert_eq!(
            (&rows[1]["body"], &rows[1]["is_cut"], &rows[1]["reason"]),
            (&json!(""), &json!(1), &json!("no R2"))
        );
        assert_eq!(
            (&rows[0]["is_cut"], &rows[0]["tries"], &rows[0]["due_at"]),
            (&json!(0), &json!(2), &json!(9))
        );
        let before =
            |id: &str| run(&db, &has_before(&Search::events("").unwrap(), project, id)).len();
        assert_eq!((before(ids[2]), before(ids[1])), (0, 1));
    }

    #[test]
    fn what_is_parked_comes_back_when_it_is_due_and_counts_its_tries_once() {
        let db = database();
        let set = |id: &str, tries: u32, due_at: u64| {
            let waited = Waited { tries, gone: tries / 2, since: 7 };
            let until = ("no R2", due_at);
            run(
                &db,
                &park_event(("p", id, "s"), format!("meta {id}"), ("body", false), waited, until),
            );
        };
        let due = |now: u64| -> Vec<(String, u64)> {
            let rows = run(&db, &parked_due(now, json!([])));
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
        assert_eq!(run(&db, &parked_due(99, json!([])))[0]["gone"], 1);
    }

    #[test]
    fn each_source_has_its_turn_and_those_that_were_not_tried_come_first() {
        let db = database();
        for n in 0..300_u64 {
            let (id, waited) = (format!("stops{n:03}"), Waited { tries: 2, gone: 0, since: 7 });
            run(&db, &park_event(("p", &id, "a"), "m", ("", false), waited, ("", n)));
        }
        for (id, source, tries) in [("quick", "a", 0), ("other1", "b", 9), ("other2", "b", 9)] {
            let waited = Waited { tries, gone: 0, since: 7 };
            run(&db, &park_event(("p", id, source), "m", ("", false), waited, ("", 500)));
        }
        let due = |passed_over: Value| -> Vec<String> {
            let rows = run(&db, &parked_due(500, passed_over));
            rows.iter().map(|row| row["event_id"].as_str().unwrap().to_owned()).collect()
        };
        let all = due(json!([]));
        assert_eq!(all.len() as u64, DRAIN_ROWS);
        assert_eq!(all[..4], ["other1", "quick", "stops000", "other2"].map(String::from));
        assert_eq!(due(json!([["p", "a"], ["q", "b"]])), ["other1", "other2"]);
        assert!(due(json!([["p", "a"], ["p", "b"]])).is_empty());
    }
}
