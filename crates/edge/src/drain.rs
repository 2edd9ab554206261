//! The journals of a shard, and how far they are routed.

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

/// Drains that one bell makes at most, where functions do not take all the time before; then it rings again, so that no invocation runs for ever.
const DRAINS_MAX: usize = 5;

#[derive(Deserialize)]
struct Row {
    seq: u64,
    meta: String,
    body: String,
    is_base64: u8,
    epoch: u64,
    has_counts: u8,
    is_watchful: u8,
}

/// Routes what waits in the journals of a shard.
pub(crate) async fn drain(shard: u32, bindings: &Bindings) -> Result<()> {
    let events = bindings.events(shard)?;
    for _ in 0..DRAINS_MAX {
        if bindings.burnt.is_all() {
            break;
        }
        let mut is_empty = true;
        for journal in Journal::both(chance::now_ms()) {
            let rows: Vec<Row> = events.rows(&journal.waiting()).await?;
            let Some(last) = rows.last() else { continue };
            is_empty = false;
            let (epoch, has_room) = (last.epoch, last.is_watchful == 0);
            if last.has_counts != 0 {
                events.batch(&Journal::flush_counts()).await?;
            }
            if !has_room {
                events.run(&journal.forget_finished()).await?;
            }
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
            let mut new = Turns::default();
            let mut mark = Mark { events: &events, journal, epoch, marks, has_room };
            let done =
                router::store_all(shard, &envelopes, &mut new, Some(&mut mark), bindings).await;
            if done.contains(&false) {
                return Err(worker::Error::RustError(
                    "not all of the journal could be stored".into(),
                ));
            }
            mark.move_behind(envelopes.len()).await?;
        }
        if is_empty {
            return Ok(());
        }
    }
    bell::send_drain(shard, bindings).await
}

/// The mark of the journal that is drained.
pub(crate) struct Mark<'s> {
    events: &'s Store,
    journal: Journal,
    epoch: u64,
    marks: Marks,
    /// Whether its row can watch over more deliveries.
    has_room: bool,
}

impl Mark<'_> {
    /// Moves on behind what is settled. Only now: whoever dies before this reads the same rows again, and changes nothing by it.
    async fn move_behind(&mut self, settled: usize) -> Result<()> {
        let Some(seq) = self.marks.behind(settled) else { return Ok(()) };
        self.events.run(&self.journal.done(seq, self.epoch)).await?;
        self.marks.moved(seq);
        Ok(())
    }

    /// The same before the end, so that whoever comes after it does not begin anew.
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
