//! Laws, for random filters.

use std::collections::BTreeMap;

use proptest::prelude::*;
use regex::Regex;

use super::*;
use crate::frame::vocabulary::known;
use crate::store::facet::Facet;
use crate::store::filter::{Filter, SEARCHED, Test};
use crate::store::histogram::{ENDINGS, Histogram};
use crate::store::sort::Order;

const PATTERNS: [&str; 10] = [
    "admin",
    "(?i)KUBE",
    "^get$",
    "^$",
    "",
    ".*",
    "secrets|pods",
    "[0-9]{3}",
    "no such thing",
    r"\.",
];

/// How a test is made: of a log that is known only later.
#[derive(Debug, Clone)]
enum Made {
    Value {
        field: usize,
        row: usize,
        element: usize,
        is_null: bool,
        is_negated: bool,
    },
    Search {
        pattern: usize,
        is_negated: bool,
    },
    Time(u32, u32),
    Among(Vec<u32>),
}

fn made() -> impl Strategy<Value = Made> {
    prop_oneof![
        6 => (any::<usize>(), any::<usize>(), 0..3_usize, prop::bool::weighted(0.1), any::<bool>()).prop_map(
            |(field, row, element, is_null, is_negated)| Made::Value { field, row, element, is_null, is_negated }
        ),
        2 => (0..PATTERNS.len(), any::<bool>())
            .prop_map(|(pattern, is_negated)| Made::Search { pattern, is_negated }),
        1 => (0..1000_u32, 0..1000_u32).prop_map(|(a, b)| Made::Time(a.min(b), a.max(b))),
        1 => prop::collection::vec(any::<u32>(), 0..50).prop_map(Made::Among),
    ]
}

fn test_of(made: &Made, logs: &Logs) -> Test {
    match made {
        Made::Value {
            field,
            row,
            element,
            is_null,
            is_negated,
        } => {
            let fields: Vec<Field> = Field::all().collect();
            let field = fields[field % fields.len()];
            let value = logs.plain[row % logs.plain.len()].value(field);
            let elements = elements(field, value);
            let value = match elements.get(element % elements.len().max(1)) {
                Some(value) if !is_null => value.clone(),
                _ => String::new(),
            };
            if *is_negated {
                Test::IsNot(field, value)
            } else {
                Test::Is(field, value)
            }
        }
        Made::Search {
            pattern,
            is_negated,
        } => {
            let pattern = Regex::new(PATTERNS[*pattern]).unwrap();
            if *is_negated {
                Test::SearchNot(pattern)
            } else {
                Test::Search(pattern)
            }
        }
        Made::Time(from, to) => {
            let (first, last) = logs.memory.snapshot().span().unwrap().unwrap();
            let time = |part: u32| first + (last - first) / 1000 * i64::from(part);
            Test::Time(time(*from), time(*to))
        }
        Made::Among(rows) => {
            let height = Row::try_from(logs.plain.len()).unwrap();
            let mut rows: Vec<Row> = rows.iter().map(|row| row % height).collect();
            rows.sort_unstable();
            rows.dedup();
            Test::Among(rows.into())
        }
    }
}

/// Says in plain code whether a row passes.
fn passes(plain: &Plain, test: &Test) -> bool {
    let has = |field: Field, value: &str| {
        let own = plain.value(field);
        if value.is_empty() || own.is_empty() {
            return value == own;
        }
        elements(field, own).iter().any(|element| element == value)
    };
    let is_found = |pattern: &Regex| {
        let values = SEARCHED.iter().map(|&column| plain.value(column.into()));
        values
            .filter(|value| !value.is_empty())
            .any(|value| pattern.is_match(value))
    };
    match test {
        Test::Is(field, value) => has(*field, value),
        Test::IsNot(field, value) => !has(*field, value),
        Test::Search(pattern) => is_found(pattern),
        Test::SearchNot(pattern) => !is_found(pattern),
        Test::Time(from, to) => *from <= plain.time && plain.time < *to,
        Test::Among(rows) => rows.contains(&plain.row),
    }
}

fn expected<'l>(logs: &'l Logs, filter: &Filter) -> Vec<&'l Plain> {
    let rows = logs.plain.iter().filter(|plain| plain.is(filter.rows));
    rows.filter(|plain| filter.tests.iter().all(|test| passes(plain, test)))
        .collect()
}

fn check_facet(logs: &Logs, store: &Store, rows: &[Row], field: Field) {
    let facet = Facet::count(&store.snapshot(), rows, field, &go())
        .unwrap()
        .unwrap();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for row in rows {
        for element in elements(field, logs.plain[*row as usize].value(field)) {
            *counts.entry(element).or_default() += 1;
        }
    }
    assert_eq!(facet.distinct, counts.len(), "{}", field.name());
    assert_eq!(facet.rows, rows.len() as u64);
    let sum = facet.values.iter().map(|(_, count)| count).sum::<u64>() + facet.others;
    assert_eq!(sum, counts.values().sum::<u64>());
    assert!(
        field.kind() == Kind::List || sum == facet.rows,
        "{}",
        field.name()
    );
    assert!(facet.values.is_sorted_by(|a, b| (b.1, &a.0) <= (a.1, &b.0)));
    for (value, count) in &facet.values {
        assert_eq!(counts.get(value), Some(count), "{} {value}", field.name());
    }
}

fn check_order(logs: &Logs, store: &Store, rows: &[Row], field: Field, is_descending: bool) {
    let order = Order {
        field,
        is_descending,
    };
    let sorted = order
        .apply(&store.snapshot(), rows, &go())
        .unwrap()
        .unwrap();
    let plain = |row: &Row| &logs.plain[*row as usize];
    let compare = |a: &Row, b: &Row| {
        let (a, b) = (plain(a), plain(b));
        if field == Column::StageTs.into() {
            return a.time.cmp(&b.time);
        }
        let (a, b) = (a.value(field), b.value(field));
        match field.kind() {
            Kind::Number => {
                let number = |text: &str| text.parse::<i64>().unwrap_or(0);
                number(a).cmp(&number(b))
            }
            Kind::Float => {
                let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
                number(a).total_cmp(&number(b))
            }
            // All of one length, so that their order is that of time.
            _ => a.cmp(b),
        }
    };
    let mut expected = rows.to_vec();
    expected.sort_by(|a, b| {
        if is_descending {
            compare(b, a)
        } else {
            compare(a, b)
        }
    });
    assert_eq!(sorted, expected, "{} {is_descending}", field.name());
}

fn check_histogram(logs: &Logs, store: &Store, rows: &[Row], n_buckets: usize) {
    let (first, last) = store.snapshot().span().unwrap().unwrap();
    let span = (first + (last - first) / 5, last + 1);
    let counted = Histogram::count(&store.snapshot(), rows, span, n_buckets, &go());
    let histogram = counted.unwrap().unwrap();
    assert_eq!(histogram.buckets.len(), n_buckets);
    let mut buckets = vec![[0; ENDINGS]; n_buckets];
    let mut outside = 0;
    for row in rows {
        let plain = &logs.plain[*row as usize];
        let ending = match plain.value(Column::Outcome.into()) {
            "unauthenticated" => 3,
            "denied" => 2,
            "error" => 1,
            _ => 0,
        };
        match histogram.bucket_of(plain.time) {
            Some(at) => buckets[at][ending] += 1,
            None => outside += 1,
        }
    }
    assert_eq!(histogram.buckets, buckets);
    assert_eq!(histogram.outside, outside);
    let sum: u64 = buckets
        .iter()
        .flatten()
        .map(|count| u64::from(*count))
        .sum();
    assert_eq!(sum + outside, rows.len() as u64);
}

fn check(made: &[Made], choice: usize, stores: &[usize]) {
    let logs = &READ[choice % READ.len()];
    let rows = if choice.is_multiple_of(3) {
        Rows::Events
    } else {
        Rows::Requests
    };
    let filter = Filter {
        rows,
        tests: made.iter().map(|made| test_of(made, logs)).collect(),
    };
    let expected = expected(logs, &filter);
    let expected: Vec<Row> = expected.iter().map(|plain| plain.row).collect();
    let fields: Vec<Field> = Field::all().collect();
    let field = fields[choice / 7 % fields.len()];
    for &at in stores {
        let store = logs.stores()[at];
        let rows = filter.apply(&store.snapshot(), &go()).unwrap().unwrap();
        assert_eq!(rows, expected, "{filter:?}");
        check_facet(logs, store, &rows, field);
        check_order(logs, store, &rows, field, choice.is_multiple_of(2));
        check_histogram(logs, store, &rows, 1 + choice % 90);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn views_of_memory_are_those_of_plain_code(
        made in prop::collection::vec(made(), 0..4),
        choice in 0..1_000_000_usize,
    ) {
        check(&made, choice, &[0]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn views_of_files_are_those_of_plain_code(
        made in prop::collection::vec(made(), 0..4),
        choice in 0..1_000_000_usize,
    ) {
        check(&made, choice, &[1, 2]);
    }
}

#[test]
fn all_fields_are_counted_and_sorted() {
    let logs = &READ[0];
    let rows: Vec<Row> = logs
        .plain
        .iter()
        .filter(|plain| plain.is_request)
        .map(|plain| plain.row)
        .collect();
    for field in Field::all() {
        check_facet(logs, &logs.memory, &rows, field);
        check_order(logs, &logs.memory, &rows, field, false);
        check_order(logs, &logs.memory, &rows, field, true);
    }
}

#[test]
fn outcomes_have_the_codes_that_histograms_go_by() {
    let snapshot = READ[0].memory.snapshot();
    for (code, text) in [
        (known::UNAUTHENTICATED, "unauthenticated"),
        (known::DENIED, "denied"),
        (known::ERROR, "error"),
    ] {
        assert_eq!(snapshot.vocabulary.text(code), text);
    }
}

#[test]
fn what_is_stopped_gives_nothing() {
    let snapshot = READ[0].memory.snapshot();
    let stop = AtomicBool::new(true);
    let filter = Filter::default();
    assert!(filter.apply(&snapshot, &stop).unwrap().is_none());
    let order = Order::default();
    assert!(order.apply(&snapshot, &[1, 2], &stop).unwrap().is_none());
    let facet = Facet::count(&snapshot, &[1, 2], Column::Verb.into(), &stop);
    assert!(facet.unwrap().is_none());
    let histogram = Histogram::count(&snapshot, &[1, 2], (0, 10), 5, &stop);
    assert!(histogram.unwrap().is_none());
}
