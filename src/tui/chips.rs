//! Chips: the filters of events as people see them, each of which can be switched off.

use std::fmt::Write as _;
use std::sync::Arc;

use regex::Regex;

use super::clock::Clock;
use crate::frame::Column;
use crate::store::filter::{Filter, Rows, SEARCHED, Test};
use crate::store::{Field, Kind, Row};

/// The filters of events.
#[derive(Debug, Clone, Default)]
pub struct Chips {
    /// What rows stand for.
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

/// What a filter asks of a row.
#[derive(Debug, Clone)]
pub enum Ask {
    /// That a field has a value; the empty one is none.
    Value(Field, String),
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
        match &self.ask {
            Ask::Value(field, value) if value.is_empty() => {
                format!("{} {sign} (none)", field.name())
            }
            Ask::Value(field, value) => format!("{} {sign} {value}", field.name()),
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
            (Ask::Time(..) | Ask::Among(..), true) => return None,
        })
    }

    /// Returns the condition as SQL.
    fn sql(&self) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let not = if self.is_negated { "NOT " } else { "" };
        match &self.ask {
            Ask::Value(field, value) if value.is_empty() => {
                format!("{} IS {not}NULL", field.name())
            }
            Ask::Value(field, value) if field.kind() == Kind::List => {
                let element = serde_json::to_string(value).unwrap_or_default();
                let condition =
                    format!("{} LIKE {}", field.name(), quoted(&format!("%{element}%")));
                if self.is_negated {
                    format!("({} IS NULL OR NOT {condition})", field.name())
                } else {
                    condition
                }
            }
            Ask::Value(field, value) => {
                let value = match field.kind() {
                    Kind::Number | Kind::Float | Kind::Flag => value.clone(),
                    _ => quoted(value),
                };
                if self.is_negated {
                    format!("({0} IS NULL OR {0} <> {value})", field.name())
                } else {
                    format!("{} = {value}", field.name())
                }
            }
            Ask::Text(pattern) => {
                let pattern = quoted(pattern.as_str());
                let fields =
                    SEARCHED.map(|column| format!("COALESCE({}, '') ~ {pattern}", column.name()));
                format!("{not}({})", fields.join(" OR "))
            }
            Ask::Time(from, to) => {
                format!(
                    "ms >= {} AND ms < {}",
                    from.div_euclid(1000),
                    to.div_euclid(1000) + 1
                )
            }
            Ask::Among(rows, what) => {
                format!("TRUE /* the {} rows of {what} */", rows.len()).replace("*/ */", "*/")
            }
        }
    }
}

impl Chips {
    /// Sets a filter; the same one is not set twice.
    pub fn add(&mut self, ask: Ask, is_negated: bool) {
        let same = |chip: &Chip| {
            chip.is_negated == is_negated
                && match (&chip.ask, &ask) {
                    (Ask::Value(a, b), Ask::Value(c, d)) => a == c && b == d,
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
        let mut sql = format!("FROM {table}");
        let on = self.chips.iter().filter(|chip| chip.is_on);
        for (at, chip) in on.enumerate() {
            let word = if at == 0 { "WHERE" } else { "  AND" };
            let _ = write!(sql, "\n{word} {}", chip.sql());
        }
        sql
    }
}

/// Columns that events are shown with at first.
pub const SHOWN: [Column; 9] = [
    Column::StageTs,
    Column::Code,
    Column::Verb,
    Column::Resource,
    Column::Namespace,
    Column::Name,
    Column::Username,
    Column::PeerIp,
    Column::UserAgent,
];
