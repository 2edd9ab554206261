//! What a delivery shows of what it sends, and of what it points at.

use inlet_tests::{Answer, Endpoint, poll_until, uid};
use serde_json::{Value, json};

use crate::gateway;

const FUNCTION: &str = "function transform(x) { return {made: x.n} }";

#[test]
fn a_delivery_shows_the_body_and_the_headers_that_it_sends() {
    let project = gateway().project();
    let (source, receiver) = (
        project.open_source_with(json!({"forward_headers": ["Authorization", "X-A"]})),
        Endpoint::ok(),
    );
    let plain = project.route_with(&source, &receiver, json!({"name": "plain"}));
    let form = project.route_with(
        &source,
        &receiver,
        json!({"name": "form", "content_type": "application/x-www-form-urlencoded"}),
    );
    let made = project.endpoint(json!({"name": "made", "url": receiver.url("/")}));
    project.subscription(json!({"name": "made", "source_id": source["uid"], "endpoint_id": made["uid"], "function": FUNCTION}));
    let body = r#"{ "n": 12345678901234567890123, "a": 1.10 }"#;
    let call =
        project.ingest_call(&source).header("Content-Type", "application/json").header("X-A", "1");
    let reply = call
        .header("Authorization", "Bearer secret")
        .body(body.as_bytes().to_vec())
        .send()
        .expect(200);
    let id = reply.header("inlet-event-id").unwrap();
    let listed = poll_until("three to be delivered", || {
        let all = project.deliveries(id);
        (all.iter().filter(|one| one["status"] == "Success").count() == 3).then_some(all)
    });
    let of = |endpoint: &Value| {
        let found = listed.iter().find(|one| one["endpoint_id"] == endpoint["uid"]);
        let found = found.unwrap_or_else(|| panic!("{listed:?}"));
        let whole = project.get(&format!("/eventdeliveries/{}", uid(found))).expect(200);
        (found["metadata"].clone(), whole.text(), whole.data())
    };
    let (metadata, text, shown) = of(&plain);
    assert!(text.contains(&format!("\"data\":{body}}}")), "byte for byte: {text}");
    assert_eq!((&metadata["raw"], &shown["metadata"]["raw"]), (&json!(body), &json!(body)));
    assert_eq!(shown["headers"]["x-a"], json!(["1"]));
    assert_eq!(shown["headers"]["authorization"], json!(["********"]), "{shown}");
    assert_eq!(shown["headers"]["content-type"], json!(["application/json"]));
    assert!(shown["headers"]["webhook-id"].is_array(), "as it was sent: {shown}");
    assert!(!project.get("/eventdeliveries").text().contains("Bearer secret"));

    let (metadata, _, shown) = of(&form);
    for metadata in [&metadata, &shown["metadata"]] {
        assert!(
            metadata["raw"].as_str().unwrap().contains("n=12345678901234567890123"),
            "{metadata}"
        );
        assert_eq!(metadata["data"]["a"], "1.10");
    }
    let (metadata, _, shown) = of(&made);
    assert_eq!((&metadata["data"], &metadata["is_data_omitted"]), (&json!(null), &json!(true)));
    assert!(metadata["omitted_because"].as_str().unwrap().contains("see the delivery itself"));
    assert_eq!(shown["metadata"]["raw"], r#"{"made":1.2345678901234568e+22}"#);

    let large = format!(r#"{{"n": 1, "pad": "{}"}}"#, "x".repeat(150_000));
    let reply = project.ingest(&source, large.as_bytes()).expect(200);
    receiver.wait_for(6);
    let id = reply.header("inlet-event-id").unwrap();
    let deliveries = project.deliveries(id);
    let large_one = deliveries.iter().find(|one| one["endpoint_id"] == plain["uid"]).unwrap();
    assert_eq!(large_one["metadata"]["is_data_omitted"], true);
    let shown = project.get(&format!("/eventdeliveries/{}", uid(large_one))).expect(200).data();
    assert_eq!(shown["metadata"]["raw"], json!(large));
}

#[test]
fn a_delivery_that_waits_shows_what_it_will_send_and_why_it_cannot() {
    let project = gateway()
        .project_with(json!({"strategy": {"type": "linear", "duration": 60, "retry_count": 20}}));
    let (source, receiver) = (project.open_source(), Endpoint::answering(&[Answer::status(500)]));
    let endpoint = project.endpoint(json!({"name": "e", "url": receiver.url("/")}));
    let subscription = project.subscription(json!({"name": "s", "source_id": source["uid"],
        "endpoint_id": endpoint["uid"], "function": FUNCTION}));
    let reply = project.ingest(&source, br#"{"n": 1}"#).expect(200);
    let delivery = project.wait_for_delivery(reply.header("inlet-event-id").unwrap(), "Retry");
    let read = || project.get(&format!("/eventdeliveries/{}", uid(&delivery))).expect(200).data();
    assert_eq!(read()["metadata"]["data"], json!({"made": 1}));
    let path = format!("/subscriptions/{}", uid(&subscription));
    let failing = json!({"function": "function transform(x) { return x.none.at }"});
    project.put(&path, &failing).expect(202);
    let why = read()["metadata"]["omitted_because"].as_str().unwrap().to_owned();
    assert!(why.starts_with("the subscription's function failed: TypeError"), "{why}");
}

#[test]
fn answers_name_what_they_point_at_and_what_is_gone_has_its_id_alone() {
    let project = gateway().project();
    let (source, receiver) = (project.open_source(), Endpoint::ok());
    let endpoint =
        project.route_with(&source, &receiver, json!({"name": "billing", "owner_id": "o"}));
    let reply = project.ingest(&source, b"{}").expect(200);
    let id = reply.header("inlet-event-id").unwrap();
    project.wait_for_delivery(id, "Success");
    let subscription = project.list("/subscriptions").remove(0);
    let delivery = project.deliveries(id).remove(0);
    let event = project.event(id);
    let listed = project.list("/events").remove(0);
    for (what, shown) in [("subscription", &subscription), ("delivery", &delivery)] {
        let named = &shown["endpoint_metadata"];
        assert_eq!(
            (&named["name"], &named["url"]),
            (&json!("billing"), &endpoint["url"]),
            "{what}"
        );
        assert_eq!((&named["target_url"], &named["owner_id"]), (&endpoint["url"], &json!("o")));
        assert!(named["secrets"].is_null(), "nothing that is secret: {named}");
    }
    assert_eq!(event["endpoint_metadata"][0]["name"], "billing");
    for shown in [&subscription, &delivery, &event, &listed] {
        let named = &shown["source_metadata"];
        assert_eq!((&named["name"], &named["type"]), (&json!("open"), &json!("http")), "{shown}");
        assert!(!named.to_string().contains(source["mask_id"].as_str().unwrap()));
    }
    project.delete(&format!("/endpoints/{}", uid(&endpoint))).expect(200);
    let delivery = project.deliveries(id).remove(0);
    assert_eq!(delivery["endpoint_metadata"], json!({"uid": endpoint["uid"]}));
    assert_eq!(delivery["metadata"]["raw"], "{}", "what was sent is still to be seen");
}

#[test]
fn a_portal_shows_of_an_event_only_the_endpoints_that_are_its_owners() {
    let project = gateway().project();
    let (source, receiver) = (project.open_source(), Endpoint::ok());
    for owner in ["mine", "theirs"] {
        project.route_with(&source, &receiver, json!({"name": owner, "owner_id": owner}));
    }
    let reply = project.ingest(&source, b"{}").expect(200);
    let id = reply.header("inlet-event-id").unwrap();
    receiver.wait_for(2);
    let link = json!({"name": "l", "owner_id": "mine", "auth_type": "static_token"});
    let link = project.post("/portal-links", &link).expect(201).data();
    let token = link["url"]
        .as_str()
        .unwrap()
        .split("token=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap()
        .to_owned();
    for path in [
        format!("/portal-api/events/{id}"),
        "/portal-api/events".into(),
        format!("/portal-api/eventdeliveries?eventId={id}"),
        "/portal-api/subscriptions".into(),
    ] {
        let text = gateway().call("GET", &path).bearer(&token).send().expect(200).text();
        assert!(!text.contains("theirs"), "{path}: {text}");
    }
    let event = gateway()
        .call("GET", &format!("/portal-api/events/{id}"))
        .bearer(&token)
        .send()
        .expect(200)
        .data();
    assert_eq!(event["endpoint_metadata"][0]["name"], "mine");
}
