//! The pace of a subscription's deliveries: its own retries, and how many calls it makes in a time.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::{ApiError, Faults};
use crate::fields::{Fields, FromFields};
use crate::retry::{Strategy, StrategyKind};

const DAY_S: u64 = 86_400;
pub(crate) const RETRIES_MAX: u64 = 100;
const CALLS_MAX: u64 = 1_000_000;

/// At most `count` calls in `duration_s` seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    pub count: u64,
    pub duration_s: u64,
}

impl RateLimit {
    /// The limit as the API shows it.
    pub fn present(self) -> Value {
        json!({"count": self.count, "duration": self.duration_s})
    }
}

/// A retry strategy as the API shows it; Convoy has two names for its pause.
pub fn present_retry(retry: &Strategy) -> Value {
    json!({
        "type": retry.kind, "duration": retry.duration, "interval_seconds": retry.duration,
        "retry_count": retry.retry_count,
    })
}

/// `retry_config` as it is written: what is absent or empty is the default's.
#[derive(Debug)]
pub struct RetryInput {
    kind: Option<String>,
    duration: Option<Value>,
    interval_seconds: Option<u64>,
    retry_count: Option<u64>,
}

impl FromFields for RetryInput {
    const IS_CLOSED: bool = true;

    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            kind: fields.text("type")?,
            duration: fields.raw("duration").filter(|text| text.as_str() != Some("")),
            interval_seconds: fields.number("interval_seconds", 1..=DAY_S)?,
            retry_count: fields.number("retry_count", 0..=RETRIES_MAX)?,
        })
    }
}

impl RetryInput {
    /// The strategy that is asked for; `None` when nothing is, and the project's decides.
    pub fn read(self) -> Result<Option<Strategy>, ApiError> {
        if self.is_blank() {
            return Ok(None);
        }
        let mut faults = Faults::default();
        let duration = match self.duration.as_ref().map(seconds) {
            None => None,
            Some(Some(seconds)) => Some(seconds),
            Some(None) => {
                faults.add(
                    "retry_config.duration",
                    "seconds as a number, or a text like 10s or 1m30s",
                );
                None
            }
        };
        // Two names for one number: clients whose language has no absence leave the other at 0.
        let pauses: Vec<u64> = [duration, self.interval_seconds].into_iter().flatten().collect();
        let mut given = pauses.iter().copied().filter(|seconds| *seconds != 0);
        let pause = given.next().or(pauses.first().copied());
        if given.next().is_some_and(|other| Some(other) != pause) {
            faults.add(
                "retry_config.interval_seconds",
                "another value than duration: give one of them",
            );
        }
        let kind = match self.kind.as_deref() {
            None | Some("") => None,
            Some("linear") => Some(StrategyKind::Linear),
            Some("exponential") => Some(StrategyKind::Exponential),
            Some(_) => {
                faults.add(
                    "retry_config.type",
                    "please provide a valid strategy type: linear or exponential",
                );
                None
            }
        };
        if pause.is_some_and(|seconds| !(1..=DAY_S).contains(&seconds)) {
            faults.add("retry_config.duration", format!("from 1 to {DAY_S} seconds"));
        }
        if self.retry_count.is_some_and(|count| RETRIES_MAX < count) {
            faults.add("retry_config.retry_count", format!("at most {RETRIES_MAX} attempts"));
        }
        faults.check()?;
        if kind.is_none() && pause.is_none() && self.retry_count.is_none() {
            return Ok(None);
        }
        let default = Strategy::default();
        let retry_count = self.retry_count.and_then(|count| u32::try_from(count).ok());
        Ok(Some(Strategy {
            kind: kind.unwrap_or(default.kind),
            duration: pause.unwrap_or(default.duration),
            retry_count: retry_count.unwrap_or(default.retry_count),
        }))
    }

    /// Whether it is what clients send that know no absence: every field of it there, empty or zero.
    fn is_blank(&self) -> bool {
        self.kind.as_deref() == Some("")
            && self.duration.as_ref().and_then(seconds).unwrap_or(0) == 0
            && self.interval_seconds.unwrap_or(0) == 0
            && self.retry_count.unwrap_or(0) == 0
    }
}

/// `rate_limit_config` as it is written.
#[derive(Debug)]
pub struct RateLimitInput {
    count: Option<u64>,
    duration: Option<Value>,
}

impl FromFields for RateLimitInput {
    const IS_CLOSED: bool = true;

    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { count: fields.number("count", 0..=CALLS_MAX)?, duration: fields.raw("duration") })
    }
}

impl RateLimitInput {
    /// The limit that is asked for; `None` when the count is absent or zero, which is no limit.
    pub fn read(self) -> Result<Option<RateLimit>, ApiError> {
        self.read_as("rate_limit_config")
    }

    /// The limit that is asked for, as [`Self::read`], in a field of this name: errors name it.
    pub fn read_as(self, field: &str) -> Result<Option<RateLimit>, ApiError> {
        let Some(count) = self.count.filter(|count| *count != 0) else { return Ok(None) };
        let mut faults = Faults::default();
        if CALLS_MAX < count {
            faults.add(&format!("{field}.count"), format!("at most {CALLS_MAX}"));
        }
        let duration_s = self.duration.as_ref().and_then(seconds).unwrap_or(0);
        if !(1..=DAY_S).contains(&duration_s) {
            let text =
                format!("seconds as a number, or a text like 10s; from 1 to {DAY_S} seconds");
            faults.add(&format!("{field}.duration"), text);
        }
        faults.check()?;
        Ok(Some(RateLimit { count, duration_s }))
    }
}

/// Seconds: a number, or a text of digits or like `1h2m3s`. An empty text is zero.
pub(crate) fn seconds(value: &Value) -> Option<u64> {
    let text = match value {
        Value::Number(_) => return value.as_u64(),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    let mut sum: u64 = 0;
    let mut digits = String::new();
    for char in text.chars() {
        let unit = match char {
            '0'..='9' => {
                digits.push(char);
                continue;
            }
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        sum = sum.checked_add(digits.parse::<u64>().ok()?.checked_mul(unit)?)?;
        digits.clear();
    }
    match (digits.is_empty(), sum) {
        (true, sum) => Some(sum),
        (false, 0) => digits.parse().ok(),
        (false, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::parse;

    fn retry(body: &str) -> Result<Option<Strategy>, String> {
        let input: RetryInput = parse(body.as_bytes()).map_err(|error| error.message)?;
        input.read().map_err(|error| error.message)
    }

    fn limit(body: &str) -> Result<Option<(u64, u64)>, String> {
        let input: RateLimitInput = parse(body.as_bytes()).map_err(|error| error.message)?;
        let read = input.read().map_err(|error| error.message)?;
        Ok(read.map(|limit| (limit.count, limit.duration_s)))
    }

    #[test]
    fn retries_are_read_in_seconds_and_in_words() {
        let of = |kind, duration, retry_count| Ok(Some(Strategy { kind, duration, retry_count }));
        let (linear, exponential) = (StrategyKind::Linear, StrategyKind::Exponential);
        for (body, expect) in [
            ("{}", Ok(None)),
            (r#"{"type":"","duration":"","retry_count":0,"interval_seconds":0}"#, Ok(None)),
            (r#"{"type":"linear","duration":5,"retry_count":3}"#, of(linear, 5, 3)),
            (r#"{"type":"linear","duration":"10s","retry_count":2}"#, of(linear, 10, 2)),
            (
                r#"{"type":"exponential","duration":"1m30s","interval_seconds":90}"#,
                of(exponential, 90, 20),
            ),
            (r#"{"retry_count":1}"#, of(exponential, 10, 1)),
            (r#"{"retry_count":0}"#, of(exponential, 10, 0)),
            (r#"{"type":"linear","duration":5,"retry_count":0}"#, of(linear, 5, 0)),
            (r#"{"type":"linear","duration":"5s","interval_seconds":0}"#, of(linear, 5, 20)),
            (r#"{"type":"linear","duration":0,"interval_seconds":5}"#, of(linear, 5, 20)),
            (r#"{"interval_seconds":7}"#, of(exponential, 7, 20)),
        ] {
            assert_eq!(retry(body), expect, "{body}");
        }
        for (body, expect) in [
            (
                r#"{"type":"random"}"#,
                "retry_config.type:please provide a valid strategy type: linear or exponential",
            ),
            (
                r#"{"duration":"soon"}"#,
                "retry_config.duration:seconds as a number, or a text like 10s or 1m30s",
            ),
            (
                r#"{"duration":-1}"#,
                "retry_config.duration:seconds as a number, or a text like 10s or 1m30s",
            ),
            (r#"{"duration":"25h"}"#, "retry_config.duration:from 1 to 86400 seconds"),
            (r#"{"duration":0}"#, "retry_config.duration:from 1 to 86400 seconds"),
            (
                r#"{"type":"linear","duration":"0s"}"#,
                "retry_config.duration:from 1 to 86400 seconds",
            ),
            (r#"{"interval_seconds":0}"#, "retry_config.duration:from 1 to 86400 seconds"),
            (r#"{"retry_count":101}"#, "retry_config.retry_count:at most 100 attempts"),
            (
                r#"{"duration":5,"interval_seconds":6}"#,
                "retry_config.interval_seconds:another value than duration: give one of them",
            ),
        ] {
            assert_eq!(retry(body).unwrap_err(), expect, "{body}");
        }
    }

    #[test]
    fn a_rate_limit_has_a_count_and_a_time() {
        let time = "rate_limit_config.duration:seconds as a number, or a text like 10s; from 1 to 86400 seconds";
        for (body, expect) in [
            ("{}", Ok(None)),
            (r#"{"count":0,"duration":60}"#, Ok(None)),
            (r#"{"count":5,"duration":60}"#, Ok(Some((5, 60)))),
            (r#"{"count":5,"duration":"1m"}"#, Ok(Some((5, 60)))),
            (r#"{"count":5}"#, Err(time.to_owned())),
            (r#"{"count":5,"duration":0}"#, Err(time.to_owned())),
            (r#"{"count":5,"duration":86401}"#, Err(time.to_owned())),
            (
                r#"{"count":1000001,"duration":1}"#,
                Err("rate_limit_config.count:at most 1000000".to_owned()),
            ),
        ] {
            assert_eq!(limit(body), expect, "{body}");
        }
    }

    #[test]
    fn a_text_of_time_is_seconds_or_nothing() {
        let read = |text: &str| seconds(&Value::from(text));
        for (text, expect) in [
            ("", Some(0)),
            ("90", Some(90)),
            ("1h2m3s", Some(3_723)),
            ("10s5", None),
            ("s", None),
            ("1.5s", None),
            ("99999999999999999999s", None),
            ("9999999999999999999h", None),
        ] {
            assert_eq!(read(text), expect, "{text}");
        }
    }
}
