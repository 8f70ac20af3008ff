//! Colors say nothing alone, and can be left out.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

use super::play::lines;
use super::*;
use crate::tui::theme::Theme;

const VIEWS: [&str; 12] = [
    "1",
    "2",
    "2<Enter>",
    "3",
    "4",
    "4jjv<Tab>",
    "5",
    "6",
    "7",
    "8",
    "9",
    "0",
];

fn drawn(theme: Theme, keys: &str) -> Buffer {
    let mut play = Play::new(&Log::anonymous(), 100, 40);
    play.app.theme = theme;
    play.keys(keys).draw()
}

#[test]
fn all_themes_draw_the_same_text() {
    for keys in VIEWS {
        let dark = lines(&drawn(Theme::Dark, keys));
        for theme in [Theme::Light, Theme::Contrast, Theme::Plain] {
            assert_eq!(lines(&drawn(theme, keys)), dark, "{theme:?} {keys}");
        }
    }
}

#[test]
fn no_color_is_no_color_at_all() {
    for keys in VIEWS {
        for cell in &drawn(Theme::Plain, keys).content {
            assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset), "{keys}");
            assert_eq!(cell.underline_color, Color::Reset, "{keys}");
        }
    }
}

#[test]
fn without_color_severities_are_letters() {
    let screen = lines(&drawn(Theme::Plain, "2"));
    for letter in ["C ", "H ", "M ", "L ", "I "] {
        let is_there = screen.lines().any(|line| line.starts_with(letter));
        assert!(is_there, "no {letter} in\n{screen}");
    }
}

#[test]
fn without_color_refusals_are_status_and_bold() {
    let buffer = drawn(Theme::Plain, "4lOg");
    let mut n_refused = 0;
    for y in 2..buffer.area.height - 2 {
        let line: String = (0..buffer.area.width)
            .map(|x| buffer[(x, y)].symbol())
            .collect();
        let is_refused = line.contains(" 401 ") || line.contains(" 403 ");
        let is_bold = buffer[(0, y)].modifier.contains(Modifier::BOLD);
        // The line of the cursor is bold whatever it says.
        assert!(!is_refused || is_bold, "{line}");
        n_refused += usize::from(is_refused);
    }
    assert!(n_refused > 0, "{}", lines(&buffer));
}

#[test]
fn the_cursor_is_seen_without_color() {
    for keys in ["2", "4", "5", "6", "7"] {
        let buffer = drawn(Theme::Plain, keys);
        let body = &buffer.content[100..100 * 38];
        let is_reversed = |cell: &ratatui::buffer::Cell| cell.modifier.contains(Modifier::REVERSED);
        assert!(body.iter().any(is_reversed), "{keys}");
    }
}

#[test]
fn ascii_screens_have_only_ascii() {
    for keys in VIEWS
        .into_iter()
        .chain(["4?", "4:", "4C", "4y", "3 lll", "5l"])
    {
        let mut play = Play::new(&Log::anonymous(), 80, 24);
        play.app.is_ascii = true;
        let screen = play.keys(keys).screen();
        assert!(screen.is_ascii(), "{keys}\n{screen}");
    }
}
