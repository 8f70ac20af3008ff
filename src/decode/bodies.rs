//! Objects and lists of bodies that were skipped before.
//!
//! Who updates an object sends and gets all of it, and little of that changes: what is known to be JSON is recognised by
//! comparing bytes, which is much cheaper than reading it. An object or list ends where it ends, whatever follows.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

/// Sets of which each beginning has one; a power of two.
const SETS: usize = 1024;
const WAYS: usize = 2;

/// How much of a text says where it is looked for.
const HEAD: usize = 32;

/// Shortest and longest text that is kept, so that all stay under 8 MiB.
const LEAST: usize = 64;
const MOST: usize = 4096;

/// Texts of objects and lists; one per thread.
pub(crate) struct Bodies {
    /// By set, the younger first.
    known: Box<[[Known; WAYS]]>,
    /// Random, so that nobody can write texts that push each other out.
    hasher: RandomState,
}

#[derive(Default)]
struct Known {
    text: Vec<u8>,
    levels: usize,
}

impl Bodies {
    pub(crate) fn new() -> Self {
        Self {
            known: (0..SETS).map(|_| Default::default()).collect(),
            hasher: RandomState::default(),
        }
    }

    /// Returns the length of a text that is known and stands at the start of `bytes`, and its levels.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        let mut known = self.known[self.set(bytes)?].iter();
        let is_it = |known: &&Known| !known.text.is_empty() && bytes.starts_with(&known.text);
        let known = known.find(is_it)?;
        Some((known.text.len(), known.levels))
    }

    /// Keeps a text that is an object or list, of which at most `levels` are open at a place within it.
    pub(super) fn keep(&mut self, text: &[u8], levels: usize) {
        if !(LEAST..=MOST).contains(&text.len()) {
            return;
        }
        if let Some(set) = self.set(text) {
            let known = &mut self.known[set];
            known.rotate_right(1);
            known[0].text.clear();
            known[0].text.extend_from_slice(text);
            known[0].levels = levels;
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low bits are meant")]
    fn set(&self, bytes: &[u8]) -> Option<usize> {
        let (words, _) = bytes.first_chunk::<HEAD>()?.as_chunks();
        let mut hasher = self.hasher.build_hasher();
        for word in words {
            hasher.write_u128(u128::from_ne_bytes(*word));
        }
        Some(hasher.finish() as usize % SETS)
    }
}
