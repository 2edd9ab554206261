//! Deliveries and their attempts.

use serde_json::json;

use super::{
    BAD_QUERY, Data, NO_PAGES, Operation, again, going_on, in_project, of_deliveries, of_payloads,
    paging, reasons, samples,
};
use crate::failures::{self, OfStatus};
use crate::resend::ResendInput;
use crate::tally::Tally;

#[expect(clippy::too_many_lines, reason = "one entry for each call")]
pub(super) fn deliveries() -> Vec<Operation> {
    use Data::{List, One, Page, Plain};
    let count = json!({"type": "object", "required": ["num", "failed", "reasons", "is_complete"], "properties": {
        "num": {"type": "integer", "description": "Deliveries that a retry would take up."},
        "failed": {"type": "integer", "description": "Those that it would find, and leave as they are."},
        "reasons": reasons(),
        "is_complete": {"type": "boolean", "description": "`false`: there were more than one call looks at."}}});
    let mut counted = Tally::default();
    counted.succeeded = 12;
    counted.fail("endpoint not found", 1);
    let of_status = failures::totals(&[OfStatus { status: "Success".into(), n: 12 }]);
    let totals = json!({"type": "object", "required": ["totals", "is_complete"], "properties": {
        "totals": {"type": "object", "additionalProperties": {"type": "integer"}},
        "is_complete": {"type": "boolean", "description": "`false`: these are the newest 100,000."}}});
    vec![
        in_project("GET", "/eventdeliveries", "listDeliveries", "Find deliveries")
            .about("A filter that no key serves looks at 50,000 rows for a page, at 10,000 if it reads payloads, and for two seconds: one that was not full by then is short, or empty, and has a next one.")
            .query(&of_deliveries())
            .query(&of_payloads())
            .query(&paging())
            .fails(400, BAD_QUERY)
            .shows(200, "Event deliveries fetched successfully", Page("Delivery")),
        in_project(
            "POST",
            "/eventdeliveries/forceresend",
            "forceResend",
            "Deliver again what has arrived",
        )
        .about("What goes to an endpoint that is gone, paused or inactive stays as it is, and is counted as failed; `data` then says why of each.")
        .reads::<ResendInput>(r#"{"ids":["01KB0J7EA0DE11VERY0EXAMP1E"]}"#)
        .required(&["ids"])
        .shows(
            200,
            "1 successful, 1 failed",
            Plain(
                json!({"type": ["object", "null"], "required": ["failed"], "properties": {"failed": {"type": "array", "items": {
                    "type": "object", "required": ["uid", "reason"], "properties": {
                        "uid": {"type": "string"}, "reason": {"type": "string"}}}}}}),
                json!({"failed": [{"uid": samples::DELIVERY, "reason": "the endpoint is currently paused"}]}),
            ),
        ),
        in_project(
            "POST",
            "/eventdeliveries/batchretry",
            "retryDeliveries",
            "Retry the failed deliveries that a search finds",
        )
        .about("Takes no parameter that it does not know; those of pages say nothing. What goes to a paused endpoint waits until it is active; what went to one that is gone stays as it is. Past 10,000, `next_page_cursor` says where to go on.")
        .query(&of_deliveries())
        .query(&going_on())
        .fails(400, BAD_QUERY)
        .shows(
            200,
            "Batch retry processing",
            again("Deliveries that are retried.", 12, 0),
        ),
        in_project(
            "GET",
            "/eventdeliveries/countbatchretryevents",
            "countRetry",
            "Count the deliveries that a retry would take up",
        )
        .query(&of_deliveries())
        .query(&going_on())
        .fails(400, BAD_QUERY)
        .shows(
            200,
            "event deliveries count successful",
            Plain(count, counted.present_count(true)),
        ),
        in_project(
            "GET",
            "/eventdeliveries/statustotals",
            "statusTotals",
            "Count the deliveries that a search finds, by status",
        )
        .query(&of_deliveries())
        .fails(400, BAD_QUERY)
        .shows(
            200,
            "Event delivery status totals fetched successfully",
            Plain(totals, json!({"totals": of_status, "is_complete": true})),
        ),
        in_project("GET", "/eventdeliveries/{deliveryID}", "getDelivery", "Get a delivery").shows(
            200,
            "Event Delivery fetched successfully",
            One("Delivery"),
        ),
        in_project(
            "PUT",
            "/eventdeliveries/{deliveryID}/resend",
            "resendDelivery",
            "Deliver again what has failed",
        )
        .fails(400, "The delivery has not failed, or its endpoint is not active.")
        .shows(200, "App event processed for retry successfully", One("Delivery")),
        in_project(
            "GET",
            "/eventdeliveries/{deliveryID}/deliveryattempts",
            "listAttempts",
            "List the attempts of a delivery",
        )
        .fails(400, NO_PAGES).shows(200, "Event delivery attempts fetched successfully", List("Attempt")),
        in_project(
            "GET",
            "/eventdeliveries/{deliveryID}/deliveryattempts/{attemptID}",
            "getAttempt",
            "Get an attempt",
        )
        .shows(200, "Event delivery attempt fetched successfully", One("Attempt")),
    ]
}
