//! Fields as columns of Polars.

use std::sync::Arc;

use polars::prelude::{
    BooleanChunked, Column as Series, Float64Chunked, Int64Chunked, IntoSeries, NewChunkedArray,
    PlSmallStr, StringChunked,
};

use super::field::Kind;
use super::filter::Rows;
use super::lane::Lane;
use super::{Field, Segment, StoreError};
use crate::frame::{Column, Vocabulary};

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
    let cells = || {
        lanes.iter().flat_map(move |(segment, lane)| {
            let indices = 0..segment.height();
            let chosen = indices.filter(move |&at| rows.is_none_or(|rows| segment.is(rows, at)));
            chosen.map(move |row_idx| (lane, row_idx))
        })
    };
    let series = match field.kind() {
        Kind::Code | Kind::List | Kind::Text => {
            let texts = cells().map(|(lane, row_idx)| match lane {
                Lane::Codes(codes) => vocabulary.text(codes[row_idx]),
                Lane::Texts(texts) => texts.get(row_idx),
                _ => unreachable!("texts are texts"),
            });
            let texts = texts.map(|text| Some(text).filter(|text| !text.is_empty()));
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
