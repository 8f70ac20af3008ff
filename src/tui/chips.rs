//! Chips: the filters of events and of findings as people see them, each of which can be switched off.

use std::fmt::Write as _;
use std::sync::Arc;

use regex::Regex;

use super::aspect::Aspect;
use super::clock::Clock;
use crate::frame::Column;
use crate::query::bind::literal;
use crate::store::filter::{Filter, Rows, SEARCHED, Test};
use crate::store::{Field, Kind, Row};

/// The filters of events, or of findings.
#[derive(Debug, Clone, Default)]
pub struct Chips {
    /// What rows stand for, where they are events.
    pub rows: Rows,
    /// The filters, in the order they were set.
    pub chips: Vec<Chip>,
}

/// One filter.
#[derive(Debug, Clone)]
pub struct Chip {
    /// What it asks.
    pub ask: Ask,
    /// Whether it is asked the other way.
    pub is_negated: bool,
    /// Whether it counts.
    pub is_on: bool,
}

/// What a filter asks of a row, or of a finding.
#[derive(Debug, Clone)]
pub enum Ask {
    /// That a field has a value; the empty one is none.
    Value(Field, String),
    /// That a finding has a value; the empty one is none.
    Aspect(Aspect, String),
    /// That some text matches.
    Text(Regex),
    /// That it is of a stretch of time, in microseconds.
    Time(i64, i64),
    /// That it is one of these, which are called so.
    Among(Arc<[Row]>, String),
}

impl Chip {
    /// Returns it in words; the text is the log's.
    pub fn label(&self, clock: Clock) -> String {
        let sign = if self.is_negated { "≠" } else { "=" };
        let value = |name: &str, value: &str| match value {
            "" => format!("{name} {sign} (none)"),
            value => format!("{name} {sign} {value}"),
        };
        match &self.ask {
            Ask::Value(field, text) => value(field.name(), text),
            Ask::Aspect(aspect, text) => value(aspect.name(), text),
            Ask::Text(pattern) if self.is_negated => format!("not /{pattern}/"),
            Ask::Text(pattern) => format!("/{pattern}/"),
            Ask::Time(from, to) => {
                let not = if self.is_negated { "not " } else { "" };
                format!("{not}{} .. {}", clock.show(*from), clock.show_short(*to))
            }
            Ask::Among(rows, what) => {
                let not = if self.is_negated { "not " } else { "" };
                format!("{not}{} rows of {what}", rows.len())
            }
        }
    }

    fn test(&self) -> Option<Test> {
        Some(match (&self.ask, self.is_negated) {
            (Ask::Value(field, value), false) => Test::Is(*field, value.clone()),
            (Ask::Value(field, value), true) => Test::IsNot(*field, value.clone()),
            (Ask::Text(pattern), false) => Test::Search(pattern.clone()),
            (Ask::Text(pattern), true) => Test::SearchNot(pattern.clone()),
            (Ask::Time(from, to), false) => Test::Time(*from, *to),
            (Ask::Among(rows, _), false) => Test::Among(Arc::clone(rows)),
            // Nobody can ask for these.
            (Ask::Time(..) | Ask::Among(..), true) | (Ask::Aspect(..), _) => return None,
        })
    }

    /// Returns the condition as SQL.
    fn sql(&self) -> String {
        let not = if self.is_negated { "NOT " } else { "" };
        match &self.ask {
            Ask::Value(field, value) if value.is_empty() => {
                format!("{} IS {not}NULL", field.name())
            }
            Ask::Value(field, value) if field.kind() == Kind::List => {
                let element = serde_json::to_string(value).unwrap_or_default();
                let pattern = literal(&regex::escape(&element));
                let condition = format!("{} ~ {pattern}", field.name());
                if self.is_negated {
                    format!("({} IS NULL OR NOT {condition})", field.name())
                } else {
                    condition
                }
            }
            Ask::Value(field, value) => {
                let value = match field.kind() {
                    Kind::Number | Kind::Float | Kind::Flag => value.clone(),
                    _ => literal(value),
                };
                if self.is_negated {
                    format!("({0} IS NULL OR {0} <> {value})", field.name())
                } else {
                    format!("{} = {value}", field.name())
                }
            }
            Ask::Aspect(aspect, value) => aspect.sql(value, self.is_negated),
            Ask::Text(pattern) => {
                let operator = if ignores_case(pattern.as_str()) {
                    "~*"
                } else {
                    "~"
                };
                let pattern = literal(pattern.as_str());
                // A field that is not there matches nothing, not even the empty pattern.
                let fields = SEARCHED.map(|column| {
                    format!("COALESCE({} {operator} {pattern}, FALSE)", column.name())
                });
                format!("{not}({})", fields.join(" OR "))
            }
            Ask::Time(from, to) => {
                let clock = Clock::Utc;
                format!(
                    "{TIME} >= {from} AND {TIME} < {to} /* {} .. {} */",
                    clock.show(*from),
                    clock.show(*to)
                )
            }
            Ask::Among(rows, what) => no_condition(&format!("the {} rows of {what}", rows.len())),
        }
    }
}

impl Chips {
    /// Sets a filter; the same one is not set twice.
    pub fn add(&mut self, ask: Ask, is_negated: bool) {
        // A status of 0 is none.
        let ask = match ask {
            Ask::Value(field, value) if field == Column::Code.into() && value == "0" => {
                Ask::Value(field, String::new())
            }
            ask => ask,
        };
        let same = |chip: &Chip| {
            chip.is_negated == is_negated
                && match (&chip.ask, &ask) {
                    (Ask::Value(a, b), Ask::Value(c, d)) => a == c && b == d,
                    (Ask::Aspect(a, b), Ask::Aspect(c, d)) => a == c && b == d,
                    (Ask::Text(a), Ask::Text(b)) => a.as_str() == b.as_str(),
                    (Ask::Time(a, b), Ask::Time(c, d)) => a == c && b == d,
                    _ => false,
                }
        };
        if let Some(chip) = self.chips.iter_mut().find(|chip| same(chip)) {
            chip.is_on = true;
            return;
        }
        self.chips.push(Chip {
            ask,
            is_negated,
            is_on: true,
        });
    }

    /// Returns what to ask of rows.
    pub fn filter(&self) -> Filter {
        let on = self.chips.iter().filter(|chip| chip.is_on);
        Filter {
            rows: self.rows,
            tests: on.filter_map(Chip::test).collect(),
        }
    }

    /// Returns the table and the conditions as SQL.
    pub fn sql(&self) -> String {
        let table = match self.rows {
            Rows::Requests => "requests",
            Rows::Events => "events",
        };
        self.sql_from(table, Chip::sql)
    }

    /// Returns the same of findings; what they are searched for is no condition there.
    pub fn sql_of_findings(&self) -> String {
        self.sql_from("findings", |chip| match chip.ask {
            Ask::Text(_) => no_condition(&chip.label(Clock::Utc)),
            _ => chip.sql(),
        })
    }

    fn sql_from(&self, table: &str, condition: impl Fn(&Chip) -> String) -> String {
        let mut sql = format!("FROM {table}");
        let on = self.chips.iter().filter(|chip| chip.is_on);
        for (at, chip) in on.enumerate() {
            let word = if at == 0 { "WHERE" } else { "  AND" };
            let _ = write!(sql, "\n{word} {}", condition(chip));
        }
        sql
    }
}

/// Returns what stands in SQL for a filter that SQL does not know.
pub(super) fn no_condition(label: &str) -> String {
    format!("TRUE /* {} */", label.replace("*/", "* /"))
}

/// The time that rows have their place by, in microseconds, as SQL.
pub const TIME: &str = "CAST(COALESCE(stage_ts, ts) AS BIGINT)";

/// Returns whether a pattern that was typed matches letters of both cases: it has no large one.
pub fn ignores_case(pattern: &str) -> bool {
    !pattern.chars().any(char::is_uppercase)
}

/// Columns that events are shown with at first: when, who, what, from where.
pub const SHOWN: [Column; 9] = [
    Column::StageTs,
    Column::Code,
    Column::Username,
    Column::Verb,
    Column::Resource,
    Column::Namespace,
    Column::Name,
    Column::PeerIp,
    Column::UserAgent,
];
