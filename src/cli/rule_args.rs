//! Options on rules, and the rules they lead to.

use std::path::PathBuf;

use clap::Args;

use super::diagnostic::{Diagnostic, Printer};
use super::exit::Exit;
use crate::detect::CompiledRules;
use crate::rules::{Loaded, RuleError, RuleSet};

/// Options of every command that uses rules.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rules")]
pub struct RuleArgs {
    /// Add a folder of rules and questions, laid out as the built-in one; equal ids and names replace (can be repeated)
    #[arg(long, value_name = "DIR")]
    pub queries: Vec<PathBuf>,
    /// Go on without rules and questions that cannot be used, and say how many
    #[arg(long)]
    pub skip_bad_rules: bool,
    /// Hold nothing back by lists of exclusions, to see what they hold back
    #[arg(long)]
    pub no_exclusions: bool,
}

impl RuleArgs {
    /// Reads and compiles the rules; says what is wrong with them.
    ///
    /// # Errors
    /// With the exit code, when rules are wrong and were not to be skipped.
    pub(super) fn load(&self, printer: Printer) -> Result<(RuleSet, CompiledRules), Exit> {
        let fail = |errors: Vec<RuleError>| {
            for error in &errors {
                printer.print(&described(Diagnostic::error(error), error));
            }
            Exit::Usage
        };
        let Loaded {
            set: mut rules,
            bad: mut skipped,
            conflicts,
        } = RuleSet::load(&self.queries).map_err(fail)?;
        if self.skip_bad_rules {
            skipped.extend(rules.settle(conflicts).map_err(fail)?);
        } else if !skipped.is_empty() || !conflicts.is_empty() {
            skipped.extend(conflicts);
            return Err(fail(skipped));
        }
        if self.no_exclusions {
            rules.exclude_nothing();
        }
        let compiled = loop {
            match CompiledRules::compile(&rules) {
                Ok(compiled) => break compiled,
                Err(errors) => {
                    let names: Vec<String> =
                        errors.iter().map(|error| error.rule.clone()).collect();
                    let errors = errors.into_iter().map(|error| error.problem);
                    let before = rules.rules.len();
                    if !self.skip_bad_rules {
                        return Err(fail(errors.collect()));
                    }
                    skipped.extend(errors);
                    rules.remove(&names);
                    if rules.rules.len() == before {
                        return Err(fail(skipped));
                    }
                }
            }
        };
        for warning in &rules.warnings {
            printer.print(&described(Diagnostic::warning(warning), warning));
        }
        if let Some(first) = skipped.first() {
            for error in &skipped {
                printer.print(&described(Diagnostic::warning(error), error));
            }
            let count = skipped.len();
            printer.warning(format_args!(
                "left out rules for {count} problems; the first is in `{}`",
                first.path
            ));
        }
        Ok((rules, compiled))
    }
}

fn described(diagnostic: Diagnostic, error: &RuleError) -> Diagnostic {
    match &error.hint {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}
