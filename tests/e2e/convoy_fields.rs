//! Fields of Convoy's requests that are kept, and what they do.

use inlet_tests::{Answer, Endpoint, poll_until, uid};
use serde_json::{Value, json};

use crate::gateway;

#[test]
fn a_custom_response_has_headers_and_says_what_it_answers_to() {
    let project = gateway().project();
    let source = project.open_source_with(json!({"custom_response": {
        "body": r#"{"id": "{{event_id}}", "challenge": "{{request.body.challenge}}", "none": "{{request.body.none}}"}"#,
        "content_type": "application/json", "status": 202,
        "headers": {"X-Trace": "{{request.header.x-trace}}/{{request.query.q}}", "Cache-Control": "no-store"}}}));
    assert_eq!(
        source["custom_response"]["headers"]["x-trace"],
        "{{request.header.x-trace}}/{{request.query.q}}"
    );
    let call =
        gateway().call("POST", &format!("/ingest/{}?q=a%0Ab", source["mask_id"].as_str().unwrap()));
    let call = call.header("Content-Type", "application/json").header("X-Trace", "t-1");
    let reply = call.body(br#"{"challenge": "q\"}<"}"#.to_vec()).send().expect(202);
    let id = reply.header("inlet-event-id").unwrap().to_owned();
    assert_eq!(reply.json(), json!({"id": id, "challenge": "q\"}<", "none": ""}));
    assert_eq!(reply.header("x-trace"), Some("t-1/ab"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    for (response, expect) in [
        (
            json!({"headers": {"Set-Cookie": "a=b"}}),
            "custom_response.headers.Set-Cookie:belongs to",
        ),
        (
            json!({"headers": {"X-A": "a\r\nb: c"}}),
            "custom_response.headers.X-A:not a valid header",
        ),
        (json!({"body": "{{evnt_id}}"}), "custom_response.body:{{evnt_id}} is not known"),
    ] {
        let body = json!({"name": "a", "type": "http", "custom_response": response});
        let message = project.post("/sources", &body).expect(400).json()["message"].clone();
        assert!(message.as_str().unwrap().starts_with(expect), "{message}");
    }
}

#[test]
fn a_project_is_told_once_when_attempts_of_a_subscription_fail_as_often_as_its_alert_config_says() {
    let listener = Endpoint::ok();
    let meta = json!({"is_enabled": true, "url": listener.url("/"), "secret": "a-secret-of-the-project",
        "event_type": ["subscription.alert"]});
    let project = gateway().project_with(json!({"meta_event": meta,
        "strategy": {"type": "linear", "duration": 1, "retry_count": 5}}));
    let (source, failing) = (project.open_source(), Endpoint::answering(&[Answer::status(500)]));
    let endpoint = project.endpoint(json!({"name": "e", "url": failing.url("/")}));
    let subscription = project.subscription(json!({"name": "s", "source_id": source["uid"],
        "endpoint_id": endpoint["uid"], "alert_config": {"count": 2, "threshold": "1h"}}));
    assert_eq!(subscription["alert_config"], json!({"count": 2, "threshold": "1h"}));
    let reply = project.ingest(&source, b"{}").expect(200);
    let id = reply.header("inlet-event-id").unwrap();
    project.wait_for_delivery(id, "Failure");
    let told: Value = serde_json::from_slice(&listener.wait_for_one().body).unwrap();
    assert_eq!(told["event_type"], "subscription.alert");
    let data = &told["data"];
    assert_eq!((&data["subscription_id"], &data["failures"]), (&subscription["uid"], &json!(2)));
    assert_eq!(
        (&data["last"]["event_id"], &data["last"]["error"]),
        (&json!(id), &json!("status code 500"))
    );
    assert_eq!((failing.count(), listener.count()), (5, 1), "five failures, told once");
    let path = format!("/subscriptions/{}", uid(&subscription));
    let shown = project
        .put(&path, &json!({"alert_config": {"count": 0, "threshold": ""}}))
        .expect(202)
        .data();
    assert_eq!(shown["alert_config"], json!(null));
}

#[test]
fn an_endpoint_that_is_created_disabled_gets_its_events_when_it_is_activated() {
    let project = gateway().project();
    let (source, receiver) = (project.open_source(), Endpoint::ok());
    let endpoint = project.route_with(&source, &receiver, json!({"is_disabled": true}));
    assert_eq!(endpoint["status"], "paused");
    let reply = project.ingest(&source, b"{}").expect(200);
    let id = reply.header("inlet-event-id").unwrap();
    poll_until("the delivery to wait", || {
        let deliveries = project.deliveries(id);
        deliveries.first().filter(|one| one["description"].to_string().contains("paused")).map(drop)
    });
    project.post(&format!("/endpoints/{}/activate", uid(&endpoint)), &json!({})).expect(202);
    receiver.wait_for_one();
}

#[test]
fn a_project_keeps_its_logo() {
    let project = gateway().project();
    let logo = json!({"logo_url": "https://example.com/logo.png"});
    assert_eq!(project.put("", &logo).expect(202).data()["logo_url"], logo["logo_url"]);
    assert_eq!(project.get("").expect(200).data()["logo_url"], logo["logo_url"]);
    assert_eq!(project.put("", &json!({"logo_url": ""})).expect(202).data()["logo_url"], "");
    let refused = project.put("", &json!({"logo_url": "javascript:alert(1)"})).expect(400);
    assert!(refused.text().contains("logo_url:an http or https URL"), "{}", refused.text());
}
