//! The card of an event: what it says, field by field, and what was found about it. Its JSON is another's.

use super::rows::Reader;
use super::{Built, Sources, about, link};
use crate::frame::Column;
use crate::store::field::Derived;
use crate::store::{Field, Kind, Lane, Row};
use crate::tui::document::{Document, Look, Part};
use crate::tui::pivot::{Object, Place};

/// Columns of the labels.
const LABEL: usize = 22;

/// Returns the card of the event at a place, if it is kept, else what is known of the place.
pub(super) fn place(place: &Place, sources: &Sources<'_>, reader: Reader<'_>) -> Built<Document> {
    let found = reader.find(&[(&place.file, place.offset, &place.audit_id)])?;
    if let [Some(row)] = found[..] {
        return card(row, sources, reader);
    }
    let mut document = Document::new(&format!("{}:{}", place.file, place.line));
    document
        .line(["No event that was kept stands here: it is no audit event, or none that was read."]);
    document.field("file", [place.file.as_str()]);
    document.field("line", [place.line.to_string()]);
    document.field("offset", [place.offset.to_string()]);
    if !place.audit_id.is_empty() {
        document.field("audit ID", [place.audit_id.as_str()]);
    }
    let rejects = sources.results.summary.rejects.iter();
    for reject in rejects.filter(|one| *one.file == *place.file && one.offset == place.offset) {
        document.field("rejected", [Part::new(&reject.cause, Look::Bad)]);
    }
    about::section(&mut document, sources, |finding| {
        about::place(finding, &place.file, place.offset)
    });
    Ok(document)
}

pub(super) fn card(row: Row, sources: &Sources<'_>, reader: Reader<'_>) -> Built<Document> {
    let Some((segment, row_idx)) = reader.snapshot.locate(row) else {
        let mut document = Document::new("event");
        document.line([format!("No event has the number {row}.")]);
        return Ok(document);
    };
    let vocabulary = reader.vocabulary();
    let fields: Vec<Field> = Field::all().collect();
    let lanes = segment.lanes(&fields, vocabulary)?;
    let text = |column: Column| {
        let at = fields.iter().position(|&field| field == column.into());
        let lane = &lanes[at.expect("every column is a field")];
        lane.show(row_idx, vocabulary).into_owned()
    };
    let object = Object {
        resource: text(Column::Resource),
        namespace: text(Column::Namespace),
        name: text(Column::Name),
    };
    let (verb, uri) = (text(Column::Verb), text(Column::RequestUri));
    let subresource = text(Column::Subresource);
    let what = match &object.resource[..] {
        "" => format!("{verb} {}", uri.split('?').next().unwrap_or_default()),
        _ => format!("{verb} {object} {subresource}"),
    };
    let mut document = Document::new(what.trim_end());
    document.line([Part::new(what.trim_end(), Look::Bold)]);
    for (field, lane) in fields.iter().zip(&lanes) {
        let shown = lane.show(row_idx, vocabulary);
        let is_null = match field.kind() {
            // What is not flagged, or has no code, has nothing to say.
            Kind::Flag => shown == "false",
            // It says no more than `ts`.
            _ if *field == Field::Derived(Derived::Ms) => true,
            Kind::Number => shown == "0" && *field != Column::Offset.into(),
            _ => shown.is_empty(),
        };
        if is_null {
            continue;
        }
        let mut parts = vec![Part::new(&format!("{:LABEL$}", field.name()), Look::Dim)];
        parts.push(match (field, lane) {
            (Field::Column(column), _) if *column == Column::Name && is_one(&object) => Part {
                text: Part::from(&*shown).text,
                ..link::object(&object)
            },
            (_, Lane::Times(times)) => Part::from(sources.clock.show(times[row_idx])),
            (field, _) => linked(*field, &shown),
        });
        document.line(parts);
    }
    if text(Column::Username).is_empty() {
        let text =
            "No name and no credential: the login was refused (401), or the log leaves them out.";
        document.line([Part::new(text, Look::Dim)]);
    }
    let offset = text(Column::Offset).parse().unwrap_or_default();
    let file = text(Column::File);
    about::section(&mut document, sources, |finding| {
        about::place(finding, &file, offset)
    });
    Ok(document)
}

fn is_one(object: &Object) -> bool {
    !object.resource.is_empty() && !object.name.is_empty()
}

/// Returns a value, as a link if it leads somewhere.
fn linked(field: Field, text: &str) -> Part {
    match field {
        Field::Column(Column::Username | Column::ImpUsername | Column::Actor) => {
            link::identity(text)
        }
        Field::Column(Column::Credential | Column::IssuedCredentialId) => link::credential(text),
        Field::Column(Column::PeerIp) => link::address(text),
        Field::Column(
            Column::Verb
            | Column::Resource
            | Column::Subresource
            | Column::Namespace
            | Column::UserAgent
            | Column::AuthzReason
            | Column::ClientIp
            | Column::AuditId
            | Column::TokenPod
            | Column::TokenNode
            | Column::ObjectUid
            | Column::Code
            | Column::File,
        )
        | Field::Derived(
            Derived::AgentFamily
            | Derived::FieldManager
            | Derived::SaNamespace
            | Derived::SaName
            | Derived::RoleRef
            | Derived::PodServiceAccount,
        ) => link::value(field, text),
        _ => Part::from(text),
    }
}
