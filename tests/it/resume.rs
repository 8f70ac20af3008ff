//! Detection that stops and goes on: a log cut anywhere into runs, with all that is remembered written and read back
//! between them, comes to what one scan over all of it comes to.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use kubescry::detect::CompiledRules;
use kubescry::finding::{Finding, Severity};
use kubescry::frame::Vocabulary;
use kubescry::pipeline::{Memory, MemoryError, Options, Parts, Session, scan};
use kubescry::rules::{RuleBody, RuleSet};
use kubescry::source::Start;
use kubescry::source::discover::discover;
use serde_json::json;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::stories::{Client, PODS, SECRETS, Story, person, pod};
use crate::support::{RULES, options, read, root};

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    /// Returns up to `n` of `places`, in order.
    fn pick(&mut self, places: &[usize], n: usize) -> Vec<usize> {
        if places.is_empty() {
            return Vec::new();
        }
        let mut picked: Vec<usize> = (0..n).map(|_| places[self.roll(places.len())]).collect();
        picked.sort_unstable();
        picked.dedup();
        picked
    }
}

/// What a log comes to, as text; second the figures of what was read.
type Said = (Vec<String>, String);

fn said(outcome: &kubescry::detect::engine::Outcome, summary: &kubescry::report::Summary) -> Said {
    let text = |value: serde_json::Result<String>| value.unwrap();
    let mut lines: Vec<String> = outcome
        .findings
        .iter()
        .map(|finding| text(serde_json::to_string(finding)))
        .collect();
    lines.extend((outcome.incidents.iter()).map(|incident| text(serde_json::to_string(incident))));
    lines.extend((outcome.credentials.iter()).map(|credential| format!("{credential:?}")));
    lines.push(format!("{:?} {:?}", outcome.notes, outcome.blind));
    lines.push(format!("{:?} {}", outcome.excluded, outcome.requests));
    (lines, text(serde_json::to_string(summary)))
}

fn n_bytes(memory: &Parts) -> usize {
    memory.values().map(Vec::len).sum()
}

/// Says where two outcomes differ, if they do.
fn assert_same(case: &str, runs: &[String], whole: &[String]) {
    for (run, whole) in runs.iter().zip(whole) {
        assert_eq!(run, whole, "{case}");
    }
    assert_eq!(runs.len(), whole.len(), "{case}");
}

fn with_credentials(paths: &[&Path]) -> Options {
    Options {
        credentials: true,
        evidence_limit: 3,
        ..options(paths)
    }
}

/// A log that grows, in files of a folder.
struct Growing {
    folder: tempfile::TempDir,
    /// Names and contents.
    files: Vec<(&'static str, Vec<u8>)>,
}

impl Growing {
    fn new(files: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            files: files.into_iter().collect(),
        }
    }

    fn write(&self, at: usize, end: usize) -> PathBuf {
        let (name, text) = &self.files[at];
        let path = self.folder.path().join(name);
        let text = &text[..end];
        let packed = || zstd::encode_all(text, 1).unwrap();
        let is_packed = path.extension().is_some_and(|extension| extension == "zst");
        fs::write(&path, if is_packed { packed() } else { text.to_vec() }).unwrap();
        path
    }

    /// Returns what one scan over all of it says.
    fn whole(&self) -> Said {
        let ends = self.files.iter().map(|(_, text)| text.len());
        let paths: Vec<PathBuf> = (0..)
            .zip(ends)
            .map(|(at, end)| self.write(at, end))
            .collect();
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let (rules, compiled) = &*RULES;
        let scan = scan(&with_credentials(&paths), rules, compiled).unwrap();
        said(&scan.outcome, &scan.summary)
    }

    /// Reads it in runs, of which each ends where `ends` says of each file; returns what is said in the end, and the
    /// last memory.
    fn in_runs(&self, ends: &[Vec<usize>]) -> (Said, Parts) {
        let (rules, compiled) = &*RULES;
        let mut reached = vec![Start::default(); self.files.len()];
        let mut memory: Option<Parts> = None;
        let mut last = None;
        for (run, ends) in ends.iter().enumerate() {
            let paths: Vec<PathBuf> = (0..)
                .zip(ends)
                .map(|(at, &end)| self.write(at, end))
                .collect();
            let options = with_credentials(&[]);
            let vocabulary = Vocabulary::new();
            let mut session = match &memory {
                Some(memory) => Session::recall(&options, rules, compiled, &vocabulary, memory),
                None => Ok(Session::new(&options, rules, compiled, &vocabulary).unwrap()),
            }
            .unwrap();
            let mut files = discover(&paths);
            for file in &mut files.files {
                let at = paths
                    .iter()
                    .position(|path| Some(path) == file.path.as_ref());
                (file.from, file.is_growing) = (reached[at.unwrap()], true);
            }
            let order: Vec<usize> = (files.files.iter())
                .map(|file| {
                    paths
                        .iter()
                        .position(|path| Some(path) == file.path.as_ref())
                        .unwrap()
                })
                .collect();
            let new = session.run(files).unwrap();
            for (at, place) in order.into_iter().zip(new) {
                reached[at] = place;
            }
            // Looking at it changes nothing.
            if run % 3 == 1 {
                drop(session.outcome());
            }
            session.memory().update(memory.get_or_insert_default());
            let (outcome, summary) = session.outcome();
            last = Some(said(&outcome, &summary));
        }
        (last.unwrap(), memory.unwrap())
    }

    /// Cuts the only file at places and compares.
    fn check(&self, case: &str, cuts: &[usize]) -> Parts {
        let whole = self.whole();
        let text = &self.files[0].1;
        let ends: Vec<Vec<usize>> = cuts.iter().map(|&cut| vec![cut]).collect();
        let ends = [ends, vec![vec![text.len()]]].concat();
        let (runs, memory) = self.in_runs(&ends);
        assert_same(&format!("{case}, cut at {cuts:?}"), &runs.0, &whole.0);
        assert_eq!(runs.1, whole.1, "{case}, cut at {cuts:?}");
        memory
    }
}

/// Returns the recorded logs, those that show more first.
fn logs() -> Vec<PathBuf> {
    let mut logs: Vec<PathBuf> = ["tests/logs", "sample-logs/v1.20", "sample-logs/v1.36"]
        .iter()
        .flat_map(|folder| fs::read_dir(root().join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.ends_with(".log.zst") || name.ends_with(".log.gz")
        })
        .collect();
    logs.sort();
    logs
}

/// Returns where the lines of a log end.
fn line_ends(text: &[u8]) -> Vec<usize> {
    memchr::memchr_iter(b'\n', text).map(|at| at + 1).collect()
}

/// Returns the value of a text field in a line.
fn field<'l>(line: &'l [u8], name: &str) -> &'l [u8] {
    let key = format!("\"{name}\":\"");
    memchr::memmem::find(line, key.as_bytes()).map_or(&[], |at| {
        let rest = &line[at + key.len()..];
        &rest[..memchr::memchr(b'"', rest).unwrap_or(0)]
    })
}

/// Returns where a cut hurts most: behind the first stage of a request, and before and behind what ends credentials.
fn sore_places(text: &[u8]) -> [Vec<usize>; 2] {
    let (mut open, mut ends) = (Vec::new(), Vec::new());
    let mut start = 0;
    for end in line_ends(text) {
        let line = &text[start..end];
        let stage = field(line, "stage");
        if stage == b"ResponseStarted" || stage == b"RequestReceived" {
            open.push(end);
        }
        if field(line, "verb").starts_with(b"delete")
            || memchr::memmem::find(line, b"\"code\":401").is_some()
        {
            ends.extend([start, end]);
        }
        start = end;
    }
    [open, ends]
}

#[test]
fn a_log_in_runs_comes_to_what_one_scan_says() {
    let mut dice = Dice(88_172_645_463_325_252);
    for path in logs() {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let text = read(&path);
        let lines = line_ends(&text);
        let anywhere: Vec<usize> = (0..text.len()).collect();
        let [open, ends] = sore_places(&text);
        let log = Growing::new([("audit.log", text)]);
        let began = Instant::now();
        let n = 1 + dice.roll(6);
        let mut cuts = dice.pick(&lines, n);
        cuts.extend(dice.pick(&anywhere, 3));
        cuts.extend(dice.pick(&open, 4));
        cuts.extend(dice.pick(&ends, 6));
        cuts.sort_unstable();
        let memory = log.check(&name, &cuts);
        println!(
            "{name}: {} events, {} runs, {} kB of memory, {:?}",
            lines.len(),
            cuts.len() + 1,
            n_bytes(&memory) / 1000,
            began.elapsed()
        );
    }
}

#[test]
fn lanes_cut_at_one_time_come_to_what_one_scan_says() {
    let mut dice = Dice(7);
    for name in [
        "v1.36-realistic-token-reuse",
        "v1.20-realistic-shared-credentials",
    ] {
        let text = read(&root().join(format!("tests/logs/{name}.log.zst")));
        let mut lanes = [Vec::new(), Vec::new()];
        // By request, as API servers share them.
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let id = field(line, "auditID");
            let lane = usize::from(id.iter().fold(0_u8, |sum, byte| sum ^ byte) & 1);
            lanes[lane].extend_from_slice(line);
        }
        let times: Vec<&[u8]> = text
            .split_inclusive(|&byte| byte == b'\n')
            .map(|line| field(line, "stageTimestamp"))
            .collect();
        let n = 2 + dice.roll(5);
        let mut cuts: Vec<&[u8]> = (0..n).map(|_| times[dice.roll(times.len())]).collect();
        cuts.sort_unstable();
        let mut ends: Vec<Vec<usize>> = Vec::new();
        for cut in cuts {
            let end = |lane: &Vec<u8>| {
                let mut end = 0;
                for line in lane.split_inclusive(|&byte| byte == b'\n') {
                    if field(line, "stageTimestamp") >= cut {
                        break;
                    }
                    end += line.len();
                }
                end
            };
            ends.push(lanes.iter().map(end).collect());
        }
        ends.push(lanes.iter().map(Vec::len).collect());
        let [first, second] = lanes;
        let log = Growing::new([("one.log", first), ("two.log", second)]);
        let whole = log.whole();
        let (runs, _) = log.in_runs(&ends);
        assert_same(name, &runs.0, &whole.0);
        assert_eq!(runs.1, whole.1, "{name}");
    }
}

/// A log that shows much.
fn sample() -> Vec<u8> {
    read(&root().join("tests/logs/v1.36-realistic-token-reuse.log.zst"))
}

#[test]
fn what_was_read_changes_nothing() {
    let text = sample();
    let all = text.len();
    let third = line_ends(&text)[line_ends(&text).len() / 3];
    // A file that is read anew, under another name; and runs that have nothing to read.
    let log = Growing::new([("audit.log", text.clone()), ("copy.log", text)]);
    let whole = Growing::new([("audit.log", sample())]);
    let (once, _) = whole.in_runs(&[vec![all]]);
    let (idle, _) = whole.in_runs(&[vec![0], vec![third], vec![third], vec![all], vec![all]]);
    assert_same("runs over nothing", &idle.0, &once.0);
    let (twice, _) = log.in_runs(&[vec![all, 0], vec![all, all]]);
    let strip = |lines: &[String], of: &Growing| -> Vec<String> {
        let folder = of.folder.path().display().to_string();
        lines.iter().map(|line| line.replace(&folder, "")).collect()
    };
    assert_same(
        "the same again",
        &strip(&twice.0, &log),
        &strip(&once.0, &whole),
    );
}

#[test]
fn packed_files_and_documents_are_taken_up() {
    let text = sample();
    let lines = line_ends(&text);
    let cuts = [
        lines[lines.len() / 4],
        lines[lines.len() / 2] + 9,
        lines[lines.len() / 2] + 40,
    ];
    Growing::new([("audit.log.zst", text.clone())]).check("packed", &cuts);
    // One event over several lines each: read anew every time, and known.
    let documents: String = text
        .split_inclusive(|&byte| byte == b'\n')
        .take(600)
        .map(|line| {
            let event: serde_json::Value = serde_json::from_slice(line).unwrap();
            serde_json::to_string_pretty(&event).unwrap() + "\n"
        })
        .collect();
    let log = Growing::new([("audit.json", documents.into_bytes())]);
    let whole = log.whole();
    let text = &log.files[0].1;
    let end = |part: usize| {
        let at = text.len() * part / 3;
        at + memchr::memmem::find(&text[at..], b"\n}\n").unwrap() + 3
    };
    let (runs, _) = log.in_runs(&[vec![end(1)], vec![end(2)], vec![text.len()]]);
    assert_same("documents", &runs.0, &whole.0);
}

#[test]
fn a_memory_that_is_not_what_was_written_is_refused() {
    let text = sample();
    let log = Growing::new([("audit.log", text)]);
    let half = log.files[0].1.len() / 2;
    let (_, memory) = log.in_runs(&[vec![half]]);
    let (rules, compiled) = &*RULES;
    let recall = |memory: &Parts| {
        let options = with_credentials(&[]);
        let vocabulary = Vocabulary::new();
        Session::recall(&options, rules, compiled, &vocabulary, memory).map(drop)
    };
    let with = |name: &str, bytes: Vec<u8>| {
        let mut parts = memory.clone();
        parts.insert(name.to_owned(), bytes);
        parts
    };
    recall(&memory).unwrap();
    assert!(memory.len() > 20 && memory.contains_key(Memory::HEAD));
    for (name, part) in &memory {
        let sampled = || (0..part.len()).filter(|at| *at < 64 || at % 997 == 0);
        for at in sampled() {
            let mut flipped = part.clone();
            flipped[at] ^= 1 << (at % 8);
            let error = recall(&with(name, flipped)).unwrap_err();
            assert!(
                matches!(
                    error,
                    MemoryError::Foreign | MemoryError::Damaged | MemoryError::Cut { .. }
                ),
                "{name}, {at}: {error}"
            );
            let error = recall(&with(name, part[..at].to_vec())).unwrap_err();
            assert!(
                matches!(error, MemoryError::Cut { .. }) || (name == Memory::HEAD && at == 0),
                "{name}, {at}: {error}"
            );
        }
        let longer = [&part[..], b"x"].concat();
        assert!(matches!(
            recall(&with(name, longer)),
            Err(MemoryError::Damaged)
        ));
        let mut without = memory.clone();
        without.remove(name);
        let error = recall(&without).unwrap_err();
        assert!(
            matches!(error, MemoryError::Cut { .. } | MemoryError::Foreign),
            "{name}: {error}"
        );
    }
    assert!(matches!(
        recall(&with(Memory::HEAD, b"{\"kind\":\"Event\"}".to_vec())),
        Err(MemoryError::Foreign)
    ));
    // Damage that the checksums hide: whatever comes of it, no panic and no end of memory.
    let forge_head = |mut head: Vec<u8>| {
        let length = (head.len() as u64 - 28).to_le_bytes();
        head[12..20].copy_from_slice(&length);
        let mut hash = Xxh3::new();
        hash.update(&head[8..20]);
        hash.update(&head[28..]);
        head[20..28].copy_from_slice(&hash.digest().to_le_bytes());
        head
    };
    let forge = |name: &str, part: Vec<u8>| {
        if name == Memory::HEAD {
            return with(name, forge_head(part));
        }
        let mut head = memory[Memory::HEAD].clone();
        let known = xxh3_64(&memory[name]).to_le_bytes();
        let at = memchr::memmem::find(&head, &known).unwrap();
        head[at..at + 8].copy_from_slice(&xxh3_64(&part).to_le_bytes());
        let mut parts = with(name, part);
        parts.insert(Memory::HEAD.to_owned(), forge_head(head));
        parts
    };
    let mut newer = memory[Memory::HEAD].clone();
    newer[8] += 1;
    let error = recall(&forge(Memory::HEAD, newer)).unwrap_err();
    assert!(
        matches!(error, MemoryError::Version { found: 17 }),
        "{error}"
    );
    let mut n_refused = 0;
    for (name, part) in &memory {
        let from = if name == Memory::HEAD { 28 } else { 0 };
        for at in (from..part.len()).step_by(1 + part.len() / 20) {
            let mut flipped = part.clone();
            flipped[at] = 0xff;
            n_refused += usize::from(recall(&forge(name, flipped)).is_err());
            // The rest is of the same length, so that it is looked at.
            let mut moved = part[at..].to_vec();
            moved.extend_from_slice(&part[..at]);
            n_refused += usize::from(recall(&forge(name, moved)).is_err());
        }
    }
    assert!(n_refused > 0);
}

#[test]
fn a_memory_gives_out_what_has_changed() {
    let (rules, compiled) = &*RULES;
    let log = Growing::new([("audit.log", sample())]);
    let all = log.files[0].1.len();
    let (_, memory) = log.in_runs(&[vec![all]]);
    let options = with_credentials(&[]);
    let vocabulary = Vocabulary::new();
    let session = Session::recall(&options, rules, compiled, &vocabulary, &memory).unwrap();
    let mut changed: Vec<String> = (session.memory().parts())
        .filter(|(_, bytes)| bytes.is_some())
        .map(|(name, _)| name.to_owned())
        .collect();
    changed.sort_unstable();
    // Sets have no order, so what has some looks like another one.
    let sets = [
        Memory::HEAD,
        "account",
        "fold",
        "mass_deletion",
        "new_behaviour",
        "rates",
        "shared_credential",
    ];
    let others: Vec<&String> = (changed.iter())
        .filter(|name| !sets.contains(&name.as_str()))
        .collect();
    assert!(others.is_empty(), "{changed:?}");
    let mut same = memory.clone();
    session.memory().update(&mut same);
    let names = |parts: &Parts| parts.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&same), names(&memory));
}

#[test]
fn a_memory_of_other_rules_or_options_is_refused() {
    let log = Growing::new([("audit.log", sample())]);
    let (_, memory) = log.in_runs(&[vec![100_000]]);
    let (rules, compiled) = &*RULES;
    let mut fewer = RuleSet::embedded().unwrap();
    let name = fewer
        .rules
        .iter()
        .find(|rule| matches!(rule.body, RuleBody::Sigma(..)));
    let name = name.unwrap().meta.name.clone();
    fewer.remove(&[name]);
    let of_fewer = CompiledRules::compile(&fewer).unwrap();
    let vocabulary = Vocabulary::new();
    let options = with_credentials(&[]);
    let error = Session::recall(&options, &fewer, &of_fewer, &vocabulary, &memory)
        .err()
        .unwrap();
    assert!(matches!(error, MemoryError::OtherRules { .. }), "{error}");
    assert!(
        error.to_string().contains("depends on the rules"),
        "{error}"
    );
    let other = Options {
        credentials: false,
        ..options.clone()
    };
    let error = Session::recall(&other, rules, compiled, &vocabulary, &memory)
        .err()
        .unwrap();
    assert!(matches!(error, MemoryError::OtherOptions { .. }), "{error}");
    let used = Vocabulary::new();
    used.code("somebody was here");
    let error = Session::recall(&options, rules, compiled, &used, &memory)
        .err()
        .unwrap();
    assert!(matches!(error, MemoryError::UsedVocabulary), "{error}");
}

/// Goes on with a log for as long as `alert` would; returns what is found in the end.
fn go_on(memory: &mut Option<Parts>, lines: &[u8]) -> Vec<Finding> {
    let (rules, compiled) = &*RULES;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    fs::write(&path, lines).unwrap();
    let options = Options {
        evidence_limit: 20,
        ..options(&[])
    };
    let vocabulary = Vocabulary::new();
    let mut session = match memory {
        Some(memory) => Session::recall(&options, rules, compiled, &vocabulary, memory),
        None => Ok(Session::new(&options, rules, compiled, &vocabulary).unwrap()),
    }
    .unwrap();
    session.run(discover(&[path])).unwrap();
    let found = session.outcome().0.findings;
    session.forget(600_000_000, &found);
    session.memory().update(memory.get_or_insert_default());
    found
}

const DAY_MS: u64 = 86_400_000;

/// Returns the day's work of two Pods, each with a token an hour, of which the first Pod is there every day.
fn day_of_pods(day: u64) -> Story {
    let mut story = Story::default();
    let mut clients: Vec<(u64, Client)> = Vec::new();
    for hour in 0..24 {
        for (name, uid) in [("web-0".to_owned(), 0), (format!("web-{day}"), day)] {
            let mut client = pod("web", &name, "10.1.0.7");
            let extra = &mut client.user["extra"];
            extra["authentication.kubernetes.io/credential-id"][0] =
                json!(format!("JTI={day}-{hour}-{uid}"));
            clients.push(((day * 24 + hour) * 3_600_000 + uid, client));
        }
    }
    for (at, client) in &clients {
        story.request(*at, client, "list", PODS, 200);
    }
    // Somebody who logs in each day, and goes from the office home.
    for (hour, ip) in [(9, "10.9.0.7"), (19, "198.51.100.7")] {
        let mut client = person("anna", ip);
        let extra = &mut client.user["extra"];
        extra["authentication.kubernetes.io/credential-id"][0] = json!(format!("JTI=anna-{day}."));
        story.request((day * 24 + hour) * 3_600_000, &client, "list", PODS, 200);
    }
    let path = format!("/api/v1/namespaces/prod/pods/web-{day}");
    let kubelet = person("system:node:n1", "10.0.0.1");
    story.request((day + 1) * DAY_MS - 1, &kubelet, "delete", &path, 200);
    story
}

#[test]
fn what_is_spent_is_forgotten_and_a_death_never() {
    let mut memory = None;
    let mut holder = pod("ci", "unused", "10.1.0.9");
    holder.user["extra"] = json!({"authentication.kubernetes.io/credential-id": ["JTI=kept-back"]});
    let mut story = Story::default();
    for second in 0..9 {
        story.request(second * 1000, &holder, "list", PODS, 200);
    }
    let account = "/api/v1/namespaces/prod/serviceaccounts/ci";
    story.request(60_000, &person("dev", "10.9.0.1"), "delete", account, 200);
    go_on(&mut memory, &story.lines());
    let knows = |memory: &Option<Parts>, text: &str| {
        let mut parts = memory.iter().flatten();
        parts.any(|(_, part)| memchr::memmem::find(part, text.as_bytes()).is_some())
    };
    let mut sizes = Vec::new();
    for day in 1..100 {
        go_on(&mut memory, &day_of_pods(day).lines());
        // Of `web-0`, of which there is a newer one; of a Pod that is gone; of a login that is over.
        let tokens = ["JTI=7-12-0", "JTI=7-12-7", "JTI=anna-7."];
        let tokens = tokens.map(|text| knows(&memory, text));
        match day {
            7 => assert_eq!(tokens, [true; 3]),
            50.. => assert_eq!(tokens, [false; 3], "day {day}"),
            _ => {}
        }
        if day % 33 == 0 {
            sizes.push(memory.as_ref().unwrap()["ledger"].len());
        }
    }
    assert!(
        sizes[2] * 10 < sizes[0] * 11,
        "the ledger grows without end: {sizes:?}"
    );
    let mut story = Story::default();
    for second in 0..9 {
        story.request(100 * DAY_MS + second * 1000, &holder, "list", SECRETS, 200);
    }
    // A token that `web-0` had long ago, in the hand of somebody else, and the one it has now.
    let mut old = pod("web", "web-0", "203.0.113.9");
    let key = "authentication.kubernetes.io/credential-id";
    old.user["extra"][key][0] = json!("JTI=7-12-0");
    old.agent = "curl/8";
    story.request(100 * DAY_MS + 20_000, &old, "list", SECRETS, 200);
    let mut young = pod("web", "web-0", "10.1.0.7");
    young.user["extra"][key][0] = json!("JTI=100-0-0");
    story.request(100 * DAY_MS + 30_000, &young, "list", PODS, 200);
    let found = go_on(&mut memory, &story.lines());
    let away: Vec<_> = (found.iter())
        .filter(|found| found.rule.name == "pod-token-away")
        .map(|found| (found.actor.credential_id.as_deref(), found.severity))
        .collect();
    assert_eq!(away, [(Some("JTI=7-12-0"), Severity::High)]);
    let reused = |found: &Finding| {
        let key = found.actor.credential_id.as_deref();
        found.rule.name == "token-reuse-after-deletion" && key == Some("JTI=kept-back")
    };
    let found = found.iter().find(|found| reused(found)).unwrap();
    assert_eq!(found.severity, Severity::Critical);
}

#[test]
fn texts_that_differ_in_their_secrets_only_are_recalled() {
    let mut memory = None;
    let mut story = Story::default();
    for (second, agent) in (0..).zip([
        "sync --password=hunter2",
        "sync --password=hunter3",
        "sync --password=hunter4",
    ]) {
        let client = Client {
            agent,
            ..person("dev", "10.9.0.1")
        };
        story.request(second * 1000, &client, "list", PODS, 200);
    }
    go_on(&mut memory, &story.lines());
    let mut story = Story::default();
    story.request(9000, &person("dev", "10.9.0.1"), "list", PODS, 200);
    go_on(&mut memory, &story.lines());
    go_on(&mut memory, &[]);
    let memory = memory.unwrap();
    for (name, part) in &memory {
        let found = memchr::memmem::find(part, b"hunter");
        assert_eq!(found, None, "{name}");
    }
}
