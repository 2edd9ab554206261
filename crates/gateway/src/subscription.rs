//! Subscriptions: which events of which source go to which endpoint.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::alert::{Alert, AlertInput};
use crate::api::{ApiError, Faults, NAME_MAX_CHARS, check_length, refuse_unsupported};
use crate::conditions::Conditions;
use crate::fields::{Fields, FromFields};
use crate::ids::{self, Fill};
use crate::pace::{RateLimit, RateLimitInput, RetryInput, present_retry};
use crate::push::KEY_MAX_CHARS;
use crate::retry::Strategy;
use crate::time::rfc3339;
use crate::transform;
use crate::type_filter::{TYPES_MAX, TypeFilter, too_many_types};

/// What leads events to an endpoint, as it is stored. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    pub uid: String,
    pub project_id: String,
    pub name: String,
    /// Empty in an outgoing project, where events name their endpoint.
    pub source_id: String,
    pub endpoint_id: String,
    /// Exact names; `*` is all of them.
    pub event_types: Vec<String>,
    /// What an event has to say, unless its type has a filter of its own.
    #[serde(default)]
    pub filter: Conditions,
    /// The filters of event types; one of a type that is not in `event_types` has no effect.
    #[serde(default)]
    pub filters: Vec<TypeFilter>,
    pub delivery_mode: DeliveryMode,
    /// How its deliveries are retried; `None` leaves it to the project.
    #[serde(default)]
    pub retry: Option<Strategy>,
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
    /// JavaScript that makes the body of a delivery from that of the event; empty: none.
    #[serde(default)]
    pub function: String,
    /// When the project is told that its deliveries fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<Alert>,
    /// It takes no events.
    #[serde(default)]
    pub is_inactive: bool,
    pub created_at: u64,
    pub updated_at: u64,
}

/// Whether a delivery that the endpoint answered with an error is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryMode {
    AtLeastOnce,
    /// One call, whatever comes of it.
    AtMostOnce,
}

impl DeliveryMode {
    pub fn name(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at_least_once",
            Self::AtMostOnce => "at_most_once",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "at_least_once" => Some(Self::AtLeastOnce),
            "at_most_once" => Some(Self::AtMostOnce),
            _ => None,
        }
    }
}

/// The body of `POST /subscriptions` and `PUT /subscriptions/{id}`.
#[derive(Debug)]
pub struct SubscriptionInput {
    name: Option<String>,
    source_id: Option<String>,
    endpoint_id: Option<String>,
    delivery_mode: String,
    filter_config: Option<FilterConfigInput>,
    retry_config: Option<RetryInput>,
    rate_limit_config: Option<RateLimitInput>,
    function: Option<String>,
    alert_config: Option<AlertInput>,
    other: Map<String, Value>,
}

impl FromFields for SubscriptionInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let mut text =
            |name: &str| fields.text(name).map(|text| text.map(|text| text.trim().to_owned()));
        Ok(Self {
            name: text("name")?,
            source_id: text("source_id")?,
            endpoint_id: text("endpoint_id")?,
            delivery_mode: text("delivery_mode")?.unwrap_or_default(),
            filter_config: fields.object("filter_config")?,
            retry_config: fields.object("retry_config")?,
            rate_limit_config: fields.object("rate_limit_config")?,
            function: fields.text("function")?,
            alert_config: fields.object("alert_config")?,
            other: fields.checked_rest()?,
        })
    }
}

#[derive(Debug)]
struct FilterConfigInput {
    event_types: Option<Vec<String>>,
    filter: Option<Conditions>,
}

impl FromFields for FilterConfigInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let event_types = fields.texts("event_types")?;
        let filter = fields.map("filter")?;
        let read = |filter| Conditions::read(filter, "filter_config.filter");
        Ok(Self { event_types, filter: filter.map(read).transpose()? })
    }
}

const UNSUPPORTED: &[&str] = &["app_id"];
/// What stands in `filter_config`, and the name it has there: beside it, the subscription would take everything.
const MISPLACED: &[(&str, &str)] = &[
    ("event_types", "event_types"),
    ("event_type", "event_types"),
    ("filter", "filter"),
    ("filters", "filter"),
];

impl Subscription {
    /// A new subscription. Whether its source and endpoint exist is for the caller to look up.
    pub fn create(
        input: SubscriptionInput,
        project_id: &str,
        project_is_incoming: bool,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<Self, ApiError> {
        let mut new = Self {
            uid: ids::uid(now_ms, fill),
            project_id: project_id.to_owned(),
            name: String::new(),
            source_id: String::new(),
            endpoint_id: String::new(),
            event_types: vec!["*".into()],
            filter: Conditions::default(),
            filters: Vec::new(),
            delivery_mode: DeliveryMode::AtLeastOnce,
            retry: None,
            rate_limit: None,
            function: String::new(),
            alert: None,
            is_inactive: false,
            created_at: now_ms,
            updated_at: 0,
        };
        new.update(input, project_is_incoming, now_ms)?;
        Ok(new)
    }

    /// Applies an update. What it does not hold, or holds empty as typed clients write out what they leave open, stays as it is;
    /// one that says nothing else is refused.
    pub fn update(
        &mut self,
        input: SubscriptionInput,
        project_is_incoming: bool,
        now_ms: u64,
    ) -> Result<(), ApiError> {
        let before = self.clone();
        let is_new = before.updated_at == 0;
        let texts = [
            ("name", &mut self.name, input.name),
            ("source_id", &mut self.source_id, input.source_id),
            ("endpoint_id", &mut self.endpoint_id, input.endpoint_id),
        ];
        let mut kept = None;
        for (name, field, given) in texts {
            match given {
                Some(given) if !given.is_empty() => *field = given,
                Some(_) if !field.is_empty() => kept = kept.or(Some(name)),
                _ => {}
            }
        }
        let mut faults = Faults::default();
        if self.endpoint_id.is_empty() {
            faults.add("endpoint_id", "please provide a valid endpoint id");
        }
        if self.name.is_empty() {
            faults.add("name", "please provide a valid subscription name");
        }
        faults.check()?;
        check_length("name", &self.name, NAME_MAX_CHARS)?;
        for field in UNSUPPORTED {
            refuse_unsupported(field, input.other.get(*field))?;
        }
        for (field, meant) in MISPLACED {
            if input.other.get(*field).is_some_and(|given| !given.is_null()) {
                return Err(ApiError::bad_request(format!(
                    "{field}:unknown field: did you mean filter_config.{meant}?"
                )));
            }
        }
        if let Some(code) = input.function {
            check_length("function", &code, transform::CODE_MAX_BYTES)?;
            self.function = if code.trim().is_empty() { String::new() } else { code };
        }
        if project_is_incoming && self.source_id.is_empty() {
            return Err(ApiError::bad_request("source_id is required for incoming projects"));
        }
        if !input.delivery_mode.is_empty() {
            self.delivery_mode = DeliveryMode::from_name(&input.delivery_mode).ok_or_else(|| {
                ApiError::bad_request(
                    "invalid delivery mode value, must be either 'at_least_once' or 'at_most_once'",
                )
            })?;
        }
        if let Some(retry) = input.retry_config {
            self.retry = retry.read()?;
        }
        if let Some(alert) = input.alert_config {
            self.alert = alert.read()?;
        }
        if let Some(limit) = input.rate_limit_config {
            self.rate_limit = limit.read()?;
        }
        if let Some(FilterConfigInput { event_types, filter }) = input.filter_config {
            if !is_new && event_types.as_ref().is_some_and(Vec::is_empty) {
                return Err(ApiError::bad_request(
                    "filter_config.event_types:name at least one: `*` is all of them; leave the list out to keep what is there",
                ));
            }
            self.subscribe(event_types.unwrap_or_default())?;
            if let Some(filter) = filter {
                self.filter = filter;
            }
        }
        if let Some(name) = kept.filter(|_| *self == before) {
            return Err(ApiError::bad_request(format!(
                "{name}:please provide a valid {}, or leave it out to keep the one that is there",
                name.replace('_', " ")
            )));
        }
        self.touch(now_ms)
    }

    /// Subscribes to these event types and to no others; an empty list changes nothing.
    fn subscribe(&mut self, event_types: Vec<String>) -> Result<(), ApiError> {
        let mut wanted: Vec<String> = Vec::new();
        for name in event_types {
            let name = name.trim();
            check_length("filter_config.event_types", name, KEY_MAX_CHARS)?;
            if !name.is_empty() && !wanted.iter().any(|have| have == name) {
                // Before there are so many that to compare each with all of them takes seconds.
                if wanted.len() == TYPES_MAX {
                    return Err(too_many_types());
                }
                wanted.push(name.to_owned());
            }
        }
        if !wanted.is_empty() {
            self.event_types = wanted;
            self.filters.retain(|filter| self.event_types.contains(&filter.event_type));
        }
        Ok(())
    }

    /// Makes an inactive subscription active, and an active one inactive: it takes no events then.
    pub fn toggle(&mut self, now_ms: u64) -> Result<(), ApiError> {
        self.is_inactive = !self.is_inactive;
        self.touch(now_ms)
    }

    /// The subscription as the API shows it.
    pub fn present(&self) -> Value {
        json!({
            "uid": self.uid, "project_id": self.project_id, "name": self.name, "type": "api",
            "status": if self.is_inactive { "inactive" } else { "active" },
            "source_id": self.source_id, "endpoint_id": self.endpoint_id,
            "source_metadata": {"uid": self.source_id}, "endpoint_metadata": {"uid": self.endpoint_id},
            "filter_config": {"event_types": self.event_types, "filter": self.filter.present()}, "function": self.function,
            "delivery_mode": self.delivery_mode, "alert_config": self.alert.as_ref().map(Alert::present),
            "retry_config": self.retry.as_ref().map(present_retry),
            "rate_limit_config": self.rate_limit.map(RateLimit::present),
            "created_at": rfc3339(self.created_at), "updated_at": rfc3339(self.updated_at), "deleted_at": null,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::parse;

    fn create(body: &str) -> Result<Subscription, String> {
        let input = parse(body.as_bytes()).map_err(|error| error.message)?;
        Subscription::create(input, "p", true, 0, &mut |b| b.fill(5)).map_err(|error| error.message)
    }

    #[test]
    fn without_event_types_all_are_wanted() {
        let all = create(r#"{"name":"a","source_id":"s","endpoint_id":"e"}"#).unwrap();
        assert!(all.conditions("anything").is_some());
        let some = r#"{"name":"a","source_id":"s","endpoint_id":"e","filter_config":{"event_types":["push"]}}"#;
        let some = create(some).unwrap();
        assert!(some.conditions("push").is_some() && some.conditions("ping").is_none());
    }

    #[test]
    fn types_are_counted_before_they_are_compared() {
        let body = |count: usize| {
            let types: Vec<String> = (0..count).map(|n| format!("order.paid.{n}")).collect();
            json!({"name": "a", "source_id": "s", "endpoint_id": "e", "filter_config": {"event_types": types}}).to_string()
        };
        create(&body(TYPES_MAX)).unwrap();
        // Each with each would be 45 billion comparisons.
        let error = create(&body(300_000)).unwrap_err();
        assert_eq!(error, "a subscription has at most 200 event types");
    }

    #[test]
    fn a_subscription_that_cannot_work_is_refused_in_convoys_words() {
        let check = |body: &str, expect: &str| assert_eq!(create(body).unwrap_err(), expect);
        check(
            "{}",
            "endpoint_id:please provide a valid endpoint id, name:please provide a valid subscription name",
        );
        check(r#"{"name":"a","endpoint_id":"e"}"#, "source_id is required for incoming projects");
        check(
            r#"{"name":"a","endpoint_id":"e","source_id":"s","delivery_mode":"twice"}"#,
            "invalid delivery mode value, must be either 'at_least_once' or 'at_most_once'",
        );
        let with =
            |field: &str| format!(r#"{{"name":"a","endpoint_id":"e","source_id":"s",{field}}}"#);
        let error = create(&with(r#""alert_config":{"count":5,"threshold":"x"}"#)).unwrap_err();
        assert!(error.starts_with("alert_config.threshold:"), "{error}");
        for (field, meant) in [
            (
                r#""filter_config":{"event_type":["a"]}"#,
                "filter_config.event_type:unknown field: did you mean event_types?",
            ),
            (
                r#""filter_config":{"eventTypes":["a"]}"#,
                "filter_config.eventTypes:unknown field: did you mean event_types?",
            ),
            (
                r#""filter_config":{"filters":{"body":{}}}"#,
                "filter_config.filters:unknown field: did you mean filter?",
            ),
            (
                r#""event_types":["a"]"#,
                "event_types:unknown field: did you mean filter_config.event_types?",
            ),
            (
                r#""event_type":"a""#,
                "event_type:unknown field: did you mean filter_config.event_types?",
            ),
            (r#""filter":{"body":{}}"#, "filter:unknown field: did you mean filter_config.filter?"),
            (r#""filters":[]"#, "filters:unknown field: did you mean filter_config.filter?"),
        ] {
            check(&with(field), meant);
        }
        let odd = r#""type":"api","status":"active","filter_config":{"event_types":["a"],"filter":{"is_flattened":false,"body":{}},"x":1}"#;
        assert!(create(&with(odd)).is_ok());
        let alerted = create(&with(r#""alert_config":{"count":5,"threshold":"1h"}"#)).unwrap();
        assert_eq!(alerted.present()["alert_config"], json!({"count": 5, "threshold": "1h"}));
        assert!(create(&with(r#""filter_config":{"filter":{"body":{},"headers":{}}}"#)).is_ok());
        assert!(create(&with(r#""alert_config":{"count":0,"threshold":""}"#)).is_ok());
    }

    #[test]
    fn an_update_that_says_nothing_is_refused() {
        let made = create(
            r#"{"name":"a","endpoint_id":"e","source_id":"s","filter_config":{"event_types":[]}}"#,
        )
        .unwrap();
        assert_eq!(made.event_types, ["*"]);
        let put = |body: &str| {
            let mut changed = made.clone();
            let input = parse(body.as_bytes()).unwrap();
            changed.update(input, true, 1).map(|()| changed).map_err(|error| error.message)
        };
        for (body, expect) in [
            (r#"{"name":""}"#, "name:please provide a valid name, or leave it out"),
            (r#"{"name":"a","endpoint_id":""}"#, "endpoint_id:please provide a valid endpoint id"),
            (r#"{"filter_config":{"event_types":[]}}"#, "filter_config.event_types:name at least"),
        ] {
            let error = put(body).unwrap_err();
            assert!(error.starts_with(expect), "{error}");
        }
        // As typed clients write out what they leave open.
        let changed = put(r#"{"name":"b","endpoint_id":"","source_id":""}"#).unwrap();
        assert_eq!((changed.name.as_str(), changed.endpoint_id.as_str()), ("b", "e"));
        assert!(put("{}").is_ok() && put(&made.present().to_string()).is_ok());
        let long = json!({"filter_config": {"event_types": ["x".repeat(257)]}}).to_string();
        assert!(put(&long).unwrap_err().contains("filter_config.event_types"));
    }

    #[test]
    fn its_own_pace_is_shown_as_it_was_asked_for() {
        let body = r#"{"name":"a","endpoint_id":"e","source_id":"s","retry_config":{"type":"linear","duration":"10s",
            "retry_count":2},"rate_limit_config":{"count":5,"duration":60}}"#;
        let shown = create(body).unwrap().present();
        let retry =
            json!({"type": "linear", "duration": 10, "interval_seconds": 10, "retry_count": 2});
        assert_eq!(shown["retry_config"], retry);
        assert_eq!(shown["rate_limit_config"], json!({"count": 5, "duration": 60}));
        let plain =
            create(r#"{"name":"a","endpoint_id":"e","source_id":"s","retry_config":{}}"#).unwrap();
        assert_eq!((plain.retry, plain.rate_limit), (None, None));
    }
}
