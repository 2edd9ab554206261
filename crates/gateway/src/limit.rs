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
    /// Takes one of each that has a limit, or none at all where one of them has no room; then says in how many seconds each has.
    pub fn take_one_of_each(
        &mut self,
        of: &[(&str, Option<RateLimit>)],
        now_ms: u64,
    ) -> Result<(), u64> {
        let limits = || of.iter().filter_map(|(who, limit)| Some((*who, (*limit)?)));
        let until = |who: &str| self.spread_until.get(who).copied().unwrap_or_default();
        let waits = limits().filter_map(|(who, limit)| room(until(who), limit, now_ms).err());
        if let Some(seconds) = waits.max() {
            return Err(seconds);
        }
        for (who, limit) in limits() {
            self.take(who, limit, 1, now_ms)?;
        }
        Ok(())
    }

    /// Gives back one that was taken and came to nothing.
    pub fn give_back(&mut self, who: &str, limit: RateLimit) {
        if let Some(until) = self.spread_until.get_mut(who) {
            *until = until.saturating_sub(cost(limit));
        }
    }

    /// Takes up to `n` at once and says how many, or in how many seconds the next can be had.
    pub fn take(&mut self, who: &str, limit: RateLimit, n: u64, now_ms: u64) -> Result<u64, u64> {
        let now = now_ms.saturating_mul(1_000);
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
        let taken = room(*until, limit, now_ms)?.min(n);
        *until = (*until).max(now).saturating_add(cost(limit).saturating_mul(taken));
        Ok(taken)
    }
}

fn span(limit: RateLimit) -> u64 {
    limit.duration_s.saturating_mul(1_000_000)
}

/// The microseconds over which one is spread.
fn cost(limit: RateLimit) -> u64 {
    (span(limit) / limit.count.max(1)).max(1)
}

/// How many there is room for where what was taken is spread until then, or in how many seconds there is for one.
fn room(until: u64, limit: RateLimit, now_ms: u64) -> Result<u64, u64> {
    let now = now_ms.saturating_mul(1_000);
    let (span, cost, spread) = (span(limit), cost(limit), until.max(now));
    let free = (now.saturating_add(span).saturating_sub(spread) / cost).min(limit.count);
    if free == 0 {
        let free_at = spread.saturating_add(cost).saturating_sub(span);
        return Err(free_at.saturating_sub(now).div_ceil(1_000_000).max(1));
    }
    Ok(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: RateLimit = RateLimit { count: 3, duration_s: 6 };

    #[test]
    fn the_first_come_at_once_and_the_rest_at_the_pace_of_the_limit() {
        let mut limiter = Limiter::default();
        let mut at = |now_ms| limiter.take("a", LIMIT, 1, now_ms);
        assert_eq!([at(0), at(0), at(0)], [Ok(1); 3]);
        assert_eq!((at(0), at(1_000), at(1_999)), (Err(2), Err(1), Err(1)));
        assert_eq!((at(2_000), at(2_000)), (Ok(1), Err(2)));
        assert_eq!([at(60_000), at(60_000), at(60_000)], [Ok(1); 3]);
        assert_eq!(at(60_000), Err(2));
        assert_eq!(limiter.take("b", LIMIT, 1, 60_000), Ok(1));
    }

    #[test]
    fn of_many_at_once_as_many_are_taken_as_there_is_room_for() {
        let mut limiter = Limiter::default();
        assert_eq!(limiter.take("a", LIMIT, 2, 0), Ok(2));
        assert_eq!(limiter.take("a", LIMIT, 2, 0), Ok(1));
        assert_eq!(limiter.take("a", LIMIT, 2, 0), Err(2));
        assert_eq!(limiter.take("b", LIMIT, 100, 0), Ok(3));
        assert_eq!(limiter.take("b", LIMIT, 1, 0), Err(2));
        assert_eq!(limiter.take("b", LIMIT, 100, 4_500), Ok(2));
    }

    #[test]
    fn one_of_each_is_taken_or_none_of_any() {
        let mut limiter = Limiter::default();
        let once = RateLimit { count: 1, duration_s: 9 };
        assert_eq!(limiter.take("project", once, 1, 0), Ok(1));
        let both = [("source", Some(LIMIT)), ("project", Some(once)), ("free", None)];
        assert_eq!([(); 5].map(|()| limiter.take_one_of_each(&both, 0)), [Err(9); 5]);
        assert_eq!(limiter.take("source", LIMIT, 5, 0), Ok(3));
        assert_eq!(limiter.take_one_of_each(&both, 9_000), Ok(()));
        // The longer of the two waits is told.
        assert_eq!(limiter.take("source", LIMIT, 5, 9_000), Ok(2));
        assert_eq!(limiter.take_one_of_each(&both, 9_000), Err(9));
    }

    #[test]
    fn what_came_to_nothing_is_given_back() {
        let mut limiter = Limiter::default();
        for _ in 0..10 {
            assert_eq!(limiter.take("a", LIMIT, 1, 0), Ok(1));
            limiter.give_back("a", LIMIT);
        }
        assert_eq!(limiter.take("a", LIMIT, 9, 0), Ok(3));
        assert_eq!(limiter.take("a", LIMIT, 1, 0), Err(2));
        // What was free by then is no more than free.
        limiter.give_back("a", LIMIT);
        assert_eq!(limiter.take("a", LIMIT, 9, 60_000), Ok(3));
        limiter.give_back("unknown", LIMIT);
        assert_eq!(limiter.take("unknown", LIMIT, 9, 0), Ok(3));
    }

    #[test]
    fn strangers_do_not_fill_the_memory() {
        let mut limiter = Limiter::default();
        for n in 0..50_000u64 {
            assert_eq!(limiter.take(&n.to_string(), LIMIT, 1, n), Ok(1));
        }
        assert!(limiter.spread_until.len() <= BUCKETS_MAX);
    }
}
