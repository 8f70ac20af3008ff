//! Figures of all runs, kept in the state, and what a run says of itself for monitoring.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::decide::Decided;
use super::reading::News;
use super::sink::{BlindRule, ClusterMetrics, Metrics, RuleMetrics, SourceMetrics};
use crate::detect::feed::Verdict;
use crate::finding::{Severity, Timestamp};

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
    /// Takes in what the whole log comes to now.
    pub(super) fn note(&mut self, news: &News) {
        let counters = &news.summary.totals;
        self.events = counters.events;
        self.duplicates = counters.duplicates;
        self.bad = counters.bad;
        self.recovered = counters.recovered;
        self.oversize = counters.oversize;
        self.other = counters.other;
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
