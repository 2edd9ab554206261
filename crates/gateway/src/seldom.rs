//! What is done for each key at most so often.

use std::collections::HashMap;

/// From when it is due for each, and how often it was passed over since it was last done.
#[derive(Debug)]
pub struct Seldom {
    every_ms: u64,
    keys_max: usize,
    keys: HashMap<String, (u64, u64)>,
}

/// What is done a few times in a while at most, for whatever key.
#[derive(Debug)]
pub struct Few {
    most: u64,
    within_ms: u64,
    since_ms: u64,
    done: u64,
}

/// The least time between two rings of [`Rings`], in milliseconds.
const RING_EVERY_MS: u64 = 100;

/// When somebody has rung who is to ring at most so often, and will ring. All Unix milliseconds; 0: not at all.
#[derive(Debug, Default)]
pub struct Rings {
    last_ms: u64,
    next_ms: u64,
}

/// How often requests sweep where no cron does, and remove what is too old, in milliseconds.
const SWEEP_EVERY_MS: u64 = 30_000;
const EXPIRE_EVERY_MS: u64 = 600_000;
/// How often those of an isolate sweep beside a cron, which may fail.
const SWEEP_BESIDE_MS: u64 = 300_000;
/// How long such a sweep begins with something new. The platform ends what a request leaves behind after 30 s; what it ends
/// is not told, and keeps its memory, and its share of it, for as long as the isolate lives.
/// <https://developers.cloudflare.com/workers/platform/limits/>
const SWEEP_BESIDE_WITHIN_MS: u64 = 20_000;

/// When an isolate has swept, and has removed what is too old, Unix milliseconds.
#[derive(Debug, Default, Clone, Copy)]
pub struct Sweeps {
    swept: Option<u64>,
    expired: Option<u64>,
}

/// A sweep by a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sweep {
    /// From when on it begins with nothing new, Unix milliseconds.
    pub until: Option<u64>,
}

impl Sweeps {
    pub const fn new() -> Self {
        Self { swept: None, expired: None }
    }

    /// Notes that the isolate sweeps now, whoever asks for it.
    pub fn note_sweep(&mut self, now_ms: u64) {
        self.swept = Some(now_ms);
    }

    /// Notes that it removes what is too old.
    pub fn note_expiry(&mut self, now_ms: u64) {
        self.expired = Some(now_ms);
    }

    /// Whether a request sweeps. `is_local`: the isolate is the only one, and no cron rings.
    pub fn sweep(&mut self, now_ms: u64, is_local: bool) -> Option<Sweep> {
        let every_ms = if is_local { SWEEP_EVERY_MS } else { SWEEP_BESIDE_MS };
        let until = (!is_local).then(|| now_ms.saturating_add(SWEEP_BESIDE_WITHIN_MS));
        is_due(&mut self.swept, every_ms, now_ms, is_local).then_some(Sweep { until })
    }

    /// Whether a request removes what is too old. Beside a cron none does: that is in no hurry.
    pub fn expires(&mut self, now_ms: u64, is_local: bool) -> bool {
        is_local && is_due(&mut self.expired, EXPIRE_EVERY_MS, now_ms, is_local)
    }
}

/// Whether the time has come again; then the clock starts anew. An isolate that has just begun owes nobody a sweep, unless
/// it is the only one and no cron rings: there the first request after a restart picks up what was left.
fn is_due(clock: &mut Option<u64>, every_ms: u64, now_ms: u64, is_local: bool) -> bool {
    let is_due = match *clock {
        None => is_local,
        Some(last) if now_ms.saturating_sub(last) <= every_ms => return false,
        Some(_) => true,
    };
    *clock = Some(now_ms);
    is_due
}

impl Rings {
    /// After how many milliseconds to ring for what has come now: at once when it was quiet, and otherwise once at the end of the
    /// interval, so that what came while it was answered is not left behind. `None`: that ring is still to come, for this, too.
    pub fn ring(&mut self, now_ms: u64) -> Option<u64> {
        // A ring that is overdue was lost with the invocation that had promised it.
        if now_ms < self.next_ms.saturating_add(RING_EVERY_MS) {
            return None;
        }
        let pause = RING_EVERY_MS.saturating_sub(now_ms.saturating_sub(self.last_ms));
        if pause == 0 {
            self.last_ms = now_ms;
        } else {
            self.next_ms = now_ms.saturating_add(pause);
        }
        Some(pause)
    }

    /// Notes that what was to ring later rings now.
    pub fn rung(&mut self, now_ms: u64) {
        *self = Self { last_ms: now_ms, next_ms: 0 };
    }
}

impl Few {
    /// At most `most` times within `within_ms` milliseconds.
    pub fn new(most: u64, within_ms: u64) -> Self {
        Self { most, within_ms, since_ms: 0, done: 0 }
    }

    fn takes(&mut self, now_ms: u64) -> bool {
        if self.within_ms <= now_ms.abs_diff(self.since_ms) {
            (self.since_ms, self.done) = (now_ms, 0);
        }
        let takes = self.done < self.most;
        self.done += u64::from(takes);
        takes
    }
}

impl Seldom {
    /// Every `every_ms` milliseconds for each key. Of more than `keys_max` keys some are forgotten, and may be due too often.
    pub fn new(every_ms: u64, keys_max: usize) -> Self {
        Self { every_ms, keys_max, keys: HashMap::new() }
    }

    /// Whether it is time to do it for `key`, and then how often it was passed over since the last time.
    pub fn is_due(&mut self, key: &str, now_ms: u64) -> Option<u64> {
        let next = now_ms.saturating_add(self.every_ms);
        if let Some((due_at, passed_over)) = self.keys.get_mut(key) {
            if now_ms < *due_at {
                *passed_over += 1;
                return None;
            }
            *due_at = next;
            return Some(std::mem::take(passed_over));
        }
        if self.keys_max <= self.keys.len() {
            self.keys.retain(|_, (due_at, _)| now_ms < *due_at);
        }
        // So many at once are forgotten: they may be due once too often.
        if self.keys_max <= self.keys.len() {
            self.keys.clear();
        }
        self.keys.insert(key.to_owned(), (next, 0));
        Some(0)
    }

    /// Whether it is time to do it for `key`, as [`Self::is_due`], and it is one of the `few`: beyond them it is passed over, and
    /// stays due.
    pub fn is_due_among(&mut self, few: &mut Few, key: &str, now_ms: u64) -> Option<u64> {
        let passed_over = self.is_due(key, now_ms)?;
        if few.takes(now_ms) {
            return Some(passed_over);
        }
        if let Some(known) = self.keys.get_mut(key) {
            *known = (now_ms, passed_over + 1);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_sweep_seldom_and_briefly_beside_a_cron() {
        let at = |seconds: u64| 1_000_000 + seconds * 1_000;
        let swept = |is_local: bool, times: [u64; 6]| {
            let mut sweeps = Sweeps::new();
            times.map(|seconds| sweeps.sweep(at(seconds), is_local))
        };
        let now = Some(Sweep { until: None });
        assert_eq!(swept(true, [0, 1, 30, 31, 61, 62]), [now, None, None, now, None, now]);
        let at_most = |seconds: u64| Some(Sweep { until: Some(at(seconds + 20)) });
        assert_eq!(
            swept(false, [0, 31, 300, 301, 601, 602]),
            [None, None, None, at_most(301), None, at_most(602)]
        );
        let (mut local, mut other) = (Sweeps::new(), Sweeps::new());
        assert_eq!([0, 1, 601].map(|s| local.expires(at(s), true)), [true, false, true]);
        assert_eq!([0, 1, 601].map(|s| other.expires(at(s), false)), [false; 3]);
        other.note_sweep(at(301));
        local.note_expiry(at(1_000));
        assert_eq!(other.sweep(at(601), false), None, "the cron has");
        assert!(!local.expires(at(1_600), true));
    }

    #[test]
    fn each_key_is_due_by_itself_and_knows_what_was_passed_over() {
        let mut seldom = Seldom::new(10, 5);
        let expect = [
            ("a", 0, Some(0)),
            ("a", 9, None),
            ("b", 9, Some(0)),
            ("a", 9, None),
            ("a", 10, Some(2)),
            ("a", 20, Some(0)),
        ];
        for (key, now, due) in expect {
            assert_eq!(seldom.is_due(key, now), due, "{key} {now}");
        }
    }

    #[test]
    fn beyond_the_few_of_all_keys_one_is_passed_over_and_stays_due() {
        let (mut seldom, mut few) = (Seldom::new(10, 9), Few::new(2, 4));
        let expect = [
            ("a", 100, Some(0)),
            ("a", 100, None),
            ("b", 101, Some(0)),
            ("c", 101, None),
            ("c", 103, None),
            ("c", 104, Some(2)),
            ("c", 105, None),
            // Who was not due took none of them.
            ("d", 105, Some(0)),
            ("e", 107, None),
            ("e", 108, Some(1)),
            ("a", 110, Some(1)),
            ("b", 111, None),
            // A clock that is set back keeps nobody waiting.
            ("f", 90, Some(0)),
        ];
        for (key, now, due) in expect {
            assert_eq!(seldom.is_due_among(&mut few, key, now), due, "{key} {now}");
        }
    }

    #[test]
    fn a_bell_is_rung_at_once_where_it_is_quiet_and_once_for_a_crowd() {
        let mut rings = Rings::default();
        let mut check = |expect: &[(u64, Option<u64>)]| {
            for (now, pause) in expect {
                assert_eq!(rings.ring(*now), *pause, "{now}");
            }
            let (_, last) = expect.last().unwrap();
            if let Some(pause @ 1..) = last {
                rings.rung(expect.last().unwrap().0 + pause);
            }
        };
        check(&[(1_000, Some(0)), (1_100, Some(0)), (1_130, Some(70))]);
        // It has rung at 1200.
        check(&[(1_201, Some(99))]);
        // It has rung at 1300.
        check(&[(1_500, Some(0)), (1_501, Some(99))]);
    }

    #[test]
    fn a_ring_that_is_promised_is_for_all_until_it_is_lost() {
        let mut rings = Rings::default();
        assert_eq!((rings.ring(1_000), rings.ring(1_040)), (Some(0), Some(60)));
        // Promised for 1100, and overdue a whole interval later.
        for now in [1_041, 1_100, 1_199] {
            assert_eq!(rings.ring(now), None, "{now}");
        }
        assert_eq!(rings.ring(1_200), Some(0));
        // Should it ring after all, it is one more.
        rings.rung(1_210);
        assert_eq!(rings.ring(1_220), Some(90));
    }

    #[test]
    fn a_full_one_forgets_those_first_that_are_due_anyway() {
        let mut seldom = Seldom::new(10, 2);
        assert_eq!((seldom.is_due("old", 0), seldom.is_due("new", 8)), (Some(0), Some(0)));
        assert_eq!(seldom.is_due("new", 9), None);
        assert_eq!(seldom.is_due("more", 11), Some(0));
        assert_eq!(
            seldom.is_due("new", 12),
            None,
            "it was known before it was full, and is in use"
        );
        assert_eq!(seldom.is_due("many", 13), Some(0));
        assert!(seldom.keys.len() <= 2);
        assert_eq!(seldom.is_due("new", 14), Some(0), "among too many at once nobody is known");
    }
}
