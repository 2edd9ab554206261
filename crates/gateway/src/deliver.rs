//! The way out: what is sent to an endpoint, and what its answer means.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use inlet_verify::{Encoding, Hash, Secret, hmac};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::address;
use crate::breaker::Outcome;
use crate::cloudflare;
use crate::endpoint::{BYTES, ContentType, Endpoint};
use crate::event::StoredEvent;
use crate::form;
use crate::header::{is_sensitive, sendable};
use crate::json;
use crate::project::Config;
use crate::retry::{PAUSE_MAX_S, Strategy};
use crate::subscription::DeliveryMode;
use crate::time::{retry_after_ms, rfc3339};
use crate::vault::MASK;
use crate::version;

mod begin;

pub use begin::{FUNCTION_GONE, SUBSCRIPTION_UNKNOWN, Undeliverable, begin, in_lease};

/// How much of an endpoint's answer is kept.
pub const RESPONSE_MAX_BYTES: usize = 51_200;
/// How much is shown of the headers of a call, and how much of those of its answer.
const SHOWN_HEADERS_MAX_BYTES: usize = 16_384;
/// The description of a delivery whose last dispatcher died while it held the lease.
pub const INTERRUPTED: &str = "the attempt was interrupted";
/// The description of a delivery that has failed as often as it was to be tried.
pub const RETRIES_USED_UP: &str = "Retry limit exceeded";
/// How long a dispatcher may hold a delivery: longer than the longest timeout, so that a delivery is only
/// taken from a dispatcher that died.
pub const LEASE_MS: u64 = 90_000;
/// A bell may ring this much early and still be answered.
pub const EARLY_MS: u64 = 2_000;
/// The longest delay that a queue keeps a message for; what is later is left to the sweep.
pub const BELL_DELAY_MAX_MS: u64 = 12 * 3_600_000;

/// How much a circuit breaker quotes of an error.
const SAID_MAX_CHARS: usize = 200;

const USER_AGENT: &str = concat!("Inlet/", env!("CARGO_PKG_VERSION"));

/// A row of the delivery store. Times are Unix milliseconds.
#[derive(Debug, Clone, Deserialize)]
pub struct Delivery {
    pub project_id: String,
    pub id: String,
    pub event_id: String,
    pub subscription_id: String,
    pub endpoint_id: String,
    pub source_id: String,
    pub event_type: String,
    pub delivery_mode: String,
    pub status: String,
    pub description: String,
    /// Attempts that have been made.
    pub attempts: u32,
    /// The last of them, as JSON; those before it have rows of their own.
    pub attempt: Option<String>,
    /// When the next attempt is due; `None`: none is.
    pub due_at: Option<u64>,
    /// How many of its dispatchers died since the last attempt; read with the lease.
    #[serde(default)]
    pub interrupted: u32,
    pub created_at: u64,
    pub updated_at: u64,
    /// The id of the replay that made it.
    pub replay: Option<String>,
    /// JSON: what is shown of its event, where that was read.
    #[serde(default)]
    pub event: Option<String>,
}

impl Delivery {
    pub fn is(&self, status: Status) -> bool {
        self.status == status.name()
    }
}

/// One HTTP call, ready to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub timeout_ms: u64,
    /// The header that nobody is to read afterwards.
    pub credential: Option<String>,
}

/// All that a call is made from.
#[derive(Debug)]
pub struct Outgoing<'a> {
    pub delivery: &'a Delivery,
    pub event: &'a StoredEvent,
    pub body: &'a [u8],
    pub endpoint: &'a Endpoint,
    /// The endpoint's secrets, the oldest first.
    pub secrets: &'a [Secret],
    pub config: &'a Config,
    /// Whether a function of the subscription made the body.
    pub is_made: bool,
    /// The header that the endpoint's authentication asks for.
    pub credential: Option<&'a (String, String)>,
}

impl Outgoing<'_> {
    /// The call of this delivery, signed for `now_ms`.
    pub fn call(&self, allow_private: bool, now_ms: u64) -> Result<Call, Undeliverable> {
        if let Some(why) = self.endpoint.not_active() {
            return Err(why);
        }
        let mut url =
            address::check(&self.endpoint.url, allow_private).map_err(Undeliverable::Address)?;
        if !self.event.query.is_empty() {
            let query = match url.query() {
                Some(own) if !own.is_empty() => format!("{own}&{}", self.event.query),
                _ => self.event.query.clone(),
            };
            url.set_query(Some(&query));
        }
        Ok(Call {
            url: url.into(),
            headers: self.headers(now_ms / 1000),
            timeout_ms: self.endpoint.http_timeout.saturating_mul(1000),
            credential: self.credential.map(|(name, _)| name.clone()),
        })
    }

    /// Ours first; a header of the event never replaces one of them.
    fn headers(&self, now_s: u64) -> Vec<(String, String)> {
        let mut headers = vec![
            (self.config.signature.header.clone(), self.convoy_signature(now_s)),
            ("webhook-id".into(), self.event.id.clone()),
            ("webhook-timestamp".into(), now_s.to_string()),
            ("webhook-signature".into(), self.standard_signature(now_s)),
            ("user-agent".into(), self.user_agent()),
            ("inlet-event-id".into(), self.event.id.clone()),
            ("inlet-delivery-id".into(), self.delivery.id.clone()),
            ("inlet-attempt".into(), (self.delivery.attempts + 1).to_string()),
        ];
        if !self.event.mask_id.is_empty() {
            headers.push(("x-convoy-source-id".into(), self.event.mask_id.clone()));
        }
        let content_type = self.endpoint.content_type.of_body(self.event.content_type.as_deref());
        headers.push(("content-type".into(), content_type.unwrap_or_else(|| BYTES.into())));
        if let Some(key) = &self.event.idempotency_key {
            headers.push((self.config.request_id_header.clone(), key.clone()));
        }
        if self.config.add_event_id_trace_headers {
            headers.push(("x-convoy-event-id".into(), self.event.id.clone()));
            headers.push(("x-convoy-eventdelivery-id".into(), self.delivery.id.clone()));
        }
        if let Some(replay) = &self.delivery.replay {
            headers.push(("inlet-replay".into(), replay.clone()));
        }
        headers.extend(
            self.credential.cloned().filter(|(name, _)| place_of(&headers, name).is_none()),
        );
        let ours = headers.len();
        let is_form = self.endpoint.content_type == ContentType::Form;
        for (name, value) in self.event.headers_out(self.is_made || is_form) {
            match place_of(&headers, &name) {
                None => headers.push((name, value)),
                // A name that repeats in the event, as a broker may have it: one header with all of its values.
                Some(place) => {
                    if let Some((_, before)) = headers.get_mut(place).filter(|_| ours <= place) {
                        before.push_str(", ");
                        before.push_str(&value);
                    }
                }
            }
        }
        // Events of older versions, and ids that brokers make, were not looked at when they came in.
        for (_, value) in &mut headers {
            if let Cow::Owned(clean) = sendable(value) {
                *value = clean;
            }
        }
        headers
    }

    /// That of `custom_headers`, or ours: the one that came with a provider's request says nothing of this call.
    fn user_agent(&self) -> String {
        let own = self.event.headers().into_iter().find(|(name, _)| name == "user-agent");
        let own = own.filter(|_| self.event.mask_id.is_empty());
        own.map_or_else(|| USER_AGENT.to_owned(), |(_, value)| value)
    }

    /// `X-Convoy-Signature` over the bytes that are sent.
    ///
    /// Simple: the newest secret, with the last version. Advanced: `t=<unix>,v1=…`, one entry for each version
    /// and secret, over `<t>,<body>`.
    fn convoy_signature(&self, now_s: u64) -> String {
        let time = now_s.to_string();
        let sign = |hash: &str, encoding: &str, secret: &Secret, parts: &[&[u8]]| {
            let hash = Hash::from_name(hash).unwrap_or(Hash::Sha256);
            let mac = hmac(hash, secret.expose(), parts);
            Encoding::from_name(encoding).unwrap_or(Encoding::Hex).encode(&mac)
        };
        if self.endpoint.advanced_signatures {
            let mut value = format!("t={time}");
            for (version, scheme) in (1..).zip(&self.config.signature.versions) {
                for secret in self.secrets {
                    let parts = [time.as_bytes(), b",", self.body];
                    let signature = sign(&scheme.hash, &scheme.encoding, secret, &parts);
                    value.push_str(&format!(",v{version}={signature}"));
                }
            }
            return value;
        }
        match (self.config.signature.versions.last(), self.secrets.last()) {
            (Some(scheme), Some(secret)) => {
                sign(&scheme.hash, &scheme.encoding, secret, &[self.body])
            }
            _ => String::new(),
        }
    }

    /// [Standard Webhooks](https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md):
    /// `v1,<base64>` for each secret, over `<id>.<timestamp>.<body>`.
    fn standard_signature(&self, now_s: u64) -> String {
        let prefix = format!("{}.{now_s}.", self.event.id);
        let signatures = self.secrets.iter().map(|secret| {
            let mac = hmac(Hash::Sha256, &standard_key(secret), &[prefix.as_bytes(), self.body]);
            format!("v1,{}", STANDARD.encode(mac))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

/// The bytes that an endpoint gets of an event: its body as it is, or as the form that it asks for.
pub fn body_for<'a>(
    takes: ContentType,
    content_type: Option<&str>,
    body: &'a [u8],
) -> Result<Cow<'a, [u8]>, Undeliverable> {
    match takes {
        ContentType::Json => Ok(Cow::Borrowed(body)),
        ContentType::Form => form::of_event(content_type, body).ok_or(Undeliverable::NoForm),
    }
}

/// `whsec_` and base64 is a key in base64; any other secret is a key as it is written.
fn standard_key(secret: &Secret) -> Vec<u8> {
    let written = secret.expose();
    written
        .strip_prefix(b"whsec_")
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .unwrap_or_else(|| written.to_vec())
}

/// What came back from a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// Any HTTP answer. The body is cut at [`RESPONSE_MAX_BYTES`].
    Response { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    /// None: no connection, no answer in time, or a connection that broke.
    Nothing { error: String },
    /// The call was not made, because something it needs could not be had.
    NotCalled { error: String },
}

/// Convoy's names for the states of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Scheduled,
    Processing,
    Success,
    Retry,
    Failure,
    Discarded,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "Scheduled",
            Self::Processing => "Processing",
            Self::Success => "Success",
            Self::Retry => "Retry",
            Self::Failure => "Failure",
            Self::Discarded => "Discarded",
        }
    }
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    pub status: Status,
    /// The reason of a dead letter, for people; empty while there is hope.
    pub description: String,
    /// When the next attempt is due, Unix milliseconds.
    pub due_at: Option<u64>,
}

impl Settled {
    /// After how many milliseconds it is rung for again; what is later than a queue can tell is left to the sweep.
    pub fn rings_in(&self, now_ms: u64) -> Option<u64> {
        let pause = self.due_at?.saturating_sub(now_ms);
        (pause <= BELL_DELAY_MAX_MS).then_some(pause)
    }
}

/// Decides after attempt `attempt` (the first is 1). 2xx is a success. 410 is a failure, and so is all else that comes of a call
/// which is made at most once, or of the last attempt of the strategy. Otherwise it is tried again, no sooner than `Retry-After`
/// asks for (a day at most). `jitter` is any random number.
pub fn settle(
    answered: &Answered,
    attempt: u32,
    mode: DeliveryMode,
    strategy: &Strategy,
    now_ms: u64,
    jitter: u32,
) -> Settled {
    let dead = |description: String| Settled { status: Status::Failure, description, due_at: None };
    let asked = match answered {
        Answered::Response { status: 200..=299, .. } => {
            return Settled { status: Status::Success, description: String::new(), due_at: None };
        }
        Answered::Response { status: 410, .. } => {
            return dead("Endpoint answered 410 Gone: it does not want this event".into());
        }
        Answered::Response { status, .. } if mode == DeliveryMode::AtMostOnce => {
            return dead(format!("Endpoint returned status code {status}"));
        }
        Answered::Response { headers, .. } => headers
            .iter()
            .find(|(name, _)| name == "retry-after")
            .and_then(|(_, value)| retry_after_ms(value, now_ms)),
        // Whether it arrived nobody can tell, so once is all there is.
        Answered::Nothing { error } if mode == DeliveryMode::AtMostOnce => {
            return dead(format!("Endpoint did not answer: {error}"));
        }
        Answered::Nothing { .. } | Answered::NotCalled { .. } => None,
    };
    match strategy.next_pause_ms(attempt, asked, jitter) {
        Some(pause) => {
            let due_at = Some(now_ms.saturating_add(pause));
            Settled { status: Status::Retry, description: String::new(), due_at }
        }
        None => dead(RETRIES_USED_UP.into()),
    }
}

/// One HTTP call of a delivery, as it is stored. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub uid: String,
    /// The first is 1.
    pub n: u32,
    pub url: String,
    pub http_status: Option<u16>,
    pub request_headers: Vec<(String, String)>,
    pub response_headers: Vec<(String, String)>,
    pub response_data: String,
    pub error: String,
    pub is_success: bool,
    pub requested_at: u64,
    pub responded_at: u64,
}

impl Attempt {
    /// The record of a call: headers that carry credentials are masked, the answer's body is text.
    pub fn new(
        uid: String,
        n: u32,
        call: &Call,
        answered: &Answered,
        requested_at: u64,
        responded_at: u64,
    ) -> Self {
        let (http_status, response_headers, response_data, error) = match answered {
            Answered::Response { status, headers, body } => (
                Some(*status),
                masked(headers, None),
                String::from_utf8_lossy(body).replace('\0', "\u{fffd}"),
                cloudflare::in_place_of(*status, body).unwrap_or_default(),
            ),
            Answered::Nothing { error } | Answered::NotCalled { error } => {
                (None, Vec::new(), String::new(), error.clone())
            }
        };
        Self {
            uid,
            n,
            url: call.url.clone(),
            http_status,
            request_headers: masked(&call.headers, call.credential.as_deref()),
            response_headers,
            response_data,
            is_success: http_status.is_some_and(|status| (200..300).contains(&status)),
            error,
            requested_at,
            responded_at,
        }
    }

    /// The attempt as the API shows it.
    pub fn present(&self, delivery: &Delivery) -> Value {
        let object = |headers: &[(String, String)]| -> Map<String, Value> {
            headers
                .iter()
                .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
                .collect()
        };
        json!({
            "uid": self.uid, "msg_id": delivery.id, "event_delivery_id": delivery.id, "project_id": delivery.project_id,
            "endpoint_id": delivery.endpoint_id, "url": self.url, "method": "POST", "api_version": version::NEWEST, "ip_address": "",
            "attempt": self.n,
            "http_status": self.http_status.map(http_status_text).unwrap_or_default(),
            "request_http_header": object(&self.request_headers),
            "response_http_header": object(&self.response_headers),
            "response_data": self.response_data, "error": self.error, "status": self.is_success,
            "latency_ms": self.responded_at.saturating_sub(self.requested_at),
            "requested_at": rfc3339(self.requested_at), "responded_at": rfc3339(self.responded_at),
            "created_at": rfc3339(self.requested_at), "updated_at": rfc3339(self.responded_at), "deleted_at": null,
        })
    }
}

impl Attempt {
    /// What a circuit breaker makes of the attempt.
    pub fn outcome(&self) -> Outcome {
        match self.http_status {
            _ if self.is_success => Outcome::Success,
            Some(status) if self.error.is_empty() => Outcome::Failure(http_status_text(status)),
            _ => Outcome::Failure(self.error.chars().take(SAID_MAX_CHARS).collect()),
        }
    }

    /// The attempt without what the endpoint said: for a store that did not take all of it.
    #[must_use]
    pub fn without_response(mut self) -> Self {
        self.response_headers.clear();
        self.response_data.clear();
        self
    }
}

impl Delivery {
    pub fn mode(&self) -> DeliveryMode {
        DeliveryMode::from_name(&self.delivery_mode).unwrap_or(DeliveryMode::AtLeastOnce)
    }

    /// The last attempt, if there was one.
    pub fn last_attempt(&self) -> Option<Attempt> {
        self.attempt.as_deref().and_then(|doc| json::read(doc).ok())
    }

    /// The delivery as the API shows it.
    pub fn present(&self, strategy: &Strategy) -> Value {
        let last = self.last_attempt();
        let latency_ms =
            last.as_ref().map(|last| last.responded_at.saturating_sub(last.requested_at));
        #[expect(clippy::cast_precision_loss, reason = "a time below some minutes")]
        let latency_seconds = latency_ms.map(|ms| ms as f64 / 1000.0);
        let mut shown = json!({
            "uid": self.id, "project_id": self.project_id, "event_id": self.event_id,
            "endpoint_id": self.endpoint_id, "subscription_id": self.subscription_id, "source_id": self.source_id,
            "event_type": self.event_type, "delivery_mode": self.delivery_mode, "status": self.status,
            "description": self.description, "target_url": last.as_ref().map(|last| last.url.as_str()),
            "latency": latency_ms.map(|ms| format!("{ms}ms")).unwrap_or_default(), "latency_ms": latency_ms,
            "latency_seconds": latency_seconds, "is_replay": self.replay.is_some(), "replay_id": self.replay,
            "endpoint_metadata": {"uid": self.endpoint_id}, "event_metadata": {"uid": self.event_id, "event_type": self.event_type},
            "source_metadata": {"uid": self.source_id},
            // There are no devices; clients in typed languages ask for the fields.
            "device_id": "", "device_metadata": null, "cli_metadata": null,
            "metadata": {
                "num_trials": self.attempts, "retry_limit": strategy.retry_count, "interval_seconds": strategy.duration,
                "strategy": strategy.kind, "max_retry_seconds": PAUSE_MAX_S, "next_send_time": self.due_at.map(rfc3339),
            },
            "created_at": rfc3339(self.created_at), "updated_at": rfc3339(self.updated_at), "deleted_at": null,
        });
        let event = self.event.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        if let (Some(event), Some(fields)) = (event, shown.as_object_mut()) {
            let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
            fields.insert("idempotency_key".into(), text("idempotency_key").into());
            fields.insert("url_query_params".into(), text("query").into());
            let at = event.get("received_at").and_then(Value::as_u64).map(rfc3339);
            fields.insert("acknowledged_at".into(), json!(at));
        }
        shown
    }
}

fn place_of(headers: &[(String, String)], name: &str) -> Option<usize> {
    headers.iter().position(|(have, _)| have.eq_ignore_ascii_case(name))
}

pub(crate) fn masked(
    headers: &[(String, String)],
    credential: Option<&str>,
) -> Vec<(String, String)> {
    let is_secret = |name: &str| {
        is_sensitive(name) || credential.is_some_and(|secret| name.eq_ignore_ascii_case(secret))
    };
    let mask = |(name, value): &(String, String)| {
        (name.clone(), if is_secret(name) { MASK.to_owned() } else { value.clone() })
    };
    let mut room = SHOWN_HEADERS_MAX_BYTES;
    // What does not fit is left out, and takes no room of those after it.
    let fits = |(name, value): &&(String, String)| -> bool {
        let left = room.checked_sub(name.len() + value.len());
        room = left.unwrap_or(room);
        left.is_some()
    };
    headers.iter().filter(fits).map(mask).collect()
}

/// `200 OK`, for the statuses that have a well-known text.
fn http_status_text(status: u16) -> String {
    let text = match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => return status.to_string(),
    };
    format!("{status} {text}")
}

#[cfg(test)]
mod tests;
