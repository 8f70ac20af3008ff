//! Reports on rules: what there is, what one says, why it holds, what a log can feed.
//!
//! Comes in: what rules say of themselves, and what `detect` found out. Goes out: pages for people and JSON for
//! programs. Rule files may come from anywhere, so their texts are cleaned as a log's are.

mod coverage;
mod explain;
mod list;
mod navigator;
mod show;

use std::io::{self, Write};

use clap::ValueEnum;

use crate::rules::RuleMeta;
pub(super) use coverage::reach;
pub use coverage::{CoverageFormat, coverage};
pub use explain::{event, explanation, remark};
pub use show::show;

/// How a list of rules is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// For people: one line a rule
    #[default]
    Table,
    /// For programs: one array of objects with all that rules say of themselves
    Json,
    /// A layer for the MITRE ATT&CK Navigator: techniques, scored by the number of rules
    Navigator,
}

/// Writes a list of `rules`.
///
/// Order: of the table, by family, then the worst first, then by name; of JSON, as given.
///
/// # Errors
/// When `out` cannot be written.
pub fn list(format: ListFormat, rules: &[&RuleMeta], out: &mut dyn Write) -> io::Result<()> {
    match format {
        ListFormat::Table => list::write(rules, out),
        ListFormat::Json => super::json::write_line(&rules, out),
        ListFormat::Navigator => super::json::write_line(&navigator::layer(rules), out),
    }
}
