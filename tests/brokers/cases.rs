//! What holds for every broker: how messages become events, and what becomes of those that do not.

use inlet_tests::{Endpoint, poll_until};
use serde_json::{Value, json};

use crate::servers::{Record, Server};
use crate::world::{Companion, World, is_there, number, uid};

/// A test of this name for each of these functions.
macro_rules! for_each_case {
    ($server:expr) => {
        crate::cases::for_each_case! { @ $server;
            cases: single_basic_delivery fanout_to_every_endpoint_of_an_owner broadcast_to_all_subscribers
                dynamic_to_a_url event_types_are_filtered no_matching_subscription several_workers
                what_is_no_event_is_a_dead_letter poison_in_the_middle_holds_up_nobody raw_bytes_are_mapped
                large_messages headers_and_keys_arrive headers_that_http_cannot_carry custom_headers_win
                idempotency_keys_are_asked order_is_kept status_and_check;
            filtered: body_filter_equal body_filter_greater_than body_filter_in header_filter combined_filters
                filter_mismatch_makes_no_delivery source_body_function source_header_function subscription_function;
            faults: an_outage_of_the_gateway_loses_nothing killed_at_any_moment_it_loses_nothing_and_doubles_nothing
                the_broker_restarts two_companions_share_the_work a_key_that_is_deleted_stops_it
                wrong_credentials_are_told unreachable_hosts_are_told a_place_that_comes_later_is_waited_for;
        }
    };
    (@ $server:expr; $($module:ident: $($case:ident)*;)*) => {
        $($(
            #[test]
            fn $case() {
                crate::cases::run($server, crate::$module::$case);
            }
        )*)*
    };
}
pub(crate) use for_each_case;

pub(crate) fn run<S: Server>(server: S, case: fn(S)) {
    if is_there::<S>() {
        case(server);
    }
}

fn subscribe<S: Server>(world: &World<'_, S>, endpoint: &str, types: &[&str]) {
    world.project.subscription(json!({"name": "s", "endpoint_id": endpoint,
        "source_id": world.source["uid"], "filter_config": {"event_types": types}}));
}

pub(crate) fn single_basic_delivery<S: Server>(server: S) {
    let world = World::new(server);
    let data = r#"{ "z": 1.10, "a": 12345678901234567890123, "u": "<ö>" }"#;
    let body = format!(
        r#"{{"endpoint_id":"{}","event_type":"invoice.paid","data":{data},"custom_headers":{{"X-Own":"1"}}}}"#,
        world.endpoint
    );
    world.publish(&[Record::new(body)]);
    let _companion = world.companion();
    let event = world.one_event();
    assert_eq!(event["event_type"], "invoice.paid");
    assert_eq!(event["source_id"], world.source["uid"]);
    let delivery = world.project.wait_for_delivery(&uid(&event), "Success");
    let attempt = &world.project.attempts(&uid(&delivery))[0];
    assert_eq!(attempt["http_status"], "200 OK");
    let received = world.receiver.wait_for_one();
    assert_eq!(received.text(), data, "byte for byte");
    assert_eq!(received.header("x-own"), Some("1"));
    let id = received.header("x-broker-message-id").expect("the broker's id").to_owned();
    let found = world.project.list(&format!("/events?brokerMessageId={id}"));
    assert_eq!(found.iter().map(uid).collect::<Vec<_>>(), [uid(&event)]);
}

pub(crate) fn fanout_to_every_endpoint_of_an_owner<S: Server>(server: S) {
    let world = World::new(server);
    let second = Endpoint::ok();
    let stranger = Endpoint::ok();
    for (url, owner) in [(second.url("/hook"), "owner"), (stranger.url("/hook"), "other")] {
        world.project.endpoint(json!({"name": "more", "url": url, "owner_id": owner}));
    }
    let body = json!({"owner_id": "owner", "event_type": "t", "data": {"n": 1}});
    world.publish(&[Record::new(body.to_string()).header("x-convoy-message-type", "fanout")]);
    let _companion = world.companion();
    world.receiver.wait_for_one();
    second.wait_for_one();
    let event = uid(&world.one_event());
    assert_eq!(world.project.deliveries(&event).len(), 2);
    assert_eq!(stranger.count(), 0);
}

pub(crate) fn broadcast_to_all_subscribers<S: Server>(server: S) {
    let world = World::new(server);
    let second = Endpoint::ok();
    let more = uid(&world.project.endpoint(json!({"name": "more", "url": second.url("/hook")})));
    subscribe(&world, &world.endpoint, &["*"]);
    subscribe(&world, &more, &["news"]);
    let of = |kind: &str| {
        let body = json!({"event_type": kind, "data": {"kind": kind}});
        Record::new(body.to_string()).header("X-Convoy-Message-Type", "broadcast")
    };
    world.publish(&[of("news"), of("gossip")]);
    let _companion = world.companion();
    world.receiver.wait_for(2);
    assert_eq!(second.wait_for_one().text(), r#"{"kind":"news"}"#);
    let delivered = || {
        let all = world.project.list("/eventdeliveries");
        all.iter().filter(|one| one["status"] == "Success").count()
    };
    poll_until("three deliveries", || (delivered() == 3).then_some(()));
    assert_eq!((world.receiver.count(), second.count()), (2, 1));
}

pub(crate) fn dynamic_to_a_url<S: Server>(server: S) {
    let world = World::new(server);
    let other = Endpoint::ok();
    let body = json!({"url": other.url("/dynamic"), "event_type": "t", "data": 5});
    world.publish(&[Record::new(body.to_string()).header("x-convoy-message-type", "dynamic")]);
    let _companion = world.companion();
    assert_eq!(other.wait_for_one().text(), "5");
}

pub(crate) fn event_types_are_filtered<S: Server>(server: S) {
    let world = World::new(server);
    subscribe(&world, &world.endpoint, &["wanted"]);
    let kinds = ["wanted", "unwanted", "wanted"];
    let records: Vec<Record> =
        (0..).zip(kinds).map(|(n, kind)| world.single(kind, &json!({"n": n}))).collect();
    let fanned = kinds.map(|kind| {
        let body = json!({"owner_id": "owner", "event_type": kind, "data": {"n": 9}});
        Record::new(body.to_string()).header("x-convoy-message-type", "fanout")
    });
    world.publish(&records);
    world.publish(&fanned);
    let _companion = world.companion();
    world.wait_for_numbers(6);
    let received = world.receiver.wait_for(4);
    let deliveries = world.project.stored_deliveries();
    assert_eq!((received.len(), deliveries.len()), (4, 4));
    assert!(!received.iter().any(|one| one.text().contains("\"n\":1")));
}

pub(crate) fn no_matching_subscription<S: Server>(server: S) {
    let world = World::new(server);
    subscribe(&world, &world.endpoint, &["other"]);
    world.publish(&[world.single("t", &json!({"n": 1}))]);
    let _companion = world.companion();
    let event = uid(&world.one_event());
    // What comes later is through, so what came before is decided.
    world.publish(&[world.single("other", &json!({"n": 2}))]);
    world.receiver.wait_for_one();
    assert!(world.project.deliveries(&event).is_empty());
}

pub(crate) fn several_workers<S: Server>(server: S) {
    let world = World::of(server, json!({"workers": 3}));
    let keys = ["a", "b", "c"].into_iter().cycle();
    let records: Vec<Record> =
        (0..60).zip(keys).map(|(n, key)| number(&world.silent, n).key(key)).collect();
    world.publish(&records);
    let _companion = world.companion();
    let mut numbers = world.wait_for_numbers(60);
    numbers.sort_unstable();
    assert_eq!(numbers, (0..60).collect::<Vec<_>>());
    let status = world.status("three workers", |status| status["state"] == "connected");
    assert!(status["error"].is_null(), "{status}");
}

/// What is wrong, and a word of the reason.
fn poison<S: Server>(world: &World<'_, S>) -> Vec<(Record, &'static str)> {
    let of = |value: Value| Record::new(value.to_string());
    let single = |value: Value| of(value).header("x-convoy-message-type", "single");
    let endpoint = &world.endpoint;
    let mut all = vec![
        (Record::new("not JSON"), "JSON"),
        (of(json!([1, 2])), "object"),
        (single(json!({"endpoint_id": "nobody", "event_type": "t", "data": 1})), "endpoint"),
        (single(json!({"endpoint_id": endpoint, "data": 1})), "event type"),
        (single(json!({"endpoint_id": endpoint, "event_type": "t"})), "data"),
        (single(json!({"event_type": "t", "data": 1})), "endpoint"),
        (
            single(
                json!({"endpoint_id": endpoint, "event_type": "t", "data": 1, "custom_headers": {"a b": "1"}}),
            ),
            "not a header name",
        ),
        (
            of(json!({"event_type": "t", "data": 1})).header("x-convoy-message-type", "fanout"),
            "owner",
        ),
        (
            of(json!({"event_type": "t", "data": 1})).header("x-convoy-message-type", "shout"),
            "shout",
        ),
    ];
    if S::NAME != "sqs" {
        all.push((Record::new(""), ""));
    }
    all
}

pub(crate) fn what_is_no_event_is_a_dead_letter<S: Server>(server: S) {
    let world = World::new(server);
    let poison = poison(&world);
    let records: Vec<Record> = poison.iter().map(|(record, _)| record.clone().key("one")).collect();
    world.publish(&records);
    let _companion = world.companion();
    let letters = world.dead_letters(records.len());
    for (record, word) in &poison {
        let body = String::from_utf8_lossy(&record.body);
        let letter = letters.iter().find(|letter| {
            let shown =
                world.project.get(&format!("/dead-letters/{}", uid(letter))).expect(200).data();
            let raw = shown["raw"].as_str().unwrap_or_default();
            let reason = shown["reason"].as_str().unwrap_or_default();
            raw == body && reason.to_lowercase().contains(&word.to_lowercase())
        });
        assert!(letter.is_some(), "{body} ({word}): {letters:#?}");
    }
    assert!(world.project.list("/events").is_empty());
    // They are settled: nothing comes again.
    world.status("all of it done", |status| {
        let all = status["companions"].as_array().into_iter().flatten();
        let dead: u64 = all.filter_map(|one| one["dead_letters"].as_u64()).sum();
        dead == records.len() as u64
    });
}

pub(crate) fn poison_in_the_middle_holds_up_nobody<S: Server>(server: S) {
    let world = World::new(server);
    let mut records = world.numbers(0..20);
    records.insert(10, Record::new("{\"poison\"").key("one"));
    world.publish(&records);
    let companion = world.companion();
    assert_eq!(world.wait_for_numbers(20).len(), 20);
    let letter = &world.dead_letters(1)[0];
    assert_eq!(letter["source_id"], world.source["uid"]);
    companion.stop();
    // It is settled: the next companion gets only what is new.
    world.publish(&world.numbers(20..21));
    let _second = world.companion();
    world.wait_for_numbers(21);
    assert_eq!(world.dead_letters(1).len(), 1);
}

pub(crate) fn raw_bytes_are_mapped<S: Server>(server: S) {
    let mapping = json!({"mode": "raw", "event_type": "sensor", "event_type_header": "x-type"});
    let world = World::of(server, json!({"mapping": mapping}));
    subscribe(&world, &world.endpoint, &["*"]);
    // SQS has text only.
    let bytes: Vec<u8> =
        if S::NAME == "sqs" { "größe".as_bytes().to_vec() } else { (0..=255).collect() };
    world.publish(&[Record::new(bytes.clone()), Record::new("two").header("x-type", "other")]);
    let _companion = world.companion();
    let received = world.receiver.wait_for(2);
    assert!(received.iter().any(|one| one.body == bytes), "the bytes as they were");
    let mut types: Vec<String> = world
        .project
        .list("/events")
        .iter()
        .map(|event| event["event_type"].as_str().unwrap().to_owned())
        .collect();
    types.sort();
    assert_eq!(types, ["other", "sensor"]);
}

pub(crate) fn large_messages<S: Server>(server: S) {
    let world = World::new(server);
    let fits = S::LARGEST.min(4_000_000);
    let large = world.single("t", &json!({"n": 1, "fill": "x".repeat(fits - 1000)}));
    world.publish(&[large, world.single("t", &json!({"n": 2}))]);
    if S::LARGEST > 5_300_000 {
        world.publish(&[world.single("t", &json!({"fill": "y".repeat(S::LARGEST - 1000)}))]);
    }
    let _companion = world.companion();
    let received = world.receiver.wait_for(2);
    assert!(received.iter().any(|one| one.body.len() > fits - 1000));
    if S::LARGEST > 5_300_000 {
        let letter = &world.dead_letters(1)[0];
        let reason = letter["reason"].as_str().unwrap();
        assert!(reason.contains("takes at most 5242880"), "{reason}");
    }
}

pub(crate) fn headers_and_keys_arrive<S: Server>(server: S) {
    let world = World::new(server);
    let record = world.single("t", &json!(1)).header("X-Trace", "trace 1").key("customer-7");
    world.publish(&[record]);
    let _companion = world.companion();
    let received = world.receiver.wait_for_one();
    assert_eq!(received.header("x-trace"), Some("trace 1"));
    // An AMQP message is routed by the name of its queue here.
    let key = if S::NAME == "rabbitmq" { &world.place.name } else { "customer-7" };
    assert_eq!(received.header("x-broker-message-key"), Some(key));
}

pub(crate) fn headers_that_http_cannot_carry<S: Server>(server: S) {
    let world = World::new(server);
    let mut record = world.single("t", &json!(1)).header("X-Odd", "one\nX-Forged: 1\u{7f}");
    // SQS itself refuses such a name.
    if S::NAME != "sqs" {
        record = record.header("x odd:\nname", "1");
    }
    world.publish(&[record]);
    let _companion = world.companion();
    let received = world.receiver.wait_for_one();
    assert_eq!(received.header("x-odd"), Some("oneX-Forged: 1"));
    assert_eq!(received.header("x-forged"), None);
    assert!(world.project.list("/dead-letters").is_empty());
}

pub(crate) fn custom_headers_win<S: Server>(server: S) {
    let world = World::new(server);
    let body = json!({"endpoint_id": world.endpoint, "event_type": "t", "data": 1,
        "custom_headers": {"X-Both": "event"}});
    let record = Record::new(body.to_string());
    world.publish(&[record.header("X-Both", "broker").header("X-One", "broker")]);
    let _companion = world.companion();
    let received = world.receiver.wait_for_one();
    let found = (received.header("x-both"), received.header("x-one"));
    assert_eq!(found, (Some("event"), Some("broker")));
}

pub(crate) fn idempotency_keys_are_asked<S: Server>(server: S) {
    let world = World::new(server);
    let of = |n: u64, key: &str| {
        let body = json!({"endpoint_id": world.silent, "event_type": "t", "data": {"n": n},
            "idempotency_key": key});
        Record::new(body.to_string()).key("one")
    };
    world.publish(&[of(1, "a"), of(2, "a"), of(3, "b")]);
    let companion = world.companion();
    assert_eq!(world.wait_for_numbers(2), [1, 3]);
    companion.stop();
    world.publish(&[of(4, "b"), of(5, "c")]);
    let _second = world.companion();
    assert_eq!(world.wait_for_numbers(3), [1, 3, 5]);
}

pub(crate) fn order_is_kept<S: Server>(server: S) {
    let world = World::new(server);
    world.publish(&world.numbers(0..150));
    let _companion = world.companion();
    assert_eq!(world.wait_for_numbers(150), (0..150).collect::<Vec<_>>());
}

pub(crate) fn status_and_check<S: Server>(server: S) {
    let world = World::new(server);
    let state = |status: &Value| status["state"].as_str().unwrap_or_default().to_owned();
    world.status("nobody attends", |status| state(status) == "unattended");
    world.publish(&world.numbers(0..3));
    let companion = world.companion();
    world.wait_for_numbers(3);
    let status = world.status("that it is connected", |status| {
        state(status) == "connected" && status["last_message_at"].is_string()
            || status["last_message_at"].is_number()
    });
    if S::NAME != "pubsub" {
        world.status("no lag", |status| status["lag"] == 0);
    }
    assert_eq!(status["companions"].as_array().map(Vec::len), Some(1));
    let said = Companion::check(world.project.gateway.url(), &world.key);
    let reached = if S::NAME == "pubsub" { ": reached" } else { ": reached, 0 message(s) wait" };
    assert!(said.contains("ok   Inlet") && said.contains(reached), "{said}");
    // Another that stops says nothing of this one.
    let second = world.companion();
    let both = |status: &Value| status["companions"].as_array().map(Vec::len) == Some(2);
    world.status("both", both);
    second.stop();
    world.status("that one of two has stopped", |status| {
        let all = status["companions"].as_array().into_iter().flatten();
        all.filter(|one| one["state"] == "stopped").count() == 1
    });
    world.status("that the other goes on", |status| both(status) && state(status) == "connected");
    companion.stop();
    world.status("that it has stopped", |status| state(status) == "stopped");
}
