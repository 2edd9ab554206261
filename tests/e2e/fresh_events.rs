//! Events that are looked for right after the gateway said that it has them.

use inlet_tests::{Endpoint, Gateway, Project, uid};
use serde_json::{Value, json};

use crate::in_both_modes;

#[track_caller]
fn endpoint(project: &Project<'_>, server: &Endpoint) -> String {
    uid(&project.endpoint(json!({"name": "e", "url": server.url("/hook"), "owner_id": "o"})))
}

#[track_caller]
fn push(project: &Project<'_>, endpoint: &str, data: &Value) -> String {
    let body = json!({"endpoint_id": endpoint, "event_type": "t", "data": data});
    uid(&project.post("/events", &body).expect(201).data())
}

fn replay(project: &Project<'_>, event: &str) -> inlet_tests::Reply {
    project.call("PUT", &format!("/events/{event}/replay")).send()
}

#[test]
fn an_event_is_found_sent_again_and_followed_right_after_it_was_accepted() {
    in_both_modes(|gateway| {
        let project = gateway.outgoing(json!({}));
        let server = Endpoint::ok();
        let id = endpoint(&project, &server);
        let event = push(&project, &id, &json!(1));
        let shown = project.get(&format!("/events/{event}")).expect(200).data();
        assert_eq!((&shown["uid"], &shown["data"]), (&json!(event), &json!(1)));
        let event = push(&project, &id, &json!(2));
        replay(&project, &event).says(200, "Endpoint event replayed successfully");
        let event = push(&project, &id, &json!(3));
        assert_eq!(project.deliveries(&event).len(), 1);

        let link = project.post("/portal-links", &json!({"name": "l", "owner_id": "o"}));
        let link = link.expect(201).data();
        let token = link["token"].as_str().expect("a token");
        let event = push(&project, &id, &json!(4));
        let path = format!("/portal-api/events/{event}");
        let shown = gateway.call("GET", &path).bearer(token).send().expect(200).data();
        assert_eq!(shown["data"], 4);
        let other = uid(&project.endpoint(json!({"name": "e", "url": server.url("/other")})));
        let path = format!("/portal-api/events/{}", push(&project, &other, &json!(5)));
        gateway.call("GET", &path).bearer(token).send().expect(401);
    });
}

#[test]
fn a_copy_is_named_as_one_when_it_is_to_be_sent_again() {
    in_both_modes(|gateway| {
        let project = gateway.outgoing(json!({}));
        let id = endpoint(&project, &Endpoint::ok());
        let body =
            json!({"endpoint_id": id, "event_type": "t", "data": 1, "idempotency_key": "once"});
        let first = uid(&project.post("/events", &body).expect(201).data());
        project.wait_for_event(&first);
        let copy = uid(&project.post("/events", &body).expect(201).data());
        project.wait_for_event(&copy);
        let refused = replay(&project, &copy).expect(400).message();
        assert!(refused.contains(&first), "{refused}");
    });
}

#[test]
fn what_waits_in_the_journal_is_shown_pending_and_nothing_of_it_to_others() {
    let gateway = Gateway::builder().durability("journal").tapped().start();
    let (project, other) = (gateway.outgoing(json!({})), gateway.outgoing(json!({})));
    let server = Endpoint::ok();
    let id = endpoint(&project, &server);
    gateway.refuse("EVENTS_0", Some("INSERT INTO events"));
    let mut events: Vec<(String, Value)> = [json!({"z": 1.10}), json!("x".repeat(150_000))]
        .map(|data| (push(&project, &id, &data), data))
        .into();
    let items = json!([{"endpoint_id": id, "event_type": "t", "data": [7]}]);
    let batch = project.post("/events/batch", &items).expect(201).data();
    events.push((uid(&batch[0]), json!([7])));
    for (event, data) in &events {
        let shown = project.get(&format!("/events/{event}")).expect(200).data();
        assert_eq!((&shown["status"], &shown["data"]), (&json!("Pending"), data), "{event}");
        assert_eq!(shown["target"], json!({"type": "single", "endpoint_id": id}));
        assert_eq!(shown["endpoints"], json!([]));
        other.get(&format!("/events/{event}")).expect(404);
    }
    let (event, _) = &events[0];
    assert_eq!(project.deliveries(event), Vec::<Value>::new());
    let refused = replay(&project, event).expect(409);
    assert_eq!(refused.header("retry-after"), Some("2"));
    assert!(refused.message().contains("not routed yet"), "{}", refused.text());
    gateway.allow("EVENTS_0");
    gateway.cron();
    for (event, _) in &events {
        project.wait_for_delivery(event, "Success");
        assert_eq!(project.event(event)["status"], "Success");
    }
    replay(&project, event).expect(200);
}

/// An id that nobody was given costs one statement, and a second where it may be in a journal, unless it is of this minute.
#[test]
fn ids_that_are_no_events_are_answered_at_once() {
    let gateway = Gateway::builder().durability("journal").tapped().start();
    let project = gateway.outgoing(json!({}));
    for (id, statements) in
        [("none", 1), ("7ZZZZZZZZZZZZZZZZZZZZZZZZZ", 1), ("01ARZ3NDEKTSV4RRFFQ69G5FAV", 2)]
    {
        gateway.counters(true);
        let path = format!("/events/{id}");
        assert_eq!(project.get(&path).expect(404).message(), "event not found");
        let asked = gateway.counters(false)["EVENTS_0"]["bySql"].clone();
        let is_look = |sql: &str| {
            ["FROM events WHERE", "FROM duplicates", "instr(meta"]
                .iter()
                .any(|part| sql.contains(part))
        };
        let looks = asked.as_object().expect("statements").iter().filter(|(sql, _)| is_look(sql));
        let looks: u64 = looks.filter_map(|(_, one)| one["statements"].as_u64()).sum();
        assert_eq!(looks, statements, "{id}: {asked}");
    }
}
