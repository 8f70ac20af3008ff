//! The list of rules for people.

use std::cmp::Reverse;
use std::io::{self, Write};

use crate::report::clean::{clean, columns};
use crate::rules::{FAMILIES, RuleMeta};

/// Writes one line a rule, and how many there are.
pub(super) fn write(rules: &[&RuleMeta], out: &mut dyn Write) -> io::Result<()> {
    let mut rules = rules.to_vec();
    rules.sort_by_key(|meta| {
        let family = FAMILIES.iter().position(|family| *family == meta.family);
        (family, Reverse(meta.severity), &meta.name)
    });
    let heading = ["NAME", "LEVEL", "FAMILY", "KIND", "NEEDS", "TITLE"].map(str::to_owned);
    let lines = rules.iter().map(|meta| {
        [
            clean(&meta.name).into_owned(),
            meta.severity.to_string(),
            meta.family.clone(),
            meta.kind.as_str().to_owned(),
            meta.needs.to_string(),
            clean(&meta.title).into_owned(),
        ]
    });
    let lines: Vec<[String; 6]> = std::iter::once(heading).chain(lines).collect();
    let widths = std::array::from_fn::<usize, 6, _>(|column| {
        lines
            .iter()
            .map(|line| columns(&line[column]))
            .max()
            .unwrap_or(0)
    });
    for line in &lines {
        let mut text = String::new();
        for (cell, width) in line.iter().zip(widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width + 2 - columns(cell)));
        }
        writeln!(out, "{}", text.trim_end_matches(' '))?;
    }
    writeln!(out)?;
    match rules.len() {
        1 => writeln!(out, "1 rule"),
        count => writeln!(out, "{count} rules"),
    }
}
