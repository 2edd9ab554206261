//! Endpoints: the receivers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::address;
use crate::api::{ApiError, NAME_MAX_CHARS, TEXT_MAX_CHARS, check_length, refuse_unsupported};
use crate::auth::{self, Authentication, AuthenticationInput};
use crate::deliver::Undeliverable;
use crate::fields::{Fields, FromFields};
use crate::ids::{self, Fill};
use crate::pace::RateLimit;
use crate::time::{self, rfc3339};
use crate::vault::{Sealed, Vault, VaultError, is_hint};

/// Seconds an endpoint has to answer, unless it sets its own.
pub(crate) const DEFAULT_TIMEOUT_S: u64 = 10;
/// The longest of them; a delivery's lease is longer still.
pub const TIMEOUT_MAX_S: u64 = 60;

/// A receiver, as it is stored. Times are Unix milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Endpoint {
    pub uid: String,
    pub project_id: String,
    pub name: String,
    pub url: String,
    pub description: String,
    pub owner_id: String,
    pub secrets: Vec<EndpointSecret>,
    pub advanced_signatures: bool,
    /// Seconds that it has to answer.
    pub http_timeout: u64,
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
    #[serde(default)]
    pub content_type: ContentType,
    #[serde(default)]
    pub authentication: Option<Authentication>,
    pub status: Status,
    /// Why the gateway took it out of use.
    #[serde(default)]
    pub status_reason: String,
    pub created_at: u64,
    pub updated_at: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Active,
    Inactive,
    Paused,
}

impl Status {
    /// Why nothing is delivered to an endpoint of this status now, if so.
    pub fn not_active(self) -> Option<Undeliverable> {
        match self {
            Self::Active => None,
            Self::Paused => Some(Undeliverable::EndpointNotActive("paused")),
            Self::Inactive => Some(Undeliverable::EndpointNotActive("inactive")),
        }
    }
}

/// What a body without a type of its own is called: it is bytes.
pub const BYTES: &str = "application/octet-stream";

/// How an endpoint wants its events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContentType {
    /// The bytes as they are, with their own content type.
    #[default]
    #[serde(rename = "application/json")]
    Json,
    #[serde(rename = "application/x-www-form-urlencoded")]
    Form,
}

impl ContentType {
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }

    /// The type of the body that such an endpoint gets of an event with this one.
    pub fn of_body(self, of_event: Option<&str>) -> Option<String> {
        match self {
            Self::Json => of_event.map(ToOwned::to_owned),
            Self::Form => Some(self.name().to_owned()),
        }
    }

    fn of(name: &str) -> Result<Self, ApiError> {
        match name {
            "" | "application/json" => Ok(Self::Json),
            "application/x-www-form-urlencoded" => Ok(Self::Form),
            _ => Err(ApiError::bad_request(
                "content_type:either application/json or application/x-www-form-urlencoded",
            )),
        }
    }
}

/// A secret that signs what an endpoint is sent. Times are Unix milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EndpointSecret {
    pub uid: String,
    pub value: Sealed,
    pub created_at: u64,
    /// From then on it signs nothing.
    #[serde(default)]
    pub expires_at: Option<u64>,
}

/// The body of `POST /endpoints`. `url`/`name` and the older `target_url`/`title` mean the same.
#[derive(Debug)]
pub struct EndpointInput {
    name: Option<String>,
    url: Option<String>,
    description: Option<String>,
    owner_id: Option<String>,
    secret: Option<String>,
    advanced_signatures: Option<bool>,
    http_timeout: Option<u64>,
    is_disabled: Option<bool>,
    manner: Manner,
    other: Map<String, Value>,
}

/// What it says about how it is called.
#[derive(Debug)]
struct Manner {
    rate_limit: Option<u64>,
    rate_limit_duration: Option<u64>,
    content_type: Option<String>,
    authentication: Option<AuthenticationInput>,
}

impl FromFields for EndpointInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            name: fields.either_text("name", "title")?,
            url: fields.either_text("url", "target_url")?,
            description: fields.text("description")?,
            owner_id: fields.text("owner_id")?,
            secret: fields.text("secret")?,
            advanced_signatures: fields.flag("advanced_signatures")?,
            http_timeout: fields.number("http_timeout", 0..=TIMEOUT_MAX_S)?,
            is_disabled: fields.flag("is_disabled")?,
            manner: Manner {
                rate_limit: fields.number("rate_limit", 0..=CALLS_MAX)?,
                rate_limit_duration: fields.number("rate_limit_duration", 0..=DAY_S)?,
                content_type: fields.text("content_type")?,
                authentication: fields.object("authentication")?,
            },
            other: fields.checked_rest()?,
        })
    }
}

/// Fields of Convoy's endpoint that would change what is delivered, or who is told of it.
const UNSUPPORTED: &[&str] = &["slack_webhook_url", "support_email", "teams_webhook_url"];

impl Endpoint {
    /// A new endpoint, and its secret in clear, to be shown this once. A secret is made when none is given.
    pub fn create(
        input: EndpointInput,
        project_id: &str,
        allow_private: bool,
        vault: &Vault,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<(Self, String), ApiError> {
        input.check_effects()?;
        let name = input.name.unwrap_or_default().trim().to_owned();
        if name.is_empty() {
            return Err(ApiError::bad_request("name:please provide your endpointName"));
        }
        check_length("name", &name, NAME_MAX_CHARS)?;
        for (field, value) in [("description", &input.description), ("owner_id", &input.owner_id)] {
            check_length(field, value.as_deref().unwrap_or_default(), TEXT_MAX_CHARS)?;
        }
        check_length("url", input.url.as_deref().unwrap_or_default(), TEXT_MAX_CHARS)?;
        let url = input.url.unwrap_or_default();
        address::check_new(&url, allow_private)
            .map_err(|bad| ApiError::bad_request(bad.to_string()))?;
        let http_timeout = timeout_of(input.http_timeout.unwrap_or(0))?;
        let manner = input.manner;
        let secret = secret_of(input.secret, &mut *fill)?;
        let uid = ids::uid(now_ms, &mut *fill);
        let sealed = vault
            .seal(&secret, &secret_place(project_id, &uid), &mut *fill)
            .map_err(|error| ApiError::new(500, error.to_string()))?;
        let secrets = vec![EndpointSecret {
            uid: ids::uid(now_ms, &mut *fill),
            value: sealed,
            created_at: now_ms,
            expires_at: None,
        }];
        let mut endpoint = Self {
            uid,
            project_id: project_id.to_owned(),
            name,
            url: url.trim().to_owned(),
            description: input.description.unwrap_or_default(),
            owner_id: input.owner_id.unwrap_or_default().trim().to_owned(),
            secrets,
            advanced_signatures: input.advanced_signatures.unwrap_or(true),
            http_timeout,
            rate_limit: None,
            content_type: ContentType::Json,
            authentication: None,
            status: if input.is_disabled == Some(true) { Status::Paused } else { Status::Active },
            status_reason: String::new(),
            created_at: now_ms,
            updated_at: now_ms,
        };
        endpoint.change_manner(manner, allow_private, vault, fill)?;
        Ok((endpoint, secret))
    }

    /// Changes how it is called: how often, with what, and as whom.
    fn change_manner(
        &mut self,
        manner: Manner,
        allow_private: bool,
        vault: &Vault,
        fill: Fill<'_>,
    ) -> Result<(), ApiError> {
        if manner.rate_limit.is_some() || manner.rate_limit_duration.is_some() {
            let (count, seconds) =
                self.rate_limit.map_or((0, 0), |limit| (limit.count, limit.duration_s));
            self.rate_limit = rate_limit_of(
                manner.rate_limit.unwrap_or(count),
                manner.rate_limit_duration.unwrap_or(seconds),
            )?;
        }
        if let Some(name) = manner.content_type {
            self.content_type = ContentType::of(&name)?;
        }
        if let Some(input) = manner.authentication {
            let ids = (self.project_id.as_str(), self.uid.as_str());
            auth::change(&mut self.authentication, input, ids, allow_private, vault, fill)?;
        }
        Ok(())
    }

    /// Why nothing is delivered to it now, if so.
    pub fn not_active(&self) -> Option<Undeliverable> {
        self.status.not_active()
    }

    /// The endpoint as the API shows it, its secrets masked.
    pub fn present(&self) -> Value {
        let secrets: Vec<Value> =
            self.secrets.iter().map(|secret| secret.present(&secret.value.hint)).collect();
        json!({
            "uid": self.uid, "project_id": self.project_id, "name": self.name, "url": self.url,
            "description": self.description, "owner_id": self.owner_id, "secrets": secrets,
            "advanced_signatures": self.advanced_signatures, "http_timeout": self.http_timeout,
            "rate_limit": self.rate_limit.map_or(0, |limit| limit.count),
            "rate_limit_duration": self.rate_limit.map_or(0, |limit| limit.duration_s),
            "content_type": self.content_type,
            "authentication": self.authentication.as_ref().map(Authentication::present),
            "slack_webhook_url": "", "support_email": "", "status": self.status,
            "status_reason": self.status_reason,
            "created_at": rfc3339(self.created_at), "updated_at": rfc3339(self.updated_at), "deleted_at": null,
        })
    }

    /// [`Endpoint::present`] with the secret in clear: the answer to its creation, and only that.
    pub fn present_created(&self, secret: &str) -> Value {
        let mut shown = self.present();
        let stored = self.secrets.iter().map(|stored| stored.present(secret));
        if let Some(secrets) = shown.get_mut("secrets") {
            *secrets = stored.collect();
        }
        shown
    }

    /// The keys that sign this endpoint's deliveries at `now_ms`, oldest first.
    pub fn open_secrets(
        &self,
        vault: &Vault,
        now_ms: u64,
    ) -> Result<Vec<inlet_verify::Secret>, VaultError> {
        let place = secret_place(&self.project_id, &self.uid);
        let valid = self.secrets.iter().filter(|secret| secret.is_valid(now_ms));
        valid.map(|secret| vault.open(&secret.value, &place)).collect()
    }

    fn is_newest_secret(&self, given: &str, vault: &Vault) -> Result<bool, ApiError> {
        let Some(newest) = self.secrets.last() else { return Ok(false) };
        let place = secret_place(&self.project_id, &self.uid);
        let secret = vault.open(&newest.value, &place);
        let secret = secret.map_err(|error| ApiError::new(500, error.to_string()))?;
        Ok(secret.is(given.as_bytes()))
    }

    /// Applies an update: what is given replaces what is there. Secrets change by [`Endpoint::expire_secret`].
    pub fn update(
        &mut self,
        input: EndpointInput,
        allow_private: bool,
        vault: &Vault,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<(), ApiError> {
        input.check_effects()?;
        if input.is_disabled == Some(true) && self.status == Status::Active {
            return Err(ApiError::bad_request(
                "is_disabled: an endpoint is taken out of use by PUT …/endpoints/{id}/pause",
            ));
        }
        let status = json!(self.status);
        if let Some(other) = input
            .other
            .get("status")
            .filter(|other| !other.is_null() && **other != "" && **other != status)
        {
            return Err(ApiError::bad_request(format!(
                "status:is not changed to {other} by this call: PUT …/endpoints/{{id}}/pause pauses an endpoint and goes on with it, POST …/activate makes an inactive one active"
            )));
        }
        let credential = self.authentication.as_ref().map(|stored| stored.secret.clone());
        self.change_manner(input.manner, allow_private, vault, fill)?;
        let secret = input.secret.unwrap_or_default();
        if !secret.is_empty() && !is_hint(&secret) && !self.is_newest_secret(&secret, vault)? {
            return Err(ApiError::bad_request(
                "secret:is changed with PUT …/expire_secret, so that the old one stays valid for a while",
            ));
        }
        if let Some(name) = input.name {
            let name = name.trim();
            if name.is_empty() {
                return Err(ApiError::bad_request("name:please provide your endpointName"));
            }
            check_length("name", name, NAME_MAX_CHARS)?;
            name.clone_into(&mut self.name);
        }
        if let Some(url) = input.url {
            check_length("url", &url, TEXT_MAX_CHARS)?;
            let is_new = url.trim() != self.url;
            let check = if is_new { address::check_new } else { address::check };
            check(&url, allow_private).map_err(|bad| ApiError::bad_request(bad.to_string()))?;
            // Whoever may change an endpoint need not know its secret, and may not have it sent to a server of their own.
            let is_kept = credential.is_some()
                && self.authentication.as_ref().map(|stored| &stored.secret) == credential.as_ref();
            if is_kept && !address::is_same_server(&self.url, &url) {
                return Err(ApiError::bad_request(
                    "url:is on another server than before: send authentication with its secret whole, or with an empty type to have none",
                ));
            }
            url.trim().clone_into(&mut self.url);
        }
        for (field, given, stored) in [
            ("description", input.description, &mut self.description),
            ("owner_id", input.owner_id, &mut self.owner_id),
        ] {
            if let Some(text) = given {
                check_length(field, &text, TEXT_MAX_CHARS)?;
                // Links and fan-outs trim the names of owners.
                *stored = if field == "owner_id" { text.trim().to_owned() } else { text };
            }
        }
        if let Some(advanced) = input.advanced_signatures {
            self.advanced_signatures = advanced;
        }
        if let Some(seconds) = input.http_timeout {
            self.http_timeout = timeout_of(seconds)?;
        }
        self.updated_at = time::after(now_ms, self.updated_at);
        Ok(())
    }

    /// Pauses an active endpoint, and the other way round.
    pub fn toggle_pause(&mut self, now_ms: u64) -> Result<(), ApiError> {
        self.status = match self.status {
            Status::Active => Status::Paused,
            Status::Paused => Status::Active,
            Status::Inactive => {
                return Err(ApiError::bad_request(
                    "current endpoint status - inactive, does not support pausing or unpausing",
                ));
            }
        };
        self.updated_at = time::after(now_ms, self.updated_at);
        Ok(())
    }

    pub fn activate(&mut self, now_ms: u64) -> Result<(), ApiError> {
        if self.status == Status::Active {
            return Err(ApiError::bad_request(
                "current endpoint status - active, does not support activation",
            ));
        }
        self.status = Status::Active;
        self.updated_at = time::after(now_ms, self.updated_at);
        self.status_reason.clear();
        Ok(())
    }

    /// A new secret beside those that are there: the one before it goes on signing for `expiration` hours (as in Convoy none, if
    /// nothing is said), and those that were granted a time until then; a written 0 ends them all. The new one, in clear, is returned
    /// to be shown this once.
    pub fn expire_secret(
        &mut self,
        input: ExpireInput,
        vault: &Vault,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<String, ApiError> {
        let hours = input.expiration.unwrap_or(0);
        if OVERLAP_MAX_HOURS < hours {
            let text = format!("expiration:at most {OVERLAP_MAX_HOURS} hours");
            return Err(ApiError::bad_request(text));
        }
        let secret = secret_of(input.secret, &mut *fill)?;
        // Every one of them signs, and a header has to hold all signatures. None ends before its time unless somebody says so.
        let valid = self.secrets.iter().filter(|secret| secret.is_valid(now_ms));
        if hours != 0 && SECRETS_MAX <= valid.clone().count() {
            let end = valid.filter_map(|secret| secret.expires_at).min().unwrap_or(now_ms);
            return Err(ApiError::bad_request(format!(
                "secret:{SECRETS_MAX} secrets of the endpoint sign, which is the most; the first of them ends at {}: wait until \
                 then, or send \"expiration\": 0, with which all that are there end at once",
                rfc3339(end)
            )));
        }
        let place = secret_place(&self.project_id, &self.uid);
        let value = vault
            .seal(&secret, &place, &mut *fill)
            .map_err(|error| ApiError::new(500, error.to_string()))?;
        let end = now_ms.saturating_add(hours * 3_600_000);
        self.secrets.retain(|secret| secret.is_valid(now_ms));
        let keep_their_time = input.expiration != Some(0);
        for old in &mut self.secrets {
            old.expires_at = old.expires_at.filter(|_| keep_their_time).or(Some(end));
        }
        // Those that have just ended are shown as long as there is room.
        while SECRETS_MAX <= self.secrets.len() {
            let ended = self.secrets.iter().position(|secret| !secret.is_valid(now_ms));
            self.secrets.remove(ended.unwrap_or(0));
        }
        let uid = ids::uid(now_ms, fill);
        self.secrets.push(EndpointSecret { uid, value, created_at: now_ms, expires_at: None });
        self.updated_at = time::after(now_ms, self.updated_at);
        Ok(secret)
    }

    /// [`Endpoint::present`] with its newest secret in clear: the answer to its exchange, and only that.
    pub fn present_exchanged(&self, secret: &str) -> Value {
        let mut shown = self.present();
        let newest = self.secrets.last().map(|stored| stored.present(secret));
        let secrets = shown.get_mut("secrets").and_then(Value::as_array_mut);
        if let (Some(last), Some(newest)) = (secrets.and_then(|all| all.last_mut()), newest) {
            *last = newest;
        }
        shown
    }
}

/// The body of `PUT /endpoints/{endpointID}/expire_secret`; `expiration` in hours.
#[derive(Debug)]
pub struct ExpireInput {
    secret: Option<String>,
    expiration: Option<u64>,
}

impl FromFields for ExpireInput {
    const IS_CLOSED: bool = true;

    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            secret: fields.text("secret")?,
            expiration: fields.number("expiration", 0..=OVERLAP_MAX_HOURS)?,
        })
    }
}

/// The longest time that two secrets of an endpoint are valid together.
const OVERLAP_MAX_HOURS: u64 = 31 * 24;
const SECRETS_MAX: usize = 5;
const CALLS_MAX: u64 = 1_000_000;
const DAY_S: u64 = 86_400;

fn timeout_of(seconds: u64) -> Result<u64, ApiError> {
    match seconds {
        0 => Ok(DEFAULT_TIMEOUT_S),
        1..=TIMEOUT_MAX_S => Ok(seconds),
        _ => {
            let text = format!("http_timeout:at most {TIMEOUT_MAX_S} seconds");
            Err(ApiError::bad_request(text))
        }
    }
}

/// The limit of `count` calls in `seconds`, if it is one.
fn rate_limit_of(count: u64, seconds: u64) -> Result<Option<RateLimit>, ApiError> {
    let fault = |text: String| Err(ApiError::bad_request(text));
    match (count, seconds) {
        (0, _) => Ok(None),
        (1..=CALLS_MAX, 1..=DAY_S) => Ok(Some(RateLimit { count, duration_s: seconds })),
        (1..=CALLS_MAX, _) => fault(format!("rate_limit_duration:from 1 to {DAY_S} seconds")),
        _ => fault(format!("rate_limit:at most {CALLS_MAX} calls")),
    }
}

/// The secret that is given, or else a new one.
fn secret_of(given: Option<String>, fill: Fill<'_>) -> Result<String, ApiError> {
    match given.filter(|secret| !secret.is_empty()) {
        Some(secret) => check_secret(&secret).map(|()| secret),
        None => Ok(generate_secret(fill)),
    }
}

/// Refuses a secret that would sign nothing worth the name.
pub(crate) fn check_secret(secret: &str) -> Result<(), ApiError> {
    if is_short_key(secret) {
        return Err(ApiError::bad_request(
            "secret:after whsec_ stands a key of at least 16 bytes in base64",
        ));
    }
    if is_weak(secret) {
        return Err(ApiError::bad_request("secret:must not be blank or all zeros"));
    }
    Ok(())
}

impl EndpointInput {
    /// Refuses what would be stored and do nothing.
    fn check_effects(&self) -> Result<(), ApiError> {
        for field in UNSUPPORTED {
            refuse_unsupported(field, self.other.get(*field))?;
        }
        if self.other.get("mtls_client_cert").is_some_and(crate::api::asks_for_something) {
            return Err(ApiError::bad_request(
                "mtls_client_cert is not supported: a Worker's client certificates are bound when it is deployed, so an \
                 endpoint cannot bring its own",
            ));
        }
        Ok(())
    }
}

impl EndpointSecret {
    fn is_valid(&self, now_ms: u64) -> bool {
        self.expires_at.is_none_or(|end| now_ms < end)
    }

    fn present(&self, value: &str) -> Value {
        json!({"uid": self.uid, "value": value, "created_at": rfc3339(self.created_at), "expires_at": self.expires_at.map(rfc3339)})
    }
}

/// True for a key of Standard Webhooks that is none, or too short to be one.
fn is_short_key(secret: &str) -> bool {
    use base64::Engine;
    let key = secret.strip_prefix("whsec_");
    key.is_some_and(|key| {
        base64::engine::general_purpose::STANDARD.decode(key).map_or(0, |key| key.len()) < 16
    })
}

/// True for a secret that is no secret: blank, or nothing but zeros.
pub(crate) fn is_weak(secret: &str) -> bool {
    secret.trim_matches(|c: char| c.is_whitespace() || c == '0' || c == '\0').is_empty()
}

pub(crate) fn secret_place(project_id: &str, uid: &str) -> String {
    format!("{project_id}/endpoint/{uid}/secret")
}

/// A key in the form of [Standard Webhooks](https://www.standardwebhooks.com): `whsec_` and 32 bytes of base64.
fn generate_secret(fill: Fill<'_>) -> String {
    use base64::Engine;
    let mut key = [0; 32];
    fill(&mut key);
    format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(key))
}

#[cfg(test)]
mod tests;
