//! Timestamps as providers write them.

use crate::scheme::Unit;

/// Milliseconds since 1970, or `None` where `text` is not written in `unit`.
///
/// Milliseconds, because a sender that writes them means them; ages are compared in seconds.
pub(crate) fn parse(text: &str, unit: Unit) -> Option<u64> {
    match unit {
        Unit::Seconds => number(text)?.checked_mul(1000),
        Unit::Millis => number(text),
        Unit::Either => match number(text)? {
            seconds @ ..100_000_000_000 => seconds.checked_mul(1000),
            millis => Some(millis),
        },
        Unit::Rfc3339 => rfc3339(text.as_bytes()),
        Unit::HttpDate => http_date(text),
    }
}

/// Digits only: no sign, no fraction, no `Infinity`. Eighteen of them always fit.
fn number(text: &str) -> Option<u64> {
    if !(1..=18).contains(&text.len()) {
        return None;
    }
    let mut sum = 0;
    for byte in text.bytes() {
        let digit = byte.wrapping_sub(b'0');
        if 9 < digit {
            return None;
        }
        sum = sum * 10 + u64::from(digit);
    }
    Some(sum)
}

fn rfc3339(text: &[u8]) -> Option<u64> {
    let field = |from: usize, to: usize| number(std::str::from_utf8(text.get(from..to)?).ok()?);
    let is = |at: usize, allowed: &[u8]| text.get(at).is_some_and(|byte| allowed.contains(byte));
    let marks = is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":");
    if !marks {
        return None;
    }
    let days = days(field(0, 4)?, field(5, 7)?, field(8, 10)?)?;
    let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
    if 23 < hour || 59 < minute || 60 < second {
        return None;
    }
    let mut at = 19;
    let mut millis = 0;
    if is(at, b".") {
        let digits = text.get(20..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let leading = text.get(20..20 + digits.clamp(1, 3))?;
        let scale = 10_u64.pow(3 - u32::try_from(leading.len()).ok()?);
        millis = number(std::str::from_utf8(leading).ok()?)? * scale;
        at = 20 + digits;
    }
    let local = ((days * 24 + hour) * 60 + minute) * 60 + second;
    let utc = match text.get(at..)? {
        b"Z" | b"z" => local,
        [sign @ (b'+' | b'-'), rest @ ..] => {
            let two = |digits: &[u8]| number(std::str::from_utf8(digits).ok()?);
            let offset = match rest {
                [h1, h2, b':', m1, m2] | [h1, h2, m1, m2] => {
                    two(&[*h1, *h2])? * 3600 + two(&[*m1, *m2])? * 60
                }
                _ => return None,
            };
            if *sign == b'+' { local.checked_sub(offset)? } else { local.checked_add(offset)? }
        }
        _ => return None,
    };
    Some(utc * 1000 + millis)
}

fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day = number(words.next()?)?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)?;
    let year = number(words.next()?).filter(|year| *year <= 9999)?;
    let mut clock = words.next()?.split(':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if words.next()? != "GMT" || 23 < hour || 59 < minute || 60 < second {
        return None;
    }
    let days = days(year, u64::try_from(month).ok()? + 1, day)?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Dates before are of no use here.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years begin in March, so that the leap day is the last of its year.
    let (year, month) =
        if month < 3 { (year.checked_sub(1)?, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    days.checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit() {
        for (text, unit, want) in [
            ("0", Unit::Seconds, Some(0)),
            ("1700000000", Unit::Seconds, Some(1_700_000_000_000)),
            ("18446744073709551615", Unit::Seconds, None),
            ("-1", Unit::Seconds, None),
            ("1.5", Unit::Seconds, None),
            ("", Unit::Seconds, None),
            ("Infinity", Unit::Seconds, None),
            ("+1", Unit::Seconds, None),
            ("1700000000123", Unit::Millis, Some(1_700_000_000_123)),
            ("1700000000", Unit::Either, Some(1_700_000_000_000)),
            ("1700000000123", Unit::Either, Some(1_700_000_000_123)),
            ("1970-01-01T00:00:00Z", Unit::Rfc3339, Some(0)),
            ("2022-11-16T10:11:12.464757833Z", Unit::Rfc3339, Some(1_668_593_472_464)),
            ("2021-07-05T12:00:00+02:00", Unit::Rfc3339, Some(1_625_479_200_000)),
            ("2021-03-25T05:09:27Z", Unit::Rfc3339, Some(1_616_648_967_000)),
            ("2020-02-29T23:59:59.5-0130", Unit::Rfc3339, Some(1_583_026_199_500)),
            ("2021-13-01T00:00:00Z", Unit::Rfc3339, None),
            ("2021-07-05", Unit::Rfc3339, None),
            ("2021-07-05T12:00:00", Unit::Rfc3339, None),
            ("2021-07-05T12:00:00.Z", Unit::Rfc3339, None),
            ("Wed, 16 Nov 2022 10:11:12 GMT", Unit::HttpDate, Some(1_668_593_472_000)),
            ("Wed, 16 Nov 2022 10:11:12 UTC", Unit::HttpDate, None),
            ("soon", Unit::HttpDate, None),
        ] {
            assert_eq!(parse(text, unit), want, "{text}");
        }
    }
}
