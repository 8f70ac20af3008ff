//! `kubescry scan`: options in, findings out.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;

use super::diagnostic::{Diagnostic, Printer};
use super::exit::Exit;
use super::progress;
use super::rule_args::RuleArgs;
use super::{Global, ThreadArgs};
use crate::decode::envelope;
use crate::finding::Severity;
use crate::pipeline::{self, GAP_US, Monitor, Scan};
use crate::report::{self, Format, WIDTH_DEFAULT};
use crate::rules::list::PROFILES;
use crate::source::{Framing, ReadOptions};

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
    /// How many threads do the work
    #[command(flatten)]
    pub threads: ThreadArgs,
    /// Write what was read to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub stats: Option<PathBuf>,
    /// Longest line that is read, in bytes; longer ones are counted and passed over
    #[arg(long, value_name = "BYTES", default_value_t = ReadOptions::default().max_line_bytes)]
    pub max_line: usize,
    /// What a compressed file may unpack to, in bytes; the rest of it is not read
    #[arg(long, value_name = "BYTES", default_value_t = ReadOptions::default().max_decompressed_bytes)]
    pub max_decompressed: u64,
    /// What the events are wrapped in, if the guess is wrong; `help` lists the names
    #[arg(long, value_name = "NAME", value_parser = InputFormat::parse, default_value = "auto")]
    pub input_format: InputFormat,
    /// Minutes that an API server must be silent for that to be reported
    #[arg(long, value_name = "MINUTES", default_value_t = GAP_US / 60_000_000, value_parser = clap::value_parser!(i64).range(1..))]
    pub gap: i64,
    /// Which rules to use
    #[command(flatten)]
    pub rules: RuleArgs,
    /// Distribution that exclusion lists go by: kubeadm, EKS, AKS, GKE, OpenShift, k3s, RKE2 or none [default: told from
    /// the log]
    #[arg(long, value_name = "NAME", value_parser = parse_profile, help_heading = "Rules")]
    pub profile: Option<String>,
    /// Bytes decoded at a time by a thread; results do not depend on it
    #[arg(long, value_name = "BYTES", default_value_t = ReadOptions::default().chunk_bytes, hide = true)]
    pub chunk_size: usize,
}

/// What the input is, as far as the user says.
#[derive(Debug, Clone, Copy, Default)]
pub struct InputFormat {
    framing: Option<Framing>,
    format: Option<envelope::Format>,
}

impl InputFormat {
    /// Ways to separate records, whatever is in them.
    const FRAMINGS: [(&'static str, Framing, &'static str); 2] = [
        ("lines", Framing::Lines, "one record a line"),
        (
            "documents",
            Framing::Documents,
            "JSON documents, however they are laid out",
        ),
    ];

    fn parse(name: &str) -> Result<Self, String> {
        if name == "auto" {
            return Ok(Self::default());
        }
        let framing = Self::FRAMINGS.iter().find(|(known, ..)| *known == name);
        if let Some((_, framing, _)) = framing {
            return Ok(Self {
                framing: Some(*framing),
                format: None,
            });
        }
        if let Ok(format) = name.parse() {
            return Ok(Self {
                framing: (format == envelope::Format::Csv).then_some(Framing::Csv),
                format: Some(format),
            });
        }
        let framings = Self::FRAMINGS.iter().map(|(name, _, what)| (*name, *what));
        let formats = envelope::Format::ALL.map(|format| (format.name(), format.description()));
        let mut text = "one of\n  auto            told from the content".to_owned();
        for (name, what) in framings.chain(formats) {
            let _ = write!(text, "\n  {name:<15} {what}");
        }
        Err(text)
    }
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

fn parse_profile(text: &str) -> Result<String, String> {
    let known = PROFILES.iter().copied().chain(["none"]);
    let mut fitting = known.clone().filter(|name| name.eq_ignore_ascii_case(text));
    fitting
        .next()
        .map(str::to_owned)
        .ok_or_else(|| format!("one of {}", known.collect::<Vec<_>>().join(", ")))
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
    let (rules, compiled) = match args.rules.load(printer) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let options = pipeline::Options {
        paths: args.paths.clone(),
        threads: args.threads.count(),
        read: ReadOptions {
            chunk_bytes: args.chunk_size.max(1),
            max_line_bytes: args.max_line.max(1),
            max_decompressed_bytes: args.max_decompressed,
            framing: args.input_format.framing,
            ..ReadOptions::default()
        },
        format: args.input_format.format,
        evidence_limit: args.evidence.0.unwrap_or(usize::MAX),
        gap_us: args.gap.saturating_mul(60_000_000),
        profile: args.profile.clone(),
        ..pipeline::Options::default()
    };
    stop_on_interrupt(&options.monitor, printer);
    let scanned = progress::watch(&options.monitor, global.quiet, || {
        pipeline::scan(&options, &rules, &compiled)
    });
    let scan = match scanned {
        Ok(scan) => scan,
        Err(error) => {
            printer.error(error);
            return Exit::Usage;
        }
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
    judge(&scan, args, printer)
}

/// The first interrupt ends reading, so that what is known so far is printed; the second ends all.
fn stop_on_interrupt(monitor: &Monitor, printer: Printer) {
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

/// Reports what of the log is missing, and returns the exit code that this alone asks for.
pub(super) fn missing(scan: &Scan, max_bad: Option<u64>, printer: Printer) -> Exit {
    let totals = &scan.summary.totals;
    for error in &scan.errors {
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
            "skipped {} of {} lines that are not audit events{place}",
            totals.bad, totals.records
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
        if kinds.is_empty() {
            printer.error("no audit event could be read");
        } else {
            let kinds = kinds.join(", ");
            printer.error(format_args!("no audit event could be read, but {kinds}"));
        }
        return Exit::Unreadable;
    }
    if totals.records == 0 && scan.read_bytes > 0 {
        printer.error(format_args!(
            "{} bytes were read and hold no record: they are blank or NUL",
            scan.read_bytes
        ));
        return Exit::Unreadable;
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

fn with_hint(diagnostic: Diagnostic, hint: Option<&str>) -> Diagnostic {
    match hint {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}
