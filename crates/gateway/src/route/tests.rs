use serde_json::{Value, json};

use super::*;
use crate::conditions::Conditions;
use crate::sql::tests::{database, run};
use crate::subscription::{DeliveryMode, Subscription};
use crate::wire::tests::envelope;
use crate::wire::{Claim, Target};

mod batches;
mod filters;
mod first_calls;

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

fn filtered(uid: &str, filter: Value) -> Subscription {
    let Value::Object(filter) = filter else { panic!("an object") };
    let mut subscription = subscription(uid, "source", "*");
    subscription.filter = Conditions::read(filter, "").unwrap();
    subscription
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
fn more_subscriptions_than_memory_bears_are_read_for_fewer_events() {
    let page = |count: usize| {
        let doc = String::new();
        let row = |number: usize| SubscriptionRow {
            project_id: "project".into(),
            id: number.to_string(),
            source_id: "source".into(),
            endpoint_id: "endpoint".into(),
            bytes: doc.len() as u64,
            weight: 1 << 20,
            doc: doc.clone(),
        };
        (0..count).map(row).collect::<Vec<_>>()
    };
    for (mebibytes, events, expect) in
        [(24, 1_000, false), (32, 2, false), (33, 2, true), (33, 1_000, true), (33, 1, false)]
    {
        let mut gathered = Gathered::default();
        gathered.add(page(mebibytes));
        assert_eq!(gathered.is_too_much_for(events), expect, "{mebibytes} MiB, {events} events");
    }
    // What was cut is read in pieces of the size that fitted, and of twice that once it fits again.
    for (most, asked, count, expect) in [
        (DIRECTORY_EVENTS, 700, 700, DIRECTORY_EVENTS),
        (DIRECTORY_EVENTS, 700, 350, 350),
        (350, 350, 350, 700),
        (350, 350, 0, 1),
        (1, 1, 1, 2),
    ] {
        assert_eq!(directory_len(most, asked, count), expect, "{most} {asked} {count}");
    }
}

#[test]
fn a_subscription_that_cannot_be_read_stands_in_the_way_of_its_own_events_only() {
    let row = |id: &str, source: &str, endpoint: &str, doc: String| SubscriptionRow {
        project_id: "project".into(),
        id: id.into(),
        source_id: source.into(),
        endpoint_id: endpoint.into(),
        bytes: doc.len() as u64,
        weight: 0,
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
    let mut gathered = Gathered::default();
    gathered.add(rows);
    let directory = Directory::of(gathered, vec![owned]);
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
