//! What is left of deleted subscriptions, forgotten when no delivery can belong to one any more.

use std::collections::BTreeMap;

use inlet_gateway::retention::is_past_before;
use inlet_gateway::sql;
use serde::Deserialize;
use serde_json::{Value, json};
use worker::Result;

use crate::bindings::Bindings;
use crate::{chance, log};

#[derive(Deserialize)]
struct Left {
    id: String,
    shard: u32,
}

#[derive(Deserialize)]
struct Oldest {
    id: String,
    oldest: Option<String>,
}

/// A bounded step. A shard that does not answer keeps the others from nothing.
pub(crate) async fn forget(bindings: &Bindings) -> Result<()> {
    let now = chance::now_ms();
    let left: Vec<Left> = bindings.db()?.rows(&sql::with_gone(is_past_before(None, now))).await?;
    let mut shards: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for project in &left {
        shards.entry(project.shard).or_default().push(&project.id);
    }
    let mut past: Vec<Value> = Vec::new();
    for (shard, projects) in shards {
        let read: Result<Vec<Oldest>> =
            async { bindings.events(shard)?.rows(&sql::oldest_deliveries(&projects)).await }.await;
        match read {
            Ok(found) => past.extend(found.iter().map(|project| {
                json!([project.id, is_past_before(project.oldest.as_deref(), now)])
            })),
            Err(error) => {
                log::error("not_forgotten", json!({"shard": shard, "error": error.to_string()}));
            }
        }
    }
    if past.is_empty() {
        return Ok(());
    }
    let forgotten = bindings.db()?.count(&sql::forget_gone(&json!(past))).await?;
    if 0 < forgotten {
        log::info("subscriptions_forgotten", json!({"rows": forgotten}));
    }
    Ok(())
}
