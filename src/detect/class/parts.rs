//! Parts of a row to the sets of tests that hold for them.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::detect::compile::CompiledRules;
use crate::detect::field::Field;
use crate::detect::leaf::Leaf;
use crate::detect::row::{coded, number};
use crate::frame::derived;
use crate::frame::pieces::{Home, Piece, home};
use crate::frame::{Column, ColumnType, NULL, Vocabulary};

/// Sets of tests, each once; that of no test is number 0.
pub(super) struct Sets {
    numbers: HashMap<Arc<[u32]>, u32>,
    pub(super) sets: Vec<Arc<[u32]>>,
}

impl Sets {
    pub(super) fn new() -> Self {
        let mut sets = Self {
            numbers: HashMap::new(),
            sets: Vec::new(),
        };
        sets.number(Vec::new());
        sets
    }

    /// Returns the number of a set of tests.
    pub(super) fn number(&mut self, mut leaves: Vec<u32>) -> u32 {
        leaves.sort_unstable();
        leaves.dedup();
        let leaves: Arc<[u32]> = leaves.into();
        let next = u32::try_from(self.sets.len()).expect("fewer than 2^32 sets");
        let number = *self.numbers.entry(Arc::clone(&leaves)).or_insert(next);
        if number == next {
            self.sets.push(leaves);
        }
        number
    }
}

/// A part of an event whose codes repeat together: the columns of it that rules test, as their places in
/// [`CompiledRules::coded`] and among the codes of the part.
pub(super) struct Part {
    columns: Vec<(usize, usize)>,
    /// By the codes of the columns.
    pub(super) known: HashMap<Box<[u32]>, u32>,
    /// By number in the chunk at hand; null is not asked yet.
    pub(super) of_chunk: Vec<u32>,
    /// The codes that are asked for.
    tested: Vec<u32>,
}

impl Part {
    pub(super) fn new(rules: &CompiledRules, place: impl Fn(Column) -> Option<usize>) -> Self {
        let columns = rules.coded.iter().enumerate();
        let columns = columns.filter_map(|(at, (column, _))| Some((at, place(*column)?)));
        Self {
            columns: columns.collect(),
            known: HashMap::new(),
            of_chunk: Vec::new(),
            tested: Vec::new(),
        }
    }

    pub(super) fn of_piece(rules: &CompiledRules, piece: Piece) -> Self {
        Self::new(rules, |column| match home(column) {
            Home::Piece(of, at) if of == piece => Some(at),
            _ => None,
        })
    }

    /// Returns the set of tests that hold for the part with that number and those codes.
    pub(super) fn set(&mut self, number: u32, codes: &[u32], verdicts: &mut Verdicts<'_>) -> u32 {
        if self.columns.is_empty() {
            return 0;
        }
        let number = number as usize;
        if let Some(&set) = self.of_chunk.get(number)
            && set != NULL
        {
            return set;
        }
        if self.of_chunk.len() <= number {
            self.of_chunk.resize(number + 1, NULL);
        }
        self.tested.clear();
        self.tested
            .extend(self.columns.iter().map(|(_, at)| codes[*at]));
        let set = if let Some(&set) = self.known.get(&*self.tested) {
            set
        } else {
            let places = self.columns.iter().map(|(place, _)| *place);
            let set = verdicts.set_of(places.zip(self.tested.iter().copied()));
            self.known.insert(self.tested.as_slice().into(), set);
            set
        };
        self.of_chunk[number] = set;
        set
    }
}

/// The tests of a column that has its codes to itself, or of two that follow from one.
pub(super) struct Own {
    /// Places in [`CompiledRules::coded`], and whether the code there is the outcome of the one here.
    tested: Vec<(usize, bool)>,
    /// The sets of some codes, by their last bits.
    pub(super) recent: Box<[(u32, u32); RECENT]>,
    pub(super) known: HashMap<u32, u32>,
}

/// A power of two.
const RECENT: usize = 64;

impl Own {
    pub(super) fn new(rules: &CompiledRules, column: Column) -> Self {
        let columns = rules.coded.iter().enumerate();
        let tested = columns.filter_map(|(place, (other, _))| {
            let is_outcome = column == Column::Code && *other == Column::Outcome;
            (*other == column || is_outcome).then_some((place, is_outcome))
        });
        Self {
            tested: tested.collect(),
            recent: Box::new([(0, NULL); RECENT]),
            known: HashMap::new(),
        }
    }

    /// Returns the set of tests that hold for a code.
    #[inline]
    pub(super) fn set(&mut self, code: u32, verdicts: &mut Verdicts<'_>) -> u32 {
        if self.tested.is_empty() {
            return 0;
        }
        let recent = &mut self.recent[code as usize % RECENT];
        if recent.0 == code && recent.1 != NULL {
            return recent.1;
        }
        let tested = &self.tested;
        let set = *self.known.entry(code).or_insert_with(|| {
            let codes = tested.iter().map(|&(place, is_outcome)| {
                let code = if is_outcome {
                    derived::outcome(code)
                } else {
                    code
                };
                (place, code)
            });
            verdicts.set_of(codes)
        });
        *recent = (code, set);
        set
    }
}

/// The tests of coded columns, each run once per code.
pub(super) struct Tests {
    pub(super) vocabulary: Vocabulary,
    /// By place in [`CompiledRules::coded`] and code: the tests that hold.
    pub(super) verdicts: Vec<HashMap<u32, Box<[u32]>>>,
    pub(super) sets: Sets,
}

/// The same, at work.
pub(super) struct Verdicts<'c> {
    pub(super) rules: &'c CompiledRules,
    pub(super) tests: &'c mut Tests,
}

impl Verdicts<'_> {
    /// Returns the set of the tests that hold for the codes of some columns.
    pub(super) fn set_of(&mut self, codes: impl Iterator<Item = (usize, u32)>) -> u32 {
        let mut leaves = Vec::new();
        for (place, code) in codes {
            leaves.extend_from_slice(self.of_code(place, code));
        }
        self.tests.sets.number(leaves)
    }

    fn of_code(&mut self, place: usize, code: u32) -> &[u32] {
        let (column, leaf_idxs) = &self.rules.coded[place];
        let Tests {
            vocabulary,
            verdicts,
            ..
        } = &mut *self.tests;
        verdicts[place].entry(code).or_insert_with(|| {
            let values = if column.kind() == ColumnType::Number {
                number(code)
            } else {
                coded(vocabulary, *column, code)
            };
            let holds = |leaf: &Leaf| match leaf.field {
                Field::Derived(derived) => {
                    leaf.test.matches(&derived.of_text(vocabulary.text(code)))
                }
                _ => leaf.test.matches(&values),
            };
            let leaves = leaf_idxs.iter().copied();
            leaves
                .filter(|&leaf_idx| holds(&self.rules.leaves[leaf_idx as usize]))
                .collect()
        })
    }
}
