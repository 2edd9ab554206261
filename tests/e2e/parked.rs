//! Parked events are tried again in a fair order, whoever makes a function of theirs stop.

use inlet_tests::{Builder, Endpoint, Gateway, Project, poll_until, shard};
use serde_json::{Value, json};

const FUNCTION: &str = "function transform(x) { while (x.endless) x.n++; return x }";
const ENDLESS: &str = r#"{"endless":true,"n":0}"#;

fn gateway() -> Builder {
    // What is tried and parked is due again long after the test.
    Gateway::builder().durability("journal").var("RETRY_SECONDS", "600")
}

/// A source whose function rests, and the receiver of what it makes.
fn resting(project: &Project<'_>) -> (Value, Endpoint) {
    let source = project.open_source_with(json!({"body_function": FUNCTION}));
    let receiver = Endpoint::ok();
    project.route(&source, &receiver);
    for _ in 0..3 {
        let reply = project.ingest(&source, ENDLESS.as_bytes()).expect(200);
        let event = project.wait_for_event(reply.header("inlet-event-id").expect("an id"));
        let reason = event["failure_reason"].as_str().unwrap_or_default();
        assert!(reason.contains("the function was stopped"), "{reason}");
    }
    (source, receiver)
}

/// Parks events that were tried once, all due.
fn park(project: &Project<'_>, source: &Value, first: u64, count: u64, body: &str) {
    let rows: Vec<Value> = (first..first + count)
        .map(|n| {
            let id = format!("01ARZ3NDEKTSV4RRFFQ6{n:06}");
            let meta = json!({"id": id, "p": project.uid, "n": shard(), "s": source["uid"], "m": "mask", "t": "x",
                "at": 1, "c": "application/json", "f": true});
            json!([project.uid, id, meta.to_string(), source["uid"], n])
        })
        .collect();
    let sql = "INSERT INTO parked (project_id, event_id, meta, source_id, body, is_base64, tries, since, due_at, reason) \
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, ?2, 0, 1, unixepoch() * 1000, value ->> 4, 'it rests' FROM json_each(?1)";
    project.gateway.sql("EVENTS_0", sql, &[json!(json!(rows).to_string()), json!(body)]);
}

#[test]
fn events_of_a_function_that_works_do_not_wait_for_those_of_one_that_is_stopped() {
    let gateway = gateway().start();
    let project = gateway.project();
    let (stops, _) = resting(&project);
    let works = project.open_source_with(json!({"body_function": FUNCTION}));
    let receiver = Endpoint::ok();
    project.route(&works, &receiver);
    park(&project, &stops, 0, 500, ENDLESS);
    park(&project, &works, 900, 3, r#"{"n":7}"#);
    gateway.cron();
    let arrived = receiver.wait_for(3);
    assert!(arrived.iter().all(|one| one.text() == r#"{"n":7}"#));
    // Few were tried, and those whose turn did not come are as they were.
    let tried = "SELECT count(*) FILTER (WHERE tries = 1) AS left, max(tries) AS most FROM parked";
    let rows = gateway.sql("EVENTS_0", tried, &[]);
    assert!(480 <= rows[0]["left"].as_u64().expect("a count"), "{rows:?}");
    assert_eq!(rows[0]["most"], 2, "{rows:?}");
}

#[test]
fn what_did_not_have_its_turn_counts_no_try_and_comes_before_what_was_stopped() {
    let gateway = gateway().start();
    let project = gateway.project();
    let (source, receiver) = resting(&project);
    let post = |body: &str| {
        let reply = project.ingest(&source, body.as_bytes()).expect(200);
        reply.header("inlet-event-id").expect("an id").to_owned()
    };
    for _ in 0..12 {
        post(ENDLESS);
    }
    let good: Vec<String> = (0..5).map(|n| post(&format!(r#"{{"n":{n}}}"#))).collect();
    let shown = poll_until("an event that waits for its turn", || {
        let shown = project.get(&format!("/events/{}", good[4])).expect(200).data();
        shown["failure_reason"].as_str().is_some_and(|why| !why.is_empty()).then_some(shown)
    });
    let why = shown["failure_reason"].as_str().unwrap_or_default();
    assert!(why.contains("; not tried yet, and due at "), "{why}");
    let tries = "SELECT count(*) AS waiting FROM parked WHERE tries = 0";
    let waiting = gateway.sql("EVENTS_0", tries, &[])[0]["waiting"].as_u64().expect("a count");
    assert!(5 <= waiting, "{waiting} with those that would be stopped");
    poll_until("all that works", || {
        gateway.cron();
        (5 <= receiver.count()).then_some(())
    });
    let most = gateway.sql("EVENTS_0", "SELECT max(tries) AS most FROM parked", &[]);
    assert_eq!(most[0]["most"], 1, "nothing was tried twice for it");
}
