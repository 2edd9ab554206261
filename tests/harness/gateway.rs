use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use crate::client::{Call, Reply, array};
use crate::poll::poll_until_within;

pub const ROOT_KEY: &str = "root-key-of-the-tests";
/// 32 bytes in base64, as the Worker wants them.
pub const ENCRYPTION_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The folder of the workspace.
pub fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// A new folder that nobody else uses.
pub fn scratch_folder(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = format!("inlet-{name}-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(folder);
    std::fs::create_dir_all(&folder).expect("a folder for temporary files");
    folder
}

/// The event database that projects of the tests live in: `INLET_SHARD`, or the first. All tests can run on any.
pub fn shard() -> usize {
    std::env::var("INLET_SHARD").map_or(0, |shard| shard.parse().expect("INLET_SHARD is a number"))
}

/// What is called so for the first event database (`EVENTS_0`, `inlet-ingest-0`) is called so for that of the tests.
fn of_shard(name: &str) -> String {
    match name.strip_suffix('0') {
        Some(start) if start.ends_with(['_', '-']) => format!("{start}{}", shard()),
        _ => name.to_owned(),
    }
}

/// How a gateway is to run; see `gateway.mjs` for the meaning of each option.
#[derive(Clone, Debug)]
pub struct Builder {
    vars: BTreeMap<String, Value>,
    consumers: BTreeMap<String, Value>,
    state: Option<PathBuf>,
    worker: Option<PathBuf>,
    sink: Vec<String>,
    outbound: BTreeMap<String, Value>,
    tap: bool,
    closed: bool,
    migrate: bool,
    shards: usize,
}

impl Builder {
    #[must_use]
    pub fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.insert(name.to_owned(), json!(value));
        self
    }

    #[must_use]
    pub fn without_var(mut self, name: &str) -> Self {
        self.vars.remove(name);
        self
    }

    /// `queue` or `journal`.
    #[must_use]
    pub fn durability(self, mode: &str) -> Self {
        self.var("DURABILITY", mode)
    }

    /// Overrides the settings of a queue's consumer, e.g. `{"retryDelay": 0}`.
    #[must_use]
    pub fn consumer(mut self, queue: &str, settings: Value) -> Self {
        self.consumers.insert(of_shard(queue), settings);
        self
    }

    /// Messages of this queue vanish in a second Worker, so that ingest is alone.
    #[must_use]
    pub fn sink(mut self, queue: &str) -> Self {
        self.sink.push(of_shard(queue));
        self
    }

    /// What the Worker gets when it fetches this URL.
    #[must_use]
    pub fn outbound(mut self, url: &str, document: &str) -> Self {
        self.outbound.insert(url.to_owned(), json!(document));
        self
    }

    /// How many event databases there are.
    #[must_use]
    pub fn shards(mut self, count: usize) -> Self {
        self.shards = count;
        self
    }

    /// Nothing that the Worker fetches leaves this machine.
    #[must_use]
    pub fn closed(mut self) -> Self {
        self.closed = true;
        self
    }

    /// Lets the test count and refuse the Worker's calls of its bindings.
    #[must_use]
    pub fn tapped(mut self) -> Self {
        self.tap = true;
        self
    }

    /// Keeps the state in this folder, and leaves it there.
    #[must_use]
    pub fn state(mut self, folder: &Path) -> Self {
        self.state = Some(folder.to_owned());
        self
    }

    /// Runs another Worker than the one of this repository.
    #[must_use]
    pub fn worker(mut self, main: &Path) -> Self {
        self.worker = Some(main.to_owned());
        self
    }

    #[must_use]
    pub fn without_migrations(mut self) -> Self {
        self.migrate = false;
        self
    }

    #[track_caller]
    pub fn start(self) -> Gateway {
        let built = repository().join("crates/edge/build/index.js");
        assert!(
            self.worker.is_some() || built.exists(),
            "{} is missing: run `make build` first",
            built.display()
        );
        let ephemeral = self.state.is_none();
        let state = self.state.clone().unwrap_or_else(|| scratch_folder("gateway"));
        let log = Arc::new(Mutex::new(Vec::new()));
        let running = Running::spawn(&self, &state, ephemeral, &log);
        Gateway { builder: self, state, ephemeral, log, running: Some(running) }
    }
}

/// The processes of a gateway: Node, and workerd below it, in a process group of their own.
#[derive(Debug)]
struct Running {
    child: Child,
    url: String,
    control: String,
    workerd: u32,
    start: Duration,
    /// The script stops when this closes, so a test process that dies leaves nothing behind.
    _guard: Option<ChildStdin>,
}

impl Running {
    #[track_caller]
    fn spawn(
        builder: &Builder,
        state: &Path,
        ephemeral: bool,
        log: &Arc<Mutex<Vec<String>>>,
    ) -> Self {
        let options = json!({
            "state": state,
            "ephemeral": ephemeral,
            "worker": builder.worker,
            "vars": builder.vars,
            "consumers": builder.consumers,
            "sink": builder.sink, "outbound": (!builder.outbound.is_empty()).then_some(&builder.outbound),
            "tap": builder.tap, "closed": builder.closed,
            "migrate": builder.migrate, "shards": builder.shards,
        });
        let mut child = Command::new("node")
            .arg(repository().join("tests/harness/gateway.mjs"))
            .arg(options.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("node is installed");
        let stderr = child.stderr.take().expect("a pipe");
        let lines = Arc::clone(log);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let mut ready = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut ready).expect("a line from the gateway");
        let Ok(ready) = serde_json::from_str::<Value>(&ready) else {
            let code = child.wait().ok();
            if ephemeral {
                std::fs::remove_dir_all(state).ok();
            }
            let lines = log.lock().unwrap_or_else(PoisonError::into_inner);
            panic!("the gateway did not start ({code:?}):\n{}", lines.join("\n"));
        };
        let text = |name: &str| ready[name].as_str().expect("a text").to_owned();
        Self {
            url: text("url"),
            control: text("controlUrl"),
            workerd: ready["workerdPid"].as_u64().and_then(|pid| pid.try_into().ok()).unwrap_or(0),
            start: Duration::from_millis(ready["startMs"].as_u64().unwrap_or(0)),
            _guard: child.stdin.take(),
            child,
        }
    }

    fn kill9(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            kill_process_group(group, Signal::KILL).ok();
        }
        self.child.wait().ok();
        // workerd is not our child: wait until the kernel is done with it.
        let gone = format!("/proc/{}", self.workerd);
        poll_until_within(Duration::from_secs(5), || (!Path::new(&gone).exists()).then_some(()));
    }
}

/// The Worker of this repository in workerd, with its databases, queues and buckets.
#[derive(Debug)]
pub struct Gateway {
    builder: Builder,
    state: PathBuf,
    ephemeral: bool,
    log: Arc<Mutex<Vec<String>>>,
    running: Option<Running>,
}

impl Gateway {
    pub fn builder() -> Builder {
        let vars = [
            ("ROOT_KEY", ROOT_KEY),
            ("ENCRYPTION_KEY", ENCRYPTION_KEY),
            ("DURABILITY", "queue"),
            ("LOCAL_QUEUE", "true"),
            ("RETRY_SECONDS", "1"),
            ("ALLOW_PRIVATE_ENDPOINTS", "true"),
            ("PUBLIC_URL", ""),
        ];
        Builder {
            vars: vars.map(|(name, value)| (name.to_owned(), json!(value))).into(),
            consumers: BTreeMap::new(),
            state: None,
            worker: None,
            sink: Vec::new(),
            outbound: BTreeMap::new(),
            tap: false,
            closed: false,
            migrate: true,
            shards: shard() + 1,
        }
    }

    #[track_caller]
    fn running(&self) -> &Running {
        self.running.as_ref().expect("the gateway runs")
    }

    /// `http://127.0.0.1:port`, straight into workerd.
    pub fn url(&self) -> &str {
        &self.running().url
    }

    pub fn workerd_pid(&self) -> u32 {
        self.running().workerd
    }

    /// From the start of the script to the moment the Worker could be asked.
    pub fn start_time(&self) -> Duration {
        self.running().start
    }

    pub fn state_folder(&self) -> &Path {
        &self.state
    }

    pub fn call(&self, method: &str, path: &str) -> Call {
        Call::new(self.url(), method, path)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.call("GET", path).send()
    }

    /// Ends every process of the gateway at once, as a power cut would.
    pub fn kill9(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill9();
        }
    }

    /// Starts again on the state that is there, after a `kill9` if it still runs.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill9();
        self.running = Some(Running::spawn(&self.builder, &self.state, self.ephemeral, &self.log));
    }

    /// Starts again on the state that is there, with other settings, after a `kill9` if it still runs.
    #[track_caller]
    pub fn restart_with(&mut self, change: impl FnOnce(Builder) -> Builder) {
        self.builder = change(self.builder.clone());
        self.restart();
    }

    #[track_caller]
    fn control(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let call = Call::new(&self.running().control, method, path);
        let call = match body {
            Some(body) => call.json(body),
            None => call,
        };
        call.send().expect(200).json()
    }

    /// Fires the scheduled handler once and waits for it.
    pub fn cron(&self) {
        self.control("POST", "/cron", None);
    }

    /// Rows of a statement, as objects.
    #[track_caller]
    pub fn sql(&self, db: &str, sql: &str, params: &[Value]) -> Vec<Value> {
        let answer = self.control(
            "POST",
            "/sql",
            Some(&json!({"db": of_shard(db), "sql": sql, "params": params})),
        );
        array(&answer, "/rows")
    }

    pub fn kv(&self, key: &str) -> Option<String> {
        let answer = self.control("GET", &format!("/kv?key={key}"), None);
        answer["value"].as_str().map(str::to_owned)
    }

    pub fn kv_keys(&self) -> Vec<String> {
        keys(&self.control("GET", "/kv", None))
    }

    pub fn delete_kv(&self, key: &str) {
        self.control("DELETE", &format!("/kv?key={key}"), None);
    }

    pub fn stored_bodies(&self) -> Vec<String> {
        keys(&self.control("GET", "/r2", None))
    }

    /// Gives a body of the object store another key.
    pub fn rename_stored_body(&self, from: &str, to: &str) {
        self.control("POST", "/r2", Some(&json!({"from": from, "to": to})));
    }

    pub fn delete_stored_body(&self, key: &str) {
        self.control("DELETE", &format!("/r2?key={key}"), None);
    }

    /// From now on calls of this binding fail (those with `matching` in their text, if given).
    pub fn refuse(&self, binding: &str, matching: Option<&str>) {
        let fault = json!({"binding": of_shard(binding), "refuse": true, "match": matching});
        self.control("POST", "/fault", Some(&fault));
    }

    /// From now on calls of this binding begin so much later (those with `matching` in their text, if given).
    pub fn slow_down(&self, binding: &str, matching: Option<&str>, by: Duration) {
        let delay_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let fault = json!({"binding": of_shard(binding), "refuse": true, "match": matching, "delayMs": delay_ms});
        self.control("POST", "/fault", Some(&fault));
    }

    /// The next statement with `matching` in its text is made, and its answer lost.
    pub fn lose_answer(&self, binding: &str, matching: &str) {
        let fault = json!({"binding": of_shard(binding), "refuse": true, "match": matching, "isAnswer": true});
        self.control("POST", "/fault", Some(&fault));
    }

    /// Ends what [`Gateway::refuse`] or [`Gateway::slow_down`] began.
    pub fn allow(&self, binding: &str) {
        self.control(
            "POST",
            "/fault",
            Some(&json!({"binding": of_shard(binding), "refuse": false})),
        );
    }

    /// What the Worker asked of its bindings since the last reset.
    pub fn counters(&self, reset: bool) -> Value {
        let mut counters = self.control("POST", "/counters", Some(&json!({"reset": reset})));
        if let Some(counters) = counters.as_object_mut().filter(|_| shard() > 0) {
            for name in ["EVENTS_0", "INGEST_0", "DELIVER_0"] {
                let own = counters.remove(&of_shard(name));
                counters.insert(name.to_owned(), own.unwrap_or_default());
            }
        }
        counters
    }

    /// Every line the Worker logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The keys of a bucket or a namespace.
#[track_caller]
fn keys(answer: &Value) -> Vec<String> {
    let keys = array(answer, "/keys");
    keys.iter().map(|key| key.as_str().expect("a text").to_owned()).collect()
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill9();
        if self.ephemeral {
            std::fs::remove_dir_all(&self.state).ok();
        }
        if thread::panicking() {
            let log = self.log();
            let tail = log.len().saturating_sub(20);
            eprintln!("the gateway's last words:\n{}", log[tail..].join("\n"));
        }
    }
}
