//! RFC 3339 times and Unix microseconds, in the form that logs have.

/// The Unix microseconds of `2026-01-31T12:00:00[.123456](Z|+01:00)`.
///
/// `None` for anything else, also for what RFC 3339 allows beside it (leap seconds, more digits, lower case): that is
/// for a slower reader.
pub fn parse(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() < 20 || bytes[4] != b'-' || bytes[7] != b'-' || bytes[10] != b'T' {
        return None;
    }
    if bytes[13] != b':' || bytes[16] != b':' {
        return None;
    }
    let (year, month, day) = (
        number(&bytes[..4])?,
        number(&bytes[5..7])?,
        number(&bytes[8..10])?,
    );
    let (hour, minute, second) = (
        number(&bytes[11..13])?,
        number(&bytes[14..16])?,
        number(&bytes[17..19])?,
    );
    let is_date = (1900..=9998).contains(&year) && day >= 1 && day <= days_in(year, month)?;
    if !is_date || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut rest = &bytes[19..];
    let mut micros = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if !(1..=6).contains(&digits) {
            return None;
        }
        micros = number(&fraction[..digits])? * 10_i64.pow(6 - digits as u32);
        rest = &fraction[digits..];
    }
    let offset = match *rest {
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[h1, h2])?, number(&[m1, m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if sign == b'-' { -60 } else { 60 }
        }
        _ => return None,
    };
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some((seconds - offset) * 1_000_000 + micros)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, byte| {
        byte.is_ascii_digit()
            .then(|| sum * 10 + i64::from(byte - b'0'))
    })
}

fn days_in(year: i64, month: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => Some(28 + i64::from(is_leap)),
        4 | 6 | 9 | 11 => Some(30),
        1..=12 => Some(31),
        _ => None,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar: years are counted from March, so that the leap day comes
/// last (standard).
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + of_year - 719_468
}

/// Year, month and day, days after 1970-01-01: the inverse of [`days_since_1970`] (standard).
fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year + u64::from(month >= 10);
    (year, (month + 2) % 12 + 1, day)
}

/// Appends `2026-01-31T12:00:00.123456Z`, without the fraction if it is 0.
pub fn write(unix_us: u64, out: &mut Vec<u8>) {
    let (seconds, micros) = (unix_us / 1_000_000, unix_us % 1_000_000);
    let (year, month, day) = date_of(seconds / 86_400);
    let fields = [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (seconds / 3600 % 24, 2, b':'),
        (seconds / 60 % 60, 2, b':'),
        (seconds % 60, 2, b'.'),
        (micros, 6, b'Z'),
    ];
    for (value, width, end) in fields {
        if end == b'Z' && micros == 0 {
            out.pop();
        } else {
            let power = |place| 10_u64.pow(place);
            out.extend(
                (0..width)
                    .rev()
                    .map(|p| b'0' + (value / power(p) % 10) as u8),
            );
        }
        out.push(end);
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, write};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same_time(unix_us in 0..253_370_764_800_000_000_u64) {
            let mut text = Vec::new();
            write(unix_us, &mut text);
            prop_assert_eq!(parse(std::str::from_utf8(&text).unwrap()), Some(unix_us as i64));
        }
    }

    #[test]
    fn times_are_microseconds_since_1970() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T23:59:59.5+00:30", Some(951_866_999_500_000)),
            ("1969-12-31T23:59:59.999999-00:00", Some(-1)),
            ("2026-01-31T12:00:00.000001Z", Some(1_769_860_800_000_001)),
            ("2026-02-29T00:00:00Z", None),
            ("2026-01-01T00:00:60Z", None),
            ("2026-01-01T00:00:00.1234567Z", None),
            ("2026-01-01T00:00:00", None),
            ("2026-01-01 00:00:00Z", None),
            ("2026-01-01T00:00:00.Z", None),
            ("2026-01-01T00:00:00+24:00", None),
            ("2026-01-01T00:00:00é", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
