//! What looking into a payload may cost, counted in steps: a Worker's clock stands still while it computes, and all the other
//! requests of its isolate stand still with it. A step is about a look at one value, some 40 ns in WebAssembly.

use std::cell::Cell;

use regex_lite::{Error, Regex, RegexBuilder};
use serde_json::Number;

use crate::api::ApiError;

/// The steps are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

impl TooMany {
    /// What a caller is told who tries a filter.
    pub fn refusal(self) -> ApiError {
        ApiError::bad_request(
            "the filter takes more steps than it may on this event: have it ask for less of long lists",
        )
    }
}

/// The steps that are left.
#[derive(Debug)]
pub(crate) struct Steps(Cell<u64>);

impl Steps {
    pub(crate) fn of(steps: u64) -> Self {
        Self(Cell::new(steps))
    }

    pub(crate) fn left(&self) -> u64 {
        self.0.get()
    }

    pub(crate) fn take(&self, steps: u64) -> Result<(), TooMany> {
        let left = self.0.get().checked_sub(steps);
        self.0.set(left.unwrap_or_default());
        left.map(|_| ()).ok_or(TooMany)
    }
}

/// A regular expression that knows what it costs.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    regex: Regex,
    per_byte: u64,
}

/// Compiled sizes, and what an expression of such a size takes for a byte of the text, at worst.
const SIZES: &[(usize, u64)] = &[(1_024, 3), (4_096, 25), (16_384, 170), (32_768, 340)];

impl Pattern {
    /// Compiles an expression that takes at most `most` bytes, 32 KiB.
    pub(crate) fn new(written: &str, most: usize) -> Result<Self, Error> {
        let built = |size| RegexBuilder::new(written).size_limit(size).build();
        for (size, per_byte) in SIZES.iter().filter(|(size, _)| *size < most) {
            if let Ok(regex) = built(*size) {
                return Ok(Self { regex, per_byte: *per_byte });
            }
        }
        let per_byte = SIZES.iter().find(|(size, _)| most <= *size).or(SIZES.last());
        Ok(Self { regex: built(most)?, per_byte: per_byte.map_or(1, |(_, steps)| *steps) })
    }

    /// What it takes to try it on so many bytes.
    pub(crate) fn steps(&self, bytes: usize) -> u64 {
        self.per_byte.saturating_mul(bytes as u64).saturating_add(1)
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        self.regex.as_str()
    }
}

/// What it takes to compare a number: senders may write as many digits as they like.
pub(crate) fn of_number(number: &Number) -> u64 {
    match number.as_i64() {
        Some(_) => 1,
        None => 10 + number.to_string().len() as u64 / 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_end_and_stay_at_their_end() {
        let steps = Steps::of(3);
        assert_eq!([steps.take(1), steps.take(2)], [Ok(()); 2]);
        assert_eq!((steps.take(1), steps.left()), (Err(TooMany), 0));
        assert_eq!((Steps::of(5).take(6), Steps::of(5).take(5)), (Err(TooMany), Ok(())));
    }

    #[test]
    fn an_expression_costs_by_its_size_and_the_text() {
        let cost = |written| Pattern::new(written, 16_384).map(|made| made.steps(100)).ok();
        assert_eq!(cost("^order\\.(paid|failed)$"), Some(301));
        assert_eq!((cost("(a|b|c|d){10}"), cost("a{0,100}b")), (Some(2_501), Some(17_001)));
        assert_eq!((cost("a{0,1000}b"), cost("(")), (None, None));
        let large = Pattern::new("a{0,250}b", 32_768).unwrap();
        assert_eq!(large.steps(100), 34_001);
    }

    #[test]
    fn long_numbers_cost_by_their_digits() {
        let cost = |written: String| of_number(&written.parse().unwrap());
        assert_eq!((cost("5".into()), cost("1.5".into())), (1, 10));
        assert_eq!(cost("7".repeat(4_000)), 1_010);
    }
}
