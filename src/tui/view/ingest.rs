//! What is read: files, what was no event, memory, problems.

use crate::tui::app::App;
use crate::tui::document::{Document, Look, Part};
use crate::tui::growth::Grown;
use crate::tui::ingest::READING_AGAIN;
use crate::tui::pivot::{Pivot, Place};

/// Returns the page.
pub fn document(app: &App) -> Document {
    let mut document = Document::new("ingest");
    let reading = &app.reading;
    document.heading("Reading");
    let state = match (&reading.position, reading.is_done) {
        (_, true) => "done".to_owned(),
        (Some(position), false) => {
            let total = match position.total_bytes {
                0 => String::new(),
                total => format!(" of {}", super::bytes(total)),
            };
            format!(
                "{}{total} read, {} events so far",
                super::bytes(position.read_bytes),
                position.events
            )
        }
        (None, false) => "starting".to_owned(),
    };
    document.field("state", [state]);
    document.field("memory", [super::memory(app)]);
    document.field("kept", [format!("{} events", reading.usage.rows)]);
    if let Some(note) = &reading.note {
        let before = note.strip_suffix(READING_AGAIN).filter(|_| reading.is_done);
        let note = before.map_or(note.clone(), |before| format!("{before}: read again"));
        document.field("case", [note]);
    }
    if let Some(folder) = &app.case_folder {
        document.field("folder", [folder.display().to_string()]);
    }
    if !reading.problems.is_empty() {
        document.heading("Problems");
        for problem in &reading.problems {
            document.line([Part::new(problem, Look::Bad)]);
        }
    }
    if !reading.grown.is_empty() {
        document.heading("Not read yet");
        for Grown { name, bytes } in &reading.grown {
            document.line([match bytes {
                Some(more) => format!("{name} has grown by {}", super::bytes(*more)),
                None => format!("{name} is another file than the one that was read"),
            }]);
        }
        let text = "What is shown stays what it was. To read the rest, leave (q) and browse the same files again.";
        document.line([Part::new(text, Look::Dim)]);
    }
    let summary = &app.results.summary;
    document.heading("Files");
    if summary.files.is_empty() {
        for file in &reading.files {
            document.line([file.clone()]);
        }
    }
    for file in &summary.files {
        let counters = &file.counters;
        let span = match counters.first.zip(counters.last) {
            Some((first, last)) => app.clock.span(first.0, last.0),
            None => "no event".to_owned(),
        };
        document.line([file.path.to_string()]);
        let mut line = crate::tui::document::Line::new([Part::new(
            &format!(
                "{} events, {} duplicates, {} bad, {} oversize, {} other; {}; {span}",
                counters.events,
                counters.duplicates,
                counters.bad,
                counters.oversize,
                counters.other,
                super::bytes(counters.bytes),
            ),
            if counters.bad + counters.oversize > 0 {
                Look::Bad
            } else {
                Look::Dim
            },
        )]);
        line.indent = 4;
        document.lines.push(line);
    }
    if !summary.rejects.is_empty() {
        document.heading("The first records that are no events");
        for reject in &summary.rejects {
            let place = Place {
                file: reject.file.to_string(),
                line: reject.line,
                offset: reject.offset,
                ..Place::default()
            };
            let at = Part::link(
                &format!("{}:{}", reject.file, reject.line),
                Pivot::Place(place),
            );
            document.line([at, Part::from(format!("  {}", reject.cause))]);
        }
    }
    for (heading, lines) in [("Notes", &summary.notes), ("Missing", &summary.problems)] {
        if !lines.is_empty() {
            document.heading(heading);
            for line in lines {
                document.line([line.clone()]);
            }
        }
    }
    document
}
