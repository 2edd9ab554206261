//! What has to be known to route events, and to whom they go by it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::conditions::{Conditions, Facts};
use crate::ids::delivery_uid;
use crate::json;
use crate::sql;
use crate::steps::TooMany;
use crate::subscription::{DeliveryMode, Subscription};
use crate::wire::{Body, Envelope, Meta, Target};

/// Events that one directory is read for.
pub const DIRECTORY_EVENTS: usize = 1_000;
/// What the subscriptions of one directory may weigh, unless it is for one event: more than those of one project may.
const DIRECTORY_MAX_WEIGHT: u64 = sql::SUBSCRIPTIONS_MAX_WEIGHT + (8 << 20);
/// Deliveries that one transaction makes, give or take those of one event.
const DELIVERIES_MAX: usize = 5_000;

/// An endpoint and its owner.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Owned {
    pub project_id: String,
    pub owner_id: String,
    pub endpoint_id: String,
}

/// A subscription as it is stored.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct SubscriptionRow {
    pub project_id: String,
    pub id: String,
    pub source_id: String,
    pub endpoint_id: String,
    /// JSON of the subscription, without its function.
    pub doc: String,
    /// Bytes of the JSON with its function.
    pub bytes: u64,
    /// [`Subscription::weight`].
    pub weight: u64,
}

impl SubscriptionRow {
    /// Whether no page comes after this one.
    pub fn are_last(page: &[Self]) -> bool {
        let bytes: u64 = page.iter().map(|row| row.bytes).sum();
        page.len() < sql::SUBSCRIPTIONS_PAGE && bytes < sql::SUBSCRIPTIONS_PAGE_BYTES
    }
}

/// A subscription that is stored in a form that cannot be read.
#[derive(Debug)]
struct Damaged {
    project_id: String,
    source_id: String,
    endpoint_id: String,
    why: String,
}

/// Subscriptions that have been read so far: each page is parsed as it comes, and its texts are gone.
#[derive(Debug, Default)]
pub struct Gathered {
    /// By id. One may come more than once.
    read: BTreeMap<String, Result<Subscription, Damaged>>,
    weight: u64,
}

impl Gathered {
    pub fn add(&mut self, page: Vec<SubscriptionRow>) {
        for row in page {
            self.weight += row.weight.max(row.doc.len() as u64);
            let read = json::read::<Subscription>(&row.doc).map_err(|error| Damaged {
                why: format!(
                    "subscription {} is stored in a form that cannot be read: {error}",
                    row.id
                ),
                project_id: row.project_id,
                source_id: row.source_id,
                endpoint_id: row.endpoint_id,
            });
            self.read.insert(row.id, read);
        }
    }

    /// Whether this is as much as memory should hold, for so many events. One event has all that it needs: its project has a limit.
    pub fn is_too_much_for(&self, events: usize) -> bool {
        1 < events && DIRECTORY_MAX_WEIGHT < self.weight
    }
}

/// For how many events the next directory is read, where `most` was the limit and `count` of `asked` have found room: what has
/// found room may find it again, and to find out how much does costs reads.
pub fn directory_len(most: usize, asked: usize, count: usize) -> usize {
    if count < asked { count.max(1) } else { (2 * most).min(DIRECTORY_EVENTS) }
}

/// Of all sources, endpoints and projects that [`Needs`] names: subscriptions, and owners.
#[derive(Debug, Default)]
pub struct Directory {
    subscriptions: Vec<Subscription>,
    owned: Vec<Owned>,
    damaged: Vec<Damaged>,
    by_source: HashMap<String, Vec<usize>>,
    by_endpoint: HashMap<String, Vec<usize>>,
    by_owner: HashMap<String, Vec<usize>>,
    /// By event, the bodies in the object store that [`Directory::bodies_to_read`] names.
    pub bodies: HashMap<String, Vec<u8>>,
    /// The endpoints, of those that events name, that are there. `None`: nobody has looked, and the dispatcher will say.
    pub there: Option<HashSet<String>>,
}

/// Subscriptions that a reason names.
const STOPPED_NAMED: usize = 3;
const GONE: &str = "the endpoint that this event was for no longer exists";

impl Directory {
    /// What is known once all has been read.
    pub fn of(gathered: Gathered, owned: Vec<Owned>) -> Self {
        let (mut subscriptions, mut damaged) =
            (Vec::with_capacity(gathered.read.len()), Vec::new());
        for one in gathered.read.into_values() {
            match one {
                Ok(subscription) => subscriptions.push(subscription),
                Err(one) => damaged.push(one),
            }
        }
        Self { damaged, ..Self::new(subscriptions, owned) }
    }

    pub fn new(subscriptions: Vec<Subscription>, owned: Vec<Owned>) -> Self {
        fn by<'a>(keys: impl Iterator<Item = &'a String>) -> HashMap<String, Vec<usize>> {
            let mut places: HashMap<String, Vec<usize>> = HashMap::new();
            for (place, key) in keys.enumerate() {
                match places.get_mut(key) {
                    Some(places) => places.push(place),
                    None => {
                        places.insert(key.clone(), vec![place]);
                    }
                }
            }
            places
        }
        Self {
            by_source: by(subscriptions.iter().map(|one| &one.source_id)),
            by_endpoint: by(subscriptions.iter().map(|one| &one.endpoint_id)),
            by_owner: by(owned.iter().map(|one| &one.owner_id)),
            subscriptions,
            owned,
            ..Self::default()
        }
    }

    /// Why an event cannot be routed, now or later: a subscription that may want it cannot be read.
    pub fn unroutable(&self, meta: &Meta) -> Option<&str> {
        let may_want = |one: &&Damaged| {
            one.project_id == meta.project_id
                && match &meta.target {
                    None => one.source_id == meta.source_id,
                    Some(Target::Everybody) => true,
                    Some(Target::Endpoint(endpoint) | Target::Url(endpoint)) => {
                        one.endpoint_id == *endpoint
                    }
                    Some(Target::Owner(owner)) => {
                        self.endpoints_of(owner, meta).any(|endpoint| endpoint == one.endpoint_id)
                    }
                }
        };
        self.damaged.iter().find(may_want).map(|one| one.why.as_str())
    }

    /// How many of `envelopes`, from the first, one transaction should carry: at least one. Going by what it carries, and by
    /// the deliveries that it may make.
    pub fn transaction_len<'a>(&self, envelopes: impl IntoIterator<Item = &'a Envelope>) -> usize {
        let (mut bytes, mut deliveries, mut count) = (0, 0, 0);
        for envelope in envelopes {
            bytes += envelope.weight();
            deliveries += self.candidates(&envelope.meta).len();
            if 0 < count && (sql::TRANSACTION_BYTES < bytes || DELIVERIES_MAX < deliveries) {
                break;
            }
            count += 1;
        }
        count
    }

    /// To whom an event goes.
    pub(super) fn receivers<'a>(&'a self, envelope: &'a Envelope) -> Found<'a> {
        let Envelope { meta, body } = envelope;
        if let Some(fault) = &meta.fault {
            return Found::nobody(fault);
        }
        let candidates = self.candidates(meta);
        let bytes = match body {
            Body::Inline(bytes) => Some(bytes.as_slice()),
            Body::Stored { .. } => self.bodies.get(&meta.event_id).map(Vec::as_slice),
        };
        let facts = Facts::of(meta, bytes);
        let (mut receivers, mut stopped) = (Vec::new(), Vec::new());
        for one in &candidates {
            match one.conditions.map_or(Ok(true), |conditions| conditions.match_event(&facts)) {
                Ok(true) => receivers.push(*one),
                Ok(false) => {}
                Err(TooMany) => stopped.push(one.subscription_id),
            }
        }
        let reason: Cow<'_, str> = match (candidates.as_slice(), bytes) {
            _ if !stopped.is_empty() => too_many(&stopped).into(),
            _ if !receivers.is_empty() => "".into(),
            ([], _) if self.is_gone(meta) => GONE.into(),
            ([], _) => "no subscription matched this event".into(),
            (all, None) if all.iter().any(Planned::reads_body) => {
                "no subscription matched this event: some subscribe to its type, but its body is too large for their filters".into()
            }
            _ => {
                "no subscription matched this event: some subscribe to its type, but their filters do not match".into()
            }
        };
        Found { receivers, reason, stopped, steps: facts.taken() }
    }

    /// To whom an event may go, going by its target and its type.
    fn candidates<'a>(&'a self, meta: &'a Meta) -> Vec<Planned<'a>> {
        let wanted = |one: &'a Subscription| Planned::of(one, &meta.event_type);
        match &meta.target {
            None => {
                self.found(self.by_source.get(&meta.source_id), meta).filter_map(wanted).collect()
            }
            Some(Target::Everybody) => self
                .subscriptions
                .iter()
                .filter(|one| one.project_id == meta.project_id)
                .filter_map(wanted)
                .collect(),
            Some(Target::Endpoint(endpoint)) => self.at_endpoint(endpoint, meta),
            Some(Target::Url(endpoint)) => self.at_url(endpoint, meta),
            Some(Target::Owner(owner)) => self
                .endpoints_of(owner, meta)
                .flat_map(|endpoint| self.at_endpoint(endpoint, meta))
                .collect(),
        }
    }

    fn found<'a>(
        &'a self,
        places: Option<&'a Vec<usize>>,
        meta: &'a Meta,
    ) -> impl Iterator<Item = &'a Subscription> {
        let places = places.map(Vec::as_slice).unwrap_or_default();
        let found = places.iter().filter_map(|place| self.subscriptions.get(*place));
        found.filter(|one| one.project_id == meta.project_id)
    }

    fn endpoints_of<'a>(&'a self, owner: &str, meta: &'a Meta) -> impl Iterator<Item = &'a str> {
        let places = self.by_owner.get(owner).map(Vec::as_slice).unwrap_or_default();
        let found = places.iter().filter_map(|place| self.owned.get(*place));
        found.filter(|one| one.project_id == meta.project_id).map(|one| one.endpoint_id.as_str())
    }

    /// The subscriptions of an endpoint that want the event. One that has none gets everything that is sent to it.
    fn at_endpoint<'a>(&'a self, endpoint_id: &'a str, meta: &'a Meta) -> Vec<Planned<'a>> {
        let mut own = self.found(self.by_endpoint.get(endpoint_id), meta).peekable();
        if own.peek().is_none() {
            if self.is_gone(meta) {
                return Vec::new();
            }
            let mode = DeliveryMode::AtLeastOnce;
            return vec![Planned { subscription_id: "", endpoint_id, mode, conditions: None }];
        }
        own.filter_map(|one| Planned::of(one, &meta.event_type)).collect()
    }

    /// Whether the one endpoint that an event is for was looked for, and is not there.
    fn is_gone(&self, meta: &Meta) -> bool {
        let Some(Target::Endpoint(id) | Target::Url(id)) = &meta.target else { return false };
        self.there.as_ref().is_some_and(|there| !there.contains(id))
    }

    /// As [`Self::at_endpoint`]; where none of its subscriptions names the type, the first that is active takes the event all
    /// the same, because its sender named the endpoint by its URL.
    fn at_url<'a>(&'a self, endpoint_id: &'a str, meta: &'a Meta) -> Vec<Planned<'a>> {
        let own = || self.found(self.by_endpoint.get(endpoint_id), meta);
        if own().any(|one| one.names(&meta.event_type)) {
            return self.at_endpoint(endpoint_id, meta);
        }
        match own().find(|one| !one.is_inactive) {
            Some(one) => vec![Planned::with(one, &one.filter)],
            None => self.at_endpoint(endpoint_id, meta),
        }
    }

    /// The bodies in the object store that a filter has to look into: the position of the event, and the key.
    pub fn bodies_to_read<'a>(&self, envelopes: &'a [Envelope]) -> Vec<(usize, &'a str)> {
        let wanted = |(index, envelope): (usize, &'a Envelope)| {
            let Body::Stored { key, .. } = &envelope.body else { return None };
            let candidates = self.candidates(&envelope.meta);
            candidates.iter().any(Planned::reads_body).then_some((index, key.as_str()))
        };
        envelopes.iter().enumerate().filter_map(wanted).collect()
    }
}

/// To whom an event goes.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) receivers: Vec<Planned<'a>>,
    /// Why to nobody, or not to all who may want it; else empty.
    pub(super) reason: Cow<'a, str>,
    /// The subscriptions whose filters it takes too many steps to ask.
    pub(super) stopped: Vec<&'a str>,
    /// What it took to find out.
    pub(super) steps: u64,
}

impl<'a> Found<'a> {
    fn nobody(reason: &'a str) -> Self {
        Self { receivers: Vec::new(), reason: reason.into(), stopped: Vec::new(), steps: 0 }
    }

    pub(super) fn status(&self) -> &'static str {
        if self.receivers.is_empty() { "Failure" } else { "Success" }
    }
}

fn too_many(stopped: &[&str]) -> String {
    let named = stopped.get(..STOPPED_NAMED).unwrap_or(stopped);
    let more = match stopped.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "not sent to all who may want it: the filters of these subscriptions take too many steps on it: {}{more}; \
         have them ask for less of long lists, then replay the event",
        named.join(", ")
    )
}

/// One delivery to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planned<'a> {
    /// Empty when an event goes to an endpoint without any.
    pub(super) subscription_id: &'a str,
    pub(super) endpoint_id: &'a str,
    pub(super) mode: DeliveryMode,
    /// What the event has to say.
    conditions: Option<&'a Conditions>,
}

impl<'a> Planned<'a> {
    /// `None` when the subscription does not want events of this type.
    fn of(subscription: &'a Subscription, event_type: &str) -> Option<Self> {
        Some(Self::with(subscription, subscription.conditions(event_type)?))
    }

    fn with(subscription: &'a Subscription, conditions: &'a Conditions) -> Self {
        Self {
            subscription_id: &subscription.uid,
            endpoint_id: &subscription.endpoint_id,
            mode: subscription.delivery_mode,
            conditions: Some(conditions),
        }
    }

    fn reads_body(&self) -> bool {
        self.conditions.is_some_and(Conditions::reads_body)
    }

    /// The uid of the delivery. `replay` sets those of a replay apart.
    pub(super) fn delivery_uid(&self, event_id: &str, replay: Option<&str>) -> String {
        // Only without a subscription is the endpoint what tells deliveries of one event apart.
        let to =
            if self.subscription_id.is_empty() { self.endpoint_id } else { self.subscription_id };
        match replay {
            None => delivery_uid(event_id, to),
            Some(replay) => delivery_uid(event_id, &format!("{to}/{replay}")),
        }
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
                Some(Target::Endpoint(id) | Target::Url(id)) => needs.endpoints.push((project, id)),
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
