//! The dispatcher: leases deliveries, calls endpoints, records what they said.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use futures_util::{StreamExt, pin_mut};
use inlet_gateway::deliver::{
    Answered, Attempt, BELL_DELAY_MAX_MS, Call, Delivery, EARLY_MS, LEASE_MS, Outgoing,
    RESPONSE_MAX_BYTES, Settled, Status, Undeliverable, settle,
};
use inlet_gateway::endpoint::Endpoint;
use inlet_gateway::event::StoredEvent;
use inlet_gateway::meta_event::is_told;
use inlet_gateway::project::Project;
use inlet_gateway::route::{Bell, bells};
use inlet_gateway::sql::{self, Statement};
use js_sys::Uint8Array;
use serde::Deserialize;
use serde_json::{Value, json};
use wasm_bindgen::JsValue;
use worker::{
    AbortController, Context, Delay, Fetch, Headers, MessageBatch, MessageExt, Method, Request,
    RequestInit, RequestRedirect, Response, Result,
};

use crate::bindings::Bindings;
use crate::body::{self, Share};
use crate::router::Waiting;
use crate::store::{Store, rows};
use crate::{bell, chance, log, meta_events, router};

/// Bells that an isolate answers in the background at once; past that, the queue waits.
const BACKGROUND_MAX: usize = 512;
const RECORD_TRIES: u32 = 5;
const RECORD_PAUSE: Duration = Duration::from_millis(500);

thread_local! {
    static IN_BACKGROUND: Cell<usize> = const { Cell::new(0) };
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
        let bell: Bell = match serde_json::from_str(&text) {
            Ok(bell) => bell,
            Err(error) => {
                let buried =
                    router::bury("bell", &error.to_string(), text.as_bytes(), bindings).await;
                router::settle(&message, buried.is_ok(), bindings.settings.retry_s);
                continue;
            }
        };
        if bindings.settings.local_queue && IN_BACKGROUND.get() < BACKGROUND_MAX {
            let place = Place::take();
            message.ack();
            let bindings = bindings.clone();
            context.wait_until(async move {
                report(&bell, dispatch(&bell, &bindings).await);
                drop(place);
            });
        } else {
            here.push(async move {
                let done = dispatch(&bell, bindings).await;
                router::settle(&message, done.is_ok(), bindings.settings.retry_s);
                report(&bell, done);
            });
        }
    }
    join_all(here).await;
}

/// One of the places in the background, given back even when its invocation is cut off.
struct Place;

impl Place {
    fn take() -> Self {
        IN_BACKGROUND.set(IN_BACKGROUND.get() + 1);
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        IN_BACKGROUND.set(IN_BACKGROUND.get().saturating_sub(1));
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
    let events = bindings.events(bell.shard)?;
    let ids = json!(bell.deliveries);
    let now = chance::now_ms();
    let statements = [
        sql::held(ids.clone(), now),
        sql::lease(ids.clone(), now, now + LEASE_MS),
        sql::events_of(ids),
    ];
    let results = events.batch(&statements).await?;
    let [held, leased, stored] = results.as_slice() else {
        return Err(worker::Error::RustError(
            "a batch of three has another number of results".into(),
        ));
    };
    let held: Vec<Waiting> = rows(held)?;
    let deliveries: Vec<Delivery> = rows(leased)?;
    let stored: Vec<StoredEvent> = rows(stored)?;
    // Its dispatcher may be dead, and this message may be the last that knows of it.
    ring_later(bell.shard, held.into_iter().map(Waiting::into_parts).collect(), bindings).await?;
    if deliveries.is_empty() {
        return Ok(());
    }
    let stored: HashMap<String, StoredEvent> =
        stored.into_iter().map(|event| (event.id.clone(), event)).collect();
    let endpoints = endpoints(&deliveries, bindings).await?;

    let lease_until = now + LEASE_MS;
    let attempted = deliveries.iter().map(|delivery| async {
        let to = endpoints.get(&delivery.endpoint_id);
        let done = attempt(delivery, stored.get(&delivery.event_id), to, bindings).await?;
        let project = to.map(|(_, project)| project);
        // At once: what is not written down is called again, and another call of this bell may take a minute yet.
        match record(&events, delivery, project, done, lease_until, bindings).await {
            Ok(settled) => Some(settled),
            Err(error) => {
                log::error(
                    "not_recorded",
                    json!({"delivery_id": delivery.id, "error": error.to_string()}),
                );
                None
            }
        }
    });
    let attempted: Vec<Option<Settled>> = join_all(attempted).await;

    let not_attempted = deliveries.iter().zip(&attempted).filter(|(_, done)| done.is_none());
    let not_attempted = not_attempted.map(|(delivery, _)| {
        (delivery.project_id.clone(), delivery.id.clone(), delivery.endpoint_id.clone())
    });
    ring_later(bell.shard, not_attempted.collect(), bindings).await?;
    if endpoints.values().any(|(_, project)| is_told(project)) {
        // Should it be lost: journals are drained by the sweep.
        bell::send_drain(bell.shard, bindings).await.unwrap_or_default();
    }
    for (delivery, done) in deliveries.iter().zip(&attempted) {
        if let Some(Settled { due_at: Some(due_at), .. }) = done {
            let pause = due_at.saturating_sub(chance::now_ms());
            if pause <= BELL_DELAY_MAX_MS {
                let again = Bell {
                    shard: bell.shard,
                    deliveries: vec![(delivery.project_id.clone(), delivery.id.clone())],
                };
                // Should it be lost: a retry is watched by the sweep.
                bell::ring_dispatcher(&[again], pause, bindings).await.unwrap_or_default();
            }
        }
    }
    Ok(())
}

/// Rings again when the lease that is held now has run out.
async fn ring_later(
    shard: u32,
    waiting: Vec<(String, String, String)>,
    bindings: &Bindings,
) -> Result<()> {
    bell::ring_dispatcher(&bells(shard, waiting), LEASE_MS + EARLY_MS, bindings).await
}

/// Writes down what became of a delivery. It is worth some patience: what is not written is called again. What the
/// endpoint said is left out if the store does not take it.
async fn record(
    events: &Store,
    delivery: &Delivery,
    project: Option<&Project>,
    mut done: Done,
    lease_until: u64,
    bindings: &Bindings,
) -> Result<Settled> {
    let mut tries = 0;
    loop {
        tries += 1;
        let (settled, attempt) = (&done.settled, done.attempt.as_ref());
        let mut statements: Vec<Statement> = project
            .and_then(|one| meta_events::of_delivery(one, delivery, settled, attempt, lease_until))
            .into_iter()
            .collect();
        statements.extend(sql::record(json!([done.row(delivery, lease_until, bindings)])));
        let Err(error) = events.batch(&statements).await else { return Ok(done.settled) };
        log::error(
            "not_recorded_yet",
            json!({"delivery_id": delivery.id, "error": error.to_string()}),
        );
        if tries == RECORD_TRIES {
            return Err(error);
        }
        done.attempt = done.attempt.map(Attempt::without_response);
        Delay::from(RECORD_PAUSE).await;
    }
}

/// What became of one delivery.
struct Done {
    settled: Settled,
    attempt: Option<Attempt>,
}

impl Done {
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

async fn endpoints(
    deliveries: &[Delivery],
    bindings: &Bindings,
) -> Result<HashMap<String, (Endpoint, Project)>> {
    #[derive(Deserialize)]
    struct Row {
        endpoint: String,
        project: String,
    }
    let mut ids: Vec<(&str, &str)> = deliveries
        .iter()
        .map(|delivery| (delivery.project_id.as_str(), delivery.endpoint_id.as_str()))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let rows: Vec<Row> = bindings.db()?.rows(&sql::endpoints_of(&ids)).await?;
    let mut found = HashMap::new();
    for row in rows {
        let endpoint: Endpoint = serde_json::from_str(&row.endpoint)?;
        let project: Project = serde_json::from_str(&row.project)?;
        found.insert(endpoint.uid.clone(), (endpoint, project));
    }
    for (endpoint, project) in meta_events::receivers(deliveries, bindings).await? {
        found.insert(endpoint.uid.clone(), (endpoint, project));
    }
    Ok(found)
}

/// Makes one attempt. `None` when our own stores failed: the lease runs out, and the delivery is taken up again.
async fn attempt(
    delivery: &Delivery,
    event: Option<&StoredEvent>,
    to: Option<&(Endpoint, Project)>,
    bindings: &Bindings,
) -> Option<Done> {
    let ended = |why: Undeliverable| {
        let settled = why.settled();
        dead(delivery, &settled);
        Some(Done { settled, attempt: None })
    };
    let Some((endpoint, project)) = to else { return ended(Undeliverable::EndpointGone) };
    let Some(event) = event else { return ended(Undeliverable::BodyGone) };
    // The lease began before this, and has to outlive the call.
    let wait_until = chance::now_ms() + LEASE_MS / 6;
    let (body, _share) = match body_of(event, wait_until, bindings).await {
        Ok(Some(body)) => body,
        Ok(None) => return ended(Undeliverable::BodyGone),
        Err(error) => {
            log::error(
                "body_unreadable",
                json!({"event_id": event.id, "error": error.to_string()}),
            );
            return None;
        }
    };
    let secrets =
        match bindings.vault().and_then(|vault| endpoint.open_secrets(&vault, chance::now_ms())) {
            Ok(secrets) => secrets,
            Err(error) => {
                log::error(
                    "secrets_unreadable",
                    json!({"endpoint_id": endpoint.uid, "error": error.to_string()}),
                );
                return None;
            }
        };
    let requested_at = chance::now_ms();
    let outgoing = Outgoing {
        delivery,
        event,
        body: &body,
        endpoint,
        secrets: &secrets,
        config: &project.config,
    };
    let call = match outgoing.call(bindings.settings.allow_private_endpoints, requested_at) {
        Ok(call) => call,
        Err(why) => return ended(why),
    };
    let answered = make(&call, &body).await;
    let now = chance::now_ms();
    let n = delivery.attempts + 1;
    let settled =
        settle(&answered, n, delivery.mode(), &project.config.strategy, now, chance::jitter());
    let record = Attempt::new(chance::uid(now), n, &call, &answered, requested_at, now);
    let fields = || {
        json!({
            "event_id": delivery.event_id, "delivery_id": delivery.id, "endpoint_id": delivery.endpoint_id, "attempt": n,
            "http_status": record.http_status, "error": record.error, "status": settled.status.name(),
            "latency_ms": now.saturating_sub(requested_at),
        })
    };
    if settled.status == Status::Success {
        log::debug("delivered", fields);
    } else {
        log::info("attempt_failed", fields());
    }
    if settled.status == Status::Failure {
        dead(delivery, &settled);
    }
    Some(Done { settled, attempt: Some(record) })
}

fn dead(delivery: &Delivery, settled: &Settled) {
    let fields = json!({"event_id": delivery.event_id, "delivery_id": delivery.id, "status": settled.status.name(),
        "reason": settled.description});
    log::info("dead_letter", fields);
}

/// The bytes of an event. `None` when its R2 object is gone. A large body waits for memory until `deadline_ms`.
pub(crate) async fn body_of(
    event: &StoredEvent,
    deadline_ms: u64,
    bindings: &Bindings,
) -> Result<Option<(Vec<u8>, Option<Share>)>> {
    let key = match event.inline_body() {
        Ok(body) => return Ok(Some((body, None))),
        Err(key) => key,
    };
    let Some(object) = bindings.bodies()?.get(key).execute().await? else { return Ok(None) };
    let share = body::share_until(object.size(), deadline_ms).await;
    let share =
        share.ok_or_else(|| worker::Error::RustError("no memory for the body right now".into()))?;
    match object.body() {
        Some(body) => Ok(Some((body.bytes().await?, Some(share)))),
        None => Ok(None),
    }
}

/// Makes a call. Whatever goes wrong is an answer too. The status decides, so a body that does not end in time is cut.
async fn make(call: &Call, body: &[u8]) -> Answered {
    let controller = AbortController::default();
    let signal = controller.signal();
    let timeout = Delay::from(Duration::from_millis(call.timeout_ms));
    let answer = fetch(call, body, &signal);
    pin_mut!(answer, timeout);
    let mut response = match select(answer, &mut timeout).await {
        Either::Left((Ok(response), _)) => response,
        Either::Left((Err(error), _)) => return Answered::Nothing { error: error.to_string() },
        Either::Right(((), _)) => {
            controller.abort();
            return Answered::Nothing {
                error: format!("no answer within {} s", call.timeout_ms / 1000),
            };
        }
    };
    let headers = response.headers().entries().collect();
    let status = response.status_code();
    let kept = RefCell::new(Vec::new());
    let reading = read(&mut response, &kept);
    pin_mut!(reading);
    if let Either::Right(_) = select(reading, timeout).await {
        controller.abort();
    }
    Answered::Response { status, headers, body: kept.take() }
}

async fn fetch(call: &Call, body: &[u8], signal: &worker::AbortSignal) -> Result<Response> {
    let headers = Headers::new();
    for (name, value) in &call.headers {
        headers.set(name, value)?;
    }
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(headers)
        .with_redirect(RequestRedirect::Manual)
        .with_body(Some(Uint8Array::from(body).into()));
    let request = Request::new_with_init(&call.url, &init)?;
    Fetch::Request(request).send_with_signal(signal).await
}

/// Reads an answer's body into `kept`, as much of it as is kept.
async fn read(response: &mut Response, kept: &RefCell<Vec<u8>>) {
    let Ok(mut stream) = response.stream() else { return };
    while let Some(Ok(chunk)) = stream.next().await {
        let mut kept = kept.borrow_mut();
        let room = RESPONSE_MAX_BYTES.saturating_sub(kept.len());
        kept.extend(chunk.into_iter().take(room));
        if kept.len() == RESPONSE_MAX_BYTES {
            return;
        }
    }
}
