//! The last side: rows of all lanes in the order of time, folded and fed to the engine.

mod unordered;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use unordered::{Place, Unordered};

use super::ingest::Gathering;
use super::preview::{Due, Preview};
use super::{Batch, Done, Horizon, Monitor, NAMED_REJECTS, Options, Recycled, Scan};
use crate::detect::engine::{Engine, Outcome};
use crate::detect::feed::{Fed, Reach};
use crate::detect::fold::{Fold, Open, Turn, Waiting};
use crate::detect::request::{Request, RequestColumns};
use crate::finding::{Finding, Timestamp};
use crate::frame::Vocabulary;
use crate::memory::remembers;
use crate::report::{Counters, FileStats, Ingest, RejectLine, SKIPPED_NAMES, Summary};
use crate::source::discover::{Discovery, SkipReason};
use crate::source::{Oversize, SourceError};
use crate::store::{Fate, Store};

/// The requests so far, and batches of each lane that are not used up.
pub(super) struct Merge<'r> {
    recycled: Arc<Recycled>,
    pub(super) engine: Engine<'r>,
    pub(super) account: Account<'r>,
    preview: Option<(Preview, Due)>,
    store: Option<Store>,
    pub(super) fold: Fold,
    lanes: BTreeMap<Place, VecDeque<Started>>,
    unordered: Unordered,
    /// By the files of this run: which of all runs they are.
    files: Vec<u32>,
    /// By the lanes of this run: which of all runs they are.
    runs_lanes: HashMap<u32, u32>,
}

/// What was read so far.
pub(super) struct Account<'r> {
    vocabulary: &'r Vocabulary,
    profile: Option<String>,
    monitor: Monitor,
    gathering: Gathering,
    /// The files of all runs, in the order in which they came.
    files: Vec<Arc<str>>,
    counters: Vec<Counters>,
    /// The logs that lanes are, as [`InputFile::log`] names them.
    logs: Vec<String>,
    events: u64,
    rejects: Vec<RejectLine>,
    skipped: u64,
    skipped_names: Vec<String>,
    errors: Vec<SourceError>,
    oversize: Vec<Oversize>,
    /// Events that stood in no order of time, and whether there were too many to put them in order together.
    unordered: u64,
    is_in_parts: bool,
}

remembers!(
    Account<'_>: [files, counters, logs, events, rejects],
    parts [gathering],
    anew [vocabulary, profile, monitor, skipped, skipped_names, errors, oversize, unordered, is_in_parts]
);

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
        recycled: Arc<Recycled>,
        vocabulary: &'r Vocabulary,
        engine: Engine<'r>,
        options: &Options,
    ) -> Self {
        Self {
            recycled,
            engine,
            account: Account {
                vocabulary,
                profile: options.profile.clone(),
                monitor: options.monitor.clone(),
                gathering: Gathering::new(options.gap_us),
                files: Vec::new(),
                counters: Vec::new(),
                logs: Vec::new(),
                events: 0,
                rejects: Vec::new(),
                skipped: 0,
                skipped_names: Vec::new(),
                errors: Vec::new(),
                oversize: Vec::new(),
                unordered: 0,
                is_in_parts: false,
            },
            preview: options
                .preview
                .clone()
                .map(|preview| (preview, Due::start())),
            store: options.store.clone(),
            fold: Fold::default(),
            lanes: BTreeMap::new(),
            unordered: Unordered::default(),
            files: Vec::new(),
            runs_lanes: HashMap::new(),
        }
    }

    /// Begins a run over the files of `discovery`; those of a log that was read before go on with it.
    pub(super) fn begin(&mut self, discovery: &mut Discovery) {
        let account = &mut self.account;
        account.errors.append(&mut discovery.errors);
        account.skipped += discovery.n_skipped;
        let skipped = discovery.skipped.iter();
        let skipped = skipped.filter(|skipped| skipped.reason == SkipReason::NotALog);
        let names = skipped.map(|skipped| skipped.name.to_string());
        let room = SKIPPED_NAMES.saturating_sub(account.skipped_names.len());
        account.skipped_names.extend(names.take(room));
        let known: HashMap<Arc<str>, u32> = account.files.iter().cloned().zip(0..).collect();
        let n_logs = account.logs.len();
        self.files.clear();
        self.runs_lanes.clear();
        for file in &discovery.files {
            let index = known.get(&file.name).copied().unwrap_or_else(|| {
                account.files.push(file.name.clone());
                account.counters.push(Counters::default());
                number(account.files.len() - 1)
            });
            self.files.push(index);
            self.runs_lanes.entry(file.lane).or_insert_with(|| {
                let log = file.log();
                // Two lanes of one run are two, whatever they are called.
                let known = account.logs[..n_logs]
                    .iter()
                    .position(|known| *known == log);
                number(known.unwrap_or_else(|| {
                    account.logs.push(log);
                    account.logs.len() - 1
                }))
            });
        }
    }

    /// Returns the time that each log has come to, by its name.
    pub(super) fn reached(&self) -> BTreeMap<String, i64> {
        let logs = &self.account.logs;
        let mut reached = BTreeMap::new();
        for (lane, last) in self.account.gathering.reached() {
            let of_log = reached.entry(logs[lane as usize].clone()).or_insert(last);
            *of_log = last.max(*of_log);
        }
        reached
    }

    /// Forgets what is of no use to requests that are at most `lateness_us` late, nor to what was found.
    pub(super) fn forget(&mut self, lateness_us: i64, found: &[Finding]) {
        let overdue = self.fold.sweep();
        self.observe_unfinished(overdue);
        let before = self.fold.latest().saturating_sub(lateness_us);
        self.engine.forget(before, found);
    }

    /// Merges what is left of a run.
    pub(super) fn end(&mut self) {
        self.merge_until(Horizon::END);
        self.unordered = Unordered::default();
    }

    /// Takes in what is next in reading order, and merges what nothing later can come before.
    pub(super) fn take(&mut self, done: Done) {
        let account = &mut self.account;
        account.errors.extend(done.notes.errors);
        for mut line in done.notes.oversize {
            line.file = self.files[line.file as usize];
            let counters = &mut account.counters[line.file as usize];
            counters.records += 1;
            counters.oversize += 1;
            counters.bytes += line.length;
            account.oversize.push(line);
        }
        let Some(mut batch) = done.batch else { return };
        batch.file = self.files[batch.file as usize];
        let counters = &mut account.counters[batch.file as usize];
        let found = &mut batch.found;
        counters.records += found.records;
        counters.bad += found.bad;
        counters.other += found.other;
        counters.recovered += found.recovered;
        counters.partial += found.partial;
        counters.odd += found.odd;
        counters.bytes += batch.bytes;
        let room = NAMED_REJECTS.saturating_sub(account.rejects.len());
        account.rejects.extend(found.rejects.drain(..).take(room));
        account.gathering.records(found);
        account.gathering.frame(&batch.frame, &batch.offers);
        account.events += batch.frame.height() as u64;
        account.monitor.note(account.events, self.engine.groups());
        self.engine.note_coverage(std::mem::take(&mut batch.offers));
        let lane = self.runs_lanes[&done.lane];
        let place = self.unordered.place(lane, &batch);
        if place != (lane, 0) {
            account.unordered += batch.frame.height() as u64;
        }
        let started = Started {
            batch,
            row: 0,
            hit: 0,
            open: Open::default(),
            fates: Vec::new(),
        };
        self.lanes.entry(place).or_default().push_back(started);
        if self.unordered.is_empty() {
            self.merge_until(Horizon {
                lane: done.horizon.lane.map(|lane| self.runs_lanes[&lane]),
                ..done.horizon
            });
        } else if self.unordered.is_full() {
            self.account.is_in_parts = true;
            self.merge_until(Horizon::END);
            self.lanes.clear();
            self.unordered.let_go();
        }
        let overdue = self.fold.overdue();
        self.observe_unfinished(overdue);
        if let Some((_, due)) = &mut self.preview {
            due.note();
        }
        self.tell();
    }

    /// Says what would be found if the log ended here, if somebody wants to know and it is time for it.
    pub(super) fn tell(&mut self) {
        if self.preview.as_ref().is_some_and(|(_, due)| due.is_now()) {
            let began = Instant::now();
            let outcome = self.preview();
            let summary = self.account.so_far(&outcome);
            if let Some((preview, due)) = &mut self.preview {
                preview.tell(outcome, summary);
                due.put_off(began);
            }
        }
    }

    /// Draws the findings that the log would have if it ended with what is merged so far.
    ///
    /// Works on a copy of what the engine remembers, so it costs as much as that is large, however long the log. Batches
    /// that wait for those of other lanes are not in it.
    pub(super) fn preview(&self) -> Outcome {
        let unfinished = self.fold.unfinished_so_far(i64::MAX);
        self.account.conclude(self.engine_so_far(&unfinished))
    }

    /// Says what the log comes to if it ended with what is merged so far, apart from requests that came at
    /// `in_flight_since` or later and wait for an answer.
    pub(super) fn so_far(&self, in_flight_since: i64) -> (Outcome, Summary, Vec<Fed>) {
        let unfinished = self.fold.unfinished_so_far(in_flight_since);
        let engine = self.engine_so_far(&unfinished);
        let fed = engine.feed(&BTreeSet::new());
        let account = &self.account;
        let outcome = account.conclude(engine);
        let mut counters = account.counters.clone();
        count_unfinished(
            &mut counters,
            &account.files,
            account.vocabulary,
            unfinished.iter().map(|waiting| waiting.file()),
        );
        let summary = account.summary(&counters, &outcome, &fed);
        (outcome, summary, fed)
    }

    /// Returns what the engine would remember if no request went on.
    fn engine_so_far(&self, unfinished: &[&Waiting]) -> Engine<'r> {
        let mut engine = self.engine.clone();
        for &waiting in unfinished {
            engine.observe(&waiting.clone().into());
        }
        engine
    }

    /// Takes in requests without a final stage.
    fn observe_unfinished(&mut self, unfinished: Vec<Waiting>) {
        let account = &mut self.account;
        count_unfinished(
            &mut account.counters,
            &account.files,
            account.vocabulary,
            unfinished.iter().map(Waiting::file),
        );
        for waiting in unfinished {
            self.engine.observe(&waiting.into());
        }
    }

    /// Merges the rest and draws the findings.
    ///
    /// `unseen` are fields in bodies that no event has, if somebody looked.
    pub(super) fn finish(mut self, unseen: &BTreeSet<String>) -> Scan {
        self.end();
        let unfinished = self.fold.unfinished();
        self.observe_unfinished(unfinished);
        let fed = self.engine.feed(unseen);
        let account = self.account;
        let outcome = account.conclude(self.engine);
        let summary = account.summary(&account.counters, &outcome, &fed);
        Scan {
            outcome,
            summary,
            fed,
            read_bytes: account.monitor.position().read_bytes,
            was_stopped: account.monitor.is_stopped(),
            errors: account.errors,
        }
    }

    fn merge_until(&mut self, horizon: Horizon) {
        loop {
            let mut heads: Vec<(i64, Place)> = self
                .lanes
                .iter()
                .filter_map(|(&place, queue)| Some((queue.front()?.ts(), place)))
                .collect();
            heads.sort_unstable();
            let Some(&(ts, place)) = heads.first() else {
                break;
            };
            let horizon = horizon.of(place.0);
            if ts >= horizon && horizon != i64::MAX {
                break;
            }
            let limit = heads
                .get(1)
                .copied()
                .unwrap_or((i64::MAX, (u32::MAX, 0)))
                .min((horizon, (0, 0)));
            self.run(place, limit);
        }
    }

    /// Takes rows of the first batch at a place as long as they come before `limit`, at least one.
    fn run(&mut self, place: Place, limit: (i64, Place)) {
        let (lane, _) = place;
        let queue = self.lanes.get_mut(&place).expect("there is a head");
        let started = queue.front_mut().expect("there is a head");
        let Started {
            batch,
            row,
            hit,
            open,
            fates,
        } = started;
        let columns = RequestColumns::new(&batch.frame);
        let counters = &mut self.account.counters[batch.file as usize];
        let height = batch.frame.height();
        let first = *row;
        while *row < height {
            let ts = columns.ts(*row);
            if *row > first && limit != (i64::MAX, (0, 0)) && (ts, place) >= limit {
                break;
            }
            let hits = &batch.hits[*hit..];
            let of_row = hits
                .iter()
                .take_while(|hit| hit.row_idx as usize == *row)
                .count();
            let hits = &hits[..of_row];
            let turn = self.fold.row(&batch.frame, &columns, hits, *row, open);
            let vocabulary = self.account.vocabulary;
            let gathering = &mut self.account.gathering;
            if matches!(turn, Turn::Duplicate) {
                gathering.duplicate(&batch.frame, *row);
                counters.duplicates += 1;
            } else {
                gathering.event((lane, batch.file), &batch.frame, *row, vocabulary);
                counters.events += 1;
                span(counters, ts);
            }
            if self.store.is_some() {
                fates.push(match &turn {
                    Turn::Duplicate => Fate::Duplicate,
                    Turn::Open => Fate::Open,
                    Turn::Late => Fate::Late,
                    Turn::End(_) => Fate::Final,
                });
            }
            if let Turn::End(folded) = turn {
                counters.requests += 1;
                self.engine.observe(&folded);
            }
            *row += 1;
            *hit += of_row;
        }
        let is_over = *row == height;
        if !is_over && place == (lane, 0) {
            return;
        }
        // What begins in a batch in no order may end in another one.
        let open = std::mem::take(open);
        let hits_of = |row: usize, request: &Request<'_>| {
            let start = batch
                .hits
                .partition_point(|hit| (hit.row_idx as usize) < row);
            let of_row = batch.hits[start..]
                .iter()
                .take_while(|hit| hit.row_idx as usize == row);
            of_row
                .map(|hit| self.engine.kept(*hit, &batch.frame, request))
                .collect()
        };
        self.fold.keep(&columns, open, hits_of);
        if !is_over {
            return;
        }
        if let Some(started) = queue.pop_front() {
            let mut frame = started.batch.frame;
            if let Some(store) = &self.store {
                store.push(&frame, started.batch.gists, &started.fates);
            }
            self.recycled.put_buffer(frame.take_text().into_bytes());
            self.recycled.put_frame(frame);
        }
    }
}

/// Counts requests without a final stage for the files that their last stages are in, by code.
fn count_unfinished(
    counters: &mut [Counters],
    files: &[Arc<str>],
    vocabulary: &Vocabulary,
    unfinished_in: impl ExactSizeIterator<Item = u32>,
) {
    if unfinished_in.len() == 0 {
        return;
    }
    let places: HashMap<&str, usize> = files.iter().map(|file| &**file).zip(0..).collect();
    for file in unfinished_in {
        if let Some(&place) = places.get(vocabulary.text(file)) {
            counters[place].requests += 1;
        }
    }
}

impl Started {
    /// Returns the time of the next row; a batch without rows counts as the earliest.
    fn ts(&self) -> i64 {
        if self.row < self.batch.frame.height() {
            self.batch.frame.place_in_time(self.row)
        } else {
            i64::MIN
        }
    }
}

impl Account<'_> {
    /// Draws the findings; the distribution is guessed if nobody says it.
    fn conclude(&self, engine: Engine<'_>) -> Outcome {
        let guess = self.gathering.distribution(self.vocabulary);
        let guess = guess.as_ref().map(|guess| guess.name.as_str());
        let profile = self.profile.as_deref().or(guess);
        engine.finish(profile, &self.gathering.pulses(self.vocabulary))
    }

    /// Says that events were put in order of time.
    fn order(&self, totals: &Counters) -> Option<String> {
        let part = if self.is_in_parts {
            ", a part of the log at a time, as there are many: findings that rest on a longer order may be missing or wrong"
        } else {
            ""
        };
        (self.unordered > 0).then(|| {
            format!(
                "{} of {} events stood newest first, or in no order of time: they were put in order{part}",
                self.unordered, totals.events
            )
        })
    }

    /// Returns the figures of the files, and of all of them.
    fn figures(&self, of_files: &[Counters], outcome: &Outcome) -> (Vec<FileStats>, Counters) {
        let mut totals = Counters::default();
        for counters in of_files {
            totals.merge(counters);
        }
        totals.requests = outcome.requests;
        let files = self.files.iter().zip(of_files);
        let files = files.map(|(path, &counters)| FileStats {
            path: path.clone(),
            counters,
        });
        (files.collect(), totals)
    }

    /// Sums up what is merged so far, in short.
    fn so_far(&self, outcome: &Outcome) -> Summary {
        let (files, totals) = self.figures(&self.counters, outcome);
        Summary {
            files,
            totals,
            problems: self.errors.iter().map(ToString::to_string).collect(),
            rejects: self.rejects.clone(),
            excluded: outcome.excluded.clone(),
            blind: outcome.blind.clone(),
            notes: outcome
                .disorder
                .iter()
                .chain(&outcome.notes)
                .cloned()
                .collect(),
            disorder: outcome.disorder.clone(),
            ..Summary::default()
        }
    }

    /// Sums up what was read.
    fn summary(&self, of_files: &[Counters], outcome: &Outcome, fed: &[Fed]) -> Summary {
        let (files, totals) = self.figures(of_files, outcome);
        let names: Vec<&str> = self.files.iter().map(|name| &**name).collect();
        let ingest = Ingest {
            skipped_files: self.skipped,
            skipped_names: self.skipped_names.clone(),
            ..self.gathering.ingest(self.vocabulary, &names)
        };
        let too_long = self.oversize.iter().map(|line| {
            let name = &self.files[line.file as usize];
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
        let problems = self.errors.iter().map(ToString::to_string);
        let n_cut = self.gathering.n_cut(self.vocabulary);
        let notes = notes(&totals, &ingest, n_cut);
        let disorder = outcome.disorder.iter();
        let found = disorder.chain(&outcome.notes).cloned();
        let clusters = ingest
            .several_clusters
            .clone()
            .map(|what| format!("{what}; they are read as one, so scan each by itself"));
        let notes = found
            .chain(self.order(&totals))
            .chain(clusters)
            .chain(notes);
        let blind = outcome.blind.iter().cloned().chain(blind(&ingest));
        Summary {
            files,
            totals,
            ingest,
            problems: problems.chain(too_long).chain(stopped).collect(),
            rejects: self.rejects.clone(),
            excluded: outcome.excluded.clone(),
            reach: Reach::of(fed),
            blind: blind.collect(),
            notes: notes.collect(),
            disorder: outcome.disorder.clone(),
        }
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("fewer than 2^32 files")
}

/// Says what a reader should know of the way the log came here.
fn notes(totals: &Counters, ingest: &Ingest, n_cut: u64) -> Vec<String> {
    let sentences = [
        (
            totals.recovered,
            "found behind damage: who can cut the log could have forged that",
        ),
        (
            totals.partial,
            "exported without some fields: rules that need those see nothing there",
        ),
        (
            totals.odd,
            "written as no API server writes (`odd` says how): who wrote or changed that could have forged it",
        ),
        (
            ingest.truncated,
            "stripped of bodies by the API server for size: rules that read bodies see nothing there",
        ),
        (
            ingest.secret_bodies,
            "with the body of a Secret or a token request: this log is itself a secret",
        ),
        (
            n_cut,
            "of nobody who showed a credential, with a user agent of which only the first 256 bytes are kept",
        ),
    ];
    sentences
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, sentence)| format!("{count} of {} events {sentence}", totals.events))
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

/// Widens the time that a counter spans; 0 is none.
fn span(counters: &mut Counters, ts: i64) {
    if ts == 0 {
        return;
    }
    let ts = Timestamp(ts);
    counters.first = Some(counters.first.map_or(ts, |first| first.min(ts)));
    counters.last = Some(counters.last.map_or(ts, |last| last.max(ts)));
}

#[cfg(test)]
mod tests;
