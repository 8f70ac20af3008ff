//! Logs that stop, and go on.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kubescry::alert::run::Report;
use kubescry::alert::sink::clock::Clock;
use kubescry::finding::Timestamp;
use serde_json::Value;

use super::{Watched, log};

/// A clock that stands.
struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> Timestamp {
        self.0
    }

    fn sleep(&self, _duration: Duration) {}
}

const MINUTE: i64 = 60_000_000;

/// A time by which all of the log that is used here was written.
const START: &str = "2026-11-22T12:00:00.000000Z";

impl Watched {
    fn run_at(&self, minute: i64) -> Report {
        self.try_run_with(Some(Arc::new(At(at(minute))))).unwrap()
    }

    /// Returns what was told of logs that stop: event, path, and the whole line.
    fn stale(&self) -> Vec<Value> {
        let lines = self.lines().into_iter();
        lines
            .filter(|line| line["rule"]["name"] == "stale-log")
            .collect()
    }
}

fn at(minute: i64) -> Timestamp {
    let start: Timestamp = START.parse().unwrap();
    Timestamp(start.0 + minute * MINUTE)
}

/// Returns one event of `minute`, the `n`th.
fn event(n: u32, minute: i64) -> String {
    let line = log("tests/logs/v1.36-realistic-token-reuse.log.zst").remove(0);
    let mut event: Value = serde_json::from_slice(&line).unwrap();
    event["auditID"] = format!("00000000-0000-4000-8000-{n:012}").into();
    for key in ["requestReceivedTimestamp", "stageTimestamp"] {
        event[key] = at(minute).to_string().into();
    }
    format!("{event}\n")
}

#[test]
fn a_source_that_stops_is_told_once_and_again_when_it_goes_on() {
    let watched = Watched::new(
        "[[source]]\npath = \"b/audit.log\"\ncluster = \"c\"\nstale_after = \"1h\"\n\
         [[sink]]\ntype = \"prometheus\"\npath = \"figures.prom\"\n",
    );
    let (a, b) = (
        watched.logs().join("audit.log"),
        watched.folder.path().join("b"),
    );
    fs::create_dir(&b).unwrap();
    let append = |path: &std::path::Path, line: &str| {
        let before = fs::read_to_string(path).unwrap_or_default();
        fs::write(path, before + line).unwrap();
    };
    let figure = |name: &str| {
        let page = fs::read_to_string(watched.folder.path().join("figures.prom")).unwrap();
        let mut lines = page.lines();
        let line = lines.find(|line| line.starts_with(name) && line.contains("/b/audit.log\"}"));
        line.unwrap().rsplit_once(' ').unwrap().1.to_owned()
    };
    append(&a, &event(1, 0));
    append(&b.join("audit.log"), &event(2, 0));
    assert_eq!(watched.run_at(1).missing, [""; 0]);
    // The other API server goes on; this one's log was rotated, and nothing came since.
    append(&a, &event(3, 59));
    fs::rename(b.join("audit.log"), b.join("audit.log.1")).unwrap();
    fs::write(b.join("audit.log"), "").unwrap();
    watched.run_at(59);
    assert_eq!(watched.stale(), [Value::Null; 0]);
    assert_eq!(figure("kubescry_source_stale"), "0");
    let report = watched.run_at(61);
    assert!(
        report.missing.len() == 1
            && report.missing[0].contains("b/audit.log` is of 2026-11-22T12:00"),
        "{report:?}"
    );
    assert_eq!(report.exit_code(), 3);
    assert_eq!(figure("kubescry_source_stale"), "1");
    append(&a, &event(4, 200));
    assert_eq!(watched.run_at(201).missing, [""; 0]);
    append(&b.join("audit.log"), &event(5, 300));
    let report = watched.run_at(301);
    assert_eq!(report.missing, [""; 0]);
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("b/audit.log` has events again")),
        "{report:?}"
    );
    assert_eq!(figure("kubescry_source_stale"), "0");
    let newest = figure("kubescry_source_newest_event_timestamp_seconds");
    assert_eq!(newest, (at(300).0 / 1_000_000).to_string());
    let told = watched.stale();
    let events: Vec<_> = told.iter().map(|line| &line["event"]).collect();
    assert_eq!(events, ["new", "resolve"]);
    assert_eq!(told[0]["finding_id"], told[1]["finding_id"]);
    assert_eq!(told[0]["severity"], "high");
}

#[test]
fn an_event_of_the_future_does_not_hide_that_a_log_has_stopped() {
    let watched =
        Watched::new("[[source]]\npath = \"b.log\"\ncluster = \"d\"\nstale_after = \"1h\"\n");
    fs::write(watched.logs().join("audit.log"), event(1, 0)).unwrap();
    let text = event(2, 0) + &event(3, 5_000_000);
    fs::write(watched.folder.path().join("b.log"), text).unwrap();
    for minute in [1, 30, 60] {
        watched.run_at(minute);
        assert_eq!(watched.stale(), [Value::Null; 0], "{minute}");
    }
    watched.run_at(61);
    assert_eq!(watched.stale().len(), 1);
}
