//! Hookstream's dialect of the same sources: what its callers write, made into what [`crate::source`] reads, and sources
//! as its callers read them.
//!
//! Answers hold 0 and 1 for flags, and texts of JSON for lists and objects. Requests may hold these as well as the real
//! thing, so that what was read can be sent back.

mod check;
mod input;
mod session;
mod show;
#[cfg(test)]
mod tests;

use inlet_verify::catalogue;
use serde_json::{Map, Value, json};

pub use input::HookstreamSource;
pub use session::{
    SessionInput, SessionResponse, check_session, claim, ended_before, open_session,
    present_session, respond,
};
pub use show::{present, shown_slug};

use crate::api::{Answer, ApiError, parse};
use crate::fields::Fields;
use crate::header::is_header_name;
use crate::ids::Fill;
use crate::locate::PAYLOAD_HASH;
use crate::page::{PageQuery, is_cursor, no_cursor};
use crate::payload::query_value;
use crate::rejection::Rejection;
use crate::reply::Reply;
use crate::routes::SourceCall;
use crate::source::{Source, SourceInput};
use crate::vault::Vault;

/// How long a key stays claimed unless the caller says otherwise, as Hookstream has it. A template's own event ids stay
/// claimed for as long as providers go on redelivering.
const DEDUP_WINDOW_S: u64 = 300;
const PAGE: usize = 20;
const PAGE_MAX: usize = 100;

/// What `source_config` may hold: fields of our sources that this dialect has no name for.
const CONFIG: [&str; 6] = [
    "custom_response",
    "event_type_location",
    "forward_headers",
    "forward_query",
    "idempotency_keys",
    "rate_limit",
];

fn bad(text: impl Into<String>) -> ApiError {
    ApiError::bad_request(text)
}

/// A refusal of an API call: `{"error","status","request_id"}`.
pub fn refusal(error: &ApiError, request_id: &str) -> Answer {
    let body = json!({"error": error.message, "status": error.status, "request_id": request_id});
    Answer { status: error.status, body }
}

/// A refusal of a sender, in the form of [`refusal`] and in place of [`Rejection::reply`]; faults of the schema stand in
/// `validation_errors`. A reply that the source itself says stays as it is.
pub fn refuse(rejection: &Rejection, request_id: &str) -> Reply {
    let mut reply = rejection.reply();
    if matches!(rejection, Rejection::Refused { custom: Some(_), .. }) {
        return reply;
    }
    let mut body = refusal(&ApiError::new(reply.status, rejection.to_string()), request_id).body;
    if let (Rejection::Schema(faults), Some(fields)) = (rejection, body.as_object_mut()) {
        fields.insert("validation_errors".into(), json!(faults));
    }
    reply.body = body.to_string().into_bytes();
    reply
}

/// What a call asks for, beside its path.
#[derive(Debug, Default)]
pub enum Input {
    #[default]
    Nothing,
    Source(Box<HookstreamSource>),
    Session(SessionInput),
    Response(SessionResponse),
}

impl Input {
    /// Reads the body of a call. Of a session all of it may be left out.
    pub fn read(call: &SourceCall<'_>, body: &[u8]) -> Result<Self, ApiError> {
        Ok(match call {
            SourceCall::Create | SourceCall::Change(_) => Self::Source(Box::new(parse(body)?)),
            SourceCall::OpenSession | SourceCall::ClaimSession(_) => {
                let is_empty = body.trim_ascii().is_empty();
                Self::Session(if is_empty { SessionInput::default() } else { parse(body)? })
            }
            SourceCall::AnswerSession(_) => Self::Response(parse(body)?),
            SourceCall::List
            | SourceCall::Get(_)
            | SourceCall::Delete(_)
            | SourceCall::GetSession(_)
            | SourceCall::DeleteSession(_) => Self::Nothing,
        })
    }

    fn projects(&self) -> impl Iterator<Item = String> {
        let (org, env) = match self {
            Self::Source(source) => source.projects(),
            Self::Session(session) => (session.org_id.clone(), session.env_id.clone()),
            Self::Nothing | Self::Response(_) => (None, None),
        };
        [org, env].into_iter().flatten()
    }
}

/// The projects that a call names: in its query, and in its body.
pub fn named_projects(query: &str, input: &Input) -> Vec<String> {
    let in_query = ["org_id", "env_id"].map(|name| query_value(query, name));
    let in_body = input.projects();
    in_query.into_iter().flatten().chain(in_body).filter(|id| !id.is_empty()).collect()
}

/// The one project that is meant by a caller whose key opens all of them.
pub fn one_project(named: Vec<String>) -> Result<String, ApiError> {
    let mut named = named.into_iter();
    let one = named.next().ok_or_else(|| {
        bad("org_id: the ROOT_KEY opens every project, so say which is meant: its uid")
    })?;
    check_projects(named.collect(), &one)?;
    Ok(one)
}

/// Refuses a call that names another project than that of its key.
pub fn check_projects(named: Vec<String>, own: &str) -> Result<(), ApiError> {
    match named.into_iter().find(|id| id != own) {
        Some(_) => Err(ApiError::new(
            403,
            "org_id and env_id: another project than that of this API key; leave them out, or send the project's uid",
        )),
        None => Ok(()),
    }
}

/// Which page of a list is asked for.
pub fn page(query: &str) -> Result<PageQuery, ApiError> {
    let value = |name| query_value(query, name).filter(|text| !text.is_empty());
    let limit = match value("limit") {
        None => PAGE,
        Some(text) => match text.parse::<usize>() {
            Ok(limit) if (1..=PAGE_MAX).contains(&limit) => limit,
            _ => return Err(bad(format!("limit: a number from 1 to {PAGE_MAX}"))),
        },
    };
    let mut page = PageQuery::parse("");
    (page.per_page, page.cursor) = (limit, value("cursor"));
    match &page.cursor {
        Some(cursor) if !is_cursor(cursor) => Err(no_cursor()),
        _ => Ok(page),
    }
}

/// A new source. Its id is the last part of its ingest URL, as Hookstream's callers expect: they know no other.
pub fn create(
    input: HookstreamSource,
    project_id: &str,
    vault: &Vault,
    now_ms: u64,
    fill: Fill<'_>,
) -> Result<Source, ApiError> {
    for (field, given) in [("name", &input.name), ("slug", &input.slug)] {
        if given.as_deref().unwrap_or_default().trim().is_empty() {
            return Err(bad(format!("{field}: is required")));
        }
    }
    let bare = parsed(json!({"name": input.name, "type": "http"}))?;
    let mut source = Source::create(bare, project_id, vault, now_ms, &mut *fill)?;
    source.mask_id.clone_from(&source.uid);
    apply(&mut source, input, true, vault, now_ms, fill)?;
    source.updated_at = source.created_at;
    Ok(source)
}

/// Changes what is given; `null` is the same as absent.
pub fn change(
    source: &mut Source,
    input: HookstreamSource,
    vault: &Vault,
    now_ms: u64,
    fill: Fill<'_>,
) -> Result<(), ApiError> {
    if input.name.as_deref().is_some_and(|name| name.trim().is_empty()) {
        return Err(bad("name: must not be empty"));
    }
    apply(source, input, false, vault, now_ms, fill)
}

fn apply(
    source: &mut Source,
    mut input: HookstreamSource,
    is_new: bool,
    vault: &Vault,
    now_ms: u64,
    fill: Fill<'_>,
) -> Result<(), ApiError> {
    let kind = check_type(source, input.kind.as_deref())?;
    let status = match input.status.as_deref() {
        None => None,
        Some(status @ ("active" | "paused" | "disabled")) => Some(status.to_owned()),
        Some(_) => return Err(bad("status: active, paused or disabled")),
    };
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    put("name", json!(input.name.as_deref().unwrap_or(&source.name)));
    put("type", json!(kind));
    put("description", json!(input.description));
    // What is only derived from the name is not stored by being sent back.
    let is_derived = |slug: &str| !is_new && slug == shown_slug(source);
    if let Some(slug) = input.slug.as_deref().filter(|slug| !is_derived(slug)) {
        if slug.is_empty() {
            return Err(bad("slug: must not be empty"));
        }
        put("slug", json!(slug));
    }
    put("ip_allowlist", json!(input.ip_allowlist));
    put("ip_denylist", json!(input.ip_denylist));
    put("expires_at", json!(input.expires_at));
    put("max_requests", json!(input.request_limit));
    for (name, value) in input.source_config.take().into_iter().flatten() {
        if !CONFIG.contains(&name.as_str()) {
            return Err(bad(format!(
                "source_config.{name}: has no effect here; what may be set is {}",
                CONFIG.join(", ")
            )));
        }
        put(&name, value);
    }
    let schema_off = schema(source, &input, &mut fields)?;
    let verifier = check::verification(source, &input)?;
    fields.insert("verifier".into(), verifier);
    let dedup_off = dedup(source, &input, is_new, &mut fields)?;

    let read = parsed(Value::Object(fields))?;
    source.update(read, vault, now_ms, fill).map_err(in_their_words)?;
    source.admission.is_schema_off = schema_off && source.admission.json_schema.is_some();
    source.profile.is_dedup_disabled = dedup_off;
    if let Some(status) = status {
        source.is_disabled = status != "active";
        source.profile.is_paused = status == "paused";
    }
    Ok(())
}

fn parsed(body: Value) -> Result<SourceInput, ApiError> {
    Fields::of(String::new(), body)?.into_type().map_err(in_their_words)
}

/// A refusal of the model, with the fields as they are called here.
fn in_their_words(mut error: ApiError) -> ApiError {
    for (ours, theirs) in [
        ("secret:", "verification_secret:"),
        ("password:", "verification_secret:"),
        ("header_value:", "verification_secret:"),
        ("header_name:", "verification_header:"),
        ("header:", "verification_header:"),
        ("username:", "verification_config.username:"),
        ("encoding:", "verification_config.encoding:"),
        ("verifier.secrets.value:", "verification_secret:"),
        ("verifier.secrets:", "verification_secret:"),
        ("verifier.", "verification_config."),
        ("provider:", "template:"),
        ("max_requests:", "request_limit:"),
    ] {
        if let Some(rest) = error.message.strip_prefix(ours) {
            error.message = format!("{theirs}{rest}");
        }
        error.message = error.message.replace(&format!(", {ours}"), &format!(", {theirs}"));
    }
    for name in CONFIG {
        let ours = format!("field \"{name}");
        error.message = error.message.replace(&ours, &format!("field \"source_config.{name}"));
    }
    let below = |part: &str| {
        let is_path = |rest: &str| rest.starts_with([':', '.', ' ']);
        CONFIG.iter().any(|name| part.strip_prefix(name).is_some_and(is_path))
    };
    let parts = error
        .message
        .split(", ")
        .map(|part| if below(part) { format!("source_config.{part}") } else { part.to_owned() });
    error.message = parts.collect::<Vec<_>>().join(", ");
    error
}

/// The type of the source in our words.
fn check_type(source: &Source, given: Option<&str>) -> Result<String, ApiError> {
    let own = json!(source.kind).as_str().unwrap_or_default().to_owned();
    match given {
        None | Some("") => Ok(own),
        Some(given) if given == own => Ok(own),
        Some("websocket") => Err(bad(
            "type: websocket is not supported; use http, and let the sender post to the source's url",
        )),
        Some("http") => Err(bad(format!("type: this source is of the type {own}; create another"))),
        Some(_) => Err(bad("type: http is the one that can be chosen here")),
    }
}

/// The schema's fields; whether it is only kept.
fn schema(
    source: &Source,
    input: &HookstreamSource,
    fields: &mut Map<String, Value>,
) -> Result<bool, ApiError> {
    let given = input.json_schema.as_ref();
    let has_schema =
        given.map_or(source.admission.json_schema.is_some(), |given| *given != json!({}));
    match input.schema_action.as_deref() {
        None | Some("") => {}
        Some(action @ ("reject" | "warn")) => {
            fields.insert("json_schema_action".into(), json!(action));
        }
        Some(_) => return Err(bad("schema_action: reject or warn")),
    }
    fields.insert("json_schema".into(), json!(given));
    match input.schema_validation_enabled {
        Some(true) if !has_schema => {
            Err(bad("schema_validation_enabled: there is no json_schema to check"))
        }
        Some(enabled) => Ok(!enabled),
        None => Ok(source.admission.is_schema_off),
    }
}

/// The fields that say which copies are dropped; whether none are, whatever they say.
fn dedup(
    source: &Source,
    input: &HookstreamSource,
    is_new: bool,
    fields: &mut Map<String, Value>,
) -> Result<bool, ApiError> {
    let (had, _) = show::strategy(&source.idempotency_keys);
    let written = input.dedup_strategy.as_deref().map(|text| text.replace('-', "_"));
    let place = input.dedup_field.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let strategy = written.as_deref().or(had.filter(|_| place.is_some()));
    let own_id = catalogue::find(&source.provider).is_some_and(|row| row.event_id.is_some());
    let mut keys = match (strategy, place) {
        (None, None) => None,
        (None, Some(_)) => {
            return Err(bad(
                "dedup_field: say with dedup_strategy where it is: header_field or body_field",
            ));
        }
        (Some(""), _) => Some(Vec::new()),
        (Some("payload_hash"), None) => Some(vec![PAYLOAD_HASH.to_owned()]),
        (Some("payload_hash"), Some(_)) => {
            return Err(bad(
                "dedup_field: is for header_field and body_field; payload_hash takes all of the body",
            ));
        }
        (Some(strategy @ ("header_field" | "body_field")), None) => {
            // The strategy alone, as it is.
            if had != Some(strategy) {
                return Err(bad(format!("dedup_field: {strategy} needs to know which")));
            }
            None
        }
        (Some("header_field"), Some(name)) if !is_header_name(name) => {
            return Err(bad("dedup_field: not a valid header name"));
        }
        (Some("header_field"), Some(name)) => Some(vec![format!("request.header.{name}")]),
        (Some("body_field"), Some(path)) => Some(vec![format!("request.body.{}", dotted(path)?)]),
        (Some(_), _) => {
            return Err(bad("dedup_strategy: payload_hash, header_field or body_field"));
        }
    };
    if let (Some(given), Some(_)) = (fields.get("idempotency_keys"), &keys)
        && *given != json!([])
    {
        return Err(bad(
            "source_config.idempotency_keys: stands for dedup_strategy; give one of them",
        ));
    }
    let stay = match fields.get("idempotency_keys") {
        Some(given) => *given != json!([]),
        None => !source.idempotency_keys.is_empty(),
    };
    let has_keys = keys.as_ref().map_or(stay, |keys| !keys.is_empty());
    let enabled = input.dedup_enabled;
    if enabled == Some(true) && !has_keys && !own_id {
        keys = Some(vec![PAYLOAD_HASH.to_owned()]);
    }
    let has_keys = has_keys || keys.as_ref().is_some_and(|keys| !keys.is_empty());
    let is_first = has_keys && (is_new || source.idempotency_keys.is_empty());
    match input.dedup_window_seconds {
        Some(0) => {
            let default =
                if has_keys { DEDUP_WINDOW_S } else { crate::source::DEDUP_WINDOW_DEFAULT_S };
            fields.insert("dedup_window_seconds".into(), json!(default));
        }
        Some(seconds) => drop(fields.insert("dedup_window_seconds".into(), json!(seconds))),
        None if is_first => {
            drop(fields.insert("dedup_window_seconds".into(), json!(DEDUP_WINDOW_S)));
        }
        None => {}
    }
    if let Some(keys) = keys {
        fields.insert("idempotency_keys".into(), json!(keys));
    }
    // There is nothing to switch off where there is no key.
    Ok((has_keys || own_id) && !enabled.unwrap_or(!source.profile.is_dedup_disabled))
}

/// A path as our locations have it, from one that may begin with `$.` and hold `[0]`.
fn dotted(path: &str) -> Result<String, ApiError> {
    let bare = path.strip_prefix('$').unwrap_or(path);
    let path = bare.replace('[', ".").replace(']', "");
    let path = path.trim_start_matches('.');
    if path.split('.').any(str::is_empty) {
        return Err(bad("dedup_field: a path into the body, like data.id"));
    }
    Ok(path.to_owned())
}
