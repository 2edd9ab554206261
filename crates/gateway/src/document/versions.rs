//! `X-Convoy-Version`, and the id of a call: what all calls of Convoy's dialect take and answer beside their bodies.

use serde_json::{Map, Value, json};

use crate::version::Version;

/// Whether the header counts for a path.
pub(super) fn counts(path: &str) -> bool {
    path.starts_with("/api/v1/projects") || path.starts_with("/portal-api/")
}

fn names() -> [&'static str; 3] {
    [Version::V20240101, Version::V20240401, Version::V20251124].map(Version::name)
}

pub(super) fn parameter() -> Value {
    json!({"name": "X-Convoy-Version", "in": "header", "required": false,
        "description": "The version of the API that the caller was written for; the newest without it. Only endpoints differ. \
            Before `2025-11-24` they are shown with `title` and `target_url` in place of `name` and `url`. In `2024-01-01` \
            `http_timeout` and `rate_limit_duration` are texts (`10s`), read and shown, and new endpoints have simple signatures \
            unless they ask for `advanced_signatures`.",
        "schema": {"type": "string", "enum": names()}, "example": Version::V20251124.name()})
}

pub(super) fn headers() -> Value {
    json!({
        "X-Request-ID": {"description": "The id of the call: the one that it came with, or a new one.", "schema": {"type": "string"}},
        "X-Convoy-Version": {"description": "The version of the answer.", "schema": {"type": "string", "enum": names()}},
    })
}

pub(super) fn add_headers(response: &mut Value) {
    if response.get("$ref").is_none() {
        for name in ["X-Request-ID", "X-Convoy-Version"] {
            response["headers"][name] = json!({"$ref": format!("#/components/headers/{name}")});
        }
    }
}

/// An endpoint has its name and its URL in each version, under one of two names. Makers of types take what `anyOf` says beside
/// properties for a type of its own, and pass over conditions.
pub(super) fn open_endpoint(schemas: &mut Map<String, Value>) {
    if let Some(endpoint) = schemas.get_mut("Endpoint") {
        endpoint["if"] = json!({"required": ["title"]});
        endpoint["then"] = json!({"required": ["target_url"]});
        endpoint["else"] = json!({"required": ["name", "url"]});
    }
}

/// What all calls of a path have.
pub(super) fn path_item(path: &str) -> Value {
    let ids = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let version = counts(path).then_some("convoyVersion");
    let all: Vec<Value> = ids
        .chain(version)
        .map(|name| json!({"$ref": format!("#/components/parameters/{name}")}))
        .collect();
    if all.is_empty() { json!({}) } else { json!({"parameters": all}) }
}
