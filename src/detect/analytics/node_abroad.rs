//! `node-from-internet`: a node that is at home in the cluster's network, and at once on the internet.
//!
//! Where nodes reach the API server over the internet, each comes from there from the first; so what counts is a node that
//! has a private address as well. Where nodes have addresses of both families, those of IPv6 are mostly global: a network
//! from which most nodes come, each from an address that is its own, is the cluster's. All is read from the ledger at the end.

use std::collections::{BTreeMap, BTreeSet};

use super::address::{is_public, network};
use super::custody::{Sum, distinct};
use super::{Context, Draft, counted, listed};
use crate::credential::{Ledger, Use};
use crate::finding::{Finding, Severity};
use crate::frame::Vocabulary;
use crate::rules::RuleMeta;

/// The analytic.
#[derive(Clone)]
pub struct NodeAbroad {
    meta: RuleMeta,
}

impl NodeAbroad {
    /// Takes the words of the rule.
    pub fn new(meta: &RuleMeta) -> Self {
        Self { meta: meta.clone() }
    }

    /// Draws the findings.
    pub fn finish(self, context: &Context<'_>, ledger: &Ledger) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let mut nodes: BTreeMap<&str, Vec<&Use>> = BTreeMap::new();
        for entry in ledger.entries() {
            let name = vocabulary.text(entry.username);
            if name.starts_with("system:node:") {
                nodes.entry(name).or_default().extend(&entry.uses);
            }
        }
        let n_nodes = nodes.len();
        let own = own_networks(&nodes, ledger, vocabulary);
        let mut findings = Vec::new();
        for (name, uses) in nodes {
            let is_abroad = |used: &&&Use| {
                let address = vocabulary.text(used.peer);
                is_public(address) && network(address).is_none_or(|it| !own.contains(&it))
            };
            let (abroad, at_home): (Vec<&Use>, Vec<&Use>) = uses.iter().partition(is_abroad);
            let first = |uses: &[&Use]| uses.iter().map(|used| used.first).min();
            let count = |uses: &[&Use]| uses.iter().map(|used| used.count).sum::<u64>();
            let (Some(home_first), Some(abroad_first)) = (first(&at_home), first(&abroad)) else {
                continue;
            };
            if home_first > abroad_first && count(&at_home) < count(&abroad) {
                // It moved in.
                continue;
            }
            let mut sum = Sum::default();
            for used in &abroad {
                sum.add(used);
            }
            let tally = sum.tally(context);
            let addresses =
                |uses: &[&Use]| listed(&distinct(uses.iter().map(|used| used.peer), vocabulary));
            let mut draft = Draft::new(&self.meta, vec![name.to_owned()], &tally);
            draft.summary = format!(
                "`{name}` is at home at {}, and {} came from {} of the internet",
                addresses(&at_home),
                counted(count(&abroad), "request"),
                addresses(&abroad),
            );
            draft.why = vec![
                format!("private addresses: {}", addresses(&at_home)),
                format!("addresses of the internet: {}", addresses(&abroad)),
            ];
            let mut finding = sum.finish(draft, vocabulary);
            finding.actor.username = Some(name.to_owned());
            findings.push(finding);
        }
        if findings.len() > 1 && findings.len() * 2 >= n_nodes {
            for finding in &mut findings {
                finding.severity = Severity::Low;
                finding.why.push(
                    "so did other nodes, most of all: the endpoint may have changed".to_owned(),
                );
            }
        }
        findings
    }
}

/// Returns the networks of global IPv6 addresses that are the cluster's: most nodes come from there, each from its own address.
///
/// One stolen credential is not most of them, and a thief of several has no reason to give each an address of its own.
fn own_networks(
    nodes: &BTreeMap<&str, Vec<&Use>>,
    ledger: &Ledger,
    vocabulary: &Vocabulary,
) -> BTreeSet<String> {
    let mut by_network: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (&name, uses) in nodes {
        for used in uses {
            let address = vocabulary.text(used.peer);
            let is_its_own = address.contains(':')
                && is_public(address)
                && ledger.nodes_at(used.peer, vocabulary).count() == 1;
            if let Some(network) = network(address).filter(|_| is_its_own) {
                by_network.entry(network).or_default().insert(name);
            }
        }
    }
    let is_own =
        |(_, of_it): &(String, BTreeSet<&str>)| of_it.len() > 1 && of_it.len() * 2 > nodes.len();
    let own = by_network.into_iter().filter(is_own);
    own.map(|(network, _)| network).collect()
}
