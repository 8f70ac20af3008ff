//! Views: what rules may ask of an event besides what stands in it.
//!
//! The object that a request wrote has the same shape whatever the verb: a rule on it need not know of
//! patches, of bodies that only the answer has, or of the three places where Pods are described.

mod object;
mod patch;
mod query;

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem;

use super::json::{Json, Keys};
use super::rbac::Grant;
use super::row::column_values;
use super::value::{Number, Scalar, Values};
use crate::frame::derived::{is_uuid, service_account};
use crate::frame::vocabulary::{known, parse_list};
use crate::frame::{Column, EventFrame};
pub(super) use object::{csr, foreign_webhooks, subject_name, subjects};
pub use object::{keys, object};
pub use query::{argv, is_dry_run, is_selective, parameter};

/// A value that follows from columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Derived {
    /// The binding that the authorizer's reason names.
    ReasonBinding,
    /// The role that it names.
    ReasonRole,
    /// The subject that it names.
    ReasonSubject,
    /// The namespace of the actor, if that is a ServiceAccount.
    AccountNamespace,
    /// Command line of exec or attach, joined by blanks.
    ExecCommand,
    /// The same, by argument.
    ExecArgv,
    /// How long the request lasted.
    SessionSeconds,
    /// The annotations as they stand in the log.
    AnnotationsText,
    /// Whether the audit ID is a UUID, as the API server makes them.
    AuditIdIsUuid,
    /// Whether nothing was to be changed in earnest.
    DryRun,
    /// Parameter `labelSelector` of the query.
    LabelSelector,
    /// Parameter `fieldSelector` of the query.
    FieldSelector,
    /// One element of a list column; a negative one counts from the end.
    Element(Column, i64),
}

impl Derived {
    /// All of them, as rules name them.
    pub const NAMES: [(&'static str, Self); 12] = [
        ("reason.binding", Self::ReasonBinding),
        ("reason.role", Self::ReasonRole),
        ("reason.subject", Self::ReasonSubject),
        ("account.namespace", Self::AccountNamespace),
        ("exec.command", Self::ExecCommand),
        ("exec.argv", Self::ExecArgv),
        ("session.seconds", Self::SessionSeconds),
        ("annotations_text", Self::AnnotationsText),
        ("audit_id_is_uuid", Self::AuditIdIsUuid),
        ("dry_run", Self::DryRun),
        ("label_selector", Self::LabelSelector),
        ("field_selector", Self::FieldSelector),
    ];

    /// Returns the coded column whose value alone decides.
    pub fn source(self) -> Option<Column> {
        match self {
            Self::ReasonBinding | Self::ReasonRole | Self::ReasonSubject => {
                Some(Column::AuthzReason)
            }
            Self::AccountNamespace => Some(Column::Actor),
            Self::Element(column, _) => Some(column),
            Self::ExecCommand
            | Self::ExecArgv
            | Self::SessionSeconds
            | Self::AnnotationsText
            | Self::AuditIdIsUuid
            | Self::DryRun
            | Self::LabelSelector
            | Self::FieldSelector => None,
        }
    }

    /// Returns the value where [`Self::source`] is `text`.
    pub fn of_text(self, text: &str) -> Values<'_> {
        if let Self::Element(_, index) = self {
            let mut elements = parse_list(text);
            let at = if index < 0 {
                elements
                    .len()
                    .checked_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX))
            } else {
                usize::try_from(index).ok()
            };
            let at = at.filter(|at| *at < elements.len());
            return at.map_or(Values::MISSING, |at| {
                Values::Texts(vec![elements.swap_remove(at)])
            });
        }
        if self == Self::AccountNamespace {
            let namespace = service_account(text).map(|(namespace, _)| Cow::Borrowed(namespace));
            return Values::Texts(namespace.into_iter().collect());
        }
        let Some(grant) = Grant::parse(text) else {
            return Values::MISSING;
        };
        Values::Texts(vec![match self {
            Self::ReasonRole => Cow::Owned(grant.role),
            Self::ReasonSubject => Cow::Owned(grant.subject),
            _ => Cow::Borrowed(grant.binding),
        }])
    }

    /// Returns the value at a row.
    pub fn of_row(self, frame: &EventFrame, row_idx: usize) -> Values<'_> {
        if let Some(source) = self.source() {
            return self.of_text(frame.vocabulary().text(frame.code(source, row_idx)));
        }
        if self == Self::SessionSeconds {
            let [from, to] = [Column::Ts, Column::StageTs].map(|time| frame.times(time)[row_idx]);
            return seconds(from, to).map_or(Values::MISSING, |seconds| {
                Values::Single(Scalar::Number(Number::Float(seconds)))
            });
        }
        if self == Self::AnnotationsText {
            let annotations = frame.detail(row_idx).annotations;
            return match annotations.slice(frame.record(row_idx)) {
                "" => Values::MISSING,
                text => Values::Single(Scalar::Text(text)),
            };
        }
        let selector = match self {
            Self::LabelSelector => Some("labelSelector"),
            Self::FieldSelector => Some("fieldSelector"),
            _ => None,
        };
        if let Some(selector) = selector {
            let value = parameter(frame.text(Column::RequestUri, row_idx), selector);
            return Values::Texts(value.into_iter().collect());
        }
        if self == Self::DryRun {
            let verb = frame.vocabulary().text(frame.code(Column::Verb, row_idx));
            let uri = frame.text(Column::RequestUri, row_idx);
            let is_dry = is_dry_run(verb, uri, request_body(frame, row_idx));
            return Values::Single(Scalar::Bool(is_dry));
        }
        if self == Self::AuditIdIsUuid {
            return match frame.text(Column::AuditId, row_idx) {
                "" => Values::MISSING,
                id => Values::Single(Scalar::Bool(is_uuid(id.as_bytes()))),
            };
        }
        let Values::Single(Scalar::Text(subresource)) =
            column_values(frame, Column::Subresource, row_idx)
        else {
            return Values::MISSING;
        };
        let mut argv = match subresource {
            "exec" | "attach" => argv(frame.text(Column::RequestUri, row_idx)),
            _ => Vec::new(),
        };
        if self == Self::ExecCommand && !argv.is_empty() {
            argv = vec![argv.join(" ")];
        }
        Values::Texts(argv.into_iter().map(Cow::Owned).collect())
    }
}

/// Returns the body of a request; empty if it had none, `None` if the log holds no bodies of such.
pub fn request_body(frame: &EventFrame, row_idx: usize) -> Option<&str> {
    let body = frame.detail(row_idx).request_object;
    let level = frame.code(Column::Level, row_idx);
    let has_bodies = matches!(level, known::REQUEST | known::REQUEST_RESPONSE);
    (has_bodies || !body.is_empty()).then(|| body.slice(frame.record(row_idx)))
}

/// Returns the name that the server gave an object that was created without one: the answer alone has it
/// (kubernetes/kubernetes `staging/src/k8s.io/apiserver/pkg/registry/rest/create.go`).
pub fn generated_name(frame: &EventFrame, row_idx: usize) -> Option<&str> {
    static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::of(&["metadata", "name"]));
    let response = frame.detail(row_idx).response_object;
    let response = response.slice(frame.record(row_idx));
    let first = first_name(response);
    if first.is_some() {
        return first;
    }
    // Most of what is created without a name never gets one: reviews.
    memmem::find(response.as_bytes(), b"\"generateName\"")?;
    match Json::parse(response, &KEYS)
        .get_mut("metadata")?
        .get_mut("name")?
    {
        Json::Text(Cow::Borrowed(name)) => Some(name),
        _ => None,
    }
}

/// Returns the name of an object of a built-in type, of which the API server writes it first of all metadata, if it is there.
fn first_name(object: &str) -> Option<&str> {
    const BEFORE: &str = r#""metadata":{"name":""#;
    /// What kind and version take up, and more.
    const FAR: usize = 200;
    let head = object.as_bytes();
    let at = memmem::find(&head[..head.len().min(FAR)], BEFORE.as_bytes())?;
    // The metadata are those of the object itself, and the name has no escapes.
    let is_its_own = !head.get(1..at)?.contains(&b'{');
    let (name, _) = object[at + BEFORE.len()..].split_once('"')?;
    (is_its_own && !name.contains('\\')).then_some(name)
}

/// Returns the seconds between two times in microseconds, of which 0 is null.
pub fn seconds(from: i64, to: i64) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds of a request are far below 2^53"
    )]
    (from != 0 && to != 0).then(|| to.saturating_sub(from).max(0) as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_is_that_of_the_object_itself() {
        let pod = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-x7k2p","generateName":"web-"}}"#;
        assert_eq!(first_name(pod), Some("web-x7k2p"));
        for other in [
            "",
            "{}",
            r#"{"metadata":{"name":"cut"#,
            r#""metadata":{"name":"a"}"#,
            r#"{"kind":"List","items":[{"metadata":{"name":"a"}}]}"#,
            r#"{"kind":"X","metadata":{"generateName":"web-","name":"web-x7k2p"}}"#,
            r#"{"kind":"X","metadata":{"name":"a\u0062"}}"#,
        ] {
            assert_eq!(first_name(other), None, "{other}");
        }
    }
}
