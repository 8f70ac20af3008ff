//! Each call fails once; then a clean run brings what an undisturbed one would have.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use super::{Follower, counts, records};
use crate::source::follow::simulated::SimulatedDisk;

const LOG: &str = "/l/audit.log";

/// Something of everything is due: growth, a half line, rotation, compression done and half done,
/// copytruncate, a file that vanished unread, an unknown file, a pattern and a named file.
fn prepare() -> (SimulatedDisk, Follower) {
    let disk = SimulatedDisk::new();
    for folder in ["/l", "/m", "/m/a", "/n"] {
        disk.folder(folder);
    }
    let mut follower = Follower::new("/l");
    follower.sources.push(super::source("/m/*/*.log"));
    follower.sources.push(super::source("/n/audit.log"));
    disk.append(LOG, records(0, 30).as_bytes());
    disk.append("/m/a/x.log", records(1000, 1010).as_bytes());
    disk.append("/m/a/gone.log", records(1500, 1510).as_bytes());
    disk.append("/n/audit.log", records(2000, 2010).as_bytes());
    disk.append("/l/steady.log", records(3000, 3010).as_bytes());
    disk.wait(60_000_000);
    follower.run(&disk);

    disk.append(LOG, records(30, 40).as_bytes());
    disk.rename(LOG, "/l/audit-2026-11-20T05-10-25.684.log");
    disk.compress(
        "/l/audit-2026-11-20T05-10-25.684.log",
        "/l/audit-2026-11-20T05-10-25.684.log.gz",
        1.0,
    );
    disk.remove("/l/audit-2026-11-20T05-10-25.684.log");
    disk.append(
        "/l/audit-2026-11-21T05-10-25.684.log",
        records(40, 90).as_bytes(),
    );
    disk.compress(
        "/l/audit-2026-11-21T05-10-25.684.log",
        "/l/audit-2026-11-21T05-10-25.684.log.gz",
        0.5,
    );
    disk.append(LOG, &records(90, 95).as_bytes()[..1100]);
    disk.append("/m/a/x.log", records(1010, 1020).as_bytes());
    disk.copy("/m/a/x.log", "/m/a/x.log.1");
    disk.truncate("/m/a/x.log", 0);
    disk.append("/m/a/x.log", records(1020, 1050).as_bytes());
    disk.remove("/m/a/gone.log");
    disk.append("/n/audit.log", records(2010, 2020).as_bytes());
    disk.rename("/n/audit.log", "/n/audit.log.1");
    disk.append("/n/audit.log", records(2020, 2030).as_bytes());
    (disk, follower)
}

/// Returns the lines, and the names in gaps, of a run with a fault and two without.
fn outcome(fault: Option<(u64, ErrorKind)>, keep: bool) -> (Vec<String>, BTreeSet<String>, u64) {
    let (disk, mut follower) = prepare();
    disk.reset_calls();
    if let Some((n, kind)) = fault {
        disk.fail_at(n, kind);
    }
    let (mut lines, mut gaps) = (Vec::new(), Vec::new());
    let mut n_calls = 0;
    for n_run in 0..3 {
        let (report, cursors) = follower.try_run(&disk, disk.now_us());
        if n_run == 0 {
            n_calls = disk.calls().total();
            disk.no_faults();
        }
        disk.wait(60_000_000);
        if n_run > 0 || keep {
            follower.set_cursors(&cursors);
            lines.extend(report.lines);
            gaps.extend(report.gaps);
        }
        assert!(n_run < 2 || report.errors.len() <= 1, "{:?}", report.errors);
    }
    let n_gaps = gaps.len();
    let names: BTreeSet<String> = gaps.into_iter().map(|gap| gap.name).collect();
    assert_eq!(names.len(), n_gaps, "each gap is reported once");
    (lines, names, n_calls)
}

#[test]
fn any_call_may_fail_once() {
    let (lines, gaps, n_calls) = outcome(None, true);
    let expected = counts(&lines);
    assert!(expected.values().all(|n| *n == 1));
    assert_eq!(gaps, BTreeSet::from(["/m/a/gone.log".to_owned()]));
    let kinds = [
        ErrorKind::Other,
        ErrorKind::Interrupted,
        ErrorKind::WouldBlock,
        ErrorKind::PermissionDenied,
        ErrorKind::NotFound,
        ErrorKind::StaleNetworkFileHandle,
        ErrorKind::UnexpectedEof,
        ErrorKind::InvalidData,
        ErrorKind::OutOfMemory,
    ];
    let mut n_runs = 0;
    for kind in kinds {
        for n in 1..=n_calls {
            for keep in [true, false] {
                let (lines, names, _) = outcome(Some((n, kind)), keep);
                assert_eq!(counts(&lines), expected, "call {n}: {kind}");
                assert_eq!(names, gaps, "call {n}: {kind}");
                n_runs += 1;
            }
        }
    }
    println!("{n_calls} calls, {n_runs} runs with a fault");
}

#[test]
fn short_reads_change_nothing() {
    let (lines, ..) = outcome(None, true);
    for max in [1, 2, 3, 7, 4095, 4096, 4097] {
        let (disk, mut follower) = prepare();
        disk.short_reads(max);
        assert_eq!(follower.run(&disk).lines, lines, "{max} bytes at a time");
    }
}
