//! What a caller may do and see. A key of the project opens all of it; who holds the token of a portal link is let in call by
//! call, by [`Owner::admit`], and a call that it does not name is closed.

use serde_json::{Value, json};

use crate::api::{ApiError, one_value};
use crate::event::StoredEvent;
use crate::header::is_sensitive;
use crate::push::Kind;
use crate::routes::{Call, FilterCall, ProjectCall};
use crate::search::{self, Search};
use crate::sql::List;
use crate::vault::MASK;

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
    /// And to no source: which of its events are theirs, only the project's filters say.
    UnboundSubscription(&'a str),
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
            match name.strip_suffix("[]").unwrap_or(&name) {
                "endpointId" if !id.is_empty() => self.own(&id)?,
                "ownerId" if !id.is_empty() && id != self.owner_id => return Err(unauthorized()),
                _ => {}
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
            | C::CountRetry
            | C::StatusTotals => settled(None),
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
                self.check_ends(body, false)?;
                settled(None)
            }
            C::UpdateSubscription(id) => {
                self.check_ends(body, true)?;
                needs(Theirs::UnboundSubscription(id))
            }
            C::GetSubscription(id) | C::DeleteSubscription(id) => needs(Theirs::Subscription(id)),
            C::TestFilter => settled(None),
            C::Filters(id, FilterCall::List | FilterCall::Get(_) | FilterCall::Test(_)) => {
                needs(Theirs::Subscription(id))
            }
            C::Filters(id, _) | C::ToggleSubscription(id) => needs(Theirs::UnboundSubscription(id)),
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
    fn check_ends(&self, body: &[u8], is_update: bool) -> Result<(), ApiError> {
        let fields = object(body)?;
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().trim();
        // An update that names no endpoint leaves the one that is there.
        if !(is_update && text("endpoint_id").is_empty()) {
            self.own(text("endpoint_id"))?;
        }
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
    match one_value::<Value>(body)? {
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

    /// An event as it may be shown: an owner sees neither the credentials that came with it, nor where its sender sends, nor
    /// what the functions of its source took out.
    #[must_use]
    pub fn shown(&self, mut event: StoredEvent) -> StoredEvent {
        if let Self::Owner(owner) = self {
            let theirs = event.endpoints().map(|mut all| {
                all.retain(|id| owner.endpoints.contains(id));
                json!(all).to_string()
            });
            event.endpoints = theirs;
            event.mask_id.clear();
            event.arrived = None;
            // What the gateway lacks is its operator's business.
            if event.waits_for().is_some() {
                event.failure_reason.clear();
            }
            let masked = event.headers().into_iter().map(|(name, value)| {
                let value = if is_sensitive(&name) { MASK.to_owned() } else { value };
                (name, value)
            });
            event.headers = json!(masked.collect::<Vec<_>>()).to_string();
        }
        event
    }
}

/// Whose key a call came with; for the keys of a project and for the tokens of its owners the id of that project.
#[derive(Debug, Clone, Copy)]
pub enum Who<'a> {
    Operator,
    Project(&'a str),
    Owner(&'a str),
}

impl Who<'_> {
    /// Whether such a caller may make a call at all. What an owner may do in its project, [`Owner::admit`] says.
    pub fn check(self, call: &Call<'_>) -> Result<(), ApiError> {
        let forbidden = |text| Err(ApiError::new(403, text));
        match (call, self) {
            (Call::InPortal { .. }, Self::Owner(_))
            | (Call::ListProjects | Call::Metrics, Self::Operator | Self::Project(_))
            | (Call::CreateProject | Call::Ownerless(_) | Call::InProject { .. }, Self::Operator) => {
                Ok(())
            }
            (Call::InPortal { .. }, _) => Err(unauthorized()),
            (Call::InProject { call: ProjectCall::Delete, .. }, _) => {
                forbidden("deleting a project needs the ROOT_KEY")
            }
            (Call::InProject { project, .. }, Self::Project(own) | Self::Owner(own)) => {
                if *project == own {
                    return Ok(());
                }
                forbidden("this API key belongs to another project")
            }
            _ => forbidden("this needs the ROOT_KEY"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::call;

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
            ("GET", "/endpoints?ownerId=o", "", 200),
            ("GET", "/endpoints?ownerId=other", "", 401),
            ("GET", "/events?ownerId=o", "", 200),
            ("GET", "/events?ownerId=other", "", 401),
            ("GET", "/events?ownerId=o&ownerId=other", "", 401),
            ("GET", "/eventdeliveries?owner%49d=other", "", 401),
            ("POST", "/eventdeliveries/batchretry?ownerId=other", "", 401),
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
                r#"UnboundSubscription("s")"#,
            ),
            ("PUT", "/portal-api/subscriptions/s", "{}", r#"UnboundSubscription("s")"#),
            ("PUT", "/portal-api/subscriptions/s/toggle_status", "", r#"UnboundSubscription("s")"#),
            ("GET", "/portal-api/subscriptions/s/filters", "", r#"Subscription("s")"#),
            ("POST", "/portal-api/subscriptions/s/filters", "", r#"UnboundSubscription("s")"#),
            ("DELETE", "/portal-api/subscriptions/s/filters/f", "", r#"UnboundSubscription("s")"#),
            ("POST", "/portal-api/subscriptions/test_filter", "", "Settled"),
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
    fn an_owner_does_not_see_what_came_before_the_functions_nor_where() {
        let mut event = crate::event::tests::stored(None);
        event.mask_id = "the-mask".into();
        event.arrived = Some(r#"{"body":["secret before","0"]}"#.into());
        let shown = |scope: Scope| {
            scope.shown(event.clone()).present_with(
                b"{}",
                None,
                &crate::pointed::Pointed::default(),
            )
        };
        assert!(shown(Scope::Project).contains("/ingest/the-mask"));
        let shown = shown(Scope::Owner(owner(true)));
        assert!(!shown.contains("the-mask") && !shown.contains("secret before"), "{shown}");
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

    #[test]
    fn a_key_opens_what_is_its_own() {
        let root = Err("this needs the ROOT_KEY".to_owned());
        let another = Err("this API key belongs to another project".to_owned());
        let no_delete = Err("deleting a project needs the ROOT_KEY".to_owned());
        let no_owner = Err(unauthorized().message);
        // A call; what the operator, the key of project `p`, and a token of an owner in it get.
        for (method, path, expect) in [
            ("POST", "/api/v1/projects", [Ok(()), root.clone(), root.clone()]),
            ("GET", "/api/v1/projects", [Ok(()), Ok(()), root.clone()]),
            ("GET", "/metrics", [Ok(()), Ok(()), root.clone()]),
            ("GET", "/api/v1/dead-letters", [Ok(()), root.clone(), root.clone()]),
            ("GET", "/api/v1/projects/p/events", [Ok(()), Ok(()), Ok(())]),
            ("GET", "/api/v1/projects/q/events", [Ok(()), another.clone(), another]),
            ("PUT", "/api/v1/projects/p", [Ok(()), Ok(()), Ok(())]),
            ("DELETE", "/api/v1/projects/p", [Ok(()), no_delete.clone(), no_delete.clone()]),
            ("DELETE", "/api/v1/projects/q", [Ok(()), no_delete.clone(), no_delete]),
            ("GET", "/portal-api/events", [no_owner.clone(), no_owner, Ok(())]),
            ("GET", "/healthz", [root.clone(), root.clone(), root]),
        ] {
            let found = call(method, path);
            let found = found.unwrap_or_else(|_| panic!("{method} {path} is no call"));
            let got = [Who::Operator, Who::Project("p"), Who::Owner("p")]
                .map(|who| who.check(&found).map_err(|error| error.message));
            assert_eq!(got, expect, "{method} {path}");
        }
    }
}
