//! How fast events are delivered, and whether a slow endpoint makes others wait.

use std::thread;
use std::time::{Duration, Instant};

use inlet_tests::{Answer, Endpoint, Gateway, Project, poll_until_within};
use serde_json::{Value, json};

use crate::measure::Series;
use crate::{Settings, Targets};

/// The 99th percentile of the fast one beside a slow one, against beside another fast one: the same load, and only the
/// slowness differs.
const BESIDE_A_SLOW_ONE: f64 = 1.3;
/// How long the slow one takes.
const SLOW: Duration = Duration::from_secs(3);
/// Events a second for each endpoint.
const PACE: u32 = 25;

pub(crate) fn delivery(settings: &Settings, targets: &mut Targets) {
    println!("\ndelivery (queue mode, Miniflare's queues)");
    let gateway = Gateway::builder().durability("queue").start();
    rate(&gateway, if settings.quick { 500 } else { 3_000 });
    let rounds = settings.rounds.min(5);
    let seconds = if settings.quick { 4 } else { 10 };
    let ratios = (0..rounds).map(|_| {
        let alone = p99(&gateway, seconds, None);
        let fast = p99(&gateway, seconds, Some(Duration::ZERO));
        let slow = p99(&gateway, seconds, Some(SLOW));
        println!(
            "  p99 from the push to the endpoint: alone {alone:.1} ms, beside a fast one {fast:.1} ms, beside a slow one {slow:.1} ms"
        );
        (slow / fast, slow / alone)
    });
    let (beside, alone): (Vec<f64>, Vec<f64>) = ratios.unzip();
    let (beside, alone) = (Series::new(beside).median(), Series::new(alone).median());
    println!("  beside a slow one against alone, at half the load: {alone:.2} x");
    let what = "p99 beside a slow endpoint, against beside a fast one";
    targets.at_most(what, beside, BESIDE_A_SLOW_ONE, "x");
}

fn receiver(project: &Project<'_>, endpoint: &Endpoint) -> Value {
    let made = project.endpoint(json!({"name": "bench", "url": endpoint.url("/")}));
    made.get("uid").cloned().unwrap_or_default()
}

/// Pushes `count` events at once, and waits for all of them.
fn rate(gateway: &Gateway, count: usize) {
    let project = gateway.project();
    let endpoint = Endpoint::ok();
    let to = receiver(&project, &endpoint);
    let started = Instant::now();
    for _ in 0..count / 100 {
        let items: Vec<Value> = (0..100)
            .map(|n| json!({"endpoint_id": to, "event_type": "bench", "data": {"n": n}}))
            .collect();
        project.post("/events/batch", &json!(items)).expect(201);
    }
    let pushed = started.elapsed().as_secs_f64();
    let all =
        poll_until_within(Duration::from_mins(2), || (count <= endpoint.count()).then_some(()));
    let took = started.elapsed().as_secs_f64();
    let arrived = endpoint.count();
    println!(
        "  {arrived} of {count} events, pushed in {pushed:.1} s, delivered in {took:.1} s: {:.0} deliveries/s{}",
        arrived as f64 / took,
        if all.is_some() { "" } else { " (not all arrived)" }
    );
}

/// The time from the push to a fast endpoint, `beside` another that takes so long, that 99 of 100 events stay below, in milliseconds.
fn p99(gateway: &Gateway, seconds: u32, beside: Option<Duration>) -> f64 {
    let project = gateway.project();
    let fast = Endpoint::ok();
    let other = Endpoint::answering(&[Answer::ok().after(beside.unwrap_or_default())]);
    let (to_fast, to_other) = (receiver(&project, &fast), receiver(&project, &other));
    let pause = Duration::from_secs(1) / PACE;
    let start = Instant::now();
    let mut sent = Vec::new();
    for n in 0..seconds * PACE {
        thread::sleep((start + pause * n).saturating_duration_since(Instant::now()));
        let push = |to: &Value| {
            let event = json!({"endpoint_id": to, "event_type": "bench", "data": {"n": n}});
            project.post("/events", &event).expect(201);
        };
        if beside.is_some() {
            push(&to_other);
        }
        sent.push(Instant::now());
        push(&to_fast);
    }
    poll_until_within(Duration::from_mins(1), || (sent.len() <= fast.count()).then_some(()));
    let latencies = fast.received().into_iter().filter_map(|one| {
        let n = serde_json::from_slice::<Value>(&one.body).ok()?.get("n")?.as_u64()?;
        let sent = sent.get(usize::try_from(n).ok()?)?;
        Some(one.at.saturating_duration_since(*sent).as_secs_f64() * 1000.0)
    });
    Series::new(latencies.collect::<Vec<_>>()).percentile(99)
}
