//! A project, a source, an endpoint and a companion, for one test and one broker.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use inlet_tests::{Endpoint, Gateway, Project, poll_until, repository};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::servers::{Place, Record, Server, variable};

const BINARY: &str = env!("CARGO_BIN_EXE_inlet-consumer");

/// The gateway that most tests share.
pub(crate) fn gateway() -> &'static Gateway {
    static GATEWAY: OnceLock<Gateway> = OnceLock::new();
    GATEWAY.get_or_init(|| Gateway::builder().durability("journal").start())
}

/// Whether this broker can be tested here. Says so if it cannot, and fails if it has to.
pub(crate) fn is_there<S: Server>() -> bool {
    if variable(S::VARIABLE).is_some() {
        return true;
    }
    let missing = variable(&format!("INLET_TEST_MISSING_{}", S::NAME.to_uppercase()));
    let why = missing.unwrap_or_else(|| {
        format!("{} is not set; `scripts/brokers.sh install`, then `up`", S::VARIABLE)
    });
    let required = std::env::var("REQUIRE_BROKERS").unwrap_or_default();
    assert!(
        !required.split_whitespace().any(|name| name == S::NAME),
        "{} is required: {why}",
        S::NAME
    );
    skipped::<S>(&why);
    false
}

/// Past the test runner, which shows nothing of a test that passes.
pub(crate) fn skipped<S: Server>(why: &str) {
    std::io::stderr().write_all(format!("SKIPPED-BROKER {}: {why}\n", S::NAME).as_bytes()).ok();
}

/// Tests of a broker run side by side, but for one that stops it.
fn running<S: Server>() -> &'static RwLock<()> {
    static RUNNING: Mutex<BTreeMap<&str, &'static RwLock<()>>> = Mutex::new(BTreeMap::new());
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    running.entry(S::NAME).or_insert_with(|| Box::leak(Box::new(RwLock::new(()))))
}

pub(crate) enum Hold {
    Shared(#[expect(dead_code, reason = "held")] RwLockReadGuard<'static, ()>),
    Alone(#[expect(dead_code, reason = "held")] RwLockWriteGuard<'static, ()>),
}

pub(crate) fn shared<S: Server>() -> Hold {
    Hold::Shared(running::<S>().read().unwrap_or_else(PoisonError::into_inner))
}

pub(crate) fn alone<S: Server>() -> Hold {
    Hold::Alone(running::<S>().write().unwrap_or_else(PoisonError::into_inner))
}

/// `scripts/brokers.sh` with these arguments; not for brokers of somebody else.
pub(crate) fn script(arguments: &[&str]) {
    let done =
        Command::new(repository().join("scripts/brokers.sh")).args(arguments).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

pub(crate) struct World<'g, S: Server> {
    pub(crate) server: S,
    pub(crate) place: Place,
    pub(crate) project: Project<'g>,
    pub(crate) source: Value,
    pub(crate) key: String,
    pub(crate) receiver: Endpoint,
    /// An endpoint of the project that the receiver answers.
    pub(crate) endpoint: String,
    /// One that wants nothing: events by the hundred are for it, so that they make no deliveries.
    pub(crate) silent: String,
    _hold: Hold,
}

impl<S: Server> World<'static, S> {
    pub(crate) fn new(server: S) -> Self {
        Self::with(server, gateway(), json!({}), shared::<S>())
    }

    /// A project with a source of this server, with these fields in `pub_sub`.
    pub(crate) fn of(server: S, fields: Value) -> Self {
        Self::with(server, gateway(), fields, shared::<S>())
    }
}

impl<'g, S: Server> World<'g, S> {
    pub(crate) fn with(server: S, gateway: &'g Gateway, fields: Value, hold: Hold) -> Self {
        let place = server.place();
        let project = gateway.project();
        let receiver = Endpoint::ok();
        let body = json!({"name": "receiver", "url": receiver.url("/hook"), "owner_id": "owner"});
        let endpoint = uid(&project.endpoint(body));
        let body = json!({"name": "silent", "url": receiver.url("/silent")});
        let silent = uid(&project.endpoint(body));
        let mut pub_sub = place.pub_sub.clone();
        if let (Value::Object(pub_sub), Value::Object(fields)) = (&mut pub_sub, fields) {
            pub_sub.extend(fields);
        }
        let source =
            project.source(json!({"name": S::NAME, "type": "pub_sub", "pub_sub": pub_sub}));
        project.subscription(
            json!({"name": "none", "endpoint_id": silent, "source_id": source["uid"],
            "filter_config": {"event_types": ["never"]}}),
        );
        let key = project.companion().key;
        Self { server, place, project, source, key, receiver, endpoint, silent, _hold: hold }
    }

    pub(crate) fn publish(&self, records: &[Record]) {
        self.server.publish(&self.place, records);
    }

    /// The JSON of an event for the endpoint.
    pub(crate) fn single(&self, event_type: &str, data: &Value) -> Record {
        let body = json!({"endpoint_id": self.endpoint, "event_type": event_type, "data": data});
        Record::new(body.to_string()).header("x-convoy-message-type", "single")
    }

    pub(crate) fn numbers(&self, range: std::ops::Range<u64>) -> Vec<Record> {
        range.map(|n| number(&self.silent, n)).collect()
    }

    pub(crate) fn companion(&self) -> Companion {
        Companion::start(self.project.gateway.url(), &self.key)
    }

    /// Waits until the project has this many events, and answers their numbers in the order of the store.
    #[track_caller]
    pub(crate) fn wait_for_numbers(&self, count: usize) -> Vec<u64> {
        let mut last = 0;
        let found = inlet_tests::poll_until_within(Duration::from_mins(2), || {
            let numbers = self.stored_numbers();
            last = numbers.len();
            (numbers.len() >= count).then_some(numbers)
        });
        found.unwrap_or_else(|| panic!("{last} of {count} events came"))
    }

    pub(crate) fn stored_numbers(&self) -> Vec<u64> {
        let rows = self.project.stored_events();
        rows.iter()
            .filter_map(|row| {
                let body: Value = serde_json::from_str(row["body"].as_str()?).ok()?;
                body["n"].as_u64()
            })
            .collect()
    }

    #[track_caller]
    pub(crate) fn status(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/sources/{}", uid(&self.source));
        let mut last = Value::Null;
        let found = inlet_tests::poll_until_within(Duration::from_secs(45), || {
            last = self.project.get(&path).expect(200).data()["pub_sub_status"].clone();
            wanted(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("{what}: {last}"))
    }

    /// The dead letters of the source, when there are this many.
    #[track_caller]
    pub(crate) fn dead_letters(&self, count: usize) -> Vec<Value> {
        let mut found = poll_until(&format!("{count} dead letters"), || {
            let list = self.project.list("/dead-letters?kind=broker&perPage=100");
            (list.len() >= count).then_some(list)
        });
        assert_eq!(found.len(), count, "{found:?}");
        found.reverse();
        found
    }

    /// The only event, once it is there.
    #[track_caller]
    pub(crate) fn one_event(&self) -> Value {
        let event = poll_until("an event", || self.project.list("/events").into_iter().next());
        assert_eq!(self.project.list("/events").len(), 1);
        event
    }
}

pub(crate) fn number(endpoint: &str, n: u64) -> Record {
    let body = json!({"endpoint_id": endpoint, "event_type": "number", "data": {"n": n}});
    Record::new(body.to_string()).key("one")
}

pub(crate) fn uid(value: &Value) -> String {
    value["uid"].as_str().expect("a uid").to_owned()
}

/// `inlet-consumer` as a process.
pub(crate) struct Companion {
    child: Child,
    log: std::path::PathBuf,
    ended: Mutex<bool>,
}

impl Companion {
    pub(crate) fn start(url: &str, key: &str) -> Self {
        let log = inlet_tests::scratch_folder("companion").join("log");
        let child = Command::new(BINARY)
            .env("INLET_URL", url)
            .env("INLET_CONSUMER_KEY", key)
            .env("INLET_LOG", "debug")
            .env("INLET_MAX_BACKOFF_SECONDS", "2")
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, log, ended: Mutex::new(false) }
    }

    /// What `inlet-consumer check` says.
    pub(crate) fn check(url: &str, key: &str) -> String {
        let mut command = Command::new(BINARY);
        command.arg("check").env("INLET_URL", url).env("INLET_CONSUMER_KEY", key);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }

    pub(crate) fn kill9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as a supervisor does, and waits until it has finished.
    pub(crate) fn stop(mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let code = self.child.wait().unwrap().code();
        *self.ended.lock().unwrap() = true;
        assert_eq!(code, Some(0), "{}", self.tail());
    }

    fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("the companion's last words:\n{}", self.tail());
        }
        if let Some(folder) = self.log.parent() {
            std::fs::remove_dir_all(folder).ok();
        }
    }
}
