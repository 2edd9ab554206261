//! What a source says about verification beside its provider: further secrets, how strictly, and schemes of its own.

use inlet_verify::{Scheme, SchemeSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::{ApiError, check_length};
use crate::custom_response::{check_content_type, given};
use crate::fields::{ANY, Fields, FromFields};
use crate::time::{parse_rfc3339, rfc3339};
use crate::vault::{Sealed, is_hint};

/// Secrets of one source, beside that of `hmac`.
pub const SECRETS_MAX: usize = 10;
/// The largest body of a failure response, in bytes.
const FAILURE_BODY_MAX_BYTES: usize = 4_096;
/// Names of a signature header's pairs.
const PAIRS_MAX: usize = 20;

/// Whether a request that is not believed is refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Enforce,
    /// It is taken in, and the verdict stands on the event.
    Observe,
}

/// A secret beside that of `hmac`; several are valid together while one is exchanged for another. Times are Unix milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredSecret {
    pub uid: String,
    pub label: String,
    pub value: Sealed,
    /// From then on it proves nothing.
    pub expires_at: Option<u64>,
    pub created_at: u64,
    /// Until when it is shown: for a provider that hands over a secret and wants to be told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_until: Option<u64>,
}

/// What a sender reads when it is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureResponse {
    pub status: Option<u16>,
    pub body: String,
    pub content_type: String,
    /// Whether an empty body was asked for. Else it means that there is none.
    #[serde(default)]
    pub is_empty: bool,
}

impl FailureResponse {
    /// The body that replaces Inlet's own answer, and its type.
    pub fn given(&self) -> Option<(&str, &str)> {
        given(self.is_empty, &self.body, &self.content_type)
    }

    fn present(&self) -> Value {
        let body = self.given().map(|(body, _)| body);
        json!({"status": self.status, "body": body, "content_type": self.content_type})
    }
}

/// What a source believes, and what it answers to what it does not, as it is stored.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Trust {
    pub mode: Mode,
    /// Seconds that a timestamp may be off, in place of the provider's; 0: any age will do.
    pub tolerance_seconds: Option<u64>,
    /// The URL that the provider was given, where it signs it and it is not ours.
    pub public_url: String,
    pub failure: Option<FailureResponse>,
    pub secrets: Vec<StoredSecret>,
    /// A [`SchemeSpec`], by its field names.
    pub scheme: Option<Value>,
}

/// The fields of `verifier` that are read here.
#[derive(Debug, Default)]
pub struct TrustInput {
    pub mode: Option<String>,
    pub tolerance_seconds: Option<u64>,
    pub public_url: Option<String>,
    pub failure: Option<FailureInput>,
    pub secrets: Option<Vec<SecretInput>>,
    pub scheme: Option<SchemeInput>,
}

impl TrustInput {
    pub fn take(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            mode: fields.text("mode")?,
            tolerance_seconds: fields.number("tolerance_seconds", 0..=ANY)?,
            public_url: fields.text("public_url")?,
            failure: fields.object("failure_response")?,
            secrets: fields.objects("secrets")?,
            scheme: fields.object("scheme")?,
        })
    }
}

#[derive(Debug)]
pub struct SecretInput {
    pub uid: Option<String>,
    pub value: Option<String>,
    pub label: Option<String>,
    pub expires_at: Option<String>,
}

impl FromFields for SecretInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            uid: fields.text("uid")?,
            value: fields.text("value")?,
            label: fields.text("label")?,
            expires_at: fields.text("expires_at")?,
        })
    }
}

impl SecretInput {
    /// Which stored secret is meant, where that is said.
    pub fn uid(&self) -> Option<&String> {
        self.uid.as_ref().filter(|uid| !uid.is_empty())
    }

    /// The mask that stands for a stored secret, where nothing else does.
    pub fn mask(&self) -> Option<&str> {
        self.value.as_deref().filter(|value| self.uid().is_none() && is_hint(value))
    }

    /// Unix milliseconds, where there is an end.
    pub fn expiry(&self) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.expires_at.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let bad = || {
            ApiError::bad_request(
                "verifier.secrets.expires_at:write a time as 2026-12-31T23:59:59Z (RFC 3339)",
            )
        };
        parse_rfc3339(text).map(Some).ok_or_else(bad)
    }
}

#[derive(Debug)]
pub struct FailureInput {
    status: Option<u64>,
    body: Option<String>,
    content_type: Option<String>,
}

impl FromFields for FailureInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            status: fields.number("status", 400..=499)?,
            body: fields.text("body")?,
            content_type: fields.text("content_type")?,
        })
    }
}

/// `verifier.scheme`: the words of [`SchemeSpec`], or a preset with changes.
#[derive(Debug)]
pub struct SchemeInput(SchemeSpec);

impl FromFields for SchemeInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let header = fields.text("header")?;
        let header = header.as_deref().unwrap_or("X-Convoy-Signature");
        let mut spec = match fields.text("preset")?.as_deref() {
            None | Some("") => SchemeSpec::default(),
            Some("timestamped") => SchemeSpec::timestamped(header),
            Some("convoy") => SchemeSpec {
                template: "{timestamp},{body}".into(),
                ..SchemeSpec::timestamped(header)
            },
            Some(other) => {
                return Err(ApiError::bad_request(format!(
                    "verifier.scheme.preset:{other:?} is not one of timestamped, convoy"
                )));
            }
        };
        for (name, slot) in [
            ("signature", &mut spec.signature),
            ("prefix", &mut spec.prefix),
            ("separators", &mut spec.separators),
            ("algorithm", &mut spec.algorithm),
            ("encoding", &mut spec.encoding),
            ("key", &mut spec.key),
            ("template", &mut spec.template),
            ("timestamp", &mut spec.timestamp),
            ("timestamp_unit", &mut spec.timestamp_unit),
            ("integrity", &mut spec.integrity),
        ] {
            if let Some(text) = fields.text(name)? {
                check_length(name, &text, 1_024)?;
                *slot = text;
            }
        }
        if let Some(pairs) = fields.texts("pairs")? {
            if PAIRS_MAX < pairs.len() {
                let text = format!("verifier.scheme.pairs:at most {PAIRS_MAX} names");
                return Err(ApiError::bad_request(text));
            }
            spec.pairs = pairs;
        }
        let tolerance: Option<u64> = fields.number("tolerance_seconds", 0..=ANY)?;
        spec.tolerance_seconds = tolerance.unwrap_or(spec.tolerance_seconds);
        if spec.timestamp.is_empty() {
            if tolerance.is_some_and(|seconds| 0 < seconds) {
                let text = "verifier.scheme.tolerance_seconds:`timestamp` does not say where the time stands";
                return Err(ApiError::bad_request(text));
            }
            spec.tolerance_seconds = 0;
        }
        if let Some(unknown) = fields.rest().keys().next() {
            return Err(ApiError::bad_request(format!(
                "verifier.scheme.{unknown}:is not a field of a scheme"
            )));
        }
        Scheme::parse(&spec)
            .map_err(|error| ApiError::bad_request(format!("verifier.scheme:{error}")))?;
        Ok(Self(spec))
    }
}

impl SchemeInput {
    /// Refuses what has no effect, and what no sender could make. Not asked of what is stored.
    fn check_usable(&self) -> Result<(), ApiError> {
        let spec = &self.0;
        let template = spec.template.replace("{{", "");
        let holds = |part: &str| template.contains(part);
        let is_in = |kind: &str| spec.signature.trim_start().starts_with(kind);
        let why = if !spec.prefix.is_empty() && !spec.pairs.is_empty() {
            "prefix:has no effect beside `pairs`, which name what stands before a signature"
        } else if (is_in("query:") && (holds("{url}") || holds("{url.path}")))
            || (is_in("form:") && holds("{form}"))
        {
            "template:the signature stands in what is signed, so no sender could make it"
        } else if !spec.timestamp.is_empty() && spec.timestamp == spec.signature {
            "timestamp:stands where the signature stands"
        } else if spec.timestamp.is_empty()
            && spec.timestamp_unit != SchemeSpec::default().timestamp_unit
        {
            "timestamp_unit:has no effect, because `timestamp` does not say where the time stands"
        } else {
            return Ok(());
        };
        Err(ApiError::bad_request(format!("verifier.scheme.{why}")))
    }

    fn stored(self) -> Value {
        let spec = self.0;
        json!({
            "signature": spec.signature, "prefix": spec.prefix, "pairs": spec.pairs, "separators": spec.separators,
            "algorithm": spec.algorithm, "encoding": spec.encoding, "key": spec.key, "template": spec.template,
            "timestamp": spec.timestamp, "timestamp_unit": spec.timestamp_unit,
            "tolerance_seconds": spec.tolerance_seconds, "integrity": spec.integrity,
        })
    }
}

impl Trust {
    /// The scheme that is stored, checked when it was saved.
    pub fn scheme(&self) -> Option<Scheme> {
        let fields = Fields::of(String::new(), self.scheme.clone()?).ok()?;
        Scheme::parse(&fields.into_type::<SchemeInput>().ok()?.0).ok()
    }

    /// Applies all but the secrets, which need the vault.
    pub fn apply(&mut self, input: TrustInput, hearsay: bool) -> Result<(), ApiError> {
        match input.mode.as_deref() {
            None | Some("") => {}
            Some("observe") => self.mode = Mode::Observe,
            Some("enforce") if hearsay => {
                return Err(ApiError::bad_request(
                    "verifier.mode:this provider is known by hearsay only, and its requests could be refused wrongly: use observe",
                ));
            }
            Some("enforce") => self.mode = Mode::Enforce,
            Some(other) => {
                return Err(ApiError::bad_request(format!(
                    "verifier.mode:{other:?} is neither enforce nor observe"
                )));
            }
        }
        if let Some(seconds) = input.tolerance_seconds {
            self.tolerance_seconds = Some(seconds);
        }
        if let Some(url) = input.public_url {
            let is_url = url.starts_with("https://") || url.starts_with("http://");
            if !(url.is_empty() || is_url) || url.contains(['?', '#', ' ', '\r', '\n']) {
                return Err(ApiError::bad_request(
                    "verifier.public_url:write the URL that the provider calls, without a query",
                ));
            }
            check_length("verifier.public_url", &url, 2_048)?;
            self.public_url = url;
        }
        if let Some(failure) = input.failure {
            self.failure = failure_response(failure)?;
        }
        if let Some(scheme) = input.scheme {
            scheme.check_usable()?;
            self.scheme = Some(scheme.stored());
        }
        Ok(())
    }

    /// Adds what is stored here to the verifier that the API shows.
    pub fn present_into(&self, verifier: &mut Value) {
        let secrets: Vec<Value> = self
            .secrets
            .iter()
            .map(|secret| {
                json!({
                    "uid": secret.uid, "label": secret.label, "value": secret.value.hint,
                    "expires_at": secret.expires_at.map(rfc3339), "created_at": rfc3339(secret.created_at),
                    "shown_until": secret.shown_until.map(rfc3339),
                })
            })
            .collect();
        if let Some(fields) = verifier.as_object_mut() {
            fields.insert("mode".into(), json!(self.mode));
            fields.insert("tolerance_seconds".into(), json!(self.tolerance_seconds));
            fields.insert("public_url".into(), json!(self.public_url));
            fields.insert(
                "failure_response".into(),
                json!(self.failure.as_ref().map(FailureResponse::present)),
            );
            fields.insert("secrets".into(), json!(secrets));
            fields.insert("scheme".into(), json!(self.scheme));
        }
    }
}

fn failure_response(input: FailureInput) -> Result<Option<FailureResponse>, ApiError> {
    let status = match input.status {
        None | Some(0) => None,
        Some(status @ 400..=499) => u16::try_from(status).ok(),
        Some(_) => {
            return Err(ApiError::bad_request(
                "verifier.failure_response.status:from 400 to 499, or the sender would not know that it was refused",
            ));
        }
    };
    let is_empty = input.body.as_deref() == Some("");
    let body = input.body.unwrap_or_default();
    if FAILURE_BODY_MAX_BYTES < body.len() {
        return Err(ApiError::bad_request("verifier.failure_response.body:at most 4096 bytes"));
    }
    let content_type = input.content_type.unwrap_or_default().trim().to_owned();
    check_content_type("verifier.failure_response.content_type", &content_type)?;
    let nothing = status.is_none() && body.is_empty() && !is_empty;
    Ok((!nothing).then_some(FailureResponse { status, body, content_type, is_empty }))
}
