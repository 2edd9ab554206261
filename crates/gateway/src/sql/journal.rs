//! The two journals that take turns.

use serde_json::{Value, json};

use super::hold::is_unwatched;
use super::sources::{NOTED_COUNTS, add_to_counts, counted};
use super::{Param, Statement, statement};
use crate::deliver::LEASE_MS;

/// Milliseconds that one journal is written for before the other takes its turn.
const JOURNAL_TURN_MS: u64 = 3_600_000;
/// How long after its turn, and before its next, a journal is left alone, for clocks that differ and routers that are late.
const JOURNAL_REST_MS: u64 = 600_000;
/// Rows that one drain takes.
pub const DRAIN_ROWS: u64 = 200;
/// Rows of each journal, the newest of those that wait, that are looked at for one event.
const SEEK_ROWS: u64 = 10_000;
/// Bytes of bodies that one transaction carries, give or take one body.
pub const TRANSACTION_BYTES: u64 = 4_000_000;

/// Sources, and deliveries, that the row of a journal's mark holds at most: it is written whole.
const STATE_ENTRIES: u64 = 50;

/// One of the two journals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Journal(u8);

impl Journal {
    /// The journal that is written at `now_ms`.
    pub fn at(now_ms: u64) -> Self {
        Self(u8::from((now_ms / JOURNAL_TURN_MS) % 2 == 1))
    }

    /// Both journals, the one that is not written at `now_ms` first: its rows are older.
    pub fn both(now_ms: u64) -> [Self; 2] {
        let Self(current) = Self::at(now_ms);
        [Self(1 - current), Self(current)]
    }

    /// The journal that may be emptied at `now_ms`, if it holds nothing that waits.
    pub fn idle(now_ms: u64) -> Option<Self> {
        let [idle, _] = Self::both(now_ms);
        let rested = JOURNAL_REST_MS..JOURNAL_TURN_MS - JOURNAL_REST_MS;
        rested.contains(&(now_ms % JOURNAL_TURN_MS)).then_some(idle)
    }

    /// What tells the `nth` envelope of a row from all others, of any journal at any time.
    pub fn place(self, shard: u32, epoch: u64, seq: u64, nth: usize) -> String {
        format!("{shard}/{}/{epoch}/{seq}/{nth}", self.0)
    }

    pub(super) fn table(self) -> &'static str {
        if self.0 == 0 { "journal_0" } else { "journal_1" }
    }

    /// Appends an envelope; when this has run, the event is durable.
    pub fn append(
        self,
        meta: impl Into<Param>,
        body: impl Into<Param>,
        is_base64: bool,
    ) -> Statement {
        statement(self.append_sql(), [meta.into(), body.into(), u64::from(is_base64).into()])
    }

    /// The text of [`Journal::append`], for callers that bind its values without a copy: `meta`, `body`, `is_base64` (0 or 1).
    pub fn append_sql(self) -> &'static str {
        match self.0 {
            0 => "INSERT INTO journal_0 (meta, body, is_base64) VALUES (?1, ?2, ?3)",
            _ => "INSERT INTO journal_1 (meta, body, is_base64) VALUES (?1, ?2, ?3)",
        }
    }

    /// The oldest rows that wait, with the epoch they belong to: up to [`DRAIN_ROWS`] of them, and few when they are large. How
    /// many is found by their lengths, which are read without the texts.
    pub fn waiting(self) -> Statement {
        let (table, journal) = (self.table(), self.0);
        let rows = format!(
            "FROM journal_state AS s JOIN {table} AS j ON j.seq > s.done WHERE s.journal = {journal}"
        );
        Statement {
            sql: format!(
                "SELECT j.seq AS seq, j.meta AS meta, j.body AS body, j.is_base64 AS is_base64, s.epoch AS epoch, \
                 s.draining_until AS draining_until, json_array_length(s.counts) > {STATE_ENTRIES} AS has_counts, \
                 json_array_length(s.under_way) > {STATE_ENTRIES} AS is_watchful {rows} AND j.seq <= (\
                 SELECT max(seq) FROM (SELECT seq, sum(bytes) OVER (ORDER BY seq) - bytes AS before FROM (\
                 SELECT j.seq AS seq, octet_length(j.body) + octet_length(j.meta) AS bytes {rows} ORDER BY j.seq LIMIT {DRAIN_ROWS})) \
                 WHERE before < {TRANSACTION_BYTES}) ORDER BY j.seq"
            ),
            params: Vec::new(),
        }
    }

    /// The rows that wait, of both journals and among what is parked, in which the id of an event stands:
    /// [`crate::parked::Row`]. Where nothing waits that is a look at two marks and a key.
    pub fn holding(project_id: &str, event_id: &str) -> Statement {
        let one = |Self(journal): Self| {
            let table = Self(journal).table();
            format!(
                "SELECT * FROM (SELECT meta, body, is_base64, '' AS reason, 0 AS tries, 0 AS since, 0 AS due_at FROM (SELECT j.meta AS meta, j.body AS body, j.is_base64 AS is_base64 \
                 FROM journal_state AS s JOIN {table} AS j ON j.seq > s.done WHERE s.journal = {journal} \
                 ORDER BY j.seq DESC LIMIT {SEEK_ROWS}) WHERE instr(meta, ?1) > 0 LIMIT 2)"
            )
        };
        let parked = "SELECT meta, body, is_base64, reason, tries, since, due_at FROM parked WHERE project_id = ?2 AND event_id = ?1";
        let sql = format!("{} UNION ALL {} UNION ALL {parked}", one(Self(0)), one(Self(1)));
        Statement { sql, params: vec![event_id.into(), project_id.into()] }
    }

    /// Marks all rows up to `seq` as routed. It is run after the transaction that routes them: whoever dies between reads the same
    /// rows again. A journal that was emptied since (another `epoch`) is left alone: its numbers mean other rows now.
    pub fn done(self, seq: u64, epoch: u64) -> Statement {
        statement(
            "UPDATE journal_state SET done = ?2 WHERE journal = ?1 AND epoch = ?3 AND done < ?2",
            [u64::from(self.0).into(), seq.into(), epoch.into()],
        )
    }

    /// Gives a drain the lease of a crowd, from the row `first` on, until `until` (Unix milliseconds), and says so by a row. No row:
    /// another drain has it, or has routed some of the crowd by now. Leases up to `over` have ended.
    pub fn lease(self, (first, epoch): (u64, u64), until: u64, over: u64) -> Statement {
        statement(
            "UPDATE journal_state SET draining_until = ?4 WHERE journal = ?1 AND epoch = ?3 AND done < ?2 AND draining_until <= ?5 \
             RETURNING done",
            [u64::from(self.0).into(), first.into(), epoch.into(), until.into(), over.into()],
        )
    }

    /// [`Journal::done`] under a lease: that which ends at one of `held` ends at `until` from now on. It may be another's by now, who
    /// was not waited for.
    pub fn done_leased(self, (seq, epoch): (u64, u64), (held, until): (&[u64], u64)) -> Statement {
        let is_held = is_held("?4");
        Statement {
            sql: format!(
                "UPDATE journal_state SET done = max(done, ?2), \
                 draining_until = CASE WHEN {is_held} THEN ?5 ELSE draining_until END \
                 WHERE journal = ?1 AND epoch = ?3 AND (done < ?2 OR {is_held})"
            ),
            params: vec![
                u64::from(self.0).into(),
                seq.into(),
                epoch.into(),
                json!(held).into(),
                until.into(),
            ],
        }
    }

    /// Gives back a lease that ends at one of `held`.
    pub fn give_back(self, held: &[u64]) -> Statement {
        let is_held = is_held("?2");
        Statement {
            sql: format!(
                "UPDATE journal_state SET draining_until = 0 WHERE journal = ?1 AND {is_held}"
            ),
            params: vec![u64::from(self.0).into(), json!(held).into()],
        }
    }

    /// Marks all rows up to `seq` as routed, as [`Self::done`], but in the transaction that routes them, and before it inserts
    /// the events. `events` are to be counted (rows of [`super::count_events`]); `deliveries` (pairs of project and delivery) are
    /// those that nobody watches if whoever runs this dies. Both are kept in the row of the mark, so that all of it is one write.
    pub fn done_inside(
        self,
        (seq, epoch): (u64, u64),
        events: impl Into<Param>,
        deliveries: Value,
    ) -> Statement {
        let (counted, under_way) = (counted("?4"), under_way());
        Statement {
            sql: format!(
                "UPDATE journal_state SET done = max(done, ?2), counts = (\
                 SELECT json_group_array(json_array(project_id, source_id, events, last_event_at)) FROM (\
                 SELECT project_id, source_id, sum(events) AS events, max(last_event_at) AS last_event_at FROM (\
                 SELECT value ->> 0 AS project_id, value ->> 1 AS source_id, value ->> 2 AS events, value ->> 3 AS last_event_at \
                 FROM json_each(counts) UNION ALL {counted}) GROUP BY project_id, source_id)), \
                 under_way = (SELECT json_group_array(json_array(project_id, id)) FROM (\
                 {under_way} UNION SELECT value ->> 0, value ->> 1 FROM json_each(?5))) WHERE journal = ?1 AND epoch = ?3"
            ),
            params: vec![
                u64::from(self.0).into(),
                seq.into(),
                epoch.into(),
                events.into(),
                deliveries.into(),
            ],
        }
    }

    /// Forgets deliveries that are finished, or watched, where the row of the mark names many.
    pub fn forget_finished(self) -> Statement {
        let under_way = under_way();
        let sql = format!(
            "UPDATE journal_state SET under_way = (SELECT json_group_array(json_array(project_id, id)) \
             FROM ({under_way})) WHERE journal = ?1 AND json_array_length(under_way) > {STATE_ENTRIES}"
        );
        Statement { sql, params: vec![u64::from(self.0).into()] }
    }

    /// Puts those deliveries under the eye of the sweep that are named in the rows of the marks and have been forgotten.
    pub fn watch_under_way(now_ms: u64) -> Statement {
        let is_unwatched = is_unwatched("deliveries");
        Statement {
            sql: format!(
                "UPDATE deliveries SET look_at = ?1 WHERE (project_id, id) IN (\
                 SELECT j.value ->> 0, j.value ->> 1 FROM journal_state AS s, json_each(s.under_way) AS j) \
                 AND {is_unwatched} AND coalesce(lease_until, updated_at + {LEASE_MS}) < ?1"
            ),
            params: vec![now_ms.into()],
        }
    }

    /// Takes the counts out of the rows of the marks.
    pub fn flush_counts() -> Vec<Statement> {
        let noted = format!(
            "SELECT project_id, source_id, sum(events), max(last_event_at) FROM ({NOTED_COUNTS}) WHERE true GROUP BY 1, 2"
        );
        vec![
            Statement { sql: add_to_counts(&noted), params: Vec::new() },
            statement("UPDATE journal_state SET counts = '[]' WHERE counts <> '[]'", []),
        ]
    }

    /// Whether there are rows, all of them routed: `1` in `emptiable`.
    pub fn emptiable(self) -> Statement {
        let (table, journal) = (self.table(), self.0);
        Statement {
            sql: format!(
                "SELECT coalesce((SELECT max(seq) FROM {table}) <= done, 0) AS emptiable FROM journal_state WHERE journal = {journal}"
            ),
            params: Vec::new(),
        }
    }

    /// Empties a journal for which [`Journal::emptiable`] said so. One that holds by now a row that waits is left as it is: the
    /// transaction fails, because a mark cannot be null. Only a whole table goes without a row written for each of its rows.
    pub fn empty(self) -> Vec<Statement> {
        let (table, journal) = (self.table(), self.0);
        let sql = |sql: String| Statement { sql, params: Vec::new() };
        vec![
            sql(format!(
                "UPDATE journal_state SET done = CASE WHEN (SELECT max(seq) FROM {table}) <= done THEN 0 END, epoch = epoch + 1 \
                 WHERE journal = {journal}"
            )),
            sql(format!("DELETE FROM {table}")),
        ]
    }
}

/// Whether the lease of a journal ends at one of the times in the list `held`.
fn is_held(held: &str) -> String {
    format!("draining_until IN (SELECT value FROM json_each({held}))")
}

/// What is still under way of what the row of a mark names: pairs of project and delivery.
fn under_way() -> String {
    let is_unwatched = is_unwatched("d");
    format!(
        "SELECT d.project_id, d.id FROM json_each(under_way) AS j JOIN deliveries AS d \
         ON d.project_id = j.value ->> 0 AND d.id = j.value ->> 1 WHERE {is_unwatched}"
    )
}
