//! `kubescry rules list`: which rules there are.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};

use clap::Args;

use crate::cli::diagnostic::{Diagnostic, Printer};
use crate::cli::exit::Exit;
use crate::cli::rule_args::RuleArgs;
use crate::cli::scan::parse_severity;
use crate::finding::{RuleKind, Severity};
use crate::report::rules::{self, ListFormat};
use crate::rules::choose::{has_tag, tags};
use crate::rules::words::closest;
use crate::rules::{Choice, FAMILIES, RuleSet};

/// Tags that are named for one that is not known.
const NEAR_TAGS: usize = 8;

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

/// Says that no rule has a tag, and which tags are like it.
fn unknown_tag(tag: &str, rules: &RuleSet) -> Diagnostic {
    let tags: BTreeSet<String> = rules
        .rules
        .iter()
        .flat_map(|rule| tags(&rule.meta))
        .collect();
    let wanted = tag.to_ascii_lowercase();
    let wanted = wanted.strip_prefix("attack.").unwrap_or(&wanted);
    // Techniques of one number, or one part of the name of a tactic, are nearer than a slip of the finger.
    let is_near = |known: &&String| {
        let known = known.to_ascii_lowercase();
        let stem = wanted.split('.').next().unwrap_or(wanted);
        stem.len() > 2 && known.contains(stem)
    };
    let mut near: Vec<&str> = (tags.iter().filter(is_near)).map(String::as_str).collect();
    if near.is_empty() {
        near.extend(closest(wanted, tags.iter().map(String::as_str)));
    }
    let error = Diagnostic::error(format_args!("no rule has the tag `{tag}`"));
    if near.is_empty() {
        let tactics: BTreeSet<&str> = (rules.rules.iter())
            .flat_map(|rule| rule.meta.tactics.iter().map(String::as_str))
            .collect();
        let tactics: Vec<&str> = tactics.into_iter().collect();
        let hint = format!("a technique, as T1078, or a tactic: {}", tactics.join(", "));
        return error.hint(hint);
    }
    near.truncate(NEAR_TAGS);
    error.hint(format!("there are {}", near.join(", ")))
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
    let metas = || rules.rules.iter().map(|rule| &rule.meta);
    for tag in &args.tag {
        if !metas().any(|meta| has_tag(meta, tag)) {
            printer.print(&unknown_tag(tag, &rules));
            return Ok(Exit::Usage);
        }
    }
    let chosen: Vec<_> = metas().filter(|meta| choice.takes(meta)).collect();
    if chosen.is_empty() {
        printer.note("no rule is all of what was asked for");
    }
    let mut out = BufWriter::new(io::stdout().lock());
    rules::list(args.format, &chosen, &mut out)?;
    out.flush()?;
    Ok(Exit::Done)
}
