//! The report for people: what was read, then the findings, worst first.
//!
//! Layout: headings begin in column 0 and labels in column 2, and both are our words; log text only
//! stands to the right of a label and wraps there, so a client that chooses a name cannot forge a
//! line of the report. No line is wider than asked for. A text longer than its share is cut with
//! `…`; the JSON lines have the whole of it. Findings of low and informational severity are shorter,
//! so that the serious ones stand out.

use std::io::{self, Write};
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::clean::{clip, columns, redact, wrap};
use super::{EVIDENCE_DEFAULT, Options, Summary, redacted};
use crate::finding::{Evidence, Finding, Severity, Timestamp};

/// Narrowest layout; narrower terminals wrap it themselves.
const WIDTH_MIN: usize = 60;
/// Column where values begin.
const VALUES: usize = 12;
/// Lines a text may fill before it is cut.
const LINES_MAX: usize = 6;
/// Addresses, agents and paths printed before "+N more".
const N_SOURCES: usize = 3;
/// Met conditions printed before "+N more".
const N_WHY: usize = 4;
/// Evidence references of a serious finding, unless asked for another number than the default.
const N_EVIDENCE: usize = 3;

/// Writes the report: `findings` are the chosen ones in order, `all` what they were chosen from.
pub(super) fn write(
    findings: &[&Finding],
    all: &[Finding],
    summary: &Summary,
    options: &Options,
    out: &mut dyn Write,
) -> io::Result<()> {
    let width = options.width.max(WIDTH_MIN);
    let mut page = Page {
        out,
        width,
        color: options.color,
    };
    page.summary(all, summary, options)?;
    if findings.is_empty() {
        page.nothing(all, summary, options)?;
    }
    let mut after_compact = false;
    for finding in findings {
        let is_compact = finding.severity <= Severity::Low;
        if !(is_compact && after_compact) {
            page.blank()?;
        }
        page.finding(finding, options, is_compact)?;
        after_compact = is_compact;
    }
    page.rejects(summary)?;
    page.blank()?;
    page.text(
        "",
        "More: --format jsonl prints every field, --evidence all every reference, \
         --min-severity LEVEL only what is at least as bad.",
        2,
    )
}

/// Where lines go, and how wide they may be.
struct Page<'a> {
    out: &'a mut dyn Write,
    width: usize,
    color: bool,
}

impl Page<'_> {
    fn blank(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    /// Writes `text` after `lead`, wrapped, with `indent` blanks before every further line.
    fn text(&mut self, lead: &str, text: &str, indent: usize) -> io::Result<()> {
        let lines = self.lines(text, columns(lead), indent);
        self.print(lead, &lines, indent)
    }

    /// Returns `text` without secrets, clean, cut and wrapped to what fits after `first` columns,
    /// then after `rest`. Runs of blanks are counted instead: they would move text under our words.
    fn lines(&self, text: &str, first: usize, rest: usize) -> Vec<String> {
        static BLANKS: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(" {3,}").expect("the pattern is constant"));
        let room = self.width - rest;
        let text = redact(text);
        let text = BLANKS.replace_all(&text, |run: &Captures<'_>| {
            format!("[{} blanks]", run[0].len())
        });
        wrap(&clip(&text, room * LINES_MAX), self.width - first, room)
    }

    fn print(&mut self, lead: &str, lines: &[String], indent: usize) -> io::Result<()> {
        for (idx, line) in lines.iter().enumerate() {
            let (lead, indent) = if idx == 0 { (lead, 0) } else { ("", indent) };
            let text = format!("{lead}{:indent$}{line}", "");
            writeln!(self.out, "{}", text.trim_end_matches(' '))?;
        }
        Ok(())
    }

    /// Writes `label` and `value`; a value without text is left out.
    fn field(&mut self, label: &str, value: &str) -> io::Result<()> {
        if value.is_empty() {
            return Ok(());
        }
        self.text(&lead(label), value, VALUES)
    }

    /// Writes `label` and the first `shown` of `items`, one below the other; `total` counts all.
    fn list<T: AsRef<str>>(
        &mut self,
        label: &str,
        items: &[T],
        shown: usize,
        total: u64,
    ) -> io::Result<()> {
        let mut label = lead(label);
        let items = &items[..items.len().min(shown)];
        for item in items {
            self.text(&label, item.as_ref(), VALUES + 2)?;
            label = lead("");
        }
        let n_more = total.saturating_sub(items.len() as u64);
        if n_more > 0 {
            self.text(&label, &format!("+{n_more} more"), VALUES)?;
        }
        Ok(())
    }

    fn all<T: AsRef<str>>(&mut self, label: &str, items: &[T]) -> io::Result<()> {
        self.list(label, items, items.len(), items.len() as u64)
    }

    /// Writes what was read, what was found in it, and what could not be seen.
    fn summary(&mut self, all: &[Finding], summary: &Summary, options: &Options) -> io::Result<()> {
        let totals = &summary.totals;
        let paths: Vec<&str> = summary.files.iter().map(|file| &*file.path).collect();
        self.text("", "What was read", 2)?;
        self.list("files", &paths, N_SOURCES, paths.len() as u64)?;
        self.field(
            "size",
            &format!(
                "{}, {} in {}",
                bytes(totals.bytes),
                count(totals.events, "event"),
                count(totals.requests, "request")
            ),
        )?;
        self.field(
            "records",
            &format!(
                "{} = {} events + {} duplicates + {} bad + {} oversize + {} other",
                totals.records,
                totals.events,
                totals.duplicates,
                totals.bad,
                totals.oversize,
                totals.other
            ),
        )?;
        if !totals.adds_up() {
            self.field("", "these numbers do not add up: this is a bug in kubescry")?;
        }
        if let (Some(first), Some(last)) = (totals.first, totals.last) {
            self.field("span", &span(first, last))?;
        }
        self.field("findings", &tally(all, options.min_severity))?;
        self.all("missing", &summary.problems)?;
        if let Some(reject) = summary.rejects.first() {
            let skipped = count(totals.bad + totals.oversize, "record");
            let place = format!("{}:{}", reject.file, reject.line);
            self.field(
                "skipped",
                &format!("{skipped}; the first is {place}: {}", reject.cause),
            )?;
        }
        self.all("blind to", &summary.blind)?;
        self.all("note", &summary.notes)
    }

    /// Writes that there is nothing to print, and what that is worth.
    fn nothing(&mut self, all: &[Finding], summary: &Summary, options: &Options) -> io::Result<()> {
        self.blank()?;
        let totals = &summary.totals;
        let severity = if all.is_empty() {
            String::new()
        } else {
            format!(" of severity {} or worse", options.min_severity)
        };
        let when = match (totals.first, totals.last) {
            (Some(first), Some(last)) => format!(", {}", span(first, last)),
            _ => String::new(),
        };
        let worth = if totals.events == 0 {
            " Nothing was looked at."
        } else if summary.blind.is_empty() {
            ""
        } else {
            " What this log cannot show is listed above under \"blind to\"."
        };
        let events = count(totals.events, "event");
        let text = format!("No findings{severity} in {events}{when}.{worth}");
        self.text("", &text, 2)
    }

    fn finding(&mut self, finding: &Finding, options: &Options, compact: bool) -> io::Result<()> {
        self.heading(finding)?;
        let n_evidence = match options.evidence {
            None => usize::MAX,
            Some(EVIDENCE_DEFAULT) if compact => 1,
            Some(EVIDENCE_DEFAULT) => N_EVIDENCE,
            Some(n) => n,
        };
        let finding = &redacted(finding, n_evidence);
        self.field("what", &finding.summary)?;
        if !compact {
            let requests = count(finding.count, "request");
            let when = span(finding.first_seen, finding.last_seen);
            self.field("when", &format!("{when}, {requests}"))?;
            self.field("who", &who(finding))?;
            let (ips, agents) = (&finding.source.ips, &finding.source.user_agents);
            self.list("from", ips, N_SOURCES, ips.len() as u64)?;
            self.list("agent", agents, N_SOURCES, agents.len() as u64)?;
            self.field("on", &target(finding))?;
            self.list("why", &finding.why, N_WHY, finding.why.len() as u64)?;
        }
        let evidence: Vec<String> = finding.evidence.iter().map(reference).collect();
        self.list(
            "evidence",
            &evidence,
            evidence.len(),
            finding.evidence_total,
        )?;
        if !compact {
            self.all("next", &finding.next_steps)?;
            self.all("blind to", &finding.blind_spots)?;
            let rule = format!(
                "{}, confidence {}",
                finding.rule.name,
                finding.confidence.as_str()
            );
            let parts: Vec<&str> = std::iter::once(&rule)
                .chain(&finding.attack)
                .map(String::as_str)
                .collect();
            self.field("rule", &parts.join(", "))?;
            self.field("id", &finding.finding_id)?;
        }
        Ok(())
    }

    fn heading(&mut self, finding: &Finding) -> io::Result<()> {
        let word = finding.severity.as_str().to_uppercase();
        let title = format!("{}: {}", finding.family, finding.rule.title);
        let lines = self.lines(&title, word.len() + 2, VALUES);
        let lead = if self.color {
            format!("{}{word}\x1b[0m  ", paint(finding.severity))
        } else {
            format!("{word}  ")
        };
        self.print(&lead, &lines, VALUES)
    }

    /// Writes the places of the records that were skipped, if the summary named but the first.
    fn rejects(&mut self, summary: &Summary) -> io::Result<()> {
        if summary.rejects.len() < 2 {
            return Ok(());
        }
        self.blank()?;
        self.text("", "Records that are not audit events", 2)?;
        let places: Vec<String> = summary
            .rejects
            .iter()
            .map(|reject| {
                format!(
                    "{}:{} (byte {}): {}",
                    reject.file, reject.line, reject.offset, reject.cause
                )
            })
            .collect();
        let total = summary.totals.bad + summary.totals.oversize;
        self.list("at", &places, places.len(), total)
    }
}

fn lead(label: &str) -> String {
    format!("  {label:<0$}", VALUES - 2)
}

/// Returns the escape that begins the color of `severity`.
fn paint(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "\x1b[1;31m",
        Severity::High => "\x1b[31m",
        Severity::Medium => "\x1b[33m",
        Severity::Low => "\x1b[36m",
        Severity::Informational => "\x1b[2m",
    }
}

fn count(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// Returns how many findings there are of each severity, and how many of them are not printed.
fn tally(all: &[Finding], min_severity: Severity) -> String {
    let number = |severity| {
        all.iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    let parts: Vec<String> = Severity::ALL
        .into_iter()
        .rev()
        .map(|severity| (number(severity), severity))
        .filter(|(n, _)| *n > 0)
        .map(|(n, severity)| format!("{n} {severity}"))
        .collect();
    if parts.is_empty() {
        return "none".to_owned();
    }
    let text = parts.join(", ");
    match all
        .iter()
        .filter(|finding| finding.severity < min_severity)
        .count()
    {
        0 => text,
        n_hidden => format!("{text} ({n_hidden} below {min_severity} not printed)"),
    }
}

/// Returns one line on the actor.
fn who(finding: &Finding) -> String {
    let actor = &finding.actor;
    let name = actor
        .username
        .as_deref()
        .map_or("no name in the log".to_owned(), quoted);
    let kind = actor.kind.as_ref().map(|kind| format!(" ({kind})"));
    let credential = actor
        .credential_id
        .as_deref()
        .map(|id| format!(", credential {}", quoted(id)));
    let other = actor
        .impersonated
        .as_deref()
        .map(|name| format!(", impersonating {}", quoted(name)));
    std::iter::once(name)
        .chain(kind)
        .chain(credential)
        .chain(other)
        .collect()
}

/// Returns one line on the target, or nothing if the requests agree on no part of it.
fn target(finding: &Finding) -> String {
    let target = &finding.target;
    let mut parts = Vec::new();
    match (&target.resource, &target.subresource) {
        (Some(resource), Some(subresource)) => parts.push(format!("{resource}/{subresource}")),
        (Some(resource), None) => parts.push(resource.clone()),
        (None, Some(subresource)) => parts.push(format!("*/{subresource}")),
        (None, None) => {}
    }
    parts.extend(target.name.as_deref().map(quoted));
    parts.extend(
        target
            .namespace
            .as_deref()
            .map(|name| format!("in namespace {}", quoted(name))),
    );
    parts.join(" ")
}

/// Returns `name`, in quotes if blanks at its ends, or nothing at all, would go unseen.
fn quoted(name: &str) -> String {
    if name.is_empty() || name.starts_with(' ') || name.ends_with(' ') {
        format!("\"{name}\"")
    } else {
        name.to_owned()
    }
}

fn reference(evidence: &Evidence) -> String {
    format!("{}:{} {}", evidence.file, evidence.line, evidence.audit_id)
}

/// Returns both ends in UTC, to the second, and how far they lie apart.
fn span(first: Timestamp, last: Timestamp) -> String {
    let (from, to) = (clock(first), clock(last));
    if from == to {
        return format!("{from} UTC");
    }
    let same_day = from.split(' ').next() == to.split(' ').next();
    let to = if same_day {
        to.split(' ').nth(1).unwrap_or(&to)
    } else {
        &to
    };
    format!(
        "{from} .. {to} UTC ({})",
        duration(last.0.saturating_sub(first.0))
    )
}

fn clock(time: Timestamp) -> String {
    match chrono::DateTime::from_timestamp_micros(time.0) {
        Some(time) => time.format("%Y-%m-%d %H:%M:%S").to_string(),
        None => time.to_string(),
    }
}

/// Returns the two largest units of a time in microseconds.
fn duration(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    if days > 0 {
        format!("{days}d {}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h {}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m {}s", seconds % 60)
    } else {
        format!("{}.{}s", seconds, micros % 1_000_000 / 100_000)
    }
}

/// Returns a size in binary units, one decimal, rounded down.
fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if n < 1024 {
        return count(n, "byte");
    }
    let idx = (n.ilog2() as usize / 10).min(UNITS.len());
    let tenths = (u128::from(n) * 10) >> (10 * idx);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[idx - 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::clean::is_hidden;
    use crate::report::tests::{HOSTILE, finding, rendered, summary};
    use crate::report::{Counters, Format};

    fn table(findings: &[Finding], summary: &Summary, options: &Options) -> String {
        rendered(Format::Table, findings, summary, options)
    }

    #[test]
    fn report_reads_well() {
        let mut high = finding(Severity::High, "x");
        high.summary = "The token of system:serviceaccount:ci:builder was used 12 times from an \
                        address it never came from before, 7 minutes after its deletion."
            .to_owned();
        high.actor.username = Some("system:serviceaccount:ci:builder".to_owned());
        high.actor.kind = Some("serviceaccount".to_owned());
        high.actor.credential_id = Some("JTI=0c1f2a3b-6d5e-4f60-8a7b-9c0d1e2f3a4b".to_owned());
        high.actor.impersonated = None;
        high.source.ips = ["198.51.100.7", "203.0.113.9"].map(str::to_owned).to_vec();
        high.source.user_agents.truncate(1);
        high.target.subresource = None;
        high.why = vec!["stageTimestamp → 2026-11-22T05:01:02Z, after the deletion".to_owned()];
        high.next_steps.truncate(1);
        high.blind_spots.clear();
        let low = finding(Severity::Low, "curl/8.5.0");
        let mut summary = summary("audit.log");
        summary.rejects.truncate(1);
        assert_eq!(
            table(
                &[low, high],
                &summary,
                &Options {
                    width: 80,
                    ..Options::default()
                }
            ),
            "\
What was read
  files     audit.log
  size      31.3 MiB, 18190 events in 6101 requests
  records   18204 = 18190 events + 10 duplicates + 3 bad + 1 oversize + 0 other
  span      2026-11-22 04:55:27 .. 09:12:44 UTC (4h 17m)
  findings  1 high, 1 low
  missing   audit.log
  skipped   4 records; the first is audit.log:512: audit.log
  blind to  audit.log
  note      audit.log

HIGH  token-reuse: Token used after its service account was deleted
  what      The token of system:serviceaccount:ci:builder was used 12 times from
            an address it never came from before, 7 minutes after its deletion.
  when      2026-11-22 05:01:02 .. 05:44:10 UTC (43m 7s), 12 requests
  who       system:serviceaccount:ci:builder (serviceaccount), credential
            JTI=0c1f2a3b-6d5e-4f60-8a7b-9c0d1e2f3a4b
  from      198.51.100.7
            203.0.113.9
  agent     x
  on        x x in namespace x
  why       stageTimestamp → 2026-11-22T05:01:02Z, after the deletion
  evidence  logs/audit.log:17 x
            logs/audit.log:18 x
            logs/audit.log:19 x
            +9 more
  next      x
  rule      token-reused-after-deletion, confidence high, T1550.001
  id        9b2c5f0e9b2c5f0e9b2c5f0e9b2c5f0e

LOW  token-reuse: Token used after its service account was deleted
  what      curl/8.5.0 was used 12 times after its deletion, by curl/8.5.0.
  evidence  logs/audit.log:17 curl/8.5.0
            +11 more

More: --format jsonl prints every field, --evidence all every reference,
  --min-severity LEVEL only what is at least as bad.
"
        );
    }

    #[test]
    fn hostile_text_neither_widens_nor_acts_nor_forges() {
        /// What stands where only our words may: the heading, or the label.
        fn ours(report: &str) -> Vec<String> {
            let starts = report.lines().filter(|line| !line.starts_with(&lead("")));
            starts
                .map(|line| line.chars().take(VALUES).collect())
                .collect()
        }
        let long = "wide 監査 \u{1b}[31m".repeat(10_000);
        for text in HOSTILE.into_iter().chain([long.as_str()]) {
            let findings = |text| {
                [Severity::Critical, Severity::High, Severity::Low]
                    .map(|severity| finding(severity, text))
            };
            for width in (60..=160).step_by(if text == long { 25 } else { 1 }) {
                let options = Options {
                    width,
                    ..Options::default()
                };
                let report = table(&findings(text), &summary(text), &options);
                for line in report.lines() {
                    assert!(columns(line) <= width, "{width}: {line}");
                    assert!(!line.chars().any(is_hidden), "{line:?}");
                }
                let harmless = table(&findings("x"), &summary("x"), &options);
                assert_eq!(ours(&report), ours(&harmless), "{report}");
            }
        }
    }

    #[test]
    fn blanks_cannot_line_text_up_with_ours() {
        let mut finding = finding(Severity::High, "x");
        finding.actor.username = Some("x          who       admin".to_owned());
        let report = table(&[finding], &summary("x"), &Options::default());
        assert!(
            report.contains("  who       x[10 blanks]who[7 blanks]admin (x)"),
            "{report}"
        );
    }

    #[test]
    fn color_marks_the_severity_and_nothing_else() {
        let findings = Severity::ALL.map(|severity| finding(severity, "x"));
        let plain = table(&findings, &summary("x"), &Options::default());
        let colored = table(
            &findings,
            &summary("x"),
            &Options {
                color: true,
                ..Options::default()
            },
        );
        assert!(!plain.contains('\x1b'));
        assert_eq!(colored.matches('\x1b').count(), 2 * findings.len());
        let mut stripped = colored;
        for severity in Severity::ALL {
            stripped = stripped.replace(paint(severity), "");
        }
        assert_eq!(stripped.replace("\x1b[0m", ""), plain);
    }

    #[test]
    fn no_findings_says_what_was_looked_at() {
        fn check(findings: &[Finding], summary: &Summary, expected: &str) {
            let options = Options {
                min_severity: Severity::High,
                ..Options::default()
            };
            let report = table(findings, summary, &options);
            let lines = report.split("\n\n").nth(1).unwrap().replace("\n  ", " ");
            assert_eq!(lines, expected);
        }
        let mut whole = summary("x");
        whole.blind.clear();
        check(
            &[],
            &whole,
            "No findings in 18190 events, 2026-11-22 04:55:27 .. 09:12:44 UTC (4h 17m).",
        );
        check(
            &[finding(Severity::Low, "x")],
            &summary("x"),
            "No findings of severity high or worse in 18190 events, 2026-11-22 04:55:27 .. 09:12:44 \
             UTC (4h 17m). What this log cannot show is listed above under \"blind to\".",
        );
        check(
            &[],
            &Summary::default(),
            "No findings in 0 events. Nothing was looked at.",
        );
    }

    #[test]
    fn milder_findings_are_counted_when_not_printed() {
        let findings = Severity::ALL.map(|severity| finding(severity, "x"));
        let options = Options {
            min_severity: Severity::High,
            ..Options::default()
        };
        let report = table(&findings, &summary("x"), &options);
        assert!(report.contains(
            "findings  1 critical, 1 high, 1 medium, 1 low, 1 informational (3 below high not printed)"
        ));
        assert!(!report.contains("\nMEDIUM"));
    }

    #[test]
    fn evidence_follows_the_option() {
        fn check(severity: Severity, evidence: Option<usize>, shown: usize) {
            let options = Options {
                evidence,
                ..Options::default()
            };
            let report = table(&[finding(severity, "x")], &summary("x"), &options);
            assert_eq!(report.matches("logs/audit.log:").count(), shown);
            assert!(report.contains(&format!("+{} more", 12 - shown)));
        }
        check(Severity::High, Some(EVIDENCE_DEFAULT), 3);
        check(Severity::Low, Some(EVIDENCE_DEFAULT), 1);
        check(Severity::High, Some(4), 4);
        check(Severity::High, Some(0), 0);
        check(Severity::High, None, 5);
    }

    #[test]
    fn numbers_that_do_not_add_up_are_admitted() {
        let mut summary = summary("x");
        summary.totals = Counters {
            records: 1,
            ..summary.totals
        };
        assert!(table(&[], &summary, &Options::default()).contains("this is a bug in kubescry"));
    }

    #[test]
    fn blanks_at_the_ends_of_a_name_are_seen() {
        let mut finding = finding(Severity::High, "x");
        finding.actor.username = Some("admin ".to_owned());
        assert!(who(&finding).starts_with("\"admin \""));
    }

    #[test]
    fn sizes_and_times_read_well() {
        assert_eq!(bytes(0), "0 bytes");
        assert_eq!(bytes(1), "1 byte");
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(1024), "1.0 KiB");
        assert_eq!(bytes(1_048_575), "1023.9 KiB");
        assert_eq!(bytes(u64::MAX), "16383.9 PiB");
        assert_eq!(duration(0), "0.0s");
        assert_eq!(duration(1_250_000), "1.2s");
        assert_eq!(duration(61_000_000), "1m 1s");
        assert_eq!(duration(90_000_000_000), "1d 1h");
        let time = |seconds: i64| Timestamp(seconds * 1_000_000);
        assert_eq!(span(time(0), time(0)), "1970-01-01 00:00:00 UTC");
        assert_eq!(
            span(time(0), time(60)),
            "1970-01-01 00:00:00 .. 00:01:00 UTC (1m 0s)"
        );
        assert_eq!(
            span(time(86_399), time(86_400)),
            "1970-01-01 23:59:59 .. 1970-01-02 00:00:00 UTC (1.0s)"
        );
        assert_eq!(
            span(Timestamp(i64::MIN), Timestamp(i64::MAX))
                .matches("us")
                .count(),
            2
        );
    }
}
