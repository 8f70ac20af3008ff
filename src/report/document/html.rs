//! The document as one HTML file: no script, nothing loaded from elsewhere, fit to be printed.
//!
//! The content security policy forbids both even if an escape were wrong. Colors follow the reader's
//! light or dark setting; severities are words as well, so no meaning is in color alone. Each text is
//! isolated from the direction of its neighbours, as letters that run from right to left would turn
//! them.

use super::{Block, Text};

const STYLE: &str = include_str!("report.css");

pub(crate) fn render(blocks: &[Block]) -> String {
    let title = match blocks.first() {
        Some(Block::Heading { text, .. }) => escape(text),
        _ => String::new(),
    };
    let mut out = String::from(concat!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
        "<meta http-equiv=\"Content-Security-Policy\" ",
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n",
        "<meta name=\"referrer\" content=\"no-referrer\">\n",
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
    ));
    out.extend(["<title>", &title, "</title>\n"]);
    out.extend(["<style>\n", STYLE, "</style>\n</head>\n<body>\n<main>\n"]);
    for block in blocks {
        write(block, &mut out);
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn write(block: &Block, out: &mut String) {
    match block {
        Block::Heading {
            level,
            severity,
            text,
        } => {
            let level = level.to_string();
            out.extend(["<h", &level]);
            if let Some(severity) = severity {
                out.extend([" class=\"", severity.as_str(), "\""]);
            }
            out.extend([">", &escape(text), "</h", &level, ">\n"]);
        }
        Block::Paragraph(text) => out.extend(["<p>", &escape(text), "</p>\n"]),
        Block::Quote(lines) => {
            out.push_str("<blockquote>\n");
            for line in lines {
                out.extend(["<p>", &escape(line), "</p>\n"]);
            }
            out.push_str("</blockquote>\n");
        }
        Block::Fields(fields) => {
            out.push_str("<dl>\n");
            for (label, value) in fields {
                out.extend(["<dt>", label, "</dt><dd>", &escape(value), "</dd>\n"]);
            }
            out.push_str("</dl>\n");
        }
        Block::List(label, items) => {
            if !label.is_empty() {
                out.extend(["<h4>", label, "</h4>\n"]);
            }
            out.push_str("<ul>\n");
            for item in items {
                out.extend(["<li>", &escape(item), "</li>\n"]);
            }
            out.push_str("</ul>\n");
        }
        Block::Table(columns, rows) => {
            out.push_str("<table>\n<thead><tr>");
            for column in *columns {
                out.extend(["<th>", column, "</th>"]);
            }
            out.push_str("</tr></thead>\n<tbody>\n");
            for row in rows {
                out.push_str("<tr>");
                for cell in row {
                    out.extend(["<td>", &escape(cell), "</td>"]);
                }
                out.push_str("</tr>\n");
            }
            out.push_str("</tbody>\n</table>\n");
        }
    }
}

/// Returns `text` such that it is text in an element and in a quoted attribute.
pub(crate) fn escape(text: &Text) -> String {
    let text = text.as_str();
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}
