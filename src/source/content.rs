//! A reader of text whose first bytes can be looked at before they are read.

use std::io::{self, Read};

use super::ahead::Pause;
use super::framing::Framing;

/// How far into a file the look ahead goes.
pub const HEAD_BYTES: usize = 64 << 10;

/// The byte order mark in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The content of a file: decompressed, UTF-8 if it was UTF-16, lines ended by `\n`.
pub struct Content {
    reader: Headed<Box<dyn Read + Send>>,
    /// Lines end at `\r` alone, and `\n` is handed out in its place.
    is_cr: bool,
    /// Bytes of the byte order mark that was removed.
    mark: usize,
}

impl Content {
    /// Takes the content of `reader`, and looks ahead.
    ///
    /// A byte order mark at the start is removed. When the first 64 KiB have `\r` but no `\n`, every
    /// `\r` is turned into `\n`; no offset changes. Of what is still written, less is looked at if that is enough to tell
    /// what all 64 KiB would: how slowly they come must not matter.
    pub fn new(reader: Box<dyn Read + Send>) -> Self {
        let mut reader = Headed::new(reader, HEAD_BYTES);
        while reader.is_waiting() && !Framing::is_sure(reader.head()) {
            reader.look(HEAD_BYTES);
        }
        let mark = if reader.head.starts_with(MARK) {
            MARK.len()
        } else {
            0
        };
        reader.skip(mark);
        let head = reader.head();
        // At the end of the head, the `\n` that follows the `\r` may not be seen yet.
        let inner = &head[..head.len() - usize::from(!reader.holds_all() && !head.is_empty())];
        let is_cr = memchr::memchr(b'\n', head).is_none() && memchr::memchr(b'\r', inner).is_some();
        if is_cr {
            end_lines(&mut reader.head);
        }
        Self {
            reader,
            is_cr,
            mark,
        }
    }

    /// Returns the bytes that will be read first: 64 KiB, or all of a short file.
    pub fn head(&self) -> &[u8] {
        self.reader.head()
    }

    /// Whether the head is all there is.
    pub fn is_all_head(&self) -> bool {
        self.reader.holds_all()
    }

    /// Returns how many bytes of the text stand before the content.
    pub(super) fn mark(&self) -> usize {
        self.mark
    }

    /// Whether lines end at `\r` alone, so that [`end_lines`] is due.
    pub(super) fn is_cr(&self) -> bool {
        self.is_cr
    }

    /// Leaves out bytes of the head.
    pub(super) fn skip(&mut self, n: usize) {
        self.reader.skip(n);
    }
}

impl Read for Content {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(out)?;
        if self.is_cr {
            end_lines(&mut out[..n]);
        }
        Ok(n)
    }
}

/// Turns `\r` into `\n`.
pub(super) fn end_lines(bytes: &mut [u8]) {
    for byte in bytes {
        if *byte == b'\r' {
            *byte = b'\n';
        }
    }
}

/// A reader whose first bytes have been looked at.
pub(super) struct Headed<R> {
    head: Vec<u8>,
    at: usize,
    ended: bool,
    /// What stopped the look ahead; handed out behind the head.
    error: Option<io::Error>,
    rest: R,
}

impl<R: Read> Headed<R> {
    pub(super) fn new(rest: R, bytes: usize) -> Self {
        let mut headed = Self {
            head: Vec::with_capacity(bytes),
            at: 0,
            ended: false,
            error: None,
            rest,
        };
        headed.look(bytes);
        headed
    }

    /// Looks at the first `bytes`, as far as they are there. Nothing has been read yet.
    fn look(&mut self, bytes: usize) {
        let rest = self.rest.by_ref().take((bytes - self.head.len()) as u64);
        // `read_to_end` keeps what it read before an error, and goes on after an interruption.
        self.error = { rest }.read_to_end(&mut self.head).err();
        self.ended = self.head.len() < bytes && !self.is_waiting();
    }

    /// Whether more may come than what is there by now.
    fn is_waiting(&self) -> bool {
        self.error.as_ref().is_some_and(Pause::is)
    }

    /// What of the head has not been read.
    pub(super) fn head(&self) -> &[u8] {
        &self.head[self.at..]
    }

    /// Whether nothing follows the head, be it for an error.
    fn holds_all(&self) -> bool {
        self.ended
    }

    /// Leaves out bytes of the head.
    pub(super) fn skip(&mut self, n: usize) {
        self.at = self.head.len().min(self.at + n);
    }
}

impl<R: Read> Read for Headed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at < self.head.len() {
            let n = self.head().len().min(out.len());
            out[..n].copy_from_slice(&self.head[self.at..self.at + n]);
            self.at += n;
            if self.at == self.head.len() {
                (self.head, self.at) = (Vec::new(), 0);
            }
            return Ok(n);
        }
        match self.error.take() {
            Some(error) => Err(error),
            None => self.rest.read(out),
        }
    }
}
