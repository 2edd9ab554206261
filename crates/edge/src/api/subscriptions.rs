//! Subscriptions.

use inlet_gateway::event_type;
use inlet_gateway::type_filter::no_room;

use super::list::Found;
use super::*;
use crate::owed;

/// What is said where each endpoint may have one subscription alone.
fn has_one() -> ApiError {
    ApiError::bad_request("a subscription for this endpoint already exists")
}

impl Caller<'_> {
    pub(super) async fn subscription(
        &self,
        project: &str,
        id: &str,
    ) -> Result<Subscription, Refusal> {
        self.doc(&sql::subscription(project, id), "failed to find subscription").await
    }

    pub(super) async fn create_subscription(&self, project: &Project) -> Answered {
        let (id, is_incoming) = (project.uid.as_str(), project.is_incoming());
        let subscription =
            Subscription::create(api::parse(&self.body)?, id, is_incoming, now_ms(), &mut fill)?;
        if !subscription.function.is_empty() {
            self.check_function("function", &subscription.function).await?;
        }
        self.check_ends(&subscription).await?;
        self.check_room(id, subscription.weight()).await?;
        let insert = sql::insert_subscription(&subscription, project.allows_one_subscription());
        let statements = self.with_event_types(&subscription, insert);
        if count_of(self.bindings.db()?.batch(&statements).await?.first())? == 0 {
            return Err(has_one().into());
        }
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

    /// A change of a subscription, and the event types that it names. An owner adds none to the project's.
    fn with_event_types(&self, subscription: &Subscription, change: Statement) -> Vec<Statement> {
        let mut statements = vec![change];
        if self.scope == Scope::Project {
            let (types, project) = (&subscription.event_types, &subscription.project_id);
            let named = event_type::of_subscription(types, project, now_ms(), &mut fill);
            if !named.is_empty() {
                let kept = sql::Kept::Subscription(project, &subscription.uid);
                let add = sql::add_event_types(project, &named);
                statements.push(sql::if_changed(add, kept, subscription.updated_at));
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

    /// Whether the subscriptions of a project may grow by so much.
    pub(super) async fn check_room(&self, project: &str, more: u64) -> Result<(), Refusal> {
        let ask = sql::has_room_for_subscriptions(project, more);
        if self.bindings.db()?.has(&ask).await? { Ok(()) } else { Err(no_room().into()) }
    }

    pub(super) async fn update_subscription(&self, project: &Project, id: &str) -> Answered {
        let update = async |subscription: &mut Subscription| {
            let function = subscription.function.clone();
            subscription.update(api::parse(&self.body)?, project.is_incoming(), now_ms())?;
            if !subscription.function.is_empty() && subscription.function != function {
                self.check_function("function", &subscription.function).await?;
            }
            self.check_ends(subscription).await
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
        let weight = subscription.weight();
        let made = change(&mut subscription).await?;
        if let Some(more @ 1..) = subscription.weight().checked_sub(weight) {
            self.check_room(&project.uid, more).await?;
        }
        let only = project.allows_one_subscription();
        let update = sql::update_subscription(&subscription, only, before);
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
        if only && subscription.endpoint_id != led_to {
            let stored = sql::subscription(&project.uid, id);
            let stored: Subscription = self.doc(&stored, missing).await?;
            if stored.updated_at == before {
                return Err(has_one().into());
            }
        }
        Err(changed_meanwhile("subscription"))
    }
}
