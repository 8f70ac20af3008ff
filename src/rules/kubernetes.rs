//! What Kubernetes itself knows: verbs and resources, to tell a slip of the pen from a custom resource.
//!
//! As of Kubernetes 1.36, with those of versions since 1.20 that are gone.

/// Verbs of audit events on resources, and HTTP methods in lower case of those on other paths.
pub const VERBS: [&str; 14] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "proxy",
    "put",
    "post",
    "head",
    "options",
    "connect",
];

/// Words that people take for verbs of audit events, and what to write.
pub const NO_VERBS: &[(&str, &str)] = &[
    ("replace", "a replacement is logged as `update`"),
    ("apply", "an apply is logged as `patch`"),
    ("edit", "an edit is logged as `patch` or `update`"),
    (
        "exec",
        "an exec is a `create` or `get` of subresource `exec`",
    ),
    ("read", "a read is logged as `get`, `list` or `watch`"),
    (
        "write",
        "a write is logged as `create`, `update` or `patch`",
    ),
    (
        "impersonate",
        "a right, not a verb of events: test `impersonatedUser.username|exists: true`",
    ),
    (
        "bind",
        "a right, not a verb of events: a binding is made by `create`",
    ),
    (
        "escalate",
        "a right, not a verb of events: a role is changed by `update` or `patch`",
    ),
    (
        "use",
        "a right, not a verb of events: whoever uses a policy names it nowhere",
    ),
    (
        "approve",
        "a right, not a verb of events: an approval is an `update` of subresource `approval`",
    ),
    (
        "sign",
        "a right, not a verb of events: a signature is an `update` of subresource `status`",
    ),
    ("*", "leave the test out, or use `exists: true`"),
];

/// Built-in resources.
pub const RESOURCES: &[&str] = &[
    "apiservices",
    "bindings",
    "certificatesigningrequests",
    "clusterrolebindings",
    "clusterroles",
    "clustertrustbundles",
    "componentstatuses",
    "configmaps",
    "controllerrevisions",
    "cronjobs",
    "csidrivers",
    "csinodes",
    "csistoragecapacities",
    "customresourcedefinitions",
    "daemonsets",
    "deployments",
    "deviceclasses",
    "devicetaintrules",
    "endpoints",
    "endpointslices",
    "events",
    "flowschemas",
    "horizontalpodautoscalers",
    "ingressclasses",
    "ingresses",
    "ipaddresses",
    "jobs",
    "leasecandidates",
    "leases",
    "limitranges",
    "localsubjectaccessreviews",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "mutatingwebhookconfigurations",
    "namespaces",
    "networkpolicies",
    "nodes",
    "persistentvolumeclaims",
    "persistentvolumes",
    "podcertificaterequests",
    "poddisruptionbudgets",
    "podgroups",
    "pods",
    "podsecuritypolicies",
    "podtemplates",
    "priorityclasses",
    "prioritylevelconfigurations",
    "replicasets",
    "replicationcontrollers",
    "resourceclaims",
    "resourceclaimtemplates",
    "resourcequotas",
    "resourceslices",
    "rolebindings",
    "roles",
    "runtimeclasses",
    "secrets",
    "selfsubjectaccessreviews",
    "selfsubjectreviews",
    "selfsubjectrulesreviews",
    "serviceaccounts",
    "servicecidrs",
    "services",
    "statefulsets",
    "storageclasses",
    "storageversionmigrations",
    "storageversions",
    "subjectaccessreviews",
    "tokenreviews",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "validatingwebhookconfigurations",
    "volumeattachments",
    "volumeattributesclasses",
    "workloads",
];

/// Built-in subresources.
pub const SUBRESOURCES: &[&str] = &[
    "approval",
    "attach",
    "binding",
    "ephemeralcontainers",
    "eviction",
    "exec",
    "finalize",
    "log",
    "portforward",
    "proxy",
    "resize",
    "scale",
    "status",
    "token",
];

/// Returns the built-in resource that is meant by what is none, if that is plain: another number or case, or a slip.
///
/// Anything else may be a custom resource.
pub fn resource_meant(word: &str) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase();
    if RESOURCES.contains(&word) {
        return None;
    }
    let plurals = [
        lower.clone(),
        format!("{lower}s"),
        format!("{lower}es"),
        format!("{}ies", lower.strip_suffix('y').unwrap_or("?")),
    ];
    let plural = RESOURCES
        .iter()
        .find(|known| plurals.iter().any(|plural| plural == *known));
    plural.copied().or_else(|| slip(&lower, RESOURCES))
}

/// Returns the word of `known` that differs from `word` by a letter or two.
pub(super) fn slip(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let slips = match word.len() {
        0..=4 => 0,
        5..=9 => 1,
        _ => 2,
    };
    let near = |known: &&&str| {
        let distance = strsim::damerau_levenshtein(word, known);
        (1..=slips).contains(&distance)
    };
    known.iter().find(near).copied()
}

/// Returns the built-in subresource that is meant by what is none, if that is plain.
pub fn subresource_meant(word: &str) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase();
    if SUBRESOURCES.contains(&word) {
        return None;
    }
    let other = SUBRESOURCES.iter().find(|known| {
        **known == lower || format!("{known}s") == lower || **known == format!("{lower}s")
    });
    other.copied().or_else(|| slip(&lower, SUBRESOURCES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_told_from_custom_resources() {
        fn check(word: &str, expected: Option<&str>) {
            assert_eq!(resource_meant(word), expected, "{word}");
        }
        check("pods", None);
        check("pod", Some("pods"));
        check("Secret", Some("secrets"));
        check("Secrets", Some("secrets"));
        check("networkpolicy", Some("networkpolicies"));
        check("ingress", Some("ingresses"));
        check("clusterrolebinding", Some("clusterrolebindings"));
        check("deploymnets", Some("deployments"));
        check("clusterpolicies", None);
        check("virtualservices", None);
        check("certificates", None);
        check("jobsets", None);
        check("gateways", None);
        assert_eq!(subresource_meant("logs"), Some("log"));
        assert_eq!(subresource_meant("exec"), None);
        assert_eq!(subresource_meant("portfoward"), Some("portforward"));
        assert_eq!(subresource_meant("connect"), None);
    }
}
