//! Companions, what they hand in, and what was given up.

use serde_json::json;

use super::{
    BAD_QUERY, NO_PAGES, in_project, open, paging, paging_of_ours, samples, several, start_and_end,
};
use crate::batch::{CONTENT_TYPE, Head, Item, write};
use crate::consumer::{ConsumerKeyInput, Report};
use crate::document::{Access, Data, Operation, Parameter};

pub(super) fn dead_letters() -> Vec<Operation> {
    use Data::{Nothing, One, Page, Plain};
    let kind = Parameter {
        name: "kind",
        about: "`broker`: messages that are no events. `event`: what could not be routed. `delivery`: deliveries of status `Failure`. \
            `unreadable`: what a queue or the journal held that could not be read.",
        schema: r#"{"type":"string","enum":["broker","event","delivery","unreadable"]}"#,
    };
    let done = json!({"type": "object", "required": ["event_id", "is_duplicate_event"], "properties": {
        "event_id": {"type": "string"}, "is_duplicate_event": {"type": "boolean"}}});
    vec![
        in_project("GET", "/dead-letters", "listDeadLetters", "List dead letters")
            .query(&[kind, several("sourceId", "Of these sources.")])
            .query(&start_and_end())
            .query(&paging_of_ours())
            .fails(400, BAD_QUERY)
            .shows(200, "Dead letters fetched successfully", Page("DeadLetter")),
        in_project("GET", "/dead-letters/{deadLetterID}", "getDeadLetter", "Get a dead letter")
            .about("With all that it holds: the message, or the event of the delivery.")
            .fails(410, "The message is gone from the store.")
            .shows(200, "Dead letter fetched successfully", One("WholeDeadLetter")),
        in_project(
            "DELETE",
            "/dead-letters/{deadLetterID}",
            "deleteDeadLetter",
            "Delete a dead letter",
        )
        .about("A delivery becomes `Discarded`.")
        .shows(200, "Dead letter deleted successfully", Nothing),
        in_project(
            "POST",
            "/dead-letters/{deadLetterID}/replay",
            "replayDeadLetter",
            "Try a dead letter again",
        )
        .about("Once it is through it is off the list.")
        .fails(400, "The endpoint of the delivery is not active.")
        .fails(410, "The message is gone from the store.")
        .fails(422, "It is still no event. The message says why.")
        .shows(
            200,
            "Dead letter replayed successfully",
            Plain(done, json!({"event_id": samples::EVENT, "is_duplicate_event": false})),
        ),
    ]
}

/// Those of which nobody can tell whose they are.
pub(super) fn ownerless() -> Vec<Operation> {
    use Data::{Nothing, One, Page};
    const GONE: &str = "There is no such dead letter.";
    const ONE: &str = "/api/v1/dead-letters/{deadLetterID}";
    let of_root = |method, path, id, summary| open(method, path, id, summary).access(Access::Root);
    vec![
        of_root(
            "GET",
            "/api/v1/dead-letters",
            "listOwnerlessDeadLetters",
            "List dead letters that are no project's",
        )
        .about("What could not be read, so that nobody can tell whose it is. It stays until it is deleted.")
        .query(&start_and_end())
        .query(&paging_of_ours())
        .fails(400, BAD_QUERY)
        .shows(200, "Dead letters fetched successfully", Page("DeadLetter")),
        of_root("GET", ONE, "getOwnerlessDeadLetter", "Get a dead letter that is no project's")
            .fails(404, GONE)
            .fails(410, "The message is gone from the store.")
            .shows(200, "Dead letter fetched successfully", One("WholeDeadLetter")),
        of_root(
            "DELETE",
            ONE,
            "deleteOwnerlessDeadLetter",
            "Delete a dead letter that is no project's",
        )
        .fails(404, GONE)
        .shows(200, "Dead letter deleted successfully", Nothing),
    ]
}

/// One message, as a companion hands it in.
fn batch() -> String {
    let payload = br#"{"event_type":"invoice.paid","data":{"invoice":7}}"#;
    let item = Item { id: Some("orders-0-42".into()), length: payload.len(), ..Item::default() };
    let head = Head { source_id: samples::SOURCE.into(), messages: vec![item] };
    let body = write(&head, &[payload]).expect("a head is JSON");
    String::from_utf8(body).expect("the payload is text")
}

pub(super) fn brokers() -> Vec<Operation> {
    use Data::{List, Nothing, One};
    let refusal = |why: &str| {
        json!({"description": why, "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}})
    };
    let unauthorized = || refusal("There is no key of a companion, or it was deleted.");
    let busy = || refusal("Try again.");
    let etag = json!({"ETag": {"schema": {"type": "string"}}});
    vec![
        in_project("GET", "/consumer-keys", "listConsumerKeys", "List the keys of companions")
            .fails(400, NO_PAGES).shows(200, "Consumer keys fetched successfully", List("ConsumerKey")),
        in_project("POST", "/consumer-keys", "createConsumerKey", "Create a key for a companion")
            .about("The key is shown this once. It is good for `/consumer/v1/…` of this project, and nothing else.")
            .reads::<ConsumerKeyInput>(r#"{"name":"companion in Frankfurt"}"#)
            .required(&["name"])
            .shows(201, "Consumer key created successfully", One("NewConsumerKey")),
        in_project("DELETE", "/consumer-keys/{consumerKeyID}", "deleteConsumerKey", "Delete a key of a companion")
            .shows(200, "Consumer key deleted successfully", Nothing),
        open("GET", "/consumer/v1/sources", "consumerSources", "What a companion reads")
            .access(Access::Companion)
            .about("The broker sources of the project, credentials in clear.")
            .answers(json!({
                "200": {"description": "All of them.", "headers": etag, "content": {"application/json": {"schema": {
                    "type": "object", "required": ["poll_seconds", "project_id", "max_message_bytes", "sources"], "properties": {
                        "poll_seconds": {"type": "integer"}, "project_id": {"type": "string"}, "max_message_bytes": {"type": "integer"},
                        "sources": {"type": "array", "items": {"type": "object", "additionalProperties": true}}}}}}},
                "304": {"description": "They are those that you know (`If-None-Match`)."},
                "401": unauthorized(), "503": busy(),
            })),
        open("POST", "/consumer/v1/batches", "consumerBatch", "Hand messages in")
            .access(Access::Companion)
            .about("One line of JSON that names up to 1,000 messages, and then their payloads, one after another. Only `retry` is not to be settled at the broker.")
            .takes(json!({"required": true, "content": {CONTENT_TYPE: {
                "schema": {"type": "string", "contentMediaType": CONTENT_TYPE}, "example": batch()}}}))
            .answers(json!({
                "200": {"description": "A result for each message, in order.", "content": {"application/json": {
                    "schema": {"type": "object", "required": ["results"], "properties": {"results": {"type": "array", "items": {
                        "type": "object", "required": ["status"], "properties": {
                            "status": {"enum": ["accepted", "duplicate", "dead_letter", "retry"]}, "event_id": {"type": "string"},
                            "dead_letter_id": {"type": "string"}, "reason": {"type": "string"}}}}}},
                    "example": {"results": [{"status": "accepted", "event_id": samples::EVENT}]}}}},
                "400": refusal("The batch cannot be read."), "401": unauthorized(),
                "404": refusal("There is no such source, or it reads no broker."),
                "409": refusal("The source is disabled."), "413": refusal("The batch is too large: halve it."),
                "415": refusal("It is no batch, or in an encoding that is not known."), "503": busy(),
            })),
        open("POST", "/consumer/v1/status", "consumerStatus", "Report how it goes")
            .access(Access::Companion)
            .reads::<Report>(samples::REPORT_BODY)
            .required(&["companion", "sources"])
            .answers(json!({
                "204": {"description": "Kept."}, "400": refusal("The report cannot be read."), "401": unauthorized(),
                "413": refusal("The report is too large."), "503": busy(),
            })),
    ]
}

pub(super) fn meta_events() -> Vec<Operation> {
    use Data::{One, Page};
    vec![
        in_project("GET", "/meta-events", "listMetaEvents", "List meta events")
            .query(&super::dates())
            .query(&paging())
            .fails(400, BAD_QUERY)
            .shows(200, "Meta events fetched successfully", Page("MetaEvent")),
        in_project("GET", "/meta-events/{metaEventID}", "getMetaEvent", "Get a meta event").shows(
            200,
            "Meta event fetched successfully",
            One("MetaEvent"),
        ),
        in_project(
            "PUT",
            "/meta-events/{metaEventID}/resend",
            "resendMetaEvent",
            "Send a meta event again",
        )
        .fails(400, "Meta events are not enabled, or this one is still being delivered.")
        .shows(200, "Meta event processed for retry successfully", One("MetaEvent")),
    ]
}
