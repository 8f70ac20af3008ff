//! Lint: all that is wrong with rule files, and all that is likely wrong.
//!
//! Comes in: folders of rules. Goes out: errors, for which rules are refused, and warnings, each with file and line.
//! A warning says that a rule is legal and will probably not do what its author wants.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::detect::{CompiledRules, check as fields};
use crate::rules::{List, Loaded, RuleError, RuleSet, check};
use crate::trial::Trial;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lint {
    /// For which rules are refused.
    pub errors: Vec<RuleError>,
    /// What is likely wrong, by file and line.
    pub warnings: Vec<RuleError>,
    /// How many rules were looked at.
    pub n_rules: usize,
    /// Whether there was a rule, a list or a filter to look at.
    pub has_files: bool,
}

impl Lint {
    /// Looks at the files below `folders`, or without any at the built-in rules; `tests` are folders with test events.
    pub fn of(folders: &[impl AsRef<Path>], tests: &[PathBuf]) -> Self {
        let loaded = match RuleSet::load(folders) {
            Ok(loaded) => loaded,
            Err(errors) => {
                return Self {
                    errors,
                    ..Self::default()
                };
            }
        };
        let rules = loaded.set.rules.iter();
        let lists = loaded.set.lists.iter();
        let has_files = rules.clone().any(|rule| !rule.meta.is_built_in)
            || lists.clone().any(|list| !list.is_built_in)
            || !loaded.set.filters.is_empty();
        Self {
            has_files: folders.is_empty() || has_files,
            n_rules: rules
                .filter(|rule| folders.is_empty() || !rule.meta.is_built_in)
                .count(),
            errors: errors(&loaded),
            warnings: warnings(&loaded.set, folders.is_empty(), tests),
        }
    }
}

/// Returns all for which rules are refused.
fn errors(loaded: &Loaded) -> Vec<RuleError> {
    let mut errors = loaded.bad.clone();
    errors.extend(loaded.conflicts.iter().cloned());
    let compiled = CompiledRules::compile(&loaded.set)
        .err()
        .unwrap_or_default();
    errors.extend(compiled.into_iter().map(|error| error.problem));
    errors
}

/// Returns what is likely wrong with files of the user's own, or with the built-in ones, by file and line, each once.
fn warnings(rules: &RuleSet, of_built_in: bool, tests: &[PathBuf]) -> Vec<RuleError> {
    let mut warnings: Vec<RuleError> = rules.warnings.clone();
    let is_target = |rule: &usize| rules.rules[*rule].meta.is_built_in == of_built_in;
    for rule in (0..rules.rules.len()).filter(is_target) {
        warnings.extend(check::check(rules, rule));
        warnings.extend(fields::check(&rules.rules[rule]));
        warnings.extend(Trial::lacking(rules, rule, tests));
    }
    for filter in &rules.filters {
        warnings.extend(fields::check_filter(filter));
    }
    let of_kind = |list: &&List| list.is_built_in == of_built_in;
    for list in rules.lists.iter().filter(of_kind) {
        warnings.extend(fields::check_list(list));
    }
    warnings.sort_by(|left, right| {
        let key = |warning: &RuleError| (warning.path.clone(), warning.line, warning.what.clone());
        key(left).cmp(&key(right))
    });
    // Documents of one file see what is around them, too.
    let mut said = BTreeSet::new();
    warnings
        .retain(|warning| said.insert((warning.path.clone(), warning.line, warning.what.clone())));
    warnings
}
