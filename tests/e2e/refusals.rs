//! What becomes of a refused request: its source's owner can read why.

use inlet_tests::{Call, Project, poll_until, source_path, uid};
use serde_json::{Value, json};

use crate::gateway;

fn kept(project: &Project<'_>, source: &Value) -> Vec<Value> {
    let path = format!("/sources/{}/rejections", uid(source));
    project.get(&path).expect(200).data().as_array().expect("a list").clone()
}

#[track_caller]
fn wait_for_one(project: &Project<'_>, source: &Value) -> Value {
    poll_until("the refused request", || kept(project, source).into_iter().next())
}

#[test]
fn every_status_that_a_sender_gets_is_explained() {
    let project = gateway().project_with(json!({"max_payload_read_size": 1000}));
    let small = |call: Call| call.body("{}");
    let away = |call: Call| call.header("CF-Connecting-IP", "198.51.100.1").body("{}");
    let large = |call: Call| call.body(vec![b'x'; 2000]);
    let chunked = |call: Call| call.body(vec![b'x'; 2000]).chunked(500);
    let too_large = "request body too large: the limit is 1000 bytes";
    let no_put = "method not allowed: this ingest URL takes POST";
    let not_from_here = "this address may not send to this source: 198.51.100.1";
    let over = json!({"expires_at": "2020-01-01T00:00:00Z"});
    let typed = json!({"event_type_location": "request.body.type"});
    type Case<'a> = (Value, &'a str, fn(Call) -> Call, (u16, &'a str, &'a str), Value);
    let cases: [Case<'_>; 8] = [
        (
            json!({"is_disabled": true}),
            "POST",
            small,
            (403, "disabled", "source is disabled"),
            json!(2),
        ),
        (
            json!({"ip_allowlist": ["192.0.2.0/24"]}),
            "POST",
            away,
            (403, "address", not_from_here),
            json!(2),
        ),
        (json!({}), "PUT", small, (405, "method", no_put), json!(2)),
        (over, "POST", small, (410, "expired", "the source has expired"), json!(2)),
        (json!({}), "POST", large, (413, "too_large", too_large), json!(2000)),
        (json!({}), "POST", chunked, (413, "too_large", too_large), Value::Null),
        (typed, "POST", small, (400, "event_type", ""), json!(2)),
        (json!({"type": "rest_api"}), "POST", small, (400, "not_http", "Source type"), json!(2)),
    ];
    for (fields, method, with, (status, label, reason), bytes) in cases {
        let source = project.open_source_with(fields);
        let call = gateway().call(method, &source_path(&source)).header("X-Own", "1");
        with(call).send().expect(status);
        let record = wait_for_one(&project, &source);
        assert_eq!((&record["status"], &record["label"]), (&json!(status), &json!(label)));
        assert!(record["reason"].as_str().expect("a text").starts_with(reason), "{record}");
        assert_eq!(record["body_bytes"], bytes, "{record}");
        assert_eq!(record["findings"], json!([]), "{record}");
        let names = record["header_names"].as_array().expect("a list");
        assert!(names.contains(&json!("x-own")), "{record}");
    }
}

#[test]
fn a_request_with_too_many_headers_leaves_its_trace() {
    let project = gateway().project();
    let source = project.open_source();
    let value = "a".repeat(1000);
    let names: Vec<String> = (0..80).map(|n| format!("X-{n}")).collect();
    let headers: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &*value)).collect();
    project.ingest_call(&source).headers(&headers).body("{}").send().expect(431);
    assert_eq!(wait_for_one(&project, &source)["label"], "headers_too_large");
}

#[test]
fn of_a_flood_one_is_kept_and_the_others_are_counted() {
    let project = gateway().project();
    let limit = json!({"rate_limit": {"count": 1, "duration": 3600}});
    let source = project.open_source_with(limit);
    project.ingest(&source, b"{}").expect(200);
    for _ in 0..30 {
        project.ingest(&source, b"{}").expect(429);
    }
    wait_for_one(&project, &source);
    let records = kept(&project, &source);
    // One in five seconds, however long thirty calls take.
    assert!(records.len() < 6, "{records:?}");
    assert_eq!(records[0]["label"], "limited");
    let next = poll_until("the next one that is kept", || {
        project.ingest(&source, b"{}").expect(429);
        kept(&project, &source).into_iter().find(|record| record["refused_since_the_last"] != 0)
    });
    assert!(20 <= next["refused_since_the_last"].as_u64().expect("a number") * 6, "{next}");
}

#[test]
fn the_last_request_of_a_source_is_followed_by_a_reason() {
    let project = gateway().project();
    let source = project.open_source_with(json!({"max_requests": 1}));
    project.ingest(&source, b"{}").expect(200);
    project.ingest(&source, b"{}").expect(410);
    assert_eq!(wait_for_one(&project, &source)["label"], "used_up");
}
