//! Dead letters: what was given up, and how to try it again.

use inlet_gateway::batch::Verdict;
use inlet_gateway::dead_letter::{
    BROKER, EVENT, NOBODY, NOBODYS_SHARD, Stored, Wanted, present_delivery,
};
use inlet_gateway::deliver::Status;
use inlet_gateway::page::Page;
use inlet_gateway::routes::LettersCall;
use inlet_gateway::search::Search;
use inlet_gateway::wire::{Body, Envelope};
use worker::D1Result;

use super::events::json_data;
use super::*;
use crate::ingest::{Order, make_all_durable};

const MISSING: &str = "dead letter not found";

/// A page of what was found, in any order.
fn page_of_letters(search: &Search, mut found: Vec<(String, Value)>, end: Option<&str>) -> Answer {
    found.sort_by(|a, b| if search.goes_down() { b.0.cmp(&a.0) } else { a.0.cmp(&b.0) });
    found.truncate(search.page.limit());
    // A cursor comes from another page.
    let has_before = search.page.cursor.is_some();
    let (found, pagination) = search.page.page(found, |(id, _)| id, end, has_before);
    let content: Vec<Value> = found.into_iter().map(|(_, shown)| shown).collect();
    let data = json!(Page { content, pagination });
    Answer::ok(200, "Dead letters fetched successfully", data)
}

fn shown_letter(letter: &Stored) -> (String, Value) {
    (letter.id.clone(), letter.present())
}

/// Whose dead letters, and in which shard.
#[derive(Clone, Copy)]
struct Holder<'p> {
    project_id: &'p str,
    shard: u32,
}

impl<'p> Holder<'p> {
    const NOBODY: Self = Self { project_id: NOBODY, shard: NOBODYS_SHARD };

    fn of(project: &'p Project) -> Self {
        Self { project_id: &project.uid, shard: project.shard }
    }
}

impl Caller<'_> {
    async fn dead_letter(&self, of: Holder<'_>, id: &str) -> Result<Option<Stored>, Refusal> {
        Ok(self.bindings.events(of.shard)?.row(&sql::dead_letter(of.project_id, id)).await?)
    }

    /// What the operator may do with dead letters of which nobody can tell whose they are.
    pub(super) async fn ownerless(&self, call: LettersCall<'_>) -> Result<Reply, Refusal> {
        let missing = || ApiError::not_found(MISSING);
        match call {
            LettersCall::List => {
                let (search, wanted) = Search::dead_letters(&self.query)?;
                let found = self.letters(Holder::NOBODY, &search, &wanted).await?;
                Ok(reply(&page_of_letters(&search, found, None)))
            }
            LettersCall::Get(id) => {
                let letter = self.dead_letter(Holder::NOBODY, id).await?.ok_or_else(missing)?;
                let data = letter.present_whole(&self.dead_payload(&letter).await?);
                Ok(json_data("Dead letter fetched successfully", &data))
            }
            LettersCall::Delete(id) => {
                let letter = self.dead_letter(Holder::NOBODY, id).await?.ok_or_else(missing)?;
                self.forget_letter(Holder::NOBODY, &letter).await?;
                Ok(reply(&Answer::ok(200, "Dead letter deleted successfully", Value::Null)))
            }
        }
    }

    /// Those that are no deliveries, with their ids.
    async fn letters(
        &self,
        of: Holder<'_>,
        search: &Search,
        wanted: &Wanted,
    ) -> Result<Vec<(String, Value)>, Refusal> {
        let page = sql::dead_letters(search, of.project_id, wanted, None);
        let letters: Vec<Stored> = self.bindings.events(of.shard)?.rows(&page).await?;
        Ok(letters.iter().map(shown_letter).collect())
    }

    /// A delivery that was given up.
    async fn failed_delivery(&self, project: &Project, id: &str) -> Result<Delivery, Refusal> {
        match self.delivery(project, id).await {
            Ok(delivery) if delivery.is(Status::Failure) => Ok(delivery),
            Ok(_) | Err(Refusal::Api(_)) => Err(ApiError::not_found(MISSING).into()),
            Err(other) => Err(other),
        }
    }

    async fn dead_payload(&self, letter: &Stored) -> Result<Vec<u8>, Refusal> {
        let Some(key) = &letter.body_key else { return Ok(letter.inline()) };
        let gone = || ApiError::new(410, "the message is gone from the store");
        let until_ms = now_ms() + BODY_WAIT_MS;
        let read = bodies::read(key, &letter.project_id, until_ms, self.bindings).await?;
        let (payload, _loan) = read.ok_or_else(gone)?;
        Ok(payload)
    }

    /// Deliveries and all else, merged: both go by ids that begin with a time.
    pub(super) async fn list_dead_letters(&self, project: &Project) -> Answered {
        let (search, wanted) = Search::dead_letters(&self.query)?;
        if !wanted.has_deliveries() {
            let found = self.letters(Holder::of(project), &search, &wanted).await?;
            return Ok(page_of_letters(&search, found, None));
        }
        let statements = |look: &Search, end: Option<&str>| {
            let mut both = vec![sql::search(look, &project.uid, end, &[])];
            if wanted.has_others() {
                both.push(sql::dead_letters(look, &project.uid, &wanted, end));
            }
            both
        };
        let read = |_: &Search, results: &[D1Result]| {
            let deliveries: Vec<Delivery> = results.first().map_or(Ok(Vec::new()), rows)?;
            let others: Vec<Stored> = results.get(1).map_or(Ok(Vec::new()), rows)?;
            let deliveries = deliveries.iter().map(|one| (one.id.clone(), present_delivery(one)));
            Ok(deliveries.chain(others.iter().map(shown_letter)).collect())
        };
        let (found, end) = self.look_for(project, &search, (statements, read)).await?;
        Ok(page_of_letters(&search, found, end.as_deref()))
    }

    pub(super) async fn get_dead_letter(
        &self,
        project: &Project,
        id: &str,
    ) -> Result<Reply, Refusal> {
        let data = if let Some(letter) = self.dead_letter(Holder::of(project), id).await? {
            letter.present_whole(&self.dead_payload(&letter).await?)
        } else {
            let delivery = self.failed_delivery(project, id).await?;
            let events = self.bindings.events(project.shard)?;
            let statement = sql::event(&project.uid, &delivery.event_id);
            let event: Option<StoredEvent> = events.row(&statement).await?;
            let event = match event {
                None => "null".to_owned(),
                Some(event) => {
                    let found =
                        bodies::body_of(&event, now_ms() + BODY_WAIT_MS, self.bindings).await?;
                    let body = found.as_ref().map_or(&b""[..], |(body, _)| body);
                    event.present(body, None)
                }
            };
            json::with_raw(&present_delivery(&delivery), &[("event", &event)])
        };
        Ok(json_data("Dead letter fetched successfully", &data))
    }

    /// Tries a dead letter again, through the door that it came to. Once it is through, it is no dead letter any more.
    pub(super) async fn replay_dead_letter(&self, project: &Project, id: &str) -> Answered {
        let done = |event_id: &str, is_duplicate: bool| {
            let data = json!({"event_id": event_id, "is_duplicate_event": is_duplicate});
            Ok(Answer::ok(200, "Dead letter replayed successfully", data))
        };
        let Some(letter) = self.dead_letter(Holder::of(project), id).await? else {
            let delivery = self.failed_delivery(project, id).await?;
            self.try_again(project, id).await?;
            return done(&delivery.event_id, false);
        };
        let payload = self.dead_payload(&letter).await?;
        if letter.kind != BROKER {
            let envelope = Envelope::decode(&payload).map_err(|error| {
                ApiError::new(422, format!("this event cannot be read: {error}"))
            })?;
            let event_id = envelope.meta.event_id.clone();
            let durable =
                make_all_durable(vec![envelope], Order::Free, self.bindings, self.context).await;
            if let Some(Err(rejection)) = durable.into_iter().next() {
                return Err(ApiError::new(503, rejection.to_string()).into());
            }
            self.forget_letter(Holder::of(project), &letter).await?;
            return done(&event_id, false);
        }
        if letter.is_cut() {
            let text =
                "only a part of this message was kept, so it cannot be replayed: publish it again";
            return Err(ApiError::new(422, text).into());
        }
        let source: Source = self
            .doc(
                &sql::source(&project.uid, &letter.source_id),
                "the source of this dead letter is gone",
            )
            .await?;
        let messages = [letter.message(&payload)];
        let verdicts = self.take_messages(project, &source, &messages, false).await?;
        match verdicts.into_iter().next() {
            Some(Verdict::Accepted { event_id }) => {
                self.forget_letter(Holder::of(project), &letter).await?;
                done(&event_id, false)
            }
            Some(Verdict::Duplicate { event_id }) => {
                self.forget_letter(Holder::of(project), &letter).await?;
                done(&event_id, true)
            }
            Some(Verdict::DeadLetter { reason, .. }) => {
                let statement = sql::blame_dead_letter(&project.uid, &letter.id, &reason);
                self.bindings.events(project.shard)?.run(&statement).await?;
                Err(ApiError::new(422, reason).into())
            }
            Some(Verdict::Retry { reason, .. }) => Err(ApiError::new(503, reason).into()),
            None => Err(ApiError::new(500, "nothing became of the message").into()),
        }
    }

    /// The row goes first: what is left in R2 harms nobody, and what a row names has to be there.
    async fn forget_letter(&self, of: Holder<'_>, letter: &Stored) -> Result<(), Refusal> {
        let statement = sql::delete_dead_letter(of.project_id, &letter.id);
        self.bindings.events(of.shard)?.run(&statement).await?;
        if let Some(key) = &letter.body_key {
            self.bindings.bodies()?.delete(key).await?;
        }
        Ok(())
    }

    pub(super) async fn delete_dead_letter(&self, project: &Project, id: &str) -> Answered {
        if let Some(letter) = self.dead_letter(Holder::of(project), id).await? {
            self.forget_letter(Holder::of(project), &letter).await?;
            let envelope = (letter.kind == EVENT).then(|| Envelope::decode(&letter.inline()).ok());
            if let Some(Envelope { meta, body: Body::Stored { key, .. } }) = envelope.flatten() {
                // An event that was never stored leaves its body behind. A copy of it may be there, or on its way.
                match self.find_event(project, &meta.event_id, false).await {
                    Err(Refusal::Api(error)) if error.status == 404 => {
                        self.bindings.bodies()?.delete(key).await?;
                    }
                    found => drop(found?),
                }
            }
        } else {
            let statement = sql::discard_delivery(&project.uid, id, now_ms());
            if !self.bindings.events(project.shard)?.has(&statement).await? {
                return Err(ApiError::not_found(MISSING).into());
            }
        }
        Ok(Answer::ok(200, "Dead letter deleted successfully", Value::Null))
    }
}
