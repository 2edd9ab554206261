//! Meta events: what a project is told of its endpoints and deliveries, signed, durable, and delivered like any event.

use inlet_tests::{Answer, Endpoint, Gateway, Project, Received, poll_until, uid};
use serde_json::{Value, json};

use crate::{gateway, in_both_modes};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// An outgoing project that tells `listener` of these things; of all when there are none.
fn telling<'g>(gateway: &'g Gateway, listener: &Endpoint, kinds: &[&str]) -> Project<'g> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let name = format!("meta-{}-{}", now.as_nanos(), NEXT.fetch_add(1, Ordering::Relaxed));
    let meta_event = json!({"is_enabled": true, "type": "http", "url": listener.url("/meta"), "secret": SECRET,
        "event_type": kinds});
    let strategy = json!({"type": "linear", "duration": 1, "retry_count": 3});
    let config = json!({"meta_event": meta_event, "strategy": strategy});
    gateway.create_project(json!({"name": name, "type": "outgoing", "config": config}))
}

fn body(received: &Received) -> Value {
    serde_json::from_slice(&received.body).expect("JSON")
}

/// The first call that tells of this.
#[track_caller]
fn heard(listener: &Endpoint, kind: &str) -> Received {
    poll_until(&format!("{kind} to be told"), || {
        listener.received().into_iter().find(|one| body(one)["event_type"] == kind)
    })
}

#[track_caller]
fn push(project: &Project<'_>, endpoint: &str) -> String {
    let body = json!({"endpoint_id": endpoint, "event_type": "t", "data": {"n": 1}});
    uid(&project.post("/events", &body).expect(201).data())
}

#[test]
fn the_life_of_an_endpoint_and_its_deliveries_is_told_and_signed() {
    in_both_modes(|gateway| {
        let (listener, server) = (Endpoint::ok(), Endpoint::ok());
        let project = telling(gateway, &listener, &[]);
        let created = project.endpoint(json!({"name": "e", "url": server.url("/hook")}));
        let id = uid(&created);
        let told = heard(&listener, "endpoint.created");
        let data = body(&told)["data"].clone();
        assert_eq!((&data["uid"], &data["name"]), (&json!(id), &json!("e")));
        let secret = created["secrets"][0]["value"].as_str().unwrap();
        assert!(!told.text().contains(secret), "secrets are masked");
        let signature = told.header("x-convoy-signature").expect("Convoy's signature");
        let convoy =
            inlet_verify::hmac(inlet_verify::Hash::Sha256, SECRET.as_bytes(), &[&told.body]);
        assert_eq!(signature, hex::encode(convoy));
        assert!(told.header("webhook-signature").expect("a standard one").starts_with("v1,"));

        let event = push(&project, &id);
        let told = heard(&listener, "eventdelivery.success");
        let data = body(&told)["data"].clone();
        assert_eq!((&data["event_id"], &data["status"]), (&json!(event), &json!("Success")));
        assert_eq!(data["attempt"]["http_status"], "200 OK");
        project.put(&format!("/endpoints/{id}"), &json!({"name": "f"})).expect(202);
        assert_eq!(body(&heard(&listener, "endpoint.updated"))["data"]["name"], "f");
        project.delete(&format!("/endpoints/{id}")).expect(200);
        assert_eq!(body(&heard(&listener, "endpoint.deleted"))["data"]["uid"], id);
        project.put("", &json!({"config": {"retention_policy": {"days": 9}}})).expect(202);
        let told = heard(&listener, "project.updated");
        assert_eq!(body(&told)["data"]["config"]["retention_policy"]["days"], 9);
        assert!(!told.text().contains(SECRET) && !told.text().contains("ciphertext"));
        assert_eq!(listener.count(), 5, "each once, and nothing of meta events themselves");
    });
}

#[test]
fn a_delivery_that_fails_is_told_at_each_step() {
    let (listener, server) =
        (Endpoint::ok(), Endpoint::answering(&[Answer::status(500), Answer::status(410)]));
    let kinds = ["eventdelivery.updated", "eventdelivery.failed"];
    let project = telling(gateway(), &listener, &kinds);
    let id = uid(&project.endpoint(json!({"name": "e", "url": server.url("/hook")})));
    let event = push(&project, &id);
    let told = body(&heard(&listener, "eventdelivery.failed"));
    assert_eq!(told["data"]["event_id"], event);
    assert!(told["data"]["description"].as_str().unwrap().contains("410"));
    let told = body(&heard(&listener, "eventdelivery.updated"));
    assert_eq!(
        (&told["data"]["status"], &told["data"]["metadata"]["num_trials"]),
        (&json!("Retry"), &json!(1))
    );
    assert_eq!(listener.count(), 2, "only what was asked for");
}

#[test]
fn an_endpoint_that_is_taken_out_of_use_is_told_once_with_the_reason() {
    in_both_modes(|gateway| {
        let (listener, server) = (Endpoint::ok(), Endpoint::answering(&[Answer::status(500)]));
        let project = telling(gateway, &listener, &["endpoint.disabled"]);
        let config = json!({"config": {"disable_endpoint": true, "strategy": {"type": "linear", "duration": 1, "retry_count": 2}}});
        project.put("", &config).expect(202);
        let id = uid(&project.endpoint(json!({"name": "e", "url": server.url("/hook")})));
        for _ in 0..2 {
            push(&project, &id);
        }
        let told = body(&heard(&listener, "endpoint.disabled"))["data"].clone();
        assert_eq!((&told["uid"], &told["status"]), (&json!(id), &json!("inactive")));
        let reason = told["status_reason"].as_str().expect("a reason");
        assert!(reason.contains("has failed 2 times"), "{reason}");
        assert!(told["secrets"][0]["value"].as_str().expect("a mask").starts_with("********"));
        let shown = project.get(&format!("/endpoints/{id}")).expect(200).data();
        assert_eq!(
            (&shown["status"], &shown["status_reason"]),
            (&told["status"], &told["status_reason"])
        );
        assert_eq!(project.list("/meta-events").len(), 1, "however many deliveries have failed");
        // What was in use, is out of use, and is again, is told again when it ends again.
        project.post(&format!("/endpoints/{id}/activate"), &json!({})).expect(202);
        push(&project, &id);
        poll_until("the second time", || (listener.count() == 2).then_some(()));
        assert_eq!(project.list("/meta-events").len(), 2);
    });
}

#[test]
fn meta_events_are_retried_recorded_listed_and_sent_again() {
    let listener = Endpoint::answering(&[
        Answer::status(500),
        Answer::ok(),
        Answer::status(410),
        Answer::ok(),
    ]);
    let project = telling(gateway(), &listener, &["endpoint.created"]);
    let endpoint =
        |name: &str| project.endpoint(json!({"name": name, "url": "https://example.com/"}));
    endpoint("one");
    let found = |status: &str| {
        poll_until(&format!("a meta event that is {status}"), || {
            project.list("/meta-events").into_iter().find(|one| one["status"] == status)
        })
    };
    let first = found("Success");
    assert_eq!(
        (&first["event_type"], &first["metadata"]["num_trials"]),
        (&json!("endpoint.created"), &json!(2))
    );
    assert_eq!(first["metadata"]["data"]["data"]["name"], "one");
    assert_eq!(first["attempt"]["http_status"], "200 OK");
    endpoint("two");
    let dead = found("Failure");
    let path = format!("/meta-events/{}", uid(&dead));
    let shown = project.get(&path).expect(200);
    assert_eq!(shown.message(), "Meta event fetched successfully");
    assert_eq!(shown.data()["project_id"], project.uid);
    let reply = project.put(&format!("{path}/resend"), &json!({})).expect(200);
    assert_eq!(reply.message(), "Meta event processed for retry successfully");
    poll_until("the resent meta event", || {
        (project.get(&path).data()["status"] == "Success").then_some(())
    });
    let webhook = |n: usize| listener.received()[n].header("webhook-id").map(str::to_owned);
    assert_eq!(webhook(2), webhook(3), "the same one again");

    let ids: Vec<String> = project.list("/meta-events").iter().map(uid).collect();
    assert_eq!(ids, [uid(&dead), uid(&first)]);
    let page = project.get("/meta-events?perPage=1").expect(200).data();
    let cursor = page["pagination"]["next_page_cursor"].as_str().unwrap();
    assert_eq!(
        uid(&project.list(&format!("/meta-events?perPage=1&next_page_cursor={cursor}"))[0]),
        uid(&first)
    );
    assert!(project.list("/meta-events?endDate=2020-01-01T00:00:00").is_empty());
    project.get("/meta-events?startDate=soon").expect(400);
    assert_eq!(project.get("/meta-events/none").expect(404).message(), "meta event not found");
    project.put("/meta-events/none/resend", &json!({})).expect(404);

    // They are no events of the project, and no one else's either.
    assert!(project.list("/events").is_empty() && project.list("/eventdeliveries").is_empty());
    project.get(&format!("/events/{}", uid(&first))).expect(404);
    assert_eq!(project.list("/endpoints").len(), 2);
    let other = gateway().project();
    other.get(&path).expect(404);
    assert!(other.list("/meta-events").is_empty());
    let switch = |is_enabled: bool| {
        let config = json!({"config": {"meta_event": {"is_enabled": is_enabled}}});
        project.put("", &config).expect(202);
    };
    switch(false);
    let off = "meta events are not enabled: set config.meta_event.is_enabled first";
    assert_eq!(project.put(&format!("{path}/resend"), &json!({})).expect(400).message(), off);
    let seen = listener.count();
    endpoint("three");
    switch(true);
    endpoint("four");
    let told = listener.wait_for(seen + 1);
    assert_eq!(body(&told[seen])["data"]["name"], "four");
    assert_eq!(project.list("/meta-events").len(), 3);
}

#[test]
fn a_change_and_its_meta_event_are_durable_together() {
    let gateway = Gateway::builder().durability("journal").tapped().start();
    let listener = Endpoint::ok();
    let project = telling(&gateway, &listener, &["endpoint.created"]);
    // Neither journal nor queue take it: it stays beside the endpoint that it tells of.
    gateway.refuse("EVENTS_0", Some("INSERT INTO journal"));
    gateway.refuse("INGEST_0", None);
    let created = project.endpoint(json!({"name": "e", "url": "https://example.com/"}));
    let noted = || gateway.sql("DB", "SELECT id FROM meta_events_noted", &[]).len();
    assert_eq!(noted(), 1);
    gateway.allow("EVENTS_0");
    gateway.allow("INGEST_0");
    gateway.cron();
    let told = body(&heard(&listener, "endpoint.created"));
    assert_eq!(told["data"]["uid"], created["uid"]);
    assert_eq!(noted(), 0);
    gateway.cron();
    assert_eq!(listener.count(), 1);
}

#[test]
fn endpoints_that_are_made_together_are_told_of_at_once() {
    let gateway = gateway();
    let listener = Endpoint::ok();
    let project = telling(gateway, &listener, &["endpoint.created"]);
    let items: Vec<Value> = (0..30)
        .map(|n| json!({"name": format!("e{n}"), "url": format!("https://example.com/{n}")}))
        .collect();
    project.post("/onboard", &json!({"items": items})).expect(202);
    // Nobody rings the sweep.
    let told: std::collections::BTreeSet<String> =
        listener.wait_for(30).iter().map(|one| uid(&body(one)["data"])).collect();
    let made = project.list("/endpoints?perPage=100");
    assert_eq!(told, made.iter().map(uid).collect());
    let noted = "SELECT id FROM meta_events_noted WHERE meta LIKE '%' || ?1 || '%'";
    assert_eq!(gateway.sql("DB", noted, &[json!(project.uid)]).len(), 0);
}

#[test]
fn without_meta_events_nothing_more_is_written() {
    let gateway = Gateway::builder().durability("journal").tapped().start();
    let (listener, server) = (Endpoint::ok(), Endpoint::ok());
    let project = telling(&gateway, &listener, &["project.updated"]);
    let id = uid(&project.endpoint(json!({"name": "e", "url": server.url("/hook")})));
    let event = push(&project, &id);
    project.wait_for_delivery(&event, "Success");
    assert_eq!(gateway.sql("DB", "SELECT id FROM meta_events_noted", &[]).len(), 0);
    let rows = gateway.sql(
        "EVENTS_0",
        "SELECT id FROM events WHERE project_id <> ?1",
        &[json!(project.uid)],
    );
    assert_eq!((rows.len(), listener.count()), (0, 0));
}

#[test]
fn a_meta_event_configuration_that_cannot_work_is_refused() {
    let project = gateway().project();
    for (meta_event, field) in [
        (json!({"is_enabled": true}), "config.meta_event.secret:"),
        (
            json!({"is_enabled": true, "url": "gopher://x", "secret": "s-e-c-r-e-t"}),
            "config.meta_event.url:",
        ),
        (json!({"type": "pub_sub"}), "config.meta_event.type:"),
        (json!({"event_type": ["no.such"]}), "config.meta_event.event_type:"),
        (json!(5), "body contains incorrect JSON type"),
    ] {
        let reply = project.put("", &json!({"config": {"meta_event": meta_event}})).expect(400);
        assert!(reply.message().starts_with(field), "{}", reply.message());
    }
    assert_eq!(project.get("").data()["config"]["meta_event"]["is_enabled"], false);
}
