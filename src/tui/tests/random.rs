//! Random play: whatever happens in whatever order, nothing panics, and the screen stays in order.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::play::{Dice, check_cells};
use super::*;
use crate::tui::app::{Page, Screen, Tab};
use crate::tui::grid::Grid;
use crate::tui::keymap::BINDINGS;
use crate::tui::layout;
use crate::tui::update::{Event, News};
use crate::tui::view;
use crate::tui::work::{Done, Outcome};

/// Things that are typed and pasted.
const TEXTS: [&str; 12] = [
    "",
    "admin",
    "(a|",
    "SELECT verb FROM events LIMIT 3;",
    "system:anonymous",
    "\u{1b}[31m\u{202e}x\u{200b}",
    "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
    "two\nlines",
    "日本語 👩\u{200d}👩\u{200d}👧 שלום",
    "/tmp/x.csv",
    "first",
    "\u{301}",
];

const KEYS: [KeyCode; 14] = [
    KeyCode::Enter,
    KeyCode::Esc,
    KeyCode::Tab,
    KeyCode::BackTab,
    KeyCode::Backspace,
    KeyCode::Delete,
    KeyCode::Insert,
    KeyCode::F(5),
    KeyCode::Null,
    KeyCode::PageDown,
    KeyCode::End,
    KeyCode::Char('\u{202e}'),
    KeyCode::Char('\u{301}'),
    KeyCode::Char('語'),
];

const MODIFIERS: [KeyModifiers; 5] = [
    KeyModifiers::NONE,
    KeyModifiers::SHIFT,
    KeyModifiers::CONTROL,
    KeyModifiers::ALT,
    KeyModifiers::all(),
];

fn random_key(dice: &mut Dice) -> KeyEvent {
    match dice.below(20) {
        0..14 => {
            let binding = dice.of(BINDINGS);
            let key = dice.of(binding.keys);
            KeyEvent::new(key.0, key.1)
        }
        14..16 => KeyEvent::new(*dice.of(&KEYS), *dice.of(&MODIFIERS)),
        16..19 => {
            let letters: Vec<char> = ('a'..='z')
                .chain('0'..='9')
                .chain(" !;'/(".chars())
                .collect();
            KeyEvent::new(KeyCode::Char(*dice.of(&letters)), KeyModifiers::NONE)
        }
        _ => KeyEvent::new_with_kind(
            KeyCode::Char('j'),
            KeyModifiers::NONE,
            KeyEventKind::Release,
        ),
    }
}

/// Lets something happen.
fn step(play: &mut Play, log: &Log, dice: &mut Dice) -> String {
    match dice.below(100) {
        0..80 => {
            let key = random_key(dice);
            play.event(Event::Key(key));
            format!("{:?} {:?}", key.code, key.modifiers)
        }
        80..83 => {
            let text = *dice.of(&TEXTS);
            play.event(Event::Paste(text.to_owned()));
            format!("paste {text:?}")
        }
        83..86 => {
            let sizes = [(1, 1), (200, 60), (80, 24)];
            let (width, height) = if dice.below(3) == 0 {
                *dice.of(&sizes)
            } else {
                (dice.small(1, 200), dice.small(1, 60))
            };
            play.resize(width, height);
            format!("resize {width} {height}")
        }
        86..95 => {
            // Any of the answers that are on the way comes, and perhaps once more.
            play.answers_sql = dice.below(8) == 0;
            let held = play.held.as_mut().expect("answers are held back");
            if held.is_empty() {
                return "no answer".to_owned();
            }
            let job = held.remove(dice.below(held.len()));
            let number = job.number;
            if let Some(event) = play.answer(job) {
                play.event(event);
            }
            if dice.below(4) == 0 {
                let outcomes = [
                    Ok(Outcome::Located(Some(3))),
                    Ok(Outcome::Rows([9, 2, 1].into(), Some(2))),
                    Ok(Outcome::Cells(4, vec![Vec::new()])),
                    Ok(Outcome::Matches(vec![0, 400])),
                    Ok(Outcome::Found(Some(1_000_000))),
                    Err("too late".to_owned()),
                ];
                let place = dice.below(outcomes.len());
                let result = outcomes.into_iter().nth(place).unwrap();
                play.event(Event::Done(Done { number, result }));
            }
            format!("answer {number}")
        }
        _ => {
            let kind = dice.below(6);
            let news = match kind {
                0 => News::Preview(log.results.clone()),
                1 => News::Finished(log.results.clone(), vec!["a problem".to_owned()]),
                2 => News::Note("the log grew".to_owned()),
                3 => News::Files(vec!["a.log".to_owned()]),
                4 => News::Preview(crate::tui::results::Results::default()),
                _ => {
                    play.progress(u64::from(dice.small(0, 5000)));
                    return "progress".to_owned();
                }
            };
            play.event(Event::News(news));
            format!("news {kind}")
        }
    }
}

fn is_shown(grid: &Grid, rows: usize, height: usize) -> bool {
    rows == 0 || grid.visible(rows, height.max(1)).contains(&grid.row)
}

fn is_page_shown(page: &Page, width: usize, height: usize) -> bool {
    let Some(document) = &page.document else {
        return true;
    };
    let grid = page.grid;
    let above = document.lines.iter().take(grid.row).skip(grid.top);
    let lines: usize = above.map(|line| layout::wrap(line, width).len()).sum();
    document.lines.is_empty() || (grid.top <= grid.row && lines < height.max(1))
}

/// Returns whether what has the cursor is on the screen.
fn is_cursor_shown(play: &Play) -> bool {
    let app = &play.app;
    let (width, body, table) = (app.width(), app.body_height(), layout::table_height(app));
    match app.screen() {
        Screen::Tab(Tab::Overview) => is_page_shown(&app.overview, width, body),
        Screen::Tab(Tab::Ingest) => is_page_shown(&app.ingest, width, body),
        Screen::Tab(Tab::Case) => is_page_shown(&app.case_page, width, body),
        Screen::Tab(Tab::Findings) => is_shown(&app.findings.grid, app.findings.shown.len(), table),
        Screen::Tab(Tab::Events) => {
            let split = layout::split(app, app.json());
            let height = split.first.saturating_sub(1);
            is_shown(&app.events.grid, app.events.rows.len(), height)
        }
        Screen::Tab(Tab::Credentials) => {
            is_shown(&app.credentials, app.credential_rows.len(), table)
        }
        Screen::Tab(Tab::Timeline) => {
            app.timeline.histogram.is_none() || app.timeline.cursor < view::timeline::buckets(width)
        }
        Screen::Tab(Tab::Sql) | Screen::Answer(_) => {
            let screen = app.answer();
            let answer = screen.and_then(|screen| Some((screen, screen.answer.as_ref()?)));
            answer.is_none_or(|(screen, answer)| is_shown(&screen.grid, answer.height(), table))
        }
        Screen::Page(screen) => {
            let split = layout::split(app, app.json());
            let width = layout::first_width(app, split);
            is_page_shown(&screen.page, width, split.first)
        }
        Screen::Tab(Tab::Facets) | Screen::FindingFacets => {
            let facets = app.shown_facets().unwrap();
            let values = facets.facet.as_ref();
            let values = values.map_or(0, |facet| facet.values.len());
            is_shown(&facets.fields, app.facet_names().len(), table)
                && is_shown(&facets.values, values, table)
        }
        Screen::Tab(Tab::Questions) | Screen::Form(_) => true,
    }
}

/// Plays so many steps; whoever sees a failure can play the same again by its seed.
fn play(log: &Log, seed: u64, steps: usize) {
    let mut dice = Dice::new(seed);
    let mut play = Play::new(log, 80, 24);
    play.held = Some(Vec::new());
    let mut last = Vec::new();
    for at in 0..steps {
        last.push(step(&mut play, log, &mut dice));
        // Jobs that nobody waits for any more are not begun.
        let held = play.held.as_mut().expect("answers are held back");
        if held.len() > 40 {
            held.drain(..20);
        }
        let context = play.app.context();
        let told = || {
            format!(
                "seed {seed}, step {at}, {:?}: {:?}",
                context,
                &last[last.len().saturating_sub(30)..]
            )
        };
        assert!(!play.app.stack.is_empty(), "{}", told());
        assert!(matches!(play.app.stack[0], Screen::Tab(_)), "{}", told());
        let buffer = play.draw();
        check_cells(&buffer);
        assert!(
            is_cursor_shown(&play),
            "{}\n{}",
            told(),
            super::play::lines(&buffer)
        );
    }
}

#[test]
fn random_play_of_a_recorded_log() {
    for seed in 1..=10 {
        play(&Log::anonymous(), seed, 700);
    }
}

#[test]
fn random_play_of_a_hostile_log() {
    let log = super::hostile_log::log();
    for seed in 101..=106 {
        play(&log, seed, 700);
    }
}

#[test]
fn random_play_of_an_empty_log() {
    for seed in 201..=202 {
        play(&Log::text(""), seed, 500);
    }
}
