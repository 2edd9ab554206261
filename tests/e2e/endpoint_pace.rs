//! How often an endpoint is called: rate limits, and retries of a subscription's own.

use std::collections::BTreeMap;
use std::net::TcpListener;

use inlet_tests::{Answer, Endpoint, Gateway, Project, poll_until};
use serde_json::{Value, json};

use crate::{gateway, time};

fn burst(project: &Project<'_>, source: &Value, count: usize) {
    for n in 0..count {
        project.ingest(source, format!("{{\"n\":{n}}}").as_bytes()).expect(200);
    }
}

/// The deliveries that wait under a rate limit, with the times that they are told.
fn waiting(project: &Project<'_>) -> Vec<(String, u64)> {
    let mut all = project.list("/eventdeliveries");
    all.retain(|delivery| delivery["description"] == "waits for room under a rate limit");
    let told = |delivery: &Value| {
        let uid = delivery["uid"].as_str().expect("a uid").to_owned();
        (uid, time(&delivery["metadata"]["next_send_time"]))
    };
    all.iter().map(told).collect()
}

#[test]
fn an_endpoint_is_called_no_more_often_than_its_rate_limit_says() {
    let project = gateway().project();
    let endpoint = Endpoint::ok();
    let source = project.open_source();
    let limit = json!({"rate_limit": 3, "rate_limit_duration": 3_600});
    project.route_with(&source, &endpoint, limit);
    burst(&project, &source, 8);
    let mut waiting = poll_until("five wait", || {
        let waiting = waiting(&project);
        (waiting.len() == 5).then_some(waiting)
    });
    waiting.sort_unstable_by_key(|(_, at)| *at);
    let first = waiting[0].1;
    let windows: Vec<u64> = waiting.iter().map(|(_, at)| at - first).collect();
    assert_eq!(windows, [0, 0, 0, 3_600_000, 3_600_000]);
    endpoint.wait_for(3);
    assert_eq!(endpoint.count(), 3);
}

#[test]
fn what_waits_under_a_rate_limit_goes_when_it_was_told_and_no_earlier() {
    let project = gateway().project();
    let endpoint = Endpoint::ok();
    let source = project.open_source();
    let limit = json!({"rate_limit": 3, "rate_limit_duration": 2});
    let created = project.route_with(&source, &endpoint, limit);
    assert_eq!((&created["rate_limit"], &created["rate_limit_duration"]), (&json!(3), &json!(2)));
    burst(&project, &source, 8);
    let mut told = BTreeMap::new();
    poll_until("all are delivered", || {
        told.extend(waiting(&project));
        let deliveries = project.stored_deliveries();
        let first = |delivery: &Value| delivery["status"] == "Success" && delivery["attempts"] == 1;
        (deliveries.len() == 8 && deliveries.iter().all(first)).then_some(())
    });
    assert_eq!(endpoint.count(), 8);
    for (uid, at) in told {
        let attempts = project.attempts(&uid);
        assert!(time(&attempts[0]["requested_at"]) >= at, "{at} {attempts:?}");
    }
}

#[test]
fn a_delivery_that_waits_says_what_for_and_goes_when_the_limit_does() {
    let project = gateway().project();
    let endpoint = Endpoint::ok();
    let source = project.open_source();
    let limit = json!({"rate_limit": 1, "rate_limit_duration": 3_600});
    let created = project.route_with(&source, &endpoint, limit);
    let mut events = Vec::new();
    for _ in 0..3 {
        let answer = project.ingest(&source, b"{}").expect(200).json();
        events.push(answer["event_id"].as_str().expect("an id").to_owned());
    }
    endpoint.wait_for_one();
    let waiting = poll_until("two deliveries wait", || {
        let waiting = waiting(&project);
        (waiting.len() == 2).then_some(waiting)
    });
    for (uid, _) in &waiting {
        let delivery = project.get(&format!("/eventdeliveries/{uid}")).expect(200).data();
        assert_eq!(delivery["status"], "Scheduled");
        assert_eq!(delivery["metadata"]["num_trials"], 0, "waiting is not an attempt");
    }
    let path = format!("/endpoints/{}", created["uid"].as_str().expect("a uid"));
    assert_eq!(project.put(&path, &json!({"rate_limit": 0})).expect(202).data()["rate_limit"], 0);
    endpoint.wait_for(3);
    for event in &events {
        project.wait_for_delivery(event, "Success");
    }
}

#[test]
fn a_rate_limit_of_a_subscription_is_for_its_deliveries_alone() {
    let project = gateway().project();
    let (slow, free) = (Endpoint::ok(), Endpoint::ok());
    let source = project.open_source();
    project.route(&source, &free);
    let created = project.endpoint(json!({"name": "a", "url": slow.url("/")}));
    project.subscription(json!({
        "name": "a", "source_id": source["uid"], "endpoint_id": created["uid"],
        "rate_limit_config": {"count": 2, "duration": 3_600},
    }));
    burst(&project, &source, 6);
    // The other one waits for nobody.
    free.wait_for(6);
    poll_until("four wait", || (waiting(&project).len() == 4).then_some(()));
    slow.wait_for(2);
    assert_eq!(slow.count(), 2);
}

#[test]
fn without_a_limit_nothing_is_written_for_one() {
    let project = gateway().project();
    let endpoint = Endpoint::ok();
    let source = project.open_source();
    project.route(&source, &endpoint);
    project.ingest(&source, b"{}").expect(200);
    endpoint.wait_for_one();
    for table in ["gates", "breakers"] {
        let sql = format!("SELECT * FROM {table} WHERE project_id = ?1");
        assert!(project.gateway.sql("EVENTS_0", &sql, &[json!(project.uid)]).is_empty(), "{table}");
    }
}

#[test]
fn a_subscription_retries_as_it_says_and_not_as_its_project_does() {
    let strategy = json!({"strategy": {"type": "linear", "duration": 3600, "retry_count": 9}});
    let project = gateway().project_with(strategy);
    let endpoint = Endpoint::answering(&[Answer::status(500)]);
    let source = project.open_source();
    let created = project.endpoint(json!({"name": "a", "url": endpoint.url("/")}));
    project.subscription(json!({
        "name": "a", "source_id": source["uid"], "endpoint_id": created["uid"],
        "retry_config": {"type": "linear", "duration": 1, "retry_count": 2},
    }));
    let answer = project.ingest(&source, b"{}").expect(200).json();
    let event = answer["event_id"].as_str().expect("an id");
    let delivery = project.wait_for_delivery(event, "Failure");
    assert_eq!(endpoint.count(), 2);
    assert_eq!(delivery["metadata"]["num_trials"], 2);
    assert_eq!(delivery["metadata"]["retry_limit"], 2, "{delivery}");
    assert_eq!(delivery["metadata"]["interval_seconds"], 1);
    assert_eq!(delivery["description"], "Retry limit exceeded");
}

#[test]
fn a_limit_that_makes_no_sense_is_refused() {
    let project = gateway().project();
    let endpoint = Endpoint::ok();
    for (fields, expect) in [
        (json!({"rate_limit": 5}), "rate_limit_duration:from 1 to"),
        (
            json!({"rate_limit": -1, "rate_limit_duration": 1}),
            "rate_limit:a whole number from 0 to",
        ),
        (json!({"rate_limit": "5", "rate_limit_duration": 1}), "field \"rate_limit\""),
        (json!({"rate_limit": 5, "rate_limit_duration": 100_000}), "rate_limit_duration"),
        (json!({"rate_limit": 10_000_000, "rate_limit_duration": 1}), "rate_limit:at most"),
    ] {
        let mut body = json!({"name": "a", "url": endpoint.url("/")});
        body.as_object_mut()
            .expect("an object")
            .extend(fields.as_object().expect("fields").clone());
        let reply = project.post("/endpoints", &body).expect(400);
        assert!(reply.message().contains(expect), "{fields}: {}", reply.message());
    }
}

#[test]
fn an_endpoint_that_hangs_with_thousands_of_deliveries_holds_up_nobody() {
    let gateway = Gateway::builder().start();
    // It takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", silent.local_addr().expect("an address"));
    let slow = gateway.project();
    let endpoint = slow.endpoint(json!({"name": "hangs", "url": url, "http_timeout": 60}));
    let event = json!({"endpoint_id": endpoint["uid"], "event_type": "t", "data": 1});
    for _ in 0..4 {
        slow.post("/events/batch", &json!(vec![&event; 1_000])).expect(201);
    }
    let project = gateway.project();
    let server = Endpoint::ok();
    let source = project.open_source();
    project.route(&source, &server);
    for count in 1..=3 {
        project.ingest(&source, b"{}").expect(200);
        server.wait_for(count);
    }
}
