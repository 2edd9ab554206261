//! What answers say of themselves, of endpoints in each version, and of names and headers that are refused.

use inlet_tests::{Endpoint, poll_until, uid};
use serde_json::{Value, json};

use crate::gateway;

#[test]
fn every_answer_names_its_call_and_its_version() {
    let project = gateway().outgoing(json!({}));
    let call = project.call("GET", "/endpoints").header("X-Request-ID", "trace-7");
    let reply = call.header("X-Convoy-Version", "2024-04-01").send().expect(200);
    assert_eq!(reply.header("x-request-id"), Some("trace-7"));
    assert_eq!(reply.header("x-convoy-version"), Some("2024-04-01"));
    let [first, second] = [(); 2].map(|()| {
        let reply = project.get("/endpoints/none").expect(404);
        assert_eq!(reply.header("x-convoy-version"), Some("2025-11-24"));
        reply.header("x-request-id").expect("an id").to_owned()
    });
    assert_ne!(first, second);
    let refused = project.call("GET", "/events").header("X-Convoy-Version", "1999-01-01").send();
    assert_eq!(refused.expect(400).message(), "Invalid API version");
}

#[test]
fn an_endpoint_says_how_many_deliveries_it_had() {
    let project = gateway().outgoing(json!({}));
    let server = Endpoint::ok();
    let [busy, idle] = ["busy", "idle"].map(|name| {
        let created = project.endpoint(json!({"name": name, "url": server.url("/hook")}));
        assert_eq!(created["events"], 0);
        uid(&created)
    });
    for n in 0..3 {
        let body = json!({"endpoint_id": busy, "event_type": "t", "data": n});
        let event = uid(&project.post("/events", &body).expect(201).data());
        project.wait_for_delivery(&event, "Success");
    }
    let events =
        |id: &str| project.get(&format!("/endpoints/{id}")).expect(200).data()["events"].clone();
    assert_eq!((events(&busy), events(&idle)), (json!(3), json!(0)));
    let listed: Vec<(Value, Value)> = project
        .list("/endpoints")
        .into_iter()
        .map(|one| (one["name"].clone(), one["events"].clone()))
        .collect();
    assert_eq!(listed, [(json!("idle"), json!(0)), (json!("busy"), json!(3))]);
}

#[test]
fn a_user_agent_of_ones_own_is_sent_and_headers_of_the_gateway_are_refused() {
    let project = gateway().outgoing(json!({}));
    let server = Endpoint::ok();
    let id = uid(&project.endpoint(json!({"name": "e", "url": server.url("/hook")})));
    let push = |headers: Value| {
        project.post(
            "/events",
            &json!({"endpoint_id": id, "event_type": "t", "data": 1, "custom_headers": headers}),
        )
    };
    push(json!({"User-Agent": "Billing/7"})).expect(201);
    let received = poll_until("a delivery", || server.received().pop());
    assert_eq!(received.header("user-agent"), Some("Billing/7"));
    for name in ["Content-Type", "Host", "Webhook-Id", "Inlet-Attempt"] {
        let mut headers = json!({});
        headers[name] = json!("x");
        let refused = push(headers).expect(400).message();
        assert!(refused.starts_with(&format!("custom_headers.{name}:")), "{refused}");
    }
}

#[test]
fn names_that_are_no_line_of_text_are_refused_wherever_they_are_given() {
    let project = gateway().outgoing(json!({}));
    let endpoint = project.endpoint(json!({"name": "e", "url": "https://example.com/"}));
    let id = uid(&endpoint);
    for bad in ["a\0b", "a\nb", "a\r", "\u{202e}gpj.exe", "a\u{2066}b"] {
        for (path, body, field) in [
            ("/endpoints", json!({"name": bad, "url": "https://example.com/"}), "name"),
            (
                "/endpoints",
                json!({"name": "n", "owner_id": bad, "url": "https://example.com/"}),
                "owner_id",
            ),
            (
                "/sources",
                json!({"name": bad, "type": "http", "verifier": {"type": "noop"}}),
                "name",
            ),
            ("/subscriptions", json!({"name": bad, "endpoint_id": id}), "name"),
            (
                "/subscriptions",
                json!({"name": "s", "endpoint_id": id, "filter_config": {"event_types": [bad]}}),
                "filter_config.event_types",
            ),
            ("/event-types", json!({"name": bad}), "name"),
            ("/event-types", json!({"name": "n", "category": bad}), "category"),
            ("/events", json!({"endpoint_id": id, "event_type": bad, "data": 1}), "event_type"),
            ("/events/fanout", json!({"owner_id": bad, "event_type": "t", "data": 1}), "owner_id"),
            ("/portal-links", json!({"name": "n", "owner_id": bad}), "owner_id"),
            ("/portal-links", json!({"name": bad, "owner_id": "o"}), "name"),
            ("/api-keys", json!({"name": bad}), "name"),
        ] {
            let refused = project.post(path, &body).expect(400).message();
            assert!(
                refused.starts_with(&format!("{field}:one line of text")),
                "{path} {bad:?}: {refused}"
            );
        }
        let call = gateway().call("POST", "/v1/sources").bearer(&project.key);
        let refused = call.json(&json!({"name": bad})).send().expect(400).json();
        let said = refused["error"].as_str().expect("an error").to_owned();
        assert!(said.starts_with("name:one line of text"), "{said}");
    }
    let path = format!("/endpoints/{id}");
    project.put(&path, &json!({"name": "a\nb"})).expect(400);
    // What is stored from before is read as it is.
    let sql = "UPDATE endpoints SET doc = json_set(doc, '$.name', ?1) WHERE id = ?2";
    gateway().sql("DB", sql, &[json!("a\nb"), json!(id)]);
    assert_eq!(project.get(&path).expect(200).data()["name"], "a\nb");
    project.put(&path, &json!({"description": "d"})).expect(202);
}
