//! Functions that were stopped again and again: what each try costs, all others on the isolate pay for.
//!
//! Whoever posts to a source chooses what its function is run on, so what stops it must not stand in the way of the rest. While a
//! function rests it is run all the same, with a small part of what it may use otherwise: that is enough for most payloads, and
//! what it is not enough for waits. Those cost something, too, so there are few of them at a time.

use std::collections::HashMap;

/// How often in a row a function is stopped before it rests.
const STOPS_MAX: u32 = 3;
const REST_MS: u64 = 60_000;
/// How many short runs may be stopped in [`SHORT_MS`] while it rests: together they are a fiftieth of that time. What is tried
/// again may have as many once more, so that those who come in leave it something, however many they are.
const SHORT_STOPS_MAX: u32 = 10;
const SHORT_MS: u64 = 10_000;
/// Functions that are remembered, at most.
const FUNCTIONS_MAX: usize = 100;

/// The functions of one isolate that were stopped lately, by whose they are and their code: what stops the function of one source
/// says nothing about the same code elsewhere, which has other payloads.
#[derive(Debug, Default)]
pub struct Quarantine {
    stopped: HashMap<(String, String), Stops>,
}

fn key(whose: &str, code: &str) -> (String, String) {
    (whose.to_owned(), code.to_owned())
}

#[derive(Debug, Default)]
struct Stops {
    in_a_row: u32,
    last_ms: u64,
    /// Short runs that were stopped since `short_from`.
    short: u32,
    short_from: u64,
}

/// How a function may be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Whole,
    /// With little: it rests for so many seconds.
    Short(u64),
    /// Not at all, for so many seconds.
    Not(u64),
}

impl Quarantine {
    /// How a function may be run now, on what comes in or on what is tried again. After its rest it has one whole try.
    pub fn turn(&self, whose: &str, code: &str, is_again: bool, now_ms: u64) -> Turn {
        let most = if is_again { 2 * SHORT_STOPS_MAX } else { SHORT_STOPS_MAX };
        if self.stopped.is_empty() {
            return Turn::Whole;
        }
        let stops = self.stopped.get(&key(whose, code));
        let Some(stops) = stops.filter(|stops| STOPS_MAX <= stops.in_a_row) else {
            return Turn::Whole;
        };
        let left =
            |from: u64, ms: u64| from.saturating_add(ms).saturating_sub(now_ms).div_ceil(1_000);
        match (left(stops.last_ms, REST_MS), left(stops.short_from, SHORT_MS)) {
            (0, _) => Turn::Whole,
            (rest, short) if 0 < short && most <= stops.short => Turn::Not(short.min(rest)),
            (rest, _) => Turn::Short(rest),
        }
    }

    /// Notes a run: whether it had to be stopped, or went to its end, however that was. What a short run comes to says nothing
    /// about a whole one.
    pub fn note(&mut self, whose: &str, code: &str, turn: Turn, was_stopped: bool, now_ms: u64) {
        if !was_stopped && self.stopped.is_empty() {
            return;
        }
        let key = key(whose, code);
        if turn != Turn::Whole {
            if let Some(stops) = self.stopped.get_mut(&key).filter(|_| was_stopped) {
                if stops.short_from.saturating_add(SHORT_MS) <= now_ms {
                    (stops.short, stops.short_from) = (0, now_ms);
                }
                stops.short = stops.short.saturating_add(1);
            }
            return;
        }
        if !was_stopped {
            self.stopped.remove(&key);
            return;
        }
        if FUNCTIONS_MAX <= self.stopped.len() && !self.stopped.contains_key(&key) {
            self.stopped.clear();
        }
        let stops = self.stopped.entry(key).or_default();
        stops.in_a_row = stops.in_a_row.saturating_add(1);
        stops.last_ms = now_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_rests_when_it_was_stopped_three_times_in_a_row() {
        let mut all = Quarantine::default();
        for was_stopped in [true, true, false, true, true] {
            all.note("s", "f", Turn::Whole, was_stopped, 5);
            assert_eq!(all.turn("s", "f", false, 5), Turn::Whole);
        }
        all.note("s", "f", Turn::Whole, true, 1_000);
        assert_eq!(all.turn("s", "f", false, 1_001), Turn::Short(60));
        for (whose, code) in [("s", "other"), ("another", "f")] {
            assert_eq!(all.turn(whose, code, false, 1_001), Turn::Whole);
        }
        assert_eq!(all.turn("s", "f", false, 60_999), Turn::Short(1));
        assert_eq!(all.turn("s", "f", false, 61_000), Turn::Whole);
        all.note("s", "f", Turn::Whole, true, 61_000);
        assert_eq!(all.turn("s", "f", false, 61_001), Turn::Short(60), "after one more");
        all.note("s", "f", Turn::Whole, false, 122_000);
        assert_eq!(all.turn("s", "f", false, 122_000), Turn::Whole);
    }

    #[test]
    fn while_it_rests_others_are_run_shortly_and_few_of_them_are_stopped() {
        let mut all = Quarantine::default();
        for _ in 0..3 {
            all.note("s", "f", Turn::Whole, true, 100_000);
        }
        let run = |all: &mut Quarantine, is_again: bool, was_stopped: bool, now: u64| {
            let turn = all.turn("s", "f", is_again, now);
            if matches!(turn, Turn::Short(_)) {
                all.note("s", "f", turn, was_stopped, now);
            }
            turn
        };
        let short = |all: &mut _, was_stopped, now| run(all, false, was_stopped, now);
        for _ in 0..1_000 {
            assert_eq!(short(&mut all, false, 101_000), Turn::Short(59));
        }
        for _ in 0..10 {
            assert_eq!(short(&mut all, true, 101_000), Turn::Short(59));
        }
        assert_eq!(short(&mut all, true, 102_000), Turn::Not(9));
        for _ in 0..10 {
            assert_eq!(run(&mut all, true, true, 102_000), Turn::Short(58), "it came before");
        }
        assert_eq!(run(&mut all, true, true, 102_000), Turn::Not(9));
        assert_eq!(short(&mut all, true, 111_000), Turn::Short(49));
        assert_eq!(short(&mut all, false, 111_001), Turn::Short(49), "it is counted anew");
        assert_eq!(
            all.turn("s", "f", false, 160_000),
            Turn::Whole,
            "short runs do not make the rest longer"
        );
    }

    #[test]
    fn few_are_remembered() {
        let mut all = Quarantine::default();
        for n in 0..1_000 {
            all.note("s", &n.to_string(), Turn::Whole, true, 1);
        }
        assert!(all.stopped.len() <= FUNCTIONS_MAX);
    }
}
