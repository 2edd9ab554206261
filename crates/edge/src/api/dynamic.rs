//! The endpoints of dynamic events, which are made when they are not there: looked up for all events of a call at once.

use std::collections::{BTreeMap, HashMap, HashSet};

use inlet_gateway::meta_event::Kind as MetaEvent;
use inlet_gateway::push::{Dynamic, Push, To};

use super::meta_events::tell_of;
use super::*;
use crate::{bell, meta_events};

/// How many are looked up, made or subscribed by one transaction.
const TOGETHER_MAX: usize = 100;

/// The endpoints of some dynamic events, by URL.
#[derive(Default)]
pub(super) struct Dynamics {
    endpoints: HashMap<String, Result<Endpoint, ApiError>>,
    /// What they are to be subscribed to, by the endpoint: of several events the last one says.
    subscriptions: BTreeMap<String, Subscription>,
}

impl Dynamics {
    /// The endpoint of an event, if it is dynamic. What it is subscribed to has to be [stored](Caller::subscribe_dynamics).
    pub(super) fn resolve(
        &mut self,
        push: &mut Push,
        project: &Project,
        bindings: &Bindings,
    ) -> Result<(), Refusal> {
        let To::Url(dynamic) = &push.to else { return Ok(()) };
        let missing = || ApiError::new(503, "the endpoint could not be made");
        let endpoint = self
            .endpoints
            .get(dynamic.url.trim())
            .ok_or_else(missing)?
            .as_ref()
            .map_err(Clone::clone)?;
        let id = endpoint.uid.clone();
        if let Some(secret) = &dynamic.secret {
            let secrets = endpoint.open_secrets(&*bindings.vault()?, now_ms())?;
            if !secrets.iter().any(|have| have.expose() == secret.as_bytes()) {
                let text = "secret:the endpoint of this url has another secret: leave it out, or change the endpoint's";
                return Err(ApiError::bad_request(text).into());
            }
        }
        if !dynamic.event_types.is_empty() {
            let body = dynamic.subscription_body(&id).to_string();
            let input = api::parse(body.as_bytes())?;
            let made = Subscription::create(input, &project.uid, false, now_ms(), &mut fill)?;
            self.subscriptions.insert(id.clone(), made);
        }
        push.resolve(id);
        Ok(())
    }
}

impl Caller<'_> {
    /// Finds the endpoints of dynamic events, and makes those that are not there.
    pub(super) async fn dynamics<'d>(
        &self,
        project: &Project,
        events: impl IntoIterator<Item = &'d Push>,
    ) -> Result<Dynamics, Refusal> {
        let mut seen = HashSet::new();
        let dynamics = events.into_iter().filter_map(|push| match &push.to {
            To::Url(dynamic) => Some(dynamic),
            _ => None,
        });
        let dynamics: Vec<&Dynamic> =
            dynamics.filter(|dynamic| seen.insert(dynamic.url.trim())).collect();
        let mut all = Dynamics::default();
        for some in dynamics.chunks(TOGETHER_MAX) {
            all.endpoints.extend(self.find_or_make(project, some).await?);
        }
        Ok(all)
    }

    /// Of two callers who make an endpoint at the same time one does, and both get it.
    async fn find_or_make(
        &self,
        project: &Project,
        dynamics: &[&Dynamic],
    ) -> Result<HashMap<String, Result<Endpoint, ApiError>>, Refusal> {
        let urls: Vec<&str> = dynamics.iter().map(|dynamic| dynamic.url.trim()).collect();
        let mut found = self.of_dynamics(project, dynamics).await?;
        let (mut made, mut inserts) = (HashSet::new(), Vec::new());
        let missing = dynamics.iter().zip(&urls).filter(|(_, url)| !found.contains_key(**url));
        let missing: Vec<(&&Dynamic, &&str)> = missing.collect();
        for (dynamic, url) in &missing {
            let input = api::parse(dynamic.endpoint_body().to_string().as_bytes())?;
            match self.new_endpoint(project, input) {
                Ok((endpoint, _)) => {
                    inserts.push(sql::insert_endpoint_of_new_url(&endpoint));
                    made.insert(endpoint.uid);
                }
                Err(Refusal::Api(error)) => {
                    found.insert((**url).to_owned(), Err(error));
                }
                Err(other) => return Err(other),
            }
        }
        if inserts.is_empty() {
            return Ok(found);
        }
        let asked: Vec<&Dynamic> = missing.into_iter().map(|(dynamic, _)| *dynamic).collect();
        self.bindings.db()?.batch(&inserts).await?;
        let there = self.of_dynamics(project, &asked).await?;
        // Each is new once, however many spellings lead to it.
        let new = there.values().flatten().filter(|endpoint| made.remove(&endpoint.uid));
        let told = new.filter_map(|one| tell_of(project, MetaEvent::EndpointCreated, one));
        let notes: Vec<Statement> = told.map(|told| told.note).collect();
        if !notes.is_empty() {
            self.bindings.db()?.batch(&notes).await?;
            // Should these be lost: the sweep does the same.
            meta_events::forward_noted(self.bindings).await.unwrap_or_default();
            bell::send_drain(project.shard, self.bindings).await.unwrap_or_default();
        }
        found.extend(there);
        Ok(found)
    }

    /// The endpoints that are there, by the URLs as their events write them.
    async fn of_dynamics(
        &self,
        project: &Project,
        dynamics: &[&Dynamic],
    ) -> Result<HashMap<String, Result<Endpoint, ApiError>>, Refusal> {
        let spelled: Vec<(&str, Vec<String>)> =
            dynamics.iter().map(|dynamic| (dynamic.url.trim(), dynamic.spellings())).collect();
        let asked: Vec<&str> =
            spelled.iter().flat_map(|(_, all)| all.iter().map(String::as_str)).collect();
        let there = self.of_urls(project, &asked).await?;
        let of = |(url, all): (&str, Vec<String>)| {
            Some((url.to_owned(), all.iter().find_map(|one| there.get(one))?.clone()))
        };
        Ok(spelled.into_iter().filter_map(of).collect())
    }

    async fn of_urls(
        &self,
        project: &Project,
        urls: &[&str],
    ) -> Result<HashMap<String, Result<Endpoint, ApiError>>, Refusal> {
        #[derive(Deserialize)]
        struct Row {
            url: String,
            doc: String,
        }
        if urls.is_empty() {
            return Ok(HashMap::new());
        }
        let statement = sql::endpoints_of_urls(&project.uid, urls);
        let rows: Vec<Row> = self.bindings.db()?.rows(&statement).await?;
        rows.into_iter().map(|row| Ok((row.url, Ok(json::read(&row.doc)?)))).collect()
    }

    /// Subscribes the endpoints to what their events said.
    pub(super) async fn subscribe_dynamics(&self, dynamics: Dynamics) -> Result<(), Refusal> {
        let made: Vec<Subscription> = dynamics.subscriptions.into_values().collect();
        for some in made.chunks(TOGETHER_MAX) {
            let statements: Vec<Statement> = some.iter().flat_map(sql::subscribe_dynamic).collect();
            self.bindings.db()?.batch(&statements).await?;
        }
        Ok(())
    }
}
