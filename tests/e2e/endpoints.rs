//! Endpoints and subscriptions that are changed, paused, and given another secret.

use inlet_tests::{Endpoint, Gateway, poll_until};
use serde_json::{Value, json};

use crate::gateway;

fn uid(value: &Value) -> &str {
    value["uid"].as_str().expect("a uid")
}

#[test]
fn an_endpoint_is_changed_and_the_next_delivery_goes_where_it_says() {
    let project = gateway().project();
    let (before, after) = (Endpoint::ok(), Endpoint::ok());
    let source = project.open_source();
    let created = project.route(&source, &before);
    let path = format!("/endpoints/{}", uid(&created));
    let reply = project
        .put(&path, &json!({"target_url": after.url("/new"), "title": "renamed"}))
        .expect(202);
    assert_eq!(reply.message(), "Endpoint updated successfully");
    assert_eq!(project.get(&path).data()["name"], "renamed");
    project.ingest_call(&source).body("{}").send().expect(200);
    after.wait_for_one();
    assert_eq!(before.count(), 0);
    project.put(&path, &json!({"url": "gopher://x"})).expect(400);
    let other = gateway().project();
    other.put(&path, &json!({"name": "mine"})).expect(404);
}

#[test]
fn an_endpoint_that_is_made_while_events_cannot_be_read_shows_its_secret() {
    let gateway = Gateway::builder().tapped().start();
    let project = gateway.project();
    gateway.refuse("EVENTS_0", None);
    let made = project.post("/endpoints", &json!({"name": "e", "url": "https://example.com/"}));
    let made = made.expect(201).data();
    gateway.allow("EVENTS_0");
    let shown = project.get(&format!("/endpoints/{}", uid(&made))).expect(200).data();
    assert!(made["secrets"][0]["value"].as_str().is_some_and(|secret| 10 < secret.len()), "{made}");
    let names =
        |shown: &Value| shown.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&made), names(&shown));
}

#[test]
fn a_paused_endpoint_gets_nothing_until_it_is_active_again() {
    let project = gateway().project();
    let endpoint = Endpoint::ok();
    let source = project.open_source();
    let path = format!("/endpoints/{}", uid(&project.route(&source, &endpoint)));
    let pause = format!("{path}/pause");
    let reply = project.put(&pause, &json!({})).expect(202);
    assert_eq!(
        (reply.message().as_str(), &reply.data()["status"]),
        ("endpoint status updated successfully", &json!("paused"))
    );
    let reply = project.post(&format!("{path}/activate"), &json!({})).expect(202);
    assert_eq!(reply.data()["status"], "active");
    project.post(&format!("{path}/activate"), &json!({})).expect(400);
    project.ingest_call(&source).body("{}").send().expect(200);
    endpoint.wait_for_one();
    project.post(&pause, &json!({})).expect(405);
}

#[test]
fn both_secrets_sign_while_one_takes_over_from_the_other() {
    let project = gateway().project();
    let endpoint = Endpoint::ok();
    let source = project.open_source();
    let path = format!("/endpoints/{}", uid(&project.route(&source, &endpoint)));
    let count = || {
        project.ingest_call(&source).body("{}").send().expect(200);
        let received = endpoint.wait_for_one();
        endpoint.take();
        received.header("webhook-signature").expect("a signature").split(' ').count()
    };
    assert_eq!(count(), 1);
    let reply =
        project.put(&format!("{path}/expire_secret"), &json!({"expiration": 24})).expect(200);
    let secrets = reply.data()["secrets"].clone();
    assert!(secrets[1]["value"].as_str().unwrap().starts_with("whsec_"), "{secrets}");
    assert!(secrets[0]["expires_at"].is_string(), "{secrets}");
    assert_eq!(count(), 2);
    project
        .put(
            &format!("{path}/expire_secret"),
            &json!({"expiration": 0, "secret": "one-of-our-own"}),
        )
        .expect(200);
    assert_eq!(count(), 1);
}

#[test]
fn a_subscription_is_changed_in_what_is_given() {
    let project = gateway().project();
    let endpoint = Endpoint::ok();
    let source = project.open_source();
    let created = project.endpoint(json!({"name": "a", "url": endpoint.url("/")}));
    let mut body = json!({"name": "a", "source_id": source["uid"], "endpoint_id": created["uid"],
        "filter_config": {"event_types": ["never"]}});
    let path = format!("/subscriptions/{}", uid(&project.subscription(body.clone())));
    body["filter_config"]["event_types"] = json!(["*"]);
    let reply = project.put(&path, &body).expect(202);
    assert_eq!(reply.message(), "Subscription updated successfully");
    project.ingest_call(&source).body("{}").send().expect(200);
    endpoint.wait_for_one();
    body["endpoint_id"] = "no-such".into();
    project.put(&path, &body).expect(400);
    let kept = project.put(&path, &json!({"name": "b"})).expect(202).data();
    assert_eq!((&kept["name"], &kept["endpoint_id"]), (&json!("b"), &created["uid"]));
    gateway().project().put(&path, &body).expect(404);
}

#[test]
fn of_changes_at_the_same_time_none_is_lost() {
    const EACH: usize = 4;
    let project = gateway().project();
    let endpoint = project.endpoint(json!({"name": "e", "url": "https://example.com/"}));
    let path = format!("/endpoints/{}", uid(&endpoint));
    // Whoever is told that another was quicker makes the change again.
    let change = |path: &str, body: Value| {
        poll_until("the change to be made", || {
            let reply = project.put(path, &body);
            (reply.status != 409)
                .then(|| reply.expect(if path.ends_with("secret") { 200 } else { 202 }))
        });
    };
    std::thread::scope(|scope| {
        for n in 0..EACH {
            let (path, change) = (&path, &change);
            scope
                .spawn(move || change(&format!("{path}/expire_secret"), json!({"expiration": 24})));
            scope.spawn(move || change(path, json!({"name": format!("name-{n}")})));
        }
    });
    let shown = project.get(&path).data();
    assert_eq!(shown["secrets"].as_array().map(Vec::len), Some(1 + EACH), "{shown}");

    let source = project.open_source();
    let path = format!("/sources/{}", uid(&source));
    std::thread::scope(|scope| {
        for body in [
            json!({"is_disabled": true}),
            json!({"dedup_window_seconds": 77}),
            json!({"forward_headers": ["X-A"]}),
        ] {
            let (path, change) = (&path, &change);
            scope.spawn(move || {
                let mut whole = json!({"name": "a", "type": "http"});
                whole
                    .as_object_mut()
                    .expect("an object")
                    .extend(body.as_object().expect("an object").clone());
                change(path, whole);
            });
        }
    });
    let shown = project.get(&path).data();
    assert_eq!(
        (&shown["is_disabled"], &shown["dedup_window_seconds"], &shown["forward_headers"]),
        (&json!(true), &json!(77), &json!(["x-a"])),
        "{shown}"
    );
}
