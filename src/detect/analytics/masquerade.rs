//! Pods that have two addresses: their own, and that of their node.
//!
//! Some networks (flannel, canal, Calico with outgoing NAT) send what a Pod asks of an API server on another node under the
//! address of its own node, and what it asks of one on the same node under its own. Where API servers run beside Pods, a
//! token of a Pod is in both places at once. A thief on a node does the same with what he finds there; so this counts only
//! if Pods of several nodes are seen to.

use hashbrown::{HashMap, HashSet};

use crate::credential::{Entry, Ledger};
use crate::frame::{NULL, Vocabulary};

/// So many Pods at one address make it a node's, where the log does not name the node of a token (before Kubernetes 1.30).
const PODS_OF_NODE: usize = 3;

/// With that node's name in their tokens, so many do.
const NAMED_PODS_OF_NODE: usize = 2;

/// Where Pods and nodes are.
pub struct Masquerade {
    residents: HashMap<u32, Residents>,
    /// By the name of a node: where it was first seen.
    nodes: HashMap<u32, u32>,
    is_seen: bool,
}

/// Whose credentials were used at an address.
#[derive(Default)]
struct Residents {
    /// Uids of Pods, with the node that their tokens name.
    pods: HashSet<(u32, u32)>,
    has_others: bool,
}

impl Masquerade {
    /// Looks through a ledger.
    pub fn new(ledger: &Ledger, vocabulary: &Vocabulary) -> Self {
        let mut found = Self {
            residents: HashMap::new(),
            nodes: HashMap::new(),
            is_seen: false,
        };
        let mut first: HashMap<u32, i64> = HashMap::new();
        for entry in ledger.entries() {
            let node = vocabulary.text(entry.username).strip_prefix("system:node:");
            let node = node.and_then(|node| vocabulary.find(node));
            for used in &entry.uses {
                let residents = found.residents.entry(used.peer).or_default();
                if entry.token_pod_uid == NULL {
                    residents.has_others = true;
                } else {
                    let pod = (entry.token_pod_uid, entry.token_node);
                    residents.pods.insert(pod);
                }
                if let Some(node) = node {
                    let since = first.entry(node).or_insert(i64::MAX);
                    if used.first < *since {
                        *since = used.first;
                        found.nodes.insert(node, used.peer);
                    }
                }
            }
        }
        let pods = ledger.entries().iter();
        let pods = pods.filter(|entry| entry.token_pod_uid != NULL && entry.uses.len() > 1);
        let at_nodes: HashSet<u32> = pods
            .filter_map(|entry| {
                let mut peers = entry.uses.iter().map(|used| used.peer);
                let node = peers.clone().find(|&peer| found.is_of_node(entry, peer))?;
                peers.any(|peer| found.is_own(entry, peer)).then_some(node)
            })
            .collect();
        found.is_seen = at_nodes.len() > 1;
        found
    }

    /// Returns whether the network sends requests of Pods under other addresses than their own.
    pub(super) fn is_seen(&self) -> bool {
        self.is_seen
    }

    /// Returns whether two addresses at which a Pod's token was used are that Pod's own and its node's, as far as the rest of
    /// the log shows.
    pub(super) fn explains(&self, entry: &Entry, one: u32, other: u32) -> bool {
        let is_pair = |pod, node| self.is_own(entry, pod) && self.is_of_node(entry, node);
        self.is_seen && (is_pair(one, other) || is_pair(other, one))
    }

    /// Returns whether nobody else was ever at an address.
    fn is_own(&self, entry: &Entry, peer: u32) -> bool {
        self.residents.get(&peer).is_some_and(|residents| {
            let mut pods = residents.pods.iter();
            !residents.has_others && pods.all(|&(uid, _)| uid == entry.token_pod_uid)
        })
    }

    /// Returns whether an address is that of the node on which a Pod runs.
    fn is_of_node(&self, entry: &Entry, peer: u32) -> bool {
        let pods = self.residents.get(&peer).map(|residents| &residents.pods);
        if entry.token_node == NULL {
            return self.nodes.values().any(|&node| node == peer)
                || pods.is_some_and(|pods| pods.len() >= PODS_OF_NODE);
        }
        let of_node = |pods: &HashSet<(u32, u32)>| {
            let of_node = pods.iter().filter(|(_, node)| *node == entry.token_node);
            of_node.count() >= NAMED_PODS_OF_NODE
        };
        self.nodes.get(&entry.token_node) == Some(&peer) || pods.is_some_and(of_node)
    }
}
