//! How bad a grant is: who is given something, how far it reaches, and what it is.

use serde::{Deserialize, Serialize};

use super::rights::Right;
use crate::detect::json::Json;
use crate::detect::view::subject_name;
use crate::finding::Severity;

/// Whom a binding gives something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Subject {
    pub(super) holder: Holder,
    /// As user or group.
    pub(super) name: String,
}

/// Who holds a right, the worse the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Holder {
    /// Who may do everything anyway.
    Superuser,
    Program,
    Person,
    /// Everybody with a credential, or every program.
    Everybody,
    /// Everybody.
    Anonymous,
}

/// How far a binding reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    Namespace,
    /// A namespace whose owner owns the cluster.
    System,
    Cluster,
}

impl Reach {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "in all namespaces",
            Self::System => "in a namespace of the system",
            Self::Namespace => "in its namespace",
        }
    }
}

impl Subject {
    pub(super) fn of(subject: &Json<'_>, namespace: &str) -> Option<Self> {
        let text = |key: &str| subject.get(key).and_then(Json::as_text);
        let holder = match (text("kind")?, text("name")?) {
            // Every Pod that names no other runs as it.
            ("ServiceAccount", "default") => Holder::Person,
            ("ServiceAccount", _) => Holder::Program,
            (kind, name) => Holder::of(kind, name),
        };
        Some(Self {
            holder,
            name: subject_name(subject, namespace)?,
        })
    }
}

impl Holder {
    /// Returns who a user or group is.
    fn of(kind: &str, name: &str) -> Self {
        match (kind, name) {
            (_, "system:anonymous" | "system:unauthenticated") => Self::Anonymous,
            (
                "Group",
                "system:authenticated" | "system:authenticated:oauth" | "system:serviceaccounts",
            ) => Self::Everybody,
            ("Group", "system:masters" | "kubeadm:cluster-admins") => Self::Superuser,
            ("User", name) if name.starts_with("system:serviceaccount:") => Self::Program,
            ("Group", name) if name.starts_with("system:serviceaccounts:") => Self::Person,
            (_, "system:admin") => Self::Person,
            (_, name) if name.starts_with("system:") => Self::Program,
            _ => Self::Person,
        }
    }
}

/// Returns how bad it is that somebody holds a right; nothing if that is everyday work.
///
/// Measured by what the rules say of built-in roles that allow as much: `cluster-admin-bound`, `everybody-made-admin`,
/// `cluster-wide-edit-bound`. What a program is installed with is told of its role, by `role-can-escalate` and the like.
pub(super) fn severity(
    right: Right,
    reach: Reach,
    holder: Holder,
    is_install: bool,
    by_superuser: bool,
) -> Option<Severity> {
    let is_rise = matches!(right, Right::Everything | Right::Escalation);
    let may_act = right == Right::Impersonation;
    let is_near = reach == Reach::Namespace;
    match holder {
        Holder::Superuser => None,
        Holder::Anonymous | Holder::Everybody => Some(match (is_near, is_rise) {
            (true, true) => Severity::High,
            (true, false) => Severity::Medium,
            (false, _) if is_rise || may_act => Severity::Critical,
            (false, _) => Severity::High,
        }),
        Holder::Person if is_near => is_rise.then_some(Severity::Low),
        // Administrators delegate by it.
        Holder::Person if is_rise || may_act && !by_superuser => Some(Severity::High),
        Holder::Person => Some(Severity::Medium),
        Holder::Program => match reach {
            Reach::Namespace => None,
            Reach::Cluster if right == Right::Everything => Some(Severity::High),
            Reach::System if !is_rise => None,
            _ if is_install => None,
            _ if is_rise || may_act && !by_superuser => Some(Severity::Medium),
            _ => Some(Severity::Low),
        },
    }
}
