//! The JSON line of an alert: `kubescry.finding/1` with `event`, `key`, `cluster` and `run`.
//!
//! Values keep the log's text but for secrets. What would act on a terminal, or hide in it, is written as `\uXXXX`, which
//! RFC 8259 section 7 allows for any character: a parser reads the same value.

use serde_json::{Map, Value};

use super::Alert;
use super::text::{MAX_TEXT_BYTES, finding_value};
use crate::finding::SCHEMA;
use crate::report::write_line;

/// Evidence references per alert; `evidence_total` has their number.
pub(super) const MAX_EVIDENCE: usize = 20;

/// Returns the object of `alert`, its texts bounded for targets with a limit.
pub(super) fn object(alert: &Alert) -> Value {
    object_with(alert, MAX_TEXT_BYTES, MAX_EVIDENCE)
}

/// Returns the object of `alert` with texts of at most `max_bytes` and at most `n_evidence` references.
///
/// Shape: the keys of `kubescry.finding/1`, and `event`, `key`, `cluster`, `run` (`id`, `at`); with `event` `resolve` also
/// `resolution`.
pub(super) fn object_with(alert: &Alert, max_bytes: usize, n_evidence: usize) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("schema", SCHEMA.into());
    put("event", alert.event.as_str().into());
    if let Some(resolution) = alert.resolution {
        put("resolution", resolution.as_str().into());
    }
    put("key", alert.key.as_str().into());
    put("cluster", alert.cluster.as_str().into());
    put(
        "run",
        serde_json::to_value(&alert.run).expect("a run is plain"),
    );
    if let Value::Object(fields) = finding_value(&alert.finding, max_bytes, n_evidence) {
        object.extend(fields);
    }
    Value::Object(object)
}

/// Returns `alert` in full on one line.
pub(in crate::alert) fn record(alert: &Alert) -> String {
    line(&object_with(alert, usize::MAX, usize::MAX))
}

/// Returns `value` on one line that ends in a line feed, harmless to a terminal.
pub(super) fn line(value: &Value) -> String {
    let mut out = Vec::new();
    write_line(value, &mut out).expect("memory can be written");
    String::from_utf8(out).expect("JSON is UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::sink::Event;
    use crate::alert::sink::tests::{HOSTILE, alert};
    use crate::finding::{Finding, Severity};
    use crate::report::clean::is_hidden;

    #[test]
    fn keys_are_the_contract() {
        let alert = alert(Event::New, Severity::High, "x");
        let value = object(&alert);
        for key in [
            "schema",
            "event",
            "key",
            "cluster",
            "run",
            "finding_id",
            "severity",
            "rule",
        ] {
            assert!(!value[key].is_null(), "{key}");
        }
        assert_eq!(value["schema"], "kubescry.finding/1");
        assert_eq!(value["event"], "new");
        let finding: Finding = serde_json::from_value(value).unwrap();
        assert_eq!(finding, alert.finding, "a reader of findings reads alerts");
    }

    #[test]
    fn hostile_text_is_one_harmless_line_and_reads_back() {
        for text in HOSTILE {
            let line = line(&object(&alert(Event::New, Severity::High, text)));
            assert_eq!(line.lines().count(), 1);
            assert!(!line.trim_end().chars().any(is_hidden), "{line}");
            let value: Value = serde_json::from_str(&line).unwrap();
            if !text.contains("token=") {
                assert_eq!(value["actor"]["username"].as_str(), Some(text));
            }
        }
    }

    #[test]
    fn a_megabyte_is_cut() {
        let line = line(&object(&alert(
            Event::New,
            Severity::High,
            &"ü<\"".repeat(300_000),
        )));
        assert!(line.len() < 512 * 1024, "{}", line.len());
    }
}
