//! What a run has come to: who is told of what, before it is stored.
//!
//! Comes in: what was read of each cluster ([`News`]), and what earlier runs left. Goes out: what is stored in one
//! transaction ([`Commit`]), and what is said ([`Report`]). Nothing is read, written or sent here.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::config::{Config, Format, OcsfTarget, Silences, SinkConfig, SinkKind};
use super::decide::{self, Audience, Decided, Decision, decide};
use super::figures::{Stray, Totals};
use super::noise;
use super::reading::News;
use super::run::Report;
use super::sink::{Alert, Run, Sinks, redacted};
use super::stale;
use super::state::{Commit, Entry, Loaded, StateError, finding_key};
use crate::finding::{Finding, Severity, Timestamp};
use crate::pipeline::Memory;
use crate::source::follow::Cursor;
use crate::source::log_of;

/// Findings of a first run that are told although it is quiet.
pub(super) const BASELINE: Severity = Severity::High;

/// Files of which a note says the names.
const NAMED: usize = 5;

/// What logs in no order are remembered by; no path.
const DISORDER: &str = "\0disorder";
/// The same for logs of several clusters.
const CLUSTERS: &str = "\0clusters";

/// How long what is no finding any more, or is over and forgotten by detection, is kept, in microseconds: so long it is
/// known again if it comes back.
const KEPT_US: i64 = 30 * 86_400_000_000;

/// What a run has come to before it is stored.
pub(super) struct Round {
    run: Run,
    now: Timestamp,
    pub(super) report: Report,
    pub(super) totals: Totals,
    pub(super) heard: stale::Sources,
    /// By cluster.
    pub(super) cursors: BTreeMap<String, Vec<Cursor>>,
    /// By cluster and id, of clusters with news: it is much to read where there is nothing to decide.
    pub(super) known: BTreeMap<String, BTreeMap<String, Decided>>,
    memory: Vec<(String, Memory)>,
    changed: Vec<(String, String)>,
    forgotten: Vec<String>,
    alerts: Vec<(Alert, Audience)>,
}

impl Round {
    pub(super) fn new(loaded: &Loaded, now: Timestamp) -> Self {
        Self {
            run: Run {
                id: format!("{}-{}", loaded.runs + 1, now.0),
                at: now,
            },
            now,
            report: Report::default(),
            totals: loaded.totals.clone(),
            heard: loaded.heard.clone(),
            cursors: loaded.cursors.clone(),
            known: BTreeMap::new(),
            memory: Vec::new(),
            changed: Vec::new(),
            forgotten: Vec::new(),
            alerts: Vec::new(),
        }
    }

    /// Says which silences have ended, so that somebody takes them out.
    pub(super) fn note_ended(&mut self, silences: &Silences) {
        let ended = silences.ended(self.now);
        self.report.notes.extend(ended.map(|silence| {
            format!(
                "the silence of line {} has ended ({})",
                silence.line, silence.reason
            )
        }));
    }

    /// Tells of logs that have stopped, and of those that go on again.
    pub(super) fn note_stale(&mut self, config: &Config, silences: &Silences) {
        let verdicts = stale::judge(&mut self.heard, config, silences, &self.run, self.now);
        self.report.missing.extend(verdicts.missing);
        self.report.notes.extend(verdicts.notes);
        let alerts = verdicts.alerts.into_iter();
        self.alerts
            .extend(alerts.map(|alert| (alert, Audience::All)));
    }

    /// Decides what the log of a cluster comes to.
    pub(super) fn take(
        &mut self,
        loaded: &Loaded,
        config: &Config,
        silences: &Silences,
        cluster: &str,
        news: News,
        baseline: Option<Severity>,
    ) -> Result<(), StateError> {
        self.count(config, cluster, &news);
        let disabled = &config.rules.disable;
        let is_disabled = |finding: &Finding| {
            disabled.contains(&finding.rule.name) || disabled.contains(&finding.rule.id)
        };
        let may_be_forged = |finding: &Finding| finding.is_recovered() && !config.noise.recovered;
        let found: Vec<&Finding> = (news.outcome.findings.iter())
            .filter(|finding| !is_disabled(finding) && !may_be_forged(finding))
            .collect();
        let known = loaded.known_of(cluster)?;
        let known = self.known.entry(cluster.to_owned()).or_insert(known);
        // From here on, nothing holds a secret: neither what is stored nor what is sent. Most findings are what they were,
        // and that has none any more.
        let findings = found
            .iter()
            .map(|&finding| match known.get(&finding.finding_id) {
                Some(before) if before.is_as_before(finding) => Cow::Borrowed(&before.finding),
                _ => Cow::Owned(redacted(finding)),
            });
        let findings: Vec<Cow<'_, Finding>> = findings.collect();
        let policy = decide::Policy {
            now: self.now,
            log_end: news.summary.totals.last.unwrap_or(Timestamp(0)),
            renotify_after_us: micros(config.noise.renotify_after),
            resolve_after_us: micros(config.noise.resolve_after),
            baseline,
            is_partial: news.is_anew,
        };
        let mut decisions = decide(known, findings.iter().map(Cow::as_ref), &policy);
        let hushed = noise::hush(&mut decisions, &findings, silences, cluster, self.now);
        self.report.held_back.extend(hushed);
        let n_milder = match baseline {
            Some(_) => decisions.iter().filter(|it| it.is_everyday()).count(),
            None => 0,
        };
        if n_milder > 0 {
            self.report.notes.push(format!(
                "cluster `{cluster}`: {n_milder} findings milder than {BASELINE} were there before the first run and are not told; `kubescry scan` lists them, and `[baseline] first_run = \"alert\"` tells them"
            ));
        }
        let summaries = noise::cap(
            &mut decisions,
            config.noise.cap_per_rule,
            cluster,
            &self.run,
        );
        for decision in decisions {
            let revision = decision.revision();
            let Decision {
                decided,
                event,
                resolution,
                audience,
            } = decision;
            let id = decided.finding.finding_id.clone();
            self.changed
                .push((finding_key(cluster, &id), to_json(&decided)));
            if audience > Audience::Nobody {
                let finding = decided.finding.clone();
                let alert = Alert::new(event, finding, revision, cluster, &self.run);
                let alert = alert.over(resolution);
                self.alerts.push((alert, audience));
            }
            known.insert(id, decided);
        }
        self.alerts
            .extend(summaries.into_iter().map(|alert| (alert, Audience::All)));
        self.forget(cluster, &found);
        self.memory.push((cluster.to_owned(), news.memory));
        Ok(())
    }

    /// Counts what was read of a cluster, and says what of it is no audit event or stands behind damage.
    fn count(&mut self, config: &Config, cluster: &str, news: &News) {
        let totals = self.totals.clusters.entry(cluster.to_owned()).or_default();
        let (bad_before, recovered_before) = (totals.bad, totals.recovered);
        let unread_before = totals.unread;
        totals.note(news);
        if let Some(disorder) = &news.summary.disorder
            && totals.tells(DISORDER)
        {
            self.report.notes.push(format!(
                "cluster `{cluster}`: the logs are in no order of time: {disorder}; this is said once"
            ));
        }
        if let Some(what) = &news.summary.ingest.several_clusters
            && totals.tells(CLUSTERS)
        {
            self.report.notes.push(format!(
                "cluster `{cluster}`: {what}; give each a [[source]] with its own `cluster`; this is said once"
            ));
        }
        let n_unread = totals.unread.saturating_sub(unread_before);
        if n_unread > 0 {
            self.report.notes.push(format!(
                "cluster `{cluster}`: new records that hold the words of an audit event in a wrapping that is not known: {n_unread}; nothing is detected in them, and `kubescry scan` says where they are"
            ));
        }
        for stray in totals.strays(&news.summary.files) {
            let said = stray_words(&stray, cluster);
            let is_named = (config.sources.iter())
                .any(|source| source.cluster == cluster && log_of(&source.path) == stray.log);
            // What else lies in a folder beside audit logs, nobody asked for.
            if stray.had_events || is_named || totals.is_unread() {
                self.report.is_unread |= totals.is_unread();
                self.report.missing.push(said);
            } else {
                self.report.notes.push(said);
            }
        }
        let n_recovered = totals.recovered.saturating_sub(recovered_before);
        if n_recovered > 0 && !config.noise.recovered {
            self.report.notes.push(format!(
                "cluster `{cluster}`: events found behind damage: {n_recovered}; what rests on those alone is not told, since who can cut the log could have forged them: `kubescry scan` lists it, and `[noise] recovered = true` tells it"
            ));
        }
        let n_bad = totals.bad.saturating_sub(bad_before);
        if n_bad > 0 {
            self.report.notes.push(format!(
                "cluster `{cluster}`: {n_bad} new records are not audit events{}",
                news.summary
                    .rejects
                    .last()
                    .map_or(String::new(), |reject| format!(
                        "; one of them is in `{}`, line {}",
                        reject.file, reject.line
                    ))
            ));
        }
    }

    /// Says which files of a cluster were left out for their names, each once.
    pub(super) fn note_left_out(&mut self, cluster: &str, paths: &[String]) {
        let totals = self.totals.clusters.entry(cluster.to_owned()).or_default();
        let new: Vec<&String> = paths.iter().filter(|path| totals.tells(path)).collect();
        let named: Vec<String> = new
            .iter()
            .take(NAMED)
            .map(|path| format!("`{path}`"))
            .collect();
        if named.is_empty() {
            return;
        }
        let rest = match new.len() - named.len() {
            0 => String::new(),
            rest => format!(" and {rest} others"),
        };
        self.report.notes.push(format!(
            "cluster `{cluster}`: left out {}{rest}: their names are not those of logs; a [[source]] that names a file has it read, whatever it is called; this is said once",
            named.join(", ")
        ));
    }

    /// Forgets what is over for long and is not among what was `found`.
    fn forget(&mut self, cluster: &str, found: &[&Finding]) {
        let present: HashSet<&str> = (found.iter())
            .map(|finding| finding.finding_id.as_str())
            .collect();
        let is_old = |id: &String, decided: &mut Decided| {
            decided.is_resolved
                && !present.contains(id.as_str())
                && self.now.0.saturating_sub(decided.changed.0) > KEPT_US
        };
        let known = self.known.entry(cluster.to_owned()).or_default();
        let old = known.extract_if(.., is_old);
        self.forgotten
            .extend(old.map(|(id, _)| finding_key(cluster, &id)));
    }

    fn told(&self) -> impl Iterator<Item = &Alert> {
        let told = self
            .alerts
            .iter()
            .filter(|(_, audience)| *audience == Audience::All);
        told.map(|(alert, _)| alert)
    }

    /// Returns what is to be stored in one transaction.
    pub(super) fn commit(&mut self, config: &Config) -> Commit {
        let mut outbox = Vec::new();
        for (alert, audience) in &self.alerts {
            let json = to_json(alert);
            for sink in &config.sinks {
                let is_wanted =
                    sink.policy.wants(alert) && (*audience == Audience::All || keeps_records(sink));
                if is_wanted {
                    outbox.push(Entry {
                        key: alert.key.clone(),
                        sink: sink.name.clone(),
                        alert: json.clone(),
                    });
                }
            }
        }
        Commit {
            cursors: to_json(&self.cursors),
            memory: std::mem::take(&mut self.memory),
            totals: to_json(&self.totals),
            heard: to_json(&self.heard),
            changed: std::mem::take(&mut self.changed),
            forgotten: std::mem::take(&mut self.forgotten),
            outbox,
        }
    }

    /// Returns the report of a run that only says what it would do.
    pub(super) fn preview(mut self, sinks: &mut Sinks) -> Report {
        let alerts: Vec<&Alert> = self.told().collect();
        let is_nothing = alerts.is_empty();
        let preview = sinks
            .entries_mut()
            .map(|sink| sink.preview(&alerts))
            .collect();
        self.report.preview = preview;
        if is_nothing {
            let nothing = "a dry run: there is nothing new, so no alert would be sent";
            self.report.notes.push(nothing.to_owned());
        }
        self.report.notes.append(&mut self.report.held_back);
        self.report
    }
}

/// Says that a log holds something else than audit events.
fn stray_words(stray: &Stray, cluster: &str) -> String {
    let Stray {
        log,
        records,
        had_events,
    } = stray;
    let what = if *had_events {
        format!("holds no audit events any more: the last {records} records are none")
    } else {
        format!("holds no audit event: {records} records are something else")
    };
    format!(
        "cluster `{cluster}`: `{log}` {what}, and nothing is detected in it; `kubescry scan` says what they are; this is said once"
    )
}

/// Returns whether a sink gets every change of what it was told, and not only what is worth telling again.
fn keeps_records(sink: &SinkConfig) -> bool {
    match &sink.kind {
        SinkKind::Stdout { format } | SinkKind::File { format, .. } => *format != Format::Text,
        SinkKind::Ocsf(target) => matches!(target, OcsfTarget::File(_)),
        _ => false,
    }
}

fn micros(duration: Option<Duration>) -> i64 {
    duration.map_or(i64::MAX, |duration| {
        i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
    })
}

/// Returns `value` as it is kept.
pub(super) fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("what is kept is plain")
}
