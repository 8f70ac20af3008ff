//! `kubescry scan`: options in, findings out.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::Global;
use super::diagnostic::{Diagnostic, Printer};
use super::exit::Exit;
use super::progress;
use super::read_args::ReadArgs;
use super::rule_args::RuleArgs;
use crate::decode::envelope::UNREAD;
use crate::finding::Severity;
use crate::finding::words::listed;
use crate::pipeline::{self, Monitor, Scan};
use crate::report::{self, FileStats, Format, SKIPPED_NAMES, Summary, WIDTH_DEFAULT};
use crate::source::discover::discover;
use crate::source::{SourceError, is_same_file};

/// Options of `kubescry scan`.
#[derive(Debug, Args)]
pub struct ScanArgs {
    /// Audit log files and folders; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// How to print the findings
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// How many references into the log to print per finding, or `all` [default: 20]
    #[arg(long, value_name = "N|all", value_parser = parse_evidence, default_value = "20", hide_default_value = true)]
    pub evidence: Evidence,
    /// Leave out findings milder than this
    #[arg(long, value_name = "LEVEL", value_parser = parse_severity, default_value = "informational")]
    pub min_severity: Severity,
    /// Exit with 1 if a finding is at least as bad as this
    #[arg(long, value_name = "LEVEL", value_parser = parse_severity)]
    pub fail_on: Option<Severity>,
    /// Exit with 3 if more lines than this are damaged [default: no limit, only a warning]
    #[arg(long, value_name = "N")]
    pub max_bad: Option<u64>,
    /// Write what was read to a file, as JSON
    #[arg(long, value_name = "FILE", value_parser = parse_file)]
    pub stats: Option<PathBuf>,
    /// How logs are read
    #[command(flatten)]
    pub read: ReadArgs,
    /// Which rules to use
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// How many references to print.
#[derive(Debug, Clone, Copy)]
pub struct Evidence(Option<usize>);

fn parse_evidence(text: &str) -> Result<Evidence, String> {
    if text == "all" {
        return Ok(Evidence(None));
    }
    text.parse()
        .map(|count| Evidence(Some(count)))
        .map_err(|_cause| "a number or `all`".to_owned())
}

fn parse_file(text: &str) -> Result<PathBuf, String> {
    match text {
        "-" => Err("standard output has the findings: name a file".to_owned()),
        text => Ok(text.into()),
    }
}

/// Reads a severity; names all of them if it is none.
pub(super) fn parse_severity(text: &str) -> Result<Severity, String> {
    text.parse().map_err(|()| {
        let words: Vec<&str> = Severity::ALL
            .iter()
            .map(|severity| severity.as_str())
            .collect();
        format!("one of {}", words.join(", "))
    })
}

/// Scans, prints, and says how it went.
pub(super) fn run(args: &ScanArgs, global: &Global, printer: Printer) -> Exit {
    args.read.input.threads.settle();
    if let Some(stats) = &args.stats
        && let Some(log) = log_at(stats, &args.paths)
    {
        printer.print(
            &Diagnostic::error(format_args!(
                "`--stats {}` would write over `{log}`, which is to be scanned",
                stats.display()
            ))
            .hint("name a file that is no log"),
        );
        return Exit::Usage;
    }
    let (rules, compiled) = match args.rules.load(printer) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let options = pipeline::Options {
        evidence_limit: args.evidence.0.unwrap_or(usize::MAX),
        ..args.read.options(&args.paths)
    };
    stop_on_interrupt(&options.monitor, printer);
    let scanned = progress::scan(&options.monitor, global, printer, || {
        pipeline::scan(&options, &rules, &compiled)
    });
    let scan = match scanned {
        Ok(scan) => scan,
        Err(exit) => return exit,
    };
    if let Err(error) = print(&scan, args, global)
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        printer.error(format_args!("cannot write the findings: {error}"));
        return Exit::Partial;
    }
    if let Some(path) = &args.stats
        && let Err(error) = write_stats(&scan, path)
    {
        printer.error(format_args!("cannot write `{}`: {error}", path.display()));
        return Exit::Usage;
    }
    let exit = judge(&scan, args, printer);
    // The program ends here, and to free all of it piece by piece takes longer than to print it.
    std::mem::forget((scan, rules, compiled));
    exit
}

/// The first interrupt ends reading, so that what is known so far is printed; the second ends all.
pub(super) fn stop_on_interrupt(monitor: &Monitor, printer: Printer) {
    let monitor = monitor.clone();
    let set = ctrlc::set_handler(move || {
        if monitor.stop() {
            #[expect(clippy::exit, reason = "the user does not want to wait")]
            std::process::exit(Exit::Interrupted.code().into());
        }
    });
    if let Err(error) = set {
        printer.warning(format_args!("an interrupt will print nothing: {error}"));
    }
}

fn print(scan: &Scan, args: &ScanArgs, global: &Global) -> io::Result<()> {
    let options = report::Options {
        width: WIDTH_DEFAULT,
        color: global.color.on_stdout(),
        evidence: args.evidence.0,
        min_severity: args.min_severity,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    report::render(
        args.format,
        &scan.outcome.findings,
        &scan.outcome.incidents,
        &scan.summary,
        &options,
        &mut out,
    )?;
    out.flush()
}

/// Returns the name of the log among `paths` that `path` leads to.
fn log_at(path: &Path, paths: &[PathBuf]) -> Option<Arc<str>> {
    if !path.exists() {
        return None;
    }
    let files = discover(paths).files;
    let mut logs = files.into_iter();
    let log = logs.find(|file| {
        file.path
            .as_ref()
            .is_some_and(|log| is_same_file(log, path))
    })?;
    Some(log.name)
}

fn write_stats(scan: &Scan, path: &PathBuf) -> io::Result<()> {
    let mut out = BufWriter::new(std::fs::File::create(path)?);
    report::write_stats_json(&scan.summary, &mut out)?;
    out.flush()
}

/// Reports what is missing, and chooses the exit code.
fn judge(scan: &Scan, args: &ScanArgs, printer: Printer) -> Exit {
    let exit = missing(scan, args.max_bad, printer);
    let worst = scan
        .outcome
        .findings
        .iter()
        .map(|finding| finding.severity)
        .max();
    match (args.fail_on, worst) {
        (Some(limit), Some(worst)) if worst >= limit => exit.max(Exit::Findings),
        _ => exit,
    }
}

/// What of a log was read, and what was not.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    /// What was.
    pub(super) summary: &'a Summary,
    /// What was not.
    pub(super) errors: &'a [SourceError],
    /// Bytes read from files.
    pub(super) read_bytes: u64,
    /// Whether it was stopped before the end.
    pub(super) was_stopped: bool,
}

impl<'a> From<&'a Scan> for Reading<'a> {
    fn from(scan: &'a Scan) -> Self {
        Self {
            summary: &scan.summary,
            errors: &scan.errors,
            read_bytes: scan.read_bytes,
            was_stopped: scan.was_stopped,
        }
    }
}

/// What to try with a file that was left out.
const NAME_IT: &str = "name a file by itself to have it read, whatever it is called";

/// Reports what of the log is missing, and returns the exit code that this alone asks for.
pub(super) fn missing<'a>(
    scan: impl Into<Reading<'a>>,
    max_bad: Option<u64>,
    printer: Printer,
) -> Exit {
    let scan = scan.into();
    let totals = &scan.summary.totals;
    for error in scan.errors {
        printer.print(&with_hint(
            Diagnostic::warning(error),
            error.hint().as_deref(),
        ));
    }
    if totals.bad > 0 {
        let first = scan.summary.rejects.first();
        let place = first.map_or(String::new(), |first| {
            format!("; the first is `{}`, line {}", first.file, first.line)
        });
        printer.warning(format_args!(
            "skipped {} of {} records that are damaged or no audit events{place}",
            totals.bad, totals.records
        ));
    }
    if let Some(disorder) = &scan.summary.disorder {
        printer.warning(disorder);
    }
    if let Some(what) = &scan.summary.ingest.several_clusters {
        let hint = "they are read as one: scan each by itself";
        printer.print(&Diagnostic::warning(what).hint(hint));
    }
    if totals.events > 0 {
        warn_of_foreign_files(scan.summary, printer);
    }
    warn_of_unread(scan.summary, printer);
    if totals.oversize > 0 {
        printer.warning(format_args!(
            "left out {} of {} records that are longer than the limit; --max-line BYTES raises it",
            totals.oversize, totals.records
        ));
    }
    if !totals.adds_up() {
        printer.error(format_args!(
            "the counters do not add up: {totals:?}; this is a bug"
        ));
        return Exit::Internal;
    }
    if scan.was_stopped {
        printer.warning("interrupted: the findings are those of what was read so far");
        return Exit::Interrupted;
    }
    if totals.events == 0 && (totals.records > 0 || !scan.errors.is_empty()) {
        let kinds = scan.summary.ingest.other_kinds.ranked();
        let kinds: Vec<String> = kinds
            .iter()
            .take(3)
            .map(|(kind, count)| format!("{count} x {kind}"))
            .collect();
        let what = match kinds.join(", ") {
            kinds if kinds.is_empty() => "no audit event could be read".to_owned(),
            kinds => format!("no audit event could be read, but {kinds}"),
        };
        let hint = "--input-format FORMAT says what it is where the guess is wrong";
        // Of what is too long nothing is known; the limit was named above.
        let hint = (totals.records > totals.oversize).then_some(hint);
        printer.print(&with_hint(Diagnostic::error(what), hint));
        return Exit::Unreadable;
    }
    let left_out = scan.summary.ingest.skipped_files;
    let names: Vec<String> = (scan.summary.ingest.skipped_names.iter())
        .map(|name| format!("`{name}`"))
        .collect();
    if totals.records > 0 && !names.is_empty() {
        let rest = match names.len() {
            SKIPPED_NAMES => " and perhaps others",
            _ => "",
        };
        let what = format!(
            "left out {}{rest}: their names are not those of logs",
            names.join(", ")
        );
        printer.print(&Diagnostic::warning(what).hint(NAME_IT));
    }
    if scan.summary.files.is_empty() && left_out > 0 {
        let what = format!(
            "nothing was read: the names of {left_out} files in the folders are not those of logs"
        );
        printer.print(&Diagnostic::error(what).hint(NAME_IT));
        return Exit::Unreadable;
    }
    if totals.records == 0 && scan.read_bytes > 0 {
        printer.error(format_args!(
            "{} bytes were read and hold no record: they are blank, NUL, or nothing that was compressed",
            scan.read_bytes
        ));
        return Exit::Unreadable;
    }
    if scan.summary.files.is_empty() && scan.errors.is_empty() {
        let hint = "name the folder that kube-apiserver's --audit-log-path leads to";
        let what = "nothing was read: there is no file in the folders";
        printer.print(&Diagnostic::error(what).hint(hint));
        return Exit::Unreadable;
    }
    if totals.records == 0 && scan.errors.is_empty() {
        let what = match &scan.summary.files[..] {
            [file] => format!("nothing was read: `{}` is empty", file.path),
            files => format!("nothing was read: all {} files are empty", files.len()),
        };
        let hint = "an API server that logs has events each second: see kube-apiserver's --audit-log-path and --audit-policy-file";
        printer.print(&Diagnostic::warning(what).hint(hint));
    }
    let is_partial = !scan.errors.is_empty()
        || totals.oversize > 0
        || max_bad.is_some_and(|limit| totals.bad > limit);
    if is_partial {
        Exit::Partial
    } else {
        Exit::Done
    }
}

/// Names files that hold something, and no audit event: among others that do, nobody would miss them.
fn warn_of_foreign_files(summary: &Summary, printer: Printer) {
    let is_foreign = |file: &&FileStats| {
        let counters = &file.counters;
        counters.events + counters.duplicates == 0 && counters.other + counters.bad > 0
    };
    let foreign: Vec<String> = (summary.files.iter().filter(is_foreign))
        .map(|file| format!("`{}`", file.path))
        .collect();
    if foreign.is_empty() {
        return;
    }
    let what = format!(
        "no audit event in {}: records of another kind, or a wrapping that is not known",
        listed(&foreign)
    );
    let hint = "--stats FILE says of each file what it holds";
    printer.print(&Diagnostic::warning(what).hint(hint));
}

/// Says where events may be that are wrapped in a way that is not known.
fn warn_of_unread(summary: &Summary, printer: Printer) {
    let kinds = summary.ingest.other_kinds.ranked().into_iter();
    let unread = kinds.filter(|(kind, _)| kind.contains(UNREAD));
    let (mut first_kind, mut n_unread) = ("", 0);
    for (kind, count) in unread {
        if n_unread == 0 {
            first_kind = kind;
        }
        n_unread += count;
    }
    if n_unread == 0 {
        return;
    }
    let first = (summary.rejects.iter()).find(|reject| reject.cause.contains(UNREAD));
    let place = first.map_or(first_kind.to_owned(), |first| {
        format!("`{}`, line {}: {}", first.file, first.line, first.cause)
    });
    let (records, hold) = match n_unread {
        1 => ("record", "holds"),
        _ => ("records", "hold"),
    };
    let what = format!(
        "{n_unread} {records} {hold} the words of an audit event in a wrapping that is not known; the first is {place}"
    );
    let key = first.and_then(|first| first.under.as_deref());
    let is_name = |key: &&str| {
        key.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let hint = match key.filter(is_name) {
        Some(key) => format!("take them out of it: jq -c '.{key}' FILE | kubescry scan -"),
        None => "take the events out of it, one a line, and scan that".to_owned(),
    };
    printer.print(&Diagnostic::warning(what).hint(hint));
}

fn with_hint(diagnostic: Diagnostic, hint: Option<&str>) -> Diagnostic {
    match hint {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}
