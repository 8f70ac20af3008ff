//! The card of a value that has none of its own, such as a user agent or a namespace: who has it, and when.

use super::rows::{Cells, Merge, Reader};
use super::tally::{Count, Tally};
use super::{Built, Sources, link, page};
use crate::frame::Column;
use crate::store::Field;
use crate::store::filter::Test;
use crate::tui::document::{Document, Look, Part};

/// Entries of a list before "+N more".
const SHOWN: usize = 15;

const FIELDS: [Column; 5] = [
    Column::Outcome,
    Column::Username,
    Column::PeerIp,
    Column::Verb,
    Column::Resource,
];

#[derive(Default)]
struct Bearers {
    all: Count,
    /// By the fields behind the outcome.
    tallies: [Tally<u32>; 4],
}

impl Merge for Bearers {
    fn merge(&mut self, later: Self) {
        self.all.merge(later.all);
        for (tally, later) in self.tallies.iter_mut().zip(later.tallies) {
            tally.merge(later);
        }
    }
}

impl Bearers {
    fn add(&mut self, cells: &Cells<'_>) {
        let outcome = cells.code(0);
        self.all.add(cells, outcome);
        for (at, tally) in (1..).zip(&mut self.tallies) {
            tally.add(cells.code(at), cells, outcome);
        }
    }
}

pub(super) fn card(
    field: Field,
    value: &str,
    sources: &Sources<'_>,
    reader: Reader<'_>,
) -> Built<Document> {
    let clock = sources.clock;
    let rows = reader.requests(vec![Test::Is(field, value.to_owned())])?;
    let fields = FIELDS.map(Field::from);
    let bearers: Bearers = reader.gather(&rows, &fields, |bearers: &mut Bearers, cells| {
        bearers.add(&cells);
    })?;
    let mut document = Document::new(&format!("{} {value}", field.name()));
    let shown = if value.is_empty() { "nothing" } else { value };
    document.line([
        Part::new(&format!("{} ", field.name()), Look::Dim),
        Part::new(shown, Look::Bold),
    ]);
    document.line([Part::new(field.meaning(), Look::Dim)]);
    document.field("requests", page::outcomes(&bearers.all));
    if bearers.all.requests > 0 {
        document.field("seen", [clock.span(bearers.all.first, bearers.all.last)]);
    }
    let [users, addresses, verbs, resources] = bearers
        .tallies
        .each_ref()
        .map(|tally| tally.ranked(reader.vocabulary()));
    page::counts(
        &mut document,
        "Identities",
        &users,
        SHOWN,
        clock,
        link::identity,
    );
    page::counts(
        &mut document,
        "Addresses",
        &addresses,
        SHOWN,
        clock,
        link::address,
    );
    let link_to = |column: Column| {
        move |text: &str| match text {
            "" => Part::new("none", Look::Dim),
            text => link::value(column, text),
        }
    };
    page::counts(
        &mut document,
        "Verbs",
        &verbs,
        SHOWN,
        clock,
        link_to(Column::Verb),
    );
    let resource = link_to(Column::Resource);
    page::counts(
        &mut document,
        "Resources",
        &resources,
        SHOWN,
        clock,
        resource,
    );
    Ok(document)
}
