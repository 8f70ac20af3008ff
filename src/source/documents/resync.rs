//! What is done about damage; the promise is in the header of `documents`.

use memchr::{memchr, memchr_iter, memchr2, memrchr};

use super::super::framing::{WORDS_MAX, opening};
use super::super::lines::{counted, runtime_line};
use super::{Block, Documents, Extent, Integrity, Unit, indent};

/// How an event begins as kube-apiserver writes it.
pub(super) const EVENT: &[u8] = br#"{"kind":"Event","apiVersion":"audit.k8s.io/"#;

/// Bytes searched at a time for where to go on, so that neither kind of place is searched far past the
/// other.
const SEEK_BYTES: usize = 4 << 10;

/// Bytes that may be read again in any case, and for every byte read.
const REREAD_BYTES: u64 = 4 << 20;
const REREAD_FACTOR: u64 = 4;

/// Looking for where to go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seek {
    /// The damaged piece.
    pub(super) unit: Unit,
    /// Whether the first byte may be the place.
    from_here: bool,
    kind: Kind,
}

/// What the piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A document that is damaged.
    Document,
    /// Text between documents, which ends with its line, at the latest.
    Text { begins_line: bool },
    /// A line of a container runtime, which holds the events on it.
    Runtime,
}

/// A place to go on.
enum Found {
    /// Here.
    At(usize),
    /// Perhaps here: the bytes behind decide, and are not there yet.
    Open(usize),
    No,
}

impl Documents {
    /// Text between documents.
    pub(super) fn stray(&mut self, at: usize, block: Block<'_>) {
        // The bytes of a byte order mark are passed over one by one, and other characters begin so too.
        let back = (1..=at.min(2)).find(|back| block.data[at - back] == 0xef);
        let at = at - back.unwrap_or(0);
        let start = block.base + at as u64;
        if self.is_recovered && matches!(block.data[at], b']' | b'}') {
            self.place = start + 1;
            return;
        }
        self.seek = Some(Seek {
            unit: Unit {
                start,
                line: self.line_at(start, block.data, block.base),
                integrity: Integrity::Damaged,
            },
            from_here: false,
            kind: Kind::Text {
                begins_line: indent(at, block) == Some(0),
            },
        });
    }

    /// The byte at `place` cannot be.
    pub(super) fn damage(&mut self, block: Block<'_>) {
        let place = self.place;
        let document = self.document.filter(|_| self.extent == Extent::Plain);
        let unit = match self.element.or(document) {
            Some(unit) => unit,
            None => Unit {
                start: place,
                line: self.line_at(place, block.data, block.base),
                integrity: Integrity::Damaged,
            },
        };
        if self.extent != Extent::Plain {
            self.take_apart();
        }
        let from = place.min(unit.start + 1);
        let allowed = REREAD_BYTES + REREAD_FACTOR * self.place_max - self.reread;
        if place - from <= allowed && !self.is_discarded(unit, place) {
            self.reread += place - from;
            self.place = from;
        }
        let head = self.head.take();
        self.forget_document();
        self.head = head;
        self.machine.reset();
        self.machine.watch(2, 1);
        self.record_depth = 0;
        self.is_recovered = true;
        self.seek = Some(Seek {
            unit: Unit {
                integrity: Integrity::Damaged,
                ..unit
            },
            from_here: unit.start == place,
            kind: Kind::Document,
        });
    }

    /// Looks for where to go on; returns whether the search is over.
    pub(super) fn go_on(&mut self, mut seek: Seek, block: Block<'_>) -> bool {
        let mut at = block.index(self.place);
        if at < block.data.len() && std::mem::take(&mut seek.from_here) {
            self.seek = Some(seek);
            if matches!(block.data[at], b'{' | b'[') {
                return self.go_on_at(seek, at, block);
            }
        }
        // At the start of a line, its end before belongs to the search.
        if at > 0 && block.data[at - 1] == b'\n' && seek.kind == Kind::Document {
            at -= 1;
        }
        while at < block.data.len() {
            let until = block.data.len().min(at + SEEK_BYTES);
            let line = if seek.kind == Kind::Document {
                self.find_line(at, until, block)
            } else {
                memchr(b'\n', &block.data[at..until]).map_or(Found::No, |n| Found::At(at + n))
            };
            let before = match line {
                Found::At(line) => line,
                Found::Open(line) => line,
                Found::No => until,
            };
            let overlap = block.data.len().min(before + EVENT.len() - 1);
            if seek.kind != Kind::Runtime
                && let Some(event) = self.event.find(&block.data[at..overlap])
                && at + event < before
            {
                if self.is_runtime(seek, at + event, block) {
                    seek.kind = Kind::Runtime;
                    seek.unit.integrity = Integrity::Whole;
                    self.is_recovered = false;
                    self.seek = Some(seek);
                } else {
                    self.is_recovered |= !self.is_counted(seek, at + event, block);
                    return self.go_on_at(seek, at + event, block);
                }
            }
            match line {
                Found::At(line) => {
                    let opening = opening_of_text(seek, line, block);
                    return self.go_on_at(seek, opening.unwrap_or(line), block);
                }
                Found::Open(line) => {
                    at = line;
                    break;
                }
                Found::No => at = until,
            }
        }
        if block.ended {
            return self.go_on_at(seek, block.data.len(), block);
        }
        // An event may begin in the last bytes.
        let tail = block.data.len().saturating_sub(EVENT.len() - 1);
        self.place = self.place.max(block.base + at.min(tail) as u64);
        false
    }

    /// Returns whether what stands before `data[event]` is what a container runtime writes before a line.
    fn is_runtime(&self, seek: Seek, event: usize, block: Block<'_>) -> bool {
        let end = block.base + event as u64;
        let is_kept = self.head.is_none() && !self.is_discarded(seek.unit, end);
        let begins_line = seek.kind == Kind::Text { begins_line: true };
        begins_line && is_kept && runtime_line(block.slice(seek.unit.start, end)).is_some()
    }

    /// Returns whether what stands before `data[event]` is the head of a syslog message with its length (RFC 6587,
    /// section 3.4.1), and all of the piece.
    fn is_counted(&self, seek: Seek, event: usize, block: Block<'_>) -> bool {
        let end = block.base + event as u64;
        let is_kept = self.head.is_none() && !self.is_discarded(seek.unit, end);
        let is_text = matches!(seek.kind, Kind::Text { .. });
        is_text && is_kept && {
            let head = block.slice(seek.unit.start, end);
            counted(head).is_some() && memchr2(b'"', b'}', head).is_none()
        }
    }

    /// Looks for a line that begins with `{`, or ends so behind words, and whose end before is in `data[at..until]`.
    fn find_line(&self, at: usize, until: usize, block: Block<'_>) -> Found {
        for end in memchr_iter(b'\n', &block.data[at..until]) {
            let end = at + end;
            let line = &block.data[end + 1..];
            let blanks = line
                .iter()
                .take(self.indent + 1)
                .take_while(|byte| matches!(byte, b' ' | b'\t' | 0x1e))
                .count();
            match line.get(blanks) {
                None if !block.ended => return Found::Open(end),
                Some(b'{') if blanks <= self.indent => return Found::At(end + 1 + blanks),
                _ => {}
            }
            let head = &line[..line.len().min(WORDS_MAX + 2)];
            match memchr(b'\n', head) {
                Some(length) => {
                    if let Some(brace) = opening(&head[..length]) {
                        return Found::At(end + 1 + brace);
                    }
                }
                None if head.len() == line.len() && !block.ended => return Found::Open(end),
                None => {}
            }
        }
        Found::No
    }

    /// Ends the damaged piece before `data[at]`.
    fn go_on_at(&mut self, seek: Seek, at: usize, block: Block<'_>) -> bool {
        let (unit, mut end) = (seek.unit, block.base + at as u64);
        (self.seek, self.place) = (None, end);
        // Of what is over the limit the bytes may be gone already, so that is never trimmed.
        if self.head.is_none() && !self.is_discarded(unit, end) {
            let piece = block.slice(unit.start, end);
            let is_content = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0 | 0x1e);
            let content = piece
                .iter()
                .rposition(is_content)
                .map_or(0, |last| last + 1);
            end = unit.start + content as u64;
            // What only separated or closed something that is gone is no record.
            let is_empty = piece[..content]
                .iter()
                .all(|byte| !is_content(byte) || b",]}".contains(byte));
            if is_empty {
                return true;
            }
        }
        self.finish(unit, end, None, block);
        true
    }
}

/// Returns where the document begins that text before `data[end]`, the end of its line, ends in.
fn opening_of_text(seek: Seek, end: usize, block: Block<'_>) -> Option<usize> {
    if !matches!(seek.kind, Kind::Text { .. }) {
        return None;
    }
    let line = memrchr(b'\n', &block.data[..end]).map_or(0, |before| before + 1);
    let unit = seek.unit.start.saturating_sub(block.base);
    let start = usize::try_from(unit).map_or(line, |unit| line.max(unit));
    opening(&block.data[start..end]).map(|brace| start + brace)
}
