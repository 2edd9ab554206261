//! Many deliveries of one endpoint are in nobody's way: what nobody is called for is held back, or ends, in few steps.

use inlet_tests::{Endpoint, Gateway, Project, poll_until, shard, uid};
use serde_json::{Value, json};

const EVENTS: usize = 600;

fn push(project: &Project<'_>, endpoint: &str, count: usize) {
    let event = |n| json!({"endpoint_id": endpoint, "event_type": "t", "data": {"n": n}});
    let events: Vec<Value> = (0..count).map(event).collect();
    project.post("/events/batch", &json!(events)).expect(201);
}

fn of_status(gateway: &Gateway, status: &str) -> u64 {
    let sql = "SELECT count(*) AS n FROM deliveries WHERE status = ?1";
    gateway.sql("EVENTS_0", sql, &[json!(status)])[0]["n"].as_u64().unwrap_or_default()
}

fn bells(gateway: &Gateway) -> u64 {
    gateway.counters(false)["DELIVER_0"]["messages"].as_u64().unwrap_or_default()
}

#[test]
fn no_bell_is_rung_for_the_many_deliveries_of_an_endpoint_that_is_not_active() {
    let gateway = Gateway::builder().durability("journal").tapped().start();
    let project = gateway.outgoing(json!({}));
    let server = Endpoint::ok();
    let endpoint =
        uid(&project.endpoint(json!({"name": "a", "url": server.url("/a"), "is_disabled": true})));
    push(&project, &endpoint, EVENTS);
    let held = || {
        let sql =
            "SELECT count(*) AS n FROM deliveries WHERE hold = 'endpoint' AND project_id = ?1";
        gateway.sql("EVENTS_0", sql, &[json!(project.uid)])[0]["n"].as_u64().unwrap_or_default()
    };
    poll_until("all are held back", || (held() == EVENTS as u64).then_some(()));
    assert!(bells(&gateway) < 20, "{}", bells(&gateway));
    assert_eq!(gateway.get("/healthz/events").data()["shards"][shard()]["deliveries_wait_ms"], 0);

    project.delete(&format!("/endpoints/{endpoint}")).expect(200);
    assert_eq!(of_status(&gateway, "Discarded"), EVENTS as u64, "they have ended with the call");
    assert!(bells(&gateway) < 20, "{}", bells(&gateway));
    assert!(server.received().is_empty());
}

#[test]
fn the_many_deliveries_of_an_endpoint_are_made_when_it_is_active_and_end_when_it_is_gone() {
    let gateway = Gateway::builder().durability("journal").start();
    let project = gateway.outgoing(json!({}));
    let server = Endpoint::ok();
    let endpoint = uid(&project.endpoint(json!({"name": "a", "url": server.url("/a")})));
    project.put(&format!("/endpoints/{endpoint}/pause"), &json!({})).expect(202);
    push(&project, &endpoint, 100);
    poll_until("all are held back", || {
        let sql = "SELECT count(*) AS n FROM deliveries WHERE hold = 'endpoint'";
        (gateway.sql("EVENTS_0", sql, &[])[0]["n"] == 100).then_some(())
    });
    project.put(&format!("/endpoints/{endpoint}/pause"), &json!({})).expect(202);
    server.wait_for(100);

    // Gone without a word to those that are on their way.
    gateway.sql("DB", "DELETE FROM endpoints WHERE id = ?1", &[json!(endpoint)]);
    let forget = "UPDATE deliveries SET status = 'Scheduled', attempts = 0, look_at = 1";
    poll_until("they are over", || (of_status(&gateway, "Success") == 100).then_some(()));
    gateway.sql("EVENTS_0", forget, &[]);
    poll_until("they have ended", || {
        gateway.cron();
        (of_status(&gateway, "Discarded") == 100).then_some(())
    });
    assert_eq!(server.received().len(), 100);
}

#[test]
fn how_long_deliveries_wait_is_told_before_the_sweep_looks() {
    let gateway = Gateway::builder().durability("journal").sink("inlet-deliver-0").start();
    let project = gateway.outgoing(json!({}));
    let endpoint = uid(&project.endpoint(json!({"name": "a", "url": Endpoint::ok().url("/a")})));
    push(&project, &endpoint, 1);
    poll_until("the wait is shown", || {
        let shard = gateway.get("/healthz/events").expect(200).data()["shards"][shard()].clone();
        let waits = shard["deliveries_wait_ms"].as_u64().unwrap_or_default();
        (1_000 < waits && shard["state"] == "ok").then_some(())
    });
}
