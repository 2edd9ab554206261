//! Functions that were stopped again and again: what each try costs, all others on the isolate pay for.

use std::collections::HashMap;

/// How often in a row a function is stopped before it rests.
const STOPS_MAX: u32 = 3;
const REST_MS: u64 = 60_000;
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
}

impl Quarantine {
    /// For how many seconds a function is not to be run. After its rest it has one try.
    pub fn rests(&self, whose: &str, code: &str, now_ms: u64) -> Option<u64> {
        if self.stopped.is_empty() {
            return None;
        }
        let stops =
            self.stopped.get(&key(whose, code)).filter(|stops| STOPS_MAX <= stops.in_a_row)?;
        let until = stops.last_ms.saturating_add(REST_MS);
        (now_ms < until).then(|| (until - now_ms).div_ceil(1_000))
    }

    /// Notes a run: whether it had to be stopped, or went to its end, however that was.
    pub fn note(&mut self, whose: &str, code: &str, was_stopped: bool, now_ms: u64) {
        if !was_stopped && self.stopped.is_empty() {
            return;
        }
        let key = key(whose, code);
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
            all.note("s", "f", was_stopped, 5);
            assert_eq!(all.rests("s", "f", 5), None);
        }
        all.note("s", "f", true, 1_000);
        assert_eq!(all.rests("s", "f", 1_001), Some(60));
        for (whose, code) in [("s", "other"), ("another", "f")] {
            assert_eq!(all.rests(whose, code, 1_001), None);
        }
        assert_eq!((all.rests("s", "f", 60_999), all.rests("s", "f", 61_000)), (Some(1), None));
        all.note("s", "f", true, 61_000);
        assert_eq!(all.rests("s", "f", 61_001), Some(60), "after one more");
        all.note("s", "f", false, 122_000);
        assert_eq!(all.rests("s", "f", 122_000), None);
    }

    #[test]
    fn few_are_remembered() {
        let mut all = Quarantine::default();
        for n in 0..1_000 {
            all.note("s", &n.to_string(), true, 1);
        }
        assert!(all.stopped.len() <= FUNCTIONS_MAX);
    }
}
