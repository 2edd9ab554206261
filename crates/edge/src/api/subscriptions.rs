//! Subscriptions.

use inlet_gateway::event_type;
use inlet_gateway::push::DYNAMIC_NAME;

use super::list::Found;
use super::*;
use crate::owed;

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
        if !subscription.function.is_empty() {
            self.check_function("function", &subscription.function).await?;
        }
        self.check_ends(&subscription).await?;
        self.check_only_one(project, &subscription).await?;
        let statements =
            self.with_event_types(&subscription, sql::insert_subscription(&subscription));
        self.bindings.db()?.batch(&statements).await?;
        self.answer_with(project, 201, "Subscription created successfully", &subscription).await
    }

    pub(super) async fn list_subscriptions(&self, project: &Project) -> Answered {
        let filters = [("endpoint_id", "endpointId"), ("source_id", "sourceId")];
        let found: Found<Subscription> =
            self.list(List::Subscriptions, &project.uid, &filters, "name").await?;
        let shown = self.with_ends(project, &found.rows).await?;
        Ok(Answer::ok(200, "Subscriptions fetched successfully", found.shown(shown)))
    }

    pub(super) async fn get_subscription(&self, project: &Project, id: &str) -> Answered {
        let subscription = self.subscription(&project.uid, id).await?;
        self.answer_with(project, 200, "Subscription fetched successfully", &subscription).await
    }

    pub(super) async fn delete_subscription(&self, project: &Project, id: &str) -> Answered {
        let subscription = self.subscription(&project.uid, id).await?;
        let deletion = sql::delete_subscription(&project.uid, &subscription.uid, now_ms());
        self.bindings.db()?.batch(&deletion).await?;
        owed::pay_to(&project.uid, self.bindings).await;
        Ok(Answer::ok(200, "Subscription deleted successfully", Value::Null))
    }

    /// An answer with a subscription.
    async fn answer_with(
        &self,
        project: &Project,
        status: u16,
        message: &str,
        subscription: &Subscription,
    ) -> Answered {
        let mut shown = self.with_ends(project, std::slice::from_ref(subscription)).await?;
        Ok(Answer::ok(status, message, shown.pop().unwrap_or_default()))
    }

    /// Whether the endpoint of a subscription has no other, where a project lets it have one alone.
    async fn check_only_one(
        &self,
        project: &Project,
        subscription: &Subscription,
    ) -> Result<(), Refusal> {
        if project.kind == "incoming" || project.config.multiple_endpoint_subscriptions {
            return Ok(());
        }
        let others =
            sql::subscriptions_of_endpoints(&[(&project.uid, &subscription.endpoint_id)], "");
        let others: Vec<Subscription> = self.bindings.db()?.docs(&others).await?;
        // Dynamic events make a subscription of their own.
        let is_other =
            |other: &Subscription| other.uid != subscription.uid && other.name != DYNAMIC_NAME;
        if others.iter().any(is_other) {
            let text = "a subscription for this endpoint already exists";
            return Err(ApiError::bad_request(text).into());
        }
        Ok(())
    }

    /// A change of a subscription, and the event types that it names. An owner adds none to the project's.
    fn with_event_types(&self, subscription: &Subscription, change: Statement) -> Vec<Statement> {
        let mut statements = vec![change];
        if self.scope == Scope::Project {
            let (types, project) = (&subscription.event_types, &subscription.project_id);
            let named = event_type::of_subscription(types, project, now_ms(), &mut fill);
            if !named.is_empty() {
                statements.push(sql::add_event_types(project, &named));
            }
        }
        statements
    }

    /// Whether both ends of a subscription are there.
    async fn check_ends(&self, subscription: &Subscription) -> Result<(), Refusal> {
        let id = subscription.project_id.as_str();
        let db = self.bindings.db()?;
        if !db.has(&sql::endpoint(id, &subscription.endpoint_id)).await? {
            return Err(ApiError::bad_request("failed to find endpoint by id").into());
        }
        if !subscription.source_id.is_empty()
            && !db.has(&sql::source(id, &subscription.source_id)).await?
        {
            return Err(ApiError::bad_request("failed to find source by id").into());
        }
        Ok(())
    }

    pub(super) async fn update_subscription(&self, project: &Project, id: &str) -> Answered {
        let update = async |subscription: &mut Subscription| {
            let is_incoming = project.kind == "incoming";
            let endpoint_id = subscription.endpoint_id.clone();
            let function = subscription.function.clone();
            subscription.update(api::parse(&self.body)?, is_incoming, now_ms())?;
            if !subscription.function.is_empty() && subscription.function != function {
                self.check_function("function", &subscription.function).await?;
            }
            self.check_ends(subscription).await?;
            if subscription.endpoint_id != endpoint_id {
                self.check_only_one(project, subscription).await?;
            }
            Ok(())
        };
        let missing = "failed to find subscription";
        let (subscription, ()) = self.change_subscription(project, id, missing, update).await?;
        self.answer_with(project, 202, "Subscription updated successfully", &subscription).await
    }

    pub(super) async fn toggle_subscription(&self, project: &Project, id: &str) -> Answered {
        let toggle = async |subscription: &mut Subscription| Ok(subscription.toggle(now_ms())?);
        let missing = "failed to find subscription";
        let (subscription, ()) = self.change_subscription(project, id, missing, toggle).await?;
        self.answer_with(project, 202, "Subscription status updated successfully", &subscription)
            .await
    }

    /// Changes a subscription as it is now.
    pub(super) async fn change_subscription<T>(
        &self,
        project: &Project,
        id: &str,
        missing: &str,
        change: impl AsyncFn(&mut Subscription) -> Result<T, Refusal>,
    ) -> Result<(Subscription, T), Refusal> {
        let mut subscription: Subscription =
            self.doc(&sql::subscription(&project.uid, id), missing).await?;
        let before = subscription.updated_at;
        let (limit, led_to) = (subscription.rate_limit, subscription.endpoint_id.clone());
        let made = change(&mut subscription).await?;
        let update = sql::update_subscription(&subscription, before);
        let mut statements = self.with_event_types(&subscription, update);
        let owed = sql::owed_by(limit, &led_to, &subscription);
        let is_owed = owed.is_some();
        statements.extend(owed);
        if 0 < count_of(self.bindings.db()?.batch(&statements).await?.first())? {
            if is_owed {
                owed::pay_to(&project.uid, self.bindings).await;
            }
            return Ok((subscription, made));
        }
        Err(changed_meanwhile("subscription"))
    }
}
