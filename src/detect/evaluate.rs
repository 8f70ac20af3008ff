//! All rules over one chunk, in one pass, to [`Hits`].
//!
//! First columns, as sets of rows. A test of a coded column runs once per distinct code and thread;
//! what the codes of a chunk say is spread over its rows. A test that reads text runs on rows that the
//! tests before it left over. For a rule that reads bodies this gives the rows where it may hold, taking
//! every body test for both true and false. Then those rows, one by one: bodies are parsed once per row
//! for all rules, and only if their raw text holds the key that a test asks for.

use std::mem;

use hashbrown::HashMap;

use super::bitmap::Bitmap;
use super::compile::CompiledRules;
use super::field::Field;
use super::leaf::{Leaf, LeafTest, Place};
use super::row::{Memo, Row, coded, number, related, row_values};
use super::tree::Tree;
use super::value::Values;
use crate::frame::pieces::{Home, Piece, home};
use crate::frame::{Column, ColumnType, EventFrame, NULL, Vocabulary};

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
    vocabulary: Vocabulary,
    /// Per coded column of the rules: the leaves that hold for a code.
    verdicts: Vec<HashMap<u32, Box<[u32]>>>,
    /// Slot of a code in the chunk, plus one; all zero between uses.
    slots: Vec<u32>,
    /// What tests said of the rows of a chunk; all empty between uses.
    found: Found,
    /// The same of one row.
    memo: Memo,
}

/// What tests said of the rows of a chunk.
#[derive(Default)]
pub(super) struct Found {
    /// Per leaf of a coded column: the rows where it holds; `None` is no row.
    pub(super) coded: Vec<Option<Bitmap>>,
    /// Per other leaf: the rows that were tested, and those of them where it holds.
    pub(super) tested: Vec<Option<(Bitmap, Bitmap)>>,
    /// The leaves with an entry: emptying all would cost more than most chunks.
    used: Vec<u32>,
}

impl Found {
    fn new(n_leaves: usize) -> Self {
        Self {
            coded: (0..n_leaves).map(|_| None).collect(),
            tested: (0..n_leaves).map(|_| None).collect(),
            used: Vec::new(),
        }
    }

    fn clear(&mut self) {
        for leaf_idx in self.used.drain(..) {
            self.coded[leaf_idx as usize] = None;
            self.tested[leaf_idx as usize] = None;
        }
    }

    /// Returns the rows where a coded leaf holds, to add to.
    fn rows_of(&mut self, leaf_idx: u32, n_rows: usize) -> &mut Bitmap {
        let rows = &mut self.coded[leaf_idx as usize];
        if rows.is_none() {
            self.used.push(leaf_idx);
        }
        rows.get_or_insert_with(|| Bitmap::none(n_rows))
    }
}

impl CompiledRules {
    /// Evaluates all detection rules over the events of one chunk.
    ///
    /// Order: by row, then by rule.
    pub fn evaluate(&self, frame: &EventFrame) -> Hits {
        if frame.height() == 0 || self.leaves.is_empty() {
            return Hits::new();
        }
        let mut scratch = self.take_scratch(frame.vocabulary());
        let mut pass = Pass {
            rules: self,
            frame,
            found: mem::take(&mut scratch.found),
        };
        for (column_idx, (column, _)) in self.coded.iter().enumerate() {
            if !matches!(home(*column), Home::Piece(..)) {
                pass.spread_column(*column, column_idx, &mut scratch);
            }
        }
        for piece in Piece::ALL {
            pass.spread_piece(piece, &mut scratch);
        }
        let mut hits = Hits::new();
        let mut open = Vec::new();
        let all = Bitmap::all(frame.height());
        let with_body = with_body(frame);
        for (rule, compiled) in (0..).zip(&self.rules) {
            let Some(compiled) = compiled else { continue };
            // Most rules are about something that no event of the chunk does.
            let all = if compiled.needs_body {
                &with_body
            } else {
                &all
            };
            let Some(rows) = pass.candidates(&compiled.needed, all) else {
                continue;
            };
            let mut rows = pass.bound(&compiled.tree, rows, Bound::Upper);
            let hit = |held_by: u64| {
                move |row_idx| Hit {
                    row_idx: narrow(row_idx),
                    rule,
                    held_by,
                }
            };
            // What columns decide is held back before any body is parsed; but not by a list of one distribution,
            // for if the log is of another one, these may become findings.
            let mut is_open = compiled.has_body;
            let mut suspects = Bitmap::none(frame.height());
            for (place, &list) in compiled.exclude.iter().enumerate() {
                if rows.is_empty() {
                    break;
                }
                let list = &self.lists[list as usize];
                if list.is_of_some {
                    suspects.add(&pass.bound(&list.tree, rows.clone(), Bound::Upper));
                } else if list.has_body {
                    is_open = true;
                } else {
                    let held = pass.bound(&list.tree, rows.clone(), Bound::Upper);
                    hits.extend(held.rows().map(hit(1 << place)));
                    rows.remove(&held);
                }
            }
            if is_open {
                open.extend(rows.rows().map(hit(0)));
            } else {
                suspects.keep(&rows);
                open.extend(suspects.rows().map(hit(0)));
                rows.remove(&suspects);
                hits.extend(rows.rows().map(hit(0)));
            }
        }
        open.sort_unstable();
        for hits_of_row in open.chunk_by(|left, right| left.row_idx == right.row_idx) {
            let mut row = Row::new(&pass, hits_of_row[0].row_idx as usize, &mut scratch.memo);
            for hit in hits_of_row {
                let rule = self.rules[hit.rule as usize]
                    .as_ref()
                    .expect("a detection rule");
                if !rule.tree.holds(&mut |leaf_idx| row.holds(*leaf_idx)) {
                    continue;
                }
                let mut held_by = 0;
                for (place, &list) in rule.exclude.iter().enumerate() {
                    let list = &self.lists[list as usize];
                    if list.tree.holds(&mut |leaf_idx| row.holds(*leaf_idx)) {
                        held_by |= 1 << place;
                        if !list.is_of_some {
                            break;
                        }
                    }
                }
                hits.push(Hit { held_by, ..*hit });
            }
        }
        hits.sort_unstable();
        scratch.found = pass.found;
        scratch.found.clear();
        let mut pool = self.scratch.lock().expect("no thread panics in here");
        pool.push(scratch);
        hits
    }

    /// Returns scratch space for frames with that vocabulary: codes mean nothing in another one.
    fn take_scratch(&self, vocabulary: &Vocabulary) -> Scratch {
        let mut pool = self.scratch.lock().expect("no thread panics in here");
        pool.retain(|scratch| scratch.vocabulary.data_type() == vocabulary.data_type());
        pool.pop().unwrap_or_else(|| Scratch {
            vocabulary: vocabulary.clone(),
            verdicts: self.coded.iter().map(|_| HashMap::new()).collect(),
            slots: Vec::new(),
            found: Found::new(self.leaves.len()),
            memo: Memo::new(self.leaves.len()),
        })
    }
}

/// Returns the rows with a request or response body.
fn with_body(frame: &EventFrame) -> Bitmap {
    let mut rows = Bitmap::none(frame.height());
    for row_idx in 0..frame.height() {
        let detail = frame.detail(row_idx);
        if !(detail.request_object.is_empty() && detail.response_object.is_empty()) {
            rows.set(row_idx);
        }
    }
    rows
}

fn narrow(row_idx: usize) -> u32 {
    u32::try_from(row_idx).expect("a chunk has fewer than 2^32 rows")
}

/// What a set of rows promises.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// Holds every row where the condition holds.
    Upper,
    /// Holds no row where it does not.
    Lower,
}

/// One chunk under evaluation.
pub(super) struct Pass<'e> {
    pub(super) rules: &'e CompiledRules,
    pub(super) frame: &'e EventFrame,
    pub(super) found: Found,
}

impl<'e> Pass<'e> {
    /// Starts with nothing found.
    pub(super) fn new(rules: &'e CompiledRules, frame: &'e EventFrame) -> Self {
        Self {
            rules,
            frame,
            found: Found::new(rules.leaves.len()),
        }
    }

    /// Finds the rows of all leaves of a column that has its codes to itself.
    fn spread_column(&mut self, column: Column, column_idx: usize, scratch: &mut Scratch) {
        let codes = self.frame.codes(column);
        let groups = Groups::new(&codes, &mut scratch.slots);
        for (code, rows) in groups.iter() {
            let leaves = self.leaves_of(column_idx, code, scratch);
            self.hold(leaves, rows);
        }
    }

    /// Finds the rows of all leaves of the columns that one kind of piece fills.
    fn spread_piece(&mut self, piece: Piece, scratch: &mut Scratch) {
        let columns = self.rules.coded.iter().enumerate();
        let columns: Vec<(usize, usize)> = columns
            .filter_map(|(column_idx, (column, _))| match home(*column) {
                Home::Piece(of, at) if of == piece => Some((column_idx, at)),
                _ => None,
            })
            .collect();
        if columns.is_empty() {
            return;
        }
        let frame = self.frame;
        let groups = Groups::new(frame.pieces(piece), &mut scratch.slots);
        let mut leaves = Vec::new();
        for (number, rows) in groups.iter() {
            leaves.clear();
            let codes = frame.piece(piece, number);
            for &(column_idx, at) in &columns {
                leaves.extend_from_slice(self.leaves_of(column_idx, codes[at], scratch));
            }
            self.hold(&leaves, rows);
        }
    }

    /// Returns the leaves of a column that hold for a code.
    fn leaves_of<'s>(&self, column_idx: usize, code: u32, scratch: &'s mut Scratch) -> &'s [u32] {
        let (column, leaf_idxs) = &self.rules.coded[column_idx];
        scratch.verdicts[column_idx].entry(code).or_insert_with(|| {
            let values = if column.kind() == ColumnType::Number {
                number(code)
            } else {
                coded(self.frame.vocabulary(), *column, code)
            };
            let holds = |leaf: &Leaf| match leaf.field {
                Field::Derived(derived) => {
                    let text = self.frame.vocabulary().text(code);
                    leaf.test.matches(&derived.of_text(text))
                }
                _ => leaf.test.matches(&values),
            };
            let leaves = leaf_idxs.iter().copied();
            leaves
                .filter(|&leaf_idx| holds(&self.rules.leaves[leaf_idx as usize]))
                .collect()
        })
    }

    /// Notes that `leaves` hold at `rows`.
    fn hold(&mut self, leaves: &[u32], rows: &[u32]) {
        let n_rows = self.frame.height();
        // Many rows and many leaves: one set, added to each, is cheaper than row by row.
        if leaves.len() > 1 && rows.len() > n_rows / 64 {
            let mut set = Bitmap::none(n_rows);
            for &row_idx in rows {
                set.set(row_idx as usize);
            }
            for &leaf_idx in leaves {
                self.found.rows_of(leaf_idx, n_rows).add(&set);
            }
        } else {
            for &leaf_idx in leaves {
                let found = self.found.rows_of(leaf_idx, n_rows);
                for &row_idx in rows {
                    found.set(row_idx as usize);
                }
            }
        }
    }

    /// Returns those of `all` rows where all of the tests `needed` hold; `None` if there is no such row.
    fn candidates(&self, needed: &[u32], all: &Bitmap) -> Option<Bitmap> {
        let rows_of = |leaf_idx: &u32| self.found.coded[*leaf_idx as usize].as_ref();
        let mut rows = all.clone();
        for leaf_idx in needed {
            rows.keep(rows_of(leaf_idx)?);
        }
        (!rows.is_empty()).then_some(rows)
    }

    /// Returns those of `rows` where `tree` holds, or may hold if a body decides.
    fn bound(&mut self, tree: &Tree<u32>, mut rows: Bitmap, bound: Bound) -> Bitmap {
        match tree {
            Tree::And(parts) => {
                for part in parts {
                    rows = self.bound(part, rows, bound);
                    if rows.is_empty() {
                        break;
                    }
                }
                rows
            }
            Tree::Or(parts) => {
                let mut found = Bitmap::none(self.frame.height());
                for part in parts {
                    let holding = self.bound(part, rows.clone(), bound);
                    rows.remove(&holding);
                    found.add(&holding);
                    if rows.is_empty() {
                        break;
                    }
                }
                found
            }
            Tree::AtLeast(n, parts) => {
                // `counts[k]`: the rows where k of the parts so far hold, or more.
                let mut counts = vec![rows.clone()];
                counts.resize(n + 1, Bitmap::none(self.frame.height()));
                for part in parts {
                    let holding = self.bound(part, rows.clone(), bound);
                    for k in (0..*n).rev() {
                        let mut one_more = counts[k].clone();
                        one_more.keep(&holding);
                        counts[k + 1].add(&one_more);
                    }
                }
                counts.pop().expect("n + 1 sets")
            }
            Tree::Not(inner) => {
                let opposite = match bound {
                    Bound::Upper => Bound::Lower,
                    Bound::Lower => Bound::Upper,
                };
                let holding = self.bound(inner, rows.clone(), opposite);
                rows.remove(&holding);
                rows
            }
            Tree::Test(leaf_idx) => {
                let leaf_idx = *leaf_idx as usize;
                match self.rules.leaves[leaf_idx].place {
                    Place::Coded => match &self.found.coded[leaf_idx] {
                        Some(holding) => rows.keep(holding),
                        None => rows.clear(),
                    },
                    Place::Row => self.test(leaf_idx, &mut rows),
                    Place::Body if bound == Bound::Lower => rows.clear(),
                    Place::Body => {}
                }
                rows
            }
        }
    }

    /// Keeps those of `rows` where a leaf holds; tests no row twice.
    fn test(&mut self, leaf_idx: usize, rows: &mut Bitmap) {
        let n_rows = self.frame.height();
        let leaf = &self.rules.leaves[leaf_idx];
        let empty = || (Bitmap::none(n_rows), Bitmap::none(n_rows));
        let (mut tested, mut holding) = self.found.tested[leaf_idx].take().unwrap_or_else(|| {
            self.found.used.push(narrow(leaf_idx));
            empty()
        });
        let mut left = rows.clone();
        left.remove(&tested);
        for row_idx in left.rows() {
            if self.holds_at(leaf, row_idx) {
                holding.set(row_idx);
            }
        }
        tested.add(&left);
        rows.keep(&holding);
        self.found.tested[leaf_idx] = Some((tested, holding));
    }

    /// Tests a leaf of columns or the raw record at one row.
    pub(super) fn holds_at(&self, leaf: &Leaf, row_idx: usize) -> bool {
        let values =
            |field: &Field| row_values(self.frame, field, row_idx).unwrap_or(Values::MISSING);
        match &leaf.test {
            LeafTest::Related(modifiers, other) => {
                related(&values(&leaf.field), &values(other), |left, right| {
                    modifiers.relate(left, right)
                })
            }
            test => test.matches(&values(&leaf.field)),
        }
    }
}

/// Rows by value, as counting sort gives them.
struct Groups {
    distinct: Vec<u32>,
    /// Where the rows of each distinct value end.
    ends: Vec<u32>,
    rows: Vec<u32>,
}

impl Groups {
    /// Sorts the rows of `values`; `slots` is scratch space, all zero before and after.
    fn new(values: &[u32], slots: &mut Vec<u32>) -> Self {
        let (mut distinct, mut starts) = (Vec::new(), Vec::new());
        let values_but_null = values.iter().filter(|&&value| value != NULL);
        let highest = values_but_null.max().map_or(0, |&value| value as usize);
        // Null comes first, as if its code were 0 and the others one more.
        slots.resize(slots.len().max(highest + 2), 0);
        let slot_of = |value: u32| value.wrapping_add(1) as usize;
        let mut row_slots = Vec::with_capacity(values.len());
        for &value in values {
            let slot = &mut slots[slot_of(value)];
            if *slot == 0 {
                distinct.push(value);
                starts.push(0_u32);
                *slot = narrow(distinct.len());
            }
            starts[*slot as usize - 1] += 1;
            row_slots.push(*slot - 1);
        }
        for &value in &distinct {
            slots[slot_of(value)] = 0;
        }
        let mut end = 0;
        for start in &mut starts {
            end += mem::replace(start, end);
        }
        let mut rows = vec![0_u32; values.len()];
        let mut ends = starts;
        for (row_idx, slot) in (0..).zip(row_slots) {
            rows[ends[slot as usize] as usize] = row_idx;
            ends[slot as usize] += 1;
        }
        Self {
            distinct,
            ends,
            rows,
        }
    }

    fn iter(&self) -> impl Iterator<Item = (u32, &[u32])> {
        let mut start = 0;
        self.distinct
            .iter()
            .zip(&self.ends)
            .map(move |(&value, &end)| {
                let rows = &self.rows[start..end as usize];
                start = end as usize;
                (value, rows)
            })
    }
}
