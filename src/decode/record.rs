//! Records: what a chunk is made of, and how the unusual ones are opened.

use serde_json::value::RawValue;

use super::envelope::json::list_to_end;
use super::envelope::{Format, Found, Item, Unwrapper};
use crate::frame::{EventText, Origin, Place};
use crate::source::{Chunk, Integrity, split_holes, trim_record};

/// How an event begins that kube-apiserver wrote.
const HEAD: &str = "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/";

/// How many beginnings of an event are tried in a damaged record.
pub(super) const BEGINNINGS: usize = 64;

/// One record of a chunk; not blank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Number of its first line in the file, from 1.
    pub line: u64,
    /// Offset of the first byte in the decompressed file.
    pub offset: u64,
    /// The same within the chunk.
    pub start: u32,
    /// The record without what stands around it.
    pub text: &'a str,
    /// How far its borders can be trusted.
    pub integrity: Integrity,
}

impl Record<'_> {
    /// Returns the place of an event that was found in the record, `text` being what it was decoded from.
    pub fn place<'p>(&self, text: &str, origin: Origin<'p>) -> Place<'p> {
        // An event that stands in the chunk as it is need not be kept apart.
        let within = (text.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize);
        let within = within.filter(|start| start + text.len() <= self.text.len());
        Place {
            line: self.line,
            offset: self.offset,
            length: narrow(self.text.len()),
            origin,
            text: within.map_or(EventText::Unwrapped, |start| {
                EventText::InChunk(self.start + narrow(start))
            }),
            is_recovered: false,
        }
    }
}

/// Chunks are far shorter than 4 GiB.
fn narrow(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a chunk is shorter than 4 GiB")
}

/// Returns the records of `text`, the content of `chunk`, in file order; blank ones are left out.
pub fn records<'a>(chunk: &'a Chunk, text: &'a str) -> impl Iterator<Item = Record<'a>> {
    let spans = chunk.records.iter().flatten();
    let of_spans = spans.filter_map(move |span| {
        let found = record(chunk, span.start, &text[span.start..span.end], span.line);
        Some(Record {
            integrity: span.integrity,
            ..found?
        })
    });
    of_spans.chain(lines(
        chunk,
        if chunk.records.is_none() { text } else { "" },
    ))
}

fn lines<'a>(chunk: &'a Chunk, text: &'a str) -> impl Iterator<Item = Record<'a>> {
    let (mut line, mut at) = (chunk.line, 0);
    let ends = memchr::memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1);
    let rest = (!text.is_empty() && !text.ends_with('\n')).then_some(text.len());
    ends.chain(rest).filter_map(move |end| {
        let found = record(chunk, at, &text[at..end], line);
        line += 1;
        at = end;
        found
    })
}

/// Returns the record in `text`, which starts at `start` of the chunk.
fn record<'a>(chunk: &Chunk, start: usize, text: &'a str, line: u64) -> Option<Record<'a>> {
    let trimmed = trim_record(text);
    let start = start + (trimmed.as_ptr() as usize - text.as_ptr() as usize);
    (!trimmed.is_empty()).then_some(Record {
        line,
        offset: chunk.offset + start as u64,
        start: narrow(start),
        text: trimmed,
        integrity: Integrity::Whole,
    })
}

/// One thing found in a record.
#[derive(Debug, PartialEq, Eq)]
pub enum Opened<'a> {
    /// An audit event.
    Event {
        /// Its text and envelopes.
        found: Found<'a>,
        /// Whether it was found by looking for a beginning behind damage.
        is_recovered: bool,
    },
    /// Something readable that is none, as a noun phrase, and the member of it that may hold one all the same.
    Other(&'a str, Option<&'a str>),
    /// Damage, with its cause.
    Bad(&'a str),
}

/// Opens records that are not written as the API server writes events; one per chunk.
pub struct Opener {
    unwrapper: Unwrapper,
}

impl Opener {
    /// Starts a chunk. `only` fixes the family of the outermost envelope; `header` names the columns of CSV.
    pub fn new(only: Option<Format>, header: Option<&str>) -> Self {
        Self {
            unwrapper: Unwrapper::new(only, header),
        }
    }

    /// Hands each thing in a record to `take`: at least one, in order.
    pub fn open(&mut self, record: &Record<'_>, take: &mut dyn FnMut(Opened<'_>)) {
        for (_, piece) in split_holes(record.text) {
            let piece = trim_record(piece);
            if !piece.is_empty() {
                self.piece(piece, record.integrity != Integrity::Whole, take);
            }
        }
    }

    /// Hands out what waited for another record, which did not come.
    pub fn finish(&mut self, take: &mut dyn FnMut(Opened<'_>)) {
        self.unwrapper.finish(&mut |item| hand(item, true, take));
    }

    fn piece(&mut self, text: &str, is_recovered: bool, take: &mut dyn FnMut(Opened<'_>)) {
        let mut first = None;
        let mut count = 0;
        self.unwrapper.record(text, &mut |item| {
            count += 1;
            match item {
                // Kept back: it may be more than one record.
                Item::Bad { cause } if count == 1 => first = Some(cause),
                item => {
                    if let Some(cause) = first.take() {
                        take(Opened::Bad(&cause));
                    }
                    hand(item, is_recovered, take);
                }
            }
        });
        if let Some(cause) = first
            && !self.resynchronise(text, is_recovered, take)
        {
            take(Opened::Bad(&cause));
        }
    }

    /// Takes apart what is more than one record without a line end between them; returns whether it is.
    ///
    /// kube-apiserver goes on behind a line that was cut when it is started again (lumberjack appends), and
    /// some stores write no line ends at all. A value that is whole is never looked into: what seems an
    /// event in there is text that a client chose. Behind a cut, a beginning counts only if whole values
    /// follow from there to the end of the line.
    fn resynchronise(
        &mut self,
        text: &str,
        is_recovered: bool,
        take: &mut dyn FnMut(Opened<'_>),
    ) -> bool {
        let (whole, end) = values(text);
        if whole.len() == 1 && end == text.len() {
            return false;
        }
        let damaged = &text[end..];
        let behind = memchr::memmem::find_iter(damaged.as_bytes(), HEAD)
            .take(BEGINNINGS)
            .filter(|&at| at > 0)
            .find_map(|at| {
                let (values, end) = values(&damaged[at..]);
                let values = (at + end == damaged.len()).then_some(values);
                // Or to the end of a list whose beginning is gone.
                let values = values.or_else(|| list_to_end(&damaged[at..], 0..=1));
                values.map(|values| (at, values))
            });
        if whole.is_empty() && behind.is_none() {
            return false;
        }
        for value in whole {
            self.unwrapper
                .record(value, &mut |item| hand(item, is_recovered, take));
        }
        let (cut, values) = behind.unwrap_or((damaged.len(), Vec::new()));
        if !trim_record(&damaged[..cut]).is_empty() {
            take(Opened::Bad("a cut record with others on its line"));
        }
        for value in values {
            self.unwrapper
                .record(value, &mut |item| hand(item, true, take));
        }
        true
    }
}

/// Returns the whole JSON values that `text` starts with, and where they end.
fn values(text: &str) -> (Vec<&str>, usize) {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let mut values = Vec::new();
    let mut end = 0;
    while let Some(Ok(value)) = stream.next() {
        // Numbers and words stand where a text was cut, not where a record is.
        if !value.get().starts_with('{') {
            break;
        }
        values.push(value.get());
        end = stream.byte_offset();
    }
    (values, end)
}

fn hand(item: Item<'_>, is_recovered: bool, take: &mut dyn FnMut(Opened<'_>)) {
    match item {
        Item::Event(found) => take(Opened::Event {
            found,
            is_recovered: is_recovered || found.is_recovered,
        }),
        Item::Other { what, under } => take(Opened::Other(&what, under)),
        Item::Bad { cause } => take(Opened::Bad(&cause)),
    }
}

#[cfg(test)]
mod tests;
