//! What is alone is leased where it is made, and settled in one row with the mark of its journal.

use super::*;
use crate::deliver::{Delivery, LEASE_MS, Status};
use crate::sql::Journal;

const NOW: u64 = 1_700_000_000_000;

fn event(n: usize) -> Envelope {
    let mut event = envelope(Body::Inline(b"{}".to_vec()));
    event.meta.event_id = format!("01ARZ3NDEKTSV4RRFFQ69G5{n:03}");
    event.meta.claim = None;
    event
}

fn events(count: usize) -> Vec<Envelope> {
    (0..count).map(event).collect()
}

fn query(db: &rusqlite::Connection, sql: &str) -> Vec<Value> {
    run(db, &Statement { sql: sql.into(), params: vec![] })
}

fn run_part(db: &rusqlite::Connection, part: &Part) -> Vec<Vec<Value>> {
    part.statements.iter().map(|statement| run(db, statement)).collect()
}

fn only_part(events: &[Envelope], subscriptions: &[Subscription]) -> Part {
    let routing = route(events, &known(subscriptions), NOW, None);
    let [part] = <[Part; 1]>::try_from(routing.parts).unwrap();
    part
}

fn leased(rows: &[Value]) -> Vec<&str> {
    let leased = rows.iter().filter(|row| row["status"] == "Processing");
    leased.map(|row| row["endpoint_id"].as_str().unwrap()).collect()
}

#[test]
fn only_few_deliveries_may_be_called_by_whoever_stores_them() {
    let subscriptions = [subscription("a", "source", "*"), subscription("b", "source", "*")];
    for (count, endpoints) in [(1, 2), (2, 0)] {
        let mut part = only_part(&events(count), &subscriptions);
        assert_eq!(part.first_receivers().len(), endpoints, "{count}");
        assert!(part.move_mark(Journal::at(0), (1, 0), false), "{count}");
    }
    assert!(are_few(6) && !are_few(7));
    let mut part = only_part(&events(BELL_DELIVERIES + 1), &subscriptions[..1]);
    assert_eq!(part.lease(&["endpoint-of-a"], NOW), None);
    assert!(!part.move_mark(Journal::at(0), (1, 0), false));
    assert!(only_part(&events(1), &[]).move_mark(Journal::at(0), (1, 0), false), "for nobody");
}

/// Those of endpoints that are not named, and those that a breaker holds back, wait for a bell.
#[test]
fn a_lease_has_one_holder_and_passes_breakers_by() {
    let subscriptions = ["a", "b", "c"].map(|uid| subscription(uid, "source", "*"));
    let db = database();
    query(
        &db,
        "INSERT INTO breakers (project_id, endpoint_id, state, since, reason, next_try, trials, window_start, ok, failed, trips) \
         VALUES ('project', 'endpoint-of-b', 'open', 0, '', 0, 0, 0, 0, 0, 1)",
    );
    let mut part = only_part(&events(1), &subscriptions);
    let lease = part.lease(&["endpoint-of-a", "endpoint-of-b"], NOW).unwrap();
    assert_eq!(lease.until, NOW + LEASE_MS);
    let results = run_part(&db, &part);
    assert_eq!(leased(&results[lease.deliveries]), ["endpoint-of-a"]);
    assert_eq!(results[lease.events][0]["id"], event(0).meta.event_id);

    let read = |rows: &[Value]| serde_json::from_value(json!(rows)).unwrap();
    let own: Vec<Delivery> = serde_json::from_value(json!(results[lease.deliveries])).unwrap();
    let own: Vec<Delivery> = own.into_iter().filter(|one| one.is(Status::Processing)).collect();
    let named = |(waiting, held): (Vec<Waiting>, Vec<Waiting>)| {
        let endpoints = |some: Vec<Waiting>| some.into_iter().map(|one| one.endpoint_id);
        [waiting, held].map(|some| endpoints(some).collect::<Vec<String>>())
    };
    let of = |uids: &[&str]| uids.iter().map(|uid| format!("endpoint-of-{uid}")).collect();
    let unfinished = results.last().unwrap();
    assert_eq!(named(parted(read(unfinished), &own, NOW)), [of(&["b", "c"]), vec![]]);

    // In the same millisecond, by another: nothing comes back as its own.
    let again = run_part(&db, &part);
    assert_eq!(again[lease.deliveries], [] as [Value; 0]);
    let unfinished = again.last().unwrap();
    assert_eq!(named(parted(read(unfinished), &[], NOW)), [of(&["b", "c"]), of(&["a"])]);
    let late = lease.until + 1;
    assert_eq!(named(parted(read(unfinished), &[], late)), [of(&["a", "b", "c"]), vec![]]);
}

#[test]
fn a_leased_delivery_is_recorded_like_any_other() {
    let db = database();
    let mut part = only_part(&events(1), &[subscription("a", "source", "*")]);
    let until = part.lease(&["endpoint-of-a"], NOW).unwrap().until;
    run_part(&db, &part);
    let id = &part.deliveries[0].1;
    let record = |lease: u64| {
        let row = json!([["project", id, "Success", "", "{}", null, null, 50, lease]]);
        sql::record(row).iter().map(|statement| run(&db, statement)).next_back().unwrap().len()
    };
    assert_eq!((record(until + 1), record(until), record(until)), (0, 1, 0));
    assert_eq!(query(&db, "SELECT attempts, look_at FROM deliveries")[0]["attempts"], 1);
}

/// Counts, mark and watch are one row, and what is routed twice counts once.
#[test]
fn a_journals_mark_counts_and_watches() {
    let subscriptions = [subscription("a", "source", "*")];
    let db = database();
    let journal = Journal::at(0);
    let totals = || {
        let rows = run(&db, &sql::source_counts("project", &["source", "other"]));
        rows.into_iter().map(|row| row["events"].as_u64().unwrap()).collect::<Vec<u64>>()
    };
    let settle = |n: usize, seq: u64, epoch: u64| {
        let mut part = only_part(&[event(n)], &subscriptions);
        assert!(part.move_mark(journal, (seq, epoch), false));
        let lease = part.lease(&["endpoint-of-a"], NOW).unwrap();
        assert_eq!(leased(&run_part(&db, &part)[lease.deliveries]).len(), 1);
        part
    };
    let state =
        || query(&db, "SELECT done, counts, under_way FROM journal_state WHERE journal = 0");
    let first = settle(0, 1, 0);
    run_part(&db, &first);
    assert_eq!(totals(), [1], "routed twice");
    let last_event_at = event(0).meta.received_at;
    assert_eq!(state()[0]["counts"], format!(r#"[["project","source",1,{last_event_at}]]"#));
    assert_eq!(query(&db, "SELECT count(*) AS n FROM source_counts")[0]["n"], 0);

    // What is finished is not watched any more.
    query(&db, "UPDATE deliveries SET status = 'Success', lease_until = NULL");
    let second = settle(1, 2, 0);
    assert_eq!(state()[0]["under_way"], json!(second.deliveries).to_string());
    assert_eq!((state()[0]["done"].as_u64(), totals()), (Some(2), vec![2]));

    // Whoever has called it is dead.
    let look = |now: u64| {
        run(&db, &Journal::watch_under_way(now));
        run(&db, &sql::look(now, now + 1)).len()
    };
    assert_eq!((look(NOW + LEASE_MS), look(NOW + LEASE_MS + 1)), (0, 1));

    // A mark goes back for nobody, and nothing is counted for a journal that was emptied meanwhile.
    let mut late = only_part(&[event(0)], &subscriptions);
    assert!(late.move_mark(journal, (1, 0), false));
    run_part(&db, &late);
    assert_eq!((state()[0]["done"].as_u64(), totals()), (Some(2), vec![2]));
    for statement in Journal::flush_counts() {
        run(&db, &statement);
    }
    assert_eq!((&state()[0]["counts"], totals()), (&json!("[]"), vec![2]));
    settle(3, 3, 0);
    assert_eq!(totals(), [3], "from both");
    for statement in sql::forget_source("project", "source") {
        run(&db, &statement);
    }
    assert_eq!(totals(), [] as [u64; 0]);
}

/// The row is written whole, so it is kept short.
#[test]
fn a_journals_mark_that_watches_many_forgets_what_is_finished() {
    let db = database();
    let journal = Journal::at(0);
    run(&db, &journal.append("m", "", false));
    for n in 0..60 {
        let mut part = only_part(&[event(n)], &[subscription("a", "source", "*")]);
        assert!(part.move_mark(journal, (0, 0), false));
        run_part(&db, &part);
    }
    let is_watchful = || run(&db, &journal.waiting())[0]["is_watchful"].clone();
    let named = || {
        query(&db, "SELECT json_array_length(under_way) AS n FROM journal_state WHERE journal = 0")
            [0]["n"]
            .clone()
    };
    assert_eq!((is_watchful(), named()), (json!(1), json!(60)));
    query(
        &db,
        "UPDATE deliveries SET status = 'Success' WHERE id IN (SELECT id FROM deliveries LIMIT 15)",
    );
    run(&db, &journal.forget_finished());
    assert_eq!((is_watchful(), named()), (json!(0), json!(45)));
    query(&db, "UPDATE deliveries SET status = 'Success'");
    run(&db, &journal.forget_finished());
    assert_eq!(named(), 45, "few may stay");
}

#[test]
fn an_event_without_a_source_moves_the_mark_too() {
    let db = database();
    let mut sent = event(0);
    (sent.meta.source_id, sent.meta.target) = (String::new(), Some(Target::Endpoint("e".into())));
    let mut part = only_part(&[sent], &[]);
    assert!(part.move_mark(Journal::at(0), (4, 0), true));
    let lease = part.lease(&["e"], NOW).unwrap();
    assert_eq!(leased(&run_part(&db, &part)[lease.deliveries]), ["e"]);
    let state = query(&db, "SELECT done, counts, under_way FROM journal_state WHERE journal = 0");
    assert_eq!(state, [json!({"done": 4, "counts": "[]", "under_way": "[]"})]);
}

#[test]
fn endpoints_that_took_long_are_left_to_dispatchers_for_a_while() {
    let mut slow = Slow::new();
    slow.note("a", NOW);
    slow.note("b", NOW + 59_999);
    let are_slow = |slow: &Slow, now| ["a", "b"].map(|id| slow.is_slow(id, now));
    assert_eq!(are_slow(&slow, NOW + 59_999), [true, true]);
    assert_eq!(are_slow(&slow, NOW + 60_000), [false, true]);
    for n in 0..2_000 {
        slow.note(&n.to_string(), NOW + 60_000);
    }
    assert!(!slow.is_slow("b", NOW + 60_000), "the oldest give way");
    assert!(slow.is_slow("1999", NOW + 60_000));
}
