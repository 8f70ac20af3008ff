//! The list of findings.

use std::cmp::Reverse;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::table::{Head, Line, Table, draw as draw_table, widths};
use super::{labels, line_of, put};
use crate::case::State;
use crate::finding::Finding;
use crate::report::clean;
use crate::store::facet::Facet;
use crate::tui::app::{App, FindingOrder};
use crate::tui::aspect::Aspect;
use crate::tui::chips::{Ask, Chips};
use crate::tui::document::Look;
use crate::tui::layout;
use crate::tui::text::{Cut, fit, fit_clean};
use crate::tui::theme::letter;

/// Returns the finding under the cursor.
pub fn at_cursor(app: &App) -> Option<&Finding> {
    app.results
        .findings
        .get(*app.findings.shown.get(app.findings.grid.row)?)
}

/// Puts the findings into their order, those that pass the filters; the cursor stays with its finding.
pub fn sort(app: &mut App) {
    let here = at_cursor(app).map(|finding| finding.finding_id.clone());
    let findings = &app.results.findings;
    let mut shown: Vec<usize> = (0..findings.len())
        .filter(|&at| {
            let state = app.case.state(&findings[at].finding_id);
            passes(&findings[at], state, &app.findings.chips)
        })
        .collect();
    let actor = |finding: &Finding| finding.actor.username.clone().unwrap_or_default();
    match app.findings.order {
        FindingOrder::Severity => {
            shown.sort_by_key(|&at| (Reverse(findings[at].severity), findings[at].first_seen, at));
        }
        FindingOrder::Time => shown.sort_by_key(|&at| (findings[at].first_seen, at)),
        FindingOrder::Actor => {
            shown.sort_by_cached_key(|&at| {
                (actor(&findings[at]), Reverse(findings[at].severity), at)
            });
        }
        FindingOrder::Family => {
            shown.sort_by_key(|&at| (&findings[at].family, Reverse(findings[at].severity), at));
        }
        FindingOrder::Rule => shown.sort_by_key(|&at| (&findings[at].rule.name, at)),
        FindingOrder::Count => shown.sort_by_key(|&at| (Reverse(findings[at].count), at)),
        FindingOrder::State => {
            shown.sort_by_key(|&at| {
                let state = app.case.state(&findings[at].finding_id);
                (state, Reverse(findings[at].severity), at)
            });
        }
    }
    if app.findings.is_reversed {
        shown.reverse();
    }
    if let Some(here) = here {
        let place = shown.iter().position(|&at| findings[at].finding_id == here);
        app.findings.grid.row = place.unwrap_or(app.findings.grid.row);
    }
    app.findings.shown = shown;
    app.findings.facets.facet = None;
}

/// Returns whether a finding of that state passes the filters.
fn passes(finding: &Finding, state: State, chips: &Chips) -> bool {
    let mut on = chips.chips.iter().filter(|chip| chip.is_on);
    on.all(|chip| {
        let holds = match &chip.ask {
            Ask::Aspect(aspect, value) => aspect.values(finding, state).contains(&value.as_str()),
            Ask::Text(pattern) => pattern.is_match(&searched(finding)),
            // Nobody asks these of findings.
            Ask::Value(..) | Ask::Time(..) | Ask::Among(..) => return true,
        };
        holds != chip.is_negated
    })
}

/// Counts the values of an aspect among the findings that are shown.
pub fn facet(app: &App, aspect: Aspect) -> Facet {
    let shown = app.findings.shown.iter();
    let values = shown.flat_map(|&at| {
        let finding = &app.results.findings[at];
        aspect.values(finding, app.case.state(&finding.finding_id))
    });
    Facet::of_values(values, app.findings.shown.len() as u64)
}

/// Returns what a filter or a search looks at.
fn searched(finding: &Finding) -> String {
    let who = finding.actor.username.as_deref().unwrap_or_default();
    let credential = finding.actor.credential_id.as_deref().unwrap_or_default();
    let name = finding.target.name.as_deref().unwrap_or_default();
    [
        finding.severity.as_str(),
        &finding.family,
        &finding.rule.name,
        &finding.rule.title,
        &finding.summary,
        who,
        credential,
        name,
        &finding.source.ips.join(" "),
        &finding.attack.join(" "),
    ]
    .join(" ")
}

/// Returns the lines that a search looks at.
pub fn lines(app: &App) -> Vec<String> {
    let shown = app.findings.shown.iter();
    shown
        .map(|&at| searched(&app.results.findings[at]))
        .collect()
}

/// Draws the list, and in its last lines what the finding under the cursor says.
pub fn draw(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let findings = &app.results.findings;
    if app.findings.shown.is_empty() {
        let text = if findings.is_empty() {
            if app.reading.is_done {
                "no finding; the overview (1) says what the log is blind to".to_owned()
            } else {
                "no finding so far".to_owned()
            }
        } else {
            format!(
                "none of {} findings passes the filters; Backspace drops the last one",
                findings.len()
            )
        };
        put(frame, area, 0, &text, Style::default());
        return;
    }
    let width = app.width();
    let heads = heads(app, width);
    let below = u16::try_from(layout::summary_height(app)).unwrap_or(0);
    let list = Rect {
        height: area.height.saturating_sub(below),
        ..area
    };
    let rest = Rect {
        y: list.bottom(),
        height: area.height - list.height,
        ..area
    };
    summary(app, frame, rest);
    draw_table(
        app,
        frame,
        list,
        &Table {
            heads: &heads,
            grid: &app.findings.grid,
            rows: app.findings.shown.len(),
            has_cells: false,
        },
        |at| {
            let finding = &findings[app.findings.shown[at]];
            let state = app.case.state(&finding.finding_id);
            let has_notes = app
                .case
                .notes_about(&crate::case::Subject::Finding(finding.finding_id.clone()))
                .next()
                .is_some();
            let mark = format!("{}{}", state.letter(), if has_notes { "*" } else { "" });
            let who = finding
                .actor
                .username
                .clone()
                // Without its middle an address looks like another one.
                .or_else(|| {
                    let address = finding.source.ips.first();
                    address.map(|address| fit(address, heads[5].width, Cut::End))
                });
            let style = match state {
                State::Benign => app.theme.look(Look::Dim),
                _ => Style::default(),
            };
            Some(Line {
                cells: vec![
                    letter(finding.severity).to_owned(),
                    mark,
                    if width < WIDE {
                        app.narrow_time(finding.first_seen.0)
                    } else {
                        app.clock.show(finding.first_seen.0)
                    },
                    finding.count.to_string(),
                    finding.family.clone(),
                    who.unwrap_or_default(),
                    format!("{}: {}", finding.rule.title, finding.summary),
                ],
                style,
                styles: vec![(0, app.theme.severity(finding.severity))],
            })
        },
    );
}

/// Columns from which on times are shown in full, and families and names have room.
const WIDE: usize = 150;

/// Draws what the finding under the cursor says, as far as it goes.
fn summary(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let Some(finding) = at_cursor(app) else {
        return;
    };
    let width = usize::from(area.width).max(1);
    let rule = "─".repeat(width);
    put(frame, line_of(area, 0), 0, &rule, app.theme.look(Look::Dim));
    let text = format!("{}: {}", finding.rule.title, finding.summary);
    let room = usize::from(area.height).saturating_sub(1);
    let text = fit(&text, width * (room + 1), Cut::End);
    let mut lines = clean::wrap(&text, width, width);
    if let Some(last) = room.checked_sub(1).filter(|last| last + 1 < lines.len()) {
        lines[last].push_str(" …");
        lines[last] = fit_clean(&lines[last], width, Cut::End).into_owned();
    }
    for (y, line) in lines.iter().take(room).enumerate() {
        put(frame, line_of(area, y + 1), 0, line, Style::default());
    }
}

fn heads(app: &App, width: usize) -> Vec<Head> {
    let time = if width < WIDE {
        app.narrow_time_columns()
    } else {
        24
    };
    let (family, who) = if width < WIDE { (12, 16) } else { (20, 30) };
    // What it is gets what the others leave.
    let wanted = [
        (1, 1),
        (2, 2),
        (time, time),
        (5, 6),
        (8, family),
        (8, who),
        (10, 400),
    ];
    let widths = widths(&wanted, width);
    vec![
        Head::new("S", widths[0]),
        Head::new("st", widths[1]),
        Head::new("first seen", widths[2]),
        Head::new("count", widths[3]).right(),
        Head::new("family", widths[4]),
        Head::new("who", widths[5]).middle(),
        Head::new("what", widths[6]),
    ]
}

/// Returns what the status line says.
pub fn status(app: &App) -> String {
    let turned = if app.findings.is_reversed {
        ", turned round"
    } else {
        ""
    };
    format!(
        "{} by {}{turned}{}",
        count(app),
        app.findings.order.name(),
        labels(app, &app.findings.chips)
    )
}

/// Returns what the status line says of findings that are counted.
pub fn how_many(app: &App) -> String {
    format!("{}{}", count(app), labels(app, &app.findings.chips))
}

fn count(app: &App) -> String {
    let (shown, all) = (app.findings.shown.len(), app.results.findings.len());
    let so_far = if app.reading.is_done { "" } else { " so far" };
    let filtered = if shown < all {
        format!(" of {all}")
    } else {
        String::new()
    };
    format!("{shown}{filtered} findings{so_far}")
}

/// Returns the SQL behind the list.
pub fn sql(app: &App) -> String {
    let order = match app.findings.order {
        FindingOrder::Severity | FindingOrder::State => "severity_rank DESC, first_seen",
        FindingOrder::Time => "first_seen",
        FindingOrder::Actor => "username, severity_rank DESC",
        FindingOrder::Family => "family, severity_rank DESC",
        FindingOrder::Rule => "rule",
        FindingOrder::Count => "count DESC",
    };
    format!(
        "SELECT severity, first_seen, count, family, username, rule, summary\n{}\nORDER BY {order}",
        app.findings.chips.sql_of_findings()
    )
}

/// Returns the findings that are shown, as `kubescry scan --format jsonl` prints them.
pub fn json_lines(app: &App) -> String {
    let findings: Vec<Finding> = app
        .findings
        .shown
        .iter()
        .map(|&at| app.results.findings[at].clone())
        .collect();
    let mut out = Vec::new();
    let options = crate::report::Options::default();
    let written = crate::report::render(
        crate::report::Format::Jsonl,
        &findings,
        &[],
        &app.results.summary,
        &options,
        &mut out,
    );
    written.expect("memory can be written");
    String::from_utf8(out).expect("JSON is UTF-8")
}
