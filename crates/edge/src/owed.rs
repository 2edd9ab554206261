//! What changes leave to be done in the shards of their projects. It is noted with the change: what cannot be done by the call that
//! made it is done by the sweep, so that a change which is made is answered as made.

use std::collections::BTreeSet;

use inlet_gateway::sql;
use serde::Deserialize;
use serde_json::json;
use worker::Result;

use crate::bindings::Bindings;
use crate::{hold, log};

/// Notes that one call, or one sweep, goes through.
const TOGETHER: usize = 25;

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
pub(crate) async fn settle_of(project_id: &str, bindings: &Bindings) {
    settle(Some(project_id), bindings).await;
}

/// Does some of what is owed, to a project or to any. A shard that fails is asked once.
pub(crate) async fn settle(project_id: Option<&str>, bindings: &Bindings) {
    let settled: Result<()> = async {
        let notes: Vec<Note> = bindings.db()?.rows(&sql::owed(project_id, TOGETHER)).await?;
        let (mut settled, mut failed) = (Vec::new(), BTreeSet::new());
        for note in notes {
            if failed.contains(&note.shard) {
                continue;
            }
            match one(&note, bindings).await {
                Ok(()) => settled.push(json!([
                    note.project_id,
                    note.kind,
                    note.id,
                    note.endpoint_id,
                    note.at
                ])),
                Err(error) => {
                    failed.insert(note.shard);
                    let fields =
                        json!({"shard": note.shard, "kind": note.kind, "error": error.to_string()});
                    log::error("not_done_yet", fields);
                }
            }
        }
        if settled.is_empty() {
            return Ok(());
        }
        bindings.db()?.run(&sql::forget_owed(json!(settled))).await
    }
    .await;
    if let Err(error) = settled {
        log::error("not_settled", json!({"error": error.to_string()}));
    }
}

async fn one(note: &Note, bindings: &Bindings) -> Result<()> {
    let whose = (&*note.project_id, note.shard);
    match &*note.kind {
        sql::LIMIT => hold::ask_again(whose, &[&note.id], &note.endpoint_id, bindings).await,
        sql::ENDPOINT => hold::start_afresh(whose, &note.endpoint_id, bindings).await,
        sql::SOURCE => {
            let forget = sql::forget_source(&note.project_id, &note.id);
            bindings.events(note.shard)?.batch(&forget).await.map(|_| ())
        }
        // Of a newer version, which does it.
        kind => Err(worker::Error::RustError(format!("{kind:?} is not known here"))),
    }
}
