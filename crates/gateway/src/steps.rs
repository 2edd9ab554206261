//! What looking into a payload may cost, counted in steps: a Worker's clock stands still while it computes, and all the other
//! requests of its isolate stand still with it. A step is about a look at one value, some 40 ns in WebAssembly.

use std::cell::Cell;
use std::convert::Infallible;
use std::sync::OnceLock;

use regex_lite::{Error, Regex, RegexBuilder};
use serde_json::{Number, Value};

use crate::api::ApiError;
use crate::number;

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
    size: &'static Size,
}

/// How large an expression is when it is compiled.
#[derive(Debug)]
struct Size {
    most_bytes: usize,
    /// What it takes to compile it, or to find that it is larger.
    compile: u64,
    /// What it takes for a byte of the text, at worst.
    per_byte: u64,
}

static SMALL: Size = Size { most_bytes: 1_024, compile: 300, per_byte: 3 };
static LARGER: [Size; 3] = [
    Size { most_bytes: 4_096, compile: 1_000, per_byte: 25 },
    Size { most_bytes: 16_384, compile: 4_000, per_byte: 170 },
    Size { most_bytes: 32_768, compile: 8_000, per_byte: 340 },
];

impl Pattern {
    /// Compiles an expression that takes at most `most_bytes`, which is one of the sizes.
    pub(crate) fn new(written: &str, most_bytes: usize) -> Result<Self, Error> {
        let Ok(made) = Self::counted(written, most_bytes, |_| Ok::<(), Infallible>(()));
        made
    }

    /// Compiles an expression as [`Self::new`]. Each size that is tried is paid for before: `take` is handed its steps.
    /// `Err`: `take` has refused.
    fn counted<E>(
        written: &str,
        most_bytes: usize,
        take: impl Fn(u64) -> Result<(), E>,
    ) -> Result<Result<Self, Error>, E> {
        let of_size = |size: &'static Size| {
            take(size.compile)?;
            let built = RegexBuilder::new(written).size_limit(size.most_bytes).build();
            Ok(built.map(|regex| Self { regex, size }))
        };
        let mut made = of_size(&SMALL)?;
        for size in LARGER.iter().filter(|size| size.most_bytes <= most_bytes) {
            if made.is_err() {
                made = of_size(size)?;
            }
        }
        Ok(made)
    }

    /// What it takes to try it on so many bytes.
    pub(crate) fn steps(&self, bytes: usize) -> u64 {
        self.size.per_byte.saturating_mul(bytes as u64).saturating_add(1)
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

/// A regular expression that is compiled when it is first asked.
#[derive(Debug, Clone)]
pub(crate) struct Lazy {
    written: String,
    most_bytes: usize,
    made: OnceLock<Option<Pattern>>,
}

impl Lazy {
    /// One that was compiled before, and is not again until it is asked. `most_bytes` is as for [`Pattern::new`].
    pub(crate) fn new(written: String, most_bytes: usize) -> Self {
        Self { written, most_bytes, made: OnceLock::new() }
    }

    /// The expression, for the steps that it takes to compile it, whether it is already or not: what an event takes does not
    /// depend on those before it. `None`: it cannot be used.
    pub(crate) fn compiled(&self, steps: &Steps) -> Result<Option<&Pattern>, TooMany> {
        let Some(made) = self.made.get() else {
            let made = Pattern::counted(&self.written, self.most_bytes, |some| steps.take(some))?;
            return Ok(self.made.get_or_init(|| made.ok()).as_ref());
        };
        let most = made.as_ref().map_or(self.most_bytes, |made| made.size.most_bytes);
        let tried = LARGER.iter().filter(|size| size.most_bytes <= most);
        steps.take(SMALL.compile + tried.map(|size| size.compile).sum::<u64>())?;
        Ok(made.as_ref())
    }

    pub(crate) fn written(&self) -> &str {
        &self.written
    }

    /// The expression, if it was compiled and can be used.
    pub(crate) fn asked(&self) -> Option<&Pattern> {
        self.made.get()?.as_ref()
    }
}

/// What it takes to compare a number: senders may write as many digits as they like.
pub(crate) fn of_number(number: &Number) -> u64 {
    match number.as_i64() {
        Some(_) => 1,
        None => 10 + number.to_string().len() as u64 / 2,
    }
}

/// What it takes to look at a text.
pub(crate) fn of_text(bytes: usize) -> u64 {
    1 + bytes as u64 / 32
}

/// Equality of JSON, where `5` and `5.0` are one number. What is read of both sides is counted.
pub(crate) fn is_same(a: &Value, b: &Value, steps: &Steps) -> Result<bool, TooMany> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            steps.take(of_number(a).max(of_number(b)))?;
            Ok(number::compare(a, b).is_eq())
        }
        (Value::String(a), Value::String(b)) => {
            steps.take(of_text(if a.len() == b.len() { a.len() } else { 0 }))?;
            Ok(a == b)
        }
        (Value::Array(a), Value::Array(b)) => {
            steps.take(1)?;
            let differs = |(a, b)| Ok(!is_same(a, b, steps)?);
            Ok(a.len() == b.len() && !is_any(a.iter().zip(b), differs)?)
        }
        (Value::Object(a), Value::Object(b)) => {
            steps.take(1)?;
            let differs = |(key, a): (&String, &Value)| {
                steps.take(of_text(key.len()))?;
                b.get(key).map_or(Ok(true), |b| Ok(!is_same(a, b, steps)?))
            };
            Ok(a.len() == b.len() && !is_any(a, differs)?)
        }
        (a, b) => {
            steps.take(1)?;
            Ok(a == b)
        }
    }
}

/// Whether one of them is as asked.
pub(crate) fn is_any<T>(
    of: impl IntoIterator<Item = T>,
    mut asked: impl FnMut(T) -> Result<bool, TooMany>,
) -> Result<bool, TooMany> {
    for one in of {
        if asked(one)? {
            return Ok(true);
        }
    }
    Ok(false)
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
        assert_eq!((cost("5".into()), cost("1.5".into())), (1, 11));
        assert_eq!(cost("7".repeat(4_000)), 2_010);
    }

    #[test]
    fn an_expression_takes_the_same_to_compile_each_time() {
        for (written, expect) in [
            ("^order\\.(paid|failed)$", 300),
            ("(a|b|c|d){10}", 1_300),
            ("a{0,100}b", 5_300),
            ("a{0,1000}b", 5_300),
        ] {
            let lazy = Lazy::new(written.to_owned(), 16_384);
            assert!(lazy.asked().is_none());
            for _ in 0..2 {
                let steps = Steps::of(10_000);
                assert!(lazy.compiled(&steps).is_ok());
                assert_eq!(10_000 - steps.left(), expect, "{written}");
                assert!(lazy.compiled(&Steps::of(expect - 1)).is_err(), "{written}");
            }
            assert!(
                Lazy::new(written.to_owned(), 16_384).compiled(&Steps::of(expect - 1)).is_err()
            );
        }
    }
}
