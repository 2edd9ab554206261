use serde_json::{Value, json};

use super::*;
use crate::conditions::Conditions;
use crate::sql::tests::{database, run};
use crate::subscription::{DeliveryMode, Subscription};
use crate::wire::tests::envelope;
use crate::wire::{Claim, Target};

fn subscription(uid: &str, source: &str, event_type: &str) -> Subscription {
    Subscription {
        uid: uid.into(),
        project_id: "project".into(),
        name: uid.into(),
        source_id: source.into(),
        endpoint_id: format!("endpoint-of-{uid}"),
        event_types: vec![event_type.into()],
        delivery_mode: DeliveryMode::AtMostOnce,
        retry: None,
        rate_limit: None,
        function: String::new(),
        alert: None,
        filter: crate::conditions::Conditions::default(),
        filters: Vec::new(),
        is_inactive: false,
        created_at: 0,
        updated_at: 0,
    }
}

fn known(subscriptions: &[Subscription]) -> Directory {
    Directory::new(subscriptions.to_vec(), Vec::new())
}

fn deliveries(routing: &Routing) -> usize {
    routing.parts.iter().map(|part| part.deliveries.len()).sum()
}

fn apply(db: &rusqlite::Connection, routing: &Routing) -> Vec<Value> {
    let mut waiting = Vec::new();
    for part in &routing.parts {
        for statement in &part.statements {
            waiting = [waiting, run(db, statement)].concat();
        }
    }
    waiting
}

#[test]
fn an_event_goes_to_those_who_subscribed_and_to_nobody_else() {
    let subscriptions = [
        subscription("all", "source", "*"),
        subscription("push", "source", "push"),
        subscription("ping", "source", "ping"),
        subscription("other", "another-source", "*"),
    ];
    let db = database();
    let routing =
        route(&[envelope(Body::Inline(b"{}".to_vec()))], &known(&subscriptions), 7, Some("outbox"));
    let mut endpoints: Vec<_> = apply(&db, &routing)
        .iter()
        .map(|row| row["endpoint_id"].as_str().unwrap().to_owned())
        .collect();
    endpoints.sort();
    assert_eq!(endpoints, ["endpoint-of-all", "endpoint-of-push"]);
}

#[test]
fn a_target_decides_who_gets_an_event() {
    let mut own = subscription("own", "", "push");
    own.endpoint_id = "subscribed".into();
    let owned = |owner: &str, endpoint: &str| Owned {
        project_id: "project".into(),
        owner_id: owner.into(),
        endpoint_id: endpoint.into(),
    };
    let directory = Directory::new(
        vec![own, subscription("sourced", "source", "*")],
        vec![owned("o", "subscribed"), owned("o", "bare"), owned("other", "theirs")],
    );
    let endpoint = |id: &str| Some(Target::Endpoint(id.into()));
    let cases = [
        (None, "push", vec!["endpoint-of-sourced"]),
        (endpoint("subscribed"), "push", vec!["subscribed"]),
        (endpoint("subscribed"), "ping", vec![]),
        (endpoint("bare"), "ping", vec!["bare"]),
        (Some(Target::Owner("o".into())), "push", vec!["bare", "subscribed"]),
        (Some(Target::Owner("o".into())), "ping", vec!["bare"]),
        (Some(Target::Owner("nobody".into())), "push", vec![]),
        (Some(Target::Everybody), "push", vec!["endpoint-of-sourced", "subscribed"]),
        (Some(Target::Everybody), "ping", vec!["endpoint-of-sourced"]),
    ];
    for (target, event_type, expect) in cases {
        let mut sent = envelope(Body::Inline(b"{}".to_vec()));
        (sent.meta.target, sent.meta.event_type) = (target.clone(), event_type.into());
        let db = database();
        let rows = apply(&db, &route(&[sent], &directory, 7, None));
        let mut to: Vec<_> = rows.iter().map(|row| row["endpoint_id"].as_str().unwrap()).collect();
        to.sort_unstable();
        assert_eq!(to, expect, "{target:?} {event_type}");
    }
}

/// Its sender knows the URL, and not what somebody subscribed it to.
#[test]
fn a_dynamic_event_reaches_the_endpoint_of_its_url_whatever_it_is_subscribed_to() {
    let with = |uid: &str, endpoint: &str, filter: Value| {
        let mut made = filtered(uid, filter);
        (made.source_id, made.endpoint_id) = (String::new(), endpoint.into());
        made.event_types = vec!["push".into()];
        made
    };
    let mut off = with("off", "off", json!({}));
    off.is_inactive = true;
    let mut off_first = with("a-off", "two", json!({}));
    off_first.is_inactive = true;
    let mut switched_off = with("disabled", "disabled", json!({}));
    let filter = crate::api::parse(br#"{"event_type":"push"}"#).unwrap();
    let made = crate::type_filter::Batch::One;
    switched_off.add_filters(vec![filter], made, 0, &mut |b| b.fill(1)).unwrap();
    switched_off.filters[0].enabled_at = None;
    let directory = known(&[
        with("plain", "plain", json!({})),
        off_first,
        with("b", "two", json!({})),
        with("c", "two", json!({})),
        with("picky", "picky", json!({"body": {"n": 7}})),
        off,
        switched_off,
    ]);
    for (endpoint, event_type, expect) in [
        ("plain", "push", vec!["plain"]),
        ("plain", "other", vec!["plain"]),
        ("two", "push", vec!["b", "c"]),
        ("two", "other", vec!["b"]),
        // Filters are not types: they hold.
        ("picky", "push", vec![]),
        ("picky", "other", vec![]),
        ("off", "push", vec![]),
        ("off", "other", vec![]),
        ("disabled", "push", vec![]),
        ("disabled", "other", vec!["disabled"]),
        ("bare", "other", vec![""]),
    ] {
        let mut sent = envelope(Body::Inline(b"{}".to_vec()));
        sent.meta.target = Some(Target::Url(endpoint.into()));
        sent.meta.event_type = event_type.into();
        let receivers = directory.receivers(&sent).receivers;
        let got: Vec<_> = receivers.iter().map(|one| one.subscription_id).collect();
        assert_eq!(got, expect, "{endpoint} {event_type}");
        assert!(receivers.iter().all(|one| one.endpoint_id == endpoint));
    }
}

#[test]
fn a_replay_makes_no_delivery_for_an_endpoint_that_is_gone() {
    let named = |target: Target| {
        let mut sent = envelope(Body::Inline(b"{}".to_vec()));
        sent.meta.target = Some(target);
        sent
    };
    let mut directory = known(&[]);
    let sent = [Target::Endpoint("e".into()), Target::Url("e".into())].map(named);
    assert_eq!(deliveries(&replay(&sent, &directory, 7, "r").0), 2, "nobody has looked");
    directory.there = Some(["e".to_owned()].into());
    assert_eq!(deliveries(&replay(&sent, &directory, 7, "r").0), 2);
    directory.there = Some(["other".to_owned()].into());
    assert_eq!(deliveries(&replay(&sent, &directory, 7, "r").0), 0);
    let why = directory.receivers(&sent[0]).reason;
    assert_eq!(why, "the endpoint that this event was for no longer exists");
}

fn filtered(uid: &str, filter: Value) -> Subscription {
    let Value::Object(filter) = filter else { panic!("an object") };
    let mut subscription = subscription(uid, "source", "*");
    subscription.filter = Conditions::read(filter, "").unwrap();
    subscription
}

#[test]
fn filters_decide_among_those_who_want_the_type() {
    let subscriptions = [
        filtered("large", json!({"body": {"n": {"$gt": 10}}})),
        filtered("push", json!({"headers": {"x-github-event": "push"}})),
        filtered("ping", json!({"headers": {"x-github-event": "ping"}})),
    ];
    let directory = known(&subscriptions);
    for (body, expect) in [(&b"{\"n\":11}"[..], 2), (b"{\"n\":9}", 1), (b"no json", 1)] {
        let sent = envelope(Body::Inline(body.to_vec()));
        assert_eq!(apply(&database(), &route(&[sent], &directory, 7, None)).len(), expect);
    }
    let db = database();
    let sent = envelope(Body::Inline(b"{}".to_vec()));
    apply(&db, &route(std::slice::from_ref(&sent), &known(&subscriptions[2..]), 7, None));
    let event = &run(&db, &sql::event("project", &sent.meta.event_id))[0];
    assert_eq!(event["status"], "Failure");
    let reason = event["failure_reason"].as_str().unwrap();
    assert!(reason.ends_with("their filters do not match"), "{reason}");
}

/// A list of so many items, each an object of one number.
fn long_list(items: usize) -> Vec<u8> {
    format!("{{\"a\":[{}]}}", vec!["{\"x\":1}"; items].join(",")).into_bytes()
}

/// A filter that asks each item of a list for so many numbers, none of which is there.
fn greedy(uid: &str, numbers: usize) -> Subscription {
    let any: Vec<Value> = (0..numbers).map(|n| json!({"a.$.x": {"$eq": 100 + n}})).collect();
    filtered(uid, json!({"body": {"$or": any}}))
}

#[test]
fn what_takes_too_many_steps_is_not_sent_and_the_event_says_so() {
    let sent = envelope(Body::Inline(long_list(15_000)));
    let reason = |subscriptions: &[Subscription]| {
        let db = database();
        let routing = route(std::slice::from_ref(&sent), &known(subscriptions), 7, None);
        let got = apply(&db, &routing).len();
        let event = &run(&db, &sql::event("project", &sent.meta.event_id))[0];
        let shown = format!("{got} {} {}", event["status"], event["failure_reason"]);
        (shown.replace('"', ""), routing.stopped.len())
    };
    let (shown, stopped) = reason(&[greedy("greedy", 200)]);
    assert!(shown.starts_with("0 Failure not sent to all who may want it: "), "{shown}");
    assert!(shown.contains("too many steps on it: greedy; have them"), "{shown}");
    assert_eq!(stopped, 1);
    // Neither those before nor those after it lose their events by it, and nor does it stop the others.
    let modest =
        |uid| filtered(uid, json!({"body": {"a.0.x": 1}, "headers": {"x-github-event": "push"}}));
    let mut all: Vec<Subscription> = (0..300).map(|n| greedy(&format!("g{n:03}"), 180)).collect();
    all.insert(0, modest("first"));
    all.push(modest("last"));
    let began = std::time::Instant::now();
    let (shown, stopped) = reason(&all);
    assert!(shown.starts_with("2 Success not sent to all"), "{shown}");
    assert!(shown.contains("too many steps on it: g000, g001, g002 and 297 more; have"), "{shown}");
    assert_eq!(stopped, 300);
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    let (shown, stopped) = reason(&[greedy("few", 10)]);
    assert!(shown.ends_with("their filters do not match") && stopped == 0, "{shown}");
}

#[test]
fn one_thing_can_be_asked_of_every_item_of_the_largest_body() {
    let sent = envelope(Body::Inline(long_list(260_000)));
    let wanted = [
        filtered("one", json!({"body": {"a.$.x": {"$gt": 1}}})),
        filtered("other", json!({"body": {"a.$.x": {"$lt": 2}}})),
    ];
    let found = known(&wanted);
    let found = found.receivers(&sent);
    assert_eq!((found.receivers.len(), found.stopped.len()), (1, 0));
}

#[test]
fn a_body_elsewhere_is_read_only_where_a_filter_asks() {
    let stored = Body::Stored { key: "k".into(), len: 200_000 };
    let sent = [envelope(Body::Inline(vec![])), envelope(stored)];
    let directory = known(&[subscription("all", "source", "*")]);
    assert!(directory.bodies_to_read(&sent).is_empty());
    let mut directory = known(&[filtered("some", json!({"body": {"n": 1}}))]);
    assert_eq!(directory.bodies_to_read(&sent), [(1, "k")]);
    let reason = directory.receivers(&sent[1]).reason;
    assert!(reason.ends_with("too large for their filters"), "{reason}");
    directory.bodies.insert(sent[1].meta.event_id.clone(), b"{\"n\":1}".to_vec());
    assert_eq!(directory.receivers(&sent[1]).receivers.len(), 1);
}

#[test]
fn a_replay_delivers_again_each_time() {
    let db = database();
    let sent = envelope(Body::Inline(b"{}".to_vec()));
    apply(&db, &route(std::slice::from_ref(&sent), &known(&[]), 7, None));
    let directory = known(&[subscription("late", "source", "*")]);
    for id in ["replay-1", "replay-2", "replay-2"] {
        let (routing, tally) = replay(std::slice::from_ref(&sent), &directory, 8, id);
        assert_eq!((tally.succeeded, apply(&db, &routing).len()), (1, 1));
    }
    let sql = "SELECT replay FROM deliveries ORDER BY replay".into();
    let rows = run(&db, &Statement { sql, params: vec![] });
    assert_eq!(rows, [json!({"replay": "replay-1"}), json!({"replay": "replay-2"})]);
    let event = &run(&db, &sql::event("project", &sent.meta.event_id))[0];
    assert_eq!((&event["status"], &event["failure_reason"]), (&json!("Success"), &json!("")));
    let (routing, tally) = replay(&[sent], &known(&[]), 8, "replay-3");
    assert!(routing.parts.is_empty());
    assert_eq!(tally.all_failed(), Some("no subscription matched this event"));
}

#[test]
fn each_target_is_looked_up_once() {
    let with = |target: Option<Target>| {
        let mut sent = envelope(Body::Inline(vec![]));
        sent.meta.target = target;
        sent.meta
    };
    let metas = [
        with(None),
        with(None),
        with(Some(Target::Endpoint("e".into()))),
        with(Some(Target::Owner("o".into()))),
        with(Some(Target::Everybody)),
        with(Some(Target::Everybody)),
    ];
    let expect = Needs {
        sources: vec![("project", "source")],
        endpoints: vec![("project", "e")],
        owners: vec![("project", "o")],
        projects: vec!["project"],
    };
    assert_eq!(Needs::of(&metas), expect);
}

#[test]
fn a_key_of_the_project_is_one_for_all_its_sources() {
    let db = database();
    let events: Vec<Envelope> = ["a", "b"]
        .into_iter()
        .map(|source| {
            let mut sent = envelope(Body::Inline(b"{}".to_vec()));
            sent.meta.event_id = format!("01ARZ3NDEKTSV4RRFFQ69G5FA{source}");
            sent.meta.source_id = source.into();
            sent.meta.claim.as_mut().unwrap().scope = Some("project".into());
            sent
        })
        .collect();
    apply(&db, &route(&events, &known(&[]), 7, None));
    for (table, expect) in [("events", 1), ("duplicates", 1), ("claims", 1)] {
        let sql = format!("SELECT count(*) AS n FROM {table}");
        assert_eq!(run(&db, &Statement { sql, params: vec![] })[0]["n"], expect, "{table}");
    }
}

#[test]
fn a_batch_that_runs_twice_changes_nothing_the_second_time() {
    let subscriptions = [subscription("all", "source", "*")];
    let db = database();
    let large = vec![b'x'; 9_000];
    let mut second = envelope(Body::Inline(large));
    second.meta.event_id = "01ARZ3NDEKTSV4RRFFQ69G5FAW".into();
    second.meta.claim = None;
    let envelopes = [envelope(Body::Inline(vec![0xff])), second];
    let routing = route(&envelopes, &known(&subscriptions), 7, Some("outbox"));
    let state = |db: &rusqlite::Connection| {
        ["events", "claims", "duplicates", "deliveries", "outbox", "source_counts"].map(|table| {
            run(db, &Statement { sql: format!("SELECT * FROM {table}"), params: vec![] })
        })
    };
    apply(&db, &routing);
    let once = state(&db);
    assert_eq!(apply(&db, &route(&envelopes, &known(&subscriptions), 7, Some("outbox"))).len(), 2);
    assert_eq!(state(&db), once);
    assert_eq!(once.map(|rows| rows.len()), [2, 1, 0, 2, 1, 1]);
    let sql = "SELECT events FROM source_counts".into();
    assert_eq!(run(&db, &Statement { sql, params: vec![] }), [json!({"events": 2})]);
}

#[test]
fn an_event_nobody_wants_is_kept_with_the_reason() {
    let db = database();
    apply(&db, &route(&[envelope(Body::Inline(vec![]))], &known(&[]), 7, Some("outbox")));
    let event = &run(&db, &sql::event("project", "01ARZ3NDEKTSV4RRFFQ69G5FAV"))[0];
    assert_eq!(event["status"], "Failure");
    assert_eq!(event["failure_reason"], "no subscription matched this event");
}

#[test]
fn a_copy_makes_no_delivery() {
    let subscriptions = [subscription("all", "source", "*")];
    let db = database();
    let copies: Vec<Envelope> = (0..50)
        .map(|n| {
            let mut copy = envelope(Body::Inline(b"{}".to_vec()));
            copy.meta.event_id = format!("01ARZ3NDEKTSV4RRFFQ69G5F{n:02}");
            copy
        })
        .collect();
    let waiting = apply(&db, &route(&copies, &known(&subscriptions), 7, Some("outbox")));
    assert_eq!(waiting.len(), 1);
    let sql = "SELECT events FROM source_counts".into();
    assert_eq!(run(&db, &Statement { sql, params: vec![] }), [json!({"events": 1})]);
    let sql = "SELECT count(*) AS n FROM duplicates".into();
    assert_eq!(run(&db, &Statement { sql, params: vec![] })[0]["n"], 49);
}

#[test]
fn large_batches_are_cut_into_parameters_that_d1_takes() {
    let envelopes: Vec<Envelope> = (0..200)
        .map(|n| {
            let mut envelope = envelope(Body::Inline(vec![b'x'; 8_000]));
            envelope.meta.event_id = format!("01ARZ3NDEKTSV4RRFFQ69G5{n:03}");
            envelope.meta.claim = None;
            envelope
        })
        .collect();
    let routing = route(&envelopes, &known(&[]), 7, Some("outbox"));
    assert!(3 < routing.parts[0].statements.len());
    check_sizes(&routing);
}

/// D1 takes parameters of 2 MB. A transaction is a message as well, and what it takes holds up all others.
fn check_sizes(routing: &Routing) {
    for part in &routing.parts {
        let mut bytes = 0;
        for param in part.statements.iter().flat_map(|statement| &statement.params) {
            if let sql::Param::Text(text) = param {
                assert!(text.len() < 1_000_000);
                bytes += text.len();
            }
        }
        assert!(bytes < 8_000_000, "{bytes}");
    }
}

#[test]
fn an_event_for_very_many_is_routed_in_parts_that_can_each_be_repeated() {
    const MANY: usize = 40_000;
    let subscriptions: Vec<Subscription> = (0..MANY)
        .map(|n| subscription(&format!("01ARZ3NDEKTSV4RRFFQ69{n:05}"), "source", "*"))
        .collect();
    let sent = [envelope(Body::Inline(vec![b'x'; 100_000]))];
    let directory = known(&subscriptions);
    let routing = route(&sent, &directory, 7, Some("outbox"));
    assert_eq!((routing.parts.len(), deliveries(&routing)), (MANY / FAN_OUT_PART, MANY));
    check_sizes(&routing);
    for part in &routing.parts {
        let watched = sql::watch(&json!(part.deliveries).to_string(), 7);
        assert!(
            watched
                .params
                .iter()
                .all(|param| !matches!(param, sql::Param::Text(text) if 1_000_000 < text.len()))
        );
    }

    // Whoever died after some of them begins anew.
    let db = database();
    let count = || {
        let sql = "SELECT (SELECT count(*) FROM deliveries) AS d, (SELECT count(*) FROM events) AS e, \
            (SELECT sum(json_array_length(deliveries)) FROM outbox) AS watched";
        let row = run(&db, &Statement { sql: sql.into(), params: vec![] }).remove(0);
        [&row["d"], &row["e"], &row["watched"]].map(|n| n.as_u64().unwrap())
    };
    let begun =
        Routing { parts: routing.parts.into_iter().take(3).collect(), ..Routing::default() };
    assert_eq!(apply(&db, &begun).len(), 3 * FAN_OUT_PART);
    assert_eq!(count(), [15_000, 1, 15_000]);
    let again = route(&sent, &directory, 8, Some("outbox-2"));
    assert_eq!(apply(&db, &again).len(), MANY);
    assert_eq!(count(), [40_000, 1, 55_000]);

    let (routing, tally) = replay(&sent, &directory, 9, "replay");
    assert_eq!((tally.succeeded, routing.parts.len()), (1, MANY / FAN_OUT_PART));
    check_sizes(&routing);
}

#[test]
fn a_transaction_carries_at_least_one_event_and_not_too_many_bytes_or_deliveries() {
    let of = |len: usize| envelope(Body::Inline(vec![0; len]));
    let nobody = known(&[]);
    assert_eq!(nobody.transaction_len(&[of(100), of(100)]), 2);
    assert_eq!(nobody.transaction_len(&vec![of(120_000); 100]), 33);
    assert_eq!(nobody.transaction_len(&[of(5_000_000), of(1)]), 1);
    assert_eq!(nobody.transaction_len(&[]), 0);

    // Those of an event count, not all that are known.
    let mut subscriptions: Vec<Subscription> =
        (0..1_000).map(|n| subscription(&format!("s{n}"), "source", "push")).collect();
    let one = |name: String| {
        let mut own = subscription(&name, "", "push");
        own.endpoint_id = name;
        own
    };
    subscriptions.extend((0..3_000).map(|n| one(format!("e{n}"))));
    let directory = known(&subscriptions);
    let of_type = |name: &str| {
        let mut sent = of(1);
        sent.meta.event_type = name.into();
        sent
    };
    assert_eq!(directory.transaction_len(&vec![of_type("push"); 100]), 5);
    assert_eq!(directory.transaction_len(&vec![of_type("ping"); 100]), 100);
    let mut spread = vec![of_type("push"); 3_000];
    for (n, sent) in spread.iter_mut().enumerate() {
        sent.meta.target = Some(Target::Endpoint(format!("e{n}")));
    }
    assert_eq!(directory.transaction_len(&spread), 3_000, "one transaction, not a thousand");
}

#[test]
fn a_subscription_that_cannot_be_read_stands_in_the_way_of_its_own_events_only() {
    let row = |id: &str, source: &str, endpoint: &str, doc: String| SubscriptionRow {
        project_id: "project".into(),
        id: id.into(),
        source_id: source.into(),
        endpoint_id: endpoint.into(),
        doc,
    };
    let good = json!(subscription("good", "source", "*")).to_string();
    let rows = vec![
        row("good", "source", "endpoint-of-good", good.clone()),
        row("good", "source", "endpoint-of-good", good),
        row("bad", "other", "broken", "{\"uid\": 1}".into()),
    ];
    let owned =
        Owned { project_id: "project".into(), owner_id: "o".into(), endpoint_id: "broken".into() };
    let directory = Directory::of_rows(rows, vec![owned]);
    let mut sent = envelope(Body::Inline(b"{}".to_vec()));
    assert_eq!(directory.unroutable(&sent.meta), None);
    assert_eq!(directory.receivers(&sent).receivers.len(), 1, "and it comes once");
    let endpoint = |id: &str| Some(Target::Endpoint(id.into()));
    for (target, is_damaged) in [
        (endpoint("broken"), true),
        (endpoint("endpoint-of-good"), false),
        (Some(Target::Owner("o".into())), true),
        (Some(Target::Owner("other".into())), false),
        (Some(Target::Everybody), true),
    ] {
        sent.meta.target = target;
        assert_eq!(
            directory.unroutable(&sent.meta).is_some(),
            is_damaged,
            "{:?}",
            sent.meta.target
        );
    }
    (sent.meta.target, sent.meta.source_id) = (None, "other".into());
    let why = directory.unroutable(&sent.meta).unwrap();
    assert!(why.starts_with("subscription bad is stored in a form that cannot be read"), "{why}");
    sent.meta.project_id = "another".into();
    assert_eq!(directory.unroutable(&sent.meta), None);
}

#[test]
fn a_bell_names_one_endpoint_and_few_deliveries() {
    let waiting: Vec<_> =
        (0..20).map(|n| ("p".to_owned(), format!("d{n:02}"), format!("e{}", n % 2))).collect();
    let bells = bells(0, waiting);
    assert_eq!(bells.iter().map(|bell| bell.deliveries.len()).collect::<Vec<_>>(), [6, 4, 6, 4]);
    let parity = |bell: &Bell| -> Vec<u32> {
        bell.deliveries
            .iter()
            .map(|(_, id)| id.trim_start_matches('d').parse::<u32>().unwrap() % 2)
            .collect()
    };
    assert!(bells.iter().all(|bell| parity(bell).windows(2).all(|pair| pair[0] == pair[1])));
}

/// Whatever the order in which events are routed, and in whichever batches: those that are stored are a window apart, and each
/// of the others is a copy of one of them that came within a window of it.
#[test]
fn copies_are_found_in_whatever_order_events_are_routed() {
    const WINDOW: u64 = 100;
    let mut state = 7_u64;
    let mut dice = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for round in 0..60 {
        let db = database();
        let events: Vec<Envelope> = (0..40)
            .map(|n| {
                let mut one = envelope(Body::Inline(b"{}".to_vec()));
                one.meta.event_id = format!("01ARZ3NDEKTSV4RRFFQ69G5F{n:02}");
                one.meta.received_at =
                    1_764_000_000_000 + dice(if round % 2 == 0 { 1_500 } else { 500 });
                one.meta.claim = Some(Claim { key: "k".into(), window_ms: WINDOW, scope: None });
                one
            })
            .collect();
        let mut left: Vec<&Envelope> = events.iter().collect();
        let mut done: Vec<&Envelope> = Vec::new();
        while !left.is_empty() {
            let mut batch = Vec::new();
            for _ in 0..=dice(6) {
                let from = if !done.is_empty() && dice(5) == 0 { &done } else { &left };
                if from.is_empty() {
                    continue;
                }
                let one = from[usize::try_from(dice(from.len() as u64)).unwrap()];
                left.retain(|other| other.meta.event_id != one.meta.event_id);
                if batch.iter().all(|other: &Envelope| other.meta.event_id != one.meta.event_id) {
                    batch.push(one.clone());
                }
            }
            done.extend(events.iter().filter(|one| batch.contains(one)));
            apply(&db, &route(&batch, &known(&[]), 7, None));
        }
        let rows = |sql: &str| run(&db, &Statement { sql: sql.into(), params: vec![] });
        let at = |id: &Value| {
            let of = |one: &&Envelope| Some(one.meta.event_id.as_str()) == id.as_str();
            events.iter().find(of).unwrap().meta.received_at
        };
        let mut stored: Vec<u64> =
            rows("SELECT id FROM events").iter().map(|row| at(&row["id"])).collect();
        stored.sort_unstable();
        for pair in stored.windows(2) {
            assert!(WINDOW <= pair[1] - pair[0], "{round}: {stored:?}");
        }
        let copies = rows("SELECT id, event_id FROM duplicates");
        assert_eq!(stored.len() + copies.len(), events.len(), "{round}");
        for copy in copies {
            let (own, of) = (at(&copy["id"]), at(&copy["event_id"]));
            assert!(own.abs_diff(of) < WINDOW && stored.contains(&of), "{round}: {own} of {of}");
        }
        let counted = rows("SELECT events FROM source_counts");
        assert_eq!(counted, [json!({"events": stored.len()})]);
    }
}
