//! What filters cost the router, in this process: reading the subscriptions, compiling their filters, asking each of every event.

use std::hint::black_box;
use std::time::Instant;

use inlet_gateway::route::{Directory, route};
use inlet_gateway::subscription::Subscription;
use inlet_gateway::wire::{Body, Envelope, Meta};
use serde_json::{Value, json};

use crate::Targets;
use crate::measure::Series;

/// Events of one batch, as a queue hands them over.
const EVENTS: u32 = 100;
const SUBSCRIPTIONS: usize = 100;
const TURNS: usize = 31;
/// Over the same batch with one subscription that has no filter.
const FILTERED_MAX: f64 = 6.0;

fn subscription(n: usize, event_type: &str, filter: &Value) -> String {
    let body = json!({"name": format!("s{n}"), "endpoint_id": "e", "source_id": "source",
        "filter_config": {"event_types": [event_type], "filter": filter}});
    let input = inlet_gateway::api::parse(body.to_string().as_bytes()).expect("an input");
    let made = Subscription::create(input, "project", true, 1, &mut |bytes| {
        bytes.fill(u8::try_from(n).unwrap_or(0));
    });
    json!(made.expect("a subscription")).to_string()
}

fn envelopes() -> Vec<Envelope> {
    let items: Vec<Value> =
        (0..8).map(|n| json!({"sku": format!("A-{n}"), "quantity": n, "price": 9.99})).collect();
    let body = json!({"type": "order.paid", "order": {"id": "01J", "total": 120, "tenant": "t0", "items": items},
        "customer": {"email": "someone@example.com", "tags": ["new", "eu"]}, "note": "x".repeat(400)});
    let body = body.to_string().into_bytes();
    let event = |n: u32| {
        let mut meta = Meta::default();
        meta.event_id = format!("01ARZ3NDEKTSV4RRFFQ69G{n:04}");
        meta.project_id = "project".into();
        meta.source_id = "source".into();
        meta.mask_id = "mask".into();
        meta.event_type = "order.paid".into();
        meta.received_at = 1_700_000_000_000;
        meta.content_type = Some("application/json".into());
        meta.headers =
            vec![("x-kind".into(), "order".into()), ("user-agent".into(), "bench".into())];
        Envelope { meta, body: Body::Inline(body.clone()) }
    };
    (0..EVENTS).map(event).collect()
}

/// Microseconds for one event of a batch: the median of the turns.
fn microseconds(docs: &[String], envelopes: &[Envelope], deliveries: usize) -> f64 {
    let turn = |_| {
        let started = Instant::now();
        let subscriptions =
            docs.iter().map(|doc| serde_json::from_str(doc).expect("a subscription"));
        let directory = Directory::new(subscriptions.collect(), Vec::new());
        let routing = route(black_box(envelopes), &directory, 7, None);
        let took = started.elapsed().as_secs_f64();
        let made: usize = routing.parts.iter().map(|part| part.deliveries.len()).sum();
        assert_eq!(made, deliveries * envelopes.len());
        took * 1e6 / f64::from(EVENTS)
    };
    Series::new((0..TURNS).map(turn).collect::<Vec<_>>()).median()
}

pub(crate) fn filters(targets: &mut Targets) {
    println!(
        "\nrouting a batch of {EVENTS} events of 1 KB, native: µs for one event, and the share of one subscription without a filter"
    );
    let envelopes = envelopes();
    let all = json!({});
    let body =
        |n: usize| json!({"body": {"order.tenant": format!("t{n}"), "order.total": {"$gte": 100}}});
    let deep = |n: usize| json!({"body": {"order.items.$.sku": {"$regex": format!("^A-{n}$")}, "order.tenant": format!("t{n}")}});
    let head = |n: usize| json!({"headers": {"x-kind": if n == 0 { "order" } else { "other" }}});
    let many = |filter: &dyn Fn(usize) -> Value| -> Vec<String> {
        (0..SUBSCRIPTIONS).map(|n| subscription(n, "*", &filter(n))).collect()
    };
    let typed = |n: usize| subscription(n, if n == 0 { "*" } else { "other" }, &all);
    let plain = microseconds(&[subscription(0, "*", &all)], &envelopes, 1);
    let cases = [
        ("one, no filter", plain),
        (
            "100 by type",
            microseconds(&(0..SUBSCRIPTIONS).map(typed).collect::<Vec<_>>(), &envelopes, 1),
        ),
        ("100 by header", microseconds(&many(&head), &envelopes, 1)),
        ("100 by body", microseconds(&many(&body), &envelopes, 1)),
        ("100 by list and regex", microseconds(&many(&deep), &envelopes, 1)),
    ];
    for (name, took) in cases {
        println!("{name:<24} {took:>9.2} {:>7.2}", took / plain);
    }
    targets.at_most(
        "routing, 100 subscriptions filtered by body",
        cases[3].1 / plain,
        FILTERED_MAX,
        "x none",
    );
}
