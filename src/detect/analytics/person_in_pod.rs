//! `person-from-pod`: a person's credential at work inside the network of Pods.
//!
//! People come from their desks, by a VPN or by a gateway; Pods come from networks of their own, which a node hands out. Whoever
//! has a shell in a Pod and a person's token or kubeconfig shows in both places. Networks of Pods are learned: several
//! addresses of one network with tokens that are bound to Pods, and nobody else there. Proxies in Pods pass the tokens of
//! several people on, and machines that log in as people do have come from nowhere else: neither is told.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::address::network;
use super::{Context, Draft, counted, listed};
use crate::credential::Ledger;
use crate::detect::request::Request;
use crate::detect::tally::{Tally, is_change};
use crate::finding::Finding;
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct PersonInPod {
    meta: RuleMeta,
    least_pods: usize,
    most_people: usize,
    /// Addresses of Pods by their network, as many as it takes.
    pods: HashMap<u32, BTreeSet<u32>>,
    /// Networks from which others came, too.
    mixed: BTreeSet<u32>,
    /// Who came to the Pods' networks, since when, and what they did there that matters.
    visits: HashMap<u32, BTreeMap<u32, Visit>>,
    /// The network of each address.
    networks: HashMap<u32, u32>,
}

remembers!(
    PersonInPod: [pods, mixed, visits],
    anew [meta, least_pods, most_people, networks]
);

/// One person in one network.
#[derive(Clone, Serialize, Deserialize)]
struct Visit {
    first: i64,
    tally: Box<Tally>,
}

/// Networks of Pods that are remembered.
const NETWORKS: usize = 1 << 16;

impl PersonInPod {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            least_pods: parameters.count("least_pods")? as usize,
            most_people: parameters.count("most_people")? as usize,
            pods: HashMap::new(),
            mixed: BTreeSet::new(),
            visits: HashMap::new(),
            networks: HashMap::new(),
        })
    }

    /// Forgets who came before a time.
    pub fn forget(&mut self, before: i64) {
        self.visits.retain(|_, people| {
            people.retain(|_, visit| visit.first >= before || visit.tally.last >= before);
            !people.is_empty()
        });
    }

    /// Takes in a request whose credential was accepted.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let vocabulary = context.vocabulary;
        let peer = request.peer_ip();
        let is_of_pod = request.token_pod_uid() != NULL;
        // Whoever is in a Pod can be nobody.
        let is_told = is_of_pod || [known::USER, known::NODE].contains(&request.identity_kind());
        if peer == NULL || !is_told {
            return;
        }
        let network = *self.networks.entry(peer).or_insert_with(|| {
            network(vocabulary.text(peer)).map_or(NULL, |network| vocabulary.code(&network))
        });
        if network == NULL || self.mixed.contains(&network) {
            return;
        }
        if is_of_pod {
            if self.pods.len() < NETWORKS || self.pods.contains_key(&network) {
                let pods = self.pods.entry(network).or_default();
                if pods.len() < self.least_pods {
                    pods.insert(peer);
                }
            }
            return;
        }
        let pods = self.pods.get(&network).map_or(0, BTreeSet::len);
        let is_person = request.identity_kind() == known::USER
            && !vocabulary.text(request.username()).starts_with("system:");
        if !is_person || pods < self.least_pods {
            self.mixed.insert(network);
            self.visits.remove(&network);
            return;
        }
        let people = self.visits.entry(network).or_default();
        let visit = people.entry(request.username()).or_insert_with(|| Visit {
            first: request.received,
            tally: Box::new(Tally::empty()),
        });
        let [verb, resource] =
            [request.verb(), request.resource()].map(|code| vocabulary.text(code));
        let matters = request.resource() == known::SECRETS || is_change(verb, resource);
        if matters && request.succeeded() {
            visit.tally.add(request, context);
        }
        // Many people come by what runs in Pods.
        if people.len() > self.most_people {
            self.mixed.insert(network);
            self.visits.remove(&network);
        }
    }

    /// Draws the findings: one for each person and network.
    pub fn finish(self, context: &Context<'_>, ledger: &Ledger) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let visits = self.visits.iter();
        let visits = visits.flat_map(|(&network, people)| {
            people
                .iter()
                .map(move |(&user, visit)| (user, network, visit))
        });
        let visits = visits.filter(|(user, network, visit)| {
            visit.tally.count > 0
                && self.came_from_elsewhere(*user, *network, visit, ledger, vocabulary)
        });
        let visits: BTreeMap<[&str; 2], &Visit> = visits
            .map(|(user, network, visit)| {
                ([user, network].map(|code| vocabulary.text(code)), visit)
            })
            .collect();
        let findings = visits.into_iter();
        findings
            .map(|(names, visit)| self.finding(names, visit, context))
            .collect()
    }

    /// Returns whether a person had come from outside of a network before they came from there.
    fn came_from_elsewhere(
        &self,
        user: u32,
        network: u32,
        visit: &Visit,
        ledger: &Ledger,
        vocabulary: &Vocabulary,
    ) -> bool {
        let mut places = ledger.of_username(user).flat_map(|entry| &entry.uses);
        places.any(|used| {
            let place = super::address::network(vocabulary.text(used.peer));
            used.first < visit.first
                && place.is_some_and(|place| {
                    let code = vocabulary.find(&place);
                    place != vocabulary.text(network)
                        && !code.is_some_and(|code| self.visits.contains_key(&code))
                })
        })
    }

    fn finding(&self, [user, network]: [&str; 2], visit: &Visit, context: &Context<'_>) -> Finding {
        let vocabulary = context.vocabulary;
        let tally = &*visit.tally;
        let group = vec![user.to_owned(), network.to_owned()];
        let mut draft = Draft::new(&self.meta, group, tally);
        draft.summary = format!(
            "the credential of `{user}` was used from {}, which is inside the network of Pods: {} to read Secrets or change something, with {}",
            listed(&tally.peers(vocabulary)),
            counted(tally.count, "request"),
            listed(&tally.agents(vocabulary)),
        );
        draft.why = vec![
            format!("network = {network}, from which only Pods came so far"),
            format!("{user} had come from elsewhere before"),
        ];
        draft.finish(vocabulary)
    }
}
