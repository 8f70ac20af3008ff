//! Cards of recorded and of made-up logs, held against what the kept events say one by one.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::detect::CompiledRules;
use crate::finding::Timestamp;
use crate::finding::credential::{Credential, Ended, Minted};
use crate::finding::incident::Surroundings;
use crate::frame::{Column, Vocabulary};
use crate::pipeline;
use crate::query::Questions;
use crate::report::clean;
use crate::rules::RuleSet;
use crate::store::filter::Rows;
use crate::store::{Field, Limits, Store};
use crate::tui::document::Look;
use crate::tui::pivot::Object;

static RULES: LazyLock<(RuleSet, CompiledRules)> = LazyLock::new(|| {
    let rules = RuleSet::embedded().unwrap();
    let compiled = CompiledRules::compile(&rules).unwrap_or_else(|_| panic!("rules compile"));
    (rules, compiled)
});

struct Log {
    snapshot: Snapshot,
    results: Results,
    /// Holds the folder of what is in files.
    _store: Store,
}

/// A request as the brute force sees it.
type Request = BTreeMap<&'static str, String>;

impl Log {
    fn read(paths: &[PathBuf]) -> Self {
        Self::read_within(paths, Limits::default())
    }

    fn read_within(paths: &[PathBuf], limits: Limits) -> Self {
        let store = Store::new(&Vocabulary::new(), limits);
        let options = pipeline::Options {
            paths: paths.to_vec(),
            evidence_limit: 20,
            store: Some(store.clone()),
            ..pipeline::Options::default()
        };
        let (rules, compiled) = &*RULES;
        let scan = pipeline::scan(&options, rules, compiled).unwrap();
        let snapshot = store.snapshot();
        let mut results = Results {
            findings: scan.outcome.findings.into(),
            incidents: scan.outcome.incidents.into(),
            summary: scan.summary.into(),
            ..Results::default()
        };
        results.credentials = credentials_of(&requests(&snapshot)).into();
        Self {
            snapshot,
            results,
            _store: store,
        }
    }

    fn sample(name: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self::read(&[root.join(name)])
    }

    fn sources(&self) -> Sources<'_> {
        Sources {
            snapshot: &self.snapshot,
            results: &self.results,
            clock: Clock::Utc,
        }
    }

    fn card(&self, pivot: &Pivot) -> Document {
        let stop = AtomicBool::new(false);
        card(pivot, &self.sources(), &stop)
            .unwrap()
            .expect("not stopped")
    }

    fn overview(&self) -> Document {
        let progress = Progress {
            is_done: true,
            ..Progress::default()
        };
        let stop = AtomicBool::new(false);
        overview(&self.sources(), &progress, &stop)
            .unwrap()
            .expect("not stopped")
    }
}

/// Returns all requests, field by field, without filters or lists of rows.
fn requests(snapshot: &Snapshot) -> Vec<Request> {
    let mut requests = Vec::new();
    for segment in &*snapshot.segments {
        let lanes: Vec<_> = Field::all()
            .map(|field| {
                (
                    field.name(),
                    segment.lane(field, &snapshot.vocabulary).unwrap(),
                )
            })
            .collect();
        let times = segment.times(&snapshot.vocabulary).unwrap();
        for (row_idx, time) in times.iter().enumerate() {
            if segment.is(Rows::Requests, row_idx) {
                let mut request: Request = lanes
                    .iter()
                    .map(|(name, lane)| {
                        (*name, lane.show(row_idx, &snapshot.vocabulary).into_owned())
                    })
                    .collect();
                request.insert("time", time.to_string());
                requests.push(request);
            }
        }
    }
    requests
}

fn time(request: &Request) -> i64 {
    request["time"].parse().unwrap()
}

/// Returns the credentials of a log as the list of them has it, as far as these tests need.
fn credentials_of(requests: &[Request]) -> Vec<Credential> {
    let mut all: BTreeMap<String, Credential> = BTreeMap::new();
    for request in requests
        .iter()
        .filter(|request| !request["credential"].is_empty())
    {
        let at = Timestamp(time(request));
        let entry = all
            .entry(request["credential"].clone())
            .or_insert_with(|| credential(&request["credential"], &request["username"]));
        entry.requests += 1;
        entry.first_use = Some(entry.first_use.map_or(at, |first| first.min(at)));
        entry.last_use = Some(entry.last_use.map_or(at, |last| last.max(at)));
    }
    all.into_values().collect()
}

fn credential(key: &str, username: &str) -> Credential {
    Credential {
        credential: key.to_owned(),
        credential_kind: "unknown".to_owned(),
        username: username.to_owned(),
        identity_kind: "user".to_owned(),
        user_uid: None,
        token_pod: None,
        first_use: None,
        last_use: None,
        requests: 0,
        uses: Vec::new(),
        more_uses: 0,
        minted: None,
        ended: None,
        uses_after_end: 0,
        last_use_after_end: None,
    }
}

fn minted(key: &str, with: &str, at: i64) -> Credential {
    Credential {
        minted: Some(Minted {
            by: "alice".to_owned(),
            with: with.to_owned(),
            at: Timestamp(at),
        }),
        ..credential(key, "alice")
    }
}

fn text(document: &Document) -> String {
    let lines = document.lines.iter().map(|line| {
        let indent = " ".repeat(line.indent.into());
        let parts = line.parts.iter().map(|part| part.text.as_str());
        format!("{indent}{}\n", parts.collect::<String>())
    });
    lines.collect()
}

fn links(document: &Document) -> impl Iterator<Item = &Pivot> {
    let parts = document.lines.iter().flat_map(|line| &line.parts);
    parts.filter_map(|part| part.link.as_ref())
}

/// Returns the number behind a label, such as that of `requests`.
fn number(document: &Document, label: &str) -> usize {
    let text = text(document);
    let line = text.lines().find_map(|line| line.strip_prefix(label));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.unwrap_or_else(|| panic!("no {label} in:\n{text}"))
        .trim_end_matches(':')
        .parse()
        .unwrap()
}

/// Returns the lines behind a heading.
fn section(document: &Document, heading: &str) -> (usize, Vec<String>) {
    let is_heading = |line: &crate::tui::document::Line| {
        line.parts
            .first()
            .is_some_and(|part| part.look == Look::Heading)
    };
    let from = document
        .lines
        .iter()
        .position(|line| is_heading(line) && line.parts[0].text.starts_with(heading));
    let Some(from) = from else {
        return (0, Vec::new());
    };
    let title = &document.lines[from].parts[0].text;
    let count = title
        .rsplit_once('(')
        .and_then(|(_, rest)| rest.split([')', ' ']).next());
    let lines = document.lines[from + 1..].iter();
    let lines = lines.take_while(|line| !line.parts.is_empty()).map(|line| {
        let parts = line.parts.iter().map(|part| part.text.as_str());
        parts.collect::<String>()
    });
    (
        count.unwrap_or("0").parse().unwrap_or_default(),
        lines.collect(),
    )
}

fn distinct<'r>(requests: &[&'r Request], fields: &[&str]) -> BTreeSet<Vec<&'r str>> {
    let values = |request: &&'r Request| {
        let request: &'r Request = request;
        fields
            .iter()
            .map(|field| request[*field].as_str())
            .collect()
    };
    requests.iter().map(values).collect()
}

const LOGS: [&str; 4] = [
    "sample-logs/v1.36/system-masters.log",
    "sample-logs/v1.36/token-reuse.log.gz",
    "sample-logs/v1.36/refused.log.gz",
    "sample-logs/v1.20/token-reuse.log.gz",
];

#[test]
fn counts_are_those_of_the_events() {
    for name in LOGS {
        let log = Log::sample(name);
        let all = requests(&log.snapshot);
        let by = |field: &str| {
            let mut by: BTreeMap<&str, Vec<&Request>> = BTreeMap::new();
            for request in all.iter().filter(|request| !request[field].is_empty()) {
                by.entry(&request[field]).or_default().push(request);
            }
            by
        };
        for (user, requests) in by("username") {
            let card = log.card(&Pivot::Identity(user.to_owned()));
            assert_eq!(number(&card, "requests"), requests.len(), "{user}");
            let addresses = distinct(&requests, &["peer_ip"]).len();
            assert_eq!(section(&card, "Addresses").0, addresses, "{user}");
            let credentials = distinct(&requests, &["credential", "credential_kind"]).len();
            assert_eq!(section(&card, "Credentials").0, credentials, "{user}");
            let grid = section(&card, "Resources and verbs");
            assert_eq!(grid.0, distinct(&requests, &["resource"]).len(), "{user}");
            let total = grid.1.last().unwrap().split_whitespace();
            let total: usize = total.filter_map(|word| word.parse::<usize>().ok()).sum();
            assert_eq!(total, requests.len(), "{user}");
        }
        for (key, requests) in by("credential") {
            let card = log.card(&Pivot::Credential(key.to_owned()));
            assert_eq!(number(&card, "requests"), requests.len(), "{key}");
            let uses = distinct(&requests, &["peer_ip", "user_agent"]).len();
            assert_eq!(section(&card, "Where it was used").0, uses, "{key}");
            let issued = requests
                .iter()
                .filter(|one| !one["issued_credential_id"].is_empty());
            let issued: BTreeSet<&str> = issued
                .map(|one| one["issued_credential_id"].as_str())
                .collect();
            assert_eq!(
                section(&card, "What was minted with it").0,
                issued.len(),
                "{key}"
            );
        }
        for (address, requests) in by("peer_ip") {
            let card = log.card(&Pivot::Address(address.to_owned()));
            assert_eq!(number(&card, "requests"), requests.len(), "{address}");
            let mut users = distinct(&requests, &["username"]);
            let nameless = users.remove(&vec![""]);
            assert_eq!(section(&card, "Identities").0, users.len(), "{address}");
            assert_eq!(text(&card).contains("\nnameless"), nameless, "{address}");
        }
        for (agent, requests) in by("user_agent") {
            let card = log.card(&Pivot::Value(Column::UserAgent.into(), agent.to_owned()));
            assert_eq!(number(&card, "requests"), requests.len(), "{agent}");
        }
    }
}

#[test]
fn objects_have_all_their_requests() {
    for name in LOGS {
        let log = Log::sample(name);
        let all = requests(&log.snapshot);
        let mut objects: BTreeSet<(&str, &str, &str)> = BTreeSet::new();
        for request in all.iter().filter(|request| !request["name"].is_empty()) {
            objects.insert((
                &request["resource"],
                &request["namespace"],
                &request["name"],
            ));
        }
        for (resource, namespace, name) in objects {
            let is_it = |request: &&Request| {
                let of_all = request["verb"] == "deletecollection" && request["name"].is_empty();
                request["resource"] == resource
                    && (namespace.is_empty() || request["namespace"] == namespace)
                    && (request["name"] == name || of_all)
            };
            let requests: Vec<&Request> = all.iter().filter(is_it).collect();
            let card = log.card(&Pivot::Object(Object {
                resource: resource.to_owned(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }));
            let what = format!("{resource} {namespace}/{name}");
            assert_eq!(number(&card, "requests"), requests.len(), "{what}");
            let reads = |request: &&&Request| {
                matches!(&*request["verb"], "get" | "list" | "watch")
                    && matches!(&*request["subresource"], "" | "status" | "scale")
                    && resource != "secrets"
            };
            let status = |request: &&&Request| {
                !matches!(&*request["verb"], "get" | "list" | "watch")
                    && matches!(&*request["subresource"], "status" | "finalize")
            };
            let hidden =
                requests.iter().filter(reads).count() + requests.iter().filter(status).count();
            let listed = section(&card, "What happened to it").0;
            assert_eq!(listed, requests.len() - hidden, "{what}");
        }
    }
}

#[test]
fn uses_after_the_end_are_counted_and_listed() {
    let mut log = Log::sample("sample-logs/v1.36/token-reuse.log.gz");
    let all = requests(&log.snapshot);
    let mut credentials = log.results.credentials.to_vec();
    credentials.sort_by_key(|one| std::cmp::Reverse(one.requests));
    let busy = credentials[0].credential.clone();
    let of_busy: Vec<&Request> = all.iter().filter(|one| one["credential"] == busy).collect();
    let received = |request: &Request| {
        let time = chrono::DateTime::parse_from_rfc3339(&request["ts"]).unwrap();
        time.timestamp_micros()
    };
    let mut times: Vec<i64> = of_busy.iter().map(|request| received(request)).collect();
    times.sort_unstable();
    let end = times[times.len() / 2];
    let after = times.iter().filter(|&&time| time > end).count();
    assert!(after > 20, "{after}");
    credentials[0].ended = Some(Ended {
        object: "ServiceAccount prod/web".to_owned(),
        at: Timestamp(end),
        by: "alice".to_owned(),
        is_gone: true,
        is_renewed: false,
    });
    credentials[0].uses_after_end = 7;
    credentials[0].last_use_after_end = Some(Timestamp(times[times.len() - 1]));
    log.results.credentials = credentials.into();
    let card = log.card(&Pivot::Credential(busy.clone()));
    let (count, lines) = section(&card, "Requests after the end");
    assert_eq!(count, after);
    assert_eq!(
        lines.len(),
        1 + 20 + 1,
        "a note, the first, and how many more"
    );
    assert_eq!(lines[21], format!("+{} more", after - 20));
    assert!(text(&card).contains("ServiceAccount prod/web was deleted"));
    let rows = credentials_rows(&log);
    assert!(rows[0].is_undead);
    assert_eq!(rows[0].pivot, Pivot::Credential(busy));
}

fn credentials_rows(log: &Log) -> Vec<CredentialRow> {
    credentials(&log.sources())
}

#[test]
fn every_link_leads_to_a_card() {
    let questions = Questions::embedded().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-logs");
    for version in ["v1.20", "v1.36"] {
        let log = Log::read(&[root.join(version)]);
        let mut seen: HashSet<Pivot> = HashSet::new();
        let overview = log.overview();
        let mut queue: VecDeque<Pivot> = links(&overview).cloned().collect();
        queue.extend(credentials_rows(&log).into_iter().map(|row| row.pivot));
        while let Some(pivot) = queue.pop_front() {
            // Of the many alike, some suffice.
            let of_kind = seen
                .iter()
                .filter(|other| std::mem::discriminant(*other) == std::mem::discriminant(&pivot));
            if of_kind.count() >= 150 || !seen.insert(pivot.clone()) {
                continue;
            }
            let card = log.card(&pivot);
            assert!(!card.title.is_empty(), "{pivot:?}");
            let text = text(&card);
            assert!(!text.starts_with("No "), "{pivot:?}: {text}");
            let holds_any = match &pivot {
                Pivot::Identity(_) | Pivot::Address(_) | Pivot::Value(..) => {
                    !text.contains("requests    0 requests")
                }
                Pivot::Place(_) => false,
                _ => true,
            };
            let acted_on = matches!(&pivot, Pivot::Identity(_));
            assert!(holds_any || acted_on, "{pivot:?}: {text}");
            if let Pivot::Question(name, parameters) = &pivot {
                let question = questions.find(name).unwrap();
                for (name, _) in parameters {
                    assert!(
                        question.parameters.iter().any(|one| one.name == *name),
                        "{pivot:?}"
                    );
                }
            }
            queue.extend(links(&card).cloned());
        }
        assert!(seen.len() > 200, "{}", seen.len());
    }
}

#[test]
fn a_circle_of_mints_ends() {
    let mut log = Log::sample("sample-logs/v1.36/anonymous.log");
    let credentials = [
        minted("JTI=a", "JTI=c", 3),
        minted("JTI=b", "JTI=a", 1),
        minted("JTI=c", "JTI=b", 2),
    ];
    log.results.credentials = credentials.to_vec().into();
    for key in ["JTI=a", "JTI=b", "JTI=c"] {
        let card = log.card(&Pivot::Credential(key.to_owned()));
        let circles = text(&card).matches("and so in a circle").count();
        assert_eq!(circles, 2, "{}", text(&card));
    }
    // One that made itself, chains and crowds.
    let mut many = vec![minted("JTI=self", "JTI=self", 1)];
    many.extend((1..5000).map(|at| minted(&format!("JTI={at}"), &format!("JTI={}", at - 1), at)));
    many.extend((0..5000).map(|at| minted(&format!("JTI=x{at}"), "JTI=crowd", at)));
    log.results.credentials = many.into();
    for key in ["JTI=self", "JTI=0", "JTI=4999", "JTI=crowd", "JTI=x1"] {
        let card = log.card(&Pivot::Credential(key.to_owned()));
        assert!(card.lines.len() < 300, "{key}: {}", card.lines.len());
    }
    let card = log.card(&Pivot::Credential("JTI=crowd".to_owned()));
    assert!(text(&card).contains("5000 of them, the first 20:"));
}

#[test]
fn hostile_texts_are_shown_and_do_nothing() {
    let hostile = "\u{1b}[2J\u{202e}x\r\nwho alice\u{9b}31m";
    let event = |idx: usize| {
        serde_json::json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": format!("{hostile}{idx}"), "stage": "ResponseComplete",
            "requestURI": format!("/api/v1/{hostile}?fieldManager={hostile}"), "verb": "get",
            "user": {"username": hostile, "uid": hostile, "groups": [hostile],
                "extra": {"authentication.kubernetes.io/credential-id": [hostile]}},
            "impersonatedUser": {"username": hostile}, "sourceIPs": [hostile, hostile],
            "userAgent": hostile,
            "objectRef": {"resource": "secrets", "namespace": hostile, "name": hostile,
                "apiVersion": "v1"},
            "responseStatus": {"code": 200},
            "requestReceivedTimestamp": "2026-11-22T04:55:35.000000Z",
            "stageTimestamp": format!("2026-11-22T04:55:35.{idx:06}Z"),
            "annotations": {"authorization.k8s.io/decision": "allow",
                "authorization.k8s.io/reason": hostile},
        })
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let lines: Vec<String> = (0..3).map(|idx| event(idx).to_string()).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    let mut log = Log::read(&[path]);
    assert_eq!(requests(&log.snapshot).len(), 3);
    let mut findings: Vec<_> = crate::finding::Severity::ALL
        .iter()
        .map(|&severity| crate::report::tests::finding(severity, hostile))
        .collect();
    let incidents = crate::finding::incident::tie(&mut findings, &Surroundings::default());
    log.results.findings = findings.into();
    log.results.incidents = incidents.into();
    log.results.summary = crate::report::tests::summary(hostile).into();
    let texts = |document: &Document| {
        let parts = document.lines.iter().flat_map(|line| &line.parts);
        for text in parts.map(|part| &part.text).chain([&document.title]) {
            assert!(!text.chars().any(clean::is_hidden), "{text:?}");
        }
    };
    texts(&log.overview());
    let mut seen: HashSet<Pivot> = HashSet::new();
    let mut queue: VecDeque<Pivot> = links(&log.overview()).cloned().collect();
    queue.push_back(Pivot::Event(0));
    while let Some(pivot) = queue.pop_front() {
        if !seen.insert(pivot.clone()) {
            continue;
        }
        let card = log.card(&pivot);
        texts(&card);
        queue.extend(links(&card).cloned());
    }
    assert!(
        seen.contains(&Pivot::Identity(hostile.to_owned())),
        "{seen:?}"
    );
    assert!(
        seen.contains(&Pivot::Credential(hostile.to_owned())),
        "{seen:?}"
    );
    for row in credentials_rows(&log) {
        assert!(!row.owner.chars().any(clean::is_hidden));
    }
}

#[test]
fn what_is_stopped_or_missing_is_no_panic() {
    let log = Log::sample("sample-logs/v1.36/anonymous.log");
    let stop = AtomicBool::new(true);
    let alice = Pivot::Identity("alice".to_owned());
    assert_eq!(card(&alice, &log.sources(), &stop).unwrap(), None);
    let nothing = [
        alice,
        Pivot::Identity(String::new()),
        Pivot::Finding("x".to_owned()),
        Pivot::Incident("x".to_owned()),
        Pivot::Credential("x".to_owned()),
        Pivot::Address("x".to_owned()),
        Pivot::Object(Object::default()),
        Pivot::Event(u32::MAX),
        Pivot::Place(crate::tui::pivot::Place::default()),
        Pivot::Question("x".to_owned(), Vec::new()),
        Pivot::Value(Column::Name.into(), "x".to_owned()),
        Pivot::Value(Column::Name.into(), String::new()),
    ];
    for pivot in &nothing {
        assert!(!log.card(pivot).lines.is_empty());
    }
    let empty = Log::read(&[]);
    for pivot in &nothing {
        assert!(!empty.card(pivot).lines.is_empty());
    }
    assert!(!empty.overview().lines.is_empty());
}

#[test]
fn what_is_in_files_makes_the_same_cards() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = [root.join("sample-logs/v1.36/token-reuse.log.gz")];
    let in_memory = Log::read(&path);
    let limits = Limits {
        memory_bytes: 100_000,
        ..Limits::default()
    };
    let in_files = Log::read_within(&path, limits);
    let files = in_files.snapshot.segments.iter();
    assert!(files.filter(|segment| segment.file().is_some()).count() > 0);
    let mut pivots: HashSet<Pivot> = HashSet::new();
    let overview = in_memory.overview();
    assert_eq!(text(&overview), text(&in_files.overview()));
    pivots.extend(links(&overview).cloned());
    for pivot in pivots.clone() {
        pivots.extend(links(&in_memory.card(&pivot)).cloned());
    }
    assert!(pivots.len() > 50, "{}", pivots.len());
    for pivot in &pivots {
        assert_eq!(in_memory.card(pivot), in_files.card(pivot), "{pivot:?}");
    }
}

#[test]
fn evidence_leads_to_its_events() {
    for name in LOGS {
        let log = Log::sample(name);
        for finding in &*log.results.findings {
            let card = log.card(&Pivot::Finding(finding.finding_id.clone()));
            let rows: Vec<u32> = links(&card)
                .filter_map(|link| match link {
                    Pivot::Event(row) => Some(*row),
                    _ => None,
                })
                .collect();
            assert_eq!(rows.len(), finding.evidence.len(), "{}", finding.rule.name);
            for (row, evidence) in rows.iter().zip(&finding.evidence) {
                let (segment, row_idx) = log.snapshot.locate(*row).unwrap();
                let vocabulary = &log.snapshot.vocabulary;
                let lane = segment.lane(Column::AuditId.into(), vocabulary).unwrap();
                assert_eq!(lane.show(row_idx, vocabulary), evidence.audit_id);
                let card = log.card(&Pivot::Event(*row));
                let about = Pivot::Finding(finding.finding_id.clone());
                assert!(links(&card).any(|link| *link == about), "{}", text(&card));
            }
        }
    }
}

#[test]
fn incidents_list_their_findings_in_order_of_time() {
    let log = Log::sample("sample-logs/v1.36/system-masters.log");
    assert!(!log.results.incidents.is_empty());
    for incident in &*log.results.incidents {
        let card = log.card(&Pivot::Incident(incident.incident_id.clone()));
        let listed: BTreeSet<&str> = links(&card)
            .filter_map(|link| match link {
                Pivot::Finding(id) => Some(id.as_str()),
                _ => None,
            })
            .collect();
        let expected: BTreeSet<&str> = incident.findings.iter().map(String::as_str).collect();
        assert_eq!(listed, expected);
        let (_, steps) = section(&card, "Steps");
        let times: Vec<&str> = steps.iter().map(|step| &step[2..26]).collect();
        assert!(times.is_sorted(), "{steps:#?}");
    }
}

#[test]
fn objects_tell_their_lives() {
    let object = |resource: &str, namespace: &str, name: &str| {
        Pivot::Object(Object {
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    };
    let log = Log::sample("sample-logs/v1.36/token-reuse.log.gz");
    let card = log.card(&object("serviceaccounts", "dev", "shortlived2"));
    let (_, lines) = section(&card, "What happened to it");
    let again: Vec<bool> = lines
        .iter()
        .map(|line| line.contains("created again"))
        .collect();
    assert_eq!(again, [false, false, false, true], "{lines:#?}");
    // What bodies say.
    let log = Log::sample("tests/logs/v1.36-full-system-masters.log.zst");
    let card = log.card(&object("clusterrolebindings", "", "metrics-helper"));
    let text = text(&card);
    assert!(text.contains("role ClusterRole/cluster-admin"), "{text}");
    assert!(
        text.contains("subjects ServiceAccount/kube-system/metrics-helper"),
        "{text}"
    );
    // Reads of a Secret are lines.
    let requests = requests(&log.snapshot);
    let read = requests.iter().find(|one| {
        one["resource"] == "secrets" && one["verb"] == "get" && !one["name"].is_empty()
    });
    let read = read.expect("somebody read a Secret");
    let card = log.card(&object("secrets", &read["namespace"], &read["name"]));
    let (_, lines) = section(&card, "What happened to it");
    assert!(
        lines.iter().any(|line| line.contains("  get  ")),
        "{lines:#?}"
    );
}

#[test]
fn what_is_new_is_what_came_late() {
    let log = Log::sample("sample-logs/v1.36/token-reuse.log.gz");
    let totals = &log.results.summary.totals;
    let (from, to) = (totals.first.unwrap().0, totals.last.unwrap().0);
    let late = from + (to - from) / 4 * 3;
    let all = requests(&log.snapshot);
    let users: BTreeSet<&str> = all.iter().map(|one| one["username"].as_str()).collect();
    let mut n_new = 0;
    for user in users.into_iter().filter(|user| !user.is_empty()) {
        let mut firsts: BTreeMap<[&str; 3], i64> = BTreeMap::new();
        for one in all.iter().filter(|one| one["username"] == user) {
            let action = ["verb", "resource", "subresource"].map(|field| one[field].as_str());
            let first = firsts.entry(action).or_insert(i64::MAX);
            *first = (*first).min(time(one));
        }
        let new = firsts.values().filter(|&&first| first >= late).count();
        let card = log.card(&Pivot::Identity(user.to_owned()));
        assert_eq!(section(&card, "Done for the first time").0, new, "{user}");
        n_new += new;
    }
    assert!(n_new > 0);
}
