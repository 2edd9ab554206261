//! The counts of this isolate; what they mean is `inlet_gateway::limit`'s.

use std::cell::RefCell;

use inlet_gateway::limit::Limiter;
use inlet_gateway::pace::RateLimit;

use crate::chance;

thread_local! {
    static LIMITER: RefCell<Limiter> = RefCell::default();
}

/// Takes `n` events in for `who`, or says in how many seconds they can be.
pub(crate) fn take(who: &str, limit: Option<RateLimit>, n: u64) -> Result<(), u64> {
    match limit {
        Some(limit) => {
            LIMITER.with_borrow_mut(|limiter| limiter.take(who, limit, n, chance::now_ms()))
        }
        None => Ok(()),
    }
}
