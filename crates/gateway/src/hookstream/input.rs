//! What a caller writes: the body of `POST /v1/sources` and `PATCH /v1/sources/:id`.

use serde_json::{Map, Value};

use crate::api::ApiError;
use crate::fields::{Fields, FromFields};

/// What answers show beside, and what is not for the caller to say.
const READ_ONLY: [&str; 7] =
    ["id", "event_count", "last_event_at", "created_at", "updated_at", "is_ephemeral", "url"];

/// Flags may be 0 or 1, lists and objects the text of their JSON: so answers have them.
#[derive(Debug, Default)]
pub struct HookstreamSource {
    org_id: Option<String>,
    env_id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) slug: Option<String>,
    pub(super) description: Option<String>,
    pub(super) template: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) source_config: Option<Map<String, Value>>,
    pub(super) verification_enabled: Option<bool>,
    pub(super) verification_type: Option<String>,
    pub(super) verification_secret: Option<String>,
    pub(super) verification_header: Option<String>,
    pub(super) verification_config: Option<Map<String, Value>>,
    pub(super) dedup_enabled: Option<bool>,
    pub(super) dedup_strategy: Option<String>,
    pub(super) dedup_field: Option<String>,
    pub(super) dedup_window_seconds: Option<u64>,
    pub(super) ip_allowlist: Option<Value>,
    pub(super) ip_denylist: Option<Value>,
    pub(super) status: Option<String>,
    pub(super) expires_at: Option<String>,
    pub(super) request_limit: Option<u64>,
    pub(super) schema_validation_enabled: Option<bool>,
    pub(super) json_schema: Option<Value>,
    pub(super) schema_action: Option<String>,
}

impl FromFields for HookstreamSource {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let read = Self {
            org_id: fields.text("org_id")?,
            env_id: fields.text("env_id")?,
            name: fields.text("name")?,
            slug: fields.text("slug")?,
            description: fields.text("description")?,
            template: fields.text("template")?,
            kind: fields.text("type")?,
            source_config: object(fields, "source_config")?,
            verification_enabled: flag(fields, "verification_enabled")?,
            verification_type: fields.text("verification_type")?,
            verification_secret: fields.text("verification_secret")?,
            verification_header: fields.text("verification_header")?,
            verification_config: object(fields, "verification_config")?,
            dedup_enabled: flag(fields, "dedup_enabled")?,
            dedup_strategy: fields.text("dedup_strategy")?,
            dedup_field: fields.text("dedup_field")?,
            dedup_window_seconds: fields
                .number("dedup_window_seconds", 1..=crate::source::DEDUP_WINDOW_MAX_S)?,
            ip_allowlist: list(fields, "ip_allowlist")?,
            ip_denylist: list(fields, "ip_denylist")?,
            status: fields.text("status")?,
            expires_at: fields.text("expires_at")?,
            request_limit: fields.number("request_limit", 0..=crate::admission::REQUESTS_MAX)?,
            schema_validation_enabled: flag(fields, "schema_validation_enabled")?,
            json_schema: object(fields, "json_schema")?.map(Value::Object),
            schema_action: fields.text("schema_action")?,
        };
        let rest = fields.rest();
        match rest.keys().find(|name| !READ_ONLY.contains(&name.as_str())) {
            Some(unknown) => Err(ApiError::bad_request(format!(
                "{unknown}: is not a field of a source, and would have no effect"
            ))),
            None => Ok(read),
        }
    }
}

impl HookstreamSource {
    pub(super) fn projects(&self) -> (Option<String>, Option<String>) {
        (self.org_id.clone(), self.env_id.clone())
    }
}

fn wrong(name: &str, what: &str) -> ApiError {
    ApiError::bad_request(format!("{name}: {what} is expected"))
}

fn flag(fields: &mut Fields, name: &str) -> Result<Option<bool>, ApiError> {
    match fields.raw(name) {
        None => Ok(None),
        Some(Value::Bool(on)) => Ok(Some(on)),
        Some(value) => match value.as_u64() {
            Some(number @ (0 | 1)) => Ok(Some(number == 1)),
            _ => Err(wrong(name, "true or false, or 1 or 0,")),
        },
    }
}

/// What a field holds, or what the text in it means.
fn meant(fields: &mut Fields, name: &str, empty: Value) -> Option<Value> {
    Some(match fields.raw(name)? {
        Value::String(text) if text.trim().is_empty() => empty,
        Value::String(text) => serde_json::from_str(&text).unwrap_or_default(),
        value => value,
    })
}

fn list(fields: &mut Fields, name: &str) -> Result<Option<Value>, ApiError> {
    match meant(fields, name, Value::Array(Vec::new())) {
        None => Ok(None),
        Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
            Ok(Some(Value::Array(items)))
        }
        Some(_) => Err(wrong(name, "a list of texts")),
    }
}

fn object(fields: &mut Fields, name: &str) -> Result<Option<Map<String, Value>>, ApiError> {
    match meant(fields, name, Value::Object(Map::new())) {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(wrong(name, "an object")),
    }
}
