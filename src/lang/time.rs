//! Durations (`10m`, `1h30m`) and moments (RFC 3339) as text.

/// Nanoseconds. Numbers with units, each once and in falling order, without spaces.
pub fn duration(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 6] = [
        ("h", 3_600_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
    ];
    let mut rest = text;
    let (mut total, mut above) = (0u64, u64::MAX);
    while !rest.is_empty() {
        let digits = rest.find(|symbol: char| !symbol.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let (unit, nanoseconds) = UNITS.iter().find(|(unit, _)| rest[digits..].starts_with(unit))?;
        if *nanoseconds >= above {
            return None;
        }
        above = *nanoseconds;
        total = total.checked_add(number.checked_mul(*nanoseconds)?)?;
        rest = &rest[digits + unit.len()..];
    }
    (!text.is_empty()).then_some(total)
}

/// Seconds since 1970: `epoch`, digits, or RFC 3339 (fractions of a second are dropped).
pub fn moment(text: &str) -> Option<u64> {
    match text {
        "epoch" => Some(0),
        digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok()
        }
        _ => rfc3339(text),
    }
}

fn rfc3339(text: &str) -> Option<u64> {
    let (date, rest) = text.split_at_checked(10)?;
    let (clock, zone) = rest.strip_prefix(['T', 't'])?.split_at_checked(8)?;
    let [year, month, day] = fields(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = fields(clock, ':', [2, 2, 2])?;
    let days_in_month = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days_in_month).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    u64::try_from(seconds - offset(zone)?).ok()
}

fn fields(text: &str, separator: char, lengths: [usize; 3]) -> Option<[i64; 3]> {
    let parts: Vec<&str> = text.split(separator).collect();
    let parts: [&str; 3] = parts.try_into().ok()?;
    let mut numbers = [0; 3];
    for ((number, part), length) in numbers.iter_mut().zip(parts).zip(lengths) {
        if part.len() != length || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    Some(numbers)
}

/// Seconds east of UTC, after an optional fraction.
fn offset(zone: &str) -> Option<i64> {
    let zone = match zone.strip_prefix('.') {
        Some(fraction) => {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 {
                return None;
            }
            &fraction[digits..]
        }
        None => zone,
    };
    let sign = match zone.chars().next()? {
        'Z' | 'z' if zone.len() == 1 => return Some(0),
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let [hour, minute, _] = fields(&format!("{}:00", &zone[1..]), ':', [2, 2, 2])?;
    (hour <= 23 && minute <= 59).then_some(sign * (hour * 3600 + minute * 60))
}

/// Days from 1970-01-01 in the Gregorian calendar: years begin in March, so that leap days come last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        const SECOND: u64 = 1_000_000_000;
        for (text, expected) in [
            ("10m", Some(600 * SECOND)),
            ("1h30m", Some(5400 * SECOND)),
            ("500ms", Some(SECOND / 2)),
            ("30s", Some(30 * SECOND)),
            ("1s500ms", Some(3 * SECOND / 2)),
            ("0s", Some(0)),
            ("", None),
            ("10", None),
            ("m", None),
            ("1m1m", None),
            ("1s1m", None),
            ("1 m", None),
            ("-1s", None),
            ("1x", None),
            ("99999999999999999999h", None),
            ("9999999999h", None),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
    }

    #[test]
    fn moments() {
        for (text, expected) in [
            ("epoch", Some(0)),
            ("1700000000", Some(1_700_000_000)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00Z", Some(951_825_600)),
            ("2026-11-28T14:30:00.25+01:00", Some(1_795_872_600)),
            ("1969-12-31T23:59:59Z", None),
            ("1969-12-31T23:30:00-01:00", Some(1800)),
            ("2023-02-29T00:00:00Z", None),
            ("2023-13-01T00:00:00Z", None),
            ("2023-01-01 00:00:00Z", None),
            ("2023-01-01T00:00:00", None),
            ("2023-01-01T00:00:00é", None),
            ("", None),
        ] {
            assert_eq!(moment(text), expected, "{text}");
        }
    }
}
