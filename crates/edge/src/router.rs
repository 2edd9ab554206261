//! The router: from the ingest queue and the journal into the event store.

use inlet_gateway::dead_letter::DeadLetter;
use inlet_gateway::json;
use inlet_gateway::route::{
    Bell, DELIVERIES_MAX, Directory, FILTERED_BODIES_MAX_BYTES, FILTERED_BODY_MAX_BYTES, Needs,
    bells, route, scheduled, transaction_len,
};
use inlet_gateway::sql::{self, Journal};
use inlet_gateway::subscription::Subscription;
use inlet_gateway::wire::{Envelope, Meta, Text};
use js_sys::{ArrayBuffer, Uint8Array};
use serde::Deserialize;
use serde_json::json;
use wasm_bindgen::{JsCast, JsValue};
use worker::{MessageBatch, MessageExt, QueueRetryOptionsBuilder, RawMessage, Result};

use crate::bindings::Bindings;
use crate::body::{self, Share};
use crate::store::{Doc, rows};
use crate::{bell, chance, dead_letters, functions, log};

/// Drains that one bell makes at most; then it rings again, so that no invocation runs for ever.
const DRAINS_MAX: usize = 5;
/// How long a batch waits for memory for the bodies that filters look into.
const BODIES_WAIT_MS: u64 = 10_000;
/// Seconds until a dead letter that could not be kept is tried again: a hundred of them are four days.
const KEEP_RETRY_S: u32 = 3_600;

/// Routes a batch of the ingest queue. Each message is acknowledged or retried; nothing is returned, because an error
/// would abort the instance.
pub(crate) async fn route_batch(batch: &MessageBatch<JsValue>, bindings: &Bindings) {
    let mut shards: Vec<(u32, Vec<(RawMessage, Envelope)>)> = Vec::new();
    let mut drains: Vec<(u32, Vec<RawMessage>)> = Vec::new();
    for message in batch.raw_iter() {
        let body = message.body();
        if let Some(shard) = drain_of(&body) {
            group(&mut drains, shard).push(message);
            continue;
        }
        match decode(&body) {
            Ok(envelope) => group(&mut shards, envelope.meta.shard).push((message, envelope)),
            Err((reason, bytes)) => {
                settle(
                    &message,
                    bury("envelope", &reason, &bytes, bindings).await.is_ok(),
                    bindings.settings.retry_s,
                );
            }
        }
    }
    for (shard, group) in shards {
        let (messages, envelopes): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        let stored = store_all(shard, &envelopes, bindings).await;
        for (message, stored) in messages.iter().zip(stored) {
            settle(message, stored, bindings.settings.retry_s);
        }
    }
    for (shard, messages) in drains {
        let drained = drain(shard, bindings).await;
        if let Err(error) = &drained {
            log::error("not_drained", json!({"shard": shard, "error": error.to_string()}));
        }
        for message in &messages {
            settle(message, drained.is_ok(), bindings.settings.retry_s);
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
pub(crate) fn settle(message: &RawMessage, done: bool, retry_s: u32) {
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

fn decode(body: &JsValue) -> std::result::Result<Envelope, (String, Vec<u8>)> {
    let Some(bytes) = bytes_of(body) else {
        let text = body.as_string().unwrap_or_default();
        return Err(("the message is not bytes".into(), text.into_bytes()));
    };
    Envelope::decode(&bytes).map_err(|error| (error.to_string(), bytes))
}

/// Puts what cannot be routed among the dead letters, as it is.
pub(crate) async fn bury(
    kind: &str,
    reason: &str,
    payload: &[u8],
    bindings: &Bindings,
) -> Result<()> {
    let now = chance::now_ms();
    let (id, text) = (chance::uid(now), Text::from_bytes(payload));
    log::error("dead_letter", json!({"id": id, "kind": kind, "reason": reason}));
    let statement = sql::insert_dead_letter(&id, kind, reason, &text.text, text.is_base64, now);
    bindings.events(0)?.run(&statement).await
}

#[derive(Deserialize)]
struct Row {
    seq: u64,
    meta: String,
    body: String,
    is_base64: u8,
    epoch: u64,
}

/// Routes what waits in the journals of a shard.
pub(crate) async fn drain(shard: u32, bindings: &Bindings) -> Result<()> {
    let events = bindings.events(shard)?;
    for _ in 0..DRAINS_MAX {
        let mut is_empty = true;
        for journal in Journal::both(chance::now_ms()) {
            let rows: Vec<Row> = events.rows(&journal.waiting()).await?;
            let Some(last) = rows.last() else { continue };
            is_empty = false;
            let done = journal.done(last.seq, last.epoch);
            let mut envelopes = Vec::with_capacity(rows.len());
            for row in rows {
                let text = Text { text: row.body.into(), is_base64: row.is_base64 != 0 };
                match Envelope::from_row(&row.meta, &text) {
                    Ok(some) => envelopes.extend(some),
                    Err(error) => {
                        let payload = format!("{}\n{}", row.meta, text.text);
                        bury("journal", &error.to_string(), payload.as_bytes(), bindings).await?;
                    }
                }
            }
            if store_all(shard, &envelopes, bindings).await.contains(&false) {
                return Err(worker::Error::RustError(
                    "not all of the journal could be stored".into(),
                ));
            }
            // Only now: whoever dies before this reads the same rows again, and changes nothing by it.
            events.run(&done).await?;
        }
        if is_empty {
            return Ok(());
        }
    }
    bell::send_drain(shard, bindings).await
}

/// Stores envelopes in transactions of a bearable size, and rings for their deliveries. Says of each whether it is done
/// with: stored, or buried because it cannot be.
///
/// A transaction that fails is halved until the one at fault is alone. If the fault is in what it holds, or if it fails
/// again after others have been stored, it is buried. If two in a row fail alone, and the last of all does, too, it is
/// the store, and all wait.
async fn store_all(shard: u32, envelopes: &[Envelope], bindings: &Bindings) -> Vec<bool> {
    let mut done = Vec::with_capacity(envelopes.len());
    let mut suspects = Vec::new();
    let mut size = usize::MAX;
    let (mut failures_in_a_row, mut works) = (0, false);
    while done.len() < envelopes.len() {
        if failures_in_a_row == 2 {
            let last = envelopes.last().map(std::slice::from_ref).unwrap_or_default();
            if store(shard, last, bindings).await.is_err() {
                suspects.truncate(suspects.len().saturating_sub(2));
                break;
            }
            (failures_in_a_row, works) = (0, true);
        }
        let rest = envelopes.get(done.len()..).unwrap_or_default();
        let now = rest.get(..transaction_len(rest).min(size)).unwrap_or(rest);
        match (store(shard, now, bindings).await, now) {
            (Ok(stored), _) => {
                done.resize(done.len() + stored, true);
                size = size.saturating_mul(2);
                failures_in_a_row = 0;
            }
            (Err(error), [alone]) => {
                let error = error.to_string();
                let fields =
                    json!({"shard": shard, "event_id": alone.meta.event_id, "error": error});
                log::error("not_routed", fields);
                let is_buried = is_poison(&error) && bury_event(alone, &error, bindings).await;
                if !is_buried {
                    suspects.push(done.len());
                    failures_in_a_row += 1;
                }
                done.push(is_buried);
                size = 1;
            }
            (Err(error), _) => {
                let fields =
                    json!({"shard": shard, "events": now.len(), "error": error.to_string()});
                log::error("not_routed_together", fields);
                size = now.len() / 2;
            }
        }
    }
    works |= done.contains(&true);
    for suspect in suspects.into_iter().filter(|_| works) {
        let (Some(envelope), Some(done)) = (envelopes.get(suspect), done.get_mut(suspect)) else {
            continue;
        };
        *done = match store(shard, std::slice::from_ref(envelope), bindings).await {
            Ok(_) => true,
            Err(error) => bury_event(envelope, &error.to_string(), bindings).await,
        };
    }
    done.resize(envelopes.len(), false);
    done
}

async fn bury_event(envelope: &Envelope, reason: &str, bindings: &Bindings) -> bool {
    let now = chance::now_ms();
    let letter = DeadLetter::of_envelope(envelope, reason, chance::uid(now), now);
    dead_letters::keep(&[letter], envelope.meta.shard, bindings).await.is_ok()
}

/// What is stored of a subscription, and cannot be read the next time either.
const UNREADABLE: &str = "a subscription of the event is stored in a form that cannot be read";

fn read_subscription(doc: &Doc) -> Result<Subscription> {
    doc.read().map_err(|error| {
        let why = match error {
            worker::Error::SerdeJsonError(error) => error.to_string(),
            other => other.to_string(),
        };
        worker::Error::RustError(format!("{UNREADABLE}: {why}"))
    })
}

/// Whether an error of the store is about what it was given, and will be the same the next time.
fn is_poison(error: &str) -> bool {
    [
        "SQLITE_TOOBIG",
        "too big",
        "too large",
        "SQLITE_CONSTRAINT",
        "SQLITE_MISMATCH",
        "malformed JSON",
        UNREADABLE,
    ]
    .iter()
    .any(|sign| error.contains(sign))
}

/// Stores envelopes from the first on, as many as one transaction takes, and says how many.
async fn store(shard: u32, envelopes: &[Envelope], bindings: &Bindings) -> Result<usize> {
    let mut directory =
        directory(envelopes.iter().map(|envelope| &envelope.meta), bindings).await?;
    let most = (DELIVERIES_MAX / directory.most_deliveries()).max(1);
    let envelopes = envelopes.get(..most).unwrap_or(envelopes);
    let made = functions::apply(envelopes, bindings).await?;
    let envelopes = &*made;
    let (read, _shares) = read_bodies(&mut directory, envelopes, bindings).await?;
    let envelopes = envelopes.get(..read).unwrap_or(envelopes);

    let now = chance::now_ms();
    // Bells on a real queue are as durable as the rows, and what they come from, a message or a part of the journal, is only
    // let go of once they are rung. So nobody else has to watch.
    let queue_watches = !bindings.settings.local_queue;
    let outbox = (!queue_watches).then(|| chance::uid(now));
    let routing = route(envelopes, &directory, now, outbox.as_deref());
    let mut statements = routing.statements;
    let writes = statements.len();
    statements.extend(scheduled(&routing.deliveries));
    let results = bindings.events(shard)?.batch(&statements).await?;
    log::debug("routed", || {
        let ids: Vec<&str> =
            envelopes.iter().map(|envelope| envelope.meta.event_id.as_str()).collect();
        json!({"shard": shard, "event_ids": ids, "deliveries": routing.deliveries.len()})
    });
    let mut waiting = Vec::new();
    for result in results.iter().skip(writes) {
        waiting.extend(rows::<Waiting>(result)?.into_iter().map(Waiting::into_parts));
    }
    let rung = bell::ring_dispatcher(&bells(shard, waiting), 0, bindings).await;
    if queue_watches && rung.is_err() {
        // The sweep rings for them. What is stored is not routed again because of a bell.
        let watched = sql::watch(&json!(routing.deliveries).to_string(), now);
        bindings.events(shard)?.run(&watched).await?;
    }
    Ok(envelopes.len())
}

/// Reads what has to be known to route events.
pub(crate) async fn directory(
    metas: impl Iterator<Item = &Meta>,
    bindings: &Bindings,
) -> Result<Directory> {
    let needs = Needs::of(metas);
    let db = bindings.db()?;
    let mut directory = Directory::default();
    let mut docs: Vec<Doc> = Vec::new();
    if !needs.sources.is_empty() {
        docs.extend(db.rows::<Doc>(&sql::subscriptions_of(&needs.sources)).await?);
    }
    let mut endpoints: Vec<(&str, &str)> = needs.endpoints;
    if !needs.owners.is_empty() {
        directory.owned = db.rows(&sql::endpoints_of_owners(&needs.owners)).await?;
        let owned = directory.owned.iter();
        endpoints.extend(owned.map(|one| (one.project_id.as_str(), one.endpoint_id.as_str())));
        endpoints.sort_unstable();
        endpoints.dedup();
    }
    if !endpoints.is_empty() {
        docs.extend(db.rows::<Doc>(&sql::subscriptions_of_endpoints(&endpoints)).await?);
    }
    if !needs.projects.is_empty() {
        docs.extend(db.rows::<Doc>(&sql::subscriptions_of_projects(&needs.projects)).await?);
    }
    let mut subscriptions: Vec<Subscription> =
        docs.iter().map(read_subscription).collect::<Result<_>>()?;
    subscriptions.sort_by(|a, b| a.uid.cmp(&b.uid));
    subscriptions.dedup_by(|a, b| a.uid == b.uid);
    directory.subscriptions = subscriptions;
    Ok(directory)
}

/// Reads the bodies that filters have to look into, and says how many of the events, from the first, can be routed with what
/// was read. A body that is too large for filters, or gone, is left out.
pub(crate) async fn read_bodies(
    directory: &mut Directory,
    envelopes: &[Envelope],
    bindings: &Bindings,
) -> Result<(usize, Vec<Share>)> {
    let deadline_ms = chance::now_ms() + BODIES_WAIT_MS;
    let mut room = FILTERED_BODIES_MAX_BYTES;
    let mut shares = Vec::new();
    for (index, key) in directory.bodies_to_read(envelopes) {
        let Some(object) = bindings.bodies()?.get(key).execute().await? else { continue };
        let size = object.size();
        let (Some(envelope), true) = (envelopes.get(index), size <= FILTERED_BODY_MAX_BYTES) else {
            continue;
        };
        if room < size {
            return Ok((index, shares));
        }
        room -= size;
        let share = body::share_until(size, deadline_ms).await;
        shares.push(share.ok_or_else(|| {
            worker::Error::RustError("no memory for the bodies right now".into())
        })?);
        if let Some(body) = object.body() {
            let bytes = body.bytes().await?;
            directory.bodies.insert(envelope.meta.event_id.clone(), bytes);
        }
    }
    Ok((envelopes.len(), shares))
}

/// A delivery that waits.
#[derive(Deserialize)]
pub(crate) struct Waiting {
    project_id: String,
    id: String,
    endpoint_id: String,
}

impl Waiting {
    pub(crate) fn into_parts(self) -> (String, String, String) {
        (self.project_id, self.id, self.endpoint_id)
    }
}

/// Takes in what other consumers gave up on. An envelope goes into the journal, from where it is routed once the
/// cause is mended; the deliveries of a bell are left to the sweep; the rest is buried.
pub(crate) async fn unbury_batch(batch: &MessageBatch<JsValue>, bindings: &Bindings) {
    for message in batch.raw_iter() {
        let body = message.body();
        let kept = match decode(&body) {
            Ok(envelope) => {
                log::error("rerouted", json!({"event_id": envelope.meta.event_id}));
                crate::ingest::append(bindings, &envelope).await
            }
            Err(_) if drain_of(&body).is_some() => Ok(()),
            Err((reason, bytes)) => match json::read_bytes::<Bell>(&bytes) {
                Ok(bell) => watch(&bell, bindings).await,
                Err(_) => bury("queue", &reason, &bytes, bindings).await,
            },
        };
        if let Err(error) = &kept {
            log::error("dead_letter_not_kept", json!({"error": error.to_string()}));
        }
        settle(&message, kept.is_ok(), KEEP_RETRY_S);
    }
}

/// Puts the deliveries of a bell under the eye of the sweep.
async fn watch(bell: &Bell, bindings: &Bindings) -> Result<()> {
    let statement = sql::watch(&json!(bell.deliveries).to_string(), chance::now_ms());
    bindings.events(bell.shard)?.run(&statement).await
}
