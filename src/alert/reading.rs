//! Reading what is new of one cluster, and detecting in it together with what earlier runs remember.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::detect::CompiledRules;
use crate::detect::engine::Outcome;
use crate::detect::feed::Fed;
use crate::finding::Timestamp;
use crate::frame::Vocabulary;
use crate::pipeline::{self, Hold, Memory, Parts, ScanError, Session, stage_time};
use crate::report::Summary;
use crate::rules::RuleSet;
use crate::source::discover::Discovery;
use crate::source::follow::{
    self, Certainty, Cursor, FileId, Files, FollowError, Position, Reader, SkipReason, Skipped,
    Source, Task, advance, expand, look,
};
use crate::source::{InputFile, Piece, Start, log_of};

/// How long a request without an answer counts as one that is being answered, in microseconds: the API server gives up
/// after a minute, and what takes longer has said so by then.
const IN_FLIGHT_US: i64 = 600_000_000;

/// How late an event may come, behind others of its log or of other API servers, in microseconds of log time.
const LATENESS_US: i64 = 600_000_000;

/// How much of the end of a log is looked at for the time that it has come to.
const TAIL_BYTES: usize = 256 << 10;

/// How far the times of rotated files may be from the order of their names, in microseconds: a minute, since requests
/// are logged when they end.
const ORDER_SLACK_US: i64 = 60_000_000;

/// What there is of a cluster, and what earlier runs left.
pub(super) struct Cluster<'a, F: Files + 'static> {
    pub(super) files: &'static F,
    /// As the configuration names it.
    pub(super) name: &'a str,
    pub(super) sources: &'a [Source],
    pub(super) cursors: Vec<Cursor>,
    pub(super) options: pipeline::Options,
    pub(super) now: Timestamp,
}

/// What reading came to.
pub(super) struct Reading {
    /// Where to go on.
    pub(super) cursors: Vec<Cursor>,
    /// What is missing, in words.
    pub(super) missing: Vec<String>,
    /// What a reader should know besides.
    pub(super) notes: Vec<String>,
    /// Files in folders whose names are not those of logs.
    pub(super) left_out: Vec<String>,
    /// The time that the logs of each source have come to, if anything of them was read.
    pub(super) reached: Vec<Option<Timestamp>>,
    /// Gaps that came to light.
    pub(super) gaps: u64,
    /// `None` is nothing new.
    pub(super) news: Option<News>,
}

/// What the whole log comes to.
pub(super) struct News {
    pub(super) outcome: Outcome,
    pub(super) summary: Summary,
    pub(super) fed: Vec<Fed>,
    /// To be recalled by the next run.
    pub(super) memory: Memory,
    /// Whether what earlier runs remember was of no use.
    pub(super) is_anew: bool,
}

impl<F: Files + 'static> Cluster<'_, F> {
    /// Reads what is new; `memory` returns what earlier runs remember, and `rules` the rules: both are asked only if there
    /// is something to read.
    pub(super) fn read<'r, E: From<ScanError>>(
        mut self,
        memory: impl FnOnce() -> Result<Option<Parts>, String>,
        rules: impl FnOnce() -> Result<&'r (RuleSet, CompiledRules), E>,
    ) -> Result<Reading, E> {
        let mut reading = Reading {
            cursors: Vec::new(),
            missing: Vec::new(),
            notes: Vec::new(),
            left_out: Vec::new(),
            reached: vec![None; self.sources.len()],
            gaps: 0,
            news: None,
        };
        let follow_options = follow::Options {
            first_time: Some(crate::decode::peek_time),
            slack: ORDER_SLACK_US,
            ..follow::Options::default()
        };
        let mut found = look(
            self.files,
            self.sources,
            &self.cursors,
            &follow_options,
            self.now.0,
        );
        if found.plan.tasks.is_empty() {
            reading.report(&found, self.name, self.sources);
            reading.cursors = found.plan.finish(Vec::new());
            return Ok(reading);
        }
        let (rules, compiled) = rules()?;
        let (vocabulary, fresh) = (Vocabulary::new(), Vocabulary::new());
        let recalled = match memory() {
            Ok(None) => Ok(None),
            Ok(Some(memory)) => {
                Session::recall(&self.options, rules, compiled, &vocabulary, &memory)
                    .map(Some)
                    .map_err(|error| error.to_string())
            }
            Err(why) => Err(why),
        };
        let (session, is_anew) = match recalled {
            Ok(session) => (session, false),
            Err(why) => {
                reading.notes.push(format!(
                    "cluster `{}`: what earlier runs remember is of no use ({why}); the logs that are there are read from the start",
                    self.name
                ));
                self.cursors.clear();
                found = look(self.files, self.sources, &[], &follow_options, self.now.0);
                (None, true)
            }
        };
        let mut session = match session {
            Some(session) => session,
            None => Session::new(&self.options, rules, compiled, &fresh)?,
        };
        reading.report(&found, self.name, self.sources);
        let done = self.run(&mut session, &found.plan.tasks, &mut reading.missing)?;
        reading.reached = self.reached(&found, &done, &session.reached());
        reading.cursors = found.plan.finish(done);
        let in_flight_since = Timestamp(self.now.0.saturating_sub(IN_FLIGHT_US));
        let (outcome, summary, fed) = session.outcome_of_live(in_flight_since);
        session.forget(LATENESS_US, &outcome.findings);
        reading.missing.extend(summary.problems.iter().cloned());
        reading.news = Some(News {
            outcome,
            summary,
            fed,
            memory: session.memory(),
            is_anew,
        });
        Ok(reading)
    }

    /// Runs the session over `tasks`; returns for each where to go on, or `None` if it is due again.
    fn run(
        &self,
        session: &mut Session<'_>,
        tasks: &[Task],
        missing: &mut Vec<String>,
    ) -> Result<Vec<Option<Cursor>>, ScanError> {
        let slots: Vec<Arc<Slot>> = tasks
            .iter()
            .map(|task| {
                Arc::new(Slot {
                    task: task.clone(),
                    now: self.now,
                    reached: Mutex::default(),
                })
            })
            .collect();
        let mut lanes: HashMap<String, u32> = HashMap::new();
        let inputs = slots.iter().map(|slot| {
            let mut input = input(self.files, slot);
            let next = u32::try_from(lanes.len()).expect("fewer than 2^32 lanes");
            input.lane = *lanes.entry(input.log()).or_insert(next);
            input
        });
        let files: Vec<InputFile> = inputs.collect();
        let hold = self.hold(session.reached(), tasks, &files);
        let discovery = Discovery {
            files,
            ..Discovery::default()
        };
        let places = session.run_in_step(discovery, hold)?;
        let done =
            slots
                .iter()
                .zip(places)
                .map(|(slot, place)| match slot.cursor(self.files, place) {
                    Some(Ok(cursor)) => Some(cursor),
                    Some(Err(error)) => {
                        missing.push(error.to_string());
                        None
                    }
                    None => None,
                });
        Ok(done.collect())
    }

    /// Returns the time that the logs of each source have come to of which something was read: `done` is `None` for each
    /// task that was not, `reached` has the times by log.
    fn reached(
        &self,
        found: &follow::Look,
        done: &[Option<Cursor>],
        reached: &BTreeMap<String, i64>,
    ) -> Vec<Option<Timestamp>> {
        let tasks = found.plan.tasks.iter().zip(done);
        let read = tasks.filter(|(_, cursor)| cursor.is_some());
        let times: Vec<(&Path, Timestamp)> = read
            .filter_map(|(task, _)| {
                let time = reached.get(&log_of(&task.path))?;
                Some((task.path.as_path(), Timestamp(*time)))
            })
            .collect();
        if let [_] = self.sources {
            return vec![times.into_iter().map(|(_, time)| time).max()];
        }
        // A file may have been renamed since it was found, or be known to a source by another name.
        let ids: HashMap<&Path, FileId> = (found.expansion.files.iter())
            .filter_map(|file| Some((file.path.as_path(), file.stat.id?)))
            .collect();
        let of_source = |source: &Source| {
            let files = expand(self.files, std::slice::from_ref(source)).files;
            let has = |path: &Path| {
                let id = ids.get(path).copied();
                let mut files = files.iter();
                files.any(|file| file.path == path || (id.is_some() && file.stat.id == id))
            };
            let times = times.iter().filter(|(path, _)| has(path));
            times.map(|(_, time)| *time).max()
        };
        self.sources.iter().map(of_source).collect()
    }

    /// Returns what is ahead of other API servers; `reached` is how far each log was read, and what is new of it is in
    /// `tasks`, read as `inputs`.
    fn hold(
        &self,
        mut reached: BTreeMap<String, i64>,
        tasks: &[Task],
        inputs: &[InputFile],
    ) -> Option<Hold> {
        let newest: BTreeMap<String, &Task> =
            inputs.iter().map(InputFile::log).zip(tasks).collect();
        let logs: BTreeSet<&String> = newest.keys().chain(reached.keys()).collect();
        if logs.len() < 2 {
            return None;
        }
        for (log, task) in newest {
            let tail = task.tail(self.files, TAIL_BYTES).unwrap_or_default();
            let times = tail.split(|byte| *byte == b'\n').filter_map(stage_time);
            match times.filter(|ts| *ts <= self.now.0).max() {
                Some(last) => reached.insert(log, last),
                // Nobody waits for what cannot be told.
                None => reached.remove(&log),
            };
        }
        Hold::new(reached.into_values(), self.now.0, LATENESS_US)
    }
}

impl Reading {
    /// Takes in what could not be looked at, and what vanished.
    fn report(&mut self, found: &follow::Look, cluster: &str, sources: &[Source]) {
        let errors = found.expansion.errors.iter().chain(&found.plan.errors);
        self.missing.extend(errors.map(ToString::to_string));
        self.gaps = found.plan.gaps.len() as u64;
        for gap in &found.plan.gaps {
            let what = match gap.certainty {
                Certainty::Sure => "vanished before all of it was read",
                Certainty::Possible => "vanished while it was written: its end may be missing",
            };
            let seen = Timestamp(gap.last_seen_us);
            let bytes = gap.unread_bytes.map_or(String::new(), |bytes| {
                format!("; {bytes} bytes were not read")
            });
            let before = (gap.oldest.as_ref()).map_or(String::new(), |oldest| {
                format!("; the oldest file there is now is `{oldest}`")
            });
            self.missing.push(format!(
                "gap: `{}`, last seen at {seen}, {what}{bytes}{before}",
                gap.name
            ));
        }
        let skipped = &found.expansion.skipped;
        let is_named = |it: &&Skipped| sources.iter().any(|source| source.path == it.path);
        let said = |it: &Skipped| format!("`{}` {}", it.path.display(), it.reason);
        if found.expansion.files.is_empty() {
            let why = skipped.iter().find(is_named).or(skipped.first());
            let why = why.map_or(String::new(), |it| format!(": {}", said(it)));
            self.missing
                .push(format!("cluster `{cluster}`: there is no log to read{why}"));
        } else {
            let left_out = skipped.iter().filter(|it| it.reason == SkipReason::NotALog);
            self.left_out = left_out.map(|it| it.path.display().to_string()).collect();
            // What only lies in a folder of logs, nobody asked for.
            let refused = skipped.iter().filter(is_named);
            let refused = refused.filter(|it| it.reason != SkipReason::KnownFolder);
            self.missing
                .extend(refused.map(|it| format!("not read: {}", said(it))));
        }
    }
}

/// What the reader of a task leaves behind: it is opened late and closed early, since there may be thousands.
struct Slot {
    task: Task,
    now: Timestamp,
    /// The cursor behind what was read, once it was.
    reached: Mutex<Option<Result<Cursor, FollowError>>>,
}

impl Slot {
    fn take(&self) -> Option<Result<Cursor, FollowError>> {
        self.reached
            .lock()
            .expect("a thread that panics ends the program")
            .take()
    }

    /// Returns the cursor behind what was taken over, up to `place`; `None` if nothing was.
    fn cursor<F: Files>(&self, files: &F, place: Start) -> Option<Result<Cursor, FollowError>> {
        let reached = self.take()?;
        match reached {
            // A part of a record, or all that followed when the run was stopped, is left for later.
            Ok(cursor) if place.offset < cursor.offset => {
                (place.offset >= self.task.start.offset).then(|| self.cursor_at(files, place))
            }
            reached => Some(reached),
        }
    }

    fn cursor_at<F: Files>(&self, files: &F, place: Start) -> Result<Cursor, FollowError> {
        let mut reader = self.task.open(files)?;
        let path = reader.path().to_owned();
        let length = place.offset - self.task.start.offset;
        io::copy(&mut (&mut reader).take(length), &mut io::sink())
            .map_err(|cause| FollowError::Io { path, cause })?;
        let consumed = Position {
            offset: place.offset,
            line: place.lines,
        };
        advance(&self.task, &reader, Some(consumed), self.now.0)
    }
}

/// Reads, and leaves a cursor when it is dropped.
struct Traced<F: Files + 'static> {
    reader: Reader<'static, F>,
    slot: Arc<Slot>,
}

impl<F: Files> Read for Traced<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl<F: Files> Drop for Traced<F> {
    fn drop(&mut self) {
        let cursor = advance(&self.slot.task, &self.reader, None, self.slot.now.0);
        if let Ok(mut reached) = self.slot.reached.lock() {
            *reached = Some(cursor);
        }
    }
}

fn input<F: Files + 'static>(files: &'static F, slot: &Arc<Slot>) -> InputFile {
    let task = &slot.task;
    let slot = Arc::clone(slot);
    let open = move || -> io::Result<Box<dyn Read + Send>> {
        let reader = slot.task.open(files).map_err(io::Error::other)?;
        let slot = Arc::clone(&slot);
        Ok(Box::new(Traced { reader, slot }))
    };
    InputFile {
        path: Some(PathBuf::from(&task.path)),
        name: task.path.to_string_lossy().into(),
        lane: 0,
        from: Start {
            offset: task.start.offset,
            lines: task.start.line,
        },
        is_growing: !task.takes_tail(),
        piece: Some(Piece::new(open)),
    }
}

#[cfg(test)]
mod tests;
