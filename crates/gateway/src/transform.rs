//! Users' functions: what may be run, within which limits, and what an answer of the engine means.
//!
//! A function is JavaScript that defines a global `transform(x)`, which takes one JSON value and returns another. The
//! engine is `crates/edge/js/transform.mjs`; numbers are JavaScript's, so integers beyond 2^53 lose digits.

use std::cell::Cell;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::api::{ApiError, check_length};
use crate::fields::{Fields, FromFields};
use crate::push::Push;

/// The longest function.
pub const CODE_MAX_BYTES: usize = 64 * 1024;
/// The longest JSON text that is handed to a function.
pub const INPUT_MAX_BYTES: usize = 1024 * 1024;
/// The longest JSON text that it may return.
const OUTPUT_MAX_BYTES: usize = 1024 * 1024;
/// QuickJS asks at every 10,000th jump or call of JavaScript whether to go on; so many times it may. An endless loop ends after some
/// 50 ms, one that calls functions of the engine after 200.
const INTERRUPTS_MAX: usize = 200;
/// Calls and loops inside the engine, which a single step of JavaScript may take any number of: a copy of a large payload takes
/// a fifth of it, and all of it is gone in about a second.
const FUEL: usize = 400_000_000;
/// What the functions of one invocation may take, give or take one run: some ten seconds. The platform ends an invocation after
/// thirty, with all that it has not stored.
const INVOCATION_FUEL: u64 = 10 * FUEL as u64;
const STACK_MAX_BYTES: u32 = 256 * 1024;
/// How deep an input may nest. A few thousand levels break the engine, whatever the function does with them.
const INPUT_MAX_DEPTH: u32 = 500;

/// What a short run may use, for payloads of a common size some 20 ms: see [`crate::quarantine`].
const SHORT_INTERRUPTS: usize = 20;
const SHORT_FUEL: usize = 8_000_000;

/// The limits, as the engine reads them. A larger input needs more memory, and in a short run more of all else: what copies
/// it once gets to its end.
pub fn limits(input_bytes: usize, is_short: bool) -> String {
    let memory = 8 * 1024 * 1024 + 24 * input_bytes;
    let (interrupts, fuel) = if is_short {
        (SHORT_INTERRUPTS + input_bytes / 10_000, SHORT_FUEL + 160 * input_bytes)
    } else {
        (INTERRUPTS_MAX, FUEL)
    };
    json!({"memory": memory, "stack": STACK_MAX_BYTES, "interrupts": interrupts, "fuel": fuel, "output": OUTPUT_MAX_BYTES})
        .to_string()
}

/// The fuel that the functions of one invocation have taken. It counts calls and loops inside the engine, of which JavaScript
/// takes any number in a single step.
#[derive(Debug, Default)]
pub struct Burnt(Cell<u64>);

impl Burnt {
    /// Counts what a run took, be it to its end or until it was stopped.
    pub fn add(&self, fuel: u64) {
        self.0.set(self.fuel().saturating_add(fuel));
    }

    /// What has been taken by now.
    pub fn fuel(&self) -> u64 {
        self.0.get()
    }

    /// Whether it is so much that no other function is run.
    pub fn is_all(&self) -> bool {
        INVOCATION_FUEL <= self.fuel()
    }

    /// Whether it is so much more than `before` that what was made is stored before another function is run: as much as one
    /// may take.
    pub fn fills_transaction(&self, before: u64) -> bool {
        FUEL as u64 <= self.fuel().saturating_sub(before)
    }
}

/// Why a payload is handed to no function that is longer than [`INPUT_MAX_BYTES`].
pub fn input_too_large() -> String {
    format!(
        "the payload is larger than {INPUT_MAX_BYTES} bytes, which is all that a function takes"
    )
}

/// Why an input, a JSON text, is handed to no function.
pub fn refuse_input(input: &str) -> Option<String> {
    if INPUT_MAX_BYTES < input.len() {
        return Some(input_too_large());
    }
    let (mut depth, mut deepest, mut is_text, mut is_escaped) = (0_u32, 0, false, false);
    for byte in input.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    (INPUT_MAX_DEPTH < deepest)
        .then(|| format!("the payload nests deeper than {INPUT_MAX_DEPTH} levels, which is all that a function takes"))
}

/// What a function returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// JSON text.
    pub output: String,
    /// Lines of `console.log` and its like.
    pub log: Vec<String>,
    /// What it took, as [`Burnt`] counts.
    pub fuel: u64,
}

/// Why a function gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub message: String,
    /// Whether it went beyond what it may use, so that it had to be stopped.
    pub was_stopped: bool,
    /// What it took until then, as [`Burnt`] counts.
    pub fuel: u64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// What the author of the function reads.
    pub fn refusal(self, field: &str) -> ApiError {
        ApiError::bad_request(format!("{field}:{}", self.message))
    }
}

fn too_large() -> String {
    format!("the function returned more than {OUTPUT_MAX_BYTES} bytes")
}

/// Reads the engine's answer to a call.
pub fn read(answer: &str) -> Result<Ran, Fault> {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let text = |value: &Value, name: &str| {
        value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let log = answer.get("log").and_then(Value::as_array).into_iter().flatten();
    let log = log.filter_map(Value::as_str).map(ToOwned::to_owned).collect();
    let fuel = answer.get("fuel").and_then(Value::as_u64).unwrap_or_default();
    let outcome = text(&answer, "outcome");
    let message = match outcome.as_str() {
        "ok" if OUTPUT_MAX_BYTES < text(&answer, "output").len() => too_large(),
        "ok" => return Ok(Ran { output: text(&answer, "output"), log, fuel }),
        "no_call" => return Ok(Ran { output: String::new(), log, fuel }),
        "missing" => {
            "the transform function is not found, please define it or rename the existing function"
                .to_owned()
        }
        "promise" => "the function returned a promise: it has to be synchronous".to_owned(),
        "nothing" => "the function returned nothing that is JSON".to_owned(),
        "too_large" => too_large(),
        "interrupted" => "the function was stopped: it takes too many steps".to_owned(),
        "broken" => {
            "the function was stopped: it nests too deeply, or takes more memory than it may"
                .to_owned()
        }
        "thrown" => {
            let error = answer.get("error").cloned().unwrap_or_default();
            let (name, message) = (text(&error, "name"), text(&error, "message"));
            let number = |field| error.get(field).and_then(Value::as_u64);
            let place = match (number("line"), number("column")) {
                (Some(line), Some(column)) => format!(" at line {line}, column {column}"),
                (Some(line), None) => format!(" at line {line}"),
                (None, _) => String::new(),
            };
            let colon = if name.is_empty() { "the function threw " } else { ": " };
            let message: String = message.chars().take(1_000).collect();
            format!("{name}{colon}{message}{place}")
        }
        _ => "the engine gave no answer".to_owned(),
    };
    let was_stopped = matches!(outcome.as_str(), "interrupted" | "broken");
    Err(Fault { message, was_stopped, fuel })
}

/// Checks a function as far as that goes without running it.
pub fn check_code(field: &str, code: &str) -> Result<(), ApiError> {
    check_length(field, code, CODE_MAX_BYTES)?;
    if code.trim().is_empty() {
        return Err(ApiError::bad_request(format!("{field}:please provide a function")));
    }
    Ok(())
}

/// What a function is given of a body: the body where it is JSON, or else the body as text.
pub fn input_of(body: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(body)
        .map_err(|_| "the payload is not text, which is all that a function takes")?;
    let is_json = serde_json::from_str::<&RawValue>(text).is_ok();
    Ok(if is_json { text.to_owned() } else { json!(text).to_string() })
}

/// The functions of a source; empty where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Functions {
    /// From a broker's message to an event, as `POST /events` takes it; from the body of a request to that of the event.
    pub body: String,
    /// From the headers of either to those of the event.
    pub header: String,
}

impl Functions {
    pub fn is_none(&self) -> bool {
        self.body.is_empty() && self.header.is_empty()
    }

    /// Refuses functions that would never run.
    pub fn check(&self, takes_events: bool) -> Result<(), ApiError> {
        let have = [("body_function", &self.body), ("header_function", &self.header)];
        match have.into_iter().find(|(_, code)| !takes_events && !code.is_empty()) {
            None => Ok(()),
            Some((field, _)) => Err(ApiError::bad_request(format!(
                "{field}:has no effect on a source of the type rest_api, which takes no events in; use http or pub_sub"
            ))),
        }
    }

    /// Takes what an update gives: `None` leaves a function as it is, an empty text removes it.
    pub fn change(&mut self, body: Option<String>, header: Option<String>) -> Result<(), ApiError> {
        let functions = [
            ("body_function", body, &mut self.body),
            ("header_function", header, &mut self.header),
        ];
        for (field, given, stored) in functions {
            let Some(code) = given else { continue };
            check_length(field, &code, CODE_MAX_BYTES)?;
            *stored = if code.trim().is_empty() { String::new() } else { code };
        }
        Ok(())
    }
}

/// Which of a source's functions is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its result is an event, as `POST /events` takes it.
    Body,
    /// Its result is an object of headers.
    Header,
    /// Of a source that takes requests: its result is an object of headers, each of which an event can have.
    RequestHeader,
    /// Of a subscription, or of a source that takes requests: its result is a body, whatever it is.
    Payload,
}

/// The body of `POST …/test_function`.
#[derive(Debug)]
pub struct Trial {
    pub code: String,
    /// JSON text.
    pub payload: String,
    kind: Option<String>,
    source_type: Option<String>,
}

impl FromFields for Trial {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            code: fields.text("function")?.unwrap_or_default(),
            payload: fields.raw("payload").unwrap_or_else(|| json!({})).to_string(),
            kind: fields.text("type")?,
            source_type: fields.text("source_type")?,
        })
    }
}

impl Trial {
    /// Checks it, for a source's function or a subscription's.
    pub fn kind(&self, of_source: bool) -> Result<Kind, ApiError> {
        check_code("function", &self.code)?;
        let takes_requests = match self.source_type.as_deref().unwrap_or("pub_sub") {
            "http" => true,
            "pub_sub" | "" => false,
            _ => return Err(ApiError::bad_request("source_type:one of http and pub_sub")),
        };
        match self.kind.as_deref().unwrap_or("body") {
            _ if !of_source => Ok(Kind::Payload),
            "body" if takes_requests => Ok(Kind::Payload),
            "body" => Ok(Kind::Body),
            "header" if takes_requests => Ok(Kind::RequestHeader),
            "header" => Ok(Kind::Header),
            _ => Err(ApiError::bad_request("type:one of body and header")),
        }
    }
}

/// What a trial with this payload shows.
pub fn present(kind: Kind, payload: &str, ran: &Ran) -> Result<Value, ApiError> {
    match kind {
        Kind::Body => check_event(&ran.output)?,
        Kind::Header => drop(headers_of(&ran.output)?),
        Kind::RequestHeader => crate::made::check_headers(&ran.output, payload)?,
        Kind::Payload => {}
    }
    let payload: Value = serde_json::from_str(&ran.output).map_err(|error| {
        ApiError::bad_request(format!("function:the result is no JSON that others read: {error}"))
    })?;
    Ok(json!({"payload": payload, "log": ran.log}))
}

/// Whether a body function's result is an event: whom it is for, its message type decides later.
fn check_event(output: &str) -> Result<(), ApiError> {
    const KNOWN: &[&str] = &[
        "endpoint_id",
        "owner_id",
        "event_type",
        "data",
        "custom_headers",
        "idempotency_key",
        "url",
        "secret",
        "event_types",
    ];
    let fields: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(output)
        .map_err(|_| ApiError::bad_request("the output payload is not an object"))?;
    if let Some(unknown) = fields.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(ApiError::bad_request(format!("json: unknown field \"{unknown}\"")));
    }
    if !fields.contains_key("event_type") {
        return Err(ApiError::bad_request("the output payload doesn't include an event type"));
    }
    if !fields.contains_key("data") {
        return Err(ApiError::bad_request("the output payload doesn't include any data"));
    }
    Push::parse_message(crate::push::Kind::Broadcast, output.as_bytes()).map(drop)
}

/// The headers that a header function returned.
pub fn headers_of(output: &str) -> Result<Vec<(String, String)>, ApiError> {
    let wrong = || {
        ApiError::bad_request(
            "the header function has to return an object whose values are all text",
        )
    };
    let headers: Map<String, Value> = serde_json::from_str(output).map_err(|_| wrong())?;
    let read = |(name, value): (String, Value)| match value {
        Value::String(value) => Ok((name, value)),
        _ => Err(wrong()),
    };
    headers.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_that_break_the_engine_are_not_handed_to_it() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        let in_text = format!(r#""\"{}""#, "[".repeat(600));
        for taken in ["1", &deep(500), &in_text, &format!("[{}]", vec!["[]"; 600].join(","))] {
            assert_eq!(refuse_input(taken), None, "{taken}");
        }
        assert!(refuse_input(&deep(501)).is_some_and(|why| why.contains("deeper than 500")));
        assert!(refuse_input(&"1".repeat(INPUT_MAX_BYTES + 1)).is_some());
    }

    #[test]
    fn what_functions_take_ends_transactions_and_then_the_invocation() {
        let fault = read(r#"{"outcome":"interrupted","fuel":399999999}"#).unwrap_err();
        let burnt = Burnt::default();
        burnt.add(fault.fuel);
        assert!(!burnt.fills_transaction(0));
        burnt.add(1);
        assert!(burnt.fills_transaction(0) && !burnt.fills_transaction(1) && !burnt.is_all());
        burnt.add(9 * FUEL as u64 - 1);
        assert!(!burnt.is_all());
        burnt.add(1);
        assert!(burnt.is_all());
    }

    #[test]
    fn answers_of_the_engine_say_what_and_where() {
        let fault = |answer: &str| read(answer).unwrap_err().message;
        let ran = read(r#"{"outcome":"ok","output":"[1]","log":["a"],"fuel":7}"#).unwrap();
        assert_eq!(ran, Ran { output: "[1]".into(), log: vec!["a".into()], fuel: 7 });
        let thrown = r#"{"outcome":"thrown","error":{"name":"TypeError","message":"no","line":2,"column":7},"log":[]}"#;
        assert_eq!(fault(thrown), "TypeError: no at line 2, column 7");
        let text =
            r#"{"outcome":"thrown","error":{"name":"","message":"no","line":null,"column":null}}"#;
        assert_eq!(fault(text), "the function threw no");
        for (outcome, expect) in [
            ("missing", "is not found"),
            ("promise", "synchronous"),
            ("nothing", "nothing that is JSON"),
            ("interrupted", "too many steps"),
            ("too_large", "1048576 bytes"),
            ("", "no answer"),
        ] {
            let message = fault(&format!(r#"{{"outcome":"{outcome}"}}"#));
            assert!(message.contains(expect), "{outcome}: {message}");
        }
        assert!(fault("nonsense").contains("no answer"));
    }

    #[test]
    fn half_a_character_in_a_result_is_the_fault_of_the_function() {
        let ran = Ran { output: r#""\ud800""#.into(), log: Vec::new(), fuel: 0 };
        let error = present(Kind::Payload, "1", &ran).unwrap_err();
        assert!(error.message.starts_with("function:the result is no JSON"), "{error}");
    }

    #[test]
    fn a_trial_is_checked_by_what_the_function_is_for() {
        let ran = |output: &str| Ran { output: output.into(), log: Vec::new(), fuel: 0 };
        let of = |kind, output| {
            present(kind, r#"{"Content-Encoding":"gzip"}"#, &ran(output))
                .map_err(|error| error.message)
        };
        let event = r#"{"event_type":"a","data":{"n":1}}"#;
        assert_eq!(of(Kind::Body, event).unwrap()["payload"]["data"]["n"], 1);
        for (kind, output, expect) in [
            (Kind::Body, r#"{"event_type":"a"}"#, "doesn't include any data"),
            (Kind::Body, r#"{"data":1}"#, "doesn't include an event type"),
            (Kind::Body, r#"{"event_type":"a","data":1,"x":1}"#, "json: unknown field \"x\""),
            (Kind::Body, "[]", "not an object"),
            (Kind::Header, r#"{"a":1}"#, "all text"),
            (Kind::Header, "1", "all text"),
            (Kind::RequestHeader, "1", "all text"),
            (
                Kind::RequestHeader,
                r#"{"content-type":"x"}"#,
                "content-type says how a body is sent",
            ),
            (Kind::RequestHeader, r#"{"content-encoding":"br"}"#, "content-encoding says how"),
            (Kind::RequestHeader, r#"{"a b":"x"}"#, "\"a b\" is not a header that can be sent"),
        ] {
            let message = of(kind, output).unwrap_err();
            assert!(message.contains(expect), "{output}: {message}");
        }
        for good in [r#"{"a":"b"}"#, r#"{"content-encoding":"gzip"}"#] {
            assert!(of(Kind::Header, good).is_ok());
            assert!(of(Kind::RequestHeader, good).is_ok());
        }
        assert!(of(Kind::Payload, "[1,2]").is_ok());
        let trial = |body: &str| crate::api::parse::<Trial>(body.as_bytes()).unwrap();
        assert!(trial(r#"{"function":" "}"#).kind(true).is_err());
        assert!(trial(r#"{"function":"f","type":"x"}"#).kind(true).is_err());
        assert_eq!(trial(r#"{"function":"f"}"#).kind(true), Ok(Kind::Body));
        let http = r#"{"function":"f","source_type":"http"}"#;
        assert_eq!(trial(http).kind(true), Ok(Kind::Payload));
        let http = r#"{"function":"f","source_type":"http","type":"header"}"#;
        assert_eq!(trial(http).kind(true), Ok(Kind::RequestHeader));
        assert!(trial(r#"{"function":"f","source_type":"x"}"#).kind(true).is_err());
        assert_eq!(trial(r#"{"function":"f","type":"x"}"#).kind(false), Ok(Kind::Payload));
    }
}
