//! What a companion can hand in: messages of 1 KB, by the thousand, to durable.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use inlet_tests::{BrokerMessage, Connection, Gateway, Project, framed};
use serde_json::json;

use crate::Settings;
use crate::measure::{Series, cpu_seconds, resident_mib};

const TOGETHER: usize = 1_000;

/// The JSON of an event, of this size in all.
fn payload(size: usize) -> String {
    let of = |text: &str| {
        json!({"event_type": "order.paid", "data": {"text": text, "amount": 12, "lines": [1, 2, 3]}}).to_string()
    };
    of(&"x".repeat(size - of("").len()))
}

struct Turn {
    messages: u64,
    seconds: f64,
    cpu: f64,
    batches_ms: Series,
}

/// Hands batches in on some connections for a while.
fn turn(
    project: &Project<'_>,
    source_id: &str,
    together: usize,
    connections: u32,
    seconds: u32,
) -> Turn {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let companion = project.companion();
    let payload = payload(1024);
    let pid = project.gateway.workerd_pid();
    let (taken, times) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let (cpu, started) = (cpu_seconds(pid), Instant::now());
    let end = Duration::from_secs(u64::from(seconds));
    thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let mut connection = Connection::open(project.gateway.url()).expect("a gateway");
                while started.elapsed() < end {
                    let messages: Vec<BrokerMessage> = (0..together)
                        .map(|_| {
                            let id = NEXT.fetch_add(1, Ordering::Relaxed);
                            BrokerMessage::new(&format!("orders-0-{id}"), payload.as_str())
                                .header("x-convoy-message-type", "broadcast")
                        })
                        .collect();
                    let call = companion.call("POST", "/batches");
                    let call = call.header("Content-Type", "application/vnd.inlet.batch");
                    let call = call.body(framed(source_id, &messages));
                    let sent = Instant::now();
                    let answer = connection.send(&call).expect("an answer").expect(200);
                    let milliseconds = sent.elapsed().as_secs_f64() * 1000.0;
                    times.lock().unwrap_or_else(PoisonError::into_inner).push(milliseconds);
                    let accepted = answer.text().matches("\"accepted\"").count();
                    taken.fetch_add(accepted as u64, Ordering::Relaxed);
                }
            });
        }
    });
    Turn {
        messages: taken.into_inner(),
        seconds: started.elapsed().as_secs_f64(),
        cpu: cpu_seconds(pid) - cpu,
        batches_ms: Series::new(times.into_inner().unwrap_or_default()),
    }
}

pub(crate) fn batches(settings: &Settings) {
    let seconds = settings.seconds * 2;
    println!("\nBatches of a companion, messages of 1 KB, turns of {seconds} s");
    println!(
        "{:<52} {:>11} {:>9} {:>14} {:>12} {:>9}",
        "", "messages/s", "p50 ms", "CPU s/10,000", "CPU s per s", "MiB"
    );
    for (name, mode, routes, together, connections) in [
        ("journal, to durable, 1,000 together, 2 at a time", "journal", false, TOGETHER, 2),
        ("journal, to durable, 100 together, 2 at a time", "journal", false, 100, 2),
        ("journal, routed meanwhile, 1,000 together", "journal", true, TOGETHER, 2),
        ("queue, to durable, 1,000 together", "queue", false, TOGETHER, 2),
    ] {
        let builder = Gateway::builder().durability(mode);
        let builder =
            if routes { builder } else { builder.sink("inlet-ingest-0").sink("inlet-deliver-0") };
        let gateway = builder.start();
        let project = gateway.project();
        let source = project
            .source(json!({"name": "orders", "type": "pub_sub", "pub_sub": {"type": "kafka",
            "workers": 1, "kafka": {"brokers": ["127.0.0.1:9092"], "topic_name": "orders"}}}));
        let source_id = source.get("uid").and_then(|uid| uid.as_str()).expect("a uid");
        turn(&project, source_id, together, connections, 1);
        let turn = turn(&project, source_id, together, connections, seconds);
        let messages = turn.messages as f64;
        println!(
            "{name:<52} {:>11.0} {:>9.1} {:>14.2} {:>12.2} {:>9.0}",
            messages / turn.seconds,
            turn.batches_ms.median(),
            turn.cpu / messages * 10_000.0,
            turn.cpu / turn.seconds,
            resident_mib(gateway.workerd_pid()),
        );
    }
}
