//! Filters of subscriptions.

use serde_json::json;

use super::{CHANGED, NO_PAGES, in_project, samples};
use crate::conditions::{TestEvent, TestFilter};
use crate::document::{Data, Operation};
use crate::type_filter::FilterInput;

const WRITTEN: &[&str] = &["event_type", "headers", "body", "query", "path", "enabled_at"];

pub(super) fn filters() -> Vec<Operation> {
    use Data::{List, Nothing, One, Plain};
    let at = |path: &str| format!("/subscriptions/{{subscriptionID}}{path}");
    let many = |operation: Operation| operation.change_body(|body| body.is_array = true);
    let is_match = json!({"type": "object", "required": ["is_match"], "properties": {"is_match": {"type": "boolean"},
        "reason": {"type": "string", "description": "Why no event of this type is taken, whatever it says."}}});
    vec![
        in_project("POST", "/subscriptions/test_filter", "testFilter", "Try a filter")
            .about("Asks it of a made-up event; nothing is stored.")
            .reads::<TestFilter>(
                r#"{"request":{"body":{"order":{"total":120}},"headers":{"X-Env":"live"}},
                "schema":{"body":{"order.total":{"$gt":100}},"headers":{"X-Env":{"$neq":"test"}}}}"#,
            )
            .required(&["request", "schema"])
            .shows(200, "Filter validated successfully", Plain(json!({"type": "boolean"}), json!(true))),
        in_project("PUT", &at("/toggle_status"), "toggleSubscription", "Make a subscription inactive, or active")
            .about("An inactive one takes no events.")
            .fails(409, CHANGED)
            .shows(202, "Subscription status updated successfully", One("Subscription")),
        in_project("GET", &at("/filters"), "listFilters", "List the filters of a subscription")
            .about("One for each of its event types. Until it is written, it is `filter_config.filter`.")
            .fails(400, NO_PAGES).shows(200, "Filters retrieved successfully", List("Filter")),
        in_project("POST", &at("/filters"), "createFilter", "Write the filter of an event type")
            .about("The subscription takes events of that type from then on.")
            .reads::<FilterInput>(samples::FILTER_BODY)
            .only(WRITTEN)
            .required(&["event_type"])
            .fails(409, CHANGED)
            .shows(201, "Filter created successfully", One("Filter")),
        many(
            in_project("POST", &at("/filters/bulk"), "createFilters", "Write several filters")
                .about("All of them, or none.")
                .reads_with::<FilterInput>(&format!("[{}]", samples::FILTER_BODY), |body| {
                    FilterInput::parse_list(body).map(drop)
                })
                .only(WRITTEN)
                .required(&["event_type"]),
        )
        .fails(409, CHANGED)
        .shows(201, "Filters created successfully", List("Filter")),
        update_many("POST", "updateFilters"),
        update_many("PUT", "replaceFilters"),
        in_project("GET", &at("/filters/{filterID}"), "getFilter", "Get a filter")
            .shows(200, "Filter retrieved successfully", One("Filter")),
        in_project("PUT", &at("/filters/{filterID}"), "updateFilter", "Change a filter")
            .about("What is left out stays; a part that is given is replaced whole.")
            .reads::<FilterInput>(r#"{"body":{"order.total":{"$gt":50}},"enabled_at":null}"#)
            .only(WRITTEN)
            .fails(409, CHANGED)
            .shows(200, "Filter updated successfully", One("Filter")),
        in_project("DELETE", &at("/filters/{filterID}"), "deleteFilter", "Delete a filter")
            .about("And the subscription to its event type. The last one stays.")
            .shows(200, "Filter deleted successfully", Nothing)
            .fails(409, CHANGED)
            .fails(400, "It is the filter of the subscription's last event type."),
        in_project("POST", &at("/filters/test/{eventType}"), "testTypeFilter", "Try the filter of an event type")
            .about("Whether the subscription would take such an event of this type.")
            .reads::<TestEvent>(r#"{"payload":{"order":{"total":120}}}"#)
            .shows(200, "Filter test completed", Plain(is_match, json!({"is_match": true}))),
    ]
}

fn update_many(method: &'static str, id: &'static str) -> Operation {
    let path = "/subscriptions/{subscriptionID}/filters/bulk_update";
    let example = format!(r#"[{{"uid":"{}","enabled_at":null}}]"#, samples::FILTER);
    in_project(method, path, id, "Change several filters")
        .about("All of them, or none.")
        .reads_with::<FilterInput>(&example, |body| FilterInput::parse_list(body).map(drop))
        .change_body(|body| body.is_array = true)
        .required(&["uid"])
        .fails(409, CHANGED)
        .shows(200, "Filters updated successfully", Data::List("Filter"))
}
