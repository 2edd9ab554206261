//! Portal links, and what the owner who holds one may do.

use inlet_gateway::portal::{NewToken, Opened, PortalLink, PortalLinkInput};
use inlet_gateway::route::Owned;
use inlet_gateway::scope::{Owner, Scope, Theirs, unauthorized};
use inlet_gateway::sql::Kept;

use super::list::Found;
use super::shown::each_once;
use super::*;

const MISSING: &str = "Resource not found";

/// What a portal token opens.
pub(super) async fn open(token: &str, bindings: &Bindings) -> Result<Key, Refusal> {
    let hash = bindings.vault()?.hash_api_key(token);
    let db = bindings.db()?;
    let opened: Option<Opened> = db.row(&sql::portal_of_token(&hash, now_ms())).await?;
    let (project, link) =
        opened.ok_or_else(|| ApiError::new(401, "authorization failed"))?.read()?;
    let theirs = sql::endpoints_of_owners(&[(&project.uid, &link.owner_id)]);
    let theirs: Vec<Owned> = db.rows(&theirs).await?;
    let owner = Owner {
        link_id: link.uid,
        owner_id: link.owner_id,
        can_manage_endpoint: link.can_manage_endpoint,
        endpoints: theirs.into_iter().map(|one| one.endpoint_id).collect(),
    };
    Ok(Key::Owner(Rc::new(project), owner))
}

impl Caller<'_> {
    /// Lets a call through that the caller may make; an owner's may have to say something else than it does.
    pub(super) async fn admit(
        &mut self,
        project: &Project,
        call: &ProjectCall<'_>,
    ) -> Result<(), Refusal> {
        let Scope::Owner(owner) = &self.scope else { return Ok(()) };
        let admitted = owner.admit(call, &self.query, &self.body)?;
        let events = self.bindings.events(project.shard)?;
        let (id, endpoints) = (project.uid.as_str(), owner.endpoints.as_slice());
        let is_theirs = match admitted.theirs {
            Theirs::Settled => true,
            Theirs::Subscription(subscription) | Theirs::UnboundSubscription(subscription) => {
                let any = matches!(admitted.theirs, Theirs::Subscription(_));
                let statement = sql::subscription_of_endpoints(id, subscription, endpoints, any);
                self.bindings.db()?.has(&statement).await?
            }
            Theirs::Event(event) => {
                let statement = sql::event_of_endpoints(id, event, endpoints);
                events.has(&statement).await? || self.will_reach(project, event, endpoints).await?
            }
            Theirs::Deliveries(ids) => {
                let statement = sql::deliveries_of_others(id, json!(ids), endpoints);
                !events.has(&statement).await?
            }
        };
        if !is_theirs {
            return Err(unauthorized().into());
        }
        if let Some(body) = admitted.body {
            self.body = body;
        }
        Ok(())
    }

    async fn portal_link(&self, project: &Project, id: &str) -> Result<PortalLink, Refusal> {
        self.doc(&sql::portal_link(&project.uid, id), MISSING).await
    }

    fn store_token(&self, link: &PortalLink, token: &NewToken) -> Result<Vec<Statement>, Refusal> {
        let hash = self.bindings.vault()?.hash_api_key(&token.text);
        Ok(sql::insert_portal_token(&hash, &link.project_id, &link.uid, token.expires_at, now_ms()))
    }

    /// The link as it is shown: with the token that opens it for good, or with one that was just made.
    async fn shown_link(
        &self,
        project: &Project,
        link: &PortalLink,
        new: Option<&NewToken>,
    ) -> Result<Value, Refusal> {
        self.present_link(project, link, new, &self.owned(link).await?)
    }

    /// The endpoints that a link opens.
    async fn owned(&self, link: &PortalLink) -> Result<Vec<Owned>, Refusal> {
        let statement = sql::endpoints_of_owners(&[(&link.project_id, &link.owner_id)]);
        Ok(self.bindings.db()?.rows(&statement).await?)
    }

    fn present_link(
        &self,
        project: &Project,
        link: &PortalLink,
        new: Option<&NewToken>,
        owned: &[Owned],
    ) -> Result<Value, Refusal> {
        let token = match new {
            Some(new) => Some(new.text.clone()),
            None => link.static_token(&*self.bindings.vault()?)?,
        };
        let own = owned.iter().filter(|one| one.owner_id == link.owner_id);
        let own: Vec<String> = own.map(|one| one.endpoint_id.clone()).collect();
        Ok(link.present(project, &self.origin, token.as_deref(), &own))
    }

    pub(super) async fn create_portal_link(&self, project: &Project) -> Answered {
        let vault = self.bindings.vault()?;
        let input = api::parse(&self.body)?;
        let (link, token) = PortalLink::create(input, &project.uid, &vault, now_ms(), &mut fill)?;
        let mut statements = vec![sql::insert_portal_link(&link)];
        statements.extend(self.store_token(&link, &token)?);
        self.bindings.db()?.batch(&statements).await?;
        let shown = self.shown_link(project, &link, Some(&token)).await?;
        Ok(Answer::ok(201, "Portal link created successfully", shown))
    }

    pub(super) async fn list_portal_links(&self, project: &Project) -> Answered {
        let filters = [("owner_id", "ownerId")];
        let found: Found<PortalLink> =
            self.list(List::PortalLinks, &project.uid, &filters, "q").await?;
        let owners = each_once(found.rows.iter().map(|link| link.owner_id.as_str()));
        let owners: Vec<(&str, &str)> =
            owners.into_iter().map(|owner| (project.uid.as_str(), owner)).collect();
        let statement = sql::endpoints_of_owners(&owners);
        let owned: Vec<Owned> = self.bindings.db()?.rows(&statement).await?;
        let shown = found.rows.iter().map(|link| self.present_link(project, link, None, &owned));
        let shown = shown.collect::<Result<_, _>>()?;
        Ok(Answer::ok(200, "Portal links fetched successfully", found.shown(shown)))
    }

    pub(super) async fn get_portal_link(&self, project: &Project, id: &str) -> Answered {
        let link = self.portal_link(project, id).await?;
        let shown = self.shown_link(project, &link, None).await?;
        Ok(Answer::ok(200, "Portal link fetched successfully", shown))
    }

    /// The link that the caller holds.
    pub(super) async fn own_portal_link(&self, project: &Project) -> Answered {
        match &self.scope {
            Scope::Owner(owner) => self.get_portal_link(project, &owner.link_id).await,
            Scope::Project => Err(ApiError::not_found(MISSING).into()),
        }
    }

    pub(super) async fn update_portal_link(&self, project: &Project, id: &str) -> Answered {
        let vault = self.bindings.vault()?;
        let mut link = self.portal_link(project, id).await?;
        let before = link.updated_at;
        let input: PortalLinkInput = api::parse(&self.body)?;
        let owned = if input.lists_endpoints() { self.owned(&link).await? } else { Vec::new() };
        let owned: Vec<String> = owned.into_iter().map(|one| one.endpoint_id).collect();
        let token = link.update(input, &owned, &vault, now_ms(), &mut fill)?;
        let mut statements = vec![sql::update_portal_link(&link, before)];
        if let Some(token) = &token {
            let kept = Kept::PortalLink(&project.uid, &link.uid);
            let void = sql::void_portal_tokens(&project.uid, &link.uid);
            let of_token = std::iter::once(void).chain(self.store_token(&link, token)?);
            let change = |statement| sql::if_changed(statement, kept, link.updated_at);
            statements.extend(of_token.map(change));
        }
        let find = sql::portal_link(&project.uid, id);
        self.replace(Replace { what: "portal link", find, missing: MISSING, statements }).await?;
        let shown = self.shown_link(project, &link, token.as_ref()).await?;
        Ok(Answer::ok(202, "Portal link updated successfully", shown))
    }

    pub(super) async fn revoke_portal_link(&self, project: &Project, id: &str) -> Answered {
        let link = self.portal_link(project, id).await?;
        self.bindings.db()?.batch(&sql::revoke_portal_link(&project.uid, &link.uid)).await?;
        Ok(Answer::ok(200, "Portal link revoked successfully", Value::Null))
    }

    pub(super) async fn refresh_portal_token(&self, project: &Project, id: &str) -> Answered {
        let link = self.portal_link(project, id).await?;
        let token = link.refresh(now_ms(), &mut fill)?;
        self.bindings.db()?.batch(&self.store_token(&link, &token)?).await?;
        Ok(Answer::ok(200, "Portal link auth token refreshed successfully", json!(token.text)))
    }
}
