//! What sends many events or deliveries again takes those that were asked for, and no others.

use inlet_tests::{Answer, Endpoint, Project, poll_until, uid};
use serde_json::{Value, json};

use crate::gateway;

fn retry(project: &Project<'_>, query: &str) -> Value {
    let call = project.call("POST", &format!("/eventdeliveries/batchretry?{query}")).send();
    call.says(200, "Batch retry processing")["num"].clone()
}

#[test]
fn deliveries_are_found_counted_and_retried_by_the_source_of_their_event() {
    let project = gateway().project();
    let server = Endpoint::answering(&[Answer::status(410)]);
    let [first, second] = [(); 2].map(|()| project.open_source());
    project.route(&first, &server);
    project.route(&second, &server);
    for source in [&first, &second, &second] {
        let event = project.ingest(source, b"{}").expect(200).json();
        project.wait_for_delivery(event["event_id"].as_str().expect("an id"), "Failure");
    }
    let (first, second) = (uid(&first), uid(&second));
    for (query, num) in [
        (format!("sourceId={first}"), 1),
        (format!("sourceId={second}"), 2),
        (format!("sourceId[]={first}&sourceId[]={second}"), 3),
        ("sourceId=none".into(), 0),
    ] {
        assert_eq!(project.list(&format!("/eventdeliveries?{query}")).len(), num, "{query}");
        let path = format!("/eventdeliveries/countbatchretryevents?{query}");
        assert_eq!(project.get(&path).expect(200).data()["num"], num, "{query}");
    }
    assert_eq!(retry(&project, "sourceId=none"), 0);
    assert_eq!(retry(&project, &format!("sourceId={first}&status=Failure")), 1);
    server.wait_for(4);
    let again: Vec<Value> = project.list(&format!("/eventdeliveries?sourceId={second}"));
    assert!(again.iter().all(|one| one["metadata"]["num_trials"] == 1), "{again:?}");
}

#[test]
fn a_slip_in_a_parameter_sends_nothing_again() {
    let project = gateway().outgoing(json!({}));
    let server = Endpoint::answering(&[Answer::status(410)]);
    let to = json!({"name": "e", "url": server.url("/hook"), "owner_id": "o"});
    let to = uid(&project.endpoint(to));
    let body = json!({"endpoint_id": to, "event_type": "*", "data": 1});
    let event = uid(&project.post("/events", &body).expect(201).data());
    project.wait_for_delivery(&event, "Failure");
    for (method, path, wrong) in [
        ("POST", "/eventdeliveries/batchretry?owner_id=x", "owner_id"),
        ("POST", "/eventdeliveries/batchretry?status=Failure&endpointID=x", "endpointID"),
        ("GET", "/eventdeliveries/countbatchretryevents?query=x", "query"),
        ("POST", "/events/batchreplay?source_id=x", "source_id"),
        ("GET", "/events/countbatchreplayevents?source=x", "source"),
    ] {
        let message = project.call(method, path).send().expect(400).message();
        assert!(message.starts_with(&format!("{wrong}:no such parameter")), "{message}");
        assert!(message.contains("ownerId"), "{message}");
    }
    for path in ["/eventdeliveries/batchretry", "/events/batchreplay"] {
        let refused = project.post(path, &json!({"ids": ["x"]})).expect(400);
        assert!(refused.message().starts_with("body:has no effect here"), "{}", refused.message());
    }
    // What Convoy's clients write of parameters that they leave out does no harm.
    assert_eq!(retry(&project, "eventId=&subscriptionId=&ownerId=o&perPage=20&direction=next"), 1);
    assert_eq!(server.wait_for(2).len(), 2);
    assert_eq!(project.deliveries(&event).len(), 1);
}

#[test]
fn a_replay_that_fails_on_its_way_says_what_it_did_and_where_to_go_on() {
    let gateway = gateway();
    let project = gateway.outgoing(json!({}));
    let server = Endpoint::ok();
    let to = uid(&project.endpoint(json!({"name": "e", "url": server.url("/hook")})));
    let events: Vec<Value> =
        (0..210).map(|n| json!({"endpoint_id": to, "event_type": "t", "data": {"n": n}})).collect();
    project.post("/events/batch", &json!(events)).expect(201);
    server.wait_for(210);
    let sql = "SELECT id FROM events WHERE project_id = ?1 ORDER BY id LIMIT 1";
    let oldest = gateway.sql("EVENTS_0", sql, &[json!(project.uid)]);
    let oldest = oldest[0]["id"].as_str().expect("an id").to_owned();
    let fault = format!(
        "CREATE TRIGGER fault BEFORE INSERT ON deliveries WHEN NEW.event_id = '{oldest}' BEGIN SELECT RAISE(ABORT, 'no'); END"
    );
    gateway.sql("EVENTS_0", &fault, &[]);
    let cut = project.post("/events/batchreplay", &json!({}));
    gateway.sql("EVENTS_0", "DROP TRIGGER fault", &[]);
    let replayed = cut.json();
    assert_eq!(replayed["message"], "200 successful, 0 failed");
    let cursor = replayed["next_page_cursor"].as_str().expect("a cursor");
    let path = format!("/events/batchreplay?next_page_cursor={cursor}");
    project.post(&path, &json!({})).says(200, "10 successful, 0 failed");
    server.wait_for(420);
    let sql = "SELECT count(*) AS n, count(DISTINCT event_id) AS events FROM deliveries WHERE project_id = ?1 AND replay <> ''";
    let made = gateway.sql("EVENTS_0", sql, &[json!(project.uid)]);
    assert_eq!(made[0], json!({"n": 210, "events": 210}), "each once");
}

#[test]
fn what_a_mass_replay_or_retry_could_not_do_is_told_by_reasons() {
    let project = gateway().project();
    let server = Endpoint::answering(&[Answer::status(410)]);
    let [routed, alone] = [(); 2].map(|()| project.open_source());
    project.route(&routed, &server);
    let filtered = project.open_source();
    let endpoint = project.endpoint(json!({"name": "f", "url": server.url("/hook")}));
    project.subscription(
        json!({"name": "f", "source_id": uid(&filtered), "endpoint_id": uid(&endpoint),
        "filter_config": {"event_types": ["*"], "filter": {"body": {"n": 1}}}}),
    );
    let mut events = Vec::new();
    for source in [&routed, &alone, &filtered, &filtered] {
        let event = project.ingest(source, b"{}").expect(200).json();
        events.push(event["event_id"].as_str().expect("an id").to_owned());
    }
    project.wait_for_delivery(&events[0], "Failure");
    poll_until("all to be routed", || (project.stored_events().len() == 4).then_some(()));
    let replayed = project.post("/events/batchreplay", &json!({})).expect(200).json();
    let nobody = "no subscription matched this event";
    let reasons = json!([
        {"reason": format!("{nobody}: some subscribe to its type, but their filters do not match"), "num": 2},
        {"reason": nobody, "num": 1}]);
    assert_eq!(
        replayed,
        json!({"status": true, "message": "1 successful, 3 failed", "data": null,
            "num": 1, "failed": 3, "reasons": reasons, "next_page_cursor": ""})
    );
    let alone = project.put(&format!("/events/{}/replay", events[1]), &json!({})).expect(400);
    assert_eq!(alone.message(), nobody);

    poll_until("both deliveries to fail", || {
        (project.list("/eventdeliveries?status=Failure").len() == 2).then_some(())
    });
    // One of them is taken up between the search and the change.
    let first = uid(&project.list("/eventdeliveries?status=Failure")[0]);
    let taken = format!(
        "CREATE TRIGGER taken BEFORE UPDATE OF status ON deliveries WHEN OLD.id = '{first}' BEGIN SELECT RAISE(IGNORE); END"
    );
    gateway().sql("EVENTS_0", &taken, &[]);
    let retried = project.post("/eventdeliveries/batchretry", &json!({}));
    gateway().sql("EVENTS_0", "DROP TRIGGER taken", &[]);
    let retried = retried.says(200, "Batch retry processing");
    assert_eq!((&retried["num"], &retried["failed"]), (&json!(1), &json!(1)), "{retried}");
    let reason = retried["reasons"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("another call has taken it up"), "{reason}");
}
