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
    fn receivers<'a>(&'a self, envelope: &'a Envelope) -> Result<Vec<Receiver<'a>>, &'static str> {
        let Envelope { meta, body } = envelope;
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
        let (text, body_key) = match body {
            Body::Inline(bytes) => (Text::from_bytes(bytes), None),
            Body::Stored { key, .. } => (Text { text: "".into(), is_base64: false }, Some(key)),
        };
        let headers = json!(meta.headers).to_string();
        let is_small = text.text.len() <= SMALL_BODY_MAX_BYTES;
        let in_row = if is_small { Value::from(&*text.text) } else { Value::Null };
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
            in_row,
            meta.verification_json(),
            meta.target.as_ref().map(|target| json!(target).to_string()),
            meta.broker_message_id,
            meta.claim.as_ref().and_then(|claim| claim.scope.as_deref())
        ]);
        if is_small {
            events.push(row);
        } else {
            large.push(sql::insert_events(json!([row]), Some(text.text.into_owned())));
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
    let mut count = 0;
    let mut deliveries = Vec::new();
    for envelope in envelopes {
        let meta = &envelope.meta;
        let receivers = directory.receivers(envelope).unwrap_or_default();
        if !receivers.is_empty() {
            count += 1;
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
    let mut statements = fan_out.statements(sql::insert_deliveries);
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
    /// Where they go; empty in bells of the time when it was not said.
    #[serde(default)]
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
mod tests {
    use super::*;
    use crate::sql::tests::{database, run};
    use crate::subscription::DeliveryMode;
    use crate::wire::tests::envelope;

    fn subscription(uid: &str, source: &str, event_type: &str) -> Subscription {
        Subscription {
            uid: uid.into(),
            project_id: "project".into(),
            name: uid.into(),
            source_id: source.into(),
            endpoint_id: format!("endpoint-of-{uid}"),
            event_types: vec![event_type.into()],
            delivery_mode: DeliveryMode::AtMostOnce,
            retry: None,
            rate_limit: None,
            function: String::new(),
            filter: crate::conditions::Conditions::default(),
            filters: Vec::new(),
            is_inactive: false,
            created_at: 0,
            updated_at: 0,
        }
    }

    fn known(subscriptions: &[Subscription]) -> Directory {
        Directory { subscriptions: subscriptions.to_vec(), ..Directory::default() }
    }

    fn apply(db: &rusqlite::Connection, routing: &Routing) -> Vec<Value> {
        for statement in &routing.statements {
            run(db, statement);
        }
        scheduled(&routing.deliveries).iter().flat_map(|statement| run(db, statement)).collect()
    }

    #[test]
    fn an_event_goes_to_those_who_subscribed_and_to_nobody_else() {
        let subscriptions = [
            subscription("all", "source", "*"),
            subscription("push", "source", "push"),
            subscription("ping", "source", "ping"),
            subscription("other", "another-source", "*"),
        ];
        let db = database();
        let routing = route(
            &[envelope(Body::Inline(b"{}".to_vec()))],
            &known(&subscriptions),
            7,
            Some("outbox"),
        );
        let mut endpoints: Vec<_> = apply(&db, &routing)
            .iter()
            .map(|row| row["endpoint_id"].as_str().unwrap().to_owned())
            .collect();
        endpoints.sort();
        assert_eq!(endpoints, ["endpoint-of-all", "endpoint-of-push"]);
    }

    #[test]
    fn a_target_decides_who_gets_an_event() {
        let mut own = subscription("own", "", "push");
        own.endpoint_id = "subscribed".into();
        let owned = |owner: &str, endpoint: &str| Owned {
            project_id: "project".into(),
            owner_id: owner.into(),
            endpoint_id: endpoint.into(),
        };
        let directory = Directory {
            subscriptions: vec![own, subscription("sourced", "source", "*")],
            owned: vec![owned("o", "subscribed"), owned("o", "bare"), owned("other", "theirs")],
            ..Directory::default()
        };
        let endpoint = |id: &str| Some(Target::Endpoint(id.into()));
        let cases = [
            (None, "push", vec!["endpoint-of-sourced"]),
            (endpoint("subscribed"), "push", vec!["subscribed"]),
            (endpoint("subscribed"), "ping", vec![]),
            (endpoint("bare"), "ping", vec!["bare"]),
            (Some(Target::Owner("o".into())), "push", vec!["bare", "subscribed"]),
            (Some(Target::Owner("o".into())), "ping", vec!["bare"]),
            (Some(Target::Owner("nobody".into())), "push", vec![]),
            (Some(Target::Everybody), "push", vec!["endpoint-of-sourced", "subscribed"]),
            (Some(Target::Everybody), "ping", vec!["endpoint-of-sourced"]),
        ];
        for (target, event_type, expect) in cases {
            let mut sent = envelope(Body::Inline(b"{}".to_vec()));
            (sent.meta.target, sent.meta.event_type) = (target.clone(), event_type.into());
            let db = database();
            let rows = apply(&db, &route(&[sent], &directory, 7, None));
            let mut to: Vec<_> =
                rows.iter().map(|row| row["endpoint_id"].as_str().unwrap()).collect();
            to.sort_unstable();
            assert_eq!(to, expect, "{target:?} {event_type}");
        }
    }

    fn filtered(uid: &str, filter: Value) -> Subscription {
        let Value::Object(filter) = filter else { panic!("an object") };
        let mut subscription = subscription(uid, "source", "*");
        subscription.filter = Conditions::read(filter, "").unwrap();
        subscription
    }

    #[test]
    fn filters_decide_among_those_who_want_the_type() {
        let directory = known(&[
            filtered("large", json!({"body": {"n": {"$gt": 10}}})),
            filtered("push", json!({"headers": {"x-github-event": "push"}})),
            filtered("ping", json!({"headers": {"x-github-event": "ping"}})),
        ]);
        for (body, expect) in [(&b"{\"n\":11}"[..], 2), (b"{\"n\":9}", 1), (b"no json", 1)] {
            let sent = envelope(Body::Inline(body.to_vec()));
            assert_eq!(apply(&database(), &route(&[sent], &directory, 7, None)).len(), expect);
        }
        let db = database();
        let sent = envelope(Body::Inline(b"{}".to_vec()));
        apply(
            &db,
            &route(std::slice::from_ref(&sent), &known(&directory.subscriptions[2..]), 7, None),
        );
        let event = &run(&db, &sql::event("project", &sent.meta.event_id))[0];
        assert_eq!(event["status"], "Failure");
        let reason = event["failure_reason"].as_str().unwrap();
        assert!(reason.ends_with("their filters do not match"), "{reason}");
    }

    #[test]
    fn a_body_elsewhere_is_read_only_where_a_filter_asks() {
        let stored = Body::Stored { key: "k".into(), len: 200_000 };
        let sent = [envelope(Body::Inline(vec![])), envelope(stored)];
        let mut directory = known(&[subscription("all", "source", "*")]);
        assert!(directory.bodies_to_read(&sent).is_empty());
        directory.subscriptions = vec![filtered("some", json!({"body": {"n": 1}}))];
        assert_eq!(directory.bodies_to_read(&sent), [(1, "k")]);
        let reason = directory.receivers(&sent[1]).unwrap_err();
        assert!(reason.ends_with("too large for their filters"), "{reason}");
        directory.bodies.insert(sent[1].meta.event_id.clone(), b"{\"n\":1}".to_vec());
        assert_eq!(directory.receivers(&sent[1]).unwrap().len(), 1);
    }

    #[test]
    fn a_replay_delivers_again_each_time() {
        let db = database();
        let sent = envelope(Body::Inline(b"{}".to_vec()));
        apply(&db, &route(std::slice::from_ref(&sent), &known(&[]), 7, None));
        let directory = known(&[subscription("late", "source", "*")]);
        for id in ["replay-1", "replay-2", "replay-2"] {
            let (routing, count) = replay(std::slice::from_ref(&sent), &directory, 8, id);
            assert_eq!((count, apply(&db, &routing).len()), (1, 1));
        }
        let sql = "SELECT replay FROM deliveries ORDER BY replay".into();
        let rows = run(&db, &Statement { sql, params: vec![] });
        assert_eq!(rows, [json!({"replay": "replay-1"}), json!({"replay": "replay-2"})]);
        let event = &run(&db, &sql::event("project", &sent.meta.event_id))[0];
        assert_eq!((&event["status"], &event["failure_reason"]), (&json!("Success"), &json!("")));
        assert_eq!(replay(&[sent], &known(&[]), 8, "replay-3").1, 0);
    }

    #[test]
    fn each_target_is_looked_up_once() {
        let with = |target: Option<Target>| {
            let mut sent = envelope(Body::Inline(vec![]));
            sent.meta.target = target;
            sent.meta
        };
        let metas = [
            with(None),
            with(None),
            with(Some(Target::Endpoint("e".into()))),
            with(Some(Target::Owner("o".into()))),
            with(Some(Target::Everybody)),
            with(Some(Target::Everybody)),
        ];
        let expect = Needs {
            sources: vec![("project", "source")],
            endpoints: vec![("project", "e")],
            owners: vec![("project", "o")],
            projects: vec!["project"],
        };
        assert_eq!(Needs::of(&metas), expect);
    }

    #[test]
    fn a_key_of_the_project_is_one_for_all_its_sources() {
        let db = database();
        let events: Vec<Envelope> = ["a", "b"]
            .into_iter()
            .map(|source| {
                let mut sent = envelope(Body::Inline(b"{}".to_vec()));
                sent.meta.event_id = format!("01ARZ3NDEKTSV4RRFFQ69G5FA{source}");
                sent.meta.source_id = source.into();
                sent.meta.claim.as_mut().unwrap().scope = Some("project".into());
                sent
            })
            .collect();
        apply(&db, &route(&events, &known(&[]), 7, None));
        for (table, expect) in [("events", 1), ("duplicates", 1), ("claims", 1)] {
            let sql = format!("SELECT count(*) AS n FROM {table}");
            assert_eq!(run(&db, &Statement { sql, params: vec![] })[0]["n"], expect, "{table}");
        }
    }

    #[test]
    fn a_batch_that_runs_twice_changes_nothing_the_second_time() {
        let subscriptions = [subscription("all", "source", "*")];
        let db = database();
        let large = vec![b'x'; 9_000];
        let mut second = envelope(Body::Inline(large));
        second.meta.event_id = "01ARZ3NDEKTSV4RRFFQ69G5FAW".into();
        second.meta.claim = None;
        let envelopes = [envelope(Body::Inline(vec![0xff])), second];
        let routing = route(&envelopes, &known(&subscriptions), 7, Some("outbox"));
        let state = |db: &rusqlite::Connection| {
            ["events", "claims", "duplicates", "deliveries", "outbox", "source_counts"].map(
                |table| {
                    run(db, &Statement { sql: format!("SELECT * FROM {table}"), params: vec![] })
                },
            )
        };
        apply(&db, &routing);
        let once = state(&db);
        assert_eq!(
            apply(&db, &route(&envelopes, &known(&subscriptions), 7, Some("outbox"))).len(),
            2
        );
        assert_eq!(state(&db), once);
        assert_eq!(once.map(|rows| rows.len()), [2, 1, 0, 2, 1, 1]);
        let sql = "SELECT events FROM source_counts".into();
        assert_eq!(run(&db, &Statement { sql, params: vec![] }), [json!({"events": 2})]);
    }

    #[test]
    fn an_event_nobody_wants_is_kept_with_the_reason() {
        let db = database();
        apply(&db, &route(&[envelope(Body::Inline(vec![]))], &known(&[]), 7, Some("outbox")));
        let event = &run(&db, &sql::event("project", "01ARZ3NDEKTSV4RRFFQ69G5FAV"))[0];
        assert_eq!(event["status"], "Failure");
        assert_eq!(event["failure_reason"], "no subscription matched this event");
    }

    #[test]
    fn a_copy_makes_no_delivery() {
        let subscriptions = [subscription("all", "source", "*")];
        let db = database();
        let copies: Vec<Envelope> = (0..50)
            .map(|n| {
                let mut copy = envelope(Body::Inline(b"{}".to_vec()));
                copy.meta.event_id = format!("01ARZ3NDEKTSV4RRFFQ69G5F{n:02}");
                copy
            })
            .collect();
        let waiting = apply(&db, &route(&copies, &known(&subscriptions), 7, Some("outbox")));
        assert_eq!(waiting.len(), 1);
        let sql = "SELECT events FROM source_counts".into();
        assert_eq!(run(&db, &Statement { sql, params: vec![] }), [json!({"events": 1})]);
        let sql = "SELECT count(*) AS n FROM duplicates".into();
        assert_eq!(run(&db, &Statement { sql, params: vec![] })[0]["n"], 49);
    }

    #[test]
    fn large_batches_are_cut_into_parameters_that_d1_takes() {
        let envelopes: Vec<Envelope> = (0..200)
            .map(|n| {
                let mut envelope = envelope(Body::Inline(vec![b'x'; 8_000]));
                envelope.meta.event_id = format!("01ARZ3NDEKTSV4RRFFQ69G5{n:03}");
                envelope.meta.claim = None;
                envelope
            })
            .collect();
        let routing = route(&envelopes, &known(&[]), 7, Some("outbox"));
        assert!(3 < routing.statements.len());
        for statement in routing.statements {
            for param in statement.params {
                if let sql::Param::Text(text) = param {
                    assert!(text.len() < 1_000_000);
                }
            }
        }
    }

    #[test]
    fn a_transaction_carries_at_least_one_event_and_not_too_many_bytes() {
        let of = |len: usize| envelope(Body::Inline(vec![0; len]));
        assert_eq!(transaction_len(&[of(100), of(100)]), 2);
        assert_eq!(transaction_len(&vec![of(120_000); 100]), 33);
        assert_eq!(transaction_len(&[of(5_000_000), of(1)]), 1);
        assert_eq!(transaction_len(&[]), 0);
    }

    #[test]
    fn a_bell_names_one_endpoint_and_few_deliveries() {
        let waiting: Vec<_> =
            (0..20).map(|n| ("p".to_owned(), format!("d{n:02}"), format!("e{}", n % 2))).collect();
        let bells = bells(0, waiting);
        assert_eq!(
            bells.iter().map(|bell| bell.deliveries.len()).collect::<Vec<_>>(),
            [6, 4, 6, 4]
        );
        let parity = |bell: &Bell| -> Vec<u32> {
            bell.deliveries
                .iter()
                .map(|(_, id)| id.trim_start_matches('d').parse::<u32>().unwrap() % 2)
                .collect()
        };
        assert!(bells.iter().all(|bell| parity(bell).windows(2).all(|pair| pair[0] == pair[1])));
    }
}
