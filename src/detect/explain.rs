//! Why a rule holds at a row.

use std::collections::HashSet;

use super::analytics::listed;
use super::compile::CompiledRules;
use super::field::Field;
use super::leaf::{Leaf, LeafTest};
use super::row::{Memo, Row, is_secret};
use super::summary::in_a_sentence;
use super::trace::Found;
use super::value::Values;
use crate::frame::EventFrame;
use crate::redact::{is_telling, redact_arguments};

/// Keys under which programs keep what is nobody's business, whatever their names are.
const PRIVATE: [&str; 4] = ["data", "stringData", "binaryData", "value"];

/// How a field stands that the event lacks.
const ABSENT: &str = "is absent";

/// How many elements of a list are told.
const ELEMENTS: usize = 3;

impl CompiledRules {
    /// Returns the conditions that rule `rule` asks for and row `row_idx` meets, one a line, with what stands in the log.
    ///
    /// `user.username = system:anonymous` for a field; `object.rules[0]: verbs = *, resources = secrets` for an element of
    /// a list; `object.data.key matches A*`, what the rule asks for, where the value may be secret, and for conditions on the
    /// whole record. The row must be a hit; what the rule asks to be absent is not listed. Order: as the rule is evaluated.
    pub fn why(&self, rule: usize, frame: &EventFrame, row_idx: usize) -> Vec<String> {
        let Some(Some(rule)) = self.rules.get(rule) else {
            return Vec::new();
        };
        let mut memo = Memo::new(0);
        let mut row = Row::new(self, frame, row_idx, &mut memo);
        let mut met = Vec::new();
        let leaf = |leaf_idx: &u32| &self.leaves[*leaf_idx as usize];
        rule.tree.met(&mut |test| row.meets(leaf(test)), &mut met);
        let lines = met.into_iter().map(leaf).flat_map(|leaf| {
            let values = row.find(&leaf.field);
            let is_secret = is_secret(frame, row_idx, &leaf.field) || is_private(&leaf.name);
            let told = if leaf.field == Field::Record || is_secret && values.is_present() {
                Vec::new()
            } else {
                lines(leaf, &values)
            };
            if told.is_empty() {
                vec![asked(leaf)]
            } else {
                told
            }
        });
        let mut seen = HashSet::new();
        lines.filter(|line| seen.insert(line.clone())).collect()
    }
}

/// Returns whether the values of a field may be secret.
fn is_private(name: &str) -> bool {
    let mut keys = name.split(['.', '[']);
    keys.any(|key| PRIVATE.contains(&key) || is_telling(key))
}

/// Returns a condition as the rule asks for it.
fn asked(Leaf { name, values, .. }: &Leaf) -> String {
    match values.split_once(", ") {
        Some(_) => format!("{name} matches one of {values}"),
        None => format!("{name} matches {values}"),
    }
}

/// Returns what `values` meet a condition by; nothing if they cannot tell.
fn lines(leaf: &Leaf, values: &Values<'_>) -> Vec<String> {
    let name = &leaf.name;
    let LeafTest::Members(members) = &leaf.test else {
        return vec![format!(
            "{name} {}",
            standing(values, |value| leaf.test.matches(value))
        )];
    };
    let elements = members.meeting(values).into_iter().take(ELEMENTS);
    let lines = elements.map(|(at, tests)| {
        let tests = tests.into_iter().map(|(path, text)| match path.as_str() {
            "" => text,
            path if is_private(path) && text != ABSENT => format!("{path} as asked for"),
            path => format!("{path} {text}"),
        });
        let tests: Vec<String> = tests.collect();
        format!("{name}[{at}]: {}", tests.join(", "))
    });
    lines.collect()
}

/// Returns what stands in a field, of several values those that meet the condition by themselves: `= value`, or `is absent`.
pub(super) fn standing(values: &Values<'_>, meets: impl Fn(&Values<'_>) -> bool) -> String {
    if !values.is_present() {
        return ABSENT.to_owned();
    }
    let Found::Values(texts) = Found::of(values) else {
        return "is there".to_owned();
    };
    // Of arguments a flag and its value are two.
    let redacted = redact_arguments(&texts);
    let alone = |text: &String| meets(&Values::Texts(vec![text.into()]));
    let are_meant: Vec<bool> = texts.iter().map(alone).collect();
    let meant = redacted.iter().zip(&are_meant);
    let mut told: Vec<String> = meant
        .filter(|(_, is_meant)| **is_meant || !are_meant.contains(&true))
        .map(|(text, _)| match text.as_str() {
            "" => "\"\"".to_owned(),
            text => in_a_sentence(text),
        })
        .collect();
    told.dedup();
    match told[..] {
        [] => "is empty".to_owned(),
        _ => format!("= {}", listed(&told)),
    }
}
