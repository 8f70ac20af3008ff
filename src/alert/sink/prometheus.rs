//! Metrics of a run for `node_exporter`'s textfile collector: written after every run, whether or not there was an alert.
//!
//! The file is replaced as a whole, so that a reader never sees half of it. There is no label per finding: rules, sinks
//! and clusters are few, findings are not.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::text::{plain, prometheus_label};
use super::{Alert, ClusterMetrics, Delivery, Metrics, Outcome, Sink, SourceMetrics};
use crate::finding::Timestamp;
use crate::private;

/// Writes metrics; takes no alerts.
pub(super) struct Prometheus {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

impl Sink for Prometheus {
    fn name(&self) -> &str {
        &self.name
    }

    /// Accepts all: what there is to say about alerts is in the metrics.
    fn send(&mut self, batch: &[&Alert], _deadline: Instant) -> Delivery {
        Delivery::all(batch.len(), Outcome::Delivered)
    }

    fn preview(&self, _batch: &[&Alert]) -> String {
        format!("metrics of the run to {}\n", self.path.display())
    }

    fn check(&self) -> Result<(), String> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        private::try_folder(folder)
            .map_err(|error| format!("cannot write into `{}`: {error}", folder.display()))
    }

    fn finish(&mut self, metrics: &Metrics) -> Result<(), String> {
        replace(&self.path, &rendered(metrics))
            .map_err(|error| format!("cannot write `{}`: {error}", self.path.display()))
    }
}

/// Replaces `path` with `text`, readable by all, as the collector runs as somebody else.
///
/// The new file has one name until it is whole, so that what a run leaves that is killed meanwhile goes with the next:
/// runs of one state are one at a time.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let next = path.with_file_name(format!(".kubescry-{name}"));
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let write = || {
        // Whatever stands there now is somebody else's, and may be a link.
        let mut file = File::create_new(&next)?;
        file.write_all(text.as_bytes())?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            file.set_permissions(fs::Permissions::from_mode(0o644))?;
        }
        file.sync_all()?;
        fs::rename(&next, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&next)))
}

/// Returns the metrics in the Prometheus text format 0.0.4.
fn rendered(metrics: &Metrics) -> String {
    let mut page = Page::default();
    page.run(metrics);
    page.clusters(&metrics.clusters);
    page.sources(&metrics.sources);
    page.rules(metrics);
    page.delivery(metrics);
    page.text
}

/// The families of metrics, in their order on the page.
impl Page {
    fn run(&mut self, metrics: &Metrics) {
        let last = seconds(metrics.last_success)
            .into_iter()
            .map(|value| (vec![], value));
        self.family(
            "last_success_timestamp_seconds",
            "gauge",
            "End of the last complete run.",
            last,
        );
        let finished = seconds(metrics.finished)
            .into_iter()
            .map(|value| (vec![], value));
        self.family(
            "last_run_timestamp_seconds",
            "gauge",
            "End of the last run.",
            finished,
        );
        let duration = std::time::Duration::from_millis(metrics.duration_ms).as_secs_f64();
        self.family(
            "run_duration_seconds",
            "gauge",
            "Duration of the last run.",
            [(vec![], duration)],
        );
        let code = [(vec![], f64::from(metrics.exit_code))];
        self.family("exit_code", "gauge", "Exit code of the last run.", code);
    }

    fn clusters(&mut self, clusters: &[ClusterMetrics]) {
        let events = clusters.iter().flat_map(|cluster| {
            [
                ("kept", cluster.events_total),
                ("duplicate", cluster.duplicates_total),
                ("bad", cluster.bad_lines_total),
                ("oversize", cluster.oversize_total),
                ("other", cluster.other_total),
            ]
            .map(|(outcome, n)| {
                (
                    vec![("cluster", cluster.cluster.as_str()), ("outcome", outcome)],
                    count(n),
                )
            })
        });
        self.family(
            "events_total",
            "counter",
            "Records read, by what became of them.",
            events,
        );
        let of_cluster = |value: fn(&ClusterMetrics) -> Option<f64>| {
            clusters.iter().filter_map(move |cluster| {
                value(cluster).map(|value| (vec![("cluster", cluster.cluster.as_str())], value))
            })
        };
        let bad = of_cluster(|cluster| Some(count(cluster.bad_lines_total)));
        self.family(
            "bad_lines_total",
            "counter",
            "Records that do not decode.",
            bad,
        );
        let bytes = of_cluster(|cluster| Some(count(cluster.bytes_total)));
        self.family(
            "bytes_total",
            "counter",
            "Bytes read, after decompression.",
            bytes,
        );
        let gaps = of_cluster(|cluster| Some(count(cluster.gaps_total)));
        self.family("log_gaps_total", "counter", "Gaps in the log.", gaps);
        let longest = of_cluster(|cluster| Some(cluster.gap_seconds_max));
        self.family(
            "log_gap_seconds_max",
            "gauge",
            "Longest gap of the last run.",
            longest,
        );
        let lag = of_cluster(|cluster| cluster.lag_seconds);
        self.family(
            "checkpoint_lag_seconds",
            "gauge",
            "From the last event to the end of the run.",
            lag,
        );
    }

    fn sources(&mut self, sources: &[SourceMetrics]) {
        let of_source = |value: fn(&SourceMetrics) -> Option<f64>| {
            sources.iter().filter_map(move |source| {
                let labels = vec![
                    ("cluster", source.cluster.as_str()),
                    ("source", source.source.as_str()),
                ];
                value(source).map(|value| (labels, value))
            })
        };
        let newest = of_source(|source| seconds(source.newest_event));
        self.family(
            "source_newest_event_timestamp_seconds",
            "gauge",
            "Time of the newest event of a source, at most that of the run that read it.",
            newest,
        );
        let stale = of_source(|source| {
            source
                .is_stale
                .map(|is_stale| f64::from(u8::from(is_stale)))
        });
        self.family(
            "source_stale",
            "gauge",
            "1 if the newest event of a source is older than its stale_after.",
            stale,
        );
    }

    fn rules(&mut self, metrics: &Metrics) {
        let rules = metrics.rules.iter().map(|rule| {
            let labels = vec![
                ("rule", rule.rule.as_str()),
                ("severity", rule.severity.as_str()),
                ("state", rule.state.as_str()),
            ];
            (labels, count(rule.findings))
        });
        self.family(
            "findings",
            "gauge",
            "Findings that are known, by rule and whether they are over.",
            rules,
        );
        let blind = metrics.blind_rules.iter().map(|blind| {
            (
                vec![
                    ("cluster", blind.cluster.as_str()),
                    ("rule", blind.rule.as_str()),
                ],
                1.0,
            )
        });
        self.family(
            "rule_blind",
            "gauge",
            "1 if the audit policy cannot feed the rule.",
            blind,
        );
    }

    fn delivery(&mut self, metrics: &Metrics) {
        let sinks = metrics.sink_failures_total.iter();
        let sinks = sinks.map(|(sink, n)| (vec![("sink", sink.as_str())], count(*n)));
        self.family(
            "sink_failures_total",
            "counter",
            "Failed calls of a sink.",
            sinks,
        );
        let outbox = [(vec![], count(metrics.outbox))];
        self.family(
            "outbox_alerts",
            "gauge",
            "Alerts that wait for a sink.",
            outbox,
        );
        let dead = [(vec![], count(metrics.dead_letters_total))];
        self.family(
            "dead_letters_total",
            "counter",
            "Alerts that no sink will get.",
            dead,
        );
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds need no more than 53 bits"
)]
fn seconds(time: Option<Timestamp>) -> Option<f64> {
    time.map(|time| time.0.div_euclid(1_000_000) as f64)
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has floats only")]
fn count(n: u64) -> f64 {
    n as f64
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family<'a>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Vec<(&'static str, &'a str)>, f64)>,
    ) {
        let text = &mut self.text;
        writeln!(
            text,
            "# HELP kubescry_{name} {help}\n# TYPE kubescry_{name} {kind}"
        )
        .expect("memory can be written");
        for (labels, value) in samples {
            let labels: Vec<String> = labels
                .into_iter()
                .map(|(label, value)| {
                    format!("{label}=\"{}\"", prometheus_label(&plain(value, 200)))
                })
                .collect();
            let labels = if labels.is_empty() {
                String::new()
            } else {
                format!("{{{}}}", labels.join(","))
            };
            writeln!(text, "kubescry_{name}{labels} {value}").expect("memory can be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::sink::BlindRule;

    #[test]
    fn page_is_the_documented_one() {
        let metrics = Metrics {
            last_success: Some(Timestamp(1_795_327_200_000_000)),
            finished: Some(Timestamp(1_795_327_200_000_000)),
            duration_ms: 1500,
            clusters: vec![ClusterMetrics {
                cluster: "pr\"o\\d\n".to_owned(),
                events_total: 18_204,
                bad_lines_total: 3,
                lag_seconds: Some(2.5),
                ..ClusterMetrics::default()
            }],
            sources: vec![SourceMetrics {
                cluster: "c".to_owned(),
                source: "/logs".to_owned(),
                newest_event: Some(Timestamp(1_795_327_200_999_999)),
                is_stale: Some(true),
            }],
            blind_rules: vec![BlindRule {
                rule: "r".to_owned(),
                cluster: "c".to_owned(),
            }],
            sink_failures_total: vec![("slack".to_owned(), 2)],
            ..Metrics::default()
        };
        let page = rendered(&metrics);
        for line in [
            "kubescry_last_success_timestamp_seconds 1795327200",
            "kubescry_run_duration_seconds 1.5",
            r#"kubescry_bad_lines_total{cluster="pr\"o\\d\\n"} 3"#,
            r#"kubescry_events_total{cluster="pr\"o\\d\\n",outcome="kept"} 18204"#,
            r#"kubescry_source_newest_event_timestamp_seconds{cluster="c",source="/logs"} 1795327200"#,
            r#"kubescry_source_stale{cluster="c",source="/logs"} 1"#,
            r#"kubescry_rule_blind{cluster="c",rule="r"} 1"#,
            r#"kubescry_sink_failures_total{sink="slack"} 2"#,
            "# TYPE kubescry_findings gauge",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }

    #[test]
    fn file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubescry.prom");
        let mut sink = Prometheus {
            name: "metrics".to_owned(),
            path: path.clone(),
        };
        sink.finish(&Metrics::default()).unwrap();
        // A run was killed while it wrote, and somebody put a link there.
        let left = folder.path().join(".kubescry-kubescry.prom");
        fs::write(&left, "# HEL").unwrap();
        sink.finish(&Metrics::default()).unwrap();
        #[cfg(unix)]
        {
            let elsewhere = tempfile::NamedTempFile::new().unwrap();
            std::os::unix::fs::symlink(elsewhere.path(), &left).unwrap();
            sink.finish(&Metrics::default()).unwrap();
            assert_eq!(elsewhere.path().metadata().unwrap().len(), 0);
        }
        assert!(
            std::fs::read_to_string(&path)
                .unwrap()
                .ends_with("dead_letters_total 0\n")
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        sink.path = folder.path().join("no/such.prom");
        assert!(sink.finish(&Metrics::default()).is_err());
    }
}
