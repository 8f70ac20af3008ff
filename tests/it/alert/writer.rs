//! A log as its writers leave it: it grows, in the middle of lines too, and is rotated in every usual way.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

/// Numbers that look random and are the same every time.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let mut value = self.0 ^ (self.0 >> 33);
        value = value.wrapping_mul(0xff51_afd7_ed55_8ccd);
        value ^= value >> 33;
        usize::try_from(value % sides.max(1) as u64).unwrap()
    }
}

/// How a log is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rotation {
    /// As kube-apiserver does it: the name has the time.
    Lumberjack,
    /// As logrotate does it: names are counted up.
    Numbered,
}

/// Writes lines to `audit.log` in a folder.
pub(super) struct Writer {
    folder: PathBuf,
    lines: Vec<Vec<u8>>,
    /// Lines that were written.
    at: usize,
    /// Bytes of the next line that were written.
    within: usize,
    rotation: Rotation,
    n_rotations: usize,
}

impl Writer {
    pub(super) fn new(folder: PathBuf, lines: Vec<Vec<u8>>) -> Self {
        Self {
            folder,
            lines,
            at: 0,
            within: 0,
            rotation: Rotation::Lumberjack,
            n_rotations: 0,
        }
    }

    pub(super) fn numbered(mut self) -> Self {
        self.rotation = Rotation::Numbered;
        self
    }

    pub(super) fn is_done(&self) -> bool {
        self.at == self.lines.len()
    }

    /// Does one thing that happens to logs.
    pub(super) fn step(&mut self, dice: &mut Dice) {
        match dice.roll(8) {
            0 => self.rotate(),
            1 => self.compress(dice),
            2 => self.half(dice),
            _ => self.append(1 + dice.roll(self.lines.len() / 10 + 1)),
        }
    }

    /// Writes `n` lines.
    pub(super) fn append(&mut self, n: usize) {
        let end = (self.at + n).min(self.lines.len());
        let text = self.lines[self.at..end].concat();
        self.write(&text[self.within.min(text.len())..]);
        if end > self.at {
            self.within = 0;
        }
        self.at = end;
    }

    /// Writes a part of a line.
    pub(super) fn half(&mut self, dice: &mut Dice) {
        if self.within == 0 && !self.is_done() {
            let line = self.lines[self.at].clone();
            let length = 1 + dice.roll(line.len() - 1);
            self.write(&line[..length]);
            self.within = length;
        }
    }

    fn write(&self, bytes: &[u8]) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.current())
            .unwrap();
        file.write_all(bytes).unwrap();
    }

    fn current(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    /// Gives the file another name, between two lines as writers do.
    pub(super) fn rotate(&mut self) {
        if self.within > 0 {
            self.append(1);
        }
        if !self.current().exists() {
            return;
        }
        self.n_rotations += 1;
        match self.rotation {
            Rotation::Lumberjack => {
                let (minutes, seconds) = (self.n_rotations / 60, self.n_rotations % 60);
                let name = format!("audit-2026-11-22T05-{minutes:02}-{seconds:02}.000.log");
                fs::rename(self.current(), self.folder.join(name)).unwrap();
                File::create(self.current()).unwrap();
            }
            Rotation::Numbered => {
                for number in (1..self.n_rotations).rev() {
                    for suffix in ["", ".gz"] {
                        let name = |number| self.folder.join(format!("audit.log.{number}{suffix}"));
                        let _ = fs::rename(name(number), name(number + 1));
                    }
                }
                fs::rename(self.current(), self.folder.join("audit.log.1")).unwrap();
            }
        }
    }

    /// Copies the file and empties it, between two lines.
    pub(super) fn copy_and_truncate(&mut self) {
        if self.within > 0 {
            self.append(1);
        }
        if !self.current().exists() {
            return;
        }
        self.n_rotations += 1;
        let (minutes, seconds) = (self.n_rotations / 60, self.n_rotations % 60);
        let name = format!("audit-2026-11-22T05-{minutes:02}-{seconds:02}.000.log");
        fs::copy(self.current(), self.folder.join(name)).unwrap();
        OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(self.current())
            .unwrap();
    }

    /// Compresses a rotated file.
    pub(super) fn compress(&mut self, dice: &mut Dice) {
        let rotated = self.rotated();
        if rotated.is_empty() {
            return;
        }
        let path = &rotated[dice.roll(rotated.len())];
        let text = fs::read(path).unwrap();
        let mut name = path.clone().into_os_string();
        name.push(".gz");
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&text).unwrap();
        // First whole, then there.
        let temporary = self.folder.join(".packing");
        fs::write(&temporary, packed.finish().unwrap()).unwrap();
        fs::rename(&temporary, name).unwrap();
        fs::remove_file(path).unwrap();
    }

    /// Returns the rotated files that are not compressed.
    pub(super) fn rotated(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut rotated: Vec<PathBuf> = paths
            .filter(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                name != "audit.log"
                    && path.extension().is_none_or(|it| it != "gz")
                    && !name.starts_with('.')
            })
            .collect();
        rotated.sort();
        rotated
    }

    /// Writes what is left.
    pub(super) fn finish(&mut self) {
        self.append(self.lines.len());
    }
}
