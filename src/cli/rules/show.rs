//! `kubescry rules show`: one rule in words.

use std::io::{self, BufWriter, Write};

use clap::Args;

use super::find;
use crate::cli::diagnostic::Printer;
use crate::cli::exit::Exit;
use crate::cli::rule_args::RuleArgs;
use crate::report::rules::show;

/// Options of `kubescry rules show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Names or ids of rules
    #[arg(value_name = "RULE", required = true)]
    pub names: Vec<String>,
    /// Which rules to use
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// Prints what the rules say of themselves.
pub(super) fn run(args: &ShowArgs, printer: Printer) -> io::Result<Exit> {
    let (rules, _) = match args.rules.load(printer) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let chosen = match find(&rules, &args.names, printer) {
        Ok(chosen) => chosen,
        Err(exit) => return Ok(exit),
    };
    let mut out = BufWriter::new(io::stdout().lock());
    for (at, rule) in chosen.into_iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        show(&rules, rule, &mut out)?;
    }
    out.flush()?;
    Ok(Exit::Done)
}
