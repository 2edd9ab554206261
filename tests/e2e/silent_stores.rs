//! Stores that do not answer hold up nobody who does not need them, and those who do only for seconds.

use std::time::{Duration, Instant};

use inlet_tests::{BrokerMessage, Endpoint, Gateway, Project, Reply, poll_until};
use serde_json::{Value, json};

use crate::broker_sources::{kafka, uid};

/// How long the stores are silent: more than whoever waits for them waits, and less than a client of the tests.
const LONG: Duration = Duration::from_secs(50);

/// What a call is answered, and after how many seconds.
fn after(call: impl FnOnce() -> Reply) -> (Reply, u64) {
    let began = Instant::now();
    let reply = call();
    (reply, began.elapsed().as_secs())
}

fn timed(project: &Project<'_>, source: &Value, body: &str) -> (Reply, u64) {
    after(|| project.ingest(source, body.as_bytes()))
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
    for _ in 0..3 {
        project.ingest(&plain, b"{}").expect(200);
    }
    quick.wait_for(4);
    // A sender whose body cannot be kept is asked to come again, and does not wait for ever.
    let (reply, seconds) = timed(&project, &asked, &body);
    reply.expect(503);
    assert!(seconds < LONG.as_secs(), "{seconds}");
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
    assert!((1..LONG.as_secs()).contains(&seconds), "{seconds}");
    gateway.allow("CONFIG");
    gateway.slow_down("INGEST_0", None, LONG);
    let (reply, seconds) = timed(&project, &source, "{}");
    reply.expect(200);
    assert!((4..LONG.as_secs()).contains(&seconds), "{seconds}");
    let (reply, seconds) = timed(&project, &source, "{}");
    reply.expect(200);
    assert!(seconds < 4, "only the first has waited for the queue, and not {seconds} s");
    gateway.slow_down("EVENTS_0", Some("journal"), LONG);
    let (reply, seconds) = timed(&project, &source, "{}");
    reply.expect(503);
    assert!((9..LONG.as_secs()).contains(&seconds), "{seconds}");
}

#[test]
fn of_the_writes_of_a_batch_only_the_first_is_waited_for() {
    let gateway = Gateway::builder().durability("queue").tapped().start();
    let project = gateway.outgoing(json!({}));
    let server = Endpoint::ok();
    let endpoint = project.endpoint(json!({"name": "e", "url": server.url("/hook")}));
    let push = |count: usize, pad: usize| {
        let data = json!({"pad": "x".repeat(pad)});
        let event = json!({"endpoint_id": endpoint["uid"], "event_type": "t", "data": data});
        after(|| project.post("/events/batch", &json!(vec![event; count])))
    };
    // Two calls of the queue, and bodies for the object store.
    gateway.slow_down("INGEST_0", None, LONG);
    let (reply, seconds) = push(150, 1);
    reply.expect(201);
    assert!((4..LONG.as_secs()).contains(&seconds), "{seconds}");
    gateway.slow_down("EVENTS_0", Some("journal"), LONG);
    let (reply, seconds) = push(150, 1);
    reply.expect(503);
    assert!((9..LONG.as_secs()).contains(&seconds), "{seconds}");
    gateway.slow_down("BODIES", None, LONG);
    let (reply, seconds) = push(3, 130_000);
    reply.expect(503);
    assert!((7..LONG.as_secs()).contains(&seconds), "{seconds}");
    for binding in ["INGEST_0", "EVENTS_0", "BODIES"] {
        gateway.allow(binding);
    }
    // The bell hangs with its queue; the sweep needs none.
    poll_until("what was answered 201 is stored", || {
        gateway.cron();
        (150 <= project.stored_events().len()).then_some(())
    });
}

#[test]
fn what_else_is_written_for_a_sender_or_a_companion_is_waited_for_some_seconds() {
    let gateway = Gateway::builder().durability("queue").tapped().start();
    let project = gateway.project();
    let few = project.open_source_with(json!({"max_requests": 5}));
    let companion = project.companion();
    let read = project.source(kafka());
    project.ingest(&few, b"{}").expect(200);
    gateway.slow_down("EVENTS_0", None, LONG);
    let (reply, seconds) = timed(&project, &few, "{}");
    reply.expect(503);
    assert!((3..LONG.as_secs()).contains(&seconds), "{seconds}");
    let (reply, seconds) =
        after(|| companion.batch(uid(&read), &[BrokerMessage::new("a", "no event")]));
    reply.expect(503);
    assert!((4..LONG.as_secs()).contains(&seconds), "{seconds}");
    gateway.allow("EVENTS_0");
    gateway.slow_down("CONFIG", None, LONG);
    let change = json!({"name": "other", "type": "http"});
    let (reply, seconds) = after(|| project.put(&format!("/sources/{}", uid(&few)), &change));
    reply.expect(503);
    assert!((4..LONG.as_secs()).contains(&seconds), "{seconds}");
}
