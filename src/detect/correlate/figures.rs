//! Figures in order, of which any may come and go.

use serde::{Deserialize, Serialize};

/// Figures in one block, at most: so many are moved for one that comes or goes.
const BLOCK: usize = if cfg!(test) { 4 } else { 1024 };

/// A list in order, written as one.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<i64>", into = "Vec<i64>")]
pub(super) struct Figures {
    /// None is empty.
    blocks: Vec<Vec<i64>>,
    len: usize,
}

impl Figures {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn insert(&mut self, figure: i64) {
        self.len += 1;
        let Some(last) = self.blocks.len().checked_sub(1) else {
            self.blocks.push(vec![figure]);
            return;
        };
        let place = self.block_of(figure).min(last);
        let block = &mut self.blocks[place];
        let at = block.partition_point(|other| *other < figure);
        block.insert(at, figure);
        if block.len() > BLOCK {
            let half = block.split_off(BLOCK / 2);
            self.blocks.insert(place + 1, half);
        }
    }

    /// Takes out a figure, once.
    pub(super) fn remove(&mut self, figure: i64) {
        let place = self.block_of(figure);
        let Some(block) = self.blocks.get_mut(place) else {
            return;
        };
        let at = block.partition_point(|other| *other < figure);
        if block.get(at) == Some(&figure) {
            block.remove(at);
            self.len -= 1;
        }
        if block.is_empty() {
            self.blocks.remove(place);
        }
    }

    pub(super) fn nth(&self, mut n: usize) -> Option<i64> {
        for block in &self.blocks {
            if let Some(figure) = block.get(n) {
                return Some(*figure);
            }
            n -= block.len();
        }
        None
    }

    /// Returns the first block whose last figure is none below.
    fn block_of(&self, figure: i64) -> usize {
        let is_below = |block: &Vec<i64>| block.last().is_some_and(|last| *last < figure);
        self.blocks.partition_point(is_below)
    }
}

impl From<Vec<i64>> for Figures {
    fn from(figures: Vec<i64>) -> Self {
        Self {
            blocks: figures.chunks(BLOCK).map(<[_]>::to_vec).collect(),
            len: figures.len(),
        }
    }
}

impl From<Figures> for Vec<i64> {
    fn from(figures: Figures) -> Self {
        figures.blocks.concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn they_are_kept_as_in_one_list(
            steps in proptest::collection::vec((proptest::bool::weighted(0.6), -9..9_i64), 0..200)
        ) {
            let (mut figures, mut plain) = (Figures::default(), Vec::new());
            for (comes, figure) in steps {
                let at = plain.partition_point(|other| *other < figure);
                if comes {
                    plain.insert(at, figure);
                    figures.insert(figure);
                } else if plain.get(at) == Some(&figure) {
                    plain.remove(at);
                    figures.remove(figure);
                }
                let all: Vec<_> = (0..).map_while(|n| figures.nth(n)).collect();
                proptest::prop_assert_eq!(&all, &plain);
                proptest::prop_assert_eq!(figures.len(), plain.len());
                proptest::prop_assert_eq!(Vec::from(Figures::from(all)), &*plain);
            }
        }
    }
}
