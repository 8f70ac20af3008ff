//! What is delivered: one change of one finding, with the key that tells deliveries apart.
//!
//! Two identities, both stable whatever the clock, the path or the order of delivery:
//!
//! - [`Alert::key`] names this change. A change sent twice, after a crash or a time-out, has the same key twice, and
//!   a receiver that honors keys sees it once (`Idempotency-Key`).
//! - [`Alert::identity`] names what changes: the same for `new`, each `update` and `resolve` of a finding in a cluster
//!   (`dedup_key`, `finding_info.uid`).

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::finding::{Actor, Confidence, Finding, Origin, RuleRef, Severity, Target, Timestamp};

/// What happened to a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// It was not there before.
    New,
    /// It was, and there is more of it.
    Update,
    /// It is over; [`Resolution`] says why.
    Resolve,
    /// It stands for the findings of a rule over the cap of a run.
    Summary,
}

impl Event {
    /// All events, in the order of a finding's life.
    pub const ALL: [Self; 4] = [Self::New, Self::Update, Self::Resolve, Self::Summary];

    /// Returns the word used in outputs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Update => "update",
            Self::Resolve => "resolve",
            Self::Summary => "summary",
        }
    }
}

/// Why a finding is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resolution {
    /// The log went on for `resolve_after` without it.
    Quiet,
    /// With what was read since, it is judged otherwise: it is no finding any more.
    Withdrawn,
    /// The log that had stopped goes on.
    Resumed,
}

impl Resolution {
    /// Returns the word used in outputs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Withdrawn => "withdrawn",
            Self::Resumed => "resumed",
        }
    }
}

/// The run that decided an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Name of the run, unique in a state folder.
    pub id: String,
    /// When it began, by the wall clock.
    pub at: Timestamp,
}

/// One change of one finding, as it waits in the outbox; reads back from the JSON that it writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Identity of this change; see [`key`]. Hexadecimal digits only, so that it is safe in a header.
    pub key: String,
    /// What happened.
    pub event: Event,
    /// The cluster, as the configuration names it.
    pub cluster: String,
    /// The run that decided it.
    pub run: Run,
    /// The finding as it stands now.
    pub finding: Finding,
    /// Of what is over: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
}

impl Alert {
    /// Returns an alert about `finding`; `revision` tells updates of one finding apart, as its count does.
    pub fn new(event: Event, finding: Finding, revision: u64, cluster: &str, run: &Run) -> Self {
        Self {
            key: key(cluster, &finding.finding_id, event, revision),
            event,
            cluster: cluster.to_owned(),
            run: run.clone(),
            finding,
            resolution: None,
        }
    }

    /// Says why it is over.
    #[must_use]
    pub fn over(mut self, resolution: Option<Resolution>) -> Self {
        self.resolution = resolution;
        self
    }

    /// Returns the one alert that stands for `n_more` findings of `rule` over the cap of this run.
    pub fn summary(
        rule: &RuleRef,
        severity: Severity,
        n_more: u64,
        span: (Timestamp, Timestamp),
        cluster: &str,
        run: &Run,
    ) -> Self {
        let finding = Finding {
            finding_id: digest(&["summary", &rule.id, cluster, &run.id]),
            incident_id: None,
            family: "noise".to_owned(),
            severity,
            confidence: Confidence::High,
            rule: rule.clone(),
            summary: format!(
                "{n_more} more findings of `{}` in this run are over the cap and not alerted one by one.",
                rule.name
            ),
            first_seen: span.0,
            last_seen: span.1,
            count: n_more,
            recovered: 0,
            actor: Actor::default(),
            source: Origin::default(),
            target: Target::default(),
            attack: Vec::new(),
            why: vec!["cap per rule and run ([noise] cap_per_rule)".to_owned()],
            next_steps: vec!["Read all of them with `kubescry scan`.".to_owned()],
            blind_spots: Vec::new(),
            evidence_total: 0,
            evidence: Vec::new(),
            ties: crate::finding::incident::Ties::default(),
        };
        Self::new(Event::Summary, finding, 0, cluster, run)
    }

    /// Returns a made-up alert for `alert test-sink`: it says of itself that it is a test.
    pub fn sample(cluster: &str, run: &Run) -> Self {
        let rule = RuleRef {
            id: "00000000-0000-4000-8000-000000000000".to_owned(),
            name: "kubescry-test".to_owned(),
            title: "Test alert of kubescry".to_owned(),
            kind: crate::finding::RuleKind::Analytic,
        };
        let span = (run.at, run.at);
        let mut alert = Self::summary(&rule, Severity::Informational, 1, span, cluster, run);
        "This is a test, sent by `kubescry alert test-sink`; nothing happened."
            .clone_into(&mut alert.finding.summary);
        "test".clone_into(&mut alert.finding.family);
        alert.finding.why = vec!["somebody asked for a test".to_owned()];
        alert.finding.next_steps = vec!["Nothing to do.".to_owned()];
        alert.event = Event::New;
        alert.key = key(cluster, &alert.finding.finding_id, alert.event, 0);
        alert
    }

    /// Returns the identity of what changes: 32 hexadecimal digits from cluster and finding id.
    pub fn identity(&self) -> String {
        digest(&[&self.cluster, &self.finding.finding_id])
    }
}

/// Returns the key of a change: 32 hexadecimal digits from its parts, never from the clock.
pub fn key(cluster: &str, finding_id: &str, event: Event, revision: u64) -> String {
    digest(&[cluster, finding_id, event.as_str(), &revision.to_string()])
}

/// Returns one key for all of `alerts` in this order; of one alert it is its own.
pub(super) fn batch_key(alerts: &[&Alert]) -> String {
    match alerts {
        [alert] => alert.key.clone(),
        alerts => {
            let keys: Vec<&str> = alerts.iter().map(|alert| alert.key.as_str()).collect();
            digest(&keys)
        }
    }
}

/// Returns 128 bits of SHA-256 in hex; each part is preceded by its length.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let half = hash.finalize()[..16]
        .try_into()
        .expect("SHA-256 has 32 bytes");
    format!("{:032x}", u128::from_be_bytes(half))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::sink::tests::{alert, run};

    #[test]
    fn keys_tell_changes_apart_and_identities_do_not() {
        let new = alert(Event::New, Severity::High, "x");
        let update = Alert::new(Event::Update, new.finding.clone(), 13, &new.cluster, &run());
        let later = Alert::new(Event::Update, new.finding.clone(), 14, &new.cluster, &run());
        assert_ne!(new.key, update.key);
        assert_ne!(update.key, later.key);
        assert_eq!(new.identity(), later.identity());
        let elsewhere = Alert::new(Event::New, new.finding.clone(), 0, "other", &run());
        assert_ne!(new.identity(), elsewhere.identity());
        assert_ne!(new.key, elsewhere.key);
    }

    #[test]
    fn alerts_read_back_from_the_outbox() {
        let new = alert(Event::New, Severity::High, "a\"b\n\u{1b}<&>");
        let json = serde_json::to_string(&new).unwrap();
        assert_eq!(serde_json::from_str::<Alert>(&json).unwrap(), new);
    }

    #[test]
    fn summary_says_how_many() {
        let rule = alert(Event::New, Severity::High, "x").finding.rule;
        let span = (Timestamp(0), Timestamp(1));
        let summary = Alert::summary(&rule, Severity::High, 999_900, span, "prod", &run());
        assert!(
            summary
                .finding
                .summary
                .starts_with("999900 more findings of `")
        );
        assert_eq!(summary.finding.count, 999_900);
    }
}
