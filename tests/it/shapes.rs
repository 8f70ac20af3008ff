//! Every shape in which audit logs arrive, read from files.

use std::path::{Path, PathBuf};

use kubescry::pipeline::Scan;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{json, options, read, root, run};

/// Returns the folders of the pairs: a wrapped log, and the events in it.
fn pairs() -> Vec<(String, PathBuf, PathBuf)> {
    let folder = root().join("tests/envelopes");
    let mut pairs: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let files = std::fs::read_dir(&path)
                .unwrap()
                .map(|file| file.unwrap().path());
            let wrapped = files.into_iter().find(|file| {
                file.file_name()
                    .is_some_and(|name| name.to_str().unwrap().starts_with("wrapped"))
            });
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, wrapped.unwrap(), path.join("expected.jsonl"))
        })
        .collect();
    pairs.sort();
    assert!(pairs.len() >= 62, "every shape has a pair");
    pairs
}

fn scan(path: &Path) -> Scan {
    run(&options(&[path]))
}

#[test]
fn every_shape_gives_the_events_in_it() {
    for (name, wrapped, expected) in pairs() {
        let found = scan(&wrapped);
        let totals = &found.summary.totals;
        assert!(totals.adds_up(), "{name}: {totals:?}");
        let lines = read(&expected);
        let n_expected = lines
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .count();
        assert_eq!(
            totals.events + totals.duplicates,
            n_expected as u64,
            "{name}: {totals:?}"
        );
    }
}

#[test]
fn rows_of_a_long_answer_are_events() {
    let short = read(&root().join("tests/envelopes/eks-insights/wrapped.json"));
    let mut answer: Value = serde_json::from_slice(&short).unwrap();
    let few = answer["results"].as_array().unwrap().clone();
    let times = (3 << 20) / short.len();
    let rows: Vec<Value> = few
        .iter()
        .cycle()
        .take(times * few.len())
        .cloned()
        .collect();
    answer["results"] = rows.into();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("results.json");
    let count = |text: &[u8]| {
        std::fs::write(&path, text).unwrap();
        let totals = scan(&path).summary.totals;
        (totals.events + totals.duplicates, totals.bad)
    };
    let (events, bad) = count(&short);
    assert!(events > 0);
    let long = serde_json::to_vec(&answer).unwrap();
    assert!(long.len() > 2 << 20, "more than is read as one document");
    assert_eq!(count(&long), (events * times as u64, bad * times as u64));
    let two = [&long[..], &long[..]].join(&b'\n');
    assert_eq!(
        count(&two),
        (2 * events * times as u64, 2 * bad * times as u64)
    );
}

#[test]
fn an_envelope_that_loses_nothing_changes_no_finding() {
    let lossless = |wrapped: &Scan| wrapped.summary.totals.partial == 0;
    let without_ids = |found: &Scan| {
        let lines = json(&found.outcome.findings);
        let lines = lines.lines().map(|line| {
            let mut finding: Value = serde_json::from_str(line).unwrap();
            for evidence in finding["evidence"].as_array_mut().unwrap() {
                evidence["length"] = Value::Null;
            }
            finding
        });
        lines.collect::<Vec<_>>()
    };
    let mut compared = 0;
    for (name, wrapped, expected) in pairs() {
        let (wrapped, expected) = (scan(&wrapped), scan(&expected));
        assert_eq!(wrapped.summary.totals.odd, 0, "{name}");
        if lossless(&wrapped) {
            assert_eq!(without_ids(&wrapped), without_ids(&expected), "{name}");
            compared += expected.outcome.findings.len();
        }
    }
    assert!(compared > 100, "the pairs hold findings: {compared}");
}

#[test]
fn layout_and_encoding_do_not_matter() {
    let log = read(&root().join("sample-logs/v1.36/anonymous.log"));
    let log = std::str::from_utf8(&log).unwrap();
    let events: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let list = serde_json::json!({
        "kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": events
    });
    let utf16 = |text: &str| -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect()
    };
    let pretty: Vec<String> = events
        .iter()
        .map(|event| serde_json::to_string_pretty(event).unwrap())
        .collect();
    let layouts: [(&str, Vec<u8>); 9] = [
        ("pretty", pretty.join("\n").into()),
        ("array", serde_json::to_vec(&events).unwrap()),
        ("pretty array", serde_json::to_vec_pretty(&events).unwrap()),
        ("list on one line", list.to_string().into()),
        ("pretty list", serde_json::to_vec_pretty(&list).unwrap()),
        ("without line ends", log.replace('\n', "").into()),
        ("CRLF", log.replace('\n', "\r\n").into()),
        ("CR", log.replace('\n', "\r").into()),
        ("UTF-16", utf16(log)),
    ];
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit.log");
    let scanned = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        let found = scan(&path);
        let totals = found.summary.totals;
        assert!(totals.adds_up() && totals.bad == 0, "{totals:?}");
        let findings = found.outcome.findings.iter();
        let ids = findings.map(|finding| (finding.finding_id.clone(), finding.count));
        (totals.events, ids.collect::<Vec<_>>())
    };
    let plain = scanned(log.as_bytes());
    assert!(plain.1.len() > 3);
    for (name, content) in layouts {
        assert_eq!(scanned(&content), plain, "{name}");
    }
}
