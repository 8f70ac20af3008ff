//! Noise control: what is not told although it was decided, and why.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::config::Silences;
use super::decide::{Audience, Decision, Known};
use super::sink::{Alert, Event, Run};
use crate::finding::{Finding, Timestamp};

/// Rules that see single clients refused; they have nothing to say of their own while an authenticator is out.
const INHIBITED: [&str; 3] = [
    "refused-credentials",
    "unauthorized-rate",
    "unauthorized-brute-force",
];

/// The rule that sees an authenticator out: refusals of many clients at once.
const OUTAGE: &str = "unauthorized-storm";

/// Holds back what is silenced, and keeps to the records what an outage explains; says how many of each.
pub(super) fn hush(
    decisions: &mut [Decision],
    findings: &[Cow<'_, Finding>],
    silences: &Silences,
    cluster: &str,
    now: Timestamp,
) -> Vec<String> {
    let (mut n_silenced, mut n_inhibited) = (0, 0);
    for decision in decisions.iter_mut() {
        if decision.audience == Audience::Nobody || decision.event == Event::Resolve {
            continue;
        }
        let finding = &decision.decided.finding;
        if silences.find(finding, cluster, now).is_some() {
            n_silenced += 1;
            decision.audience = Audience::Nobody;
            if decision.event == Event::New {
                decision.decided.known = None;
            }
        } else if decision.audience == Audience::All && is_of_outage(finding, findings) {
            n_inhibited += 1;
            decision.audience = Audience::Records;
        }
    }
    let mut notes = Vec::new();
    if n_silenced > 0 {
        notes.push(format!(
            "cluster `{cluster}`: {n_silenced} alerts are silenced"
        ));
    }
    if n_inhibited > 0 {
        notes.push(format!(
            "cluster `{cluster}`: {n_inhibited} findings of refused logins follow from an outage of an authenticator and are in the records only"
        ));
    }
    notes
}

/// Returns whether `finding` is one of refused logins, within the time of an outage.
fn is_of_outage(finding: &Finding, findings: &[Cow<'_, Finding>]) -> bool {
    INHIBITED.contains(&finding.rule.name.as_str())
        && findings.iter().any(|outage| {
            outage.rule.name == OUTAGE
                && outage.first_seen <= finding.last_seen
                && finding.first_seen <= outage.last_seen
        })
}

/// Holds back the new findings of a rule over the cap; returns the summaries that stand for them.
pub(super) fn cap(decisions: &mut [Decision], cap: u32, cluster: &str, run: &Run) -> Vec<Alert> {
    let mut by_rule: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, decision) in decisions.iter().enumerate() {
        if decision.audience == Audience::All && decision.event == Event::New {
            let rule = decision.decided.finding.rule.name.clone();
            by_rule.entry(rule).or_default().push(at);
        }
    }
    let mut summaries = Vec::new();
    for mut places in by_rule.into_values() {
        if places.len() <= cap as usize {
            continue;
        }
        // The worst are told one by one.
        places.sort_by_key(|&at| std::cmp::Reverse(decisions[at].decided.finding.severity));
        let over = &places[cap as usize..];
        for &at in over {
            let decided = &mut decisions[at].decided;
            decided.known = decided.known.map(|known| Known {
                is_told: false,
                ..known
            });
            decisions[at].audience = Audience::Nobody;
        }
        let findings = || over.iter().map(|&at| &decisions[at].decided.finding);
        let first = findings().map(|finding| finding.first_seen).min();
        let last = findings().map(|finding| finding.last_seen).max();
        let worst = findings().max_by_key(|finding| finding.severity);
        if let (Some(first), Some(last), Some(worst)) = (first, last, worst) {
            let n_more = over.len() as u64;
            let span = (first, last);
            summaries.push(Alert::summary(
                &worst.rule,
                worst.severity,
                n_more,
                span,
                cluster,
                run,
            ));
        }
    }
    summaries
}
