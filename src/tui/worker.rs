//! Workers: threads that do jobs and send what came out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::card::{self, Progress, Sources};
use super::cells::{LABEL, Labels, label};
use super::clock::Clock;
use super::json::Tree;
use super::pivot::Place;
use super::results::Results;
use super::update::Event;
use super::view::answer::{line, measure};
use super::work::{Done, Job, Outcome, Task};
use crate::decode::{Wanted, unwrap};
use crate::frame::Column;
use crate::pipeline::Position;
use crate::query::{Cell, QueryError, Tables};
use crate::report::{RowFormat, RowWriter, Summary};
use crate::source::reread::{Reread, RereadError};
use crate::source::{InputFile, ReadOptions, SourceError};
use crate::store::filter::{Filter, Rows, Test};
use crate::store::histogram::Histogram;
use crate::store::{Field, Kind, Row, Snapshot, Store, facet::Facet};

/// What workers and the thread that reads the log share.
pub struct Desk {
    /// The events.
    pub store: RwLock<Store>,
    /// What was found.
    pub results: RwLock<Results>,
    /// How times are shown.
    pub clock: RwLock<Clock>,
    /// The files, by name.
    pub files: RwLock<BTreeMap<String, InputFile>>,
    /// How far reading has come.
    pub progress: RwLock<Progress>,
    /// How files are read.
    pub read: ReadOptions,
    /// What was not read, once all is.
    missing: Mutex<Option<Missing>>,
    /// Events on their way into the case, and the folder that they have there.
    unkept: Mutex<Option<(Store, PathBuf)>>,
    reread: Mutex<Reread>,
}

/// What was not read of a log, to be told when the screen is gone.
#[derive(Debug)]
pub struct Missing {
    /// What was read.
    pub summary: Arc<Summary>,
    /// Why files were not read, or not to their end.
    pub errors: Vec<SourceError>,
    /// Bytes read from files.
    pub read_bytes: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a thread that panics ends the program")
}

fn get<T: Clone>(lock: &RwLock<T>) -> T {
    lock.read()
        .expect("a thread that panics ends the program")
        .clone()
}

/// Puts a value in the place of another.
pub fn set<T>(lock: &RwLock<T>, value: T) {
    *lock.write().expect("a thread that panics ends the program") = value;
}

impl Desk {
    /// Returns a desk with nothing on it.
    pub fn new(store: Store, read: ReadOptions) -> Self {
        Self {
            store: RwLock::new(store),
            results: RwLock::default(),
            clock: RwLock::default(),
            files: RwLock::default(),
            progress: RwLock::default(),
            unkept: Mutex::default(),
            reread: Mutex::new(Reread::new(&read)),
            read,
            missing: Mutex::default(),
        }
    }

    /// Returns what was not read, once; also after a panic.
    pub fn missing(&self) -> Option<Missing> {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.take()
    }

    /// Notes what was not read.
    pub fn misses(&self, missing: Missing) {
        *lock(&self.missing) = Some(missing);
    }

    /// Returns how much is kept, and where.
    pub fn usage(&self) -> crate::store::Usage {
        get(&self.store).usage()
    }

    /// Notes how far reading has come, unless it is over.
    pub fn progressed(&self, position: Position) {
        let mut progress = self
            .progress
            .write()
            .expect("a thread that panics ends the program");
        if !progress.is_done {
            progress.read_bytes = position.read_bytes;
            progress.total_bytes = position.total_bytes;
        }
    }

    /// Notes that `store` goes to `folder`, of which the case does not know yet.
    pub fn keep(&self, store: Store, folder: PathBuf) {
        *lock(&self.unkept) = Some((store, folder));
    }

    /// Notes that the case knows of the folder.
    pub fn kept(&self) {
        *lock(&self.unkept) = None;
    }

    /// Removes what nobody will find: files for what had no room in memory, and what the case does not know of. No
    /// event can be read afterwards.
    ///
    /// Also does so after a panic, which may have come with any lock held.
    pub fn close(&self) {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        store.close();
        drop(store);
        let mut unkept = self.unkept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((store, folder)) = unkept.take() {
            store.close();
            // What is left goes when the case is opened again.
            let _ = std::fs::remove_dir_all(folder);
        }
    }

    fn snapshot(&self) -> Snapshot {
        get(&self.store).snapshot()
    }

    fn tables(&self) -> Tables {
        let results = get(&self.results);
        Tables {
            snapshot: self.snapshot(),
            findings: results.findings,
            credentials: results.credentials,
        }
    }

    /// Does jobs until nobody sends any; sends what comes out.
    pub fn work(&self, jobs: &Mutex<Receiver<Job>>, events: &Sender<Event>) {
        loop {
            let job = lock(jobs).recv();
            let Ok(job) = job else { return };
            // What nobody waits for is not begun.
            if job.stop.load(Ordering::Relaxed) {
                continue;
            }
            let result = self.task(job.task, &job.stop);
            let Some(result) = result.transpose() else {
                continue;
            };
            let number = job.number;
            if events.send(Event::Done(Done { number, result })).is_err() {
                return;
            }
        }
    }

    /// Does one job; nothing if it was stopped.
    ///
    /// # Errors
    /// In words, when it cannot be done.
    pub fn task(&self, task: Task, stop: &AtomicBool) -> Result<Option<Outcome>, String> {
        let words = |error: crate::store::StoreError| error.to_string();
        if let Some(path) = task.file()
            && path.exists()
        {
            return Ok(Some(Outcome::Taken(free(path, Path::exists))));
        }
        let outcome = match task {
            Task::Rows {
                filter,
                order,
                keep,
                seek,
            } => {
                let snapshot = self.snapshot();
                let Some(rows) = filter.apply(&snapshot, stop).map_err(words)? else {
                    return Ok(None);
                };
                let Some(rows) = order.apply(&snapshot, &rows, stop).map_err(words)? else {
                    return Ok(None);
                };
                let place = match (seek, keep) {
                    (Some(time), _) => Some(first_from(&snapshot, &rows, time)?),
                    (None, Some(row)) => rows.iter().position(|other| *other == row),
                    (None, None) => None,
                };
                Some(Outcome::Rows(rows.into(), place))
            }
            Task::Matches {
                rows,
                mut filter,
                pattern,
            } => {
                filter.tests.push(Test::Search(pattern));
                let found = filter.apply(&self.snapshot(), stop).map_err(words)?;
                found.map(|found| Outcome::Matches(places(&rows, &found)))
            }
            Task::Seek {
                answer,
                pattern,
                from,
                direction,
            } => {
                for row in direction.round(from, answer.height()) {
                    if stop.load(Ordering::Relaxed) {
                        return Ok(None);
                    }
                    if pattern.is_match(&line(&answer.row(row))) {
                        return Ok(Some(Outcome::Found(Some(row))));
                    }
                }
                Some(Outcome::Found(None))
            }
            Task::Histogram {
                filter,
                span,
                n_buckets,
            } => self
                .histogram(&filter, span, n_buckets, stop)?
                .map(Outcome::Histogram),
            Task::Facet { filter, field } => {
                let snapshot = self.snapshot();
                let Some(rows) = filter.apply(&snapshot, stop).map_err(words)? else {
                    return Ok(None);
                };
                let facet = Facet::count(&snapshot, &rows, field, stop).map_err(words)?;
                facet.map(Outcome::Facet)
            }
            Task::Cells {
                first,
                rows,
                fields,
            } => Some(Outcome::Cells(
                first,
                cells(&self.snapshot(), &rows, &fields)?,
            )),
            Task::Card(pivot) => {
                let (snapshot, results) = (self.snapshot(), get(&self.results));
                let sources = sources(&snapshot, &results, get(&self.clock));
                card::card(&pivot, &sources, stop)
                    .map_err(words)?
                    .map(Outcome::Page)
            }
            Task::Overview => {
                let (snapshot, results) = (self.snapshot(), get(&self.results));
                let sources = sources(&snapshot, &results, get(&self.clock));
                let progress = get(&self.progress);
                let page = card::overview(&sources, &progress, stop).map_err(words)?;
                page.map(Outcome::Page)
            }
            Task::Record(place, row) => {
                let tree = self.record(place, row, stop)?;
                tree.map(|tree| Outcome::Record(Box::new(tree)))
            }
            Task::Locate(place) => Some(Outcome::Located(locate(&self.snapshot(), &place, stop)?)),
            Task::Labels(places) => Some(Outcome::Labels(labels(&self.snapshot(), places, stop)?)),
            Task::Sql(sql) => self.ask(sql, Vec::new(), stop)?,
            Task::Question(question, given) => {
                let tables = self.tables();
                let span = tables.span().map_err(|error| error.to_string())?;
                let sql = question
                    .bind(&given, span)
                    .map_err(|error| error.to_string())?;
                let lacks = tables
                    .lacks(&question, &given, stop)
                    .map_err(|error| error.to_string())?;
                let mut outcome = self.ask(sql, lacks, stop)?;
                if let Some(Outcome::Answer {
                    answer, strangers, ..
                }) = &mut outcome
                    && answer.height() == 0
                {
                    match tables.strangers(&question, &given, stop) {
                        Ok(found) => strangers.extend(found.iter().map(ToString::to_string)),
                        Err(QueryError::Stopped) => return Ok(None),
                        Err(error) => return Err(error.to_string()),
                    }
                }
                outcome
            }
            Task::ExportRows { path, rows, fields } => {
                Some(self.export(&path, &rows, &fields, stop)?)
            }
            Task::ExportAnswer(path, answer) => {
                let names = answer.columns();
                let rows = (0..answer.height()).map(|row_idx| Ok(answer.row(row_idx)));
                Some(write(&path, &names, rows)?)
            }
            Task::ExportSql(path, sql) => match self.tables().ask(&sql, stop) {
                Ok(answer) => {
                    let rows = (0..answer.height()).map(|row_idx| Ok(answer.row(row_idx)));
                    Some(write(&path, &answer.columns(), rows)?)
                }
                Err(QueryError::Stopped) => None,
                Err(error) => return Err(error.to_string()),
            },
            Task::ExportText(path, text) => {
                let lines = text.lines().count() as u64;
                let written = create(&path).and_then(|mut out| {
                    out.write_all(text.as_bytes())?;
                    out.flush()
                });
                written.map_err(|error| unwritten(&path, &error))?;
                Some(Outcome::Written(path, lines))
            }
        };
        Ok(outcome)
    }

    fn histogram(
        &self,
        filter: &Filter,
        span: Option<(i64, i64)>,
        n_buckets: usize,
        stop: &AtomicBool,
    ) -> Result<Option<Histogram>, String> {
        let snapshot = self.snapshot();
        let words = |error: crate::store::StoreError| error.to_string();
        let Some(rows) = filter.apply(&snapshot, stop).map_err(words)? else {
            return Ok(None);
        };
        let span = match span {
            Some(span) => Some(span),
            None => snapshot.span().map_err(words)?,
        };
        let (from, to) = span.unwrap_or((0, 1));
        // The last event is within.
        Histogram::count(
            &snapshot,
            &rows,
            (from, to.saturating_add(1)),
            n_buckets,
            stop,
        )
        .map_err(words)
    }

    fn ask(
        &self,
        sql: String,
        lacks: Vec<String>,
        stop: &AtomicBool,
    ) -> Result<Option<Outcome>, String> {
        match self.tables().ask(&sql, stop) {
            Ok(answer) => Ok(Some(Outcome::Answer {
                measures: measure(&answer),
                answer: Box::new(answer),
                sql,
                lacks,
                strangers: Vec::new(),
            })),
            Err(QueryError::Stopped) => Ok(None),
            Err(error) => Err(match error.hint() {
                Some(hint) => format!("{error}; {hint}"),
                None => error.to_string(),
            }),
        }
    }

    /// Reads the JSON of an event again; of standard input it was kept.
    fn record(
        &self,
        place: Place,
        row: Option<Row>,
        stop: &AtomicBool,
    ) -> Result<Option<Tree>, String> {
        let snapshot = self.snapshot();
        let mut wanted = (place, String::new());
        if let Some(row) = row
            && let Some((segment, row_idx)) = snapshot.locate(row)
        {
            if let Some(record) = segment.record(row_idx) {
                return Ok(Some(Tree::of_record(&record)));
            }
            wanted = place_of(&snapshot, row)?;
        }
        let (place, stage) = wanted;
        let files = get(&self.files);
        let file = files
            .get(&place.file)
            .ok_or_else(|| format!("`{}` is not among the files that are read", place.file))?;
        let mut reread = lock(&self.reread);
        let record = match reread.record(file, place.offset, place.length, stop) {
            Ok(record) => record,
            Err(RereadError::Stopped { .. }) => return Ok(None),
            Err(error) => {
                let hint = error.hint();
                return Err(match hint {
                    Some(hint) => format!("{error}; {hint}"),
                    None => error.to_string(),
                });
            }
        };
        let header = reread.header(file).map_err(|error| error.to_string())?;
        drop(reread);
        let event = unwrap(
            &record,
            &Wanted {
                audit_id: &place.audit_id,
                stage: &stage,
                header: header.as_deref(),
                format: None,
            },
        );
        Ok(Some(Tree::of_record(&event)))
    }

    fn export(
        &self,
        path: &Path,
        rows: &[Row],
        fields: &[Field],
        stop: &AtomicBool,
    ) -> Result<Outcome, String> {
        /// Rows that are fetched at a time.
        const BLOCK: usize = 10_000;
        let snapshot = self.snapshot();
        let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
        let blocks = rows.chunks(BLOCK).flat_map(|block| {
            if stop.load(Ordering::Relaxed) {
                return vec![Err("stopped".to_owned())];
            }
            match cells(&snapshot, block, fields) {
                Ok(rows) => rows
                    .into_iter()
                    .map(|row| Ok(fields.iter().zip(row).map(typed).collect()))
                    .collect(),
                Err(error) => vec![Err(error)],
            }
        });
        write(path, &names, blocks)
    }
}

/// Returns the value of a field as a query gives it: numbers are numbers, and what is absent is null.
fn typed((field, text): (&Field, String)) -> Cell {
    match field.kind() {
        _ if text.is_empty() => Cell::Null,
        Kind::Code | Kind::List | Kind::Text => Cell::Text(text),
        Kind::Time => Cell::Time(text),
        Kind::Number if *field == Column::Code.into() && text == "0" => Cell::Null,
        Kind::Number => text.parse().map_or(Cell::Text(text), Cell::Integer),
        Kind::Float => text.parse().map_or(Cell::Text(text), Cell::Float),
        Kind::Flag => Cell::Flag(text == "true"),
    }
}

fn sources<'a>(snapshot: &'a Snapshot, results: &'a Results, clock: Clock) -> Sources<'a> {
    Sources {
        snapshot,
        results,
        clock,
    }
}

/// Returns the place of the first row that is not before `time`; rows are in the order of time.
fn first_from(snapshot: &Snapshot, rows: &[Row], time: i64) -> Result<usize, String> {
    let time_of = |row: Row| -> Result<i64, String> {
        let Some((segment, row_idx)) = snapshot.locate(row) else {
            return Ok(0);
        };
        let times = segment
            .times(&snapshot.vocabulary)
            .map_err(|error| error.to_string())?;
        Ok(times[row_idx])
    };
    let (mut low, mut high) = (0, rows.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        if time_of(rows[middle])? < time {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low.min(rows.len().saturating_sub(1)))
}

/// Returns the places in `rows` of those that are `found`, which is sorted.
fn places(rows: &[Row], found: &[Row]) -> Vec<u32> {
    let places = (0..).zip(rows);
    places
        .filter(|(_, row)| found.binary_search(row).is_ok())
        .map(|(place, _)| place)
        .collect()
}

/// Returns the values of rows, as people read them.
///
/// # Errors
/// In words, when a file cannot be read.
pub fn cells(
    snapshot: &Snapshot,
    rows: &[Row],
    fields: &[Field],
) -> Result<Vec<Vec<String>>, String> {
    let mut values: Vec<Vec<String>> = vec![Vec::new(); rows.len()];
    // Each segment is read once, whatever the order of the rows.
    let mut by_segment: BTreeMap<Row, Vec<usize>> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        if let Some((segment, _)) = snapshot.locate(*row) {
            by_segment.entry(segment.first).or_default().push(at);
        }
    }
    for (first, places) in by_segment {
        let Some((segment, _)) = snapshot.locate(first) else {
            continue;
        };
        let lanes = segment
            .lanes(fields, &snapshot.vocabulary)
            .map_err(|error| error.to_string())?;
        for at in places {
            let row_idx = (rows[at] - first) as usize;
            let shown = lanes
                .iter()
                .map(|lane| lane.show(row_idx, &snapshot.vocabulary).into_owned());
            values[at] = shown.collect();
        }
    }
    Ok(values)
}

/// Returns where a row stands, and its stage.
fn place_of(snapshot: &Snapshot, row: Row) -> Result<(Place, String), String> {
    let fields = [
        Column::File,
        Column::Line,
        Column::Offset,
        Column::Length,
        Column::AuditId,
        Column::Stage,
    ]
    .map(Field::from);
    let mut values = cells(snapshot, &[row], &fields)?
        .pop()
        .unwrap_or_default()
        .into_iter();
    let mut next = || values.next().unwrap_or_default();
    let (file, line, offset, length) = (next(), next(), next(), next());
    let place = Place {
        file,
        line: line.parse().unwrap_or(0),
        offset: offset.parse().unwrap_or(0),
        length: length.parse().unwrap_or(0),
        audit_id: next(),
    };
    Ok((place, next()))
}

/// Returns when and who did what in events, by their places; of those that are kept.
fn labels(
    snapshot: &Snapshot,
    places: Vec<(String, u64)>,
    stop: &AtomicBool,
) -> Result<Labels, String> {
    let mut labels = Labels::new();
    for (file, offset) in places {
        let place = Place {
            file,
            offset,
            ..Place::default()
        };
        let Some(row) = locate(snapshot, &place, stop)? else {
            continue;
        };
        let fields = LABEL.map(Field::from);
        let values = cells(snapshot, &[row], &fields)?.pop().unwrap_or_default();
        let mut values = values.iter().map(String::as_str);
        let what = label(LABEL.map(|_| values.next().unwrap_or_default()));
        let time = cells(snapshot, &[row], &[Column::StageTs.into()])?;
        let time = time.first().and_then(|values| values.first());
        let time = time.and_then(|time| chrono::DateTime::parse_from_rfc3339(time).ok());
        let time = time.map_or(0, |time| time.timestamp_micros());
        labels.insert((place.file, place.offset), (time, what));
    }
    Ok(labels)
}

/// Returns the row of a place.
fn locate(snapshot: &Snapshot, place: &Place, stop: &AtomicBool) -> Result<Option<Row>, String> {
    let filter = Filter {
        rows: Rows::Events,
        tests: vec![
            Test::Is(Column::File.into(), place.file.clone()),
            Test::Is(Column::Offset.into(), place.offset.to_string()),
        ],
    };
    let rows = filter
        .apply(snapshot, stop)
        .map_err(|error| error.to_string())?
        .unwrap_or_default();
    if rows.len() < 2 {
        return Ok(rows.first().copied());
    }
    // Several events of one record: the audit ID tells them apart.
    let ids = cells(snapshot, &rows, &[Column::AuditId.into()])?;
    let found = rows
        .iter()
        .zip(ids)
        .find(|(_, id)| id.first() == Some(&place.audit_id));
    Ok(found.map(|(row, _)| *row).or(rows.first().copied()))
}

/// Returns a name like that of `path` which is not taken: with the next number behind it.
pub fn free(path: &Path, is_taken: impl Fn(&Path) -> bool) -> PathBuf {
    let part =
        |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let (stem, end) = (part(path.file_stem()), part(path.extension()));
    let stem = match stem.rsplit_once('-') {
        Some((stem, number)) if number.parse::<u32>().is_ok() => stem,
        _ => &stem,
    };
    let mut numbered = (2..).map(|number| path.with_file_name(format!("{stem}-{number}.{end}")));
    let free = numbered.find(|path| !is_taken(path));
    free.expect("there are more numbers than files")
}

fn create(path: &Path) -> std::io::Result<BufWriter<File>> {
    // What is there already stays: nobody should lose a log to a slip of the fingers.
    let file = File::options().write(true).create_new(true).open(path)?;
    Ok(BufWriter::new(file))
}

fn unwritten(path: &Path, error: &std::io::Error) -> String {
    format!("cannot write `{}`: {error}", path.display())
}

/// Writes rows in the format that the name of the file asks for.
fn write(
    path: &Path,
    names: &[&str],
    rows: impl Iterator<Item = Result<Vec<Cell>, String>>,
) -> Result<Outcome, String> {
    let format = match path.extension().and_then(|end| end.to_str()) {
        Some("jsonl") => RowFormat::Jsonl,
        Some("md") => RowFormat::Markdown,
        _ => RowFormat::Csv,
    };
    let mut out = create(path).map_err(|error| unwritten(path, &error))?;
    let writer = RowWriter::new(format, names);
    writer
        .head(&mut out)
        .map_err(|error| unwritten(path, &error))?;
    let mut count = 0;
    for row in rows {
        writer
            .row(&row?, &mut out)
            .map_err(|error| unwritten(path, &error))?;
        count += 1;
    }
    out.flush().map_err(|error| unwritten(path, &error))?;
    Ok(Outcome::Written(path.to_owned(), count))
}
