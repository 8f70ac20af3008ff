//! `kubescry rules`: what the program looks for, and tools to trust it.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::diagnostic::Printer;
use super::exit::Exit;
use super::rule_args::RuleArgs;
use crate::trial::Trial;

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
    /// Run the test events of rules
    Test(TestArgs),
}

/// Options of `kubescry rules test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Names or ids of rules [default: all]
    #[arg(value_name = "RULE")]
    pub names: Vec<String>,
    /// Folder with test events, `NAME/hit.jsonl` and `NAME/miss.jsonl` for each rule (can be repeated)
    #[arg(long, value_name = "DIR")]
    pub tests: Vec<PathBuf>,
    /// Which rules to use
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// Runs the command.
pub(super) fn run(args: &RulesArgs, printer: Printer) -> Exit {
    let result = match &args.command {
        RulesCommand::Test(args) => test(args, printer),
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

fn test(args: &TestArgs, printer: Printer) -> io::Result<Exit> {
    let (rules, compiled) = match args.rules.load(printer) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let mut chosen = Vec::new();
    for name in &args.names {
        match rules.find(name) {
            Some(rule) => chosen.push(rule),
            None => {
                printer.error(format_args!("there is no rule `{name}`"));
                return Ok(Exit::Usage);
            }
        }
    }
    if chosen.is_empty() {
        chosen = (0..rules.rules.len()).collect();
    }
    let mut out = io::stdout().lock();
    let (mut passed, mut failed, mut without) = (0, 0, 0);
    for rule in chosen {
        let trial = Trial::find(&rules, rule, &args.tests);
        let name = &rules.rules[rule].meta.name;
        if trial.hit.is_none() && trial.miss.is_none() {
            without += 1;
            if !args.names.is_empty() {
                writeln!(out, "none  {name}: it has no test events")?;
            }
            continue;
        }
        let wrong = match trial.run(&rules, &compiled) {
            Ok(wrong) => wrong,
            Err(error) => vec![error.to_string()],
        };
        if wrong.is_empty() {
            passed += 1;
            continue;
        }
        failed += 1;
        writeln!(out, "FAIL  {name}")?;
        for wrong in wrong {
            writeln!(out, "      {wrong}")?;
        }
    }
    writeln!(
        out,
        "{passed} passed, {failed} failed, {without} without test events"
    )?;
    Ok(if failed > 0 {
        Exit::Findings
    } else {
        Exit::Done
    })
}
