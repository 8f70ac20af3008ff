//! The pipeline: joins the stages; the only place that knows about threads and memory.
//!
//! ```text
//! reader thread ──Job──▶ rayon pool: decode, frame, rules ──Batch──▶ this thread: fold, detect
//!       ▲                                                                   │
//!       └───────────────────────── empty buffers ──────────────────────────┘
//! ```
//!
//! As many chunk buffers exist as may be under way at once; the reader waits for an empty one, so
//! memory follows chunk size and threads, never the log. Batches are put back into the order in which
//! they were read, and rows of several lanes (API servers) are merged by stage time; so the findings
//! depend on neither threads nor chunk size.

mod merge;
mod reader;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use foldhash::quality::RandomState;
use rayon::iter::{ParallelBridge, ParallelIterator};

use crate::decode::{Cause, decode, lines, text_of};
use crate::detect::engine::{Engine, Outcome};
use crate::detect::{CompiledRules, Hits};
use crate::finding::Timestamp;
use crate::frame::{Coder, EventColumns, EventFrame, EventText, Place, Vocabulary};
use crate::report::{Counters, FileStats, RejectLine, Summary};
use crate::rules::{RuleError, RuleSet};
use crate::source::{Chunk, InputFile, Oversize, SourceError, discover};
use merge::Merge;
use reader::{Message, Reader};

/// Bytes of a chunk unless asked otherwise.
pub const CHUNK_BYTES: usize = 1 << 18;

/// Longest line unless asked otherwise: kube-apiserver refuses objects far smaller.
pub const MAX_LINE_BYTES: usize = 64 << 20;

/// How many lines that are not events the summary names.
pub const NAMED_REJECTS: usize = 20;

/// How a scan runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Files and folders; `-` is standard input.
    pub paths: Vec<PathBuf>,
    /// Threads that decode and detect; at least 1.
    pub threads: usize,
    /// Bytes of a chunk.
    pub chunk_bytes: usize,
    /// Bytes of the longest line that is read.
    pub max_line_bytes: usize,
    /// How many places in the log a finding keeps.
    pub evidence_limit: usize,
    /// Name of the cluster, for the frames; may be empty.
    pub cluster: String,
}

/// Why a scan cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// A rule cannot be used.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// No threads to be had.
    #[error("cannot start {threads} threads: {cause}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What rayon said.
        #[source]
        cause: rayon::ThreadPoolBuildError,
    },
}

/// What a scan comes to.
pub struct Scan {
    /// Findings and what the log cannot show.
    pub outcome: Outcome,
    /// What was read and what was not.
    pub summary: Summary,
    /// Why files were not read, or not to their end.
    pub errors: Vec<SourceError>,
}

/// A chunk on its way to the pool.
struct Job {
    sequence: u64,
    chunk: Chunk,
    lane: u32,
    /// Rows before this time may be merged: all chunks to come start later.
    horizon: i64,
}

/// A chunk's events and what the rules say of them.
struct Batch {
    sequence: u64,
    lane: u32,
    horizon: i64,
    file: u32,
    frame: EventFrame,
    hits: Hits,
    rejects: Vec<RejectLine>,
    records: u64,
    bad: u64,
    other: u64,
    bytes: u64,
}

/// What can serve again, so that a chunk costs no fresh memory.
#[derive(Default)]
struct Recycled {
    coders: Mutex<Vec<Coder>>,
    frames: Mutex<Vec<EventFrame>>,
}

impl Recycled {
    fn take<T>(pool: &Mutex<Vec<T>>) -> Option<T> {
        pool.lock().expect("no thread panics in here").pop()
    }

    /// Puts `thing` back, unless there are `most` already.
    fn put<T>(pool: &Mutex<Vec<T>>, thing: T, most: usize) {
        let mut pool = pool.lock().expect("no thread panics in here");
        if pool.len() < most {
            pool.push(thing);
        }
    }
}

/// Reads, decodes and detects.
///
/// # Errors
/// When a rule cannot be used or threads cannot be had. What cannot be read is in the result.
pub fn scan(
    options: &Options,
    rules: &RuleSet,
    compiled: &CompiledRules,
) -> Result<Scan, ScanError> {
    let threads = options.threads.max(1);
    let (files, errors) = discover::discover(&options.paths);
    let vocabulary = Vocabulary::new();
    let engine = Engine::new(rules, compiled, &vocabulary, options.evidence_limit)?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|cause| ScanError::Threads { threads, cause })?;
    let recycled = Recycled::default();
    let worker = Worker {
        files: &files,
        recycled: &recycled,
        vocabulary: &vocabulary,
        request_hasher: RandomState::default(),
        compiled,
        cluster: &options.cluster,
    };

    let buffers = threads * 2 + 1;
    let (to_reader, empty) = sync_channel::<Vec<u8>>(buffers);
    let (to_pool, jobs) = sync_channel::<Message>(buffers);
    let (to_merge, batches) = sync_channel::<Message>(buffers);
    for _ in 0..buffers {
        to_reader.send(Vec::new()).expect("room for every buffer");
    }
    let collected = thread::scope(|scope| {
        let reader = Reader::new(&files, options.chunk_bytes, options.max_line_bytes);
        scope.spawn(move || reader.run(&empty, &to_pool));
        scope.spawn(|| {
            let worker = &worker;
            pool.install(move || {
                jobs.into_iter()
                    .par_bridge()
                    .for_each_with(to_merge, |to_merge, message| {
                        // The receiver lives until all senders are gone.
                        let _ = to_merge.send(worker.process(message));
                    });
            });
        });
        let merge = Merge::new(files.len(), engine, &recycled.frames);
        collect(&files, merge, batches, &to_reader, errors)
    });
    Ok(collected)
}

/// What the pool's threads share.
struct Worker<'a> {
    files: &'a [InputFile],
    recycled: &'a Recycled,
    vocabulary: &'a Vocabulary,
    request_hasher: RandomState,
    compiled: &'a CompiledRules,
    cluster: &'a str,
}

impl Worker<'_> {
    fn process(&self, message: Message) -> Message {
        match message {
            Message::Job(job) => Message::Batch(Box::new(self.batch(job))),
            other => other,
        }
    }

    fn batch(&self, job: Job) -> Batch {
        let Job {
            sequence,
            mut chunk,
            lane,
            horizon,
        } = job;
        let mut data = std::mem::take(&mut chunk.data);
        let text = text_of(&mut data);
        let name = &self.files[chunk.file as usize].name;
        let mut coder =
            Recycled::take(&self.recycled.coders).unwrap_or_else(|| Coder::new(self.vocabulary));
        let frame = Recycled::take(&self.recycled.frames);
        let mut columns = EventColumns::new(&self.request_hasher, &coder, name, frame);
        let mut rejects = Vec::new();
        let (mut records, mut bad, mut other) = (0, 0, 0);
        for line in lines(&chunk, text) {
            records += 1;
            match decode(line.text, &mut coder) {
                Ok(event) => {
                    let place = Place {
                        line: line.line,
                        offset: line.offset,
                        length: narrow(line.text.len()),
                        cluster: self.cluster,
                        text: EventText::InChunk(line.start),
                    };
                    columns.push(&event, line.text, &place, &mut coder);
                }
                Err(cause) => {
                    match cause {
                        Cause::Json(_) => bad += 1,
                        Cause::OtherKind { .. } => other += 1,
                    }
                    if rejects.len() < NAMED_REJECTS {
                        rejects.push(RejectLine {
                            file: name.clone(),
                            line: line.line,
                            offset: line.offset,
                            cause: cause.to_string(),
                        });
                    }
                }
            }
        }
        Recycled::put(&self.recycled.coders, coder, usize::MAX);
        let bytes = text.len() as u64;
        let frame = columns.finish(data);
        let hits = self.compiled.evaluate(&frame);
        Batch {
            sequence,
            lane,
            horizon,
            file: chunk.file,
            frame,
            hits,
            rejects,
            records,
            bad,
            other,
            bytes,
        }
    }
}

/// Chunks are far shorter than 4 GiB.
fn narrow(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a chunk is shorter than 4 GiB")
}

/// Puts batches into order, merges their rows, and feeds the engine.
fn collect(
    files: &[InputFile],
    mut merge: Merge<'_>,
    batches: Receiver<Message>,
    to_reader: &SyncSender<Vec<u8>>,
    mut errors: Vec<SourceError>,
) -> Scan {
    let mut early: BTreeMap<u64, Message> = BTreeMap::new();
    let mut next = 0;
    let mut oversize: Vec<Oversize> = Vec::new();
    let mut rejects: Vec<RejectLine> = Vec::new();
    for message in batches {
        early.insert(message.sequence(), message);
        while let Some(message) = early.remove(&next) {
            next += 1;
            match message {
                Message::Batch(mut batch) => {
                    let room = NAMED_REJECTS.saturating_sub(rejects.len());
                    rejects.extend(batch.rejects.drain(..).take(room));
                    merge.add(*batch);
                    // A buffer for each batch, be it one still in use: lanes wait for each other in
                    // there. The reader may be gone; then nobody needs it.
                    let _ = to_reader.try_send(merge.take_buffer());
                }
                Message::Error { error, .. } => errors.push(error),
                Message::Oversize { lines, .. } => oversize.extend(lines),
                Message::Job(_) => unreachable!("the pool turns jobs into batches"),
            }
        }
    }
    let (outcome, mut counters) = merge.finish();
    for line in &oversize {
        let counter = &mut counters[line.file as usize];
        counter.records += 1;
        counter.oversize += 1;
        counter.bytes += line.length;
    }
    let mut totals = Counters::default();
    for counter in &counters {
        totals.merge(counter);
    }
    totals.requests = outcome.requests;
    let stats = files
        .iter()
        .zip(counters)
        .map(|(file, counters)| FileStats {
            path: file.name.clone(),
            counters,
        })
        .collect();
    let summary = Summary {
        files: stats,
        totals,
        problems: errors
            .iter()
            .map(ToString::to_string)
            .chain(too_long(files, &oversize))
            .collect(),
        rejects,
        blind: outcome.blind.clone(),
        notes: outcome.notes.clone(),
    };
    Scan {
        outcome,
        summary,
        errors,
    }
}

fn too_long<'a>(files: &'a [InputFile], lines: &'a [Oversize]) -> impl Iterator<Item = String> {
    lines.iter().map(|line| {
        format!(
            "skipped line {} of `{}`: {} bytes are over the limit for a line",
            line.line, files[line.file as usize].name, line.length
        )
    })
}

/// Returns the earlier and the later of what two counters span.
fn span(counters: &mut Counters, ts: i64) {
    let ts = Timestamp(ts);
    counters.first = Some(counters.first.map_or(ts, |first| first.min(ts)));
    counters.last = Some(counters.last.map_or(ts, |last| last.max(ts)));
}

/// Returns the name of a file for messages.
fn name(files: &[InputFile], file: u32) -> Arc<str> {
    files[file as usize].name.clone()
}
