//! The five headline detections against logs recorded from real control planes (Kubernetes 1.36 and
//! 1.20) with the truth of what happened.

use std::collections::BTreeSet;

use kubescry::finding::{Finding, Severity};

use crate::support::{Step, Truth, evidence, options, root, run, truths};

/// The recordings of attacks, the family that has to find them, and how their steps begin.
const SCENARIOS: [(&str, &str, &str); 5] = [
    ("anonymous", "anonymous", "s1-"),
    ("system-masters", "system-masters", "s2-"),
    ("shared-credentials", "shared-credential", "s3-"),
    ("token-reuse", "token-reuse", "s4-"),
    ("refused", "unauthorized-spike", "s5-"),
];

/// Refused credentials that nothing ties to anything: a low finding of either family will do.
const ISOLATED: [&str; 8] = [
    "s2-cert-not-trusted",
    "s4-expired",
    "s4-wrong-audience",
    "s4-forged-signature",
    "s4-static-token",
    "s5-malformed",
    "s5-expired-cert",
    "s5-long-agent",
];

fn findings(truth: &Truth) -> Vec<Finding> {
    let log = root().join(&truth.log);
    run(&options(&[&log])).outcome.findings
}

fn family_fits(step: &Step, family: &str, found: &Finding) -> bool {
    let isolated = ISOLATED.contains(&step.name.as_str());
    found.family == family
        || (isolated && ["unauthorized-spike", "token-reuse"].contains(&found.family.as_str()))
}

/// Returns the attack steps that no finding of `family` holds evidence of.
fn missed(truth: &Truth, findings: &[Finding], family: &str, prefix: &str) -> Vec<String> {
    let is_found = |step: &Step| {
        let ids: BTreeSet<&str> = step.ids.iter().map(String::as_str).collect();
        findings
            .iter()
            .any(|found| family_fits(step, family, found) && !evidence(found).is_disjoint(&ids))
    };
    truth
        .steps
        .iter()
        .filter(|step| step.is_attack() && !step.ids.is_empty() && step.name.starts_with(prefix))
        .filter(|step| !is_found(step))
        .map(|step| step.name.clone())
        .collect()
}

#[test]
fn every_attack_is_found_in_its_family() {
    let mut all = Vec::new();
    for (name, truth) in truths() {
        let scenario = SCENARIOS
            .iter()
            .find(|(scenario, ..)| name.ends_with(scenario));
        let Some((_, family, prefix)) = scenario else {
            continue;
        };
        let missed = missed(&truth, &findings(&truth), family, prefix);
        all.extend(missed.into_iter().map(|step| format!("{name}: {step}")));
    }
    assert!(all.is_empty(), "{all:#?}");
}

/// The large recordings, if they are there: all scenarios at once in twenty minutes of busy work.
#[test]
fn every_attack_is_found_in_the_crowd() {
    let corpus =
        std::env::var_os("KUBESCRY_CORPUS").map_or(root().join("../shared/corpus"), Into::into);
    for level in ["metadata", "realistic", "full"] {
        let folder = corpus.join("v1.36/mixed").join(level);
        let (log, truth) = (folder.join("audit.log.zst"), folder.join("truth.json"));
        let Ok(text) = std::fs::read(&truth) else {
            continue;
        };
        let truth = Truth::of_recording(&serde_json::from_slice(&text).unwrap(), log);
        let scan = run(&options(&[&truth.log]));
        let findings = scan.outcome.findings;
        for (_, family, prefix) in SCENARIOS {
            let missed = missed(&truth, &findings, family, prefix);
            assert!(missed.is_empty(), "{level}: {missed:?}");
        }
        let alarms = false_alarms(&truth, &findings);
        assert!(alarms.is_empty(), "{level}: {alarms:#?}");
    }
}

/// Returns what is said at medium or higher of nothing but benign steps and background.
fn false_alarms(truth: &Truth, findings: &[Finding]) -> Vec<String> {
    let suspect: BTreeSet<&str> = truth
        .steps
        .iter()
        .filter(|step| !step.is_benign())
        .flat_map(|step| step.ids.iter().map(String::as_str))
        .collect();
    // The recording's administrator is in system:masters, and that is said once.
    let administrator = |found: &Finding| {
        found.family == "system-masters"
            && found.actor.username.as_deref() == Some("kubernetes-admin")
    };
    // Outside of all steps the recording asked as the attacker whether a grant had taken effect.
    let attacker = |found: &Finding| found.actor.username.as_deref() == Some("mallory");
    findings
        .iter()
        .filter(|found| found.severity >= Severity::Medium)
        .filter(|found| !administrator(found) && !attacker(found))
        .filter(|found| evidence(found).is_disjoint(&suspect))
        .map(|found| format!("{} [{}] {}", found.rule.name, found.severity, found.summary))
        .collect()
}

#[test]
fn benign_steps_cause_nothing_of_medium_or_higher() {
    for (name, truth) in truths() {
        let alarms = false_alarms(&truth, &findings(&truth));
        assert!(alarms.is_empty(), "{name}: {alarms:#?}");
    }
}

/// An analyst reads what is low or informational too: benign work must not drown him in it.
#[test]
fn benign_logs_say_little() {
    for (name, truth) in truths() {
        if !(name.ends_with("startup") || name.ends_with("benign")) {
            continue;
        }
        let findings = findings(&truth);
        let count = |severity| {
            let of_severity = findings.iter().filter(|found| found.severity == severity);
            of_severity.count()
        };
        let [low, informational] = [Severity::Low, Severity::Informational].map(count);
        println!("{name}: {low} low, {informational} informational");
        assert!(
            low <= 15 && informational <= 30,
            "{name}: {low} low, {informational} informational"
        );
    }
}

#[test]
fn the_administrator_is_named_once_a_log() {
    for (name, truth) in truths() {
        let findings = findings(&truth);
        let named = findings
            .iter()
            .filter(|found| found.rule.name == "masters-credential")
            .count();
        assert!(named <= 1, "{name}: {named}");
    }
}
