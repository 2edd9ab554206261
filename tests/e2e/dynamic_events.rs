//! Events for a URL: its endpoint gets them, whatever it is subscribed to.

use inlet_tests::{Endpoint, Project, uid};
use serde_json::{Value, json};

use crate::in_both_modes;

#[test]
fn a_dynamic_event_reaches_the_endpoint_of_its_url_whatever_it_is_subscribed_to() {
    in_both_modes(|gateway| {
        let project = gateway.outgoing(json!({"multiple_endpoint_subscriptions": true}));
        let server = Endpoint::ok();
        let by_hand =
            uid(&project.endpoint(json!({"name": "by hand", "url": server.url("/hand")})));
        let types = json!({"event_types": ["only.this"]});
        project
            .subscription(json!({"name": "mine", "endpoint_id": by_hand, "filter_config": types}));
        for (path, event_type, event_types) in [
            ("/made", "d1", json!(["d1"])),
            ("/made", "d2", json!(["d2"])),
            // The list was replaced, and this one brings none.
            ("/made", "d1", json!([])),
            ("/made", "d3", json!(["other"])),
            ("/new", "a", json!(["b"])),
            ("/bare", "a", json!([])),
            ("/hand", "zz", json!([])),
            ("/hand", "only.this", json!([])),
        ] {
            let case = format!("{path} {event_type} {event_types}");
            let event = json!({"url": server.url(path), "event_type": event_type, "event_types": event_types, "data": 1});
            let event = uid(&project.post("/events/dynamic", &event).expect(201).data());
            let delivery = project.wait_for_delivery(&event, "Success");
            assert_eq!(project.deliveries(&event).len(), 1, "{case}");
            assert_eq!(delivery["endpoint_metadata"]["url"], server.url(path), "{case}");
            let shown = project.event(&event);
            assert_eq!(shown["target"]["type"], "dynamic", "{case}");
        }
        let mine = project.list(&format!("/subscriptions?endpointId={by_hand}"));
        assert_eq!(mine.len(), 1);
        assert_eq!(mine[0]["filter_config"]["event_types"], json!(["only.this"]), "as it was");
    });
}

#[test]
fn a_url_is_the_same_endpoint_however_it_is_spelled() {
    let project = crate::gateway().outgoing(json!({}));
    let url = Endpoint::ok().url("/dy");
    let push = |url: &str| json!({"url": url, "event_type": "t", "data": 1});
    let spelled = [url.clone(), url.replace("http://", "HTTP://"), url.replace("/dy", "/x/../dy")];
    for one in &spelled {
        project.post("/events/dynamic", &push(one)).expect(201);
    }
    let items: Vec<Value> = spelled.iter().map(|one| push(&format!("{one}?b"))).collect();
    project.post("/events/batch", &json!(items)).expect(201);
    let mut urls: Vec<Value> =
        project.list("/endpoints").iter().map(|shown| shown["url"].clone()).collect();
    urls.sort_by_key(Value::to_string);
    assert_eq!(urls, [json!(url), json!(format!("{url}?b"))]);
}

/// A sender that names an endpoint by its id asks its subscriptions, as ever; and so does a replay what the event was for.
#[test]
fn filters_hold_for_dynamic_events_and_a_replay_finds_the_endpoint_again() {
    let project = crate::gateway().outgoing(json!({}));
    let server = Endpoint::ok();
    let id = uid(&project.endpoint(json!({"name": "picky", "url": server.url("/hook")})));
    let filter = json!({"event_types": ["other"], "filter": {"body": {"n": 7}}});
    project.subscription(json!({"name": "picky", "endpoint_id": id, "filter_config": filter}));
    let push = |path: &str, data: Value| {
        let mut event = json!({"event_type": "t", "data": data});
        match path {
            "/events" => event["endpoint_id"] = json!(id),
            _ => event["url"] = json!(server.url("/hook")),
        }
        uid(&project.post(path, &event).expect(201).data())
    };
    let wanted = push("/events/dynamic", json!({"n": 7}));
    project.wait_for_delivery(&wanted, "Success");
    let failed = |project: &Project<'_>, event: &str| {
        assert_eq!(project.wait_for_event(event)["status"], "Failure");
        assert_eq!(project.deliveries(event).len(), 0);
    };
    failed(&project, &push("/events/dynamic", json!({"n": 8})));
    failed(&project, &push("/events", json!({"n": 7})));
    project.put(&format!("/events/{wanted}/replay"), &json!({})).expect(200);
    server.wait_for(2);
}

/// Items of a batch say whom they are for by what they name.
#[test]
fn an_item_of_a_batch_goes_to_whom_it_names() {
    let project = crate::gateway().outgoing(json!({}));
    let server = Endpoint::ok();
    let body = json!({"name": "e", "url": server.url("/owned"), "owner_id": "owner-1"});
    let id = uid(&project.endpoint(body));
    let items = json!([
        {"endpoint_id": id, "event_type": "t", "data": 1},
        {"owner_id": "owner-1", "event_type": "t", "data": 2},
        {"url": server.url("/made"), "event_type": "t", "data": 3},
        {"event_type": "t", "data": 4},
        {"owner_id": "owner-1", "event_type": "t", "data": 5, "idempotencyKey": "k"},
    ]);
    let results = project.post("/events/batch", &items).expect(207).data();
    for (index, kind) in ["single", "fanout", "dynamic"].into_iter().enumerate() {
        let event = uid(&results[index]);
        project.wait_for_delivery(&event, "Success");
        assert_eq!(project.event(&event)["target"]["type"], kind);
    }
    assert_eq!(results[3]["message"], "please provide an endpoint ID");
    assert_eq!(
        results[4]["message"],
        "idempotencyKey:unknown field: did you mean idempotency_key?"
    );
}
