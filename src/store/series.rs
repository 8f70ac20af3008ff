//! Fields as columns of Polars.

use std::sync::Arc;

use hashbrown::HashMap;
use polars::prelude::{
    BooleanChunked, ChunkTake, Column as Series, Float64Chunked, Int64Chunked, IntoSeries,
    NewChunkedArray, PlSmallStr, StringChunked, UInt32Chunked,
};

use super::field::Kind;
use super::filter::Rows;
use super::lane::Lane;
use super::{Field, Segment, StoreError};
use crate::frame::{Column, NULL, Vocabulary};

/// Returns one field of segments, of the rows that stand for `rows`, or of all.
///
/// Shape: texts are `String`, times microseconds as `Int64`, other numbers `Int64`; what is absent is null, and so is
/// the status of a request that has none.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn series(
    segments: &[Arc<Segment>],
    vocabulary: &Vocabulary,
    field: Field,
    rows: Option<Rows>,
) -> Result<Series, StoreError> {
    let name = PlSmallStr::from_static(field.name());
    let lanes = segments
        .iter()
        .map(|segment| Ok((&**segment, segment.lane(field, vocabulary)?)))
        .collect::<Result<Vec<_>, StoreError>>()?;
    let is_chosen = |segment: &Segment, at: usize| rows.is_none_or(|rows| segment.is(rows, at));
    let cells = || {
        lanes.iter().flat_map(move |(segment, lane)| {
            let indices = 0..segment.height();
            let chosen = indices.filter(move |&at| is_chosen(segment, at));
            chosen.map(move |row_idx| (lane, row_idx))
        })
    };
    let series = match field.kind() {
        Kind::Code | Kind::List => {
            // Each text is there once; rows have views of it.
            let mut texts: Vec<&str> = Vec::new();
            let mut places: HashMap<u32, u32> = HashMap::from([(NULL, NULL)]);
            let mut place = |code: u32| {
                *places.entry(code).or_insert_with(|| {
                    texts.push(vocabulary.text(code));
                    u32::try_from(texts.len() - 1).expect("codes have 32 bits")
                })
            };
            let mut chosen: Vec<Option<u32>> = Vec::new();
            for (segment, lane) in &lanes {
                let Lane::Codes(codes) = lane else {
                    unreachable!("codes are codes");
                };
                let codes = codes.map(&mut place);
                let indices = (0..segment.height()).filter(|&at| is_chosen(segment, at));
                chosen.extend(indices.map(|at| Some(codes[at]).filter(|&place| place != NULL)));
            }
            let chosen = UInt32Chunked::from_iter_options(PlSmallStr::EMPTY, chosen.into_iter());
            let texts = StringChunked::from_iter_values(name, texts.into_iter());
            // Checked: every place is one of a text.
            texts.take(&chosen).expect("places of texts").into_series()
        }
        Kind::Text => {
            let texts = cells().map(|(lane, row_idx)| match lane {
                Lane::Texts(texts) => Some(texts.get(row_idx)).filter(|text| !text.is_empty()),
                _ => unreachable!("texts are texts"),
            });
            StringChunked::from_iter_options(name, texts).into_series()
        }
        Kind::Time => {
            let times = cells().map(|(lane, row_idx)| match lane {
                Lane::Times(times) => Some(times[row_idx]).filter(|&time| time != 0),
                _ => unreachable!("times are times"),
            });
            Int64Chunked::from_iter_options(name, times).into_series()
        }
        Kind::Number => {
            let is_status = field == Column::Code.into();
            let numbers = cells().map(|(lane, row_idx)| match lane {
                Lane::Numbers(numbers) => {
                    Some(numbers[row_idx]).filter(|&number| !is_status || number != 0)
                }
                _ => unreachable!("numbers are numbers"),
            });
            Int64Chunked::from_iter_options(name, numbers).into_series()
        }
        Kind::Float => {
            let floats = cells().map(|(lane, row_idx)| match lane {
                Lane::Floats(floats) => Some(floats[row_idx]).filter(|float| !float.is_nan()),
                _ => unreachable!("fractions are fractions"),
            });
            Float64Chunked::from_iter_options(name, floats).into_series()
        }
        Kind::Flag => {
            let flags = cells().map(|(lane, row_idx)| match lane {
                Lane::Flags(flags) => Some(flags[row_idx]),
                _ => unreachable!("flags are flags"),
            });
            BooleanChunked::from_iter_options(name, flags).into_series()
        }
    };
    Ok(Series::from(series))
}
