//! Hygiene of rules, as far as it is about fields: values that never occur, and conditions that never hold.
//!
//! Everything here is legal and likely wrong. What needs no fields is in `rules::check`.

use std::collections::BTreeSet;

use rsigma_parser::{
    ConditionExpr, Detection, DetectionItem, Detections, Modifier, Quantifier, SigmaValue,
};

use super::field::{Field, Region};
use super::modifier::Modifiers;
use super::tree::selects;
use crate::frame::{Column, ColumnType};
use crate::rules::check::{Site, each_item};
use crate::rules::document::Block;
use crate::rules::kubernetes::{NO_VERBS, VERBS, resource_meant, subresource_meant};
use crate::rules::words::closest;
use crate::rules::{Filter, List, Rule, RuleBody, RuleError};

/// What stages there are.
const STAGES: [&str; 4] = [
    "RequestReceived",
    "ResponseStarted",
    "ResponseComplete",
    "Panic",
];

/// Columns with few values, and those that occur.
const VALUES: &[(Column, &[&str])] = &[
    (Column::Stage, &STAGES),
    (Column::Level, &["Metadata", "Request", "RequestResponse"]),
    (Column::Decision, &["allow", "forbid"]),
    (
        Column::Outcome,
        &["ok", "denied", "unauthenticated", "error"],
    ),
    (
        Column::IdentityKind,
        &[
            "user",
            "serviceaccount",
            "node",
            "component",
            "anonymous",
            "none",
        ],
    ),
    (
        Column::CredentialKind,
        &[
            "x509",
            "bound-token",
            "unbound-token",
            "legacy-token",
            "oidc",
            "static-token",
            "bootstrap-token",
            "webhook",
            "proxy",
            "anonymous",
            "none",
            "unknown",
        ],
    ),
];

/// Returns what is likely wrong with the fields of a rule.
pub fn check(rule: &Rule) -> Vec<RuleError> {
    let RuleBody::Sigma(sigma) = &rule.body else {
        return Vec::new();
    };
    let site = rule.meta.site();
    let detection = site
        .block
        .key("detection")
        .map(|block| Site { block, ..site });
    let mut checker = Checker::new(detection.unwrap_or(site));
    checker.detections(&sigma.detection);
    checker.stages(&sigma.detection, &rule.meta.stages);
    checker.warnings
}

/// Returns what is likely wrong with the fields of a filter.
pub fn check_filter(filter: &Filter) -> Vec<RuleError> {
    let mut checker = Checker::new(whole(&filter.path, &filter.text));
    checker.detections(&filter.rule.detection);
    checker.warnings
}

/// Returns what is likely wrong with the fields of a list of exclusions.
pub fn check_list(list: &List) -> Vec<RuleError> {
    let mut checker = Checker::new(whole(&list.path, &list.text));
    for entry in &list.entries {
        checker.detection(&entry.detection);
    }
    checker.warnings
}

fn whole<'a>(path: &'a str, text: &'a str) -> Site<'a> {
    Site {
        path,
        block: Block { line: 1, text },
    }
}

struct Checker<'a> {
    site: Site<'a>,
    warnings: Vec<RuleError>,
    said: BTreeSet<String>,
}

impl<'a> Checker<'a> {
    fn new(site: Site<'a>) -> Self {
        Self {
            site,
            warnings: Vec::new(),
            said: BTreeSet::new(),
        }
    }

    fn warn(&mut self, field: &str, value: &str, what: String, hint: Option<String>) {
        if self.said.insert(what.clone()) {
            let mut warning = self.site.complain_of(field, value, what);
            warning.hint = hint;
            self.warnings.push(warning);
        }
    }

    /// Selections that no condition names test nothing: mostly a filter that was forgotten.
    fn unused(&mut self, detections: &Detections) {
        let mut names: Vec<&String> = detections.named.keys().collect();
        names.sort_unstable(); // the map's order differs from run to run
        for name in names {
            let is_used = |condition| uses(condition, name);
            if !name.starts_with('_') && !detections.conditions.iter().any(is_used) {
                let what = format!("no condition names the selection `{name}`");
                let warning = self.site.complain(&format!("{name}:"), what);
                self.warnings.push(warning);
            }
        }
    }

    fn detections(&mut self, detections: &Detections) {
        self.unused(detections);
        let mut names: Vec<&String> = detections.named.keys().collect();
        names.sort_unstable(); // the map's order differs from run to run
        for name in names {
            self.detection(&detections.named[name]);
        }
        let needed = Needed::of(detections);
        self.together(&needed.items);
        self.taken_away(&needed);
    }

    fn detection(&mut self, detection: &Detection) {
        each_item(detection, &mut |item| self.item(item));
        each_map(detection, &mut |items| {
            self.together(&items.iter().collect::<Vec<_>>());
        });
    }

    /// Looks at the values of one item.
    fn item(&mut self, item: &DetectionItem) {
        let Some(column) = column_of(item) else {
            return;
        };
        let name = item.field.name.as_deref().unwrap_or_default();
        if !is_plain(item) {
            return;
        }
        for value in &item.values {
            let SigmaValue::String(text) = value else {
                self.number(name, column, value);
                continue;
            };
            if !text.is_plain() || text.original.is_empty() {
                if column == Column::Verb && text.original == "*" {
                    self.verb(name, "*");
                }
                continue;
            }
            let text = text.original.as_str();
            match column {
                Column::Verb => self.verb(name, text),
                Column::Resource => self.resource(name, text),
                Column::Subresource => {
                    if let Some(meant) = subresource_meant(text) {
                        let what = format!("`{text}` is no subresource of Kubernetes");
                        let hint = format!("did you mean `{meant}`?");
                        self.warn(name, text, what, Some(hint));
                    }
                }
                Column::Code => self.code(name, text),
                column => self.word(name, column, text),
            }
        }
    }

    fn number(&mut self, name: &str, column: Column, value: &SigmaValue) {
        if let (Column::Code, SigmaValue::Integer(code)) = (column, value) {
            self.code(name, &code.to_string());
        }
    }

    fn code(&mut self, name: &str, text: &str) {
        let is_status = text
            .parse()
            .is_ok_and(|code: u32| (100..600).contains(&code));
        if is_status {
            return;
        }
        let what = format!("`{text}` is no HTTP status: `{name}` never has it");
        let decision = ["allow", "allowed", "forbid", "forbidden", "deny", "denied"];
        let hint = decision
            .iter()
            .any(|word| word.eq_ignore_ascii_case(text))
            .then(|| {
                "test `annotations.authorization.k8s.io/decision: allow` (or `forbid`)".to_owned()
            });
        self.warn(name, text, what, hint);
    }

    fn verb(&mut self, name: &str, text: &str) {
        let lower = text.to_ascii_lowercase();
        if VERBS.contains(&lower.as_str()) {
            return;
        }
        let what = format!("`{text}` is never the verb of an audit event");
        let known = NO_VERBS.iter().find(|(word, _)| *word == lower);
        let hint = known.map(|(_, hint)| (*hint).to_owned()).or_else(|| {
            let meant = closest(&lower, VERBS.into_iter())?;
            Some(format!("did you mean `{meant}`?"))
        });
        self.warn(name, text, what, hint);
    }

    fn resource(&mut self, name: &str, text: &str) {
        if let Some((resource, subresource)) = text.split_once('/') {
            let what =
                format!("`{text}` is never a resource: the subresource is a field by itself");
            let hint = format!(
                "test `objectRef.resource: {resource}` and `objectRef.subresource: {subresource}`"
            );
            self.warn(name, text, what, Some(hint));
        } else if let Some(meant) = resource_meant(text)
            // Texts ignore case.
            && !meant.eq_ignore_ascii_case(text)
        {
            let what = format!("`{text}` is no resource of Kubernetes");
            self.warn(name, text, what, Some(format!("did you mean `{meant}`?")));
        }
    }

    /// Looks at a value of a column that has few.
    fn word(&mut self, name: &str, column: Column, text: &str) {
        let known = VALUES.iter().find(|(known, _)| *known == column);
        let Some((_, known)) = known else { return };
        if known.iter().any(|word| word.eq_ignore_ascii_case(text)) {
            return;
        }
        let what = format!("`{name}` is never `{text}`");
        self.warn(
            name,
            text,
            what,
            Some(format!("one of {}", known.join(", "))),
        );
    }

    /// Looks at tests that must hold at one event.
    fn together(&mut self, items: &[&DetectionItem]) {
        for (at, item) in items.iter().enumerate() {
            let name = item.field.name.as_deref().unwrap_or_default();
            let Some(values) = single(item) else { continue };
            if item.field.has_modifier(Modifier::All) && values.len() > 1 {
                let what = format!("`{name}` has one value and cannot have all of these");
                let hint = "leave `all` out".to_owned();
                self.warn(name, "", what, Some(hint));
            }
            for other in &items[at + 1..] {
                let Some(others) = single(other).filter(|_| is_same(item, other)) else {
                    continue;
                };
                if values.is_disjoint(&others) {
                    let what = format!(
                        "the rule never matches: `{name}` cannot be {} and {} at once",
                        listed(&values),
                        listed(&others)
                    );
                    let other = other.field.name.as_deref().unwrap_or_default();
                    let value = others.first().map(String::as_str).unwrap_or_default();
                    self.warn(other, value, what, None);
                }
            }
        }
        self.stage_of(items);
    }

    /// Looks for what the condition asks for and takes away again.
    fn taken_away(&mut self, needed: &Needed<'_>) {
        for item in &needed.items {
            let Some(values) = single(item) else { continue };
            for not in &needed.nots {
                let Some(without) = single(not).filter(|_| is_same(item, not)) else {
                    continue;
                };
                if values.is_subset(&without) {
                    let name = not.field.name.as_deref().unwrap_or_default();
                    let what = format!(
                        "the rule never matches: it asks for `{name}` {} and excludes that",
                        listed(&values)
                    );
                    // A value that tells the exclusion from what is asked for, if there is one.
                    let value = without.difference(&values).chain(&without).next();
                    let value = value.map(String::as_str).unwrap_or_default();
                    self.warn(name, value, what, None);
                }
            }
        }
    }

    /// Looks for a stage that cannot hold what is asked with it.
    fn stage_of(&mut self, items: &[&DetectionItem]) {
        let of = |column: Column| {
            let mut found = items
                .iter()
                .filter(move |item| column_of(item) == Some(column));
            found.find_map(|item| Some((item.field.name.clone()?, single(item)?)))
        };
        let Some((name, stages)) = of(Column::Stage) else {
            return;
        };
        self.refused_at(&name, &stages, of(Column::Code).map(|(_, codes)| codes));
        if stages.len() == 1 && stages.contains("requestreceived") {
            let answer = items.iter().find(|item| asks_for_answer(item));
            if let Some(field) = answer.and_then(|item| item.field.name.as_deref()) {
                let what = format!(
                    "the rule never matches: at stage RequestReceived there is no `{field}` yet"
                );
                self.warn(&name, "RequestReceived", what, None);
            }
        }
    }

    /// A refused authentication is logged at one stage only.
    fn refused_at(
        &mut self,
        name: &str,
        stages: &BTreeSet<String>,
        codes: Option<BTreeSet<String>>,
    ) {
        let is_401 = codes.is_some_and(|codes| codes.iter().eq(["401"]));
        if is_401 && !stages.contains("responsestarted") && !stages.is_empty() {
            let what =
                "the rule never matches: a 401 exists at stage ResponseStarted only".to_owned();
            self.warn(name, "Re", what, Some("leave the stage out".to_owned()));
        }
    }

    /// Looks at the stages that the rule says it needs.
    fn stages(&mut self, detections: &Detections, stages: &[String]) {
        for stage in stages
            .iter()
            .filter(|stage| !STAGES.contains(&stage.as_str()))
        {
            let what = format!("there is no stage `{stage}`");
            let hint = format!("one of {}", STAGES.join(", "));
            self.warn("stages", stage, what, Some(hint));
        }
        let needed = Needed::of(detections);
        let mut codes = needed.items.iter();
        let codes = codes.find_map(|item| {
            let is_code = column_of(item) == Some(Column::Code);
            single(item).filter(|_| is_code)
        });
        let stages = stages
            .iter()
            .map(|stage| stage.to_ascii_lowercase())
            .collect();
        self.refused_at("stages", &stages, codes);
    }
}

/// What a condition needs to hold, as far as it is plain.
#[derive(Default)]
struct Needed<'d> {
    /// Tests that must hold.
    items: Vec<&'d DetectionItem>,
    /// Tests that must not.
    nots: Vec<&'d DetectionItem>,
}

impl<'d> Needed<'d> {
    fn of(detections: &'d Detections) -> Self {
        let mut needed = Self::default();
        if let [condition] = &detections.conditions[..] {
            needed.condition(condition, detections);
        }
        needed
    }

    fn condition(&mut self, condition: &ConditionExpr, detections: &'d Detections) {
        match condition {
            ConditionExpr::And(parts) => {
                for part in parts {
                    self.condition(part, detections);
                }
            }
            ConditionExpr::Identifier(name) => {
                if let Some(detection) = detections.named.get(name) {
                    self.all_of(detection);
                }
            }
            ConditionExpr::Selector {
                quantifier: Quantifier::All,
                ..
            } => {
                for detection in selected(condition, detections) {
                    self.all_of(detection);
                }
            }
            ConditionExpr::Not(part) => {
                let is_any = matches!(
                    **part,
                    ConditionExpr::Identifier(_)
                        | ConditionExpr::Selector {
                            quantifier: Quantifier::Any | Quantifier::Count(1),
                            ..
                        }
                );
                for detection in selected(part, detections).into_iter().filter(|_| is_any) {
                    // Of several tests, each alone may hold.
                    if let Detection::AllOf(items) = detection
                        && let [item] = &items[..]
                    {
                        self.nots.push(item);
                    }
                }
            }
            ConditionExpr::Or(_) | ConditionExpr::Selector { .. } => {}
        }
    }

    fn all_of(&mut self, detection: &'d Detection) {
        match detection {
            Detection::AllOf(items) => self.items.extend(items),
            Detection::And(parts) => {
                for part in parts {
                    self.all_of(part);
                }
            }
            _ => {}
        }
    }
}

/// Returns whether a condition names a detection, anywhere.
fn uses(condition: &ConditionExpr, name: &str) -> bool {
    match condition {
        ConditionExpr::And(parts) | ConditionExpr::Or(parts) => {
            parts.iter().any(|part| uses(part, name))
        }
        ConditionExpr::Not(part) => uses(part, name),
        ConditionExpr::Identifier(wanted) => wanted == name,
        ConditionExpr::Selector { pattern, .. } => selects(pattern, name),
    }
}

/// Returns the detections that a part of a condition names, in the order of their names.
fn selected<'d>(condition: &ConditionExpr, detections: &'d Detections) -> Vec<&'d Detection> {
    let is_named = |name: &String| match condition {
        ConditionExpr::Identifier(wanted) => name == wanted,
        ConditionExpr::Selector { pattern, .. } => selects(pattern, name),
        _ => false,
    };
    let mut names: Vec<&String> = detections
        .named
        .keys()
        .filter(|name| is_named(name))
        .collect();
    names.sort_unstable(); // the map's order differs from run to run
    names
        .into_iter()
        .map(|name| &detections.named[name])
        .collect()
}

/// Calls `take` with every map of tests that must hold at once.
fn each_map<'d>(detection: &'d Detection, take: &mut impl FnMut(&'d [DetectionItem])) {
    match detection {
        Detection::AllOf(items) => take(items),
        Detection::AnyOf(parts) | Detection::And(parts) => {
            for part in parts {
                each_map(part, take);
            }
        }
        _ => {}
    }
}

fn field_of(item: &DetectionItem) -> Option<Field> {
    Field::resolve(item.field.name.as_deref()?).ok()
}

pub(super) fn column_of(item: &DetectionItem) -> Option<Column> {
    field_of(item)?.column()
}

/// Returns whether values are compared as they stand.
fn is_plain(item: &DetectionItem) -> bool {
    let modifiers = Modifiers::parse(&item.field.modifiers);
    let has_other =
        item.field.has_modifier(Modifier::Expand) || item.field.has_modifier(Modifier::FieldRef);
    modifiers.is_ok_and(|modifiers| modifiers.is_plain()) && !has_other
}

fn is_same(item: &DetectionItem, other: &DetectionItem) -> bool {
    field_of(item) == field_of(other)
}

/// Returns the values, in lower case, that a field with a single value is to have one of; `None` if it is not so plain.
fn single(item: &DetectionItem) -> Option<BTreeSet<String>> {
    let column = column_of(item)?;
    let is_single = matches!(
        column.kind(),
        ColumnType::Coded | ColumnType::Number | ColumnType::Text
    );
    if !is_single || !is_plain(item) || item.field.has_modifier(Modifier::Neq) {
        return None;
    }
    let values = item.values.iter().map(|value| match value {
        SigmaValue::String(text) if text.is_plain() => Some(text.original.to_ascii_lowercase()),
        SigmaValue::String(_) => None,
        other => Some(other.to_string().to_ascii_lowercase()),
    });
    values.collect()
}

/// Returns whether a test wants something of the answer to be there.
fn asks_for_answer(item: &DetectionItem) -> bool {
    let is_of_answer = match field_of(item) {
        Some(Field::Column(column)) => matches!(
            column,
            Column::Code
                | Column::Reason
                | Column::Message
                | Column::Outcome
                | Column::Decision
                | Column::AuthzReason
        ),
        Some(Field::Body(region, _)) => {
            matches!(region, Region::ResponseObject | Region::Annotations)
        }
        _ => false,
    };
    let is_positive = !item.field.has_modifier(Modifier::Neq)
        && item
            .values
            .iter()
            .all(|value| !matches!(value, SigmaValue::Null | SigmaValue::Bool(false)));
    is_of_answer && is_positive
}

fn listed(values: &BTreeSet<String>) -> String {
    let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
    values.join(" or ")
}

#[cfg(test)]
mod tests;
