//! How long stores are waited for.

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::pin_mut;
use worker::{Delay, Result};

use crate::chance;

/// How long the store may take to say what it has.
pub(crate) const ANSWER_WITHIN_MS: u64 = 4_000;
/// How long nobody waits for it once it has not answered.
const REST_MS: u64 = 5_000;
/// Bytes that it has to hand over in a millisecond, after that.
pub(crate) const PACE: u64 = 1_000;

thread_local! {
    static RESTS_UNTIL: Cell<u64> = const { Cell::new(0) };
}

const STORE: &str = "the object store";

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

fn silent(store: &str) -> worker::Error {
    worker::Error::RustError(format!("{store} does not answer"))
}

/// As [`in_time`]. Of many who wait one after another only the first waits in vain: the others are told at once.
pub(crate) async fn told<T>(ms: u64, answer: impl Future<Output = Result<T>>) -> Result<T> {
    let began = chance::now_ms();
    if began < RESTS_UNTIL.get() {
        return Err(silent(STORE));
    }
    let told = in_time(STORE, ms, answer).await;
    let now = chance::now_ms();
    if told.is_err() && ms <= now.saturating_sub(began) {
        RESTS_UNTIL.set(now + REST_MS);
    }
    told
}
