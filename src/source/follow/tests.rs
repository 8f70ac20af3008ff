//! A follower with a state, and what it was given.

mod directed;
mod disk;
mod faults;
mod model;

use std::collections::BTreeMap;
use std::io::Read;

use crate::source::follow::simulated::SimulatedDisk;
use crate::source::follow::{
    Cursor, Files, Gap, Links, Look, Options, Plan, Source, advance, look,
};

pub(super) const MINUTE: i64 = 60_000_000;

/// What one run did.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Lines, without their ends, in the order of reading.
    pub(super) lines: Vec<String>,
    pub(super) gaps: Vec<Gap>,
    pub(super) errors: Vec<String>,
    pub(super) plan: Plan,
}

/// Keeps cursors, as JSON, between runs.
pub(super) struct Follower {
    pub(super) sources: Vec<Source>,
    pub(super) options: Options,
    pub(super) state: String,
}

impl Follower {
    pub(super) fn new(path: &str) -> Self {
        Self {
            sources: vec![source(path)],
            options: Options::default(),
            state: "[]".to_owned(),
        }
    }

    pub(super) fn cursors(&self) -> Vec<Cursor> {
        serde_json::from_str(&self.state).unwrap()
    }

    pub(super) fn set_cursors(&mut self, cursors: &[Cursor]) {
        self.state = serde_json::to_string(cursors).unwrap();
        assert_eq!(self.cursors(), cursors, "a round trip");
    }

    pub(super) fn run(&mut self, disk: &SimulatedDisk) -> Report {
        let (report, cursors) = self.try_run(disk, disk.now_us());
        self.set_cursors(&cursors);
        disk.wait(MINUTE);
        report
    }

    /// Runs, and returns what the state would be.
    pub(super) fn try_run<F: Files>(&self, disk: &F, now_us: i64) -> (Report, Vec<Cursor>) {
        let Look {
            expansion,
            mut plan,
        } = look(disk, &self.sources, &self.cursors(), &self.options, now_us);
        let mut report = Report {
            gaps: plan.gaps.clone(),
            ..Report::default()
        };
        let errors = expansion.errors.iter().chain(&plan.errors);
        report.errors.extend(errors.map(ToString::to_string));
        let mut done = Vec::new();
        for task in &plan.tasks {
            let mut reader = match task.open(disk) {
                Ok(reader) => reader,
                Err(error) => {
                    report.errors.push(error.to_string());
                    done.push(None);
                    continue;
                }
            };
            let mut bytes = Vec::new();
            if let Err(error) = reader.read_to_end(&mut bytes) {
                report.errors.push(error.to_string());
            }
            match advance(task, &reader, None, now_us) {
                Ok(cursor) => {
                    let n = usize::try_from(cursor.offset - task.start.offset).unwrap();
                    let text = String::from_utf8(bytes[..n].to_vec()).unwrap();
                    let n_lines = text.lines().count() as u64;
                    let has_tail = !text.is_empty() && !text.ends_with('\n');
                    let counted = cursor.line - task.start.line + u64::from(has_tail);
                    assert_eq!(counted, n_lines, "lines of {}", cursor.name);
                    report.lines.extend(text.lines().map(ToOwned::to_owned));
                    done.push(Some(cursor));
                }
                Err(error) => {
                    report.errors.push(error.to_string());
                    done.push(None);
                }
            }
        }
        report.plan.tasks = plan.tasks.clone();
        report.plan.twins = std::mem::take(&mut plan.twins);
        report.plan.n_unchanged = plan.n_unchanged;
        report.plan.n_damaged = plan.n_damaged;
        report.plan.forgotten = plan.forgotten.clone();
        (report, plan.finish(done))
    }
}

pub(super) fn source(path: &str) -> Source {
    Source {
        path: path.into(),
        links: Links::Follow,
    }
}

/// Returns lines `from..to`, about 250 bytes each.
pub(super) fn records(from: usize, to: usize) -> String {
    (from..to).map(|n| record(n) + "\n").collect()
}

pub(super) fn record(n: usize) -> String {
    format!(
        r#"{{"kind":"Event","auditID":"{n:08}","pad":"{}","n":{n}}}"#,
        "x".repeat(200)
    )
}

/// Checks that `lines` are `records(from, to)`, in order.
#[track_caller]
pub(super) fn check(lines: &[String], from: usize, to: usize) {
    let expected: Vec<String> = (from..to).map(record).collect();
    let ids = |lines: &[String]| -> Vec<String> {
        lines
            .iter()
            .map(|line| line.chars().skip(27).take(12).collect())
            .collect()
    };
    assert_eq!(ids(lines), ids(&expected));
    assert_eq!(lines, expected);
}

/// How often each line was handed out.
pub(super) fn counts(lines: &[String]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(line.clone()).or_default() += 1;
    }
    counts
}
