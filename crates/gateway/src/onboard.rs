//! Many endpoints at once, each with a subscription: from JSON, or from a table.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use crate::api::{Answer, ApiError};
use crate::endpoint::{Endpoint, EndpointInput};
use crate::fields::{Fields, FromFields};
use crate::ids::Fill;
use crate::payload;
use crate::project::Project;
use crate::subscription::{Subscription, SubscriptionInput};
use crate::vault::Vault;

/// Items of one call.
const ITEMS_MAX: usize = 1_000;
/// Rows that one statement inserts: their documents are one parameter, which has a limit.
pub const ROWS_TOGETHER: usize = 200;
/// The columns of a table, in any order; the first two have to be there.
const COLUMNS: [&str; 5] = ["name", "url", "event_type", "auth_username", "auth_password"];

/// The body of `POST /onboard`.
#[derive(Debug)]
pub struct OnboardInput {
    items: Option<Vec<OnboardItem>>,
}

/// Whether the query asks for a dry run. A slip in it is refused, because it would make all that was only to be checked.
pub fn is_dry_run(query: &str) -> Result<bool, ApiError> {
    payload::check_parameters(query, |key| key == "dry_run", || "dry_run is the only one".into())?;
    let Some(value) = payload::query_value(query, "dry_run") else { return Ok(false) };
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(ApiError::bad_request("dry_run:true or false")),
    }
}

/// One endpoint to be.
#[derive(Debug)]
pub struct OnboardItem {
    name: String,
    url: String,
    event_type: String,
    auth_username: String,
    auth_password: String,
}

impl FromFields for OnboardInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { items: fields.objects("items")? })
    }
}

impl FromFields for OnboardItem {
    const IS_CLOSED: bool = true;

    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let mut text =
            |name| Ok::<_, ApiError>(fields.any_text(name)?.unwrap_or_default().trim().to_owned());
        Ok(Self {
            name: text("name")?,
            url: text("url")?,
            event_type: text("event_type")?,
            auth_username: text("auth_username")?,
            auth_password: text("auth_password")?,
        })
    }
}

/// What is wrong with a row; the first is 1.
#[derive(Debug, PartialEq, Eq)]
struct RowFault {
    row: usize,
    field: String,
    message: String,
}

/// An endpoint that is not stored yet, with its secret and its subscription.
#[derive(Debug)]
pub struct Onboarded {
    pub endpoint: Endpoint,
    pub secret: String,
    pub subscription: Subscription,
}

/// What a call comes to.
#[derive(Debug)]
pub struct Onboarding {
    total: usize,
    pub made: Vec<Onboarded>,
    faults: Vec<RowFault>,
}

/// What endpoints are made with.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    pub project: &'a Project,
    pub allow_private: bool,
    pub vault: &'a Vault,
    pub now_ms: u64,
}

impl OnboardInput {
    /// Makes what is asked for; nothing of it is stored. `check` is what else may be against an endpoint.
    pub fn plan(
        self,
        means: Means<'_>,
        fill: Fill<'_>,
        check: impl Fn(&Endpoint) -> Result<(), ApiError>,
    ) -> Result<Onboarding, ApiError> {
        if means.project.is_incoming() {
            let text = "bulk onboard is only supported for outgoing projects";
            return Err(ApiError::bad_request(text));
        }
        let items = self.items.unwrap_or_default();
        if items.is_empty() {
            return Err(ApiError::bad_request("items list cannot be empty"));
        }
        if ITEMS_MAX < items.len() {
            let text = format!("items list exceeds maximum size of {ITEMS_MAX}");
            return Err(ApiError::bad_request(text));
        }
        let mut plan = Onboarding { total: items.len(), made: Vec::new(), faults: Vec::new() };
        for (row, item) in (1..).zip(items) {
            match item.make(means, &mut *fill, &check) {
                Ok(made) => plan.made.push(made),
                Err(faults) => {
                    plan.faults.extend(faults.into_iter().map(|(field, message)| RowFault {
                        row,
                        field,
                        message,
                    }));
                }
            }
        }
        Ok(plan)
    }
}

/// `field:message`, as refusals have it; what names no field is about the URL.
fn fault_of(error: ApiError) -> (String, String) {
    let named = error.message.split_once(':');
    let named = named
        .filter(|(field, _)| field.bytes().all(|b| b.is_ascii_lowercase() || b"_.".contains(&b)));
    match named {
        Some((field, message)) => (field.to_owned(), message.trim().to_owned()),
        None => ("url".to_owned(), error.message),
    }
}

impl OnboardItem {
    /// What is asked for, or all that is against it.
    fn make(
        self,
        means: Means<'_>,
        fill: Fill<'_>,
        check: impl Fn(&Endpoint) -> Result<(), ApiError>,
    ) -> Result<Onboarded, Vec<(String, String)>> {
        let mut faults: Vec<(String, String)> = Vec::new();
        let mut fault = |field: &str, message: &str| {
            faults.push((field.to_owned(), message.to_owned()));
        };
        if self.name.is_empty() {
            fault("name", "name is required");
        }
        if self.auth_username.is_empty() != self.auth_password.is_empty() {
            let message = "both auth_username and auth_password must be provided together";
            fault("auth_username/auth_password", message);
        }
        let authentication = (!self.auth_username.is_empty() && !self.auth_password.is_empty())
            .then(|| {
                json!({"type": "basic_auth",
                "basic_auth": {"username": self.auth_username, "password": self.auth_password}})
            });
        let read = |body| Fields::of(String::new(), body);
        let Means { project, allow_private, vault, now_ms } = means;
        let mut endpoint = |name: &str, url: &str, authentication: &Option<Value>| {
            let body = json!({"name": name, "url": url, "authentication": authentication});
            let input = read(body).and_then(Fields::into_type::<EndpointInput>)?;
            let made =
                Endpoint::create(input, &project.uid, allow_private, vault, now_ms, &mut *fill)?;
            project.check_endpoint_url(&made.0.url)?;
            check(&made.0)?;
            Ok::<_, ApiError>(made)
        };
        let made = if self.name.is_empty() {
            None
        } else {
            endpoint(&self.name, &self.url, &authentication).ok()
        };
        if made.is_none() {
            // What is wrong is asked for one by one, with the rest as it may be.
            let (name, url) = ("a name", "https://example.com/");
            let mut alone =
                vec![endpoint(name, &self.url, &None), endpoint(name, url, &authentication)];
            if !self.name.is_empty() {
                alone.insert(0, endpoint(&self.name, url, &None));
            }
            faults.extend(alone.into_iter().filter_map(Result::err).map(fault_of));
        }
        let types = if self.event_type.is_empty() { "*" } else { &self.event_type };
        let endpoint_id = made.as_ref().map_or("none", |(endpoint, _)| endpoint.uid.as_str());
        let body = json!({"name": "a name", "endpoint_id": endpoint_id, "filter_config": {"event_types": [types]}});
        let subscription = read(body)
            .and_then(Fields::into_type::<SubscriptionInput>)
            .and_then(|input| Subscription::create(input, &project.uid, false, now_ms, fill));
        match (made, subscription) {
            (Some((endpoint, secret)), Ok(mut subscription)) if faults.is_empty() => {
                subscription.name.clone_from(&endpoint.name);
                Ok(Onboarded { endpoint, secret, subscription })
            }
            (_, subscription) => {
                faults.extend(
                    subscription.err().map(|error| ("event_type".to_owned(), error.message)),
                );
                Err(faults)
            }
        }
    }
}

impl Onboarding {
    pub fn is_valid(&self) -> bool {
        self.faults.is_empty()
    }

    /// What the subscriptions weigh together.
    pub fn weight(&self) -> u64 {
        self.made.iter().map(|made| made.subscription.weight()).sum()
    }

    /// What was found, in a dry run or because something is wrong.
    pub fn findings(&self, is_dry_run: bool) -> Answer {
        let rows: BTreeSet<usize> = self.faults.iter().map(|fault| fault.row).collect();
        let errors: Vec<Value> = self
            .faults
            .iter()
            .map(|fault| json!({"row": fault.row, "field": fault.field, "message": fault.message}))
            .collect();
        let data = json!({"total_rows": self.total, "valid_count": self.total - rows.len(), "errors": errors});
        if is_dry_run {
            return Answer::ok(200, "Dry run validation complete", data);
        }
        let body = json!({"status": false, "message": "Validation failed", "data": data});
        Answer { status: 400, body }
    }

    /// The answer when all are stored. Secrets are shown here and nowhere else.
    pub fn accepted(&self) -> Answer {
        let endpoints: Vec<Value> = self
            .made
            .iter()
            .map(|made| {
                json!({"uid": made.endpoint.uid, "name": made.endpoint.name, "url": made.endpoint.url,
                    "secret": made.secret, "subscription_id": made.subscription.uid})
            })
            .collect();
        let data = json!({
            "batch_count": 1, "total_items": self.total, "message": "All endpoints and subscriptions are stored",
            "endpoints": endpoints,
        });
        Answer::ok(202, "Bulk onboard request accepted", data)
    }
}

/// The body as JSON, where it is a form with a table in its field `file`.
pub fn json_of(content_type: &str, body: &[u8]) -> Result<Vec<u8>, ApiError> {
    let table = payload::file_of(content_type, body, "file")
        .ok_or_else(|| ApiError::bad_request("failed to read file field"))?;
    let table = std::str::from_utf8(&table).map_err(|error| {
        let row = table.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
        ApiError::bad_request(format!(
            "CSV row {row}: not UTF-8: save the table as UTF-8, or its letters are lost"
        ))
    })?;
    let items = items_of(table).map_err(ApiError::bad_request)?;
    Ok(json!({"items": items}).to_string().into_bytes())
}

fn items_of(table: &str) -> Result<Vec<Value>, String> {
    let mut rows = rows_of(table)?.into_iter();
    let head = rows.next().ok_or("failed to read CSV header")?;
    let head: Vec<String> = head.iter().map(|name| name.trim().to_ascii_lowercase()).collect();
    for name in COLUMNS.iter().take(2) {
        if !head.iter().any(|have| have == name) {
            return Err(format!("CSV missing required column: {name}"));
        }
    }
    if let Some(unknown) = head.iter().find(|name| !COLUMNS.contains(&name.as_str())) {
        return Err(format!(
            "CSV column {unknown} has no effect: the columns are {}",
            COLUMNS.join(", ")
        ));
    }
    let times = |name: &str| head.iter().filter(|have| *have == name).count();
    if let Some(twice) = COLUMNS.iter().find(|name| 1 < times(name)) {
        return Err(format!("CSV column {twice} is there twice"));
    }
    let mut items = Vec::new();
    for (number, row) in (2..).zip(rows) {
        if row.len() != head.len() {
            return Err(format!(
                "CSV row {number}: expected {} columns but got {}",
                head.len(),
                row.len()
            ));
        }
        let fields: HashMap<&String, String> = head.iter().zip(row).collect();
        items.push(json!(fields));
        if ITEMS_MAX < items.len() {
            return Err(format!("CSV file exceeds maximum of {ITEMS_MAX} items"));
        }
    }
    if items.is_empty() {
        return Err("CSV file is empty or contains only a header row".to_owned());
    }
    Ok(items)
}

/// The rows of a [table](https://www.rfc-editor.org/rfc/rfc4180); empty lines are none.
fn rows_of(table: &str) -> Result<Vec<Vec<String>>, String> {
    let mut chars = table.trim_start_matches('\u{feff}').chars().peekable();
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut is_quoted, mut was_quoted) = (false, false);
    loop {
        let char = chars.next();
        match char {
            Some('"') if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            Some('"') if is_quoted => is_quoted = false,
            Some(char) if is_quoted => cell.push(char),
            Some('"') if cell.trim().is_empty() && !was_quoted => {
                cell.clear();
                (is_quoted, was_quoted) = (true, true);
            }
            None if is_quoted => {
                return Err(format!("CSV row {}: a quote is not closed", rows.len() + 1));
            }
            Some('\r') if chars.peek() == Some(&'\n') => {}
            Some(',' | '\n') | None => {
                let is_blank = row.is_empty() && cell.is_empty() && !was_quoted;
                was_quoted = false;
                if char == Some(',') || !is_blank {
                    row.push(std::mem::take(&mut cell));
                }
                if char != Some(',') && !row.is_empty() {
                    rows.push(std::mem::take(&mut row));
                }
                if char.is_none() {
                    return Ok(rows);
                }
            }
            Some(char) if was_quoted => {
                if !char.is_whitespace() {
                    return Err(format!(
                        "CSV row {}: {char} after a closing quote",
                        rows.len() + 1
                    ));
                }
            }
            Some(char) => cell.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::parse;

    fn plan(kind: &str, body: &str) -> Result<Onboarding, ApiError> {
        let vault = Vault::new("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
        let project = parse(format!(r#"{{"name":"a","type":"{kind}"}}"#).as_bytes())?;
        let project = Project::create(project, 0, 0, &mut |b| b.fill(5))?;
        let means = Means { project: &project, allow_private: false, vault: &vault, now_ms: 0 };
        let mut n = 0;
        parse::<OnboardInput>(body.as_bytes())?.plan(
            means,
            &mut |b| {
                n += 1;
                b.fill(n);
            },
            |endpoint| {
                let is_circle = endpoint.url.contains("circle");
                if is_circle { Err(ApiError::bad_request("round and round")) } else { Ok(()) }
            },
        )
    }

    #[test]
    fn a_slip_in_a_dry_run_is_refused() {
        for (query, expect) in [
            ("", Ok(false)),
            ("dry_run=false", Ok(false)),
            ("dry_run=0", Ok(false)),
            ("dry_run=true", Ok(true)),
            ("dry_run=True&token=t", Ok(true)),
            ("dry_run=1", Ok(true)),
            ("dry_run", Err("dry_run:true or false")),
            ("dry_run=yes", Err("dry_run:true or false")),
            ("dryRun=true", Err("dryRun:no such parameter here; dry_run is the only one")),
            ("dry_run=true&x=1", Err("x:no such parameter here; dry_run is the only one")),
        ] {
            let asked = is_dry_run(query).map_err(|error| error.message);
            assert_eq!(asked, expect.map_err(ToOwned::to_owned), "{query}");
        }
    }

    #[test]
    fn each_item_is_an_endpoint_with_a_subscription() {
        let done = plan(
            "outgoing",
            r#"{"items":[{"name":"a","url":"https://a.example/"},
            {"name":"b","url":"https://b.example/","event_type":"paid","auth_username":"u","auth_password":"p"}]}"#,
        )
        .unwrap();
        assert!(done.is_valid());
        let [a, b] = done.made.as_slice() else { panic!("{done:?}") };
        assert_eq!(
            (&a.subscription.event_types, &a.subscription.endpoint_id),
            (&vec!["*".into()], &a.endpoint.uid)
        );
        assert_eq!(b.subscription.event_types, ["paid"]);
        assert!(a.endpoint.authentication.is_none() && b.endpoint.authentication.is_some());
        let answer = done.accepted();
        assert_eq!((answer.status, &answer.body["data"]["total_items"]), (202, &json!(2)));
        assert_eq!(answer.body["data"]["endpoints"][0]["secret"], json!(a.secret));
    }

    #[test]
    fn a_field_that_has_no_effect_is_refused() {
        let body = r#"{"items":[{"name":"a","url":"https://a.example/","owner_id":"o"}]}"#;
        let error = plan("outgoing", body).unwrap_err();
        assert!(error.message.contains("owner_id:unknown field"), "{}", error.message);
    }

    #[test]
    fn every_row_that_is_wrong_is_named() {
        let body = r#"{"items":[{"url":"https://a.example/"},{"name":"b","url":"ftp://b"},
            {"name":"c","url":"https://c.example/","auth_username":"u"},{"name":"d","url":"https://circle/"},
            {"name":"e","url":"https://e.example/"}]}"#;
        let found = plan("outgoing", body).unwrap().findings(false);
        assert_eq!((found.status, &found.body["status"]), (400, &json!(false)));
        let data = &found.body["data"];
        assert_eq!((&data["total_rows"], &data["valid_count"]), (&json!(5), &json!(1)));
        let rows: Vec<(u64, &str)> = data["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["row"].as_u64().unwrap(), one["field"].as_str().unwrap()))
            .collect();
        assert_eq!(rows, [(1, "name"), (2, "url"), (3, "auth_username/auth_password"), (4, "url")]);
        assert_eq!(plan("outgoing", body).unwrap().findings(true).status, 200);
    }

    #[test]
    fn all_that_is_wrong_with_a_row_is_named() {
        let long = "x".repeat(300);
        let lines = "two\nlines";
        let body = json!({"items": [
            {"url": "foo", "auth_username": "u", "event_type": lines},
            {"name": long, "url": "https://circle/", "auth_username": "a:b", "auth_password": "p"},
            {"name": "fine", "url": "https://a.example/", "event_type": long},
        ]});
        let found = plan("outgoing", &body.to_string()).unwrap().findings(false);
        let errors = found.body["data"]["errors"].as_array().unwrap();
        let named = |row: u64| -> Vec<&str> {
            let of = errors.iter().filter(|one| one["row"] == row);
            of.map(|one| one["field"].as_str().unwrap()).collect()
        };
        assert_eq!(named(1), ["name", "auth_username/auth_password", "url", "event_type"]);
        assert_eq!(named(2), ["name", "url", "authentication.basic_auth.username"]);
        assert_eq!(named(3), ["event_type"]);
        assert_eq!(found.body["data"]["valid_count"], 0);
    }

    #[test]
    fn a_table_that_is_not_utf_8_is_refused() {
        let mut form =
            b"--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n\
            name,url\nJ"
                .to_vec();
        form.push(0xfc);
        form.extend_from_slice(b"rgen,https://a/\r\n--XX--");
        let error = json_of("multipart/form-data; boundary=XX", &form).unwrap_err();
        assert!(error.message.starts_with("CSV row 2: not UTF-8"), "{}", error.message);
    }

    #[test]
    fn what_holds_no_items_or_too_many_is_refused() {
        for (kind, body, expect) in [
            (
                "incoming",
                r#"{"items":[{}]}"#.to_owned(),
                "bulk onboard is only supported for outgoing projects",
            ),
            ("outgoing", "{}".to_owned(), "items list cannot be empty"),
            (
                "outgoing",
                format!(r#"{{"items":[{}{{}}]}}"#, "{},".repeat(1000)),
                "items list exceeds maximum size of 1000",
            ),
        ] {
            assert_eq!(plan(kind, &body).unwrap_err().message, expect);
        }
    }

    #[test]
    fn a_table_is_read_with_its_quotes() {
        let table = "\u{feff}URL, name ,event_type\r\nhttps://a/,\"A, \"\"Inc\"\"\",\r\n\r\nhttps://b/,\"two\nlines\",x";
        assert_eq!(
            items_of(table).unwrap(),
            [
                json!({"url": "https://a/", "name": "A, \"Inc\"", "event_type": ""}),
                json!({"url": "https://b/", "name": "two\nlines", "event_type": "x"}),
            ]
        );
        for (table, expect) in [
            ("", "failed to read CSV header"),
            ("name\na", "CSV missing required column: url"),
            ("name,url,colour\na,b,c", "CSV column colour has no effect"),
            ("name,url,URL\na,b,c", "CSV column url is there twice"),
            ("name,url\na", "CSV row 2: expected 2 columns but got 1"),
            ("name,url\n", "CSV file is empty or contains only a header row"),
            ("name,url\n\"a,b", "CSV row 2: a quote is not closed"),
            ("name,url\n\"a\"b,c", "CSV row 2: b after a closing quote"),
        ] {
            let error = items_of(table).unwrap_err();
            assert!(error.starts_with(expect), "{error}");
        }
    }

    #[test]
    fn a_form_holds_the_table_in_its_file() {
        let form = "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\nContent-Type: text/csv\r\n\r\n\
            name,url\na,https://a/\r\n--XX--";
        let read = json_of("multipart/form-data; boundary=XX", form.as_bytes()).unwrap();
        let read: Value = serde_json::from_slice(&read).unwrap();
        assert_eq!(read, json!({"items": [{"name": "a", "url": "https://a/"}]}));
        assert!(json_of("multipart/form-data; boundary=YY", form.as_bytes()).is_err());
    }
}
