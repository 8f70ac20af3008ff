//! Fates: how credentials were made, and how they were used when they should have been gone.
//!
//! Comes in: requests in log order. Goes out: with the ledger and the deaths, the list of credentials. What is kept here
//! serves that list only, so a scan that is not asked for it keeps none of it and pays nothing.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::death::{CACHE_US, is_by_name};
use super::{Death, Deaths, Entry, Ledger};
use crate::detect::request::Request;
use crate::detect::view;
use crate::finding::Timestamp;
use crate::finding::credential::{Credential, Ended, Minted, USES, Use};
use crate::frame::derived::{identity_kind, service_account, service_account_user};
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};

/// How many token requests are remembered: some ten megabytes, a day of five thousand Pods whose kubelets renew their
/// tokens every 48 minutes, and more of what is made by hand than anybody reads.
const MINTS: usize = 1 << 18;

/// What the list of credentials needs besides ledger and deaths.
///
/// Memory: one entry per token request, at most [`MINTS`], and one per credential that was used after its end.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Fates {
    /// By the credential that was issued.
    mints: HashMap<u32, Mint>,
    /// By user name of a `ServiceAccount`: its tokens, as long as it is not deleted.
    by_account: HashMap<u32, Vec<u32>>,
    /// Token requests beyond those that are remembered.
    more_mints: u64,
    /// By credential: uses after its end.
    after: HashMap<u32, After>,
}

/// A token request.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Mint {
    by: u32,
    with: u32,
    ts: i64,
    /// User name of the `ServiceAccount`.
    account: u32,
    kind: Asked,
    /// The Pod that the token is bound to, if the request's body tells.
    pod: Box<str>,
    /// When the `ServiceAccount` was deleted, and by whom. The deaths know of tokens that were used before only.
    account_deleted: Option<(i64, u32)>,
}

/// The kind of token that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Asked {
    Bound,
    Unbound,
    Unknown,
}

impl Asked {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Bound => "bound-token",
            Self::Unbound => "unbound-token",
            Self::Unknown => "unknown",
        }
    }
}

/// What came after the end of a credential.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct After {
    /// Index of the death; none if only its token request is known.
    death: Option<usize>,
    requests: u64,
    last: i64,
}

impl Fates {
    /// Takes in one request, before the deaths do; `body` is what it was sent with, `in_order` says that it stands at its
    /// place in the log.
    pub fn observe<'b>(
        &mut self,
        request: &Request<'_>,
        body: impl FnOnce() -> &'b str,
        in_order: bool,
        deaths: &Deaths,
        vocabulary: &Vocabulary,
    ) {
        if request.resource() == known::SERVICE_ACCOUNTS && request.succeeded() {
            if request.subresource() == known::TOKEN {
                self.note_mint(request, body, vocabulary);
            } else if request.subresource() == NULL {
                self.note_deletion(request, vocabulary);
            }
        }
        if in_order && request.authenticated() {
            self.note_use(request, deaths);
        }
    }

    fn note_mint<'b>(
        &mut self,
        request: &Request<'_>,
        body: impl FnOnce() -> &'b str,
        vocabulary: &Vocabulary,
    ) {
        let id = request.issued_credential_id();
        if request.verb() != known::CREATE || !request.authenticated() || id.is_empty() {
            return;
        }
        if self.mints.len() >= MINTS {
            self.more_mints += 1;
            return;
        }
        let (kind, pod) = asked_for(body(), request.identity_kind() == known::NODE);
        let namespace = vocabulary.text(request.namespace());
        let account = service_account_user(namespace, request.name());
        let account = vocabulary.code(&account);
        let issued = vocabulary.code(id);
        let mint = Mint {
            by: request.username(),
            with: request.credential(),
            ts: request.ts,
            account,
            kind,
            pod,
            account_deleted: None,
        };
        if self.mints.insert(issued, mint).is_none() {
            self.by_account.entry(account).or_default().push(issued);
        }
    }

    fn note_deletion(&mut self, request: &Request<'_>, vocabulary: &Vocabulary) {
        let verb = vocabulary.text(request.verb());
        let uri = request.request_uri();
        if self.by_account.is_empty()
            || !matches!(verb, "delete" | "deletecollection")
            || request.is_dry_run(vocabulary)
            || view::is_selective(uri)
        {
            return;
        }
        let namespace = vocabulary.text(request.namespace());
        let account = service_account_user(namespace, request.name());
        let mut ended: Vec<u32> = Vec::new();
        if request.name().is_empty() {
            let of_namespace = self
                .by_account
                .extract_if(|&code, _| vocabulary.text(code).starts_with(&account));
            ended.extend(of_namespace.flat_map(|(_, tokens)| tokens));
        } else {
            let code = vocabulary.find(&account);
            let tokens = code.and_then(|code| self.by_account.remove(&code));
            ended.extend(tokens.into_iter().flatten());
        }
        for token in ended {
            if let Some(mint) = self.mints.get_mut(&token) {
                mint.account_deleted = Some((request.ts, request.username()));
            }
        }
    }

    fn note_use(&mut self, request: &Request<'_>, deaths: &Deaths) {
        let credential = request.credential();
        let death = end(credential, request.user_uid(), deaths);
        let (index, ts) = match death {
            Some((index, death)) if death.is_gone => (Some(index), death.ts),
            // It may be in use until its Pod has ended, of which the log does not tell.
            Some(_) => return,
            None => {
                let mint = self.mints.get(&credential);
                let Some((ts, _)) = mint.and_then(|mint| mint.account_deleted) else {
                    return;
                };
                (None, ts)
            }
        };
        if request.received <= ts + CACHE_US {
            return;
        }
        // The first end counts: a Pod that goes later had no token any more.
        let after = self.after.entry(credential).or_insert(After {
            death: index,
            requests: 0,
            last: request.ts,
        });
        after.requests += 1;
        after.last = after.last.max(request.ts);
    }

    /// Returns all credentials, in the order of first use, then of the key; those that were never used come last.
    pub fn list(
        &self,
        ledger: &Ledger,
        deaths: &Deaths,
        vocabulary: &Vocabulary,
    ) -> Vec<Credential> {
        let used = ledger.entries().iter();
        let used = used.map(|entry| self.used(entry, deaths, vocabulary));
        let unused = self
            .mints
            .iter()
            .filter(|(credential, _)| ledger.entry(**credential).is_none())
            .map(|(&credential, mint)| mint.unused(credential, vocabulary));
        let mut credentials: Vec<Credential> = used.chain(unused).collect();
        credentials.sort_by(|a, b| {
            let key = |of: &Credential| (of.first_use.is_none(), of.first_use);
            key(a)
                .cmp(&key(b))
                .then_with(|| a.credential.cmp(&b.credential))
        });
        credentials
    }

    /// Returns what the list leaves out, in words, if it leaves out something.
    pub fn note(&self) -> Option<String> {
        (self.more_mints > 0).then(|| {
            format!(
                "{} tokens were minted after the first {MINTS}: the list of credentials has them only if they were used, and not who minted them",
                self.more_mints
            )
        })
    }

    fn used(&self, entry: &Entry, deaths: &Deaths, vocabulary: &Vocabulary) -> Credential {
        let text = |code: u32| vocabulary.text(code).to_owned();
        let mut uses: Vec<Use> = entry
            .uses
            .iter()
            .map(|used| Use {
                peer: known_text(used.peer, vocabulary),
                user_agent: known_text(used.agent, vocabulary),
                first: Timestamp(used.first),
                last: Timestamp(used.last),
                requests: used.count,
            })
            .collect();
        uses.sort_by(|a, b| {
            let place = |used: &Use| (used.peer.clone(), used.user_agent.clone());
            a.first.cmp(&b.first).then_with(|| place(a).cmp(&place(b)))
        });
        let more_uses = uses.len().saturating_sub(USES) as u64;
        uses.truncate(USES);
        let mint = self.mints.get(&entry.credential);
        let after = self.after_end(entry, deaths, vocabulary);
        let death = match after {
            Some(After { death, .. }) => death.map(|index| deaths.get(index)),
            None => end(entry.credential, entry.user_uid, deaths).map(|(_, death)| death),
        };
        let key = vocabulary.text(entry.credential);
        let ended = death.map(|death| ended(death, key, vocabulary));
        Credential {
            credential: key.to_owned(),
            credential_kind: text(entry.kind),
            username: text(entry.username),
            identity_kind: identity_kind(vocabulary.text(entry.username)).to_owned(),
            user_uid: known_text(entry.user_uid, vocabulary),
            token_pod: known_text(entry.token_pod, vocabulary),
            first_use: Some(Timestamp(entry.first)),
            last_use: Some(Timestamp(entry.last)),
            requests: entry.count,
            uses,
            more_uses,
            minted: mint.map(|mint| mint.minted(vocabulary)),
            ended: ended.or_else(|| mint.and_then(|mint| mint.ended(vocabulary))),
            uses_after_end: after.map_or(0, |after| after.requests),
            last_use_after_end: after.map(|after| Timestamp(after.last)),
        }
    }

    /// Returns what came after the end of a credential, unless that was no end.
    fn after_end(&self, entry: &Entry, deaths: &Deaths, vocabulary: &Vocabulary) -> Option<&After> {
        let after = self.after.get(&entry.credential)?;
        // The Secret of a token that shares its key with others: its use took the death back.
        let key = vocabulary.text(entry.credential);
        let is_disproved =
            key.starts_with("legacy:") && end(entry.credential, entry.user_uid, deaths).is_none();
        (!is_disproved).then_some(after)
    }
}

impl Mint {
    fn minted(&self, vocabulary: &Vocabulary) -> Minted {
        Minted {
            by: vocabulary.text(self.by).to_owned(),
            with: vocabulary.text(self.with).to_owned(),
            at: Timestamp(self.ts),
        }
    }

    fn ended(&self, vocabulary: &Vocabulary) -> Option<Ended> {
        let (ts, by) = self.account_deleted?;
        let account = vocabulary.text(self.account);
        let (namespace, name) = service_account(account)?;
        Some(Ended {
            object: format!("ServiceAccount {namespace}/{name}"),
            at: Timestamp(ts),
            by: vocabulary.text(by).to_owned(),
            is_gone: true,
            is_renewed: false,
        })
    }

    fn unused(&self, credential: u32, vocabulary: &Vocabulary) -> Credential {
        let username = vocabulary.text(self.account);
        Credential {
            credential: vocabulary.text(credential).to_owned(),
            credential_kind: self.kind.as_str().to_owned(),
            username: username.to_owned(),
            identity_kind: identity_kind(username).to_owned(),
            user_uid: None,
            token_pod: (!self.pod.is_empty()).then(|| self.pod.to_string()),
            first_use: None,
            last_use: None,
            requests: 0,
            uses: Vec::new(),
            more_uses: 0,
            minted: Some(self.minted(vocabulary)),
            ended: self.ended(vocabulary),
            uses_after_end: 0,
            last_use_after_end: None,
        }
    }
}

/// Returns the death that ended a credential: of its object or of its `ServiceAccount`, the earlier one of those after which
/// the object was gone.
fn end(credential: u32, user_uid: u32, deaths: &Deaths) -> Option<(usize, &Death)> {
    if deaths.is_empty() {
        return None;
    }
    [deaths.of(credential), deaths.of_uid(user_uid)]
        .into_iter()
        .flatten()
        .min_by_key(|(_, death)| (!death.is_gone, death.ts))
}

fn ended(death: &Death, key: &str, vocabulary: &Vocabulary) -> Ended {
    Ended {
        object: death.called(),
        at: Timestamp(death.ts),
        by: vocabulary.text(death.by).to_owned(),
        is_gone: death.is_gone,
        is_renewed: death.recreated && is_by_name(key),
    }
}

fn known_text(code: u32, vocabulary: &Vocabulary) -> Option<String> {
    (code != NULL).then(|| vocabulary.text(code).to_owned())
}

/// Returns the kind of token that a request asks for, and the Pod that it is bound to, as far as `body` tells.
fn asked_for(body: &str, by_kubelet: bool) -> (Asked, Box<str>) {
    #[derive(Deserialize)]
    struct TokenRequest {
        spec: Spec,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Spec {
        bound_object_ref: Option<Object>,
    }
    #[derive(Deserialize)]
    struct Object {
        #[serde(default)]
        kind: String,
        #[serde(default)]
        name: String,
    }
    match serde_json::from_str::<TokenRequest>(body) {
        Ok(request) => match request.spec.bound_object_ref {
            Some(object) if object.kind == "Pod" => (Asked::Bound, object.name.into()),
            Some(_) => (Asked::Bound, Box::default()),
            None => (Asked::Unbound, Box::default()),
        },
        // What a kubelet asks for is for one of its Pods.
        Err(_) if by_kubelet => (Asked::Bound, Box::default()),
        Err(_) => (Asked::Unknown, Box::default()),
    }
}

#[cfg(test)]
mod tests;
