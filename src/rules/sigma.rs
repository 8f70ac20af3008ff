//! Sigma files through `rsigma-parser`, with errors that name the file and the place.
//!
//! Promised: a file is read whole or not at all; what the parser would only warn about (a level that
//! does not exist) is an error here. Sigma filters are refused, not ignored.

use rsigma_parser::{Level, SigmaCollection, SigmaRule};
use serde::Deserialize;
use yaml_serde::Value;

use super::{
    Rule, RuleBody, RuleError, RuleMeta, SESSION_GAP_US, confidence, duration_us, techniques,
};
use crate::finding::{Confidence, RuleKind, Severity};

/// What stands under the top-level key `kubescry`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Extension {
    family: String,
    confidence: Option<String>,
    group_by: Option<Vec<String>>,
    session_gap: Option<String>,
    next_steps: Vec<String>,
    blind_spots: Vec<String>,
    summary: Option<String>,
    requires: Vec<String>,
    once: bool,
}

/// What findings are parted by unless the rule says otherwise.
pub(super) fn default_group_by() -> Vec<String> {
    vec!["username".to_owned(), "peer_ip".to_owned()]
}

/// Returns the rules and correlations of one file.
///
/// # Errors
/// When anything in it is wrong: all problems that could be told apart.
pub fn parse(path: &str, text: &str) -> Result<Vec<Rule>, Vec<RuleError>> {
    check_yaml(path, text)?;
    let collection = rsigma_parser::parse_sigma_yaml(text)
        .map_err(|error| vec![placed(path, text, &error.to_string())])?;
    let mut errors: Vec<_> = collection
        .errors
        .iter()
        .map(|message| placed(path, text, message))
        .collect();
    errors.extend(collection.filters.iter().map(|filter| {
        let what = format!("Sigma filters are not supported yet: `{}`", filter.title);
        RuleError::at(path, text, "filter:", what).hint("put the exclusion into the rule itself")
    }));
    let mut rules = Vec::new();
    for (head, body) in documents(collection) {
        match meta(path, text, &head) {
            Ok(meta) => rules.push(Rule { meta, body }),
            Err(problems) => errors.extend(problems),
        }
    }
    if errors.is_empty() {
        Ok(rules)
    } else {
        Err(errors)
    }
}

/// The keys that a rule and a correlation have in common.
struct Head {
    kind: RuleKind,
    id: Option<String>,
    name: Option<String>,
    title: String,
    description: Option<String>,
    level: Option<Level>,
    tags: Vec<String>,
    false_positives: Vec<String>,
    extension: Option<Value>,
    product: Option<String>,
}

fn documents(collection: SigmaCollection) -> Vec<(Head, RuleBody)> {
    let rules = collection.rules.into_iter().map(|rule: SigmaRule| {
        let head = Head {
            kind: RuleKind::Sigma,
            id: rule.id.clone(),
            name: rule.name.clone(),
            title: rule.title.clone(),
            description: rule.description.clone(),
            level: rule.level,
            tags: rule.tags.clone(),
            false_positives: rule.falsepositives.clone(),
            extension: rule.custom_attributes.get("kubescry").cloned(),
            product: rule.logsource.product.clone(),
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
            level: rule.level,
            tags: rule.tags.clone(),
            false_positives: rule.falsepositives.clone(),
            extension: rule.custom_attributes.get("kubescry").cloned(),
            product: Some("kubernetes".to_owned()),
        };
        (head, RuleBody::Correlation(Box::new(rule)))
    });
    rules.chain(correlations).collect()
}

fn meta(path: &str, text: &str, head: &Head) -> Result<RuleMeta, Vec<RuleError>> {
    let mut errors = Vec::new();
    let about = format!("rule `{}`", head.title);
    let required = |key: &str, value: &Option<String>, errors: &mut Vec<RuleError>| {
        value.clone().unwrap_or_else(|| {
            errors.push(RuleError::at(
                path,
                text,
                &head.title,
                format!("{about} has no `{key}`"),
            ));
            String::new()
        })
    };
    let id = required("id", &head.id, &mut errors);
    let name = required("name", &head.name, &mut errors);
    let level = required(
        "level",
        &head.level.map(|level| level.as_str().to_owned()),
        &mut errors,
    );
    if head.product.as_deref() != Some("kubernetes") {
        let what = format!("{about} is not about Kubernetes");
        let hint = "kubescry reads `logsource` with `product: kubernetes`, `service: audit`";
        errors.push(RuleError::at(path, text, "logsource:", what).hint(hint));
    }
    let extension: Extension = match head.extension.clone().map(yaml_serde::from_value) {
        None => Extension::default(),
        Some(Ok(extension)) => extension,
        Some(Err(error)) => {
            errors.push(placed(path, text, &format!("under `kubescry`: {error}")));
            Extension::default()
        }
    };
    let confidence = extension
        .confidence
        .as_deref()
        .map_or(Some(Confidence::Medium), confidence);
    if confidence.is_none() {
        let what = format!("{about}: confidence is low, medium or high");
        errors.push(RuleError::at(path, text, "confidence:", what));
    }
    let gap = extension
        .session_gap
        .as_deref()
        .map_or(Some(SESSION_GAP_US), duration_us);
    if gap.is_none() {
        let what = format!("{about}: `session_gap` is not a duration");
        errors.push(RuleError::at(path, text, "session_gap:", what).hint("such as 30m or 12h"));
    }
    match (confidence, gap, level.parse::<Severity>()) {
        (Some(confidence), Some(session_gap_us), Ok(severity)) if errors.is_empty() => {
            Ok(RuleMeta {
                id,
                name,
                title: head.title.clone(),
                description: head.description.clone().unwrap_or_default(),
                kind: head.kind,
                family: extension.family,
                severity,
                confidence,
                attack: techniques(&head.tags),
                false_positives: head.false_positives.clone(),
                next_steps: extension.next_steps,
                blind_spots: extension.blind_spots,
                group_by: extension.group_by.unwrap_or_else(default_group_by),
                session_gap_us,
                summary: extension.summary,
                once: extension.once,
                requires: extension.requires,
                path: path.to_owned(),
                text: text.into(),
            })
        }
        _ => Err(errors),
    }
}

/// Reads the YAML once for its own errors, which know their line; the Sigma parser drops it.
fn check_yaml(path: &str, text: &str) -> Result<(), Vec<RuleError>> {
    for document in yaml_serde::Deserializer::from_str(text) {
        if let Err(error) = Value::deserialize(document) {
            let line = error.location().map(|place| place.line());
            let what = format!("not YAML: {error}");
            return Err(vec![RuleError {
                path: path.to_owned(),
                line,
                what,
                hint: None,
            }]);
        }
    }
    Ok(())
}

/// Places a message of the parser at the first line that holds the last thing it quotes.
fn placed(path: &str, text: &str, message: &str) -> RuleError {
    let quoted = message.rsplit(['\'', '`']).nth(1).unwrap_or_default();
    let needle = if message.contains("ondition") && quoted.is_empty() {
        "condition:"
    } else {
        quoted
    };
    let mut what = message.to_owned();
    if let Some(first) = what.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    RuleError::at(path, text, needle, what)
}
