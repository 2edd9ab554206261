//! What became of many that one call sends again.

use serde_json::{Value, json};

/// Reasons that are told apart: those of functions say what their users wrote.
const REASONS_MAX: usize = 20;
const OTHERS: &str = "other reasons";

/// How many of what one call sends again succeeded, and how many failed for which reason.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub succeeded: usize,
    reasons: Vec<(String, usize)>,
}

impl Tally {
    /// Counts `count` that failed for one reason.
    pub fn fail(&mut self, reason: &str, count: usize) {
        if count == 0 {
            return;
        }
        let is_new = !self.reasons.iter().any(|(known, _)| known == reason);
        let reason = if is_new && REASONS_MAX <= self.reasons.len() { OTHERS } else { reason };
        match self.reasons.iter_mut().find(|(known, _)| known == reason) {
            Some((_, known)) => *known += count,
            None => self.reasons.push((reason.to_owned(), count)),
        }
    }

    /// Adds the numbers of another tally to this one.
    pub fn add(&mut self, other: &Self) {
        self.succeeded += other.succeeded;
        for (reason, count) in &other.reasons {
            self.fail(reason, *count);
        }
    }

    /// How many failed, for whatever reason.
    pub fn failed(&self) -> usize {
        self.reasons.iter().map(|(_, count)| count).sum()
    }

    /// How many were counted: those that succeeded and those that failed.
    pub fn seen(&self) -> usize {
        self.succeeded + self.failed()
    }

    /// The first reason, if nothing succeeded.
    pub fn all_failed(&self) -> Option<&str> {
        let (reason, _) = self.reasons.first().filter(|_| self.succeeded == 0)?;
        Some(reason)
    }

    /// The numbers in Convoy's words: `2 successful, 1 failed`.
    pub fn message(&self) -> String {
        format!("{} successful, {} failed", self.succeeded, self.failed())
    }

    /// The numbers as the API shows them, the most frequent reason first, with where to go on if that was not all.
    pub fn present(self, next_page_cursor: Option<String>) -> Value {
        let (num, failed, reasons) = self.numbers();
        let next_page_cursor = next_page_cursor.unwrap_or_default();
        json!({"num": num, "failed": failed, "reasons": reasons, "next_page_cursor": next_page_cursor})
    }

    /// The numbers of what was only counted, as the API shows them, the most frequent reason first, and whether that was all.
    pub fn present_count(self, is_complete: bool) -> Value {
        let (num, failed, reasons) = self.numbers();
        json!({"num": num, "failed": failed, "reasons": reasons, "is_complete": is_complete})
    }

    fn numbers(mut self) -> (usize, usize, Vec<Value>) {
        self.reasons.sort_by(|(_, a), (_, b)| b.cmp(a));
        let failed = self.failed();
        let reasons = self.reasons.iter();
        let reasons = reasons.map(|(reason, count)| json!({"reason": reason, "num": count}));
        (self.succeeded, failed, reasons.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_grouped_by_their_reasons() {
        let mut tally = Tally { succeeded: 2, ..Tally::default() };
        tally.fail("a", 1);
        tally.fail("b", 0);
        let mut more = Tally::default();
        more.fail("c", 2);
        more.fail("a", 3);
        assert_eq!((tally.all_failed(), more.all_failed()), (None, Some("c")));
        tally.add(&more);
        assert_eq!((tally.message().as_str(), tally.seen()), ("2 successful, 6 failed", 8));
        assert_eq!(
            tally.present(Some("next".into())),
            json!({"num": 2, "failed": 6, "next_page_cursor": "next",
                "reasons": [{"reason": "a", "num": 4}, {"reason": "c", "num": 2}]})
        );
    }

    #[test]
    fn reasons_past_the_twentieth_are_others() {
        let mut tally = Tally::default();
        for n in 0..40 {
            tally.fail(&format!("reason {n}"), 1);
        }
        tally.fail("reason 0", 1);
        assert_eq!((tally.reasons.len(), tally.failed()), (REASONS_MAX + 1, 41));
        let shown = tally.present(None);
        assert_eq!(shown["reasons"][0], json!({"reason": OTHERS, "num": 20}));
        assert_eq!(shown["reasons"][1], json!({"reason": "reason 0", "num": 2}));
    }
}
