use super::*;
use crate::sql::tests::{database, run};
use crate::sql::{
    events_of, insert_deliveries, insert_events, lease, look, not_sent, oldest_waiting, paces_of,
    record, recorded, retries, watch,
};

type Db = rusqlite::Connection;

/// Deliveries `d00`, `d01`, … of endpoint `e`, every other by subscription `s1`, the rest by `s0`.
fn waiting(db: &Db, count: usize) {
    let event =
        json!(["p", "ev", "s", "m", "push", 5, null, "[]", "", null, 0, null, "Success", "", "{}"]);
    run(db, &insert_events(json!([event]), None));
    let rows: Vec<Value> = (0..count)
        .map(|n| {
            let (id, subscription) = (format!("d{n:02}"), format!("s{}", n % 2));
            json!(["p", id, "ev", subscription, "e", "s", "push", "at_least_once", 10])
        })
        .collect();
    run(db, &insert_deliveries(json!(rows)));
}

fn ids(numbers: impl IntoIterator<Item = usize>) -> Value {
    numbers.into_iter().map(|n| json!(["p", format!("d{n:02}")])).collect()
}

fn gate(id: &str, count: u64, duration_s: u64) -> Gate {
    let limit = RateLimit { count, duration_s };
    Gate { id: id.into(), is_subscription: id.starts_with('s'), limit }
}

/// Leases through gates: how many could go, and until when the others wait.
fn ask(db: &Db, gates: &[Gate], ids: &Value, now: u64) -> (usize, Vec<u64>) {
    let mut waits = Vec::new();
    for statement in pass_gates(ids, "p", gates, true, now, 60_000) {
        waits = run(db, &statement);
    }
    let taken = run(db, &lease(ids.clone(), true, now, now + 90_000)).len();
    let mut until: Vec<u64> = waits.iter().map(|row| row["due_at"].as_u64().unwrap()).collect();
    until.sort_unstable();
    (taken, until)
}

#[test]
fn a_window_holds_so_many_calls_and_the_rest_have_a_place_in_the_next() {
    let db = database();
    waiting(&db, 10);
    let two = [gate("e", 2, 1)];
    assert_eq!(ask(&db, &two, &ids(0..5), 1_000), (2, vec![2_000, 2_000, 3_000]));
    assert_eq!(ask(&db, &two, &ids(5..7), 1_500), (0, vec![3_000, 4_000]));
    assert_eq!(
        ask(&db, &two, &ids(0..7), 1_999),
        (0, vec![]),
        "a place is kept, and not before its time"
    );
    assert_eq!(ask(&db, &two, &ids(0..7), 2_000), (2, vec![]));
    assert_eq!(ask(&db, &two, &ids(0..7), 4_000), (3, vec![]), "who is late is not sent away");
    assert_eq!(ask(&db, &two, &ids(7..8), 4_500), (1, vec![]), "the window has room for one more");
    assert_eq!(ask(&db, &two, &ids(8..9), 4_600), (0, vec![5_000]));
    let rows = run(&db, &statement("SELECT count(*) AS n FROM gates", []));
    assert_eq!(rows[0]["n"], 1);
}

#[test]
fn after_a_pause_a_window_begins_with_its_first_call() {
    let db = database();
    waiting(&db, 10);
    let two = [gate("e", 2, 10)];
    assert_eq!(ask(&db, &two, &ids(0..1), 1_000), (1, vec![]));
    assert_eq!(ask(&db, &two, &ids(1..4), 50_000), (2, vec![60_000]));
}

#[test]
fn a_subscription_and_its_endpoint_both_have_to_have_room() {
    let db = database();
    waiting(&db, 6);
    let gates = [gate("e", 5, 10), gate("s1", 1, 100)];
    // d05 is the sixth for the endpoint, and of s1: 1, 3 and 5 have places 0, 1 and 2.
    assert_eq!(ask(&db, &gates, &ids(0..6), 1_000), (4, vec![101_000, 201_000]));
}

#[test]
fn a_limit_without_calls_has_no_row_and_a_call_without_a_limit_takes_no_place() {
    let db = database();
    waiting(&db, 4);
    // All of these are of `s0`: the limit of `s1` is asked for nothing.
    let even = json!([["p", "d00"], ["p", "d02"]]);
    assert_eq!(ask(&db, &[gate("s1", 1, 10)], &even, 1_000), (2, vec![]));
    assert_eq!(gates(&db), [] as [Value; 0]);
    assert_eq!(ask(&db, &[gate("s1", 1, 10)], &ids(0..4), 1_000), (1, vec![11_000]));
    assert_eq!(
        gates(&db),
        ["s1"],
        "what was leased does not ask, and nobody asks for the endpoint"
    );
}

fn gates(db: &Db) -> Vec<Value> {
    let rows = run(db, &statement("SELECT gate FROM gates ORDER BY gate", []));
    rows.iter().map(|row| row["gate"].clone()).collect()
}

fn slots(db: &Db) -> Vec<Value> {
    let sql = "SELECT due_at FROM deliveries WHERE hold = 'limit' ORDER BY id";
    run(db, &statement(sql, [])).iter().map(|row| row["due_at"].clone()).collect()
}

#[test]
fn a_breaker_that_closes_leaves_those_their_places_that_wait_for_room() {
    let db = database();
    waiting(&db, 6);
    let one = [gate("e", 1, 1)];
    assert_eq!(ask(&db, &one, &ids(0..4), 1_000), (1, vec![2_000, 3_000, 4_000]));
    for calls in ["xxxx", "."] {
        count(&db, &config(), calls, 1_500);
        for statement in face_breaker(&ids(4..6), "p", "e", &config(), 31_500, 1) {
            run(&db, &statement);
        }
    }
    assert_eq!(slots(&db), [2_000, 3_000, 4_000]);
    let free = run(&db, &release("p", "e", (Release::OfBreaker, ""), 32_000, 60));
    assert!(free.iter().all(|row| ["d04", "d05"].contains(&row["id"].as_str().unwrap())));
    assert_eq!(slots(&db), [2_000, 3_000, 4_000], "and so they come at their time");
}

#[test]
fn who_is_released_to_ask_again_does_not_stand_behind_its_own_place() {
    let db = database();
    waiting(&db, 9);
    let both = [gate("e", 1, 1), gate("s1", 1, 10)];
    assert_eq!(ask(&db, &both, &ids(0..8), 1_000).0, 1);
    run(&db, &forget_gates("p", "other", &["other"]));
    assert_eq!(gates(&db), ["e", "s1"]);
    // Only the endpoint's limit has changed, or the endpoint is active again.
    run(&db, &forget_gates("p", "e", &[]));
    assert_eq!(gates(&db), [] as [Value; 0]);
    assert_eq!(run(&db, &release("p", "e", (Release::All, ""), 2_000, 60)).len(), 7);
    let until = vec![3_000, 5_000, 7_000, 9_000, 12_000, 22_000, 32_000];
    assert_eq!(ask(&db, &both, &ids(0..9), 2_000), (1, until), "d01 goes now, and d02 at 3 s");
}

#[test]
fn a_release_that_goes_on_leaves_those_their_new_places_that_it_has_let_go() {
    let db = database();
    waiting(&db, 5);
    let one = [gate("e", 1, 1)];
    ask(&db, &one, &ids(0..5), 1_000);
    run(&db, &forget_gates("p", "e", &[]));
    run(&db, &release("p", "e", (Release::All, ""), 2_000, 60));
    // Those that were let go have asked again before the last is.
    assert_eq!(ask(&db, &one, &ids(1..4), 2_000), (1, vec![3_000, 4_000]));
    run(&db, &hold_for_endpoint(ids(4..5), "paused", 2_000));
    let rest = run(&db, &release("p", "e", (Release::All, "d03"), 2_500, 60));
    assert_eq!(rest.iter().map(|row| &row["id"]).collect::<Vec<_>>(), ["d04"]);
    assert_eq!(slots(&db), [3_000, 4_000]);
}

#[test]
fn what_an_endpoint_holds_back_goes_when_it_is_released() {
    let db = database();
    waiting(&db, 3);
    run(&db, &lease(ids(2..3), true, 500, 600));
    run(&db, &hold_for_endpoint(ids(0..3), "paused", 1_000));
    let held = run(&db, &statement("SELECT status, description FROM deliveries ORDER BY id", []));
    assert_eq!(held[0], json!({"status": "Scheduled", "description": "paused"}));
    assert_eq!(held[2], json!({"status": "Retry", "description": "paused"}));
    assert_eq!(run(&db, &release("p", "other", (Release::All, ""), 2_000, 60)).len(), 0);
    assert_eq!(run(&db, &release("p", "e", (Release::OfBreaker, ""), 2_000, 60)).len(), 0);
    assert_eq!(run(&db, &release("p", "e", (Release::OfEndpoint, ""), 2_000, 60)).len(), 3);
    assert_eq!(run(&db, &lease(ids(0..3), true, 2_000, 3_000)).len(), 3);
    assert_eq!(run(&db, &events_of(ids(0..3), 3_000)).len(), 1);
}

#[test]
fn what_is_held_for_an_endpoint_that_is_gone_ends() {
    let db = database();
    waiting(&db, 4);
    run(&db, &hold_for_endpoint(ids(0..2), "paused", 1_000));
    run(&db, &statement("UPDATE deliveries SET endpoint_id = 'other' WHERE id = 'd01'", []));
    assert!(run(&db, &end_held("q", "e", 2_000)).is_empty());
    assert_eq!(run(&db, &end_held("p", "e", 2_000)), [json!({"id": "d00"})]);
    assert!(run(&db, &end_held("p", "e", 2_000)).is_empty());
    let sql = "SELECT status, hold, look_at, updated_at FROM deliveries ORDER BY id";
    let left = run(&db, &statement(sql, []));
    let ended = json!({"status": "Discarded", "hold": null, "look_at": null, "updated_at": 2_000});
    assert_eq!(left[0], ended);
    let of = |n: usize| (&left[n]["status"], &left[n]["hold"]);
    assert_eq!(of(1), (&json!("Scheduled"), &json!("endpoint")), "another's");
    assert_eq!(of(2), (&json!("Scheduled"), &Value::Null), "its bell ends it");
}

#[test]
fn what_waits_for_its_endpoint_is_looked_at_behind_all_others_and_is_no_backlog() {
    let (db, hour) = (database(), 3_600_000);
    waiting(&db, 601);
    run(&db, &hold_for_endpoint(ids(0..600), "paused", 1_000));
    run(&db, &watch(&ids([600]).to_string(), 2 * hour));
    let oldest = || run(&db, &oldest_waiting())[0]["look_at"].clone();
    assert_eq!(oldest(), 2 * hour);
    let looked = run(&db, &look(2 * hour, 9 * hour));
    assert_eq!((looked.len(), &looked.iter().any(|row| row["id"] == "d600")), (500, &true));
    assert_eq!(run(&db, &look(hour, 9 * hour)).len(), 0, "each in its time");
    assert_eq!(run(&db, &look(2 * hour, 9 * hour)).len(), 101);
    run(&db, &hold_for_endpoint(ids(0..601), "paused", 2 * hour));
    assert_eq!(oldest(), Value::Null);
    run(&db, &release("p", "e", (Release::OfEndpoint, ""), 3 * hour, 60_000));
    assert_eq!(oldest(), 3 * hour + 60_000);
}

#[test]
fn a_call_that_may_have_been_made_is_not_parked_to_be_made_again() {
    let db = database();
    waiting(&db, 1);
    run(&db, &statement("UPDATE deliveries SET delivery_mode = 'at_most_once'", []));
    run(&db, &lease(ids(0..1), true, 500, 600));
    run(&db, &hold_for_endpoint(ids(0..1), "paused", 1_000));
    let held = run(&db, &statement("SELECT status, hold, description FROM deliveries", []));
    assert_eq!((&held[0]["status"], &held[0]["hold"]), (&json!("Failure"), &Value::Null));
    assert!(held[0]["description"].as_str().unwrap().contains("was interrupted"));
}

fn config() -> BreakerConfig {
    BreakerConfig { minimum_request_count: 4, ..BreakerConfig::default() }
}

/// Counts calls: `.` is a success, `x` a failure. The last state that was written.
fn count(db: &Db, config: &BreakerConfig, calls: &str, now: u64) -> Option<Value> {
    let called = "INSERT INTO deliveries (project_id, id, event_id, subscription_id, endpoint_id, source_id, event_type, \
        delivery_mode, status, created_at, updated_at, lease_until) \
        VALUES ('p', 'called', '', '', '', '', '', '', 'Processing', 0, 0, 77) ON CONFLICT DO NOTHING";
    run(db, &statement(called, []));
    count_of(db, config, 77, calls, now)
}

/// Counts calls, as [`count`], for the dispatcher whose lease ends at `until`.
fn count_of(db: &Db, config: &BreakerConfig, until: u64, calls: &str, now: u64) -> Option<Value> {
    let leased = Leased { project_id: "p", delivery_id: "called", until };
    let mut last = None;
    for call in calls.chars() {
        let outcome = match call {
            '.' => Outcome::Success,
            _ => Outcome::Failure("500 Internal Server Error".into()),
        };
        let statements = count_call("p", "e", leased, &outcome, config, now);
        let results: Vec<_> = statements.iter().map(|statement| run(db, statement)).collect();
        last = results.last().and_then(|rows| rows.first().cloned());
    }
    last
}

#[test]
fn a_success_of_a_healthy_endpoint_writes_nothing() {
    let db = database();
    let config = config();
    assert_eq!(count(&db, &config, "....", 1_000), None);
    // One failure among successes is forgotten as soon as enough calls are counted.
    let counted = count(&db, &config, "x..", 1_000).unwrap();
    assert_eq!((&counted["failed"], &counted["ok"]), (&json!(1), &json!(2)));
    let counted = count(&db, &config, ".", 1_000).unwrap();
    assert_eq!((&counted["failed"], &counted["ok"]), (&json!(0), &json!(0)));
    assert_eq!(count(&db, &config, "....", 1_000), None);
}

#[test]
fn a_call_counts_once_and_only_for_who_holds_the_lease() {
    let db = database();
    let config = config();
    assert_eq!(count_of(&db, &config, 77, "x", 1_000), None, "no such delivery");
    assert!(run(&db, &breakers("p", &["e"])).is_empty());
    assert_eq!(count(&db, &config, "x", 1_000).unwrap()["failed"], 1);
    assert_eq!(count_of(&db, &config, 78, "x.", 1_000), None, "another has it");
    let attempt = json!({"uid": "a"}).to_string();
    let row = json!([["p", "called", "Retry", "", attempt, null, null, 5, 77]]);
    let written =
        |row: &Value| record(row.clone()).iter().map(|one| run(&db, one).len()).sum::<usize>();
    assert_eq!((written(&row), written(&row)), (1, 0), "it is recorded once");
    assert_eq!(count_of(&db, &config, 77, "x", 1_000), None, "the answer was lost: not again");
    assert_eq!(run(&db, &breakers("p", &["e"]))[0]["failed"], 1);
    for (uid, count) in [("a", 1), ("b", 0)] {
        assert_eq!(run(&db, &recorded("p", "called", uid)).len(), count, "{uid}");
    }
}

#[test]
fn the_events_of_what_is_held_back_are_not_read() {
    let db = database();
    waiting(&db, 2);
    run(&db, &lease(ids(0..1), true, 500, 90_500));
    assert_eq!(run(&db, &events_of(ids(0..2), 90_500)).len(), 1);
    assert_eq!(run(&db, &events_of(ids(1..2), 90_500)).len(), 0);
}

#[test]
fn a_breaker_opens_tries_and_closes() {
    let db = database();
    let config = config();
    waiting(&db, 9);
    assert_eq!(
        count(&db, &config, "x.xx", 1_000).unwrap()["state"],
        "open",
        "three of four are 75 percent"
    );
    let open = &run(&db, &breakers("p", &["e"]))[0];
    assert_eq!(open["reason"], "3 of 4 calls failed, the last: 500 Internal Server Error");
    assert_eq!((&open["since"], &open["next_try"]), (&json!(1_000), &json!(31_000)));
    assert_eq!(count(&db, &config, "x", 1_000), None, "an answer that is late changes nothing");

    let face = |now: u64, ids: &Value| {
        let results: Vec<_> = face_breaker(ids, "p", "e", &config, now, 60_000)
            .iter()
            .map(|statement| run(&db, statement))
            .collect();
        results[1].len()
    };
    let take = |now: u64, ids: &Value| {
        assert_eq!(run(&db, &lease(ids.clone(), true, now, now + 1)).len(), 0, "guarded");
        run(&db, &lease(ids.clone(), false, now, now + 90_000)).len()
    };
    let all = ids(0..5);
    assert_eq!((face(2_000, &all), take(2_000, &all)), (5, 0));
    assert_eq!((face(30_999, &all), take(30_999, &all)), (0, 0));
    assert_eq!((face(31_000, &all), take(31_000, &all)), (2, 3), "three may try");
    assert_eq!((face(31_001, &ids(5..9)), take(31_001, &ids(5..9))), (4, 0));
    assert_eq!(count(&db, &config, "xx", 32_000).unwrap()["state"], "half-open");
    let open = count(&db, &config, "x", 33_000).unwrap();
    assert_eq!(
        (&open["state"], &open["trips"], &open["next_try"]),
        (&json!("open"), &json!(2), &json!(93_000))
    );
    assert_eq!(face(93_000, &ids(5..9)), 1);
    let closed = count(&db, &config, "x.", 94_000).unwrap();
    assert_eq!(
        (&closed["state"], &closed["trips"], &closed["failed"]),
        (&json!("closed"), &json!(0), &json!(0))
    );
    assert_eq!(run(&db, &lease(ids(5..9), true, 94_000, 95_000)).len(), 3);
    assert_eq!(run(&db, &release("p", "e", (Release::OfBreaker, ""), 94_000, 60)).len(), 3);
}

#[test]
fn trials_have_to_succeed_as_often_as_the_project_says() {
    let db = database();
    let strict = BreakerConfig { success_threshold: 60, minimum_request_count: 1, ..config() };
    assert_eq!(count(&db, &strict, "x", 1_000).unwrap()["state"], "open");
    for statement in face_breaker(&ids(0..1), "p", "e", &strict, 31_000, 1) {
        run(&db, &statement);
    }
    assert_eq!(count(&db, &strict, "x", 31_000).unwrap()["state"], "half-open");
    assert_eq!(count(&db, &strict, ".", 31_000).unwrap()["state"], "half-open");
    assert_eq!(count(&db, &strict, ".", 31_000).unwrap()["state"], "closed", "two of three");
    assert_eq!(count(&db, &strict, "x", 40_000).unwrap()["state"], "open");
    for statement in face_breaker(&ids(0..1), "p", "e", &strict, 71_000, 1) {
        run(&db, &statement);
    }
    assert_eq!(
        count(&db, &strict, "xx", 71_000).unwrap()["state"],
        "open",
        "60 percent are out of reach"
    );
}

#[test]
fn old_calls_do_not_count() {
    let db = database();
    let config = config();
    assert_eq!(count(&db, &config, "xxx", 1_000).unwrap()["failed"], 3);
    let counted = count(&db, &config, "x", 1_000 + 300_000).unwrap();
    assert_eq!((&counted["state"], &counted["failed"]), (&json!("closed"), &json!(1)));
    run(&db, &reset_breaker("p", "e"));
    assert!(run(&db, &breakers("p", &["e"])).is_empty());
}

#[test]
fn an_active_endpoint_is_taken_out_of_use_once() {
    let db = database();
    let sql = "INSERT INTO endpoints (project_id, id, name, owner_id, doc) VALUES ('p', 'e', '', '', '{\"status\":\"active\",\"updated_at\":4}')";
    run(&db, &statement(sql, []));
    assert!(run(&db, &disable_endpoint("q", "e", "why", 5)).is_empty());
    let row = &run(&db, &disable_endpoint("p", "e", "why", 5))[0];
    assert_eq!(row["doc"], r#"{"status":"inactive","updated_at":5,"status_reason":"why"}"#);
    assert!(run(&db, &disable_endpoint("p", "e", "why", 6)).is_empty());
}

#[test]
fn the_look_ups_of_what_is_held_use_their_keys() {
    let db = database();
    waiting(&db, 1);
    run(&db, &forget_gates("p", "e", &["s0"]));
    run(&db, &paces("p", "e"));
    run(&db, &retries("p", &["s0"]));
    run(&db, &paces_of("p", &["s0"]));
    run(&db, &not_sent("p", &["s0"]));
    for statement in record(json!([["p", "d00", "Success", "", "x", null, null, 50, 50]])) {
        run(&db, &statement);
    }
    let [_, wait] = &pass_gates(&ids(0..1), "p", &[gate("e", 1, 1)], true, 1, 1)[..] else {
        panic!()
    };
    for (statement, expect) in [
        (wait.clone(), "SEARCH d USING PRIMARY KEY (project_id=? AND id=?)"),
        (
            release("p", "e", (Release::OfBreaker, ""), 1, 1),
            "deliveries_held (project_id=? AND endpoint_id=? AND id>?)",
        ),
        (
            lease(ids(0..1), true, 1, 2),
            "SEARCH b USING PRIMARY KEY (project_id=? AND endpoint_id=?)",
        ),
    ] {
        let explain =
            Statement { sql: format!("EXPLAIN QUERY PLAN {}", statement.sql), ..statement };
        let plan: Vec<String> =
            run(&db, &explain).iter().map(|row| row["detail"].to_string()).collect();
        assert!(plan.join("\n").contains(expect), "{}", plan.join("\n"));
    }
}
