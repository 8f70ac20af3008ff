//! Links: parts of lines that lead to cards.

use crate::finding::{Finding, Severity, Target};
use crate::frame::derived::service_account;
use crate::store::{Field, Row};
use crate::tui::document::{Look, Part};
use crate::tui::pivot::{Object, Pivot};

/// Returns the letter of a severity: color alone says nothing.
pub(super) fn letter(severity: Severity) -> Part {
    let text = match severity {
        Severity::Critical => "C",
        Severity::High => "H",
        Severity::Medium => "M",
        Severity::Low => "L",
        Severity::Informational => "I",
    };
    Part::new(text, Look::Severity(severity))
}

/// Returns a link to an identity; a request without a name has none.
pub(super) fn identity(name: &str) -> Part {
    match name {
        "" => Part::new("no name", Look::Dim),
        name => Part::link(name, Pivot::Identity(name.to_owned())),
    }
}

pub(super) fn credential(key: &str) -> Part {
    match key {
        "" => Part::new("no credential", Look::Dim),
        key => Part::link(key, Pivot::Credential(key.to_owned())),
    }
}

pub(super) fn address(address: &str) -> Part {
    match address {
        "" => Part::new("no address", Look::Dim),
        address => Part::link(address, Pivot::Address(address.to_owned())),
    }
}

pub(super) fn object(object: &Object) -> Part {
    Part::link(&object.to_string(), Pivot::Object(object.clone()))
}

/// Returns a link to a value that has no card of its own.
pub(super) fn value(field: impl Into<Field>, value: &str) -> Part {
    Part::link(value, Pivot::Value(field.into(), value.to_owned()))
}

/// Returns a link to an event.
pub(super) fn event(text: &str, row: Row) -> Part {
    Part::link(text, Pivot::Event(row))
}

/// Returns a link to a saved question with some of its parameters.
pub(super) fn question(text: &str, name: &str, parameters: &[(&str, &str)]) -> Part {
    let parameters = parameters
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Part::link(text, Pivot::Question(name.to_owned(), parameters))
}

/// Returns a link to a finding.
pub(super) fn finding(finding: &Finding) -> Part {
    let to = Pivot::Finding(finding.finding_id.clone());
    Part::link(&finding.rule.title, to)
}

/// Returns the object that the requests of a finding agree on, if they agree on one.
pub(super) fn target(target: &Target) -> Option<Object> {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let object = Object {
        resource: text(&target.resource),
        namespace: text(&target.namespace),
        name: text(&target.name),
    };
    let is_one = !object.resource.is_empty() && !object.name.is_empty();
    is_one.then_some(object)
}

/// Returns the object that an identity is, if it is one: a `ServiceAccount` or a node.
pub(super) fn object_of(username: &str) -> Option<Object> {
    if let Some((namespace, name)) = service_account(username) {
        return Some(Object {
            resource: "serviceaccounts".to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        });
    }
    let name = username.strip_prefix("system:node:")?;
    Some(Object {
        resource: "nodes".to_owned(),
        namespace: String::new(),
        name: name.to_owned(),
    })
}

/// Reads `ServiceAccount prod/web`, as findings and credentials name objects; also `secrets prod/web`.
pub(super) fn named_object(text: &str) -> Option<Object> {
    let (kind, name) = text.split_once(' ')?;
    let resource = match kind {
        "ServiceAccount" => "serviceaccounts",
        "Secret" => "secrets",
        "Pod" => "pods",
        "serviceaccounts" | "secrets" | "pods" => kind,
        _ => return None,
    };
    let (namespace, name) = name.split_once('/')?;
    (!name.is_empty()).then(|| Object {
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    })
}
