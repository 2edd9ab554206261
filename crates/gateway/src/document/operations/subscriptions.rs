//! Subscriptions.

use super::{CHANGED, event_types, in_project, paging, samples, several};
use crate::document::{Data, Operation, parameter};
use crate::subscription::SubscriptionInput;

pub(super) fn subscriptions() -> Vec<Operation> {
    use Data::{Nothing, One, Page};
    vec![
        in_project("GET", "/subscriptions", "listSubscriptions", "List subscriptions")
            .query(&[
                several("endpointId", "Those of these endpoints."),
                several("sourceId", "Those of these sources."),
                parameter("name", "Part of the name."),
            ])
            .query(&paging())
            .shows(200, "Subscriptions fetched successfully", Page("Subscription")),
        in_project("POST", "/subscriptions", "createSubscription", "Create a subscription")
            .reads::<SubscriptionInput>(samples::SUBSCRIPTION_BODY)
            .required(&["name", "endpoint_id"])
            .shows(201, "Subscription created successfully", One("Subscription")),
        event_types::trial(
            "/subscriptions/test_function",
            "testSubscriptionFunction",
            r#"{"function":"function transform(x) { return {text: x.type} }","payload":{"type":"invoice.paid"}}"#,
        ),
        in_project(
            "GET",
            "/subscriptions/{subscriptionID}",
            "getSubscription",
            "Get a subscription",
        )
        .shows(200, "Subscription fetched successfully", One("Subscription")),
        in_project(
            "PUT",
            "/subscriptions/{subscriptionID}",
            "updateSubscription",
            "Change a subscription",
        )
        .about("What is left out stays, and so does what is empty beside something else; an update that says nothing else is refused.")
        .reads::<SubscriptionInput>(r#"{"filter_config":{"event_types":["push","release"]}}"#)
        .fails(409, CHANGED)
        .shows(202, "Subscription updated successfully", One("Subscription")),
        in_project(
            "DELETE",
            "/subscriptions/{subscriptionID}",
            "deleteSubscription",
            "Delete a subscription",
        )
        .shows(200, "Subscription deleted successfully", Nothing),
    ]
}
