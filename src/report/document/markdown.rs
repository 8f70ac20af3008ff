//! The document as Markdown: CommonMark 0.31 with the tables of GitHub Flavored Markdown 0.29.
//!
//! Text of a log never stands at the beginning of a line without an escape, holds no pipe (an entity
//! stands for it, which no reader of tables takes for a border), and no bare `<`. A word that a
//! renderer may turn into a link after escapes are gone (GitHub does with `a@b.c`) is a code span.

use super::{Block, Text};

/// Characters that mean something inside a line, wherever they stand.
const SPECIAL: &str = "\\`*_[]#~$";

pub(crate) fn render(blocks: &[Block]) -> String {
    let mut out = String::new();
    for block in blocks {
        if !out.is_empty() {
            out.push('\n');
        }
        write(block, &mut out);
    }
    out
}

fn write(block: &Block, out: &mut String) {
    match block {
        Block::Heading { level, text, .. } => {
            out.extend(std::iter::repeat_n('#', usize::from(*level)));
            out.extend([" ", &escape(text), "\n"]);
        }
        Block::Paragraph(text) => out.extend([&escape(text), "\n"]),
        Block::Quote(lines) => {
            for (idx, line) in lines.iter().enumerate() {
                let separator = if idx == 0 { "" } else { ">\n" };
                out.extend([separator, "> ", &escape(line), "\n"]);
            }
        }
        Block::Fields(fields) => {
            for (label, value) in fields {
                out.extend(["- **", label, "**: ", &escape(value), "\n"]);
            }
        }
        Block::List(label, items) => {
            if !label.is_empty() {
                out.extend(["**", label, "**\n\n"]);
            }
            for item in items {
                out.extend(["- ", &escape(item), "\n"]);
            }
        }
        Block::Table(columns, rows) => {
            for column in *columns {
                out.extend(["| ", column, " "]);
            }
            out.push_str("|\n");
            out.extend(columns.iter().map(|_| "| --- "));
            out.push_str("|\n");
            for row in rows {
                for cell in row {
                    out.extend(["| ", &escape(cell), " "]);
                }
                out.push_str("|\n");
            }
        }
    }
}

/// Returns `text` such that it is read as text, wherever on a line it stands.
///
/// Blanks at its ends are dropped: four at the beginning of a line mean code, two at the end a break.
pub(crate) fn escape(text: &Text) -> String {
    let text = text.as_str().trim_matches(' ');
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for (idx, word) in text.split(' ').enumerate() {
        if idx > 0 {
            out.push(' ');
        }
        if is_linkable(word) {
            push_code(word, &mut out);
        } else {
            push_word(word, idx == 0, &mut out);
        }
    }
    out
}

/// Returns whether a renderer may turn `word` into a link, or tell somebody of that name.
fn is_linkable(word: &str) -> bool {
    let has = |part: &[u8]| {
        let mut windows = word.as_bytes().windows(part.len());
        windows.any(|window| window.eq_ignore_ascii_case(part))
    };
    has(b"@") || has(b"://") || has(b"www.") || has(b"mailto:") || has(b"xmpp:")
}

/// Appends `word` as code spans; pipes stand between them.
fn push_code(word: &str, out: &mut String) {
    for (idx, part) in word.split('|').enumerate() {
        if idx > 0 {
            out.push_str("&#124;");
        }
        if part.is_empty() {
            continue;
        }
        let runs = part.split(|c| c != '`').map(str::len);
        let fence = "`".repeat(runs.max().unwrap_or(0) + 1);
        // One blank on either side is not shown, and keeps backticks of the text off the fence.
        out.extend([&fence, " ", part, " ", &fence]);
    }
}

/// Appends `word` with escapes; `is_first` if it may stand at the beginning of a line.
fn push_word(word: &str, is_first: bool, out: &mut String) {
    let n_digits = word.bytes().take_while(u8::is_ascii_digit).count();
    for (at, c) in word.char_indices() {
        match c {
            '|' => out.push_str("&#124;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            _ => {
                // `-`, `+`, `=` and `:` make lists, rules, headings and definitions; `1.` makes a list.
                let is_mark = is_first
                    && ((at == 0 && c.is_ascii_punctuation())
                        || (n_digits > 0 && at == n_digits && matches!(c, '.' | ')')));
                if SPECIAL.contains(c) || is_mark {
                    out.push('\\');
                }
                out.push(c);
            }
        }
    }
}
