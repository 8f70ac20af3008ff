//! The grid of an identity: how often it did what to which kind of object.

use std::cmp::Reverse;
use std::fmt::Write as _;

use hashbrown::HashMap;

use super::tally::Tally;
use super::{link, page};
use crate::frame::{Column, Vocabulary};
use crate::tui::document::{Document, Line, Look, Part};

/// Resources before "+N more".
const RESOURCES: usize = 15;
/// Columns; the last has all other verbs.
const VERBS: [&str; 8] = [
    "get", "list", "watch", "create", "update", "patch", "delete", "other",
];
/// Columns on the screen of a resource and of a number.
const RESOURCE_WIDTH: usize = 22;
const NUMBER_WIDTH: usize = 7;

type Numbers = [u64; VERBS.len()];

/// Appends verbs by resource; `actions` are verbs, resources and subresources.
pub(super) fn section(
    document: &mut Document,
    actions: &Tally<(u32, u32, u32)>,
    vocabulary: &Vocabulary,
) {
    let mut resources: HashMap<u32, Numbers> = HashMap::new();
    let mut totals = [0; VERBS.len()];
    for (&(verb, resource, _), count) in actions.iter() {
        let at = column(vocabulary.text(verb));
        totals[at] += count.requests;
        resources.entry(resource).or_default()[at] += count.requests;
    }
    if resources.is_empty() {
        return;
    }
    let mut resources: Vec<(&str, Numbers)> = resources
        .into_iter()
        .map(|(resource, numbers)| (vocabulary.text(resource), numbers))
        .collect();
    resources.sort_by_key(|&(resource, numbers)| (Reverse(numbers.iter().sum::<u64>()), resource));
    document.heading(&format!("Resources and verbs ({})", resources.len()));
    let mut head = page::cell("", RESOURCE_WIDTH);
    for verb in VERBS {
        let _ = write!(head, "{verb:>NUMBER_WIDTH$}");
    }
    page::item(document, [Part::new(&head, Look::Dim)]);
    for (resource, numbers) in resources.iter().take(RESOURCES) {
        let name = match *resource {
            "" => Part::new(&page::cell("(other paths)", RESOURCE_WIDTH), Look::Dim),
            name => Part {
                text: page::cell(name, RESOURCE_WIDTH),
                ..link::value(Column::Resource, name)
            },
        };
        document.lines.push(row(name, numbers));
    }
    page::more(document, resources.len(), RESOURCES);
    let name = Part::new(&page::cell("all", RESOURCE_WIDTH), Look::Dim);
    document.lines.push(row(name, &totals));
}

fn row(name: Part, numbers: &Numbers) -> Line {
    let mut line = Line::new([name]).indented(2);
    for &number in numbers {
        line.parts.push(match number {
            0 => Part::new(&format!("{:>NUMBER_WIDTH$}", "."), Look::Dim),
            number => Part::from(format!("{number:>NUMBER_WIDTH$}")),
        });
    }
    line
}

/// Returns which column a verb is in.
fn column(verb: &str) -> usize {
    let verb = if verb == "deletecollection" {
        "delete"
    } else {
        verb
    };
    let found = VERBS.iter().position(|&other| other == verb);
    found.unwrap_or(VERBS.len() - 1)
}
