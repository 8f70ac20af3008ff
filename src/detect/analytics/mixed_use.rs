//! `mixed-use`: one user that serves people and machines alike.
//!
//! Agents are the client's own words, but people and programs that share a user have no reason to lie. All is
//! read from the ledger at the end.

use std::collections::BTreeMap;

use super::custody::{Sum, distinct};
use super::{Context, Draft, begins, counted, listed};
use crate::credential::{Ledger, Use};
use crate::finding::Finding;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// The analytic.
#[derive(Clone)]
pub struct MixedUse {
    meta: RuleMeta,
    people: Vec<String>,
    machines: Vec<String>,
    control_planes: Vec<String>,
    least_requests: u64,
    shared_peer_users: usize,
}

impl MixedUse {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            people: parameters.strings("people")?,
            machines: parameters.strings("machines")?,
            control_planes: parameters.strings("managed_control_planes")?,
            least_requests: parameters.count("least_requests")?.into(),
            shared_peer_users: parameters.count("shared_peer_users")? as usize,
        })
    }

    /// Draws the findings.
    pub fn finish(self, context: &Context<'_>, ledger: &Ledger) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let mut users: BTreeMap<&str, [Vec<&Use>; 2]> = BTreeMap::new();
        for entry in ledger.entries() {
            let name = vocabulary.text(entry.username);
            // Components have programs only; of ServiceAccounts `program-token-by-hand` speaks.
            if name.starts_with("system:") || self.control_planes.iter().any(|it| it == name) {
                continue;
            }
            for used in &entry.uses {
                let agent = vocabulary.text(used.agent);
                let is_of = |list: &[String]| begins(agent, list);
                if is_of(&self.people) {
                    users.entry(name).or_default()[0].push(used);
                } else if is_of(&self.machines) || agent.contains("kubernetes/$Format") {
                    users.entry(name).or_default()[1].push(used);
                }
            }
        }
        let mut findings = Vec::new();
        for (name, [people, machines]) in &users {
            let count = |uses: &[&Use]| uses.iter().map(|used| used.count).sum::<u64>();
            if count(people) < self.least_requests
                || count(machines) < self.least_requests
                || !people
                    .iter()
                    .any(|one| machines.iter().any(|other| overlap(one, other)))
            {
                continue;
            }
            let is_of_people = |machine: &&Use| {
                people.iter().any(|used| used.peer == machine.peer)
                    && !ledger.is_shared_peer(machine.peer, self.shared_peer_users)
            };
            let is_by_people = machines.iter().copied().all(|used| is_of_people(&used));
            // A tool that somebody runs besides what they do by hand.
            if is_by_people && count(machines) < count(people) {
                continue;
            }
            let mut sum = Sum::default();
            people.iter().chain(machines).for_each(|used| sum.add(used));
            let tally = sum.tally(context);
            let mut draft = Draft::new(&self.meta, vec![(*name).to_owned()], &tally);
            let agents =
                |uses: &[&Use]| listed(&distinct(uses.iter().map(|used| used.agent), vocabulary));
            draft.summary = format!(
                "`{name}` serves people ({}) and machines ({}) at the same time",
                counted(count(people), "request"),
                counted(count(machines), "request"),
            );
            draft.why = vec![
                format!("people: {}", agents(people)),
                format!("machines: {}", agents(machines)),
            ];
            if is_by_people {
                draft
                    .why
                    .push("the machines run at the address of the people".to_owned());
            }
            let mut finding = sum.finish(draft, vocabulary);
            finding.actor.username = Some((*name).to_owned());
            findings.push(finding);
        }
        findings
    }
}

/// Returns whether one goes on while the other does, or comes back after it.
fn overlap(one: &Use, other: &Use) -> bool {
    one.first < other.last && other.first < one.last
}
