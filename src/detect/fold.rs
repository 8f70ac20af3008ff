//! Folding: rows in log order to requests, each once.
//!
//! The stages of one request meet under its key; the final one stands for all. What has no final stage
//! yet waits, through the end of its chunk as an owned copy, and goes out unfinished at the end of the
//! log. Records that were seen before are left out: within a window of records, since their number has
//! no bound. So are stages that come behind the final one, as in a log that was sorted by another time.

use std::borrow::Borrow;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::evaluate::Hit;
use super::request::{Request, RequestColumns, Stage};
use super::seen::Seen;
use super::tally::Quoted;
use crate::frame::EventFrame;
use crate::memory::remembers;

/// How many records back a duplicate is recognised, at least: as many as a hash table of 2^20 places takes.
pub const DUPLICATE_WINDOW: usize = (1 << 20) / 8 * 7;

/// How long a request may stay without its final stage, in log time: a day, as no watch lasts longer.
pub const LONGEST_WAIT_US: i64 = 24 * 3_600 * 1_000_000;

/// How many requests wait before those that wait too long are looked for.
const WAITING: usize = 1 << 16;

/// How many wait at most: of more, as in a log without final stages, the older ones go out unfinished. 5,000 nodes have about
/// 150,000 watches open at a time.
const WAITING_MOST: usize = 1 << 18;

/// A request on its way out, with the rules that hit its row.
pub struct Folded<'a> {
    /// The request.
    pub request: Request<'a>,
    /// The rules that hit it.
    pub hits: Hits<'a>,
}

impl Folded<'_> {
    /// Returns the texts of `requestObject` and `responseObject`; empty where there is none, or the row is
    /// gone. Nothing is parsed for it before somebody asks.
    pub fn bodies(&self) -> [&str; 2] {
        let Hits::Row(_, frame, row_idx) = &self.hits else {
            return [""; 2];
        };
        let (record, detail) = (frame.record(*row_idx), frame.detail(*row_idx));
        [detail.request_object, detail.response_object].map(|span| span.slice(record))
    }
}

/// Rules that hit a row.
pub enum Hits<'a> {
    /// With the row they hit.
    Row(&'a [Hit], &'a EventFrame, usize),
    /// With what met their conditions, as the row is gone.
    Kept(Vec<KeptHit>),
}

/// A hit of a row that is gone.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeptHit {
    /// Index of the rule.
    pub rule: u32,
    /// The lists of exclusions that held there, as in [`Hit`].
    pub held_by: u64,
    /// What met the conditions of the rule; empty where nobody will ask.
    pub why: Vec<String>,
    /// What its summary quotes.
    pub quotes: Vec<Vec<Quoted>>,
}

/// What a row is among those before it.
pub enum Turn<'a> {
    /// A record that was seen before.
    Duplicate,
    /// A stage that another may follow.
    Open,
    /// A stage of a request that has ended already.
    Late,
    /// The end of a request.
    End(Folded<'a>),
}

/// Requests that wait for their final stage, and records seen.
pub struct Fold {
    waiting: HashMap<u64, Box<Waiting>>,
    seen: Seen,
    latest: i64,
    sweep_at: usize,
    /// Requests that ended without a first stage before.
    ended: Ended,
}

remembers!(Fold: [waiting, latest, sweep_at, ended], parts [seen], anew []);

/// Requests whose earlier stages may come yet, by their keys, in two generations: the older goes when the younger is full.
///
/// In a log in order there are none, nor in one without first stages.
#[derive(Default, Serialize, Deserialize)]
struct Ended {
    has_first_stages: bool,
    young: HashSet<u64>,
    old: HashSet<u64>,
}

/// How many of them a generation has.
const ENDED: usize = (1 << 17) / 8 * 7;

/// How many are kept before it is known whether the log has first stages.
const ENDED_AT_FIRST: usize = 1 << 10;

impl Ended {
    fn add(&mut self, request: u64) {
        if !self.has_first_stages && self.young.len() >= ENDED_AT_FIRST {
            return;
        }
        if self.young.len() >= ENDED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(request);
    }

    fn has(&self, request: u64) -> bool {
        self.young.contains(&request) || self.old.contains(&request)
    }
}

/// A request without its final stage.
#[derive(Clone, Serialize, Deserialize)]
pub struct Waiting {
    request: Request<'static>,
    hits: Vec<KeptHit>,
}

impl Waiting {
    /// Returns the code of the file that its last stage is in.
    pub fn file(&self) -> u32 {
        self.request.file()
    }
}

/// The request as it is.
impl From<Waiting> for Folded<'static> {
    fn from(Waiting { request, hits }: Waiting) -> Self {
        let hits = Hits::Kept(hits);
        Self { request, hits }
    }
}

/// Rows of one chunk that wait for a later row of the same chunk.
#[derive(Default)]
pub struct Open(HashMap<u64, u32>);

impl Default for Fold {
    fn default() -> Self {
        Self::new(DUPLICATE_WINDOW)
    }
}

impl Fold {
    /// Starts with nothing; duplicates are known for at least `duplicate_window` records.
    pub fn new(duplicate_window: usize) -> Self {
        Self {
            waiting: HashMap::new(),
            seen: Seen::new(duplicate_window),
            latest: i64::MIN,
            sweep_at: WAITING,
            ended: Ended::default(),
        }
    }

    /// Takes in a row.
    pub fn row<'a>(
        &mut self,
        frame: &'a EventFrame,
        columns: &'a RequestColumns<'a>,
        hits: &'a [Hit],
        row_idx: usize,
        open: &mut Open,
    ) -> Turn<'a> {
        let (ts, detail) = (columns.ts(row_idx), frame.detail(row_idx));
        if !self.seen.insert(ts, detail.record_key) {
            return Turn::Duplicate;
        }
        self.latest = self.latest.max(ts);
        if columns.is_final(row_idx) {
            // Behind a first stage no other one comes late.
            let mut has_begun = false;
            if !open.0.is_empty()
                && let Some(row) = open.0.remove(&detail.request)
            {
                has_begun |= columns.is_first(row as usize);
            }
            if !self.waiting.is_empty()
                && let Some(waiting) = self.waiting.remove(&detail.request)
            {
                has_begun |= waiting.request.stage == Stage::Received;
            }
            if !has_begun {
                self.ended.add(detail.request);
            }
            return Turn::End(Folded {
                request: columns.request(row_idx),
                hits: Hits::Row(hits, frame, row_idx),
            });
        }
        self.ended.has_first_stages |= columns.is_first(row_idx);
        if self.ended.has(detail.request) {
            return Turn::Late;
        }
        open.0.insert(
            detail.request,
            u32::try_from(row_idx).expect("a chunk is under 4 GiB"),
        );
        Turn::Open
    }

    /// Keeps what is open at the end of a chunk; `hits_of` gives the rules that hit a row and its request, and why.
    pub fn keep(
        &mut self,
        columns: &RequestColumns<'_>,
        open: Open,
        mut hits_of: impl FnMut(usize, &Request<'_>) -> Vec<KeptHit>,
    ) {
        for (key, row) in open.0 {
            let request = columns.request(row as usize);
            if self
                .waiting
                .get(&key)
                .is_some_and(|known| known.request.stage > request.stage)
            {
                continue;
            }
            let waiting = Waiting {
                hits: hits_of(row as usize, &request),
                request: request.to_owned(),
            };
            self.waiting.insert(key, Box::new(waiting));
        }
    }

    /// Takes the requests that have waited too long, if there are many that wait.
    pub fn overdue(&mut self) -> Vec<Waiting> {
        if self.waiting.len() < self.sweep_at {
            return Vec::new();
        }
        self.sweep()
    }

    /// Returns the time of the latest request.
    pub fn latest(&self) -> i64 {
        self.latest
    }

    /// Takes the requests that have waited too long, and the older ones of too many, in order of time.
    pub fn sweep(&mut self) -> Vec<Waiting> {
        let mut before = self.latest.saturating_sub(LONGEST_WAIT_US);
        if self.waiting.len() >= WAITING_MOST {
            let times = self.waiting.values().map(|waiting| waiting.request.ts);
            let mut times: Vec<i64> = times.collect();
            let middle = times.len() / 2;
            let (_, &mut middle, _) = times.select_nth_unstable(middle);
            before = before.max(middle.saturating_add(1));
        }
        let overdue = self
            .waiting
            .extract_if(|_, waiting| waiting.request.ts < before);
        let overdue = in_order(overdue.map(|(_, waiting)| *waiting));
        self.sweep_at = (self.waiting.len() * 2).clamp(WAITING, WAITING_MOST);
        overdue
    }

    /// Takes the requests whose final stage is not in the log, in order of time.
    pub fn unfinished(&mut self) -> Vec<Waiting> {
        let waiting = std::mem::take(&mut self.waiting).into_values();
        in_order(waiting.map(|waiting| *waiting))
    }

    /// Returns the requests whose final stage has not come yet, in order of time; not those that have no answer at all and
    /// came at `in_flight_since` or later, in microseconds.
    pub fn unfinished_so_far(&self, in_flight_since: i64) -> Vec<&Waiting> {
        let is_in_flight = |waiting: &&Waiting| {
            let request = &waiting.request;
            request.ts >= in_flight_since && request.stage == Stage::Received
        };
        let waiting = self.waiting.values().map(|waiting| &**waiting);
        in_order(waiting.filter(|waiting| !is_in_flight(waiting)))
    }
}

fn in_order<W: Borrow<Waiting>>(waiting: impl Iterator<Item = W>) -> Vec<W> {
    let mut waiting: Vec<W> = waiting.collect();
    waiting.sort_by(|a, b| {
        let [a, b] = [a, b].map(|waiting| &waiting.borrow().request);
        let key = |request: &Request<'_>| (request.ts, request.place());
        key(a)
            .cmp(&key(b))
            .then_with(|| a.audit_id().cmp(b.audit_id()))
    });
    waiting
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Vocabulary;
    use crate::frame::reading::Reading;

    #[test]
    fn of_too_many_that_wait_the_older_half_goes_out() {
        let line = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"RequestReceived","requestURI":"/","verb":"get","user":{},"requestReceivedTimestamp":"2026-11-22T04:55:27.649211Z","stageTimestamp":"2026-11-22T04:55:27.649211Z"}"#;
        let frame = Reading::new(&Vocabulary::new()).chunk(&[line], true);
        let request = RequestColumns::new(&frame).request(0).to_owned();
        let mut fold = Fold::default();
        let wait = |fold: &mut Fold, times: std::ops::Range<i64>| {
            for ts in times {
                let mut request = request.clone();
                request.ts = ts;
                let hits = Vec::new();
                let waiting = Waiting { request, hits };
                fold.waiting.insert(ts.cast_unsigned(), Box::new(waiting));
                fold.latest = ts;
            }
            let overdue = fold.overdue();
            let times: Vec<i64> = overdue.iter().map(|waiting| waiting.request.ts).collect();
            times
        };
        let most = i64::try_from(WAITING_MOST).unwrap();
        assert!(wait(&mut fold, 0..most - 1).is_empty());
        let overdue = wait(&mut fold, most - 1..most);
        assert_eq!(overdue, (0..=most / 2).collect::<Vec<_>>());
        assert!(wait(&mut fold, most..most + 9).is_empty());
    }
}
