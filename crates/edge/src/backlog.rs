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

/// The same, with since when the oldest delivery waits that could be made: what takes a look at all of them.
pub(crate) async fn oldest_of_all(shard: u32, now: u64, bindings: &Bindings) -> Result<Oldest> {
    let mut oldest = oldest(shard, now, bindings).await?;
    let key = format!("due:{shard}");
    if let Some(known) = SHARDS.get(&key, now, FRESH_MS) {
        return Ok(*known);
    }
    #[derive(serde::Deserialize)]
    struct Due {
        due_at: Option<u64>,
    }
    let due: Option<Due> = bindings.events(shard)?.row(&sql::oldest_due(now)).await?;
    oldest.due_at = due.and_then(|due| due.due_at);
    SHARDS.put(&key, oldest.into(), now);
    Ok(oldest)
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
