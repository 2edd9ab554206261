//! How long a project keeps its events.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::ApiError;
use crate::fields::{Fields, FromFields};
use crate::ids;

/// How long events are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionPolicy {
    /// Days; `0` keeps them for ever.
    pub days: u64,
}

/// The longest retention that can be asked for.
const RETENTION_MAX_DAYS: u64 = 3_650;

impl RetentionPolicy {
    /// The policy as the API shows it: in days, and as Convoy has it.
    pub(super) fn present(self) -> Value {
        let policy = if self.days == 0 { String::new() } else { format!("{}h", self.days * 24) };
        json!({"days": self.days, "policy": policy})
    }

    /// The lowest uid that is kept at `now_ms`; `None` when all are.
    pub fn cutoff(self, now_ms: u64) -> Option<String> {
        let kept_ms = self.days.checked_mul(86_400_000).filter(|kept| 0 < *kept)?;
        now_ms.checked_sub(kept_ms).map(ids::lowest)
    }
}

#[derive(Debug, Default)]
pub(super) struct RetentionInput {
    days: Option<u64>,
    policy: Option<String>,
}

impl FromFields for RetentionInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            days: fields.number("days", 0..=RETENTION_MAX_DAYS)?,
            policy: fields.text("policy")?,
        })
    }
}

impl RetentionInput {
    /// `days`, or Convoy's `policy`: `720h`, or as Go writes it `720h0m0s`. A part of a day after the first counts as one. Of both,
    /// as they are shown, the one decides that is not as it was `before`.
    pub(super) fn days(&self, before: u64) -> Result<u64, String> {
        let wrong =
            || format!("days, or policy as hours like 720h; at most {RETENTION_MAX_DAYS} days");
        let policy = self.policy.as_deref().map(str::trim).filter(|policy| !policy.is_empty());
        let of_policy = match policy {
            None => None,
            Some(policy) => match go_seconds(policy).ok_or_else(wrong)? {
                some @ 1..86_400 => {
                    return Err(format!("events are kept for days: {some} s are less than one"));
                }
                seconds => Some(seconds.div_ceil(86_400)),
            },
        };
        let days = match (self.days, of_policy) {
            (None, None) => 0,
            (Some(days), None) | (None, Some(days)) => days,
            (Some(days), Some(policy)) if days == policy || policy == before => days,
            (Some(days), Some(policy)) if days == before => policy,
            (Some(days), Some(policy)) => {
                return Err(format!(
                    "days say {days} and policy says {policy} days; give one of them"
                ));
            }
        };
        if RETENTION_MAX_DAYS < days { Err(wrong()) } else { Ok(days) }
    }
}

/// The seconds of a duration as Go writes whole ones: `168h0m0s`, `90m`.
fn go_seconds(text: &str) -> Option<u64> {
    let (mut sum, mut rest) = (0_u64, text);
    for (unit, seconds) in [('h', 3_600), ('m', 60), ('s', 1)] {
        if let Some((count, after)) = rest.split_once(unit) {
            if !count.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            sum = sum.checked_add(count.parse::<u64>().ok()?.checked_mul(seconds)?)?;
            rest = after;
        }
    }
    (rest.is_empty() && !text.is_empty()).then_some(sum)
}
