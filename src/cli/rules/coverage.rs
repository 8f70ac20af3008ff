//! `kubescry rules coverage`: which rules a log can feed.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;

use crate::cli::diagnostic::Printer;
use crate::cli::exit::Exit;
use crate::cli::read_args::InputArgs;
use crate::cli::rule_args::RuleArgs;
use crate::cli::{Global, progress, scan};
use crate::pipeline;
use crate::report::rules::{CoverageFormat, coverage};

/// Options of `kubescry rules coverage`.
#[derive(Debug, Args)]
pub struct CoverageArgs {
    /// Audit log files and folders; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub format: CoverageFormat,
    /// How the input is read
    #[command(flatten)]
    pub input: InputArgs,
    /// Which rules to use
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// Reads the log once and prints what it means to the rules.
pub(super) fn run(args: &CoverageArgs, global: &Global, printer: Printer) -> io::Result<Exit> {
    let (rules, compiled) = match args.rules.load(printer) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let options = args.input.options(&args.paths);
    scan::stop_on_interrupt(&options.monitor, printer);
    let surveyed = progress::scan(&options.monitor, global, printer, || {
        pipeline::survey(&options, &rules, &compiled)
    });
    let surveyed = match surveyed {
        Ok(surveyed) => surveyed,
        Err(exit) => return Ok(exit),
    };
    let exit = scan::missing(&surveyed, None, printer);
    if exit < Exit::Unreadable || exit == Exit::Interrupted {
        let mut out = BufWriter::new(io::stdout().lock());
        coverage(args.format, &surveyed.fed, &mut out)?;
        out.flush()?;
    }
    Ok(exit)
}
