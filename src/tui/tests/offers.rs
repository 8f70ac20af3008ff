//! What is offered, and what is said: keys of the footer, names of files, what notes are on.

use std::collections::BTreeSet;

use super::*;
use crate::tui::app::Overlay;
use crate::tui::view;

fn play() -> Play {
    Play::new(&Log::anonymous(), 80, 24)
}

#[track_caller]
fn footer(play: &mut Play) -> String {
    play.screen().lines().last().unwrap().to_owned()
}

/// The way out of the editor was cut off, and nothing else led out.
#[test]
fn the_way_out_of_the_editor_is_seen() {
    let mut play = play();
    play.keys("8");
    assert_eq!(
        footer(&mut play),
        " Ctrl-r run  Esc leave the editor  Tab complete  Ctrl-p Ctrl-n history"
    );
    play.keys("<Esc>7<Enter>");
    assert_eq!(footer(&mut play), " Enter ask  Esc back  Tab next field");
}

/// The footer led with keys that answered that there is nothing under the cursor.
#[test]
fn keys_are_offered_where_they_do_something() {
    let mut play = play();
    let offers = |play: &mut Play, keys: [&str; 3]| {
        let footer = footer(play);
        keys.map(|key| footer.contains(key))
    };
    let keys = [" + only", " s state", " c note"];
    play.keys("0");
    assert_eq!(offers(&mut play, keys), [false; 3]);
    play.keys("1");
    assert_eq!(offers(&mut play, keys), [false; 3]);
    play.keys("2<Enter>");
    assert_eq!(offers(&mut play, keys), [false, true, true]);
}

#[test]
fn a_key_that_does_nothing_says_so() {
    let mut play = play();
    play.keys("6&");
    play.shows("& does nothing here (credentials); ? lists the keys");
    play.keys("1F");
    play.shows("F does nothing here (pages)");
}

#[test]
fn help_that_is_longer_than_the_screen_says_how_to_go_on() {
    for (height, place) in [(24, "1-22 of"), (15, "1-13 of")] {
        let mut play = Play::new(&Log::anonymous(), 80, height);
        play.keys("4?");
        play.shows(place);
        play.shows("j k scroll");
        play.keys("j").shows("2-");
    }
}

/// The same name was offered again, and the dialog was gone with it.
#[test]
fn a_file_that_exists_stays_and_another_name_is_offered() {
    let mut play = play();
    play.keys("4x").shows("kubescry-events.csv");
    play.keys("<Enter>x").shows("kubescry-events-2.csv");
    play.keys("<Esc>");
    let path = play.folder.path().join("rows.csv");
    let write = |play: &mut Play| {
        play.keys("x<C-u>");
        play.keys(&format!("{}<Enter>", path.display()));
    };
    write(&mut play);
    let before = std::fs::read(&path).unwrap();
    play.keys("8SELECT 1 AS n<C-r>");
    write(&mut play);
    play.shows("exists, and stays");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let Some(Overlay::Prompt(prompt)) = &play.app.overlay else {
        panic!("the dialog is gone");
    };
    let free = path.with_file_name("rows-2.csv");
    assert_eq!(prompt.input.lines(), [free.display().to_string()]);
    play.keys("<Enter>").shows("wrote 1 lines");
    assert_eq!(std::fs::read_to_string(free).unwrap(), "n\r\n1\r\n");
    // What is wrong with a name is said where it is typed, too.
    play.keys("x<C-u>");
    let nowhere = play.folder.path().join("no/such.csv");
    play.keys(&format!("{}<Enter>", nowhere.display()));
    play.shows("Write to the file");
    play.shows("No such file");
}

/// Rows that were exported had texts in place of numbers, and empty ones in place of nulls.
#[test]
fn events_are_exported_as_a_query_answers() {
    let mut play = play();
    let folder = play.folder.path().to_owned();
    play.keys("4x<C-u>");
    play.keys(&format!("{}<Enter>", folder.join("view.jsonl").display()));
    let sql = view::events::sql(&play.app).replace('\n', " ");
    play.keys(&format!("8{sql}<C-r>x<C-u>"));
    play.keys(&format!("{}<Enter>", folder.join("sql.jsonl").display()));
    let read = |name: &str| -> BTreeSet<String> {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        text.lines().map(str::to_owned).collect()
    };
    let rows = read("view.jsonl");
    assert_eq!(rows, read("sql.jsonl"));
    let has = |text: &str| rows.iter().any(|row| row.contains(text));
    assert!(has("\"code\":200,") && has("\"namespace\":null"));
}

#[test]
fn credentials_are_exported() {
    let mut play = play();
    play.keys("6x").shows("kubescry-credentials.csv");
    let path = play.folder.path().join("credentials.jsonl");
    play.keys(&format!("<C-u>{}<Enter>", path.display()));
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(text.lines().count(), play.app.credential_rows.len());
    assert!(text.contains("\"uses_after_end\":"), "{text}");
}

/// Two addresses were cut in the middle, and looked alike.
#[test]
fn addresses_are_whole() {
    for width in [80, 100] {
        let mut play = Play::new(&Log::anonymous(), width, 24);
        // Largest first.
        play.keys("4lllllllOg").shows(" 127.0.66.77");
        play.hides("127….");
    }
}

#[test]
fn ascii_has_no_marks_without_a_meaning() {
    let mut play = play();
    play.app.is_ascii = true;
    play.keys("3");
    play.shows("# served % errors d denied u 401 | + minted x ended | ~ API server silent");
    let screen = play.screen();
    assert_eq!(screen.matches('?').count(), 1, "{screen}");
}

/// A name of a megabyte filled the page, and what the finding rests on stood behind it.
#[test]
fn a_long_name_leaves_room_for_why() {
    let mut log = Log::anonymous();
    let mut findings = log.results.findings.to_vec();
    let name = "long ".repeat(200_000);
    for finding in &mut findings {
        finding.actor.username = Some(name.clone());
        finding.summary = format!("{name} did it");
    }
    log.results.findings = findings.into();
    let mut play = Play::new(&log, 80, 60);
    play.keys("2<Enter>");
    play.shows("Why");
    play.shows("more bytes)");
}

/// A note on an event was told by the place in the file.
#[test]
fn a_note_on_an_event_says_who_did_what() {
    let mut play = play();
    play.keys("4jjjjcodd<Enter>9");
    play.shows("system:node:node-1 get nodes node-1 ok: odd");
    play.hides("at byte");
}

#[test]
fn an_incident_is_put_into_the_story() {
    let mut play = play();
    play.keys("1/^ *Incidents<Enter>j");
    let before = play.app.case.story().len();
    play.keys("a").shows("the incident is in the story (9)");
    assert_eq!(play.app.case.story().len(), before + 1);
}
