//! The counts of this isolate; what they mean is `inlet_gateway::limit`'s.

use std::cell::RefCell;

use inlet_gateway::limit::Limiter;
use inlet_gateway::pace::RateLimit;

use crate::chance;

thread_local! {
    static LIMITER: RefCell<Limiter> = RefCell::default();
}

/// Takes one event in for all of them, or for none; then says in how many seconds it can be.
pub(crate) fn take_one_of_each(of: &[(&str, Option<RateLimit>)], now_ms: u64) -> Result<(), u64> {
    LIMITER.with_borrow_mut(|limiter| limiter.take_one_of_each(of, now_ms))
}

/// Takes up to `n` events in for `who` and says how many, or in how many seconds the next can be.
pub(crate) fn take(who: &str, limit: Option<RateLimit>, n: u64) -> Result<u64, u64> {
    match limit {
        Some(limit) => {
            LIMITER.with_borrow_mut(|limiter| limiter.take(who, limit, n, chance::now_ms()))
        }
        None => Ok(n),
    }
}
