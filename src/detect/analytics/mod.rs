//! Native analytics: what Sigma cannot say, one file each.
//!
//! Each comes with a file of parameters and words in `queries/analytics`, sees every request once, in
//! log order, and draws its findings at the end. Memory follows identities and hits.

pub mod account_remade;
pub mod address;
pub mod anonymous_grant;
pub mod audit_gap;
pub mod break_glass;
pub mod certificate;
pub mod component_elsewhere;
pub mod component_twice;
pub mod concurrency;
pub mod custody;
pub mod deputy;
pub mod escalation;
pub mod foreign_group;
pub mod forwarded_address;
pub mod group_gained;
pub mod host_taken;
pub mod idle_node;
pub mod lives;
pub mod machinery;
pub mod mandate;
pub mod masquerade;
pub mod mass_deletion;
pub mod masters;
pub mod method;
pub mod minted_token;
pub mod mixed_use;
pub mod new_behaviour;
pub mod newcomer;
pub mod node_abroad;
pub mod node_account;
pub mod node_outside;
pub mod node_renewal;
pub mod node_twice;
pub mod old_uid;
pub mod outside_grant;
pub mod person_in_pod;
pub mod pod_certificate;
pub mod pod_token_taken;
pub mod proven_grant;
pub mod proxied_names;
pub mod rates;
pub mod reviews_begun;
pub mod rights_lost;
pub mod role_grant;
pub mod role_widened;
pub mod second_program;
pub mod secret_token;
pub mod secret_token_taken;
pub mod service_swapped;
pub mod shared_credential;
pub mod superuser_impersonated;
pub mod superuser_pod;
pub mod token_by_hand;
pub mod token_reuse;
pub mod unauthorized;

use super::makers::grants;
use super::request::Sighting;
use super::tally::Tally;
use crate::finding::incident::Ties;
pub use crate::finding::words::{counted, lasting, listed, times};
use crate::finding::{Confidence, Finding, Severity, Timestamp, finding_id, steps};
use crate::frame::Vocabulary;
use crate::rules::RuleMeta;

const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;
pub(super) const DAY_US: i64 = 24 * HOUR_US;

/// Returns what a program is called by its user agent, without its version.
fn program_name(agent: &str) -> &str {
    agent.split(['/', ' ', '(']).next().unwrap_or(agent)
}

/// Families that say how things stand, and of no attack.
const INVENTORIES: [&str; 2] = ["hygiene", "coverage"];

/// What all analytics may look at.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Texts of the codes.
    pub vocabulary: &'a Vocabulary,
    /// How many places in the log a finding keeps.
    pub evidence_limit: usize,
}

/// A finding in the making: the rule gives the words, the tally the facts.
pub struct Draft<'a> {
    /// The rule.
    pub meta: &'a RuleMeta,
    /// The values that tell this finding from others of the rule.
    pub group: Vec<String>,
    /// The requests behind it.
    pub tally: &'a Tally,
    /// Start of its window, for the identity.
    pub window_start: i64,
    /// How bad, where the rule's level does not fit.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// One sentence.
    pub summary: String,
    /// Condition and the value that met it.
    pub why: Vec<String>,
    /// What it cannot see, besides what the rule says.
    pub blind_spots: Vec<String>,
    /// Whether it lists what there is, rather than what happened.
    pub is_inventory: bool,
}

impl<'a> Draft<'a> {
    /// Starts a finding of `meta` about `tally`.
    pub fn new(meta: &'a RuleMeta, group: Vec<String>, tally: &'a Tally) -> Self {
        Self {
            meta,
            group,
            tally,
            window_start: tally.began,
            severity: meta.severity,
            confidence: meta.confidence,
            summary: String::new(),
            why: Vec::new(),
            blind_spots: Vec::new(),
            is_inventory: meta.once || INVENTORIES.contains(&meta.family.as_str()),
        }
    }

    /// Makes it one of less weight, under an id that stays when the log is forgotten from behind.
    pub fn sink(&mut self) {
        self.window_start = 0;
        self.severity = self.severity.min(Severity::Low);
        self.is_inventory = true;
    }

    /// Returns the finding.
    pub fn finish(self, vocabulary: &Vocabulary) -> Finding {
        let group: Vec<&str> = self.group.iter().map(String::as_str).collect();
        let (first_seen, last_seen) = self.tally.span();
        let actor = self.tally.actor(vocabulary);
        let target = self.tally.target(vocabulary);
        let recovered = recovered(self.tally);
        let confidence = if self.tally.is_recovered() {
            Confidence::Low
        } else {
            self.confidence
        };
        Finding {
            finding_id: finding_id(&self.meta.id, &group, Timestamp(self.window_start)),
            incident_id: None,
            family: self.meta.family.clone(),
            severity: self.severity,
            confidence,
            rule: self.meta.rule_ref(),
            summary: self.summary,
            first_seen,
            last_seen,
            count: self.tally.count,
            recovered: self.tally.recovered,
            next_steps: steps::filled(&self.meta.next_steps, &target, &actor, self.tally.effect()),
            actor,
            source: self.tally.origin(vocabulary),
            target,
            attack: self.meta.attack.clone(),
            why: self.why,
            blind_spots: [self.meta.blind_spots.clone(), self.blind_spots, recovered].concat(),
            evidence_total: self.tally.count,
            evidence: Sighting::evidence(&self.tally.sightings, vocabulary),
            ties: Ties {
                usernames: self.tally.usernames(vocabulary),
                credentials: self.tally.credentials(vocabulary),
                rests_on: grants(&self.tally.authz_reasons(vocabulary)),
                tactics: self.meta.tactics.clone(),
                served: self.tally.succeeded,
                refused: self.tally.refused,
                is_inventory: self.is_inventory,
            },
        }
    }
}

/// Returns whether a user agent begins as one of `starts` does, as parameters name programs.
fn begins(agent: &str, starts: &[String]) -> bool {
    starts.iter().any(|start| agent.starts_with(start))
}

/// Says what requests are worth that were found behind damage, if there are any.
fn recovered(tally: &Tally) -> Vec<String> {
    let of = match tally.recovered {
        0 => return Vec::new(),
        n if tally.is_recovered() => counted(n, "request"),
        n => format!("{n} of its {}", counted(tally.count, "request")),
    };
    vec![format!(
        "{of}: found behind damage in the log, so who can cut the log could have forged that"
    )]
}
