//! Events in files: what does not fit in memory, and what a case keeps.
//!
//! A file holds the rows of one segment as Parquet, texts as texts (Parquet has a dictionary of its own), and is
//! read column by column. `rows.parquet` says of all rows which are events and which stand for requests: a file is
//! written once, and this may change as long as the log is read. `sums` is written last and names the files with a
//! hash of their bytes: a folder without it is of no use, and a damaged file is noticed before it is shown.
//!
//! Logs tell secrets: only the user who reads them may read these files.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use polars::prelude::{
    BooleanChunked, DataFrame, IntoSeries, NewChunkedArray, PlSmallStr, StringChunked,
};
use polars_io::SerReader;
use polars_io::parquet::read::ParquetReader;
use polars_io::parquet::write::{ParquetCompression, ParquetWriter};
use xxhash_rust::xxh3::Xxh3;

use super::field::Kind;
use super::filter::Rows;
use super::lane::{Codes, Lane, Texts, derive, sources};
use super::series::series;
use super::{Field, Row, Segment, Snapshot, StoreError};
use crate::frame::{NULL, Vocabulary};
use crate::private;

/// Name of the file that says what rows are.
const ROWS: &str = "rows.parquet";

/// Name of the file with the hashes of the others.
const SUMS: &str = "sums";

/// Name of the column with events as JSON, which only some files have.
const RECORD: &str = "_record";

/// Rows of a file, at most, unless one segment has more.
pub(super) const FILE_ROWS: usize = 1 << 18;

/// What `rows.parquet` says of a row, by column.
const STATES: [(&str, Rows); 2] = [("is_event", Rows::Events), ("is_request", Rows::Requests)];

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
    let mut columns = stored()
        .map(|field| series(segments, vocabulary, field, None))
        .collect::<Result<Vec<_>, _>>()?;
    // Standard input cannot be read again.
    if segments.iter().any(|segment| segment.record(0).is_some()) {
        let places = segments
            .iter()
            .flat_map(|segment| (0..segment.height()).map(move |row_idx| (segment, row_idx)));
        let records = places.map(|(segment, row_idx)| segment.record(row_idx));
        let records = StringChunked::from_iter_options(PlSmallStr::from_static(RECORD), records);
        columns.push(records.into_series().into());
    }
    let mut frame = DataFrame::new((end - first) as usize, columns)
        .expect("columns of one height with their own names");
    write_frame(&mut frame, &path)?;
    let segment = Segment::in_file(first, end - first, path);
    segment.take_over(segments.iter().map(|segment| &**segment));
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
    let file = create(path).map_err(io)?;
    ParquetWriter::new(file)
        .with_compression(ParquetCompression::Zstd(None))
        .finish(frame)
        .map_err(|cause| parquet(path, cause))?;
    Ok(())
}

/// Creates a file, and its folder if it is not there, for this user alone.
fn create(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        private::create_folder(folder)?;
    }
    let mut file = OpenOptions::new();
    file.write(true).create(true).truncate(true);
    private::file(&mut file).open(path)
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

/// Returns the JSON of a row, if the file has it.
pub(super) fn record(path: &Path, row_idx: usize) -> Option<String> {
    let reader = ParquetReader::new(File::open(path).ok()?)
        .with_columns(Some(vec![RECORD.to_owned()]))
        .with_slice(Some((row_idx, 1)));
    let frame = reader.finish().ok()?;
    let records = frame.column(RECORD).ok()?.str().ok()?;
    records.get(0).map(str::to_owned)
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
            Lane::Codes(Codes::Rows(codes.collect()))
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

/// Writes what is in memory to files in `folder`, and what all rows are; stops when `is_closed` is set.
///
/// # Errors
/// When something cannot be written.
pub(super) fn save(
    snapshot: &Snapshot,
    folder: &Path,
    is_closed: &AtomicBool,
) -> Result<(), StoreError> {
    let in_memory: Vec<Arc<Segment>> = snapshot
        .segments
        .iter()
        .filter(|segment| segment.file().is_none())
        .cloned()
        .collect();
    for group in groups(&in_memory) {
        if is_closed.load(Ordering::Relaxed) {
            let cause = std::io::ErrorKind::Interrupted.into();
            let path = folder.to_owned();
            return Err(StoreError::Io { path, cause });
        }
        write(group, folder, &snapshot.vocabulary)?;
    }
    // Flags, since bytes are no type that this Polars has.
    let flags = STATES.map(|(name, rows)| {
        let segments = snapshot.segments.iter();
        let flags = segments.flat_map(|segment| {
            (0..segment.height()).map(move |row_idx| segment.is(rows, row_idx))
        });
        let flags = BooleanChunked::from_iter_values(PlSmallStr::from_static(name), flags);
        flags.into_series().into()
    });
    let mut frame = DataFrame::new(snapshot.height() as usize, flags.to_vec())
        .expect("columns of one height with their own names");
    write_frame(&mut frame, &folder.join(ROWS))?;
    let path = folder.join(SUMS);
    let mut text = String::new();
    for (name, sum) in sums(folder)? {
        let _ = writeln!(text, "{sum:016x} {name}");
    }
    create(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|cause| StoreError::Io { path, cause })
}

/// Returns a hash of each Parquet file of a folder, by its name.
fn sums(folder: &Path) -> Result<BTreeMap<String, u64>, StoreError> {
    let io = |path: &Path, cause| StoreError::Io {
        path: path.to_owned(),
        cause,
    };
    let mut sums = BTreeMap::new();
    let mut buffer = vec![0; 1 << 16];
    for entry in std::fs::read_dir(folder).map_err(|cause| io(folder, cause))? {
        let entry = entry.map_err(|cause| io(folder, cause))?;
        let path = entry.path();
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if !name.ends_with(".parquet") {
            continue;
        }
        let mut hasher = Xxh3::new();
        let mut file = File::open(&path).map_err(|cause| io(&path, cause))?;
        loop {
            match file.read(&mut buffer).map_err(|cause| io(&path, cause))? {
                0 => break,
                length => hasher.update(&buffer[..length]),
            }
        }
        sums.insert(name, hasher.digest());
    }
    Ok(sums)
}

/// Checks that the files of a folder are those that [`save`] left there.
fn check(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join(SUMS);
    let text = std::fs::read_to_string(&path).map_err(|cause| StoreError::Io { path, cause })?;
    let mut found = sums(folder)?;
    for line in text.lines() {
        let Some((sum, name)) = line.split_once(' ') else {
            continue;
        };
        if found.remove(name) != u64::from_str_radix(sum, 16).ok() {
            return Err(StoreError::Damaged {
                path: folder.join(name),
            });
        }
    }
    match found.pop_first() {
        None => Ok(()),
        Some((name, _)) => Err(StoreError::Damaged {
            path: folder.join(name),
        }),
    }
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
    check(folder)?;
    let states = read(&folder.join(ROWS), None)?;
    let wrong = |cause| parquet(&folder.join(ROWS), cause);
    let mut flags = Vec::with_capacity(STATES.len());
    for (name, _) in STATES {
        let column = states.column(name).map_err(wrong)?;
        flags.push(column.bool().map_err(wrong)?);
    }
    let is = |state: usize, row: usize| flags[state].get(row) == Some(true);
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
    let height = Row::try_from(states.height()).map_err(|_cause| StoreError::TooMany)?;
    // The hashes are right: so is this, unless somebody made them up.
    let is_whole = match (firsts.first(), firsts.last()) {
        (Some(first), Some(last)) => *first == 0 && *last < height,
        _ => height == 0,
    };
    if !is_whole {
        let path = folder.join(ROWS);
        return Err(StoreError::Damaged { path });
    }
    let ends = firsts.iter().skip(1).copied().chain([height]);
    let segments = firsts.iter().zip(ends).map(|(&first, end)| {
        let segment = Segment::in_file(first, end - first, file_of(folder, first));
        for row_idx in 0..segment.height() {
            let row = first as usize + row_idx;
            if is(0, row) {
                segment.set_event(row_idx);
            }
            segment.set_request(row_idx, is(1, row));
        }
        segment
    });
    Ok(segments.collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use foldhash::quality::SeedableRandomState;

    use super::*;
    use crate::decode::decode;
    use crate::frame::coder::CodedEvent;
    use crate::frame::{Coder, Column, EventColumns, Place};
    use crate::store::filter::{Filter, Test};
    use crate::store::sort::Order;
    use crate::store::{Fate, Limits, Store};

    /// Pushes segments of a few events, all of one request each: received, complete, and the latter once more.
    fn fill(store: &Store) {
        let hasher = SeedableRandomState::default();
        let mut coder = Some(Coder::new(store.vocabulary()));
        for segment in 0..3 {
            let given = coder.take().unwrap();
            let mut columns = EventColumns::new(&hasher, given, "audit.log", None);
            for request in 0..100 {
                for stage in ["RequestReceived", "ResponseComplete", "ResponseComplete"] {
                    let text = format!(
                        r#"{{"auditID":"{segment}-{request}","stage":"{stage}","verb":"get","user":{{"username":"u{}","groups":["all","g{}"]}},"objectRef":{{"resource":"pods","name":"p{}"}},"stageTimestamp":"2026-11-22T04:{:02}:27.650970Z"}}"#,
                        request % 7,
                        request % 3,
                        request % 11,
                        (request * 37 + segment) % 60,
                    );
                    let mut event = CodedEvent::default();
                    decode(&text, columns.coder(), &mut event).unwrap();
                    columns.push(&event, &text, &Place::default());
                }
            }
            let (frame, used) = columns.finish(String::new());
            coder = Some(used);
            let fates = [Fate::Open, Fate::Final, Fate::Duplicate]
                .into_iter()
                .cycle();
            let fates: Vec<Fate> = fates.take(frame.height()).collect();
            store.push(&frame, Vec::new(), &fates);
        }
    }

    /// Asks both stores the same; rows of the answers.
    fn check(kept: &Store, opened: &Store, tests: &[Test], field: Column) -> usize {
        let ask = |store: &Store, rows: Rows, is_descending: bool| {
            let (snapshot, stop) = (store.snapshot(), AtomicBool::new(false));
            let filter = Filter {
                rows,
                tests: tests.to_vec(),
            };
            let rows = filter.apply(&snapshot, &stop).unwrap().unwrap();
            let order = Order {
                field: field.into(),
                is_descending,
            };
            let facet = crate::store::facet::Facet::count(&snapshot, &rows, field.into(), &stop);
            let order = order.apply(&snapshot, &rows, &stop).unwrap().unwrap();
            (facet.unwrap().unwrap(), order)
        };
        let mut rows = 0;
        for kind in [Rows::Events, Rows::Requests] {
            for is_descending in [false, true] {
                let ours = ask(kept, kind, is_descending);
                assert_eq!(ask(opened, kind, is_descending), ours);
                rows = ours.1.len();
            }
        }
        rows
    }

    #[test]
    fn what_is_saved_and_opened_answers_as_what_is_in_memory() {
        let kept = Store::new(&crate::frame::Vocabulary::new(), Limits::default());
        fill(&kept);
        let folder = tempfile::tempdir().unwrap();
        kept.save(folder.path()).unwrap();
        let opened = Store::open(folder.path(), Limits::default()).unwrap();
        assert_eq!(
            opened.snapshot().span().unwrap(),
            kept.snapshot().span().unwrap()
        );
        let is = |column: Column, value: &str| Test::Is(column.into(), value.to_owned());
        let is_not = |column: Column, value: &str| Test::IsNot(column.into(), value.to_owned());
        let pattern = || regex::Regex::new("p1").unwrap();
        let (from, to) = kept.snapshot().span().unwrap().unwrap();
        let middle = i64::midpoint(from, to);
        for (tests, some) in [
            (vec![], true),
            (vec![is(Column::Username, "u3")], true),
            (vec![is(Column::Username, "nobody")], false),
            (
                vec![is(Column::UserGroups, "g1"), is_not(Column::Name, "p1")],
                true,
            ),
            (vec![is(Column::ApiGroup, "")], true),
            (vec![is_not(Column::ApiGroup, "")], false),
            (vec![Test::Search(pattern())], true),
            (
                vec![Test::SearchNot(pattern()), is_not(Column::Username, "u0")],
                true,
            ),
            (vec![Test::Time(from, middle)], true),
            (vec![Test::Time(from, to + 1)], true),
            (vec![Test::Time(to + 1, to + 2)], false),
            (vec![Test::Among([1, 4, 301, 899].into())], true),
        ] {
            for field in [
                Column::Username,
                Column::UserGroups,
                Column::Name,
                Column::StageTs,
            ] {
                assert_eq!(check(&kept, &opened, &tests, field) > 0, some, "{tests:?}");
            }
        }
    }
}
