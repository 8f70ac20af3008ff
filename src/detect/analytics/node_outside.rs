//! `node-outside-nodes`: a node's credential used in a network where no node is, while the node goes on at home.
//!
//! One request is enough, where `shared-credential` waits for ways back. A node with two addresses has both from its first
//! minutes on, and a network of which several nodes have an address is one of nodes. What comes from the internet
//! is told by `node-from-internet`, unless the nodes are there themselves. All is read from the ledger at the end.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashSet;

use super::address::{is_public, network};
use super::custody::{Sum, distinct};
use super::{Context, Draft, counted, listed};
use crate::credential::{Ledger, Use};
use crate::finding::{Finding, Severity, Timestamp};
use crate::frame::Vocabulary;
use crate::frame::derived::identity_kind;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// The analytic.
#[derive(Clone)]
pub struct NodeOutside {
    meta: RuleMeta,
    overlap_us: i64,
    settled_us: i64,
    shared_peer_users: usize,
}

/// The uses of a node's credentials, each with its network.
struct Node<'l> {
    name: &'l str,
    uses: Vec<(String, &'l Use)>,
}

impl NodeOutside {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            overlap_us: parameters.duration_us("overlap")?,
            settled_us: parameters.duration_us("settled")?,
            shared_peer_users: parameters.count("shared_peer_users")? as usize,
        })
    }

    /// Draws the findings: one for each node; those whose credential is in `shared` others tell of.
    pub fn finish(
        self,
        context: &Context<'_>,
        ledger: &Ledger,
        shared: &HashSet<String>,
    ) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let mut by_name: BTreeMap<&str, Vec<(String, &Use)>> = BTreeMap::new();
        for entry in ledger.entries() {
            let name = vocabulary.text(entry.username);
            if name.starts_with("system:node:")
                && !shared.contains(vocabulary.text(entry.credential))
            {
                let uses = entry.uses.iter();
                let uses =
                    uses.filter_map(|used| Some((network(vocabulary.text(used.peer))?, used)));
                by_name.entry(name).or_default().extend(uses);
            }
        }
        let nodes = by_name.into_iter().map(|(name, uses)| Node { name, uses });
        let nodes: Vec<Node<'_>> = nodes.collect();
        let mut of_nodes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for node in &nodes {
            for (network, _) in &node.uses {
                of_nodes.entry(network).or_default().insert(node.name);
            }
        }
        let strange = nodes.iter().filter(|node| node.uses.len() > 1);
        strange
            .filter_map(|node| self.judge(node, &of_nodes, context, ledger))
            .collect()
    }

    fn judge(
        &self,
        node: &Node<'_>,
        of_nodes: &BTreeMap<&str, BTreeSet<&str>>,
        context: &Context<'_>,
        ledger: &Ledger,
    ) -> Option<Finding> {
        let vocabulary = context.vocabulary;
        let (home, first) = node.uses.iter().min_by_key(|(_, used)| used.first)?;
        let of_home = |network: &str| network == home;
        let at_home = node.uses.iter().filter(|(network, _)| of_home(network));
        let went_on = at_home.map(|(_, used)| used.last_received).max()?;
        let is_public_home = is_public(vocabulary.text(first.peer));
        let is_strange = |(network, used): &&(String, &Use)| {
            let address = vocabulary.text(used.peer);
            of_nodes[&**network].len() == 1
                && !of_home(network)
                && network.contains(':') == home.contains(':')
                && is_public(address) == is_public_home
                && used.first >= first.first.saturating_add(self.settled_us)
                && went_on >= used.first.saturating_add(self.overlap_us)
                && !ledger.is_shared_peer(used.peer, self.shared_peer_users)
        };
        let strange: Vec<_> = node.uses.iter().filter(is_strange).collect();
        if strange.is_empty() {
            return None;
        }
        let mut sum = Sum::default();
        for (_, used) in &strange {
            sum.add(used);
        }
        let tally = sum.tally(context);
        let peers = strange.iter().map(|(_, used)| used.peer);
        let peers = listed(&distinct(peers, vocabulary));
        let mut draft = Draft::new(&self.meta, vec![node.name.to_owned()], &tally);
        draft.summary = format!(
            "`{}` is at home in {home} and went on there, and its credential was used from {peers}, where no node is: {}",
            node.name,
            counted(tally.count, "request"),
        );
        draft.why = vec![
            format!("home = {home}, until {}", Timestamp(went_on)),
            format!("addresses = {peers}, in a network of no other node"),
        ];
        let networks: BTreeSet<&str> = strange.iter().map(|(network, _)| &**network).collect();
        let people = people_in(&networks, ledger, vocabulary);
        if !people.is_empty() {
            draft.severity = Severity::High;
            let people: Vec<String> = people.into_iter().collect();
            draft
                .why
                .push(format!("people who come from there = {}", listed(&people)));
        }
        let mut finding = sum.finish(draft, vocabulary);
        finding.actor.username = Some(node.name.to_owned());
        finding.actor.kind = Some("node".to_owned());
        finding.ties.usernames = vec![node.name.to_owned()];
        Some(finding)
    }
}

/// Returns the people who come from one of the networks.
fn people_in(
    networks: &BTreeSet<&str>,
    ledger: &Ledger,
    vocabulary: &Vocabulary,
) -> BTreeSet<String> {
    let people = ledger.entries().iter().filter(|entry| {
        identity_kind(vocabulary.text(entry.username)) == "user"
            && entry.uses.iter().any(|used| {
                let network = network(vocabulary.text(used.peer));
                network.is_some_and(|network| networks.contains(&*network))
            })
    });
    people
        .map(|entry| vocabulary.text(entry.username).to_owned())
        .collect()
}
