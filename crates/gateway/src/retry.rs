//! When the next attempt of a delivery is, and when there is none.

use serde::{Deserialize, Serialize};

/// [`PAUSE_MAX_S`] in milliseconds.
const PAUSE_MAX_MS: u64 = PAUSE_MAX_S * 1000;
/// The longest pause between two attempts of an exponential strategy, in seconds.
pub const PAUSE_MAX_S: u64 = 7_200;
/// The longest `Retry-After` that is followed.
const RETRY_AFTER_MAX_MS: u64 = 86_400_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StrategyKind {
    Linear,
    Exponential,
}

/// How a project retries. The default makes 20 attempts over about 21 hours: 10 s, 20 s, 40 s, … 2 h.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strategy {
    #[serde(rename = "type")]
    pub kind: StrategyKind,
    /// Seconds: every pause of a linear strategy, the first of an exponential one.
    pub duration: u64,
    /// Attempts in all, the first included; 0 and 1 are the first alone.
    pub retry_count: u32,
}

impl Default for Strategy {
    fn default() -> Self {
        Self { kind: StrategyKind::Exponential, duration: 10, retry_count: 20 }
    }
}

impl Strategy {
    /// The pause after attempt `attempt` (the first is 1), in milliseconds: the strategy's own, and up to a
    /// fifth of it more, so that deliveries that failed together do not come back together.
    /// `jitter` is any random number.
    pub fn pause_ms(&self, attempt: u32, jitter: u32) -> u64 {
        let first = self.duration.saturating_mul(1000);
        let pause = match self.kind {
            StrategyKind::Linear => first,
            StrategyKind::Exponential => {
                let doublings = attempt.saturating_sub(1);
                first.saturating_mul(2u64.saturating_pow(doublings)).min(PAUSE_MAX_MS.max(first))
            }
        };
        // Through u128: a pause of many years times a random number is more than 64 bits.
        let spread = u128::from(pause / 5) * u128::from(jitter) / u128::from(u32::MAX);
        pause.saturating_add(u64::try_from(spread).unwrap_or(u64::MAX))
    }

    /// The pause before the next attempt, or `None` when attempt `attempt` was the last.
    /// A `Retry-After` of the endpoint can only make it longer.
    pub fn next_pause_ms(
        &self,
        attempt: u32,
        retry_after_ms: Option<u64>,
        jitter: u32,
    ) -> Option<u64> {
        let asked = retry_after_ms.unwrap_or(0).min(RETRY_AFTER_MAX_MS);
        (attempt < self.retry_count).then(|| self.pause_ms(attempt, jitter).max(asked))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, proptest};

    use super::*;

    fn strategy(kind: StrategyKind) -> Strategy {
        Strategy { kind, duration: 10, retry_count: 5 }
    }

    #[test]
    fn exponential_pauses_double_up_to_two_hours() {
        let strategy = strategy(StrategyKind::Exponential);
        let pauses: Vec<u64> =
            [1, 2, 3, 10, 11, 12, 1000].map(|n| strategy.pause_ms(n, 0) / 1000).into();
        assert_eq!(pauses, [10, 20, 40, 5120, 7200, 7200, 7200]);
        assert_eq!(strategy.pause_ms(1, u32::MAX), 12_000);
    }

    #[test]
    fn linear_pauses_stay_the_same() {
        let strategy = strategy(StrategyKind::Linear);
        assert_eq!([1, 2, 50].map(|n| strategy.pause_ms(n, 0)), [10_000; 3]);
    }

    #[test]
    fn the_last_attempt_is_the_last() {
        let strategy = strategy(StrategyKind::Linear);
        assert_eq!(strategy.next_pause_ms(4, None, 0), Some(10_000));
        assert_eq!(strategy.next_pause_ms(5, Some(1000), 0), None);
        for retry_count in [0, 1] {
            assert_eq!(
                Strategy { retry_count, ..strategy.clone() }.next_pause_ms(1, None, 0),
                None
            );
        }
    }

    #[test]
    fn retry_after_only_makes_the_pause_longer_and_at_most_a_day() {
        let strategy = strategy(StrategyKind::Linear);
        assert_eq!(strategy.next_pause_ms(1, Some(1000), 0), Some(10_000));
        assert_eq!(strategy.next_pause_ms(1, Some(60_000), 0), Some(60_000));
        assert_eq!(strategy.next_pause_ms(1, Some(u64::MAX), 0), Some(86_400_000));
    }

    proptest! {
        #[test]
        fn pauses_never_shrink_and_never_overflow(duration: u64, attempt in 0u32..1000, jitter: u32) {
            let strategy = Strategy { kind: StrategyKind::Exponential, duration, retry_count: 100 };
            prop_assert!(strategy.pause_ms(attempt, 0) <= strategy.pause_ms(attempt + 1, 0));
            prop_assert!(strategy.pause_ms(attempt, 0) <= strategy.pause_ms(attempt, jitter));
        }
    }
}
