//! What a source's sender reads in place of Inlet's own answer: status, headers and a body, with what is known of the event.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::admit::HOP_HEADERS;
use crate::api::{ApiError, refuse_unsupported};
use crate::fields::{Fields, FromFields};
use crate::header::{is_header_name, is_header_value, sendable};
use crate::locate::{Location, Parts};

/// The type of a body that is given without one.
const PLAIN: &str = "text/plain; charset=utf-8";
/// The largest body, in bytes.
pub const RESPONSE_MAX_BYTES: usize = 51_200;
const HEADERS_MAX: usize = 20;
const HEADERS_MAX_BYTES: usize = 4_096;
/// Placeholders of a body and of all headers together.
const PLACEHOLDERS_MAX: usize = 20;
/// What one of them becomes at most.
const VALUE_MAX_CHARS: usize = 1_024;
const OPEN: &str = "{{";
const CLOSE: &str = "}}";

/// The body that replaces Inlet's own answer, and its type. An empty one is none, unless it was asked for.
pub(crate) fn given<'a>(
    is_empty: bool,
    body: &'a str,
    content_type: &'a str,
) -> Option<(&'a str, &'a str)> {
    let content_type = if content_type.is_empty() { PLAIN } else { content_type };
    (is_empty || !body.is_empty()).then_some((body, content_type))
}

pub(crate) fn check_content_type(field: &str, content_type: &str) -> Result<(), ApiError> {
    if 256 < content_type.len() || !content_type.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(ApiError::bad_request(format!("{field}:not a valid header value")));
    }
    Ok(())
}

/// What a source answers in place of Inlet's own answer, as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomResponse {
    pub body: String,
    pub content_type: String,
    /// Whether an empty body was asked for. Else it means that there is none.
    #[serde(default)]
    pub is_empty: bool,
    /// The status in place of 200; 0 when none was asked for.
    #[serde(default)]
    pub status: u16,
    /// Lower-case names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
}

#[derive(Debug)]
pub(crate) struct CustomResponseInput {
    body: Option<String>,
    content_type: Option<String>,
    status: Option<u64>,
    headers: Option<Map<String, Value>>,
}

impl FromFields for CustomResponseInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let input = Self {
            body: fields.text("body")?,
            content_type: fields.text("content_type")?,
            status: fields.number("status", 200..=299)?,
            headers: fields.map("headers")?,
        };
        for (name, value) in fields.checked_rest()? {
            refuse_unsupported(&format!("custom_response.{name}"), Some(&value))?;
        }
        Ok(input)
    }
}

impl CustomResponseInput {
    /// Whether it asks for a response. A body and a content type that are both empty ask for none.
    pub(crate) fn asks(&self) -> bool {
        let is_given = |text: &Option<String>| !text.as_deref().unwrap_or_default().is_empty();
        self.body.is_some() && self.content_type.is_none()
            || is_given(&self.body)
            || is_given(&self.content_type)
            || self.status.is_some_and(|status| status != 0)
            || self.headers.as_ref().is_some_and(|headers| !headers.is_empty())
    }
}

impl CustomResponse {
    /// Leaves out a status that only a session may have.
    pub(crate) fn end_session(&mut self) {
        if 300 <= self.status {
            self.status = 0;
        }
    }

    /// What is left out stays. A body and a content type that are both empty are what Convoy's clients send where there is
    /// no response of one's own; an empty body by itself is one. `is_session`: also a status that makes the sender try again, which
    /// is what may be tried out there.
    pub(crate) fn change(
        &mut self,
        input: CustomResponseInput,
        is_session: bool,
    ) -> Result<(), ApiError> {
        if let Some(body) = input.body {
            if RESPONSE_MAX_BYTES < body.len() {
                return Err(ApiError::bad_request("source custom response too large"));
            }
            let says_nothing =
                input.content_type.as_deref().is_some_and(|text| text.trim().is_empty());
            self.is_empty = body.is_empty() && !says_nothing;
            self.body = body;
        }
        if let Some(content_type) = input.content_type {
            check_content_type("custom_response.content_type", &content_type)?;
            content_type.trim().clone_into(&mut self.content_type);
        }
        if self.is_empty && self.content_type.is_empty() {
            PLAIN.clone_into(&mut self.content_type);
        }
        match input.status {
            None => {}
            Some(status @ (0 | 200..=204 | 206..=299)) => {
                self.status = u16::try_from(status).unwrap_or_default();
            }
            Some(status @ (300..=303 | 305..=599)) if is_session => {
                self.status = u16::try_from(status).unwrap_or_default();
            }
            Some(_) if is_session => {
                return Err(ApiError::bad_request(
                    "custom_response.status:from 200 to 599 without 205 and 304",
                ));
            }
            Some(_) => {
                let text = "custom_response.status:from 200 to 299 without 205: anything else would make the sender try again";
                return Err(ApiError::bad_request(text));
            }
        }
        if let Some(headers) = input.headers {
            self.headers = read_headers(headers)?;
        }
        self.check_placeholders()
    }

    fn check_placeholders(&self) -> Result<(), ApiError> {
        let mut count = 0;
        let headers = self.headers.iter().map(|(_, value)| ("headers", value));
        for (field, text) in std::iter::once(("body", &self.body)).chain(headers) {
            for piece in pieces(text) {
                if let Piece::Unknown(name) = piece {
                    let name: String = name.chars().take(64).collect();
                    return Err(ApiError::bad_request(format!(
                        "custom_response.{field}:{OPEN}{name}{CLOSE} is not known; there are event_id, event_type, source_id, \
                         received_at, request.body.<path>, request.header.<name> and request.query.<name>"
                    )));
                }
                count += usize::from(matches!(piece, Piece::Known(_) | Piece::Found(_)));
            }
        }
        if PLACEHOLDERS_MAX < count {
            return Err(ApiError::bad_request(format!(
                "custom_response:at most {PLACEHOLDERS_MAX} placeholders"
            )));
        }
        Ok(())
    }

    /// The body that replaces Inlet's own answer, and its type.
    pub fn given(&self) -> Option<(&str, &str)> {
        given(self.is_empty, &self.body, &self.content_type)
    }

    /// The response as the API shows it, and takes it back: `null` where a type is kept for a body that is not there.
    pub(crate) fn present(&self) -> Value {
        let is_absent = self.given().is_none() && !self.content_type.is_empty();
        let mut shown = Map::new();
        shown.insert("body".into(), json!((!is_absent).then_some(&self.body)));
        shown.insert("content_type".into(), json!(self.content_type));
        if self.status != 0 {
            shown.insert("status".into(), self.status.into());
        }
        if !self.headers.is_empty() {
            let headers = self.headers.iter().map(|(name, value)| (name.clone(), json!(value)));
            shown.insert("headers".into(), headers.collect::<Map<_, _>>().into());
        }
        Value::Object(shown)
    }

    /// Whether something has to be filled in.
    pub fn is_templated(&self) -> bool {
        self.texts().any(|text| text.contains(OPEN))
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.body.as_str())
            .chain(self.headers.iter().map(|(_, value)| value.as_str()))
    }

    /// Whether a placeholder asks for something of the request's body.
    pub fn reads_body(&self) -> bool {
        self.texts().flat_map(pieces).any(|piece| matches!(piece, Piece::Found(at) if at.is_body()))
    }

    /// The body of the answer, with its type. `said` is `None` where nothing has to be filled in.
    pub fn body(&self, said: Option<&Said<'_>>) -> Option<(Vec<u8>, &str)> {
        let (body, content_type) = self.given()?;
        let filled = match said {
            Some(said) => said.fill(body, escape_for(content_type)).into_bytes(),
            None => body.as_bytes().to_vec(),
        };
        Some((filled, content_type))
    }

    /// The headers of the answer.
    pub fn headers(&self, said: Option<&Said<'_>>) -> Vec<(Cow<'static, str>, String)> {
        let value = |value: &str| match said {
            None => value.to_owned(),
            Some(said) => {
                let filled = said.fill(value, str::to_owned);
                sendable(&filled).chars().filter(char::is_ascii).collect()
            }
        };
        self.headers.iter().map(|(name, text)| (name.clone().into(), value(text))).collect()
    }
}

fn read_headers(headers: Map<String, Value>) -> Result<Vec<(String, String)>, ApiError> {
    let wrong = |name: &str, why: &str| {
        let name: String = name.chars().take(64).collect();
        Err(ApiError::bad_request(format!("custom_response.headers.{name}:{why}")))
    };
    let too_many = || {
        let text = format!(
            "custom_response.headers:at most {HEADERS_MAX}, and {HEADERS_MAX_BYTES} bytes in all"
        );
        ApiError::bad_request(text)
    };
    // Before each is compared with all others.
    if HEADERS_MAX < headers.len() {
        return Err(too_many());
    }
    let mut read: Vec<(String, String)> = Vec::with_capacity(headers.len());
    let mut bytes = 0;
    for (name, value) in headers {
        let Value::String(value) = value else { return wrong(&name, "has to be text") };
        let lower = name.to_ascii_lowercase();
        if !is_header_name(&name) || !is_header_value(&value) {
            return wrong(&name, "not a valid header");
        }
        if lower == "content-type" {
            return wrong(&name, "is custom_response.content_type");
        }
        if is_not_the_senders(&lower) {
            return wrong(&name, "belongs to the connection or to Inlet, and cannot be chosen");
        }
        if read.iter().any(|(have, _)| *have == lower) {
            return wrong(&name, "is there twice");
        }
        bytes += name.len() + value.len();
        read.push((lower, value.trim().to_owned()));
    }
    if HEADERS_MAX_BYTES < bytes { Err(too_many()) } else { Ok(read) }
}

/// Headers of an answer that are not for the owner of a source to choose: framing, and what is said to browsers about
/// all of the origin.
fn is_not_the_senders(name: &str) -> bool {
    HOP_HEADERS.contains(&name)
        || matches!(
            name,
            "content-encoding"
                | "date"
                | "server"
                | "set-cookie"
                | "clear-site-data"
                | "strict-transport-security"
                | "alt-svc"
                | "nel"
                | "report-to"
                | "reporting-endpoints"
                | "service-worker-allowed"
                | "x-content-type-options"
        )
        || name.starts_with("content-security-policy")
        || name.starts_with("inlet-")
        || name.starts_with("cf-")
}

/// What placeholders stand for.
#[derive(Debug)]
pub struct Said<'a> {
    pub event_id: &'a str,
    pub event_type: &'a str,
    pub source_id: &'a str,
    pub received_at: &'a str,
    pub parts: &'a Parts<'a>,
}

impl Said<'_> {
    fn fill(&self, text: &str, escape: fn(&str) -> String) -> String {
        if !text.contains(OPEN) {
            return text.to_owned();
        }
        let mut filled = String::with_capacity(text.len());
        for piece in pieces(text) {
            let value = match piece {
                Piece::Text(text) => {
                    filled.push_str(text);
                    continue;
                }
                // Saved when nothing had a meaning.
                Piece::Unknown(name) => {
                    filled.extend([OPEN, name, CLOSE]);
                    continue;
                }
                Piece::Known(Known::EventId) => self.event_id.to_owned(),
                Piece::Known(Known::EventType) => self.event_type.to_owned(),
                Piece::Known(Known::SourceId) => self.source_id.to_owned(),
                Piece::Known(Known::ReceivedAt) => self.received_at.to_owned(),
                Piece::Found(location) => location.find(self.parts).unwrap_or_default(),
            };
            let value: String = value.chars().take(VALUE_MAX_CHARS).collect();
            filled.push_str(&escape(&value));
        }
        filled
    }
}

#[derive(Debug, Clone, Copy)]
enum Known {
    EventId,
    EventType,
    SourceId,
    ReceivedAt,
}

#[derive(Debug)]
enum Piece<'a> {
    Text(&'a str),
    Known(Known),
    Found(Location),
    Unknown(&'a str),
}

/// A text, cut at its placeholders. An opening without an end is text.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    let mut next = None;
    std::iter::from_fn(move || {
        if let Some(piece) = next.take() {
            return Some(piece);
        }
        if rest.is_empty() {
            return None;
        }
        let found = rest.split_once(OPEN).and_then(|(before, after)| {
            let (name, after) = after.split_once(CLOSE)?;
            Some((before, name, after))
        });
        let Some((before, name, after)) = found else {
            return Some(Piece::Text(std::mem::take(&mut rest)));
        };
        rest = after;
        next = Some(placeholder(name));
        Some(Piece::Text(before))
    })
}

fn placeholder(name: &str) -> Piece<'_> {
    Piece::Known(match name.trim() {
        "event_id" => Known::EventId,
        "event_type" => Known::EventType,
        "source_id" => Known::SourceId,
        "received_at" => Known::ReceivedAt,
        other => {
            return match Location::parse_event_type(other) {
                Ok(location) => Piece::Found(location),
                Err(_) => Piece::Unknown(name),
            };
        }
    })
}

/// How a value is written into a body of a type, so that it stays a value.
fn escape_for(content_type: &str) -> fn(&str) -> String {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence.ends_with("json") {
        return |value| {
            let quoted = json!(value).to_string();
            quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
        };
    }
    if essence.ends_with("html") || essence.ends_with("xml") {
        return |value| {
            value
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
                .replace('"', "&quot;")
                .replace('\'', "&#39;")
        };
    }
    str::to_owned
}

#[cfg(test)]
mod tests {
    use inlet_verify::Headers;

    use super::*;
    use crate::api::parse;

    fn changed(body: &str) -> Result<CustomResponse, String> {
        let mut response = CustomResponse::default();
        let input = parse(body.as_bytes()).map_err(|error| error.message)?;
        response.change(input, false).map(|()| response).map_err(|error| error.message)
    }

    fn answer(
        response: &CustomResponse,
        payload: &str,
    ) -> (String, Vec<(Cow<'static, str>, String)>) {
        let headers: Headers = [("x-env".to_owned(), "test\u{7}".to_owned())].into_iter().collect();
        let body = Some(payload.as_bytes());
        let query = "challenge=a%0Ab%C3%BC";
        let parts = Parts { headers: &headers, query, body, payload: payload.as_bytes() };
        let said = Said {
            event_id: "E1",
            event_type: "paid",
            source_id: "S1",
            received_at: "2026-11-27T05:00:00Z",
            parts: &parts,
        };
        let said = response.is_templated().then_some(&said);
        let (body, _) = response.body(said).unwrap_or((b"own".to_vec(), "a/b"));
        (String::from_utf8(body).unwrap(), response.headers(said))
    }

    #[test]
    fn what_is_chosen_is_what_is_answered() {
        let response = changed(
            r#"{"status":202,"body":"{\"id\":\"{{event_id}}\",\"at\":\"{{ received_at }}\",\"c\":\"{{request.body.a.b}}\"}",
                "content_type":"application/json","headers":{"X-Event":"{{event_type}} of {{source_id}}","X-C":"{{request.query.challenge}}"}}"#,
        )
        .unwrap();
        assert!(response.reads_body());
        let (body, headers) = answer(&response, r#"{"a": {"b": "q\"\n"}}"#);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body, json!({"id": "E1", "at": "2026-11-27T05:00:00Z", "c": "q\"\n"}));
        let header = |name: &str| headers.iter().find(|(have, _)| have == name).unwrap().1.clone();
        assert_eq!((header("x-event"), header("x-c")), ("paid of S1".into(), "ab".into()));
        let shown = response.present();
        assert_eq!(
            changed(&shown.to_string()).unwrap(),
            response,
            "what is shown can be sent back"
        );
    }

    #[test]
    fn values_stay_values_in_the_type_that_they_are_written_into() {
        let payload = json!({"a": "<b>&\"'"}).to_string();
        for (content_type, expect) in [
            ("text/html", "&lt;b&gt;&amp;&quot;&#39;"),
            ("application/xml; charset=utf-8", "&lt;b&gt;&amp;&quot;&#39;"),
            ("application/problem+json", "<b>&\\\"'"),
            ("text/plain", "<b>&\"'"),
        ] {
            let response = json!({"body": "{{request.body.a}}{{request.body.none}}", "content_type": content_type});
            let (body, _) = answer(&changed(&response.to_string()).unwrap(), &payload);
            assert_eq!(body, expect, "{content_type}");
        }
    }

    #[test]
    fn headers_are_counted_before_they_are_compared() {
        let headers = |count: usize| {
            let all = (0..count).map(|n| (format!("x-{n}"), json!("1")));
            json!({"headers": Value::Object(all.collect())}).to_string()
        };
        changed(&headers(HEADERS_MAX)).unwrap();
        // Each with each would be 20 billion comparisons.
        let error = changed(&headers(200_000)).unwrap_err();
        assert!(error.starts_with("custom_response.headers:at most 20, and"), "{error}");
    }

    #[test]
    fn what_would_break_the_answer_is_refused() {
        for (response, expect) in [
            (json!({"status": 199}), "custom_response.status:from 200 to 299"),
            (json!({"status": 205}), "custom_response.status:from 200 to 299"),
            (json!({"status": 302}), "custom_response.status:from 200 to 299"),
            (json!({"status": 70_000}), "custom_response.status:from 200 to 299"),
            (json!({"headers": {"X A": "b"}}), "custom_response.headers.X A:not a valid header"),
            (json!({"headers": {"X-A": "b\r\nc: d"}}), "custom_response.headers.X-A:not a valid"),
            (json!({"headers": {"X-A": 1}}), "custom_response.headers.X-A:has to be text"),
            (json!({"headers": {"NEL": "{}"}}), "custom_response.headers.NEL:belongs to"),
            (
                json!({"headers": {"Service-Worker-Allowed": "/"}}),
                "custom_response.headers.Service-Worker-Allowed:belongs to",
            ),
            (
                json!({"headers": {"Content-Security-Policy": "sandbox allow-scripts"}}),
                "custom_response.headers.Content-Security-Policy:belongs to",
            ),
            (
                json!({"headers": {"X-A": "1", "x-a": "2"}}),
                "custom_response.headers.x-a:is there twice",
            ),
            (
                json!({"headers": {"Content-Type": "a/b"}}),
                "custom_response.headers.Content-Type:is custom",
            ),
            (
                json!({"headers": {"Content-Length": "1"}}),
                "custom_response.headers.Content-Length:belongs",
            ),
            (
                json!({"headers": {"Transfer-Encoding": "x"}}),
                "custom_response.headers.Transfer-Encoding:belongs",
            ),
            (
                json!({"headers": {"Set-Cookie": "a=b"}}),
                "custom_response.headers.Set-Cookie:belongs",
            ),
            (
                json!({"headers": {"inlet-event-id": "b"}}),
                "custom_response.headers.inlet-event-id:belongs",
            ),
            (json!({"headers": {"x-a": "b".repeat(5_000)}}), "custom_response.headers:at most 20"),
            (json!({"body": "{{eventid}}"}), "custom_response.body:{{eventid}} is not known"),
            (json!({"headers": {"x-a": "{{x}}"}}), "custom_response.headers:{{x}} is not known"),
            (json!({"body": "{{event_id}}".repeat(21)}), "custom_response:at most 20 placeholders"),
        ] {
            let error = changed(&response.to_string()).unwrap_err();
            assert!(error.starts_with(expect), "{response}: {error}");
        }
        for fine in ["{{", "}} {{", "{\"a\":{\"b\":{}}}"] {
            let response = changed(&json!({"body": fine}).to_string()).unwrap();
            assert_eq!(answer(&response, "").0, fine);
        }
    }
}
