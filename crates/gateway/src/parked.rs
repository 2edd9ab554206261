//! Events that lack something to be routed: when each is tried again, and when it is given up.

use std::fmt;

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
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the event's body is gone from the store"),
            Self::Unavailable(why) => f.write_str(why),
        }
    }
}

/// How often an event was tried in vain, and since when.
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
    /// It is tried again at `due_at`.
    Park { waited: Waited, due_at: u64 },
    /// It is buried, with this reason.
    GiveUp(String),
}

/// `pause_ms`: how long the second try is waited for; each pause is twice the one before it.
pub fn then(lack: &Lack, waited: Waited, now_ms: u64, pause_ms: u64) -> Then {
    let tries = waited.tries.saturating_add(1);
    let gone = waited.gone.saturating_add(u32::from(*lack == Lack::Gone));
    match lack {
        Lack::Gone if GONE_TRIES <= gone => {
            return Then::GiveUp(format!("{lack}: it was looked for {gone} times"));
        }
        Lack::Unavailable(why) if WAIT_MAX_MS <= now_ms.saturating_sub(waited.since) => {
            return Then::GiveUp(format!(
                "what the event needs could not be had for four days: {why}"
            ));
        }
        Lack::Gone | Lack::Unavailable(_) => {}
    }
    let pause = pause_ms.saturating_mul(1 << waited.tries.min(20)).min(PAUSE_MAX_MS);
    Then::Park { waited: Waited { tries, gone, ..waited }, due_at: now_ms.saturating_add(pause) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parked(tries: u32, gone: u32, due_at: u64) -> Then {
        Then::Park { waited: Waited { tries, gone, since: 1_000 }, due_at }
    }

    #[test]
    fn a_body_that_is_gone_is_looked_for_some_times_and_given_up() {
        let mut waited = Waited::not_yet(1_000);
        for (tries, pause) in [(1, 30_000), (2, 60_000), (3, 120_000)] {
            let next = then(&Lack::Gone, waited, 5_000, 30_000);
            assert_eq!(next, parked(tries, tries, 5_000 + pause));
            waited = Waited { tries, gone: tries, ..waited };
        }
        let Then::GiveUp(why) = then(&Lack::Gone, waited, 5_000, 30_000) else { panic!("parked") };
        assert_eq!(why, "the event's body is gone from the store: it was looked for 4 times");
    }

    #[test]
    fn tries_made_during_an_outage_do_not_count_against_a_body() {
        let mut waited = Waited::not_yet(1_000);
        let mut meet = |lack: &Lack| match then(lack, waited, 5_000, 30_000) {
            Then::Park { waited: next, .. } => {
                waited = next;
                true
            }
            Then::GiveUp(_) => false,
        };
        let outage = Lack::Unavailable("no R2".into());
        assert!((0..50).all(|_| meet(&outage)));
        assert!(meet(&Lack::Gone) && meet(&outage) && meet(&Lack::Gone) && meet(&Lack::Gone));
        assert!(!meet(&Lack::Gone), "the fourth time that the store said so");
    }

    #[test]
    fn an_outage_is_waited_for_however_often_it_is_met_but_not_for_ever() {
        let lack = Lack::Unavailable("no R2".into());
        let waited = |tries| Waited { tries, gone: 0, since: 1_000 };
        assert_eq!(then(&lack, waited(90), 5_000, 30_000), parked(91, 0, 605_000));
        assert_eq!(then(&lack, waited(u32::MAX), 5_000, u64::MAX), parked(u32::MAX, 0, 605_000));
        let late = 1_000 + WAIT_MAX_MS;
        assert!(matches!(then(&lack, waited(3), late - 1, 30_000), Then::Park { .. }));
        let Then::GiveUp(why) = then(&lack, waited(3), late, 30_000) else { panic!("parked") };
        assert_eq!(why, "what the event needs could not be had for four days: no R2");
        assert!(matches!(then(&Lack::Gone, waited(1), late, 30_000), Then::Park { .. }));
    }
}
