//! Incidents: findings that belong to one story.
//!
//! Comes in: all findings of a scan, with what may tie them ([`Ties`]), and what the log knows of its addresses and of
//! who made what ([`Surroundings`]). Goes out: incidents, worst first, and in each finding the id of its own. A pure
//! step: nothing is read but its arguments, and their order does not matter.
//!
//! Two findings are tied if at most [`WINDOW_US`] lie between them and they share, in the order of how much it proves,
//!
//! 1. a credential, by an id of its own;
//! 2. an actor who is a person or a service account: parts of the control plane, nodes and service accounts in
//!    `kube-system` do too much else, and are tied by a credential only;
//! 3. an object: one made the binding, account, token, Secret or Pod that the other rests on, and is none of those who
//!    make such things all day;
//! 4. an address, unless many identities come from it, or a node or the control plane does.
//!
//! Only findings of medium or higher tie. What is milder, and what is an inventory of a whole log, hangs under the
//! incident it has most in common with, and never joins two. A finding about many identities at once is about none of
//! them. A finding of medium or higher that nothing ties is an incident by itself, so that the worst comes first
//! whether or not it has company.
//!
//! An incident is as bad as its worst finding, and one step worse if it spans three tactics or if what was refused at
//! first was served later. One odd request may be a mistake; several kinds of them in a row, or a door that
//! gives way after it was tried, seldom are.

mod key;
mod knot;
mod wording;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Finding, Severity, Timestamp};
use knot::Knot;

/// How much silence two findings of one story may have between them: half a working day, so that an intruder who
/// comes back after lunch is one story, and one who comes back days later another.
pub const WINDOW_US: i64 = 6 * 60 * 60 * 1_000_000;

/// From how many users on an address stands for none of them: a gateway, a proxy, a bastion.
pub const SHARED_PEER_USERS: usize = 12;

/// What a finding has in common with others, beyond what it says; no part of the contract.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ties {
    /// All users, sorted.
    pub usernames: Vec<String>,
    /// Keys of all credentials, sorted.
    pub credentials: Vec<String>,
    /// Objects that the requests rest on, as [`Surroundings::makers`] names them.
    pub rests_on: Vec<String>,
    /// ATT&CK tactics of the rule in kebab case, the foremost first.
    pub tactics: Vec<String>,
    /// Requests that were served.
    pub served: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Whether it lists what there is, rather than what happened.
    pub is_inventory: bool,
}

/// What the log knows besides its findings.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Addresses that stand for nobody: of gateways, nodes and the control plane.
    pub common_addresses: BTreeSet<String>,
    /// Who made an object, such as `ServiceAccount prod/web`, or got into it.
    pub makers: BTreeMap<String, Vec<Maker>>,
}

/// Who made an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker {
    /// The user.
    pub username: String,
    /// Key of the credential.
    pub credential: String,
    /// Address of the connection.
    pub peer: String,
    /// First time.
    pub first: Timestamp,
    /// Last time.
    pub last: Timestamp,
}

/// Findings that belong to one story.
///
/// Shape: the keys of `incidents` in `kubescry.report/1`, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Hash of the id of the earliest finding of medium or higher, of several the one with the lowest id.
    ///
    /// Later findings that join do not change it. If one of them joins two incidents, the id of the earlier stays.
    pub incident_id: String,
    /// How bad, all in all.
    pub severity: Severity,
    /// One sentence with the facts.
    pub title: String,
    /// First request of the findings of medium or higher.
    pub first_seen: Timestamp,
    /// Last request of the findings of medium or higher.
    pub last_seen: Timestamp,
    /// Users, in order of appearance.
    pub actors: Vec<String>,
    /// Ids of credentials, in order of appearance.
    pub credentials: Vec<String>,
    /// Addresses, in order of appearance; those that stand for nobody come last.
    pub source_ips: Vec<String>,
    /// Names of ATT&CK tactics in order of appearance, the foremost of each finding that is a step.
    pub tactics: Vec<String>,
    /// MITRE ATT&CK technique ids, sorted.
    pub attack: Vec<String>,
    /// What holds it together, one a line; empty if it is one finding and what is milder.
    pub tied_by: Vec<String>,
    /// Why it is worse than its worst finding, if it is.
    pub raised: Option<String>,
    /// Ids of its findings, in order of appearance.
    pub findings: Vec<String>,
}

/// Ties findings to incidents, worst first, and notes in each finding which one it is in.
pub fn tie(findings: &mut [Finding], surroundings: &Surroundings) -> Vec<Incident> {
    let incidents = Knot::new(findings, surroundings).incidents();
    let ids: BTreeMap<&str, &str> = incidents
        .iter()
        .flat_map(|incident| {
            let id = incident.incident_id.as_str();
            incident
                .findings
                .iter()
                .map(move |finding| (finding.as_str(), id))
        })
        .collect();
    for finding in findings {
        let id = ids.get(finding.finding_id.as_str());
        finding.incident_id = id.map(|&id| id.to_owned());
    }
    incidents
}

#[cfg(test)]
mod tests;
