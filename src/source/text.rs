//! What may stand around a record.

pub(super) mod utf16;

use memchr::{memchr, memchr3};

use super::lines::runtime_line;

/// Longest text in brackets before an event, in bytes.
const BRACKETS_MAX: usize = 256;

/// Strips blanks, line ends, NULs, record separators (RFC 7464) and byte order marks from both ends.
///
/// Blanks at the end of a part of a CRI line stay: the runtime cuts a line anywhere, so they are its text.
pub fn trim_record(text: &str) -> &str {
    let start = text.trim_start_matches(is_around);
    let trimmed = start.trim_end_matches(is_around);
    let behind = &start[trimmed.len()..];
    let blanks = behind.len() - behind.trim_start_matches(' ').len();
    if blanks > 0
        && !trimmed.starts_with('{')
        && runtime_line(trimmed.as_bytes()).is_some_and(|line| line.is_part)
    {
        return &start[..trimmed.len() + blanks];
    }
    trimmed
}

fn is_around(char: char) -> bool {
    matches!(
        char,
        ' ' | '\t' | '\r' | '\n' | '\0' | '\u{1e}' | '\u{feff}'
    )
}

/// Returns how long the text in brackets is that `line` begins with, if they are none of JSON: `[2026-11-22T05:10:25Z] `,
/// `[pod/a/b] `, `[m0]`.
///
/// An array of texts or objects has quotes or braces before its first closing bracket, and behind an array there is a
/// comma, a bracket or nothing.
pub fn bracketed(line: &[u8]) -> Option<usize> {
    let words = line.strip_prefix(b"[")?;
    let head = &words[..words.len().min(BRACKETS_MAX)];
    let end = memchr(b']', head).filter(|&end| end > 0)?;
    if memchr3(b'"', b'{', b'[', &head[..end]).is_some() || memchr(b'\n', &head[..end]).is_some() {
        return None;
    }
    let rest = words[end + 1..].trim_ascii_start();
    (!matches!(rest.first(), None | Some(b',' | b']' | b'}'))).then_some(end + 2)
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
    fn blanks_that_a_runtime_cut_off_stay() {
        let at = "2026-11-22T05:10:25.684Z stdout";
        for (line, trimmed) in [
            ("P a {  \r\n", "P a {  "),
            ("P  \n", "P  "),
            ("F a \n", "F a"),
            ("P a\n", "P a"),
        ] {
            assert_eq!(
                trim_record(&format!(" {at} {line}")),
                format!("{at} {trimmed}")
            );
        }
        let docker = r#"{"log":"a","stream":"stdout","time":"t"}"#;
        assert_eq!(trim_record(&format!("{docker} \n")), docker);
    }

    #[test]
    fn brackets_of_json_are_told_from_others() {
        let length = |line: &str| bracketed(line.as_bytes());
        assert_eq!(length("[2026-11-22T05:10:25Z] {}"), Some(22));
        assert_eq!(length("[m0]{}"), Some(4));
        assert_eq!(length("[12] [m0] {}"), Some(4));
        for json in [
            "[1, 2]",
            "[1],",
            "[[1] {}",
            "[]",
            "[] {}",
            "[\"a\"] {}",
            "[{}] ",
            "[1\n] {}",
        ] {
            assert_eq!(length(json), None, "{json}");
        }
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
