//! Users' functions: tried, and stopped where they go too far.

use inlet_tests::{BrokerMessage, Endpoint};
use serde_json::{Value, json};

use crate::gateway;

/// Runs a function by the API; `Err` is the message of its refusal.
#[track_caller]
fn trial(path: &str, function: &str, payload: Value, kind: &str) -> Result<Value, String> {
    let project = gateway().project();
    let body = json!({"function": function, "payload": payload, "type": kind});
    let reply = project.post(path, &body);
    match reply.status {
        200 => Ok(reply.data()),
        400 => Err(reply.json()["message"].as_str().unwrap().to_owned()),
        other => panic!("{other}: {}", reply.text()),
    }
}

#[track_caller]
fn of_subscription(function: &str, payload: Value) -> Result<Value, String> {
    trial("/subscriptions/test_function", function, payload, "")
}

#[test]
fn a_function_is_tried_on_a_payload_and_shows_its_result_and_its_log() {
    let function = "const transform = (x) => {\n  console.log('saw', x.n, {a: 1});\n  return {...x, n: x.n + 1, at: [x?.none?.deep]};\n}";
    let data = of_subscription(function, json!({"n": 1, "text": "ü"})).unwrap();
    assert_eq!(data["payload"], json!({"n": 2, "text": "ü", "at": [null]}));
    assert_eq!(data["log"], json!(["saw 1 {\"a\":1}"]));
    let names = "function transform(payload) { const [first_name, ...rest] = payload?.name?.trim().replace(/([ ,])+/g,' ').split(' '); return [first_name, rest.join('-')] }";
    let data = of_subscription(names, json!({"name": "A B C"})).unwrap();
    assert_eq!(data["payload"], json!(["A", "B-C"]));
}

#[test]
fn functions_of_a_source_have_to_return_events_or_headers() {
    let source = |function, kind| trial("/sources/test_function", function, json!({"a": 1}), kind);
    let event = "function transform(x) { return {event_type: 'a', data: x, endpoint_id: 'e'} }";
    assert_eq!(source(event, "body").unwrap()["payload"]["data"]["a"], 1);
    let headers = "function transform(x) { return {'x-convoy-message-type': 'fanout'} }";
    assert_eq!(source(headers, "header").unwrap()["payload"]["x-convoy-message-type"], "fanout");
    for (function, kind, expect) in [
        ("function transform(x) { return x }", "body", "json: unknown field \"a\""),
        ("function transform(x) { return {data: 1} }", "body", "doesn't include an event type"),
        ("function transform(x) { return {event_type: 'a'} }", "body", "doesn't include any data"),
        ("function transform(x) { return x }", "header", "values are all text"),
        ("function transform(x) { return x }", "other", "type:one of body and header"),
    ] {
        let message = source(function, kind).unwrap_err();
        assert!(message.contains(expect), "{function}: {message}");
    }
}

#[test]
fn a_function_that_cannot_work_or_goes_too_far_is_stopped_and_says_why() {
    for (function, expect) in [
        ("", "please provide a function"),
        ("function transform(x) {\n  return {", "SyntaxError"),
        ("function transform(x) {\n  return x +;\n}", "at line 2, column"),
        ("function other(x) { return x }", "the transform function is not found"),
        ("var transform = 5", "the transform function is not found"),
        ("function transform(x) { return undefined }", "nothing that is JSON"),
        ("async function transform(x) { return x }", "synchronous"),
        ("function transform(x) {\n\n  throw new Error('no luck')\n}", "Error: no luck at line 3"),
        ("function transform(x) { throw 'text' }", "the function threw text"),
        ("function transform(x) { for (;;) {} }", "too many steps"),
        ("for (;;) {} function transform(x) {}", "too many steps"),
        ("function transform(x) { return /(a+)+$/.test('a'.repeat(40) + 'b') }", "too many steps"),
        ("function transform(x) { return transform(x) }", "stack overflow"),
        ("function transform(x) { return 'x'.repeat(1e9) }", "out of memory"),
        (
            "function transform(x) { const a = []; for (;;) a.push({a: [1, 2, 3]}) }",
            "out of memory",
        ),
        // What one step of JavaScript does counts, too.
        (
            "function transform(x) { const s = 'a'.repeat(1e6); for (let i = 0; i < 1e4; i++) s.indexOf('b') }",
            "too many steps",
        ),
        (
            "function transform(x) { const a = new Array(5e6); for (let i = 0; i < 1e3; i++) a.lastIndexOf(3) }",
            "too many steps",
        ),
        ("function transform(x) { return new Array(4294967295).indexOf(1) }", "too many steps"),
        ("function transform(x) { throw 10n }", "the function threw 10"),
        ("function transform(x) { const a = {}; a.a = a; throw a }", "the function threw"),
        (
            "function transform(x) { let a = []; for (let i = 0; i < 1e5; i++) a = [a]; throw a }",
            "nests too deeply",
        ),
        ("function transform(x) { return 'x'.repeat(1048575) }", "more than 1048576 bytes"),
        ("function transform(x) { return require('fs') }", "'require' is not defined"),
        ("function transform(x) { return fetch('http://127.0.0.1/') }", "'fetch' is not defined"),
        ("function transform(x) { return globalThis.process.env }", "TypeError"),
    ] {
        let message = of_subscription(function, json!({})).unwrap_err();
        assert!(message.contains(expect), "{function}: {message}");
    }
    let long = format!("function transform(x) {{ return x }} // {}", "x".repeat(70_000));
    assert!(of_subscription(&long, json!({})).unwrap_err().contains("at most"));
    let big = json!({"a": "x".repeat(1_000_000)});
    let same = of_subscription("function transform(x) { return x.a.length }", big).unwrap();
    assert_eq!(same["payload"], 1_000_000);
    // With its quotes it is as large as it may be.
    let most = "function transform(x) { return 'x'.repeat(1048574) }";
    let most = of_subscription(most, json!({})).expect("a result");
    assert_eq!(most["payload"].as_str().map(str::len), Some(1_048_574));
}

#[test]
fn one_call_leaves_nothing_for_the_next() {
    let function = "function transform(x) { globalThis.n = (globalThis.n ?? 0) + 1; return n }";
    for _ in 0..2 {
        assert_eq!(of_subscription(function, json!({})).unwrap()["payload"], 1);
    }
}

#[test]
fn a_function_may_change_what_it_likes_and_is_read_all_the_same() {
    for change in [
        "JSON.stringify = () => 'x'",
        "JSON.parse = null",
        "console = __log = undefined",
        "Array.prototype.toJSON = () => undefined",
        "globalThis.String = Object.prototype.toString = () => { throw 1 }",
    ] {
        let function =
            format!("function transform(x) {{ console.log('seen'); {change}; return {{n: x.n}} }}");
        let data = of_subscription(&function, json!({"n": 1})).unwrap();
        assert_eq!(
            (&data["payload"], &data["log"]),
            (&json!({"n": 1}), &json!(["seen"])),
            "{change}"
        );
    }
}

#[test]
fn half_a_character_is_no_fault() {
    let function = "function transform(x) { console.log('a'.repeat(1999) + '😀'); return x }";
    let data = of_subscription(function, json!({"n": 1})).unwrap();
    assert_eq!(data["payload"], json!({"n": 1}));
    assert!(data["log"][0].as_str().unwrap().ends_with("a\u{fffd}"), "{data}");
    let thrown =
        of_subscription("function transform(x) { throw new Error('a\\ud83d') }", json!({}));
    assert!(thrown.unwrap_err().contains("Error: a\u{fffd}"));
}

#[test]
fn a_function_that_is_stopped_time_and_again_rests_and_what_it_is_for_waits() {
    let project = gateway().project();
    let function = "function transform(x) { for (;;) x.never = 1 }";
    let source = project.source(broker_source(json!({"body_function": function})));
    let messages: Vec<BrokerMessage> =
        (0..5).map(|n| BrokerMessage::new(&format!("m-{n}"), "{}")).collect();
    let verdicts = project.companion().verdicts(source["uid"].as_str().unwrap(), &messages);
    let kinds: Vec<&str> =
        verdicts.iter().filter_map(|verdict| verdict["status"].as_str()).collect();
    assert_eq!(kinds, ["dead_letter", "dead_letter", "dead_letter", "retry", "retry"]);
}

fn broker_source(functions: Value) -> Value {
    let mut source = json!({"name": "orders", "type": "pub_sub", "pub_sub": {"type": "kafka", "workers": 1,
        "kafka": {"brokers": ["127.0.0.1:9092"], "topic_name": "orders"}}});
    let fields = source.as_object_mut().expect("an object");
    fields.extend(functions.as_object().expect("an object").clone());
    source
}

#[test]
fn functions_of_a_broker_source_make_the_event_and_its_headers() {
    let project = gateway().project();
    let receiver = Endpoint::ok();
    let endpoint = project.endpoint(json!({"name": "receiver", "url": receiver.url("/")}));
    let body = "function transform(order) { return {endpoint_id: order.to, event_type: 'order.' + order.state, data: {total: order.total * 2}} }";
    let header = "function transform(headers) { return {'x-convoy-message-type': 'single', 'x-tenant': headers['x-tenant'] + '!'} }";
    let source =
        project.source(broker_source(json!({"body_function": body, "header_function": header})));
    assert_eq!(
        (&source["body_function"], &source["header_function"]),
        (&json!(body), &json!(header))
    );
    let message = |id: &str, payload: String| {
        BrokerMessage::new(id, payload).header("X-Tenant", "acme").header("x-gone", "1")
    };
    let order = json!({"to": endpoint["uid"], "state": "paid", "total": 21}).to_string();
    let uid = source["uid"].as_str().unwrap();
    let verdicts = project.companion().verdicts(
        uid,
        &[
            message("m-1", order.clone()),
            message("m-2", "no object".into()),
            message("m-3", "{}".into()),
        ],
    );
    assert_eq!(verdicts[0]["status"], "accepted", "{verdicts:?}");
    let reason = verdicts[1]["reason"].as_str().unwrap();
    assert!(reason.contains("please provide an endpoint ID"), "{reason}");
    let id = verdicts[0]["event_id"].as_str().unwrap();
    project.wait_for_delivery(id, "Success");
    let event = project.event(id);
    assert_eq!(event["event_type"], "order.paid");
    let got = receiver.received();
    assert_eq!(got[0].body, br#"{"total":42}"#);
    assert_eq!((got[0].header("x-tenant"), got[0].header("x-gone")), (Some("acme!"), None));

    // A function that fails loses nothing: mended, it takes the message again.
    let failing = json!({"name": "orders", "type": "pub_sub", "body_function": "function transform(x) { return x.a.b }"});
    project.put(&format!("/sources/{uid}"), &failing).expect(202);
    let again = message("m-4", order);
    let verdict = &project.companion().verdicts(uid, std::slice::from_ref(&again))[0];
    let reason = verdict["reason"].as_str().unwrap();
    assert!(reason.starts_with("the body function failed: TypeError"), "{reason}");
    let mended = json!({"name": "orders", "type": "pub_sub", "body_function": body});
    project.put(&format!("/sources/{uid}"), &mended).expect(202);
    let verdict = &project.companion().verdicts(uid, &[again])[0];
    assert_eq!(verdict["status"], "accepted", "{verdict}");
    receiver.wait_for(2);

    let none =
        json!({"name": "orders", "type": "pub_sub", "body_function": "", "header_function": ""});
    let source = project.put(&format!("/sources/{uid}"), &none).expect(202).data();
    assert_eq!(
        (&source["body_function"], &source["header_function"]),
        (&json!(null), &json!(null))
    );
}

#[test]
fn a_function_that_does_not_compile_is_refused_when_it_is_saved() {
    let project = gateway().project();
    for (field, code, expect) in [
        ("body_function", "function transform(x) {\n return }}", "body_function:SyntaxError"),
        (
            "header_function",
            "const other = 1",
            "header_function:the transform function is not found",
        ),
    ] {
        let reply = project.post("/sources", &broker_source(json!({field: code}))).expect(400);
        let message = reply.json()["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(expect), "{message}");
    }
}

#[test]
fn a_function_of_a_subscription_makes_the_body_that_is_signed_and_sent() {
    let project = gateway()
        .project_with(json!({"strategy": {"type": "linear", "duration": 1, "retry_count": 20}}));
    let (source, receiver) = (project.open_source(), Endpoint::ok());
    let endpoint = project.endpoint(json!({"name": "receiver", "url": receiver.url("/"), "secret": "a-secret-of-ours", "advanced_signatures": false}));
    let body = json!({"name": "all", "source_id": source["uid"], "endpoint_id": endpoint["uid"],
        "function": "function transform(x) { return {transformed: true, n: x.n} }"});
    let subscription = project.subscription(body.clone());
    assert_eq!(subscription["function"], body["function"]);
    project.ingest(&source, br#"{"n": 7, "gone": 1}"#).expect(200);
    let got = receiver.wait_for_one();
    let expect = br#"{"transformed":true,"n":7}"#;
    assert_eq!(got.body, expect);
    let signature = hex::encode(inlet_tests::hmac_sha256(b"a-secret-of-ours", expect));
    assert_eq!(got.header("x-convoy-signature"), Some(signature.as_str()));
    assert_eq!(got.header("content-type"), Some("application/json"));

    // One that fails keeps the event waiting with the reason, and says nothing of the endpoint's health.
    let path = format!("/subscriptions/{}", subscription["uid"].as_str().unwrap());
    let failing = "function transform(x) { return x.none.at }";
    project.put(&path, &json!({"function": failing})).expect(202);
    let reply = project.ingest(&source, br#"{"n": 8}"#).expect(200);
    let event_id = reply.header("inlet-event-id").unwrap();
    let delivery = project.wait_for_delivery(event_id, "Retry");
    let attempts = project.attempts(delivery["uid"].as_str().unwrap());
    let error = attempts[0]["error"].as_str().unwrap();
    assert!(error.starts_with("the subscription's function failed: TypeError"), "{error}");
    assert_eq!(receiver.count(), 1);
    project.put(&path, &json!({"function": body["function"]})).expect(202);
    project.wait_for_delivery(event_id, "Success");
    assert_eq!(receiver.wait_for(2)[1].body, br#"{"transformed":true,"n":8}"#);
    assert!(
        project
            .put(&path, &json!({"function": "function ("}))
            .expect(400)
            .text()
            .contains("function:SyntaxError")
    );
}
