//! The pipeline: joins the stages; the only place that knows about threads and memory.
//!
//! ```text
//! each thread of the pool:   next chunk ──▶ decode, frame, rules ──▶ inbox
//! whoever finds the next in order there:           inbox ──▶ merge lanes, fold, detect
//! ```
//!
//! All threads do all work, so none waits for another while there is any: a thread reads a chunk (one at
//! a time may), works on it while it is still in the cache, and puts the batch into the inbox. The batch
//! that is next in the order of reading, and what follows it, is merged by the first thread that can.
//! When the merge falls behind, threads wait for it, so memory follows chunk size and threads, never the
//! log. Rows of several lanes (API servers) are merged by stage time; so the findings depend on neither
//! threads nor chunk size.

mod hold;
mod ingest;
mod memory;
mod merge;
mod monitor;
mod preview;
mod reader;
mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;

use crate::decode::envelope::Format;
use crate::decode::record::{Opened, Opener, Record, records};
use crate::decode::{Oddities, Oddity, decode, text_of};
use crate::detect::engine::{Engine, Outcome};
use crate::detect::feed::Fed;
use crate::detect::supply::Portion;
use crate::detect::watch::Watch;
use crate::detect::{CompiledRules, Hits};
use crate::frame::coder::CodedEvent;
use crate::frame::{Coder, EventColumns, EventFrame, Origin, Place, Vocabulary};
pub use crate::memory::Parts;
use crate::report::{Census, RejectLine, Summary};
use crate::rules::{RuleError, RuleSet};
use crate::source::{
    Chunk, InputFile, Integrity, ReadOptions, SourceError, Start, appended, discover,
};
use crate::store::{Gist, Store};
pub use hold::Hold;
pub(crate) use hold::stage_time;
pub use memory::{Memory, MemoryError};
use merge::Merge;
pub use monitor::{Monitor, Position};
pub use preview::Preview;
use reader::{Notes, Reader};
pub use session::Session;

/// How long an API server must be silent for that to be noted, unless asked otherwise: even where nobody
/// works, nodes report every five minutes.
pub const GAP_US: i64 = 15 * 60 * 1_000_000;

/// How much of compressed files may be decompressed ahead, in all, for each thread: a decompressor gives way to those
/// who work on what it has, and what waits longer has left the caches.
const AHEAD_BYTES: usize = 4 << 20;

/// How many threads that counts for at most, so that memory is bounded on any machine.
const AHEAD_THREADS: usize = 16;

/// How many lines that are not events the summary names.
pub const NAMED_REJECTS: usize = 20;

/// How a scan runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Files and folders; `-` is standard input.
    pub paths: Vec<PathBuf>,
    /// Threads that decode and detect; at least 1.
    pub threads: usize,
    /// How files are read.
    pub read: ReadOptions,
    /// The family of envelopes, if the user knows better than a guess.
    pub format: Option<Format>,
    /// How many places in the log a finding keeps.
    pub evidence_limit: usize,
    /// Name of the cluster, for the frames; may be empty.
    pub cluster: String,
    /// How long an API server must be silent for that to be noted, in microseconds.
    pub gap_us: i64,
    /// Distribution that lists of exclusions go by, if the user knows better than a guess.
    pub profile: Option<String>,
    /// Whether the credentials are listed; the scan then keeps more in mind.
    pub credentials: bool,
    /// To watch and to stop the scan.
    pub monitor: Monitor,
    /// Who is told on the way what would be found if the log ended there.
    pub preview: Option<Preview>,
    /// Whether rules and analytics look at the events. Without, there are no findings.
    pub detects: bool,
    /// Where events are kept, if somebody wants to browse or query them.
    pub store: Option<Store>,
}

impl Default for Options {
    /// Reads nothing, with one thread, and keeps one place in the log for each finding.
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            threads: 1,
            read: ReadOptions::default(),
            format: None,
            evidence_limit: 1,
            cluster: String::new(),
            gap_us: GAP_US,
            profile: None,
            credentials: false,
            monitor: Monitor::default(),
            preview: None,
            detects: true,
            store: None,
        }
    }
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
    /// Which rules the log can feed, in the order of the rules.
    pub fed: Vec<Fed>,
    /// Why files were not read, or not to their end.
    pub errors: Vec<SourceError>,
    /// Bytes read from files, as they stand there.
    pub read_bytes: u64,
    /// Whether it was stopped before the end.
    pub was_stopped: bool,
}

/// Up to which time rows may be merged: chunks to come start later.
#[derive(Debug, Clone, Copy)]
struct Horizon {
    /// The time of the lane that is least far.
    ts: i64,
    /// Which one that is. What comes of it comes behind its rows in any case: they have to wait for the others only.
    lane: Option<u32>,
    /// The time of the one behind it.
    of_others: i64,
}

impl Horizon {
    /// No chunk is to come that a row would have to wait for.
    const END: Self = Self {
        ts: i64::MAX,
        lane: None,
        of_others: i64::MAX,
    };

    /// Returns the time for the rows of a lane.
    fn of(self, lane: u32) -> i64 {
        if self.lane == Some(lane) {
            self.of_others
        } else {
            self.ts
        }
    }
}

/// A piece of work.
struct Job {
    /// Place in the order of reading, from 0.
    sequence: u64,
    lane: u32,
    horizon: Horizon,
    /// `None` behind the last chunk, if there is something to note.
    chunk: Option<Chunk>,
    notes: Notes,
}

/// The same, done.
struct Done {
    lane: u32,
    horizon: Horizon,
    batch: Option<Batch>,
    notes: Notes,
}

/// A chunk's events and what the rules say of them.
struct Batch {
    file: u32,
    frame: EventFrame,
    /// Whether its events stood in no order of time.
    was_unordered: bool,
    hits: Hits,
    offers: Portion,
    found: Found,
    bytes: u64,
    /// What bodies say, if events are kept.
    gists: Vec<(u32, Gist)>,
}

/// What the records of a chunk turned out to be.
#[derive(Default)]
struct Found {
    records: u64,
    bad: u64,
    other: u64,
    recovered: u64,
    partial: u64,
    odd: u64,
    /// Of events, what is odd about them.
    oddities: Census,
    /// Of events, what they were wrapped in.
    envelopes: Census,
    /// Of the others, what they are.
    kinds: Census,
    /// The first that are no events.
    rejects: Vec<RejectLine>,
}

/// Batches that wait for their turn.
#[derive(Default)]
struct Inbox {
    waiting: BTreeMap<u64, Done>,
    next: u64,
}

impl Inbox {
    fn take_next(&mut self) -> Option<Done> {
        let done = self.waiting.remove(&self.next)?;
        self.next += 1;
        Some(done)
    }

    fn has_next(&self) -> bool {
        self.waiting.contains_key(&self.next)
    }
}

/// What can serve again, so that a chunk costs no fresh memory.
#[derive(Default)]
struct Recycled {
    coders: Mutex<Vec<Coder>>,
    frames: Mutex<Vec<EventFrame>>,
    buffers: Mutex<Vec<Vec<u8>>>,
}

/// How many frames and buffers are kept to serve again.
const RECYCLED: usize = 64;

impl Recycled {
    fn put_frame(&self, frame: EventFrame) {
        let mut frames = lock(&self.frames);
        if frames.len() < RECYCLED {
            frames.push(frame);
        }
    }

    fn put_buffer(&self, buffer: Vec<u8>) {
        let mut buffers = lock(&self.buffers);
        if buffers.len() < RECYCLED {
            buffers.push(buffer);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a thread that panics ends the program")
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
    run(options, rules, compiled, None)
}

/// Scans, and looks on the way for the fields that rules name, which takes longer.
///
/// # Errors
/// As of [`scan`].
pub fn survey(
    options: &Options,
    rules: &RuleSet,
    compiled: &CompiledRules,
) -> Result<Scan, ScanError> {
    run(options, rules, compiled, Some(&Watch::new(compiled)))
}

fn run(
    options: &Options,
    rules: &RuleSet,
    compiled: &CompiledRules,
    watch: Option<&Watch<'_>>,
) -> Result<Scan, ScanError> {
    let vocabulary = vocabulary(options);
    let mut session = Session::new(options, rules, compiled, &vocabulary)?;
    session.read(discover::discover(&options.paths), watch, None)?;
    let unseen = watch.map(Watch::unseen).unwrap_or_default();
    Ok(session.finish(&unseen))
}

/// Scans `text`, the content of a log in memory, on the thread that calls; `options` name no paths.
///
/// # Errors
/// When a rule cannot be used.
pub fn scan_text(
    name: &str,
    text: &str,
    options: &Options,
    rules: &RuleSet,
    compiled: &CompiledRules,
) -> Result<Scan, ScanError> {
    let mut discovery = discover::discover(&[]);
    discovery.files.push(InputFile {
        path: None,
        name: name.into(),
        lane: 0,
        from: Start::default(),
        is_growing: false,
        piece: None,
    });
    let vocabulary = vocabulary(options);
    let mut session = Session::new(options, rules, compiled, &vocabulary)?;
    session.read_text(discovery, text);
    Ok(session.finish(&BTreeSet::new()))
}

/// Returns the dictionary of a run: that of the store, whose codes outlive it.
fn vocabulary(options: &Options) -> Vocabulary {
    let store = options.store.as_ref();
    store.map_or_else(Vocabulary::new, |store| store.vocabulary().clone())
}

fn engine<'r>(
    rules: &'r RuleSet,
    compiled: &'r CompiledRules,
    vocabulary: &'r Vocabulary,
    options: &Options,
) -> Result<Engine<'r>, RuleError> {
    let mut engine = Engine::new(rules, compiled, vocabulary, options.evidence_limit)?;
    if options.credentials {
        engine.list_credentials();
    }
    if !options.detects {
        engine.rest();
    }
    Ok(engine)
}

/// Merges what is next in order, unless another thread is at it; waits for that one if told to.
fn merge_in_order(merge: &Mutex<&mut Merge<'_>>, inbox: &Mutex<Inbox>, wait: bool) {
    let mut guard = if wait {
        lock(merge)
    } else {
        match merge.try_lock() {
            Ok(guard) => guard,
            Err(_) => return,
        }
    };
    loop {
        // Taken out first, so that the inbox is free while the batch is merged.
        let next = lock(inbox).take_next();
        if let Some(done) = next {
            guard.take(done);
            continue;
        }
        drop(guard);
        // Who came with the next one meanwhile found this thread at it and went on; on a pipe, nobody may come for long.
        if !lock(inbox).has_next() {
            return;
        }
        guard = match merge.try_lock() {
            Ok(guard) => guard,
            Err(_) => return,
        };
    }
}

/// What the pool's threads share.
struct Worker<'a> {
    files: &'a [InputFile],
    recycled: &'a Recycled,
    vocabulary: &'a Vocabulary,
    request_hasher: SeedableRandomState,
    compiled: &'a CompiledRules,
    /// Columns of which is asked whether any event fills them, as bits.
    columns: u64,
    /// Those of them that some event is known to fill: nobody need look again.
    filled: AtomicU64,
    watch: Option<&'a Watch<'a>>,
    format: Option<Format>,
    cluster: &'a str,
    detects: bool,
    keeps: bool,
}

impl<'a> Worker<'a> {
    /// Returns one that nobody watches; `seed` is that of the keys of requests.
    fn new(
        files: &'a [InputFile],
        recycled: &'a Recycled,
        vocabulary: &'a Vocabulary,
        rules: &RuleSet,
        compiled: &'a CompiledRules,
        options: &'a Options,
        seed: u64,
    ) -> Self {
        Self {
            files,
            recycled,
            vocabulary,
            request_hasher: SeedableRandomState::with_seed(seed, SharedSeed::global_fixed()),
            compiled,
            columns: compiled.columns(rules),
            filled: AtomicU64::new(0),
            watch: None,
            format: options.format,
            cluster: &options.cluster,
            detects: options.detects,
            keeps: options.store.is_some(),
        }
    }

    fn work(&self, job: Job) -> Done {
        let mut notes = job.notes;
        Done {
            lane: job.lane,
            horizon: job.horizon,
            batch: job.chunk.map(|chunk| self.batch(chunk, &mut notes)),
            notes,
        }
    }

    fn batch(&self, mut chunk: Chunk, notes: &mut Notes) -> Batch {
        let (text, not_utf8) = text_of(std::mem::take(&mut chunk.data));
        let name = &self.files[chunk.file as usize].name;
        if let Some(at) = appended(&text, &not_utf8) {
            let offset = chunk.offset + at as u64;
            (notes.errors).push(SourceError::appended(Arc::clone(name), offset));
        }
        let coder = lock(&self.recycled.coders).pop();
        let coder = coder.unwrap_or_else(|| Coder::new(self.vocabulary));
        let frame = lock(&self.recycled.frames).pop();
        let mut desk = Desk {
            columns: EventColumns::new(&self.request_hasher, coder, name, frame),
            file: name,
            cluster: self.cluster,
            not_utf8: &not_utf8,
            found: Found::default(),
        };
        let mut opener = Opener::new(self.format, chunk.header.as_deref());
        let mut event = CodedEvent::default();
        let mut last = None;
        for record in records(&chunk, &text) {
            let is_native = self.format.is_none()
                && record.integrity == Integrity::Whole
                && desk.native(&record, &mut event);
            if !is_native {
                opener.open(&record, &mut |opened| desk.take(&record, &opened));
            }
            last = Some(record);
        }
        if let Some(record) = last {
            opener.finish(&mut |opened| desk.take(&record, &opened));
        }
        let bytes = text.len() as u64;
        let (mut frame, coder) = desk.columns.finish(text);
        let was_unordered = frame.put_in_order();
        lock(&self.recycled.coders).push(coder);
        let hits = if self.detects {
            self.compiled.evaluate(&frame)
        } else {
            Hits::default()
        };
        let open = self.columns & !self.filled.load(Ordering::Relaxed);
        let offers = Portion::of(&frame, open);
        self.filled.fetch_or(offers.filled(), Ordering::Relaxed);
        if let Some(watch) = self.watch {
            watch.note(&frame);
        }
        let gists = if self.keeps {
            Gist::of_frame(&frame)
        } else {
            Vec::new()
        };
        Batch {
            file: chunk.file,
            gists,
            frame,
            was_unordered,
            hits,
            offers,
            found: desk.found,
            bytes,
        }
    }
}

/// Where the events of a chunk are gathered, and what is none is counted.
struct Desk<'a> {
    columns: EventColumns<'a>,
    file: &'a Arc<str>,
    cluster: &'a str,
    /// Where bytes were no UTF-8, in this record and those to come.
    not_utf8: &'a [Range<usize>],
    found: Found,
}

impl Desk<'_> {
    /// Takes in a record that is an event as the API server writes it; returns whether it is.
    fn native<'r>(&mut self, record: &Record<'r>, event: &mut CodedEvent<'r>) -> bool {
        let origin = Origin {
            cluster: self.cluster,
            ..Origin::default()
        };
        let place = record.place(record.text, origin);
        let is_native = self.columns.push_native(record.text, &place, event);
        if is_native {
            self.found.records += 1;
            self.odd(record, Oddities::default());
        }
        is_native
    }

    /// Takes in one thing that was found in `record`.
    fn take(&mut self, record: &Record<'_>, opened: &Opened<'_>) {
        self.found.records += 1;
        match opened {
            Opened::Event {
                found,
                is_recovered,
            } => {
                let mut event = CodedEvent::default();
                match decode(found.text, self.columns.coder(), &mut event) {
                    Ok(odd) => self.odd(record, odd),
                    Err(cause) => {
                        self.found.bad += 1;
                        self.reject(record, format!("not a JSON object: {cause}"));
                        return;
                    }
                }
                let origin = Origin {
                    cluster: found.cluster.unwrap_or(self.cluster),
                    node: found.node.unwrap_or_default(),
                    stream: found.stream.unwrap_or_default(),
                    envelope: found.envelope,
                };
                let place = Place {
                    is_recovered: *is_recovered,
                    ..record.place(found.text, origin)
                };
                self.columns.push(&event, found.text, &place);
                self.found.recovered += u64::from(*is_recovered);
                self.found.partial += u64::from(found.partial);
                if !found.envelope.is_empty() {
                    self.found.envelopes.add(found.envelope);
                }
            }
            Opened::Other(what, under) => {
                self.found.other += 1;
                self.found.kinds.add(what);
                self.reject_under(record, (*what).to_owned(), *under);
            }
            Opened::Bad(cause) => {
                self.found.bad += 1;
                self.reject(record, (*cause).to_owned());
            }
        }
    }

    /// Counts an event of `record`, if something is odd about it.
    fn odd(&mut self, record: &Record<'_>, mut odd: Oddities) {
        let start = record.start as usize;
        while let Some((first, rest)) = self.not_utf8.split_first()
            && first.end <= start
        {
            self.not_utf8 = rest;
        }
        let first = self.not_utf8.first();
        if first.is_some_and(|first| first.start < start + record.text.len()) {
            odd = odd.with(Oddity::NotUtf8);
        }
        self.found.odd += u64::from(!odd.is_empty());
        for oddity in odd.iter() {
            self.found.oddities.add(oddity.as_str());
        }
    }

    fn reject(&mut self, record: &Record<'_>, cause: String) {
        self.reject_under(record, cause, None);
    }

    fn reject_under(&mut self, record: &Record<'_>, cause: String, under: Option<&str>) {
        if self.found.rejects.len() < NAMED_REJECTS {
            self.found.rejects.push(RejectLine {
                file: Arc::clone(self.file),
                line: record.line,
                offset: record.offset,
                cause,
                under: under.map(str::to_owned),
            });
        }
    }
}
