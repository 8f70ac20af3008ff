//! Logs that are read for tests.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use crate::detect::CompiledRules;
use crate::frame::Vocabulary;
use crate::pipeline::{self, Scan};
use crate::rules::RuleSet;
use crate::source::{InputFile, discover};
use crate::store::{Limits, Store};
use crate::tui::results::Results;

/// A recorded log, small enough to be read for each test binary.
pub(crate) const ANONYMOUS: &str = "sample-logs/v1.36/anonymous.log";

pub(crate) static RULES: LazyLock<(RuleSet, CompiledRules)> = LazyLock::new(|| {
    let rules = RuleSet::embedded().unwrap();
    let compiled = CompiledRules::compile(&rules).unwrap_or_else(|_| panic!("rules compile"));
    (rules, compiled)
});

/// A log that was read.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) store: Store,
    pub(crate) results: Results,
    pub(crate) files: BTreeMap<String, InputFile>,
}

impl Log {
    /// Reads a recorded log.
    pub(crate) fn sample(name: &str) -> Self {
        let paths = [PathBuf::from(name)];
        let discovery = discover::discover(&paths);
        let files = discovery.files.iter();
        let files = files.map(|file| (file.name.to_string(), file.clone()));
        let files = files.collect();
        Self::of(files, Limits::default(), |options| {
            let options = pipeline::Options {
                paths: paths.to_vec(),
                ..options
            };
            pipeline::scan(&options, &RULES.0, &RULES.1).unwrap()
        })
    }

    /// Reads lines of standard input, whose records are kept.
    pub(crate) fn text(text: &str) -> Self {
        Self::of(BTreeMap::new(), Limits::default(), |options| {
            pipeline::scan_text("-", text, &options, &RULES.0, &RULES.1).unwrap()
        })
    }

    /// Reads lines of standard input, and looks for nothing in them.
    pub(crate) fn unjudged(text: &str) -> Self {
        Self::of(BTreeMap::new(), Limits::default(), |options| {
            let options = pipeline::Options {
                detects: false,
                ..options
            };
            pipeline::scan_text("-", text, &options, &RULES.0, &RULES.1).unwrap()
        })
    }

    fn of(
        files: BTreeMap<String, InputFile>,
        limits: Limits,
        scan: impl FnOnce(pipeline::Options) -> Scan,
    ) -> Self {
        let store = Store::new(&Vocabulary::new(), limits);
        let scan = scan(pipeline::Options {
            evidence_limit: 1000,
            credentials: true,
            store: Some(store.clone()),
            ..pipeline::Options::default()
        });
        let results = Results {
            findings: scan.outcome.findings.into(),
            incidents: scan.outcome.incidents.into(),
            credentials: scan.outcome.credentials.into(),
            summary: Arc::new(scan.summary),
        };
        Self {
            store,
            results,
            files,
        }
    }

    /// Returns the recorded log that most tests use, read once.
    pub(crate) fn anonymous() -> Self {
        static LOG: LazyLock<Log> = LazyLock::new(|| Log::sample(ANONYMOUS));
        LOG.clone()
    }
}
