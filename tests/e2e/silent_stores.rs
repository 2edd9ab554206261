//! Stores that do not answer hold up nobody who does not need them, and those who do only for seconds.

use std::time::{Duration, Instant};

use inlet_tests::{Endpoint, Gateway, Project, Reply, poll_until};
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(50);

/// What an event is answered, and after how many seconds.
fn timed(project: &Project<'_>, source: &Value, body: &str) -> (Reply, u64) {
    let began = Instant::now();
    let reply = project.ingest(source, body.as_bytes());
    (reply, began.elapsed().as_secs())
}

#[test]
fn a_body_that_does_not_come_holds_up_nobody() {
    let gateway = Gateway::builder().durability("journal").tapped().start();
    let project = gateway.project();
    let (asked, plain) = (project.open_source(), project.open_source());
    let (slow, quick) = (Endpoint::ok(), Endpoint::ok());
    let endpoint = project.endpoint(json!({"name": "e", "url": slow.url("/hook")}));
    project.subscription(
        json!({"name": "f", "source_id": asked["uid"], "endpoint_id": endpoint["uid"],
        "filter_config": {"event_types": ["*"], "filter": {"body": {"n": 1}}}}),
    );
    project.route(&plain, &quick);
    project.ingest(&plain, b"{}").expect(200);
    quick.wait_for(1);
    // Nothing is routed yet, so that the body is there before the store falls silent.
    gateway.refuse("DB", None);
    let body = format!("{{\"n\":1,\"pad\":\"{}\"}}", "x".repeat(300_000));
    let reply = project.ingest(&asked, body.as_bytes()).expect(200);
    let event = reply.header("inlet-event-id").expect("an id").to_owned();
    gateway.slow_down("BODIES", None, LONG);
    gateway.allow("DB");
    let began = Instant::now();
    for _ in 0..3 {
        project.ingest(&plain, b"{}").expect(200);
    }
    quick.wait_for(4);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    // A sender whose body cannot be kept is asked to come again, and does not wait for ever.
    let (reply, seconds) = timed(&project, &asked, &body);
    reply.expect(503);
    assert!(seconds < 15, "{seconds}");
    gateway.allow("BODIES");
    poll_until("the event is tried again", || {
        gateway.cron();
        let shown = project.get(&format!("/events/{event}")).data();
        (shown["status"] == "Success").then_some(())
    });
    slow.wait_for(1);
}

#[test]
fn what_hangs_at_ingest_is_waited_for_some_seconds_and_then_the_other_is_asked() {
    let gateway = Gateway::builder().durability("queue").tapped().start();
    let project = gateway.project();
    let source = project.open_source();
    gateway.slow_down("CONFIG", None, LONG);
    let (reply, seconds) = timed(&project, &source, "{}");
    reply.expect(200);
    assert!((1..10).contains(&seconds), "{seconds}");
    gateway.allow("CONFIG");
    gateway.slow_down("INGEST_0", None, LONG);
    let (reply, seconds) = timed(&project, &source, "{}");
    reply.expect(200);
    assert!((4..12).contains(&seconds), "{seconds}");
    gateway.slow_down("EVENTS_0", Some("journal"), LONG);
    let (reply, seconds) = timed(&project, &source, "{}");
    reply.expect(503);
    assert!((9..20).contains(&seconds), "{seconds}");
}
