//! A change of a project concerns all of its sources, and there may be thousands. They are noted in the transaction of the
//! change, and told in bounded steps: some by the call itself, the others by the sweep.

use std::collections::HashMap;

use futures_util::future::join_all;

use super::*;

/// Sources that are told together: for each a write to KV. All that is said of them is held at once.
const TOGETHER: usize = 50;
/// Writes to KV under way at once: a Worker has six connections.
const AT_ONCE: usize = 6;
/// Steps of a call, and of a sweep.
pub(crate) const STEPS_OF_CALL: usize = 4;
pub(crate) const STEPS_OF_SWEEP: usize = 10;
/// Sources that a call tells.
pub(crate) const TOLD_AT_ONCE: usize = STEPS_OF_CALL * TOGETHER;

#[derive(serde::Deserialize)]
struct Note {
    project_id: String,
    mask_id: String,
    at: u64,
}

/// Tells of sources that are noted, of `project` or of any, in so many steps. The error means that some were not told, and are
/// noted still.
pub(crate) async fn tell_noted(
    project: Option<&str>,
    steps: usize,
    bindings: &Bindings,
) -> Result<()> {
    for _ in bindings.rounds(steps) {
        let notes: Vec<Note> = bindings.db()?.rows(&sql::untold(project, TOGETHER)).await?;
        if notes.is_empty() {
            break;
        }
        let masks: Vec<&str> = notes.iter().map(|note| note.mask_id.as_str()).collect();
        let mut failure = None;
        let mut told = Vec::with_capacity(notes.len());
        for (note, done) in notes.iter().zip(tell(&masks, bindings).await?) {
            match done {
                Ok(()) => told.push((&note.project_id, &note.mask_id, note.at)),
                Err(error) => failure = Some(error),
            }
        }
        bindings.db()?.run(&sql::forget_untold(json!(told))).await?;
        if let Some(error) = failure {
            return Err(error);
        }
    }
    Ok(())
}

/// How many sources of a project are noted.
pub(crate) async fn untold(project: &str, bindings: &Bindings) -> Result<u64> {
    #[derive(serde::Deserialize)]
    struct Count {
        n: u64,
    }
    let count: Option<Count> = bindings.db()?.row(&sql::count_untold(project)).await?;
    Ok(count.map_or(0, |count| count.n))
}

/// As [`publish`], for many: what the database holds of them is read once before they are told, and once after it; who was
/// changed in between is told by itself.
async fn tell(masks: &[&str], bindings: &Bindings) -> Result<Vec<Result<()>>> {
    forget_all(masks);
    let before = texts(masks, bindings).await?;
    let mut told = Vec::with_capacity(masks.len());
    for some in masks.chunks(AT_ONCE) {
        let writes = some.iter().map(|mask| {
            let text = before.get(*mask).map(String::as_str);
            spread(mask, async move || write(bindings, mask, text).await.map(|()| true))
        });
        told.extend(join_all(writes).await);
    }
    let after = texts(masks, bindings).await?;
    for (mask, told) in masks.iter().zip(&mut told) {
        if told.is_ok() && before.get(*mask) != after.get(*mask) {
            *told = publish(bindings, mask).await;
        }
    }
    forget_all(masks);
    Ok(told)
}

/// Makes known of many sources that they are no more.
pub(crate) async fn withdraw_all(masks: &[String], bindings: &Bindings) -> Result<()> {
    for some in masks.chunks(AT_ONCE) {
        let writes = some.iter().map(|mask| withdraw(bindings, mask));
        join_all(writes).await.into_iter().collect::<Result<Vec<()>>>()?;
    }
    Ok(())
}

fn forget_all(masks: &[&str]) {
    for mask in masks {
        forget(mask);
    }
}

/// What the edge should know by now of each source that there is, by mask. Of one that cannot be read it should know nothing.
async fn texts(masks: &[&str], bindings: &Bindings) -> Result<HashMap<String, String>> {
    #[derive(serde::Deserialize)]
    struct Row {
        mask_id: String,
        source: String,
        project: String,
    }
    let rows: Vec<Row> = bindings.db()?.rows(&sql::sources_of_masks(masks)).await?;
    let mut schemas: HashMap<String, BTreeMap<String, Value>> = HashMap::new();
    let mut texts = HashMap::with_capacity(rows.len());
    for row in rows {
        let (Ok(source), Ok(project)) =
            (json::read::<Source>(&row.source), json::read::<Project>(&row.project))
        else {
            log::error("source_unreadable", json!({"mask_id": row.mask_id}));
            continue;
        };
        let schemas = match schemas.get(&project.uid) {
            Some(known) => known.clone(),
            None => {
                let read = schemas_of(bindings, &project).await?;
                schemas.insert(project.uid.clone(), read.clone());
                read
            }
        };
        let snapshot = Snapshot::of(source, &project, schemas);
        texts.insert(row.mask_id, serde_json::to_string(&snapshot)?);
    }
    Ok(texts)
}
