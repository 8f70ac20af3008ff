//! What every kind of rule says of itself.
//!
//! Sigma's own keys stand at the top of a file; what kubescry needs and Sigma has no word for stands
//! under the one key `kubescry`. Both are read here, for detections, correlations and analytics alike.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use yaml_serde::Value;

use super::{FAMILIES, RuleError, duration_us};
use crate::finding::{Confidence, RuleKind, RuleRef, Severity};

/// What sessions are split by unless the rule says otherwise: 30 minutes.
pub const SESSION_GAP_US: i64 = 30 * 60 * 1_000_000;

/// The family of rules from elsewhere that have no tag of a tactic.
const NO_FAMILY: &str = "other";

/// What every kind of rule has.
#[derive(Debug, Clone, Serialize)]
pub struct RuleMeta {
    /// UUID; never changes.
    pub id: String,
    /// Short kebab-case name, unique.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// A paragraph; empty if the file has none.
    pub description: String,
    /// What evaluates it.
    pub kind: RuleKind,
    /// One of [`FAMILIES`].
    pub family: String,
    /// `level` of the file.
    #[serde(rename = "level")]
    pub severity: Severity,
    /// How sure a finding is; medium unless the file says otherwise.
    pub confidence: Confidence,
    /// ATT&CK techniques, such as `T1550.001`, from the tags.
    pub attack: Vec<String>,
    /// ATT&CK tactics in kebab case, from the tags.
    pub tactics: Vec<String>,
    /// Techniques of Microsoft's threat matrix for Kubernetes, such as `MS-TA9006`.
    pub threat_matrix: Vec<String>,
    /// What others call the same detection, by product: a search aid.
    pub also_known_as: BTreeMap<String, String>,
    /// Lowest audit level at which the rule sees all it looks for.
    pub needs: AuditLevel,
    /// Stages of which one must be logged; any if empty.
    pub stages: Vec<String>,
    /// Lists of exclusions, by name.
    pub exclude: Vec<String>,
    /// What else looks like this.
    pub false_positives: Vec<String>,
    /// Where to read more.
    pub references: Vec<String>,
    /// What to do about a finding.
    pub next_steps: Vec<String>,
    /// What the rule cannot see.
    pub blind_spots: Vec<String>,
    /// Columns whose values part the findings of this rule.
    pub group_by: Vec<String>,
    /// Silence after which a new finding starts, in microseconds.
    pub session_gap_us: i64,
    /// Template of the finding's one sentence.
    pub summary: Option<String>,
    /// One finding per group over the whole log, however long the silences.
    pub once: bool,
    /// What has to be the same, besides who does what with which program from where, for requests to be a habit; none if the
    /// rule knows no habits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub habit: Option<Habit>,
    /// Of a correlation that counts values: the rule whose values it does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount: Option<String>,
    /// Whether it says less of what somebody does in a namespace of his own, made shortly before.
    pub own_namespace: bool,
    /// Columns that must not be null all over the log, or the rule stays silent.
    pub requires: Vec<String>,
    /// Events that the rule must and must not match.
    #[serde(skip)]
    pub tests: Vec<TestEvent>,
    /// Whether it is part of the program, whose tests have shown it to be right.
    #[serde(rename = "built_in")]
    pub is_built_in: bool,
    /// The file, below `queries` or as given.
    pub path: String,
    /// The whole text of that file.
    #[serde(skip)]
    pub text: Arc<str>,
}

/// An event that a rule holds to be tested with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestEvent {
    /// What the event shows, for people.
    #[serde(default)]
    pub name: String,
    /// Whether the rule must match it.
    pub expect: Expect,
    /// The event.
    pub event: serde_json::Value,
}

/// What a rule must do with a test event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// Match it.
    Hit,
    /// Not match it.
    Miss,
}

/// What has to be the same of the objects of a habit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Habit {
    /// Which ones they are.
    Names,
    /// Of what kind they are and in which namespace: each has a name of its own.
    Kinds,
}

/// How much an audit policy lets an event hold (`audit.k8s.io/v1` `Level`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub enum AuditLevel {
    /// Who, what, when; no bodies.
    #[default]
    Metadata,
    /// The body of the request too.
    Request,
    /// Both bodies.
    RequestResponse,
}

impl fmt::Display for AuditLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        })
    }
}

/// What stands under the top-level key `kubescry`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Extension {
    family: Option<String>,
    confidence: Option<String>,
    threat_matrix: Vec<String>,
    also_known_as: BTreeMap<String, String>,
    needs: AuditLevel,
    stages: Vec<String>,
    exclude: Vec<String>,
    group_by: Option<Vec<String>>,
    session_gap: Option<String>,
    next_steps: Vec<String>,
    blind_spots: Vec<String>,
    summary: Option<String>,
    requires: Vec<String>,
    once: bool,
    habit: Option<Habit>,
    discount: Option<String>,
    own_namespace: bool,
    tests: Vec<TestEvent>,
}

/// The keys of Sigma that all kinds of rules have.
pub(super) struct Head {
    pub(super) kind: RuleKind,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) title: String,
    pub(super) description: Option<String>,
    pub(super) level: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) false_positives: Vec<String>,
    pub(super) references: Vec<String>,
    pub(super) extension: Option<Value>,
}

impl RuleMeta {
    /// Reads what a rule in the file `path` with the content `text` says of itself.
    ///
    /// Rules from elsewhere need no `id`, `name`, `level` or family: they get an id of their title, the
    /// name of their file, medium, and the family of their first tactic.
    pub(super) fn new(path: &str, text: &str, head: Head) -> Result<Self, Vec<RuleError>> {
        let mut problems = Problems {
            path,
            text,
            errors: Vec::new(),
        };
        let about = format!("rule `{}`", head.title);
        let extension = match head.extension.map(yaml_serde::from_value::<Extension>) {
            None => Extension::default(),
            Some(Ok(extension)) => extension,
            Some(Err(error)) => {
                let what = format!("under `kubescry`: {error}");
                problems
                    .errors
                    .push(super::sigma::placed(path, text, &what));
                Extension::default()
            }
        };
        let severity = head.level.map_or(Some(Severity::Medium), |level| {
            let severity = Severity::from_str(&level).ok();
            let what = format!("unknown level `{level}` of {about}");
            let hint = "informational, low, medium, high or critical";
            problems.unless(severity, "level:", what, hint)
        });
        let confidence = extension
            .confidence
            .map_or(Some(Confidence::Medium), |word| {
                let what = format!("unknown confidence `{word}` of {about}");
                problems.unless(
                    confidence(&word),
                    "confidence:",
                    what,
                    "low, medium or high",
                )
            });
        let gap = extension.session_gap.map_or(Some(SESSION_GAP_US), |gap| {
            let what = format!("{about}: `session_gap` is not a duration");
            problems.unless(
                duration_us(&gap),
                "session_gap:",
                what,
                "such as 30m or 12h",
            )
        });
        let tactics = tactics(&head.tags);
        let family = extension
            .family
            .or_else(|| tactics.first().cloned())
            .unwrap_or_else(|| NO_FAMILY.to_owned());
        let (Some(severity), Some(confidence), Some(session_gap_us)) = (severity, confidence, gap)
        else {
            return Err(problems.errors);
        };
        let meta = Self {
            id: head.id.unwrap_or_else(|| id_of(&head.title)),
            name: head.name.unwrap_or_else(|| name_of(path)),
            title: head.title,
            description: head.description.unwrap_or_default(),
            kind: head.kind,
            family,
            severity,
            confidence,
            attack: techniques(&head.tags),
            tactics,
            threat_matrix: extension.threat_matrix,
            also_known_as: extension.also_known_as,
            needs: extension.needs,
            stages: extension.stages,
            exclude: extension.exclude,
            false_positives: head.false_positives,
            references: head.references,
            next_steps: extension.next_steps,
            blind_spots: extension.blind_spots,
            group_by: extension.group_by.unwrap_or_else(default_group_by),
            session_gap_us,
            summary: extension.summary,
            once: extension.once,
            habit: extension.habit,
            discount: extension.discount,
            own_namespace: extension.own_namespace,
            requires: extension.requires,
            tests: extension.tests,
            is_built_in: false,
            path: path.to_owned(),
            text: text.into(),
        };
        meta.check(&mut problems.errors);
        if problems.errors.is_empty() {
            Ok(meta)
        } else {
            Err(problems.errors)
        }
    }

    /// Returns how findings name the rule.
    pub fn rule_ref(&self) -> RuleRef {
        RuleRef {
            id: self.id.clone(),
            name: self.name.clone(),
            title: self.title.clone(),
            kind: self.kind,
        }
    }

    /// Returns an error about the first line of the file that holds `needle`.
    pub(super) fn error(&self, needle: &str, what: impl Into<String>) -> RuleError {
        RuleError::at(&self.path, &self.text, needle, what)
    }

    fn check(&self, errors: &mut Vec<RuleError>) {
        if !is_uuid(&self.id) {
            errors.push(
                self.error("id:", format!("`id` of rule `{}` is not a UUID", self.name))
                    .hint("`uuidgen` makes one"),
            );
        }
        if !is_word(&self.name) {
            errors.push(
                self.error("name:", format!("rule name `{}` is not a word", self.name))
                    .hint("letters, digits, `-`, `_` and `.`"),
            );
        }
        if !FAMILIES.contains(&self.family.as_str()) {
            let what = format!("unknown family `{}` of rule `{}`", self.family, self.name);
            let hint = format!("one of {}", FAMILIES.join(", "));
            errors.push(self.error("family:", what).hint(hint));
        }
    }
}

/// What is wrong so far.
struct Problems<'a> {
    path: &'a str,
    text: &'a str,
    errors: Vec<RuleError>,
}

impl Problems<'_> {
    /// Returns `value`; notes what is wrong if there is none.
    fn unless<T>(&mut self, value: Option<T>, needle: &str, what: String, hint: &str) -> Option<T> {
        if value.is_none() {
            let error = RuleError::at(self.path, self.text, needle, what).hint(hint);
            self.errors.push(error);
        }
        value
    }
}

/// What findings are parted by unless the rule says otherwise.
fn default_group_by() -> Vec<String> {
    vec!["username".to_owned(), "peer_ip".to_owned()]
}

/// Returns the ATT&CK techniques among `tags`.
fn techniques(tags: &[String]) -> Vec<String> {
    let technique = |tag: &String| {
        let name = tag.strip_prefix("attack.")?;
        let digits = name.strip_prefix(['t', 'T'])?;
        digits
            .starts_with(|digit: char| digit.is_ascii_digit())
            .then(|| name.to_ascii_uppercase())
    };
    tags.iter().filter_map(technique).collect()
}

/// The tactics of ATT&CK, those that version 19 made of defense evasion too.
pub(super) const TACTICS: [&str; 17] = [
    "reconnaissance",
    "resource-development",
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "stealth",
    "defense-impairment",
    "impair-defenses",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
    "impact",
];

/// Returns the ATT&CK tactics among `tags`, that is, the families they name.
///
/// `SigmaHQ` writes `stealth` and `defense-impairment` since ATT&CK split defense evasion.
fn tactics(tags: &[String]) -> Vec<String> {
    let tactic = |tag: &String| {
        let name = tag.strip_prefix("attack.")?.replace('_', "-");
        let name = match name.as_str() {
            "stealth" | "defense-impairment" | "impair-defenses" => "defense-evasion".to_owned(),
            _ => name,
        };
        FAMILIES.contains(&name.as_str()).then_some(name)
    };
    tags.iter().filter_map(tactic).collect()
}

fn confidence(word: &str) -> Option<Confidence> {
    [Confidence::Low, Confidence::Medium, Confidence::High]
        .into_iter()
        .find(|confidence| confidence.as_str() == word)
}

/// Returns a UUID (version 8, RFC 9562) that depends on `title` only.
fn id_of(title: &str) -> String {
    let hash = xxhash_rust::xxh3::xxh3_128(title.as_bytes());
    let version = hash & !(0xf << 76) | 0x8 << 76;
    let variant = version & !(0x3 << 62) | 0x2 << 62;
    let hex = format!("{variant:032x}");
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

/// Returns the name of a file as the name of a rule.
pub(super) fn name_of(path: &str) -> String {
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let words = stem.split(|sign: char| !sign.is_ascii_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join("-").to_ascii_lowercase()
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Returns whether a name can be written as an argument as it is.
fn is_word(text: &str) -> bool {
    let is_sign = |sign: char| sign.is_alphanumeric() || matches!(sign, '-' | '_' | '.');
    !text.is_empty() && text.chars().all(is_sign)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleSet;

    fn is_kebab_case(text: &str) -> bool {
        text.split('-').all(|word| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'))
        })
    }

    #[test]
    fn what_rules_from_elsewhere_lack_is_made_of_what_they_have() {
        let id = id_of("Deployment Deleted From Kubernetes Cluster");
        assert!(is_uuid(&id), "{id}");
        assert_eq!(&id[14..15], "8", "the version");
        assert!("89ab".contains(&id[19..20]), "the variant: {id}");
        assert_ne!(id, id_of("Another"));
        let name = name_of("rules/kubernetes_audit_exec__into.container.yml");
        assert_eq!(name, "kubernetes-audit-exec-into-container");
        assert!(is_kebab_case(&name));
        let tags = ["attack.stealth", "attack.t1070", "attack.credential_access"];
        let tags = tags.map(str::to_owned);
        assert_eq!(tactics(&tags), ["defense-evasion", "credential-access"]);
        assert_eq!(techniques(&tags), ["T1070"]);
    }

    #[test]
    fn our_own_names_are_in_kebab_case() {
        for rule in RuleSet::embedded().unwrap().rules {
            assert!(is_kebab_case(&rule.meta.name), "{}", rule.meta.name);
        }
    }
}
