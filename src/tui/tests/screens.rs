//! Whole screens of every view, kept as files that are read in a review.

use super::*;

/// Compares a screen with its file in `tests/snapshots`; `INSTA_UPDATE=always` writes the file anew.
#[track_caller]
fn snapshot(name: &str, screen: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../tests/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    // Lines of the screen begin with a bar, so that blanks at the left are seen.
    let screen = format!(
        "|{}\n",
        screen
            .strip_suffix('\n')
            .unwrap_or(screen)
            .replace('\n', "\n|")
    );
    settings.bind(|| insta::assert_snapshot!(format!("tui_{name}"), screen));
}

#[track_caller]
fn check_at(name: &str, keys: &str, width: u16, height: u16) {
    let mut play = Play::new(&Log::anonymous(), width, height);
    play.keys(keys);
    snapshot(&format!("{name}_{width}x{height}"), &play.screen());
}

/// Compares what keys lead to at the size that all terminals have.
#[track_caller]
fn check(name: &str, keys: &str) {
    check_at(name, keys, 80, 24);
}

/// Views by name, and the keys that lead to them.
const VIEWS: [(&str, &str); 15] = [
    ("overview", "1"),
    ("findings", "2"),
    ("finding", "2<Enter>"),
    ("finding_facets", "2F"),
    ("timeline", "3"),
    ("events", "4"),
    ("json", "4v"),
    ("facets", "5"),
    ("credentials", "6"),
    ("questions", "7"),
    ("form", "7<Enter>"),
    ("sql", "8"),
    ("case", "9"),
    ("ingest", "0"),
    ("help", "4?"),
];

#[test]
fn views_at_the_size_of_all_terminals() {
    for (name, keys) in VIEWS {
        check(name, keys);
    }
}

#[test]
fn views_on_small_and_on_large_screens() {
    for name in [
        "overview",
        "findings",
        "timeline",
        "events",
        "json",
        "credentials",
    ] {
        let (_, keys) = VIEWS.into_iter().find(|view| view.0 == name).unwrap();
        check_at(name, keys, 120, 40);
    }
    for name in ["findings", "events", "questions"] {
        let (_, keys) = VIEWS.into_iter().find(|view| view.0 == name).unwrap();
        check_at(name, keys, 40, 10);
    }
    check_at("events", "4", 20, 5);
    check_at("events", "4", 1, 1);
    check_at("json", "4v", 200, 60);
    check_at("finding", "2<Enter>", 200, 60);
}

#[test]
fn cards() {
    check("identity", ":system:anonymous<Enter>");
    check("address", ":127.0.66.21<Enter>");
    check("credential", "6<Enter>");
    check("event", "4jjl<Enter>");
}

#[test]
fn answers() {
    check("answer", ":anonymous<Enter><Enter>");
    let sql = "SELECT verb, COUNT(*) AS n FROM requests GROUP BY verb ORDER BY n DESC, verb";
    check("sql_answer", &format!("8{sql}<C-r>"));
    check("sql_error", "8SELECT nothing FROM nowhere<C-r>");
    check("sql_completion", "8SELECT user<Tab>");
    check(
        "sql_no_rows",
        "8SELECT verb FROM events WHERE verb = 'x'<C-r>",
    );
}

#[test]
fn what_is_over_a_view() {
    check("palette", "4:time");
    check("filters", "4jll+&kube<Enter>l-f");
    check("finding_filters", "2Fl-&!kube<Enter>f");
    check("columns", "4C");
    check("copy", "4ljy");
    check("state", "2s");
    check("sql_behind", "4jll+=");
    check("search", "4/admin");
    check("search_error", "4/(<Enter>");
}

#[test]
fn a_case() {
    let story =
        "2cLooks bad<Enter>as<Down><Enter>4jjmjja9cA note on the case<Enter>aAnd a text<Enter>";
    check("case_filled", story);
}

#[test]
fn filters_that_hide_everything_say_so() {
    check("events_none", "4&no such thing<Enter>");
    check("timeline_none", "3&no such thing<Enter>");
    check("facets_none", "5&no such thing<Enter>");
    check("findings_none", "2&no such thing<Enter>");
}

#[test]
fn a_stretch_of_the_timeline() {
    check("timeline_brush", "3<Down><Down> lllll");
    check("timeline_zoom", "3<Down><Down>zz");
}

#[test]
fn before_anything_is_read() {
    for (name, keys) in VIEWS.into_iter().filter(|(name, _)| *name != "help") {
        let mut play = Play::unread(&Log::text(""), 80, 24);
        play.keys(keys);
        let screen = play.screen();
        assert!(screen.contains("starting"), "{name}\n{screen}");
    }
}

#[test]
fn every_view_fits_every_size() {
    let log = Log::anonymous();
    for (_, keys) in VIEWS {
        let mut play = Play::new(&log, 80, 24);
        play.answers_sql = false;
        play.keys(keys);
        for (width, height) in [
            (1, 1),
            (2, 2),
            (3, 4),
            (20, 5),
            (40, 10),
            (80, 24),
            (200, 60),
        ] {
            play.resize(width, height);
            play.screen();
        }
    }
}
