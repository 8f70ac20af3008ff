//! News: what an identity did for the first time late in the log, which may be somebody else who does it.

use super::rows::Reader;
use super::tally::{Count, Tally};
use super::{Built, Sources, link, page};
use crate::tui::document::{Document, Look, Part};

/// Actions before "+N more".
const SHOWN: usize = 12;

/// Appends what it did for the first time in the last quarter of the log; `actions` are verbs, resources and
/// subresources.
pub(super) fn section(
    document: &mut Document,
    actions: &Tally<(u32, u32, u32)>,
    first_use: i64,
    sources: &Sources<'_>,
    reader: Reader<'_>,
) -> Built<()> {
    let totals = &sources.results.summary.totals;
    let span = match (totals.first, totals.last) {
        (Some(first), Some(last)) => Some((first.0, last.0)),
        _ => reader.snapshot.span()?,
    };
    let Some((first, last)) = span else {
        return Ok(());
    };
    let late = first + last.saturating_sub(first) / 4 * 3;
    let vocabulary = reader.vocabulary();
    let n_actions = actions.len();
    let mut actions: Vec<(i64, String, &Count)> = actions
        .iter()
        .filter(|(_, count)| count.first >= late && count.first != 0)
        .map(|(&(verb, resource, subresource), count)| {
            let [verb, resource, subresource] =
                [verb, resource, subresource].map(|code| vocabulary.text(code));
            let text = match (resource, subresource) {
                ("", _) => format!("{verb} (other paths)"),
                (resource, "") => format!("{verb} {resource}"),
                (resource, subresource) => format!("{verb} {resource}/{subresource}"),
            };
            (count.first, text, count)
        })
        .collect();
    if actions.is_empty() {
        return Ok(());
    }
    actions.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    document.heading(&format!(
        "Done for the first time in the last quarter of the log ({} of {})",
        actions.len(),
        n_actions
    ));
    if first_use >= late {
        page::note(document, "The identity itself was not seen before that.");
    }
    for (time, text, count) in actions.iter().take(SHOWN) {
        let look = if count.denied > 0 {
            Look::Bad
        } else {
            Look::Plain
        };
        let time = link::event(&sources.clock.show(*time), count.first_row);
        let parts = [time, Part::from("  "), Part::new(text, look)];
        page::item(document, parts);
    }
    page::more(document, actions.len(), SHOWN);
    Ok(())
}
