//! Every call that writes fails, is cut short or is the last one: once that is over, what was told and what is known are as
//! if nothing had happened.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;

use super::faults::{read, some_lines, times};
use super::program::program;
use super::writer::Writer;
use super::{Told, Watched, assert_told, lines, scanned_lines, told};
use crate::support::root;

/// What is preloaded, built once.
static SHIM: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("failing.so");
    let source = root().join("tests/it/alert/failing.c");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1"])
        .arg(source)
        .arg("-o")
        .arg(&path);
    assert!(cc.status().unwrap().success(), "{cc:?}");
    path
});

/// What happens at which calls of a run.
#[derive(Debug, Clone, Copy)]
struct Trap {
    first: usize,
    span: usize,
    how: &'static str,
}

const NOTHING: Trap = Trap {
    first: 0,
    span: 0,
    how: "0",
};

const FOR_GOOD: usize = i32::MAX as usize;

/// How often, and what: `EIO`, `EINTR`, and what the shim has words for.
const FAULTS: [(usize, &str); 6] = [
    (1, "5"),
    (FOR_GOOD, "5"),
    (FOR_GOOD, "full"),
    (1, "4"),
    (FOR_GOOD, "short"),
    (1, "kill"),
];

/// A log in three parts, and the program over each.
struct Story {
    lines: Vec<Vec<u8>>,
    /// What one scan says.
    expected: Told,
    /// Sinks besides the file.
    sinks: String,
    /// Whether one of them refuses all.
    is_refused: bool,
}

/// What a run under a trap came to.
struct Trapped {
    calls: Vec<String>,
    exit: Option<i32>,
    /// What was told by then.
    told: Told,
}

impl Story {
    fn new() -> Self {
        let lines: Vec<Vec<u8>> = some_lines().into_iter().step_by(6).collect();
        let expected = scanned_lines(&lines);
        assert!(expected.len() > 5);
        Self {
            lines,
            expected,
            sinks: "[[sink]]\ntype = \"prometheus\"\npath = \"kubescry.prom\"\n".to_owned(),
            is_refused: false,
        }
    }

    /// Adds a sink that takes some alerts, so that the others are to blame if it refuses them.
    fn refused(mut self) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sink =
            format!("[[sink]]\ntype = \"webhook\"\nurl = \"http://{address}/\"\nattempts = 1\n");
        self.sinks.push_str(&sink);
        self.is_refused = true;
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let key = super::faults::request(&stream).ok().flatten();
                let is_liked = key.is_some_and(|(key, _)| is_liked(&key));
                let status = if is_liked { "200 OK" } else { "400 No" };
                let answer =
                    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        self
    }

    /// Lets the run of number `at` meet traps, one try after the other, and others none.
    fn play(&self, at: usize, traps: &[Trap]) -> Vec<Trapped> {
        let case = format!("run {at}, {traps:?}");
        let watched = Watched::new(&format!(
            "backoff = \"1ms\"\n[baseline]\nfirst_run = \"alert\"\n[noise]\nresolve_after = \"never\"\ncap_per_rule = 10000\n{}",
            self.sinks
        ));
        let mut writer = Writer::new(watched.logs(), self.lines.clone());
        let mut all_trapped = Vec::new();
        for run in 0..2 {
            writer.append(self.lines.len() / 3);
            if run == at {
                let tries = traps.iter().map(|trap| trapped(&watched, *trap, &case));
                all_trapped.extend(tries);
            } else {
                watched.run();
            }
            writer.rotate();
        }
        writer.finish();
        let report = watched.run();
        assert_eq!(report.missing, Vec::<String>::new(), "{case}");
        let n_told = watched.lines().len();
        watched.run();
        assert_eq!(watched.lines().len(), n_told, "{case}");
        self.check(&watched, &case);
        all_trapped
    }

    fn check(&self, watched: &Watched, case: &str) {
        let all = watched.lines();
        assert_told(case, &told(&once(&all)), &self.expected);
        let mut keys: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for line in all.iter().filter(|line| line["event"] == "new") {
            let [id, key] = ["finding_id", "key"].map(|name| line[name].as_str().unwrap());
            keys.entry(id).or_default().insert(key);
        }
        assert!(
            keys.values().all(|keys| keys.len() == 1),
            "{case}: {keys:?}"
        );
        assert_eq!(read(watched), (self.lines.len() as u64, 0), "{case}");
        let state = &watched.config.state.dir;
        let names = fs::read_dir(state)
            .unwrap()
            .map(|it| it.unwrap().file_name());
        let mut names: Vec<String> = names.map(|it| it.into_string().unwrap()).collect();
        names.sort();
        names.retain(|name| name != "dead-letters.jsonl");
        assert_eq!(
            names,
            ["state.lock", "state.prev.sqlite", "state.sqlite"],
            "{case}"
        );
        for name in &names[1..] {
            let database = rusqlite::Connection::open(state.join(name)).unwrap();
            let said: String = database
                .query_row("PRAGMA integrity_check", [], |row| row.get(0))
                .unwrap();
            assert_eq!(said, "ok", "{case}: {name}");
        }
        if self.is_refused {
            check_letters(state, &all, case);
        }
    }

    /// Plays a `few` of the faults at calls of a run, of every kind, or as many as are asked for; returns how many calls it
    /// makes and how many faults were played.
    fn play_some(&self, at: usize, few: usize) -> (usize, usize) {
        let undisturbed = self.play(at, &[NOTHING]).remove(0);
        assert_eq!(undisturbed.exit, Some(if self.is_refused { 5 } else { 0 }));
        let calls = &undisturbed.calls;
        assert!(calls.len() > 30, "{calls:#?}");
        let n_faults = calls.len() * FAULTS.len();
        let mut step = n_faults.div_ceil(times(few, n_faults));
        while step > 1 && [2, 3].iter().any(|n| step.is_multiple_of(*n)) {
            // Otherwise some kinds are never met.
            step += 1;
        }
        for fault in (step / 2..n_faults).step_by(step) {
            let (span, how) = FAULTS[fault % FAULTS.len()];
            let first = fault / FAULTS.len();
            let trap = Trap { first, span, how };
            let trapped = self.play(at, &[trap]).remove(0);
            let case = format!("run {at}, {trap:?}: {}", calls[first]);
            if how == "short" {
                assert_eq!(trapped.exit, undisturbed.exit, "{case}");
            }
            if trapped.exit == Some(0) {
                // Who says that all is done has done it.
                assert_told(&case, &trapped.told, &undisturbed.told);
            }
        }
        (calls.len(), (step / 2..n_faults).step_by(step).len())
    }
}

/// Runs the program under a trap.
fn trapped(watched: &Watched, trap: Trap, case: &str) -> Trapped {
    let Trap { first, span, how } = trap;
    let (folder, log) = (watched.folder.path(), watched.folder.path().join("calls"));
    let _ = fs::remove_file(&log);
    let value = format!(
        "{}:{}:{first}:{span}:{how}",
        folder.display(),
        log.display()
    );
    let Output { status, stderr, .. } = program(&folder.join("alert.toml"), &[])
        .env("LD_PRELOAD", &*SHIM)
        .env("KUBESCRY_TRAP", value)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&stderr);
    let case = format!("{case}: {status}\n{text}");
    assert!(!text.contains("panicked"), "{case}");
    let calls = fs::read_to_string(&log).unwrap();
    let calls: Vec<String> = calls.lines().map(ToOwned::to_owned).collect();
    let exit = status.code();
    if how == "kill" && first < calls.len() {
        assert_eq!(status.signal(), Some(9), "{case}");
    } else {
        assert!(matches!(exit, Some(0 | 3 | 5)), "{case}");
    }
    for entry in fs::read_dir(&watched.config.state.dir)
        .into_iter()
        .flatten()
    {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{case}: {}", entry.path().display());
    }
    let told = told(&once(&watched.lines()));
    Trapped { calls, exit, told }
}

/// Whether the sink takes an alert with this key.
fn is_liked(key: &str) -> bool {
    key < "8"
}

/// Every alert that was refused is among the dead letters, or waits, where a run had none that was taken.
fn check_letters(state: &Path, all: &[Value], case: &str) {
    let letters = lines(&state.join("dead-letters.jsonl"));
    let letters = letters.iter().map(|letter| letter["alert"]["key"].as_str());
    let mut kept: BTreeSet<String> = letters.map(|key| key.unwrap().to_owned()).collect();
    assert!(!kept.is_empty(), "{case}");
    let database = rusqlite::Connection::open(state.join("state.sqlite")).unwrap();
    let mut waiting = database
        .prepare("SELECT key FROM outbox WHERE dead IS NULL")
        .unwrap();
    let waiting = waiting
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap();
    kept.extend(waiting.map(Result::unwrap));
    let keys = all.iter().filter(|line| line["event"] == "new");
    let keys = keys.map(|line| line["key"].as_str().unwrap());
    let missing: Vec<_> = keys
        .filter(|key| !is_liked(key) && !kept.contains(*key))
        .collect();
    assert!(missing.is_empty(), "{case}: {missing:?}");
}

/// Leaves out what was sent again, with the same key.
fn once(lines: &[Value]) -> Vec<Value> {
    let mut keys = BTreeSet::new();
    let mut once = lines.to_vec();
    once.retain(|line| keys.insert(line["key"].to_string()));
    once
}

#[test]
fn any_call_that_writes_may_fail() {
    let story = Story::new();
    for at in 0..2 {
        let played = story.play_some(at, 4);
        println!("run {at}, calls and faults: {played:?}");
    }
}

#[test]
fn any_call_that_writes_may_fail_where_alerts_are_refused() {
    let played = Story::new().refused().play_some(0, 2);
    println!("calls and faults: {played:?}");
}

#[test]
fn a_run_may_be_killed_at_any_call_and_the_next_one_too() {
    let story = Story::new();
    let n_calls = story.play(0, &[NOTHING])[0].calls.len();
    let n_pairs = n_calls * n_calls;
    // All calls, with some of the next run each.
    let step = n_pairs.div_ceil(times(1, n_pairs / 101));
    for pair in (n_calls / 2..n_pairs).step_by(step) {
        let kill = |first| Trap {
            first,
            span: 1,
            how: "kill",
        };
        story.play(0, &[kill(pair / n_calls), kill(pair % n_calls)]);
    }
}
