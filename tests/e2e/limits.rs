//! What a source takes in: from where, how much, until when, and what it has to look like.

use inlet_tests::{Project, poll_until};
use serde_json::{Value, json};

use crate::{gateway, in_both_modes};

fn path_of(source: &Value) -> String {
    format!("/sources/{}", source["uid"].as_str().expect("a uid"))
}

/// Sends from an address, as Cloudflare would say it.
fn from(project: &Project, source: &Value, address: &str) -> (u16, String) {
    let call = project.ingest_call(source).header("CF-Connecting-IP", address);
    let reply = call.body("{}").send();
    (reply.status, reply.message())
}

#[test]
fn only_addresses_of_the_list_are_let_in() {
    let project = gateway().project();
    let source =
        project.open_source_with(json!({"ip_allowlist": ["192.0.2.0/24", "2001:db8::/32"]}));
    assert_eq!(source["ip_allowlist"], json!(["192.0.2.0/24", "2001:db8::/32"]));
    assert_eq!(from(&project, &source, "192.0.2.9").0, 200);
    assert_eq!(from(&project, &source, "2001:db8::9").0, 200);
    let refused = (403, "this address may not send to this source".to_owned());
    for address in ["198.51.100.1", "2001:db9::1", "nowhere"] {
        assert_eq!(from(&project, &source, address), refused, "{address}");
    }
    project.ingest(&source, b"{}").expect(403);
    let body =
        json!({"name": "open", "type": "http", "ip_allowlist": [], "ip_denylist": ["192.0.2.9"]});
    project.put(&path_of(&source), &body).expect(202);
    assert_eq!(from(&project, &source, "192.0.2.9"), refused);
    assert_eq!(from(&project, &source, "::ffff:192.0.2.9"), refused);
    assert_eq!(from(&project, &source, "198.51.100.1").0, 200);
    for (list, expect) in [
        (json!(["192.0.2.1/24"]), "ip_allowlist:192.0.2.1/24 begins at 192.0.2.0/24"),
        (json!(["localhost"]), "ip_allowlist:localhost is neither an address nor a block of them"),
    ] {
        let body = json!({"name": "open", "type": "http", "ip_allowlist": list});
        assert_eq!(project.put(&path_of(&source), &body).expect(400).message(), expect);
    }
}

#[test]
fn a_source_takes_in_so_many_requests_in_a_time() {
    let project = gateway().project();
    let limit = json!({"rate_limit": {"count": 2, "duration": 3600}});
    let (source, other) = (project.open_source_with(limit), project.open_source());
    project.ingest(&source, b"{}").expect(200);
    project.ingest(&source, b"{}").expect(200);
    let refused = project.ingest(&source, b"{}").expect(429);
    assert_eq!(refused.message(), "exceeded rate limit");
    let seconds: u64 = refused.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((1..=1800).contains(&seconds), "{seconds}");
    project.ingest(&other, b"{}").expect(200);
    let body = json!({"name": "open", "type": "http", "rate_limit": {"count": 0}});
    project.put(&path_of(&source), &body).expect(202);
    project.ingest(&source, b"{}").expect(200);
}

#[test]
fn a_request_that_the_project_has_no_room_for_takes_none_of_its_source() {
    let project = gateway().project_with(json!({"ratelimit": {"count": 1, "duration": 3600}}));
    let limit = json!({"rate_limit": {"count": 1, "duration": 3600}});
    let (source, other) = (project.open_source_with(limit), project.open_source());
    project.ingest(&other, b"{}").expect(200);
    project.ingest(&source, b"{}").expect(429);
    project.put("", &json!({"config": {"ratelimit": {"count": 0}}})).expect(202);
    project.ingest(&source, b"{}").expect(200);
    project.ingest(&source, b"{}").expect(429);
}

#[test]
fn a_source_ends_at_its_time_and_with_its_last_request() {
    let project = gateway().project();
    let past = project.open_source_with(json!({"expires_at": "2020-01-01T00:00:00Z"}));
    assert_eq!(project.ingest(&past, b"{}").expect(410).message(), "the source has expired");
    let body = json!({"name": "open", "type": "http", "expires_at": "2099-01-01T00:00:00Z"});
    project.put(&path_of(&past), &body).expect(202);
    project.ingest(&past, b"{}").expect(200);

    let few = project.open_source_with(json!({"max_requests": 2}));
    project.ingest(&few, b"{}").expect(200);
    project.ingest(&few, b"{}").expect(200);
    let refused = project.ingest(&few, b"{}").expect(410);
    assert_eq!(refused.message(), "the source has had all of its requests");
    let body = json!({"name": "open", "type": "http", "max_requests": 3});
    project.put(&path_of(&few), &body).expect(202);
    project.ingest(&few, b"{}").expect(200);
    project.ingest(&few, b"{}").expect(410);
}

#[test]
fn a_copy_takes_no_request_from_the_events() {
    let fields = json!({"max_requests": 3, "idempotency_keys": ["request.body.id"]});
    in_both_modes(|gateway| {
        let project = gateway.project();
        let source = project.open_source_with(fields.clone());
        let post =
            |id: u32| project.ingest(&source, json!({"id": id}).to_string().as_bytes()).status;
        assert_eq!([post(1), post(1), post(1)], [200; 3]);
        poll_until("copies have given their requests back", || (post(2) == 200).then_some(()));
        poll_until("the third event", || (post(3) == 200).then_some(()));
        poll_until("all are routed", || (project.stored_events().len() == 3).then_some(()));
        assert_eq!(post(4), 410);
    });
}

#[test]
fn who_is_not_believed_uses_up_no_request() {
    let project = gateway().project();
    let source = project.source(
        json!({"name": "g", "type": "http", "max_requests": 1, "verifier": {"type": "api_key",
        "api_key": {"header_name": "X-Key", "header_value": "right"}}}),
    );
    let send =
        |key: &str| project.ingest_call(&source).header("X-Key", key).body("{}").send().status;
    assert_eq!([send("wrong"), send("wrong"), send("right"), send("right")], [401, 401, 200, 410]);
}

#[test]
fn who_is_not_believed_takes_none_of_the_events_of_the_project() {
    let project = gateway().project_with(json!({"ratelimit": {"count": 2, "duration": 3600}}));
    let keyed = |name: &str| {
        project.source(json!({"name": name, "type": "http", "verifier": {"type": "api_key",
            "api_key": {"header_name": "X-Key", "header_value": "right"}}}))
    };
    let (one, other) = (keyed("one"), keyed("other"));
    let send = |source: &Value, key: &str| {
        project.ingest_call(source).header("X-Key", key).body("{}").send().status
    };
    assert_eq!([(); 5].map(|()| send(&one, "wrong")), [401; 5]);
    assert_eq!([(); 3].map(|()| send(&other, "right")), [200, 200, 429]);
    assert_eq!(send(&one, "wrong"), 429);
}

#[test]
fn a_source_refuses_what_does_not_fit_its_schema_or_notes_it() {
    let project = gateway().project();
    let schema =
        json!({"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}});
    let source = project.open_source_with(json!({"json_schema": schema}));
    assert_eq!(
        (&source["json_schema"], &source["json_schema_action"]),
        (&schema, &json!("reject"))
    );
    project.ingest(&source, br#"{"id":1}"#).expect(200);
    let refused = project.ingest(&source, br#"{"id":"1"}"#).expect(422);
    assert_eq!(refused.json()["validation_errors"], json!(["at /id: must be integer"]));
    let refused = project.ingest(&source, b"<id/>").expect(422);
    assert_eq!(refused.json()["validation_errors"], json!(["the body is not JSON"]));
    poll_until("the refused request", || {
        let kept = project.get(&format!("{}/rejections", path_of(&source))).data();
        (kept[0]["label"] == "schema").then_some(())
    });

    let body = json!({"name": "open", "type": "http", "json_schema_action": "warn"});
    project.put(&path_of(&source), &body).expect(202);
    let reply = project.ingest(&source, br#"{"id":"1"}"#).expect(200);
    let event = project.wait_for_event(reply.header("inlet-event-id").expect("an id"));
    assert_eq!(event["verification"]["schema_faults"], json!(["at /id: must be integer"]));
    let reply = project.ingest(&source, br#"{"id":1}"#).expect(200);
    let event = project.wait_for_event(reply.header("inlet-event-id").expect("an id"));
    assert_eq!(event["verification"], Value::Null);

    let bad = json!({"name": "open", "type": "http", "json_schema": {"properties": {"id": {"type": "id"}}}});
    let refused = project.put(&path_of(&source), &bad).expect(400).message();
    assert!(refused.starts_with("invalid JSON schema: at /properties/id/type: "), "{refused}");
    let none =
        json!({"name": "open", "type": "http", "json_schema": {}, "json_schema_action": "reject"});
    project.put(&path_of(&source), &none).expect(202);
    project.ingest(&source, b"<id/>").expect(200);
}
