//! Content to [`Chunk`]s of whole records.
//!
//! Comes in: one content. Goes out: chunks whose records depend on the content alone, never on how
//! many bytes a read hands out or on the size of a chunk. A chunk holds about `chunk_bytes`; a record
//! that is longer makes a chunk of its own, up to `max_line_bytes`; one over that is passed over in
//! constant memory and listed as [`Oversize`]. Nothing else is left out, except long runs of NUL (the
//! hole that a truncated log leaves before its writer goes on): they end a line as `\n` does, without
//! counting one, and cost neither memory nor a chunk. So what stands on both sides of one survives.
//!
//! Lines end at `\n`. A `\r` before it is data, as are short runs of NUL and invalid UTF-8: judging
//! lines is the work of the decoder. Documents are described in `documents`, the choice between them in
//! [`Framing`](super::framing).

mod long;

use std::io::{self, Read};
use std::sync::Arc;

use memchr::{memchr_iter, memrchr};

use super::ahead::Pause;
use super::content::Content;
use super::documents::{Documents, Passed};
use super::lines::Parts;
use super::rows::Rows;
use super::unpack::{Damage, LimitReached};
use super::{
    Chunk, Framing, InputFile, OVERSIZE_HEAD_BYTES, Oversize, ReadOptions, RecordSpan, SourceError,
    Start,
};
use crate::decode::envelope::csv_width;

/// Lines passed over before an empty chunk is handed out, so that the list stays short.
const OVERSIZE_MAX: usize = 256;

/// Cuts content into [`Chunk`]s.
pub struct ChunkReader {
    file: u32,
    name: Arc<str>,
    reader: Content,
    framing: Framing,
    header: Option<Arc<str>>,
    /// The number of columns of CSV.
    n_columns: usize,
    documents: Option<Documents>,
    target: usize,
    max_line: usize,
    /// What was read past the last chunk: less than `target`, or what a record or a line in parts that
    /// is not complete yet takes up.
    carry: Vec<u8>,
    /// Place of the first byte not yet delivered or passed over.
    offset: u64,
    line: u64,
    ended: bool,
    error: Option<io::Error>,
    oversize: Vec<Oversize>,
    nul_bytes: u64,
    /// Whether a last record that does not end is left for later.
    is_growing: bool,
    /// Whether the content is what a log was not read of yet.
    is_piece: bool,
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
        if n > 0 {
            self.data.copy_within(n..self.filled, 0);
            self.filled -= n;
        }
    }
}

impl ChunkReader {
    /// Returns a reader of chunks of the file with index `file`.
    ///
    /// `chunk_bytes` is brought into the range from 1 to `max_line_bytes`, so that only records longer
    /// than a chunk have to be measured.
    pub fn new(file: u32, name: Arc<str>, mut content: Content, options: &ReadOptions) -> Self {
        let max_line = options.max_line_bytes.max(1);
        let framing = options
            .framing
            .unwrap_or_else(|| Framing::detect(content.head(), content.is_all_head()));
        let (mut header, mut offset, mut line) = (None, 0, 1);
        if framing == Framing::Csv
            && let Some((names, length, lines)) = header_of(content.head())
        {
            header = Some(names);
            content.skip(length);
            (offset, line) = (length as u64, 1 + lines);
        }
        let documents =
            (framing == Framing::Documents).then(|| Documents::new(offset, line, max_line));
        Self {
            file,
            name,
            reader: content,
            framing,
            n_columns: header.as_deref().map_or(0, csv_width),
            header,
            documents,
            target: options.chunk_bytes.clamp(1, max_line),
            max_line,
            carry: Vec::new(),
            offset,
            line,
            ended: false,
            error: None,
            oversize: Vec::new(),
            nul_bytes: 0,
            is_growing: false,
            is_piece: false,
        }
    }

    /// Starts where `file` says, and ends where it does.
    ///
    /// Documents are read from their beginning: where one of them may be taken up, only what stands before tells.
    #[must_use]
    pub fn taking_up(mut self, file: &InputFile) -> Self {
        self.is_growing = file.is_growing;
        if file.piece.is_some() {
            return self.in_piece(file.from);
        }
        if self.documents.is_some() || file.from.offset <= self.offset {
            return self;
        }
        let gone = file.from.offset - self.offset;
        let mut before = (&mut self.reader).take(gone);
        if let Err(cause) = io::copy(&mut before, &mut io::sink()) {
            self.ended = true;
            self.error = Some(cause);
        }
        self.offset = file.from.offset;
        self.line = 1 + file.from.lines;
        self
    }

    /// Counts from `from` on, in bytes as they stand in the file: a byte order mark counts there.
    fn in_piece(mut self, from: Start) -> Self {
        let mark = if from.offset == 0 {
            self.reader.mark() as u64
        } else {
            0
        };
        if let Some(documents) = &mut self.documents {
            *documents = Documents::new(from.offset + mark, 1 + from.lines, self.max_line);
        }
        self.offset += from.offset + mark;
        self.line += from.lines;
        self.is_piece = true;
        self
    }

    /// Returns where to take up the file when it has grown.
    pub fn place(&self) -> Start {
        if self.documents.is_some() && !self.is_piece {
            return Start::default();
        }
        Start {
            offset: self.offset,
            lines: self.line - 1,
        }
    }

    /// Returns the index of its file.
    pub fn file(&self) -> u32 {
        self.file
    }

    /// Returns what separates the records.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Returns the next chunk, or `None` at the end.
    ///
    /// `buffer` becomes the data of the chunk. Hand back the data of an earlier chunk as it is: its
    /// content does not matter, and clearing it first costs the time to zero it again.
    ///
    /// # Errors
    /// When the reader fails, once, after everything read before was delivered (an unfinished last
    /// record included, so that it is counted); then `None`.
    pub fn next(&mut self, buffer: Vec<u8>) -> Result<Option<Chunk>, SourceError> {
        let window = self.start(buffer);
        let chunk = match self.documents.take() {
            Some(mut documents) => {
                let chunk = self.next_documents(window, &mut documents);
                self.documents = Some(documents);
                chunk
            }
            None => self.next_lines(window),
        };
        match (chunk, self.error.take()) {
            (None, Some(cause)) => Err(self.failed(cause)),
            (chunk, error) => {
                self.error = error;
                Ok(chunk)
            }
        }
    }

    fn next_lines(&mut self, mut window: Window) -> Option<Chunk> {
        loop {
            self.fill(&mut window, self.target);
            if window.filled == 0 && self.ended {
                return None;
            }
            if self.oversize.len() >= OVERSIZE_MAX {
                return Some(self.deliver(window, 0));
            }
            if window.filled < self.target && !self.ended {
                match self.end_of_lines(&window) {
                    0 => continue,
                    end => return self.deliver_lines(window, end),
                }
            }
            if window.filled < self.target {
                window.filled = self.end_of_lines(&window);
                let end = window.filled;
                return self.deliver_lines(window, end);
            }
            let head = &window.data[..self.target];
            let end = match memrchr(b'\n', head) {
                Some(last) => Some(last + 1),
                None => self.long_line(&mut window),
            };
            let Some(mut end) = end else { continue };
            let is_unfinished = self.ended && end == window.filled && window.data[end - 1] != b'\n';
            if is_unfinished && self.is_growing {
                return None;
            }
            if self.framing == Framing::Partial && window.data[end - 1] == b'\n' {
                end = self.whole_end(&mut window);
            }
            return self.deliver_lines(window, end);
        }
    }

    /// Returns where the last line ends that is whole, as the last one of all is.
    fn end_of_lines(&self, window: &Window) -> usize {
        if self.ended && !self.is_growing {
            return window.filled;
        }
        let data = &window.data[..window.filled];
        if self.framing == Framing::Partial {
            let mut parts = Parts::default();
            parts.look(data);
            return parts.whole;
        }
        memrchr(b'\n', data).map_or(0, |last| last + 1)
    }

    /// Hands out the lines before `end`, if there are any, or fewer or more of them to end with a row.
    fn deliver_lines(&mut self, mut window: Window, end: usize) -> Option<Chunk> {
        let (end, records) = if self.n_columns == 0 {
            (end, None)
        } else {
            self.whole_rows(&mut window, end)
        };
        (end > 0).then(|| Chunk {
            records,
            ..self.deliver(window, end)
        })
    }

    fn next_documents(&mut self, mut window: Window, documents: &mut Documents) -> Option<Chunk> {
        let mut limit = self.target;
        loop {
            self.fill(&mut window, limit);
            let data = &window.data[..window.filled];
            documents.scan(data, self.offset, self.ended && !self.is_growing);
            let passed = documents.passed.drain(..);
            let file = self.file;
            self.oversize
                .extend(passed.map(|passed| oversize_of(file, passed)));
            if let Some(last) = documents.ready.last() {
                let end = index(last.end - self.offset);
                return Some(self.deliver_documents(window, end, documents));
            }
            let end = self.offset + window.filled as u64;
            if self.ended && (self.is_growing || documents.is_done(end)) {
                let place = documents.open_since().unwrap_or(end);
                self.line = documents.line_at(place, data, self.offset);
                self.offset = place;
                return None;
            }
            // Before the bytes go, their lines are counted.
            let keep = documents.keep().max(self.offset);
            documents.line_at(keep, data, self.offset);
            let gone = index(keep - self.offset);
            window.drop_front(gone);
            self.offset = keep;
            if self.oversize.len() >= OVERSIZE_MAX {
                return Some(self.deliver_documents(window, 0, documents));
            }
            limit = self.target.max(window.filled + self.target);
        }
    }

    fn deliver_documents(
        &mut self,
        window: Window,
        end: usize,
        documents: &mut Documents,
    ) -> Chunk {
        let base = self.offset;
        let line = documents.line_at(base + end as u64, &window.data[..window.filled], base);
        let records: Vec<RecordSpan> = documents
            .ready
            .drain(..)
            .map(|span| RecordSpan {
                start: index(span.start - base),
                end: index(span.end - base),
                line: span.line,
                integrity: span.integrity,
                parent: span.parent,
            })
            .collect();
        let line = records.first().map_or(line, |record| record.line);
        let chunk = self.deliver(window, end);
        Chunk {
            line,
            records: Some(records),
            ..chunk
        }
    }

    fn failed(&self, cause: io::Error) -> SourceError {
        let inner = cause.get_ref();
        let limit = inner.and_then(|inner| inner.downcast_ref::<LimitReached>());
        let damage = inner.and_then(|inner| inner.downcast_ref::<Damage>());
        let (name, offset) = (self.name.clone(), self.offset);
        match limit {
            Some(&LimitReached { limit }) => SourceError::TooLarge {
                name,
                limit,
                offset,
            },
            None if damage.is_some_and(|damage| damage.resumed.is_some()) => {
                SourceError::Damaged { name, cause }
            }
            None => SourceError::Read {
                name,
                offset,
                packed_offset: damage.filter(|it| it.layer == 0).map(|it| it.at),
                cause,
            },
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

    /// Reads until `limit` bytes are in hand, the reader ended or failed, or asks to go on with what there is.
    fn fill(&mut self, window: &mut Window, limit: usize) {
        if window.data.len() < limit && !self.ended {
            window.data.resize(limit, 0);
        }
        while window.filled < limit && !self.ended {
            match self.reader.read(&mut window.data[window.filled..limit]) {
                Ok(0) => self.ended = true,
                Ok(n) => window.filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if Pause::is(&error) => return,
                Err(error) => {
                    self.ended = true;
                    self.error = Some(error);
                }
            }
        }
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
            records: None,
            header: self.header.clone(),
        };
        self.offset += end as u64;
        self.line += memchr_iter(b'\n', &chunk.data).count() as u64;
        chunk
    }
}

fn oversize_of(file: u32, passed: Passed) -> Oversize {
    Oversize {
        file,
        line: passed.line,
        offset: passed.start,
        length: passed.end - passed.start,
        head: passed.head,
    }
}

fn index(length: u64) -> usize {
    usize::try_from(length).expect("a place within a buffer")
}

/// Returns the names of columns, and the bytes and line ends up to the first row; `None` if that comes first.
pub(super) fn header_of(head: &[u8]) -> Option<(Arc<str>, usize, u64)> {
    let mut start = 0;
    for (lines, end) in (1..).zip(memchr_iter(b'\n', head).chain([head.len()])) {
        let text = String::from_utf8_lossy(&head[start..end]);
        let text = super::trim_record(&text);
        start = head.len().min(end + 1);
        if !text.is_empty() || start == head.len() {
            return (!text.contains('{')).then(|| (text.into(), start, lines));
        }
    }
    None
}

#[cfg(test)]
mod tests;
