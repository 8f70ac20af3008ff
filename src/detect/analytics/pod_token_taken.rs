//! `pod-token-taken`: a Pod's token at the address of somebody who had entered the Pod.
//!
//! Where a Pod is at home only its own requests tell, and most Pods never ask the API server anything: then the thief's
//! address is the first. But who opened a shell in the Pod is known, and whence. What enters Pods is kept until the
//! end, and looked up in the ledger there.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::custody::{Sum, distinct};
use super::{Context, Draft, counted, listed};
use crate::credential::{Entry, Ledger, Use};
use crate::detect::request::Request;
use crate::finding::{Finding, Timestamp};
use crate::frame::derived::service_account;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct PodTokenTaken {
    meta: RuleMeta,
    shared_peer_users: usize,
    /// By namespace and name of a Pod: who entered it.
    entered: HashMap<(u32, Box<str>), Vec<Visit>>,
}

remembers!(PodTokenTaken: [entered], anew [meta, shared_peer_users]);

/// The first time that somebody entered a Pod from an address.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Visit {
    user: u32,
    peer: u32,
    ts: i64,
}

/// A token of a Pod, used where a visitor had come from.
struct Taken<'l> {
    entry: &'l Entry,
    visit: Visit,
    uses: Vec<&'l Use>,
}

/// Subresources that run a command in a Pod.
const WAYS_IN: [&str; 3] = ["exec", "attach", "ephemeralcontainers"];

/// Pods that are remembered, and how many of those who entered one.
const PODS: usize = 8192;
const VISITORS: usize = 16;

impl PodTokenTaken {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            shared_peer_users: parameters.count("shared_peer_users")? as usize,
            entered: HashMap::new(),
        })
    }

    /// Takes in one request on a Pod.
    pub fn observe(&mut self, request: &Request<'_>, vocabulary: &Vocabulary) {
        if request.subresource() == NULL
            || request.name().is_empty()
            || request.peer_ip() == NULL
            || !request.succeeded()
            || !WAYS_IN.contains(&vocabulary.text(request.subresource()))
        {
            return;
        }
        let pod = (request.namespace(), request.name().into());
        if self.entered.len() >= PODS && !self.entered.contains_key(&pod) {
            return;
        }
        let visits = self.entered.entry(pod).or_default();
        let visit = Visit {
            user: request.username(),
            peer: request.peer_ip(),
            ts: request.received,
        };
        let is_known = |it: &Visit| (it.user, it.peer) == (visit.user, visit.peer);
        if visits.len() < VISITORS && !visits.iter().any(is_known) {
            visits.push(visit);
        }
    }

    /// Forgets who came before a time.
    pub fn forget(&mut self, before: i64) {
        self.entered.retain(|_, visits| {
            visits.retain(|visit| visit.ts >= before);
            !visits.is_empty()
        });
    }

    /// Draws the findings: one for each token and who took it.
    pub fn finish(self, context: &Context<'_>, ledger: &Ledger) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let mut taken: BTreeMap<[&str; 2], Taken<'_>> = BTreeMap::new();
        for ((namespace, pod), visits) in &self.entered {
            let namespace = vocabulary.text(*namespace);
            let pod = vocabulary.find(pod).into_iter();
            let tokens: Vec<&Entry> = pod
                .flat_map(|code| ledger.of_pod(code))
                .filter(|entry| is_of(entry, namespace, vocabulary))
                .collect();
            for &visit in visits {
                let is_home = |used: &Use| used.peer == visit.peer && used.first < visit.ts;
                let mut uses = tokens.iter().flat_map(|entry| &entry.uses);
                if uses.any(is_home) || self.is_of_many(visit.peer, ledger, vocabulary) {
                    continue;
                }
                for &entry in tokens.iter().filter(|entry| entry.username != visit.user) {
                    let uses = entry.uses.iter().filter(|used| used.peer == visit.peer);
                    let uses: Vec<&Use> = uses.collect();
                    if !uses.is_empty() {
                        let key = [entry.credential, visit.user].map(|code| vocabulary.text(code));
                        taken.entry(key).or_insert(Taken { entry, visit, uses });
                    }
                }
            }
        }
        let taken = taken.into_values();
        taken.map(|taken| self.finding(&taken, context)).collect()
    }

    fn finding(&self, taken: &Taken<'_>, context: &Context<'_>) -> Finding {
        let vocabulary = context.vocabulary;
        let Taken { entry, visit, uses } = taken;
        let [credential, account, pod] = [entry.credential, entry.username, entry.token_pod]
            .map(|code| vocabulary.text(code).to_owned());
        let [user, peer] = [visit.user, visit.peer].map(|code| vocabulary.text(code).to_owned());
        let mut sum = Sum::default();
        for used in uses {
            sum.add(used);
        }
        let tally = sum.tally(context);
        let agents = distinct(uses.iter().map(|used| used.agent), vocabulary);
        let group = vec![credential.clone(), user.clone()];
        let mut draft = Draft::new(&self.meta, group, &tally);
        draft.summary = format!(
            "`{user}` entered Pod `{pod}`, and its token (`{account}`) was used from the same address, {peer}: {} with {}",
            counted(tally.count, "request"),
            listed(&agents),
        );
        draft.why = vec![
            format!("credential = {credential}"),
            format!("entered from {peer} at {}", Timestamp(visit.ts)),
            "the Pod's tokens had not been used from there before".to_owned(),
        ];
        let mut finding = sum.finish(draft, vocabulary);
        finding.actor.username = Some(account.clone());
        finding.actor.kind = Some("serviceaccount".to_owned());
        finding.actor.credential_id = Some(credential.clone());
        finding.ties.usernames = vec![account, user];
        finding.ties.credentials = vec![credential];
        finding
    }

    /// Returns whether an address stands for many, or for a node and what runs on it.
    fn is_of_many(&self, peer: u32, ledger: &Ledger, vocabulary: &Vocabulary) -> bool {
        ledger.is_shared_peer(peer, self.shared_peer_users)
            || ledger.nodes_at(peer, vocabulary).next().is_some()
    }
}

/// Returns whether a token is one of a `ServiceAccount` in that namespace.
fn is_of(entry: &Entry, namespace: &str, vocabulary: &Vocabulary) -> bool {
    let account = service_account(vocabulary.text(entry.username));
    account.is_some_and(|(of, _)| of == namespace)
}
