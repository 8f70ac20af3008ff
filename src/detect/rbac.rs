//! What authorizers say when they let a request through: RBAC, access policies of EKS, and Azure RBAC of AKS.
//!
//! The reason names binding, role and subject (kubernetes/kubernetes
//! `plugin/pkg/auth/authorizer/rbac/rbac.go`), which is more than the bodies of a log at level Metadata do. EKS writes its own
//! in the same words; Azure names an assignment, a role and a user by their ids (kubeguard/guard `authz/providers/azure`).

use hashbrown::HashMap;

use super::request::Request;
use crate::frame::Vocabulary;

/// What a reason says.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant<'a> {
    /// `ClusterRoleBinding`, `RoleBinding` or `Azure role assignment`
    pub kind: &'a str,
    /// `NAME`, or `NAME/NAMESPACE` of a `RoleBinding`.
    pub binding: &'a str,
    /// Role kind and name.
    pub role: String,
    /// Subject kind and name.
    pub subject: String,
}

/// What the reasons of RBAC and of EKS begin with.
const AUTHORIZERS: [&str; 2] = ["RBAC: allowed by ", "EKS Access Policy: allowed by "];

const AZURE_KIND: &str = "Azure role assignment";

const AZURE: &str = "Access allowed by Azure RBAC Role Assignment ";

/// The end of the ARN of EKS's policy that allows everything; no name in RBAC holds a slash.
const EKS_SUPERUSER: &str = ":cluster-access-policy/AmazonEKSClusterAdminPolicy";

/// Azure's role `Azure Kubernetes Service RBAC Cluster Admin`, in the form in which the reason has it.
const AZURE_SUPERUSER: &str = "Azure role b1ff04bb8a4e4dc48eb58693973ce19b";

impl<'a> Grant<'a> {
    /// Reads a reason; `None` if none of these wrote it.
    pub fn parse(reason: &'a str) -> Option<Self> {
        if let Some(rest) = reason.strip_prefix(AZURE) {
            return Self::of_azure(rest);
        }
        let mut rests = AUTHORIZERS.iter();
        let rest = rests.find_map(|prefix| reason.strip_prefix(prefix))?;
        let (kind, rest) = rest.split_once(" \"")?;
        // A name may hold quotes, which Go escapes.
        let mut ends = rest.match_indices("\" of ").map(|(at, _)| at);
        let end = ends.find(|&at| !rest[..at].ends_with('\\'))?;
        let (binding, rest) = (&rest[..end], &rest[end + "\" of ".len()..]);
        let (role, subject) = rest.split_once(" to ")?;
        let unquoted = |text: &str| text.replace('"', "");
        Some(Self {
            kind,
            binding,
            role: unquoted(role),
            subject: unquoted(subject),
        })
    }

    fn of_azure(rest: &'a str) -> Option<Self> {
        let (binding, rest) = rest.split_once(" of Role ")?;
        let (role, user) = rest.split_once(" to user ")?;
        Some(Self {
            kind: AZURE_KIND,
            binding,
            role: format!("Azure role {}", role.replace('-', "")),
            subject: format!("User {user}"),
        })
    }

    /// Returns whether it allows everything everywhere: a `RoleBinding` to `cluster-admin` holds in its namespace.
    pub fn is_of_superuser(&self) -> bool {
        let of_all = self.role == "ClusterRole cluster-admin" || self.role.ends_with(EKS_SUPERUSER);
        self.kind == "ClusterRoleBinding" && of_all || self.role == AZURE_SUPERUSER
    }

    /// Returns whether it stands in a cloud account: no object of the cluster says so.
    pub fn is_outside(&self) -> bool {
        self.kind == AZURE_KIND || self.role.contains(":cluster-access-policy/")
    }
}

/// What somebody makes of the reasons of requests: each is read once.
#[derive(Clone, Default)]
pub struct Reasons<T>(HashMap<u32, T>);

/// Most reasons that were read are remembered.
const READ: usize = 1 << 16;

impl<T: Default> Reasons<T> {
    /// Returns what `read` makes of the grant that let a request through; the default if its reason names none.
    pub fn of<'v>(
        &mut self,
        request: &Request<'_>,
        vocabulary: &'v Vocabulary,
        read: impl FnOnce(&Grant<'v>) -> T,
    ) -> &T {
        if self.0.len() >= READ {
            self.0.clear();
        }
        let reason = request.authz_reason();
        self.0.entry(reason).or_insert_with(|| {
            let grant = Grant::parse(vocabulary.text(reason));
            grant.as_ref().map(read).unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_of_the_rbac_authorizer_are_read() {
        let reason = r#"RBAC: allowed by RoleBinding "flag-reader/orders" of Role "flag-reader" to Group "system:unauthenticated""#;
        let grant = Grant::parse(reason).unwrap();
        assert_eq!(
            (grant.kind, grant.binding),
            ("RoleBinding", "flag-reader/orders")
        );
        assert_eq!(grant.role, "Role flag-reader");
        assert_eq!(grant.subject, "Group system:unauthenticated");
        let quoted = r#"RBAC: allowed by ClusterRoleBinding "x\" of y" of ClusterRole "cluster-admin" to User "eve""#;
        let grant = Grant::parse(quoted).unwrap();
        assert_eq!(
            (grant.binding, &*grant.role),
            (r#"x\" of y"#, "ClusterRole cluster-admin")
        );
        assert!(grant.is_of_superuser());
        let of_namespace = r#"RBAC: allowed by RoleBinding "owner/shop" of ClusterRole "cluster-admin" to User "eve""#;
        assert!(!Grant::parse(of_namespace).unwrap().is_of_superuser());
        let eks = r#"EKS Access Policy: allowed by ClusterRoleBinding "arn:aws:iam::1:role/ops+arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy" of ClusterRole "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy" to User "AROAX:eve""#;
        let grant = Grant::parse(eks).unwrap();
        assert!(grant.is_of_superuser());
        assert_eq!(grant.subject, "User AROAX:eve");
        let editor = eks.replace("ClusterAdminPolicy\" to", "EditPolicy\" to");
        assert!(!Grant::parse(&editor).unwrap().is_of_superuser());
        let azure = "Access allowed by Azure RBAC Role Assignment 59ae of Role b1ff04bb8a4e4dc48eb58693973ce19b to user 00dc";
        let grant = Grant::parse(azure).unwrap();
        assert!(grant.is_of_superuser());
        assert_eq!((grant.binding, &*grant.subject), ("59ae", "User 00dc"));
        let reader = azure.replace(
            "b1ff04bb8a4e4dc48eb58693973ce19b",
            "7f6c6a51bcf842ba922052d62157d7db",
        );
        assert!(!Grant::parse(&reader).unwrap().is_of_superuser());
        assert_eq!(Grant::parse(""), None);
        assert_eq!(Grant::parse("allowed by IAM"), None);
    }
}
