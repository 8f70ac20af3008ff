//! Hygiene of rule files, as far as it needs no fields: texts that are missing, tags, keys, expressions.
//!
//! Everything here is legal and likely wrong. What is about the fields of events is in `detect::check`.

use std::collections::BTreeSet;

use rsigma_parser::{Detection, DetectionItem, Modifier};

use super::document::Block;
use super::meta::TACTICS;
use super::pattern::costs;
use super::{Rule, RuleBody, RuleError, RuleMeta, RuleSet};
use crate::finding::Severity;

/// Where in a file something is that is complained of.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The file.
    pub path: &'a str,
    /// The part of it that is looked at.
    pub block: Block<'a>,
}

impl Site<'_> {
    /// Returns a complaint about the first line that holds `needle`.
    pub fn complain(&self, needle: &str, what: impl Into<String>) -> RuleError {
        RuleError {
            path: self.path.to_owned(),
            line: Some(self.block.find(needle).unwrap_or(self.block.line)),
            what: what.into(),
            hint: None,
        }
    }

    /// Returns a complaint about a value of a field: the line of the value, or else that of the field.
    pub fn complain_of(&self, field: &str, value: &str, what: impl Into<String>) -> RuleError {
        let mut complaint = self.complain(field, what);
        complaint.line = self.line_of(field, value).or(complaint.line);
        complaint
    }

    /// Returns the line of `value` below the key `field`: on its line, or in the lines that are set further in.
    fn line_of(&self, field: &str, value: &str) -> Option<usize> {
        let mut below = None;
        for (number, line) in self.block.lines() {
            let indent = line.len() - line.trim_start().len();
            let is_key = line.contains(field) && line.contains(':');
            if is_key {
                below = Some(indent);
            }
            let is_below = below.is_some_and(|key| {
                is_key || indent > key || (indent == key && line.trim_start().starts_with('-'))
            });
            if is_below && line.contains(value) {
                return Some(number);
            }
            if !is_below && !line.trim().is_empty() {
                below = None;
            }
        }
        None
    }
}

impl RuleMeta {
    /// Returns the place of what the rule says.
    pub fn site(&self) -> Site<'_> {
        Site {
            path: &self.path,
            block: self.document(),
        }
    }
}

/// Returns what is likely wrong with rule number `rule`, beside its fields.
pub fn check(rules: &RuleSet, rule: usize) -> Vec<RuleError> {
    let rule = &rules.rules[rule];
    let site = rule.meta.site();
    let mut warnings = Vec::new();
    keys(site, &mut warnings);
    texts(rules, rule, &mut warnings);
    tags(rule, &mut warnings);
    if let RuleBody::Sigma(sigma) = &rule.body {
        let mut names: Vec<&String> = sigma.detection.named.keys().collect();
        names.sort_unstable(); // the map's order differs from run to run
        for name in names {
            patterns(site, &sigma.detection.named[name], &mut warnings);
        }
        let service = sigma.logsource.service.as_deref();
        if let Some(service) = service.filter(|service| !service.eq_ignore_ascii_case("audit")) {
            let what = format!("`service: {service}` is not the audit log, which is what is read");
            warnings.push(site.complain("service:", what));
        }
    }
    warnings
}

/// Keys are in lower case; others are read by nobody.
fn keys(site: Site<'_>, warnings: &mut Vec<RuleError>) {
    for (number, line) in site.block.lines() {
        let key = line.split_once(':').map_or("", |(key, _)| key);
        let is_key = key
            .chars()
            .all(|sign| sign.is_ascii_alphanumeric() || sign == '-' || sign == '_');
        if is_key && key.chars().any(|sign| sign.is_ascii_uppercase()) {
            warnings.push(RuleError {
                path: site.path.to_owned(),
                line: Some(number),
                what: format!("key `{key}` is not read: keys are in lower case"),
                hint: Some(format!("write `{}`", key.to_ascii_lowercase())),
            });
        }
    }
}

/// Texts without which a finding does not say what to do.
fn texts(rules: &RuleSet, rule: &Rule, warnings: &mut Vec<RuleError>) {
    let meta = &rule.meta;
    let site = meta.site();
    let has_level = site.block.key("level").is_some();
    let is_silent = is_silent(rules, meta);
    let needs_steps = meta.severity > Severity::Informational && !is_silent;
    let missing = [
        (
            "description",
            meta.description.trim().is_empty(),
            "what happens, and why it matters",
        ),
        ("level", !has_level, "`medium` is taken"),
        (
            "falsepositives",
            meta.false_positives.is_empty() && !is_silent,
            "what else looks like this",
        ),
        (
            "kubescry.next_steps",
            meta.next_steps.is_empty() && needs_steps,
            "what to do about a finding",
        ),
    ];
    for (key, is_missing, hint) in missing {
        if is_missing {
            let what = format!("rule `{}` has no `{key}`", meta.name);
            warnings.push(site.complain("title:", what).hint(hint));
        }
    }
}

/// Returns whether a rule gives no findings of its own, because a correlation looks at it.
pub fn is_silent(rules: &RuleSet, meta: &RuleMeta) -> bool {
    rules.rules.iter().any(|rule| match &rule.body {
        RuleBody::Correlation(body) => {
            let is_base = |base: &String| *base == meta.name || *base == meta.id;
            !body.generate && rule.bases().any(is_base)
        }
        _ => false,
    })
}

/// Tags of ATT&CK name techniques, tactics, groups or software; others have a namespace.
fn tags(rule: &Rule, warnings: &mut Vec<RuleError>) {
    let meta = &rule.meta;
    let site = meta.site();
    for tag in tags_of(rule, site) {
        let Some((namespace, name)) = tag.split_once('.') else {
            let what = format!("tag `{tag}` has no namespace");
            warnings.push(site.complain(&tag, what).hint("such as `attack.t1609`"));
            continue;
        };
        if namespace == "attack" && !is_attack(name) {
            let what = format!("tag `{tag}` is no technique or tactic of ATT&CK");
            let hint = "such as `attack.t1098.006` or `attack.privilege-escalation`";
            warnings.push(site.complain(&tag, what).hint(hint));
        }
    }
    for id in &meta.threat_matrix {
        let digits = id.strip_prefix("MS-TA9");
        if !digits.is_some_and(|digits| digits.len() == 3 && is_digits(digits)) {
            let what = format!("`{id}` is no id of the threat matrix for Kubernetes");
            warnings.push(site.complain(id, what).hint("such as `MS-TA9006`"));
        }
    }
}

/// Returns the tags of a rule, as the file has them: what was no tag of ATT&CK was not kept.
fn tags_of(rule: &Rule, site: Site<'_>) -> Vec<String> {
    match &rule.body {
        RuleBody::Sigma(rule) => rule.tags.clone(),
        RuleBody::Correlation(rule) => rule.tags.clone(),
        RuleBody::Analytic(_) => {
            let block = site.block.key("tags");
            let lines = block.iter().flat_map(|block| block.text.lines().skip(1));
            let tags = lines.filter_map(|line| line.trim().strip_prefix("- "));
            tags.map(|tag| tag.trim().to_owned()).collect()
        }
    }
}

fn is_attack(name: &str) -> bool {
    let name = name.replace('_', "-").to_ascii_lowercase();
    if TACTICS.contains(&name.as_str()) {
        return true;
    }
    let Some(digits) = name.strip_prefix(['t', 'g', 's']) else {
        return false;
    };
    let (main, sub) = digits.split_once('.').unwrap_or((digits, "000"));
    main.len() == 4 && sub.len() == 3 && is_digits(main) && is_digits(sub)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn patterns(site: Site<'_>, detection: &Detection, warnings: &mut Vec<RuleError>) {
    let mut seen = BTreeSet::new();
    each_item(detection, &mut |item| {
        if !item.field.has_modifier(Modifier::Re) {
            return;
        }
        let name = item.field.name.as_deref().unwrap_or_default();
        for value in &item.values {
            let pattern = value.to_string();
            for (what, hint) in costs(&pattern) {
                if seen.insert((pattern.clone(), what.clone())) {
                    let what = format!("field `{name}`: {what}");
                    let head: String = pattern.chars().take(20).collect();
                    warnings.push(site.complain_of(name, &head, what).hint(hint));
                }
            }
        }
    });
}

/// Calls `take` with every item of a detection, whatever is above it.
pub fn each_item<'d>(detection: &'d Detection, take: &mut impl FnMut(&'d DetectionItem)) {
    match detection {
        Detection::AllOf(items) => items.iter().for_each(take),
        Detection::AnyOf(parts) | Detection::And(parts) => {
            for part in parts {
                each_item(part, take);
            }
        }
        // The fields in there are those of elements.
        Detection::ArrayMatch { .. } | Detection::Conditional { .. } | Detection::Keywords(_) => {}
    }
}
