//! The router: from the ingest queue and the journal into the event store.

use std::time::Duration;

use inlet_gateway::dead_letter::{DeadLetter, NOBODY, NOBODYS_SHARD, project_named_in};
use inlet_gateway::json;
use inlet_gateway::parked::{Lack, Then, then};
use inlet_gateway::project::Project;
use inlet_gateway::route::{
    Bell, DIRECTORY_EVENTS, Directory, FAN_OUT_PART, FILTERED_BODIES_MAX_BYTES,
    FILTERED_BODY_MAX_BYTES, Gathered, Needs, Owned, Part, SubscriptionRow, are_few, directory_len,
    parted, route,
};
use inlet_gateway::sql::{self, Statement};
use inlet_gateway::storing::{Fault, Step, Storing};
use inlet_gateway::turns::Turns;
use inlet_gateway::wire::{Envelope, NotAnEnvelope};
use js_sys::{ArrayBuffer, Uint8Array};
use serde_json::json;
use wasm_bindgen::{JsCast, JsValue};
use worker::{
    D1Result, Delay, MessageBatch, MessageExt, QueueRetryOptionsBuilder, RawMessage, Result,
};

use crate::bindings::Bindings;
use crate::bodies::{self, Asker, Found, Loan, no_room, unavailable};
use crate::drain::{Mark, drain};
use crate::first_calls::{self, Plan};
use crate::ingest::append_all;
use crate::store::{Store, rows};
use crate::{bell, chance, dead_letters, functions, hold, log, parked};

/// How long a batch waits for memory for the bodies that functions and filters look into, all of its events together. Then
/// they are parked, and nobody waits behind them.
const BODIES_WAIT_MS: u64 = 500;
/// A pause of the router where filters have taken their time. The answer of a database does not do: where that lives in the same
/// process, the runtime goes from one to the other, and looks at no other request.
const OTHERS_TURN: Duration = Duration::from_millis(5);
/// Seconds until a dead letter that could not be kept is tried again: a hundred of them are four days.
const KEEP_RETRY_S: u32 = 3_600;

/// Routes a batch of the ingest queue. Each message is acknowledged or retried; nothing is returned, because an error
/// would abort the instance.
pub(crate) async fn route_batch(batch: &MessageBatch<JsValue>, bindings: &Bindings) {
    // Each message, and whether all that it holds is done with.
    let mut messages: Vec<(RawMessage, bool)> = Vec::new();
    let mut shards: Vec<(u32, Vec<(usize, Envelope)>)> = Vec::new();
    let mut drains: Vec<(u32, Vec<RawMessage>)> = Vec::new();
    for message in batch.raw_iter() {
        if let Some(shard) = drain_of(&message.body()) {
            group(&mut drains, shard).push(message);
            continue;
        }
        let mut is_done = true;
        for one in read(&message) {
            match one {
                Ok(envelope) => {
                    group(&mut shards, envelope.meta.shard).push((messages.len(), envelope));
                }
                Err(unread) => is_done &= unread.bury("ingest queue", bindings).await.is_ok(),
            }
        }
        messages.push((message, is_done));
    }
    for (shard, group) in shards {
        let (places, envelopes): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        let stored = store_all(shard, &envelopes, &mut Turns::default(), None, bindings).await;
        for (place, stored) in places.into_iter().zip(stored) {
            if let Some((_, is_done)) = messages.get_mut(place) {
                *is_done &= stored;
            }
        }
    }
    // What of a message that comes again is stored already, is known by its id.
    for (message, is_done) in &messages {
        ack_or_retry(message, *is_done, bindings.settings.retry_s);
    }
    for (shard, messages) in drains {
        let drained = drain(shard, bindings).await;
        if let Err(error) = &drained {
            log::error("not_drained", json!({"shard": shard, "error": error.to_string()}));
        }
        for message in &messages {
            ack_or_retry(message, drained.is_ok(), bindings.settings.retry_s);
        }
    }
}

fn group<T>(groups: &mut Vec<(u32, Vec<T>)>, shard: u32) -> &mut Vec<T> {
    let at = groups.iter().position(|(have, _)| *have == shard).unwrap_or_else(|| {
        groups.push((shard, Vec::new()));
        groups.len() - 1
    });
    #[expect(clippy::indexing_slicing, reason = "the position was found or made just above")]
    &mut groups[at].1
}

/// Acknowledges, or asks for the message again.
pub(crate) fn ack_or_retry(message: &RawMessage, done: bool, retry_s: u32) {
    if done {
        message.ack();
    } else {
        message.retry_with_options(
            &QueueRetryOptionsBuilder::new().with_delay_seconds(retry_s).build(),
        );
    }
}

fn drain_of(body: &JsValue) -> Option<u32> {
    body.as_string()?.strip_prefix(bell::DRAIN)?.parse().ok()
}

/// The bytes of a message: a queue hands over what it was given as an `Uint8Array` or an `ArrayBuffer`.
pub(crate) fn bytes_of(body: &JsValue) -> Option<Vec<u8>> {
    if let Some(array) = body.dyn_ref::<Uint8Array>() {
        return Some(array.to_vec());
    }
    body.dyn_ref::<ArrayBuffer>().map(|buffer| Uint8Array::new(buffer).to_vec())
}

/// What a message holds that is no envelope.
struct Unread {
    /// The message, and which one in it.
    at: String,
    reason: String,
    bytes: Vec<u8>,
}

impl Unread {
    async fn bury(&self, place: &str, bindings: &Bindings) -> Result<()> {
        bury((place, &self.at), &self.reason, &self.bytes, bindings).await
    }
}

/// The envelopes of a message.
fn read(message: &RawMessage) -> Vec<std::result::Result<Envelope, Unread>> {
    let body = message.body();
    let Some(bytes) = bytes_of(&body) else {
        let bytes = body.as_string().unwrap_or_default().into_bytes();
        let reason = "the message is not bytes".into();
        return vec![Err(Unread { at: message.id(), reason, bytes })];
    };
    let envelopes = Envelope::of_message(&bytes).into_iter().enumerate();
    let unread = |place, why: NotAnEnvelope, bytes: &[u8]| Unread {
        at: if place == 0 { message.id() } else { format!("{}/{place}", message.id()) },
        reason: why.to_string(),
        bytes: bytes.to_vec(),
    };
    let read = envelopes.map(|(place, one)| one.map_err(|(why, bytes)| unread(place, why, bytes)));
    read.collect()
}

/// Puts what cannot be read among the dead letters, as it is: those of the project that it names, if there is one. `at` says
/// where it is met: in which place, and which one there.
pub(crate) async fn bury(
    at: (&str, &str),
    reason: &str,
    payload: &[u8],
    bindings: &Bindings,
) -> Result<()> {
    let owner: Option<Project> = match project_named_in(payload) {
        Some(id) => bindings.db()?.doc(&sql::project(&id)).await?,
        None => None,
    };
    let (project, shard) =
        owner.as_ref().map_or((NOBODY, NOBODYS_SHARD), |owner| (&owner.uid, owner.shard));
    let now = chance::now_ms();
    let letter = DeadLetter::of_unreadable(payload.to_vec(), project, at, reason, now);
    dead_letters::keep(&[letter], shard, bindings).await.map(|_| ())
}

/// Stores envelopes in transactions of a bearable size, and rings for their deliveries. Says of each whether it is done
/// with: stored, parked until it can be, or buried because it cannot. What is tried, and what a fault leads to, [`Storing`] decides.
pub(crate) async fn store_all(
    shard: u32,
    envelopes: &[Envelope],
    turns: &mut Turns,
    mut mark: Option<&mut Mark<'_>>,
    bindings: &Bindings,
) -> Vec<bool> {
    let mut done = Vec::with_capacity(envelopes.len());
    let are_few = are_few(envelopes.len());
    let mut most = DIRECTORY_EVENTS;
    while let Some(rest @ [_, ..]) = envelopes.get(done.len()..) {
        let some = rest.get(..most).unwrap_or(rest);
        // What went before counts only where all of it is done.
        let before = done.len();
        let mark = mark.as_deref_mut().filter(|_| !done.contains(&false));
        let count = match known(some, are_few, bindings).await {
            Ok((known, count)) => {
                let some = some.get(..count).unwrap_or(some);
                done.extend(store_known(shard, some, known, turns, (before, mark), bindings).await);
                count
            }
            Err(error) => {
                let fields =
                    json!({"shard": shard, "events": some.len(), "error": error.to_string()});
                log::error("not_routed_yet", fields);
                some.len()
            }
        };
        done.resize(before + count, false);
        most = directory_len(most, some.len(), count);
    }
    done
}

/// What was read to route some events.
struct Known {
    directory: Directory,
    functions: functions::Functions,
    /// Until when they wait for memory for the bodies that filters and functions look into.
    until_ms: u64,
    /// How many go together, going by how far filters got before: functions are not run for those that have to wait.
    most: usize,
    /// Whether they are so few, all of them, that whoever stores them may call for their deliveries.
    are_few: bool,
}

/// Reads what is needed to store events, and says of how many, from the first on, as [`directory`] does.
async fn known(
    envelopes: &[Envelope],
    are_few: bool,
    bindings: &Bindings,
) -> Result<(Known, usize)> {
    let (directory, count) = directory(envelopes, bindings).await?;
    let functions = functions::of(envelopes.get(..count).unwrap_or(envelopes), bindings).await?;
    let until_ms = chance::now_ms() + BODIES_WAIT_MS;
    Ok((Known { directory, functions, until_ms, most: usize::MAX, are_few }, count))
}

async fn store_known(
    shard: u32,
    envelopes: &[Envelope],
    mut known: Known,
    turns: &mut Turns,
    (before, mut mark): (usize, Option<&mut Mark<'_>>),
    bindings: &Bindings,
) -> Vec<bool> {
    let unroutable = envelopes.iter().enumerate().filter_map(|(place, envelope)| {
        Some((place, known.directory.unroutable(&envelope.meta)?.to_owned()))
    });
    let mut storing = Storing::new(envelopes.len(), unroutable.collect());
    loop {
        match storing.step() {
            Step::End => return storing.into_done(),
            Step::Bury(place, reason) => {
                let is_kept = match envelopes.get(place) {
                    Some(envelope) => bury_event(envelope, &reason, bindings).await,
                    None => false,
                };
                storing.buried(is_kept);
                continue;
            }
            Step::Store(range) => {
                let (start, settled) = (range.start, storing.settled());
                let some = envelopes.get(range).unwrap_or_default();
                let mark = mark.as_deref_mut().filter(|_| start == settled);
                let mark = mark.map(|mark| (mark, before + settled));
                match store(shard, some, &mut known, turns, mark, bindings).await {
                    Ok(count) => storing.stored(count),
                    Err(Unstored::Lacks(lack)) => {
                        park_or_give_up(some.first(), &lack, turns, &mut storing, bindings).await;
                    }
                    Err(Unstored::Waits { count, why }) => {
                        log_unstored("not_routed_yet", shard, some, count, &why);
                        storing.wait(count);
                    }
                    Err(Unstored::Failed { count, fault }) => {
                        let name = if count == 1 { "not_routed" } else { "not_routed_together" };
                        log_unstored(name, shard, some, count, fault.message());
                        storing.failed(count, fault);
                    }
                }
                known.directory.bodies.clear();
            }
        }
        if let Some(mark) = &mut mark {
            mark.advance(before + storing.settled()).await;
        }
    }
}

/// Parks an event that lacks something, or has it buried when it has waited long enough.
async fn park_or_give_up(
    envelope: Option<&Envelope>,
    lack: &Lack,
    turns: &mut Turns,
    storing: &mut Storing,
    bindings: &Bindings,
) {
    let Some(envelope) = envelope else { return storing.wait(1) };
    let meta = &envelope.meta;
    let why = lack.to_string();
    turns.note(meta, lack);
    let pause_ms = u64::from(bindings.settings.retry_s) * 1_000;
    let next = then(lack, turns.waited(meta), chance::now_ms(), pause_ms);
    if next != Then::Stay && *lack != Lack::Spent {
        log_unstored("not_routed_yet", meta.shard, std::slice::from_ref(envelope), 1, &why);
    }
    match next {
        Then::Stay => {
            turns.stays(meta);
            storing.parked(true);
        }
        Then::GiveUp(reason) => storing.failed(1, Fault::Event(reason)),
        Then::Park { waited, due_at } => {
            let parked = parked::park(envelope, waited, (&why, due_at), bindings).await;
            if let Err(error) = &parked {
                log_unstored("not_parked", meta.shard, &[], 1, &error.to_string());
            }
            storing.parked(parked.is_ok());
        }
    }
}

fn log_unstored(name: &str, shard: u32, envelopes: &[Envelope], count: usize, error: &str) {
    let first = envelopes.first().map(|envelope| &envelope.meta.event_id);
    log::error(name, json!({"shard": shard, "events": count, "event_id": first, "error": error}));
}

async fn bury_event(envelope: &Envelope, reason: &str, bindings: &Bindings) -> bool {
    let now = chance::now_ms();
    let letter = DeadLetter::of_envelope(envelope, reason, now);
    dead_letters::keep(&[letter], envelope.meta.shard, bindings).await.is_ok()
}

/// Why so many events, from the first, are not stored.
enum Unstored {
    /// The first of them lacks something.
    Lacks(Lack),
    /// They have to come again.
    Waits { count: usize, why: String },
    /// Their transaction failed.
    Failed { count: usize, fault: Fault },
}

/// Stores envelopes from the first on, as many as one transaction takes, and says how many. `mark` is that of their journal, with
/// how many events are settled before them.
async fn store(
    shard: u32,
    envelopes: &[Envelope],
    known: &mut Known,
    turns: &Turns,
    mut mark: Option<(&mut Mark<'_>, usize)>,
    bindings: &Bindings,
) -> std::result::Result<usize, Unstored> {
    let Known { directory, functions, until_ms, most: together, are_few } = known;
    // Before the rest is looked at, which may be a thousand of them, each with as many behind it.
    if envelopes.first().is_some_and(|one| functions.are_spent(&one.meta, &bindings.burnt)) {
        return Err(Unstored::Lacks(Lack::Spent));
    }
    let most = directory.transaction_len(envelopes).min(*together);
    let envelopes = envelopes.get(..most).unwrap_or(envelopes);
    let made = functions::apply(envelopes, functions, turns, *until_ms, bindings).await;
    let made = made.map_err(Unstored::Lacks)?;
    let envelopes = &*made;
    let read = read_bodies(directory, envelopes, *until_ms, bindings).await;
    let (read, _loans) = read.map_err(Unstored::Lacks)?;
    let envelopes = envelopes.get(..read).unwrap_or(envelopes);

    let now = chance::now_ms();
    // Bells on a real queue are as durable as the rows, and what they come from, a message or a part of the journal, is only
    // let go of once they are rung. So nobody else has to watch.
    let queue_watches = !bindings.settings.local_queue;
    let outbox = (!queue_watches).then(|| chance::uid(now));
    let routing = route(envelopes, directory, now, outbox.as_deref());
    let count = routing.count;
    let is_cut = count < envelopes.len();
    *together = if is_cut { count } else { together.saturating_mul(2) };
    let envelopes = envelopes.get(..count).unwrap_or(envelopes);
    if let Some((event, subscription)) = routing.stopped.first() {
        let count = routing.stopped.len();
        let fields = json!({"event_id": event, "subscription_id": subscription, "count": count});
        log::error("filters_stopped", fields);
    }
    let deliveries: usize = routing.parts.iter().map(|part| part.deliveries.len()).sum();
    for mut part in routing.parts {
        let small = mark.as_mut().filter(|_| *are_few);
        let moved =
            small.and_then(|(mark, settled)| mark.move_with(&mut part, *settled + count, bindings));
        store_part(shard, part, count, *are_few, bindings).await?;
        if let (Some((mark, _)), Some(seq)) = (&mut mark, moved) {
            mark.moved(seq);
        }
    }
    log::debug("routed", || {
        let ids: Vec<&str> =
            envelopes.iter().map(|envelope| envelope.meta.event_id.as_str()).collect();
        json!({"shard": shard, "event_ids": ids, "deliveries": deliveries})
    });
    if is_cut {
        Delay::from(OTHERS_TURN).await;
    }
    Ok(count)
}

/// Runs one transaction of so many events, and sees that its deliveries are called: by whoever runs it, where they are few, or by
/// whoever answers their bells.
async fn store_part(
    shard: u32,
    mut part: Part,
    count: usize,
    are_few: bool,
    bindings: &Bindings,
) -> std::result::Result<(), Unstored> {
    let waits = |error: worker::Error| Unstored::Waits { count, why: error.to_string() };
    let plan = if are_few { first_calls::plan(&mut part, bindings).await } else { None };
    let events = bindings.events(shard).map_err(waits)?;
    let results = events
        .batch(&part.statements)
        .await
        .map_err(|error| Unstored::Failed { count, fault: Fault::of_store(error.to_string()) })?;
    let seen_to = see_to(shard, &results, plan, bindings).await;
    if !bindings.settings.local_queue && seen_to.is_err() {
        // The sweep rings for them. What is stored is not routed again because of a bell.
        let watched = sql::watch(&json!(part.deliveries).to_string(), chance::now_ms());
        events.run(&watched).await.map_err(waits)?;
    }
    Ok(())
}

/// Rings for what waits, and makes the first calls.
async fn see_to(
    shard: u32,
    results: &[D1Result],
    plan: Option<Plan>,
    bindings: &Bindings,
) -> Result<()> {
    let Some(unfinished) = results.last() else { return Ok(()) };
    let own = plan.as_ref().map(|plan| plan.own(results)).transpose()?.unwrap_or_default();
    let (waiting, held) = parted(rows(unfinished)?, &own, chance::now_ms());
    let rung = hold::wake(shard, waiting, bindings).await;
    // Whoever routed them before may have died.
    let rung = rung.and(hold::ring_later(shard, held, bindings).await);
    let called = match plan {
        Some(plan) => plan.call(shard, own, results, bindings).await,
        None => Ok(()),
    };
    rung.and(called)
}

/// Reads what has to be known to route events, and says of how many, from the first on: as many as memory bears.
pub(crate) async fn directory(
    envelopes: &[Envelope],
    bindings: &Bindings,
) -> Result<(Directory, usize)> {
    let mut some = envelopes;
    loop {
        if let Some(directory) = whole_directory(some, bindings).await? {
            return Ok((directory, some.len()));
        }
        some = some.get(..some.len().div_ceil(2)).unwrap_or(some);
    }
}

/// Reads what has to be known to route all of these events. `None`: memory does not bear that much.
async fn whole_directory(envelopes: &[Envelope], bindings: &Bindings) -> Result<Option<Directory>> {
    let needs = Needs::of(envelopes.iter().map(|envelope| &envelope.meta));
    let db = bindings.db()?;
    let mut reading = Reading { gathered: Gathered::default(), events: envelopes.len(), db: &db };
    let mut owned = Vec::new();
    if !needs.sources.is_empty()
        && !reading.pages(|after| sql::subscriptions_of(&needs.sources, after)).await?
    {
        return Ok(None);
    }
    let mut endpoints: Vec<(&str, &str)> = needs.endpoints;
    if !needs.owners.is_empty() {
        owned = db.rows::<Owned>(&sql::endpoints_of_owners(&needs.owners)).await?;
        let of_owners = owned.iter();
        endpoints.extend(of_owners.map(|one| (one.project_id.as_str(), one.endpoint_id.as_str())));
        endpoints.sort_unstable();
        endpoints.dedup();
    }
    for some in endpoints.chunks(FAN_OUT_PART) {
        if !reading.pages(|after| sql::subscriptions_of_endpoints(some, after)).await? {
            return Ok(None);
        }
    }
    let of_projects = |after: &str| sql::subscriptions_of_projects(&needs.projects, after);
    if !needs.projects.is_empty() && !reading.pages(of_projects).await? {
        return Ok(None);
    }
    Ok(Some(Directory::of(reading.gathered, owned)))
}

/// Subscriptions that are being read, for so many events.
struct Reading<'a> {
    gathered: Gathered,
    events: usize,
    db: &'a Store,
}

impl Reading<'_> {
    /// Adds subscriptions, page by page: all of a large project's at once are more than an answer of the database holds. Answers
    /// whether memory bears them.
    async fn pages(&mut self, page: impl Fn(&str) -> Statement) -> Result<bool> {
        let mut after = String::new();
        loop {
            let rows: Vec<SubscriptionRow> = self.db.rows(&page(&after)).await?;
            let is_last = SubscriptionRow::are_last(&rows);
            after = rows.last().map(|last| last.id.clone()).unwrap_or_default();
            self.gathered.add(rows);
            if self.gathered.is_too_much_for(self.events) {
                return Ok(false);
            }
            if is_last {
                return Ok(true);
            }
        }
    }
}

/// Reads the bodies that filters have to look into, and says how many of the events, from the first, can be routed with what
/// was read. A body that is too large for filters is left out. The error says what the first of them lacks.
pub(crate) async fn read_bodies(
    directory: &mut Directory,
    envelopes: &[Envelope],
    until_ms: u64,
    bindings: &Bindings,
) -> std::result::Result<(usize, Vec<Loan>), Lack> {
    let mut room = FILTERED_BODIES_MAX_BYTES;
    let mut loans = Vec::new();
    for (index, key) in directory.bodies_to_read(envelopes) {
        let Some(envelope) = envelopes.get(index) else { continue };
        let most = FILTERED_BODY_MAX_BYTES.min(room);
        // Only the first waits for memory, which may be what the others have: they are for the next transaction.
        let asker = Asker::router(&envelope.meta.project_id, if index == 0 { until_ms } else { 0 });
        let found = bodies::find(key, most, &asker, bindings).await.map_err(unavailable);
        let lack = match found {
            Ok(Found::Bytes(bytes, loan)) => {
                room = room.saturating_sub(bytes.len() as u64);
                loans.push(loan);
                directory.bodies.insert(envelope.meta.event_id.clone(), bytes);
                continue;
            }
            Ok(Found::TooLarge(size)) if FILTERED_BODY_MAX_BYTES < size => continue,
            // It is for the next transaction.
            Ok(Found::TooLarge(_)) => return Ok((index, loans)),
            Ok(Found::NoRoom) => unavailable(no_room()),
            Ok(Found::Gone) => Lack::Gone,
            Err(lack) => lack,
        };
        return if index == 0 { Err(lack) } else { Ok((index, loans)) };
    }
    Ok((envelopes.len(), loans))
}

/// Takes in what other consumers gave up on. Envelopes go into the journal, from where they are routed once the
/// cause is mended; the deliveries of a bell are left to the sweep; the rest is buried.
pub(crate) async fn unbury_batch(batch: &MessageBatch<JsValue>, bindings: &Bindings) {
    for message in batch.raw_iter() {
        let is_kept = drain_of(&message.body()).is_some() || unbury(&message, bindings).await;
        ack_or_retry(&message, is_kept, KEEP_RETRY_S);
    }
}

/// Whether all of a message is kept.
async fn unbury(message: &RawMessage, bindings: &Bindings) -> bool {
    let mut is_kept = true;
    let mut shards: Vec<(u32, Vec<Envelope>)> = Vec::new();
    for one in read(message) {
        let unread = match one {
            Ok(envelope) => {
                log::error("rerouted", json!({"event_id": envelope.meta.event_id}));
                group(&mut shards, envelope.meta.shard).push(envelope);
                continue;
            }
            Err(unread) => unread,
        };
        let kept = match json::read_bytes::<Bell>(&unread.bytes) {
            Ok(bell) => watch(&bell, bindings).await,
            Err(_) => unread.bury("dead-letter queue", bindings).await,
        };
        if let Err(error) = kept {
            log::error("dead_letter_not_kept", json!({"error": error.to_string()}));
            is_kept = false;
        }
    }
    // Those of a message in one row: a database takes only so many statements from one invocation.
    for (shard, envelopes) in shards {
        is_kept &= !append_all(shard, envelopes.iter(), bindings).await.contains(&false);
    }
    is_kept
}

/// Puts the deliveries of a bell under the eye of the sweep.
async fn watch(bell: &Bell, bindings: &Bindings) -> Result<()> {
    let statement = sql::watch(&json!(bell.deliveries).to_string(), chance::now_ms());
    bindings.events(bell.shard)?.run(&statement).await
}
