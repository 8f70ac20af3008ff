//! A store of many events: recorded logs again and again, each time later and of other users and objects.

use std::time::{Duration, Instant};

use aho_corasick::AhoCorasick;
use chrono::NaiveDate;
use foldhash::quality::SeedableRandomState;
use kubescry::decode::record::records;
use kubescry::detect::request::Stage;
use kubescry::frame::coder::CodedEvent;
use kubescry::frame::{Coder, Column, EventColumns, EventFrame, Origin, Vocabulary};
use kubescry::source::Chunk;
use kubescry::store::{Fate, Gist, Limits, Store};

/// Bytes of a chunk, as the browser reads them.
const CHUNK_BYTES: usize = 4 << 20;

/// What is replaced in each copy: times, identities of requests, some names of users, nodes and objects.
const VARIED: [&str; 9] = [
    "2026-11-22T",
    "\"auditID\":\"",
    "node-1",
    "app-config",
    "app-operator",
    "svc-dev-1",
    "svc-bob",
    "svc-alice",
    "shortlived2",
];

/// A filled store, and how long it took.
pub(crate) struct Filled {
    pub(crate) store: Store,
    /// All of it: text, decoding, gists, the store.
    pub(crate) all: Duration,
    /// The store alone.
    pub(crate) pushing: Duration,
}

/// Returns a store of `n_events` events, in the order of their requests' logs.
pub(crate) fn fill(n_events: usize, limits: Limits) -> Filled {
    let start = Instant::now();
    // In the order of their times.
    let logs = ["shared-credentials", "token-reuse", "benign"].map(recorded);
    let logs = logs.concat();
    let varied = AhoCorasick::new(VARIED).expect("few short texts");
    let places: Vec<(usize, usize)> = varied
        .find_iter(&logs)
        .map(|found| (found.pattern().as_usize(), found.start()))
        .collect();
    let store = Store::new(&Vocabulary::new(), limits);
    let hasher = SeedableRandomState::default();
    let mut writer = Writer {
        coder: Some(Coder::new(store.vocabulary())),
        recycled: None,
        line: 1,
        offset: 0,
        left: n_events,
        pushing: Duration::ZERO,
    };
    let mut text = String::new();
    for copy in 0.. {
        vary(&logs, &places, copy, &mut text);
        let mut rest = &text[..];
        while !rest.is_empty() {
            let end = rest.as_bytes().get(..CHUNK_BYTES);
            let end = end.and_then(|part| memchr::memrchr(b'\n', part));
            let (chunk, behind) = rest.split_at(end.map_or(rest.len(), |at| at + 1));
            writer.chunk(chunk, &hasher, &store);
            rest = behind;
            if writer.left == 0 {
                return Filled {
                    store,
                    all: start.elapsed(),
                    pushing: writer.pushing,
                };
            }
        }
    }
    unreachable!("copies have no end");
}

fn recorded(scenario: &str) -> String {
    let root = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = root.join(format!("sample-logs/v1.36/{scenario}.log.gz"));
    let file = std::fs::File::open(&path).expect("the log is there");
    let mut log = String::new();
    let mut reader = flate2::read::MultiGzDecoder::new(file);
    std::io::Read::read_to_string(&mut reader, &mut log).expect("the log can be read");
    log
}

/// Writes copy number `copy` of `logs`: two hours after the last one.
fn vary(logs: &str, places: &[(usize, usize)], copy: u32, text: &mut String) {
    use std::fmt::Write as _;
    text.clear();
    let first = NaiveDate::from_ymd_opt(2026, 11, 22).expect("a day");
    let day = first + chrono::Days::new(u64::from(copy / 12));
    let day = day.format("%Y-%m-%dT").to_string();
    let mut from = 0;
    for &(pattern, at) in places {
        let end = at + VARIED[pattern].len();
        text.push_str(&logs[from..at]);
        let written = match pattern {
            0 => {
                let hour: u32 = logs[end..end + 2].parse().expect("an hour");
                from = end + 2;
                write!(text, "{day}{:02}", (hour - 4) + copy % 12 * 2)
            }
            1 => {
                let id = u32::from_str_radix(&logs[end..end + 8], 16).unwrap_or_default();
                from = end + 8;
                let id = id ^ copy.wrapping_mul(0x9e37_79b1);
                write!(text, "{}{id:08x}", VARIED[1])
            }
            _ => {
                from = end;
                write!(text, "{}-{}", VARIED[pattern], copy % 500)
            }
        };
        written.expect("a text takes everything");
    }
    text.push_str(&logs[from..]);
}

struct Writer {
    coder: Option<Coder>,
    recycled: Option<EventFrame>,
    line: u64,
    offset: u64,
    /// Events that are still wanted.
    left: usize,
    pushing: Duration,
}

impl Writer {
    fn chunk(&mut self, text: &str, hasher: &SeedableRandomState, store: &Store) {
        let chunk = Chunk {
            line: self.line,
            offset: self.offset,
            ..Chunk::default()
        };
        let coder = self.coder.take().expect("given back");
        let mut columns = EventColumns::new(hasher, coder, "audit.log", self.recycled.take());
        let mut event = CodedEvent::default();
        for line in records(&chunk, text) {
            let place = line.place(line.text, Origin::default());
            if self.left > 0 && columns.push_native(line.text, &place, &mut event) {
                self.left -= 1;
            }
            self.line += 1;
        }
        self.offset += text.len() as u64;
        let (frame, used) = columns.finish(text.to_owned());
        self.coder = Some(used);
        let gists = Gist::of_frame(&frame);
        let fate = |row_idx| match Stage::of(frame.code(Column::Stage, row_idx)) {
            Stage::Complete | Stage::Panic => Fate::Final,
            _ => Fate::Open,
        };
        let fates: Vec<Fate> = (0..frame.height()).map(fate).collect();
        let start = Instant::now();
        store.push(&frame, gists, &fates);
        self.pushing += start.elapsed();
        self.recycled = Some(frame);
    }
}
