//! The router: from the ingest queue and the journal into the event store.

use inlet_gateway::route::{Bell, bells, route, transaction_len};
use inlet_gateway::sql::{self, Journal, Statement};
use inlet_gateway::subscription::Subscription;
use inlet_gateway::wire::{Envelope, Text};
use js_sys::{ArrayBuffer, Uint8Array};
use serde::Deserialize;
use serde_json::json;
use wasm_bindgen::{JsCast, JsValue};
use worker::{MessageBatch, MessageExt, QueueRetryOptionsBuilder, RawMessage, Result};

use crate::bindings::Bindings;
use crate::store::{Doc, rows};
use crate::{bell, chance, log};

/// Drains that one bell makes at most; then it rings again, so that no invocation runs for ever.
const DRAINS_MAX: usize = 20;
/// Seconds until a batch that could not be stored is tried again.
const RETRY_S: u32 = 10;

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
                settle(&message, bury("envelope", &reason, &bytes, bindings).await.is_ok());
            }
        }
    }
    for (shard, group) in shards {
        let (messages, envelopes): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        let (mut messages, mut envelopes) = (messages.as_slice(), envelopes.as_slice());
        while !envelopes.is_empty() {
            let (now, later) = envelopes.split_at(transaction_len(envelopes));
            let (now_messages, later_messages) = messages.split_at(now.len());
            let routed = store(shard, now, None, bindings).await;
            if let Err(error) = &routed {
                let fields =
                    json!({"shard": shard, "events": now.len(), "error": error.to_string()});
                log::error("not_routed", fields);
            }
            for message in now_messages {
                settle(message, routed.is_ok());
            }
            (messages, envelopes) = (later_messages, later);
        }
    }
    for (shard, messages) in drains {
        let drained = drain(shard, bindings).await;
        if let Err(error) = &drained {
            log::error("not_drained", json!({"shard": shard, "error": error.to_string()}));
        }
        for message in &messages {
            settle(message, drained.is_ok());
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
pub(crate) fn settle(message: &RawMessage, done: bool) {
    if done {
        message.ack();
    } else {
        message.retry_with_options(
            &QueueRetryOptionsBuilder::new().with_delay_seconds(RETRY_S).build(),
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
                let text = Text { text: row.body, is_base64: row.is_base64 != 0 };
                match Envelope::from_row(&row.meta, &text) {
                    Ok(envelope) => envelopes.push(envelope),
                    Err(error) => {
                        let payload = format!("{}\n{}", row.meta, text.text);
                        bury("journal", &error.to_string(), payload.as_bytes(), bindings).await?;
                    }
                }
            }
            store(shard, &envelopes, Some(done), bindings).await?;
        }
        if is_empty {
            return Ok(());
        }
    }
    bell::send_drain(shard, bindings).await
}

/// Stores a batch as one transaction, and rings for its deliveries. `journal_mark` belongs into the transaction when the
/// envelopes are from the journal.
///
/// Until they are dispatched, somebody has to watch the deliveries. A batch of the queue is retried until its bells are
/// rung, and bells are as durable as it was: there, the queue watches. Otherwise the outbox does.
async fn store(
    shard: u32,
    envelopes: &[Envelope],
    journal_mark: Option<Statement>,
    bindings: &Bindings,
) -> Result<()> {
    let mut sources: Vec<(&str, &str)> = envelopes
        .iter()
        .map(|envelope| (envelope.meta.project_id.as_str(), envelope.meta.source_id.as_str()))
        .collect();
    sources.sort_unstable();
    sources.dedup();
    let subscriptions: Vec<Doc> = bindings.db()?.rows(&sql::subscriptions_of(&sources)).await?;
    let subscriptions: Vec<Subscription> =
        subscriptions.iter().map(Doc::read).collect::<Result<_>>()?;

    let now = chance::now_ms();
    let queue_watches = journal_mark.is_none() && !bindings.settings.local_queue;
    let outbox = (!queue_watches).then(|| chance::uid(now));
    let routing = route(envelopes, &subscriptions, now, outbox.as_deref());
    let mut statements = routing.statements;
    statements.extend(journal_mark);
    statements.push(sql::scheduled(json!(routing.deliveries)));
    let results = bindings.events(shard)?.batch(&statements).await?;
    log::debug("routed", || {
        let ids: Vec<&str> =
            envelopes.iter().map(|envelope| envelope.meta.event_id.as_str()).collect();
        json!({"shard": shard, "event_ids": ids, "deliveries": routing.deliveries.len()})
    });
    let waiting: Vec<Waiting> = results.last().map(rows).transpose()?.unwrap_or_default();
    let bells = bells(shard, waiting.into_iter().map(Waiting::into_parts).collect());
    let rung = bell::ring_dispatcher(&bells, 0, bindings).await;
    if queue_watches { rung } else { Ok(()) }
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
            Err((reason, bytes)) => match serde_json::from_slice::<Bell>(&bytes) {
                Ok(bell) => watch(&bell, bindings).await,
                Err(_) => bury("queue", &reason, &bytes, bindings).await,
            },
        };
        if let Err(error) = &kept {
            log::error("dead_letter_not_kept", json!({"error": error.to_string()}));
        }
        settle(&message, kept.is_ok());
    }
}

/// Puts the deliveries of a bell under the eye of the sweep.
async fn watch(bell: &Bell, bindings: &Bindings) -> Result<()> {
    let statement = sql::watch(&json!(bell.deliveries).to_string(), chance::now_ms());
    bindings.events(bell.shard)?.run(&statement).await
}
