//! Cards of recorded and of made-up logs, held against what the kept events say one by one.

mod counts;
mod edges;
mod links;
mod stories;

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

fn credentials_rows(log: &Log) -> Vec<CredentialRow> {
    credentials(&log.results, Clock::Utc)
}
