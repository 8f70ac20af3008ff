//! What holds whatever the input: threads, chunks, files and compression change nothing; damage hides
//! nothing.

use std::fmt::Debug;
use std::io::Write;
use std::path::{Path, PathBuf};

use kubescry::finding::incident::Ties;
use kubescry::pipeline::{Options, Scan};
use kubescry::source::ReadOptions;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::support::{json, options, read, root, run};

/// A log with findings of several families, and its lines.
fn log() -> (PathBuf, Vec<u8>) {
    let path = root().join("sample-logs/v1.36/anonymous.log");
    let content = read(&path);
    (path, content)
}

fn write(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn findings(options: &Options) -> String {
    let found = json(&run(options).outcome.findings);
    assert!(!found.is_empty(), "a law about no findings says nothing");
    found
}

#[test]
fn threads_change_nothing() {
    for log in [
        "sample-logs/v1.36/token-reuse.log.gz",
        "sample-logs/v1.36/system-masters.log",
    ] {
        let path = root().join(log);
        let with = |threads| {
            let found = run(&Options {
                threads,
                read: ReadOptions {
                    chunk_bytes: 50_000,
                    ..ReadOptions::default()
                },
                ..options(&[&path])
            });
            serde_json::to_string(&(found.outcome.findings, found.outcome.incidents)).unwrap()
        };
        assert_eq!(with(1), with(2), "{log}");
        assert_eq!(with(1), with(7), "{log}");
    }
}

#[test]
fn compression_changes_nothing() {
    let (path, content) = log();
    let folder = TempDir::new().unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&content).unwrap();
    let gz = write(folder.path(), "audit.log.gz", &gz.finish().unwrap());
    let zst = zstd::stream::encode_all(&content[..], 1).unwrap();
    let zst = write(folder.path(), "audit.log.zst", &zst);
    let plain = findings(&options(&[&path]));
    assert_eq!(findings(&options(&[&gz])), plain);
    assert_eq!(findings(&options(&[&zst])), plain);
}

#[test]
fn a_log_given_twice_counts_once() {
    let (path, content) = log();
    let folder = TempDir::new().unwrap();
    let copy = write(folder.path(), "copy.log", &content);
    let once = run(&options(&[&path]));
    let twice = run(&options(&[&path, &copy]));
    assert_eq!(json(&twice.outcome.findings), json(&once.outcome.findings));
    let (once, twice) = (once.summary.totals, twice.summary.totals);
    assert_eq!(twice.duplicates, once.events);
    assert_eq!(twice.requests, once.requests);
    assert!(twice.adds_up());
}

#[test]
fn a_log_given_again_in_other_json_counts_once() {
    let path = root().join("sample-logs/v1.36/token-reuse.log.gz");
    let content = read(&path);
    let lines = content.split(|byte| *byte == b'\n');
    let events: Vec<serde_json::Value> = lines
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let folder = TempDir::new().unwrap();
    // With its keys in the order of the alphabet.
    let mut sorted = Vec::new();
    for event in &events {
        writeln!(sorted, "{event}").unwrap();
    }
    let sorted = write(folder.path(), "sorted.log", &sorted);
    let pretty = serde_json::to_vec_pretty(&events).unwrap();
    let pretty = write(folder.path(), "pretty.json", &pretty);
    let once = run(&options(&[&path]));
    let thrice = run(&options(&[&path, &sorted, &pretty]));
    let totals = &thrice.summary.totals;
    assert_eq!(totals.events, events.len() as u64);
    assert_eq!(totals.duplicates, 2 * totals.events);
    let said = |scan: &Scan| {
        let findings = scan.outcome.findings.iter();
        let said = findings.map(|found| {
            (
                found.finding_id.clone(),
                found.severity,
                found.summary.clone(),
            )
        });
        said.collect::<Vec<_>>()
    };
    assert_eq!(said(&once), said(&thrice));
}

#[test]
fn a_request_counts_once_whatever_the_order_of_its_stages() {
    // All stages are in there.
    let log = read(&root().join("tests/logs/v1.36-full-benign.log.zst"));
    let lines: Vec<&str> = std::str::from_utf8(&log).unwrap().lines().collect();
    let received = |line: &&str| {
        let key = "\"requestReceivedTimestamp\":\"";
        let at = line.rfind(key).unwrap() + key.len();
        line[at..at + 27].to_owned()
    };
    let folder = TempDir::new().unwrap();
    let counts = |lines: &[&str], chunk_bytes| {
        let path = write(folder.path(), "audit.log", lines.join("\n").as_bytes());
        let scan = run(&Options {
            read: ReadOptions {
                chunk_bytes,
                ..ReadOptions::default()
            },
            ..options(&[&path])
        });
        let totals = scan.summary.totals;
        (totals.events, totals.requests)
    };
    let in_order = counts(&lines, 1 << 18);
    assert!(in_order.1 < in_order.0, "there are several stages");
    // As a store gives them out that sorts by the time of the request: what ended comes before what began.
    let mut sorted = lines.clone();
    sorted.reverse();
    sorted.sort_by_cached_key(received);
    assert_ne!(sorted, lines);
    for chunk_bytes in [1 << 14, 1 << 18] {
        assert_eq!(counts(&sorted, chunk_bytes), in_order);
    }
    // The latest first, as a search gives them out.
    let reversed: Vec<&str> = lines.iter().rev().copied().collect();
    assert_eq!(counts(&reversed, 1 << 18), in_order);
}

#[test]
fn rounded_times_make_no_duplicates() {
    let line = |name: &str| {
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"chosen","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/dev/pods","verb":"create","user":{{"username":"bob","groups":["system:authenticated"]}},"sourceIPs":["192.0.2.7"],"userAgent":"curl/8","objectRef":{{"resource":"pods","namespace":"dev","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":201}},"requestObject":{{"metadata":{{"name":"{name}"}}}},"requestReceivedTimestamp":"2026-11-22T04:55:27.649000Z","stageTimestamp":"2026-11-22T04:55:27.650000Z"}}
"#
        )
    };
    let folder = TempDir::new().unwrap();
    let count = |log: &str| {
        let path = write(folder.path(), "audit.log", log.as_bytes());
        let totals = run(&options(&[&path])).summary.totals;
        (totals.events, totals.duplicates)
    };
    let [one, other] = ["one", "two"].map(line);
    assert_eq!(count(&[one.clone(), other.clone()].concat()), (2, 0));
    assert_eq!(count(&[one.clone(), other, one].concat()), (2, 1));
}

#[test]
fn two_servers_in_two_folders_are_one_story() {
    // Every second request in the log of another API server: the order of the files says nothing.
    let content = read(&root().join("sample-logs/v1.36/token-reuse.log.gz"));
    let folder = TempDir::new().unwrap();
    let lines: Vec<&[u8]> = content.split_inclusive(|&byte| byte == b'\n').collect();
    let half = |parity: u8| -> Vec<u8> {
        let of = |line: &&&[u8]| {
            let at = memchr::memmem::find(line, b"\"auditID\":\"").unwrap();
            line[at + 11] % 2 == parity
        };
        lines
            .iter()
            .filter(of)
            .copied()
            .flatten()
            .copied()
            .collect()
    };
    for (server, parity) in [("a", 0), ("b", 1)] {
        std::fs::create_dir(folder.path().join(server)).unwrap();
        write(&folder.path().join(server), "audit.log", &half(parity));
    }
    let whole = write(folder.path(), "whole.txt", &content);
    let strip = |text: String| -> Vec<String> {
        let value = |line: &str| -> serde_json::Value { serde_json::from_str(line).unwrap() };
        let fact = |line: &str| {
            let value = value(line);
            format!(
                "{} {} {}",
                value["rule"]["name"], value["count"], value["finding_id"]
            )
        };
        text.lines().map(fact).collect()
    };
    let servers = [folder.path().join("a"), folder.path().join("b")];
    let apart = findings(&options(&[&servers[0], &servers[1]]));
    assert_eq!(strip(apart), strip(findings(&options(&[&whole]))));
}

#[test]
fn a_damaged_line_hides_no_other() {
    let (_, content) = log();
    let folder = TempDir::new().unwrap();
    let mut damaged = b"not json\n{\"kind\":\"Pod\",\"apiVersion\":\"v1\"}\n".to_vec();
    damaged.extend_from_slice(&content);
    damaged.extend_from_slice(&content[..300]);
    let whole = run(&options(&[&write(folder.path(), "a.log", &content)]));
    let broken = run(&options(&[&write(folder.path(), "b.log", &damaged)]));
    assert_eq!(
        json(&broken.outcome.findings),
        json(&whole.outcome.findings)
    );
    let totals = broken.summary.totals;
    assert_eq!(totals.events, whole.summary.totals.events);
    assert_eq!((totals.bad, totals.other), (2, 1));
    assert!(totals.adds_up());
    let places: Vec<(u64, u64)> = broken
        .summary
        .rejects
        .iter()
        .map(|reject| (reject.line, reject.offset))
        .collect();
    let lines = 3 + content.split(|&byte| byte == b'\n').count() as u64 - 1;
    assert_eq!(
        places,
        [(1, 0), (2, 9), (lines, damaged.len() as u64 - 300)]
    );
}

#[test]
fn what_is_said_reads_back_from_its_json() {
    for log in [
        "sample-logs/v1.36/token-reuse.log.gz",
        "sample-logs/v1.36/shared-credentials.log.gz",
        "sample-logs/v1.20/token-reuse.log.gz",
    ] {
        let path = root().join(log);
        let scan = run(&Options {
            credentials: true,
            ..options(&[&path])
        });
        let mut findings = scan.outcome.findings;
        // What ties them is no part of the contract.
        for finding in &mut findings {
            finding.ties = Ties::default();
        }
        assert!(!findings.is_empty() && !scan.outcome.credentials.is_empty());
        reads_back(&findings);
        reads_back(&scan.outcome.incidents);
        reads_back(&scan.outcome.credentials);
        reads_back(&scan.summary);
    }
}

fn reads_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let text = serde_json::to_string(value).unwrap();
    let back: T = serde_json::from_str(&text).unwrap();
    assert_eq!(back, *value);
    assert_eq!(serde_json::to_string(&back).unwrap(), text);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chunk_size_changes_nothing(chunk_bytes in 1_usize..300_000) {
        let (path, _) = log();
        let whole = findings(&options(&[&path]));
        prop_assert_eq!(findings(&Options {
            read: ReadOptions { chunk_bytes, ..ReadOptions::default() },
            ..options(&[&path])
        }), whole);
    }

    #[test]
    fn cutting_the_log_into_files_changes_nothing(cuts in prop::collection::vec(0_usize..1000, 1..6)) {
        let (path, content) = log();
        let folder = TempDir::new().unwrap();
        let lines: Vec<&[u8]> = content.split_inclusive(|&byte| byte == b'\n').collect();
        let mut cuts: Vec<usize> =
            cuts.iter().map(|cut| cut * lines.len() / 1000).collect();
        cuts.extend([0, lines.len()]);
        cuts.sort_unstable();
        for (index, pair) in cuts.windows(2).enumerate() {
            // The names that kube-apiserver gives to rotated files; the last is being written.
            let name = if index + 2 == cuts.len() {
                "audit.log".to_owned()
            } else {
                format!("audit-2026-11-22T05-0{index}-00.000.log")
            };
            write(folder.path(), &name, &lines[pair[0]..pair[1]].concat());
        }
        prop_assert_eq!(findings(&options(&[folder.path()])), findings(&options(&[&path])));
    }
}
