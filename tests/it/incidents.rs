//! Incidents of the recorded logs: the steps of an attack are one story, and ordinary work is none.

use std::collections::BTreeSet;
use std::process::Command;

use kubescry::finding::Severity;
use kubescry::finding::incident::Incident;
use serde_json::Value;

use crate::support::{options, root, run, truths};

/// Returns the incident of a sample log in which all of `rules` have a finding.
fn story(log: &str, rules: &[&str]) -> Incident {
    let outcome = run(&options(&[&root().join("sample-logs").join(log)])).outcome;
    let is_story = |incident: &&Incident| {
        let members = outcome
            .findings
            .iter()
            .filter(|finding| finding.incident_id.as_ref() == Some(&incident.incident_id));
        let names: BTreeSet<&str> = members.map(|finding| &*finding.rule.name).collect();
        rules.iter().all(|rule| names.contains(rule))
    };
    let found = outcome.incidents.iter().find(is_story);
    found
        .unwrap_or_else(|| panic!("{rules:?} are not one of {:#?}", outcome.incidents))
        .clone()
}

#[test]
fn the_steps_of_an_attack_are_one_incident() {
    let anonymous = story(
        "v1.36/anonymous.log",
        &[
            "anonymous-probing",
            "anonymous-write-denied",
            "anonymous-grant-in-use",
            "anonymous-resource-allowed",
        ],
    );
    assert_eq!(anonymous.severity, Severity::Critical);
    assert!(anonymous.actors.contains(&"kubernetes-admin".to_owned()));
    let mallory = story(
        "v1.36/system-masters.log",
        &["impersonation-refused", "masters-impersonated"],
    );
    assert_eq!(mallory.actors, ["mallory"]);
    assert_eq!(mallory.severity, Severity::Critical, "it gave way");
    let thief = story(
        "v1.36/shared-credentials.log.gz",
        &["shared-credential", "pod-token-away"],
    );
    let address = |tie: &String| tie.starts_with("address 127.0.66.10: ");
    assert!(thief.tied_by.iter().any(address), "{:#?}", thief.tied_by);
    let guesser = story(
        "v1.36/refused.log.gz",
        &["unauthorized-brute-force", "unauthorized-then-success"],
    );
    assert_eq!(guesser.severity, Severity::Critical);
    assert_eq!(guesser.actors, ["build-bot"]);
}

#[test]
fn different_people_are_different_incidents() {
    let log = root().join("sample-logs/v1.36/system-masters.log");
    let outcome = run(&options(&[&log])).outcome;
    let of = |name: &str| {
        let incidents = outcome.incidents.iter();
        let of = incidents.filter(|incident| incident.actors.iter().any(|actor| actor == name));
        of.map(|incident| &incident.incident_id)
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(of("mallory").len(), 1);
    assert_eq!(of("break-glass").len(), 1);
    assert!(of("mallory").is_disjoint(&of("break-glass")));
}

#[test]
fn ordinary_work_is_no_incident() {
    for (name, truth) in truths() {
        if !name.ends_with("benign") && !name.ends_with("startup") {
            continue;
        }
        let incidents = run(&options(&[&root().join(&truth.log)])).outcome.incidents;
        assert!(incidents.is_empty(), "{name}: {incidents:#?}");
    }
}

#[test]
fn every_finding_of_medium_or_higher_is_in_one_or_an_inventory() {
    for (name, truth) in truths() {
        let outcome = run(&options(&[&root().join(&truth.log)])).outcome;
        let mut members = BTreeSet::new();
        for incident in &outcome.incidents {
            assert!(
                incident.findings.iter().all(|id| members.insert(id)),
                "{name}"
            );
        }
        for finding in &outcome.findings {
            let is_member = members.contains(&finding.finding_id);
            assert_eq!(finding.incident_id.is_some(), is_member);
            let is_free = finding.ties.is_inventory || finding.severity < Severity::Medium;
            assert!(is_member || is_free, "{name}: {}", finding.summary);
        }
    }
}

#[test]
fn a_report_in_json_holds_incidents_and_findings() {
    let log = root().join("sample-logs/v1.36/system-masters.log");
    let scan = |options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubescry"));
        let output = command
            .arg("scan")
            .arg(&log)
            .args(options)
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let report: Value = serde_json::from_str(&scan(&["--format", "json"])).unwrap();
    assert_eq!(report["schema"], "kubescry.report/1");
    assert!(report["summary"]["events"].as_u64().unwrap() > 0);
    let ids = |list: &Value, key: &str| {
        let items = list.as_array().unwrap().iter();
        items.map(|item| item[key].clone()).collect::<Vec<_>>()
    };
    let lines: Vec<Value> = scan(&["--format", "jsonl"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(report["findings"], Value::from(lines));
    let known = ids(&report["incidents"], "incident_id");
    assert!(!known.is_empty());
    for id in ids(&report["findings"], "incident_id") {
        assert!(id.is_null() || known.contains(&id), "{id}");
    }
}
