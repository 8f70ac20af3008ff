//! Events in files: what does not fit in memory, and what a case keeps.
//!
//! A file holds the rows of one segment as Parquet, texts as texts (Parquet has a dictionary of its own), and is
//! read column by column. `rows.parquet` says of all rows which are events and which stand for requests: a file is
//! written once, and this may change as long as the log is read.

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use polars::prelude::{
    DataFrame, DataType, IntoSeries, ParquetCompression, ParquetReader, ParquetWriter, PlSmallStr,
    SerReader, UInt32Chunked,
};

use super::field::Kind;
use super::filter::Rows;
use super::lane::{Lane, Texts, derive, sources};
use super::series::series;
use super::{Field, Row, Segment, Snapshot, StoreError};
use crate::frame::{NULL, Vocabulary};

/// Name of the file that says what rows are.
const ROWS: &str = "rows.parquet";

/// Rows of a file, at most, unless one segment has more.
pub(super) const FILE_ROWS: usize = 1 << 18;

/// What `rows.parquet` says of a row.
const IS_EVENT: u32 = 1;
const IS_REQUEST: u32 = 2;

/// Returns what files hold: all but what follows from columns.
fn stored() -> impl Iterator<Item = Field> {
    Field::all().filter(|field| match field {
        Field::Column(_) => true,
        Field::Derived(derived) => sources(*derived).is_empty(),
    })
}

/// Writes segments that follow each other to one file in `folder`; returns the segment that takes their place.
///
/// # Errors
/// When it cannot be written, or they are in files that cannot be read.
pub(super) fn write(
    segments: &[Arc<Segment>],
    folder: &Path,
    vocabulary: &Vocabulary,
) -> Result<Segment, StoreError> {
    let first = segments.first().map_or(0, |segment| segment.first);
    let end = segments.last().map_or(first, |segment| segment.end());
    let path = file_of(folder, first);
    let columns = stored()
        .map(|field| series(segments, vocabulary, field, None))
        .collect::<Result<Vec<_>, _>>()?;
    let mut frame = DataFrame::new((end - first) as usize, columns)
        .expect("columns of one height with their own names");
    write_frame(&mut frame, &path)?;
    let segment = Segment::in_file(first, end - first, path);
    for old in segments {
        for row_idx in 0..old.height() {
            let at = (old.first - first) as usize + row_idx;
            if old.is(Rows::Events, row_idx) {
                segment.set_event(at);
            }
            segment.set_request(at, old.is(Rows::Requests, row_idx));
        }
    }
    Ok(segment)
}

fn file_of(folder: &Path, first: Row) -> PathBuf {
    folder.join(format!("events-{first:010}.parquet"))
}

fn write_frame(frame: &mut DataFrame, path: &Path) -> Result<(), StoreError> {
    let io = |cause| StoreError::Io {
        path: path.to_owned(),
        cause,
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io)?;
    }
    let file = File::create(path).map_err(io)?;
    ParquetWriter::new(file)
        .with_compression(ParquetCompression::Zstd(None))
        .finish(frame)
        .map_err(|cause| parquet(path, cause))?;
    Ok(())
}

fn parquet(path: &Path, cause: polars::error::PolarsError) -> StoreError {
    StoreError::Parquet {
        path: path.to_owned(),
        cause,
    }
}

/// Returns lanes of a file.
///
/// # Errors
/// When it cannot be read.
pub(super) fn lanes(
    path: &Path,
    fields: &[Field],
    vocabulary: &Vocabulary,
) -> Result<Vec<Lane<'static>>, StoreError> {
    let mut names: Vec<Field> = Vec::new();
    for field in fields {
        match field {
            Field::Derived(derived) if !sources(*derived).is_empty() => {
                names.extend(sources(*derived).iter().map(|&column| Field::from(column)));
            }
            field => names.push(*field),
        }
    }
    names.sort_unstable();
    names.dedup();
    let names: Vec<String> = names.iter().map(|field| field.name().to_owned()).collect();
    let frame = read(path, Some(names))?;
    let lane = |field: Field| stored_lane(&frame, field, vocabulary, path);
    fields
        .iter()
        .map(|&field| match field {
            Field::Derived(derived) if !sources(derived).is_empty() => {
                let lanes = sources(derived)
                    .iter()
                    .map(|&column| lane(column.into()))
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(derive(derived, &lanes, frame.height(), vocabulary))
            }
            field => lane(field),
        })
        .collect()
}

fn read(path: &Path, columns: Option<Vec<String>>) -> Result<DataFrame, StoreError> {
    let file = File::open(path).map_err(|cause| StoreError::Io {
        path: path.to_owned(),
        cause,
    })?;
    let reader = ParquetReader::new(file).with_columns(columns);
    let mut frame = reader.finish().map_err(|cause| parquet(path, cause))?;
    frame.rechunk_mut();
    Ok(frame)
}

fn stored_lane(
    frame: &DataFrame,
    field: Field,
    vocabulary: &Vocabulary,
    path: &Path,
) -> Result<Lane<'static>, StoreError> {
    let wrong = |cause| parquet(path, cause);
    let series = frame
        .column(field.name())
        .map_err(wrong)?
        .as_materialized_series()
        .clone();
    Ok(match field.kind() {
        Kind::Code | Kind::List => {
            // Neighbours are often alike, and a look-up in the dictionary costs more than a comparison.
            let texts = series.str().map_err(wrong)?;
            let mut last = ("", NULL);
            let codes = texts.iter().map(|text| {
                let text = text.unwrap_or_default();
                if text != last.0 {
                    last = (text, vocabulary.code(text));
                }
                last.1
            });
            Lane::Codes(Cow::Owned(codes.collect()))
        }
        Kind::Text => Lane::Texts(Texts::File(series.str().map_err(wrong)?.clone())),
        Kind::Time => {
            let times = series.i64().map_err(wrong)?;
            let times = times.iter().map(Option::unwrap_or_default);
            Lane::Times(Cow::Owned(times.collect()))
        }
        Kind::Number => {
            let numbers = series.i64().map_err(wrong)?;
            Lane::Numbers(numbers.iter().map(Option::unwrap_or_default).collect())
        }
        Kind::Float => {
            let floats = series.f64().map_err(wrong)?;
            let floats = floats.iter().map(|float| float.unwrap_or(f64::NAN));
            Lane::Floats(floats.collect())
        }
        Kind::Flag => {
            let flags = series.bool().map_err(wrong)?;
            Lane::Flags(flags.iter().map(Option::unwrap_or_default).collect())
        }
    })
}

/// Writes what is in memory to files in `folder`, and what all rows are.
///
/// # Errors
/// When something cannot be written.
pub(super) fn save(snapshot: &Snapshot, folder: &Path) -> Result<(), StoreError> {
    let in_memory: Vec<Arc<Segment>> = snapshot
        .segments
        .iter()
        .filter(|segment| segment.file().is_none())
        .cloned()
        .collect();
    for group in groups(&in_memory) {
        write(group, folder, &snapshot.vocabulary)?;
    }
    let mut states = Vec::with_capacity(snapshot.height() as usize);
    for segment in &*snapshot.segments {
        for row_idx in 0..segment.height() {
            let event = u32::from(segment.is(Rows::Events, row_idx)) * IS_EVENT;
            let request = u32::from(segment.is(Rows::Requests, row_idx)) * IS_REQUEST;
            states.push(event | request);
        }
    }
    // Polars has no smaller numbers without features of their own.
    let column = UInt32Chunked::from_vec(PlSmallStr::from_static("state"), states);
    let mut frame = column.into_series().into_frame();
    write_frame(&mut frame, &folder.join(ROWS))
}

/// Returns runs of segments, each with the rows of one file.
pub(super) fn groups(segments: &[Arc<Segment>]) -> impl Iterator<Item = &[Arc<Segment>]> {
    let mut rest = segments;
    std::iter::from_fn(move || {
        let first = rest.first()?.first as usize;
        let fitting = rest
            .iter()
            .take_while(|segment| segment.end() as usize - first <= FILE_ROWS)
            .count()
            .max(1);
        let (group, others) = rest.split_at(fitting);
        rest = others;
        Some(group)
    })
}

/// Returns the segments of a folder that [`save`] wrote.
///
/// # Errors
/// When a file is missing or cannot be read.
pub(super) fn open(folder: &Path) -> Result<Vec<Segment>, StoreError> {
    let states = read(&folder.join(ROWS), None)?;
    let wrong = |cause| parquet(&folder.join(ROWS), cause);
    let states = states.column("state").map_err(wrong)?;
    let states = states.cast(&DataType::UInt32).map_err(wrong)?;
    let states: Vec<u32> = states
        .as_materialized_series()
        .u32()
        .map_err(wrong)?
        .into_no_null_iter()
        .collect();
    let io = |cause| StoreError::Io {
        path: folder.to_owned(),
        cause,
    };
    let mut firsts: Vec<Row> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let number = name.to_str().and_then(|name| {
            let name = name.strip_prefix("events-")?;
            name.strip_suffix(".parquet")?.parse::<Row>().ok()
        });
        firsts.extend(number);
    }
    firsts.sort_unstable();
    let height = Row::try_from(states.len()).map_err(|_| StoreError::TooMany)?;
    let ends = firsts.iter().skip(1).copied().chain([height]);
    let segments = firsts.iter().zip(ends).map(|(&first, end)| {
        let segment = Segment::in_file(first, end - first, file_of(folder, first));
        for (row_idx, state) in states[first as usize..end as usize].iter().enumerate() {
            if state & IS_EVENT != 0 {
                segment.set_event(row_idx);
            }
            segment.set_request(row_idx, state & IS_REQUEST != 0);
        }
        segment
    });
    Ok(segments.collect())
}
