//! What belongs to no project: the catalogue, and the gateway itself.

use serde_json::{Value, json};

use super::open;
use crate::backlog::{self, Oldest};
use crate::document::samples::EVENT;
use crate::document::{Access, Data, Operation, parameter};

pub(super) fn providers() -> Vec<Operation> {
    use Data::{List, One};
    vec![
        open("GET", "/api/v1/providers", "listProviders", "List the catalogue")
            .query(&[parameter("q", "Part of a name.")])
            .shows(200, "Providers fetched successfully", List("Provider")),
        open("GET", "/api/v1/providers/{provider}", "getProvider", "Get a row of the catalogue")
            .fails(404, "There is no such provider.")
            .shows(200, "Provider fetched successfully", One("Provider")),
    ]
}

pub(super) fn gateway() -> Vec<Operation> {
    let json_of = |schema: Value| json!({"application/json": {"schema": schema}});
    let refusal = |why: &str| {
        json!({"description": why, "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}})
    };
    let health = json!({
        "200": {"description": "The gateway runs, and is configured.", "content": json_of(
            json!({"type": "object", "required": ["status", "message", "data"], "properties": {
                "status": {"type": "boolean"}, "message": {"type": "string"}, "data": {}}}))},
        "503": refusal("It runs, and `message` says what is wrong with its variables or its key."),
    });
    let backlog = |oldest| backlog::answer(&[(0, Some(oldest))], 200_001).body;
    let shards = json!({"type": "object", "required": ["status", "message", "data"], "properties": {
        "status": {"type": "boolean"}, "message": {"type": "string"},
        "data": {"type": "object", "required": ["shards"], "properties": {"shards": {"type": "array", "items": {
            "type": "object", "required": ["shard", "state", "events_wait_ms", "set_aside_wait_ms", "deliveries_wait_ms"], "properties": {
                "shard": {"type": "integer"},
                "state": {"enum": ["ok", "waiting", "unreadable"]},
                "events_wait_ms": {"type": ["integer", "null"]},
                "set_aside_wait_ms": {"type": ["integer", "null"], "description": "The event that has waited longest aside, for its body or its source's function."},
                "deliveries_wait_ms": {"type": ["integer", "null"], "description": "The delivery that could have been made the longest; what only a real queue knows of is not seen."}}}}}}}});
    let ingest = json!({
        "200": {"description": "The event is durable; or the source's own response.", "headers": {
                "Inlet-Event-Id": {"description": "The event's `uid`.", "schema": {"type": "string"}}},
            "content": {"*/*": {"example": {"status": true, "message": "Event received", "data": 27, "event_id": EVENT}}}},
        "400": refusal("The type of the event is missing, the request cannot be read, or the source takes no requests."),
        "401": refusal("Not believed. Some providers expect another status, and a source may choose its own."),
        "403": refusal("The source is disabled, or takes nothing from this address."),
        "404": refusal("There is no such source."),
        "405": refusal("The source does not take this method."),
        "410": refusal("The source has expired, or has had all of its requests."),
        "413": refusal("The body is too large."),
        "422": refusal("The body does not fit the JSON schema of the source, or of its event type; `validation_errors` says where."),
        "429": refusal("The source or the project takes in no more right now; `Retry-After` says when."),
        "431": refusal("The headers are too large."),
        "503": refusal("Try again: nothing was stored."),
    });
    let home = json!({"302": {"description": "To `/docs`.", "headers": {"Location": {"schema": {"type": "string"}}}}});
    let in_a_word =
        json!({"200": {"description": "Yes."}, "503": {"description": "No: `GET` says why."}});
    let metrics = json!({
        "200": {"description": "The text format of Prometheus, 0.0.4.", "content": {"text/plain": {"schema": {"type": "string"},
            "example": "# HELP inlet_recent_deliveries The newest deliveries of the project, 1000 at most, by status.\n# TYPE inlet_recent_deliveries gauge\ninlet_recent_deliveries{project=\"01KB0J7EA0PR0JECT0EXAMP1E0\",status=\"Success\"} 12\n"}}},
        "400": refusal("`X-Convoy-Version` names no version."),
        "401": refusal("There is no key, or not one that is known."),
        "403": refusal("The key is not one for this."),
        "413": refusal("The body is too large."),
        "415": refusal("The body is not `application/json`."),
        "503": refusal("The projects cannot be read right now: try again."),
    });
    vec![
        open("POST", "/ingest/{maskID}", "ingest", "Hand in a request")
            .takes(json!({"content": {"*/*": {"schema": {}, "example": {"type": "invoice.paid", "invoice": 7}}}}))
            .about("What a provider calls: the `url` of a source. The body is anything; a 2xx means that the event is durable.")
            .answers(ingest.clone()),
        open("GET", "/ingest/{maskID}", "answerHandshake", "Ask the source")
            .about("Questions by which some providers prove whose URL it is.")
            .answers(ingest),
        open("GET", "/healthz", "health", "Is the gateway well?").answers(health),
        open("HEAD", "/healthz", "ping", "Is the gateway well, in a word?").answers(in_a_word.clone()),
        open("HEAD", "/healthz/events", "pingEvents", "Do events go on, in a word?").answers(in_a_word),
        open("GET", "/healthz/events", "healthOfEvents", "Do events go on?")
            .about("For an alarm: events that are durable and not routed for two minutes, or deliveries that nobody looks after for five. It reads the database, at most once a second in an isolate.")
            .answers(json!({
                "200": {"description": "What is durable goes on.", "content": {"application/json": {
                    "schema": shards, "example": backlog(Oldest::default())}}},
                "503": {"description": "Something waits, or a shard cannot be read.", "content": {"application/json": {
                    "schema": shards, "example": backlog(Oldest { event_at: Some(1), ..Oldest::default() })}}},
            })),
        open("GET", "/metrics", "metrics", "Figures for Prometheus")
            .access(Access::Project)
            .about("With `ROOT_KEY` of all projects, with a project's key of that one: how long events and deliveries wait, the newest deliveries by status, what is held back and by what, dead letters, circuit breakers. It reads some hundred thousand rows at most, so a minute is a good interval.")
            .answers(metrics),
        open("GET", "/openapi.json", "document", "This document").answers(json!({
            "200": {"description": "OpenAPI 3.1.", "content": json_of(json!({"type": "object"}))},
            "304": {"description": "It is the one that you have (`If-None-Match`)."},
        })),
        open("HEAD", "/", "pingHome", "Is there a gateway?").answers(home.clone()),
        open("GET", "/", "home", "Find this document").answers(home),
        open("HEAD", "/docs", "pingDocs", "Is there a page of this document?")
            .answers(json!({"200": {"description": "Yes."}, "304": {"description": "It is the one that you have (`If-None-Match`)."}})),
        open("GET", "/docs", "docs", "This document, for people").answers(json!({
            "200": {"description": "A page that needs nothing else but this document.",
                "content": {"text/html": {"schema": {"type": "string"}}}},
            "304": {"description": "It is the one that you have (`If-None-Match`)."},
        })),
    ]
}
