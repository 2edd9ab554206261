//! Meta events on their way: noted with a change, written with a delivery's record, forwarded by the sweep.

use std::collections::BTreeSet;

use inlet_gateway::deliver::{Attempt, Delivery, Settled};
use inlet_gateway::endpoint::Endpoint;
use inlet_gateway::meta_event::{self, Kind};
use inlet_gateway::project::Project;
use inlet_gateway::sql::{self, Journal, Statement};
use inlet_gateway::wire::{Envelope, Text};
use serde::Deserialize;
use serde_json::{Value, json};
use worker::{Context, Result};

use crate::bindings::Bindings;
use crate::{chance, ingest, log};

/// What a project is told of a change, and the statement that notes it in the transaction of the change.
pub(crate) struct Told {
    envelope: Envelope,
    pub(crate) note: Statement,
}

impl Told {
    /// What is noted, for a caller that notes several at once.
    pub(crate) fn row(&self) -> Value {
        let (meta, body) = self.envelope.to_row();
        json!([self.envelope.meta.event_id, meta, body.text])
    }
}

/// What is noted for a project; `None` when it does not want to know.
pub(crate) fn note(project: &Project, kind: Kind, data: impl FnOnce() -> Value) -> Option<Told> {
    let now = chance::now_ms();
    let envelope = meta_event::envelope(project, kind, data, now, || chance::uid(now))?;
    let (meta, body) = envelope.to_row();
    let note = sql::note_meta_event(&envelope.meta.event_id, &meta, &body.text);
    Some(Told { envelope, note })
}

/// Sends what was noted on its way. Should that fail, the sweep does it.
pub(crate) async fn forward(
    told: impl IntoIterator<Item = Told>,
    bindings: &Bindings,
    context: &Context,
) {
    let envelopes: Vec<Envelope> = told.into_iter().map(|told| told.envelope).collect();
    if envelopes.is_empty() {
        return;
    }
    let ids: Vec<String> = envelopes.iter().map(|one| one.meta.event_id.clone()).collect();
    let done = ingest::make_all_durable(envelopes, ingest::Order::Free, bindings, context).await;
    let ids: Vec<String> =
        ids.into_iter().zip(done).filter_map(|(id, done)| done.ok().map(|()| id)).collect();
    if let Err(error) = forget(&ids, bindings).await {
        log::error("meta_event_not_forgotten", json!({"error": error.to_string()}));
    }
}

async fn forget(ids: &[String], bindings: &Bindings) -> Result<()> {
    bindings.db()?.run(&sql::forget_meta_events(json!(ids))).await
}

/// Puts into the journals what was noted and did not get away; what is for a shard that fails waits alone. Twice is once: a meta
/// event has its id already.
pub(crate) async fn forward_noted(bindings: &Bindings) -> Result<()> {
    #[derive(Deserialize)]
    struct Noted {
        id: String,
        meta: String,
        body: String,
    }
    let noted: Vec<Noted> = bindings.db()?.rows(&sql::noted_meta_events()).await?;
    let mut done = Vec::with_capacity(noted.len());
    let mut failed = BTreeSet::new();
    for Noted { id, meta, body } in noted {
        match Envelope::from_row(&meta, &Text { text: body.into(), is_base64: false }) {
            Ok(envelopes) => {
                if append_to_well(&envelopes, &mut failed, bindings).await {
                    done.push(id);
                }
            }
            Err(error) => {
                log::error("meta_event_damaged", json!({"id": id, "error": error.to_string()}));
                done.push(id);
            }
        }
    }
    if done.is_empty() { Ok(()) } else { forget(&done, bindings).await }
}

/// Appends envelopes where their shard has not failed before, and says whether all of them are there now.
async fn append_to_well(
    envelopes: &[Envelope],
    failed: &mut BTreeSet<u32>,
    bindings: &Bindings,
) -> bool {
    for envelope in envelopes {
        let shard = envelope.meta.shard;
        if failed.contains(&shard) {
            return false;
        }
        if let Err(error) = ingest::append(bindings, envelope).await {
            let fields = json!({"shard": shard, "error": error.to_string()});
            log::error("meta_events_not_forwarded", fields);
            failed.insert(shard);
            return false;
        }
    }
    true
}

/// The statement that tells a project what became of a delivery, to be run before it is recorded.
pub(crate) fn of_delivery(
    project: &Project,
    delivery: &Delivery,
    settled: &Settled,
    attempt: Option<&Attempt>,
    lease_until: u64,
) -> Option<Statement> {
    let now = chance::now_ms();
    let id = || chance::uid(now);
    let envelope = meta_event::of_delivery(project, delivery, settled, attempt, now, id)?;
    let (meta, body) = envelope.to_row();
    let (project, delivery) = (delivery.project_id.as_str(), delivery.id.as_str());
    Some(Journal::at(now).append_leased(&meta, &body.text, project, delivery, lease_until))
}

/// Where the meta events go that are in a project's shadow. `None` when nobody wants them any more.
pub(crate) async fn receiver(
    project_id: &str,
    bindings: &Bindings,
) -> Result<Option<(Endpoint, Project)>> {
    let project: Option<Project> = bindings.db()?.doc(&sql::project(project_id)).await?;
    Ok(project.as_ref().and_then(meta_event::receiver))
}
