//! Every call, as the document has it. A new route needs an entry here: a test says which ones are missing.

mod brokers;
mod deliveries;
mod event_types;
mod filters;
mod hookstream;
mod keys;
mod onboard;
mod portal;

use serde_json::{Value, json};

use super::samples::{self, EVENT};
use super::{Access, Data, Operation, Parameter, parameter};
use crate::backlog::{self, Oldest};
use crate::endpoint::{EndpointInput, ExpireInput};
use crate::oauth::Oauth2Test;
use crate::project::ProjectInput;
use crate::push::{Kind, Push, PushInput};
use crate::source::{ArmInput, SourceInput};
use crate::subscription::SubscriptionInput;
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
fn paging() -> [Parameter; 4] {
    [
        PER_PAGE,
        DIRECTION,
        parameter("next_page_cursor", "As the page before gave it."),
        parameter(
            "prev_page_cursor",
            "As the page after gave it; alone, or with `direction=prev`. A cursor that goes the other way is refused.",
        ),
    ]
}

/// The same for lists of ours alone.
fn paging_of_ours() -> [Parameter; 4] {
    let about = "Items of a page. More than 1000 are 1000; what is no number from 1 on is refused.";
    let [_, direction, next, prev] = paging();
    [Parameter { about, ..PER_PAGE }, direction, next, prev]
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
    all.extend(tagged("Projects", projects()));
    all.extend(tagged("Projects", keys::keys()));
    all.extend(tagged("Sources", sources()));
    all.extend(tagged("Hookstream", hookstream::hookstream()));
    all.extend(tagged("Endpoints", endpoints()));
    all.extend(tagged("Endpoints", onboard::onboard()));
    all.extend(tagged("Subscriptions", subscriptions()));
    all.extend(tagged("Subscriptions", filters::filters()));
    all.extend(tagged("Event types", event_types::event_types()));
    all.extend(tagged("Events", events()));
    all.extend(tagged("Deliveries", deliveries::deliveries()));
    all.extend(tagged("Dead letters", brokers::dead_letters()));
    all.extend(tagged("Dead letters", brokers::ownerless()));
    all.extend(tagged("Meta events", brokers::meta_events()));
    all.extend(tagged("Companions", brokers::brokers()));
    all.extend(tagged("Portal", portal::portal()));
    all.extend(tagged("Providers", providers()));
    all.extend(tagged("Gateway", gateway()));
    all.extend(tagged("Gateway", hookstream::ingest()));
    all
}

fn projects() -> Vec<Operation> {
    use Data::{List, One};
    vec![
        open("GET", "/api/v1/projects", "listProjects", "List projects")
            .access(Access::Project)
            .about("All of them with `ROOT_KEY`, its own with a project's key.")
            .fails(400, NO_PAGES)
            .shows(200, "Projects fetched successfully", List("Project")),
        open("POST", "/api/v1/projects", "createProject", "Create a project")
            .access(Access::Root)
            .reads::<ProjectInput>(samples::PROJECT_BODY)
            .required(&["name", "type"])
            .shows(201, "Project created successfully", One("CreatedProject")),
        in_project("GET", "", "getProject", "Get a project").shows(
            200,
            "Project fetched successfully",
            One("Project"),
        ),
        in_project("PUT", "", "updateProject", "Change a project")
            .about("What concerns all of its sources reaches 200 of them with the call, and the others within minutes: `untold_sources` beside `data` says how many.")
            .reads::<ProjectInput>(
                r#"{"config":{"strategy":{"type":"linear","duration":60,"retry_count":5}}}"#,
            )
            .fails(409, CHANGED)
            .shows(202, "Project updated successfully", One("Project")),
    ]
}

fn sources() -> Vec<Operation> {
    use Data::{List, Nothing, One, Page};
    vec![
        in_project("GET", "/sources", "listSources", "List sources")
            .query(&[
                parameter("type", "Sources of this type."),
                parameter("provider", "Sources of this provider."),
                parameter("q", "Part of the name."),
                SORT,
            ])
            .query(&paging())
            .shows(200, "Sources fetched successfully", Page("Source")),
        in_project("POST", "/sources", "createSource", "Create a source")
            .reads::<SourceInput>(samples::GITHUB_BODY)
            .or("own", samples::HMAC_BODY)
            .required(&["name", "type"])
            .fails(409, "Another source of the project has the slug.")
            .shows(201, "Source created successfully", One("Source")),
        event_types::trial(
            "/sources/test_function",
            "testSourceFunction",
            r#"{"type":"body","function":"function transform(x) { return {event_type: x.type, data: x} }","payload":{"type":"invoice.paid"}}"#,
        ),
        in_project("GET", "/sources/{sourceID}", "getSource", "Get a source")
            .shows(200, "Source fetched successfully", One("Source")),
        in_project("PUT", "/sources/{sourceID}", "updateSource", "Change a source")
            .about("`name` and `type` are always replaced, the rest where it is given. A change is seen everywhere within 100 seconds.")
            .reads::<SourceInput>(r#"{"name":"github","type":"http","is_disabled":true}"#)
            .required(&["name", "type"])
            .fails(409, "Another source of the project has the slug, or somebody else changes this one: try again.")
            .shows(202, "Source updated successfully", One("Source")),
        in_project("DELETE", "/sources/{sourceID}", "deleteSource", "Delete a source")
            .about("Its subscriptions go with it.")
            .shows(200, "Source deleted successfully", Nothing),
        in_project("POST", "/sources/{sourceID}/arm", "armSource", "Take a secret from the provider")
            .about("For a provider that hands over its secret in a first request: it is taken for some time, and only while there is none.")
            .reads::<ArmInput>(r#"{"seconds":600}"#)
            .fails(409, CHANGED)
            .shows(200, "Source armed successfully", One("Source")),
        in_project("GET", "/sources/{sourceID}/handed-over", "getHandedOver", "Show the secret that was handed over")
            .about("For a provider that wants to be told the secret that it handed over (Notion): for an hour after it came, and then 404.")
            .shows(200, "Secret fetched successfully", One("HandedOver")),
        in_project("GET", "/sources/{sourceID}/rejections", "listRejections", "List refused requests")
            .about("Whatever the status was. At most one in five seconds is kept, with what explains it; `refused_since_the_last` counts those between. `body_bytes` is null where the body was not read and did not say its length.")
            .fails(400, NO_PAGES).shows(200, "Rejected requests fetched successfully", List("Rejection")),
    ]
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

fn endpoints() -> Vec<Operation> {
    use Data::{Nothing, One, Page, Plain};
    let rates = json!({"type": "array", "items": {"type": "object",
        "required": ["uid", "period_failure_rate", "success_count", "failure_count", "retry_count"], "properties": {
        "uid": {"type": "string"}, "period_failure_rate": {"type": ["number", "null"], "description": "From 0 to 1."},
        "success_count": {"type": "integer"}, "failure_count": {"type": "integer"}, "retry_count": {"type": "integer"}}}});
    let rate = json!([{"uid": samples::ENDPOINT, "period_failure_rate": 0.25, "success_count": 3, "failure_count": 1, "retry_count": 0}]);
    let tested = json!({"type": "object", "required": ["success", "message", "error"], "properties": {
        "success": {"type": "boolean"}, "message": {"type": "string"}, "error": {"type": "string"},
        "access_token": {"type": "string", "description": "Masked."}, "token_type": {"type": "string"},
        "expires_at": {"type": ["string", "null"]}}});
    vec![
        in_project("GET", "/endpoints/period-failure-rates", "failureRates", "Count the failures of endpoints")
            .about("Of the last seven days, unless `startDate` says otherwise. What is retried has failed.")
            .query(&[several("endpointId", "Of these endpoints.")])
            .query(&dates().into_iter().take(2).collect::<Vec<_>>())
            .fails(400, BAD_QUERY)
            .shows(200, "Endpoint period failure rates fetched successfully", Plain(rates, rate)),
        in_project("POST", "/endpoints/oauth2/test", "testOauth2", "Try an OAuth client")
            .about("Asks for a token, and says whether it was granted.")
            .reads::<Oauth2Test>(
                r#"{"oauth2":{"url":"https://id.example.com/token","client_id":"inlet","client_secret":"one-of-theirs"}}"#,
            )
            .shows(200, "OAuth2 connection tested", Plain(tested, json!({"success": true, "message": "a token was granted",
                "access_token": "********", "token_type": "Bearer", "expires_at": "2026-11-26T13:00:00Z", "error": ""}))),
        in_project("GET", "/endpoints", "listEndpoints", "List endpoints")
            .query(&[
                parameter("ownerId", "Endpoints of this owner."),
                parameter("q", "Part of the name."),
            ])
            .query(&paging())
            .shows(200, "Endpoints fetched successfully", Page("Endpoint")),
        in_project("POST", "/endpoints", "createEndpoint", "Create an endpoint")
            .reads::<EndpointInput>(samples::ENDPOINT_BODY)
            .required(&["name", "url"])
            .shows(201, "Endpoint created successfully", One("Endpoint")),
        in_project("GET", "/endpoints/{endpointID}", "getEndpoint", "Get an endpoint").shows(
            200,
            "Endpoint fetched successfully",
            One("Endpoint"),
        ),
        in_project("PUT", "/endpoints/{endpointID}", "updateEndpoint", "Change an endpoint")
            .about("What is left out stays.")
            .reads::<EndpointInput>(r#"{"name":"billing","http_timeout":30}"#)
            .fails(409, CHANGED)
            .shows(202, "Endpoint updated successfully", One("Endpoint")),
        in_project("DELETE", "/endpoints/{endpointID}", "deleteEndpoint", "Delete an endpoint")
            .about("Its subscriptions go with it.")
            .shows(200, "Endpoint deleted successfully", Nothing),
        in_project("PUT", "/endpoints/{endpointID}/pause", "pauseEndpoint", "Pause, or go on")
            .fails(400, "The endpoint is inactive.")
            .fails(409, CHANGED)
            .shows(202, "endpoint status updated successfully", One("Endpoint")),
        in_project(
            "POST",
            "/endpoints/{endpointID}/activate",
            "activateEndpoint",
            "Activate an endpoint",
        )
        .fails(400, "The endpoint is active.")
        .fails(409, CHANGED)
        .shows(202, "endpoint status successfully activated", One("Endpoint")),
        in_project(
            "PUT",
            "/endpoints/{endpointID}/expire_secret",
            "expireSecret",
            "Exchange the secret",
        )
        .about(
            "Adds a secret, shown this once; those before it go on signing for `expiration` hours. Five sign at most: \
             a sixth is refused while all of them have time left, unless `expiration` is 0, which ends those that are there.",
        )
        .reads::<ExpireInput>(r#"{"expiration":24}"#)
        .fails(409, CHANGED)
        .shows(200, "endpoint secret expired successfully", One("Endpoint")),
    ]
}

fn subscriptions() -> Vec<Operation> {
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

/// A call that pushes one event.
fn push(
    path: &str,
    id: &'static str,
    summary: &'static str,
    kind: Kind,
    example: &str,
    check: fn(&[u8]) -> Result<(), crate::api::ApiError>,
) -> Operation {
    let uid =
        json!({"type": "object", "required": ["uid"], "properties": {"uid": {"type": "string"}}});
    in_project("POST", path, id, summary)
        .fails(429, LIMITED)
        .reads_with::<PushInput>(example, check)
        .shows(201, kind.accepted(), Data::Plain(uid, json!({"uid": EVENT})))
}

fn events() -> Vec<Operation> {
    use Data::{One, Page, Plain};
    const COMMON: &str = r#""event_type":"invoice.paid","data":{"invoice":7,"amount":1250}"#;
    let body = |more: &str| format!("{{{more},{COMMON}}}");
    let count = json!({"type": "object", "required": ["num", "is_complete"], "properties": {
        "num": {"type": "integer"}, "is_complete": {"type": "boolean", "description": "`false`: there were more than one call looks at."}}});
    let result = json!({"type": "array", "items": {"type": "object", "required": ["status"], "properties": {
        "status": {"type": "boolean"}, "uid": {"type": "string"}, "code": {"type": "integer"}, "message": {"type": "string"}}}});
    let stored = json!([{"status": true, "uid": EVENT}]);
    let some = json!([{"status": true, "uid": EVENT}, {"status": false, "code": 400, "message": "endpoint not found"}]);
    vec![
        in_project("GET", "/events", "listEvents", "Find events")
            .about("Copies that were dropped are in no list. A filter that no key serves looks at some thousand rows for a page: it may be short, or empty, and still have a next one.")
            .query(&of_events())
            .query(&of_payloads())
            .query(&paging())
            .fails(400, BAD_QUERY)
            .shows(200, "App events fetched successfully", Page("Event")),
        push("/events", "pushEvent", "Push an event to an endpoint", Kind::Single,
            &body(r#""endpoint_id":"01KB0J7EA0ENDP01NT0EXAMP1E","idempotency_key":"invoice-7","custom_headers":{"X-Trace":"abc"}"#),
            |body| Push::parse(Kind::Single, body).map(drop))
            .only(&["endpoint_id", "app_id", "event_type", "data", "custom_headers", "idempotency_key"])
            .required(&["event_type", "data"]),
        push("/events/fanout", "pushFanoutEvent", "Push an event to an owner's endpoints", Kind::Fanout,
            &body(r#""owner_id":"customer-7""#), |body| Push::parse(Kind::Fanout, body).map(drop))
            .only(&["owner_id", "event_type", "data", "custom_headers", "idempotency_key"])
            .required(&["owner_id", "event_type", "data"]),
        push("/events/broadcast", "pushBroadcastEvent", "Push an event to every subscription", Kind::Broadcast,
            &body(r#""idempotency_key":"invoice-8""#), |body| Push::parse(Kind::Broadcast, body).map(drop))
            .only(&["event_type", "data", "custom_headers", "idempotency_key"])
            .required(&["event_type", "data"]),
        push("/events/dynamic", "pushDynamicEvent", "Push an event to a URL", Kind::Dynamic,
            &body(r#""url":"https://billing.example.com/hooks","event_types":["invoice.paid"]"#),
            |body| Push::parse(Kind::Dynamic, body).map(drop))
            .only(&["url", "secret", "event_types", "event_type", "data", "custom_headers", "idempotency_key"])
            .required(&["url", "event_type", "data"]),
        in_project("POST", "/events/batch", "pushEvents", "Push many events")
            .fails(429, LIMITED)
            .about("At most 1,000. Each item has a result, in order, in refusals, too (`data`). When none is stored, the status is that of the first; with 503 comes `Retry-After`.")
            .reads_with::<PushInput>(
                &format!("[{}]", body(r#""endpoint_id":"01KB0J7EA0ENDP01NT0EXAMP1E""#)),
                |body| Push::parse_batch(body)?.into_iter().try_for_each(|item| item.map(drop)),
            )
            .change_body(|body| body.is_array = true)
            .required(&["event_type", "data"])
            .shows(201, "1 successful, 0 failed", Plain(result.clone(), stored))
            .shows(207, "1 successful, 1 failed", Plain(result, some)),
        in_project("POST", "/events/batchreplay", "replayEvents", "Replay the events that a search finds")
            .about("Takes the filters of the list but those of payloads, and no parameter that it does not know; those of pages say nothing. Past 10,000 events, `next_page_cursor` says where to go on.")
            .query(&of_events())
            .query(&going_on())
            .fails(400, BAD_QUERY)
            .shows(200, "12 successful, 3 failed", again("Events that are delivered again.", 12, 3)),
        in_project("GET", "/events/countbatchreplayevents", "countReplay", "Count the events that a replay would find")
            .query(&of_events())
            .query(&going_on())
            .fails(400, BAD_QUERY)
            .shows(200, "events count successful", Plain(count, json!({"num": 12, "is_complete": true}))),
        in_project("GET", "/events/{eventID}", "getEvent", "Get an event")
            .about("An event that was accepted a moment ago is found, too: from the journal it is shown as `Pending`, and what is still on its way is waited for, two seconds at most. One that lacks something to be routed is `Pending` with the reason as `failure_reason`, and without `data` where that is what it lacks.")
            .fails(410, "The body of the event is gone from the store.")
            .shows(200, "Endpoint event fetched successfully", One("Event")),
        in_project("PUT", "/events/{eventID}/replay", "replayEvent", "Replay an event")
            .about("New deliveries, to those who would get the event now. An event that was accepted a moment ago is waited for.")
            .fails(400, "Nobody would get the event, or it was dropped as a copy.")
            .fails(409, "The event is stored and not routed yet: try again after `Retry-After`.")
            .shows(200, "Endpoint event replayed successfully", One("Event"))
            .beside("replay_id", json!("01KB0J7EA0REP1AY00EXAMP1E0")),
    ]
}

fn providers() -> Vec<Operation> {
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

fn gateway() -> Vec<Operation> {
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
        "400": refusal("The type of the event, or a part of its dedup key, is missing; or the source takes no requests."),
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
            .about("With `ROOT_KEY` of all projects, with a project's key of that one: how long events and deliveries wait, the newest deliveries by status, what is held back and by what, dead letters, circuit breakers. It reads some ten thousand rows at most, so a minute is a good interval.")
            .answers(metrics),
        open("GET", "/openapi.json", "document", "This document").answers(json!({
            "200": {"description": "OpenAPI 3.1.", "content": json_of(json!({"type": "object"}))},
            "304": {"description": "It is the one that you have (`If-None-Match`)."},
        })),
        open("GET", "/docs", "docs", "This document, for people").answers(json!({
            "200": {"description": "A page that needs nothing else but this document.",
                "content": {"text/html": {"schema": {"type": "string"}}}},
            "304": {"description": "It is the one that you have (`If-None-Match`)."},
        })),
    ]
}
