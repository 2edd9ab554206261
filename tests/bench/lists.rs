//! Lists at ten thousand and at a million events of one project, and events by the REST API.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use inlet_tests::{Call, Connection, Gateway, Project};
use serde_json::{Value, json};

use crate::measure::{Series, setting};
use crate::{Settings, Targets};

/// How much slower a page of the large project may be than the same page of the small one.
const LIST_RATIO: f64 = 1.5;
/// Rows that one statement makes; D1 ends one that takes too long.
const CHUNK: u64 = 50_000;

/// The first ten characters of the uids of a time.
fn uid_time(ms: u64) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let digit = |place: u32| ALPHABET.get(usize::try_from((ms >> (5 * place)) % 32).ok()?).copied();
    (0..10).rev().filter_map(digit).map(char::from).collect()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    since.as_secs() * 1000
}

/// The first ten characters of the uids of a time, [`uid_time`], as an SQL expression; `ms` is one, too.
fn uid_time_sql(ms: &str) -> String {
    let digit = |place: u32| {
        format!("substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', (({ms} >> {}) & 31) + 1, 1)", 5 * place)
    };
    (0..10).rev().map(digit).collect::<Vec<_>>().join(" || ")
}

/// Fills the store of a project with two events in each millisecond from `start` on, of two sources, each delivered to one of two
/// endpoints.
fn seed(gateway: &Gateway, project: &str, events: u64, start: u64) {
    let numbers = "WITH RECURSIVE n(i) AS (SELECT CAST(?3 AS INTEGER) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?4)";
    let id = format!("{} || printf('%016d', i)", uid_time_sql("(CAST(?2 AS INTEGER) + i / 2)"));
    let events_sql = format!(
        "INSERT INTO events (project_id, id, source_id, mask_id, event_type, received_at, content_type, headers, query, body, \
         is_base64, status, failure_reason) {numbers} SELECT ?1, {id}, 'source-' || (i % 2), 'mask', \
         'order.paid', CAST(?2 AS INTEGER) + i / 2, 'application/json', '[[\"x-kind\",\"seed\"]]', '', \
         '{{\"number\":' || i || ',\"text\":\"' || hex(zeroblob(100)) || '\"}}', 0, 'Success', '' FROM n"
    );
    let deliveries_sql = format!(
        "INSERT INTO deliveries (project_id, id, event_id, subscription_id, endpoint_id, source_id, event_type, delivery_mode, \
         status, attempts, created_at, updated_at) {numbers} SELECT ?1, {id}, {id}, 'sub', 'endpoint-' || (i % 2), \
         'source-' || (i % 2), 'order.paid', 'at_least_once', iif(i % 100 = 0, 'Failure', 'Success'), 1, i, i FROM n"
    );
    for from in (0..events).step_by(usize::try_from(CHUNK).unwrap_or(50_000)) {
        let to = events.min(from + CHUNK);
        let params = [json!(project), json!(start), json!(from), json!(to)];
        gateway.sql("EVENTS_0", &events_sql, &params);
        gateway.sql("EVENTS_0", &deliveries_sql, &params);
    }
    let count = "SELECT (SELECT count(*) FROM events WHERE project_id = ?1) AS events, (SELECT count(*) FROM deliveries WHERE project_id = ?1) AS deliveries";
    let made = gateway.sql("EVENTS_0", count, &[json!(project)]);
    assert_eq!(made, [json!({"events": events, "deliveries": events})]);
}

/// Milliseconds of many calls of one page, and the rows that one reads.
fn time_page(gateway: &Gateway, call: &Call, rounds: u32) -> (Series, f64) {
    let mut connection = Connection::open(gateway.url()).expect("the gateway");
    let mut ask = || {
        let started = Instant::now();
        let reply = connection.send(call).expect("an answer");
        assert_eq!(reply.status, 200, "{}", reply.text());
        started.elapsed().as_secs_f64() * 1000.0
    };
    for _ in 0..5 {
        ask();
    }
    gateway.counters(true);
    let times = Series::new((0..rounds).map(|_| ask()));
    let counters = gateway.counters(true);
    let rows = counters.pointer("/EVENTS_0/rowsRead").and_then(Value::as_f64).unwrap_or(f64::NAN);
    (times, rows / f64::from(rounds))
}

pub(crate) fn lists(settings: &Settings, targets: &mut Targets) {
    let large: u64 = setting("LIST_EVENTS", if settings.quick { 100_000 } else { 1_000_000 });
    let rounds = if settings.quick { 40 } else { 200 };
    let gateway = Gateway::builder().tapped().start();
    let start = now_ms() - 3_600_000;
    let seeded = |events: u64| -> Project<'_> {
        let project = gateway.project();
        seed(&gateway, &project.uid, events, start);
        project
    };
    let projects = [(10_000, seeded(10_000)), (large, seeded(large))];
    println!("\nLists of a project with 10,000 and with {large} events, {rounds} calls each");
    println!(
        "{:<44} {:>18} {:>18} {:>20} {:>12}",
        "", "p50 ms", "p99 ms", "rows read", "ratio p50"
    );
    let middle = |events: u64| format!("{}{:016}", uid_time(start + events / 4), 0);
    type Path = fn(&str) -> String;
    let pages: [(&str, Path); 7] = [
        ("events, first page", |_| "/events?perPage=20".into()),
        ("events, a page in the middle", |middle| {
            format!("/events?perPage=20&next_page_cursor={middle}")
        }),
        ("events of one source", |_| "/events?perPage=20&sourceId=source-1".into()),
        ("events to one endpoint", |_| "/events?perPage=20&endpointId=endpoint-1".into()),
        ("events of a source without any", |_| "/events?perPage=20&sourceId=none".into()),
        ("deliveries that failed", |_| "/eventdeliveries?perPage=20&status=Failure".into()),
        ("events with a text that is rare", |_| {
            "/events?perPage=20&query=number%22%3A777%2C".into()
        }),
    ];
    for (name, path) in pages {
        let found: Vec<(Series, f64)> = projects
            .iter()
            .map(|(events, project)| {
                time_page(&gateway, &project.call("GET", &path(&middle(*events))), rounds)
            })
            .collect();
        let [(small, small_rows), (big, big_rows)] = found.as_slice() else { continue };
        let ratio = big.median() / small.median();
        println!(
            "{name:<44} {:>18} {:>18} {:>20} {ratio:>12.2}",
            format!("{:.2} / {:.2}", small.median(), big.median()),
            format!("{:.2} / {:.2}", small.percentile(99), big.percentile(99)),
            format!("{small_rows:.0} / {big_rows:.0}"),
        );
        targets.at_most(&format!("list, {name}: p50 against 10,000"), ratio, LIST_RATIO, "times");
        let tail = big.percentile(99) / small.percentile(99);
        targets.at_most(&format!("list, {name}: p99 against 10,000"), tail, LIST_RATIO, "times");
    }
}

/// Events a second by the REST API, one by one and a hundred at a time.
pub(crate) fn rest(settings: &Settings) {
    println!("\nEvents by the API, 1 KB each, {} connections", settings.connections);
    for mode in ["queue", "journal"] {
        let gateway = Gateway::builder().durability(mode);
        let gateway = gateway.sink("inlet-ingest-0").sink("inlet-deliver-0").start();
        let project = gateway.project();
        let endpoint = project.endpoint(json!({"name": "e", "url": "http://127.0.0.1:9/"}));
        let event = json!({"endpoint_id": endpoint.get("uid"), "event_type": "order.paid", "data": {"text": "x".repeat(1000)}});
        let batch: Vec<&Value> = vec![&event; 100];
        for (name, path, body, each) in [
            ("one by one", "/events", event.to_string(), 1.0),
            ("a hundred at a time", "/events/batch", json!(batch).to_string(), 100.0),
        ] {
            let call =
                project.call("POST", path).header("Content-Type", "application/json").body(body);
            let end = Instant::now() + Duration::from_secs(settings.seconds.into());
            let started = Instant::now();
            let (answered, refused) = thread::scope(|scope| {
                let workers: Vec<_> = (0..settings.connections)
                    .map(|_| scope.spawn(|| push_until(&gateway, &call, end)))
                    .collect();
                let counts = workers.into_iter().map(|worker| worker.join().expect("no panic"));
                counts.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
            });
            let rate = answered * each / started.elapsed().as_secs_f64();
            println!(
                "{mode} mode, {name:<20} {rate:>8.0} events/s, {refused} calls not answered by 201"
            );
        }
    }
}

/// Calls that were answered by 201, and others.
fn push_until(gateway: &Gateway, call: &Call, end: Instant) -> (f64, f64) {
    let mut connection = Connection::open(gateway.url()).expect("the gateway");
    let (mut answered, mut refused) = (0.0, 0.0);
    while Instant::now() < end {
        match connection.send(call) {
            Ok(reply) if reply.status == 201 => answered += 1.0,
            _ => refused += 1.0,
        }
    }
    (answered, refused)
}
