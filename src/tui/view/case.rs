//! The case: the story, notes, bookmarks, states.

use crate::case::export::{Report, html, markdown};
use crate::case::{StoryEntry, Subject};
use crate::tui::app::{App, CaseLine};
use crate::tui::document::{Document, Line, Look, Part};
use crate::tui::pivot::{Object, Pivot, Place};
use crate::tui::update::{bookmark_place, subject_of};

/// Entries of the journal that a report has.
const JOURNAL: usize = 1000;

/// Returns the page, and what each of its lines is.
pub fn document(app: &App) -> (Document, Vec<CaseLine>) {
    let mut document = Document::new("case");
    let mut lines = Vec::new();
    let case = &app.case;
    let place = match &app.case_folder {
        Some(folder) => format!("kept in {}", folder.display()),
        None => "kept until you leave (--case DIR keeps it; x writes a report)".to_owned(),
    };
    document.line([Part::new(&place, Look::Dim)]);
    if let Some(aside) = case.set_aside() {
        document.line([Part::new(&format!("{aside}; {}", aside.hint()), Look::Bad)]);
    }
    if !case.is_saved() {
        let text = "The last changes could not be saved: they are kept until you leave, and saved with the next change \
            that can be. x writes a report elsewhere.";
        document.line([Part::new(text, Look::Bad)]);
    }
    document.heading("Story");
    if case.story().is_empty() {
        document.line([Part::new(
            "a on a finding, an event, a note or a bookmark puts it here; a on this line writes a text",
            Look::Dim,
        )]);
    }
    lines.resize(document.lines.len(), CaseLine::None);
    for (number, item) in case.story().iter().enumerate() {
        let mut parts = vec![Part::new(&format!("{:>3}. ", number + 1), Look::Dim)];
        match &item.entry {
            StoryEntry::Finding(id) => match app.results.finding(id) {
                Some(finding) => {
                    let severity = Look::Severity(finding.severity);
                    parts.push(Part::new(finding.severity.as_str(), severity));
                    parts.push(Part::from(" "));
                    parts.push(Part::link(&finding.summary, Pivot::Finding(id.clone())));
                }
                None => parts.push(Part::new(
                    &format!("finding {id}, which this log does not give"),
                    Look::Bad,
                )),
            },
            StoryEntry::Bookmark(id) => {
                if let Some(bookmark) = case.bookmarks().iter().find(|bookmark| bookmark.id == *id)
                {
                    parts.push(Part::from(format!("{} ", app.clock.show(bookmark.ts.0))));
                    parts.push(Part::link(
                        &bookmark.label,
                        Pivot::Place(bookmark_place(bookmark)),
                    ));
                }
            }
            StoryEntry::Note(id) => {
                if let Some(note) = case.note(*id) {
                    parts.push(Part::from(note.text.clone()));
                }
            }
            StoryEntry::Text(text) => parts.push(Part::from(text.clone())),
        }
        document.lines.push(Line::new(parts));
        lines.push(CaseLine::Story(item.id));
    }
    document.heading("Notes");
    lines.resize(document.lines.len(), CaseLine::None);
    for note in case.notes() {
        let on = match &note.subject {
            Subject::Finding(id) => {
                let name = app
                    .results
                    .finding(id)
                    .map(|finding| finding.rule.title.clone());
                Part::link(
                    &name.unwrap_or_else(|| format!("finding {id}")),
                    Pivot::Finding(id.clone()),
                )
            }
            Subject::Credential(key) => Part::link(key, Pivot::Credential(key.clone())),
            Subject::Identity(name) => Part::link(name, Pivot::Identity(name.clone())),
            Subject::Address(address) => Part::link(address, Pivot::Address(address.clone())),
            Subject::Object(object) => Part::link(object, Pivot::Object(object_of(object))),
            Subject::Event { file, offset } => event(app, file, *offset),
            Subject::Case => Part::from("the case"),
        };
        document.line([on, Part::from(format!(": {}", note.text))]);
        lines.push(CaseLine::Note(note.id));
    }
    document.heading("Bookmarks");
    lines.resize(document.lines.len(), CaseLine::None);
    for bookmark in case.bookmarks() {
        let place = bookmark_place(bookmark);
        document.line([
            Part::from(format!("{} ", app.clock.show(bookmark.ts.0))),
            Part::link(&bookmark.label, Pivot::Place(place.clone())),
        ]);
        lines.push(CaseLine::Bookmark(place));
    }
    document.heading("States");
    for (id, change) in case.states() {
        let name = app
            .results
            .finding(id)
            .map(|finding| finding.summary.clone());
        document.line([
            Part::new(&format!("{:13}", change.state.as_str()), Look::Bold),
            Part::link(
                &name.unwrap_or_else(|| id.to_owned()),
                Pivot::Finding(id.to_owned()),
            ),
        ]);
    }
    lines.resize(document.lines.len(), CaseLine::None);
    (document, lines)
}

/// Returns what the case says of what a page is on: the state of a finding, and notes.
pub fn of_page(app: &App, pivot: &Pivot) -> Vec<Line> {
    let mut document = Document::default();
    if let Pivot::Finding(id) = pivot {
        document.field(
            "state",
            [Part::new(app.case.state(id).as_str(), Look::Bold)],
        );
    }
    if let Some(subject) = subject_of(pivot) {
        for note in app.case.notes_about(&subject) {
            let time = format!("  {}", app.clock.show(note.created.0));
            let parts = [Part::from(note.text.as_str()), Part::new(&time, Look::Dim)];
            document.field::<Part>("note", []);
            // What the investigator wrote is shown as a whole.
            if let Some(line) = document.lines.last_mut() {
                line.parts.extend(parts);
            }
        }
    }
    document.lines
}

/// Returns a link to an event: when and who did what, once that is known.
fn event(app: &App, file: &str, offset: u64) -> Part {
    let place = Place {
        file: file.to_owned(),
        offset,
        ..Place::default()
    };
    let text = match app.event_labels.get(&(file.to_owned(), offset)) {
        Some((time, label)) => format!("{} {label}", app.clock.show(*time)),
        None => format!("{file} at byte {offset}"),
    };
    Part::link(&text, Pivot::Place(place))
}

fn object_of(text: &str) -> Object {
    let mut parts = text.splitn(3, '/').map(str::to_owned);
    let (first, second, third) = (parts.next(), parts.next(), parts.next());
    match (second, third) {
        (Some(namespace), Some(name)) => Object {
            resource: first.unwrap_or_default(),
            namespace,
            name,
        },
        (name, _) => Object {
            resource: first.unwrap_or_default(),
            namespace: String::new(),
            name: name.unwrap_or_default(),
        },
    }
}

/// Returns the report of the case, as HTML or Markdown.
pub fn report(app: &App, is_html: bool) -> String {
    let journal = app.case.journal(JOURNAL).unwrap_or_default();
    let mut report = Report::of(
        &app.case,
        "Kubernetes audit log investigation",
        &app.results.findings,
        &app.results.incidents,
        &app.results.summary,
        &journal,
    );
    report.sources = &app.reading.sources;
    if is_html {
        html(&report)
    } else {
        markdown(&report)
    }
}
