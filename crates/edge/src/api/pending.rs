//! Events that are looked for right after they were accepted.

use std::time::Duration;

use inlet_gateway::parked;
use inlet_gateway::payload::query_value;
use inlet_gateway::pending::{AGAIN_S, PAUSES_MS, is_copy, is_possible, is_recent, not_routed};
use worker::Delay;

use super::*;

/// What an id of an event leads to.
pub(super) enum FoundEvent {
    Stored(StoredEvent),
    /// The id is that of a copy; this is the event that there is.
    CopyOf(StoredEvent),
    /// It is in the journal or parked, and has no deliveries yet.
    Waiting(StoredEvent),
}

impl FoundEvent {
    fn of(event: StoredEvent, id: &str) -> Self {
        if event.id == id { Self::Stored(event) } else { Self::CopyOf(event) }
    }
}

impl Caller<'_> {
    /// Finds an event. One that was accepted a moment ago may still be on its way to the store: it is waited for, and if it is in
    /// the journal it is shown from there, unless the caller needs it `routed`.
    pub(super) async fn find_event(
        &self,
        project: &Project,
        id: &str,
        routed: bool,
    ) -> Result<FoundEvent, Refusal> {
        let events = self.bindings.events(project.shard)?;
        let mut pauses = PAUSES_MS.iter();
        loop {
            let found = events.row(&sql::event_or_original(&project.uid, id)).await?;
            if let Some(event) = found {
                return Ok(FoundEvent::of(event, id));
            }
            let waiting = self.in_journal(project, id).await?;
            let pause = pauses.next().filter(|_| is_recent(id, now_ms()));
            match (waiting, pause) {
                (Some(event), None) => return Ok(FoundEvent::Waiting(event)),
                (Some(event), _) if !routed => return Ok(FoundEvent::Waiting(event)),
                (None, None) => return Err(ApiError::not_found("event not found").into()),
                (_, Some(pause)) => Delay::from(Duration::from_millis(*pause)).await,
            }
        }
    }

    /// Finds an event that is to be sent again, which needs it routed.
    pub(super) async fn routed_event(
        &self,
        project: &Project,
        id: &str,
    ) -> Result<StoredEvent, Refusal> {
        match self.find_event(project, id, true).await? {
            FoundEvent::Stored(event) => Ok(event),
            FoundEvent::CopyOf(original) => Err(is_copy(&original.id).into()),
            FoundEvent::Waiting(event) => Err(Refusal::Later(not_routed(&event), AGAIN_S)),
        }
    }

    /// Whether an event that has just been accepted is for one of these endpoints.
    pub(super) async fn will_reach(
        &self,
        project: &Project,
        id: &str,
        endpoints: &[String],
    ) -> Result<bool, Refusal> {
        if !is_recent(id, now_ms()) {
            return Ok(false);
        }
        match self.find_event(project, id, true).await {
            Ok(FoundEvent::Waiting(event)) => Ok(event.is_addressed_to(endpoints)),
            Ok(FoundEvent::Stored(_) | FoundEvent::CopyOf(_)) => {
                let statement = sql::event_of_endpoints(&project.uid, id, endpoints);
                let events = self.bindings.events(project.shard)?;
                Ok(events.has(&statement).await?)
            }
            Err(Refusal::Api(_)) => Ok(false),
            Err(other) => Err(other),
        }
    }

    async fn in_journal(
        &self,
        project: &Project,
        id: &str,
    ) -> Result<Option<StoredEvent>, Refusal> {
        if !is_possible(id, now_ms()) {
            return Ok(None);
        }
        let rows: Vec<parked::Row> = self
            .bindings
            .events(project.shard)?
            .rows(&sql::Journal::holding(&project.uid, id))
            .await?;
        Ok(rows.iter().find_map(|row| row.event(&project.uid, id)))
    }

    /// After a list of an event's deliveries was empty: whether the event has been routed in the meantime.
    pub(super) async fn await_deliveries(&self, project: &Project) -> Result<bool, Refusal> {
        let event = query_value(&self.query, "eventId").unwrap_or_default();
        if !is_recent(&event, now_ms()) {
            return Ok(false);
        }
        match self.find_event(project, &event, true).await {
            Ok(found) => Ok(matches!(found, FoundEvent::Stored(_))),
            Err(Refusal::Api(_)) => Ok(false),
            Err(other) => Err(other),
        }
    }
}
