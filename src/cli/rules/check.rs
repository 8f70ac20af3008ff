//! `kubescry rules check`: what is wrong with rules, and what is likely wrong.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::have_folders;
use crate::cli::diagnostic::{Diagnostic, Printer};
use crate::cli::exit::Exit;
use crate::cli::query::described;
use crate::cli::rule_args::RuleArgs;
use crate::finding::words::counted;
use crate::lint::Lint;
use crate::query::Questions;
use crate::query::question::Loaded;
use crate::rules::RuleError;

/// Options of `kubescry rules check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Rule files and folders of them [default: those of --queries, else the built-in rules]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Exit with 1 if anything is likely wrong
    #[arg(long)]
    pub strict: bool,
    /// Folder with test events, `NAME/hit.jsonl` and `NAME/miss.jsonl` for each rule (can be repeated)
    #[arg(long, value_name = "DIR")]
    pub tests: Vec<PathBuf>,
    /// Which rules to use
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// Prints what is wrong, then how much.
pub(super) fn run(args: &CheckArgs, printer: Printer) -> io::Result<Exit> {
    if let Err(exit) = have_folders(&args.tests, printer) {
        return Ok(exit);
    }
    let folders: Vec<&PathBuf> = args.rules.queries.iter().chain(&args.paths).collect();
    let Lint {
        errors,
        warnings,
        n_rules,
        has_files,
    } = Lint::of(&folders, &args.tests);
    let loaded = Questions::with_folders(&folders);
    let (n_questions, bad) = match loaded {
        Ok(Loaded { n_files, bad, .. }) => (n_files, bad),
        Err(error) => (0, vec![(String::new(), error)]),
    };
    if errors.is_empty() && bad.is_empty() && !has_files && n_questions == 0 {
        printer.print(
            &Diagnostic::error("there are no rule files where you said")
                .hint("their names end in `.yml` or `.yaml`; those of questions, in a folder `questions`, in `.sql`"),
        );
        return Ok(Exit::Usage);
    }
    for error in &errors {
        print(Diagnostic::error(&error.what), error, printer);
    }
    for (_, error) in &bad {
        printer.print(&described(Diagnostic::error(error), error));
    }
    for warning in &warnings {
        print(Diagnostic::warning(&warning.what), warning, printer);
    }
    let questions = match n_questions {
        0 => String::new(),
        n => format!(", {}", count(n, "question")),
    };
    let n_errors = errors.len() + bad.len();
    writeln!(
        io::stdout().lock(),
        "{}{questions}: {}, {}",
        count(n_rules, "rule"),
        count(n_errors, "error"),
        count(warnings.len(), "warning"),
    )?;
    Ok(if n_errors > 0 && !args.rules.skip_bad_rules {
        Exit::Usage
    } else if args.strict && !warnings.is_empty() {
        Exit::Findings
    } else {
        Exit::Done
    })
}

fn count(n: usize, noun: &str) -> String {
    counted(n as u64, noun)
}

fn print(diagnostic: Diagnostic, error: &RuleError, printer: Printer) {
    let line = error.line.map_or(String::new(), |line| format!(":{line}"));
    let mut diagnostic = diagnostic.line(format_args!("  --> {}{line}", error.path));
    if let Some(hint) = &error.hint {
        diagnostic = diagnostic.hint(hint);
    }
    printer.print(&diagnostic);
}
