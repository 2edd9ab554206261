//! How long stores are waited for.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::pin_mut;
use worker::{Delay, Result};

use crate::chance;

/// How long the store may take to say what it has.
pub(crate) const ANSWER_WITHIN_MS: u64 = 4_000;
/// How long a durable write may take before the other way is tried; in `js/glue.js`, too. Should it come to its end after all, two
/// copies of an event are one.
pub(crate) const WRITE_WITHIN_MS: u64 = 5_000;
/// How long the object store may take for a body before its sender is asked to come again.
pub(crate) const PUT_WITHIN_MS: u64 = 8_000;
/// How long nobody waits for it once it has not answered.
const REST_MS: u64 = 5_000;
/// Bytes that it has to hand over in a millisecond, after that.
pub(crate) const PACE: u64 = 1_000;

pub(crate) const STORE: &str = "the object store";
pub(crate) const DATABASE: &str = "the database";

thread_local! {
    static BODIES: Rc<Patience> = Rc::new(Patience::with(STORE, REST_MS));
}

/// Waits so long for a store, and not any more. What it has begun goes on without anybody.
pub(crate) async fn in_time<T>(
    store: &str,
    ms: u64,
    answer: impl Future<Output = Result<T>>,
) -> Result<T> {
    let clock = Delay::from(Duration::from_millis(ms));
    pin_mut!(answer, clock);
    match select(answer, clock).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(silent(store)),
    }
}

/// What many ask who wait one after another. Once it has been silent nobody asks it for a while: only the first waits in vain.
pub(crate) struct Patience {
    store: &'static str,
    rest_ms: u64,
    rests_until: Cell<u64>,
}

impl Patience {
    pub(crate) const fn with(store: &'static str, rest_ms: u64) -> Self {
        Self { store, rest_ms, rests_until: Cell::new(0) }
    }

    /// For the writes of one call.
    pub(crate) const fn once(store: &'static str) -> Self {
        Self::with(store, u64::MAX)
    }

    /// As [`in_time`].
    pub(crate) async fn wait<T>(
        &self,
        ms: u64,
        answer: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let began = chance::now_ms();
        if began < self.rests_until.get() {
            return Err(silent(self.store));
        }
        let told = in_time(self.store, ms, answer).await;
        let now = chance::now_ms();
        if told.is_err() && ms <= now.saturating_sub(began) {
            self.rests_until.set(now.saturating_add(self.rest_ms));
        }
        told
    }
}

fn silent(store: &str) -> worker::Error {
    worker::Error::RustError(format!("{store} does not answer"))
}

/// Waits so long for the object store to say or hand over what it has.
pub(crate) async fn told<T>(ms: u64, answer: impl Future<Output = Result<T>>) -> Result<T> {
    BODIES.with(Rc::clone).wait(ms, answer).await
}
