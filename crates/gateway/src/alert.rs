//! When a project is told that deliveries of a subscription fail: Convoy's `alert_config`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::{ApiError, Faults};
use crate::deliver::{Answered, Delivery};
use crate::fields::{Fields, FromFields};
use crate::pace::seconds;

const COUNT_MAX: u64 = 1_000_000;
const THRESHOLD_MAX_S: u64 = 31 * 86_400;

/// When a project is told that deliveries fail: after `count` failed attempts within `seconds`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    pub count: u64,
    /// `seconds`, as they were written, like `1h`.
    threshold: String,
    pub seconds: u64,
}

#[derive(Debug)]
pub(crate) struct AlertInput {
    count: Option<u64>,
    threshold: Option<String>,
}

impl FromFields for AlertInput {
    const IS_CLOSED: bool = true;

    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            count: fields.number("count", 0..=COUNT_MAX)?,
            threshold: fields.text("threshold")?,
        })
    }
}

impl AlertInput {
    /// `None` when it asks for nothing, which is how Convoy's clients write that.
    pub(crate) fn read(self) -> Result<Option<Alert>, ApiError> {
        let count = self.count.unwrap_or(0);
        let threshold = self.threshold.unwrap_or_default().trim().to_owned();
        if count == 0 && matches!(threshold.as_str(), "" | "0" | "0s") {
            return Ok(None);
        }
        let mut faults = Faults::default();
        if !(1..=COUNT_MAX).contains(&count) {
            faults.add("alert_config.count", format!("failed attempts, from 1 to {COUNT_MAX}"));
        }
        let time = seconds(&json!(threshold)).filter(|time| (1..=THRESHOLD_MAX_S).contains(time));
        if time.is_none() {
            let text = format!("a time like 30s, 10m or 1h30m, at most {THRESHOLD_MAX_S} seconds");
            faults.add("alert_config.threshold", text);
        }
        faults.check()?;
        Ok(time.map(|seconds| Alert { count, threshold, seconds }))
    }
}

impl Alert {
    pub fn present(&self) -> Value {
        json!({"count": self.count, "threshold": self.threshold})
    }

    /// Whether this attempt is the one that the project is told of, `failures` being those within the time, this one included:
    /// once in that time.
    pub fn is_due(&self, failures: u64) -> bool {
        failures == self.count
    }

    /// What the project is told.
    pub fn data(&self, delivery: &Delivery, said: &str) -> Value {
        json!({
            "subscription_id": delivery.subscription_id, "endpoint_id": delivery.endpoint_id,
            "source_id": delivery.source_id, "failures": self.count, "alert_config": self.present(),
            "last": {"event_delivery_id": delivery.id, "event_id": delivery.event_id, "error": said},
        })
    }
}

/// What an attempt says that failed; `None` of one that did not.
pub fn failed(answered: &Answered) -> Option<String> {
    match answered {
        Answered::Response { status: 200..=299, .. } => None,
        Answered::Response { status, .. } => Some(format!("status code {status}")),
        Answered::Nothing { error } | Answered::NotCalled { error } => Some(error.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::parse;

    #[test]
    fn an_alert_is_read_and_shown_as_convoy_writes_it() {
        let read = |body: &str| parse::<AlertInput>(body.as_bytes()).and_then(AlertInput::read);
        let alert = read(r#"{"count":5,"threshold":"1h30m"}"#).unwrap().unwrap();
        assert_eq!((alert.count, alert.seconds), (5, 5_400));
        assert_eq!(alert.present(), json!({"count": 5, "threshold": "1h30m"}));
        assert!(alert.is_due(5) && !alert.is_due(4) && !alert.is_due(6));
        for none in ["{}", r#"{"count":0,"threshold":""}"#, r#"{"count":0,"threshold":"0s"}"#] {
            assert_eq!(read(none).unwrap(), None, "{none}");
        }
        for (body, expect) in [
            (r#"{"count":5}"#, "alert_config.threshold:a time like"),
            (r#"{"count":5,"threshold":"soon"}"#, "alert_config.threshold:a time like"),
            (r#"{"count":5,"threshold":"999999h"}"#, "alert_config.threshold:a time like"),
            (r#"{"threshold":"1h"}"#, "alert_config.count:failed attempts, from 1"),
            (r#"{"count":2000000,"threshold":"1h"}"#, "alert_config.count:failed attempts, from 1"),
        ] {
            let error = read(body).unwrap_err().message;
            assert!(error.starts_with(expect), "{body}: {error}");
        }
    }

    #[test]
    fn what_is_no_success_has_failed() {
        let status = |status| Answered::Response { status, headers: Vec::new(), body: Vec::new() };
        assert_eq!(failed(&status(204)), None);
        assert_eq!(failed(&status(302)).as_deref(), Some("status code 302"));
        let nothing = Answered::Nothing { error: "no".into() };
        assert_eq!(failed(&nothing).as_deref(), Some("no"));
    }
}
