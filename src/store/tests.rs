//! Filters, facets, histograms and orders of recorded logs, held against plain code that looks at one row after another;
//! in memory, in files, and out of a folder that was saved.

mod join;
mod laws;
mod log;

use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use super::filter::Rows;
use super::*;
use crate::detect::CompiledRules;
use crate::frame::vocabulary::parse_list;
use crate::pipeline;
use crate::report::Counters;
use crate::rules::RuleSet;

const LOGS: [&str; 2] = [
    "sample-logs/v1.36/token-reuse.log.gz",
    "sample-logs/v1.20/shared-credentials.log.gz",
];

/// One event, with all its fields as people read them.
struct Plain {
    row: Row,
    values: Vec<String>,
    time: i64,
    is_event: bool,
    is_request: bool,
}

impl Plain {
    fn value(&self, field: Field) -> &str {
        let at = Field::all().position(|other| other == field).unwrap();
        &self.values[at]
    }

    fn is(&self, rows: Rows) -> bool {
        match rows {
            Rows::Events => self.is_event,
            Rows::Requests => self.is_request,
        }
    }
}

/// A log in memory, one that was spilled, and one that was saved and opened again.
struct Logs {
    memory: Store,
    spilled: Store,
    opened: Store,
    counters: Counters,
    plain: Vec<Plain>,
    _folder: tempfile::TempDir,
}

fn read(name: &str, limits: Limits) -> (Store, Counters) {
    let store = Store::new(&Vocabulary::new(), limits);
    let counters = read_into(&store, name);
    (store, counters)
}

fn read_into(store: &Store, name: &str) -> Counters {
    static RULES: LazyLock<(RuleSet, CompiledRules)> = LazyLock::new(|| {
        let rules = RuleSet::embedded().unwrap();
        let compiled = CompiledRules::compile(&rules).unwrap_or_else(|_| panic!("rules compile"));
        (rules, compiled)
    });
    let mut options = pipeline::Options {
        paths: vec![PathBuf::from(name)],
        store: Some(store.clone()),
        ..pipeline::Options::default()
    };
    // Requests begin in one segment and end in another.
    options.read.chunk_bytes = 200 << 10;
    let scan = pipeline::scan(&options, &RULES.0, &RULES.1).unwrap();
    assert!(store.take_error().is_none());
    scan.summary.totals
}

fn tiny() -> Limits {
    Limits {
        memory_bytes: 100 << 10,
        folder: None,
    }
}

impl Logs {
    fn read(name: &str) -> Self {
        let (memory, counters) = read(name, Limits::default());
        let (spilled, _) = read(name, tiny());
        let folder = tempfile::tempdir().unwrap();
        memory.save(folder.path()).unwrap();
        let opened = Store::open(folder.path(), Limits::default()).unwrap();
        let plain = plain(&memory.snapshot());
        Self {
            memory,
            spilled,
            opened,
            counters,
            plain,
            _folder: folder,
        }
    }

    fn stores(&self) -> [&Store; 3] {
        [&self.memory, &self.spilled, &self.opened]
    }
}

fn plain(snapshot: &Snapshot) -> Vec<Plain> {
    let mut all = Vec::new();
    for segment in &*snapshot.segments {
        let fields: Vec<Field> = Field::all().collect();
        let lanes = segment.lanes(&fields, &snapshot.vocabulary).unwrap();
        let times = segment.times(&snapshot.vocabulary).unwrap();
        for (row_idx, &time) in times.iter().enumerate() {
            let values = lanes.iter().zip(&fields).map(|(lane, field)| {
                let value = lane.show(row_idx, &snapshot.vocabulary).into_owned();
                // No status is kept as 0.
                if *field == Column::Code.into() && value == "0" {
                    String::new()
                } else {
                    value
                }
            });
            all.push(Plain {
                row: segment.first + Row::try_from(row_idx).unwrap(),
                values: values.collect(),
                time,
                is_event: segment.is(Rows::Events, row_idx),
                is_request: segment.is(Rows::Requests, row_idx),
            });
        }
    }
    all
}

/// The logs, read once.
static READ: LazyLock<Vec<Logs>> = LazyLock::new(|| LOGS.into_iter().map(Logs::read).collect());

fn go() -> AtomicBool {
    AtomicBool::new(false)
}

fn elements(field: Field, value: &str) -> Vec<String> {
    match field.kind() {
        Kind::List if !value.is_empty() => {
            let elements = parse_list(value);
            elements
                .into_iter()
                .map(std::borrow::Cow::into_owned)
                .collect()
        }
        _ => vec![value.to_owned()],
    }
}
