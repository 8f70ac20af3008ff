//! Lines that do not fit a chunk: long ones, parts of one, holes.

use super::{ChunkReader, OVERSIZE_HEAD_BYTES, Oversize, RecordSpan, Rows, Window};
use crate::source::lines::{End, Ends, Parts};
use crate::source::text::hole_length;

impl ChunkReader {
    /// Returns where a chunk of whole lines ends at which no line waits for its next part.
    ///
    /// A line whose parts are longer than the limit together is cut behind the last part below it.
    pub(super) fn whole_end(&mut self, window: &mut Window) -> usize {
        let mut parts = Parts::default();
        let most = self.max_line + 1;
        loop {
            let until = window.filled.min(most);
            parts.look(&window.data[..until]);
            if parts.whole > 0 {
                return parts.whole;
            }
            if window.filled >= most {
                return parts.seen();
            }
            if self.ended {
                return window.filled;
            }
            self.fill(window, window.filled + self.target);
        }
    }

    /// Returns where a chunk of lines up to about `end` ends with a row, and where its rows are if some go over several lines.
    ///
    /// 0 is that the rest of the row is not written yet.
    pub(super) fn whole_rows(
        &mut self,
        window: &mut Window,
        mut end: usize,
    ) -> (usize, Option<Vec<RecordSpan>>) {
        loop {
            let is_all = self.ended && !self.is_growing && end == window.filled;
            let mut rows = Rows::of(&window.data[..end], self.n_columns, is_all);
            for span in rows.spans.iter_mut().flatten() {
                span.line += self.line;
            }
            if rows.end > 0 || self.ended && (self.is_growing || window.filled == 0) {
                return (rows.end, rows.spans);
            }
            self.fill(window, window.filled + self.target);
            end = self.end_of_lines(window);
        }
    }

    /// Reads on to the end of a line that does not end within the first `target` bytes.
    ///
    /// Returns where the line ends, or `None` when it was too long or a hole, and is out of the window.
    pub(super) fn long_line(&mut self, window: &mut Window) -> Option<usize> {
        let mut ends = Ends::new(self.max_line);
        let mut seen = 0;
        loop {
            match ends.find(&window.data[..window.filled], seen) {
                Some(End::Line(length)) if length <= self.max_line => return Some(length + 1),
                Some(End::Line(length)) => {
                    self.pass_over(length as u64, head_of(&window.data[..length]));
                    self.skip(window, length + 1);
                    self.line += 1;
                    return None;
                }
                Some(End::Hole { start, before }) => {
                    let length = start - before;
                    if length > self.max_line {
                        self.pass_over(length as u64, head_of(&window.data[..length]));
                        self.skip(window, length);
                    } else if length > 0 {
                        return Some(length);
                    }
                    self.skip_hole(window);
                    return None;
                }
                None => {}
            }
            seen = window.filled;
            // A hole may have begun that ends the line within the limit.
            if seen - ends.run() > self.max_line {
                self.skip_line(window, ends);
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
    fn skip_line(&mut self, window: &mut Window, mut ends: Ends) {
        let mut head = head_of(&window.data[..window.filled]);
        let mut length = window.filled as u64;
        let start = self.offset;
        self.skip(window, window.filled);
        loop {
            self.fill(window, self.target);
            let bytes = &window.data[..window.filled];
            let end = ends.find(bytes, 0);
            let taken = match end {
                Some(End::Line(at)) => at,
                Some(End::Hole { start, .. }) => start,
                None => bytes.len(),
            };
            let room = (OVERSIZE_HEAD_BYTES - head.len()).min(taken);
            head.extend_from_slice(&bytes[..room]);
            length += taken as u64;
            self.skip(window, taken);
            let line_end = match end {
                Some(End::Line(_)) => 1,
                Some(End::Hole { before, .. }) => {
                    length -= before as u64;
                    0
                }
                None if self.ended && window.filled == 0 => 0,
                None => continue,
            };
            head.truncate(usize::try_from(length).unwrap_or(usize::MAX));
            let after = std::mem::replace(&mut self.offset, start);
            self.pass_over(length, head);
            self.offset = after;
            self.skip(window, line_end);
            self.line += line_end as u64;
            if let Some(End::Hole { before, .. }) = end {
                self.nul_bytes += before as u64;
                self.skip_hole(window);
            }
            return;
        }
    }

    /// Reads to the end of a run of NUL.
    fn skip_hole(&mut self, window: &mut Window) {
        loop {
            let length = hole_length(&window.data[..window.filled]);
            self.skip(window, length);
            self.nul_bytes += length as u64;
            if window.filled > 0 || self.ended {
                return;
            }
            self.fill(window, self.target);
        }
    }

    fn skip(&mut self, window: &mut Window, n: usize) {
        window.drop_front(n);
        self.offset += n as u64;
    }

    fn pass_over(&mut self, length: u64, head: Vec<u8>) {
        self.oversize.push(Oversize {
            file: self.file,
            line: self.line,
            offset: self.offset,
            length,
            head,
        });
    }
}

fn head_of(line: &[u8]) -> Vec<u8> {
    line[..line.len().min(OVERSIZE_HEAD_BYTES)].to_vec()
}
