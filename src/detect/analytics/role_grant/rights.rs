//! What the rules of a role allow that reaches further than the role's own work, told apart by what it comes to.
//!
//! Read as the RBAC authorizer reads them (kubernetes/kubernetes `pkg/apis/rbac/v1/evaluation_helpers.go`): `*` is any verb,
//! group or resource, subresources included, and `*/token` is that subresource of any. Rights to objects that are named one
//! by one are how it should be, and left out.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::detect::json::Json;

/// What a right comes to, the graver the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Right {
    Secrets,
    Webhooks,
    Certificates,
    Containers,
    Shells,
    Kubelets,
    Tokens,
    Impersonation,
    Escalation,
    Everything,
}

/// The rights of a role, each with what it says of them: `create pods/exec`.
pub(super) type Rights = BTreeMap<Right, BTreeSet<String>>;

impl Right {
    /// Returns what it comes to, in words.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Secrets => "reading Secrets",
            Self::Webhooks => "changing admission webhooks",
            Self::Certificates => "approving certificates",
            Self::Containers => "containers put into running Pods",
            Self::Shells => "shells in Pods",
            Self::Kubelets => "kubelets through the API server",
            Self::Tokens => "tokens of ServiceAccounts",
            Self::Impersonation => "acting as others",
            Self::Escalation => "raising its own rights",
            Self::Everything => "everything",
        }
    }

    /// Returns whether it is about what lies in no namespace, so that a `RoleBinding` gives nothing of it.
    pub(super) const fn is_of_cluster(self) -> bool {
        matches!(self, Self::Webhooks | Self::Certificates | Self::Kubelets)
    }
}

/// A way to a right: any of the verbs on any of the resources.
struct Way {
    right: Right,
    verbs: &'static [&'static str],
    group: &'static str,
    resources: &'static [&'static str],
}

const WAYS: [Way; 9] = [
    Way {
        right: Right::Secrets,
        verbs: &["get", "list", "watch"],
        group: "",
        resources: &["secrets"],
    },
    Way {
        right: Right::Webhooks,
        verbs: &["create", "update", "patch"],
        group: "admissionregistration.k8s.io",
        resources: &[
            "mutatingwebhookconfigurations",
            "validatingwebhookconfigurations",
        ],
    },
    Way {
        right: Right::Certificates,
        verbs: &["update", "patch"],
        group: "certificates.k8s.io",
        resources: &["certificatesigningrequests/approval"],
    },
    Way {
        right: Right::Containers,
        verbs: &["update", "patch"],
        group: "",
        resources: &["pods/ephemeralcontainers"],
    },
    // To read is enough where commands come by WebSocket.
    Way {
        right: Right::Shells,
        verbs: &["create", "get"],
        group: "",
        resources: &["pods/exec", "pods/attach"],
    },
    Way {
        right: Right::Kubelets,
        verbs: &["create", "get"],
        group: "",
        resources: &["nodes/proxy"],
    },
    Way {
        right: Right::Tokens,
        verbs: &["create"],
        group: "",
        resources: &["serviceaccounts/token"],
    },
    Way {
        right: Right::Impersonation,
        verbs: &["impersonate"],
        group: "",
        resources: &["users", "groups", "serviceaccounts"],
    },
    Way {
        right: Right::Escalation,
        verbs: &["escalate", "bind"],
        group: "rbac.authorization.k8s.io",
        resources: &["roles", "clusterroles"],
    },
];

/// Returns the rights that the `rules` of a role give.
pub(super) fn of(rules: &[Json<'_>]) -> Rights {
    let mut rights = Rights::new();
    let rules = rules.iter().map(Rule::of);
    for rule in rules.filter(|rule| !rule.is_limited()) {
        if rule.is_everything() {
            let words = format!("{} *", rule.verbs.join(", "));
            rights.entry(Right::Everything).or_default().insert(words);
        }
        for way in &WAYS {
            let said = rule.says(way);
            if !said.is_empty() {
                rights.entry(way.right).or_default().extend(said);
            }
        }
    }
    rights
}

/// Says what rights come to, with the values of the role: `shells in Pods (create pods/exec)`. What is everything needs no
/// more words.
pub(super) fn in_words(rights: &Rights) -> String {
    let all = rights.get(&Right::Everything).is_some();
    let told = rights.iter().rev();
    let told = told.take(if all { 1 } else { usize::MAX });
    let words: Vec<String> = told
        .map(|(right, said)| {
            let said: Vec<String> = said.iter().cloned().collect();
            format!("{} ({})", right.as_str(), super::listed(&said))
        })
        .collect();
    words.join("; ")
}

/// A rule of a role (rbac.authorization.k8s.io/v1 `PolicyRule`).
struct Rule<'j> {
    verbs: Vec<&'j str>,
    groups: Vec<&'j str>,
    resources: Vec<&'j str>,
    names: Vec<&'j str>,
}

impl<'j> Rule<'j> {
    fn of(rule: &'j Json<'_>) -> Self {
        let texts = |key: &str| {
            let texts = rule.get(key).and_then(Json::as_list).unwrap_or_default();
            texts.iter().filter_map(Json::as_text).collect()
        };
        Self {
            verbs: texts("verbs"),
            groups: texts("apiGroups"),
            resources: texts("resources"),
            names: texts("resourceNames"),
        }
    }

    /// Returns whether it is about objects by name; a powerful role or group is not meant to be one.
    fn is_limited(&self) -> bool {
        let is_powerful =
            |name: &&str| matches!(*name, "cluster-admin" | "admin") || name.starts_with("system:");
        !self.names.is_empty() && !self.names.iter().any(is_powerful)
    }

    /// Returns whether nothing is left to wish for: all verbs, or all that write, on all resources of all groups or the core.
    fn is_everything(&self) -> bool {
        let has = |verb: &str| self.verbs.contains(&verb);
        let writes = has("create") && has("delete") && (has("update") || has("patch"));
        (has("*") || writes)
            && self.resources.contains(&"*")
            && (self.groups.contains(&"*") || self.groups.contains(&""))
    }

    /// Returns the verbs and resources by which it allows what `way` is, as they are written.
    fn says(&self, way: &Way) -> Vec<String> {
        let is_group = |group: &&str| *group == "*" || *group == way.group;
        if !self.groups.iter().any(is_group) {
            return Vec::new();
        }
        let fits = |asked: &str, resource: &str| {
            let (_, sub) = asked.split_once('/').unwrap_or((asked, ""));
            resource == "*" || resource == asked || resource.strip_prefix("*/") == Some(sub)
        };
        let is_meant = |resource: &&&str| way.resources.iter().any(|asked| fits(asked, resource));
        let resources = self.resources.iter().filter(is_meant);
        let is_verb = |verb: &&&str| **verb == "*" || way.verbs.contains(verb);
        let verbs: Vec<&str> = self.verbs.iter().filter(is_verb).copied().collect();
        if verbs.is_empty() {
            return Vec::new();
        }
        let verbs = verbs.join("/");
        resources
            .map(|resource| format!("{verbs} {resource}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::detect::json::Keys;

    #[track_caller]
    fn check(rules: &Value, expected: &str) {
        let rules = rules.to_string();
        let rules = Json::parse(&rules, &Keys::all());
        assert_eq!(in_words(&of(rules.as_list().unwrap())), expected);
    }

    fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> Value {
        json!({"verbs": verbs, "apiGroups": [group], "resources": resources})
    }

    #[test]
    fn rights_are_told_with_what_the_role_says() {
        check(&json!([rule(&["*"], "*", &["*"])]), "everything (* *)");
        check(
            &json!([rule(&["create", "delete", "get", "patch"], "", &["*"])]),
            "everything (create, delete, get, patch *)",
        );
        check(
            &json!([
                rule(&["get", "list"], "", &["secrets", "pods"]),
                rule(&["create"], "", &["pods/exec"]),
            ]),
            "shells in Pods (create pods/exec); reading Secrets (get/list secrets)",
        );
        check(
            &json!([rule(
                &["bind"],
                "rbac.authorization.k8s.io",
                &["clusterroles"]
            )]),
            "raising its own rights (bind clusterroles)",
        );
        check(
            &json!([rule(&["create"], "", &["*/token", "*/scale"])]),
            "tokens of ServiceAccounts (create */token)",
        );
        check(
            &json!([rule(&["impersonate"], "", &["users"])]),
            "acting as others (impersonate users)",
        );
        check(
            &json!([rule(
                &["update"],
                "certificates.k8s.io",
                &["certificatesigningrequests/approval"]
            )]),
            "approving certificates (update certificatesigningrequests/approval)",
        );
    }

    #[test]
    fn what_a_program_needs_for_its_own_work_is_no_such_right() {
        let named = |names: &[&str]| {
            let mut rule = rule(&["get", "bind"], "*", &["secrets", "clusterroles"]);
            rule["resourceNames"] = json!(names);
            json!([rule])
        };
        check(&named(&["token"]), "");
        check(
            &named(&["cluster-admin"]),
            "raising its own rights (bind clusterroles); reading Secrets (get secrets)",
        );
        for harmless in [
            rule(&["*"], "widgets.example.org", &["*"]),
            rule(&["*"], "apps", &["*"]),
            rule(
                &["get", "list", "watch"],
                "",
                &["pods", "nodes", "secrets/status"],
            ),
            rule(&["create"], "", &["pods", "serviceaccounts"]),
            rule(&["get"], "apps", &["secrets"]),
            rule(
                &["create"],
                "rbac.authorization.k8s.io",
                &["clusterrolebindings"],
            ),
            json!({"verbs": ["get"], "nonResourceURLs": ["*"]}),
            json!({"verbs": "*", "apiGroups": {}, "resources": [1]}),
            json!(null),
        ] {
            check(&json!([harmless]), "");
        }
    }
}
