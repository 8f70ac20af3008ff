//! Where lines end, also those that are longer than a buffer or cut into parts.

use memchr::{memchr, memchr2, memmem};

use super::text::hole_length;

/// Runs of NUL from this length on are passed over, not delivered.
const HOLE_BYTES: usize = 4 << 10;

/// What ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Index of the `\n`.
    Line(usize),
    /// Index of the first NUL, or how many NULs came in earlier blocks.
    Hole { start: usize, before: usize },
}

/// Looks for the end of a line, block by block.
pub(super) struct Ends {
    hole: usize,
    /// NULs at the end of the blocks seen.
    run: usize,
}

impl Ends {
    /// A hole is never longer than a line may be, so that NULs alone are never a long line.
    pub(super) fn new(max_line: usize) -> Self {
        Self {
            hole: HOLE_BYTES.min(max_line),
            run: 0,
        }
    }

    /// How many NULs the blocks seen end with.
    pub(super) fn run(&self) -> usize {
        self.run
    }

    /// Returns the end in `bytes[from..]`; nothing before `from` ends the line.
    pub(super) fn find(&mut self, bytes: &[u8], from: usize) -> Option<End> {
        let mut at = from;
        if self.run > 0 {
            let more = hole_length(&bytes[at..]);
            at += more;
            if self.run + more >= self.hole {
                return Some(End::Hole {
                    start: from,
                    before: self.run,
                });
            }
            self.run = if at == bytes.len() {
                self.run + more
            } else {
                0
            };
        }
        while let Some(found) = memchr2(b'\n', 0, &bytes[at..]) {
            let start = at + found;
            if bytes[start] == b'\n' {
                return Some(End::Line(start));
            }
            let length = hole_length(&bytes[start..]);
            if length >= self.hole {
                return Some(End::Hole { start, before: 0 });
            }
            at = start + length;
            if at == bytes.len() {
                self.run = length;
            }
        }
        None
    }
}

/// A line of a container runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RuntimeLine {
    /// Whether it is of standard error; parts of one line are of one stream.
    pub(super) is_stderr: bool,
    /// Whether the next line of the stream goes on with it.
    pub(super) is_part: bool,
}

/// Reads what a container runtime writes around a line, or returns `None` when it is something else.
///
/// CRI: `2026-01-01T00:00:00.0Z stdout P text`, the flag alone or before `:`. Docker:
/// `{"log":"text\n","stream":"stdout","time":".."}`, in this order; a part lacks the `\n`.
pub(super) fn runtime_line(line: &[u8]) -> Option<RuntimeLine> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if let Some(text) = line.strip_prefix(b"{\"log\":\"") {
        // Within the text, quotes are escaped: this is not part of it.
        const BEHIND: &[u8] = b"\",\"stream\":\"std";
        let end = memmem::find(text, BEHIND)?;
        let is_ended = text[..end].strip_suffix(b"n").is_some_and(|text| {
            let slashes = text.iter().rev().take_while(|&&byte| byte == b'\\').count();
            slashes % 2 == 1
        });
        return Some(RuntimeLine {
            is_stderr: text[end + BEHIND.len()..].starts_with(b"err"),
            is_part: !is_ended,
        });
    }
    let head = &line[..line.len().min(64)];
    let stamp = memchr(b' ', head)?;
    let is_stamp = head.first().is_some_and(u8::is_ascii_digit) && head[..stamp].contains(&b'T');
    let rest = &head[stamp + 1..];
    let is_stderr = rest.starts_with(b"stderr ");
    if !is_stamp || !(is_stderr || rest.starts_with(b"stdout ")) {
        return None;
    }
    let (&flag, behind) = rest[7..].split_first()?;
    let ends = matches!(behind.first(), None | Some(b' ' | b':'));
    (matches!(flag, b'F' | b'P') && ends).then_some(RuntimeLine {
        is_stderr,
        is_part: flag == b'P',
    })
}

/// Returns the length that stands before a syslog message, as in `329 <134>1 ...` (RFC 6587, section 3.4.1), and what
/// follows the blank.
pub(super) fn counted(text: &[u8]) -> Option<(usize, &[u8])> {
    let blank = memchr(b' ', &text[..text.len().min(10)])?;
    let length = std::str::from_utf8(&text[..blank]).ok()?.parse().ok()?;
    let message = &text[blank + 1..];
    let priority = message.strip_prefix(b"<")?;
    let end = memchr(b'>', &priority[..priority.len().min(4)])?;
    let is_priority = end > 0 && priority[..end].iter().all(u8::is_ascii_digit);
    is_priority.then_some((length, message))
}

/// Finds where lines that were cut into parts are whole again.
#[derive(Default)]
pub(super) struct Parts {
    /// Where the first line not seen yet starts.
    at: usize,
    /// Standard output and error wait for a last part.
    open: [bool; 2],
    /// Behind the last line at which nothing was open.
    pub(super) whole: usize,
}

impl Parts {
    /// Looks at the lines of `bytes` that end, from where the last call stopped.
    pub(super) fn look(&mut self, bytes: &[u8]) {
        while let Some(length) = memchr(b'\n', &bytes[self.at..]) {
            let line = &bytes[self.at..self.at + length];
            self.at += length + 1;
            if let Some(line) = runtime_line(line) {
                self.open[usize::from(line.is_stderr)] = line.is_part;
            }
            if self.open == [false; 2] {
                self.whole = self.at;
            }
        }
    }

    /// Where the first line not seen yet starts.
    pub(super) fn seen(&self) -> usize {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<(bool, bool)>) {
        let found = runtime_line(line.as_bytes()).map(|line| (line.is_stderr, line.is_part));
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn lines_of_runtimes_are_known() {
        let at = "2026-11-22T05:10:25.684000000Z";
        check(&format!("{at} stdout F {{}}"), Some((false, false)));
        check(&format!("{at} stderr P {{\"a"), Some((true, true)));
        check(&format!("{at} stdout F"), Some((false, false)));
        check(&format!("{at} stdout P:x text\r"), Some((false, true)));
        check(&format!("{at} stdout Pod started"), None);
        check(&format!("{at} {{}}"), None);
        check(at, None);
        check("", None);
        check("{\"kind\":\"Event\"}", None);
        let docker = |text: &str, stream: &str| {
            format!(r#"{{"log":"{text}","stream":"{stream}","time":"{at}"}}"#)
        };
        check(&docker(r"a\n", "stdout"), Some((false, false)));
        check(&docker(r"a", "stderr"), Some((true, true)));
        check(&docker(r"a\\n", "stdout"), Some((false, true)));
        check(&docker(r"a\\\n", "stdout"), Some((false, false)));
        check(&docker("", "stdout"), Some((false, true)));
        check(
            &docker(r#"\",\"stream\":\"stderr\",\"x\n"#, "stdout"),
            Some((false, false)),
        );
        check(r#"{"log":"a\n","kubernetes":{}}"#, None);
    }

    #[test]
    fn ends_do_not_depend_on_blocks() {
        let hole = |n: usize| "\0".repeat(n);
        let texts = [
            format!("ab{}cd\ne", hole(3)),
            format!("ab{}cd\ne", hole(4096)),
            format!("ab{}{}cd\n", hole(4095), "x"),
            format!("{}a\n", hole(5000)),
            "abc".to_owned(),
        ];
        let expected = [Some(7), Some(2), Some(4100), Some(0), None];
        for (text, expected) in texts.iter().zip(expected) {
            for step in [1, 2, 7, 1000, 4095, 4096, 4097, 10_000] {
                let mut ends = Ends::new(1 << 20);
                let mut base = 0;
                let mut found = None;
                for block in text.as_bytes().chunks(step) {
                    found = ends.find(block, 0).map(|end| match end {
                        End::Line(at) => base + at,
                        End::Hole { start, before } => base + start - before,
                    });
                    if found.is_some() {
                        break;
                    }
                    base += block.len();
                }
                assert_eq!(found, expected, "{} by {step}", text.len());
            }
        }
    }
}
