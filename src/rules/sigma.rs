//! Sigma files through `rsigma-parser`, with errors that name the file and the place.
//!
//! Promised: a file is read whole or not at all; what the parser would only warn about (a level that
//! does not exist) is an error here.

use rsigma_parser::{
    ConditionExpr, ConditionOperator, CorrelationCondition, CorrelationRule, Detection, Level,
    SigmaCollection, SigmaRule,
};
use yaml_serde::{Mapping, Value};

use super::meta::{Head, name_of};
use super::{Filter, Rule, RuleBody, RuleError, RuleMeta, strict};
use crate::finding::RuleKind;

/// What one file holds.
#[derive(Debug, Default)]
pub struct SigmaFile {
    /// Detection rules and correlations.
    pub rules: Vec<Rule>,
    /// Filters.
    pub filters: Vec<Filter>,
    /// What is legal, but likely wrong.
    pub warnings: Vec<RuleError>,
}

/// Returns the rules, correlations and filters of one file.
///
/// # Errors
/// When anything in it is wrong: all problems that could be told apart.
pub fn parse(path: &str, text: &str) -> Result<SigmaFile, Vec<RuleError>> {
    strict::check(path, text)?;
    parse_checked(path, text)
}

/// The same of a text that [`strict::check`] finds nothing wrong with.
///
/// # Errors
/// When anything in it is wrong: all problems that could be told apart.
pub(super) fn parse_checked(path: &str, text: &str) -> Result<SigmaFile, Vec<RuleError>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let parsed = rsigma_parser::parse_sigma_yaml(text);
    let mut collection = parsed.map_err(|error| vec![placed(path, text, &error.to_string())])?;
    let mut errors: Vec<_> = collection
        .errors
        .iter()
        .map(|message| placed(path, text, message))
        .collect();
    let mut file = SigmaFile::default();
    for rule in collection.filters.drain(..) {
        if !has_negation(&rule.detection.conditions) {
            let what = format!(
                "filter `{}` has no `not`: it keeps what it describes, and drops all else",
                rule.title
            );
            let warning = RuleError::at(path, text, "condition:", what);
            file.warnings
                .push(warning.hint("mostly `condition: not selection` is meant"));
        }
        file.filters.push(Filter {
            rule,
            path: path.to_owned(),
            text: text.into(),
        });
    }
    // A second reading costs as much as the first, so it is for doubt only.
    if collection.correlations.iter().any(may_lack_condition) {
        let conditions = strict::conditions(text);
        for (rule, has_condition) in collection.correlations.iter_mut().zip(conditions) {
            if !has_condition {
                rule.condition = CorrelationCondition::Threshold {
                    predicates: Vec::new(),
                    field: None,
                    percentile: None,
                };
            }
        }
    }
    let mut documents = documents(collection);
    name_the_nameless(path, &mut documents);
    for (head, body) in documents {
        if let RuleBody::Sigma(rule) = &body
            && let Some(product) = &rule.logsource.product
            && !product.eq_ignore_ascii_case("kubernetes")
        {
            let what = format!("rule `{}` is about `{product}`, not Kubernetes", rule.title);
            let hint = "kubescry reads `logsource` with `product: kubernetes`, `service: audit`";
            errors.push(RuleError::at(path, text, "logsource:", what).hint(hint));
        }
        match RuleMeta::new(path, text, head) {
            Ok(meta) => file.rules.push(Rule { meta, body }),
            Err(problems) => errors.extend(problems),
        }
    }
    if errors.is_empty() {
        Ok(file)
    } else {
        Err(errors)
    }
}

/// Returns whether the condition is the one that the parser makes where there is none.
fn may_lack_condition(rule: &CorrelationRule) -> bool {
    matches!(
        &rule.condition,
        CorrelationCondition::Threshold { predicates, .. }
            if predicates[..] == [(ConditionOperator::Gte, 1)]
    )
}

fn has_negation(conditions: &[ConditionExpr]) -> bool {
    conditions.iter().any(|condition| match condition {
        ConditionExpr::Not(_) => true,
        ConditionExpr::And(parts) | ConditionExpr::Or(parts) => has_negation(parts),
        ConditionExpr::Identifier(_) | ConditionExpr::Selector { .. } => false,
    })
}

/// Parses mappings of fields to values as the selections of a rule, in their order.
///
/// # Errors
/// What the parser says of the first wrong one. It does not say which.
pub(super) fn detections(selections: &[Mapping]) -> Result<Vec<Detection>, String> {
    let name = |index: usize| format!("entry{index}");
    let mut detection = Mapping::new();
    for (index, selection) in selections.iter().enumerate() {
        detection.insert(name(index).into(), Value::Mapping(selection.clone()));
    }
    detection.insert("condition".into(), "1 of them".into());
    let mut rule = Mapping::new();
    rule.insert("title".into(), "entries".into());
    rule.insert("sigma-version".into(), 3.into());
    rule.insert("logsource".into(), Value::Mapping(Mapping::new()));
    rule.insert("detection".into(), Value::Mapping(detection));
    // JSON is YAML, and written faster.
    let text = serde_json::to_string(&rule).map_err(|error| error.to_string())?;
    let mut collection =
        rsigma_parser::parse_sigma_yaml(&text).map_err(|error| error.to_string())?;
    if let Some(error) = collection.errors.pop() {
        return Err(error);
    }
    let mut rule = collection.rules.pop();
    let named = |index| rule.as_mut()?.detection.named.remove(&name(index));
    let detections: Option<_> = (0..selections.len()).map(named).collect();
    detections.ok_or_else(|| "it tests nothing".to_owned())
}

fn documents(collection: SigmaCollection) -> Vec<(Head, RuleBody)> {
    let level = |level: Option<Level>| level.map(|level| level.as_str().to_owned());
    let rules = collection.rules.into_iter().map(|rule: SigmaRule| {
        let head = Head {
            kind: RuleKind::Sigma,
            id: rule.id.clone(),
            name: rule.name.clone(),
            title: rule.title.clone(),
            description: rule.description.clone(),
            level: level(rule.level),
            tags: rule.tags.clone(),
            false_positives: rule.falsepositives.clone(),
            references: rule.references.clone(),
            extension: rule.custom_attributes.get("kubescry").cloned(),
        };
        (head, RuleBody::Sigma(Box::new(rule)))
    });
    let correlations = collection.correlations.into_iter().map(|rule| {
        let head = Head {
            kind: RuleKind::Correlation,
            id: rule.id.clone(),
            name: rule.name.clone(),
            title: rule.title.clone(),
            description: rule.description.clone(),
            level: level(rule.level),
            tags: rule.tags.clone(),
            false_positives: rule.falsepositives.clone(),
            references: rule.references.clone(),
            extension: rule.custom_attributes.get("kubescry").cloned(),
        };
        (head, RuleBody::Correlation(Box::new(rule)))
    });
    rules.chain(correlations).collect()
}

/// Gives a name to each of several rules of one file that have none: that of the file, numbered from the second on.
fn name_the_nameless(path: &str, documents: &mut [(Head, RuleBody)]) {
    let nameless = documents.iter_mut().filter(|(head, _)| head.name.is_none());
    for (number, (head, _)) in (1..).zip(nameless).skip(1) {
        head.name = Some(format!("{}-{number}", name_of(path)));
    }
}

/// Places a message of the parser at the first line that holds the last thing it quotes, else at that of the title.
pub(super) fn placed(path: &str, text: &str, message: &str) -> RuleError {
    let quoted = message.rsplit(['\'', '`']).nth(1).unwrap_or_default();
    let is_condition = message.contains("ondition") && quoted.is_empty();
    let needle = if is_condition { "condition:" } else { quoted };
    // The parser draws the place below its message, in lines of their own, and repeats both for each bracket.
    let message = message.split(['\n', ';']).next().unwrap_or_default();
    let message = message.split(" at 1:").next().unwrap_or_default();
    let mut what = message
        .split("  -->")
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned();
    if let Some(first) = what.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    let mut error = RuleError::at(path, text, needle, what);
    if error.line.is_none() {
        error.line = RuleError::at(path, text, "title:", "").line.or(Some(1));
    }
    let is_loud = |word: &str| matches!(word, "AND" | "OR" | "NOT" | "OF" | "ALL" | "THEM");
    let conditions = text.lines().filter(|line| line.contains("condition:"));
    if is_condition && conditions.flat_map(str::split_whitespace).any(is_loud) {
        error = error.hint("`and`, `or`, `not` and `of` are in lower case");
    }
    error
}
