//! Trials: a rule against the events that it must and must not match.
//!
//! Comes in: a rule and texts of events, one a line: files, what is built in, or what the rule itself holds. Goes out:
//! what is not as it should be. A detection must match each event of the ones and none of the others, whatever lists
//! exclude; of a correlation or an analytic, the ones are a log that must give a finding and the others one that must
//! not.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use include_dir::{Dir, include_dir};

use crate::detect::{CompiledRules, sample};
use crate::frame::{Column, EventFrame};
use crate::pipeline::{self, Options, ScanError};
use crate::rules::check::is_silent;
use crate::rules::{Expect, RuleBody, RuleError, RuleMeta, RuleSet};
use crate::source::chunk::ChunkReader;
use crate::source::{InputFile, ReadOptions, SourceError, open};

/// The test events of the built-in rules, by name of the rule.
static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/tests/queries");

/// Test events of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Index of the rule in its set.
    pub rule: usize,
    /// Events that it must match.
    pub hit: Vec<Events>,
    /// Events that it must not match.
    pub miss: Vec<Events>,
}

/// Some events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    /// Where they are, for people.
    pub place: String,
    source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    Text(Cow<'static, str>),
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
    /// A log cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A line is no event.
    #[error("`{place}`, line {line}, is not an audit event: {cause}")]
    Event {
        /// Where the events are.
        place: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        cause: String,
    },
    /// There is no such line.
    #[error("no record of `{place}` starts at line {line}")]
    NoLine {
        /// Where the events are.
        place: String,
        /// The line, from 1.
        line: u64,
    },
    /// The rules cannot be used.
    #[error(transparent)]
    Scan(#[from] ScanError),
}

/// Reads the events of a log, `-` being standard input; with `line`, only those of the record that starts there.
///
/// Shape: a frame per chunk of the log.
///
/// # Errors
/// When the log cannot be read, holds something else than events, or has no record at that line.
pub fn read_events(path: &Path, line: Option<u64>) -> Result<Vec<EventFrame>, TrialError> {
    let place: Arc<str> = path.display().to_string().into();
    let input = InputFile {
        path: (path != Path::new("-")).then(|| path.to_owned()),
        name: Arc::clone(&place),
        lane: 0,
        from: crate::source::Start::default(),
        is_growing: false,
        piece: None,
    };
    let options = ReadOptions::default();
    let content = open::open(&input, &options)?;
    let mut reader = ChunkReader::new(0, Arc::clone(&place), content, &options);
    let mut frames = Vec::new();
    while let Some(chunk) = reader.next(Vec::new())? {
        let takes = |record: &crate::decode::record::Record<'_>| {
            line.is_none_or(|line| record.line == line)
        };
        let frame = sample::frame_of_chunk(&place, chunk, &takes);
        let frame = frame.map_err(|(line, cause)| TrialError::Event {
            place: place.to_string(),
            line,
            cause,
        })?;
        let is_found = frame.height() > 0;
        frames.push(frame);
        if line.is_some() && is_found {
            break;
        }
    }
    match line {
        Some(line) if frames.iter().all(|frame| frame.height() == 0) => Err(TrialError::NoLine {
            place: place.to_string(),
            line,
        }),
        _ => Ok(frames),
    }
}

impl Events {
    fn file(path: PathBuf) -> Option<Self> {
        path.is_file().then(|| Self {
            place: path.display().to_string(),
            source: Source::File(path),
        })
    }

    /// Returns the built-in events of the rule of that name.
    fn embedded(name: &str, kind: &str) -> Option<Self> {
        let path = format!("{name}/{kind}.jsonl");
        let text = EMBEDDED.get_file(&path)?.contents_utf8()?;
        Some(Self {
            place: path,
            source: Source::Text(Cow::Borrowed(text)),
        })
    }

    /// Returns the events that the rule itself holds.
    fn within(meta: &RuleMeta, expect: Expect) -> Option<Self> {
        let tests = meta.tests.iter().filter(|test| test.expect == expect);
        let lines: Vec<String> = tests.map(|test| test.event.to_string()).collect();
        (!lines.is_empty()).then(|| Self {
            place: format!("tests of {}", meta.path),
            source: Source::Text(Cow::Owned(lines.join("\n"))),
        })
    }

    fn read(&self) -> Result<Cow<'_, str>, TrialError> {
        match &self.source {
            Source::Text(text) => Ok(Cow::Borrowed(text)),
            Source::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|cause| TrialError::Read {
                    path: path.clone(),
                    cause,
                })?;
                Ok(Cow::Owned(text))
            }
        }
    }
}

impl Trial {
    /// Finds the test events of a rule: those in the rule, and `DIR/NAME/hit.jsonl` below one of `folders`, or else
    /// `STEM.hit.jsonl` beside the file of the rule, or else the built-in ones if the rule is.
    pub fn find(rules: &RuleSet, rule: usize, folders: &[PathBuf]) -> Self {
        let meta = &rules.rules[rule].meta;
        let file = Path::new(&meta.path);
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let find = |kind: &str, expect| {
            let below = folders
                .iter()
                .map(|folder| folder.join(&meta.name).join(format!("{kind}.jsonl")));
            let beside = file.with_file_name(format!("{stem}.{kind}.jsonl"));
            let apart = below
                .chain([beside])
                .find_map(Events::file)
                .or_else(|| Events::embedded(&meta.name, kind).filter(|_| meta.is_built_in));
            Events::within(meta, expect)
                .into_iter()
                .chain(apart)
                .collect()
        };
        Self {
            rule,
            hit: find("hit", Expect::Hit),
            miss: find("miss", Expect::Miss),
        }
    }

    /// Returns a warning if nothing tries a rule that gives findings.
    pub fn lacking(rules: &RuleSet, rule: usize, folders: &[PathBuf]) -> Option<RuleError> {
        let meta = &rules.rules[rule].meta;
        let is_tried = !Self::find(rules, rule, folders).is_empty() || is_silent(rules, meta);
        (!is_tried).then(|| {
            let what = format!("rule `{}` has no test events", meta.name);
            let hint = "events that it must match, and near misses: see `queries/README.md`";
            meta.site().complain("title:", what).hint(hint)
        })
    }

    /// Returns whether there is nothing to try.
    pub fn is_empty(&self) -> bool {
        self.hit.is_empty() && self.miss.is_empty()
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
        for (sources, expected) in [(&self.hit, true), (&self.miss, false)] {
            for events in sources {
                if is_detection {
                    self.each(events, expected, compiled, &mut wrong)?;
                } else {
                    self.whole(events, expected, rules, compiled, &mut wrong)?;
                }
            }
        }
        Ok(wrong)
    }

    fn each(
        &self,
        events: &Events,
        expected: bool,
        compiled: &CompiledRules,
        wrong: &mut Vec<String>,
    ) -> Result<(), TrialError> {
        let text = events.read()?;
        let frame = sample::frame_of(&events.place, &text);
        let frame = frame.map_err(|(line, cause)| TrialError::Event {
            place: events.place.clone(),
            line,
            cause,
        })?;
        let hits = compiled.evaluate(&frame);
        if frame.height() == 0 {
            wrong.push(format!("`{}` holds no event", events.place));
        }
        for row_idx in 0..frame.height() {
            let hit = hits
                .iter()
                .find(|hit| hit.row_idx as usize == row_idx && hit.rule as usize == self.rule);
            let is_hit = hit.is_some_and(|hit| hit.held_by == 0);
            if is_hit == expected {
                continue;
            }
            let line = frame.longs(Column::Line)[row_idx];
            let place = format!("`{}`, line {line}", events.place);
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
        events: &Events,
        expected: bool,
        rules: &RuleSet,
        compiled: &CompiledRules,
        wrong: &mut Vec<String>,
    ) -> Result<(), TrialError> {
        let text = events.read()?;
        let scan = pipeline::scan_text(&events.place, &text, &Options::default(), rules, compiled)?;
        for reject in &scan.summary.rejects {
            let place = format!("`{}`, line {}", events.place, reject.line);
            wrong.push(format!("{place}, is not an audit event: {}", reject.cause));
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
            wrong.push(format!("`{}` {what} of the rule", events.place));
        }
        Ok(())
    }
}
