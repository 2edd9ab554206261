//! The calls that the token of a portal link opens: those of a project that an owner may make.

use serde_json::{Value, json};

use super::{Access, Body, Operation, Readers, samples};
use crate::routes::{Call, call};
use crate::scope::{Owner, Scope};

const PROJECT: &str = "/api/v1/projects/{projectID}";
/// One that an owner made: those of sources are the project's to make.
const SUBSCRIPTION_BODY: &str = r#"{"name":"all to billing","endpoint_id":"01KB0J7EA0ENDP01NT0EXAMP1E",
    "filter_config":{"event_types":["invoice.paid"]}}"#;

fn owner() -> Owner {
    Owner {
        link_id: String::new(),
        owner_id: "customer-7".to_owned(),
        can_manage_endpoint: true,
        // All ids of the document are theirs.
        endpoints: vec![samples::ENDPOINT.to_owned(), "{endpointID}".to_owned()],
    }
}

/// The path below `/portal-api`, if an owner may make the call.
pub fn owner_path(operation: &Operation) -> Option<String> {
    let path = format!("/portal-api{}", operation.path.strip_prefix(PROJECT)?);
    let Ok(Call::InPortal { call }) = call(operation.method, &path) else { return None };
    let body = operation.body.as_ref().and_then(|body| body.examples.first());
    let body = body.map(|(_, example)| example.to_string()).unwrap_or_default();
    // Closed calls are 401; others may have something against the example.
    let is_closed =
        owner().admit(&call, "", body.as_bytes()).is_err_and(|error| error.status == 401);
    (!is_closed).then_some(path)
}

/// Whether a field of a body is not an owner's to say: it is refused, or something else is put in its place.
fn is_closed(method: &str, path: &str, field: &str) -> bool {
    let Ok(Call::InPortal { call }) = call(method, path) else { return true };
    let mut body = json!({"endpoint_id": samples::ENDPOINT});
    if body.get(field).is_some() {
        return false;
    }
    body[field] = json!("theirs");
    match owner().admit(&call, "", body.to_string().as_bytes()) {
        Ok(admitted) => admitted.body.is_some_and(|instead| {
            serde_json::from_slice::<Value>(&instead)
                .is_ok_and(|instead| instead[field] != body[field])
        }),
        // 401: that it is another's.
        Err(error) => error.status == 403,
    }
}

/// The call as an owner makes it.
pub(super) fn of_owner(operation: &Operation, readers: &Readers) -> Option<(String, Value)> {
    let path = owner_path(operation)?;
    let mut own = Operation { access: Access::Owner, tag: "Portal", ..operation.clone() };
    own.path.clone_from(&path);
    if let Some(body) = &mut own.body {
        narrow(body, readers, |field| is_closed(own.method, &path, field));
    }
    let mut described = own.describe(readers);
    let (first, rest) = operation.id.split_at(1);
    described["operationId"] = json!(format!("portal{}{rest}", first.to_uppercase()));
    described["summary"] = json!(format!("{}, as an owner", operation.summary));
    Some((path, described))
}

/// Takes closed fields out of what a body is documented to hold, and out of its examples.
fn narrow(body: &mut Body, readers: &Readers, is_closed: impl Fn(&str) -> bool) {
    let mut fields = body.only.clone();
    if fields.is_empty() {
        fields = readers[body.reader].iter().map(|(field, _)| field.clone()).collect();
    }
    let all = fields.len();
    fields.retain(|field| !is_closed(field));
    if fields.len() == all {
        return;
    }
    for (_, example) in &mut body.examples {
        if let Value::Object(example) = example {
            example.retain(|field, _| fields.contains(field));
        }
    }
    body.only = fields;
}

/// The sample of a shape as an owner sees it.
pub(super) fn sample(shape: &str) -> Value {
    match shape {
        "Event" => {
            let event = Scope::Owner(owner()).shown(samples::delivered_event());
            let body = event.body.clone().into_bytes();
            samples::shown(event.present_with(&body, None, &samples::pointed()))
        }
        "Subscription" => samples::subscription_shown(SUBSCRIPTION_BODY),
        _ => samples::first(shape),
    }
}
