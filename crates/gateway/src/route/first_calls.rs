//! First calls by whoever routes: deliveries that are few are leased where they are made, and called without a bell. So an event
//! that comes alone writes a row less, and arrives without the way through another queue.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::json;

use super::{Part, Waiting};
use crate::deliver::{Delivery, LEASE_MS};
use crate::sql::{self, Journal, Param, Statement};

/// How long a router waits for the calls it makes, in milliseconds. What takes longer is rung for, and goes on beside it.
pub const FIRST_CALLS_WAIT_MS: u64 = 1_000;
/// Deliveries that whoever routes them calls for, at most: an invocation has six connections that wait for an answer, and what it stores and
/// rings needs some. <https://developers.cloudflare.com/workers/platform/limits/#simultaneous-open-connections>
const FIRST_CALLS_MAX: usize = 3;
/// Events that a router has at hand, at most, while it calls for their deliveries: more of them are a crowd, of which each
/// transaction would wait for calls.
const FIRST_CALLS_EVENTS_MAX: usize = 6;
/// How long an endpoint that took longer is called by dispatchers alone.
const SLOW_MS: u64 = 60_000;
/// Endpoints of which that is known.
const SLOW_MAX: usize = 1_000;

/// Whether so many events, all that a router has at hand, are so few that it may call for their deliveries.
pub const fn are_few(events: usize) -> bool {
    events <= FIRST_CALLS_EVENTS_MAX
}

/// The only part of a routing, with no more deliveries than one bell names.
#[derive(Debug, Default)]
pub(super) struct Few {
    /// To whom they go, pairs of project and endpoint.
    receivers: Vec<(String, String)>,
    /// Where the statement stands that inserts them.
    insert_at: usize,
    /// Where the statement stands that counts the events, if there is one.
    pub(super) count_at: Option<usize>,
}

impl Few {
    pub(super) fn new(mut receivers: Vec<(String, String)>, insert_at: usize) -> Self {
        receivers.sort_unstable();
        receivers.dedup();
        Self { receivers, insert_at, count_at: None }
    }
}

/// What a part leases, and until when, Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leased {
    pub until: u64,
    /// The place of the result with the [`Delivery`]s that were inserted. Those that are leased are `Processing`.
    pub deliveries: usize,
    /// The place of the result with their events.
    pub events: usize,
}

impl Part {
    /// To whom its deliveries go, pairs of project and endpoint, if they are so few that whoever stores them may call.
    pub fn first_receivers(&self) -> &[(String, String)] {
        let few = self.few.as_ref().filter(|_| self.deliveries.len() <= FIRST_CALLS_MAX);
        few.map_or(&[], |few| &few.receivers)
    }

    /// Leases those for `endpoints` where they are inserted, if there are any.
    pub fn lease(&mut self, endpoints: &[&str], now_ms: u64) -> Option<Leased> {
        if endpoints.is_empty() {
            return None;
        }
        let at = self.few.as_ref()?.insert_at;
        let insert = self.statements.get_mut(at)?;
        let until = now_ms + LEASE_MS;
        *insert = sql::insert_leased(rows_of(insert)?, endpoints, until);
        self.statements.insert(at + 1, sql::events_of(json!(self.deliveries), until));
        Some(Leased { until, deliveries: at, events: at + 1 })
    }

    /// Moves the mark of a journal in the same transaction, if it is a small one: up to this row, of this epoch. `is_watched`:
    /// somebody else knows of the deliveries should whoever runs it die. Says whether it does.
    pub fn move_mark(&mut self, journal: Journal, mark: (u64, u64), is_watched: bool) -> bool {
        let Some(few) = &mut self.few else { return false };
        let watched = if is_watched { json!([]) } else { json!(self.deliveries) };
        let counted = few.count_at.and_then(|at| self.statements.get_mut(at));
        let Some(count) = counted else {
            few.insert_at += 1;
            self.statements.insert(0, journal.done_inside(mark, "[]", watched));
            return true;
        };
        let Some(rows) = rows_of(count) else { return false };
        *count = journal.done_inside(mark, rows, watched);
        true
    }
}

/// The rows that a statement is about.
fn rows_of(statement: &mut Statement) -> Option<Param> {
    statement.params.first_mut().map(|rows| std::mem::replace(rows, Param::Null))
}

/// A delivery that was made, and has not been called: a row of [`crate::sql::unfinished`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Unfinished {
    project_id: String,
    id: String,
    endpoint_id: String,
    lease_until: Option<u64>,
}

/// Parts what is unfinished into what has to be rung for now, and what somebody holds who has rung for it, or may have died before:
/// it has to be rung for when the lease is over. `own` is neither.
pub fn parted(
    unfinished: Vec<Unfinished>,
    own: &[Delivery],
    now_ms: u64,
) -> (Vec<Waiting>, Vec<Waiting>) {
    let (mut waiting, mut held) = (Vec::new(), Vec::new());
    for one in unfinished {
        if own.iter().any(|own| own.project_id == one.project_id && own.id == one.id) {
            continue;
        }
        let is_held = one.lease_until.is_some_and(|until| now_ms <= until);
        let which = if is_held { &mut held } else { &mut waiting };
        let Unfinished { project_id, id, endpoint_id, .. } = one;
        which.push(Waiting { project_id, id, endpoint_id });
    }
    (waiting, held)
}

/// Endpoints that took long: nobody who routes waits for them.
#[derive(Debug, Default)]
pub struct Slow(VecDeque<(String, u64)>);

impl Slow {
    pub const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Notes that the endpoint took long just now: it is slow for a minute from then on.
    pub fn note(&mut self, endpoint_id: &str, now_ms: u64) {
        self.0.retain(|(id, until)| now_ms < *until && id != endpoint_id);
        if SLOW_MAX <= self.0.len() {
            self.0.pop_front();
        }
        self.0.push_back((endpoint_id.to_owned(), now_ms + SLOW_MS));
    }

    /// Whether the endpoint took long within the last minute.
    pub fn is_slow(&self, endpoint_id: &str, now_ms: u64) -> bool {
        self.0.iter().any(|(id, until)| id == endpoint_id && now_ms < *until)
    }
}
