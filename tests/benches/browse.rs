//! The browser over many events: filling the store, filters, facets, the histogram, sorting, cells, SQL, files, and
//! from a key to its frame; beside Polars at the same questions in the same run.
//!
//! `cargo bench --bench browse`; `KUBESCRY_BENCH_EVENTS=10000000` for more events (several sizes with commas between).
//! Recorded logs are repeated, each copy later and with other names of users and objects. Ratios are printed with those
//! of the last run, which are kept in the target folder.

#![expect(clippy::print_stdout, reason = "figures are what a benchmark prints")]
#![expect(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

#[path = "browse/fill.rs"]
mod fill;
#[path = "browse/keys.rs"]
mod keys;
mod support;
#[path = "browse/yardstick.rs"]
mod yardstick;

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use kubescry::frame::Column;
use kubescry::source::ReadOptions;
use kubescry::store::facet::Facet;
use kubescry::store::field::Derived;
use kubescry::store::filter::{Filter, Rows, Test};
use kubescry::store::histogram::Histogram;
use kubescry::store::sort::Order;
use kubescry::store::{Field, Limits, Row, Snapshot, Store};
use kubescry::tui::cells::HIDDEN;
use kubescry::tui::chips::SHOWN;
use kubescry::tui::work::{Outcome, Task};
use kubescry::tui::worker::{Desk, cells};
use support::{History, median_time};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A name that a sixth of the events have, and a rare one.
const FREQUENT: &str = "system:node:node-2";
const RARE: &str = "system:serviceaccount:dev:shortlived2-7";

const LATENCY: Field = Field::Derived(Derived::LatencyMs);

fn main() {
    println!("browse: median of 5; higher ratios are better, the last run's in brackets");
    let sizes = std::env::var("KUBESCRY_BENCH_EVENTS");
    let sizes = sizes.as_deref().unwrap_or("100000,1000000");
    let mut history = History::open("browse");
    for size in sizes.split(',') {
        let n_events = size.trim().parse().expect("a number of events");
        measure(n_events, &mut history);
    }
    history.save();
}

fn measure(n_events: usize, history: &mut History) {
    println!("{n_events} events");
    let filled = fill::fill(n_events, Limits::default());
    let rate = |time: Duration| n_events as f64 / time.as_secs_f64();
    println!(
        "  fill: {:.0} events/s with decoding, {:.0} events/s the store alone; {:.0} bytes an event, {:.0} MB resident",
        rate(filled.all),
        rate(filled.pushing),
        filled.store.usage().memory_bytes as f64 / n_events as f64,
        status_mb("VmRSS:"),
    );
    let snapshot = filled.store.snapshot();
    let questions = Questions {
        snapshot: &snapshot,
    };
    let ours = questions.all();
    println!("  peak before the yardstick: {:.0} MB", status_mb("VmHWM:"));
    keys(&filled.store);
    sql(&filled.store);
    polars(&snapshot, n_events, &ours, history);
    files(&filled.store);
    println!("  peak: {:.0} MB", status_mb("VmHWM:"));
}

/// Times of what Polars is asked, too.
struct Times {
    filter: Duration,
    facet: Duration,
    facet_of_names: Duration,
    sort_by_time: Duration,
    sort_by_username: Duration,
    sort_by_latency: Duration,
}

/// What is asked of a store.
struct Questions<'s> {
    snapshot: &'s Snapshot,
}

impl Questions<'_> {
    fn filter(&self, tests: &[Test]) -> Vec<Row> {
        let filter = Filter {
            rows: Rows::Events,
            tests: tests.to_vec(),
        };
        let rows = filter.apply(self.snapshot, &AtomicBool::new(false));
        rows.expect("it can be read").expect("nobody stops it")
    }

    fn facet(&self, rows: &[Row], field: Field) -> Facet {
        let facet = Facet::count(self.snapshot, rows, field, &AtomicBool::new(false));
        facet.expect("it can be read").expect("nobody stops it")
    }

    fn sort(&self, rows: &[Row], field: Field) -> Vec<Row> {
        let order = Order {
            field,
            is_descending: false,
        };
        let rows = order.apply(self.snapshot, rows, &AtomicBool::new(false));
        rows.expect("it can be read").expect("nobody stops it")
    }

    fn histogram(&self, rows: &[Row], span: (i64, i64)) -> Histogram {
        let stop = AtomicBool::new(false);
        let histogram = Histogram::count(self.snapshot, rows, span, 200, &stop);
        histogram.expect("it can be read").expect("nobody stops it")
    }

    fn all(&self) -> Times {
        let is = |column: Column, value: &str| Test::Is(column.into(), value.to_owned());
        let every = self.filter(&[]);
        let none = timed("filter: none", || self.filter(&[]).len());
        assert_eq!(none.1, every.len());
        let filter = timed("filter: username", || {
            self.filter(&[is(Column::Username, FREQUENT)]).len()
        });
        timed("filter: a rare username", || {
            self.filter(&[is(Column::Username, RARE)]).len()
        });
        timed("filter: resource, verb and outcome", || {
            let tests = [
                is(Column::Resource, "leases"),
                is(Column::Verb, "update"),
                is(Column::Outcome, "ok"),
            ];
            self.filter(&tests).len()
        });
        timed("filter: an element of user_groups", || {
            self.filter(&[is(Column::UserGroups, "system:nodes")]).len()
        });
        timed("filter: name", || {
            self.filter(&[is(Column::Name, "app-config-7")]).len()
        });
        timed("filter: text search", || {
            let pattern = regex::Regex::new("(?i)app-config-7").expect("a pattern");
            self.filter(&[Test::Search(pattern)]).len()
        });
        let span = timed("span", || self.snapshot.span().expect("it can be read")).1;
        let (from, to) = span.expect("there are events");
        let fifth = (to - from) / 5;
        timed("filter: a fifth of the time", || {
            let tests = [Test::Time(from + fifth, from + 2 * fifth)];
            self.filter(&tests).len()
        });
        let facet = timed("facet: username", || {
            self.facet(&every, Column::Username.into()).distinct
        });
        let names = timed("facet: name", || {
            self.facet(&every, Column::Name.into()).distinct
        });
        timed("facet: user_groups", || {
            self.facet(&every, Column::UserGroups.into()).distinct
        });
        timed("facet: verb", || {
            self.facet(&every, Column::Verb.into()).distinct
        });
        timed("facet: code", || {
            self.facet(&every, Column::Code.into()).distinct
        });
        timed("histogram", || {
            self.histogram(&every, (from, to + 1)).buckets.len()
        });
        let sort =
            |name: &str, rows: &[Row], field: Field| timed(name, || self.sort(rows, field).len()).0;
        let sort_by_time = sort("sort: time", &every, Column::StageTs.into());
        sort("sort: received time", &every, Column::Ts.into());
        let sort_by_username = sort("sort: username", &every, Column::Username.into());
        let sort_by_latency = sort("sort: latency_ms", &every, LATENCY);
        sort("sort: code", &every, Column::Code.into());
        let fields: Vec<Field> = SHOWN.into_iter().chain(HIDDEN).map(Field::from).collect();
        let page = &every[every.len() / 2..][..180.min(every.len() / 2)];
        timed("cells of a page and its neighbours", || {
            let cells = cells(self.snapshot, page, &fields);
            cells.expect("it can be read").len()
        });
        Times {
            filter: filter.0,
            facet: facet.0,
            facet_of_names: names.0,
            sort_by_time,
            sort_by_username,
            sort_by_latency,
        }
    }
}

/// Prints how long `work` takes, and what comes of it.
fn timed<T: std::fmt::Debug>(name: &str, mut work: impl FnMut() -> T) -> (Duration, T) {
    let mut result = None;
    let time = median_time(|| result = Some(work()));
    let result = result.expect("it was done");
    println!("  {:9.2} ms  {name} ({result:?})", milliseconds(time));
    (time, result)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn keys(store: &Store) {
    let mut browser = keys::Browser::start(store);
    let first_frame = milliseconds(browser.first_frame);
    println!("  {first_frame:9.2} ms  first frame");
    let (time, rows) = browser.open_events();
    let time = milliseconds(time);
    println!(
        "  {time:9.2} ms  the table of events from the key on, with its first page ({rows} rows)"
    );
    let show = |what: &str, latency: &keys::Latency| {
        let [median, most, max] = [0.5, 0.99, 1.0].map(|share| milliseconds(latency.at(share)));
        println!("  {most:9.2} ms  key to frame, {what}: p99 (p50 {median:.2}, max {max:.2})");
    };
    show("1000 keys", &browser.scroll(1000));
    let (latency, filters) = browser.scroll_while_filtering(1000);
    show(&format!("1000 keys while {filters} searches run"), &latency);
}

fn sql(store: &Store) {
    let desk = Desk::new(store.clone(), ReadOptions::default());
    timed("SQL: GROUP BY username", || {
        let sql = "SELECT username, count(*) AS n FROM events GROUP BY username ORDER BY n DESC";
        let answer = desk.task(Task::Sql(sql.to_owned()), &AtomicBool::new(false));
        match answer {
            Ok(Some(Outcome::Answer { answer, .. })) => answer.height(),
            _ => unreachable!("it is answered"),
        }
    });
}

fn polars(snapshot: &Snapshot, n_events: usize, ours: &Times, history: &mut History) {
    let yardstick = yardstick::Yardstick::of(snapshot);
    let mut beside = |name: &str, ours: Duration, ask: &dyn Fn() -> usize| {
        let (theirs, _) = timed(&format!("Polars, {name}"), ask);
        history.ratio(
            &format!("{n_events} events, {name}, to Polars"),
            theirs,
            ours,
        );
    };
    beside("filter: username", ours.filter, &|| {
        yardstick.filter(FREQUENT)
    });
    beside("facet: username", ours.facet, &|| {
        yardstick.facet("username")
    });
    beside("facet: name", ours.facet_of_names, &|| {
        yardstick.facet("name")
    });
    beside("sort: time", ours.sort_by_time, &|| {
        yardstick.sort("stage_ts")
    });
    beside("sort: username", ours.sort_by_username, &|| {
        yardstick.sort("username")
    });
    beside("sort: latency_ms", ours.sort_by_latency, &|| {
        yardstick.sort("latency_ms")
    });
}

/// The same in files, as a case keeps it and as what is over the limit of memory is kept.
fn files(store: &Store) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let once = |name: &str, work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        println!("  {:9.2} ms  {name}", milliseconds(start.elapsed()));
    };
    once("save to a case", &mut || {
        store.save(folder.path()).expect("room for the data");
    });
    let files = std::fs::read_dir(folder.path()).expect("just written");
    let bytes: u64 = files
        .map(|file| {
            file.and_then(|file| file.metadata())
                .map_or(0, |data| data.len())
        })
        .sum();
    let rows = store.usage().rows;
    println!(
        "  {:9.0} bytes an event in files",
        bytes as f64 / rows as f64
    );
    let mut opened = None;
    once("open from a case", &mut || {
        opened = Some(Store::open(folder.path(), Limits::default()).expect("just written"));
    });
    let snapshot = opened.expect("just opened").snapshot();
    let questions = Questions {
        snapshot: &snapshot,
    };
    let mut every = Vec::new();
    once("files, filter: none", &mut || every = questions.filter(&[]));
    once("files, filter: username", &mut || {
        questions.filter(&[Test::Is(Column::Username.into(), FREQUENT.to_owned())]);
    });
    once("files, facet: username", &mut || {
        questions.facet(&every, Column::Username.into());
    });
    once("files, sort: time", &mut || {
        questions.sort(&every, Column::StageTs.into());
    });
    let fields: Vec<Field> = SHOWN.into_iter().chain(HIDDEN).map(Field::from).collect();
    let page = &every[every.len() / 2..][..180.min(every.len() / 2)];
    once("files, cells of a page and its neighbours", &mut || {
        drop(cells(&snapshot, page, &fields).expect("it can be read"));
    });
}

/// Returns a figure of this process, as Linux tells it.
fn status_mb(name: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1e3
}
