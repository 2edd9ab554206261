//! Whose a journal is: a crowd is drained by one at a time, so that it is not routed, and its bells are not rung, by each who was woken.

/// How long a drain that shows no sign of life keeps others away, in milliseconds: as long as a database may take for one statement, and
/// as a bell waits whose drain has failed. Whoever is slower is joined by another, which is a waste and no fault.
pub const LEASE_MS: u64 = 30_000;
/// Events from which on a lease is worth its row.
const CROWD: usize = 50;

/// What somebody who has read a page of a journal does with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Another is at it, who reads once more after letting go of it, and so sees what stands there now.
    Leave,
    /// Routes it, whoever else does.
    Route,
    /// Routes it if nobody else begins to.
    Lease,
}

/// Up to when leases hold nobody off any more. `alone_since`: when the only isolate that there is began to drain. What was
/// leased before is that of a dead one.
pub fn over(now_ms: u64, alone_since: Option<u64>) -> u64 {
    now_ms.max(alone_since.map_or(0, |since| since + LEASE_MS - 1))
}

/// `until`: when the lease ends, or has ended, that was there when so many events were read.
pub fn turn(events: usize, until: u64, over: u64) -> Turn {
    match events {
        _ if over < until => Turn::Leave,
        0..=CROWD => Turn::Route,
        _ => Turn::Lease,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_is_leased_and_what_is_leased_is_left_alone() {
        let now = 1_000_000;
        for (events, until, expect) in [
            (1, 0, Turn::Route),
            (50, now, Turn::Route),
            (51, now, Turn::Lease),
            (51, now + 1, Turn::Leave),
            (1, now + 1, Turn::Leave),
        ] {
            assert_eq!(turn(events, until, over(now, None)), expect, "{events}, {until}");
        }
    }

    #[test]
    fn who_is_alone_waits_for_no_lease_of_the_dead() {
        let (begun, now) = (1_000_000, 1_000_005);
        let turn = |until| turn(51, until, over(now, Some(begun)));
        assert_eq!(turn(begun - 1 + LEASE_MS), Turn::Lease, "taken before the end of another");
        assert_eq!(turn(begun + LEASE_MS), Turn::Leave, "of another drain, which lives");
        let later = begun + 2 * LEASE_MS;
        assert_eq!(over(later, Some(begun)), later);
    }
}
