//! Why a rule matches an event or not.
//!
//! What an event holds stands to the right of the condition it was asked for, without secrets and clean.

use std::io::{self, Write};

use crate::detect::outline::{Exclusion, Explanation};
use crate::detect::trace::{Found, Trace};
use crate::frame::{Column, ColumnType, EventFrame};
use crate::redact::{redact, redact_command};
use crate::report::WIDTH_DEFAULT;
use crate::report::clean::{clip, safe};
use crate::report::page::Page;
use crate::rules::RuleMeta;

/// Columns of one value before it is cut.
const VALUE: usize = 160;
/// Values printed before "+N more".
const N_VALUES: usize = 6;
/// Blanks by which a part stands further in than its whole.
const STEP: usize = 4;
/// Deepest part that is set further in.
const DEPTH_MAX: usize = 10;

/// Writes which event is looked at.
///
/// # Errors
/// When `out` cannot be written.
pub fn event(frame: &EventFrame, row_idx: usize, out: &mut dyn Write) -> io::Result<()> {
    let text = |column: Column| {
        let text = match column.kind() {
            ColumnType::Text => frame.text(column, row_idx),
            _ => frame.vocabulary().text(frame.code(column, row_idx)),
        };
        clip(&redact(text), VALUE)
    };
    let parts = |columns: &[Column], sign: &str| {
        let texts = columns.iter().map(|column| text(*column));
        texts
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(sign)
    };
    let object = match parts(&[Column::Resource, Column::Subresource], "/") {
        object if object.is_empty() => text(Column::RequestUri),
        object => object,
    };
    let name = parts(&[Column::Namespace, Column::Name], "/");
    let user = match text(Column::Username) {
        user if user.is_empty() => "nobody".to_owned(),
        user => user,
    };
    let code = match frame.code(Column::Code, row_idx) {
        0 => String::new(),
        code => format!(", code {code}"),
    };
    let blank = if name.is_empty() { "" } else { " " };
    let line = frame.longs(Column::Line)[row_idx];
    let file = frame.vocabulary().text(frame.code(Column::File, row_idx));
    let mut page = page(out);
    page.own(
        "event",
        &format!("{file}:{line}, audit ID {}", text(Column::AuditId)),
    )?;
    page.own(
        "",
        &format!(
            "{} {object}{blank}{name} by {user}, stage {}, level {}{code}",
            text(Column::Verb),
            text(Column::Stage),
            text(Column::Level)
        ),
    )
}

/// Writes why a rule matches an event or not.
///
/// # Errors
/// When `out` cannot be written.
pub fn explanation(
    meta: &RuleMeta,
    explanation: &Explanation,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut page = page(out);
    page.own("rule", &format!("{}: {}", meta.name, verdict(explanation)))?;
    if explanation.is_match && !meta.requires.is_empty() {
        let columns = meta.requires.join(" and some with ");
        page.own(
            "",
            &format!("it stays silent unless some event of the log has {columns}"),
        )?;
    }
    for trace in &explanation.conditions {
        page.trace(trace, 0)?;
    }
    for exclusion in &explanation.lists {
        page.trace(&shortened(exclusion), 0)?;
    }
    Ok(())
}

/// Writes what stands in place of an explanation.
///
/// # Errors
/// When `out` cannot be written.
pub fn remark(meta: &RuleMeta, text: &str, out: &mut dyn Write) -> io::Result<()> {
    page(out).own("rule", &format!("{}: {text}", meta.name))
}

fn page(out: &mut dyn Write) -> Page<'_> {
    Page {
        out,
        width: WIDTH_DEFAULT,
        indent: 0,
        color: false,
    }
}

/// Says in words how it ends.
fn verdict(explanation: &Explanation) -> String {
    if !explanation.is_match {
        return "it does not match".to_owned();
    }
    let mut excluding = explanation
        .lists
        .iter()
        .filter(|exclusion| exclusion.trace.is_met);
    match excluding.next() {
        None => "it matches".to_owned(),
        Some(Exclusion { list, profiles, .. }) if profiles.is_empty() => {
            format!("it matches, but the list {list} excludes it")
        }
        Some(Exclusion { list, profiles, .. }) => {
            let profiles = profiles.join(" and ");
            format!("it matches, but on {profiles} the list {list} excludes it")
        }
    }
}

/// Returns what a list says, of its entries only those that fit.
fn shortened(exclusion: &Exclusion) -> Trace {
    let mut trace = exclusion.trace.clone();
    let n_entries = trace.parts.len();
    trace.parts.retain(|entry| entry.is_met);
    if trace.parts.is_empty() {
        trace.hint = Some(format!("none of its {n_entries} entries fits"));
    }
    trace
}

impl Page<'_> {
    fn trace(&mut self, trace: &Trace, depth: usize) -> io::Result<()> {
        let indent = 2 + STEP * depth.min(DEPTH_MAX);
        let mark = if trace.is_met { "[x]" } else { "[ ]" };
        let mut text = trace.text.clone();
        let found = found(&trace.found);
        match &trace.hint {
            Some(hint) => text = format!("{text}; {hint}"),
            None if found.is_empty() => {}
            None => text = format!("{text}; the event has {found}"),
        }
        self.own_at(&format!("{:indent$}{mark} ", ""), &text, indent + STEP)?;
        for part in &trace.parts {
            self.trace(part, depth + 1)?;
        }
        Ok(())
    }
}

/// Returns what an event holds, fit to be read.
fn found(found: &Found) -> String {
    match found {
        Found::Unasked => String::new(),
        Found::Command(argv) => clip(&redact_command(argv), VALUE * 2),
        Found::Secret(1) => "a value that is secret".to_owned(),
        Found::Secret(count) => format!("{count} values that are secret"),
        Found::Values(values) if values.is_empty() => "none".to_owned(),
        Found::Values(values) => {
            let shown = values.iter().take(N_VALUES);
            let mut texts: Vec<String> = shown
                .map(|value| match value.as_str() {
                    "" => "an empty text".to_owned(),
                    value => clip(&safe(value), VALUE),
                })
                .collect();
            let n_more = values.len().saturating_sub(N_VALUES);
            if n_more > 0 {
                texts.push(format!("+{n_more} more"));
            }
            texts.join(", ")
        }
    }
}
