//! Incidents in words.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::finding::words::{counted, lasting, listed};

/// How many names, addresses and ties an incident lists.
pub(super) const NAMED: usize = 64;

/// Tactics that the title of an incident spells out.
const TITLE_TACTICS: usize = 5;

/// Returns `texts` once each, in order of appearance.
pub(super) fn distinct<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    texts
        .filter(|text| seen.insert(*text))
        .take(NAMED)
        .map(str::to_owned)
        .collect()
}

/// Returns the name that ATT&CK gives a tactic.
pub(super) fn tactic_name(tactic: &str) -> String {
    let word = |word: &str| {
        if word == "and" {
            return word.to_owned();
        }
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    };
    tactic.split('-').map(word).collect::<Vec<_>>().join(" ")
}

/// How long an incident lasted.
pub(super) struct Lasts {
    /// From the first to the last request of the findings of medium or higher.
    pub(super) micros: i64,
    /// Whether that holds for the milder ones, too.
    pub(super) of_all: bool,
}

/// Says who, from where, did what, how much of it and for how long.
pub(super) fn title(
    actors: &[String],
    credentials: &[String],
    addresses: &[String],
    tactics: &[String],
    n_findings: usize,
    lasts: &Lasts,
) -> String {
    let mut title = match actors {
        [] => "somebody without a name".to_owned(),
        _ => listed(actors),
    };
    if let ([_], [credential]) = (actors, credentials) {
        let _ = write!(title, " ({})", abbreviated(credential));
    }
    if !addresses.is_empty() {
        let _ = write!(title, " from {}", listed(addresses));
    }
    let shown = tactics.iter().take(TITLE_TACTICS);
    let mut steps: Vec<String> = shown.map(|tactic| tactic.replace('-', " ")).collect();
    if tactics.len() > TITLE_TACTICS {
        let n_more = tactics.len() - TITLE_TACTICS;
        steps.push(counted(n_more as u64, "further tactic"));
    }
    if !steps.is_empty() {
        let _ = write!(title, ": {}", steps.join(", then "));
    }
    let _ = write!(title, "; {}", counted(n_findings as u64, "finding"));
    if lasts.micros > 0 {
        let which = if lasts.of_all { "" } else { ", the worse ones" };
        let _ = write!(title, "{which} within {}", lasting(lasts.micros));
    }
    title
}

/// Shortens a fingerprint to what people compare; the incident has the whole of it.
fn abbreviated(credential: &str) -> String {
    const SHOWN: usize = 24;
    match credential.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &credential[..end]),
        None => credential.to_owned(),
    }
}
