//! Circuit breakers: an endpoint that fails is left alone for a while. What they count stands in the event shard, and
//! `sql::count_call` is where it is decided; this is what a project says about them, and what they say about themselves.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::{ApiError, Faults};
use crate::deliver::{RETRIES_USED_UP, Settled};
use crate::fields::{Fields, FromFields};
use crate::time::rfc3339;

/// Calls that a half-open breaker lets through before it decides.
pub const TRIALS: u64 = 3;

/// What a project says about its breakers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BreakerConfig {
    pub enabled: bool,
    /// Seconds after which a half-open breaker that has not decided lets more calls through.
    pub sample_rate: u64,
    /// Seconds that a breaker stays open; twice as long after each trial that has failed.
    pub error_timeout: u64,
    /// Percent of calls that have to fail for a breaker to open.
    pub failure_threshold: u64,
    /// Percent of trials that have to succeed for it to close.
    pub success_threshold: u64,
    /// Minutes that calls are counted for.
    pub observability_window: u64,
    /// Calls below which it does not open.
    pub minimum_request_count: u64,
    /// How often it opens in a row before the endpoint is taken out of use; 0: never.
    pub consecutive_failure_threshold: u64,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            sample_rate: 30,
            error_timeout: 30,
            failure_threshold: 70,
            success_threshold: 5,
            observability_window: 5,
            minimum_request_count: 10,
            consecutive_failure_threshold: 10,
        }
    }
}

/// `circuit_breaker` of a project's `config`; what is left out stays.
#[derive(Debug, Default)]
pub struct BreakerInput {
    enabled: Option<bool>,
    numbers: [Option<u64>; NUMBERS.len()],
}

/// The numbers with their smallest and largest value, in the order of [`BreakerConfig::numbers`].
const NUMBERS: [(&str, u64, u64); 7] = [
    ("sample_rate", 1, 3_600),
    ("error_timeout", 1, 86_400),
    ("failure_threshold", 1, 100),
    ("success_threshold", 1, 100),
    ("observability_window", 1, 1_440),
    ("minimum_request_count", 1, 1_000_000),
    ("consecutive_failure_threshold", 0, 1_000_000),
];

impl FromFields for BreakerInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let mut numbers = [None; NUMBERS.len()];
        for (number, (name, least, most)) in numbers.iter_mut().zip(NUMBERS) {
            *number = fields.number(name, least..=most)?;
        }
        Ok(Self { enabled: fields.flag("enabled")?, numbers })
    }
}

impl BreakerConfig {
    fn numbers(&mut self) -> [&mut u64; NUMBERS.len()] {
        [
            &mut self.sample_rate,
            &mut self.error_timeout,
            &mut self.failure_threshold,
            &mut self.success_threshold,
            &mut self.observability_window,
            &mut self.minimum_request_count,
            &mut self.consecutive_failure_threshold,
        ]
    }

    pub fn change(&mut self, input: &BreakerInput, faults: &mut Faults) {
        self.enabled = input.enabled.unwrap_or(self.enabled);
        for ((stored, given), (name, least, most)) in
            self.numbers().into_iter().zip(input.numbers).zip(NUMBERS)
        {
            match given {
                None => {}
                Some(number) if (least..=most).contains(&number) => *stored = number,
                Some(_) => faults.add(
                    &format!("config.circuit_breaker.{name}"),
                    format!("from {least} to {most}"),
                ),
            }
        }
    }
}

/// What a breaker counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Success,
    /// With what the endpoint said, or did not.
    Failure(String),
}

/// A row of `breakers`. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Breaker {
    pub endpoint_id: String,
    /// `closed`, `open` or `half-open`.
    pub state: String,
    /// When it got into its state; 0: it has never been open.
    pub since: u64,
    /// Why it opened; empty while it is closed.
    pub reason: String,
    /// When it lets trials through.
    pub next_try: u64,
    /// When the window began in which calls are counted.
    pub window_start: u64,
    /// Calls of the window that succeeded; trials of a half-open one.
    pub ok: u64,
    /// Those that failed.
    pub failed: u64,
    /// How often it has opened in a row.
    pub trips: u64,
}

impl Breaker {
    /// Whether it holds nobody back.
    pub fn is_closed(&self) -> bool {
        self.state == "closed"
    }

    /// What has to be done about a change that was just made at `now_ms`.
    pub fn consequence(&self, config: &BreakerConfig, now_ms: u64) -> Option<Consequence> {
        if self.since != now_ms {
            return None;
        }
        let limit = config.consecutive_failure_threshold;
        match self.state.as_str() {
            "closed" => Some(Consequence::Release),
            "open" if 0 < limit && limit <= self.trips => Some(Consequence::Disable(format!(
                "the circuit breaker opened {} times in a row: {}",
                self.trips, self.reason
            ))),
            _ => None,
        }
    }
}

/// What follows from a breaker's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consequence {
    /// What waits for it may go.
    Release,
    /// The endpoint is taken out of use, for this reason.
    Disable(String),
}

/// Why an endpoint is taken out of use now that a delivery to it is settled, if its project wants that (`disable_endpoint`): all
/// retries were in vain. An endpoint that says 410 does not want this one event.
pub fn used_up(
    is_wanted: bool,
    delivery_id: &str,
    tries: u32,
    settled: &Settled,
) -> Option<String> {
    (is_wanted && settled.description == RETRIES_USED_UP).then(|| {
        format!("delivery {delivery_id} has failed {tries} times, as often as it was to be tried")
    })
}

/// An endpoint's breaker as the API shows it: fields to be laid over the endpoint's own.
pub fn present(breaker: Option<&Breaker>, config: &BreakerConfig, now_ms: u64) -> Value {
    let window_ms = config.observability_window.saturating_mul(60_000);
    let counted = breaker
        .filter(|breaker| !breaker.is_closed() || now_ms < breaker.window_start + window_ms)
        .map_or((0, 0), |breaker| (breaker.failed, breaker.failed + breaker.ok));
    let state = match breaker {
        _ if !config.enabled => "disabled",
        None => "closed",
        Some(breaker) => breaker.state.as_str(),
    };
    let open = breaker.filter(|breaker| config.enabled && !breaker.is_closed());
    #[expect(clippy::cast_precision_loss, reason = "counts of calls stay far below 2^53")]
    let rate = if counted.1 == 0 { 0.0 } else { counted.0 as f64 * 100.0 / counted.1 as f64 };
    json!({
        "cb_state": state, "failure_rate": rate,
        "breaker": {
            "state": state,
            "since": breaker.filter(|breaker| 0 < breaker.since).map(|breaker| rfc3339(breaker.since)),
            "reason": open.map(|breaker| breaker.reason.as_str()).unwrap_or_default(),
            "next_try": open.map(|breaker| rfc3339(breaker.next_try)),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::parse;

    #[test]
    fn an_endpoint_is_taken_out_of_use_when_all_retries_were_in_vain_and_somebody_wants_that() {
        let of = |is_wanted, description: &str| {
            let status = crate::deliver::Status::Failure;
            let settled = Settled { status, description: description.into(), due_at: None };
            used_up(is_wanted, "d", 3, &settled)
        };
        let why = "delivery d has failed 3 times, as often as it was to be tried";
        assert_eq!(of(true, RETRIES_USED_UP).as_deref(), Some(why));
        assert_eq!(of(false, RETRIES_USED_UP), None);
        assert_eq!(of(true, "Endpoint answered 410 Gone: it does not want this event"), None);
    }

    #[test]
    fn a_breaker_is_configured_number_by_number() {
        let mut config = BreakerConfig::default();
        let mut faults = Faults::default();
        let input = parse(br#"{"error_timeout":7,"enabled":false}"#).unwrap();
        config.change(&input, &mut faults);
        assert!(faults.check().is_ok());
        assert_eq!(
            config,
            BreakerConfig { error_timeout: 7, enabled: false, ..BreakerConfig::default() }
        );
        let mut faults = Faults::default();
        let input = parse(br#"{"failure_threshold":101,"sample_rate":0}"#).unwrap();
        config.change(&input, &mut faults);
        let error = faults.check().unwrap_err().message;
        assert!(
            error.contains("config.circuit_breaker.failure_threshold:from 1 to 100"),
            "{error}"
        );
        assert!(error.contains("config.circuit_breaker.sample_rate:from 1 to 3600"), "{error}");
    }
}
