//! What a source's functions make of an event: its body and its headers, as everything after the router sees them. What the
//! sender wrote is kept beside it.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::admit::{HEADERS_MAX_BYTES, HOP_HEADERS};
use crate::api::ApiError;
use crate::header::{is_header_name, is_header_value};
use crate::json;
use crate::payload;
use crate::transform::{headers_of, input_of};
use crate::wire::{Body, Envelope, Meta, Text};

/// The functions of a source, as the router reads them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OfSource {
    pub project_id: String,
    pub source_id: String,
    pub body: String,
    pub header: String,
}

/// What a function is given of an event: its body as the API shows it, so a form is an object.
pub fn body_input(content_type: Option<&str>, body: &[u8]) -> Result<String, String> {
    input_of(&payload::data(content_type, body))
}

/// What a header function is given: an object of the headers that the event keeps, in lower case. One that repeats is one text.
pub fn headers_input(meta: &Meta) -> String {
    Value::Object(headers_as_one(meta)).to_string()
}

fn headers_as_one(meta: &Meta) -> Map<String, Value> {
    let mut headers = Map::new();
    for (name, value) in &meta.headers {
        let joined = match headers.get(&name.to_ascii_lowercase()).and_then(Value::as_str) {
            Some(before) => format!("{before}, {value}"),
            None => value.clone(),
        };
        headers.insert(name.to_ascii_lowercase(), joined.into());
    }
    headers
}

/// The event with what its functions returned; an argument is `None` where there is no such function.
pub fn made(
    envelope: &Envelope,
    body: Option<String>,
    headers: Option<&str>,
) -> Result<Envelope, String> {
    let mut arrived = Map::new();
    let mut meta = envelope.meta.clone();
    if let Some(output) = headers {
        let new = headers_of(output).map_err(|error| error.message)?;
        meta.headers = checked(new, &headers_as_one(&envelope.meta))?;
        arrived.insert("headers".into(), json!(envelope.meta.headers));
    }
    let body = match (body, &envelope.body) {
        (None, before) => before.clone(),
        (Some(output), before) => {
            arrived.insert("content_type".into(), json!(envelope.meta.content_type));
            match before {
                Body::Inline(bytes) => {
                    let text = Text::from_bytes(bytes);
                    arrived.insert("body".into(), json!([text.text, text.is_base64]));
                }
                Body::Stored { key, .. } => {
                    arrived.insert("key".into(), json!(key));
                }
            }
            meta.content_type = Some("application/json".to_owned());
            Body::Inline(output.into_bytes())
        }
    };
    meta.arrived = Some(Value::Object(arrived).to_string());
    Ok(Envelope { meta, body })
}

/// Refuses what a header function returned for the headers `given` to it (a JSON object), if an event would fail for it.
pub fn check_headers(output: &str, given: &str) -> Result<(), ApiError> {
    let given: Map<String, Value> = serde_json::from_str(given).unwrap_or_default();
    let given = given.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    checked(headers_of(output)?, &given).map(drop).map_err(ApiError::bad_request)
}

/// The event that its functions failed on: it goes to nobody, and says why.
#[must_use]
pub fn failed(envelope: &Envelope, which: &str, why: &str) -> Envelope {
    let mut envelope = envelope.clone();
    envelope.meta.fault = Some(format!("the source's {which} function failed: {why}"));
    envelope
}

fn checked(
    headers: Vec<(String, String)>,
    arrived: &Map<String, Value>,
) -> Result<Vec<(String, String)>, String> {
    let mut bytes = 0;
    let mut read = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let lower = name.to_ascii_lowercase();
        if !is_header_name(&name) || !is_header_value(&value) {
            return Err(format!("{name:?} is not a header that can be sent"));
        }
        // How the sender's body is coded may be handed on, for as long as it is the sender's body.
        let is_new = || arrived.get(&lower).and_then(Value::as_str) != Some(&value);
        if HOP_HEADERS.contains(&lower.as_str())
            || lower == "content-type"
            || (lower == "content-encoding" && is_new())
        {
            return Err(format!("{lower} says how a body is sent, and cannot be chosen"));
        }
        bytes += name.len() + value.len() + 6;
        read.push((lower, value));
    }
    if HEADERS_MAX_BYTES < bytes {
        return Err(format!("the headers are larger than {HEADERS_MAX_BYTES} bytes"));
    }
    Ok(read)
}

/// What an event was before its functions, as its row keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arrived {
    /// `None`: as they are now.
    pub headers: Option<Vec<(String, String)>>,
    /// `None`: as it is now.
    pub body: Option<ArrivedBody>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivedBody {
    pub content_type: Option<String>,
    pub bytes: Bytes,
}

/// The body of an event as it arrived, or where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bytes {
    Here(Vec<u8>),
    /// The key of an R2 object.
    Stored(String),
}

impl Arrived {
    /// Reads what [`made`] wrote.
    pub fn read(text: &str) -> Self {
        let kept: Value = serde_json::from_str(text).unwrap_or_default();
        let headers = kept.get("headers").and_then(|list| json::read(&list.to_string()).ok());
        let bytes = match (kept.get("key").and_then(Value::as_str), kept.get("body")) {
            (Some(key), _) => Some(Bytes::Stored(key.to_owned())),
            (None, Some(body)) => {
                let text = body.get(0).and_then(Value::as_str).unwrap_or_default();
                let is_base64 = body.get(1).and_then(Value::as_bool).unwrap_or_default();
                let text = Text { text: text.into(), is_base64 };
                Some(Bytes::Here(text.to_bytes().unwrap_or_default()))
            }
            (None, None) => None,
        };
        let content_type = kept.get("content_type").and_then(Value::as_str).map(ToOwned::to_owned);
        Self { headers, body: bytes.map(|bytes| ArrivedBody { content_type, bytes }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::envelope;

    #[test]
    fn what_functions_return_takes_the_place_of_what_arrived_which_is_kept() {
        let mut before = envelope(Body::Inline(b"a=1&b=2".to_vec()));
        before.meta.content_type = Some("application/x-www-form-urlencoded".into());
        before.meta.headers = vec![("X-A".into(), "1".into()), ("x-a".into(), "2".into())];
        assert_eq!(
            body_input(before.meta.content_type.as_deref(), b"a=1&b=2").unwrap(),
            r#"{"a":"1","b":"2"}"#
        );
        assert_eq!(headers_input(&before.meta), r#"{"x-a":"1, 2"}"#);
        let after = made(&before, Some("[1]".into()), Some(r#"{"X-B":"3"}"#)).unwrap();
        assert_eq!(after.body, Body::Inline(b"[1]".to_vec()));
        assert_eq!(after.meta.headers, [("x-b".to_owned(), "3".to_owned())]);
        assert_eq!(after.meta.content_type.as_deref(), Some("application/json"));
        let arrived = Arrived::read(after.meta.arrived.as_deref().unwrap());
        let body = arrived.body.unwrap();
        assert_eq!(body.bytes, Bytes::Here(b"a=1&b=2".to_vec()));
        assert_eq!(body.content_type, before.meta.content_type);
        assert_eq!(arrived.headers, Some(before.meta.headers.clone()));

        let headers_only = made(&before, None, Some("{}")).unwrap();
        assert_eq!(headers_only.body, before.body);
        assert_eq!(Arrived::read(headers_only.meta.arrived.as_deref().unwrap()).body, None);
    }

    #[test]
    fn what_says_something_of_the_body_may_be_handed_on() {
        let mut before = envelope(Body::Inline(b"[]".to_vec()));
        before.meta.headers = vec![("content-encoding".into(), "gzip".into())];
        let after = made(&before, None, Some(&headers_input(&before.meta))).unwrap();
        assert_eq!(after.meta.headers, before.meta.headers);
    }

    #[test]
    fn bytes_and_bodies_elsewhere_come_back_as_they_were() {
        let bytes = envelope(Body::Inline(vec![0, 255]));
        let kept = made(&bytes, Some("1".into()), None).unwrap().meta.arrived.unwrap();
        assert_eq!(Arrived::read(&kept).body.unwrap().bytes, Bytes::Here(vec![0, 255]));
        let stored = envelope(Body::Stored { key: "k".into(), len: 9 });
        let kept = made(&stored, Some("1".into()), None).unwrap().meta.arrived.unwrap();
        assert_eq!(Arrived::read(&kept).body.unwrap().bytes, Bytes::Stored("k".into()));
        assert_eq!(Arrived::read("damaged"), Arrived::default());
    }

    #[test]
    fn headers_that_break_a_call_are_faults() {
        let before = envelope(Body::Inline(Vec::new()));
        for (output, expect) in [
            (r#"{"a b":"1"}"#, "not a header"),
            ("{\"a\":\"1\\n2\"}", "not a header"),
            (r#"{"Content-Length":"1"}"#, "content-length says how"),
            (r#"{"content-type":"a/b"}"#, "content-type says how"),
            (r#"{"content-encoding":"br"}"#, "content-encoding says how"),
            (r#"{"a":1}"#, "all text"),
            ("[]", "all text"),
        ] {
            let why = made(&before, None, Some(output)).unwrap_err();
            assert!(why.contains(expect), "{output}: {why}");
        }
        let long = json!({"a": "b".repeat(70_000)}).to_string();
        assert!(made(&before, None, Some(&long)).unwrap_err().contains("larger"));
        let fault = failed(&before, "body", "no").meta.fault.unwrap();
        assert_eq!(fault, "the source's body function failed: no");
    }
}
