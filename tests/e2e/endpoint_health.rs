//! Endpoints that fail, and endpoints that are not to be called: circuit breakers, disabling, pausing.

use std::time::Duration;

use inlet_tests::{Answer, Endpoint, Project, poll_until, poll_until_within};
use serde_json::{Value, json};

use crate::gateway;

fn path(endpoint: &Value) -> String {
    format!("/endpoints/{}", endpoint["uid"].as_str().expect("a uid"))
}

/// A project that tries again every second, with these fields of its breaker.
fn project(breaker: Value, attempts: u32) -> Project<'static> {
    gateway().project_with(json!({
        "strategy": {"type": "linear", "duration": 1, "retry_count": attempts}, "circuit_breaker": breaker,
    }))
}

fn send(project: &Project<'_>, source: &Value) -> String {
    let answer = project.ingest(source, b"{}").expect(200).json();
    answer["event_id"].as_str().expect("an id").to_owned()
}

fn wait_for_state(project: &Project<'_>, endpoint: &Value, state: &str) -> Value {
    let mut last = Value::Null;
    let found = poll_until_within(Duration::from_secs(30), || {
        last = project.get(&path(endpoint)).expect(200).data();
        (last["breaker"]["state"] == state).then(|| last.clone())
    });
    found.unwrap_or_else(|| panic!("the breaker did not become {state}: {last}"))
}

#[test]
fn a_breaker_opens_explains_itself_and_closes_when_the_endpoint_works_again() {
    let breaker = json!({"minimum_request_count": 3, "error_timeout": 4, "sample_rate": 1});
    let project = project(breaker, 100);
    let endpoint = Endpoint::answering(&[Answer::status(503)]);
    let source = project.open_source();
    let created = project.route(&source, &endpoint);
    assert_eq!(
        (&created["cb_state"], &created["breaker"]["state"]),
        (&json!("closed"), &json!("closed"))
    );
    let first = send(&project, &source);
    let open = wait_for_state(&project, &created, "open");
    assert_eq!(open["breaker"]["reason"], "3 of 3 calls failed, the last: 503 Service Unavailable");
    assert!(
        open["breaker"]["since"].is_string() && open["breaker"]["next_try"].is_string(),
        "{open}"
    );
    assert_eq!((&open["cb_state"], &open["failure_rate"]), (&json!("open"), &json!(100.0)));
    assert_eq!(open["status"], "active");
    let calls = endpoint.count();
    assert_eq!(calls, 3);

    // What comes while it is open waits, and costs no attempt.
    let second = send(&project, &source);
    let held = poll_until("the second delivery waits", || {
        let delivery = project.deliveries(&second).pop()?;
        (delivery["description"] == "waits for the circuit breaker of the endpoint")
            .then_some(delivery)
    });
    assert_eq!(
        (&held["status"], &held["metadata"]["num_trials"]),
        (&json!("Scheduled"), &json!(0))
    );
    assert_eq!(endpoint.count(), calls);

    endpoint.answer(&[Answer::ok()]);
    for event in [&first, &second] {
        project.wait_for_delivery(event, "Success");
    }
    let closed = wait_for_state(&project, &created, "closed");
    assert_eq!((&closed["breaker"]["reason"], &closed["failure_rate"]), (&json!(""), &json!(0.0)));
    let listed = project.list("/endpoints");
    assert_eq!(listed[0]["breaker"], closed["breaker"]);
}

#[test]
fn a_breaker_that_opens_again_and_again_takes_the_endpoint_out_of_use() {
    let breaker = json!({
        "minimum_request_count": 1, "error_timeout": 1, "sample_rate": 1, "consecutive_failure_threshold": 2,
    });
    let project = project(breaker, 100);
    let endpoint = Endpoint::answering(&[Answer::status(500)]);
    let source = project.open_source();
    let created = project.route(&source, &endpoint);
    let events: Vec<String> = (0..4).map(|_| send(&project, &source)).collect();
    let shown = poll_until("the endpoint is inactive", || {
        let shown = project.get(&path(&created)).expect(200).data();
        (shown["status"] == "inactive").then_some(shown)
    });
    let reason = shown["status_reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("the circuit breaker opened 2 times in a row: "), "{reason}");

    // Its deliveries wait for its activation, which closes the breaker too.
    endpoint.answer(&[Answer::ok()]);
    let reply = project.post(&format!("{}/activate", path(&created)), &json!({})).expect(202);
    let active = reply.data();
    assert_eq!((&active["status"], &active["status_reason"]), (&json!("active"), &json!("")));
    assert_eq!(active["breaker"]["state"], "closed");
    for event in &events {
        project.wait_for_delivery(event, "Success");
    }
}

#[test]
fn a_project_without_breakers_goes_on_calling() {
    let project = project(json!({"enabled": false, "minimum_request_count": 1}), 6);
    let endpoint = Endpoint::answering(&[Answer::status(500)]);
    let source = project.open_source();
    let created = project.route(&source, &endpoint);
    let event = send(&project, &source);
    project.wait_for_delivery(&event, "Failure");
    assert_eq!(endpoint.count(), 6);
    assert_eq!(project.get(&path(&created)).expect(200).data()["cb_state"], "disabled");
}

#[test]
fn an_endpoint_is_disabled_when_a_delivery_has_used_up_its_retries_and_the_project_says_so() {
    for disable in [true, false] {
        let project = gateway().project_with(json!({
            "strategy": {"type": "linear", "duration": 1, "retry_count": 2}, "disable_endpoint": disable,
        }));
        let endpoint = Endpoint::answering(&[Answer::status(500)]);
        let source = project.open_source();
        let created = project.route(&source, &endpoint);
        let event = send(&project, &source);
        let delivery = project.wait_for_delivery(&event, "Failure");
        if !disable {
            assert_eq!(project.get(&path(&created)).expect(200).data()["status"], "active");
            continue;
        }
        let shown = poll_until("the endpoint is inactive", || {
            let shown = project.get(&path(&created)).expect(200).data();
            (shown["status"] == "inactive").then_some(shown)
        });
        let reason = shown["status_reason"].as_str().unwrap_or_default();
        assert!(reason.contains(delivery["uid"].as_str().expect("a uid")), "{reason}");
        assert!(reason.contains("has failed 2 times"), "{reason}");
    }
}

#[test]
fn deliveries_of_a_paused_endpoint_wait_and_go_out_when_it_is_activated() {
    let project = project(json!({}), 100);
    let endpoint = Endpoint::answering(&[Answer::status(500), Answer::ok()]);
    let source = project.open_source();
    let created = project.route(&source, &endpoint);
    let retried = send(&project, &source);
    endpoint.wait_for_one();
    project.put(&format!("{}/pause", path(&created)), &json!({})).expect(202);
    let fresh = send(&project, &source);
    let waits = "the endpoint is paused: delivered when it is active again";
    for (event, status) in [(&retried, "Retry"), (&fresh, "Scheduled")] {
        let held = poll_until("the delivery waits", || {
            let delivery = project.deliveries(event).pop()?;
            (delivery["description"] == waits).then_some(delivery)
        });
        assert_eq!(held["status"], status);
    }
    assert_eq!(endpoint.count(), 1);
    project.post(&format!("{}/activate", path(&created)), &json!({})).expect(202);
    for event in [&retried, &fresh] {
        project.wait_for_delivery(event, "Success");
    }
    assert_eq!(endpoint.count(), 3);
}

#[test]
fn a_breaker_that_makes_no_sense_is_refused() {
    let project = gateway().project();
    for (breaker, expect) in [
        (
            json!({"failure_threshold": 101}),
            "config.circuit_breaker.failure_threshold:from 1 to 100",
        ),
        (json!({"error_timeout": 0}), "config.circuit_breaker.error_timeout:from 1"),
        (json!({"sample_rate": "30"}), "config.circuit_breaker.sample_rate"),
        (json!([]), "config.circuit_breaker"),
    ] {
        let reply = project.put("", &json!({"config": {"circuit_breaker": breaker}})).expect(400);
        assert!(reply.message().contains(expect), "{breaker}: {}", reply.message());
    }
    let config = project.get("").expect(200).data()["config"]["circuit_breaker"].clone();
    assert_eq!(config["failure_threshold"], 70);
}

#[test]
fn the_failures_of_a_time_are_counted() {
    let project = project(json!({}), 1);
    let (good, bad) = (Endpoint::ok(), Endpoint::answering(&[Answer::status(500)]));
    let source = project.open_source();
    let (good, bad) = (project.route(&source, &good), project.route(&source, &bad));
    let event = send(&project, &source);
    project.wait_for_any_delivery(&event, "Success");
    project.wait_for_any_delivery(&event, "Failure");
    let uid = |endpoint: &Value| endpoint["uid"].as_str().expect("a uid").to_owned();
    let path = "/endpoints/period-failure-rates";
    let query =
        format!("{path}?endpointId={}&endpointId={}&endpointId=none", uid(&good), uid(&bad));
    let reply = project.get(&query).expect(200);
    assert_eq!(reply.message(), "Endpoint period failure rates fetched successfully");
    let rates = reply.data();
    let rate =
        |n: usize| (rates[n]["period_failure_rate"].clone(), rates[n]["failure_count"].clone());
    assert_eq!(
        [rate(0), rate(1), rate(2)],
        [(json!(0.0), json!(0)), (json!(1.0), json!(1)), (Value::Null, json!(0))]
    );
    let early = format!("{query}&endDate=2020-01-01T00:00:00&startDate=2019-01-01T00:00:00");
    assert_eq!(project.get(&early).expect(200).data()[1]["failure_count"], 0);
    assert_eq!(project.get(path).expect(200).data(), json!([]));
    project.get(&format!("{path}?startDate=yesterday")).expect(400);
}
