//! Masks: which rows of a segment, a bit for each.

use super::Row;
use super::lane::Codes;

/// Rows of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mask(Vec<u64>);

impl Mask {
    /// Returns the rows whose bits are set in `words`, the first row being the lowest bit of the first.
    pub(super) fn new(words: Vec<u64>) -> Self {
        Self(words)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(super) fn clear(&mut self) {
        self.0.fill(0);
    }

    /// Keeps the rows whose value is `wanted`; made for tests that cost little, since all rows are asked.
    pub(super) fn keep<T>(&mut self, values: &[T], wanted: impl Fn(&T) -> bool) {
        for (word, values) in self.0.iter_mut().zip(values.chunks(64)) {
            if *word != 0 {
                let bits = values.iter().rev();
                *word &= bits.fold(0, |bits, value| bits << 1 | u64::from(wanted(value)));
            }
        }
    }

    /// Keeps the rows that are `wanted`; only those that are left are asked.
    pub(super) fn keep_rows(&mut self, mut wanted: impl FnMut(usize) -> bool) {
        for (at, word) in self.0.iter_mut().enumerate() {
            let mut rest = *word;
            while rest != 0 {
                let bit = rest.trailing_zeros();
                if !wanted(at * 64 + bit as usize) {
                    *word &= !(1 << bit);
                }
                rest &= rest - 1;
            }
        }
    }

    /// Keeps the rows whose code is `wanted`; a piece is asked once for all of its rows.
    pub(super) fn keep_codes(&mut self, codes: &Codes<'_>, mut wanted: impl FnMut(u32) -> bool) {
        match codes {
            Codes::Rows(codes) => self.keep_rows(|row_idx| wanted(codes[row_idx])),
            Codes::Pieces { codes, numbers } => {
                let is_wanted: Vec<bool> = codes.iter().map(|&code| wanted(code)).collect();
                if is_wanted.iter().all(|is_wanted| !is_wanted) {
                    self.clear();
                } else if is_wanted.contains(&false) {
                    self.keep(numbers, |&number| is_wanted[number as usize]);
                }
            }
        }
    }

    /// Takes the rows of `other` out.
    pub(super) fn remove(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word &= !other;
        }
    }

    /// Appends the numbers of the rows, `first` being that of the first bit.
    pub(super) fn append_to(&self, first: Row, rows: &mut Vec<Row>) {
        for (from, word) in (first..).step_by(64).zip(&self.0) {
            let mut rest = *word;
            while rest != 0 {
                rows.push(from + rest.trailing_zeros());
                rest &= rest - 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    const HEIGHT: usize = 150;

    /// All rows but each seventh.
    fn some() -> Mask {
        let mut words = vec![0; HEIGHT.div_ceil(64)];
        for row_idx in (0..HEIGHT).filter(|row_idx| row_idx % 7 != 0) {
            words[row_idx / 64] |= 1 << (row_idx % 64);
        }
        Mask::new(words)
    }

    fn rows(mask: &Mask) -> Vec<Row> {
        let mut rows = Vec::new();
        mask.append_to(1000, &mut rows);
        assert_eq!(rows.len(), mask.count());
        assert_eq!(rows.is_empty(), mask.is_empty());
        rows
    }

    fn expected(wanted: impl Fn(u32) -> bool) -> Vec<Row> {
        let rows = (0..u32::try_from(HEIGHT).unwrap()).filter(|row| row % 7 != 0);
        rows.filter(|&row| wanted(row))
            .map(|row| row + 1000)
            .collect()
    }

    #[test]
    fn all_ways_to_keep_rows_keep_the_same() {
        let numbers: Vec<u32> = (0..u32::try_from(HEIGHT).unwrap())
            .map(|row| row % 5)
            .collect();
        for (from, to) in [(0, 5), (2, 4), (3, 3), (0, 1)] {
            let wanted = |number: u32| (from..to).contains(&number);
            let expected = expected(|row| wanted(row % 5));
            let mut mask = some();
            mask.keep(&numbers, |&number| wanted(number));
            assert_eq!(rows(&mask), expected);
            let mut mask = some();
            mask.keep_rows(|row_idx| wanted(numbers[row_idx]));
            assert_eq!(rows(&mask), expected);
            let pieces = Codes::Pieces {
                codes: vec![10, 11, 12, 13, 14],
                numbers: &numbers,
            };
            let own = Codes::Rows(Cow::Owned(pieces.by_row().collect()));
            for codes in [pieces, own] {
                let mut mask = some();
                mask.keep_codes(&codes, |code| wanted(code - 10));
                assert_eq!(rows(&mask), expected);
                let mut others = some();
                others.remove(&mask);
                let both = [rows(&mask), rows(&others)].concat();
                assert_eq!(both.len(), some().count());
            }
        }
    }
}
