//! The REST dialect of Convoy: the envelope of every answer, errors, request bodies and pages.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::fields::{Fields, FromFields};
use crate::payload::query_value;
use crate::rejection::RETRY_AFTER_S;
use crate::routes::{FilterCall, ProjectCall};
use crate::version::{NEWEST, Version};
use crate::{ids, repeated};

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

    /// The same, where the edge has still to hear of so many sources: said beside the data, because Convoy's has no place for it.
    #[must_use]
    pub fn leaving(mut self, untold_sources: u64) -> Self {
        if let Some(fields) = self.body.as_object_mut().filter(|_| 0 < untold_sources) {
            fields.insert("untold_sources".into(), untold_sources.into());
        }
        self
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

/// Reads the first JSON value of a request body, as Convoy does; bytes after it are ignored.
pub fn parse<T: FromFields>(body: &[u8]) -> Result<T, ApiError> {
    T::from_fields(Fields::of(String::new(), first_json(body)?)?)
}

/// The first JSON value of a body, in which no object has a key twice.
pub(crate) fn first_json(body: &[u8]) -> Result<Value, ApiError> {
    match first_value::<&RawValue>(body)? {
        None => Ok(Value::Null),
        Some(raw) => {
            repeated::check(raw.get())?;
            Ok(first_value(body)?.unwrap_or_default())
        }
    }
}

/// The first JSON value of a body; `None` when it is of another type than `T`.
pub(crate) fn first_value<'a, T: serde::Deserialize<'a>>(
    body: &'a [u8],
) -> Result<Option<T>, ApiError> {
    if body.trim_ascii().is_empty() {
        return Err(ApiError::bad_request("body must not be empty"));
    }
    let badly_formed = |at: usize| {
        ApiError::bad_request(format!("body contains badly-formed JSON (at character {at})"))
    };
    let text = std::str::from_utf8(body).map_err(|error| badly_formed(error.valid_up_to() + 1))?;
    match serde_json::Deserializer::from_str(text).into_iter::<T>().next() {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value)),
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

/// Which way a page goes from its cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Next,
    Prev,
}

/// What a list call asks for. Cursors are uids, and inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery {
    pub per_page: usize,
    pub direction: Direction,
    pub cursor: Option<String>,
    /// Oldest first.
    pub ascending: bool,
}

/// What Convoy's clients write for the first page; it stands above all uids.
const TOP: &str = "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF";

/// Whether a text has the form of what lists give: a uid.
pub(crate) fn is_cursor(text: &str) -> bool {
    text == TOP || ids::is_uid(text)
}

pub(crate) fn no_cursor() -> ApiError {
    ApiError::bad_request("the page cursor is not one that a list has given")
}

/// What a page holds that nobody measured.
const PER_PAGE: usize = 20;
/// The most items that one page holds.
pub const PER_PAGE_MAX: usize = 1000;

impl PageQuery {
    /// Reads `perPage`, `direction`, `next_page_cursor` and `prev_page_cursor` from a query string.
    pub fn parse(query: &str) -> Self {
        let value = |name| query_value(query, name).filter(|text| !text.is_empty());
        let (next, prev) = (value("next_page_cursor"), value("prev_page_cursor"));
        let direction = match value("direction") {
            Some(text) if text.eq_ignore_ascii_case("prev") => Direction::Prev,
            // A caller that gives that cursor alone means the page before.
            None if next.is_none() && prev.is_some() => Direction::Prev,
            _ => Direction::Next,
        };
        let per_page = value("perPage").and_then(|text| text.parse().ok());
        let per_page = per_page.filter(|number| 0 < *number).unwrap_or(PER_PAGE);
        let cursor = match direction {
            Direction::Next => next,
            Direction::Prev => prev,
        };
        let ascending = value("sort").is_some_and(|sort| sort.eq_ignore_ascii_case("asc"));
        Self { per_page: per_page.min(PER_PAGE_MAX), direction, cursor, ascending }
    }

    /// The same, for callers: with a cursor that no list has given, or that goes the other way, a list would begin at the
    /// beginning again.
    pub fn read(query: &str) -> Result<Self, ApiError> {
        let page = Self::parse(query);
        let value = |name| query_value(query, name).filter(|text| !text.is_empty());
        let direction = value("direction");
        if let Some(wrong) = direction
            && !["next", "prev"].iter().any(|known| wrong.eq_ignore_ascii_case(known))
        {
            return Err(ApiError::bad_request("direction:one of next, prev"));
        }
        let (other, name, way) = match page.direction {
            Direction::Next => (value("prev_page_cursor"), "prev_page_cursor", "prev"),
            Direction::Prev => (value("next_page_cursor"), "next_page_cursor", "next"),
        };
        match (&page.cursor, other) {
            (Some(cursor), _) if !is_cursor(cursor) => Err(no_cursor()),
            (None, Some(other)) if other != TOP => {
                Err(ApiError::bad_request(format!("{name}:goes with direction={way}")))
            }
            _ => Ok(page),
        }
    }

    /// The same, for lists of ours alone: Convoy's take what is no number for no number.
    pub fn read_strictly(query: &str) -> Result<Self, ApiError> {
        let per_page = query_value(query, "perPage").filter(|text| !text.is_empty());
        match per_page.map(|text| text.parse::<u32>()) {
            None | Some(Ok(1..)) => Self::read(query),
            Some(_) => {
                Err(ApiError::bad_request(format!("perPage:a number from 1 to {PER_PAGE_MAX}")))
            }
        }
    }

    /// How many rows to fetch: one more than the page, to know whether another follows.
    pub fn limit(&self) -> usize {
        self.per_page + 1
    }
}

/// Checks the pages that a call asks for, if it is of a list that has none.
pub fn check_whole_list(call: &ProjectCall<'_>, query: &str) -> Result<(), ApiError> {
    use ProjectCall as C;
    let is_whole = matches!(
        call,
        C::ListKeys
            | C::ListConsumerKeys
            | C::ListEventTypes
            | C::ListRejections(_)
            | C::ListAttempts(_)
            | C::Filters(_, FilterCall::List)
    );
    if is_whole { check_unpaged(query) } else { Ok(()) }
}

/// Refuses to go on in a list that has all it holds on one page, and so has given no cursor.
pub fn check_unpaged(query: &str) -> Result<(), ApiError> {
    match PageQuery::read(query)?.cursor {
        Some(cursor) if cursor != TOP => Err(ApiError::bad_request(
            "this list comes whole: it has no pages, and gives no cursor",
        )),
        _ => Ok(()),
    }
}

/// Convoy's page: `{"content":[…],"pagination":{…}}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    pub content: Vec<Value>,
    pub pagination: Pagination,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pagination {
    pub per_page: usize,
    pub has_next_page: bool,
    pub has_prev_page: bool,
    pub prev_page_cursor: String,
    pub next_page_cursor: String,
}

impl Page {
    /// Makes a page from up to [`PageQuery::limit`] items, newest first. `has_newer` says whether
    /// anything stands before the first of them.
    pub fn new(query: &PageQuery, mut items: Vec<(String, Value)>, has_newer: bool) -> Self {
        let more = query.per_page < items.len();
        let (has_next_page, has_prev_page, extra) = match query.direction {
            Direction::Next => {
                let extra = if more { items.pop() } else { None };
                (more, has_newer, extra)
            }
            // Going back, the item too many is the newest, and the page it came from is the next one.
            Direction::Prev => {
                if more {
                    items.remove(0);
                }
                (query.cursor.is_some(), more, None)
            }
        };
        let first = items.first().map(|(uid, _)| uid.clone()).unwrap_or_default();
        let next = match (query.direction, extra) {
            (Direction::Next, Some((uid, _))) => uid,
            (Direction::Next, None) => String::new(),
            (Direction::Prev, _) => query.cursor.clone().unwrap_or_default(),
        };
        Self {
            content: items.into_iter().map(|(_, item)| item).collect(),
            pagination: Pagination {
                per_page: query.per_page,
                has_next_page,
                has_prev_page,
                prev_page_cursor: first,
                next_page_cursor: next,
            },
        }
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
        fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
            fields.text("name")?;
            fields.number("count")?;
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
        fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
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
            (r#"{"count": -1}"#, "count"),
            (r#"{"count": 1.5}"#, "count"),
            (r#"{"on": "yes"}"#, "on"),
            (r#"{"list": [1]}"#, "list"),
            (r#"{"inner": "text"}"#, "inner"),
            (r#"{"inners": {}}"#, "inners"),
            (r#"{"inners": [{}, {"secret": 1}]}"#, "inners[1].secret"),
        ] {
            check(body, &format!("body contains incorrect JSON type for field \"{field}\""));
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
            r#"{"inner": {"secret": "a"}, "inner": {}} x"#,
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
    fn bytes_after_the_first_value_and_unknown_fields_are_ignored() {
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

    #[test]
    fn a_cursor_says_which_way_a_page_goes_and_is_never_passed_over() {
        let (a, b) = ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAW");
        let (next, prev) = (Some(Direction::Next), Some(Direction::Prev));
        for (query, direction, cursor) in [
            (format!("prev_page_cursor={a}"), prev, a),
            (format!("prev_page_cursor={a}&next_page_cursor="), prev, a),
            (format!("prev_page_cursor={a}&next_page_cursor={b}"), next, b),
            (format!("prev_page_cursor={a}&next_page_cursor={b}&direction=Prev"), prev, a),
            (format!("direction=prev&prev_page_cursor={a}&next_page_cursor={TOP}"), prev, a),
            (format!("direction=prev&next_page_cursor={TOP}"), prev, ""),
            (
                format!("direction=next&prev_page_cursor={a}"),
                None,
                "prev_page_cursor:goes with direction=prev",
            ),
            (
                format!("direction=prev&next_page_cursor={a}"),
                None,
                "next_page_cursor:goes with direction=next",
            ),
            (
                "prev_page_cursor=mangled".into(),
                None,
                "the page cursor is not one that a list has given",
            ),
            ("direction=back".into(), None, "direction:one of next, prev"),
        ] {
            let read = match PageQuery::read(&query) {
                Ok(page) => (Some(page.direction), page.cursor.unwrap_or_default()),
                Err(error) => (None, error.message),
            };
            assert_eq!(read, (direction, cursor.to_owned()), "{query}");
        }
    }

    #[test]
    fn a_list_of_ours_refuses_a_length_that_is_none() {
        for bad in ["x", "0", "-1", "1.5", "99999999999"] {
            let error = PageQuery::read_strictly(&format!("perPage={bad}")).unwrap_err();
            assert_eq!(error.message, "perPage:a number from 1 to 1000");
            assert!(PageQuery::read(&format!("perPage={bad}")).is_ok());
        }
        for (good, per_page) in
            [("", 20), ("perPage=", 20), ("perPage=7", 7), ("perPage=5000", 1000)]
        {
            assert_eq!(PageQuery::read_strictly(good).unwrap().per_page, per_page);
        }
    }

    #[test]
    fn a_list_without_pages_goes_on_nowhere() {
        for (query, is_taken) in [
            ("", true),
            ("perPage=5&direction=next&next_page_cursor=", true),
            ("next_page_cursor=FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", true),
            ("next_page_cursor=01ARZ3NDEKTSV4RRFFQ69G5FAV", false),
            ("prev_page_cursor=01ARZ3NDEKTSV4RRFFQ69G5FAV", false),
            ("next_page_cursor=x", false),
        ] {
            assert_eq!(check_unpaged(query).is_ok(), is_taken, "{query}");
        }
    }

    #[test]
    fn pages_walk_forth_and_back_over_the_same_items() {
        let all = ["g", "f", "e", "d", "c", "b", "a"];
        let fetch = |query: &PageQuery| -> Page {
            let cursor = query.cursor.clone();
            let found: Vec<_> = match query.direction {
                Direction::Next => {
                    let from = |uid: &&&str| cursor.as_deref().is_none_or(|cursor| **uid <= cursor);
                    all.iter().filter(from).take(query.limit()).collect()
                }
                Direction::Prev => {
                    let from = |uid: &&&str| cursor.as_deref().is_none_or(|cursor| cursor < **uid);
                    let mut found: Vec<_> =
                        all.iter().rev().filter(from).take(query.limit()).collect();
                    found.reverse();
                    found
                }
            };
            let newer = found.first().is_some_and(|first| **first < "g");
            let items = found.iter().map(|uid| ((**uid).to_owned(), Value::from(**uid))).collect();
            Page::new(query, items, newer)
        };
        let first = fetch(&PageQuery::parse("perPage=3"));
        assert_eq!(first.content, ["g", "f", "e"]);
        assert!(first.pagination.has_next_page && !first.pagination.has_prev_page);
        let next = format!("perPage=3&next_page_cursor={}", first.pagination.next_page_cursor);
        let second = fetch(&PageQuery::parse(&next));
        assert_eq!(second.content, ["d", "c", "b"]);
        assert!(second.pagination.has_prev_page);
        let prev = format!(
            "direction=prev&perPage=3&prev_page_cursor={}",
            second.pagination.prev_page_cursor
        );
        let back = fetch(&PageQuery::parse(&prev));
        assert_eq!(back.content, ["g", "f", "e"]);
        assert!(back.pagination.has_next_page && !back.pagination.has_prev_page);
    }
}
