//! Which rules a log can feed, and what the others lack.
//!
//! Comes in: rules and the [`Supply`] of a log. Goes out: a [`Fed`] per rule. A condition is decided for every kind
//! of event in the log with what is known of all events of that kind, everything else open: a rule whose condition
//! fails for all of them cannot hold at any event. What it lacks is what must be forgotten for it to be open again.
//!
//! Promised: a rule that holds at some event of the log is never said to lack anything.

use std::cell::RefCell;
use std::collections::BTreeSet;

use hashbrown::HashMap;
use rsigma_parser::{
    ConditionExpr, CorrelationCondition, CorrelationRule, CorrelationType, Detection, Detections,
};
use serde::{Deserialize, Serialize};

use super::check::column_of;
use super::compile::CompiledRules;
use super::field::{Field, Region};
use super::leaf::{Leaf, LeafTest};
use super::row::coded;
use super::supply::{Kind, Supply};
use super::tree::selects;
use super::value::Values;
use super::view::Derived;
use crate::finding::Severity;
use crate::frame::{Column, ColumnType, Vocabulary};
use crate::rules::{AuditLevel, Rule, RuleBody, RuleMeta, RuleSet};

/// Objects, fields and the like that a verdict names.
const NAMES: usize = 5;

/// What a log means to a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fed {
    /// Name of the rule.
    pub rule: String,
    /// Its level.
    pub level: Severity,
    /// Whether it can hold.
    pub verdict: Verdict,
    /// Fields that it names and no event has.
    pub unseen: Vec<String>,
}

/// Whether a rule can hold at events of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", content = "lacks", rename_all = "snake_case")]
pub enum Verdict {
    /// It can.
    CanFire,
    /// No event is of the kind it is about; objects that it names.
    NoEvents(Vec<String>),
    /// Events on these objects have no bodies.
    NoBodies(Vec<String>),
    /// The policy leaves out the stages at which it sees something.
    NoStage(Vec<String>),
    /// No event fills these columns.
    NoColumns(Vec<String>),
    /// No event has these fields, as far as somebody looked.
    NoFields(Vec<String>),
}

/// Rules by what a log means to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reach {
    /// Rules that can hold.
    pub can_fire: u64,
    /// Rules about events that are not there.
    pub no_events: u64,
    /// Rules that miss bodies.
    pub no_bodies: u64,
    /// Rules that miss a stage.
    pub no_stage: u64,
    /// Rules that miss columns.
    pub no_columns: u64,
    /// Rules that miss fields, as far as somebody looked.
    pub no_fields: u64,
}

impl Reach {
    /// Counts verdicts.
    pub fn of(fed: &[Fed]) -> Self {
        let mut reach = Self::default();
        for fed in fed {
            *match fed.verdict {
                Verdict::CanFire => &mut reach.can_fire,
                Verdict::NoEvents(_) => &mut reach.no_events,
                Verdict::NoBodies(_) => &mut reach.no_bodies,
                Verdict::NoStage(_) => &mut reach.no_stage,
                Verdict::NoColumns(_) => &mut reach.no_columns,
                Verdict::NoFields(_) => &mut reach.no_fields,
            } += 1;
        }
        reach
    }
}

/// Decides for every rule whether a log can feed it.
pub struct Judge<'a> {
    /// The rules.
    rules: &'a RuleSet,
    /// The same, compiled.
    compiled: &'a CompiledRules,
    /// The dictionary of the log.
    vocabulary: &'a Vocabulary,
    /// What the log has to offer.
    supply: &'a Supply,
    /// Fields in bodies that no event has; empty if nobody looked.
    unseen: &'a BTreeSet<String>,
    /// What tests say of codes, once they were asked: many rules share a test, and many kinds a code.
    answers: RefCell<HashMap<(u32, u32), bool>>,
}

/// What is known of the events; each step forgets one thing more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Known {
    Fields,
    Bodies,
    Columns,
    Stages,
    Kinds,
}

impl CompiledRules {
    /// Returns the columns that rules test or require, or that tell what the log is blind to.
    pub fn columns(&self, rules: &RuleSet) -> u64 {
        let tested = self.leaves.iter().filter_map(|leaf| leaf.field.source());
        let required = rules.rules.iter().flat_map(|rule| &rule.meta.requires);
        let required = required.filter_map(|name| Column::by_name(name));
        super::supply::set_of(tested.chain(required).chain([Column::CredentialId]))
    }
}

impl<'a> Judge<'a> {
    /// Returns one that has decided nothing yet.
    pub fn new(
        rules: &'a RuleSet,
        compiled: &'a CompiledRules,
        vocabulary: &'a Vocabulary,
        supply: &'a Supply,
        unseen: &'a BTreeSet<String>,
    ) -> Self {
        Self {
            rules,
            compiled,
            vocabulary,
            supply,
            unseen,
            answers: RefCell::default(),
        }
    }

    /// Returns what the log means to each rule, in their order.
    pub fn judge(&self) -> Vec<Fed> {
        let all = 0..self.rules.rules.len();
        all.map(|rule| {
            let Rule { meta, .. } = &self.rules.rules[rule];
            Fed {
                rule: meta.name.clone(),
                level: meta.severity,
                verdict: self.verdict(rule, 0),
                unseen: self.unseen_by(rule),
            }
        })
        .collect()
    }

    fn verdict(&self, rule: usize, depth: usize) -> Verdict {
        let Rule { meta, body } = &self.rules.rules[rule];
        if self.supply.is_cut() {
            return Verdict::CanFire;
        }
        if let RuleBody::Correlation(body) = body
            && let Some(verdict) = self.bases(body, depth)
        {
            return verdict;
        }
        let kinds: Vec<&Kind> = self
            .supply
            .kinds()
            .filter(|kind| self.concerns(rule, kind))
            .collect();
        for known in [
            Known::Fields,
            Known::Bodies,
            Known::Columns,
            Known::Stages,
            Known::Kinds,
        ] {
            let is_open = self.meta_allows(meta, known)
                && kinds.iter().any(|kind| self.is_open(rule, kind, known));
            if !is_open {
                continue;
            }
            return match known {
                Known::Fields => Verdict::CanFire,
                Known::Bodies => Verdict::NoFields(first(self.unseen_by(rule))),
                Known::Columns => Verdict::NoBodies(self.objects_at(rule, known)),
                Known::Stages => Verdict::NoColumns(first(self.unfilled(rule))),
                Known::Kinds => Verdict::NoStage(meta.stages.clone()),
            };
        }
        Verdict::NoEvents(first(match body {
            RuleBody::Sigma(rule) => objects(&rule.detection),
            _ => Vec::new(),
        }))
    }

    /// Returns what the rules of a correlation lack, if that keeps it from holding.
    fn bases(&self, rule: &CorrelationRule, depth: usize) -> Option<Verdict> {
        if depth > self.rules.rules.len() {
            return None;
        }
        let bases = rule.rules.iter().filter_map(|base| self.rules.find(base));
        let verdicts: Vec<Verdict> = bases.map(|base| self.verdict(base, depth + 1)).collect();
        let lacks = |verdict: &&Verdict| **verdict != Verdict::CanFire;
        let needs_all = matches!(
            rule.correlation_type,
            CorrelationType::Temporal | CorrelationType::TemporalOrdered
        ) && matches!(rule.condition, CorrelationCondition::Threshold { .. });
        let n_lacking = verdicts.iter().filter(lacks).count();
        let is_kept = n_lacking == verdicts.len() || needs_all && n_lacking > 0;
        verdicts.iter().find(lacks).filter(|_| is_kept).cloned()
    }

    /// Returns whether the log holds what the rule asks for beside its condition.
    fn meta_allows(&self, meta: &RuleMeta, known: Known) -> bool {
        let mut required = meta
            .requires
            .iter()
            .filter_map(|name| Column::by_name(name));
        let has_stage = |stage: &String| self.supply.has_stage(stage, self.vocabulary);
        (known > Known::Columns || required.all(|column| self.supply.fills(column)))
            && (known > Known::Stages
                || meta.stages.is_empty()
                || meta.stages.iter().any(has_stage))
    }

    /// Returns whether the rule may hold at events of a kind, whatever is forgotten of these: a quick look, as most
    /// rules are about a few kinds.
    fn concerns(&self, rule: usize, kind: &Kind) -> bool {
        let Some(compiled) = &self.compiled.rules[rule] else {
            return true;
        };
        let mut needed = compiled.needed.iter();
        needed.all(|leaf| {
            let field = &self.compiled.leaves[*leaf as usize].field;
            *field == Field::Column(Column::Stage)
                || self.decide(*leaf, kind, Known::Kinds) != Some(false)
        })
    }

    /// Returns whether the rule may hold at events of a kind.
    fn is_open(&self, rule: usize, kind: &Kind, known: Known) -> bool {
        let meta = &self.rules.rules[rule].meta;
        if known <= Known::Bodies && !self.has_level(kind, meta.needs) {
            return false;
        }
        let Some(compiled) = &self.compiled.rules[rule] else {
            return true;
        };
        let decided = compiled
            .tree
            .decide(&mut |leaf| self.decide(*leaf, kind, known));
        decided != Some(false)
    }

    /// Returns whether events of a kind hold what a level promises; an export may leave out the level itself.
    fn has_level(&self, kind: &Kind, needs: AuditLevel) -> bool {
        let level = kind
            .code(Column::Level)
            .map(|code| self.vocabulary.text(code));
        match (needs, level) {
            (AuditLevel::Metadata, _) => true,
            (_, Some("")) => kind.has_request || kind.has_response,
            (AuditLevel::Request, Some("Request" | "RequestResponse")) => true,
            (AuditLevel::RequestResponse, Some("RequestResponse")) => true,
            _ => false,
        }
    }

    /// Returns whether a test holds at all events of a kind, or at none; `None` if it may differ.
    fn decide(&self, leaf_idx: u32, kind: &Kind, known: Known) -> Option<bool> {
        let leaf = &self.compiled.leaves[leaf_idx as usize];
        if matches!(leaf.test, LeafTest::Related(..)) {
            return None;
        }
        let missing = || leaf.test.matches(&Values::MISSING);
        match &leaf.field {
            Field::Column(Column::Stage) if known > Known::Stages => None,
            Field::Column(column) => match kind.code(*column) {
                Some(code) => {
                    let holds = || leaf.test.matches(&coded(self.vocabulary, *column, code));
                    let mut answers = self.answers.borrow_mut();
                    Some(*answers.entry((leaf_idx, code)).or_insert_with(holds))
                }
                None => self.is_unfilled(*column, known).then(missing),
            },
            Field::Derived(Derived::ExecCommand | Derived::ExecArgv) => {
                let subresource = kind.code(Column::Subresource).unwrap_or_default();
                let has_command = matches!(self.vocabulary.text(subresource), "exec" | "attach");
                (!has_command).then(missing)
            }
            Field::Derived(derived) => {
                let source = derived.source()?;
                self.is_unfilled(source, known).then(missing)
            }
            Field::Body(region, _) => {
                let lacks_body = match region {
                    Region::RequestObject => !kind.has_request,
                    Region::ResponseObject => !kind.has_response,
                    Region::Object | Region::Subjects | Region::ForeignWebhooks | Region::Csr => {
                        !kind.has_request && !kind.has_response
                    }
                    Region::Annotations | Region::Extra | Region::Whole => false,
                };
                let is_unseen = known <= Known::Fields && self.unseen.contains(&leaf.name);
                (known <= Known::Bodies && lacks_body || is_unseen).then(missing)
            }
            Field::Record => None,
        }
    }

    fn is_unfilled(&self, column: Column, known: Known) -> bool {
        let is_counted = !matches!(
            column.kind(),
            ColumnType::Time | ColumnType::Long | ColumnType::Flag
        );
        known <= Known::Columns && is_counted && !self.supply.fills(column)
    }

    /// Returns the objects of the events at which a rule may hold.
    fn objects_at(&self, rule: usize, known: Known) -> Vec<String> {
        let kinds = self
            .supply
            .kinds()
            .filter(|kind| self.is_open(rule, kind, known));
        let text =
            |kind: &Kind, column| self.vocabulary.text(kind.code(column).unwrap_or_default());
        let names: BTreeSet<String> = kinds
            .map(|kind| {
                object(
                    text(kind, Column::Resource),
                    text(kind, Column::Subresource),
                )
            })
            .filter(|name| !name.is_empty())
            .collect();
        first(names)
    }

    /// Returns the columns that a rule tests or requires and that no event fills.
    fn unfilled(&self, rule: usize) -> Vec<String> {
        let meta = &self.rules.rules[rule].meta;
        let required = meta
            .requires
            .iter()
            .filter_map(|name| Column::by_name(name));
        let tested = self
            .leaves(rule)
            .into_iter()
            .filter_map(|leaf| leaf.field.source());
        let columns: BTreeSet<Column> = required
            .chain(tested)
            .filter(|column| self.is_unfilled(*column, Known::Columns))
            .collect();
        columns
            .into_iter()
            .map(|column| column.name().to_owned())
            .collect()
    }

    /// Returns the fields in bodies that a rule names and no event has.
    fn unseen_by(&self, rule: usize) -> Vec<String> {
        let names: BTreeSet<&String> = self
            .leaves(rule)
            .into_iter()
            .map(|leaf| &leaf.name)
            .filter(|name| self.unseen.contains(*name))
            .collect();
        names.into_iter().cloned().collect()
    }

    /// Returns the tests of a rule.
    fn leaves(&self, rule: usize) -> Vec<&Leaf> {
        let mut leaves = Vec::new();
        if let Some(compiled) = &self.compiled.rules[rule] {
            compiled.tree.visit(&mut |leaf| leaves.push(*leaf));
        }
        leaves
            .iter()
            .map(|leaf| &self.compiled.leaves[*leaf as usize])
            .collect()
    }
}

fn object(resource: &str, subresource: &str) -> String {
    match subresource {
        "" => resource.to_owned(),
        subresource => format!("{resource}/{subresource}"),
    }
}

/// Returns the first names, and how many more there are.
fn first(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().collect();
    let n_more = names.len().saturating_sub(NAMES);
    if n_more > 0 {
        names.truncate(NAMES);
        names.push(format!("+{n_more} more"));
    }
    names
}

/// Returns the objects that a rule is about, as its positive tests name them.
fn objects(detections: &Detections) -> Vec<String> {
    let mut names = BTreeSet::new();
    for condition in &detections.conditions {
        positive(condition, detections, &mut names);
    }
    names.into_iter().collect()
}

fn positive(condition: &ConditionExpr, detections: &Detections, names: &mut BTreeSet<String>) {
    match condition {
        ConditionExpr::And(parts) | ConditionExpr::Or(parts) => {
            for part in parts {
                positive(part, detections, names);
            }
        }
        ConditionExpr::Not(_) => {}
        ConditionExpr::Identifier(name) => {
            if let Some(detection) = detections.named.get(name) {
                objects_of(detection, names);
            }
        }
        ConditionExpr::Selector { pattern, .. } => {
            for (name, detection) in &detections.named {
                if selects(pattern, name) {
                    objects_of(detection, names);
                }
            }
        }
    }
}

fn objects_of(detection: &Detection, names: &mut BTreeSet<String>) {
    match detection {
        Detection::AllOf(items) => {
            let [mut resources, mut subresources, mut verbs] = [const { Vec::new() }; 3];
            for item in items.iter().filter(|item| item.field.modifiers.is_empty()) {
                let values: &mut Vec<String> = match column_of(item) {
                    Some(Column::Resource) => &mut resources,
                    Some(Column::Subresource) => &mut subresources,
                    Some(Column::Verb) => &mut verbs,
                    _ => continue,
                };
                values.extend(item.values.iter().map(ToString::to_string));
            }
            if subresources.is_empty() {
                subresources.push(String::new());
            }
            let verbs = match verbs.join("/") {
                verbs if verbs.is_empty() => verbs,
                verbs => format!(" ({verbs})"),
            };
            for resource in resources {
                names.extend(subresources.iter().map(|sub| match sub.as_str() {
                    "null" => format!("{resource}{verbs}"),
                    sub => format!("{}{verbs}", object(&resource, sub)),
                }));
            }
        }
        Detection::AnyOf(parts) | Detection::And(parts) => {
            for part in parts {
                objects_of(part, names);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::sample;
    use crate::detect::supply::Portion;
    use crate::detect::watch::Watch;

    /// Returns what `events` mean to a rule.
    fn verdict(detection: &str, extension: &str, events: &[&str]) -> Verdict {
        let text = format!(
            "title: T\nname: t\nlogsource: {{product: kubernetes, service: audit}}\ndetection:\n{detection}\n\
             kubescry: {{{extension}}}\n"
        );
        let rules = RuleSet::from_files([("detections/t.yml", text)]).unwrap();
        let compiled = CompiledRules::compile(&rules).unwrap();
        let frame = sample::frame_of("a.log", &events.join("\n")).unwrap();
        let watch = Watch::new(&compiled);
        watch.note(&frame);
        let mut supply = Supply::default();
        supply.take(Portion::of(&frame, compiled.columns(&rules)));
        let unseen = watch.unseen();
        let judge = Judge::new(&rules, &compiled, frame.vocabulary(), &supply, &unseen);
        judge.judge().remove(0).verdict
    }

    const CREATED: &str = r#"{"verb":"create","level":"Metadata","stage":"ResponseComplete","objectRef":{"resource":"pods"}}"#;
    const WITH_BODY: &str = r#"{"verb":"create","level":"Request","stage":"ResponseComplete","objectRef":{"resource":"pods"},"requestObject":{"spec":{"hostPID":true}}}"#;
    const RULE: &str =
        "  s: {objectRef.resource: pods, verb: create, object.spec.hostPID: true}\n  condition: s";

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_there_can_fire() {
        assert_eq!(
            verdict(RULE, "needs: Request", &[WITH_BODY]),
            Verdict::CanFire
        );
        let not = "  s: {objectRef.resource: pods}\n  n: {object.spec.hostPID: true}\n  condition: s and not n";
        assert_eq!(verdict(not, "", &[CREATED]), Verdict::CanFire);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let no_bodies = Verdict::NoBodies(names(&["pods"]));
        assert_eq!(verdict(RULE, "needs: Request", &[CREATED]), no_bodies);
        // A rule from elsewhere does not say what it needs.
        assert_eq!(verdict(RULE, "", &[CREATED]), no_bodies);
        let other = WITH_BODY.replace("hostPID", "hostIPC");
        assert_eq!(
            verdict(RULE, "", &[&other]),
            Verdict::NoFields(names(&["object.spec.hostPID"]))
        );
        let read = WITH_BODY.replace("create", "get");
        assert_eq!(
            verdict(RULE, "", &[&read]),
            Verdict::NoEvents(names(&["pods (create)"]))
        );
        let decided = "  s: {annotations.authorization.k8s.io/decision: allow}\n  condition: s";
        assert_eq!(
            verdict(decided, "", &[CREATED]),
            Verdict::NoColumns(names(&["decision"]))
        );
        assert_eq!(
            verdict(
                "  s: {verb: create}\n  condition: s",
                "requires: [credential_id]",
                &[CREATED]
            ),
            Verdict::NoColumns(names(&["credential_id"]))
        );
        assert_eq!(
            verdict(
                "  s: {verb: create}\n  condition: s",
                "stages: [ResponseStarted]",
                &[CREATED]
            ),
            Verdict::NoStage(names(&["ResponseStarted"]))
        );
        let exec = "  s: {exec.command|contains: sh}\n  condition: s";
        assert_eq!(verdict(exec, "", &[CREATED]), Verdict::NoEvents(Vec::new()));
    }
}
