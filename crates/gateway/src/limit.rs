//! How many events are taken in: at most so many in a time, the first of them at once.

use std::collections::HashMap;

use crate::pace::RateLimit;

/// Who is counted, at most; beyond that those who wait for nothing are forgotten.
const BUCKETS_MAX: usize = 10_000;

/// Counts of one isolate. Each isolate has its own, so a limit holds for each of them.
#[derive(Debug, Default)]
pub struct Limiter {
    /// For each: until when what was taken is spread, in Unix microseconds.
    spread_until: HashMap<String, u64>,
}

impl Limiter {
    /// Takes `n` at once, or says in how many seconds they can be had. What is more than the whole limit counts as
    /// that.
    pub fn take(&mut self, who: &str, limit: RateLimit, n: u64, now_ms: u64) -> Result<(), u64> {
        let now = now_ms.saturating_mul(1_000);
        let span = limit.duration_s.saturating_mul(1_000_000);
        let cost = span / limit.count.max(1) * n.min(limit.count);
        if BUCKETS_MAX <= self.spread_until.len() {
            self.spread_until.retain(|_, until| now < *until);
        }
        if BUCKETS_MAX <= self.spread_until.len() {
            self.spread_until.clear();
        }
        let until = match self.spread_until.get_mut(who) {
            Some(until) => until,
            None => self.spread_until.entry(who.to_owned()).or_default(),
        };
        let next = (*until).max(now).saturating_add(cost);
        let free_at = next.saturating_sub(span);
        if now < free_at {
            return Err((free_at - now).div_ceil(1_000_000));
        }
        *until = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: RateLimit = RateLimit { count: 3, duration_s: 6 };

    #[test]
    fn the_first_come_at_once_and_the_rest_at_the_pace_of_the_limit() {
        let mut limiter = Limiter::default();
        let mut at = |now_ms| limiter.take("a", LIMIT, 1, now_ms);
        assert_eq!([at(0), at(0), at(0)], [Ok(()); 3]);
        assert_eq!((at(0), at(1_000), at(1_999)), (Err(2), Err(1), Err(1)));
        assert_eq!((at(2_000), at(2_000)), (Ok(()), Err(2)));
        assert_eq!([at(60_000), at(60_000), at(60_000)], [Ok(()); 3]);
        assert_eq!(at(60_000), Err(2));
        assert_eq!(limiter.take("b", LIMIT, 1, 60_000), Ok(()));
    }

    #[test]
    fn many_at_once_count_as_many_and_at_most_as_all() {
        let mut limiter = Limiter::default();
        assert_eq!(limiter.take("a", LIMIT, 2, 0), Ok(()));
        assert_eq!(limiter.take("a", LIMIT, 2, 0), Err(2));
        assert_eq!(limiter.take("b", LIMIT, 100, 0), Ok(()));
        assert_eq!(limiter.take("b", LIMIT, 1, 0), Err(2));
    }

    #[test]
    fn strangers_do_not_fill_the_memory() {
        let mut limiter = Limiter::default();
        for n in 0..50_000u64 {
            assert_eq!(limiter.take(&n.to_string(), LIMIT, 1, n), Ok(()));
        }
        assert!(limiter.spread_until.len() <= BUCKETS_MAX);
    }
}
