//! Decoding into columns, without rules, against bare `serde_json` on the same bytes.
//!
//! `cargo bench --bench ingest`; `KUBESCRY_BENCH_MB=1000` for more data.

#![expect(clippy::print_stdout, reason = "figures are what a benchmark prints")]
#![expect(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

mod support;

use support::{
    History, LEVELS, bare, data, decode, in_turns, megabytes_per_second, target_bytes, timed,
};

fn main() {
    println!(
        "ingest: one thread, median of 5; ratio to bare typed serde_json of the same bytes, the last run's in brackets"
    );
    let mut history = History::open("ingest");
    for level in LEVELS {
        let data = data(level, target_bytes());
        let text = std::str::from_utf8(&data).expect("recorded logs are UTF-8");
        let (mut events, mut bare_events) = (0, 0);
        let [ours, yardstick] = in_turns([
            &mut || timed(|| events = decode(text, |_| String::new(), |_| {})),
            &mut || timed(|| bare_events = bare(&data, 1)),
        ]);
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
