//! Several event databases: where projects go, and that one which does not answer holds up no other.

use std::time::{Duration, Instant};

use inlet_tests::{Builder, Endpoint, Gateway, Project, ROOT_KEY, poll_until, shard};
use serde_json::{Value, json};

const COUNT: &str = "SELECT count(*) AS n FROM events WHERE project_id = ?1";

fn two() -> Builder {
    Gateway::builder().shards(2).var("LOCAL_QUEUE", "false").tapped()
}

/// What a project is created with, and what is answered.
fn create(gateway: &Gateway, fields: Value) -> (u16, Value) {
    let mut body = json!({"name": format!("p-{fields}"), "type": "incoming"});
    for (name, value) in fields.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let reply = gateway.call("POST", "/api/v1/projects").bearer(ROOT_KEY).json(&body).send();
    (reply.status, reply.json())
}

fn on(gateway: &Gateway, shard: u32) -> Project<'_> {
    gateway
        .create_project(json!({"name": format!("on-{shard}"), "type": "incoming", "shard": shard}))
}

/// How many events of a project each database holds.
fn held(gateway: &Gateway, project: &Project<'_>) -> [Value; 2] {
    ["EVENTS_0", "EVENTS_1"].map(|db| gateway.sql(db, COUNT, &[json!(project.uid)])[0]["n"].clone())
}

#[test]
fn projects_are_spread_and_stay_where_they_are() {
    let gateway = two().start();
    let shard_of = |name: &str| {
        let (status, body) = create(&gateway, json!({"name": name}));
        assert_eq!(status, 201, "{body}");
        body["data"]["project"]["shard"].clone()
    };
    assert_eq!(["a", "b", "c", "d"].map(shard_of), [0, 1, 0, 1]);
    let (status, body) = create(&gateway, json!({"name": "e", "shard": 1}));
    assert_eq!((status, &body["data"]["project"]["shard"]), (201, &json!(1)));
    let key = body["data"]["api_key"]["key"].as_str().expect("a key").to_owned();
    let path =
        format!("/api/v1/projects/{}", body["data"]["project"]["uid"].as_str().expect("an id"));
    for (shard, expect) in [
        (json!(2), "shard:there is no event database 2, the last is 1"),
        (json!(-1), "shard:a whole number from 0"),
        (json!("1"), "body contains incorrect JSON type for field \"shard\""),
    ] {
        let (status, body) = create(&gateway, json!({"name": "f", "shard": shard}));
        let message = body["message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.starts_with(expect), "{shard}: {status} {message}");
    }
    // What was read can be sent back; another place cannot be had.
    let put = |body: &Value| gateway.call("PUT", &path).bearer(&key).json(body).send();
    let read = gateway.call("GET", &path).bearer(&key).send().expect(200).data();
    put(&json!({"name": "e2", "shard": read["shard"]})).expect(202);
    let refused = put(&json!({"name": "e2", "shard": 0})).expect(400).json();
    assert_eq!(refused["message"], "shard:a project stays in its event database: it is 1");
}

#[test]
fn what_a_project_has_is_in_its_database_alone() {
    if shard() > 0 {
        return; // Here the first database has the name of another.
    }
    for durability in ["queue", "journal"] {
        let gateway = two().durability(durability).start();
        for shard in [0, 1] {
            let project = on(&gateway, shard);
            let source = project.open_source();
            let endpoint = Endpoint::ok();
            project.route(&source, &endpoint);
            let reply = project.ingest(&source, b"{\"n\":1}").expect(200);
            let event = reply.header("inlet-event-id").expect("an id").to_owned();
            let large = format!("{{\"pad\":\"{}\"}}", "x".repeat(200_000));
            project.ingest(&source, large.as_bytes()).expect(200);
            project.wait_for_event(&event);
            project.wait_for_delivery(&event, "Success");
            endpoint.wait_for(2);
            let expect = if shard == 0 { [2, 0] } else { [0, 2] };
            assert_eq!(held(&gateway, &project), expect.map(|n| json!(n)), "{durability} {shard}");
            assert_eq!(
                project.get("/events").expect(200).data()["content"].as_array().map(Vec::len),
                Some(2)
            );
            let counted =
                project.get(&format!("/sources/{}", source["uid"].as_str().expect("an id")));
            assert_eq!(counted.expect(200).data()["event_count"], 2, "{durability} {shard}");
            // And goes with it.
            project
                .gateway
                .call("DELETE", &format!("/api/v1/projects/{}", project.uid))
                .bearer(ROOT_KEY)
                .send()
                .expect(200);
            poll_until("its events are gone", || {
                gateway.cron();
                (held(&gateway, &project) == [json!(0), json!(0)]).then_some(())
            });
        }
        let rows = gateway.sql(
            "EVENTS_1",
            "SELECT count(*) AS n FROM journal_0 UNION ALL SELECT count(*) FROM journal_1",
            &[],
        );
        let used = rows.iter().any(|row| row["n"] != 0);
        assert_eq!(used, durability == "journal");
    }
}

#[test]
fn a_database_that_fails_holds_up_no_other() {
    for durability in ["queue", "journal"] {
        Ill::start(durability).gets_well(|gateway| gateway.refuse("EVENTS_1", None));
    }
}

#[test]
fn a_database_that_hangs_holds_up_no_other() {
    for durability in ["queue", "journal"] {
        let hang = Duration::from_secs(20);
        Ill::start(durability).gets_well(|gateway| gateway.slow_down("EVENTS_1", None, hang));
    }
}

fn deliveries(gateway: &Gateway, project: &Project<'_>) -> Value {
    let sql = "SELECT count(*) AS n FROM deliveries WHERE project_id = ?1";
    gateway.sql("EVENTS_1", sql, &[json!(project.uid)])[0]["n"].clone()
}

#[test]
fn meta_events_for_a_database_that_fails_hold_up_no_others() {
    if shard() > 0 {
        return; // Here the first database has the name of another.
    }
    let gateway = two().durability("journal").start();
    let listeners = [Endpoint::ok(), Endpoint::ok()];
    let [well, ill] = [0, 1].map(|shard| {
        let config = json!({"meta_event": {"is_enabled": true, "type": "http", "secret": "s",
            "url": listeners[shard].url("/meta"), "event_type": ["endpoint.created"]}});
        let name = format!("on-{shard}");
        gateway.create_project(
            json!({"name": name, "type": "outgoing", "shard": shard, "config": config}),
        )
    });
    let bindings = ["EVENTS_0", "INGEST_0", "EVENTS_1", "INGEST_1"];
    for binding in bindings {
        gateway.refuse(binding, None);
    }
    // More than one sweep takes, and all of them older.
    for n in 0..101 {
        ill.endpoint(json!({"name": format!("e{n}"), "url": "https://example.com/"}));
    }
    well.endpoint(json!({"name": "e", "url": "https://example.com/"}));
    gateway.allow("EVENTS_0");
    gateway.allow("INGEST_0");
    gateway.cron();
    listeners[0].wait_for(1);
    assert_eq!(listeners[1].count(), 0);
    gateway.allow("EVENTS_1");
    gateway.allow("INGEST_1");
    poll_until("the others are told of", || {
        gateway.cron();
        (listeners[1].count() == 101).then_some(())
    });
    assert_eq!(listeners[0].count(), 1);
}

#[test]
fn a_database_that_is_not_bound_any_more_is_not_taken_for_well() {
    let mut gateway = two().start();
    let lost = on(&gateway, 1).key;
    gateway.get("/healthz/events").expect(200);
    gateway.restart_with(|builder| builder.shards(1));
    let health = gateway.get("/healthz/events").expect(503).json();
    assert_eq!(health["data"]["shards"][1]["state"], "unreadable");
    for key in [ROOT_KEY, &lost] {
        let metrics = gateway.call("GET", "/metrics").bearer(key).send().expect(200).text();
        assert!(metrics.contains("inlet_shard_up{shard=\"1\"} 0"), "{metrics}");
    }
}

/// Two projects, on two databases, of which the second is about to fall ill.
struct Ill {
    gateway: Gateway,
}

impl Ill {
    fn start(durability: &str) -> Self {
        Self { gateway: two().durability(durability).start() }
    }

    fn gets_well(&self, fall_ill: impl FnOnce(&Gateway)) {
        let gateway = &self.gateway;
        let (well, ill) = (Lane::on(gateway, 0), Lane::on(gateway, 1));
        // A bell that is rung again and again is at hand when it falls ill.
        gateway.refuse("EVENTS_1", Some("UPDATE deliveries"));
        ill.ingest();
        poll_until("a delivery waits", || (deliveries(gateway, &ill.project) == 2).then_some(()));
        fall_ill(gateway);
        // Its events are taken in by the other way, and wait.
        ill.ingest();
        let began = Instant::now();
        for _ in 0..5 {
            well.ingest();
        }
        well.endpoint.wait_for(6);
        assert!(began.elapsed() < Duration::from_secs(10));
        let (status, body) = create(gateway, json!({"name": "another"}));
        assert_eq!((status, &body["data"]["project"]["shard"]), (201, &json!(0)));
        let health = gateway.get("/healthz/events").expect(503).json();
        let shown = [0, 1].map(|shard| &health["data"]["shards"][shard]["state"]);
        assert_eq!(shown, ["ok", "unreadable"]);
        let metrics = gateway.call("GET", "/metrics").bearer(ROOT_KEY).send().expect(200).text();
        for (shard, up) in [(0, 1), (1, 0)] {
            let line = format!("inlet_shard_up{{shard=\"{shard}\"}} {up}");
            assert!(metrics.contains(&line), "{metrics}");
        }
        assert_eq!(ill.endpoint.count(), 1);
        gateway.allow("EVENTS_1");
        poll_until("what waited is delivered", || {
            gateway.cron();
            (ill.endpoint.count() == 3).then_some(())
        });
        gateway.get("/healthz/events").expect(200);
    }
}

/// A source that goes to an endpoint, and has brought one event.
struct Lane<'g> {
    project: Project<'g>,
    source: Value,
    endpoint: Endpoint,
}

impl<'g> Lane<'g> {
    fn on(gateway: &'g Gateway, shard: u32) -> Self {
        let (project, endpoint) = (on(gateway, shard), Endpoint::ok());
        let source = project.open_source();
        // With a limit it has a bell.
        let limit = json!({"rate_limit": 100, "rate_limit_duration": 1});
        project.route_with(&source, &endpoint, limit);
        let lane = Self { project, source, endpoint };
        lane.ingest();
        lane.endpoint.wait_for(1);
        lane
    }

    fn ingest(&self) {
        self.project.ingest(&self.source, b"{}").expect(200);
    }
}
