//! Clocks: how times are shown. The zone is always seen, so that times of two zones are never mixed up.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Datelike, Local, Offset, TimeZone, Utc};

use crate::finding::words;

/// Which zone times are shown in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Clock {
    /// UTC, as in the log.
    #[default]
    Utc,
    /// The zone of this machine.
    Local,
}

/// Returns the time now, in microseconds since the Unix epoch.
pub fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}

impl Clock {
    /// Returns the other one.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Utc => Self::Local,
            Self::Local => Self::Utc,
        }
    }

    /// Shows day and time to the millisecond, as `2026-11-22 04:55:35.123Z`; 0 is no time.
    ///
    /// Units: microseconds since the Unix epoch.
    pub fn show(self, time_us: i64) -> String {
        self.format(time_us, "%Y-%m-%d %H:%M:%S%.3f")
    }

    /// Shows the time of the day, as `04:55:35.123Z`.
    pub fn show_short(self, time_us: i64) -> String {
        self.format(time_us, "%H:%M:%S%.3f")
    }

    /// Shows day and time to the second without the year, as `11-22 04:55:35Z`, where there is little room.
    pub fn show_narrow(self, time_us: i64) -> String {
        self.format(time_us, "%m-%d %H:%M:%S")
    }

    /// Shows the same with the year, as `2026-11-22 04:55:35Z`.
    pub fn show_dated(self, time_us: i64) -> String {
        self.format(time_us, "%Y-%m-%d %H:%M:%S")
    }

    /// Returns the year.
    pub fn year(self, time_us: i64) -> i32 {
        let time = DateTime::from_timestamp_micros(time_us).unwrap_or_default();
        match self {
            Self::Utc => time.year(),
            Self::Local => time.with_timezone(&Local).year(),
        }
    }

    /// Says from when to when, and how long that is: `2026-11-22 04:55:35Z to 05:02:11Z, 6 min`.
    pub fn span(self, from: i64, to: i64) -> String {
        let second = |time: i64| time.div_euclid(1_000_000);
        let start = self.format(from, "%Y-%m-%d %H:%M:%S");
        if second(from) == second(to) || from == 0 || to == 0 {
            return start;
        }
        let day = |time: i64| self.format(time, "%Y-%m-%d");
        let pattern = if day(from) == day(to) {
            "%H:%M:%S"
        } else {
            "%Y-%m-%d %H:%M:%S"
        };
        let lasting = words::lasting(to.saturating_sub(from));
        format!("{start} to {}, {lasting}", self.format(to, pattern))
    }

    fn format(self, time_us: i64, pattern: &str) -> String {
        match self {
            Self::Utc => zoned(&Utc, time_us, &format!("{pattern}Z")),
            Self::Local => zoned(&Local, time_us, &format!("{pattern}%:z")),
        }
    }
}

fn zoned<Z: TimeZone>(zone: &Z, time_us: i64, pattern: &str) -> String
where
    Z::Offset: std::fmt::Display + Offset,
{
    if time_us == 0 {
        return "at no known time".to_owned();
    }
    match DateTime::from_timestamp_micros(time_us) {
        Some(time) => time.with_timezone(zone).format(pattern).to_string(),
        None => format!("{time_us}us"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: i64 = 1_795_323_335_123_456;

    #[test]
    fn the_zone_is_always_seen() {
        assert_eq!(Clock::Utc.show(TIME), "2026-11-22 04:55:35.123Z");
        assert_eq!(Clock::Utc.show_short(TIME), "04:55:35.123Z");
        assert_eq!(Clock::Utc.show_dated(TIME), "2026-11-22 04:55:35Z");
        assert_eq!(Clock::Utc.year(TIME), 2026);
        let local = Clock::Local.show(TIME);
        let parsed = DateTime::parse_from_str(&local, "%Y-%m-%d %H:%M:%S%.3f%:z").unwrap();
        assert_eq!(parsed.timestamp_millis(), TIME / 1000);
    }

    #[test]
    fn spans_name_the_day_once() {
        let check = |to: i64, expected: &str| assert_eq!(Clock::Utc.span(TIME, to), expected);
        check(TIME, "2026-11-22 04:55:35Z");
        check(
            TIME + 400_000_000,
            "2026-11-22 04:55:35Z to 05:02:15Z, 6 min",
        );
        check(
            TIME + 86_400_000_000,
            "2026-11-22 04:55:35Z to 2026-11-23 04:55:35Z, 24 h",
        );
        check(0, "2026-11-22 04:55:35Z");
    }

    #[test]
    fn no_time_is_no_panic() {
        for time in [0, i64::MIN, i64::MAX, -1] {
            for clock in [Clock::Utc, Clock::Local] {
                assert!(!clock.show(time).is_empty());
                assert!(!clock.span(time, TIME).is_empty());
            }
        }
    }
}
