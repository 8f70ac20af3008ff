//! The form in which a session's memory is kept.
//!
//! It has parts, each with a name. Most of what is remembered is as it was after a run with little new, so only those parts
//! are given out that have changed since the session was recalled; who keeps them puts them in the place of the old ones.
//! One of them is the head:
//!
//! ```text
//! magic     8  `kscrymem`
//! version   4  of this form
//! length    8  of the content
//! checksum  8  XXH3 of version, length and content
//! content      who made it and how; of all other parts name, length and XXH3
//! ```
//!
//! Numbers are little-endian, the content is postcard's, as are the other parts: the texts of the dictionary, and what is
//! remembered. Codes are numbers of one dictionary, so its texts are written in their order, with an empty one for each to
//! which nothing refers any more, and nothing for blocks of which no text is left. No length is believed before the checksums say that the bytes are what was written. They find
//! damage, not malice: who can write a memory can write one that says anything.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::merge::Merge;
use super::{Options, ScanError};
use crate::frame::Vocabulary;
use crate::memory::{Bits, Broken, Part, Parts, Reader, Remember as _, Writer};
use crate::redact::redact;

/// What a memory begins with.
const MAGIC: &[u8; 8] = b"kscrymem";

/// The version of the form; a change of anything that is remembered makes a new one.
const VERSION: u32 = 16;

/// How many texts of the dictionary are a part.
const TEXTS: u32 = 4096;

/// Texts to which nothing refers are taken out once there are that many, and one to [`LIVE`] others: that writes blocks anew.
const DEAD: u32 = 256;

/// See [`DEAD`].
const LIVE: u32 = 4;

/// Bytes before the content.
const HEADER_BYTES: usize = 28;

/// What a session remembers, as far as it is not what it was recalled from.
#[derive(Debug, Clone)]
pub struct Memory {
    parts: Vec<Part>,
}

impl Memory {
    /// Name of the part that says what the others are.
    pub const HEAD: &str = "head";

    /// Returns all parts by name, with their bytes unless they are those of the memory that the session was recalled from.
    pub fn parts(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        let parts = self.parts.iter();
        parts.map(|(name, bytes)| (&**name, bytes.as_deref()))
    }

    /// Makes `kept`, the memory that the session was recalled from, what is remembered now.
    pub fn update(self, kept: &mut Parts) {
        let mut before = std::mem::take(kept);
        for (name, bytes) in self.parts {
            if let Some(bytes) = bytes.or_else(|| before.remove(&name)) {
                kept.insert(name, bytes);
            }
        }
    }
}

/// Of each part but the head its length and checksum.
type Table = BTreeMap<String, (u64, [u8; 8])>;

/// What is known of the memory that a session was recalled from.
#[derive(Default)]
pub(super) struct Recalled {
    table: Table,
    /// How many codes of the dictionary are from there.
    n_codes: u32,
}

/// Why a memory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// It is something else.
    #[error("not a memory of kubescry")]
    Foreign,
    /// It ends too early.
    #[error("the memory is cut: {found} of {expected} bytes are there")]
    Cut {
        /// Bytes there are.
        found: u64,
        /// Bytes there should be.
        expected: u64,
    },
    /// It is not what was written.
    #[error("the memory is damaged: its checksum does not fit")]
    Damaged,
    /// It is of a program that writes another form.
    #[error("the memory is of version {found}, this program reads version {VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// It is of another program or of other rules.
    #[error(
        "the memory was made by `{found}`, not by `{expected}`: what is remembered depends on the rules"
    )]
    OtherRules {
        /// Who made it.
        found: String,
        /// Who reads it.
        expected: String,
    },
    /// It was made with other options.
    #[error("the memory was made with another {what}")]
    OtherOptions {
        /// Which option.
        what: &'static str,
    },
    /// The dictionary that it is to be read into holds something already.
    #[error("the dictionary is not a new one")]
    UsedVocabulary,
    /// The checksum fits, and yet it cannot be read.
    #[error("the memory cannot be read: {0}")]
    Broken(#[from] postcard::Error),
    /// There is nothing to read it into.
    #[error(transparent)]
    Scan(#[from] ScanError),
}

/// Options that decide what is remembered.
#[derive(Serialize, Deserialize, PartialEq)]
struct Setup {
    evidence_limit: u64,
    gap_us: i64,
    credentials: bool,
    detects: bool,
}

impl Setup {
    fn of(options: &Options) -> Self {
        Self {
            evidence_limit: options.evidence_limit as u64,
            gap_us: options.gap_us,
            credentials: options.credentials,
            detects: options.detects,
        }
    }

    /// Names an option that differs.
    fn difference(&self, other: &Self) -> Option<&'static str> {
        let differences = [
            (
                "limit of evidence",
                self.evidence_limit != other.evidence_limit,
            ),
            ("length of silences", self.gap_us != other.gap_us),
            (
                "choice of credentials",
                self.credentials != other.credentials,
            ),
            ("choice of detection", self.detects != other.detects),
        ];
        let found = differences.into_iter().find(|(_, differs)| *differs);
        found.map(|(what, _)| what)
    }
}

/// Writes what is not as in the memory that the session was recalled from.
pub(super) fn write(
    made_by: &str,
    options: &Options,
    vocabulary: &Vocabulary,
    seed: u64,
    merge: &Merge<'_>,
    recalled: &Recalled,
) -> Memory {
    let end = vocabulary.end();
    let mut writer = Writer::of_codes(end);
    merge.engine.write(&mut writer);
    writer.part("fold");
    merge.fold.write(&mut writer);
    writer.part("account");
    merge.account.write(&mut writer);
    let codes = writer.take_codes();
    write_texts(&mut writer, vocabulary, &codes, recalled);
    let mut parts = writer.finish();
    let mut table = Table::new();
    for (name, bytes) in &mut parts {
        let known = recalled.table.get(name);
        let digest = bytes.as_deref().map(digest).or(known.copied());
        let digest = digest.expect("what is not written was read");
        if known == Some(&digest) {
            *bytes = None;
        }
        table.insert(name.clone(), digest);
    }
    let mut writer = Writer::default();
    writer.part(Memory::HEAD);
    writer.put(made_by);
    writer.put(&Setup::of(options));
    writer.put(&seed);
    writer.put(&end);
    writer.put(&table);
    for (name, content) in writer.finish() {
        parts.push((name, content.map(|content| with_header(&content))));
    }
    Memory { parts }
}

/// Writes the texts of the dictionary, without those that `referred` lacks if they have become many.
fn write_texts(writer: &mut Writer, vocabulary: &Vocabulary, referred: &Bits, recalled: &Recalled) {
    let end = vocabulary.end();
    let is_live = |code: u32| Vocabulary::is_known(code) || referred.has(code);
    let n_texts = (0..end).filter(|&code| vocabulary.kept(code).is_some());
    let (n_live, n_dead) = n_texts.fold((0, 0), |(live, dead), code| {
        let is_live = u32::from(is_live(code));
        (live + is_live, dead + 1 - is_live)
    });
    let takes_out = n_dead >= DEAD.max(n_live / LIVE);
    for first in (0..end).step_by(TEXTS as usize) {
        let of_block = first..end.min(first.saturating_add(TEXTS));
        let texts = of_block.map(|code| {
            let text = vocabulary.kept(code).unwrap_or_default();
            if takes_out && !is_live(code) {
                Cow::Borrowed("")
            } else if code < recalled.n_codes {
                Cow::Borrowed(text)
            } else {
                // What is written is kept on disk: secrets in texts go first. What comes from there has none.
                redact(text)
            }
        });
        let texts: Vec<_> = texts.collect();
        if texts.iter().any(|text| !text.is_empty()) {
            writer.part(texts_name(first / TEXTS));
            writer.put(&texts);
        }
    }
}

/// Returns the name of a part with texts.
fn texts_name(block: u32) -> String {
    format!("texts.{block}")
}

fn digest(bytes: &[u8]) -> (u64, [u8; 8]) {
    (bytes.len() as u64, xxh3_64(bytes).to_le_bytes())
}

fn with_header(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    let version = VERSION.to_le_bytes();
    let checksum = checksum(&version, &length, content).to_le_bytes();
    let parts: [&[u8]; 5] = [MAGIC, &version, &length, &checksum, content];
    parts.concat()
}

fn checksum(version: &[u8], length: &[u8], content: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    for part in [version, length, content] {
        hash.update(part);
    }
    hash.digest()
}

/// Returns the head of a memory that was made by `made_by`, behind the name of who made it.
pub(super) fn open<'m>(parts: &'m Parts, made_by: &str) -> Result<Reader<'m>, MemoryError> {
    let memory = parts.get(Memory::HEAD).map_or(&[][..], Vec::as_slice);
    let begun = memory.len().min(MAGIC.len());
    if begun == 0 || memory[..begun] != MAGIC[..begun] {
        return Err(MemoryError::Foreign);
    }
    let found = memory.len() as u64;
    let Some((header, content)) = memory.split_at_checked(HEADER_BYTES) else {
        let expected = HEADER_BYTES as u64;
        return Err(MemoryError::Cut { found, expected });
    };
    let (version, length, sum) = (&header[8..12], &header[12..20], &header[20..]);
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let expected = number(length).saturating_add(HEADER_BYTES as u64);
    if checksum(version, length, content) != number(sum) {
        return Err(if found < expected {
            MemoryError::Cut { found, expected }
        } else {
            MemoryError::Damaged
        });
    }
    let version = u32::from_le_bytes(version.try_into().expect("four bytes"));
    if version != VERSION {
        return Err(MemoryError::Version { found: version });
    }
    let mut reader = Reader::within(parts, content);
    let by: String = reader.take()?;
    if by != made_by {
        return Err(MemoryError::OtherRules {
            found: by,
            expected: made_by.to_owned(),
        });
    }
    Ok(reader)
}

/// Reads what must be known before anything else: whether the options are the same and all `parts` are there, the
/// dictionary, and the seed.
pub(super) fn start<'m>(
    mut content: Reader<'m>,
    parts: &Parts,
    options: &Options,
    vocabulary: &Vocabulary,
) -> Result<(Reader<'m>, u64, Recalled), MemoryError> {
    let setup: Setup = content.take()?;
    if let Some(what) = setup.difference(&Setup::of(options)) {
        return Err(MemoryError::OtherOptions { what });
    }
    let seed = content.take()?;
    let n_codes: u32 = content.take()?;
    let table: Table = content.take()?;
    for (name, expected) in &table {
        let bytes = parts.get(name).map_or(&[][..], Vec::as_slice);
        let (found, expected_bytes) = (bytes.len() as u64, expected.0);
        if found < expected_bytes || !parts.contains_key(name) {
            let expected = expected_bytes;
            return Err(MemoryError::Cut { found, expected });
        }
        if digest(bytes) != *expected {
            return Err(MemoryError::Damaged);
        }
    }
    let mut texts: Vec<(u32, &str)> = Vec::new();
    for block in 0..n_codes.div_ceil(TEXTS) {
        let name = texts_name(block);
        if !table.contains_key(&name) {
            continue;
        }
        content.part(&name)?;
        let of_block: Vec<&str> = content.take()?;
        let codes = block.saturating_mul(TEXTS)..n_codes;
        let of_block = codes.zip(of_block);
        texts.extend(of_block.filter(|(_, text)| !text.is_empty()));
    }
    if !vocabulary.recall(n_codes, texts) {
        return Err(MemoryError::UsedVocabulary);
    }
    Ok((content, seed, Recalled { table, n_codes }))
}

/// Reads the rest.
pub(super) fn read(mut content: Reader<'_>, merge: &mut Merge<'_>) -> Result<(), MemoryError> {
    merge.engine.read(&mut content)?;
    content.part("fold")?;
    merge.fold.read(&mut content)?;
    content.part("account")?;
    merge.account.read(&mut content)?;
    if !content.is_at_end() {
        return Err(Broken::DeserializeUnexpectedEnd.into());
    }
    Ok(())
}
