//! `pod-token-away`: where Pods are at home, and what their tokens did elsewhere.

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::super::address::{is_other_family, is_public};
use super::super::custody::distinct;
use super::super::masquerade::Masquerade;
use super::super::{Context, Draft, HOUR_US, begins, counted, listed};
use super::{Holders, SharedCredential, is_of_several_nodes};
use crate::credential::{Entry, Ledger};
use crate::detect::request::Request;
use crate::detect::tally::{Tally, Trace};
use crate::finding::{Confidence, Finding, Severity};

/// How many programs of a Pod are known.
const PROGRAMS: usize = 8;

/// What to do if a token was used from a node: who is on it has them all.
const NODE_STEP: &str = "The address is a node's: treat the tokens of all Pods on it and the credential of its kubelet as known; to delete the Pod alone is not enough. Drain the node and replace it";

/// How many of the earliest requests of a Pod are kept.
const EARLIEST: usize = 4;

/// How many tokens of a Pod are named.
const KEYS: usize = 8;

/// Where a Pod is at home: tokens that were never seen before belong there, too.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Home {
    peer: u32,
    /// When the first request from there was received.
    first: i64,
    /// The last request from there.
    pub(super) last: i64,
    /// The earliest requests from there, for as long as watches last: one that began before them elsewhere may yet end.
    earliest: Vec<Trace>,
    /// What the Pod runs.
    agents: Vec<u32>,
    /// Where a new token was first used since, and when: if the next one is, too, by a program of the Pod, and nothing came
    /// from home meanwhile, the Pod has moved.
    moved: Option<(u32, i64)>,
}

impl Home {
    pub(super) fn new(peer: u32, received: i64) -> Self {
        Self {
            peer,
            first: received,
            last: received,
            earliest: Vec::new(),
            agents: Vec::new(),
            moved: None,
        }
    }

    /// Takes in that a request had begun elsewhere before all that is known: a watch is logged when it ends, and what came
    /// meanwhile was not at home. Returns that address, and what it did.
    pub(super) fn precede(&mut self, peer: u32, received: i64) -> Option<(u32, Vec<Trace>)> {
        if peer == self.peer {
            self.first = self.first.min(received);
        }
        if peer == self.peer || received >= self.first {
            return None;
        }
        let found = std::mem::replace(self, Self::new(peer, received));
        Some((found.peer, found.earliest))
    }

    /// Keeps a request from home while it may have to be told as one from elsewhere.
    pub(super) fn keep(&mut self, request: &Request<'_>) {
        if request.ts > self.first.saturating_add(HOUR_US) {
            self.earliest = Vec::new();
        } else if request.peer_ip() == self.peer && self.earliest.len() < EARLIEST {
            self.earliest.push(Trace::of(request));
        }
    }

    /// Takes in a request with a token of the Pod; returns where that token belongs if it `is_new`.
    pub(super) fn observe(&mut self, peer: u32, agent: u32, ts: i64, is_new: bool) -> u32 {
        if peer != self.peer && is_new {
            match self.moved {
                Some((to, since))
                    if to == peer && self.last < since && self.agents.contains(&agent) =>
                {
                    (self.peer, self.moved) = (peer, None);
                }
                _ => self.moved = Some((peer, ts)),
            }
        }
        if peer == self.peer {
            self.last = self.last.max(ts);
            if self.agents.len() < PROGRAMS && !self.agents.contains(&agent) {
                self.agents.push(agent);
            }
        }
        self.peer
    }
}

/// A token of a Pod that was used elsewhere.
pub(super) struct Stray<'l> {
    entry: &'l Entry,
    home: u32,
    /// What it did there.
    tally: Tally,
    /// What speaks against a theft.
    doubts: Vec<&'static str>,
}

impl SharedCredential {
    /// Returns what a token of a Pod did elsewhere, if it was used there.
    pub(super) fn away<'l>(
        &self,
        entry: &'l Entry,
        holders: &Holders,
        (natives, masquerade): (&HashMap<u32, HashSet<u32>>, &Masquerade),
        context: &Context<'_>,
        ledger: &Ledger,
    ) -> Option<Stray<'l>> {
        let vocabulary = context.vocabulary;
        let (home, others) = holders.peers.split_first()?;
        let uses_at_home = entry.uses.iter().filter(|used| used.peer == home.code);
        let mut home_agents: Vec<u32> = uses_at_home.map(|used| used.agent).collect();
        if let Some(pod) = self.pods.get(&entry.token_pod_uid) {
            home_agents.extend(&pod.agents);
        }
        // The same program, at one new address, and never back: the Pod's sandbox was made anew.
        let mut moved = others.len() == 1 && holders.returned_home == 0;
        let is_gateway = |peer| ledger.is_shared_peer(peer, self.settings.shared_peer_users);
        let home_code = home.code;
        let home_is_gateway = is_gateway(home_code);
        let home = vocabulary.text(home_code);
        let mut all = Tally::empty();
        let mut own = false;
        for peer in others {
            let address = vocabulary.text(peer.code);
            // Where all are strangers, a thief of many tokens is as likely.
            let at_home = natives.get(&peer.code).map_or(0, HashSet::len);
            let gateway = is_of_several_nodes(peer.code, ledger, vocabulary)
                || is_gateway(peer.code)
                    && (home_is_gateway || at_home >= self.settings.shared_peer_users);
            let uses = entry.uses.iter().filter(|used| used.peer == peer.code);
            let first = uses.clone().map(|used| used.first).min();
            let first = first.unwrap_or(entry.first);
            let agents: Vec<u32> = uses.map(|used| used.agent).collect();
            let familiar = agents.iter().all(|agent| home_agents.contains(agent));
            let is_tool = |&agent: &u32| begins(vocabulary.text(agent), &self.settings.by_hand);
            let by_hand = agents.iter().any(is_tool);
            let goes_on = self.goes_on(entry.token_pod_uid, home_code, first);
            // A Pod on its host's network or behind its node; the other family of a dual stack.
            let is_near = self.nodes.contains(&peer.code)
                && !(goes_on && is_apart(entry, home_code, peer.code, ledger));
            if (is_near || is_other_family(home, address)) && familiar {
                continue;
            }
            if !by_hand && masquerade.explains(entry, home_code, peer.code) {
                continue;
            }
            moved &= familiar && !by_hand && !goes_on && !is_public(address);
            own |= !gateway;
            if let Some(strayed) = &peer.strayed {
                all.merge(Tally::clone(strayed), context);
            }
        }
        if all.count == 0 {
            return None;
        }
        let mut doubts = Vec::new();
        if moved {
            doubts.push(
                "the same program moved and never came back: perhaps the Pod's sandbox was made anew",
            );
        }
        if !own {
            doubts.push("the other address stands for many users (a gateway)");
        }
        Some(Stray {
            entry,
            home: home_code,
            tally: all,
            doubts,
        })
    }

    /// Says of each Pod that tokens of it were used elsewhere: those that it got one after the other are one story.
    pub(super) fn strayed(
        &self,
        strays: Vec<Stray<'_>>,
        context: &Context<'_>,
        ledger: &Ledger,
    ) -> Vec<Finding> {
        let mut pods: HashMap<u32, Vec<Stray<'_>>> = HashMap::new();
        for stray in strays {
            let of_pod = pods.entry(stray.entry.token_pod_uid).or_default();
            of_pod.push(stray);
        }
        let pods = pods.into_values();
        pods.map(|strays| self.of_pod(strays, context, ledger))
            .collect()
    }

    fn of_pod(
        &self,
        mut strays: Vec<Stray<'_>>,
        context: &Context<'_>,
        ledger: &Ledger,
    ) -> Finding {
        let vocabulary = context.vocabulary;
        let key = |stray: &Stray<'_>| vocabulary.text(stray.entry.credential);
        strays.sort_by(|one, other| {
            (one.tally.first, key(one)).cmp(&(other.tally.first, key(other)))
        });
        let mut all = Tally::empty();
        for stray in &strays {
            all.merge(stray.tally.clone(), context);
        }
        let Entry {
            token_pod,
            token_pod_uid,
            username,
            ..
        } = *strays[0].entry;
        let [pod, uid, username] =
            [token_pod, token_pod_uid, username].map(|code| vocabulary.text(code).to_owned());
        let homes = listed(&distinct(strays.iter().map(|stray| stray.home), vocabulary));
        let mut draft = Draft::new(&self.away, vec![uid.clone()], &all);
        let (tokens, belong) = match strays.len() {
            1 => ("the token".to_owned(), ["belongs", "was"]),
            n => (counted(n as u64, "token"), ["belong", "were"]),
        };
        let [belong, were] = belong;
        draft.summary = format!(
            "{tokens} of Pod `{pod}` (`{username}`) {belong} at {homes} and {were} used from {}: {}, {} served",
            listed(&all.peers(vocabulary)),
            counted(all.count, "request"),
            all.succeeded,
        );
        let keys = strays.iter().take(KEYS);
        draft.why = keys
            .map(|stray| format!("credential = {}", key(stray)))
            .collect();
        if let Some(more) = strays.len().checked_sub(KEYS).filter(|&more| more > 0) {
            draft.why.push(format!("and {more} more"));
        }
        draft.why.push(format!("pod-uid = {uid}"));
        draft.why.push(format!("home = {homes}"));
        // What clears one token clears no other.
        if strays.iter().all(|stray| !stray.doubts.is_empty()) {
            draft.severity = Severity::Low;
            draft.confidence = Confidence::Low;
            let mut doubts: Vec<&str> = strays.iter().flat_map(|it| &it.doubts).copied().collect();
            doubts.sort_unstable();
            doubts.dedup();
            draft.why.extend(doubts.into_iter().map(str::to_owned));
        }
        let of_nodes = self.of_nodes(&strays, &all, context, ledger);
        let is_of_node = !of_nodes.is_empty();
        draft.why.extend(of_nodes);
        let mut finding = draft.finish(vocabulary);
        if is_of_node {
            let at = finding.next_steps.len().min(1);
            finding.next_steps.insert(at, NODE_STEP.to_owned());
        }
        finding.ties.credentials = strays.iter().map(|stray| key(stray).to_owned()).collect();
        finding
    }

    /// Says which of the addresses are those of nodes.
    fn of_nodes(
        &self,
        strays: &[Stray<'_>],
        all: &Tally,
        context: &Context<'_>,
        ledger: &Ledger,
    ) -> Vec<String> {
        let vocabulary = context.vocabulary;
        let own = vocabulary.text(strays[0].entry.token_node);
        let mut found = Vec::new();
        for address in all.peers(vocabulary) {
            let peer = vocabulary.find(&address);
            let Some(peer) = peer.filter(|peer| self.nodes.contains(peer)) else {
                continue;
            };
            let nodes = ledger.nodes_at(peer, vocabulary);
            let names = nodes.filter_map(|user| vocabulary.text(user).strip_prefix("system:node:"));
            let mut names: Vec<String> = names.map(str::to_owned).collect();
            names.sort_unstable();
            if !own.is_empty() && names.iter().any(|name| name == own) {
                found.push(format!("{address} = the node {own}, on which the Pod runs"));
            } else if !names.is_empty() {
                found.push(format!("{address} = the node {}", listed(&names)));
            }
        }
        found
    }

    /// Returns whether a Pod sent requests from `home` after a token of it had come up elsewhere at `ts`.
    fn goes_on(&self, pod: u32, home: u32, ts: i64) -> bool {
        let late = ts.saturating_add(self.settings.longest_request_us);
        self.pods
            .get(&pod)
            .is_some_and(|pod| pod.peer == home && pod.last > late)
    }
}

/// Returns whether a token was at `peer` alone, and no other one of its Pod both there and at `home`: what a Pod sends by way
/// of its node has the node's address some of the time, whatever the token.
fn is_apart(entry: &Entry, home: u32, peer: u32, ledger: &Ledger) -> bool {
    let was_at = |entry: &Entry, peer: u32| entry.uses.iter().any(|used| used.peer == peer);
    let mut of_pod = ledger.of_pod(entry.token_pod);
    entry.uses.iter().all(|used| used.peer == peer)
        && !of_pod.any(|other| {
            other.token_pod_uid == entry.token_pod_uid && was_at(other, peer) && was_at(other, home)
        })
}

/// Returns the users of each address with a credential that was used there first.
pub(super) fn natives(
    holders: &HashMap<u32, Holders>,
    ledger: &Ledger,
) -> HashMap<u32, HashSet<u32>> {
    let mut natives: HashMap<u32, HashSet<u32>> = HashMap::new();
    for (&credential, holders) in holders {
        if let (Some(home), Some(entry)) = (holders.peers.first(), ledger.entry(credential)) {
            let users = natives.entry(home.code).or_default();
            users.insert(entry.username);
        }
    }
    natives
}
