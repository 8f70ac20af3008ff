//! Answers that come late, in another order, or to what nobody asks any more.

use super::play::Dice;
use super::*;
use crate::tui::app::{Screen, Tab};
use crate::tui::update::Event;
use crate::tui::work::{Done, Outcome};

fn held(width: u16, height: u16) -> Play {
    let mut play = Play::new(&Log::anonymous(), width, height);
    play.held = Some(Vec::new());
    play
}

/// Answers the last question first.
fn release_backwards(play: &mut Play) {
    play.release(|count| count - 1);
}

#[test]
fn of_two_filters_the_later_one_is_shown() {
    let mut late = held(80, 24);
    late.keys("4&curl<Enter><Back>&kubelet<Enter>");
    release_backwards(&mut late);
    let mut prompt = Play::new(&Log::anonymous(), 80, 24);
    prompt.keys("4&kubelet<Enter>");
    assert_eq!(late.app.events.rows, prompt.app.events.rows);
    assert_eq!(late.screen(), prompt.screen());
}

#[test]
fn the_order_of_answers_changes_nothing() {
    for keys in [
        "4&curl<Enter>",
        "4jjjGkkl",
        "4vjjj",
        "4jjj/admin<Enter>",
        "5jjjl",
        "3&curl<Enter>4",
        "4lloG",
        "2jj<Enter>",
        "4<Enter><Esc>j<Enter>",
        "6<Enter><Esc>1",
    ] {
        let mut prompt = Play::new(&Log::anonymous(), 100, 30);
        let expected = prompt.keys(keys).screen();
        for seed in 0..4 {
            let mut late = held(100, 30);
            // Keys that move in rows need some.
            late.keys("4");
            late.release(|_| 0);
            late.keys("1").keys(keys);
            let mut dice = Dice::new(seed);
            late.release(|count| dice.below(count));
            assert_eq!(late.screen(), expected, "{keys} with seed {seed}");
        }
    }
}

#[test]
fn an_answer_to_a_page_that_was_left_is_dropped() {
    let mut play = held(80, 24);
    play.keys("2<Enter>");
    let first = play.held.as_mut().unwrap().pop().unwrap();
    play.keys("<Esc>jjjj<Enter>");
    let second = play.held.as_mut().unwrap().pop().unwrap();
    let second = play.answer(second).unwrap();
    play.event(second);
    let shown = play.screen();
    let first = play.answer(first).unwrap();
    play.event(first);
    assert_eq!(play.screen(), shown);
    play.keys("<Esc>");
    assert!(matches!(play.app.screen(), Screen::Tab(Tab::Findings)));
}

#[test]
fn an_answer_comes_to_the_page_below_another() {
    let mut play = held(80, 24);
    play.keys("6<Enter>");
    let lower = play.held.as_mut().unwrap().pop().unwrap();
    play.keys(":system:anonymous<Enter>");
    let lower = play.answer(lower).unwrap();
    play.event(lower);
    play.hides("owner");
    play.keys("<Esc>");
    play.shows("owner");
}

#[test]
fn json_is_of_the_row_under_the_cursor() {
    let mut play = held(80, 24);
    play.keys("4");
    play.release(|_| 0);
    play.keys("vjjjjj");
    release_backwards(&mut play);
    let place = play.app.events.json.as_ref().unwrap().place.clone();
    let tree = play.app.json().unwrap().tree.as_ref().unwrap();
    assert!(tree.text().contains(&place.audit_id));
    let row = play.app.events.rows[play.app.events.grid.row];
    let located =
        play.app.events.cells.rows[play.app.events.grid.row - play.app.events.cells.first].clone();
    assert!(
        located.contains(&place.audit_id),
        "row {row} is not {place:?}"
    );
}

#[test]
fn values_are_of_the_field_under_the_cursor() {
    let mut play = held(80, 24);
    play.keys("5jjj");
    release_backwards(&mut play);
    let mut prompt = Play::new(&Log::anonymous(), 80, 24);
    prompt.keys("5jjj");
    assert_eq!(play.app.facets.facet, prompt.app.facets.facet);
}

#[test]
fn of_two_queries_the_later_one_is_answered() {
    let mut play = held(80, 24);
    play.keys("8SELECT 1 AS one<C-r><Tab>");
    play.keys("<C-p><C-p><C-n> , 2 AS two<C-r>");
    release_backwards(&mut play);
    let answer = play.app.answer().unwrap().answer.as_ref().unwrap();
    assert_eq!(answer.columns(), ["one", "two"]);
}

#[test]
fn matches_are_of_the_rows_that_are_shown() {
    let mut play = held(80, 24);
    play.keys("4");
    play.release(|_| 0);
    // The search is asked of rows that are on their way out.
    play.keys("&anonymous<Enter>/secrets<Enter>");
    release_backwards(&mut play);
    let mut prompt = Play::new(&Log::anonymous(), 80, 24);
    prompt.keys("4&anonymous<Enter>/secrets<Enter>");
    assert_eq!(play.app.events.matches, prompt.app.events.matches);
    assert_eq!(play.app.events.grid.row, prompt.app.events.grid.row);
    assert!(
        play.app
            .events
            .matches
            .as_ref()
            .is_some_and(|matches| !matches.is_empty())
    );
}

#[test]
fn an_answer_that_comes_twice_counts_once() {
    let mut play = held(80, 24);
    play.keys("4");
    let job = play.held.as_mut().unwrap().remove(0);
    let number = job.number;
    let event = play.answer(job).unwrap();
    play.event(event);
    play.release(|_| 0);
    play.keys("&curl<Enter>");
    play.release(|_| 0);
    let shown = play.screen();
    let result = Ok(Outcome::Rows([1, 2, 3].into(), None));
    play.event(Event::Done(Done { number, result }));
    assert_eq!(play.screen(), shown);
}

#[test]
fn replaced_questions_are_told_to_stop() {
    let mut play = held(80, 24);
    play.keys("4&curl<Enter><Back>");
    let held = play.held.as_ref().unwrap();
    let is_stopped =
        |job: &crate::tui::work::Job| job.stop.load(std::sync::atomic::Ordering::Relaxed);
    let rows = held
        .iter()
        .filter(|job| matches!(job.task, crate::tui::work::Task::Rows { .. }));
    let stopped: Vec<bool> = rows.map(is_stopped).collect();
    assert_eq!(stopped, [true, true, false]);
}
