//! What a call asks for is done, or it is said why not.

use inlet_tests::{Answer, Endpoint, Project, poll_until, uid};
use serde_json::{Value, json};

use crate::{gateway, in_both_modes};

#[test]
fn a_misspelt_field_ends_no_secret_and_makes_no_endless_key() {
    let project = gateway().project();
    let endpoint = project.endpoint(json!({"name": "e", "url": "https://example.com/"}));
    let path = format!("/endpoints/{}", uid(&endpoint));
    let subscription =
        json!({"name": "s", "endpoint_id": endpoint["uid"], "retry_config": {"retries": 9}});
    let link = json!({"name": "l", "owner_id": "o", "can_manage_endpoints": true});
    for (method, path, body, expect) in [
        (
            "PUT",
            &*format!("{path}/expire_secret"),
            json!({"expirations": 5}),
            "did you mean expiration?",
        ),
        (
            "POST",
            "/api-keys",
            json!({"name": "k", "expires_att": "2099-01-01T00:00:00Z"}),
            "did you mean expires_at?",
        ),
        ("POST", "/portal-links", link, "did you mean can_manage_endpoint?"),
        (
            "POST",
            "/event-types",
            json!({"name": "t", "json_shema": {}}),
            "did you mean json_schema?",
        ),
        (
            "POST",
            "/subscriptions",
            subscription,
            "retry_config.retries:unknown field: what is read here is duration",
        ),
        (
            "POST",
            "/sources",
            json!({"name": "s", "type": "http", "verifier": {"type": "noop", "mod": "observe"}}),
            "verifier.mod:unknown field",
        ),
        ("POST", "/subscriptions/test_filter", json!({"reqest": {}}), "did you mean request?"),
        ("PUT", "", json!({"confg": {}}), "did you mean config?"),
        ("PUT", "", json!({"config": {"disable_endpont": true}}), "did you mean disable_endpoint?"),
    ] {
        let refused = project.call(method, path).json(&body).send().expect(400).message();
        assert!(refused.contains(expect), "{method} {path}: {refused}");
    }
    let secrets = project.get(&path).data()["secrets"].clone();
    assert_eq!(secrets.as_array().map(Vec::len), Some(1), "{secrets}");
    let filters = project.subscription(json!({"name": "s", "endpoint_id": endpoint["uid"], "source_id": project.open_source()["uid"]}));
    let filters = format!("/subscriptions/{}/filters", uid(&filters));
    let refused = project.post(&filters, &json!({"event_type": "t", "enabled": false})).expect(400);
    assert!(refused.message().contains("did you mean enabled_at?"), "{}", refused.text());
}

/// The numbers in the bodies of a list.
fn numbers(list: &[Value]) -> Vec<u64> {
    list.iter().map(|event| event["data"]["n"].as_u64().expect("a number")).collect()
}

#[test]
fn the_events_of_a_batch_keep_its_order_also_where_an_endpoint_has_a_limit() {
    const MANY: u64 = 12;
    in_both_modes(|gateway| {
        let server = Endpoint::answering(&[Answer::ok()]);
        let project = gateway.outgoing(json!({}));
        let limited = project.endpoint(
            json!({"name": "e", "url": server.url("/"), "rate_limit": 1, "rate_limit_duration": 1}),
        );
        let items: Vec<Value> = (0..MANY)
            .map(|n| json!({"endpoint_id": limited["uid"], "event_type": "t", "data": {"n": n}}))
            .collect();
        project.post("/events/batch", &json!(items)).expect(201);
        let all = poll_until("all events", || {
            let all = project.list("/events?sort=ASC&perPage=100");
            (all.len() == items.len() && all.iter().all(|event| event["status"] != "Pending"))
                .then_some(all)
        });
        let expect: Vec<u64> = (0..MANY).collect();
        assert_eq!(numbers(&all), expect);
        let deliveries = project.list("/eventdeliveries?sort=ASC&perPage=100");
        let events: Vec<&Value> = deliveries.iter().map(|delivery| &delivery["event_id"]).collect();
        assert_eq!(events, all.iter().map(|event| &event["uid"]).collect::<Vec<_>>());
    });
}

#[test]
fn subscriptions_of_several_endpoints_are_listed_together() {
    let project = gateway().project();
    let source = project.open_source();
    let subscribe = |name: &str| {
        let endpoint = project.endpoint(json!({"name": name, "url": "https://example.com/"}));
        project.subscription(
            json!({"name": name, "source_id": source["uid"], "endpoint_id": endpoint["uid"]}),
        );
        uid(&endpoint)
    };
    let [a, b, _c] = ["a", "b", "c"].map(subscribe);
    let names = |query: &str| -> Vec<Value> {
        let found = project.list(&format!("/subscriptions?sort=ASC&{query}"));
        found.iter().map(|one| one["name"].clone()).collect()
    };
    assert_eq!(names(&format!("endpointId={a}&endpointId={b}")), ["a", "b"]);
    assert_eq!(names(&format!("endpointId[]={b}")), ["b"]);
    assert_eq!(names(&format!("endpointId={a}&endpointId=x&sourceId={}", uid(&source))), ["a"]);
    assert_eq!(names("endpointId="), ["a", "b", "c"]);
}

#[test]
fn a_function_that_would_fail_each_event_is_refused_when_it_is_saved_and_tried() {
    let project = gateway().project();
    for code in [
        "async function transform(x) { return x }",
        "const transform = async (x) => x",
        "async function* transform(x) { yield x }",
    ] {
        let body = json!({"name": "s", "type": "http", "body_function": code});
        let refused = project.post("/sources", &body).expect(400).message();
        assert!(refused.contains("synchronous"), "{code}: {refused}");
    }
    let trial = |headers: &str, source_type: &str| {
        let function = format!("function transform(h) {{ return {headers} }}");
        let body = json!({"function": function, "type": "header", "source_type": source_type, "payload": {"X-A": "1"}});
        project.post("/sources/test_function", &body)
    };
    for (headers, expect) in [
        ("{'content-type': 'x'}", "content-type says how a body is sent, and cannot be chosen"),
        ("{'a b': 'x'}", "is not a header that can be sent"),
        ("{'x': '\\n'}", "is not a header that can be sent"),
    ] {
        let refused = trial(headers, "http").expect(400).message();
        assert!(refused.contains(expect), "{refused}");
    }
    trial("h", "http").expect(200);
    trial("{'x-convoy-message-type': 'single'}", "pub_sub").expect(200);
}

#[test]
fn a_source_is_armed_without_a_body_and_what_is_unknown_is_named() {
    let project: Project<'_> = gateway().project();
    let source = project.source(json!({"name": "n", "type": "http", "provider": "notion"}));
    let path = format!("/sources/{}/arm", uid(&source));
    project.call("POST", &path).send().expect(200);
    let unknown = project.post("/eventdeliveries/forceresend", &json!({"ids": ["no-such"]}));
    assert_eq!(unknown.expect(400).message(), "ids:there is no delivery \"no-such\"");
}
