//! Kills the gateway at random moments under full load, and counts what it had promised.
//!
//! Every request that was answered 2xx must be stored exactly once and delivered at least once.
//! `ROUNDS` (20), `CONNECTIONS` (8), `DRAIN_MINUTES` (15), `SEED` (the time), `STATE` (a new folder).
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program that prints its findings and stops when it cannot go on"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use inlet_tests::{
    Call, Connection, Endpoint, Gateway, github_signature, scratch_folder, source_path,
};
use serde_json::{Value, json};

const SECRET: &str = "a-secret-of-github";

fn main() -> ExitCode {
    let rounds: u64 = setting("ROUNDS", 20);
    let connections: usize = setting("CONNECTIONS", 8);
    let drain = Duration::from_secs(60 * setting("DRAIN_MINUTES", 15));
    let mut random = Random::new();
    println!("seed {}, {rounds} rounds, {connections} connections, journal mode", random.0);

    let given = std::env::var_os("STATE").map(PathBuf::from);
    let state = given.clone().unwrap_or_else(|| scratch_folder("chaos"));
    let mut gateway = Gateway::builder().durability("journal").state(&state).start();
    let endpoint = Endpoint::ok();
    let (project_uid, path) = prepare(&gateway, &endpoint);

    let mut promised: BTreeSet<String> = BTreeSet::new();
    let mut delivered: BTreeMap<String, u32> = BTreeMap::new();
    for round in 1..=rounds {
        if round > 1 {
            gateway.restart();
        }
        let life = Duration::from_millis(500 + random.below(2000));
        let load = Load::new(gateway.url(), &path, round);
        // Every other time the load ends first, so that the kill meets the router and the dispatcher.
        let quiet =
            Duration::from_millis(if round % 2 == 0 { 200 + random.below(1800) } else { 0 });
        let (ids, refused) = load.run(connections, life, quiet, || gateway.kill9());
        note_deliveries(&endpoint, &mut delivered);
        println!(
            "round {round:>3}: {:>4} ms of load, {:>4} ms of quiet, killed; acknowledged {:>6}, refused {:>5}, delivered so far {:>7}",
            life.as_millis(),
            quiet.as_millis(),
            ids.len(),
            refused,
            delivered.len(),
        );
        promised.extend(ids);
    }

    gateway.restart();
    let drained = wait_until_drained(&gateway, &endpoint, &promised, &mut delivered, drain);
    let stored = stored_ids(&gateway, &project_uid);
    let intact = is_intact(&gateway);
    gateway.kill9();
    if given.is_none() {
        std::fs::remove_dir_all(&state).ok();
    }
    report(&promised, &stored, &delivered, drained, intact)
}

/// A GitHub source and an endpoint for all of it; answers the project and the path to post to.
fn prepare(gateway: &Gateway, endpoint: &Endpoint) -> (String, String) {
    let retry = json!({"strategy": {"type": "linear", "duration": 1, "retry_count": 100}});
    let project = gateway.project_with(retry);
    let source = project.github_source(SECRET);
    project.route(&source, endpoint);
    (project.uid.clone(), source_path(&source))
}

/// Signed requests with unique ids, over several connections, for as long as the gateway lives.
struct Load {
    origin: String,
    path: String,
    round: u64,
    stop: AtomicBool,
    refused: AtomicUsize,
}

impl Load {
    fn new(origin: &str, path: &str, round: u64) -> Self {
        Self {
            origin: origin.to_owned(),
            path: path.to_owned(),
            round,
            stop: AtomicBool::new(false),
            refused: AtomicUsize::new(0),
        }
    }

    /// Posts for `life`, pauses for `quiet`, then `kill`s; without a pause the load goes on until the
    /// gateway is dead. Answers the ids that were acknowledged, and how many were refused.
    fn run(
        &self,
        connections: usize,
        life: Duration,
        quiet: Duration,
        kill: impl FnOnce(),
    ) -> (Vec<String>, usize) {
        thread::scope(|scope| {
            let workers: Vec<_> =
                (0..connections).map(|number| scope.spawn(move || self.post_all(number))).collect();
            thread::sleep(life);
            self.stop.store(!quiet.is_zero(), Ordering::Release);
            thread::sleep(quiet);
            kill();
            self.stop.store(true, Ordering::Release);
            let acknowledged = workers
                .into_iter()
                .flat_map(|worker| worker.join().expect("a connection's thread"))
                .collect();
            (acknowledged, self.refused.load(Ordering::Relaxed))
        })
    }

    fn post_all(&self, connection_number: usize) -> Vec<String> {
        let mut acknowledged = Vec::new();
        let mut connection = None;
        let mut number = 0_u64;
        while !self.stop.load(Ordering::Acquire) {
            let Some(open) = connection.as_mut() else {
                connection = Connection::open(&self.origin).ok();
                continue;
            };
            number += 1;
            let id = format!("{}-{connection_number}-{number}", self.round);
            match Connection::send(open, &self.request(&id)) {
                Ok(reply) if (200..300).contains(&reply.status) => acknowledged.push(id),
                Ok(_) => {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => connection = None,
            }
        }
        acknowledged
    }

    fn request(&self, id: &str) -> Call {
        let body = json!({"id": id, "text": "x".repeat(200)}).to_string();
        Call::new(&self.origin, "POST", &self.path)
            .header("Content-Type", "application/json")
            .header("X-GitHub-Event", "push")
            .header("X-GitHub-Delivery", id)
            .header("X-Hub-Signature-256", github_signature(SECRET, body.as_bytes()))
            .body(body)
    }
}

fn note_deliveries(endpoint: &Endpoint, delivered: &mut BTreeMap<String, u32>) {
    for received in endpoint.take() {
        let body: Value = serde_json::from_slice(&received.body).unwrap_or_default();
        let id = body.get("id").and_then(Value::as_str).unwrap_or("(no id)");
        *delivered.entry(id.to_owned()).or_default() += 1;
    }
}

/// Rings the cron until everything promised has arrived, or nothing has moved for three minutes.
fn wait_until_drained(
    gateway: &Gateway,
    endpoint: &Endpoint,
    promised: &BTreeSet<String>,
    delivered: &mut BTreeMap<String, u32>,
    limit: Duration,
) -> bool {
    let started = Instant::now();
    let mut last_move = (Instant::now(), 0);
    let mut last_line = Instant::now();
    while started.elapsed() < limit && last_move.0.elapsed() < Duration::from_mins(3) {
        gateway.cron();
        note_deliveries(endpoint, delivered);
        let missing = promised.iter().filter(|id| !delivered.contains_key(*id)).count();
        if missing == 0 {
            println!("drained after {} s", started.elapsed().as_secs());
            return true;
        }
        if missing != last_move.1 {
            last_move = (Instant::now(), missing);
        }
        if last_line.elapsed() > Duration::from_secs(15) {
            println!("draining: {missing} of {} not delivered yet", promised.len());
            last_line = Instant::now();
        }
        thread::sleep(Duration::from_millis(500));
    }
    false
}

/// How often each id is stored as an event.
fn stored_ids(gateway: &Gateway, project_uid: &str) -> BTreeMap<String, u32> {
    const PAGE: usize = 5000;
    let mut stored = BTreeMap::new();
    let mut after = String::new();
    loop {
        let sql = "SELECT id, json_extract(body, '$.id') AS request FROM events \
                   WHERE project_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
        let rows = gateway.sql("EVENTS_0", sql, &[json!(project_uid), json!(after), json!(PAGE)]);
        for row in &rows {
            let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
            *stored.entry(text("request").to_owned()).or_default() += 1;
            text("id").clone_into(&mut after);
        }
        if rows.len() < PAGE {
            return stored;
        }
    }
}

fn is_intact(gateway: &Gateway) -> bool {
    ["DB", "EVENTS_0"].iter().all(|db| {
        let rows = gateway.sql(db, "PRAGMA quick_check", &[]);
        rows.first().is_some_and(|row| row["quick_check"] == "ok")
    })
}

fn report(
    promised: &BTreeSet<String>,
    stored: &BTreeMap<String, u32>,
    delivered: &BTreeMap<String, u32>,
    drained: bool,
    intact: bool,
) -> ExitCode {
    let not_stored = promised.iter().filter(|id| !stored.contains_key(*id)).count();
    let not_delivered: Vec<_> = promised.iter().filter(|id| !delivered.contains_key(*id)).collect();
    let stored_twice = stored.values().filter(|times| **times > 1).count();
    let delivered_twice = delivered.values().filter(|times| **times > 1).count();
    println!("acknowledged      {:>8}", promised.len());
    println!(
        "stored            {:>8}  ({not_stored} of the acknowledged are missing)",
        stored.len()
    );
    println!("stored twice      {stored_twice:>8}");
    println!("delivered         {:>8}", delivered.len());
    println!("delivered twice   {delivered_twice:>8}  (allowed: at least once)");
    println!("lost              {:>8}", not_delivered.len());
    println!("drained in time   {drained:>8}");
    println!("databases intact  {intact:>8}");
    if !not_delivered.is_empty() {
        let some: Vec<_> = not_delivered.iter().take(10).collect();
        println!("for example lost: {some:?}");
    }
    let good = not_stored == 0 && not_delivered.is_empty() && stored_twice == 0 && intact;
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A number from the environment.
fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// xorshift64: which moments are random does not matter much, that a run can be repeated does.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs());
        Self(setting("SEED", now).max(1))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
