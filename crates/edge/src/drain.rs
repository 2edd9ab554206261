//! The journals of a shard, and how far they are routed.

use std::cell::OnceCell;

use inlet_gateway::draining::{self, LEASE_MS, Turn, turn};
use inlet_gateway::route::Part;
use inlet_gateway::sql::Journal;
use inlet_gateway::storing::Marks;
use inlet_gateway::turns::Turns;
use inlet_gateway::wire::{Envelope, Text};
use serde::Deserialize;
use serde_json::json;
use worker::Result;

use crate::bindings::Bindings;
use crate::store::Store;
use crate::{bell, chance, log, router};

/// Drains that one bell makes before it rings again, so that no invocation runs for ever. Functions that use up the fuel end it
/// earlier.
const DRAINS_MAX: usize = 5;

#[derive(Deserialize)]
struct Row {
    seq: u64,
    meta: String,
    body: String,
    is_base64: u8,
    epoch: u64,
    /// When the lease of the journal ends, or has ended.
    draining_until: u64,
    has_counts: u8,
    is_watchful: u8,
}

/// What came of a look at one journal.
enum Page {
    Empty,
    Routed,
    /// Another drain has it, until then.
    Leased(u64),
}

/// Routes what waits in the journals of a shard. Says until when a journal is another drain's, if one is: that drain sees to what
/// waits in it now, unless it dies.
pub(crate) async fn drain(shard: u32, bindings: &Bindings) -> Result<Option<u64>> {
    let events = bindings.events(shard)?;
    for _ in bindings.rounds(DRAINS_MAX) {
        if bindings.burnt.is_all() {
            break;
        }
        let (mut is_empty, mut leased) = (true, None);
        for journal in Journal::both(chance::now_ms()) {
            match drain_page(shard, journal, &events, bindings).await? {
                Page::Empty => {}
                Page::Routed => is_empty = false,
                Page::Leased(until) => leased = leased.max(Some(until)),
            }
        }
        // Whoever has routed something looks once more: who came meanwhile has left it to them.
        if is_empty {
            return Ok(leased);
        }
    }
    bell::send_drain(shard, bindings).await?;
    Ok(None)
}

/// Routes a page of a journal.
async fn drain_page(
    shard: u32,
    journal: Journal,
    events: &Store,
    bindings: &Bindings,
) -> Result<Page> {
    let over = over(bindings);
    let rows: Vec<Row> = events.rows(&journal.waiting()).await?;
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(Page::Empty) };
    let (from, epoch, until) = (first.seq, last.epoch, last.draining_until);
    if turn(0, until, over) == Turn::Leave {
        return Ok(Page::Leased(until));
    }
    let (has_counts, has_room) = (last.has_counts != 0, last.is_watchful == 0);
    let mut marks = Marks::default();
    let mut envelopes = Vec::with_capacity(rows.len());
    for row in rows {
        let text = Text { text: row.body.into(), is_base64: row.is_base64 != 0 };
        for (nth, one) in Envelope::each_of_row(&row.meta, &text).into_iter().enumerate() {
            match one {
                Ok(envelope) => envelopes.push(envelope),
                Err((error, stands)) => {
                    let at = journal.place(shard, epoch, row.seq, nth);
                    let at = ("journal", &*at);
                    router::bury(at, &error.to_string(), &stands, bindings).await?;
                }
            }
        }
        marks.push(envelopes.len(), row.seq);
    }
    let mut mark = Mark { events, journal, epoch, marks, has_room, leased: Vec::new() };
    if turn(envelopes.len(), until, over) == Turn::Lease && !mark.lease(from, over).await? {
        return Ok(Page::Leased(chance::now_ms() + LEASE_MS));
    }
    let routed = async {
        if has_counts {
            events.batch(&Journal::flush_counts()).await?;
        }
        if !has_room {
            events.run(&journal.forget_finished()).await?;
        }
        let mut new = Turns::default();
        let done = router::store_all(shard, &envelopes, &mut new, Some(&mut mark), bindings).await;
        if done.contains(&false) {
            return Err(worker::Error::RustError("not all of the journal could be stored".into()));
        }
        mark.move_behind(envelopes.len()).await
    };
    let routed = routed.await;
    if routed.is_err() {
        mark.give_back().await;
    }
    routed.map(|()| Page::Routed)
}

/// Up to when leases have ended. With local queues there is no other isolate.
fn over(bindings: &Bindings) -> u64 {
    thread_local! {
        static BEGUN: OnceCell<u64> = const { OnceCell::new() };
    }
    let now = chance::now_ms();
    let begun = BEGUN.with(|begun| *begun.get_or_init(|| now));
    draining::over(now, bindings.settings.local_queue.then_some(begun))
}

/// The mark of the journal that is drained.
pub(crate) struct Mark<'s> {
    events: &'s Store,
    journal: Journal,
    epoch: u64,
    marks: Marks,
    /// Whether its row can watch over more deliveries.
    has_room: bool,
    /// When the lease of the journal ends; none without one. There are several where the database did not say what it took: one of
    /// them.
    leased: Vec<u64>,
}

impl Mark<'_> {
    /// Takes the lease of the journal from this row on, if nobody has it and nobody has routed that row meanwhile.
    async fn lease(&mut self, from: u64, over: u64) -> Result<bool> {
        let until = chance::now_ms() + LEASE_MS;
        self.leased.push(until);
        let has = self.events.has(&self.journal.lease((from, self.epoch), until, over)).await;
        if has.is_err() {
            self.give_back().await;
        }
        has
    }

    /// Gives the lease back where the mark did not come to its end. Should that fail, it ends by itself.
    async fn give_back(&mut self) {
        if self.leased.is_empty() {
            return;
        }
        let held = std::mem::take(&mut self.leased);
        if let Err(error) = self.events.run(&self.journal.give_back(&held)).await {
            log::error("lease_not_given_back", json!({"error": error.to_string()}));
        }
    }

    /// Moves on behind what is settled. Only now: whoever dies before this reads the same rows again, and changes nothing by it.
    /// A lease lasts longer by it, and ends behind the last row.
    async fn move_behind(&mut self, settled: usize) -> Result<()> {
        let Some(seq) = self.marks.behind(settled) else { return Ok(()) };
        if self.leased.is_empty() {
            self.events.run(&self.journal.done(seq, self.epoch)).await?;
        } else {
            let next = (!self.marks.end_with(seq)).then(|| chance::now_ms() + LEASE_MS);
            let lease = (&*self.leased, next.unwrap_or_default());
            let statement = self.journal.done_leased((seq, self.epoch), lease);
            // It may be so even if no answer comes.
            self.leased.extend(next);
            self.events.run(&statement).await?;
            self.leased = next.into_iter().collect();
        }
        self.marks.moved(seq);
        Ok(())
    }

    /// Moves on behind what is settled before the end is reached, so that whoever comes after it does not begin anew. Should that
    /// fail, the log says so.
    pub(crate) async fn advance(&mut self, settled: usize) {
        if let Err(error) = self.move_behind(settled).await {
            // It moves with the next, or the same rows are read again.
            log::error("mark_not_moved", json!({"error": error.to_string()}));
        }
    }

    /// Has the transaction of a part move it that settles so many. Says where it is then.
    pub(crate) fn move_with(
        &self,
        part: &mut Part,
        settled: usize,
        bindings: &Bindings,
    ) -> Option<u64> {
        let seq = self.marks.behind(settled).filter(|_| self.has_room)?;
        let is_watched = bindings.settings.local_queue;
        part.move_mark(self.journal, (seq, self.epoch), is_watched).then_some(seq)
    }

    /// Notes that it has.
    pub(crate) fn moved(&mut self, seq: u64) {
        self.marks.moved(seq);
    }
}
