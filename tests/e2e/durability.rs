//! A 2xx means that the event survives: kills, refusals, and everything that was left unfinished.

use std::time::Duration;

use inlet_tests::{Endpoint, Gateway, poll_until, poll_until_within, shard};
use serde_json::{Value, json};

use crate::story::{Story, bodies};

#[test]
fn what_was_answered_survives_a_kill() {
    let mut story = Story::new(Gateway::builder().durability("journal"));
    let bodies = bodies(50);
    for body in &bodies {
        story.post(body).expect(200);
    }
    story.gateway.kill9();
    story.gateway.restart();
    story.wait_for_bodies(&bodies);
    let events = story.project().stored_events();
    assert_eq!(events.len(), bodies.len(), "each is stored once");
}

#[test]
fn what_the_queue_took_and_the_router_stored_survives_a_kill() {
    let mut story = Story::new(Gateway::builder().durability("queue"));
    let answer = story.post("{\"n\":0}").expect(200).json();
    let event_id = answer["event_id"].as_str().expect("an id").to_owned();
    story.project().wait_for_delivery(&event_id, "Success");
    story.gateway.kill9();
    story.gateway.restart();
    assert_eq!(story.project().event(&event_id)["uid"], event_id.as_str());
    assert_eq!(story.project().deliveries(&event_id)[0]["status"], "Success");
    story.post("{\"n\":1}").expect(200);
    story.wait_for_bodies(&bodies(2));
}

#[test]
fn when_the_queue_refuses_the_journal_takes_over() {
    let story = Story::new(Gateway::builder().durability("queue").tapped());
    story.gateway.refuse("INGEST_0", None);
    let bodies = bodies(20);
    for body in &bodies {
        story.post(body).expect(200);
    }
    story.gateway.allow("INGEST_0");
    story.wait_for_bodies(&bodies);
    assert_eq!(story.project().stored_events().len(), bodies.len());
}

#[test]
fn what_the_journal_took_over_survives_a_kill() {
    let mut story = Story::new(Gateway::builder().durability("queue").tapped());
    story.gateway.refuse("INGEST_0", None);
    let bodies = bodies(10);
    for body in &bodies {
        story.post(body).expect(200);
    }
    story.gateway.kill9();
    story.gateway.restart();
    story.wait_for_bodies(&bodies);
}

#[test]
fn a_queue_in_memory_is_no_place_to_fall_back_to() {
    let story = Story::new(Gateway::builder().durability("journal").tapped());
    story.gateway.refuse("EVENTS_0", Some("INSERT INTO journal"));
    let reply = story.post("{}").expect(503);
    assert!(reply.header("retry-after").is_some());
    let pushed = json!({"event_type": "t", "data": {}});
    story.project().post("/events/broadcast", &pushed).expect(503);
    story.gateway.allow("EVENTS_0");
    story.post("{\"n\":1}").expect(200);
    story.wait_for_bodies(&[bodies(2)[1].clone()]);
    assert_eq!(story.endpoint.received().len(), 1);
}

#[test]
fn when_nothing_can_store_the_event_the_sender_is_told_to_try_again() {
    for mode in ["queue", "journal"] {
        let story = Story::new(Gateway::builder().durability(mode).tapped());
        story.post("{\"n\":0}").expect(200);
        story.gateway.refuse("INGEST_0", None);
        story.gateway.refuse("EVENTS_0", None);
        let reply = story.post("{\"n\":1}").expect(503);
        assert!(reply.header("Retry-After").is_some(), "{mode}: {:?}", reply.headers);
        story.gateway.allow("INGEST_0");
        story.gateway.allow("EVENTS_0");
        story.post("{\"n\":1}").expect(200);
        story.wait_for_bodies(&bodies(2));
    }
}

#[test]
fn a_large_body_that_cannot_be_stored_is_not_accepted() {
    let story = Story::new(Gateway::builder().durability("queue").tapped());
    story.gateway.refuse("BODIES", None);
    let reply = story.post("x".repeat(200_000)).expect(503);
    assert!(reply.header("Retry-After").is_some());
    story.post("{\"n\":0}").expect(200);
    story.gateway.allow("BODIES");
    let large = "x".repeat(200_000);
    story.post(&large).expect(200);
    story.wait_for_bodies(&["{\"n\":0}".to_owned(), large]);
}

#[test]
fn a_delivery_whose_body_cannot_be_read_for_a_while_is_called_all_the_same() {
    let story = Story::new(Gateway::builder().durability("journal").tapped());
    let project = story.project();
    let subscription = project.list("/subscriptions")[0]["uid"].clone();
    let path = format!("/subscriptions/{}", subscription.as_str().expect("a uid"));
    project.put(&path, &json!({"delivery_mode": "at_most_once"})).expect(202);
    let large = "x".repeat(200_000);
    let id = story.post(&large).expect(200).header("inlet-event-id").expect("an id").to_owned();
    project.wait_for_delivery(&id, "Success");
    story.gateway.refuse("BODIES", None);
    project.put(&format!("/events/{id}/replay"), &json!({})).expect(200);
    let waiting = poll_until("a delivery that says why it waits", || {
        let deliveries = project.list("/eventdeliveries");
        deliveries.into_iter().find(|delivery| {
            delivery["description"].as_str().is_some_and(|text| text.contains("nobody was called"))
        })
    });
    assert_eq!(waiting["status"], "Retry");
    // A call that may have been made is not made again, whatever cannot be had meanwhile.
    project.put(&format!("/events/{id}/replay"), &json!({})).expect(200);
    let left = "UPDATE deliveries SET status = 'Processing', lease_until = 1, look_at = 1, description = '' \
        WHERE project_id = ?1 AND id <> ?2 AND replay <> '' AND status <> 'Failure'";
    let lost = poll_until("the one that a dispatcher left", || {
        story.gateway.sql("EVENTS_0", left, &[json!(story.uid), waiting["uid"].clone()]);
        story.gateway.cron();
        let deliveries = project.list("/eventdeliveries");
        deliveries.into_iter().find(|delivery| delivery["status"] == "Failure")
    });
    let why = lost["description"].as_str().unwrap_or_default();
    assert!(why.starts_with("the only attempt was interrupted"), "{why}");
    story.gateway.allow("BODIES");
    let arrived = poll_until_within(Duration::from_mins(1), || {
        story.gateway.cron();
        (story.endpoint.received().len() == 2).then_some(())
    });
    assert!(arrived.is_some(), "its only attempt was not spent");
}

#[test]
fn a_delivery_whose_credentials_cannot_be_read_for_a_while_is_called_all_the_same() {
    let gateway = Gateway::builder().durability("journal").var("SWEEP_AFTER_SECONDS", "2").start();
    let (project, server) = (gateway.project(), Endpoint::ok());
    let source = project.open_source();
    let endpoint = project
        .endpoint(json!({"name": "e", "url": server.url("/hook"), "authentication":
        {"type": "api_key", "api_key": {"header_name": "X-Key", "header_value": "a-long-value"}}}));
    project.subscription(
        json!({"name": "s", "source_id": source["uid"], "endpoint_id": endpoint["uid"],
        "delivery_mode": "at_most_once"}),
    );
    let doc = "SELECT doc FROM endpoints WHERE project_id = ?1";
    let stored = gateway.sql("DB", doc, &[json!(project.uid)])[0]["doc"].clone();
    let sealed = "UPDATE endpoints SET doc = json_set(doc, '$.authentication.secret.ciphertext', 'damaged') WHERE project_id = ?1";
    gateway.sql("DB", sealed, &[json!(project.uid)]);
    let id = project
        .ingest(&source, b"{}")
        .expect(200)
        .header("inlet-event-id")
        .expect("an id")
        .to_owned();
    let waiting = project.wait_for_delivery(&id, "Retry");
    assert_eq!(waiting["metadata"]["num_trials"], 0);
    let why = waiting["description"].as_str().unwrap_or_default();
    assert!(why.starts_with("the endpoint's authentication could not be had"), "{why}");
    let back = "UPDATE endpoints SET doc = ?2 WHERE project_id = ?1";
    gateway.sql("DB", back, &[json!(project.uid), stored]);
    let arrived = poll_until_within(Duration::from_mins(1), || {
        gateway.cron();
        (server.count() == 1).then_some(())
    });
    assert!(arrived.is_some(), "its only attempt was not spent");
}

#[test]
fn the_queue_mode_does_not_need_the_event_database_to_accept() {
    let story = Story::new(Gateway::builder().durability("queue").tapped());
    story.post("{\"n\":0}").expect(200);
    story.gateway.refuse("EVENTS_0", None);
    for body in &bodies(10)[1..] {
        story.post(body).expect(200);
    }
    story.gateway.allow("EVENTS_0");
    story.wait_for_bodies(&bodies(10));
}

#[test]
fn a_bell_that_does_not_ring_delays_nothing_for_ever() {
    let story = Story::new(Gateway::builder().durability("journal").tapped());
    story.gateway.refuse("INGEST_0", None);
    story.gateway.refuse("DELIVER_0", None);
    let bodies = bodies(10);
    for body in &bodies {
        story.post(body).expect(200);
    }
    story.gateway.allow("INGEST_0");
    story.gateway.allow("DELIVER_0");
    story.wait_for_bodies(&bodies);
}

#[test]
fn deliveries_whose_queue_refused_them_are_picked_up_by_the_cron() {
    let story = Story::new(Gateway::builder().durability("queue").tapped());
    story.gateway.refuse("DELIVER_0", None);
    let bodies = bodies(10);
    let mut last = String::new();
    for body in &bodies {
        let answer = story.post(body).expect(200).json();
        last = answer["event_id"].as_str().expect("an id").to_owned();
    }
    story.project().wait_for_event(&last);
    story.gateway.allow("DELIVER_0");
    story.wait_for_bodies(&bodies);
}

#[test]
fn where_the_queue_is_durable_it_watches_the_deliveries() {
    let builder = Gateway::builder().durability("queue").var("LOCAL_QUEUE", "false").tapped();
    let story = Story::new(builder.consumer("inlet-ingest-0", json!({"retryDelay": 0})));
    story.gateway.refuse("DELIVER_0", None);
    let bodies = bodies(5);
    let mut last = String::new();
    for body in &bodies {
        let answer = story.post(body).expect(200).json();
        last = answer["event_id"].as_str().expect("an id").to_owned();
    }
    story.project().wait_for_event(&last);
    let outbox = story.gateway.sql("EVENTS_0", "SELECT count(*) AS n FROM outbox", &[]);
    assert_eq!(outbox[0]["n"], 0, "{outbox:?}");
    story.gateway.allow("DELIVER_0");
    story.wait_for_bodies(&bodies);
    assert_eq!(story.project().stored_events().len(), bodies.len(), "each is stored once");
}

#[test]
fn a_source_that_is_known_works_without_its_configuration_stores() {
    let story = Story::new(Gateway::builder().durability("queue").tapped());
    story.post("{\"n\":0}").expect(200);
    story.gateway.refuse("DB", None);
    story.gateway.refuse("CONFIG", None);
    story.post("{\"n\":1}").expect(200);
    story.gateway.allow("DB");
    story.gateway.allow("CONFIG");
    story.wait_for_bodies(&bodies(2));
}

#[test]
fn a_key_that_is_known_pushes_without_the_database_of_keys() {
    let gateway = Gateway::builder().durability("queue").tapped().start();
    let project = gateway.project();
    let endpoint = project.endpoint(json!({"name": "e", "url": "http://127.0.0.1:9/"}));
    let event = json!({"endpoint_id": endpoint["uid"], "event_type": "order.paid", "data": {}});
    project.post("/events", &event).expect(201);
    gateway.refuse("DB", None);
    project.post("/events", &event).expect(201);
    // Whoever is not known is not let in, and is not told that the key is wrong.
    let stranger = gateway.call("POST", &format!("/api/v1/projects/{}/events", project.uid));
    stranger.bearer("CO.stranger.secret").json(&event).send().expect(503);
    gateway.allow("DB");
    poll_until("both events are stored", || (project.stored_events().len() == 2).then_some(()));
}

#[test]
fn a_source_is_found_without_its_snapshot_and_without_its_cache() {
    let mut story = Story::new(Gateway::builder().durability("queue").tapped());
    for key in story.gateway.kv_keys() {
        story.gateway.delete_kv(&key);
    }
    story.gateway.restart();
    story.post("{\"n\":0}").expect(200);
    story.wait_for_bodies(&bodies(1));
    // And from the snapshot when the database is away.
    story.gateway.restart();
    story.gateway.refuse("DB", None);
    story.post("{\"n\":1}").expect(200);
    story.gateway.allow("DB");
    story.wait_for_bodies(&bodies(2));
}

#[test]
fn an_unknown_source_is_not_taken_for_unknown_when_nobody_can_tell() {
    let story = Story::new(Gateway::builder().durability("queue").tapped());
    story.gateway.refuse("DB", None);
    story.gateway.refuse("CONFIG", None);
    let reply =
        story.gateway.call("POST", "/ingest/aaaaaaaaaaaaaaaa").body("{}").send().expect(503);
    assert!(reply.header("Retry-After").is_some());
}

#[test]
fn a_change_that_the_edge_was_not_told_of_is_not_reported_as_made() {
    let story = Story::new(Gateway::builder().durability("queue").tapped());
    story.post("{\"n\":0}").expect(200);
    story.gateway.refuse("CONFIG", None);
    let path = format!("/sources/{}", story.source["uid"].as_str().expect("an id"));
    let disable = json!({"name": "open", "type": "http", "is_disabled": true});
    let reply = story.project().put(&path, &disable).expect(503);
    assert!(reply.message().starts_with("the change is stored"), "{}", reply.message());
    story.project().delete(&path).expect(503);
    story.gateway.allow("CONFIG");
    story.project().put(&path, &disable).expect(202);
    story.post("{\"n\":1}").expect(403);
    story.project().delete(&path).expect(200);
    story.post("{\"n\":1}").expect(404);
    story.project().put(&path, &disable).expect(404);
}

#[test]
fn an_alarm_sees_what_waits_in_the_ingest_queue() {
    // Nobody comes for what waits there.
    let never = json!({"maxBatchTimeout": 60, "maxBatchSize": 100});
    let builder = Gateway::builder().durability("queue").consumer("inlet-ingest-0", never);
    let gateway = builder.start();
    let waits = || {
        let reply = gateway.get("/healthz/events").expect(200);
        reply.data()["shards"][shard()]["events_wait_ms"].as_u64().expect("a time")
    };
    assert_eq!(waits(), 0);
    let project = gateway.project();
    project.ingest(&project.open_source(), b"{}").expect(200);
    poll_until("an event that waits", || (0 < waits()).then_some(()));
}

#[test]
fn an_alarm_can_be_set_on_what_waits_and_on_a_shard_that_cannot_be_read() {
    // Nobody drains the journal.
    let gateway = Gateway::builder().durability("journal").sink("inlet-ingest-0").tapped().start();
    let project = gateway.project();
    let source = project.open_source();
    let health = || gateway.get("/healthz/events");
    let state = |status: u16, state: &str| {
        poll_until(state, || {
            let reply = health();
            let is_so = reply.status == status && reply.data()["shards"][shard()]["state"] == state;
            is_so.then(|| reply.data()["shards"][shard()].clone())
        })
    };
    assert_eq!(state(200, "ok")["events_wait_ms"], 0);
    let journals = ["journal_0", "journal_1"];
    poll_until("a row that waits", || {
        project.ingest(&source, b"{}").expect(200);
        let count = |table| gateway.sql("EVENTS_0", &format!("SELECT seq FROM {table}"), &[]).len();
        (0 < journals.into_iter().map(count).sum::<usize>()).then_some(())
    });
    for table in journals {
        let sql = format!(r#"UPDATE {table} SET meta = replace(meta, '"at":17', '"at":16')"#);
        gateway.sql("EVENTS_0", &sql, &[]);
    }
    let waiting = state(503, "waiting");
    assert!(waiting["events_wait_ms"].as_u64().is_some_and(|ms| 120_000 < ms), "{waiting}");
    gateway.refuse("EVENTS_0", None);
    assert_eq!(state(503, "unreadable")["events_wait_ms"], Value::Null);
    gateway.allow("EVENTS_0");
    for table in journals {
        gateway.sql("EVENTS_0", &format!("DELETE FROM {table}"), &[]);
    }
    state(200, "ok");
}
