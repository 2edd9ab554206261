//! Locations: where in a request a value stands, as Convoy writes them (`request.body.data.id`).

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::payload;

/// Where a value stands in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A header, by its lower-case name.
    Header(String),
    /// A dotted path into the body, JSON or form.
    Body(String),
    /// A query parameter.
    Query(String),
    /// The whole body, byte for byte.
    PayloadHash,
}

/// An idempotency key: two requests with the same body are one event.
pub const PAYLOAD_HASH: &str = "request.payload_hash";

/// What a location is looked up in.
#[derive(Debug)]
pub struct Parts<'a> {
    pub headers: &'a inlet_verify::Headers,
    /// The query string, without `?`.
    pub query: &'a str,
    /// The body as JSON; `None` when it is neither JSON nor a form.
    pub body: Option<&'a Value>,
    /// Its bytes.
    pub payload: &'a [u8],
}

impl Location {
    /// Parses one entry of `idempotency_keys`. The error is the text of the API.
    pub fn parse_idempotency_key(text: &str) -> Result<Self, String> {
        let unsupported =
            || format!("unsupported input format for idempotency key location with value: {text}");
        let few =
            || format!("not enough parts set for idempotency key location with value: {text}");
        if text == PAYLOAD_HASH {
            return Ok(Self::PayloadHash);
        }
        let mut parts = text.splitn(3, '.');
        let (Some(root), Some(kind), Some(selector)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(few());
        };
        if selector.is_empty() {
            return Err(few());
        }
        if !matches!(root, "request" | "req") {
            return Err(unsupported());
        }
        match kind {
            "Header" | "header" => Ok(Self::Header(selector.to_ascii_lowercase())),
            "Body" | "body" => Ok(Self::Body(selector.to_owned())),
            "QueryParam" | "query" => Ok(Self::Query(selector.to_owned())),
            _ => Err(unsupported()),
        }
    }

    /// Parses `event_type_location`. The error is the text of the API.
    pub fn parse_event_type(text: &str) -> Result<Self, String> {
        let unsupported =
            || format!("unsupported input format for event type location with value: {text}");
        let mut parts = text.splitn(3, '.');
        let (Some(root), Some(kind), Some(selector)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(format!("not enough parts set for event type location with value: {text}"));
        };
        if [root, kind, selector].iter().any(|part| part.trim() != *part) {
            return Err(unsupported());
        }
        if !matches!(root, "request" | "req") {
            return Err(unsupported());
        }
        let location = match kind.to_ascii_lowercase().as_str() {
            "header" => Self::Header(selector.to_ascii_lowercase()),
            "body" => Self::Body(selector.to_owned()),
            "query" | "queryparam" => Self::Query(selector.to_owned()),
            _ => return Err(unsupported()),
        };
        if selector.is_empty() {
            return Err(format!("empty selector set for event type location with value: {text}"));
        }
        if !matches!(location, Self::Body(_)) && selector.contains('.') {
            return Err(format!(
                "nested selector unsupported for event type location with value: {text}"
            ));
        }
        Ok(location)
    }

    /// Whether the value stands in the body, the only part a payload signature covers.
    pub fn is_body(&self) -> bool {
        matches!(self, Self::Body(_))
    }

    /// The value as text. What is absent, `null` or empty is `None`; an object or array is its JSON.
    pub fn find(&self, parts: &Parts<'_>) -> Option<String> {
        let found = match self {
            Self::Header(name) => parts.headers.get(name).map(ToOwned::to_owned),
            Self::Query(name) => payload::query_value(parts.query, name),
            Self::PayloadHash if parts.payload.is_empty() => None,
            Self::PayloadHash => Some(hex::encode(Sha256::digest(parts.payload))),
            Self::Body(path) => {
                let value = payload::at_path(parts.body?, path)?;
                Some(payload::scalar(value).unwrap_or_else(|| value.to_string()))
            }
        };
        found.filter(|text| !text.is_empty())
    }

    /// The event type at this location, trimmed. The error is the text that the sender reads.
    pub fn find_event_type(&self, parts: &Parts<'_>, written: &str) -> Result<String, String> {
        if let (Self::Body(path), Some(body)) = (self, parts.body)
            && let Some(Value::Object(_) | Value::Array(_)) = payload::at_path(body, path)
        {
            return Err(format!("event type at request.body.{path} must be a scalar value"));
        }
        let found = self.find(parts).map(|text| text.trim().to_owned());
        found.filter(|text| !text.is_empty()).ok_or_else(|| match self {
            Self::Body(path) => format!("event type not found in request body at {path}"),
            _ => format!("event type not found in request at {written}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_type_locations_are_parsed_or_refused_with_the_reason() {
        for ok in [
            "request.body.object_kind",
            "request.body.project.path_with_namespace",
            "request.header.X-Gitlab-Event",
            "request.query.event_type",
            "request.queryparam.event_type",
            "req.QueryParam.event_type",
        ] {
            assert!(Location::parse_event_type(ok).is_ok(), "{ok}");
        }
        for (text, reason) in [
            ("request.header.x.event.type", "nested selector unsupported"),
            ("request.query.event.type", "nested selector unsupported"),
            ("request.body", "not enough parts set"),
            ("request.body.", "empty selector set"),
            ("request.header.", "empty selector set"),
            ("request.query.", "empty selector set"),
            (" request.body.object_kind", "unsupported input format"),
            ("request. body.object_kind", "unsupported input format"),
            ("request.body. object_kind", "unsupported input format"),
            ("payload.body.object_kind", "unsupported input format"),
            ("request.cookie.event_type", "unsupported input format"),
        ] {
            let error = Location::parse_event_type(text).unwrap_err();
            assert!(error.starts_with(reason), "{text}: {error}");
            assert!(error.ends_with(&format!("event type location with value: {text}")), "{error}");
        }
    }

    #[test]
    fn idempotency_locations_are_parsed_or_refused_with_the_reason() {
        assert_eq!(
            Location::parse_idempotency_key("request.Header.X-Id"),
            Ok(Location::Header("x-id".into()))
        );
        assert_eq!(
            Location::parse_idempotency_key("req.body.a.0.b"),
            Ok(Location::Body("a.0.b".into()))
        );
        assert_eq!(
            Location::parse_idempotency_key("req.QueryParam.id"),
            Ok(Location::Query("id".into()))
        );
        for (text, reason) in [
            ("request.body", "not enough parts set"),
            ("id", "not enough parts set"),
            ("response.body.id", "unsupported input format"),
            ("request.cookie.id", "unsupported input format"),
            ("request.HEADER.id", "unsupported input format"),
        ] {
            assert!(
                Location::parse_idempotency_key(text).unwrap_err().starts_with(reason),
                "{text}"
            );
        }
    }

    #[test]
    fn event_types_are_found_as_convoy_finds_them() {
        let body = serde_json::json!({"object_kind": "push", "project": {"path_with_namespace": "acme/backend"},
            "user_id": 38_562_979, "confirmed": true});
        let headers =
            [("X-Gitlab-Event".to_owned(), "Push Hook".to_owned()), ("X-Empty".into(), " ".into())];
        let headers = headers.into_iter().collect();
        let parts =
            Parts { headers: &headers, query: "event_type=push", body: Some(&body), payload: b"" };
        for (location, expect) in [
            ("request.body.object_kind", Ok("push")),
            ("request.body.project.path_with_namespace", Ok("acme/backend")),
            ("request.body.user_id", Ok("38562979")),
            ("request.body.confirmed", Ok("true")),
            ("request.header.X-Gitlab-Event", Ok("Push Hook")),
            ("request.query.event_type", Ok("push")),
            ("req.QueryParam.event_type", Ok("push")),
            ("request.body.event_name", Err("event type not found in request body at event_name")),
            (
                "request.body.project",
                Err("event type at request.body.project must be a scalar value"),
            ),
            (
                "request.header.X-Empty",
                Err("event type not found in request at request.header.X-Empty"),
            ),
        ] {
            let found =
                Location::parse_event_type(location).unwrap().find_event_type(&parts, location);
            assert_eq!(found.as_deref().map_err(String::as_str), expect, "{location}");
        }
    }
}
