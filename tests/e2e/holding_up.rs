//! What cannot be read, stored or had right now holds up nobody else, and is lost no more than they are.

use inlet_tests::{Endpoint, Gateway, Received, poll_until, shard, uid};
use serde_json::{Value, json};

use crate::story::{Story, bodies};

#[test]
fn what_cannot_be_routed_is_buried_and_holds_up_nobody() {
    if shard() > 0 {
        return; // What is nobody's is kept in the first database.
    }
    let story = Story::new(Gateway::builder().durability("journal"));
    let insert = "INSERT INTO journal_0 (meta, body, is_base64) VALUES (?1, ?2, 0)";
    for journal in ["journal_0", "journal_1"] {
        let insert = insert.replace("journal_0", journal);
        story.gateway.sql("EVENTS_0", &insert, &[json!("{\"no\":\"envelope\"}"), json!("body")]);
    }
    story.post("{\"n\":0}").expect(200);
    story.wait_for_bodies(&bodies(1));
    let buried = story.gateway.sql("EVENTS_0", "SELECT kind, reason FROM dead_letters", &[]);
    assert_eq!(buried.len(), 2, "{buried:?}");
    for letter in &buried {
        assert_eq!(letter["kind"], "unreadable");
        let reason = letter["reason"].as_str().unwrap_or_default();
        assert!(reason.starts_with("the envelope's fields are damaged"), "{reason}");
    }
}

#[test]
fn a_subscription_that_cannot_be_read_holds_up_nobody() {
    let gateway = Gateway::builder().durability("journal").var("SWEEP_AFTER_SECONDS", "2").start();
    let broken = gateway.project();
    let (to, other) = (Endpoint::ok(), Endpoint::ok());
    let source = broken.open_source();
    broken.route(&source, &to);
    let damage =
        "UPDATE subscriptions SET doc = json_set(doc, '$.updated_at', 1.5) WHERE project_id = ?1";
    gateway.sql("DB", damage, &[json!(broken.uid)]);
    for body in bodies(3) {
        broken.ingest(&source, body.as_bytes()).expect(200);
    }
    let project = gateway.project();
    let good = project.open_source();
    project.route(&good, &other);
    project.ingest(&good, b"{}").expect(200);
    other.wait_for(1);
    poll_until("the events are dead letters", || {
        gateway.cron();
        let letters = gateway.sql("EVENTS_0", "SELECT kind, reason FROM dead_letters", &[]);
        let told = letters.iter().filter(|letter| {
            letter["reason"].as_str().is_some_and(|reason| reason.contains("cannot be read"))
        });
        (told.count() == 3).then_some(())
    });
}

#[test]
fn one_event_that_cannot_be_stored_is_buried_alone() {
    let story = Story::new(Gateway::builder().durability("journal"));
    // An envelope that the journal took, and that is too large for a parameter once its headers are written
    // into the row of an event.
    let meta = json!({"id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "p": story.uid, "n": shard(), "s": story.source["uid"],
        "m": "mask", "t": "x", "at": 1, "h": [["x-large", "\"".repeat(600_000)]]});
    for journal in ["journal_0", "journal_1"] {
        let insert =
            format!("INSERT INTO {journal} (meta, body, is_base64) VALUES (?1, '{{}}', 0)");
        story.gateway.sql("EVENTS_0", &insert, &[json!(meta.to_string())]);
    }
    let bodies = bodies(5);
    for body in &bodies {
        story.post(body).expect(200);
    }
    story.wait_for_bodies(&bodies);
    let buried = story.gateway.sql("EVENTS_0", "SELECT kind, reason FROM dead_letters", &[]);
    assert!(!buried.is_empty());
    assert!(buried.iter().all(|letter| letter["kind"] == "event"), "{buried:?}");
}

#[test]
fn events_that_cannot_be_stored_do_not_hold_up_those_behind_them_and_an_outage_buries_none() {
    let gateway = Gateway::builder().durability("journal").start();
    let project = gateway.outgoing(json!({}));
    let server = Endpoint::ok();
    let endpoint =
        project.endpoint(json!({"name": "e", "url": server.url("/hook")}))["uid"].clone();
    project.subscription(json!({"name": "all", "endpoint_id": endpoint}));
    let trigger = |condition: &str| {
        // No fault that is known to be the event's: it could be the store's as well.
        let sql = format!(
            "CREATE TRIGGER fault BEFORE INSERT ON events {condition} BEGIN SELECT abs(-9223372036854775807 - 1); END"
        );
        gateway.sql("EVENTS_0", &sql, &[]);
    };
    let push = |names: &[&str]| {
        let event =
            |n: &&str| json!({"endpoint_id": endpoint, "event_type": "t", "data": {"n": n}});
        let events: Vec<Value> = names.iter().map(event).collect();
        project.post("/events/batch", &json!(events)).expect(201);
    };
    let arrived = |names: &[&str]| {
        poll_until("the events", || {
            gateway.cron();
            let texts: Vec<String> = server.received().iter().map(Received::text).collect();
            let has = |name: &&str| texts.contains(&json!({"n": name}).to_string());
            names.iter().all(has).then_some(())
        });
    };

    trigger("");
    push(&["a", "b", "c"]);
    poll_until("the router tried", || {
        gateway.cron();
        gateway.log().iter().any(|line| line.contains("not_routed")).then_some(())
    });
    assert_eq!(gateway.get("/healthz/events").expect(200).data()["shards"][shard()]["state"], "ok");
    gateway.sql("EVENTS_0", "DROP TRIGGER fault", &[]);
    arrived(&["a", "b", "c"]);
    assert!(project.list("/dead-letters").is_empty(), "an outage is no fault of the events");

    trigger("WHEN NEW.body LIKE '%bad%'");
    push(&["bad 1", "bad 2", "bad 3", "good"]);
    arrived(&["good"]);
    let letters = poll_until("the dead letters", || {
        let letters = project.list("/dead-letters");
        (letters.len() == 3).then_some(letters)
    });
    assert!(letters.iter().all(|letter| letter["kind"] == "event"), "{letters:?}");
}

#[test]
fn an_object_store_that_cannot_be_read_buries_nobody_and_holds_up_nobody_else() {
    let story =
        Story::new(Gateway::builder().durability("queue").var("RETRY_SECONDS", "1").tapped());
    let (project, server) = (story.project(), Endpoint::ok());
    let endpoint = project.endpoint(json!({"name": "e", "url": server.url("/hook")}));
    project.subscription(json!({"name": "s", "source_id": story.source["uid"],
        "endpoint_id": endpoint["uid"], "filter_config": {"filter": {"body": {"kind": "large"}}}}));
    story.gateway.refuse("EVENTS_0", Some("INSERT INTO events"));
    let large = json!({"kind": "large", "padding": "x".repeat(200_000)}).to_string();
    story.post(&large).expect(200);
    story.gateway.refuse("BODIES", None);
    story.gateway.allow("EVENTS_0");
    let small = bodies(3);
    for body in &small {
        story.post(body).expect(200);
    }
    poll_until("the small ones", || {
        let received: Vec<String> = story.endpoint.received().iter().map(Received::text).collect();
        small.iter().all(|body| received.contains(body)).then_some(())
    });
    let waits =
        || story.gateway.log().iter().filter(|line| line.contains("not_routed_yet")).count();
    poll_until("more tries than two", || {
        story.gateway.cron();
        (2 < waits()).then_some(())
    });
    assert!(project.list("/dead-letters").is_empty(), "an outage is no fault of the event");
    story.gateway.allow("BODIES");
    poll_until("the large one", || {
        story.gateway.cron();
        (server.count() == 1).then_some(())
    });
    let parked = story.gateway.sql("EVENTS_0", "SELECT event_id FROM parked", &[]);
    assert!(parked.is_empty(), "{parked:?}");
}

/// One event whose body is gone, one whose body cannot be read for now, and what comes behind them.
#[test]
fn the_journal_goes_on_without_an_event_whose_body_cannot_be_had() {
    let story = Story::new(Gateway::builder().durability("journal").tapped());
    let (project, server) = (story.project(), Endpoint::ok());
    let endpoint = project.endpoint(json!({"name": "e", "url": server.url("/hook")}));
    project.subscription(json!({"name": "s", "source_id": story.source["uid"],
        "endpoint_id": endpoint["uid"], "filter_config": {"filter": {"body": {"kind": "large"}}}}));
    let large = |n: u8| {
        let body = json!({"kind": "large", "n": n, "padding": "x".repeat(200_000)}).to_string();
        let reply = story.post(&body).expect(200);
        (reply.header("inlet-event-id").expect("an id").to_owned(), body)
    };
    story.gateway.refuse("EVENTS_0", Some("INSERT INTO events"));
    let (gone, _) = large(0);
    let key = story.gateway.stored_bodies().into_iter().find(|key| key.contains(&gone));
    story.gateway.delete_stored_body(&key.expect("a body"));
    let (late, body) = large(1);
    story.gateway.refuse("BODIES", Some(&late));
    story.gateway.allow("EVENTS_0");
    let small = bodies(3);
    for body in &small {
        story.post(body).expect(200);
    }
    story.wait_for_bodies(&small);
    let behind = "SELECT s.done AS done FROM journal_state AS s WHERE s.done < \
        (SELECT coalesce(max(seq), 0) FROM journal_0) * (s.journal = 0) + (SELECT coalesce(max(seq), 0) FROM journal_1) * (s.journal = 1)";
    poll_until("marks that have moved on", || {
        story.gateway.sql("EVENTS_0", behind, &[]).is_empty().then_some(())
    });
    // They are known, but for their bodies, and say what they wait for.
    for (id, lacks) in [(&gone, "the event's body is gone from the store"), (&late, "")] {
        let shown = project.get(&format!("/events/{id}")).expect(200).data();
        assert_eq!((&shown["status"], &shown["data"]), (&json!("Pending"), &Value::Null));
        let why = shown["failure_reason"].as_str().unwrap_or_default();
        assert!(why.starts_with("waits to be routed since ") && why.contains(lacks), "{why}");
        assert!(why.contains("; tried 1 times, and again at "), "{why}");
        let replay = project.put(&format!("/events/{id}/replay"), &json!({})).expect(409);
        assert!(replay.message().contains(why), "{}", replay.message());
    }
    let listed = |query: &str| -> Vec<String> {
        project.list(&format!("/events?{query}")).iter().map(uid).collect()
    };
    assert_eq!(listed("status=Pending"), [late.clone(), gone.clone()]);
    assert_eq!(listed("").len(), 5, "beside what is stored");
    assert!(listed("status=Success&status=Failure").iter().all(|id| *id != late && *id != gone));
    let figures = story.gateway.call("GET", "/metrics").bearer(&project.key).send().expect(200);
    let figure = format!("inlet_events_set_aside{{project=\"{}\"}} 2", project.uid);
    assert!(figures.text().contains(&figure), "{}", figures.text());
    let letters = poll_until("a dead letter", || {
        story.gateway.cron();
        let letters = project.list("/dead-letters");
        (!letters.is_empty()).then_some(letters)
    });
    assert_eq!(letters.len(), 1, "an outage is no fault of the event: {letters:?}");
    assert_eq!(letters[0]["event_id"], gone.as_str());
    let why = letters[0]["reason"].as_str().unwrap_or_default();
    assert!(why.starts_with("the event's body is gone from the store"), "{why}");
    assert_eq!(server.count(), 0);
    story.gateway.allow("BODIES");
    poll_until("the late one", || {
        story.gateway.cron();
        (server.count() == 1).then_some(())
    });
    assert_eq!(server.received()[0].text(), body);
    let parked = story.gateway.sql("EVENTS_0", "SELECT event_id FROM parked", &[]);
    assert!(parked.is_empty(), "{parked:?}");
}

#[test]
fn what_cannot_be_read_is_one_dead_letter_while_the_mark_stands() {
    if shard() > 0 {
        return; // What is nobody's is kept in the first database.
    }
    let story = Story::new(Gateway::builder().durability("journal").tapped());
    story.gateway.refuse("EVENTS_0", Some("INSERT INTO events"));
    story.post("{\"n\":0}").expect(200);
    for journal in ["journal_0", "journal_1"] {
        let insert =
            format!("INSERT INTO {journal} (meta, body, is_base64) VALUES ('damaged', '', 0)");
        story.gateway.sql("EVENTS_0", &insert, &[]);
    }
    let tries = || story.gateway.log().iter().filter(|line| line.contains("not_drained")).count();
    poll_until("more drains than two", || {
        story.gateway.cron();
        (2 < tries()).then_some(())
    });
    let letters = || story.gateway.sql("EVENTS_0", "SELECT id FROM dead_letters", &[]);
    let before = letters();
    assert_eq!(before.len(), 2, "one for each row: {before:?}");
    story.gateway.allow("EVENTS_0");
    story.wait_for_bodies(&bodies(1));
    assert_eq!(letters(), before);
}

#[test]
fn an_event_that_cannot_be_stored_is_one_dead_letter_while_the_mark_stands() {
    let story = Story::new(Gateway::builder().durability("journal").tapped());
    story.gateway.refuse("EVENTS_0", Some("UPDATE journal_state SET done = ?2"));
    // In both journals: it is one event.
    let meta = json!({"id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "p": story.uid, "n": shard(), "s": story.source["uid"],
        "m": "mask", "t": "x", "at": 1, "h": [["x-large", "\"".repeat(600_000)]]});
    for journal in ["journal_0", "journal_1"] {
        let insert =
            format!("INSERT INTO {journal} (meta, body, is_base64) VALUES (?1, '{{}}', 0)");
        story.gateway.sql("EVENTS_0", &insert, &[json!(meta.to_string())]);
    }
    let tries = || story.gateway.log().iter().filter(|line| line.contains("not_drained")).count();
    poll_until("more drains than two", || {
        story.gateway.cron();
        (2 < tries()).then_some(())
    });
    let letters = || story.gateway.sql("EVENTS_0", "SELECT kind, event_id FROM dead_letters", &[]);
    let expect = [json!({"kind": "event", "event_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"})];
    assert_eq!(letters(), expect);
    story.gateway.allow("EVENTS_0");
    story.post("{\"n\":0}").expect(200);
    story.wait_for_bodies(&bodies(1));
    assert_eq!(letters(), expect);
}

#[test]
fn a_delivery_whose_dispatchers_die_is_given_up_and_can_be_replayed() {
    let story = Story::new(Gateway::builder().durability("journal"));
    let project = story.project();
    let id = story.post("{}").expect(200).header("inlet-event-id").expect("an id").to_owned();
    project.wait_for_delivery(&id, "Success");
    // What is left when as many dispatchers have died in a row.
    let left = |dispatchers: u8| {
        let sql = "UPDATE deliveries SET status = 'Processing', lease_until = 1, look_at = 1, interrupted = ?2 - 1 \
            WHERE project_id = ?1";
        story.gateway.sql("EVENTS_0", sql, &[json!(story.uid), json!(dispatchers)]);
        story.gateway.cron();
    };
    left(9);
    project.wait_for_delivery(&id, "Success");
    assert_eq!(story.endpoint.received().len(), 2);
    left(10);
    let given_up = project.wait_for_delivery(&id, "Failure");
    let letters = project.list("/dead-letters");
    assert_eq!(letters[0]["uid"], given_up["uid"], "{letters:?}");
    let why = letters[0]["reason"].as_str().unwrap_or_default();
    assert!(why.starts_with("given up: 10 times in a row the gateway was interrupted"), "{why}");
    assert_eq!(story.endpoint.received().len(), 2);
    let path = format!("/dead-letters/{}/replay", letters[0]["uid"].as_str().expect("a uid"));
    project.post(&path, &json!({})).expect(200);
    project.wait_for_delivery(&id, "Success");
    assert_eq!(story.endpoint.received().len(), 3);
}
