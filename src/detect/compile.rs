//! Rules to trees over shared tests.
//!
//! Every distinct test of all rules is a [`Leaf`] that stands once; a rule is a [`Tree`] over leaves,
//! the cheap ones first. Nothing is left to fail at a row: a rule compiles, or is refused with its place.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use memchr::memmem::Finder;
use rsigma_parser::{
    ArrayQuantifier, ConditionExpr, CorrelationCondition, CorrelationRule, Detection,
    DetectionItem, Detections, FieldSpec, SigmaValue,
};

use super::evaluate::Scratch;
use super::field::{Field, FieldError};
use super::json::Keys;
use super::leaf::{BODY_COST, Leaf, LeafTest, Place};
use super::matcher::Matcher;
use super::members::Members;
use super::modifier::Modifiers;
use super::request::Request;
use super::summary::{Quote, quotes_of};
use super::tree::{Tree, UnknownDetection};
use super::value::Values;
use super::view;
use super::workload::{self, COMMAND_LINE};
use crate::frame::Column;
use crate::rules::{Rule, RuleBody, RuleError, RuleMeta, RuleSet};

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
    /// By index in the rule set.
    pub(super) lists: Vec<CompiledRule>,
    pub(super) leaves: Vec<Leaf>,
    /// By index in the rule set: what its summary quotes.
    pub(super) quotes: Vec<Vec<Quote>>,
    /// Keys of bodies that any leaf or quote may follow.
    pub(super) keys: Keys,
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
    /// Tests of coded columns without which it cannot hold.
    pub(super) needed: Vec<u32>,
    /// Its lists of exclusions, those that hold everywhere first.
    pub(super) exclude: Vec<u32>,
    /// Of a list: whether it is for some distributions only.
    pub(super) is_of_some: bool,
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

    pub(super) fn hint(mut self, hint: String) -> Self {
        self.hint = Some(hint);
        self
    }

    pub(super) fn place(self, path: &str, text: &str) -> RuleError {
        let mut error = RuleError::at(path, text, &self.needle, self.what);
        error.hint = self.hint;
        error
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
        let mut compiler = Compiler::new(rules);
        let mut errors = Vec::new();
        let mut lists = Vec::with_capacity(rules.lists.len());
        for list in &rules.lists {
            compiler.terms.is_built_in = list.is_built_in;
            let entries = list.entries.iter();
            let trees: Result<_, Problem> = entries
                .map(|entry| compiler.detection(&entry.detection))
                .collect();
            match trees {
                Ok(trees) => lists.push(Tree::or(trees)),
                Err(problem) => errors.push(CompileError {
                    rule: list.name.clone(),
                    problem: problem.place(&list.path, &list.text),
                }),
            }
        }
        let mut filters = Vec::with_capacity(rules.filters.len());
        compiler.terms.is_built_in = false;
        for filter in &rules.filters {
            match compiler.detections(&filter.rule.detection) {
                Ok(tree) => filters.push(tree),
                Err(problem) => errors.push(CompileError {
                    rule: filter.rule.title.clone(),
                    problem: problem.place(&filter.path, &filter.text),
                }),
            }
        }
        let mut trees = Vec::with_capacity(rules.rules.len());
        let mut quotes = Vec::with_capacity(rules.rules.len());
        for rule in &rules.rules {
            compiler.terms.is_built_in = rule.meta.is_built_in;
            let mut problems = check_columns(&rule.meta);
            let tree = match &rule.body {
                RuleBody::Sigma(sigma) => match compiler.detections(&sigma.detection) {
                    Ok(tree) => {
                        let of_rule = rules.filters.iter().zip(&filters);
                        let of_rule = of_rule.filter(|(filter, _)| {
                            RuleSet::is_filtered(&filter.rule, &rule.meta, sigma)
                        });
                        let parts = of_rule.map(|(_, filter)| filter.clone());
                        Some(Tree::and(std::iter::once(tree).chain(parts).collect()))
                    }
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
            match quotes_of(&rule.meta, &rule.body) {
                Ok(of_rule) => quotes.push(of_rule),
                Err(problem) => problems.push(problem),
            }
            trees.push(tree);
            errors.extend(problems.into_iter().map(|problem| CompileError {
                rule: rule.meta.name.clone(),
                problem: problem.place(&rule.meta.path, &rule.meta.text),
            }));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut leaves = compiler.leaves;
        let mut keys = view::keys();
        for leaf in &leaves {
            leaf.keep(&mut keys);
        }
        for field in quotes.iter().flatten().flatten() {
            field.keep(&mut keys);
        }
        if keys.keeps(COMMAND_LINE) {
            workload::keep(&mut keys);
        }
        for leaf in &mut leaves {
            leaf.last_keys = leaf.last_keys_in(&keys);
        }
        let lists = lists
            .into_iter()
            .zip(&rules.lists)
            .map(|(tree, list)| CompiledRule {
                is_of_some: !list.profiles.is_empty(),
                ..finish(tree, &leaves)
            });
        let lists: Vec<_> = lists.collect();
        let finish_rule = |(tree, rule): (Option<Tree<u32>>, &Rule)| {
            let mut finished = finish(tree?, &leaves);
            let exclude = rule.meta.exclude.iter();
            let exclude = exclude.filter_map(|name| rules.find_list(name));
            for list in exclude {
                let list = u32::try_from(list).expect("fewer than 2^32 lists");
                finished.exclude.push(list);
            }
            finished
                .exclude
                .sort_by_key(|list| lists[*list as usize].is_of_some);
            Some(finished)
        };
        let rules = trees
            .into_iter()
            .zip(&rules.rules)
            .map(finish_rule)
            .collect();
        let mut coded: Vec<(Column, Vec<u32>)> = Vec::new();
        for (leaf_idx, leaf) in (0..).zip(&leaves) {
            if let (Place::Coded, Some(column)) = (leaf.place, leaf.field.source()) {
                match coded.iter_mut().find(|(other, _)| *other == column) {
                    Some((_, leaf_idxs)) => leaf_idxs.push(leaf_idx),
                    None => coded.push((column, vec![leaf_idx])),
                }
            }
        }
        Ok(Self {
            rules,
            lists,
            leaves,
            quotes,
            keys,
            coded,
            scratch: Mutex::default(),
        })
    }

    /// Returns the tests of a compiler, without any rule.
    pub(super) fn of_tests(compiler: Compiler<'_>) -> Self {
        Self {
            rules: Vec::new(),
            lists: Vec::new(),
            leaves: compiler.leaves,
            quotes: Vec::new(),
            keys: Keys::all(),
            coded: Vec::new(),
            scratch: Mutex::default(),
        }
    }

    /// Returns the lists of exclusions of a rule, by index, in the order that hits name them.
    pub fn lists_of(&self, rule: usize) -> &[u32] {
        let rule = self.rules[rule].as_ref();
        rule.map_or(&[], |rule| &rule.exclude)
    }

    /// Returns whether a rule reads bodies.
    pub fn reads_body(&self, rule: usize) -> bool {
        self.rules[rule].as_ref().is_some_and(|rule| rule.has_body)
    }
}

/// Puts the cheap tests of a rule first.
fn finish(mut tree: Tree<u32>, leaves: &[Leaf]) -> CompiledRule {
    let highest = tree.order(&|leaf_idx| leaves[*leaf_idx as usize].cost());
    CompiledRule {
        has_body: highest >= BODY_COST,
        needed: needed(&tree, leaves),
        tree,
        exclude: Vec::new(),
        is_of_some: false,
    }
}

/// Returns the tests of coded columns that a condition joins by AND.
fn needed(tree: &Tree<u32>, leaves: &[Leaf]) -> Vec<u32> {
    match tree {
        Tree::And(parts) => {
            let needed = parts.iter().map(|part| match part {
                Tree::Test(_) => needed(part, leaves),
                _ => Vec::new(),
            });
            needed.collect::<Vec<_>>().concat()
        }
        Tree::Test(leaf_idx) if leaves[*leaf_idx as usize].place == Place::Coded => vec![*leaf_idx],
        _ => Vec::new(),
    }
}

fn check_columns(meta: &RuleMeta) -> Vec<Problem> {
    let names = meta.group_by.iter().chain(&meta.requires);
    let unknown = names.filter(|name| Column::by_name(name).is_none());
    let unknown = unknown.map(|name| Problem::about(name, format!("there is no column `{name}`")));
    let uncarried = meta
        .group_by
        .iter()
        .filter(|name| Column::by_name(name).is_some_and(|column| !Request::carries(column)));
    let uncarried = uncarried.map(|name| Problem::about(name, format!("cannot group by `{name}`")));
    unknown.chain(uncarried).collect()
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
    let unknown = names.filter_map(|name| resolve(name).err());
    let groups = rule.group_by.iter().filter(|name| !is_alias(name));
    let is_carried = |name: &&String| match resolve(name) {
        Ok(Field::Column(column)) => Request::carries(column),
        Ok(_) => false,
        Err(_) => true, // Said already.
    };
    let uncarried = groups.filter(|name| !is_carried(name)).map(|name| {
        let what = format!("cannot group by `{name}`: it is in no column");
        Problem::about(name, what)
    });
    unknown.chain(uncarried).collect()
}

/// Returns the field that a test means: public rules ask the status code, a number, for the authorizer's decision.
fn meant(field: Field, values: &[SigmaValue]) -> Field {
    let is_decision = |value: &SigmaValue| match value {
        SigmaValue::String(text) => {
            let text = text.original.to_ascii_lowercase();
            ["allow", "forbid"].contains(&text.as_str())
        }
        _ => false,
    };
    if field == Field::Column(Column::Code) && values.iter().any(is_decision) {
        Field::Column(Column::Decision)
    } else {
        field
    }
}

pub(super) fn resolve(name: &str) -> Result<Field, Problem> {
    Field::resolve(name).map_err(|FieldError { what, hint }| Problem {
        needle: name.to_owned(),
        what,
        hint,
    })
}

/// Returns keywords as an item: one without a field.
pub(super) fn keywords(values: &[SigmaValue]) -> DetectionItem {
    DetectionItem {
        field: FieldSpec::new(None, Vec::new()),
        values: values.to_vec(),
    }
}

/// What values are compiled with.
pub(super) struct Terms<'r> {
    /// Values that stand behind the modifier `expand`, by name.
    placeholders: BTreeMap<&'r String, &'r Vec<String>>,
    /// Whether what is compiled is part of the program, and so known to be right.
    is_built_in: bool,
}

impl Terms<'_> {
    /// Returns the values with what placeholders stand for.
    pub(super) fn values(
        &self,
        modifiers: &Modifiers,
        values: &[SigmaValue],
    ) -> Result<Vec<SigmaValue>, String> {
        modifiers.expand(values, &self.placeholders)
    }

    /// Compiles alternatives.
    pub(super) fn matcher(
        &self,
        modifiers: &Modifiers,
        values: &[SigmaValue],
        is_column: bool,
    ) -> Result<Matcher, String> {
        let matcher = Matcher::compile(modifiers, values, is_column)?;
        if !self.is_built_in {
            matcher.check()?;
        }
        Ok(matcher)
    }
}

/// The leaves so far.
pub(super) struct Compiler<'r> {
    terms: Terms<'r>,
    leaves: Vec<Leaf>,
    by_field: HashMap<Field, Vec<(LeafKey, u32)>>,
    /// By name: rules name the same few again and again.
    fields: HashMap<String, Field>,
}

/// What tells tests of one field apart. Rules negate and join them, so neither is part of it.
#[derive(PartialEq)]
enum LeafKey {
    Value(Modifiers, Vec<SigmaValue>),
    Related(Modifiers, Field),
    Members(ArrayQuantifier, Detection),
}

impl<'r> Compiler<'r> {
    pub(super) fn new(rules: &'r RuleSet) -> Self {
        let placeholders = rules.lists.iter().flat_map(|list| &list.placeholders);
        Self {
            terms: Terms {
                placeholders: placeholders.collect(),
                is_built_in: false,
            },
            leaves: Vec::new(),
            by_field: HashMap::new(),
            fields: HashMap::new(),
        }
    }

    fn field(&mut self, name: &str) -> Result<Field, Problem> {
        if let Some(field) = self.fields.get(name) {
            return Ok(field.clone());
        }
        let field = resolve(name)?;
        self.fields.insert(name.to_owned(), field.clone());
        Ok(field)
    }

    fn detections(&mut self, detections: &Detections) -> Result<Tree<u32>, Problem> {
        let Detections {
            named,
            conditions,
            timeframe,
            ..
        } = detections;
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

    pub(super) fn detection(&mut self, detection: &Detection) -> Result<Tree<u32>, Problem> {
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
            Detection::Keywords(values) => self.item(&keywords(values)),
            Detection::ArrayMatch {
                field: name,
                quantifier,
                body,
            } => {
                let field = self.field(name)?;
                let key = LeafKey::Members(*quantifier, (**body).clone());
                self.leaf(key, name, &field, |terms| {
                    let test = LeafTest::Members(Members::compile(*quantifier, body, terms)?);
                    let values = format!("the conditions on its elements ({quantifier})");
                    Ok((test, values))
                })
            }
            Detection::Conditional { .. } => {
                Err("a condition within a detection is for array blocks only"
                    .to_owned()
                    .into())
            }
        }
    }

    pub(super) fn item(&mut self, item: &DetectionItem) -> Result<Tree<u32>, Problem> {
        let name = item.field.name.as_deref().unwrap_or("keyword");
        let field = match &item.field.name {
            Some(name) => self.field(name)?,
            None => Field::Record,
        };
        let field = meant(field, &item.values);
        let problem = |what: String| Problem::about(name, format!("field `{name}`: {what}"));
        let mut modifiers = Modifiers::parse(&item.field.modifiers).map_err(problem)?;
        if field == Field::Record {
            modifiers = modifiers.keyword();
        }
        if modifiers.is_fieldref {
            return self.fieldref(name, &field, &modifiers, &item.values);
        }
        let is_column = field.column().is_some();
        let values = self
            .terms
            .values(&modifiers, &item.values)
            .map_err(problem)?;
        let tree = modifiers.combine(&values, |values| {
            let key = LeafKey::Value(modifiers.alone(), values.to_vec());
            self.leaf(key, name, &field, |terms| {
                let test = LeafTest::Value(terms.matcher(&modifiers, values, is_column)?);
                let shown: Vec<_> = values.iter().map(ToString::to_string).collect();
                Ok((test, shown.join(", ")))
            })
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
        let others = values
            .iter()
            .map(|value| Ok((value.to_string(), self.field(&value.to_string())?)));
        let others: Vec<_> = others.collect::<Result<_, Problem>>()?;
        let parts = others.into_iter().map(|(other_name, other)| {
            let kind = modifiers.alone();
            let key = LeafKey::Related(kind.clone(), other.clone());
            self.leaf(key, name, field, |_| {
                Ok((
                    LeafTest::Related(kind, other),
                    format!("field {other_name}"),
                ))
            })
        });
        let parts = parts.collect::<Result<_, Problem>>()?;
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

    /// Returns the leaf of that key; `make` returns its test and its values in words, if there is none yet.
    fn leaf<E>(
        &mut self,
        key: LeafKey,
        name: &str,
        field: &Field,
        make: impl FnOnce(&Terms<'r>) -> Result<(LeafTest, String), E>,
    ) -> Result<Tree<u32>, E> {
        let mut of_field = self.by_field.get(field).into_iter().flatten();
        if let Some((_, leaf_idx)) = of_field.find(|(other, _)| *other == key) {
            return Ok(Tree::Test(*leaf_idx));
        }
        let (test, values) = make(&self.terms)?;
        let prefilter = match &test {
            LeafTest::Value(_) | LeafTest::Members(_) => field.mark(),
            LeafTest::Related(..) => None,
        };
        let leaf_idx = u32::try_from(self.leaves.len()).expect("fewer than 2^32 tests");
        self.leaves.push(Leaf {
            name: name.to_owned(),
            field: field.clone(),
            place: Place::of(field, &test),
            holds_if_missing: test.matches(&Values::MISSING),
            test,
            values,
            prefilter: prefilter.map(|mark| Finder::new(mark).into_owned()),
            last_keys: None,
        });
        let of_field = self.by_field.entry(field.clone()).or_default();
        of_field.push((key, leaf_idx));
        Ok(Tree::Test(leaf_idx))
    }
}
