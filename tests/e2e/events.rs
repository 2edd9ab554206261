//! Events that are pushed by the API: to one endpoint, an owner, everybody, or a URL.

use inlet_tests::{Answer, Endpoint, Gateway, Project, Reply, poll_until, uid};
use serde_json::{Value, json};

use crate::{gateway, in_both_modes};

fn outgoing() -> Project<'static> {
    outgoing_on(gateway())
}

fn outgoing_on(gateway: &'static inlet_tests::Gateway) -> Project<'static> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("out-{}-{n}", now.as_nanos());
    gateway.create_project(json!({"name": name, "type": "outgoing"}))
}

#[track_caller]
fn says(reply: Reply, status: u16, message: &str) -> Value {
    let reply = reply.expect(status);
    assert_eq!(reply.message(), message, "{}", reply.text());
    reply.data()
}

#[track_caller]
fn endpoint(project: &Project<'_>, server: &Endpoint, owner: &str) -> String {
    let body = json!({"name": "e", "url": server.url("/hook"), "owner_id": owner});
    project.endpoint(body)["uid"].as_str().unwrap().to_owned()
}

#[test]
fn an_event_for_one_endpoint_arrives_byte_for_byte() {
    in_both_modes(|gateway| {
        let project = outgoing_on(gateway);
        let server = Endpoint::answering(&[]);
        let id = endpoint(&project, &server, "");
        let data = r#"{ "z": 1.10, "a": 12345678901234567890123, "u": "\u003c" }"#;
        let body = format!(
            r#"{{"endpoint_id":"{id}","event_type":"invoice.paid","custom_headers":{{"X-Own":"1"}},"data":{data}}}"#
        );
        let call = project.call("POST", "/events").header("Content-Type", "application/json");
        let reply = call.body(body).send();
        let event = uid(&says(reply, 201, "Event queued successfully"));
        project.wait_for_event(&event);
        project.wait_for_delivery(&event, "Success");
        let received = &server.received()[0];
        assert_eq!(received.text(), data);
        assert_eq!(received.header("x-own"), Some("1"));
        assert_eq!(received.header("content-type"), Some("application/json"));
        assert_eq!(received.header("webhook-id"), Some(event.as_str()));
        let shown = project.event(&event);
        assert_eq!(shown["target"], json!({"type": "single", "endpoint_id": id}));
    });
}

#[test]
fn an_owner_everybody_and_a_url_can_be_addressed() {
    let project = outgoing();
    let [first, second, other, dynamic] = [(); 4].map(|()| Endpoint::answering(&[]));
    let first_id = endpoint(&project, &first, "owner-1");
    endpoint(&project, &second, "owner-1");
    let other_id = endpoint(&project, &other, "owner-2");
    project.subscription(json!({"name": "a", "endpoint_id": first_id,
        "filter_config": {"event_types": ["wanted"]}}));
    project.subscription(json!({"name": "b", "endpoint_id": other_id}));

    let of = |event: &str, count: usize| {
        poll_until(&format!("{count} deliveries of {event}"), || {
            let all = project.deliveries(event);
            let done = all.len() == count && all.iter().all(|one| one["status"] == "Success");
            done.then_some(all)
        })
    };
    let body = |kind: &str| json!({"owner_id": "owner-1", "event_type": kind, "data": {"n": 1}});
    let text = "Endpoint fanout event queued successfully";
    of(&uid(&says(project.post("/events/fanout", &body("wanted")), 201, text)), 2);
    of(&uid(&says(project.post("/events/fanout", &body("unwanted")), 201, text)), 1);
    assert_eq!((first.count(), second.count(), other.count()), (1, 2, 0));

    let text = "Broadcast event created successfully";
    let mut to_all = body("wanted");
    assert!(
        project.post("/events/broadcast", &to_all).expect(400).message().starts_with("owner_id:")
    );
    to_all["owner_id"] = json!(null);
    of(&uid(&says(project.post("/events/broadcast", &to_all), 201, text)), 2);
    assert_eq!((first.count(), other.count()), (2, 1));

    let text = "Dynamic event created successfully";
    let push = json!({"url": dynamic.url("/new"), "secret": "dynamic-secret", "event_type": "x",
        "event_types": ["x"], "data": {}});
    for _ in 0..2 {
        of(&uid(&says(project.post("/events/dynamic", &push), 201, text)), 1);
    }
    assert_eq!(dynamic.count(), 2);
    assert_eq!(project.list("/endpoints").len(), 4, "the second found what the first had made");
    let mut wrong = push.clone();
    wrong["secret"] = json!("another-secret");
    assert!(project.post("/events/dynamic", &wrong).expect(400).message().starts_with("secret:"));
}

#[test]
fn a_dynamic_event_with_other_event_types_changes_them() {
    let project = outgoing();
    let endpoint = Endpoint::answering(&[]);
    let push = |types: Value, event_type: &str| {
        let event = json!({"url": endpoint.url("/types"), "event_types": types, "event_type": event_type, "data": {}});
        project.post("/events/dynamic", &event).expect(201);
    };
    // One after the other: an event goes to whoever takes its type at the time of its routing.
    for (count, (types, event_type)) in
        [(json!(["a"]), "a"), (json!(["a", "b"]), "b"), (json!(["c"]), "c")].into_iter().enumerate()
    {
        push(types, event_type);
        endpoint.wait_for(count + 1);
    }
    let listed = project.get("/subscriptions").expect(200).data();
    let types = &listed["content"][0]["filter_config"]["event_types"];
    assert_eq!((listed["content"].as_array().map(Vec::len), types), (Some(1), &json!(["c"])));
}

#[test]
fn a_batch_of_dynamic_events_finds_its_endpoints_at_once() {
    let gateway = Gateway::builder().durability("journal").tapped().start();
    let project = gateway.outgoing(json!({}));
    let server = Endpoint::answering(&[]);
    let item = |path: &str, more: Value| {
        let mut item =
            json!({"kind": "dynamic", "url": server.url(path), "event_type": "t", "data": {}});
        item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        item
    };
    let mut items: Vec<Value> = (0..40).map(|n| item(&format!("/{}", n % 10), json!({}))).collect();
    items.push(item("/0", json!({"event_types": ["a"]})));
    items.push(item("/0", json!({"event_types": ["t"]})));
    items.push(item("/secret", json!({"secret": "the-first-secret"})));
    items.push(item("/secret", json!({"secret": "another-secret"})));
    items.push(item("/x", json!({"url": "ftp://127.0.0.1/"})));
    for most in [6, 4] {
        gateway.counters(true);
        let results = project.post("/events/batch", &json!(items)).expect(207).data();
        let asked = gateway.counters(false)["DB"].clone();
        assert!(asked["calls"].as_u64().is_some_and(|calls| calls <= most), "{asked}");
        let refused: Vec<&Value> = results.as_array().expect("results").iter().skip(43).collect();
        let why = refused[0]["message"].as_str().unwrap_or_default();
        assert!(why.starts_with("secret:"), "{results}");
        assert_eq!((refused.len(), &refused[1]["code"]), (2, &json!(400)), "{results}");
    }
    assert_eq!(project.list("/endpoints").len(), 11, "each once");
    let listed = project.list("/subscriptions");
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["filter_config"]["event_types"], json!(["t"]), "the last one says");
    server.wait_for(86);
}

#[test]
fn an_idempotency_key_makes_one_event() {
    let project = outgoing();
    let server = Endpoint::answering(&[]);
    let id = endpoint(&project, &server, "");
    let body = json!({"endpoint_id": id, "event_type": "t", "data": 1, "idempotency_key": "k-1"});
    let ids: Vec<String> =
        (0..3).map(|_| uid(&project.post("/events", &body).expect(201).data())).collect();
    let shown: Vec<Value> = ids.iter().map(|id| project.wait_for_event(id)).collect();
    assert_eq!(shown.iter().filter(|one| one["is_duplicate_event"] == false).count(), 1);
    assert!(shown.iter().all(|one| one["idempotency_key"] == "k-1"));
    let original = shown.iter().find(|one| one["is_duplicate_event"] == false).unwrap();
    project.wait_for_delivery(original["uid"].as_str().unwrap(), "Success");
    assert_eq!(server.count(), 1);
    assert_eq!(server.received()[0].header("x-convoy-idempotency-key"), Some("k-1"));
}

#[test]
fn a_batch_answers_for_each_item() {
    in_both_modes(|gateway| {
        let project = outgoing_on(gateway);
        let server = Endpoint::answering(&[]);
        let id = endpoint(&project, &server, "o");
        let mut items: Vec<Value> = (0..150)
            .map(|n| json!({"endpoint_id": id, "event_type": "t", "data": {"n": n}}))
            .collect();
        items.push(json!({"kind": "fanout", "owner_id": "o", "event_type": "t", "data": "x".repeat(150_000)}));
        items.push(json!({"endpoint_id": "nobody", "event_type": "t", "data": 1}));
        items.push(json!({"event_type": "t"}));
        let data =
            says(project.post("/events/batch", &json!(items)), 207, "151 successful, 2 failed");
        let of = |n: usize| data[n].clone();
        assert_eq!(of(151), json!({"status": false, "code": 400, "message": "endpoint not found"}));
        assert_eq!(of(152)["message"], "data:please provide your data");
        poll_until("all to arrive", || (server.count() == 151).then_some(()));
        let stored = project.stored_events();
        let numbers: Vec<Value> = stored.iter().map(|one| one["id"].clone()).collect();
        let given: Vec<Value> = (0..151).map(|n| of(n)["uid"].clone()).collect();
        assert!(given.iter().all(|uid| numbers.contains(uid)) && numbers.len() == 151);
        assert_eq!(project.post("/events/batch", &json!([{}])).expect(400).json()["status"], false);
    });
}

#[test]
fn what_cannot_be_taken_is_refused() {
    let project = outgoing();
    let check = |path: &str, body: Value, status: u16, message: &str| {
        assert_eq!(project.post(path, &body).expect(status).message(), message, "{path} {body}");
    };
    let event = |field: &str, value: Value| json!({"event_type": "t", "data": 1, field: value});
    check(
        "/events",
        json!({}),
        400,
        "data:please provide your data, event_type:please provide an event type",
    );
    check("/events", event("x", json!(1)), 400, "please provide an endpoint ID");
    check("/events", event("endpoint_id", json!("none")), 400, "endpoint not found");
    check("/events/fanout", event("x", json!(1)), 400, "owner_id:please provide an owner id");
    check("/events/dynamic", event("x", json!(1)), 400, "url:please provide an endpoint url");
    let headers = json!({"a": "1\r\nb: 2"});
    project.post("/events/broadcast", &event("custom_headers", headers)).expect(400);
    let other = outgoing();
    let server = Endpoint::answering(&[]);
    let foreign = endpoint(&other, &server, "");
    check("/events", event("endpoint_id", json!(foreign)), 400, "endpoint not found");
    let too_large = event("endpoint_id", json!("x".repeat(6_500_000)));
    project.post("/events/broadcast", &too_large).expect(413);
    project.expect_no_events();
}

/// Pushes one event and waits until it is delivered as `status`.
#[track_caller]
fn pushed(project: &Project<'_>, endpoint: &str, data: Value, status: &str) -> String {
    let key: String = format!("key-{data}").chars().take(100).collect();
    let body =
        json!({"endpoint_id": endpoint, "event_type": "t", "data": data, "idempotency_key": key});
    let id = uid(&project.post("/events", &body).expect(201).data());
    project.wait_for_event(&id);
    project.wait_for_delivery(&id, status);
    id
}

#[test]
fn events_are_found_by_all_that_is_known_of_them() {
    let project = outgoing();
    let [first, second] = [(); 2].map(|()| Endpoint::answering(&[]));
    let [first, second] = [endpoint(&project, &first, "owner"), endpoint(&project, &second, "")];
    let ids: Vec<String> = (0..5)
        .map(|n| {
            let to = if n % 2 == 0 { &first } else { &second };
            pushed(&project, to, json!({"n": n, "text": format!("Hello {n}")}), "Success")
        })
        .collect();
    let found = |query: &str| -> Vec<usize> {
        let list = project.list(&format!("/events?{query}"));
        list.iter().map(|one| ids.iter().position(|id| one["uid"] == **id).unwrap()).collect()
    };
    for (query, expect) in [
        ("", vec![4, 3, 2, 1, 0]),
        ("sort=asc", vec![0, 1, 2, 3, 4]),
        (&format!("endpointId={first}"), vec![4, 2, 0]),
        (&format!("endpointId={first}&endpointId={second}&sort=ASC"), vec![0, 1, 2, 3, 4]),
        ("ownerId=owner", vec![4, 2, 0]),
        ("ownerId=nobody", vec![]),
        ("query=hello+3", vec![3]),
        ("body=%7B%22n%22%3A2%7D", vec![2]),
        ("sourceId=none", vec![]),
        ("brokerMessageId=none", vec![]),
        ("startDate=2020-01-01T00:00:00", vec![4, 3, 2, 1, 0]),
        ("endDate=2020-01-01T00:00:00", vec![]),
        ("idempotencyKey=key-%7B%22n%22%3A1%2C%22text%22%3A%22Hello+1%22%7D", vec![1]),
    ] {
        assert_eq!(found(query), expect, "{query}");
    }
    let first_page = project.get("/events?perPage=2").expect(200).data();
    let pagination = &first_page["pagination"];
    assert_eq!(first_page["content"][0]["data"], json!({"n": 4, "text": "Hello 4"}));
    assert_eq!(
        (&pagination["has_next_page"], &pagination["has_prev_page"]),
        (&json!(true), &json!(false))
    );
    let cursor = pagination["next_page_cursor"].as_str().unwrap();
    assert_eq!(found(&format!("perPage=2&next_page_cursor={cursor}")), [2, 1]);
    assert_eq!(found(&format!("perPage=9&direction=prev&prev_page_cursor={cursor}")), [4, 3]);
    for query in ["startDate=soon", "body=5", "next_page_cursor=%27"] {
        project.get(&format!("/events?{query}")).expect(400);
    }
    let count = project.get(&format!("/events/countbatchreplayevents?endpointId={first}"));
    assert_eq!(says(count, 200, "events count successful")["num"], 3);

    let deliveries = |query: &str| project.list(&format!("/eventdeliveries?{query}")).len();
    assert_eq!(deliveries(""), 5);
    assert_eq!(deliveries(&format!("endpointId={first}&status=Success&eventType=t")), 3);
    assert_eq!(deliveries("status=Failure&status=Retry"), 0);
    assert_eq!(deliveries(&format!("eventId={}", ids[0])), 1);
    assert_eq!(deliveries("idempotencyKey=none"), 0);
    project.get("/eventdeliveries?status=Lost").expect(400);
    assert!(outgoing().list("/events").is_empty());
}

#[test]
fn an_event_is_replayed_although_it_was_delivered() {
    in_both_modes(|gateway| {
        let project = outgoing_on(gateway);
        let server = Endpoint::answering(&[]);
        let to = endpoint(&project, &server, "");
        let ids: Vec<String> = (0..3).map(|n| pushed(&project, &to, json!(n), "Success")).collect();
        let once = project.put(&format!("/events/{}/replay", ids[0]), &json!({}));
        assert_eq!(uid(&says(once, 200, "Endpoint event replayed successfully")), ids[0]);
        poll_until("the replay", || (server.count() == 4).then_some(()));
        let last = &server.received()[3];
        assert!(last.header("inlet-replay").is_some());
        assert_eq!(last.header("webhook-id"), Some(ids[0].as_str()));
        assert_eq!(server.received()[0].header("inlet-replay"), None);
        let replays: Vec<Value> = project
            .deliveries(&ids[0])
            .into_iter()
            .filter(|one| one["is_replay"] == true)
            .collect();
        assert_eq!(replays.len(), 1);

        let answer = project.post("/events/batchreplay", &json!({}));
        says(answer, 200, "3 successful, 0 failed");
        poll_until("all replays", || (server.count() == 7).then_some(()));
        let answer = project.post("/events/batchreplay?endpointId=none", &json!({}));
        says(answer, 200, "0 successful, 0 failed");
        project.post("/events/batchreplay?query=a", &json!({})).expect(400);
        project.put("/events/none/replay", &json!({})).expect(404);
    });
}

#[test]
fn what_failed_is_sent_again_and_what_succeeded_only_by_force() {
    let project = outgoing();
    let gone = Answer::status(410);
    let server = Endpoint::answering(&[gone.clone(), gone.clone(), gone, Answer::ok()]);
    let to = endpoint(&project, &server, "");
    let ids: Vec<String> = (0..3).map(|n| pushed(&project, &to, json!(n), "Failure")).collect();
    let delivery = |event: &str| project.deliveries(event)[0]["uid"].as_str().unwrap().to_owned();
    let first = delivery(&ids[0]);
    let resend = format!("/eventdeliveries/{first}/resend");
    let text = "App event processed for retry successfully";
    says(project.put(&resend, &json!({})), 200, text);
    let again = project.wait_for_delivery(&ids[0], "Success");
    assert_eq!(again["metadata"]["num_trials"], 2);
    assert_eq!(project.put(&resend, &json!({})).expect(400).message(), "event already sent");

    let count = project.get("/eventdeliveries/countbatchretryevents").expect(200).data();
    assert_eq!(count["num"], 2);
    let retried = project.post("/eventdeliveries/batchretry?status=Failure", &json!({}));
    assert_eq!(says(retried, 200, "Batch retry processing")["num"], 2);
    for id in &ids {
        project.wait_for_delivery(id, "Success");
    }
    let seen = server.count();
    let force = |ids: Value| project.post("/eventdeliveries/forceresend", &json!({"ids": ids}));
    let all: Vec<String> = ids.iter().map(|id| delivery(id)).collect();
    says(force(json!(all)), 200, "3 successful, 0 failed");
    poll_until("the forced calls", || (server.count() == seen + 3).then_some(()));
    let unknown = "ids:there is no delivery \"none\"";
    assert_eq!(force(json!(["none"])).expect(400).message(), unknown);
    force(json!([])).expect(400);
    project.put("/eventdeliveries/none/resend", &json!({})).expect(404);
}

#[test]
fn what_is_older_than_its_project_keeps_it_goes() {
    let gateway = gateway();
    let project = outgoing();
    let server = Endpoint::answering(&[]);
    let to = endpoint(&project, &server, "");
    let fresh = pushed(&project, &to, json!(1), "Success");
    let old = pushed(&project, &to, json!("x".repeat(200_000)), "Success");
    let has_body = || gateway.stored_bodies().iter().any(|key| key.contains(&old));
    assert!(has_body());
    // As if it had come in 2020.
    let (aged, delivery) = ("01DXF6DT000000000000000000", "01DXF6DT000000000000000001");
    let sql = |sql: &str, params: &[Value]| gateway.sql("EVENTS_0", sql, params);
    sql(
        "UPDATE deliveries SET event_id = ?2, id = ?3 WHERE event_id = ?1",
        &[json!(old), json!(aged), json!(delivery)],
    );
    sql("UPDATE events SET id = ?2 WHERE id = ?1", &[json!(old), json!(aged)]);
    sql(
        "UPDATE claims SET event_id = ?2, expires_at = 5 WHERE event_id = ?1",
        &[json!(old), json!(aged)],
    );
    gateway.cron();
    assert_eq!(project.stored_events().len(), 2, "nothing goes before the project says so");
    let config = json!({"config": {"retention_policy": {"policy": "720h"}}});
    let shown = project.put("", &config).expect(202).data();
    assert_eq!(shown["config"]["retention_policy"]["days"], 30);
    poll_until("the old event to go", || {
        gateway.cron();
        (project.get(&format!("/events/{aged}")).status == 404).then_some(())
    });
    poll_until("its delivery to go", || {
        gateway.cron();
        (project.stored_deliveries().len() == 1).then_some(())
    });
    assert!(!has_body());
    assert!(sql("SELECT * FROM claims WHERE event_id = ?1", &[json!(aged)]).is_empty());
    project.event(&fresh);
    let wrong = json!({"config": {"retention_policy": {"policy": "soon"}}});
    project.put("", &wrong).expect(400);
}

/// A large body is in the object store before anybody knows that it came with a copy.
#[test]
fn bodies_of_dropped_copies_go_with_age_and_no_others() {
    let gateway = gateway();
    let project = outgoing();
    let server = Endpoint::answering(&[]);
    let to = endpoint(&project, &server, "");
    let body = json!({"endpoint_id": to, "event_type": "t", "data": "x".repeat(200_000), "idempotency_key": "k"});
    let ids: Vec<String> =
        (0..3).map(|_| uid(&project.post("/events", &body).expect(201).data())).collect();
    let shown: Vec<Value> = ids.iter().map(|id| project.wait_for_event(id)).collect();
    let copies: Vec<String> =
        shown.iter().filter(|one| one["is_duplicate_event"] == true).map(uid).collect();
    assert_eq!(copies.len(), 2);
    let key_of = |id: &str| gateway.stored_bodies().into_iter().find(|key| key.contains(id));
    // One of the copies as if it had come in 2020.
    let aged = "01DXF6DT000000000000000009";
    let key = key_of(&copies[0]).expect("the copy's body is stored");
    gateway.rename_stored_body(&key, &key.replace(&copies[0], aged));
    let age = "UPDATE duplicates SET id = ?2 WHERE id = ?1";
    gateway.sql("EVENTS_0", age, &[json!(copies[0]), json!(aged)]);
    gateway.cron();
    assert!(key_of(aged).is_some(), "nothing goes before the project says so");
    assert_eq!(project.event(aged)["is_duplicate_event"], true);
    project.put("", &json!({"config": {"retention_policy": {"days": 1}}})).expect(202);
    poll_until("the old copy to go", || {
        gateway.cron();
        (project.get(&format!("/events/{aged}")).status == 404).then_some(())
    });
    assert!(key_of(aged).is_none());
    assert!(key_of(&copies[1]).is_some(), "that one is young");
    assert_eq!(project.event(&copies[1])["is_duplicate_event"], true);
}
