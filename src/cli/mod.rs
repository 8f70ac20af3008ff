//! The program's commands and options: help text, no behavior.

pub mod alert;
mod browse;
pub mod diagnostic;
pub mod exit;
mod manual;
mod progress;
pub mod query;
pub mod read_args;
pub mod rule_args;
pub mod rules;
pub mod scan;

use std::io::Write as _;
use std::num::NonZeroUsize;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, Subcommand};

use diagnostic::{ColorChoice, Printer};
use exit::Exit;

/// Read Kubernetes API audit logs and say who should not be trusted any more, and why
#[derive(Debug, Parser)]
#[command(
    name = "kubescry",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// Options of every command
    #[command(flatten)]
    pub global: Global,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the findings of audit logs
    Scan(scan::ScanArgs),
    /// Investigate audit logs in the terminal
    Browse(browse::BrowseArgs),
    /// Read what is new, and send alerts: for cron, systemd and Kubernetes
    Alert(alert::AlertArgs),
    /// Answer a saved question or SQL over audit logs
    Query(query::QueryArgs),
    /// Look at, check and test the rules
    Rules(rules::RulesArgs),
    /// Print the script that completes commands and options in a shell
    Completions(manual::CompletionsArgs),
    /// Print a page of the manual, for man(1)
    Man(manual::ManArgs),
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Color the output [default: auto, which is on a terminal and without `NO_COLOR`]
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true
    )]
    pub color: ColorChoice,
    /// Print no warnings
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// Option of every command that reads whole logs.
#[derive(Debug, Args)]
pub struct ThreadArgs {
    /// Threads that do the work [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub threads: Option<u16>,
}

impl ThreadArgs {
    /// Returns how many threads to use.
    fn count(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.threads.map_or_else(cores, usize::from)
    }

    /// Has what runs outside of a pipeline, such as reading rules and printing findings, keep to as many.
    fn settle(&self) {
        if self.threads.is_some() {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(self.count());
            // There is one already where a test runs a command: that one serves.
            let _ = pool.build_global();
        }
    }
}

/// Parses the arguments and runs the command.
pub fn run() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if asks_for_formats(&error) => {
            // A closed pipe is nobody's fault.
            let _ = writeln!(std::io::stdout(), "{}", read_args::InputFormat::names());
            return Exit::Done;
        }
        Err(error) => {
            // Help and version are answers, not errors; a closed pipe is nobody's fault.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
        }
    };
    let printer = Printer::new(cli.global.color, cli.global.quiet);
    match cli.command {
        Command::Scan(args) => scan::run(&args, &cli.global, printer),
        Command::Browse(args) => browse::run(args, printer),
        Command::Alert(args) => alert::run(&args, printer),
        Command::Query(args) => query::run(&args, &cli.global, printer),
        Command::Rules(args) => rules::run(&args, &cli.global, printer),
        Command::Completions(args) => manual::completions(&args, printer),
        Command::Man(args) => manual::man(&args, printer),
    }
}

/// Returns whether `--input-format help` was given, which asks for the names and is no mistake.
fn asks_for_formats(error: &clap::Error) -> bool {
    let is = |kind, is: fn(&str) -> bool| match error.get(kind) {
        Some(ContextValue::String(text)) => is(text),
        _ => false,
    };
    is(ContextKind::InvalidArg, |name| {
        name.starts_with("--input-format ")
    }) && is(ContextKind::InvalidValue, |value| value == "help")
}
