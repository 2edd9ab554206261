//! OAuth client credentials ([RFC 6749, section 4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)): what is asked of a token
//! endpoint, and what its answer means. The asking is the shell's.

mod assertion;

use inlet_verify::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

pub use assertion::{Algorithm, Assertion};

use crate::api::{ApiError, asks_for_something};
use crate::cloudflare;
use crate::fields::{Fields, FromFields};
use crate::json;
use crate::payload::at_path;

/// The longest time that a token is used, and the time of one that does not say.
const LIFETIME_MAX_MS: u64 = 3_600_000;
/// The most that is said of an answer that is no token.
const SAID_MAX_CHARS: usize = 200;

/// Where tokens come from, as it is stored. The client and its secret stand beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oauth2 {
    pub url: String,
    pub scope: String,
    pub audience: String,
    /// What the fields of the answer are called: dotted paths.
    pub access_token: String,
    pub token_type: String,
    pub expires_in: String,
    pub expiry_time_unit: Unit,
    /// Of a client that signs; `None`: it has a shared secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assertion: Option<Assertion>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    Milliseconds,
    Seconds,
    Minutes,
    Hours,
}

impl Unit {
    fn ms(self) -> u64 {
        match self {
            Self::Milliseconds => 1,
            Self::Seconds => 1_000,
            Self::Minutes => 60_000,
            Self::Hours => 3_600_000,
        }
    }
}

/// `oauth2` of an endpoint's `authentication`.
#[derive(Debug)]
pub struct Oauth2Input {
    url: String,
    client_id: String,
    client_secret: String,
    grant_type: String,
    scope: String,
    audience: String,
    unit: String,
    kind: String,
    issuer: String,
    subject: String,
    signing_algorithm: String,
    signing_key: Option<Value>,
    mapping: MappingInput,
}

impl FromFields for Oauth2Input {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let mapping = fields.object("field_mapping")?.unwrap_or_default();
        let mut text =
            |name| Ok::<_, ApiError>(fields.text(name)?.unwrap_or_default().trim().to_owned());
        Ok(Self {
            url: text("url")?,
            client_id: text("client_id")?,
            client_secret: text("client_secret")?,
            grant_type: text("grant_type")?,
            scope: text("scope")?,
            audience: text("audience")?,
            unit: text("expiry_time_unit")?,
            kind: text("authentication_type")?,
            issuer: text("issuer")?,
            subject: text("subject")?,
            signing_algorithm: text("signing_algorithm")?,
            signing_key: fields.raw("signing_key").filter(asks_for_something),
            mapping,
        })
    }
}

/// The body of `POST …/endpoints/oauth2/test`.
#[derive(Debug)]
pub struct Oauth2Test(pub Option<Oauth2Input>);

impl FromFields for Oauth2Test {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self(fields.object("oauth2")?))
    }
}

#[derive(Debug, Default)]
struct MappingInput {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<String>,
}

impl FromFields for MappingInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            access_token: fields.text("access_token")?,
            token_type: fields.text("token_type")?,
            expires_in: fields.text("expires_in")?,
        })
    }
}

impl Oauth2Input {
    /// What is stored, the client, and its secret. The error names its field below `authentication`.
    pub fn check(self) -> Result<(Oauth2, String, String), String> {
        if self.url.is_empty() {
            return Err("oauth2.url:is required".into());
        }
        if self.client_id.is_empty() {
            return Err("oauth2.client_id:is required".into());
        }
        if !matches!(self.grant_type.as_str(), "" | "client_credentials") {
            return Err("oauth2.grant_type:only client_credentials".into());
        }
        let (assertion, secret) = match self.kind.as_str() {
            "" | "shared_secret" => {
                for (field, given) in [
                    ("issuer", !self.issuer.is_empty()),
                    ("subject", !self.subject.is_empty()),
                    ("signing_key", self.signing_key.is_some()),
                    ("signing_algorithm", !self.signing_algorithm.is_empty()),
                ] {
                    if given {
                        return Err(format!(
                            "oauth2.{field}:is for the authentication_type client_assertion"
                        ));
                    }
                }
                (None, self.client_secret)
            }
            "client_assertion" => {
                if !self.client_secret.is_empty() {
                    return Err(
                        "oauth2.client_secret:is for the authentication_type shared_secret".into(),
                    );
                }
                let read = Assertion::read(
                    &self.signing_algorithm,
                    self.issuer,
                    self.subject,
                    self.signing_key,
                );
                let (assertion, key) = read.map_err(|fault| format!("oauth2.{fault}"))?;
                (Some(assertion), key)
            }
            _ => return Err("oauth2.authentication_type:shared_secret or client_assertion".into()),
        };
        let expiry_time_unit = match self.unit.as_str() {
            "" | "seconds" => Unit::Seconds,
            "milliseconds" => Unit::Milliseconds,
            "minutes" => Unit::Minutes,
            "hours" => Unit::Hours,
            _ => {
                return Err(
                    "oauth2.expiry_time_unit:one of seconds, milliseconds, minutes, hours".into()
                );
            }
        };
        let named = |given: Option<String>, usual: &str| {
            given.filter(|name| !name.is_empty()).unwrap_or_else(|| usual.to_owned())
        };
        let oauth2 = Oauth2 {
            url: self.url,
            scope: self.scope,
            audience: self.audience,
            access_token: named(self.mapping.access_token, "access_token"),
            token_type: named(self.mapping.token_type, "token_type"),
            expires_in: named(self.mapping.expires_in, "expires_in"),
            expiry_time_unit,
            assertion,
        };
        Ok((oauth2, self.client_id, secret))
    }
}

/// A token, ready to be sent. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The value of `Authorization`.
    pub authorization: String,
    /// From then on a new one is fetched: some time before this one ends.
    pub refresh_at: u64,
    pub expires_at: u64,
}

impl Oauth2 {
    /// The form that asks for a token.
    pub fn request(&self, client_id: &str, client_secret: &Secret) -> String {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials")
            .append_pair("client_id", client_id)
            .append_pair("client_secret", &String::from_utf8_lossy(client_secret.expose()));
        self.ask_for(&mut form);
        form.finish()
    }

    fn ask_for(&self, form: &mut Serializer<'_, String>) {
        for (name, value) in [("scope", &self.scope), ("audience", &self.audience)] {
            if !value.is_empty() {
                form.append_pair(name, value);
            }
        }
    }

    /// What the token endpoint's answer comes to. The error says what it said.
    pub fn read(&self, status: u16, body: &[u8], now_ms: u64) -> Result<Token, String> {
        let answer: Value = json::read_bytes(body).unwrap_or_default();
        let text = |path: &str| at_path(&answer, path).and_then(Value::as_str);
        if !(200..300).contains(&status) {
            let said = [text("error"), text("error_description")];
            let said: Vec<&str> = said.into_iter().flatten().collect();
            let said: String = said.join(": ").chars().take(SAID_MAX_CHARS).collect();
            let said = cloudflare::in_place_of(status, body).unwrap_or(said);
            let comma = if said.is_empty() { "" } else { ": " };
            return Err(format!("the token endpoint answered {status}{comma}{said}"));
        }
        let token = text(&self.access_token)
            .filter(|token| !token.is_empty() && token.chars().all(|c| matches!(c, '!'..='~')))
            .ok_or_else(|| format!("the token endpoint's answer has no {}", self.access_token))?;
        let kind = match text(&self.token_type) {
            None => "Bearer",
            Some(kind) if kind.eq_ignore_ascii_case("bearer") || kind.is_empty() => "Bearer",
            Some(kind) if kind.chars().all(|c| matches!(c, '!'..='~')) => kind,
            Some(_) => {
                return Err(format!("the token endpoint's {} is not readable", self.token_type));
            }
        };
        let lifetime = at_path(&answer, &self.expires_in).and_then(|value| {
            value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
        });
        let lifetime = lifetime.map_or(LIFETIME_MAX_MS, |lifetime| {
            lifetime.saturating_mul(self.expiry_time_unit.ms()).min(LIFETIME_MAX_MS)
        });
        Ok(Token {
            authorization: format!("{kind} {token}"),
            refresh_at: now_ms + lifetime - lifetime / 10,
            expires_at: now_ms + lifetime,
        })
    }

    pub fn present(&self, client_id: &str, hint: &str) -> Value {
        let mut shown = json!({
            "url": self.url, "client_id": client_id, "client_secret": hint, "grant_type": "client_credentials",
            "authentication_type": "shared_secret", "scope": self.scope, "audience": self.audience,
            "expiry_time_unit": self.expiry_time_unit,
            "field_mapping": {
                "access_token": self.access_token, "token_type": self.token_type, "expires_in": self.expires_in,
            },
        });
        if let Some(assertion) = &self.assertion {
            assertion.present_into(&mut shown);
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::parse;

    fn oauth2(body: &str) -> Result<(Oauth2, String, String), String> {
        parse::<Oauth2Input>(body.as_bytes()).map_err(|error| error.message)?.check()
    }

    const PLAIN: &str = r#"{"url":"https://id.example.com/token","client_id":"me","client_secret":"s&s","scope":"a b"}"#;

    #[test]
    fn a_token_is_asked_for_and_read() {
        let (oauth2, client, secret) = oauth2(PLAIN).unwrap();
        let form = oauth2.request(&client, &Secret::new(secret.as_bytes()).unwrap());
        assert_eq!(
            form,
            "grant_type=client_credentials&client_id=me&client_secret=s%26s&scope=a+b"
        );
        let token = oauth2
            .read(200, br#"{"access_token":"t","token_type":"bearer","expires_in":100}"#, 5)
            .unwrap();
        assert_eq!(
            token,
            Token { authorization: "Bearer t".into(), refresh_at: 90_005, expires_at: 100_005 }
        );
        let token = oauth2.read(200, br#"{"access_token":"t","expires_in":999999999}"#, 5).unwrap();
        assert_eq!(token.expires_at, 3_600_005);
    }

    #[test]
    fn the_fields_of_an_answer_may_have_other_names_and_units() {
        let body = PLAIN.replace(
            r#""scope":"a b""#,
            r#""expiry_time_unit":"minutes","field_mapping":{"access_token":"data.token","expires_in":"ttl"}"#,
        );
        let (oauth2, ..) = oauth2(&body).unwrap();
        let token = oauth2.read(201, br#"{"data":{"token":"x"},"ttl":"2"}"#, 0).unwrap();
        assert_eq!((token.authorization.as_str(), token.expires_at), ("Bearer x", 120_000));
    }

    #[test]
    fn an_answer_that_is_no_token_says_why() {
        let (oauth2, ..) = oauth2(PLAIN).unwrap();
        for (status, body, expect) in [
            (
                401,
                r#"{"error":"invalid_client","error_description":"who?"}"#,
                "answered 401: invalid_client: who?",
            ),
            (500, "<html>", "answered 500"),
            (200, "{}", "has no access_token"),
            (200, r#"{"access_token":"a\nb"}"#, "has no access_token"),
            (200, r#"{"access_token":"a","token_type":"x y"}"#, "token_type is not readable"),
            (302, "", "answered 302"),
            (530, "error code: 1016", "answered 530: Cloudflare answered in the endpoint's place"),
        ] {
            let error = oauth2.read(status, body.as_bytes(), 0).unwrap_err();
            assert!(error.contains(expect), "{status} {body}: {error}");
        }
    }

    #[test]
    fn a_client_that_cannot_work_is_refused() {
        for (body, expect) in [
            ("{}", "oauth2.url:is required"),
            (r#"{"url":"https://x.example.com"}"#, "oauth2.client_id:is required"),
            (&PLAIN.replace("\"scope\"", "\"grant_type\""), "only client_credentials"),
            (
                &PLAIN.replace(r#""scope":"a b""#, r#""authentication_type":"client_assertion""#),
                "client_secret:is for the authentication_type shared_secret",
            ),
            (
                &PLAIN.replace(r#""scope":"a b""#, r#""signing_key":{"kty":"EC"}"#),
                "signing_key:is for the authentication_type client_assertion",
            ),
            (&PLAIN.replace("\"scope\"", "\"expiry_time_unit\""), "expiry_time_unit:one of"),
        ] {
            let error = oauth2(body).unwrap_err();
            assert!(error.contains(expect), "{body}: {error}");
        }
    }
}
