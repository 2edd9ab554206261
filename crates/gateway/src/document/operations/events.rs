//! Events: those that are found, and those that are pushed.

use serde_json::json;

use super::{BAD_QUERY, LIMITED, going_on, in_project, of_events, of_payloads, paging};
use crate::api::ApiError;
use crate::document::samples::EVENT;
use crate::document::{Data, Operation};
use crate::push::{Kind, Push, PushInput};

/// A call that pushes one event.
fn push(
    path: &str,
    id: &'static str,
    summary: &'static str,
    kind: Kind,
    example: &str,
    check: fn(&[u8]) -> Result<(), ApiError>,
) -> Operation {
    let queued = json!({"type": "object", "required": ["uid", "event_type", "idempotency_key"], "properties": {
        "uid": {"type": "string"}, "event_type": {"type": "string"},
        "idempotency_key": {"type": "string", "description": "Empty without one."}}});
    let shown = json!({"uid": EVENT, "event_type": "invoice.paid", "idempotency_key": ""});
    in_project("POST", path, id, summary)
        .fails(429, LIMITED)
        .reads_with::<PushInput>(example, check)
        .shows(201, kind.accepted(), Data::Plain(queued, shown))
}

pub(super) fn events() -> Vec<Operation> {
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
            .about("Copies that were dropped are in no list. A filter that no key serves looks at 50,000 rows for a page, at 10,000 if it reads payloads, and for two seconds: one that was not full by then is short, or empty, and has a next one.")
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
            .about("At most 1,000. Each item has a result, in order, in refusals, too (`data`). When none is stored, the status is that of the first; with 503 comes `Retry-After`. If the project's `ratelimit` has no room for any, the answer is one 429 without `data`.")
            .reads_with::<PushInput>(
                &format!("[{}]", body(r#""endpoint_id":"01KB0J7EA0ENDP01NT0EXAMP1E""#)),
                |body| Push::parse_batch(body)?.into_iter().try_for_each(|item| item.map(drop)),
            )
            .change_body(|body| body.is_array = true)
            .required(&["event_type", "data"])
            .shows(201, "1 successful, 0 failed", Plain(result.clone(), stored))
            .shows(207, "1 successful, 1 failed", Plain(result, some)),
        in_project("POST", "/events/batchreplay", "replayEvents", "Replay the events that a search finds")
            .about("Takes the filters of the list but those of payloads, and no parameter that it does not know; those of pages say nothing. `num` are delivered again, `failed` are not. Past 10,000 events, `next_page_cursor` says where to go on.")
            .query(&of_events())
            .query(&going_on())
            .fails(400, BAD_QUERY)
            .shows(200, "12 successful, 3 failed", Data::Nothing)
            .beside("num", json!(12))
            .beside("failed", json!(3))
            .beside("reasons", json!([{"reason": "no subscription matched this event", "num": 3}]))
            .beside("next_page_cursor", json!("")),
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
