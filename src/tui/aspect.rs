//! Aspects: what findings are counted and filtered by. They are named as the columns of the table `findings`, where it
//! has them.

use super::chips::no_condition;
use crate::case::State;
use crate::finding::Finding;
use crate::query::bind::literal;

/// Something that findings have one or several values of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    /// How bad.
    Severity,
    /// What the investigator thinks of it.
    State,
    /// Headline family or ATT&CK tactic.
    Family,
    /// The rule.
    Rule,
    /// Who.
    Username,
    /// ATT&CK tactics of the rule.
    Tactic,
    /// ATT&CK techniques.
    Attack,
    /// From where.
    PeerIps,
    /// With what.
    Credential,
    /// What kind of identity.
    IdentityKind,
    /// What it was done to.
    Resource,
    /// Where that is.
    Namespace,
    /// How sure.
    Confidence,
}

impl Aspect {
    /// All of them, in the order of the list.
    pub const ALL: [Self; 13] = [
        Self::Severity,
        Self::State,
        Self::Family,
        Self::Rule,
        Self::Username,
        Self::Tactic,
        Self::Attack,
        Self::PeerIps,
        Self::Credential,
        Self::IdentityKind,
        Self::Resource,
        Self::Namespace,
        Self::Confidence,
    ];

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Severity => "severity",
            Self::State => "state",
            Self::Family => "family",
            Self::Rule => "rule",
            Self::Username => "username",
            Self::Tactic => "tactic",
            Self::Attack => "attack",
            Self::PeerIps => "peer_ips",
            Self::Credential => "credential",
            Self::IdentityKind => "identity_kind",
            Self::Resource => "resource",
            Self::Namespace => "namespace",
            Self::Confidence => "confidence",
        }
    }

    /// Returns whether a finding may have several values.
    pub const fn is_list(self) -> bool {
        matches!(self, Self::Tactic | Self::Attack | Self::PeerIps)
    }

    /// Returns whether the table `findings` has it.
    pub const fn is_column(self) -> bool {
        !matches!(self, Self::State | Self::Tactic)
    }

    /// Returns the values of a finding of that state.
    ///
    /// Shape: at least one; the empty text is none.
    pub fn values(self, finding: &Finding, state: State) -> Vec<&str> {
        match self {
            Self::Severity => vec![finding.severity.as_str()],
            Self::State => vec![state.as_str()],
            Self::Family => vec![&finding.family],
            Self::Rule => vec![&finding.rule.name],
            Self::Username => text(finding.actor.username.as_ref()),
            Self::Tactic => list(&finding.ties.tactics),
            Self::Attack => list(&finding.attack),
            Self::PeerIps => list(&finding.source.ips),
            Self::Credential => text(finding.actor.credential_id.as_ref()),
            Self::IdentityKind => text(finding.actor.kind.as_ref()),
            Self::Resource => text(finding.target.resource.as_ref()),
            Self::Namespace => text(finding.target.namespace.as_ref()),
            Self::Confidence => vec![finding.confidence.as_str()],
        }
    }

    /// Returns the condition that a finding has `value`, or has it not, as SQL.
    pub fn sql(self, value: &str, is_negated: bool) -> String {
        let name = self.name();
        let not = if is_negated { "NOT " } else { "" };
        if !self.is_column() {
            let sign = if is_negated { "<>" } else { "=" };
            return no_condition(&format!("{name} {sign} {value}, which is no column"));
        }
        if value.is_empty() {
            return format!("{name} IS {not}NULL");
        }
        let condition = if self.is_list() {
            let element = serde_json::to_string(value).unwrap_or_default();
            format!("{name} ~ {}", literal(&regex::escape(&element)))
        } else {
            format!("{name} = {}", literal(value))
        };
        if is_negated {
            format!("({name} IS NULL OR NOT {condition})")
        } else {
            condition
        }
    }
}

fn text(text: Option<&String>) -> Vec<&str> {
    vec![text.map_or("", String::as_str)]
}

fn list(texts: &[String]) -> Vec<&str> {
    match texts {
        [] => vec![""],
        texts => texts.iter().map(String::as_str).collect(),
    }
}
