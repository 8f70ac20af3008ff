//! Deeds: requests as a person reads them, one a line.

use super::rows::Reader;
use super::{Built, Sources, link};
use crate::frame::Column;
use crate::store::{Field, Row};
use crate::tui::document::{Line, Look, Part};
use crate::tui::pivot::Object;

const FIELDS: [Column; 10] = [
    Column::Verb,
    Column::Resource,
    Column::Subresource,
    Column::Namespace,
    Column::Name,
    Column::RequestUri,
    Column::Username,
    Column::PeerIp,
    Column::Outcome,
    Column::Code,
];

/// One request.
pub(super) struct Deed {
    pub(super) row: Row,
    pub(super) time: i64,
    verb: String,
    subresource: String,
    object: Object,
    uri: String,
    username: String,
    peer: String,
    outcome: String,
    code: i64,
}

impl Deed {
    /// Returns what `rows`, which are in any order, say; in the order of time.
    pub(super) fn read(mut rows: Vec<Row>, reader: Reader<'_>) -> Built<Vec<Self>> {
        rows.sort_unstable();
        let fields = FIELDS.map(Field::from);
        let mut deeds = reader.gather(&rows, &fields, |deeds: &mut Vec<Self>, cells| {
            let text = |at: usize| cells.text(at).into_owned();
            deeds.push(Self {
                row: cells.row,
                time: cells.time,
                verb: text(0),
                subresource: text(2),
                object: Object {
                    resource: text(1),
                    namespace: text(3),
                    name: text(4),
                },
                uri: text(5),
                username: text(6),
                peer: text(7),
                outcome: text(8),
                code: cells.number(9),
            });
        })?;
        deeds.sort_by_key(|deed| (deed.time, deed.row));
        Ok(deeds)
    }

    /// Returns it on a line: when, what, to what, and how it ended.
    pub(super) fn line(&self, sources: &Sources<'_>) -> Line {
        let mut parts = vec![
            link::event(&sources.clock.show(self.time), self.row),
            Part::from(format!("  {} ", self.verb)),
        ];
        if self.object.resource.is_empty() {
            parts.push(Part::from(self.uri.as_str()));
        } else if self.object.name.is_empty() {
            parts.push(Part::from(self.object.to_string()));
        } else {
            parts.push(link::object(&self.object));
        }
        if !self.subresource.is_empty() {
            parts.push(Part::from(format!(" {}", self.subresource)));
        }
        parts.push(Part::from("  "));
        parts.push(outcome(&self.outcome, self.code));
        Line::new(parts).indented(2)
    }

    /// Returns who did it, and from where.
    pub(super) fn who(&self) -> [Part; 4] {
        [
            Part::from("  "),
            link::identity(&self.username),
            Part::from("  "),
            link::address(&self.peer),
        ]
    }
}

/// Returns how a request ended.
pub(super) fn outcome(outcome: &str, code: i64) -> Part {
    match outcome {
        "" => Part::new("no response", Look::Dim),
        "ok" => Part::new(&format!("ok {code}"), Look::Good),
        "error" => Part::new(&format!("error {code}"), Look::Plain),
        refused => Part::new(&format!("{refused} {code}"), Look::Bad),
    }
}
