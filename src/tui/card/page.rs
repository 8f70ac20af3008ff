//! Pages: what lines of cards have in common.

use super::tally::Count;
use crate::finding::words::counted;
use crate::frame::Column;
use crate::report::clean;
use crate::tui::clock::Clock;
use crate::tui::document::{Document, Line, Look, Part};
use crate::tui::pivot::{ListOrder, Listing, Pivot};

/// Appends how many entries were left out of a list of `total`, of which `shown` were shown at most.
pub(super) fn more(document: &mut Document, total: usize, shown: usize) {
    if let Some(text) = left_out(total, shown) {
        note(document, &text);
    }
}

/// Appends the same as a link to all of them.
pub(super) fn more_in(document: &mut Document, total: usize, shown: usize, listing: Listing) {
    if let Some(link) = more_link(total, shown, listing) {
        item(document, [link]);
    }
}

/// Returns how many entries were left out, as a link to all of them; nothing if none were.
pub(super) fn more_link(total: usize, shown: usize, listing: Listing) -> Option<Part> {
    left_out(total, shown).map(|text| Part::link(&text, Pivot::All(listing, ListOrder::default())))
}

fn left_out(total: usize, shown: usize) -> Option<String> {
    let rest = total.checked_sub(shown).filter(|&rest| rest > 0)?;
    Some(format!("+{rest} more"))
}

/// Appends a line to a section.
pub(super) fn item<P: Into<Part>>(document: &mut Document, parts: impl IntoIterator<Item = P>) {
    let parts = parts.into_iter().map(|part| part.into().listed());
    document.lines.push(Line::new(parts).indented(2));
}

/// Appends what a reader should bear in mind.
pub(super) fn note(document: &mut Document, text: &str) {
    item(document, [Part::new(text, Look::Dim)]);
}

/// Appends texts under a heading, unless there are none.
pub(super) fn texts<T: AsRef<str>>(document: &mut Document, heading: &str, texts: &[T]) {
    if texts.is_empty() {
        return;
    }
    document.heading(heading);
    for text in texts {
        item(document, [Part::from(text.as_ref()).brief()]);
    }
}

/// Appends values, each made a link by `link`, with how often and when.
pub(super) fn counts(
    document: &mut Document,
    heading: &str,
    ranked: &[(&str, Count)],
    shown: usize,
    clock: Clock,
    link: impl Fn(&str) -> Part,
) {
    if ranked.is_empty() {
        return;
    }
    document.heading(&format!("{heading} ({})", ranked.len()));
    let shown_now = &ranked[..ranked.len().min(shown)];
    let width = number_width(shown_now.iter().map(|(_, count)| count.requests));
    for (text, count) in shown_now {
        item(document, counted_parts(link(text), count, width, clock));
    }
    more(document, ranked.len(), shown);
}

/// Returns a number, what it is of, and when.
pub(super) fn counted_parts(what: Part, count: &Count, width: usize, clock: Clock) -> Vec<Part> {
    let mut parts = vec![
        Part::from(format!("{:>width$}  ", count.requests)),
        what,
        Part::new(
            &format!("  {}", clock.span(count.first, count.last)),
            Look::Dim,
        ),
    ];
    let refused = count.denied + count.refused;
    if refused > 0 {
        parts.push(Part::new(&format!("  {refused} refused"), Look::Bad));
    }
    parts
}

/// Returns how many columns the largest of some numbers takes.
pub(super) fn number_width(numbers: impl Iterator<Item = u64>) -> usize {
    numbers.max().unwrap_or_default().to_string().len()
}

/// Returns `text` cut or filled to `width` columns.
pub(super) fn cell(text: &str, width: usize) -> String {
    let mut text = clean::clip(&clean::safe(text), width);
    let missing = width.saturating_sub(clean::columns(&text));
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// Returns how the requests of a subject ended; their number leads to them.
pub(super) fn outcomes_of(count: &Count, column: Column, subject: &str) -> Vec<Part> {
    let mut parts = outcomes(count);
    if count.requests > 0 {
        parts[0].link = Some(Pivot::Value(column.into(), subject.to_owned()));
    }
    parts
}

/// Returns how requests ended.
pub(super) fn outcomes(count: &Count) -> Vec<Part> {
    let mut parts = vec![Part::from(counted(count.requests, "request"))];
    let endings = [
        (count.served, "served", Look::Good),
        (count.denied, "denied (403)", Look::Bad),
        (count.refused, "refused (401)", Look::Bad),
        (count.failed, "failed otherwise", Look::Plain),
        (count.open(), "without a response in the log", Look::Dim),
    ];
    let mut separator = ": ";
    for (number, what, look) in endings {
        if number > 0 {
            parts.push(separator.into());
            parts.push(Part::new(&format!("{number} {what}"), look));
            separator = ", ";
        }
    }
    parts
}

/// Puts commas between parts.
pub(super) fn commas(parts: Vec<Part>) -> Vec<Part> {
    let mut joined = Vec::with_capacity(parts.len() * 2);
    for part in parts {
        if !joined.is_empty() {
            joined.push(Part::from(", "));
        }
        joined.push(part);
    }
    joined
}

/// Appends a labelled list of links on one line, cut where it says so.
pub(super) fn links(
    document: &mut Document,
    label: &str,
    texts: &[String],
    shown: usize,
    link: impl Fn(&str) -> Part,
) {
    if texts.is_empty() {
        return;
    }
    let links = texts.iter().take(shown).map(|text| link(text)).collect();
    let mut parts = commas(links);
    if texts.len() > shown {
        let rest = format!(", +{} more", texts.len() - shown);
        parts.push(Part::new(&rest, Look::Dim));
    }
    document.field(label, parts);
}
