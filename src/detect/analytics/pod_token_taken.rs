//! `pod-token-taken`: a Pod's token at the address of somebody who had entered the Pod.
//!
//! Where a Pod is at home only its own requests tell, and most Pods never ask the API server anything: then the thief's
//! address is the first. But who opened a shell in the Pod is known, and whence. What enters Pods is kept until the
//! end, and looked up in the ledger there.

use std::collections::BTreeMap;

use hashbrown::HashMap;

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
    /// By namespace and name of a Pod: who was in it and from which address, and when for the first time.
    entered: HashMap<(u32, Box<str>), Vec<(u32, u32, i64)>>,
}

remembers!(PodTokenTaken: [entered], anew [meta, shared_peer_users]);

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
        let visitors = self.entered.entry(pod).or_default();
        let (user, peer) = (request.username(), request.peer_ip());
        let is_known = visitors.iter().any(|it| (it.0, it.1) == (user, peer));
        if !is_known && visitors.len() < VISITORS {
            visitors.push((user, peer, request.received));
        }
    }

    /// Forgets who came before a time.
    pub fn forget(&mut self, before: i64) {
        self.entered.retain(|_, visitors| {
            visitors.retain(|(.., ts)| *ts >= before);
            !visitors.is_empty()
        });
    }

    /// Draws the findings: one for each token and who took it.
    pub fn finish(self, context: &Context<'_>, ledger: &Ledger) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let mut taken: BTreeMap<(&str, &str), (&Entry, u32, i64, Vec<&Use>)> = BTreeMap::new();
        for ((namespace, pod), visitors) in &self.entered {
            let namespace = vocabulary.text(*namespace);
            let tokens: Vec<&Entry> = (vocabulary.find(pod).into_iter())
                .flat_map(|code| ledger.of_pod(code))
                .filter(|entry| is_of(entry, namespace, vocabulary))
                .collect();
            for &(user, peer, ts) in visitors {
                if self.is_of_many(peer, ledger, vocabulary) {
                    continue;
                }
                let here = |used: &&&Use| used.peer == peer;
                // Where the Pod has been before, it is at home.
                let mut earlier = tokens.iter().flat_map(|entry| &entry.uses);
                if earlier.any(|used| used.peer == peer && used.first < ts) {
                    continue;
                }
                for entry in tokens.iter().filter(|entry| entry.username != user) {
                    let uses: Vec<&Use> = entry.uses.iter().collect();
                    let uses: Vec<&Use> = uses.iter().filter(here).copied().collect();
                    if !uses.is_empty() {
                        let key = (vocabulary.text(entry.credential), vocabulary.text(user));
                        let found = taken.entry(key).or_insert((entry, peer, ts, Vec::new()));
                        found.3.extend(uses);
                    }
                }
            }
        }
        let taken = taken.into_iter();
        taken
            .map(|((credential, user), (entry, peer, ts, uses))| {
                let mut sum = Sum::default();
                uses.iter().for_each(|used| sum.add(used));
                let tally = sum.tally(context);
                let account = vocabulary.text(entry.username);
                let pod = vocabulary.text(entry.token_pod);
                let group = vec![credential.to_owned(), user.to_owned()];
                let mut draft = Draft::new(&self.meta, group, &tally);
                let agents = distinct(uses.iter().map(|used| used.agent), vocabulary);
                draft.summary = format!(
                    "`{user}` entered Pod `{pod}`, and its token (`{account}`) was used from the same address, {}: {} with {}",
                    vocabulary.text(peer),
                    counted(tally.count, "request"),
                    listed(&agents),
                );
                draft.why = vec![
                    format!("credential = {credential}"),
                    format!("entered from {} at {}", vocabulary.text(peer), Timestamp(ts)),
                    "the Pod's tokens had not been used from there before".to_owned(),
                ];
                let mut finding = sum.finish(draft, vocabulary);
                finding.actor.username = Some(account.to_owned());
                finding.actor.kind = Some("serviceaccount".to_owned());
                finding.actor.credential_id = Some(credential.to_owned());
                finding.ties.usernames = vec![account.to_owned(), user.to_owned()];
                finding.ties.credentials = vec![credential.to_owned()];
                finding
            })
            .collect()
    }

    /// Returns whether an address stands for many, or for a node and what runs on it.
    fn is_of_many(&self, peer: u32, ledger: &Ledger, vocabulary: &Vocabulary) -> bool {
        let mut users = ledger.usernames_of(peer).iter();
        ledger.is_shared_peer(peer, self.shared_peer_users)
            || users.any(|&user| vocabulary.text(user).starts_with("system:node:"))
    }
}

/// Returns whether a token is one of a `ServiceAccount` in that namespace.
fn is_of(entry: &Entry, namespace: &str, vocabulary: &Vocabulary) -> bool {
    let account = service_account(vocabulary.text(entry.username));
    account.is_some_and(|(of, _)| of == namespace)
}
