//! A 2xx means that the event survives: kills, refusals, and everything that was left unfinished.

use std::collections::BTreeSet;
use std::time::Duration;

use inlet_tests::{
    Builder, Endpoint, Gateway, Project, Received, Reply, poll_until, poll_until_within,
};
use serde_json::{Value, json};

/// A gateway of its own with a project, an open source, and an endpoint that it goes to.
struct Story {
    gateway: Gateway,
    uid: String,
    key: String,
    source: Value,
    endpoint: Endpoint,
}

impl Story {
    #[track_caller]
    fn new(builder: Builder) -> Self {
        let gateway = builder.var("SWEEP_AFTER_SECONDS", "2").start();
        let endpoint = Endpoint::ok();
        let (uid, key, source) = {
            let project = gateway.project();
            let source = project.open_source();
            project.route(&source, &endpoint);
            (project.uid.clone(), project.key.clone(), source)
        };
        Self { gateway, uid, key, source, endpoint }
    }

    fn project(&self) -> Project<'_> {
        Project { gateway: &self.gateway, uid: self.uid.clone(), key: self.key.clone() }
    }

    fn post(&self, body: &str) -> Reply {
        self.project().ingest(&self.source, body.as_bytes())
    }

    /// Waits until these bodies have all arrived, with the cron ringing: longer than a dispatcher that
    /// was killed holds its lease.
    #[track_caller]
    fn wait_for_bodies(&self, bodies: &[String]) {
        let mut missing = Vec::new();
        let arrived = poll_until_within(Duration::from_secs(150), || {
            self.gateway.cron();
            let received: BTreeSet<String> =
                self.endpoint.received().iter().map(Received::text).collect();
            missing = bodies.iter().filter(|body| !received.contains(*body)).collect();
            missing.is_empty().then_some(())
        });
        assert!(arrived.is_some(), "{} of {} are missing", missing.len(), bodies.len());
    }
}

fn bodies(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{{\"n\":{number}}}")).collect()
}

#[test]
fn what_was_answered_survives_a_kill() {
    let mut story = Story::new(Gateway::builder().durability("journal"));
    let bodies = bodies(50);
    for body in &bodies {
        story.post(body).expect(200);
    }
    story.gateway.kill9();
    story.gateway.restart();
    story.wait_for_bodies(&bodies);
    let events = story.project().stored_events();
    assert_eq!(events.len(), bodies.len(), "each is stored once");
}

#[test]
fn what_the_queue_took_and_the_router_stored_survives_a_kill() {
    let mut story = Story::new(Gateway::builder().durability("queue"));
    let answer = story.post("{\"n\":0}").expect(200).json();
    let event_id = answer["event_id"].as_str().expect("an id").to_owned();
    story.project().wait_for_delivery(&event_id, "Success");
    story.gateway.kill9();
    story.gateway.restart();
    assert_eq!(story.project().event(&event_id)["uid"], event_id.as_str());
    assert_eq!(story.project().deliveries(&event_id)[0]["status"], "Success");
    story.post("{\"n\":1}").expect(200);
    story.wait_for_bodies(&bodies(2));
}

#[test]
fn when_the_queue_refuses_the_journal_takes_over() {
    let story = Story::new(Gateway::builder().durability("queue").tapped());
    story.gateway.refuse("INGEST_0", None);
    let bodies = bodies(20);
    for body in &bodies {
        story.post(body).expect(200);
    }
    story.gateway.allow("INGEST_0");
    story.wait_for_bodies(&bodies);
    assert_eq!(story.project().stored_events().len(), bodies.len());
}

#[test]
fn what_the_journal_took_over_survives_a_kill() {
    let mut story = Story::new(Gateway::builder().durability("queue").tapped());
    story.gateway.refuse("INGEST_0", None);
    let bodies = bodies(10);
    for body in &bodies {
        story.post(body).expect(200);
    }
    story.gateway.kill9();
    story.gateway.restart();
    story.wait_for_bodies(&bodies);
}

#[test]
fn a_queue_in_memory_is_no_place_to_fall_back_to() {
    let story = Story::new(Gateway::builder().durability("journal").tapped());
    story.gateway.refuse("EVENTS_0", Some("INSERT INTO journal"));
    let reply = story.post("{}").expect(503);
    assert!(reply.header("retry-after").is_some());
    let pushed = json!({"event_type": "t", "data": {}});
    story.project().post("/events/broadcast", &pushed).expect(503);
    story.gateway.allow("EVENTS_0");
    story.post("{\"n\":1}").expect(200);
    story.wait_for_bodies(&[bodies(2)[1].clone()]);
    assert_eq!(story.endpoint.received().len(), 1);
}

#[test]
fn when_nothing_can_store_the_event_the_sender_is_told_to_try_again() {
    for mode in ["queue", "journal"] {
        let story = Story::new(Gateway::builder().durability(mode).tapped());
        story.post("{\"n\":0}").expect(200);
        story.gateway.refuse("INGEST_0", None);
        story.gateway.refuse("EVENTS_0", None);
        let reply = story.post("{\"n\":1}").expect(503);
        assert!(reply.header("Retry-After").is_some(), "{mode}: {:?}", reply.headers);
        story.gateway.allow("INGEST_0");
        story.gateway.allow("EVENTS_0");
        story.post("{\"n\":1}").expect(200);
        story.wait_for_bodies(&bodies(2));
    }
}

#[test]
fn a_large_body_that_cannot_be_stored_is_not_accepted() {
    let story = Story::new(Gateway::builder().durability("queue").tapped());
    story.gateway.refuse("BODIES", None);
    let reply = story.post(&"x".repeat(200_000)).expect(503);
    assert!(reply.header("Retry-After").is_some());
    story.post("{\"n\":0}").expect(200);
    story.gateway.allow("BODIES");
    let large = "x".repeat(200_000);
    story.post(&large).expect(200);
    story.wait_for_bodies(&["{\"n\":0}".to_owned(), large]);
}

#[test]
fn a_delivery_whose_body_cannot_be_read_for_a_while_is_called_all_the_same() {
    let story = Story::new(Gateway::builder().durability("journal").tapped());
    let project = story.project();
    let subscription = project.list("/subscriptions")[0]["uid"].clone();
    let path = format!("/subscriptions/{}", subscription.as_str().expect("a uid"));
    project.put(&path, &json!({"delivery_mode": "at_most_once"})).expect(202);
    let large = "x".repeat(200_000);
    let id = story.post(&large).expect(200).header("inlet-event-id").expect("an id").to_owned();
    project.wait_for_delivery(&id, "Success");
    story.gateway.refuse("BODIES", None);
    project.put(&format!("/events/{id}/replay"), &json!({})).expect(200);
    let waiting = poll_until("a delivery that says why it waits", || {
        let deliveries = project.list("/eventdeliveries");
        deliveries.into_iter().find(|delivery| {
            delivery["description"].as_str().is_some_and(|text| text.contains("nobody was called"))
        })
    });
    assert_eq!(waiting["status"], "Retry");
    // A call that may have been made is not made again, whatever cannot be had meanwhile.
    project.put(&format!("/events/{id}/replay"), &json!({})).expect(200);
    let left = "UPDATE deliveries SET status = 'Processing', lease_until = 1, look_at = 1, description = '' \
        WHERE project_id = ?1 AND id <> ?2 AND replay <> '' AND status <> 'Failure'";
    let lost = poll_until("the one that a dispatcher left", || {
        story.gateway.sql("EVENTS_0", left, &[json!(story.uid), waiting["uid"].clone()]);
        story.gateway.cron();
        let deliveries = project.list("/eventdeliveries");
        deliveries.into_iter().find(|delivery| delivery["status"] == "Failure")
    });
    let why = lost["description"].as_str().unwrap_or_default();
    assert!(why.starts_with("the only attempt was interrupted"), "{why}");
    story.gateway.allow("BODIES");
    let arrived = poll_until_within(Duration::from_mins(1), || {
        story.gateway.cron();
        (story.endpoint.received().len() == 2).then_some(())
    });
    assert!(arrived.is_some(), "its only attempt was not spent");
}

#[test]
fn a_delivery_whose_credentials_cannot_be_read_for_a_while_is_called_all_the_same() {
    let gateway = Gateway::builder().durability("journal").var("SWEEP_AFTER_SECONDS", "2").start();
    let (project, server) = (gateway.project(), Endpoint::ok());
    let source = project.open_source();
    let endpoint = project
        .endpoint(json!({"name": "e", "url": server.url("/hook"), "authentication":
        {"type": "api_key", "api_key": {"header_name": "X-Key", "header_value": "a-long-value"}}}));
    project.subscription(
        json!({"name": "s", "source_id": source["uid"], "endpoint_id": endpoint["uid"],
        "delivery_mode": "at_most_once"}),
    );
    let doc = "SELECT doc FROM endpoints WHERE project_id = ?1";
    let stored = gateway.sql("DB", doc, &[json!(project.uid)])[0]["doc"].clone();
    let sealed = "UPDATE endpoints SET doc = json_set(doc, '$.authentication.secret.ciphertext', 'damaged') WHERE project_id = ?1";
    gateway.sql("DB", sealed, &[json!(project.uid)]);
    let id = project
        .ingest(&source, b"{}")
        .expect(200)
        .header("inlet-event-id")
        .expect("an id")
        .to_owned();
    let waiting = project.wait_for_delivery(&id, "Retry");
    assert_eq!(waiting["metadata"]["num_trials"], 0);
    let why = waiting["description"].as_str().unwrap_or_default();
    assert!(why.starts_with("the endpoint's authentication could not be had"), "{why}");
    let back = "UPDATE endpoints SET doc = ?2 WHERE project_id = ?1";
    gateway.sql("DB", back, &[json!(project.uid), stored]);
    let arrived = poll_until_within(Duration::from_mins(1), || {
        gateway.cron();
        (server.count() == 1).then_some(())
    });
    assert!(arrived.is_some(), "its only attempt was not spent");
}

#[test]
fn the_queue_mode_does_not_need_the_event_database_to_accept() {
    let story = Story::new(Gateway::builder().durability("queue").tapped());
    story.post("{\"n\":0}").expect(200);
    story.gateway.refuse("EVENTS_0", None);
    for body in &bodies(10)[1..] {
        story.post(body).expect(200);
    }
    story.gateway.allow("EVENTS_0");
    story.wait_for_bodies(&bodies(10));
}

#[test]
fn a_bell_that_does_not_ring_delays_nothing_for_ever() {
    let story = Story::new(Gateway::builder().durability("journal").tapped());
    story.gateway.refuse("INGEST_0", None);
    story.gateway.refuse("DELIVER", None);
    let bodies = bodies(10);
    for body in &bodies {
        story.post(body).expect(200);
    }
    story.gateway.allow("INGEST_0");
    story.gateway.allow("DELIVER");
    story.wait_for_bodies(&bodies);
}

#[test]
fn deliveries_whose_queue_refused_them_are_picked_up_by_the_cron() {
    let story = Story::new(Gateway::builder().durability("queue").tapped());
    story.gateway.refuse("DELIVER", None);
    let bodies = bodies(10);
    let mut last = String::new();
    for body in &bodies {
        let answer = story.post(body).expect(200).json();
        last = answer["event_id"].as_str().expect("an id").to_owned();
    }
    story.project().wait_for_event(&last);
    story.gateway.allow("DELIVER");
    story.wait_for_bodies(&bodies);
}

#[test]
fn where_the_queue_is_durable_it_watches_the_deliveries() {
    let builder = Gateway::builder().durability("queue").var("LOCAL_QUEUE", "false").tapped();
    let story = Story::new(builder.consumer("inlet-ingest-0", json!({"retryDelay": 0})));
    story.gateway.refuse("DELIVER", None);
    let bodies = bodies(5);
    let mut last = String::new();
    for body in &bodies {
        let answer = story.post(body).expect(200).json();
        last = answer["event_id"].as_str().expect("an id").to_owned();
    }
    story.project().wait_for_event(&last);
    let outbox = story.gateway.sql("EVENTS_0", "SELECT count(*) AS n FROM outbox", &[]);
    assert_eq!(outbox[0]["n"], 0, "{outbox:?}");
    story.gateway.allow("DELIVER");
    story.wait_for_bodies(&bodies);
    assert_eq!(story.project().stored_events().len(), bodies.len(), "each is stored once");
}

#[test]
fn a_source_that_is_known_works_without_its_configuration_stores() {
    let story = Story::new(Gateway::builder().durability("queue").tapped());
    story.post("{\"n\":0}").expect(200);
    story.gateway.refuse("DB", None);
    story.gateway.refuse("CONFIG", None);
    story.post("{\"n\":1}").expect(200);
    story.gateway.allow("DB");
    story.gateway.allow("CONFIG");
    story.wait_for_bodies(&bodies(2));
}

#[test]
fn a_key_that_is_known_pushes_without_the_database_of_keys() {
    let gateway = Gateway::builder().durability("queue").tapped().start();
    let project = gateway.project();
    let endpoint = project.endpoint(json!({"name": "e", "url": "http://127.0.0.1:9/"}));
    let event = json!({"endpoint_id": endpoint["uid"], "event_type": "order.paid", "data": {}});
    project.post("/events", &event).expect(201);
    gateway.refuse("DB", None);
    project.post("/events", &event).expect(201);
    // Whoever is not known is not let in, and is not told that the key is wrong.
    let stranger = gateway.call("POST", &format!("/api/v1/projects/{}/events", project.uid));
    stranger.bearer("CO.stranger.secret").json(&event).send().expect(503);
    gateway.allow("DB");
    poll_until("both events are stored", || (project.stored_events().len() == 2).then_some(()));
}

#[test]
fn a_source_is_found_without_its_snapshot_and_without_its_cache() {
    let mut story = Story::new(Gateway::builder().durability("queue").tapped());
    for key in story.gateway.kv_keys() {
        story.gateway.delete_kv(&key);
    }
    story.gateway.restart();
    story.post("{\"n\":0}").expect(200);
    story.wait_for_bodies(&bodies(1));
    // And from the snapshot when the database is away.
    story.gateway.restart();
    story.gateway.refuse("DB", None);
    story.post("{\"n\":1}").expect(200);
    story.gateway.allow("DB");
    story.wait_for_bodies(&bodies(2));
}

#[test]
fn an_unknown_source_is_not_taken_for_unknown_when_nobody_can_tell() {
    let story = Story::new(Gateway::builder().durability("queue").tapped());
    story.gateway.refuse("DB", None);
    story.gateway.refuse("CONFIG", None);
    let reply =
        story.gateway.call("POST", "/ingest/aaaaaaaaaaaaaaaa").body("{}").send().expect(503);
    assert!(reply.header("Retry-After").is_some());
}

#[test]
fn what_cannot_be_routed_is_buried_and_holds_up_nobody() {
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
fn a_change_that_the_edge_was_not_told_of_is_not_reported_as_made() {
    let story = Story::new(Gateway::builder().durability("queue").tapped());
    story.post("{\"n\":0}").expect(200);
    story.gateway.refuse("CONFIG", None);
    let path = format!("/sources/{}", story.source["uid"].as_str().expect("an id"));
    let disable = json!({"name": "open", "type": "http", "is_disabled": true});
    let reply = story.project().put(&path, &disable).expect(503);
    assert!(reply.message().starts_with("the change is stored"), "{}", reply.message());
    story.project().delete(&path).expect(503);
    story.gateway.allow("CONFIG");
    story.project().put(&path, &disable).expect(202);
    story.post("{\"n\":1}").expect(403);
    story.project().delete(&path).expect(200);
    story.post("{\"n\":1}").expect(404);
    story.project().put(&path, &disable).expect(404);
}

#[test]
fn one_event_that_cannot_be_stored_is_buried_alone() {
    let story = Story::new(Gateway::builder().durability("journal"));
    // An envelope that the journal took, and that is too large for a parameter once its headers are written
    // into the row of an event.
    let meta = json!({"id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "p": story.uid, "n": 0, "s": story.source["uid"],
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
    assert_eq!(gateway.get("/healthz/events").expect(200).data()["shards"][0]["state"], "ok");
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
    // They are known, but for their bodies.
    project.get(&format!("/events/{gone}")).expect(410);
    project.get(&format!("/events/{late}")).expect(503);
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
fn an_alarm_can_be_set_on_what_waits_and_on_a_shard_that_cannot_be_read() {
    // Nobody drains the journal.
    let gateway = Gateway::builder().durability("journal").sink("inlet-ingest-0").tapped().start();
    let project = gateway.project();
    let source = project.open_source();
    let health = || gateway.get("/healthz/events");
    let state = |status: u16, state: &str| {
        poll_until(state, || {
            let reply = health();
            let is_so = reply.status == status && reply.data()["shards"][0]["state"] == state;
            is_so.then(|| reply.data()["shards"][0].clone())
        })
    };
    assert_eq!(state(200, "ok")["events_wait_ms"], 0);
    let journals = ["journal_0", "journal_1"];
    poll_until("a row that waits", || {
        project.ingest(&source, b"{}").expect(200);
        let count = |table| gateway.sql("EVENTS_0", &format!("SELECT seq FROM {table}"), &[]).len();
        (0 < journals.into_iter().map(count).sum::<usize>()).then_some(())
    });
    for table in journals {
        let sql = format!(r#"UPDATE {table} SET meta = replace(meta, '"at":17', '"at":16')"#);
        gateway.sql("EVENTS_0", &sql, &[]);
    }
    let waiting = state(503, "waiting");
    assert!(waiting["events_wait_ms"].as_u64().is_some_and(|ms| 120_000 < ms), "{waiting}");
    gateway.refuse("EVENTS_0", None);
    assert_eq!(state(503, "unreadable")["events_wait_ms"], Value::Null);
    gateway.allow("EVENTS_0");
    for table in journals {
        gateway.sql("EVENTS_0", &format!("DELETE FROM {table}"), &[]);
    }
    state(200, "ok");
}
