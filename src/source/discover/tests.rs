//! What is found, in which order.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::*;

fn check_name(name: &str, base: &str, age: Age, is_plain: bool) {
    let expected = Rotation {
        base: base.into(),
        age,
        is_plain,
    };
    assert_eq!(Rotation::of(OsStr::new(name)), expected, "{name}");
}

#[test]
fn names_say_what_was_rotated_and_when() {
    let at = |digits: &str| Age::Stamped(digits.into());
    let number = |n| Age::Numbered(Reverse(n));
    let lumberjack = "20261122051025684";
    check_name("audit.log", "audit.log", Age::Current, true);
    check_name("audit.log.gz", "audit.log", Age::Current, false);
    check_name("audit", "audit", Age::Current, true);
    check_name(
        "audit-2026-11-22T05-10-25.684.log",
        "audit.log",
        at(lumberjack),
        true,
    );
    check_name(
        "audit-2026-11-22T05-10-25.684.log.gz",
        "audit.log",
        at(lumberjack),
        false,
    );
    check_name(
        "n1-audit-2026-11-22T05-10-25.684.log",
        "n1-audit.log",
        at(lumberjack),
        true,
    );
    check_name(
        "audit-2026-11-22T05-10-25.684",
        "audit",
        at(lumberjack),
        true,
    );
    check_name("audit.log.2.gz", "audit.log", number(2), false);
    check_name("audit.log.12.zst", "audit.log", number(12), false);
    check_name("audit.1", "audit", number(1), true);
    check_name(
        "audit.log-20261122.zstd",
        "audit.log",
        at("20261122"),
        false,
    );
    check_name("audit-20261122.log", "audit.log", at("20261122"), true);
    check_name("0.log.20261122-051025", "0.log", at("20261122051025"), true);
    check_name(
        "audit.log-20269922",
        "audit.log-20269922",
        Age::Current,
        true,
    );
    check_name(
        "node-10-0-0-12.log",
        "node-10-0-0-12.log",
        Age::Current,
        true,
    );
    check_name("000000.gz", "000000", Age::Current, false);
    check_name(".gz", "", Age::Current, false);
}

#[test]
fn logs_are_told_by_extension() {
    for name in [
        "audit",
        "a.log",
        "a.JSON",
        "a.jsonl.gz",
        "a.ndjson",
        "a.txt.3",
        "a.log-20261122",
    ] {
        assert!(Rotation::of(OsStr::new(name)).is_log(), "{name}");
    }
    for name in [
        "a.md",
        "a.yml.gz",
        "a.sql",
        "a.parquet",
        "a.csv",
        "a.db.1",
        "a.log.bak",
    ] {
        assert!(!Rotation::of(OsStr::new(name)).is_log(), "{name}");
    }
}

/// Makes `files` in a folder and lists it; `expected` are lane and path, the errors' paths last.
fn check(files: &[&str], paths: &[&str], expected: &[(u32, &str)], errors: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let mut sockets = Vec::new();
    for file in files {
        let (file, target) = file.split_once(" -> ").unwrap_or((file, ""));
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if file.contains("socket") {
            sockets.push(UnixListener::bind(path).unwrap());
        } else if target.is_empty() {
            fs::write(path, file).unwrap();
        } else {
            symlink(root.join(target), path).unwrap();
        }
    }
    let paths: Vec<PathBuf> = paths
        .iter()
        .map(|&path| {
            if path == "-" {
                path.into()
            } else {
                root.join(path)
            }
        })
        .collect();
    let (files, problems) = discover(&paths);
    let relative = |name: &str| {
        let root = format!("{}/", root.display());
        name.strip_prefix(&root).unwrap_or(name).to_owned()
    };
    let found: Vec<_> = files
        .iter()
        .map(|file| (file.lane, relative(&file.name)))
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|&(lane, path)| (lane, path.to_owned()))
        .collect();
    assert_eq!(found, expected);
    let problems: Vec<_> = problems
        .iter()
        .map(|problem| match problem {
            SourceError::Open { name, .. } => format!("open {}", relative(name)),
            SourceError::NotAFile { name } => format!("kind {}", relative(name)),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(problems, errors);
}

#[test]
fn rotated_sets_are_in_time_order() {
    check(
        &[
            "a/audit.log",
            "a/audit-2026-11-22T05-10-25.684.log.gz",
            "a/audit-2026-11-22T05-10-25.684.log",
            "a/audit-2026-11-21T23-59-59.001.log",
            "b/audit.log.2.gz",
            "b/audit.log",
            "b/audit.log.10.gz",
            "b/audit.log.1",
            "b/oauth.log",
        ],
        &["b", "a"],
        &[
            (0, "a/audit-2026-11-21T23-59-59.001.log"),
            (0, "a/audit-2026-11-22T05-10-25.684.log.gz"),
            (0, "a/audit-2026-11-22T05-10-25.684.log"),
            (0, "a/audit.log"),
            (1, "b/audit.log.10.gz"),
            (1, "b/audit.log.2.gz"),
            (1, "b/audit.log.1"),
            (1, "b/audit.log"),
            (2, "b/oauth.log"),
        ],
        &[],
    );
    let dated = ["audit.log", "audit.log-20261123", "audit.log-20261122.gz"];
    check(
        &dated,
        &dated,
        &[(0, dated[2]), (0, dated[1]), (0, dated[0])],
        &[],
    );
}

#[test]
fn folder_gives_logs_and_a_path_anything() {
    let files = [
        "x/README.md",
        "x/.hidden.log",
        "x/.git/a.log",
        "x/y/z/audit",
        "x/rule.yml",
    ];
    check(&files, &["x"], &[(0, "x/y/z/audit")], &[]);
    // Lanes are in the order of their folders.
    check(
        &files,
        &["x/README.md", "x/.git"],
        &[(0, "x/README.md"), (1, "x/.git/a.log")],
        &[],
    );
}

#[test]
fn file_is_listed_once() {
    let files = ["x/a.log", "x/link.log -> x/a.log", "other.log -> x/a.log"];
    check(
        &files,
        &["x", "x/a.log", "other.log", "x/../x/a.log"],
        &[(0, "x/a.log")],
        &[],
    );
    check(
        &files,
        &["other.log", "-", "-"],
        &[(0, "other.log"), (1, "-")],
        &[],
    );
    check(&[], &["-"], &[(0, "-")], &[]);
}

#[test]
fn what_is_no_file_is_named() {
    let files = [
        "x/socket",
        "x/a.log",
        "x/loop -> x",
        "x/dead.log -> x/no",
        "x/dead.md -> x/no",
    ];
    check(
        &files,
        &["x", "no"],
        &[(0, "x/a.log")],
        &["open x/dead.log", "kind x/socket", "open no"],
    );
    check(
        &files,
        &["x/socket", "x/loop"],
        &[(0, "x/loop/a.log")],
        &[
            "kind x/socket",
            "open x/loop/dead.log",
            "kind x/loop/socket",
        ],
    );
}
