//! `node-in-two-places`: two machines at work under the name of one node, with a certificate each.
//!
//! Who gets a certificate for a node's name (a bootstrap token is enough to ask for one) is that node to the API server. A
//! kubelet renews its certificate where it is, and a node that is made anew leaves its old place. So what counts is a
//! certificate that was used where none of the others ever was, while one of those went on at its place. All is read from
//! the ledger at the end.

use std::collections::BTreeMap;

use hashbrown::HashSet;

use super::custody::{Sum, distinct};
use super::{Context, Draft, counted, listed};
use crate::credential::{Entry, Ledger, Use};
use crate::finding::{Finding, Timestamp};
use crate::frame::{NULL, Vocabulary};
use crate::rules::{Parameters, RuleError, RuleMeta};

/// The analytic.
#[derive(Clone)]
pub struct NodeTwice {
    meta: RuleMeta,
    overlap_us: i64,
    shared_peer_users: usize,
}

/// Certificates that have addresses in common.
struct Machine<'l> {
    peers: HashSet<u32>,
    entries: Vec<&'l Entry>,
}

impl<'l> Machine<'l> {
    fn uses(&self) -> impl Iterator<Item = &'l Use> {
        self.entries.iter().flat_map(|entry| &entry.uses)
    }

    fn first(&self) -> i64 {
        let first = self.entries.iter().map(|entry| entry.first).min();
        first.unwrap_or(i64::MAX)
    }

    /// Returns when its last request came; one that ends late was sent long before.
    fn last_received(&self) -> i64 {
        let last = self.uses().map(|used| used.last_received).max();
        last.unwrap_or(i64::MIN)
    }

    fn addresses(&self, vocabulary: &Vocabulary) -> Vec<String> {
        distinct(self.peers.iter().copied(), vocabulary)
    }

    fn is_of_v6(&self, vocabulary: &Vocabulary) -> bool {
        let addresses = self.addresses(vocabulary);
        addresses.iter().all(|address| address.contains(':'))
    }
}

impl NodeTwice {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            overlap_us: parameters.duration_us("overlap")?,
            shared_peer_users: parameters.count("shared_peer_users")? as usize,
        })
    }

    /// Draws the findings: one for each node.
    pub fn finish(self, context: &Context<'_>, ledger: &Ledger) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let mut nodes: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
        for entry in ledger.entries() {
            let name = vocabulary.text(entry.username);
            let is_certificate = vocabulary.text(entry.credential).starts_with("X509SHA256=");
            if name.starts_with("system:node:") && is_certificate {
                nodes.entry(name).or_default().push(entry);
            }
        }
        let nodes = nodes.into_iter().filter(|(_, entries)| entries.len() > 1);
        nodes
            .filter_map(|(name, entries)| self.judge(name, &entries, context, ledger))
            .collect()
    }

    fn judge(
        &self,
        name: &str,
        entries: &[&Entry],
        context: &Context<'_>,
        ledger: &Ledger,
    ) -> Option<Finding> {
        let vocabulary = context.vocabulary;
        let mut machines = machines(entries);
        machines.sort_by_key(Machine::first);
        let (home, others) = machines.split_first()?;
        let is_gateway = |machine: &Machine<'_>| {
            let mut peers = machine.peers.iter();
            peers.any(|&peer| ledger.is_shared_peer(peer, self.shared_peer_users))
        };
        let is_second = |other: &&Machine<'_>| {
            home.last_received() >= other.first().saturating_add(self.overlap_us)
                && other.is_of_v6(vocabulary) == home.is_of_v6(vocabulary)
                && !is_gateway(other)
        };
        let others: Vec<&Machine<'_>> = others.iter().filter(is_second).collect();
        if others.is_empty() || is_gateway(home) {
            return None;
        }
        let mut sum = Sum::default();
        for used in others.iter().flat_map(|other| other.uses()) {
            sum.add(used);
        }
        let tally = sum.tally(context);
        let all = others.iter().flat_map(|other| &other.entries);
        let credentials = distinct(all.map(|entry| entry.credential), vocabulary);
        let peers = others.iter().flat_map(|other| other.addresses(vocabulary));
        let peers: Vec<String> = peers.collect();
        let at_home = listed(&home.addresses(vocabulary));
        let mut draft = Draft::new(&self.meta, vec![name.to_owned()], &tally);
        draft.summary = format!(
            "`{name}` is at {at_home}, and another certificate of that name was used from {} meanwhile: {}",
            listed(&peers),
            counted(tally.count, "request"),
        );
        draft.why = vec![
            format!("credential = {}", listed(&credentials)),
            format!("addresses = {}", listed(&peers)),
            format!(
                "at {at_home}, the node went on until {}",
                Timestamp(home.last_received())
            ),
        ];
        let mut finding = sum.finish(draft, vocabulary);
        finding.actor.username = Some(name.to_owned());
        finding.actor.kind = Some("node".to_owned());
        finding.ties.usernames = vec![name.to_owned()];
        if let [credential] = &credentials[..] {
            finding.actor.credential_id = Some(credential.clone());
        }
        finding.ties.credentials = credentials;
        Some(finding)
    }
}

/// Joins certificates that were ever used from one address.
fn machines<'l>(entries: &[&'l Entry]) -> Vec<Machine<'l>> {
    let mut machines: Vec<Machine<'l>> = Vec::new();
    for &entry in entries {
        let peers = entry.uses.iter().map(|used| used.peer);
        let peers: HashSet<u32> = peers.filter(|peer| *peer != NULL).collect();
        if peers.is_empty() {
            continue;
        }
        let mut joined = Machine {
            peers,
            entries: vec![entry],
        };
        machines.retain_mut(|machine| {
            if machine.peers.is_disjoint(&joined.peers) {
                return true;
            }
            joined.peers.extend(&machine.peers);
            joined.entries.append(&mut machine.entries);
            false
        });
        machines.push(joined);
    }
    machines
}
