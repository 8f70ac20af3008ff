//! Rows of an answer to bytes: a table, CSV, JSON lines, Markdown.
//!
//! Log text is cleaned and redacted here, as everywhere on the way out. JSON keeps the text as it stands but for
//! secrets: it has escapes of its own.

use std::io::{self, Write};

use clap::ValueEnum;
use serde_json::{Map, Value};

use super::clean::{clip, columns, safe};
use super::document::{Text, markdown};
use super::json::write_line;
use crate::query::{Answer, Cell};
use crate::redact::redact;

/// How rows are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// For people: aligned columns
    #[default]
    Table,
    /// For spreadsheets: RFC 4180; a cell that a spreadsheet would read as a formula begins with a quote
    Csv,
    /// For programs: one JSON object per row
    Jsonl,
    /// For tickets: a Markdown table
    Markdown,
}

/// Columns that one cell of a table takes at most; JSON and CSV have all.
const CELL_COLUMNS: usize = 80;

/// Writes the first `limit` rows of `answer` to `out`.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_rows(
    format: RowFormat,
    answer: &Answer,
    limit: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let rows = (0..answer.height().min(limit)).map(|row_idx| answer.row(row_idx));
    let names = answer.columns();
    match format {
        RowFormat::Table => write_table(&names, &answer.is_number(), rows.collect(), out),
        format => {
            let writer = RowWriter::new(format, &names);
            writer.head(out)?;
            rows.into_iter().try_for_each(|row| writer.row(&row, out))
        }
    }
}

/// Writes rows one by one, in a format that needs not know all of them; a table is written as CSV.
pub struct RowWriter<'a> {
    format: RowFormat,
    names: &'a [&'a str],
}

impl<'a> RowWriter<'a> {
    /// Returns a writer of rows with columns of these names.
    pub fn new(format: RowFormat, names: &'a [&'a str]) -> Self {
        Self { format, names }
    }

    /// Writes what comes before the rows.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn head(&self, out: &mut dyn Write) -> io::Result<()> {
        let names = self.names.iter();
        match self.format {
            RowFormat::Jsonl => Ok(()),
            RowFormat::Markdown => {
                let names: Vec<String> = names.map(markdown_text).collect();
                let rules = vec!["---"; names.len()];
                write!(
                    out,
                    "| {} |\n| {} |\n",
                    names.join(" | "),
                    rules.join(" | ")
                )
            }
            RowFormat::Csv | RowFormat::Table => {
                write_record(names.map(|name| csv_text(name)), out)
            }
        }
    }

    /// Writes a row.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn row(&self, row: &[Cell], out: &mut dyn Write) -> io::Result<()> {
        match self.format {
            RowFormat::Jsonl => {
                let members = self.names.iter().zip(row);
                let members = members.map(|(name, cell)| ((*name).to_owned(), json(cell)));
                write_line(&Value::Object(members.collect::<Map<_, _>>()), out)
            }
            RowFormat::Markdown => {
                let cells: Vec<String> =
                    row.iter().map(|cell| markdown_text(cell.show())).collect();
                writeln!(out, "| {} |", cells.join(" | "))
            }
            RowFormat::Csv | RowFormat::Table => write_record(row.iter().map(csv_cell), out),
        }
    }
}

fn write_table(
    names: &[&str],
    is_number: &[bool],
    rows: Vec<Vec<Cell>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let shown = |text: &str| clip(&redact(text), CELL_COLUMNS);
    let names: Vec<String> = names.iter().map(|name| shown(name)).collect();
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| row.iter().map(|cell| shown(&cell.show())).collect())
        .collect();
    let widths: Vec<usize> = names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let cells = rows.iter().map(|row| columns(&row[at]));
            cells.chain([columns(name)]).max().unwrap_or_default()
        })
        .collect();
    let mut write_line = |cells: &[String]| {
        let mut line = String::new();
        for ((cell, width), is_number) in cells.iter().zip(&widths).zip(is_number) {
            let blanks = " ".repeat(width - columns(cell));
            if *is_number {
                line.extend([&blanks, cell.as_str(), "  "]);
            } else {
                line.extend([cell, blanks.as_str(), "  "]);
            }
        }
        writeln!(out, "{}", line.trim_end())
    };
    write_line(&names)?;
    let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    write_line(&rules)?;
    rows.iter().try_for_each(|row| write_line(row))
}

/// Returns one cell of JSON.
fn json(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Text(text) => Value::String(redact(text).into_owned()),
        Cell::Time(time) => Value::String(time.clone()),
        Cell::Integer(number) => {
            i64::try_from(*number).map_or_else(|_| Value::String(number.to_string()), Value::from)
        }
        Cell::Float(number) => Value::from(*number),
        Cell::Flag(flag) => Value::Bool(*flag),
    }
}

fn write_record(cells: impl Iterator<Item = String>, out: &mut dyn Write) -> io::Result<()> {
    let cells: Vec<String> = cells.collect();
    let line = cells.join(",");
    // Readers take a blank line for none; RFC 4180 has no word for a row of one empty cell but this.
    let line = if line.is_empty() { "\"\"" } else { &line };
    write!(out, "{line}\r\n")
}

fn csv_cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => csv_text(text),
        cell => cell.exact(),
    }
}

/// What a spreadsheet takes for the beginning of a formula, full-width forms among it.
const FORMULA: [char; 8] = [
    '=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

/// Quotes a text where RFC 4180 asks for it; one that a spreadsheet would run gets a quote in front.
fn csv_text(text: &str) -> String {
    let text = safe(text);
    let is_formula = text.starts_with(FORMULA);
    let text = if is_formula {
        format!("'{text}")
    } else {
        text.into_owned()
    };
    if text.contains(['"', ',']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// Makes a text one cell of a Markdown table that means nothing else, not a link either.
fn markdown_text(text: impl AsRef<str>) -> String {
    markdown::escape(&Text::of(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_cells_stay_cells() {
        assert_eq!(csv_text("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
        assert_eq!(csv_text("a,\"b\"\n"), "\"a,\"\"b\"\"\\n\"");
        assert_eq!(markdown_text("a|b\n[x]"), "a&#124;b\\\\n\\[x\\]");
        assert_eq!(markdown_text("https://a.b"), "` https://a.b `");
    }
}
