//! Test sessions that have ended and that nobody claimed: removed some time later, as a call to delete them would.

use inlet_gateway::hookstream::ended_before;
use inlet_gateway::sql;
use serde::Deserialize;
use serde_json::json;
use worker::Result;

use crate::bindings::Bindings;
use crate::store::count_of;
use crate::{chance, config, log, owed};

#[derive(Deserialize)]
struct Ended {
    project_id: String,
    id: String,
    mask_id: String,
}

/// A bounded step. One that cannot be removed does not keep the others from it.
pub(crate) async fn remove_ended(bindings: &Bindings) -> Result<()> {
    let before = ended_before(chance::now_ms());
    let ended: Vec<Ended> = bindings.db()?.rows(&sql::ended_sessions(before)).await?;
    for session in ended {
        if let Err(error) = remove(&session, before, bindings).await {
            let fields = json!({"source_id": session.id, "error": error.to_string()});
            log::error("session_not_removed", fields);
        }
    }
    Ok(())
}

async fn remove(session: &Ended, before_ms: u64, bindings: &Bindings) -> Result<()> {
    let Ended { project_id, id, mask_id } = session;
    // First, so that what fails is done again; and again, should a reader have put a copy back.
    config::withdraw(bindings, mask_id).await?;
    let delete = sql::delete_ended_session(project_id, id, before_ms, chance::now_ms());
    let done = bindings.db()?.batch(&delete).await?;
    config::withdraw(bindings, mask_id).await?;
    // Whoever claims it at the same time has it for good.
    if 0 < count_of(done.first())? {
        owed::pay_to(project_id, bindings).await;
        log::info("session_removed", json!({"source_id": id}));
    }
    Ok(())
}
