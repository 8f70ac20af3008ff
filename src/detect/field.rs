//! Where a rule's field is: a column, or a path into what stays raw text.
//!
//! A field is named by its audit path (`user.username`), by its column (`username`), or by one of the
//! short names below, some of which are views ([`super::view`]). Column names win over short names, so `reason` is `responseStatus.reason` and
//! the annotation is `authz_reason`. A name that an audit event cannot have is an error: a rule that
//! never matches because of a typo is the commonest complaint about Sigma engines.

use crate::frame::{Column, ColumnType};
use crate::rules::words::closest;

use super::json::Keys;
use super::path::{Path, PathError, Paths};
use super::view::Derived;
use super::workload::{self, CONTAINERS, POD_SPECS, STEPS};

/// Where a field is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Field {
    /// A column of the frame.
    Column(Column),
    /// Paths into one region of the record; the field's values are those of all of them.
    Body(Region, Paths),
    /// A value that follows from columns.
    Derived(Derived),
    /// The record's raw text: keywords.
    Record,
}

/// A part of the record that is raw text, or a view of such parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Region {
    /// `annotations`
    Annotations,
    /// `user.extra`
    Extra,
    /// `requestObject`
    RequestObject,
    /// `responseObject`
    ResponseObject,
    /// What the request wrote, whatever the verb.
    Object,
    /// Names of the subjects of the binding in it.
    Subjects,
    /// Where the webhooks in it are served, if not by the actor's own namespace.
    ForeignWebhooks,
    /// Subject of the certificate that the signing request in it asks for.
    Csr,
    /// The whole record, for the few fields that are in no column and no other region.
    Whole,
}

impl Region {
    /// All regions.
    pub const ALL: [Self; 9] = [
        Self::Annotations,
        Self::Extra,
        Self::RequestObject,
        Self::ResponseObject,
        Self::Object,
        Self::Subjects,
        Self::ForeignWebhooks,
        Self::Csr,
        Self::Whole,
    ];

    /// Returns whether the region is made of others.
    pub fn is_view(self) -> bool {
        matches!(self, Self::Object) || self.is_made()
    }

    /// Returns whether it is made of what the object has under other keys.
    pub(super) fn is_made(self) -> bool {
        matches!(self, Self::Subjects | Self::ForeignWebhooks | Self::Csr)
    }
}

/// Why a name is not a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// What is wrong.
    pub what: String,
    /// What to try.
    pub hint: Option<String>,
}

/// Short names, and names that public rules use in place of the audit path.
///
/// `objectRef` and `impersonatedUser` stand for the member they always have, so that `exists` is cheap.
const ALIASES: &[(&str, Column)] = &[
    ("peer.ip", Column::PeerIp),
    ("client.ip", Column::ClientIp),
    ("credential.id", Column::CredentialId),
    ("credential.kind", Column::CredentialKind),
    ("identity.kind", Column::IdentityKind),
    ("effective_user", Column::Actor),
    ("apiGroup", Column::ApiGroup),
    ("objectRef", Column::Resource),
    ("impersonatedUser", Column::ImpUsername),
    (
        "annotations.authorization_k8s_io/decision",
        Column::Decision,
    ),
    (
        "annotations.authorization_k8s_io/reason",
        Column::AuthzReason,
    ),
];

/// Fields of `audit.k8s.io/v1` `Event` (and `v1beta1`) that are in no column.
const WHOLE: &[&str] = &[
    "kind",
    "apiVersion",
    "metadata",
    "timestamp",
    "user",
    "impersonatedUser.uid",
    "impersonatedUser.extra",
    "authenticationMetadata",
    "authenticationMetadata.impersonationConstraint",
    "objectRef.resourceVersion",
    "responseStatus",
    "responseStatus.kind",
    "responseStatus.apiVersion",
    "responseStatus.status",
    "responseStatus.metadata",
    "responseStatus.details",
];

/// Those below which any key may stand.
const OPEN: &[&[&str]] = &[
    &["metadata"],
    &["impersonatedUser", "extra"],
    &["responseStatus", "metadata"],
    &["responseStatus", "details"],
];

/// Names that people write, and what they mean.
const MISTAKES: &[(&str, &str)] = &[
    ("objectRef.kind", "objectRef.resource"),
    ("user.name", "user.username"),
    ("username", "user.username"),
    ("sourceIP", "sourceIPs"),
    ("responseStatus.statusCode", "responseStatus.code"),
];

impl Field {
    /// Returns where the field `name` is.
    ///
    /// # Errors
    /// When an audit event has no such field.
    pub fn resolve(name: &str) -> Result<Self, FieldError> {
        let path = Path::parse(name).map_err(|error| wrong_path(name, error))?;
        if let Some(joined) = path.joined() {
            let alias = ALIASES
                .iter()
                .find(|(alias, _)| *alias == joined)
                .map(|(_, column)| *column);
            let column = Column::by_path(&joined)
                .or_else(|| Column::by_name(&joined))
                .or(alias);
            if let Some(column) = column {
                return Ok(Self::Column(column));
            }
            let derived = Derived::NAMES.iter().find(|(name, _)| *name == joined);
            if let Some((_, derived)) = derived {
                return Ok(Self::Derived(*derived));
            }
        }
        let regions: [(&[&str], Region); 8] = [
            (&["requestObject"], Region::RequestObject),
            (&["responseObject"], Region::ResponseObject),
            (&["annotations"], Region::Annotations),
            (&["user", "extra"], Region::Extra),
            (&["object"], Region::Object),
            (&["binding", "subjects"], Region::Subjects),
            (&["webhook", "foreign"], Region::ForeignWebhooks),
            (&["csr"], Region::Csr),
        ];
        for (keys, region) in regions {
            if let Some(below) = path.below(keys) {
                return Ok(Self::Body(region, vec![below].into()));
            }
        }
        if let Some(paths) = pod_paths(name) {
            return Ok(Self::Body(Region::Object, paths));
        }
        if let Some(element) = element(name) {
            return Ok(Self::Derived(element));
        }
        let is_known = path
            .joined()
            .is_some_and(|joined| WHOLE.contains(&joined.as_str()))
            || OPEN.iter().any(|keys| path.below(keys).is_some());
        if is_known {
            Ok(Self::Body(Region::Whole, vec![path].into()))
        } else {
            Err(unknown(name))
        }
    }

    /// Returns a text without which no raw text can have the field.
    ///
    /// The last key of the path stands in the text as it is, but for slashes and tildes, which a JSON patch
    /// writes otherwise (RFC 6901).
    pub(super) fn mark(&self) -> Option<&str> {
        match self {
            Self::Body(Region::Subjects, _) => Some("subjects"),
            Self::Body(Region::ForeignWebhooks, _) => Some("webhooks"),
            Self::Body(Region::Csr, _) => Some("request"),
            Self::Body(Region::Object, paths) if paths.iter().any(workload::is_command_line) => {
                let is_of_container = paths.iter().all(workload::is_of_container);
                is_of_container.then_some(workload::CONTAINERS_MARK)
            }
            Self::Body(_, paths) => {
                let mut keys = paths.iter().map(Path::last_key);
                let key = keys.next().flatten()?;
                let key = key.rsplit(['/', '~']).next()?;
                let is_common = keys.all(|other| other.is_some_and(|other| other.ends_with(key)));
                (is_common && !key.is_empty()).then_some(key)
            }
            _ => None,
        }
    }

    /// Keeps the keys of bodies that the field follows.
    pub(super) fn keep(&self, keys: &mut Keys) {
        if let Self::Body(_, paths) = self {
            for path in &**paths {
                path.keep(keys);
            }
        }
    }

    /// Returns the coded column whose value alone decides.
    pub(super) fn source(&self) -> Option<Column> {
        match self {
            Self::Column(column) => Some(*column),
            Self::Derived(derived) => derived.source(),
            Self::Body(..) | Self::Record => None,
        }
    }

    /// Returns the column, if the field is one.
    pub fn column(&self) -> Option<Column> {
        match self {
            Self::Column(column) => Some(*column),
            _ => None,
        }
    }
}

/// Reads `user.groups[0]` and its like: an element of a list column.
fn element(name: &str) -> Option<Derived> {
    let (stem, index) = name.strip_suffix(']')?.split_once('[')?;
    let column = Column::by_path(stem).or_else(|| Column::by_name(stem))?;
    let is_list = column.kind() == ColumnType::CodedList;
    Some(Derived::Element(
        column,
        index.parse().ok().filter(|_| is_list)?,
    ))
}

/// Returns the paths of a name that stands for several places in a workload.
fn pod_paths(name: &str) -> Option<Paths> {
    let below = |prefix: &str| {
        name.strip_prefix(prefix)
            .filter(|rest| rest.is_empty() || rest.starts_with(['.', '[', '\\']))
    };
    let places: Vec<String> = if let Some(rest) = below("pod.spec") {
        POD_SPECS
            .iter()
            .map(|spec| format!("{spec}{rest}"))
            .collect()
    } else if name == "hostPath" {
        POD_SPECS
            .iter()
            .map(|spec| format!("{spec}.volumes.hostPath.path"))
            .collect()
    } else if let Some(rest) = below("steps") {
        STEPS
            .iter()
            .map(|steps| format!("spec.{steps}{rest}"))
            .collect()
    } else {
        let rest = match name {
            "capabilities" => ".securityContext.capabilities.add",
            _ => below("containers")?,
        };
        let lists = POD_SPECS
            .iter()
            .flat_map(|spec| CONTAINERS.map(|list| format!("{spec}.{list}")));
        lists.map(|list| format!("{list}{rest}")).collect()
    };
    let paths: Option<Vec<Path>> = places.iter().map(|place| Path::parse(place).ok()).collect();
    Some(paths?.into())
}

fn wrong_path(name: &str, error: PathError) -> FieldError {
    FieldError {
        what: format!("field `{name}`: {error}"),
        hint: None,
    }
}

fn unknown(name: &str) -> FieldError {
    let names = || {
        let columns = Column::ALL
            .iter()
            .flat_map(|column| [column.path(), column.name()]);
        let short = [
            "pod.spec",
            "containers",
            "steps",
            "hostPath",
            "capabilities",
        ];
        let bodies = [
            "requestObject",
            "responseObject",
            "annotations",
            "user.extra",
            "object",
            "binding.subjects",
            "webhook.foreign",
            "csr.common_name",
            "csr.organizations",
            "csr.dns_names",
            "csr.ip_addresses",
            "csr.service_names",
            "csr.foreign_names",
        ];
        let derived = Derived::NAMES.iter().map(|(name, _)| *name);
        let aliases = ALIASES.iter().map(|(alias, _)| *alias);
        columns
            .chain(WHOLE.iter().copied())
            .chain(aliases)
            .chain(short)
            .chain(bodies)
            .chain(derived)
    };
    let meant = MISTAKES
        .iter()
        .find(|(mistake, _)| *mistake == name)
        .map(|(_, meant)| *meant);
    let meant = meant.or_else(|| closest(name, names().filter(|name| !name.is_empty())));
    FieldError {
        what: format!("unknown field `{name}`: an audit event has no such field"),
        hint: meant.map(|meant| format!("did you mean `{meant}`?")),
    }
}

#[cfg(test)]
mod tests;
