//! Bells: queue messages that only wake somebody. What they are about is in D1; a bell that is lost is made good by
//! the sweep.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use inlet_gateway::deliver::BELL_DELAY_MAX_MS;
use inlet_gateway::route::Bell;
use inlet_gateway::seldom::Rings;
use serde_json::json;
use wasm_bindgen::JsValue;
use worker::{
    BatchMessageBuilder, Context, Delay, QueueContentType, RawMessageBuilder, SendMessage,
};

use crate::bindings::{Bindings, SEND_BATCH_MAX};
use crate::patience::{QUEUE, WRITE_WITHIN_MS, in_time};
use crate::{chance, log};

/// A text message on the ingest queue: a router should look into the journal of that shard.
pub(crate) const DRAIN: &str = "drain:";

thread_local! {
    /// For the router of each shard.
    static RINGS: RefCell<BTreeMap<u32, Rings>> = const { RefCell::new(BTreeMap::new()) };
}

fn rings<T>(shard: u32, with: impl FnOnce(&mut Rings) -> T) -> T {
    RINGS.with_borrow_mut(|rings| with(rings.entry(shard).or_default()))
}

/// Wakes the router of a shard, now or [soon](Rings).
pub(crate) fn ring_router(shard: u32, bindings: &Bindings, context: &Context) {
    let pause = rings(shard, |rings| rings.ring(chance::now_ms()));
    let Some(pause) = pause else { return };
    let bindings = bindings.clone();
    context.wait_until(async move {
        if 0 < pause {
            Delay::from(Duration::from_millis(pause)).await;
            rings(shard, |rings| rings.rung(chance::now_ms()));
        }
        if let Err(error) = send_drain(shard, &bindings).await {
            log::error("bell_not_rung", json!({"shard": shard, "error": error.to_string()}));
        }
    });
}

pub(crate) async fn send_drain(shard: u32, bindings: &Bindings) -> worker::Result<()> {
    send_drain_later(shard, 0, bindings).await
}

pub(crate) async fn send_drain_later(
    shard: u32,
    delay_ms: u64,
    bindings: &Bindings,
) -> worker::Result<()> {
    let text = JsValue::from_str(&format!("{DRAIN}{shard}"));
    let message = delayed(text, delay_ms).build_with_content_type(QueueContentType::Text);
    let queue = bindings.ingest_queue(shard)?;
    in_time(QUEUE, WRITE_WITHIN_MS, queue.send_raw(message)).await
}

fn delayed(text: JsValue, delay_ms: u64) -> RawMessageBuilder {
    let message = RawMessageBuilder::new(text);
    let seconds = u32::try_from(delay_ms.min(BELL_DELAY_MAX_MS).div_ceil(1000)).unwrap_or(u32::MAX);
    if seconds == 0 { message } else { message.delay_seconds(seconds) }
}

/// Rings for deliveries of one shard. `delay_ms` is for all of them. The error is the first; the other bells are rung all the same.
pub(crate) async fn ring_dispatcher(
    bells: &[Bell],
    delay_ms: u64,
    bindings: &Bindings,
) -> worker::Result<()> {
    let Some(shard) = bells.first().map(|bell| bell.shard) else { return Ok(()) };
    let mut rung = Ok(());
    for batch in bells.chunks(SEND_BATCH_MAX) {
        let messages = batch.iter().map(|bell| {
            let text = JsValue::from_str(&serde_json::to_string(bell).unwrap_or_default());
            delayed(text, delay_ms).build_with_content_type(QueueContentType::Text)
        });
        let messages: Vec<SendMessage<JsValue>> = messages.collect();
        let sent = async {
            let batch = BatchMessageBuilder::new().messages(messages).build();
            bindings.deliver_queue(shard)?.send_raw_batch(batch).await
        };
        if let Err(error) = in_time(QUEUE, WRITE_WITHIN_MS, sent).await {
            log::error("bell_not_rung", json!({"bells": batch.len(), "error": error.to_string()}));
            rung = rung.and(Err(error));
        }
    }
    rung
}
