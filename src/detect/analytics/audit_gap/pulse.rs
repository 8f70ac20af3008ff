//! The pulse of an API server: what its events show over time, in little room.

use serde::{Deserialize, Serialize};

use super::MINUTE_US;
use super::class::{CLASSES, Class, Course};
use crate::detect::request::Sighting;
use crate::frame::NULL;
use crate::frame::vocabulary::known;

/// What the events of one API server show over time.
///
/// Memory: at most [`BUCKETS`] buckets and [`SILENCES`] silences.
#[derive(Clone, Serialize, Deserialize)]
pub struct Pulse {
    pub(super) buckets: Vec<Bucket>,
    /// Length of a bucket.
    pub(super) width_us: i64,
    first: i64,
    pub(super) last: i64,
    file: u32,
    pub(super) events: u64,
    /// Pauses between events, by the logarithm of their length.
    #[serde(with = "crate::memory::array")]
    pauses: [u64; 64],
    pub(super) silences: Vec<Silence>,
    /// Uids of the server's own client; one per process.
    uids: Vec<u32>,
    /// Events far behind the one before them: a stray date, or a log out of order.
    pub(super) backward: u64,
    /// Date of the last event if it is one of those: the next tells which of the two was wrong.
    stray: Option<i64>,
    /// By [`Class`].
    pub(super) classes: [Course; CLASSES.len()],
}

/// Events of a stretch of time.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Bucket {
    pub(super) start: i64,
    pub(super) total: u64,
    /// By [`KINDS`].
    pub(super) by_kind: [u64; KINDS.len()],
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Silence {
    pub(super) from: i64,
    pub(super) to: i64,
    /// Whether it lies between two files.
    pub(super) is_seam: bool,
    /// Requests that were received within and ended after.
    pub(super) served: u64,
    /// Whether the server's own client had a uid after that it had not before.
    pub(super) restarted: Option<bool>,
    /// Events before it.
    pub(super) before: u64,
    pub(super) sighting: Sighting,
}

/// What may vanish from a log.
pub(super) const KINDS: [(u32, &str); 6] = [
    (known::REQUEST_RECEIVED, "stage RequestReceived"),
    (known::RESPONSE_STARTED, "stage ResponseStarted"),
    (known::RESPONSE_COMPLETE, "stage ResponseComplete"),
    (known::METADATA, "level Metadata"),
    (known::REQUEST, "level Request"),
    (known::REQUEST_RESPONSE, "level RequestResponse"),
];

/// How many buckets one server has; with more they grow twice as long: 11 days of minutes.
pub(super) const BUCKETS: usize = 16_384;

/// How many silences of one server are kept, the longest.
pub(super) const SILENCES: usize = 16;

/// How many processes of one server are told apart.
const PROCESSES: usize = 64;

/// What is shorter is disorder, no step back in time, and no part of a silence.
const SLACK_US: i64 = MINUTE_US;

/// How many long pauses say nothing of the usual ones.
const FEW: u64 = 3;

impl Default for Pulse {
    fn default() -> Self {
        Self {
            buckets: Vec::new(),
            width_us: MINUTE_US,
            first: 0,
            last: 0,
            file: NULL,
            events: 0,
            pauses: [0; 64],
            silences: Vec::new(),
            uids: Vec::new(),
            backward: 0,
            stray: None,
            classes: <[Course; CLASSES.len()]>::default(),
        }
    }
}

/// One event, as far as a pulse looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Beat {
    /// Stage time.
    pub ts: i64,
    /// When its request was received.
    pub received: i64,
    /// Code of its stage.
    pub stage: u32,
    /// Code of its level.
    pub level: u32,
    /// Code of its file.
    pub file: u32,
    /// Code of its user.
    pub user: u32,
    /// What it is for, if that is a class of its own.
    pub class: Option<Class>,
}

impl Pulse {
    /// Takes in one event in the order of the log; `sighting` is asked for the first after a silence of
    /// `gap_us` or longer.
    pub fn note(&mut self, beat: &Beat, gap_us: i64, sighting: impl FnOnce() -> Sighting) {
        let ts = beat.ts;
        if let Some(stray) = self.stray.take()
            && ts < self.last - SLACK_US
        {
            self.step_back(stray);
        }
        if self.events == 0 {
            self.first = ts;
        } else {
            let pause = ts - self.last;
            if pause < -SLACK_US {
                self.backward += 1;
                self.events += 1;
                self.stray = Some(ts);
                return;
            }
            if pause > 0 {
                self.pauses[pause.ilog2() as usize] += 1;
                if pause >= gap_us {
                    self.silence(beat, sighting());
                }
            }
        }
        if let Some(silence) = self.silences.last_mut()
            && beat.received > silence.from + SLACK_US
            && beat.received < silence.to - SLACK_US
        {
            silence.served += 1;
        }
        self.events += 1;
        self.last = self.last.max(ts);
        self.file = beat.file;
        let bucket = self.bucket(ts);
        bucket.total += 1;
        for ((code, _), count) in KINDS.iter().zip(&mut bucket.by_kind) {
            *count += u64::from(*code == beat.stage || *code == beat.level);
        }
        // A request counts once.
        if let Some(class) = beat.class
            && beat.stage == known::RESPONSE_COMPLETE
        {
            self.classes[class as usize].note(ts, beat.user, self.events);
        }
    }

    /// Takes in a uid of the server's own client.
    pub fn note_process(&mut self, uid: u32) {
        let is_new = !self.uids.contains(&uid);
        if let Some(silence) = self.silences.last_mut()
            && silence.restarted.is_none()
            && !self.uids.is_empty()
        {
            silence.restarted = Some(is_new);
        }
        if is_new && self.uids.len() < PROCESSES {
            self.uids.push(uid);
        }
    }

    /// What came with a date to come was no silence.
    fn step_back(&mut self, ts: i64) {
        self.silences.retain(|silence| silence.to <= ts);
        self.buckets.retain(|bucket| bucket.start <= ts);
        for course in &mut self.classes {
            course.last = course.last.min(ts);
        }
        self.last = ts;
    }

    fn silence(&mut self, beat: &Beat, sighting: Sighting) {
        self.silences.push(Silence {
            from: self.last,
            to: beat.ts,
            is_seam: beat.file != self.file,
            served: 0,
            restarted: None,
            before: self.events,
            sighting,
        });
        if self.silences.len() > SILENCES {
            let shortest = (0..self.silences.len() - 1)
                .min_by_key(|&at| self.silences[at].to - self.silences[at].from);
            self.silences.remove(shortest.expect("there are some"));
        }
    }

    fn bucket(&mut self, ts: i64) -> &mut Bucket {
        let is_new = self
            .buckets
            .last()
            .is_none_or(|last| ts - last.start >= self.width_us);
        if is_new {
            if self.buckets.len() >= BUCKETS {
                self.coarsen();
            }
            let start = ts.div_euclid(self.width_us) * self.width_us;
            // After coarsening the last one may be long enough.
            if self.buckets.last().is_none_or(|last| last.start != start) {
                self.buckets.push(Bucket {
                    start,
                    ..Bucket::default()
                });
            }
        }
        self.buckets.last_mut().expect("there is one now")
    }

    fn coarsen(&mut self) {
        self.width_us *= 2;
        let mut merged: Vec<Bucket> = Vec::with_capacity(self.buckets.len() / 2 + 1);
        for bucket in self.buckets.drain(..) {
            let start = bucket.start.div_euclid(self.width_us) * self.width_us;
            match merged.last_mut().filter(|last| last.start == start) {
                Some(last) => {
                    last.total += bucket.total;
                    for (sum, count) in last.by_kind.iter_mut().zip(bucket.by_kind) {
                        *sum += count;
                    }
                }
                None => merged.push(Bucket { start, ..bucket }),
            }
        }
        self.buckets = merged;
    }

    /// Returns a pause that all but one in a thousand stay below, or all but a few of a short log.
    pub(super) fn usual_pause(&self) -> i64 {
        let spare = (self.pauses.iter().sum::<u64>() / 1000).max(FEW);
        let mut above = 0;
        for (log, count) in self.pauses.iter().enumerate().rev() {
            above += count;
            if above > spare {
                return 1_i64
                    .checked_shl(u32::try_from(log).unwrap_or(63) + 1)
                    .unwrap_or(i64::MAX);
            }
        }
        0
    }

    /// Returns whether most of the time between two moments has events.
    pub(super) fn goes_on(&self, from: i64, to: i64) -> bool {
        let first = self
            .buckets
            .partition_point(|bucket| bucket.start + self.width_us <= from);
        let inside = self.buckets[first..]
            .iter()
            .take_while(|bucket| bucket.start < to)
            .count();
        let width = (to - from) / self.width_us;
        inside as u64 * 2 >= width.unsigned_abs() && inside > 0
    }

    pub(super) fn events_between(&self, from: i64, to: i64) -> u64 {
        let inside = self
            .buckets
            .iter()
            .filter(|bucket| (from..to).contains(&bucket.start));
        inside.map(|bucket| bucket.total).sum()
    }
}
