//! Classes: rows that are alike to the rules.
//!
//! Of what the rules ask of an event, coded columns and what is absent decide nearly all, and they repeat from row
//! to row. So rows are told apart by the tests of such columns that hold for them, and for each class it is worked
//! out once what that leaves open of every rule: mostly nothing. Few classes make up a log.

mod parts;
mod presence;

use std::borrow::Cow;

use hashbrown::HashMap;

use self::parts::{Own, Part, Sets, Tests, Verdicts};
use self::presence::Presence;
use super::compile::{CompiledRule, CompiledRules};
use super::leaf::Place;
use super::screen::{self, Screen};
use super::tree::Tree;
use crate::frame::pieces::{OWN, Piece};
use crate::frame::{Column, EventFrame, NULL, Vocabulary};

/// Classes that are kept; rows of hostile logs may make any number. Few in tests, so that they see what is over it.
const CLASSES: usize = if cfg!(test) { 16 } else { 1 << 12 };

/// Codes, pieces of one kind and sets of tests that are kept.
const KNOWN: usize = if cfg!(test) { 16 } else { 1 << 16 };

/// What is left open of the rules for the rows of one class.
#[derive(Default)]
pub(super) struct Class {
    /// Rules that hold, and the lists that hold them back, as in [`Hit`](super::Hit).
    pub(super) sure: Vec<(u32, u64)>,
    /// Rules that the row decides.
    pub(super) open: Vec<Open>,
}

/// What is known of the rules for the rows of one template: none looks at what tells them apart, but for some.
#[derive(Clone, Default)]
pub(super) struct Verdict {
    /// Rules that hold, and the lists that hold them back, in the order of the rules.
    pub(super) hits: Vec<(u32, u64)>,
    /// Their class, and those of its open rules that each row decides.
    pub(super) class: u32,
    pub(super) open: Vec<u32>,
}

/// A rule that the row decides.
pub(super) struct Open {
    /// Index of the rule.
    pub(super) rule: u32,
    /// What is left of its condition.
    pub(super) tree: Tree<u32>,
    /// Whether a body may decide it.
    pub(super) has_body: bool,
    /// Whether rows of one template may differ in it.
    pub(super) is_of_row: bool,
    /// What is left of the lists that hold back everywhere and by columns alone, so before any body is parsed.
    pub(super) early: Vec<Held>,
    /// The same of all its lists, up to the first that surely holds everywhere.
    pub(super) lists: Vec<Held>,
}

/// What is left of a list of exclusions.
#[derive(Clone)]
pub(super) struct Held {
    /// Its bit, as in [`Hit`](super::Hit).
    pub(super) bit: u64,
    pub(super) tree: Tree<u32>,
    /// Whether it is for some distributions only.
    pub(super) is_of_some: bool,
}

/// What tells a class: the sets of tests that hold for each part of the row, and what the row has.
type Key = [u32; PRESENCE + 1];

const OWNS: usize = Piece::ALL.len();
const ACTOR: usize = OWNS + OWN.len();
const FILE: usize = ACTOR + 1;
/// What the screen leaves open.
const SCREEN: usize = FILE + 1;
const PRESENCE: usize = SCREEN + 1;

/// Where the codes of a user have its name.
const USERNAME: usize = 0;

/// What a thread knows of classes, from chunk to chunk.
pub(super) struct Classes {
    tests: Tests,
    parts: [Part; Piece::ALL.len()],
    /// Whom RBAC judges: the impersonated user, else the user.
    actor: Part,
    own: [Own; OWN.len()],
    screen: Screen,
    /// What rules ask whether a row has it.
    asked: Presence,
    numbers: HashMap<Key, u32>,
    all: Vec<Class>,
    /// Templates by their last bits.
    templates: Box<[Template]>,
    verdicts: Vec<Verdict>,
}

/// What is known of a template.
#[derive(Clone, Default)]
struct Template {
    id: u64,
    /// The sets of what a template leaves open: file and origin.
    around: [u32; 2],
    /// Its place among the verdicts.
    verdict: u32,
}

/// Templates that are known at a time; a power of two.
const TEMPLATES: usize = if cfg!(test) { 4 } else { 1 << 13 };

impl Classes {
    /// Starts with none, for frames of that dictionary: codes mean nothing in another one.
    pub(super) fn new(rules: &CompiledRules, vocabulary: &Vocabulary) -> Self {
        let tests = Tests {
            vocabulary: vocabulary.clone(),
            verdicts: rules.coded.iter().map(|_| HashMap::new()).collect(),
            sets: Sets::new(),
        };
        let asked = rules
            .leaves
            .iter()
            .filter_map(|leaf| presence::asks(&leaf.field));
        Self {
            tests,
            parts: Piece::ALL.map(|piece| Part::of_piece(rules, piece)),
            actor: Part::new(rules, |column| {
                (column == Column::Actor).then_some(USERNAME)
            }),
            own: OWN.map(|column| Own::new(rules, column)),
            screen: Screen::new(rules),
            asked: asked.fold(0, |all, asked| all | asked),
            numbers: HashMap::new(),
            all: Vec::new(),
            templates: vec![Template::default(); TEMPLATES].into(),
            verdicts: vec![Verdict::default()],
        }
    }

    pub(super) fn vocabulary(&self) -> &Vocabulary {
        &self.tests.vocabulary
    }

    /// Forgets what was learned: the numbers of sets are new then, so nothing that holds any may stay.
    fn forget(&mut self) {
        for part in self.parts.iter_mut().chain([&mut self.actor]) {
            part.known.clear();
        }
        for own in &mut self.own {
            own.known.clear();
            own.recent.fill((0, NULL));
        }
        self.tests.verdicts.iter_mut().for_each(HashMap::clear);
        self.tests.sets = Sets::new();
        self.numbers.clear();
        self.all.clear();
        self.templates.fill(Template::default());
        self.verdicts.truncate(1);
    }

    /// Gets ready for the rows of `frame`.
    pub(super) fn start<'c>(
        &'c mut self,
        rules: &'c CompiledRules,
        frame: &'c EventFrame,
    ) -> Chunk<'c> {
        for part in self.parts.iter_mut().chain([&mut self.actor]) {
            part.of_chunk.clear();
        }
        let parts = self.parts.iter().map(|part| part.known.len());
        let codes = self.tests.verdicts.iter().map(HashMap::len);
        let sets = self.tests.sets.sets.len();
        if self.all.len().max(self.verdicts.len()) > CLASSES
            || parts.chain(codes).any(|known| known > KNOWN)
            || sets > KNOWN
        {
            self.forget();
        }
        let mut key = [0; PRESENCE + 1];
        let mut verdicts = Verdicts {
            rules,
            tests: &mut self.tests,
        };
        if let Some(place) = rules
            .coded
            .iter()
            .position(|(column, _)| *column == Column::File)
        {
            key[FILE] = verdicts.set_of([(place, frame.code(Column::File, 0))].into_iter());
        }
        Chunk {
            rules,
            frame,
            key,
            pieces: Piece::ALL.map(|piece| frame.pieces(piece)),
            own: OWN.map(|column| frame.codes(column)),
            classes: self,
        }
    }
}

/// The rows of one chunk.
pub(super) struct Chunk<'c> {
    rules: &'c CompiledRules,
    frame: &'c EventFrame,
    classes: &'c mut Classes,
    /// That of the last row.
    key: Key,
    pieces: [&'c [u32]; Piece::ALL.len()],
    own: [Cow<'c, [u32]>; OWN.len()],
}

impl Chunk<'_> {
    /// Returns what is known of the rules for a row by its template, and its class.
    pub(super) fn verdict(&mut self, row_idx: usize) -> Option<(&Verdict, &Class)> {
        let id = self.frame.detail(row_idx).template;
        if id == 0 {
            return None;
        }
        let around = self.around(row_idx);
        let Classes {
            templates,
            verdicts,
            all,
            ..
        } = &*self.classes;
        let template = &templates[place(id)];
        if template.id != id || template.around != around {
            return None;
        }
        let verdict = &verdicts[template.verdict as usize];
        Some((verdict, &all[verdict.class as usize]))
    }

    /// Keeps for the template of a row, if it has one, which rules held at it; of those in `class`, its number, that rows
    /// decide, each row will.
    pub(super) fn learn(
        &mut self,
        row_idx: usize,
        class: u32,
        hits: impl Iterator<Item = (u32, u64)>,
    ) {
        let id = self.frame.detail(row_idx).template;
        if id == 0 {
            return;
        }
        let around = self.around(row_idx);
        let Classes {
            templates,
            verdicts,
            all,
            ..
        } = &mut *self.classes;
        let of_row = (0..).zip(&all[class as usize].open);
        let of_row = of_row.filter(|(_, open)| open.is_of_row);
        let (open, rules): (Vec<u32>, Vec<u32>) = of_row.map(|(at, open)| (at, open.rule)).unzip();
        let hits: Vec<_> = hits.filter(|(rule, _)| !rules.contains(rule)).collect();
        let verdict = if hits.is_empty() && open.is_empty() {
            0
        } else {
            verdicts.push(Verdict { hits, class, open });
            number(verdicts.len() - 1)
        };
        templates[place(id)] = Template {
            id,
            around,
            verdict,
        };
    }

    /// Returns the sets of what is no part of a template.
    fn around(&mut self, row_idx: usize) -> [u32; 2] {
        const ORIGIN: usize = Piece::Origin as usize;
        let Classes { tests, parts, .. } = &mut *self.classes;
        let mut verdicts = Verdicts {
            rules: self.rules,
            tests,
        };
        let number = self.pieces[ORIGIN][row_idx];
        let codes = self.frame.piece(Piece::Origin, number);
        let origin = parts[ORIGIN].set(number, codes, &mut verdicts);
        [self.key[FILE], origin]
    }

    /// Returns the class of a row, and its number.
    pub(super) fn class(&mut self, row_idx: usize) -> (u32, &Class) {
        let Classes {
            tests,
            parts,
            actor,
            own,
            screen,
            asked,
            numbers,
            all,
            ..
        } = &mut *self.classes;
        let (rules, frame, key) = (self.rules, self.frame, &mut self.key);
        let mut verdicts = Verdicts { rules, tests };
        for (at, part) in parts.iter_mut().enumerate() {
            let number = self.pieces[at][row_idx];
            key[at] = part.set(number, frame.piece(Piece::ALL[at], number), &mut verdicts);
        }
        for (at, own) in own.iter_mut().enumerate() {
            key[OWNS + at] = own.set(self.own[at][row_idx], &mut verdicts);
        }
        let codes = |piece: Piece| {
            let number = self.pieces[piece as usize][row_idx];
            (number, frame.piece(piece, number))
        };
        let mut acting = codes(Piece::Impersonated);
        if acting.1[USERNAME] == NULL {
            acting = codes(Piece::User);
        }
        key[ACTOR] = actor.set(acting.0, acting.1, &mut verdicts);
        key[SCREEN] = match screen.tests(frame.text(screen::COLUMN, row_idx)) {
            none if none.is_empty() => 0,
            open => tests.sets.number(open),
        };
        key[PRESENCE] = presence::of_row(frame, row_idx, *asked);
        let next = number(all.len());
        let number = *numbers.entry(*key).or_insert(next);
        if number == next {
            all.push(make(rules, screen, &tests.sets, key));
        }
        (number, &all[number as usize])
    }
}

fn number(at: usize) -> u32 {
    u32::try_from(at).expect("few classes are kept")
}

#[expect(clippy::cast_possible_truncation, reason = "the low bits are meant")]
fn place(template: u64) -> usize {
    template as usize % TEMPLATES
}

/// Works out what a class leaves open of the rules.
fn make(rules: &CompiledRules, screen: &Screen, sets: &Sets, key: &Key) -> Class {
    let mut holding = vec![false; rules.leaves.len()];
    let sets = key[..PRESENCE]
        .iter()
        .map(|&number| &sets.sets[number as usize]);
    for &leaf_idx in sets.flat_map(|set| set.iter()) {
        holding[leaf_idx as usize] = true;
    }
    let mut decide = |leaf_idx: &u32| {
        let leaf = &rules.leaves[*leaf_idx as usize];
        match leaf.place {
            Place::Coded => Some(holding[*leaf_idx as usize]),
            Place::Row if screen.is_screened(*leaf_idx) && !holding[*leaf_idx as usize] => {
                Some(false)
            }
            Place::Row | Place::Body => presence::decide(leaf, key[PRESENCE]),
        }
    };
    let mut class = Class::default();
    for (rule, compiled) in (0..).zip(&rules.rules) {
        let Some(compiled) = compiled else { continue };
        if !compiled
            .needed
            .iter()
            .all(|leaf_idx| holding[*leaf_idx as usize])
        {
            continue;
        }
        let tree = compiled.tree.reduce(&mut decide);
        if !tree.is_false() {
            class.add(rules, rule, tree, compiled, &mut decide);
        }
    }
    class
}

impl Class {
    /// Adds a rule that may hold.
    fn add(
        &mut self,
        rules: &CompiledRules,
        rule: u32,
        tree: Tree<u32>,
        compiled: &CompiledRule,
        decide: &mut impl FnMut(&u32) -> Option<bool>,
    ) {
        let (mut early, mut lists) = (Vec::new(), Vec::new());
        for (place, &list) in compiled.exclude.iter().enumerate() {
            let list = &rules.lists[list as usize];
            let held = Held {
                bit: 1 << place,
                tree: list.tree.reduce(decide),
                is_of_some: list.is_of_some,
            };
            if held.tree.is_false() {
                continue;
            }
            if !list.is_of_some && !list.has_body {
                early.push(held.clone());
            }
            lists.push(held);
        }
        cut(&mut early);
        cut(&mut lists);
        let is_decided = |lists: &[Held]| lists.iter().all(|held| held.tree.is_true());
        if tree.is_true() && is_decided(&early) && (!early.is_empty() || is_decided(&lists)) {
            let held_by = match early.first() {
                Some(held) => held.bit,
                None => lists.iter().fold(0, |all, held| all | held.bit),
            };
            self.sure.push((rule, held_by));
        } else {
            let mut is_of_row = false;
            let mut look =
                |leaf_idx: &u32| is_of_row |= rules.leaves[*leaf_idx as usize].is_of_row();
            for tree in [&tree]
                .into_iter()
                .chain(lists.iter().map(|held| &held.tree))
            {
                tree.visit(&mut look);
            }
            self.open.push(Open {
                rule,
                has_body: compiled.has_body,
                is_of_row,
                tree,
                early,
                lists,
            });
        }
    }
}

/// Drops what stands behind the first list that surely holds back everywhere.
fn cut(lists: &mut Vec<Held>) {
    let last = lists
        .iter()
        .position(|held| held.tree.is_true() && !held.is_of_some);
    if let Some(last) = last {
        lists.truncate(last + 1);
    }
}
