use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, params_from_iter};
use serde_json::json;

use crate::deliver::{INTERRUPTED, Status};
use crate::page::PageQuery;
use crate::search::Search;
use crate::vault::Vault;

use super::*;

/// The two schemas in one database, from the files that production applies.
pub(crate) fn database() -> Connection {
    let db = Connection::open_in_memory().unwrap();
    for folder in ["control", "events"] {
        let folder = format!("{}/../../migrations/{folder}", env!("CARGO_MANIFEST_DIR"));
        let mut files: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        for file in files {
            db.execute_batch(&std::fs::read_to_string(file).unwrap()).unwrap();
        }
    }
    db
}

pub(crate) fn run(db: &Connection, statement: &Statement) -> Vec<Value> {
    let params = statement.params.iter().map(|param| match param {
        Param::Null => SqlValue::Null,
        Param::Int(value) => SqlValue::Integer(i64::try_from(*value).unwrap()),
        Param::Text(value) => SqlValue::Text(value.clone()),
    });
    let mut prepared =
        db.prepare(&statement.sql).unwrap_or_else(|error| panic!("{error}: {}", statement.sql));
    let names: Vec<String> = prepared.column_names().map(ToString::to_string).collect();
    let rows = prepared.query_map(params_from_iter(params), |row| {
        let mut object = serde_json::Map::new();
        for (index, name) in names.iter().enumerate() {
            let value = match row.get::<_, SqlValue>(index)? {
                SqlValue::Null => Value::Null,
                SqlValue::Integer(number) => number.into(),
                SqlValue::Text(text) => text.into(),
                other => panic!("{name}: {other:?}"),
            };
            object.insert(name.clone(), value);
        }
        Ok(Value::Object(object))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

pub(crate) fn vault() -> Vault {
    Vault::new("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap()
}

fn count(db: &Connection, table: &str) -> u64 {
    run(db, &statement(&format!("SELECT count(*) AS n FROM {table}"), []))[0]["n"].as_u64().unwrap()
}

pub(crate) fn plan(db: &Connection, statement: &Statement) -> String {
    let explain =
        Statement { sql: format!("EXPLAIN QUERY PLAN {}", statement.sql), ..statement.clone() };
    run(db, &explain)
        .iter()
        .map(|row| row["detail"].as_str().unwrap().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

fn event_row(id: &str, key: Option<&str>) -> Value {
    json!(["p", id, "s", "m", "push", 5, null, "[]", "", key, 0, null, "Success", "", "{}"])
}

fn arrive(db: &Connection, id: &str, key: &str, at: u64, window: u64) {
    let claims = json!([["s", key, id, at, at + window, "p"]]);
    run(db, &keep_claims(claims.clone()));
    run(db, &claim(claims.clone()));
    run(db, &claim_late(claims));
    run(db, &count_events(json!([["p", "s", id, at, key, "s", at + window]])));
    let mut row = event_row(id, Some(key));
    row.as_array_mut().unwrap().extend(vec![Value::Null; 5]);
    row.as_array_mut().unwrap().push(json!(at + window));
    run(db, &insert_events(json!([row]), None));
    let copies = json!([["p", id, "s", key, at, at + window, "s"]]);
    run(db, &give_back_requests(copies.clone()));
    run(db, &insert_duplicates(copies));
}

#[test]
fn a_copy_gives_its_request_back_once_and_an_event_keeps_it() {
    let db = database();
    let left = || {
        let rows = run(&db, &requests_of("p", "s"));
        rows.first().map(|row| row["requests"].clone())
    };
    arrive(&db, "a", "k", 1000, 500);
    arrive(&db, "b", "k", 1100, 500);
    assert_eq!(left(), None, "a source without a number of requests has no row");
    for _ in 0..4 {
        assert_eq!(run(&db, &take_request("p", "s", 4)).len(), 1);
    }
    arrive(&db, "b", "k", 1100, 500);
    assert_eq!(left(), Some(json!(4)), "it has been noted before");
    for id in ["c", "d", "c", "d", "a"] {
        arrive(&db, id, "k", 1200, 500);
    }
    assert_eq!(left(), Some(json!(2)));
    arrive(&db, "e", "other", 1200, 500);
    assert_eq!(left(), Some(json!(2)));
}

#[test]
fn a_key_is_claimed_once_in_its_window_and_again_after_it() {
    let db = database();
    arrive(&db, "a", "k", 1000, 500);
    arrive(&db, "b", "k", 1400, 500);
    arrive(&db, "c", "k", 1500, 500);
    arrive(&db, "c", "k", 1500, 500);
    arrive(&db, "a", "k", 1000, 500);
    assert_eq!(count(&db, "events"), 2);
    let duplicates = run(&db, &statement("SELECT id, event_id FROM duplicates", []));
    assert_eq!(duplicates, [json!({"id": "b", "event_id": "a"})]);
    let found = |id: &str| run(&db, &event_or_original("p", id)).pop().map(|row| row["id"].clone());
    assert_eq!(found("b"), Some(json!("a")), "a copy leads to the event");
    assert_eq!((found("a"), found("none")), (Some(json!("a")), None));
}

#[test]
fn an_event_that_is_routed_late_is_no_copy_of_one_that_came_long_after_it() {
    let db = database();
    arrive(&db, "later", "k", 2000, 500);
    arrive(&db, "late", "k", 1000, 500);
    arrive(&db, "within", "k", 1800, 500);
    let stored = || run(&db, &statement("SELECT id FROM events ORDER BY id", []));
    assert_eq!(stored(), [json!({"id": "late"}), json!({"id": "later"})]);
    // Of several that are late, copies are found as well, and whose.
    arrive(&db, "late-copy", "k", 1400, 500);
    let whose = run(&db, &statement("SELECT event_id FROM duplicates WHERE id = 'late-copy'", []));
    assert_eq!(whose, [json!({"event_id": "late"})]);
    arrive(&db, "latest", "k", 1500, 500);
    arrive(&db, "earliest", "k", 100, 500);
    assert_eq!(stored().len(), 4);
    // One that was held up is a copy of what came before it, though the key is another's by now.
    arrive(&db, "first", "other", 1000, 500);
    arrive(&db, "next-first", "other", 2000, 500);
    arrive(&db, "held-up", "other", 1300, 500);
    let whose = run(&db, &statement("SELECT event_id FROM duplicates WHERE id = 'held-up'", []));
    assert_eq!(whose, [json!({"event_id": "first"})]);
    // Copies stay copies, even when their original's claim is over and they are routed again.
    arrive(&db, "copy", "k", 2100, 500);
    arrive(&db, "next", "k", 3000, 500);
    arrive(&db, "copy", "k", 2100, 500);
    arrive(&db, "late", "k", 1000, 500);
    assert_eq!(stored().len(), 7);
    let counted = run(&db, &statement("SELECT events FROM source_counts", []));
    assert_eq!(counted, [json!({"events": 7})]);
}

#[test]
fn copies_in_one_batch_make_one_event() {
    let db = database();
    let claims: Vec<_> = (0..1000).map(|n| json!(["s", "k", format!("e{n:04}"), 1, 100])).collect();
    let events: Vec<_> = (0..1000).map(|n| event_row(&format!("e{n:04}"), Some("k"))).collect();
    run(&db, &claim(json!(claims)));
    run(&db, &insert_events(json!(events), None));
    assert_eq!(count(&db, "events"), 1);
    assert_eq!(run(&db, &event("p", "e0000")).len(), 1);
}

#[test]
fn a_verdict_is_counted_once_however_often_its_event_is_routed() {
    let db = database();
    for (id, verified) in [("e1", 1), ("e2", 0), ("e2", 0)] {
        run(&db, &count_verdicts(json!([["p", "s", id, verified, 7]])));
        run(&db, &insert_events(json!([event_row(id, None)]), None));
    }
    let seen = run(&db, &verdicts("p", "s"));
    assert_eq!(json!(seen), json!([{"verified": 1, "refused": 1, "last_refused_at": 7}]));
    assert!(run(&db, &verdicts("other", "s")).is_empty());
}

#[test]
fn a_bounded_number_of_refused_requests_is_kept() {
    let db = database();
    for at in 0..2_000u64 {
        run(&db, &keep_rejection("p", "s", at * 1_000, json!({"at": at})));
    }
    let kept = run(&db, &rejections("p", "s"));
    assert_eq!(kept.len(), 100);
    assert_eq!(kept[0]["doc"], r#"{"at":1995}"#, "the first of its five seconds");
    assert!(run(&db, &rejections("p", "other")).is_empty());
}

#[test]
fn a_large_body_is_bound_beside_its_row() {
    let db = database();
    run(&db, &insert_events(json!([event_row("a", None)]), Some("large".into())));
    assert_eq!(run(&db, &event("p", "a"))[0]["body"], "large");
}

fn delivered(db: &Connection) {
    run(db, &insert_events(json!([event_row("a", None)]), None));
    let row = json!(["p", "d", "a", "sub", "end", "s", "push", "at_least_once", 10]);
    let orphan = json!(["p", "o", "no-such-event", "sub", "end", "s", "push", "at_least_once", 10]);
    run(db, &insert_deliveries(json!([row, orphan])));
}

fn ids() -> Value {
    json!([["p", "d"], ["p", "nothing"]])
}

#[test]
fn a_delivery_is_leased_by_one_dispatcher_at_a_time() {
    let db = database();
    delivered(&db);
    assert_eq!(count(&db, "deliveries"), 1);
    assert_eq!(run(&db, &unfinished(ids())).len(), 1);
    assert_eq!(run(&db, &leased_by_others(ids(), 1000)).len(), 0);
    assert_eq!(run(&db, &lease(ids(), true, 1000, 2000)).len(), 1);
    assert_eq!(run(&db, &lease(ids(), true, 1500, 2500)).len(), 0);
    assert_eq!(run(&db, &leased_by_others(ids(), 1500)).len(), 1);
    assert_eq!(run(&db, &leased_by_others(ids(), 2001)).len(), 0);
    assert_eq!(run(&db, &unfinished(ids()))[0]["lease_until"], 2000);
    let taken_over = run(&db, &lease(ids(), true, 2001, 3000));
    assert_eq!(taken_over[0]["description"], INTERRUPTED);
    assert_eq!(run(&db, &events_of(ids(), 3000)).len(), 1);
}

#[test]
fn a_delivery_is_leased_from_its_beginning_by_who_inserted_it() {
    let db = database();
    run(&db, &insert_events(json!([event_row("a", None)]), None));
    let row =
        |id: &str, to: &str| json!(["p", id, "a", "sub", to, "s", "push", "at_least_once", 10]);
    let rows = json!([row("d", "called"), row("e", "other")]);
    let inserted = || run(&db, &insert_leased(rows.clone(), &["called"], 2_000));
    let statuses: Vec<_> = inserted().iter().map(|row| row["status"].clone()).collect();
    assert_eq!(statuses, ["Processing", "Scheduled"]);
    assert!(inserted().is_empty(), "whoever comes later has no lease");
    assert_eq!(run(&db, &lease(ids(), true, 1_999, 3_000)).len(), 0);
    assert_eq!(run(&db, &lease(ids(), true, 2_001, 3_000)).len(), 1);
}

#[test]
fn dispatchers_that_die_are_counted_until_an_attempt_is_recorded() {
    let db = database();
    delivered(&db);
    let lease = |now: u64| run(&db, &lease(ids(), true, now, now + 10))[0]["interrupted"].clone();
    let record = |attempt: Option<&str>, status: &str, lease: u64| {
        for statement in super::record(json!([["p", "d", status, "", attempt, 1, 1, 50, lease]])) {
            run(&db, &statement);
        }
    };
    assert_eq!([lease(100), lease(200), lease(300)], [json!(0), json!(1), json!(2)]);
    record(None, "Retry", 310);
    assert_eq!(
        [lease(3_000), lease(3_100)],
        [json!(2), json!(3)],
        "what was given back is no attempt"
    );
    record(Some("one"), "Retry", 3_110);
    assert_eq!([lease(6_000), lease(6_100)], [json!(0), json!(1)]);
    record(None, "Failure", 6_110);
    assert_eq!(run(&db, &reschedule(ids(), &[Status::Failure], 7_000, 8_000)).len(), 1);
    assert_eq!(lease(9_000), json!(0));
}

#[test]
fn attempts_are_all_kept_and_a_success_is_final() {
    let db = database();
    delivered(&db);
    let record = |attempt: &str, status: &str, due: Option<u64>, lease: u64| {
        for statement in
            super::record(json!([["p", "d", status, "", attempt, due, due, 50, lease]]))
        {
            run(&db, &statement);
        }
    };
    run(&db, &lease(ids(), true, 1000, 2000));
    record("stranger", "Failure", None, 1999);
    record("one", "Retry", Some(100_000), 2000);
    assert_eq!(run(&db, &lease(ids(), true, 97_999, 98_000)).len(), 0);
    assert_eq!(run(&db, &lease(ids(), true, 98_000, 99_000)).len(), 1);
    record("two", "Retry", Some(200_000), 99_000);
    run(&db, &lease(ids(), true, 200_000, 201_000));
    record("three", "Success", None, 201_000);
    record("late", "Retry", Some(1), 201_000);
    let delivery = &run(&db, &delivery("p", "d"))[0];
    assert_eq!((&delivery["attempts"], &delivery["attempt"]), (&json!(3), &json!("three")));
    assert_eq!(delivery["status"], "Success");
    let earlier = run(&db, &earlier_attempts("d"));
    assert_eq!(earlier, [json!({"doc": "one"}), json!({"doc": "two"})]);
}

#[test]
fn the_sweep_finds_what_was_forgotten_and_nothing_else() {
    let db = database();
    delivered(&db);
    run(&db, &insert_outbox(10, "o", ids()));
    assert_eq!(run(&db, &old_outbox(10)).len(), 0);
    let old = run(&db, &old_outbox(11));
    for statement in settle_outbox(10, "o", old[0]["deliveries"].as_str().unwrap(), 100) {
        run(&db, &statement);
    }
    assert_eq!(count(&db, "outbox"), 0);
    assert_eq!(run(&db, &look(99, 160)).len(), 0);
    assert_eq!(run(&db, &look(100, 160)).len(), 1);
    assert_eq!(run(&db, &look(100, 160)).len(), 0);
    run(&db, &lease(ids(), true, 150, 300));
    assert_eq!(run(&db, &look(200, 260)).len(), 0);
    assert_eq!(run(&db, &look(300, 360)).len(), 1);
}

#[test]
fn the_sweep_takes_few_fan_outs_at_once_when_they_are_large() {
    let db = database();
    let many: Vec<_> = (0..5_000).map(|n| ("p", format!("01ARZ3NDEKTSV4RRFFQ69{n:05}"))).collect();
    for n in 0..30 {
        run(&db, &insert_outbox(10, &n.to_string(), json!(many)));
    }
    let taken = run(&db, &old_outbox(11)).len();
    assert!((2..30).contains(&taken), "{taken}");
    run(&db, &statement("DELETE FROM outbox", []));
    for n in 0..150 {
        run(&db, &insert_outbox(10, &n.to_string(), ids()));
    }
    assert_eq!(run(&db, &old_outbox(11)).len(), 100);
}

#[test]
fn a_delivery_that_is_done_is_not_looked_at() {
    let db = database();
    delivered(&db);
    run(&db, &lease(ids(), true, 5, 50));
    for statement in record(json!([["p", "d", "Success", "", "x", null, null, 50, 50]])) {
        run(&db, &statement);
    }
    for statement in settle_outbox(10, "o", &ids().to_string(), 100) {
        run(&db, &statement);
    }
    assert_eq!(run(&db, &look(1000, 2000)).len(), 0);
}

#[test]
fn the_journal_is_read_in_order_and_emptied_whole() {
    let db = database();
    let journal = Journal::at(0);
    run(&db, &journal.append("m0", "body", false));
    let bound = statement(journal.append_sql(), ["m1".into(), "body".into(), 0.into()]);
    run(&db, &bound);
    run(&db, &journal.append("m2", "body", false));
    let rows = run(&db, &journal.waiting());
    assert_eq!(
        rows.iter().map(|row| row["meta"].as_str().unwrap()).collect::<Vec<_>>(),
        ["m0", "m1", "m2"]
    );
    let holding = |text: &str| run(&db, &Journal::holding("p", text)).len();
    assert_eq!((holding("m1"), holding("m"), holding("x")), (1, 2, 0));
    run(&db, &journal.done(2, 0));
    assert_eq!((holding("m1"), holding("m2")), (0, 1));
    assert_eq!(run(&db, &journal.emptiable())[0]["emptiable"], 0);
    let [mark, _] = &journal.empty()[..] else { panic!("a guard, and what it guards") };
    let fault = db.execute(&mark.sql, ()).expect_err("a row waits");
    assert!(fault.to_string().contains("NOT NULL"), "{fault}");
    run(&db, &journal.done(3, 0));
    assert_eq!(run(&db, &journal.waiting()).len(), 0);
    assert_eq!(run(&db, &journal.emptiable())[0]["emptiable"], 1);
    for statement in journal.empty() {
        run(&db, &statement);
    }
    assert_eq!(run(&db, &journal.emptiable())[0]["emptiable"], 0);
    run(&db, &journal.append("new", "body", false));
    run(&db, &journal.done(3, 0));
    assert_eq!(
        run(&db, &journal.waiting())[0]["meta"],
        "new",
        "a router of the time before moved the mark"
    );
}

#[test]
fn one_drain_at_a_time_has_the_lease_of_a_journal() {
    let db = database();
    let journal = Journal::at(0);
    for n in 0..3 {
        run(&db, &journal.append(format!("m{n}"), "{}", false));
    }
    let state = || {
        let rows = run(
            &db,
            &statement("SELECT done, draining_until FROM journal_state WHERE journal = 0", []),
        );
        (rows[0]["done"].as_u64().unwrap(), rows[0]["draining_until"].as_u64().unwrap())
    };
    let lease = |first, until, over| run(&db, &journal.lease((first, 0), until, over)).len();
    assert_eq!((lease(1, 100, 70), lease(1, 101, 71), lease(1, 130, 99)), (1, 0, 0));
    assert_eq!(run(&db, &journal.waiting())[0]["draining_until"], 100);
    assert_eq!(run(&db, &Journal::at(3_600_000).lease((1, 0), 100, 70)).len(), 1, "its own");
    run(&db, &journal.done_leased((1, 0), (&[100], 110)));
    assert_eq!(state(), (1, 110));
    // It has ended, and another takes it. Whoever had it moves the mark all the same.
    assert_eq!((lease(1, 140, 110), lease(2, 140, 110)), (0, 1), "the first row is routed");
    run(&db, &journal.done_leased((2, 0), (&[110], 150)));
    run(&db, &journal.give_back(&[110]));
    assert_eq!(state(), (2, 140));
    run(&db, &journal.done_leased((1, 0), (&[140], 160)));
    assert_eq!(state(), (2, 160), "the mark is further already");
    run(&db, &journal.done_leased((3, 0), (&[160], 0)));
    assert_eq!(state(), (3, 0));
    run(&db, &journal.append("m3", "{}", false));
    assert_eq!(lease(4, 200, 170), 1);
    run(&db, &journal.give_back(&[200]));
    assert_eq!(state(), (3, 0));
    run(&db, &journal.done(4, 0));
    for statement in journal.empty() {
        run(&db, &statement);
    }
    assert_eq!(lease(1, 300, 270), 0, "of the time before it was emptied");
}

#[test]
fn a_lease_whose_end_was_not_told_is_known_by_each_that_was_asked_for() {
    let db = database();
    let journal = Journal::at(0);
    let until = || {
        let rows =
            run(&db, &statement("SELECT draining_until FROM journal_state WHERE journal = 0", []));
        rows[0]["draining_until"].as_u64().unwrap()
    };
    run(&db, &journal.append("m", "{}", false));
    assert_eq!(run(&db, &journal.lease((1, 0), 100, 70)).len(), 1);
    for (held, next, expect) in [
        (&[100][..], 110, 110),
        // The answer to that was lost, and 120 never came to the database.
        (&[100, 110, 120], 130, 130),
        (&[100, 110, 120], 140, 130),
        (&[], 150, 130),
    ] {
        run(&db, &journal.done_leased((1, 0), (held, next)));
        assert_eq!(until(), expect, "{held:?}");
    }
    run(&db, &journal.give_back(&[100, 120]));
    assert_eq!(until(), 130, "another's");
    run(&db, &journal.give_back(&[120, 130]));
    assert_eq!(until(), 0);
}

#[test]
fn a_drain_takes_few_rows_when_they_are_large() {
    let db = database();
    let journal = Journal::at(0);
    for n in 0..50 {
        run(&db, &journal.append(format!("m{n}"), "x".repeat(500_000), false));
    }
    assert_eq!(run(&db, &journal.waiting()).len(), 8);
    for n in 0..300 {
        run(&db, &Journal::at(3_600_000).append(format!("m{n}"), "{}", false));
    }
    assert_eq!(run(&db, &Journal::at(3_600_000).waiting()).len(), 200);
}

#[test]
fn journals_take_turns_and_only_a_rested_one_is_emptied() {
    let hour = 3_600_000;
    assert_ne!(Journal::at(0), Journal::at(hour));
    assert_eq!(Journal::at(0), Journal::at(2 * hour));
    assert_eq!(Journal::idle(hour), None);
    assert_eq!(Journal::idle(hour + 600_001), Some(Journal::at(0)));
    assert_eq!(Journal::idle(2 * hour - 600_001), Some(Journal::at(0)));
    assert_eq!(Journal::idle(2 * hour - 600_000), None, "its turn comes");
    assert_eq!(Journal::both(5), [Journal::at(hour), Journal::at(0)]);
}

#[test]
fn the_statements_of_the_hot_path_use_their_keys() {
    let db = database();
    for (statement, expect) in [
        (lease(ids(), true, 1, 2), "SEARCH deliveries USING PRIMARY KEY (project_id=? AND id=?)"),
        (unfinished(ids()), "SEARCH d USING PRIMARY KEY (project_id=? AND id=?)"),
        (
            Journal::at(0).done_inside((1, 0), "[]", ids()),
            "SEARCH d USING PRIMARY KEY (project_id=? AND id=?)",
        ),
        (
            Journal::watch_under_way(1),
            "SEARCH deliveries USING PRIMARY KEY (project_id=? AND id=?)",
        ),
        (source_counts("p", &["s"]), "SEARCH source_counts USING PRIMARY KEY"),
        (events_of(ids(), 3000), "SEARCH e USING PRIMARY KEY (project_id=? AND id=?)"),
        (record(ids())[1].clone(), "SEARCH deliveries USING PRIMARY KEY (project_id=? AND id=?)"),
        (look(1, 2), "deliveries_to_look_at"),
        (keep_claims("[]"), "SEARCH c USING PRIMARY KEY (source_id=? AND key=?)"),
        (claim_late("[]"), "SEARCH c USING PRIMARY KEY (source_id=? AND key=?)"),
        (insert_events("[]", None), "SEARCH c USING PRIMARY KEY (source_id=? AND key=?)"),
        (insert_duplicates("[]"), "SEARCH c USING PRIMARY KEY (source_id=? AND key=?)"),
        (insert_duplicates("[]"), "SEARCH n USING PRIMARY KEY (source_id=? AND key>? AND key<?)"),
        (claim_late("[]"), "SEARCH n USING PRIMARY KEY (source_id=? AND key>? AND key<?)"),
        (give_back_requests("[]"), "SEARCH r USING PRIMARY KEY (source_id=?)"),
        (give_back_requests("[]"), "SEARCH d USING PRIMARY KEY (project_id=? AND id=?)"),
        (
            search(&Search::deliveries("eventId=e").unwrap(), "p", None, &[]),
            "SEARCH t USING PRIMARY KEY (project_id=? AND id>? AND id<?)",
        ),
        (
            search(
                &Search::events("sourceId=s&endpointId=e&perPage=5").unwrap(),
                "p",
                Some("b"),
                &[],
            ),
            "SEARCH t USING PRIMARY KEY (project_id=? AND id>? AND id<?)",
        ),
        (
            search(&Search::events("endpointId=e").unwrap(), "p", None, &[]),
            "USING PRIMARY KEY (project_id=? AND id>? AND id<?)",
        ),
        (
            scan_end(&Search::events("sourceId=s").unwrap(), "p", 5).unwrap(),
            "SEARCH t USING PRIMARY KEY (project_id=? AND id>? AND id<?)",
        ),
        (event_or_original("p", "e"), "SEARCH e USING PRIMARY KEY (project_id=? AND id=?)"),
        (Journal::at(0).waiting(), "SEARCH j USING INTEGER PRIMARY KEY (rowid>?)"),
        (
            subscriptions_of(&[("p", "s")], ""),
            "subscriptions_by_source (project_id=? AND source_id=? AND id>?)",
        ),
        (
            subscriptions_of_endpoints(&[("p", "e")], ""),
            "subscriptions_by_endpoint (project_id=? AND endpoint_id=? AND id>?)",
        ),
        (subscriptions_of_projects(&["p"], ""), "PRIMARY KEY (project_id=? AND id>?)"),
        (source_of_mask("m"), "(mask_id=?)"),
    ] {
        let plan = plan(&db, &statement);
        assert!(plan.contains(expect), "{}\n{plan}", statement.sql);
    }
}

#[test]
fn lists_are_scoped_filtered_and_paged() {
    let db = database();
    for (project, id, name) in
        [("p", "1", "Alpha"), ("p", "2", "beta"), ("p", "3", "alphabet"), ("q", "4", "alpha")]
    {
        let sql = "INSERT INTO sources (project_id, id, mask_id, name, type, provider, doc) VALUES (?1, ?2, ?2, ?3, 'http', '', '{}')";
        run(&db, &statement(sql, [project.into(), id.into(), name.into()]));
    }
    let ids = |filters: &[(&'static str, Vec<String>)],
               search: Option<&str>,
               query: &str|
     -> (Vec<String>, bool) {
        let (page, newer) = list(List::Sources, "p", filters, search, &PageQuery::parse(query));
        let rows = run(&db, &page);
        let mut ids: Vec<String> =
            rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
        ids.sort_by(|a, b| b.cmp(a));
        let has_newer = ids.first().is_some_and(|first| !run(&db, &newer(first)).is_empty());
        (ids, has_newer)
    };
    let owned = |list: &[&str]| list.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(&[], None, ""), (owned(&["3", "2", "1"]), false));
    assert_eq!(ids(&[], Some("ALPHA"), ""), (owned(&["3", "1"]), false));
    assert_eq!(ids(&[], None, "next_page_cursor=2"), (owned(&["2", "1"]), true));
    assert_eq!(ids(&[], None, "direction=prev&prev_page_cursor=1"), (owned(&["3", "2"]), false));
    assert_eq!(ids(&[("provider", vec!["github".into()])], None, ""), (owned(&[]), false));
    let masks = |masks: &[&str]| [("mask_id", owned(masks))];
    assert_eq!(ids(&masks(&["1"]), None, ""), (owned(&["1"]), false));
    assert_eq!(ids(&masks(&["1", "3", "4"]), None, ""), (owned(&["3", "1"]), false));
}

#[test]
fn the_rest_of_the_statements_are_sound() {
    let db = database();
    assert_eq!(run(&db, &nothing()), [json!({"one": 1})]);
    for statement in [
        projects(),
        project("p"),
        project_named("p"),
        project_of_key("h", 1),
        source("p", "s"),
        endpoint("p", "e"),
        subscription("p", "s"),
        verdicts("p", "s"),
        endpoints_of(&[("p", "e")]),
        delivery("p", "d"),
        known_deliveries("p", json!(["d"])),
    ] {
        run(&db, &statement);
    }
    for statement in
        [delete_subscription("p", "s", 1), delete_source("p", "s", 1), delete_endpoint("p", "e", 1)]
            .concat()
    {
        run(&db, &statement);
    }
}

/// The files below `folder`, with their text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            files.push((path, text));
        }
    }
    files
}

#[test]
fn each_statement_is_run_by_a_test() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut code, mut tests) = (String::new(), String::new());
    for (path, text) in sources(&src.join("sql")) {
        let is_test = path.ends_with("tests.rs");
        let end = if is_test { 0 } else { text.find("#[cfg(test)]").unwrap_or(text.len()) };
        let (of_code, of_tests) = text.split_at(end);
        code.push_str(of_code);
        tests.push_str(of_tests);
    }
    // Some run in the order of the router, there.
    tests.extend(sources(&src.join("route/tests")).into_iter().map(|(_, text)| text));
    let is_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
    // The names that stand before a parenthesis.
    let named: HashSet<&str> =
        tests.split('(').filter_map(|text| text.rsplit(|c| !is_name(c)).next()).collect();
    let statements: Vec<&str> = code
        .split("pub fn ")
        .skip(1)
        .filter_map(|text| text.split(|c| !is_name(c)).next())
        .collect();
    assert!(150 < statements.len(), "{}", statements.len());
    let missing: Vec<_> = statements.iter().filter(|name| !named.contains(**name)).collect();
    assert!(missing.is_empty(), "no test runs {missing:?}");
}
