//! How the configuration of a source reaches the edge: isolate, then KV, then D1.
//!
//! Worst staleness after a change, outside the isolate that made it: [`FRESH_MS`] here, [`KV_CACHE_S`] in KV's own
//! cache, and about 60 s until a KV write is seen everywhere: 100 s.

mod untold;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use inlet_gateway::admit::{Compiled, Snapshot};
use inlet_gateway::event_type::EventType;
use inlet_gateway::json;
use inlet_gateway::project::Project;
use inlet_gateway::rejection::Rejection;
use inlet_gateway::shape::Shared;
use inlet_gateway::source::{Source, is_mask};
use inlet_gateway::sql;
use serde_json::{Value, json};
pub(crate) use untold::{
    STEPS_OF_CALL, STEPS_OF_SWEEP, TOLD_AT_ONCE, tell_noted, untold, withdraw_all,
};
use worker::{Delay, Result};

use crate::bindings::Bindings;
use crate::known::{Isolate, Known};
use crate::patience::{DATABASE, Patience, WRITE_WITHIN_MS, in_time};
use crate::{chance, companions, log};

/// How long an isolate believes what it read.
const FRESH_MS: u64 = 10_000;
/// How long an isolate believes that a source does not exist.
const ABSENT_FRESH_MS: u64 = 3_000;
const KV_CACHE_S: u64 = 30;
/// Every copy in KV ends: a write of ours may be lost, and one that a reader puts back may be older than a write that went on at
/// the same time.
const EXPIRES_S: u64 = 300;
/// How long a project is known to have ended: longer than any copy of its sources stays in KV.
const ENDED_MS: u64 = 900_000;
/// KV takes one write a second for each key.
const PUBLISH_TRIES: u32 = 3;
const PUBLISH_PAUSE: Duration = Duration::from_millis(1_100);

thread_local! {
    static SOURCES: Known<Compiled> = Known::weighing(Compiled::bytes);
    static SCHEMAS: RefCell<Shared> = RefCell::default();
    /// Of their own: strangers who try masks must not drive out the sources that are in use.
    static ABSENT: Known<()> = Known::default();
    /// Projects that this isolate has ended, so that no copy of a source of theirs holds here.
    static ENDED: Known<()> = Known::default();
}

fn key(mask: &str) -> String {
    format!("source:{mask}")
}

/// The source behind an ingest URL.
pub(crate) async fn source(
    bindings: &Bindings,
    mask: &str,
    now: u64,
) -> std::result::Result<Rc<Compiled>, Rejection> {
    if !is_mask(mask) {
        return Err(Rejection::UnknownSource);
    }
    if let Some(source) = SOURCES.get(mask, now, FRESH_MS) {
        return Ok(source);
    }
    if ABSENT.get(mask, now, ABSENT_FRESH_MS).is_some() {
        return Err(Rejection::UnknownSource);
    }
    let source = SOURCES.get_or_read(mask, now, FRESH_MS, compiled(bindings, mask)).await?;
    source.ok_or_else(|| {
        ABSENT.put(mask, Rc::new(()), now);
        Rejection::UnknownSource
    })
}

async fn compiled(
    bindings: &Bindings,
    mask: &str,
) -> std::result::Result<Option<Compiled>, Rejection> {
    let snapshot = read(bindings, mask).await.map_err(|error| {
        log::error("config_unreadable", json!({"error": error.to_string()}));
        Rejection::NoConfig
    })?;
    let Some(snapshot) = snapshot else { return Ok(None) };
    if ENDED.get(&snapshot.source.project_id, chance::now_ms(), ENDED_MS).is_some() {
        return Ok(None);
    }
    let compiled = bindings.vault().and_then(|vault| {
        SCHEMAS.with_borrow_mut(|shared| Compiled::with(snapshot, &vault, shared))
    });
    compiled.map(Some).map_err(|error| {
        log::error("config_unusable", json!({"error": error.to_string()}));
        Rejection::NoKey
    })
}

/// How long a store may take for a source before the other is asked, or what is known is served.
const ANSWER_WITHIN_MS: u64 = 2_000;
/// How long nobody asks KV once it has not answered.
const KV_RESTS_MS: u64 = 10_000;

thread_local! {
    static KV: Rc<Patience> = Rc::new(Patience::with("KV", KV_RESTS_MS));
    /// Of its own: that a sender has waited in vain for a look is no reason not to try a change.
    static KV_WRITES: Rc<Patience> = Rc::new(Patience::with("KV", KV_RESTS_MS));
}

/// Asks KV, for two seconds at most.
async fn of_kv<T>(answer: impl Future<Output = Result<T>>) -> Result<T> {
    KV.with(Rc::clone).wait(ANSWER_WITHIN_MS, answer).await
}

async fn read(bindings: &Bindings, mask: &str) -> Result<Option<Snapshot>> {
    let kv = bindings.config()?;
    let key = key(mask);
    let found = async { Ok(kv.get(&key).cache_ttl(KV_CACHE_S).text().await?) };
    match of_kv(found).await {
        Ok(Some(text)) => {
            if let Ok(snapshot) = json::read(&text) {
                return Ok(Some(snapshot));
            }
        }
        Ok(None) => {}
        Err(error) => log::error("kv_unreadable", json!({"error": error.to_string()})),
    }
    let stored = in_time(DATABASE, ANSWER_WITHIN_MS, stored(bindings, mask)).await?;
    let Some(snapshot) = stored else { return Ok(None) };
    let text = serde_json::to_string(&snapshot)?;
    let put = async { Ok(kv.put(&key, text)?.expiration_ttl(EXPIRES_S).execute().await?) };
    if let Err(error) = of_kv(put).await {
        log::error("kv_unwritable", json!({"error": error.to_string()}));
    }
    Ok(Some(snapshot))
}

/// What the database holds for a source.
async fn stored(bindings: &Bindings, mask: &str) -> Result<Option<Snapshot>> {
    #[derive(serde::Deserialize)]
    struct Row {
        source: String,
        project: String,
    }
    let Some(row) = bindings.db()?.row::<Row>(&sql::source_of_mask(mask)).await? else {
        return Ok(None);
    };
    let source: Source = json::read(&row.source)?;
    let project: Project = json::read(&row.project)?;
    let schemas = schemas_of(bindings, &project).await?;
    Ok(Some(Snapshot::of(source, &project, schemas)))
}

/// Makes a change of a source known: in this isolate at once, elsewhere through KV. What is made known is what the
/// database holds by now, read for each try and once more after it: of two who change a source at the same time, none
/// may tell of less than both did, however long it had to wait. The error means that others may go on with what they
/// know for some minutes.
pub(crate) async fn publish(bindings: &Bindings, mask: &str) -> Result<()> {
    let mut told = None;
    spread(mask, async || {
        let now = in_time(DATABASE, WRITE_WITHIN_MS, stored(bindings, mask)).await?;
        let text = now.map(|now| serde_json::to_string(&now)).transpose()?;
        if told.as_ref() == Some(&text) {
            return Ok(true);
        }
        write(bindings, mask, text.as_deref()).await?;
        told = Some(text);
        Ok(false)
    })
    .await
}

/// Makes known that a source is no more.
pub(crate) async fn withdraw(bindings: &Bindings, mask: &str) -> Result<()> {
    spread(mask, async || write(bindings, mask, None).await.map(|()| true)).await
}

/// Makes known in this isolate that a project has ended: all of its sources at once, however many the edge has still to hear of.
pub(crate) fn end_project(project_id: &str) {
    ENDED.put(project_id, Rc::new(()), chance::now_ms());
    SOURCES.clear();
    companions::forget();
}

/// Has every isolate hear of a change, in so many steps as `step` takes; what fails is tried again.
async fn spread(mask: &str, mut step: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    companions::forget();
    let mut failures = 0;
    let spread = loop {
        forget(mask);
        match step().await {
            Ok(true) => break Ok(()),
            Ok(false) => {}
            Err(error) => {
                log::error("kv_unwritable", json!({"error": error.to_string()}));
                failures += 1;
                if failures == PUBLISH_TRIES {
                    break Err(error);
                }
                Delay::from(PUBLISH_PAUSE).await;
            }
        }
    };
    forget(mask);
    companions::forget();
    spread
}

async fn write(bindings: &Bindings, mask: &str, text: Option<&str>) -> Result<()> {
    let kv = bindings.config()?;
    let written = async {
        match text {
            Some(text) => Ok(kv.put(&key(mask), text)?.expiration_ttl(EXPIRES_S).execute().await?),
            None => Ok(kv.delete(&key(mask)).await?),
        }
    };
    KV_WRITES.with(Rc::clone).wait(WRITE_WITHIN_MS, written).await
}

fn forget(mask: &str) {
    SOURCES.remove(mask);
    ABSENT.remove(mask);
}

/// The JSON schemas of a project's event types, by name.
async fn schemas_of(bindings: &Bindings, project: &Project) -> Result<BTreeMap<String, Value>> {
    let mut schemas = BTreeMap::new();
    if project.has_schemas {
        let types: Vec<EventType> =
            bindings.db()?.docs(&sql::event_schemas(&project.uid, None)).await?;
        for EventType { name, json_schema, .. } in types {
            schemas.extend(json_schema.map(|schema| (name, schema)));
        }
    }
    Ok(schemas)
}
