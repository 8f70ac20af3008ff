//! What is in a state, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::sink::text::plain;
use super::sink::{Alert, Event, Run, record};
use super::state::{Entry, Loaded, State, StateError};
use crate::finding::{Severity, Timestamp};
use crate::report::clean::clean;

/// Characters of one text of an alert.
const MAX_CHARS: usize = 200;

/// Sums up a state.
///
/// # Errors
/// When it cannot be read.
pub fn show(state: &State, loaded: &Loaded) -> Result<String, StateError> {
    let totals = &loaded.totals;
    let mut text = String::new();
    let mut put = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<13} {value}");
    };
    put(
        "state",
        &format!(
            "{}, {} KiB",
            state.path().display(),
            state.size_bytes() / 1024
        ),
    );
    put("runs", &loaded.runs.to_string());
    let last = totals
        .last_success
        .map_or("never".to_owned(), |last| last.to_string());
    put("last success", &last);
    let (known, heard) = (loaded.known()?, &loaded.heard);
    for (cluster, cursors) in &loaded.cursors {
        put("cluster", &clean(cluster));
        let present = cursors
            .iter()
            .filter(|cursor| cursor.gone_since_us.is_none());
        let gone = cursors.len() - present.clone().count();
        put(
            "  files",
            &format!("{} known, {gone} of content that is gone", present.count()),
        );
        if let Some(totals) = totals.clusters.get(cluster) {
            put("  read", &totals.to_string());
        }
        for (path, heard) in heard.get(cluster).into_iter().flatten() {
            let newest = (heard.newest).map_or("no event yet".to_owned(), |newest| {
                format!("the newest event is of {newest}")
            });
            let told = (heard.told).map_or(String::new(), |told| {
                format!("; told at {} that it has stopped", told.at)
            });
            put("  source", &format!("`{}`, {newest}{told}", clean(path)));
        }
        let mut open: BTreeMap<Severity, u64> = BTreeMap::new();
        let (mut n_resolved, mut n_silenced) = (0_u64, 0_u64);
        for decided in known.get(cluster).into_iter().flat_map(BTreeMap::values) {
            n_silenced += u64::from(decided.known.is_none());
            if decided.is_resolved {
                n_resolved += 1;
            } else {
                *open.entry(decided.finding.severity).or_default() += 1;
            }
        }
        let open = open
            .iter()
            .rev()
            .map(|(severity, count)| format!("{count} {severity}, "));
        put(
            "  findings",
            &format!(
                "{}{n_resolved} resolved, {n_silenced} held back by silences",
                open.collect::<String>()
            ),
        );
    }
    put("waiting", &format!("{} alerts", state.waiting()?));
    for (entry, why) in state.dead()? {
        put("dead letter", &letter(&entry, &why));
    }
    Ok(text)
}

/// Says on one line what was not delivered: how bad, of what rule, by whom, when and where, for which sink, and why not.
fn letter(entry: &Entry, why: &str) -> String {
    let what = match serde_json::from_str::<Alert>(&entry.alert) {
        Ok(alert) => {
            let finding = &alert.finding;
            let who = finding.actor.username.as_ref().map(|name| ("by", name));
            let who = who.or(finding.source.ips.first().map(|ip| ("from", ip)));
            // What nobody did, such as a log that stops, says itself what it is about.
            let who = who.map_or_else(
                || format!(" ({})", plain(&finding.summary, MAX_CHARS)),
                |(by, who)| format!(" {by} `{}`", plain(who, MAX_CHARS)),
            );
            format!(
                "{} {} {}{who}, last at {}, in {}",
                finding.severity,
                alert.event.as_str(),
                plain(&finding.rule.name, MAX_CHARS),
                finding.last_seen,
                plain(&alert.cluster, MAX_CHARS),
            )
        }
        Err(_) => "an alert that cannot be read".to_owned(),
    };
    format!(
        "{what}; for sink `{}`: {} (key {})",
        plain(&entry.sink, MAX_CHARS),
        plain(why, MAX_CHARS),
        plain(&entry.key, 64),
    )
}

/// Returns the findings that were decided, one JSON line each, as the `jsonl` of a sink has them: `event` is `resolve` for
/// those that are over.
///
/// # Errors
/// When they cannot be read.
pub fn export(loaded: &Loaded) -> Result<String, StateError> {
    let run = Run {
        id: loaded.runs.to_string(),
        at: Timestamp(0),
    };
    let known = loaded.known()?;
    let all = known
        .iter()
        .flat_map(|(cluster, findings)| findings.values().map(move |decided| (cluster, decided)));
    let lines = all.map(|(cluster, decided)| {
        let event = if decided.is_resolved {
            Event::Resolve
        } else {
            Event::New
        };
        let run = Run {
            at: decided.changed,
            ..run.clone()
        };
        let alert = Alert::new(event, decided.finding.clone(), 0, cluster, &run);
        record(&alert.over(decided.resolution()))
    });
    Ok(lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::sink::tests::{HOSTILE, alert};

    fn entry(alert: &Alert) -> Entry {
        Entry {
            key: alert.key.clone(),
            sink: "hook".to_owned(),
            alert: serde_json::to_string(alert).unwrap(),
        }
    }

    #[test]
    fn a_dead_letter_says_what_was_not_delivered() {
        let mut alert = alert(Event::New, Severity::High, "jane");
        let check = |alert: &Alert, expected: &str| {
            let expected = format!("{expected} (key {})", alert.key);
            assert_eq!(letter(&entry(alert), "status 404"), expected);
        };
        check(
            &alert,
            "high new token-reused-after-deletion by `jane`, last at 2026-11-22T05:44:10.000000Z, in prod; for sink `hook`: status 404",
        );
        alert.finding.actor.username = None;
        alert.finding.source.ips = vec!["203.0.113.9".to_owned()];
        check(
            &alert,
            "high new token-reused-after-deletion from `203.0.113.9`, last at 2026-11-22T05:44:10.000000Z, in prod; for sink `hook`: status 404",
        );
        alert.finding.source.ips.clear();
        let expected = "high new token-reused-after-deletion (";
        let line = letter(&entry(&alert), "status 404");
        assert!(line.starts_with(expected), "{line}");
        assert!(line.contains(&alert.finding.summary), "{line}");
        let damaged = Entry {
            alert: "{".to_owned(),
            ..entry(&alert)
        };
        assert!(letter(&damaged, "no alert").starts_with("an alert that cannot be read; for sink"));
    }

    #[test]
    fn hostile_text_is_one_harmless_line() {
        for text in HOSTILE {
            let line = letter(&entry(&alert(Event::New, Severity::High, text)), text);
            assert!(!line.chars().any(char::is_control), "{line}");
            assert!(line.len() < 4096);
        }
    }
}
