//! How an endpoint wants to be convinced that it is us: a header of its own, a user name and password, or an OAuth token.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use inlet_verify::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::address;
use crate::api::{ApiError, TEXT_MAX_CHARS, check_length};
use crate::fields::{Fields, FromFields};
use crate::header::{is_convoys, is_header_name, is_taken_header};
use crate::ids::Fill;
use crate::oauth::{Oauth2, Oauth2Input};
use crate::vault::{MASK, Sealed, Vault, VaultError, is_hint};

/// The authentication of an endpoint, as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Authentication {
    pub kind: Kind,
    /// The header, the user or the client.
    pub name: String,
    pub secret: Sealed,
    #[serde(default)]
    pub oauth2: Option<Oauth2>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    ApiKey,
    BasicAuth,
    Oauth2,
}

/// `authentication` of an endpoint.
#[derive(Debug)]
pub struct AuthenticationInput {
    kind: Option<String>,
    api_key: Option<HeaderKey>,
    basic_auth: Option<UserPassword>,
    oauth2: Option<Oauth2Input>,
}

impl FromFields for AuthenticationInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let kind = fields.text("type")?;
        if kind.as_deref().unwrap_or_default().is_empty() {
            // Clients of languages without absence write out what they leave open.
            for name in ["api_key", "basic_auth", "oauth2"] {
                fields.drop_empty(name);
            }
        }
        Ok(Self {
            kind,
            api_key: fields.object("api_key")?,
            basic_auth: fields.object("basic_auth")?,
            oauth2: fields.object("oauth2")?,
        })
    }
}

#[derive(Debug)]
struct HeaderKey {
    name: String,
    value: String,
}

impl FromFields for HeaderKey {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            name: fields.text("header_name")?.unwrap_or_default(),
            value: fields.text("header_value")?.unwrap_or_default(),
        })
    }
}

#[derive(Debug)]
struct UserPassword {
    name: String,
    password: String,
}

impl FromFields for UserPassword {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            name: fields.text("username")?.unwrap_or_default(),
            password: fields.text("password")?.unwrap_or_default(),
        })
    }
}

fn fault(text: &str) -> ApiError {
    ApiError::bad_request(format!("authentication.{text}"))
}

/// Where the secret of an endpoint's authentication belongs.
fn place(project_id: &str, endpoint_id: &str) -> String {
    format!("{project_id}/endpoint/{endpoint_id}/authentication")
}

/// What `authentication` changes: an empty `type` takes away what is there. A secret that is masked stays.
pub fn change(
    stored: &mut Option<Authentication>,
    input: AuthenticationInput,
    ids: (&str, &str),
    allow_private: bool,
    vault: &Vault,
    fill: Fill<'_>,
) -> Result<(), ApiError> {
    let (kind, name, secret, oauth2) = match input.kind.as_deref().unwrap_or_default() {
        "" | "none" => {
            if input.api_key.is_some() || input.basic_auth.is_some() || input.oauth2.is_some() {
                return Err(fault("type:one of api_key, basic_auth, oauth2"));
            }
            *stored = None;
            return Ok(());
        }
        "api_key" => {
            let given = input.api_key.ok_or_else(|| fault("api_key:api key field is required"))?;
            if given.name.is_empty() {
                return Err(fault("api_key.header_name:api key header_name is required"));
            }
            if !is_header_name(&given.name) || is_taken_header(&given.name) {
                return Err(fault("api_key.header_name:not a header that can be set"));
            }
            if is_convoys(&given.name) {
                return Err(fault(
                    "api_key.header_name:deliveries set this header themselves; choose another",
                ));
            }
            if given.value.chars().any(|c| !matches!(c, ' '..='~')) {
                return Err(fault("api_key.header_value:only printable ASCII characters"));
            }
            (Kind::ApiKey, given.name, given.value, None)
        }
        "basic_auth" => {
            let given = input.basic_auth.ok_or_else(|| fault("basic_auth:is required"))?;
            if given.name.is_empty() || given.name.contains(':') {
                return Err(fault("basic_auth.username:is required, and has no colon"));
            }
            (Kind::BasicAuth, given.name, given.password, None)
        }
        "oauth2" => {
            let given = input.oauth2.ok_or_else(|| fault("oauth2:is required"))?;
            let (mut oauth2, name, secret) = given.check().map_err(|text| fault(&text))?;
            if is_hint(&secret) {
                keep_key(stored.as_ref(), &mut oauth2)?;
                keep_place(stored.as_ref(), &oauth2)?;
            }
            address::check(&oauth2.url, allow_private)
                .map_err(|bad| fault(&format!("oauth2.url:{bad}")))?;
            (Kind::Oauth2, name, secret, Some(oauth2))
        }
        _ => return Err(fault("type:one of api_key, basic_auth, oauth2")),
    };
    for (field, value) in [("name", &name), ("secret", &secret)] {
        check_length(&format!("authentication {field}"), value, TEXT_MAX_CHARS)?;
    }
    let secret = if is_hint(&secret) {
        let same = stored.take().filter(|have| have.kind == kind && have.secret.hint == secret);
        same.ok_or_else(|| fault("the secret is masked, and there is none to keep: send it whole"))?
            .secret
    } else if secret.is_empty() {
        let field = match kind {
            Kind::ApiKey => "api_key.header_value",
            Kind::BasicAuth => "basic_auth.password",
            Kind::Oauth2 => "oauth2.client_secret",
        };
        return Err(fault(&format!("{field}:is required")));
    } else {
        let sealed = vault.seal(&secret, &place(ids.0, ids.1), fill);
        let mut sealed = sealed.map_err(|error| ApiError::new(500, error.to_string()))?;
        if oauth2.as_ref().is_some_and(|oauth2| oauth2.assertion.is_some()) {
            // The last characters of a key's JSON are no help to anybody.
            MASK.clone_into(&mut sealed.hint);
        }
        sealed
    };
    *stored = Some(Authentication { kind, name, secret, oauth2 });
    Ok(())
}

/// A masked secret stays; it has to be one of the same sort: a signing key for the same algorithm, or a shared secret.
fn keep_key(stored: Option<&Authentication>, oauth2: &mut Oauth2) -> Result<(), ApiError> {
    let had = stored.and_then(|stored| stored.oauth2.as_ref()).map(|had| &had.assertion);
    match (had, &mut oauth2.assertion) {
        (Some(Some(had)), Some(wanted)) if had.algorithm == wanted.algorithm => {
            wanted.key_id.clone_from(&had.key_id);
            Ok(())
        }
        (Some(None), None) => Ok(()),
        _ => Err(fault(
            "oauth2:the secret is masked, and there is none of this sort to keep: send it whole",
        )),
    }
}

/// A masked secret goes on to the server that it was given for, and to no other: whoever may change an endpoint need not
/// know its secret, and may not have it sent to a server of their own.
fn keep_place(stored: Option<&Authentication>, oauth2: &Oauth2) -> Result<(), ApiError> {
    match stored.and_then(|stored| stored.oauth2.as_ref()) {
        Some(had) if !address::is_same_server(&had.url, &oauth2.url) => Err(fault(
            "oauth2.url:is on another server than before: send client_secret or signing_key whole, a masked one is not sent there",
        )),
        _ => Ok(()),
    }
}

/// What a call carries to be believed.
#[derive(Debug)]
pub enum Credential {
    Header {
        name: String,
        value: String,
    },
    /// A token has to be fetched first, with this secret of the client.
    Token {
        client_secret: Secret,
    },
}

impl Authentication {
    /// The header that somebody chose for it.
    pub(crate) fn own_header(&self) -> Option<&str> {
        (self.kind == Kind::ApiKey).then_some(self.name.as_str())
    }

    pub fn open(
        &self,
        project_id: &str,
        endpoint_id: &str,
        vault: &Vault,
    ) -> Result<Credential, VaultError> {
        let secret = vault.open(&self.secret, &place(project_id, endpoint_id))?;
        let header =
            |name: &str, value: String| Credential::Header { name: name.to_owned(), value };
        Ok(match self.kind {
            Kind::ApiKey => {
                header(&self.name, String::from_utf8_lossy(secret.expose()).into_owned())
            }
            Kind::BasicAuth => {
                let pair = [self.name.as_bytes(), b":", secret.expose()].concat();
                header("authorization", format!("Basic {}", STANDARD.encode(pair)))
            }
            Kind::Oauth2 => Credential::Token { client_secret: secret },
        })
    }

    /// The authentication as the API shows it, its secret masked.
    pub fn present(&self) -> Value {
        let hint = self.secret.hint.as_str();
        match (self.kind, &self.oauth2) {
            (Kind::BasicAuth, _) => json!({
                "type": "basic_auth", "basic_auth": {"username": self.name, "password": hint},
            }),
            (Kind::Oauth2, Some(oauth2)) => {
                json!({"type": "oauth2", "oauth2": oauth2.present(&self.name, hint)})
            }
            _ => json!({
                "type": "api_key", "api_key": {"header_name": self.name, "header_value": hint},
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::parse;

    fn vault() -> Vault {
        Vault::new("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap()
    }

    fn set(stored: &mut Option<Authentication>, body: &str) -> Result<(), String> {
        let input = parse(body.as_bytes()).map_err(|error| error.message)?;
        change(stored, input, ("p", "e"), false, &vault(), &mut |b| b.fill(3))
            .map_err(|error| error.message)
    }

    #[test]
    fn a_secret_is_masked_and_a_mask_keeps_it() {
        let mut stored = None;
        set(&mut stored, r#"{"type":"api_key","api_key":{"header_name":"X-Key","header_value":"a-long-enough-key"}}"#).unwrap();
        let shown = stored.as_ref().unwrap().present();
        assert_eq!(
            shown["api_key"],
            json!({"header_name": "X-Key", "header_value": "********-key"})
        );
        set(&mut stored, &shown.to_string()).unwrap();
        let opened = stored.as_ref().unwrap().open("p", "e", &vault()).unwrap();
        assert!(matches!(opened, Credential::Header { value, .. } if value == "a-long-enough-key"));
        assert!(stored.as_ref().unwrap().open("p", "other", &vault()).is_err());
        set(&mut stored, r#"{"type":"basic_auth","basic_auth":{"username":"u","password":"p"}}"#)
            .unwrap();
        let opened = stored.as_ref().unwrap().open("p", "e", &vault()).unwrap();
        assert!(matches!(opened, Credential::Header { value, .. } if value == "Basic dTpw"));
        set(&mut stored, r#"{"type":""}"#).unwrap();
        assert!(stored.is_none());
        for zero in [
            r#"{"type":"","api_key":{"header_name":"","header_value":""}}"#,
            r#"{"type":"","api_key":null,"basic_auth":{"username":"","password":""},"oauth2":null}"#,
            r#"{"oauth2":{"url":"","client_id":"","client_secret":"","field_mapping":{"access_token":""}}}"#,
        ] {
            set(&mut stored, zero).unwrap();
            assert!(stored.is_none(), "{zero}");
        }
    }

    #[test]
    fn a_masked_secret_goes_to_no_other_server() {
        let at = |url: &str, secret: &str| {
            json!({"type": "oauth2", "oauth2": {"url": url, "client_id": "me", "client_secret": secret}})
                .to_string()
        };
        let mut stored = None;
        set(&mut stored, &at("https://id.example.com/token", "a-long-enough-secret")).unwrap();
        let mask = stored.as_ref().unwrap().secret.hint.clone();
        for url in [
            "https://evil.example.com/token",
            "http://id.example.com/token",
            "https://id.example.com:8443/token",
        ] {
            let error = set(&mut stored.clone(), &at(url, &mask)).unwrap_err();
            assert!(error.contains("oauth2.url:is on another server"), "{url}: {error}");
            set(&mut stored.clone(), &at(url, "a-secret-of-the-new-one")).unwrap();
        }
        set(&mut stored, &at("https://ID.example.com:443/other", &mask)).unwrap();
        assert_eq!(stored.unwrap().oauth2.unwrap().url, "https://ID.example.com:443/other");
    }

    #[test]
    fn an_authentication_that_cannot_work_is_refused() {
        for (body, expect) in [
            (r#"{"type":"api_key"}"#, "api key field is required"),
            (r#"{"type":"api_key","api_key":{}}"#, "api key header_name is required"),
            (
                r#"{"type":"api_key","api_key":{"header_name":"a b","header_value":"x"}}"#,
                "header_name",
            ),
            (
                r#"{"type":"api_key","api_key":{"header_name":"webhook-id","header_value":"x"}}"#,
                "header_name",
            ),
            (
                r#"{"type":"api_key","api_key":{"header_name":"X-Convoy-Signature","header_value":"x"}}"#,
                "deliveries set this header themselves",
            ),
            (
                r#"{"type":"api_key","api_key":{"header_name":"x-convoy-idempotency-key","header_value":"x"}}"#,
                "deliveries set this header themselves",
            ),
            (
                r#"{"type":"api_key","api_key":{"header_name":"x","header_value":"a\r\nb: c"}}"#,
                "printable",
            ),
            (
                r#"{"type":"api_key","api_key":{"header_name":"x","header_value":"********"}}"#,
                "masked",
            ),
            (r#"{"type":"basic_auth","basic_auth":{"username":"a:b","password":"x"}}"#, "colon"),
            (
                r#"{"type":"basic_auth","basic_auth":{"username":"a"}}"#,
                "authentication.basic_auth.password:is required",
            ),
            (
                r#"{"type":"api_key","api_key":{"header_name":"X-A"}}"#,
                "authentication.api_key.header_value:is required",
            ),
            (r#"{"type":"magic"}"#, "type:one of"),
            (r#"{"api_key":{"header_name":"x","header_value":"y"}}"#, "type:one of"),
            (r#"{"type":"oauth2"}"#, "oauth2:is required"),
            (r#"{"type":5}"#, "incorrect JSON type"),
        ] {
            let error = set(&mut None, body).unwrap_err();
            assert!(error.contains(expect), "{body}: {error}");
        }
    }
}
