//! Rows of CSV that go over several lines, as RFC 4180 lets a cell in quotes do.
//!
//! Exports exist whose quotes do not pair, so lines are one row only if together they have all columns of the header.
//! A cell may hold what a client chose: where lines are one row, none of them is taken for a row by itself.

use memchr::{memchr, memchr_iter};

use super::{Integrity, RecordSpan};
use crate::decode::envelope::is_csv_row;

/// No row over several lines is longer.
const ROW_BYTES: usize = 1 << 20;

/// Where rows stand in some bytes.
pub(super) struct Rows {
    /// Behind the last row that is whole.
    pub(super) end: usize,
    /// All rows, if any of them goes over several lines; the lines count from 0.
    pub(super) spans: Option<Vec<RecordSpan>>,
}

impl Rows {
    /// Looks at `bytes` from the beginning of a row; `is_all` says that nothing follows them.
    pub(super) fn of(bytes: &[u8], n_columns: usize, is_all: bool) -> Self {
        let (mut spans, mut start, mut line) = (Vec::new(), 0, 0);
        let mut has_long = false;
        while start < bytes.len() {
            let rest = &bytes[start..];
            let first = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            let Some(length) = length(rest, first, n_columns, is_all) else {
                break;
            };
            has_long |= length > first;
            spans.push(RecordSpan {
                start,
                end: start + length,
                line,
                integrity: Integrity::Whole,
                parent: None,
            });
            line += memchr_iter(b'\n', &rest[..length]).count() as u64;
            start += length;
        }
        Self {
            end: start,
            spans: has_long.then_some(spans),
        }
    }
}

/// Returns how long the row is that `bytes` begin with, its first line being `first` long; `None` if more bytes may tell.
fn length(bytes: &[u8], first: usize, n_columns: usize, is_all: bool) -> Option<usize> {
    let has_open_quote = |line: &[u8]| memchr_iter(b'"', line).count() % 2 == 1;
    if !has_open_quote(&bytes[..first]) || is_row(&bytes[..first], n_columns) {
        return Some(first);
    }
    let most = bytes.len().min(ROW_BYTES);
    let mut at = first;
    while at < most {
        let end = memchr(b'\n', &bytes[at..most]).map_or(most, |end| at + end + 1);
        if has_open_quote(&bytes[at..end]) {
            let is_whole = bytes[end - 1] == b'\n' || is_all && end == bytes.len();
            if is_whole {
                let is_one = is_row(&bytes[..end], n_columns);
                return Some(if is_one { end } else { first });
            }
        }
        at = end;
    }
    (is_all || most == ROW_BYTES).then_some(first)
}

fn is_row(bytes: &[u8], n_columns: usize) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| is_csv_row(text, n_columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, is_all: bool) -> Vec<&str> {
        let rows = Rows::of(text.as_bytes(), 3, is_all);
        match rows.spans {
            Some(spans) => spans
                .iter()
                .map(|span| &text[span.start..span.end])
                .collect(),
            None => text[..rows.end].split_inclusive('\n').collect(),
        }
    }

    #[test]
    fn a_cell_in_quotes_goes_over_lines() {
        let whole = "a,\"b\nc\n\",d\ne,f,g\nh,\"\"\"i\"\"\n\",\"j\nk\"\n";
        let expected = [
            "a,\"b\nc\n\",d\n",
            "e,f,g\n",
            "h,\"\"\"i\"\"\n\",\"j\nk\"\n",
        ];
        assert_eq!(rows(whole, true), expected);
        // Wherever it is cut, what is handed out stays the same.
        for cut in memchr_iter(b'\n', whole.as_bytes()).map(|end| end + 1) {
            let first = rows(&whole[..cut], false);
            assert_eq!(first, expected[..first.len()], "{cut}");
            let done: usize = first.iter().map(|row| row.len()).sum();
            assert_eq!(rows(&whole[done..], true), expected[first.len()..], "{cut}");
        }
    }

    #[test]
    fn lines_that_come_to_no_row_stay_lines() {
        let quotes = "a,5\" disk,b\na,\"b,c\nd,\"e,f\ng,h,i\n";
        assert_eq!(
            rows(quotes, true),
            quotes.split_inclusive('\n').collect::<Vec<_>>()
        );
        let long = format!("a,\"{}", "b\n".repeat(ROW_BYTES / 2));
        assert_eq!(Rows::of(long.as_bytes(), 3, false).end, long.len());
        assert_eq!(Rows::of(&long.as_bytes()[..1000], 3, false).end, 0);
    }
}
