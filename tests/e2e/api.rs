//! Endpoints, subscriptions, events and deliveries through Convoy's API.

use inlet_tests::{Endpoint, Reply};
use serde_json::{Value, json};

use crate::gateway;

#[track_caller]
fn says(reply: Reply, status: u16, message: &str) -> Value {
    let reply = reply.expect(status);
    assert_eq!(reply.message(), message, "{}", reply.text());
    reply.data()
}

fn uid(value: &Value) -> &str {
    value["uid"].as_str().expect("a uid")
}

#[test]
fn an_endpoint_lives_from_create_to_delete() {
    let project = gateway().project();
    let body = json!({"name": "orders", "url": "https://example.com/hook?a=b", "description": "text",
        "owner_id": "owner-1", "http_timeout": 20, "advanced_signatures": false});
    let created = says(project.post("/endpoints", &body), 201, "Endpoint created successfully");
    for field in ["name", "url", "description", "owner_id", "http_timeout", "advanced_signatures"] {
        assert_eq!(created[field], body[field], "{field}");
    }
    assert_eq!(created["status"], "active");
    assert_eq!(created["project_id"], project.uid);
    let path = format!("/endpoints/{}", uid(&created));
    let read = says(project.get(&path), 200, "Endpoint fetched successfully");
    assert_eq!(read["name"], "orders");
    let page = says(project.get("/endpoints"), 200, "Endpoints fetched successfully");
    assert_eq!(page["content"].as_array().map(Vec::len), Some(1));
    says(project.delete(&path), 200, "Endpoint deleted successfully");
    let reply = project.get(&path).expect(404);
    assert_eq!(reply.message(), "Resource not found");
    assert!(project.list("/endpoints").is_empty());
}

#[test]
fn the_secret_of_an_endpoint_is_shown_once() {
    let project = gateway().project();
    let created = project.endpoint(json!({"name": "a", "url": "https://example.com/"}));
    let secret = created["secrets"][0]["value"].as_str().expect("a secret").to_owned();
    assert!(secret.starts_with("whsec_"), "{secret}");
    let path = format!("/endpoints/{}", uid(&created));
    for reply in [project.get(&path), project.get("/endpoints")] {
        assert!(!reply.text().contains(&secret));
        assert!(reply.text().contains("********"), "{}", reply.text());
    }
}

#[test]
fn an_endpoint_that_cannot_be_is_refused() {
    let project = gateway().project();
    let check = |body: Value, part: &str| {
        let message = project.post("/endpoints", &body).expect(400).message();
        assert!(message.contains(part), "{body}: {message}");
    };
    check(json!({}), "");
    check(json!({"name": "a"}), "please provide the endpoint url");
    check(json!({"name": "a", "url": ""}), "please provide the endpoint url");
    check(json!({"url": "https://example.com/"}), "name");
    check(json!({"name": "a", "url": "gopher://example.com/"}), "invalid endpoint scheme");
    check(json!({"name": "a", "url": "example.com"}), "url");
    check(json!({"name": 5, "url": "https://example.com/"}), "incorrect JSON type");
    check(json!({"name": "a", "url": []}), "incorrect JSON type");
    check(
        json!({"name": "a", "url": "https://example.com/", "http_timeout": "10"}),
        "incorrect JSON type",
    );
    check(json!({"name": "a", "url": "https://example.com/", "http_timeout": -1}), "");
    let call = project.call("POST", "/endpoints").body("{");
    call.header("Content-Type", "application/json").send().expect(400);
}

#[test]
fn a_subscription_lives_from_create_to_delete() {
    let project = gateway().project();
    let source = project.open_source();
    let endpoint = project.endpoint(json!({"name": "a", "url": "https://example.com/"}));
    let body = json!({"name": "all", "source_id": source["uid"], "endpoint_id": endpoint["uid"]});
    let created =
        says(project.post("/subscriptions", &body), 201, "Subscription created successfully");
    assert_eq!(created["name"], "all");
    assert_eq!(created["delivery_mode"], "at_least_once");
    assert_eq!(created["filter_config"]["event_types"], json!(["*"]));
    let path = format!("/subscriptions/{}", uid(&created));
    says(project.get(&path), 200, "Subscription fetched successfully");
    let page = says(project.get("/subscriptions"), 200, "Subscriptions fetched successfully");
    assert_eq!(page["content"].as_array().map(Vec::len), Some(1));
    let list = project.list(&format!("/subscriptions?endpointId={}", uid(&endpoint)));
    assert_eq!(list.len(), 1);
    assert!(project.list("/subscriptions?endpointId=none").is_empty());
    says(project.delete(&path), 200, "Subscription deleted successfully");
    let reply = project.get(&path).expect(404);
    assert_eq!(reply.message(), "failed to find subscription");
}

#[test]
fn a_subscription_that_cannot_be_is_refused() {
    let project = gateway().project();
    let source = project.open_source();
    let endpoint = project.endpoint(json!({"name": "a", "url": "https://example.com/"}));
    let check = |body: Value, message: &str| {
        let got = project.post("/subscriptions", &body).expect(400).message();
        assert_eq!(got, message, "{body}");
    };
    check(
        json!({}),
        "endpoint_id:please provide a valid endpoint id, name:please provide a valid subscription name",
    );
    let (source, endpoint) = (uid(&source), uid(&endpoint));
    check(
        json!({"name": "a", "endpoint_id": endpoint}),
        "source_id is required for incoming projects",
    );
    check(
        json!({"name": "a", "endpoint_id": "none", "source_id": source}),
        "failed to find endpoint by id",
    );
    check(
        json!({"name": "a", "endpoint_id": endpoint, "source_id": "none"}),
        "failed to find source by id",
    );
    check(
        json!({"name": "a", "endpoint_id": endpoint, "source_id": source, "delivery_mode": "twice"}),
        "invalid delivery mode value, must be either 'at_least_once' or 'at_most_once'",
    );
    check(
        json!({"name": "a", "endpoint_id": 5, "source_id": source}),
        "body contains incorrect JSON type for field \"endpoint_id\"",
    );
}

#[test]
fn only_the_event_types_of_a_subscription_are_delivered() {
    let (pushes, all) = (Endpoint::ok(), Endpoint::ok());
    let project = gateway().project();
    let source = project.open_source_with(json!({"event_type_location": "request.body.type"}));
    let endpoint = project.endpoint(json!({"name": "pushes", "url": pushes.url("/")}));
    project.subscription(
        json!({"name": "s", "source_id": source["uid"], "endpoint_id": endpoint["uid"],
        "filter_config": {"event_types": ["push"]}}),
    );
    project.route(&source, &all);
    for event_type in ["push", "pull", "pushed"] {
        project.ingest(&source, json!({"type": event_type}).to_string().as_bytes()).expect(200);
    }
    all.wait_for(3);
    let received = pushes.wait_for(1);
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].text(), r#"{"type":"push"}"#);
}

#[test]
fn an_event_goes_to_every_endpoint_that_subscribed() {
    let endpoints: Vec<Endpoint> = (0..3).map(|_| Endpoint::ok()).collect();
    let project = gateway().project();
    let source = project.open_source();
    for endpoint in &endpoints {
        project.route(&source, endpoint);
    }
    let answer = project.ingest(&source, b"{}").expect(200).json();
    for endpoint in &endpoints {
        endpoint.wait_for_one();
    }
    let event_id = answer["event_id"].as_str().expect("an id");
    assert_eq!(project.deliveries(event_id).len(), 3);
}

#[test]
fn an_event_is_shown_with_what_was_received() {
    let endpoint = Endpoint::ok();
    let project = gateway().project();
    let source = project.open_source();
    project.route(&source, &endpoint);
    let call = project.ingest_call(&source).header("Content-Type", "application/json");
    let reply =
        call.header("X-Event", "push").body(r#"{"level":"test","n":[1,2]}"#).send().expect(200);
    let event_id = reply.json()["event_id"].as_str().expect("an id").to_owned();
    project.wait_for_delivery(&event_id, "Success");

    let path = format!("/events/{event_id}");
    let event = says(project.get(&path), 200, "Endpoint event fetched successfully");
    assert_eq!(event["uid"], event_id);
    assert_eq!(event["source_id"], source["uid"]);
    assert_eq!(event["project_id"], project.uid);
    assert_eq!(event["data"], json!({"level": "test", "n": [1, 2]}));
    assert_eq!(event["is_duplicate_event"], false);
    assert_eq!(
        event["headers"]["x-event"].as_array().or(event["headers"]["X-Event"].as_array()),
        Some(&vec![json!("push")]),
        "{event}"
    );

    let list = format!("/eventdeliveries?eventId={event_id}");
    let page = says(project.get(&list), 200, "Event deliveries fetched successfully");
    let delivery = &page["content"][0];
    assert_eq!(delivery["event_id"], event_id);
    assert_eq!(delivery["status"], "Success");
    let path = format!("/eventdeliveries/{}", uid(delivery));
    let read = says(project.get(&path), 200, "Event Delivery fetched successfully");
    assert_eq!(read["metadata"]["num_trials"], 1);
    let path = format!("{path}/deliveryattempts");
    let attempts = says(project.get(&path), 200, "Event delivery attempts fetched successfully");
    let attempt = &attempts[0];
    assert_eq!(attempt["http_status"].as_str().map(|text| text.starts_with("200")), Some(true));
    assert_eq!(attempt["response_data"], "ok");
    assert_eq!(attempt["status"], true);
    assert_eq!(attempt["method"], "POST");
}

#[test]
fn events_and_deliveries_that_are_not_there_are_not_found() {
    let project = gateway().project();
    let message = |path: &str| project.get(path).expect(404).message();
    assert_eq!(message("/events/none"), "event not found");
    assert_eq!(message("/eventdeliveries/none"), "event delivery not found");
    let other = gateway().project();
    let source = other.open_source();
    let answer = other.ingest(&source, b"{}").expect(200).json();
    let event_id = answer["event_id"].as_str().expect("an id");
    other.wait_for_event(event_id);
    assert_eq!(message(&format!("/events/{event_id}")), "event not found");
    assert!(project.deliveries(event_id).is_empty());
}

#[test]
fn a_project_without_events_has_empty_lists() {
    let project = gateway().project();
    assert!(project.list("/events").is_empty());
    assert!(project.list("/eventdeliveries").is_empty());
    assert!(project.list("/eventdeliveries?eventId=none").is_empty());
}

#[test]
fn an_event_that_nobody_subscribed_to_says_so() {
    let project = gateway().project();
    let source = project.open_source();
    let answer = project.ingest(&source, b"{}").expect(200).json();
    let event = project.wait_for_event(answer["event_id"].as_str().expect("an id"));
    assert_eq!(event["status"], "Failure");
    assert_eq!(event["failure_reason"], "no subscription matched this event");
}
