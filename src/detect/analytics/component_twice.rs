//! `component-in-two-places`: work under the name of a control plane component that does not lead.
//!
//! Of several controller managers (or schedulers) one works, and the others wait for its lease. The leader renews it every
//! few seconds and gives up the moment that it cannot (kubernetes/client-go `tools/leaderelection`). So where work comes
//! from another address between two of its renewals, somebody else has the credential; user name and user agent, which
//! excuse a component with several addresses elsewhere, are the thief's to copy.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::{Context, Draft, counted, listed};
use crate::credential::Ledger;
use crate::detect::request::Request;
use crate::detect::tally::{Tally, is_write};
use crate::finding::{Finding, Timestamp};
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct ComponentTwice {
    meta: RuleMeta,
    renewal_us: i64,
    shared_peer_users: usize,
    /// By user.
    leaders: HashMap<u32, Leader>,
}

remembers!(ComponentTwice: [leaders], anew [meta, renewal_us, shared_peer_users]);

/// Who holds the lease of a component.
#[derive(Clone, Serialize, Deserialize)]
struct Leader {
    peer: u32,
    renewed: i64,
    /// Work from other addresses since then.
    pending: HashMap<u32, Tally>,
    /// Work from other addresses that it outlived.
    proven: HashMap<u32, Proven>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Proven {
    tally: Tally,
    leader: u32,
    /// The leader's first renewal behind the work.
    renewed: i64,
}

/// What holds a component's lease; the last two did before Kubernetes 1.20.
const LOCKS: [&str; 3] = ["leases", "endpoints", "configmaps"];

/// What components write while they wait for the lease: they say that they are there, and ask who scrapes them.
const IDLE: [&str; 7] = [
    "leases",
    "leasecandidates",
    "endpoints",
    "configmaps",
    "events",
    "tokenreviews",
    "subjectaccessreviews",
];

/// Other addresses that are remembered for a component.
const ADDRESSES: usize = 64;

impl ComponentTwice {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            renewal_us: parameters.duration_us("renewal")?,
            shared_peer_users: parameters.count("shared_peer_users")? as usize,
            leaders: HashMap::new(),
        })
    }

    /// Takes in one request whose credential was accepted.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        if request.identity_kind() != known::COMPONENT
            || request.peer_ip() == NULL
            || !request.succeeded()
        {
            return;
        }
        let vocabulary = context.vocabulary;
        if is_renewal(request, vocabulary) {
            self.renew(request, context);
        } else if is_work(request, vocabulary)
            && let Some(leader) = self.leaders.get_mut(&request.username())
            && leader.peer != request.peer_ip()
            && (leader.pending.len() < ADDRESSES || leader.pending.contains_key(&request.peer_ip()))
        {
            let tally = leader.pending.entry(request.peer_ip());
            tally.or_insert_with(Tally::empty).add(request, context);
        }
    }

    fn renew(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let (peer, ts) = (request.peer_ip(), request.ts);
        let leader = self.leaders.entry(request.username()).or_insert(Leader {
            peer,
            renewed: ts,
            pending: HashMap::new(),
            proven: HashMap::new(),
        });
        let is_in_time = ts - leader.renewed <= self.renewal_us;
        if leader.peer == peer && is_in_time {
            for (other, tally) in leader.pending.drain() {
                let proven = leader.proven.entry(other).or_insert_with(|| Proven {
                    tally: Tally::empty(),
                    leader: peer,
                    renewed: ts,
                });
                proven.tally.merge(tally, context);
            }
        } else if is_in_time {
            return; // Either it takes over, and the other renews no more, or it is none.
        }
        leader.pending.clear();
        (leader.peer, leader.renewed) = (peer, ts.max(leader.renewed));
    }

    /// Forgets what ended before a time.
    pub fn forget(&mut self, before: i64) {
        for leader in self.leaders.values_mut() {
            leader.proven.retain(|_, it| it.tally.last >= before);
        }
    }

    /// Draws the findings: one for each component.
    pub fn finish(self, context: &Context<'_>, ledger: &Ledger) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let leaders = self.leaders.iter();
        let mut leaders: Vec<(&str, &Leader)> = leaders
            .map(|(&user, leader)| (vocabulary.text(user), leader))
            .collect();
        leaders.sort_unstable_by_key(|(name, _)| *name);
        leaders
            .into_iter()
            .filter_map(|(name, leader)| self.finding(name, leader, context, ledger))
            .collect()
    }

    fn finding(
        &self,
        name: &str,
        leader: &Leader,
        context: &Context<'_>,
        ledger: &Ledger,
    ) -> Option<Finding> {
        let vocabulary = context.vocabulary;
        let is_gateway = |peer: u32| ledger.is_shared_peer(peer, self.shared_peer_users);
        let is_v6 = |peer: u32| vocabulary.text(peer).contains(':');
        let others = leader.proven.iter().filter(|&(&peer, proven)| {
            // The two families of one host are one place.
            !is_gateway(peer) && !is_gateway(proven.leader) && is_v6(peer) == is_v6(proven.leader)
        });
        let others: BTreeMap<&str, &Proven> = others
            .map(|(&peer, proven)| (vocabulary.text(peer), proven))
            .collect();
        let (_, first) = others.first_key_value()?;
        let mut tally = Tally::empty();
        for other in others.values() {
            tally.merge(other.tally.clone(), context);
        }
        let addresses: Vec<String> = others.keys().map(|&peer| peer.to_owned()).collect();
        let home = vocabulary.text(first.leader);
        let mut draft = Draft::new(&self.meta, vec![name.to_owned()], &tally);
        draft.summary = format!(
            "`{name}` held its lease from {home}, and its credential was at work from {} meanwhile: {} ({} {})",
            listed(&addresses),
            counted(tally.count, "request"),
            listed(&tally.verbs(vocabulary)),
            listed(&tally.resources(vocabulary)),
        );
        draft.why = vec![
            format!("addresses = {}", listed(&addresses)),
            format!(
                "the leader at {home} renewed the lease before and after, as at {}",
                Timestamp(first.renewed)
            ),
        ];
        Some(draft.finish(vocabulary))
    }
}

/// Returns whether it is a component's renewal of its own lease.
fn is_renewal(request: &Request<'_>, vocabulary: &Vocabulary) -> bool {
    let component = vocabulary.text(request.username()).strip_prefix("system:");
    component == Some(request.name())
        && LOCKS.contains(&vocabulary.text(request.resource()))
        && is_write(vocabulary.text(request.verb()))
}

/// Returns whether it is something that only the leader does.
fn is_work(request: &Request<'_>, vocabulary: &Vocabulary) -> bool {
    request.resource() == known::SECRETS
        || is_write(vocabulary.text(request.verb()))
            && !IDLE.contains(&vocabulary.text(request.resource()))
}
