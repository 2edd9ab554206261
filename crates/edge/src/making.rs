//! What a delivery sends: the event's body, or what the subscription's function makes of it.

use std::borrow::Cow;

use inlet_gateway::deliver::{Delivery, body_for};
use inlet_gateway::endpoint::ContentType;
use inlet_gateway::event::StoredEvent;
use inlet_gateway::made::body_input;
use inlet_gateway::receiver::Receiver;
use inlet_gateway::sent::Sent;
use inlet_gateway::transform::Burnt;
use serde_json::json;

use crate::{log, transform};

/// What is delivered, as the subscription's function makes it.
pub(crate) struct Made<'e> {
    pub(crate) body: Vec<u8>,
    pub(crate) event: Cow<'e, StoredEvent>,
    /// Whether the body is a function's.
    pub(crate) by_function: bool,
    /// Why the function made nothing.
    pub(crate) fault: Option<String>,
}

/// `function` is the subscription's. `None` when the engine cannot be had, or has `burnt` all that it has for an invocation.
pub(crate) async fn made<'e>(
    event: &'e StoredEvent,
    body: Vec<u8>,
    delivery: &Delivery,
    function: Option<&str>,
    burnt: &Burnt,
) -> Option<Made<'e>> {
    let as_is =
        |body, fault| Some(Made { body, event: Cow::Borrowed(event), by_function: false, fault });
    let Some(code) = function else { return as_is(body, None) };
    match body_made(code, event, &body, delivery, burnt).await? {
        Ok(body) => {
            let content_type = Some("application/json".to_owned());
            let event = Cow::Owned(StoredEvent { content_type, ..event.clone() });
            Some(Made { body, event, by_function: true, fault: None })
        }
        Err(fault) => as_is(body, Some(fault)),
    }
}

/// What a delivery sends: the type, the headers and the bytes of its body, or why there are none.
pub(crate) async fn sent(
    event: &StoredEvent,
    body: Vec<u8>,
    delivery: &Delivery,
    to: &Receiver,
    burnt: &Burnt,
) -> Sent {
    let without = |why: String| {
        Sent::new(delivery, event.content_type.clone(), &event.headers_out(true), Err(why))
    };
    let function = match to.function(&delivery.subscription_id) {
        Ok(function) => function,
        Err(why) => return without(why.to_string()),
    };
    let Some(made) = made(event, body, delivery, function, burnt).await else {
        return without("the result of the function could not be had: ask again".to_owned());
    };
    if let Some(fault) = made.fault {
        return without(fault);
    }
    let is_form = to.endpoint.content_type == ContentType::Form;
    let content_type = to.endpoint.content_type.of_body(made.event.content_type.as_deref());
    let body = body_for(to.endpoint.content_type, made.event.content_type.as_deref(), &made.body)
        .map(Cow::into_owned);
    let headers = made.event.headers_out(made.by_function || is_form);
    Sent::new(delivery, content_type, &headers, body.map_err(|why| why.to_string()))
}

/// The body that a function makes, or why it makes none.
async fn body_made(
    code: &str,
    event: &StoredEvent,
    body: &[u8],
    delivery: &Delivery,
    burnt: &Burnt,
) -> Option<std::result::Result<Vec<u8>, String>> {
    let failed = |why: String| Some(Err(format!("the subscription's function failed: {why}")));
    let input = match body_input(event.content_type.as_deref(), body) {
        Ok(input) => input,
        Err(why) => return failed(why),
    };
    match transform::run(burnt, &delivery.subscription_id, code, &input, false).await {
        Ok(Ok(ran)) => Some(Ok(ran.output.into_bytes())),
        Ok(Err(fault)) => failed(fault.message),
        Err(error) => {
            let fields = json!({"delivery_id": delivery.id, "error": error.to_string()});
            log::error("function_not_run", fields);
            None
        }
    }
}
