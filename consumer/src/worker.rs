//! The loop: one connection to a broker, from receive to settle. Written once for every broker.
//!
//! ```text
//! reader: receive ─▶ (bounded by bytes) ─▶ sender: fill a batch ─▶ POST ─▶ verdicts ─▶ settle, in the background
//! keeper: leases, lag
//! ```
//!
//! A worker has one batch under way, and the next one is filled meanwhile. So the order of the broker is the order in
//! which the gateway makes messages durable; a source gets more parallelism by more `workers`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use inlet_gateway::batch::{DEAD_PAYLOAD_MAX_BYTES, MESSAGES_MAX, PAYLOADS_MAX_BYTES, Verdict};
use inlet_gateway::consumer::State;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::backoff::{Backoff, chance};
use crate::batch;
use crate::broker::{Broker, Fault, Message, Purpose, Settled};
use crate::edge::{Asked, Edge, EdgeFault};
use crate::log;
use crate::status::{SourceStatus, add};

/// How long a batch that is not full waits for more.
const LINGER: Duration = Duration::from_millis(5);
/// How much a worker may hold, in KiB. A message that is larger is held alone.
const MEMORY_KIB: u32 = 4096;
const LAG_EVERY: Duration = Duration::from_secs(10);
/// How much of a message's id or key an error quotes.
const NAME_MAX_CHARS: usize = 200;
/// A connection that has worked for this long ends a series of failures.
const PROVEN: Duration = Duration::from_secs(30);

/// What one worker works for.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) source_id: String,
    pub(crate) worker: usize,
    pub(crate) max_attempts: u32,
    pub(crate) max_message_bytes: usize,
    pub(crate) max_backoff: Duration,
    pub(crate) edge: Arc<Edge>,
    pub(crate) status: Arc<SourceStatus>,
    pub(crate) stop: CancellationToken,
}

/// Why a session with a broker ended.
#[derive(Debug)]
enum End {
    /// It was told to.
    Stopped,
    /// The broker failed.
    Broken(Fault),
    /// The gateway wants nothing of this source any more.
    Unwanted(String),
}

/// Works until it is told to stop, or until the gateway wants nothing of the source.
pub(crate) async fn work<B: Broker>(job: Job, config: B::Config) {
    let mut backoff = Backoff::new(job.max_backoff);
    let fails = |fault: &Fault| {
        job.status.set(job.worker, State::Failing);
        job.status.lag(job.worker, None);
        job.status.error(&fault.0);
    };
    while !job.stop.is_cancelled() {
        let connected = tokio::select! {
            () = job.stop.cancelled() => break,
            connected = B::connect(&config, Purpose::Work) => connected,
        };
        match connected {
            Err(fault) => fails(&fault),
            Ok(broker) => {
                let began = Instant::now();
                job.status.set(job.worker, State::Connected);
                let broker = Arc::new(broker);
                let end = session(&job, &broker).await;
                // What is still being settled holds on to it; then the last one drops it.
                if let Some(broker) = Arc::into_inner(broker) {
                    broker.close().await;
                }
                match end {
                    End::Stopped => break,
                    End::Unwanted(reason) => {
                        job.status.error(&reason);
                        // The other workers end with it: a source that is still listed starts again, whole.
                        job.stop.cancel();
                        break;
                    }
                    End::Broken(fault) => fails(&fault),
                }
                if began.elapsed() > PROVEN {
                    backoff.reset();
                }
            }
        }
        tokio::select! {
            () = job.stop.cancelled() => break,
            () = sleep(backoff.next(chance())) => {}
        }
    }
    job.status.set(job.worker, State::Stopped);
    job.status.lag(job.worker, None);
}

async fn session<B: Broker>(job: &Job, broker: &Arc<B>) -> End {
    let (into, from) = mpsc::channel(256);
    let quit = job.stop.child_token();
    let lost = CancellationToken::new();
    let reading = async {
        let read = read(job, broker, into, &quit).await;
        if read.is_err() {
            lost.cancel();
        }
        read
    };
    let sending = async {
        let sender = Sender { job, broker, lost: &lost, settling: None };
        let sent = sender.run(from).await;
        quit.cancel();
        sent
    };
    let (read, sent) = tokio::select! {
        both = async { tokio::join!(reading, sending) } => both,
        () = keep(job, broker) => (Ok(()), Ok(())),
    };
    match (sent, read) {
        (Err(end), _) => end,
        (Ok(()), Err(fault)) => End::Broken(fault),
        (Ok(()), Ok(())) => End::Stopped,
    }
}

/// Holds leases and asks for the lag, until it is dropped.
async fn keep<B: Broker>(job: &Job, broker: &Arc<B>) {
    let mut asked: Option<Instant> = None;
    loop {
        if (B::LAG_IS_SHARED_OUT || job.worker == 0)
            && asked.is_none_or(|asked| asked.elapsed() >= LAG_EVERY)
        {
            asked = Some(Instant::now());
            let lag = timeout(LAG_EVERY, broker.lag()).await.unwrap_or_default();
            job.status.lag(job.worker, lag);
        }
        sleep(B::KEEP_EVERY).await;
        if let Err(fault) = broker.keep().await {
            job.status.error(&format!("what was taken cannot be held: {fault}"));
        }
    }
}

type Taken<B> = Vec<Message<<B as Broker>::Receipt>>;

/// Takes messages until it has to quit. How much is taken is bounded by what the sender has not dealt with.
async fn read<B: Broker>(
    job: &Job,
    broker: &Arc<B>,
    into: mpsc::Sender<Taken<B>>,
    quit: &CancellationToken,
) -> Result<(), Fault> {
    let memory = Arc::new(Semaphore::new(MEMORY_KIB as usize));
    loop {
        let receiving = broker.receive();
        tokio::pin!(receiving);
        let mut taken = tokio::select! {
            biased;
            () = quit.cancelled() => {
                if let Ok(Ok(taken)) = timeout(B::LAST_RECEIVE, receiving).await {
                    release(broker, taken).await;
                }
                return Ok(());
            }
            taken = &mut receiving => taken?,
        };
        if taken.is_empty() {
            continue;
        }
        job.status.received(taken.len());
        for message in &mut taken {
            give_up_on_large(message, job.max_message_bytes);
        }
        let kib = taken.iter().map(|message| batch::weight(message) / 1024 + 1).sum::<usize>();
        let share = u32::try_from(kib).unwrap_or(MEMORY_KIB).min(MEMORY_KIB);
        let share = tokio::select! {
            share = Arc::clone(&memory).acquire_many_owned(share) => share.ok().map(Arc::new),
            () = quit.cancelled() => None,
        };
        if share.is_none() {
            release(broker, taken).await;
            return Ok(());
        }
        for message in &mut taken {
            message.share.clone_from(&share);
        }
        if let Err(unsent) = into.send(taken).await {
            release(broker, unsent.0).await;
            return Ok(());
        }
    }
}

/// The gateway would refuse it whatever it says: it becomes a dead letter with the beginning of its payload.
fn give_up_on_large<R>(message: &mut Message<R>, limit: usize) {
    let length = message.payload.len();
    if length > limit && message.dead.is_none() {
        message.dead = Some(format!(
            "the message has {length} bytes, the project takes at most {limit}; the first {} are kept",
            DEAD_PAYLOAD_MAX_BYTES.min(length)
        ));
        message.payload.truncate(DEAD_PAYLOAD_MAX_BYTES);
        message.payload.shrink_to_fit();
    }
}

/// The gateway refuses it, alone: it becomes a dead letter, and if that is refused, too, one that says less, so that it
/// holds up nobody for ever. Without its bytes or its id it is of little use to anybody: they go only when the gateway itself
/// (`is_told`) has refused them `max_attempts` times, and might be another one by then.
fn give_up_more<R>(message: &mut Message<R>, refusal: &str, is_told: bool, max_attempts: u32) {
    let Some(reason) = &mut message.dead else {
        message.dead = Some(format!("the gateway refuses it: {refusal}"));
        return;
    };
    let left_out = if !message.headers.is_empty() || message.key.is_some() || message.at.is_some() {
        (message.headers, message.key, message.at) = (Vec::new(), None, None);
        "headers, key and time"
    } else {
        message.refusals = message.refusals.saturating_add(u32::from(is_told));
        if message.refusals < max_attempts {
            return;
        }
        if !message.payload.is_empty() {
            message.payload = Vec::new();
            "bytes"
        } else if message.id.take().is_some() {
            "id"
        } else {
            return;
        }
    };
    message.refusals = 0;
    reason.push_str(&format!(
        "; its {left_out} are left out, because of them it was refused: {refusal}"
    ));
}

/// For an operator: its body never gets to the gateway, and nobody else can do anything about it.
fn holds_up<R>(message: &Message<R>, fault: &EdgeFault) -> String {
    let short = |text: &str| text.chars().take(NAME_MAX_CHARS).collect::<String>();
    let name = match (&message.id, &message.key) {
        (Some(id), _) => format!("message {}", short(id)),
        (None, Some(key)) => format!("a message without an id, of the key {},", short(key)),
        (None, None) => format!("a message without an id, of {} bytes,", message.payload.len()),
    };
    format!(
        "{name} holds up what is behind it in this worker: let its body pass what stands before the gateway (a firewall, a proxy), \
         or take it out of the queue; {fault}"
    )
}

async fn release<B: Broker>(
    broker: &Arc<B>,
    messages: impl IntoIterator<Item = Message<B::Receipt>>,
) {
    let receipts: Vec<_> = messages.into_iter().map(|message| message.receipt).collect();
    if !receipts.is_empty() {
        broker.release(receipts).await;
    }
}

struct Sender<'a, B: Broker> {
    job: &'a Job,
    broker: &'a Arc<B>,
    /// The connection is lost: what it gave comes again, and need not be sent.
    lost: &'a CancellationToken,
    settling: Option<JoinHandle<Result<(), Fault>>>,
}

impl<B: Broker> Sender<'_, B> {
    /// Sends batches until the reader is done and nothing is left, or something ends it.
    async fn run(mut self, mut from: mpsc::Receiver<Taken<B>>) -> Result<(), End> {
        let mut held: VecDeque<Message<B::Receipt>> = VecDeque::new();
        let mut sent = Ok(());
        while sent.is_ok() && !self.lost.is_cancelled() {
            if held.is_empty() {
                match from.recv().await {
                    Some(taken) => held.extend(taken),
                    None => break,
                }
            }
            fill(&mut held, &mut from).await;
            let batch = first_batch(&mut held);
            sent = self.deliver(batch).await;
        }
        from.close();
        while let Ok(taken) = from.try_recv() {
            held.extend(taken);
        }
        if !self.lost.is_cancelled() {
            release(self.broker, held).await;
        }
        sent.and(self.settled().await)
    }

    /// Waits until what was settled in the background is settled.
    async fn settled(&mut self) -> Result<(), End> {
        match self.settling.take() {
            None => Ok(()),
            Some(settling) => match settling.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(fault)) => Err(End::Broken(fault)),
                Err(_) => Err(End::Broken(Fault::new("settling was interrupted"))),
            },
        }
    }

    async fn settle(&mut self, settled: Vec<Settled<B::Receipt>>) -> Result<(), End> {
        if settled.is_empty() {
            return Ok(());
        }
        self.settled().await?;
        let broker = Arc::clone(self.broker);
        self.settling = Some(tokio::spawn(async move { broker.settle(settled).await }));
        Ok(())
    }

    /// Brings a batch to its end: every message durable and settled, or all that is left given back.
    async fn deliver(&mut self, batch: Vec<Message<B::Receipt>>) -> Result<(), End> {
        let mut parts = VecDeque::from([batch]);
        let mut backoff = Backoff::new(self.job.max_backoff);
        let mut heard = self.job.edge.answered();
        // How often the one in front was refused, alone, and not by the gateway's word.
        let mut refused = 0_u32;
        while let Some(mut part) = parts.pop_front() {
            let posted = self.post(&part).await;
            let lies_in_part = match &posted {
                Err(EdgeFault::Refused { .. }) => true,
                Err(EdgeFault::Failed { .. }) => self.answers_others(&mut heard),
                _ => false,
            };
            if lies_in_part && part.len() > 1 {
                let second = part.split_off(part.len() / 2);
                parts.push_front(second);
                parts.push_front(part);
                continue;
            }
            let (wait, left) = match posted {
                Ok(verdicts) => {
                    if std::mem::take(&mut refused) > 1 {
                        self.job.status.set(self.job.worker, State::Connected);
                    }
                    let (settled, left) = self.read(part, verdicts);
                    self.settle(settled).await?;
                    if left.is_empty() {
                        backoff.reset();
                        continue;
                    }
                    (backoff.next(chance()), left)
                }
                Err(fault @ (EdgeFault::Unwanted { .. } | EdgeFault::Unauthorized { .. })) => {
                    parts.push_front(part);
                    release(self.broker, parts.into_iter().flatten()).await;
                    return Err(End::Unwanted(fault.to_string()));
                }
                Err(fault) => {
                    if lies_in_part && let [one] = part.as_mut_slice() {
                        self.blame(one, &fault);
                        refused = refused.saturating_add(u32::from(!fault.is_its_word()));
                    }
                    match part.as_slice() {
                        [one] if refused > 1 && !fault.is_its_word() => {
                            self.job.status.set(self.job.worker, State::Failing);
                            self.job.status.error(&holds_up(one, &fault));
                        }
                        _ => self.job.status.error(&fault.to_string()),
                    }
                    let least = backoff.next(chance());
                    let asked = match fault {
                        EdgeFault::Busy { wait, .. } => wait,
                        _ => None,
                    };
                    (asked.unwrap_or_default().max(least), part)
                }
            };
            parts.push_front(left);
            tokio::select! {
                () = sleep(wait) => {}
                () = self.job.stop.cancelled() => {
                    release(self.broker, parts.into_iter().flatten()).await;
                    return Err(End::Stopped);
                }
                () = self.lost.cancelled() => return Ok(()),
            }
        }
        Ok(())
    }

    /// Whether the gateway has answered anything since it was `heard` last: then what it fails at may be a message.
    fn answers_others(&self, heard: &mut u64) -> bool {
        let answered = self.job.edge.answered();
        answered != std::mem::replace(heard, answered)
    }

    /// It is this message that the gateway fails at, or refuses.
    fn blame(&self, one: &mut Message<B::Receipt>, fault: &EdgeFault) {
        match fault {
            EdgeFault::Failed { why, .. } => {
                self.count_attempt(one, &format!("the gateway fails: {why}"));
            }
            // Something between may do so for a while only.
            EdgeFault::Refused { message, is_told: false, .. } if one.dead.is_none() => {
                self.count_attempt(one, &format!("it is refused on its way: {message}"));
            }
            EdgeFault::Refused { message, is_told, .. } => {
                give_up_more(one, message, *is_told, self.job.max_attempts);
            }
            _ => {}
        }
    }

    /// After so many attempts a message is given up: what is sent then is its dead letter.
    fn count_attempt(&self, message: &mut Message<B::Receipt>, reason: &str) {
        message.attempts += 1;
        if message.attempts >= self.job.max_attempts && message.dead.is_none() {
            let attempts = message.attempts;
            message.dead = Some(format!("given up after {attempts} attempts; the last: {reason}"));
        }
    }

    async fn post(&self, part: &[Message<B::Receipt>]) -> Result<Vec<Verdict>, EdgeFault> {
        let body = batch::encode(&self.job.source_id, part)
            .map_err(|why| EdgeFault::Strange { asked: Asked::Batch, why })?;
        let bytes = body.len();
        let verdicts = self.job.edge.post(body, part.len()).await?;
        let counters = &self.job.status.counters;
        add(&counters.batches, 1);
        add(&counters.bytes, bytes);
        log::debug(
            "a batch was answered",
            json!({"source": self.job.source_id, "messages": part.len(), "bytes": bytes}),
        );
        Ok(verdicts)
    }

    /// What is durable, and what has to be sent again.
    fn read(
        &self,
        part: Vec<Message<B::Receipt>>,
        verdicts: Vec<Verdict>,
    ) -> (Vec<Settled<B::Receipt>>, Taken<B>) {
        let counters = &self.job.status.counters;
        let mut settled = Vec::with_capacity(part.len());
        let mut left = Vec::new();
        for (mut message, verdict) in part.into_iter().zip(verdicts) {
            let dead = match verdict {
                Verdict::Retry { reason, is_ours } => {
                    add(&counters.retries, 1);
                    if !is_ours {
                        self.count_attempt(&mut message, &reason);
                    }
                    left.push(message);
                    continue;
                }
                Verdict::Accepted { .. } => {
                    add(&counters.accepted, 1);
                    false
                }
                Verdict::Duplicate { .. } => {
                    add(&counters.duplicates, 1);
                    false
                }
                Verdict::DeadLetter { id, .. } => {
                    add(&counters.dead_letters, 1);
                    // Why stands at the gateway: the reason may quote the message.
                    log::warn(
                        "a message became a dead letter",
                        json!({"source": self.job.source_id, "id": message.id, "dead_letter": id}),
                    );
                    true
                }
            };
            settled.push(Settled { receipt: message.receipt, dead });
        }
        (settled, left)
    }
}

/// Waits a little for more, as long as the batch is not full.
async fn fill<R>(held: &mut VecDeque<Message<R>>, from: &mut mpsc::Receiver<Vec<Message<R>>>) {
    let until = Instant::now() + LINGER;
    let mut bytes: usize = held.iter().map(batch::size).sum();
    while held.len() < MESSAGES_MAX && bytes < PAYLOADS_MAX_BYTES {
        match timeout_at(until, from.recv()).await {
            Ok(Some(taken)) => {
                bytes += taken.iter().map(batch::size).sum::<usize>();
                held.extend(taken);
            }
            Ok(None) | Err(_) => break,
        }
    }
}

/// What of `held` goes into the next batch.
fn first_batch<R>(held: &mut VecDeque<Message<R>>) -> Vec<Message<R>> {
    let mut batch = Vec::with_capacity(held.len().min(MESSAGES_MAX));
    let mut bytes = 0;
    while let Some(message) =
        held.pop_front_if(|next| batch::fits(batch.len(), bytes, batch::size(next)))
    {
        bytes += batch::size(&message);
        batch.push(message);
    }
    batch
}

#[cfg(test)]
mod tests;
