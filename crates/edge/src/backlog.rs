//! Looks at what waits in a shard, at most once a second in an isolate.

use inlet_gateway::backlog::Oldest;
use inlet_gateway::sql;
use worker::Result;

use crate::bindings::Bindings;
use crate::known::{Isolate, Known};

const FRESH_MS: u64 = 1_000;

thread_local! {
    static SHARDS: Known<Oldest> = Known::default();
}

/// What waits longest in a shard.
pub(crate) async fn oldest(shard: u32, now: u64, bindings: &Bindings) -> Result<Oldest> {
    let key = shard.to_string();
    if let Some(oldest) = SHARDS.get(&key, now, FRESH_MS) {
        return Ok(*oldest);
    }
    let oldest: Option<Oldest> = bindings.events(shard)?.row(&sql::oldest_waiting()).await?;
    let oldest = oldest.unwrap_or_default();
    SHARDS.put(&key, oldest.into(), now);
    Ok(oldest)
}
