//! Trials: a rule against the events that it must and must not match.
//!
//! Comes in: a rule and two texts of events, one a line. Goes out: what is not as it should be. A detection must
//! match each event of the one and none of the other, whatever lists exclude; of a correlation or an analytic, the
//! one is a log that must give a finding and the other one that must not.

use std::io;
use std::path::{Path, PathBuf};

use crate::detect::{CompiledRules, sample};
use crate::pipeline::{self, GAP_US, Monitor, Options, ScanError};
use crate::rules::{RuleBody, RuleSet};
use crate::source::ReadOptions;

/// Test events of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Index of the rule in its set.
    pub rule: usize,
    /// File of events that it must match, if there is one.
    pub hit: Option<PathBuf>,
    /// File of events that it must not match, if there is one.
    pub miss: Option<PathBuf>,
}

/// Why a trial cannot be held.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// A file of events cannot be read.
    #[error("cannot read `{path}`: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A line is no event.
    #[error("`{path}`, line {line}, is not an audit event: {cause}")]
    Event {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        cause: String,
    },
    /// The rules cannot be used.
    #[error(transparent)]
    Scan(#[from] ScanError),
}

impl Trial {
    /// Finds the test events of a rule: `DIR/NAME/hit.jsonl` below one of `folders`, or `STEM.hit.jsonl` beside
    /// the file of the rule.
    pub fn find(rules: &RuleSet, rule: usize, folders: &[PathBuf]) -> Self {
        let meta = &rules.rules[rule].meta;
        let beside = Path::new(&meta.path).with_extension("");
        let beside = beside.file_name().map(|stem| {
            let stem = stem.to_string_lossy();
            let file = |kind: &str| format!("{stem}.{kind}.jsonl");
            let parent = Path::new(&meta.path).parent().unwrap_or(Path::new(""));
            [parent.join(file("hit")), parent.join(file("miss"))]
        });
        let below = folders.iter().map(|folder| {
            let folder = folder.join(&meta.name);
            [folder.join("hit.jsonl"), folder.join("miss.jsonl")]
        });
        let places: Vec<[PathBuf; 2]> = below.chain(beside).collect();
        let find = |which: usize| {
            places
                .iter()
                .map(|files| &files[which])
                .find(|file| file.is_file())
        };
        Self {
            rule,
            hit: find(0).cloned(),
            miss: find(1).cloned(),
        }
    }

    /// Returns what is not as it should be, one sentence each.
    ///
    /// # Errors
    /// When the events cannot be read.
    pub fn run(
        &self,
        rules: &RuleSet,
        compiled: &CompiledRules,
    ) -> Result<Vec<String>, TrialError> {
        let mut wrong = Vec::new();
        let is_detection = matches!(rules.rules[self.rule].body, RuleBody::Sigma(_));
        for (file, expected) in [(&self.hit, true), (&self.miss, false)] {
            let Some(file) = file else { continue };
            if is_detection {
                self.each(file, expected, compiled, &mut wrong)?;
            } else {
                self.whole(file, expected, rules, compiled, &mut wrong)?;
            }
        }
        Ok(wrong)
    }

    fn each(
        &self,
        file: &Path,
        expected: bool,
        compiled: &CompiledRules,
        wrong: &mut Vec<String>,
    ) -> Result<(), TrialError> {
        let text = std::fs::read_to_string(file).map_err(|cause| TrialError::Read {
            path: file.to_owned(),
            cause,
        })?;
        let frame = sample::frame_of(&file.display().to_string(), &text);
        let frame = frame.map_err(|(line, cause)| TrialError::Event {
            path: file.to_owned(),
            line,
            cause,
        })?;
        let hits = compiled.evaluate(&frame);
        if frame.height() == 0 {
            wrong.push(format!("`{}` holds no event", file.display()));
        }
        for row_idx in 0..frame.height() {
            let hit = hits
                .iter()
                .find(|hit| hit.row_idx as usize == row_idx && hit.rule as usize == self.rule);
            let is_hit = hit.is_some_and(|hit| hit.excluded_by.is_none());
            if is_hit == expected {
                continue;
            }
            let line = frame.longs(crate::frame::Column::Line)[row_idx];
            let place = format!("`{}`, line {line}", file.display());
            wrong.push(match (expected, hit) {
                (true, Some(_)) => format!("{place}: a list excludes it"),
                (true, None) => format!("{place}: it does not match"),
                (false, _) => format!("{place}: it matches"),
            });
        }
        Ok(())
    }

    fn whole(
        &self,
        file: &Path,
        expected: bool,
        rules: &RuleSet,
        compiled: &CompiledRules,
        wrong: &mut Vec<String>,
    ) -> Result<(), TrialError> {
        let options = Options {
            paths: vec![file.to_owned()],
            threads: 1,
            read: ReadOptions::default(),
            format: None,
            evidence_limit: 1,
            cluster: String::new(),
            gap_us: GAP_US,
            profile: None,
            monitor: Monitor::default(),
        };
        let scan = pipeline::scan(&options, rules, compiled)?;
        if let Some(error) = scan.errors.first() {
            wrong.push(error.to_string());
        }
        let id = &rules.rules[self.rule].meta.id;
        let is_found = scan
            .outcome
            .findings
            .iter()
            .any(|found| found.rule.id == *id);
        if is_found != expected {
            let what = if expected {
                "gives no finding"
            } else {
                "gives a finding"
            };
            wrong.push(format!("`{}` {what} of the rule", file.display()));
        }
        Ok(())
    }
}
