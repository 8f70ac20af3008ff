//! What a run says of itself, for monitoring.

use crate::finding::{Severity, Timestamp};

/// How a run went. Numbers named `_total` count since the state began, so that they never fall.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// When the last run ended that missed nothing; this one, if it is such.
    pub last_success: Option<Timestamp>,
    /// When this run ended.
    pub finished: Option<Timestamp>,
    /// How long this run took, in milliseconds.
    pub duration_ms: u64,
    /// Exit code of this run.
    pub exit_code: u8,
    /// One per cluster.
    pub clusters: Vec<ClusterMetrics>,
    /// One per source.
    pub sources: Vec<SourceMetrics>,
    /// One per rule that ever found something.
    pub rules: Vec<RuleMetrics>,
    /// Rules that the log cannot feed.
    pub blind_rules: Vec<BlindRule>,
    /// Failed calls of each sink, since the state began.
    pub sink_failures_total: Vec<(String, u64)>,
    /// Alerts that wait in the outbox.
    pub outbox: u64,
    /// Alerts that will never be delivered, since the state began.
    pub dead_letters_total: u64,
}

/// What was read of one cluster.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClusterMetrics {
    /// Its name in the configuration.
    pub cluster: String,
    /// Audit events kept.
    pub events_total: u64,
    /// Audit events seen before.
    pub duplicates_total: u64,
    /// Records that do not decode.
    pub bad_lines_total: u64,
    /// Records over the limit of length.
    pub oversize_total: u64,
    /// Records of another kind.
    pub other_total: u64,
    /// Bytes read, after decompression.
    pub bytes_total: u64,
    /// Gaps in the log, since the state began.
    pub gaps_total: u64,
    /// Longest gap of this run, in seconds.
    pub gap_seconds_max: f64,
    /// From the last event to the end of the run, in seconds.
    pub lag_seconds: Option<f64>,
}

/// How fresh the log of one source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceMetrics {
    /// The cluster that it is of.
    pub cluster: String,
    /// Its path in the configuration.
    pub source: String,
    /// Time of its newest event, but not later than the run that read it.
    pub newest_event: Option<Timestamp>,
    /// Whether that is older than `stale_after`; `None` without such.
    pub is_stale: Option<bool>,
}

/// What one rule found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleMetrics {
    /// Name of the rule.
    pub rule: String,
    /// Its severity.
    pub severity: Severity,
    /// `open` or `resolved`.
    pub state: String,
    /// How many there are.
    pub findings: u64,
}

/// A rule that the audit policy cannot feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlindRule {
    /// Name of the rule.
    pub rule: String,
    /// The cluster whose policy it is.
    pub cluster: String,
}
