//! `kubescry rules list`: which rules there are.

use std::io::{self, BufWriter, Write};

use clap::Args;

use crate::cli::diagnostic::Printer;
use crate::cli::exit::Exit;
use crate::cli::rule_args::RuleArgs;
use crate::cli::scan::parse_severity;
use crate::finding::{RuleKind, Severity};
use crate::report::rules::{self, ListFormat};
use crate::rules::{Choice, FAMILIES};

/// Options of `kubescry rules list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// How to print the list
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
    /// Only rules of this family (can be repeated)
    #[arg(long, value_name = "NAME", value_parser = parse_family)]
    pub family: Vec<String>,
    /// Only rules of at least this level
    #[arg(long, value_name = "LEVEL", value_parser = parse_severity)]
    pub level: Option<Severity>,
    /// Only rules about this ATT&CK technique or tactic, or id of the threat matrix (can be repeated)
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// Only rules of this kind: sigma, correlation, analytic (can be repeated)
    #[arg(long, value_name = "KIND", value_parser = parse_kind)]
    pub kind: Vec<RuleKind>,
    /// Which rules to use
    #[command(flatten)]
    pub rules: RuleArgs,
}

fn parse_family(text: &str) -> Result<String, String> {
    let known = FAMILIES
        .iter()
        .find(|family| family.eq_ignore_ascii_case(text));
    known
        .map(|family| (*family).to_owned())
        .ok_or_else(|| format!("one of {}", FAMILIES.join(", ")))
}

fn parse_kind(text: &str) -> Result<RuleKind, String> {
    let kinds = RuleKind::ALL;
    let known = kinds
        .into_iter()
        .find(|kind| kind.as_str().eq_ignore_ascii_case(text));
    known.ok_or_else(|| format!("one of {}", kinds.map(RuleKind::as_str).join(", ")))
}

/// Prints the rules that are asked for.
pub(super) fn run(args: &ListArgs, printer: Printer) -> io::Result<Exit> {
    let (rules, _) = match args.rules.load(printer) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let choice = Choice {
        families: args.family.clone(),
        level: args.level,
        tags: args.tag.clone(),
        kinds: args.kind.clone(),
    };
    let metas = rules.rules.iter().map(|rule| &rule.meta);
    let chosen: Vec<_> = metas.filter(|meta| choice.takes(meta)).collect();
    let mut out = BufWriter::new(io::stdout().lock());
    rules::list(args.format, &chosen, &mut out)?;
    out.flush()?;
    Ok(Exit::Done)
}
