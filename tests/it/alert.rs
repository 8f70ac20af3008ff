//! `kubescry alert`: a log cut into runs, whatever happens to its files, comes to what one scan comes to, and nothing is
//! told twice.

mod faults;
mod month;
mod program;
mod stale;
mod writer;
#[cfg(target_os = "linux")]
mod writing;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kubescry::alert::config::{self, Config};
use kubescry::alert::run::{AlertError, Options, Report, Runner};
use kubescry::alert::sink::clock::Clock;
use kubescry::detect::CompiledRules;
use kubescry::finding::Timestamp;
use kubescry::pipeline::{self, Monitor, scan};
use kubescry::rules::{Rule, RuleBody, RuleSet};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stories::{PODS, Story, person};
use crate::support::root;
use writer::{Dice, Writer};

/// Rules, to be shared by many runs.
type Rules = Arc<(RuleSet, CompiledRules)>;

/// The rules of the program.
fn rules() -> Rules {
    static SHARED: std::sync::LazyLock<Rules> =
        std::sync::LazyLock::new(|| compiled(RuleSet::embedded().unwrap()));
    Arc::clone(&SHARED)
}

fn compiled(rules: RuleSet) -> Rules {
    let compiled = CompiledRules::compile(&rules).unwrap();
    Arc::new((rules, compiled))
}

/// A finding as it was told last: how bad, how many requests, and whether it is over.
type Told = BTreeMap<String, (String, u64, String)>;

/// A folder of logs that is watched, and what was told of it.
struct Watched {
    folder: TempDir,
    config: Config,
    rules: Rules,
}

impl Watched {
    /// Watches one folder; `more` is put behind the configuration.
    fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        let text = format!(
            "[state]\ndir = \"state\"\n[[source]]\npath = \"logs\"\ncluster = \"c\"\n\
             [[sink]]\ntype = \"file\"\nformat = \"jsonl\"\nmin_severity = \"informational\"\npath = \"told.jsonl\"\n{more}"
        );
        let path = folder.path().join("alert.toml");
        fs::write(&path, &text).unwrap();
        let config = config::parse(&text, &path).unwrap();
        Self {
            folder,
            config,
            rules: rules(),
        }
    }

    /// Watches one folder and tells all that it finds from the first run on.
    fn telling_all() -> Self {
        Self::new(
            "[baseline]\nfirst_run = \"alert\"\n[noise]\nresolve_after = \"never\"\ncap_per_rule = 10000\n",
        )
    }

    fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    fn try_run(&self) -> Result<Report, AlertError> {
        self.try_run_with(None)
    }

    /// Runs once, by another clock than this machine's if one is given.
    fn try_run_with(&self, clock: Option<Arc<dyn Clock>>) -> Result<Report, AlertError> {
        let options = Options {
            // Between fork and exec, a child of another test holds the lock, too.
            wait: Some(Duration::from_mins(1)),
            is_dry: false,
            threads: 2,
            monitor: Monitor::default(),
        };
        let load = || Some(Arc::clone(&self.rules));
        let runner = Runner::new(&self.config, &options, &load);
        match clock {
            Some(clock) => runner.with_clock(clock).run(),
            None => runner.run(),
        }
    }

    fn run(&self) -> Report {
        self.try_run().unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        lines(&self.folder.path().join("told.jsonl"))
    }

    fn told(&self) -> Told {
        told(&self.lines())
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Returns what was told last of each finding that is not over.
fn told(lines: &[Value]) -> Told {
    let (mut told, mut ever) = (Told::new(), BTreeSet::new());
    for line in lines {
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        let id = text("finding_id");
        if text("event") == "resolve" {
            assert!(
                told.remove(&id).is_some(),
                "what was not told is over: {line}"
            );
            continue;
        }
        let is_first = ever.insert(id.clone());
        assert_eq!(text("event") == "new", is_first, "{line}");
        let rule = line["rule"]["name"].as_str().unwrap().to_owned();
        told.insert(
            id,
            (text("severity"), line["count"].as_u64().unwrap(), rule),
        );
    }
    told
}

/// Returns what one scan over all of a log says.
fn scanned(paths: &[&Path]) -> Told {
    scanned_by(&rules(), paths)
}

fn scanned_by(rules: &Rules, paths: &[&Path]) -> Told {
    let options = pipeline::Options {
        evidence_limit: 20,
        ..crate::support::options(paths)
    };
    let scan = scan(&options, &rules.0, &rules.1).unwrap();
    let findings = scan.outcome.findings.into_iter();
    let told = findings.map(|finding| {
        let severity = finding.severity.to_string();
        (
            finding.finding_id,
            (severity, finding.count, finding.rule.name),
        )
    });
    told.collect()
}

/// Returns what one scan says of lines.
fn scanned_lines(lines: &[Vec<u8>]) -> Told {
    scanned_lines_by(&rules(), lines)
}

fn scanned_lines_by(rules: &Rules, lines: &[Vec<u8>]) -> Told {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whole.log");
    fs::write(&path, lines.concat()).unwrap();
    scanned_by(rules, &[&path])
}

#[track_caller]
fn assert_told(case: &str, told: &Told, expected: &Told) {
    let missing: Vec<_> = expected
        .iter()
        .filter(|(id, it)| told.get(*id) != Some(it))
        .collect();
    let more: Vec<_> = told
        .iter()
        .filter(|(id, it)| expected.get(*id) != Some(it))
        .collect();
    assert!(
        missing.is_empty() && more.is_empty(),
        "{case}\nscan: {missing:#?}\nalert: {more:#?}"
    );
}

fn log(name: &str) -> Vec<Vec<u8>> {
    let text = crate::support::read(&root().join(name));
    text.split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

#[test]
fn a_log_that_grows_and_rotates_comes_to_one_scan() {
    for (seed, name) in (1..).zip([
        "tests/logs/v1.36-realistic-token-reuse.log.zst",
        "tests/logs/v1.36-full-shared-credentials.log.zst",
        "tests/logs/v1.20-metadata-refused.log.zst",
        "tests/logs/v1.36-realistic-system-masters.log.zst",
    ]) {
        let lines = log(name);
        let watched = Watched::telling_all();
        let mut dice = Dice(seed);
        let mut writer = Writer::new(watched.logs(), lines.clone());
        writer.append(1);
        while !writer.is_done() {
            writer.step(&mut dice);
            if dice.roll(3) == 0 {
                let report = watched.run();
                assert_eq!(report.missing, Vec::<String>::new(), "{name}");
            }
        }
        writer.finish();
        watched.run();
        assert_told(name, &watched.told(), &scanned_lines(&lines));
        let before = watched.lines().len();
        watched.run();
        assert_eq!(
            watched.lines().len(),
            before,
            "{name}: nothing is new, nothing is told"
        );
    }
}

#[test]
fn logs_of_two_servers_come_to_one_scan() {
    let lines = log("tests/logs/v1.36-realistic-token-reuse.log.zst");
    // As if a load balancer had sent each client's requests to either server.
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for (at, line) in lines.iter().enumerate() {
        if (at / 7) % 2 == 0 { &mut a } else { &mut b }.push(line.clone());
    }
    let whole = tempfile::tempdir().unwrap();
    for (name, lines) in [("a.log", &a), ("b.log", &b)] {
        fs::write(whole.path().join(name), lines.concat()).unwrap();
    }
    let expected = scanned(&[whole.path()]);
    for seed in 1..4 {
        let watched = Watched::telling_all();
        let mut dice = Dice(seed);
        let (mut at_a, mut at_b) = (0, 0);
        while at_a < a.len() || at_b < b.len() {
            // About as far, but never the same.
            let target = (at_a.max(at_b) + 1 + dice.roll(a.len() / 8)).min(a.len().max(b.len()));
            at_a = target.min(a.len()).saturating_sub(if target < a.len() {
                dice.roll(10)
            } else {
                0
            });
            at_b = target.min(b.len()).saturating_sub(if target < b.len() {
                dice.roll(10)
            } else {
                0
            });
            fs::write(watched.logs().join("a.log"), a[..at_a].concat()).unwrap();
            fs::write(watched.logs().join("b.log"), b[..at_b].concat()).unwrap();
            watched.run();
        }
        assert_told(&format!("seed {seed}"), &watched.told(), &expected);
    }
}

#[test]
fn late_events_come_to_one_scan() {
    let lines = log("tests/logs/v1.36-realistic-token-reuse.log.zst");
    for seed in 1..4 {
        // The whole log spans less than the ten minutes that an event may be late.
        let mut dice = Dice(seed);
        let mut shuffled = lines.clone();
        for at in (1..shuffled.len()).rev() {
            // Where many are late there is no order, and a scan makes one.
            if dice.roll(60) > 0 {
                continue;
            }
            let far = [5, 50, lines.len()][usize::try_from(seed).unwrap() - 1];
            shuffled.swap(at, at - dice.roll(far.min(at + 1)));
        }
        let watched = Watched::telling_all();
        let mut writer = Writer::new(watched.logs(), shuffled.clone());
        while !writer.is_done() {
            writer.append(1 + dice.roll(lines.len() / 5));
            watched.run();
        }
        assert_told(
            &format!("seed {seed}"),
            &watched.told(),
            &scanned_lines(&shuffled),
        );
    }
}

#[test]
fn a_first_run_is_quiet_but_for_what_is_grave() {
    let lines = log("tests/logs/v1.36-realistic-token-reuse.log.zst");
    let watched = Watched::new("");
    fs::write(watched.logs().join("audit.log"), lines.concat()).unwrap();
    watched.run();
    let told = watched.lines();
    let severities: Vec<&str> = told
        .iter()
        .map(|line| line["severity"].as_str().unwrap())
        .collect();
    assert!(!told.is_empty());
    assert!(
        severities
            .iter()
            .all(|it| ["high", "critical"].contains(it)),
        "{severities:?}"
    );
    let grave = scanned_lines(&lines).into_values();
    let grave = grave.filter(|(severity, ..)| ["high", "critical"].contains(&severity.as_str()));
    assert_eq!(told.len(), grave.count());
}

#[test]
fn a_rule_that_floods_is_told_in_one_summary() {
    let lines = log("tests/logs/v1.36-realistic-system-masters.log.zst");
    let watched = Watched::new("[baseline]\nfirst_run = \"alert\"\n[noise]\ncap_per_rule = 1\n");
    fs::write(watched.logs().join("audit.log"), lines.concat()).unwrap();
    watched.run();
    let mut by_rule: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for line in watched.lines() {
        let counts = by_rule
            .entry(line["rule"]["name"].as_str().unwrap().to_owned())
            .or_default();
        match line["event"].as_str().unwrap() {
            "summary" => counts.1 += line["count"].as_u64().unwrap(),
            _ => counts.0 += 1,
        }
    }
    let mut expected: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (_, _, rule) in scanned_lines(&lines).into_values() {
        let counts = expected.entry(rule).or_default();
        if counts.0 == 0 {
            counts.0 = 1;
        } else {
            counts.1 += 1;
        }
    }
    assert!(expected.values().any(|(_, more)| *more > 1));
    assert_eq!(by_rule, expected);
}

#[test]
fn silences_hold_back_until_they_end() {
    let lines = log("tests/logs/v1.36-realistic-token-reuse.log.zst");
    let watched =
        Watched::new("[baseline]\nfirst_run = \"alert\"\n[noise]\nsilences = \"silences.toml\"\n");
    let path = watched.folder.path().join("silences.toml");
    let silence = |until: &str| {
        let text =
            format!("[[silence]]\nfamily = \"token-reuse\"\nuntil = {until}\nreason = \"known\"\n");
        fs::write(&path, text).unwrap();
    };
    let is_about = |line: &Value| line["family"] == "token-reuse";
    silence("9999-01-01");
    let half = lines.len() * 3 / 4;
    fs::write(watched.logs().join("audit.log"), lines[..half].concat()).unwrap();
    let report = watched.run();
    assert!(!watched.lines().is_empty());
    assert!(!watched.lines().iter().any(is_about));
    assert!(
        report
            .held_back
            .iter()
            .any(|note| note.contains("silenced")),
        "{:?}",
        report.held_back
    );
    silence("2020-01-01");
    fs::write(watched.logs().join("audit.log"), lines.concat()).unwrap();
    let report = watched.run();
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("has ended (known)")),
        "{:?}",
        report.notes
    );
    assert!(watched.lines().iter().any(is_about));
}

#[test]
fn what_is_remembered_as_before_is_not_written_again() {
    let lines = log("tests/logs/v1.36-realistic-token-reuse.log.zst");
    let watched = Watched::telling_all();
    let path = watched.logs().join("audit.log");
    let state = watched.folder.path().join("state/state.sqlite");
    // A row that is written again has another number.
    let rows = || -> BTreeMap<String, i64> {
        let state = rusqlite::Connection::open(&state).unwrap();
        let sql = "SELECT name, rowid FROM parts WHERE name LIKE 'memory:%'";
        let mut statement = state.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().map(Result::unwrap).collect()
    };
    let (last, others) = lines.split_last().unwrap();
    fs::write(&path, others.concat()).unwrap();
    watched.run();
    let before = rows();
    fs::write(&path, [&others.concat()[..], last].concat()).unwrap();
    watched.run();
    let after = rows();
    let part = |name: &str| {
        let name = match name {
            "head" => "memory:c".to_owned(),
            name => format!("memory:c\0{name}"),
        };
        (before[&name], after[&name])
    };
    for name in ["head", "fold", "lives", "seen.0"] {
        assert_ne!(part(name).0, part(name).1, "{name}");
    }
    for name in ["deaths", "token_reuse"] {
        assert_eq!(part(name).0, part(name).1, "{name}");
    }
    watched.run();
    assert_eq!(rows(), after, "nothing is new");
    assert_told("parts", &watched.told(), &scanned_lines(&lines));
}

#[test]
fn a_session_that_goes_on_is_told_once() {
    let exec = "/api/v1/namespaces/kube-system/pods/etcd-1/exec?command=sh";
    let dev = person("dev", "10.9.0.1");
    let mut story = Story::default();
    for (from, to) in [(1_000, 400_000), (3_600_000, 3_900_000)] {
        for (at, stage) in [(from, "ResponseStarted"), (to, "ResponseComplete")] {
            let event = story.request(at, &dev, "get", exec, 101);
            event["stage"] = json!(stage);
            event["auditID"] = json!(format!("session of {from}"));
            let began = 1_795_323_600_000_000 + i64::try_from(from).unwrap() * 1000;
            event["requestReceivedTimestamp"] = json!(Timestamp(began).to_string());
        }
    }
    story.request(4_000_000, &dev, "list", PODS, 200);
    let text = story.lines();
    let lines: Vec<Vec<u8>> = text
        .split_inclusive(|&byte| byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let watched = Watched::telling_all();
    for n_lines in 1..=lines.len() {
        let path = watched.logs().join("audit.log");
        fs::write(path, lines[..n_lines].concat()).unwrap();
        watched.run();
    }
    let told = watched.lines();
    let of = |event: &str| told.iter().filter(|line| line["event"] == event).count();
    let expected = scanned_lines(&lines);
    assert!(expected.len() > 1, "{expected:?}");
    assert_eq!((of("new"), of("resolve")), (expected.len(), 0));
    assert_told("a session", &watched.told(), &expected);
}

#[test]
fn new_rules_start_anew_and_repeat_nothing() {
    let lines = log("tests/logs/v1.36-realistic-token-reuse.log.zst");
    let watched = Watched::telling_all();
    fs::write(watched.logs().join("audit.log"), lines.concat()).unwrap();
    watched.run();
    let before = watched.lines().len();
    let mut other = RuleSet::embedded().unwrap();
    let is_sigma = |rule: &&Rule| matches!(rule.body, RuleBody::Sigma(_));
    let gone = other.rules.iter().find(is_sigma).unwrap().meta.name.clone();
    other.remove(&[gone]);
    let other = compiled(other);
    let options = Options {
        wait: Some(Duration::from_mins(1)),
        is_dry: false,
        threads: 2,
        monitor: Monitor::default(),
    };
    let mut text = fs::read(watched.logs().join("audit.log")).unwrap();
    text.extend_from_slice(&lines[0]);
    fs::write(watched.logs().join("audit.log"), text).unwrap();
    let load = || Some(Arc::clone(&other));
    let report = Runner::new(&watched.config, &options, &load).run().unwrap();
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("read from the start")),
        "{report:?}"
    );
    assert_eq!(
        watched.lines().len(),
        before,
        "{:?}",
        watched.lines().last()
    );
}
