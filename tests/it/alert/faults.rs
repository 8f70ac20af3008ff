//! Faults: whatever fails, and whenever the program dies, nothing is lost, and nothing has two keys.
//!
//! Sizes are small here; `KUBESCRY_FAULTS=full cargo test --test it alert::faults` runs all of them, and
//! a number so many percent.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kubescry::alert::inspect;
use kubescry::alert::run::{Options, Report, Runner};
use kubescry::alert::state::State;
use kubescry::pipeline::Monitor;
use kubescry::rules::{Rule, RuleBody, RuleSet};
use kubescry::source::follow::{Disk, Files, Links, Stat};
use serde_json::Value;

use super::program::{Place, program};
use super::writer::{Dice, Writer};
use super::{
    Rules, Watched, assert_told, compiled, log, rules, scanned_lines, scanned_lines_by, told,
};

/// Returns how often something is tried: `few` times, or so many percent of `many` as are asked for.
pub(super) fn times(few: usize, many: usize) -> usize {
    match std::env::var("KUBESCRY_FAULTS") {
        Ok(value) if value == "full" => many,
        Ok(value) => {
            let percent: usize = value.parse().expect("`full` or a number of percent");
            (many / 100).saturating_mul(percent).max(few)
        }
        Err(_) => few,
    }
}

/// Returns lines of a log that give findings, few enough for many runs.
pub(super) fn some_lines() -> Vec<Vec<u8>> {
    let lines = log("tests/logs/v1.36-realistic-token-reuse.log.zst");
    let step = lines.len().div_ceil(400);
    lines.into_iter().step_by(step).collect()
}

/// Returns what the state says was read: events and duplicates.
pub(super) fn read(watched: &Watched) -> (u64, u64) {
    let (state, loaded) =
        State::open(&watched.config.state.dir, Some(Duration::from_mins(1))).unwrap();
    let text = inspect::show(&state, &loaded).unwrap();
    let words: Vec<&str> = text
        .lines()
        .find(|line| line.contains("  read"))
        .unwrap()
        .split_whitespace()
        .collect();
    let before = |what: &str| {
        let at = words
            .iter()
            .position(|word| word.starts_with(what))
            .unwrap();
        words[at - 1].parse().unwrap()
    };
    (before("events"), before("duplicates"))
}

/// Returns the rules that find something in a log, all analytics, and two correlations of each type with what they rest on:
/// every kind of rule, and of each as many as it takes.
fn few_rules(lines: &[Vec<u8>]) -> Rules {
    let mut few = RuleSet::embedded().unwrap();
    let found = scanned_lines(lines).into_values();
    let mut wanted: BTreeSet<String> = found.map(|(_, _, name)| name).collect();
    let mut of_type: BTreeMap<String, usize> = BTreeMap::new();
    for Rule { meta, body } in &few.rules {
        match body {
            RuleBody::Sigma(_) => continue,
            RuleBody::Correlation(it) => {
                let n = of_type
                    .entry(format!("{:?}", it.correlation_type))
                    .or_default();
                *n += 1;
                if *n > 2 && !wanted.contains(&meta.name) {
                    continue;
                }
                wanted.extend(it.rules.iter().cloned());
            }
            RuleBody::Analytic(_) => {}
        }
        wanted.insert(meta.name.clone());
    }
    assert!(of_type.len() > 2, "{of_type:?}");
    let unwanted = few.rules.iter().map(|rule| &rule.meta);
    let unwanted = unwanted.filter(|it| !wanted.contains(&it.name) && !wanted.contains(&it.id));
    let unwanted: Vec<String> = unwanted.map(|it| it.name.clone()).collect();
    few.remove(&unwanted);
    assert_eq!(few.rules.len(), rules().0.rules.len() - unwanted.len());
    compiled(few)
}

/// What does the runs of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    FewRules,
    AllRules,
    Program,
}

impl By {
    /// Most are quick, so that there can be many.
    fn of(seed: u64) -> Self {
        match seed % 400 {
            0 => Self::Program,
            at if at % 40 == 1 => Self::AllRules,
            _ => Self::FewRules,
        }
    }
}

#[test]
fn random_histories_lose_nothing_and_double_nothing() {
    let lines: Vec<Vec<u8>> = some_lines().into_iter().step_by(3).collect();
    let few = few_rules(&lines);
    let [expected, of_few] = [scanned_lines(&lines), scanned_lines_by(&few, &lines)];
    assert!(of_few.len() > 5);
    for seed in 0..times(25, 10_000) as u64 {
        let by = By::of(seed);
        let mut watched = Watched::telling_all();
        let mut expected = &expected;
        if by == By::FewRules {
            (watched.rules, expected) = (Arc::clone(&few), &of_few);
        }
        history(seed, by, &watched, &lines);
        assert_eq!(read(&watched), (lines.len() as u64, 0), "seed {seed}");
        assert_told(&format!("seed {seed}"), &watched.told(), expected);
    }
}

/// Writes lines as chance has it, with runs in between that miss nothing.
fn history(seed: u64, by: By, watched: &Watched, lines: &[Vec<u8>]) {
    let run = || match by {
        By::Program => {
            let config = watched.folder.path().join("alert.toml");
            let output = program(&config, &[]).output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!((output.status.code(), &*text), (Some(0), ""), "seed {seed}");
        }
        _ => assert_eq!(watched.run().missing, Vec::<String>::new(), "seed {seed}"),
    };
    let mut dice = Dice(seed);
    let mut writer = Writer::new(watched.logs(), lines.to_vec());
    if seed % 2 == 1 {
        writer = writer.numbered();
    }
    let mut n_runs = 0;
    writer.append(1);
    while !writer.is_done() {
        match dice.roll(12) {
            // A copy is cut between two runs, so that what is copied is read once.
            0 if seed % 4 == 2 => writer.copy_and_truncate(),
            1 if n_runs > 0 => {
                // What was read may go, but for the file that was written last.
                writer.append(1);
                run();
                let rotated = writer.rotated();
                if let Some(path) = rotated.first() {
                    fs::remove_file(path).unwrap();
                }
            }
            2..=4 => {
                run();
                n_runs += 1;
            }
            _ => writer.step(&mut dice),
        }
        if !writer.is_done() && dice.roll(20) == 0 {
            writer.append(1);
        }
    }
    writer.finish();
    run();
}

#[test]
fn what_is_deleted_unread_is_always_a_gap() {
    let lines = some_lines();
    for seed in 0..times(10, 100) as u64 {
        let watched = Watched::telling_all();
        let mut dice = Dice(seed);
        let mut writer = Writer::new(watched.logs(), lines.clone());
        writer.append(20 + dice.roll(50));
        watched.run();
        writer.append(1 + dice.roll(50));
        writer.rotate();
        writer.append(1 + dice.roll(50));
        fs::remove_file(&writer.rotated()[0]).unwrap();
        let report = watched.run();
        assert!(
            report.missing.iter().any(|it| it.starts_with("gap: ")),
            "seed {seed}: {report:?}"
        );
        assert_eq!(report.exit_code(), 3);
    }
}

/// A disk of which one call fails, or all from one on.
struct Failing {
    calls: AtomicU64,
    /// Number of the first call that fails, from 0.
    first: u64,
    /// How many fail from there on.
    span: u64,
    errno: i32,
}

impl Failing {
    fn call(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if call >= self.first && call - self.first < self.span {
            return Err(io::Error::from_raw_os_error(self.errno));
        }
        Ok(())
    }
}

impl Files for Failing {
    type File = File;

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.call()?;
        Disk.list(folder)
    }

    fn stat(&self, path: &Path, links: Links) -> io::Result<Stat> {
        self.call()?;
        Disk.stat(path, links)
    }

    fn open(&self, path: &Path, links: Links) -> io::Result<File> {
        self.call()?;
        Disk.open(path, links)
    }

    fn stat_open(&self, file: &File) -> io::Result<Stat> {
        self.call()?;
        Disk.stat_open(file)
    }

    fn read_at(&self, file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.call()?;
        // Short reads, too.
        let most = buffer.len().min(1000);
        Disk.read_at(file, offset, &mut buffer[..most])
    }
}

fn run_on(watched: &Watched, disk: &'static Failing) -> Report {
    let options = Options {
        wait: Some(Duration::from_mins(1)),
        is_dry: false,
        threads: 1,
        monitor: Monitor::default(),
    };
    let load = || Some(rules());
    Runner::on(disk, &watched.config, &options, &load)
        .run()
        .unwrap()
}

#[test]
fn any_call_may_fail_once_or_for_a_while() {
    const EIO: i32 = 5;
    const EINTR: i32 = 4;
    const EMFILE: i32 = 24;
    const ESTALE: i32 = 116;
    let lines = some_lines();
    let third = lines.len() / 3;
    let expected = scanned_lines(&lines);
    // Two runs with a rotation between them, and one without faults.
    let story = |disk: &'static Failing| {
        let watched = Watched::telling_all();
        let mut writer = Writer::new(watched.logs(), lines.clone());
        writer.append(third);
        run_on(&watched, disk);
        writer.rotate();
        writer.append(third);
        run_on(&watched, disk);
        writer.finish();
        watched.run();
        watched.run();
        assert_told(
            &format!(
                "call {} and {} more, errno {}",
                disk.first, disk.span, disk.errno
            ),
            &watched.told(),
            &expected,
        );
        let (events, _) = read(&watched);
        assert_eq!(events, lines.len() as u64);
        disk.calls.load(Ordering::SeqCst)
    };
    let failing = |first, span, errno| -> &'static Failing {
        Box::leak(Box::new(Failing {
            calls: AtomicU64::new(0),
            first,
            span,
            errno,
        }))
    };
    let n_calls = story(failing(u64::MAX, 0, EIO));
    assert!(n_calls > 30);
    let step = n_calls.div_ceil(times(30, usize::MAX) as u64).max(1);
    for first in (0..n_calls).step_by(usize::try_from(step).unwrap()) {
        story(failing(first, 1, EIO));
        story(failing(
            first,
            u64::MAX,
            [EIO, EMFILE, ESTALE][usize::try_from(first % 3).unwrap()],
        ));
        story(failing(first, 1, EINTR));
    }
}

/// A web server that notes the keys of what it takes, and fails as it is told.
struct Receiver {
    url: String,
    /// By key: what was sent, and how often.
    taken: Arc<Mutex<BTreeMap<String, (Value, u64)>>>,
}

impl Receiver {
    fn start(fails: impl Fn(u64) -> bool + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/alerts", listener.local_addr().unwrap());
        let taken = Arc::<Mutex<BTreeMap<String, (Value, u64)>>>::default();
        let shared = Arc::clone(&taken);
        std::thread::spawn(move || {
            for (call, stream) in (0..).zip(listener.incoming()) {
                let Ok(stream) = stream else { return };
                let _ = take(stream, fails(call), &shared);
            }
        });
        Self { url, taken }
    }
}

fn take(
    mut stream: std::net::TcpStream,
    fails: bool,
    taken: &Mutex<BTreeMap<String, (Value, u64)>>,
) -> io::Result<()> {
    let Some((key, body)) = request(&stream)? else {
        return Ok(());
    };
    if fails {
        return stream
            .write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    let mut taken = taken.lock().unwrap();
    let entry = taken.entry(key).or_insert((body.clone(), 0));
    assert_eq!(
        entry.0["finding_id"], body["finding_id"],
        "one key for two findings"
    );
    entry.1 += 1;
    drop(taken);
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

/// Reads a request: its key and its body, if it comes at all.
pub(super) fn request(stream: &std::net::TcpStream) -> io::Result<Option<(String, Vec<u8>)>> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut key, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("idempotency-key:") {
            value.trim().clone_into(&mut key);
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some((key, body)))
}

#[test]
fn a_run_may_be_killed_at_any_time() {
    let lines = some_lines();
    let expected = scanned_lines(&lines);
    let receiver = Receiver::start(|call| call % 5 == 4);
    let place = Place::new("");
    place.configure(&format!(
        "[baseline]\nfirst_run = \"alert\"\n[noise]\nresolve_after = \"never\"\ncap_per_rule = 1000\n\
         [[sink]]\ntype = \"webhook\"\nurl = \"{}\"\nbackoff = \"10ms\"\nmin_severity = \"informational\"\n",
        receiver.url
    ));
    let mut dice = Dice(7);
    let mut writer = Writer::new(place.path("logs"), lines.clone());
    let n_kills = times(25, 500);
    let mut killed = 0;
    // How long a whole run takes, so that kills fall on all of it.
    let mut whole_ms = 400;
    for at in 0..n_kills {
        if lines.len() > 2 * n_kills || at % 3 == 0 {
            writer.append(lines.len() / n_kills + 1);
        }
        match dice.roll(6) {
            0 => writer.rotate(),
            1 => writer.compress(&mut dice),
            2 => writer.half(&mut dice),
            _ => {}
        }
        let mut child = place
            .command(&[])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(dice.roll(whole_ms) as u64));
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            killed += 1;
        }
        child.wait().unwrap();
        if at % 10 == 9 {
            let began = std::time::Instant::now();
            place.run(&[]);
            whole_ms = usize::try_from(began.elapsed().as_millis()).unwrap() + 1;
        }
    }
    writer.finish();
    for _ in 0..10 {
        let output = place.run(&[]);
        match output.status.code() {
            Some(0) => break,
            code => assert_eq!(code, Some(5), "{}", String::from_utf8_lossy(&output.stderr)),
        }
    }
    assert!(killed > n_kills / 4, "{killed}");
    let taken = receiver.taken.lock().unwrap();
    let (mut news, mut over) = (BTreeMap::<&str, u64>::new(), BTreeSet::new());
    for (alert, _) in taken.values() {
        let id = alert["finding_id"].as_str().unwrap();
        *news.entry(id).or_default() += u64::from(alert["event"] == "new");
        if alert["event"] == "resolve" {
            over.insert(id);
        }
    }
    let lost: Vec<_> = expected
        .keys()
        .filter(|id| !news.contains_key(id.as_str()))
        .collect();
    assert_eq!(lost, Vec::<&String>::new(), "no finding is lost");
    let is_open = |id: &&&str| !expected.contains_key(**id) && !over.contains(**id);
    let more: Vec<_> = news.keys().filter(is_open).collect();
    assert_eq!(
        more,
        Vec::<&&str>::new(),
        "what later requests explained otherwise is over"
    );
    assert!(
        news.values().all(|count| *count == 1),
        "no finding is new under two keys: {news:?}"
    );
    let exported = place.run(&["state", "export"]).stdout;
    let exported = String::from_utf8(exported).unwrap();
    let whole = exported
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let whole: Vec<Value> = whole.filter(|line| line["event"] != "resolve").collect();
    assert_told("in the state", &told(&whole), &expected);
    let raw: u64 = taken.values().map(|(_, count)| count - 1).sum();
    println!(
        "{killed} of {n_kills} runs killed, {} keys, {raw} sent twice",
        taken.len()
    );
}

#[test]
fn of_two_runs_at_once_one_works() {
    let lines = some_lines();
    let place = Place::new("");
    place.configure(
        "[baseline]\nfirst_run = \"alert\"\n[[sink]]\ntype = \"file\"\npath = \"told.jsonl\"\nformat = \"jsonl\"\n",
    );
    let n_pairs = times(8, 100);
    let mut writer = Writer::new(place.path("logs"), lines.clone());
    for _ in 0..n_pairs {
        writer.append(lines.len() / n_pairs);
        let pair: Vec<_> = (0..2)
            .map(|_| {
                place
                    .command(&[])
                    .stderr(Stdio::piped())
                    .stdout(Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for child in pair {
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{text}");
            assert!(
                text.is_empty() || text.contains("another run is at work"),
                "{text}"
            );
        }
    }
    writer.finish();
    place.run(&["--wait"]);
    let lines = super::lines(&place.path("told.jsonl"));
    let keys: BTreeSet<&str> = lines
        .iter()
        .map(|line| line["key"].as_str().unwrap())
        .collect();
    assert!(!keys.is_empty());
    assert_eq!(keys.len(), lines.len(), "nothing is told twice");
}

/// Ways to damage a file; 23 of them, for the state, the generation before, and both.
fn damages(text: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut damages = vec![
        ("empty".to_owned(), Vec::new()),
        ("one byte".to_owned(), text[..1].to_vec()),
        ("zeros".to_owned(), vec![0; text.len()]),
        ("ones".to_owned(), vec![0xff; text.len()]),
        ("words".to_owned(), b"this is no state".to_vec()),
        ("deep JSON".to_owned(), vec![b'['; 1 << 20]),
        ("twice".to_owned(), text.repeat(2)),
        ("another database".to_owned(), {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("other.sqlite");
            let other = rusqlite::Connection::open(&path).unwrap();
            other
                .execute_batch("CREATE TABLE parts (x INTEGER)")
                .unwrap();
            drop(other);
            fs::read(&path).unwrap()
        }),
    ];
    for share in [8, 4, 3, 2] {
        damages.push((
            format!("cut at 1/{share}"),
            text[..text.len() / share].to_vec(),
        ));
    }
    for at in [
        20,
        100,
        1000,
        text.len() / 3,
        text.len() / 2,
        text.len() - 2000,
        text.len() - 3,
    ] {
        let mut flipped = text.to_vec();
        flipped[at] ^= 0x10;
        damages.push((format!("bit of byte {at}"), flipped));
    }
    for page in [1, 2, 3, text.len() / 4096 - 1] {
        let mut zeroed = text.to_vec();
        zeroed[page * 4096..(page + 1) * 4096].fill(0);
        damages.push((format!("page {page} zeroed"), zeroed));
    }
    damages
}

#[test]
fn a_damaged_state_loses_nothing() {
    let lines = some_lines();
    let expected = scanned_lines(&lines);
    let half = lines.len() / 2;
    let prepared = || {
        let watched = Watched::telling_all();
        let mut writer = Writer::new(watched.logs(), lines.clone());
        writer.append(half);
        watched.run();
        writer.append(10);
        watched.run();
        (watched, writer)
    };
    let (sample, _) = prepared();
    let text = fs::read(sample.config.state.dir.join("state.sqlite")).unwrap();
    let n_kinds = damages(&text).len();
    assert_eq!(n_kinds, 23);
    for kind in 0..n_kinds {
        for (target, names) in [
            ("state", &["state.sqlite"][..]),
            ("generation before", &["state.prev.sqlite"]),
            ("both", &["state.sqlite", "state.prev.sqlite"]),
        ] {
            let (watched, mut writer) = prepared();
            let mut case = String::new();
            for name in names {
                let path = watched.config.state.dir.join(name);
                let text = fs::read(&path).unwrap();
                let (what, damaged) = damages(&text).swap_remove(kind);
                fs::write(&path, damaged).unwrap();
                case = format!("{target}: {what}");
            }
            writer.finish();
            // A run that meets damage only when it writes fails, once.
            let errors: Vec<String> = (0..3)
                .map_while(|_| watched.try_run().err())
                .map(|error| format!("{error:?}"))
                .collect();
            assert!(errors.is_empty(), "{case}: {errors:?}");
            // What was decided since the state was written is decided again, as new, with the same keys.
            let mut known = BTreeSet::new();
            let mut lines = watched.lines();
            for line in &mut lines {
                if line["event"] == "new" && !known.insert(line["key"].to_string()) {
                    line["event"] = "update".into();
                }
            }
            assert_told(&case, &told(&lines), &expected);
        }
    }
}

#[test]
fn a_state_of_a_newer_program_is_left_alone() {
    let watched = Watched::telling_all();
    fs::write(watched.logs().join("audit.log"), some_lines().concat()).unwrap();
    watched.run();
    let path = watched.config.state.dir.join("state.sqlite");
    let state = rusqlite::Connection::open(&path).unwrap();
    state.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(state);
    let before = fs::read(&path).unwrap();
    let error = watched.try_run().unwrap_err().to_string();
    assert!(error.contains("is of version 99"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// What stands in the state is what a run has written, as its checksum says, but for a program of another form.
#[test]
fn what_does_not_parse_is_damage_and_not_nothing() {
    let lines = some_lines();
    let expected = scanned_lines(&lines);
    for (what, sql) in [
        (
            "`cursors`",
            "UPDATE parts SET data = ?1, sum = ?2 WHERE name = 'cursors'",
        ),
        (
            "`totals`",
            "UPDATE parts SET data = ?1, sum = ?2 WHERE name = 'totals'",
        ),
        (
            "`heard`",
            "UPDATE parts SET data = ?1, sum = ?2 WHERE name = 'heard'",
        ),
        (
            "`runs`",
            "UPDATE parts SET data = ?1, sum = ?2 WHERE name = 'runs'",
        ),
        ("`c/", "UPDATE findings SET data = ?1, sum = ?2"),
        (
            "there is only",
            "DELETE FROM parts WHERE name = 'cursors' AND ?1 <> ?2",
        ),
        (
            "has no cluster",
            "UPDATE findings SET id = 'x' WHERE id = (SELECT MIN(id) FROM findings) AND ?1 <> ?2",
        ),
    ] {
        let watched = Watched::telling_all();
        let mut writer = Writer::new(watched.logs(), lines.clone());
        writer.append(lines.len() / 2);
        watched.run();
        let state =
            rusqlite::Connection::open(watched.config.state.dir.join("state.sqlite")).unwrap();
        let data = b"{\"other\": [1";
        let sum = xxhash_rust::xxh3::xxh3_64(data).cast_signed();
        state.execute(sql, rusqlite::params![data, sum]).unwrap();
        drop(state);
        writer.finish();
        let report = watched.run();
        let is_said = |it: &String| it.contains("is damaged") && it.contains(what);
        assert!(report.missing.iter().any(is_said), "{what}: {report:?}");
        assert!(
            watched
                .config
                .state
                .dir
                .join("state.sqlite.damaged")
                .exists(),
            "{what}"
        );
        let mut known = BTreeSet::new();
        let mut all = watched.lines();
        for line in &mut all {
            if line["event"] == "new" && !known.insert(line["key"].to_string()) {
                line["event"] = "update".into();
            }
        }
        assert_told(what, &told(&all), &expected);
        assert_eq!(watched.run().missing, Vec::<String>::new(), "{what}");
    }
}
