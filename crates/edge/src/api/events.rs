//! Events, their deliveries and the attempts.

use std::collections::HashMap;

use inlet_gateway::deliver::Undeliverable;
use inlet_gateway::page::Pagination;
use inlet_gateway::parked;
use inlet_gateway::route::Owned;
use inlet_gateway::search::{Kind, Search};
use worker::D1Result;

use super::list::Found;
use super::pending::FoundEvent;
use super::*;

/// An answer whose JSON is written already.
pub(super) fn json_text(text: String) -> Reply {
    Reply {
        status: 200,
        content_type: "application/json".into(),
        headers: Vec::new(),
        body: text.into_bytes(),
    }
}

/// [`json_text`] of the envelope around `data`, which is the text of JSON.
pub(super) fn json_data(message: &str, data: &str) -> Reply {
    json_text(json::with_raw(&json!({"status": true, "message": message}), &[("data", data)]))
}

/// The `data` of a page whose rows are texts of JSON.
fn page_of(rows: &[String], pagination: &Pagination) -> String {
    let content = format!("[{}]", rows.join(","));
    json::with_raw(&json!({"pagination": pagination}), &[("content", &content)])
}

impl Caller<'_> {
    pub(super) async fn get_event(&self, project: &Project, id: &str) -> Result<Reply, Refusal> {
        let (mut event, duplicate) = match self.find_event(project, id, false).await? {
            FoundEvent::Stored(event) | FoundEvent::Waiting(event) => (event, None),
            FoundEvent::CopyOf(original) => (original, Some(id)),
        };
        let body = bodies::body_of(&event, now_ms() + BODY_WAIT_MS, self.bindings).await;
        if event.waits_for().is_some() && !matches!(body, Ok(Some(_))) {
            // What it lacks is its body, and why stands on it.
            let event = self.scope.shown(event);
            let pointed = self.pointed_by(project, std::slice::from_ref(&event)).await?;
            let data = event.present_in_list(&pointed);
            return Ok(json_data("Endpoint event fetched successfully", &data));
        }
        let (body, _loan) =
            body?.ok_or_else(|| ApiError::new(410, Undeliverable::BodyGone.to_string()))?;
        let raw = match event.arrived_key() {
            Some(key) => {
                bodies::read(&key, &project.uid, now_ms() + BODY_WAIT_MS, self.bindings).await?
            }
            None => None,
        };
        if let Some((raw, _)) = &raw {
            event.put_raw(raw);
        }
        let event = self.scope.shown(event);
        let pointed = self.pointed_by(project, std::slice::from_ref(&event)).await?;
        let data = event.present_with(&body, duplicate, &pointed);
        Ok(json_data("Endpoint event fetched successfully", &data))
    }

    pub(super) async fn delivery(&self, project: &Project, id: &str) -> Result<Delivery, Refusal> {
        let delivery: Option<Delivery> =
            self.bindings.events(project.shard)?.row(&sql::delivery(&project.uid, id)).await?;
        Ok(delivery.ok_or_else(|| ApiError::not_found("event delivery not found"))?)
    }

    pub(super) async fn list_events(&self, project: &Project) -> Result<Reply, Refusal> {
        let mut search = self.scope.search(Kind::Events, &self.query)?;
        self.know_owner(project, &mut search).await?;
        let statements = |look: &Search, end: Option<&str>| {
            vec![
                sql::search(look, &project.uid, end, &[]),
                sql::search_parked(look, &project.uid, end),
            ]
        };
        let read = |look: &Search, results: &[D1Result]| {
            let [stored, parked] = results else { return Ok(Vec::new()) };
            let waiting: Vec<parked::Row> = rows(parked)?;
            Ok(parked::together(rows(stored)?, &waiting, look, &project.uid))
        };
        let found = self
            .search_by(project, &search, (statements, read), |event: &StoredEvent| {
                event.id.as_str()
            })
            .await?;
        let mut rows = found.rows;
        let mut went = self.endpoints_of(project, &rows).await?;
        for event in &mut rows {
            event.endpoints = Some(went.remove(&event.id).unwrap_or_else(|| "[]".to_owned()));
        }
        let events: Vec<StoredEvent> =
            rows.into_iter().map(|event| self.scope.shown(event)).collect();
        let pointed = self.pointed_by(project, &events).await?;
        let shown: Vec<String> =
            events.iter().map(|event| event.present_in_list(&pointed)).collect();
        Ok(json_data("App events fetched successfully", &page_of(&shown, &found.pagination)))
    }

    /// The endpoints that events went to, as JSON, by event.
    async fn endpoints_of(
        &self,
        project: &Project,
        events: &[StoredEvent],
    ) -> Result<HashMap<String, String>, Refusal> {
        #[derive(Deserialize)]
        struct Went {
            event_id: String,
            endpoints: String,
        }
        if events.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
        let statement = sql::endpoints_of_events(&project.uid, &ids);
        let went: Vec<Went> = self.bindings.events(project.shard)?.rows(&statement).await?;
        Ok(went.into_iter().map(|one| (one.event_id, one.endpoints)).collect())
    }

    pub(super) async fn list_deliveries(&self, project: &Project) -> Result<Reply, Refusal> {
        let mut search = self.scope.search(Kind::Deliveries, &self.query)?;
        self.know_owner(project, &mut search).await?;
        let mut found: Found<Delivery> =
            self.search(project, &search, |delivery: &Delivery| delivery.id.as_str()).await?;
        if found.rows.is_empty() && self.await_deliveries(project).await? {
            found =
                self.search(project, &search, |delivery: &Delivery| delivery.id.as_str()).await?;
        }
        let shown = self.shown_deliveries(project, &found.rows).await?;
        let data = page_of(&shown, &found.pagination);
        Ok(json_data("Event deliveries fetched successfully", &data))
    }

    /// Resolves `ownerId` to the owner's endpoints.
    pub(super) async fn know_owner(
        &self,
        project: &Project,
        search: &mut Search,
    ) -> Result<(), Refusal> {
        if let Some(owner) = &search.owner {
            let statement = sql::endpoints_of_owners(&[(&project.uid, owner)]);
            let owned: Vec<Owned> = self.bindings.db()?.rows(&statement).await?;
            let endpoints: Vec<String> = owned.into_iter().map(|one| one.endpoint_id).collect();
            search.of_owner(&endpoints);
        }
        Ok(())
    }

    /// The attempts of a delivery, oldest first.
    pub(super) async fn attempts(
        &self,
        project: &Project,
        delivery: &Delivery,
    ) -> Result<Vec<Attempt>, Refusal> {
        let mut attempts: Vec<Attempt> =
            self.bindings.events(project.shard)?.docs(&sql::earlier_attempts(&delivery.id)).await?;
        attempts.extend(delivery.last_attempt());
        Ok(attempts)
    }

    pub(super) async fn get_delivery(&self, project: &Project, id: &str) -> Result<Reply, Refusal> {
        let delivery = self.delivery(project, id).await?;
        let data = self.shown_delivery(project, &delivery).await?;
        Ok(json_data("Event Delivery fetched successfully", &data))
    }

    pub(super) async fn list_attempts(&self, project: &Project, delivery: &str) -> Answered {
        let delivery = self.delivery(project, delivery).await?;
        let attempts = self.attempts(project, &delivery).await?;
        let shown: Vec<Value> = attempts.iter().map(|attempt| attempt.present(&delivery)).collect();
        Ok(Answer::ok(200, "Event delivery attempts fetched successfully", json!(shown)))
    }

    pub(super) async fn get_attempt(
        &self,
        project: &Project,
        delivery: &str,
        attempt: &str,
    ) -> Answered {
        let delivery = self.delivery(project, delivery).await?;
        let attempts = self.attempts(project, &delivery).await?;
        let found = attempts.iter().find(|have| have.uid == attempt);
        let found = found.ok_or_else(|| ApiError::not_found("event delivery attempt not found"))?;
        let shown = found.present(&delivery);
        Ok(Answer::ok(200, "Event delivery attempt fetched successfully", shown))
    }
}
