//! `kubescry alert`: what cron calls.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::ThreadArgs;
use super::diagnostic::{Diagnostic, Printer};
use super::exit::Exit;
use super::rule_args::RuleArgs;
use crate::alert::config::{
    self, Config, ConfigErrors, Known, Problem, Silences, SinkKind, SourceConfig, UnitKind,
    UnitPaths, default_text, print_unit,
};
use crate::alert::inspect;
use crate::alert::run::{AlertError, Options, Report, Runner, read_silences};
use crate::alert::sink::clock::{Clock, RandomDice, SystemClock};
use crate::alert::sink::deliver::Status;
use crate::alert::sink::{Alert, DeadLetters, Run, Sinks};
use crate::alert::stale;
use crate::alert::state::{State, StateError};
use crate::detect::CompiledRules;
use crate::finding::words::counted;
use crate::pipeline::Monitor;
use crate::report::clean::clean;
use crate::rules::RuleSet;
use crate::source::follow::{Disk, expand, is_log, is_pattern};
use crate::source::is_same_file;

/// Image that a unit for Kubernetes names unless asked otherwise.
const IMAGE: &str = concat!("kubescry:", env!("CARGO_PKG_VERSION"));

/// How long `--wait` waits.
const WAIT: Duration = Duration::from_mins(10);

/// How long a run that was asked to stop may take to store what it has.
const GRACE: Duration = Duration::from_secs(4);

/// Options of `kubescry alert`.
#[derive(Debug, Args)]
pub struct AlertArgs {
    /// The configuration; `kubescry alert init` prints one with every key explained
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        default_value = "/etc/kubescry/alert.toml"
    )]
    pub config: PathBuf,
    /// How it runs
    #[command(flatten)]
    pub run: RunArgs,
    /// Something else than a run
    #[command(subcommand)]
    pub command: Option<AlertCommand>,
}

/// Options of a run.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Read and decide, print what would be sent, store nothing and send nothing
    #[arg(long, conflicts_with = "follow")]
    pub dry_run: bool,
    /// Wait for another run that is at work, up to ten minutes, instead of leaving the work to it
    #[arg(long)]
    pub wait: bool,
    /// Stay, and run again whenever the logs have grown
    #[arg(long)]
    pub follow: bool,
    /// Seconds between two looks at the logs with `--follow`
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600), requires = "follow")]
    pub interval: u64,
    /// How many threads do the work
    #[command(flatten)]
    pub threads: ThreadArgs,
}

/// What else there is to do.
#[derive(Debug, Subcommand)]
pub enum AlertCommand {
    /// Print a configuration with every key explained
    Init,
    /// Say what is wrong with the configuration, the rules and the sinks
    Check,
    /// Send a sample to one sink
    TestSink {
        /// Name of the sink
        name: String,
    },
    /// Print what makes a machine run this now and then
    PrintUnit {
        /// For what
        #[arg(value_enum)]
        kind: Unit,
        /// Image of the container, for Kubernetes
        #[arg(long, default_value = IMAGE)]
        image: String,
    },
    /// Look at what runs leave for the next one
    State {
        /// What to do
        #[arg(value_enum)]
        action: StateAction,
        /// Do not ask before everything is forgotten
        #[arg(long)]
        yes: bool,
    },
}

/// What can call a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Unit {
    /// cron(8)
    Crontab,
    /// A service and a timer
    Systemd,
    /// A `CronJob`
    Kubernetes,
}

/// What can be done with the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StateAction {
    /// Say what is in it
    Show,
    /// Print the findings that were decided, as JSON lines
    Export,
    /// Let the next run send what was given up, to the sinks that the configuration has
    Resend,
    /// Forget everything: the next run is a first one
    Reset,
}

/// Runs the command.
pub(super) fn run(args: &AlertArgs, printer: Printer) -> Exit {
    let path = args.config.as_path();
    let done = match &args.command {
        None => alert(&args.run, path, printer),
        Some(AlertCommand::Init) => print(default_text()),
        Some(AlertCommand::Check) => check(path, printer),
        Some(AlertCommand::TestSink { name }) => test_sink(name, path, printer),
        Some(AlertCommand::PrintUnit { kind, image }) => unit(*kind, image, path, printer),
        Some(AlertCommand::State { action, yes }) => look(*action, *yes, path, printer),
    };
    done.unwrap_or_else(|exit| exit)
}

/// Reads the configuration; says what is wrong with it.
fn read(path: &Path, printer: Printer) -> Result<Config, Exit> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = format_args!("cannot read `{}`: {error}", path.display()).to_string();
        let hint = "`kubescry alert init` prints a configuration to begin with";
        printer.print(&Diagnostic::error(message).hint(hint));
        Exit::Usage
    })?;
    let config = config::parse(&text, path).map_err(|errors| wrong(&errors, printer))?;
    spare_logs(&config, path, printer)?;
    Ok(config)
}

/// Refuses sinks that would write into a log that is read.
fn spare_logs(config: &Config, path: &Path, printer: Printer) -> Result<(), Exit> {
    let mut exit = Ok(());
    for sink in &config.sinks {
        if let SinkKind::File { path: log, .. } = &sink.kind
            && let Some(source) = config.sources.iter().find(|source| reads(source, log))
        {
            let message = format!(
                "the sink `{}` would write into `{}`, which the [[source]] of line {} reads as a log",
                sink.name,
                log.display(),
                source.line
            );
            let place = format!("  --> {}:{}", path.display(), sink.line);
            printer.print(
                &Diagnostic::error(message)
                    .line(place)
                    .hint("alerts belong in another folder than logs"),
            );
            exit = Err(Exit::Usage);
        }
    }
    exit
}

/// Returns whether a source reads the file at `path`, or would if it were there.
fn reads(source: &SourceConfig, path: &Path) -> bool {
    if !path.exists() {
        let is_within = source.path.is_dir() && path.starts_with(&source.path);
        return source.path == path || is_within && is_log(path);
    }
    let files = expand(&Disk, &[source.followed()]).files;
    files.iter().any(|file| is_same_file(&file.path, path))
}

/// Says all that is wrong with a file.
fn wrong(errors: &ConfigErrors, printer: Printer) -> Exit {
    for problem in &errors.problems {
        let (line, column) = (problem.line, problem.column);
        let place = format!("  --> {}:{line}:{column}", errors.path.display());
        let diagnostic = Diagnostic::error(&problem.what).line(place);
        printer.print(&match &problem.hint {
            Some(hint) => diagnostic.hint(hint),
            None => diagnostic,
        });
    }
    Exit::Usage
}

/// Loads the rules of a configuration, and looks whether those that it disables are there.
fn load(config: &Config, printer: Printer) -> Result<Arc<(RuleSet, CompiledRules)>, Exit> {
    let args = RuleArgs {
        queries: config.rules.paths.clone(),
        skip_bad_rules: false,
        no_exclusions: false,
    };
    let (rules, compiled) = args.load(printer)?;
    super::rules::find(&rules, &config.rules.disable, printer)?;
    Ok(Arc::new((rules, compiled)))
}

/// One run, or one after the other until a signal comes.
fn alert(args: &RunArgs, path: &Path, printer: Printer) -> Result<Exit, Exit> {
    let config = read(path, printer)?;
    args.threads.settle();
    let options = Options {
        wait: (args.wait || args.follow).then_some(WAIT),
        is_dry: args.dry_run,
        threads: args.threads.count(),
        monitor: Monitor::default(),
    };
    stop_on_signals(&options.monitor, printer);
    let load = || load(&config, printer).ok();
    let runner = Runner::new(&config, &options, &load);
    if !args.follow {
        let exit = one_run(&runner, &mut Said::default(), printer);
        let is_stopped = options.monitor.is_stopped();
        return Ok(if is_stopped { Exit::Done } else { exit });
    }
    let mut said = Said::default();
    while !options.monitor.is_stopped() {
        if one_run(&runner, &mut said, printer) == Exit::Usage {
            return Err(Exit::Usage);
        }
        rest(Duration::from_secs(args.interval), &options.monitor);
    }
    Ok(Exit::Done)
}

/// What the run before said is missing or worth a note: what stays so is not said again.
#[derive(Default)]
struct Said(BTreeSet<String>);

/// Does one run and says how it went.
fn one_run(runner: &Runner<'_>, said: &mut Said, printer: Printer) -> Exit {
    match runner.run() {
        Ok(report) => tell(&report, said, printer).unwrap_or_else(|exit| exit),
        Err(AlertError::State(error @ StateError::Locked { .. })) => {
            printer.print(&Diagnostic::warning(&error).hint(error.hint()));
            Exit::Done
        }
        Err(error) => failed(&error, printer),
    }
}

/// Waits, or until somebody asks to stop.
fn rest(duration: Duration, monitor: &Monitor) {
    let step = Duration::from_millis(100);
    let mut left = duration;
    while !left.is_zero() && !monitor.is_stopped() {
        std::thread::sleep(step.min(left));
        left = left.saturating_sub(step);
    }
}

/// The first signal ends reading behind a record, so that what was read is stored; the second ends all, and so does time.
///
/// Whatever is cut short then has not happened, or is sent again with the same keys.
#[cfg(unix)]
fn stop_on_signals(monitor: &Monitor, printer: Printer) {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = match signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]) {
        Ok(signals) => signals,
        Err(error) => {
            printer.warning(format_args!("a signal will end the run at once: {error}"));
            return;
        }
    };
    let monitor = monitor.clone();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if monitor.stop() {
                #[expect(clippy::exit, reason = "somebody does not want to wait")]
                std::process::exit(128 + signal);
            }
            std::thread::spawn(|| {
                std::thread::sleep(GRACE);
                #[expect(
                    clippy::exit,
                    reason = "whoever sent the signal waits for no slow target"
                )]
                std::process::exit(Exit::Done.code().into());
            });
        }
    });
}

#[cfg(not(unix))]
fn stop_on_signals(monitor: &Monitor, printer: Printer) {
    super::scan::stop_on_interrupt(monitor, printer);
}

/// Says how a run went.
fn tell(report: &Report, said: &mut Said, printer: Printer) -> Result<Exit, Exit> {
    print(&report.preview)?;
    for missing in &report.missing {
        if !said.0.contains(missing) {
            printer.warning(missing);
        }
    }
    for note in &report.notes {
        if !said.0.contains(note) {
            printer.note(note);
        }
    }
    said.0 = report
        .missing
        .iter()
        .chain(&report.notes)
        .cloned()
        .collect();
    Ok(match report.exit_code() {
        0 => Exit::Done,
        3 => Exit::Partial,
        4 => Exit::Unreadable,
        _ => Exit::Undelivered,
    })
}

fn failed(error: &AlertError, printer: Printer) -> Exit {
    let (exit, hint) = match error {
        // Said already.
        AlertError::Rules => return Exit::Usage,
        // The configuration names a folder that no run can use.
        AlertError::State(error @ (StateError::Unsafe { .. } | StateError::Newer { .. })) => {
            (Exit::Usage, Some(error.hint()))
        }
        AlertError::State(error) => (Exit::Partial, Some(error.hint())),
        AlertError::Silences(errors) => return wrong(errors, printer),
        AlertError::Scan(_) | AlertError::Sinks(_) | AlertError::Unread { .. } => {
            (Exit::Usage, None)
        }
    };
    let diagnostic = Diagnostic::error(error);
    printer.print(&match hint {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    });
    exit
}

fn check(path: &Path, printer: Printer) -> Result<Exit, Exit> {
    let config = read(path, printer)?;
    let sinks = sinks(&config, printer);
    let rules = load(&config, printer)?;
    let silences = read_silences(&config).map_err(|error| failed(&error, printer));
    let writable = writable(&config, &sinks?, path, printer);
    let silences = silences?;
    let mut n_doubts = 0;
    for doubt in doubts(&config) {
        printer.warning(&doubt);
        n_doubts += 1;
    }
    if let Some(path) = &config.noise.silences {
        for doubt in doubts_of_silences(&silences, &config, &rules.0) {
            let place = format!("  --> {}:{}:{}", path.display(), doubt.line, doubt.column);
            let warning = Diagnostic::warning(&doubt.what).line(place);
            printer.print(&match &doubt.hint {
                Some(hint) => warning.hint(hint),
                None => warning,
            });
            n_doubts += 1;
        }
    }
    writable?;
    let verdict = match n_doubts {
        0 => "is fine".to_owned(),
        n_doubts => format!("can be used, with {}", counted(n_doubts, "warning")),
    };
    print(&format!(
        "{} {verdict}: {}, {}, {}\n",
        path.display(),
        counted(config.sources.len() as u64, "source"),
        counted(config.sinks.len() as u64, "sink"),
        counted(rules.0.rules.len() as u64, "rule"),
    ))
}

/// Looks whether a run of this user could write its state and to the files of its sinks; says where it could not.
fn writable(config: &Config, sinks: &Sinks, path: &Path, printer: Printer) -> Result<(), Exit> {
    let mut exit = Ok(());
    let mut say = |diagnostic: Diagnostic| {
        printer.print(&diagnostic);
        exit = Err(Exit::Usage);
    };
    let dir = &config.state.dir;
    if let Err(error) = State::check_folder(dir) {
        say(Diagnostic::error(&error).hint(error.hint()));
    }
    // The folder of the state is made by the first run.
    let letters = &config.run.dead_letters;
    if !letters.starts_with(dir)
        && let Err(error) = DeadLetters::new(letters).check()
    {
        say(Diagnostic::error(format_args!("the dead letters: {error}")));
    }
    for (name, why) in sinks.check() {
        let line = config.sinks.iter().find(|sink| sink.name == name);
        let line = line.map_or(0, |sink| sink.line);
        let place = format!("  --> {}:{line}", path.display());
        let hint = "a run makes no folder for it: is it there, and may this user write there?";
        let error = format_args!("sink `{name}`: {why}");
        say(Diagnostic::error(error).line(place).hint(hint));
    }
    exit
}

/// Returns what of the silences has ended, or names what is not there.
fn doubts_of_silences(silences: &Silences, config: &Config, rules: &RuleSet) -> Vec<Problem> {
    let metas = || rules.rules.iter().map(|rule| &rule.meta);
    let names = metas().flat_map(|meta| [meta.name.as_str(), meta.id.as_str()]);
    let names: Vec<&str> = names.chain([stale::RULE, stale::RULE_ID]).collect();
    let families: BTreeSet<&str> = metas().map(|meta| meta.family.as_str()).collect();
    let families: Vec<&str> = families.into_iter().collect();
    let clusters = config.sources.iter().map(|source| source.cluster.as_str());
    let known = Known {
        rules: &names,
        families: &families,
        clusters: &clusters.collect::<Vec<_>>(),
    };
    silences.doubts(&known, SystemClock.wall())
}

/// Returns what is allowed, and will hardly be meant.
fn doubts(config: &Config) -> Vec<String> {
    let mut doubts = Vec::new();
    for source in &config.sources {
        let path = &source.path;
        if source.stale_after.is_none() {
            doubts.push(format!(
                "[[source]] of line {} has no `stale_after`: nobody is told when `{}` gets no more events",
                source.line,
                path.display()
            ));
        }
        if is_pattern(path) && !path.exists() {
            let found = expand(&Disk, &[source.followed()]);
            doubts.extend(found.errors.iter().map(ToString::to_string));
            if found.errors.is_empty() && found.files.is_empty() {
                doubts.push(format!(
                    "the pattern `{}` matches no log now",
                    path.display()
                ));
            }
            continue;
        }
        let read = std::fs::metadata(path).and_then(|found| {
            if found.is_dir() {
                std::fs::read_dir(path).map(drop)
            } else if found.is_file() {
                std::fs::File::open(path).map(drop)
            } else {
                Ok(())
            }
        });
        if let Err(error) = read {
            let path = path.display();
            doubts.push(format!("the source `{path}` cannot be read now: {error}"));
        }
    }
    if config.sinks.is_empty() {
        doubts.push("there is no [[sink]]: nobody is told of anything".to_owned());
    }
    doubts
}

fn sinks(config: &Config, printer: Printer) -> Result<Sinks, Exit> {
    let environment = |name: &str| std::env::var(name).ok();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Sinks::from_config(config, &environment, &clock).map_err(|errors| {
        for error in errors {
            let place = format!("  --> line {} of the configuration", error.line);
            printer.print(&Diagnostic::error(&error).line(place));
        }
        Exit::Usage
    })
}

fn test_sink(name: &str, path: &Path, printer: Printer) -> Result<Exit, Exit> {
    let config = read(path, printer)?;
    let mut sinks = sinks(&config, printer)?;
    let Some(sink) = sinks.get_mut(name) else {
        let names: Vec<&str> = config.sinks.iter().map(|sink| sink.name.as_str()).collect();
        let hint = format!("there are {}", names.join(", "));
        let error = format_args!("there is no sink `{name}`");
        printer.print(&Diagnostic::error(error).hint(hint));
        return Err(Exit::Usage);
    };
    let at = SystemClock.wall();
    let run = Run {
        id: format!("test-{}", at.0),
        at,
    };
    let sample = Alert::sample(&config.sources[0].cluster, &run);
    match sink.test(&sample, &SystemClock, &mut RandomDice::default()) {
        Status::Delivered | Status::NotWanted => {
            printer.note(format_args!("sink `{name}` took the sample"));
            Ok(Exit::Done)
        }
        Status::Pending { why, .. } | Status::Dead { why } => {
            printer.error(format_args!("sink `{name}` did not take the sample: {why}"));
            Err(Exit::Undelivered)
        }
    }
}

fn unit(kind: Unit, image: &str, path: &Path, printer: Printer) -> Result<Exit, Exit> {
    let config = read(path, printer)?;
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let program = std::env::current_exe().unwrap_or_else(|_| "/usr/local/bin/kubescry".into());
    let mut paths = UnitPaths::new(&program, &absolute(path), &config, image);
    paths.state_dir = absolute(&paths.state_dir);
    for folder in paths.logs.iter_mut().chain(&mut paths.written) {
        *folder = absolute(folder);
    }
    let kind = match kind {
        Unit::Crontab => UnitKind::Crontab,
        Unit::Systemd => UnitKind::Systemd,
        Unit::Kubernetes => UnitKind::Kubernetes,
    };
    print(&print_unit(kind, &paths))
}

fn look(action: StateAction, yes: bool, path: &Path, printer: Printer) -> Result<Exit, Exit> {
    let config = read(path, printer)?;
    let failed = |error: StateError| {
        printer.print(&Diagnostic::error(&error).hint(error.hint()));
        Exit::Partial
    };
    let dir = &config.state.dir;
    if !State::is_in(dir).map_err(failed)? {
        printer.note(format_args!("there is no state in `{}` yet", dir.display()));
        return Ok(Exit::Done);
    }
    let (mut state, loaded) = State::open(dir, None).map_err(failed)?;
    for warning in &state.warnings {
        printer.warning(warning);
    }
    match action {
        StateAction::Resend => {
            let sinks: Vec<&str> = config.sinks.iter().map(|sink| sink.name.as_str()).collect();
            let n_revived = state.revive(&sinks).map_err(failed)?;
            printer.note(format_args!(
                "the next run sends {} again",
                counted(n_revived as u64, "dead letter")
            ));
            let dead = state.dead().map_err(failed)?.into_iter();
            let others: BTreeSet<String> = dead.map(|(entry, _)| entry.sink).collect();
            for sink in others {
                printer.warning(format_args!(
                    "there are dead letters for `{}`, and no sink of that name: give it its name back to have them sent",
                    clean(&sink)
                ));
            }
            Ok(Exit::Done)
        }
        StateAction::Show => print(&inspect::show(&state, &loaded).map_err(failed)?),
        StateAction::Export => print(&inspect::export(&loaded).map_err(failed)?),
        StateAction::Reset => {
            if !yes {
                confirm(&state, loaded.runs, printer)?;
            }
            state.reset().map_err(failed)?;
            printer.note("the state is gone: the next run is a first one");
            Ok(Exit::Done)
        }
    }
}

/// Asks whether the state is to be forgotten; where nobody can be asked, it is not.
fn confirm(state: &State, runs: u64, printer: Printer) -> Result<(), Exit> {
    let path = state.path();
    let path = path.display();
    let lost = format!(
        "what {} left in `{path}`: the next one reads all logs again, and tells again what was told",
        counted(runs, "run")
    );
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        let error = format_args!("nothing was done: this would forget {lost}");
        printer.print(&Diagnostic::error(error).hint("--yes does it without asking"));
        return Err(Exit::Usage);
    }
    // Whoever wants it quiet is asked all the same.
    let _ = write!(io::stderr(), "forget {lost}? [y/N] ");
    let mut answer = String::new();
    let _ = io::stdin().read_line(&mut answer);
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    printer.note("nothing was done");
    Err(Exit::Done)
}

/// Writes to standard output; a closed pipe is success.
fn print(text: &str) -> Result<Exit, Exit> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Exit::Partial),
        _ => Ok(Exit::Done),
    }
}
