//! The sweep: whatever was durable and is not finished is picked up again. The cron runs it every minute; because
//! local runtimes fire no crons and any cron may fail, requests run it too, now and then ([`Sweeps`]).

use std::cell::Cell;
use std::collections::HashSet;

use futures_util::future::join;
use futures_util::stream::{self, StreamExt};
use inlet_gateway::ids;
use inlet_gateway::meta_event::shadow_id;
use inlet_gateway::project::Project;
use inlet_gateway::retention::{
    Deleted, End, Ending, Expiring, Old, cutoffs, ending, in_turn, is_forgotten,
};
use inlet_gateway::route::Waiting;
use inlet_gateway::seldom::Sweeps;
use inlet_gateway::sql::{self, Journal, Statement};
use serde::Deserialize;
use serde_json::json;
use worker::{Context, Result};

use crate::bindings::Bindings;
use crate::store::{Store, count_of};
use crate::{bell, chance, config, drain, gone, hold, log, meta_events, owed, parked, sessions};

/// What clocks may differ by where a bell is to ring behind the end of a lease.
const CLOCKS_MS: u64 = 1_000;
/// Bulks that one sweep takes; what is left waits for the next.
const ROUNDS_MAX: usize = 5;

/// Shards that are seen to side by side: one that does not answer holds up few, and what waits in some of them fits into memory.
const SHARDS_AT_ONCE: usize = 4;

thread_local! {
    static SWEEPS: Cell<Sweeps> = const { Cell::new(Sweeps::new()) };
}

fn sweeps<T>(with: impl FnOnce(&mut Sweeps) -> T) -> T {
    let mut sweeps = SWEEPS.get();
    let answer = with(&mut sweeps);
    SWEEPS.set(sweeps);
    answer
}

/// Sweeps after the answer to a request was sent, when this isolate has not done so for a while.
pub(crate) fn opportunistic(bindings: &Bindings, context: &Context) {
    let (now, is_local) = (chance::now_ms(), bindings.settings.local_queue);
    if let Some(due) = sweeps(|sweeps| sweeps.sweep(now, is_local)) {
        let bindings = bindings.until(due.until);
        context.wait_until(async move { sweep(&bindings).await });
    }
    if sweeps(|sweeps| sweeps.expires(now, is_local)) {
        let bindings = bindings.clone();
        context.wait_until(async move { expire(&bindings).await });
    }
}

/// Sweeps all shards. One that fails does not keep the others from it.
pub(crate) async fn sweep(bindings: &Bindings) {
    sweeps(|sweeps| sweeps.note_sweep(chance::now_ms()));
    if let Err(error) = meta_events::forward_noted(bindings).await {
        log::error("meta_events_not_forwarded", json!({"error": error.to_string()}));
    }
    if let Err(error) = config::tell_noted(None, config::STEPS_OF_SWEEP, bindings).await {
        log::error("sources_not_told", json!({"error": error.to_string()}));
    }
    let shards = stream::iter(bindings.shards());
    // However much functions take for what is new, they have as much for what is parked.
    let of_parked = &bindings.refuelled();
    let swept = shards.for_each_concurrent(SHARDS_AT_ONCE, |shard| async move {
        if let Err(error) = sweep_shard(shard, bindings, of_parked).await {
            log::error("not_swept", json!({"shard": shard, "error": error.to_string()}));
        }
    });
    // What is owed to a shard that does not answer holds up no other.
    join(owed::pay(None, bindings), swept).await;
}

/// Removes what is older than its project keeps it, and what deleted projects have left.
pub(crate) async fn expire(bindings: &Bindings) {
    sweeps(|sweeps| sweeps.note_expiry(chance::now_ms()));
    if let Err(error) = sessions::remove_ended(bindings).await {
        log::error("sessions_not_removed", json!({"error": error.to_string()}));
    }
    if let Err(error) = gone::forget(bindings).await {
        log::error("not_forgotten", json!({"error": error.to_string()}));
    }
    if let Err(error) = expire_some(bindings).await {
        log::error("not_expired", json!({"error": error.to_string()}));
    }
}

/// The part of it that is of projects: of so many as one invocation bears.
async fn expire_some(bindings: &Bindings) -> Result<()> {
    let now = chance::now_ms();
    let db = &bindings.db()?;
    let unreadable = |error: &worker::Error| {
        log::error("project_unreadable", json!({"error": error.to_string()}));
    };
    let projects = db.each_doc(&sql::projects()).await?.into_iter();
    let projects: Vec<Project> =
        projects.filter_map(|project| project.inspect_err(unreadable).ok()).collect();
    let deleted: Vec<Deleted> = db.rows(&sql::deleted_projects()).await?;
    let ending = &ending(&projects, deleted, now);
    let shards = &bindings.shards();
    let found = stream::iter(shards).map(|shard| async move {
        with_expired(*shard, ending, now, bindings).await.unwrap_or_else(|error| {
            log::error("not_expired", json!({"shard": shard, "error": error.to_string()}));
            Vec::new()
        })
    });
    let found: Vec<Vec<String>> = found.buffer_unordered(SHARDS_AT_ONCE).collect().await;
    let found: HashSet<&String> = found.iter().flatten().collect();
    let turn = &in_turn(ending.iter().collect(), now, |one: &&Ending| match one.end {
        End::Cutoff(_) => found.contains(&one.id),
        End::Deleted(_) => shards.contains(&one.shard),
    });
    let expired = stream::iter(shards).for_each_concurrent(SHARDS_AT_ONCE, |shard| async move {
        for one in turn.iter().filter(|one| one.shard == *shard) {
            // One project whose rows cannot be removed does not keep the others from it.
            if let Err(error) = end(one, now, db, bindings).await {
                let fields = json!({"project_id": one.id, "error": error.to_string()});
                log::error("not_expired", fields);
            }
        }
    });
    expired.await;
    Ok(())
}

async fn end(one: &Ending, now: u64, db: &Store, bindings: &Bindings) -> Result<()> {
    match &one.end {
        End::Cutoff(cutoff) => {
            expire_project(&one.id, one.shard, cutoff, false, bindings).await.map(|_| ())
        }
        End::Deleted(at) => {
            let is_empty = remove(&one.id, one.shard, bindings).await;
            if is_empty && is_forgotten(*at, now) {
                db.run(&sql::forget_project(&one.id)).await?;
            }
            Ok(())
        }
    }
}

/// Removes claims of a shard that have ended, and says which of its projects have rows before their cutoff.
async fn with_expired(
    shard: u32,
    ending: &[Ending],
    now: u64,
    bindings: &Bindings,
) -> Result<Vec<String>> {
    let events = bindings.events(shard)?;
    for _ in 0..ROUNDS_MAX {
        let removed = events.batch(&sql::expire_claims(now)).await?;
        if count_of(removed.last())? < sql::EXPIRE_ROWS {
            break;
        }
    }
    let cutoffs = cutoffs(ending, shard);
    if cutoffs.is_empty() {
        return Ok(Vec::new());
    }
    #[derive(Deserialize)]
    struct Found {
        id: String,
    }
    let found: Vec<Found> = events.rows(&sql::with_expired(json!(cutoffs))).await?;
    Ok(found.into_iter().map(|found| found.id).collect())
}

/// Removes the events of a deleted project, and all that is theirs, in a bounded step. Says whether nothing is left.
pub(crate) async fn remove(project: &str, shard: u32, bindings: &Bindings) -> bool {
    // No uid is greater.
    let removed = async {
        let mut is_empty = true;
        for id in [project, &shadow_id(project)] {
            is_empty &= expire_project(id, shard, "~", true, bindings).await?;
        }
        if is_empty {
            bindings.events(shard)?.batch(&sql::delete_remains(project)).await?;
        }
        Ok::<_, worker::Error>(is_empty)
    };
    removed.await.unwrap_or_else(|error| {
        log::error("not_removed", json!({"project_id": project, "error": error.to_string()}));
        false
    })
}

/// A bounded step; says whether nothing is left before the cutoff. Bodies go before the rows that name them, so that none is
/// left behind.
async fn expire_project(
    project: &str,
    shard: u32,
    cutoff: &str,
    is_deleted: bool,
    bindings: &Bindings,
) -> Result<bool> {
    let now = chance::now_ms();
    let events = bindings.events(shard)?;
    let mut is_empty = true;
    for kind in Expiring::ALL {
        let mut gone = 0;
        for round in 1..=ROUNDS_MAX {
            let old: Vec<Old> = events.rows(&kind.list(project, cutoff)).await?;
            let count = old.len();
            if let Some(last) = old.last().map(|last| last.id.clone()) {
                let bodies: Vec<String> =
                    old.into_iter().flat_map(|one| kind.bodies(project, one)).collect();
                if !bodies.is_empty() {
                    bindings.bodies()?.delete_multiple(bodies).await?;
                }
                events.batch(&kind.remove(project, &last, now, is_deleted)).await?;
                gone += count;
            }
            if count < sql::EXPIRE_ROWS {
                break;
            }
            is_empty &= round < ROUNDS_MAX;
        }
        if 0 < gone {
            let kind = format!("{kind:?}");
            log::info("expired", json!({"project_id": project, "kind": kind, "rows": gone}));
        }
    }
    for round in 1..=ROUNDS_MAX {
        let removed = events.batch(&sql::expire_deliveries(project, cutoff)).await?;
        if count_of(removed.last())? < sql::EXPIRE_ROWS {
            break;
        }
        is_empty &= round < ROUNDS_MAX;
    }
    if let Some(before) = ids::time_of(cutoff) {
        events.run(&sql::expire_rejections(project, before)).await?;
    }
    Ok(is_empty)
}

async fn sweep_shard(shard: u32, bindings: &Bindings, of_parked: &Bindings) -> Result<()> {
    if !bindings.has_time() {
        return Ok(());
    }
    // A journal that cannot be drained must not keep what is stored from being delivered.
    let drained = match drain::drain(shard, bindings).await {
        // Whoever has it may have died, and the next sweep is a minute away.
        Ok(Some(until)) => {
            let lasts = until.saturating_sub(chance::now_ms());
            bell::send_drain_later(shard, lasts + CLOCKS_MS, bindings).await
        }
        drained => drained.map(drop),
    };
    if let Err(error) = drained {
        log::error("not_drained", json!({"shard": shard, "error": error.to_string()}));
    }
    if let Err(error) = parked::route_due(shard, of_parked).await {
        log::error("parked_not_routed", json!({"shard": shard, "error": error.to_string()}));
    }
    if !bindings.has_time() {
        return Ok(());
    }
    let events = bindings.events(shard)?;
    let now = chance::now_ms();

    #[derive(Deserialize)]
    struct FanOut {
        at: u64,
        id: String,
        deliveries: String,
    }
    for _ in bindings.rounds(ROUNDS_MAX) {
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

    events.run(&Journal::watch_under_way(now)).await?;
    for _ in bindings.rounds(ROUNDS_MAX) {
        let waiting: Vec<Waiting> =
            events.rows(&sql::look(now, now + bindings.settings.sweep_after_ms)).await?;
        if waiting.is_empty() {
            break;
        }
        log::info("swept", json!({"shard": shard, "deliveries": waiting.len()}));
        hold::wake(shard, waiting, bindings).await?;
    }

    // What was done above may have taken its time.
    if let Some(journal) = Journal::idle(chance::now_ms()) {
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
