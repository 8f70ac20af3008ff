//! `token-reuse-after-deletion`: a credential whose object is gone goes on being used.
//!
//! Two kinds of proof. A use after the deletion that is **served** names its credential itself: by the
//! Secret's name, the uid, the Pod's uid or the token's id. For about ten seconds that is the API
//! server's token cache and no more; past the grace it is a credential that should not work. A use
//! that is **refused** (401) names nobody: it is tied to the dead credential by address and program that
//! the credential was used with before, and the more surely if the path is one it asked for.
//!
//! One refused request or two, and clients that come back with a new token of the same user, are the
//! noise of rollouts and do not count. What a Pod does until its container ends, after it was deleted by force or with its
//! namespace, is no more than a trace.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::{Context, Draft, begins, counted, lasting, listed};
use crate::credential::death::CACHE_US;
use crate::credential::{Death, Deaths, Entry, Ledger};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::{Confidence, Finding, Severity};
use crate::frame::Vocabulary;
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct TokenReuse {
    meta: RuleMeta,
    grace_us: i64,
    tie_us: i64,
    least_refused: u64,
    least_served: u64,
    shared_peer_users: usize,
    recovery_us: i64,
    last_breath_us: i64,
    settled_us: i64,
    by_hand: Vec<String>,
    after: HashMap<Key, Box<After>>,
    /// Clients that were refused, and what they are tied to.
    waiting: HashMap<Client, Vec<Key>>,
}

remembers!(
    TokenReuse: [after, waiting],
    anew [meta, grace_us, tie_us, least_refused, least_served, shared_peer_users, recovery_us, last_breath_us, settled_us, by_hand]
);

/// How much there is after a death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// What every rollout shows.
    Noise,
    /// Served from the cache, and no more: somebody should know.
    Trace,
    /// The credential stayed in use.
    Reuse,
    /// It even works.
    Proved,
}

/// Dead credential and index of its death.
type Key = (u32, usize);

/// Address and user agent.
type Client = (u32, u32);

/// What came after a death.
#[derive(Clone, Default, Serialize, Deserialize)]
struct After {
    served: Option<Tally>,
    late: u64,
    /// When the first of the late ones was received.
    first_late: Option<i64>,
    refused: Option<Tally>,
    same_path: u64,
    ambiguous: bool,
    /// Clients that were refused, and those of them that were accepted again later.
    clients: Vec<Client>,
    by_peer: Vec<(u32, u64)>,
    recovered: Vec<Client>,
}

impl After {
    /// Returns until when the credential was refused, if it was served again after that only: what it hung on is back as it
    /// was then, with its uid, and nothing but a restore of etcd does that.
    fn refused_until(&self) -> Option<i64> {
        let last = self.refused.as_ref()?.last;
        self.first_late.filter(|&first| last < first).map(|_| last)
    }
}

impl TokenReuse {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new(meta: &RuleMeta, parameters: &Parameters) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            grace_us: parameters.duration_us("grace")?,
            tie_us: parameters.duration_us("tie_window")?,
            least_refused: parameters.count("least_refused")?.into(),
            least_served: parameters.count("least_served")?.into(),
            shared_peer_users: parameters.count("shared_peer_users")? as usize,
            recovery_us: parameters.duration_us("recovery")?,
            last_breath_us: parameters.duration_us("last_breath")?,
            settled_us: parameters.duration_us("settled")?,
            by_hand: parameters.strings("by_hand")?,
            after: HashMap::new(),
            waiting: HashMap::new(),
        })
    }

    /// Forgets what ended before a time; the deaths stay, and what comes after them later begins again.
    pub fn forget(&mut self, before: i64) {
        self.after.retain(|_, after| {
            let mut tallies = [&after.served, &after.refused].into_iter().flatten();
            tallies.any(|tally| tally.last >= before)
        });
        self.waiting.retain(|_, keys| {
            keys.retain(|key| self.after.contains_key(key));
            !keys.is_empty()
        });
    }

    /// Returns the credentials that findings may speak of.
    pub fn credentials(&self) -> impl Iterator<Item = u32> {
        self.after.keys().map(|key| key.0)
    }

    /// Returns the numbers of the deaths after which something came.
    pub fn deaths(&self) -> impl Iterator<Item = usize> {
        self.after.keys().map(|key| key.1)
    }

    /// Takes in one request; returns whether it is a refusal tied to a dead credential.
    pub fn observe(
        &mut self,
        request: &Request<'_>,
        context: &Context<'_>,
        ledger: &Ledger,
        deaths: &mut Deaths,
    ) -> bool {
        if deaths.is_empty() {
            return false;
        }
        if request.code == 401 {
            return self.observe_refused(request, context, ledger, deaths);
        }
        if request.authenticated() {
            self.observe_accepted(request, context, ledger, deaths);
        }
        false
    }

    fn observe_accepted(
        &mut self,
        request: &Request<'_>,
        context: &Context<'_>,
        ledger: &Ledger,
        deaths: &mut Deaths,
    ) {
        let Some((index, death)) = deaths.of(request.credential()) else {
            self.note_recovery(request, ledger);
            return;
        };
        // What was received before the deletion was right: a watch may end long after.
        if request.received <= death.ts {
            return;
        }
        let late = request.received > death.ts + self.grace_us;
        // Before 1.24 all Secret tokens of a ServiceAccount have one key: this one is another.
        let key = context.vocabulary.text(request.credential());
        if late && key.starts_with("legacy:") {
            self.after.remove(&(request.credential(), index));
            deaths.disprove(request.credential());
            return;
        }
        let after = self.after.entry((request.credential(), index)).or_default();
        if late && death.is_gone {
            after.late += 1;
            after.first_late = after.first_late.or(Some(request.received));
        }
        add(&mut after.served, request, context);
    }

    /// A client that was refused comes back as the same user with a credential that lives.
    fn note_recovery(&mut self, request: &Request<'_>, ledger: &Ledger) {
        let client = (request.peer_ip(), request.user_agent());
        let Some(keys) = self.waiting.get_mut(&client) else {
            return;
        };
        keys.retain(|&key| {
            let Some(after) = self.after.get_mut(&key) else {
                return false;
            };
            let last = after.refused.as_ref().map_or(i64::MIN, |tally| tally.last);
            let same_user = ledger
                .entry(key.0)
                .is_some_and(|entry| entry.username == request.username());
            if same_user && request.ts <= last.saturating_add(self.recovery_us) {
                after.recovered.push(client);
            }
            !same_user
        });
    }

    fn observe_refused(
        &mut self,
        request: &Request<'_>,
        context: &Context<'_>,
        ledger: &Ledger,
        deaths: &Deaths,
    ) -> bool {
        let client = (request.peer_ip(), request.user_agent());
        let mut live = false;
        let mut dead: Option<(usize, u32, bool)> = None;
        for entry in ledger.of_client(client.0, client.1) {
            let Some((index, death)) = deaths.of(entry.credential) else {
                live = true;
                continue;
            };
            let in_time = (death.ts..=death.ts + self.tie_us).contains(&request.received);
            if !in_time || dead.is_some_and(|(known, ..)| known > index) {
                continue;
            }
            let same_path = entry
                .uses
                .iter()
                .any(|used| used.was_served(request.path()));
            dead = Some((index, entry.credential, same_path));
        }
        let Some((index, credential, same_path)) = dead else {
            return false;
        };
        let after = self.after.entry((credential, index)).or_default();
        after.same_path += u64::from(same_path);
        after.ambiguous |= live;
        if !after.clients.contains(&client) {
            after.clients.push(client);
        }
        after.recovered.retain(|known| *known != client);
        match after.by_peer.iter_mut().find(|(peer, _)| *peer == client.0) {
            Some((_, count)) => *count += 1,
            None => after.by_peer.push((client.0, 1)),
        }
        let waiting = self.waiting.entry(client).or_default();
        if !waiting.contains(&(credential, index)) {
            waiting.push((credential, index));
        }
        add(&mut after.refused, request, context);
        true
    }

    /// Returns how many refusals of each address the findings to come explain.
    pub fn tied(
        &self,
        ledger: &Ledger,
        deaths: &Deaths,
        vocabulary: &Vocabulary,
    ) -> HashMap<u32, u64> {
        let mut tied: HashMap<u32, u64> = HashMap::new();
        for (key, after) in &self.after {
            if self.weight(*key, after, ledger, deaths, vocabulary) != Weight::Noise {
                for &(peer, count) in &after.by_peer {
                    *tied.entry(peer).or_default() += count;
                }
            }
        }
        tied
    }

    /// Weighs what came after a death.
    fn weight(
        &self,
        key: Key,
        after: &After,
        ledger: &Ledger,
        deaths: &Deaths,
        vocabulary: &Vocabulary,
    ) -> Weight {
        let death = deaths.get(key.1);
        let served = after.served.as_ref().map_or(0, |tally| tally.count);
        let refused = after.refused.as_ref().map_or(0, |tally| tally.count);
        if let Some((index, newer)) = deaths.of(key.0)
            && index != key.1
            && newer.object.starts_with("pods ")
        {
            // Its Pod died later, so it lived until then: it drained, and its ServiceAccount may have
            // gone before it. What ends with the Pod is the Pod's own.
            let last = after.refused.as_ref().map_or(i64::MIN, |tally| tally.last);
            if last <= newer.ts + CACHE_US {
                return Weight::Noise;
            }
        }
        let recovered = !after.clients.is_empty()
            && after
                .clients
                .iter()
                .all(|client| after.recovered.contains(client));
        if after.late > 0 {
            Weight::Proved
        } else if recovered {
            Weight::Noise
        } else if refused > 0
            && self.is_last_breath(after, death)
            && self.is_settled(ledger.entry(key.0), death, vocabulary)
        {
            Weight::Trace
        } else if refused >= self.least_refused {
            Weight::Reuse
        } else if served >= self.least_served && death.is_gone {
            // It was in use when it died and stopped at once, or nearly so.
            if refused > 0 {
                Weight::Reuse
            } else {
                Weight::Trace
            }
        } else {
            Weight::Noise
        }
    }

    /// Returns whether what came after the death of a Pod, or with its namespace, is over by the time at which the kubelet has
    /// ended its container.
    fn is_last_breath(&self, after: &After, death: &Death) -> bool {
        let mut tallies = [&after.served, &after.refused].into_iter().flatten();
        (death.is_of_pod() || death.is_of_all())
            && tallies.all(|tally| tally.last <= death.ts + self.last_breath_us)
    }

    /// Returns whether a credential was used for a while before its death already, only by the same programs, at the same
    /// addresses, and not by hand: as a Pod does.
    fn is_settled(&self, entry: Option<&Entry>, death: &Death, vocabulary: &Vocabulary) -> bool {
        let mut uses = entry.into_iter().flat_map(|entry| &entry.uses);
        uses.all(|used| {
            used.first <= death.ts - self.settled_us
                && !begins(vocabulary.text(used.agent), &self.by_hand)
        })
    }

    /// Draws the findings.
    pub fn finish(self, context: &Context<'_>, ledger: &Ledger, deaths: &Deaths) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (&(credential, index), after) in &self.after {
            let weight = self.weight(
                (credential, index),
                after,
                ledger,
                deaths,
                context.vocabulary,
            );
            if weight == Weight::Noise {
                continue;
            }
            let Some(entry) = ledger.entry(credential) else {
                continue;
            };
            let death = deaths.get(index);
            let mut found = finding(&self.meta, entry, death, after, self.grace_us, context);
            let shared = |&(peer, _): &Client| ledger.is_shared_peer(peer, self.shared_peer_users);
            let doubtful = after.served.is_none()
                && (after.ambiguous || after.clients.iter().any(shared))
                && after.same_path == 0;
            if weight == Weight::Trace || doubtful {
                found.severity = Severity::Low;
            }
            findings.push(found);
        }
        findings
    }
}

fn add(tally: &mut Option<Tally>, request: &Request<'_>, context: &Context<'_>) {
    tally.get_or_insert_with(Tally::empty).add(request, context);
}

fn finding(
    meta: &RuleMeta,
    entry: &Entry,
    death: &Death,
    after: &After,
    grace_us: i64,
    context: &Context<'_>,
) -> Finding {
    let vocabulary = context.vocabulary;
    let mut all = Tally::empty();
    for tally in [&after.served, &after.refused].into_iter().flatten() {
        all.merge(tally.clone(), context);
    }
    let owner = vocabulary.text(entry.username);
    let key = vocabulary.text(entry.credential);
    let mut draft = Draft::new(meta, vec![key.to_owned(), death.object.clone()], &all);
    draft.window_start = death.ts;
    let mut parts = Vec::new();
    let mut why = vec![format!(
        "{} by `{}`",
        deletion(death),
        vocabulary.text(death.by)
    )];
    if let Some(served) = &after.served {
        let last = lasting(served.last - death.ts);
        parts.push(format!(
            "{} served until {last} after",
            counted(served.count, "request")
        ));
        why.push(format!(
            "proved: {} accepted after the deletion name this credential by {}",
            counted(served.count, "request"),
            proof(entry, vocabulary),
        ));
        if let Some(until) = after.refused_until() {
            why.push(format!(
                "refused until {} after the deletion, and only then served again: the object is back as it was, as after a restore of etcd",
                lasting(until - death.ts)
            ));
        } else if after.late > 0 {
            draft.severity = Severity::Critical;
            why.push(format!(
                "{} of them later than the grace of {}",
                after.late,
                lasting(grace_us)
            ));
        } else {
            why.push("all within the grace in which the API server remembers a token".to_owned());
        }
    }
    if let Some(refused) = &after.refused {
        parts.push(format!("{} refused", refused.count));
        draft.confidence = match (
            after.served.is_some() || after.same_path > 0,
            after.ambiguous,
        ) {
            (true, false) => Confidence::High,
            (true, true) | (false, false) => Confidence::Medium,
            (false, true) => Confidence::Low,
        };
        why.push(format!(
            "tied: {} with 401 from the address and program of this credential ({}), {} of them on paths it had asked for",
            counted(refused.count, "request"),
            listed(&refused.peers(vocabulary)),
            after.same_path,
        ));
        draft.blind_spots.push(
            "a 401 does not name its credential; from another address or program it cannot be tied"
                .to_owned(),
        );
    }
    if death.recreated {
        why.push(
            "an object of the same name was made again: its new credentials are not meant"
                .to_owned(),
        );
    }
    draft.summary = format!(
        "the credential of `{owner}` went on being used after {}: {}",
        deletion(death),
        parts.join(", ")
    );
    draft.why = why;
    let mut finding = draft.finish(vocabulary);
    finding.actor.username = Some(owner.to_owned());
    finding.actor.kind =
        Some("serviceaccount".to_owned()).filter(|_| owner.contains(":serviceaccount:"));
    finding.actor.credential_id = Some(key.to_owned());
    finding
}

fn deletion(death: &Death) -> String {
    format!("{} was deleted", death.called_in("`"))
}

fn proof(entry: &Entry, vocabulary: &Vocabulary) -> &'static str {
    let key = vocabulary.text(entry.credential);
    if key.starts_with("JTI=") {
        "the token's id"
    } else if key.starts_with("secret:") {
        "the Secret's name"
    } else if key.starts_with("pod:") {
        "the Pod's uid"
    } else if key.contains("system:bootstrap:") {
        "the bootstrap token's id"
    } else {
        "the owner's uid"
    }
}
