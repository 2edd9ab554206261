//! Numbers of JSON as they are written: compared digit by digit, so that no size and no fraction is rounded.

use std::cmp::Ordering;

use serde_json::Number;

/// A number without what can be written in several ways.
struct Decimal {
    is_negative: bool,
    /// From the first digit that is not 0 to the last; empty for zero.
    digits: Vec<u8>,
    /// Where the point stands: so many digits after the start.
    point: i64,
}

impl Decimal {
    fn of(number: &Number) -> Self {
        let text = number.to_string();
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text.as_str()),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        // What does not fit is beyond every other number, or next to zero.
        let far = if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 };
        let exponent: i64 = exponent.parse().unwrap_or(far);
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let zeros = all.iter().take_while(|digit| **digit == b'0').count();
        let mut digits: Vec<u8> = all.into_iter().skip(zeros).collect();
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        let length = |count: usize| i64::try_from(count).unwrap_or(i64::MAX / 4);
        let point = (length(whole.len()) - length(zeros)).saturating_add(exponent);
        Self { is_negative: is_negative && !digits.is_empty(), digits, point }
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.is_negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }
}

pub(crate) fn compare(a: &Number, b: &Number) -> Ordering {
    if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64()) {
        return a.cmp(&b);
    }
    let (a, b) = (Decimal::of(a), Decimal::of(b));
    let by_size = || a.point.cmp(&b.point).then_with(|| a.digits.cmp(&b.digits));
    a.sign().cmp(&b.sign()).then_with(|| match a.sign() {
        0 => Ordering::Equal,
        1 => by_size(),
        _ => by_size().reverse(),
    })
}

/// Whether it has no fraction, however it is written: `1.0` and `1e2` are integers.
pub(crate) fn is_integer(number: &Number) -> bool {
    let decimal = Decimal::of(number);
    i64::try_from(decimal.digits.len()).is_ok_and(|length| length <= decimal.point)
        || decimal.digits.is_empty()
}

/// Numbers that others may be multiples of: above 0, and with so few digits that multiples are counted exactly.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    number: Number,
    /// The number is `digits` · 10^`exponent`.
    digits: u64,
    exponent: i64,
}

impl Step {
    /// The most digits of a step.
    pub(crate) const DIGITS_MAX: usize = 18;

    pub(crate) fn of(number: &Number) -> Option<Self> {
        let decimal = Decimal::of(number);
        if decimal.sign() != 1 || Self::DIGITS_MAX < decimal.digits.len() {
            return None;
        }
        let digits = decimal
            .digits
            .iter()
            .fold(0, |sum: u64, digit| sum * 10 + u64::from(digit.wrapping_sub(b'0')));
        let length = i64::try_from(decimal.digits.len()).ok()?;
        let exponent = decimal.point.saturating_sub(length);
        Some(Self { number: number.clone(), digits, exponent })
    }

    pub(crate) fn number(&self) -> &Number {
        &self.number
    }

    /// Whether `number` is a multiple of it.
    pub(crate) fn divides(&self, number: &Number) -> bool {
        let decimal = Decimal::of(number);
        if decimal.digits.is_empty() {
            return true;
        }
        let length = i64::try_from(decimal.digits.len()).unwrap_or(i64::MAX);
        let shift = decimal.point.saturating_sub(length).saturating_sub(self.exponent);
        // The last digit is not 0: what is smaller than the step's last place is not a whole number of steps.
        let Ok(shift) = u64::try_from(shift) else { return false };
        let modulus = u128::from(self.digits);
        let rest = decimal
            .digits
            .iter()
            .fold(0, |rest, digit| (rest * 10 + u128::from(digit.wrapping_sub(b'0'))) % modulus);
        (rest * power_of_ten(shift, modulus)).is_multiple_of(modulus)
    }
}

/// 10^`exponent` modulo `modulus`, which is below 10^18.
fn power_of_ten(mut exponent: u64, modulus: u128) -> u128 {
    let (mut power, mut factor) = (1 % modulus, 10 % modulus);
    while exponent != 0 {
        if exponent % 2 == 1 {
            power = power * factor % modulus;
        }
        factor = factor * factor % modulus;
        exponent /= 2;
    }
    power
}

/// A text that equal numbers share and others do not: `-12e3` for -120.0. [`SQL`] makes it of what a database holds.
pub(crate) fn canonical(number: &Number) -> String {
    let decimal = Decimal::of(number);
    if decimal.digits.is_empty() {
        return "0".to_owned();
    }
    let sign = if decimal.is_negative { "-" } else { "" };
    let digits: String = decimal.digits.iter().copied().map(char::from).collect();
    format!("{sign}{digits}e{}", decimal.point)
}

/// [`canonical`] in SQL, of the number whose JSON is `{}`.
pub(crate) const SQL: &str = "(SELECT CASE digits WHEN '' THEN '0' ELSE sign || digits || 'e' || point END FROM \
     (SELECT sign, rtrim(ltrim(digits, '0'), '0') AS digits, \
     whole - (length(digits) - length(ltrim(digits, '0'))) + exponent AS point FROM \
     (SELECT sign, exponent, replace(mantissa, '.', '') AS digits, instr(mantissa || '.', '.') - 1 AS whole FROM \
     (SELECT CASE WHEN x LIKE '-%' THEN '-' ELSE '' END AS sign, ltrim(substr(x, 1, instr(x || 'e', 'e') - 1), '-') AS mantissa, \
     CAST(substr(x, instr(x || 'e', 'e') + 1) AS INTEGER) AS exponent FROM (SELECT lower({}) AS x)))))";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn numbers_are_ordered_at_any_size_and_with_any_fraction() {
        // From the smallest to the largest; what stands together is equal.
        let ordered: &[&[&str]] = &[
            &["-1e99999999999999999999"],
            &["-18446744073709551617"],
            &["-9223372036854775809", "-9223372036854775809.0", "-9.223372036854775809E18"],
            &["-9223372036854775808"],
            &["-1.5", "-15e-1"],
            &["-1e-99999999999999999999"],
            &["0", "-0", "0.0", "0e5", "-0.00E-7"],
            &["1e-400"],
            &["0.1", "0.10", "1e-1", "10E-2"],
            &["0.10000000000000000001"],
            &["1", "1.0", "1e0", "10e-1"],
            &["9007199254740992"],
            &["9007199254740992.5"],
            &["9007199254740993"],
            &["9223372036854775807"],
            &["18446744073709551615", "18446744073709551615.000"],
            &["18446744073709551616", "1.8446744073709551616e+19"],
            &["18446744073709551617"],
            &["1e400", "10E399"],
            &["1e99999999999999999999"],
        ];
        for (i, some) in ordered.iter().enumerate() {
            for (j, others) in ordered.iter().enumerate() {
                for (a, b) in some.iter().flat_map(|a| others.iter().map(move |b| (a, b))) {
                    let (a, b) = (number(a), number(b));
                    assert_eq!(compare(&a, &b), i.cmp(&j), "{a} and {b}");
                    assert_eq!(canonical(&a) == canonical(&b), i == j, "{a} and {b}");
                }
            }
        }
    }

    #[test]
    fn what_is_whole_and_what_is_a_multiple_is_not_rounded() {
        for (text, expect) in [
            ("12345678901234567.5", false),
            ("12345678901234567.0", true),
            ("1e400", true),
            ("1e-400", false),
            ("1.20e1", true),
            ("-0.0", true),
            ("0e-5", true),
            ("-1.5", false),
        ] {
            assert_eq!(is_integer(&number(text)), expect, "{text}");
        }
        for (step, text, expect) in [
            ("2", "9007199254740993", false),
            ("2", "9007199254740994", true),
            ("1", "12345678901234567.5", false),
            ("0.01", "12345678901234567.89", true),
            ("0.01", "12345678901234567.891", false),
            ("0.1", "0.3", true),
            ("1.5", "-4.5", true),
            ("1.5", "4", false),
            ("7", "1e400", false),
            ("8", "1e400", true),
            ("1e-400", "3e-400", true),
            ("100", "10", false),
            ("100", "0", true),
        ] {
            let step = Step::of(&number(step)).unwrap();
            assert_eq!(step.divides(&number(text)), expect, "{text} by {step:?}");
        }
        for text in ["0", "-1", "1.234567890123456789"] {
            assert!(Step::of(&number(text)).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn multiples_of_integers_are_those_of_arithmetic(a: i64, b in 1..999_999_999_999_999_999_i64) {
            let step = Step::of(&number(&b.to_string())).unwrap();
            prop_assert_eq!(step.divides(&number(&a.to_string())), a % b == 0);
            let product = i128::from(a) * i128::from(b);
            prop_assert!(step.divides(&number(&product.to_string())));
        }

        #[test]
        fn sql_makes_the_same_text(text in "-?(0|[1-9][0-9]{0,24})([.][0-9]{1,24})?([eE][+-]?[0-9]{1,3})?") {
            let db = rusqlite::Connection::open_in_memory().unwrap();
            let sql = format!("SELECT {}", SQL.replace("{}", "json(?1) -> '$.a'"));
            let json = format!("{{\"a\": {text} }}");
            let made: String = db.query_row(&sql, [json], |row| row.get(0)).unwrap();
            prop_assert_eq!(made, canonical(&number(&text)));
        }

        #[test]
        fn integers_are_ordered_as_they_are(a: i128, b: i128) {
            prop_assert_eq!(compare(&number(&a.to_string()), &number(&b.to_string())), a.cmp(&b));
        }
    }
}
