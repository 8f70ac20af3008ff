//! UTF-16 to UTF-8, while it is read.

use std::io::{self, Read};

/// Bytes decoded at a time.
const BLOCK_BYTES: usize = 32 << 10;

/// Which byte of a code unit comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) enum Endian {
    /// The low one, as Windows writes.
    Little,
    /// The high one.
    Big,
}

/// Returns in which order the units of UTF-16 text stand, if `head` starts such a text, and the bytes
/// of its byte order mark.
///
/// Without a mark it is told by the NULs: JSON and CSV begin with ASCII, so every second byte is one.
pub(in crate::source) fn detect(head: &[u8]) -> Option<(Endian, usize)> {
    match head {
        [0xff, 0xfe, ..] => return Some((Endian::Little, 2)),
        [0xfe, 0xff, ..] => return Some((Endian::Big, 2)),
        _ => {}
    }
    let units = head[..head.len().min(32)].as_chunks::<2>().0;
    if units.len() < 2 {
        return None;
    }
    if units.iter().all(|&[a, b]| a != 0 && b == 0) {
        Some((Endian::Little, 0))
    } else if units.iter().all(|&[a, b]| a == 0 && b != 0) {
        Some((Endian::Big, 0))
    } else {
        None
    }
}

/// Hands out UTF-8. What is no UTF-16 (a surrogate alone, an odd byte at the end) becomes U+FFFD.
pub(in crate::source) struct Utf16<R> {
    rest: R,
    endian: Endian,
    /// Read and not decoded; the first `filled` bytes count.
    input: Vec<u8>,
    filled: usize,
    ended: bool,
    error: Option<io::Error>,
    output: String,
    at: usize,
}

impl<R: Read> Utf16<R> {
    pub(in crate::source) fn new(rest: R, endian: Endian) -> Self {
        Self {
            rest,
            endian,
            input: vec![0; BLOCK_BYTES],
            filled: 0,
            ended: false,
            error: None,
            output: String::new(),
            at: 0,
        }
    }

    fn unit(&self, bytes: [u8; 2]) -> u16 {
        match self.endian {
            Endian::Little => u16::from_le_bytes(bytes),
            Endian::Big => u16::from_be_bytes(bytes),
        }
    }

    /// Reads and decodes a block; an error waits until what came before it was handed out.
    fn refill(&mut self) {
        match self.rest.read(&mut self.input[self.filled..]) {
            Ok(0) => self.ended = true,
            Ok(n) => self.filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
            Err(error) => (self.ended, self.error) = (true, Some(error)),
        }
        let units = self.input[..self.filled].as_chunks::<2>().0;
        let mut used = units.len();
        // A high surrogate waits for the low one.
        if let Some(&last) = units.last()
            && !self.ended
            && (0xd800..0xdc00).contains(&self.unit(last))
        {
            used -= 1;
        }
        let decoded = char::decode_utf16(units[..used].iter().map(|&bytes| self.unit(bytes)))
            .map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER));
        let output: String = decoded.collect();
        (self.output, self.at) = (output, 0);
        self.input.copy_within(used * 2..self.filled, 0);
        self.filled -= used * 2;
        if self.ended && self.filled > 0 {
            self.output.push(char::REPLACEMENT_CHARACTER);
            self.filled = 0;
        }
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.output.len() {
            if self.ended {
                return self.error.take().map_or(Ok(0), Err);
            }
            self.refill();
        }
        let rest = &self.output.as_bytes()[self.at..];
        let n = rest.len().min(out.len());
        out[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(text: &str, endian: Endian) -> Vec<u8> {
        let bytes = |unit: u16| match endian {
            Endian::Little => unit.to_le_bytes(),
            Endian::Big => unit.to_be_bytes(),
        };
        text.encode_utf16().flat_map(bytes).collect()
    }

    /// Reads one byte at a time from below, so that every unit is cut.
    fn decode(bytes: &[u8], endian: Endian) -> String {
        struct Single<'a>(&'a [u8]);
        impl Read for Single<'_> {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                let n = out.len().min(1);
                self.0.read(&mut out[..n])
            }
        }
        let mut slow = String::new();
        Utf16::new(Single(bytes), endian)
            .read_to_string(&mut slow)
            .unwrap();
        let mut fast = String::new();
        Utf16::new(bytes, endian).read_to_string(&mut fast).unwrap();
        assert_eq!(slow, fast);
        fast
    }

    #[test]
    fn text_comes_back() {
        let long = "{\"user\":\"zoë 日本 🦀\"}\n".repeat(5000);
        for endian in [Endian::Little, Endian::Big] {
            for text in ["", "a", "🦀", &long] {
                assert_eq!(decode(&encode(text, endian), endian), text);
            }
            assert_eq!(detect(&encode("{}\n{}\n", endian)), Some((endian, 0)));
            assert_eq!(detect(&encode("\u{feff}é", endian)), Some((endian, 2)));
        }
        for text in [&b""[..], b"{\0", b"\0\0\0\0\0\0", b"{\0\"a\0\"", b"{}\n{}"] {
            assert_eq!(detect(text), None, "{text:?}");
        }
    }

    #[test]
    fn damage_is_replaced_and_hides_nothing() {
        let lone = [&encode("a", Endian::Little)[..], b"\x00\xd8b\0\x00\xdcc\0"].concat();
        assert_eq!(decode(&lone, Endian::Little), "a\u{fffd}b\u{fffd}c");
        assert_eq!(decode(b"a\0b", Endian::Little), "a\u{fffd}");
        assert_eq!(decode(b"a\0\x00\xd8", Endian::Little), "a\u{fffd}");
    }
}
