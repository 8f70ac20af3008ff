//! Cells: values of the events around the cursor, as workers fetched them.

use std::collections::BTreeMap;

use super::pivot::{Object, Place};
use super::work::Ticket;
use crate::frame::Column;
use crate::store::Field;

/// Fields that are fetched besides those shown.
pub const HIDDEN: [Column; 13] = [
    Column::Resource,
    Column::Namespace,
    Column::Name,
    Column::File,
    Column::Line,
    Column::Offset,
    Column::Length,
    Column::AuditId,
    Column::Outcome,
    Column::StageTs,
    Column::Verb,
    Column::Username,
    Column::RequestUri,
];

/// When and who did what in events, by file and offset.
pub type Labels = BTreeMap<(String, u64), (i64, String)>;

/// Fields that say in a line who did what.
pub const LABEL: [Column; 6] = [
    Column::Username,
    Column::Verb,
    Column::Resource,
    Column::Namespace,
    Column::Name,
    Column::Outcome,
];

/// Returns the values of [`LABEL`] as a line.
pub fn label(values: [&str; 6]) -> String {
    let [who, what @ ..] = values;
    let who = if who.is_empty() { "(no name)" } else { who };
    let parts: Vec<&str> = [who].into_iter().chain(what).collect();
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(" ")
}

/// Values of rows around the cursor.
#[derive(Debug, Default)]
pub struct Cells {
    /// Place of the first row.
    pub first: usize,
    /// By row, by field: those shown, then [`HIDDEN`].
    pub rows: Vec<Vec<String>>,
    /// The fields they are of.
    pub fields: Vec<Field>,
    /// Of values on their way.
    pub ticket: Ticket,
    /// What those are of: first row and number.
    pub asked: (usize, usize),
}

/// Values of one row.
#[derive(Debug, Clone, Copy)]
pub struct RowCells<'c> {
    /// Those of the fields that are shown.
    pub shown: &'c [String],
    /// Those of [`HIDDEN`].
    hidden: &'c [String],
}

impl Cells {
    /// Returns the values of the row at that place, once they are known.
    pub fn row(&self, place: usize) -> Option<RowCells<'_>> {
        let cells = self.rows.get(place.checked_sub(self.first)?)?;
        let (shown, hidden) = cells.split_at_checked(self.fields.len())?;
        (hidden.len() == HIDDEN.len()).then_some(RowCells { shown, hidden })
    }
}

impl<'c> RowCells<'c> {
    /// Returns the value of a field of [`HIDDEN`].
    pub fn get(self, column: Column) -> &'c str {
        let at = HIDDEN.iter().position(|hidden| *hidden == column);
        &self.hidden[at.expect("a field that is always fetched")]
    }

    /// Returns where the event stands.
    pub fn place(self) -> Option<Place> {
        let number = |column| self.get(column).parse().ok();
        Some(Place {
            file: self.get(Column::File).to_owned(),
            line: number(Column::Line)?,
            offset: number(Column::Offset)?,
            length: u32::try_from(number(Column::Length)?).ok()?,
            audit_id: self.get(Column::AuditId).to_owned(),
        })
    }

    /// Returns when it was, in microseconds.
    pub fn time(self) -> Option<i64> {
        let time = chrono::DateTime::parse_from_rfc3339(self.get(Column::StageTs)).ok()?;
        Some(time.timestamp_micros())
    }

    /// Returns the object that it is about.
    pub fn object(self) -> Object {
        let [resource, namespace, name] = [Column::Resource, Column::Namespace, Column::Name]
            .map(|column| self.get(column).to_owned());
        Object {
            resource,
            namespace,
            name,
        }
    }
}
