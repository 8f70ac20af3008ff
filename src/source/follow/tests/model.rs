//! Random histories of a log and its reader, against an exact oracle.
//!
//! The oracle is the disk itself: each whole line in any file at the time of a run was handed out in
//! that run or before, and each line once. Lines are unique. `FOLLOW_HISTORIES` sets how many histories.

use std::collections::{BTreeMap, BTreeSet};

use super::{Follower, record};
use crate::source::follow::simulated::SimulatedDisk;
use crate::source::follow::{Cursor, Gap, Print};

const LOG: &str = "/l/audit.log";
const N_STEPS: u64 = 40;
/// Numbers that logrotate keeps.
const ROTATED_MAX: u64 = 5;

/// Splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn is(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Lumberjack,
    Logrotate,
    CopyTruncate,
}

#[derive(Debug, Default, Clone, Copy)]
struct Figures {
    histories: u64,
    runs: u64,
    crashes: u64,
    disturbed: u64,
    lines: u64,
    lost: u64,
    doubled: u64,
    gaps: u64,
    gaps_missed: u64,
    gaps_false: u64,
    unseen: u64,
}

struct History {
    random: Random,
    style: Style,
    compresses: bool,
    disk: SimulatedDisk,
    follower: Follower,
    n_records: usize,
    /// What is missing of the last line.
    rest: Option<String>,
    /// Backups whose compression broke off.
    broken: Vec<String>,
    deleted: Vec<Vec<u8>>,
    delivered: BTreeMap<String, u64>,
    /// Since the last run, lines that were deleted, by the first line of their file.
    removed: Vec<(String, BTreeSet<String>)>,
    n_removed: u64,
    /// Gaps since the last undisturbed run.
    n_gaps: usize,
    /// First line of the log at the last run.
    seen: Option<String>,
    figures: Figures,
    log: Vec<String>,
}

fn whole_lines(text: &[u8]) -> Vec<String> {
    let end = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let text = String::from_utf8(text[..end].to_vec()).unwrap();
    text.lines().map(ToOwned::to_owned).collect()
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let style = match random.below(3) {
            0 => Style::Lumberjack,
            1 => Style::Logrotate,
            _ => Style::CopyTruncate,
        };
        let compresses = random.is(60);
        let disk = SimulatedDisk::new();
        disk.folder("/l");
        let mut follower = Follower::new(if random.is(50) { "/l" } else { LOG });
        follower.options.quiet_us = i64::MAX;
        if random.is(20) {
            disk.short_reads(usize::try_from(1 + random.below(600)).unwrap());
        }
        Self {
            random,
            style,
            compresses,
            disk,
            follower,
            n_records: 0,
            rest: None,
            broken: Vec::new(),
            deleted: Vec::new(),
            delivered: BTreeMap::new(),
            removed: Vec::new(),
            n_removed: 0,
            n_gaps: 0,
            seen: None,
            figures: Figures::default(),
            log: Vec::new(),
        }
    }

    fn step(&mut self) {
        let wait =
            [1, 1000, 1_000_000, 100_000_000][usize::try_from(self.random.below(4)).unwrap()];
        self.disk.wait(wait);
        let (name, act): (&str, fn(&mut Self)) = match self.random.below(100) {
            0..30 => ("write", Self::write),
            30..50 => ("rotate", Self::rotate),
            50..56 => ("clean", Self::clean),
            56..59 => ("delete", Self::delete),
            59..61 => ("delete log", Self::delete_log),
            61..65 => ("restore", Self::restore),
            65..70 => ("repair", Self::repair),
            _ => ("run", Self::run),
        };
        self.log.push(name.to_owned());
        act(self);
    }

    fn write(&mut self) {
        self.finish_line();
        for _ in 0..=self.random.below(30) {
            let line = record(self.n_records) + "\n";
            self.n_records += 1;
            if self.random.is(3) {
                let at = usize::try_from(1 + self.random.below(line.len() as u64 - 1)).unwrap();
                self.disk.append(LOG, &line.as_bytes()[..at]);
                self.rest = Some(line[at..].to_owned());
                break;
            }
            self.disk.append(LOG, line.as_bytes());
        }
    }

    /// The writer finishes its line, or has crashed and goes on behind it.
    fn finish_line(&mut self) {
        if let Some(rest) = self.rest.take()
            && self.random.is(60)
        {
            self.disk.append(LOG, rest.as_bytes());
        }
    }

    fn rotate(&mut self) {
        // A line is one write; only a crash leaves a part, and copytruncate does not wait for it.
        if self.style == Style::CopyTruncate && self.rest.is_some() {
            let rest = self.rest.take().unwrap();
            self.disk.append(LOG, rest.as_bytes());
        }
        self.finish_line();
        if !self.disk.exists(LOG) {
            return;
        }
        match self.style {
            Style::Lumberjack => {
                let to = format!("/l/audit-{}.log", self.stamp());
                self.disk.rename(LOG, &to);
                if self.compresses {
                    self.compress(to);
                }
            }
            Style::Logrotate => {
                self.shift();
                self.disk.rename(LOG, "/l/audit.log.1");
            }
            Style::CopyTruncate => {
                self.shift();
                self.disk.copy(LOG, "/l/audit.log.1");
                if self.random.is(20) {
                    let line = record(self.n_records) + "\n";
                    self.n_records += 1;
                    self.disk.append(LOG, line.as_bytes());
                    self.figures.unseen += 1;
                }
                self.disk.truncate(LOG, 0);
            }
        }
        if self.style != Style::CopyTruncate && self.random.is(50) {
            self.disk.append(LOG, b"");
        }
    }

    fn stamp(&self) -> String {
        // Microseconds as a time of day: the order is what counts.
        let us = self.disk.now_us() - 1_700_000_000_000_000;
        let (s, rest) = (us / 1_000_000, us % 1_000_000);
        format!(
            "2026-11-{:02}T{:02}-{:02}-{:02}.{rest:06}",
            1 + s / 86_400,
            s / 3600 % 24,
            s / 60 % 60,
            s % 60
        )
    }

    fn compress(&mut self, log: String) {
        let packed = format!("{log}.gz");
        if self.random.is(25) {
            let part = f64::from(u32::try_from(self.random.below(101)).unwrap()) / 100.0;
            self.disk.compress(&log, &packed, part);
            self.broken.push(log);
        } else {
            self.disk.compress(&log, &packed, 1.0);
            self.disk.remove(&log);
        }
    }

    fn shift(&mut self) {
        for number in (1..=ROTATED_MAX).rev() {
            for suffix in ["", ".gz"] {
                let from = format!("{LOG}.{number}{suffix}");
                if !self.disk.exists(&from) {
                    continue;
                }
                if number == ROTATED_MAX {
                    self.remove(&from);
                    continue;
                }
                let to = format!("{LOG}.{}", number + 1);
                self.disk.rename(&from, &format!("{to}{suffix}"));
                if self.compresses && suffix.is_empty() {
                    self.disk.compress(&to, &format!("{to}.gz"), 1.0);
                    self.disk.remove(&to);
                }
            }
        }
    }

    fn backups(&self) -> Vec<String> {
        self.disk
            .paths()
            .into_iter()
            .filter(|path| path != LOG)
            .collect()
    }

    fn remove(&mut self, path: &str) {
        let text = self.disk.text(path);
        let lines = whole_lines(&text);
        if let Some(first) = lines.first() {
            self.removed
                .push((first.clone(), lines.iter().cloned().collect()));
        }
        self.n_removed += 1;
        let is_cut = self.broken.iter().any(|log| format!("{log}.gz") == path);
        if path != LOG && !is_cut {
            self.deleted.push(self.disk.bytes(path));
        }
        self.disk.remove(path);
        if self.broken.iter().any(|log| log == path) {
            // What is left of a log that is gone is doubled: a cut copy tells nothing.
            self.broken.retain(|log| log != path);
            let cut = format!("{path}.gz");
            if self.disk.exists(&cut) {
                self.disk.remove(&cut);
            }
        }
    }

    fn clean(&mut self) {
        let backups = self.backups();
        let oldest = match self.style {
            Style::Lumberjack => backups.first(),
            _ => backups.last(),
        };
        if let Some(path) = oldest
            && backups.len() > 2
        {
            self.remove(&path.clone());
        }
    }

    fn delete(&mut self) {
        let backups = self.backups();
        if !backups.is_empty() {
            let at = usize::try_from(self.random.below(backups.len() as u64)).unwrap();
            self.remove(&backups[at]);
        }
    }

    fn delete_log(&mut self) {
        if self.disk.exists(LOG) && self.random.is(30) {
            self.rest = None;
            self.remove(LOG);
        }
    }

    fn restore(&mut self) {
        if let Some(bytes) = self.deleted.pop() {
            let suffix = if bytes.starts_with(&[0x1f, 0x8b]) {
                ".gz"
            } else {
                ""
            };
            let path = match self.style {
                Style::Lumberjack => format!("/l/audit-{}.log{suffix}", self.stamp()),
                _ => format!("{LOG}.{}{suffix}", 50 + self.random.below(40)),
            };
            self.disk.write(&path, &bytes);
        }
    }

    fn repair(&mut self) {
        for log in std::mem::take(&mut self.broken) {
            self.disk.compress(&log, &format!("{log}.gz"), 1.0);
            self.disk.remove(&log);
        }
    }

    /// Runs until one was not killed or disturbed.
    fn settle(&mut self) {
        loop {
            let before = self.figures;
            self.run();
            let (runs, disturbed) = (self.figures.runs, self.figures.disturbed);
            if runs > before.runs && disturbed == before.disturbed {
                break;
            }
        }
    }

    fn run(&mut self) {
        if self.random.is(10) {
            // It is killed before it commits.
            self.follower.try_run(&self.disk, self.disk.now_us());
            self.figures.crashes += 1;
            return;
        }
        let mut readable: BTreeSet<String> = BTreeSet::new();
        let mut firsts = BTreeSet::new();
        for path in self.disk.paths() {
            let lines = whole_lines(&self.disk.text(&path));
            firsts.extend(lines.first().cloned());
            readable.extend(lines);
        }
        let must_have_gap = self.removed.iter().any(|(first, lines)| {
            let is_lost = lines
                .iter()
                .any(|line| !readable.contains(line) && !self.delivered.contains_key(line));
            let is_visible = self.seen.as_ref() == Some(first) && !firsts.contains(first);
            self.figures.unseen += u64::from(is_lost && !is_visible);
            is_lost && is_visible
        });
        let is_disturbed = self.style == Style::Lumberjack && self.random.is(25);
        if is_disturbed {
            self.disturb();
        }
        let cursors = self.follower.cursors();
        let report = self.follower.run(&self.disk);
        if let Some(hook) = self.disk.take_hook() {
            hook(&self.disk);
        }
        self.figures.runs += 1;
        self.figures.disturbed += u64::from(is_disturbed);
        self.figures.gaps += report.gaps.len() as u64;
        self.n_gaps += report.gaps.len();
        if !is_disturbed {
            self.figures.gaps_missed += u64::from(must_have_gap && self.n_gaps == 0);
            self.n_gaps = 0;
        }
        let is_false =
            self.n_removed == 0 || report.gaps.iter().any(|gap| self.is_there(gap, &cursors));
        self.figures.gaps_false += u64::from(is_false && !report.gaps.is_empty());
        self.log.extend(report.lines.iter().map(|line| {
            format!(
                "  {} {}",
                line.len(),
                line.chars().take(80).collect::<String>()
            )
        }));
        self.log.extend(report.plan.tasks.iter().map(|task| {
            format!(
                "{} {:?} {:?}",
                task.path.display(),
                task.start,
                task.continues
            )
        }));
        self.log
            .extend(report.gaps.iter().map(|gap| format!("{gap:?}")));
        for line in report.lines {
            *self.delivered.entry(line).or_default() += 1;
        }
        if is_disturbed {
            self.seen = None;
            return;
        }
        let lost = readable
            .iter()
            .filter(|line| !self.delivered.contains_key(*line));
        let lost: Vec<String> = lost.map(|line| format!("  LOST {line}")).collect();
        self.figures.lost += lost.len() as u64;
        self.log.extend(lost);
        let first = self
            .disk
            .exists(LOG)
            .then(|| whole_lines(&self.disk.bytes(LOG)));
        self.seen = first.and_then(|lines| lines.first().cloned());
        self.removed.clear();
        self.n_removed = 0;
    }

    /// Rotates at some call of the next run, with writes before and after.
    fn disturb(&mut self) {
        self.disk.wait(1000);
        let to = format!("/l/audit-{}.log", self.stamp());
        let packs = self.compresses && self.random.is(50);
        let rest = self.rest.take().unwrap_or_default();
        let mut lines = || {
            self.n_records += 3;
            (self.n_records - 3..self.n_records)
                .map(|n| record(n) + "\n")
                .collect::<String>()
        };
        let (before, after) = (rest + &lines(), lines());
        let hook = move |disk: &SimulatedDisk| {
            disk.append(LOG, before.as_bytes());
            disk.rename(LOG, &to);
            if packs {
                disk.compress(&to, &format!("{to}.gz"), 1.0);
                disk.remove(&to);
            }
            disk.append(LOG, after.as_bytes());
        };
        self.disk
            .before_call(1 + self.random.below(80), Box::new(hook));
    }

    /// Whether the content of the gap is in a file, looked for without any of the code under test.
    fn is_there(&self, gap: &Gap, cursors: &[Cursor]) -> bool {
        let is_it = |cursor: &&Cursor| {
            cursor.name == gap.name
                && cursor.last_seen_us == gap.last_seen_us
                && cursor.offset > 160
        };
        let texts: Vec<_> = self
            .disk
            .paths()
            .iter()
            .map(|path| self.disk.text(path))
            .collect();
        cursors.iter().filter(is_it).any(|cursor| {
            let end = usize::try_from(cursor.offset).unwrap();
            let start = end - cursor.anchor.length as usize;
            texts.iter().any(|text| {
                let is_same =
                    |print: &Print, range| text.get(range).map(Print::of).as_ref() == Some(print);
                text.len() as u64 >= cursor.offset + gap.unread_bytes.unwrap_or(0)
                    && is_same(&cursor.head, 0..cursor.head.length as usize)
                    && is_same(&cursor.anchor, start..end)
            })
        })
    }

    fn check(mut self) -> Result<Figures, String> {
        let figures = &mut self.figures;
        figures.histories = 1;
        figures.lines = self.delivered.len() as u64;
        // A file that holds nothing but a short part of a line is not told from others.
        self.delivered.retain(|line, _| line.len() >= 160);
        figures.doubled = self.delivered.values().filter(|n| **n > 1).count() as u64;
        let bad = figures.lost + figures.doubled + figures.gaps_missed + figures.gaps_false;
        if bad == 0 {
            return Ok(*figures);
        }
        let doubled = self
            .delivered
            .iter()
            .filter(|(_, n)| **n > 1)
            .map(|(line, _)| line);
        let doubled: Vec<&String> = doubled.take(3).collect();
        Err(format!(
            "{:?}, compresses: {}, {:?}\n{}\ndoubled: {doubled:?}",
            self.style,
            self.compresses,
            self.figures,
            self.log.join("\n")
        ))
    }
}

#[test]
fn random_histories_lose_and_double_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let n = number("FOLLOW_HISTORIES").unwrap_or(1000);
    let seeds = match number("FOLLOW_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..n,
    };
    let mut sum = Figures::default();
    let mut n_failed = 0;
    for seed in seeds {
        let mut history = History::new(seed);
        for _ in 0..N_STEPS {
            history.step();
        }
        // The first may be disturbed, or killed.
        history.settle();
        match history.check() {
            Ok(figures) => {
                sum.histories += figures.histories;
                sum.runs += figures.runs;
                sum.crashes += figures.crashes;
                sum.disturbed += figures.disturbed;
                sum.lines += figures.lines;
                sum.gaps += figures.gaps;
                sum.unseen += figures.unseen;
            }
            Err(text) => {
                n_failed += 1;
                if n_failed <= 2 {
                    println!("seed {seed}: {text}");
                }
            }
        }
    }
    println!("{sum:?}, failed: {n_failed}");
    assert_eq!(n_failed, 0);
}
