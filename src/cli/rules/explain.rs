//! `kubescry rules explain`: why a rule matches an event or not.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;

use super::find;
use crate::cli::diagnostic::Printer;
use crate::cli::exit::Exit;
use crate::cli::rule_args::RuleArgs;
use crate::detect::outline::Outline;
use crate::frame::EventFrame;
use crate::report::rules::{event, explanation, remark};
use crate::rules::{RuleBody, RuleError, RuleSet, document};
use crate::trial::read_events;

/// Events that are explained, unless one is picked: more are read by nobody.
const EVENTS_MAX: usize = 100;

/// Options of `kubescry rules explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Name or id of the rule
    #[arg(value_name = "RULE")]
    pub name: String,
    /// Log with the events, `-` is standard input; the first 100 events are explained
    #[arg(long, value_name = "FILE")]
    pub event: PathBuf,
    /// Explain only what stands at this line of the log
    #[arg(long, value_name = "N")]
    pub line: Option<u64>,
    /// Which rules to use
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// Explains the rule on each event.
pub(super) fn run(args: &ExplainArgs, printer: Printer) -> io::Result<Exit> {
    let (rules, _) = match args.rules.load(printer) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let rule = match find(&rules, std::slice::from_ref(&args.name), printer) {
        Ok(chosen) => chosen[0],
        Err(exit) => return Ok(exit),
    };
    let frames = match read_events(&args.event, args.line) {
        Ok(frames) => frames,
        Err(error) => {
            printer.error(error);
            return Ok(Exit::Unreadable);
        }
    };
    let n_events: usize = frames.iter().map(EventFrame::height).sum();
    if n_events == 0 {
        printer.error(format_args!("`{}` holds no event", args.event.display()));
        return Ok(Exit::Unreadable);
    }
    let mut outlines = Vec::new();
    if let Err(error) = outline(&rules, rule, &mut outlines) {
        printer.error(error);
        return Ok(Exit::Usage);
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let rows = frames
        .iter()
        .flat_map(|frame| (0..frame.height()).map(move |row_idx| (frame, row_idx)));
    for (at, (frame, row_idx)) in rows.take(EVENTS_MAX).enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        event(frame, row_idx, &mut out)?;
        for (rule, outline) in &outlines {
            let rule = &rules.rules[*rule];
            match (&rule.body, outline) {
                (_, Some(outline)) => {
                    let explained = outline.explain(frame, row_idx);
                    explanation(&rule.meta, &explained, &mut out)?;
                }
                (RuleBody::Correlation(body), None) => {
                    let asks = document::correlation(body);
                    let text =
                        format!("one event does not decide it. It asks for {asks}. Of its rules:");
                    remark(&rule.meta, &text, &mut out)?;
                }
                _ => {
                    let text = "an analytic is about a whole log: try it with `kubescry scan LOG`";
                    remark(&rule.meta, text, &mut out)?;
                }
            }
        }
    }
    out.flush()?;
    if n_events > EVENTS_MAX {
        printer.warning(format_args!(
            "explained the first {EVENTS_MAX} of {n_events} events; --line picks one"
        ));
    }
    Ok(Exit::Done)
}

/// Gathers a rule and, of a correlation, the rules it looks at, each once.
fn outline(
    rules: &RuleSet,
    rule: usize,
    outlines: &mut Vec<(usize, Option<Outline>)>,
) -> Result<(), RuleError> {
    if outlines.iter().any(|(known, _)| *known == rule) {
        return Ok(());
    }
    outlines.push((rule, Outline::new(rules, rule)?));
    for base in rules.rules[rule]
        .bases()
        .filter_map(|base| rules.find(base))
    {
        outline(rules, base, outlines)?;
    }
    Ok(())
}
