//! Events that lack something to be routed: when each is tried again, and when it is given up.

use std::fmt;

use serde::Deserialize;

use crate::deliver::Undeliverable;
use crate::event::{CUT, StoredEvent};
use crate::pending::find;
use crate::search::Search;
use crate::time::rfc3339;
use crate::wire::Text;

/// How often the object store has to say that a body is not there. What was tried while it did not answer is not counted.
const GONE_TRIES: u32 = 4;
/// For how long what cannot be had is waited for: as long as queues keep what they hold, and a day less than the tombstone of a
/// deleted project stays.
const WAIT_MAX_MS: u64 = 4 * 86_400_000;
/// The longest pause between two tries.
const PAUSE_MAX_MS: u64 = 600_000;

/// What an event lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// The object store says that it has no such body.
    Gone,
    /// Something cannot be had right now, for this reason.
    Unavailable(String),
    /// A function that rests was stopped on it: it needs more than it may have for now.
    Stopped(String),
    /// A function that rests was not run on it, and may be in so many seconds.
    Turn(String, u64),
    /// Functions have taken all that one invocation has for them.
    Spent,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => Undeliverable::BodyGone.fmt(f),
            Self::Spent => {
                f.write_str("functions have taken all the time that they have at once: try again")
            }
            Self::Unavailable(why) | Self::Stopped(why) | Self::Turn(why, _) => f.write_str(why),
        }
    }
}

/// How often an event was tried in vain, and since when, Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waited {
    pub tries: u32,
    /// Those of them where the store said that the body is not there.
    pub gone: u32,
    pub since: u64,
}

impl Waited {
    /// Of an event that is tried for the first time.
    pub fn not_yet(now_ms: u64) -> Self {
        Self { tries: 0, gone: 0, since: now_ms }
    }
}

/// What becomes of an event that lacks something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// It was not its turn: it is left as it was parked.
    Stay,
    /// It is tried again at `due_at`.
    Park { waited: Waited, due_at: u64 },
    /// It is buried, with this reason.
    GiveUp(String),
}

/// `waited` is that of an event that is parked already. `pause_ms`: how long the second try is waited for; each pause is twice
/// the one before it. What was not its turn was no try, and it is due when its turn may come.
pub fn then(lack: &Lack, waited: Option<Waited>, now_ms: u64, pause_ms: u64) -> Then {
    let is_parked = waited.is_some();
    let waited = waited.unwrap_or(Waited::not_yet(now_ms));
    let gone = waited.gone.saturating_add(u32::from(*lack == Lack::Gone));
    match lack {
        Lack::Spent if is_parked => return Then::Stay,
        // What waits behind it in its journal does not wait for functions.
        Lack::Spent => return Then::Park { waited, due_at: now_ms },
        Lack::Gone if GONE_TRIES <= gone => {
            return Then::GiveUp(format!("{lack}: it was looked for {gone} times"));
        }
        Lack::Gone => {}
        _ if WAIT_MAX_MS <= now_ms.saturating_sub(waited.since) => {
            return Then::GiveUp(format!(
                "what the event needs could not be had for four days: {lack}"
            ));
        }
        Lack::Turn(..) if is_parked => return Then::Stay,
        Lack::Turn(_, seconds) => {
            let due_at = now_ms.saturating_add(seconds.saturating_mul(1_000));
            return Then::Park { waited, due_at };
        }
        Lack::Unavailable(_) | Lack::Stopped(_) => {}
    }
    let tries = waited.tries.saturating_add(1);
    let pause = pause_ms.saturating_mul(1 << waited.tries.min(20)).min(PAUSE_MAX_MS);
    Then::Park { waited: Waited { tries, gone, ..waited }, due_at: now_ms.saturating_add(pause) }
}

/// An event that is not routed yet: a row of a journal or, with a number of tries, of those that are parked.
#[derive(Debug, Clone, Deserialize)]
pub struct Row {
    meta: String,
    body: String,
    is_base64: u8,
    reason: String,
    tries: u32,
    since: u64,
    due_at: u64,
    /// Which one, where a list was asked for.
    #[serde(default)]
    event_id: String,
    /// Whether a list has left its payload out.
    #[serde(default)]
    is_cut: u8,
}

impl Row {
    /// The event in it, as it is shown until it is routed: with why it is parked, and when it is tried again.
    pub fn event(&self, project_id: &str, id: &str) -> Option<StoredEvent> {
        let text = Text { text: self.body.as_str().into(), is_base64: self.is_base64 != 0 };
        let mut event = StoredEvent::pending(find([(&*self.meta, text)], project_id, id)?);
        // A row of a journal has neither.
        if 0 < self.tries || !self.reason.is_empty() {
            let reason = if self.reason.is_empty() { "it cannot be routed" } else { &self.reason };
            let (since, again) = (rfc3339(self.since), rfc3339(self.due_at));
            let tried = match self.tries {
                0 => format!("not tried yet, and due at {again}"),
                tries => format!("tried {tries} times, and again at {again}"),
            };
            event.failure_reason = format!("waits to be routed since {since}: {reason}; {tried}");
        }
        if self.is_cut != 0 {
            event.body_key = Some(CUT.to_owned());
        }
        Some(event)
    }
}

/// A list's rows of the store and of what is parked, in the order of the list, each event once: one that is just being routed
/// may be in both.
pub fn together(
    mut stored: Vec<StoredEvent>,
    waiting: &[Row],
    search: &Search,
    project_id: &str,
) -> Vec<StoredEvent> {
    let waiting = waiting.iter().filter_map(|row| row.event(project_id, &row.event_id));
    let new: Vec<StoredEvent> =
        waiting.filter(|event| stored.iter().all(|have| have.id != event.id)).collect();
    if !new.is_empty() {
        stored.extend(new);
        stored.sort_by(|a, b| if search.goes_down() { b.id.cmp(&a.id) } else { a.id.cmp(&b.id) });
        stored.truncate(search.page.limit());
    }
    stored
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::stored;
    use crate::wire::tests::envelope;
    use crate::wire::{Body, Envelope};

    fn row(sent: &Envelope, tries: u32) -> Row {
        let (meta, text) = sent.to_row();
        Row {
            meta,
            body: text.text.into_owned(),
            is_base64: u8::from(text.is_base64),
            reason: "no R2".into(),
            tries,
            since: 0,
            due_at: 60_000,
            event_id: sent.meta.event_id.clone(),
            is_cut: 0,
        }
    }

    #[test]
    fn what_is_parked_says_why_it_waits_and_until_when() {
        let sent = envelope(Body::Inline(b"{}".to_vec()));
        let (project, id) = (sent.meta.project_id.as_str(), sent.meta.event_id.as_str());
        let shown = row(&sent, 3).event(project, id).unwrap();
        assert_eq!((shown.status.as_str(), shown.inline_body()), ("Pending", Ok(b"{}".to_vec())));
        assert_eq!(
            shown.failure_reason,
            "waits to be routed since 1970-01-01T00:00:00.000Z: no R2; tried 3 times, and again at 1970-01-01T00:01:00.000Z"
        );
        let not_tried = row(&sent, 0).event(project, id).unwrap().failure_reason;
        assert!(not_tried.ends_with("no R2; not tried yet, and due at 1970-01-01T00:01:00.000Z"));
        let in_a_journal = Row { reason: String::new(), ..row(&sent, 0) };
        assert_eq!(in_a_journal.event(project, id).unwrap().failure_reason, "");
        assert!(row(&sent, 3).event("another", id).is_none());
        let cut = Row { is_cut: 1, body: String::new(), ..row(&sent, 1) };
        assert!(cut.event(project, id).unwrap().is_cut());
    }

    #[test]
    fn a_list_has_each_event_once_in_its_order() {
        let of = |id: &str| StoredEvent { id: id.into(), ..stored(None) };
        let waits = |id: &str| {
            let mut sent = envelope(Body::Inline(Vec::new()));
            sent.meta.event_id = id.into();
            row(&sent, 1)
        };
        let project = envelope(Body::Inline(Vec::new())).meta.project_id;
        for (query, stored, expect) in [
            ("perPage=3", vec![of("5"), of("3"), of("1")], ["5", "4", "3", "2"].as_slice()),
            ("perPage=9&sort=asc", vec![of("1"), of("3"), of("5")], &["1", "2", "3", "4", "5"]),
        ] {
            let search = Search::events(query).unwrap();
            let all = together(stored, &[waits("4"), waits("3"), waits("2")], &search, &project);
            let ids: Vec<(&str, &str)> =
                all.iter().map(|one| (one.id.as_str(), one.status.as_str())).collect();
            let is_pending = |id: &str| ["4", "2"].contains(&id);
            assert!(
                ids.iter().all(|(id, status)| is_pending(id) == (*status == "Pending")),
                "{ids:?}"
            );
            assert_eq!(ids.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), expect);
        }
    }

    fn parked(tries: u32, gone: u32, due_at: u64) -> Then {
        Then::Park { waited: Waited { tries, gone, since: 1_000 }, due_at }
    }

    #[test]
    fn a_body_that_is_gone_is_looked_for_some_times_and_given_up() {
        let mut waited = Waited::not_yet(1_000);
        for (tries, pause) in [(1, 30_000), (2, 60_000), (3, 120_000)] {
            let next = then(&Lack::Gone, Some(waited), 5_000, 30_000);
            assert_eq!(next, parked(tries, tries, 5_000 + pause));
            waited = Waited { tries, gone: tries, ..waited };
        }
        let Then::GiveUp(why) = then(&Lack::Gone, Some(waited), 5_000, 30_000) else {
            panic!("parked")
        };
        assert_eq!(why, "the event's body is gone from the store: it was looked for 4 times");
    }

    #[test]
    fn tries_made_during_an_outage_do_not_count_against_a_body() {
        let mut waited = Waited::not_yet(1_000);
        let mut meet = |lack: &Lack| match then(lack, Some(waited), 5_000, 30_000) {
            Then::Park { waited: next, .. } => {
                waited = next;
                true
            }
            Then::GiveUp(_) | Then::Stay => false,
        };
        let outage = Lack::Unavailable("no R2".into());
        assert!((0..50).all(|_| meet(&outage)));
        assert!(meet(&Lack::Gone) && meet(&outage) && meet(&Lack::Gone) && meet(&Lack::Gone));
        assert!(!meet(&Lack::Gone), "the fourth time that the store said so");
    }

    #[test]
    fn an_outage_is_waited_for_however_often_it_is_met_but_not_for_ever() {
        let lack = Lack::Unavailable("no R2".into());
        let waited = |tries| Some(Waited { tries, gone: 0, since: 1_000 });
        assert_eq!(then(&lack, waited(90), 5_000, 30_000), parked(91, 0, 605_000));
        assert_eq!(then(&lack, waited(u32::MAX), 5_000, u64::MAX), parked(u32::MAX, 0, 605_000));
        let late = 1_000 + WAIT_MAX_MS;
        assert!(matches!(then(&lack, waited(3), late - 1, 30_000), Then::Park { .. }));
        let Then::GiveUp(why) = then(&lack, waited(3), late, 30_000) else { panic!("parked") };
        assert_eq!(why, "what the event needs could not be had for four days: no R2");
        assert!(matches!(then(&Lack::Gone, waited(1), late, 30_000), Then::Park { .. }));
        assert_eq!(then(&Lack::Spent, waited(3), late, 30_000), Then::Stay, "it was not tried");
        let now = Then::Park { waited: Waited::not_yet(late), due_at: late };
        assert_eq!(then(&Lack::Spent, None, late, 30_000), now);
    }
    #[test]
    fn what_was_not_its_turn_is_no_try_and_pushes_nothing_back() {
        let turn = Lack::Turn("it rests".into(), 7);
        let first = then(&turn, None, 5_000, 30_000);
        let not_yet = Waited { tries: 0, gone: 0, since: 5_000 };
        assert_eq!(first, Then::Park { waited: not_yet, due_at: 12_000 });
        let waited = Waited { tries: 3, gone: 1, since: 1_000 };
        assert_eq!(then(&turn, Some(not_yet), 50_000, 30_000), Then::Stay);
        assert_eq!(then(&turn, Some(waited), 50_000, 30_000), Then::Stay);
        let late = then(&turn, Some(waited), 1_000 + WAIT_MAX_MS, 30_000);
        assert!(matches!(late, Then::GiveUp(_)), "not for ever, all the same");
        let stopped = Lack::Stopped("it rests".into());
        let next = Waited { tries: 4, ..waited };
        let parked = Then::Park { waited: next, due_at: 290_000 };
        assert_eq!(then(&stopped, Some(waited), 50_000, 30_000), parked);
    }
}
