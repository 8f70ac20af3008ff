//! The entries of the story.

use super::{place, subject, tell_note};
use crate::case::export::{Chapter, EVIDENCE_MAX, Report};
use crate::finding::Finding;
use crate::report::document::{Page, Text, sections};

/// Tells an entry of the story.
pub(super) fn tell(number: usize, chapter: &Chapter<'_>, report: &Report<'_>, page: &mut Page) {
    match chapter {
        Chapter::Finding {
            finding,
            state,
            notes,
        } => {
            let Finding { severity, rule, .. } = finding;
            page.heading(
                3,
                Some(*severity),
                format!("{number}. {severity}: {}", rule.title),
            );
            page.paragraph(&finding.summary);
            let state = Some(state.as_str());
            sections::finding(finding, state, EVIDENCE_MAX, page);
            for note in notes {
                tell_note(note, page);
            }
        }
        Chapter::Missing(id) => {
            page.heading(3, None, format!("{number}. Finding {id}"));
            page.paragraph("The logs and rules of this report do not give this finding.");
        }
        Chapter::Bookmark(bookmark) => {
            page.heading(3, None, format!("{number}. Event at {}", bookmark.ts));
            page.paragraph(&bookmark.label);
            page.fields([("place", place(bookmark))]);
        }
        Chapter::Note(note) => {
            let about = subject(&note.subject, report);
            page.heading(3, None, format!("{number}. Note about {about}"));
            tell_note(note, page);
        }
        Chapter::Text(text) => {
            page.heading(3, None, format!("{number}."));
            page.quote(Text::lines(text));
        }
    }
}
