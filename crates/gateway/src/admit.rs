//! The way in: from a request to an accepted event, or to the reason why not.
//!
//! The order is the design's: state of the source, method and size ([`Compiled::before_body`]); handshake,
//! signature, event type, dedup key ([`Compiled::admit`]). Nothing is stored before all of it has passed,
//! and the dedup key is only computed here: it is claimed by the router, once the event is durable.

mod kept;
mod refused;
mod signed_url;
mod snapshot;

use std::cell::LazyCell;
use std::rc::Rc;

use inlet_verify::{
    Acknowledgement, Handshake, Headers, Outcome, Pending, Place, Policy, Provider, Refused,
    Request, Secret, UnixTime, Verified, Verifier, acknowledge, catalogue, confirmation, extract,
    handshake, observed_handshake,
};
use serde_json::json;
use sha2::{Digest, Sha256};

pub(crate) use kept::HOP_HEADERS;
pub use snapshot::Snapshot;
use snapshot::compiled_bytes;

use crate::admission::Gate;
use crate::custom_response::Said;
use crate::header::sendable;
use crate::locate::{Location, Parts};
use crate::pace::RateLimit;
use crate::payload;
use crate::rejection::Rejection;
use crate::reply::{Reply, named};
use crate::shape::{self, Shapes, Shared};
use crate::source::{Kind, Source};
use crate::time::rfc3339;
use crate::trust::{FailureResponse, Mode};
use crate::vault::{Vault, VaultError};
use crate::wire::{
    Body, Claim, ENVELOPE_MAX_BYTES, Envelope, INLINE_BODY_MAX_BYTES, META_MAX_BYTES, Meta,
    Verification,
};

/// The most bytes of headers that are kept with an event; the envelope has to fit a queue message.
pub(crate) const HEADERS_MAX_BYTES: usize = 64 * 1024;

/// Bytes of a message whose HMAC is the platform's work. A shorter one is not worth the wait, a longer one not the copy.
const PLATFORM_MACS: std::ops::Range<usize> = 16 * 1024..1024 * 1024;

/// Says of an event that came by another method than POST by which: deliveries are all POSTs.
const METHOD_HEADER: &str = "inlet-method";

/// A snapshot ready for use: secrets opened, locations parsed.
#[derive(Debug)]
pub struct Compiled {
    pub source: Source,
    body_max_bytes: u64,
    shard: u32,
    project_limit: Option<RateLimit>,
    verifier: Verifier,
    /// Who sends, whether or not it signs: its questions, names and manners.
    provider: Option<&'static Provider>,
    policy: Policy,
    /// Of each secret of the verifier: its name, and when it ends.
    secrets: Vec<(String, Option<u64>)>,
    /// What answers the questions of a provider that signs nothing.
    tokens: Vec<Secret>,
    credential_headers: Vec<String>,
    credential_parameters: Vec<String>,
    event_type: Option<Location>,
    dedup: Vec<Location>,
    schemas: Rc<Shapes>,
    gate: Gate,
    /// Whether the source's own answer has something to fill in, and whether that stands in the body.
    fills: (bool, bool),
    bytes: usize,
}

/// By which URL a request comes in: that says which methods are taken, and how answers look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// `/ingest/{mask_id}`
    Ingest,
    /// `/v1/ingest/{source_id}`
    Hookstream,
}

/// A request, read.
#[derive(Debug)]
pub struct Arrival<'a> {
    pub door: Door,
    pub method: &'a str,
    /// The public URL, with its query.
    pub url: &'a str,
    pub headers: &'a Headers,
    pub body: &'a [u8],
}

/// What becomes of a request that is not refused.
#[derive(Debug)]
pub enum Admitted {
    /// A question about the endpoint: answered, and no event.
    Handshake(Reply),
    /// The provider hands over a secret: to be kept if [`Source::capture`] says so, and else refused.
    Capture { secret: Secret, reply: Reply },
    /// A believed request that wants to be confirmed with a `GET` of `url`; no event.
    Confirm { url: String, reply: Reply },
    /// The shell has to fetch a key or check a signature; then [`Compiled::believe`].
    Pending(Box<Pending>),
    /// An event: with the body that was read it makes an envelope. The reply may be sent once that is durable.
    Event { meta: Box<Meta>, reply: Reply },
}

impl Compiled {
    pub fn new(snapshot: Snapshot, vault: &Vault) -> Result<Self, VaultError> {
        Self::with(snapshot, vault, &mut Shared::default())
    }

    /// Compiles a source as [`Self::new`], with the schemas that another source of the project may hold already.
    pub fn with(
        snapshot: Snapshot,
        vault: &Vault,
        shared: &mut Shared,
    ) -> Result<Self, VaultError> {
        let Snapshot { source, body_max_bytes, shard, project_limit, schemas } = snapshot;
        let verifier = source.open_verifier(vault)?;
        let secrets = source.open_secrets(vault)?;
        let provider = catalogue::find(&source.provider);
        let tokens = match provider {
            Some(row) if row.is_unsigned() => {
                secrets.iter().map(|(secret, ..)| secret.clone()).collect()
            }
            _ => Vec::new(),
        };
        let schemas = shared.of(&source.project_id, schemas);
        let bytes = compiled_bytes(&source, &schemas);
        let dedup = source.idempotency_keys.iter().map(|key| Location::parse_idempotency_key(key));
        Ok(Self {
            credential_headers: verifier.credential_headers(),
            credential_parameters: verifier.credential_parameters(),
            policy: Policy::tolerating(source.verifier.trust.tolerance_seconds)
                .with_platform_macs(PLATFORM_MACS),
            event_type: Location::parse_event_type(&source.event_type_location).ok(),
            dedup: dedup.filter_map(Result::ok).collect(),
            schemas,
            bytes,
            gate: Gate::new(&source.admission),
            fills: (source.custom_response.is_templated(), source.custom_response.reads_body()),
            provider,
            tokens,
            source,
            body_max_bytes,
            shard,
            project_limit,
            verifier,
            secrets: secrets.into_iter().map(|(_, name, expires_at)| (name, expires_at)).collect(),
        })
    }

    /// About as many bytes as it takes; schemas that it shares count for the first of those who do.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Who is counted, and how many of each are taken in.
    pub fn limits(&self) -> [(&str, Option<RateLimit>); 2] {
        [
            (&self.source.uid, self.source.admission.rate_limit),
            (&self.source.project_id, self.project_limit),
        ]
    }

    /// Whose count is one of events: a request that comes to none gives back what it took. The source's own is one of requests.
    pub fn event_limit(&self) -> Option<(&str, RateLimit)> {
        Some((&self.source.project_id, self.project_limit?))
    }

    /// Whether a request from this address may come in at `now_ms`. The address is only asked for when there is a list of them.
    pub fn gate(
        &self,
        client: impl FnOnce() -> Option<String>,
        now_ms: u64,
    ) -> Result<(), Rejection> {
        self.gate.check(client, now_ms)
    }

    /// The most bytes of body to read.
    pub fn body_max_bytes(&self) -> u64 {
        self.body_max_bytes
    }

    /// What can be said before the body is read. `content_length` is the header, where there is one.
    pub fn before_body(
        &self,
        door: Door,
        method: &str,
        content_length: Option<u64>,
    ) -> Result<(), Rejection> {
        if self.source.is_disabled {
            let is_paused = self.source.profile.is_paused;
            return Err(if is_paused { Rejection::Paused } else { Rejection::Disabled });
        }
        if self.source.kind != Kind::Http {
            return Err(Rejection::NotHttp);
        }
        match (method, self.provider) {
            // Providers put their questions by GET; whether this is one shows below.
            ("GET" | "HEAD" | "OPTIONS", Some(_)) => {}
            _ => self.check_method(door, method)?,
        }
        if content_length.is_some_and(|length| self.body_max_bytes < length) {
            return Err(self.too_large());
        }
        Ok(())
    }

    /// What answers the provider's questions.
    fn known(&self) -> &[Secret] {
        match &self.verifier {
            Verifier::Provider { secrets, .. } => secrets,
            _ => &self.tokens,
        }
    }

    fn takes_get(&self) -> bool {
        self.provider.is_some_and(|provider| provider.by_get)
    }

    /// Whether the method makes an event.
    fn check_method(&self, door: Door, method: &str) -> Result<(), Rejection> {
        let (allow, takes) = match door {
            Door::Hookstream => (
                "GET, POST, PUT, PATCH, DELETE",
                matches!(method, "GET" | "POST" | "PUT" | "PATCH" | "DELETE"),
            ),
            Door::Ingest if self.takes_get() => ("GET, POST", matches!(method, "GET" | "POST")),
            Door::Ingest => ("POST", method == "POST"),
        };
        if takes { Ok(()) } else { Err(Rejection::Method { allow }) }
    }

    pub fn too_large(&self) -> Rejection {
        Rejection::TooLarge { limit_bytes: self.body_max_bytes }
    }

    /// Decides about a request that has been read whole. `event_id` is a fresh uid of `now_ms`.
    pub fn admit(
        &self,
        arrival: &Arrival<'_>,
        event_id: String,
        now_ms: u64,
    ) -> Result<Admitted, Rejection> {
        let url = signed_url::of(&self.source.verifier.trust.public_url, arrival.url);
        let request = Request {
            method: arrival.method,
            url: &url,
            headers: arrival.headers,
            body: arrival.body,
        };
        let now = UnixTime(now_ms / 1000);
        if let Some(provider) = self.provider {
            let observed = self.source.verifier.trust.mode == Mode::Observe;
            let answer = if observed { observed_handshake } else { handshake };
            match answer(provider, self.known(), &request, now) {
                Some(Handshake::Reply { status, content_type, body, headers }) => {
                    let (content_type, headers) = (content_type.to_owned(), named(headers));
                    let reply = Reply { status, content_type, headers, body };
                    return Ok(Admitted::Handshake(reply));
                }
                Some(Handshake::Refuse { status, reason }) => {
                    return Err(Rejection::Handshake { status, reason });
                }
                Some(Handshake::Capture { secret, status, headers })
                    if self.source.armed_until.is_some_and(|until| now_ms < until) =>
                {
                    let content_type = "text/plain; charset=utf-8".to_owned();
                    let headers = named(headers);
                    let reply = Reply { status, content_type, headers, body: Vec::new() };
                    return Ok(Admitted::Capture { secret, reply });
                }
                // An unsigned secret from whoever comes first is not taken on trust.
                Some(_) => {
                    let reason = "the source is not armed to take a secret";
                    return Err(Rejection::Handshake { status: 403, reason });
                }
                None => {}
            }
        }
        self.check_method(arrival.door, arrival.method)?;
        match self.verifier.start(&request, now, &self.policy) {
            Outcome::Done(verdict) => self.believe(arrival, verdict, event_id, now_ms),
            Outcome::Need(pending) => Ok(Admitted::Pending(pending)),
        }
    }

    /// Goes on with the verdict about a request that is no question.
    pub fn believe(
        &self,
        arrival: &Arrival<'_>,
        verdict: Result<Verified, Refused>,
        event_id: String,
        now_ms: u64,
    ) -> Result<Admitted, Rejection> {
        let request = Request {
            method: arrival.method,
            url: arrival.url,
            headers: arrival.headers,
            body: arrival.body,
        };
        let verdict = verdict.and_then(|verified| self.check_topic(&request).map(|()| verified));
        let verification = self.verdict(verdict, now_ms)?;
        let is_believed = verification.as_ref().is_none_or(|made| made.reason.is_none());
        if let Some(provider) = self.provider
            && is_believed
            && let Some(url) = confirmation(provider, &request)
        {
            let reply = Reply::message(200, true, "Subscription confirmed");
            return Ok(Admitted::Confirm { url, reply });
        }

        let content_type = arrival.headers.get("content-type");
        let query = arrival.url.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let needs_body =
            self.fills.1 || self.dedup.iter().chain(&self.event_type).any(Location::is_body);
        let body = needs_body.then(|| payload::json(content_type, arrival.body));
        let parts =
            Parts { headers: arrival.headers, query, body: body.as_deref(), payload: arrival.body };

        let event_type = self.event_type(&parts, &request)?;
        let payload = LazyCell::new(|| payload::value(content_type, arrival.body));
        let mut schema_faults = self.schemas.faults(&event_type, || payload.as_ref());
        if let Some(schema) = &self.gate.schema {
            schema_faults.extend(shape::faults(schema, payload.as_ref()));
        }
        if !schema_faults.is_empty() && !self.source.admission.schema_warns {
            return Err(Rejection::Schema(schema_faults));
        }
        // A sender that is only observed may not keep others from being taken in, unless nobody could be told from others.
        let key = if is_believed || self.can_believe_nobody() {
            self.dedup_key(&parts, &request)
        } else {
            None
        };
        let claim = key.map(|key| Claim {
            key,
            window_ms: self.source.dedup_window_seconds.saturating_mul(1000),
            scope: None,
        });
        let mut headers = self.kept_headers(arrival.headers);
        if arrival.door == Door::Hookstream && arrival.method != "POST" {
            headers.push((METHOD_HEADER.to_owned(), arrival.method.to_owned()));
        }
        if HEADERS_MAX_BYTES
            < headers.iter().map(|(name, value)| name.len() + value.len() + 6).sum()
        {
            return Err(Rejection::HeadersTooLarge);
        }
        kept::check_event_type(&event_type)?;
        let data_len = payload::data(content_type, arrival.body).len();
        let at = if self.fills.0 { rfc3339(now_ms) } else { String::new() };
        let said = Said {
            event_id: &event_id,
            event_type: &event_type,
            source_id: &self.source.uid,
            received_at: &at,
            parts: &parts,
        };
        let reply = self.accepted(arrival.door, &said, data_len, &request);
        let meta = Meta {
            event_id,
            project_id: self.source.project_id.clone(),
            shard: self.shard,
            source_id: self.source.uid.clone(),
            mask_id: self.source.mask_id.clone(),
            event_type,
            received_at: now_ms,
            content_type: content_type.map(|value| sendable(value).into_owned()),
            headers,
            query: self.kept_query(query),
            claim,
            verification,
            schema_faults,
            has_functions: !self.source.functions.is_none(),
            ..Meta::default()
        };
        if !meta.fits(META_MAX_BYTES) {
            return Err(Rejection::HeadersTooLarge);
        }
        Ok(Admitted::Event { meta: Box::new(meta), reply })
    }

    /// Amazon signs for all topics alike, and anybody can have one.
    fn check_topic(&self, request: &Request<'_>) -> Result<(), Refused> {
        let pinned = &self.source.topic_arn;
        let place = Place::Body("TopicArn");
        if pinned.is_empty() || extract(&place, request).as_ref() == Some(pinned) {
            return Ok(());
        }
        Err(Refused::Credential { what: place.to_string() })
    }

    /// What the event says about its verification, or why there is no event.
    fn verdict(
        &self,
        verdict: Result<Verified, Refused>,
        now_ms: u64,
    ) -> Result<Option<Verification>, Rejection> {
        let observed = self.source.verifier.trust.mode == Mode::Observe;
        let verdict = verdict.and_then(|verified| {
            let secret = verified.secret_index.and_then(|index| self.secrets.get(index));
            match secret {
                Some((_, Some(end))) if *end <= now_ms => {
                    Err(Refused::Signature { signatures: 1, secrets: self.secrets.len() })
                }
                secret => Ok(secret.map(|(name, _)| name.clone())),
            }
        });
        let verdict = verdict.map_err(|refused| self.without_ended(refused, now_ms));
        match verdict {
            Ok(None) if !observed => Ok(None),
            Ok(secret) => {
                let verdict = "verified".to_owned();
                Ok(Some(Verification { verdict, secret, reason: None, observed }))
            }
            Err(cause) if observed => {
                let (verdict, reason) = ("refused".to_owned(), Some(cause.to_string()));
                Ok(Some(Verification { verdict, secret: None, reason, observed }))
            }
            Err(cause) if cause.is_temporary() => Err(Rejection::NotCheckable { cause }),
            Err(cause) => {
                let failure = self.source.verifier.trust.failure.as_ref();
                let custom =
                    failure.and_then(FailureResponse::given).map(|(body, content_type)| {
                        Box::new((content_type.to_owned(), body.to_owned()))
                    });
                let silence = || Box::new(("text/plain".to_owned(), String::new()));
                let custom = custom.or_else(|| self.wants_silence().then(silence));
                let (status, challenge) = (self.failure_status(), self.verifier.challenge());
                Err(Rejection::Refused { status, cause, custom, challenge })
            }
        }
    }

    pub fn shard(&self) -> u32 {
        self.shard
    }

    fn failure_status(&self) -> u16 {
        let chosen = self.source.verifier.trust.failure.as_ref().and_then(|failure| failure.status);
        if let Some(status) = chosen {
            return status;
        }
        self.provider.map_or(401, |provider| provider.failure_status)
    }

    /// The configured place; else the provider's; else the mask id, as Convoy has it.
    fn event_type(&self, parts: &Parts<'_>, request: &Request<'_>) -> Result<String, Rejection> {
        if let Some(location) = &self.event_type {
            let written = &self.source.event_type_location;
            return location.find_event_type(parts, written).map_err(Rejection::EventType);
        }
        let provided = self.provider.and_then(|provider| provider.event_type(request));
        Ok(provided.unwrap_or_else(|| self.source.mask_id.clone()))
    }

    /// The configured parts, all of which must be there; else the provider's event id. Each part is framed by
    /// its length, so that `("ab","c")` and `("a","bc")` differ.
    fn dedup_key(&self, parts: &Parts<'_>, request: &Request<'_>) -> Option<String> {
        if self.source.profile.is_dedup_disabled {
            return None;
        }
        let values: Vec<String> = if self.dedup.is_empty() {
            self.provider?.event_parts(request)?
        } else {
            self.dedup.iter().map(|location| location.find(parts)).collect::<Option<_>>()?
        };
        let mut digest = Sha256::new();
        for value in values {
            digest.update((value.len() as u64).to_be_bytes());
            digest.update(value);
        }
        Some(hex::encode(digest.finalize()))
    }

    /// Whether there is nothing to check a signature with.
    fn can_believe_nobody(&self) -> bool {
        let signs = self.provider.is_some_and(|row| !row.is_unsigned() && row.needs_secret());
        signs && self.secrets.is_empty()
    }

    /// Whether the sender wants no body in an answer.
    fn wants_silence(&self) -> bool {
        self.provider.is_some_and(|provider| provider.silent)
    }

    fn accepted(
        &self,
        door: Door,
        said: &Said<'_>,
        data_len: usize,
        request: &Request<'_>,
    ) -> Reply {
        let own = &self.source.custom_response;
        let fill = self.fills.0.then_some(said);
        let custom = own.body(fill);
        let event_id = said.event_id;
        let wanted =
            self.provider.and_then(|provider| acknowledge(provider, self.known(), request));
        let mut headers = vec![("inlet-event-id".into(), event_id.to_owned())];
        headers.extend(own.headers(fill));
        if custom.is_none() && self.wants_silence() {
            let content_type = "text/plain".to_owned();
            return Reply { status: 200, content_type, headers, body: Vec::new() };
        }
        if let Some(wanted) = &wanted {
            headers.extend(named(wanted.headers.clone()));
        }
        let is_whole = |wanted: &Acknowledgement| !wanted.body.is_empty() || wanted.status != 200;
        if let Some(wanted) =
            wanted.filter(|wanted| custom.is_none() && own.status == 0 && is_whole(wanted))
        {
            let (status, content_type) = (wanted.status, wanted.content_type.to_owned());
            return Reply { status, content_type, headers, body: wanted.body };
        }
        let (body, content_type) = custom.unwrap_or_else(|| {
            let body = match door {
                Door::Ingest => json!({
                    "status": true, "message": "Event received", "data": data_len, "event_id": event_id,
                }),
                Door::Hookstream => json!({"event_id": event_id, "source_id": self.source.uid}),
            };
            (body.to_string().into_bytes(), "application/json")
        });
        let status = if own.status == 0 { 200 } else { own.status };
        // What says that there is no content has none.
        let body = if status == 204 { Vec::new() } else { body };
        Reply { status, content_type: content_type.to_owned(), headers, body }
    }
}

/// Whether the body has to go to R2, because the envelope with it would not fit a queue message.
pub fn needs_store(envelope: &Envelope) -> bool {
    let Body::Inline(body) = &envelope.body else { return false };
    INLINE_BODY_MAX_BYTES < body.len() || !envelope.fits(ENVELOPE_MAX_BYTES)
}

#[cfg(test)]
mod tests;
