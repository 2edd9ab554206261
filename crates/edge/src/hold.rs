//! What a dispatcher may call now, and what waits: deliveries are leased, held back, and let go again.

use std::collections::HashSet;

use inlet_gateway::breaker::{Breaker, Consequence};
use inlet_gateway::deliver::{Delivery, EARLY_MS, LEASE_MS, Status};
use inlet_gateway::endpoint::{Endpoint, Status as EndpointStatus};
use inlet_gateway::event::StoredEvent;
use inlet_gateway::json;
use inlet_gateway::meta_event::{Kind, project_of_shadow};
use inlet_gateway::project::Project;
use inlet_gateway::receiver::Receiver;
use inlet_gateway::route::{Bell, Held, Waiting, bells, bells_when_due, crowds};
use inlet_gateway::sql::{self, Release, Statement};
use serde::Deserialize;
use serde_json::{Value, json};
use worker::{D1Result, Result};

use crate::bindings::Bindings;
use crate::store::{count_of, rows};
use crate::{bell, chance, log, meta_events};

/// A project, and its shard.
type Whose<'a> = (&'a str, u32);

/// Bulks that one release takes.
const RELEASES_MAX: usize = 20;

/// What is left of what was to be done for an endpoint.
pub(crate) enum Left {
    Nothing,
    /// As much again.
    More,
    /// The release of what is held after this delivery.
    After(String),
}

/// Who gets the deliveries of a bell; `None` when there is no such endpoint any more.
pub(crate) async fn receiver(
    project_id: &str,
    endpoint_id: &str,
    bindings: &Bindings,
) -> Result<Option<Receiver>> {
    if let Some(own) = project_of_shadow(project_id) {
        let Some((endpoint, project)) = meta_events::receiver(own, bindings).await? else {
            return Ok(None);
        };
        return Ok(Some(Receiver::new(endpoint, project, Vec::new())?));
    }
    #[derive(Deserialize)]
    struct Docs {
        endpoint: String,
        project: String,
    }
    let statements =
        [sql::endpoints_of(&[(project_id, endpoint_id)]), sql::paces(project_id, endpoint_id)];
    let results = bindings.db()?.batch(&statements).await?;
    let [docs, paces] = results.as_slice() else { return Err(miscounted()) };
    let Some(docs) = rows::<Docs>(docs)?.into_iter().next() else { return Ok(None) };
    let (endpoint, project) = (json::read(&docs.endpoint)?, json::read(&docs.project)?);
    Ok(Some(Receiver::new(endpoint, project, rows(paces)?)?))
}

/// Adds to `to` what the subscriptions of these deliveries say that no longer lead to it, because they have moved or are deleted.
/// When that cannot be read, `to` knows that it lacks them.
pub(crate) async fn learn(
    mut to: Receiver,
    deliveries: &[Delivery],
    bindings: &Bindings,
) -> Receiver {
    let strays = to.strays(deliveries);
    if strays.is_empty() {
        return to;
    }
    let found: Result<()> = async {
        let ids: Vec<&str> = strays.iter().map(String::as_str).collect();
        let found = bindings.db()?.rows(&sql::paces_of(&to.project.uid, &ids)).await?;
        Ok(to.learn(found)?)
    }
    .await;
    if let Err(error) = found {
        let fields = json!({"subscriptions": strays, "error": error.to_string()});
        log::error("subscriptions_unreadable", fields);
        to.give_up_on(strays);
    }
    to
}

/// In which shard deliveries are leased, and until when, Unix milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Lease {
    pub(crate) shard: u32,
    pub(crate) until: u64,
}

/// What was leased, with its events.
pub(crate) struct Taken {
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) events: Vec<StoredEvent>,
    pub(crate) lease: Lease,
    /// What failed after deliveries were leased, about others. The leased are called all the same, because nobody else calls
    /// them now; then the message of the bell has to come again.
    pub(crate) others: Result<()>,
}

impl Taken {
    fn nothing(shard: u32) -> Self {
        let lease = Lease { shard, until: 0 };
        Self { deliveries: Vec::new(), events: Vec::new(), lease, others: Ok(()) }
    }
}

fn miscounted() -> worker::Error {
    worker::Error::RustError("a batch has another number of results".into())
}

/// Leases those deliveries of a bell that may be called now, holds back the others, and rings for when their time comes.
pub(crate) async fn take(bell: &Bell, to: Option<&Receiver>, bindings: &Bindings) -> Result<Taken> {
    let now = chance::now_ms();
    let Some(to) = to else {
        // Nothing is asked of an endpoint that is not there: the deliveries end.
        return lease(bell, None, false, now, bindings).await.map(|(taken, _)| taken);
    };
    if let Some(why) = to.endpoint.not_active() {
        hold_for_endpoint(bell, to, &why.to_string(), bindings).await?;
        return Ok(Taken::nothing(bell.shard));
    }
    let guarded = to.project.config.circuit_breaker.enabled;
    let (mut taken, breaker) = lease(bell, Some(to), guarded, now, bindings).await?;
    if guarded && breaker.is_some_and(|breaker| !breaker.is_closed()) {
        // What a dispatcher that died has left was taken before the breaker is faced.
        match lease(bell, Some(to), false, now, bindings).await {
            Ok((more, _)) => {
                taken.deliveries.extend(more.deliveries);
                taken.events.extend(more.events);
                taken.others = taken.others.and(more.others);
            }
            Err(error) => taken.others = taken.others.and(Err(error)),
        }
    }
    Ok(taken)
}

/// Leases in one transaction: gates, the lease, and what is needed for the calls. `guarded`: deliveries whose endpoint's breaker is
/// not closed are passed by. Otherwise the breaker is asked first how many it lets through.
async fn lease(
    bell: &Bell,
    to: Option<&Receiver>,
    guarded: bool,
    now: u64,
    bindings: &Bindings,
) -> Result<(Taken, Option<Breaker>)> {
    let events = bindings.events(bell.shard)?;
    let ids = json!(bell.deliveries);
    let gates = to.map(Receiver::gates).unwrap_or_default();
    let sweep_after = bindings.settings.sweep_after_ms;
    let project_id = to.map_or("", |to| to.project.uid.as_str());
    // The results that say what is held back stand at these places.
    let mut statements: Vec<Statement> = Vec::new();
    let mut held_at = Vec::new();
    if let Some(to) = to.filter(|to| !guarded && to.project.config.circuit_breaker.enabled) {
        let config = &to.project.config.circuit_breaker;
        held_at.push(statements.len() + 1);
        let endpoint_id = &bell.endpoint_id;
        statements.extend(sql::face_breaker(
            &ids,
            project_id,
            endpoint_id,
            config,
            now,
            sweep_after,
        ));
    }
    if !gates.is_empty() {
        statements.extend(sql::pass_gates(&ids, project_id, &gates, guarded, now, sweep_after));
        held_at.push(statements.len() - 1);
    }
    let last = statements.len();
    let lease = Lease { shard: bell.shard, until: now + LEASE_MS };
    statements.extend([
        sql::leased_by_others(ids.clone(), now),
        sql::breakers(project_id, &[bell.endpoint_id.as_str()]),
        sql::lease(ids.clone(), guarded, now, lease.until),
        sql::events_of(ids, lease.until),
    ]);
    let results = events.batch(&statements).await?;
    let [leased_by_others, breaker, leased, stored] = results.get(last..).unwrap_or_default()
    else {
        return Err(miscounted());
    };
    let deliveries: Vec<Delivery> = rows(leased)?;
    let events = if deliveries.is_empty() { Vec::new() } else { rows(stored)? };
    let breaker = rows::<Breaker>(breaker)?.into_iter().next();
    let held = held_at.into_iter().map(|at| results.get(at));
    let others = ring_for_others(bell.shard, held, leased_by_others, bindings).await;
    Ok((Taken { deliveries, events, lease, others }, breaker))
}

async fn ring_for_others(
    shard: u32,
    held: impl Iterator<Item = Option<&D1Result>>,
    leased_by_others: &D1Result,
    bindings: &Bindings,
) -> Result<()> {
    for held in held {
        ring_when_due(shard, held, bindings).await?;
    }
    // Its dispatcher may be dead, and this message may be the last that knows of it.
    let others: Vec<Waiting> = rows(leased_by_others)?;
    ring_later(shard, others, bindings).await
}

/// Rings for what is held back, each at its time. What is later than a queue can tell is left to the sweep.
async fn ring_when_due(shard: u32, result: Option<&D1Result>, bindings: &Bindings) -> Result<()> {
    let held: Vec<Held> = result.map(rows).transpose()?.unwrap_or_default();
    for (delay, bells) in bells_when_due(shard, held, chance::now_ms()) {
        bell::ring_dispatcher(&bells, delay, bindings).await?;
    }
    Ok(())
}

/// Rings again when the lease that is held now has run out.
pub(crate) async fn ring_later(
    shard: u32,
    waiting: Vec<Waiting>,
    bindings: &Bindings,
) -> Result<()> {
    let delay = LEASE_MS + EARLY_MS;
    bell::ring_dispatcher(&bells(shard, waiting), delay, bindings).await
}

/// Holds back the deliveries of an endpoint that is not active. Should it have become active meanwhile, its activation may
/// have missed them.
async fn hold_for_endpoint(
    bell: &Bell,
    to: &Receiver,
    why: &str,
    bindings: &Bindings,
) -> Result<()> {
    let of = (to.project.uid.as_str(), bell.shard);
    hold_all_for_endpoint(of, &bell.endpoint_id, json!(bell.deliveries), why, bindings).await
}

/// Holds back `deliveries` (pairs of project and delivery) of an endpoint that is not active, and releases them should it have
/// become active meanwhile.
async fn hold_all_for_endpoint(
    (project_id, shard): Whose<'_>,
    endpoint_id: &str,
    deliveries: Value,
    why: &str,
    bindings: &Bindings,
) -> Result<()> {
    let statement = sql::hold_for_endpoint(deliveries, why, chance::now_ms());
    bindings.events(shard)?.run(&statement).await?;
    let endpoint: Option<Endpoint> =
        bindings.db()?.doc(&sql::endpoint(project_id, endpoint_id)).await?;
    if endpoint.is_none_or(|endpoint| endpoint.status == EndpointStatus::Active) {
        // What was to go with its activation does; these are those that came too late for it.
        let which = (Release::OfEndpoint, "");
        release((project_id, shard), endpoint_id, which, bindings).await?;
    }
    Ok(())
}

/// Rings for deliveries that wait. An endpoint with many of them is looked at first: where nobody would
/// be called they are held back, or end, all in one statement, and no bell of theirs is in the way of others.
pub(crate) async fn wake(shard: u32, waiting: Vec<Waiting>, bindings: &Bindings) -> Result<()> {
    let (crowds, mut rung) = crowds(bells(shard, waiting));
    if !crowds.is_empty() {
        let known = statuses(&crowds, bindings).await;
        for crowd in crowds {
            let left = match &known {
                Ok(known) => uncalled(shard, &crowd, known, bindings).await,
                Err(error) => Err(worker::Error::RustError(error.to_string())),
            };
            // Whoever answers the bells finds out, too.
            rung.extend(left.unwrap_or_else(|error| {
                log::error("not_held", json!({"shard": shard, "error": error.to_string()}));
                crowd
            }));
        }
    }
    bell::ring_dispatcher(&rung, 0, bindings).await
}

/// An endpoint that is there.
#[derive(Deserialize)]
struct Known {
    endpoint_id: String,
    status: EndpointStatus,
}

async fn statuses(crowds: &[Vec<Bell>], bindings: &Bindings) -> Result<Vec<Known>> {
    let of = |crowd: &'_ Vec<Bell>| -> Option<(String, String)> {
        let bell = crowd.first()?;
        Some((bell.deliveries.first()?.0.clone(), bell.endpoint_id.clone()))
    };
    let pairs: Vec<(String, String)> = crowds.iter().filter_map(of).collect();
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    bindings.db()?.rows(&sql::statuses_of(&pairs)).await
}

/// Settles the deliveries of these bells of one endpoint if nobody is called for them, and gives back the bells that are to be
/// rung all the same.
async fn uncalled(
    shard: u32,
    crowd: &[Bell],
    known: &[Known],
    bindings: &Bindings,
) -> Result<Vec<Bell>> {
    let Some(first) = crowd.first() else { return Ok(Vec::new()) };
    let Some((project_id, _)) = first.deliveries.first() else { return Ok(Vec::new()) };
    let pairs: Vec<&(String, String)> = crowd.iter().flat_map(|bell| &bell.deliveries).collect();
    let endpoint_id = &first.endpoint_id;
    let Some(known) = known.iter().find(|known| known.endpoint_id == *endpoint_id) else {
        #[derive(Deserialize)]
        struct Ended {
            id: String,
        }
        let end = sql::end(json!(pairs), chance::now_ms());
        let ended: Vec<Ended> = bindings.events(shard)?.rows(&end).await?;
        let ended: HashSet<String> = ended.into_iter().map(|one| one.id).collect();
        log_ended(endpoint_id, ended.len());
        // What a dispatcher that died has left is looked at one by one.
        let left = pairs.into_iter().filter(|(_, id)| !ended.contains(id));
        let left = left.map(|(project_id, id)| Waiting {
            project_id: project_id.clone(),
            id: id.clone(),
            endpoint_id: endpoint_id.clone(),
        });
        return Ok(bells(shard, left.collect()));
    };
    let Some(why) = known.status.not_active() else { return Ok(crowd.to_vec()) };
    let of = (project_id.as_str(), shard);
    hold_all_for_endpoint(of, endpoint_id, json!(pairs), &why.to_string(), bindings).await?;
    Ok(Vec::new())
}

fn log_ended(endpoint_id: &str, count: usize) {
    if 0 < count {
        let status = Status::Discarded.name();
        let fields = json!({"endpoint_id": endpoint_id, "deliveries": count, "status": status});
        log::info("dead_letters", fields);
    }
}

/// Ends what was held back for an endpoint that is gone, in steps that hold up nobody.
async fn end(
    (project_id, shard): Whose<'_>,
    endpoint_id: &str,
    bindings: &Bindings,
) -> Result<Left> {
    let events = bindings.events(shard)?;
    for _ in 0..RELEASES_MAX {
        let end = sql::end_held(project_id, endpoint_id, chance::now_ms());
        let count = events.count(&end).await?;
        log_ended(endpoint_id, count);
        if count < sql::RELEASE_ROWS {
            return Ok(Left::Nothing);
        }
    }
    Ok(Left::More)
}

/// Lets go what waits for an endpoint, oldest first, but for the deliveries up to `after`, and rings for it.
async fn release(
    (project_id, shard): Whose<'_>,
    endpoint_id: &str,
    (which, after): (Release, &str),
    bindings: &Bindings,
) -> Result<Left> {
    let events = bindings.events(shard)?;
    let mut after = after.to_owned();
    for _ in 0..RELEASES_MAX {
        let (now, sweep_after) = (chance::now_ms(), bindings.settings.sweep_after_ms);
        let which = (which, after.as_str());
        let statement = sql::release(project_id, endpoint_id, which, now, sweep_after);
        let released: Vec<Waiting> = events.rows(&statement).await?;
        let count = released.len();
        let last = released.iter().map(|one| one.id.clone()).max();
        // Should a bell be lost: they are watched by the sweep.
        bell::ring_dispatcher(&bells(shard, released), 0, bindings).await.unwrap_or_default();
        match last {
            Some(last) if sql::RELEASE_ROWS <= count => after = last,
            _ => return Ok(Left::Nothing),
        }
    }
    Ok(Left::After(after))
}

/// Does what follows from a breaker that has just changed. `counted` is the result of [`sql::count_call`].
pub(crate) async fn follow_breaker(
    to: &Receiver,
    counted: Option<&D1Result>,
    now: u64,
    bindings: &Bindings,
) -> Result<()> {
    let breaker = counted.map(rows::<Breaker>).transpose()?.unwrap_or_default().into_iter().next();
    let Some(breaker) = breaker else { return Ok(()) };
    if breaker.since == now {
        // The reason is for the API: it may hold what was answered.
        let fields = json!({"endpoint_id": breaker.endpoint_id, "state": breaker.state});
        log::info("breaker", fields);
    }
    match breaker.consequence(&to.project.config.circuit_breaker, now) {
        None => Ok(()),
        Some(Consequence::Release) => {
            let whose = (&*to.project.uid, to.project.shard);
            // What is left after many comes at its own time, which has come, or is a breaker's pause away.
            let which = (Release::OfBreaker, "");
            release(whose, &to.endpoint.uid, which, bindings).await.map(|_| ())
        }
        Some(Consequence::Disable(reason)) => disable(to, &reason, bindings).await,
    }
}

/// Takes an endpoint out of use, if it is in use, and tells its project.
pub(crate) async fn disable(to: &Receiver, reason: &str, bindings: &Bindings) -> Result<()> {
    let (project, id) = (&to.project, to.endpoint.uid.as_str());
    let told = meta_events::note(project, Kind::EndpointDisabled, || {
        let mut after = to.endpoint.clone();
        after.status = EndpointStatus::Inactive;
        reason.clone_into(&mut after.status_reason);
        after.present()
    });
    let note = told.as_ref().map(|told| sql::note_if_active(&told.note, &project.uid, id));
    let mut statements: Vec<Statement> = note.into_iter().collect();
    statements.push(sql::disable_endpoint(&project.uid, id, reason, chance::now_ms()));
    let results = bindings.db()?.batch(&statements).await?;
    if count_of(results.last())? == 0 {
        return Ok(());
    }
    log::info("endpoint_disabled", json!({"endpoint_id": id}));
    if told.is_some() {
        meta_events::forward_noted(bindings).await?;
        bell::send_drain(project.shard, bindings).await?;
    }
    Ok(())
}

/// The breakers of endpoints, for the API.
pub(crate) async fn breakers(
    project: &Project,
    endpoints: &[&str],
    bindings: &Bindings,
) -> Result<Vec<Breaker>> {
    bindings.events(project.shard)?.rows(&sql::breakers(&project.uid, endpoints)).await
}

/// Lets what waits ask again for a place, after a rate limit has changed.
pub(crate) async fn ask_again(
    whose: Whose<'_>,
    gates: &[&str],
    endpoint_id: &str,
    bindings: &Bindings,
) -> Result<Left> {
    let forget = sql::forget_gates(whose.0, endpoint_id, gates);
    bindings.events(whose.1)?.run(&forget).await?;
    release_all(whose, endpoint_id, "", bindings).await
}

/// Lets go whatever waits for an endpoint, but for the deliveries up to `after`.
pub(crate) async fn release_all(
    whose: Whose<'_>,
    endpoint_id: &str,
    after: &str,
    bindings: &Bindings,
) -> Result<Left> {
    release(whose, endpoint_id, (Release::All, after), bindings).await
}

/// Forgets a breaker and the places under rate limits, and lets go what waits for them or for the endpoint; if that is gone, it ends.
pub(crate) async fn start_afresh(
    whose: Whose<'_>,
    endpoint_id: &str,
    bindings: &Bindings,
) -> Result<Left> {
    let statements =
        [sql::reset_breaker(whose.0, endpoint_id), sql::forget_gates(whose.0, endpoint_id, &[])];
    bindings.events(whose.1)?.batch(&statements).await?;
    if bindings.db()?.has(&sql::endpoint(whose.0, endpoint_id)).await? {
        release_all(whose, endpoint_id, "", bindings).await
    } else {
        end(whose, endpoint_id, bindings).await
    }
}
