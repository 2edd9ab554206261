//! Sources as callers read them: all 31 fields, and `null` where a source has nothing that fits.

use inlet_verify::{Hash, Provider, catalogue};
use serde_json::{Map, Value, json};

use crate::custom_response::CustomResponse;
use crate::locate::Location;
use crate::profile::SLUG_ID_CHARS;
use crate::source::Source;
use crate::source_count::SourceCount;
use crate::time::rfc3339;
use crate::trust::Mode;

/// The source. `origin` is where the gateway is reached; of `counts` the source's own is taken.
pub fn present(source: &Source, origin: &str, counts: &[SourceCount]) -> Value {
    let admission = &source.admission;
    let row = catalogue::find(&source.provider);
    let signs = source.signing_row();
    let kind = kind_of(source);
    let header = signs.map_or_else(|| own_header(source), header_of);
    let template = match (row, &kind) {
        (Some(_), _) => Some(source.provider.as_str()),
        (None, Some(_)) => Some("custom"),
        (None, None) => None,
    };
    let (strategy, place) = strategy(&source.idempotency_keys);
    let has_key =
        !source.idempotency_keys.is_empty() || row.is_some_and(|row| row.event_id.is_some());
    let dedups = has_key && !source.profile.is_dedup_disabled;
    let count = counts.iter().find(|count| count.source_id == source.uid);
    let checks_schema = admission.json_schema.is_some() && !admission.is_schema_off;
    let action = match (admission.schema_warns, &admission.json_schema) {
        (true, _) => Some("warn"),
        (false, Some(_)) => Some("reject"),
        (false, None) => None,
    };
    let is_ephemeral = admission.expires_at.is_some() || admission.max_requests.is_some();
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "id": source.uid, "org_id": source.project_id, "env_id": source.project_id,
        "slug": shown_slug(source), "name": source.name, "description": some(&source.profile.description),
        "template": template, "type": source.kind, "source_config": in_text(config(source)),
        "verification_enabled": u8::from(enforces(source)), "verification_type": kind,
        "verification_secret": secret_hint(source), "verification_header": header,
        "verification_config": in_text(verification_config(source)),
        "dedup_enabled": u8::from(dedups), "dedup_strategy": strategy, "dedup_field": place,
        "dedup_window_seconds": source.dedup_window_seconds,
        "ip_allowlist": list(&admission.ip_allowlist), "ip_denylist": list(&admission.ip_denylist),
        "status": source.profile.status(source.is_disabled),
        "event_count": count.map_or(0, |count| count.events),
        "last_event_at": count.map(|count| rfc3339(count.last_event_at)),
        "created_at": rfc3339(source.created_at), "updated_at": rfc3339(source.updated_at),
        "is_ephemeral": u8::from(is_ephemeral), "expires_at": admission.expires_at.map(rfc3339),
        "request_limit": admission.max_requests,
        "schema_validation_enabled": u8::from(checks_schema),
        "json_schema": admission.json_schema.as_ref().map(Value::to_string), "schema_action": action,
        "url": format!("{origin}/v1/ingest/{}", source.mask_id),
    })
}

/// The slug, or what the name and the end of the id make: every source has one here, and no other of its project has the same.
pub fn shown_slug(source: &Source) -> String {
    if !source.profile.slug.is_empty() {
        return source.profile.slug.clone();
    }
    let lower = source.name.to_ascii_lowercase();
    let words =
        lower.split(|one: char| !one.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let id = source.uid.to_ascii_lowercase();
    let end = id.get(id.len().saturating_sub(SLUG_ID_CHARS)..).unwrap_or(&id);
    words.chain([end]).collect::<Vec<_>>().join("-")
}

fn list(items: &[String]) -> Option<String> {
    (!items.is_empty()).then(|| json!(items).to_string())
}

fn in_text(fields: Map<String, Value>) -> Option<String> {
    (!fields.is_empty()).then(|| Value::Object(fields).to_string())
}

/// What this dialect has no name for, where it says anything.
fn config(source: &Source) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    if source.custom_response != CustomResponse::default() {
        put("custom_response", source.custom_response.present());
    }
    if !source.event_type_location.is_empty() {
        put("event_type_location", json!(source.event_type_location));
    }
    if let Some(names) = &source.forward_headers {
        put("forward_headers", json!(names));
    }
    if let Some(names) = &source.forward_query {
        put("forward_query", json!(names));
    }
    let keys = &source.idempotency_keys;
    if !keys.is_empty() && strategy(keys).0.is_none() {
        put("idempotency_keys", json!(keys));
    }
    if let Some(limit) = source.admission.rate_limit {
        put("rate_limit", limit.present());
    }
    fields
}

fn verification_config(source: &Source) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    let verifier = &source.verifier;
    let is_own = source.signing_row().is_none();
    let is = |kind: &str| is_own && verifier.kind == kind;
    if let Some(hmac) = verifier.hmac.as_ref().filter(|hmac| is("hmac") && hmac.encoding != "hex") {
        put("encoding", json!(hmac.encoding));
    }
    if let Some(basic) = verifier.basic_auth.as_ref().filter(|_| is("basic_auth")) {
        put("username", json!(basic.username));
    }
    if is("scheme") {
        put("scheme", json!(verifier.trust.scheme));
    }
    if !is_own || is("scheme") {
        if let Some(seconds) = verifier.trust.tolerance_seconds {
            put("tolerance_seconds", json!(seconds));
        }
        if !verifier.trust.public_url.is_empty() {
            put("public_url", json!(verifier.trust.public_url));
        }
    }
    fields
}

/// The strategy that these keys are, and its field; nothing where they are none of Hookstream's.
pub(super) fn strategy(keys: &[String]) -> (Option<&'static str>, Option<String>) {
    let [key] = keys else { return (None, None) };
    match Location::parse_idempotency_key(key) {
        Ok(Location::PayloadHash) => (Some("payload_hash"), None),
        Ok(Location::Header(name)) => (Some("header_field"), Some(name)),
        Ok(Location::Body(path)) => (Some("body_field"), Some(path)),
        _ => (None, None),
    }
}

/// What a row of the catalogue checks, as a `verification_type`.
pub(super) fn type_of(row: &Provider) -> String {
    let said = row.describe();
    let last = said.algorithm.rsplit(' ').next().unwrap_or_default();
    let word = match said.algorithm.as_str() {
        "HMAC-SHA256" if said.headers.iter().any(|name| name == "webhook-signature") => {
            "standard_webhooks".to_owned()
        }
        text if text.starts_with("HMAC-") => text.split(' ').next().unwrap_or_default().to_owned(),
        text if text.starts_with("RSA") => format!("rsa_{last}"),
        text if text.starts_with("ECDSA") => format!("ecdsa_{last}"),
        text if text.starts_with("a token") => "token".to_owned(),
        text if text.starts_with("none") => "none".to_owned(),
        "HTTP Basic" => "basic_auth".to_owned(),
        text => text.split(' ').next().unwrap_or_default().to_owned(),
    };
    word.to_ascii_lowercase().replace('-', "_")
}

/// The first header that a row of the catalogue reads a signature from.
pub(super) fn header_of(row: &Provider) -> Option<String> {
    let said = row.describe();
    let name = |place: &String| Some(place.strip_prefix("header `")?.strip_suffix('`')?.to_owned());
    said.places.iter().find_map(name)
}

/// What a source checks, as a `verification_type`; nothing where it believes everybody.
pub(super) fn kind_of(source: &Source) -> Option<String> {
    source.signing_row().map(type_of).or_else(|| own_type(source))
}

/// Whether it refuses what it does not believe.
pub(super) fn enforces(source: &Source) -> bool {
    source.verifier.trust.mode == Mode::Enforce && kind_of(source).is_some()
}

/// What a source without a template checks.
pub(super) fn own_type(source: &Source) -> Option<String> {
    let verifier = &source.verifier;
    match (source.signing_row().is_none(), verifier.kind.as_str()) {
        (false, _) => None,
        (true, "hmac") => {
            let hmac = verifier.hmac.as_ref()?;
            Some(format!("hmac_{}", hmac.hash.to_ascii_lowercase()))
        }
        (true, kind @ ("basic_auth" | "api_key" | "scheme")) => Some(kind.to_owned()),
        (true, _) => None,
    }
}

pub(super) fn own_header(source: &Source) -> Option<String> {
    let verifier = &source.verifier;
    match verifier.kind.as_str() {
        "hmac" => Some(verifier.hmac.as_ref()?.header.clone()),
        "api_key" => Some(verifier.api_key.as_ref()?.header_name.clone()),
        _ => None,
    }
}

/// The secret as reads show it: its mask.
pub(super) fn secret_hint(source: &Source) -> Option<String> {
    let verifier = &source.verifier;
    let own = verifier.hmac.as_ref().map(|hmac| &hmac.secret);
    let own = own.or(verifier.basic_auth.as_ref().map(|basic| &basic.password));
    let own = own.or(verifier.api_key.as_ref().map(|key| &key.header_value));
    // Of several the one that lasts longest.
    let further = || {
        let last = |secret: &&crate::trust::StoredSecret| secret.expires_at.unwrap_or(u64::MAX);
        verifier.trust.secrets.iter().max_by_key(last).map(|secret| &secret.value)
    };
    own.or_else(further).map(|sealed| sealed.hint.clone())
}

/// The name of a hash, from that in `hmac_sha256`.
pub(super) fn hash_of(name: &str) -> Option<&'static str> {
    Hash::ALL.into_iter().map(Hash::name).find(|hash| hash.eq_ignore_ascii_case(name))
}
