//! The whole of `kubescry scan` with all rules, from a plain file to findings, against bare
//! `serde_json` on the same bytes and threads; and the peak memory of the process.
//!
//! `cargo bench --bench scan`; `KUBESCRY_BENCH_MB=1000` for more data. The program is run as a process
//! of its own, so that time and memory are what a user sees.

#![expect(clippy::print_stdout, reason = "figures are what a benchmark prints")]
#![expect(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{LEVELS, bare, data, median_time, megabytes_per_second, target_bytes};

fn main() {
    println!("scan: all rules, median of 5; ratio to bare typed serde_json on the same threads");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("audit.log");
    let stats = folder.path().join("stats.json");
    for level in LEVELS {
        let data = data(level, target_bytes());
        std::fs::write(&path, &data).expect("room for the data");
        for threads in [1, 2] {
            let mut peak = 0;
            let ours = median_time(|| peak = scan(&path, threads, &stats).max(peak));
            let read = std::fs::read(&stats).expect("stats");
            let read: serde_json::Value = serde_json::from_slice(&read).expect("stats are JSON");
            let events = read["events"].as_f64().expect("a number");
            let yardstick = median_time(|| assert!(bare(&data, threads) > 0));
            println!(
                "{level:10} {:5.0} MB  threads {threads}  {:6.0} MB/s  {:8.0} events/s  bare {:5.0} MB/s  ratio {:.2}  peak {:4.0} MB",
                data.len() as f64 / 1e6,
                megabytes_per_second(data.len(), ours),
                events / ours.as_secs_f64(),
                megabytes_per_second(data.len(), yardstick),
                yardstick.as_secs_f64() / ours.as_secs_f64(),
                peak as f64 / 1e3,
            );
        }
    }
}

/// Runs the program; returns its peak resident memory in kB, as Linux tells it while it runs.
fn scan(path: &Path, threads: usize, stats: &Path) -> u64 {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubescry"))
        .arg("scan")
        .arg(path)
        .args([
            "--threads",
            &threads.to_string(),
            "--format",
            "jsonl",
            "--stats",
        ])
        .arg(stats)
        .stdout(Stdio::null())
        .spawn()
        .expect("the program runs");
    let proc_status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let text = std::fs::read_to_string(&proc_status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let value = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = peak.max(value.unwrap_or(0));
        if let Some(exit) = child.try_wait().expect("the program can be waited for") {
            assert!(exit.success(), "{exit}");
            return peak;
        }
        // The mark only rises; looking often would disturb what is measured.
        std::thread::sleep(Duration::from_millis(20));
    }
}
