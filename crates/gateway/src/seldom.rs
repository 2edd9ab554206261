//! What is done for each key at most so often.

use std::collections::HashMap;

/// Since when it was last done for each, and how often it was due since.
#[derive(Debug)]
pub struct Seldom {
    every_ms: u64,
    keys_max: usize,
    keys: HashMap<String, (u64, u64)>,
}

impl Seldom {
    pub fn new(every_ms: u64, keys_max: usize) -> Self {
        Self { every_ms, keys_max, keys: HashMap::new() }
    }

    /// Whether it is time to do it, and then how often it was not done since the last time.
    pub fn is_due(&mut self, key: &str, now_ms: u64) -> Option<u64> {
        if let Some((at, passed_over)) = self.keys.get_mut(key) {
            if now_ms < at.saturating_add(self.every_ms) {
                *passed_over += 1;
                return None;
            }
            *at = now_ms;
            return Some(std::mem::take(passed_over));
        }
        if self.keys_max <= self.keys.len() {
            let every_ms = self.every_ms;
            self.keys.retain(|_, (at, _)| now_ms < at.saturating_add(every_ms));
        }
        // So many at once are forgotten: they may be due once too often.
        if self.keys_max <= self.keys.len() {
            self.keys.clear();
        }
        self.keys.insert(key.to_owned(), (now_ms, 0));
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
