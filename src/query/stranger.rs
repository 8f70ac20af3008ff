//! Strangers: values that a question was told and that no event has.
//!
//! Comes in: a question and its parameters. Goes out: those of them that the query compares with columns in which they
//! do not occur, each with the value that is meant, probably. Values are texts of the log, not clean.

use std::fmt;
use std::sync::atomic::AtomicBool;

use super::bind::{compared, literal};
use super::question::ParameterKind;
use super::{Cell, QueryError, Question, Tables};
use crate::store::{Field, Kind};

/// Letters by which a value that is meant differs at most.
const LETTERS: usize = 3;

/// A value that no event has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// The value.
    pub value: String,
    /// The columns that it was looked for in.
    pub columns: Vec<&'static str>,
    /// One that occurs there and is like it.
    pub near: Option<String>,
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        let columns = columns.join(" or ");
        write!(f, "no event has `{}` in {columns}", self.value)?;
        match &self.near {
            Some(near) => write!(f, "; did you mean `{near}`?"),
            None => Ok(()),
        }
    }
}

impl Tables {
    /// Returns what of `given` occurs in none of the columns that `question` compares it with.
    ///
    /// # Errors
    /// When the events cannot be read, or it was stopped.
    pub fn strangers(
        &self,
        question: &Question,
        given: &[(String, String)],
        stop: &AtomicBool,
    ) -> Result<Vec<Stranger>, QueryError> {
        let compared = compared(&question.sql);
        let mut strangers = Vec::new();
        for parameter in &question.parameters {
            let given = given.iter().rfind(|(name, _)| *name == parameter.name);
            let Some((_, value)) = given.filter(|(_, value)| {
                !value.is_empty() && Some(value) != parameter.default.as_ref()
            }) else {
                continue;
            };
            let mut columns: Vec<&'static str> = Vec::new();
            let with_it = compared.iter().filter(|(name, _)| *name == parameter.name);
            for field in with_it.filter_map(|(_, column)| Field::by_name(column)) {
                let is_text = matches!(field.kind(), Kind::Code | Kind::Text);
                if is_text && !columns.contains(&field.name()) {
                    columns.push(field.name());
                }
            }
            if parameter.kind != ParameterKind::Text || columns.is_empty() {
                continue;
            }
            if !self.occurs(value, &columns, stop)? {
                strangers.push(Stranger {
                    near: self.nearest(value, &columns, stop)?,
                    value: value.clone(),
                    columns,
                });
            }
        }
        Ok(strangers)
    }

    fn occurs(&self, value: &str, columns: &[&str], stop: &AtomicBool) -> Result<bool, QueryError> {
        let value = literal(value);
        let tests: Vec<String> = columns
            .iter()
            .map(|name| format!("{name} = {value}"))
            .collect();
        let sql = format!(
            "SELECT COUNT(*) AS n FROM events WHERE {}",
            tests.join(" OR ")
        );
        Ok(!matches!(
            self.ask(&sql, stop)?.row(0)[..],
            [Cell::Integer(0)]
        ))
    }

    fn nearest(
        &self,
        value: &str,
        columns: &[&str],
        stop: &AtomicBool,
    ) -> Result<Option<String>, QueryError> {
        let mut nearest: Option<(usize, String)> = None;
        for name in columns {
            let sql = format!("SELECT DISTINCT {name} AS v FROM events WHERE {name} IS NOT NULL");
            let answer = self.ask(&sql, stop)?;
            let texts = (0..answer.height()).filter_map(|row_idx| answer.row(row_idx).pop());
            let near = texts.filter_map(|cell| {
                let text = cell.show();
                Some((distance(value, &text)?, text))
            });
            nearest = nearest.into_iter().chain(near).min();
        }
        Ok(nearest.map(|(_, text)| text))
    }
}

/// Returns in how many letters two values differ, whatever their case, if these are few.
fn distance(meant: &str, text: &str) -> Option<usize> {
    let length = meant.chars().count();
    let few = (length / 4).clamp(1, LETTERS);
    // Long texts are only compared with others of their length.
    if length.abs_diff(text.chars().take(length + few + 1).count()) > few {
        return None;
    }
    let distance = strsim::osa_distance(&meant.to_lowercase(), &text.to_lowercase());
    (distance <= few).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_in_few_letters_is_near() {
        let check = |meant: &str, text: &str, expected: Option<usize>| {
            assert_eq!(distance(meant, text), expected, "{meant} {text}");
        };
        check("deployment", "deployments", Some(1));
        check("alise", "alice", Some(1));
        check("Alice", "alice", Some(0));
        check("pod", "pods", Some(1));
        check("alise", "bob", None);
        check("pod", "nodes", None);
        let name = |name: &str| format!("system:serviceaccount:default:{name}");
        check(&name("web-one"), &name("frontend"), None);
        check(&"x".repeat(1 << 20), "x", None);
    }
}
