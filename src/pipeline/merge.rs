//! The last side: rows of all lanes in the order of time, folded and fed to the engine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use super::ingest::Gathering;
use super::preview::{Due, Preview};
use super::{Batch, Done, Monitor, NAMED_REJECTS, Options, Recycled, Scan};
use crate::detect::engine::{Engine, Outcome};
use crate::detect::feed::Reach;
use crate::detect::fold::{Fold, KeptHit, Open};
use crate::detect::request::{RequestColumns, row_ts};
use crate::finding::Timestamp;
use crate::frame::Vocabulary;
use crate::report::{Counters, FileStats, Ingest, RejectLine, Summary};
use crate::source::discover::Discovery;
use crate::source::{InputFile, Oversize, SourceError};
use crate::store::{Fate, Store};

/// What was read so far, and batches of each lane that are not used up.
pub(super) struct Merge<'r> {
    files: &'r [InputFile],
    skipped: u64,
    recycled: &'r Recycled,
    vocabulary: &'r Vocabulary,
    engine: Engine<'r>,
    gathering: Gathering,
    profile: Option<String>,
    detects: bool,
    preview: Option<(Preview, Due)>,
    store: Option<Store>,
    monitor: Monitor,
    events: u64,
    fold: Fold,
    lanes: BTreeMap<u32, VecDeque<Started>>,
    counters: Vec<Counters>,
    errors: Vec<SourceError>,
    oversize: Vec<Oversize>,
    rejects: Vec<RejectLine>,
}

struct Started {
    batch: Batch,
    row: usize,
    /// Where the hits of `row` and later start.
    hit: usize,
    open: Open,
    /// What became of the rows so far, if events are kept.
    fates: Vec<Fate>,
}

impl<'r> Merge<'r> {
    pub(super) fn new(
        discovery: &'r Discovery,
        errors: Vec<SourceError>,
        recycled: &'r Recycled,
        vocabulary: &'r Vocabulary,
        engine: Engine<'r>,
        options: &Options,
    ) -> Self {
        let files = &discovery.files;
        Self {
            files,
            skipped: discovery.n_skipped,
            recycled,
            vocabulary,
            engine,
            gathering: Gathering::new(options.gap_us),
            profile: options.profile.clone(),
            detects: options.detects,
            preview: options
                .preview
                .clone()
                .map(|preview| (preview, Due::start())),
            store: options.store.clone(),
            monitor: options.monitor.clone(),
            events: 0,
            fold: Fold::default(),
            lanes: BTreeMap::new(),
            counters: vec![Counters::default(); files.len()],
            errors,
            oversize: Vec::new(),
            rejects: Vec::new(),
        }
    }

    /// Takes in what is next in reading order, and merges what nothing later can come before.
    pub(super) fn take(&mut self, done: Done) {
        self.errors.extend(done.notes.errors);
        for line in done.notes.oversize {
            let counters = &mut self.counters[line.file as usize];
            counters.records += 1;
            counters.oversize += 1;
            counters.bytes += line.length;
            self.oversize.push(line);
        }
        let Some(mut batch) = done.batch else { return };
        let counters = &mut self.counters[batch.file as usize];
        let found = &mut batch.found;
        counters.records += found.records;
        counters.bad += found.bad;
        counters.other += found.other;
        counters.recovered += found.recovered;
        counters.partial += found.partial;
        counters.bytes += batch.bytes;
        let room = NAMED_REJECTS.saturating_sub(self.rejects.len());
        self.rejects.extend(found.rejects.drain(..).take(room));
        self.gathering.records(&found.envelopes, &found.kinds);
        self.gathering.frame(&batch.frame);
        self.events += batch.frame.height() as u64;
        self.monitor.note(self.events, self.engine.groups());
        self.engine.note_coverage(std::mem::take(&mut batch.supply));
        let started = Started {
            batch,
            row: 0,
            hit: 0,
            open: Open::default(),
            fates: Vec::new(),
        };
        self.lanes.entry(done.lane).or_default().push_back(started);
        self.merge_until(done.horizon);
        for folded in self.fold.overdue() {
            if self.detects {
                self.engine.observe(&folded);
            }
        }
        if self.preview.as_ref().is_some_and(|(_, due)| due.is_now()) {
            let began = Instant::now();
            let outcome = self.preview();
            let summary = self.so_far(&outcome);
            if let Some((preview, due)) = &mut self.preview {
                preview.tell(outcome, summary);
                due.put_off(began);
            }
        }
    }

    /// Sums up what is merged so far.
    fn so_far(&self, outcome: &Outcome) -> Summary {
        let mut totals = Counters::default();
        for counters in &self.counters {
            totals.merge(counters);
        }
        totals.requests = outcome.requests;
        let files = self.files.iter().zip(&self.counters);
        let files = files.map(|(file, &counters)| FileStats {
            path: file.name.clone(),
            counters,
        });
        Summary {
            files: files.collect(),
            totals,
            problems: self.errors.iter().map(ToString::to_string).collect(),
            rejects: self.rejects.clone(),
            excluded: outcome.excluded.clone(),
            blind: outcome.blind.clone(),
            notes: outcome.notes.clone(),
            ..Summary::default()
        }
    }

    /// Draws the findings that the log would have if it ended with what is merged so far.
    ///
    /// Works on a copy of what the engine remembers, so it costs as much as that is large, however long the log. Batches
    /// that wait for those of other lanes are not in it.
    pub(super) fn preview(&self) -> Outcome {
        let mut engine = self.engine.clone();
        for folded in self.fold.unfinished_so_far() {
            engine.observe(&folded);
        }
        let profile = self.profile.as_deref();
        conclude(engine, &self.gathering, profile, self.vocabulary)
    }

    /// Merges the rest and draws the findings.
    ///
    /// `unseen` are fields in bodies that no event has, if somebody looked.
    pub(super) fn finish(mut self, unseen: &BTreeSet<String>) -> Scan {
        self.merge_until(i64::MAX);
        for folded in self.fold.unfinished() {
            if self.detects {
                self.engine.observe(&folded);
            }
        }
        let names: Vec<&str> = self.files.iter().map(|file| &*file.name).collect();
        let fed = self.engine.feed(unseen);
        let profile = self.profile.as_deref();
        let outcome = conclude(self.engine, &self.gathering, profile, self.vocabulary);
        let ingest = self.gathering.finish(self.vocabulary, &names, self.skipped);
        let mut totals = Counters::default();
        for counters in &self.counters {
            totals.merge(counters);
        }
        totals.requests = outcome.requests;
        let files = self.files.iter().zip(self.counters);
        let too_long = self.oversize.iter().map(|line| {
            let name = &self.files[line.file as usize].name;
            format!(
                "skipped line {} of `{name}`: its {} bytes are over the limit for a line{}",
                line.line,
                line.length,
                subject(&line.head)
            )
        });
        let position = self.monitor.position();
        let stopped = self.monitor.is_stopped().then(|| {
            format!(
                "stopped after {} of {} bytes: the rest was not read",
                position.read_bytes, position.total_bytes
            )
        });
        let notes = notes(&totals, &ingest);
        let blind = outcome.blind.iter().cloned().chain(blind(&ingest));
        let summary = Summary {
            files: files
                .map(|(file, counters)| FileStats {
                    path: file.name.clone(),
                    counters,
                })
                .collect(),
            totals,
            ingest,
            problems: self
                .errors
                .iter()
                .map(ToString::to_string)
                .chain(too_long)
                .chain(stopped)
                .collect(),
            rejects: self.rejects,
            excluded: outcome.excluded.clone(),
            reach: Reach::of(&fed),
            blind: blind.collect(),
            notes: outcome.notes.iter().cloned().chain(notes).collect(),
        };
        Scan {
            outcome,
            summary,
            fed,
            errors: self.errors,
            read_bytes: position.read_bytes,
            was_stopped: self.monitor.is_stopped(),
        }
    }

    fn merge_until(&mut self, horizon: i64) {
        loop {
            let mut heads: Vec<(i64, u32)> = self
                .lanes
                .iter()
                .filter_map(|(&lane, queue)| Some((queue.front()?.ts(), lane)))
                .collect();
            heads.sort_unstable();
            let Some(&(ts, lane)) = heads.first() else {
                break;
            };
            if ts >= horizon && horizon != i64::MAX {
                break;
            }
            let limit = heads
                .get(1)
                .copied()
                .unwrap_or((i64::MAX, u32::MAX))
                .min((horizon, 0));
            self.run(lane, limit);
        }
    }

    /// Takes rows of one lane's first batch as long as they come before `limit`, at least one.
    fn run(&mut self, lane: u32, limit: (i64, u32)) {
        let queue = self.lanes.get_mut(&lane).expect("the lane has a head");
        let started = queue.front_mut().expect("the lane has a head");
        let Started {
            batch,
            row,
            hit,
            open,
            fates,
        } = started;
        let columns = RequestColumns::new(&batch.frame);
        let counters = &mut self.counters[batch.file as usize];
        let height = batch.frame.height();
        let first = *row;
        while *row < height {
            let ts = columns.ts(*row);
            if *row > first && limit != (i64::MAX, 0) && (ts, lane) >= limit {
                return;
            }
            let hits = &batch.hits[*hit..];
            let of_row = hits
                .iter()
                .take_while(|hit| hit.row_idx as usize == *row)
                .count();
            let hits = &hits[..of_row];
            let (new, folded) = self.fold.row(&batch.frame, &columns, hits, *row, open);
            if new {
                self.gathering.event(lane, batch.file, &batch.frame, *row);
                counters.events += 1;
                span(counters, ts);
            } else {
                counters.duplicates += 1;
            }
            if self.store.is_some() {
                fates.push(match &folded {
                    _ if !new => Fate::Duplicate,
                    Some(_) => Fate::Final,
                    None => Fate::Open,
                });
            }
            if let Some(folded) = folded {
                counters.requests += 1;
                if self.detects {
                    self.engine.observe(&folded);
                }
            }
            *row += 1;
            *hit += of_row;
        }
        let open = std::mem::take(open);
        let hits_of = |row: usize| {
            let start = batch
                .hits
                .partition_point(|hit| (hit.row_idx as usize) < row);
            let of_row = batch.hits[start..]
                .iter()
                .take_while(|hit| hit.row_idx as usize == row);
            of_row
                .map(|hit| KeptHit {
                    rule: hit.rule,
                    held_by: hit.held_by,
                    why: self.engine.why(hit.rule, &batch.frame, row),
                })
                .collect()
        };
        self.fold.keep(&columns, open, hits_of);
        if let Some(started) = queue.pop_front() {
            let mut frame = started.batch.frame;
            if let Some(store) = &self.store {
                store.push(&frame, started.batch.gists, &started.fates);
            }
            self.recycled.put_buffer(frame.take_data());
            self.recycled.put_frame(frame);
        }
    }
}

impl Started {
    /// Returns the time of the next row; a batch without rows counts as the earliest.
    fn ts(&self) -> i64 {
        if self.row < self.batch.frame.height() {
            row_ts(&self.batch.frame, self.row)
        } else {
            i64::MIN
        }
    }
}

/// Draws the findings; without a `profile` the distribution is guessed.
fn conclude(
    engine: Engine<'_>,
    gathering: &Gathering,
    profile: Option<&str>,
    vocabulary: &Vocabulary,
) -> Outcome {
    let guess = gathering.distribution(vocabulary);
    let guess = guess.as_ref().map(|guess| guess.name.as_str());
    engine.finish(profile.or(guess), &gathering.pulses(vocabulary))
}

/// Says what a reader should know of the way the log came here.
fn notes(totals: &Counters, ingest: &Ingest) -> Vec<String> {
    let sentences = [
        (
            totals.recovered,
            "events were found behind damage: who can cut the log could have forged them",
        ),
        (
            totals.partial,
            "events were exported without some of their fields: rules that need those do not see them",
        ),
        (
            ingest.truncated,
            "events were stripped of their bodies by the API server for their size: rules that read bodies do not see them",
        ),
        (
            ingest.secret_bodies,
            "events hold the body of a Secret or a token request: this log is itself a secret",
        ),
    ];
    sentences
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, sentence)| format!("{count} {sentence}"))
        .collect()
}

/// Says what the kind of log leaves out.
fn blind(ingest: &Ingest) -> Option<String> {
    let reads = ["get", "list"].map(|verb| ingest.verbs.get(verb));
    let is_blind = !ingest.verbs.is_empty() && reads == [0, 0];
    is_blind.then(|| {
        "reads: there is no get or list in the log, as in AKS `kube-audit-admin` or under a policy that drops them"
            .to_owned()
    })
}

/// Says what the beginning of a record tells of its request: a long line is a way to hide one.
fn subject(head: &[u8]) -> String {
    let value = |key: &str| {
        let start = memchr::memmem::find(head, key.as_bytes())? + key.len();
        let rest = &head[start..];
        let text = &rest[..memchr::memchr2(b'"', b'\\', rest)?];
        let text = String::from_utf8_lossy(text);
        (!text.is_empty()).then(|| text.into_owned())
    };
    let keys = ["\"username\":\"", "\"verb\":\"", "\"requestURI\":\""];
    let found: Vec<String> = keys.into_iter().filter_map(value).collect();
    if found.is_empty() {
        String::new()
    } else {
        format!("; it begins as a request of {}", found.join(" "))
    }
}

/// Widens the time that a counter spans.
fn span(counters: &mut Counters, ts: i64) {
    let ts = Timestamp(ts);
    counters.first = Some(counters.first.map_or(ts, |first| first.min(ts)));
    counters.last = Some(counters.last.map_or(ts, |last| last.max(ts)));
}

#[cfg(test)]
mod tests;
