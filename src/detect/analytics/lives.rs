//! Lives: how long and how much each identity was there, for what has to be compared with its past.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::{DAY_US, HOUR_US};
use crate::detect::request::Request;

/// User and whom it impersonates.
pub(super) type Who = (u32, u32);

/// Buckets in which an identity is there or not: as long as the rates' buckets.
pub(super) const BUCKET_US: i64 = 300_000_000;

/// What an identity did up to some request.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Life {
    /// Its first request.
    pub(super) first: i64,
    /// Its last request.
    pub(super) last: i64,
    /// Requests.
    pub(super) requests: u64,
    /// Buckets of time with a request, the last one included.
    pub(super) buckets: u32,
    /// Hours with a request (bit 0 is 00:00 to 01:00 UTC): of the days before the last one, and of that.
    hours: u32,
    hours_of_last_day: u32,
}

impl Life {
    /// Returns whether nothing was done about this hour on any earlier day, while there were such days.
    pub(super) fn is_out_of_hours(&self, ts: i64) -> bool {
        let is_later_day = ts.div_euclid(DAY_US) > self.last.div_euclid(DAY_US);
        let known = if is_later_day {
            self.hours | self.hours_of_last_day
        } else {
            self.hours
        };
        let hour = hour(ts);
        // Three hours to either side: a few days do not show all hours of somebody's work.
        let mut about = (21..=27).map(|by| 1_u32 << ((hour + by) % 24));
        known != 0 && about.all(|bit| known & bit == 0)
    }

    /// Notes the hour of a request.
    fn note_hour(&mut self, ts: i64) {
        if ts.div_euclid(DAY_US) > self.last.div_euclid(DAY_US) {
            self.hours |= self.hours_of_last_day;
            self.hours_of_last_day = 0;
        }
        self.hours_of_last_day |= 1 << hour(ts);
    }
}

/// Returns the hour of the day, UTC.
fn hour(ts: i64) -> u32 {
    let hour = ts.rem_euclid(DAY_US) / HOUR_US;
    u32::try_from(hour).expect("a day has 24 hours")
}

/// All identities of the log, anonymous ones included; those without a name are none.
///
/// Memory: 48 bytes per identity.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Lives {
    by_who: HashMap<Who, Life>,
    first: Option<i64>,
    last: i64,
}

/// An identity and its life before the request at hand; without requests if that is its first.
#[derive(Debug, Clone, Copy)]
pub struct Past {
    pub(super) who: Who,
    pub(super) life: Life,
}

impl Lives {
    /// Takes in one request, in order of time; returns who made it, with the life until then.
    pub fn live(&mut self, request: &Request<'_>) -> Past {
        let (who, ts) = (who(request), request.ts);
        // Without a time there is no place in a life.
        if ts == 0 {
            let life = self.of(who);
            return Past { who, life };
        }
        self.first.get_or_insert(ts);
        self.last = self.last.max(ts);
        let life = self.by_who.entry(who).or_insert(Life {
            first: ts,
            last: ts,
            ..Life::default()
        });
        let past = *life;
        let is_later = ts.div_euclid(BUCKET_US) > life.last.div_euclid(BUCKET_US);
        life.buckets += u32::from(is_later || life.requests == 0);
        life.note_hour(ts);
        life.requests += 1;
        life.last = life.last.max(ts);
        Past { who, life: past }
    }

    /// Returns the whole life of an identity.
    pub(super) fn of(&self, who: Who) -> Life {
        self.by_who.get(&who).copied().unwrap_or_default()
    }

    /// Returns how long the log is, in microseconds.
    pub(super) fn span_us(&self) -> i64 {
        self.last - self.first.unwrap_or(self.last)
    }
}

/// Returns what an identity is called in a sentence.
pub(super) fn called(username: &str, impersonated: &str) -> String {
    match (username, impersonated) {
        ("", _) => "somebody without a name".to_owned(),
        (username, "") => format!("`{username}`"),
        (username, impersonated) => format!("`{username}` as `{impersonated}`"),
    }
}

/// Returns who made a request.
pub(super) fn who(request: &Request<'_>) -> Who {
    (request.username(), request.imp_username())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_those_of_earlier_days() {
        let mut life = Life::default();
        let at = |day: i64, hour: i64| day * DAY_US + hour * HOUR_US;
        assert!(!life.is_out_of_hours(at(0, 3)), "there was no day before");
        for (day, hour) in [(0, 9), (0, 16), (1, 12), (2, 3)] {
            life.note_hour(at(day, hour));
            life.last = at(day, hour);
        }
        for (hour, expected) in [
            (3, true),
            (8, false),
            (10, false),
            (14, false),
            (19, false),
            (20, true),
        ] {
            assert_eq!(life.is_out_of_hours(at(2, hour)), expected, "{hour}");
        }
        assert!(
            !life.is_out_of_hours(at(3, 2)),
            "it is an hour of the day before"
        );
    }
}
