//! Figures of all runs, kept in the state, and what a run says of itself for monitoring.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::decide::Decided;
use super::reading::News;
use super::sink::{BlindRule, ClusterMetrics, Metrics, RuleMetrics, SourceMetrics};
use crate::decode::envelope::UNREAD;
use crate::detect::feed::Verdict;
use crate::finding::{Severity, Timestamp};
use crate::report::FileStats;
use crate::source::log_of;

/// Figures that never fall.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Totals {
    /// When a run was done that nothing was missing of.
    pub(super) last_success: Option<Timestamp>,
    pub(super) clusters: BTreeMap<String, ClusterTotals>,
    /// Failed deliveries by sink.
    pub(super) sink_failures: BTreeMap<String, u64>,
    pub(super) dead_letters: u64,
}

/// Figures of one cluster.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ClusterTotals {
    pub(super) gaps: u64,
    events: u64,
    duplicates: u64,
    pub(super) bad: u64,
    pub(super) recovered: u64,
    oversize: u64,
    other: u64,
    bytes: u64,
    /// Longest silence of an API server, in microseconds.
    longest_gap_us: i64,
    last_event: Option<Timestamp>,
    /// Names of rules that the log cannot feed.
    blind: Vec<String>,
    /// By log, whatever its files are called after rotation.
    logs: BTreeMap<String, LogTotals>,
    /// Records that hold the words of an event in a wrapping that is not known.
    pub(super) unread: u64,
    /// What was said once, by what it is about.
    told: BTreeSet<String>,
}

/// What is kept in mind to have been said.
const TOLD_MAX: usize = 1000;

/// How many records of a log that had audit events may be none, in a row, before it is said that it has others now.
const STRAYS: u64 = 10;

/// Figures of one log.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
struct LogTotals {
    records: u64,
    /// Of these audit events, duplicates among them.
    events: u64,
    /// Records of the runs since the last one that read an event.
    strays: u64,
    /// Whether it was said that they are none.
    is_told: bool,
}

/// A log whose newest records are no audit events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stray {
    /// As [`log_of`] names it.
    pub(super) log: String,
    /// Records since the last event.
    pub(super) records: u64,
    /// Whether it ever had an event.
    pub(super) had_events: bool,
}

impl fmt::Display for ClusterTotals {
    /// Writes what was read, in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} events in {} bytes, {} duplicates, {} bad, {} oversize, {} other records, {} gaps",
            self.events,
            self.bytes,
            self.duplicates,
            self.bad,
            self.oversize,
            self.other,
            self.gaps
        )?;
        match self.last_event {
            Some(last) => write!(f, "; the last event is of {last}"),
            None => Ok(()),
        }
    }
}

impl ClusterTotals {
    /// Returns whether this is to be said now: it was not yet.
    pub(super) fn tells(&mut self, what: &str) -> bool {
        self.told.len() < TOLD_MAX && self.told.insert(what.to_owned())
    }

    /// Returns whether there was something to read, and no audit event in it, ever.
    pub(super) fn is_unread(&self) -> bool {
        self.events + self.duplicates == 0
    }

    /// Returns the logs that have shown to hold no audit events, or none any more; each once, until it has some again.
    ///
    /// `files` are the figures of all runs, or of those since the logs were read anew.
    pub(super) fn strays(&mut self, files: &[FileStats]) -> Vec<Stray> {
        let mut logs: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for file in files {
            let counters = &file.counters;
            let (records, events) = logs.entry(log_of(Path::new(&*file.path))).or_default();
            *records += counters.records;
            *events += counters.events + counters.duplicates;
        }
        let mut strays = Vec::new();
        for (log, (records, events)) in logs {
            let totals = self.logs.entry(log.clone()).or_default();
            if records < totals.records || events < totals.events {
                // Read anew.
                (totals.records, totals.events) = (0, 0);
            }
            let n_new = records - totals.records;
            if events > totals.events {
                (totals.strays, totals.is_told) = (0, false);
            } else {
                totals.strays += n_new;
            }
            (totals.records, totals.events) = (records, events);
            let least = if events == 0 { 1 } else { STRAYS };
            if totals.strays >= least && !totals.is_told {
                totals.is_told = true;
                strays.push(Stray {
                    log,
                    records: totals.strays,
                    had_events: events > 0,
                });
            }
        }
        strays
    }

    /// Takes in what the whole log comes to now.
    pub(super) fn note(&mut self, news: &News) {
        let counters = &news.summary.totals;
        self.events = counters.events;
        self.duplicates = counters.duplicates;
        self.bad = counters.bad;
        self.recovered = counters.recovered;
        self.oversize = counters.oversize;
        self.other = counters.other;
        let kinds = news.summary.ingest.other_kinds.ranked().into_iter();
        let unread = kinds.filter(|(kind, _)| kind.contains(UNREAD));
        self.unread = unread.map(|(_, count)| count).sum();
        self.bytes = counters.bytes;
        self.last_event = counters.last;
        let servers = news.summary.ingest.api_servers.iter();
        let gaps = servers.flat_map(|server| &server.gaps);
        self.longest_gap_us = gaps.map(|gap| gap.to.0 - gap.from.0).max().unwrap_or(0);
        let blind = news
            .fed
            .iter()
            .filter(|fed| fed.verdict != Verdict::CanFire);
        self.blind = blind.map(|fed| fed.rule.clone()).collect();
    }
}

/// What is known when a run is over.
pub(super) struct End<'a> {
    /// Findings by cluster and id.
    pub(super) known: &'a BTreeMap<String, BTreeMap<String, Decided>>,
    /// Alerts that wait.
    pub(super) waiting: u64,
    /// How fresh the log of each source is.
    pub(super) sources: Vec<SourceMetrics>,
    pub(super) exit_code: u8,
    pub(super) took: Duration,
    pub(super) now: Timestamp,
}

impl Totals {
    /// Returns what monitoring is told.
    pub(super) fn metrics(&self, end: End<'_>) -> Metrics {
        let mut rules: BTreeMap<(&str, Severity, bool), u64> = BTreeMap::new();
        for decided in end.known.values().flat_map(BTreeMap::values) {
            let finding = &decided.finding;
            let key = (
                finding.rule.name.as_str(),
                finding.severity,
                decided.is_resolved,
            );
            *rules.entry(key).or_default() += 1;
        }
        let clusters = self
            .clusters
            .iter()
            .map(|(cluster, totals)| ClusterMetrics {
                cluster: cluster.clone(),
                events_total: totals.events,
                duplicates_total: totals.duplicates,
                bad_lines_total: totals.bad,
                oversize_total: totals.oversize,
                other_total: totals.other,
                bytes_total: totals.bytes,
                gaps_total: totals.gaps,
                gap_seconds_max: seconds(totals.longest_gap_us),
                lag_seconds: totals
                    .last_event
                    .map(|last| seconds(end.now.0.saturating_sub(last.0))),
            });
        let blind = self.clusters.iter().flat_map(|(cluster, totals)| {
            totals.blind.iter().map(|rule| BlindRule {
                rule: rule.clone(),
                cluster: cluster.clone(),
            })
        });
        let rules = rules.into_iter();
        Metrics {
            last_success: self.last_success,
            finished: Some(end.now),
            duration_ms: u64::try_from(end.took.as_millis()).unwrap_or(u64::MAX),
            exit_code: end.exit_code,
            clusters: clusters.collect(),
            sources: end.sources,
            rules: rules
                .map(|((rule, severity, is_resolved), findings)| RuleMetrics {
                    rule: rule.to_owned(),
                    severity,
                    state: if is_resolved { "resolved" } else { "open" }.to_owned(),
                    findings,
                })
                .collect(),
            blind_rules: blind.collect(),
            sink_failures_total: self.sink_failures.clone().into_iter().collect(),
            outbox: end.waiting,
            dead_letters_total: self.dead_letters,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds for people")]
fn seconds(us: i64) -> f64 {
    us.max(0) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Counters;

    #[test]
    fn a_log_that_holds_no_events_is_told_once() {
        let mut totals = ClusterTotals::default();
        let mut told = |path: &str, records, events| {
            let counters = Counters {
                records,
                events,
                ..Counters::default()
            };
            let path = path.into();
            let strays = totals.strays(&[FileStats { path, counters }]);
            let said = strays.into_iter();
            said.map(|it| (it.records, it.had_events))
                .collect::<Vec<_>>()
        };
        assert_eq!(told("/l/klog.log", 1, 0), [(1, false)]);
        assert_eq!(told("/l/klog.log", 90, 0), []);
        assert_eq!(told("/l/audit.log", 20, 20), []);
        assert_eq!(told("/l/audit.log", 29, 20), [], "a few lines are noise");
        assert_eq!(told("/l/audit.log", 30, 20), [(10, true)]);
        assert_eq!(told("/l/audit.log", 99, 20), []);
        assert_eq!(told("/l/audit.log", 109, 21), [], "it has events again");
        assert_eq!(told("/l/audit.log", 120, 21), [(11, true)]);
        assert_eq!(told("/l/audit.log", 5, 5), [], "read anew");
        assert_eq!(told("/l/audit.log", 15, 5), [(10, true)]);
    }
}
