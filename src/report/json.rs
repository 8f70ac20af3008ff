//! JSON: one finding of `kubescry.finding/1` per line, or all there is to say as one `kubescry.report/1`.
//!
//! Values keep the log's text but for secrets. What would act on a terminal, or hide in it, is
//! written as `\uXXXX`, which RFC 8259 section 7 allows for any character: a parser reads the same
//! value, and the bytes are harmless to look at.

use std::collections::HashSet;
use std::io::{self, Write};

use rayon::prelude::*;
use serde::Serialize;
use serde_json::ser::Formatter;
use serde_json::{Serializer, Value};

use super::clean::{is_hidden, is_plain};
use super::{Options, Stats, Summary, redacted, redacted_incident};
use crate::finding::incident::Incident;
use crate::finding::{Finding, SCHEMA};
use crate::redact::redact;

/// The name and version of the JSON contract of the whole report.
const REPORT_SCHEMA: &str = "kubescry.report/1";

/// How many findings are in hand at a time, which the threads share out among themselves: all of them may be a lot of text.
const BATCH: usize = 256;

/// Writes one line per finding, in the order given.
pub(super) fn write(
    findings: &[&Finding],
    options: &Options,
    out: &mut dyn Write,
) -> io::Result<()> {
    for batch in findings.chunks(BATCH) {
        for object in objects(batch, options)? {
            out.write_all(&object)?;
            out.write_all(b"\n")?;
        }
    }
    Ok(())
}

/// Returns each finding as JSON, without secrets.
fn objects(findings: &[&Finding], options: &Options) -> io::Result<Vec<Vec<u8>>> {
    let objects = findings.par_iter().map(|finding| {
        let finding = redacted(finding, options.evidence.unwrap_or(usize::MAX));
        let mut object = format!("{{\"schema\":\"{SCHEMA}\"").into_bytes();
        let schema = object.len();
        write_object(&finding, &mut object)?;
        // Its keys follow that one; `flatten` would ask of each value what it is.
        object[schema] = b',';
        Ok(object)
    });
    objects.collect()
}

/// Writes one object with what was read, the incidents and the findings, without secrets and in the order given.
pub(super) fn write_report(
    findings: &[&Finding],
    incidents: &[Incident],
    summary: &Summary,
    options: &Options,
    out: &mut dyn Write,
) -> io::Result<()> {
    /// All but the findings, which come last and as they are made.
    #[derive(Serialize)]
    struct Head {
        schema: &'static str,
        summary: Value,
        incidents: Vec<Incident>,
    }
    let printed: HashSet<&str> = findings.iter().map(|it| &*it.finding_id).collect();
    // An incident names findings that are printed, and no others.
    let chosen = incidents
        .iter()
        .filter(|incident| incident.severity >= options.min_severity)
        .map(|incident| {
            let mut incident = redacted_incident(incident);
            incident.findings.retain(|id| printed.contains(&**id));
            incident
        });
    let mut head = Vec::new();
    write_object(
        &Head {
            schema: REPORT_SCHEMA,
            summary: serde_json::to_value(Stats::of(summary)).map(redacted_value)?,
            incidents: chosen.collect(),
        },
        &mut head,
    )?;
    // Opened again: the findings follow.
    head.pop();
    out.write_all(&head)?;
    out.write_all(b",\"findings\":[")?;
    for (number, batch) in findings.chunks(BATCH).enumerate() {
        let objects = objects(batch, options)?;
        if number > 0 {
            out.write_all(b",")?;
        }
        out.write_all(&objects.join(&b','))?;
    }
    out.write_all(b"]}\n")
}

/// Returns `value` with no secret in its texts and keys.
fn redacted_value(value: Value) -> Value {
    let text = |text: &str| redact(text).into_owned();
    match value {
        Value::String(string) => Value::String(text(&string)),
        Value::Array(items) => items.into_iter().map(redacted_value).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (text(&key), redacted_value(value)))
            .collect(),
        other => other,
    }
}

/// Writes `value` as JSON on one line, harmless to a terminal.
pub(crate) fn write_line<T: Serialize>(value: &T, out: &mut dyn Write) -> io::Result<()> {
    let mut line = Vec::new();
    write_object(value, &mut line)?;
    line.push(b'\n');
    out.write_all(&line)
}

fn write_object<T: Serialize>(value: &T, out: &mut Vec<u8>) -> io::Result<()> {
    Ok(value.serialize(&mut Serializer::with_formatter(out, Harmless))?)
}

/// Compact JSON with hidden characters escaped.
struct Harmless;

impl Formatter for Harmless {
    /// Writes text free of quotes, backslashes and C0 controls, which the serializer escapes itself.
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if is_plain(fragment) {
            return out.write_all(fragment.as_bytes());
        }
        let mut start = 0;
        for (idx, c) in fragment.char_indices().filter(|(_, c)| is_hidden(*c)) {
            out.write_all(&fragment.as_bytes()[start..idx])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            start = idx + c.len_utf8();
        }
        out.write_all(&fragment.as_bytes()[start..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;
    use crate::report::Format;
    use crate::report::tests::{HOSTILE, finding, rendered, summary};

    fn line(text: &str, evidence: Option<usize>) -> String {
        let options = Options {
            evidence,
            ..Options::default()
        };
        rendered(
            Format::Jsonl,
            &[finding(Severity::High, text)],
            &summary(text),
            &options,
        )
    }

    #[test]
    fn keys_and_order_are_the_contract() {
        assert_eq!(
            line("x", Some(1)),
            concat!(
                r#"{"schema":"kubescry.finding/1","finding_id":"9b2c5f0e9b2c5f0e9b2c5f0e9b2c5f0e","#,
                r#""incident_id":"34cc96e98aa324d4e34cab33b501fe32","#,
                r#""family":"token-reuse","severity":"high","confidence":"high","#,
                r#""rule":{"id":"0b7b0a3e-5f0e-4d6c-9a63-3f1d2a4b5c6d","#,
                r#""name":"token-reused-after-deletion","#,
                r#""title":"Token used after its service account was deleted","kind":"analytic"},"#,
                r#""summary":"x was used 12 times after its deletion, by x.","#,
                r#""first_seen":"2026-11-22T05:01:02.123456Z","#,
                r#""last_seen":"2026-11-22T05:44:10.000000Z","count":12,"recovered":0,"#,
                r#""actor":{"username":"x","kind":"x","credential_id":"x","impersonated":"x"},"#,
                r#""source":{"ips":["x","x","x","x","x"],"user_agents":["x","x","x","x","x"]},"#,
                r#""target":{"resource":"x","subresource":"x","namespace":"x","name":"x"},"#,
                r#""attack":["T1550.001"],"why":["x","x","x","x","x"],"#,
                r#""next_steps":["x","x","x","x","x"],"blind_spots":["x","x","x","x","x"],"#,
                r#""evidence_total":12,"evidence":[{"audit_id":"x","stage":"x","#,
                r#""ts":"2026-11-22T05:01:02.123456Z","file":"logs/audit.log","line":17,"#,
                r#""offset":9120,"length":812}]}"#,
                "\n"
            )
        );
    }

    #[test]
    fn evidence_is_cut_and_its_total_is_not() {
        for (evidence, expected) in [(Some(0), 0), (Some(2), 2), (Some(20), 5), (None, 5)] {
            let line = line("x", evidence);
            assert_eq!(line.matches("audit_id").count(), expected);
            assert!(line.contains(r#""evidence_total":12,"#));
        }
    }

    #[test]
    fn hidden_text_is_escaped_and_reads_back() {
        for text in &HOSTILE[..11] {
            let line = line(text, None);
            assert_eq!(line.lines().count(), 1);
            assert!(!line.trim_end().chars().any(is_hidden), "{line}");
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["actor"]["username"].as_str(), Some(*text));
        }
        assert!(line("\u{e0041}\"\\\u{7f}", None).contains(r#""\udb40\udc41\"\\\u007f""#));
    }
}
