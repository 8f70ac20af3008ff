//! `forwarded-address-forged`: an address that claims another origin in some requests and none in others.
//!
//! `sourceIPs` is what the client sent as `X-Forwarded-For` and `X-Real-Ip`, then the address of the connection
//! (kubernetes/apiserver `pkg/apis/audit/v1`, `Event.SourceIPs`). A proxy forwards all requests; one who forges the
//! header tries with and without it.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::address::is_public;
use super::{Context, Draft, counted, listed};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::Finding;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct ForwardedAddress {
    meta: RuleMeta,
    window_us: i64,
    /// By address of the connection and user.
    clients: HashMap<(u32, u32), Client>,
    /// Whether an address is public, by its code.
    is_public: HashMap<u32, bool>,
}

remembers!(ForwardedAddress: [clients], anew [meta, window_us, is_public]);

#[derive(Clone, Serialize, Deserialize)]
struct Client {
    claiming: Tally,
    claimed: Vec<u32>,
    last_claim: i64,
    /// Requests without a claim near one with it.
    direct: u64,
    last_direct: i64,
}

/// Claimed addresses that one finding names.
const NAMED: usize = 8;

impl ForwardedAddress {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            window_us: parameters.duration_us("window")?,
            clients: HashMap::new(),
            is_public: HashMap::new(),
        })
    }

    /// Takes in one request.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let vocabulary = context.vocabulary;
        let (claimed, peer) = (request.client_ip(), request.peer_ip());
        let is_direct = claimed == peer;
        // Nobody has claimed anything yet: the common log.
        if (is_direct && self.clients.is_empty()) || request.username() == NULL {
            return;
        }
        let key = (peer, request.username());
        if is_direct {
            let Some(client) = self.clients.get_mut(&key) else {
                return;
            };
            // A claim was near, or one that follows will tell.
            if !is_probe(request) {
                client.last_direct = client.last_direct.max(request.ts);
                client.direct +=
                    u64::from((request.ts - client.last_claim).abs() <= self.window_us);
            }
        } else if request.imp_username() == NULL
            && !is_aggregated(vocabulary.text(request.api_group()))
            && self.is_public(claimed, vocabulary)
        {
            let new = || Client {
                claiming: Tally::empty(),
                claimed: Vec::new(),
                last_claim: i64::MIN / 2,
                direct: 0,
                last_direct: i64::MIN / 2,
            };
            let client = self.clients.entry(key).or_insert_with(new);
            client.direct += u64::from((request.ts - client.last_direct).abs() <= self.window_us);
            client.last_claim = client.last_claim.max(request.ts);
            if client.claimed.len() < NAMED && !client.claimed.contains(&claimed) {
                client.claimed.push(claimed);
            }
            client.claiming.add(request, context);
        }
    }

    fn is_public(&mut self, address: u32, vocabulary: &Vocabulary) -> bool {
        let known = self.is_public.entry(address);
        *known.or_insert_with(|| is_public(vocabulary.text(address)))
    }

    /// Draws the findings.
    pub fn finish(self, context: &Context<'_>) -> Vec<Finding> {
        let Context { vocabulary, .. } = *context;
        let forged = self
            .clients
            .into_iter()
            .filter(|(_, client)| client.direct > 0);
        let findings = forged.map(|((peer, user), client)| {
            let text = |code: &u32| vocabulary.text(*code).to_owned();
            let group = [peer, user].iter().map(text).collect();
            let mut claimed: Vec<String> = client.claimed.iter().map(text).collect();
            claimed.sort_unstable();
            let mut draft = Draft::new(&self.meta, group, &client.claiming);
            draft.summary = format!(
                "{} claimed to be {} in {} as `{}`, and nobody else in others",
                text(&peer),
                listed(&claimed),
                counted(client.claiming.count, "request"),
                text(&user),
            );
            draft.why = vec![
                format!("sourceIPs = {}, {}", listed(&claimed), text(&peer)),
                format!(
                    "requests without a claim near one with it = {}",
                    client.direct
                ),
            ];
            draft.finish(vocabulary)
        });
        findings.collect()
    }
}

/// Returns whether the request is one that load balancers make for themselves.
fn is_probe(request: &Request<'_>) -> bool {
    const PROBES: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];
    let path = request.path();
    matches!(path, "/" | "") || PROBES.iter().any(|probe| path.starts_with(probe))
}

/// Returns whether servers behind the aggregation layer serve the group: their proxy is the API server.
fn is_aggregated(group: &str) -> bool {
    group.ends_with("metrics.k8s.io") || group.ends_with(".openshift.io")
}
