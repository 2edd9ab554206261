//! What a subscription asks of an event: a filter for its headers, its body, its query and its path. All of them have to match.

use std::cell::{Cell, OnceCell};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::api::ApiError;
use crate::fields::{Fields, FromFields};
use crate::filter::{FILTER_MAX_BYTES, Filter, Part};
use crate::payload;
use crate::steps::{Steps, TooMany};
use crate::wire::Meta;

/// Steps that the filters of one subscription may take for one event: a body of 2 MiB can be asked one thing of each item of
/// its lists, whatever they are.
const STEPS_MAX: u64 = 1_000_000;
/// What those of all its subscriptions may take together.
const STEPS_OF_EVENT_MAX: u64 = 2_000_000;
/// What it takes to read a body: so many of its bytes are a step.
const BYTES_PER_STEP: u64 = 4;
/// What each subscription may take all the same, so that one of them in whose filters an event gets lost takes none of its
/// events from those that ask a few things.
const STEPS_MIN: u64 = 500;

/// The filters of an event as they were written, which is how they are stored and shown.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Conditions {
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    headers: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    body: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    query: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    path: Map<String, Value>,
    /// Made when the first event is asked about: of the subscriptions that a batch reads, few may be.
    #[serde(skip)]
    compiled: OnceLock<Option<Vec<(Part, Filter)>>>,
}

impl PartialEq for Conditions {
    fn eq(&self, other: &Self) -> bool {
        Part::ALL.iter().all(|part| self.part(*part) == other.part(*part))
    }
}

impl Eq for Conditions {}

/// Other names under which a part may stand in a request, and what is no part but may stand beside one: Convoy's tools send back
/// what they were shown.
const IGNORED: &[&str] = &["is_flattened", "raw_headers", "raw_body", "raw_query", "raw_path"];

impl Conditions {
    /// Reads the object that holds the parts, at `at`. A key that is no part is refused: misspelt, it would let everything through.
    pub fn read(mut object: Map<String, Value>, at: &str) -> Result<Self, ApiError> {
        let conditions = Self::default().changed(&mut object, at)?;
        match object.keys().find(|key| !IGNORED.contains(&key.as_str())) {
            Some(key) => Err(ApiError::bad_request(format!(
                "{}:not a part of an event: one of headers, body, query and path",
                join(at, key)
            ))),
            None => Ok(conditions),
        }
    }

    /// These conditions with those parts replaced that `object` holds; they are taken out of it.
    pub fn changed(mut self, object: &mut Map<String, Value>, at: &str) -> Result<Self, ApiError> {
        for part in Part::ALL {
            let given = match (object.remove(part.name()), part) {
                (None | Some(Value::Null), Part::Headers) => object.remove("header"),
                (given, _) => given,
            };
            match given {
                None | Some(Value::Null) => {}
                Some(Value::Object(filter)) => *self.part_mut(part) = filter,
                Some(_) => {
                    let path = join(at, part.name());
                    let text = format!("body contains incorrect JSON type for field \"{path}\"");
                    return Err(ApiError::bad_request(text));
                }
            }
        }
        self.compiled = OnceLock::new();
        if FILTER_MAX_BYTES < self.len() {
            let at = if at.is_empty() { "filter" } else { at };
            let text = format!("{at}:a filter is at most {FILTER_MAX_BYTES} bytes");
            return Err(ApiError::bad_request(text));
        }
        for part in Part::ALL {
            Filter::compile(part, self.part(part), &join(at, part.name()))?;
        }
        Ok(self)
    }

    fn compiled(&self) -> Option<&[(Part, Filter)]> {
        let compile = || {
            let parts = Part::ALL.into_iter().filter(|part| !self.part(*part).is_empty());
            let made = parts.map(|part| Ok((part, Filter::stored(part, self.part(part))?)));
            made.collect::<Result<_, ApiError>>().ok()
        };
        self.compiled.get_or_init(compile).as_deref()
    }

    fn part(&self, part: Part) -> &Map<String, Value> {
        match part {
            Part::Headers => &self.headers,
            Part::Body => &self.body,
            Part::Query => &self.query,
            Part::Path => &self.path,
        }
    }

    fn part_mut(&mut self, part: Part) -> &mut Map<String, Value> {
        match part {
            Part::Headers => &mut self.headers,
            Part::Body => &mut self.body,
            Part::Query => &mut self.query,
            Part::Path => &mut self.path,
        }
    }

    /// Bytes of the filters as JSON.
    pub fn len(&self) -> usize {
        json!(self).to_string().len()
    }

    /// Bytes that they take in memory, give or take: once as they are written, and once more when they have been asked.
    pub fn weight(&self) -> usize {
        2 * Part::ALL.iter().map(|part| object_weight(self.part(*part))).sum::<usize>()
    }

    /// Whether every event matches.
    pub fn is_empty(&self) -> bool {
        Part::ALL.iter().all(|part| self.part(*part).is_empty())
    }

    /// Whether what an event says in its body matters.
    pub fn reads_body(&self) -> bool {
        !self.body.is_empty()
    }

    /// Whether the event says what is asked of it. The body comes last, because it has to be parsed. The error means that it
    /// takes too many steps to tell.
    pub fn match_event(&self, facts: &Facts<'_>) -> Result<bool, TooMany> {
        if self.is_empty() {
            return Ok(true);
        }
        // What is stored was compiled before; should this version refuse it all the same, it lets nothing through.
        let Some(filters) = self.compiled() else { return Ok(false) };
        let (body, other): (Vec<_>, Vec<_>) =
            filters.iter().partition(|(part, _)| *part == Part::Body);
        let left = STEPS_OF_EVENT_MAX.saturating_sub(facts.asked.get());
        let most = left.clamp(STEPS_MIN, STEPS_MAX);
        let steps = Steps::of(most);
        let matches = other.into_iter().chain(body).try_fold(true, |matches, (part, filter)| {
            match facts.part(*part).filter(|_| matches) {
                Some(payload) => filter.matches(payload, &steps),
                None => Ok(false),
            }
        });
        facts.asked.set(facts.asked.get() + (most - steps.left()));
        matches
    }

    /// The filters as the API shows them.
    pub fn present(&self) -> Value {
        json!({"headers": self.headers, "body": self.body, "query": self.query, "path": self.path, "is_flattened": false})
    }
}

/// Bytes of a node of an object in memory, which holds five fields at least where there are several nodes, and of a value beside what
/// it holds; for 32 bits.
const NODE_WEIGHT: usize = 340;
const FIELDS_OF_NODE: usize = 5;
const VALUE_WEIGHT: usize = 24;

fn object_weight(object: &Map<String, Value>) -> usize {
    let nodes = object.len().div_ceil(FIELDS_OF_NODE);
    let fields = object.iter().map(|(name, value)| name.len() + value_weight(value));
    nodes * NODE_WEIGHT + fields.sum::<usize>()
}

fn value_weight(value: &Value) -> usize {
    VALUE_WEIGHT
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(value_weight).sum(),
            Value::Object(object) => object_weight(object),
        }
}

fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

/// What an event says, each part read once at most, and only when a filter asks.
#[derive(Debug)]
pub struct Facts<'a> {
    event: Option<(&'a Meta, Option<&'a [u8]>)>,
    headers: OnceCell<Value>,
    query: OnceCell<Value>,
    path: OnceCell<Value>,
    body: OnceCell<Option<Value>>,
    /// Steps that all who asked took together.
    asked: Cell<u64>,
}

impl<'a> Facts<'a> {
    /// An event on its way. Without the bytes of its body no filter of bodies matches.
    pub fn of(meta: &'a Meta, body: Option<&'a [u8]>) -> Self {
        Self {
            event: Some((meta, body)),
            headers: OnceCell::new(),
            query: OnceCell::new(),
            path: OnceCell::new(),
            body: OnceCell::new(),
            asked: Cell::new(0),
        }
    }

    /// The steps that were taken so far, those to read the body included.
    pub(crate) fn taken(&self) -> u64 {
        let is_read = self.body.get().is_some();
        let bytes =
            self.event.and_then(|(_, body)| body).filter(|_| is_read).map_or(0, <[u8]>::len);
        self.asked.get() + bytes as u64 / BYTES_PER_STEP
    }

    fn part(&self, part: Part) -> Option<&Value> {
        let meta = self.event.map(|(meta, _)| meta);
        match part {
            Part::Headers => Some(self.headers.get_or_init(|| meta.map_or(Value::Null, headers))),
            Part::Query => Some(self.query.get_or_init(|| meta.map_or(Value::Null, query))),
            Part::Path => Some(self.path.get_or_init(|| meta.map_or(Value::Null, path))),
            Part::Body => self.body.get_or_init(|| self.event.and_then(body)).as_ref(),
        }
    }
}

impl Facts<'static> {
    /// A made-up event, as the calls that try a filter describe it: `header` or `headers`, `body`, `query`, `path`.
    pub fn given(request: &Map<String, Value>) -> Self {
        let part = |name: &str| request.get(name).filter(|value| !value.is_null()).cloned();
        let texts = |name: &str| part(name).map(as_text);
        let headers = match texts("headers").or_else(|| texts("header")) {
            Some(Value::Object(headers)) => headers
                .into_iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect(),
            other => other.unwrap_or_default(),
        };
        Self {
            event: None,
            headers: OnceCell::from(headers),
            query: OnceCell::from(texts("query").unwrap_or_default()),
            path: OnceCell::from(match texts("path") {
                Some(Value::String(path)) => json!({"path": path}),
                other => other.unwrap_or_default(),
            }),
            body: OnceCell::from(part("body")),
            asked: Cell::new(0),
        }
    }
}

/// Headers, queries and paths are text, also where somebody wrote a number.
fn as_text(value: Value) -> Value {
    match value {
        Value::Number(_) | Value::Bool(_) => value.to_string().into(),
        Value::Array(items) => items.into_iter().map(as_text).collect(),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, as_text(value))).collect())
        }
        value => value,
    }
}

/// The body of `POST …/subscriptions/test_filter`.
#[derive(Debug)]
pub struct TestFilter {
    pub request: Map<String, Value>,
    pub conditions: Conditions,
}

impl FromFields for TestFilter {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let (request, schema) = (fields.map("request")?, fields.map("schema")?);
        fields.check_spelling()?;
        let missing = |name: &str, what: &str| {
            let text = format!(
                "{name}:please provide {what}: an object with headers, body, query or path"
            );
            ApiError::bad_request(text)
        };
        let schema = schema.ok_or_else(|| missing("schema", "the filter to be tried"))?;
        let conditions = Conditions::read(schema, "schema")?;
        let request = request.ok_or_else(|| missing("request", "the event to try it on"))?;
        check_parts(&request)?;
        Ok(Self { request, conditions })
    }
}

/// Refuses what is no part of an event: misspelt, it would be tried as if it were not there.
fn check_parts(event: &Map<String, Value>) -> Result<(), ApiError> {
    let is_known = |name: &str| {
        name == "header"
            || Part::ALL.iter().any(|part| part.name() == name)
            || IGNORED.contains(&name)
    };
    match event.keys().find(|name| !is_known(name)) {
        None => Ok(()),
        Some(name) => Err(ApiError::bad_request(format!(
            "request.{name}:not a part of an event: one of headers, body, query and path"
        ))),
    }
}

/// The made-up event of `…/filters/test/{eventType}`: its parts in `request`, or its body alone in `payload`.
#[derive(Debug)]
pub struct TestEvent(pub Map<String, Value>);

impl FromFields for TestEvent {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let (request, payload) = (fields.map("request")?, fields.raw("payload"));
        fields.check_spelling()?;
        if request.is_none() && payload.is_none() {
            return Err(ApiError::bad_request(
                "payload:please provide the event to try the filters on: its body as payload, or an object request with headers, body, query or path",
            ));
        }
        let mut event = request.unwrap_or_default();
        check_parts(&event)?;
        if let Some(payload) = payload
            && event.get("body").is_none_or(Value::is_null)
        {
            event.insert("body".into(), payload);
        }
        Ok(Self(event))
    }
}

/// Pairs as an object. A name that is repeated has a list of its values.
fn object(pairs: impl Iterator<Item = (String, String)>) -> Value {
    let mut object: Map<String, Value> = Map::new();
    for (name, value) in pairs {
        match object.get_mut(&name) {
            None => {
                object.insert(name, value.into());
            }
            Some(Value::Array(values)) => values.push(value.into()),
            Some(one) => *one = json!([one.take(), value]),
        }
    }
    Value::Object(object)
}

/// The headers that were kept with the event, and those that it is sent on with.
fn headers(meta: &Meta) -> Value {
    let is_new = |name: &str| !meta.headers.iter().any(|(have, _)| have.eq_ignore_ascii_case(name));
    let own = |name: &str, value: Option<&str>| {
        Some((name.to_owned(), value?.to_owned())).filter(|_| is_new(name))
    };
    let mask = Some(meta.mask_id.as_str()).filter(|mask| !mask.is_empty());
    let content_type = own("content-type", meta.content_type.as_deref());
    let source = own("x-convoy-source-id", mask);
    let kept = meta.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    object(kept.chain(content_type).chain(source))
}

fn query(meta: &Meta) -> Value {
    object(url::form_urlencoded::parse(meta.query.as_bytes()).into_owned())
}

/// `{"path": "/ingest/…"}`; empty when the event did not come to a URL of its source.
fn path(meta: &Meta) -> Value {
    if meta.mask_id.is_empty() || meta.broker_message_id.is_some() {
        return Value::Object(Map::new());
    }
    json!({"path": format!("/ingest/{}", meta.mask_id)})
}

/// The body as JSON, or as the object of a form; nothing is `{}`, as in the API.
fn body((meta, bytes): (&Meta, Option<&[u8]>)) -> Option<Value> {
    let bytes = bytes?;
    if bytes.is_empty() {
        return Some(Value::Object(Map::new()));
    }
    payload::value(meta.content_type.as_deref(), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Body;
    use crate::wire::tests::envelope;

    fn conditions(filter: Value) -> Result<Conditions, String> {
        let Value::Object(object) = filter else { panic!("an object") };
        Conditions::read(object, "filter").map_err(|error| error.message)
    }

    #[track_caller]
    fn check(meta: &Meta, body: Option<&[u8]>, filter: Value, expect: bool) {
        let shown = filter.to_string();
        let conditions = conditions(filter).unwrap();
        let stored: Conditions = serde_json::from_str(&json!(conditions).to_string()).unwrap();
        assert_eq!(stored, conditions);
        assert_eq!(stored.match_event(&Facts::of(meta, body)), Ok(expect), "{shown}");
    }

    #[test]
    fn every_part_of_an_event_can_be_asked_and_all_have_to_match() {
        let mut meta = envelope(Body::Inline(Vec::new())).meta;
        meta.headers = vec![("x-event".into(), "push".into()), ("x-n".into(), "5".into())];
        meta.query = "ref=main&tag=a&tag=b&a.b=1".into();
        let body: Option<&[u8]> = Some(br#"{"order": {"total": 120}}"#);
        for (filter, expect) in [
            (json!({}), true),
            (json!({"headers": {}, "body": {}}), true),
            (json!({"headers": {"X-Event": "push"}}), true),
            (json!({"header": {"X-Event": "push"}}), true),
            (json!({"headers": {"X-Event": "pull"}}), false),
            (
                json!({"headers": {"Content-Type": {"$regex": "json"}, "X-Convoy-Source-Id": "mask", "x-n": 5}}),
                true,
            ),
            (json!({"query": {"ref": "main", "tag": "b", "a.b": 1}}), true),
            (json!({"query": {"ref": {"$neq": "main"}}}), false),
            (json!({"path": {"path": "/ingest/mask"}}), true),
            (json!({"path": {"path": {"$regex": "^/other/"}}}), false),
            (json!({"body": {"order.total": {"$gt": 100}}}), true),
            (json!({"body": {"order.total": {"$gt": 100}}, "query": {"ref": "main"}}), true),
            (json!({"body": {"order.total": {"$gt": 100}}, "query": {"ref": "develop"}}), false),
        ] {
            check(&meta, body, filter, expect);
        }
        meta.broker_message_id = Some("topic-0-1".into());
        check(&meta, body, json!({"path": {"path": {"$exist": false}}}), true);
    }

    #[test]
    fn a_body_is_json_or_a_form_or_matches_no_filter() {
        let mut meta = envelope(Body::Inline(Vec::new())).meta;
        let absent = json!({"body": {"x": {"$exist": false}}});
        for (content_type, body, filter, expect) in [
            ("application/json", Some("not json"), absent.clone(), false),
            (
                "application/json",
                Some("not json"),
                json!({"headers": {"content-type": "application/json"}}),
                true,
            ),
            ("application/json", None, absent.clone(), false),
            ("application/json", Some(""), absent, true),
            (
                "application/x-www-form-urlencoded",
                Some("a=1&b=2"),
                json!({"body": {"a": "1"}}),
                true,
            ),
            ("text/plain", Some(r#"{"a":1}"#), json!({"body": {"a": 1}}), true),
            ("application/json", Some("[{\"a\":1}]"), json!({"body": {"$.a": 1}}), true),
        ] {
            meta.content_type = Some(content_type.into());
            check(&meta, body.map(str::as_bytes), filter, expect);
        }
    }

    #[test]
    fn a_made_up_event_is_as_a_real_one_would_be() {
        let event = json!({"header": {"X-N": 5}, "query": {"page": 2, "tags": ["a", 1]}, "path": "/ingest/mask"});
        let facts = Facts::given(event.as_object().unwrap());
        for (filter, expect) in [
            (json!({"headers": {"x-n": 5}, "query": {"page": {"$gt": 1}, "tags": 1}}), true),
            (json!({"path": {"path": "/ingest/mask"}}), true),
            (json!({"body": {"a": {"$exist": false}}}), false),
        ] {
            assert_eq!(conditions(filter).unwrap().match_event(&facts), Ok(expect));
        }
    }

    #[test]
    fn a_try_without_an_event_or_a_filter_is_refused() {
        use crate::api::parse;
        let filter = |body: &str| parse::<TestFilter>(body.as_bytes()).map_err(|e| e.message);
        let event = |body: &str| parse::<TestEvent>(body.as_bytes()).map_err(|e| e.message);
        for (body, expect) in [
            ("{}", "schema:please provide the filter to be tried"),
            (r#"{"schema":{}}"#, "request:please provide the event to try it on"),
            (r#"{"reqest":{},"schema":{}}"#, "reqest:unknown field: did you mean request?"),
            (r#"{"request":{"boddy":{}},"schema":{}}"#, "request.boddy:not a part of an event"),
        ] {
            let error = filter(body).unwrap_err();
            assert!(error.starts_with(expect), "{error}");
        }
        assert!(filter(r#"{"request":{"header":{},"raw_body":{}},"schema":{"body":{}}}"#).is_ok());
        for body in ["{}", r#"{"body":{}}"#] {
            let error = event(body).unwrap_err();
            assert!(error.starts_with("payload:please provide the event to try"), "{error}");
        }
        assert!(event(r#"{"payload":[]}"#).is_ok() && event(r#"{"request":{}}"#).is_ok());
    }

    #[test]
    fn what_is_no_filter_is_refused_with_its_place() {
        for (filter, expect) in [
            (
                json!({"boddy": {"a": 1}}),
                "filter.boddy:not a part of an event: one of headers, body, query and path",
            ),
            (json!({"body": []}), "body contains incorrect JSON type for field \"filter.body\""),
            (
                json!({"query": {"a": {"$regex": 1}}}),
                "filter.query.a.$regex:a regular expression is expected, as text",
            ),
            (json!({"body": {"a": "x".repeat(20_000)}}), "filter:a filter is at most 16384 bytes"),
        ] {
            assert_eq!(conditions(filter).unwrap_err(), expect);
        }
        assert!(conditions(json!({"is_flattened": true, "raw_body": {}, "path": null})).is_ok());
    }

    #[test]
    fn what_conditions_weigh_is_what_they_take_in_memory() {
        let of = |body: Value| {
            let Value::Object(parts) = json!({ "body": body }) else { panic!("an object") };
            Conditions::read(parts, "filter").unwrap().weight()
        };
        assert_eq!(Conditions::default().weight(), 0);
        let small = of(json!({"a": 1}));
        assert!(700 < small && small < 800, "{small}");
        let list = of(json!({"a": {"$in": vec![1; 8_000]}}));
        assert!(8_000 * 48 < list, "{list}");
        let objects = of(json!({"a": {"$in": vec![json!({"a": 1}); 2_000]}}));
        assert!(2_000 * 700 < objects, "{objects}");
    }
}
