//! Several API servers whose logs are read at different times.

use std::fs;
use std::path::Path;

use super::*;
use crate::detect::CompiledRules;
use crate::finding::Finding;
use crate::pipeline::{Options, scan};
use crate::source::follow::{Disk, Links};

static DISK: Disk = Disk;

const SECOND: i64 = 1_000_000;

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides.unsigned_abs()).cast_signed()
    }
}

/// Lines with their times.
type Lane = Vec<(i64, Vec<u8>)>;

/// Returns the lines of a log, shared among API servers by request.
fn lanes(name: &str, n: u8) -> Vec<Lane> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let text = zstd::decode_all(fs::File::open(path).unwrap()).unwrap();
    let mut lanes = vec![Lane::new(); usize::from(n)];
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let at = memchr::memmem::find(line, b"\"auditID\":\"").unwrap();
        let sum = line[at + 11..at + 19]
            .iter()
            .fold(0_u8, |sum, byte| sum.wrapping_mul(31) ^ byte);
        lanes[usize::from(sum % n)].push((stage_time(line).unwrap(), line.to_vec()));
    }
    lanes
}

/// Where several API servers log.
struct Logs<'r> {
    folder: tempfile::TempDir,
    rules: &'r (RuleSet, CompiledRules),
    cursors: Vec<Cursor>,
    memory: Option<Parts>,
    /// What they came to, and how many events.
    findings: Vec<Finding>,
    n_events: u64,
}

impl<'r> Logs<'r> {
    fn new(rules: &'r (RuleSet, CompiledRules)) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            rules,
            cursors: Vec::new(),
            memory: None,
            findings: Vec::new(),
            n_events: 0,
        }
    }

    fn write(&self, at: usize, lines: &[(i64, Vec<u8>)]) {
        let text: Vec<u8> = lines.iter().flat_map(|(_, line)| line).copied().collect();
        fs::write(self.folder.path().join(format!("server-{at}.log")), text).unwrap();
    }

    fn options(&self) -> Options {
        Options {
            paths: vec![self.folder.path().to_owned()],
            evidence_limit: 3,
            ..Options::default()
        }
    }

    /// Reads what is new.
    fn run(&mut self, now: i64) {
        let cluster = Cluster {
            files: &DISK,
            name: "c",
            sources: &[Source {
                path: self.folder.path().to_owned(),
                links: Links::Follow,
            }],
            cursors: std::mem::take(&mut self.cursors),
            options: self.options(),
            now: Timestamp(now),
        };
        let memory = self.memory.clone();
        let reading = cluster
            .read(|| Ok(memory), || Ok::<_, ScanError>(self.rules))
            .unwrap();
        assert_eq!(reading.missing, Vec::<String>::new());
        self.cursors = reading.cursors;
        if let Some(news) = reading.news {
            assert!(!news.is_anew);
            news.memory.update(self.memory.get_or_insert_default());
            self.findings = news.outcome.findings;
            self.n_events = news.summary.totals.events;
        }
    }

    fn scan(&self) -> Vec<Finding> {
        let (rules, compiled) = self.rules;
        scan(&self.options(), rules, compiled)
            .unwrap()
            .outcome
            .findings
    }
}

#[test]
fn logs_that_come_at_different_times_come_to_one_scan() {
    let rules = RuleSet::embedded().unwrap();
    let compiled = CompiledRules::compile(&rules).unwrap();
    let rules = (rules, compiled);
    for (seed, name) in [
        "tests/logs/v1.36-realistic-token-reuse.log.zst",
        "tests/logs/v1.36-full-shared-credentials.log.zst",
        "tests/logs/v1.20-metadata-refused.log.zst",
        "tests/logs/v1.20-realistic-token-reuse.log.zst",
    ]
    .into_iter()
    .enumerate()
    {
        let mut dice = Dice(seed as u64 + 1);
        let lanes = lanes(name, 2 + u8::try_from(seed % 3).unwrap());
        let times = || lanes.iter().flatten().map(|(ts, _)| *ts);
        let (first, last) = (times().min().unwrap(), times().max().unwrap());
        let mut logs = Logs::new(&rules);
        // A server that was never heard of cannot be waited for.
        let all_began = lanes.iter().map(|lane| lane[0].0).max().unwrap();
        let (mut now, mut waited) = (all_began, false);
        let mut ends = vec![0; lanes.len()];
        while now <= last + 30 * SECOND {
            now += 1 + dice.roll((last - first) / 5);
            for (at, lane) in lanes.iter().enumerate() {
                let seen = now - dice.roll(30 * SECOND);
                let end = lane.partition_point(|(ts, _)| *ts <= seen).max(1);
                ends[at] = ends[at].max(end);
                logs.write(at, &lane[..ends[at]]);
            }
            logs.run(now);
            waited |= logs.n_events < ends.iter().sum::<usize>() as u64;
        }
        assert!(waited, "{name}: some logs were ahead");
        // The logs have ended, and nothing waits for more.
        logs.run(now + LATENESS_US);
        assert_eq!(logs.n_events, times().count() as u64, "{name}");
        let expected = logs.scan();
        assert!(expected.len() > 3, "{name}");
        for (finding, expected) in logs.findings.iter().zip(&expected) {
            assert_eq!(finding, expected, "{name}");
        }
        assert_eq!(logs.findings.len(), expected.len(), "{name}");
    }
}
