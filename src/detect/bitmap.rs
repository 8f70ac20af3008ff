//! One bit per row of a chunk.

use std::ops::{Deref, DerefMut};

/// A set of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    words: Words,
}

/// Words of a set; those of a common chunk need no memory of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Words {
    Few([u64; FEW], usize),
    Many(Vec<u64>),
}

/// Words that stand in place: of 512 rows.
const FEW: usize = 8;

impl Deref for Words {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        match self {
            Self::Few(words, n_words) => &words[..*n_words],
            Self::Many(words) => words,
        }
    }
}

impl DerefMut for Words {
    fn deref_mut(&mut self) -> &mut [u64] {
        match self {
            Self::Few(words, n_words) => &mut words[..*n_words],
            Self::Many(words) => words,
        }
    }
}

impl Bitmap {
    /// Returns no row of `n_rows`.
    pub fn none(n_rows: usize) -> Self {
        let n_words = n_rows.div_ceil(64);
        let words = if n_words <= FEW {
            Words::Few([0; FEW], n_words)
        } else {
            Words::Many(vec![0; n_words])
        };
        Self { words }
    }

    /// Returns all of `n_rows` rows.
    pub fn all(n_rows: usize) -> Self {
        let mut all = Self::none(n_rows);
        all.words.fill(u64::MAX);
        if let Some(last) = all.words.last_mut().filter(|_| !n_rows.is_multiple_of(64)) {
            *last = (1 << (n_rows % 64)) - 1;
        }
        all
    }

    /// Adds a row.
    pub fn set(&mut self, row_idx: usize) {
        self.words[row_idx / 64] |= 1 << (row_idx % 64);
    }

    /// Returns whether the row is in the set.
    pub fn get(&self, row_idx: usize) -> bool {
        self.words[row_idx / 64] >> (row_idx % 64) & 1 == 1
    }

    /// Returns whether no row is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// Keeps the rows that are also in `other`.
    pub fn keep(&mut self, other: &Self) {
        self.words
            .iter_mut()
            .zip(&*other.words)
            .for_each(|(word, other)| *word &= other);
    }

    /// Removes the rows of `other`.
    pub fn remove(&mut self, other: &Self) {
        self.words
            .iter_mut()
            .zip(&*other.words)
            .for_each(|(word, other)| *word &= !other);
    }

    /// Adds the rows of `other`.
    pub fn add(&mut self, other: &Self) {
        self.words
            .iter_mut()
            .zip(&*other.words)
            .for_each(|(word, other)| *word |= other);
    }

    /// Removes all rows.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// Returns the rows, in order.
    pub fn rows(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(word_idx, &word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                left &= left.checked_sub(1)?;
                Some(word_idx * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_rows() {
        for n_rows in [0, 1, 63, 64, 65, 200, 512, 513, 900] {
            assert_eq!(
                Bitmap::all(n_rows).rows().collect::<Vec<_>>(),
                (0..n_rows).collect::<Vec<_>>()
            );
            assert!(Bitmap::none(n_rows).is_empty());
        }
        let mut odd = Bitmap::none(130);
        (1..130).step_by(2).for_each(|row_idx| odd.set(row_idx));
        let mut even = Bitmap::all(130);
        even.remove(&odd);
        assert!(even.get(128) && !even.get(129) && odd.get(129));
        even.add(&odd);
        assert_eq!(even, Bitmap::all(130));
        even.keep(&odd);
        assert_eq!(even, odd);
    }
}
