//! The calls of Hookstream's dialect.

use serde_json::{Map, Value, json};

use super::super::samples;
use super::super::schema;
use super::{Access, Operation, open};
use crate::hookstream::{HookstreamSource, SessionInput, SessionResponse};

const LIMIT: super::Parameter = super::Parameter {
    name: "limit",
    about: "Sources of a page.",
    schema: r#"{"type":"integer","minimum":1,"maximum":100,"default":20}"#,
};

fn project_ids() -> [super::Parameter; 2] {
    [
        super::parameter("org_id", "The project's uid; with `ROOT_KEY` it has to be said."),
        super::parameter("env_id", "The same."),
    ]
}

fn refusal(why: &str) -> Value {
    json!({"description": why, "content": {"application/json": {
        "schema": {"$ref": "#/components/schemas/HookstreamRefusal"}}}})
}

/// All answers of a call: the one that is no refusal, and what every call may be refused for.
fn answers(status: &str, shown: Value, more: &[(&str, &str)]) -> Value {
    let refusals = [
        ("400", "Something cannot be read, or asks for what cannot be. The text says which field."),
        ("401", "There is no key, or not one that is known."),
        ("403", "The key is not one for this project."),
        ("404", "There is no such thing in this project, or no such project."),
        ("413", "The body is too large."),
        ("415", "The body is not `application/json`."),
        ("503", "A store is not available right now: try again."),
    ];
    let mut all: Map<String, Value> = refusals
        .iter()
        .chain(more)
        .map(|(status, why)| ((*status).to_owned(), refusal(why)))
        .collect();
    all.insert(status.to_owned(), shown);
    Value::Object(all)
}

fn content(description: &str, schema: Value, example: Value) -> Value {
    json!({"description": description, "content": {"application/json": {"schema": schema, "example": example}}})
}

fn one(description: &str) -> Value {
    let schema = json!({"type": "object", "required": ["source"], "properties": {
        "source": schema::reference("HookstreamSourceShown")}});
    content(description, schema, json!({"source": example()}))
}

fn example() -> Value {
    samples::first("HookstreamSourceShown")
}

const TAKEN: (&str, &str) = (
    "409",
    "Another source of the project has the slug, or somebody else changes this one: try again.",
);

pub(super) fn hookstream() -> Vec<Operation> {
    let in_project =
        |method, path, id, summary| open(method, path, id, summary).access(Access::Hookstream);
    let list = json!({"type": "object", "required": ["sources", "cursor", "has_more"], "properties": {
        "sources": {"type": "array", "items": schema::reference("HookstreamSourceShown")},
        "cursor": {"type": ["string", "null"]}, "has_more": {"type": "boolean"}}});
    let deleted = json!({"type": "object", "required": ["deleted", "id"], "properties": {
        "deleted": {"type": "boolean"}, "id": {"type": "string"}}});
    let mut all = vec![
        in_project("GET", "/v1/sources", "hookstreamListSources", "List sources")
            .query(&[LIMIT, super::parameter("cursor", "As the page before gave it.")])
            .query(&project_ids())
            .answers(answers(
                "200",
                content("A page, newest first.", list, json!({"sources": [example()], "cursor": null, "has_more": false})),
                &[],
            )),
        in_project("POST", "/v1/sources", "hookstreamCreateSource", "Create a source")
            .about("The source's `id` is the last part of its URL, `/v1/ingest/{id}`.")
            .query(&project_ids())
            .reads::<HookstreamSource>(samples::HOOKSTREAM_BODY)
            .required(&["name", "slug"])
            .answers(answers("201", one("It is created."), &[TAKEN])),
        in_project("GET", "/v1/sources/{sourceID}", "hookstreamGetSource", "Get a source")
            .query(&project_ids())
            .answers(answers("200", one("The source."), &[])),
        in_project("PATCH", "/v1/sources/{sourceID}", "hookstreamChangeSource", "Change a source")
            .about("What is left out, or `null`, stays. What was read can be sent back. A change is seen everywhere within 100 seconds.")
            .query(&project_ids())
            .reads::<HookstreamSource>(r#"{"status":"paused"}"#)
            .answers(answers("200", one("It is changed."), &[TAKEN])),
        in_project("DELETE", "/v1/sources/{sourceID}", "hookstreamDeleteSource", "Delete a source")
            .about("Its subscriptions go with it.")
            .query(&project_ids())
            .answers(answers(
                "200",
                content("It is deleted.", deleted.clone(), json!({"deleted": true, "id": samples::SOURCE})),
                &[],
            )),
    ];
    all.extend(sessions(&deleted));
    all
}

fn sessions(deleted: &Value) -> Vec<Operation> {
    let in_project = |method, path, id, summary| {
        open(method, path, id, summary).access(Access::Hookstream).query(&project_ids())
    };
    let session = |description: &str| {
        let schema = schema::reference("HookstreamSession");
        content(description, schema, samples::first("HookstreamSession"))
    };
    vec![
        in_project("POST", "/v1/test/sessions", "hookstreamOpenSession", "Open a test session")
            .about("A source that ends after 14 days or 2,000 events, without any field to fill in. It needs a key like every other call: \
                who has none cannot fill the store. `/v1/agent/sessions` is the same.")
            .reads::<SessionInput>(r#"{"request_limit":100}"#)
            .optional()
            .answers(answers("201", session("It is open."), &[TAKEN])),
        in_project("GET", "/v1/test/sessions/{sessionID}", "hookstreamGetSession", "Get a test session")
            .answers(answers("200", session("The session."), &[])),
        in_project("POST", "/v1/test/sessions/{sessionID}/claim", "hookstreamClaimSession", "Make a test session a source for good")
            .about("Its URL stays, and so does what came to it.")
            .reads::<SessionInput>(r#"{"name":"orders","slug":"orders"}"#)
            .optional()
            .answers(answers("200", one("It is a source."), &[TAKEN])),
        in_project("PATCH", "/v1/test/sessions/{sessionID}/response", "hookstreamAnswerSession", "Say what senders are answered")
            .reads::<SessionResponse>(r#"{"status":202,"content_type":"text/plain","body":"thanks"}"#)
            .answers(answers("200", session("It is changed."), &[TAKEN])),
        in_project("DELETE", "/v1/test/sessions/{sessionID}", "hookstreamDeleteSession", "Delete a test session")
            .answers(answers(
                "200",
                content("It is deleted.", deleted.clone(), json!({"deleted": true, "id": samples::SOURCE})),
                &[],
            )),
    ]
}

/// A sender's call, by Hookstream's URL. The methods are those that make events.
pub(super) fn ingest() -> Vec<Operation> {
    let methods = [
        ("POST", "hookstreamIngest"),
        ("PUT", "hookstreamIngestPut"),
        ("PATCH", "hookstreamIngestPatch"),
        ("DELETE", "hookstreamIngestDelete"),
        ("GET", "hookstreamIngestGet"),
    ];
    let taken = json!({"description": "The event is durable: this, or what the source's `custom_response` says, or what its provider \
        wants.", "headers": {"inlet-event-id": {"schema": {"type": "string"}}},
        "content": {"*/*": {}, "application/json": {"example": {"event_id": samples::EVENT, "source_id": samples::SOURCE}}}});
    let text = |why: &str| json!({"description": why, "content": {"*/*": {}}});
    let operation = |(method, id)| {
        open(method, "/v1/ingest/{sourceID}", id, "Hand in an event by Hookstream's URL")
            .about(
                "For sources that were created by `POST /v1/sources`; of others the `mask_id` stands in place of the id. The URL \
                 is in the source's `url`. A source with a provider answers the provider's questions, too.",
            )
            .answers(json!({
                "200": taken, "204": {"description": "A question of the provider, answered."},
                "400": text("It cannot be read."), "401": text("It is not believed."), "403": text("The source takes nothing from here, or now."),
                "404": text("There is no such source."), "405": text("The method is not taken."), "410": text("The source has ended."),
                "413": text("It is too large."), "422": text("It does not fit the schema: `validation_errors`."),
                "429": text("Too much at a time."), "431": text("Its headers are too large."),
                "503": text("Keep it, and try again."),
            }))
    };
    methods.into_iter().map(operation).collect()
}
