//! Logs, truth and scans for the other files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use kubescry::detect::CompiledRules;
use kubescry::finding::Finding;
use kubescry::pipeline::{Options, Scan, scan};
use kubescry::rules::RuleSet;
use serde::Deserialize;

/// The rules of the program.
pub(crate) static RULES: LazyLock<(RuleSet, CompiledRules)> = LazyLock::new(|| {
    let rules = RuleSet::embedded().expect("the embedded rules are good");
    let compiled = CompiledRules::compile(&rules).expect("the embedded rules compile");
    (rules, compiled)
});

/// Returns the project's folder.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns options to scan `paths` with two threads and all evidence.
pub(crate) fn options(paths: &[&Path]) -> Options {
    Options {
        paths: paths.iter().map(|path| path.to_path_buf()).collect(),
        threads: 2,
        evidence_limit: usize::MAX,
        ..Options::default()
    }
}

/// Scans with the embedded rules.
pub(crate) fn run(options: &Options) -> Scan {
    let (rules, compiled) = &*RULES;
    scan(options, rules, compiled).expect("the scan runs")
}

/// Returns findings as JSON, to compare them whole; without file names, which differ by design.
pub(crate) fn json(findings: &[Finding]) -> String {
    let lines: Vec<String> = findings
        .iter()
        .map(|finding| {
            let mut finding = finding.clone();
            for evidence in &mut finding.evidence {
                evidence.file = "log".into();
                evidence.line = 0;
                evidence.offset = 0;
            }
            serde_json::to_string(&finding).expect("findings are JSON")
        })
        .collect();
    lines.join("\n")
}

/// Returns the content of a log, decompressed.
pub(crate) fn read(path: &Path) -> Vec<u8> {
    let file = std::fs::File::open(path).expect("the log is there");
    let mut content = Vec::new();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("zst") => zstd::stream::copy_decode(file, &mut content).map(drop),
        Some("gz") => flate2::read::MultiGzDecoder::new(file)
            .read_to_end(&mut content)
            .map(drop),
        _ => { file }.read_to_end(&mut content).map(drop),
    }
    .expect("the log can be read");
    content
}

/// What happened while a log was recorded.
#[derive(Debug, Deserialize)]
pub(crate) struct Truth {
    /// The log, below the project's folder.
    pub(crate) log: PathBuf,
    /// What was done, in order.
    pub(crate) steps: Vec<Step>,
}

/// One thing that was done while a log was recorded.
#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    /// Its name.
    #[serde(rename = "step")]
    pub(crate) name: String,
    /// True, false, or "notable".
    pub(crate) attack: serde_json::Value,
    /// The audit IDs of its requests that the log holds.
    pub(crate) ids: BTreeSet<String>,
}

impl Truth {
    /// Reads the truth as it was recorded, of which `tests/truth` holds what tests need.
    pub(crate) fn of_recording(recorded: &serde_json::Value, log: PathBuf) -> Self {
        let ids = |step: &serde_json::Value| {
            let rows = ["requests", "matched_from_log"]
                .into_iter()
                .flat_map(|key| step[key].as_array().into_iter().flatten())
                .filter_map(|row| row[1].as_str());
            let listed = step["ids"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|id| id.as_str());
            rows.chain(listed).map(str::to_owned).collect()
        };
        let steps = recorded["steps"].as_array().into_iter().flatten();
        let steps = steps.map(|step| Step {
            name: step["step"].as_str().unwrap_or_default().to_owned(),
            attack: step["attack"].clone(),
            // What the policy dropped is not in the log.
            ids: if step["in_log"] == 0 {
                BTreeSet::new()
            } else {
                ids(step)
            },
        });
        Self {
            log,
            steps: steps.collect(),
        }
    }
}

impl Step {
    /// Returns whether a finding has to be there.
    pub(crate) fn is_attack(&self) -> bool {
        self.attack == true
    }

    /// Returns whether a finding must not be there.
    pub(crate) fn is_benign(&self) -> bool {
        self.attack == false
    }
}

/// Returns all recordings by name, `VERSION-LEVEL-SCENARIO`.
pub(crate) fn truths() -> BTreeMap<String, Truth> {
    let folder = root().join("tests/truth");
    std::fs::read_dir(folder)
        .expect("the truth is there")
        .map(|entry| {
            let path = entry.expect("the folder can be read").path();
            let name = path
                .file_stem()
                .expect("a file name")
                .to_string_lossy()
                .into_owned();
            let text = std::fs::read(&path).expect("the truth can be read");
            (
                name,
                serde_json::from_slice(&text).expect("the truth is JSON"),
            )
        })
        .collect()
}

/// Returns the audit IDs of a finding's evidence.
pub(crate) fn evidence(finding: &Finding) -> BTreeSet<&str> {
    finding
        .evidence
        .iter()
        .map(|evidence| &*evidence.audit_id)
        .collect()
}

/// Runs the program with `input` as standard input.
pub(crate) fn kubescry(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubescry"))
        .current_dir(root())
        .args(arguments)
        .env_remove("NO_COLOR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // A run that needs no input may end before it has read any.
    let _ = writer.join().unwrap();
    output
}

/// Returns what the program wrote as text.
pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
