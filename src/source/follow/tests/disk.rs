//! The real disk.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Follower, check, record, records};
use crate::source::follow::simulated::gzip;
use crate::source::follow::{Disk, Files as _, Kind, Links, SkipReason, expand};

fn append(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(bytes).unwrap();
}

fn run(follower: &mut Follower) -> Vec<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now_us = i64::try_from(now.as_micros()).unwrap();
    let (report, cursors) = follower.try_run(&Disk, now_us);
    assert!(
        report.gaps.is_empty() && report.errors.is_empty(),
        "{report:?}"
    );
    follower.set_cursors(&cursors);
    report.lines
}

#[test]
fn a_log_is_followed_over_rotation_and_compression() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut follower = Follower::new(path("audit.log").to_str().unwrap());
    append(&path("audit.log"), records(0, 10).as_bytes());
    check(&run(&mut follower), 0, 10);
    append(&path("audit.log"), records(10, 20).as_bytes());
    fs::rename(path("audit.log"), path("audit-2026-11-22T05-10-25.684.log")).unwrap();
    append(&path("audit.log"), records(20, 30).as_bytes());
    check(&run(&mut follower), 10, 30);
    append(&path("audit.log"), records(30, 40).as_bytes());
    fs::write(
        path("audit-2026-11-23T05-10-25.684.log.gz"),
        gzip(records(20, 40).as_bytes()),
    )
    .unwrap();
    fs::remove_file(path("audit.log")).unwrap();
    append(&path("audit.log"), records(40, 50).as_bytes());
    check(&run(&mut follower), 30, 50);
    assert!(run(&mut follower).is_empty());
}

#[test]
fn zstd_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut follower = Follower::new(folder.path().to_str().unwrap());
    append(&path("audit.log"), records(0, 10).as_bytes());
    check(&run(&mut follower), 0, 10);
    let packed = zstd::encode_all(records(0, 15).as_bytes(), 1).unwrap();
    fs::write(path("audit.log.1.zst"), packed).unwrap();
    fs::remove_file(path("audit.log")).unwrap();
    append(&path("audit.log"), records(15, 16).as_bytes());
    check(&run(&mut follower), 10, 16);
}

#[test]
#[cfg(unix)]
fn special_files_do_not_stop_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let status = std::process::Command::new("mkfifo")
        .arg(path("pipe.log"))
        .status();
    assert!(status.unwrap().success());
    std::os::unix::net::UnixListener::bind(path("socket.log")).unwrap();
    for (name, target) in [
        ("zero.log", "/dev/zero"),
        ("loop.log", "loop.log"),
        ("self", "."),
    ] {
        std::os::unix::fs::symlink(target, path(name)).unwrap();
    }
    fs::create_dir(path("folder.log")).unwrap();
    let follower = Follower::new(folder.path().to_str().unwrap());
    let expansion = expand(&Disk, &follower.sources);
    assert!(
        expansion.files.is_empty() && expansion.errors.is_empty(),
        "{expansion:?}"
    );
    let reasons: Vec<_> = expansion
        .skipped
        .iter()
        .map(|skipped| skipped.reason)
        .collect();
    let expected = [
        SkipReason::DeadLink,
        SkipReason::Special("a pipe"),
        SkipReason::KnownFolder,
        SkipReason::Special("a socket"),
        SkipReason::Special("a device"),
    ];
    assert_eq!(reasons, expected);
    let pipe = Disk.open(&path("pipe.log"), Links::Refuse).unwrap();
    assert_eq!(Disk.stat_open(&pipe).unwrap().kind, Kind::Other("a pipe"));
    assert!(Disk.open(&path("zero.log"), Links::Refuse).is_err());
}

#[test]
fn a_writer_that_rotates_meanwhile_loses_nothing() {
    const N_RECORDS: usize = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut follower = Follower::new(folder.path().to_str().unwrap());
    let done = AtomicBool::new(false);
    let mut lines = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..N_RECORDS {
                append(&path("audit.log"), (record(n) + "\n").as_bytes());
                if n % 20 == 19 {
                    let backup = path(&format!(
                        "audit-2026-11-22T05-{:02}-{:02}.{:03}.log",
                        n / 60_000,
                        n / 1000 % 60,
                        n % 1000
                    ));
                    fs::rename(path("audit.log"), &backup).unwrap();
                    if n % 60 == 59 {
                        let packed = backup.with_extension("log.gz");
                        fs::write(packed, gzip(&fs::read(&backup).unwrap())).unwrap();
                        fs::remove_file(backup).unwrap();
                    }
                }
            }
            done.store(true, Ordering::Release);
        });
        loop {
            let is_last = done.load(Ordering::Acquire);
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let now_us = i64::try_from(now.as_micros()).unwrap();
            let (report, cursors) = follower.try_run(&Disk, now_us);
            follower.set_cursors(&cursors);
            lines.extend(report.lines);
            if is_last {
                break;
            }
        }
    });
    lines.sort();
    check(&lines, 0, N_RECORDS);
}
