//! The form in which a session's memory is kept.
//!
//! ```text
//! magic     8  `kscrymem`
//! version   4  of this form
//! length    8  of the content
//! checksum  8  XXH3 of version, length and content
//! content      who made it and how, all texts of the dictionary, what is remembered
//! ```
//!
//! Numbers are little-endian, the content is postcard's. Codes are numbers of one dictionary, so its texts are written
//! in their order, all of them: see [`Vocabulary::texts`]. No length is believed before the checksum says that the bytes
//! are what was written. It finds damage, not malice: who can write a memory can write one that says anything.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::merge::Merge;
use super::{Options, ScanError};
use crate::frame::Vocabulary;
use crate::memory::{Broken, Reader, Remember as _, Writer};
use crate::report::clean::redact;

/// What a memory begins with.
const MAGIC: &[u8; 8] = b"kscrymem";

/// The version of the form; a change of anything that is remembered makes a new one.
const VERSION: u32 = 2;

/// Bytes before the content.
const HEADER_BYTES: usize = 28;

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

/// Writes a memory of about `expected` bytes.
pub(super) fn write(
    made_by: &str,
    options: &Options,
    vocabulary: &Vocabulary,
    seed: u64,
    merge: &Merge<'_>,
    expected: usize,
) -> Vec<u8> {
    let mut head = Vec::with_capacity(expected + expected / 8);
    head.resize(HEADER_BYTES, 0);
    let mut writer = Writer::behind(head);
    writer.put(made_by);
    writer.put(&Setup::of(options));
    // What is written is kept on disk: secrets in texts go first.
    let texts = vocabulary.texts();
    let texts: Vec<Cow<'_, str>> = texts.iter().map(|text| redact(text)).collect();
    writer.put(&texts);
    writer.put(&seed);
    merge.engine.write(&mut writer);
    merge.fold.write(&mut writer);
    merge.account.write(&mut writer);
    let mut bytes = writer.finish();
    let (head, content) = bytes.split_at_mut(HEADER_BYTES);
    let length = (content.len() as u64).to_le_bytes();
    let version = VERSION.to_le_bytes();
    let checksum = checksum(&version, &length, content).to_le_bytes();
    let parts: [&[u8]; 4] = [MAGIC, &version, &length, &checksum];
    head.copy_from_slice(&parts.concat());
    bytes
}

fn checksum(version: &[u8], length: &[u8], content: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    for part in [version, length, content] {
        hash.update(part);
    }
    hash.digest()
}

/// Returns the content of a memory that was made by `made_by`, behind the name of who made it.
pub(super) fn open<'m>(memory: &'m [u8], made_by: &str) -> Result<Reader<'m>, MemoryError> {
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
    let mut reader = Reader::new(content);
    let by: String = reader.take()?;
    if by != made_by {
        return Err(MemoryError::OtherRules {
            found: by,
            expected: made_by.to_owned(),
        });
    }
    Ok(reader)
}

/// Reads what must be known before anything else: whether the options are the same, the dictionary, and the seed.
pub(super) fn start<'m>(
    mut content: Reader<'m>,
    options: &Options,
    vocabulary: &Vocabulary,
) -> Result<(Reader<'m>, u64), MemoryError> {
    let setup: Setup = content.take()?;
    if let Some(what) = setup.difference(&Setup::of(options)) {
        return Err(MemoryError::OtherOptions { what });
    }
    let texts: Vec<String> = content.take()?;
    if !vocabulary.recall(texts.iter().map(String::as_str)) {
        return Err(MemoryError::UsedVocabulary);
    }
    let seed = content.take()?;
    Ok((content, seed))
}

/// Reads the rest.
pub(super) fn read(mut content: Reader<'_>, merge: &mut Merge<'_>) -> Result<(), MemoryError> {
    merge.engine.read(&mut content)?;
    merge.fold.read(&mut content)?;
    merge.account.read(&mut content)?;
    if !content.is_at_end() {
        return Err(Broken::DeserializeUnexpectedEnd.into());
    }
    Ok(())
}
