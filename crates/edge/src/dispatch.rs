//! The dispatcher: leases deliveries, calls endpoints, records what they said.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use inlet_gateway::alert;
use inlet_gateway::auth::Credential;
use inlet_gateway::breaker::used_up;
use inlet_gateway::deliver::{
    Answered, Attempt, Call, Delivery, Outgoing, Settled, Status, Undeliverable, begin, body_for,
    in_lease, settle,
};
use inlet_gateway::endpoint::Endpoint;
use inlet_gateway::event::StoredEvent;
use inlet_gateway::json;
use inlet_gateway::log_line;
use inlet_gateway::meta_event::is_told;
use inlet_gateway::receiver::Receiver;
use inlet_gateway::room::Places;
use inlet_gateway::route::Bell;
use inlet_gateway::sql::{self, Leased, Statement};
use inlet_gateway::vault::VaultError;
use inlet_verify::Secret;
use js_sys::Uint8Array;
use serde_json::{Value, json};
use wasm_bindgen::JsValue;
use worker::{Context, D1Result, Delay, MessageBatch, MessageExt, Result};

use crate::bindings::Bindings;
use crate::bodies::{self, Asker, Found, Loan};
use crate::hold::{self, Lease, Taken};
use crate::making::{Made, made};
use crate::store::{Store, count_of};
use crate::token::{self, Client};
use crate::{alerts, bell, calling, chance, log, meta_events, router};

/// Bells that an isolate answers in the background at once.
const BACKGROUND_MAX: usize = 512;
/// After how many seconds a bell rings again for which there was no place.
const NO_PLACE_RETRY_S: u32 = 1;
/// How long a delivery waits for memory for its body: as long as a quick endpoint takes for those before it. Then it gives its
/// lease back, and comes again.
const ROOM_WAIT_MS: u64 = 1_000;
const RECORD_TRIES: u32 = 5;
const RECORD_PAUSE: Duration = Duration::from_millis(500);

thread_local! {
    static BACKGROUND: RefCell<Places> = RefCell::new(Places::new(BACKGROUND_MAX));
}

/// Answers a batch of bells. A message is acknowledged when its deliveries are settled, or rung for again; with local
/// queues at once, because there the outbox watches.
pub(crate) async fn dispatch_batch(
    batch: &MessageBatch<JsValue>,
    bindings: &Bindings,
    context: &Context,
) {
    let mut here = Vec::new();
    for message in batch.raw_iter() {
        let text = message.body().as_string().unwrap_or_default();
        let bell: Bell = match json::read(&text) {
            Ok(bell) => bell,
            Err(error) => {
                let at = ("delivery queue", &*message.id());
                let buried = router::bury(at, &error.to_string(), text.as_bytes(), bindings).await;
                router::ack_or_retry(&message, buried.is_ok(), bindings.settings.retry_s);
                continue;
            }
        };
        if !bindings.settings.local_queue {
            here.push(async move {
                let done = dispatch(&bell, bindings).await;
                router::ack_or_retry(&message, done.is_ok(), bindings.settings.retry_s);
                report(&bell, done);
            });
        } else if let Some(place) = Place::take(&bell.endpoint_id) {
            message.ack();
            let bindings = bindings.clone();
            context.wait_until(async move {
                report(&bell, dispatch(&bell, &bindings).await);
                drop(place);
            });
        } else {
            // Whoever waited here would hold up the bells of all others: this queue runs one consumer at a time.
            router::ack_or_retry(&message, false, NO_PLACE_RETRY_S);
        }
    }
    join_all(here).await;
}

/// A place for a call in the background, given back even when its invocation is cut off.
pub(crate) struct Place(String);

impl Place {
    pub(crate) fn take(endpoint_id: &str) -> Option<Self> {
        let is_free = BACKGROUND.with_borrow_mut(|places| places.take(endpoint_id));
        is_free.then(|| Self(endpoint_id.to_owned()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        BACKGROUND.with_borrow_mut(|places| places.give_back(&self.0));
    }
}

fn report(bell: &Bell, done: Result<()>) {
    if let Err(error) = done {
        log::error(
            "not_dispatched",
            json!({"deliveries": bell.deliveries, "error": error.to_string()}),
        );
    }
}

/// Reads, calls, records: the deliveries of one bell side by side.
async fn dispatch(bell: &Bell, bindings: &Bindings) -> Result<()> {
    let Some((project_id, _)) = bell.deliveries.first() else { return Ok(()) };
    let to = hold::receiver(project_id, &bell.endpoint_id, bindings).await?;
    let taken = hold::take(bell, to.as_ref(), bindings).await?;
    call(&bell.endpoint_id, to, taken, bindings).await
}

/// Calls an endpoint for what was leased, side by side, and records what came of it.
pub(crate) async fn call(
    endpoint_id: &str,
    to: Option<Receiver>,
    taken: Taken,
    bindings: &Bindings,
) -> Result<()> {
    let Taken { deliveries, events, lease, others } = taken;
    if deliveries.is_empty() {
        return others;
    }
    let to = match to {
        Some(to) => Some(hold::learn(to, &deliveries, bindings).await),
        None => None,
    };
    let events = of_each(&deliveries, events);

    // Once for all of them: a token has to be fetched.
    let identity = match &to {
        None => Ok(Identity::None),
        Some(to) => identity(&to.endpoint, None, bindings).await,
    };
    if let Err(error) = &identity {
        let fields = json!({"endpoint_id": endpoint_id, "error": error.to_string()});
        log::error("authentication_unreadable", fields);
    }
    let store = bindings.events(lease.shard)?;
    let attempted = deliveries.iter().zip(events).map(|(delivery, event)| async {
        let begun = begin(delivery, deliveries.len(), event, to.as_ref().map(|to| &to.endpoint));
        let identity = identity.as_ref().ok();
        let done = attempt(delivery, begun, to.as_ref(), identity, lease, bindings).await;
        // At once: what is not written down is called again, and another call of this bell may take a minute yet.
        match record(&store, delivery, done, lease.until, to.as_ref(), bindings).await {
            Ok(settled) => {
                ring_again(lease.shard, delivery, &settled, bindings).await;
                true
            }
            Err(error) => {
                log::error(
                    "not_recorded",
                    json!({"delivery_id": delivery.id, "error": error.to_string()}),
                );
                false
            }
        }
    });
    let recorded: Vec<bool> = join_all(attempted).await;

    let unrecorded = deliveries.iter().zip(recorded).filter(|(_, is_recorded)| !is_recorded);
    let unrecorded = unrecorded.map(|(delivery, _)| delivery.into());
    hold::ring_later(lease.shard, unrecorded.collect(), bindings).await?;
    if to.as_ref().is_some_and(|to| is_told(&to.project)) {
        // Should it be lost: journals are drained by the sweep.
        bell::send_drain(lease.shard, bindings).await.unwrap_or_default();
    }
    others
}

/// The event of each delivery, which is its own: its body goes with its call.
fn of_each(deliveries: &[Delivery], events: Vec<StoredEvent>) -> Vec<Option<StoredEvent>> {
    let mut events: HashMap<String, StoredEvent> =
        events.into_iter().map(|event| (event.id.clone(), event)).collect();
    let mut rest = deliveries.iter();
    let mut own = Vec::with_capacity(deliveries.len());
    while let Some(Delivery { event_id, .. }) = rest.next() {
        let is_wanted_again = rest.clone().any(|other| other.event_id == *event_id);
        own.push(if is_wanted_again {
            events.get(event_id).cloned()
        } else {
            events.remove(event_id)
        });
    }
    own
}

/// Rings for a delivery that is to be tried again. Should the bell be lost: a retry is watched by the sweep.
async fn ring_again(shard: u32, delivery: &Delivery, settled: &Settled, bindings: &Bindings) {
    let Some(pause) = settled.rings_in(chance::now_ms()) else { return };
    let again = Bell {
        shard,
        endpoint_id: delivery.endpoint_id.clone(),
        deliveries: vec![(delivery.project_id.clone(), delivery.id.clone())],
    };
    bell::ring_dispatcher(&[again], pause, bindings).await.unwrap_or_default();
}

/// Writes down what became of a delivery. It is worth some patience: what is not written is called again. What the
/// endpoint said is left out if the store does not take it.
async fn record(
    events: &Store,
    delivery: &Delivery,
    mut done: Done,
    lease_until: u64,
    to: Option<&Receiver>,
    bindings: &Bindings,
) -> Result<Settled> {
    let mut tries = 0;
    let mut counted_at = chance::now_ms();
    let leased =
        Leased { project_id: &delivery.project_id, delivery_id: &delivery.id, until: lease_until };
    let (counted, alert, is_ours) = loop {
        tries += 1;
        let (settled, attempt) = (&done.settled, done.attempt.as_ref());
        let told = to.and_then(|to| {
            meta_events::of_delivery(&to.project, delivery, settled, attempt, lease_until)
        });
        let mut statements: Vec<Statement> = told.into_iter().collect();
        counted_at = counted_at.max(chance::now_ms());
        let counts = count_call(&done, to, leased, counted_at);
        let counted = (!counts.is_empty()).then_some(statements.len() + counts.len() - 1);
        statements.extend(counts);
        let alert = done.failure.as_ref();
        let alert = alert.and_then(|_| alerts::count(delivery, leased, to, counted_at));
        let alerted = alert.is_some().then_some(statements.len());
        statements.extend(alert);
        statements.extend(sql::record(json!([done.row(delivery, lease_until, bindings)])));
        let written = statements.len() - 1;
        if let Some(attempt) = attempt.filter(|_| 1 < tries) {
            // The record before this may have been written, and only its answer lost.
            statements.push(sql::recorded(&delivery.project_id, &delivery.id, &attempt.uid));
        }
        let error = match events.batch(&statements).await {
            Ok(results) => {
                let mut ours = results.iter().skip(written);
                let is_ours = ours.any(|result| 0 < count_of(Some(result)).unwrap_or_default());
                let mut results: Vec<_> = results.into_iter().map(Some).collect();
                let mut take = |at: Option<usize>| results.get_mut(at?).and_then(Option::take);
                break (take(counted), take(alerted), is_ours);
            }
            Err(error) => error,
        };
        log::error(
            "not_recorded_yet",
            json!({"delivery_id": delivery.id, "error": error.to_string()}),
        );
        if tries == RECORD_TRIES {
            return Err(error);
        }
        done.attempt = done.attempt.map(Attempt::without_response);
        Delay::from(RECORD_PAUSE).await;
    };
    // What another has taken over is the other's, with all that follows from it.
    let to = to.filter(|_| is_ours);
    if let (Some(alert), Some(said), Some(to)) = (&alert, &done.failure, to)
        && let Err(error) = alerts::follow(delivery, said, to, alert, bindings).await
    {
        let fields = json!({"delivery_id": delivery.id, "error": error.to_string()});
        log::error("not_alerted", fields);
    }
    let to = to.filter(|_| done.is_endpoints);
    if let Err(error) = follow(delivery, &done.settled, to, counted, counted_at, bindings).await {
        // The delivery is settled all the same.
        let fields = json!({"endpoint_id": delivery.endpoint_id, "error": error.to_string()});
        log::error("not_followed", fields);
    }
    Ok(done.settled)
}

/// What the endpoint's breaker counts of an attempt.
fn count_call(done: &Done, to: Option<&Receiver>, leased: Leased<'_>, now: u64) -> Vec<Statement> {
    let (Some(attempt), Some(to)) = (&done.attempt, to) else { return Vec::new() };
    let config = &to.project.config.circuit_breaker;
    if !config.enabled || !done.is_endpoints {
        return Vec::new();
    }
    let (project_id, endpoint_id) = (&to.project.uid, &to.endpoint.uid);
    sql::count_call(project_id, endpoint_id, leased, &attempt.outcome(), config, now)
}

/// Does what follows from a delivery that is settled, for others than itself.
async fn follow(
    delivery: &Delivery,
    settled: &Settled,
    to: Option<&Receiver>,
    counted: Option<D1Result>,
    counted_at: u64,
    bindings: &Bindings,
) -> Result<()> {
    if matches!(settled.status, Status::Failure | Status::Discarded) {
        log::info(
            "dead_letter",
            json!({"event_id": delivery.event_id, "delivery_id": delivery.id, "status": settled.status.name()}),
        );
    }
    let Some(to) = to else { return Ok(()) };
    if to.project.config.circuit_breaker.enabled {
        hold::follow_breaker(to, counted.as_ref(), counted_at, bindings).await?;
    }
    let is_wanted = to.project.config.disable_endpoint;
    if let Some(reason) = used_up(is_wanted, &delivery.id, delivery.attempts + 1, settled) {
        hold::disable(to, &reason, bindings).await?;
    }
    Ok(())
}

/// What became of one delivery.
struct Done {
    settled: Settled,
    attempt: Option<Attempt>,
    /// Whether what happened is the endpoint's doing; a function that fails is not.
    is_endpoints: bool,
    /// What an attempt says that failed.
    failure: Option<String>,
}

impl Done {
    fn without_call(why: &Undeliverable, delivery: &Delivery, now: u64) -> Self {
        Self {
            settled: why.settled(delivery, now),
            attempt: None,
            is_endpoints: false,
            failure: None,
        }
    }

    /// A row of [`sql::record`].
    fn row(&self, delivery: &Delivery, lease_until: u64, bindings: &Bindings) -> Value {
        let Settled { status, description, due_at } = &self.settled;
        let attempt = self.attempt.as_ref().map(|attempt| json!(attempt).to_string());
        let look_at = due_at.map(|due| due + bindings.settings.sweep_after_ms);
        let now = chance::now_ms();
        json!([
            delivery.project_id,
            delivery.id,
            status.name(),
            description,
            attempt,
            due_at,
            look_at,
            now,
            lease_until
        ])
    }
}

/// Makes one attempt. `identity` is `None` when it cannot be read.
async fn attempt(
    delivery: &Delivery,
    begun: std::result::Result<StoredEvent, Undeliverable>,
    to: Option<&Receiver>,
    identity: Option<&Identity>,
    lease: Lease,
    bindings: &Bindings,
) -> Done {
    let called = async {
        let mut event = begun?;
        let to = to.ok_or(Undeliverable::EndpointGone)?;
        let ready = ready(delivery, (&mut event, lease.shard), to, identity, bindings).await?;
        Ok((called(delivery, ready, to, lease.until, bindings).await?, to))
    };
    let called = called.await;
    let now = chance::now_ms();
    let (Called { call, answered, requested_at, is_endpoints }, to) = match called {
        Ok(called) => called,
        Err(why) => return Done::without_call(&why, delivery, now),
    };
    let n = delivery.attempts + 1;
    let strategy = to.strategy(&delivery.subscription_id);
    let settled = settle(&answered, n, delivery.mode(), strategy, now, chance::jitter());
    let record = Attempt::new(chance::uid(now), n, &call, &answered, requested_at, now);
    let fields = || {
        json!({
            "event_id": delivery.event_id, "delivery_id": delivery.id, "endpoint_id": delivery.endpoint_id, "attempt": n,
            "http_status": record.http_status, "why": log_line::of_attempt(&answered, is_endpoints), "status": settled.status.name(),
            "latency_ms": now.saturating_sub(requested_at),
        })
    };
    if settled.status == Status::Success {
        log::debug("delivered", fields);
    } else {
        log::info("attempt_failed", fields());
    }
    let failure = alert::failed(&answered);
    Done { settled, attempt: Some(record), is_endpoints, failure }
}

/// All that has to be fetched for a call.
struct Ready<'a> {
    made: Made<'a>,
    secrets: Vec<Secret>,
    identity: &'a Identity,
    loan: Loan,
}

/// Fetches it, or says why there is no call.
async fn ready<'a>(
    delivery: &Delivery,
    (event, shard): (&'a mut StoredEvent, u32),
    to: &Receiver,
    identity: Option<&'a Identity>,
    bindings: &Bindings,
) -> std::result::Result<Ready<'a>, Undeliverable> {
    let endpoint = &to.endpoint;
    let function = to.function(&delivery.subscription_id)?;
    let identity = identity.ok_or(Undeliverable::NotMade("the endpoint's authentication"))?;
    let (body, mut loan) = body(event, shard, delivery, bindings).await?;
    let made = made(event, body, delivery, function, &bindings.burnt).await;
    let mut made =
        made.ok_or(Undeliverable::NotMade("the result of the subscription's function"))?;
    let form =
        match body_for(endpoint.content_type, made.event.content_type.as_deref(), &made.body)? {
            Cow::Owned(form) => Some(form),
            Cow::Borrowed(_) => None,
        };
    made.body = form.unwrap_or(made.body);
    if !loan.grow(made.body.len() as u64) {
        return Err(Undeliverable::NoRoom);
    }
    let secrets =
        bindings.vault().and_then(|vault| endpoint.open_secrets(&vault, chance::now_ms()));
    let secrets = secrets.map_err(|error| {
        let fields = json!({"endpoint_id": endpoint.uid, "error": error.to_string()});
        log::error("secrets_unreadable", fields);
        Undeliverable::NotMade("the endpoint's secrets")
    })?;
    Ok(Ready { made, secrets, identity, loan })
}

/// The event's body, with memory for it and for the copy that is sent.
async fn body(
    event: &mut StoredEvent,
    shard: u32,
    delivery: &Delivery,
    bindings: &Bindings,
) -> std::result::Result<(Vec<u8>, Loan), Undeliverable> {
    let asker = Asker::delivery(delivery, chance::now_ms() + ROOM_WAIT_MS);
    match bodies::take(event, shard, &asker, bindings).await {
        Ok(Found::Bytes(body, loan)) => Ok((body, loan)),
        Ok(Found::NoRoom) => Err(Undeliverable::NoRoom),
        Ok(Found::Gone | Found::TooLarge(_)) => Err(Undeliverable::BodyGone),
        Err(error) => {
            let fields = json!({"event_id": event.id, "error": error.to_string()});
            log::error("body_unreadable", fields);
            Err(Undeliverable::NotMade("the event's body"))
        }
    }
}

/// A call, and what came of it.
struct Called {
    call: Call,
    answered: Answered,
    requested_at: u64,
    /// Whether what happened is the endpoint's doing; a function that fails is not.
    is_endpoints: bool,
}

async fn called(
    delivery: &Delivery,
    ready: Ready<'_>,
    to: &Receiver,
    lease_ends: u64,
    bindings: &Bindings,
) -> std::result::Result<Called, Undeliverable> {
    let Ready { made, secrets, identity: first, mut loan } = ready;
    let Made { mut body, event, by_function, fault } = made;
    let (endpoint, config) = (&to.endpoint, &to.project.config);
    let is_endpoints = fault.is_none();
    let mut other = None;
    loop {
        let requested_at = chance::now_ms();
        let identity = other.as_ref().unwrap_or(first);
        let credential = match identity {
            Identity::Header(name, value) => Some((name.clone(), value.clone())),
            Identity::Token(value, _) => Some(("authorization".to_owned(), value.clone())),
            Identity::None | Identity::Unavailable(_) => None,
        };
        let credential = credential.as_ref();
        let outgoing = Outgoing {
            delivery,
            event: &event,
            body: &body,
            endpoint,
            secrets: &secrets,
            config,
            is_made: by_function,
            credential,
        };
        let call = outgoing.call(bindings.settings.allow_private_endpoints, requested_at)?;
        let not_called = match (&fault, identity) {
            (Some(fault), _) => Some(fault),
            (None, Identity::Unavailable(why)) => Some(why),
            _ => None,
        };
        if let Some(error) = not_called {
            let answered = Answered::NotCalled { error: error.clone() };
            return Ok(Called { call, answered, requested_at, is_endpoints });
        }
        if other.is_none() {
            in_lease(requested_at, call.timeout_ms, lease_ends)?;
        }
        let sent = Uint8Array::from(body.as_slice());
        // While the call lasts the runtime has the body, and that is enough, if it cannot be wanted once more.
        if !matches!(identity, Identity::Token(_, true)) {
            body = Vec::new();
            loan.give_one_copy_back();
        }
        let answered = calling::make(&call, sent).await;
        // A token that was kept may have been withdrawn: once more, with a new one.
        if let (Identity::Token(refused, true), Answered::Response { status: 401, .. }) =
            (identity, &answered)
            && let Some(new) = identity_again(endpoint, refused, lease_ends, bindings).await
        {
            other = Some(new);
            continue;
        }
        return Ok(Called { call, answered, requested_at, is_endpoints });
    }
}

/// The header of an endpoint's authentication.
enum Identity {
    None,
    Header(String, String),
    /// A token, and whether it is one that was kept.
    Token(String, bool),
    /// There is none to be had, for this reason.
    Unavailable(String),
}

/// Finds out as whom an endpoint is called. `refused`: the token that it has just refused.
async fn identity(
    endpoint: &Endpoint,
    refused: Option<&str>,
    bindings: &Bindings,
) -> std::result::Result<Identity, VaultError> {
    let Some(authentication) = &endpoint.authentication else { return Ok(Identity::None) };
    let vault = bindings.vault()?;
    let opened = authentication.open(&endpoint.project_id, &endpoint.uid, &vault)?;
    let (secret, oauth2) = match (opened, &authentication.oauth2) {
        (Credential::Header { name, value }, _) => return Ok(Identity::Header(name, value)),
        (Credential::Token { client_secret }, Some(oauth2)) => (client_secret, oauth2),
        (Credential::Token { .. }, None) => return Ok(Identity::None),
    };
    let client = Client { oauth2, id: &authentication.name, secret: &secret };
    let of = (endpoint.uid.as_str(), endpoint.updated_at);
    Ok(match token::find(of, client, refused, bindings).await {
        Ok((authorization, is_kept)) => Identity::Token(authorization, is_kept),
        Err(why) => Identity::Unavailable(format!("no OAuth token: {why}")),
    })
}

/// A new token in place of one that was refused, if there is one, and time for another call before `lease_ends`.
async fn identity_again(
    endpoint: &Endpoint,
    refused: &str,
    lease_ends: u64,
    bindings: &Bindings,
) -> Option<Identity> {
    let other = identity(endpoint, Some(refused), bindings).await.ok()?;
    let timeout_ms = endpoint.http_timeout.saturating_mul(1000);
    let has_time = in_lease(chance::now_ms(), timeout_ms, lease_ends).is_ok();
    (has_time && matches!(other, Identity::Token(..))).then_some(other)
}
