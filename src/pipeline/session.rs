//! Detection that can stop and go on.
//!
//! A session reads a log in any number of runs. What it remembers between them can be written ([`Session::memory`]) and
//! read back, by another process too ([`Session::recall`]). Wherever the log is cut into runs, what it comes to is what one
//! scan over all of it comes to, as long as the runs are in the order of time: what a run reads is merged wholly at its
//! end, so rows of another API server that come in a later run although they are earlier are late, as they would be in a
//! log out of order. A [`Hold`] leaves for later what is ahead of other API servers.
//!
//! A session keeps no events: [`Options::store`] is for scans.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};

use super::memory::Recalled;
use super::merge::Merge;
use super::preview::TICK;
use super::{
    AHEAD_BYTES, AHEAD_THREADS, Hold, Horizon, Inbox, Job, Memory, MemoryError, Notes, Options,
    Parts, Reader, Recycled, Scan, ScanError, Worker, engine, lock, memory, merge_in_order,
};
use crate::detect::CompiledRules;
use crate::detect::engine::Outcome;
use crate::detect::feed::Fed;
use crate::detect::watch::Watch;
use crate::finding::{Finding, Timestamp};
use crate::frame::Vocabulary;
use crate::report::Summary;
use crate::rules::RuleSet;
use crate::source::discover::Discovery;
use crate::source::{Chunk, ReadOptions, Start};

/// A log that is read in runs.
pub struct Session<'r> {
    options: Options,
    rules: &'r RuleSet,
    compiled: &'r CompiledRules,
    vocabulary: &'r Vocabulary,
    recycled: Arc<Recycled>,
    /// Seed of the keys under which the stages of a request meet.
    seed: u64,
    merge: Merge<'r>,
    /// The memory that it was recalled from.
    recalled: Recalled,
}

impl<'r> Session<'r> {
    /// Starts with nothing; `vocabulary` is new, and the session's own.
    ///
    /// # Errors
    /// When a rule cannot be used.
    pub fn new(
        options: &Options,
        rules: &'r RuleSet,
        compiled: &'r CompiledRules,
        vocabulary: &'r Vocabulary,
    ) -> Result<Self, ScanError> {
        let engine = engine(rules, compiled, vocabulary, options)?;
        let recycled = Arc::<Recycled>::default();
        Ok(Self {
            merge: Merge::new(Arc::clone(&recycled), vocabulary, engine, options),
            options: options.clone(),
            rules,
            compiled,
            vocabulary,
            recycled,
            recalled: Recalled::default(),
            seed: std::hash::RandomState::new().build_hasher().finish(),
        })
    }

    /// Goes on where another session stopped that wrote `memory`; `vocabulary` is new, and the session's own.
    ///
    /// # Errors
    /// When the bytes are not a memory, not a whole one, or one of another program, other rules or other options.
    pub fn recall(
        options: &Options,
        rules: &'r RuleSet,
        compiled: &'r CompiledRules,
        vocabulary: &'r Vocabulary,
        memory: &Parts,
    ) -> Result<Self, MemoryError> {
        let content = memory::open(memory, &rules.fingerprint())?;
        // First of all: the engine looks up codes.
        let (content, seed, recalled) = memory::start(content, memory, options, vocabulary)?;
        let mut session = Self::new(options, rules, compiled, vocabulary)?;
        session.seed = seed;
        session.recalled = recalled;
        memory::read(content, &mut session.merge)?;
        Ok(session)
    }

    /// Forgets what is of no use to requests that come at most `lateness_us` late, so that what is remembered does not grow
    /// with the log. Requests that come later than that are seen by rules on single requests only. `found` is what it came to
    /// until now: what findings speak of stays known.
    pub fn forget(&mut self, lateness_us: i64, found: &[Finding]) {
        self.merge.forget(lateness_us, found);
    }

    /// Returns all that is remembered, to be read by [`Self::recall`], but for the parts that are still what the session
    /// was recalled from.
    ///
    /// It holds names, addresses and paths of the log, and the seed that keeps others from crafting requests that are
    /// taken for one: whoever may not read the log must not read it either.
    pub fn memory(&self) -> Memory {
        memory::write(
            &self.rules.fingerprint(),
            &self.options,
            self.vocabulary,
            self.seed,
            &self.merge,
            &self.recalled,
        )
    }

    /// Reads files, each from where it says on; returns how far each was read, to take it up there.
    ///
    /// A run that is stopped ([`super::Monitor::stop`]) ends behind a record of each file.
    ///
    /// # Errors
    /// When threads cannot be had. What cannot be read is in the outcome.
    pub fn run(&mut self, files: Discovery) -> Result<Vec<Start>, ScanError> {
        self.read(files, None, None)
    }

    /// Reads as [`Self::run`] does, but leaves for later what `hold` says.
    ///
    /// # Errors
    /// As of [`Self::run`].
    pub fn run_in_step(
        &mut self,
        files: Discovery,
        hold: Option<Hold>,
    ) -> Result<Vec<Start>, ScanError> {
        self.read(files, None, hold)
    }

    /// Returns the time that each log has come to, by its name ([`InputFile::log`](crate::source::InputFile::log)), in
    /// microseconds.
    pub fn reached(&self) -> BTreeMap<String, i64> {
        self.merge.reached()
    }

    pub(super) fn read(
        &mut self,
        mut discovery: Discovery,
        watch: Option<&Watch<'_>>,
        hold: Option<Hold>,
    ) -> Result<Vec<Start>, ScanError> {
        let options = &self.options;
        let threads = options.threads.max(1);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|cause| ScanError::Threads { threads, cause })?;
        self.merge.begin(&mut discovery);
        let worker = Worker {
            watch,
            ..Worker::new(
                &discovery.files,
                &self.recycled,
                self.vocabulary,
                self.rules,
                self.compiled,
                options,
                self.seed,
            )
        };
        let monitor = &options.monitor;
        monitor.set_total(discovery.total_bytes());
        let read = ReadOptions {
            read_bytes: monitor.read_bytes.clone(),
            ahead_bytes: match threads {
                1 => 0,
                more => AHEAD_BYTES * more.min(AHEAD_THREADS),
            },
            ..options.read.clone()
        };
        let reader = Mutex::new(Reader::new(&discovery.files, &read, hold));
        let inbox = Mutex::new(Inbox::default());
        let merge = Mutex::new(&mut self.merge);
        let work = |_: rayon::BroadcastContext<'_>| {
            while !monitor.is_stopped() {
                let buffer = lock(&self.recycled.buffers).pop().unwrap_or_default();
                let Some(job) = lock(&reader).next(buffer) else {
                    break;
                };
                let sequence = job.sequence;
                let done = worker.work(job);
                let waiting = {
                    let mut inbox = lock(&inbox);
                    inbox.waiting.insert(sequence, done);
                    inbox.waiting.len()
                };
                merge_in_order(&merge, &inbox, waiting > threads * 2);
            }
        };
        std::thread::scope(|scope| {
            let (is_over, over) = channel::<()>();
            if options.preview.is_some() {
                // While all wait for a pipe, somebody has to tell what came of it.
                let (merge, inbox) = (&merge, &inbox);
                scope.spawn(move || {
                    while over.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                        if let Ok(mut merge) = merge.try_lock() {
                            merge.tell();
                        }
                        // Who came with a batch meanwhile found this thread at it and went on.
                        merge_in_order(merge, inbox, false);
                    }
                });
            }
            pool.broadcast(work);
            drop(is_over);
        });
        while let Some(done) = lock(&inbox).take_next() {
            self.merge.take(done);
        }
        self.merge.end();
        let reader = reader.into_inner();
        Ok(reader.expect("all threads have ended well").into_reached())
    }

    /// Reads `text` as the only file of `discovery`, on the thread that calls.
    pub(super) fn read_text(&mut self, mut discovery: Discovery, text: &str) {
        self.merge.begin(&mut discovery);
        let worker = Worker::new(
            &discovery.files,
            &self.recycled,
            self.vocabulary,
            self.rules,
            self.compiled,
            &self.options,
            self.seed,
        );
        self.merge.take(worker.work(Job {
            sequence: 0,
            lane: 0,
            horizon: Horizon::END,
            chunk: Some(Chunk {
                line: 1,
                data: text.as_bytes().to_vec(),
                ..Chunk::default()
            }),
            notes: Notes::default(),
        }));
    }

    /// Says what the log comes to if it ended with what was read so far; requests that go on stay open.
    ///
    /// Problems and lines that were passed over are those since the session was started or recalled.
    pub fn outcome(&self) -> (Outcome, Summary) {
        let (outcome, summary, _) = self.merge.so_far(i64::MAX);
        (outcome, summary)
    }

    /// Says the same of a log that is still written, and which rules it can feed, in their order: without the requests
    /// that came at `in_flight_since` or later and have no answer yet. What they will be told, the log is about to say.
    pub fn outcome_of_live(&self, in_flight_since: Timestamp) -> (Outcome, Summary, Vec<Fed>) {
        self.merge.so_far(in_flight_since.0)
    }

    /// Ends the log; `unseen` are fields in bodies that no event has, if somebody looked.
    pub(super) fn finish(self, unseen: &BTreeSet<String>) -> Scan {
        self.merge.finish(unseen)
    }
}
