//! Rules to trees over shared tests.
//!
//! Every distinct test of all rules is a [`Leaf`] that stands once; a rule is a [`Tree`] over leaves,
//! the cheap ones first. Nothing is left to fail at a row: a rule compiles, or is refused with its place.

use std::collections::HashMap;
use std::sync::Mutex;

use memchr::memmem::Finder;
use rsigma_parser::{
    ConditionExpr, CorrelationCondition, CorrelationRule, Detection, DetectionItem, Detections,
    FieldSpec, SigmaRule, SigmaValue,
};

use super::evaluate::Scratch;
use super::field::{Field, FieldError};
use super::leaf::{BODY_COST, Leaf, LeafTest, Place};
use super::matcher::Matcher;
use super::members::Members;
use super::modifier::Modifiers;
use super::tree::{Tree, UnknownDetection};
use crate::frame::Column;
use crate::rules::{RuleBody, RuleError, RuleMeta, RuleSet};

/// A rule that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule `{rule}`: {problem}")]
pub struct CompileError {
    /// Name of the rule.
    pub rule: String,
    /// What is wrong, and where.
    #[source]
    pub problem: RuleError,
}

/// All detection rules of a set, ready to evaluate.
pub struct CompiledRules {
    /// By index in the rule set; `None` for what is no detection rule.
    pub(super) rules: Vec<Option<CompiledRule>>,
    pub(super) leaves: Vec<Leaf>,
    /// The leaves whose value depends on the code of one column only, by column.
    pub(super) coded: Vec<(Column, Vec<u32>)>,
    /// What threads keep from chunk to chunk.
    pub(super) scratch: Mutex<Vec<Scratch>>,
}

#[derive(Debug)]
pub(super) struct CompiledRule {
    pub(super) tree: Tree<u32>,
    /// Whether a leaf of it reads a body.
    pub(super) has_body: bool,
}

/// What is wrong within a rule.
#[derive(Debug)]
pub(super) struct Problem {
    /// A text that stands in the line it is about.
    needle: String,
    what: String,
    hint: Option<String>,
}

impl Problem {
    pub(super) fn about(needle: &str, what: String) -> Self {
        Self {
            needle: needle.to_owned(),
            what,
            hint: None,
        }
    }
}

impl From<String> for Problem {
    fn from(what: String) -> Self {
        Self {
            needle: "detection:".to_owned(),
            what,
            hint: None,
        }
    }
}

impl From<UnknownDetection> for Problem {
    fn from(UnknownDetection(name): UnknownDetection) -> Self {
        Self::about(
            "condition:",
            format!("the condition names `{name}`, which is not there"),
        )
    }
}

impl CompiledRules {
    /// Compiles the detection rules of `rules`, and checks the fields that all rules name.
    ///
    /// # Errors
    /// When any rule cannot be compiled: all problems, each with its place.
    pub fn compile(rules: &RuleSet) -> Result<Self, Vec<CompileError>> {
        let mut compiler = Compiler::default();
        let mut errors = Vec::new();
        let mut trees = Vec::with_capacity(rules.rules.len());
        for rule in &rules.rules {
            let mut problems = check_columns(&rule.meta);
            let tree = match &rule.body {
                RuleBody::Sigma(sigma) => match compiler.rule(sigma) {
                    Ok(tree) => Some(tree),
                    Err(problem) => {
                        problems.push(problem);
                        None
                    }
                },
                RuleBody::Correlation(correlation) => {
                    problems.extend(check_correlation(correlation));
                    None
                }
                RuleBody::Analytic(_) => None,
            };
            trees.push(tree);
            errors.extend(
                problems
                    .into_iter()
                    .map(|problem| placed(&rule.meta, problem)),
            );
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let leaves = compiler.leaves;
        let rules = trees
            .into_iter()
            .map(|tree| tree.map(|tree| finish(tree, &leaves)));
        let rules = rules.collect();
        let mut coded: Vec<(Column, Vec<u32>)> = Vec::new();
        for (leaf_idx, leaf) in (0..).zip(&leaves) {
            if let (Place::Coded, Field::Column(column)) = (leaf.place, &leaf.field) {
                match coded.iter_mut().find(|(other, _)| other == column) {
                    Some((_, leaf_idxs)) => leaf_idxs.push(leaf_idx),
                    None => coded.push((*column, vec![leaf_idx])),
                }
            }
        }
        Ok(Self {
            rules,
            leaves,
            coded,
            scratch: Mutex::default(),
        })
    }

    /// Returns whether any rule reads bodies, and so needs the text of the records.
    pub fn reads_bodies(&self) -> bool {
        self.rules.iter().flatten().any(|rule| rule.has_body)
    }
}

/// Puts the cheap tests of a rule first.
fn finish(mut tree: Tree<u32>, leaves: &[Leaf]) -> CompiledRule {
    let highest = tree.order(&|leaf_idx| leaves[*leaf_idx as usize].cost());
    CompiledRule {
        tree,
        has_body: highest >= BODY_COST,
    }
}

fn placed(meta: &RuleMeta, problem: Problem) -> CompileError {
    let mut error = RuleError::at(&meta.path, &meta.text, &problem.needle, problem.what);
    error.hint = problem.hint;
    CompileError {
        rule: meta.name.clone(),
        problem: error,
    }
}

fn check_columns(meta: &RuleMeta) -> Vec<Problem> {
    let names = meta.group_by.iter().chain(&meta.requires);
    let unknown = names.filter(|name| Column::by_name(name).is_none());
    unknown
        .map(|name| Problem::about(name, format!("there is no column `{name}`")))
        .collect()
}

fn check_correlation(rule: &CorrelationRule) -> Vec<Problem> {
    let is_alias = |name: &&String| rule.aliases.iter().any(|alias| alias.alias == **name);
    let counted = match &rule.condition {
        CorrelationCondition::Threshold {
            field: Some(fields),
            ..
        } => fields.as_slice(),
        _ => &[],
    };
    let aliased = rule.aliases.iter().flat_map(|alias| alias.mapping.values());
    let names = rule
        .group_by
        .iter()
        .chain(counted)
        .filter(|name| !is_alias(name))
        .chain(aliased);
    names.filter_map(|name| resolve(name).err()).collect()
}

fn resolve(name: &str) -> Result<Field, Problem> {
    Field::resolve(name).map_err(|FieldError { what, hint }| Problem {
        needle: name.to_owned(),
        what,
        hint,
    })
}

/// The leaves so far.
#[derive(Default)]
struct Compiler {
    leaves: Vec<Leaf>,
    by_key: HashMap<String, u32>,
}

impl Compiler {
    fn rule(&mut self, rule: &SigmaRule) -> Result<Tree<u32>, Problem> {
        let Detections {
            named,
            conditions,
            timeframe,
            ..
        } = &rule.detection;
        if timeframe.is_some() {
            let what = "`timeframe` in a detection is obsolete; write a correlation".to_owned();
            return Err(Problem::about("timeframe:", what));
        }
        let mut tree = |condition: &ConditionExpr| {
            Tree::condition(condition, named, &mut |detection| self.detection(detection))
        };
        Ok(Tree::or(
            conditions.iter().map(&mut tree).collect::<Result<_, _>>()?,
        ))
    }

    fn detection(&mut self, detection: &Detection) -> Result<Tree<u32>, Problem> {
        match detection {
            Detection::AllOf(items) => {
                let parts = items.iter().map(|item| self.item(item));
                Ok(Tree::and(parts.collect::<Result<_, _>>()?))
            }
            Detection::AnyOf(parts) | Detection::And(parts) => {
                let trees = parts.iter().map(|part| self.detection(part));
                let trees = trees.collect::<Result<_, _>>()?;
                Ok(if matches!(detection, Detection::And(_)) {
                    Tree::and(trees)
                } else {
                    Tree::or(trees)
                })
            }
            Detection::Keywords(values) => {
                let field = FieldSpec::new(None, Vec::new());
                self.item(&DetectionItem {
                    field,
                    values: values.clone(),
                })
            }
            Detection::ArrayMatch {
                field: name,
                quantifier,
                body,
            } => {
                let field = resolve(name)?;
                let test = LeafTest::Members(Members::compile(*quantifier, body)?);
                let key = format!("{field:?} {quantifier} {body:?}");
                let values = format!("the conditions on its elements ({quantifier})");
                Ok(self.leaf(key, name, field, test, values))
            }
            Detection::Conditional { .. } => {
                Err("a condition within a detection is for array blocks only"
                    .to_owned()
                    .into())
            }
        }
    }

    fn item(&mut self, item: &DetectionItem) -> Result<Tree<u32>, Problem> {
        let name = item.field.name.as_deref().unwrap_or("keyword");
        let field = item
            .field
            .name
            .as_deref()
            .map_or(Ok(Field::Record), resolve)?;
        let problem = |what: String| Problem::about(name, format!("field `{name}`: {what}"));
        let mut modifiers = Modifiers::parse(&item.field.modifiers).map_err(problem)?;
        if field == Field::Record {
            modifiers = modifiers.keyword();
        }
        if modifiers.is_fieldref {
            return self.fieldref(name, &field, &modifiers, &item.values);
        }
        let is_column = field.column().is_some();
        let tree = modifiers.combine(&item.values, |values| {
            let test = LeafTest::Value(Matcher::compile(&modifiers, values, is_column)?);
            // `all` and `neq` are in the tree, so that a leaf and its negation are one leaf.
            let kind = modifiers.alone();
            let key = format!("{field:?} {kind:?} {values:?}");
            let shown: Vec<_> = values.iter().map(ToString::to_string).collect();
            Ok(self.leaf(key, name, field.clone(), test, shown.join(", ")))
        });
        tree.map_err(problem)
    }

    fn fieldref(
        &mut self,
        name: &str,
        field: &Field,
        modifiers: &Modifiers,
        values: &[SigmaValue],
    ) -> Result<Tree<u32>, Problem> {
        let mut others = values
            .iter()
            .map(|value| Ok((value.to_string(), resolve(&value.to_string())?)));
        let others: Vec<_> = others.by_ref().collect::<Result<_, Problem>>()?;
        let parts = others.into_iter().map(|(other_name, other)| {
            let kind = modifiers.alone();
            let key = format!("{field:?} {kind:?} {other:?}");
            let test = LeafTest::Related(kind, other);
            self.leaf(
                key,
                name,
                field.clone(),
                test,
                format!("field {other_name}"),
            )
        });
        let parts = parts.collect();
        let tree = if modifiers.all {
            Tree::and(parts)
        } else {
            Tree::or(parts)
        };
        Ok(if modifiers.negate {
            tree.negate()
        } else {
            tree
        })
    }

    fn leaf(
        &mut self,
        key: String,
        name: &str,
        field: Field,
        test: LeafTest,
        values: String,
    ) -> Tree<u32> {
        let leaves = &mut self.leaves;
        let leaf_idx = *self.by_key.entry(key).or_insert_with(|| {
            let place = Place::of(&field, &test);
            let prefilter = match (&field, &test) {
                (Field::Body(_, paths), LeafTest::Value(_) | LeafTest::Members(_)) => {
                    let mut keys = paths.iter().map(|path| path.last_key());
                    let key = keys.next().flatten();
                    key.filter(|&key| keys.all(|other| other == Some(key)))
                }
                _ => None,
            };
            let prefilter = prefilter.map(|key| Finder::new(key).into_owned());
            leaves.push(Leaf {
                name: name.to_owned(),
                field,
                test,
                values,
                place,
                prefilter,
            });
            u32::try_from(leaves.len() - 1).expect("fewer than 2^32 tests")
        });
        Tree::Test(leaf_idx)
    }
}
