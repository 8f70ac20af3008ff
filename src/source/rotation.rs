//! What a file name says: whether it is a log, which one, and when it was rotated.

use std::cmp::Reverse;
use std::ffi::OsStr;

/// The last four are not read, but a log in them is missed by somebody: opening says so by name.
const COMPRESSED: [&str; 8] = [
    ".gz", ".zst", ".zstd", ".gzip", ".xz", ".bz2", ".lz4", ".lzma",
];
const LOG_EXTENSIONS: [&str; 8] = [
    "log", "json", "jsonl", "ndjson", "txt", "csv", "audit", "out",
];

/// Names, without extension, of what lies beside logs.
const NOT_LOGS: [&str; 20] = [
    "authors",
    "changelog",
    "checksums",
    "codeowners",
    "config",
    "contributing",
    "dockerfile",
    "index",
    "license",
    "makefile",
    "manifest",
    "metadata",
    "notice",
    "package",
    "package-lock",
    "readme",
    "requirements",
    "schema",
    "truth",
    "version",
];

/// What a file name says about rotation. Ordered by base name, then time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rotation {
    /// The name of the file that is still written.
    pub(super) base: String,
    pub(super) age: Age,
    /// Last, so that `audit.log` stays behind a compressed copy of itself.
    pub(super) is_plain: bool,
}

/// When a file was rotated, oldest first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Age {
    /// The digits of a date, and of a time if there is one.
    Stamped(String),
    /// The higher, the older.
    Numbered(Reverse<u32>),
    /// A part of one log that was split: the higher, the later. Rotation never writes zeros before a number.
    Part(u32),
    /// Still written.
    Current,
}

impl Rotation {
    pub(super) fn of(file_name: &OsStr) -> Self {
        let full = file_name.to_string_lossy();
        let name = COMPRESSED
            .iter()
            .find_map(|suffix| full.strip_suffix(suffix))
            .unwrap_or(&full);
        let is_plain = name.len() == full.len();
        let (base, age) = split_age(name);
        Self {
            base,
            age,
            is_plain,
        }
    }

    /// Takes a number for that of a part, as those of its neighbours are.
    pub(super) fn make_part(&mut self) {
        if let Age::Numbered(Reverse(number)) = self.age {
            self.age = Age::Part(number);
        }
    }

    /// Whether the name can be one of a log.
    pub(super) fn is_log(&self) -> bool {
        let (_, extension) = self.parts();
        extension.is_none_or(|extension| is_one_of(&LOG_EXTENSIONS, extension)) && !self.is_beside()
    }

    /// Whether the name is of what lies beside logs, so that nobody misses it.
    pub(super) fn is_beside(&self) -> bool {
        let (stem, _) = self.parts();
        is_one_of(&NOT_LOGS, stem) || stem.to_ascii_lowercase().ends_with("sums")
    }

    /// Returns the name without its extension, and that.
    fn parts(&self) -> (&str, Option<&str>) {
        match self.base.rsplit_once('.') {
            Some((stem, extension)) => (stem, Some(extension)),
            None => (&*self.base, None),
        }
    }
}

fn is_one_of(names: &[&str], name: &str) -> bool {
    names.iter().any(|it| name.eq_ignore_ascii_case(it))
}

/// Whether the name is one of an archive, in which there may be logs.
pub(super) fn is_archive(file_name: &OsStr) -> bool {
    const ENDS: [&str; 7] = [".tar", ".tgz", ".tbz2", ".txz", ".zip", ".7z", ".rar"];
    let name = file_name.to_string_lossy().to_ascii_lowercase();
    name.contains(".tar.") || ENDS.iter().any(|end| name.ends_with(end))
}

fn split_age(name: &str) -> (String, Age) {
    if let Some((stem, extension)) = name.rsplit_once('.')
        && !extension.is_empty()
        && extension.bytes().all(|byte| byte.is_ascii_alphabetic())
    {
        return match split_stamp(stem) {
            Some((base, stamp)) => (format!("{base}.{extension}"), Age::Stamped(stamp)),
            None => (name.to_owned(), Age::Current),
        };
    }
    if let Some((base, stamp)) = split_stamp(name) {
        return (base.to_owned(), Age::Stamped(stamp));
    }
    match name.rsplit_once('.') {
        Some((base, digits)) if !base.is_empty() && digits.len() <= 6 => match digits.parse() {
            Ok(number) if digits.len() > 1 && digits.starts_with('0') => {
                (base.to_owned(), Age::Part(number))
            }
            Ok(number) => (base.to_owned(), Age::Numbered(Reverse(number))),
            Err(_) => (name.to_owned(), Age::Current),
        },
        _ => (name.to_owned(), Age::Current),
    }
}

/// Splits a date, with or without a time, off the end of a name; returns its digits.
fn split_stamp(name: &str) -> Option<(&str, String)> {
    name.match_indices(['-', '.'])
        .filter(|&(at, _)| at > 0)
        .find_map(|(at, _)| {
            let stamp = &name[at + 1..];
            let digits: String = stamp.chars().filter(char::is_ascii_digit).collect();
            let is_date = stamp.starts_with(digits.get(..8)?)
                || stamp.starts_with(&format!(
                    "{}-{}-{}",
                    &digits[..4],
                    &digits[4..6],
                    &digits[6..8]
                ));
            let is_time = stamp
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b"-_.:T".contains(&byte));
            let fits = ("1970".."2200").contains(&&digits[..4])
                && ("01"..="12").contains(&&digits[4..6])
                && ("01"..="31").contains(&&digits[6..8]);
            (is_date && is_time && fits).then(|| (&name[..at], digits))
        })
}

#[cfg(test)]
mod tests;
