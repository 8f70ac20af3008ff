//! Makers: who made, or got into, what the credentials and grants of others rest on.
//!
//! Bindings, service accounts, tokens, Secrets and Pods that a person or a service account wrote, and Pods that one
//! opened a shell in. What the control plane, its controllers and nodes make is everyday work and is left out. Objects
//! are named as in `ServiceAccount prod/web`, `RoleBinding name/namespace` as the RBAC authorizer has it.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::analytics::DAY_US;
use super::rbac::Grant;
use super::request::Request;
use crate::credential::Ledger;
use crate::finding::incident::Maker;
use crate::finding::{Finding, Timestamp};
use crate::frame::derived::service_account;
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};

/// How many objects are remembered; a log in which people make more than that by hand is none.
const OBJECTS: usize = 65_536;

/// How many makers of one object are remembered.
const MAKERS: usize = 8;

/// From how many objects on a credential is that of an administrator or a program at work: what it made says nothing of
/// who uses it. Intruders make few, and those by the dozen are told apart by other ties.
const PROLIFIC: usize = 32;

/// How long a namespace is new, in microseconds.
const OWN_NAMESPACE_US: i64 = DAY_US;

/// Who made what.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Makers {
    by_object: HashMap<String, Vec<Made>>,
    /// By credential: how many objects it made, without namespaces, which nobody's credential rests on.
    counts: HashMap<u32, usize>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Made {
    username: u32,
    credential: u32,
    peer: u32,
    first: i64,
    last: i64,
}

impl Makers {
    /// Takes in one request.
    pub fn observe(&mut self, request: &Request<'_>, vocabulary: &Vocabulary) {
        let is_watched = matches!(
            request.resource(),
            known::PODS
                | known::SECRETS
                | known::SERVICE_ACCOUNTS
                | known::ROLE_BINDINGS
                | known::CLUSTER_ROLE_BINDINGS
                | known::CERTIFICATE_SIGNING_REQUESTS
                | known::NAMESPACES
                | known::PROJECT_REQUESTS
        );
        if !is_watched || !request.succeeded() {
            return;
        }
        let Some(object) = made(request, vocabulary) else {
            return;
        };
        let is_namespace = matches!(
            request.resource(),
            known::NAMESPACES | known::PROJECT_REQUESTS
        );
        let known = self.by_object.len();
        let made = match self.by_object.get_mut(&object) {
            Some(made) => made,
            None if known < OBJECTS => self.by_object.entry(object).or_default(),
            None => return,
        };
        let is_same = |made: &Made| {
            (made.username, made.credential, made.peer)
                == (request.username(), request.credential(), request.peer_ip())
        };
        match made.iter().position(is_same) {
            Some(at) => {
                made[at].first = made[at].first.min(request.ts);
                made[at].last = made[at].last.max(request.ts);
            }
            None if made.len() < MAKERS => {
                if !is_namespace {
                    *self.counts.entry(request.credential()).or_default() += 1;
                }
                made.push(Made {
                    username: request.username(),
                    credential: request.credential(),
                    peer: request.peer_ip(),
                    first: request.ts,
                    last: request.ts,
                });
            }
            None => {}
        }
    }

    /// Returns whether the namespace of a request was made by its user, and not long before: what stands in it came after.
    pub fn made_namespace(&self, request: &Request<'_>, vocabulary: &Vocabulary) -> bool {
        let namespace = vocabulary.text(request.namespace());
        let made = self.by_object.get(&of_namespace(namespace));
        let latest = made.and_then(|made| made.iter().max_by_key(|made| made.last));
        latest.is_some_and(|made| {
            made.username == request.username() && request.ts - made.last <= OWN_NAMESPACE_US
        })
    }

    /// Returns who made `object`, in the order of time; those who make much are left out.
    pub fn of(&self, object: &str, vocabulary: &Vocabulary) -> Vec<Maker> {
        let text = |code: u32| vocabulary.text(code).to_owned();
        let made = self.by_object.get(object).map_or(&[][..], Vec::as_slice);
        let is_prolific = |made: &&Made| {
            let count = self.counts.get(&made.credential);
            count.is_some_and(|&count| count >= PROLIFIC)
        };
        made.iter()
            .filter(|made| !is_prolific(made))
            .map(|made| Maker {
                username: text(made.username),
                credential: text(made.credential),
                peer: text(made.peer),
                first: Timestamp(made.first),
                last: Timestamp(made.last),
            })
            .collect()
    }
}

/// Names the object that a request made or got into, if that is of interest.
fn made(request: &Request<'_>, vocabulary: &Vocabulary) -> Option<String> {
    let username = vocabulary.text(request.username());
    let is_maker = match vocabulary.text(request.identity_kind()) {
        "user" | "anonymous" => true,
        "serviceaccount" => !username.starts_with("system:serviceaccount:kube-system:"),
        _ => false,
    };
    if !is_maker {
        return None;
    }
    let (namespace, name) = (vocabulary.text(request.namespace()), request.name());
    let subresource = vocabulary.text(request.subresource());
    let verb = vocabulary.text(request.verb());
    let creates = verb == "create";
    let writes = creates || matches!(verb, "update" | "patch");
    match (request.resource(), subresource) {
        (known::PODS, "exec" | "attach" | "ephemeralcontainers" | "portforward") => {
            Some(format!("Pod {namespace}/{name}"))
        }
        (known::PODS, "") if creates => Some(format!("Pod {namespace}/{name}")),
        (known::SECRETS, "") if writes => Some(format!("Secret {namespace}/{name}")),
        (known::SERVICE_ACCOUNTS, "token") if creates => match request.issued_credential_id() {
            "" => Some(format!("ServiceAccount {namespace}/{name}")),
            id => Some(format!("token {id}")),
        },
        (known::SERVICE_ACCOUNTS, "") if creates => {
            Some(format!("ServiceAccount {namespace}/{name}"))
        }
        (known::ROLE_BINDINGS, "") if writes => Some(format!("RoleBinding {name}/{namespace}")),
        (known::CERTIFICATE_SIGNING_REQUESTS, "") if creates => Some(certificate_request(name)),
        (known::NAMESPACES | known::PROJECT_REQUESTS, "") if creates => Some(of_namespace(name)),
        (known::CLUSTER_ROLE_BINDINGS, "") if writes => Some(format!("ClusterRoleBinding {name}")),
        _ => None,
    }
    .filter(|_| !name.is_empty())
}

/// Names the grants that let requests through, by the authorizer's reasons.
///
/// What is granted to a group, but to that of everybody outside, says little of whoever uses it.
pub fn grants(reasons: &[String]) -> Vec<String> {
    let grants = reasons.iter().filter_map(|reason| Grant::parse(reason));
    let is_personal = |grant: &Grant<'_>| {
        !grant.subject.starts_with("Group ") || grant.subject == "Group system:unauthenticated"
    };
    grants
        .filter(is_personal)
        .map(|grant| format!("{} {}", grant.kind, grant.binding))
        .collect()
}

fn certificate_request(name: &str) -> String {
    format!("CertificateSigningRequest {name}")
}

fn of_namespace(name: &str) -> String {
    format!("Namespace {name}")
}

/// Names what a finding rests on, besides grants: accounts, tokens, Secrets, the Pods that tokens are bound to, and the
/// request of a certificate that is approved.
pub fn foundations(finding: &Finding, ledger: &Ledger, vocabulary: &Vocabulary) -> Vec<String> {
    let mut objects = Vec::new();
    let usernames = finding.actor.username.iter().chain(&finding.ties.usernames);
    for (namespace, name) in usernames.filter_map(|user| service_account(user)) {
        objects.push(format!("ServiceAccount {namespace}/{name}"));
    }
    for key in finding
        .actor
        .credential_id
        .iter()
        .chain(&finding.ties.credentials)
    {
        if let Some(secret) = key.strip_prefix("secret:") {
            objects.push(format!("Secret {secret}"));
        }
        if key.starts_with("JTI=") {
            objects.push(format!("token {key}"));
        }
        let entry = vocabulary.find(key).and_then(|code| ledger.entry(code));
        if let Some(entry) = entry.filter(|entry| entry.token_pod != NULL)
            && let Some((namespace, _)) = service_account(vocabulary.text(entry.username))
        {
            let pod = vocabulary.text(entry.token_pod);
            objects.push(format!("Pod {namespace}/{pod}"));
        }
    }
    if finding.target.resource.as_deref() == Some("certificatesigningrequests") {
        objects.extend(finding.target.name.as_deref().map(certificate_request));
    }
    objects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_to_groups_say_nothing_of_their_users() {
        let check = |subject: &str, expected: &[&str]| {
            let reason = format!(
                "RBAC: allowed by ClusterRoleBinding \"open\" of ClusterRole \"view\" to {subject}"
            );
            assert_eq!(grants(&[reason]), expected, "{subject}");
        };
        check("User \"eve\"", &["ClusterRoleBinding open"]);
        check("ServiceAccount \"web/prod\"", &["ClusterRoleBinding open"]);
        check(
            "Group \"system:unauthenticated\"",
            &["ClusterRoleBinding open"],
        );
        check("Group \"system:authenticated\"", &[]);
        check("Group \"dev\"", &[]);
        assert!(grants(&["allowed by IAM".to_owned()]).is_empty());
    }
}
