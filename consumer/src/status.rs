//! What is known of each source here: for the gateway, for Prometheus, for the log.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use inlet_gateway::consumer::{self, Report, SourceReport, State};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::lock::lock;
use crate::log;

/// Sources in one report: with an error each, they are less than a body may be.
const REPORTED_AT_ONCE: usize = 200;

/// Trouble that lasts is told to the log again after this.
const TOLD_AGAIN_AFTER_MS: u64 = 10 * 60 * 1000;

/// What one source has done since the companion started.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) received: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) dead_letters: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) bytes: AtomicU64,
    last_message_at: AtomicU64,
}

pub(crate) fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
}

#[derive(Debug)]
struct Now {
    name: String,
    version: String,
    /// By worker.
    states: Vec<State>,
    lags: Vec<Option<u64>>,
    error: Option<consumer::Fault>,
    /// What the log was told of lately, and when, in milliseconds since 1970: workers may be in different trouble by turns.
    told: BTreeMap<String, u64>,
}

impl Now {
    /// Keeps what is wrong; whether the log has to be told.
    fn note(&mut self, message: &str, at: u64) -> bool {
        self.error = Some(consumer::Fault { message: message.to_owned(), at });
        self.told.retain(|_, told| at.saturating_sub(*told) < TOLD_AGAIN_AFTER_MS);
        if self.told.contains_key(message) {
            return false;
        }
        self.told.insert(message.to_owned(), at);
        true
    }
}

/// One source, as its workers report it.
#[derive(Debug)]
pub(crate) struct SourceStatus {
    pub(crate) uid: String,
    pub(crate) counters: Counters,
    now: Mutex<Now>,
    changed: Arc<Notify>,
}

impl SourceStatus {
    /// A new run of the source, with this many workers.
    pub(crate) fn restart(&self, version: &str, workers: usize, state: State) {
        let mut now = lock(&self.now);
        version.clone_into(&mut now.version);
        now.states = vec![state; workers.max(1)];
        now.lags = vec![None; workers.max(1)];
        drop(now);
        self.changed.notify_one();
    }

    pub(crate) fn set(&self, worker: usize, state: State) {
        let mut now = lock(&self.now);
        let before = summary(&now.states);
        if let Some(own) = now.states.get_mut(worker) {
            *own = state;
        }
        let after = summary(&now.states);
        let name = now.name.clone();
        drop(now);
        if before != after {
            log::info(
                "the state of a source has changed",
                json!({"source": self.uid, "name": name, "state": after.name()}),
            );
            self.changed.notify_one();
        }
    }

    /// Something went wrong; told to the log when it was not told of it lately.
    pub(crate) fn error(&self, message: &str) {
        let mut now = lock(&self.now);
        let has_to_tell = now.note(message, log::now_ms());
        let name = now.name.clone();
        drop(now);
        let fields = json!({"source": self.uid, "name": name, "error": message});
        if has_to_tell {
            log::warn("a source is in trouble", fields);
            self.changed.notify_one();
        } else {
            log::debug("a source has the same trouble", fields);
        }
    }

    pub(crate) fn lag(&self, worker: usize, lag: Option<u64>) {
        if let Some(own) = lock(&self.now).lags.get_mut(worker) {
            *own = lag;
        }
    }

    pub(crate) fn received(&self, count: usize) {
        add(&self.counters.received, count);
        self.counters.last_message_at.store(log::now_ms(), Ordering::Relaxed);
    }

    fn report(&self) -> SourceReport {
        let now = lock(&self.now);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let last = count(&self.counters.last_message_at);
        SourceReport {
            source_id: self.uid.clone(),
            version: now.version.clone(),
            state: summary(&now.states),
            lag: sum(&now.lags),
            error: now.error.clone(),
            received: count(&self.counters.received),
            accepted: count(&self.counters.accepted),
            duplicates: count(&self.counters.duplicates),
            dead_letters: count(&self.counters.dead_letters),
            last_message_at: (last > 0).then_some(last),
        }
    }
}

/// The worst of the workers' states.
fn summary(states: &[State]) -> State {
    [State::Failing, State::Connecting, State::Connected]
        .into_iter()
        .find(|state| states.contains(state))
        .unwrap_or(State::Stopped)
}

fn sum(lags: &[Option<u64>]) -> Option<u64> {
    lags.iter().flatten().copied().reduce(u64::saturating_add)
}

/// All sources of one key.
#[derive(Debug, Default)]
pub(crate) struct Board {
    /// Which of the companion's keys it is, from 1: two keys may be one project's, and read the same sources.
    key: usize,
    project: Mutex<String>,
    sources: Mutex<BTreeMap<String, Arc<SourceStatus>>>,
    /// Rings when the gateway should be told at once.
    pub(crate) changed: Arc<Notify>,
}

impl Board {
    pub(crate) fn of_key(key: usize) -> Self {
        Self { key, ..Self::default() }
    }

    pub(crate) fn set_project(&self, id: &str) {
        id.clone_into(&mut lock(&self.project));
    }

    /// The source of this uid, which is called so from here on.
    pub(crate) fn source(&self, uid: &str, name: &str) -> Arc<SourceStatus> {
        let mut sources = lock(&self.sources);
        let status = sources.entry(uid.to_owned()).or_insert_with(|| {
            Arc::new(SourceStatus {
                uid: uid.to_owned(),
                counters: Counters::default(),
                now: Mutex::new(Now {
                    name: String::new(),
                    version: String::new(),
                    states: vec![State::Connecting],
                    lags: vec![None],
                    error: None,
                    told: BTreeMap::new(),
                }),
                changed: Arc::clone(&self.changed),
            })
        });
        name.clone_into(&mut lock(&status.now).name);
        Arc::clone(status)
    }

    pub(crate) fn forget(&self, uid: &str) {
        lock(&self.sources).remove(uid);
    }

    fn all(&self) -> Vec<Arc<SourceStatus>> {
        lock(&self.sources).values().cloned().collect()
    }

    /// The bodies of status reports, as large as the gateway takes them; one where there are no sources. Who reports is this key of
    /// the companion.
    pub(crate) fn reports(&self, companion: &str) -> Vec<Value> {
        let all = self.all();
        let mut parts: Vec<&[Arc<SourceStatus>]> = all.chunks(REPORTED_AT_ONCE).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        let report = |part: &[Arc<SourceStatus>]| {
            let companion = format!("{companion}-{}", self.key);
            let sources = part.iter().map(|source| source.report()).collect();
            let version = env!("CARGO_PKG_VERSION").to_owned();
            Report { companion, version, sources }.write()
        };
        parts.into_iter().map(report).collect()
    }
}

/// All boards as Prometheus reads them.
pub(crate) fn prometheus(boards: &[Arc<Board>]) -> String {
    type Counter = fn(&Counters) -> &AtomicU64;
    let counters: [(&str, &str, Counter); 7] = [
        ("received", "Messages taken from the broker.", |c| &c.received),
        ("accepted", "Messages that became events.", |c| &c.accepted),
        ("duplicates", "Messages that were events already.", |c| &c.duplicates),
        ("dead_letters", "Messages that became dead letters.", |c| &c.dead_letters),
        ("retries", "Messages that the gateway asked to send again.", |c| &c.retries),
        ("batches", "Batches that the gateway has answered.", |c| &c.batches),
        ("batch_bytes", "Bytes of payload in them.", |c| &c.bytes),
    ];
    let mut text = String::new();
    let mut sources = Vec::new();
    for board in boards {
        let (project, key) = (lock(&board.project).clone(), board.key.to_string());
        for source in board.all() {
            let name = lock(&source.now).name.clone();
            let labels = [
                ("project", project.as_str()),
                ("key", &key),
                ("source", &source.uid),
                ("name", &name),
            ]
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
            sources.push((labels.join(","), source));
        }
    }
    for (name, help, counter) in counters {
        let name = format!("inlet_consumer_{name}_total");
        write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n").ok();
        for (labels, source) in &sources {
            let value = counter(&source.counters).load(Ordering::Relaxed);
            writeln!(text, "{name}{{{labels}}} {value}").ok();
        }
    }
    text.push_str("# HELP inlet_consumer_state 1 for the state that the source is in.\n");
    text.push_str("# TYPE inlet_consumer_state gauge\n");
    for (labels, source) in &sources {
        let state = summary(&lock(&source.now).states);
        for one in State::ALL {
            let (name, value) = (one.name(), u8::from(one == state));
            writeln!(text, "inlet_consumer_state{{{labels},state=\"{name}\"}} {value}").ok();
        }
    }
    text.push_str("# HELP inlet_consumer_lag Messages that wait at the broker, where it tells.\n");
    text.push_str("# TYPE inlet_consumer_lag gauge\n");
    for (labels, source) in &sources {
        if let Some(lag) = sum(&lock(&source.now).lags) {
            writeln!(text, "inlet_consumer_lag{{{labels}}} {lag}").ok();
        }
    }
    text
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_worst_worker_decides_and_lags_add_up() {
        use State::*;
        for (states, expect) in [
            (vec![Connected, Connected], Connected),
            (vec![Connected, Connecting], Connecting),
            (vec![Connected, Failing, Connecting], Failing),
            (vec![Stopped, Connected], Connected),
            (vec![Stopped], Stopped),
        ] {
            assert_eq!(summary(&states), expect, "{states:?}");
        }
        assert_eq!(sum(&[None, Some(2), Some(3)]), Some(5));
        assert_eq!(sum(&[None]), None);
    }

    #[test]
    fn trouble_that_lasts_is_told_again_after_a_while() {
        let mut now = Now {
            name: String::new(),
            version: String::new(),
            states: Vec::new(),
            lags: Vec::new(),
            error: None,
            told: BTreeMap::new(),
        };
        let told: Vec<_> = [
            ("a", 5, true),
            ("b", 6, true),
            ("a", 7, false),
            ("a", 4 + TOLD_AGAIN_AFTER_MS, false),
            ("a", 5 + TOLD_AGAIN_AFTER_MS, true),
            ("a", 6 + TOLD_AGAIN_AFTER_MS, false),
            ("b", 7 + TOLD_AGAIN_AFTER_MS, true),
            ("c", 8 + TOLD_AGAIN_AFTER_MS, true),
        ]
        .into_iter()
        .filter(|(message, at, expect)| now.note(message, *at) != *expect)
        .collect();
        assert_eq!(told, []);
    }

    #[test]
    fn a_source_is_reported_and_measured() {
        let board = Arc::new(Board::of_key(1));
        board.set_project("p\"1");
        let source = board.source("s", "orders");
        source.restart("v2", 2, State::Connecting);
        source.set(0, State::Connected);
        source.set(1, State::Connected);
        source.received(3);
        add(&source.counters.accepted, 2);
        source.error("the queue is gone");
        source.lag(1, Some(9));
        let reports = board.reports("me");
        let one = &reports[0]["sources"][0];
        assert_eq!(one["state"], "connected");
        assert_eq!(
            (&one["received"], &one["accepted"], &one["lag"]),
            (&json!(3), &json!(2), &json!(9))
        );
        assert_eq!(one["error"]["message"], "the queue is gone");
        assert!(one["last_message_at"].as_u64() > Some(0));
        let text = prometheus(&[Arc::clone(&board)]);
        let labels = r#"{project="p\"1",key="1",source="s",name="orders""#;
        for line in [
            format!("inlet_consumer_accepted_total{labels}}} 2\n"),
            format!("inlet_consumer_state{labels},state=\"connected\"}} 1\n"),
            format!("inlet_consumer_state{labels},state=\"failing\"}} 0\n"),
            format!("inlet_consumer_lag{labels}}} 9\n"),
        ] {
            assert!(text.contains(&line), "{line}{text}");
        }
        board.forget("s");
        let none = board.reports("me");
        assert_eq!((none.len(), &none[0]["sources"]), (1, &json!([])));
    }

    #[test]
    fn many_sources_are_reported_in_parts() {
        let board = Board::default();
        for n in 0..450 {
            board.source(&format!("s{n}"), "orders").error(&"x".repeat(1_000));
        }
        let reports = board.reports("me");
        let counts: Vec<_> =
            reports.iter().map(|one| one["sources"].as_array().unwrap().len()).collect();
        assert_eq!(counts, [200, 200, 50]);
        assert!(reports.iter().all(|one| one.to_string().len() < 1 << 20));
        let uids: HashSet<_> = reports
            .iter()
            .flat_map(|one| one["sources"].as_array().unwrap())
            .map(|one| one["source_id"].as_str().unwrap())
            .collect();
        assert_eq!(uids.len(), 450);
    }

    #[test]
    fn two_keys_of_a_project_are_told_apart() {
        let boards = [1, 2].map(|key| Arc::new(Board::of_key(key)));
        for board in &boards {
            board.set_project("p");
            board.source("s", "orders");
        }
        let [first, second] = boards.each_ref().map(|board| board.reports("me"));
        assert_ne!(first[0]["companion"], second[0]["companion"]);
        let text = prometheus(&boards);
        let series: Vec<_> = text.lines().filter_map(|line| line.rsplit_once(' ')).collect();
        let names: HashSet<_> = series.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), series.len(), "a series has one value: {text}");
    }
}
