//! What the RBAC authorizer says when it lets a request through.
//!
//! The reason names binding, role and subject (kubernetes/kubernetes
//! `plugin/pkg/auth/authorizer/rbac/rbac.go`), which is more than the bodies of a log at level Metadata do.

/// What a reason of the RBAC authorizer says.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant<'a> {
    /// `ClusterRoleBinding` or `RoleBinding`
    pub kind: &'a str,
    /// `NAME`, or `NAME/NAMESPACE` of a `RoleBinding`.
    pub binding: &'a str,
    /// Role kind and name.
    pub role: String,
    /// Subject kind and name.
    pub subject: String,
}

impl<'a> Grant<'a> {
    /// Reads a reason; `None` if RBAC did not write it.
    pub fn parse(reason: &'a str) -> Option<Self> {
        let rest = reason.strip_prefix("RBAC: allowed by ")?;
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

    /// Returns whether it allows everything everywhere: a `RoleBinding` to `cluster-admin` holds in its namespace.
    pub fn is_of_superuser(&self) -> bool {
        self.kind == "ClusterRoleBinding" && self.role == "ClusterRole cluster-admin"
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
        assert_eq!(Grant::parse(""), None);
        assert_eq!(Grant::parse("allowed by IAM"), None);
    }
}
