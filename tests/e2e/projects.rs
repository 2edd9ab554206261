//! Projects: what each decides, its keys, and its end.

use inlet_tests::{Endpoint, Gateway, Project, ROOT_KEY, poll_until};
use serde_json::{Value, json};

use crate::gateway;

fn uid(value: &Value) -> &str {
    value["uid"].as_str().expect("a uid")
}

fn outgoing(config: Value) -> Project<'static> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time");
    let name = format!("outgoing-{}", now.as_nanos());
    gateway().create_project(json!({"name": name, "type": "outgoing", "config": config}))
}

/// A call of a project with another key than its own.
fn with_key(project: &Project, key: &str, method: &str, path: &str) -> inlet_tests::Call {
    let path = format!("/api/v1/projects/{}{path}", project.uid);
    project.gateway.call(method, &path).bearer(key)
}

#[test]
fn the_whole_configuration_is_shown_and_survives_being_sent_back() {
    let config = json!({
        "max_payload_read_size": 1000, "multiple_endpoint_subscriptions": true, "add_event_id_trace_headers": true,
        "request_id_header": "X-Request-Id", "unique_source_names": true, "ssl": {"enforce_secure_endpoints": true},
        "ratelimit": {"count": 1000, "duration": 60}, "retention_policy": {"policy": "720h"},
        "strategy": {"type": "linear", "duration": 5, "retry_count": 3},
        "signature": {"header": "X-Acme", "versions": [{"hash": "SHA512", "encoding": "base64"}]},
    });
    let project = outgoing(config.clone());
    let shown = project.get("").expect(200).data()["config"].clone();
    for (field, value) in config.as_object().expect("an object") {
        match field.as_str() {
            "retention_policy" => assert_eq!(shown[field]["days"], 30),
            "signature" => assert_eq!(shown[field]["header"], "X-Acme"),
            _ => assert_eq!(&shown[field], value, "{field}"),
        }
    }
    project.put("", &json!({"config": shown})).expect(202);
    assert_eq!(project.get("").data()["config"]["ratelimit"], config["ratelimit"]);
    for (config, expect) in [
        (
            json!({"replay_attacks_prevention_enabled": true}),
            "config.replay_attacks_prevention_enabled is not supported yet",
        ),
        (json!({"ratelimit": {"count": 5, "duration": 0}}), "config.ratelimit.duration:"),
        (json!({"request_id_header": "a b"}), "config.request_id_header:not a valid header name"),
        (
            json!({"request_id_header": "webhook-id"}),
            "config.request_id_header:this name has another meaning",
        ),
        (
            json!({"request_id_header": "X-Acme"}),
            "config.request_id_header:this name has another meaning",
        ),
        (
            json!({"ssl": {"enforce_secure_endpoints": "yes"}}),
            "body contains incorrect JSON type for field \"config.ssl.enforce_secure_endpoints\"",
        ),
    ] {
        let refused = project.put("", &json!({"config": config})).expect(400).message();
        assert!(refused.starts_with(expect), "{refused}");
    }
}

#[test]
fn only_secure_endpoints_are_taken_where_the_project_says_so() {
    let project = outgoing(json!({"ssl": {"enforce_secure_endpoints": true}}));
    let body = |url: &str| json!({"name": "e", "url": url});
    let refused = project.post("/endpoints", &body("http://127.0.0.1:1/")).expect(400);
    assert_eq!(refused.message(), "only https endpoints allowed");
    let made = project.endpoint(body("https://127.0.0.1:1/"));
    let path = format!("/endpoints/{}", uid(&made));
    project.put(&path, &body("http://127.0.0.1:1/")).expect(400);
    let event = json!({"url": "http://127.0.0.1:1/", "event_type": "a", "data": {}});
    project.post("/events/dynamic", &event).expect(400);
    project.put("", &json!({"config": {"ssl": {"enforce_secure_endpoints": false}}})).expect(202);
    project.put(&path, &body("http://127.0.0.1:1/")).expect(202);
}

#[test]
fn an_endpoint_has_one_subscription_unless_the_project_allows_more() {
    let project = outgoing(json!({}));
    let endpoint = project.endpoint(json!({"name": "e", "url": "http://127.0.0.1:1/"}));
    let body = json!({"name": "s", "endpoint_id": uid(&endpoint)});
    project.post("/subscriptions", &body).expect(201);
    let refused = project.post("/subscriptions", &body).expect(400);
    assert_eq!(refused.message(), "a subscription for this endpoint already exists");
    // Nor does one get a second by a change.
    let other = project.endpoint(json!({"name": "f", "url": "http://127.0.0.1:1/"}));
    let moved = json!({"name": "t", "endpoint_id": uid(&other)});
    let path = format!(
        "/subscriptions/{}",
        uid(&project.post("/subscriptions", &moved).expect(201).data())
    );
    let refused = project.put(&path, &body).expect(400);
    assert_eq!(refused.message(), "a subscription for this endpoint already exists");
    project.put(&path, &moved).expect(202);
    project.put("", &json!({"config": {"multiple_endpoint_subscriptions": true}})).expect(202);
    project.post("/subscriptions", &body).expect(201);
}

#[test]
fn deliveries_carry_the_headers_that_the_project_chose() {
    let project =
        outgoing(json!({"add_event_id_trace_headers": true, "request_id_header": "X-Request-Id"}));
    let endpoint = Endpoint::ok();
    let made = project.endpoint(json!({"name": "e", "url": endpoint.url("/")}));
    let mut event = json!({"endpoint_id": uid(&made), "event_type": "a", "data": {}});
    let refused = project.post("/events", &event).expect(400).message();
    assert_eq!(
        refused,
        "idempotency_key is required when a custom request_id_header is configured"
    );
    event["idempotency_key"] = json!("key-1");
    let id = project.post("/events", &event).expect(201).data();
    let received = endpoint.wait_for_one();
    assert_eq!(received.header("x-request-id"), Some("key-1"));
    assert_eq!(received.header("x-convoy-idempotency-key"), None);
    assert_eq!(received.header("x-convoy-event-id"), Some(uid(&id)));
    let delivery = project.wait_for_delivery(uid(&id), "Success");
    assert_eq!(received.header("x-convoy-eventdelivery-id"), Some(uid(&delivery)));
}

#[test]
fn a_project_takes_in_so_many_events_in_a_time() {
    let project = gateway().project_with(json!({"ratelimit": {"count": 3, "duration": 3600}}));
    let source = project.open_source();
    let endpoint = project.endpoint(json!({"name": "e", "url": "http://127.0.0.1:1/"}));
    let event = json!({"endpoint_id": uid(&endpoint), "event_type": "a", "data": {}});
    project.ingest(&source, b"{}").expect(200);
    let batch = json!([event, event, event, event]);
    let partly = project.post("/events/batch", &batch).expect(207).data();
    let codes: Vec<&Value> = partly.as_array().unwrap().iter().map(|one| &one["code"]).collect();
    assert_eq!(codes, [&Value::Null, &Value::Null, &json!(429), &json!(429)], "{partly}");
    project.post("/events/batch", &batch).expect(429);
    let refused = project.ingest(&source, b"{}").expect(429);
    assert_eq!(refused.message(), "exceeded rate limit");
    let seconds: u64 = refused.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((1..=1200).contains(&seconds), "{seconds}");
    let refused = project.post("/events", &event).expect(429);
    assert_eq!(refused.message(), "exceeded rate limit");
    assert!(refused.header("retry-after").is_some());
    project.get("/events").expect(200);
    project.put("", &json!({"config": {"ratelimit": {"count": 0}}})).expect(202);
    project.ingest(&source, b"{}").expect(200);
}

#[test]
fn a_key_is_regenerated_with_an_overlap_or_at_once() {
    let project = gateway().project();
    let regenerate = |key: &str, body: Option<Value>| {
        let call = with_key(&project, key, "PUT", "/security/keys/regenerate");
        let reply = body.map_or(call.clone(), |body| call.json(&body)).send().expect(200);
        assert_eq!(reply.message(), "api key regenerated successfully");
        reply.data()["key"].as_str().expect("a key").to_owned()
    };
    let opens = |key: &str| with_key(&project, key, "GET", "").send().status == 200;
    let second = regenerate(&project.key, Some(json!({"expiration": 2})));
    assert!(opens(&project.key) && opens(&second));
    let third = regenerate(&second, None);
    assert!(!opens(&project.key) && !opens(&second) && opens(&third));
    let too_long = json!({"expiration": 99_999_999});
    let call = with_key(&project, &third, "PUT", "/security/keys/regenerate").json(&too_long);
    assert_eq!(call.send().expect(400).message(), "expiration:at most 8760 hours");
}

#[test]
fn further_keys_are_made_listed_masked_and_revoked() {
    let project = gateway().project();
    let made =
        project.post("/api-keys", &json!({"name": "ci", "expires_at": "2099-01-01T00:00:00Z"}));
    let made = made.expect(201).data();
    let key = made["key"].as_str().expect("a key");
    let listed = project.get("/api-keys").expect(200);
    assert!(!listed.text().contains(key), "a key is shown once");
    let listed = listed.data();
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
    assert_eq!(listed[1]["name"], "ci");
    let shown = listed[1]["key"].as_str().expect("a mask");
    assert!(shown.starts_with("CO.") && shown.ends_with(".********"), "{shown}");
    with_key(&project, key, "GET", "").send().expect(200);
    let path = format!("/api-keys/{}", uid(&made));
    gateway().project().delete(&path).expect(404);
    project.delete(&path).expect(200);
    with_key(&project, key, "GET", "").send().expect(401);
    project.delete(&path).expect(404);
    for (body, expect) in [
        (json!({}), "name:please provide a name for this key"),
        (
            json!({"name": "a", "expires_at": "2001-01-01T00:00:00Z"}),
            "expires_at:a time to come like 2030-01-31T00:00:00Z",
        ),
    ] {
        assert_eq!(project.post("/api-keys", &body).expect(400).message(), expect);
    }
}

#[test]
fn what_was_known_of_a_key_or_an_endpoint_ends_with_it() {
    let project = gateway().project();
    let key = project.post("/api-keys", &json!({"name": "ci"})).expect(201).data();
    let endpoint = project.endpoint(json!({"name": "e", "url": "http://127.0.0.1:9/"}));
    let event = json!({"endpoint_id": uid(&endpoint), "event_type": "order.paid", "data": {}});
    let text = key["key"].as_str().expect("a key");
    let push = || with_key(&project, text, "POST", "/events").json(&event).send();
    push().expect(201);
    push().expect(201);
    project.delete(&format!("/endpoints/{}", uid(&endpoint))).expect(200);
    assert_eq!(push().expect(400).message(), "endpoint not found");
    project.delete(&format!("/api-keys/{}", uid(&key))).expect(200);
    push().expect(401);
}

#[test]
fn a_deleted_project_is_gone_from_the_edge_and_from_every_store() {
    let gateway = Gateway::builder().start();
    let (project, other) = (gateway.project(), gateway.project());
    let endpoint = Endpoint::ok();
    let keyed = json!({"idempotency_keys": ["request.header.X-Id"]});
    let sources = [project.open_source_with(keyed), project.open_source()];
    let kept = other.open_source();
    for source in &sources {
        project.route(source, &endpoint);
        project.ingest_call(source).body("{}").send().expect(200);
    }
    for _ in 0..2 {
        let large = project.ingest_call(&sources[0]).header("X-Id", "1").body(vec![b'x'; 200_000]);
        large.send().expect(200);
    }
    let copies = "SELECT 1 FROM duplicates";
    poll_until("the copy", || (gateway.sql("EVENTS_0", copies, &[]).len() == 1).then_some(()));
    other.ingest(&kept, b"{}").expect(200);
    endpoint.wait_for(3);
    poll_until("all events", || (project.stored_events().len() == 3).then_some(()));
    assert_eq!(gateway.stored_bodies().len(), 2, "that of the copy is there, too");
    let path = format!("/api/v1/projects/{}", project.uid);
    let refused = project.delete("").expect(403);
    assert_eq!(refused.message(), "deleting a project needs the ROOT_KEY");
    let deleted = gateway.call("DELETE", &path).bearer(ROOT_KEY).send().expect(200);
    assert_eq!(deleted.message(), "Project deleted successfully");
    gateway.call("GET", &path).bearer(ROOT_KEY).send().expect(404);
    project.get("").expect(401);
    for source in &sources {
        project.ingest(source, b"{}").expect(404);
        let key = format!("source:{}", source["mask_id"].as_str().expect("a mask"));
        assert_eq!(gateway.kv(&key), None);
    }
    poll_until("an empty store", || {
        gateway.cron();
        let is_empty = gateway.stored_bodies().is_empty()
            && project.stored_events().is_empty()
            && project.stored_deliveries().is_empty();
        is_empty.then_some(())
    });
    for table in ["claims", "claims_left", "duplicates"] {
        let left = gateway.sql("EVENTS_0", &format!("SELECT 1 FROM {table}"), &[]);
        assert!(left.is_empty(), "{table}");
    }
    let mine = "SELECT 1 FROM source_counts WHERE project_id = ?1";
    assert!(gateway.sql("EVENTS_0", mine, &[json!(project.uid)]).is_empty());
    other.ingest(&kept, b"{}").expect(200);
    other.get("").expect(200);
    let tombstone = gateway.sql("DB", "SELECT * FROM deleted_projects", &[]);
    assert_eq!(tombstone.len(), 1, "it is looked after until nothing can come any more");
    gateway.sql("DB", "UPDATE deleted_projects SET deleted_at = 0", &[]);
    poll_until("the tombstone to go", || {
        gateway.cron();
        gateway.sql("DB", "SELECT * FROM deleted_projects", &[]).is_empty().then_some(())
    });
}

#[test]
fn convoys_parameter_of_organisations_is_tolerated() {
    let project = gateway().project();
    let call = gateway().call("GET", "/api/v1/projects?orgID=any").bearer(&project.key);
    assert_eq!(call.send().expect(200).data()[0]["uid"], project.uid);
}
