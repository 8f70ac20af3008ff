//! The entries of the story.

use super::{Block, Page, Text, place, subject, time};
use crate::case::State;
use crate::case::export::{Chapter, EVIDENCE_MAX, Report};
use crate::finding::Finding;

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
            detail(finding, *state, page);
            for note in notes {
                page.note(note);
            }
        }
        Chapter::Missing(id) => {
            page.heading(3, None, format!("{number}. Finding {id}"));
            page.paragraph("The logs and rules of this report do not give this finding.");
        }
        Chapter::Bookmark(bookmark) => {
            page.heading(3, None, format!("{number}. Event at {}", bookmark.ts));
            page.paragraph(&bookmark.label);
            page.blocks
                .push(Block::Fields(vec![("place", place(bookmark))]));
        }
        Chapter::Note(note) => {
            let about = subject(&note.subject, report);
            page.heading(3, None, format!("{number}. Note about {about}"));
            page.note(note);
        }
        Chapter::Text(text) => {
            page.heading(3, None, format!("{number}."));
            page.blocks.push(Block::Quote(Text::lines(text)));
        }
    }
}

/// Gives all that a finding says.
fn detail(finding: &Finding, state: State, page: &mut Page) {
    let Finding {
        actor,
        source,
        target,
        ..
    } = finding;
    let object = [
        &target.namespace,
        &target.resource,
        &target.subresource,
        &target.name,
    ];
    let object: Vec<&str> = object.into_iter().filter_map(Option::as_deref).collect();
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
    let fields = [
        ("state", state.to_string()),
        ("confidence", finding.confidence.as_str().to_owned()),
        ("first seen", finding.first_seen.to_string()),
        ("last seen", finding.last_seen.to_string()),
        ("requests", finding.count.to_string()),
        ("who", or_empty(&actor.username)),
        ("as", or_empty(&actor.impersonated)),
        ("credential", or_empty(&actor.credential_id)),
        ("from", source.ips.join(", ")),
        ("agents", source.user_agents.join(", ")),
        ("object", object.join("/")),
        ("attack", finding.attack.join(", ")),
        ("rule", finding.rule.name.clone()),
        ("incident", or_empty(&finding.incident_id)),
        ("id", finding.finding_id.clone()),
    ];
    let fields = fields.into_iter().filter(|(_, value)| !value.is_empty());
    let fields = fields.map(|(label, value)| (label, Text::of(value)));
    page.blocks.push(Block::Fields(fields.collect()));
    page.list("Why", &finding.why);
    page.list("Next steps", &finding.next_steps);
    page.list("What it cannot see", &finding.blind_spots);
    if finding.evidence.is_empty() {
        return;
    }
    let shown = finding.evidence.iter().take(EVIDENCE_MAX);
    let n_more = finding.evidence_total.saturating_sub(shown.len() as u64);
    let rows = shown.map(|evidence| {
        vec![
            time(evidence.ts),
            Text::of(&evidence.stage),
            Text::of(&evidence.audit_id),
            Text::of(format!("{}:{}", evidence.file, evidence.line)),
            Text::of(evidence.offset.to_string()),
            Text::of(evidence.length.to_string()),
        ]
    });
    let columns = &["time", "stage", "audit id", "evidence", "byte", "length"];
    page.table(columns, rows);
    if n_more > 0 {
        page.paragraph(format!("{n_more} more are not shown."));
    }
}
