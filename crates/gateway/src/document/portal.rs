//! The calls that the token of a portal link opens: those of a project that an owner may make.

use serde_json::{Value, json};

use super::{Operation, samples};
use crate::routes::{Call, call};
use crate::scope::Owner;

const PROJECT: &str = "/api/v1/projects/{projectID}";

/// The path below `/portal-api`, if an owner may make the call.
pub fn owner_path(operation: &Operation) -> Option<String> {
    let path = format!("/portal-api{}", operation.path.strip_prefix(PROJECT)?);
    let owner = Owner {
        link_id: String::new(),
        owner_id: String::new(),
        can_manage_endpoint: true,
        // All ids of the document are theirs.
        endpoints: vec![samples::ENDPOINT.to_owned(), "{endpointID}".to_owned()],
    };
    let Ok(Call::InPortal { call }) = call(operation.method, &path) else { return None };
    let body = operation.body.as_ref().and_then(|body| body.examples.first());
    let body = body.map(|(_, example)| example.to_string()).unwrap_or_default();
    // Closed calls are 401; others may have something against the example.
    let is_closed = owner.admit(&call, "", body.as_bytes()).is_err_and(|error| error.status == 401);
    (!is_closed).then_some(path)
}

/// The call as an owner makes it. Its examples stand at the project's.
pub(super) fn of_owner(operation: &Operation, described: &Value) -> Option<(String, Value)> {
    let path = owner_path(operation)?;
    let mut described = described.clone();
    let (first, rest) = operation.id.split_at(1);
    described["operationId"] = json!(format!("portal{}{rest}", first.to_uppercase()));
    described["tags"] = json!(["Portal"]);
    described["summary"] = json!(format!("{}, as an owner", operation.summary));
    described["security"] = json!([{"portal": []}, {"portalToken": []}]);
    without_examples(&mut described);
    Some((path, described))
}

fn without_examples(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // Fields of this name are of media types here: schemas are references or have none.
            fields.remove("example");
            fields.remove("examples");
            fields.values_mut().for_each(without_examples);
        }
        Value::Array(items) => items.iter_mut().for_each(without_examples),
        _ => {}
    }
}
