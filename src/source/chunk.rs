//! A reader to [`Chunk`]s of whole lines.
//!
//! Comes in: one reader. Goes out: chunks whose limits depend on the content alone, never on how many
//! bytes the reader hands out at a time. A chunk holds about `target_bytes`; a line that is longer
//! makes a chunk of its own, up to `max_line_bytes`; a line over that is passed over in constant
//! memory and listed as [`Oversize`]. Nothing else is left out, except runs of NUL at the start of a
//! line that fill a whole window (the hole a truncated log leaves before its writer goes on), which
//! are counted in [`ChunkReader::nul_bytes`].
//!
//! Lines end at `\n`. A `\r` before it is data, as are NULs and invalid UTF-8: judging lines is the
//! work of the decoder.

use std::io::{self, Read};
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memrchr};

use super::{Chunk, Oversize, SourceError};

/// Cuts what a reader delivers into [`Chunk`]s.
pub struct ChunkReader {
    file: u32,
    name: Arc<str>,
    reader: Box<dyn Read + Send>,
    target: usize,
    max_line: usize,
    /// What was read past the last chunk; shorter than `target`, or as long.
    carry: Vec<u8>,
    /// Place of the first byte not yet delivered or passed over.
    offset: u64,
    line: u64,
    ended: bool,
    error: Option<io::Error>,
    oversize: Vec<Oversize>,
    nul_bytes: u64,
}

/// The bytes in hand: `data[..filled]` is read, the rest of `data` is stale.
///
/// The length of `data` never shrinks while it is filled: a recycled buffer is overwritten without
/// being zeroed first.
struct Window {
    data: Vec<u8>,
    filled: usize,
}

impl Window {
    fn drop_front(&mut self, n: usize) {
        self.data.copy_within(n..self.filled, 0);
        self.filled -= n;
    }
}

impl ChunkReader {
    /// Returns a reader of chunks of the file with index `file`.
    ///
    /// Units: bytes. `target_bytes` is brought into the range from 1 to `max_line_bytes`, so that
    /// only lines longer than a chunk have to be measured.
    pub fn new(
        file: u32,
        name: Arc<str>,
        reader: Box<dyn Read + Send>,
        target_bytes: usize,
        max_line_bytes: usize,
    ) -> Self {
        let max_line = max_line_bytes.max(1);
        Self {
            file,
            name,
            reader,
            target: target_bytes.clamp(1, max_line),
            max_line,
            carry: Vec::new(),
            offset: 0,
            line: 1,
            ended: false,
            error: None,
            oversize: Vec::new(),
            nul_bytes: 0,
        }
    }

    /// Returns the next chunk, or `None` at the end.
    ///
    /// `buffer` becomes the data of the chunk. Hand back the data of an earlier chunk as it is: its
    /// content does not matter, and clearing it first costs the time to zero it again.
    ///
    /// # Errors
    /// When the reader fails, once, after everything read before was delivered (an unfinished last
    /// line included, so that it is counted); then `None`.
    pub fn next(&mut self, buffer: Vec<u8>) -> Result<Option<Chunk>, SourceError> {
        let mut window = self.start(buffer);
        loop {
            self.fill(&mut window, self.target);
            if window.filled == 0 {
                return match self.error.take() {
                    Some(cause) => Err(SourceError::Read {
                        name: self.name.clone(),
                        offset: self.offset,
                        cause,
                    }),
                    None => Ok(None),
                };
            }
            if window.filled < self.target {
                let end = window.filled;
                return Ok(Some(self.deliver(window, end)));
            }
            let head = &window.data[..self.target];
            if let Some(last) = memrchr(b'\n', head) {
                return Ok(Some(self.deliver(window, last + 1)));
            }
            if head.iter().all(|&byte| byte == 0) {
                window.drop_front(self.target);
                self.offset += self.target as u64;
                self.nul_bytes += self.target as u64;
            } else if let Some(end) = self.long_line(&mut window) {
                return Ok(Some(self.deliver(window, end)));
            }
        }
    }

    /// Takes the list of lines that were passed over since the last call, in file order.
    pub fn take_oversize(&mut self) -> Vec<Oversize> {
        std::mem::take(&mut self.oversize)
    }

    /// Returns the number of bytes delivered or passed over so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the number of NUL bytes passed over because a run of them filled a whole window.
    pub fn nul_bytes(&self) -> u64 {
        self.nul_bytes
    }

    fn start(&mut self, mut data: Vec<u8>) -> Window {
        // A buffer that once held a long line must not keep its size for good.
        if data.capacity() > self.target.saturating_mul(4) {
            data.truncate(self.target);
            data.shrink_to(self.target);
        }
        let filled = self.carry.len();
        if data.len() < filled {
            data.resize(filled, 0);
        }
        data[..filled].copy_from_slice(&self.carry);
        self.carry.clear();
        Window { data, filled }
    }

    /// Reads until `limit` bytes are in hand or the reader ended or failed.
    fn fill(&mut self, window: &mut Window, limit: usize) {
        if window.data.len() < limit && !self.ended {
            window.data.resize(limit, 0);
        }
        while window.filled < limit && !self.ended {
            match self.reader.read(&mut window.data[window.filled..limit]) {
                Ok(0) => self.ended = true,
                Ok(n) => window.filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    self.error = Some(error);
                }
            }
        }
    }

    /// Reads on to the end of a line that does not end within the first `target` bytes.
    ///
    /// Returns where the line ends, or `None` when it was too long and is out of the window.
    fn long_line(&mut self, window: &mut Window) -> Option<usize> {
        let mut seen = self.target;
        loop {
            if let Some(at) = memchr(b'\n', &window.data[seen..window.filled]) {
                let length = seen + at;
                if length <= self.max_line {
                    return Some(length + 1);
                }
                self.pass_over(length as u64, 1);
                window.drop_front(length + 1);
                return None;
            }
            seen = window.filled;
            if seen > self.max_line {
                self.skip_line(window);
                return None;
            }
            if self.ended {
                return Some(seen);
            }
            // Steps of one size keep the carry within `target`; the vector grows by doubling anyway.
            self.fill(window, seen + self.target);
        }
    }

    /// Reads to the end of the line without keeping it.
    fn skip_line(&mut self, window: &mut Window) {
        let mut length = 0;
        loop {
            if let Some(at) = memchr(b'\n', &window.data[..window.filled]) {
                self.pass_over(length + at as u64, 1);
                window.drop_front(at + 1);
                return;
            }
            length += window.filled as u64;
            window.filled = 0;
            self.fill(window, self.target);
            if window.filled == 0 {
                self.pass_over(length, 0);
                return;
            }
        }
    }

    fn pass_over(&mut self, length: u64, line_end: u64) {
        let (file, line, offset) = (self.file, self.line, self.offset);
        self.oversize.push(Oversize {
            file,
            line,
            offset,
            length,
        });
        self.offset += length + line_end;
        self.line += 1;
    }

    fn deliver(&mut self, window: Window, end: usize) -> Chunk {
        let Window { mut data, filled } = window;
        self.carry.extend_from_slice(&data[end..filled]);
        data.truncate(end);
        let chunk = Chunk {
            file: self.file,
            offset: self.offset,
            line: self.line,
            data,
        };
        self.offset += end as u64;
        self.line += memchr_iter(b'\n', &chunk.data).count() as u64;
        chunk
    }
}

#[cfg(test)]
mod tests;
