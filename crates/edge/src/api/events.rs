//! Events, their deliveries and the attempts.

use super::*;

impl Caller<'_> {
    pub(super) async fn get_event(&self, project: &Project, id: &str) -> Result<Reply, Refusal> {
        let events = self.bindings.events(project.shard)?;
        let (event, duplicate) =
            match events.row::<StoredEvent>(&sql::event(&project.uid, id)).await? {
                Some(event) => (event, None),
                None => {
                    let original = events
                        .row::<StoredEvent>(&sql::event_of_duplicate(&project.uid, id))
                        .await?;
                    (original.ok_or_else(|| ApiError::not_found("event not found"))?, Some(id))
                }
            };
        let body = dispatch::body_of(&event, now_ms() + BODY_WAIT_MS, self.bindings).await?;
        let (body, _share) =
            body.ok_or_else(|| ApiError::new(410, "the event's body is gone from the store"))?;
        let data = event.present(&body, duplicate);
        let text = format!(
            "{{\"status\":true,\"message\":\"Endpoint event fetched successfully\",\"data\":{data}}}"
        );
        Ok(Reply {
            status: 200,
            content_type: "application/json".into(),
            headers: Vec::new(),
            body: text.into_bytes(),
        })
    }

    pub(super) async fn delivery(&self, project: &Project, id: &str) -> Result<Delivery, Refusal> {
        let delivery: Option<Delivery> =
            self.bindings.events(project.shard)?.row(&sql::delivery(&project.uid, id)).await?;
        Ok(delivery.ok_or_else(|| ApiError::not_found("event delivery not found"))?)
    }

    pub(super) async fn list_deliveries(&self, project: &Project) -> Answered {
        let event_id = query_value(&self.query, "eventId").unwrap_or_default();
        if event_id.is_empty() {
            return Err(
                ApiError::bad_request("eventId:name the event whose deliveries you want").into()
            );
        }
        let deliveries: Vec<Delivery> = match same_moment(&event_id) {
            Some((low, high)) => {
                let statement = sql::deliveries_of(&project.uid, &event_id, &low, &high);
                self.bindings.events(project.shard)?.rows(&statement).await?
            }
            None => Vec::new(),
        };
        let strategy = &project.config.strategy;
        let items = deliveries
            .iter()
            .map(|delivery| (delivery.id.clone(), delivery.present(strategy)))
            .collect();
        let all =
            PageQuery { per_page: api::PER_PAGE_MAX, direction: Direction::Next, cursor: None };
        Ok(Answer::ok(
            200,
            "Event deliveries fetched successfully",
            json!(Page::new(&all, items, false)),
        ))
    }

    /// The attempts of a delivery, oldest first.
    pub(super) async fn attempts(
        &self,
        project: &Project,
        delivery: &Delivery,
    ) -> Result<Vec<Attempt>, Refusal> {
        let docs: Vec<Doc> =
            self.bindings.events(project.shard)?.rows(&sql::earlier_attempts(&delivery.id)).await?;
        let mut attempts: Vec<Attempt> =
            docs.iter().map(Doc::read).collect::<worker::Result<_>>()?;
        attempts.extend(delivery.last_attempt());
        Ok(attempts)
    }

    pub(super) async fn get_delivery(&self, project: &Project, id: &str) -> Answered {
        let delivery = self.delivery(project, id).await?;
        let shown = delivery.present(&project.config.strategy);
        Ok(Answer::ok(200, "Event Delivery fetched successfully", shown))
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
