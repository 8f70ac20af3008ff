//! One run: read what is new, detect, decide, store, deliver.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::{Config, ConfigErrors, FirstRun, Silences, SinkKind, parse_silences};
use super::figures::End;
use super::outbox::deliver;
use super::reading::Cluster;
use super::round::{BASELINE, Round, to_json};
use super::sink::clock::{Clock, SystemClock};
use super::sink::{SinkError, Sinks};
use super::stale;
use super::state::{Loaded, State, StateError};
use crate::detect::CompiledRules;
use crate::pipeline::{self, Monitor, ScanError};
use crate::rules::RuleSet;
use crate::source::follow::{Disk, Files, Source};

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
            round.note_left_out(&name, &reading.left_out);
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
