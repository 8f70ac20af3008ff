//! A screen: which tests of a text may hold, by one look at it.
//!
//! Many rules ask for parts of the request URI, whatever else an event is, and hardly any URI has one of them.

use std::collections::BTreeSet;
use std::hash::BuildHasher;

use aho_corasick::packed::{self, Searcher};
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use foldhash::fast::FixedState;

use super::compile::CompiledRules;
use super::field::Field;
use super::leaf::{Leaf, LeafTest, Place};
use crate::frame::Column;

/// The column that is screened: the only text that all events have.
pub(super) const COLUMN: Column = Column::RequestUri;

/// What stands in most URIs, in lower case: to look for parts of it is of no use.
const ORDINARY: &str = "/api/v1/namespaces/ /apis/ ?allowwatchbookmarks=true&fieldmanager=&fieldselector=\
    &labelselector=&limit=500&pretty=&resourceversion=0&timeout=&timeoutseconds=&watch=true";

/// Texts whose tests are known at a time; a power of two.
const KNOWN: usize = if cfg!(test) { 4 } else { 1 << 10 };

/// Longest text that is kept, in bytes.
const LONGEST: usize = 256;

/// Finds the tests that may hold for a text.
pub(super) struct Screen {
    /// Tells whether a text has any needle: of most it has none. `None` if they are too many for that.
    any: Option<Searcher>,
    all: AhoCorasick,
    /// By needle: the test it is of.
    tests: Vec<u32>,
    /// By test: whether it is screened.
    is_screened: Vec<bool>,
    lower: Vec<u8>,
    /// By the last bits of its hash: a text, and the tests that may hold for it.
    known: Box<[(String, Vec<u32>)]>,
}

impl Screen {
    /// Returns the screen of the tests that cannot hold without a needle, and by which a rule holds that asks for nothing
    /// that repeats: other rules are seldom still open when it comes to texts.
    pub(super) fn new(rules: &CompiledRules) -> Self {
        let (mut all, mut tests) = (Vec::new(), Vec::new());
        let mut is_screened = vec![false; rules.leaves.len()];
        let open = rules.rules.iter().flatten();
        let open = open.filter(|rule| rule.needed.is_empty());
        let mut asked = BTreeSet::new();
        for rule in open {
            rule.tree.visit(&mut |leaf_idx| {
                asked.insert(*leaf_idx);
            });
        }
        for leaf_idx in asked {
            if let Some(needles) = needles(&rules.leaves[leaf_idx as usize]) {
                is_screened[leaf_idx as usize] = true;
                tests.resize(tests.len() + needles.len(), leaf_idx);
                all.extend(needles);
            }
        }
        // The smallest kind to build: it is asked seldom.
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&all);
        let any = packed::Builder::new().extend(&all).build();
        Self {
            any,
            all: automaton.expect("needles are few and short"),
            tests,
            is_screened,
            lower: Vec::new(),
            known: vec![Default::default(); KNOWN].into(),
        }
    }

    /// Returns whether a test is decided where it is not named.
    pub(super) fn is_screened(&self, leaf_idx: u32) -> bool {
        self.is_screened[leaf_idx as usize]
    }

    /// Returns the tests that may hold for `text`, some more than once; no other one holds.
    pub(super) fn tests(&mut self, text: &str) -> Vec<u32> {
        if text.len() > LONGEST {
            return self.search(text);
        }
        let at = place(text);
        if self.known[at].0 != text {
            let tests = self.search(text);
            let known = &mut self.known[at];
            known.0.clear();
            known.0.push_str(text);
            known.1 = tests;
        }
        self.known[at].1.clone()
    }

    fn search(&mut self, text: &str) -> Vec<u32> {
        if !text.is_ascii() || self.tests.is_empty() {
            return self.tests.clone();
        }
        self.lower.clear();
        self.lower
            .extend(text.bytes().map(|byte| byte.to_ascii_lowercase()));
        if let Some(any) = &self.any
            && self.lower.len() >= any.minimum_len()
            && any.find(&self.lower).is_none()
        {
            return Vec::new();
        }
        let found = self.all.find_overlapping_iter(&self.lower);
        found.map(|found| self.tests[found.pattern()]).collect()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low bits are meant")]
fn place(text: &str) -> usize {
    // Whoever writes texts of one place has them looked through each time, as if none were kept.
    FixedState::default().hash_one(text) as usize % KNOWN
}

fn needles(leaf: &Leaf) -> Option<Vec<String>> {
    match (&leaf.field, &leaf.test) {
        (Field::Column(COLUMN), LeafTest::Value(matcher)) if leaf.place == Place::Row => {
            let is_rare = |needle: &String| !ORDINARY.contains(needle.as_str());
            matcher
                .needles()
                .filter(|needles| needles.iter().all(is_rare))
        }
        _ => None,
    }
}
