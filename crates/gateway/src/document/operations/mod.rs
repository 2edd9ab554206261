//! Every call, as the document has it. A new route needs an entry here: a test says which ones are missing.

mod brokers;
mod deliveries;
mod endpoints;
mod event_types;
mod events;
mod filters;
mod gateway;
mod hookstream;
mod keys;
mod onboard;
mod portal;
mod projects;
mod sources;
mod subscriptions;

use serde_json::{Value, json};

use super::{Access, Data, Operation, Parameter, parameter, samples};
use crate::tally::Tally;

const PER_PAGE: Parameter = Parameter {
    name: "perPage",
    about: "Items of a page. More than 1000 are 1000; what is no number from 1 on is 20.",
    schema: r#"{"type":"integer","minimum":1,"maximum":1000,"default":20}"#,
};
const SORT: Parameter = Parameter {
    name: "sort",
    about: "`ASC`: oldest first.",
    schema: r#"{"type":"string","enum":["ASC","DESC"],"default":"DESC"}"#,
};
const DIRECTION: Parameter = Parameter {
    name: "direction",
    about: "`prev` goes back, from `prev_page_cursor`.",
    schema: r#"{"type":"string","enum":["next","prev"],"default":"next"}"#,
};

/// What every paged list takes.
fn paging() -> [Parameter; 5] {
    [
        PER_PAGE,
        Parameter {
            name: "per_page",
            about: "As `perPage`, for clients that write it so.",
            ..PER_PAGE
        },
        DIRECTION,
        parameter("next_page_cursor", "As the page before gave it."),
        parameter(
            "prev_page_cursor",
            "As the page after gave it; alone, or with `direction=prev`. A cursor that goes the other way is refused.",
        ),
    ]
}

/// What paged lists of ours take: as [`paging`], but for what a page size may be.
fn paging_of_ours() -> [Parameter; 5] {
    let about = "Items of a page. More than 1000 are 1000; what is no number from 1 on is refused.";
    let [_, same, direction, next, prev] = paging();
    [Parameter { about, ..PER_PAGE }, same, direction, next, prev]
}

/// A parameter that may be repeated: each value is one that will do.
fn several(name: &'static str, about: &'static str) -> Parameter {
    let schema = r#"{"type":"array","items":{"type":"string"},"maxItems":100}"#;
    Parameter { name, about, schema }
}

fn start_and_end() -> [Parameter; 2] {
    [
        parameter("startDate", "`2026-11-26T12:00:00` (UTC), or RFC 3339."),
        parameter(
            "endDate",
            "The same; the whole of its second is meant, and of a day alone the whole day.",
        ),
    ]
}

fn dates() -> [Parameter; 3] {
    let [start, end] = start_and_end();
    [start, end, SORT]
}

fn of_events() -> Vec<Parameter> {
    let mut all = vec![
        several("sourceId", "Events of these sources."),
        several("endpointId", "Events with a delivery to one of these endpoints."),
        several("eventType", "Events of these types."),
        several("event_type", "The same."),
        Parameter {
            name: "status",
            about: "Events of these states.",
            schema: r#"{"type":"array","items":{"type":"string","enum":["Pending","Processing","Success","Failure","Retry"]}}"#,
        },
        parameter("idempotencyKey", "The event with this key."),
        parameter("brokerMessageId", "The event that a broker's message of this id became."),
        parameter("ownerId", "Events for this owner, or for one of its endpoints."),
    ];
    all.extend(dates());
    all
}

/// Where a call on all that is found goes on.
fn going_on() -> [Parameter; 1] {
    [parameter("next_page_cursor", "As the call before gave it.")]
}

fn of_payloads() -> [Parameter; 3] {
    [
        parameter(
            "query",
            "Text that the payload or the event type holds, in any case and however its JSON writes it (`\\u00fc`, `\\/`), or all of an \
             idempotency key or uid (of a delivery or its event); at most 256 characters, of which 20 different ones may be no ASCII, 10 where deliveries are listed. A JSON object is the same as `body`. \
             Payloads of more than 120,000 bytes are not searched.",
        ),
        parameter("q", "The same."),
        parameter(
            "body",
            "A JSON object: fields that the payload has to hold, with just these values. Numbers are exact, and `5` is `5.0`. Of equal keys in a payload the last counts, but objects under equal keys count together; here a key stands once.",
        ),
    ]
}

fn of_deliveries() -> Vec<Parameter> {
    let mut all = vec![
        parameter("eventId", "Deliveries of this event."),
        several("subscriptionId", "Deliveries for these subscriptions."),
        several("endpointId", "Deliveries to these endpoints."),
        several("sourceId", "Deliveries of events of these sources."),
        several("eventType", "Deliveries of events of these types."),
        several("event_type", "The same."),
        Parameter {
            name: "status",
            about: "Deliveries of these states.",
            schema: r#"{"type":"array","items":{"type":"string","enum":["Scheduled","Processing","Discarded","Failure","Success","Retry"]}}"#,
        },
        parameter("ownerId", "Deliveries to the endpoints of this owner."),
        parameter("idempotencyKey", "Deliveries of the event with this key."),
        parameter("brokerMessageId", "Deliveries of the event that this message became."),
    ];
    let [start, end, sort] = dates();
    all.extend([
        Parameter {
            about: "`2026-11-26T12:00:00` (UTC), or RFC 3339: deliveries of events since then, whenever they were made themselves.",
            ..start
        },
        end,
        sort,
    ]);
    all
}

const LIMITED: &str = "The project takes in no more events right now; `Retry-After` says when.";
const NO_PAGES: &str = "The list comes whole: it has given no cursor.";
const BAD_QUERY: &str = "A parameter cannot be read. The message says which.";

fn open(method: &'static str, path: &str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(method, path, id, summary)
}

fn in_project(
    method: &'static str,
    path: &str,
    id: &'static str,
    summary: &'static str,
) -> Operation {
    Operation::new(method, &format!("/api/v1/projects/{{projectID}}{path}"), id, summary)
        .access(Access::Project)
}

fn tagged(tag: &'static str, operations: Vec<Operation>) -> impl Iterator<Item = Operation> {
    operations.into_iter().map(move |operation| Operation { tag, ..operation })
}

/// All operations, in the order of the document.
pub fn all() -> Vec<Operation> {
    let mut all: Vec<Operation> = Vec::new();
    all.extend(tagged("Projects", projects::projects()));
    all.extend(tagged("Projects", keys::keys()));
    all.extend(tagged("Sources", sources::sources()));
    all.extend(tagged("Hookstream", hookstream::hookstream()));
    all.extend(tagged("Endpoints", endpoints::endpoints()));
    all.extend(tagged("Endpoints", onboard::onboard()));
    all.extend(tagged("Subscriptions", subscriptions::subscriptions()));
    all.extend(tagged("Subscriptions", filters::filters()));
    all.extend(tagged("Event types", event_types::event_types()));
    all.extend(tagged("Events", events::events()));
    all.extend(tagged("Deliveries", deliveries::deliveries()));
    all.extend(tagged("Dead letters", brokers::dead_letters()));
    all.extend(tagged("Dead letters", brokers::ownerless()));
    all.extend(tagged("Meta events", brokers::meta_events()));
    all.extend(tagged("Companions", brokers::brokers()));
    all.extend(tagged("Portal", portal::portal()));
    all.extend(tagged("Providers", gateway::providers()));
    all.extend(tagged("Gateway", gateway::gateway()));
    all.extend(tagged("Gateway", hookstream::ingest()));
    all
}

fn reasons() -> Value {
    json!({"type": "array", "description": "Why those failed, the most frequent reason first.", "items": {
        "type": "object", "required": ["reason", "num"], "properties": {"reason": {"type": "string"}, "num": {"type": "integer"}}}})
}

/// What sending many again came to.
fn again(num: &str, succeeded: usize, failed: usize) -> Data {
    let schema = json!({"type": "object", "required": ["num", "failed", "reasons", "next_page_cursor"], "properties": {
        "num": {"type": "integer", "description": num}, "failed": {"type": "integer"},
        "reasons": reasons(),
        "next_page_cursor": {"type": "string", "description": "Where to go on; empty at the end."}}});
    let mut tally = Tally::default();
    tally.succeeded = succeeded;
    tally.fail("no subscription matched this event", failed);
    Data::Plain(schema, tally.present(None))
}

/// Two who change the same thing.
const CHANGED: &str = "Somebody else changes it at the same time: try again.";
