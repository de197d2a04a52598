//! How long is waited, how often is tried again, and when: pure rules, no clock and no sleeping in them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The limits of waiting. There is none on the whole of a transfer, only on a time without progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patience {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For the head of an answer, counted from the last byte that was sent.
    pub answer: Duration,
    /// For an answer to what a server must first read back as a whole: the end of an upload.
    pub commit: Duration,
    /// For the next bytes of a body.
    pub stall: Duration,
    /// How often in all, without any progress between.
    pub tries: u32,
    /// Before the second try; twice as long before each further one.
    pub first_pause: Duration,
    /// Between two tries. A server that asks for more (`Retry-After`) is not waited for at all.
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            connect: Duration::from_secs(15),
            answer: Duration::from_secs(60),
            commit: Duration::from_secs(600),
            stall: Duration::from_secs(30),
            tries: 5,
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(60),
        }
    }
}

impl Patience {
    /// Before the next try after that many failures; `None`: give up. `asked` is the server's wish. `chance` from 0 to
    /// 1 spreads those who failed together: half of the pause is left to it.
    pub(in crate::net) fn pause(
        &self,
        failures: u32,
        asked: Option<Duration>,
        chance: f64,
    ) -> Option<Duration> {
        if failures >= self.tries || asked.is_some_and(|asked| asked > self.longest_pause) {
            return None;
        }
        let doubled = self.first_pause.saturating_mul(1 << failures.saturating_sub(1).min(16));
        let spread = doubled.min(self.longest_pause).mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0));
        Some(spread.max(asked.unwrap_or_default()))
    }
}

/// A number that is new each time, from 0 to 1. Of no use for secrets.
pub(in crate::net) fn chance() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    let bits = RandomState::new().hash_one(0) >> 11;
    bits as f64 / (1u64 << 53) as f64
}

/// `Retry-After`: seconds, or a date (RFC 9110, 10.2.3).
pub(in crate::net) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let now = now.duration_since(UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(date(value)?).saturating_sub(now))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`; the two obsolete forms are not read.
fn date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.strip_suffix(" GMT")?.split(' ');
    let day: u64 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let year: u64 = words.next()?.parse().ok().filter(|year| (1970..10_000).contains(year))?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let mut part = || clock.next().flatten();
    let seconds = part()? * 3600 + part()? * 60 + part()?;
    // Years begin in March, so that the day that only some have is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day.checked_sub(1)?;
    days.checked_sub(719_468).map(|days| days * 86_400 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end() {
        let patience = Patience {
            tries: 4,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_millis(350),
            ..Patience::default()
        };
        let milliseconds = |failures, asked: Option<u64>, chance| {
            let asked = asked.map(Duration::from_millis);
            patience.pause(failures, asked, chance).map(|pause| pause.as_millis() as u64)
        };
        for (failures, asked, chance, expected) in [
            (1, None, 1.0, Some(100)),
            (1, None, 0.0, Some(50)),
            (2, None, 1.0, Some(200)),
            (3, None, 1.0, Some(350)),
            (4, None, 1.0, None),
            (1, Some(300), 1.0, Some(300)),
            (1, Some(10), 1.0, Some(100)),
            (1, Some(351), 1.0, None),
        ] {
            assert_eq!(milliseconds(failures, asked, chance), expected, "{failures} {asked:?} {chance}");
        }
        assert!(Patience { tries: u32::MAX, ..patience }.pause(1_000_000, None, 0.5).is_some());
    }

    #[test]
    fn chances_differ() {
        let drawn: Vec<f64> = (0..8).map(|_| chance()).collect();
        assert!(drawn.iter().all(|chance| (0.0..1.0).contains(chance)));
        assert!(drawn.iter().any(|chance| *chance != drawn[0]));
    }

    #[test]
    fn what_servers_ask_for() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 5);
        for (value, expected) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(5)),
            ("Sun, 06 Nov 1994 08:49:30 GMT", Some(0)),
            ("Tue, 29 Feb 2000 00:00:00 GMT", Some(951_782_400 - 784_111_772)),
            ("-1", None),
            ("soon", None),
            ("Sun, 00 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49 GMT", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, now), expected.map(Duration::from_secs), "{value}");
        }
    }
}
