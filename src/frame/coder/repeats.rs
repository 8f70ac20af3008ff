//! Pieces that were seen before: known by their JSON text, numbered anew in each chunk.

use super::Memo;
use super::{NULL, Span, Table};

/// Where texts of a piece stand in it that are no part of its columns, as many as it has.
pub(super) type Spans = [Span; 3];

/// A piece that was seen before.
#[derive(Debug, Clone, Copy)]
struct Known<const N: usize> {
    codes: [u32; N],
    spans: Spans,
    /// The chunk that it was last seen in, and its number there.
    chunk: u32,
    number: u32,
}

impl<const N: usize> Default for Known<N> {
    fn default() -> Self {
        Self {
            codes: [NULL; N],
            spans: Spans::default(),
            chunk: 0,
            number: 0,
        }
    }
}

/// The pieces of one kind: those of this chunk, and those seen before by their JSON text.
pub(super) struct Pieces<const N: usize> {
    pub(super) table: Table<N>,
    /// By number, as far as they are remembered: the place in `memo`.
    places: Vec<Option<u32>>,
    memo: Memo<Known<N>>,
}

/// A piece, to be found again in later chunks.
#[derive(Clone, Copy)]
pub(super) struct Pin<const N: usize> {
    codes: [u32; N],
    /// The place in the memo, where another piece may stand by now.
    place: Option<u32>,
}

impl<const N: usize> Pieces<N> {
    pub(super) fn new() -> Self {
        Self {
            table: Table::new(),
            places: vec![None],
            memo: Memo::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.places.truncate(1);
    }

    /// Adds a piece to this chunk; returns its number.
    pub(super) fn add(&mut self, codes: [u32; N]) -> u32 {
        self.places.push(None);
        self.table.add(codes)
    }

    /// Returns what finds the piece of that number again; `None` for the piece that an event lacks.
    pub(super) fn pin(&self, number: u32) -> Option<Pin<N>> {
        (number != 0).then(|| Pin {
            codes: *self.table.get(number),
            place: self.places[number as usize],
        })
    }

    /// Returns the number of a piece in this chunk.
    pub(super) fn number(&mut self, pin: Option<&Pin<N>>, chunk: u32) -> u32 {
        let Some(pin) = pin else { return 0 };
        for place in pin.place.into_iter().flat_map(Memo::<Known<N>>::ways) {
            let known = self.memo.at(place);
            if known.codes == pin.codes {
                if known.chunk != chunk {
                    known.chunk = chunk;
                    known.number = self.table.add(pin.codes);
                    self.places.push(Some(place));
                }
                return known.number;
            }
        }
        self.add(pin.codes)
    }

    /// Returns the number of the piece that `json` spells, and its spans, if it is known.
    pub(super) fn find(&mut self, json: &str, chunk: u32) -> Option<(u32, Spans)> {
        let (place, known) = self.memo.get(json)?;
        if known.chunk != chunk {
            known.chunk = chunk;
            known.number = self.table.add(known.codes);
            self.places.push(Some(place));
        }
        Some((known.number, known.spans))
    }

    /// Adds a piece and remembers it; returns its number.
    pub(super) fn learn(&mut self, json: &str, codes: [u32; N], spans: Spans, chunk: u32) -> u32 {
        let number = self.table.add(codes);
        let known = Known {
            codes,
            spans,
            chunk,
            number,
        };
        self.places.push(self.memo.insert(json, known));
        number
    }
}
