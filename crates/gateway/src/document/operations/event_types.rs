//! Event types, and functions that are tried.

use serde_json::json;

use super::{CHANGED, NO_PAGES, in_project, samples};
use crate::document::{Data, Operation};
use crate::event_type::EventTypeInput;
use crate::event_type::import::{ImportInput, Spec};
use crate::transform::Trial;

pub(super) fn event_types() -> Vec<Operation> {
    use Data::{List, One};
    vec![
        in_project("GET", "/event-types", "listEventTypes", "List event types")
            .fails(400, NO_PAGES).shows(200, "Event types fetched successfully", List("EventType")),
        in_project("POST", "/event-types", "createEventType", "Create an event type")
            .reads::<EventTypeInput>(samples::EVENT_TYPE_BODY)
            .required(&["name"])
            .shows(201, "Event type created successfully", One("EventType")),
        in_project("POST", "/event-types/import", "importEventTypes", "Import event types")
            .about("Every webhook of an OpenAPI 3 document is one. The document is JSON or YAML, of up to 1 MiB.")
            .reads_with::<ImportInput>(
                r#"{"spec":{"openapi":"3.1.0","info":{"title":"Shop","version":"1"},"webhooks":{"invoice.paid":{"post":{
                "description":"An invoice was paid.","requestBody":{"content":{"application/json":{"schema":{"type":"object"}}}}}}}}}"#,
                |body| match crate::api::parse::<ImportInput>(body)?.spec()? {
                    Spec::Read(document) => document.read().map(drop),
                    Spec::Yaml(_) => Ok(()),
                },
            )
            .required(&["spec"])
            .fails(409, CHANGED)
            .shows(200, "Event types imported successfully", List("EventType")),
        in_project("GET", "/event-types/{eventTypeID}", "getEventType", "Get an event type")
            .shows(200, "Event type fetched successfully", One("EventType")),
        in_project("PUT", "/event-types/{eventTypeID}", "updateEventType", "Change an event type")
            .about("What is left out stays. The name does not change.")
            .reads::<EventTypeInput>(r#"{"category":"billing","json_schema":{"type":"object","required":["invoice"]}}"#)
            .fails(409, CHANGED)
            .shows(202, "Event type created successfully", One("EventType")),
        in_project("POST", "/event-types/{eventTypeID}/deprecate", "deprecateEventType", "Deprecate an event type")
            .about("Its events are taken in as before.")
            .fails(409, CHANGED)
            .shows(200, "Event type deprecated successfully", One("EventType")),
    ]
}

/// `POST …/test_function` of sources and of subscriptions.
pub(super) fn trial(path: &str, id: &'static str, example: &str) -> Operation {
    let schema = json!({"type": "object", "required": ["payload", "log"], "properties": {
        "payload": {"description": "What the function returned."},
        "log": {"type": "array", "items": {"type": "string"}, "description": "Lines of `console.log`."}}});
    let shown =
        json!({"payload": {"event_type": "invoice.paid", "data": {"invoice": 7}}, "log": []});
    in_project("POST", path, id, "Try a function")
        .about("Runs it on a payload and shows what comes of it; nothing is stored.")
        .reads::<Trial>(example)
        .required(&["function"])
        .shows(200, "Transformer function run successfully", Data::Plain(schema, shown))
}
