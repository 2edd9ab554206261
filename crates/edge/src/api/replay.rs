//! Delivering again: one event or delivery, or thousands.

use inlet_gateway::deliver::Status;
use inlet_gateway::failures::{OfStatus, totals};
use inlet_gateway::page::Direction;
use inlet_gateway::parked::Lack;
use inlet_gateway::resend::{
    Again, FORCED, Gone, OneWay, RETRIED, ResendInput, Standing, Standings, may_retry,
};
use inlet_gateway::route::{Bell, Needs, Waiting, bells, parted, replay};
use inlet_gateway::search::{Kind, SCAN_ROWS, Search};
use inlet_gateway::tally::Tally;
use inlet_gateway::turns::Turns;
use inlet_gateway::wire::Envelope;

use super::events::{json_data, json_text};
use super::shown::each_once;
use super::*;
use crate::router::{directory, read_bodies};
use crate::{bell, functions};

/// Events or deliveries that one call takes up; past that its answer has a cursor to go on with.
const AGAIN_MAX: usize = 10_000;
/// How many of them one transaction takes.
const AGAIN_TOGETHER: usize = 200;
/// Rows that one call looks at for them.
const AGAIN_SCAN_ROWS: u64 = 20 * SCAN_ROWS;
/// Endpoints and subscriptions that are looked up together.
const ENDPOINTS_TOGETHER: usize = 5_000;
/// What is read of what may be.
const AGAIN: &[&str] = &["id", "endpoint_id", "subscription_id"];
/// Why a delivery that was found is not retried.
const TAKEN_UP: &str = "the delivery is not over any more: another call has taken it up";

/// What a replay came to.
struct Replayed {
    /// Events that have a receiver, and why others have none.
    tally: Tally,
    /// Whether it stopped before the end: what is left has to be asked for again.
    is_cut: bool,
}

/// A replay whose first event lacks something. One whose body is gone keeps the others from nothing.
fn without(lack: &Lack) -> Result<Tally, Refusal> {
    match lack {
        Lack::Gone => {
            let mut tally = Tally::default();
            tally.fail(&lack.to_string(), 1);
            Ok(tally)
        }
        Lack::Spent => Err(worker::Error::RustError(lack.to_string()).into()),
        Lack::Unavailable(why) | Lack::Stopped(why) | Lack::Turn(why, _) => {
            Err(worker::Error::RustError(why.clone()).into())
        }
    }
}

impl Caller<'_> {
    pub(super) async fn replay_event(&self, project: &Project, id: &str) -> Result<Reply, Refusal> {
        let event = self.routed_event(project, id).await?;
        let (replay_id, done) = self.replay(project, &[event.envelope(project.shard)]).await?;
        if let Some(why) = done.tally.all_failed() {
            return Err(ApiError::bad_request(why).into());
        }
        let events = self.bindings.events(project.shard)?;
        let event = events.row(&sql::event(&project.uid, id)).await?.unwrap_or(event);
        let pointed = self.pointed_by(project, std::slice::from_ref(&event)).await?;
        let data = event.present_in_list(&pointed);
        let message = "Endpoint event replayed successfully";
        let shown = json!({"status": true, "message": message, "replay_id": replay_id});
        Ok(json_text(json::with_raw(&shown, &[("data", &data)])))
    }

    /// Makes new deliveries of events. They are durable, and watched, when this returns. What fails after some of them were made
    /// ends it there: who repeats the whole would have them delivered twice.
    async fn replay(
        &self,
        project: &Project,
        envelopes: &[Envelope],
    ) -> Result<(String, Replayed), Refusal> {
        let replay_id = chance::uid(now_ms());
        let mut all = Replayed { tally: Tally::default(), is_cut: false };
        while let Some(rest @ [_, ..]) = envelopes.get(all.tally.seen()..) {
            let some = match self.replay_some(project, rest, &replay_id).await {
                Ok(some) => some,
                Err(refusal) if all.tally.seen() == 0 => return Err(refusal),
                Err(_) => {
                    all.is_cut = true;
                    break;
                }
            };
            all.tally.add(&some);
        }
        log::info(
            "replayed",
            json!({"project_id": project.uid, "replay_id": replay_id, "events": all.tally.succeeded}),
        );
        Ok((replay_id, all))
    }

    /// Makes new deliveries of the first of these events: as many as one transaction carries. The tally says of how many.
    async fn replay_some(
        &self,
        project: &Project,
        envelopes: &[Envelope],
        replay_id: &str,
    ) -> Result<Tally, Refusal> {
        let (mut directory, count) = directory(envelopes, self.bindings).await?;
        let envelopes = envelopes.get(..count).unwrap_or(envelopes);
        let named = Needs::of(envelopes.iter().map(|envelope| &envelope.meta)).endpoints;
        if !named.is_empty() {
            let named: Vec<&str> = named.into_iter().map(|(_, id)| id).collect();
            directory.there = Some(self.standings(project, &named, &[]).await?.ids());
        }
        let most = directory.transaction_len(envelopes);
        let envelopes = envelopes.get(..most).unwrap_or(envelopes);
        let mut functions = functions::of(envelopes, self.bindings).await?;
        let deadline = now_ms() + BODY_WAIT_MS;
        let new = Turns::default();
        let made = functions::apply(envelopes, &mut functions, &new, deadline, self.bindings).await;
        let made = match made {
            Ok(made) => made,
            Err(lack) => return without(&lack),
        };
        let envelopes = &*made;
        let read = read_bodies(&mut directory, envelopes, deadline, self.bindings).await;
        let (read, _loans) = match read {
            Ok(read) => read,
            Err(lack) => return without(&lack),
        };
        let envelopes = envelopes.get(..read).unwrap_or(envelopes);
        let (routing, tally) = replay(envelopes, &directory, now_ms(), replay_id);
        if tally.succeeded == 0 {
            return Ok(tally);
        }
        let events = self.bindings.events(project.shard)?;
        for part in &routing.parts {
            let results = events.batch(&part.statements).await?;
            let unfinished = results.last().map(rows).transpose()?.unwrap_or_default();
            let (waiting, _) = parted(unfinished, &[], now_ms());
            self.ring(bells(project.shard, waiting)).await;
        }
        Ok(tally)
    }

    /// Rings for deliveries that the sweep watches: should a bell be lost, they are only later.
    async fn ring(&self, bells: Vec<Bell>) {
        bell::ring_dispatcher(&bells, 0, self.bindings).await.unwrap_or_default();
    }

    /// What is to be replayed; `call` is what refuses to read payloads for it.
    async fn replay_search(&self, project: &Project, call: &str) -> Result<Search, Refusal> {
        Kind::Events.check_selection(&self.query, &self.body)?;
        let mut search = self.scope.search(Kind::Events, &self.query)?;
        if search.reads_bodies {
            let text = format!("{call} does not support search filters");
            return Err(ApiError::bad_request(text).into());
        }
        self.know_owner(project, &mut search).await?;
        Ok(search)
    }

    pub(super) async fn replay_events(&self, project: &Project) -> Answered {
        let mut search = self.replay_search(project, "batch replay").await?;
        search.page.direction = Direction::Next;
        search.page.per_page = AGAIN_TOGETHER;
        let mut tally = Tally::default();
        let end = self.scan_end(project, &search, Some(AGAIN_SCAN_ROWS)).await?;
        let go_on = loop {
            let (done, next) = match self.replay_page(project, &search, end.as_deref()).await {
                Ok(page) => page,
                Err(refusal) if tally.seen() == 0 => return Err(refusal),
                Err(_) => break search.page.cursor,
            };
            tally.add(&done.tally);
            if next.is_none() || done.is_cut || AGAIN_MAX <= tally.seen() {
                break next;
            }
            search.page.cursor = next;
        };
        // Convoy's clients read a text as `data`.
        let answer = Answer::ok(200, &tally.message(), Value::Null);
        Ok(answer.beside(tally.present(go_on.or(end))))
    }

    /// Replays one page of a search, or as much of it as can be, and says where to go on.
    async fn replay_page(
        &self,
        project: &Project,
        search: &Search,
        end: Option<&str>,
    ) -> Result<(Replayed, Option<String>), Refusal> {
        let page = sql::search(search, &project.uid, end, &[]);
        let mut found: Vec<StoredEvent> = self.bindings.events(project.shard)?.rows(&page).await?;
        let extra = (AGAIN_TOGETHER < found.len()).then(|| found.pop()).flatten();
        let mut envelopes = Vec::with_capacity(found.len());
        for event in found {
            envelopes.push(self.whole(project, event).await?.envelope(project.shard));
        }
        let (_, done) = self.replay(project, &envelopes).await?;
        let left = envelopes.get(done.tally.seen()).map(|envelope| envelope.meta.event_id.clone());
        Ok((done, left.or(extra.map(|event| event.id))))
    }

    /// An event that a list has found, with its payload: filters and functions read it.
    async fn whole(&self, project: &Project, event: StoredEvent) -> Result<StoredEvent, Refusal> {
        if !event.is_cut() {
            return Ok(event);
        }
        let events = self.bindings.events(project.shard)?;
        Ok(events.row(&sql::event(&project.uid, &event.id)).await?.unwrap_or(event))
    }

    pub(super) async fn count_replay(&self, project: &Project) -> Answered {
        let search = self.replay_search(project, "batch replay count").await?;
        let data = self.count(project, &search).await?;
        Ok(Answer::ok(200, "events count successful", data))
    }

    /// How many rows a search finds. `is_complete` is false when there were more to look at than one call does.
    async fn count(&self, project: &Project, search: &Search) -> Result<Value, Refusal> {
        #[derive(Deserialize)]
        struct Count {
            n: u64,
        }
        let end = self.scan_end(project, search, Some(AGAIN_SCAN_ROWS)).await?;
        let statement = sql::count(search, &project.uid, end.as_deref(), AGAIN_SCAN_ROWS);
        let found: Option<Count> = self.bindings.events(project.shard)?.row(&statement).await?;
        let n = found.map_or(0, |found| found.n);
        Ok(json!({"num": n, "is_complete": end.is_none()}))
    }

    pub(super) async fn resend_delivery(
        &self,
        project: &Project,
        id: &str,
    ) -> Result<Reply, Refusal> {
        self.try_again(project, id).await?;
        let delivery = self.delivery(project, id).await?;
        let shown = self.shown_delivery(project, &delivery).await?;
        Ok(json_data("App event processed for retry successfully", &shown))
    }

    /// Has a delivery called again that has come to an end.
    pub(super) async fn try_again(&self, project: &Project, id: &str) -> Result<(), Refusal> {
        let once = async || {
            let delivery = self.delivery(project, id).await?;
            may_retry(&delivery)?;
            let (endpoint, subscription) = (&delivery.endpoint_id, &delivery.subscription_id);
            let standings = self.standings(project, &[endpoint], &[subscription]).await?;
            if let Some(why) = standings.closed(endpoint, subscription) {
                return Err(Refusal::from(ApiError::bad_request(why)));
            }
            let resent = self.reschedule(project, &[delivery.id], RETRIED).await?;
            Ok((0 < resent).then_some(()))
        };
        let resent: Result<Option<()>, Refusal> =
            again(once, |done| matches!(done, Ok(None))).await;
        Ok(resent?.ok_or_else(|| ApiError::bad_request(TAKEN_UP))?)
    }

    async fn standings(
        &self,
        project: &Project,
        endpoints: &[&str],
        subscriptions: &[&str],
    ) -> Result<Standings, Refusal> {
        let statements = [
            sql::endpoint_statuses(&project.uid, endpoints),
            sql::not_sent(&project.uid, subscriptions),
        ];
        let results = self.bindings.db()?.batch(&statements).await?;
        let endpoints = results.first().map(rows::<Standing>).transpose()?.unwrap_or_default();
        let gone = results.get(1).map(rows::<Gone>).transpose()?.unwrap_or_default();
        Ok(Standings::of(endpoints, gone))
    }

    /// How the endpoints and subscriptions of these deliveries stand.
    async fn standings_of(
        &self,
        project: &Project,
        deliveries: &[Again],
    ) -> Result<Standings, Refusal> {
        let each = |id: fn(&Again) -> &str| each_once(deliveries.iter().map(id));
        let (endpoints, subscriptions) =
            (each(|one| &one.endpoint_id), each(|one| &one.subscription_id));
        self.standings(project, &endpoints, &subscriptions).await
    }

    /// Puts deliveries back to their start and rings for them; says how many.
    pub(super) async fn reschedule(
        &self,
        project: &Project,
        ids: &[String],
        statuses: &[Status],
    ) -> Result<usize, Refusal> {
        let pairs: Vec<(&str, &str)> =
            ids.iter().map(|id| (project.uid.as_str(), id.as_str())).collect();
        let now = now_ms();
        let look_at = now + self.bindings.settings.sweep_after_ms;
        let statement = sql::reschedule(json!(pairs), statuses, now, look_at);
        let waiting: Vec<Waiting> = self.bindings.events(project.shard)?.rows(&statement).await?;
        let count = waiting.len();
        self.ring(bells(project.shard, waiting)).await;
        Ok(count)
    }

    pub(super) async fn force_resend(&self, project: &Project) -> Answered {
        let mut input: ResendInput = api::parse(&self.body)?;
        let ids = &mut input.ids;
        ids.sort();
        ids.dedup();
        let statement = sql::deliveries_by_id(&project.uid, json!(ids), FORCED);
        let successful: Vec<Again> = self.bindings.events(project.shard)?.rows(&statement).await?;
        if successful.len() < ids.len() {
            let known = sql::known_deliveries(&project.uid, json!(ids));
            let known = self.bindings.events(project.shard)?.rows(&known).await?;
            return Err(input.refusal(&known).into());
        }
        // What has arrived stays so, unless it is sent again right now.
        let standings = self.standings_of(project, &successful).await?;
        let (mut open, mut closed) = (Vec::new(), Vec::new());
        for Again { id, endpoint_id, subscription_id } in successful {
            match standings.closed(&endpoint_id, &subscription_id) {
                None => open.push(id),
                Some(reason) => closed.push(json!({"uid": id, "reason": reason})),
            }
        }
        let mut resent = 0;
        for some in open.chunks(AGAIN_TOGETHER) {
            resent += self.reschedule(project, some, &[FORCED]).await?;
        }
        let text = format!("{resent} successful, {} failed", ids.len() - resent);
        let data = if closed.is_empty() { Value::Null } else { json!({"failed": closed}) };
        Ok(Answer::ok(200, &text, data))
    }

    async fn retry_search(&self, project: &Project) -> Result<Search, Refusal> {
        Kind::Deliveries.check_selection(&self.query, &self.body)?;
        let mut search = self.scope.search(Kind::Deliveries, &self.query)?;
        self.know_owner(project, &mut search).await?;
        search.only(RETRIED);
        Ok(search)
    }

    pub(super) async fn retry_deliveries(&self, project: &Project) -> Answered {
        let mut search = self.retry_search(project).await?;
        search.page.direction = Direction::Next;
        search.page.per_page = AGAIN_TOGETHER;
        let events = self.bindings.events(project.shard)?;
        let end = self.scan_end(project, &search, Some(AGAIN_SCAN_ROWS)).await?;
        let mut tally = Tally::default();
        let go_on = loop {
            let page = sql::search(&search, &project.uid, end.as_deref(), AGAIN);
            let retried = async {
                let mut found: Vec<Again> = events.rows(&page).await?;
                let extra = (AGAIN_TOGETHER < found.len()).then(|| found.pop()).flatten();
                let standings = self.standings_of(project, &found).await?;
                let mut done = Tally::default();
                let mut ids = Vec::with_capacity(found.len());
                for Again { id, endpoint_id, subscription_id } in found {
                    match standings.gone(&endpoint_id, &subscription_id) {
                        None => ids.push(id),
                        Some(reason) => done.fail(reason, 1),
                    }
                }
                done.succeeded = self.reschedule(project, &ids, RETRIED).await?;
                done.fail(TAKEN_UP, ids.len() - done.succeeded);
                Ok((done, extra.map(|one| one.id)))
            };
            let (done, extra) = match retried.await {
                Ok(retried) => retried,
                Err(refusal) if tally.seen() == 0 => return Err(refusal),
                Err(_) => break search.page.cursor,
            };
            tally.add(&done);
            if extra.is_none() || AGAIN_MAX <= tally.seen() {
                break extra;
            }
            search.page.cursor = extra;
        };
        Ok(Answer::ok(200, "Batch retry processing", tally.present(go_on.or(end))))
    }

    /// How many of the deliveries that a search finds have which status.
    pub(super) async fn status_totals(&self, project: &Project) -> Answered {
        Kind::Deliveries.check_count(&self.query)?;
        let mut search = self.scope.search(Kind::Deliveries, &self.query)?;
        if search.reads_bodies {
            let text = "status totals do not support search filters";
            return Err(ApiError::bad_request(text).into());
        }
        self.know_owner(project, &mut search).await?;
        let end = self.scan_end(project, &search, Some(AGAIN_SCAN_ROWS)).await?;
        let statement = sql::count_by_status(&search, &project.uid, end.as_deref());
        let counts: Vec<OfStatus> = self.bindings.events(project.shard)?.rows(&statement).await?;
        let data = json!({"totals": totals(&counts), "is_complete": end.is_none()});
        Ok(Answer::ok(200, "Event delivery status totals fetched successfully", data))
    }

    /// How many of them [`Self::retry_deliveries`] would retry, and how many it would leave out.
    pub(super) async fn count_retry(&self, project: &Project) -> Answered {
        let search = self.retry_search(project).await?;
        let end = self.scan_end(project, &search, Some(AGAIN_SCAN_ROWS)).await?;
        let statement = sql::count_by_way(&search, &project.uid, end.as_deref(), AGAIN_SCAN_ROWS);
        let counts: Vec<OneWay> = self.bindings.events(project.shard)?.rows(&statement).await?;
        let mut tally = Tally::default();
        for some in counts.chunks(ENDPOINTS_TOGETHER) {
            let endpoints = each_once(some.iter().map(|one| one.endpoint_id.as_str()));
            let subscriptions = each_once(some.iter().map(|one| one.subscription_id.as_str()));
            let standings = self.standings(project, &endpoints, &subscriptions).await?;
            tally.add(&standings.count(some));
        }
        let data = tally.present_count(end.is_none());
        Ok(Answer::ok(200, "event deliveries count successful", data))
    }
}
