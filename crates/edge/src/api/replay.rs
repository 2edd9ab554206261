//! Delivering again: one event or delivery, or thousands.

use inlet_gateway::parked::Lack;
use inlet_gateway::resend::{Again, ResendInput, Standing, Standings};
use inlet_gateway::route::{Bell, Needs, bells, replay, scheduled};
use inlet_gateway::search::{Kind, SCAN_ROWS, Search};
use inlet_gateway::wire::Envelope;

use super::events::json_text;
use super::*;
use crate::router::{BODIES_WAIT_MS, Waiting, directory, read_bodies};
use crate::store::rows;
use crate::{bell, functions};

/// Events or deliveries that one call takes up; past that its answer has a cursor to go on with.
const AGAIN_MAX: usize = 10_000;
/// How many of them one transaction takes.
const AGAIN_TOGETHER: usize = 200;
/// Rows that one call looks at for them.
const AGAIN_SCAN_ROWS: u64 = 20 * SCAN_ROWS;
/// What may be retried.
const OVER: &[&str] = &["Failure", "Discarded"];

/// What a replay came to.
struct Replayed {
    /// Events that were looked at.
    seen: usize,
    /// Those that have a receiver.
    count: usize,
    /// Why a function made nothing of one of them.
    fault: Option<String>,
    /// Whether it stopped before the end: what is left has to be asked for again.
    is_cut: bool,
}

/// A replay whose first event lacks something. One whose body is gone keeps the others from nothing.
fn without(lack: &Lack) -> Result<Replayed, Refusal> {
    match lack {
        Lack::Gone => {
            Ok(Replayed { seen: 1, count: 0, fault: Some(lack.to_string()), is_cut: false })
        }
        Lack::Unavailable(why) => Err(worker::Error::RustError(why.clone()).into()),
    }
}

impl Caller<'_> {
    pub(super) async fn replay_event(&self, project: &Project, id: &str) -> Result<Reply, Refusal> {
        let event = self.routed_event(project, id).await?;
        let (replay_id, done) = self.replay(project, &[event.envelope(project.shard)]).await?;
        if let Some(fault) = done.fault {
            return Err(ApiError::bad_request(fault).into());
        }
        if done.count == 0 {
            let text = "no subscription matches this event, so there is nobody to deliver it to";
            return Err(ApiError::bad_request(text).into());
        }
        let events = self.bindings.events(project.shard)?;
        let event = events.row(&sql::event(&project.uid, id)).await?.unwrap_or(event);
        let pointed = self.pointed_by(project, std::slice::from_ref(&event)).await?;
        let data = event.present_in_list(&pointed);
        Ok(json_text(format!(
            "{{\"status\":true,\"message\":\"Endpoint event replayed successfully\",\"data\":{data},\"replay_id\":\"{replay_id}\"}}"
        )))
    }

    /// Makes new deliveries of events. They are durable, and watched, when this returns. What fails after some of them were made
    /// ends it there: who repeats the whole would have them delivered twice.
    async fn replay(
        &self,
        project: &Project,
        envelopes: &[Envelope],
    ) -> Result<(String, Replayed), Refusal> {
        let replay_id = chance::uid(now_ms());
        let mut all = Replayed { seen: 0, count: 0, fault: None, is_cut: false };
        while let Some(rest @ [_, ..]) = envelopes.get(all.seen..) {
            let some = match self.replay_some(project, rest, &replay_id).await {
                Ok(some) => some,
                Err(refusal) if all.seen == 0 => return Err(refusal),
                Err(_) => {
                    all.is_cut = true;
                    break;
                }
            };
            all.seen += some.seen;
            all.count += some.count;
            all.fault = all.fault.or(some.fault);
        }
        log::info(
            "replayed",
            json!({"project_id": project.uid, "replay_id": replay_id, "events": all.count}),
        );
        Ok((replay_id, all))
    }

    /// The same for the first of them.
    async fn replay_some(
        &self,
        project: &Project,
        envelopes: &[Envelope],
        replay_id: &str,
    ) -> Result<Replayed, Refusal> {
        let metas = envelopes.iter().map(|envelope| &envelope.meta);
        let named = Needs::of(metas.clone()).endpoints;
        let mut directory = directory(metas, self.bindings).await?;
        if !named.is_empty() {
            let named: Vec<&str> = named.into_iter().map(|(_, id)| id).collect();
            directory.there = Some(self.standings(project, &named).await?.ids());
        }
        let most = directory.transaction_len(envelopes);
        let envelopes = envelopes.get(..most).unwrap_or(envelopes);
        let functions = functions::of(envelopes, self.bindings).await?;
        let deadline = now_ms() + BODIES_WAIT_MS;
        let made = functions::apply(envelopes, &functions, deadline, self.bindings).await;
        let made = match made {
            Ok(made) => made,
            Err(lack) => return without(&lack),
        };
        let envelopes = &*made;
        let read = read_bodies(&mut directory, envelopes, deadline, self.bindings).await;
        let (read, _shares) = match read {
            Ok(read) => read,
            Err(lack) => return without(&lack),
        };
        let envelopes = envelopes.get(..read).unwrap_or(envelopes);
        let fault = envelopes.iter().find_map(|envelope| envelope.meta.fault.clone());
        let (routing, count) = replay(envelopes, &directory, now_ms(), replay_id);
        if count == 0 {
            return Ok(Replayed { seen: read, count, fault, is_cut: false });
        }
        let mut statements = routing.statements;
        let writes = statements.len();
        statements.extend(scheduled(&routing.deliveries));
        let results = self.bindings.events(project.shard)?.batch(&statements).await?;
        let mut waiting = Vec::new();
        for result in results.iter().skip(writes) {
            waiting.extend(rows::<Waiting>(result)?.into_iter().map(Waiting::into_parts));
        }
        self.ring(bells(project.shard, waiting)).await;
        Ok(Replayed { seen: read, count, fault, is_cut: false })
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
        let (mut replayed, mut failed) = (0, 0);
        let end = self.scan_end(project, &search, Some(AGAIN_SCAN_ROWS)).await?;
        let go_on = loop {
            let (done, next) = match self.replay_page(project, &search, end.as_deref()).await {
                Ok(page) => page,
                Err(refusal) if replayed + failed == 0 => return Err(refusal),
                Err(_) => break search.page.cursor,
            };
            replayed += done.count;
            failed += done.seen - done.count;
            if next.is_none() || done.is_cut || AGAIN_MAX <= replayed + failed {
                break next;
            }
            search.page.cursor = next;
        };
        let go_on = go_on.or(end);
        let data = go_on.map_or(Value::Null, |cursor| json!({"next_page_cursor": cursor}));
        Ok(Answer::ok(200, &format!("{replayed} successful, {failed} failed"), data))
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
        let left = envelopes.get(done.seen).map(|envelope| envelope.meta.event_id.clone());
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

    pub(super) async fn resend_delivery(&self, project: &Project, id: &str) -> Answered {
        let delivery = self.delivery(project, id).await?;
        match delivery.status.as_str() {
            "Success" => return Err(ApiError::bad_request("event already sent").into()),
            status if !OVER.contains(&status) => {
                let text = "cannot resend event that did not fail previously";
                return Err(ApiError::bad_request(text).into());
            }
            _ => {}
        }
        let standings = self.standings(project, &[&delivery.endpoint_id]).await?;
        if let Some(why) = standings.closed(&delivery.endpoint_id) {
            return Err(ApiError::bad_request(why).into());
        }
        self.reschedule(project, &[delivery.id], OVER).await?;
        let delivery = self.delivery(project, id).await?;
        let shown: Value = serde_json::from_str(&self.shown_delivery(project, &delivery).await?)?;
        Ok(Answer::ok(200, "App event processed for retry successfully", shown))
    }

    async fn standings(&self, project: &Project, endpoints: &[&str]) -> Result<Standings, Refusal> {
        let statement = sql::endpoint_statuses(&project.uid, endpoints);
        Ok(Standings::of(self.bindings.db()?.rows::<Standing>(&statement).await?))
    }

    /// How the endpoints of these deliveries stand.
    async fn standings_of(
        &self,
        project: &Project,
        deliveries: &[Again],
    ) -> Result<Standings, Refusal> {
        let mut endpoints: Vec<&str> =
            deliveries.iter().map(|one| one.endpoint_id.as_str()).collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        self.standings(project, &endpoints).await
    }

    /// Puts deliveries back to their start and rings for them; says how many.
    pub(super) async fn reschedule(
        &self,
        project: &Project,
        ids: &[String],
        statuses: &[&str],
    ) -> Result<usize, Refusal> {
        let pairs: Vec<(&str, &str)> =
            ids.iter().map(|id| (project.uid.as_str(), id.as_str())).collect();
        let now = now_ms();
        let look_at = now + self.bindings.settings.sweep_after_ms;
        let statement = sql::reschedule(json!(pairs), statuses, now, look_at);
        let waiting: Vec<Waiting> = self.bindings.events(project.shard)?.rows(&statement).await?;
        let count = waiting.len();
        self.ring(bells(project.shard, waiting.into_iter().map(Waiting::into_parts).collect()))
            .await;
        Ok(count)
    }

    pub(super) async fn force_resend(&self, project: &Project) -> Answered {
        let ResendInput { mut ids } = api::parse(&self.body)?;
        ids.sort();
        ids.dedup();
        let statement = sql::deliveries_by_id(&project.uid, json!(ids), "Success");
        let successful: Vec<Again> = self.bindings.events(project.shard)?.rows(&statement).await?;
        if successful.len() < ids.len() {
            let text = "only successful events can be force resent";
            return Err(ApiError::bad_request(text).into());
        }
        // What has arrived stays so, unless it is sent again right now.
        let standings = self.standings_of(project, &successful).await?;
        let (mut open, mut closed) = (Vec::new(), Vec::new());
        for Again { id, endpoint_id } in successful {
            match standings.closed(&endpoint_id) {
                None => open.push(id),
                Some(reason) => closed.push(json!({"uid": id, "reason": reason})),
            }
        }
        let mut resent = 0;
        for some in open.chunks(AGAIN_TOGETHER) {
            resent += self.reschedule(project, some, &["Success"]).await?;
        }
        let text = format!("{resent} successful, {} failed", ids.len() - resent);
        let data = if closed.is_empty() { Value::Null } else { json!({"failed": closed}) };
        Ok(Answer::ok(200, &text, data))
    }

    async fn retry_search(&self, project: &Project) -> Result<Search, Refusal> {
        Kind::Deliveries.check_selection(&self.query, &self.body)?;
        let mut search = self.scope.search(Kind::Deliveries, &self.query)?;
        self.know_owner(project, &mut search).await?;
        search.only(OVER);
        Ok(search)
    }

    pub(super) async fn retry_deliveries(&self, project: &Project) -> Answered {
        let mut search = self.retry_search(project).await?;
        search.page.direction = Direction::Next;
        search.page.per_page = AGAIN_TOGETHER;
        let events = self.bindings.events(project.shard)?;
        let end = self.scan_end(project, &search, Some(AGAIN_SCAN_ROWS)).await?;
        let (mut seen, mut retried, mut go_on) = (0, 0, None);
        loop {
            let page = sql::search(&search, &project.uid, end.as_deref(), &["id", "endpoint_id"]);
            let mut found: Vec<Again> = events.rows(&page).await?;
            let extra = (AGAIN_TOGETHER < found.len()).then(|| found.pop()).flatten();
            let extra = extra.map(|one| one.id);
            seen += found.len();
            let standings = self.standings_of(project, &found).await?;
            found.retain(|one| standings.gone(&one.endpoint_id).is_none());
            let ids: Vec<String> = found.into_iter().map(|one| one.id).collect();
            retried += self.reschedule(project, &ids, OVER).await?;
            let Some(extra) = extra else {
                break;
            };
            search.page.cursor = Some(extra.clone());
            if AGAIN_MAX <= seen {
                go_on = Some(extra);
                break;
            }
        }
        let data = json!({"num": retried, "next_page_cursor": go_on.or(end).unwrap_or_default()});
        Ok(Answer::ok(200, "Batch retry processing", data))
    }

    pub(super) async fn count_retry(&self, project: &Project) -> Answered {
        let search = self.retry_search(project).await?;
        let data = self.count(project, &search).await?;
        Ok(Answer::ok(200, "event deliveries count successful", data))
    }
}
