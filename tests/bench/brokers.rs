//! From a real broker through the companion into the gateway: to durable, and to delivered.
//!
//! A bench target of `inlet-consumer`, because here are the clients of brokers and the companion, built as it is shipped.
//! Messages of 1 KB are published first; then the companion starts, and what counts is the time that the last four fifths take.
//! For each turn it says where the time goes: the CPU of the companion, of the gateway and of the broker. `BROKERS` (`kafka,rabbitmq,sqs,pubsub`) and `TURNS` (`journal,queue,delivered`) select.
#![allow(
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that prints its findings, and stops when it cannot measure"
)]

#[allow(dead_code, reason = "what other benchmarks use")]
mod measure;
#[allow(dead_code, reason = "what tests use")]
#[path = "../brokers/servers.rs"]
mod servers;

use std::net::TcpListener;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use inlet_tests::{Endpoint, Gateway, Project, repository};
use measure::{cpu_seconds, setting};
use serde_json::json;
use servers::{Kafka, Place, PubSub, RabbitMq, Record, Server, Sqs, variable, wait};

const KAFKA_TARGET: f64 = 20_000.0;
const MEMORY_MIB: f64 = 100.0;
const WORKERS: usize = 2;
/// One part in so many comes before the clock starts: workers join, and share the partitions out.
const WARM_UP: usize = 5;
const PATIENCE: Duration = Duration::from_mins(2);

/// How many messages each broker carries in one turn. moto takes and gives some hundred a second.
struct Counts {
    durable: usize,
    delivered: usize,
}

fn main() -> ExitCode {
    let selected = |name: &str, part: &str| {
        std::env::var(name).map_or(true, |only| only.split(',').any(|one| one == part))
    };
    // `cargo bench` hands over arguments of its own; which parts run is said by the same variable as elsewhere.
    if !selected("ONLY", "brokers") {
        return ExitCode::SUCCESS;
    }
    println!("{}", measure::machine());
    println!(
        "\nBrokers, messages of 1 KB, {WORKERS} workers; CPU is seconds for 10,000 messages\n{:<10} {:<10} {:>9} {:>11} {:>10} {:>9} {:>8} {:>9}",
        "", "to", "messages", "messages/s", "companion", "gateway", "broker", "peak MiB"
    );
    let mut best_of_kafka = f64::NAN;
    let mut peak = 0.0_f64;
    for turn in ["journal", "queue", "delivered"].into_iter().filter(|turn| selected("TURNS", turn))
    {
        let mut measured = |name: &str, turned: Option<Turned>| {
            let Some(turned) = turned else { return };
            println!(
                "{name:<10} {turn:<10} {:>9} {:>11.0} {:>10.2} {:>9.2} {:>8.2} {:>9.0}",
                turned.messages,
                turned.rate(),
                turned.per_10_000(turned.companion),
                turned.per_10_000(turned.gateway),
                turned.per_10_000(turned.broker),
                turned.peak_mib,
            );
            if name == "kafka" && turn != "delivered" {
                best_of_kafka = best_of_kafka.max(turned.rate());
            }
            peak = peak.max(turned.peak_mib);
        };
        let wanted = |name: &str| selected("BROKERS", name);
        if wanted("kafka") {
            let counts = Counts { durable: 200_000, delivered: 5_000 };
            measured("kafka", run(Kafka, turn, &counts));
        }
        if wanted("rabbitmq") {
            let counts = Counts { durable: 60_000, delivered: 5_000 };
            measured("rabbitmq", run(RabbitMq, turn, &counts));
        }
        if wanted("pubsub") {
            let counts = Counts { durable: 20_000, delivered: 3_000 };
            measured("pubsub", run(PubSub, turn, &counts));
        }
        if wanted("sqs") {
            measured("sqs", run(Sqs, turn, &Counts { durable: 1_000, delivered: 500 }));
        }
    }
    let mut good = true;
    let mut target = |what: &str, measured: f64, wanted: &str, reached: bool| {
        good &= reached;
        let verdict = if reached { "ok" } else { "MISSED" };
        println!("{what:<52} {measured:>16.0} {wanted:>18}  {verdict}");
    };
    println!();
    if !best_of_kafka.is_nan() {
        let reached = best_of_kafka >= KAFKA_TARGET;
        target("kafka to durable, messages/s", best_of_kafka, ">= 20000", reached);
    }
    target("memory of the companion at its peak, MiB", peak, "<= 100", peak <= MEMORY_MIB);
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Turned {
    messages: usize,
    seconds: f64,
    companion: f64,
    gateway: f64,
    broker: f64,
    peak_mib: f64,
}

impl Turned {
    fn rate(&self) -> f64 {
        self.messages as f64 / self.seconds
    }

    fn per_10_000(&self, cpu: f64) -> f64 {
        cpu / self.messages as f64 * 10_000.0
    }
}

/// One broker, one way. None, with a word on why, if the broker is not there.
fn run<S: Server>(server: S, turn: &str, counts: &Counts) -> Option<Turned> {
    if variable(S::VARIABLE).is_none() {
        println!("{:<10} not here: {} is not set", S::NAME, S::VARIABLE);
        return None;
    }
    let delivers = turn == "delivered";
    let builder = Gateway::builder().durability(if delivers { "journal" } else { turn });
    let builder =
        if delivers { builder } else { builder.sink("inlet-ingest-0").sink("inlet-deliver-0") };
    let gateway = builder.start();
    let project = gateway.project();
    let endpoint = Endpoint::ok();
    let total = if delivers { counts.delivered } else { counts.durable };
    let place = place(server);
    let key = source(&project, &place, &endpoint);
    server.publish(&place, &records::<S>(total));

    let companion = Companion::start(&gateway, &key);
    let count = || if delivers { endpoint.count() } else { companion.accepted() };
    let began = soon(|| {
        let count = count();
        (count >= total / WARM_UP).then(|| (count, Instant::now()))
    });
    let (before, began) = began.unwrap_or_else(|| panic!("{}: no messages came", S::NAME));
    let broker = broker_pid(S::NAME);
    let cpu = || {
        [
            cpu_seconds(companion.child.id()),
            cpu_seconds(gateway.workerd_pid()),
            broker.map_or(f64::NAN, cpu_seconds),
        ]
    };
    let cpu_before = cpu();
    let done = soon(|| (count() >= total).then(Instant::now));
    let done = done.unwrap_or_else(|| panic!("{}: not all of {total} messages came", S::NAME));
    let used: Vec<f64> =
        cpu().iter().zip(cpu_before).map(|(after, before)| after - before).collect();
    Some(Turned {
        messages: total - before,
        seconds: (done - began).as_secs_f64(),
        companion: used[0],
        gateway: used[1],
        broker: used[2],
        peak_mib: companion.peak_mib(),
    })
}

/// Asks fifty times a second: the end of a turn has to be met.
fn soon<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

/// What the tests use; for SQS a standard queue, because a FIFO group has ten messages under way and no more.
fn place<S: Server>(server: S) -> Place {
    let name = servers::unique();
    let mut place = server.named(&name);
    if S::NAME == "sqs" {
        place.pub_sub["sqs"]["queue_name"] = json!(name);
        place.name = name;
    }
    if S::NAME == "rabbitmq" {
        place.pub_sub["amqp"]["prefetch"] = json!(setting("PREFETCH", 1_000));
    }
    place.pub_sub["workers"] = json!(setting("WORKERS", WORKERS));
    server.make(&place);
    place
}

/// A source that reads the place, and its way to the endpoint. Answers a consumer key.
fn source(project: &Project<'_>, place: &Place, endpoint: &Endpoint) -> String {
    let source =
        project.source(json!({"name": "bench", "type": "pub_sub", "pub_sub": place.pub_sub}));
    project.route(&source, endpoint);
    project.companion().key
}

/// Events of 1 KB that no two are alike, as the messages of a broker are.
fn records<S: Server>(count: usize) -> Vec<Record> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let frame = json!({"event_type": "order.paid", "data": {"n": 1_000_000, "text": ""}});
    let length = 1024 - frame.to_string().len();
    let mut text = || {
        let mut text = String::with_capacity(length + 16);
        while text.len() < length {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text.push_str(&format!("{state:016x}"));
        }
        text.truncate(length);
        text
    };
    let record = |n: usize| {
        let data = json!({"n": 1_000_000 + n, "text": text()});
        let body = json!({"event_type": "order.paid", "data": data});
        let record = Record::new(body.to_string()).header("x-convoy-message-type", "broadcast");
        match S::NAME {
            // Without a key, Kafka's client fills one partition more than the other.
            "kafka" => record.key(&format!("k{}", n % 1_000)),
            _ => record,
        }
    };
    (0..count).map(record).collect()
}

/// Its process, where `scripts/brokers.sh` started it.
fn broker_pid(name: &str) -> Option<u32> {
    let path = repository().join(".inlet/brokers").join(name).join("pid");
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

struct Companion {
    child: Child,
    metrics: String,
}

impl Companion {
    fn start(gateway: &Gateway, key: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let metrics = format!("127.0.0.1:{port}");
        let child = Command::new(env!("CARGO_BIN_EXE_inlet-consumer"))
            .env("INLET_URL", gateway.url())
            .env("INLET_CONSUMER_KEY", key)
            .env("INLET_METRICS_ADDR", &metrics)
            .env("INLET_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, metrics }
    }

    fn accepted(&self) -> usize {
        let text = wait(async {
            let answer = reqwest::get(format!("http://{}/metrics", self.metrics)).await.ok()?;
            answer.text().await.ok()
        });
        let text = text.unwrap_or_default();
        let lines = text.lines().filter(|line| line.starts_with("inlet_consumer_accepted_total"));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
        values.sum()
    }

    /// What it had at most so far.
    fn peak_mib(&self) -> f64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        let kib = line.split_whitespace().next().and_then(|text| text.parse::<f64>().ok());
        kib.unwrap_or(f64::NAN) / 1024.0
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
