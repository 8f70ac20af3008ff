//! Where in its file a rule stands, and what it says of what it looks for.

use rsigma_parser::{
    ConditionOperator, CorrelationCondition, CorrelationRule, CorrelationType, WindowMode,
};

use super::{Rule, RuleBody, RuleMeta};

/// A part of a rule file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    /// Number of its first line in the file, from 1.
    pub line: usize,
    /// Its lines.
    pub text: &'a str,
}

impl<'a> Block<'a> {
    /// Returns the lines with their numbers.
    pub fn lines(self) -> impl Iterator<Item = (usize, &'a str)> {
        (self.line..).zip(self.text.lines())
    }

    /// Returns what stands under a key of the top level, the key included.
    pub fn key(self, key: &str) -> Option<Self> {
        let is_start = |line: &str| {
            let rest = line.strip_prefix(key);
            rest.is_some_and(|rest| rest.starts_with(':'))
        };
        let mut start = None;
        let (mut offset, mut end) = (0, self.text.len());
        for ((number, line), raw) in self.lines().zip(self.text.split_inclusive('\n')) {
            let is_deeper = line.is_empty() || line.starts_with([' ', '\t', '-', '#']);
            match start {
                None if is_start(line) => start = Some((number, offset)),
                Some(_) if !is_deeper => {
                    end = offset;
                    break;
                }
                _ => {}
            }
            offset += raw.len();
        }
        let (line, start) = start?;
        let text = self.text[start..end].trim_end();
        Some(Self { line, text })
    }

    /// Returns the number of the first line that holds `needle`.
    pub fn find(self, needle: &str) -> Option<usize> {
        let mut lines = self.lines();
        lines
            .find(|(_, line)| !needle.is_empty() && line.contains(needle))
            .map(|(number, _)| number)
    }
}

impl RuleMeta {
    /// Returns the document that the rule is in, of a file that may hold several.
    pub fn document(&self) -> Block<'_> {
        let documents = documents(&self.text);
        let is_own = |block: &&Block<'_>| {
            let says = |key: &str, value: &str| {
                let is_value = |line: &str| {
                    let rest = line
                        .strip_prefix(key)
                        .and_then(|rest| rest.strip_prefix(':'));
                    rest.is_some_and(|rest| rest.trim().trim_matches(['"', '\'']) == value)
                };
                block.text.lines().any(is_value)
            };
            says("name", &self.name) || says("id", &self.id) || says("title", &self.title)
        };
        let whole = Block {
            line: 1,
            text: &self.text,
        };
        documents.iter().find(is_own).copied().unwrap_or(whole)
    }
}

impl Rule {
    /// Returns the names of the rules that a correlation looks at: those it counts, then the one whose values it does not.
    pub fn bases(&self) -> impl Iterator<Item = &String> {
        let counted = match &self.body {
            RuleBody::Correlation(correlation) => &correlation.rules[..],
            RuleBody::Sigma(_) | RuleBody::Analytic(_) => &[],
        };
        let is_correlation = matches!(self.body, RuleBody::Correlation(_));
        let discount = self.meta.discount.iter().filter(move |_| is_correlation);
        counted.iter().chain(discount)
    }

    /// Returns the part of the file that says what the rule looks for.
    pub fn looks_for(&self) -> Option<Block<'_>> {
        self.meta.document().key(match self.body {
            RuleBody::Sigma(_) => "detection",
            RuleBody::Correlation(_) => "correlation",
            RuleBody::Analytic(_) => "parameters",
        })
    }
}

/// Returns the documents of a file: `---` stands between them.
pub(super) fn documents(text: &str) -> Vec<Block<'_>> {
    let mut documents = Vec::new();
    let (mut start, mut offset, mut line) = (0, 0, 1);
    for (number, raw) in (1..).zip(text.split_inclusive('\n')) {
        if raw.trim_end() == "---" {
            documents.push(Block {
                line,
                text: &text[start..offset],
            });
            (start, line) = (offset + raw.len(), number + 1);
        }
        offset += raw.len();
    }
    documents.push(Block {
        line,
        text: &text[start..],
    });
    documents.retain(|block| !block.text.trim().is_empty());
    documents
}

/// Says in words what a correlation asks of the requests that its rules hit.
pub fn correlation(rule: &CorrelationRule) -> String {
    let fields = |field: &Option<Vec<String>>| {
        let names: Vec<String> = field
            .iter()
            .flatten()
            .map(|name| format!("`{name}`"))
            .collect();
        names.join(" and ")
    };
    let bases = rule.rules.join(", ");
    let what = match &rule.condition {
        CorrelationCondition::Extended(condition) => format!("{condition}"),
        CorrelationCondition::Threshold {
            predicates,
            field,
            percentile,
        } => {
            let bounds: Vec<String> = predicates
                .iter()
                .map(|(operator, bound)| format!("{} {bound}", operator_words(*operator)))
                .collect();
            let bounds = bounds.join(" and ");
            let field = fields(field);
            let figure = |name: &str| format!("the {name} of {field} is {bounds}: {bases}");
            match rule.correlation_type {
                CorrelationType::EventCount => format!("{bounds} requests that match {bases}"),
                CorrelationType::ValueCount => {
                    format!("{bounds} different values of {field} in requests that match {bases}")
                }
                CorrelationType::Temporal => format!("each of {bases}"),
                CorrelationType::TemporalOrdered => {
                    format!("one after the other {}", rule.rules.join(", then "))
                }
                CorrelationType::ValueSum => figure("sum"),
                CorrelationType::ValueAvg => figure("mean"),
                CorrelationType::ValueMedian => figure("median"),
                CorrelationType::ValuePercentile => {
                    figure(&format!("percentile {}", percentile.unwrap_or(50)))
                }
            }
        }
    };
    let groups = if rule.group_by.is_empty() {
        "over all requests".to_owned()
    } else {
        format!("for each {}", rule.group_by.join(", "))
    };
    let window = match rule.window {
        WindowMode::Sliding => "",
        other => other.as_str(),
    };
    let blank = if window.is_empty() { "" } else { " " };
    format!(
        "{what}, within {}{blank}{window}, {groups}",
        rule.timespan.original
    )
}

fn operator_words(operator: ConditionOperator) -> &'static str {
    match operator {
        ConditionOperator::Lt => "fewer than",
        ConditionOperator::Lte => "at most",
        ConditionOperator::Gt => "more than",
        ConditionOperator::Gte => "at least",
        ConditionOperator::Eq => "exactly",
        ConditionOperator::Neq => "not",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleSet;

    const FILE: &str = "title: A\nname: a\ndetection:\n  s:\n    verb: get\n\n  condition: s\nlevel: low\n---\ntitle: B\nname: b\ndetection:\n  s: {verb: list}\n  # why\n  condition: s\n";

    #[test]
    fn a_file_is_taken_apart() {
        let documents = documents(FILE);
        let lines: Vec<usize> = documents.iter().map(|block| block.line).collect();
        assert_eq!(lines, [1, 10]);
        let detection = documents[0].key("detection").unwrap();
        assert_eq!(detection.line, 3);
        assert!(
            detection.text.ends_with("condition: s"),
            "{}",
            detection.text
        );
        let second = documents[1].key("detection").unwrap();
        assert_eq!((second.line, second.find("# why")), (12, Some(14)));
        assert_eq!(documents[1].key("level"), None);
    }

    #[test]
    fn correlations_are_said_in_words() {
        let set = RuleSet::embedded().unwrap();
        let rule = &set.rules[set.find("anonymous-probing").unwrap()];
        let RuleBody::Correlation(body) = &rule.body else {
            panic!("a correlation")
        };
        assert_eq!(
            correlation(body),
            "at least 6 different values of `requestURI` in requests that match anonymous-denied, \
             within 10m, for each peer_ip"
        );
        assert!(
            rule.looks_for()
                .unwrap()
                .text
                .starts_with("correlation:\n  type: value_count")
        );
    }
}
