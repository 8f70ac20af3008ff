//! Every rule of the program: complete, and with words for people.

use std::collections::BTreeSet;

use kubescry::rules::{Rule, RuleBody};
use kubescry::trial::Trial;

use crate::support::{RULES, root};

/// Returns the names of rules that others correlate and that give no finding by themselves.
fn silent() -> BTreeSet<String> {
    let correlations = RULES.0.rules.iter().filter(
        |rule| matches!(&rule.body, RuleBody::Correlation(correlation) if !correlation.generate),
    );
    let bases = correlations.flat_map(Rule::bases);
    let names = bases.filter_map(|base| RULES.0.find(base));
    names
        .map(|rule| RULES.0.rules[rule].meta.name.clone())
        .collect()
}

#[test]
fn every_rule_says_what_to_do() {
    let silent = silent();
    for rule in &RULES.0.rules {
        let meta = &rule.meta;
        assert!(!meta.description.is_empty(), "{}: description", meta.name);
        let native = matches!(rule.body, RuleBody::Analytic(_));
        assert_eq!(native, meta.path.starts_with("analytics/"), "{}", meta.path);
        if silent.contains(&meta.name) {
            continue;
        }
        let is_about_the_log = ["coverage", "hygiene"].contains(&meta.family.as_str());
        assert!(
            is_about_the_log || !meta.attack.is_empty(),
            "{}: ATT&CK tags",
            meta.name
        );
        let is_count = meta.name == "anonymous-denied";
        assert!(
            is_count || !meta.next_steps.is_empty(),
            "{}: next steps",
            meta.name
        );
        assert!(
            meta.title.chars().count() <= 70,
            "{}: a long title",
            meta.name
        );
    }
}

/// Every rule that gives findings by itself matches its hits, and not what is near them.
#[test]
fn every_rule_stands_its_trial() {
    let (rules, compiled) = &*RULES;
    let silent = silent();
    let folder = root().join("tests/queries");
    let (mut wrong, mut untried) = (Vec::new(), Vec::new());
    for (index, rule) in rules.rules.iter().enumerate() {
        let name = &rule.meta.name;
        let trial = Trial::find(rules, index, std::slice::from_ref(&folder));
        let is_tried = !trial.hit.is_empty() && !trial.miss.is_empty();
        if !is_tried && !silent.contains(name) {
            untried.push(name);
        }
        let found = trial.run(rules, compiled).unwrap();
        wrong.extend(found.into_iter().map(|what| format!("{name}: {what}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(untried.is_empty(), "without test events: {untried:?}");
    let names: BTreeSet<&str> = rules.rules.iter().map(|rule| &*rule.meta.name).collect();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_text = name == "README.md";
        assert!(
            is_text || names.contains(&*name),
            "test events of no rule: {name}"
        );
    }
}

#[test]
fn readme_explains_every_family() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for rule in &RULES.0.rules {
        let family = &rule.meta.family;
        assert!(
            readme.contains(&format!("`{family}`")),
            "README.md lacks {family}"
        );
    }
}
