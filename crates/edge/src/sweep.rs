//! The sweep: whatever was durable and is not finished is picked up again. The cron runs it every minute; because
//! local runtimes fire no crons and any cron may fail, requests run it too, now and then.

use std::cell::Cell;

use inlet_gateway::meta_event::shadow;
use inlet_gateway::project::Project;
use inlet_gateway::route::bells;
use inlet_gateway::sql::{self, Journal, Statement};
use serde::Deserialize;
use serde_json::json;
use worker::{Context, Result};

use crate::bindings::Bindings;
use crate::router::{self, Waiting};
use crate::store::{Doc, rows};
use crate::{bell, chance, log, meta_events};

/// How often an isolate sweeps on its own.
const EVERY_MS: u64 = 30_000;
/// How often an isolate removes what is too old, beside the cron.
const EXPIRE_EVERY_MS: u64 = 600_000;

/// Bulks that one sweep takes; what is left waits for the next.
const ROUNDS_MAX: usize = 5;

thread_local! {
    static SWEPT_AT: Cell<u64> = const { Cell::new(0) };
    static EXPIRED_AT: Cell<u64> = const { Cell::new(0) };
}

/// Sweeps after the answer to a request was sent, when this isolate has not done so for a while.
pub(crate) fn opportunistic(bindings: &Bindings, context: &Context) {
    let now = chance::now_ms();
    if EVERY_MS < now.saturating_sub(SWEPT_AT.get()) {
        SWEPT_AT.set(now);
        let bindings = bindings.clone();
        context.wait_until(async move { sweep(&bindings).await });
    }
    if EXPIRE_EVERY_MS < now.saturating_sub(EXPIRED_AT.get()) {
        EXPIRED_AT.set(now);
        let bindings = bindings.clone();
        context.wait_until(async move { expire(&bindings).await });
    }
}

/// Sweeps all shards. One that fails does not keep the others from it.
pub(crate) async fn sweep(bindings: &Bindings) {
    SWEPT_AT.set(chance::now_ms());
    if let Err(error) = meta_events::forward_noted(bindings).await {
        log::error("meta_events_not_forwarded", json!({"error": error.to_string()}));
    }
    for shard in bindings.shards() {
        if let Err(error) = sweep_shard(shard, bindings).await {
            log::error("not_swept", json!({"shard": shard, "error": error.to_string()}));
        }
    }
}

/// Removes what is older than its project keeps it. One project whose rows cannot be removed does not keep the others from it.
pub(crate) async fn expire(bindings: &Bindings) {
    EXPIRED_AT.set(chance::now_ms());
    let expired = async {
        let projects: Vec<Doc> = bindings.db()?.rows(&sql::projects()).await?;
        for project in projects {
            let project: Project = project.read()?;
            let shadow = project.config.meta_event.is_some().then(|| shadow(&project));
            for one in std::iter::once(&project).chain(&shadow) {
                if let Err(error) = expire_project(one, bindings).await {
                    let fields = json!({"project_id": one.uid, "error": error.to_string()});
                    log::error("not_expired", fields);
                }
            }
        }
        Ok::<_, worker::Error>(())
    };
    if let Err(error) = expired.await {
        log::error("not_expired", json!({"error": error.to_string()}));
    }
}

/// A bounded step: what is left waits for the next. Bodies go before the rows that name them, so that none is left behind.
async fn expire_project(project: &Project, bindings: &Bindings) -> Result<()> {
    let now = chance::now_ms();
    let Some(cutoff) = project.config.retention_policy.cutoff(now) else { return Ok(()) };
    #[derive(Deserialize)]
    struct Old {
        id: String,
        body_key: Option<String>,
    }
    let events = bindings.events(project.shard)?;
    let mut gone = 0;
    for _ in 0..ROUNDS_MAX {
        let old: Vec<Old> = events.rows(&sql::expired_events(&project.uid, &cutoff)).await?;
        let Some(last) = old.last().map(|last| last.id.clone()) else { break };
        gone += old.len();
        let bodies: Vec<String> = old.into_iter().filter_map(|old| old.body_key).collect();
        if !bodies.is_empty() {
            bindings.bodies()?.delete_multiple(bodies).await?;
        }
        events.batch(&sql::expire_events(&project.uid, &last, now)).await?;
    }
    for _ in 0..ROUNDS_MAX {
        let removed = events.batch(&sql::expire_deliveries(&project.uid, &cutoff)).await?;
        let removed = removed.last().map(rows::<Gone>).transpose()?.unwrap_or_default();
        if removed.len() < sql::EXPIRE_ROWS {
            break;
        }
    }
    for _ in 0..ROUNDS_MAX {
        let old: Vec<Old> = events.rows(&sql::expired_dead_letters(&project.uid, &cutoff)).await?;
        let Some(last) = old.last().map(|last| last.id.clone()) else { break };
        let bodies: Vec<String> = old.into_iter().filter_map(|old| old.body_key).collect();
        if !bodies.is_empty() {
            bindings.bodies()?.delete_multiple(bodies).await?;
        }
        events.run(&sql::expire_dead_letters(&project.uid, &last)).await?;
    }
    if 0 < gone {
        log::info("expired", json!({"project_id": project.uid, "events": gone}));
    }
    Ok(())
}

/// A row that is no more.
#[derive(Deserialize)]
struct Gone {}

async fn sweep_shard(shard: u32, bindings: &Bindings) -> Result<()> {
    // A journal that cannot be drained must not keep what is stored from being delivered.
    if let Err(error) = router::drain(shard, bindings).await {
        log::error("not_drained", json!({"shard": shard, "error": error.to_string()}));
    }
    let events = bindings.events(shard)?;
    let now = chance::now_ms();

    #[derive(Deserialize)]
    struct FanOut {
        at: u64,
        id: String,
        deliveries: String,
    }
    for _ in 0..ROUNDS_MAX {
        let old = sql::old_outbox(now.saturating_sub(bindings.settings.sweep_after_ms));
        let fan_outs: Vec<FanOut> = events.rows(&old).await?;
        if fan_outs.is_empty() {
            break;
        }
        let settled: Vec<Statement> = fan_outs
            .iter()
            .flat_map(|fan_out| {
                sql::settle_outbox(fan_out.at, &fan_out.id, &fan_out.deliveries, now)
            })
            .collect();
        events.batch(&settled).await?;
    }

    for _ in 0..ROUNDS_MAX {
        let waiting: Vec<Waiting> =
            events.rows(&sql::look(now, now + bindings.settings.sweep_after_ms)).await?;
        if waiting.is_empty() {
            break;
        }
        log::info("swept", json!({"shard": shard, "deliveries": waiting.len()}));
        let bells = bells(shard, waiting.into_iter().map(Waiting::into_parts).collect());
        bell::ring_dispatcher(&bells, 0, bindings).await?;
    }

    if let Some(journal) = Journal::idle(now) {
        #[derive(Deserialize)]
        struct Emptiable {
            emptiable: u8,
        }
        let found: Option<Emptiable> = events.row(&journal.emptiable()).await?;
        if found.is_some_and(|found| found.emptiable == 1) {
            events.batch(&journal.empty()).await?;
        }
    }
    Ok(())
}
