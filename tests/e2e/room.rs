//! Large bodies on their way to an endpoint that does not answer leave memory for all other work.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use inlet_tests::{Answer, Endpoint, Gateway, poll_until, poll_until_within};
use serde_json::{Value, json};

fn body(bytes: usize) -> Vec<u8> {
    json!({"kind": "large", "padding": "x".repeat(bytes)}).to_string().into_bytes()
}

#[test]
fn large_bodies_for_an_endpoint_that_does_not_answer_hold_up_nobody_and_arrive_in_the_end() {
    hold_up_nobody(24, 1_000_000, None);
}

/// Those that stand in the rows of their events.
#[test]
fn many_bodies_for_an_endpoint_that_does_not_answer_hold_up_nobody_and_arrive_in_the_end() {
    hold_up_nobody(160, 100_000, None);
}

#[test]
fn many_bodies_that_a_function_makes_hold_up_nobody_and_arrive_in_the_end() {
    let makes = "function transform(payload) { return {made: \"x\".repeat(100000)}; }";
    hold_up_nobody(160, 10, Some(makes));
}

fn hold_up_nobody(count: usize, bytes: usize, function: Option<&str>) {
    let gateway = Gateway::builder().durability("journal").var("SWEEP_AFTER_SECONDS", "2").start();
    let gate = Arc::new(RwLock::new(()));
    let closed = gate.write().expect("the gate");
    let slow = {
        let gate = Arc::clone(&gate);
        Endpoint::responding(move |_| {
            drop(gate.read());
            Answer::ok()
        })
    };
    let one = gateway.project();
    let source = one.open_source();
    let endpoint =
        one.endpoint(json!({"name": "slow", "url": slow.url("/hook"), "http_timeout": 60}));
    one.subscription(json!({"name": "slow", "source_id": source["uid"],
        "endpoint_id": endpoint["uid"], "function": function}));
    let large = body(bytes);
    for _ in 0..count {
        one.ingest(&source, &large).expect(200);
    }
    let waits = |delivery: &Value| {
        let why = delivery["description"].as_str().unwrap_or_default();
        delivery["status"] == "Retry" && why.contains("too many large bodies for this endpoint")
    };
    let waiting =
        poll_until("one that found no room", || one.stored_deliveries().into_iter().find(waits));
    assert_eq!(waiting["attempts"], 0, "nobody was called: {waiting}");

    let (other, filtered, of_one) = (Endpoint::ok(), Endpoint::ok(), Endpoint::ok());
    let another = gateway.project();
    let (plain, looked_into) = (another.open_source(), another.open_source());
    another.route(&plain, &other);
    let endpoint = another.endpoint(json!({"name": "f", "url": filtered.url("/hook")}));
    another.subscription(json!({"name": "f", "source_id": looked_into["uid"],
        "endpoint_id": endpoint["uid"], "filter_config": {"filter": {"body": {"kind": "large"}}}}));
    let own = one.open_source();
    one.route(&own, &of_one);
    for times in 1..=3 {
        another.ingest(&looked_into, &body(300_000)).expect(200);
        another.ingest(&plain, &body(300_000)).expect(200);
        another.ingest(&plain, b"{}").expect(200);
        one.ingest(&own, &large).expect(200);
        other.wait_for(2 * times);
        filtered.wait_for(times);
        of_one.wait_for(times);
    }
    let parked = gateway.log().into_iter().find(|line| line.contains("not_routed_yet"));
    assert_eq!(parked, None, "routers have room of their own");
    let held = one.stored_deliveries().into_iter().filter(|one| one["status"] != "Success").count();
    assert!(count <= held, "they are held all the while, and not {held}");

    drop(closed);
    let arrived = poll_until_within(Duration::from_mins(2), || {
        gateway.cron();
        one.stored_deliveries().iter().all(|one| one["status"] == "Success").then_some(())
    });
    assert!(arrived.is_some(), "{:?}", one.stored_deliveries());
}
