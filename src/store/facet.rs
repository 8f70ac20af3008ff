//! Facets: how often each value of a field occurs among some rows.
//!
//! Texts are counted where they stand, and only those that a facet holds in the end are copied. The tables of a share
//! are divided by hash, so that each thread joins one of every share for itself.

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use rayon::prelude::*;

use super::field::Kind;
use super::lane::{Codes, Lane, Texts};
use super::{Field, Row, Segment, Snapshot, StoreError, shares};
use crate::frame::vocabulary::parse_list;
use crate::frame::{Column, NULL, Vocabulary};

/// How many distinct values a facet holds; the rest is counted together.
pub const VALUES: usize = 10_000;

/// Into how many tables texts are divided.
const TABLES: usize = 16;

/// The values of a field and how often they occur.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facet {
    /// Values, the most frequent first, then by text; the empty text is null.
    pub values: Vec<(String, u64)>,
    /// Distinct values.
    pub distinct: usize,
    /// Rows of values past [`VALUES`].
    pub others: u64,
    /// Rows. A row with a list counts for each of its elements, so the counts of a list may sum to more.
    pub rows: u64,
}

impl Facet {
    /// Counts values, as they stand, of so many rows.
    pub fn of_values<'v>(values: impl Iterator<Item = &'v str>, rows: u64) -> Self {
        let mut counts: HashMap<&str, u64> = HashMap::new();
        for value in values {
            *counts.entry(value).or_default() += 1;
        }
        let counts = counts.into_iter();
        let counts = counts.map(|(text, count)| (Cow::Borrowed(text), count));
        Self::of(vec![Part::of(counts.collect())], rows)
    }

    /// Counts the values of `field` among `rows`, which are sorted; nothing if it was stopped.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn count(
        snapshot: &Snapshot,
        rows: &[Row],
        field: Field,
        stop: &AtomicBool,
    ) -> Result<Option<Self>, StoreError> {
        let vocabulary = &snapshot.vocabulary;
        let hasher = DefaultHashBuilder::default();
        let counts = shares(&by_segment(snapshot, rows))
            .map(|parts| {
                let mut counts = Counts::new(&hasher);
                for (segment, rows) in parts {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let lane = segment.lane(field, vocabulary)?;
                    counts.add(&lane, field, segment.first, rows, vocabulary);
                }
                Ok(counts)
            })
            .collect::<Result<Vec<Counts<'_>>, StoreError>>()?;
        let parts = join(counts, &hasher, field, vocabulary, stop);
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        Ok(Some(Self::of(parts, rows.len() as u64)))
    }

    /// Puts parts together that have no value in common.
    fn of(parts: Vec<Part<'_>>, rows: u64) -> Self {
        let distinct = parts.iter().map(|part| part.distinct).sum();
        let others: u64 = parts.iter().map(|part| part.others).sum();
        let all = Part::of(parts.into_iter().flat_map(|part| part.values).collect());
        let mut values = all.values;
        values.sort_unstable_by(by_count);
        let values = values.into_iter();
        Self {
            values: values
                .map(|(text, count)| (text.into_owned(), count))
                .collect(),
            distinct,
            others: others + all.others,
            rows,
        }
    }
}

/// Returns the segments that hold some of `rows`, which are sorted, each with its rows.
pub(crate) fn by_segment<'s, 'r>(
    snapshot: &'s Snapshot,
    rows: &'r [Row],
) -> Vec<(&'s Segment, &'r [Row])> {
    let mut rest = rows;
    let mut parts = Vec::new();
    for segment in &*snapshot.segments {
        let end = rest.partition_point(|&row| row < segment.end());
        let (of_segment, others) = rest.split_at(end);
        if !of_segment.is_empty() {
            parts.push((&**segment, of_segment));
        }
        rest = others;
    }
    parts
}

/// A text, and how often it was seen.
struct Counted<'s> {
    hash: u64,
    text: Cow<'s, str>,
    count: u64,
}

type Table<'s> = HashTable<Counted<'s>>;

/// Makes a text last for which nothing else does.
fn owned<'s>(text: &str) -> Cow<'s, str> {
    Cow::Owned(text.to_owned())
}

/// Counts what is there already, and puts in what is not.
fn add<'s>(table: &mut Table<'s>, counted: Counted<'s>) {
    let hash = counted.hash;
    let is_same = |other: &Counted<'_>| other.hash == hash && other.text == counted.text;
    match table.entry(hash, is_same, |counted| counted.hash) {
        Entry::Occupied(mut known) => known.get_mut().count += counted.count,
        Entry::Vacant(free) => {
            free.insert(counted);
        }
    }
}

/// Returns which table a text is in: by other bits of its hash than those that are its place there.
fn table_of(hash: u64) -> usize {
    (hash >> 40) as usize % TABLES
}

/// What a share of the segments comes to.
struct Counts<'s> {
    hasher: &'s DefaultHashBuilder,
    codes: HashMap<u32, u64>,
    texts: [Table<'s>; TABLES],
}

impl<'s> Counts<'s> {
    fn new(hasher: &'s DefaultHashBuilder) -> Self {
        Self {
            hasher,
            codes: HashMap::new(),
            texts: std::array::from_fn(|_| HashTable::new()),
        }
    }

    fn add(
        &mut self,
        lane: &Lane<'s>,
        field: Field,
        first: Row,
        rows: &[Row],
        vocabulary: &Vocabulary,
    ) {
        let indices = rows.iter().map(|row| (row - first) as usize);
        match lane {
            Lane::Codes(Codes::Rows(codes)) => {
                for row_idx in indices {
                    *self.codes.entry(codes[row_idx]).or_default() += 1;
                }
            }
            Lane::Codes(Codes::Pieces { codes, numbers }) => {
                let mut by_piece = vec![0; codes.len()];
                for row_idx in indices {
                    by_piece[numbers[row_idx] as usize] += 1;
                }
                for (code, count) in codes.iter().zip(by_piece).filter(|(_, count)| *count > 0) {
                    *self.codes.entry(*code).or_default() += count;
                }
            }
            Lane::Texts(Texts::Frame(texts)) => {
                self.add_texts(indices.map(|row_idx| texts.get(row_idx)), Cow::Borrowed);
            }
            // What was read from a file goes with its lane.
            Lane::Texts(texts) => {
                self.add_texts(indices.map(|row_idx| texts.get(row_idx)), owned);
            }
            // Each value is written once.
            Lane::Times(_) | Lane::Numbers(_) | Lane::Floats(_) | Lane::Flags(_) => {
                let mut counts: HashMap<u64, (usize, u64)> = HashMap::new();
                for row_idx in indices {
                    let (_, count) = counts.entry(lane.bits(row_idx)).or_insert((row_idx, 0));
                    *count += 1;
                }
                for (row_idx, count) in counts.into_values() {
                    let text = match lane.show(row_idx, vocabulary) {
                        // No status is kept as 0.
                        text if field == Column::Code.into() && text == "0" => Cow::Borrowed(""),
                        text => text,
                    };
                    self.add_text(&text, count, owned);
                }
            }
        }
    }

    fn add_texts<'t>(
        &mut self,
        texts: impl Iterator<Item = &'t str>,
        keep: impl Fn(&'t str) -> Cow<'s, str>,
    ) {
        let mut nulls = 0;
        for text in texts {
            match text {
                "" => nulls += 1,
                text => self.add_text(text, 1, &keep),
            }
        }
        if nulls > 0 {
            self.add_text("", nulls, owned);
        }
    }

    /// Counts a text; `keep` makes a new one last.
    fn add_text<'t>(
        &mut self,
        text: &'t str,
        count: u64,
        keep: impl FnOnce(&'t str) -> Cow<'s, str>,
    ) {
        let hash = self.hasher.hash_one(text);
        let is_same = |other: &Counted<'_>| other.hash == hash && other.text == text;
        match self.texts[table_of(hash)].entry(hash, is_same, |known| known.hash) {
            Entry::Occupied(mut known) => known.get_mut().count += count,
            Entry::Vacant(free) => {
                let text = keep(text);
                free.insert(Counted { hash, text, count });
            }
        }
    }
}

/// Joins what the shares came to, a part for each number of a table; of no use if it was stopped.
fn join<'s>(
    shares: Vec<Counts<'s>>,
    hasher: &'s DefaultHashBuilder,
    field: Field,
    vocabulary: &'s Vocabulary,
    stop: &AtomicBool,
) -> Vec<Part<'s>> {
    let mut codes: HashMap<u32, u64> = HashMap::new();
    let mut by_number: [Vec<Table<'s>>; TABLES] = std::array::from_fn(|_| Vec::new());
    let mut of_codes = Counts::new(hasher);
    for share in shares {
        for (code, count) in share.codes {
            *codes.entry(code).or_default() += count;
        }
        for (tables, table) in by_number.iter_mut().zip(share.texts) {
            tables.push(table);
        }
    }
    for (code, count) in codes {
        let elements = match field.kind() {
            Kind::List if code != NULL => parse_list(vocabulary.text(code)),
            _ => vec![vocabulary.text(code).into()],
        };
        for element in elements {
            of_codes.add_text(&element, count, owned);
        }
    }
    for (tables, table) in by_number.iter_mut().zip(of_codes.texts) {
        tables.push(table);
    }
    let joined = by_number.into_par_iter().map(|mut tables| {
        tables.sort_by_key(HashTable::len);
        // The smaller ones go into the largest.
        let mut all = tables.pop().unwrap_or_default();
        for counted in tables.into_iter().flatten() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            add(&mut all, counted);
        }
        let values = all.into_iter();
        Part::of(
            values
                .map(|counted| (counted.text, counted.count))
                .collect(),
        )
    });
    joined.collect()
}

/// Some of the values of a facet.
struct Part<'s> {
    /// The first [`VALUES`] of them, in no order.
    values: Vec<(Cow<'s, str>, u64)>,
    distinct: usize,
    /// Rows of the others.
    others: u64,
}

impl<'s> Part<'s> {
    fn of(mut values: Vec<(Cow<'s, str>, u64)>) -> Self {
        let distinct = values.len();
        if distinct > VALUES {
            values.select_nth_unstable_by(VALUES, by_count);
        }
        let others = values.iter().skip(VALUES).map(|(_, count)| count).sum();
        values.truncate(VALUES);
        Self {
            values,
            distinct,
            others,
        }
    }
}

/// The most frequent first, then by text.
fn by_count(a: &(Cow<'_, str>, u64), b: &(Cow<'_, str>, u64)) -> std::cmp::Ordering {
    b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred values occur once, a hundred twice, and so on.
    #[test]
    fn what_is_too_much_is_counted_together() {
        let more = 300;
        let texts: Vec<String> = (0..VALUES + more).map(|at| format!("{at:05}")).collect();
        let values = |at: usize| std::iter::repeat_n(texts[at].as_str(), at / 100 + 1);
        let rows: usize = (0..texts.len()).map(|at| at / 100 + 1).sum();
        let facet = Facet::of_values((0..texts.len()).flat_map(values), rows as u64);
        assert_eq!(
            (facet.distinct, facet.values.len()),
            (VALUES + more, VALUES)
        );
        assert_eq!(facet.values[0], ("10200".to_owned(), 103));
        assert!(facet.values.is_sorted_by(|a, b| (b.1, &a.0) < (a.1, &b.0)));
        // The three hundred least are those of one to three rows.
        assert_eq!(facet.others, 100 + 200 + 300);
        let shown: u64 = facet.values.iter().map(|(_, count)| count).sum();
        assert_eq!(shown + facet.others, facet.rows);

        // Parts come to the same as the whole.
        let part = |numbers: std::ops::Range<usize>| {
            let counted = numbers.map(|at| (Cow::Borrowed(&*texts[at]), at as u64 / 100 + 1));
            Part::of(counted.collect())
        };
        let parts = vec![
            part(0..texts.len() - 70),
            part(texts.len() - 70..texts.len()),
        ];
        assert_eq!(Facet::of(parts, rows as u64), facet);
    }
}
