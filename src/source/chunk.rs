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
mod tests {
    use super::*;

    /// Hands out `step` bytes at a time, is interrupted now and then, and fails at the end if asked.
    struct Dribble {
        data: Vec<u8>,
        at: usize,
        step: usize,
        calls: usize,
        fails: bool,
    }

    impl Read for Dribble {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.calls.is_multiple_of(3) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let rest = &self.data[self.at..];
            if rest.is_empty() && self.fails {
                return Err(io::Error::other("torn"));
            }
            let n = self.step.min(out.len()).min(rest.len());
            out[..n].copy_from_slice(&rest[..n]);
            self.at += n;
            Ok(n)
        }
    }

    fn reader(data: &[u8], step: usize, fails: bool, target: usize, max: usize) -> ChunkReader {
        let dribble = Dribble {
            data: data.to_vec(),
            at: 0,
            step,
            calls: 0,
            fails,
        };
        ChunkReader::new(7, "x".into(), Box::new(dribble), target, max)
    }

    type Pieces = Vec<(u64, u64, Vec<u8>)>;

    /// All chunks as (offset, line, data), the lines passed over, and the error's offset.
    fn read(mut reader: ChunkReader) -> (Pieces, Vec<Oversize>, Option<u64>) {
        let (mut pieces, mut failed, mut buffer) = (Vec::new(), None, b"stale".to_vec());
        loop {
            match reader.next(buffer) {
                Ok(Some(chunk)) => {
                    assert_eq!(chunk.file, 7);
                    assert!(!chunk.data.is_empty());
                    pieces.push((chunk.offset, chunk.line, chunk.data.clone()));
                    buffer = chunk.data;
                }
                Ok(None) => break,
                Err(SourceError::Read { offset, .. }) => {
                    assert_eq!(failed.replace(offset), None, "one error");
                    buffer = Vec::new();
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(matches!(reader.next(Vec::new()), Ok(None)));
        (pieces, reader.take_oversize(), failed)
    }

    fn check(
        input: &str,
        target: usize,
        max: usize,
        chunks: &[(u64, u64, &str)],
        over: &[[u64; 3]],
    ) {
        let chunks: Pieces = chunks
            .iter()
            .map(|&(offset, line, data)| (offset, line, data.into()))
            .collect();
        let over: Vec<Oversize> = over
            .iter()
            .map(|&[line, offset, length]| Oversize {
                file: 7,
                line,
                offset,
                length,
            })
            .collect();
        for step in [1, 2, 3, 7, 4095, 4096, 4097] {
            for fails in [false, true] {
                let found = read(reader(input.as_bytes(), step, fails, target, max));
                let failed = fails.then_some(input.len() as u64);
                assert_eq!(
                    found,
                    (chunks.clone(), over.clone(), failed),
                    "{input:?} by {step}"
                );
            }
        }
    }

    #[test]
    fn lines_stay_whole() {
        check("", 8, 64, &[], &[]);
        check("\n", 8, 64, &[(0, 1, "\n")], &[]);
        check("ab", 8, 64, &[(0, 1, "ab")], &[]);
        check("ab\ncd\n", 8, 64, &[(0, 1, "ab\ncd\n")], &[]);
        check(
            "ab\ncd\nef\ngh",
            8,
            64,
            &[(0, 1, "ab\ncd\n"), (6, 3, "ef\ngh")],
            &[],
        );
        check(
            "abcdefg\nh\n",
            8,
            64,
            &[(0, 1, "abcdefg\n"), (8, 2, "h\n")],
            &[],
        );
        check(
            "a\r\nb\0\r\n\n\n",
            8,
            64,
            &[(0, 1, "a\r\nb\0\r\n\n"), (8, 4, "\n")],
            &[],
        );
        check("abcdefgh", 8, 64, &[(0, 1, "abcdefgh")], &[]);
    }

    #[test]
    fn long_line_is_a_chunk_of_its_own() {
        check(
            "abcde\nf\n",
            4,
            64,
            &[(0, 1, "abcde\n"), (6, 2, "f\n")],
            &[],
        );
        check(
            "a\nbcdefghijklm\nn\n",
            4,
            64,
            &[(0, 1, "a\n"), (2, 2, "bcdefghijklm\n"), (15, 3, "n\n")],
            &[],
        );
        check("abcdefghi", 4, 64, &[(0, 1, "abcdefghi")], &[]);
        check("abcdefgh\n", 4, 8, &[(0, 1, "abcdefgh\n")], &[]);
    }

    #[test]
    fn line_over_the_limit_is_passed_over() {
        check("abcdefghi\nj\n", 4, 8, &[(10, 2, "j\n")], &[[1, 0, 9]]);
        check("abcdefghi", 4, 8, &[], &[[1, 0, 9]]);
        check(
            "a\nbcdefghijklmnopqrstuvw\nx",
            4,
            8,
            &[(0, 1, "a\n"), (25, 3, "x")],
            &[[2, 2, 22]],
        );
        check(
            "123456789\n123456789\n",
            4,
            8,
            &[],
            &[[1, 0, 9], [2, 10, 9]],
        );
        check("1234\n1\n", 90, 3, &[(5, 2, "1\n")], &[[1, 0, 4]]);
    }

    #[test]
    fn any_target_and_any_step_give_the_same_lines() {
        let mut text = String::new();
        for n in 0..600_usize {
            text.push_str(&"x".repeat(n * n % 97));
            text.push('\n');
        }
        let lines = |target, step| {
            let (pieces, over, _) = read(reader(text.as_bytes(), step, false, target, 80));
            let mut lines = Vec::new();
            for (mut offset, first, data) in pieces {
                for (line, bytes) in (first..).zip(data.split_inclusive(|&byte| byte == b'\n')) {
                    lines.push((offset, line, bytes.to_vec()));
                    offset += bytes.len() as u64;
                }
            }
            (lines, over)
        };
        let whole = lines(80, 1 << 20);
        assert_eq!(whole.0.len() + whole.1.len(), 600);
        for target in [1, 2, 3, 31, 79, 80, 4096] {
            for step in [1, 7, 4096] {
                assert_eq!(lines(target, step), whole, "target {target}, step {step}");
            }
        }
    }

    #[test]
    fn line_of_gigabytes_costs_no_memory() {
        let long = io::repeat(b'x').take(3 << 30).chain(&b"\nok\n"[..]);
        let mut chunks = ChunkReader::new(0, "x".into(), Box::new(long), 1 << 16, 1 << 20);
        let chunk = chunks.next(Vec::new()).unwrap().unwrap();
        assert_eq!(
            (chunk.offset, chunk.line, &chunk.data[..]),
            ((3 << 30) + 1, 2, &b"ok\n"[..])
        );
        assert!(chunk.data.capacity() < 4 << 20);
        assert_eq!(chunks.take_oversize()[0].length, 3 << 30);
        assert_eq!(chunks.offset(), (3 << 30) + 4);
    }

    #[test]
    fn event_behind_a_hole_is_kept() {
        let hole = io::repeat(0).take(1_000_003).chain(&b"{}\n{}\n"[..]);
        let mut chunks = ChunkReader::new(0, "x".into(), Box::new(hole), 1000, 2000);
        let chunk = chunks.next(Vec::new()).unwrap().unwrap();
        assert_eq!((chunk.offset, chunk.line), (1_000_000, 1));
        assert_eq!(chunk.data, b"\0\0\0{}\n{}\n");
        assert_eq!(
            (chunks.nul_bytes(), chunks.offset()),
            (1_000_000, 1_000_009)
        );
    }

    #[test]
    fn buffer_is_used_again() {
        let mut chunks = reader(&b"0123456\n".repeat(100), 4096, false, 64, 640);
        let first = chunks.next(Vec::with_capacity(64)).unwrap().unwrap();
        let place = first.data.as_ptr();
        let second = chunks.next(first.data).unwrap().unwrap();
        assert_eq!((second.data.as_ptr(), second.data.len()), (place, 64));
    }
}
