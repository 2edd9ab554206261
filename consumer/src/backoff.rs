//! How long to wait after a failure.

use std::time::Duration;

/// Doubles from a quarter of a second up to `cap`, and varies by half, so that a thousand companions do not come back in
/// the same instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    cap: Duration,
    failures: u32,
}

const FIRST: Duration = Duration::from_millis(250);

impl Backoff {
    pub(crate) fn new(cap: Duration) -> Self {
        Self { cap, failures: 0 }
    }

    /// The next wait. `chance` is anything from 0 to 1.
    pub(crate) fn next(&mut self, chance: f64) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        doubled.min(self.cap).mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Another number every time.
pub(crate) fn random() -> u32 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or(u32::MAX)
}

/// A number from 0 to 1 that is another one every time.
pub(crate) fn chance() -> f64 {
    f64::from(random()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_start_again_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_secs(2));
        let waits: Vec<u128> = (0..6).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 2000, 2000]);
        backoff.reset();
        assert_eq!(backoff.next(0.0), FIRST / 2);
        assert!((0..100).all(|_| (0.0..=1.0).contains(&chance())));
    }
}
