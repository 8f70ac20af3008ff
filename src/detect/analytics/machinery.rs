//! The cluster's own machinery: what it does follows from what others did.
//!
//! Its controllers clean up after a deletion and make what a Deployment asks for. An identity is known by
//! its name and its program together; a program's name alone is the client's to choose.

use std::cell::RefCell;

use hashbrown::HashMap;

use crate::detect::request::Request;
use crate::frame::Vocabulary;

/// ServiceAccounts in `kube-system` of kube-controller-manager's controllers, as kubernetes/kubernetes
/// 1.36 names them (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy/controller_policy.go`).
const CONTROLLERS: [&str; 47] = [
    "attachdetach-controller",
    "certificate-controller",
    "cloud-provider",
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemon-set-controller",
    "deployment-controller",
    "device-taint-eviction-controller",
    "disruption-controller",
    "endpoint-controller",
    "endpointslice-controller",
    "endpointslicemirroring-controller",
    "ephemeral-volume-controller",
    "expand-controller",
    "generic-garbage-collector",
    "horizontal-pod-autoscaler",
    "job-controller",
    "legacy-service-account-token-cleaner",
    "namespace-controller",
    "node-controller",
    "persistent-volume-binder",
    "pod-garbage-collector",
    "podcertificaterequestcleaner-controller",
    "pv-protection-controller",
    "pvc-protection-controller",
    "replicaset-controller",
    "replication-controller",
    "resource-claim-controller",
    "resourcequota-controller",
    "root-ca-cert-publisher",
    "kube-apiserver-serving-clustertrustbundle-publisher",
    "route-controller",
    "selinux-warning-controller",
    "service-account-controller",
    "service-cidrs-controller",
    "service-controller",
    "statefulset-controller",
    "storage-version-garbage-collector",
    "storage-version-migrator-controller",
    "taint-eviction-controller",
    "tokens-controller",
    "bootstrap-signer",
    "token-cleaner",
    "ttl-after-finished-controller",
    "ttl-controller",
    "validatingadmissionpolicy-status-controller",
    "vac-protection-controller",
];

/// Components that act under a name of their own.
const COMPONENTS: [&str; 4] = [
    "system:apiserver",
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "system:cloud-controller-manager",
];

/// How the programs begin that hold these identities: the components, and what runs them in one process.
const PROGRAMS: [&str; 8] = [
    "kube-apiserver/",
    "kube-controller-manager/",
    "kube-scheduler/",
    "cloud-controller-manager/",
    "cluster-policy-controller/",
    "hyperkube/",
    "k3s/",
    "rke2/",
];

/// Tells the machinery, once per user and program; only where an analytic has reason to ask.
#[derive(Clone, Default)]
pub struct Machinery(RefCell<HashMap<(u32, u32), bool>>);

impl Machinery {
    /// Returns whether the cluster itself made the request.
    pub(super) fn made(&self, request: &Request<'_>, vocabulary: &Vocabulary) -> bool {
        let key = (request.username(), request.user_agent());
        *self
            .0
            .borrow_mut()
            .entry(key)
            .or_insert_with(|| is_machinery(vocabulary.text(key.0), vocabulary.text(key.1)))
    }
}

/// Returns whether it is the name of a controller of kube-controller-manager.
pub(super) fn is_controller(username: &str) -> bool {
    let account = username.strip_prefix("system:serviceaccount:kube-system:");
    account.is_some_and(|name| CONTROLLERS.contains(&name))
}

fn is_machinery(username: &str, agent: &str) -> bool {
    let known = is_controller(username) || COMPONENTS.contains(&username);
    known && PROGRAMS.iter().any(|program| agent.starts_with(program))
}

/// Returns whether `text` is what `pattern` says; `*` stands for any text, none included.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|start| text.strip_prefix(start)) else {
        return false;
    };
    let Some(end) = parts.next_back() else {
        return rest.is_empty();
    };
    // The leftmost place of each part leaves most room to the next.
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_stars() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        };
        check("admin", "admin", true);
        check("admin", "admin2", false);
        check("*", "", true);
        check("break-*", "break-glass", true);
        check("break-*", "unbreak-glass", false);
        check("*-glass", "break-glass", true);
        check("a*b*c", "a-b-b-c", true);
        check("a*b*c", "a-c", false);
        check("ab*ba", "aba", false);
        check("", "a", false);
    }

    #[test]
    fn machinery_is_name_and_program() {
        let check = |username: &str, agent: &str, expected: bool| {
            assert_eq!(
                is_machinery(username, agent),
                expected,
                "{username} {agent}"
            );
        };
        let collector = "system:serviceaccount:kube-system:generic-garbage-collector";
        check(
            collector,
            "kube-controller-manager/v1.36.2 (linux/amd64)",
            true,
        );
        check(collector, "k3s/v1.36.2+k3s1 (linux/amd64)", true);
        check(collector, "curl/8", false);
        check(
            "system:serviceaccount:prod:generic-garbage-collector",
            "kube-controller-manager/v1",
            false,
        );
        check(
            "system:serviceaccount:kube-system:system-controller",
            "kube-controller-manager/v1",
            false,
        );
        check("system:apiserver", "kube-apiserver/v1.36.2", true);
        check("kubernetes-admin", "kube-apiserver/v1.36.2", false);
    }
}
