//! Every rule of the program: complete, and with words for people.

use kubescry::rules::RuleBody;

use crate::support::{RULES, root};

#[test]
fn every_rule_says_what_to_do() {
    for rule in &RULES.0.rules {
        let meta = &rule.meta;
        assert!(!meta.description.is_empty(), "{}: description", meta.name);
        assert!(!meta.attack.is_empty(), "{}: ATT&CK tags", meta.name);
        let silent = ["anonymous-denied"].contains(&meta.name.as_str());
        assert!(
            silent || !meta.next_steps.is_empty(),
            "{}: next steps",
            meta.name
        );
        let native = matches!(rule.body, RuleBody::Analytic(_));
        assert_eq!(native, meta.path.starts_with("analytics/"), "{}", meta.path);
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
