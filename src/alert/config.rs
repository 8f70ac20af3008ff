//! The configuration of `kubescry alert`, in TOML 1.0.
//!
//! Comes in: the text of the file. Goes out: settings with every default filled in, or all that is wrong with it, each
//! with its place and a hint. Nothing else is read: secrets, silences and sinks are opened by who uses them, so that
//! `alert check` can say what the file is worth without a right to any of it.
//!
//! Surprises: an unknown key is an error; a relative path is relative to the folder of the configuration; a secret is
//! never in the file, only where it is (`*_env`, `*_file`), but for a `url`, which is then treated as one.

mod default;
mod kinds;
mod problem;
mod secret;
mod section;
mod silence;
mod sinks;
mod targets;
mod unit;
mod words;

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

use crate::source::follow::{Links, Source};
pub use default::default_text;
pub use kinds::{
    EmailConfig, Format, HttpConfig, MailRoute, OcsfTarget, SinkConfig, SinkKind, SmtpConfig,
    SmtpTls, SyslogConfig, SyslogFormat, Transport,
};
use problem::Problems;
pub use problem::{ConfigErrors, Problem};
pub use secret::{Secret, SecretError, SecretSource};
use section::Section;
pub use silence::{Known, Silence, Silences, parse_silences};
pub use unit::{UnitKind, UnitPaths, print_unit};

/// Shortest `stale_after`: what one API server has logged ahead of another waits for ten minutes.
const MIN_STALE: Duration = Duration::from_mins(15);

/// Longest configuration, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// Everything in the file, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `[state]`
    pub state: StateConfig,
    /// `[[source]]`, at least one.
    pub sources: Vec<SourceConfig>,
    /// `[baseline]`
    pub baseline: BaselineConfig,
    /// `[rules]`
    pub rules: RulesConfig,
    /// `[run]`
    pub run: RunConfig,
    /// `[noise]`
    pub noise: NoiseConfig,
    /// `[[sink]]`, in the order of the file; names are unique.
    pub sinks: Vec<SinkConfig>,
}

/// Where a run keeps what the next one needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateConfig {
    /// Folder of the state, the lock and the dead letters; made with mode 0700.
    pub dir: PathBuf,
}

/// A log to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// File, folder or glob.
    pub path: PathBuf,
    /// The cluster it is of; part of every identity.
    pub cluster: String,
    /// How old its newest event may be before somebody is told; `None` is never.
    pub stale_after: Option<Duration>,
    /// Line of the file, from 1.
    pub line: usize,
}

impl SourceConfig {
    /// Returns it as what is followed.
    pub fn followed(&self) -> Source {
        Source {
            path: self.path.clone(),
            links: Links::Follow,
        }
    }
}

/// What the first run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaselineConfig {
    /// Whether it alerts on what is there already.
    pub first_run: FirstRun,
}

/// What the first run says of findings in what was logged before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FirstRun {
    /// Nothing: they are the baseline.
    #[default]
    Quiet,
    /// Everything.
    Alert,
}

/// Which rules run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RulesConfig {
    /// Files and folders of rules, besides the built-in ones.
    pub paths: Vec<PathBuf>,
    /// Names or ids of rules that do not run.
    pub disable: Vec<String>,
}

/// What holds for a whole run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunConfig {
    /// How often cron runs; `alert print-unit` and the `endsAt` of Alertmanager follow it.
    pub every: Duration,
    /// The file of alerts that will never be delivered.
    pub dead_letters: PathBuf,
}

/// How often people hear of the same thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoiseConfig {
    /// New findings per rule and run that are alerted one by one; one summary stands for the others.
    pub cap_per_rule: u32,
    /// How long a finding that goes on is not alerted again; `None` is for ever.
    pub renotify_after: Option<Duration>,
    /// How long a finding must not have been seen to be resolved; `None` is never.
    pub resolve_after: Option<Duration>,
    /// Whether findings are alerted that rest on events behind damage alone, which who can cut the log could have forged.
    pub recovered: bool,
    /// The file of silences.
    pub silences: Option<PathBuf>,
}

/// Reads a configuration; `path` is where it is, for messages and relative paths.
///
/// # Errors
/// All that is wrong with it: syntax, unknown keys, wrong types and values, keys that are missing or exclude each other.
pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigErrors> {
    let problems = Problems::new(text);
    let config = syntax(text, &problems).map(|table| {
        let base = path.parent().filter(|base| !base.as_os_str().is_empty());
        let base = base.unwrap_or(Path::new("."));
        read(
            Section::new(table.get_ref(), "the file", 0..0, &problems),
            base,
        )
    });
    problems.finish(path, config)
}

/// Returns the tables of a text, if it is TOML.
fn syntax<'a>(text: &'a str, problems: &Problems<'_>) -> Option<Spanned<DeTable<'a>>> {
    if text.len() > MAX_BYTES {
        problems.add(
            &(0..0),
            format!("the file is longer than {MAX_BYTES} bytes"),
            None,
        );
        return None;
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        problems.add(&error.span().unwrap_or(0..0), error.message(), None);
    }
    errors.is_empty().then_some(table)
}

fn read(mut root: Section<'_>, base: &Path) -> Config {
    let state = read_state(root.table("state"), base);
    let sources: Vec<SourceConfig> = root
        .tables("source")
        .into_iter()
        .map(|section| read_source(section, base))
        .collect();
    if sources.is_empty() {
        let hint = "say what to follow: [[source]] with `path`".to_owned();
        root.problems
            .add(&(0..0), "there is no `[[source]]`", Some(hint));
    }
    let baseline = BaselineConfig {
        first_run: read_baseline(root.table("baseline")),
    };
    let rules = read_rules(root.table("rules"), base);
    let run = read_run(root.table("run"), base, &state);
    let noise = read_noise(root.table("noise"), base);
    let sinks = sinks::read(root.tables("sink"), base, ends_after(&noise, &run));
    root.finish();
    Config {
        state,
        sources,
        baseline,
        rules,
        run,
        noise,
        sinks,
    }
}

/// Returns how long an alert lasts at a receiver that ends it by itself: as long as we hold it open, and two runs more.
fn ends_after(noise: &NoiseConfig, run: &RunConfig) -> Duration {
    noise.resolve_after.unwrap_or(Duration::from_hours(24)) + run.every * 2
}

fn read_state(section: Option<Section<'_>>, base: &Path) -> StateConfig {
    let mut dir = None;
    if let Some(mut section) = section {
        dir = section.path("dir");
        section.finish();
    }
    StateConfig {
        dir: base.join(dir.unwrap_or_else(|| "/var/lib/kubescry".into())),
    }
}

fn read_source(mut section: Section<'_>, base: &Path) -> SourceConfig {
    let source = SourceConfig {
        path: base.join(section.required("path")),
        cluster: section
            .text("cluster")
            .unwrap_or_else(|| "default".to_owned()),
        stale_after: section.duration("stale_after", MIN_STALE..=Duration::from_hours(24 * 366)),
        line: section.problems.position(section.place.start).0,
    };
    section.finish();
    source
}

fn read_baseline(section: Option<Section<'_>>) -> FirstRun {
    let words = [("quiet", FirstRun::Quiet), ("alert", FirstRun::Alert)];
    section
        .and_then(|mut section| {
            let first_run = section.word("first_run", &words);
            section.finish();
            first_run
        })
        .unwrap_or_default()
}

fn read_rules(section: Option<Section<'_>>, base: &Path) -> RulesConfig {
    let Some(mut section) = section else {
        return RulesConfig::default();
    };
    let paths = section.texts("paths").unwrap_or_default();
    let rules = RulesConfig {
        paths: paths.into_iter().map(|path| base.join(path)).collect(),
        disable: section.texts("disable").unwrap_or_default(),
    };
    section.finish();
    rules
}

fn read_run(section: Option<Section<'_>>, base: &Path, state: &StateConfig) -> RunConfig {
    let mut run = RunConfig {
        every: Duration::from_mins(10),
        dead_letters: state.dir.join("dead-letters.jsonl"),
    };
    if let Some(mut section) = section {
        let range = Duration::from_mins(1)..=Duration::from_hours(24);
        run.every = section.duration("every", range).unwrap_or(run.every);
        let dead_letters = section.path("dead_letters").map(|path| base.join(path));
        run.dead_letters = dead_letters.unwrap_or(run.dead_letters);
        section.finish();
    }
    run
}

fn read_noise(section: Option<Section<'_>>, base: &Path) -> NoiseConfig {
    let mut noise = NoiseConfig {
        cap_per_rule: 50,
        renotify_after: Some(Duration::from_hours(24)),
        resolve_after: Some(Duration::from_hours(24)),
        recovered: false,
        silences: None,
    };
    if let Some(mut section) = section {
        noise.cap_per_rule = section
            .number("cap_per_rule", 1..=10_000)
            .unwrap_or(noise.cap_per_rule);
        noise.renotify_after = section.duration_or_never("renotify_after", noise.renotify_after);
        noise.resolve_after = section.duration_or_never("resolve_after", noise.resolve_after);
        noise.recovered = section.flag("recovered").unwrap_or(noise.recovered);
        noise.silences = section.path("silences").map(|path| base.join(path));
        section.finish();
    }
    noise
}

#[cfg(test)]
mod tests;
