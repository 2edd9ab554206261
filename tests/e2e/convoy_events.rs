//! Convoy's tests of events and deliveries: pushed, found, shown, and sent again.

use inlet_tests::{Answer, Endpoint, Project, uid};
use serde_json::{Value, json};

use crate::gateway;

fn outgoing() -> Project<'static> {
    gateway().outgoing(json!({}))
}

#[track_caller]
fn endpoint(project: &Project<'_>, server: &Endpoint) -> String {
    let body = json!({"name": "e", "url": server.url("/hook"), "owner_id": "owner-1"});
    uid(&project.endpoint(body))
}

/// Sends these bytes, as an SDK or a test of Convoy writes them.
fn send(project: &Project<'_>, path: &str, body: &str) -> inlet_tests::Reply {
    project.call("POST", path).header("Content-Type", "application/json").body(body).send()
}

#[test]
fn an_event_is_taken_in_each_way_that_convoys_tests_push_it() {
    let project = outgoing();
    let server = Endpoint::ok();
    let id = endpoint(&project, &server);
    endpoint(&project, &server);
    let url = server.url("/dynamic");
    for (path, body, message) in [
        (
            "/events",
            format!(r#"{{"endpoint_id":"{id}","event_type":"*","data":{{"level":"test"}}}}"#),
            "Event queued successfully",
        ),
        (
            "/events",
            format!(r#"{{"endpoint_id":"{id}","event_type":"*","data":null}}"#),
            "Event queued successfully",
        ),
        (
            "/events/fanout",
            r#"{"owner_id":"owner-1","event_type":"*","data":{"level":"test"},"custom_headers":{"x-sig":"convoy"}}"#.into(),
            "Endpoint fanout event queued successfully",
        ),
        (
            "/events/fanout",
            r#"{"owner_id":"nobody","event_type":"*","data":{"level":"test"}}"#.into(),
            "Endpoint fanout event queued successfully",
        ),
        // The brace too many is theirs.
        (
            "/events/broadcast",
            r#"{"event_type":"*","data":{"level":"test"},"custom_headers":{"x-sig":"convoy"},"idempotency_key":"b"}}"#.into(),
            "Broadcast event created successfully",
        ),
        (
            "/events/dynamic",
            format!(
                r#"{{"url":"{url}","secret":"abc","event_types":["*"],"event_type":"*","data":{{"level":"test"}},"idempotency_key":"d"}}}}"#
            ),
            "Dynamic event created successfully",
        ),
    ] {
        let reply = send(&project, path, &body);
        let header = reply.header("inlet-event-id").map(str::to_owned);
        let event = uid(&reply.says(201, message));
        assert_eq!(header.as_deref(), Some(event.as_str()));
        assert_eq!(project.wait_for_event(&event)["event_type"], "*", "{path} {body}");
    }
}

#[test]
fn an_event_without_anybody_to_go_to_is_refused_and_not_kept() {
    let (project, other) = (outgoing(), outgoing());
    let server = Endpoint::ok();
    let foreign = endpoint(&other, &server);
    for (fields, message) in [
        (json!({}), "please provide an endpoint ID"),
        (json!({"app_id": "app-without-endpoints"}), "app ID has no configured endpoints"),
        (json!({"endpoint_id": "none"}), "endpoint not found"),
        (json!({"endpoint_id": foreign}), "endpoint not found"),
    ] {
        let mut body = json!({"event_type": "*", "data": {"level": "test"}});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let refused = project.post("/events", &body).expect(400);
        assert_eq!(refused.json(), json!({"status": false, "message": message}), "{body}");
    }
    // The key of one project does not push into another, whoever's endpoint is named: there it would, in silence.
    let path = format!("/api/v1/projects/{}/events", other.uid);
    let body = json!({"endpoint_id": foreign, "event_type": "*", "data": 1});
    let call = gateway().call("POST", &path).bearer(&project.key).json(&body);
    assert_eq!(call.send().expect(403).message(), "this API key belongs to another project");
    project.expect_no_events();
    other.expect_no_events();
}

#[test]
fn an_event_for_a_paused_endpoint_is_taken_in_and_waits() {
    let project = outgoing();
    let server = Endpoint::ok();
    let id = endpoint(&project, &server);
    let path = format!("/endpoints/{id}");
    let paused = project.put(&format!("{path}/pause"), &json!({}));
    assert_eq!(paused.says(202, "endpoint status updated successfully")["status"], "paused");
    let body = json!({"endpoint_id": id, "event_type": "*", "data": {"level": "test"}});
    let event = uid(&project.post("/events", &body).says(201, "Event queued successfully"));
    project.wait_for_delivery(&event, "Scheduled");
    let active = project.post(&format!("{path}/activate"), &json!({}));
    assert_eq!(active.says(202, "endpoint status successfully activated")["status"], "active");
    project.wait_for_delivery(&event, "Success");
    let refused = project.post(&format!("{path}/activate"), &json!({})).expect(400);
    let message = "current endpoint status - active, does not support activation";
    assert_eq!(refused.message(), message);
}

#[test]
fn events_and_deliveries_are_listed_newest_first_by_endpoint_and_source() {
    let project = gateway().project();
    let server = Endpoint::ok();
    let [first, second] = [(); 2].map(|()| project.open_source());
    let wanted = project.route(&first, &server);
    project.route(&second, &server);
    let subscription =
        project.list(&format!("/subscriptions?endpointId={}", uid(&wanted))).swap_remove(0);
    let ingest = |source: &Value| {
        let answer = project.ingest(source, b"{}").expect(200).json();
        let event = answer["event_id"].as_str().expect("an id").to_owned();
        project.wait_for_delivery(&event, "Success");
        event
    };
    let [older, _, newer] = [&first, &second, &first].map(ingest);
    let events = format!("/events?endpointId={}&sourceId={}", uid(&wanted), uid(&first));
    let found: Vec<String> = project.list(&events).iter().map(uid).collect();
    assert_eq!(found, [newer.clone(), older.clone()]);
    let deliveries = format!(
        "/eventdeliveries?endpointId={}&subscriptionId={}",
        uid(&wanted),
        uid(&subscription)
    );
    let found = project.list(&deliveries);
    let of: Vec<&str> = found.iter().filter_map(|one| one["event_id"].as_str()).collect();
    assert_eq!(of, [newer.as_str(), older.as_str()]);
    for delivery in &found {
        let path = format!("/eventdeliveries/{}", uid(delivery));
        let shown = project.get(&path).says(200, "Event Delivery fetched successfully");
        assert_eq!(
            (&shown["uid"], &shown["subscription_id"]),
            (&delivery["uid"], &subscription["uid"])
        );
    }
}

#[test]
fn an_event_without_endpoints_is_found_until_an_endpoint_is_asked_for() {
    let project = gateway().project();
    let server = Endpoint::ok();
    let (lonely, heard) = (project.open_source(), project.open_source());
    let endpoint = uid(&project.route(&heard, &server));
    let answer = project.ingest(&lonely, br#"{"order":"needle-4711"}"#).expect(200).json();
    let event = answer["event_id"].as_str().expect("an id").to_owned();
    let shown = project.wait_for_event(&event);
    assert_eq!(shown["status"], "Failure");
    assert_eq!(shown["failure_reason"], "no subscription matched this event");
    let found = |query: &str| -> Vec<String> {
        project.list(&format!("/events?{query}")).iter().map(uid).collect()
    };
    for query in ["", "query=needle-4711", "body=%7B%22order%22%3A%22needle-4711%22%7D"] {
        assert_eq!(found(query), [event.as_str()], "{query}");
    }
    assert!(found(&format!("endpointId={endpoint}")).is_empty());
}

/// What a reader of JSON would write in another way.
const DATA: &str = r#"{ "level": "test", "amount": 1.10 }"#;

/// A delivery of this status, to an endpoint that answers so.
#[track_caller]
fn delivery(project: &Project<'_>, endpoint: &str, status: &str) -> String {
    let body = format!(r#"{{"endpoint_id":"{endpoint}","event_type":"*","data":{DATA}}}"#);
    let call = project.call("POST", "/events").header("Content-Type", "application/json");
    let event = uid(&call.body(body).send().expect(201).data());
    uid(&project.wait_for_delivery(&event, status))
}

#[test]
fn a_delivery_is_resent_only_when_it_has_failed_and_its_endpoint_is_there() {
    let strategy = json!({"strategy": {"type": "linear", "duration": 3600, "retry_count": 3}});
    let project = gateway().outgoing(strategy);
    let [good, bad, gone] = [Answer::ok(), Answer::status(500), Answer::status(410)]
        .map(|answer| Endpoint::answering(&[answer]));
    let [good, bad, gone] = [good, bad, gone].map(|server| (endpoint(&project, &server), server));
    let resend =
        |delivery: &str| project.call("PUT", &format!("/eventdeliveries/{delivery}/resend")).send();
    let refused = |delivery: &str, message: &str| {
        let reply = resend(delivery).expect(400);
        assert_eq!(reply.json(), json!({"status": false, "message": message}));
    };
    refused(&delivery(&project, &good.0, "Success"), "event already sent");
    let not_failed = "cannot resend event that did not fail previously";
    refused(&delivery(&project, &bad.0, "Retry"), not_failed);
    let paused = uid(&project.endpoint(json!({"name": "p", "url": "https://example.com/"})));
    project.put(&format!("/endpoints/{paused}/pause"), &json!({})).expect(202);
    refused(&delivery(&project, &paused, "Scheduled"), not_failed);

    let failed = delivery(&project, &gone.0, "Failure");
    project.put(&format!("/endpoints/{}/pause", gone.0), &json!({})).expect(202);
    refused(&failed, "the endpoint is currently paused");
    project.put(&format!("/endpoints/{}/pause", gone.0), &json!({})).expect(202);
    let reply = resend(&failed);
    assert!(
        reply.text().contains(&format!("\"data\":{DATA}}}")),
        "byte for byte: {}",
        reply.text()
    );
    let shown = reply.says(200, "App event processed for retry successfully");
    assert_eq!((&shown["uid"], &shown["status"]), (&json!(failed), &json!("Scheduled")));
    gone.1.wait_for(2);
    let event = uid(&json!({"uid": shown["event_id"]}));
    project.wait_for_delivery(&event, "Failure");
    project.delete(&format!("/endpoints/{}", gone.0)).expect(200);
    refused(&failed, "endpoint not found");
    assert_eq!(resend("none").expect(404).message(), "event delivery not found");
}

#[test]
fn many_are_retried_by_their_filters_and_forced_by_their_ids() {
    let project = outgoing();
    let gone = Endpoint::answering(&[Answer::status(410)]);
    let server = Endpoint::ok();
    let (bad, good) = (endpoint(&project, &gone), endpoint(&project, &server));
    let failed = delivery(&project, &bad, "Failure");
    let event = project.get(&format!("/eventdeliveries/{failed}")).data()["event_id"].clone();
    let event = event.as_str().expect("an id");
    let query = format!("endpointId={bad}&eventId={event}&status=Failure");
    gone.answer(&[Answer::ok()]);
    let call = project.call("POST", &format!("/eventdeliveries/batchretry?{query}")).send();
    assert_eq!(call.says(200, "Batch retry processing")["num"], 1);
    project.wait_for_delivery(event, "Success");
    // With nothing to retry it succeeds as well.
    let call = project.call("POST", &format!("/eventdeliveries/batchretry?{query}")).send();
    assert_eq!(call.says(200, "Batch retry processing")["num"], 0);

    let ids: Vec<String> = (0..3).map(|_| delivery(&project, &good, "Success")).collect();
    let force = |ids: &Value| project.post("/eventdeliveries/forceresend", &json!({"ids": ids}));
    assert_eq!(force(&json!(ids)).says(200, "3 successful, 0 failed"), Value::Null);
    server.wait_for(6);
    gone.answer(&[Answer::status(410)]);
    let failed = delivery(&project, &bad, "Failure");
    let refused = force(&json!([ids[0], failed])).expect(400);
    assert_eq!(refused.message(), "only successful events can be force resent");
    let empty = force(&json!([])).expect(400).message();
    assert!(empty.starts_with("Request is invalid"), "{empty}");
}

#[test]
fn an_event_is_replayed_counted_and_replayed_by_filter() {
    let project = outgoing();
    let server = Endpoint::ok();
    let id = endpoint(&project, &server);
    let body = json!({"endpoint_id": id, "event_type": "*", "data": {"level": "test"}});
    let event = uid(&project.post("/events", &body).expect(201).data());
    project.wait_for_delivery(&event, "Success");
    let shown = project.get(&format!("/events/{event}"));
    let shown = shown.says(200, "Endpoint event fetched successfully");
    assert_eq!((&shown["uid"], &shown["data"]), (&json!(event), &json!({"level": "test"})));
    let replayed = project.call("PUT", &format!("/events/{event}/replay")).send();
    assert_eq!(uid(&replayed.says(200, "Endpoint event replayed successfully")), event);
    server.wait_for(2);
    let query = format!("endpointId={id}");
    let count = project.get(&format!("/events/countbatchreplayevents?{query}"));
    assert_eq!(count.says(200, "events count successful")["num"], 1);
    let call = project.call("POST", &format!("/events/batchreplay?{query}")).send();
    assert_eq!(call.json()["num"], 1);
    assert_eq!(call.says(200, "1 successful, 0 failed"), Value::Null);
    server.wait_for(3);
    for (path, message) in [
        ("/events/batchreplay?query=x", "batch replay does not support search filters"),
        (
            "/events/batchreplay?body=%7B%22a%22%3A1%7D",
            "batch replay does not support search filters",
        ),
    ] {
        assert_eq!(project.call("POST", path).send().expect(400).message(), message);
    }
    let counted = project.get("/events/countbatchreplayevents?query=x").expect(400);
    assert_eq!(counted.message(), "batch replay count does not support search filters");
    for path in ["/events/none", "/events/01ARZ3NDEKTSV4RRFFQ69G5FAV"] {
        assert_eq!(project.get(path).expect(404).message(), "event not found");
    }
}
