//! What may stand around a record.

pub(super) mod utf16;

use memchr::memchr;

/// Strips blanks, line ends, NULs, record separators (RFC 7464) and byte order marks from both ends.
pub fn trim_record(text: &str) -> &str {
    text.trim_matches(|char: char| {
        matches!(
            char,
            ' ' | '\t' | '\r' | '\n' | '\0' | '\u{1e}' | '\u{feff}'
        )
    })
}

/// Splits a line at its runs of NUL, each piece with its offset in the line; empty pieces left out.
///
/// NULs are what a power loss or a truncation leaves in a log. What stands before and behind them was
/// written by different runs of the writer, so it is never one record.
pub fn split_holes(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = line.get(at..).filter(|rest| !rest.is_empty())?;
            let start = at;
            let end = memchr(0, rest.as_bytes()).unwrap_or(rest.len());
            at += end + 1;
            if end > 0 {
                return Some((start, &rest[..end]));
            }
        }
    })
}

/// Whether all of `bytes` are NUL.
///
/// Block by block without leaving early, so that the compiler can use wide registers: 10 GiB of a
/// sparse file are read in seconds.
pub(super) fn is_hole(bytes: &[u8]) -> bool {
    bytes
        .chunks(512)
        .all(|block| block.iter().fold(0, |all, byte| all | byte) == 0)
}

/// Returns how many NULs `bytes` starts with.
pub(super) fn hole_length(bytes: &[u8]) -> usize {
    let blocks = bytes
        .chunks_exact(512)
        .take_while(|block| is_hole(block))
        .count()
        * 512;
    let rest = &bytes[blocks..];
    blocks
        + rest
            .iter()
            .position(|&byte| byte != 0)
            .unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_trimmed() {
        assert_eq!(
            trim_record("\u{feff}\u{1e}\0 {\"a\":\"\0\"}\r\n\0\0"),
            "{\"a\":\"\0\"}"
        );
        assert_eq!(trim_record("\0\0\r\n"), "");
    }

    #[test]
    fn holes_split_lines() {
        let split = |line| split_holes(line).collect::<Vec<_>>();
        assert_eq!(split("a\0\0bc\0"), [(0, "a"), (3, "bc")]);
        assert_eq!(split("\0\0é"), [(2, "é")]);
        assert_eq!(split("\0"), []);
        assert_eq!(split(""), []);
        assert_eq!(split("ab"), [(0, "ab")]);
    }

    #[test]
    fn holes_are_measured() {
        for length in [0, 1, 511, 512, 513, 5000] {
            let mut bytes = vec![0; length];
            assert!(is_hole(&bytes));
            bytes.extend_from_slice(b"x\0\0");
            assert_eq!(hole_length(&bytes), length);
            assert!(!is_hole(&bytes));
        }
    }
}
