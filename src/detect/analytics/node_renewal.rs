//! `node-certificate-asked-elsewhere`: a certificate in a node's name, asked for where the node is not.
//!
//! A kubelet asks for its next certificate from where it is, with the one that it has. Whoever copied that one renews it as
//! well, and is the node until the next one ends, whatever becomes of the first. So what counts is a signing request of a
//! node from an address where others are at home (a Pod, another node), or of the internet, while the node itself was at its
//! own address before and after.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::address::is_public;
use super::custody::{distinct, is_of_pods, others_at};
use super::{Context, Draft, counted, listed};
use crate::credential::{Ledger, Use};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::{Finding, Timestamp};
use crate::frame::NULL;
use crate::frame::vocabulary::known;
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct NodeRenewal {
    meta: RuleMeta,
    shared_peer_users: usize,
    /// By node and address.
    asked: BTreeMap<(u32, u32), Tally>,
}

remembers!(NodeRenewal: [asked], anew [meta, shared_peer_users]);

/// Pairs of node and address that are remembered.
const KEPT: usize = 16_384;

impl NodeRenewal {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            shared_peer_users: parameters.count("shared_peer_users")? as usize,
            asked: BTreeMap::new(),
        })
    }

    /// Forgets what was asked for before a time.
    pub fn forget(&mut self, before: i64) {
        self.asked.retain(|_, tally| tally.last >= before);
    }

    /// Takes in a request on a certificate signing request.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let is_asked = request.verb() == known::CREATE
            && request.identity_kind() == known::NODE
            && request.imp_username() == NULL
            && request.subresource() == NULL;
        let peer = request.peer_ip();
        if !is_asked || !request.succeeded() || peer == NULL {
            return;
        }
        let place = (request.username(), peer);
        if self.asked.len() < KEPT || self.asked.contains_key(&place) {
            let tally = self.asked.entry(place).or_insert_with(Tally::empty);
            tally.add(request, context);
        }
    }

    /// Draws the findings: one for each node and address.
    pub fn finish(self, context: &Context<'_>, ledger: &Ledger) -> Vec<Finding> {
        let asked = self.asked.iter();
        asked
            .filter_map(|(&(node, peer), tally)| self.judge((node, peer), tally, context, ledger))
            .collect()
    }

    fn judge(
        &self,
        (node, peer): (u32, u32),
        tally: &Tally,
        context: &Context<'_>,
        ledger: &Ledger,
    ) -> Option<Finding> {
        let vocabulary = context.vocabulary;
        let [name, address] = [node, peer].map(|code| vocabulary.text(code));
        let places = || ledger.of_username(node).flat_map(|entry| &entry.uses);
        let is_shared = |peer: u32| ledger.is_shared_peer(peer, self.shared_peer_users);
        let is_home = |used: &&Use| {
            used.peer != peer
                && used.peer != NULL
                && used.first < tally.began
                && used.last_received > tally.first
                && vocabulary.text(used.peer).contains(':') == address.contains(':')
                && !is_shared(used.peer)
        };
        let home: Vec<&Use> = places().filter(is_home).collect();
        let count = |here: bool| -> u64 {
            let there = places().filter(|used| (used.peer == peer) == here);
            there.map(|used| used.count).sum()
        };
        // What runs on the node itself may come by another way: a Pod that has its network, a balancer beside the kubelet. But
        // who has the node's key may mint tokens of its Pods, later.
        let hostname = name.strip_prefix("system:node:").unwrap_or(name);
        let entries = ledger.usernames_of(peer).iter();
        let mut entries = entries.flat_map(|&user| ledger.of_username(user));
        let is_on_node = entries.any(|entry| {
            vocabulary.text(entry.token_node) == hostname
                && entry
                    .uses
                    .iter()
                    .any(|used| used.peer == peer && used.first < tally.began)
        });
        let is_loopback = address
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback());
        if home.is_empty()
            || is_on_node
            || is_loopback
            || is_shared(peer)
            || count(true) >= count(false)
        {
            return None;
        }
        let at_home = distinct(home.iter().map(|used| used.peer), vocabulary);
        let another = ledger.nodes_at(peer, vocabulary).find(|&it| it != node);
        let whose = if let Some(another) = another {
            format!("{address} is where {} is", vocabulary.text(another))
        } else if is_of_pods(peer, node, ledger, vocabulary) {
            let accounts = distinct(others_at(peer, node, ledger), vocabulary);
            format!("{address} is where a Pod of {} is", listed(&accounts))
        } else if is_public(address) && !at_home.iter().any(|home| is_public(home)) {
            format!("{address} is an address of the internet")
        } else {
            return None;
        };
        let mut draft = Draft::new(&self.meta, vec![name.to_owned(), address.to_owned()], tally);
        let last = home.iter().map(|used| used.last_received).max()?;
        draft.summary = format!(
            "`{name}` is at {}, and somebody asked for {} in its name from {address} with {}",
            listed(&at_home),
            counted(tally.count, "certificate"),
            listed(&tally.agents(vocabulary)),
        );
        draft.why = vec![
            whose,
            format!(
                "at {} the node went on until {}",
                listed(&at_home),
                Timestamp(last)
            ),
        ];
        Some(draft.finish(vocabulary))
    }
}
