//! The edges of the JSON grammar, as lines and as bodies.
//!
//! The categories are those of `JSONTestSuite` (N. Seriot, "Parsing JSON is a minefield"); the texts are our
//! own. Each stands between two good events, once as a line and once, as it is, as the `requestObject` of an
//! event. `serde_json` says what has to be read.

mod table;

use std::path::Path;

use foldhash::quality::SeedableRandomState;
use kubescry::decode::repair_utf8;
use kubescry::frame::coder::CodedEvent;
use kubescry::frame::{Coder, EventColumns, Place, Vocabulary};
use kubescry::report::Counters;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tempfile::TempDir;

use crate::support::{options, run};
use table::Verdict::{Accept, Free, Refuse};
use table::texts;

/// What an event consists of around its `requestObject`.
const BEFORE: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"@","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/dev/configmaps","verb":"create","user":{"username":"bob","groups":["system:authenticated"]},"sourceIPs":["10.0.0.1"],"userAgent":"curl","objectRef":{"resource":"configmaps","namespace":"dev","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":201},"requestObject":"#;
const BEHIND: &str = r#","requestReceivedTimestamp":"2026-11-22T04:55:27.649211Z","stageTimestamp":"2026-11-22T04:55:27.650970Z","annotations":{"authorization.k8s.io/decision":"allow"}}"#;

fn event(id: &str, body: &[u8]) -> Vec<u8> {
    [BEFORE.replace('@', id).as_bytes(), body, BEHIND.as_bytes()].concat()
}

/// Reads `line` between two good events.
fn between(folder: &Path, line: &[u8]) -> Counters {
    let [first, last] = ["first", "last"].map(|id| event(id, b"{}"));
    let path = folder.join("audit.log");
    std::fs::write(&path, [&first, line, &last, b""].join(&b'\n')).unwrap();
    let scan = run(&options(&[&path]));
    assert!(scan.errors.is_empty(), "{:?}", scan.errors);
    scan.summary.totals
}

/// Returns `text` for a message.
fn shown(text: &[u8]) -> String {
    text[..text.len().min(80)].escape_ascii().to_string()
}

/// Returns `bytes` with `?` for what is no UTF-8, as they are read.
fn repaired(bytes: &[u8]) -> String {
    let mut bytes = bytes.to_vec();
    repair_utf8(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

/// Returns the records that `line` falls into: line ends and NULs end one, blank ones are none.
fn records(line: &str) -> Vec<&str> {
    line.split(['\n', '\0'])
        .filter(|record| !kubescry::source::trim_record(record).is_empty())
        .collect()
}

/// Returns whether `serde_json` reads an event at the start of `record`, and whether that is all of it.
fn oracle(record: &str) -> (bool, bool) {
    let mut values = serde_json::Deserializer::from_str(record).into_iter::<&RawValue>();
    let is_event = record.starts_with(BEFORE.split('@').next().unwrap())
        && values.next().is_some_and(|value| value.is_ok());
    (is_event, values.next().is_none())
}

/// Returns the `requestObject` of an event.
fn body(line: &str) -> String {
    let hasher = SeedableRandomState::default();
    let mut columns = EventColumns::new(&hasher, Coder::new(&Vocabulary::new()), "log", None);
    let mut event = CodedEvent::default();
    kubescry::decode::decode(line, columns.coder(), &mut event).unwrap();
    columns.push(&event, line, &Place::default());
    let (frame, _) = columns.finish(String::new());
    let span = frame.detail(0).request_object;
    span.slice(frame.record(0)).trim().to_owned()
}

#[test]
fn the_table_is_right_about_json() {
    let texts = texts();
    let count = |wanted| {
        texts
            .iter()
            .filter(|(verdict, _)| *verdict == wanted)
            .count()
    };
    let counts = [Accept, Refuse, Free].map(count);
    assert_eq!(counts, [103, 283, 40]);
    for (at, (verdict, text)) in texts.iter().enumerate() {
        let is_json = serde_json::from_str::<IgnoredAny>(&repaired(text)).is_ok();
        assert!(*verdict != Accept || is_json, "{}", shown(text));
        assert!(*verdict != Refuse || !is_json, "{}", shown(text));
        assert!(
            !texts[..at].iter().any(|(_, other)| other == text),
            "twice: {}",
            shown(text)
        );
    }
}

#[test]
fn a_line_of_any_text_hides_no_event() {
    let folder = TempDir::new().unwrap();
    for (verdict, text) in texts() {
        let totals = between(folder.path(), &text);
        let shown = shown(&text);
        assert!(totals.adds_up(), "{shown}");
        assert_eq!(totals.events, 2, "{shown}");
        let n_records = records(&repaired(&text)).len();
        assert!(totals.bad + totals.other >= n_records as u64, "{shown}");
        if n_records == 1 && verdict == Accept && text.starts_with(b"{") {
            assert_eq!((totals.other, totals.bad), (1, 0), "{shown}");
        }
    }
}

#[test]
fn a_body_of_any_text_is_read_as_serde_json_reads_it() {
    let folder = TempDir::new().unwrap();
    for (verdict, text) in texts() {
        let line = event("between", &text);
        let totals = between(folder.path(), &line);
        let shown = shown(&text);
        assert!(totals.adds_up(), "{shown}");
        let line = repaired(&line);
        let records = records(&line);
        let read: Vec<_> = records.iter().map(|record| oracle(record)).collect();
        let n_events = read.iter().filter(|(is_event, _)| *is_event).count();
        assert_eq!(totals.events, 2 + n_events as u64, "{shown}");
        let n_whole = read.iter().filter(|&&read| read == (true, true)).count();
        assert_eq!(
            totals.bad + totals.other == 0,
            n_whole == records.len(),
            "{shown}"
        );
        let text = repaired(&text);
        if verdict == Accept && records.len() == 1 {
            assert_eq!(n_whole, 1, "{shown}");
            let is_null = text == "null";
            assert_eq!(
                body(&line),
                if is_null { "" } else { text.trim() },
                "{shown}"
            );
        } else if verdict == Refuse {
            assert_eq!(n_whole, 0, "{shown}");
        }
    }
}
