//! `masters-credential`, `masters-second-credential`, `masters-new-source`: who carries `system:masters`.
//!
//! RBAC never judges members of this group, and nothing revokes a certificate that names it but a new
//! CA. So the log is read as an inventory: one finding per credential that carries the group, one more
//! for each that is not the first, and one for each further address a credential comes from. The API
//! server's own loopback client carries it too (kubernetes/apiserver `pkg/server/config.go`) and is
//! known by name and address together.

use hashbrown::HashMap;

use super::{Context, Draft, counted, listed};
use crate::credential::Ledger;
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::{Finding, Severity};
use crate::frame::NULL;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytics.
pub struct Masters {
    inventory: RuleMeta,
    second: RuleMeta,
    new_source: RuleMeta,
    shared_peer_users: usize,
    /// Per credential: all, and per address in order of first use.
    carriers: HashMap<u32, Carrier>,
}

struct Carrier {
    all: Tally,
    by_peer: Vec<(u32, Tally)>,
}

/// The addresses of the API server's loopback client.
const LOOPBACK: [&str; 2] = ["::1", "127.0.0.1"];

impl Masters {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new(
        inventory: &RuleMeta,
        second: &RuleMeta,
        (new_source, parameters): (&RuleMeta, &Parameters),
    ) -> Result<Self, RuleError> {
        Ok(Self {
            inventory: inventory.clone(),
            second: second.clone(),
            new_source: new_source.clone(),
            shared_peer_users: parameters.number("shared_peer_users")? as usize,
            carriers: HashMap::new(),
        })
    }

    /// Takes in one request.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        // With impersonation the flag may stem from the impersonated groups: another rule's business.
        if !request.is_masters || request.imp_username() != NULL {
            return;
        }
        let Context {
            vocabulary,
            evidence_limit,
        } = *context;
        let peer = request.peer_ip();
        if vocabulary.text(request.username()) == "system:apiserver"
            && LOOPBACK.contains(&vocabulary.text(peer))
        {
            return;
        }
        let carrier = self
            .carriers
            .entry(request.credential())
            .or_insert_with(|| Carrier {
                all: Tally::empty(),
                by_peer: Vec::new(),
            });
        carrier.all.add(request, vocabulary, evidence_limit);
        match carrier.by_peer.iter_mut().find(|(known, _)| *known == peer) {
            Some((_, tally)) => tally.add(request, vocabulary, evidence_limit),
            None => carrier
                .by_peer
                .push((peer, Tally::new(request, vocabulary, evidence_limit))),
        }
    }

    /// Draws the findings.
    pub fn finish(self, context: &Context<'_>, ledger: &Ledger) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let mut carriers: Vec<(String, Carrier)> = self
            .carriers
            .into_iter()
            .map(|(credential, carrier)| (vocabulary.text(credential).to_owned(), carrier))
            .collect();
        carriers.sort_by(|a, b| (a.1.all.first, &a.0).cmp(&(b.1.all.first, &b.0)));
        let mut findings = Vec::new();
        for (index, (credential, carrier)) in carriers.iter().enumerate() {
            let all = &carrier.all;
            let who = listed(&all.usernames(vocabulary));
            let group = vec![credential.clone()];
            let mut draft = Draft::new(
                if index == 0 {
                    &self.inventory
                } else {
                    &self.second
                },
                group.clone(),
                all,
            );
            draft.summary = format!(
                "`{who}` carries system:masters: {}, {} of them changes, from {}",
                counted(all.count, "request"),
                all.writes,
                listed(&all.peers(vocabulary)),
            );
            draft.why = vec![
                "user.groups holds system:masters".to_owned(),
                format!("credential = {credential}"),
            ];
            if index > 0 {
                let known = &carriers[0];
                draft.why.push(format!(
                    "first used after that of `{}` ({})",
                    listed(&known.1.all.usernames(vocabulary)),
                    known.0
                ));
            }
            findings.push(draft.finish(vocabulary));

            let home = &carrier.by_peer[0];
            for (peer, tally) in &carrier.by_peer[1..] {
                let address = vocabulary.text(*peer);
                let mut draft = Draft::new(
                    &self.new_source,
                    vec![credential.clone(), address.to_owned()],
                    tally,
                );
                draft.summary = format!(
                    "`{who}` (system:masters) came from {address}, where it had not been before: {}, {} of them changes",
                    counted(tally.count, "request"),
                    tally.writes,
                );
                draft.why = vec![
                    format!("credential = {credential}"),
                    format!("address = {address}; before: {}", vocabulary.text(home.0)),
                ];
                if ledger.is_shared_peer(*peer, self.shared_peer_users)
                    || ledger.is_shared_peer(home.0, self.shared_peer_users)
                {
                    draft.severity = Severity::Low;
                    draft
                        .why
                        .push("one of the addresses stands for many users".to_owned());
                }
                findings.push(draft.finish(vocabulary));
            }
        }
        findings
    }
}
