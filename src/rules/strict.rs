//! What the Sigma parser lets pass without a word, and then reads as something else or not at all.
//!
//! A key that nobody knows, a filter that names no rules, a bound that is no count, a value that no event can
//! have: each would make a rule that hides findings, or never has one. This takes a second reading of the YAML, so
//! built-in files, which a test holds to it, go without.

use serde::Deserialize;
use yaml_serde::{Mapping, Value};

use super::RuleError;
use super::words::closest;

/// The keys of a correlation (Sigma correlation rules specification 2.1).
const CORRELATION: [&str; 8] = [
    "type",
    "rules",
    "group-by",
    "timespan",
    "window",
    "condition",
    "aliases",
    "generate",
];

/// The operators of a correlation's condition.
const OPERATORS: [&str; 6] = ["gt", "gte", "lt", "lte", "eq", "neq"];

/// The keys of the condition besides these.
const CONDITION: [&str; 2] = ["field", "percentile"];

/// The largest bound that is a count.
const LARGEST: u64 = i64::MAX as u64;

/// Looks at all documents of a file.
///
/// # Errors
/// With all that is wrong, each with its place.
pub(super) fn check(path: &str, text: &str) -> Result<(), Vec<RuleError>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut errors = Vec::new();
    let mut lines = 0;
    for document in documents(text) {
        let mut found = Document {
            path,
            text: document,
            errors: Vec::new(),
        };
        found.check();
        errors.extend(found.errors.into_iter().map(|mut error| {
            error.line = error.line.map(|line| line + lines);
            error
        }));
        lines += document.lines().count();
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

/// Cuts a file before the lines that begin a document.
fn documents(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut from = 0;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with("---") && at > from {
            parts.push(&text[from..at]);
            from = at;
        }
        at += line.len();
    }
    parts.push(&text[from..]);
    parts
}

/// One document of a file.
struct Document<'a> {
    path: &'a str,
    text: &'a str,
    errors: Vec<RuleError>,
}

impl Document<'_> {
    /// Notes what is wrong, at the first line that holds `needle`.
    fn wrong(&mut self, needle: &str, what: impl Into<String>, hint: Option<String>) {
        let mut error = RuleError::at(self.path, self.text, needle, what);
        error.hint = hint;
        self.errors.push(error);
    }

    fn check(&mut self) {
        for value in yaml_serde::Deserializer::from_str(self.text) {
            match Value::deserialize(value) {
                Ok(Value::Mapping(rule)) => self.rule(&rule),
                Ok(_) => {}
                Err(error) => {
                    let line = error.location().map(|place| place.line());
                    self.errors.push(RuleError {
                        path: self.path.to_owned(),
                        line,
                        what: format!("not YAML: {error}"),
                        hint: None,
                    });
                    return;
                }
            }
        }
    }

    fn rule(&mut self, rule: &Mapping) {
        if let Some(Value::Mapping(correlation)) = rule.get("correlation") {
            self.correlation(correlation);
        }
        if let Some(Value::Mapping(filter)) = rule.get("filter") {
            self.filter(filter);
        }
        if let Some(Value::Mapping(detection)) = rule.get("detection") {
            self.detection(detection);
        }
    }

    /// Notes the keys of a mapping that are not among `known`.
    fn keys(&mut self, mapping: &Mapping, known: &[&str], of: &str) {
        for key in mapping.keys() {
            let key = key.as_str().unwrap_or_default();
            if !known.contains(&key) {
                let meant = closest(key, known.iter().copied());
                let hint = match meant {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("one of {}", known.join(", ")),
                };
                let what = format!("`{key}` is no key of {of}");
                self.wrong(&format!("{key}:"), what, Some(hint));
            }
        }
    }

    fn correlation(&mut self, correlation: &Mapping) {
        self.keys(correlation, &CORRELATION, "a correlation");
        if let Some(window) = correlation.get("window")
            && window.as_str() != Some("sliding")
        {
            let what = "windows slide here: no other `window` is evaluated";
            let hint = "leave the key out, or write `window: sliding`".to_owned();
            self.wrong("window:", what, Some(hint));
        }
        let Some(Value::Mapping(condition)) = correlation.get("condition") else {
            return;
        };
        let known = [&OPERATORS[..], &CONDITION].concat();
        self.keys(condition, &known, "the condition of a correlation");
        for operator in OPERATORS {
            let Some(bound) = condition.get(operator) else {
                continue;
            };
            if bound.as_u64().is_none_or(|bound| bound > LARGEST) {
                let what = format!("`{operator}` takes a whole number, 0 or more");
                self.wrong(&format!("{operator}:"), what, None);
            }
        }
        if let Some(percentile) = condition.get("percentile")
            && percentile
                .as_u64()
                .is_none_or(|percentile| percentile > 100)
        {
            self.wrong(
                "percentile:",
                "`percentile` takes a number from 0 to 100",
                None,
            );
        }
    }

    fn filter(&mut self, filter: &Mapping) {
        let is_empty = match filter.get("rules") {
            Some(Value::Sequence(rules)) => rules.is_empty(),
            Some(Value::String(_)) => false,
            _ => true,
        };
        if is_empty {
            let what = "the filter does not say of which rules";
            let hint = "`rules: [NAME, ...]`, or `rules: any` for all of them".to_owned();
            self.wrong("filter:", what, Some(hint));
        }
        self.detection(filter);
    }

    /// Looks at the selections of a rule or a filter.
    fn detection(&mut self, detection: &Mapping) {
        for (name, value) in detection {
            match name.as_str() {
                Some("condition") => {
                    if value.as_sequence().is_some_and(Vec::is_empty) {
                        self.wrong("condition:", "the condition is empty", None);
                    }
                }
                Some("rules" | "timeframe") => {}
                name => self.selection(name.unwrap_or_default(), value),
            }
        }
    }

    /// Looks at a selection: fields, a list of such, or keywords.
    fn selection(&mut self, name: &str, value: &Value) {
        match value {
            Value::Mapping(fields) if fields.is_empty() => {
                let what = format!("selection `{name}` asks for nothing: every event meets it");
                self.wrong(&format!("{name}:"), what, None);
            }
            Value::Mapping(fields) => {
                for (field, value) in fields {
                    self.field(field.as_str().unwrap_or_default(), value);
                }
            }
            Value::Sequence(parts) => {
                for part in parts {
                    match part {
                        Value::Mapping(_) => self.selection(name, part),
                        part => self.scalar(name, part),
                    }
                }
            }
            value => self.scalar(name, value),
        }
    }

    /// Looks at what a field is compared with.
    fn field(&mut self, field: &str, value: &Value) {
        match value {
            // Of one element of a list; see the specification's array matching.
            Value::Mapping(parts) if field.contains('[') && parts.contains_key("condition") => {
                self.detection(parts);
            }
            Value::Mapping(fields) if field.contains('[') => {
                for (field, value) in fields {
                    self.field(field.as_str().unwrap_or_default(), value);
                }
            }
            Value::Sequence(values) => {
                for value in values {
                    self.scalar(field, value);
                }
            }
            value => self.scalar(field, value),
        }
    }

    fn scalar(&mut self, field: &str, value: &Value) {
        let kind = match value {
            Value::Mapping(_) => "a mapping",
            Value::Sequence(_) => "a list in a list",
            Value::Tagged(_) => "a tagged value",
            _ => return,
        };
        let what = format!("`{field}` is compared with {kind}, which no event meets");
        let hint = match value {
            Value::Mapping(_) => "name the whole path: `objectRef.resource: pods`",
            _ => "a text, a number, `true`, `false`, `null`, or a list of these",
        };
        self.wrong(field, what, Some(hint.to_owned()));
    }
}

/// Returns, for each correlation of a file, whether it has a condition.
///
/// The parser makes one of its own where there is none, which would be met by one rule of several.
pub(super) fn conditions(text: &str) -> Vec<bool> {
    let documents = yaml_serde::Deserializer::from_str(text);
    let values = documents.filter_map(|document| Value::deserialize(document).ok());
    let correlations = values.filter_map(|value| value.get("correlation").cloned());
    correlations
        .map(|correlation| correlation.get("condition").is_some())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn told(text: &str) -> Vec<(Option<usize>, String)> {
        let errors = check("r.yml", text).err().unwrap_or_default();
        let told = errors.into_iter();
        told.map(|error| (error.line, error.what)).collect()
    }

    #[test]
    fn what_would_be_read_as_something_else_is_told_with_its_line() {
        let correlation = "title: c\ncorrelation:\n  type: event_count\n  rules: [a]\n  group_by: [x]\n  \
                           window: session\n  condition:\n    gte: -1\n    lt: 1.5\n    fields: x\n";
        let expected = [
            (Some(5), "`group_by` is no key of a correlation"),
            (
                Some(6),
                "windows slide here: no other `window` is evaluated",
            ),
            (
                Some(10),
                "`fields` is no key of the condition of a correlation",
            ),
            (Some(8), "`gte` takes a whole number, 0 or more"),
            (Some(9), "`lt` takes a whole number, 0 or more"),
        ];
        let expected = expected.map(|(line, what)| (line, what.to_owned()));
        assert_eq!(told(correlation), expected);
        let second = format!("title: a\n---\n{correlation}");
        let lines = told(&second).into_iter().map(|(line, _)| line);
        let moved = expected.map(|(line, _)| line.map(|line| line + 2));
        assert_eq!(lines.collect::<Vec<_>>(), moved);
    }

    #[test]
    fn values_that_no_event_has_are_told() {
        let rule = |selection: &str| format!("detection:\n  s:\n    {selection}\n  condition: s\n");
        for value in [
            "objectRef: {resource: pods}",
            "verb: [[get]]",
            "verb: !x get",
            "containers[any]: [{image: a}]",
            "- verb: {a: b}",
        ] {
            let told = told(&rule(value));
            assert_eq!(told.len(), 1, "{value}: {told:?}");
            assert_eq!(told[0].0, Some(3), "{value}");
        }
        for value in [
            "verb: [get, null, 5]",
            "containers[any]: {image: a, 'ports[all]': {hostPort: 80}}",
            "containers[any]: {a: {image: b}, condition: not a}",
            "- word",
            "- verb: get",
            "verb: ''",
        ] {
            assert_eq!(told(&rule(value)), [], "{value}");
        }
        assert_eq!(told("detection: {s: {}, condition: []}").len(), 2);
    }

    #[test]
    fn a_filter_says_of_which_rules() {
        let filter =
            |rules: &str| format!("filter:\n  {rules}\n  s: {{verb: get}}\n  condition: not s\n");
        assert_eq!(told(&filter("ruls: [a]")).len(), 1);
        assert_eq!(told(&filter("rules: []")).len(), 1);
        assert_eq!(told(&filter("rules: any")), []);
        assert_eq!(told(&filter("rules: [a]")), []);
    }
}
