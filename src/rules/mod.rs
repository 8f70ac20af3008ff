//! Rules: the files below `queries` as one [`RuleSet`].
//!
//! Comes in: the text of rule files, embedded or the user's own. Goes out: a [`Rule`] per Sigma rule,
//! Sigma correlation (specification 2.1) and native analytic, in the order of their paths. Promised:
//! ids and names are unique, every rule has a severity and a family, and what a correlation refers to
//! exists. Left out on purpose: columns; whether a field exists is for `detect` to say.
//!
//! What kubescry needs and Sigma has no word for stands under the one top-level key `kubescry`.

pub mod analytic;
pub mod sigma;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use include_dir::{Dir, include_dir};
use rsigma_parser::{ConditionExpr, CorrelationCondition, CorrelationRule, SigmaRule};

use crate::finding::{Confidence, RuleKind, RuleRef, Severity};
pub use analytic::Parameters;

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/queries");

/// The families of findings: the five headline ones, the ATT&CK tactics, and what is about the log.
pub const FAMILIES: &[&str] = &[
    "anonymous",
    "system-masters",
    "shared-credential",
    "token-reuse",
    "unauthorized-spike",
    "reconnaissance",
    "resource-development",
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
    "impact",
    "hygiene",
    "coverage",
    "integrity",
];

/// What sessions are split by unless the rule says otherwise: 30 minutes.
pub const SESSION_GAP_US: i64 = 30 * 60 * 1_000_000;

/// All rules of a run, in the order of their paths.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    /// The rules; others refer to them by index.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What every kind of rule has.
    pub meta: RuleMeta,
    /// What it looks for.
    pub body: RuleBody,
}

/// What a rule looks for.
#[derive(Debug, Clone)]
pub enum RuleBody {
    /// One request suffices.
    Sigma(Box<SigmaRule>),
    /// Several requests in a window.
    Correlation(Box<CorrelationRule>),
    /// Native code, with these parameters.
    Analytic(Parameters),
}

/// What every kind of rule has.
#[derive(Debug, Clone)]
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
    pub severity: Severity,
    /// How sure a finding is; medium unless the file says otherwise.
    pub confidence: Confidence,
    /// ATT&CK techniques, such as `T1550.001`, from the tags.
    pub attack: Vec<String>,
    /// What else looks like this.
    pub false_positives: Vec<String>,
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
    /// Columns that must not be null all over the log, or the rule stays silent.
    pub requires: Vec<String>,
    /// The file, below `queries`.
    pub path: String,
    /// The whole text of that file.
    pub text: Arc<str>,
}

/// What is wrong with a rule file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} (`{path}`{})", Line(.line))]
pub struct RuleError {
    /// The file, as it was given.
    pub path: String,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// What to try.
    pub hint: Option<String>,
}

/// Writes `, line N`.
struct Line<'a>(&'a Option<usize>);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, ", line {line}"))
    }
}

impl RuleError {
    /// Returns an error about the first line of `text` that holds `needle`.
    pub(crate) fn at(path: &str, text: &str, needle: &str, what: impl Into<String>) -> Self {
        let line = text
            .lines()
            .position(|line| !needle.is_empty() && line.contains(needle));
        Self {
            path: path.to_owned(),
            line: line.map(|line| line + 1),
            what: what.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl RuleMeta {
    /// Returns how findings name the rule.
    pub fn rule_ref(&self) -> RuleRef {
        RuleRef {
            id: self.id.clone(),
            name: self.name.clone(),
            title: self.title.clone(),
            kind: self.kind,
        }
    }

    fn error(&self, needle: &str, what: impl Into<String>) -> RuleError {
        RuleError::at(&self.path, &self.text, needle, what)
    }

    fn check(&self, errors: &mut Vec<RuleError>) {
        if !is_uuid(&self.id) {
            errors.push(
                self.error("id:", format!("`id` of rule `{}` is not a UUID", self.name))
                    .hint("`uuidgen` makes one"),
            );
        }
        if !is_kebab_case(&self.name) {
            errors.push(
                self.error(
                    "name:",
                    format!("rule name `{}` is not kebab-case", self.name),
                )
                .hint("lower-case letters, digits and single hyphens"),
            );
        }
        if !FAMILIES.contains(&self.family.as_str()) {
            let what = match self.family.as_str() {
                "" => format!("rule `{}` has no family", self.name),
                family => format!("unknown family `{family}` of rule `{}`", self.name),
            };
            let hint = format!("one of {}", FAMILIES.join(", "));
            errors.push(self.error("family:", what).hint(hint));
        }
    }
}

impl RuleSet {
    /// Returns the rules in the binary.
    ///
    /// # Errors
    /// When a file is wrong; a test keeps that from shipping.
    pub fn embedded() -> Result<Self, Vec<RuleError>> {
        Self::from_files(embedded_files())
    }

    /// Returns the rules of `files`, pairs of a path below `queries` and a text.
    ///
    /// Files in `analytics/` are native analytics, the others Sigma. The order of `files` does not
    /// matter.
    ///
    /// # Errors
    /// When any file is wrong: all problems, each with its place.
    pub fn from_files<P, T>(files: impl IntoIterator<Item = (P, T)>) -> Result<Self, Vec<RuleError>>
    where
        P: AsRef<str>,
        T: AsRef<str>,
    {
        let mut files: Vec<_> = files.into_iter().collect();
        files.sort_by(|(left, _), (right, _)| left.as_ref().cmp(right.as_ref()));
        let (mut rules, mut errors) = (Vec::new(), Vec::new());
        for (path, text) in &files {
            let is_analytic = path.as_ref().starts_with("analytics/");
            let parse = if is_analytic {
                analytic::parse
            } else {
                sigma::parse
            };
            match parse(path.as_ref(), text.as_ref()) {
                Ok(parsed) => rules.extend(parsed),
                Err(problems) => errors.extend(problems),
            }
        }
        let set = Self { rules };
        set.check(&mut errors);
        if errors.is_empty() {
            Ok(set)
        } else {
            Err(errors)
        }
    }

    /// Returns the index of the rule with that id or name.
    pub fn find(&self, reference: &str) -> Option<usize> {
        self.rules
            .iter()
            .position(|Rule { meta, .. }| meta.id == reference || meta.name == reference)
    }

    fn check(&self, errors: &mut Vec<RuleError>) {
        let mut seen = HashMap::new();
        for (rule_idx, Rule { meta, body }) in self.rules.iter().enumerate() {
            meta.check(errors);
            for (key, value) in [("id", &meta.id), ("name", &meta.name)] {
                if let Some(other) = seen.insert((key, value), &meta.path) {
                    let what = format!("the {key} `{value}` is also that of a rule in `{other}`");
                    errors.push(meta.error(value, what));
                }
            }
            if let RuleBody::Correlation(rule) = body {
                self.check_correlation(meta, rule, errors);
                if self.reaches(rule_idx, rule_idx, &mut BTreeSet::new()) {
                    errors.push(meta.error("rules:", "the correlation refers to itself"));
                }
            }
        }
    }

    fn check_correlation(
        &self,
        meta: &RuleMeta,
        rule: &CorrelationRule,
        errors: &mut Vec<RuleError>,
    ) {
        if rule.rules.is_empty() {
            errors.push(meta.error("rules:", "the correlation names no rules"));
        }
        for reference in &rule.rules {
            let body = self.find(reference).map(|found| &self.rules[found].body);
            if body.is_none_or(|body| matches!(body, RuleBody::Analytic(_))) {
                let what = format!("there is no Sigma rule `{reference}` to correlate");
                errors.push(
                    meta.error(reference, what)
                        .hint("give the name or id of a rule"),
                );
            }
        }
        if let CorrelationCondition::Extended(condition) = &rule.condition {
            let mut names = Vec::new();
            identifiers(condition, &mut names);
            for name in names.into_iter().filter(|name| !rule.rules.contains(name)) {
                let what = format!("the condition names `{name}`, which `rules` does not");
                errors.push(meta.error("condition:", what));
            }
        }
    }

    /// Returns whether correlation `from` refers to `to`, directly or through others.
    fn reaches(&self, from: usize, to: usize, seen: &mut BTreeSet<usize>) -> bool {
        let RuleBody::Correlation(rule) = &self.rules[from].body else {
            return false;
        };
        rule.rules
            .iter()
            .filter_map(|reference| self.find(reference))
            .any(|next| next == to || (seen.insert(next) && self.reaches(next, to, seen)))
    }
}

/// Returns path and text of every embedded rule.
fn embedded_files() -> Vec<(&'static str, &'static str)> {
    let mut files = Vec::new();
    let mut folders = vec![&EMBEDDED];
    while let Some(folder) = folders.pop() {
        folders.extend(folder.dirs());
        files.extend(folder.files().filter_map(|file| {
            let path = file.path().to_str()?;
            let is_rule = (path.starts_with("detections/") || path.starts_with("analytics/"))
                && file
                    .path()
                    .extension()
                    .is_some_and(|extension| extension == "yml");
            is_rule.then(|| (path, file.contents_utf8().expect("rule files are UTF-8")))
        }));
    }
    files
}

fn identifiers(condition: &ConditionExpr, names: &mut Vec<String>) {
    match condition {
        ConditionExpr::And(parts) | ConditionExpr::Or(parts) => {
            for part in parts {
                identifiers(part, names);
            }
        }
        ConditionExpr::Not(part) => identifiers(part, names),
        ConditionExpr::Identifier(name) => names.push(name.clone()),
        ConditionExpr::Selector { .. } => {}
    }
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

/// Returns the microseconds of `30m` and its like: a whole number and `ms`, `s`, `m`, `h`, `d` or `w`.
pub(crate) fn duration_us(text: &str) -> Option<i64> {
    let digits = text.find(|sign: char| !sign.is_ascii_digit())?;
    let (count, unit) = text.split_at(digits);
    let unit_us = match unit {
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        "w" => 604_800_000_000,
        _ => return None,
    };
    count.parse::<i64>().ok()?.checked_mul(unit_us)
}

fn confidence(word: &str) -> Option<Confidence> {
    [Confidence::Low, Confidence::Medium, Confidence::High]
        .into_iter()
        .find(|confidence| confidence.as_str() == word)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_kebab_case(text: &str) -> bool {
    text.split('-').all(|word| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'))
    })
}

#[cfg(test)]
mod tests;
