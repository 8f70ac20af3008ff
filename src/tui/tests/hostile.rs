//! A hostile log: whatever a client writes into it, nothing acts on the terminal, hides, or gives secrets away.

use super::hostile_log::{JWT, TEXTS, TOKEN, lines_of, log};
use super::*;
use crate::report::clean;
use crate::tui::app::{Choice, Overlay};

/// Plays keys; the harness looks at each screen, this at secrets.
#[track_caller]
fn check(play: &mut Play, keys: &str) {
    let screen = play.keys(keys).screen();
    for secret in [TOKEN, &JWT[40..60], "c2lnbmF0dXJl"] {
        assert!(!screen.contains(secret), "{secret} after {keys}\n{screen}");
    }
}

#[track_caller]
fn check_text(text: &str, what: &str) {
    let hidden = text.chars().find(|&c| c != '\n' && clean::is_hidden(c));
    assert_eq!(hidden, None, "in {what}");
    assert!(!text.contains(TOKEN), "in {what}");
    assert!(!text.contains("c2lnbmF0dXJl"), "in {what}");
}

#[test]
fn every_view_of_a_hostile_log() {
    for (width, height) in [(80, 24), (160, 50), (30, 12)] {
        let mut play = Play::new(&log(), width, height);
        play.answers_sql = false;
        check(&mut play, "1");
        for _ in 0..12 {
            check(&mut play, "<C-d>");
        }
        for tab in ["2", "3", "4", "5", "6", "7", "0"] {
            check(&mut play, tab);
            for _ in 0..10 {
                check(&mut play, "jj");
                check(&mut play, "l");
            }
        }
    }
}

#[test]
fn every_finding_and_every_credential() {
    let mut play = Play::new(&log(), 100, 60);
    assert!(play.app.findings.shown.len() > 20, "rules find something");
    for view in ["2", "6"] {
        play.keys(view);
        for _ in 0..40 {
            check(&mut play, "<Enter>");
            check(&mut play, "<C-d><C-d>");
            check(&mut play, "<Esc>j");
        }
    }
}

#[test]
fn every_cell_of_every_row_and_what_it_leads_to() {
    let mut play = Play::new(&log(), 120, 40);
    play.keys("4");
    for _ in 0..26 {
        // Who, what, from where, and the row with its JSON.
        for keys in [
            "l<Enter>",
            "<Esc>llll<Enter>",
            "<Esc>ll<Enter>",
            "<Esc>hhhhhhhhh<Enter>",
        ] {
            check(&mut play, keys);
            check(&mut play, "<Tab><Tab>");
        }
        check(&mut play, "<Esc>jj");
    }
}

#[test]
fn json_beside_the_rows() {
    for (width, height) in [(80, 24), (200, 60)] {
        let mut play = Play::new(&log(), width, height);
        check(&mut play, "4v");
        for _ in 0..48 {
            check(&mut play, "j");
        }
        check(&mut play, "<Tab>");
        for _ in 0..40 {
            check(&mut play, "j ");
        }
        check(&mut play, "*");
        check(&mut play, "/data<Enter>");
    }
}

#[test]
fn every_facet_and_a_filter_by_each_value() {
    let mut play = Play::new(&log(), 80, 24);
    play.keys("5");
    for _ in 0..crate::tui::app::facet_fields().len() {
        check(&mut play, "l");
        check(&mut play, "jj+");
        check(&mut play, "f");
        check(&mut play, "<Esc><Back>hj");
    }
}

#[test]
fn filters_by_hostile_values_find_their_rows() {
    let mut play = Play::new(&log(), 80, 24);
    for (at, text) in TEXTS.iter().enumerate() {
        play.keys("4");
        play.app.events.grid.row = at * 2;
        play.app.events.grid.column = 2;
        play.keys("+");
        assert_eq!(play.app.events.rows.len(), 2, "{text:?}");
        check(&mut play, "=");
        check(&mut play, "<Esc><Back>");
    }
}

#[test]
fn breadcrumbs_and_copies() {
    let mut play = Play::new(&log(), 80, 24);
    play.keys("4l");
    for _ in 0..24 {
        check(&mut play, "<Enter>");
        for tab in ["", "<Tab>", "<Tab><Tab>"] {
            check(&mut play, tab);
            check(&mut play, "y");
            if let Some(Overlay::Menu(menu)) = &play.app.overlay {
                for (_, what, choice) in &menu.items {
                    let Choice::Copy(text) = choice else {
                        panic!("{what} is no copy");
                    };
                    check_text(text, what);
                }
            }
            play.keys("<Esc>");
        }
        play.keys("4jj");
        check(&mut play, "v");
        check(&mut play, "y");
        if let Some(Overlay::Menu(menu)) = &play.app.overlay {
            for (_, what, choice) in &menu.items {
                if let Choice::Copy(text) = choice {
                    check_text(text, what);
                }
            }
        }
        play.keys("<Esc>v=y<Esc>");
    }
    assert!(play.copied.len() >= 24);
    for text in &play.copied {
        check_text(text, "the SQL");
    }
}

#[test]
fn a_case_of_hostile_things_and_its_reports() {
    let mut play = Play::new(&log(), 80, 24);
    for _ in 0..24 {
        check(&mut play, "4");
        check(&mut play, "jjm");
        check(&mut play, "a");
        check(&mut play, "u");
        check(&mut play, "cnote<Enter>");
        check(&mut play, "2ja");
        check(&mut play, "cnote<Enter>sb");
    }
    check(&mut play, "9");
    for _ in 0..60 {
        check(&mut play, "j");
    }
    for end in ["md", "html"] {
        let path = play.folder.path().join(format!("case.{end}"));
        play.keys("9x");
        for _ in 0..30 {
            play.keys("<Back>");
        }
        check(&mut play, &format!("{}<Enter>", path.display()));
        check_text(&std::fs::read_to_string(&path).unwrap(), end);
    }
}

#[test]
fn exported_rows() {
    let mut play = Play::new(&log(), 80, 24);
    for (keys, end) in [
        ("4x", "csv"),
        ("4x", "md"),
        ("8SELECT * FROM events<C-r>x", "csv"),
    ] {
        let path = play.folder.path().join(format!("rows{}.{end}", keys.len()));
        play.keys(keys);
        for _ in 0..30 {
            play.keys("<Back>");
        }
        check(&mut play, &format!("{}<Enter>", path.display()));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.lines().count() > 40, "{text}");
        // RFC 4180 ends lines with both.
        check_text(&text.replace("\r\n", "\n"), end);
    }
    let path = play.folder.path().join("findings.jsonl");
    play.keys("2x");
    for _ in 0..30 {
        play.keys("<Back>");
    }
    check(&mut play, &format!("{}<Enter>", path.display()));
    let text = std::fs::read_to_string(&path).unwrap();
    // JSON has escapes of its own: a terminal sees none of its control characters.
    assert!(!text.chars().any(|c| c != '\n' && c.is_ascii_control()));
    assert!(!text.contains(TOKEN));
}

#[test]
fn answers_with_hostile_values() {
    let mut play = Play::new(&log(), 100, 30);
    check(
        &mut play,
        "8SELECT username, name, user_agent, request_uri, message FROM requests<C-r>",
    );
    for _ in 0..25 {
        check(&mut play, "jj");
    }
    check(&mut play, "ll");
    check(&mut play, "y<Esc>");
    // A user of that name is asked about, by the form and by the SQL of it.
    play.keys("4gl<Enter>");
    for _ in 0..60 {
        play.keys("j");
    }
    check(&mut play, "<Enter>");
    check(&mut play, "<Enter>");
    check(&mut play, "p");
    check(&mut play, "<Up><Up><Right>");
}

#[test]
fn a_megabyte_of_text_in_every_field() {
    let text = "long\u{202e} ".repeat(120_000);
    // Rules take their time for so much text, and here is looked at what is shown.
    let log = Log::unjudged(&lines_of([&*text].into_iter()));
    let mut play = Play::new(&log, 80, 24);
    for keys in [
        "1", "2", "<Enter>", "3", "4", "v", "<Tab>jjj", "4v5", "jjjjl", "6", "<Enter>", "9", "0",
    ] {
        check(&mut play, keys);
    }
}

#[test]
fn texts_that_are_edited_are_drawn_clean() {
    let mut play = Play::new(&log(), 60, 20);
    for text in TEXTS {
        play.app.sql.editor = crate::tui::app::editor(text);
        play.app.sql.in_editor = true;
        check(&mut play, "8");
        for _ in 0..20 {
            check(&mut play, "<Left>");
        }
    }
    play.app.sql.editor = crate::tui::app::editor("ad\u{200b}min \u{202e}x");
    play.shows("ad\\u{200b}min \\u{202e}x");
}
