//! `impossible-concurrency`: one credential in two places at one time.
//!
//! A watch, an exec or a log that is followed stays open. While it is, its client is where it came from; so another
//! address that acts with the same credential meanwhile is another holder. What looks alike: a laptop that
//! moves leaves open requests behind that the server notices dead within minutes, or not before a watch ends by the timeout
//! that it was asked for. So the open one has to outlast the other by longer than that, and a watch that ended by its timeout
//! to be opened again at once; or its client has to come back and overlap again and again; or, less surely, to act itself
//! after the other did.

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::address::{are_neighbours, is_other_family};
use super::masquerade::Masquerade;
use super::{Context, Draft, HOUR_US, counted, lasting};
use crate::credential::{Entry, Ledger};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::detect::view;
use crate::finding::{Confidence, Finding, Severity, Timestamp};
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct Concurrency {
    meta: RuleMeta,
    least_open_us: i64,
    linger_us: i64,
    alive_us: i64,
    least_overlaps: usize,
    shared_peer_users: usize,
    by_design: Vec<(String, String)>,
    /// Per credential and pair of addresses: the one with the open request, and the other.
    overlaps: HashMap<(u32, u32, u32), Overlaps>,
}

remembers!(
    Concurrency: [overlaps],
    anew [meta, least_open_us, linger_us, alive_us, least_overlaps, shared_peer_users, by_design]
);

#[derive(Clone, Serialize, Deserialize)]
struct Overlaps {
    open: Tally,
    /// The longest that an open request outlasted the other's first request by.
    longest: i64,
    /// How often a request was opened after the other had acted, and overlapped with it again.
    count: usize,
    last_other: i64,
    /// Of watches that ended by their timeout, so that their client may have been gone before: when the one did that
    /// outlasted the other for longest, and by how much.
    timed_out: Option<(i64, i64)>,
    /// Whether the open one's client sent something after the other did.
    alive: bool,
    agent: u32,
}

impl Overlaps {
    /// Notes that the open one's client sent a request: if it does so as soon as a watch has timed out, it was there.
    fn confirm(&mut self, received: i64) {
        if let Some((ended, outlasted)) = self.timed_out
            && (ended - SLACK_US..=ended + REOPENED_US).contains(&received)
        {
            self.longest = self.longest.max(outlasted);
            self.timed_out = None;
        }
    }
}

/// A client whose watch has timed out opens it again within this, in microseconds.
const REOPENED_US: i64 = 60_000_000;

/// How much earlier than its timeout a watch may end by it, and clocks may differ, in microseconds.
const SLACK_US: i64 = 1_000_000;

/// The least that the API server gives a watch without a timeout (kubernetes/apiserver, `--min-request-timeout`), in seconds.
const LEAST_TIMEOUT: i64 = 1_800;

/// An address is known if it came so much earlier than another one, in microseconds.
const KNOWN_US: i64 = HOUR_US;

/// How many pairs are remembered.
const PAIRS: usize = 4096;

impl Concurrency {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        let by_design = parameters.strings("by_design")?.into_iter().map(|text| {
            let (username, agent) = text.split_once(" with ").unwrap_or((&text, ""));
            (username.to_owned(), agent.to_owned())
        });
        Ok(Self {
            meta: meta.clone(),
            least_open_us: parameters.duration_us("least_open")?,
            linger_us: parameters.duration_us("linger")?,
            alive_us: parameters.duration_us("alive")?,
            least_overlaps: parameters.count("least_overlaps")? as usize,
            shared_peer_users: parameters.count("shared_peer_users")? as usize,
            by_design: by_design.collect(),
            overlaps: HashMap::new(),
        })
    }

    /// Forgets the pairs of which nothing is new since `before`.
    pub fn forget(&mut self, before: i64) {
        self.overlaps
            .retain(|_, overlaps| overlaps.open.last >= before);
    }

    /// Returns the credentials of all pairs.
    pub fn credentials(&self) -> impl Iterator<Item = u32> {
        self.overlaps.keys().map(|pair| pair.0)
    }

    /// Takes in a request whose credential was accepted and that is over; the ledger holds it already.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>, ledger: &Ledger) {
        // Only what was open for long can tell, and that is little.
        if request.ts - request.received < self.least_open_us || !request.is_final() {
            return;
        }
        let vocabulary = context.vocabulary;
        let (peer, received) = (request.peer_ip(), request.received);
        let key = vocabulary.text(request.credential());
        // Whatever else has no id may be several credentials.
        let is_exact = key.starts_with("JTI=") || key.starts_with("X509SHA256=");
        let Some(entry) = ledger.entry(request.credential()).filter(|_| is_exact) else {
            return;
        };
        if peer == NULL || entry.uses.iter().all(|used| used.peer == peer) {
            return;
        }
        if self.is_by_design(request, vocabulary) {
            return;
        }
        let here = entry.uses.iter().filter(|used| used.peer == peer);
        let last_here = here
            .map(|used| used.last_received)
            .max()
            .unwrap_or(received);
        let has_timed_out = has_timed_out(request);
        for used in entry
            .uses
            .iter()
            .filter(|used| used.peer != peer && used.peer != NULL)
        {
            let pair = (request.credential(), peer, used.peer);
            if let Some(overlaps) = self.overlaps.get_mut(&pair) {
                overlaps.confirm(received);
            }
            // It sent a request after this one was opened, and before it was over.
            if used.last_received <= received || used.last_received >= request.ts {
                continue;
            }
            if self.overlaps.len() >= PAIRS && !self.overlaps.contains_key(&pair) {
                continue;
            }
            let overlaps = self.overlaps.entry(pair).or_insert_with(|| Overlaps {
                open: Tally::empty(),
                longest: 0,
                count: 0,
                last_other: i64::MIN,
                timed_out: None,
                alive: false,
                agent: used.agent,
            });
            if received > overlaps.last_other {
                overlaps.count += 1;
                overlaps.last_other = used.last_received;
            }
            let is_alive = last_here > used.last_received;
            overlaps.alive |= is_alive;
            // What it did before this was opened says nothing of when it came.
            let outlasted = if used.first >= received {
                request.ts - used.first
            } else {
                request.ts - used.last_received
            };
            if is_alive || !has_timed_out {
                overlaps.longest = overlaps.longest.max(outlasted);
            } else if overlaps
                .timed_out
                .is_none_or(|(_, known)| known < outlasted)
            {
                overlaps.timed_out = Some((request.ts, outlasted));
            }
            overlaps.open.add(request, context);
        }
    }

    fn is_by_design(&self, request: &Request<'_>, vocabulary: &Vocabulary) -> bool {
        let [username, agent] =
            [request.username(), request.user_agent()].map(|code| vocabulary.text(code));
        let mut known = self.by_design.iter();
        known.any(|(user, start)| user == username && agent.starts_with(start))
    }

    /// Draws the findings; `known` are credentials that others speak of.
    pub fn finish(
        self,
        context: &Context<'_>,
        ledger: &Ledger,
        known: &HashSet<String>,
        masquerade: &Masquerade,
    ) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let mut pairs: Vec<((u32, u32, u32), Overlaps)> = self.overlaps.into_iter().collect();
        let texts = |pair: (u32, u32, u32)| {
            let (credential, open, other) = pair;
            [credential, open, other].map(|code| vocabulary.text(code))
        };
        pairs.sort_by(|a, b| texts(a.0).cmp(&texts(b.0)));
        let mut findings = Vec::new();
        let mut said: HashSet<u32> = HashSet::new();
        for (pair, mut overlaps) in pairs {
            let [key, open, other] = texts(pair);
            let entry = ledger.entry(pair.0);
            // A watch that is open at the end of the log.
            let uses = entry.into_iter().flat_map(|entry| &entry.uses);
            for used in uses.filter(|used| used.peer == pair.1) {
                overlaps.confirm(used.last_received);
            }
            let is_long = overlaps.longest > self.linger_us;
            let is_gateway = |peer: u32| ledger.is_shared_peer(peer, self.shared_peer_users);
            let is_sure = is_long || overlaps.count >= self.least_overlaps;
            let is_likely = overlaps.alive && overlaps.longest >= self.alive_us;
            let is_explained = is_gateway(pair.1)
                || is_gateway(pair.2)
                || entry.is_none_or(|entry| {
                    are_one_gateway(entry, pair, ledger, vocabulary, masquerade)
                })
                || entry.is_some_and(|entry| masquerade.explains(entry, pair.1, pair.2))
                || said.contains(&pair.0);
            if is_explained || !(is_sure || is_likely) {
                continue;
            }
            said.insert(pair.0);
            let mut tally = overlaps.open.clone();
            let others = entry.into_iter().flat_map(|entry| &entry.uses);
            let others = others
                .filter(|used| used.peer == pair.2)
                .map(|used| &used.sighting);
            tally.add_sightings(others, context);
            let mut draft = Draft::new(&self.meta, vec![key.to_owned()], &tally);
            if !is_sure {
                draft.severity = Severity::Medium;
                draft.confidence = Confidence::Medium;
            }
            let who = vocabulary.text(entry.map_or(NULL, |entry| entry.username));
            draft.summary = format!(
                "the credential of `{who}` held {} open from {open} while {other} acted with it{}",
                counted(overlaps.open.count, "long request"),
                entry
                    .and_then(|entry| newcomer(entry, pair, ledger, vocabulary))
                    .unwrap_or_default(),
            );
            draft.why = vec![
                format!("credential = {key}"),
                format!(
                    "the one at {open} outlasted what came from {other} by {}",
                    lasting(overlaps.longest)
                ),
                format!("program at {other}: {}", vocabulary.text(overlaps.agent)),
            ];
            match overlaps.count.saturating_sub(1) {
                0 => {}
                1 => (draft.why).push("came back and overlapped once more".to_owned()),
                n => (draft.why).push(format!("came back and overlapped {n} times more")),
            }
            if overlaps.alive {
                draft
                    .why
                    .push(format!("{open} went on acting after {other} did"));
            }
            if known.contains(key) {
                draft.severity = Severity::Informational;
                draft.why.push(
                    "another finding says that the credential is shared: this one adds that it was in both places at once"
                        .to_owned(),
                );
            }
            let mut finding = draft.finish(vocabulary);
            finding.source.ips = vec![open.to_owned(), other.to_owned()];
            finding.source.ips.sort_unstable();
            findings.push(finding);
        }
        findings
    }
}

/// Says which of two addresses is the newcomer, if the other one was known for long.
fn newcomer(
    entry: &Entry,
    (_, open, other): (u32, u32, u32),
    ledger: &Ledger,
    vocabulary: &Vocabulary,
) -> Option<String> {
    let is_same = |it: &&Entry| match entry.token_pod_uid {
        NULL => it.username == entry.username,
        uid => it.token_pod_uid == uid,
    };
    let first = |peer: u32| {
        let entries = ledger.of_username(entry.username).filter(is_same);
        let uses = entries.flat_map(|entry| &entry.uses);
        let here = uses.filter(|used| used.peer == peer);
        here.map(|used| used.first).min()
    };
    let (one, two) = (first(open)?, first(other)?);
    let (old, since, new) = if one < two {
        (open, one, other)
    } else {
        (other, two, open)
    };
    (one.abs_diff(two) >= KNOWN_US.unsigned_abs()).then(|| {
        let [old, new] = [old, new].map(|code| vocabulary.text(code));
        format!("; {old} is known since {}, {new} is new", Timestamp(since))
    })
}

/// Returns whether two addresses may be one gateway's. Neighbours are, but for two of one family of a token that is bound to a
/// Pod, where the network does not rewrite sources: a node hands the addresses of one network to its Pods.
fn are_one_gateway(
    entry: &Entry,
    (_, open, other): (u32, u32, u32),
    ledger: &Ledger,
    vocabulary: &Vocabulary,
    masquerade: &Masquerade,
) -> bool {
    let is_of_pod = entry.token_pod_uid != NULL && !masquerade.is_seen();
    let is_of_node = |peer: u32| ledger.nodes_at(peer, vocabulary).next().is_some();
    let [one, two] = [open, other].map(|code| vocabulary.text(code));
    are_neighbours([one, two])
        && (!is_of_pod || is_other_family(one, two) || is_of_node(open) || is_of_node(other))
}

/// Returns whether a request is a watch that ended by its timeout: the server ends it then, be there a client or not.
fn has_timed_out(request: &Request<'_>) -> bool {
    let timeout = view::parameter(request.request_uri(), "timeoutSeconds");
    let seconds = timeout.and_then(|seconds| seconds.parse().ok());
    let least = seconds.unwrap_or(LEAST_TIMEOUT).saturating_mul(1_000_000);
    request.verb() == known::WATCH && request.ts - request.received >= least - SLACK_US
}
