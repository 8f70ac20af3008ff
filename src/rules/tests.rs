//! Rule files and what is said about wrong ones.

use std::path::Path;

use super::*;
use crate::finding::{Confidence, Severity};

const RULE: &str = "
title: Somebody reads Secrets
id: 1b2c3d4e-0000-4000-8000-000000000001
name: secret-read
level: high
tags: [attack.credential-access, attack.t1552.007]
logsource: {product: kubernetes, service: audit}
detection:
  selection:
    objectRef.resource: secrets
  condition: selection
kubescry: {family: credential-access, confidence: high, session_gap: 1h, requires: [decision]}
";

const CORRELATION: &str = "
title: Many Secrets
id: 1b2c3d4e-0000-4000-8000-000000000002
name: secrets-many
level: critical
correlation: {type: event_count, rules: [secret-read], group-by: [user.username], timespan: 10m, condition: {gte: 5}}
kubescry: {family: credential-access}
";

const ANALYTIC: &str = "
id: 1b2c3d4e-0000-4000-8000-000000000003
name: spike
title: Spike
description: Many at once
level: medium
kubescry: {family: unauthorized-spike, confidence: low}
parameters: {minimum: 20, window: 10m, names: [a, b], name: c, half: 0.5}
";

fn messages(files: &[(&str, &str)]) -> Vec<String> {
    match RuleSet::from_files(files.iter().copied()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

#[track_caller]
fn check_error(text: &str, expected: &str) {
    let messages = messages(&[("detections/a/a.yml", text)]);
    assert!(
        messages.iter().any(|message| message.contains(expected)),
        "{messages:#?}"
    );
}

#[test]
fn rules_of_every_kind_come_in_the_order_of_their_paths() {
    let files = [
        ("detections/b.yml", CORRELATION),
        ("detections/a.yml", RULE),
        ("analytics/s.yml", ANALYTIC),
    ];
    let set = RuleSet::from_files(files).unwrap();
    let names: Vec<_> = set
        .rules
        .iter()
        .map(|rule| rule.meta.name.as_str())
        .collect();
    assert_eq!(names, ["spike", "secret-read", "secrets-many"]);
    let meta = &set.rules[1].meta;
    assert_eq!(meta.attack, ["T1552.007"]);
    assert_eq!(
        (meta.severity, meta.confidence),
        (Severity::High, Confidence::High)
    );
    assert_eq!(meta.session_gap_us, 3_600_000_000);
    assert_eq!(meta.requires, ["decision"]);
    assert_eq!(meta.group_by, ["username", "peer_ip"]);
    assert_eq!(set.rules[2].meta.session_gap_us, SESSION_GAP_US);
    assert_eq!(set.find("1b2c3d4e-0000-4000-8000-000000000002"), Some(2));
}

#[test]
fn embedded_rules_are_right() {
    let set = RuleSet::embedded().unwrap_or_else(|errors| panic!("{errors:#?}"));
    assert!(set.find("anonymous-resource-allowed").is_some());
}

#[test]
fn wrong_rules_are_refused_with_their_place() {
    check_error(
        &RULE.replace("00001\n", "0000\n"),
        "is not a UUID (`detections/a/a.yml`, line 3)",
    );
    check_error(&RULE.replace("secret-read", "secret read"), "is not a word");
    check_error(
        &RULE.replace("level: high", "level: severe"),
        "invalid level: 'severe'",
    );
    check_error(
        &RULE.replace("family: credential-access", "family: x"),
        "unknown family `x`",
    );
    check_error(
        &RULE.replace("requires", "require"),
        "unknown field `require`",
    );
    check_error(
        &RULE.replace("1h", "1 hour"),
        "`session_gap` is not a duration",
    );
    check_error(
        &RULE.replace("product: kubernetes", "product: windows"),
        "is about `windows`, not Kubernetes",
    );
    check_error(
        &RULE.replace("resource:", "resource|containz:"),
        "'containz' (`detections/a/a.yml`, line 10)",
    );
    check_error(
        &RULE.replace("condition: selection", "condition: selection and"),
        "condition parse",
    );
    check_error(
        &format!("{RULE}\n---{RULE}"),
        "the name `secret-read` is also that of",
    );
    check_error(&format!("{RULE}\n  - x: [\n"), "not YAML");
    check_error(CORRELATION, "there is no Sigma rule `secret-read`");
    check_error(
        &CORRELATION.replace("[secret-read]", "secrets-many"),
        "refers to itself",
    );
}

#[test]
fn rules_from_elsewhere_load_as_they_are() {
    let foreign = RULE
        .replace("name: secret-read\n", "")
        .replace("level: high\n", "")
        .split("kubescry:")
        .next()
        .unwrap()
        .to_owned();
    let set = RuleSet::from_files([("detections/kubernetes_secrets_read.yml", foreign)]).unwrap();
    let meta = &set.rules[0].meta;
    assert_eq!(meta.name, "kubernetes-secrets-read");
    assert_eq!(meta.family, "credential-access");
    assert_eq!(meta.severity, Severity::Medium);
}

#[test]
fn a_filter_names_a_detection_and_has_a_negation() {
    const FILTER: &str = "
title: No backups
logsource: {product: kubernetes, service: audit}
filter:
  rules: [secret-read]
  selection: {user.username: backup}
  condition: not selection
";
    let files = |filter: &str| {
        let files = [
            ("detections/a.yml", RULE.to_owned()),
            ("detections/f.yml", filter.to_owned()),
        ];
        RuleSet::from_files(files)
    };
    let set = files(FILTER).unwrap();
    assert_eq!((set.filters.len(), set.warnings.len()), (1, 0));
    let set = files(&FILTER.replace("not selection", "selection")).unwrap();
    assert!(
        set.warnings[0].what.contains("has no `not`"),
        "{:?}",
        set.warnings
    );
    assert_eq!(set.warnings[0].line, Some(7));
    let errors = files(&FILTER.replace("[secret-read]", "[secret-red]")).unwrap_err();
    assert!(errors[0].what.contains("no detection rule `secret-red`"));
}

#[test]
fn what_a_rule_excludes_is_a_list() {
    let rule = RULE.replace(
        "confidence: high,",
        "confidence: high, exclude: [kubelets],",
    );
    check_error(&rule, "there is no list `kubelets`");
}

#[test]
fn folders_add_and_replace() {
    let folder = tempfile::tempdir().unwrap();
    let detections = folder.path().join("detections");
    std::fs::create_dir(&detections).unwrap();
    std::fs::write(detections.join("a.yml"), RULE).unwrap();
    let replaced = RULE
        .replace("secret-read", "anonymous-denied")
        .replace("00001", "00009");
    std::fs::write(folder.path().join("b.yml"), replaced).unwrap();
    std::fs::write(folder.path().join("c.yml"), "title: [").unwrap();
    let built_in = RuleSet::embedded().unwrap().rules.len();
    let load = |path: &Path| {
        let loaded = RuleSet::load(&[path]).unwrap();
        assert_eq!(loaded.conflicts, []);
        (loaded.set, loaded.bad)
    };
    let (set, bad) = load(folder.path());
    assert_eq!(set.rules.len(), built_in + 1);
    let replaced = &set.rules[set.find("anonymous-denied").unwrap()].meta;
    assert_eq!(replaced.title, "Somebody reads Secrets");
    assert!(bad[0].path.ends_with("c.yml") && bad.len() == 1, "{bad:?}");
    let (_, bad) = load(&folder.path().join("none"));
    assert!(bad[0].what.contains("cannot read"), "{bad:?}");
}

#[test]
fn parameters_have_types() {
    let set = RuleSet::from_files([("analytics/s.yml", ANALYTIC)]).unwrap();
    let RuleBody::Analytic(parameters) = &set.rules[0].body else {
        panic!("not an analytic")
    };
    assert_eq!(parameters.count("minimum"), Ok(20));
    assert_eq!(parameters.number("half"), Ok(0.5));
    assert_eq!(parameters.duration_us("window"), Ok(600_000_000));
    assert_eq!(
        parameters.strings("names"),
        Ok(vec!["a".to_owned(), "b".to_owned()])
    );
    assert_eq!(parameters.strings("name"), Ok(vec!["c".to_owned()]));
    for error in [
        parameters.count("half").unwrap_err(),
        parameters.number("window").unwrap_err(),
        parameters.duration_us("name").unwrap_err(),
        parameters.strings("none").unwrap_err(),
    ] {
        assert!(error.to_string().contains("(`analytics/s.yml`)"), "{error}");
    }
}

#[test]
fn rules_from_elsewhere_have_their_own_names_or_none() {
    let nameless =
        "title: A\nlogsource: {product: Kubernetes}\ndetection: {s: {verb: get}, condition: s}\n";
    let foreign = nameless.replace("title: A", "title: B\nname: failed_Logon");
    let text = [nameless, &foreign, &nameless.replace('A', "C")].join("---\n");
    let set = RuleSet::from_files([("detections/r.yml", format!("\u{feff}{text}"))]).unwrap();
    let names = set.rules.iter().map(|rule| &*rule.meta.name);
    assert_eq!(names.collect::<Vec<_>>(), ["r", "failed_Logon", "r-2"]);
}

#[test]
fn what_does_not_go_together_can_be_left_out() {
    let mut set = RuleSet::from_files([("detections/a.yml", RULE)]).unwrap();
    set.rules[0].meta.is_built_in = true;
    let of_file = |path: &str, text: &str| {
        let file = super::sigma::parse(path, text).unwrap();
        file.rules.into_iter().next().unwrap()
    };
    set.rules.push(of_file(
        "b.yml",
        &RULE
            .replace("0001", "0009")
            .replace("secret-read", "other")
            .replace("confidence: high", "exclude: [nowhere]"),
    ));
    // A correlation of what is left out goes with it.
    set.rules.push(of_file(
        "c.yml",
        &CORRELATION.replace("[secret-read]", "[other]"),
    ));
    let mut conflicts = Vec::new();
    set.check(&mut conflicts);
    assert_eq!(conflicts.len(), 1);
    let told = set.settle(conflicts).unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    let names = set.rules.iter().map(|rule| &*rule.meta.name);
    assert_eq!(names.collect::<Vec<_>>(), ["secret-read"]);
}

#[test]
fn built_in_files_pass_the_second_reading() {
    for (path, text) in load::embedded_files() {
        if !path.starts_with("lists/") && !path.starts_with("analytics/") {
            assert_eq!(strict::check(path, text), Ok(()), "{path}");
        }
    }
}
