//! Subscriptions.

use inlet_gateway::event_type;
use inlet_gateway::push::DYNAMIC_NAME;

use super::*;
use crate::hold;
use crate::store::rows;

impl Caller<'_> {
    pub(super) async fn subscription(
        &self,
        project: &str,
        id: &str,
    ) -> Result<Subscription, Refusal> {
        self.doc(&sql::subscription(project, id), "failed to find subscription").await
    }

    pub(super) async fn create_subscription(&self, project: &Project) -> Answered {
        let id = project.uid.as_str();
        let is_incoming = project.kind == "incoming";
        let subscription =
            Subscription::create(api::parse(&self.body)?, id, is_incoming, now_ms(), &mut fill)?;
        self.check_ends(&subscription).await?;
        let db = self.bindings.db()?;
        if !is_incoming && !project.config.multiple_endpoint_subscriptions {
            let others = sql::subscriptions_of_endpoints(&[(id, &subscription.endpoint_id)]);
            let others: Vec<Doc> = db.rows(&others).await?;
            let others: Vec<Subscription> =
                others.iter().map(Doc::read).collect::<worker::Result<_>>()?;
            // Dynamic events make a subscription of their own.
            if others.iter().any(|other| other.name != DYNAMIC_NAME) {
                let text = "a subscription for this endpoint already exists";
                return Err(ApiError::bad_request(text).into());
            }
        }
        db.batch(&with_event_types(&subscription, sql::insert_subscription(&subscription))).await?;
        Ok(Answer::ok(201, "Subscription created successfully", subscription.present()))
    }

    pub(super) async fn list_subscriptions(&self, project: &Project) -> Answered {
        let filters = [("endpoint_id", "endpointId"), ("source_id", "sourceId")];
        let list = List::Subscriptions;
        let content =
            self.list(list, &project.uid, &filters, "name", Subscription::present).await?;
        Ok(Answer::ok(200, "Subscriptions fetched successfully", content))
    }

    pub(super) async fn get_subscription(&self, project: &Project, id: &str) -> Answered {
        let subscription = self.subscription(&project.uid, id).await?;
        Ok(Answer::ok(200, "Subscription fetched successfully", subscription.present()))
    }

    pub(super) async fn delete_subscription(&self, project: &Project, id: &str) -> Answered {
        let subscription = self.subscription(&project.uid, id).await?;
        self.bindings.db()?.run(&sql::delete_subscription(&project.uid, &subscription.uid)).await?;
        Ok(Answer::ok(200, "Subscription deleted successfully", Value::Null))
    }

    /// Whether both ends of a subscription are there.
    async fn check_ends(&self, subscription: &Subscription) -> Result<(), Refusal> {
        let id = subscription.project_id.as_str();
        let db = self.bindings.db()?;
        if db.row::<Doc>(&sql::endpoint(id, &subscription.endpoint_id)).await?.is_none() {
            return Err(ApiError::bad_request("failed to find endpoint by id").into());
        }
        if !subscription.source_id.is_empty()
            && db.row::<Doc>(&sql::source(id, &subscription.source_id)).await?.is_none()
        {
            return Err(ApiError::bad_request("failed to find source by id").into());
        }
        Ok(())
    }

    pub(super) async fn update_subscription(&self, project: &Project, id: &str) -> Answered {
        let mut subscription = self.subscription(&project.uid, id).await?;
        let limit = subscription.rate_limit;
        subscription.update(api::parse(&self.body)?, project.kind == "incoming", now_ms())?;
        self.check_ends(&subscription).await?;
        let update = with_event_types(&subscription, sql::update_subscription(&subscription));
        let results = self.bindings.db()?.batch(&update).await?;
        let updated = results.first().map(rows::<ListRow>).transpose()?.unwrap_or_default();
        if updated.is_empty() {
            return Err(ApiError::not_found("failed to find subscription").into());
        }
        if subscription.rate_limit != limit {
            let (gates, endpoint_id) = ([subscription.uid.as_str()], &subscription.endpoint_id);
            hold::ask_again(project, &gates, endpoint_id, self.bindings).await?;
        }
        Ok(Answer::ok(202, "Subscription updated successfully", subscription.present()))
    }
}

/// A change of a subscription, and the event types that it names.
fn with_event_types(subscription: &Subscription, change: Statement) -> Vec<Statement> {
    let project = &subscription.project_id;
    let named =
        event_type::of_subscription(&subscription.event_types, project, now_ms(), &mut fill);
    let mut statements = vec![change];
    if !named.is_empty() {
        statements.push(sql::add_event_types(project, &named));
    }
    statements
}
