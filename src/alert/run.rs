//! One run: read what is new, detect, decide, store, deliver.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::{Config, FirstRun, Format, OcsfTarget, SinkConfig, SinkKind};
use super::config::{ConfigErrors, Silences, parse_silences};
use super::decide::{self, Audience, Decided, Decision, decide};
use super::figures::{End, Stray, Totals};
use super::noise;
use super::outbox::deliver;
use super::reading::{Cluster, News};
use super::sink::clock::{Clock, SystemClock};
use super::sink::{Alert, Run, SinkError, Sinks, redacted};
use super::stale;
use super::state::{Commit, Entry, Loaded, State, StateError, finding_key};
use crate::detect::CompiledRules;
use crate::finding::{Finding, Severity, Timestamp};
use crate::pipeline::{self, Memory, Monitor, ScanError};
use crate::rules::RuleSet;
use crate::source::follow::{Cursor, Disk, Files, Source};
use crate::source::log_of;

/// Findings of a first run that are told although it is quiet.
const BASELINE: Severity = Severity::High;

/// How long what is no finding any more, or is over and forgotten by detection, is kept, in microseconds: so long it is
/// known again if it comes back.
const KEPT_US: i64 = 30 * 86_400_000_000;

/// How a run goes.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long another run is waited for.
    pub wait: Option<Duration>,
    /// Whether nothing is stored and nothing sent.
    pub is_dry: bool,
    /// Threads that do the work; at least 1.
    pub threads: usize,
    /// To stop reading behind a record; what was read until then is stored.
    pub monitor: Monitor,
}

/// Why a run did not take place.
#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The rules cannot be used, as whoever loads them has said.
    #[error("the rules cannot be used")]
    Rules,
    /// The scan cannot run.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// Sinks cannot be used.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Sinks(Vec<SinkError>),
    /// The file of silences cannot be read.
    #[error("cannot read the silences in `{}`: {cause}", path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// The file of silences is wrong.
    #[error("{0}")]
    Silences(#[from] ConfigErrors),
}

/// How a run went.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What is missing: gaps, unreadable files, damaged state.
    pub missing: Vec<String>,
    /// What a reader should know besides.
    pub notes: Vec<String>,
    /// What was held back, and why; among the notes of a dry run, since every run does so.
    pub held_back: Vec<String>,
    /// Whether there was something to read, and nothing of it could be.
    pub is_unread: bool,
    /// Alerts that wait for the next run, or were given up.
    pub undelivered: u64,
    /// What would be sent, of a dry run.
    pub preview: String,
}

/// Loads the rules; `None` when they cannot be used and that was said.
pub type LoadRules<'a> = dyn Fn() -> Option<Arc<(RuleSet, CompiledRules)>> + 'a;

/// What does runs, one or many.
pub struct Runner<'a, F: Files + 'static = Disk> {
    files: &'static F,
    config: &'a Config,
    options: &'a Options,
    load: &'a LoadRules<'a>,
    /// Only once there is something to look at: a run with nothing new costs nothing.
    rules: OnceCell<Arc<(RuleSet, CompiledRules)>>,
    clock: Arc<dyn Clock>,
}

impl<'a> Runner<'a> {
    /// Returns one that reads the disk of this machine.
    pub fn new(config: &'a Config, options: &'a Options, load: &'a LoadRules<'a>) -> Self {
        static DISK: Disk = Disk;
        Self::on(&DISK, config, options, load)
    }
}

impl<'a, F: Files + 'static> Runner<'a, F> {
    /// Returns one that reads `files`.
    pub fn on(
        files: &'static F,
        config: &'a Config,
        options: &'a Options,
        load: &'a LoadRules<'a>,
    ) -> Self {
        Self {
            files,
            config,
            options,
            load,
            rules: OnceCell::new(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Takes the time from `clock` instead of this machine.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Does one run.
    ///
    /// Damage of the state that shows only on the way puts it aside, and the run begins again with the one before, or with
    /// none: nothing is lost, and what was sent before has the same key again.
    ///
    /// # Errors
    /// When it did not take place; the state is as before then.
    pub fn run(&self) -> Result<Report, AlertError> {
        let mut warnings = Vec::new();
        loop {
            match self.attempt() {
                Err(AlertError::State(error @ StateError::Damaged { .. }))
                    if warnings.len() < 2 =>
                {
                    let is_again = !warnings.is_empty();
                    let aside = State::put_aside(&self.config.state.dir, is_again)?;
                    warnings.push(format!("{error}; it is kept as {aside}"));
                }
                Ok(mut report) => {
                    report.missing.splice(..0, warnings);
                    return Ok(report);
                }
                failed => return failed,
            }
        }
    }

    fn attempt(&self) -> Result<Report, AlertError> {
        let began = Instant::now();
        let environment = |name: &str| std::env::var(name).ok();
        let mut sinks = Sinks::from_config(self.config, &environment, &self.clock)
            .map_err(AlertError::Sinks)?;
        let silences = read_silences(self.config)?;
        let dir = &self.config.state.dir;
        if self.options.is_dry && !State::is_in(dir)? {
            let round = self.round(None, &Loaded::default(), &silences)?;
            return Ok(round.preview(&mut sinks));
        }
        let (mut state, loaded) = State::open(dir, self.options.wait)?;
        let mut round = self.round(Some(&state), &loaded, &silences)?;
        if self.options.is_dry {
            return Ok(round.preview(&mut sinks));
        }
        round.report.missing.extend(state.warnings.iter().cloned());
        if self.options.monitor.is_stopped() {
            // It was asked to stop, and nothing that was there is lost: the next run goes on.
            round.report.notes.append(&mut round.report.missing);
        }
        let now = self.clock.wall();
        if round.report.missing.is_empty() {
            round.totals.last_success = Some(now);
        }
        let mut kinds = self.config.sinks.iter().map(|sink| &sink.kind);
        if kinds.any(|kind| matches!(kind, SinkKind::Prometheus { .. })) {
            // Findings are counted in all clusters.
            for (cluster, known) in loaded.known()? {
                round.known.entry(cluster).or_insert(known);
            }
        }
        let commit = round.commit(self.config);
        state.commit(&commit, loaded.runs + 1, now.0)?;
        match self.send(&mut round, &mut state, &mut sinks, began) {
            Err(error @ StateError::Damaged { .. }) => return Err(error.into()),
            // What the run has come to is stored, and said: it will not come to it again.
            Err(error) => round.report.missing.push(error.to_string()),
            Ok(()) => {}
        }
        Ok(round.report)
    }

    /// Sends what waits, and says how the run went to those who keep figures.
    fn send(
        &self,
        round: &mut Round,
        state: &mut State,
        sinks: &mut Sinks,
        began: Instant,
    ) -> Result<(), StateError> {
        let Round {
            report,
            totals,
            known,
            heard,
            ..
        } = round;
        let clock = self.clock.as_ref();
        let delivered = deliver(state, sinks, self.config, clock, totals)?;
        report.undelivered = delivered.undelivered;
        report.notes.extend(delivered.notes);
        let now = clock.wall();
        let metrics = totals.metrics(End {
            known,
            sources: stale::metrics(heard, self.config, now),
            waiting: state.waiting()?,
            exit_code: report.exit_code(),
            took: began.elapsed(),
            now,
        });
        for (name, why) in sinks.finish(&metrics) {
            report
                .notes
                .push(format!("sink `{name}` could not take the figures: {why}"));
            report.undelivered += 1;
            *totals.sink_failures.entry(name).or_default() += 1;
        }
        if report.undelivered > 0 {
            state.keep_totals(&to_json(totals))?;
        }
        Ok(())
    }

    /// Reads and decides; nothing is stored or sent yet.
    fn round(
        &self,
        state: Option<&State>,
        loaded: &Loaded,
        silences: &Silences,
    ) -> Result<Round, AlertError> {
        let now = self.clock.wall();
        let mut round = Round::new(loaded, now);
        round.note_ended(silences);
        for (name, sources) in clusters(self.config) {
            let cursors = round.cursors.remove(&name).unwrap_or_default();
            let is_first = cursors.is_empty();
            let cluster = Cluster {
                files: self.files,
                name: &name,
                sources: &sources,
                cursors,
                options: pipeline::Options {
                    threads: self.options.threads,
                    evidence_limit: crate::report::EVIDENCE_DEFAULT,
                    monitor: self.options.monitor.clone(),
                    ..pipeline::Options::default()
                },
                now,
            };
            let memory = || match state {
                Some(state) => state.memory(&name).map_err(|error| error.to_string()),
                None => Ok(None),
            };
            let reading = cluster.read(memory, || self.rules())?;
            round.report.missing.extend(reading.missing);
            round.report.notes.extend(reading.notes);
            round.totals.clusters.entry(name.clone()).or_default().gaps += reading.gaps;
            round.cursors.insert(name.clone(), reading.cursors);
            for (source, reached) in sources.iter().zip(reading.reached) {
                stale::note(&mut round.heard, &name, &source.path, reached, now);
            }
            if let Some(news) = reading.news {
                let is_quiet = self.config.baseline.first_run == FirstRun::Quiet;
                let baseline = (is_quiet && (is_first || news.is_anew)).then_some(BASELINE);
                round.take(loaded, self.config, silences, &name, news, baseline)?;
            }
        }
        stale::retain(&mut round.heard, self.config);
        if !self.options.monitor.is_stopped() {
            // Of a run that was cut short nobody knows what it would have read.
            round.note_stale(self.config, silences);
        }
        Ok(round)
    }

    fn rules(&self) -> Result<&(RuleSet, CompiledRules), AlertError> {
        if let Some(rules) = self.rules.get() {
            return Ok(rules);
        }
        let rules = (self.load)().ok_or(AlertError::Rules)?;
        Ok(self.rules.get_or_init(|| rules))
    }
}

/// What a run has come to before it is stored.
struct Round {
    run: Run,
    now: Timestamp,
    report: Report,
    totals: Totals,
    heard: stale::Sources,
    /// By cluster.
    cursors: BTreeMap<String, Vec<Cursor>>,
    /// By cluster and id, of clusters with news: it is much to read where there is nothing to decide.
    known: BTreeMap<String, BTreeMap<String, Decided>>,
    memory: Vec<(String, Memory)>,
    changed: Vec<(String, String)>,
    forgotten: Vec<String>,
    alerts: Vec<(Alert, Audience)>,
}

impl Round {
    fn new(loaded: &Loaded, now: Timestamp) -> Self {
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
    fn note_ended(&mut self, silences: &Silences) {
        let ended = silences.ended(self.now);
        self.report.notes.extend(ended.map(|silence| {
            format!(
                "the silence of line {} has ended ({})",
                silence.line, silence.reason
            )
        }));
    }

    /// Tells of logs that have stopped, and of those that go on again.
    fn note_stale(&mut self, config: &Config, silences: &Silences) {
        let verdicts = stale::judge(&mut self.heard, config, silences, &self.run, self.now);
        self.report.missing.extend(verdicts.missing);
        self.report.notes.extend(verdicts.notes);
        let alerts = verdicts.alerts.into_iter();
        self.alerts
            .extend(alerts.map(|alert| (alert, Audience::All)));
    }

    /// Decides what the log of a cluster comes to.
    fn take(
        &mut self,
        loaded: &Loaded,
        config: &Config,
        silences: &Silences,
        cluster: &str,
        news: News,
        baseline: Option<Severity>,
    ) -> Result<(), StateError> {
        let totals = self.totals.clusters.entry(cluster.to_owned()).or_default();
        let (bad_before, recovered_before) = (totals.bad, totals.recovered);
        totals.note(&news);
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
        let present: std::collections::HashSet<&str> = (found.iter())
            .map(|finding| finding.finding_id.as_str())
            .collect();
        let is_old = |id: &String, decided: &mut Decided| {
            decided.is_resolved
                && !present.contains(id.as_str())
                && self.now.0.saturating_sub(decided.changed.0) > KEPT_US
        };
        let old = known.extract_if(.., is_old);
        self.forgotten
            .extend(old.map(|(id, _)| finding_key(cluster, &id)));
        self.memory.push((cluster.to_owned(), news.memory));
        Ok(())
    }

    fn told(&self) -> impl Iterator<Item = &Alert> {
        let told = self
            .alerts
            .iter()
            .filter(|(_, audience)| *audience == Audience::All);
        told.map(|(alert, _)| alert)
    }

    /// Returns what is to be stored in one transaction.
    fn commit(&mut self, config: &Config) -> Commit {
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
    fn preview(mut self, sinks: &mut Sinks) -> Report {
        let alerts: Vec<&Alert> = self.told().collect();
        let preview = sinks
            .entries_mut()
            .map(|sink| sink.preview(&alerts))
            .collect();
        self.report.preview = preview;
        self.report.notes.append(&mut self.report.held_back);
        self.report
    }
}

impl Report {
    /// Returns the number of the exit code that the run asks for.
    pub fn exit_code(&self) -> u8 {
        match (self.undelivered, self.missing.is_empty()) {
            (1.., _) => 5,
            (0, false) if self.is_unread => 4,
            (0, false) => 3,
            (0, true) => 0,
        }
    }
}

/// Reads the silences that a configuration names.
///
/// # Errors
/// When they cannot be read, with all that is wrong in the file.
pub fn read_silences(config: &Config) -> Result<Silences, AlertError> {
    let Some(path) = &config.noise.silences else {
        return Ok(Silences::default());
    };
    let text = std::fs::read_to_string(path).map_err(|cause| AlertError::Unread {
        path: path.clone(),
        cause,
    })?;
    Ok(parse_silences(&text, path)?)
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

/// Returns the paths of each cluster.
fn clusters(config: &Config) -> BTreeMap<String, Vec<Source>> {
    let mut clusters: BTreeMap<String, Vec<Source>> = BTreeMap::new();
    for source in &config.sources {
        clusters
            .entry(source.cluster.clone())
            .or_default()
            .push(source.followed());
    }
    clusters
}

fn micros(duration: Option<Duration>) -> i64 {
    duration.map_or(i64::MAX, |duration| {
        i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
    })
}

fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("what is kept is plain")
}
