//! The body of a call about a source, and what is refused before anything else is looked at.

use super::*;
use crate::admit::HOP_HEADERS;
use crate::custom_response::CustomResponseInput;

/// Names in one `forward_headers` or `forward_query`: each request asks all of them for each of its own.
const FORWARDED_MAX: usize = 100;
/// Places where a request's key may stand, all of which are looked at.
const IDEMPOTENCY_KEYS_MAX: usize = 50;

/// The body of `POST /sources` and `PUT /sources/{sourceID}`.
#[derive(Debug, Default)]
pub struct SourceInput {
    pub(super) name: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) provider: Option<String>,
    pub(super) is_disabled: Option<bool>,
    pub(super) verifier: Option<VerifierInput>,
    pub(super) custom_response: Option<CustomResponseInput>,
    pub(super) forward_headers: Option<Vec<String>>,
    pub(super) forward_query: Option<Vec<String>>,
    pub(super) idempotency_keys: Option<Vec<String>>,
    pub(super) dedup_window_seconds: Option<u64>,
    pub(super) event_type_location: Option<String>,
    pub(super) body_function: Option<String>,
    pub(super) header_function: Option<String>,
    pub(super) admission: AdmissionInput,
    pub(super) pub_sub: Option<Value>,
    pub(super) profile: ProfileInput,
    pub(super) provider_config: Option<ProviderConfigInput>,
}

impl FromFields for SourceInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            name: fields.text("name")?,
            kind: fields.text("type")?,
            provider: fields.text("provider")?,
            is_disabled: fields.flag("is_disabled")?,
            verifier: fields.object("verifier")?,
            custom_response: fields.object("custom_response")?,
            forward_headers: fields.texts("forward_headers")?,
            forward_query: fields.texts("forward_query")?,
            idempotency_keys: fields.texts("idempotency_keys")?,
            dedup_window_seconds: fields.number("dedup_window_seconds", 1..=DEDUP_WINDOW_MAX_S)?,
            event_type_location: fields.text("event_type_location")?,
            body_function: fields.text("body_function")?,
            header_function: fields.text("header_function")?,
            admission: AdmissionInput::take(fields)?,
            pub_sub: fields.raw("pub_sub"),
            profile: ProfileInput::take(fields)?,
            provider_config: fields.object("provider_config")?,
        })
    }
}

#[derive(Debug, Default)]
pub(super) struct VerifierInput {
    pub(super) kind: Option<String>,
    pub(super) hmac: Option<HmacInput>,
    pub(super) basic_auth: Option<BasicAuthInput>,
    pub(super) api_key: Option<ApiKeyInput>,
    pub(super) trust: TrustInput,
}

impl VerifierInput {
    /// Whether it says by what a request is believed.
    pub(super) fn is_chosen(&self) -> bool {
        !self.kind.as_deref().unwrap_or_default().is_empty()
            || self.hmac.is_some()
            || self.basic_auth.is_some()
            || self.api_key.is_some()
            || self.trust.scheme.is_some()
    }
}

impl FromFields for VerifierInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            kind: fields.text("type")?,
            hmac: fields.object("hmac")?,
            basic_auth: fields.object("basic_auth")?,
            api_key: fields.object("api_key")?,
            trust: TrustInput::take(fields)?,
        })
    }
}

#[derive(Debug, Default)]
pub(super) struct HmacInput {
    pub(super) header: Option<String>,
    pub(super) hash: Option<String>,
    pub(super) encoding: Option<String>,
    pub(super) secret: Option<String>,
}

impl FromFields for HmacInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            header: fields.text("header")?,
            hash: fields.text("hash")?,
            encoding: fields.text("encoding")?,
            secret: fields.text("secret")?,
        })
    }
}

#[derive(Debug, Default)]
pub(super) struct BasicAuthInput {
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
}

impl FromFields for BasicAuthInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { username: fields.text("username")?, password: fields.text("password")? })
    }
}

#[derive(Debug, Default)]
pub(super) struct ApiKeyInput {
    pub(super) header_name: Option<String>,
    pub(super) header_value: Option<String>,
}

impl FromFields for ApiKeyInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            header_name: fields.text("header_name")?,
            header_value: fields.text("header_value")?,
        })
    }
}

/// What belongs to requests has no effect on messages of a broker.
pub(super) fn check_pub_sub(input: &SourceInput) -> Result<(), ApiError> {
    let is_given = |text: &Option<String>| !text.as_deref().unwrap_or_default().is_empty();
    let verifier = input.verifier.as_ref();
    let asks_who = verifier.is_some_and(|verifier| {
        !matches!(verifier.kind.as_deref(), None | Some("" | "noop"))
            || verifier.hmac.is_some()
            || verifier.basic_auth.is_some()
            || verifier.api_key.is_some()
    });
    let responds = input.custom_response.as_ref().is_some_and(CustomResponseInput::asks);
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
            "is_dedup_disabled",
            input.profile.is_dedup_disabled == Some(true),
            "a message that its broker delivers twice is one event",
        ),
        (
            "forward_query",
            input.forward_query.as_ref().is_some_and(|names| !names.is_empty()),
            "a message has no query",
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

pub(super) fn asks_for_something(value: Option<&Value>) -> bool {
    refuse_unsupported("", value).is_err()
}

/// Reads the places where a request's key may stand.
pub(super) fn idempotency_keys(keys: Vec<String>) -> Result<Vec<String>, ApiError> {
    check_count("idempotency_keys", &keys, IDEMPOTENCY_KEYS_MAX)?;
    for key in &keys {
        Location::parse_idempotency_key(key).map_err(ApiError::bad_request)?;
    }
    Ok(keys)
}

fn check_count(field: &str, list: &[String], most: usize) -> Result<(), ApiError> {
    if most < list.len() {
        return Err(ApiError::bad_request(format!("{field}:at most {most} names")));
    }
    Ok(())
}

pub(super) fn header_names(names: Vec<String>) -> Result<Vec<String>, ApiError> {
    check_count("forward_headers", &names, FORWARDED_MAX)?;
    let names: Vec<String> =
        names.into_iter().map(|name| name.trim().to_ascii_lowercase()).collect();
    if let Some(bad) = names.iter().find(|name| !is_header_name(name) || *name == "*") {
        return Err(ApiError::bad_request(format!(
            "forward_headers:{bad:?} is not a header name; without the list all go on but credentials"
        )));
    }
    // The content type goes on whatever the list says.
    let never = |name: &&String| {
        is_taken_header(name) && *name != "content-type" || HOP_HEADERS.contains(&name.as_str())
    };
    if let Some(bad) = names.iter().find(never) {
        return Err(ApiError::bad_request(format!(
            "forward_headers:{bad:?} never goes on: it is of one connection, or a delivery has its own; take it off the list"
        )));
    }
    Ok(names)
}

/// Names of parameters, as they are when they are decoded.
pub(super) fn parameter_names(names: Vec<String>) -> Result<Vec<String>, ApiError> {
    check_count("forward_query", &names, FORWARDED_MAX)?;
    for name in &names {
        check_length("forward_query", name, NAME_MAX_CHARS)?;
        if name.is_empty() || name == "*" {
            return Err(ApiError::bad_request(format!(
                "forward_query:{name:?} is not the name of a parameter; without the list all go on but credentials"
            )));
        }
    }
    Ok(names)
}

/// Convoy's struct tags: nested objects are checked whenever they are there, whatever the type says.
pub(super) fn check_tags(input: &SourceInput, is_provider: bool) -> Result<(), ApiError> {
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
        if has_encoding && Encoding::from_name(&text(&hmac.encoding)).is_none() {
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
