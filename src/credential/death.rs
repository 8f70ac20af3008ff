//! Deaths: deletions that end the life of credentials.
//!
//! A Secret ends the token it holds, a `ServiceAccount` all tokens of that uid, a Pod the tokens bound
//! to it (kubernetes/kubernetes `pkg/serviceaccount/claims.go`, `legacy.go`), the Secret of a bootstrap
//! token that token. The API server remembers a good token for about ten seconds, so uses shortly after
//! are served still.

use std::collections::BTreeMap;
use std::fmt;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::ledger::{Entry, Ledger};
use crate::detect::request::Request;
use crate::detect::view;
use crate::frame::derived::{service_account, service_account_user};
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};

/// How long API servers remember a good token (kubernetes/apiserver, success cache: 10 s), and a little.
pub const CACHE_US: i64 = 12_000_000;

/// An object whose deletion ended credentials.
#[derive(Clone, Serialize, Deserialize)]
pub struct Death {
    /// What was deleted, as `secrets NAMESPACE/NAME`.
    pub object: String,
    /// Stage time of the deletion.
    pub ts: i64,
    /// User who deleted it.
    pub by: u32,
    /// Whether an object of that name was made again after.
    pub recreated: bool,
    /// Whether the object was gone at that time. A Pod that a person or controller deletes may run on
    /// for as long as its grace period; it is gone when its kubelet deletes it.
    pub is_gone: bool,
}

impl Death {
    /// Returns whether a Pod died.
    pub fn is_of_pod(&self) -> bool {
        self.object.starts_with("pods ")
    }

    /// Returns whether all objects of a kind in a namespace went at once, as they do with the namespace.
    pub fn is_of_all(&self) -> bool {
        self.object.ends_with('/')
    }

    /// Names what was deleted, as `ServiceAccount prod/web`.
    pub fn called(&self) -> String {
        self.called_in("")
    }

    /// Names what was deleted, with its name between two `quote`s.
    pub fn called_in(&self, quote: &str) -> String {
        let (resource, name) = self.object.split_once(' ').unwrap_or(("", &self.object));
        let kind = match resource {
            "secrets" => "Secret",
            "serviceaccounts" => "ServiceAccount",
            "pods" => "Pod",
            other => other,
        };
        match name.strip_suffix('/') {
            Some(namespace) => format!("every {kind} in {quote}{namespace}{quote}"),
            None => format!("{kind} {quote}{name}{quote}"),
        }
    }
}

/// All deaths, and which credential died of which.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Deaths {
    /// By their numbers, which count up.
    all: BTreeMap<usize, Death>,
    next: usize,
    /// By the hash of its name, as it stands in [`Death::object`].
    by_object: HashMap<u64, usize>,
    by_credential: HashMap<u32, usize>,
    /// Of `ServiceAccount`s: uids are never given twice.
    by_uid: HashMap<u32, usize>,
}

impl Deaths {
    /// Notes what `request` does to credentials: a deletion ends some, a creation is remembered.
    pub fn note(&mut self, request: &Request<'_>, ledger: &Ledger, vocabulary: &Vocabulary) {
        // Most requests are about other objects: they are done with after one look.
        let is_bearer = matches!(
            request.resource(),
            known::SECRETS | known::SERVICE_ACCOUNTS | known::PODS
        );
        if !is_bearer || request.subresource() != NULL || !request.succeeded() {
            return;
        }
        let verb = vocabulary.text(request.verb());
        let is_deletion = matches!(verb, "delete" | "deletecollection");
        if !is_deletion && !request.made() {
            return;
        }
        let subject = Subject {
            resource: vocabulary.text(request.resource()),
            namespace: vocabulary.text(request.namespace()),
            name: request.name(),
        };
        if is_deletion {
            self.note_deletion(&subject, request, ledger, vocabulary);
        } else {
            self.note_creation(&subject, vocabulary);
        }
    }

    fn note_creation(&mut self, subject: &Subject<'_>, vocabulary: &Vocabulary) {
        let object = subject.to_string();
        let Some(&index) = self.by_object.get(&name_key(&object)) else {
            return;
        };
        let Some(death) = self
            .all
            .get_mut(&index)
            .filter(|death| death.object == object)
        else {
            return;
        };
        death.recreated = true;
        // What is known by the object's name only may be the new one from now on; a uid or token id is
        // never given twice.
        self.by_credential.retain(|&credential, &mut death| {
            death != index || !is_by_name(vocabulary.text(credential))
        });
    }

    fn note_deletion(
        &mut self,
        subject: &Subject<'_>,
        request: &Request<'_>,
        ledger: &Ledger,
        vocabulary: &Vocabulary,
    ) {
        // Nothing was deleted, or nobody knows what.
        let uri = request.request_uri();
        if request.is_dry_run(vocabulary) || view::is_selective(uri) {
            return;
        }
        let victims: Vec<u32> = subject
            .candidates(ledger, vocabulary)
            .into_iter()
            .filter(|entry| subject.ends(entry, request.object_uid(), vocabulary))
            .map(|entry| entry.credential)
            .collect();
        let of_account = subject.resource == "serviceaccounts" && !subject.name.is_empty();
        let uid = if of_account {
            vocabulary.code(request.object_uid())
        } else {
            NULL
        };
        if victims.is_empty() && uid == NULL {
            return;
        }
        let index = self.next;
        self.next += 1;
        if uid != NULL {
            self.by_uid.insert(uid, index);
        }
        if of_account {
            let entries = victims.iter().filter_map(|&victim| ledger.entry(victim));
            self.by_uid
                .extend(entries.map(|entry| (entry.user_uid, index)));
        }
        let object = subject.to_string();
        self.by_object.insert(name_key(&object), index);
        let death = Death {
            object,
            ts: request.ts,
            by: request.username(),
            recreated: false,
            is_gone: subject.resource != "pods"
                || vocabulary.text(request.identity_kind()) == "node",
        };
        self.all.insert(index, death);
        for credential in victims {
            // A Pod is deleted twice, by whoever wants it gone and then by its kubelet; until the second
            // it may use its token. The last deletion counts. Of others the first: what hung on the object goes with it.
            let is_dead = self.of(credential);
            let is_dead = is_dead.is_some_and(|(_, death)| !death.is_of_pod() && !death.recreated);
            if !is_dead {
                self.by_credential.insert(credential, index);
            }
        }
    }

    /// Returns what `credential` died of, with the death's index.
    pub fn of(&self, credential: u32) -> Option<(usize, &Death)> {
        self.by_credential
            .get(&credential)
            .map(|&index| (index, &self.all[&index]))
    }

    /// Returns the deletion of the `ServiceAccount` with that uid, with the death's index.
    pub fn of_uid(&self, uid: u32) -> Option<(usize, &Death)> {
        if self.by_uid.is_empty() || uid == NULL {
            return None;
        }
        self.by_uid
            .get(&uid)
            .map(|&index| (index, &self.all[&index]))
    }

    /// Takes back a death: the credential was accepted when it could not have been.
    pub fn disprove(&mut self, credential: u32) {
        self.by_credential.remove(&credential);
    }

    /// Forgets the Pods that died before a time, but for deaths in `needed`: their tokens are refused for good, and nobody is
    /// told whose they were. Everything else stays: what comes back after it can be known by its uid.
    pub fn forget(&mut self, before: i64, needed: &HashSet<usize>) {
        let n_before = self.all.len();
        self.all.retain(|index, death| {
            death.ts >= before || !death.is_of_pod() || needed.contains(index)
        });
        if self.all.len() < n_before {
            let all = &self.all;
            self.by_object.retain(|_, index| all.contains_key(index));
            self.by_credential
                .retain(|_, index| all.contains_key(index));
        }
    }

    /// Returns the death of that index.
    pub fn get(&self, index: usize) -> &Death {
        &self.all[&index]
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

fn name_key(object: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(object.as_bytes())
}

/// Returns whether a credential's key says no more than the name of its object, which may be given again.
pub(super) fn is_by_name(key: &str) -> bool {
    key.starts_with("secret:") || key.starts_with("user:system:bootstrap:")
}

/// What was deleted; an empty name stands for all of the namespace.
struct Subject<'a> {
    resource: &'a str,
    namespace: &'a str,
    name: &'a str,
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.resource, self.namespace, self.name)
    }
}

impl Subject<'_> {
    /// Returns the entries that may die of it, by the ledger's indices where there is a name.
    fn candidates<'l>(&self, ledger: &'l Ledger, vocabulary: &Vocabulary) -> Vec<&'l Entry> {
        if self.name.is_empty() {
            return ledger.entries().iter().collect();
        }
        let of_user = |username: String| {
            vocabulary
                .find(&username)
                .into_iter()
                .flat_map(|code| ledger.of_username(code))
        };
        let account = |name: &str| service_account_user(self.namespace, name);
        match self.resource {
            "serviceaccounts" => of_user(account(self.name)).collect(),
            "pods" => {
                let pod = vocabulary.find(self.name);
                pod.into_iter()
                    .flat_map(|code| ledger.of_pod(code))
                    .collect()
            }
            _ => {
                let secret = vocabulary.find(&format!("secret:{}/{}", self.namespace, self.name));
                let token_id = self.name.strip_prefix("bootstrap-token-").unwrap_or("");
                let owner = self
                    .name
                    .rsplit_once("-token-")
                    .map_or("", |(owner, _)| owner);
                secret
                    .and_then(|code| ledger.entry(code))
                    .into_iter()
                    .chain(of_user(format!("system:bootstrap:{token_id}")))
                    .chain(of_user(account(owner)))
                    .collect()
            }
        }
    }

    fn ends(&self, entry: &Entry, uid: &str, vocabulary: &Vocabulary) -> bool {
        let username = vocabulary.text(entry.username);
        if let Some(token_id) = username.strip_prefix("system:bootstrap:") {
            return self.resource == "secrets"
                && self.namespace == "kube-system"
                && self.name.strip_prefix("bootstrap-token-") == Some(token_id);
        }
        let Some((namespace, account)) = service_account(username) else {
            return false;
        };
        if namespace != self.namespace {
            return false;
        }
        let named = |name: &str| self.name.is_empty() || self.name == name;
        match self.resource {
            "serviceaccounts" => {
                named(account) && (uid.is_empty() || uid == vocabulary.text(entry.user_uid))
            }
            "pods" => {
                let pod = vocabulary.text(entry.token_pod);
                !pod.is_empty()
                    && named(pod)
                    && (uid.is_empty() || uid == vocabulary.text(entry.token_pod_uid))
            }
            _ => {
                let credential = vocabulary.text(entry.credential);
                match credential.strip_prefix("secret:") {
                    Some(secret) => secret
                        .split_once('/')
                        .is_some_and(|(_, secret)| named(secret)),
                    // Before 1.24 the log names the ServiceAccount of a Secret token, not the Secret;
                    // the tokens controller calls those `NAME-token-SUFFIX`.
                    None => {
                        credential.starts_with("legacy:")
                            && self
                                .name
                                .strip_prefix(account)
                                .is_some_and(|rest| rest.starts_with("-token-"))
                    }
                }
            }
        }
    }
}
