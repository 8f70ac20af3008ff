//! `proxied-names-elsewhere`: users whom a proxy names, named from another address as well.
//!
//! An authenticating proxy logs people on and tells the API server their names in headers, which it may since it has a client
//! certificate of the front proxy's CA. Whoever has that key is whom he likes; the log shows the name and no credential
//! (kubernetes/apiserver `pkg/authentication/request/headerrequest`). So what counts is that several such users are at two
//! addresses, there and back within minutes, one of which is nobody's own. Where no event has an id of a certificate the
//! server is older than 1.32, and all people are without one.

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::{Context, Draft, counted, lasting, listed};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::Finding;
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct ProxiedNames {
    meta: RuleMeta,
    window_us: i64,
    least_users: usize,
    least_requests: u64,
    /// Whether some event has the id of a certificate.
    has_ids: bool,
    users: HashMap<u32, User>,
    /// By home and other address.
    pairs: HashMap<(u32, u32), Pair>,
    /// Whether a user's credential has no id, by its code.
    named_only: HashMap<u32, bool>,
}

remembers!(
    ProxiedNames: [has_ids, users, pairs],
    anew [meta, window_us, least_users, least_requests, named_only]
);

#[derive(Clone, Serialize, Deserialize)]
struct User {
    home: u32,
    last_at_home: i64,
    requests_at_home: u64,
    /// Where else, and when last, since the last request from home.
    away: Vec<(u32, i64)>,
}

/// What users of one address did at another.
#[derive(Clone, Serialize, Deserialize)]
struct Pair {
    tally: Tally,
    /// Those who were there and back.
    both: BTreeSet<u32>,
}

/// Other addresses that are known of a user between two requests from home.
const AWAY: usize = 8;

impl ProxiedNames {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            window_us: parameters.duration_us("window")?,
            least_users: parameters.count("least_users")? as usize,
            least_requests: u64::from(parameters.count("least_requests")?),
            has_ids: false,
            users: HashMap::new(),
            pairs: HashMap::new(),
            named_only: HashMap::new(),
        })
    }

    /// Forgets users that were not seen since `gone`, and what was done before a time.
    pub fn forget(&mut self, before: i64, gone: i64) {
        self.pairs.retain(|_, pair| pair.tally.last >= before);
        self.users.retain(|_, user| user.last_at_home >= gone);
    }

    /// Takes in a request whose credential was accepted, in order of time.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        if request.credential_kind() == known::X509 {
            self.has_ids = true;
            return;
        }
        let peer = request.peer_ip();
        if request.identity_kind() != known::USER || peer == NULL {
            return;
        }
        let (credential, kind) = (request.credential(), request.credential_kind());
        let vocabulary = context.vocabulary;
        if !*self.named_only.entry(credential).or_insert_with(|| {
            vocabulary.text(kind) == "unknown" && vocabulary.text(credential).starts_with("user:")
        }) {
            return;
        }
        let ts = request.began();
        let user = self
            .users
            .entry(request.username())
            .or_insert_with(|| User {
                home: peer,
                last_at_home: ts,
                requests_at_home: 0,
                away: Vec::new(),
            });
        if peer == user.home {
            for (other, since) in user.away.drain(..) {
                if ts - since <= self.window_us
                    && let Some(pair) = self.pairs.get_mut(&(peer, other))
                {
                    pair.both.insert(request.username());
                }
            }
            user.last_at_home = user.last_at_home.max(ts);
            user.requests_at_home += 1;
            return;
        }
        if user.requests_at_home < self.least_requests || ts - user.last_at_home > self.window_us {
            return;
        }
        match user.away.iter().position(|(other, _)| *other == peer) {
            Some(at) => user.away[at].1 = ts.max(user.away[at].1),
            None if user.away.len() < AWAY => user.away.push((peer, ts)),
            None => return,
        }
        let pair = self.pairs.entry((user.home, peer));
        let pair = pair.or_insert_with(|| Pair {
            tally: Tally::empty(),
            both: BTreeSet::new(),
        });
        pair.tally.add(request, context);
    }

    /// Draws the findings: one for each pair of addresses.
    pub fn finish(self, context: &Context<'_>) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        if !self.has_ids {
            return Vec::new();
        }
        let homes: HashSet<u32> = self.users.values().map(|user| user.home).collect();
        // A second proxy is where some of its users are seen first.
        let pairs = self.pairs.iter().filter(|((_, other), pair)| {
            pair.both.len() >= self.least_users && !homes.contains(other)
        });
        pairs
            .map(|(&places, pair)| self.finding(places, pair, vocabulary))
            .collect()
    }

    fn finding(&self, (home, other): (u32, u32), pair: &Pair, vocabulary: &Vocabulary) -> Finding {
        let [home, other] = [home, other].map(|code| vocabulary.text(code).to_owned());
        let tally = &pair.tally;
        let mut draft = Draft::new(&self.meta, vec![home.clone(), other.clone()], tally);
        draft.summary = format!(
            "{} that come from {home} were named from {other} as well ({}): {} with {}",
            counted(pair.both.len() as u64, "user"),
            listed(&tally.usernames(vocabulary)),
            counted(tally.count, "request"),
            listed(&tally.agents(vocabulary)),
        );
        draft.why = vec![
            "their requests have no id of a credential, while certificates have one in this log"
                .to_owned(),
            format!(
                "users at both addresses within {}, there and back = {}",
                lasting(self.window_us),
                pair.both.len()
            ),
            format!("no such user was first seen at {other}"),
        ];
        draft.finish(vocabulary)
    }
}
