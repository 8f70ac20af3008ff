//! `cloud-node-account-from-pod`: the account that a cloud gives its machines, used in a Pod against the cluster.
//!
//! On Google Cloud each machine has a service account, and whatever runs there gets its token from the metadata server:
//! Pods too, where nothing keeps them from it (Workload Identity, a network policy). It logs into clusters of the project, so
//! that whoever breaks into a Pod is that account. A Pod's address is one where `ServiceAccounts` come from and no node does. All
//! is read from the ledger at the end.

use std::collections::BTreeMap;

use super::address::is_public;
use super::custody::{Sum, distinct, is_of_pods, others_at};
use super::{Context, Draft, counted, listed};
use crate::credential::{Ledger, Use};
use crate::finding::Finding;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// The analytic.
#[derive(Clone)]
pub struct NodeAccount {
    meta: RuleMeta,
    accounts: Vec<String>,
    shared_peer_users: usize,
}

impl NodeAccount {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            accounts: parameters.strings("accounts")?,
            shared_peer_users: parameters.count("shared_peer_users")? as usize,
        })
    }

    /// Draws the findings: one for each account.
    pub fn finish(self, context: &Context<'_>, ledger: &Ledger) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let mut accounts: BTreeMap<&str, (u32, Vec<&Use>)> = BTreeMap::new();
        for entry in ledger.entries() {
            let name = vocabulary.text(entry.username);
            if self
                .accounts
                .iter()
                .any(|account| name.ends_with(account.as_str()))
            {
                let (_, uses) = accounts.entry(name).or_insert((entry.username, Vec::new()));
                uses.extend(&entry.uses);
            }
        }
        let mut findings = Vec::new();
        for (name, (user, uses)) in accounts {
            let is_in_pod = |used: &&Use| {
                !ledger.is_shared_peer(used.peer, self.shared_peer_users)
                    && is_of_pods(used.peer, user, ledger, vocabulary)
            };
            let in_pods: Vec<&Use> = uses.iter().copied().filter(is_in_pod).collect();
            let Some(first) = in_pods.iter().map(|used| used.first).min() else {
                continue;
            };
            // What comes from the internet after it came from a Pod may have been carried off there.
            let is_carried =
                |used: &&Use| used.first > first && is_public(vocabulary.text(used.peer));
            let carried: Vec<&Use> = uses.iter().copied().filter(is_carried).collect();
            let mut sum = Sum::default();
            for used in in_pods.iter().chain(&carried) {
                sum.add(used);
            }
            let tally = sum.tally(context);
            let addresses =
                |uses: &[&Use]| listed(&distinct(uses.iter().map(|used| used.peer), vocabulary));
            let count = |uses: &[&Use]| uses.iter().map(|used| used.count).sum::<u64>();
            let mut draft = Draft::new(&self.meta, vec![name.to_owned()], &tally);
            let abroad = if carried.is_empty() {
                String::new()
            } else {
                format!(
                    ", and {} from {} of the internet after that",
                    counted(count(&carried), "request"),
                    addresses(&carried)
                )
            };
            draft.summary = format!(
                "`{name}`, the account of machines, came from a Pod at {}: {}{abroad}",
                addresses(&in_pods),
                counted(count(&in_pods), "request"),
            );
            let peers = in_pods.iter().map(|used| used.peer);
            let neighbours = peers.flat_map(|peer| others_at(peer, user, ledger));
            draft.why = vec![format!(
                "at the same address: {}",
                listed(&distinct(neighbours, vocabulary))
            )];
            let mut finding = sum.finish(draft, vocabulary);
            finding.actor.username = Some(name.to_owned());
            finding.ties.usernames = vec![name.to_owned()];
            findings.push(finding);
        }
        findings
    }
}
