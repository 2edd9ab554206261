//! Events that are handed in by the API.

use std::collections::HashSet;

use inlet_gateway::event_type::Schemas;
use inlet_gateway::ids;
use inlet_gateway::push::{self, Kind, Origin, Push, To};
use inlet_gateway::rejection::Rejection;
use inlet_gateway::wire::{Envelope, Target};

use super::dynamic::Dynamics;
use super::*;
use crate::ingest::{Order, make_all_durable};
use crate::known::STALE_MAX_MS;
use crate::limits;

/// The key of an endpoint in [`ENDPOINTS`].
fn endpoint_key(project: &Project, id: &str) -> String {
    format!("{}/{id}", project.uid)
}

/// Whether a target was there when it was last looked up, which holds as long as nothing can be.
fn was_there(project: &Project, to: &To) -> bool {
    let To::Known(Target::Endpoint(id)) = to else { return false };
    ENDPOINTS.get(&endpoint_key(project, id), now_ms(), STALE_MAX_MS).is_some()
}

/// The body names it, not the path: so it is the body that is wrong.
fn no_endpoint() -> ApiError {
    ApiError::bad_request("endpoint not found")
}

/// What is known of the targets of a batch.
struct KnownTargets {
    /// Those that were looked up, and what is wrong with them.
    found: Vec<(To, Option<ApiError>)>,
    /// Why none could be looked up: then no other is tried.
    down: Option<ApiError>,
}

impl Caller<'_> {
    pub(super) async fn push_event(&self, project: &Project, kind: Kind) -> Result<Reply, Refusal> {
        let mut push = Push::parse(kind, &self.body)?;
        limits::take(&project.uid, project.config.ratelimit, 1).map_err(Refusal::Limited)?;
        self.schemas(project, [push.event_type.as_str()]).await?.check(&push)?;
        self.find_target(project, &mut push).await?;
        let now = now_ms();
        let id = chance::uid(now);
        let queued = push.queued(&id);
        let envelope = push.envelope(project, Origin::default(), id.clone(), now)?;
        let done = make_all_durable(vec![envelope], Order::Free, self.bindings, self.context).await;
        for done in done {
            if let Err(rejection) = done {
                return Ok(rejection.reply());
            }
        }
        log::debug("accepted", || json!({"event_id": id, "project_id": project.uid}));
        let mut reply = reply(&Answer::ok(201, kind.accepted(), queued));
        reply.headers.push(("inlet-event-id".into(), id));
        Ok(reply)
    }

    /// Many events at once. The answer has one entry for each item, in order; it is 201 when all are durable, 207 when
    /// some are, and the status of the first that is not when none is. Of more than the project's limit lets in the last are refused.
    pub(super) async fn push_events(&self, project: &Project) -> Result<Reply, Refusal> {
        let items = Push::parse_batch(&self.body)?;
        let count = items.len() as u64;
        let taken = limits::take(&project.uid, project.config.ratelimit, count);
        let taken = taken.map_err(Refusal::Limited)?;
        let mut known =
            KnownTargets { found: self.missing_endpoints(project, &items).await, down: None };
        let mut envelopes: Vec<Envelope> = Vec::new();
        let mut results: Vec<Result<String, ApiError>> = Vec::with_capacity(items.len());
        let now = now_ms();
        let types = items.iter().flatten().map(|push| push.event_type.as_str());
        let schemas = self.schemas(project, types).await.map_err(|refusal| refusal.told().0);
        let checked = |(place, item): (u64, Result<Push, ApiError>)| {
            if taken <= place {
                return Err(Refusal::Limited(1).told().0);
            }
            item.and_then(|push| {
                schemas.as_ref().map_err(Clone::clone)?.check(&push)?;
                Ok(push)
            })
        };
        let items: Vec<Result<Push, ApiError>> = (0..).zip(items).map(checked).collect();
        let dynamics = self.dynamics(project, items.iter().flatten()).await;
        let mut dynamics = dynamics.map_err(|refusal| refusal.told().0);
        // In the order of the batch, which so is that of its events and of their deliveries.
        let uids = ids::uids(now, items.len(), &mut fill);
        for (item, uid) in items.into_iter().zip(uids) {
            let at = (uid, now);
            match self.batch_item(project, item, &mut known, &mut dynamics, at).await {
                Ok(envelope) => {
                    results.push(Ok(envelope.meta.event_id.clone()));
                    envelopes.push(envelope);
                }
                Err(error) => results.push(Err(error)),
            }
        }
        if let Ok(dynamics) = dynamics
            && let Err(refusal) = self.subscribe_dynamics(dynamics).await
        {
            // Nobody knows yet to whom they go: none is taken in.
            let (error, _) = refusal.told();
            envelopes.clear();
            for result in results.iter_mut().filter(|result| result.is_ok()) {
                *result = Err(error.clone());
            }
        }
        let mut durable =
            make_all_durable(envelopes, Order::Free, self.bindings, self.context).await.into_iter();
        for result in &mut results {
            if result.is_ok()
                && let Err(rejection) = durable.next().unwrap_or(Err(Rejection::NotDurable))
            {
                *result = Err(ApiError::new(rejection.status().0, rejection.to_string()));
            }
        }
        let (answer, retry_after_s) = push::answer_batch(&results);
        Ok(reply(&answer).retry_after(retry_after_s))
    }

    /// The schemas of these event types. A project without any is not asked for them.
    pub(super) async fn schemas<'t>(
        &self,
        project: &Project,
        types: impl IntoIterator<Item = &'t str>,
    ) -> Result<Schemas, Refusal> {
        if !project.has_schemas {
            return Ok(Schemas::default());
        }
        let mut types: Vec<&str> = types.into_iter().collect();
        types.sort_unstable();
        types.dedup();
        let statement = sql::event_schemas(&project.uid, Some(&types));
        Ok(Schemas::of(self.bindings.db()?.docs(&statement).await?))
    }

    /// Looks all endpoints of a batch up at once, and says which are missing. Should the database not answer, each is
    /// asked for by itself, which says why.
    async fn missing_endpoints(
        &self,
        project: &Project,
        items: &[Result<Push, ApiError>],
    ) -> Vec<(To, Option<ApiError>)> {
        #[derive(Deserialize)]
        struct There {
            id: String,
        }
        let known =
            |id: &str| ENDPOINTS.get(&endpoint_key(project, id), now_ms(), FRESH_MS).is_some();
        let mut asked: Vec<&str> = items
            .iter()
            .flatten()
            .filter_map(|push| match &push.to {
                To::Known(Target::Endpoint(id)) if !known(id) => Some(id.as_str()),
                _ => None,
            })
            .collect();
        asked.sort_unstable();
        asked.dedup();
        if asked.len() < 2 {
            return Vec::new();
        }
        let read = async {
            let statement = sql::known_targets(&project.uid, json!(asked), json!([]));
            self.bindings.db()?.rows::<There>(&statement).await
        };
        let Ok(there) = read.await else { return Vec::new() };
        let there: HashSet<&str> = there.iter().map(|row| row.id.as_str()).collect();
        let mut missing = Vec::new();
        for id in asked {
            if there.contains(id) {
                ENDPOINTS.put(&endpoint_key(project, id), Rc::new(()), now_ms());
            } else {
                missing.push((To::Known(Target::Endpoint(id.to_owned())), Some(no_endpoint())));
            }
        }
        missing
    }

    /// Items of a batch often have the same target: each is looked up once.
    async fn batch_item(
        &self,
        project: &Project,
        item: Result<Push, ApiError>,
        known: &mut KnownTargets,
        dynamics: &mut Result<Dynamics, ApiError>,
        (uid, now): (String, u64),
    ) -> Result<Envelope, ApiError> {
        let mut push = item?;
        if let To::Known(Target::Endpoint(_)) = &push.to {
            let found = known.found.iter().find(|(to, _)| *to == push.to);
            let error = match (found, &known.down) {
                (Some((_, error)), _) => error.clone(),
                (None, Some(_)) if was_there(project, &push.to) => None,
                (None, Some(down)) => Some(down.clone()),
                (None, None) => {
                    let error = match self.find_target(project, &mut push).await {
                        Ok(()) => None,
                        Err(Refusal::Api(error)) => Some(error),
                        Err(other) => {
                            let (error, _) = other.told();
                            Some(known.down.insert(error).clone())
                        }
                    };
                    known.found.push((push.to.clone(), error.clone()));
                    error
                }
            };
            if let Some(error) = error {
                return Err(error);
            }
        }
        if let To::Url(_) = &push.to {
            let dynamics = dynamics.as_mut().map_err(|error| error.clone())?;
            let resolved = dynamics.resolve(&mut push, project, self.bindings);
            resolved.map_err(|refusal| refusal.told().0)?;
        }
        push.envelope(project, Origin::default(), uid, now)
    }

    /// Sees that the endpoint of an event is there; that of a dynamic event is made when it is not.
    pub(super) async fn find_target(
        &self,
        project: &Project,
        push: &mut Push,
    ) -> Result<(), Refusal> {
        match &push.to {
            To::Known(Target::Endpoint(id)) => {
                let key = endpoint_key(project, id);
                let read = async {
                    let statement = sql::endpoint(&project.uid, id);
                    let is_there = self.bindings.db()?.has(&statement).await?;
                    Ok::<_, worker::Error>(is_there.then_some(()))
                };
                if ENDPOINTS.get_or_read(&key, now_ms(), FRESH_MS, read).await?.is_none() {
                    return Err(no_endpoint().into());
                }
            }
            To::Known(_) | To::Subscribers => {}
            To::Url(_) => {
                let mut dynamics = self.dynamics(project, [&*push]).await?;
                dynamics.resolve(push, project, self.bindings)?;
                self.subscribe_dynamics(dynamics).await?;
            }
        }
        Ok(())
    }
}
