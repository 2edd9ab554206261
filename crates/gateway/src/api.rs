//! The REST dialect of Convoy: the envelope of every answer, errors and request bodies.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::fields::{Fields, FromFields};
use crate::rejection::RETRY_AFTER_S;
use crate::repeated;
use crate::version::{NEWEST, Version};

/// The `WWW-Authenticate` of every 401 of the API.
pub const CHALLENGE: &str = r#"Bearer realm="inlet""#;

/// An answer of the API: a status and a JSON body.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// `{"status":true,"message":…,"data":…}`
    pub fn ok(status: u16, message: &str, data: Value) -> Self {
        let body = serde_json::json!({"status": true, "message": message, "data": data});
        Self { status, body }
    }

    /// This answer, with `fields` beside the data, because Convoy's envelope has no place for them.
    #[must_use]
    pub fn beside(mut self, fields: Value) -> Self {
        if let (Some(body), Value::Object(fields)) = (self.body.as_object_mut(), fields) {
            body.extend(fields);
        }
        self
    }

    /// This answer, with how many sources the edge has still to hear of, if there are any.
    #[must_use]
    pub fn leaving(self, untold_sources: u64) -> Self {
        if untold_sources == 0 {
            return self;
        }
        self.beside(serde_json::json!({"untold_sources": untold_sources}))
    }
}

/// A refusal of the API. The message is what the caller reads, so it says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    pub status: u16,
    pub message: String,
}

impl ApiError {
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, message)
    }

    /// The refusal (405) of a path that there is, for the methods in `allow`.
    pub fn no_method(allow: &str) -> Self {
        Self::new(405, format!("method not allowed: this path takes {allow}"))
    }

    /// After how many seconds the same call may succeed, when the fault is ours.
    pub fn retry_after_s(&self) -> Option<u64> {
        (self.status == 503).then_some(RETRY_AFTER_S)
    }

    /// The error as an answer: `{"status":false,"message":…}`, without `data`.
    pub fn answer(&self) -> Answer {
        Answer {
            status: self.status,
            body: serde_json::json!({"status": false, "message": self.message}),
        }
    }
}

/// The longest id of a call that is taken over from its caller.
const REQUEST_ID_MAX_BYTES: usize = 128;

/// The headers by which every answer names its call: Convoy's id of the request, the caller's own if it is one, and the version
/// of the API.
pub fn names_of_call(
    request_id: &str,
    version: &str,
    new_id: impl FnOnce() -> String,
) -> [(&'static str, String); 2] {
    let is_id = !request_id.is_empty()
        && request_id.len() <= REQUEST_ID_MAX_BYTES
        && request_id.bytes().all(|byte| byte.is_ascii_graphic());
    let id = if is_id { request_id.to_owned() } else { new_id() };
    let version = Version::of(version).map_or(NEWEST, Version::name);
    [("x-request-id", id), ("x-convoy-version", version.to_owned())]
}

/// Reads the one JSON value of a request body. As in Convoy, brackets that close nothing may stand behind it.
pub fn parse<T: FromFields>(body: &[u8]) -> Result<T, ApiError> {
    Fields::of(String::new(), one_json(body)?)?.into_type()
}

/// The one JSON value of a body, in which no object has a key twice.
pub(crate) fn one_json(body: &[u8]) -> Result<Value, ApiError> {
    match one_value::<&RawValue>(body)? {
        None => Ok(Value::Null),
        Some(raw) => {
            repeated::check(raw.get())?;
            Ok(one_value(body)?.unwrap_or_default())
        }
    }
}

/// The one JSON value of a body; `None` when it is of another type than `T`. What stands behind it would be lost without a word,
/// and is refused, but for brackets that close nothing.
pub(crate) fn one_value<'a, T: serde::Deserialize<'a>>(
    body: &'a [u8],
) -> Result<Option<T>, ApiError> {
    value(body, false)
}

/// The one JSON value of a body, as [`one_value`], but not even brackets may stand behind it. `None` when it is of another type
/// than `T`.
pub(crate) fn only_value<'a, T: serde::Deserialize<'a>>(
    body: &'a [u8],
) -> Result<Option<T>, ApiError> {
    value(body, true)
}

fn value<'a, T: serde::Deserialize<'a>>(
    body: &'a [u8],
    is_alone: bool,
) -> Result<Option<T>, ApiError> {
    if body.trim_ascii().is_empty() {
        return Err(ApiError::bad_request("body must not be empty"));
    }
    let badly_formed = |at: usize| {
        ApiError::bad_request(format!("body contains badly-formed JSON (at character {at})"))
    };
    let text = std::str::from_utf8(body).map_err(|error| badly_formed(error.valid_up_to() + 1))?;
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<T>();
    match values.next() {
        None => Ok(None),
        Some(Ok(value)) => {
            let end = values.byte_offset();
            let is_stray =
                |c: char| c.is_ascii_whitespace() || (!is_alone && matches!(c, '}' | ']'));
            let rest = text.get(end..).unwrap_or_default().trim_start_matches(is_stray);
            if rest.is_empty() {
                return Ok(Some(value));
            }
            let at = text.len() - rest.len() + 1;
            if is_alone {
                return Err(badly_formed(at));
            }
            Err(ApiError::bad_request(format!(
                "body contains more than one JSON value (at character {at}): send one"
            )))
        }
        Some(Err(error)) if error.is_data() => Ok(None),
        Some(Err(error)) if error.is_eof() => {
            Err(ApiError::bad_request("body contains badly-formed JSON"))
        }
        Some(Err(error)) => Err(badly_formed(offset(body, &error))),
    }
}

fn offset(body: &[u8], error: &serde_json::Error) -> usize {
    let line_start: usize = body
        .split_inclusive(|byte| *byte == b'\n')
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    line_start + error.column()
}

/// The faults of several fields, as Convoy joins them: `field:message`, sorted by field.
#[derive(Debug, Default)]
pub struct Faults(Vec<(String, String)>);

impl Faults {
    pub fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.push((field.to_owned(), message.into()));
    }

    pub fn check(mut self) -> Result<(), ApiError> {
        if self.0.is_empty() {
            return Ok(());
        }
        self.0.sort();
        let texts: Vec<String> =
            self.0.iter().map(|(field, text)| format!("{field}:{text}")).collect();
        Err(ApiError::bad_request(texts.join(", ")))
    }
}

/// The longest name.
pub const NAME_MAX_CHARS: usize = 256;
/// The longest description, URL, or id of somebody else's.
pub const TEXT_MAX_CHARS: usize = 4_096;

/// Refuses a text that is longer than it may be.
pub fn check_length(field: &str, text: &str, max_chars: usize) -> Result<(), ApiError> {
    if max_chars < text.chars().count() {
        return Err(ApiError::bad_request(format!("{field}:at most {max_chars} characters")));
    }
    Ok(())
}

/// Refuses a field whose effect does not exist: what is stored must do something. A value that asks
/// for nothing (`null`, `""`, `0`, `false`, `{}`, `[]`, or an object of such) is let through.
pub fn refuse_unsupported(field: &str, value: Option<&Value>) -> Result<(), ApiError> {
    match value {
        Some(value) if asks_for_something(value) => Err(ApiError::bad_request(format!(
            "{field} is not supported yet: leave it out, because Inlet stores nothing that has no effect"
        ))),
        _ => Ok(()),
    }
}

/// Whether a value asks for anything.
pub(crate) fn asks_for_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(on) => *on,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => items.iter().any(asks_for_something),
        Value::Object(fields) => fields.values().any(asks_for_something),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_is_ours_says_when_to_try_again() {
        assert_eq!(ApiError::new(503, "later").retry_after_s(), Some(10));
        for status in [400, 404, 409, 422, 500] {
            assert_eq!(ApiError::new(status, "no").retry_after_s(), None, "{status}");
        }
    }

    #[derive(Debug)]
    struct Sample;

    impl FromFields for Sample {
        fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
            fields.text("name")?;
            fields.number("count", 0..=9)?;
            fields.flag("on")?;
            fields.texts("list")?;
            fields.object::<Inner>("inner")?;
            fields.objects::<Inner>("inners")?;
            Ok(Self)
        }
    }

    #[derive(Debug)]
    struct Inner;

    impl FromFields for Inner {
        fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
            fields.text("secret").map(|_| Self)
        }
    }

    #[track_caller]
    fn check(body: &str, expect: &str) {
        assert_eq!(parse::<Sample>(body.as_bytes()).unwrap_err().message, expect);
    }

    #[test]
    fn a_body_that_does_not_fit_is_refused_in_convoys_words() {
        check("", "body must not be empty");
        check("  \n", "body must not be empty");
        check("{\"name\":", "body contains badly-formed JSON");
        check("{\"name\" x}", "body contains badly-formed JSON (at character 9)");
        check("nope", "body contains badly-formed JSON (at character 2)");
        check("{\"name\": 5}", "body contains incorrect JSON type for field \"name\"");
        check(
            "{\"inner\": {\"secret\": []}}",
            "body contains incorrect JSON type for field \"inner.secret\"",
        );
        for (body, field) in [
            (r#"{"count": "1"}"#, "count"),
            (r#"{"on": "yes"}"#, "on"),
            (r#"{"list": [1]}"#, "list"),
            (r#"{"inner": "text"}"#, "inner"),
            (r#"{"inners": {}}"#, "inners"),
            (r#"{"inners": [{}, {"secret": 1}]}"#, "inners[1].secret"),
        ] {
            check(body, &format!("body contains incorrect JSON type for field \"{field}\""));
        }
        for count in ["-1", "1.5", "1e3", "99999999999999999999"] {
            let expect = "count:a whole number from 0 to 9, in digits alone";
            check(&format!(r#"{{"count": {count}}}"#), expect);
        }
        check("[1]", "body contains incorrect JSON type: an object is expected");
        check("\"text\"", "body contains incorrect JSON type: an object is expected");
        assert_eq!(
            parse::<Sample>(b"{\"name\":\"\xff\"}").unwrap_err().message,
            "body contains badly-formed JSON (at character 10)"
        );
    }

    #[test]
    fn a_field_that_is_there_twice_is_refused_whatever_it_holds() {
        check(
            r#"{"name": "a", "name": "a"}"#,
            "body contains the key \"name\" twice in one object at line 1 column 20",
        );
        check(
            r#"{"inner": {"secret": "a"}, "inner": {}}}"#,
            "body contains the key \"inner\" twice in one object at line 1 column 34",
        );
    }

    #[test]
    fn an_answer_says_what_it_has_left_to_do() {
        let answer = || Answer::ok(200, "done", Value::Null);
        assert_eq!(answer().leaving(0), answer());
        assert_eq!(answer().leaving(3).body["untold_sources"], 3);
    }

    #[test]
    fn an_answer_names_its_call_and_its_version() {
        let names = |id: &str, version: &str| {
            names_of_call(id, version, || "new".into()).map(|(_, value)| value)
        };
        assert_eq!(names("", ""), ["new", "2025-11-24"]);
        assert_eq!(names("trace-1/a", "2024-04-01"), ["trace-1/a", "2024-04-01"]);
        assert_eq!(names("a b", "garbage"), ["new", "2025-11-24"]);
        assert_eq!(names(&"x".repeat(129), "2024-01-01"), ["new", "2024-01-01"]);
    }

    #[test]
    fn bytes_after_the_one_value_and_unknown_fields_are_ignored() {
        assert!(parse::<Sample>(b"{\"name\":\"a\",\"other\":1}}").is_ok());
    }

    #[test]
    fn a_field_without_effect_is_refused_and_an_empty_one_let_through() {
        use serde_json::json;
        for empty in
            [json!(null), json!(""), json!({}), json!([]), json!(0), json!({"a": {"b": ""}})]
        {
            assert!(refuse_unsupported("f", Some(&empty)).is_ok(), "{empty}");
        }
        let error = refuse_unsupported("function", Some(&json!("x"))).unwrap_err();
        assert!(error.message.starts_with("function is not supported yet"), "{error}");
    }
}
