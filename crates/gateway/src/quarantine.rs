//! Functions that were stopped again and again: what each try costs, all others on the isolate pay for.

use std::collections::HashMap;

/// How often in a row a function is stopped before it rests.
const STOPS_MAX: u32 = 3;
const REST_MS: u64 = 60_000;
/// Functions that are remembered, at most.
const FUNCTIONS_MAX: usize = 100;

/// The functions of one isolate that were stopped lately, by their code.
#[derive(Debug, Default)]
pub struct Quarantine {
    stopped: HashMap<String, Stops>,
}

#[derive(Debug, Default)]
struct Stops {
    in_a_row: u32,
    last_ms: u64,
}

impl Quarantine {
    /// For how many seconds a function is not to be run. After its rest it has one try.
    pub fn rests(&self, code: &str, now_ms: u64) -> Option<u64> {
        let stops = self.stopped.get(code).filter(|stops| STOPS_MAX <= stops.in_a_row)?;
        let until = stops.last_ms.saturating_add(REST_MS);
        (now_ms < until).then(|| (until - now_ms).div_ceil(1_000))
    }

    /// Notes a run: whether it had to be stopped, or went to its end, however that was.
    pub fn note(&mut self, code: &str, was_stopped: bool, now_ms: u64) {
        if !was_stopped {
            self.stopped.remove(code);
            return;
        }
        if FUNCTIONS_MAX <= self.stopped.len() && !self.stopped.contains_key(code) {
            self.stopped.clear();
        }
        let stops = self.stopped.entry(code.to_owned()).or_default();
        stops.in_a_row = stops.in_a_row.saturating_add(1);
        stops.last_ms = now_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_rests_when_it_was_stopped_three_times_in_a_row() {
        let mut quarantine = Quarantine::default();
        for was_stopped in [true, true, false, true, true] {
            quarantine.note("f", was_stopped, 5);
            assert_eq!(quarantine.rests("f", 5), None);
        }
        quarantine.note("f", true, 1_000);
        assert_eq!(
            (quarantine.rests("f", 1_001), quarantine.rests("other", 1_001)),
            (Some(60), None)
        );
        assert_eq!((quarantine.rests("f", 60_999), quarantine.rests("f", 61_000)), (Some(1), None));
        quarantine.note("f", true, 61_000);
        assert_eq!(quarantine.rests("f", 61_001), Some(60), "after one more");
        quarantine.note("f", false, 122_000);
        assert_eq!(quarantine.rests("f", 122_000), None);
    }

    #[test]
    fn few_are_remembered() {
        let mut quarantine = Quarantine::default();
        for n in 0..1_000 {
            quarantine.note(&n.to_string(), true, 1);
        }
        assert!(quarantine.stopped.len() <= FUNCTIONS_MAX);
    }
}
