//! What a run of `alert` costs: with nothing new, and with a little new behind much that is known.
//!
//! `cargo bench --bench alert`; `KUBESCRY_BENCH_MB=1000` for more that is known.

#![expect(clippy::print_stdout, reason = "figures are what a benchmark prints")]
#![expect(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

mod support;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{History, data, median_time, target_bytes};

/// How many files are known.
const FILES: usize = 100;

/// Bytes that are new, about.
const NEW_BYTES: usize = 1 << 20;

/// A folder of logs that one run has read.
struct Known {
    folder: tempfile::TempDir,
    log: Vec<u8>,
    /// Bytes of the log that are written.
    at: usize,
}

impl Known {
    /// Writes `bytes` of a log to [`FILES`] files, and what follows to the last.
    fn new(bytes: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let logs = folder.path().join("logs");
        fs::create_dir(&logs).expect("a folder");
        let config =
            "[state]\ndir = \"state\"\n[[source]]\npath = \"logs\"\n[[sink]]\ntype = \"stdout\"\n";
        fs::write(folder.path().join("alert.toml"), config).expect("a file");
        let log = data("realistic", bytes + 16 * NEW_BYTES);
        let mut known = Self { folder, log, at: 0 };
        for file in 0..FILES {
            let name = if file + 1 < FILES {
                format!(
                    "audit-2026-11-22T05-{:02}-{:02}.000.log",
                    file / 60,
                    file % 60
                )
            } else {
                "audit.log".to_owned()
            };
            let text = known.next(bytes / FILES).to_vec();
            fs::write(logs.join(name), text).expect("a file");
        }
        known.run();
        known
    }

    /// Returns about so many bytes that follow, in whole lines.
    fn next(&mut self, bytes: usize) -> &[u8] {
        let rest = &self.log[self.at..];
        let end = memchr::memchr(b'\n', &rest[bytes..]).expect("there is more") + bytes + 1;
        self.at += end;
        &rest[..end]
    }

    fn grow(&mut self) {
        let text = self.next(NEW_BYTES).to_vec();
        let path = self.folder.path().join("logs/audit.log");
        let mut file = OpenOptions::new().append(true).open(path).expect("the log");
        file.write_all(&text).expect("room");
    }

    fn run(&self) {
        let status = Command::new(env!("CARGO_BIN_EXE_kubescry"))
            .args(["alert", "--config"])
            .arg(self.folder.path().join("alert.toml"))
            .stdout(Stdio::null())
            .status()
            .expect("the program runs");
        assert!(status.success(), "{status}");
    }

    /// Returns how long a run takes over what is new.
    fn new_run(&mut self) -> Duration {
        let mut times: Vec<Duration> = (0..5)
            .map(|_| {
                self.grow();
                let began = Instant::now();
                self.run();
                began.elapsed()
            })
            .collect();
        times.sort_unstable();
        times[2]
    }
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn main() {
    let mut history = History::open("alert");
    let bytes = target_bytes();
    let (mut small, mut large) = (Known::new(bytes / 10), Known::new(bytes));
    let mut scanned = Duration::ZERO;
    let nothing = median_time(|| large.run());
    let started = median_time(|| {
        let help = Command::new(env!("CARGO_BIN_EXE_kubescry"))
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        assert!(help.expect("the program runs").success());
    });
    let (few, many) = (small.new_run(), large.new_run());
    scanned += median_time(|| {
        let scan = Command::new(env!("CARGO_BIN_EXE_kubescry"))
            .args(["scan", "--quiet", "--format", "jsonl"])
            .arg(large.folder.path().join("logs"))
            .stdout(Stdio::null())
            .status();
        assert!(scan.expect("the program runs").success());
    });
    let state = size(&large.folder.path().join("state/state.sqlite"));
    println!(
        "alert, {FILES} known files of {} MB in all, state of {} KiB:",
        bytes / 1_000_000,
        state / 1024
    );
    println!(
        "  nothing new {nothing:.1?} (`--version` {started:.1?}); 1 MB new {many:.1?}, of a tenth of the log {few:.1?}; a scan {scanned:.1?}"
    );
    history.ratio("nothing new, to a scan of all", scanned, nothing);
    history.ratio("1 MB new, to a scan of all", scanned, many);
    history.ratio("1 MB new behind ten times as much, to 1 MB new", few, many);
    history.save();
}
