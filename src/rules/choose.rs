//! Which rules a reader asks for.

use super::RuleMeta;
use crate::finding::{RuleKind, Severity};

/// What rules have to be; an empty list asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// One of these families.
    pub families: Vec<String>,
    /// At least this bad.
    pub level: Option<Severity>,
    /// One of these techniques, tactics or ids of the threat matrix, in any case.
    pub tags: Vec<String>,
    /// One of these kinds.
    pub kinds: Vec<RuleKind>,
}

impl Choice {
    /// Returns whether a rule is asked for.
    pub fn takes(&self, meta: &RuleMeta) -> bool {
        let of_family = self.families.is_empty() || self.families.contains(&meta.family);
        let of_kind = self.kinds.is_empty() || self.kinds.contains(&meta.kind);
        let of_level = self.level.is_none_or(|level| meta.severity >= level);
        let has_tag = self.tags.is_empty() || self.tags.iter().any(|tag| has_tag(meta, tag));
        of_family && of_kind && of_level && has_tag
    }
}

/// Returns what a rule is about: techniques, tactics and ids of the threat matrix.
pub fn tags(meta: &RuleMeta) -> impl Iterator<Item = String> {
    let tags = meta.attack.iter().chain(&meta.tactics);
    tags.chain(&meta.threat_matrix).cloned()
}

/// Returns whether a rule is about `tag`; a technique stands for its sub-techniques, too.
pub fn has_tag(meta: &RuleMeta, tag: &str) -> bool {
    let tag = tag.to_ascii_lowercase().replace(['_', ' '], "-");
    let tag = tag.strip_prefix("attack.").unwrap_or(&tag);
    let is_technique = |technique: &String| {
        let technique = technique.to_ascii_lowercase();
        technique == tag || technique.split('.').next() == Some(tag)
    };
    meta.attack.iter().any(is_technique)
        || meta.tactics.iter().any(|tactic| tactic == tag)
        || meta
            .threat_matrix
            .iter()
            .any(|id| id.eq_ignore_ascii_case(tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleSet;

    #[track_caller]
    fn check(choice: &Choice, expected: &[&str]) {
        let set = RuleSet::embedded().unwrap();
        let metas = set.rules.iter().map(|rule| &rule.meta);
        let chosen: Vec<&str> = metas
            .filter(|meta| choice.takes(meta))
            .map(|meta| meta.name.as_str())
            .collect();
        for name in expected {
            assert!(chosen.contains(name), "{name}: {chosen:?}");
        }
        assert_eq!(chosen.is_empty(), expected.is_empty(), "{chosen:?}");
    }

    fn tagged(tag: &str) -> Choice {
        Choice {
            tags: vec![tag.to_owned()],
            ..Choice::default()
        }
    }

    #[test]
    fn tags_are_techniques_tactics_and_threats() {
        check(&tagged("t1078.001"), &["anonymous-resource-allowed"]);
        check(
            &tagged("T1078"),
            &["anonymous-resource-allowed", "superuser-in-effect"],
        );
        check(&tagged("attack.t1098.006"), &["anonymous-granted"]);
        check(&tagged("Initial_Access"), &["anonymous-write-denied"]);
        check(&tagged("T107"), &[]);
    }

    #[test]
    fn all_that_is_asked_has_to_hold() {
        let critical = Choice {
            families: vec!["anonymous".to_owned()],
            level: Some(Severity::Critical),
            kinds: vec![RuleKind::Sigma],
            ..tagged("persistence")
        };
        check(&critical, &["anonymous-granted"]);
        let other = Choice {
            kinds: vec![RuleKind::Correlation],
            ..critical
        };
        check(&other, &[]);
    }
}
