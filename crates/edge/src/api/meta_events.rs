//! Meta events: told of a change, listed, sent again.

use std::collections::HashMap;

use inlet_gateway::event::StoredEvent;
use inlet_gateway::meta_event::{self, Kind, shadow};
use inlet_gateway::resend::OVER;
use inlet_gateway::search::{self, Search};

use super::*;
use crate::meta_events::{Told, forward, note};

const MISSING: &str = "meta event not found";

/// What a project is told of one of its endpoints.
pub(super) fn tell_of(project: &Project, kind: Kind, endpoint: &Endpoint) -> Option<Told> {
    note(project, kind, || endpoint.present())
}

impl Caller<'_> {
    /// Carries out a change, together with the note of what is told of it.
    pub(super) async fn change(
        &self,
        mut statements: Vec<Statement>,
        told: Option<Told>,
    ) -> worker::Result<Vec<worker::D1Result>> {
        statements.extend(told.iter().map(|told| told.note.clone()));
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        let done = self.bindings.db()?.batch(&statements).await?;
        forward(told, self.bindings, self.context).await;
        Ok(done)
    }

    async fn deliveries_of(
        &self,
        shadow: &Project,
        events: &[StoredEvent],
    ) -> Result<HashMap<String, Delivery>, Refusal> {
        let id = |event: &StoredEvent| meta_event::delivery_id(&event.id, &shadow.uid);
        let ids: Vec<String> = events.iter().map(id).collect();
        let statement = sql::deliveries_of_ids(&shadow.uid, json!(ids));
        let rows: Vec<Delivery> = self.bindings.events(shadow.shard)?.rows(&statement).await?;
        Ok(rows.into_iter().map(|delivery| (delivery.event_id.clone(), delivery)).collect())
    }

    pub(super) async fn list_meta_events(&self, project: &Project) -> Answered {
        let shadow = shadow(project);
        let search = Search::of_dates(search::Kind::Events, &self.query)?;
        let found: list::Found<StoredEvent> =
            self.search(&shadow, &search, |event: &StoredEvent| event.id.as_str()).await?;
        let deliveries = self.deliveries_of(&shadow, &found.rows).await?;
        let strategy = &project.config.strategy;
        let shown: Vec<Value> = found
            .rows
            .iter()
            .map(|event| {
                let body = event.inline_body().ok();
                meta_event::present(event, body.as_deref(), deliveries.get(&event.id), strategy)
            })
            .collect();
        let data = json!({"content": shown, "pagination": found.pagination});
        Ok(Answer::ok(200, "Meta events fetched successfully", data))
    }

    async fn meta_event(&self, shadow: &Project, id: &str) -> Result<StoredEvent, Refusal> {
        let event = sql::event(&shadow.uid, id);
        let event: Option<StoredEvent> = self.bindings.events(shadow.shard)?.row(&event).await?;
        Ok(event.ok_or_else(|| ApiError::not_found(MISSING))?)
    }

    async fn present_meta_event(
        &self,
        project: &Project,
        event: StoredEvent,
    ) -> Result<Value, Refusal> {
        let found = [event];
        let deliveries = self.deliveries_of(&shadow(project), &found).await?;
        let [event] = found;
        let body = bodies::body_of(&event, now_ms() + BODY_WAIT_MS, self.bindings).await?;
        let body = body.as_ref().map(|(body, _)| body.as_slice());
        let strategy = &project.config.strategy;
        Ok(meta_event::present(&event, body, deliveries.get(&event.id), strategy))
    }

    pub(super) async fn get_meta_event(&self, project: &Project, id: &str) -> Answered {
        let event = self.meta_event(&shadow(project), id).await?;
        let shown = self.present_meta_event(project, event).await?;
        Ok(Answer::ok(200, "Meta event fetched successfully", shown))
    }

    pub(super) async fn resend_meta_event(&self, project: &Project, id: &str) -> Answered {
        let shadow = shadow(project);
        let event = self.meta_event(&shadow, id).await?;
        if !meta_event::is_told(project) {
            let text = "meta events are not enabled: set config.meta_event.is_enabled first";
            return Err(ApiError::bad_request(text).into());
        }
        let delivery = meta_event::delivery_id(&event.id, &shadow.uid);
        if self.reschedule(&shadow, &[delivery], OVER).await? == 0 {
            let text = "cannot resend a meta event that is still being delivered";
            return Err(ApiError::bad_request(text).into());
        }
        let shown = self.present_meta_event(project, event).await?;
        Ok(Answer::ok(200, "Meta event processed for retry successfully", shown))
    }
}
