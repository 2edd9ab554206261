//! How much the gateway costs over the durable write that no gateway can do without.
//!
//! Everything runs in one go on one machine, through direct sockets into workerd: our ingest (look-up,
//! signature, durable write) against bare Workers that do the same write and nothing else. Variants
//! take turns, and what counts is the median of the ratios of the turns: absolute figures depend on
//! the machine and on what else runs on it.
//!
//! `QUICK=1` shortens everything. `ROUNDS` (7), `SECONDS` of one turn (4), `CONNECTIONS` (16),
//! `MEM_MINUTES` (10), `ONLY` (parts, e.g. `ingest,rows,size,verify,filters,cold,pipeline,batches,delivery,lists,rest,memory`).
#![allow(
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a program that prints its findings, and stops when it cannot measure"
)]

mod batches;
mod delivery;
mod filters;
mod lists;
mod load;
mod measure;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use inlet_tests::{
    Answer, Builder, Call, Endpoint, Gateway, github_signature, poll_until_within, repository,
    source_path,
};
use load::{Turn, Wrk};
use measure::{Series, cpu_seconds, gzip_size, resident_mib, setting};
use serde_json::{Value, json};

const SECRET: &str = "a-secret-of-github";

/// What a run must reach. Rows and sizes do not depend on the machine; the shares hardly.
const INGEST_SHARE: f64 = 0.80;
const ROWS_PER_EVENT: f64 = 6.0;
const WASM_GZIP_KIB: f64 = 400.0;
const MEMORY_GROWTH: f64 = 1.10;

struct Settings {
    quick: bool,
    rounds: usize,
    seconds: u32,
    connections: u32,
    only: Option<String>,
}

impl Settings {
    fn read() -> Self {
        let quick = std::env::var("QUICK").is_ok_and(|value| value != "0");
        Self {
            quick,
            rounds: setting("ROUNDS", if quick { 3 } else { 7 }),
            seconds: setting("SECONDS", if quick { 2 } else { 4 }),
            connections: setting("CONNECTIONS", 16),
            only: std::env::var("ONLY").ok(),
        }
    }

    fn wants(&self, part: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.split(',').any(|name| name == part))
    }
}

fn main() -> ExitCode {
    let settings = Settings::read();
    let mut targets = Targets::default();
    println!("{}", measure::machine());
    if settings.wants("size") {
        size(&mut targets);
    }
    if settings.wants("rows") {
        rows(&mut targets);
    }
    if settings.wants("verify") {
        verify::verify(&mut targets);
    }
    if settings.wants("filters") {
        filters::filters(&mut targets);
    }
    if settings.wants("cold") {
        cold_start(&settings);
    }
    if settings.wants("ingest") {
        ingest(&settings, &mut targets);
    }
    if settings.wants("pipeline") {
        pipeline(&settings);
    }
    if settings.wants("batches") {
        batches::batches(&settings);
    }
    if settings.wants("delivery") {
        delivery::delivery(&settings, &mut targets);
    }
    if settings.wants("lists") {
        lists::lists(&settings, &mut targets);
    }
    if settings.wants("rest") {
        lists::rest(&settings);
    }
    if settings.wants("memory") {
        memory(&settings, &mut targets);
    }
    targets.print()
}

#[derive(Default)]
struct Targets(Vec<(String, String, String, bool)>);

impl Targets {
    fn at_least(&mut self, what: &str, measured: f64, target: f64) {
        let (measured_text, target_text) = (percent(measured), format!(">= {}", percent(target)));
        self.0.push((what.to_owned(), measured_text, target_text, measured >= target));
    }

    fn at_most(&mut self, what: &str, measured: f64, target: f64, unit: &str) {
        let text = |value: f64| format!("{value:.2} {unit}");
        self.0.push((
            what.to_owned(),
            text(measured),
            format!("<= {}", text(target)),
            measured <= target,
        ));
    }

    fn print(&self) -> ExitCode {
        println!("\n{:<52} {:>16} {:>18}", "target", "measured", "wanted");
        for (what, measured, target, good) in &self.0 {
            let verdict = if *good { "ok" } else { "MISSED" };
            println!("{what:<52} {measured:>16} {target:>18}  {verdict}");
        }
        let good = self.0.iter().all(|(.., good)| *good);
        if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn bare(worker: &str) -> Builder {
    let main = repository().join("tests/bench/workers").join(worker);
    Gateway::builder().worker(&main).sink("inlet-ingest-0").sink("inlet-deliver-0")
}

/// A GitHub source of a new project; answers the path to post to.
fn github_path(gateway: &Gateway) -> String {
    source_path(&gateway.project().github_source(SECRET))
}

fn body(size: usize) -> String {
    let frame = json!({"action": "push", "text": ""}).to_string().len();
    json!({"action": "push", "text": "x".repeat(size - frame)}).to_string()
}

/// One way to take requests in, running.
struct Variant {
    name: &'static str,
    gateway: Gateway,
    path: String,
    /// Whether its journal stays empty, unless a queue refuses.
    has_queue: bool,
}

impl Variant {
    /// Miniflare's queue refuses above 10,000 messages; what ours then writes into the journal is no figure of the queue.
    fn say_what_strayed(&self) {
        let count = "SELECT count(*) AS rows FROM journal_0";
        let rows = self.gateway.sql("EVENTS_0", count, &[]);
        if self.has_queue && rows.iter().any(|row| row["rows"] != 0) {
            println!("not a figure of the queue, which refused: {}, {rows:?}", self.name);
        }
    }

    /// Empty journals for every turn, and nothing in them that a router would look for: no variant
    /// drags an earlier turn's rows along, and none does another's work.
    fn clear(&self) {
        for sql in [
            "DELETE FROM journal_0",
            "DELETE FROM journal_1",
            "UPDATE journal_state SET done = 9007199254740991",
        ] {
            self.gateway.sql("EVENTS_0", sql, &[]);
        }
    }
}

/// The ingest path alone: messages of the queues go to a Worker that forgets them.
fn variants() -> Vec<Variant> {
    let ours = |name, mode: &str| {
        let builder = Gateway::builder().durability(mode);
        let gateway = builder.sink("inlet-ingest-0").sink("inlet-deliver-0").start();
        let path = github_path(&gateway);
        Variant { name, gateway, path, has_queue: mode == "queue" }
    };
    let bare = |name, worker| {
        let gateway = bare(worker).start();
        Variant { name, gateway, path: "/".to_owned(), has_queue: false }
    };
    vec![
        bare("answers 200, no work", "answer.mjs"),
        bare("bare queue send", "queue.mjs"),
        ours("inlet, queue mode", "queue"),
        bare("bare journal insert", "insert.mjs"),
        ours("inlet, journal mode", "journal"),
        bare("signature, queue send: JS", "verified_queue.mjs"),
    ]
}

fn ingest(settings: &Settings, targets: &mut Targets) {
    for (label, size) in [("1 KB", 1024), ("64 KB", 65_536)] {
        let body = body(size);
        let signature = github_signature(SECRET, body.as_bytes());
        // New databases for each size, so that no variant drags the rows of another size along.
        let variants = variants();
        let mut turns: Vec<Vec<Turn>> = variants.iter().map(|_| Vec::new()).collect();
        for round in 0..=settings.rounds {
            // The first round warms up; then the order rotates, so that none always follows another.
            for step in 0..variants.len() {
                let number = (round + step) % variants.len();
                let (Some(variant), Some(turns)) = (variants.get(number), turns.get_mut(number))
                else {
                    continue;
                };
                let wrk = Wrk {
                    url: variant.gateway.url(),
                    path: &variant.path,
                    body: &body,
                    signature: &signature,
                    run: format!("{round}-{number}"),
                    connections: settings.connections,
                    seconds: if round == 0 { 1 } else { settings.seconds },
                };
                variant.clear();
                let turn = wrk.run(variant.gateway.workerd_pid());
                if round > 0 {
                    variant.say_what_strayed();
                    turns.push(turn);
                }
            }
        }
        print_ingest(label, settings, &variants, &turns);
        let rates = |number: usize| turns.get(number).into_iter().flatten().map(Turn::rate);
        let share = |ours, bare| Series::new(rates(ours).zip(rates(bare)).map(|(a, b)| a / b));
        println!(
            "a Worker in JavaScript that checks the signature and sends, nothing else, against the bare queue send: {}; \
             inlet against it: {}",
            percent(share(5, 1).median()),
            percent(share(2, 5).median()),
        );
        for (what, ours, bare) in [("queue", 2, 1), ("journal", 4, 3)] {
            let shares = share(ours, bare);
            println!(
                "{what} mode against its bare write, {label}: median {}, {} to {} over {} turns",
                percent(shares.median()),
                percent(shares.min()),
                percent(shares.max()),
                settings.rounds,
            );
            let name = format!("ingest, {what} mode, {label}: share of the bare write");
            targets.at_least(&name, shares.median(), INGEST_SHARE);
        }
    }
}

fn print_ingest(label: &str, settings: &Settings, variants: &[Variant], turns: &[Vec<Turn>]) {
    println!(
        "\nIngest, {label}, {} connections, medians of {} turns of {} s",
        settings.connections, settings.rounds, settings.seconds
    );
    println!(
        "{:<26} {:>12} {:>22} {:>9} {:>9} {:>9} {:>16}",
        "", "accepted/s", "(lowest to highest)", "refused", "p50 ms", "p99 ms", "CPU s/10,000"
    );
    for (variant, turns) in variants.iter().zip(turns) {
        let series = |value: fn(&Turn) -> f64| Series::new(turns.iter().map(value));
        let rate = series(Turn::rate);
        println!(
            "{:<26} {:>12.0} {:>22} {:>9} {:>9.2} {:>9.2} {:>16.2}",
            variant.name,
            rate.median(),
            format!("({:.0} to {:.0})", rate.min(), rate.max()),
            percent(series(Turn::refused_share).median()),
            series(|turn| turn.p50_ms).median(),
            series(|turn| turn.p99_ms).median(),
            series(Turn::cpu_per_10_000).median(),
        );
    }
}

/// A gateway with a GitHub source that goes to an endpoint, for parts that look at whole events.
struct Pipeline {
    gateway: Gateway,
    endpoint: Endpoint,
    path: String,
}

impl Pipeline {
    fn start(builder: Builder) -> Self {
        let gateway = builder.start();
        let endpoint = Endpoint::answering(&[Answer::ok()]);
        let path = {
            let project = gateway.project();
            let source = project.github_source(SECRET);
            project.route(&source, &endpoint);
            source_path(&source)
        };
        Self { gateway, endpoint, path }
    }

    fn call(&self, id: &str, body: &str) -> Call {
        self.gateway
            .call("POST", &self.path)
            .header("Content-Type", "application/json")
            .header("X-GitHub-Delivery", id)
            .header("X-Hub-Signature-256", github_signature(SECRET, body.as_bytes()))
            .body(body)
    }

    /// Waits for so many deliveries; answers whether they came.
    fn wait_for(&self, count: usize) -> bool {
        let limit = Duration::from_mins(2);
        poll_until_within(limit, || (self.endpoint.count() >= count).then_some(())).is_some()
    }

    /// Waits until no delivery is unfinished, so that all their rows are written.
    fn wait_until_finished(&self) {
        let sql = "SELECT count(*) AS waiting FROM deliveries WHERE status <> 'Success'";
        poll_until_within(Duration::from_mins(1), || {
            let rows = self.gateway.sql("EVENTS_0", sql, &[]);
            rows.first().is_some_and(|row| row["waiting"] == 0).then_some(())
        });
    }
}

impl Pipeline {
    /// What the cron does for the events later belongs to them too: it clears the outbox, when it
    /// has seen that no delivery was forgotten.
    fn wait_until_swept(&self) {
        let sql = "SELECT count(*) AS waiting FROM outbox";
        let swept = poll_until_within(Duration::from_mins(5), || {
            self.gateway.cron();
            let rows = self.gateway.sql("EVENTS_0", sql, &[]);
            let empty = rows.first().is_some_and(|row| row["waiting"] == 0);
            if !empty {
                thread::sleep(Duration::from_secs(5));
            }
            empty.then_some(())
        });
        if swept.is_none() {
            eprintln!("the outbox is not empty after 5 min: rows are missing from the count");
        }
    }
}

/// Rows written and queue operations for one event that is delivered once.
fn rows(targets: &mut Targets) {
    println!("\nFor one event, delivered once to one endpoint");
    println!(
        "{:<38} {:>12} {:>12} {:>10} {:>12} {:>10}",
        "", "rows written", "rows read", "messages", "queue ops", "KV, R2"
    );
    for mode in ["queue", "journal"] {
        // As in production, where the queue itself watches what it took.
        let builder = Gateway::builder().durability(mode).var("LOCAL_QUEUE", "false");
        let builder = builder.var("SWEEP_AFTER_SECONDS", "20").tapped();
        let pipeline = Pipeline::start(builder);
        let small = body(1024);
        pipeline.call("warm-up", &small).send().expect(200);
        pipeline.wait_for(1);
        pipeline.wait_until_finished();
        for (how, senders, count) in [("one after the other", 1, 20), ("in a burst", 16, 400_usize)]
        {
            pipeline.endpoint.take();
            pipeline.gateway.counters(true);
            let send = |sender: usize| {
                for number in (sender..count).step_by(senders) {
                    pipeline.call(&format!("{how}-{number}"), &small).send().expect(200);
                    if senders == 1 {
                        pipeline.wait_for(number + 1);
                        pipeline.wait_until_finished();
                    }
                }
            };
            thread::scope(|scope| {
                for sender in 0..senders {
                    scope.spawn(move || send(sender));
                }
            });
            pipeline.wait_for(count);
            pipeline.wait_until_finished();
            pipeline.wait_until_swept();
            let counters = pipeline.gateway.counters(true);
            let share = |binding: &str, name: &str| {
                let value = counters.get(binding).and_then(|counter| counter.get(name));
                value.and_then(Value::as_f64).unwrap_or(0.0) / count as f64
            };
            let both = |name| share("DB", name) + share("EVENTS_0", name);
            let messages = share("INGEST_0", "messages") + share("DELIVER_0", "messages");
            println!(
                "{:<38} {:>12.2} {:>12.2} {:>10.2} {:>12.2} {:>10.2}",
                format!("{mode} mode, {count} {how}"),
                both("rowsWritten"),
                both("rowsRead"),
                messages,
                // A message is written, read and deleted.
                messages * 3.0,
                share("CONFIG", "calls") + share("BODIES", "calls"),
            );
            print_statements(&counters, count);
            let name = format!("rows written per event, {mode} mode, {how}");
            targets.at_most(&name, both("rowsWritten"), ROWS_PER_EVENT, "rows");
        }
    }
}

/// Which statements wrote the rows.
fn print_statements(counters: &Value, events: usize) {
    let databases = ["DB", "EVENTS_0"].into_iter().filter_map(|name| counters.get(name));
    let statements = databases.filter_map(|counter| counter.get("bySql")?.as_object()).flatten();
    let mut written: Vec<(f64, &str)> = statements
        .filter_map(|(sql, counter)| {
            let rows = counter.get("rowsWritten")?.as_f64()? / events as f64;
            (rows > 0.0).then_some((rows, sql.as_str()))
        })
        .collect();
    written.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (rows, sql) in written {
        let line: String = sql.split_whitespace().collect::<Vec<_>>().join(" ");
        let start: String = line.chars().take(90).collect();
        println!("    {rows:>6.2}  {start}");
    }
}

fn size(targets: &mut Targets) {
    let build = repository().join("crates/edge/build");
    let kib = |bytes: u64| bytes as f64 / 1024.0;
    let mut upload = 0;
    for name in ["index_bg.wasm", "quickjs.wasm", "gateway.js", "index.js"] {
        let path: PathBuf = build.join(name);
        let raw = std::fs::metadata(&path).map_or(0, |meta| meta.len());
        let gzip = gzip_size(&path);
        upload += gzip;
        println!("{name}: {:.0} KiB, {:.0} KiB with gzip -9", kib(raw), kib(gzip));
        if name == "index_bg.wasm" {
            targets.at_most("wasm, gzip", kib(gzip), WASM_GZIP_KIB, "KiB");
        }
    }
    println!("all that is uploaded: {:.0} KiB with gzip -9", kib(upload));
}

fn cold_start(settings: &Settings) {
    let rounds = if settings.quick { 3 } else { 9 };
    let mut bare = bare("answer.mjs").start();
    let mut ours = Gateway::builder().start();
    let path = github_path(&ours);
    let small = body(1024);
    let signature = github_signature(SECRET, small.as_bytes());
    let mut times: [Vec<f64>; 4] = Default::default();
    for round in 0..rounds {
        let milliseconds = |started: Instant| started.elapsed().as_secs_f64() * 1000.0;
        for (number, gateway) in [(0, &mut bare), (2, &mut ours)] {
            let started = Instant::now();
            gateway.restart();
            let ready = Instant::now();
            let call = if number == 0 {
                gateway.call("GET", "/healthz")
            } else {
                gateway
                    .call("POST", &path)
                    .header("X-GitHub-Delivery", format!("cold-{round}"))
                    .header("X-Hub-Signature-256", &*signature)
                    .body(&*small)
            };
            call.send().expect(200);
            if let Some([whole, first]) = times.get_mut(number..number + 2) {
                whole.push(milliseconds(started));
                first.push(milliseconds(ready));
            }
        }
    }
    let [bare_whole, bare_first, ours_whole, ours_first] = times.map(Series::new);
    println!("\nCold start, medians of {rounds}: from the start of the process to the first 200");
    let line = |name: &str, whole: &Series, first: &Series| {
        println!(
            "{name:<38} {:>7.0} ms in all, {:>6.1} ms for the first request",
            whole.median(),
            first.median()
        );
    };
    line("a bare JavaScript Worker", &bare_whole, &bare_first);
    line("inlet, an ingest request", &ours_whole, &ours_first);
}

/// From the first request to the last delivery, with everything at work.
fn pipeline(settings: &Settings) {
    let count = if settings.quick { 500 } else { 5000 };
    println!("\nThe whole way, {count} events of 1 KB to one endpoint that answers at once");
    for mode in ["queue", "journal"] {
        let pipeline = Pipeline::start(Gateway::builder().durability(mode));
        let small = body(1024);
        let cpu = cpu_seconds(pipeline.gateway.workerd_pid());
        let started = Instant::now();
        thread::scope(|scope| {
            for worker in 0..8 {
                let (pipeline, small) = (&pipeline, &small);
                scope.spawn(move || {
                    for number in (worker..count).step_by(8) {
                        pipeline.call(&format!("pipeline-{number}"), small).send().expect(200);
                    }
                });
            }
        });
        let accepted = started.elapsed().as_secs_f64();
        let complete = pipeline.wait_for(count);
        let seconds = started.elapsed().as_secs_f64();
        let cpu = cpu_seconds(pipeline.gateway.workerd_pid()) - cpu;
        let delivered = pipeline.endpoint.count();
        println!(
            "{mode:<8} accepted in {accepted:>5.1} s, {delivered} delivered in {seconds:>5.1} s: {:>5.0} events/s, {:.1} CPU s per 10,000{}",
            delivered as f64 / seconds,
            cpu / delivered as f64 * 10_000.0,
            if complete { "" } else { "  (NOT ALL ARRIVED)" },
        );
    }
}

/// Resident memory under a steady load of whole events, 50 in a second, and beside it that of a bare
/// Worker that inserts as many rows: what the runtime itself takes.
fn memory(settings: &Settings, targets: &mut Targets) {
    let minutes: f64 = setting("MEM_MINUTES", if settings.quick { 0.5 } else { 10.0 });
    let ours = Pipeline::start(Gateway::builder().durability("queue"));
    let bare = bare("insert.mjs").start();
    let small = body(1024);
    let end = Duration::from_secs_f64(minutes * 60.0);
    let started = Instant::now();
    let (mut samples, mut bare_samples) = (Vec::new(), Vec::new());
    let mut sent: u32 = 0;
    while started.elapsed() < end {
        let due = Duration::from_millis(20) * sent;
        thread::sleep(due.saturating_sub(started.elapsed()));
        ours.call(&format!("memory-{sent}"), &small).send().expect(200);
        bare.call("POST", "/").body(&*small).send().expect(200);
        sent += 1;
        if sent.is_multiple_of(250) {
            samples.push(resident_mib(ours.gateway.workerd_pid()));
            bare_samples.push(resident_mib(bare.workerd_pid()));
            ours.endpoint.take();
            if sent.is_multiple_of(3000) {
                ours.gateway.cron();
            }
        }
    }
    println!(
        "\nMemory of workerd, MiB, under 50 whole events a second for {minutes} min ({sent} events)"
    );
    let series = |samples: &[f64]| {
        let step = samples.len().div_ceil(14).max(1);
        let shown = samples.iter().step_by(step).map(|mib| format!("{mib:>6.0}"));
        shown.collect::<String>()
    };
    println!("inlet, every event routed and delivered {}", series(&samples));
    println!("a bare Worker, one row for each request {}", series(&bare_samples));
    // A short run only shows the warming up.
    if minutes >= 5.0 {
        let third = (samples.len() / 3).max(1);
        let middle = Series::new(samples.iter().skip(third).take(third).copied());
        let last = Series::new(samples.iter().rev().take(third).copied());
        let growth = last.median() / middle.median();
        targets.at_most("memory, last third against the second", growth, MEMORY_GROWTH, "times");
    }
}
