//! What is looked for, and what is filtered by, is what stands in the payload: no number is rounded, no letter missed.

use inlet_tests::{Answer, Endpoint, Project, uid};
use serde_json::{Value, json};

use crate::gateway;

#[track_caller]
fn push(project: &Project<'_>, endpoint: &Value, data: &str) -> String {
    let to = uid(endpoint);
    let body = format!(r#"{{"endpoint_id":"{to}","event_type":"t","data":{data}}}"#);
    let call = project.call("POST", "/events").header("Content-Type", "application/json");
    let id = uid(&call.body(body).send().expect(201).data());
    project.wait_for_event(&id);
    id
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat()
}

#[test]
fn events_are_found_by_exact_fields_and_by_text_as_it_is_typed() {
    let project = gateway().outgoing(json!({}));
    let endpoint = project.endpoint(json!({"name": "a", "url": "http://127.0.0.1:9/"}));
    let payloads = [
        r#"{"n":9223372036854775808}"#,
        r#"{"n":9223372036854775809}"#,
        r#"{"n":1.50,"name":"J\u00fcrgen"}"#,
        r#"{"name":"JÜRGEN","url":"https:\/\/example.com"}"#,
        r#"{"name":"say \"hi\"","tags":["a",2.0]}"#,
        r#"{"path":"C:\\temp"}"#,
    ];
    let ids: Vec<String> = payloads.map(|data| push(&project, &endpoint, data)).into();
    let alphabet: String = ('à'..='ö').chain('ā'..='ž').collect();
    for (query, expect) in [
        (format!("body={}", encoded(r#"{"n":9223372036854775808}"#)), vec![0]),
        (format!("body={}", encoded(r#"{"n":9223372036854775809}"#)), vec![1]),
        (format!("body={}", encoded(r#"{"n":9223372036854775810}"#)), vec![]),
        (format!("body={}", encoded(r#"{"n":15e-1}"#)), vec![2]),
        (format!("body={}", encoded(r#"{"name":"Jürgen"}"#)), vec![2]),
        (format!("body={}", encoded(r#"{"tags":["a",2]}"#)), vec![4]),
        (format!("query={}", encoded("jürgen")), vec![3, 2]),
        (format!("query={}", encoded("https://EXAMPLE")), vec![3]),
        (format!("query={}", encoded("\"hi\"")), vec![4]),
        (format!("query={}", encoded("\\")), vec![5]),
        (format!("query={}", encoded("c:\\temp")), vec![5]),
        (format!("query={}", encoded(r#"say \"hi\""#)), vec![4]),
        (format!("query={}", encoded(&alphabet)), vec![]),
        (format!("query={}", encoded(&format!("{alphabet}\\"))), vec![]),
    ] {
        let found: Vec<String> =
            project.list(&format!("/events?{query}")).iter().map(uid).collect();
        let expect: Vec<&str> = expect.iter().map(|index: &usize| ids[*index].as_str()).collect();
        assert_eq!(found, expect, "{query}");
        let deliveries = project.list(&format!("/eventdeliveries?{query}"));
        let of: Vec<&str> =
            deliveries.iter().filter_map(|delivery| delivery["event_id"].as_str()).collect();
        assert_eq!(of, expect, "deliveries: {query}");
    }
    for list in ["/events", "/eventdeliveries"] {
        let refused = project.get(&format!("{list}?body=[]")).expect(400);
        assert_eq!(refused.message(), "body must be a nonempty JSON object");
        let long = "x".repeat(257);
        let refused = project.get(&format!("{list}?query={long}")).expect(400);
        assert_eq!(refused.message(), "query:at most 256 characters");
    }
}

#[test]
fn sources_are_found_by_names_in_any_case() {
    let project = gateway().project();
    for name in ["Zahlungen Österreich", "zahlungen ÖSTERREICH", "Osterreich"] {
        project.open_source_with(json!({"name": name}));
    }
    assert_eq!(project.list(&format!("/sources?q={}", encoded("österreich"))).len(), 2);
}

#[test]
fn a_filter_keeps_every_digit_from_its_saving_to_the_event() {
    let project = gateway().project();
    let server = Endpoint::answering(&[Answer::ok()]);
    let source = project.open_source();
    let endpoint = project.endpoint(json!({"name": "e", "url": server.url("/hook")}));
    let body = format!(
        r#"{{"name":"big","source_id":"{}","endpoint_id":"{}","filter_config":{{"filter":{{"body":{{"id":{{"$gte":18446744073709551617}}}}}}}}}}"#,
        uid(&source),
        uid(&endpoint)
    );
    let call = project.call("POST", "/subscriptions").header("Content-Type", "application/json");
    let created = call.body(body).send().expect(201);
    let shown = project.get(&format!("/subscriptions/{}", uid(&created.data()))).expect(200).text();
    assert!(shown.contains("18446744073709551617"), "{shown}");
    let below = project.ingest(&source, br#"{"id":18446744073709551616}"#).expect(200);
    let above = project.ingest(&source, br#"{"id":18446744073709551617}"#).expect(200);
    let id = |reply: &inlet_tests::Reply| reply.header("Inlet-Event-Id").expect("an id").to_owned();
    project.wait_for_delivery(&id(&above), "Success");
    assert_eq!(project.wait_for_event(&id(&below))["status"], "Failure");
    assert_eq!(server.count(), 1);
    assert_eq!(server.received()[0].body, br#"{"id":18446744073709551617}"#);
}
