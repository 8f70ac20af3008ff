//! The whole of `kubescry scan` with all rules, from a file to findings, beside others in the same run:
//! bare `serde_json` on the same threads, `DuckDB` where Python has it, the same scan on one thread or
//! without detection rules, a pure decompressor.
//!
//! `cargo bench --bench scan`; `KUBESCRY_BENCH_MB=1000` for more data. Ratios are printed with those of the
//! last run, which are kept in the target folder. The program is run as a process of its own, so that time
//! and memory are what a user sees.

#![expect(clippy::print_stdout, reason = "figures are what a benchmark prints")]
#![expect(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

mod support;

use std::cell::Cell;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kubescry::detect::CompiledRules;
use kubescry::pipeline::Options;
use kubescry::rules::{RuleBody, RuleSet};
use support::{
    History, LEVELS, Times, bare, data, in_turns, megabytes_per_second, target_bytes, timed,
};

fn main() {
    println!(
        "scan: all rules, median of 5 rounds; higher ratios are better, the last run's in brackets"
    );
    let mut history = History::open("scan");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("audit.log");
    let peak = Cell::new(0);
    for level in LEVELS {
        let data = data(level, target_bytes());
        std::fs::write(&path, &data).expect("room for the data");
        let size = data.len();
        let speed = |times: &Times| megabytes_per_second(size, times.median());
        let scanned = |threads| timed(|| scan(&path, threads, &peak));
        let decoded = |threads| timed(|| assert!(bare(&data, threads) > 0));
        let asked = |threads| duckdb(&path, threads).unwrap_or_default();
        let [one, bare_one, duckdb_one, two, bare_two, duckdb_two] = in_turns([
            &mut || scanned(1),
            &mut || decoded(1),
            &mut || asked(1),
            &mut || scanned(2),
            &mut || decoded(2),
            &mut || asked(2),
        ]);
        for (threads, ours, bare, duckdb) in [
            (1, &one, &bare_one, &duckdb_one),
            (2, &two, &bare_two, &duckdb_two),
        ] {
            println!(
                "{level}, {:.0} MB, {threads} threads: {:.0} MB/s; bare serde_json {:.0} MB/s",
                size as f64 / 1e6,
                speed(ours),
                speed(bare)
            );
            history.keep(
                &format!("{level}, {threads} threads, to bare serde_json"),
                bare.to(ours),
            );
            if !duckdb.median().is_zero() {
                println!("  DuckDB, one question: {:.0} MB/s", speed(duckdb));
                history.keep(
                    &format!("{level}, {threads} threads, to DuckDB"),
                    duckdb.to(ours),
                );
            }
        }
        history.keep(&format!("{level}, 2 threads to 1"), one.to(&two));
        // It shares nothing between threads: what it gains is what the machine gives.
        println!(
            "  bare serde_json, 2 threads to 1: {:.2}",
            bare_one.to(&bare_two)
        );
        history.keep(
            &format!("{level}, all rules to no detection rules"),
            rules(&path),
        );
        if level == "metadata" {
            compressed(folder.path(), &data, &mut history, &peak);
        }
    }
    println!("peak memory of all runs: {:.0} MB", peak.get() as f64 / 1e3);
    history.save();
}

/// One large .gz, and the same in four.
fn compressed(folder: &Path, data: &[u8], history: &mut History, peak: &Cell<u64>) {
    let gzip = |path: &Path, data: &[u8]| {
        let file = std::fs::File::create(path).expect("room for the data");
        let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::new(4));
        encoder.write_all(data).expect("room for the data");
        encoder.finish().expect("room for the data");
    };
    let one = folder.join("one.log.gz");
    gzip(&one, data);
    let set = folder.join("set");
    std::fs::create_dir(&set).expect("a new folder");
    let mut rest = data;
    for number in 1..=4 {
        let end = memchr::memchr(b'\n', &rest[(data.len() / 4 - 1).min(rest.len() - 1)..]);
        let end = end.map_or(rest.len(), |at| (data.len() / 4 + at).min(rest.len()));
        let (part, behind) = rest.split_at(end);
        gzip(
            &set.join(format!("audit-2026-11-2{number}T00-00-00.000.log.gz")),
            part,
        );
        rest = behind;
    }
    let decompress = || {
        let file = std::fs::File::open(&one).expect("just written");
        let mut decoder = flate2::read::MultiGzDecoder::new(file);
        let size = std::io::copy(&mut decoder, &mut std::io::sink()).expect("whole");
        assert_eq!(size, data.len() as u64);
    };
    let [pure, ours_one, ours_four] = in_turns([
        &mut || timed(decompress),
        &mut || timed(|| scan(&one, 2, peak)),
        &mut || timed(|| scan(&set, 2, peak)),
    ]);
    for (what, ours) in [("one", ours_one), ("four", ours_four)] {
        let name = format!("{what} .gz, 2 threads, to the pure decompressor");
        history.keep(&name, pure.to(&ours));
    }
}

/// Returns how fast all rules are to the analytics alone, on one thread in this process.
fn rules(path: &Path) -> f64 {
    let all = RuleSet::embedded().expect("the embedded rules are good");
    let mut none = RuleSet::embedded().expect("the embedded rules are good");
    none.rules
        .retain(|rule| matches!(rule.body, RuleBody::Analytic(_)));
    let [all, none] = [all, none].map(|rules| {
        let compiled = CompiledRules::compile(&rules).expect("the embedded rules compile");
        (rules, compiled)
    });
    let options = Options {
        paths: vec![path.to_owned()],
        evidence_limit: 20,
        ..Options::default()
    };
    let time = |(rules, compiled): &(RuleSet, CompiledRules)| {
        timed(|| {
            let scan = kubescry::pipeline::scan(&options, rules, compiled).expect("the scan runs");
            assert!(scan.summary.totals.events > 0);
        })
    };
    let [with, without] = in_turns([&mut || time(&all), &mut || time(&none)]);
    without.to(&with)
}

/// Times `DuckDB` at counting anonymous requests once, if Python has it; the import is not counted.
fn duckdb(path: &Path, threads: usize) -> Option<Duration> {
    const PROGRAM: &str = "
import sys, time, duckdb
con = duckdb.connect()
con.execute(f'SET threads = {sys.argv[2]}')
text = 'VARCHAR'
columns = {
    'level': text, 'auditID': text, 'stage': text, 'requestURI': text, 'verb': text,
    'user': 'STRUCT(username VARCHAR, uid VARCHAR, \"groups\" VARCHAR[])',
    'sourceIPs': 'VARCHAR[]', 'userAgent': text,
    'objectRef': 'STRUCT(resource VARCHAR, namespace VARCHAR, name VARCHAR)',
    'responseStatus': 'STRUCT(code INTEGER)',
    'requestReceivedTimestamp': text, 'stageTimestamp': text,
}
start = time.perf_counter()
con.execute(
    'SELECT count(*) FROM read_json(?, format = ?, columns = ?, maximum_object_size = 67108864)'
    \" WHERE user.username = 'system:anonymous'\",
    [sys.argv[1], 'newline_delimited', columns]).fetchall()
print(time.perf_counter() - start)
";
    let output = Command::new("python3")
        .args(["-c", PROGRAM])
        .arg(path)
        .arg(threads.to_string())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let seconds = std::str::from_utf8(&output.stdout).ok()?.trim().parse();
    seconds.ok().map(Duration::from_secs_f64)
}

/// Runs the program; raises `peak` to its peak resident memory in kB, as Linux tells it while it runs.
fn scan(path: &Path, threads: usize, peak: &Cell<u64>) {
    let mut child = Command::new(PathBuf::from(env!("CARGO_BIN_EXE_kubescry")))
        .arg("scan")
        .arg(path)
        .args(["--threads", &threads.to_string(), "--format", "jsonl"])
        .stdout(Stdio::null())
        .spawn()
        .expect("the program runs");
    let proc_status = format!("/proc/{}/status", child.id());
    loop {
        let text = std::fs::read_to_string(&proc_status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let value = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak.set(peak.get().max(value.unwrap_or(0)));
        if let Some(exit) = child.try_wait().expect("the program can be waited for") {
            assert!(exit.success(), "{exit}");
            return;
        }
        // The mark only rises; looking often would disturb what is measured.
        std::thread::sleep(Duration::from_millis(5));
    }
}
