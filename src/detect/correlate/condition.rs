//! The condition of a correlation, read from its rule.

use rsigma_parser::{
    ConditionExpr, ConditionOperator, CorrelationCondition, CorrelationRule, CorrelationType,
    Quantifier,
};

use super::super::request::Request;
use super::super::tree::{Tree, selects};
use super::super::view;
use crate::frame::{Column, Vocabulary};
use crate::rules::{RuleError, RuleMeta};

/// What has to hold in a window.
#[derive(Clone)]
pub(super) enum Condition {
    /// So many requests.
    Requests(Vec<Predicate>),
    /// So many distinct values.
    Values(Vec<Predicate>),
    /// A figure of all values.
    Measure(Measure, Vec<Predicate>),
    /// Hits of so many of the rules; of all, unless said otherwise.
    Rules(Vec<Predicate>),
    /// A hit of every rule, one after the other.
    Sequence,
    /// Rules that hit and rules that do not; judged when the window is over.
    Expression(Tree<usize>),
}

pub(super) type Predicate = (ConditionOperator, u64);

#[derive(Clone, Copy)]
pub(super) enum Measure {
    Sum,
    Average,
    /// The nearest rank, in percent.
    Percentile(u64),
}

/// Where a value comes from.
#[derive(Clone, Copy)]
pub(super) enum Source {
    Column(Column),
    /// How long the request lasted.
    Seconds,
}

/// Reads the condition, and the names of the fields that it counts or measures.
pub(super) fn condition(
    rule: &CorrelationRule,
    meta: &RuleMeta,
) -> Result<(Condition, Vec<String>), RuleError> {
    let wrong = |what: &str| {
        let what = format!(
            "a correlation of type `{}` {what}",
            rule.correlation_type.as_str()
        );
        RuleError::at(&meta.path, &meta.text, "correlation:", what)
    };
    let kind = rule.correlation_type;
    let is_temporal = matches!(
        kind,
        CorrelationType::Temporal | CorrelationType::TemporalOrdered
    );
    let (predicates, field, percentile) = match &rule.condition {
        CorrelationCondition::Extended(expression) if kind == CorrelationType::Temporal => {
            let tree = expression_of(expression, &rule.rules).map_err(|what| wrong(&what))?;
            return Ok((Condition::Expression(tree), Vec::new()));
        }
        CorrelationCondition::Extended(_) => {
            return Err(wrong("takes no condition over rules; `temporal` does"));
        }
        CorrelationCondition::Threshold {
            predicates,
            field,
            percentile,
        } => (
            predicates.clone(),
            field.clone().unwrap_or_default(),
            *percentile,
        ),
    };
    if predicates.is_empty() && !is_temporal {
        return Err(wrong("needs a condition such as `gte: 10`"));
    }
    let n_rules = rule.rules.len() as i128;
    let holds_for = |n: i128| {
        let mut predicates = predicates.iter();
        predicates.all(|&(operator, limit)| holds(n, operator, limit.into()))
    };
    if kind == CorrelationType::TemporalOrdered
        && !predicates.is_empty()
        && (!holds_for(n_rules) || holds_for(n_rules - 1))
    {
        return Err(wrong(
            "asks for all its rules: no other condition is evaluated",
        ));
    }
    let needs_field = !is_temporal && kind != CorrelationType::EventCount;
    if needs_field && field.is_empty() {
        return Err(wrong("needs `field` in its condition"));
    }
    let measure = |measure| {
        if field.len() == 1 {
            Ok(Condition::Measure(measure, predicates.clone()))
        } else {
            Err(wrong("measures one field"))
        }
    };
    let condition = match kind {
        CorrelationType::EventCount => Condition::Requests(predicates),
        CorrelationType::ValueCount => Condition::Values(predicates),
        CorrelationType::Temporal if predicates.is_empty() => {
            Condition::Rules(vec![(ConditionOperator::Gte, rule.rules.len() as u64)])
        }
        CorrelationType::Temporal => Condition::Rules(predicates),
        CorrelationType::TemporalOrdered => Condition::Sequence,
        CorrelationType::ValueSum => measure(Measure::Sum)?,
        CorrelationType::ValueAvg => measure(Measure::Average)?,
        CorrelationType::ValueMedian => measure(Measure::Percentile(50))?,
        CorrelationType::ValuePercentile => {
            measure(Measure::Percentile(percentile.unwrap_or(50).min(100)))?
        }
    };
    Ok((condition, if needs_field { field } else { Vec::new() }))
}

/// Turns a condition over rules into a tree over their positions.
fn expression_of(expression: &ConditionExpr, rules: &[String]) -> Result<Tree<usize>, String> {
    let all = |parts: &[ConditionExpr]| {
        let parts = parts.iter().map(|part| expression_of(part, rules));
        parts.collect::<Result<Vec<_>, _>>()
    };
    Ok(match expression {
        ConditionExpr::And(parts) => Tree::and(all(parts)?),
        ConditionExpr::Or(parts) => Tree::or(all(parts)?),
        ConditionExpr::Not(part) => expression_of(part, rules)?.negate(),
        ConditionExpr::Identifier(name) => {
            let position = rules.iter().position(|rule| rule == name);
            Tree::Test(position.ok_or_else(|| format!("does not name the rule `{name}`"))?)
        }
        ConditionExpr::Selector {
            quantifier,
            pattern,
        } => {
            let named = rules.iter().enumerate();
            let named = named.filter(|(_, name)| selects(pattern, name));
            let parts: Vec<_> = named.map(|(position, _)| Tree::Test(position)).collect();
            match quantifier {
                _ if parts.is_empty() => return Err(format!("names no rule like `{pattern}`")),
                Quantifier::All => Tree::and(parts),
                Quantifier::Any => Tree::or(parts),
                Quantifier::Count(n) => {
                    Tree::AtLeast(usize::try_from(*n).unwrap_or(usize::MAX), parts)
                }
            }
        }
    })
}

pub(super) fn source(meta: &RuleMeta, name: &str) -> Result<Source, RuleError> {
    if name == "session.seconds" {
        return Ok(Source::Seconds);
    }
    let column = Column::by_name(name).or_else(|| Column::by_path(name));
    let column = column.filter(|&column| column == Column::Code || Request::carries(column));
    column.map(Source::Column).ok_or_else(|| {
        let what = format!("cannot count or measure `{name}`");
        let hint = "a column of the events, or `session.seconds`";
        RuleError::at(&meta.path, &meta.text, name, what).hint(hint)
    })
}

impl Source {
    /// Returns the value as a number, in millionths; `None` if it is none.
    pub(super) fn figure(self, request: &Request<'_>, vocabulary: &Vocabulary) -> Option<i64> {
        let number = match self {
            Self::Column(Column::Code) => (request.code != 0).then_some(request.code.into())?,
            Self::Seconds => view::seconds(request.received, request.ts)?,
            Self::Column(column) => {
                let text = std::str::from_utf8(request.value_of(column, vocabulary)).ok()?;
                text.trim().parse::<f64>().ok()?
            }
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "what is too large is the largest"
        )]
        number.is_finite().then(|| (number * 1e6).round() as i64)
    }
}

pub(super) fn holds(measure: i128, operator: ConditionOperator, limit: i128) -> bool {
    match operator {
        ConditionOperator::Lt => measure < limit,
        ConditionOperator::Lte => measure <= limit,
        ConditionOperator::Gt => measure > limit,
        ConditionOperator::Gte => measure >= limit,
        ConditionOperator::Eq => measure == limit,
        ConditionOperator::Neq => measure != limit,
    }
}
