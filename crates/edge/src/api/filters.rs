//! The filters of subscriptions.

use inlet_gateway::conditions::{Facts, TestEvent, TestFilter};
use inlet_gateway::payload::path_value;
use inlet_gateway::routes::FilterCall;
use inlet_gateway::steps::TooMany;
use inlet_gateway::type_filter::{Batch, FilterInput, TypeFilter};

use super::*;

const MISSING: &str = "subscription not found";

impl Caller<'_> {
    /// Tries a filter that is stored nowhere on an event that never was.
    pub(super) fn test_filter(&self) -> Answered {
        let TestFilter { request, conditions } = api::parse(&self.body)?;
        let matches = conditions.match_event(&Facts::given(&request)).map_err(TooMany::refusal)?;
        Ok(Answer::ok(200, "Filter validated successfully", json!(matches)))
    }

    pub(super) async fn filters(
        &self,
        project: &Project,
        id: &str,
        call: FilterCall<'_>,
    ) -> Answered {
        let present = |filter: &TypeFilter| filter.present(id);
        let all = |filters: &[TypeFilter]| json!(filters.iter().map(present).collect::<Vec<_>>());
        match call {
            FilterCall::Create => {
                let add = async |subscription: &mut Subscription| {
                    let input = vec![api::parse(&self.body)?];
                    Ok(subscription.add_filters(input, Batch::One, now_ms(), &mut fill)?)
                };
                let (_, added) = self.change_subscription(project, id, MISSING, add).await?;
                let shown = added.first().map(present);
                Ok(Answer::ok(201, "Filter created successfully", json!(shown)))
            }
            FilterCall::CreateMany => {
                let add = async |subscription: &mut Subscription| {
                    let inputs = FilterInput::parse_list(&self.body)?;
                    Ok(subscription.add_filters(inputs, Batch::Many, now_ms(), &mut fill)?)
                };
                let (_, added) = self.change_subscription(project, id, MISSING, add).await?;
                Ok(Answer::ok(201, "Filters created successfully", all(&added)))
            }
            FilterCall::UpdateMany => {
                let change = async |subscription: &mut Subscription| {
                    let inputs = FilterInput::parse_list(&self.body)?;
                    Ok(subscription.change_filters(inputs, None, now_ms())?)
                };
                let (_, changed) = self.change_subscription(project, id, MISSING, change).await?;
                Ok(Answer::ok(200, "Filters updated successfully", all(&changed)))
            }
            FilterCall::List => {
                let filters = self.filtered(project, id).await?.type_filters();
                Ok(Answer::ok(200, "Filters retrieved successfully", all(&filters)))
            }
            FilterCall::Get(filter) => {
                let found = self.filtered(project, id).await?.filter_by_id(filter)?;
                Ok(Answer::ok(200, "Filter retrieved successfully", present(&found)))
            }
            FilterCall::Update(filter) => {
                let change = async |subscription: &mut Subscription| {
                    let input = vec![api::parse(&self.body)?];
                    Ok(subscription.change_filters(input, Some(filter), now_ms())?)
                };
                let (_, changed) = self.change_subscription(project, id, MISSING, change).await?;
                let shown = changed.first().map(present);
                Ok(Answer::ok(200, "Filter updated successfully", json!(shown)))
            }
            FilterCall::Delete(filter) => {
                let remove = async |subscription: &mut Subscription| {
                    Ok(subscription.remove_filter(filter, now_ms())?)
                };
                self.change_subscription(project, id, MISSING, remove).await?;
                Ok(Answer::ok(200, "Filter deleted successfully", Value::Null))
            }
            FilterCall::Test(event_type) => {
                let subscription = self.filtered(project, id).await?;
                let TestEvent(event) = api::parse(&self.body)?;
                let tried = subscription.tried(&path_value(event_type), &Facts::given(&event));
                Ok(Answer::ok(200, "Filter test completed", tried.map_err(TooMany::refusal)?))
            }
        }
    }

    async fn filtered(&self, project: &Project, id: &str) -> Result<Subscription, Refusal> {
        self.doc(&sql::subscription(&project.uid, id), MISSING).await
    }
}
