//! Events that are handed in by the API, or by a broker: who they are for stands in the payload.
//!
//! The bytes of `data` are kept as they are written: no number is rounded, no key moves.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use url::Url;

use crate::admit::HOP_HEADERS;
use crate::api::{
    Answer, ApiError, Faults, NAME_MAX_CHARS, TEXT_MAX_CHARS, check_length, one_value, only_value,
};
use crate::fields::{Fields, FromFields};
use crate::header::{is_header_name, is_header_value, sendable};
use crate::project::Project;
use crate::rejection::RETRY_AFTER_S;
use crate::repeated::{self, RawFields};
use crate::source::DEDUP_WINDOW_DEFAULT_S;
use crate::wire::{Body, Claim, Envelope, META_MAX_BYTES, Meta, Target};

/// Items of one `POST /events/batch`.
pub const BATCH_MAX: usize = 1_000;
/// The longest event type and idempotency key.
pub(crate) const KEY_MAX_CHARS: usize = 256;

/// Convoy's four ways to say whom an event is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One endpoint.
    Single,
    /// All endpoints of an owner.
    Fanout,
    /// Every subscription of the project.
    Broadcast,
    /// A URL; its endpoint is made when there is none.
    Dynamic,
}

impl Kind {
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "single" => Some(Self::Single),
            "fanout" => Some(Self::Fanout),
            "broadcast" => Some(Self::Broadcast),
            "dynamic" => Some(Self::Dynamic),
            _ => None,
        }
    }

    /// That of an item of a batch which does not say, by the field that names whom it is for.
    fn of_item(has: impl Fn(&str) -> bool) -> Self {
        if has("endpoint_id") || has("app_id") {
            Self::Single
        } else if has("url") {
            Self::Dynamic
        } else if has("owner_id") {
            Self::Fanout
        } else {
            Self::Single
        }
    }

    /// Whom such an event is for.
    fn is_for(self) -> &'static str {
        match self {
            Self::Single => "an event with an endpoint_id is for that endpoint",
            Self::Fanout => "a fanout event is for all endpoints of its owner_id",
            Self::Broadcast => "a broadcast event is for all subscriptions",
            Self::Dynamic => "a dynamic event is for its url",
        }
    }

    /// What the caller reads once the event is durable.
    pub fn accepted(self) -> &'static str {
        match self {
            Self::Single => "Event queued successfully",
            Self::Fanout => "Endpoint fanout event queued successfully",
            Self::Broadcast => "Broadcast event created successfully",
            Self::Dynamic => "Dynamic event created successfully",
        }
    }
}

/// Where a pushed event came from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'a> {
    /// Empty when it came by the API.
    pub source_id: &'a str,
    pub mask_id: &'a str,
    /// The broker's own name of the message.
    pub broker_message_id: Option<&'a str>,
    /// What a second message of the same source is a copy by, unless the event has a key of its own.
    pub identity: Option<&'a str>,
    /// Beside the event's own `custom_headers`, which win. Names that belong to one hop are left out.
    pub headers: &'a [(String, String)],
    /// How long the event's key stays claimed; `None`: as long as for events of the API.
    pub window_ms: Option<u64>,
}

/// Whom a pushed event is for, as its payload says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    Known(Target),
    /// Those who subscribed to the source that it comes from.
    Subscribers,
    Url(Dynamic),
}

/// The endpoint of a dynamic event, which may have to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dynamic {
    pub url: String,
    pub secret: Option<String>,
    /// What the endpoint is subscribed to; empty when the payload does not say.
    pub event_types: Vec<String>,
}

impl Dynamic {
    /// The spellings of its URL under which an endpoint may be kept: as it is written, which is how the API keeps one, and as all
    /// who mean the same would write it, which is how one is made.
    pub fn spellings(&self) -> Vec<String> {
        let written = self.url.trim().to_owned();
        let Ok(url) = Url::parse(&written) else { return vec![written] };
        let same = String::from(url.clone());
        let bare = (url.path() == "/" && url.query().is_none() && url.fragment().is_none())
            .then(|| same.trim_end_matches('/').to_owned());
        let mut all = vec![written];
        for one in std::iter::once(same).chain(bare) {
            if !all.contains(&one) {
                all.push(one);
            }
        }
        all
    }

    /// The URL of the endpoint that is made for it.
    pub fn made_url(&self) -> String {
        let written = self.url.trim();
        Url::parse(written).map_or_else(|_| written.to_owned(), String::from)
    }

    /// The endpoint to make, as the body of `POST /endpoints`.
    pub fn endpoint_body(&self) -> Value {
        let name: String = self.url.chars().take(NAME_MAX_CHARS).collect();
        json!({"name": name, "url": self.made_url(), "secret": self.secret})
    }

    /// The subscription of the endpoint of dynamic events, as the body of `POST /subscriptions`.
    pub fn subscription_body(&self, endpoint_id: &str) -> Value {
        json!({"name": DYNAMIC_NAME, "endpoint_id": endpoint_id,
            "filter_config": {"event_types": self.event_types}})
    }
}

/// The name of the subscription that dynamic events make and change.
pub const DYNAMIC_NAME: &str = "dynamic events";

/// An event as its payload says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    pub kind: Kind,
    pub to: To,
    pub event_type: String,
    /// As it is written: JSON, unless the event is [raw](Self::raw).
    pub data: Vec<u8>,
    pub content_type: String,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    pub idempotency_key: Option<String>,
}

/// All fields of a payload but `data`, and `kind` in a batch.
pub(crate) struct PushInput {
    endpoint_id: String,
    owner_id: String,
    app_id: String,
    url: String,
    secret: Option<String>,
    event_types: Vec<String>,
    event_type: String,
    headers: Option<Map<String, Value>>,
    idempotency_key: Option<String>,
}

impl FromFields for PushInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let mut text =
            |name| Ok::<_, ApiError>(fields.text(name)?.unwrap_or_default().trim().to_owned());
        Ok(Self {
            endpoint_id: text("endpoint_id")?,
            owner_id: text("owner_id")?,
            app_id: text("app_id")?,
            url: text("url")?,
            event_type: text("event_type")?,
            secret: fields.text("secret")?.filter(|secret| !secret.is_empty()),
            event_types: fields.texts("event_types")?.unwrap_or_default(),
            headers: match fields.raw("custom_headers") {
                None => None,
                Some(Value::Object(headers)) => Some(headers),
                Some(_) => return Err(wrong_headers()),
            },
            idempotency_key: fields.text("idempotency_key")?.filter(|key| !key.is_empty()),
        })
    }
}

fn wrong_headers() -> ApiError {
    ApiError::bad_request(
        "custom_headers:an object is expected, of header names and their values as text",
    )
}

/// Whom an event is for is said in one way: the other would be ignored, and the event go elsewhere.
fn check_one_receiver(kind: Kind, fields: &RawFields<'_>) -> Result<(), ApiError> {
    // Typed clients write out what is empty.
    let is_empty = |given: &RawValue| matches!(given.get(), "null" | "\"\"" | "[]");
    let says = |name: &&str| fields.get(name).is_some_and(|given| !is_empty(given));
    let others: &[&str] = match kind {
        // Without an endpoint it is refused for that.
        Kind::Single if !says(&"endpoint_id") => return Ok(()),
        // Convoy's own example names the endpoint and its owner.
        Kind::Single => &["url", "secret", "event_types"],
        Kind::Fanout => &["endpoint_id", "url", "secret", "event_types"],
        Kind::Broadcast => &["endpoint_id", "owner_id", "url", "secret", "event_types"],
        Kind::Dynamic => &["endpoint_id", "owner_id"],
    };
    others.iter().copied().find(says).map_or(Ok(()), |field| {
        let text = format!("{field}:has no effect here: {}; leave it out", kind.is_for());
        Err(ApiError::bad_request(text))
    })
}

/// The key of an event that is known by the id of a message.
pub(crate) fn broker_key(id: &str) -> String {
    format!("broker:{id}")
}

impl Push {
    /// What the caller reads of it, once it is durable as this event.
    pub fn queued(&self, uid: &str) -> Value {
        let key = self.idempotency_key.as_deref().unwrap_or_default();
        json!({"uid": uid, "event_type": self.event_type, "idempotency_key": key})
    }

    /// Reads the payload of one event: the JSON value of `body`.
    pub fn parse(kind: Kind, body: &[u8]) -> Result<Self, ApiError> {
        let fields = one_value::<RawFields<'_>>(body)?.ok_or_else(not_an_object)?;
        check_one_receiver(kind, &fields)?;
        Self::of(kind, fields)
    }

    /// Reads a message of a broker: one event and nothing behind it, because it is settled as a whole. Its header says what it is
    /// for: as in Convoy, what is for others has no effect, but the endpoint of a fan-out is the only one that gets it.
    pub fn parse_message(kind: Kind, body: &[u8]) -> Result<Self, ApiError> {
        let fields = only_value::<RawFields<'_>>(body)?;
        Self::of(kind, fields.ok_or_else(not_an_object)?)
    }

    fn of(kind: Kind, fields: RawFields<'_>) -> Result<Self, ApiError> {
        fields.check()?;
        let data = fields.get("data");
        let mut rest = Map::new();
        for (name, raw) in fields.0.into_iter().filter(|(name, _)| name != "data") {
            repeated::check(raw.get())?;
            let value = serde_json::from_str(raw.get())
                .map_err(|error| ApiError::bad_request(format!("{name}:{error}")))?;
            rest.insert(name, value);
        }
        let rest: PushInput = Fields::of(String::new(), Value::Object(rest))?.into_type()?;

        let mut faults = Faults::default();
        let data = data.map(|data| data.get().as_bytes().to_vec());
        if data.is_none() {
            faults.add("data", "please provide your data");
        }
        if rest.event_type.is_empty() {
            faults.add("event_type", "please provide an event type");
        }
        if kind == Kind::Fanout && rest.owner_id.is_empty() {
            faults.add("owner_id", "please provide an owner id");
        }
        if kind == Kind::Dynamic && rest.url.is_empty() {
            faults.add("url", "please provide an endpoint url");
        }
        faults.check()?;
        if !rest.app_id.is_empty() && (kind != Kind::Single || !rest.endpoint_id.is_empty()) {
            return Err(ApiError::bad_request(
                "app_id:Inlet knows no apps: leave it out, and name an endpoint_id or an owner_id",
            ));
        }
        let to = match kind {
            Kind::Single if !rest.endpoint_id.is_empty() => {
                To::Known(Target::Endpoint(rest.endpoint_id))
            }
            // Inlet knows no apps, so none of them has an endpoint.
            Kind::Single if !rest.app_id.is_empty() => {
                return Err(ApiError::bad_request("app ID has no configured endpoints"));
            }
            Kind::Single => return Err(ApiError::bad_request("please provide an endpoint ID")),
            Kind::Fanout if !rest.endpoint_id.is_empty() => {
                To::Known(Target::Endpoint(rest.endpoint_id))
            }
            Kind::Fanout => To::Known(Target::Owner(rest.owner_id)),
            Kind::Broadcast => To::Known(Target::Everybody),
            Kind::Dynamic => {
                let mut event_types = rest.event_types;
                event_types.retain(|name| !name.trim().is_empty());
                To::Url(Dynamic { url: rest.url, secret: rest.secret, event_types })
            }
        };
        check_length("event_type", &rest.event_type, KEY_MAX_CHARS)?;
        if let Some(key) = &rest.idempotency_key {
            check_length("idempotency_key", key, KEY_MAX_CHARS)?;
            if !is_header_value(key) {
                return Err(ApiError::bad_request(
                    "idempotency_key:visible characters only, because it is sent on as a header",
                ));
            }
        }
        match &to {
            To::Known(Target::Endpoint(id)) => check_length("endpoint_id", id, TEXT_MAX_CHARS)?,
            To::Known(Target::Owner(id)) => check_length("owner_id", id, TEXT_MAX_CHARS)?,
            To::Known(Target::Everybody | Target::Url(_)) | To::Subscribers | To::Url(_) => {}
        }
        Ok(Self {
            kind,
            to,
            event_type: rest.event_type,
            data: data.unwrap_or_default(),
            content_type: "application/json".into(),
            headers: headers(rest.headers.unwrap_or_default())?,
            idempotency_key: rest.idempotency_key,
        })
    }

    /// Reads the payloads of `POST /events/batch`: an array of events. An item is for whom it names, unless its `kind` says
    /// more: `broadcast` names nobody. One that cannot be read does not spoil the others.
    pub fn parse_batch(body: &[u8]) -> Result<Vec<Result<Self, ApiError>>, ApiError> {
        let items = one_value::<Vec<&RawValue>>(body)?.ok_or_else(|| {
            ApiError::bad_request("body contains incorrect JSON type: an array is expected")
        })?;
        if items.is_empty() {
            return Err(ApiError::bad_request("body must hold at least one event"));
        }
        if BATCH_MAX < items.len() {
            return Err(ApiError::new(413, format!("at most {BATCH_MAX} events in one batch")));
        }
        Ok(items.into_iter().map(Self::parse_item).collect())
    }

    fn parse_item(item: &RawValue) -> Result<Self, ApiError> {
        let fields: RawFields<'_> =
            serde_json::from_str(item.get()).map_err(|_| not_an_object())?;
        let kind = match fields.get("kind") {
            None => Kind::of_item(|name| fields.get(name).is_some()),
            Some(kind) => serde_json::from_str::<String>(kind.get())
                .ok()
                .and_then(|name| Kind::from_name(&name))
                .ok_or_else(|| {
                    ApiError::bad_request("kind:one of single, fanout, broadcast and dynamic")
                })?,
        };
        check_one_receiver(kind, &fields)?;
        Self::of(kind, fields)
    }

    /// An event whose body is these bytes, whatever they are.
    pub fn raw(to: To, event_type: String, content_type: String, data: Vec<u8>) -> Self {
        let kind = Kind::Broadcast;
        let (headers, idempotency_key) = (Vec::new(), None);
        Self { kind, to, event_type, data, content_type, headers, idempotency_key }
    }

    /// Says which endpoint the URL of a dynamic event is.
    pub fn resolve(&mut self, endpoint_id: String) {
        self.to = To::Known(Target::Url(endpoint_id));
    }

    /// The event on its way. A dynamic event has to be [resolved](Self::resolve) before.
    pub fn envelope(
        self,
        project: &Project,
        origin: Origin<'_>,
        event_id: String,
        now_ms: u64,
    ) -> Result<Envelope, ApiError> {
        if project.kind == "outgoing"
            && project.config.needs_idempotency_key()
            && self.idempotency_key.is_none()
            && origin.broker_message_id.is_none()
        {
            return Err(ApiError::bad_request(
                "idempotency_key is required when a custom request_id_header is configured",
            ));
        }
        let limit = project.config.max_payload_read_size;
        if limit < self.data.len() as u64 {
            let text = format!("request body too large: data has a limit of {limit} bytes");
            return Err(ApiError::new(413, text));
        }
        let target = match self.to {
            To::Known(target) => Some(target),
            To::Subscribers => None,
            To::Url(_) => {
                let text = "the endpoint of a dynamic event was not looked up";
                return Err(ApiError::new(500, text));
            }
        };
        let window_ms = origin.window_ms.unwrap_or(DEDUP_WINDOW_DEFAULT_S * 1000);
        let claim = match (self.idempotency_key, origin.identity) {
            (Some(key), _) => Some(Claim { key, window_ms, scope: Some(project.uid.clone()) }),
            (None, Some(id)) => Some(Claim { key: broker_key(id), window_ms, scope: None }),
            (None, None) => None,
        };
        let mut headers = self.headers;
        let taken = |name: &str| {
            let config = &project.config;
            name.eq_ignore_ascii_case(&config.signature.header)
                || (claim.as_ref().is_some_and(|claim| claim.scope.is_some())
                    && name.eq_ignore_ascii_case(&config.request_id_header))
        };
        if let Some((name, _)) = headers.iter().find(|(name, _)| taken(name)) {
            return Err(ApiError::bad_request(format!(
                "custom_headers.{name}:the gateway sets this header itself"
            )));
        }
        let own = headers.len();
        for (name, value) in origin.headers {
            let name = name.to_ascii_lowercase();
            let is_new = !headers.iter().take(own).any(|(have, _)| *have == name);
            if is_new && may_be_sent(&name) {
                headers.push((name, sendable(value).into_owned()));
            }
        }
        let meta = Meta {
            event_id,
            project_id: project.uid.clone(),
            shard: project.shard,
            source_id: origin.source_id.to_owned(),
            mask_id: origin.mask_id.to_owned(),
            event_type: self.event_type,
            received_at: now_ms,
            content_type: Some(self.content_type),
            headers,
            claim,
            target,
            broker_message_id: origin.broker_message_id.map(ToOwned::to_owned),
            ..Meta::default()
        };
        if !meta.fits(META_MAX_BYTES) {
            let text = format!("custom_headers:at most {META_MAX_BYTES} bytes in all");
            return Err(ApiError::new(413, text));
        }
        Ok(Envelope { meta, body: Body::Inline(self.data) })
    }
}

/// The answer to a batch, with one entry for each item, in order: 201 when all are durable, 207 when some are, and the status of
/// the first that is not when none is. Then, if need be, the seconds after which they may come again.
pub fn answer_batch(results: &[Result<String, ApiError>]) -> (Answer, Option<u64>) {
    let stored = results.iter().flatten().count();
    let first_fault = results.iter().find_map(|result| result.as_ref().err());
    let status = match (stored, first_fault) {
        (_, None) => 201,
        (0, Some(fault)) => fault.status,
        _ => 207,
    };
    let shown = |result: &Result<String, ApiError>| match result {
        Ok(uid) => json!({"status": true, "uid": uid}),
        Err(ApiError { status, message, .. }) => {
            json!({"status": false, "code": status, "message": message})
        }
    };
    let body = json!({
        "status": 0 < stored, "message": format!("{stored} successful, {} failed", results.len() - stored),
        "data": results.iter().map(shown).collect::<Vec<_>>(),
    });
    (Answer { status, body }, (status == 503).then_some(RETRY_AFTER_S))
}

fn not_an_object() -> ApiError {
    ApiError::bad_request("body contains incorrect JSON type: an object is expected")
}

/// The event's own headers, refused where they could not be sent.
fn headers(given: Map<String, Value>) -> Result<Vec<(String, String)>, ApiError> {
    let mut headers: Vec<(String, String)> = Vec::with_capacity(given.len());
    for (name, value) in given {
        let Value::String(value) = value else { return Err(wrong_headers()) };
        let fault = if !is_header_name(&name) {
            "not a header name"
        } else if !may_be_sent(&name.to_ascii_lowercase()) {
            "this header is the connection's, and is not yours to set"
        } else if is_ours(&name.to_ascii_lowercase()) {
            "the gateway sets this header itself"
        } else if !is_header_value(&value) {
            "a header's value has visible characters, spaces and tabs only"
        } else {
            headers.push((name.to_ascii_lowercase(), value));
            continue;
        };
        return Err(ApiError::bad_request(format!("custom_headers.{name}:{fault}")));
    }
    headers.sort();
    // Two spellings of one name are one header, and only one value would be sent.
    if let Some([(name, _), _]) = headers.array_windows::<2>().find(|[a, b]| a.0 == b.0) {
        return Err(ApiError::bad_request(format!(
            "custom_headers.{name}:is given twice, in different spellings"
        )));
    }
    Ok(headers)
}

/// Whether deliveries have a header of their own by this name, whatever their project says.
fn is_ours(lower_name: &str) -> bool {
    lower_name.starts_with("inlet-")
        || ["webhook-id", "webhook-timestamp", "webhook-signature"].contains(&lower_name)
}

fn may_be_sent(lower_name: &str) -> bool {
    is_header_name(lower_name) && !HOP_HEADERS.contains(&lower_name) && lower_name != "content-type"
}

#[cfg(test)]
mod tests;
