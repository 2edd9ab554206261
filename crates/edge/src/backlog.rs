//! Looks at what waits in a shard, at most once a second in an isolate.

use futures_util::future::join;
use inlet_gateway::backlog::{Oldest, Queued};
use inlet_gateway::{shard, sql};
use serde_json::json;
use worker::Result;

use crate::bindings::Bindings;
use crate::known::{Isolate, Known};
use crate::log;
use crate::patience::{ANSWER_WITHIN_MS, DATABASE, QUEUE, in_time};

const FRESH_MS: u64 = 1_000;
/// How long a queue has to say what waits in it: the database is what counts.
const QUEUE_WITHIN_MS: u64 = 1_000;
/// Which shards projects live in is read from all of them.
const NAMED_FRESH_MS: u64 = 30_000;

thread_local! {
    static SHARDS: Known<Oldest> = Known::default();
    static NAMED: Known<Vec<u32>> = Known::default();
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

/// What waits longest in a shard, and in its ingest queue where that can be told.
pub(crate) async fn oldest_with_queue(shard: u32, now: u64, bindings: &Bindings) -> Result<Oldest> {
    let queued = in_time(QUEUE, QUEUE_WITHIN_MS, bindings.queued(shard));
    let (oldest, queued) = join(oldest(shard, now, bindings), queued).await;
    let queued = queued.inspect_err(|error| {
        log::error("queue_unreadable", json!({"shard": shard, "error": error.to_string()}));
    });
    Ok(Oldest { queued_at: queued.ok().and_then(Queued::since), ..oldest? })
}

/// What waits longest in a shard, with since when the oldest delivery waits that could be made: what takes a look at all of them.
pub(crate) async fn oldest_of_all(shard: u32, now: u64, bindings: &Bindings) -> Result<Oldest> {
    let mut oldest = oldest_with_queue(shard, now, bindings).await?;
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

/// The shards that are there, and those that projects live in although they are not: nobody may take them for well.
pub(crate) async fn shards(now: u64, bindings: &Bindings) -> Vec<u32> {
    shard::all(bindings.shards(), named(now, bindings).await.unwrap_or_default())
}

/// The shards that projects live in.
async fn named(now: u64, bindings: &Bindings) -> Result<Vec<u32>> {
    if let Some(known) = NAMED.get("", now, NAMED_FRESH_MS) {
        return Ok(known.to_vec());
    }
    #[derive(serde::Deserialize)]
    struct Named {
        shard: u32,
    }
    let asked = async { bindings.db()?.rows::<Named>(&sql::projects_of_shards()).await };
    let named = in_time(DATABASE, ANSWER_WITHIN_MS, asked).await?;
    let named: Vec<u32> = named.into_iter().map(|one| one.shard).collect();
    NAMED.put("", named.clone().into(), now);
    Ok(named)
}
