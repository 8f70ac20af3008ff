//! Which fields in bodies ever occur.
//!
//! For who asks what a log can feed, not for a scan: a field that never occurs is looked for in every event. One
//! automaton looks for the last keys of all of them at once, and only what it finds is parsed.

use std::collections::BTreeSet;
use std::sync::RwLock;

use aho_corasick::AhoCorasick;

use super::compile::CompiledRules;
use super::field::Field;
use super::row::{Memo, Row, raws};
use crate::frame::EventFrame;

/// The fields that were not met so far. Threads share it.
pub struct Watch<'c> {
    compiled: &'c CompiledRules,
    open: RwLock<Open>,
}

/// What is still looked for.
struct Open {
    /// Index of a leaf by field.
    leaves: Vec<usize>,
    /// Looks for a text without which an event has none of the field, in the order of `leaves`.
    marks: AhoCorasick,
}

impl Open {
    fn new(compiled: &CompiledRules, leaves: Vec<usize>) -> Self {
        let mark = |leaf: &usize| compiled.leaves[*leaf].field.mark().unwrap_or_default();
        let marks = AhoCorasick::new(leaves.iter().map(mark));
        let marks = marks.expect("names of fields are few and short");
        Self { leaves, marks }
    }
}

impl<'c> Watch<'c> {
    /// Starts with no field met.
    pub fn new(compiled: &'c CompiledRules) -> Self {
        let mut names = BTreeSet::new();
        let leaves = compiled.leaves.iter().enumerate().filter(|(_, leaf)| {
            matches!(leaf.field, Field::Body(..)) && names.insert(leaf.name.as_str())
        });
        let leaves = leaves.map(|(at, _)| at).collect();
        Self {
            compiled,
            open: RwLock::new(Open::new(compiled, leaves)),
        }
    }

    /// Looks for the fields in the events of a chunk.
    pub fn note(&self, frame: &EventFrame) {
        let open = self.open.read().expect("no thread panics in here");
        let mut memo = Memo::new(self.compiled.leaves.len());
        let mut met = vec![false; open.leaves.len()];
        for row_idx in 0..frame.height() {
            let record = frame.record(row_idx);
            // A client may write keys with escapes, which hide them.
            let has_escapes = memchr::memmem::find(record.as_bytes(), b"\\u").is_some();
            let mut maybe = vec![has_escapes; open.leaves.len()];
            for found in open.marks.find_overlapping_iter(record) {
                maybe[found.pattern().as_usize()] = true;
            }
            let mut row = Row::new(self.compiled, frame, row_idx, &mut memo);
            for at in 0..open.leaves.len() {
                let field = &self.compiled.leaves[open.leaves[at]].field;
                if maybe[at] && !met[at] && has_region(frame, row_idx, field) {
                    met[at] = row.find(field).is_present();
                }
            }
        }
        let newly: Vec<usize> = (0..met.len())
            .filter(|at| met[*at])
            .map(|at| open.leaves[at])
            .collect();
        drop(open);
        if !newly.is_empty() {
            let mut open = self.open.write().expect("no thread panics in here");
            let left = open
                .leaves
                .iter()
                .copied()
                .filter(|leaf| !newly.contains(leaf));
            let left = left.collect();
            *open = Open::new(self.compiled, left);
        }
    }

    /// Returns the fields that no event has.
    pub fn unseen(&self) -> BTreeSet<String> {
        let open = self.open.read().expect("no thread panics in here");
        let names = open
            .leaves
            .iter()
            .map(|leaf| self.compiled.leaves[*leaf].name.clone());
        names.collect()
    }
}

/// Returns whether the event has the part that a field is in.
fn has_region(frame: &EventFrame, row_idx: usize, field: &Field) -> bool {
    let Field::Body(region, _) = field else {
        return false;
    };
    let parts = raws(frame, row_idx, *region);
    parts.iter().any(|part| !part.is_empty())
}
