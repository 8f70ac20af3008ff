//! Comma-separated values, or with tabs or semicolons: Insights, Log Analytics, Splunk and Elasticsearch downloads.
//!
//! RFC 4180, and what some exports make of it: a message in quotes whose own quotes are not
//! doubled. A row becomes an object of its columns and then takes the way of documents.

use std::borrow::Cow;

use super::context::Context;
use super::json::{self, Object};
use super::list::damage;
use super::walk::{self, Walk};
use super::{Format, fields, recognise};

/// Most columns of a table; Log Analytics allows 500.
const MAX_COLUMNS: usize = 1024;

/// Columns that show a header to be one of audit events.
const COLUMNS: [&str; 22] = [
    "@message",
    "_raw",
    "log_s",
    "AuditId",
    "auditID",
    "requestURI",
    "RequestUri",
    "verb",
    "user.username",
    "objectRef.resource",
    "message",
    "log",
    "line",
    "Line",
    "event",
    "event.original",
    "_source",
    "textPayload",
    "kubernetes.audit.verb",
    "kubernetes.audit.auditID",
    "protoPayload",
    "protopayload_auditlog",
];

/// What the names of columns begin with that are parts of a status.
const STATUS_PARTS: &str = "protoPayload.status.";

/// Returns whether a line is the header of a table that may hold audit events.
pub fn is_header(line: &str) -> bool {
    let is_plain =
        line.len() <= 16 * 1024 && !line.contains(['{', '[', '=', ':']) || line.contains("[UTC]");
    if !is_plain || line.contains('{') {
        return false;
    }
    let Some(names) = names(line) else {
        return false;
    };
    let is_name = |name: &String| !name.is_empty() && name.len() <= 128;
    (names.len() > 1 || line.trim_matches('"').starts_with(['@', '_']))
        && names.iter().all(is_name)
        && names.iter().any(|name| COLUMNS.contains(&name.as_str()))
}

/// What separates cells, the usual first.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// The first line of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    names: Vec<String>,
    separator: u8,
}

/// Returns what a header says.
pub(super) fn header(line: &str) -> Option<Header> {
    let line = line.trim_start_matches('\u{feff}').trim();
    let mut separators = SEPARATORS.into_iter();
    let separator = separators.find(|it| line.as_bytes().contains(it));
    let separator = separator.unwrap_or(b',');
    let names = cells(line, separator)?.into_iter();
    let names = names.map(|name| name.trim().to_owned()).collect();
    Some(Header { names, separator })
}

fn names(line: &str) -> Option<Vec<String>> {
    header(line).map(|header| header.names)
}

/// Returns whether a text is a row of so many columns.
pub(crate) fn is_row(text: &str, n_columns: usize) -> bool {
    let mut rows = SEPARATORS
        .into_iter()
        .filter_map(|it| cells(text.trim(), it));
    rows.any(|cells| cells.len() == n_columns)
}

/// Returns the number of columns that a header names; 0 if it is none.
pub(crate) fn width(header: &str) -> usize {
    names(header).map_or(0, |names| names.len())
}

/// Opens a header or row; false if the record is none.
pub(super) fn open(walk: &mut Walk<'_>, text: &str, context: &Context) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim();
    let is_allowed = context.inside || walk.state.only.is_none_or(writes_tables);
    if !is_allowed || text.starts_with(['{', '[']) {
        return false;
    }
    let Some(Header {
        names: header,
        separator,
    }) = &walk.state.header
    else {
        let is_told = walk.state.only == Some(Format::Csv);
        if is_header(text) || is_told && !text.contains('{') {
            walk.state.header = header(text);
            walk.other("a CSV header");
            return true;
        }
        // A run that starts behind the header still shows the doubled quotes.
        let is_row = is_told || text.contains("{\"\"");
        return is_row && tolerant(walk, text, &context.enter("CSV"));
    };
    if names(text).is_some_and(|names| names == *header) {
        walk.other("a CSV header");
        return true;
    }
    let inner = context.enter("CSV");
    let Some(cells) = cells(text, *separator).filter(|cells| cells.len() == header.len()) else {
        if !tolerant(walk, text, &inner) {
            // What is behind a line end in a cell, as Log Analytics has them at the end of each message.
            if text.starts_with('"') && !text.contains('{') {
                walk.other("the end of a CSV row over several lines");
            } else {
                walk.bad(damage("a CSV row that does not fit its header", text));
            }
        }
        return true;
    };
    // Those before the last are whole, and may be a text that only begins so.
    let is_cut = |(name, cell): (&String, &Cow<'_, str>)| {
        walk::is_json_cell(name, cell) && !json::is_valid(cell)
    };
    if header.last().zip(cells.last()).is_some_and(is_cut) {
        walk.bad(damage("a CSV row with a damaged cell", text));
        return true;
    }
    let cells = header.iter().zip(cells);
    let cells =
        cells.map(|(name, cell)| (Cow::Borrowed(name.as_str()), present(name, cell, header)));
    let row = walk::row(cells);
    let opened = Object::parse(&row)
        .is_some_and(|row| fields::open(walk, &row, &inner) || walk.object(&row, &inner));
    if !opened {
        walk.other(recognise::unread("a CSV row of another kind", text));
    }
    true
}

/// Returns what a cell says: nothing where an export writes a sign for an absent value.
///
/// Google's columns of a status are blank where the call went well: code 0 is a default, which is not written.
fn present<'c>(name: &str, cell: Cow<'c, str>, header: &[String]) -> Cow<'c, str> {
    if !matches!(cell.trim(), "" | "-" | "(null)" | "(blank)") {
        return cell;
    }
    let is_only = || !header.iter().any(|name| name.starts_with(STATUS_PARTS));
    match name {
        "protoPayload.status.code" => Cow::Borrowed("0"),
        "protoPayload.status" if is_only() => Cow::Borrowed("{}"),
        _ => Cow::Borrowed(""),
    }
}

/// Returns whether tables are among the exports of a family.
fn writes_tables(format: Format) -> bool {
    use Format::{Azure, Cloudwatch, Csv, Datadog, Elastic, Gke, Loki, Splunk};
    matches!(
        format,
        Azure | Cloudwatch | Csv | Datadog | Elastic | Gke | Loki | Splunk
    )
}

/// Takes what lies between the first and the last brace.
fn tolerant(walk: &mut Walk<'_>, text: &str, context: &Context) -> bool {
    let (Some(start), Some(end)) = (text.find('{'), text.rfind('}')) else {
        return false;
    };
    let Some(body) = text.get(start..=end) else {
        return false;
    };
    let is_cell = text[..start].is_empty() || text[..start].ends_with([',', ';', '\t', '"', ' ']);
    if !is_cell {
        return false;
    }
    if let Some(object) = Object::parse(body) {
        return walk.object(&object, context);
    }
    let undoubled = body.replace("\"\"", "\"");
    Object::parse(&undoubled).is_some_and(|object| walk.object(&object, context))
}

/// Splits a row; `None` if its quotes do not add up.
fn cells(row: &str, separator: u8) -> Option<Vec<Cow<'_, str>>> {
    let separator = char::from(separator);
    let mut cells = Vec::new();
    let mut rest = row;
    loop {
        if cells.len() == MAX_COLUMNS {
            return None;
        }
        let behind = if let Some(quoted) = rest.strip_prefix('"') {
            let mut at = 0;
            let end = loop {
                at += memchr::memchr(b'"', quoted.get(at..)?.as_bytes())?;
                if quoted.as_bytes().get(at + 1) != Some(&b'"') {
                    break at;
                }
                at += 2;
            };
            let cell = &quoted[..end];
            cells.push(if cell.contains('"') {
                Cow::Owned(cell.replace("\"\"", "\""))
            } else {
                Cow::Borrowed(cell)
            });
            &quoted[end + 1..]
        } else {
            let end = rest.find(separator).unwrap_or(rest.len());
            cells.push(Cow::Borrowed(&rest[..end]));
            &rest[end..]
        };
        match behind.strip_prefix(separator) {
            Some(next) => rest = next,
            None if behind.is_empty() => return Some(cells),
            None => return None,
        }
    }
}
