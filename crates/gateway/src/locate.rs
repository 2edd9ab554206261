//! Locations: where in a request a value stands, as Convoy writes them (`request.body.data.id`).

use inlet_verify::json;
use sha2::{Digest, Sha256};

use crate::header::is_header_name;
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
    /// The body as the text of JSON, or something else, in which nothing is found.
    pub body: Option<&'a [u8]>,
    /// The bytes of the body, whatever they are.
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
        if !matches!(root, "request" | "req") || selector.trim() != selector {
            return Err(unsupported());
        }
        match kind {
            "Header" | "header" if !is_header_name(selector) => Err(unsupported()),
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
            "header" if is_header_name(selector) || selector.is_empty() => {
                Self::Header(selector.to_ascii_lowercase())
            }
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

    /// The value as text, numbers as they are written. What is absent, `null` or empty is `None`; an object or array is its
    /// JSON, without spaces between.
    pub fn find(&self, parts: &Parts<'_>) -> Option<String> {
        let found = match self {
            Self::Header(name) => parts.headers.get(name).map(ToOwned::to_owned),
            Self::Query(name) => payload::query_value(parts.query, name),
            Self::PayloadHash if parts.payload.is_empty() => None,
            Self::PayloadHash => Some(hex::encode(Sha256::digest(parts.payload))),
            Self::Body(path) => match raw(parts, path)? {
                nested @ [b'{' | b'[', ..] => String::from_utf8(json::respaced(nested, "")).ok(),
                scalar => json::text(scalar),
            },
        };
        found.filter(|text| !text.is_empty())
    }

    /// The event type at this location, trimmed. The error is the text that the sender reads.
    pub fn find_event_type(&self, parts: &Parts<'_>, written: &str) -> Result<String, String> {
        let found = match self {
            Self::Body(path) => match raw(parts, path) {
                Some([b'{' | b'[', ..]) => {
                    return Err(format!(
                        "event type at request.body.{path} must be a scalar value"
                    ));
                }
                scalar => scalar.and_then(json::text),
            },
            _ => self.find(parts),
        };
        let found = found.map(|text| text.trim().to_owned());
        found.filter(|text| !text.is_empty()).ok_or_else(|| match self {
            Self::Body(path) => format!("event type not found in request body at {path}"),
            _ => format!("event type not found in request at {written}"),
        })
    }
}

/// The text of the value at a dotted path into the body; a number steps into an array.
fn raw<'a>(parts: &Parts<'a>, path: &str) -> Option<&'a [u8]> {
    let steps: Vec<&str> = path.split('.').collect();
    json::find(parts.body?, &steps)
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
            ("request.header.x type", "unsupported input format"),
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
            ("request.header.x id", "unsupported input format"),
            ("request.body. id", "unsupported input format"),
            ("request.HEADER.id", "unsupported input format"),
        ] {
            assert!(
                Location::parse_idempotency_key(text).unwrap_err().starts_with(reason),
                "{text}"
            );
        }
    }

    #[test]
    fn values_are_told_apart_as_they_are_written() {
        let headers = Vec::<(String, String)>::new().into_iter().collect();
        let find = |body: &str, path: &str| {
            let body = body.as_bytes();
            let parts = Parts { headers: &headers, query: "", body: Some(body), payload: b"" };
            Location::parse_idempotency_key(&format!("req.body.{path}")).unwrap().find(&parts)
        };
        for (body, path, expect) in [
            (r#"{"id": 18446744073709551616}"#, "id", Some("18446744073709551616")),
            (r#"{"id": 0.1234567890123456789}"#, "id", Some("0.1234567890123456789")),
            (r#"{"id": 100.0}"#, "id", Some("100.0")),
            (r#"{"id": 1e2}"#, "id", Some("1e2")),
            (r#"{"id": "\u0061b"}"#, "id", Some("ab")),
            (r#"{"id": "null"}"#, "id", Some("null")),
            (r#"{"id": null}"#, "id", None),
            (r#"{"id": ""}"#, "id", None),
            (r#"{"id": false}"#, "id", Some("false")),
            (r#"{"id": {"b" : 1, "a": [ 2 , "x y" ]}}"#, "id", Some(r#"{"b":1,"a":[2,"x y"]}"#)),
            (r#"[[], [{"id": 7}]]"#, "1.0.id", Some("7")),
            (r#"{"0": "key"}"#, "0", Some("key")),
            (r#"{"a": 1}"#, "a.b", None),
            // What strict readers refuse, and senders send.
            ("\u{feff}{\"id\": 5}", "id", Some("5")),
            (r#"{"cut": "\ud83d", "id": 5}"#, "id", Some("5")),
            (r#"{"huge": 1e400, "id": 5}"#, "id", Some("5")),
            ("not JSON", "id", None),
            ("{\"id\": 5", "id", None),
            (r#"{"a": 1}"#, "b", None),
        ] {
            assert_eq!(find(body, path).as_deref(), expect, "{body} {path}");
        }
        let deep = format!(r#"{{"deep": {}{}, "id": 5}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(find(&deep, "id").as_deref(), Some("5"));
    }

    #[test]
    fn event_types_are_found_as_convoy_finds_them() {
        let body = br#"{"object_kind": "push", "project": {"path_with_namespace": "acme/backend"},
            "user_id": 38562979, "confirmed": true, "wide": 18446744073709551617, "power": 1e2,
            "nothing": null, "twice": 1, "twice": 2}"#;
        let headers =
            [("X-Gitlab-Event".to_owned(), "Push Hook".to_owned()), ("X-Empty".into(), " ".into())];
        let headers = headers.into_iter().collect();
        let parts =
            Parts { headers: &headers, query: "event_type=push", body: Some(body), payload: b"" };
        for (location, expect) in [
            ("request.body.object_kind", Ok("push")),
            ("request.body.project.path_with_namespace", Ok("acme/backend")),
            ("request.body.user_id", Ok("38562979")),
            ("request.body.confirmed", Ok("true")),
            ("request.body.wide", Ok("18446744073709551617")),
            ("request.body.power", Ok("1e2")),
            ("request.body.twice", Ok("2")),
            ("request.body.nothing", Err("event type not found in request body at nothing")),
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
