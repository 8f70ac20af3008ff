//! Queries: SQL over what was read.
//!
//! Comes in: kept events, findings and credentials. Goes out: an [`Answer`], rows of named columns. Polars is the
//! engine (<https://docs.pola.rs/api/python/stable/reference/sql/>); the tables are `events`, `requests`, `findings` and
//! `credentials`, and only those columns are built that a query names. Questions are queries that are kept, with
//! parameters and with what a log must hold to answer them ([`question`]).

pub mod bind;
pub mod question;
mod stranger;
mod tables;

use std::cell::Cell as Shared;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use polars::error::{PolarsError, PolarsWarning, set_warning_function};
use polars::prelude::{AnyValue, DataFrame, DataType, InProcessQuery, LazyFrame, TimeUnit};
use polars::sql::{SQLContext, extract_table_identifiers};

use crate::finding::Finding;
use crate::finding::credential::Credential;
use crate::store::{Snapshot, time_text};
pub use question::{Question, Questions};
pub use stranger::Stranger;
pub use tables::{AS_LIST, TABLES, TableColumn};

/// What can be asked of.
#[derive(Clone)]
pub struct Tables {
    /// The events.
    pub snapshot: Snapshot,
    /// The findings.
    pub findings: Arc<[Finding]>,
    /// The credentials.
    pub credentials: Arc<[Credential]>,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Polars refused it.
    #[error("{}", plain(.0))]
    Sql(#[from] PolarsError),
    /// The condition of a join is on one of its tables alone, and has a column that the other one lacks.
    #[error("a JOIN cannot ask for `{0}`, which is no column of all the tables that it joins")]
    Joined(String),
    /// A text is taken for a list.
    #[error("`= ANY(...)` looks into a list, and no column is one: lists are JSON text here")]
    NoList,
    /// Nothing but questions may be asked.
    #[error("`{0}` is not a query: only SELECT, WITH, SHOW TABLES and EXPLAIN are")]
    NotAQuery(String),
    /// A column has several values a row.
    #[error("`{0}` has several values in one row: it is neither grouped by nor summed up")]
    List(String),
    /// It was stopped.
    #[error("stopped")]
    Stopped,
}

impl QueryError {
    /// Returns what to try.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Sql(error) => {
                let text = error.to_string();
                let is_said = |(words, _): &&(&str, &str)| text.contains(words);
                match (nearest_column(&text), HINTS.iter().find(is_said)) {
                    (Some(column), _) => format!("did you mean `{column}`?"),
                    (None, Some((_, hint))) => (*hint).to_owned(),
                    (None, None) => {
                        "`kubescry query --schema` lists the tables and their columns".to_owned()
                    }
                }
            }
            Self::Joined(_) => "pick the rows first: WITH got AS (SELECT * FROM requests WHERE \
                 verb = 'get') SELECT ... LEFT JOIN got ON ..."
                .to_owned(),
            Self::NoList => IN_LIST.to_owned(),
            Self::List(_) => "sum it up with MIN or MAX, or group first in a WITH".to_owned(),
            Self::NotAQuery(_) | Self::Stopped => return None,
        })
    }
}

/// How a value is looked for in a list.
pub const IN_LIST: &str = "look for it in the text: user_groups LIKE '%\"system:masters\"%'";

/// What Polars cannot do, by words of its errors, and what does the same.
const HINTS: [(&str, &str); 9] = [
    (
        "duplicate output name",
        "say what each is called: SELECT MAX(code) AS most, MIN(code) AS least",
    ),
    (
        "unsupported function 'date_trunc'",
        "write the time as far as it counts: STRFTIME(ts, '%Y-%m-%dT%H:00') AS hour, or count \
         milliseconds: ms // 3600000",
    ),
    ("expected List data type", IN_LIST),
    ("array element", IN_LIST),
    ("`explode` operation not supported", IN_LIST),
    (
        "cannot compare 'date/datetime/time' to a string",
        "a time is UTC and written without a zone: ts >= '2026-11-22T05:01:00'",
    ),
    (
        "sort expressions must have same length",
        "name the sum and sort by its name: SELECT verb, COUNT(*) AS n ... GROUP BY verb ORDER BY n",
    ),
    (
        "casting from UInt32 to UInt128",
        "count a column in place of all rows: COUNT(verb)",
    ),
    (
        "is not currently supported",
        "say it with AND and OR, or with a WITH",
    ),
];

/// Says in one line what Polars says in many; without the tree of what its parser has read, and without what only Rust
/// can do about it.
fn plain(error: &PolarsError) -> String {
    let text = error.to_string();
    if let Some((start, tree)) = text.split_once("([")
        && tree.contains("Ident {")
    {
        return format!("{start} is not supported");
    }
    if let Some((start, tree)) = text.split_once("Identifier(Ident { value: \"") {
        let name = tree.split('"').next().unwrap_or_default();
        return format!("{start}`{name}` is not supported");
    }
    if let Some((_, name)) = text.split_once("duplicate output name '") {
        let name = name.split('\'').next().unwrap_or_default();
        return format!("two columns of the answer are called `{name}`");
    }
    let first = text.split("\n\nResolved plan until failure").next();
    let first = first.unwrap_or_default().split(COLUMNS).next();
    first.unwrap_or_default().trim().replace('\n', " ")
}

/// What stands in an error of Polars before all the columns that there are.
const COLUMNS: &str = "; valid columns: ";

/// Returns the column that a join does not find in one of its tables, if it is one of the other.
fn joined(error: &str, sql: &str) -> Option<String> {
    let (_, rest) = error.split_once("unable to find column \"")?;
    let column = rest.split('"').next()?;
    let is_column = |(table, _): &(&str, _)| {
        let columns = Tables::columns(table);
        columns.iter().any(|known| known.name == column)
    };
    let mut words = sql.split_whitespace();
    let joins = words.any(|word| word.eq_ignore_ascii_case("join"));
    (joins && TABLES.iter().any(is_column)).then(|| column.to_owned())
}

/// Returns the column that is meant by one that does not exist, if there is one like it.
fn nearest_column(error: &str) -> Option<String> {
    let (what, columns) = error.split_once(COLUMNS)?;
    let meant = what.split('"').nth(1)?;
    let columns: Vec<String> = serde_json::from_str(columns.lines().next()?).ok()?;
    let likeness = |column: &String| strsim::jaro_winkler(meant, column);
    let nearest = columns
        .into_iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(&nearest) > 0.8).then_some(nearest)
}

/// Rows of named columns.
#[derive(Debug, Clone)]
pub struct Answer {
    frame: DataFrame,
}

/// One value of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// No value.
    Null,
    /// A text of the log or the program, as it stands.
    Text(String),
    /// A time, as kube-apiserver writes it.
    Time(String),
    /// A whole number.
    Integer(i128),
    /// Another number.
    Float(f64),
    /// Yes or no.
    Flag(bool),
}

/// How often a stopped query is looked for.
const STEP: Duration = Duration::from_millis(10);

impl Tables {
    /// Answers `sql`.
    ///
    /// Shape: as the query says; without `ORDER BY`, rows are in no order.
    ///
    /// # Errors
    /// When it is no query, names what does not exist, or was stopped.
    pub fn ask(&self, sql: &str, stop: &AtomicBool) -> Result<Answer, QueryError> {
        let word = first_word(sql).to_ascii_uppercase();
        if !matches!(
            &word[..],
            "SELECT" | "WITH" | "SHOW" | "EXPLAIN" | "FROM" | "VALUES" | ""
        ) {
            return Err(QueryError::NotAQuery(word));
        }
        let mut context = SQLContext::new();
        self.register(&mut context);
        let wrong = |error: PolarsError| match joined(&error.to_string(), sql) {
            Some(column) => QueryError::Joined(column),
            None => QueryError::Sql(error),
        };
        hear_warnings();
        let running = context
            .execute(sql)
            .and_then(LazyFrame::collect_concurrently);
        let running = running.map_err(wrong)?;
        if TAKES_TEXT_FOR_LIST.get() {
            drain(running);
            return Err(QueryError::NoList);
        }
        loop {
            if stop.load(Ordering::Relaxed) {
                drain(running);
                return Err(QueryError::Stopped);
            }
            match running.fetch() {
                Some(frame) => return Answer::new(named(frame.map_err(wrong)?, sql)),
                None => std::thread::sleep(STEP),
            }
        }
    }
}

/// Names the column of a bare `count(*)`, which Polars calls `len`, as other databases do.
fn named(mut frame: DataFrame, sql: &str) -> DataFrame {
    let mut words = sql.split(|char: char| !char.is_alphanumeric() && char != '_');
    let is_own = words.any(|word| word.eq_ignore_ascii_case("len"));
    if !is_own && frame.column("len").is_ok() && frame.column("count").is_err() {
        frame
            .rename("len", "count".into())
            .expect("the column is there, and none of the new name");
    }
    frame
}

thread_local! {
    /// Whether Polars has warned of a text that is taken for a list since it was last asked; it plans a query on the
    /// thread that asks.
    static TAKES_TEXT_FOR_LIST: Shared<bool> = const { Shared::new(false) };
}

/// Has the warnings of Polars come here, and forgets those that came.
///
/// It would write them to standard error, for programmers to read, and across the screen of the browser.
fn hear_warnings() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        set_warning_function(|text: &str, _: PolarsWarning| {
            if text.starts_with("`is_in` with a collection of the same datatype") {
                TAKES_TEXT_FOR_LIST.set(true);
            }
        });
    });
    TAKES_TEXT_FOR_LIST.set(false);
}

/// Stops a query, and waits for its end on a thread of its own.
///
/// Polars sends the result of a query that was stopped, too, and panics in a thread of its pool if nobody is there to
/// receive it, which ends the program. A query looks seldom whether it was stopped, so nobody else can wait.
fn drain(running: InProcessQuery) {
    running.cancel();
    std::thread::spawn(move || {
        while running.fetch().is_none() {
            std::thread::sleep(STEP);
        }
    });
}

impl Tables {
    /// Returns the beginning and the end of the log by `ts`, in milliseconds, the end behind the last event.
    ///
    /// # Errors
    /// When the events cannot be read.
    pub fn span(&self) -> Result<question::Span, QueryError> {
        let sql = "SELECT MIN(ms) AS first, MAX(ms) + 1 AS last FROM events WHERE ts IS NOT NULL";
        let answer = self.ask(sql, &AtomicBool::new(false))?;
        let number = |cell: &Cell| match cell {
            Cell::Integer(number) => i64::try_from(*number).unwrap_or_default(),
            _ => 0,
        };
        Ok(match &answer.row(0)[..] {
            [first, last] => (number(first), number(last)),
            _ => (0, 0),
        })
    }

    /// Returns what the log lacks to answer `question` with the parameters `given`.
    ///
    /// # Errors
    /// When a need is no condition over `events`.
    pub fn lacks(
        &self,
        question: &Question,
        given: &[(String, String)],
        stop: &AtomicBool,
    ) -> Result<Vec<String>, QueryError> {
        let mut lacks = Vec::new();
        for need in question.needs(given) {
            let sql = format!("SELECT COUNT(*) AS n FROM events WHERE {}", need.condition);
            if matches!(self.ask(&sql, stop)?.row(0)[..], [Cell::Integer(0)]) {
                lacks.push(need.lack.clone());
            }
        }
        Ok(lacks)
    }
}

/// Returns whether `sql` needs the tables that detection fills; what cannot be parsed may.
pub fn needs_detection(sql: &str) -> bool {
    extract_table_identifiers(sql, false, true).map_or(true, |tables| {
        tables
            .iter()
            .any(|table| matches!(&table[..], "findings" | "credentials"))
    })
}

/// Returns the first word of a query, behind comments.
fn first_word(sql: &str) -> &str {
    let mut rest = sql.trim_start();
    loop {
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment
                .split_once('\n')
                .map_or("", |(_, rest)| rest)
                .trim_start();
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment
                .split_once("*/")
                .map_or("", |(_, rest)| rest)
                .trim_start();
        } else {
            break;
        }
    }
    let rest = rest.trim_start_matches('(');
    let end = rest.find(|c: char| !c.is_ascii_alphabetic());
    &rest[..end.unwrap_or(rest.len())]
}

impl Answer {
    fn new(frame: DataFrame) -> Result<Self, QueryError> {
        // Polars makes a list of what is neither grouped by nor summed up: no answer to what was meant.
        let lists = frame
            .columns()
            .iter()
            .find(|column| column.dtype().is_nested());
        match lists {
            Some(column) => Err(QueryError::List(column.name().to_string())),
            None => Ok(Self { frame }),
        }
    }

    /// Returns the names of the columns.
    pub fn columns(&self) -> Vec<&str> {
        let names = self.frame.get_column_names();
        names
            .into_iter()
            .map(polars::prelude::PlSmallStr::as_str)
            .collect()
    }

    /// Returns which columns hold numbers, to be aligned right.
    pub fn is_number(&self) -> Vec<bool> {
        let columns = self.frame.columns().iter();
        columns
            .map(|column| column.dtype().is_primitive_numeric())
            .collect()
    }

    /// Returns which columns hold times.
    pub fn is_time(&self) -> Vec<bool> {
        let columns = self.frame.columns().iter();
        columns
            .map(|column| matches!(column.dtype(), DataType::Datetime(..)))
            .collect()
    }

    /// Returns the number of rows.
    pub fn height(&self) -> usize {
        self.frame.height()
    }

    /// Returns the value of row `row_idx` in a column.
    pub fn cell(&self, row_idx: usize, column: usize) -> Cell {
        let column = self.frame.columns().get(column);
        let value = column.and_then(|column| column.get(row_idx).ok());
        value.map_or(Cell::Null, |value| cell(&value))
    }

    /// Returns row `row_idx`.
    pub fn row(&self, row_idx: usize) -> Vec<Cell> {
        let columns = self.frame.columns().iter();
        columns
            .map(|column| column.get(row_idx).map_or(Cell::Null, |value| cell(&value)))
            .collect()
    }
}

fn cell(value: &AnyValue<'_>) -> Cell {
    match value {
        AnyValue::Null => Cell::Null,
        AnyValue::String(text) => Cell::Text((*text).to_owned()),
        AnyValue::StringOwned(text) => Cell::Text(text.to_string()),
        AnyValue::Boolean(flag) => Cell::Flag(*flag),
        AnyValue::Datetime(time, unit, _) => Cell::Time(time_text(microseconds(*time, *unit))),
        AnyValue::DatetimeOwned(time, unit, _) => Cell::Time(time_text(microseconds(*time, *unit))),
        AnyValue::Float32(number) => Cell::Float(f64::from(*number)),
        AnyValue::Float64(number) => Cell::Float(*number),
        value if value.dtype().is_integer() => {
            value.extract::<i128>().map_or(Cell::Null, Cell::Integer)
        }
        value => Cell::Text(value.to_string()),
    }
}

fn microseconds(time: i64, unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Nanoseconds => time / 1000,
        TimeUnit::Microseconds => time,
        TimeUnit::Milliseconds => time.saturating_mul(1000),
    }
}

impl Cell {
    /// Returns the value as people read it; null is empty, and fractions have as many digits as tell something.
    pub fn show(&self) -> String {
        match self {
            Self::Float(number) => rounded(*number),
            cell => cell.exact(),
        }
    }

    /// Returns the value as programs read it, with all digits; null is empty.
    pub fn exact(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Text(text) | Self::Time(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            // Either form reads back as the same number; long rows of zeros tell nobody anything.
            Self::Float(number) if is_far(*number) => format!("{number:e}"),
            Self::Float(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
        }
    }
}

/// Returns whether a number is written with an exponent.
fn is_far(number: f64) -> bool {
    number.is_finite() && number != 0.0 && !(1e-5..1e16).contains(&number.abs())
}

/// Returns a number with three digits behind the point, or its first three if it is small, so that none but 0 is 0.
fn rounded(number: f64) -> String {
    if is_far(number) {
        return format!("{number:.2e}");
    }
    let decimals = match number.abs() {
        0.1.. | 0.0 => 3,
        0.01.. => 4,
        0.001.. => 5,
        0.0001.. => 6,
        _ => 7,
    };
    let text = format!("{number:.decimals$}");
    if text.contains('.') {
        let text = text.trim_end_matches('0');
        text.trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Vocabulary;
    use crate::store::{Limits, Store};

    #[test]
    fn no_number_but_0_is_0() {
        let check = |number: f64, shown: &str, exact: &str| {
            let cell = Cell::Float(number);
            assert_eq!((&*cell.show(), &*cell.exact()), (shown, exact));
            assert_eq!(exact.parse(), Ok(number));
        };
        check(0.0, "0", "0");
        check(2.0, "2", "2");
        check(200.0, "200", "200");
        check(1.0 / 3.0, "0.333", "0.3333333333333333");
        check(-0.012_345, "-0.0123", "-0.012345");
        check(0.000_123_456, "0.000123", "0.000123456");
        check(6.7e-6, "6.70e-6", "6.7e-6");
        check(1_234_567.123_456, "1234567.123", "1234567.123456");
        check(1e300, "1.00e300", "1e300");
    }

    #[test]
    fn the_column_that_is_meant_is_told() {
        let error = r#"not found: unable to find column "usrname"; valid columns: ["ts", "username", "verb"]

Resolved plan until failure: SELECT"#;
        assert_eq!(nearest_column(error), Some("username".to_owned()));
        let other = error.replace("usrname", "zzz");
        assert_eq!(nearest_column(&other), None);
        assert_eq!(nearest_column("out of memory"), None);
    }

    /// Its result found nobody to receive it, and the panic of the pool ended the program.
    #[test]
    fn a_query_that_is_stopped_ends_in_peace() {
        let store = Store::new(&Vocabulary::new(), Limits::default());
        let tables = Tables {
            snapshot: store.snapshot(),
            findings: Arc::default(),
            credentials: Arc::default(),
        };
        let digits: Vec<String> = (0..100)
            .map(|digit| format!("SELECT {digit} AS n"))
            .collect();
        let slow = format!(
            "WITH d AS ({}) SELECT COUNT(*) AS n FROM d a CROSS JOIN d b CROSS JOIN d c WHERE a.n + b.n + c.n = 5",
            digits.join(" UNION ALL ")
        );
        let stopped = tables.ask(&slow, &AtomicBool::new(true));
        assert!(matches!(stopped, Err(QueryError::Stopped)));
        // The same again to its end, by which the one before has come to its own.
        let answer = tables.ask(&slow, &AtomicBool::new(false)).unwrap();
        assert_eq!(answer.row(0), [Cell::Integer(21)]);
        std::thread::sleep(STEP * 20);
    }

    #[test]
    fn only_questions_may_be_asked() {
        assert_eq!(first_word("  -- a comment\n(select 1)"), "select");
        assert_eq!(first_word("/* x */ DROP TABLE events"), "DROP");
        assert_eq!(first_word(""), "");
    }
}
