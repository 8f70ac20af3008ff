//! What once went wrong.

use super::*;
use crate::case::{Case, SourceFile};
use crate::report::clean;
use crate::tui::app::{Overlay, Screen, Tab};
use crate::tui::document::{Document, Part};
use crate::tui::growth::Grown;
use crate::tui::layout::wrap;
use crate::tui::update::{Event, News};

fn play() -> Play {
    Play::new(&Log::anonymous(), 80, 24)
}

/// A search among the fields moved the cursor, and the values stayed those of the field before: `+` then filtered one
/// field by the value of another.
#[test]
fn a_search_among_fields_shows_the_values_of_what_it_finds() {
    let mut play = play();
    play.keys("5/resource<Enter>l");
    play.shows("nodes");
    play.keys("+");
    play.shows("[resource = ");
}

/// The SQL that was copied had `\n` where lines end.
#[test]
fn copied_sql_has_lines() {
    let mut play = play();
    play.keys("4ys");
    let copied = play.copied.pop().unwrap();
    assert!(copied.lines().count() >= 3, "{copied}");
    assert!(!copied.contains("\\n"), "{copied}");
}

/// After a filter, `n` said that nothing matches, although nobody had looked.
#[test]
fn matches_are_looked_for_among_new_rows() {
    let mut play = play();
    play.keys("4/secrets<Enter>&anonymous<Enter>n");
    let matches = play.app.events.matches.as_ref().unwrap();
    assert!(!matches.is_empty());
    play.shows(&format!("match 1 of {}", matches.len()));
}

/// A wrapped line whose last word ended at the edge lost its last letter to the blank behind it.
#[test]
fn a_full_line_keeps_its_last_letter() {
    let mut document = Document::new("");
    document.line([Part::from("abcd efgh")]);
    let lines: Vec<String> = wrap(&document.lines[0], 4)
        .into_iter()
        .map(|pieces| pieces.into_iter().map(|piece| piece.text).collect())
        .collect();
    assert_eq!(lines[0], "abcd");
}

/// A page that shows a megabyte was wrapped anew at each key.
#[test]
fn a_page_shows_the_beginning_of_a_long_text() {
    let text = format!("{}Bearer {}", "x ".repeat(4090), "s".repeat(1 << 20));
    let part = Part::from(text);
    assert!(part.text.len() < 10_000);
    assert!(part.text.ends_with(" more bytes)") || part.text.ends_with("[redacted]"));
    assert!(!part.text.contains("ss"));
}

/// The list of findings told of `&`, and the key did nothing there.
#[test]
fn findings_and_questions_are_filtered_by_a_text() {
    let mut play = play();
    play.keys("2&secret<Enter>");
    play.shows(" of 22 findings by severity [/secret/]");
    play.keys("<Back>");
    play.shows("22 findings");
    let all = play.app.listed_questions().len();
    play.keys("7&token<Enter>");
    assert!((1..all).contains(&play.app.listed_questions().len()));
    play.keys("&no such thing<Enter>");
    play.shows("no question matches");
}

/// A question that was told nothing found nothing.
#[test]
fn a_form_says_what_it_must_be_told() {
    let mut play = play();
    play.keys(":blast-radius<Enter><Enter>");
    play.shows("`blast-radius` must be told one of `credential`, `who`, `ip`");
    play.keys("<Tab>system:anonymos<Enter>");
    play.shows("no event has `system:anonymos` in `username` or `imp_username`;");
    play.shows("mean `system:anonymous`?");
}

/// Incidents behind the twelfth could not be reached.
#[test]
fn all_incidents_can_be_reached() {
    let mut log = Log::anonymous();
    let mut incident = log.results.incidents[0].clone();
    let incidents = (0..30).map(|number| {
        incident.title = format!("incident number {number}");
        incident.clone()
    });
    log.results.incidents = incidents.collect();
    let mut play = Play::new(&log, 80, 24);
    play.keys("1/18 more<Enter><Enter>");
    play.shows("Incidents (30)");
    play.keys("G");
    play.shows("incident number 29");
    play.keys("<Esc>");
    play.shows("+18 more");
}

/// What was noted on a finding was seen in the case only.
#[test]
fn a_page_shows_its_notes_and_its_state() {
    let mut play = play();
    play.keys("2<Enter>");
    play.shows("state       new");
    play.keys("cask the team<Enter>sb");
    play.shows("state       benign");
    play.shows("note        ask the team");
    play.keys("1");
    play.keys("2<Enter>");
    play.shows("note        ask the team");
    play.keys("6<Enter>crotated<Enter>");
    play.shows("note        rotated");
    play.keys("6");
    play.shows("\n*");
}

/// Times of an answer were cut in the middle, and so were addresses.
#[test]
fn answers_show_whole_times_and_addresses() {
    let mut play = play();
    play.keys("8SELECT user_agent, request_uri, username, stage_ts, peer_ip, ms FROM requests ORDER BY ms<C-r>");
    play.keys("lllll");
    let answer = play.app.answer().unwrap().answer.clone().unwrap();
    let row = answer.row(0);
    let time = row[3].show()[5..19].replace('T', " ");
    play.shows(&format!("{time}Z"));
    play.shows(&row[4].show());
    play.shows(&row[5].show());
}

/// A name of 5000 letters filled the overview.
#[test]
fn long_names_are_cut_in_lists() {
    let name = format!("a{}z", "b".repeat(5000));
    let part = Part::link(&name, crate::tui::pivot::Pivot::Identity(name.clone()));
    let listed = part.clone().listed();
    assert_eq!(clean::columns(&listed.text), 60);
    assert!(listed.text.starts_with("ab") && listed.text.ends_with("bz"));
    assert_eq!(part.text, name);
    let title = format!(
        "{name} made {name} cluster-admin {}",
        "and so on ".repeat(100)
    );
    let to = crate::tui::pivot::Pivot::Incident(String::new());
    assert!(clean::columns(&Part::link(&title, to).listed().text) <= 400);
}

/// Ctrl-u brought back what was deleted before.
#[test]
fn a_prompt_is_cleared_to_its_beginning() {
    let mut play = play();
    play.keys("4&kube<Back><C-u>node<Enter>");
    play.shows("[/node/]");
    play.keys("8SELECT 1<C-u>SELECT 2<C-r>");
    assert_eq!(play.app.answer().unwrap().sql, "SELECT 2");
}

/// After an error, keys went to an answer that is not there.
#[test]
fn a_query_that_is_wrong_is_mended_where_it_was_typed() {
    let mut play = play();
    play.keys("8SELECT usrname FROM events<C-r>");
    play.shows("did you mean `username`?");
    play.keys("<C-u>SELECT username FROM events<C-r>");
    assert!(play.app.answer().unwrap().answer.is_some());
}

/// The number of requests led nowhere, and what a page leads to forgot whose page it was.
#[test]
fn rows_behind_a_page_are_those_of_its_subject() {
    let mut play = Play::new(&Log::anonymous(), 120, 24);
    play.keys("4&kubelet<Enter>:system:anonymous<Enter>/requests<Enter><Enter>");
    play.shows("requests [username = system:anonymous] (off: /kubelet/)");
    play.keys(":system:anonymous<Enter>/curl<Enter><Enter>");
    play.shows("[username = system:anonymous]");
    play.shows("[user_agent = ");
}

/// A slip of the fingers deleted what somebody had written.
#[test]
fn what_was_written_goes_only_when_that_is_confirmed() {
    let mut play = play();
    play.keys("9ca note<Enter>/: a note<Enter>d");
    play.shows("Delete the note?");
    play.keys("n");
    play.shows("the case: a note");
    play.keys("dy");
    play.hides("the case: a note");
    play.keys("ga");
    play.keys("a text<Enter>/a text<Enter>d");
    play.shows("Take it out of the story?");
    play.keys("<Esc>");
    play.shows("1. a text");
    play.keys("dy");
    play.hides("1. a text");
}

/// The timeline of an empty log told of filters, and none was set.
#[test]
fn an_empty_timeline_says_why() {
    let mut play = Play::new(&Log::text(""), 80, 24);
    play.keys("3");
    play.shows("the log holds no event");
    play.hides("passes the filters");
}

/// Days of two years looked as if they were of one.
#[test]
fn days_of_several_years_have_their_year() {
    let event = |year: &str| {
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{year}","stage":"ResponseComplete","requestURI":"/version","verb":"get","user":{{"username":"eve"}},"sourceIPs":["10.0.0.1"],"responseStatus":{{"metadata":{{}},"code":200}},"requestReceivedTimestamp":"{year}.000000Z","stageTimestamp":"{year}.000000Z"}}"#
        )
    };
    let log = [event("2025-12-31T23:59:58"), event("2026-01-01T00:00:01")].join("\n");
    let mut play = Play::new(&Log::text(&log), 80, 24);
    play.keys("4");
    play.shows("2025-12-31 23:59:58Z");
    play.shows("2026-01-01 00:00:01Z");
    play.shows("1 of 2 requests");
    play.keys("G");
    play.shows("2 of 2 requests");
}

/// Scrolling on at the end was counted, and as many keys back did nothing.
#[test]
fn help_scrolls_back_from_its_end_at_once() {
    let mut play = play();
    play.keys("?");
    for _ in 0..30 {
        play.keys("<PgDn>");
    }
    let end = play.screen();
    play.keys("k");
    assert_ne!(play.screen(), end);
}

/// A text pasted into the palette left the cursor behind the last command.
#[test]
fn the_cursor_is_on_a_command_after_a_paste() {
    let mut play = play();
    play.keys(":<PgDn><PgDn><PgDn>");
    play.event(crate::tui::update::Event::Paste("timeline".to_owned()));
    let Some(Overlay::Palette(palette)) = &play.app.overlay else {
        panic!("the palette is open");
    };
    assert!(palette.grid.row < palette.entries.len());
}

/// Dropping the last of several filters left the cursor behind the others.
#[test]
fn the_cursor_is_on_a_filter_after_one_was_dropped() {
    let mut play = play();
    play.keys("4&kube<Enter>&get<Enter>&node<Enter>fjjd");
    let Some(Overlay::Filters(grid)) = &play.app.overlay else {
        panic!("the filters are open");
    };
    assert_eq!((grid.row, play.app.chips.chips.len()), (1, 2));
    play.keys("d");
    assert_eq!(play.app.chips.chips.len(), 1);
}

/// The timeline kept its buckets on another screen, and its cursor was out of sight.
#[test]
fn the_timeline_is_counted_anew_for_another_size() {
    let mut play = Play::new(&Log::anonymous(), 160, 24);
    play.keys("3");
    for _ in 0..14 {
        play.keys("<Down>");
    }
    let time = play.app.timeline.time().unwrap();
    play.resize(60, 24);
    let histogram = play.app.timeline.histogram.as_ref().unwrap();
    assert_eq!(histogram.buckets.len(), 50);
    assert_eq!(histogram.bucket_of(time), Some(play.app.timeline.cursor));
}

/// From the events, the timeline opened at its beginning.
#[test]
fn the_timeline_opens_at_the_time_of_the_row() {
    let mut play = play();
    play.keys("4Gi");
    let histogram = play.app.timeline.histogram.as_ref().unwrap();
    assert!(play.app.timeline.cursor > histogram.buckets.len() / 2);
    play.keys("i");
    assert!(play.app.events.grid.row > play.app.events.rows.len() / 2);
}

/// Zooming moved the cursor to the middle, where it had been at another time.
#[test]
fn zooming_keeps_the_time_of_the_cursor() {
    let mut play = play();
    play.keys("3<Down><Down>lll");
    for keys in ["z", "z", "z", "Z", "Z"] {
        let time = play.app.timeline.time().unwrap();
        play.keys(keys);
        let histogram = play.app.timeline.histogram.as_ref().unwrap();
        assert_eq!(
            histogram.bucket_of(time),
            Some(play.app.timeline.cursor),
            "{keys}"
        );
    }
}

/// A bookmark that a filter hides caught `u`: it went to the same one again and again.
#[test]
fn bookmarks_that_filters_hide_are_passed() {
    let mut play = play();
    play.keys("4jjm<Down><Down><Down>mGmg");
    play.keys("ll+");
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..6 {
        play.keys("u");
        seen.extend(
            play.app
                .message
                .clone()
                .and_then(|text| text.chars().nth(9)),
        );
    }
    assert!(seen.contains(&'2') && seen.contains(&'3'), "{seen:?}");
}

/// A request without a status had the status 0 in the view and none in SQL.
#[test]
fn no_status_is_none_everywhere() {
    let mut play = play();
    play.keys("4r5/^code$<Enter>");
    let none = play.app.facets.facet.as_ref().unwrap();
    let (_, count) = none
        .values
        .iter()
        .find(|(value, _)| value.is_empty())
        .unwrap();
    let count = *count;
    play.shows("(none)");
    play.app.chips.add(
        crate::tui::chips::Ask::Value(crate::frame::Column::Code.into(), "0".to_owned()),
        false,
    );
    assert!(play.app.chips.sql().contains("code IS NULL"));
    let filter = play.app.chips.filter();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let snapshot = play.desk.store.read().unwrap().snapshot();
    let rows = filter.apply(&snapshot, &stop).unwrap().unwrap();
    assert_eq!(rows.len() as u64, count);
}

/// The line that says that nothing passes was written over the scale of the timeline.
#[test]
fn an_empty_timeline_says_so_in_whole_words() {
    let mut play = play();
    play.keys("3&no such thing<Enter>");
    play.shows("no row in this time passes the filters");
}

/// Free SQL without rows was told that the log holds what it needs, which nobody knows.
#[test]
fn sql_without_rows_claims_nothing() {
    let mut play = play();
    play.keys("8SELECT verb FROM events WHERE verb = 'x'<C-r>");
    play.shows("no rows");
    play.hides("nothing in it answers");
}

/// Requests of no resource showed nothing but their verb.
#[test]
fn paths_stand_for_what_is_no_resource() {
    let mut play = play();
    play.keys("4");
    play.shows("/healthz");
    play.keys("llllll+");
    play.shows("[request_uri = /healthz]");
}

/// The star of a bookmark had no room of its own, and the date before the time was cut.
#[test]
fn a_bookmark_does_not_cut_the_date() {
    let mut play = play();
    play.keys("4m");
    play.shows("*11-22 04:55:27Z  200 syste");
    let mut wide = Play::new(&Log::anonymous(), 200, 24);
    wide.keys("4m");
    wide.shows("*2026-11-22 04:55:27.650Z");
}

/// The whole of an answer was made into text for each search, by the thread that draws.
#[test]
fn an_answer_is_searched_by_the_worker() {
    let mut play = play();
    play.keys("8SELECT verb FROM requests ORDER BY stage_ts<C-r>");
    let rows = |play: &Play| {
        let answer = play.app.answer().unwrap().answer.as_ref().unwrap();
        let is_list = |row_idx: &usize| answer.row(*row_idx)[0].show() == "list";
        (0..answer.height()).filter(is_list).collect::<Vec<_>>()
    };
    let lists = rows(&play);
    assert!(lists.len() > 2, "{lists:?}");
    let at = |play: &Play| play.app.answer().unwrap().grid.row;
    play.keys("/^list$<Enter>");
    let first = lists.iter().find(|row| **row > 0).unwrap();
    assert_eq!(at(&play), *first);
    play.keys("N");
    let last = lists.iter().rev().find(|row| **row != *first).unwrap();
    assert_eq!(at(&play), if lists[0] < *first { lists[0] } else { *last });
    // What comes when nobody waits for it any more moves nothing.
    play.held = Some(Vec::new());
    play.keys("n/no such verb<Enter>");
    assert_eq!(play.held.as_ref().unwrap().len(), 2);
    play.release(|_| 0);
    play.shows("no match of /no such verb/");
    assert_eq!(at(&play), if lists[0] < *first { lists[0] } else { *last });
}

/// What a page led to took the page away, and Esc went to the overview: rows and filters from before were gone, too.
#[test]
fn back_from_what_a_page_led_to_is_what_stood_before() {
    let mut play = Play::new(&Log::anonymous(), 120, 24);
    play.keys("4&kubelet<Enter>rGkkk");
    let events = play.screen();
    play.keys(":system:anonymous<Enter>/requests<Enter>");
    play.app.message = None;
    let page = play.screen();
    for keys in [
        "<Enter>",
        "+",
        "<Enter>jji",
        "<Enter>lllF",
        "<Enter>&get<Enter>oGv<Esc>",
    ] {
        play.keys(keys);
        play.shows("username = system:anonymous");
        let is_in_values = matches!(play.app.shown_facets(), Some(facets) if facets.in_values);
        play.keys(if is_in_values { "<Esc><Esc>" } else { "<Esc>" });
        assert_eq!(play.screen(), page, "{keys}");
    }
    // One way back after the other.
    play.keys("<Enter>:kubernetes-admin<Enter>/requests<Enter><Enter>");
    play.shows("[username = kubernetes-admin]");
    play.keys("<Esc><Esc><Esc>");
    assert_eq!(play.screen(), page);
    play.keys("q");
    assert_eq!(play.screen(), events);
    // Who goes to a view by its number takes the filters along.
    play.keys(":system:anonymous<Enter>/requests<Enter><Enter>5");
    play.shows("[username = system:anonymous]");
    play.keys("<Esc>");
    assert!(matches!(play.app.stack[..], [Screen::Tab(Tab::Overview)]));
}

/// So did the SQL of an answer, and a value in an answer.
#[test]
fn back_from_what_an_answer_led_to_is_the_answer() {
    let mut play = play();
    play.keys(
        "8SELECT verb, COUNT(*) AS n FROM requests GROUP BY verb ORDER BY n DESC, verb<C-r>j",
    );
    let answer = play.screen();
    play.keys("<Enter>");
    play.shows("[verb = ");
    play.keys("<Esc>");
    assert_eq!(play.screen(), answer);
    play.keys("7/anonymous<Enter><Enter><C-r>");
    let answer = play.screen();
    play.keys("p<Esc><Esc>");
    assert_eq!(play.screen(), answer);
}

/// A log that was written on while it was looked at looked as if it were whole.
#[test]
fn growth_of_a_log_is_told_where_there_is_room() {
    let mut play = play();
    let grown = |bytes| {
        let name = "/var/log/kubernetes/audit.log".to_owned();
        Event::News(News::Grown(vec![Grown { name, bytes }]))
    };
    play.event(grown(Some(3 << 20)));
    play.shows("audit.log has grown by 3145 KB: open it again to read it");
    play.keys("4");
    play.shows("grown by 3145 KB (0) mem");
    play.keys("0");
    play.shows("/var/log/kubernetes/audit.log has grown by 3145 KB");
    play.shows("To read the rest, leave (q) and browse the same");
    play.event(grown(None));
    play.shows("audit.log is another file now: open it again to read it");
}

/// That a case was damaged stood in its own view only, and notes were taken on as if those from before were there.
#[test]
fn a_damaged_case_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join(crate::case::DATABASE);
    std::fs::write(&database, "no database").unwrap();
    let case = Case::open(folder.path()).unwrap();
    let log = Log::anonymous();
    let mut play = Play::with_case(&log, case, Some(folder.path().to_owned()), (80, 24));
    play.shows("the case was damaged and starts empty (9)");
    play.finish(&log);
    play.keys("4");
    play.shows("1 problem (0) mem");
    play.keys("0");
    play.shows("it is not a database");
    play.event(Event::News(News::Damaged("results are damaged".to_owned())));
    play.shows("results are damaged");
    play.shows("2 problems (0)");
    // What cannot be saved any more is told for as long as it is so.
    play.hides("not saved");
    std::fs::remove_file(&database).unwrap();
    play.keys("2cLooks bad<Enter>j");
    play.shows("not saved (9) 2 problems (0)");
    play.keys("9");
    play.shows("The last changes could not be saved");
}

/// A bookmark went at one key, and with it its place in the story.
#[test]
fn a_bookmark_goes_only_when_that_is_confirmed() {
    let mut play = play();
    play.keys("4jjm9/anonymous get<Enter>d");
    play.shows("Delete the bookmark?");
    play.keys("n");
    assert_eq!(play.app.case.bookmarks().len(), 1);
    play.keys("dy");
    play.shows("bookmark removed");
    assert_eq!(play.app.case.bookmarks().len(), 0);
    // What nobody put in order is set again by the same key.
    play.keys("4mm");
    assert_eq!(play.app.case.bookmarks().len(), 0);
    play.keys("am");
    play.shows("Delete the bookmark, and take it out of the story?");
    play.keys("n");
    assert_eq!(play.app.case.story().len(), 1);
    play.keys("my");
    play.shows("bookmark removed, also from the story");
    assert!(play.app.case.bookmarks().is_empty() && play.app.case.story().is_empty());
}

/// A report did not tell which files it is of: a name can be that of any.
#[test]
fn a_report_has_what_tells_its_files_from_others() {
    let mut play = play();
    let folder = play.folder.path().to_owned();
    let log = folder.join("short.log");
    std::fs::write(&log, "abc").unwrap();
    let source = SourceFile::read("logs/short.log", &log, &[]).unwrap();
    play.event(Event::News(News::Sources(vec![source])));
    for name in ["case.md", "case.html"] {
        let path = folder.join(name);
        play.keys(&format!("9x<C-u>{}<Enter>", path.display()));
        let report = std::fs::read_to_string(path).unwrap();
        // SHA-256 of `abc`: FIPS 180-2, appendix B.1.
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(report.contains(hash), "{report}");
    }
}

/// A list that was opened in full could not be sorted as other tables are, and what is in it had to be opened first.
#[test]
fn a_whole_list_is_sorted_and_searched() {
    let mut log = Log::anonymous();
    let mut incident = log.results.incidents[0].clone();
    let incidents = (0..30).map(|number| {
        incident.title = format!("incident number {:02}", (number * 7) % 30);
        incident.clone()
    });
    log.results.incidents = incidents.collect();
    let mut play = Play::new(&log, 80, 24);
    play.keys("/18 more<Enter><Enter>");
    let first = |play: &mut Play| {
        let screen = play.screen();
        let at = screen.find("incident number ").unwrap() + "incident number ".len();
        screen[at..at + 2].to_owned()
    };
    assert_eq!(first(&mut play), "00");
    play.keys("O");
    play.shows("sorted by severity, reversed");
    assert_eq!(first(&mut play), "23");
    play.keys("ooj");
    play.shows("by title  ");
    play.keys("O/number 1<Enter>");
    assert_eq!(first(&mut play), "29");
    play.keys("yv");
    assert!(play.copied.pop().unwrap().contains("incident number 19"));
    // The list on the overview is as it was.
    play.keys("<Esc>g");
    assert_eq!(first(&mut play), "00");
    let mut loose = Log::anonymous();
    let mut findings = loose.results.findings.to_vec();
    for finding in &mut findings {
        finding.incident_id = None;
    }
    loose.results.findings = findings.into();
    let mut play = Play::new(&loose, 80, 24);
    play.keys("/more$<Enter><Enter>ojjsbcLooks fine<Enter>a");
    play.shows("the finding is in the story (9)");
    assert_eq!(play.app.case.states().count(), 1);
    assert_eq!(play.app.case.notes().count(), 1);
}
