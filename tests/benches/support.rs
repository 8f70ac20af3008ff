//! What the benchmarks need: data, a yardstick, times and their ratios.

#![allow(dead_code, reason = "each of them needs a part")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use foldhash::quality::SeedableRandomState;
use kubescry::decode::record::records;
use kubescry::frame::coder::CodedEvent;
use kubescry::frame::{Coder, EventColumns, EventFrame, Origin, Vocabulary};
use kubescry::source::{Chunk, ReadOptions};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The recorded logs that are repeated, by audit level.
pub(crate) const LEVELS: [&str; 3] = ["metadata", "realistic", "full"];

/// Returns how large the data should be, in bytes; `KUBESCRY_BENCH_MB` says otherwise.
pub(crate) fn target_bytes() -> usize {
    let megabytes = std::env::var("KUBESCRY_BENCH_MB")
        .ok()
        .and_then(|text| text.parse().ok());
    megabytes.unwrap_or(200) << 20
}

/// Returns recorded logs of one level, each repetition a day later: in order, without duplicates.
pub(crate) fn data(level: &str, bytes: usize) -> Vec<u8> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut logs = Vec::new();
    for scenario in ["benign", "token-reuse", "shared-credentials"] {
        let path = match level {
            "metadata" => root.join(format!("sample-logs/v1.36/{scenario}.log.gz")),
            _ => root.join(format!("tests/logs/v1.36-{level}-{scenario}.log.zst")),
        };
        let file = std::fs::File::open(&path).expect("the log is there");
        let mut log = Vec::new();
        if level == "metadata" {
            let mut reader = flate2::read::MultiGzDecoder::new(file);
            std::io::Read::read_to_end(&mut reader, &mut log).expect("the log can be read");
        } else {
            zstd::stream::copy_decode(file, &mut log).expect("the log can be read");
        }
        logs.push(log);
    }
    let mut all = Vec::with_capacity(bytes + (64 << 20));
    let day = chrono::NaiveDate::from_ymd_opt(2026, 11, 22).expect("a day");
    for (copy, log) in (0..).zip(logs.iter().cycle()) {
        if all.len() >= bytes {
            break;
        }
        let date = (day + chrono::Days::new(copy))
            .format("%Y-%m-%dT")
            .to_string();
        let mut rest = &log[..];
        while let Some(at) = memchr::memmem::find(rest, b"2026-11-22T") {
            all.extend_from_slice(&rest[..at]);
            all.extend_from_slice(date.as_bytes());
            rest = &rest[at + date.len()..];
        }
        all.extend_from_slice(rest);
    }
    all
}

/// The yardstick: an event as `serde_json` decodes it with borrowed, typed fields, bodies skipped.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BareEvent<'a> {
    #[serde(borrow)]
    level: Cow<'a, str>,
    #[serde(borrow, rename = "auditID")]
    audit_id: Cow<'a, str>,
    #[serde(borrow)]
    stage: Cow<'a, str>,
    #[serde(borrow, rename = "requestURI")]
    request_uri: Cow<'a, str>,
    #[serde(borrow)]
    verb: Cow<'a, str>,
    #[serde(borrow)]
    user: BareUser<'a>,
    #[serde(borrow, rename = "sourceIPs", default)]
    source_ips: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    user_agent: Cow<'a, str>,
    #[serde(borrow)]
    object_ref: Option<BareObject<'a>>,
    #[serde(borrow)]
    response_status: Option<BareStatus<'a>>,
    request_object: Option<IgnoredAny>,
    response_object: Option<IgnoredAny>,
    #[serde(borrow)]
    request_received_timestamp: Cow<'a, str>,
    #[serde(borrow)]
    stage_timestamp: Cow<'a, str>,
    #[serde(borrow, default)]
    annotations: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

#[derive(Deserialize)]
struct BareUser<'a> {
    #[serde(borrow, default)]
    username: Cow<'a, str>,
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    #[serde(borrow, default)]
    groups: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    extra: BTreeMap<Cow<'a, str>, Vec<Cow<'a, str>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BareObject<'a> {
    #[serde(borrow, default)]
    resource: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    api_group: Cow<'a, str>,
    #[serde(borrow, default)]
    subresource: Cow<'a, str>,
}

#[derive(Deserialize)]
struct BareStatus<'a> {
    #[serde(default)]
    code: u16,
    #[serde(borrow, default)]
    reason: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

/// Decodes every line with `serde_json` on `threads` threads; returns the events.
pub(crate) fn bare(data: &[u8], threads: usize) -> usize {
    use rayon::prelude::*;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("threads");
    let text = std::str::from_utf8(data).expect("recorded logs are UTF-8");
    let decode = |line: &&str| serde_json::from_str::<BareEvent<'_>>(line).is_ok();
    pool.install(|| text.par_lines().filter(decode).count())
}

/// Decodes on the fast path, chunk by chunk, and hands each frame to `work`; returns the events. `text_of` says what a frame keeps
/// of its chunk.
pub(crate) fn decode(
    text: &str,
    text_of: fn(&str) -> String,
    mut work: impl FnMut(&EventFrame),
) -> usize {
    let mut events = 0;
    let mut coder = Some(Coder::new(&Vocabulary::new()));
    let hasher = SeedableRandomState::default();
    let mut recycled: Option<EventFrame> = None;
    let mut rest = text;
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(whole_lines(rest, ReadOptions::default().chunk_bytes));
        rest = tail;
        let chunk = Chunk {
            line: 1,
            ..Chunk::default()
        };
        let last = coder.take().expect("given back");
        let mut columns = EventColumns::new(&hasher, last, "bench", recycled.take());
        let mut event = CodedEvent::default();
        for line in records(&chunk, head) {
            let place = line.place(line.text, Origin::default());
            columns.push_native(line.text, &place, &mut event);
        }
        let (frame, used) = columns.finish(text_of(head));
        work(&frame);
        coder = Some(used);
        events += frame.height();
        recycled = Some(frame);
    }
    events
}

/// Returns the length of the whole lines in the first `bytes`, or of all if there are no more.
pub(crate) fn whole_lines(text: &str, bytes: usize) -> usize {
    let head = text.as_bytes().get(..bytes);
    head.and_then(|head| memchr::memrchr(b'\n', head))
        .map_or(text.len(), |at| at + 1)
}

/// How often a piece of work is timed.
const ROUNDS: usize = 5;

/// Runs `work` some times and returns the median time.
pub(crate) fn median_time(mut work: impl FnMut()) -> Duration {
    let times = (0..ROUNDS).map(|_| timed(&mut work)).collect();
    Times(times).median()
}

/// Returns how long `work` takes.
pub(crate) fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// How long the runs of a piece of work took, round by round.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn median(&self) -> Duration {
        let mut times = self.0.clone();
        times.sort_unstable();
        times[times.len() / 2]
    }

    /// Returns how many times as fast as these others were: the median of the rounds, for what else a machine has to do changes
    /// from second to second, and those of a round have most of it in common.
    pub(crate) fn to(&self, others: &Self) -> f64 {
        let pairs = self.0.iter().zip(&others.0);
        let mut ratios: Vec<f64> = pairs
            .map(|(one, other)| one.as_secs_f64() / other.as_secs_f64())
            .collect();
        ratios.sort_unstable_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    }
}

/// Does pieces of work in turns, some rounds; each returns how long it took.
pub(crate) fn in_turns<const N: usize>(mut works: [&mut dyn FnMut() -> Duration; N]) -> [Times; N] {
    let mut all = [(); N].map(|()| Times(Vec::new()));
    for _ in 0..ROUNDS {
        for (work, times) in works.iter_mut().zip(&mut all) {
            times.0.push(work());
        }
    }
    all
}

/// Returns megabytes (10^6 bytes) a second.
pub(crate) fn megabytes_per_second(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / 1e6 / time.as_secs_f64()
}

/// Ratios of this run and the last, by name.
pub(crate) struct History {
    path: PathBuf,
    last: BTreeMap<String, f64>,
    now: BTreeMap<String, f64>,
}

impl History {
    /// Reads what the last run of `bench` left in the target folder.
    pub(crate) fn open(bench: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{bench}.json"));
        let text = std::fs::read(&path).unwrap_or_default();
        Self {
            last: serde_json::from_slice(&text).unwrap_or_default(),
            now: BTreeMap::new(),
            path,
        }
    }

    /// Prints how many times as fast `ours` is as `theirs`.
    pub(crate) fn ratio(&mut self, name: &str, theirs: Duration, ours: Duration) {
        self.keep(name, theirs.as_secs_f64() / ours.as_secs_f64());
    }

    /// Prints a ratio, and keeps it.
    pub(crate) fn keep(&mut self, name: &str, ratio: f64) {
        let last = self.last.get(name);
        let last = last.map_or("new".to_owned(), |last| format!("{last:.2}"));
        println!("  {ratio:5.2} ({last:>5})  {name}");
        self.now.insert(name.to_owned(), ratio);
    }

    /// Keeps the ratios for the next run.
    pub(crate) fn save(self) {
        let text = serde_json::to_vec(&self.now).expect("numbers by name");
        std::fs::write(self.path, text).expect("the target folder can be written");
    }
}
