//! Routing: from envelopes to events and deliveries, as one batch of statements.
//!
//! Everything in the batch may run twice: a claim that is held by the same event is held, a row that is
//! there stays. So a router that dies is repeated, and nothing happens twice.

use serde_json::json;

mod bells;
mod directory;
mod first_calls;
mod rows;

use bells::BELL_DELIVERIES;
pub use bells::{Bell, Held, Waiting, bells, bells_when_due, crowds};
pub use directory::{
    DIRECTORY_EVENTS, Directory, Gathered, Needs, Owned, SubscriptionRow, directory_len,
};
use directory::{Found, Planned};
use first_calls::Few;
pub use first_calls::{FIRST_CALLS_WAIT_MS, Leased, Slow, Unfinished, are_few, parted};
use rows::Rows;

use crate::sql::{self, Statement};
use crate::tally::Tally;
use crate::wire::{Body, Envelope, Meta, Text};

/// Deliveries that one transaction makes. Its parameters name them; each name is 60 bytes, and D1 takes 2 MB.
pub const FAN_OUT_PART: usize = 5_000;
/// A body longer than this is bound by itself: pulling it out of a JSON text costs more.
const SMALL_BODY_MAX_BYTES: usize = 8_192;

/// A body in the object store is looked into by filters up to this size: as values it takes many times its length.
pub const FILTERED_BODY_MAX_BYTES: u64 = 2 * 1024 * 1024;
/// What one batch reads of such bodies.
pub const FILTERED_BODIES_MAX_BYTES: u64 = 8 * 1024 * 1024;

/// Steps of filters and of reading bodies after which a batch ends: about 0.2 s, and that of the last event. All other requests
/// of the isolate have their turn while it is stored.
const STEPS_MAX: u64 = 4_000_000;

/// What routing a batch of envelopes of one shard comes to: transactions, to be run in this order. Only an event with more than
/// [`FAN_OUT_PART`] deliveries needs more than one. Whoever dies between them runs all of them again.
#[derive(Debug, Default)]
pub struct Routing {
    pub parts: Vec<Part>,
    /// How many of the events, from the first, it holds: at least one. Filters have taken their time with these, and the rest is
    /// for another batch.
    pub count: usize,
    /// Pairs of event and subscription: the filter takes too many steps, so the event does not go there.
    pub stopped: Vec<(String, String)>,
}

/// One transaction. Its last statement gives back which of its deliveries are [`Unfinished`], if there are any.
#[derive(Debug, Default)]
pub struct Part {
    pub statements: Vec<Statement>,
    /// Pairs of project and delivery: all that may have to be dispatched.
    pub deliveries: Vec<(String, String)>,
    few: Option<Few>,
}

/// Plans the batch. `directory` is what [`Needs`] asks for; `outbox_id` is a fresh uid, or `None` when
/// somebody else watches the deliveries until they are dispatched.
pub fn route(
    envelopes: &[Envelope],
    directory: &Directory,
    now_ms: u64,
    outbox_id: Option<&str>,
) -> Routing {
    let mut claims = Rows::default();
    let mut duplicates = Rows::default();
    let mut events = Rows::default();
    let mut large = Vec::new();
    let mut fan_out = FanOut::default();
    let mut stopped = Vec::new();

    let (all, count) = receivers(envelopes, directory);
    let envelopes = envelopes.get(..count).unwrap_or(envelopes);
    for (envelope, found) in envelopes.iter().zip(all) {
        let Envelope { meta, body } = envelope;
        stopped.extend(found.stopped.iter().map(|id| (meta.event_id.clone(), (*id).to_owned())));
        let key = meta.claim.as_ref().map(|claim| claim.key.as_str());
        if let Some(claim) = &meta.claim {
            claims.push(&[
                meta.claim_scope().into(),
                (&claim.key).into(),
                (&meta.event_id).into(),
                meta.received_at.into(),
                meta.claim_until().into(),
                (&meta.project_id).into(),
            ]);
            duplicates.push(&[
                (&meta.project_id).into(),
                (&meta.event_id).into(),
                meta.claim_scope().into(),
                (&claim.key).into(),
                meta.received_at.into(),
                meta.claim_until().into(),
                (&meta.source_id).into(),
            ]);
        }
        let Written { text, body_key, is_bound } = Written::of(body);
        let headers = json!(meta.headers).to_string();
        let verification = meta.verification_json();
        let target = meta.target.as_ref().map(|target| json!(target).to_string());
        let row = [
            (&meta.project_id).into(),
            (&meta.event_id).into(),
            (&meta.source_id).into(),
            (&meta.mask_id).into(),
            (&meta.event_type).into(),
            meta.received_at.into(),
            meta.content_type.as_ref().into(),
            (&headers).into(),
            (&meta.query).into(),
            key.into(),
            text.is_base64.into(),
            body_key.into(),
            found.status().into(),
            (&*found.reason).into(),
            (!is_bound).then_some(&*text.text).into(),
            verification.as_ref().into(),
            target.as_ref().into(),
            meta.broker_message_id.as_ref().into(),
            meta.claim.as_ref().and_then(|claim| claim.scope.as_ref()).into(),
            meta.arrived.as_ref().into(),
            meta.claim_until().into(),
        ];
        if is_bound {
            large.push(sql::insert_events(Rows::of(&row), Some(text.text.into_owned())));
        } else {
            events.push(&row);
        }
        for receiver in found.receivers {
            fan_out.add(meta, &receiver, now_ms, None);
        }
    }

    // Claims come first: which events are inserted depends on them, and which deliveries on the events.
    let mut statements = claims.clone().statements(sql::keep_claims);
    statements.extend(claims.clone().statements(sql::claim));
    statements.extend(claims.statements(sql::claim_late));
    let counts = counts(envelopes).statements(sql::count_events);
    let count_at = (counts.len() == 1).then_some(statements.len());
    statements.extend(counts);
    statements.extend(verdicts(envelopes).statements(sql::count_verdicts));
    statements.extend(events.statements(|rows| sql::insert_events(rows, None)));
    statements.extend(large);
    statements.extend(duplicates.clone().statements(sql::give_back_requests));
    statements.extend(duplicates.statements(sql::insert_duplicates));
    let mut routing = Routing { count, stopped, ..fan_out.after(statements, outbox_id, now_ms) };
    if let Some(few) = routing.parts.first_mut().and_then(|part| part.few.as_mut()) {
        few.count_at = count_at;
    }
    routing
}

/// To whom events go, from the first on, until the steps are used up; and of how many.
fn receivers<'a>(envelopes: &'a [Envelope], directory: &'a Directory) -> (Vec<Found<'a>>, usize) {
    let mut steps = 0;
    let mut all = Vec::with_capacity(envelopes.len());
    for envelope in envelopes {
        if STEPS_MAX <= steps {
            break;
        }
        let found = directory.receivers(envelope);
        steps += found.steps;
        all.push(found);
    }
    let count = all.len();
    (all, count)
}

/// A body as it is written into a row.
struct Written<'a> {
    text: Text<'a>,
    body_key: Option<&'a str>,
    /// Whether the text is bound by itself.
    is_bound: bool,
}

impl<'a> Written<'a> {
    fn of(body: &'a Body) -> Self {
        let (text, body_key) = match body {
            Body::Inline(bytes) => (Text::from_bytes(bytes), None),
            Body::Stored { key, .. } => {
                (Text { text: "".into(), is_base64: false }, Some(key.as_str()))
            }
        };
        let is_bound = SMALL_BODY_MAX_BYTES < text.text.len();
        Self { text, body_key, is_bound }
    }
}

/// Deliveries to be made, in parts.
#[derive(Default)]
struct FanOut {
    parts: Vec<FanOutPart>,
}

#[derive(Default)]
struct FanOutPart {
    rows: Rows,
    deliveries: Vec<(String, String)>,
    /// Pairs of project and endpoint, as long as the deliveries are few.
    receivers: Vec<(String, String)>,
}

impl FanOut {
    fn add(&mut self, meta: &Meta, planned: &Planned<'_>, now_ms: u64, replay: Option<&str>) {
        if self.parts.last().is_none_or(|part| FAN_OUT_PART <= part.deliveries.len()) {
            self.parts.push(FanOutPart::default());
        }
        let Some(part) = self.parts.last_mut() else { return };
        let id = planned.delivery_uid(&meta.event_id, replay);
        part.rows.push(&[
            (&meta.project_id).into(),
            (&id).into(),
            (&meta.event_id).into(),
            planned.subscription_id.into(),
            planned.endpoint_id.into(),
            (&meta.source_id).into(),
            (&meta.event_type).into(),
            planned.mode.name().into(),
            now_ms.into(),
            replay.into(),
        ]);
        part.deliveries.push((meta.project_id.clone(), id));
        if part.deliveries.len() <= BELL_DELIVERIES {
            part.receivers.push((meta.project_id.clone(), planned.endpoint_id.to_owned()));
        }
    }

    /// The transactions: `first` begins the first of them. `outbox` is where each notes what it has made.
    fn after(self, first: Vec<Statement>, outbox: Option<&str>, now_ms: u64) -> Routing {
        let mut parts = Vec::with_capacity(self.parts.len().max(1));
        let mut statements = first;
        let is_one = self.parts.len() == 1;
        for (place, part) in self.parts.into_iter().enumerate() {
            let FanOutPart { rows, deliveries, receivers } = part;
            let few = is_one && receivers.len() == deliveries.len();
            let few = few.then(|| Few::new(receivers, statements.len()));
            statements.extend(rows.statements(sql::insert_deliveries));
            if let Some(id) = outbox {
                let id = format!("{id}-{place}");
                statements.push(sql::insert_outbox(now_ms, &id, json!(deliveries)));
            }
            statements.push(sql::unfinished(json!(deliveries)));
            parts.push(Part { statements: std::mem::take(&mut statements), deliveries, few });
        }
        if !statements.is_empty() {
            parts.push(Part { statements, deliveries: Vec::new(), few: Some(Few::default()) });
        }
        Routing { parts, ..Routing::default() }
    }
}

/// Plans new deliveries of events that are stored, from the first on, to those who would get them now. `replay_id` is a fresh uid: it marks the
/// deliveries, and the outbox watches them under it. The second value says how many of the events have a receiver, and why not;
/// those that it does not count are for another batch.
pub fn replay(
    envelopes: &[Envelope],
    directory: &Directory,
    now_ms: u64,
    replay_id: &str,
) -> (Routing, Tally) {
    let mut fan_out = FanOut::default();
    let mut wanted = Rows::default();
    let mut remade = Vec::new();
    let mut tally = Tally::default();
    let (all, _) = receivers(envelopes, directory);
    for (envelope, Found { receivers, reason, .. }) in envelopes.iter().zip(all) {
        let meta = &envelope.meta;
        if receivers.is_empty() {
            tally.fail(&reason, 1);
        } else {
            tally.succeeded += 1;
            if meta.arrived.is_some() || meta.was_made {
                let Written { text, body_key, is_bound } = Written::of(&envelope.body);
                let headers = json!(meta.headers).to_string();
                let row = Rows::of(&[
                    (&meta.project_id).into(),
                    (&meta.event_id).into(),
                    meta.content_type.as_ref().into(),
                    (&headers).into(),
                    text.is_base64.into(),
                    body_key.into(),
                    (!is_bound).then_some(&*text.text).into(),
                    meta.arrived.as_ref().into(),
                ]);
                let bound = is_bound.then(|| text.text.into_owned());
                remade.push(sql::remake_events(row, bound));
            }
            wanted.push(&[(&meta.project_id).into(), (&meta.event_id).into()]);
        }
        for receiver in receivers {
            fan_out.add(meta, &receiver, now_ms, Some(replay_id));
        }
    }
    let mut statements = remade;
    statements.extend(wanted.statements(sql::note_wanted));
    (fan_out.after(statements, Some(replay_id), now_ms), tally)
}

/// The events of sources, to be counted.
fn counts(envelopes: &[Envelope]) -> Rows {
    let mut rows = Rows::default();
    for Envelope { meta, .. } in envelopes.iter().filter(|one| !one.meta.source_id.is_empty()) {
        rows.push(&[
            (&meta.project_id).into(),
            (&meta.source_id).into(),
            (&meta.event_id).into(),
            meta.received_at.into(),
            meta.claim.as_ref().map(|claim| &claim.key).into(),
            meta.claim_scope().into(),
            meta.claim_until().into(),
        ]);
    }
    rows
}

/// The verdicts of sources that observe, to be counted.
fn verdicts(envelopes: &[Envelope]) -> Rows {
    let mut rows = Rows::default();
    for Envelope { meta, .. } in envelopes {
        if let Some(made) = meta.verification.as_ref().filter(|made| made.observed) {
            rows.push(&[
                (&meta.project_id).into(),
                (&meta.source_id).into(),
                (&meta.event_id).into(),
                made.reason.is_none().into(),
                meta.received_at.into(),
            ]);
        }
    }
    rows
}

#[cfg(test)]
mod tests;
