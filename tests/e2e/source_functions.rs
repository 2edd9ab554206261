//! Functions of sources that take requests: what they make of an event, and what becomes of one that they fail on.

use inlet_tests::{Endpoint, Gateway, uid};
use serde_json::{Value, json};

use crate::gateway;

fn functions(body: &str, header: &str) -> Value {
    json!({"body_function": body, "header_function": header})
}

#[test]
fn functions_of_an_http_source_make_what_is_filtered_delivered_and_shown() {
    let project = gateway().project();
    let body = "function transform(x) { return {total: x.order.total * 2, kind: 'paid'} }";
    let header = "function transform(h) { return {'x-tenant': h['x-tenant'] + '!', 'x-seen': Object.keys(h).sort().join()} }";
    let source = project.open_source_with(functions(body, header));
    assert_eq!(
        (&source["body_function"], &source["header_function"]),
        (&json!(body), &json!(header))
    );
    let (wanted, unwanted) = (Endpoint::ok(), Endpoint::ok());
    for (receiver, kind) in [(&wanted, "paid"), (&unwanted, "open")] {
        let endpoint = project.endpoint(json!({"name": kind, "url": receiver.url("/")}));
        project.subscription(json!({"name": kind, "source_id": source["uid"], "endpoint_id": endpoint["uid"],
            "filter_config": {"event_types": ["*"], "filter": {"body": {"kind": kind}, "headers": {"x-tenant": "acme!"}}}}));
    }
    let arrived = br#"{"order": {"total": 21}}"#;
    let call = project.ingest_call(&source).header("X-Tenant", "acme").body(arrived.to_vec());
    let reply = call.header("Content-Type", "application/json").send().expect(200);
    let id = reply.header("inlet-event-id").unwrap();
    project.wait_for_delivery(id, "Success");
    let got = wanted.wait_for_one();
    assert_eq!(got.body, br#"{"total":42,"kind":"paid"}"#);
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert_eq!(got.header("x-tenant"), Some("acme!"));
    assert!(got.header("x-seen").unwrap().contains("x-tenant"), "{got:?}");
    let event = project.event(id);
    assert_eq!(event["data"], json!({"total": 42, "kind": "paid"}));
    assert_eq!(event["raw"], json!(String::from_utf8_lossy(arrived)), "raw is as it arrived");
    assert_eq!(
        (&event["is_transformed"], &event["event_type"]),
        (&json!(true), &source["mask_id"])
    );
    assert_eq!(event["headers"]["X-Tenant"], json!(["acme!"]));
    assert_eq!(project.list("/events?query=total%22%3A42").len(), 1, "data is what is searched");
    assert_eq!(unwanted.count(), 0);

    // A form is an object; a body in the object store is read like any other.
    let form = project.ingest_call(&source).header("X-Tenant", "acme");
    let form = form.header("Content-Type", "multipart/form-data; boundary=b");
    let part = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let id = form.body(format!("{}--b--\r\n", part("order", "1")).into_bytes()).send().expect(200);
    let event = project.wait_for_event(id.header("inlet-event-id").unwrap());
    assert_eq!(event["data"], json!({"total": null, "kind": "paid"}));
    let with = |pad: &str| format!(r#"{{"order": {{"total": 4}}, "pad": "{pad}"}}"#);
    let large = with(&"x".repeat(1_048_576 - with("").len()));
    let reply =
        project.ingest_call(&source).header("X-Tenant", "acme").body(large.clone().into_bytes());
    let reply = reply.header("Content-Type", "application/json").send().expect(200);
    wanted.wait_for(3);
    let event = project.event(reply.header("inlet-event-id").unwrap());
    assert_eq!((&event["data"]["total"], &event["raw"]), (&json!(8), &json!(large)));
}

#[test]
fn an_event_that_a_function_fails_on_is_kept_with_the_reason_and_a_replay_runs_it_again() {
    let project = gateway().project();
    let source =
        project.open_source_with(functions("function transform(x) {\n  return x.a.b\n}", ""));
    let receiver = Endpoint::ok();
    project.route(&source, &receiver);
    let reply = project.ingest(&source, br#"{"n": 1}"#).expect(200);
    let id = reply.header("inlet-event-id").unwrap();
    let event = project.wait_for_event(id);
    assert_eq!((&event["status"], &event["data"]), (&json!("Failure"), &json!({"n": 1})));
    let reason = event["failure_reason"].as_str().unwrap();
    assert!(reason.starts_with("the source's body function failed: TypeError"), "{reason}");
    assert!(reason.contains("at line 2"), "{reason}");
    let refused = project.put(&format!("/events/{id}/replay"), &json!({})).expect(400);
    assert_eq!(refused.json()["message"], json!(reason));

    let save = |body: &str, header: &str| {
        let mut source_now = json!({"name": "open", "type": "http"});
        let fields = source_now.as_object_mut().unwrap();
        fields.extend(functions(body, header).as_object().unwrap().clone());
        project.put(&format!("/sources/{}", uid(&source)), &source_now)
    };
    save("function transform(x) { return {mended: x.n} }", "").expect(202);
    let shown = project.put(&format!("/events/{id}/replay"), &json!({})).expect(200).data();
    assert_eq!((&shown["status"], &shown["data"]), (&json!("Success"), &json!({"mended": 1})));
    assert_eq!(receiver.wait_for_one().body, br#"{"mended":1}"#);

    // Each replay begins with what arrived.
    save("", "function transform(h) { return {'x-a': '1', 'content-length': '5'} }").expect(202);
    let refused = project.put(&format!("/events/{id}/replay"), &json!({})).expect(400);
    assert!(
        refused.text().contains("header function failed: content-length"),
        "{}",
        refused.text()
    );
    save("", "").expect(202);
    let counted = project.post("/events/batchreplay", &json!({})).expect(200);
    assert!(counted.text().contains("1 successful, 0 failed"), "{}", counted.text());
    assert_eq!(receiver.wait_for(2)[1].body, br#"{"n": 1}"#);
    assert_eq!(project.event(id)["is_transformed"], false);
}

#[test]
fn a_function_that_cannot_work_on_a_source_is_refused_when_it_is_saved() {
    let project = gateway().project();
    for (kind, field, code, expect) in [
        (
            "http",
            "body_function",
            "function transform(x) {\n return }}",
            "body_function:SyntaxError",
        ),
        ("http", "body_function", "function transform(x) {\n return x +;\n}", "at line 2, column"),
        (
            "http",
            "header_function",
            "const other = 1",
            "header_function:the transform function is not found",
        ),
        (
            "rest_api",
            "body_function",
            "function transform(x) { return x }",
            "body_function:has no effect on a source of",
        ),
    ] {
        let reply =
            project.post("/sources", &json!({"name": "a", "type": kind, field: code})).expect(400);
        let message = reply.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(expect), "{message}");
    }
    let trial = |function: &str, kind: &str| {
        let body =
            json!({"function": function, "payload": {"a": 1}, "type": kind, "source_type": "http"});
        project.post("/sources/test_function", &body)
    };
    let reply = trial("function transform(x) { return [x.a] }", "body").expect(200);
    assert_eq!(reply.data()["payload"], json!([1]));
    trial("function transform(x) { return [x.a] }", "header").expect(400);
}

#[test]
fn who_makes_a_function_fail_does_not_stand_in_the_way_of_others() {
    let project = gateway().project();
    let function = "function transform(x) { while (x.endless) x.n++; return x }";
    let source = project.open_source_with(functions(function, ""));
    let receiver = Endpoint::ok();
    project.route(&source, &receiver);
    let post = |body: &[u8]| {
        let reply = project.ingest(&source, body).expect(200);
        reply.header("inlet-event-id").unwrap().to_owned()
    };
    for _ in 0..3 {
        let event = project.wait_for_event(&post(br#"{"endless":true,"n":0}"#));
        let reason = event["failure_reason"].as_str().unwrap();
        assert!(reason.contains("the function was stopped"), "{reason}");
    }
    // It rests now. What needs as much again waits, and what does not need it goes on at once.
    let waits = post(br#"{"endless":true,"n":1}"#);
    let good: Vec<String> = (0..5).map(|n| post(format!(r#"{{"n":{n}}}"#).as_bytes())).collect();
    for id in &good {
        project.wait_for_delivery(id, "Success");
    }
    // It came before them.
    assert_eq!(project.get(&format!("/events/{waits}")).expect(200).data()["status"], "Pending");
}

/// Takes nearly all that one run may take for `95`, so that it is not stopped.
const HEAVY: &str = "function transform(x) { const text = 'a'.repeat(1000000); for (let i = 0; i < x; i++) text.indexOf('b'); return x }";

#[test]
fn what_functions_have_made_is_stored_before_they_take_all_the_time_of_a_router() {
    let gateway = Gateway::builder().durability("journal").tapped().start();
    let (heavy, other) = (gateway.project(), gateway.project());
    let (receiver, others) = (Endpoint::ok(), Endpoint::ok());
    let source = heavy.open_source_with(functions(HEAVY, ""));
    heavy.route(&source, &receiver);
    let plain = other.open_source();
    let light = other.open_source_with(functions("function transform(x) { return x }", ""));
    for source in [&plain, &light] {
        other.route(source, &others);
    }
    // No bell rings: the sweep drains. What comes at the same time shares rows of the journal.
    gateway.refuse("INGEST_0", None);
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| heavy.ingest(&source, b"95").expect(200));
        }
    });
    other.ingest(&plain, b"1").expect(200);
    other.ingest(&light, b"2").expect(200);
    let count = |whose: &str| {
        let sql = "SELECT count(*) AS n, count(DISTINCT created_at) AS transactions FROM deliveries WHERE project_id = ?1";
        let row = gateway.sql("EVENTS_0", sql, &[json!(whose)]).remove(0);
        (row["n"].as_u64().unwrap(), row["transactions"].as_u64().unwrap())
    };
    gateway.cron();
    let (stored, transactions) = count(&heavy.uid);
    assert!((15..24).contains(&stored), "what is new, and then of what is parked: {stored}");
    assert!(8 <= transactions, "{transactions} for {stored}");
    assert_eq!(count(&other.uid).0, 2, "nobody waits for the functions of others");
    gateway.cron();
    assert_eq!(count(&heavy.uid).0, 24);
}
