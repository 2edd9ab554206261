//! Routing: from envelopes to events and deliveries, as one batch of statements.
//!
//! Everything in the batch may run twice: a claim that is held by the same event is held, a row that is
//! there stays. So a router that dies is repeated, and nothing happens twice.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::conditions::{Conditions, Facts};
use crate::ids::delivery_uid;
use crate::sql::{self, Statement};
use crate::subscription::{DeliveryMode, Subscription};
use crate::wire::{Body, Envelope, Meta, Target, Text};

/// A JSON parameter grows up to about this size; D1 takes 2 MB.
const PARAM_MAX_BYTES: usize = 500_000;
/// Pairs of project and delivery that one parameter carries; each is 60 bytes.
const DELIVERIES_PER_PARAM: usize = 5_000;
/// Deliveries that one transaction makes, give or take those of one event.
pub const DELIVERIES_MAX: usize = 5_000;
/// A body longer than this is bound by itself: pulling it out of a JSON text costs more.
const SMALL_BODY_MAX_BYTES: usize = 8_192;

/// A body in the object store is looked into by filters up to this size: as values it takes many times its length.
pub const FILTERED_BODY_MAX_BYTES: u64 = 2 * 1024 * 1024;
/// What one batch reads of such bodies.
pub const FILTERED_BODIES_MAX_BYTES: u64 = 8 * 1024 * 1024;

/// What routing a batch of envelopes of one shard comes to.
#[derive(Debug, Default)]
pub struct Routing {
    /// To be run as one transaction.
    pub statements: Vec<Statement>,
    /// Pairs of project and delivery: all that may have to be dispatched. Which of them wait, the
    /// database says, by [`sql::scheduled`].
    pub deliveries: Vec<(String, String)>,
}

/// An endpoint and its owner.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Owned {
    pub project_id: String,
    pub owner_id: String,
    pub endpoint_id: String,
}

/// What has to be known to route a batch.
#[derive(Debug, Default)]
pub struct Directory {
    /// Of all sources, endpoints and projects that [`Needs`] names.
    pub subscriptions: Vec<Subscription>,
    pub owned: Vec<Owned>,
    /// By event, the bodies in the object store that [`Directory::bodies_to_read`] names.
    pub bodies: HashMap<String, Vec<u8>>,
}

impl Directory {
    /// The most deliveries that one event can have.
    pub fn most_deliveries(&self) -> usize {
        self.subscriptions.len() + self.owned.len() + 1
    }

    /// To whom an event goes; when to nobody, why.
    fn receivers<'a>(&'a self, envelope: &'a Envelope) -> Result<Vec<Receiver<'a>>, &'a str> {
        let Envelope { meta, body } = envelope;
        if let Some(fault) = &meta.fault {
            return Err(fault);
        }
        let candidates = self.candidates(meta);
        let bytes = match body {
            Body::Inline(bytes) => Some(bytes.as_slice()),
            Body::Stored { .. } => self.bodies.get(&meta.event_id).map(Vec::as_slice),
        };
        let facts = Facts::of(meta, bytes);
        let takes = |one: &&Receiver<'_>| {
            one.conditions.is_none_or(|conditions| conditions.match_event(&facts))
        };
        let receivers: Vec<Receiver<'a>> = candidates.iter().filter(takes).copied().collect();
        match (candidates.as_slice(), bytes) {
            _ if !receivers.is_empty() => Ok(receivers),
            ([], _) => Err("no subscription matched this event"),
            (all, None) if all.iter().any(Receiver::reads_body) => Err(
                "no subscription matched this event: some subscribe to its type, but its body is too large for their filters",
            ),
            _ => Err(
                "no subscription matched this event: some subscribe to its type, but their filters do not match",
            ),
        }
    }

    /// To whom an event may go, going by its target and its type.
    fn candidates<'a>(&'a self, meta: &'a Meta) -> Vec<Receiver<'a>> {
        let of_project = self.subscriptions.iter().filter(|one| one.project_id == meta.project_id);
        let wanted = |one: &'a Subscription| Receiver::of(one, &meta.event_type);
        match &meta.target {
            None => of_project
                .filter(|one| one.source_id == meta.source_id)
                .filter_map(wanted)
                .collect(),
            Some(Target::Everybody) => of_project.filter_map(wanted).collect(),
            Some(Target::Endpoint(endpoint)) => self.at_endpoint(endpoint, meta),
            Some(Target::Owner(owner)) => {
                let own = self.owned.iter().filter(|owned| {
                    owned.project_id == meta.project_id && owned.owner_id == *owner
                });
                own.flat_map(|owned| self.at_endpoint(&owned.endpoint_id, meta)).collect()
            }
        }
    }

    /// The subscriptions of an endpoint that want the event. One that has none gets everything that is sent to it.
    fn at_endpoint<'a>(&'a self, endpoint_id: &'a str, meta: &Meta) -> Vec<Receiver<'a>> {
        let of_project = self.subscriptions.iter().filter(|one| one.project_id == meta.project_id);
        let own: Vec<&Subscription> =
            of_project.filter(|one| one.endpoint_id == endpoint_id).collect();
        if own.is_empty() {
            let mode = DeliveryMode::AtLeastOnce;
            return vec![Receiver { subscription_id: "", endpoint_id, mode, conditions: None }];
        }
        own.into_iter().filter_map(|one| Receiver::of(one, &meta.event_type)).collect()
    }

    /// The bodies in the object store that a filter has to look into: the position of the event, and the key.
    pub fn bodies_to_read<'a>(&self, envelopes: &'a [Envelope]) -> Vec<(usize, &'a str)> {
        let wanted = |(index, envelope): (usize, &'a Envelope)| {
            let Body::Stored { key, .. } = &envelope.body else { return None };
            let candidates = self.candidates(&envelope.meta);
            candidates.iter().any(Receiver::reads_body).then_some((index, key.as_str()))
        };
        envelopes.iter().enumerate().filter_map(wanted).collect()
    }
}

/// One delivery to be made.
#[derive(Debug, Clone, Copy)]
struct Receiver<'a> {
    /// Empty when an event goes to an endpoint without any.
    subscription_id: &'a str,
    endpoint_id: &'a str,
    mode: DeliveryMode,
    /// What the event has to say.
    conditions: Option<&'a Conditions>,
}

impl<'a> Receiver<'a> {
    /// `None` when the subscription does not want events of this type.
    fn of(subscription: &'a Subscription, event_type: &str) -> Option<Self> {
        Some(Self {
            subscription_id: &subscription.uid,
            endpoint_id: &subscription.endpoint_id,
            mode: subscription.delivery_mode,
            conditions: Some(subscription.conditions(event_type)?),
        })
    }

    fn reads_body(&self) -> bool {
        self.conditions.is_some_and(Conditions::reads_body)
    }

    /// The uid of the delivery. `replay` sets those of a replay apart.
    fn delivery_uid(&self, event_id: &str, replay: &str) -> String {
        // Only without a subscription is the endpoint what tells deliveries of one event apart.
        let to =
            if self.subscription_id.is_empty() { self.endpoint_id } else { self.subscription_id };
        if replay.is_empty() {
            return delivery_uid(event_id, to);
        }
        delivery_uid(event_id, &format!("{to}/{replay}"))
    }
}

/// What has to be read before a batch can be routed: pairs of project and id, each once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs<'a> {
    pub sources: Vec<(&'a str, &'a str)>,
    pub endpoints: Vec<(&'a str, &'a str)>,
    pub owners: Vec<(&'a str, &'a str)>,
    pub projects: Vec<&'a str>,
}

impl<'a> Needs<'a> {
    pub fn of(metas: impl IntoIterator<Item = &'a Meta>) -> Self {
        let mut needs = Self::default();
        for meta in metas {
            let project = meta.project_id.as_str();
            match &meta.target {
                None => needs.sources.push((project, &meta.source_id)),
                Some(Target::Endpoint(id)) => needs.endpoints.push((project, id)),
                Some(Target::Owner(id)) => needs.owners.push((project, id)),
                Some(Target::Everybody) => needs.projects.push(project),
            }
        }
        for pairs in [&mut needs.sources, &mut needs.endpoints, &mut needs.owners] {
            pairs.sort_unstable();
            pairs.dedup();
        }
        needs.projects.sort_unstable();
        needs.projects.dedup();
        needs
    }
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
    let mut fan_out = Rows::default();
    let mut deliveries = Vec::new();

    for envelope in envelopes {
        let Envelope { meta, body } = envelope;
        let (receivers, status, reason) = match directory.receivers(envelope) {
            Ok(receivers) => (receivers, "Success", ""),
            Err(reason) => (Vec::new(), "Failure", reason),
        };
        let key = meta.claim.as_ref().map(|claim| claim.key.as_str());
        if let Some(claim) = &meta.claim {
            let expires_at = meta.received_at.saturating_add(claim.window_ms);
            claims.push(json!([
                meta.claim_scope(),
                claim.key,
                meta.event_id,
                meta.received_at,
                expires_at
            ]));
            duplicates.push(json!([
                meta.project_id,
                meta.event_id,
                meta.claim_scope(),
                claim.key,
                meta.received_at
            ]));
        }
        let Written { text, body_key, in_row } = Written::of(body);
        let headers = json!(meta.headers).to_string();
        let row = json!([
            meta.project_id,
            meta.event_id,
            meta.source_id,
            meta.mask_id,
            meta.event_type,
            meta.received_at,
            meta.content_type,
            headers,
            meta.query,
            key,
            u8::from(text.is_base64),
            body_key,
            status,
            reason,
            in_row.clone(),
            meta.verification_json(),
            meta.target.as_ref().map(|target| json!(target).to_string()),
            meta.broker_message_id,
            meta.claim.as_ref().and_then(|claim| claim.scope.as_deref()),
            meta.arrived
        ]);
        if in_row.is_null() {
            large.push(sql::insert_events(json!([row]), Some(text.text.into_owned())));
        } else {
            events.push(row);
        }
        for receiver in receivers {
            let id = receiver.delivery_uid(&meta.event_id, "");
            fan_out.push(json!([
                meta.project_id,
                id,
                meta.event_id,
                receiver.subscription_id,
                receiver.endpoint_id,
                meta.source_id,
                meta.event_type,
                receiver.mode,
                now_ms,
                Value::Null
            ]));
            deliveries.push((meta.project_id.clone(), id));
        }
    }

    // Claims come first: which events are inserted depends on them, and which deliveries on the events.
    let mut statements = claims.statements(sql::claim);
    statements.extend(counts(envelopes).statements(sql::count_events));
    statements.extend(verdicts(envelopes).statements(sql::count_verdicts));
    statements.extend(events.statements(|rows| sql::insert_events(rows, None)));
    statements.extend(large);
    statements.extend(duplicates.statements(sql::insert_duplicates));
    statements.extend(fan_out.statements(sql::insert_deliveries));
    if let Some(outbox_id) = outbox_id {
        statements.extend(outbox(&deliveries, outbox_id, now_ms));
    }
    Routing { statements, deliveries }
}

/// A body as it is written into a row.
struct Written<'a> {
    text: Text<'a>,
    body_key: Option<&'a str>,
    /// The text, or `null` where it is bound by itself.
    in_row: Value,
}

impl<'a> Written<'a> {
    fn of(body: &'a Body) -> Self {
        let (text, body_key) = match body {
            Body::Inline(bytes) => (Text::from_bytes(bytes), None),
            Body::Stored { key, .. } => {
                (Text { text: "".into(), is_base64: false }, Some(key.as_str()))
            }
        };
        let is_small = text.text.len() <= SMALL_BODY_MAX_BYTES;
        let in_row = if is_small { Value::from(&*text.text) } else { Value::Null };
        Self { text, body_key, in_row }
    }
}

fn outbox(deliveries: &[(String, String)], id: &str, now_ms: u64) -> Vec<Statement> {
    let parts = deliveries.chunks(DELIVERIES_PER_PARAM).enumerate();
    parts
        .map(|(part, some)| sql::insert_outbox(now_ms, &format!("{id}-{part}"), json!(some)))
        .collect()
}

/// Plans new deliveries of events that are stored, to those who would get them now. `replay_id` is a fresh uid: it marks the
/// deliveries, and the outbox watches them under it. The second value says how many of the events have a receiver.
pub fn replay(
    envelopes: &[Envelope],
    directory: &Directory,
    now_ms: u64,
    replay_id: &str,
) -> (Routing, usize) {
    let mut fan_out = Rows::default();
    let mut wanted = Rows::default();
    let mut remade = Vec::new();
    let mut count = 0;
    let mut deliveries = Vec::new();
    for envelope in envelopes {
        let meta = &envelope.meta;
        let receivers = directory.receivers(envelope).unwrap_or_default();
        if !receivers.is_empty() {
            count += 1;
            if meta.arrived.is_some() || meta.was_made {
                let Written { text, body_key, in_row } = Written::of(&envelope.body);
                let is_bound = in_row.is_null();
                let row = json!([
                    meta.project_id,
                    meta.event_id,
                    meta.content_type,
                    json!(meta.headers).to_string(),
                    u8::from(text.is_base64),
                    body_key,
                    in_row,
                    meta.arrived
                ]);
                let bound = is_bound.then(|| text.text.into_owned());
                remade.push(sql::remake_events(json!([row]), bound));
            }
            wanted.push(json!([meta.project_id, meta.event_id]));
        }
        for receiver in receivers {
            let id = receiver.delivery_uid(&meta.event_id, replay_id);
            fan_out.push(json!([
                meta.project_id,
                id,
                meta.event_id,
                receiver.subscription_id,
                receiver.endpoint_id,
                meta.source_id,
                meta.event_type,
                receiver.mode,
                now_ms,
                replay_id
            ]));
            deliveries.push((meta.project_id.clone(), id));
        }
    }
    let mut statements = remade;
    statements.extend(fan_out.statements(sql::insert_deliveries));
    statements.extend(wanted.statements(sql::note_wanted));
    statements.extend(outbox(&deliveries, replay_id, now_ms));
    (Routing { statements, deliveries }, count)
}

/// The events of sources, to be counted.
fn counts(envelopes: &[Envelope]) -> Rows {
    let mut rows = Rows::default();
    for Envelope { meta, .. } in envelopes.iter().filter(|one| !one.meta.source_id.is_empty()) {
        rows.push(json!([
            meta.project_id,
            meta.source_id,
            meta.event_id,
            meta.received_at,
            meta.claim.as_ref().map(|claim| &claim.key),
            meta.claim_scope()
        ]));
    }
    rows
}

/// The verdicts of sources that observe, to be counted.
fn verdicts(envelopes: &[Envelope]) -> Rows {
    let mut rows = Rows::default();
    for Envelope { meta, .. } in envelopes {
        if let Some(made) = meta.verification.as_ref().filter(|made| made.observed) {
            let verified = u8::from(made.reason.is_none());
            rows.push(json!([
                meta.project_id,
                meta.source_id,
                meta.event_id,
                verified,
                meta.received_at
            ]));
        }
    }
    rows
}

/// The statements that say which of `deliveries` wait for their first attempt.
pub fn scheduled(deliveries: &[(String, String)]) -> Vec<Statement> {
    deliveries.chunks(DELIVERIES_PER_PARAM).map(|some| sql::scheduled(json!(some))).collect()
}

/// How many of `envelopes`, from the first, one transaction should carry: at least one.
pub fn transaction_len<'a>(envelopes: impl IntoIterator<Item = &'a Envelope>) -> usize {
    let mut bytes = 0;
    let mut count = 0;
    for envelope in envelopes {
        bytes += envelope.weight();
        if 0 < count && sql::TRANSACTION_BYTES < bytes {
            break;
        }
        count += 1;
    }
    count
}

/// Rows for a JSON parameter, cut where it would become too long.
#[derive(Default)]
struct Rows {
    full: Vec<Vec<Value>>,
    open: Vec<Value>,
    open_bytes: usize,
}

impl Rows {
    fn push(&mut self, row: Value) {
        let bytes = row.to_string().len();
        if PARAM_MAX_BYTES < self.open_bytes + bytes && !self.open.is_empty() {
            self.full.push(std::mem::take(&mut self.open));
            self.open_bytes = 0;
        }
        self.open_bytes += bytes;
        self.open.push(row);
    }

    fn statements(mut self, make: impl Fn(Value) -> Statement) -> Vec<Statement> {
        if !self.open.is_empty() {
            self.full.push(self.open);
        }
        self.full.into_iter().map(|rows| make(Value::Array(rows))).collect()
    }
}

/// One bell: deliveries of one endpoint, so that a slow endpoint holds up nobody else's.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Bell {
    pub shard: u32,
    pub endpoint_id: String,
    /// Pairs of project and delivery.
    pub deliveries: Vec<(String, String)>,
}

/// Deliveries that one bell names at most: as many calls as a Worker may have open at once.
pub const BELL_DELIVERIES: usize = 6;

/// Groups waiting deliveries `(project, delivery, endpoint)` into bells.
pub fn bells(shard: u32, mut waiting: Vec<(String, String, String)>) -> Vec<Bell> {
    waiting.sort_by(|a, b| (&a.2, &a.1).cmp(&(&b.2, &b.1)));
    let mut bells: Vec<Bell> = Vec::new();
    for (project, delivery, endpoint_id) in waiting {
        match bells.last_mut() {
            Some(bell)
                if bell.endpoint_id == endpoint_id && bell.deliveries.len() < BELL_DELIVERIES =>
            {
                bell.deliveries.push((project, delivery));
            }
            _ => bells.push(Bell { shard, endpoint_id, deliveries: vec![(project, delivery)] }),
        }
    }
    bells
}

#[cfg(test)]
mod tests;
