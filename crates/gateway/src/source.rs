//! Sources: the configured senders. Input of the API → what is stored → what it means.

use inlet_verify::{Encoding, Hash, Provider, Scheme, Secret, Verifier, catalogue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::address;
use crate::admission::{Admission, AdmissionInput};
use crate::api::{ApiError, Faults, NAME_MAX_CHARS, check_length, refuse_unsupported};
use crate::custom_response::CustomResponse;
use crate::endpoint::is_weak;
use crate::fields::{Fields, FromFields};
use crate::header::{is_header_name, is_taken_header};
use crate::ids::{self, Fill};
use crate::locate::Location;
use crate::profile::{Profile, ProfileInput};
use crate::provider_config::{self, ProviderConfigInput};
use crate::pub_sub::{self, Keeper, PubSub};
use crate::time::{self, rfc3339};
use crate::transform::Functions;
use crate::trust::{Mode, SECRETS_MAX, SecretInput, StoredSecret, Trust, TrustInput};
use crate::vault::{Sealed, Vault, VaultError, is_hint};

mod hand_over;
mod input;
mod verifier;

pub use hand_over::ArmInput;
pub use input::SourceInput;
use input::{
    VerifierInput, asks_for_something, check_pub_sub, check_tags, header_names, idempotency_keys,
    parameter_names,
};

/// How long a dedup key stays claimed unless the source says otherwise: three days, as long as the
/// most patient providers go on redelivering.
pub const DEDUP_WINDOW_DEFAULT_S: u64 = 259_200;
pub(crate) const DEDUP_WINDOW_MAX_S: u64 = 31 * 86_400;

/// A configured sender, as it is stored. Secrets are sealed. Times are Unix milliseconds.
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
    /// Headers that are passed on. `None`: all that are safe to pass on. `Some`: these alone.
    pub forward_headers: Option<Vec<String>>,
    /// Parameters of the query that are passed on. `None`: all that are safe to pass on. `Some`: these alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_query: Option<Vec<String>>,
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
    #[serde(default)]
    pub profile: Profile,
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
    /// The type as the caller gave it: `noop`, `hmac`, `basic_auth`, `api_key`, or empty for a provider.
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

const METADATA_LOCATION: &str = "event type location cannot use request headers or query parameters with \
    payload signature verification";

/// The length of a mask, the last part of an ingest URL.
const MASK_CHARS: usize = 16;

/// Whether a text can be the mask of a source at all; if not, no store has to be asked. Hookstream's sources have their uid as
/// mask.
pub fn is_mask(text: &str) -> bool {
    let is_own = text.len() == MASK_CHARS && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_own || ids::is_uid(text)
}

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
            mask_id: ids::alphanumeric(MASK_CHARS, &mut *fill),
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
            forward_query: None,
            idempotency_keys: Vec::new(),
            dedup_window_seconds: DEDUP_WINDOW_DEFAULT_S,
            event_type_location: String::new(),
            admission: Admission::default(),
            pub_sub: None,
            functions: Functions::default(),
            profile: Profile::default(),
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
        self.apply(input, vault, now_ms, fill)?;
        self.updated_at = time::after(now_ms, self.updated_at);
        Ok(())
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
            other => return Err(no_kind(other)),
        };
        name.clone_into(&mut self.name);

        check_length("name", name, NAME_MAX_CHARS)?;
        self.functions.change(input.body_function, input.header_function)?;
        self.functions.check(self.kind != Kind::RestApi)?;
        self.apply_pub_sub(input.pub_sub, vault, &mut *fill)?;
        if let Some(verifier) = input.verifier {
            self.verifier = self.stored_verifier(verifier, vault, now_ms, &mut *fill)?;
            self.check_tolerance(signs)?;
        }
        self.check_secrets(signs, vault)?;
        if let Some(response) = input.custom_response {
            self.custom_response.change(response, self.profile.is_session)?;
        }
        if let Some(disabled) = input.is_disabled {
            self.is_disabled = disabled;
            self.profile.is_paused &= disabled;
        }
        if let Some(names) = input.forward_headers {
            // An empty list is what a source without one shows.
            self.forward_headers = Some(header_names(names)?).filter(|names| !names.is_empty());
        }
        if let Some(names) = input.forward_query {
            self.forward_query = Some(parameter_names(names)?).filter(|names| !names.is_empty());
        }
        if let Some(keys) = input.idempotency_keys {
            self.idempotency_keys = idempotency_keys(keys)?;
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
        if self.kind == Kind::PubSub {
            self.admission.check_none()?;
        }
        self.profile.change(input.profile)?;
        self.check_event_type_location(vault)
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
            "forward_query": self.forward_query.as_deref().unwrap_or_default(),
            "pub_sub": self.pub_sub.as_ref().map_or_else(|| json!(pub_sub::present_none()), PubSub::present),
            "idempotency_keys": self.idempotency_keys, "dedup_window_seconds": self.dedup_window_seconds,
            "event_type_location": self.event_type_location, "body_function": shown(&self.functions.body),
            "header_function": shown(&self.functions.header),
            "created_at": rfc3339(self.created_at), "updated_at": rfc3339(self.updated_at), "deleted_at": null,
        });
        self.admission.present_into(&mut shown);
        self.profile.present_into(&mut shown, self.is_disabled);
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

fn no_kind(kind: &str) -> ApiError {
    ApiError::bad_request(format!(
        "type:{kind} is not supported; use http, rest_api or pub_sub (changes of a database come through a broker, for example \
         by Debezium)"
    ))
}

#[cfg(test)]
mod tests;
