//! `kubescry browse`: a terminal in, a terminal out.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};

use super::diagnostic::{Diagnostic, Printer};
use super::exit::Exit;
use super::query::questions;
use super::read_args::{self, ReadArgs};
use super::rule_args::RuleArgs;
use super::scan::{Reading, missing};
use crate::case::{DATABASE, LOCK};
use crate::tui::run::{Options, RunError, run as run_browser};
use crate::tui::theme::Theme;

/// Options of `kubescry browse`.
#[derive(Debug, Args)]
pub struct BrowseArgs {
    /// Audit log files and folders; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Keep events, notes, states and the story in this folder, and open them from there again
    #[arg(long, value_name = "DIR")]
    pub case: Option<PathBuf>,
    /// Memory that events may take, such as 500M or 4G; the rest of them goes to disk [default: half of what is free]
    #[arg(long, value_name = "BYTES", value_parser = read_args::parse_bytes)]
    pub memory: Option<usize>,
    /// How things look
    #[arg(long, value_enum)]
    pub theme: Option<ThemeName>,
    /// Draw nothing but ASCII
    #[arg(long)]
    pub ascii: bool,
    /// Catch the mouse from the start (M switches it)
    #[arg(long)]
    pub mouse: bool,
    /// Say on leaving how long the first screen took
    #[arg(long, hide = true)]
    pub startup_trace: bool,
    /// How logs are read
    #[command(flatten)]
    pub read: ReadArgs,
    /// Which rules to use
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// The themes that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ThemeName {
    /// For dark terminals
    Dark,
    /// For light terminals
    Light,
    /// Few colors, far apart
    Contrast,
}

/// Memory for events where the system does not tell how much is free.
const MEMORY_BYTES: usize = 2 << 30;

/// Returns half of the memory that is free, as Linux tells it (proc(5), `MemAvailable`).
fn half_of_free() -> usize {
    let told = std::fs::read_to_string("/proc/meminfo").ok();
    let available = told.as_deref().and_then(|text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()
    });
    available.map_or(MEMORY_BYTES, |kilobytes| kilobytes / 2 * 1024)
}

/// Says what of `paths` is not there, if nothing of it is: what would be seen is an empty browser.
fn something(paths: &[PathBuf], printer: Printer) -> Result<(), Exit> {
    let is_there = |path: &PathBuf| path.as_os_str() == "-" || path.exists();
    if paths.iter().any(is_there) {
        return Ok(());
    }
    for path in paths {
        if let Err(error) = path.metadata() {
            let path = path.display();
            printer.error(format_args!("cannot read `{path}`: {error}"));
        }
    }
    Err(Exit::Unreadable)
}

/// Refuses a folder that has other things in it than a case: files of a case would lie among them.
fn case_or_nothing(folder: &Path, printer: Printer) -> Result<(), Exit> {
    let mut entries = std::fs::read_dir(folder).into_iter().flatten();
    let is_case = [DATABASE, LOCK]
        .iter()
        .any(|name| folder.join(name).exists());
    if is_case || entries.next().is_none() {
        return Ok(());
    }
    let name = folder.display();
    let error = Diagnostic::error(format_args!(
        "`{name}` is no case, and has other files in it"
    ));
    let name = folder.components().collect::<PathBuf>();
    let hint = format!(
        "name a folder that is new or empty: --case {}-case",
        name.display()
    );
    printer.print(&error.hint(hint));
    Err(Exit::Usage)
}

/// Browses, and says how it went.
pub(super) fn run(args: BrowseArgs, printer: Printer) -> Exit {
    let started = Instant::now();
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let refusal = match io::stdout().is_terminal() {
        false => Some("browsing needs a terminal on standard output"),
        true if is_dumb => Some("browsing needs a terminal with a cursor, and TERM is `dumb`"),
        true => None,
    };
    if let Some(refusal) = refusal {
        let error = Diagnostic::error(refusal);
        printer.print(
            &error.hint("`kubescry scan` prints findings, `kubescry query` answers questions"),
        );
        return Exit::Usage;
    }
    if let Some(folder) = &args.case
        && let Err(exit) = case_or_nothing(folder, printer)
    {
        return exit;
    }
    // A case may have the events of a log that is gone.
    if args.case.as_ref().is_none_or(|folder| !folder.exists())
        && let Err(exit) = something(&args.paths, printer)
    {
        return exit;
    }
    let questions = match questions(&args.rules, None, printer) {
        Ok(questions) => questions,
        Err(exit) => return exit,
    };
    // The embedded rules are read behind the first screen; others may be wrong, which has to be said before it.
    let rules = if args.rules.queries.is_empty() {
        None
    } else {
        match args.rules.load(printer) {
            Ok(rules) => Some(rules),
            Err(exit) => return exit,
        }
    };
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let theme = args.theme.map(|theme| match theme {
        ThemeName::Dark => Theme::Dark,
        ThemeName::Light => Theme::Light,
        ThemeName::Contrast => Theme::Contrast,
    });
    let options = Options {
        pipeline: args.read.options(&args.paths),
        rules,
        questions,
        case: args.case,
        memory_bytes: args.memory.unwrap_or_else(half_of_free),
        theme: if no_color { Some(Theme::Plain) } else { theme },
        is_ascii: args.ascii,
        has_mouse: args.mouse,
        started,
    };
    match run_browser(options) {
        Ok(report) if report.has_panicked => Exit::Internal,
        Ok(report) => {
            if args.startup_trace {
                printer.note(format_args!(
                    "first screen after {} ms",
                    report.first_frame.as_millis()
                ));
            }
            report.missing.map_or(Exit::Done, |missed| {
                let read = Reading {
                    summary: &missed.summary,
                    errors: &missed.errors,
                    read_bytes: missed.read_bytes,
                    was_stopped: false,
                };
                missing(read, None, printer)
            })
        }
        Err(error) => {
            let diagnostic = Diagnostic::error(&error);
            printer.print(&match &error {
                RunError::Case(case) => match case.hint() {
                    Some(hint) => diagnostic.hint(hint),
                    None => diagnostic,
                },
                RunError::Terminal(_) => diagnostic,
            });
            Exit::Usage
        }
    }
}
