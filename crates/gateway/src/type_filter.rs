//! The filters of a subscription by event type.
//!
//! Each event type of a subscription has a filter of its own. Until somebody writes it, it is the subscription's
//! (`filter_config.filter`). An event is asked by the filter of its exact type; where there is none, or it is disabled, by that of
//! `*`; where that is missing too, the event is not wanted. So to add a filter is to subscribe to its event type, and to
//! delete one is to leave it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::api::{ApiError, check_length, one_json};
use crate::conditions::{Conditions, Facts};
use crate::fields::{Fields, FromFields};
use crate::filter::Part;
use crate::ids::{self, Fill};
use crate::push::KEY_MAX_CHARS;
use crate::sql::SUBSCRIPTIONS_MAX_WEIGHT;
use crate::steps::TooMany;
use crate::subscription::Subscription;
use crate::time::{self, parse_rfc3339, rfc3339};

/// Event types of one subscription.
pub const TYPES_MAX: usize = 200;
/// Bytes of a subscription in memory, its texts apart; of a text beside its letters; of a filter beside its parts.
const SUBSCRIPTION_WEIGHT: usize = 700;
const TEXT_WEIGHT: usize = 24;
const FILTER_WEIGHT: usize = 120;
/// Of how many of them a refusal tells.
const TYPES_TOLD: usize = 10;
/// Bytes of the event types and filters of one subscription: the router reads them for every batch.
pub const FILTERS_MAX_BYTES: usize = 65_536;

/// The filter of one event type. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeFilter {
    pub uid: String,
    pub event_type: String,
    /// `None` disables it.
    pub enabled_at: Option<u64>,
    pub conditions: Conditions,
    pub created_at: u64,
    pub updated_at: u64,
}

impl TypeFilter {
    /// The filter as the API shows it.
    pub fn present(&self, subscription: &str) -> Value {
        let mut shown = self.conditions.present();
        let own = json!({
            "uid": self.uid, "subscription_id": subscription, "event_type": self.event_type,
            "enabled_at": self.enabled_at.map(rfc3339),
            "created_at": rfc3339(self.created_at), "updated_at": rfc3339(self.updated_at),
        });
        if let (Value::Object(shown), Value::Object(own)) = (&mut shown, own) {
            shown.extend(own);
        }
        shown
    }
}

/// The body of a call that writes a filter.
#[derive(Debug)]
pub struct FilterInput {
    uid: String,
    event_type: String,
    enabled_at: EnabledAt,
    parts: Map<String, Value>,
}

#[derive(Debug)]
enum EnabledAt {
    Absent,
    Never,
    At(u64),
}

impl FromFields for FilterInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let enabled_at = if fields.is_null("enabled_at") {
            EnabledAt::Never
        } else {
            match fields.text("enabled_at")? {
                None => EnabledAt::Absent,
                Some(text) => EnabledAt::At(parse_rfc3339(&text).ok_or_else(|| {
                    ApiError::bad_request(
                        "enabled_at:a time like 2026-11-21T02:58:39Z, or null to disable the filter",
                    )
                })?),
            }
        };
        let uid = fields.text("uid")?.unwrap_or_default();
        let event_type = fields.text("event_type")?.unwrap_or_default().trim().to_owned();
        let parts = Part::ALL.into_iter().filter_map(|part| {
            let name = part.name();
            Some((name.to_owned(), fields.raw(name)?))
        });
        let parts = parts.collect();
        Ok(Self { uid, event_type, enabled_at, parts })
    }
}

impl FilterInput {
    /// Reads the list that the calls for many filters take.
    pub fn parse_list(body: &[u8]) -> Result<Vec<Self>, ApiError> {
        let Value::Array(items) = one_json(body)? else {
            return Err(ApiError::bad_request(
                "body contains incorrect JSON type: an array is expected",
            ));
        };
        if items.is_empty() || TYPES_MAX < items.len() {
            let text = format!("body must hold from 1 to {TYPES_MAX} filters");
            return Err(ApiError::bad_request(text));
        }
        let read = |(index, item)| Fields::of(format!("[{index}]"), item)?.into_type();
        items.into_iter().enumerate().map(read).collect()
    }
}

/// Whether a call writes one filter or many: Convoy's messages differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    One,
    Many,
}

impl Batch {
    fn exists(self, event_type: &str) -> ApiError {
        ApiError::bad_request(match self {
            Self::One => "filter with this event type already exists".to_owned(),
            Self::Many => format!("filter for event type {event_type} already exists"),
        })
    }

    fn not_found(self, uid: &str) -> ApiError {
        ApiError::not_found(match self {
            Self::One => "filter not found".to_owned(),
            Self::Many => format!("filter {uid} not found"),
        })
    }
}

impl Subscription {
    /// What an event of this type has to say to be wanted; `None` when none is.
    pub fn conditions(&self, event_type: &str) -> Option<&Conditions> {
        if self.is_inactive {
            return None;
        }
        [event_type, "*"].into_iter().find_map(|name| {
            if !self.event_types.iter().any(|have| have == name) {
                return None;
            }
            match self.filters.iter().find(|filter| filter.event_type == name) {
                Some(filter) => filter.enabled_at.map(|_| &filter.conditions),
                None => Some(&self.filter),
            }
        })
    }

    /// Whether it takes events of this type at all, filters and its being inactive apart.
    pub fn names(&self, event_type: &str) -> bool {
        self.event_types.iter().any(|have| have == event_type || have == "*")
    }

    /// Whether an event of this type that says this is wanted.
    pub fn takes(&self, event_type: &str, facts: &Facts<'_>) -> Result<bool, TooMany> {
        self.conditions(event_type).map_or(Ok(false), |conditions| conditions.match_event(facts))
    }

    /// What a try of it shows: whether an event of this type that says this is wanted and, where none of its type is, why.
    pub fn tried(&self, event_type: &str, facts: &Facts<'_>) -> Result<Value, TooMany> {
        let is_match = self.takes(event_type, facts)?;
        Ok(match self.takes_none(event_type) {
            Some(reason) => json!({"is_match": is_match, "reason": reason}),
            None => json!({"is_match": is_match}),
        })
    }

    /// Why it takes no event of this type, whatever the event says, if that is so.
    fn takes_none(&self, event_type: &str) -> Option<String> {
        if self.conditions(event_type).is_some() {
            return None;
        }
        if self.is_inactive {
            return Some("the subscription is inactive".to_owned());
        }
        if self.names(event_type) {
            return Some(format!("the filter of {event_type} is disabled: its enabled_at is null"));
        }
        let mut told = self.event_types.clone();
        if TYPES_TOLD < told.len() {
            told.truncate(TYPES_TOLD);
            told.push(format!("{} more", self.event_types.len() - TYPES_TOLD));
        }
        let told = told.join(", ");
        Some(format!("the subscription takes no events of the type {event_type}, only of {told}"))
    }

    /// The filters of all event types, those that nobody wrote included.
    pub fn type_filters(&self) -> Vec<TypeFilter> {
        self.event_types.iter().map(|name| self.type_filter(name)).collect()
    }

    pub fn filter_by_id(&self, uid: &str) -> Result<TypeFilter, ApiError> {
        let mut all = self.type_filters().into_iter();
        all.find(|filter| filter.uid == uid).ok_or_else(|| Batch::One.not_found(uid))
    }

    /// The filter of an event type of this subscription, as it was written or as it is without.
    fn type_filter(&self, event_type: &str) -> TypeFilter {
        if let Some(filter) = self.filters.iter().find(|filter| filter.event_type == event_type) {
            return filter.clone();
        }
        TypeFilter {
            uid: self.derived_uid(event_type),
            event_type: event_type.to_owned(),
            enabled_at: Some(self.created_at),
            conditions: self.filter.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }

    /// The uid of a filter that nobody wrote. A filter that was written and got another event type may have taken it along.
    fn derived_uid(&self, event_type: &str) -> String {
        let mut name = event_type.to_owned();
        loop {
            let uid = ids::delivery_uid(&self.uid, &name);
            if !self.filters.iter().any(|filter| filter.uid == uid) {
                return uid;
            }
            name.push('/');
        }
    }

    /// Writes filters of event types that have none yet.
    pub fn add_filters(
        &mut self,
        inputs: Vec<FilterInput>,
        batch: Batch,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<Vec<TypeFilter>, ApiError> {
        let mut added: Vec<TypeFilter> = Vec::with_capacity(inputs.len());
        for (index, input) in inputs.into_iter().enumerate() {
            let FilterInput { event_type, enabled_at, mut parts, .. } = input;
            let at = if batch == Batch::Many { format!("[{index}]") } else { String::new() };
            if event_type.is_empty() {
                let text = "event_type:please provide an event type";
                return Err(ApiError::bad_request(match batch {
                    Batch::One => text.to_owned(),
                    Batch::Many => format!("Invalid filter for event type : {text}"),
                }));
            }
            check_length("event_type", &event_type, KEY_MAX_CHARS)?;
            if added.iter().any(|filter| filter.event_type == event_type) {
                let text = format!("duplicate event type {event_type} in request");
                return Err(ApiError::bad_request(text));
            }
            if self.filters.iter().any(|filter| filter.event_type == event_type) {
                return Err(batch.exists(&event_type));
            }
            added.push(TypeFilter {
                uid: ids::uid(now_ms, fill),
                event_type,
                enabled_at: match enabled_at {
                    EnabledAt::Absent => Some(now_ms),
                    EnabledAt::Never => None,
                    EnabledAt::At(at) => Some(at),
                },
                conditions: Conditions::default().changed(&mut parts, &at)?,
                created_at: now_ms,
                updated_at: now_ms,
            });
        }
        for filter in &added {
            self.subscribe_to(&filter.event_type);
        }
        self.filters.extend(added.iter().cloned());
        self.touch(now_ms)?;
        Ok(added)
    }

    /// Changes filters; what an input does not hold stays. `uid` is that of the path, where there is one.
    pub fn change_filters(
        &mut self,
        inputs: Vec<FilterInput>,
        uid: Option<&str>,
        now_ms: u64,
    ) -> Result<Vec<TypeFilter>, ApiError> {
        let batch = if uid.is_some() { Batch::One } else { Batch::Many };
        let mut changed: Vec<TypeFilter> = Vec::with_capacity(inputs.len());
        for (index, input) in inputs.into_iter().enumerate() {
            let FilterInput { uid: own, event_type, enabled_at, mut parts } = input;
            let at = if batch == Batch::Many { format!("[{index}]") } else { String::new() };
            let uid = uid.unwrap_or(&own);
            let mut filter = self.filter_by_id(uid).map_err(|_| batch.not_found(uid))?;
            let old_type = filter.event_type.clone();
            if !event_type.is_empty() && event_type != old_type {
                check_length("event_type", &event_type, KEY_MAX_CHARS)?;
                if changed.iter().any(|filter| filter.event_type == event_type) {
                    let text = format!("duplicate event type {event_type} in request");
                    return Err(ApiError::bad_request(text));
                }
                if self.event_types.contains(&event_type) {
                    return Err(batch.exists(&event_type));
                }
                for name in self.event_types.iter_mut().filter(|name| **name == old_type) {
                    name.clone_from(&event_type);
                }
                filter.event_type = event_type;
            }
            match enabled_at {
                EnabledAt::Absent => {}
                EnabledAt::Never => filter.enabled_at = None,
                EnabledAt::At(at) => filter.enabled_at = Some(at),
            }
            filter.conditions = filter.conditions.changed(&mut parts, &at)?;
            filter.updated_at = now_ms;
            match self.filters.iter_mut().find(|have| have.uid == uid) {
                Some(have) => *have = filter.clone(),
                None => self.filters.push(filter.clone()),
            }
            changed.push(filter);
        }
        self.touch(now_ms)?;
        Ok(changed)
    }

    /// Deletes a filter, and with it the subscription to its event type.
    pub fn remove_filter(&mut self, uid: &str, now_ms: u64) -> Result<(), ApiError> {
        let filter = self.filter_by_id(uid)?;
        if self.event_types.len() == 1 {
            return Err(ApiError::bad_request(
                "this is the last event type of the subscription: delete the subscription, or change the filter",
            ));
        }
        self.event_types.retain(|name| *name != filter.event_type);
        self.filters.retain(|have| have.uid != uid);
        self.touch(now_ms)
    }

    fn subscribe_to(&mut self, event_type: &str) {
        if !self.event_types.iter().any(|have| have == event_type) {
            self.event_types.push(event_type.to_owned());
        }
    }

    /// Bytes of its event types and filters.
    fn filters_bytes(&self) -> usize {
        let own = self.filters.iter().map(|one| one.conditions.len() + one.event_type.len());
        let types = self.event_types.iter().map(String::len);
        self.filter.len() + own.chain(types).sum::<usize>()
    }

    /// Bytes that it takes in the memory of a router, give or take, and those of its function.
    pub fn weight(&self) -> u64 {
        let types = self.event_types.iter().map(|name| TEXT_WEIGHT + name.len());
        let own = self.filters.iter().map(|one| {
            FILTER_WEIGHT + TEXT_WEIGHT + one.event_type.len() + one.conditions.weight()
        });
        let all = own.chain(types).sum::<usize>() + self.filter.weight() + self.function.len();
        (SUBSCRIPTION_WEIGHT + all) as u64
    }

    /// Refuses a subscription that has grown too large. Of two changes each has a later time than what it was made from.
    pub(crate) fn touch(&mut self, now_ms: u64) -> Result<(), ApiError> {
        if TYPES_MAX < self.event_types.len() {
            return Err(too_many_types());
        }
        if FILTERS_MAX_BYTES < self.filters_bytes() {
            let text = format!(
                "the event types and filters of a subscription are at most {FILTERS_MAX_BYTES} bytes in all"
            );
            return Err(ApiError::bad_request(text));
        }
        self.updated_at = time::after(now_ms, self.updated_at);
        Ok(())
    }
}

/// What is said where the subscriptions of a project have no room for what one is to hold.
pub fn no_room() -> ApiError {
    ApiError::bad_request(format!(
        "the subscriptions of a project take at most {} MiB of memory together, most of it for filters and functions: \
         delete some, or make them smaller",
        SUBSCRIPTIONS_MAX_WEIGHT >> 20
    ))
}

pub(crate) fn too_many_types() -> ApiError {
    ApiError::bad_request(format!("a subscription has at most {TYPES_MAX} event types"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::parse;

    fn subscription(filter_config: &Value) -> Subscription {
        let body = json!({"name": "a", "endpoint_id": "e", "filter_config": filter_config});
        let input = parse(body.to_string().as_bytes()).unwrap();
        Subscription::create(input, "p", false, 1_000, &mut |b| b.fill(5)).unwrap()
    }

    fn input(body: &Value) -> Vec<FilterInput> {
        vec![parse(body.to_string().as_bytes()).unwrap()]
    }

    fn add(to: &mut Subscription, body: Value) -> Result<TypeFilter, String> {
        let added = to.add_filters(input(&body), Batch::One, 2_000, &mut |b| b.fill(6));
        added.map(|mut added| added.remove(0)).map_err(|error| error.message)
    }

    fn change(of: &mut Subscription, uid: &str, body: Value) -> Result<TypeFilter, String> {
        let changed = of.change_filters(input(&body), Some(uid), 3_000);
        changed.map(|mut changed| changed.remove(0)).map_err(|error| error.message)
    }

    fn takes(subscription: &Subscription, event_type: &str, body: Value) -> bool {
        let event = json!({"body": body});
        subscription.takes(event_type, &Facts::given(event.as_object().unwrap())).unwrap()
    }

    #[test]
    fn the_exact_type_decides_then_the_star() {
        let mut some = subscription(&json!({"event_types": ["*"], "filter": {"body": {"n": 1}}}));
        let own = add(&mut some, json!({"event_type": "paid", "body": {"n": 2}})).unwrap();
        assert!(takes(&some, "paid", json!({"n": 2})) && !takes(&some, "paid", json!({"n": 1})));
        assert!(takes(&some, "other", json!({"n": 1})) && !takes(&some, "other", json!({"n": 2})));
        let disabled = change(&mut some, &own.uid, json!({"enabled_at": null})).unwrap();
        assert_eq!((disabled.uid, disabled.enabled_at), (own.uid.clone(), None));
        assert!(takes(&some, "paid", json!({"n": 1})) && !takes(&some, "paid", json!({"n": 2})));
        change(&mut some, &own.uid, json!({"enabled_at": "2026-11-21T02:58:39Z"})).unwrap();
        assert!(takes(&some, "paid", json!({"n": 2})));
        some.toggle(4_000).unwrap();
        assert!(!takes(&some, "paid", json!({"n": 2})));
    }

    #[test]
    fn a_type_of_which_nothing_is_taken_has_a_reason() {
        let mut some = subscription(&json!({"event_types": ["paid", "sent"]}));
        assert_eq!(some.takes_none("paid"), None);
        let unknown = some.takes_none("piad").unwrap();
        let expect = "the subscription takes no events of the type piad, only of paid, sent";
        assert_eq!(unknown, expect);
        let uid = some.type_filters().remove(0).uid;
        change(&mut some, &uid, json!({"enabled_at": null})).unwrap();
        let disabled = some.takes_none("paid").unwrap();
        assert_eq!(disabled, "the filter of paid is disabled: its enabled_at is null");
        some.toggle(4_000).unwrap();
        assert_eq!(some.takes_none("sent").unwrap(), "the subscription is inactive");
        let types: Vec<String> = (0..15).map(|n| format!("t{n}")).collect();
        let many = subscription(&json!({"event_types": types})).takes_none("x").unwrap();
        assert!(many.ends_with("t8, t9, 5 more"), "{many}");
    }

    #[test]
    fn a_filter_subscribes_to_its_type_and_goes_with_it() {
        let mut some = subscription(&json!({"event_types": ["paid"]}));
        assert!(!takes(&some, "sent", json!({})));
        let sent = add(&mut some, json!({"event_type": "sent", "body": {"n": 1}})).unwrap();
        assert!(takes(&some, "sent", json!({"n": 1})) && !takes(&some, "sent", json!({})));
        assert_eq!(some.type_filters().len(), 2);
        some.remove_filter(&sent.uid, 3_000).unwrap();
        assert!(!takes(&some, "sent", json!({"n": 1})));
        assert_eq!(some.filter_by_id(&sent.uid).unwrap_err().status, 404);
        let last = some.type_filters().remove(0);
        assert_eq!(some.remove_filter(&last.uid, 3_000).unwrap_err().status, 400);
    }

    #[test]
    fn a_filter_that_nobody_wrote_is_the_subscriptions_until_somebody_does() {
        let mut some =
            subscription(&json!({"event_types": ["paid"], "filter": {"body": {"n": 1}}}));
        let unwritten = some.type_filters().remove(0);
        assert_eq!(unwritten.conditions, some.filter);
        let written = change(&mut some, &unwritten.uid, json!({"headers": {"a": "b"}})).unwrap();
        assert_eq!(written.uid, unwritten.uid);
        assert_eq!(some.filter_by_id(&written.uid).unwrap(), written);
        let shown = written.present("s");
        assert_eq!((&shown["body"], &shown["headers"]), (&json!({"n": 1}), &json!({"a": "b"})));
        // It may get another type, and the type another filter.
        change(&mut some, &written.uid, json!({"event_type": "sent"})).unwrap();
        assert_eq!(some.event_types, ["sent"]);
        let paid = add(&mut some, json!({"event_type": "paid"})).unwrap();
        assert_ne!(paid.uid, written.uid);
        let update = parse(br#"{"filter_config":{"event_types":["paid","new"]}}"#).unwrap();
        some.update(update, false, 4_000).unwrap();
        let types: Vec<String> =
            some.type_filters().into_iter().map(|filter| filter.event_type).collect();
        assert_eq!(types, ["paid", "new"]);
        assert_eq!(some.filters, [paid]);
    }

    #[test]
    fn what_cannot_be_is_refused_in_convoys_words() {
        let mut some = subscription(&json!({}));
        add(&mut some, json!({"event_type": "a"})).unwrap();
        for (body, expect) in [
            (json!({}), "event_type:please provide an event type"),
            (json!({"event_type": "a"}), "filter with this event type already exists"),
            (
                json!({"event_type": "b", "body": {"x.$": 1}}),
                "body.x.$:invalid filter syntax, found trailing $",
            ),
        ] {
            assert_eq!(add(&mut some.clone(), body).unwrap_err(), expect);
        }
        let many = |body: Value| {
            let inputs = FilterInput::parse_list(body.to_string().as_bytes())?;
            some.clone().add_filters(inputs, Batch::Many, 2_000, &mut |b| b.fill(7))
        };
        for (body, status, expect) in [
            (
                json!([{"event_type": "b"}, {"event_type": "b"}]),
                400,
                "duplicate event type b in request",
            ),
            (json!([{"event_type": "a"}]), 400, "filter for event type a already exists"),
            (
                json!([{"event_type": "b", "body": {"$or": 1}}]),
                400,
                "[0].body.$or:a list of conditions is expected, at least one",
            ),
            (json!([]), 400, "body must hold from 1 to 200 filters"),
            (json!({}), 400, "body contains incorrect JSON type: an array is expected"),
            (json!([5]), 400, "body contains incorrect JSON type for field \"[0]\""),
        ] {
            let error = many(body).unwrap_err();
            assert_eq!((error.status, error.message.as_str()), (status, expect));
        }
        let mut other = some.clone();
        let error = change(&mut other, "none", json!({})).unwrap_err();
        assert_eq!(error, "filter not found");
        let inputs = FilterInput::parse_list(br#"[{"uid":"none"}]"#).unwrap();
        let error = other.change_filters(inputs, None, 3_000).unwrap_err();
        assert_eq!((error.status, error.message.as_str()), (404, "filter none not found"));
        let when: Result<FilterInput, _> = parse(br#"{"event_type":"b","enabled_at":"soon"}"#);
        assert!(when.unwrap_err().message.starts_with("enabled_at:a time like"));
    }

    #[test]
    fn a_subscription_grows_only_so_large_and_its_version_always() {
        let mut some = subscription(&json!({}));
        let before = some.updated_at;
        let large = json!({"x": "y".repeat(16_000)});
        let mut error = String::new();
        for n in 0..10 {
            match add(&mut some, json!({"event_type": format!("t{n}"), "body": large})) {
                Ok(_) => assert!(before < some.updated_at),
                Err(text) => error = text,
            }
        }
        let too_large =
            "the event types and filters of a subscription are at most 65536 bytes in all";
        assert_eq!(error, too_large);
        let mut some = subscription(&json!({}));
        let error = add(&mut some, json!({"event_type": "t".repeat(257)})).unwrap_err();
        assert!(error.contains("at most 256"), "{error}");
        let name = |n: usize| format!("{n:03}{}", "\u{1f600}".repeat(253));
        let added =
            (0..64).map_while(|n| add(&mut some, json!({"event_type": name(n)})).ok()).count();
        assert_eq!(added, 32, "by its bytes, there and in its filter");
        let types: Vec<String> = (0..100).map(name).collect();
        let body = json!({"filter_config": {"event_types": types}}).to_string();
        let error = some.update(parse(body.as_bytes()).unwrap(), false, 0).unwrap_err();
        assert_eq!(error.message, too_large);
        let types: Vec<String> = (0..201).map(|n| format!("t{n}")).collect();
        let body = json!({"filter_config": {"event_types": types}}).to_string();
        let error = some.update(parse(body.as_bytes()).unwrap(), false, 0).unwrap_err();
        assert_eq!(error.message, "a subscription has at most 200 event types");
    }
}
