//! A hostile log: whatever a client writes into it, nothing acts on the terminal, hides, or gives secrets away.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;
use crate::report::clean;
use crate::tui::app::{Choice, Overlay};

/// What clients write into what they may choose.
const TEXTS: [&str; 22] = [
    "\u{1b}]52;c;cm0gLXJmIC8K\u{7}",
    "\u{1b}]8;;http://evil.example\u{1b}\\click\u{1b}]8;;\u{1b}\\",
    "\u{1b}[2J\u{1b}[31mred\u{1b}[0m",
    "\u{9b}31m\u{9d}0;title\u{9c}",
    "user\u{202e}nimda\u{202c}",
    "\u{2066}isolated\u{2069}\u{200f}",
    "ad\u{200b}min\u{feff}\u{2060}",
    "a\0b",
    "\u{7f}\u{8}\u{8}\u{8}",
    "two\nlines\r\nand\ttabs",
    "שלום עולם مرحبا",
    "日本語のユーザー名前とても長い",
    "👩\u{200d}👩\u{200d}👧\u{200d}👦 🇺🇳 👍🏽 1\u{fe0f}\u{20e3}",
    "'; DROP TABLE events; --",
    "x' OR 'a' = 'a",
    "(a+)+$[\\",
    ".*",
    "=HYPERLINK(\"http://evil.example\")",
    "<script>alert(1)</script>",
    "| markdown | `code` ](http://evil.example)",
    "\u{301}\u{301}mark first",
    "ก\u{e49}ำ ﷽ \u{1100}\u{1161}\u{11a8}",
];

/// Secrets that a client wrote where they are logged.
const TOKEN: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
const JWT: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEyMyJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6MTc5NTMyM30.c2lnbmF0dXJlc2lnbmF0dXJl";

fn event(number: usize, text: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut event = json!({
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": format!("{number}-{text}"),
        "stage": "ResponseComplete",
        "requestURI": format!("/api/v1/namespaces/{text}/secrets/{text}?access_token={TOKEN}&fieldManager={text}"),
        "verb": "get",
        "user": {
            "username": text,
            "uid": text,
            "groups": [text, "system:authenticated"],
            "extra": {"authentication.kubernetes.io/credential-id": [format!("JTI={text}")], text: [text]},
        },
        "impersonatedUser": {"username": text, "groups": [text]},
        "sourceIPs": [text, format!("10.0.0.{}", number % 250)],
        "userAgent": text,
        "objectRef": {"resource": "secrets", "namespace": text, "name": text, "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 403, "reason": text, "message": text},
        "requestObject": {"data": {text: text, "token": JWT}, "note": format!("Authorization: Bearer {TOKEN}")},
        "requestReceivedTimestamp": format!("2026-11-22T04:{:02}:{:02}.000000Z", number / 60, number % 60),
        "stageTimestamp": format!("2026-11-22T04:{:02}:{:02}.100000Z", number / 60, number % 60),
        "annotations": {"authorization.k8s.io/decision": "forbid", "authorization.k8s.io/reason": text, text: text},
    });
    change(&mut event);
    event.to_string()
}

/// Returns a log in which everything that a client may choose is hostile.
pub(super) fn log() -> Log {
    static LOG: LazyLock<Log> = LazyLock::new(|| {
        let flood = format!("e{}", "\u{301}".repeat(5000));
        let long = "long ".repeat(2000);
        log_of(TEXTS.into_iter().chain([&*flood, &*long]))
    });
    LOG.clone()
}

fn log_of<'t>(texts: impl Iterator<Item = &'t str>) -> Log {
    let mut lines = String::new();
    let mut number = 0;
    let mut add = |line: String| {
        lines.push_str(&line);
        lines.push('\n');
    };
    for text in texts {
        add(event(number, text, |_| {}));
        // Something that rules find.
        add(event(number + 1, text, |event| {
            event["verb"] = json!("create");
            event["responseStatus"] = json!({"code": 201});
            event["annotations"]["authorization.k8s.io/decision"] = json!("allow");
            event["requestURI"] = json!("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings");
            event["objectRef"] = json!({
                "resource": "clusterrolebindings",
                "name": text,
                "apiGroup": "rbac.authorization.k8s.io",
                "apiVersion": "v1",
            });
            event["requestObject"] = json!({
                "metadata": {"name": text},
                "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"kind": "User", "name": text}],
            });
        }));
        number += 2;
    }
    Log::text(&lines)
}

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
    for at in 0..TEXTS.len() {
        play.keys("4");
        play.app.events.grid.row = at * 2;
        play.app.events.grid.column = 2;
        play.keys("+");
        assert_eq!(play.app.events.rows.len(), 2, "{:?}", TEXTS[at]);
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
    let long = "long\u{202e} ".repeat(120_000);
    let log = log_of([&*long].into_iter());
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
