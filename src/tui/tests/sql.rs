//! The SQL that is shown behind a view gives the rows of the view.

use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use super::play::Dice;
use super::*;
use crate::query::{Answer, Cell};
use crate::store::filter::Rows;
use crate::store::{Field, Kind};
use crate::tui::app::facet_fields;
use crate::tui::chips::{Ask, ignores_case};
use crate::tui::update::{Event, News};
use crate::tui::view;
use crate::tui::work::{Outcome, Task};

static REFUSED: LazyLock<Log> =
    LazyLock::new(|| Log::sample("sample-logs/v1.36/system-masters.log"));

fn ask(play: &Play, sql: &str) -> Answer {
    let outcome = play
        .desk
        .task(Task::Sql(sql.to_owned()), &AtomicBool::new(false));
    match outcome.unwrap_or_else(|error| panic!("{error}\n{sql}")) {
        Some(Outcome::Answer { answer, .. }) => *answer,
        other => panic!("{other:?}"),
    }
}

/// Returns the sum of a column of whole numbers.
fn sum(answer: &Answer, column: usize) -> i128 {
    let cells = (0..answer.height()).map(|row_idx| answer.row(row_idx).swap_remove(column));
    cells
        .map(|cell| match cell {
            Cell::Integer(number) => number,
            other => panic!("{other:?} is no number"),
        })
        .sum()
}

/// Shows a tab with the filters anew.
fn renew(play: &mut Play, log: &Log, tab: &str) {
    play.event(Event::News(News::Finished(log.results.clone(), Vec::new())));
    play.keys(tab);
}

/// Returns a value that some row has of a field that can be filtered by.
fn value(play: &Play, dice: &mut Dice) -> (Field, String) {
    let fields: Vec<Field> = Field::all()
        .filter(|field| !matches!(field.kind(), Kind::Time | Kind::Float))
        .collect();
    let field = *dice.of(&fields);
    let snapshot = play.desk.store.read().unwrap().snapshot();
    let row = u32::try_from(dice.below(snapshot.height() as usize)).unwrap();
    let (segment, row_idx) = snapshot.locate(row).unwrap();
    let lane = segment.lane(field, &snapshot.vocabulary).unwrap();
    let value = lane.show(row_idx, &snapshot.vocabulary).into_owned();
    let value = match field.kind() {
        Kind::List => {
            let list = crate::frame::vocabulary::parse_list(&value);
            list.into_iter()
                .next()
                .map_or(String::new(), std::borrow::Cow::into_owned)
        }
        _ => value,
    };
    (field, value)
}

fn add_chip(play: &mut Play, dice: &mut Dice) {
    const PATTERNS: [&str; 9] = [
        "admin",
        "Kube",
        "^get$",
        "it's",
        "",
        "^$",
        "secrets|configmaps",
        "[0-9]{3}",
        "no such thing",
    ];
    let is_negated = dice.below(3) == 0;
    match dice.below(10) {
        0..6 => {
            let (field, value) = value(play, dice);
            let value = if dice.below(10) == 0 {
                String::new()
            } else {
                value
            };
            play.app.chips.add(Ask::Value(field, value), is_negated);
        }
        6..8 => {
            let pattern = *dice.of(&PATTERNS);
            let built = regex::RegexBuilder::new(pattern)
                .case_insensitive(ignores_case(pattern))
                .build();
            play.app.chips.add(Ask::Text(built.unwrap()), is_negated);
        }
        _ => {
            let snapshot = play.desk.store.read().unwrap().snapshot();
            let (first, last) = snapshot.span().unwrap().unwrap();
            let mut moment = || {
                let part = i64::try_from(dice.below(1001)).unwrap();
                first + (last - first) / 1000 * part
            };
            let (a, b) = (moment(), moment());
            play.app.chips.add(Ask::Time(a.min(b), a.max(b)), false);
        }
    }
}

fn check(log: &Log, seeds: std::ops::Range<u64>) {
    let mut play = Play::new(log, 80, 24);
    for seed in seeds {
        let mut dice = Dice::new(seed);
        play.app.chips.chips.clear();
        play.app.chips.rows = *dice.of(&[Rows::Requests, Rows::Events]);
        for _ in 0..dice.below(4) {
            add_chip(&mut play, &mut dice);
        }
        renew(&mut play, log, "4");
        let sql = view::sql_behind(&play.app);
        let answer = ask(&play, &sql);
        assert_eq!(
            answer.height(),
            play.app.events.rows.len(),
            "seed {seed}\n{sql}"
        );
    }
}

#[test]
fn rows_of_random_filters_are_those_of_their_sql() {
    check(&Log::anonymous(), 0..40);
    check(&REFUSED, 100..130);
}

#[test]
fn rows_of_a_hostile_log_are_those_of_their_sql() {
    check(&super::hostile_log::log(), 200..240);
}

#[test]
fn facets_are_those_of_their_sql() {
    let log = Log::anonymous();
    let mut play = Play::new(&log, 80, 24);
    play.keys("4&kube<Enter>5");
    for at in 0..facet_fields().len().min(12) {
        let facet = play.app.facets.facet.clone().unwrap();
        let answer = ask(&play, &view::sql_behind(&play.app));
        assert_eq!(answer.height(), facet.values.len(), "field {at}");
        for row_idx in 0..answer.height() {
            let row = answer.row(row_idx);
            let count = facet
                .values
                .iter()
                .find(|(value, _)| *value == row[0].show());
            let count = count.unwrap_or_else(|| panic!("{row:?} of {facet:?}")).1;
            assert_eq!(Cell::Integer(count.into()), row[1]);
        }
        play.keys("j");
    }
}

#[test]
fn bars_are_those_of_their_sql() {
    let log = Log::anonymous();
    let mut play = Play::new(&log, 80, 24);
    play.keys("3&kube<Enter>");
    let histogram = play.app.timeline.histogram.clone().unwrap();
    let answer = ask(&play, &view::sql_behind(&play.app));
    let bars = histogram.buckets.iter().flatten();
    assert_eq!(
        bars.map(|count| i128::from(*count)).sum::<i128>(),
        sum(&answer, 2)
    );
    for row_idx in 0..answer.height() {
        let row = answer.row(row_idx);
        let bucket = row[0].show().parse::<usize>().unwrap();
        let count = row[2].show().parse::<u32>().unwrap();
        assert!(histogram.buckets[bucket].contains(&count), "{row:?}");
    }
}

#[test]
fn every_sql_that_is_shown_can_be_asked() {
    let mut play = Play::new(&Log::anonymous(), 80, 24);
    for keys in [
        "2",
        "2o",
        "2&a<Enter>",
        "5jjjjjjjjjjjj",
        "2oo",
        "2ooo",
        "2oooo",
        "2ooooo",
        "2oooooo",
        "2Fl+",
        "2Fjl-",
        "2Fjjl+",
        "3",
        "4lO",
        "5",
        "6",
    ] {
        play.keys(keys);
        let sql = view::sql_behind(&play.app);
        assert!(!sql.is_empty(), "{keys}");
        ask(&play, &sql);
    }
}

/// Columns are measured where the answer is made, by some of its rows.
#[test]
fn the_first_rows_of_an_answer_decide_how_wide_it_is() {
    let mut play = Play::new(&Log::anonymous(), 80, 24);
    play.keys("8SELECT request_uri FROM events ORDER BY LENGTH(request_uri)<C-r>");
    let screen = play.app.answer().unwrap();
    let answer = screen.answer.as_ref().unwrap();
    let length = |row_idx: usize| answer.row(row_idx)[0].show().len();
    let (first, last) = (length(99), length(answer.height() - 1));
    assert!(
        first > "request_uri".len() && first < last,
        "{first} {last}"
    );
    let widths: Vec<usize> = screen.measures.iter().map(|measure| measure.best).collect();
    assert_eq!(widths, [first]);
}
