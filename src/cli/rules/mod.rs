//! `kubescry rules`: what the program looks for, and tools to trust it.

mod check;
mod coverage;
mod explain;
mod list;
mod show;
mod test;

use std::io;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Global;
use super::diagnostic::{Diagnostic, Printer};
use super::exit::Exit;
use crate::rules::RuleSet;
use crate::rules::words::closest;

/// Options of `kubescry rules`.
#[derive(Debug, Args)]
pub struct RulesArgs {
    /// What to do
    #[command(subcommand)]
    pub command: RulesCommand,
}

/// The commands on rules.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// List the rules
    List(list::ListArgs),
    /// Say all about a rule
    Show(show::ShowArgs),
    /// Find what is wrong with rules, and what is likely wrong
    Check(check::CheckArgs),
    /// Run the test events of rules
    Test(test::TestArgs),
    /// Say why a rule matches an event or not
    Explain(explain::ExplainArgs),
    /// Say which rules a log can feed, and what the others lack
    Coverage(coverage::CoverageArgs),
}

/// Runs the command.
pub(super) fn run(args: &RulesArgs, global: &Global, printer: Printer) -> Exit {
    let result = match &args.command {
        RulesCommand::List(args) => list::run(args, printer),
        RulesCommand::Show(args) => show::run(args, printer),
        RulesCommand::Check(args) => check::run(args, printer),
        RulesCommand::Test(args) => test::run(args, printer),
        RulesCommand::Explain(args) => explain::run(args, printer),
        RulesCommand::Coverage(args) => coverage::run(args, global, printer),
    };
    match result {
        Ok(exit) => exit,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => {
            printer.error(format_args!("cannot write: {error}"));
            Exit::Partial
        }
    }
}

/// Looks whether there are folders of test events where somebody says so.
///
/// # Errors
/// With the exit code, when there is none.
fn have_folders(folders: &[PathBuf], printer: Printer) -> Result<(), Exit> {
    match folders.iter().find(|folder| !folder.is_dir()) {
        Some(missing) => {
            printer.error(format_args!("there is no folder `{}`", missing.display()));
            Err(Exit::Usage)
        }
        None => Ok(()),
    }
}

/// Returns the indices of the rules with these names or ids.
///
/// # Errors
/// With the exit code, when there is no such rule; says which was likely meant.
pub(super) fn find(
    rules: &RuleSet,
    names: &[String],
    printer: Printer,
) -> Result<Vec<usize>, Exit> {
    let find = |name: &String| {
        rules.find(name).ok_or_else(|| {
            let mut error = Diagnostic::error(format_args!("there is no rule `{name}`"));
            let known = rules.rules.iter().map(|rule| rule.meta.name.as_str());
            error = match closest(name, known) {
                Some(meant) => error.hint(format_args!("did you mean `{meant}`?")),
                None => error.hint("`kubescry rules list` has their names"),
            };
            printer.print(&error);
            Exit::Usage
        })
    };
    names.iter().map(find).collect()
}
