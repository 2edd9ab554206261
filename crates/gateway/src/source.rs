//! Sources: the configured senders. Input of the API → what is stored → what it means.

use inlet_verify::{Encoding, Hash, Provider, Scheme, Secret, Verifier, catalogue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::address;
use crate::admission::{Admission, AdmissionInput};
use crate::api::{ApiError, Faults, NAME_MAX_CHARS, check_length, refuse_unsupported};
use crate::endpoint::is_weak;
use crate::fields::{Fields, FromFields};
use crate::header::is_header_name;
use crate::ids::{self, Fill};
use crate::locate::Location;
use crate::provider_config::{self, ProviderConfigInput};
use crate::pub_sub::{self, Keeper, PubSub};
use crate::time::rfc3339;
use crate::transform::Functions;
use crate::trust::{Mode, SECRETS_MAX, SecretInput, StoredSecret, Trust, TrustInput};
use crate::vault::{Sealed, Vault, VaultError, is_hint};

/// The type of a body that is given without one.
pub(crate) const PLAIN: &str = "text/plain; charset=utf-8";
/// The largest custom response, in bytes.
pub const RESPONSE_MAX_BYTES: usize = 51_200;
/// How long a dedup key stays claimed unless the source says otherwise: three days, as long as the
/// most patient providers go on redelivering.
pub const DEDUP_WINDOW_DEFAULT_S: u64 = 259_200;
const DEDUP_WINDOW_MAX_S: u64 = 31 * 86_400;

/// A configured sender, as it is stored. Secrets are sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Source {
    pub uid: String,
    pub project_id: String,
    /// The last part of the ingest URL; never changes.
    pub mask_id: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    /// A row of the catalogue; empty for a source with a verifier of its own.
    pub provider: String,
    pub is_disabled: bool,
    pub verifier: StoredVerifier,
    pub custom_response: CustomResponse,
    /// When a Twitter source answered its first CRC, Unix milliseconds.
    pub crc_verified_at: Option<u64>,
    /// The only topic of Amazon SNS that is believed; empty: any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub topic_arn: String,
    /// Until when the source takes a secret that its provider hands over, Unix milliseconds.
    #[serde(default)]
    pub armed_until: Option<u64>,
    /// `None`: everything that is safe to pass on. `Some`: these alone.
    pub forward_headers: Option<Vec<String>>,
    pub idempotency_keys: Vec<String>,
    pub dedup_window_seconds: u64,
    pub event_type_location: String,
    #[serde(default)]
    pub admission: Admission,
    /// What a companion reads for the source.
    #[serde(default)]
    pub pub_sub: Option<PubSub>,
    #[serde(default)]
    pub functions: Functions,
    pub created_at: u64,
    pub updated_at: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Http,
    RestApi,
    PubSub,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StoredVerifier {
    /// As it was sent: `noop`, `hmac`, `basic_auth`, `api_key`, or empty for a provider.
    #[serde(rename = "type")]
    pub kind: String,
    pub hmac: Option<StoredHmac>,
    pub basic_auth: Option<StoredBasicAuth>,
    pub api_key: Option<StoredApiKey>,
    #[serde(default)]
    pub trust: Trust,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredHmac {
    pub header: String,
    pub hash: String,
    pub encoding: String,
    pub secret: Sealed,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredBasicAuth {
    pub username: String,
    pub password: Sealed,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredApiKey {
    pub header_name: String,
    pub header_value: Sealed,
}

/// What the sender reads instead of Inlet's own answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomResponse {
    pub body: String,
    pub content_type: String,
    /// Whether an empty body was asked for. Else it means that there is none.
    #[serde(default)]
    pub is_empty: bool,
}

/// The body of `POST /sources` and `PUT /sources/{sourceID}`.
#[derive(Debug, Default)]
pub struct SourceInput {
    name: Option<String>,
    kind: Option<String>,
    provider: Option<String>,
    is_disabled: Option<bool>,
    verifier: Option<VerifierInput>,
    custom_response: Option<CustomResponseInput>,
    forward_headers: Option<Vec<String>>,
    idempotency_keys: Option<Vec<String>>,
    dedup_window_seconds: Option<u64>,
    event_type_location: Option<String>,
    body_function: Option<String>,
    header_function: Option<String>,
    admission: AdmissionInput,
    pub_sub: Option<Value>,
    provider_config: Option<ProviderConfigInput>,
}

impl FromFields for SourceInput {
    fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        Ok(Self {
            name: fields.text("name")?,
            kind: fields.text("type")?,
            provider: fields.text("provider")?,
            is_disabled: fields.flag("is_disabled")?,
            verifier: fields.object("verifier")?,
            custom_response: fields.object("custom_response")?,
            forward_headers: fields.texts("forward_headers")?,
            idempotency_keys: fields.texts("idempotency_keys")?,
            dedup_window_seconds: fields.number("dedup_window_seconds")?,
            event_type_location: fields.text("event_type_location")?,
            body_function: fields.text("body_function")?,
            header_function: fields.text("header_function")?,
            admission: AdmissionInput::take(&mut fields)?,
            pub_sub: fields.raw("pub_sub"),
            provider_config: fields.object("provider_config")?,
        })
    }
}

#[derive(Debug, Default)]
struct VerifierInput {
    kind: Option<String>,
    hmac: Option<HmacInput>,
    basic_auth: Option<BasicAuthInput>,
    api_key: Option<ApiKeyInput>,
    trust: TrustInput,
}

impl VerifierInput {
    /// Whether it says by what a request is believed.
    fn is_chosen(&self) -> bool {
        !self.kind.as_deref().unwrap_or_default().is_empty()
            || self.hmac.is_some()
            || self.basic_auth.is_some()
            || self.api_key.is_some()
            || self.trust.scheme.is_some()
    }
}

impl FromFields for VerifierInput {
    fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        Ok(Self {
            kind: fields.text("type")?,
            hmac: fields.object("hmac")?,
            basic_auth: fields.object("basic_auth")?,
            api_key: fields.object("api_key")?,
            trust: TrustInput::take(&mut fields)?,
        })
    }
}

#[derive(Debug, Default)]
struct HmacInput {
    header: Option<String>,
    hash: Option<String>,
    encoding: Option<String>,
    secret: Option<String>,
}

impl FromFields for HmacInput {
    fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        Ok(Self {
            header: fields.text("header")?,
            hash: fields.text("hash")?,
            encoding: fields.text("encoding")?,
            secret: fields.text("secret")?,
        })
    }
}

#[derive(Debug, Default)]
struct BasicAuthInput {
    username: Option<String>,
    password: Option<String>,
}

impl FromFields for BasicAuthInput {
    fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        Ok(Self { username: fields.text("username")?, password: fields.text("password")? })
    }
}

#[derive(Debug, Default)]
struct ApiKeyInput {
    header_name: Option<String>,
    header_value: Option<String>,
}

impl FromFields for ApiKeyInput {
    fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        Ok(Self {
            header_name: fields.text("header_name")?,
            header_value: fields.text("header_value")?,
        })
    }
}

#[derive(Debug)]
struct CustomResponseInput {
    body: Option<String>,
    content_type: Option<String>,
}

impl FromFields for CustomResponseInput {
    fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        Ok(Self { body: fields.text("body")?, content_type: fields.text("content_type")? })
    }
}

/// How long a source is armed unless the call says otherwise, and at most.
const ARMED_DEFAULT_S: u64 = 600;
const ARMED_MAX_S: u64 = 3_600;
/// How long a secret is shown that a provider handed over and wants to be told.
const SHOWN_MS: u64 = 3_600_000;

/// The body of `POST /sources/{sourceID}/arm`.
#[derive(Debug)]
pub struct ArmInput {
    seconds: Option<u64>,
}

impl FromFields for ArmInput {
    fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        Ok(Self { seconds: fields.number("seconds")? })
    }
}

const METADATA_LOCATION: &str = "event type location cannot use request headers or query parameters with \
    payload signature verification";

impl Source {
    /// A new source, checked in Convoy's order.
    pub fn create(
        input: SourceInput,
        project_id: &str,
        vault: &Vault,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<Self, ApiError> {
        let mut source = Self {
            uid: ids::uid(now_ms, &mut *fill),
            project_id: project_id.to_owned(),
            mask_id: ids::alphanumeric(16, &mut *fill),
            name: String::new(),
            kind: Kind::Http,
            provider: input.provider.clone().unwrap_or_default().trim().to_ascii_lowercase(),
            is_disabled: false,
            verifier: StoredVerifier::default(),
            custom_response: CustomResponse::default(),
            crc_verified_at: None,
            topic_arn: String::new(),
            armed_until: None,
            forward_headers: None,
            idempotency_keys: Vec::new(),
            dedup_window_seconds: DEDUP_WINDOW_DEFAULT_S,
            event_type_location: String::new(),
            admission: Admission::default(),
            pub_sub: None,
            functions: Functions::default(),
            created_at: now_ms,
            updated_at: now_ms,
        };
        // A row that nothing but hearsay supports could refuse wrongly.
        if catalogue::find(&source.provider).is_some_and(Provider::observe) {
            source.verifier.trust.mode = Mode::Observe;
        }
        source.apply(input, vault, now_ms, fill)?;
        Ok(source)
    }

    /// Applies an update: name and type are always replaced, the rest where it is given. The provider,
    /// the mask and the project do not change.
    pub fn update(
        &mut self,
        input: SourceInput,
        vault: &Vault,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<(), ApiError> {
        if let Some(provider) = input.provider.as_deref()
            && !provider.is_empty()
            && !provider.eq_ignore_ascii_case(&self.provider)
        {
            return Err(ApiError::bad_request(
                "provider:the provider of a source does not change; create another source",
            ));
        }
        self.apply(input, vault, now_ms, fill)
    }

    fn apply(
        &mut self,
        input: SourceInput,
        vault: &Vault,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<(), ApiError> {
        let provider = self.catalogue_row()?;
        let name = input.name.as_deref().unwrap_or_default().trim();
        let kind = input.kind.as_deref().unwrap_or_default();
        let is_new = self.name.is_empty();
        if let Some(row) = provider {
            if name.is_empty() {
                return Err(ApiError::bad_request("please provide a source name"));
            }
            if !matches!(kind, "http" | "rest_api" | "pub_sub" | "db_change_stream") {
                return Err(ApiError::bad_request("please provide a valid source type"));
            }
            let secret = input
                .verifier
                .as_ref()
                .and_then(|v| v.hmac.as_ref())
                .and_then(|hmac| hmac.secret.as_deref());
            let further = input.verifier.as_ref().and_then(|v| v.trust.secrets.as_ref());
            if is_new && row.is_unsigned() {
                self.check_unsigned(&input)?;
            }
            let has_secret = !secret.unwrap_or_default().is_empty()
                || further.is_some_and(|all| !all.is_empty());
            if is_new && !has_secret && row.needs_secret() && !row.hands_over_secret() {
                return Err(ApiError::bad_request(format!(
                    "hmac secret is required for {} source",
                    self.provider
                )));
            }
        }
        let signs = provider.filter(|row| !row.is_unsigned());
        if let (Some(_), Some(verifier)) = (signs, &input.verifier) {
            self.check_provider_verifier(verifier)?;
        }
        check_tags(&input, signs.is_some())?;
        if kind == "pub_sub" {
            check_pub_sub(&input)?;
        } else if asks_for_something(input.pub_sub.as_ref()) {
            return Err(ApiError::bad_request("pub_sub:is for sources of the type pub_sub"));
        }
        self.kind = match kind {
            "http" => Kind::Http,
            "rest_api" => Kind::RestApi,
            "pub_sub" => Kind::PubSub,
            other => {
                return Err(ApiError::bad_request(format!(
                    "type:{other} is not supported yet; use http, rest_api or pub_sub"
                )));
            }
        };
        name.clone_into(&mut self.name);

        check_length("name", name, NAME_MAX_CHARS)?;
        self.functions.change(
            input.body_function,
            input.header_function,
            self.kind == Kind::PubSub,
        )?;
        self.apply_pub_sub(input.pub_sub, vault, &mut *fill)?;
        if let Some(verifier) = input.verifier {
            self.verifier = self.stored_verifier(verifier, vault, now_ms, &mut *fill)?;
        }
        self.check_secrets(signs, vault)?;
        if let Some(response) = input.custom_response {
            self.custom_response.change(response)?;
        }
        if let Some(disabled) = input.is_disabled {
            self.is_disabled = disabled;
        }
        if let Some(names) = input.forward_headers {
            // An empty list is what a source without one shows.
            self.forward_headers = Some(header_names(names)?).filter(|names| !names.is_empty());
        }
        if let Some(keys) = input.idempotency_keys {
            for key in &keys {
                Location::parse_idempotency_key(key).map_err(ApiError::bad_request)?;
            }
            self.idempotency_keys = keys;
        }
        if let Some(seconds) = input.dedup_window_seconds {
            if !(1..=DEDUP_WINDOW_MAX_S).contains(&seconds) {
                let text = format!("dedup_window_seconds:from 1 to {DEDUP_WINDOW_MAX_S}");
                return Err(ApiError::bad_request(text));
            }
            self.dedup_window_seconds = seconds;
        }
        if let Some(location) = input.event_type_location {
            if !location.is_empty() {
                Location::parse_event_type(&location).map_err(ApiError::bad_request)?;
            }
            self.event_type_location = location;
        }
        if let Some(config) = input.provider_config
            && let Some(topic) = config.topic(&self.provider)?
        {
            self.topic_arn = topic;
        }
        self.admission.change(input.admission)?;
        self.check_event_type_location(vault)?;
        self.updated_at = now_ms;
        Ok(())
    }

    /// Only the body is covered by a payload signature, so only the body may name the event type.
    fn check_event_type_location(&self, vault: &Vault) -> Result<(), ApiError> {
        let Ok(location) = Location::parse_event_type(&self.event_type_location) else {
            return Ok(());
        };
        let verifier =
            self.open_verifier(vault).map_err(|error| ApiError::new(500, error.to_string()))?;
        if verifier.signs_body() && !location.is_body() {
            return Err(ApiError::bad_request(METADATA_LOCATION));
        }
        Ok(())
    }

    fn catalogue_row(&self) -> Result<Option<&'static Provider>, ApiError> {
        if self.provider.is_empty() {
            return Ok(None);
        }
        let unknown = || {
            let text = format!("provider:{} is not in the catalogue of providers", self.provider);
            ApiError::bad_request(text)
        };
        catalogue::find(&self.provider).map(Some).ok_or_else(unknown)
    }

    /// The row of a provider that signs: it says how a request is verified.
    fn signing_row(&self) -> Option<&'static Provider> {
        catalogue::find(&self.provider).filter(|row| !row.is_unsigned())
    }

    /// Who sends in the name of a provider that signs nothing cannot be told by its row: the operator has to
    /// choose, and to say so where nobody is to be told apart.
    fn check_unsigned(&self, input: &SourceInput) -> Result<(), ApiError> {
        let chosen = input.verifier.as_ref().is_some_and(VerifierInput::is_chosen);
        let text = || {
            format!(
                "verifier:{} signs nothing, so choose what protects the source: basic_auth, api_key, hmac or scheme \
                 (with the algorithm token for a secret in the URL); or the type noop, which believes whoever knows the URL",
                self.provider
            )
        };
        if chosen { Ok(()) } else { Err(ApiError::bad_request(text())) }
    }

    /// What would have no effect, because the provider's row says how it signs.
    fn check_provider_verifier(&self, input: &VerifierInput) -> Result<(), ApiError> {
        let kind = input.kind.as_deref().unwrap_or_default();
        for (field, given) in [
            ("scheme", input.trust.scheme.is_some() || kind == "scheme"),
            ("basic_auth", input.basic_auth.is_some() || kind == "basic_auth"),
            ("api_key", input.api_key.is_some() || kind == "api_key"),
        ] {
            if given {
                return Err(ApiError::bad_request(format!(
                    "verifier.{field}:has no effect, because the provider {} has a scheme of its own; give its secret in \
                     hmac.secret or secrets, or leave out the provider",
                    self.provider
                )));
            }
        }
        Ok(())
    }

    fn stored_verifier(
        &self,
        mut input: VerifierInput,
        vault: &Vault,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<StoredVerifier, ApiError> {
        let old = &self.verifier;
        let mut trust = old.trust.clone();
        if let Some(secrets) = input.trust.secrets.take() {
            trust.secrets = self.stored_secrets(secrets, vault, now_ms, &mut *fill)?;
        }
        let hearsay = catalogue::find(&self.provider).is_some_and(Provider::observe);
        let gives_scheme = input.trust.scheme.is_some();
        trust.apply(input.trust, hearsay)?;
        let mut keep = |field: &str, given: Option<String>, stored: Option<&Sealed>| {
            let given = given.unwrap_or_default();
            match stored {
                Some(stored) if given.is_empty() || given == stored.hint => {
                    return Ok(stored.clone());
                }
                _ if is_hint(&given) => {
                    return Err(ApiError::bad_request(format!(
                        "{field}:this is the mask of a secret; send the secret itself"
                    )));
                }
                _ => {}
            }
            if is_weak(&given) {
                return Err(ApiError::bad_request(format!(
                    "{field}:must not be blank or all zeros"
                )));
            }
            vault
                .seal(&given, &self.place(field), &mut *fill)
                .map_err(|error| ApiError::new(500, error.to_string()))
        };
        let text = |value: Option<String>| value.unwrap_or_default().trim().to_owned();
        let hmac = input
            .hmac
            .map(|hmac| {
                let stored = old.hmac.as_ref().map(|hmac| &hmac.secret);
                Ok(StoredHmac {
                    header: text(hmac.header),
                    hash: text(hmac.hash),
                    encoding: text(hmac.encoding),
                    secret: keep("secret", hmac.secret, stored)?,
                })
            })
            .transpose()?;
        let basic_auth = input
            .basic_auth
            .map(|basic| {
                let stored = old.basic_auth.as_ref().map(|basic| &basic.password);
                Ok(StoredBasicAuth {
                    username: basic.username.unwrap_or_default(),
                    password: keep("password", basic.password, stored)?,
                })
            })
            .transpose()?;
        let api_key = input
            .api_key
            .map(|key| {
                let stored = old.api_key.as_ref().map(|key| &key.header_value);
                Ok(StoredApiKey {
                    header_name: text(key.header_name),
                    header_value: keep("header_value", key.header_value, stored)?,
                })
            })
            .transpose()?;
        let unsigned = catalogue::find(&self.provider).filter(|row| row.is_unsigned());
        if !self.provider.is_empty() && unsigned.is_none() {
            let hmac = hmac.or_else(|| old.hmac.clone());
            return Ok(StoredVerifier {
                kind: text(input.kind),
                hmac,
                basic_auth: None,
                api_key: None,
                trust: Trust { scheme: None, ..trust },
            });
        }
        let named = text(input.kind);
        let has_scheme = gives_scheme || (named == "scheme" && trust.scheme.is_some());
        let given = [hmac.is_some(), basic_auth.is_some(), api_key.is_some(), has_scheme];
        let Some(kind) = verifier_kind(&named, given)? else {
            return Ok(StoredVerifier { trust, ..old.clone() });
        };
        if kind != "scheme" {
            trust.scheme = None;
        }
        let for_questions = unsigned.is_some_and(Provider::asks_for_token);
        if !matches!(kind, "scheme" | "hmac") && !for_questions && !trust.secrets.is_empty() {
            return Err(ApiError::bad_request(
                "verifier.secrets:are for providers, hmac and schemes; send an empty list",
            ));
        }
        if kind == "scheme" && trust.secrets.is_empty() {
            return Err(ApiError::bad_request("verifier.secrets:a scheme needs a secret"));
        }
        Ok(StoredVerifier { kind: kind.to_owned(), hmac, basic_auth, api_key, trust })
    }

    /// The list of further secrets, whole. What is named by its uid, or sent back as its mask, stays.
    fn stored_secrets(
        &self,
        inputs: Vec<SecretInput>,
        vault: &Vault,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<Vec<StoredSecret>, ApiError> {
        if SECRETS_MAX < inputs.len() {
            let text = format!("verifier.secrets:at most {SECRETS_MAX}");
            return Err(ApiError::bad_request(text));
        }
        let mut secrets = Vec::with_capacity(inputs.len());
        for input in inputs {
            let expires_at = input.expiry()?;
            let label = input.label.clone().unwrap_or_default().trim().to_owned();
            check_length("verifier.secrets.label", &label, 64)?;
            let value = input.value.unwrap_or_default();
            let stored = self.verifier.trust.secrets.iter().find(|stored| match &input.uid {
                Some(uid) => stored.uid == *uid,
                None => is_hint(&value) && stored.value.hint == value,
            });
            let keeps = value.is_empty() || is_hint(&value);
            let secret = match stored {
                Some(stored) if keeps => StoredSecret { label, expires_at, ..stored.clone() },
                None if keeps => {
                    return Err(ApiError::bad_request(
                        "verifier.secrets.value:send the secret itself; there is none of this uid or mask",
                    ));
                }
                _ if is_weak(&value) => {
                    return Err(ApiError::bad_request(
                        "verifier.secrets.value:must not be blank or all zeros",
                    ));
                }
                _ => {
                    let uid = ids::uid(now_ms, &mut *fill);
                    let place = self.place(&format!("secrets/{uid}"));
                    let value = vault
                        .seal(&value, &place, &mut *fill)
                        .map_err(|error| ApiError::new(500, error.to_string()))?;
                    StoredSecret {
                        uid,
                        label,
                        value,
                        expires_at,
                        created_at: now_ms,
                        shown_until: None,
                    }
                }
            };
            secrets.push(secret);
        }
        Ok(secrets)
    }

    /// A key of the wrong form is found now, and not by the provider's first event.
    fn check_secrets(&self, provider: Option<&Provider>, vault: &Vault) -> Result<(), ApiError> {
        let scheme = self.verifier.trust.scheme();
        if provider.is_none() && scheme.is_none() {
            return Ok(());
        }
        let secrets =
            self.open_secrets(vault).map_err(|error| ApiError::new(500, error.to_string()))?;
        let only_tokens = !secrets.is_empty()
            && secrets.iter().all(|(secret, ..)| secret.verify_token().is_some());
        if only_tokens && provider.is_some_and(Provider::needs_secret) {
            return Err(ApiError::bad_request(
                "secret:a verify_token answers questions and proves nothing; give the signing secret, too",
            ));
        }
        for (secret, name, _) in secrets {
            let fits = match (provider, &scheme) {
                (Some(row), _) => row.check_secret(&secret),
                (None, Some(scheme)) => scheme.check_secret(&secret),
                (None, None) => Ok(()),
            };
            fits.map_err(|why| ApiError::bad_request(format!("secret:{name} {why}")))?;
            let is_public = match (provider, &scheme) {
                (Some(row), _) => row.takes_public_key(),
                (None, scheme) => scheme.as_ref().is_some_and(Scheme::takes_public_key),
            };
            // Whether it may be fetched is asked again when it is.
            let url = secret.key_url().filter(|_| is_public);
            if let Some(Err(bad)) = url.map(|url| address::check(url, false)) {
                let text = format!("secret:{name} names a URL from which no key is fetched: {bad}");
                return Err(ApiError::bad_request(text));
            }
        }
        Ok(())
    }

    /// The secrets that prove a request, each with its name and its end: those that last longest first.
    pub fn open_secrets(
        &self,
        vault: &Vault,
    ) -> Result<Vec<(Secret, String, Option<u64>)>, VaultError> {
        let mut all = Vec::new();
        if let Some(hmac) = &self.verifier.hmac {
            let secret = vault.open(&hmac.secret, &self.place("secret"))?;
            all.push((secret, "primary".to_owned(), None));
        }
        for stored in &self.verifier.trust.secrets {
            let secret =
                vault.open(&stored.value, &self.place(&format!("secrets/{}", stored.uid)))?;
            let name = if stored.label.is_empty() { &stored.uid } else { &stored.label };
            all.push((secret, name.clone(), stored.expires_at));
        }
        all.sort_by_key(|(_, _, expires_at)| std::cmp::Reverse(expires_at.unwrap_or(u64::MAX)));
        Ok(all)
    }

    /// Lets the source take a secret from its provider for some time; 0 seconds: no longer.
    pub fn arm(&mut self, input: ArmInput, now_ms: u64) -> Result<(), ApiError> {
        let seconds = input.seconds.unwrap_or(ARMED_DEFAULT_S);
        if !catalogue::find(&self.provider).is_some_and(Provider::hands_over_secret) {
            return Err(ApiError::bad_request("this source's provider hands over no secret"));
        }
        if self.verifier.hmac.is_some() || !self.verifier.trust.secrets.is_empty() {
            return Err(ApiError::bad_request(
                "the source has a secret, which would not be replaced",
            ));
        }
        if ARMED_MAX_S < seconds {
            return Err(ApiError::bad_request(format!("seconds:at most {ARMED_MAX_S}")));
        }
        self.armed_until = (0 < seconds).then_some(now_ms.saturating_add(seconds * 1000));
        self.updated_at = now_ms;
        Ok(())
    }

    /// Keeps the secret that a provider handed over. `false`: the source is not armed, or has one.
    pub fn capture(
        &mut self,
        secret: &Secret,
        vault: &Vault,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<bool, VaultError> {
        let is_armed = self.armed_until.is_some_and(|until| now_ms < until);
        if !is_armed || self.verifier.hmac.is_some() || !self.verifier.trust.secrets.is_empty() {
            return Ok(false);
        }
        let uid = ids::uid(now_ms, &mut *fill);
        let text = String::from_utf8_lossy(secret.expose());
        let value = vault.seal(&text, &self.place(&format!("secrets/{uid}")), fill)?;
        let label = "handed over by the provider".to_owned();
        let is_shown = catalogue::find(&self.provider).is_some_and(Provider::wants_secret_back);
        let shown_until = is_shown.then_some(now_ms.saturating_add(SHOWN_MS));
        self.verifier.trust.secrets = vec![StoredSecret {
            uid,
            label,
            value,
            expires_at: None,
            created_at: now_ms,
            shown_until,
        }];
        (self.armed_until, self.updated_at) = (None, now_ms);
        Ok(true)
    }

    /// The secret that the provider handed over and wants to be told, for as long as it is shown.
    pub fn handed_over(&self, vault: &Vault, now_ms: u64) -> Result<Value, ApiError> {
        let mut secrets = self.verifier.trust.secrets.iter();
        let shown = secrets.find(|secret| secret.shown_until.is_some_and(|until| now_ms < until));
        let Some(stored) = shown else {
            return Err(ApiError::not_found(
                "no secret to show: a secret that the provider hands over is shown for an hour, where the provider wants to be told it",
            ));
        };
        let secret = vault
            .open(&stored.value, &self.place(&format!("secrets/{}", stored.uid)))
            .map_err(|error| ApiError::new(500, error.to_string()))?;
        Ok(json!({
            "uid": stored.uid, "secret": String::from_utf8_lossy(secret.expose()),
            "shown_until": stored.shown_until.map(rfc3339),
        }))
    }

    /// An update that says nothing of the broker leaves it alone.
    fn apply_pub_sub(
        &mut self,
        input: Option<Value>,
        vault: &Vault,
        fill: Fill<'_>,
    ) -> Result<(), ApiError> {
        if self.kind != Kind::PubSub {
            self.pub_sub = None;
            return Ok(());
        }
        let stored = self.pub_sub.take();
        self.pub_sub = match (input, stored) {
            (None, Some(stored)) => Some(stored),
            (input, stored) => {
                let mut keeper = SourceKeeper { source: self, vault, fill };
                Some(PubSub::read(input, &self.uid, stored.as_ref(), &mut keeper)?)
            }
        };
        Ok(())
    }

    /// What a companion needs of the broker, with the secrets in clear.
    pub fn broker_in_clear(&self, vault: &Vault) -> Result<Value, VaultError> {
        let keeper = SourceKeeper { source: self, vault, fill: &mut |_| {} };
        self.pub_sub.as_ref().map_or(Ok(Value::Null), |pub_sub| pub_sub.in_clear(&keeper))
    }

    fn place(&self, field: &str) -> String {
        format!("{}/source/{}/{field}", self.project_id, self.uid)
    }

    /// The verifier with its secrets in clear, ready to be used.
    pub fn open_verifier(&self, vault: &Vault) -> Result<Verifier, VaultError> {
        let open = |field: &str, sealed: &Sealed| vault.open(sealed, &self.place(field));
        if let Some(provider) = self.signing_row() {
            return Ok(Verifier::Provider { provider, secrets: bare(self.open_secrets(vault)?) });
        }
        if let Some(scheme) = self.verifier.trust.scheme() {
            return Ok(Verifier::Scheme { scheme, secrets: bare(self.open_secrets(vault)?) });
        }
        let verifier = &self.verifier;
        match (verifier.kind.as_str(), &verifier.hmac, &verifier.basic_auth, &verifier.api_key) {
            ("hmac", Some(hmac), ..) => Ok(Verifier::Hmac {
                header: hmac.header.to_ascii_lowercase(),
                hash: Hash::from_name(&hmac.hash).unwrap_or(Hash::Sha256),
                encoding: Encoding::from_name(&hmac.encoding).unwrap_or(Encoding::Hex),
                secrets: bare(self.open_secrets(vault)?),
            }),
            ("basic_auth", _, Some(basic), _) => Ok(Verifier::BasicAuth {
                username: Secret::new(basic.username.as_bytes()).ok_or(VaultError::DoesNotOpen)?,
                password: open("password", &basic.password)?,
            }),
            ("api_key", _, _, Some(key)) => Ok(Verifier::ApiKey {
                header: key.header_name.to_ascii_lowercase(),
                value: open("header_value", &key.header_value)?,
            }),
            _ => Ok(Verifier::Noop),
        }
    }

    /// Whether the provider is X, under either name: the one whose question leaves a mark on the source.
    pub fn is_twitter(&self) -> bool {
        catalogue::find(&self.provider).is_some_and(|row| matches!(row.name, "twitter" | "x"))
    }

    /// The source as the API shows it. `origin` is where the gateway is reached, without a final slash.
    pub fn present(&self, origin: &str) -> Value {
        let verifier = &self.verifier;
        let shown = |code: &str| (!code.is_empty()).then(|| code.to_owned());
        let kind = if verifier.kind.is_empty() && self.provider.is_empty() {
            "noop"
        } else {
            &verifier.kind
        };
        let hmac = verifier.hmac.as_ref().map(|hmac| {
            json!({"header": hmac.header, "hash": hmac.hash, "encoding": hmac.encoding, "secret": hmac.secret.hint})
        });
        let basic_auth = verifier
            .basic_auth
            .as_ref()
            .map(|basic| json!({"username": basic.username, "password": basic.password.hint}));
        let api_key = verifier.api_key.as_ref().map(
            |key| json!({"header_name": key.header_name, "header_value": key.header_value.hint}),
        );
        let provider_config = if self.is_twitter() {
            Some(json!({"twitter": {"crc_verified_at": self.crc_verified_at.map(rfc3339)}}))
        } else {
            (self.provider == "aws_sns").then(|| provider_config::present(&self.topic_arn))
        };
        let mut verifier =
            json!({"type": kind, "hmac": hmac, "basic_auth": basic_auth, "api_key": api_key});
        self.verifier.trust.present_into(&mut verifier);
        let mut shown = json!({
            "uid": self.uid, "project_id": self.project_id, "mask_id": self.mask_id, "name": self.name,
            "url": format!("{origin}/ingest/{}", self.mask_id), "type": self.kind, "provider": self.provider,
            "is_disabled": self.is_disabled,
            "verifier": verifier, "armed_until": self.armed_until.map(rfc3339),
            "custom_response": self.custom_response.present(), "provider_config": provider_config,
            "forward_headers": self.forward_headers.as_deref().unwrap_or_default(),
            "pub_sub": self.pub_sub.as_ref().map_or_else(|| json!(pub_sub::present_none()), PubSub::present),
            "idempotency_keys": self.idempotency_keys, "dedup_window_seconds": self.dedup_window_seconds,
            "event_type_location": self.event_type_location, "body_function": shown(&self.functions.body),
            "header_function": shown(&self.functions.header),
            "created_at": rfc3339(self.created_at), "updated_at": rfc3339(self.updated_at), "deleted_at": null,
        });
        self.admission.present_into(&mut shown);
        shown
    }
}

/// Seals and opens what belongs to one source.
struct SourceKeeper<'a> {
    source: &'a Source,
    vault: &'a Vault,
    fill: Fill<'a>,
}

impl Keeper for SourceKeeper<'_> {
    fn seal(&mut self, plain: &str, field: &str) -> Result<Sealed, VaultError> {
        self.vault.seal(plain, &self.source.place(field), &mut *self.fill)
    }

    fn open(&self, sealed: &Sealed, field: &str) -> Result<Secret, VaultError> {
        self.vault.open(sealed, &self.source.place(field))
    }
}

/// What belongs to requests has no effect on messages of a broker.
fn check_pub_sub(input: &SourceInput) -> Result<(), ApiError> {
    let is_given = |text: &Option<String>| !text.as_deref().unwrap_or_default().is_empty();
    let verifier = input.verifier.as_ref();
    let asks_who = verifier.is_some_and(|verifier| {
        !matches!(verifier.kind.as_deref(), None | Some("" | "noop"))
            || verifier.hmac.is_some()
            || verifier.basic_auth.is_some()
            || verifier.api_key.is_some()
    });
    let responds = input.custom_response.as_ref().is_some_and(|given| {
        given.body.is_some() && given.content_type.is_none()
            || is_given(&given.body)
            || is_given(&given.content_type)
    });
    for (field, given, instead) in [
        ("provider", is_given(&input.provider), "messages come from a broker"),
        ("verifier", asks_who, "who may write to the broker is the broker's to say"),
        ("custom_response", responds, "nobody waits for an answer"),
        (
            "idempotency_keys",
            input.idempotency_keys.as_ref().is_some_and(|keys| !keys.is_empty()),
            "the key is the broker's id of the message, or the payload's idempotency_key",
        ),
        (
            "event_type_location",
            is_given(&input.event_type_location),
            "the payload names its type, or else pub_sub.mapping does",
        ),
    ] {
        if given {
            let text = format!("{field} has no effect on a pub_sub source: {instead}");
            return Err(ApiError::bad_request(text));
        }
    }
    Ok(())
}

fn asks_for_something(value: Option<&Value>) -> bool {
    refuse_unsupported("", value).is_err()
}

impl CustomResponse {
    /// What is left out stays. A body and a content type that are both empty are what Convoy's clients send where there is
    /// no response of one's own; an empty body by itself is one.
    fn change(&mut self, input: CustomResponseInput) -> Result<(), ApiError> {
        if let Some(body) = input.body {
            if RESPONSE_MAX_BYTES < body.len() {
                return Err(ApiError::bad_request("source custom response too large"));
            }
            let says_nothing =
                input.content_type.as_deref().is_some_and(|text| text.trim().is_empty());
            self.is_empty = body.is_empty() && !says_nothing;
            self.body = body;
        }
        if let Some(content_type) = input.content_type {
            if !content_type.bytes().all(|byte| matches!(byte, b' '..=b'~'))
                || 256 < content_type.len()
            {
                return Err(ApiError::bad_request(
                    "custom_response.content_type:not a valid header value",
                ));
            }
            content_type.trim().clone_into(&mut self.content_type);
        }
        if self.is_empty && self.content_type.is_empty() {
            PLAIN.clone_into(&mut self.content_type);
        }
        Ok(())
    }

    /// The body that replaces Inlet's own answer, and its type.
    pub fn given(&self) -> Option<(&str, &str)> {
        let content_type = if self.content_type.is_empty() { PLAIN } else { &self.content_type };
        (self.is_empty || !self.body.is_empty()).then_some((&self.body, content_type))
    }

    /// As it can be sent back: `null` where a type is kept for a body that is not there.
    fn present(&self) -> Value {
        let is_absent = self.given().is_none() && !self.content_type.is_empty();
        json!({"body": (!is_absent).then_some(&self.body), "content_type": self.content_type})
    }
}

/// Which kind of verifier is meant. `given`: hmac, `basic_auth`, `api_key`, scheme. `None`: nothing is said, so nothing changes.
fn verifier_kind(named: &str, given: [bool; 4]) -> Result<Option<&'static str>, ApiError> {
    Ok(Some(match (named, given) {
        ("", [false, false, false, false]) => return Ok(None),
        ("" | "hmac", [true, false, false, false]) | ("hmac", [false, false, false, false]) => {
            "hmac"
        }
        ("" | "basic_auth", [false, true, false, false])
        | ("basic_auth", [false, false, false, false]) => "basic_auth",
        ("" | "api_key", [false, false, true, false])
        | ("api_key", [false, false, false, false]) => "api_key",
        ("" | "scheme", [false, false, false, true]) => "scheme",
        ("noop", [false, false, false, false]) => "noop",
        ("scheme", [false, false, false, false]) => {
            return Err(ApiError::bad_request(
                "verifier.scheme:say what is signed, for example {\"preset\":\"timestamped\",\"header\":\"X-Signature\"}",
            ));
        }
        _ => {
            return Err(ApiError::bad_request(
                "verifier:give one of hmac, basic_auth, api_key and scheme, and the type that goes with it; noop goes with none",
            ));
        }
    }))
}

fn bare(secrets: Vec<(Secret, String, Option<u64>)>) -> Vec<Secret> {
    secrets.into_iter().map(|(secret, ..)| secret).collect()
}

fn header_names(names: Vec<String>) -> Result<Vec<String>, ApiError> {
    let names: Vec<String> =
        names.into_iter().map(|name| name.trim().to_ascii_lowercase()).collect();
    match names.iter().find(|name| !is_header_name(name)) {
        Some(bad) => {
            Err(ApiError::bad_request(format!("forward_headers:{bad:?} is not a header name")))
        }
        None => Ok(names),
    }
}

/// Convoy's struct tags: nested objects are checked whenever they are there, whatever the type says.
fn check_tags(input: &SourceInput, is_provider: bool) -> Result<(), ApiError> {
    let mut faults = Faults::default();
    if input.name.as_deref().unwrap_or_default().trim().is_empty() {
        faults.add("name", "please provide a source name");
    }
    match input.kind.as_deref().unwrap_or_default() {
        "" => faults.add("type", "please provide a type"),
        "http" | "rest_api" | "pub_sub" | "db_change_stream" => {}
        _ => faults.add("type", "unsupported source type"),
    }
    let Some(verifier) = &input.verifier else { return faults.check() };
    let kind = verifier.kind.as_deref().unwrap_or_default();
    if !matches!(kind, "" | "noop" | "hmac" | "basic_auth" | "api_key" | "scheme") {
        faults.add("type", "please provide a valid verifier type");
    }
    let mut require = |field: &str, value: &Option<String>| {
        let missing = value.as_deref().unwrap_or_default().is_empty();
        if missing {
            faults.add(field, "non zero value required");
        }
        !missing
    };
    if let Some(hmac) = &verifier.hmac
        && !is_provider
    {
        let has_encoding = require("encoding", &hmac.encoding);
        let has_hash = require("hash", &hmac.hash);
        let has_header = require("header", &hmac.header);
        require("secret", &hmac.secret);
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        if has_encoding && !matches!(text(&hmac.encoding).as_str(), "hex" | "base64") {
            faults.add("encoding", "please provide a valid encoding type");
        }
        if has_hash && Hash::from_name(&text(&hmac.hash)).is_none() {
            faults.add("hash", format!("{} does not validate as supported_hash", text(&hmac.hash)));
        }
        if has_header && !is_header_name(text(&hmac.header).trim()) {
            faults.add("header", "not a valid header name");
        }
    }
    if let Some(basic) = &verifier.basic_auth {
        let mut require = |field: &str, value: &Option<String>| {
            if value.as_deref().unwrap_or_default().is_empty() {
                faults.add(field, "non zero value required");
            }
        };
        require("password", &basic.password);
        require("username", &basic.username);
        if basic.username.as_deref().unwrap_or_default().contains(':') {
            faults.add("username", "a user name of basic auth has no colon");
        }
    }
    if let Some(key) = &verifier.api_key {
        let name = key.header_name.as_deref().unwrap_or_default();
        if name.is_empty() {
            faults.add("header_name", "non zero value required");
        } else if !is_header_name(name.trim()) {
            faults.add("header_name", "not a valid header name");
        }
        if key.header_value.as_deref().unwrap_or_default().is_empty() {
            faults.add("header_value", "non zero value required");
        }
    }
    faults.check()?;
    if is_provider {
        return Ok(());
    }
    let missing = match (kind, &verifier.hmac, &verifier.basic_auth, &verifier.api_key) {
        ("hmac", None, ..) => "invalid verifier config for hmac",
        ("basic_auth", _, None, _) => "invalid verifier config for basic auth",
        ("api_key", _, _, None) => "invalid verifier config for api key",
        _ => return Ok(()),
    };
    Err(ApiError::bad_request(missing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::parse;

    fn vault() -> Vault {
        Vault::new("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap()
    }

    fn create(body: &str) -> Result<Source, String> {
        let input = parse(body.as_bytes()).map_err(|error| error.message)?;
        Source::create(input, "p", &vault(), 0, &mut |b| b.fill(5)).map_err(|error| error.message)
    }

    fn update(source: &mut Source, body: &str) -> Result<(), String> {
        let input = parse(body.as_bytes()).map_err(|error| error.message)?;
        source.update(input, &vault(), 1, &mut |b| b.fill(6)).map_err(|error| error.message)
    }

    fn hmac(hash: &str, encoding: &str) -> String {
        format!(
            r#"{{"name":"a","type":"http","verifier":{{"type":"hmac","hmac":
                {{"header":"X-Sig","hash":"{hash}","encoding":"{encoding}","secret":"convoy-secret"}}}}}}"#
        )
    }

    #[test]
    fn a_source_that_cannot_be_is_refused_in_convoys_words() {
        for (body, expect) in [
            ("{}", "name:please provide a source name, type:please provide a type"),
            (r#"{"type":"http"}"#, "name:please provide a source name"),
            (r#"{"name":"a","type":"some-random-source-type"}"#, "type:unsupported source type"),
            (
                r#"{"name":"a","type":"http","verifier":{"type":"magic"}}"#,
                "type:please provide a valid verifier type",
            ),
            (
                r#"{"name":"a","type":"http","verifier":{"type":"hmac","hmac":{}}}"#,
                "encoding:non zero value required, hash:non zero value required, header:non zero value required, secret:non zero value required",
            ),
            (
                r#"{"name":"a","type":"http","verifier":{"type":"basic_auth","basic_auth":{}}}"#,
                "password:non zero value required, username:non zero value required",
            ),
            (
                r#"{"name":"a","type":"http","verifier":{"type":"api_key","api_key":{}}}"#,
                "header_name:non zero value required, header_value:non zero value required",
            ),
            (
                r#"{"name":"a","type":"http","verifier":{"type":"hmac"}}"#,
                "invalid verifier config for hmac",
            ),
            (
                r#"{"name":"a","type":"http","verifier":{"type":"basic_auth"}}"#,
                "invalid verifier config for basic auth",
            ),
            (
                r#"{"name":"a","type":"http","verifier":{"type":"api_key"}}"#,
                "invalid verifier config for api key",
            ),
            (r#"{"provider":"github"}"#, "please provide a source name"),
            (
                r#"{"provider":"github","name":"a","type":"abc"}"#,
                "please provide a valid source type",
            ),
            (
                r#"{"provider":"github","name":"a","type":"http"}"#,
                "hmac secret is required for github source",
            ),
            (
                r#"{"provider":"no-such","name":"a","type":"http"}"#,
                "provider:no-such is not in the catalogue of providers",
            ),
            (
                r#"{"name":"a","type":"http","idempotency_keys":["id"]}"#,
                "not enough parts set for idempotency key location with value: id",
            ),
            (
                r#"{"name":"a","type":"http","event_type_location":"request.cookie.x"}"#,
                "unsupported input format for event type location with value: request.cookie.x",
            ),
        ] {
            assert_eq!(create(body).unwrap_err(), expect, "{body}");
        }
        assert_eq!(
            create(&hmac("sha256", "hex")).unwrap_err(),
            "hash:sha256 does not validate as supported_hash"
        );
        assert_eq!(
            create(&hmac("SHA256", "utf8")).unwrap_err(),
            "encoding:please provide a valid encoding type"
        );
        let large = format!(
            r#"{{"name":"a","type":"http","custom_response":{{"body":"{}"}}}}"#,
            "x".repeat(51_201)
        );
        assert_eq!(create(&large).unwrap_err(), "source custom response too large");
    }

    #[test]
    fn fields_without_an_effect_are_refused() {
        for field in ["body_function", "header_function"] {
            let body = format!(
                r#"{{"name":"a","type":"http","{field}":"function transform(x) {{ return x }}"}}"#
            );
            assert!(
                create(&body)
                    .unwrap_err()
                    .starts_with(&format!("{field}:is for sources of the type pub_sub"))
            );
        }
        let body = r#"{"name":"a","type":"http","pub_sub":{"type":"kafka","workers":1}}"#;
        assert!(create(body).unwrap_err().starts_with("pub_sub:is for sources of the type"));
        let body = r#"{"name":"a","type":"pub_sub","idempotency_keys":["request.header.a"]}"#;
        assert!(create(body).unwrap_err().starts_with("idempotency_keys has no effect"));
        let body = r#"{"name":"a","type":"db_change_stream"}"#;
        assert!(
            create(body).unwrap_err().starts_with("type:db_change_stream is not supported yet")
        );
    }

    #[test]
    fn only_the_signed_body_may_name_the_event_type_of_a_signed_source() {
        let with = |location: &str| {
            hmac("SHA256", "hex").replacen(
                '{',
                &format!(r#"{{"event_type_location":"{location}","#),
                1,
            )
        };
        assert!(create(&with("request.body.type")).is_ok());
        assert_eq!(create(&with("request.header.X-Type")).unwrap_err(), METADATA_LOCATION);
        let provider = r#"{"name":"a","type":"http","provider":"github","verifier":{"hmac":{"secret":"abc"}},
            "event_type_location":"request.query.type"}"#;
        assert_eq!(create(provider).unwrap_err(), METADATA_LOCATION);
        let noop = r#"{"name":"a","type":"http","event_type_location":"request.header.X-Type"}"#;
        assert!(create(noop).is_ok());
    }

    #[test]
    fn all_twelve_hashes_in_both_encodings_make_a_verifier() {
        for hash in [
            "MD5",
            "SHA1",
            "SHA224",
            "SHA256",
            "SHA384",
            "SHA512",
            "SHA3_224",
            "SHA3_256",
            "SHA3_384",
            "SHA3_512",
            "SHA512_224",
            "SHA512_256",
        ] {
            for encoding in ["hex", "base64"] {
                let source = create(&hmac(hash, encoding)).unwrap();
                assert!(
                    matches!(source.open_verifier(&vault()), Ok(Verifier::Hmac { .. })),
                    "{hash} {encoding}"
                );
            }
        }
    }

    #[test]
    fn secrets_are_masked_and_a_mask_sent_back_leaves_them_alone() {
        let mut source = create(&hmac("SHA256", "hex")).unwrap();
        let shown = source.present("http://x");
        assert_eq!(shown["verifier"]["hmac"]["secret"], "********cret");
        assert!(!serde_json::to_string(&source).unwrap().contains("convoy-secret"));
        let mut body = shown.clone();
        body["name"] = "renamed".into();
        update(&mut source, &body.to_string()).unwrap();
        let Verifier::Hmac { secrets, .. } = source.open_verifier(&vault()).unwrap() else {
            panic!()
        };
        assert_eq!(secrets[0].expose(), b"convoy-secret");
        assert_eq!(source.name, "renamed");
    }

    #[test]
    fn a_secret_without_a_type_is_never_a_source_without_a_check() {
        let untyped = hmac("SHA256", "hex").replace(r#""type":"hmac","hmac""#, r#""hmac""#);
        let mut source = create(&untyped).unwrap();
        assert!(matches!(source.open_verifier(&vault()), Ok(Verifier::Hmac { .. })));
        assert_eq!(source.present("")["verifier"]["type"], "hmac");
        for verifier in ["{}", r#"{"type":""}"#] {
            update(&mut source, &format!(r#"{{"name":"a","type":"http","verifier":{verifier}}}"#))
                .unwrap();
            assert!(
                matches!(source.open_verifier(&vault()), Ok(Verifier::Hmac { .. })),
                "{verifier}"
            );
        }
        for kind in ["noop", "api_key"] {
            let mixed =
                hmac("SHA256", "hex").replace(r#""type":"hmac""#, &format!(r#""type":"{kind}""#));
            assert!(create(&mixed).is_err(), "{kind}");
        }
    }

    #[test]
    fn a_text_that_only_looks_like_the_mask_is_refused() {
        let mut source = create(&hmac("SHA256", "hex")).unwrap();
        let other = hmac("SHA256", "hex").replace("convoy-secret", "********else");
        assert!(
            update(&mut source, &other)
                .unwrap_err()
                .starts_with("secret:this is the mask of a secret")
        );
    }

    #[test]
    fn what_a_read_shows_can_be_sent_back() {
        let mut source = create(&hmac("SHA256", "hex")).unwrap();
        let shown = source.present("http://x").to_string();
        update(&mut source, &shown).unwrap();
        assert_eq!(source.forward_headers, None);
        assert_eq!(source.dedup_window_seconds, DEDUP_WINDOW_DEFAULT_S);
    }

    #[test]
    fn a_mask_where_no_secret_is_stored_is_refused() {
        let body = hmac("SHA256", "hex").replace("convoy-secret", "********cret");
        assert_eq!(
            create(&body).unwrap_err(),
            "secret:this is the mask of a secret; send the secret itself"
        );
        for secret in ["0000", "   "] {
            let body = hmac("SHA256", "hex").replace("convoy-secret", secret);
            assert_eq!(create(&body).unwrap_err(), "secret:must not be blank or all zeros");
        }
    }

    #[test]
    fn verifiers_can_be_exchanged_both_ways() {
        let mut source = create(&hmac("SHA256", "hex")).unwrap();
        update(&mut source, r#"{"name":"a","type":"http"}"#).unwrap();
        assert!(matches!(source.open_verifier(&vault()), Ok(Verifier::Hmac { .. })));
        update(&mut source, r#"{"name":"a","type":"http","verifier":{"type":"noop"}}"#).unwrap();
        assert!(matches!(source.open_verifier(&vault()), Ok(Verifier::Noop)));
        update(&mut source, &hmac("SHA512", "base64")).unwrap();
        assert!(matches!(source.open_verifier(&vault()), Ok(Verifier::Hmac { .. })));
        assert_eq!(
            update(&mut source, "{}").unwrap_err(),
            "name:please provide a source name, type:please provide a type"
        );
    }

    #[test]
    fn every_provider_that_signs_makes_a_source_and_hearsay_is_only_observed() {
        let mut taken = 0;
        for row in catalogue::all() {
            // A key that fits every form but a public one and those with a colon.
            let secret = "0123456789abcdef0123456789abcdef";
            let body = format!(
                r#"{{"name":"a","type":"http","provider":"{}","verifier":{{"hmac":{{"secret":"{secret}"}}}}}}"#,
                row.name
            );
            match create(&body) {
                Ok(source) => {
                    let observes = source.verifier.trust.mode == Mode::Observe;
                    assert_eq!(observes, row.observe(), "{}", row.name);
                    taken += 1;
                }
                Err(error) if row.is_unsigned() => {
                    let is_of_hmac = error.contains("non zero value required");
                    assert!(is_of_hmac, "{}: {error}", row.name);
                    let open = format!(
                        r#"{{"name":"a","type":"http","provider":"{}","verifier":{{"type":"noop"}}}}"#,
                        row.name
                    );
                    assert_eq!(create(&open).unwrap().verifier.trust.mode, Mode::Enforce);
                    let bare = format!(r#"{{"name":"a","type":"http","provider":"{}"}}"#, row.name);
                    assert!(create(&bare).unwrap_err().contains("signs nothing, so choose"));
                }
                Err(error) => assert!(error.contains("has to be"), "{}: {error}", row.name),
            }
        }
        assert!(240 < taken, "{taken} providers");
        let bare = create(r#"{"name":"a","type":"http","provider":"clio"}"#).unwrap();
        assert_eq!(bare.verifier.trust.mode, Mode::Observe, "also without a verifier");
    }

    #[test]
    fn what_a_providers_scheme_leaves_without_effect_is_refused() {
        let with = |verifier: &str| {
            create(&format!(
                r#"{{"name":"a","type":"http","provider":"github","verifier":{verifier}}}"#
            ))
        };
        for (verifier, field) in [
            (
                r#"{"type":"scheme","scheme":{"signature":"header:x"},"secrets":[{"value":"abc"}]}"#,
                "scheme",
            ),
            (r#"{"scheme":{"signature":"header:x"},"hmac":{"secret":"abc"}}"#, "scheme"),
            (
                r#"{"basic_auth":{"username":"u","password":"p"},"hmac":{"secret":"abc"}}"#,
                "basic_auth",
            ),
            (r#"{"type":"api_key","hmac":{"secret":"abc"}}"#, "api_key"),
        ] {
            let error = with(verifier).unwrap_err();
            assert!(
                error.starts_with(&format!("verifier.{field}:has no effect")),
                "{verifier}: {error}"
            );
        }
        let mut source = with(r#"{"hmac":{"secret":"abc"}}"#).unwrap();
        let shown = source.present("").to_string();
        update(&mut source, &shown).unwrap();
        let scheme = r#"{"name":"a","type":"http","verifier":{"scheme":{"signature":"header:x"}}}"#;
        assert!(update(&mut source, scheme).is_err());
    }

    #[test]
    fn an_empty_response_is_told_from_none() {
        let of = |response: &str| {
            create(&format!(r#"{{"name":"a","type":"http","custom_response":{response}}}"#))
                .unwrap()
        };
        for (response, given) in [
            (r#"{"body":""}"#, true),
            (r#"{"body":"","content_type":"text/xml"}"#, true),
            (r#"{"body":"","content_type":""}"#, false),
            (r#"{"content_type":"text/xml"}"#, false),
            ("{}", false),
        ] {
            let mut source = of(response);
            assert_eq!(source.custom_response.given().is_some(), given, "{response}");
            let stored = serde_json::to_string(&source).unwrap();
            let read: Source = serde_json::from_str(&stored).unwrap();
            assert_eq!(read.custom_response, source.custom_response, "{response}");
            let (before, shown) = (source.custom_response.clone(), source.present("").to_string());
            update(&mut source, &shown).unwrap();
            assert_eq!(source.custom_response, before, "what {response} shows can be sent back");
        }
        let mut source = of(r#"{"body":""}"#);
        update(
            &mut source,
            r#"{"name":"a","type":"http","custom_response":{"body":"","content_type":""}}"#,
        )
        .unwrap();
        assert_eq!(source.custom_response.given(), None);
    }

    #[test]
    fn a_key_of_the_wrong_form_is_refused_with_the_form_that_is_expected() {
        let why = |provider: &str, secret: &str| {
            create(&format!(
                r#"{{"name":"a","type":"http","provider":"{provider}","verifier":{{"hmac":{{"secret":"{secret}"}}}}}}"#
            ))
            .unwrap_err()
        };
        assert!(why("svix", "not base64!").contains("has to be base64"));
        assert!(why("discord", "abc").contains("has to be a public key"));
        assert!(why("adyen", "xyz").contains("has to be hex"));
    }

    #[test]
    fn what_would_never_fit_is_refused_with_the_form_that_does() {
        let with = |provider: &str, secrets: &[&str]| {
            let secrets: Vec<_> = secrets.iter().map(|value| json!({"value": value})).collect();
            let body = json!({"name": "a", "type": "http", "provider": provider, "verifier": {"secrets": secrets}});
            create(&body.to_string())
        };
        for (provider, secrets, why) in [
            ("braintree", &["private"][..], "has to be written `public:private`"),
            ("braintree", &["public:"], "has to be written `public:private`"),
            ("solidgate", &["private"], "has to be written `public:private`"),
            ("telegram", &["with spaces"], "has to be 1 to 256 letters"),
            ("meta", &["verify_token:ours"], "proves nothing; give the signing secret, too"),
            ("meta", &["secret", "verify_token: "], "holds no token"),
            ("github", &["secret", "verify_token:ours"], "this provider asks for none"),
        ] {
            let error = with(provider, secrets).unwrap_err();
            assert!(error.contains(why), "{provider} {secrets:?}: {error}");
        }
        for (provider, secrets) in [
            ("braintree", &["public:private"][..]),
            ("telegram", &["A-z_09"]),
            ("meta", &["secret", "verify_token:ours"]),
            ("vercel", &["secret", "verify_token:ours"]),
        ] {
            assert!(with(provider, secrets).is_ok(), "{provider}");
        }
    }

    #[test]
    fn a_topic_is_pinned_where_there_are_topics() {
        let with = |provider: &str, topic: &str| {
            create(&format!(
                r#"{{"name":"a","type":"http","provider":"{provider}","verifier":{{"hmac":{{"secret":"abc"}}}},
                    "provider_config":{{"sns":{{"topic_arn":"{topic}"}}}}}}"#
            ))
        };
        let mut source = with("aws_sns", "arn:aws:sns:eu-west-1:123456789012:orders").unwrap();
        let shown = source.present("").to_string();
        update(&mut source, &shown).unwrap();
        assert_eq!(source.topic_arn, "arn:aws:sns:eu-west-1:123456789012:orders");
        update(
            &mut source,
            r#"{"name":"a","type":"http","provider_config":{"sns":{"topic_arn":""}}}"#,
        )
        .unwrap();
        assert_eq!(source.topic_arn, "");
        for bad in ["orders", "arn:aws:sqs:eu-west-1:123456789012:orders", "arn:aws:sns:::orders"] {
            assert!(with("aws_sns", bad).unwrap_err().contains("write it as arn:aws:sns"), "{bad}");
        }
        assert!(
            with("github", "arn:aws:sns:a:b:c")
                .unwrap_err()
                .contains("is for sources of the provider aws_sns")
        );
    }

    #[test]
    fn secrets_overlap_are_masked_and_are_kept_by_uid_or_mask() {
        let with = |secrets: &str| {
            format!(
                r#"{{"name":"a","type":"http","provider":"github","verifier":{{"secrets":{secrets}}}}}"#
            )
        };
        let mut source = create(&with(
            r#"[{"value":"first-secret-1","label":"old","expires_at":"2026-12-01T00:00:00Z"},{"value":"second-secret"}]"#,
        ))
        .unwrap();
        let names = |source: &Source| -> Vec<String> {
            source.open_secrets(&vault()).unwrap().into_iter().map(|(_, name, _)| name).collect()
        };
        assert_eq!(names(&source)[1], "old", "those that last come first");
        let shown = source.present("");
        assert_eq!(shown["verifier"]["secrets"][0]["value"], "********et-1");
        update(&mut source, &shown.to_string()).unwrap();
        assert_eq!(source.open_secrets(&vault()).unwrap()[1].0.expose(), b"first-secret-1");
        assert!(update(&mut source, &with(r#"[{"value":"********nono"}]"#)).is_err());
        assert!(update(&mut source, &with(r#"[{"value":"x","expires_at":"soon"}]"#)).is_err());
        let many = [r#"{"value":"abc"}"#; 11].join(",");
        assert!(update(&mut source, &with(&format!("[{many}]"))).is_err());
    }

    #[test]
    fn a_scheme_of_ones_own_is_checked_when_it_is_saved() {
        let with = |scheme: &str| {
            format!(
                r#"{{"name":"a","type":"http","verifier":{{"type":"scheme","scheme":{scheme},"secrets":[{{"value":"abc"}}]}}}}"#
            )
        };
        let source = create(&with(r#"{"preset":"timestamped","header":"X-Sig"}"#)).unwrap();
        assert!(matches!(source.open_verifier(&vault()), Ok(Verifier::Scheme { .. })));
        for (scheme, expect) in [
            (
                r#"{"signature":"header:x","template":"{header:x-ts}"}"#,
                "does not hold all of the body",
            ),
            (r#"{"signature":"header:x","timestamp":"header:x-ts"}"#, "checked but not signed"),
            (r#"{"signature":"nowhere"}"#, "names no place"),
            (r#"{"signature":"header:x","algorithm":"rot13"}"#, "is not one of"),
            (r#"{"signature":"header:x","colour":"red"}"#, "scheme.colour:is not a field"),
            (r#"{"preset":"other"}"#, "is not one of timestamped, convoy"),
        ] {
            let error = create(&with(scheme)).unwrap_err();
            assert!(error.contains(expect), "{scheme}: {error}");
        }
    }

    #[test]
    fn a_handed_over_secret_is_kept_only_while_the_source_is_armed_and_has_none() {
        let secret = Secret::new(*b"handed-over-secret").unwrap();
        let mut source = create(r#"{"name":"a","type":"http","provider":"asana"}"#).unwrap();
        let capture = |source: &mut Source, now| {
            source.capture(&secret, &vault(), now, &mut |b| b.fill(9)).unwrap()
        };
        assert!(!capture(&mut source, 1));
        source.armed_until = Some(10);
        assert!(!capture(&mut source, 10), "the time is over");
        assert!(capture(&mut source, 9));
        source.armed_until = Some(100);
        assert!(!capture(&mut source, 11), "there is one already");
    }

    #[test]
    fn a_handed_over_secret_is_shown_for_an_hour_where_the_provider_wants_to_be_told() {
        for (provider, is_shown) in [("notion", true), ("asana", false)] {
            let body = format!(r#"{{"name":"a","type":"http","provider":"{provider}"}}"#);
            let mut source = create(&body).unwrap();
            assert_eq!(source.handed_over(&vault(), 0).unwrap_err().status, 404);
            source.armed_until = Some(10);
            let secret = Secret::new(*b"secret_handed_over").unwrap();
            assert!(source.capture(&secret, &vault(), 5, &mut |b| b.fill(9)).unwrap());
            let until = 5 + SHOWN_MS;
            let shown = source.handed_over(&vault(), until - 1);
            assert_eq!(shown.is_ok(), is_shown, "{provider}");
            if let Ok(shown) = shown {
                assert_eq!(shown["secret"], "secret_handed_over");
            }
            assert_eq!(source.handed_over(&vault(), until).unwrap_err().status, 404);
            assert!(!source.present("").to_string().contains("secret_handed_over"));
        }
    }

    #[test]
    fn the_address_of_a_key_set_is_a_key() {
        let with = |provider: &str, url: &str| {
            create(&format!(
                r#"{{"name":"a","type":"http","provider":"{provider}","verifier":{{"hmac":{{"secret":"{url}"}}}}}}"#
            ))
        };
        for provider in ["gong", "wix", "fusionauth", "zoho_desk", "discord"] {
            assert!(with(provider, "https://keys.example.com/jwks.json").is_ok(), "{provider}");
            let why = with(provider, "https://127.0.0.1/jwks.json").unwrap_err();
            assert!(why.contains("names a URL from which no key is fetched"), "{provider}: {why}");
            for bad in ["http://keys.example.com/jwks.json", "https://u:p@keys.example.com/"] {
                assert!(
                    with(provider, bad).unwrap_err().contains("has to be a public key"),
                    "{bad}"
                );
            }
        }
        assert!(with("github", "https://127.0.0.1/").is_ok(), "this is an HMAC key");
    }

    #[test]
    fn a_provider_source_needs_only_a_secret_and_keeps_it() {
        let body = r#"{"name":"a","type":"http","provider":"github","verifier":{"type":"hmac","hmac":{"secret":"abcdefghijkl"}}}"#;
        let mut source = create(body).unwrap();
        assert!(matches!(source.open_verifier(&vault()), Ok(Verifier::Provider { .. })));
        update(&mut source, r#"{"name":"b","type":"http","verifier":{"type":"hmac"}}"#).unwrap();
        let Verifier::Provider { secrets, .. } = source.open_verifier(&vault()).unwrap() else {
            panic!()
        };
        assert_eq!(secrets[0].expose(), b"abcdefghijkl");
        assert!(update(&mut source, r#"{"name":"b","type":"http","provider":"shopify"}"#).is_err());
    }
}
