//! Decoding into columns, without rules, against bare `serde_json` on the same bytes.
//!
//! `cargo bench --bench ingest`; `KUBESCRY_BENCH_MB=1000` for more data.

#![expect(clippy::print_stdout, reason = "figures are what a benchmark prints")]
#![expect(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

mod support;

use foldhash::quality::SeedableRandomState;
use kubescry::decode::record::records;
use kubescry::frame::coder::CodedEvent;
use kubescry::frame::{Coder, EventColumns, Origin, Vocabulary};
use kubescry::source::{Chunk, ReadOptions};
use support::{History, LEVELS, bare, data, in_turns, megabytes_per_second, target_bytes, timed};

fn main() {
    println!(
        "ingest: one thread, median of 5; ratio to bare typed serde_json of the same bytes, the last run's in brackets"
    );
    let mut history = History::open("ingest");
    for level in LEVELS {
        let data = data(level, target_bytes());
        let text = std::str::from_utf8(&data).expect("recorded logs are UTF-8");
        let (mut events, mut bare_events) = (0, 0);
        let [ours, yardstick] = in_turns([&mut || timed(|| events = decode(text)), &mut || {
            timed(|| bare_events = bare(&data, 1))
        }]);
        assert_eq!(events, bare_events, "both decode every event");
        println!(
            "{level}, {:.0} MB: {:.0} MB/s, {:.0} events/s; bare serde_json {:.0} MB/s",
            data.len() as f64 / 1e6,
            megabytes_per_second(data.len(), ours.median()),
            events as f64 / ours.median().as_secs_f64(),
            megabytes_per_second(data.len(), yardstick.median()),
        );
        history.keep(level, yardstick.to(&ours));
    }
    history.save();
}

/// Decodes on the fast path; returns the events.
fn decode(text: &str) -> usize {
    let mut events = 0;
    let mut coder = Some(Coder::new(&Vocabulary::new()));
    let hasher = SeedableRandomState::default();
    let mut recycled = None;
    let mut start = 0;
    while start < text.len() {
        let end = text.as_bytes()[start..]
            .get(..ReadOptions::default().chunk_bytes)
            .and_then(|part| memchr::memrchr(b'\n', part))
            .map_or(text.len(), |at| start + at + 1);
        let chunk = Chunk {
            line: 1,
            ..Chunk::default()
        };
        let last = coder.take().expect("given back");
        let mut columns = EventColumns::new(&hasher, last, "bench", recycled.take());
        let mut event = CodedEvent::default();
        for line in records(&chunk, &text[start..end]) {
            let place = line.place(line.text, Origin::default());
            columns.push_native(line.text, &place, &mut event);
        }
        let (frame, used) = columns.finish(String::new());
        coder = Some(used);
        events += frame.height();
        recycled = Some(frame);
        start = end;
    }
    events
}
