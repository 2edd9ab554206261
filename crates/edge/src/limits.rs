//! The counts of this isolate; what they mean is `inlet_gateway::limit`'s.

use std::cell::RefCell;

use inlet_gateway::admit::Compiled;
use inlet_gateway::limit::Limiter;
use inlet_gateway::pace::RateLimit;

use crate::chance;

thread_local! {
    static LIMITER: RefCell<Limiter> = RefCell::default();
}

/// Takes one event in for all of them, or for none; then says in how many seconds it can be.
fn take_one_of_each(of: &[(&str, Option<RateLimit>)], now_ms: u64) -> Result<(), u64> {
    LIMITER.with_borrow_mut(|limiter| limiter.take_one_of_each(of, now_ms))
}

/// What a request took of its project's events. It is given back when it is dropped before an event has come of it.
pub(crate) struct Taken<'s>(Option<(&'s str, RateLimit)>);

impl<'s> Taken<'s> {
    pub(crate) fn of(source: &'s Compiled, now_ms: u64) -> Result<Self, u64> {
        take_one_of_each(&source.limits(), now_ms).map(|()| Self(source.event_limit()))
    }

    pub(crate) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some((who, limit)) = self.0 {
            LIMITER.with_borrow_mut(|limiter| limiter.give_back(who, limit));
        }
    }
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
