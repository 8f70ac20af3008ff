//! The life of an object: what was done to it, in order of time, a line each.

use hashbrown::HashSet;

use super::rows::Reader;
use super::{Built, Sources, deed, link, page};
use crate::detect::view;
use crate::frame::Column;
use crate::store::field::Derived;
use crate::store::{Field, Row};
use crate::tui::document::{Document, Line, Look, Part};
use crate::tui::pivot::Object;

/// Requests listed before "+N more".
const SHOWN: usize = 300;
/// Fields of the requests that are listed.
const LISTED: [Field; 14] = [
    Field::Column(Column::Verb),
    Field::Column(Column::Subresource),
    Field::Column(Column::Username),
    Field::Column(Column::PeerIp),
    Field::Column(Column::Outcome),
    Field::Column(Column::Code),
    Field::Column(Column::ObjectUid),
    Field::Column(Column::Name),
    Field::Derived(Derived::FieldManager),
    Field::Derived(Derived::RoleRef),
    Field::Derived(Derived::Subjects),
    Field::Derived(Derived::PodFlags),
    Field::Derived(Derived::PodServiceAccount),
    Field::Column(Column::RequestUri),
];

/// Place of the path among [`LISTED`].
const URI: usize = 13;

/// Appends the requests, each given with its time.
pub(super) fn section(
    document: &mut Document,
    object: &Object,
    requests: &[(i64, Row)],
    n_status: u64,
    sources: &Sources<'_>,
    reader: Reader<'_>,
) -> Built<()> {
    let mut all = requests.to_vec();
    all.sort_unstable();
    document.heading(&format!("What happened to it ({})", all.len()));
    if n_status > 0 {
        let text = format!("{n_status} writes of its status are not listed");
        page::note(document, &text);
    }
    let mut rows: Vec<Row> = all.iter().take(SHOWN).map(|&(_, row)| row).collect();
    rows.sort_unstable();
    let mut entries = reader.gather(&rows, &LISTED, |entries: &mut Vec<Entry>, cells| {
        entries.push(Entry {
            time: cells.time,
            row: cells.row,
            texts: (0..LISTED.len())
                .map(|at| cells.text(at).into_owned())
                .collect(),
            code: cells.number(5),
        });
    })?;
    entries.sort_by_key(|entry| (entry.time, entry.row));
    // An uid is never given twice: another one is another object of that name.
    let mut uid = String::new();
    let mut lives: HashSet<String> = HashSet::new();
    let mut n_created = 0;
    for entry in &entries {
        let mut line = entry.line(object, sources);
        if entry.creates() {
            n_created += 1;
            if n_created > 1 && !object.name.is_empty() {
                line.parts.push(Part::new("  created again", Look::Bad));
            }
        }
        let logged = &entry.texts[6];
        if !logged.is_empty() && *logged != uid {
            let is_new = lives.insert(logged.clone());
            if is_new && lives.len() > 1 && !object.name.is_empty() {
                line.parts
                    .push(Part::new("  re-created: another uid", Look::Bad));
            }
            uid.clone_from(logged);
        }
        document.lines.push(line);
        entry.details(document);
    }
    page::more(document, all.len(), SHOWN);
    Ok(())
}

/// One line of the list.
struct Entry {
    time: i64,
    row: Row,
    /// By [`LISTED`]; a number as text.
    texts: Vec<String>,
    code: i64,
}

impl Entry {
    /// Returns whether it made the object.
    fn creates(&self) -> bool {
        let [verb, subresource, _, _, outcome, ..] = &self.texts[..] else {
            unreachable!("every field has a text");
        };
        verb == "create" && subresource.is_empty() && outcome == "ok" && !self.is_dry_run()
    }

    fn is_dry_run(&self) -> bool {
        view::is_dry_run(&self.texts[0], &self.texts[URI], None)
    }

    fn line(&self, object: &Object, sources: &Sources<'_>) -> Line {
        let [verb, subresource, username, peer, outcome, ..] = &self.texts[..] else {
            unreachable!("every field has a text");
        };
        let deed = match &subresource[..] {
            "" => verb.clone(),
            subresource => format!("{verb} {subresource}"),
        };
        let mut parts = vec![
            link::event(&sources.clock.show(self.time), self.row),
            Part::from(format!("  {deed}  ")),
            link::identity(username),
            Part::from("  "),
            deed::outcome(outcome, self.code),
            Part::from("  "),
            link::address(peer),
        ];
        if verb == "deletecollection" && !object.name.is_empty() && self.texts[7].is_empty() {
            let text = if view::is_selective(&self.texts[URI]) {
                "  all that a selector chooses"
            } else {
                "  all of the namespace"
            };
            parts.push(Part::new(text, Look::Bad));
        }
        if self.is_dry_run() {
            parts.push(Part::new("  dry run", Look::Dim));
        }
        let manager = &self.texts[8];
        if !manager.is_empty() {
            parts.push(Part::new(&format!("  as manager {manager}"), Look::Dim));
        }
        Line::new(parts).indented(2)
    }

    /// Appends what the body said, if it was logged.
    fn details(&self, document: &mut Document) {
        let labels = ["role", "subjects", "flags", "account"];
        for (label, text) in labels.iter().zip(&self.texts[9..URI]) {
            if text.is_empty() {
                continue;
            }
            let look = if *label == "flags" {
                Look::Bad
            } else {
                Look::Plain
            };
            let parts = [
                Part::new(&format!("{label} "), Look::Dim),
                Part::new(text, look),
            ];
            document.lines.push(Line::new(parts).indented(6));
        }
    }
}
