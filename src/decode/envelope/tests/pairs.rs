//! Pairs of files, one folder a shape: `wrapped.*` as it arrives, and `expected.jsonl`, the events
//! in it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use super::super::{Item, Unwrapper, csv};

/// Shape, chain of its first event, and what else is in the file: names, and causes behind `bad: `.
const SHAPES: [(&str, &str, &[&str]); 62] = [
    ("aks-audit-csv", "CSV > AKSAudit", &["a CSV header"]),
    (
        "aks-audit-table",
        "AKSAudit",
        &["an AKS record of category `kube-controller-manager`"],
    ),
    (
        "aks-diagnostics",
        "array > AKS kube-audit",
        &["an AKS record of category `cluster-autoscaler`"],
    ),
    (
        "aks-diagnostics-csv",
        "CSV > AKS kube-audit",
        &["a CSV header", "an AKS record of category `kube-scheduler`"],
    ),
    (
        "aks-event-hub",
        "Azure Monitor > AKS kube-audit",
        &[
            "an AKS record of category `kube-apiserver`",
            "an Azure activity log record of category `Administrative`",
        ],
    ),
    ("aks-parsed", "AKS kube-audit", &[]),
    (
        "aks-storage",
        "AKS kube-audit",
        &["an AKS record of category `guard`"],
    ),
    ("array", "array", &["a core `Event` object"]),
    (
        "cri",
        "CRI",
        &[
            "part of a longer container log line",
            "a klog line",
            "part of a longer container log line",
            "part of a longer container log line",
            "part of a longer container log line",
            "part of a longer container log line",
        ],
    ),
    ("csv-over-lines", "CSV > Splunk", &["a CSV header"]),
    ("datadog", "Datadog", &["a JSON object of another kind"]),
    (
        "docker",
        "docker",
        &[
            "part of a longer container log line",
            "part of a longer container log line",
            "part of a longer container log line",
            "part of a longer container log line",
            "a klog line",
            "part of a longer container log line",
        ],
    ),
    (
        "eks-filter-log-events",
        "CloudWatch Logs",
        &["an EKS log line of `authenticator`"],
    ),
    ("eks-get-log-events", "CloudWatch Logs", &[]),
    ("eks-insights", "CloudWatch Logs Insights", &[]),
    (
        "eks-insights-csv",
        "CSV > CloudWatch Logs Insights",
        &["a CSV header"],
    ),
    ("eks-insights-fields", "CloudWatch Logs Insights", &[]),
    ("eks-insights-fields-csv", "CSV", &["a CSV header"]),
    ("eks-insights-undoubled-csv", "CSV", &["a CSV header"]),
    (
        "eks-kinesis",
        "records > Kinesis > CloudWatch Logs",
        &["a CloudWatch control message"],
    ),
    (
        "eks-lambda",
        "CloudWatch subscription > CloudWatch Logs",
        &[],
    ),
    (
        "eks-logs-tail",
        "CloudWatch Logs",
        &["an EKS log line of `authenticator`"],
    ),
    (
        "eks-s3-export",
        "time prefix",
        &["a klog line", "the write test of a CloudWatch export task"],
    ),
    (
        "eks-subscription",
        "CloudWatch Logs",
        &[
            "a CloudWatch control message",
            "an EKS log line of `kube-scheduler`",
        ],
    ),
    ("elastic-agent", "Elastic", &[]),
    (
        "elastic-hits",
        "Elasticsearch > message",
        &["an Elasticsearch document that holds no audit event"],
    ),
    ("event-list", "EventList", &[]),
    ("event-list-v1beta1", "EventList", &[]),
    ("filebeat", "Elastic", &[]),
    ("firehose", "records > Firehose", &[]),
    ("flattened", "flattened", &[]),
    ("fluent-bit", "Fluent", &["a klog line"]),
    ("fluentd", "Fluent", &[]),
    (
        "gke",
        "GKE",
        &["a GKE cluster management record (container.googleapis.com)"],
    ),
    (
        "gke-array",
        "array > GKE",
        &["a GKE cluster management record (container.googleapis.com)"],
    ),
    ("gke-bigquery", "GKE", &[]),
    ("gke-pubsub", "Pub/Sub > GKE", &[]),
    ("journald", "journald", &["a klog line"]),
    ("json-strings", "string", &[]),
    ("legacy", "legacy text", &["a klog line"]),
    ("legacy-1.7", "legacy text", &[]),
    ("log-analytics", "Log Analytics > AKSAudit", &[]),
    ("logcli", "Loki", &[]),
    ("logcli-text", "Loki", &[]),
    ("loki-api", "Loki", &["a klog line"]),
    (
        "look-alikes",
        "",
        &[
            "a core `Event` object",
            "a core `Event` object",
            "a record of Rancher's own API audit log",
            "a CloudTrail record",
            "a GKE cluster management record (container.googleapis.com)",
            "a klog line",
            "a logfmt line, as of `aws-iam-authenticator`",
            "a Kubernetes object of kind `ConfigMap`",
            "an OCSF record (Security Lake)",
            "a JSON object of another kind",
            "a listing of audit log files",
            "YAML; export it as JSON",
        ],
    ),
    ("native-columns-csv", "CSV", &["a CSV header"]),
    ("nested", "docker > CloudWatch Logs", &[]),
    ("openshift-node-logs", "node prefix", &["a klog line"]),
    ("openshift-viaq", "", &["an OpenShift record of `auditd`"]),
    ("otlp", "OTLP", &["a klog line"]),
    ("ovh", "message", &[]),
    ("sekoia", "input > message", &[]),
    ("sns", "SNS", &[]),
    (
        "splunk-csv",
        "CSV > Splunk",
        &["a CSV header", "a klog line"],
    ),
    ("splunk-export", "Splunk", &[]),
    ("splunk-hec", "Splunk", &[]),
    ("sqs", "records > SQS", &[]),
    ("stripped", "", &[]),
    ("syslog-3164", "syslog", &["a log line that is no JSON"]),
    ("syslog-5424", "syslog", &["a log line that is no JSON"]),
    ("vector", "Vector", &["a log line that is no JSON"]),
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/envelopes")
}

#[test]
fn every_shape_has_a_folder() {
    let found: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let named: BTreeSet<String> = SHAPES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(found, named);
}

#[test]
fn every_shape_gives_its_events() {
    let mut failures = Vec::new();
    for (shape, chain, others) in SHAPES {
        let found = unwrap(shape);
        let expected =
            std::fs::read_to_string(folder().join(shape).join("expected.jsonl")).unwrap();
        let expected: Vec<Value> = expected
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        for (idx, (found, expected)) in found.events.iter().zip(&expected).enumerate() {
            if found != expected {
                failures.push(format!(
                    "{shape}: event {idx}\n  found    {found}\n  expected {expected}"
                ));
            }
        }
        if found.events.len() != expected.len() {
            failures.push(format!(
                "{shape}: {} events for {}",
                found.events.len(),
                expected.len()
            ));
        }
        if found.chain != chain || found.others != others {
            failures.push(format!(
                "    ({shape:?}, {:?}, &{:?}),",
                found.chain, found.others
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[derive(Default)]
struct Unwrapped {
    events: Vec<Value>,
    chain: String,
    others: Vec<String>,
}

/// Returns the records of a shape, and whether they are CSV: a `.json` file is one record, any
/// other is a record a line, or a row of CSV.
fn records(shape: &str) -> (Vec<String>, bool) {
    let file = std::fs::read_dir(folder().join(shape))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_stem().is_some_and(|stem| stem == "wrapped"))
        .unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let ends_with = |wanted: &str| {
        file.extension()
            .is_some_and(|extension| extension == wanted)
    };
    let is_csv = ends_with("csv");
    if ends_with("json") {
        return (vec![text], is_csv);
    }
    let mut records: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in text.lines() {
        match records.last_mut().filter(|_| is_open) {
            Some(row) => *row = format!("{row}\n{line}"),
            None => records.push(line.to_owned()),
        }
        is_open ^= is_csv && line.matches('"').count() % 2 == 1;
    }
    (records, is_csv)
}

fn unwrap(shape: &str) -> Unwrapped {
    let (records, is_csv) = records(shape);
    assert_eq!(csv::is_header(&records[0]), is_csv, "{shape}");
    let mut unwrapped = Unwrapped::default();
    let mut open = Unwrapper::new(None, is_csv.then(|| &*records[0]));
    let mut n_items = 0;
    let mut take = |item: Item<'_>| {
        n_items += 1;
        match item {
            Item::Event(found) => {
                if unwrapped.events.is_empty() {
                    found.envelope.clone_into(&mut unwrapped.chain);
                }
                unwrapped
                    .events
                    .push(serde_json::from_str(found.text).unwrap());
            }
            Item::Other { what, .. } => unwrapped.others.push(what.into_owned()),
            Item::Bad { cause } => unwrapped.others.push(format!("bad: {cause}")),
        }
    };
    for record in &records {
        open.record(record, &mut take);
    }
    open.finish(&mut take);
    assert!(
        n_items >= records.len(),
        "{shape}: every record gives an item"
    );
    unwrapped
}

#[test]
fn cut_records_give_no_other_events() {
    for (shape, ..) in SHAPES {
        // The last cell of a row may be cut and still be a value.
        if shape == "eks-insights-fields-csv" {
            continue;
        }
        let (records, is_csv) = records(shape);
        let expected: Vec<Value> = unwrap(shape).events;
        for record in &records {
            for at in (0..record.len()).filter(|at| at % 13 == 0 && record.is_char_boundary(*at)) {
                let mut open = Unwrapper::new(None, is_csv.then(|| &*records[0]));
                let mut n_items = 0;
                open.record(&record[..at], &mut |item| {
                    n_items += 1;
                    if let Item::Event(found) = item {
                        let event: Value = serde_json::from_str(found.text).unwrap();
                        assert!(
                            expected.contains(&event) || shape == "legacy-1.7",
                            "{shape}: {at} {event}"
                        );
                    }
                });
                assert!(n_items > 0, "{shape}: {at}");
            }
        }
    }
}

#[test]
fn damaged_records_are_counted_and_events_are_json() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    for (shape, ..) in SHAPES {
        let (records, is_csv) = records(shape);
        for round in 0..60 {
            let mut open = Unwrapper::new(None, is_csv.then(|| &*records[0]));
            for record in &records {
                let mut bytes = record.clone().into_bytes();
                for _ in 0..=round % 4 {
                    let at = random(bytes.len());
                    match random(3) {
                        0 => bytes[at] = b"{}[]\",:\\ 0n"[random(11)],
                        1 => drop(bytes.drain(at..(at + random(40)).min(bytes.len() - 1).max(at))),
                        _ => bytes.insert(at, b"{}[]\",:\\ 0n"[random(11)]),
                    }
                }
                let text = String::from_utf8_lossy(&bytes);
                let mut n_items = 0;
                open.record(&text, &mut |item| {
                    n_items += 1;
                    if let Item::Event(found) = item {
                        let read: Result<serde::de::IgnoredAny, _> =
                            serde_json::from_str(found.text);
                        assert!(read.is_ok(), "{shape}: {}", found.text);
                    }
                });
                assert!(n_items > 0, "{shape}: {text}");
            }
        }
    }
}

/// Checks cluster, node and stream of the last event of a shape, as `cluster|node|stream`.
fn check_place(shape: &str, expected: &str) {
    let (records, is_csv) = records(shape);
    let mut open = Unwrapper::new(None, is_csv.then(|| &*records[0]));
    let mut place = String::new();
    for record in &records {
        open.record(record, &mut |item| {
            if let Item::Event(found) = item {
                let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
                place = [text(found.cluster), text(found.node), text(found.stream)].join("|");
            }
        });
    }
    assert_eq!(place, expected, "{shape}");
}

#[test]
fn envelopes_name_cluster_node_and_stream() {
    const STREAM: &str = "kube-apiserver-audit-0a1b2c3d4e5f60718293a4b5c6d7e8f9";
    check_place("eks-subscription", &format!("prod||{STREAM}"));
    check_place("eks-lambda", &format!("prod||{STREAM}"));
    check_place("eks-insights", &format!("prod||{STREAM}"));
    check_place("eks-insights-csv", &format!("prod||{STREAM}"));
    check_place("eks-filter-log-events", &format!("||{STREAM}"));
    check_place("eks-logs-tail", &format!("||{STREAM}"));
    check_place("aks-event-hub", "AKS-PROD||kube-apiserver-5db6f4-xk2lp");
    check_place("aks-diagnostics-csv", "AKS-PROD||kube-apiserver-1");
    check_place("aks-audit-csv", "AKS-PROD||p");
    check_place("gke", "gke-prod||");
    check_place("openshift-node-logs", "|master-0.ocp.example.com|");
    check_place("fluent-bit", "|m0|");
    check_place("filebeat", "|m0|");
    check_place("vector", "|m0|");
    check_place("logcli", "prod|m0|");
    check_place("loki-api", "prod||");
    check_place("splunk-export", "|m0|");
    check_place("otlp", "prod|m0|");
    check_place("journald", "|m0|");
    check_place("syslog-5424", "|m0|");
    check_place("syslog-3164", "|m0|");
    check_place("cri", "||");
}

#[test]
fn the_name_of_a_stream_hides_no_event() {
    let event = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"ResponseComplete","requestURI":"/api","verb":"get","user":{"username":"eve"}}"#;
    let message = serde_json::to_string(event).unwrap();
    for stream in [
        "kube-apiserver-audit",
        "kube-apiserver-audit.ip-10-0-0-1",
        "kube-apiserver-ip-10-0-0-1-audit",
        "authenticator-0a1b2c3d",
    ] {
        let answer = format!(
            r#"{{"events":[{{"logStreamName":"{stream}","timestamp":1,"message":{message},"ingestionTime":1,"eventId":"1"}}],"searchedLogStreams":[]}}"#
        );
        let line = format!("2026-11-22T05:01:02.123000+00:00 {stream} {event}");
        for record in [answer, line] {
            let mut n_events = 0;
            let mut open = Unwrapper::new(None, None);
            open.record(&record, &mut |item| {
                n_events += usize::from(matches!(item, Item::Event(_)));
            });
            assert_eq!(n_events, 1, "{record}");
        }
    }
}

#[test]
fn envelopes_that_keep_the_text_give_it_byte_for_byte() {
    // The decoder's fast path and the search for duplicates across sources rest on it.
    for shape in [
        "array",
        "aks-event-hub",
        "aks-diagnostics-csv",
        "cri",
        "docker",
        "eks-insights-csv",
        "eks-kinesis",
        "eks-logs-tail",
        "eks-subscription",
        "event-list",
        "filebeat",
        "journald",
        "loki-api",
        "nested",
        "openshift-node-logs",
        "splunk-csv",
        "syslog-3164",
    ] {
        let (records, is_csv) = records(shape);
        let expected =
            std::fs::read_to_string(folder().join(shape).join("expected.jsonl")).unwrap();
        let mut expected = expected.lines();
        let mut open = Unwrapper::new(None, is_csv.then(|| &*records[0]));
        for record in &records {
            open.record(record, &mut |item| {
                if let Item::Event(found) = item {
                    assert_eq!(Some(found.text), expected.next(), "{shape}");
                }
            });
        }
    }
}
