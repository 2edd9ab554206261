//! How much is stored at once, and that it may be stored twice.

use super::*;

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
fn a_bell_names_one_endpoint_and_few_deliveries() {
    let waiting = (0..20).map(|n| Waiting {
        project_id: "p".into(),
        id: format!("d{n:02}"),
        endpoint_id: format!("e{}", n % 2),
    });
    let bells = bells(0, waiting.collect());
    assert_eq!(bells.iter().map(|bell| bell.deliveries.len()).collect::<Vec<_>>(), [6, 4, 6, 4]);
    let parity = |bell: &Bell| -> Vec<u32> {
        bell.deliveries
            .iter()
            .map(|(_, id)| id.trim_start_matches('d').parse::<u32>().unwrap() % 2)
            .collect()
    };
    assert!(bells.iter().all(|bell| parity(bell).windows(2).all(|pair| pair[0] == pair[1])));
}
