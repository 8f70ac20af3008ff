//! Native analytics: what Sigma cannot say, one file each.
//!
//! Each comes with a file of parameters and words in `queries/analytics`, sees every request once, in
//! log order, and draws its findings at the end. Memory follows identities and hits.

mod address;
pub mod anonymous_grant;
pub mod break_glass;
pub mod escalation;
pub mod forwarded_address;
pub mod lives;
mod machinery;
pub mod mass_deletion;
pub mod masters;
pub mod new_behaviour;
pub mod rates;
pub mod shared_credential;
pub mod token_by_hand;
pub mod token_reuse;
pub mod unauthorized;

use super::tally::Tally;
use crate::finding::{Confidence, Finding, Severity, Timestamp, finding_id};
use crate::frame::Vocabulary;
use crate::rules::RuleMeta;

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
}

impl<'a> Draft<'a> {
    /// Starts a finding of `meta` about `tally`.
    pub fn new(meta: &'a RuleMeta, group: Vec<String>, tally: &'a Tally) -> Self {
        Self {
            meta,
            group,
            tally,
            window_start: tally.first,
            severity: meta.severity,
            confidence: meta.confidence,
            summary: String::new(),
            why: Vec::new(),
            blind_spots: Vec::new(),
        }
    }

    /// Returns the finding.
    pub fn finish(self, vocabulary: &Vocabulary) -> Finding {
        let group: Vec<&str> = self.group.iter().map(String::as_str).collect();
        let (first_seen, last_seen) = self.tally.span();
        Finding {
            finding_id: finding_id(&self.meta.id, &group, Timestamp(self.window_start)),
            family: self.meta.family.clone(),
            severity: self.severity,
            confidence: self.confidence,
            rule: self.meta.rule_ref(),
            summary: self.summary,
            first_seen,
            last_seen,
            count: self.tally.count,
            actor: self.tally.actor(vocabulary),
            source: self.tally.origin(vocabulary),
            target: self.tally.target(vocabulary),
            attack: self.meta.attack.clone(),
            why: self.why,
            next_steps: self.meta.next_steps.clone(),
            blind_spots: [self.meta.blind_spots.clone(), self.blind_spots].concat(),
            evidence_total: self.tally.count,
            evidence: self.tally.evidence.clone(),
        }
    }
}

/// Writes `1 request`, `2 requests`.
pub fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Writes a list of texts in words, at most three of them.
pub fn listed(texts: &[String]) -> String {
    match texts {
        [] => "nothing named".to_owned(),
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [one, two, three] => format!("{one}, {two} and {three}"),
        [one, two, three, rest @ ..] => {
            format!("{one}, {two}, {three} and {} more", rest.len())
        }
    }
}

/// Writes a duration of microseconds in the one or two units that matter.
pub fn lasting(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    match seconds {
        ..1 => format!("{} ms", micros / 1000),
        1..10 => format!("{seconds}.{} s", micros % 1_000_000 / 100_000),
        10..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
