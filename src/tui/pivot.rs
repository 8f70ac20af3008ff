//! Pivots: what a value on the screen stands for, and where it leads.

use crate::store::Field;
use crate::store::Row;

/// What a value stands for. Texts are the log's, as they stand there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pivot {
    /// A finding, by its id.
    Finding(String),
    /// An incident, by its id.
    Incident(String),
    /// An identity, by its user name.
    Identity(String),
    /// A credential, by its key.
    Credential(String),
    /// An address.
    Address(String),
    /// An object.
    Object(Object),
    /// An event, by its row.
    Event(Row),
    /// A place in a log that holds an event.
    Place(Place),
    /// A saved question with some of its parameters.
    Question(String, Vec<(String, String)>),
    /// A value of a field that has no card of its own.
    Value(Field, String),
    /// A list that a page shows the beginning of.
    All(Listing, ListOrder),
}

/// A list that a page shows the beginning of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Listing {
    /// Incidents.
    Incidents,
    /// Findings in no incident.
    Loose,
    /// What lists of exclusions held back.
    HeldBack,
    /// Credentials that were minted with that of a key.
    MintedWith(String),
}

/// In what order a list is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ListOrder {
    /// Place in [`Listing::orders`].
    pub by: usize,
    /// Whether it is turned round.
    pub is_reversed: bool,
}

impl ListOrder {
    /// Puts a list that is in the first of its orders into this one; `sort` does what the first needs not.
    pub fn put<T>(self, list: &mut [T], sort: impl FnOnce(&mut [T], usize)) {
        if self.by > 0 {
            sort(list, self.by);
        }
        if self.is_reversed {
            list.reverse();
        }
    }
}

impl Listing {
    /// Returns by what it can be sorted, in the order that a key goes through; the first is how pages begin it.
    pub const fn orders(&self) -> &'static [&'static str] {
        match self {
            Self::Incidents => &["severity", "time", "title"],
            Self::Loose => &["severity", "time", "rule"],
            Self::HeldBack => &["requests", "rule", "list"],
            Self::MintedWith(_) => &["time", "user", "requests"],
        }
    }

    /// Returns what it is called.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Incidents => "incidents",
            Self::Loose => "findings in no incident",
            Self::HeldBack => "held back",
            Self::MintedWith(_) => "minted",
        }
    }
}

/// An object of the cluster; empty parts are not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Object {
    /// Resource, plural.
    pub resource: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// Where a record stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file, as given.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Byte offset in the decompressed file.
    pub offset: u64,
    /// Bytes.
    pub length: u32,
    /// `auditID` of the event.
    pub audit_id: String,
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [&self.resource, &self.namespace, &self.name];
        let parts: Vec<&str> = parts
            .into_iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect();
        f.write_str(&parts.join("/"))
    }
}

impl Pivot {
    /// Returns the field and the value that it is filtered by, if rows have it.
    pub fn test(&self) -> Option<(Field, String)> {
        use crate::frame::Column;
        Some(match self {
            Self::Identity(name) => (Column::Username.into(), name.clone()),
            Self::Credential(key) => (Column::Credential.into(), key.clone()),
            Self::Address(address) => (Column::PeerIp.into(), address.clone()),
            Self::Object(object) => (Column::Name.into(), object.name.clone()),
            Self::Value(field, value) => (*field, value.clone()),
            Self::Finding(_)
            | Self::Incident(_)
            | Self::Event(_)
            | Self::Place(_)
            | Self::Question(..)
            | Self::All(..) => return None,
        })
    }
}
