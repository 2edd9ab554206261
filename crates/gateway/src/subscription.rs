//! Subscriptions: which events of which source go to which endpoint.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::api::{ApiError, Faults, NAME_MAX_CHARS, check_length, refuse_unsupported};
use crate::fields::{Fields, FromFields};
use crate::ids::{self, Fill};
use crate::pace::{RateLimit, RateLimitInput, RetryInput, present_retry};
use crate::retry::Strategy;
use crate::time::rfc3339;

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
    pub delivery_mode: DeliveryMode,
    /// How its deliveries are retried; `None` leaves it to the project.
    #[serde(default)]
    pub retry: Option<Strategy>,
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
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

/// The body of `POST /subscriptions`.
#[derive(Debug)]
pub struct SubscriptionInput {
    name: Option<String>,
    pub source_id: Option<String>,
    pub endpoint_id: Option<String>,
    delivery_mode: Option<String>,
    filter_config: Option<FilterConfigInput>,
    retry_config: Option<RetryInput>,
    rate_limit_config: Option<RateLimitInput>,
    other: Map<String, Value>,
}

impl FromFields for SubscriptionInput {
    fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        Ok(Self {
            name: fields.text("name")?,
            source_id: fields.text("source_id")?,
            endpoint_id: fields.text("endpoint_id")?,
            delivery_mode: fields.text("delivery_mode")?,
            filter_config: fields.object("filter_config")?,
            retry_config: fields.object("retry_config")?,
            rate_limit_config: fields.object("rate_limit_config")?,
            other: fields.rest(),
        })
    }
}

#[derive(Debug)]
struct FilterConfigInput {
    event_types: Option<Vec<String>>,
    filter: Option<Value>,
}

impl FromFields for FilterConfigInput {
    fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        Ok(Self { event_types: fields.texts("event_types")?, filter: fields.raw("filter") })
    }
}

const UNSUPPORTED: &[&str] = &["alert_config", "app_id", "function"];

impl Subscription {
    /// A new subscription. Whether its source and endpoint exist is for the caller to look up.
    pub fn create(
        input: SubscriptionInput,
        project_id: &str,
        project_is_incoming: bool,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<Self, ApiError> {
        let text = |value: Option<String>| value.unwrap_or_default().trim().to_owned();
        let (name, endpoint_id, source_id) =
            (text(input.name), text(input.endpoint_id), text(input.source_id));
        let mut faults = Faults::default();
        if endpoint_id.is_empty() {
            faults.add("endpoint_id", "please provide a valid endpoint id");
        }
        if name.is_empty() {
            faults.add("name", "please provide a valid subscription name");
        }
        faults.check()?;
        check_length("name", &name, NAME_MAX_CHARS)?;
        for field in UNSUPPORTED {
            refuse_unsupported(field, input.other.get(*field))?;
        }
        if project_is_incoming && source_id.is_empty() {
            return Err(ApiError::bad_request("source_id is required for incoming projects"));
        }
        let delivery_mode = match input.delivery_mode.as_deref() {
            None | Some("") => DeliveryMode::AtLeastOnce,
            Some(mode) => DeliveryMode::from_name(mode).ok_or_else(|| {
                ApiError::bad_request(
                    "invalid delivery mode value, must be either 'at_least_once' or 'at_most_once'",
                )
            })?,
        };
        let retry = input.retry_config.map(RetryInput::read).transpose()?.flatten();
        let rate_limit = input.rate_limit_config.map(RateLimitInput::read).transpose()?.flatten();
        let (event_types, filter) = input
            .filter_config
            .map(|config| (config.event_types, config.filter))
            .unwrap_or_default();
        refuse_unsupported("filter_config.filter", filter.as_ref())?;
        let mut event_types: Vec<String> = event_types.unwrap_or_default();
        event_types.retain(|name| !name.trim().is_empty());
        if event_types.is_empty() {
            event_types.push("*".into());
        }
        Ok(Self {
            uid: ids::uid(now_ms, fill),
            project_id: project_id.to_owned(),
            name,
            source_id,
            endpoint_id,
            event_types,
            delivery_mode,
            retry,
            rate_limit,
            created_at: now_ms,
            updated_at: now_ms,
        })
    }

    /// Applies an update, which is a whole subscription as for its creation.
    pub fn update(
        &mut self,
        input: SubscriptionInput,
        project_is_incoming: bool,
        now_ms: u64,
    ) -> Result<(), ApiError> {
        let new = Self::create(input, &self.project_id, project_is_incoming, now_ms, &mut |_| {})?;
        let (uid, created_at) = (std::mem::take(&mut self.uid), self.created_at);
        *self = Self { uid, created_at, ..new };
        Ok(())
    }

    /// Whether an event of this type is wanted.
    pub fn wants(&self, event_type: &str) -> bool {
        self.event_types.iter().any(|name| name == "*" || name == event_type)
    }

    /// The subscription as the API shows it.
    pub fn present(&self) -> Value {
        let empty =
            json!({"headers": {}, "body": {}, "query": {}, "path": {}, "is_flattened": false});
        json!({
            "uid": self.uid, "project_id": self.project_id, "name": self.name, "type": "api", "status": "active",
            "source_id": self.source_id, "endpoint_id": self.endpoint_id,
            "source_metadata": {"uid": self.source_id}, "endpoint_metadata": {"uid": self.endpoint_id},
            "filter_config": {"event_types": self.event_types, "filter": empty}, "function": "",
            "delivery_mode": self.delivery_mode, "alert_config": null,
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
        assert!(all.wants("anything"));
        let some = r#"{"name":"a","source_id":"s","endpoint_id":"e","filter_config":{"event_types":["push"]}}"#;
        let some = create(some).unwrap();
        assert!(some.wants("push") && !some.wants("ping"));
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
        for (field, name) in [
            (r#""function":"function transform(x) { return x }""#, "function"),
            (r#""filter_config":{"filter":{"body":{"a":1}}}"#, "filter_config.filter"),
            (r#""alert_config":{"count":5,"threshold":"1h"}"#, "alert_config"),
        ] {
            let error = create(&with(field)).unwrap_err();
            assert!(error.starts_with(&format!("{name} is not supported yet")), "{error}");
        }
        assert!(create(&with(r#""filter_config":{"filter":{"body":{},"headers":{}}}"#)).is_ok());
        assert!(create(&with(r#""alert_config":{"count":0,"threshold":""}"#)).is_ok());
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
