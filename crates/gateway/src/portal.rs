//! Portal links: an owner of endpoints sees what is theirs, and nothing else of the project. What a token opens is decided
//! by [`crate::scope`].

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::{
    ApiError, Faults, NAME_MAX_CHARS, TEXT_MAX_CHARS, asks_for_something, check_length,
};
use crate::fields::{Fields, FromFields};
use crate::ids::{self, Fill};
use crate::json;
use crate::payload::query_value;
use crate::project::Project;
use crate::reply::Reply;
use crate::time::{self, rfc3339};
use crate::vault::{Sealed, Vault, VaultError};

/// Every token begins with this, in front of 16 and 64 random characters.
const PREFIX: &str = "PRT.";
/// How long a refreshed token opens the portal.
const REFRESHED_FOR_MS: u64 = 3_600_000;

/// A portal link, as it is stored. Times are Unix milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PortalLink {
    pub uid: String,
    pub project_id: String,
    pub name: String,
    pub owner_id: String,
    pub auth_type: AuthType,
    pub can_manage_endpoint: bool,
    /// The static token. The link's URL shows it whenever it is asked for, so a hash would not do; refreshed tokens are
    /// stored as hashes only.
    token: Option<Sealed>,
    pub created_at: u64,
    pub updated_at: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthType {
    /// One token, part of the URL, until the link is revoked.
    StaticToken,
    /// Tokens of an hour each, from `GET …/refresh_token`.
    RefreshToken,
}

/// A token that was just made: in clear this once.
#[derive(Debug)]
pub struct NewToken {
    pub text: String,
    /// Unix milliseconds; `None` for as long as the link lives.
    pub expires_at: Option<u64>,
}

/// Whether a credential has the form of a portal token.
pub fn is_token(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// The token of a request without an `Authorization` header: `?token=`. Keys of the API are not taken from there.
pub fn token_of_query(query: &str) -> Option<String> {
    query_value(query, "token").filter(|token| is_token(token))
}

/// The body of `POST /portal-links` and `PUT /portal-links/{id}`.
#[derive(Debug)]
pub struct PortalLinkInput {
    name: Option<String>,
    owner_id: Option<String>,
    auth_type: Option<String>,
    can_manage_endpoint: Option<bool>,
    endpoints: Option<Value>,
}

impl FromFields for PortalLinkInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            name: fields.text("name")?,
            owner_id: fields.text("owner_id")?,
            auth_type: fields.text("auth_type")?,
            can_manage_endpoint: fields.flag("can_manage_endpoint")?,
            endpoints: fields.raw("endpoints"),
        })
    }
}

impl PortalLinkInput {
    /// Whether it lists endpoints: then those count that the link shows, see [`PortalLink::update`].
    pub fn lists_endpoints(&self) -> bool {
        self.endpoints.as_ref().is_some_and(asks_for_something)
    }

    /// Refuses a list that is not the one that was `shown`.
    fn check_endpoints(&self, shown: &[String]) -> Result<(), ApiError> {
        let listed = self.endpoints.as_ref().and_then(Value::as_array);
        let is_shown = listed.is_some_and(|listed| {
            let has = |shown: &String| listed.iter().any(|listed| listed == shown);
            listed.len() == shown.len() && shown.iter().all(has)
        });
        if is_shown || !self.lists_endpoints() {
            return Ok(());
        }
        Err(ApiError::bad_request(
            "endpoints:a link opens all endpoints of its owner_id: set that on the endpoints",
        ))
    }
}

impl PortalLink {
    /// A new link, and the first token for it.
    pub fn create(
        input: PortalLinkInput,
        project_id: &str,
        vault: &Vault,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<(Self, NewToken), ApiError> {
        let mut faults = Faults::default();
        for (field, value, message) in [
            ("name", &input.name, "please provide the name field"),
            ("owner_id", &input.owner_id, "please provide the owner id field"),
        ] {
            if value.as_deref().unwrap_or_default().trim().is_empty() {
                faults.add(field, message);
            }
        }
        faults.check()?;
        input.check_endpoints(&[])?;
        let mut link = Self {
            uid: ids::uid(now_ms, &mut *fill),
            project_id: project_id.to_owned(),
            name: String::new(),
            owner_id: String::new(),
            auth_type: AuthType::StaticToken,
            can_manage_endpoint: false,
            token: None,
            created_at: now_ms,
            updated_at: now_ms,
        };
        link.change(input, now_ms)?;
        let token = link.new_token(vault, now_ms, fill)?;
        Ok((link, token))
    }

    /// Applies an update: what is given replaces what is there. A token comes back when the way to authenticate, or the owner
    /// whose things it opens, is another one now; those before it are then void. The endpoints that the link has `shown` may be
    /// sent back, and no others.
    pub fn update(
        &mut self,
        input: PortalLinkInput,
        shown: &[String],
        vault: &Vault,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<Option<NewToken>, ApiError> {
        input.check_endpoints(shown)?;
        let before = (self.auth_type, self.owner_id.clone());
        self.change(input, now_ms)?;
        if (self.auth_type, self.owner_id.as_str()) == (before.0, before.1.as_str()) {
            return Ok(None);
        }
        self.token = None;
        self.new_token(vault, now_ms, fill).map(Some)
    }

    fn change(&mut self, input: PortalLinkInput, now_ms: u64) -> Result<(), ApiError> {
        for (field, given, most, stored) in [
            ("name", input.name, NAME_MAX_CHARS, &mut self.name),
            ("owner_id", input.owner_id, TEXT_MAX_CHARS, &mut self.owner_id),
        ] {
            let Some(text) = given else { continue };
            if text.trim().is_empty() {
                return Err(ApiError::bad_request(format!("{field}:must not be empty")));
            }
            check_length(field, &text, most)?;
            text.trim().clone_into(stored);
        }
        match input.auth_type.as_deref() {
            None | Some("") => {}
            Some("static_token") => self.auth_type = AuthType::StaticToken,
            Some("refresh_token") => self.auth_type = AuthType::RefreshToken,
            Some(other) => {
                let text =
                    format!("invalid auth type: {other} is neither static_token nor refresh_token");
                return Err(ApiError::bad_request(text));
            }
        }
        if let Some(can) = input.can_manage_endpoint {
            self.can_manage_endpoint = can;
        }
        self.updated_at = time::after(now_ms, self.updated_at);
        Ok(())
    }

    fn new_token(
        &mut self,
        vault: &Vault,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<NewToken, ApiError> {
        let token = make_token(self.auth_type, now_ms, &mut *fill);
        if self.auth_type == AuthType::StaticToken {
            let sealed = vault
                .seal(&token.text, &self.token_place(), fill)
                .map_err(|error| ApiError::new(500, error.to_string()))?;
            self.token = Some(sealed);
        }
        Ok(token)
    }

    /// Makes another token for an hour, beside those that still hold. Refuses a link whose token is not one to be refreshed.
    pub fn refresh(&self, now_ms: u64, fill: Fill<'_>) -> Result<NewToken, ApiError> {
        if self.auth_type != AuthType::RefreshToken {
            return Err(ApiError::bad_request(
                "this portal link has a static token: make auth_type refresh_token to get tokens that end",
            ));
        }
        Ok(make_token(self.auth_type, now_ms, fill))
    }

    /// The static token, in clear, for the link's URL.
    pub fn static_token(&self, vault: &Vault) -> Result<Option<String>, VaultError> {
        let Some(sealed) = &self.token else { return Ok(None) };
        let secret = vault.open(sealed, &self.token_place())?;
        Ok(Some(String::from_utf8_lossy(secret.expose()).into_owned()))
    }

    fn token_place(&self) -> String {
        format!("{}/portal-link/{}/token", self.project_id, self.uid)
    }

    /// The link as the API shows it. `token` is what opens it: the static one, or one that was just made. What its holder may
    /// subscribe to depends on what kind of project it is in.
    pub fn present(
        &self,
        project: &Project,
        origin: &str,
        token: Option<&str>,
        endpoints: &[String],
    ) -> Value {
        let token = token.unwrap_or_default();
        let url = match self.auth_type {
            AuthType::StaticToken => format!("{origin}/portal?token={token}"),
            AuthType::RefreshToken if token.is_empty() => {
                format!("{origin}/portal?token={}", self.uid)
            }
            AuthType::RefreshToken => {
                format!("{origin}/portal?token={}&auth_token={token}", self.uid)
            }
        };
        let (shown, auth_key) = match self.auth_type {
            AuthType::StaticToken => (token, ""),
            AuthType::RefreshToken => (self.uid.as_str(), token),
        };
        json!({
            "uid": self.uid, "name": self.name, "project_id": self.project_id, "project_type": project.kind, "owner_id": self.owner_id,
            "endpoints": endpoints, "endpoint_count": endpoints.len(), "can_manage_endpoint": self.can_manage_endpoint,
            "token": shown, "auth_type": self.auth_type, "auth_key": auth_key, "url": url,
            "created_at": rfc3339(self.created_at), "updated_at": rfc3339(self.updated_at), "deleted_at": null,
        })
    }
}

fn make_token(auth_type: AuthType, now_ms: u64, fill: Fill<'_>) -> NewToken {
    let expires_at =
        (auth_type == AuthType::RefreshToken).then(|| now_ms.saturating_add(REFRESHED_FOR_MS));
    NewToken { text: ids::key(PREFIX, fill), expires_at }
}

/// The project and the link that a token opens, as they are read.
#[derive(Debug, Deserialize)]
pub struct Opened {
    pub project: String,
    pub link: String,
}

impl Opened {
    pub fn read(&self) -> serde_json::Result<(Project, PortalLink)> {
        Ok((json::read(&self.project)?, json::read(&self.link)?))
    }
}

/// The page that a link's URL leads to. It shows what the API answers to the token in its address, and brings all it needs
/// with it; `nonce` is random, and lets its own script run and no other. Other sites may frame it: that is how products show it.
pub fn page(html: &str, nonce: &str) -> Reply {
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'"
    );
    Reply {
        status: 200,
        content_type: "text/html; charset=utf-8".into(),
        headers: vec![
            ("content-security-policy".into(), policy),
            ("cache-control".into(), "no-store".into()),
            ("referrer-policy".into(), "no-referrer".into()),
            ("x-content-type-options".into(), "nosniff".into()),
        ],
        body: html.replace("{nonce}", nonce).into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::parse;

    fn vault() -> Vault {
        Vault::new("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap()
    }

    fn project() -> Project {
        let input = parse(br#"{"name":"p","type":"incoming"}"#).unwrap();
        Project::create(input, 0, 0, &mut |b| b.fill(6)).unwrap()
    }

    fn create(body: &str) -> Result<(PortalLink, NewToken), String> {
        let input = parse(body.as_bytes()).map_err(|error| error.message)?;
        let mut n = 0u8;
        let mut fill = move |buffer: &mut [u8]| {
            n += 1;
            buffer.fill(n);
        };
        PortalLink::create(input, "p", &vault(), 0, &mut fill).map_err(|error| error.message)
    }

    #[test]
    fn a_static_token_stands_in_the_url_whenever_the_link_is_shown() {
        let (link, token) = create(r#"{"name":"a","owner_id":"o"}"#).unwrap();
        let parts: Vec<usize> = token.text.split('.').map(str::len).collect();
        assert_eq!((parts, token.expires_at), (vec![3, 16, 64], None));
        let stored = serde_json::to_string(&link).unwrap();
        assert!(!stored.contains(token.text.get(4..40).unwrap()), "{stored}");
        let opened = link.static_token(&vault()).unwrap();
        let shown = link.present(&project(), "https://x", opened.as_deref(), &["e".into()]);
        assert_eq!(shown["project_type"], "incoming");
        assert_eq!(shown["url"], format!("https://x/portal?token={}", token.text));
        assert_eq!(
            (&shown["auth_type"], &shown["endpoint_count"]),
            (&json!("static_token"), &json!(1))
        );
        assert!(link.refresh(0, &mut |b| b.fill(1)).unwrap_err().message.contains("static token"));
    }

    #[test]
    fn refreshed_tokens_end_and_are_shown_once() {
        let (mut link, token) =
            create(r#"{"name":"a","owner_id":"o","auth_type":"refresh_token"}"#).unwrap();
        assert_eq!(token.expires_at, Some(3_600_000));
        let shown = link.present(&project(), "https://x", Some(&token.text), &[]);
        assert_eq!(
            shown["url"],
            format!("https://x/portal?token={}&auth_token={}", link.uid, token.text)
        );
        assert_eq!(link.static_token(&vault()).unwrap(), None);
        assert_eq!(link.present(&project(), "https://x", None, &[])["auth_key"], "");
        let update = parse(br#"{"name":"b"}"#).unwrap();
        assert!(link.update(update, &[], &vault(), 1, &mut |b| b.fill(9)).unwrap().is_none());
        let update = parse(br#"{"auth_type":"static_token"}"#).unwrap();
        let token = link.update(update, &[], &vault(), 1, &mut |b| b.fill(9)).unwrap().unwrap();
        assert_eq!(link.static_token(&vault()).unwrap(), Some(token.text));
    }

    #[test]
    fn the_endpoints_that_a_link_shows_may_be_sent_back() {
        let shown = ["e".to_owned(), "f".to_owned()];
        for (endpoints, is_taken) in [
            (json!(["e", "f"]), true),
            (json!(["f", "e"]), true),
            (json!([]), true),
            (json!(["e"]), false),
            (json!(["e", "e"]), false),
            (json!(["e", "f", "g"]), false),
            (json!("e"), false),
        ] {
            let (mut link, _) = create(r#"{"name":"a","owner_id":"o"}"#).unwrap();
            let body = json!({"name": "b", "owner_id": "o", "endpoints": endpoints}).to_string();
            let input: PortalLinkInput = parse(body.as_bytes()).unwrap();
            assert_eq!(input.lists_endpoints(), endpoints != json!([]));
            let changed = link.update(input, &shown, &vault(), 1, &mut |b| b.fill(9));
            assert_eq!(changed.is_ok(), is_taken, "{endpoints}");
        }
    }

    #[test]
    fn another_owner_gets_another_token() {
        let (mut link, old) = create(r#"{"name":"a","owner_id":"o"}"#).unwrap();
        let mut update = |body: &str| {
            let input = parse(body.as_bytes()).unwrap();
            let token = link.update(input, &[], &vault(), 1, &mut |b| b.fill(9)).unwrap();
            (token.map(|token| token.text), link.static_token(&vault()).unwrap())
        };
        for same in [r#"{"owner_id":" o "}"#, r#"{"can_manage_endpoint":true,"name":"b"}"#] {
            assert_eq!(update(same), (None, Some(old.text.clone())), "{same}");
        }
        let (token, stored) = update(r#"{"owner_id":"other"}"#);
        assert!(token.is_some() && token == stored && token != Some(old.text));
    }

    #[test]
    fn a_link_that_opens_nothing_is_refused() {
        for (body, expect) in [
            (
                "{}",
                "name:please provide the name field, owner_id:please provide the owner id field",
            ),
            (r#"{"name":"a","owner_id":" "}"#, "owner_id:please provide the owner id field"),
            (
                r#"{"name":"a","owner_id":"o","auth_type":"x"}"#,
                "invalid auth type: x is neither static_token nor refresh_token",
            ),
            (
                r#"{"name":"a","owner_id":"o","endpoints":["e"]}"#,
                "endpoints:a link opens all endpoints of its owner_id: set that on the endpoints",
            ),
            (
                r#"{"name":5,"owner_id":"o"}"#,
                "body contains incorrect JSON type for field \"name\"",
            ),
        ] {
            assert_eq!(create(body).unwrap_err(), expect, "{body}");
        }
        assert!(create(r#"{"name":"a","owner_id":"o","endpoints":[]}"#).is_ok());
    }

    #[test]
    fn a_token_is_read_from_the_query_and_a_key_is_not() {
        assert_eq!(token_of_query("a=b&token=PRT.a.b"), Some("PRT.a.b".into()));
        assert_eq!(token_of_query("token=CO.a.b"), None);
        assert_eq!(token_of_query("token="), None);
    }
}
