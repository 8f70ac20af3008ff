//! The report for people: what was read, then the incidents with their findings, worst first, then the other findings.
//!
//! Layout: headings begin in column 0 and labels in column 2, and both are our words; log text only
//! stands to the right of a label and wraps there, so a client that chooses a name cannot forge a
//! line of the report. No line is wider than asked for. A text longer than its share is cut with
//! `…`; the JSON lines have the whole of it. Findings of low and informational severity are shorter,
//! so that the serious ones stand out.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::iter;

use super::page::{Page, VALUES, WIDTH_MIN};
use super::rules;
use super::{ApiServer, Census, EVIDENCE_DEFAULT, Guess, Options, Summary, redacted};
use crate::finding::Excluded;
use crate::finding::incident::Incident;
use crate::finding::words::times;
use crate::finding::{Evidence, Finding, Severity, Timestamp};

/// Addresses, agents and paths printed before "+N more".
const N_SOURCES: usize = 3;
/// Met conditions printed before "+N more".
const N_WHY: usize = 4;
/// API servers printed before "+N more".
const N_SERVERS: usize = 5;
/// Kinds of something printed before "N more kinds".
const N_NAMES: usize = 8;
/// Exclusions printed before "+N more".
const N_EXCLUDED: usize = 5;
/// Things that are missing printed before "+N more".
const N_PROBLEMS: usize = 20;
/// Evidence references of a serious finding, unless asked for another number than the default.
const N_EVIDENCE: usize = 3;

/// Names of an incident printed before "+N more".
const N_ACTORS: usize = 5;
/// Steps of an incident printed before "+N more".
const N_STEPS: usize = 20;
/// Findings of an incident printed before "+N more".
const N_FINDINGS: usize = 10;
/// Those of them that are printed whole: the steps name all.
const N_WHOLE: usize = 5;

/// Writes the report: `findings` are the chosen ones in order, `all` what they were chosen from.
pub(super) fn write(
    findings: &[&Finding],
    all: &[Finding],
    incidents: &[Incident],
    summary: &Summary,
    options: &Options,
    out: &mut dyn Write,
) -> io::Result<()> {
    let width = options.width.max(WIDTH_MIN);
    let mut page = Page {
        out,
        width,
        indent: 0,
        color: options.color,
    };
    page.summary(all, incidents, summary, options)?;
    let shown: Vec<&Incident> = incidents
        .iter()
        .filter(|incident| incident.severity >= options.min_severity)
        .collect();
    if findings.is_empty() && shown.is_empty() {
        page.nothing(all, summary, options)?;
    }
    // Who asks for evidence wants that of each.
    let is_short = options.evidence == Some(EVIDENCE_DEFAULT);
    let told = once(findings, is_short);
    let mut members: HashMap<&str, Vec<Told<'_>>> = HashMap::new();
    for told in &told {
        let finding = told.finding;
        let id = finding.incident_id.as_deref().unwrap_or_default();
        members.entry(id).or_default().push(told.clone());
    }
    for incident in shown {
        let members = members.remove(&*incident.incident_id).unwrap_or_default();
        page.blank()?;
        page.incident(incident, &members, options)?;
    }
    let others: Vec<Told<'_>> = told
        .into_iter()
        .filter(|told| {
            let id = told.finding.incident_id.as_deref().unwrap_or_default();
            members.contains_key(id)
        })
        .collect();
    if !others.is_empty() && !incidents.is_empty() {
        page.blank()?;
        page.text("", "Findings in no incident", 2)?;
    }
    if !others.is_empty() {
        page.blank()?;
    }
    page.findings(&others, others.len(), options)?;
    page.rejects(summary)?;
    page.blank()?;
    let held_back = if summary.excluded.is_empty() {
        ""
    } else {
        ", --no-exclusions also what is held back"
    };
    let more = format!(
        "More: --format jsonl prints every field, --evidence all every reference{held_back}, \
         --min-severity LEVEL only what is at least as bad."
    );
    page.text("", &more, 2)
}

impl Page<'_> {
    /// Writes what was read, what was found in it, and what could not be seen.
    fn summary(
        &mut self,
        all: &[Finding],
        incidents: &[Incident],
        summary: &Summary,
        options: &Options,
    ) -> io::Result<()> {
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
        self.ingest(summary)?;
        let severities = |incident: &Incident| incident.severity;
        let incidents = tally(incidents.iter().map(severities), options.min_severity);
        self.field("incidents", &incidents)?;
        let findings = all.iter().map(|finding| finding.severity);
        self.field("findings", &tally(findings, options.min_severity))?;
        self.list(
            "missing",
            &summary.problems,
            N_PROBLEMS,
            summary.problems.len() as u64,
        )?;
        if let Some(reject) = summary.rejects.first() {
            let skipped = totals.bad + totals.oversize;
            let place = format!("{}:{}", reject.file, reject.line);
            // Others are readable, and named as what they are.
            let (label, skipped) = match skipped {
                0 => ("other", count(totals.other, "record")),
                _ => ("skipped", count(skipped, "record")),
            };
            self.field(
                label,
                &format!("{skipped}; the first is {place}: {}", reject.cause),
            )?;
        }
        let held_back = held_back(&summary.excluded);
        self.list("held back", &held_back, N_EXCLUDED, held_back.len() as u64)?;
        self.field("rules", &rules::reach(&summary.reach))?;
        self.all("blind to", &summary.blind)?;
        self.all("note", &summary.notes)
    }

    /// Writes what the log holds besides its findings.
    fn ingest(&mut self, summary: &Summary) -> io::Result<()> {
        let ingest = &summary.ingest;
        let guess = |guess: &Option<Guess>| {
            let guess = guess.as_ref()?;
            Some(format!("{} (by {})", guess.name, guess.evidence))
        };
        let cluster: Vec<String> = [&ingest.distribution, &ingest.version]
            .into_iter()
            .filter_map(guess)
            .collect();
        self.all("cluster", &cluster)?;
        let servers = &ingest.api_servers;
        if servers.len() > 1 || servers.iter().any(|server| server.n_gaps > 0) {
            let servers: Vec<String> = servers.iter().map(server).collect();
            self.list("servers", &servers, N_SERVERS, servers.len() as u64)?;
        }
        let policy = [&ingest.levels, &ingest.stages, &ingest.verbs]
            .map(|census| ranking(census, N_NAMES))
            .into_iter()
            .filter(|text| !text.is_empty());
        self.all("holds", &policy.collect::<Vec<_>>())?;
        self.field("wrapped", &ranking(&ingest.envelopes, N_NAMES))?;
        self.field("other", &ranking(&ingest.other_kinds, N_NAMES))?;
        self.field("odd", &ranking(&ingest.oddities, N_NAMES))?;
        if ingest.skipped_files > 0 {
            let files = count(ingest.skipped_files, "file");
            let text = format!("{files} in the folders, whose names are not those of logs");
            self.field("left out", &text)?;
        }
        Ok(())
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

    /// Writes what an incident is about, then its worst findings.
    fn incident(
        &mut self,
        incident: &Incident,
        findings: &[Told<'_>],
        options: &Options,
    ) -> io::Result<()> {
        if let ([_], 1) = (findings, incident.findings.len()) {
            return self.findings(findings, 1, options);
        }
        let total = incident.findings.len();
        let title = format!("incident of {}", count(total as u64, "finding"));
        self.heading(incident.severity, &title)?;
        self.field("what", &incident.title)?;
        self.field("when", &span(incident.first_seen, incident.last_seen))?;
        self.listing("who", &incident.actors, N_ACTORS)?;
        self.listing("with", &incident.credentials, N_SOURCES)?;
        self.listing("from", &incident.source_ips, N_ACTORS)?;
        self.field("tactics", &incident.tactics.join(" > "))?;
        self.listing("tied by", &incident.tied_by, N_ACTORS)?;
        self.field("severity", incident.raised.as_deref().unwrap_or_default())?;
        self.listing("steps", &steps(incident, findings), N_STEPS)?;
        self.field("id", &incident.incident_id)?;
        self.indent = 2;
        let printed = &findings[..findings.len().min(N_FINDINGS)];
        if !printed.is_empty() {
            self.blank()?;
        }
        self.findings(printed, N_WHOLE, options)?;
        let n_printed: usize = printed.iter().map(|told| 1 + told.again.len()).sum();
        let n_more = total.saturating_sub(n_printed);
        if n_more > 0 {
            self.blank()?;
            let text = format!("+{n_more} more of this incident: --format json prints them");
            self.text("", &text, 2)?;
        }
        self.indent = 0;
        Ok(())
    }

    fn listing(&mut self, label: &str, items: &[String], shown: usize) -> io::Result<()> {
        self.list(label, items, shown, items.len() as u64)
    }

    /// Writes findings with a blank line between them, but for those that are short: the mild ones, and what comes
    /// after the first `n_whole`.
    fn findings(
        &mut self,
        findings: &[Told<'_>],
        n_whole: usize,
        options: &Options,
    ) -> io::Result<()> {
        let mut after_compact = None;
        for (idx, told) in findings.iter().enumerate() {
            let is_compact = told.finding.severity <= Severity::Low || idx >= n_whole;
            if after_compact.is_some_and(|after| !(after && is_compact)) {
                self.blank()?;
            }
            self.finding(told, options, is_compact)?;
            after_compact = Some(is_compact);
        }
        Ok(())
    }

    fn finding(&mut self, told: &Told<'_>, options: &Options, compact: bool) -> io::Result<()> {
        let finding = told.finding;
        let title = format!("{}: {}", finding.family, finding.rule.title);
        self.heading(finding.severity, &title)?;
        let n_evidence = match options.evidence {
            None => usize::MAX,
            Some(EVIDENCE_DEFAULT) if compact => 1,
            Some(EVIDENCE_DEFAULT) => N_EVIDENCE,
            Some(n) => n,
        };
        let finding = &redacted(finding, n_evidence);
        self.field("what", &finding.summary)?;
        if compact {
            self.field("again", &told.again().unwrap_or_default())?;
        }
        if !compact {
            let requests = count(finding.count, "request");
            let when = span(finding.first_seen, finding.last_seen);
            self.field("when", &format!("{when}, {requests}"))?;
            self.field("again", &told.again().unwrap_or_default())?;
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

    fn heading(&mut self, severity: Severity, title: &str) -> io::Result<()> {
        let word = severity.as_str().to_uppercase();
        let lines = self.lines(title, word.len() + 2, VALUES);
        let lead = if self.color {
            format!("{}{word}\x1b[0m  ", paint(severity))
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

/// Returns one line a list of exclusions: what it held back, of the rule it held back most of first.
fn held_back(excluded: &[Excluded]) -> Vec<String> {
    let mut lists: Vec<(&str, Vec<&Excluded>)> = Vec::new();
    for one in excluded {
        match lists.iter_mut().find(|(list, _)| *list == one.list) {
            Some((_, of_list)) => of_list.push(one),
            None => lists.push((&one.list, vec![one])),
        }
    }
    let line = |(list, of_list): &(&str, Vec<&Excluded>)| {
        let first = of_list[0];
        let requests = count(first.requests, "request");
        let bound = if first.at_most { "at most " } else { "" };
        let others = match of_list.len() - 1 {
            0 => String::new(),
            n => format!(", and of {}", count(n as u64, "other rule")),
        };
        format!(
            "{bound}{requests} of {}{others}, by list {list}",
            first.rule
        )
    };
    lists.iter().map(line).collect()
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

/// Returns how many there are of each severity, and how many of them are not printed.
fn tally(all: impl Iterator<Item = Severity>, min_severity: Severity) -> String {
    let all: Vec<Severity> = all.collect();
    let number = |severity| all.iter().filter(|one| **one == severity).count();
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
    match all.iter().filter(|one| **one < min_severity).count() {
        0 => text,
        n_hidden => format!("{text} ({n_hidden} below {min_severity} not printed)"),
    }
}

/// Returns the findings of an incident in order of time, a line for those of one rule and actor: when, how bad, what, how
/// often, and who if there are several.
fn steps(incident: &Incident, findings: &[Told<'_>]) -> Vec<String> {
    let all = findings.iter().filter(|told| told.finding.is_step());
    let mut all: Vec<&Finding> = all
        .flat_map(|told| iter::once(told.finding).chain(told.again.iter().copied()))
        .collect();
    all.sort_by_key(|finding| (finding.first_seen, &finding.finding_id));
    // With how often it comes again, and when last.
    let mut steps: Vec<(&Finding, usize, Timestamp)> = Vec::new();
    for finding in all {
        let is_same = |first: &Finding| {
            first.severity == finding.severity
                && first.rule.id == finding.rule.id
                && first.actor.username == finding.actor.username
        };
        match steps.iter_mut().find(|(first, ..)| is_same(first)) {
            Some((_, n_more, last)) => (*n_more, *last) = (*n_more + 1, finding.first_seen),
            None => steps.push((finding, 0, finding.first_seen)),
        }
    }
    let line = |(finding, n_more, last): &(&Finding, usize, Timestamp)| {
        let time = clock(finding.first_seen);
        let time = time.split(' ').nth(1).unwrap_or(&time);
        let again = match n_more {
            0 => String::new(),
            n_more => format!(", {} more until {}", times(*n_more as u64), clock(*last)),
        };
        let what = format!("{time} {}: {}{again}", finding.severity, finding.rule.title);
        match &finding.actor.username {
            Some(name) if incident.actors.len() > 1 => format!("{what} ({})", quoted(name)),
            _ => what,
        }
    };
    steps.iter().map(line).collect()
}

/// A finding, and those that say the same of later times.
#[derive(Clone)]
struct Told<'f> {
    finding: &'f Finding,
    again: Vec<&'f Finding>,
}

impl Told<'_> {
    /// Returns one line on the later ones, if there are any.
    fn again(&self) -> Option<String> {
        let last = self.again.last()?;
        let requests: u64 = self.again.iter().map(|finding| finding.count).sum();
        Some(format!(
            "{} more until {}, {}: a finding each in --format jsonl",
            times(self.again.len() as u64),
            clock(last.last_seen),
            count(requests, "request"),
        ))
    }
}

/// Joins findings that say the same of one actor, but for times and figures, to the first of each: what is done every day
/// is read once. The order stays. Without `is_short` each stands for itself.
fn once<'f>(findings: &[&'f Finding], is_short: bool) -> Vec<Told<'f>> {
    let mut told: Vec<Told<'f>> = Vec::new();
    let mut places: HashMap<_, usize> = HashMap::new();
    for &finding in findings {
        let key = (
            (!is_short).then_some(&finding.finding_id),
            &finding.rule.id,
            finding.severity,
            &finding.incident_id,
            &finding.actor.credential_id,
            without_figures(&finding.summary),
            &finding.source.ips,
        );
        match places.entry(key) {
            Entry::Occupied(place) => told[*place.get()].again.push(finding),
            Entry::Vacant(place) => {
                place.insert(told.len());
                told.push(Told {
                    finding,
                    again: Vec::new(),
                });
            }
        }
    }
    for told in &mut told {
        told.again.push(told.finding);
        told.again
            .sort_by_key(|finding| (finding.first_seen, &finding.finding_id));
        told.finding = told.again.remove(0);
    }
    told
}

/// Returns a sentence without what counts in it.
fn without_figures(text: &str) -> String {
    let words = text.split(' ').filter(|word| !is_figure(word));
    let words = words.map(|word| word.strip_suffix('s').unwrap_or(word));
    words.collect::<Vec<_>>().join(" ")
}

/// Returns whether a word is a number.
fn is_figure(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
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

/// Returns the most frequent names with their counts.
fn ranking(census: &Census, shown: usize) -> String {
    let ranked = census.ranked();
    let mut parts: Vec<String> = ranked
        .iter()
        .take(shown)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    if ranked.len() > shown {
        parts.push(count((ranked.len() - shown) as u64, "more kind"));
    }
    parts.join(", ")
}

/// Returns one line on an API server: how long it is heard of, and when not.
fn server(server: &ApiServer) -> String {
    let mut text = format!("{}: {}", server.name, count(server.events, "event"));
    if let (Some(first), Some(last)) = (server.first, server.last) {
        let _ = write!(text, ", {}", span(first, last));
    }
    let longest = server.gaps.iter().max_by_key(|gap| gap.to.0 - gap.from.0);
    if let Some(gap) = longest {
        let silences = count(server.n_gaps, "silence");
        let _ = write!(text, "; {silences}, the longest {}", span(gap.from, gap.to));
    }
    text
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
mod tests;
