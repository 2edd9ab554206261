//! Time as the API writes it. The clock itself is always the caller's.

/// The time of a change, in Unix milliseconds: later than the one before, because it tells whether there was another.
pub(crate) fn after(now_ms: u64, before_ms: u64) -> u64 {
    now_ms.max(before_ms.saturating_add(1))
}

/// `2026-11-21T02:58:39.123Z` for Unix milliseconds.
pub fn rfc3339(ms: u64) -> String {
    let (days, of_day) = (ms / DAY_MS, ms % DAY_MS);
    let (year, month, day) = civil(days);
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, milli) = (of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// The pause a `Retry-After` header asks for, in milliseconds from `now_ms`: delta-seconds or an HTTP date
/// ([RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)). `None` when it is neither.
pub fn retry_after_ms(value: &str, now_ms: u64) -> Option<u64> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has are the longest pause there is.
        return Some(value.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1000));
    }
    Some(http_date_ms(value)?.saturating_sub(now_ms))
}

/// Unix milliseconds of `2026-11-21T02:58:39.123Z`, or with an offset ([RFC 3339](https://www.rfc-editor.org/rfc/rfc3339)); a
/// date alone is its midnight. `None` when it is no such time, or before 1970.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let text = text.trim();
    let number = |text: Option<&str>| {
        text?
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then_some(())
            .and_then(|()| text?.parse::<u64>().ok())
    };
    let (year, month, day) =
        (number(text.get(0..4))?, number(text.get(5..7))?, number(text.get(8..10))?);
    let fits = text.get(4..5)? == "-" && text.get(7..8)? == "-";
    if !fits
        || !(1970..=9999).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=days_of(year, month)).contains(&day)
    {
        return None;
    }
    let midnight = days(year, month, day) * DAY_MS;
    let Some(rest) = text.get(10..).filter(|rest| !rest.is_empty()) else { return Some(midnight) };
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (hour, minute) = (number(rest.get(0..2))?, number(rest.get(3..5))?);
    let (second, rest) = match rest.get(5..6) {
        Some(":") => (number(rest.get(6..8))?, rest.get(8..)?),
        _ => (0, rest.get(5..)?),
    };
    if 23 < hour || 59 < minute || 60 < second {
        return None;
    }
    let (milli, zone) = match rest.strip_prefix('.') {
        Some(fraction) => {
            let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
            let (digits, zone) = fraction.split_at_checked(end)?;
            let padded: String = digits.chars().chain("000".chars()).take(3).collect();
            (padded.parse::<u64>().ok().filter(|_| !digits.is_empty())?, zone)
        }
        None => (0, rest),
    };
    let time = midnight + hour * 3_600_000 + minute * 60_000 + second * 1000 + milli;
    let offset = |text: &str| {
        Some((number(text.get(1..3))? * 60 + number(text.get(4..6))?) * 60_000)
            .filter(|_| text.len() == 6)
    };
    match zone.get(0..1) {
        None | Some("Z" | "z") if zone.len() <= 1 => Some(time),
        Some("+") => time.checked_sub(offset(zone)?),
        Some("-") => Some(time + offset(zone)?),
        _ => None,
    }
}

const DAY_MS: u64 = 86_400_000;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that senders may still write.
fn http_date_ms(text: &str) -> Option<u64> {
    let (_, date) = text.split_once(", ")?;
    let mut parts = date.split(' ');
    let mut next = || parts.next();
    let (day, month, year, time, zone) = (next()?, next()?, next()?, next()?, next()?);
    let month = (1u64..).zip(MONTHS).find(|(_, name)| *name == month)?.0;
    let mut clock = time.split(':').map(|part| part.parse::<u64>().ok().filter(|n| *n <= 60));
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let (day, year) = (day.parse::<u64>().ok()?, year.parse::<u64>().ok()?);
    if zone != "GMT" || hour > 23 || !(1..=31).contains(&day) || !(1970..=9999).contains(&year) {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds * 1000)
}

/// How many days a month has.
fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01, by [Hinnant's algorithm](https://howardhinnant.github.io/date_algorithms.html): years
/// begin in March, so that the leap day is the last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of [`days`].
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        assert_eq!(rfc3339(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(rfc3339(951_868_799_000), "2000-02-29T23:59:59.000Z");
        assert_eq!(rfc3339(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
        rfc3339(u64::MAX);
    }

    #[test]
    fn every_day_is_the_inverse_of_its_date() {
        for day in 0..100_000 {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = 1_445_412_470_000;
        assert_eq!(retry_after_ms("120", now), Some(120_000));
        assert_eq!(retry_after_ms("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(10_000));
        assert_eq!(retry_after_ms("Wed, 21 Oct 2015 07:27:00 GMT", now), Some(0));
        assert_eq!(retry_after_ms("99999999999999999999", now), Some(u64::MAX));
        assert_eq!(retry_after_ms("soon", now), None);
        for bad in [
            "-1",
            "",
            "Wed, 21 Foo 2015 07:28:00 GMT",
            "Wed, 21 Oct 2015 27:28:00 GMT",
            "Wed, 21 Oct 2015",
            ", ",
        ] {
            assert_eq!(retry_after_ms(bad, now), None, "{bad}");
        }
    }
}
