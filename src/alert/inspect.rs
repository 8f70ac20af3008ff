//! What is in a state, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::sink::{Alert, Event, Run, record};
use super::state::{Loaded, State, StateError};
use crate::finding::{Severity, Timestamp};
use crate::report::clean::clean;

/// Sums up a state.
///
/// # Errors
/// When it cannot be read.
pub fn show(state: &State, loaded: &Loaded) -> Result<String, StateError> {
    let totals = loaded.totals();
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
    let (known, heard) = (loaded.known(), loaded.heard());
    for (cluster, cursors) in &loaded.cursors() {
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
    for entry in state.dead()? {
        put(
            "dead letter",
            &format!("{} for sink `{}`", entry.key, clean(&entry.sink)),
        );
    }
    Ok(text)
}

/// Returns the findings that were decided, one JSON line each, as the `jsonl` of a sink has them: `event` is `resolve` for
/// those that are over.
pub fn export(loaded: &Loaded) -> String {
    let run = Run {
        id: loaded.runs.to_string(),
        at: Timestamp(0),
    };
    let known = loaded.known();
    let all = known
        .iter()
        .flat_map(|(cluster, findings)| findings.values().map(move |decided| (cluster, decided)));
    all.map(|(cluster, decided)| {
        let event = if decided.is_resolved {
            Event::Resolve
        } else {
            Event::New
        };
        let run = Run {
            at: decided.changed,
            ..run.clone()
        };
        record(&Alert::new(
            event,
            decided.finding.clone(),
            0,
            cluster,
            &run,
        ))
    })
    .collect()
}
