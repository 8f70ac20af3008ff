//! The faults of rotation and identity, one by one.

use std::io::ErrorKind;

use super::{Follower, MINUTE, check, counts, record, records, source};
use crate::source::follow::simulated::SimulatedDisk;
use crate::source::follow::{Certainty, Links, SkipReason, Source, expand};

const LOG: &str = "/l/audit.log";
const OLD: &str = "/l/audit-2026-11-22T05-10-25.684.log";
const OLD_GZ: &str = "/l/audit-2026-11-22T05-10-25.684.log.gz";
const OLDER: &str = "/l/audit-2026-11-21T05-10-25.684.log";

fn setup() -> (SimulatedDisk, Follower) {
    let disk = SimulatedDisk::new();
    disk.folder("/l");
    (disk, Follower::new("/l"))
}

/// A log of which records 0..20 were read, a minute ago.
fn read_once() -> (SimulatedDisk, Follower) {
    let (disk, mut follower) = setup();
    disk.append(LOG, records(0, 20).as_bytes());
    check(&follower.run(&disk).lines, 0, 20);
    (disk, follower)
}

#[test]
fn growth_is_read_from_the_last_line_end() {
    let (disk, mut follower) = read_once();
    let text = records(20, 30);
    let (half, rest) = text.split_at(text.len() - 40);
    disk.append(LOG, half.as_bytes());
    check(&follower.run(&disk).lines, 20, 29);
    assert!(follower.run(&disk).lines.is_empty());
    disk.append(LOG, rest.as_bytes());
    check(&follower.run(&disk).lines, 29, 30);
    assert_eq!(follower.cursors()[0].line, 30);
}

#[test]
fn r1_renamed_files_are_finished_first() {
    let (disk, mut follower) = read_once();
    disk.append(LOG, records(20, 25).as_bytes());
    disk.rename(LOG, OLDER);
    disk.append(LOG, records(25, 30).as_bytes());
    disk.rename(LOG, OLD);
    disk.append(LOG, records(30, 35).as_bytes());
    let report = follower.run(&disk);
    check(&report.lines, 20, 35);
    assert!(report.gaps.is_empty());
    assert_eq!(report.plan.tasks[0].continues.as_deref(), Some(LOG));
    assert_eq!(report.plan.tasks.len(), 3);
}

#[test]
fn r1_logrotate_shifts_numbers() {
    let (disk, mut follower) = read_once();
    for n in 0..3 {
        let from = 20 + n * 5;
        disk.append(LOG, records(from, from + 5).as_bytes());
        for number in (1..4).rev() {
            let name = |number| format!("{LOG}.{number}");
            if disk.exists(&name(number)) {
                disk.rename(&name(number), &name(number + 1));
            }
        }
        disk.rename(LOG, &format!("{LOG}.1"));
    }
    disk.append(LOG, records(35, 36).as_bytes());
    check(&follower.run(&disk).lines, 20, 36);
}

#[test]
fn r2_offset_continues_inside_the_compressed_file() {
    let (disk, mut follower) = read_once();
    disk.append(LOG, records(20, 25).as_bytes());
    disk.compress(LOG, OLD_GZ, 1.0);
    disk.remove(LOG);
    disk.append(LOG, records(25, 30).as_bytes());
    let report = follower.run(&disk);
    check(&report.lines, 20, 30);
    assert!(report.gaps.is_empty(), "{:?}", report.gaps);
    assert!(follower.run(&disk).lines.is_empty());
}

#[test]
fn r2_compressed_file_hands_out_its_last_line_without_end() {
    let (disk, mut follower) = setup();
    disk.append("/l/a.log", records(0, 3).trim_end().as_bytes());
    disk.compress("/l/a.log", "/l/a.log.gz", 1.0);
    disk.remove("/l/a.log");
    check(&follower.run(&disk).lines, 0, 3);
    assert!(follower.run(&disk).lines.is_empty());
}

#[test]
fn r3_log_and_its_compressed_copy_count_once() {
    for (known, part) in [
        (false, 1.0),
        (false, 0.6),
        (false, 0.02),
        (true, 1.0),
        (true, 0.6),
    ] {
        let (disk, mut follower) = setup();
        disk.append(OLD, records(0, 200).as_bytes());
        if known {
            disk.wait(MINUTE);
            check(&follower.run(&disk).lines, 0, 200);
        }
        disk.compress(OLD, OLD_GZ, part);
        disk.append(LOG, records(200, 210).as_bytes());
        let report = follower.run(&disk);
        check(&report.lines, if known { 200 } else { 0 }, 210);
        let is_whole_and_known = known && part > 0.9;
        assert!(
            part < 0.1 || report.plan.twins.len() == usize::from(!is_whole_and_known),
            "{known} {part} {:?}",
            report.plan
        );
        disk.compress(OLD, OLD_GZ, 1.0);
        disk.remove(OLD);
        let report = follower.run(&disk);
        assert!(
            report.lines.is_empty() && report.gaps.is_empty(),
            "{:?}",
            report.gaps
        );
    }
}

#[test]
fn r3_unread_part_of_both_is_read_once() {
    let (disk, mut follower) = read_once();
    disk.append(LOG, records(20, 40).as_bytes());
    disk.rename(LOG, OLD);
    disk.compress(OLD, OLD_GZ, 1.0);
    check(&follower.run(&disk).lines, 20, 40);
}

#[test]
fn r4_and_r5_copytruncate_with_any_new_size() {
    for size in 0..100 {
        let (disk, mut follower) = read_once();
        disk.append(LOG, records(20, 25).as_bytes());
        disk.copy(LOG, "/l/audit.log.1");
        disk.truncate(LOG, 0);
        let n = 25 + size / 4;
        disk.append(LOG, records(25, n).as_bytes());
        disk.append(LOG, &record(n).as_bytes()[..(size % 4) * 50]);
        let report = follower.run(&disk);
        check(&report.lines, 20, n);
        assert!(report.gaps.is_empty(), "{:?}", report.gaps);
    }
}

#[test]
fn r4_truncation_without_a_copy_is_a_possible_gap() {
    let (disk, mut follower) = read_once();
    disk.truncate(LOG, 0);
    disk.append(LOG, records(50, 90).as_bytes());
    let report = follower.run(&disk);
    check(&report.lines, 50, 90);
    assert_eq!(report.gaps[0].certainty, Certainty::Possible);
    assert!(follower.run(&disk).gaps.is_empty());
}

#[test]
fn r5_same_size_at_the_old_offset() {
    let (disk, mut follower) = read_once();
    disk.copy(LOG, "/l/audit.log.1");
    disk.truncate(LOG, 0);
    disk.append(LOG, records(20, 40).as_bytes());
    check(&follower.run(&disk).lines, 20, 40);
}

#[test]
fn r6_reused_inodes_hide_nothing() {
    let (disk, mut follower) = setup();
    let mut n = 0;
    for round in 0..1000 {
        let path = format!("/l/a{}.log", round % 7);
        let count = 1 + round % 3;
        disk.append(&path, records(n, n + count).as_bytes());
        assert_eq!(disk.inode(&path), 2, "the number is given again");
        check(&follower.run(&disk).lines, n, n + count);
        n += count;
        disk.remove(&path);
    }
    assert!(follower.cursors().len() <= 1001);
}

#[test]
fn r7_equal_beginnings_hide_nothing() {
    let (disk, mut follower) = setup();
    let prefix = format!("{}\n", "#".repeat(99)).repeat(82);
    for n in 0..100 {
        disk.append(
            &format!("/l/f{n}.log"),
            (prefix.clone() + &records(n, n + 1)).as_bytes(),
        );
    }
    let counted = counts(&follower.run(&disk).lines);
    for n in 0..100 {
        assert_eq!(counted[&record(n)], 1, "{n}");
    }
    for n in 0..100 {
        disk.append(
            &format!("/l/f{n}.log"),
            records(n + 100, n + 101).as_bytes(),
        );
    }
    let counted = counts(&follower.run(&disk).lines);
    assert_eq!(counted.len(), 100);
    assert!(counted.values().all(|n| *n == 1));
}

#[test]
fn r8_the_growing_file_deleted_between_runs_is_a_gap() {
    for n_backups in 1..4 {
        let (disk, mut follower) = read_once();
        disk.append(LOG, records(20, 25).as_bytes());
        disk.rename(LOG, OLDER);
        for n in 1..n_backups {
            disk.append(LOG, records(20 + n * 5, 25 + n * 5).as_bytes());
            disk.rename(LOG, &format!("/l/audit-2026-11-22T05-10-2{n}.000.log"));
        }
        disk.append(LOG, records(60, 61).as_bytes());
        disk.remove(OLDER);
        let report = follower.run(&disk);
        assert_eq!(report.gaps.len(), 1);
        assert_eq!(report.gaps[0].name, LOG);
        assert!(report.gaps[0].oldest.is_some());
        assert!(follower.run(&disk).gaps.is_empty());
    }
}

#[test]
fn r8_unread_files_that_vanish_are_sure_gaps() {
    for n in 0..100 {
        let (disk, mut follower) = setup();
        let name = |n: usize| format!("/l/audit-2026-11-22T05-10-{:02}.000.log", n % 60);
        for n in 0..10 {
            disk.append(&name(n), records(n, n + 1).as_bytes());
        }
        // They are seen but not read: the run was cut short.
        let look = crate::source::follow::look(
            &disk,
            &follower.sources,
            &[],
            &follower.options,
            disk.now_us(),
        );
        let n_tasks = look.plan.tasks.len();
        follower.set_cursors(&look.plan.finish(vec![None; n_tasks]));
        disk.remove(&name(n % 10));
        let report = follower.run(&disk);
        assert_eq!(report.lines.len(), 9);
        assert_eq!(report.gaps.len(), 1);
        assert_eq!(report.gaps[0].name, name(n % 10));
        assert_eq!(report.gaps[0].certainty, Certainty::Sure);
        assert_eq!(
            report.gaps[0].unread_bytes,
            Some(records(0, 1).len() as u64)
        );
    }
}

#[test]
fn r8_clean_up_of_what_was_read_is_no_gap() {
    let (disk, mut follower) = read_once();
    disk.rename(LOG, OLD);
    disk.append(LOG, records(20, 21).as_bytes());
    follower.run(&disk);
    disk.remove(OLD);
    assert!(follower.run(&disk).gaps.is_empty());
}

#[test]
fn r8_nothing_is_gone_while_a_file_cannot_be_read() {
    let (disk, mut follower) = read_once();
    disk.append(LOG, records(20, 25).as_bytes());
    disk.rename(LOG, OLD);
    let (cursors, options) = (follower.cursors(), follower.options.clone());
    for kind in [
        ErrorKind::Other,
        ErrorKind::PermissionDenied,
        ErrorKind::NotFound,
    ] {
        let expansion = expand(&disk, &follower.sources);
        disk.fail_at(1, kind);
        let plan =
            crate::source::follow::plan(&disk, &cursors, &expansion, &options, disk.now_us());
        assert_eq!((plan.errors.len(), plan.gaps.len()), (1, 0));
        follower.set_cursors(&plan.finish(Vec::new()));
    }
    check(&follower.run(&disk).lines, 20, 25);
}

#[test]
fn a_compressed_file_cut_anywhere_gives_whole_lines_once() {
    let (disk, mut follower) = setup();
    let packed = crate::source::follow::simulated::gzip(records(0, 8).as_bytes());
    let mut lines = Vec::new();
    for n in 0..=packed.len() {
        disk.write(OLD_GZ, &packed[..n]);
        let report = follower.run(&disk);
        assert!(report.gaps.is_empty(), "{n}: {:?}", report.gaps);
        lines.extend(report.lines);
    }
    check(&lines, 0, 8);
}

#[test]
fn r9_bytes_added_while_reading_are_read() {
    for call in 1..40 {
        let (disk, mut follower) = read_once();
        disk.append(LOG, records(20, 25).as_bytes());
        let change = |disk: &SimulatedDisk| {
            disk.append(LOG, records(25, 27).as_bytes());
            disk.rename(LOG, OLD);
            disk.append(OLD, records(27, 29).as_bytes());
            disk.append(LOG, records(29, 30).as_bytes());
        };
        disk.before_call(call, Box::new(change));
        let mut lines = follower.run(&disk).lines;
        if !disk.exists(OLD) {
            disk.before_call(1, Box::new(change));
        }
        let second = follower.run(&disk);
        assert!(second.gaps.is_empty());
        lines.extend(second.lines);
        lines.sort();
        check(&lines, 20, 30);
    }
}

#[test]
fn truncation_while_reading_loses_nothing() {
    for call in 1..40 {
        let (disk, mut follower) = read_once();
        disk.append(LOG, records(20, 25).as_bytes());
        let change = |disk: &SimulatedDisk| {
            disk.copy(LOG, "/l/audit.log.1");
            disk.truncate(LOG, 0);
            disk.append(LOG, records(25, 70).as_bytes());
        };
        disk.before_call(call, Box::new(change));
        let mut lines = follower.run(&disk).lines;
        if !disk.exists("/l/audit.log.1") {
            change(&disk);
        }
        for _ in 0..2 {
            lines.extend(follower.run(&disk).lines);
        }
        let counted = counts(&lines);
        for n in 20..70 {
            assert!(
                counted.contains_key(&record(n)),
                "{n} is lost at call {call}"
            );
        }
    }
}

#[test]
fn r10_known_backups_are_not_read_again() {
    let (disk, mut follower) = read_once();
    disk.copy(LOG, "/old.copy");
    disk.rename(LOG, OLD);
    disk.append(LOG, records(20, 21).as_bytes());
    follower.run(&disk);
    disk.remove(OLD);
    follower.run(&disk);
    disk.copy("/old.copy", "/l/audit.log.7");
    disk.compress("/old.copy", "/l/audit.log.8.gz", 1.0);
    disk.append("/l/audit.log.9", records(100, 110).as_bytes());
    let report = follower.run(&disk);
    check(&report.lines, 100, 110);
    let new: Vec<_> = report
        .plan
        .tasks
        .iter()
        .filter(|task| task.continues.is_none())
        .collect();
    assert_eq!(new.len(), 1, "only what is unknown is a new file");
}

#[test]
fn r11_wrong_names_change_no_order() {
    for seed in 0..100_usize {
        let (disk, mut follower) = setup();
        follower.options.first_time = Some(|head| {
            let text = std::str::from_utf8(head.get(27..35)?).ok()?;
            text.parse().ok()
        });
        for n in 0..7 {
            let number = 1 + (n * (1 + seed % 6) + seed) % 7;
            disk.append(
                &format!("{LOG}.{number}"),
                records(n * 3, n * 3 + 3).as_bytes(),
            );
        }
        check(&follower.run(&disk).lines, 0, 21);
    }
}

#[test]
fn r12_only_regular_files_are_read() {
    let (disk, mut follower) = setup();
    disk.append("/elsewhere/secret.log", records(0, 1).as_bytes());
    disk.special("/l/pipe.log", "a pipe");
    disk.special("/l/zero.log", "a device");
    disk.link("/l/link.log", "/elsewhere/secret.log");
    disk.link("/l/dead.log", "/nowhere");
    disk.link("/l/loop.log", "/l/loop.log");
    disk.link("/l/self", "/l");
    disk.append("/l/.hidden.log", b"x\n");
    disk.append("/l/readme.md", b"x\n");
    assert_eq!(follower.run(&disk).lines.len(), 1);
    let refusing = Source {
        path: "/l".into(),
        links: Links::Refuse,
    };
    let expansion = expand(&disk, std::slice::from_ref(&refusing));
    assert!(expansion.files.is_empty() && expansion.errors.is_empty());
    assert_eq!(expansion.n_skipped, 8);
    let named = Source {
        path: "/l/link.log".into(),
        ..refusing
    };
    let expansion = expand(&disk, &[named]);
    assert_eq!(expansion.skipped[0].reason, SkipReason::Link);
}

#[test]
fn a_file_that_becomes_a_link_is_not_opened() {
    let (disk, mut follower) = setup();
    follower.sources[0].links = Links::Refuse;
    disk.append("/secret", records(0, 1).as_bytes());
    disk.append(LOG, records(0, 20).as_bytes());
    disk.before_call(
        5,
        Box::new(|disk| {
            disk.remove(LOG);
            disk.link(LOG, "/secret");
        }),
    );
    let report = follower.run(&disk);
    assert!(report.lines.is_empty(), "{:?}", report.lines.len());
}

#[test]
fn patterns_and_rotated_sets_are_found() {
    let disk = SimulatedDisk::new();
    for folder in ["/v", "/v/a", "/v/b", "/v/b/deep"] {
        disk.folder(folder);
    }
    for file in [
        "a/audit.log",
        "a/audit.log.1",
        "a/audit.log.2.gz",
        "a/other.log",
        "b/audit.log",
        "b/deep/audit.log",
        "b/deep/x.txt",
        "b/.h.log",
        "b/odd[1].log",
    ] {
        disk.append(&format!("/v/{file}"), b"x\n");
    }
    let found = |pattern: &str| -> Vec<String> {
        let expansion = expand(&disk, &[source(pattern)]);
        let files = expansion.files.iter();
        files
            .map(|found| found.path.to_str().unwrap()[3..].to_owned())
            .collect()
    };
    let set = ["a/audit.log", "a/audit.log.1", "a/audit.log.2.gz"];
    assert_eq!(found("/v/a/audit.log"), set);
    assert_eq!(found("/v/a/audit.log.1"), ["a/audit.log.1"]);
    assert_eq!(
        found("/v/*/audit.log"),
        [&set[..], &["b/audit.log"]].concat()
    );
    assert_eq!(
        found("/v/**/audit.log"),
        [&set[..], &["b/audit.log", "b/deep/audit.log"]].concat()
    );
    assert_eq!(found("/v/{a,c}/o*.log"), ["a/other.log"]);
    assert_eq!(found("/v/b/odd[1].log"), ["b/odd[1].log"]);
    assert_eq!(found("/v/b/.*.log"), ["b/.h.log"]);
    assert_eq!(
        found("/v/b/*"),
        [
            "b/audit.log",
            "b/deep/audit.log",
            "b/deep/x.txt",
            "b/odd[1].log"
        ]
    );
    assert_eq!(found("/v/**").len(), 8);
    assert_eq!(expand(&disk, &[source("/v/[")]).errors.len(), 1);
    assert_eq!(expand(&disk, &[source("/v/none")]).errors.len(), 1);
    assert!(expand(&disk, &[source("/v/none*")]).errors.is_empty());
}

#[test]
fn nothing_new_costs_stats_only() {
    let (disk, mut follower) = setup();
    for n in 0..100 {
        disk.append(&format!("/l/f{n}.log"), records(n, n + 1).as_bytes());
    }
    disk.wait(MINUTE);
    follower.run(&disk);
    disk.reset_calls();
    let report = follower.run(&disk);
    assert_eq!(report.plan.n_unchanged, 100);
    let calls = disk.calls();
    assert_eq!((calls.open, calls.read, calls.stat_open), (0, 0, 0));
    assert_eq!((calls.list, calls.stat), (1, 101));
}

#[test]
fn damaged_cursors_are_those_of_unknown_files() {
    for (offset, size) in [
        (u64::MAX, 10),
        (u64::MAX, u64::MAX),
        (1 << 40, 1 << 50),
        (6000, 1 << 20),
    ] {
        let (disk, mut follower) = read_once();
        let mut cursors = follower.cursors();
        cursors[0].offset = offset;
        cursors[0].size = size;
        follower.set_cursors(&cursors);
        check(&follower.run(&disk).lines, 0, 20);
    }
    let (disk, mut follower) = read_once();
    let broken = follower.state.replacen("\"hash\":\"", "\"hash\":\"z", 1);
    assert!(serde_json::from_str::<Vec<crate::source::follow::Cursor>>(&broken).is_err());
    for field in 0..4 {
        let mut cursor = follower.cursors().remove(0);
        match field {
            0 => cursor.anchor.length = u32::MAX,
            1 => cursor.head.length = u32::MAX,
            2 => cursor.line = u64::MAX,
            _ => (cursor.compressed, cursor.offset) = (true, 1 << 62),
        }
        cursor.mtime_ns = None;
        follower.set_cursors(&[cursor]);
        check(&follower.run(&disk).lines, 0, 20);
    }
}

#[test]
fn a_finished_half_line_is_handed_out_once() {
    let (disk, mut follower) = setup();
    disk.append(OLD, records(0, 3).trim_end().as_bytes());
    disk.append(LOG, records(3, 5).trim_end().as_bytes());
    disk.wait(MINUTE);
    let mut lines = follower.run(&disk).lines;
    assert_eq!(lines.len(), 3);
    lines.extend(follower.run(&disk).lines);
    disk.wait(20 * MINUTE);
    lines.extend(follower.run(&disk).lines);
    assert!(follower.run(&disk).lines.is_empty());
    lines.sort();
    check(&lines, 0, 5);
}

#[test]
fn cursors_of_vanished_content_are_bounded() {
    let (disk, mut follower) = setup();
    follower.options.gone_max = 5;
    for n in 0..20 {
        let path = format!("/l/a{n}.log");
        disk.append(&path, records(n, n + 1).as_bytes());
        follower.run(&disk);
        disk.remove(&path);
        follower.run(&disk);
        assert!(follower.cursors().len() <= 5);
    }
    disk.wait(follower.options.gone_us);
    assert_eq!(follower.run(&disk).plan.forgotten.len(), 5);
    assert!(follower.cursors().is_empty());
}

#[test]
fn part_of_what_was_read_can_be_taken_over() {
    for packed in [false, true] {
        let (disk, mut follower) = read_once();
        disk.append(LOG, records(20, 60).as_bytes());
        if packed {
            disk.compress(LOG, OLD_GZ, 1.0);
            disk.remove(LOG);
        }
        let cursors = follower.cursors();
        let look = crate::source::follow::look(
            &disk,
            &follower.sources,
            &cursors,
            &follower.options,
            disk.now_us(),
        );
        let task = &look.plan.tasks[0];
        let mut reader = task.open(&disk).unwrap();
        std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
        let consumed = crate::source::follow::Position {
            offset: task.start.offset + records(20, 40).len() as u64,
            line: 40,
        };
        let cursor =
            crate::source::follow::advance(task, &reader, Some(consumed), disk.now_us()).unwrap();
        drop(reader);
        follower.set_cursors(&look.plan.finish(vec![Some(cursor)]));
        check(&follower.run(&disk).lines, 40, 60);
    }
}
