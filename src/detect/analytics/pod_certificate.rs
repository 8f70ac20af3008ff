//! `pod-certificate-unasked`: a client certificate that names a Pod, of whose node no such certificate was asked for.
//!
//! Pods may have certificates (KEP-4317): the kubelet asks for them (`podcertificaterequests`) in the namespace of the Pod's
//! `ServiceAccount`, and what they name stands in `extra` as it does for a bound token. Whoever has the key of an authority can
//! write the same into one of his own; but no kubelet asked for it. Where a certificate is used is looked at by
//! `pod-token-away`.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::{Context, DAY_US, Draft, counted, listed};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::Finding;
use crate::frame::derived::service_account;
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct PodCertificate {
    meta: RuleMeta,
    longest_days: i64,
    /// By user name of the node and namespace: when it last asked for one.
    asked: HashMap<(u32, u32), i64>,
    /// By credential: whose it is, the node that it names, and what was done with it.
    used: BTreeMap<u32, (u32, u32, Tally)>,
    began: i64,
}

remembers!(PodCertificate: [asked, used, began], anew [meta, longest_days]);

/// Certificates that are remembered.
const KEPT: usize = 16_384;

/// A certificate is good for a day unless the Pod asks for more (`maxExpirationSeconds`), so one that was asked for before the log
/// is not in use any more after it.
const LIFE_US: i64 = DAY_US;

impl PodCertificate {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            longest_days: parameters.count("longest_days")?.into(),
            asked: HashMap::new(),
            used: BTreeMap::new(),
            began: i64::MAX,
        })
    }

    /// Forgets the certificates that were not used since a time, and nodes that asked for none as long as one can be good.
    pub fn forget(&mut self, before: i64) {
        let longest = before.saturating_sub(self.longest_days * DAY_US);
        self.asked.retain(|_, last| *last >= longest);
        self.used.retain(|_, (.., tally)| tally.last >= before);
    }

    /// Takes in one request of an authenticated client.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        self.began = self.began.min(request.ts);
        if request.resource() == known::POD_CERTIFICATE_REQUESTS {
            let is_asked = request.verb() == known::CREATE
                && request.identity_kind() == known::NODE
                && request.imp_username() == NULL;
            if is_asked && request.succeeded() {
                let place = (request.username(), request.namespace());
                let last = self.asked.entry(place).or_insert(request.ts);
                *last = request.ts.max(*last);
            }
            return;
        }
        let is_of_pod = request.identity_kind() == known::SERVICE_ACCOUNT
            && request.credential_kind() == known::X509
            && request.token_pod() != NULL;
        let credential = request.credential();
        if is_of_pod && (self.used.len() < KEPT || self.used.contains_key(&credential)) {
            let (username, node) = (request.username(), request.token_node());
            let new = || (username, node, Tally::empty());
            let (.., tally) = self.used.entry(credential).or_insert_with(new);
            tally.add(request, context);
        }
    }

    /// Draws the findings: one for each certificate.
    pub fn finish(self, context: &Context<'_>) -> Vec<Finding> {
        let used = self.used.iter();
        used.filter_map(|(&credential, (username, node, tally))| {
            self.judge(credential, *username, *node, tally, context.vocabulary)
        })
        .collect()
    }

    fn judge(
        &self,
        credential: u32,
        username: u32,
        node: u32,
        tally: &Tally,
        vocabulary: &Vocabulary,
    ) -> Option<Finding> {
        let name = vocabulary.text(username);
        let node = vocabulary.text(node);
        let (namespace, _) = service_account(name)?;
        let by = vocabulary.find(&format!("system:node:{node}"));
        let place = by.zip(vocabulary.find(namespace));
        let is_asked = place.is_some_and(|place| self.asked.contains_key(&place));
        if is_asked || tally.last <= self.began.saturating_add(LIFE_US) {
            return None;
        }
        let credential = vocabulary.text(credential).to_owned();
        let mut draft = Draft::new(&self.meta, vec![credential.clone()], tally);
        let node = if node.is_empty() { "no node" } else { node };
        draft.summary = format!(
            "a certificate of `{name}` that names a Pod on {node} was used, and no kubelet there asked for one in {namespace}: {} from {} with {}",
            counted(tally.count, "request"),
            listed(&tally.peers(vocabulary)),
            listed(&tally.agents(vocabulary)),
        );
        draft.why = vec![
            format!("credential = {credential}"),
            format!("podcertificaterequests of system:node:{node} in {namespace} = 0"),
        ];
        Some(draft.finish(vocabulary))
    }
}
