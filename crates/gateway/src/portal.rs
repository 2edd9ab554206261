//! Portal links: an owner of endpoints sees what is theirs, and nothing else of the project.
//!
//! What a token opens is decided here, for every call, by [`Owner::admit`]; a call that it does not name is closed.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::{
    ApiError, Faults, NAME_MAX_CHARS, TEXT_MAX_CHARS, check_length, first_value, refuse_unsupported,
};
use crate::deliver::is_sensitive;
use crate::event::StoredEvent;
use crate::fields::{Fields, FromFields};
use crate::ids::{self, Fill};
use crate::payload::query_value;
use crate::project::Project;
use crate::push::Kind;
use crate::routes::ProjectCall;
use crate::search::{self, Search};
use crate::sql::List;
use crate::time::rfc3339;
use crate::vault::{Sealed, Vault, VaultError};

/// Every token begins with this, in front of 16 and 64 random characters.
const PREFIX: &str = "PRT.";
/// How long a refreshed token opens the portal.
const REFRESHED_FOR_MS: u64 = 3_600_000;

/// A portal link, as it is stored.
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
    fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        Ok(Self {
            name: fields.text("name")?,
            owner_id: fields.text("owner_id")?,
            auth_type: fields.text("auth_type")?,
            can_manage_endpoint: fields.flag("can_manage_endpoint")?,
            endpoints: fields.raw("endpoints"),
        })
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

    /// Applies an update: what is given replaces what is there. A token comes back when the way to authenticate is another
    /// one now; those before it are then void.
    pub fn update(
        &mut self,
        input: PortalLinkInput,
        vault: &Vault,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<Option<NewToken>, ApiError> {
        let before = self.auth_type;
        self.change(input, now_ms)?;
        if self.auth_type == before {
            return Ok(None);
        }
        self.token = None;
        self.new_token(vault, now_ms, fill).map(Some)
    }

    fn change(&mut self, input: PortalLinkInput, now_ms: u64) -> Result<(), ApiError> {
        refuse_unsupported("endpoints", input.endpoints.as_ref()).map_err(|_| {
            ApiError::bad_request(
                "endpoints:a link opens all endpoints of its owner_id: set that on the endpoints",
            )
        })?;
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
        self.updated_at = now_ms;
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

    /// Another token of an hour, beside those that still hold.
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

    /// The link as the API shows it. `token` is what opens it: the static one, or one that was just made.
    pub fn present(&self, origin: &str, token: Option<&str>, endpoints: &[String]) -> Value {
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
            "uid": self.uid, "name": self.name, "project_id": self.project_id, "owner_id": self.owner_id,
            "endpoints": endpoints, "endpoint_count": endpoints.len(), "can_manage_endpoint": self.can_manage_endpoint,
            "token": shown, "auth_type": self.auth_type, "auth_key": auth_key, "url": url,
            "created_at": rfc3339(self.created_at), "updated_at": rfc3339(self.updated_at), "deleted_at": null,
        })
    }
}

fn make_token(auth_type: AuthType, now_ms: u64, fill: Fill<'_>) -> NewToken {
    let (mask, secret) = (ids::alphanumeric(16, &mut *fill), ids::alphanumeric(64, fill));
    let expires_at =
        (auth_type == AuthType::RefreshToken).then(|| now_ms.saturating_add(REFRESHED_FOR_MS));
    NewToken { text: format!("{PREFIX}{mask}.{secret}"), expires_at }
}

/// What of a project a caller may do and see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    Project,
    Owner(Owner),
}

/// An owner of endpoints, who holds the token of a portal link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub link_id: String,
    pub owner_id: String,
    pub can_manage_endpoint: bool,
    /// All of theirs. An endpoint that is none of these does not exist for them.
    pub endpoints: Vec<String>,
}

/// What has still to be looked up before a call of an owner is carried out: that this is theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Theirs<'a> {
    /// Nothing more.
    Settled,
    Subscription(&'a str),
    Event(&'a str),
    Deliveries(Vec<String>),
}

/// Convoy's answer to what is another's. What does not exist is answered just so.
pub fn unauthorized() -> ApiError {
    ApiError::new(401, "unauthorized")
}

/// A call that an owner may make: its body, where it has to say something else than it does, and what it needs.
#[derive(Debug, PartialEq, Eq)]
pub struct Admitted<'a> {
    pub body: Option<Vec<u8>>,
    pub theirs: Theirs<'a>,
}

impl Owner {
    /// Whether an owner may make this call. The lists are narrowed by [`Scope::list_filter`] and [`Scope::search`].
    pub fn admit<'a>(
        &self,
        call: &ProjectCall<'a>,
        query: &str,
        body: &[u8],
    ) -> Result<Admitted<'a>, ApiError> {
        use ProjectCall as C;
        for (name, id) in url::form_urlencoded::parse(query.as_bytes()) {
            if matches!(name.as_ref(), "endpointId" | "endpointId[]") && !id.is_empty() {
                self.own(&id)?;
            }
        }
        let settled = |body| Ok(Admitted { body, theirs: Theirs::Settled });
        let needs = |theirs| Ok(Admitted { body: None, theirs });
        match call {
            C::GetOwnPortalLink
            | C::ListEndpoints
            | C::ListSubscriptions
            | C::ListEvents
            | C::ListDeliveries
            | C::ListEventTypes
            | C::GetEventType(_)
            | C::RetryDeliveries
            | C::CountRetry => settled(None),
            C::GetEndpoint(id) => {
                self.own(id)?;
                settled(None)
            }
            C::CreateEndpoint => {
                self.manage()?;
                settled(self.owned_body(body)?)
            }
            C::UpdateEndpoint(id) => {
                self.manage()?;
                self.own(id)?;
                settled(self.owned_body(body)?)
            }
            C::DeleteEndpoint(id)
            | C::PauseEndpoint(id)
            | C::ActivateEndpoint(id)
            | C::ExpireSecret(id) => {
                self.manage()?;
                self.own(id)?;
                settled(None)
            }
            C::CreateSubscription => {
                self.check_ends(body)?;
                settled(None)
            }
            C::UpdateSubscription(id) => {
                self.check_ends(body)?;
                needs(Theirs::Subscription(id))
            }
            C::GetSubscription(id) | C::DeleteSubscription(id) => needs(Theirs::Subscription(id)),
            C::PushEvent(Kind::Single) => {
                self.check_push(body)?;
                settled(None)
            }
            C::GetEvent(id) => needs(Theirs::Event(id)),
            C::GetDelivery(id) | C::ResendDelivery(id) | C::ListAttempts(id) => {
                needs(Theirs::Deliveries(vec![(*id).to_owned()]))
            }
            C::GetAttempt { delivery, .. } => {
                needs(Theirs::Deliveries(vec![(*delivery).to_owned()]))
            }
            C::ForceResend => {
                let ids = object(body)?.get("ids").and_then(Value::as_array).cloned();
                let ids = ids.unwrap_or_default();
                let text = |id: &Value| id.as_str().unwrap_or_default().to_owned();
                needs(Theirs::Deliveries(ids.iter().map(text).collect()))
            }
            _ => Err(unauthorized()),
        }
    }

    /// Refuses an endpoint that is not theirs.
    pub fn own(&self, endpoint_id: &str) -> Result<(), ApiError> {
        if self.endpoints.iter().any(|own| own == endpoint_id) {
            return Ok(());
        }
        Err(unauthorized())
    }

    fn manage(&self) -> Result<(), ApiError> {
        if self.can_manage_endpoint {
            return Ok(());
        }
        Err(ApiError::new(403, "Unauthorized: this portal link does not manage endpoints"))
    }

    /// The body of an endpoint, with the owner put in.
    fn owned_body(&self, body: &[u8]) -> Result<Option<Vec<u8>>, ApiError> {
        let mut fields = object(body)?;
        fields.insert("owner_id".into(), Value::from(self.owner_id.as_str()));
        Ok(Some(Value::Object(fields).to_string().into_bytes()))
    }

    /// A subscription leads to an endpoint of theirs, and takes what is sent there. Which sources it may listen to is for
    /// the project to say: their events are meant for others, too.
    fn check_ends(&self, body: &[u8]) -> Result<(), ApiError> {
        let fields = object(body)?;
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().trim();
        self.own(text("endpoint_id"))?;
        if text("source_id").is_empty() {
            return Ok(());
        }
        Err(ApiError::new(403, "Unauthorized: a portal link does not subscribe to sources"))
    }

    fn check_push(&self, body: &[u8]) -> Result<(), ApiError> {
        let fields = object(body)?;
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().trim();
        self.own(text("endpoint_id"))?;
        if text("idempotency_key").is_empty() {
            return Ok(());
        }
        // Keys are claimed among all of the project: one could be taken away from another's event.
        Err(ApiError::new(403, "Unauthorized: a portal link sets no idempotency_key"))
    }
}

fn object(body: &[u8]) -> Result<serde_json::Map<String, Value>, ApiError> {
    match first_value::<Value>(body)? {
        Some(Value::Object(fields)) => Ok(fields),
        _ => Err(ApiError::bad_request("body contains incorrect JSON type: an object is expected")),
    }
}

impl Scope {
    /// A condition on the rows of a list: what has to equal the value.
    pub fn list_filter(&self, list: List) -> Option<(&'static str, String)> {
        let Self::Owner(owner) = self else { return None };
        let column = match list {
            List::Subscriptions => {
                "(SELECT e.owner_id FROM endpoints AS e WHERE e.project_id = subscriptions.project_id \
                 AND e.id = subscriptions.endpoint_id)"
            }
            _ => "owner_id",
        };
        Some((column, owner.owner_id.clone()))
    }

    /// A list of events or deliveries, narrowed to the endpoints of the owner.
    pub fn search(&self, kind: search::Kind, query: &str) -> Result<Search, ApiError> {
        let mut search = match kind {
            search::Kind::Events => Search::events(query)?,
            search::Kind::Deliveries => Search::deliveries(query)?,
        };
        if let Self::Owner(owner) = self {
            search.at_endpoints(&owner.endpoints);
        }
        Ok(search)
    }

    /// An event as it may be shown: an owner does not see the credentials that came with it.
    #[must_use]
    pub fn shown(&self, mut event: StoredEvent) -> StoredEvent {
        if let Self::Owner(_) = self {
            let masked = event.headers().into_iter().map(|(name, value)| {
                let value = if is_sensitive(&name) { "********".to_owned() } else { value };
                (name, value)
            });
            event.headers = json!(masked.collect::<Vec<_>>()).to_string();
        }
        event
    }
}

/// The project and the link that a token opens, as they are read.
#[derive(Debug, Deserialize)]
pub struct Opened {
    pub project: String,
    pub link: String,
}

impl Opened {
    pub fn read(&self) -> serde_json::Result<(Project, PortalLink)> {
        Ok((serde_json::from_str(&self.project)?, serde_json::from_str(&self.link)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::parse;
    use crate::routes::{Call, call};

    fn vault() -> Vault {
        Vault::new("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap()
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
        let shown = link.present("https://x", opened.as_deref(), &["e".into()]);
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
        let shown = link.present("https://x", Some(&token.text), &[]);
        assert_eq!(
            shown["url"],
            format!("https://x/portal?token={}&auth_token={}", link.uid, token.text)
        );
        assert_eq!(link.static_token(&vault()).unwrap(), None);
        assert_eq!(link.present("https://x", None, &[])["auth_key"], "");
        let update = parse(br#"{"name":"b"}"#).unwrap();
        assert!(link.update(update, &vault(), 1, &mut |b| b.fill(9)).unwrap().is_none());
        let update = parse(br#"{"auth_type":"static_token"}"#).unwrap();
        let token = link.update(update, &vault(), 1, &mut |b| b.fill(9)).unwrap().unwrap();
        assert_eq!(link.static_token(&vault()).unwrap(), Some(token.text));
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

    fn owner(can_manage_endpoint: bool) -> Owner {
        Owner {
            link_id: "l".into(),
            owner_id: "o".into(),
            can_manage_endpoint,
            endpoints: vec!["mine".into()],
        }
    }

    /// What an owner is answered: 200 stands for a call that goes on.
    fn status(method: &str, path: &str, body: &str, can_manage: bool) -> u16 {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let path = format!("/portal-api{path}");
        let Ok(Call::InPortal { call }) = call(method, &path) else { panic!("{path}") };
        owner(can_manage)
            .admit(&call, query, body.as_bytes())
            .map_or_else(|error| error.status, |_| 200)
    }

    #[test]
    fn an_owner_does_what_is_theirs_and_nothing_else() {
        let mine = r#"{"name":"s","endpoint_id":"mine"}"#;
        let others = r#"{"name":"s","endpoint_id":"other"}"#;
        let sourced = r#"{"name":"s","endpoint_id":"mine","source_id":"s"}"#;
        let keyed = r#"{"endpoint_id":"mine","event_type":"t","data":1,"idempotency_key":"k"}"#;
        for (method, path, body, expect) in [
            ("GET", "/endpoints", "", 200),
            ("GET", "/portal_link", "", 200),
            ("GET", "/endpoints/mine", "", 200),
            ("GET", "/endpoints/other", "", 401),
            ("GET", "/subscriptions", "", 200),
            ("POST", "/subscriptions", mine, 200),
            ("POST", "/subscriptions", others, 401),
            ("POST", "/subscriptions", sourced, 403),
            ("POST", "/subscriptions", "[]", 400),
            ("PUT", "/subscriptions/s", others, 401),
            ("GET", "/events", "", 200),
            ("GET", "/events?endpointId=mine", "", 200),
            ("GET", "/events?endpointId=other", "", 401),
            ("GET", "/eventdeliveries?endpointId[]=other", "", 401),
            ("POST", "/events", mine, 200),
            ("POST", "/events", others, 401),
            ("POST", "/events", keyed, 403),
            ("POST", "/events/fanout", "{}", 401),
            ("POST", "/events/broadcast", "{}", 401),
            ("POST", "/events/dynamic", "{}", 401),
            ("POST", "/events/batch", "[]", 401),
            ("PUT", "/events/e/replay", "", 401),
            ("POST", "/events/batchreplay", "", 401),
            ("GET", "/events/countbatchreplayevents", "", 401),
            ("POST", "/eventdeliveries/batchretry", "", 200),
            ("GET", "/event-types", "", 200),
            ("POST", "/event-types", "{}", 401),
            ("GET", "/meta-events", "", 401),
            ("GET", "/consumer-keys", "", 401),
            ("GET", "/sources", "", 401),
            ("POST", "/sources", "{}", 401),
            ("GET", "/sources/s", "", 401),
            ("GET", "/sources/s/rejections", "", 401),
            ("GET", "/portal-links", "", 401),
            ("POST", "/portal-links", "{}", 401),
            ("GET", "/portal-links/l/refresh_token", "", 401),
        ] {
            assert_eq!(status(method, path, body, false), expect, "{method} {path} {body}");
        }
        for (method, path) in [
            ("POST", "/endpoints"),
            ("PUT", "/endpoints/mine"),
            ("DELETE", "/endpoints/mine"),
            ("PUT", "/endpoints/mine/pause"),
            ("POST", "/endpoints/mine/activate"),
            ("PUT", "/endpoints/mine/expire_secret"),
        ] {
            assert_eq!(status(method, path, "{}", false), 403, "{method} {path}");
            assert_eq!(status(method, path, "{}", true), 200, "{method} {path}");
            let others = path.replace("mine", "other");
            if others != path {
                assert_eq!(status(method, &others, "{}", true), 401, "{method} {others}");
            }
        }
    }

    #[test]
    fn what_is_named_by_its_id_is_looked_up_first() {
        let needs = |method: &str, path: &str, body: &str| {
            let Ok(Call::InPortal { call }) = call(method, path) else { panic!("{path}") };
            format!("{:?}", owner(false).admit(&call, "", body.as_bytes()).unwrap().theirs)
        };
        for (method, path, body, expect) in [
            ("GET", "/portal-api/events/e", "", r#"Event("e")"#),
            ("GET", "/portal-api/eventdeliveries/d", "", r#"Deliveries(["d"])"#),
            ("PUT", "/portal-api/eventdeliveries/d/resend", "", r#"Deliveries(["d"])"#),
            ("GET", "/portal-api/eventdeliveries/d/deliveryattempts", "", r#"Deliveries(["d"])"#),
            ("GET", "/portal-api/eventdeliveries/d/deliveryattempts/a", "", r#"Deliveries(["d"])"#),
            (
                "POST",
                "/portal-api/eventdeliveries/forceresend",
                r#"{"ids":["d","e"]}"#,
                r#"Deliveries(["d", "e"])"#,
            ),
            ("GET", "/portal-api/subscriptions/s", "", r#"Subscription("s")"#),
            ("DELETE", "/portal-api/subscriptions/s", "", r#"Subscription("s")"#),
            (
                "PUT",
                "/portal-api/subscriptions/s",
                r#"{"endpoint_id":"mine"}"#,
                r#"Subscription("s")"#,
            ),
        ] {
            assert_eq!(needs(method, path, body), expect, "{method} {path}");
        }
    }

    #[test]
    fn the_owner_of_an_endpoint_is_put_in_whatever_the_body_says() {
        let admitted = owner(true)
            .admit(&ProjectCall::CreateEndpoint, "", br#"{"name":"n","owner_id":"another"}"#)
            .unwrap();
        let body: Value = serde_json::from_slice(&admitted.body.unwrap()).unwrap();
        assert_eq!(body, json!({"name": "n", "owner_id": "o"}));
    }

    #[test]
    fn credentials_of_an_event_are_masked_for_an_owner() {
        let mut event = crate::event::tests::stored(None);
        event.headers = r#"[["authorization","Bearer x"],["x-own","1"]]"#.into();
        let shown = |scope: Scope| scope.shown(event.clone()).headers;
        assert_eq!(shown(Scope::Project), event.headers);
        assert_eq!(
            shown(Scope::Owner(owner(false))),
            r#"[["authorization","********"],["x-own","1"]]"#
        );
    }
}
