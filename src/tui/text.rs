//! Log text made to fit: clean first, then cut by columns.

use std::borrow::Cow;

use crate::redact;
use crate::report::clean;

/// Where a text that is too long loses what is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// At the end.
    End,
    /// In the middle: of `system:serviceaccount:NAMESPACE:NAME` the end tells most.
    Middle,
}

/// How much of a text is looked at: more than fits on any screen.
const BYTES: usize = 8 << 10;

/// Returns `text` without secrets and clean, in at most `columns` columns; `…` marks the cut.
pub fn fit(text: &str, columns: usize, cut: Cut) -> String {
    let mut end = text.len().min(BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    fit_clean(&clean::safe(&text[..end]), columns, cut).into_owned()
}

/// Returns clean `text` in at most `columns` columns.
pub fn fit_clean(text: &str, columns: usize, cut: Cut) -> Cow<'_, str> {
    let width = clean::columns(text);
    if width <= columns {
        return Cow::Borrowed(text);
    }
    if columns < 8 || cut == Cut::End {
        return Cow::Owned(clean::clip(text, columns));
    }
    // Two thirds for the end, where names differ.
    let tail = (columns - 1) * 2 / 3;
    let head = columns - 1 - tail;
    let mut out = prefix(text, head).to_owned();
    out.push('…');
    out.push_str(suffix(text, tail));
    Cow::Owned(out)
}

/// Returns `text` for the clipboard: without secrets, its lines clean. What is pasted into a shell may hide nothing either.
pub fn copied(text: &str) -> String {
    let text = redact::redact(text);
    let lines: Vec<Cow<'_, str>> = text.lines().map(clean::clean).collect();
    lines.join("\n")
}

fn prefix(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|(_, c)| {
        used += clean::columns(c.encode_utf8(&mut [0; 4]));
        used > columns
    });
    &text[..end.map_or(text.len(), |(at, _)| at)]
}

fn suffix(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let mut start = text.len();
    for (at, c) in text.char_indices().rev() {
        let width = clean::columns(c.encode_utf8(&mut [0; 4]));
        if used + width > columns {
            break;
        }
        used += width;
        // Never begins with a mark of what was cut away.
        if width > 0 {
            start = at;
        }
    }
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_keep_what_tells_most() {
        let account = "system:serviceaccount:kube-system:replicaset-controller";
        assert_eq!(fit(account, 20, Cut::Middle), "system:…t-controller");
        assert_eq!(fit(account, 10, Cut::End), "system:se…");
        assert_eq!(fit(account, 100, Cut::Middle), account);
        assert_eq!(fit("日本語日本語日本語", 9, Cut::Middle), "日…本語");
    }

    #[test]
    fn hostile_text_fits_and_does_nothing() {
        for text in [
            "\u{1b}]52;c;x\u{7}",
            "a\u{202e}b",
            "e\u{301}\u{301}\u{301}x",
            "\0\r\n\t",
        ] {
            for columns in 0..40 {
                for cut in [Cut::End, Cut::Middle] {
                    let fitted = fit(text, columns, cut);
                    assert!(
                        clean::columns(&fitted) <= columns,
                        "{fitted:?} in {columns}"
                    );
                    assert!(!fitted.chars().any(char::is_control));
                }
            }
        }
    }
}
