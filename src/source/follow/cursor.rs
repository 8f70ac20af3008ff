//! What is remembered of a file between runs.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::source::follow::files::FileId;

/// How much of the first line tells a file from others.
pub const HEAD_BYTES: usize = 4096;
/// How much before an offset tells whether it is still the same content.
pub const ANCHOR_BYTES: usize = 4096;
/// A part of a line that is shorter than this does not tell files apart: all audit events begin alike,
/// up to their id.
const WEAK_BYTES: u64 = 160;

/// How far a file was read, and what tells its content from that of others.
///
/// A cursor belongs to content. Name, device and inode only help to find it: files are renamed,
/// compressed and copied, and numbers are given again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Path at the last look, for people and for telling the folder.
    pub name: String,
    /// Device and inode at the last look; a hint.
    pub id: Option<FileId>,
    /// The first line, up to [`HEAD_BYTES`] of decompressed bytes; grows while the line is not whole.
    pub head: Print,
    /// Decompressed bytes that were read: up to the end of the last whole record.
    pub offset: u64,
    /// Lines that end before the offset.
    pub line: u64,
    /// The last bytes before the offset, up to [`ANCHOR_BYTES`].
    pub anchor: Print,
    /// Bytes on disk at the last look.
    pub size: u64,
    /// Whether it was read to its end as it was then, a half line aside.
    pub complete: bool,
    /// Last change of the file in nanoseconds since the Unix epoch, if it is complete and was not changed
    /// just before; with the same change time and size, there is nothing new.
    pub mtime_ns: Option<i64>,
    /// Whether the offset is not one in the file as it is on disk.
    pub compressed: bool,
    /// Time of the first record, as [`Options::first_time`](crate::source::follow::Options::first_time) says.
    pub first_time: Option<i64>,
    /// Whether it was the last of its rotated set, to which records may have been added unseen.
    pub newest: bool,
    /// When it was last found, in microseconds since the Unix epoch, by the clock of the caller.
    pub last_seen_us: i64,
    /// Since when its content is in no file; it was reported as a gap if there was one.
    pub gone_since_us: Option<i64>,
}

impl Cursor {
    /// Whether the fields can be true together. A damaged cursor is one of an unknown file.
    pub fn is_sound(&self) -> bool {
        let anchor = self.offset.min(ANCHOR_BYTES as u64);
        i64::try_from(self.offset).is_ok()
            && self.line <= self.offset
            && self.head.length as usize <= HEAD_BYTES
            && u64::from(self.anchor.length) == anchor
            && (self.compressed || self.offset <= self.size)
    }

    /// Whether there is too little of it to be found by content.
    pub(super) fn is_weak(&self) -> bool {
        self.line == 0 && self.offset.max(self.head.length.into()) < WEAK_BYTES
    }

    /// Returns how many bytes on disk were seen but not read; `None` is any number, at least one.
    pub(super) fn unread_bytes(&self) -> Option<u64> {
        match self.compressed {
            false => Some(self.size - self.offset.min(self.size)),
            true if self.complete || self.size == 0 => Some(0),
            true => None,
        }
    }
}

/// Length and SHA-256 of some bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Print {
    /// How many bytes.
    pub length: u32,
    /// Their hash.
    pub hash: Hash,
}

impl Print {
    /// Returns that of `bytes`.
    ///
    /// # Panics
    /// When there are 4 GiB or more of them.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            length: u32::try_from(bytes.len()).expect("only a few KiB are hashed"),
            hash: Hash(Sha256::digest(bytes).into()),
        }
    }

    /// Whether `bytes` begin with those that were hashed.
    pub(super) fn begins(&self, bytes: &[u8]) -> bool {
        bytes
            .get(..self.length as usize)
            .is_some_and(|bytes| Self::of(bytes).hash == self.hash)
    }
}

/// A SHA-256, as 64 hexadecimal digits when serialized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; 32]);

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        let mut text = Self::with_capacity(64);
        for byte in hash.0 {
            write!(text, "{byte:02x}").expect("a string takes all that is written");
        }
        text
    }
}

/// A text that is not 64 hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("a hash has 64 hexadecimal digits")]
pub struct NotAHash;

impl TryFrom<String> for Hash {
    type Error = NotAHash;

    fn try_from(text: String) -> Result<Self, NotAHash> {
        let digits: Vec<u8> = text
            .chars()
            .map(|digit| {
                digit
                    .to_digit(16)
                    .and_then(|digit| u8::try_from(digit).ok())
            })
            .collect::<Option<_>>()
            .ok_or(NotAHash)?;
        let mut hash = [0; 32];
        if digits.len() != 64 {
            return Err(NotAHash);
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(hash))
    }
}
