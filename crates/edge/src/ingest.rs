//! The hot path: one request of a provider, to a durable event.

use std::cell::RefCell;
use std::rc::Rc;

use inlet_gateway::admit::{Admitted, Arrival, Compiled, Door, needs_store};
use inlet_gateway::hookstream;
use inlet_gateway::rejection::Rejection;
use inlet_gateway::reply::Reply;
use inlet_gateway::room::Unread;
use inlet_gateway::seldom::{Few, Seldom};
use inlet_gateway::settings::Way;
use inlet_gateway::sql::{self, Journal};
use inlet_gateway::wire::{Body, Envelope, Message, Pack, Text, body_key};
use inlet_verify::Refused;
use js_sys::Uint8Array;
use serde_json::json;
use wasm_bindgen::JsValue;
use worker::{
    BatchMessageBuilder, Context, QueueContentType, RawMessageBuilder, SendMessage, web_sys,
};

use crate::bindings::{Bindings, SEND_BATCH_MAX};
use crate::body;
use crate::glue::Head;
use crate::limits::Taken;
use crate::patience::{
    ANSWER_WITHIN_MS, DATABASE, PUT_WITHIN_MS, Patience, STORE, WRITE_WITHIN_MS, in_time, rests,
    watched,
};
use crate::{bell, chance, config, handshake, keys, log};

/// Takes a request in. The reply is sent only once what it says is true.
pub(crate) async fn ingest(
    request: &web_sys::Request,
    head: &Head,
    (door, mask): (Door, &str),
    bindings: &Bindings,
    context: &Context,
) -> Reply {
    let mut source_id = None;
    match take_in(request, head, (door, mask), &mut source_id, bindings, context).await {
        Ok(reply) => reply,
        Err(rejection) => {
            let (status, label) = rejection.status();
            let request_id = (door == Door::Hookstream).then(chance::request_id);
            let fields = json!({
                "source_id": source_id, "status": status, "label": label, "request_id": request_id,
            });
            if 500 <= status {
                log::error("rejected", fields);
            } else {
                log::info("rejected", fields);
            }
            match &request_id {
                Some(id) => hookstream::refuse(&rejection, id),
                None => rejection.reply(),
            }
        }
    }
}

async fn take_in(
    request: &web_sys::Request,
    head: &Head,
    (door, mask): (Door, &str),
    source_id: &mut Option<String>,
    bindings: &Bindings,
    context: &Context,
) -> Result<Reply, Rejection> {
    // No time passes while a Worker computes, and to ask for it costs a call.
    let began = chance::now_ms();
    let source = config::source(bindings, mask, began).await?;
    *source_id = Some(source.source.uid.clone());
    let method = head.method();
    let headers = head.headers();
    let length = body::length_of(headers.get("content-length"));
    let unread = |cause: Rejection| {
        let arrival = Arrival { door, method, url: head.url(), headers: &headers, body: &[] };
        explain(&source, &cause, (&arrival, length), chance::now_ms(), bindings, context);
        cause
    };
    source.before_body(door, method, length).map_err(unread)?;
    // Cloudflare sets it; elsewhere whoever is in front of the gateway has to, or the sender does as it likes.
    let client = || headers.get("cf-connecting-ip").map(str::to_owned);
    source.gate(client, began).map_err(unread)?;
    let taken =
        Taken::of(&source, began).map_err(|seconds| unread(Rejection::Limited { seconds }))?;

    let read = body::read(request, &source.source.uid, length, source.body_max_bytes()).await;
    let (body, _share) = read.map_err(|why| {
        unread(match why {
            Unread::TooLarge => source.too_large(),
            Unread::Busy => Rejection::Busy,
            Unread::Late => Rejection::Late,
            Unread::Broken => Rejection::Unreadable,
        })
    })?;
    let url = bindings.settings.public_url_of(head.url());
    let now = chance::now_ms();
    let arrival = Arrival { door, method, url: &url, headers: &headers, body: &body.bytes };
    let mut admitted = source.admit(&arrival, chance::uid(now), now);
    if let Ok(Admitted::Pending(pending)) = admitted {
        let of = (source.source.project_id.as_str(), source.source.uid.as_str());
        let mut performed = keys::perform(pending, of, &body, false, bindings).await;
        // The provider may have changed its key since.
        if performed.is_stale
            && performed.verdict.is_err()
            && let Ok(Admitted::Pending(again)) = source.admit(&arrival, String::new(), now)
        {
            performed = keys::perform(again, of, &body, true, bindings).await;
        }
        admitted = source.believe(&arrival, performed.verdict, chance::uid(now), now);
    }
    let refused = |cause: Rejection| {
        let bytes = Some(body.bytes.len() as u64);
        explain(&source, &cause, (&arrival, bytes), now, bindings, context);
        cause
    };
    match admitted.map_err(refused)? {
        // Settled above.
        Admitted::Pending(_) => Err(Rejection::NotCheckable { cause: Refused::NeedsShell }),
        Admitted::Capture { secret, reply } => {
            if handshake::capture(bindings, &source.source, &secret).await? {
                log::info("secret_handed_over", json!({"source_id": source.source.uid}));
                return Ok(reply);
            }
            let reason = "the source is not armed to take a secret, or has one";
            Err(refused(Rejection::Handshake { status: 403, reason }))
        }
        Admitted::Confirm { url, reply } => match keys::get(&url, None, bindings).await {
            Ok(_) => {
                log::info("subscription_confirmed", json!({"source_id": source.source.uid}));
                Ok(reply)
            }
            Err(error) => {
                log::error(
                    "subscription_not_confirmed",
                    json!({"source_id": source.source.uid, "error": error.to_string()}),
                );
                Err(Rejection::NotCheckable { cause: Refused::Unavailable })
            }
        },
        Admitted::Handshake(reply) => {
            handshake::note(bindings, &source.source, now).await;
            log::info("handshake", json!({"source_id": source.source.uid}));
            Ok(reply)
        }
        Admitted::Event { meta, reply } => {
            count_request(&source, bindings).await.map_err(refused)?;
            let read = body.array;
            let envelope = Envelope { meta: *meta, body: Body::Inline(body.bytes) };
            let (event_id, shard) = (envelope.meta.event_id.clone(), envelope.meta.shard);
            let route = match make_durable(envelope, read.as_ref(), bindings).await {
                Ok(route) => route,
                Err(rejection) => {
                    uncount_request(&source, bindings).await;
                    return Err(rejection);
                }
            };
            taken.keep();
            log::debug(
                "accepted",
                || json!({"event_id": event_id, "source_id": source.source.uid, "by": route.name()}),
            );
            if route == Way::Journal {
                bell::ring_router(shard, bindings, context);
            }
            Ok(reply)
        }
    }
}

/// Takes one of the requests of a source that has a number of them. Others are not counted here.
async fn count_request(source: &Compiled, bindings: &Bindings) -> Result<(), Rejection> {
    let Some(most) = source.source.admission.max_requests else { return Ok(()) };
    let take = sql::take_request(&source.source.project_id, &source.source.uid, most);
    let taken = async { bindings.events(source.shard())?.has(&take).await };
    // One that is taken after all is one that the source does not get: the lesser evil.
    match in_time(DATABASE, ANSWER_WITHIN_MS, taken).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Rejection::UsedUp),
        Err(error) => {
            log::error("request_not_counted", json!({"error": error.to_string()}));
            Err(Rejection::NotDurable)
        }
    }
}

/// Gives back what [`count_request`] took: the sender is asked to try again.
async fn uncount_request(source: &Compiled, bindings: &Bindings) {
    if source.source.admission.max_requests.is_none() {
        return;
    }
    let give = sql::give_request_back(&source.source.project_id, &source.source.uid);
    let given = async { bindings.events(source.shard())?.run(&give).await };
    if let Err(error) = in_time(DATABASE, ANSWER_WITHIN_MS, given).await {
        log::error("request_not_uncounted", json!({"error": error.to_string()}));
    }
}

/// Keeps a refused request, with what explains it, for the API. It tries many readings of the request, and is a write, so it
/// is done for one request of a source in a while, and for few that are tried in an isolate; those that are passed over are
/// counted.
fn explain(
    source: &Rc<Compiled>,
    cause: &Rejection,
    (arrival, body_bytes): (&Arrival<'_>, Option<u64>),
    now: u64,
    bindings: &Bindings,
    context: &Context,
) {
    if !cause.is_kept() {
        return;
    }
    thread_local! {
        static EXPLAINED: RefCell<(Seldom, Few)> = RefCell::new((
            Seldom::new(EXPLAIN_EVERY_MS, SOURCES_MAX),
            Few::new(DIAGNOSES_MAX, DIAGNOSES_WITHIN_MS),
        ));
    }
    let uid = &source.source.uid;
    let passed_over = EXPLAINED.with_borrow_mut(|(explained, few)| {
        if cause.is_diagnosed() {
            explained.is_due_among(few, uid, now)
        } else {
            explained.is_due(uid, now)
        }
    });
    let Some(passed_over) = passed_over else { return };
    let findings = source.diagnose(cause, arrival, now);
    // What they say is for the API: it may quote the request.
    log::info("diagnosis", json!({"source_id": uid, "findings": findings.len()}));
    let doc = source.rejected(cause, (arrival, body_bytes), &findings, passed_over, now);
    let (project, shard) = (source.source.project_id.clone(), source.shard());
    let (uid, bindings) = (uid.clone(), bindings.clone());
    context.wait_until(async move {
        let statement = sql::keep_rejection(&project, &uid, now, doc);
        let kept = async { bindings.events(shard)?.run(&statement).await };
        if let Err(error) = kept.await {
            log::error("rejection_not_kept", json!({"source_id": uid, "error": error.to_string()}));
        }
    });
}

/// Milliseconds between two diagnoses for one source in one isolate.
const EXPLAIN_EVERY_MS: u64 = 5_000;
const SOURCES_MAX: usize = 1_000;
/// Diagnoses of all sources in one isolate, in so many milliseconds. The longest takes some 30 ms, in which nobody else is served.
const DIAGNOSES_MAX: u64 = 4;
const DIAGNOSES_WITHIN_MS: u64 = 1_000;

/// Makes an event durable by the configured way, or else by the other. When this returns `Ok`, the event survives the
/// death of every process; a large body is in R2 before anything points at it. `read`: its body as the runtime has it.
async fn make_durable(
    envelope: Envelope,
    read: Option<&Uint8Array>,
    bindings: &Bindings,
) -> Result<Way, Rejection> {
    let envelope = store_body(envelope, &Patience::once(STORE), bindings).await?;
    for &way in bindings.settings.ways(|way| rests(way, envelope.meta.shard)) {
        let of = (way, envelope.meta.shard);
        let written = match way {
            Way::Queue => watched(of, send(bindings, &envelope, read)).await,
            Way::Journal => watched(of, append(bindings, &envelope)).await,
        };
        match written {
            Ok(()) => return Ok(way),
            Err(error) => {
                let fields = json!({"event_id": envelope.meta.event_id, "way": way.name(), "error": error.to_string()});
                log::error("not_durable_this_way", fields);
            }
        }
    }
    Err(Rejection::NotDurable)
}

/// Puts a body that is too large for a message into R2.
async fn store_body(
    mut envelope: Envelope,
    store: &Patience,
    bindings: &Bindings,
) -> Result<Envelope, Rejection> {
    if needs_store(&envelope)
        && let Body::Inline(body) = envelope.body
    {
        let key = body_key(&envelope.meta.project_id, &envelope.meta.event_id);
        let len = body.len() as u64;
        let put = async { bindings.bodies()?.put(&key, body).execute().await };
        store.wait(PUT_WITHIN_MS, put).await.map_err(|error| {
            log::error(
                "body_not_stored",
                json!({"event_id": envelope.meta.event_id, "error": error.to_string()}),
            );
            Rejection::NotDurable
        })?;
        envelope.body = Body::Stored { key, len };
    }
    Ok(envelope)
}

/// Bytes that one `sendBatch` carries: 256 KB, less what is added to each.
const SEND_MAX_BYTES: usize = 240_000;

/// What becomes of the events behind one that cannot be made durable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// They are not made durable either: they come again behind it.
    Kept,
    Free,
}

/// Makes many events of one shard durable, and rings. Says of each whether it is; those that came together may share a
/// fate.
pub(crate) async fn make_all_durable(
    mut envelopes: Vec<Envelope>,
    order: Order,
    bindings: &Bindings,
    context: &Context,
) -> Vec<Result<(), Rejection>> {
    let Some(shard) = envelopes.first().map(|one| one.meta.shard) else { return Vec::new() };
    if envelopes.len() == 1
        && let Some(alone) = envelopes.pop()
    {
        let done = make_durable(alone, None, bindings).await;
        if done == Ok(Way::Journal) {
            bell::ring_router(shard, bindings, context);
        }
        return vec![done.map(|_| ())];
    }
    let mut done = vec![Err(Rejection::NotDurable); envelopes.len()];
    let mut waiting = Vec::with_capacity(envelopes.len());
    let store = Patience::once(STORE);
    for (place, envelope) in envelopes.into_iter().enumerate() {
        match store_body(envelope, &store, bindings).await {
            Ok(ready) => waiting.push((place, ready)),
            Err(_) if order == Order::Kept => break,
            Err(_) => {}
        }
    }
    for &way in bindings.settings.ways(|way| rests(way, shard)) {
        let written = match way {
            Way::Queue => send_all(shard, &waiting, bindings).await,
            Way::Journal => {
                append_all(shard, waiting.iter().map(|(_, envelope)| envelope), bindings).await
            }
        };
        if way == Way::Journal && written.contains(&true) {
            bell::ring_router(shard, bindings, context);
        }
        let mut written = written.into_iter();
        waiting.retain(|(place, _)| {
            let is_written = written.next().unwrap_or(false);
            if is_written && let Some(done) = done.get_mut(*place) {
                *done = Ok(());
            }
            !is_written
        });
        if waiting.is_empty() {
            break;
        }
    }
    done
}

fn not_written(way: Way, events: usize, error: &worker::Error) {
    let fields = json!({"events": events, "way": way.name(), "error": error.to_string()});
    log::error("not_durable_this_way", fields);
}

/// Sends envelopes of one shard in order, in as few messages and batches as the queue allows, and says of each whether it was
/// sent. After the first failure nothing is sent, and nothing is said of the rest.
async fn send_all(shard: u32, envelopes: &[(usize, Envelope)], bindings: &Bindings) -> Vec<bool> {
    let mut sent = Vec::with_capacity(envelopes.len());
    let queue = Patience::once("the queue");
    let mut rest = envelopes.iter().map(|(_, envelope)| envelope).peekable();
    let packed = std::iter::from_fn(|| {
        let mut message = Message::default();
        while rest.next_if(|next| message.push(next)).is_some() {}
        (!message.is_empty()).then_some(message)
    });
    let mut packed = packed.peekable();
    while packed.peek().is_some() {
        let (mut messages, mut bytes, mut count) = (Vec::<SendMessage<JsValue>>::new(), 0, 0);
        while let Some(next) = packed.next_if(|next| {
            messages.is_empty()
                || (messages.len() < SEND_BATCH_MAX && bytes + next.bytes().len() <= SEND_MAX_BYTES)
        }) {
            bytes += next.bytes().len();
            count += next.len();
            let message = RawMessageBuilder::new(Uint8Array::from(next.bytes()).into());
            messages.push(message.build_with_content_type(QueueContentType::V8));
        }
        let batch = BatchMessageBuilder::new().messages(messages).build();
        let done = async { bindings.ingest_queue(shard)?.send_raw_batch(batch).await };
        let done = watched((Way::Queue, shard), queue.wait(WRITE_WITHIN_MS, done)).await;
        let done = done.inspect_err(|error| not_written(Way::Queue, count, error));
        sent.resize(sent.len() + count, done.is_ok());
        if done.is_err() {
            break; // What comes after it is not to be there before it.
        }
    }
    sent
}

/// Appends envelopes to a journal in order, in as few rows as there can be, and says of each whether it was appended. After the
/// first failure nothing is appended, and nothing is said of the rest.
pub(crate) async fn append_all(
    shard: u32,
    envelopes: impl Iterator<Item = &Envelope>,
    bindings: &Bindings,
) -> Vec<bool> {
    let mut appended = Vec::new();
    let journal = Patience::once("the journal");
    let mut rest = envelopes.peekable();
    while rest.peek().is_some() {
        let mut pack = Pack::default();
        while rest.next_if(|next| pack.push(next)).is_some() {}
        let count = pack.len();
        let (meta, body) = pack.into_row();
        let done = append_row(shard, &meta, &body, bindings);
        let done = watched((Way::Journal, shard), journal.wait(WRITE_WITHIN_MS, done)).await;
        let done = done.inspect_err(|error| not_written(Way::Journal, count, error));
        appended.resize(appended.len() + count, done.is_ok());
        if done.is_err() {
            break;
        }
    }
    appended
}

async fn append_row(
    shard: u32,
    meta: &str,
    body: &Text<'_>,
    bindings: &Bindings,
) -> worker::Result<()> {
    let sql = Journal::at(chance::now_ms()).append_sql();
    bindings.insert(shard, sql, meta, &body.text, body.is_base64).await
}

async fn send(
    bindings: &Bindings,
    envelope: &Envelope,
    read: Option<&Uint8Array>,
) -> worker::Result<()> {
    // What is in R2 is not in the message.
    let read = read.filter(|_| matches!(envelope.body, Body::Inline(_)));
    bindings
        .send_ingest(envelope.meta.shard, &envelope.encode_head(), envelope.inline(), read)
        .await
}

pub(crate) async fn append(bindings: &Bindings, envelope: &Envelope) -> worker::Result<()> {
    let (meta, body) = envelope.to_row();
    append_row(envelope.meta.shard, &meta, &body, bindings).await
}
