//! Rule files and what is said about wrong ones.

use super::*;

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
    check_error(
        &RULE.replace("secret-read", "Secret_Read"),
        "is not kebab-case",
    );
    check_error(&RULE.replace("name: secret-read\n", ""), "has no `name`");
    check_error(&RULE.replace("level: high\n", ""), "has no `level`");
    check_error(
        &RULE.replace("level: high", "level: severe"),
        "invalid level: 'severe'",
    );
    check_error(
        &RULE.replace("family: credential-access", "family: x"),
        "unknown family `x`",
    );
    check_error(
        &RULE.replace("family: credential-access, ", ""),
        "has no family",
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
        "not about Kubernetes",
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
