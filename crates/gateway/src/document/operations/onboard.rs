//! Making many endpoints at once.

use serde_json::json;

use super::super::samples::{ENDPOINT, SUBSCRIPTION};
use super::{Data, Operation, in_project};
use crate::onboard::OnboardInput;

const FORM: &str = r#"{"type":"object","required":["file"],"properties":{"file":{"type":"string","contentMediaType":"text/csv",
    "description":"A table with a first row of names: name, url, event_type, auth_username, auth_password."}}}"#;

pub(super) fn onboard() -> Vec<Operation> {
    let findings = json!({"type": "object", "required": ["total_rows", "valid_count", "errors"], "properties": {
        "total_rows": {"type": "integer"}, "valid_count": {"type": "integer"},
        "errors": {"type": "array", "items": {"type": "object", "required": ["row", "field", "message"], "properties": {
            "row": {"type": "integer", "description": "The first is 1."}, "field": {"type": "string"}, "message": {"type": "string"}}}}}});
    let stored = json!({"type": "object", "required": ["batch_count", "total_items", "message", "endpoints"], "properties": {
        "batch_count": {"type": "integer"}, "total_items": {"type": "integer"}, "message": {"type": "string"},
        "endpoints": {"type": "array", "items": {"type": "object", "required": ["uid", "name", "url", "secret", "subscription_id"],
            "properties": {"uid": {"type": "string"}, "name": {"type": "string"}, "url": {"type": "string"},
                "secret": {"type": "string", "description": "Shown this once."}, "subscription_id": {"type": "string"}}}}}});
    vec![
        in_project("POST", "/onboard", "bulkOnboard", "Make many endpoints, each with a subscription")
            .about(
                "Of an outgoing project. All are stored, or none. `dry_run=true` only says what is wrong: 200, with the same data as \
                 the 400 of a call in which some row is.",
            )
            .query(&[super::parameter("dry_run", "`true` (or `1`): nothing is stored; `false` (or `0`), or nothing: all is. Any other value or parameter is refused.")])
            .reads::<OnboardInput>(r#"{"items":[{"name":"billing","url":"https://billing.example.com/hooks","event_type":"invoice.paid"}]}"#)
            .required(&["items"])
            .change_body(|body| body.also = Some(("multipart/form-data", FORM)))
            .shows(200, "Dry run validation complete", Data::Plain(findings,
                json!({"total_rows": 1, "valid_count": 1, "errors": []})))
            .shows(202, "Bulk onboard request accepted", Data::Plain(stored, json!({
                "batch_count": 1, "total_items": 1, "message": "All endpoints and subscriptions are stored",
                "endpoints": [{"uid": ENDPOINT, "name": "billing", "url": "https://billing.example.com/hooks",
                    "secret": "a-secret-of-the-endpoint", "subscription_id": SUBSCRIPTION}]}))),
    ]
}
