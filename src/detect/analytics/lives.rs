//! Lives: how long and how much each identity was there, for what has to be compared with its past.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

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
}

/// All identities of the log, anonymous ones included; those without a name are none.
///
/// Memory: 40 bytes per identity.
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
            requests: 0,
            buckets: 0,
        });
        let past = *life;
        let is_later = ts.div_euclid(BUCKET_US) > life.last.div_euclid(BUCKET_US);
        life.buckets += u32::from(is_later || life.requests == 0);
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
