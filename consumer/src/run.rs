//! Keeps running what the gateway says should run: one task for each source, a worker for each of its `workers`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use inlet_gateway::consumer::State;
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::amqp::Amqp;
use crate::backoff::{Backoff, chance};
use crate::broker::{Broker, Fault, Purpose};
use crate::edge::{Edge, EdgeFault, List, Listed};
use crate::google::Google;
use crate::kafka::Kafka;
use crate::log;
use crate::settings::Settings;
use crate::source::{Reach, Source};
use crate::sqs::Sqs;
use crate::status::{Board, SourceStatus};
use crate::worker::{Job, work};

const REPORT_EVERY: Duration = Duration::from_secs(10);
/// How long a report may take.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
const SIGN_OFF_TRIES: usize = 3;
/// How long a new version of a source waits for the old one to finish.
const HANDOVER: Duration = Duration::from_secs(30);
const MOST_WORKERS: usize = 64;

/// A source that runs.
struct Running {
    version: String,
    /// The project's limit, as it was when the source was started.
    max_message_bytes: usize,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// What runs, and what was told to end and may not have: a source that comes back waits for its last reader.
#[derive(Default)]
struct Sources {
    running: HashMap<String, Running>,
    leaving: HashMap<String, JoinHandle<()>>,
}

impl Sources {
    /// Tells those to end that are not to go on, and says which.
    fn stop(&mut self, goes_on: impl Fn(&str) -> bool) -> Vec<String> {
        self.leaving.retain(|_, task| !task.is_finished());
        let gone: Vec<String> = self.running.keys().filter(|uid| !goes_on(uid)).cloned().collect();
        for uid in &gone {
            if let Some(source) = self.running.remove(uid) {
                source.stop.cancel();
                self.leaving.insert(uid.clone(), source.task);
            }
        }
        gone
    }

    /// Tells the reader of a source to end, if there is one, and hands over what may still read it.
    fn replace(&mut self, uid: &str) -> Option<JoinHandle<()>> {
        self.stop(|other| other != uid);
        self.leaving.remove(uid)
    }

    /// Ends all, and waits for what is under way.
    async fn end(mut self) {
        self.stop(|_| false);
        for task in self.leaving.into_values() {
            task.await.ok();
        }
    }
}

/// All that belongs to one key.
pub(crate) struct Tenancy {
    pub(crate) edge: Arc<Edge>,
    pub(crate) board: Arc<Board>,
    pub(crate) settings: Settings,
    /// Which companion this is, for the gateway.
    pub(crate) companion: String,
}

impl Tenancy {
    /// Serves the key until it is told to stop; then waits for what is under way.
    pub(crate) async fn serve(&self, stop: CancellationToken) {
        let mut sources = Sources::default();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.follow(&mut sources) => {}
            () = self.report() => {}
        }
        sources.end().await;
        self.sign_off().await;
    }

    /// Says that it has stopped, so that nobody takes it for connected for a minute more.
    async fn sign_off(&self) {
        for _ in 0..SIGN_OFF_TRIES {
            let Err(why) = self.told().await else { return };
            log::warn("the gateway was not told that the companion stops", json!({"error": why}));
        }
    }

    /// Asks for the sources again and again, and makes it so.
    async fn follow(&self, sources: &mut Sources) {
        let mut backoff = Backoff::new(self.settings.max_backoff);
        let mut last: Option<List> = None;
        let mut trouble: Option<EdgeFault> = None;
        loop {
            let etag = last.as_ref().and_then(|list| list.etag.as_deref());
            let wait = match self.edge.sources(etag).await {
                Ok(changed) => {
                    if trouble.take().is_some() {
                        log::info("the gateway answers again", json!({}));
                    }
                    last = changed.or(last);
                    backoff.reset();
                    last.as_ref().map_or(Duration::from_secs(1), |list| {
                        self.reconcile(sources, list);
                        list.poll
                    })
                }
                Err(fault) => {
                    if trouble.as_ref() != Some(&fault) {
                        let error = fault.to_string();
                        log::error("the sources are not known", json!({"error": error}));
                    }
                    if matches!(fault, EdgeFault::Unauthorized { .. }) {
                        // Whoever had the key is not to be served any more; what was taken goes back.
                        sources.stop(|_| false);
                        last = None;
                    }
                    let asked = match &fault {
                        EdgeFault::Busy { wait, .. } => wait.unwrap_or_default(),
                        _ => Duration::ZERO,
                    };
                    trouble = Some(fault);
                    asked.max(backoff.next(chance()))
                }
            };
            sleep(wait).await;
        }
    }

    fn reconcile(&self, sources: &mut Sources, list: &List) {
        self.board.set_project(&list.project_id);
        let listed: HashMap<&str, &Listed> =
            list.sources.iter().map(|one| (uid(one), one)).collect();
        for uid in sources.stop(|uid| listed.contains_key(uid)) {
            log::info("a source is gone", json!({"source": uid}));
            self.board.forget(&uid);
        }
        for (uid, listed) in listed {
            let (name, version) = match listed {
                Ok(source) => (&source.name, &source.version),
                Err(unread) => (&unread.name, &unread.version),
            };
            // A name alone is no other version.
            let status = self.board.source(uid, name);
            let before = sources.running.get(uid);
            // A worker ends by itself when the gateway wants nothing of the source; but it is listed.
            let limit = list.max_message_bytes;
            let same = before.is_some_and(|one| {
                one.version == *version && one.max_message_bytes == limit && !one.task.is_finished()
            });
            if same {
                continue;
            }
            let previous = sources.replace(uid);
            let stop = CancellationToken::new();
            let task = self.start(listed, status, limit, &stop, previous);
            let version = version.clone();
            let started = Running { version, max_message_bytes: limit, stop, task };
            sources.running.insert(uid.to_owned(), started);
        }
    }

    fn start(
        &self,
        listed: &Listed,
        status: Arc<SourceStatus>,
        max_message_bytes: usize,
        stop: &CancellationToken,
        previous: Option<JoinHandle<()>>,
    ) -> JoinHandle<()> {
        let jobs = Jobs {
            edge: Arc::clone(&self.edge),
            status,
            stop: stop.clone(),
            max_message_bytes,
            max_backoff: self.settings.max_backoff,
            machine_credentials: self.settings.machine_credentials,
        };
        let listed = listed.clone();
        tokio::spawn(async move {
            if let Some(previous) = previous {
                timeout(HANDOVER, previous).await.ok();
            }
            match listed {
                Ok(source) => jobs.run(source).await,
                Err(unread) => {
                    jobs.status.restart(&unread.version, 1, State::Failing);
                    let error =
                        format!("the gateway's description is not understood: {}", unread.error);
                    jobs.status.error(&error);
                    jobs.stop.cancelled().await;
                }
            }
        })
    }

    /// Tells the gateway how things are: every ten seconds, and when they change.
    async fn report(&self) {
        let mut trouble = None;
        loop {
            tokio::select! {
                () = sleep(REPORT_EVERY) => {}
                // Changes come in groups: every worker of a source connects.
                () = self.board.changed.notified() => sleep(Duration::from_millis(100)).await,
            }
            let fault = self.told().await.err();
            if let Some(error) = &fault {
                let level = if fault == trouble { log::debug } else { log::warn };
                level("the status was not reported", json!({"error": error}));
            }
            trouble = fault;
        }
    }

    /// Tells all there is; a part that is not taken holds back no other.
    async fn told(&self) -> Result<(), String> {
        let mut all = Ok(());
        for report in self.board.reports(&self.companion) {
            let told = match timeout(TOLD_WITHIN, self.edge.report(&report)).await {
                Ok(told) => told.map_err(|error| error.to_string()),
                Err(_) => Err(format!("no answer within {} s", TOLD_WITHIN.as_secs())),
            };
            all = told.and(all);
        }
        all
    }
}

fn uid(listed: &Listed) -> &str {
    match listed {
        Ok(source) => &source.uid,
        Err(unread) => &unread.uid,
    }
}

/// What the workers of one source have in common.
struct Jobs {
    edge: Arc<Edge>,
    status: Arc<SourceStatus>,
    stop: CancellationToken,
    max_message_bytes: usize,
    max_backoff: Duration,
    machine_credentials: bool,
}

impl Jobs {
    /// Runs the source until its workers have ended.
    async fn run(self, source: Source) {
        let workers = source.workers.clamp(1, MOST_WORKERS);
        let (uid, name, version) = (&source.uid, &source.name, &source.version);
        if source.is_disabled {
            self.status.restart(version, 1, State::Stopped);
            log::info("a source is disabled", json!({"source": uid, "name": name}));
            return self.stop.cancelled().await;
        }
        if let Some(why) = source.broker.not_read_because(self.machine_credentials) {
            self.status.restart(version, 1, State::Failing);
            self.status.error(why);
            return self.stop.cancelled().await;
        }
        self.status.restart(version, workers, State::Connecting);
        let fields = json!({"source": uid, "name": name, "version": version, "workers": workers});
        log::info("a source starts", fields);
        let ended = json!({"source": uid, "name": name, "version": version});
        match source.broker.clone() {
            Reach::Kafka { kafka } => {
                self.workers::<Kafka>(&source, (kafka, source.uid.clone())).await;
            }
            Reach::Sqs { sqs } => self.workers::<Sqs>(&source, sqs).await,
            Reach::Google { google } => self.workers::<Google>(&source, google).await,
            Reach::Amqp { amqp } => self.workers::<Amqp>(&source, amqp).await,
            // Told above.
            Reach::Unknown => {}
        }
        log::info("a source has stopped", ended);
    }

    async fn workers<B: Broker>(&self, source: &Source, config: B::Config) {
        let mut tasks = JoinSet::new();
        for worker in 0..source.workers.clamp(1, MOST_WORKERS) {
            let job = Job {
                source_id: source.uid.clone(),
                worker,
                max_attempts: source.max_attempts.max(1),
                max_message_bytes: self.max_message_bytes,
                max_backoff: self.max_backoff,
                edge: Arc::clone(&self.edge),
                status: Arc::clone(&self.status),
                stop: self.stop.clone(),
            };
            tasks.spawn(work::<B>(job, config.clone()));
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                log::error("a worker has crashed", json!({"error": error.to_string()}));
                self.status.error("a worker has crashed; the source starts again");
                // The supervisor sees that the source has ended, and starts it again.
                self.stop.cancel();
            }
        }
    }
}

/// Connects to the source's broker, takes nothing, and leaves. `lends`: see [`Reach::not_read_because`].
pub(crate) async fn probe(source: &Source, lends: bool) -> Result<Option<u64>, Fault> {
    if let Some(why) = source.broker.not_read_because(lends) {
        return Err(Fault::new(why));
    }
    match source.broker.clone() {
        Reach::Kafka { kafka } => probe_one::<Kafka>((kafka, source.uid.clone())).await,
        Reach::Sqs { sqs } => probe_one::<Sqs>(sqs).await,
        Reach::Google { google } => probe_one::<Google>(google).await,
        Reach::Amqp { amqp } => probe_one::<Amqp>(amqp).await,
        Reach::Unknown => Ok(None),
    }
}

async fn probe_one<B: Broker>(config: B::Config) -> Result<Option<u64>, Fault> {
    let broker = B::connect(&config, Purpose::Check).await?;
    let lag = broker.lag().await;
    broker.close().await;
    Ok(lag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::Unread;
    use crate::status::prometheus;

    #[tokio::test]
    async fn a_source_that_is_renamed_goes_on_under_its_new_name() {
        let settings = Settings::from_lookup(|name| match name {
            "INLET_URL" => Some("http://127.0.0.1:1".to_owned()),
            "INLET_CONSUMER_KEY" => Some("key".to_owned()),
            _ => None,
        })
        .unwrap();
        let tenancy = Tenancy {
            edge: Arc::new(Edge::new(&settings, &settings.keys[0]).unwrap()),
            board: Arc::new(Board::default()),
            settings,
            companion: "me".to_owned(),
        };
        let mut sources = Sources::default();
        for name in ["before", "after"] {
            let [uid, version, error] = ["s", "1", "odd"].map(str::to_owned);
            let source = Unread { uid, name: name.to_owned(), version, error };
            let list = List {
                etag: None,
                poll: Duration::from_secs(1),
                project_id: "p".to_owned(),
                max_message_bytes: 1,
                sources: vec![Err(source)],
            };
            tenancy.reconcile(&mut sources, &list);
        }
        assert!(sources.leaving.is_empty(), "nothing starts again");
        let text = prometheus(&[Arc::clone(&tenancy.board)]);
        assert!(text.contains("name=\"after\"") && !text.contains("before"), "{text}");
    }

    /// A reader that ends only when the test says so, however it is told.
    fn reader(may_end: &CancellationToken) -> Running {
        let may_end = may_end.clone();
        Running {
            version: "1".into(),
            max_message_bytes: 1,
            stop: CancellationToken::new(),
            task: tokio::spawn(async move { may_end.cancelled().await }),
        }
    }

    #[tokio::test]
    async fn a_source_that_comes_back_waits_for_its_last_reader() {
        let (mut sources, may_end) = (Sources::default(), CancellationToken::new());
        let first = reader(&may_end);
        let told = first.stop.clone();
        sources.running.insert("a".into(), first);
        sources.running.insert("b".into(), reader(&may_end));
        assert_eq!(sources.stop(|uid| uid == "b"), ["a"]);
        assert!(told.is_cancelled());
        assert_eq!(sources.stop(|uid| uid == "b"), [""; 0], "it is told once");
        let previous = sources.replace("a").expect("the last reader of what is gone");
        assert!(!previous.is_finished());
        assert!(sources.running.contains_key("b") && sources.replace("c").is_none());
        assert!(sources.replace("b").is_some(), "a change is such a case");
        may_end.cancel();
        previous.await.expect("an end");
    }

    #[tokio::test]
    async fn what_has_ended_is_not_kept_and_the_end_waits_for_what_has_not() {
        let (mut sources, may_end) = (Sources::default(), CancellationToken::new());
        sources.running.insert("a".into(), reader(&may_end));
        sources.stop(|_| false);
        may_end.cancel();
        while !sources.leaving.values().all(JoinHandle::is_finished) {
            tokio::task::yield_now().await;
        }
        sources.stop(|_| false);
        assert!(sources.leaving.is_empty());

        let may_end = CancellationToken::new();
        sources.running.insert("a".into(), reader(&may_end));
        sources.stop(|_| false);
        let ended = tokio::spawn(sources.end());
        tokio::task::yield_now().await;
        assert!(!ended.is_finished());
        may_end.cancel();
        ended.await.expect("an end");
    }
}
