//! Why a rule holds at a row.

use std::collections::HashSet;

use super::compile::CompiledRules;
use super::field::Field;
use super::leaf::{Leaf, LeafTest, Place};
use super::row::{related, row_values};
use super::tree::Tree;
use super::value::Values;
use crate::frame::EventFrame;

impl CompiledRules {
    /// Returns the conditions that rule `rule` asks for and row `row_idx` meets, one a line.
    ///
    /// `user.username = system:anonymous` for a field in a column, with what stands in the log;
    /// `requestObject.spec.hostPID matches true` for others, with what the rule asks for. The row must
    /// be a hit; what the rule asks to be absent is not listed. Order: as the rule is evaluated.
    pub fn why(&self, rule: usize, frame: &EventFrame, row_idx: usize) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(Some(rule)) = self.rules.get(rule) {
            self.explain(&rule.tree, frame, row_idx, &mut lines);
        }
        let mut seen = HashSet::new();
        lines.retain(|line| seen.insert(line.clone()));
        lines
    }

    fn explain(
        &self,
        tree: &Tree<u32>,
        frame: &EventFrame,
        row_idx: usize,
        lines: &mut Vec<String>,
    ) {
        match tree {
            Tree::And(parts) => {
                for part in parts {
                    self.explain(part, frame, row_idx, lines);
                }
            }
            Tree::Or(parts) | Tree::AtLeast(_, parts) => {
                // What columns prove; else what a body may: one of them it must have been.
                let (mut sure, mut open): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
                for part in parts {
                    match self.known(part, frame, row_idx) {
                        Some(true) => sure.push(part),
                        Some(false) => {}
                        None => open.push(part),
                    }
                }
                if sure.is_empty() && open.len() > 1 {
                    let ways = open.iter().map(|part| {
                        let mut lines = Vec::new();
                        self.explain(part, frame, row_idx, &mut lines);
                        lines.join(" and ")
                    });
                    lines.push(
                        ways.filter(|way| !way.is_empty())
                            .collect::<Vec<_>>()
                            .join(" or "),
                    );
                } else {
                    let met = if sure.is_empty() { open } else { sure };
                    for part in met {
                        self.explain(part, frame, row_idx, lines);
                    }
                }
            }
            Tree::Not(_) => {}
            Tree::Test(leaf_idx) => {
                let leaf = &self.leaves[*leaf_idx as usize];
                lines.push(line(leaf, frame, row_idx));
            }
        }
    }

    /// Returns whether a condition holds, by columns alone; `None` if a body or the raw text decides.
    fn known(&self, tree: &Tree<u32>, frame: &EventFrame, row_idx: usize) -> Option<bool> {
        tree.decide(&mut |leaf_idx| {
            let leaf = &self.leaves[*leaf_idx as usize];
            if leaf.field == Field::Record {
                return None;
            }
            let values = row_values(frame, &leaf.field, row_idx)?;
            match &leaf.test {
                LeafTest::Related(modifiers, other) => {
                    let other = row_values(frame, other, row_idx)?;
                    Some(related(&values, &other, |left, right| {
                        modifiers.relate(left, right)
                    }))
                }
                test => Some(test.matches(&values)),
            }
        })
    }
}

/// Returns a condition that the row meets, as text.
fn line(leaf: &Leaf, frame: &EventFrame, row_idx: usize) -> String {
    let name = &leaf.name;
    let is_open = leaf.place == Place::Body || leaf.field == Field::Record;
    let values = row_values(frame, &leaf.field, row_idx).filter(|_| !is_open);
    let Some(values) = values else {
        return match leaf.values.split_once(", ") {
            Some(_) => format!("{name} matches one of {}", leaf.values),
            None => format!("{name} matches {}", leaf.values),
        };
    };
    let mut texts = Vec::new();
    values.texts(&mut texts);
    // Of a list, the elements that matched by themselves.
    if texts.len() > 1 {
        let alone = |text: &String| {
            let value = Values::Texts(vec![text.into()]);
            leaf.test.matches(&value)
        };
        let matching: Vec<_> = texts.iter().filter(|text| alone(text)).cloned().collect();
        if !matching.is_empty() {
            texts = matching;
        }
    }
    if texts.is_empty() {
        return format!("{name} is absent");
    }
    format!("{name} = {}", texts.join(", "))
}
