//! Endpoints: the receivers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::address;
use crate::api::{ApiError, NAME_MAX_CHARS, TEXT_MAX_CHARS, check_length, refuse_unsupported};
use crate::fields::{Fields, FromFields};
use crate::ids::{self, Fill};
use crate::time::rfc3339;
use crate::vault::{Sealed, Vault, VaultError};

/// Seconds an endpoint has to answer, unless it sets its own.
const DEFAULT_TIMEOUT_S: u64 = 10;
/// The longest of them; a delivery's lease is longer still.
pub const TIMEOUT_MAX_S: u64 = 60;

/// A receiver, as it is stored.
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
    /// Seconds.
    pub http_timeout: u64,
    pub status: Status,
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

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EndpointSecret {
    pub uid: String,
    pub value: Sealed,
    pub created_at: u64,
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
    content_type: Option<String>,
    other: Map<String, Value>,
}

impl FromFields for EndpointInput {
    fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        Ok(Self {
            name: fields.either_text("name", "title")?,
            url: fields.either_text("url", "target_url")?,
            description: fields.text("description")?,
            owner_id: fields.text("owner_id")?,
            secret: fields.text("secret")?,
            advanced_signatures: fields.flag("advanced_signatures")?,
            http_timeout: fields.number("http_timeout")?,
            content_type: fields.text("content_type")?,
            other: fields.rest(),
        })
    }
}

/// Fields of Convoy's endpoint that would change what is delivered, or who is told of it.
const UNSUPPORTED: &[&str] = &[
    "authentication",
    "mtls_client_cert",
    "rate_limit",
    "rate_limit_duration",
    "slack_webhook_url",
    "support_email",
    "teams_webhook_url",
];

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
        for field in UNSUPPORTED {
            refuse_unsupported(field, input.other.get(*field))?;
        }
        if let Some(content_type) = input.content_type.as_deref()
            && !matches!(content_type, "" | "application/json")
        {
            return Err(ApiError::bad_request(
                "content_type is not supported yet: an endpoint gets the event's own content type",
            ));
        }
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
        address::check(&url, allow_private)
            .map_err(|bad| ApiError::bad_request(bad.to_string()))?;
        let http_timeout = match input.http_timeout.unwrap_or(0) {
            0 => DEFAULT_TIMEOUT_S,
            seconds @ 1..=TIMEOUT_MAX_S => seconds,
            _ => {
                return Err(ApiError::bad_request(format!(
                    "http_timeout:at most {TIMEOUT_MAX_S} seconds"
                )));
            }
        };
        let secret = match input.secret.filter(|secret| !secret.is_empty()) {
            Some(secret) if is_short_key(&secret) => {
                return Err(ApiError::bad_request(
                    "secret:after whsec_ stands a key of at least 16 bytes in base64",
                ));
            }
            Some(secret) if is_weak(&secret) => {
                return Err(ApiError::bad_request("secret:must not be blank or all zeros"));
            }
            Some(secret) => secret,
            None => generate_secret(&mut *fill),
        };
        let uid = ids::uid(now_ms, &mut *fill);
        let sealed = vault
            .seal(&secret, &secret_place(project_id, &uid), &mut *fill)
            .map_err(|error| ApiError::new(500, error.to_string()))?;
        let secrets =
            vec![EndpointSecret { uid: ids::uid(now_ms, fill), value: sealed, created_at: now_ms }];
        let endpoint = Self {
            uid,
            project_id: project_id.to_owned(),
            name,
            url: url.trim().to_owned(),
            description: input.description.unwrap_or_default(),
            owner_id: input.owner_id.unwrap_or_default(),
            secrets,
            advanced_signatures: input.advanced_signatures.unwrap_or(true),
            http_timeout,
            status: Status::Active,
            created_at: now_ms,
            updated_at: now_ms,
        };
        Ok((endpoint, secret))
    }

    /// The endpoint as the API shows it, its secrets masked.
    pub fn present(&self) -> Value {
        let secrets: Vec<Value> =
            self.secrets.iter().map(|secret| secret.present(&secret.value.hint)).collect();
        json!({
            "uid": self.uid, "project_id": self.project_id, "name": self.name, "url": self.url,
            "description": self.description, "owner_id": self.owner_id, "secrets": secrets,
            "advanced_signatures": self.advanced_signatures, "http_timeout": self.http_timeout,
            "rate_limit": 0, "rate_limit_duration": 0, "content_type": "", "authentication": null,
            "slack_webhook_url": "", "support_email": "", "status": self.status, "events": 0,
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

    /// The keys that sign this endpoint's deliveries, oldest first.
    pub fn open_secrets(&self, vault: &Vault) -> Result<Vec<inlet_verify::Secret>, VaultError> {
        let place = secret_place(&self.project_id, &self.uid);
        self.secrets.iter().map(|secret| vault.open(&secret.value, &place)).collect()
    }
}

impl EndpointSecret {
    fn present(&self, value: &str) -> Value {
        json!({"uid": self.uid, "value": value, "created_at": rfc3339(self.created_at), "expires_at": null})
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

fn secret_place(project_id: &str, uid: &str) -> String {
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
mod tests {
    use super::*;
    use crate::api::parse;

    fn vault() -> Vault {
        Vault::new("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap()
    }

    fn create(body: &str) -> Result<(Endpoint, String), String> {
        let input = parse(body.as_bytes()).map_err(|error| error.message)?;
        Endpoint::create(input, "p", false, &vault(), 0, &mut |b| b.fill(5))
            .map_err(|error| error.message)
    }

    #[test]
    fn the_secret_is_shown_once_and_masked_after() {
        let (endpoint, secret) = create(r#"{"name":"a","url":"https://example.com/"}"#).unwrap();
        assert!(secret.starts_with("whsec_"));
        assert_eq!(endpoint.present_created(&secret)["secrets"][0]["value"], secret);
        assert!(!endpoint.present().to_string().contains(&secret));
        assert_eq!(endpoint.open_secrets(&vault()).unwrap()[0].expose(), secret.as_bytes());
    }

    #[test]
    fn both_spellings_of_name_and_url_are_read() {
        let (endpoint, _) =
            create(r#"{"title":"a","target_url":"https://example.com/x"}"#).unwrap();
        assert_eq!((endpoint.name.as_str(), endpoint.url.as_str()), ("a", "https://example.com/x"));
    }

    #[test]
    fn an_endpoint_that_cannot_work_is_refused() {
        let check = |body: &str, expect: &str| {
            let error = create(body).unwrap_err();
            assert!(error.contains(expect), "{body}: {error}");
        };
        check("{}", "name:please provide");
        check(r#"{"name":"a","url":"https://example.com","secret":"whsec_"}"#, "at least 16 bytes");
        check(
            &format!(r#"{{"name":"{}","url":"https://example.com"}}"#, "x".repeat(300)),
            "name:at most 256",
        );
        check(r#"{"name":"a"}"#, "please provide the endpoint url");
        check(r#"{"name":"a","url":"http://127.0.0.1/"}"#, "is a loopback address");
        check(r#"{"name":"a","url":"gopher://example.com"}"#, "invalid endpoint scheme");
        check(r#"{"name":"a","url":"https://example.com","secret":"0000"}"#, "all zeros");
        check(
            r#"{"name":"a","url":"https://example.com","http_timeout":900}"#,
            "at most 60 seconds",
        );
        check(
            r#"{"name":"a","url":"https://example.com","rate_limit":5}"#,
            "rate_limit is not supported yet",
        );
        check(r#"{"name":5}"#, "incorrect JSON type");
    }
}
