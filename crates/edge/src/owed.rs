//! What changes leave to be done in the shards of their projects. It is noted with the change: what cannot be done by the call that
//! made it is done by the sweep, so that a change which is made is answered as made.

use std::collections::BTreeSet;

use inlet_gateway::sql;
use serde::Deserialize;
use serde_json::json;
use worker::Result;

use crate::bindings::Bindings;
use crate::hold::{self, Left};
use crate::{chance, log};

/// Notes that one call goes through, and after which those are forgotten that are done.
const TOGETHER: usize = 25;
/// Notes that one sweep goes through, as long as they are quickly done.
const OF_SWEEP: usize = 200;
/// When a sweep begins with no more of them.
const SWEEP_MS: u64 = 5_000;

#[derive(Deserialize)]
struct Note {
    project_id: String,
    kind: String,
    id: String,
    endpoint_id: String,
    at: u64,
    shard: u32,
}

/// Does what is owed to a project. What fails now is left to the sweep.
pub(crate) async fn pay_to(project_id: &str, bindings: &Bindings) {
    pay(Some(project_id), bindings).await;
}

/// Does some of what is owed, to a project or to any. A shard that fails is asked once.
pub(crate) async fn pay(project_id: Option<&str>, bindings: &Bindings) {
    let paid: Result<()> = async {
        let began = chance::now_ms();
        let count = if project_id.is_some() { TOGETHER } else { OF_SWEEP };
        let notes: Vec<Note> = bindings.db()?.rows(&sql::owed(project_id, count)).await?;
        let mut failed = BTreeSet::new();
        for notes in notes.chunks(TOGETHER) {
            pay_some(notes, &mut failed, bindings).await?;
            if SWEEP_MS <= chance::now_ms().saturating_sub(began) || !bindings.has_time() {
                break;
            }
        }
        Ok(())
    }
    .await;
    if let Err(error) = paid {
        log::error("not_settled", json!({"error": error.to_string()}));
    }
}

async fn pay_some(notes: &[Note], failed: &mut BTreeSet<u32>, bindings: &Bindings) -> Result<()> {
    let (mut paid, mut statements) = (Vec::new(), Vec::new());
    for note in notes {
        if failed.contains(&note.shard) {
            continue;
        }
        match one(note, bindings).await {
            Ok(Left::More) => continue,
            Ok(Left::Nothing) => {}
            Ok(Left::After(last)) => {
                let (project, endpoint) = (&*note.project_id, &*note.endpoint_id);
                statements.push(sql::owe_release(project, endpoint, &last, chance::now_ms()));
            }
            Err(error) => {
                failed.insert(note.shard);
                let fields =
                    json!({"shard": note.shard, "kind": note.kind, "error": error.to_string()});
                log::error("not_done_yet", fields);
                continue;
            }
        }
        paid.push(json!([note.project_id, note.kind, note.id, note.endpoint_id, note.at]));
    }
    if paid.is_empty() {
        return Ok(());
    }
    statements.push(sql::forget_owed(json!(paid)));
    bindings.db()?.batch(&statements).await.map(|_| ())
}

async fn one(note: &Note, bindings: &Bindings) -> Result<Left> {
    let (whose, endpoint_id) = ((&*note.project_id, note.shard), &*note.endpoint_id);
    match &*note.kind {
        sql::LIMIT => hold::ask_again(whose, &[&note.id], endpoint_id, bindings).await,
        sql::ENDPOINT => hold::start_afresh(whose, endpoint_id, bindings).await,
        sql::RELEASE => hold::release_all(whose, endpoint_id, &note.id, bindings).await,
        sql::SOURCE => {
            let forget = sql::forget_source(&note.project_id, &note.id);
            bindings.events(note.shard)?.batch(&forget).await.map(|_| Left::Nothing)
        }
        // Of a newer version, which does it.
        kind => Err(worker::Error::RustError(format!("{kind:?} is not known here"))),
    }
}
