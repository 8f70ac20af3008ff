//! What a row has at all: where a field is in nothing that it has, the tests of the field are decided.

use crate::detect::field::{Field, Region};
use crate::detect::leaf::{Leaf, LeafTest};
use crate::detect::value::{Scalar, Values};
use crate::detect::view::Derived;
use crate::frame::derived::is_uuid;
use crate::frame::{Column, EventFrame};

/// What a row has, as bits.
pub(super) type Presence = u32;

const REQUEST: Presence = 1;
const RESPONSE: Presence = 1 << 1;
const ANNOTATIONS: Presence = 1 << 2;
const EXTRA: Presence = 1 << 3;
const NAME: Presence = 1 << 4;
const OBJECT_UID: Presence = 1 << 5;
const MESSAGE: Presence = 1 << 6;
const ISSUED: Presence = 1 << 7;
const QUERY: Presence = 1 << 8;
/// The flag and the form are values, not parts, and decide as well where they are there.
const MASTERS: Presence = 1 << 9;
const UUID: Presence = 1 << 10;
/// Annotations under names that are no column's path.
const OTHERS: Presence = 1 << 11;

/// Returns what a row must have any of, so that its own values decide a test of `field`.
pub(super) fn asks(field: &Field) -> Option<Presence> {
    Some(match field {
        Field::Column(Column::Name) => NAME,
        Field::Column(Column::ObjectUid) => OBJECT_UID,
        Field::Column(Column::Message) => MESSAGE,
        Field::Column(Column::IssuedCredentialId) => ISSUED,
        Field::Column(Column::IsMasters) => MASTERS,
        Field::Body(Region::Annotations, paths)
            if paths.iter().all(|path| path.last_key().is_some()) =>
        {
            OTHERS
        }
        Field::Body(region, _) => match region {
            Region::RequestObject => REQUEST,
            Region::ResponseObject => RESPONSE,
            Region::Object | Region::Subjects | Region::ForeignWebhooks | Region::Csr => {
                REQUEST | RESPONSE
            }
            Region::Annotations => ANNOTATIONS,
            Region::Extra => EXTRA,
            Region::Whole => return None,
        },
        Field::Derived(derived) => match derived {
            Derived::AnnotationsText => ANNOTATIONS,
            Derived::AuditIdIsUuid => UUID,
            Derived::DryRun => QUERY | REQUEST,
            Derived::ExecCommand
            | Derived::ExecArgv
            | Derived::LabelSelector
            | Derived::FieldSelector => QUERY,
            _ => return None,
        },
        _ => return None,
    })
}

/// Returns what a test says of a row that has only `presence`, if that decides it.
pub(super) fn decide(leaf: &Leaf, presence: Presence) -> Option<bool> {
    let asked = asks(&leaf.field).filter(|_| !matches!(leaf.test, LeafTest::Related(..)))?;
    let has = presence & asked != 0;
    let flag = |value| leaf.test.matches(&Values::Single(Scalar::Bool(value)));
    match asked {
        MASTERS => Some(flag(has)),
        // An audit ID that is not there is no value at all.
        UUID if has => Some(flag(true)),
        UUID => None,
        _ if has => None,
        _ if leaf.field == Field::Derived(Derived::DryRun) => Some(flag(false)),
        _ => Some(leaf.test.matches(&Values::MISSING)),
    }
}

/// Returns what a row has of what is asked.
pub(super) fn of_row(frame: &EventFrame, row_idx: usize, asked: Presence) -> Presence {
    let detail = frame.detail(row_idx);
    let has_text = |column| frame.has_text(column, row_idx);
    let mut presence = 0;
    let mut note = |part: Presence, has: &dyn Fn() -> bool| {
        if asked & part != 0 && has() {
            presence |= part;
        }
    };
    note(REQUEST, &|| !detail.request_object.is_empty());
    note(RESPONSE, &|| !detail.response_object.is_empty());
    note(ANNOTATIONS, &|| !detail.annotations.is_empty());
    note(OTHERS, &|| frame.has_other_annotations(row_idx));
    note(EXTRA, &|| !detail.extra.is_empty());
    note(NAME, &|| has_text(Column::Name));
    note(OBJECT_UID, &|| has_text(Column::ObjectUid));
    note(MESSAGE, &|| has_text(Column::Message));
    note(ISSUED, &|| has_text(Column::IssuedCredentialId));
    note(QUERY, &|| {
        memchr::memchr(b'?', frame.text(Column::RequestUri, row_idx).as_bytes()).is_some()
    });
    note(MASTERS, &|| frame.is_masters(row_idx));
    note(UUID, &|| {
        is_uuid(frame.text(Column::AuditId, row_idx).as_bytes())
    });
    presence
}
