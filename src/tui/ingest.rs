//! Reading the log behind the screen: into the case, or out of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::clock::now;
use super::growth::{self, Watch};
use super::results::Results;
use super::update::{Event, News};
use super::worker::{Desk, Missing, set};
use crate::case::{self, Case, Change, ResultName, SourceFile};
use crate::detect::CompiledRules;
use crate::detect::engine::Outcome;
use crate::finding::{Finding, Timestamp};
use crate::frame::Vocabulary;
use crate::pipeline::{self, Preview};
use crate::report::Summary;
use crate::rules::RuleSet;
use crate::source::{InputFile, SourceError, discover};
use crate::store::{Limits, Store};

/// Bytes of a chunk: larger than for a scan, so that filters have fewer segments to go through.
const CHUNK_BYTES: usize = 4 << 20;

/// How long events from a pipe wait for those behind them.
const PATIENCE: Duration = Duration::from_millis(300);

/// Evidence that a finding keeps.
const EVIDENCE: usize = 1000;

/// Key of the view that names the folder of the frames.
pub const FRAMES: &str = "frames";

/// How the note ends on a case whose log is read again, until it is.
pub const READING_AGAIN: &str = ": reading again";

/// What is to be read, and how.
pub struct Plan {
    /// How logs are read.
    pub pipeline: pipeline::Options,
    /// Rules, if they are not the embedded ones.
    pub rules: Option<(RuleSet, CompiledRules)>,
    /// The folder of the case.
    pub case: Option<PathBuf>,
    /// Bytes that kept events may take in memory.
    pub memory_bytes: usize,
}

/// What a case knows of an earlier run.
#[derive(Default)]
pub struct Known {
    results: Option<case::Results>,
    folder: Option<String>,
    short_sizes: Vec<u64>,
    sources: Vec<SourceFile>,
    problem: Option<String>,
}

impl Known {
    /// Returns what `case` knows.
    pub fn of(case: &Case) -> Self {
        let (results, problem) = match case.load_results() {
            Ok(results) => (results, None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self {
            results,
            folder: case
                .view(FRAMES)
                .map(|name| name.trim_matches('"'))
                .filter(|name| is_frames(name))
                .map(str::to_owned),
            short_sizes: case.short_sizes(),
            sources: case.sources().to_vec(),
            problem,
        }
    }
}

/// Returns whether a folder of a case is one of frames. A case may come from somebody else, and what it names as such
/// is read and removed in the end.
fn is_frames(name: &str) -> bool {
    let number = name.strip_prefix("frames-");
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Removes the frames of runs that ended before the case knew of them.
fn sweep(case: &Path, known: Option<&str>) {
    let entries = std::fs::read_dir(case).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_str().filter(|name| is_frames(name));
        if name.is_some() && name != known {
            // What is left of it is only room on the disk. A link is removed and not followed.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// What a case showed of an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opened {
    /// Nothing.
    Nothing,
    /// What was found then; there is more to find.
    Old,
    /// All there is.
    Current,
}

/// What a case is to keep of this run.
#[derive(Debug)]
pub struct Keep {
    /// The files.
    pub sources: Vec<SourceFile>,
    /// What was found in them.
    pub results: case::Results,
    /// Name of the folder of the frames.
    pub folder: String,
    /// Folders that are of no use any more.
    pub old: Vec<PathBuf>,
}

/// Reads the log, and tells of it; then of what is written on to it, for as long as somebody listens.
pub fn read(plan: Plan, known: &Known, desk: &Arc<Desk>, events: &Sender<Event>) {
    if let Some(watch) = read_once(plan, known, desk, events) {
        watch.run(growth::EVERY, events);
    }
}

/// Reads the log, and tells of it; returns its files, unless that failed or was stopped.
fn read_once(plan: Plan, known: &Known, desk: &Arc<Desk>, events: &Sender<Event>) -> Option<Watch> {
    let tell = |news: News| drop(events.send(Event::News(news)));
    let fail = |cause: String| {
        finish(desk, true);
        tell(News::Failed(cause));
        None
    };
    if let Some(problem) = &known.problem {
        tell(News::Damaged(format!(
            "results in the case are damaged and made anew; notes are whole: {problem}"
        )));
    }
    let discovery = discover::discover(&plan.pipeline.paths);
    let mut watch = Watch::of(&discovery.files);
    let files: BTreeMap<String, InputFile> = discovery
        .files
        .iter()
        .map(|file| (file.name.to_string(), file.clone()))
        .collect();
    tell(News::Files(files.keys().cloned().collect()));
    set(&desk.files, files);
    let (rules, compiled) = match plan.rules {
        Some(rules) => rules,
        None => match embedded() {
            Ok(rules) => rules,
            Err(error) => return fail(error),
        },
    };
    let made_by = rules.fingerprint();
    let sources = fingerprints(&discovery.files, &known.short_sizes);
    tell(News::Sources(sources.clone().unwrap_or_default()));
    let mut opened = Opened::Nothing;
    // Where the events of this run are kept, if they are.
    let mut folder: Option<(String, PathBuf)> = None;
    if let Some(case) = &plan.case {
        sweep(case, known.folder.as_deref());
        opened = open(
            case,
            known,
            &rules,
            &made_by,
            sources.as_deref(),
            desk,
            &tell,
        );
        match &sources {
            Some(_) => {
                let name = format!("frames-{}", now() / 1000);
                folder = Some((name.clone(), case.join(name)));
            }
            None => tell(News::Note(
                "events are not kept in the case: not all that is read is a file that can be read again"
                    .to_owned(),
            )),
        }
    }
    if opened == Opened::Current {
        return Some(watch);
    }
    let store = Store::new(
        &Vocabulary::new(),
        Limits {
            memory_bytes: plan.memory_bytes,
            folder: folder.as_ref().map(|(_, path)| path.clone()),
        },
    );
    if let Some((_, path)) = &folder {
        desk.keep(store.clone(), path.clone());
    }
    // What the case holds stays on the screen until the new run is over.
    let has_old = opened == Opened::Old;
    if !has_old {
        set(&desk.store, store.clone());
    }
    let mut options = pipeline::Options {
        store: Some(store.clone()),
        credentials: true,
        evidence_limit: EVIDENCE,
        ..plan.pipeline
    };
    options.read.chunk_bytes = CHUNK_BYTES;
    options.read.patience = Some(PATIENCE);
    if !has_old {
        let (desk, events) = (Arc::clone(desk), events.clone());
        options.preview = Some(Preview::new(move |outcome, summary| {
            let results = results(outcome, summary);
            set(&desk.results, results.clone());
            drop(events.send(Event::News(News::Preview(results))));
        }));
    }
    let scan = match pipeline::scan(&options, &rules, &compiled) {
        Ok(scan) => scan,
        Err(error) => return fail(error.to_string()),
    };
    // What to do about a file that is not read is told where it is told that it is not.
    let told = |problem: &String| {
        let mut errors = scan.errors.iter();
        let error = errors.find(|error| error.to_string() == *problem);
        match error.and_then(SourceError::hint) {
            Some(hint) => format!("{problem}; {hint}"),
            None => problem.clone(),
        }
    };
    let mut problems: Vec<String> = scan.summary.problems.iter().map(told).collect();
    problems.extend(
        store
            .take_error()
            .map(|error| format!("events are missing: {error}")),
    );
    watch.was_read(&scan.summary);
    let results = results(scan.outcome, scan.summary);
    set(&desk.results, results.clone());
    set(&desk.store, store.clone());
    finish(desk, scan.was_stopped);
    if !scan.was_stopped {
        desk.misses(Missing {
            summary: Arc::clone(&results.summary),
            errors: scan.errors,
            read_bytes: scan.read_bytes,
        });
    }
    if let (Some((name, path)), Some(sources), false) = (folder, sources, scan.was_stopped) {
        match store.save(&path) {
            Ok(()) => tell(News::Keep(Box::new(Keep {
                sources,
                results: pack(&results, made_by),
                folder: name,
                old: known
                    .folder
                    .iter()
                    .zip(&plan.case)
                    .map(|(old, case)| case.join(old))
                    .collect(),
            }))),
            Err(error) => problems.push(format!("not kept in the case: {error}")),
        }
    }
    tell(News::Finished(results, problems));
    (!scan.was_stopped).then_some(watch)
}

/// Returns the rules of the program.
fn embedded() -> Result<(RuleSet, CompiledRules), String> {
    let rules = RuleSet::embedded().map_err(|errors| {
        let first = errors.first();
        first.map_or(String::new(), ToString::to_string)
    })?;
    let compiled = CompiledRules::compile(&rules).map_err(|errors| {
        let first = errors.first();
        first.map_or(String::new(), |error| error.problem.to_string())
    })?;
    Ok((rules, compiled))
}

fn finish(desk: &Desk, was_stopped: bool) {
    set(
        &desk.progress,
        super::card::Progress {
            is_done: true,
            was_stopped,
            ..super::card::Progress::default()
        },
    );
}

/// Shows what the case holds; says whether it is of these files as they are now, and by these rules.
fn open(
    case: &Path,
    known: &Known,
    rules: &RuleSet,
    made_by: &str,
    sources: Option<&[SourceFile]>,
    desk: &Desk,
    tell: &impl Fn(News),
) -> Opened {
    let (Some(kept), Some(folder), Some(sources)) = (&known.results, &known.folder, sources) else {
        return Opened::Nothing;
    };
    let change = case::compare(&known.sources, sources);
    if matches!(change, Change::Different) {
        tell(News::Note(
            "the case was of other files; these are read anew".to_owned(),
        ));
        return Opened::Nothing;
    }
    let opened = unpack(kept, rules).and_then(|results| {
        let store = Store::open(&case.join(folder), Limits::default())
            .map_err(|error| error.to_string())?;
        Ok((results, store))
    });
    let (results, store) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            tell(News::Note(format!(
                "what the case holds cannot be used, and is read anew: {error}"
            )));
            return Opened::Nothing;
        }
    };
    // Files may have moved since; rows have their old names.
    let moved = case::moved(&known.sources, sources);
    {
        let mut files = desk
            .files
            .write()
            .expect("a thread that panics ends the program");
        for moved in moved {
            if let Some(file) = files.get(&moved.to).cloned() {
                files.insert(moved.from, file);
            }
        }
    }
    set(&desk.results, results.clone());
    set(&desk.store, store);
    let is_current = matches!(change, Change::Same) && kept.made_by == made_by;
    if is_current {
        finish(desk, false);
        tell(News::Note(
            "opened from the case; the logs have not changed".to_owned(),
        ));
        tell(News::Finished(results, Vec::new()));
        return Opened::Current;
    }
    let why = match change {
        Change::Grown { files } => {
            let bytes: u64 = files.iter().map(|file| file.bytes).sum();
            let names: Vec<&str> = files
                .iter()
                .map(|file| file.name.as_str())
                .take(3)
                .collect();
            format!("{} bytes are new since ({})", bytes, names.join(", "))
        }
        _ => "rules or program are others now".to_owned(),
    };
    tell(News::Note(format!(
        "opened from the case; {why}{READING_AGAIN}"
    )));
    tell(News::Preview(results));
    Opened::Old
}

fn results(outcome: Outcome, summary: Summary) -> Results {
    Results {
        findings: outcome.findings.into(),
        incidents: outcome.incidents.into(),
        credentials: outcome.credentials.into(),
        summary: Arc::new(summary),
    }
}

/// Returns what tells the files from others; nothing if one cannot be told, as standard input.
fn fingerprints(files: &[InputFile], short_sizes: &[u64]) -> Option<Vec<SourceFile>> {
    let read = |file: &InputFile| {
        let path = file.path.as_ref()?;
        SourceFile::read(&file.name, path, short_sizes).ok()
    };
    files.iter().map(read).collect()
}

fn pack(results: &Results, made_by: String) -> case::Results {
    let text = |value: serde_json::Result<String>| value.expect("results are JSON");
    let json = [
        (
            ResultName::Findings,
            text(serde_json::to_string(&results.findings)),
        ),
        (
            ResultName::Incidents,
            text(serde_json::to_string(&results.incidents)),
        ),
        (
            ResultName::Summary,
            text(serde_json::to_string(&*results.summary)),
        ),
        (
            ResultName::Credentials,
            text(serde_json::to_string(&results.credentials)),
        ),
    ];
    case::Results {
        made_by,
        at: Timestamp(now()),
        json: json.into_iter().collect(),
    }
}

/// Reads what a case holds; tactics, which findings do not write, are those of the rules.
fn unpack(kept: &case::Results, rules: &RuleSet) -> Result<Results, String> {
    fn parse<T: serde::de::DeserializeOwned>(
        kept: &case::Results,
        name: ResultName,
    ) -> Result<T, String> {
        let json = kept.json.get(&name);
        let json = json.ok_or_else(|| format!("there are no {}", name.as_str()))?;
        serde_json::from_str(json).map_err(|error| format!("{}: {error}", name.as_str()))
    }
    let mut findings: Vec<Finding> = parse(kept, ResultName::Findings)?;
    for finding in &mut findings {
        let rule = rules
            .rules
            .iter()
            .find(|rule| rule.meta.id == finding.rule.id);
        finding.ties.tactics = rule.map_or(Vec::new(), |rule| rule.meta.tactics.clone());
    }
    Ok(Results {
        findings: findings.into(),
        incidents: parse::<Vec<_>>(kept, ResultName::Incidents)?.into(),
        credentials: parse::<Vec<_>>(kept, ResultName::Credentials)?.into(),
        summary: Arc::new(parse(kept, ResultName::Summary)?),
    })
}
