//! Subscriptions that are deleted, or lead elsewhere, while deliveries of theirs are not over.

use inlet_tests::{Answer, Endpoint, Gateway, Project, poll_until, uid};
use serde_json::{Value, json};

use crate::gateway;

const PUBLIC: &str = "function transform(x) { return {only: x.pub} }";
const BODY: &[u8] = br#"{"pub": 1, "priv": "SECRET"}"#;
const MADE: &[u8] = br#"{"only":1}"#;
const DELETED: &str =
    "the subscription was deleted, and with it the function that made what its deliveries send";

struct Way {
    project: Project<'static>,
    server: Endpoint,
    source: Value,
    endpoint: String,
    subscription: String,
}

impl Way {
    fn new(server: Endpoint, more: &Value) -> Self {
        let config = json!({"strategy": {"type": "linear", "duration": 1, "retry_count": 20}, "circuit_breaker": {"enabled": false}});
        let project = gateway().project_with(config);
        let source = project.open_source();
        let endpoint = uid(&project.endpoint(json!({"name": "e", "url": server.url("/")})));
        let mut body = json!({"name": "s", "source_id": source["uid"], "endpoint_id": endpoint});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let subscription = uid(&project.subscription(body));
        Self { project, server, source, endpoint, subscription }
    }

    fn post(&self) -> String {
        let reply = self.project.ingest(&self.source, BODY).expect(200);
        reply.json()["event_id"].as_str().expect("an id").to_owned()
    }

    fn pause(&self) {
        self.project.put(&format!("/endpoints/{}/pause", self.endpoint), &json!({})).expect(202);
    }

    fn activate(&self) {
        self.project
            .post(&format!("/endpoints/{}/activate", self.endpoint), &json!({}))
            .expect(202);
    }

    fn delete_subscription(&self) {
        self.project.delete(&format!("/subscriptions/{}", self.subscription)).expect(200);
    }

    fn delete_source(&self) {
        self.project.delete(&format!("/sources/{}", uid(&self.source))).expect(200);
    }

    /// Subscribes another endpoint instead.
    fn move_away(&self) -> Endpoint {
        let other = Endpoint::ok();
        let to = uid(&self.project.endpoint(json!({"name": "other", "url": other.url("/")})));
        let path = format!("/subscriptions/{}", self.subscription);
        self.project.put(&path, &json!({"endpoint_id": to})).expect(202);
        other
    }

    /// Waits until so many deliveries wait with this description.
    fn wait_for_waiting(&self, count: usize, description: &str) {
        poll_until("deliveries wait", || {
            let deliveries = self.project.list("/eventdeliveries");
            let waits = |one: &&Value| {
                one["description"].as_str().is_some_and(|text| text.contains(description))
            };
            (deliveries.iter().filter(waits).count() == count).then_some(())
        });
    }

    fn bodies(&self) -> Vec<Vec<u8>> {
        self.server.received().into_iter().map(|one| one.body).collect()
    }
}

#[test]
fn what_waits_for_a_subscription_that_is_deleted_goes_to_nobody_without_its_function() {
    for delete in [Way::delete_subscription, Way::delete_source] {
        let way = Way::new(Endpoint::ok(), &json!({"function": PUBLIC}));
        way.pause();
        let event = way.post();
        way.wait_for_waiting(1, "the endpoint is paused");
        delete(&way);
        way.activate();
        let delivery = way.project.wait_for_delivery(&event, "Discarded");
        assert_eq!(delivery["description"], DELETED);
        assert_eq!(way.bodies(), [] as [Vec<u8>; 0]);
        let path = format!("/eventdeliveries/{}", uid(&delivery));
        for shown in [&way.project.get(&path).expect(200).data(), &delivery] {
            assert_eq!(shown["metadata"]["omitted_because"], DELETED);
            assert!(!shown.to_string().contains("SECRET"), "{shown}");
        }
        let refused = way.project.put(&format!("{path}/resend"), &json!({})).expect(400);
        assert_eq!(refused.message(), DELETED);
        let count = way.project.get("/eventdeliveries/countbatchretryevents").expect(200).data();
        let retried =
            way.project.post("/eventdeliveries/batchretry", &json!({})).expect(200).data();
        for tally in [count, retried] {
            assert_eq!(
                (&tally["num"], &tally["reasons"]),
                (&json!(0), &json!([{"reason": DELETED, "num": 1}]))
            );
        }
    }
}

/// Of a subscription that a version before deleted nothing is left: not even whether a function made what it sends.
#[test]
fn what_waits_for_a_subscription_of_which_nothing_is_known_goes_to_nobody() {
    let unknown = "the subscription was deleted, and nothing is left that says what its deliveries send: \
        replay the event for those who subscribe now";
    let way = Way::new(Endpoint::ok(), &json!({"function": PUBLIC}));
    way.pause();
    let event = way.post();
    way.wait_for_waiting(1, "the endpoint is paused");
    gateway().sql("DB", "DELETE FROM subscriptions WHERE id = ?1", &[json!(way.subscription)]);
    way.activate();
    let delivery = way.project.wait_for_delivery(&event, "Discarded");
    assert_eq!(delivery["description"], unknown);
    let path = format!("/eventdeliveries/{}", uid(&delivery));
    for shown in [&way.project.get(&path).expect(200).data(), &delivery] {
        assert_eq!(shown["metadata"]["omitted_because"], unknown);
        assert!(!shown.to_string().contains("SECRET"), "{shown}");
    }
    let refused = way.project.put(&format!("{path}/resend"), &json!({})).expect(400);
    assert_eq!(refused.message(), unknown);
    assert_eq!(way.bodies(), [] as [Vec<u8>; 0]);
    // One that is deleted by this version says so, also if it had nothing to say.
    let plain = Way::new(Endpoint::ok(), &json!({}));
    plain.pause();
    plain.post();
    plain.wait_for_waiting(1, "the endpoint is paused");
    plain.delete_subscription();
    plain.activate();
    assert_eq!(plain.server.wait_for_one().body, BODY);
}

#[test]
fn a_retry_and_a_forced_resend_do_not_go_out_without_the_function_that_is_deleted() {
    let refusing = Endpoint::answering(&[Answer::status(500)]);
    let way = Way::new(refusing, &json!({"function": PUBLIC}));
    let event = way.post();
    way.server.wait_for_one();
    way.delete_subscription();
    way.project.wait_for_delivery(&event, "Discarded");
    assert!(way.bodies().iter().all(|body| body == MADE), "{:?}", way.bodies());

    let way = Way::new(Endpoint::ok(), &json!({"function": PUBLIC}));
    let delivery = uid(&way.project.wait_for_delivery(&way.post(), "Success"));
    way.delete_subscription();
    let forced = way.project.post("/eventdeliveries/forceresend", &json!({"ids": [delivery]}));
    let data = forced.says(200, "0 successful, 1 failed");
    assert_eq!(data, json!({"failed": [{"uid": delivery, "reason": DELETED}]}));
    assert_eq!(way.bodies(), [MADE]);
}

#[test]
fn what_had_no_function_goes_on_as_its_deleted_subscription_said() {
    let refusing = Endpoint::answering(&[Answer::status(500)]);
    let retry = json!({"type": "linear", "duration": 1, "retry_count": 3});
    let way = Way::new(refusing, &json!({"retry_config": retry}));
    let event = way.post();
    way.server.wait_for_one();
    way.delete_subscription();
    let delivery = way.project.wait_for_delivery(&event, "Failure");
    assert_eq!(delivery["metadata"]["num_trials"], 3, "and not 20, as the project says");
    assert_eq!(delivery["metadata"]["retry_limit"], 3);
    assert!(way.bodies().iter().all(|body| body == BODY));
}

#[test]
fn what_is_left_of_a_subscription_goes_when_no_delivery_can_be_its_own() {
    let gateway = Gateway::builder().start();
    let project = gateway.project();
    let (source, server) = (project.open_source(), Endpoint::ok());
    let endpoint = project.endpoint(json!({"name": "e", "url": server.url("/")}));
    let subscription = uid(&project.subscription(
        json!({"name": "s", "source_id": source["uid"], "endpoint_id": endpoint["uid"]}),
    ));
    project.ingest(&source, BODY).expect(200);
    server.wait_for_one();
    project.delete(&format!("/subscriptions/{subscription}")).expect(200);
    let gone = format!("{}/gone", project.uid);
    let is_left = || {
        gateway.cron();
        let sql = "SELECT id FROM subscriptions WHERE project_id = ?1";
        !gateway.sql("DB", sql, &[json!(gone)]).is_empty()
    };
    assert!(is_left(), "it may still have deliveries to come");
    let long_ago = "UPDATE subscriptions SET doc = json_set(doc, '$.gone_at', doc ->> '$.gone_at' - 3 * 86400000) WHERE project_id = ?1";
    gateway.sql("DB", long_ago, &[json!(gone)]);
    let old = "UPDATE deliveries SET id = '01ARZ3NDEKTSV4RRFFQ69G5FAV' WHERE project_id = ?1";
    gateway.sql("EVENTS_0", old, &[json!(project.uid)]);
    assert!(is_left(), "a delivery is older than its end");
    gateway.sql("EVENTS_0", "DELETE FROM deliveries WHERE project_id = ?1", &[json!(project.uid)]);
    poll_until("it to be forgotten", || (!is_left()).then_some(()));
}

#[test]
fn a_subscription_that_has_moved_makes_what_it_left_behind() {
    let way = Way::new(Endpoint::ok(), &json!({"function": PUBLIC}));
    way.pause();
    let event = way.post();
    way.wait_for_waiting(1, "the endpoint is paused");
    let other = way.move_away();
    way.activate();
    let delivery = way.project.wait_for_delivery(&event, "Success");
    assert_eq!(way.bodies(), [MADE]);
    let shown = way.project.get(&format!("/eventdeliveries/{}", uid(&delivery))).expect(200).data();
    assert_eq!(shown["metadata"]["data"], json!({"only": 1}));
    assert_eq!(other.count(), 0);
}

#[test]
fn what_waits_under_a_limit_goes_when_its_subscription_does() {
    let limit = json!({"rate_limit_config": {"count": 1, "duration": 3600}});
    let ends: [&dyn Fn(&Way); 3] =
        [&Way::delete_subscription, &Way::delete_source, &|way| drop(way.move_away())];
    for end in ends {
        let way = Way::new(Endpoint::ok(), &limit);
        for _ in 0..3 {
            way.post();
        }
        way.server.wait_for_one();
        way.wait_for_waiting(2, "waits for room under a rate limit");
        end(&way);
        way.server.wait_for(3);
    }
}

#[test]
fn of_resends_at_the_same_time_one_is_made_and_the_others_are_told() {
    let server = Endpoint::answering(&[Answer::status(410)]);
    let way = Way::new(server, &json!({}));
    let path = format!(
        "/eventdeliveries/{}/resend",
        uid(&way.project.wait_for_delivery(&way.post(), "Failure"))
    );
    // Long enough that all of them ask while the one call is under way.
    way.server.answer(&[Answer::ok().after(std::time::Duration::from_secs(3))]);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let calls: Vec<_> =
            (0..12).map(|_| scope.spawn(|| way.project.put(&path, &json!({})).status)).collect();
        calls.into_iter().map(|call| call.join().expect("an answer")).collect()
    });
    let made = statuses.iter().filter(|status| **status == 200).count();
    let told = statuses.iter().filter(|status| **status == 400).count();
    assert_eq!((made, told), (1, 11), "{statuses:?}");
    assert_eq!(way.server.wait_for(2).len(), 2);
}

#[test]
fn a_body_that_is_made_goes_without_what_its_sender_said_of_the_other() {
    let project = gateway().project();
    let plain = project.open_source();
    let made = project.open_source_with(json!({"body_function": PUBLIC}));
    let [by_source, by_subscription, as_form, raw] = [(); 4].map(|()| Endpoint::ok());
    let route = |source: &Value, server: &Endpoint, content_type: &str, function: &str| {
        let endpoint = project
            .endpoint(json!({"name": "e", "url": server.url("/"), "content_type": content_type}));
        project.subscription(json!({"name": "s", "source_id": source["uid"], "endpoint_id": endpoint["uid"], "function": function}));
    };
    route(&made, &by_source, "application/json", "");
    route(&plain, &by_subscription, "application/json", PUBLIC);
    route(&plain, &as_form, "application/x-www-form-urlencoded", "");
    route(&plain, &raw, "application/json", "");
    let said = ["content-encoding", "digest", "content-md5", "content-digest"];
    for source in [&made, &plain] {
        let call = project.ingest_call(source).header("Content-Type", "application/json");
        let call = said.iter().fold(call, |call, name| call.header(name, "gzip"));
        call.header("X-Tenant", "acme").body(BODY.to_vec()).send().expect(200);
    }
    for (server, body) in
        [(&by_source, MADE), (&by_subscription, MADE), (&as_form, b"pub=1&priv=SECRET")]
    {
        let got = server.wait_for_one();
        assert_eq!((&*got.body, got.header("x-tenant")), (body, Some("acme")));
        assert_eq!(said.map(|name| got.header(name)), [None; 4]);
    }
    assert_eq!(raw.wait_for_one().header("digest"), Some("gzip"), "its own body keeps it");
}
