//! All rules over one chunk, in one pass, to [`Hits`].
//!
//! What coded columns decide is worked out once per class of rows ([`super::class`]), and a test of a coded column once
//! per distinct code. What is left of a rule then, each row decides: columns that seldom repeat first, bodies last, and
//! these are parsed once per row for all rules, and only if their raw text holds the key that a test asks for.

use super::class::{Classes, Open};
use super::compile::CompiledRules;
use super::row::{Memo, Row};
use super::tree::Tree;
use crate::frame::{EventFrame, Vocabulary};

/// A rule that holds at a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hit {
    /// Row of the chunk's frame.
    pub row_idx: u32,
    /// Index of the rule in its set.
    pub rule: u32,
    /// The lists of exclusions that hold there: bits of their places in [`CompiledRules::lists_of`]. The first one
    /// that holds everywhere, or all that hold on some distributions only.
    pub held_by: u64,
}

/// The hits of a chunk, by row, then by rule.
pub type Hits = Vec<Hit>;

/// What a thread keeps from chunk to chunk.
pub(super) struct Scratch {
    classes: Classes,
    /// What tests said of a row.
    memo: Memo,
}

impl CompiledRules {
    /// Evaluates all detection rules over the events of one chunk.
    ///
    /// Order: by row, then by rule.
    pub fn evaluate(&self, frame: &EventFrame) -> Hits {
        let mut hits = Hits::new();
        if frame.height() == 0 || self.leaves.is_empty() {
            return hits;
        }
        let mut scratch = self.take_scratch(frame.vocabulary());
        let mut chunk = scratch.classes.start(self, frame);
        for row_idx in 0..frame.height() {
            let first = hits.len();
            if let Some((verdict, class)) = chunk.verdict(row_idx) {
                let open = verdict.open.iter().map(|&at| &class.open[at as usize]);
                self.add(
                    frame,
                    row_idx,
                    &verdict.hits,
                    open,
                    &mut scratch.memo,
                    &mut hits,
                );
                continue;
            }
            let (number, class) = chunk.class(row_idx);
            let open = class.open.iter();
            self.add(
                frame,
                row_idx,
                &class.sure,
                open,
                &mut scratch.memo,
                &mut hits,
            );
            let held = hits[first..].iter().map(|hit| (hit.rule, hit.held_by));
            chunk.learn(row_idx, number, held);
        }
        let mut pool = self.scratch.lock().expect("no thread panics in here");
        pool.push(scratch);
        hits
    }

    /// Adds the hits of a row: those that are sure, and those of open rules that it decides.
    fn add<'o>(
        &self,
        frame: &EventFrame,
        row_idx: usize,
        sure: &[(u32, u64)],
        open: impl ExactSizeIterator<Item = &'o Open>,
        memo: &mut Memo,
        hits: &mut Hits,
    ) {
        let first = hits.len();
        let row_number = u32::try_from(row_idx).expect("a chunk has fewer than 2^32 rows");
        let hit = |(rule, held_by)| Hit {
            row_idx: row_number,
            rule,
            held_by,
        };
        hits.extend(sure.iter().copied().map(hit));
        if open.len() > 0 {
            let mut row = Row::new(self, frame, row_idx, memo);
            hits.extend(open.filter_map(|open| open.decide(&mut row)).map(hit));
            hits[first..].sort_unstable();
        }
    }

    /// Returns scratch space for frames with that vocabulary: codes mean nothing in another one.
    fn take_scratch(&self, vocabulary: &Vocabulary) -> Scratch {
        let mut pool = self.scratch.lock().expect("no thread panics in here");
        pool.retain(|scratch| scratch.classes.vocabulary().is(vocabulary));
        pool.pop().unwrap_or_else(|| Scratch {
            classes: Classes::new(self, vocabulary),
            memo: Memo::new(self.leaves.len()),
        })
    }
}

impl Open {
    /// Returns the rule, if it holds at the row, and the lists that hold it back.
    ///
    /// What columns hold back is held back before any body is parsed; but not by a list of one distribution, for if the
    /// log is of another one, this may become a finding.
    fn decide(&self, row: &mut Row<'_, '_>) -> Option<(u32, u64)> {
        let is_open = self.has_body && !self.early.is_empty();
        if is_open && self.tree.decide(&mut |leaf| row.holds_by_columns(*leaf)) == Some(false)
            || !is_open && !self.tree.holds(&mut |leaf| row.holds(*leaf))
        {
            return None;
        }
        let mut holds = |tree: &Tree<u32>| tree.holds(&mut |leaf| row.holds(*leaf));
        if let Some(held) = self.early.iter().find(|held| holds(&held.tree)) {
            return Some((self.rule, held.bit));
        }
        if is_open && !holds(&self.tree) {
            return None;
        }
        let mut held_by = 0;
        for held in &self.lists {
            if holds(&held.tree) {
                held_by |= held.bit;
                if !held.is_of_some {
                    break;
                }
            }
        }
        Some((self.rule, held_by))
    }
}
