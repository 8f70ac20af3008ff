//! `kubescry rules test`: rules against their test events.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::{find, have_folders};
use crate::cli::diagnostic::Printer;
use crate::cli::exit::Exit;
use crate::cli::rule_args::RuleArgs;
use crate::report::clean::safe;
use crate::trial::Trial;

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

/// Runs the test events of the rules, and prints what is not as it should be.
pub(super) fn run(args: &TestArgs, printer: Printer) -> io::Result<Exit> {
    if let Err(exit) = have_folders(&args.tests, printer) {
        return Ok(exit);
    }
    let (rules, compiled) = match args.rules.load(printer) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let mut chosen = match find(&rules, &args.names, printer) {
        Ok(chosen) => chosen,
        Err(exit) => return Ok(exit),
    };
    if chosen.is_empty() {
        chosen = (0..rules.rules.len()).collect();
    }
    let mut out = io::stdout().lock();
    let (mut passed, mut failed, mut without) = (0, 0, 0);
    for rule in chosen {
        let trial = Trial::find(&rules, rule, &args.tests);
        let name = &rules.rules[rule].meta.name;
        if trial.is_empty() {
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
            writeln!(out, "      {}", safe(&wrong))?;
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
