//! What is found, in which order.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::*;

/// Makes `files` in a folder and lists it; `expected` are lane and path, the errors' paths last.
fn check(files: &[&str], paths: &[&str], expected: &[(u32, &str)], errors: &[&str]) {
    check_all(files, paths, expected, errors, None);
}

fn check_all(
    files: &[&str],
    paths: &[&str],
    expected: &[(u32, &str)],
    errors: &[&str],
    left_out: Option<&[&str]>,
) {
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
    let Discovery {
        files,
        errors: problems,
        skipped,
        n_skipped,
    } = discover(&paths);
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
            SourceError::NotAFile { name, kind } => format!("{kind} {}", relative(name)),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(problems, errors);
    assert_eq!(n_skipped, skipped.len() as u64);
    if let Some(left_out) = left_out {
        let skipped: Vec<_> = skipped
            .iter()
            .map(|skipped| format!("{} {}", relative(&skipped.name), skipped.reason))
            .collect();
        assert_eq!(skipped, left_out);
    }
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
    let split = ["p/audit.log.10", "p/audit.log.09.gz", "p/audit.log.00"];
    check(
        &split,
        &["p"],
        &[(0, split[2]), (0, split[1]), (0, split[0])],
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
    check_all(
        &files,
        &["x"],
        &[(0, "x/y/z/audit")],
        &[],
        Some(&[
            "x/.git is hidden",
            "x/.hidden.log is hidden",
            "x/README.md lies beside logs",
            "x/rule.yml is not named like a log",
        ]),
    );
    // Lanes are in the order of their folders.
    check(
        &files,
        &["x/README.md", "x/.git"],
        &[(0, "x/README.md"), (1, "x/.git/a.log")],
        &[],
    );
}

#[test]
fn archives_in_a_folder_are_listed_so_that_they_are_missed() {
    check_all(
        &["x/a.log", "x/b.ZIP", "x/m.tar.gz", "x/c.bin"],
        &["x"],
        &[(0, "x/a.log"), (1, "x/b.ZIP"), (2, "x/m.tar.gz")],
        &[],
        Some(&["x/c.bin is not named like a log"]),
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
        &["open x/dead.log", "a socket x/socket", "open no"],
    );
    check(
        &files,
        &["x/socket", "x/loop"],
        &[(0, "x/loop/a.log")],
        &[
            "a socket x/socket",
            "open x/loop/dead.log",
            "a socket x/loop/socket",
        ],
    );
}

#[test]
fn linked_folders_are_read_once() {
    let files = [
        "real/a.log",
        "real/up -> real",
        "x/own.log",
        "x/one -> real",
        "x/two -> real",
        "x/sub/self -> x",
        "x/round -> x/round",
        "x/round.log -> x/round.log",
        "x/dead -> no",
    ];
    check_all(
        &files,
        &["x"],
        &[(0, "x/one/a.log"), (1, "x/own.log")],
        &["open x/round.log"],
        Some(&[
            "x/dead is a link that leads nowhere",
            "x/round is a link that leads nowhere",
            "x/one/up leads to a folder that was read already",
            "x/sub/self leads to a folder that was read already",
            "x/two leads to a folder that was read already",
        ]),
    );
    // Found by its own path, the link adds nothing.
    check_all(
        &files[..4],
        &["x", "real"],
        &[(0, "real/a.log"), (1, "x/own.log")],
        &[],
        Some(&[
            "real/up leads to a folder that was read already",
            "x/one leads to a folder that was read already",
        ]),
    );
}

#[test]
fn must_gather_has_a_lane_for_each_server_and_node() {
    let log =
        |server: &str, node: &str, rest: &str| format!("audit_logs/{server}/{node}-audit{rest}");
    let old = "-2026-11-22T05-10-25.684.log.gz";
    let files = [
        log("kube-apiserver", "m-0.example.com", ".log.gz"),
        log("kube-apiserver", "m-0.example.com", old),
        log("kube-apiserver", "m-1.example.com", old),
        log("oauth-server", "m-0.example.com", old),
        "audit_logs/kube-apiserver.audit_logs_listing".to_owned(),
    ];
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    check_all(
        &files,
        &["audit_logs"],
        &[(0, files[1]), (0, files[0]), (1, files[2]), (2, files[3])],
        &[],
        Some(&["audit_logs/kube-apiserver.audit_logs_listing is not named like a log"]),
    );
}

#[test]
fn list_of_what_was_skipped_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..SKIPPED_MAX + 5 {
        fs::write(folder.path().join(format!("{n}.md")), "").unwrap();
    }
    let found = discover(&[folder.path().into()]);
    assert_eq!(found.skipped.len(), SKIPPED_MAX);
    assert_eq!(found.n_skipped, SKIPPED_MAX as u64 + 5);
}

#[test]
fn pipes_and_devices_are_named_and_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.log");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let found = discover(&[folder.path().into(), pipe.clone(), "/dev/zero".into()]);
    assert!(found.files.is_empty());
    let said: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    let pipe = format!("`{}` is a pipe, not a regular file", pipe.display());
    let device = "`/dev/zero` is a device, not a regular file".to_owned();
    assert_eq!(said, [pipe.clone(), pipe, device]);
    assert!(found.errors[0].hint().is_some());
}
