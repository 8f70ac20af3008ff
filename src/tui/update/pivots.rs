//! What the thing under the cursor is.

use super::super::app::{AnswerScreen, App, Screen, Tab, facet_fields};
use super::super::aspect::Aspect;
use super::super::pivot::{Object, Pivot};
use super::super::view;
use crate::frame::Column;
use crate::store::Field;

/// Returns what the value under the cursor stands for.
pub(in super::super) fn pivot_at_cursor(app: &App) -> Option<Pivot> {
    match app.screen() {
        Screen::Tab(Tab::Findings) => {
            let finding = app.findings.shown.get(app.findings.grid.row)?;
            let id = &app.results.findings.get(*finding)?.finding_id;
            Some(Pivot::Finding(id.clone()))
        }
        Screen::Tab(Tab::Events) => event_pivot(app),
        Screen::Tab(Tab::Credentials) => {
            let row = app.credential_rows.get(app.credentials.row)?;
            Some(view::credentials::pivot(row, app.credentials.column))
        }
        Screen::Tab(Tab::Facets) => {
            let field = *facet_fields().get(app.facets.fields.row)?;
            Some(pivot_of(field, app.facets.value()?, None))
        }
        Screen::FindingFacets => {
            let value = app
                .findings
                .facets
                .value()
                .filter(|value| !value.is_empty())?;
            match Aspect::ALL.get(app.findings.facets.fields.row)? {
                Aspect::Username => Some(Pivot::Identity(value.to_owned())),
                Aspect::Credential => Some(Pivot::Credential(value.to_owned())),
                Aspect::PeerIps => Some(Pivot::Address(value.to_owned())),
                _ => None,
            }
        }
        Screen::Tab(Tab::Sql) | Screen::Answer(_) => answer_pivot(app.answer()?),
        Screen::Tab(_) | Screen::Page(_) => {
            let page = app.page()?;
            let line = page.document.as_ref()?.lines.get(page.grid.row)?;
            let mut links = line.parts.iter().filter_map(|part| part.link.as_ref());
            links.nth(page.grid.column).cloned()
        }
        Screen::Form(_) => None,
    }
}

/// Returns what a page is on; elsewhere, and in a whole list, what the value under the cursor stands for.
pub(super) fn in_hand(app: &App) -> Option<Pivot> {
    match app.screen() {
        Screen::Page(screen) if !matches!(screen.pivot, Pivot::All(..)) => {
            Some(screen.pivot.clone())
        }
        _ => pivot_at_cursor(app),
    }
}

fn event_pivot(app: &App) -> Option<Pivot> {
    let events = &app.events;
    let row = *events.rows.get(events.grid.row)?;
    let here = Some(Pivot::Event(row));
    let Some(cells) = events.row_at_cursor() else {
        return here;
    };
    let column = events.grid.column;
    let (Some(field), Some(value)) = (events.fields.get(column), cells.shown.get(column)) else {
        return here;
    };
    match pivot_of(*field, value, Some(cells.object())) {
        Pivot::Value(..) => here,
        pivot => Some(pivot),
    }
}

/// Returns what a value of a field stands for; of a name, the object that it belongs to.
fn pivot_of(field: Field, value: &str, object: Option<Object>) -> Pivot {
    let text = value.to_owned();
    match (field, object) {
        _ if value.is_empty() => Pivot::Value(field, text),
        (Field::Column(Column::Username | Column::ImpUsername | Column::Actor), _) => {
            Pivot::Identity(text)
        }
        (
            Field::Column(Column::Credential | Column::CredentialId | Column::IssuedCredentialId),
            _,
        ) => Pivot::Credential(text),
        (Field::Column(Column::PeerIp | Column::ClientIp), _) => Pivot::Address(text),
        (Field::Column(Column::Name), Some(object)) => Pivot::Object(object),
        _ => Pivot::Value(field, text),
    }
}

/// Returns what a cell of an answer stands for, by the name of its column.
fn answer_pivot(screen: &AnswerScreen) -> Option<Pivot> {
    let answer = screen.answer.as_ref()?;
    if screen.grid.row >= answer.height() {
        return None;
    }
    let row = answer.row(screen.grid.row);
    let columns = answer.columns();
    let name = *columns.get(screen.grid.column)?;
    let value = row.get(screen.grid.column)?.exact();
    let cell = |wanted: &str| {
        let at = columns.iter().position(|column| *column == wanted)?;
        Some(row.get(at)?.exact()).filter(|text| !text.is_empty())
    };
    if value.is_empty() {
        return None;
    }
    Some(match name {
        "finding_id" => Pivot::Finding(value),
        "incident_id" => Pivot::Incident(value),
        "minted_by" | "ended_by" | "real_user" | "acted_as" => Pivot::Identity(value),
        "minted_with" => Pivot::Credential(value),
        "ip" => Pivot::Address(value),
        _ => {
            let field = Field::by_name(name)?;
            let object = cell("name")
                .zip(cell("resource"))
                .map(|(name, resource)| Object {
                    name,
                    resource,
                    namespace: cell("namespace").unwrap_or_default(),
                });
            pivot_of(field, &value, object)
        }
    })
}
