//! The five headline detections against logs recorded from real control planes (Kubernetes 1.36 and
//! 1.20) with the truth of what happened.

use std::collections::BTreeSet;

use kubescry::finding::{Finding, Severity};

use crate::support::{Step, Truth, evidence, options, root, run, truths};

/// The recordings of attacks, and the family that has to find them.
const SCENARIOS: [(&str, &str); 5] = [
    ("anonymous", "anonymous"),
    ("system-masters", "system-masters"),
    ("shared-credentials", "shared-credential"),
    ("token-reuse", "token-reuse"),
    ("refused", "unauthorized-spike"),
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

/// Steps that a log cannot show as what they are, with the reason.
const INVISIBLE: &[(&str, &str, &str)] = &[];

fn findings(truth: &Truth) -> Vec<Finding> {
    let log = root().join(&truth.log);
    run(&options(&[&log])).outcome.findings
}

fn family_fits(step: &Step, family: &str, found: &Finding) -> bool {
    let isolated = ISOLATED.contains(&step.step.as_str());
    found.family == family
        || (isolated && ["unauthorized-spike", "token-reuse"].contains(&found.family.as_str()))
}

#[test]
fn every_attack_is_found_in_its_family() {
    let mut missed = Vec::new();
    for (name, truth) in truths() {
        let Some((_, family)) = SCENARIOS
            .iter()
            .find(|(scenario, _)| name.ends_with(scenario))
        else {
            continue;
        };
        let findings = findings(&truth);
        for step in truth
            .steps
            .iter()
            .filter(|step| step.is_attack() && !step.ids.is_empty())
        {
            let ids: BTreeSet<&str> = step.ids.iter().map(String::as_str).collect();
            let found = findings.iter().any(|found| {
                family_fits(step, family, found) && !evidence(found).is_disjoint(&ids)
            });
            let known = INVISIBLE
                .iter()
                .any(|(log, known, _)| name.starts_with(log) && step.step == *known);
            if found == known {
                missed.push(format!("{name}: {} (found: {found})", step.step));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn benign_steps_cause_nothing_of_medium_or_higher() {
    let mut false_alarms = Vec::new();
    for (name, truth) in truths() {
        let suspect: BTreeSet<&str> = truth
            .steps
            .iter()
            .filter(|step| !step.is_benign())
            .flat_map(|step| step.ids.iter().map(String::as_str))
            .collect();
        for found in findings(&truth) {
            let ids = evidence(&found);
            // The recording's administrator is in system:masters, and that is said once.
            let administrator = found.family == "system-masters"
                && found.actor.username.as_deref() == Some("kubernetes-admin");
            if found.severity >= Severity::Medium && ids.is_disjoint(&suspect) && !administrator {
                false_alarms.push(format!(
                    "{name}: {} [{}] {}",
                    found.rule.name, found.severity, found.summary
                ));
            }
        }
    }
    assert!(false_alarms.is_empty(), "{false_alarms:#?}");
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
