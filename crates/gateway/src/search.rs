//! What the lists of events and deliveries are asked for.
//!
//! Ids begin with the time of their event, so a list by time is a range of the key. A filter that no key serves looks at
//! [`SCAN_ROWS`] rows, and [`LOOKS`] times for one page at most; when that did not fill it, its cursor goes on where they ended.

use serde_json::{Value, json};

use crate::api::{ApiError, asks_for_something};
use crate::dead_letter::{KINDS, Wanted};
use crate::deliver::Status;
use crate::failures::STATUSES;
use crate::ids;
use crate::needle;
use crate::number;
use crate::page::{Direction, PageQuery};
use crate::payload::{check_parameters, query_value};
use crate::repeated;
use crate::time::parse_rfc3339;

/// Rows that a filtered list looks at in one statement: for as long nobody else is served by the database.
pub const SCAN_ROWS: u64 = 5_000;
/// Rows that a list looks at in one statement when it has to look into their payloads.
pub const SCAN_BODIES: u64 = 1_000;
/// How often a page that is not full looks at as many rows again. A look is three statements; where Workers cost nothing, a call
/// has fifty.
pub const LOOKS: u32 = 10;
/// Milliseconds after which a page does not look again.
pub const LOOK_FOR_MS: u64 = 2_000;
/// Values of one repeated filter.
const VALUES_MAX: usize = 100;
/// Fields of a `body` filter.
const BODY_FIELDS_MAX: usize = 20;
const TEXT_MAX_CHARS: usize = 256;

/// A condition of a statement: SQL in which `{}` stands for the parameter, and the parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub sql: String,
    pub param: String,
}

impl Condition {
    fn new(sql: impl Into<String>, param: impl Into<String>) -> Self {
        Self { sql: sql.into(), param: param.into() }
    }
}

/// Which table a list goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Events,
    Deliveries,
}

/// A list of events or deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    pub kind: Kind,
    pub page: PageQuery,
    /// The range of ids, both included.
    pub low: String,
    pub high: String,
    pub conditions: Vec<Condition>,
    /// Whether a condition reads payloads.
    pub reads_bodies: bool,
    /// `ownerId`: to be made a condition by [`Search::of_owner`].
    pub owner: Option<String>,
}

impl Search {
    /// Reads the query of a list of events: `sourceId`, `endpointId` (each may be repeated), `idempotencyKey`,
    /// `brokerMessageId`, `ownerId`, `startDate`, `endDate`, `query`, `body`, `sort` and the page.
    pub fn events(query: &str) -> Result<Self, ApiError> {
        let mut search = Self::of(Kind::Events, query)?;
        search.any_of("t.source_id", &values(query, "sourceId")?);
        let endpoints = values(query, "endpointId")?;
        if !endpoints.is_empty() {
            search.push(delivered_to(), json!(endpoints).to_string());
        }
        search.equal("t.idempotency_key", value(query, "idempotencyKey"));
        search.equal("t.broker_message_id", value(query, "brokerMessageId"));
        search.any_of("t.event_type", &event_types(query)?);
        search.of_status(query, &["Pending", "Processing", "Success", "Failure", "Retry"])?;
        search.owner = value(query, "ownerId");
        search.of_payload(query)?;
        Ok(search)
    }

    /// Reads `status`, which may be repeated.
    fn of_status(&mut self, query: &str, known: &[&str]) -> Result<(), ApiError> {
        let statuses = values(query, "status")?;
        if let Some(wrong) = statuses.iter().find(|status| !known.contains(&status.as_str())) {
            let text = format!("status:{wrong} is none of {}", known.join(", "));
            return Err(ApiError::bad_request(text));
        }
        self.any_of("t.status", &statuses);
        Ok(())
    }

    /// Reads `query`, or `q`, and `body`: what the payload of an event, or of a delivery's event, has to say.
    fn of_payload(&mut self, query: &str) -> Result<(), ApiError> {
        if let Some(text) = value(query, "query").or_else(|| value(query, "q")) {
            if TEXT_MAX_CHARS < text.chars().count() {
                return Err(ApiError::bad_request(format!(
                    "query:at most {TEXT_MAX_CHARS} characters"
                )));
            }
            if text.trim_start().starts_with('{') {
                self.push_payload(body_condition(&text)?);
            } else {
                self.push_payload(text_condition(&text, self.kind));
            }
        }
        if let Some(text) = value(query, "body") {
            self.push_payload(body_condition(&text)?);
        }
        Ok(())
    }

    /// A condition on `e`, the event.
    fn push_payload(&mut self, condition: Condition) {
        self.reads_bodies = true;
        let Condition { sql, param } = condition;
        let sql = match self.kind {
            Kind::Events => sql.replace("{e}", "t"),
            Kind::Deliveries => format!(
                "EXISTS (SELECT 1 FROM events AS e WHERE {} AND e.project_id = t.project_id AND e.id = t.event_id)",
                sql.replace("{e}", "e")
            ),
        };
        self.push(sql, param);
    }

    /// Reads the query of a list of deliveries: `eventId`, `subscriptionId`, `endpointId`, `sourceId`, `status`, `eventType`
    /// (which may be repeated), `ownerId`, `idempotencyKey`, `brokerMessageId`, `startDate`, `endDate`, `query`, `body`, `sort`
    /// and the page.
    pub fn deliveries(query: &str) -> Result<Self, ApiError> {
        let mut search = Self::of(Kind::Deliveries, query)?;
        if let Some(event) = value(query, "eventId") {
            // Deliveries carry the time of their event; what is no uid has none.
            let (low, high) = ids::same_moment(&event).unwrap_or(("~".into(), String::new()));
            search.low = search.low.max(low);
            search.high = search.high.min(high);
            search.push("t.event_id = {}", event);
        }
        search.any_of("t.subscription_id", &values(query, "subscriptionId")?);
        search.any_of("t.endpoint_id", &values(query, "endpointId")?);
        search.any_of("t.source_id", &values(query, "sourceId")?);
        search.owner = value(query, "ownerId");
        search.any_of("t.event_type", &event_types(query)?);
        search.of_status(query, &STATUSES)?;
        search.of_payload(query)?;
        for (name, column) in
            [("idempotencyKey", "idempotency_key"), ("brokerMessageId", "broker_message_id")]
        {
            if let Some(value) = value(query, name) {
                search.push(
                    format!(
                        "EXISTS (SELECT 1 FROM events AS e WHERE e.project_id = t.project_id AND e.id = t.event_id \
                         AND e.{column} = {{}})"
                    ),
                    value,
                );
            }
        }
        Ok(search)
    }

    /// Reads `startDate`, `endDate`, `sort` and the page, and nothing else.
    pub fn of_dates(kind: Kind, query: &str) -> Result<Self, ApiError> {
        Self::of(kind, query)
    }

    /// Reads the query of a list of dead letters: `kind`, `sourceId` (which may be repeated), `startDate`, `endDate` and the
    /// page. What it finds are the deliveries among them; of the others [`crate::dead_letter::Wanted`] says which.
    pub fn dead_letters(query: &str) -> Result<(Self, Wanted), ApiError> {
        let mut search = Self::of(Kind::Deliveries, query)?;
        search.page = PageQuery::read_strictly(query)?;
        search.page.ascending = false;
        search.only(&[Status::Failure]);
        let wanted = Wanted { kind: value(query, "kind"), sources: values(query, "sourceId")? };
        if wanted.kind.as_ref().is_some_and(|kind| !KINDS.contains(&kind.as_str())) {
            let text = format!("kind:one of {}", KINDS.join(", "));
            return Err(ApiError::bad_request(text));
        }
        search.any_of("t.source_id", &wanted.sources);
        Ok((search, wanted))
    }

    fn of(kind: Kind, query: &str) -> Result<Self, ApiError> {
        let start = date(query, "startDate")?;
        let end = date(query, "endDate")?;
        if let (Some(start), Some(end)) = (start, end)
            && end < start
        {
            return Err(ApiError::bad_request("startDate cannot be greater than endDate"));
        }
        // A time without a fraction means all of its second.
        let end = end.map(|end| if end % 1000 == 0 { end.saturating_add(999) } else { end });
        let page = PageQuery::read(query)?;
        Ok(Self {
            kind,
            page,
            low: start.map_or(String::new(), ids::lowest),
            high: end.map_or_else(|| "~".to_owned(), ids::highest),
            conditions: Vec::new(),
            reads_bodies: false,
            owner: None,
        })
    }

    /// Makes `ownerId` a condition: events that were for the owner, and what went to one of its endpoints.
    pub fn of_owner(&mut self, endpoints: &[String]) {
        if let Some(owner) = self.owner.take() {
            if self.kind == Kind::Deliveries {
                return self.at_endpoints(endpoints);
            }
            let target = json!(crate::wire::Target::Owner(owner)).to_string();
            let param = json!({"target": target, "endpoints": endpoints}).to_string();
            let sql = format!(
                "(t.target = {{}} ->> '$.target' OR {})",
                delivered_to().replace("json_each({})", "json_each({}, '$.endpoints')")
            );
            self.push(sql, param);
        }
    }

    /// Keeps only what was for one of these endpoints.
    pub fn at_endpoints(&mut self, endpoints: &[String]) {
        let param = json!(endpoints).to_string();
        match self.kind {
            Kind::Events => self.push(delivered_to(), param),
            Kind::Deliveries => {
                self.push("t.endpoint_id IN (SELECT value FROM json_each({}))", param);
            }
        }
    }

    /// Keeps those deliveries only that have one of these states.
    pub fn only(&mut self, statuses: &[Status]) {
        let statuses: Vec<String> =
            statuses.iter().map(|status| status.name().to_owned()).collect();
        self.any_of("t.status", &statuses);
    }

    /// What goes on where the rows of a look ended, unless the `found` rows of all looks fill the page: what it finds follows
    /// after them.
    pub fn onward(&self, end: Option<&str>, found: usize) -> Option<Self> {
        let left = self.page.per_page.checked_sub(found).filter(|left| 0 < *left)?;
        let page = PageQuery { per_page: left, cursor: Some(end?.to_owned()), ..self.page.clone() };
        Some(Self { page, ..self.clone() })
    }

    /// Rows that one look may go over; `None` when the key alone finds them.
    pub fn scan_rows(&self) -> Option<u64> {
        if self.conditions.is_empty() {
            return None;
        }
        Some(if self.reads_bodies { SCAN_BODIES } else { SCAN_ROWS })
    }

    /// Whether the page is read from newer ids to older ones.
    pub fn goes_down(&self) -> bool {
        (self.page.direction == Direction::Next) != self.page.ascending
    }

    fn push(&mut self, sql: impl Into<String>, param: impl Into<String>) {
        self.conditions.push(Condition::new(sql, param));
    }

    fn equal(&mut self, column: &str, value: Option<String>) {
        if let Some(value) = value {
            self.push(format!("{column} = {{}}"), value);
        }
    }

    fn any_of(&mut self, column: &str, values: &[String]) {
        if !values.is_empty() {
            let sql = format!("{column} IN (SELECT value FROM json_each({{}}))");
            self.push(sql, json!(values).to_string());
        }
    }
}

/// What selects events or deliveries and may be repeated, also as `name[]`.
const REPEATED: [&str; 6] =
    ["sourceId", "endpointId", "subscriptionId", "eventType", "event_type", "status"];
/// What does so once.
const SINGLE: [&str; 4] = ["ownerId", "idempotencyKey", "brokerMessageId", "eventId"];
/// What looks into payloads.
const PAYLOAD: [&str; 3] = ["query", "q", "body"];
/// What says how much of it, and in which order; clients write it at every call.
const OF_PAGES: [&str; 8] = [
    "startDate",
    "endDate",
    "sort",
    "perPage",
    "per_page",
    "direction",
    "next_page_cursor",
    "prev_page_cursor",
];

impl Kind {
    /// The parameters that select, in a call that changes all it finds.
    fn selects_by(self) -> impl Iterator<Item = &'static str> {
        let is_other = move |name: &&str| match self {
            Self::Events => matches!(*name, "subscriptionId" | "eventId"),
            Self::Deliveries => false,
        };
        REPEATED.into_iter().chain(SINGLE).filter(move |name| !is_other(name))
    }

    /// Refuses what a call on all that is found would pass over: a slip in a name must not make it more.
    pub fn check_selection(self, query: &str, body: &[u8]) -> Result<(), ApiError> {
        let is_payload = |key: &str| self == Self::Events && PAYLOAD.contains(&key);
        let known = ("sent again", &["startDate", "endDate", "next_page_cursor"][..]);
        self.check_names(query, known, |key| is_payload(key) || OF_PAGES.contains(&key))?;
        if PageQuery::read(query)?.direction == Direction::Prev {
            let text =
                "direction:what is sent again is gone through one way; go on with next_page_cursor";
            return Err(ApiError::bad_request(text));
        }
        let is_bare = body.trim_ascii().is_empty()
            || serde_json::from_slice(body).is_ok_and(|value: Value| !asks_for_something(&value));
        if is_bare {
            return Ok(());
        }
        Err(ApiError::bad_request(
            "body:has no effect here; what is sent again is chosen by parameters of the query",
        ))
    }
}

impl Kind {
    /// Refuses what a count of all that is found would pass over. It has no pages, but clients write how long they are.
    pub fn check_count(self, query: &str) -> Result<(), ApiError> {
        let is_said = |name: &str| value(query, name).is_some();
        self.check_names(query, ("counted", &["startDate", "endDate"]), |key| {
            let is_cursor = key.ends_with("_cursor") && is_said(key);
            PAYLOAD.contains(&key) || (OF_PAGES.contains(&key) && !is_cursor)
        })
    }

    /// Refuses a parameter that neither selects nor is one of the others that are known.
    fn check_names(
        self,
        query: &str,
        (done, others): (&str, &[&'static str]),
        is_other: impl Fn(&str) -> bool,
    ) -> Result<(), ApiError> {
        let is_known = |key: &str| {
            let bare = key.strip_suffix("[]").filter(|name| REPEATED.contains(name));
            self.selects_by().any(|name| name == bare.unwrap_or(key)) || is_other(key)
        };
        check_parameters(query, is_known, || {
            let known: Vec<&str> = self.selects_by().chain(others.iter().copied()).collect();
            format!("what is {done} is chosen by {}", known.join(", "))
        })
    }
}

/// Events with a delivery to one of some endpoints. Deliveries begin with the ten characters of their event's time.
pub(crate) fn delivered_to() -> String {
    "EXISTS (SELECT 1 FROM deliveries AS d WHERE d.project_id = t.project_id AND d.id >= substr(t.id, 1, 10) \
     AND d.id < substr(t.id, 1, 10) || '~' AND d.event_id = t.id \
     AND d.endpoint_id IN (SELECT value FROM json_each({})))"
        .to_owned()
}

fn value(query: &str, name: &str) -> Option<String> {
    query_value(query, name).filter(|text| !text.is_empty())
}

/// All values of a parameter that may be repeated.
pub fn values(query: &str, name: &str) -> Result<Vec<String>, ApiError> {
    #[cfg(not(target_arch = "wasm32"))]
    crate::document::note_parameter(name);
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let found: Vec<String> = pairs
        .filter(|(key, value)| {
            key.strip_suffix("[]").unwrap_or(key.as_ref()) == name && !value.is_empty()
        })
        .map(|(_, value)| value.into_owned())
        .collect();
    if VALUES_MAX < found.len() {
        return Err(ApiError::bad_request(format!("{name}:at most {VALUES_MAX} values")));
    }
    Ok(found)
}

/// `eventType`, or `event_type` as Convoy's document, and so its newer SDKs, write it.
fn event_types(query: &str) -> Result<Vec<String>, ApiError> {
    let mut found = values(query, "eventType")?;
    found.extend(values(query, "event_type")?);
    Ok(found)
}

/// A time of the query; `None` when it asks for none.
pub(crate) fn date(query: &str, name: &str) -> Result<Option<u64>, ApiError> {
    let Some(text) = value(query, name) else { return Ok(None) };
    let message = match name {
        "startDate" => "please specify a startDate in the format 2006-01-02T15:04:05",
        _ => "please specify a correct endDate in the format 2006-01-02T15:04:05 or none at all",
    };
    if let Some(time) = parse_rfc3339(&text) {
        // A day alone, as an end, is all of that day.
        let is_day = name == "endDate" && text.trim().len() == "2006-01-02".len();
        return Ok(Some(if is_day { time.saturating_add(86_399_000) } else { time }));
    }
    // Nothing is older than 1970, and the zero time is how clients in Go write that there is none.
    let later = text.get(4..).and_then(|rest| parse_rfc3339(&format!("1970{rest}")));
    let is_early = later.is_some() && text.get(..4).is_some_and(|year| year < "1970");
    if is_early && (name == "startDate" || text.starts_with("0001-01-01T00:00:00")) {
        return Ok(None);
    }
    Err(ApiError::bad_request(message))
}

/// What a person looks for: in the payload and the event type, or all of a key or an id. `{e}` stands for the event, `t` for
/// what is listed.
fn text_condition(text: &str, kind: Kind) -> Condition {
    let most = match kind {
        Kind::Events => needle::FOLDED_MAX,
        Kind::Deliveries => needle::FOLDED_BESIDE_MAX,
    };
    let (body, kind) = (
        needle::sql("{e}.body", text, true, most),
        needle::sql("{e}.event_type", text, false, most),
    );
    let is_in = "{} ->> '$.folded') > 0";
    let is_in_json = "{} ->> '$.in_json') > 0";
    let sql = format!(
        "({{e}}.is_base64 = 0 AND (instr({body}, {is_in_json} OR instr(lower({{e}}.body), {{}} ->> '$.lower') > 0) \
         OR instr({kind}, {is_in} OR {{e}}.idempotency_key = {{}} ->> '$.text' OR upper({{}} ->> '$.text') IN ({{e}}.id, t.id))"
    );
    let (folded, in_json) = (needle::folded(text), needle::folded_in_json(text));
    // Somebody may have copied it from a payload.
    let lower = needle::is_written(text).then(|| text.to_ascii_lowercase());
    let param = json!({"text": text, "folded": folded, "in_json": in_json, "lower": lower});
    Condition::new(sql, param.to_string())
}

/// An object that the payload has to hold: each of its fields, at its place, with just that value. Numbers are compared as they
/// are written, but for what can be written in several ways.
fn body_condition(text: &str) -> Result<Condition, ApiError> {
    let wrong = || ApiError::bad_request("body must be a nonempty JSON object");
    let Ok(Value::Object(object)) = serde_json::from_str::<Value>(text) else {
        return Err(wrong());
    };
    if object.is_empty() {
        return Err(wrong());
    }
    repeated::check(text)?;
    let mut leaves = Vec::new();
    for (name, value) in &object {
        collect_field("$", name, value, &mut leaves)?;
    }
    if BODY_FIELDS_MAX < leaves.len() {
        return Err(ApiError::bad_request(format!("body:at most {BODY_FIELDS_MAX} fields")));
    }
    // A patch of nothing has each key once, the last of several; but it leaves out what is null, so `null` and `{}` are looked
    // for in the payload itself.
    let number = number::SQL.replace("{}", "(d.b -> (p.value ->> 0))");
    let sql = format!(
        "CASE WHEN {{e}}.is_base64 = 0 AND json_valid({{e}}.body) THEN NOT EXISTS (SELECT 1 FROM \
         (SELECT json_patch(json_object(), {{e}}.body) AS b) AS d CROSS JOIN json_each({{}}) AS p \
         WHERE CASE WHEN p.value ->> 1 IN ('null', 'object') THEN json_type({{e}}.body, p.value ->> 0) IS NOT p.value ->> 1 \
         OR json_extract({{e}}.body, p.value ->> 0) IS NOT p.value ->> 2 \
         WHEN p.value ->> 1 = 'number' THEN CASE WHEN json_type(d.b, p.value ->> 0) IN ('integer', 'real') \
         THEN {number} IS NOT p.value ->> 2 ELSE 1 END \
         WHEN json_type(d.b, p.value ->> 0) IS NOT p.value ->> 1 THEN 1 \
         WHEN p.value ->> 1 = 'array' THEN json_array_length(d.b, p.value ->> 0) IS NOT p.value ->> 2 \
         ELSE json_extract(d.b, p.value ->> 0) IS NOT p.value ->> 2 END) ELSE 0 END"
    );
    Ok(Condition::new(sql, Value::Array(leaves).to_string()))
}

fn collect_field(
    at: &str,
    name: &str,
    value: &Value,
    leaves: &mut Vec<Value>,
) -> Result<(), ApiError> {
    if name.contains(['"', '\\']) || name.chars().any(char::is_control) {
        let text = "body:a field's name has no quotes, backslashes or control characters";
        return Err(ApiError::bad_request(text));
    }
    collect(format!("{at}.\"{name}\""), value, leaves)
}

/// Path (in `SQLite`'s way to write it), type and value of all that is to be compared.
fn collect(path: String, value: &Value, leaves: &mut Vec<Value>) -> Result<(), ApiError> {
    let leaf = match value {
        Value::Object(fields) if !fields.is_empty() => {
            return fields
                .iter()
                .try_for_each(|(name, value)| collect_field(&path, name, value, leaves));
        }
        Value::Object(_) => json!([path, "object", "{}"]),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(format!("{path}[{index}]"), item, leaves)?;
            }
            json!([path, "array", items.len()])
        }
        Value::Number(number) => json!([path, "number", number::canonical(number)]),
        Value::String(text) => json!([path, "text", text]),
        Value::Bool(true) => json!([path, "true", 1]),
        Value::Bool(false) => json!([path, "false", 0]),
        Value::Null => json!([path, "null", null]),
    };
    leaves.push(leaf);
    Ok(())
}

#[cfg(test)]
mod tests;
