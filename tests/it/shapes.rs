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

/// An event as the tools of `MongoDB` write it.
fn of_mongo(event: &Value, is_canonical: bool) -> Value {
    let mut event = event.clone();
    event["_id"] = serde_json::json!({"$oid": "6740000000000000000000aa"});
    for name in ["requestReceivedTimestamp", "stageTimestamp"] {
        event[name] = serde_json::json!({"$date": event[name]});
    }
    let code = event["responseStatus"]["code"].clone();
    if is_canonical && code.is_number() {
        event["responseStatus"]["code"] = serde_json::json!({"$numberInt": code.to_string()});
    }
    event
}

#[test]
fn wrappings_change_no_finding() {
    let log = read(&root().join("sample-logs/v1.36/anonymous.log"));
    let log = std::str::from_utf8(&log).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    let each = |wrap: &dyn Fn(&str) -> String| -> Vec<u8> {
        lines
            .iter()
            .map(|line| wrap(line))
            .collect::<String>()
            .into()
    };
    let json = |value: Value| value.to_string().into_bytes();
    let parsed = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    let pretty = |line: &str| serde_json::to_string_pretty(&parsed(line)).unwrap();
    let syslog = |line: &str| format!("<134>1 2026-11-22T05:00:00Z host apiserver 1 - - {line}");
    let counted = |line: &str| format!("{} {}", syslog(line).len(), syslog(line));
    let escaped = |line: &str| line.replace('\\', "\\\\").replace('=', "\\=");
    let fields = ["_time", "_raw", "host"];
    let records: Vec<Value> = (lines.iter())
        .map(|line| serde_json::json!({"time_unix_nano": "1", "body": {"string_value": line}}))
        .collect();
    let wrappings: [(&str, Vec<u8>); 15] = [
        (
            "aws logs tail --format json",
            each(&|line| {
                format!(
                    "2026-11-22T05:00:00.1+00:00 kube-apiserver-audit-a {}\n",
                    pretty(line)
                )
            }),
        ),
        (
            "text before pretty JSON",
            each(&|line| format!("host: {}\n", pretty(line))),
        ),
        ("syslog with lengths", each(&counted)),
        ("syslog with lengths and line ends", {
            each(&|line| format!("{} {}\n", syslog(line).len() + 1, syslog(line)))
        }),
        (
            "OTLP in snake case",
            json(
                serde_json::json!({"resource_logs": [{"scope_logs": [{"log_records": records}]}]}),
            ),
        ),
        (
            "mongoexport",
            each(&|line| format!("{}\n", of_mongo(&parsed(line), false))),
        ),
        (
            "mongoexport, canonical",
            each(&|line| format!("{}\n", of_mongo(&parsed(line), true))),
        ),
        (
            "Splunk columns",
            json(
                serde_json::json!({"fields": fields, "columns": [vec!["t"; lines.len()], lines, vec!["h"; lines.len()]]}),
            ),
        ),
        ("Splunk columns with what is known of fields", {
            let fields = fields.map(|name| serde_json::json!({"name": name}));
            json(
                serde_json::json!({"fields": fields, "columns": [vec!["t"; lines.len()], lines, vec!["h"; lines.len()]]}),
            )
        }),
        (
            "TSV",
            [
                b"timestamp\tmessage\thost\n".to_vec(),
                each(&|line| format!("t\t{line}\th\n")),
            ]
            .concat(),
        ),
        (
            "CEF",
            each(&|line| {
                format!(
                    "CEF:0|V|P|1|1|audit|3|rt=1 msg={} outcome=ok\n",
                    escaped(line)
                )
            }),
        ),
        ("CEF behind syslog, nothing escaped", {
            each(&|line| format!("<13>Nov 22 05:00:00 h CEF:0|V|P|1|1|audit|3|msg={line}\n"))
        }),
        (
            "LEEF",
            each(&|line| {
                format!(
                    "LEEF:2.0|V|P|1|e|\tdevTime=x\tmsg={}\tsev=3\n",
                    escaped(line)
                )
            }),
        ),
        (
            "journalctl -o export",
            each(&|line| format!("__CURSOR=s=1\n_HOSTNAME=n\nPRIORITY=6\nMESSAGE={line}\n\n")),
        ),
        (
            "journalctl -o json-sse",
            each(&|line| format!("data: {}\n\n", serde_json::json!({"MESSAGE": line}))),
        ),
    ];
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit.log");
    let scanned = |name: &str, content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        let found = scan(&path);
        let totals = found.summary.totals;
        assert!(
            totals.adds_up() && totals.recovered == 0,
            "{name}: {totals:?}"
        );
        let findings = found.outcome.findings.iter();
        let ids = findings.map(|finding| (finding.finding_id.clone(), finding.count));
        (
            totals.events,
            totals.bad,
            totals.first,
            ids.collect::<Vec<_>>(),
        )
    };
    let plain = scanned("plain", log.as_bytes());
    assert!(plain.3.len() > 3);
    for (name, content) in wrappings {
        // What stands before a document over several lines is a record by itself.
        let found = scanned(name, &content);
        let n_bad = if name.starts_with("text") { plain.0 } else { 0 };
        assert_eq!(found, (plain.0, n_bad, plain.2, plain.3.clone()), "{name}");
    }
}
