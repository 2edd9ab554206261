//! How long stores are waited for.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use futures_util::pin_mut;
use inlet_gateway::rest::Rest;
use inlet_gateway::settings::Way;
use inlet_gateway::storing;
use serde_json::json;
use worker::{Delay, Result};

use crate::{chance, log};

/// How long a store may take to answer.
pub(crate) const ANSWER_WITHIN_MS: u64 = 4_000;
/// How long a durable write may take before the other way is tried; in `js/glue.js`, too. Should it come to its end after all, two
/// copies of an event are one.
pub(crate) const WRITE_WITHIN_MS: u64 = 5_000;
/// How long the object store may take for a body before its sender is asked to come again.
pub(crate) const PUT_WITHIN_MS: u64 = 8_000;
/// How long nobody waits for the object store once it has not answered.
const REST_MS: u64 = 5_000;
/// How long events go the other way first after a durable write has not ended.
const WAY_RESTS_MS: u64 = 10_000;
/// Bytes of a body that the object store has to hand over in a millisecond, once it has answered.
pub(crate) const STORE_BYTES_PER_MS: u64 = 1_000;

pub(crate) const STORE: &str = "the object store";
pub(crate) const DATABASE: &str = "the database";
pub(crate) const QUEUE: &str = "the queue";

thread_local! {
    static BODIES: Rc<Patience> = Rc::new(Patience::with(STORE, REST_MS));
    /// The ways of one shard say nothing about those of another.
    static WAYS: RefCell<BTreeMap<(Way, u32), Rc<Patience>>> = const { RefCell::new(BTreeMap::new()) };
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

/// Asks shards side by side, each for so long. What one fails to say is logged under that name.
pub(crate) async fn ask_all<T, F: Future<Output = Result<T>>>(
    shards: impl IntoIterator<Item = u32>,
    (ms, failed): (u64, &str),
    ask: impl Fn(u32) -> F,
) -> Vec<(u32, Option<T>)> {
    let asked = shards.into_iter().map(|shard| {
        let answer = in_time(DATABASE, ms, ask(shard));
        async move {
            let answer = answer.await.inspect_err(|error| {
                log::error(failed, json!({"shard": shard, "error": error.to_string()}));
            });
            (shard, answer.ok())
        }
    });
    join_all(asked).await
}

/// What many ask who wait one after another. Once it has been silent nobody asks it for a while: only the first waits in vain.
pub(crate) struct Patience {
    store: &'static str,
    rest: Cell<Rest>,
}

impl Patience {
    pub(crate) const fn with(store: &'static str, rest_ms: u64) -> Self {
        Self { store, rest: Cell::new(Rest::of(rest_ms)) }
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
        if self.rest.get().is_on(chance::now_ms()) {
            return Err(silent(self.store));
        }
        self.watch(ms, in_time(self.store, ms, answer)).await
    }

    /// Waits for what ends by itself in that time, also while others leave it alone.
    async fn watch<T>(&self, ms: u64, answer: impl Future<Output = Result<T>>) -> Result<T> {
        let began = chance::now_ms();
        let note = |note: &dyn Fn(&mut Rest)| {
            let mut rest = self.rest.get();
            note(&mut rest);
            self.rest.set(rest);
        };
        note(&|rest| rest.asked(began, ms));
        let told = answer.await;
        note(&|rest| rest.told(told.is_ok(), (began, ms), chance::now_ms()));
        told
    }
}

fn patience_with((way, shard): (Way, u32)) -> Rc<Patience> {
    let new = || {
        let store = match way {
            Way::Queue => "the queue",
            Way::Journal => "the journal",
        };
        Rc::new(Patience::with(store, WAY_RESTS_MS))
    };
    WAYS.with_borrow_mut(|ways| Rc::clone(ways.entry((way, shard)).or_insert_with(new)))
}

/// Whether a way to durability has been silent just now.
pub(crate) fn rests(way: Way, shard: u32) -> bool {
    patience_with((way, shard)).rest.get().is_on(chance::now_ms())
}

/// Waits for a durable write, which takes [`WRITE_WITHIN_MS`] at most.
pub(crate) async fn watched<T>(
    of: (Way, u32),
    answer: impl Future<Output = Result<T>>,
) -> Result<T> {
    patience_with(of).watch(WRITE_WITHIN_MS, answer).await
}

pub(crate) fn silent(store: &str) -> worker::Error {
    worker::Error::RustError(storing::silent(store))
}

/// Waits so long for the object store to say or hand over what it has.
pub(crate) async fn told<T>(ms: u64, answer: impl Future<Output = Result<T>>) -> Result<T> {
    BODIES.with(Rc::clone).wait(ms, answer).await
}
