//! Test sessions: sources that end by themselves, made with one call and no fields.

use serde_json::{Value, json};

use super::{bad, parsed};
use crate::api::ApiError;
use crate::fields::{Fields, FromFields};
use crate::ids::Fill;
use crate::source::Source;
use crate::time::{parse_rfc3339, rfc3339};
use crate::vault::Vault;

/// Events that a session takes in, as Hookstream has it; fewer may be asked for.
const REQUESTS: u64 = 2_000;
/// How long it lives: 14 days; shorter may be asked for.
const LIFE_MS: u64 = 14 * 86_400_000;

/// How long a session that nobody claimed stays after its end, so that what came can be looked at, and it can still be claimed.
const KEPT_MS: u64 = 86_400_000;

/// Sessions that ended by then are removed.
pub fn ended_before(now_ms: u64) -> u64 {
    now_ms.saturating_sub(KEPT_MS)
}

/// The body of `POST /v1/test/sessions` and of a claim: all of it may be left out.
#[derive(Debug, Default)]
pub struct SessionInput {
    pub org_id: Option<String>,
    pub env_id: Option<String>,
    name: Option<String>,
    slug: Option<String>,
    expires_at: Option<String>,
    request_limit: Option<u64>,
}

impl FromFields for SessionInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let read = Self {
            org_id: fields.text("org_id")?,
            env_id: fields.text("env_id")?,
            name: fields.text("name")?,
            slug: fields.text("slug")?,
            expires_at: fields.text("expires_at")?,
            request_limit: fields.number("request_limit", 0..=REQUESTS)?,
        };
        nothing_else(fields, "a session")?;
        Ok(read)
    }
}

/// The body of `PATCH /v1/test/sessions/:id/response`: what senders are answered.
#[derive(Debug, Default)]
pub struct SessionResponse {
    status: Option<u64>,
    content_type: Option<String>,
    body: Option<String>,
}

impl FromFields for SessionResponse {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let read = Self {
            status: fields.number("status", 200..=299)?,
            content_type: fields.text("content_type")?,
            body: fields.text("body")?,
        };
        nothing_else(fields, "a response")?;
        Ok(read)
    }
}

fn nothing_else(fields: &mut Fields, of: &str) -> Result<(), ApiError> {
    match fields.rest().keys().next() {
        Some(unknown) => {
            Err(bad(format!("{unknown}: is not a field of {of}, and would have no effect")))
        }
        None => Ok(()),
    }
}

/// A session: an open source whose id is the last part of its URL.
pub fn open_session(
    input: SessionInput,
    project_id: &str,
    vault: &Vault,
    now_ms: u64,
    fill: Fill<'_>,
) -> Result<Source, ApiError> {
    let limit = input.request_limit.filter(|limit| *limit != 0).unwrap_or(REQUESTS);
    if REQUESTS < limit {
        return Err(bad(format!("request_limit: at most {REQUESTS}; a source may have more")));
    }
    let latest = now_ms.saturating_add(LIFE_MS);
    let expires_at = match input.expires_at.as_deref() {
        None | Some("") => latest,
        Some(text) => match parse_rfc3339(text) {
            Some(at) if (now_ms..=latest).contains(&at) => at,
            _ => {
                return Err(bad(
                    "expires_at: a time within the next 14 days, like 2030-01-31T00:00:00Z",
                ));
            }
        },
    };
    let name = input.name.filter(|name| !name.trim().is_empty());
    let name = name.unwrap_or_else(|| "test session".to_owned());
    let body = json!({"name": name, "slug": input.slug, "type": "http"});
    let mut source = Source::create(parsed(body)?, project_id, vault, now_ms, fill)?;
    source.mask_id.clone_from(&source.uid);
    source.profile.is_session = true;
    source.admission.expires_at = Some(expires_at);
    source.admission.max_requests = Some(limit);
    Ok(source)
}

/// Refuses a source that lives until it is deleted.
pub fn check_session(source: &Source) -> Result<(), ApiError> {
    if source.admission.expires_at.is_none() && source.admission.max_requests.is_none() {
        return Err(ApiError::not_found("session not found"));
    }
    Ok(())
}

/// Makes a session a source for good.
pub fn claim(
    source: &mut Source,
    input: SessionInput,
    vault: &Vault,
    now_ms: u64,
    fill: Fill<'_>,
) -> Result<(), ApiError> {
    for (name, given) in [
        ("expires_at", input.expires_at.is_some()),
        ("request_limit", input.request_limit.is_some()),
    ] {
        if given {
            return Err(bad(format!("{name}: has no effect here; what is claimed stays for good")));
        }
    }
    let name = input.name.filter(|name| !name.trim().is_empty());
    let name = name.unwrap_or_else(|| source.name.clone());
    let read = parsed(json!({"name": name, "slug": input.slug, "type": source.kind}))?;
    source.update(read, vault, now_ms, fill)?;
    source.profile.is_session = false;
    source.custom_response.end_session();
    source.admission.expires_at = None;
    source.admission.max_requests = None;
    Ok(())
}

/// Says what the senders of a session are answered.
pub fn respond(
    source: &mut Source,
    input: SessionResponse,
    vault: &Vault,
    now_ms: u64,
    fill: Fill<'_>,
) -> Result<(), ApiError> {
    let response =
        json!({"status": input.status, "content_type": input.content_type, "body": input.body});
    let read =
        parsed(json!({"name": source.name, "type": source.kind, "custom_response": response}))?;
    // Here the fields stand by themselves.
    source.update(read, vault, now_ms, fill).map_err(|mut error| {
        error.message = error.message.replace("custom_response.", "");
        error
    })
}

/// The session as callers read it; `requests` are those that it has had.
pub fn present_session(source: &Source, origin: &str, requests: u64) -> Value {
    let custom = &source.custom_response;
    json!({
        "session_id": source.uid, "url": format!("{origin}/v1/ingest/{}", source.mask_id),
        "expires_at": source.admission.expires_at.map(rfc3339), "request_limit": source.admission.max_requests,
        "request_count": requests, "name": source.name,
        "response": custom.given().map(|(body, content_type)| {
            json!({"status": if custom.status == 0 { 200 } else { custom.status }, "content_type": content_type, "body": body})
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::parse;

    fn vault() -> Vault {
        Vault::new("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap()
    }

    fn opened(body: &str, now_ms: u64) -> Result<Source, ApiError> {
        open_session(parse(body.as_bytes())?, "p", &vault(), now_ms, &mut |b| b.fill(5))
    }

    #[test]
    fn a_session_lives_for_two_weeks_and_two_thousand_requests_at_most() {
        let source = opened("{}", 1_000).unwrap();
        let shown = present_session(&source, "https://x", 3);
        assert_eq!(shown["url"], format!("https://x/v1/ingest/{}", source.uid));
        assert_eq!(
            (&shown["expires_at"], &shown["request_limit"], &shown["request_count"]),
            (&json!("1970-01-15T00:00:01.000Z"), &json!(2_000), &json!(3))
        );
        let source =
            opened(r#"{"request_limit":5,"expires_at":"1970-01-02T00:00:00Z"}"#, 0).unwrap();
        assert_eq!(
            (source.admission.max_requests, source.admission.expires_at),
            (Some(5), Some(86_400_000))
        );
        for (body, field) in [
            (r#"{"request_limit":2001}"#, "request_limit"),
            (r#"{"expires_at":"1970-01-16T00:00:00Z"}"#, "expires_at"),
            (r#"{"expires_at":"soon"}"#, "expires_at"),
            (r#"{"colour":"red"}"#, "colour"),
        ] {
            let message = opened(body, 0).unwrap_err().message;
            assert!(message.starts_with(&format!("{field}: ")), "{message}");
        }
    }

    #[test]
    fn what_is_claimed_stays_and_is_no_session_any_more() {
        let mut source = opened("{}", 0).unwrap();
        check_session(&source).unwrap();
        assert!(source.profile.is_session, "it is removed a day after its end");
        assert_eq!((ended_before(86_400_005), ended_before(3)), (5, 0));
        let limited = parse(br#"{"request_limit":1}"#).unwrap();
        assert!(claim(&mut source, limited, &vault(), 1, &mut |b| b.fill(5)).is_err());
        let named = parse(br#"{"name":"orders","slug":"orders"}"#).unwrap();
        claim(&mut source, named, &vault(), 1, &mut |b| b.fill(5)).unwrap();
        assert_eq!((source.name.as_str(), source.profile.slug.as_str()), ("orders", "orders"));
        assert_eq!(check_session(&source).unwrap_err().status, 404);
        assert!(!source.profile.is_session);
    }

    #[test]
    fn a_response_of_ones_own_is_shown() {
        let mut source = opened("{}", 0).unwrap();
        assert_eq!(present_session(&source, "", 0)["response"], Value::Null);
        let input =
            parse(br#"{"status":202,"content_type":"text/plain","body":"thanks"}"#).unwrap();
        respond(&mut source, input, &vault(), 1, &mut |b| b.fill(5)).unwrap();
        assert_eq!(
            present_session(&source, "", 0)["response"],
            json!({"status": 202, "content_type": "text/plain", "body": "thanks"})
        );
        let teapot = parse(br#"{"status":418}"#).unwrap();
        respond(&mut source, teapot, &vault(), 1, &mut |b| b.fill(5)).unwrap();
        assert_eq!(present_session(&source, "", 0)["response"]["status"], 418);
        for status in [199, 205, 304, 600] {
            let wrong = parse(json!({"status": status}).to_string().as_bytes()).unwrap();
            let error = respond(&mut source, wrong, &vault(), 1, &mut |b| b.fill(5)).unwrap_err();
            assert_eq!(error.message, "status:from 200 to 599 without 205 and 304");
        }
        claim(&mut source, parse(b"{}").unwrap(), &vault(), 1, &mut |b| b.fill(5)).unwrap();
        assert_eq!(source.custom_response.present()["status"], Value::Null, "of the session alone");
        let response = r#"{"name":"a","type":"http","custom_response":{"status":418}}"#;
        let input = parse(response.as_bytes()).unwrap();
        assert!(source.update(input, &vault(), 1, &mut |b| b.fill(5)).is_err());
    }
}
