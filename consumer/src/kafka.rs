//! Apache Kafka and what speaks its protocol, by consumer groups.
//!
//! A thread of its own polls, as the client library wants it: while the gateway pushes back, partitions are paused and
//! polling goes on, so that the group keeps its member. An offset is stored only when everything before it is durable.

mod config;
mod prefix;
mod reasons;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Headers as _};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::{ClientConfig, ClientContext, Message as _, Offset, Statistics, TopicPartitionList};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::broker::{Broker, Fault, Message, Purpose, Settled, text_of};
use crate::lock::lock;
use crate::log;
use crate::source::Kafka as Config;

use config::client_config;
use prefix::Prefixes;
use reasons::Reasons;

const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(2);
const LISTEN: Duration = Duration::from_millis(50);
/// Between two questions to a leader that is not there.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a full pipeline may hold up the polling before partitions are paused.
const HELD_UP: Duration = Duration::from_secs(1);
/// How long a partition that another member gets is waited for, so that what is under way is not done twice.
const REVOKE: Duration = Duration::from_secs(2);
const CLOSE: Duration = Duration::from_secs(10);
/// How many messages, and about how many bytes, are handed over at a time.
const CHUNK: usize = 500;
const CHUNK_BYTES: usize = 512 * 1024;

/// Where a message stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receipt {
    partition: i32,
    offset: i64,
    epoch: u64,
}

type Chunk = Vec<Message<Receipt>>;

#[derive(Debug, Default)]
struct Shared {
    prefixes: Mutex<Prefixes>,
    settled: Condvar,
    stopping: AtomicBool,
    /// -1: not known.
    lag: AtomicI64,
    reasons: Mutex<Reasons>,
}

#[derive(Debug)]
struct Context(Arc<Shared>);

impl ClientContext for Context {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        log::debug("kafka", json!({"facility": facility, "text": message}));
        // A broker that hangs up is no error to the library, but it may be all that there is to say.
        if facility == "FAIL" {
            lock(&self.0.reasons).note(message);
        }
    }

    fn stats(&self, statistics: Statistics) {
        let partitions = statistics.topics.values().flat_map(|topic| &topic.partitions);
        let lag = partitions
            // The numbers of a partition that is another member's by now stand still.
            .filter(|(number, one)| **number >= 0 && is_read(&one.fetch_state))
            .map(|(_, partition)| match partition.consumer_lag_stored {
                lag @ 0.. => lag,
                _ => partition.consumer_lag,
            })
            .filter(|lag| *lag >= 0)
            .reduce(i64::saturating_add);
        self.0.lag.store(lag.unwrap_or(-1), Ordering::Relaxed);
        let up = statistics.brokers.values().filter(|broker| broker.state == "UP");
        lock(&self.0.reasons).forget(up.map(|broker| broker.nodename.as_str()));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log::debug("kafka", json!({"error": error.to_string(), "text": reason}));
        // That all brokers are down is the consequence; the causes were said before.
        if error.rdkafka_error_code() != Some(Code::AllBrokersDown) {
            lock(&self.0.reasons).note(reason);
        }
    }
}

/// Whether a partition in this state of the library is ours.
fn is_read(fetch_state: &str) -> bool {
    !matches!(fetch_state, "none" | "stopping" | "stopped")
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(list) = rebalance else { return };
        let partitions: Vec<i32> = list
            .elements()
            .iter()
            .map(rdkafka::topic_partition_list::TopicPartitionListElem::partition)
            .collect();
        let mut prefixes = lock(&self.0.prefixes);
        let until = Instant::now() + REVOKE;
        while prefixes.is_open(&partitions) && !self.0.stopping.load(Ordering::Relaxed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.0.settled.wait_timeout(prefixes, left);
            prefixes = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        for partition in &partitions {
            prefixes.revoke(*partition);
        }
        drop(prefixes);
        commit(consumer);
        log::debug("kafka", json!({"text": "partitions are given up", "partitions": partitions}));
    }
}

fn commit(consumer: &BaseConsumer<Context>) {
    match consumer.commit_consumer_state(CommitMode::Sync) {
        // Nothing was stored since the last time.
        Ok(()) | Err(KafkaError::ConsumerCommit(Code::NoOffset)) => {}
        Err(error) => {
            log::info(
                "kafka",
                json!({"text": "offsets were not committed; their messages come again", "error": error.to_string()}),
            );
        }
    }
}

/// A member of a consumer group.
pub(crate) struct Kafka {
    consumer: Arc<BaseConsumer<Context>>,
    shared: Arc<Shared>,
    topic: String,
    chunks: tokio::sync::Mutex<mpsc::Receiver<Result<Chunk, Fault>>>,
}

impl Broker for Kafka {
    type Config = (Config, String);
    type Receipt = Receipt;

    const LAG_IS_SHARED_OUT: bool = true;

    async fn connect((config, source): &Self::Config, purpose: Purpose) -> Result<Self, Fault> {
        let client = client_config(config, source)?;
        let topic = config.topic_name.clone();
        let shared = Arc::new(Shared { lag: AtomicI64::new(-1), ..Shared::default() });
        let context = Context(Arc::clone(&shared));
        let name = topic.clone();
        let consumer = tokio::task::spawn_blocking(move || reach(&client, context, &name, purpose))
            .await
            .map_err(|_| Fault::new("connecting was interrupted"))??;
        let (into, chunks) = mpsc::channel(4);
        if purpose == Purpose::Work {
            consumer.subscribe(&[&topic]).map_err(|error| words(&shared, &error))?;
            let poller =
                Poller { consumer: Arc::clone(&consumer), shared: Arc::clone(&shared), into };
            let runtime = Handle::current();
            std::thread::Builder::new()
                .name("kafka".to_owned())
                .spawn(move || poller.run(&runtime))
                .map_err(|error| Fault::new(format!("no thread for kafka: {error}")))?;
        }
        Ok(Self { consumer, shared, topic, chunks: tokio::sync::Mutex::new(chunks) })
    }

    async fn receive(&self) -> Result<Chunk, Fault> {
        match self.chunks.lock().await.recv().await {
            Some(chunk) => chunk,
            None => Err(Fault::new("the consumer has ended")),
        }
    }

    async fn settle(&self, settled: Vec<Settled<Receipt>>) -> Result<(), Fault> {
        let mut stores = std::collections::BTreeMap::new();
        {
            let mut prefixes = lock(&self.shared.prefixes);
            for Settled { receipt, .. } in settled {
                let Receipt { partition, offset, epoch } = receipt;
                if let Some(store) = prefixes.settle(partition, offset, epoch) {
                    stores.insert(partition, store);
                }
            }
        }
        for (partition, next) in stores {
            // The library takes the last offset that is done. It refuses a partition that is another's by now.
            if let Err(error) = self.consumer.store_offset(&self.topic, partition, next - 1) {
                log::debug(
                    "kafka",
                    json!({"text": "an offset was not stored", "error": error.to_string()}),
                );
            }
        }
        self.shared.settled.notify_all();
        Ok(())
    }

    /// Their offsets are not stored, so they come again.
    async fn release(&self, _receipts: Vec<Receipt>) {}

    async fn lag(&self) -> Option<u64> {
        u64::try_from(self.shared.lag.load(Ordering::Relaxed)).ok()
    }

    async fn close(self) {
        let consumer = Arc::clone(&self.consumer);
        drop(self);
        // Leaving the group takes a moment, and commits what is stored.
        let left = tokio::task::spawn_blocking(move || {
            let until = Instant::now() + CLOSE;
            while Arc::strong_count(&consumer) > 1 && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
            commit(&consumer);
            drop(consumer);
        });
        if timeout(CLOSE, left).await.is_err() {
            log::warn(
                "kafka",
                json!({"text": "leaving the group takes too long; it is left to itself"}),
            );
        }
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.shared.settled.notify_all();
    }
}

/// Connects, looks for the topic, and asks those who lead its partitions: the addresses that brokers tell of themselves may
/// be others than those they were reached at.
fn reach(
    client: &ClientConfig,
    context: Context,
    topic: &str,
    purpose: Purpose,
) -> Result<Arc<BaseConsumer<Context>>, Fault> {
    let shared = Arc::clone(&context.0);
    let consumer: BaseConsumer<Context> =
        client.create_with_context(context).map_err(|error| words(&shared, &error))?;
    let until = Instant::now() + CONNECT;
    let partitions = loop {
        let found = consumer.fetch_metadata(Some(topic), ANSWER);
        listen(&consumer, &shared)?;
        match found {
            Ok(metadata) => {
                let known = metadata.topics().iter().find(|one| one.name() == topic);
                let partitions: Vec<i32> = known.map_or_else(Vec::new, |one| {
                    one.partitions().iter().map(MetadataPartition::id).collect()
                });
                let error = known.and_then(MetadataTopic::error);
                if error.is_none() && !partitions.is_empty() {
                    break partitions;
                }
                if Instant::now() >= until || error.is_some() {
                    let why = error.map_or("it has no partitions".to_owned(), |error| {
                        KafkaError::MetadataFetch(error.into()).to_string()
                    });
                    return Err(Fault::new(format!("the topic {topic} cannot be read: {why}")));
                }
            }
            Err(error) if Instant::now() >= until => return Err(words(&shared, &error)),
            Err(_) => {}
        }
    };
    match purpose {
        Purpose::Work => ask_one(&consumer, &shared, topic, &partitions, until)?,
        Purpose::Check => {
            let from_now_on = client.get("auto.offset.reset") == Some("latest");
            ask_all(&consumer, &shared, topic, &partitions, from_now_on)?;
        }
    }
    Ok(Arc::new(consumer))
}

/// What the library has to say; its errors wait until somebody polls. One poll without patience would take one of them.
fn listen(consumer: &BaseConsumer<Context>, shared: &Shared) -> Result<(), Fault> {
    while let Some(polled) = consumer.poll(LISTEN) {
        if let Some(fault) = polled.err().filter(is_final).map(|error| words(shared, &error)) {
            return Err(fault);
        }
    }
    Ok(())
}

/// One partition that can be read is work; the others may come.
fn ask_one(
    consumer: &BaseConsumer<Context>,
    shared: &Shared,
    topic: &str,
    partitions: &[i32],
    until: Instant,
) -> Result<(), Fault> {
    for partition in partitions.iter().cycle() {
        let answer = consumer.fetch_watermarks(topic, *partition, ANSWER);
        listen(consumer, shared)?;
        match answer {
            Ok(_) => break,
            Err(error) if is_final(&error) || Instant::now() >= until => {
                return Err(words(shared, &error));
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
    Ok(())
}

/// Every partition, and what the group has read of it: the lag.
fn ask_all(
    consumer: &BaseConsumer<Context>,
    shared: &Shared,
    topic: &str,
    partitions: &[i32],
    from_now_on: bool,
) -> Result<(), Fault> {
    let told = |error: KafkaError| match listen(consumer, shared) {
        Ok(()) => words(shared, &error),
        Err(fault) => fault,
    };
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        asked.add_partition(topic, *partition);
    }
    let committed = consumer.committed_offsets(asked, CONNECT / 2).map_err(told)?;
    let mut lag = 0_i64;
    for partition in committed.elements_for_topic(topic) {
        let (first, next) =
            consumer.fetch_watermarks(topic, partition.partition(), CONNECT / 2).map_err(told)?;
        let read = match partition.offset() {
            Offset::Offset(offset) => offset.max(first),
            _ if from_now_on => next,
            _ => first,
        };
        lag = lag.saturating_add(next.saturating_sub(read).max(0));
    }
    shared.lag.store(lag, Ordering::Relaxed);
    Ok(())
}

/// What polling again does not change.
fn is_final(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::Authentication
                | Code::SaslAuthenticationFailed
                | Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::UnknownTopic
                | Code::UnknownTopicOrPartition
                | Code::SSL
                | Code::AllBrokersDown
        )
    ) || matches!(error, KafkaError::MessageConsumptionFatal(_))
}

fn words(shared: &Shared, error: &KafkaError) -> Fault {
    lock(&shared.reasons).words(error)
}

struct Poller {
    consumer: Arc<BaseConsumer<Context>>,
    shared: Arc<Shared>,
    into: mpsc::Sender<Result<Chunk, Fault>>,
}

impl Poller {
    fn run(self, runtime: &Handle) {
        while !self.shared.stopping.load(Ordering::Relaxed) {
            let fault = match self.chunk() {
                Ok(chunk) if chunk.is_empty() => continue,
                Ok(chunk) => self.hand_over(runtime, Ok(chunk)).err(),
                Err(fault) => Some(fault),
            };
            if let Some(fault) = fault {
                if !self.shared.stopping.load(Ordering::Relaxed) {
                    self.into.try_send(Err(fault)).ok();
                }
                return;
            }
        }
    }

    /// What is there, after waiting a little for the first.
    fn chunk(&self) -> Result<Chunk, Fault> {
        let mut chunk = Vec::new();
        let mut bytes = 0;
        let mut patience = Duration::from_millis(100);
        while chunk.len() < CHUNK && bytes < CHUNK_BYTES {
            match self.consumer.poll(patience) {
                None => break,
                Some(Ok(message)) => {
                    let message = self.read(&message);
                    bytes += message.payload.len();
                    chunk.push(message);
                }
                Some(Err(error)) if is_final(&error) => return Err(words(&self.shared, &error)),
                // The library deals with it, and says so again if it cannot.
                Some(Err(error)) => log::debug("kafka", json!({"error": error.to_string()})),
            }
            patience = Duration::ZERO;
        }
        Ok(chunk)
    }

    /// Hands a chunk to the loop. While it does not take it, the group must still see a living member.
    fn hand_over(&self, runtime: &Handle, chunk: Result<Chunk, Fault>) -> Result<(), Fault> {
        let reserve =
            |patience| runtime.block_on(async { timeout(patience, self.into.reserve()).await });
        let ended = || Fault::new("the loop has ended");
        if let Ok(permit) = reserve(HELD_UP) {
            permit.map_err(|_| ended())?.send(chunk);
            return Ok(());
        }
        let mut chunk = chunk;
        let paused = self.pause();
        let permit = loop {
            if self.shared.stopping.load(Ordering::Relaxed) {
                return Err(ended());
            }
            // A partition that was assigned meanwhile is not paused yet.
            match self.consumer.poll(Duration::from_millis(100)) {
                None => {}
                Some(Ok(message)) => {
                    let message = self.read(&message);
                    if let Ok(chunk) = &mut chunk {
                        chunk.push(message);
                    }
                    self.pause();
                }
                Some(Err(error)) if is_final(&error) => return Err(words(&self.shared, &error)),
                Some(Err(error)) => log::debug("kafka", json!({"error": error.to_string()})),
            }
            if let Ok(permit) = reserve(Duration::from_millis(10)) {
                break permit.map_err(|_| ended())?;
            }
        };
        permit.send(chunk);
        drop(paused);
        if let Ok(all) = self.consumer.assignment() {
            self.consumer.resume(&all).map_err(|error| words(&self.shared, &error))?;
        }
        Ok(())
    }

    fn pause(&self) -> Option<TopicPartitionList> {
        let all = self.consumer.assignment().ok()?;
        self.consumer.pause(&all).ok()?;
        Some(all)
    }

    fn read(&self, message: &BorrowedMessage<'_>) -> Message<Receipt> {
        let (partition, offset) = (message.partition(), message.offset());
        let epoch = lock(&self.shared.prefixes).take(partition, offset);
        let receipt = Receipt { partition, offset, epoch };
        let mut read = Message::new(receipt, message.payload().unwrap_or_default().to_vec());
        read.id = Some(format!("{}-{partition}-{offset}", message.topic()));
        read.key = message.key().map(text_of);
        // Publishers may write any number; one before 1970 is no time.
        read.at = message.timestamp().to_millis().filter(|at| *at >= 0);
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        read.headers = headers
            .map(|header| (header.key.to_owned(), text_of(header.value.unwrap_or_default())))
            .collect();
        if message.payload().is_none() {
            read.headers.push(("x-inlet-tombstone".to_owned(), "true".to_owned()));
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_of_partitions_that_are_read() {
        for (state, ours) in [
            ("active", true),
            ("offset-query", true),
            ("offset-wait", true),
            ("none", false),
            ("stopping", false),
            ("stopped", false),
        ] {
            assert_eq!(is_read(state), ours, "{state}");
        }
    }
}
