//! Rules: the files below `queries` as one [`RuleSet`].
//!
//! Comes in: the text of rule files, embedded or the user's own. Goes out: a [`Rule`] per Sigma rule,
//! Sigma correlation (specification 2.1) and native analytic, in the order of their paths. Promised:
//! ids and names are unique, every rule has a severity and a family, and what a correlation refers to
//! exists. Left out on purpose: columns; whether a field exists is for `detect` to say.
//!
//! How to write a rule, and what the open ends of the specification mean here, is in `queries/README.md`.

pub mod analytic;
pub mod check;
pub mod choose;
pub mod document;
pub mod kubernetes;
pub mod list;
mod load;
mod meta;
mod pattern;
pub mod sigma;
mod strict;
pub mod words;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use rsigma_parser::{
    ConditionExpr, CorrelationCondition, CorrelationRule, FilterRule, FilterRuleTarget, SigmaRule,
};
use sha2::{Digest, Sha256};

pub use analytic::Parameters;
pub use choose::Choice;
pub use list::List;
pub use load::Loaded;
pub use meta::{AuditLevel, Expect, Habit, RuleMeta, SESSION_GAP_US, TestEvent};

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
    "other",
];

/// All rules of a run, in the order of their paths.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    /// The rules; others refer to them by index.
    pub rules: Vec<Rule>,
    /// Named lists of exclusions.
    pub lists: Vec<List>,
    /// Sigma filters.
    pub filters: Vec<Filter>,
    /// What is legal, but likely wrong.
    pub warnings: Vec<RuleError>,
}

/// A Sigma filter, whose condition is joined to those of other rules.
#[derive(Debug, Clone)]
pub struct Filter {
    /// What it asks for, and of which rules.
    pub rule: FilterRule,
    /// The file, below `queries` or as given.
    pub path: String,
    /// Its text.
    pub text: Arc<str>,
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

    /// Returns the error of a file that is not what its kind asks for.
    fn of_yaml(path: &str, error: &yaml_serde::Error) -> Self {
        Self {
            path: path.to_owned(),
            line: error.location().map(|place| place.line()),
            what: error.to_string(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl RuleSet {
    /// Says by what anything is made that rests on these rules: the program's version, and a hash of them.
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        for rule in &self.rules {
            hasher.update(rule.meta.id.as_bytes());
            hasher.update(rule.meta.text.as_bytes());
        }
        for list in &self.lists {
            hasher.update(list.text.as_bytes());
        }
        for filter in &self.filters {
            hasher.update(filter.text.as_bytes());
        }
        let hash = hasher.finalize();
        let hash = hash
            .first_chunk()
            .map_or(0, |bytes| u64::from_be_bytes(*bytes));
        format!("kubescry {} rules {hash:016x}", env!("CARGO_PKG_VERSION"))
    }

    /// Takes out the files of the user's own that do not go together with the rest, until all that is left does.
    ///
    /// Returns what was wrong with them; what is left of it, if that cannot be.
    ///
    /// # Errors
    /// When built-in rules do not go together.
    pub fn settle(&mut self, conflicts: Vec<RuleError>) -> Result<Vec<RuleError>, Vec<RuleError>> {
        let mut told = Vec::new();
        let mut conflicts = conflicts;
        while !conflicts.is_empty() {
            let paths: BTreeSet<&str> = conflicts.iter().map(|error| &*error.path).collect();
            let n_before = self.rules.len() + self.lists.len() + self.filters.len();
            self.rules
                .retain(|Rule { meta, .. }| meta.is_built_in || !paths.contains(&*meta.path));
            self.lists
                .retain(|list| list.is_built_in || !paths.contains(&*list.path));
            self.filters.retain(|filter| !paths.contains(&*filter.path));
            if self.rules.len() + self.lists.len() + self.filters.len() == n_before {
                return Err(conflicts);
            }
            told.append(&mut conflicts);
            self.check(&mut conflicts);
        }
        Ok(told)
    }

    /// Has no list hold anything back.
    pub fn exclude_nothing(&mut self) {
        for rule in &mut self.rules {
            rule.meta.exclude.clear();
        }
    }

    /// Takes out the rules, lists and filters of these names, and what refers to them.
    pub fn remove(&mut self, names: &[String]) {
        let is_named = |name: &String| names.contains(name);
        self.lists.retain(|list| !is_named(&list.name));
        self.filters.retain(|filter| !is_named(&filter.rule.title));
        self.rules
            .retain(|rule| !is_named(&rule.meta.name) && !rule.meta.exclude.iter().any(is_named));
        loop {
            let is_whole = |rule: &Rule| rule.bases().all(|base| self.find(base).is_some());
            let whole: Vec<bool> = self.rules.iter().map(is_whole).collect();
            if !whole.contains(&false) {
                return;
            }
            let mut whole = whole.into_iter();
            self.rules
                .retain(|_| whole.next().expect("one for each rule"));
        }
    }

    /// Returns the index of the rule with that id or name.
    pub fn find(&self, reference: &str) -> Option<usize> {
        self.rules
            .iter()
            .position(|Rule { meta, .. }| meta.id == reference || meta.name == reference)
    }

    /// Returns the indices of the correlations, each behind those it refers to.
    pub fn correlations_in_order(&self) -> Vec<usize> {
        let mut order = Vec::new();
        for rule in 0..self.rules.len() {
            self.visit(rule, &mut order);
        }
        order
    }

    fn visit(&self, rule: usize, order: &mut Vec<usize>) {
        if !matches!(self.rules[rule].body, RuleBody::Correlation(_)) {
            return;
        }
        if order.contains(&rule) {
            return;
        }
        let bases = self.rules[rule].bases();
        for base in bases
            .filter_map(|base| self.find(base))
            .filter(|base| *base != rule)
        {
            self.visit(base, order);
        }
        order.push(rule);
    }

    /// Returns the index of the list of that name.
    pub fn find_list(&self, name: &str) -> Option<usize> {
        self.lists.iter().position(|list| list.name == name)
    }

    /// Returns whether `filter` is about the detection rule `rule`.
    ///
    /// Every key of the log source that the filter sets must be that of the rule, if the rule sets it.
    pub fn is_filtered(filter: &FilterRule, meta: &RuleMeta, rule: &SigmaRule) -> bool {
        let is_named = match &filter.rules {
            FilterRuleTarget::Any => true,
            FilterRuleTarget::Specific(names) => names
                .iter()
                .any(|name| *name == meta.id || *name == meta.name),
        };
        let has = |wanted: &Option<String>, has: &Option<String>| {
            wanted.is_none() || has.is_none() || wanted == has
        };
        let fits = filter.logsource.as_ref().is_none_or(|source| {
            has(&source.product, &rule.logsource.product)
                && has(&source.service, &rule.logsource.service)
                && has(&source.category, &rule.logsource.category)
        });
        is_named && fits
    }

    fn check(&self, errors: &mut Vec<RuleError>) {
        let mut seen = HashMap::new();
        for (rule_idx, Rule { meta, body }) in self.rules.iter().enumerate() {
            for (key, value) in [("id", &meta.id), ("name", &meta.name)] {
                if let Some(other) = seen.insert((key, value), &meta.path) {
                    let what = format!("the {key} `{value}` is also that of a rule in `{other}`");
                    errors.push(meta.error(value, what));
                }
            }
            for name in &meta.exclude {
                if self.find_list(name).is_none() {
                    let what = format!("there is no list `{name}` of exclusions");
                    errors.push(meta.error(name, what));
                }
            }
            if let RuleBody::Correlation(rule) = body {
                self.check_correlation(meta, rule, errors);
                if self.reaches(rule_idx, rule_idx, &mut BTreeSet::new()) {
                    errors.push(meta.error("rules:", "the correlation refers to itself"));
                }
            }
        }
        let mut names = BTreeSet::new();
        for list in &self.lists {
            if !names.insert(&list.name) {
                let what = format!("there are two lists `{}`", list.name);
                errors.push(RuleError::at(&list.path, &list.text, &list.name, what));
            }
        }
        for filter in &self.filters {
            let FilterRuleTarget::Specific(names) = &filter.rule.rules else {
                continue;
            };
            for name in names {
                let body = self.find(name).map(|found| &self.rules[found].body);
                if !matches!(body, Some(RuleBody::Sigma(_))) {
                    let what = format!("there is no detection rule `{name}` to filter");
                    let error = RuleError::at(&filter.path, &filter.text, name, what);
                    errors.push(error.hint("filters join detection rules, not correlations"));
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

/// A century, more than any log: what is longer must not overflow when it is added to a time.
const LONGEST_US: i64 = 100 * 366 * 86_400_000_000;

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
    let duration = count.parse::<i64>().ok()?.checked_mul(unit_us)?;
    (duration <= LONGEST_US).then_some(duration)
}

#[cfg(test)]
mod tests;
