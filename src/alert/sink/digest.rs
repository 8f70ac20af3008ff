//! Alerts for people: the words that stdout, e-mail, Slack and Teams share.
//!
//! All text is redacted, cleaned and bounded; escapes are up to the target.

use std::collections::{BTreeMap, BTreeSet};

use super::text::{plain, words};
use super::{Alert, Event, Resolution};
use crate::alert::stale;
use crate::finding::{Evidence, Timestamp};

/// Characters of one log text in a message for people.
const MAX_CHARS: usize = 300;

/// Returns what it means that the finding of `alert` is over.
fn over(alert: &Alert) -> &'static str {
    match alert.resolution {
        Some(Resolution::Resumed) => stale::OVER,
        Some(Resolution::Withdrawn) => {
            "withdrawn: with what was read since, it is no finding any more"
        }
        Some(Resolution::Quiet) | None => {
            "the log went on without it; that says nothing of whether it was undone"
        }
    }
}

/// Returns what happened, as a word that follows a number.
fn word(alert: &Alert) -> &'static str {
    match (alert.event, alert.resolution) {
        (Event::New, _) => "new",
        (Event::Update, _) => "updated",
        (Event::Resolve, Some(Resolution::Withdrawn)) => "withdrawn",
        (Event::Resolve, Some(Resolution::Resumed)) => "going on again",
        (Event::Resolve, _) => "quiet again",
        (Event::Summary, _) => "over the cap",
    }
}

/// Returns a time as the log has it, without fractions.
fn to_the_second(time: Timestamp) -> String {
    let text = time.to_string();
    text.split_once('.')
        .map_or_else(|| text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

/// Returns `alerts` worst first, then by first seen and key.
pub(super) fn worst_first<'a>(alerts: &[&'a Alert]) -> Vec<&'a Alert> {
    let mut sorted = alerts.to_vec();
    sorted.sort_by_key(|alert| {
        let finding = &alert.finding;
        (
            std::cmp::Reverse(finding.severity),
            finding.first_seen,
            alert.key.as_str(),
        )
    });
    sorted
}

/// Returns one line that says how many of what, how bad, where, and what the worst is; it holds no log text.
pub(super) fn headline(alerts: &[&Alert]) -> String {
    let mut by_word: BTreeMap<(Event, &str), usize> = BTreeMap::new();
    for alert in alerts {
        *by_word.entry((alert.event, word(alert))).or_default() += 1;
    }
    let counts = by_word.iter().map(|((_, word), n)| format!("{n} {word}"));
    let counts: Vec<String> = counts.collect();
    let worst = alerts.iter().map(|alert| alert.finding.severity).max();
    let worst = worst.map_or_else(String::new, |worst| format!(", worst {worst}"));
    let clusters: BTreeSet<&str> = alerts.iter().map(|alert| alert.cluster.as_str()).collect();
    let clusters: Vec<String> = clusters
        .into_iter()
        .take(3)
        .map(|name| plain(name, 60))
        .collect();
    let title = worst_first(alerts)
        .first()
        .map_or_else(String::new, |alert| {
            format!(": {}", plain(&alert.finding.rule.title, MAX_CHARS))
        });
    format!(
        "kubescry: {}{worst}, in {}{title}",
        counts.join(", "),
        clusters.join(", ")
    )
}

/// Returns one line that names an alert: severity, event, rule.
pub(super) fn title(alert: &Alert) -> String {
    let finding = &alert.finding;
    let severity = finding.severity.as_str().to_uppercase();
    let rule = plain(&finding.rule.title, MAX_CHARS);
    format!(
        "{severity} {}: {rule} ({})",
        alert.event.as_str(),
        plain(&finding.rule.name, 100)
    )
}

/// Returns the facts of an alert, label and text, in the order people ask for them.
pub(super) fn facts(alert: &Alert) -> Vec<(&'static str, String)> {
    let finding = &alert.finding;
    let word = |text: &Option<String>| words(text.as_deref(), MAX_CHARS);
    let list = |texts: &[String]| {
        let shown: Vec<String> = texts
            .iter()
            .take(3)
            .map(|text| plain(text, MAX_CHARS))
            .collect();
        let more = texts.len().saturating_sub(3);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        shown.join("; ") + &more
    };
    let target = &finding.target;
    let object = [
        &target.resource,
        &target.subresource,
        &target.namespace,
        &target.name,
    ];
    let object: Vec<String> = object
        .into_iter()
        .flatten()
        .map(|text| plain(text, 100))
        .collect();
    let is_over = alert.event == Event::Resolve;
    let place = |evidence: &Evidence| {
        let file = plain(&evidence.file, MAX_CHARS);
        let audit_id = plain(&evidence.audit_id, 64);
        format!("{file}:{}, audit ID {audit_id}", evidence.line)
    };
    let proof = finding.evidence.first().filter(|_| !is_over).map(place);
    let when = match [finding.first_seen, finding.last_seen].map(to_the_second) {
        [from, to] if from == to => from,
        [from, to] => format!("{from} to {to}"),
    };
    let mut facts = vec![
        ("what", plain(&finding.summary, MAX_CHARS)),
        ("who", word(&finding.actor.username)),
        ("from", list(&finding.source.ips)),
        ("with", list(&finding.source.user_agents)),
        ("to", object.join("/")),
        ("when", when),
        ("count", finding.count.to_string()),
        ("why", list(if is_over { &[] } else { &finding.why })),
        (
            "over",
            if is_over {
                over(alert).to_owned()
            } else {
                String::new()
            },
        ),
        (
            "next",
            list(if is_over { &[] } else { &finding.next_steps }),
        ),
        ("proof", proof.unwrap_or_default()),
        ("cluster", plain(&alert.cluster, 100)),
        ("finding", plain(&finding.finding_id, 64)),
        ("key", plain(&alert.key, 64)),
    ];
    facts.retain(|(_, text)| !text.is_empty() && text != "-");
    facts
}

/// Returns an alert as lines of text: the title, then its facts.
pub(super) fn block(alert: &Alert) -> String {
    let facts = facts(alert)
        .into_iter()
        .map(|(label, text)| format!("  {label:<8}{text}\n"));
    format!("{}\n{}", title(alert), facts.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::sink::tests::{HOSTILE, alert};
    use crate::finding::Severity;

    #[test]
    fn headline_counts() {
        let alerts = [
            alert(Event::New, Severity::High, "x"),
            alert(Event::New, Severity::Low, "x"),
            alert(Event::Resolve, Severity::Medium, "x"),
        ];
        let alerts: Vec<&Alert> = alerts.iter().collect();
        assert_eq!(
            headline(&alerts),
            "kubescry: 2 new, 1 quiet again, worst high, in prod: Token used after its service account was deleted"
        );
        let gone = alerts[2].clone().over(Some(Resolution::Withdrawn));
        assert_eq!(
            headline(&[&gone]),
            "kubescry: 1 withdrawn, worst medium, in prod: Token used after its service account was deleted"
        );
        assert!(block(&gone).contains("  over    withdrawn: with what was read since"));
        assert!(block(alerts[2]).contains("  over    the log went on without it"));
        assert_eq!(worst_first(&alerts)[1].finding.severity, Severity::Medium);
    }

    #[test]
    fn hostile_text_forges_no_line() {
        let expected = block(&alert(Event::New, Severity::High, "x"))
            .lines()
            .count();
        for text in HOSTILE {
            let block = block(&alert(Event::New, Severity::High, text));
            assert_eq!(block.lines().count(), expected, "{block}");
            assert!(block.len() < 16_384);
        }
    }
}
