//! What a body says: JSON, or a form that reads as JSON. The bytes themselves are never changed; this
//! is the *view* that event types, dedup keys and the API's `data` are taken from.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::api::ApiError;
use crate::lenient;

/// How a body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    UrlEncoded,
    Multipart,
}

/// The kind of form that a content type names, if any.
pub fn form_of(content_type: Option<&str>) -> Option<Form> {
    let essence = content_type?.split(';').next()?.trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/x-www-form-urlencoded" => Some(Form::UrlEncoded),
        "multipart/form-data" => Some(Form::Multipart),
        _ => None,
    }
}

/// The body as Convoy's `data` has it: a form becomes an object of its fields' first values, an empty
/// body `{}`, anything else stays as it is.
pub fn data<'a>(content_type: Option<&str>, body: &'a [u8]) -> Cow<'a, [u8]> {
    if body.is_empty() {
        return Cow::Borrowed(b"{}");
    }
    json(content_type, body)
}

/// The body as JSON, for looking values up: parsed, or made from a form. `None` when it is neither.
pub fn value(content_type: Option<&str>, body: &[u8]) -> Option<Value> {
    match fields(content_type, body) {
        Some(fields) => Some(Value::Object(fields)),
        None => lenient::read(body),
    }
}

/// The body as the text of JSON, for looking values up: as it came, or made from a form. Nobody has checked that it is JSON:
/// what senders write is often a little less.
pub fn json<'a>(content_type: Option<&str>, body: &'a [u8]) -> Cow<'a, [u8]> {
    match fields(content_type, body) {
        Some(fields) => Cow::Owned(Value::Object(fields).to_string().into_bytes()),
        None => Cow::Borrowed(body),
    }
}

/// The value at a dotted path; a number steps into an array. `None` for what is absent or `null`.
pub fn at_path<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let mut at = value;
    for step in path.split('.') {
        at = match at {
            Value::Object(object) => object.get(step)?,
            Value::Array(array) => array.get(step.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    (!at.is_null()).then_some(at)
}

/// The first value of `name` in a query string (without `?`).
pub fn query_value(query: &str, name: &str) -> Option<String> {
    #[cfg(not(target_arch = "wasm32"))]
    crate::document::note_parameter(name);
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Refuses a parameter that a call does not know, which would have no effect; `hint` says what it knows. A portal link's `token`
/// may stand beside any.
pub fn check_parameters(
    query: &str,
    is_known: impl Fn(&str) -> bool,
    hint: impl FnOnce() -> String,
) -> Result<(), ApiError> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let is_wrong = |key: &str| !is_known(key) && key != "token";
    let Some((wrong, _)) = pairs.find(|(key, _)| is_wrong(key)) else { return Ok(()) };
    let shown: String = wrong.chars().take(64).collect();
    Err(ApiError::bad_request(format!("{shown}:no such parameter here; {}", hint())))
}

/// A part of a path as it was before it was written into a URL.
pub fn path_value(part: &str) -> String {
    let query = format!("x={}", part.replace('+', "%2B").replace('&', "%26"));
    query_value(&query, "x").unwrap_or_default()
}

/// A form larger than this is bytes: as an object of small fields it would take many times its length.
const FORM_MAX_BYTES: usize = 256 * 1024;

fn fields(content_type: Option<&str>, body: &[u8]) -> Option<Map<String, Value>> {
    let form = form_of(content_type)?;
    if FORM_MAX_BYTES < body.len() {
        return None;
    }
    let pairs: Vec<(String, String)> = match form {
        Form::UrlEncoded => {
            // A body that is JSON under a form's name (`curl -d` sends it so) stays what it is.
            if matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
                && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
            {
                return None;
            }
            url::form_urlencoded::parse(body)
                .map(|(k, v)| (k.into_owned(), v.into_owned()))
                .collect()
        }
        Form::Multipart => multipart(&boundary(content_type?)?, body, false)?
            .into_iter()
            .map(|(name, value)| (name, String::from_utf8_lossy(value).into_owned()))
            .collect(),
    };
    let mut object = Map::new();
    for (name, value) in pairs {
        object.entry(name).or_insert(Value::String(value));
    }
    Some(object)
}

fn boundary(content_type: &str) -> Option<String> {
    let parameters = content_type.split(';').skip(1);
    let found = parameters.filter_map(|parameter| parameter.split_once('='));
    let value = found.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?.1;
    let value = value.trim().trim_matches('"');
    (!value.is_empty() && value.len() <= 70).then(|| value.to_owned())
}

/// The bytes of a file in a multipart form, by the name of its field.
pub fn file_of(content_type: &str, body: &[u8], name: &str) -> Option<Vec<u8>> {
    let fields = multipart(&boundary(content_type)?, body, true)?;
    fields.into_iter().find(|(have, _)| have == name).map(|(_, bytes)| bytes.to_vec())
}

/// The fields of a [multipart form](https://www.rfc-editor.org/rfc/rfc7578), or its files.
/// `None` when the body is not built that way.
fn multipart<'b>(boundary: &str, body: &'b [u8], files: bool) -> Option<Vec<(String, &'b [u8])>> {
    let opening = format!("--{boundary}");
    let delimiter = format!("\r\n--{boundary}");
    let start = if body.starts_with(opening.as_bytes()) {
        opening.len()
    } else {
        find(body, delimiter.as_bytes())? + delimiter.len()
    };
    let mut rest = body.get(start..)?;
    let mut fields = Vec::new();
    while let Some(part) = rest.strip_prefix(b"\r\n") {
        let end = find(part, delimiter.as_bytes())?;
        let (content, after) = part.split_at_checked(end)?;
        let head_end = find(content, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(content.get(..head_end)?).into_owned();
        let disposition = head
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))
            .unwrap_or_default();
        if let Some(name) = parameter(disposition, "name")
            && parameter(disposition, "filename").is_some() == files
        {
            fields.push((name, content.get(head_end + 4..)?));
        }
        rest = after.get(delimiter.len()..)?;
    }
    rest.starts_with(b"--").then_some(fields)
}

fn parameter(header: &str, name: &str) -> Option<String> {
    let mut pairs = header.split(';').skip(1).filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"').to_owned())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(content_type: &str, body: &str, expect: &str) {
        let content_type = (!content_type.is_empty()).then_some(content_type);
        assert_eq!(String::from_utf8_lossy(&data(content_type, body.as_bytes())), expect);
    }

    #[test]
    fn forms_become_objects_of_their_first_values() {
        let form = "application/x-www-form-urlencoded";
        check(form, "key1=value1&key2=value2", r#"{"key1":"value1","key2":"value2"}"#);
        check(form, "a=1&a=2&b=%C3%BC+x", r#"{"a":"1","b":"ü x"}"#);
        check("application/x-www-form-urlencoded; charset=utf-8", "a=1", r#"{"a":"1"}"#);
        let multipart = "multipart/form-data; boundary=XX";
        let body = "--XX\r\nContent-Disposition: form-data; name=\"key1\"\r\n\r\nvalue1\r\n--XX\r\n\
            Content-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nfile\r\n--XX\r\n\
            content-disposition: form-data; name=key2\r\n\r\nvalue2\r\n--XX--\r\n";
        check(multipart, body, r#"{"key1":"value1","key2":"value2"}"#);
    }

    #[test]
    fn what_is_no_form_stays_as_it_is() {
        check("application/json", r#"{ "name": "convoy" }"#, r#"{ "name": "convoy" }"#);
        check("", r#"{"a":1}"#, r#"{"a":1}"#);
        check("text/html", r#"{"a":1}"#, r#"{"a":1}"#);
        check("application/x-www-form-urlencoded", r#"{"a": 1}"#, r#"{"a": 1}"#);
        check("multipart/form-data; boundary=XX", "no parts", "no parts");
        check("application/json", "", "{}");
    }

    #[test]
    fn parts_of_a_path_are_read_back() {
        for (part, expect) in [
            ("user.created", "user.created"),
            ("a%20b%2Fc", "a b/c"),
            ("a+b&c=d", "a+b&c=d"),
            ("%", "%"),
            ("", ""),
        ] {
            assert_eq!(path_value(part), expect);
        }
    }

    #[test]
    fn paths_step_through_objects_and_arrays() {
        let value = serde_json::json!({"a": {"b": [1, {"c": "x"}]}, "n": null});
        let at = |path| at_path(&value, path).cloned();
        assert_eq!(at("a.b.0"), Some(1.into()));
        assert_eq!(at("a.b.1.c"), Some("x".into()));
        assert_eq!(at("n"), None);
        assert_eq!(at("a.b.7"), None);
        assert_eq!(at("a.b"), Some(serde_json::json!([1, {"c": "x"}])));
    }

    proptest! {
        #[test]
        fn no_body_and_no_content_type_makes_a_panic(content_type: String, body: Vec<u8>) {
            data(Some(&content_type), &body);
            data(Some("multipart/form-data; boundary=x"), &body);
            value(Some(&content_type), &body);
            json(Some(&content_type), &body);
        }
    }
}
