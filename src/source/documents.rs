//! Text to JSON documents, however long they are.
//!
//! Records are:
//!
//! - the values at the top, and the elements of an array at the top;
//! - instead of an object that is longer than [`WHOLE_BYTES`]: the elements of its members `items`,
//!   `events`, `records`, `logEvents` and `results`, if they are arrays, so that an export of any size
//!   streams. They carry the text before the first of them as `parent` (its `kind`, its log group).
//!   What else stands in such an object is no record. A shorter object stays whole, so that whoever
//!   takes it apart sees everything that belongs together;
//! - text between documents, up to its line end; up to an event on the line, unless a container runtime wrote the line.
//!
//! Damage: a line end or NUL in a string, or a token out of place. The record it shows in becomes a
//! piece ([`Integrity::Damaged`]) up to the next line that begins with `{`, indented no deeper than the
//! last record, or the next `{"kind":"Event","apiVersion":"audit.k8s.io/`: within a string the quotes
//! of that are escaped, so it never is one. The search goes back to the start of the damaged record,
//! for a document that breaks off takes the next ones for its own. What is found so is
//! [`Integrity::Recovered`], up to a record at the start of a line. Going back is limited to four times
//! the bytes read, so that time stays linear; beyond that, records inside a damaged piece stay in it.
//!
//! All this depends on the bytes alone, not on how they come in.

mod json;
mod resync;

use std::sync::Arc;

use memchr::{memchr, memchr_iter, memmem};

use super::{Integrity, OVERSIZE_HEAD_BYTES};
use json::{Machine, Token};
use resync::{EVENT, Seek};

/// An object up to this length is never taken apart.
const WHOLE_BYTES: u64 = 1 << 20;

/// Members whose elements are records, when the object is long.
const LISTS: [&[u8]; 5] = [b"items", b"events", b"records", b"logEvents", b"results"];

/// The longest of [`LISTS`] with its quotes, and some.
const KEY_BYTES_MAX: u64 = 16;

/// Deepest indentation that is told from none.
const INDENT_MAX: usize = 64;

/// A record. Places are offsets in the content.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) line: u64,
    pub(super) integrity: Integrity,
    pub(super) parent: Option<Arc<str>>,
}

/// A record over the limit.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) line: u64,
    pub(super) head: Vec<u8>,
}

/// What a first document looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// All of a line.
    Line,
    /// More or less than a line.
    Document,
    /// Longer than the text.
    Unfinished,
    /// Not JSON.
    Damaged,
}

/// Where something began that may become a record.
#[derive(Debug, Clone, Copy)]
struct Unit {
    start: u64,
    line: u64,
    integrity: Integrity,
}

/// Whether the document in hand is taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// It has no list so far.
    Plain,
    /// It has one, and is taken apart if it gets long.
    HasList,
    /// It is, and its elements are records.
    Apart,
}

/// A block of content.
#[derive(Clone, Copy)]
struct Block<'a> {
    data: &'a [u8],
    base: u64,
    ended: bool,
}

impl<'a> Block<'a> {
    /// Index of `place`, which is in the block.
    fn index(&self, place: u64) -> usize {
        usize::try_from(place - self.base).expect("a place in the block")
    }

    fn slice(&self, start: u64, end: u64) -> &'a [u8] {
        &self.data[self.index(start)..self.index(end)]
    }
}

/// Finds the documents in what [`Documents::scan`] is given.
pub(super) struct Documents {
    record_max: u64,
    /// [`WHOLE_BYTES`], or the limit if that is less.
    whole_max: u64,
    machine: Machine,
    /// Next byte to look at, and the first that was never looked at.
    place: u64,
    place_max: u64,
    reread: u64,
    /// Number of the line that holds the byte `counted`.
    line: u64,
    counted: u64,
    /// 0, or 1 within an array at the top.
    record_depth: usize,
    document: Option<Unit>,
    /// Depth of the elements of the list in hand.
    list_depth: Option<usize>,
    element: Option<Unit>,
    key: Option<u64>,
    is_list: bool,
    extent: Extent,
    parent: Option<Arc<str>>,
    /// Elements of a document that may still be short enough to stay whole.
    pending: Vec<Span>,
    seek: Option<Seek>,
    /// What starts now was found behind damage.
    is_recovered: bool,
    /// Indentation of the last record that was first on its line.
    indent: usize,
    /// First bytes of a record over the limit, whose bytes are not kept any more.
    head: Option<Vec<u8>>,
    event: memmem::Finder<'static>,
    /// Found and not taken, in order.
    pub(super) ready: Vec<Span>,
    /// Passed over and not taken, in order.
    pub(super) passed: Vec<Passed>,
}

impl Documents {
    /// Units: bytes.
    pub(super) fn new(place: u64, line: u64, record_max: usize) -> Self {
        Self {
            record_max: record_max as u64,
            whole_max: WHOLE_BYTES.min(record_max as u64),
            machine: Machine::new(2, 1),
            place,
            place_max: place,
            reread: 0,
            line,
            counted: place,
            record_depth: 0,
            document: None,
            list_depth: None,
            element: None,
            key: None,
            is_list: false,
            extent: Extent::Plain,
            parent: None,
            pending: Vec::new(),
            seek: None,
            is_recovered: false,
            indent: 0,
            head: None,
            event: memmem::Finder::new(EVENT),
            ready: Vec::new(),
            passed: Vec::new(),
        }
    }

    /// Says what the document at the start of `text` looks like; `is_all` says that no text follows.
    pub(super) fn shape(text: &[u8], is_all: bool) -> Shape {
        let mut machine = Machine::new(0, usize::MAX);
        let (mut place, mut start) = (0, 0);
        loop {
            match machine.next(text, &mut place) {
                Some(Token::Start { at, .. }) => start = at,
                Some(Token::End { end, .. }) => {
                    if memchr(b'\n', &text[start..end]).is_some() {
                        return Shape::Document;
                    }
                    let behind = text[end..]
                        .iter()
                        .find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | 0 | 0x1e));
                    return match behind {
                        None | Some(b'\n') => Shape::Line,
                        Some(b'{' | b'[') => Shape::Document,
                        Some(_) => Shape::Damaged,
                    };
                }
                Some(Token::Stray { .. } | Token::Damage { .. }) => return Shape::Damaged,
                Some(Token::KeyStart { .. } | Token::KeyEnd { .. }) => {}
                // A single line that breaks off is damaged as a line.
                None if is_all && memchr(b'\n', text.trim_ascii_end()).is_none() => {
                    return Shape::Damaged;
                }
                None => return Shape::Unfinished,
            }
        }
    }

    /// Whether `text` is one object or array, nothing around it.
    pub(super) fn is_whole(text: &[u8]) -> bool {
        let mut machine = Machine::new(0, usize::MAX);
        let mut place = 0;
        let starts = matches!(
            machine.next(text, &mut place),
            Some(Token::Start { at: 0, .. })
        );
        let ends = |token| matches!(token, Some(Token::End { end, .. }) if end == text.len());
        starts && ends(machine.next(text, &mut place))
    }

    /// Goes on to the end of `data`, whose first byte is at `base`.
    ///
    /// `data` holds everything from [`Documents::keep`] on. With `ended`, nothing follows it, and what
    /// is open is damaged.
    pub(super) fn scan(&mut self, data: &[u8], base: u64, ended: bool) {
        let block = Block { data, base, ended };
        loop {
            self.place_max = self.place_max.max(self.place);
            if let Some(seek) = self.seek {
                if self.go_on(seek, block) {
                    continue;
                }
                break;
            }
            let mut at = block.index(self.place);
            let token = self.machine.next(data, &mut at);
            self.place = base + at as u64;
            match token {
                Some(Token::Start { at, depth }) => self.start(at, depth, block),
                Some(Token::End { end, depth }) => self.end(base + end as u64, depth, block),
                Some(Token::KeyStart { at }) => self.key = Some(base + at as u64),
                Some(Token::KeyEnd { at }) => {
                    let start = self.key.take().filter(|&key| key >= base);
                    let name = start.map(|key| block.slice(key + 1, base + at as u64));
                    self.is_list = name.is_some_and(|name| LISTS.contains(&name));
                }
                Some(Token::Stray { at }) => self.stray(at, block),
                Some(Token::Damage { .. }) => self.damage(block),
                None if ended && self.machine.is_open() => self.damage(block),
                None => break,
            }
        }
        self.place_max = self.place_max.max(self.place);
        if let Some(document) = self.document
            && self.extent == Extent::HasList
            && self.place - document.start > self.whole_max
        {
            self.take_apart();
        }
        if let Some(unit) = self.unit()
            && self.head.is_none()
            && self.is_discarded(unit, self.place)
        {
            self.head = Some(head_of(unit, self.place, block));
        }
    }

    /// Returns where the bytes start that the next call still needs.
    pub(super) fn keep(&self) -> u64 {
        let name = self
            .key
            .filter(|&key| self.place - key <= KEY_BYTES_MAX)
            .unwrap_or(self.place);
        let near = name.min(self.place.saturating_sub(INDENT_MAX as u64 + 1));
        match self.unit() {
            Some(unit) if self.head.is_none() => near.min(unit.start),
            _ => near,
        }
    }

    /// Whether everything up to `end` has been looked at.
    pub(super) fn is_done(&self, end: u64) -> bool {
        self.place == end && self.seek.is_none()
    }

    /// Returns where what is in hand began, if something is.
    pub(super) fn open_since(&self) -> Option<u64> {
        self.unit().map(|unit| unit.start)
    }

    /// Counts the lines up to `place`, before the bytes are gone, and returns the number of its line.
    pub(super) fn line_at(&mut self, place: u64, data: &[u8], base: u64) -> u64 {
        if place > self.counted {
            let block = Block {
                data,
                base,
                ended: false,
            };
            self.line += memchr_iter(b'\n', block.slice(self.counted, place)).count() as u64;
            self.counted = place;
        }
        self.line
    }

    /// What is in hand and may become a record.
    fn unit(&self) -> Option<Unit> {
        let document = self.document.filter(|_| self.extent != Extent::Apart);
        let seek = self.seek.map(|seek| seek.unit);
        match (document, self.element) {
            // Its elements lie within it.
            (Some(document), _) => Some(document),
            (None, element) => element.or(seek),
        }
    }

    /// Whether a unit is over the limit at `place`, and its head complete.
    fn is_discarded(&self, unit: Unit, place: u64) -> bool {
        place - unit.start > self.record_max.max(OVERSIZE_HEAD_BYTES as u64)
    }

    fn unit_at(&mut self, at: usize, block: Block<'_>) -> Unit {
        let start = block.base + at as u64;
        let line = self.line_at(start, block.data, block.base);
        if let Some(indent) = indent(at, block) {
            self.indent = indent;
            if indent == 0 {
                self.is_recovered = false;
            }
        }
        let integrity = if self.is_recovered {
            Integrity::Recovered
        } else {
            Integrity::Whole
        };
        Unit {
            start,
            line,
            integrity,
        }
    }

    fn start(&mut self, at: usize, depth: usize, block: Block<'_>) {
        let is_array = block.data[at] == b'[';
        if depth == 0 && is_array {
            self.record_depth = 1;
            self.machine.watch(3, 2);
        } else if depth == self.record_depth {
            self.forget_document();
            self.document = Some(self.unit_at(at, block));
        } else if self.list_depth == Some(depth) {
            self.element = Some(self.unit_at(at, block));
        } else if depth == self.record_depth + 1 && is_array && self.is_list {
            self.start_list(at, depth, block);
        }
        self.is_list = false;
    }

    fn start_list(&mut self, at: usize, depth: usize, block: Block<'_>) {
        self.list_depth = Some(depth + 1);
        if self.extent == Extent::Plain {
            self.extent = Extent::HasList;
        }
        let Some(document) = self.document else {
            return;
        };
        if self.parent.is_none() {
            let head = match &self.head {
                Some(head) => head.clone(),
                None => head_of(document, block.base + at as u64 + 1, block),
            };
            self.parent = Some(String::from_utf8_lossy(&head).into());
        }
        if self.head.take().is_some() {
            self.take_apart();
        }
    }

    fn end(&mut self, end: u64, depth: usize, block: Block<'_>) {
        if depth == self.record_depth {
            let Some(document) = self.document.take() else {
                return;
            };
            if self.extent != Extent::Plain && end - document.start > self.whole_max {
                self.take_apart();
            } else {
                self.pending.clear();
                self.finish(document, end, None, block);
            }
            self.forget_document();
        } else if self.list_depth == Some(depth) {
            let (Some(element), Some(document)) = (self.element.take(), self.document) else {
                return;
            };
            if end - document.start > self.whole_max {
                self.take_apart();
                self.finish(element, end, self.parent.clone(), block);
            } else {
                self.pending.push(span(element, end, None));
            }
        } else if depth == 0 {
            self.record_depth = 0;
            self.machine.watch(2, 1);
        } else if depth == self.record_depth + 1 {
            self.list_depth = None;
        }
    }

    /// Gives out the elements of the document in hand, those found and those to come.
    fn take_apart(&mut self) {
        self.extent = Extent::Apart;
        for span in self.pending.drain(..) {
            let parent = self.parent.clone();
            self.ready.push(Span { parent, ..span });
        }
    }

    fn forget_document(&mut self) {
        (self.document, self.element, self.list_depth) = (None, None, None);
        (self.is_list, self.extent) = (false, Extent::Plain);
        (self.parent, self.key, self.head) = (None, None, None);
    }

    fn finish(&mut self, unit: Unit, end: u64, parent: Option<Arc<str>>, block: Block<'_>) {
        let head = self.head.take();
        if end - unit.start > self.record_max {
            self.passed.push(Passed {
                start: unit.start,
                end,
                line: unit.line,
                head: head.unwrap_or_else(|| head_of(unit, end, block)),
            });
        } else {
            self.ready.push(span(unit, end, parent));
        }
    }
}

fn span(unit: Unit, end: u64, parent: Option<Arc<str>>) -> Span {
    let Unit {
        start,
        line,
        integrity,
    } = unit;
    Span {
        start,
        end,
        line,
        integrity,
        parent,
    }
}

fn head_of(unit: Unit, end: u64, block: Block<'_>) -> Vec<u8> {
    let end = end.min(unit.start + OVERSIZE_HEAD_BYTES as u64);
    block.slice(unit.start, end).to_vec()
}

/// Returns how many blanks stand before `data[at]`, if nothing else does on its line.
fn indent(at: usize, block: Block<'_>) -> Option<usize> {
    let before = &block.data[at.saturating_sub(INDENT_MAX + 1)..at];
    let blanks = before
        .iter()
        .rev()
        .take_while(|byte| matches!(byte, b' ' | b'\t' | 0x1e))
        .count();
    let is_first = match before.len().checked_sub(blanks + 1) {
        Some(last) => before[last] == b'\n',
        None => block.base == 0 && at == blanks,
    };
    is_first.then_some(blanks)
}

#[cfg(test)]
mod tests;
