//! Fields: the columns of the event frame, and what follows from them or from bodies.
//!
//! SQL, facets and filters use these names. [`Column`] is the table of what stands in an event; this is the table
//! of the rest.

use crate::frame::{Column, ColumnType};

/// How a field is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text that repeats, by code.
    Code,
    /// A list of texts, by the code of its compact JSON.
    List,
    /// Text that seldom repeats.
    Text,
    /// Microseconds since the Unix epoch, UTC; 0 is null.
    Time,
    /// A whole number.
    Number,
    /// A number with a fraction.
    Float,
    /// Yes or no.
    Flag,
}

macro_rules! derived {
    ($($variant:ident $name:literal $kind:ident $meaning:literal;)*) => {
        /// A field that no column of the frame holds.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Derived {
            $(#[doc = $meaning] $variant,)*
        }

        impl Derived {
            /// All of them, in the order of the tables.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)* }
            }

            const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

derived! {
    Ms "ms" Number "`ts` in milliseconds, for windows.";
    LatencyMs "latency_ms" Float "Milliseconds between `ts` and `stage_ts`.";
    IsMutating "is_mutating" Flag "Whether the verb changes something.";
    SaNamespace "sa_namespace" Code "Namespace of the ServiceAccount that `username` is.";
    SaName "sa_name" Code "Name of the ServiceAccount that `username` is.";
    AgentFamily "agent_family" Code "The user agent up to the first slash or blank.";
    IpClass "ip_class" Code "Kind of `peer_ip`: `private`, `loopback`, `linklocal` or `public`.";
    FieldManager "field_manager" Code "Parameter `fieldManager` of the request.";
    IsDeprecated "is_deprecated" Flag "Whether the API server calls this API deprecated.";
    RoleRef "role_ref" Text "The role of a binding that was written, where bodies are logged.";
    Subjects "subjects" Text "Its subjects, likewise.";
    PodServiceAccount "pod_service_account" Text "ServiceAccount of a Pod or template that was written, likewise.";
    PodFlags "pod_flags" Text "What makes it dangerous, likewise.";
    PodImages "pod_images" Text "Its images, likewise.";
}

/// A field of the tables `events` and `requests`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// A column of the event frame.
    Column(Column),
    /// What follows from columns or bodies.
    Derived(Derived),
}

impl Field {
    /// Returns all fields, in the order of the tables.
    pub fn all() -> impl Iterator<Item = Self> {
        let columns = Column::ALL.iter().copied().map(Self::Column);
        columns.chain(Derived::ALL.iter().copied().map(Self::Derived))
    }

    /// Returns the field of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().find(|field| field.name() == name)
    }

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Column(column) => column.name(),
            Self::Derived(derived) => derived.name(),
        }
    }

    /// Returns what it means, as a phrase.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Column(column) => column.meaning(),
            Self::Derived(derived) => derived.meaning(),
        }
    }

    /// Returns how it is stored.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Column(column) => match column.kind() {
                ColumnType::Coded => Kind::Code,
                ColumnType::CodedList => Kind::List,
                ColumnType::Text => Kind::Text,
                ColumnType::Time => Kind::Time,
                ColumnType::Number | ColumnType::Long => Kind::Number,
                ColumnType::Flag => Kind::Flag,
            },
            Self::Derived(derived) => derived.kind(),
        }
    }
}

impl From<Column> for Field {
    fn from(column: Column) -> Self {
        Self::Column(column)
    }
}
