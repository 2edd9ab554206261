//! Dead letters in the API: messages of brokers, events that could not be routed, deliveries that were given up.

use inlet_tests::{Answer, BrokerMessage, Endpoint, Project, poll_until, uid};
use serde_json::{Value, json};

use crate::{gateway, in_both_modes};

fn broker_source(project: &Project<'_>) -> Value {
    project.source(
        json!({"name": "orders", "type": "pub_sub", "pub_sub": {"type": "sqs", "workers": 1,
        "sqs": {"queue_name": "q", "default_region": "r"}}}),
    )
}

/// Hands messages in that are no events, and answers their dead letters.
#[track_caller]
fn poisoned(project: &Project<'_>, source: &Value, messages: &[BrokerMessage]) -> Vec<String> {
    let verdicts = project.companion().verdicts(&uid(source), messages);
    let id = |verdict: &Value| {
        assert_eq!(verdict["status"], "dead_letter", "{verdict}");
        verdict["dead_letter_id"].as_str().unwrap().to_owned()
    };
    verdicts.iter().map(id).collect()
}

#[track_caller]
fn replay(project: &Project<'_>, id: &str) -> inlet_tests::Reply {
    project.post(&format!("/dead-letters/{id}/replay"), &json!({}))
}

#[test]
fn a_message_is_shown_with_its_reason_and_as_it_was() {
    let project = gateway().project();
    let source = broker_source(&project);
    let bytes = vec![0, 159, 146, 150];
    let json = r#"{ "endpoint_id":"nobody", "event_type":"t", "data": 1.10 }"#;
    let large = "x".repeat(300_000);
    let ids = poisoned(
        &project,
        &source,
        &[
            BrokerMessage::new("m-1", json)
                .header("Trace", "1")
                .header("trace", "2")
                .with("key", json!("customer"))
                .with("at", json!(1_764_190_000_000_u64)),
            BrokerMessage::new("m-2", bytes.clone()),
            BrokerMessage::new("m-3", large.as_str()),
        ],
    );
    let get = |id: &str| project.get(&format!("/dead-letters/{id}")).expect(200);
    let first = get(&ids[0]);
    assert!(first.text().contains(&format!("\"data\":{json}")), "{}", first.text());
    let shown = first.data();
    assert_eq!(shown["reason"], "endpoint not found: nobody");
    assert_eq!(shown["kind"], "broker");
    assert_eq!(shown["source_id"], source["uid"]);
    assert_eq!(shown["broker_message_id"], "m-1");
    assert_eq!(shown["headers"], json!([["Trace", "1"], ["trace", "2"]]));
    assert_eq!((&shown["key"], &shown["length"]), (&json!("customer"), &json!(json.len())));
    assert_eq!(shown["published_at"], "2025-11-26T20:46:40.000Z");
    let second = get(&ids[1]).data();
    assert_eq!(
        (&second["raw"], &second["raw_is_base64"]),
        (&json!(inlet_tests::base64(&bytes)), &json!(true))
    );
    assert_eq!(second["data"], Value::Null);
    assert_eq!(get(&ids[2]).data()["raw"], large);

    let other = gateway().project();
    other.get(&format!("/dead-letters/{}", ids[0])).expect(404);
    other.delete(&format!("/dead-letters/{}", ids[0])).expect(404);
    replay(&other, &ids[0]).expect(404);

    let has_body = || gateway().stored_bodies().iter().any(|key| key.contains(&ids[2]));
    assert!(has_body());
    project.delete(&format!("/dead-letters/{}", ids[2])).expect(200);
    assert!(!has_body());
    project.get(&format!("/dead-letters/{}", ids[2])).expect(404);
    project.delete(&format!("/dead-letters/{}", ids[2])).expect(404);
    assert_eq!(project.list("/dead-letters").len(), 2);
}

#[test]
fn a_message_is_replayed_once_its_cause_is_mended() {
    in_both_modes(|gateway| {
        let project = gateway.project();
        let source = broker_source(&project);
        let server = Endpoint::ok();
        let message =
            BrokerMessage::new("m-1", r#"{"owner_id":"later","event_type":"t","data":{"n":1}}"#)
                .header("x-convoy-message-type", "fanout");
        let mut nameless = message.clone();
        nameless.head.as_object_mut().unwrap().remove("id");
        let ids = poisoned(&project, &source, &[message, nameless]);
        for id in &ids {
            let refused = replay(&project, id).expect(422);
            assert_eq!(refused.message(), "no endpoint has the owner later");
        }
        assert_eq!(project.list("/dead-letters").len(), 2, "a replay that fails makes none more");

        project.endpoint(json!({"name": "e", "url": server.url("/hook"), "owner_id": "later"}));
        for id in &ids {
            let event = replay(&project, id).expect(200).data();
            project.wait_for_delivery(event["event_id"].as_str().unwrap(), "Success");
        }
        assert_eq!(server.received()[0].text(), r#"{"n":1}"#);
        assert!(project.list("/dead-letters").is_empty());
        replay(&project, &ids[0]).expect(404);
    });
}

#[test]
fn what_the_companion_cut_is_not_replayed() {
    let project = gateway().project();
    let mut source = json!({"name": "raw", "type": "pub_sub", "pub_sub": {"type": "sqs", "workers": 1,
        "sqs": {"queue_name": "q", "default_region": "r"}, "mapping": {"mode": "raw", "event_type": "t"}}});
    source = project.source(source);
    let given_up = |id: &str, size: usize| {
        BrokerMessage::new(id, vec![b'x'; size]).with("dead", json!("too large"))
    };
    let at = |message: BrokerMessage| message.with("at", json!(1_764_190_000_000_u64));
    let messages = [
        at(given_up("large", 65_536)),
        // What a message has beside its bytes is left out before they are.
        given_up("bare", 10),
        given_up("empty", 0),
        at(given_up("small", 10)),
        at(given_up("tombstone", 0)),
    ];
    let ids = poisoned(&project, &source, &messages);
    for id in &ids[..3] {
        let message = replay(&project, id).expect(422).message();
        assert!(message.contains("only a part of this message"), "{message}");
    }
    for id in &ids[3..] {
        let event = replay(&project, id).expect(200).data();
        project.wait_for_event(event["event_id"].as_str().unwrap());
    }
}

#[test]
fn amqp_messages_with_one_id_that_say_different_things_are_different_dead_letters() {
    let project = gateway().project();
    let source = project.source(
        json!({"name": "orders", "type": "pub_sub", "pub_sub": {"type": "amqp", "workers": 1,
            "amqp": {"host": "127.0.0.1", "port": 5672, "schema": "amqp", "queue": "q"}}}),
    );
    let says = |n: u64| {
        let body = json!({"owner_id": "later", "event_type": "t", "data": {"n": n}}).to_string();
        BrokerMessage::new("same", body).header("x-convoy-message-type", "fanout")
    };
    let ids = poisoned(&project, &source, &[says(1), says(2)]);
    assert_ne!(ids[0], ids[1]);
    assert_eq!(poisoned(&project, &source, &[says(2), says(1)]), [&*ids[1], &*ids[0]]);
    let letters = project.list("/dead-letters");
    assert_eq!(letters.len(), 2);
    assert!(letters.iter().all(|one| one["broker_message_id"] == "same"), "{letters:?}");

    project.endpoint(json!({"name": "e", "url": "https://example.com/", "owner_id": "later"}));
    for (id, n) in [(&ids[1], 2), (&ids[0], 1)] {
        let event = replay(&project, id).expect(200).data();
        let event = project.wait_for_event(event["event_id"].as_str().unwrap());
        assert_eq!(event["data"], json!({"n": n}));
        assert_eq!(event["broker_message_id"], "same");
    }
    // Should the broker hand them in again, they are copies.
    for verdict in project.companion().verdicts(&uid(&source), &[says(1), says(2)]) {
        assert_eq!(verdict["status"], "duplicate", "{verdict}");
    }
    assert!(project.list("/dead-letters").is_empty());
}

#[test]
fn deliveries_that_were_given_up_stand_among_the_others() {
    let project = gateway()
        .project_with(json!({"strategy": {"type": "linear", "duration": 1, "retry_count": 1}}));
    let server = Endpoint::answering(&[Answer::status(410)]);
    let source = broker_source(&project);
    project.route(&project.open_source(), &server);
    let http = project.open_source();
    project.route(&http, &server);
    let mut deliveries = Vec::new();
    for _ in 0..2 {
        let reply = project.ingest(&http, b"{}").expect(200);
        let event = reply.header("inlet-event-id").unwrap().to_owned();
        deliveries.push((uid(&project.wait_for_delivery(&event, "Failure")), event));
    }
    let poison: Vec<BrokerMessage> =
        (0..3).map(|n| BrokerMessage::new(&format!("m-{n}"), "poison")).collect();
    let letters = poisoned(&project, &source, &poison);

    let all = project.list("/dead-letters");
    let mut ids: Vec<String> = all.iter().map(uid).collect();
    assert_eq!(ids.len(), 5);
    assert!(ids.is_sorted_by(|a, b| a >= b), "newest first");
    let (delivery, event) = deliveries[0].clone();
    let one = all.iter().find(|one| uid(one) == delivery).unwrap();
    assert_eq!((&one["kind"], &one["event_id"]), (&json!("delivery"), &json!(event)));
    assert!(!one["reason"].as_str().unwrap().is_empty());
    let whole = project.get(&format!("/dead-letters/{delivery}")).expect(200).data();
    assert_eq!(whole["event"]["uid"], json!(event));

    // Page by page, and back.
    let mut paged = Vec::new();
    let mut path = "/dead-letters?perPage=2".to_owned();
    loop {
        let page = project.get(&path).expect(200).data();
        paged.extend(page["content"].as_array().unwrap().iter().map(uid));
        if page["pagination"]["has_next_page"] == false {
            break;
        }
        let next = page["pagination"]["next_page_cursor"].as_str().unwrap();
        path = format!("/dead-letters?perPage=2&next_page_cursor={next}");
    }
    assert_eq!(paged, ids);
    let back = project
        .list(&format!("/dead-letters?perPage=2&direction=prev&prev_page_cursor={}", ids[4]));
    assert_eq!(back.iter().map(uid).collect::<Vec<_>>(), ids[2..4]);

    assert_eq!(project.list("/dead-letters?kind=delivery").len(), 2);
    assert_eq!(project.list("/dead-letters?kind=broker").len(), 3);
    assert_eq!(project.list(&format!("/dead-letters?sourceId={}", uid(&http))).len(), 2);
    assert_eq!(project.list(&format!("/dead-letters?sourceId={}", uid(&source))).len(), 3);
    assert_eq!(project.list("/dead-letters?endDate=2020-01-01T00:00:00Z").len(), 0);
    project.get("/dead-letters?kind=other").expect(400);

    // Replay is a resend; deleting takes it off the list and leaves the delivery to be seen.
    server.answer(&[Answer::ok()]);
    replay(&project, &delivery).expect(200);
    project.wait_for_delivery(&event, "Success");
    project.delete(&format!("/dead-letters/{}", deliveries[1].0)).expect(200);
    let discarded =
        project.get(&format!("/eventdeliveries/{}", deliveries[1].0)).expect(200).data();
    assert_eq!(discarded["status"], "Discarded");
    ids = project.list("/dead-letters").iter().map(uid).collect();
    assert_eq!(ids.len(), letters.len());
    project.get(&format!("/dead-letters/{delivery}")).expect(404);
}

#[test]
fn an_event_that_could_not_be_routed_is_replayed() {
    let gateway = inlet_tests::Gateway::builder().durability("queue").start();
    let project = gateway.project();
    let server = Endpoint::ok();
    let source = project.open_source();
    project.route(&source, &server);
    // A fault in what the event holds, as the database would say it.
    let trigger = "CREATE TRIGGER poison BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'SQLITE_CONSTRAINT: poison'); END";
    gateway.sql("EVENTS_0", trigger, &[]);
    let reply = project.ingest(&source, br#"{"n":1}"#).expect(200);
    let event = reply.header("inlet-event-id").unwrap().to_owned();
    let letter = poll_until("the dead letter", || project.list("/dead-letters").into_iter().next());
    assert_eq!((&letter["kind"], &letter["event_id"]), (&json!("event"), &json!(event)));
    let whole = project.get(&format!("/dead-letters/{}", uid(&letter))).expect(200).data();
    assert_eq!(whole["raw"], r#"{"n":1}"#);
    gateway.sql("EVENTS_0", "DROP TRIGGER poison", &[]);
    assert_eq!(replay(&project, &uid(&letter)).expect(200).data()["event_id"], json!(event));
    project.wait_for_delivery(&event, "Success");
    assert!(project.list("/dead-letters").is_empty());
}

#[test]
fn dead_letters_go_with_age() {
    let project = gateway().project_with(json!({"retention_policy": {"days": 1}}));
    let source = broker_source(&project);
    let large = "x".repeat(300_000);
    let ids = poisoned(
        &project,
        &source,
        &[BrokerMessage::new("old", large.as_str()), BrokerMessage::new("new", "poison")],
    );
    let body = gateway().stored_bodies().into_iter().find(|key| key.contains(&ids[0])).unwrap();
    let sql = "UPDATE dead_letters SET id = '0' || substr(id, 2, 3) || '0' || substr(id, 6) WHERE id = ?1";
    gateway().sql("EVENTS_0", sql, &[json!(ids[0])]);
    poll_until("the old one is gone", || {
        gateway().cron();
        (project.list("/dead-letters").len() == 1).then_some(())
    });
    assert_eq!(uid(&project.list("/dead-letters")[0]), ids[1]);
    assert!(!gateway().stored_bodies().contains(&body));
}

#[test]
fn a_dead_letter_that_has_lost_its_source_or_its_body_says_so() {
    let project = gateway().project();
    let source = broker_source(&project);
    let message = |id: &str, padding: usize| {
        let body = json!({"owner_id": "nobody", "event_type": "t", "data": "x".repeat(padding)});
        BrokerMessage::new(id, body.to_string()).header("x-convoy-message-type", "fanout")
    };
    let ids = poisoned(&project, &source, &[message("small", 1), message("large", 300_000)]);
    let [small, large] = ids.as_slice() else { panic!("{ids:?}") };
    let key = gateway().stored_bodies().into_iter().find(|key| key.contains(&project.uid));
    gateway().delete_stored_body(&key.expect("a body"));
    assert_eq!(replay(&project, large).expect(410).message(), "the message is gone from the store");
    project.get(&format!("/dead-letters/{large}")).expect(410);
    project.delete(&format!("/sources/{}", uid(&source))).expect(200);
    assert_eq!(
        replay(&project, small).expect(404).message(),
        "the source of this dead letter is gone"
    );
    assert_eq!(project.list("/dead-letters").len(), 2, "they stay until they are deleted");
}

#[test]
fn the_large_body_of_an_event_that_could_not_be_routed_goes_with_its_dead_letter() {
    let gateway = inlet_tests::Gateway::builder().durability("queue").start();
    let project = gateway.project_with(json!({"retention_policy": {"days": 1}}));
    let source = project.open_source();
    let trigger = "CREATE TRIGGER poison BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'SQLITE_CONSTRAINT: poison'); END";
    gateway.sql("EVENTS_0", trigger, &[]);
    let large = json!({"text": "x".repeat(200_000)}).to_string();
    project.ingest(&source, large.as_bytes()).expect(200);
    poll_until("the dead letter", || project.list("/dead-letters").into_iter().next());
    assert_eq!(gateway.stored_bodies().len(), 1);
    gateway.sql(
        "EVENTS_0",
        "UPDATE dead_letters SET id = '0' || substr(id, 2, 3) || '0' || substr(id, 6)",
        &[],
    );
    poll_until("the old one is gone", || {
        gateway.cron();
        project.list("/dead-letters").is_empty().then_some(())
    });
    assert!(gateway.stored_bodies().is_empty());
}

#[test]
fn the_body_of_an_event_that_is_stored_stays_when_its_dead_letter_goes() {
    let gateway = inlet_tests::Gateway::builder().durability("queue").start();
    let project = gateway.project();
    let (source, server) = (project.open_source(), Endpoint::ok());
    project.route(&source, &server);
    let trigger = "CREATE TRIGGER poison BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'SQLITE_CONSTRAINT: poison'); END";
    gateway.sql("EVENTS_0", trigger, &[]);
    let large = json!({"text": "x".repeat(200_000)}).to_string();
    project.ingest(&source, large.as_bytes()).expect(200);
    let letter = poll_until("the dead letter", || project.list("/dead-letters").into_iter().next());
    gateway.sql("EVENTS_0", "DROP TRIGGER poison", &[]);
    // Whoever replays it dies before it is forgotten.
    let keep = "CREATE TRIGGER keep BEFORE DELETE ON dead_letters BEGIN SELECT RAISE(IGNORE); END";
    gateway.sql("EVENTS_0", keep, &[]);
    replay(&project, &uid(&letter)).expect(200);
    assert_eq!(server.wait_for_one().body, large.as_bytes());
    gateway.sql("EVENTS_0", "DROP TRIGGER keep", &[]);
    project.delete(&format!("/dead-letters/{}", uid(&letter))).expect(200);
    assert!(project.list("/dead-letters").is_empty());
    assert_eq!(gateway.stored_bodies().len(), 1);
    let event = project.event(letter["event_id"].as_str().unwrap());
    assert_eq!(event["raw"], json!(large));
}

#[test]
fn what_cannot_be_read_is_its_projects_or_the_operators() {
    let gateway = inlet_tests::Gateway::builder().durability("journal").start();
    let project = gateway.project_with(json!({"retention_policy": {"days": 1}}));
    for journal in ["journal_0", "journal_1"] {
        for meta in [json!({"id": 5, "p": project.uid}), json!({"p": "no project"})] {
            let sql = format!("INSERT INTO {journal} (meta, body, is_base64) VALUES (?1, ?2, 0)");
            gateway.sql("EVENTS_0", &sql, &[json!(meta.to_string()), json!("x".repeat(200_000))]);
        }
    }
    let root = |method: &str, path: &str| {
        gateway.call(method, &format!("/api/v1/dead-letters{path}")).bearer(inlet_tests::ROOT_KEY)
    };
    let of_nobody = || {
        let listed = root("GET", "").send().expect(200).data();
        listed["content"].as_array().expect("a list").clone()
    };
    let (own, others) = poll_until("two of each", || {
        gateway.cron();
        let (own, others) = (project.list("/dead-letters"), of_nobody());
        (own.len() == 2 && others.len() == 2).then_some((own, others))
    });
    for (letter, of) in [(&own[0], project.uid.as_str()), (&others[0], "")] {
        assert_eq!((&letter["kind"], &letter["project_id"]), (&json!("unreadable"), &json!(of)));
        let reason = letter["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("damaged") && reason.ends_with("(in the journal)"), "{reason}");
    }
    let path = format!("/{}", uid(&own[0]));
    let shown = project.get(&format!("/dead-letters{path}")).expect(200).data();
    assert!(shown["raw"].as_str().is_some_and(|raw| raw.contains("xxx")), "{shown}");
    replay(&project, &uid(&own[0])).expect(422);
    root("GET", &path).send().expect(404);

    let path = format!("/{}", uid(&others[0]));
    let shown = root("GET", &path).send().expect(200).data();
    assert!(shown["raw"].as_str().is_some_and(|raw| raw.contains("no project")), "{shown}");
    let refused = root("GET", "?perPage=x").send().expect(400);
    assert_eq!(refused.message(), "perPage:a number from 1 to 1000");
    let refused = gateway.call("GET", "/api/v1/dead-letters").bearer(&project.key).send();
    assert_eq!(refused.expect(403).message(), "this needs the ROOT_KEY");
    project.get(&format!("/dead-letters{path}")).expect(404);
    root("DELETE", &path).send().expect(200);
    root("DELETE", &path).send().expect(404);
    assert_eq!(of_nobody().len(), 1);

    let aged = "UPDATE dead_letters SET id = '0' || substr(id, 2, 3) || '0' || substr(id, 6)";
    gateway.sql("EVENTS_0", aged, &[]);
    poll_until("those of the project are gone", || {
        gateway.cron();
        project.list("/dead-letters").is_empty().then_some(())
    });
    assert_eq!(of_nobody().len(), 1, "what is nobody's has no age");
    assert_eq!(gateway.stored_bodies().len(), 1, "nor have bodies");
}
