//! Findings: what a scan says, in the form every output is rendered from.
//!
//! Comes in: sessions of hits from `detect`, already grouped. Goes out: plain data with the keys of
//! `kubescry.finding/1`. A finding keeps the log's text as it stood; whoever prints it cleans it. All of it reads back
//! from the JSON that it writes, but for what ties findings to incidents.
//! Left out on purpose: how a rule was evaluated, and anything read from the clock.

pub mod credential;
pub mod incident;
pub mod steps;
pub mod words;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::SecondsFormat;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The name and version of the JSON contract of [`Finding`].
pub const SCHEMA: &str = "kubescry.finding/1";

/// How bad it is if the finding is true; the scale of the Sigma specification 2.1 (`level`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing, nothing to do.
    Informational,
    /// Look at it when there is time.
    Low,
    /// Look at it today.
    Medium,
    /// Look at it now.
    High,
    /// Act now.
    Critical,
}

impl Severity {
    /// All severities, mildest first.
    pub const ALL: [Self; 5] = [
        Self::Informational,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Critical,
    ];

    /// Returns the word used in rules and outputs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str() == word)
            .ok_or(())
    }
}

/// How sure the tie between the evidence and the claim is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// A guess worth checking.
    Low,
    /// Likely.
    Medium,
    /// The log proves it.
    High,
}

impl Confidence {
    /// Returns the word used in outputs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// What kind of rule made a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleKind {
    /// A Sigma detection rule: one request suffices.
    Sigma,
    /// A Sigma correlation rule: several requests in a window.
    Correlation,
    /// A native analytic with parameters in `queries/analytics`.
    Analytic,
}

impl RuleKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Sigma, Self::Correlation, Self::Analytic];

    /// Returns the word used in outputs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sigma => "sigma",
            Self::Correlation => "correlation",
            Self::Analytic => "analytic",
        }
    }
}

/// The rule behind a finding, as outputs name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRef {
    /// UUID; never changes.
    pub id: String,
    /// Short kebab-case name, unique among the rules.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// What evaluates it.
    pub kind: RuleKind,
}

/// A moment of the log: microseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 with six decimals and `Z`, as kube-apiserver does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match chrono::DateTime::from_timestamp_micros(self.0) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true)),
            None => write!(f, "{}us", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = ();

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some(micros) = text.strip_suffix("us") {
            return micros.parse().map(Self).or(Err(()));
        }
        let time = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.fZ");
        let time = time.or(Err(()))?;
        Ok(Self(time.and_utc().timestamp_micros()))
    }
}

impl Serialize for Timestamp {
    /// Writes text for people, and the number where nobody reads it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return self.0.serialize(serializer);
        }
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Self);
        }
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|()| {
            let what = format!("`{text}` is not a time as in `2026-11-22T04:55:27.649211Z`");
            serde::de::Error::custom(what)
        })
    }
}

/// Who did it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Actor {
    /// The authenticated user (never the impersonated one); `None` if the log has no name, as on a 401.
    pub username: Option<String>,
    /// `user`, `serviceaccount`, `node`, `component`, `anonymous` or `none`.
    pub kind: Option<String>,
    /// The best key of the credential, such as `JTI=...` or `X509SHA256=...`.
    pub credential_id: Option<String>,
    /// Whom the actor impersonated.
    pub impersonated: Option<String>,
}

/// Where it came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// Addresses of the connections (the last of `sourceIPs`; the others can be forged), sorted.
    pub ips: Vec<String>,
    /// User agents, sorted.
    pub user_agents: Vec<String>,
}

/// What it was done to; a part that differs between the requests is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Target {
    /// Resource, plural, as in `objectRef.resource`.
    pub resource: Option<String>,
    /// Subresource.
    pub subresource: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Name of the object.
    pub name: Option<String>,
}

impl Target {
    /// Returns what is known of it as `namespace/resource/subresource/name`; empty if nothing is.
    pub fn path(&self) -> String {
        let parts = [
            &self.namespace,
            &self.resource,
            &self.subresource,
            &self.name,
        ];
        let known: Vec<&str> = parts.into_iter().filter_map(Option::as_deref).collect();
        known.join("/")
    }
}

/// A place in the log that speaks for a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// `auditID`; the client may have chosen it.
    pub audit_id: Arc<str>,
    /// Stage of the event.
    pub stage: Arc<str>,
    /// `stageTimestamp`.
    pub ts: Timestamp,
    /// The file as given on the command line; `-` is standard input.
    pub file: Arc<str>,
    /// Line in the file, from 1.
    pub line: u64,
    /// Byte offset of the record in the (decompressed) file.
    pub offset: u64,
    /// Bytes of the record without its line end.
    pub length: u32,
}

/// One thing an analyst should read.
///
/// Shape: the keys of `kubescry.finding/1`, in this order; [`crate::report`] adds `schema`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Hash of rule, group and window start; see [`finding_id`].
    pub finding_id: String,
    /// The incident it is in, if it is in one; see [`incident::Incident`].
    pub incident_id: Option<String>,
    /// Headline family or ATT&CK tactic in kebab case.
    pub family: String,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// The rule.
    pub rule: RuleRef,
    /// One sentence with the facts.
    pub summary: String,
    /// Stage timestamp of the first request.
    pub first_seen: Timestamp,
    /// Stage timestamp of the last request.
    pub last_seen: Timestamp,
    /// Requests, not events.
    pub count: u64,
    /// Those of them whose events were found behind damage: who can cut the log could have forged them.
    #[serde(default)]
    pub recovered: u64,
    /// Who.
    pub actor: Actor,
    /// From where.
    pub source: Origin,
    /// To what.
    pub target: Target,
    /// MITRE ATT&CK technique ids.
    pub attack: Vec<String>,
    /// Condition and the value that met it, one a line.
    pub why: Vec<String>,
    /// What to check and what to revoke.
    pub next_steps: Vec<String>,
    /// What this finding cannot see.
    pub blind_spots: Vec<String>,
    /// Exact number of evidence references before `--evidence` cut them.
    pub evidence_total: u64,
    /// The first references in log order.
    pub evidence: Vec<Evidence>,
    /// What may tie it to others.
    #[serde(skip)]
    pub ties: incident::Ties,
}

impl Finding {
    /// Returns whether another finding says the same, but for what ties it to others, which is another whenever there are
    /// others, and the places in the log: more of them mean a higher count.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        let Self {
            finding_id,
            incident_id: _,
            family,
            severity,
            confidence,
            rule,
            summary,
            first_seen,
            last_seen,
            count,
            recovered,
            actor,
            source,
            target,
            attack,
            why,
            next_steps,
            blind_spots,
            evidence_total,
            evidence: _,
            ties: _,
        } = self;
        // What changes most comes first.
        (
            count,
            last_seen,
            first_seen,
            severity,
            confidence,
            recovered,
            evidence_total,
        ) == (
            &other.count,
            &other.last_seen,
            &other.first_seen,
            &other.severity,
            &other.confidence,
            &other.recovered,
            &other.evidence_total,
        ) && (finding_id, summary, why) == (&other.finding_id, &other.summary, &other.why)
            && (actor, source, target) == (&other.actor, &other.source, &other.target)
            && (family, rule, attack) == (&other.family, &other.rule, &other.attack)
            && (next_steps, blind_spots) == (&other.next_steps, &other.blind_spots)
    }

    /// Returns whether no event that stands where it was written speaks for it.
    pub fn is_recovered(&self) -> bool {
        self.count > 0 && self.recovered == self.count
    }

    /// Returns whether it is a step of somebody's, and not how things stand.
    pub fn is_step(&self) -> bool {
        self.severity > Severity::Informational && !self.ties.is_inventory
    }
}

/// What a list of exclusions held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excluded {
    /// Name of the rule.
    pub rule: String,
    /// Name of the list.
    pub list: String,
    /// Requests that would have been findings; of a rule that reads bodies, those that may have been.
    pub requests: u64,
    /// Whether it is at most so many, since the rule reads bodies and these were not looked at.
    pub at_most: bool,
}

/// Returns the stable identity of a finding: 128 bits of SHA-256, in hex.
///
/// Depends on the rule, the values it groups by and the start of its window only; never on clock,
/// path, order or count. Each part is preceded by its length, so `["a", "bc"]` is not `["ab", "c"]`.
pub fn finding_id(rule_id: &str, group: &[&str], window_start: Timestamp) -> String {
    let mut hash = Sha256::new();
    for part in std::iter::once(rule_id).chain(group.iter().copied()) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(window_start.0.to_le_bytes());
    let digest = hash.finalize();
    let half = digest[..16].try_into().expect("SHA-256 has 32 bytes");
    format!("{:032x}", u128::from_be_bytes(half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finding_id_separates_parts() {
        let id = |group: &[&str]| finding_id("rule", group, Timestamp(1));
        assert_ne!(id(&["a", "bc"]), id(&["ab", "c"]));
        assert_eq!(id(&["a"]), id(&["a"]));
        assert_ne!(id(&["a"]), finding_id("rule", &["a"], Timestamp(2)));
        assert_eq!(id(&["a"]).len(), 32);
    }

    #[test]
    fn timestamps_print_like_the_api_server() {
        assert_eq!(
            Timestamp(1_795_323_327_649_211).to_string(),
            "2026-11-22T04:55:27.649211Z"
        );
    }

    #[test]
    fn timestamps_read_back() {
        let check = |micros: i64| {
            let text = Timestamp(micros).to_string();
            assert_eq!(text.parse(), Ok(Timestamp(micros)), "{text}");
        };
        check(0);
        check(-1);
        check(1_795_323_327_649_211);
        // Years before 0 and behind 9999, and what is no date at all.
        check(-100_000_000_000_000_000);
        check(1_000_000_000_000_000_000);
        check(i64::MIN);
        check(i64::MAX);
        for text in ["", "us", "2026-11-22", "2026-13-22T04:55:27.649211Z"] {
            assert_eq!(text.parse::<Timestamp>(), Err(()), "{text}");
        }
    }
}
