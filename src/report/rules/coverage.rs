//! Which rules a log can feed, and what the others lack.

use std::collections::BTreeMap;
use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::detect::feed::{Fed, Reach, Verdict};
use crate::redact::redact;
use crate::report::WIDTH_DEFAULT;
use crate::report::json::write_line;
use crate::report::page::Page;

/// Rules named behind a field before "+N more".
const N_RULES: usize = 6;

/// How coverage is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum CoverageFormat {
    /// For people: the rules by what they lack
    #[default]
    Table,
    /// For programs: an object with counts, and a verdict per rule
    Json,
}

/// Writes what a log means to rules.
///
/// # Errors
/// When `out` cannot be written.
pub fn coverage(format: CoverageFormat, fed: &[Fed], out: &mut dyn Write) -> io::Result<()> {
    match format {
        CoverageFormat::Table => table(fed, out),
        CoverageFormat::Json => json(fed, out),
    }
}

/// Says in one sentence how many rules a log can feed; nothing if there are no rules.
pub(in crate::report) fn reach(reach: &Reach) -> String {
    let lacking = [
        (reach.no_bodies, "bodies"),
        (reach.no_columns, "columns"),
        (reach.no_stage, "a stage"),
        (reach.no_fields, "fields"),
        (reach.no_events, "events to look at"),
    ];
    let lacking = lacking.into_iter().filter(|(count, _)| *count > 0);
    let lacking = lacking.map(|(count, what)| match count {
        1 => format!("1 lacks {what}"),
        count => format!("{count} lack {what}"),
    });
    let lacking: Vec<String> = lacking.collect();
    match (reach.can_fire, &lacking[..]) {
        (0, []) => String::new(),
        (count, []) => format!("all {count} can fire"),
        (count, lacking) => {
            let lacking = lacking.join(", ");
            format!("{count} can fire, {lacking} (`kubescry rules coverage`)")
        }
    }
}

fn table(fed: &[Fed], out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page {
        out,
        width: WIDTH_DEFAULT,
        indent: 0,
        color: false,
    };
    page.own("rules", &reach(&Reach::of(fed)))?;
    let sections: [(&str, Section); 5] = [
        ("Bodies are missing", |verdict| match verdict {
            Verdict::NoBodies(names) => Some(("no bodies for", names)),
            _ => None,
        }),
        ("No event fills a column", |verdict| match verdict {
            Verdict::NoColumns(names) => Some(("no event has", names)),
            _ => None,
        }),
        ("A stage is left out", |verdict| match verdict {
            Verdict::NoStage(names) => Some(("blind without stage", names)),
            _ => None,
        }),
        ("No event has a field", |verdict| match verdict {
            Verdict::NoFields(names) => Some(("no event has", names)),
            _ => None,
        }),
        ("No event is of the kind", |verdict| match verdict {
            Verdict::NoEvents(names) => Some(("no events on", names)),
            _ => None,
        }),
    ];
    for (title, section) in sections {
        let lines: Vec<String> = fed
            .iter()
            .filter_map(|fed| {
                let (words, names) = section(&fed.verdict)?;
                Some(match &names[..] {
                    [] => fed.rule.clone(),
                    names => format!("{}: {words} {}", fed.rule, names.join(", ")),
                })
            })
            .collect();
        page.section(title, &lines)?;
    }
    let can_fire = fed.iter().filter(|fed| fed.verdict == Verdict::CanFire);
    let can_fire: Vec<String> = can_fire.map(|fed| fed.rule.clone()).collect();
    if !can_fire.is_empty() {
        page.blank()?;
        page.top("Can fire")?;
        page.own_at("  ", &can_fire.join(", "), 2)?;
    }
    let unseen: Vec<String> = unseen(fed)
        .into_iter()
        .map(|(field, rules)| {
            let n_more = rules.len().saturating_sub(N_RULES);
            let shown = rules[..rules.len().min(N_RULES)].join(", ");
            match n_more {
                0 => format!("{field}: {shown}"),
                n_more => format!("{field}: {shown}, +{n_more} more"),
            }
        })
        .collect();
    page.section("Fields that rules name and no event has", &unseen)
}

/// Returns what a verdict says, if it belongs to a section.
type Section = fn(&Verdict) -> Option<(&'static str, &Vec<String>)>;

impl Page<'_> {
    /// Writes a title and lines below it, if there are any; clients choose the names of resources.
    fn section(&mut self, title: &str, lines: &[String]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        self.blank()?;
        self.top(title)?;
        for line in lines {
            self.text("  ", line, 4)?;
        }
        Ok(())
    }
}

/// Returns the fields that no event has, with the rules that name them and would otherwise see something.
fn unseen(fed: &[Fed]) -> BTreeMap<&str, Vec<&str>> {
    let mut unseen: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for fed in fed {
        if matches!(fed.verdict, Verdict::CanFire | Verdict::NoFields(_)) {
            for field in &fed.unseen {
                unseen.entry(field).or_default().push(&fed.rule);
            }
        }
    }
    unseen
}

fn json(fed: &[Fed], out: &mut dyn Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Answer<'a> {
        coverage: Reach,
        rules: Vec<Line<'a>>,
        unseen_fields: BTreeMap<&'a str, Vec<&'a str>>,
    }
    #[derive(Serialize)]
    struct Line<'a> {
        rule: &'a str,
        level: &'a str,
        #[serde(flatten)]
        verdict: Verdict,
        unseen_fields: &'a [String],
    }
    let lines = fed.iter().map(|fed| Line {
        rule: &fed.rule,
        level: fed.level.as_str(),
        verdict: redacted(&fed.verdict),
        unseen_fields: &fed.unseen,
    });
    let answer = Answer {
        coverage: Reach::of(fed),
        rules: lines.collect(),
        unseen_fields: unseen(fed),
    };
    write_line(&answer, out)
}

/// Returns a verdict without secrets: clients choose the names of resources.
fn redacted(verdict: &Verdict) -> Verdict {
    let mut verdict = verdict.clone();
    if let Verdict::NoBodies(names) = &mut verdict {
        for name in names {
            *name = redact(name).into_owned();
        }
    }
    verdict
}
