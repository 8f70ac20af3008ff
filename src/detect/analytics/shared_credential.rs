//! `shared-credential` and `pod-token-away`: one credential, several holders.
//!
//! Two tests. A token bound to a Pod belongs at that Pod's address, and nowhere else. Any other
//! credential is shared if it goes back and forth between addresses within a window: `A B A B`. A
//! hand-over (`A A B B`, a laptop that moves) has no way back. Several Pods of one ServiceAccount have a
//! token each (KEP-1205) and so are no sharing; Secret tokens from before KEP-2799 all Pods of a
//! ServiceAccount hold alike by design, so they are left out.

mod away;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::address::are_neighbours;
use super::masquerade::Masquerade;
use super::{Context, Draft, counted, lasting, listed};
use crate::credential::{Entry, Ledger};
use crate::detect::request::Request;
use crate::detect::tally::{Tally, Trace};
use crate::finding::{Confidence, Finding, Severity};
use crate::frame::derived::is_uuid;
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};
use away::{Home, natives};

/// State of the analytics.
#[derive(Clone)]
pub struct SharedCredential {
    sharing: RuleMeta,
    away: RuleMeta,
    settings: Settings,
    holders: HashMap<u32, Holders>,
    /// Where Pods are at home, by their uid.
    pods: HashMap<u32, Home>,
    /// Per user agent.
    platforms: HashMap<u32, u32>,
    /// Addresses of nodes: Pods on the host's network share them.
    nodes: HashSet<u32>,
    /// The users whose addresses these are.
    node_users: HashSet<u32>,
}

remembers!(SharedCredential: [holders, pods, nodes, node_users], anew [sharing, away, settings, platforms]);

#[derive(Clone)]
struct Settings {
    window_us: i64,
    least_returns: usize,
    high_returns: usize,
    longest_request_us: i64,
    shared_peer_users: usize,
    by_design: Vec<ByDesign>,
    /// How user agents begin of tools that no Pod's own program is.
    by_hand: Vec<String>,
}

/// Sharing that is meant: a user with an agent.
#[derive(Clone)]
struct ByDesign {
    username: String,
    agent_prefix: String,
}

/// Where one credential was used.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Holders {
    peers: Vec<Peer>,
    at: usize,
    /// The last window's requests; kept once there is a second address.
    recent: VecDeque<Trace>,
    returns: VecDeque<i64>,
    most_returns: usize,
    returned_home: u64,
    episodes: Vec<Tally>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Peer {
    code: u32,
    /// What the agents say they run on, as `linux/amd64`; null until one says so. Two of them are two
    /// hosts behind one address. Programs alone are not: people use several.
    platform: u32,
    last: i64,
    /// What a token did here that belongs elsewhere. Boxed: most credentials have one address, and nothing here.
    strayed: Option<Box<Tally>>,
}

impl Peer {
    fn new(code: u32, platform: u32, last: i64) -> Self {
        Self {
            code,
            platform,
            last,
            strayed: None,
        }
    }
}

impl Holders {
    /// Puts an address first: it is where a token belongs.
    fn come_home(&mut self, code: u32, received: i64) {
        let is_home = |peer: &Peer| peer.code == code;
        if self.peers.first().is_none_or(is_home) {
            return;
        }
        let known = self.peers.iter().position(is_home);
        let mut home = known.map_or_else(
            || Peer::new(code, NULL, received),
            |known| self.peers.remove(known),
        );
        home.strayed = None;
        self.peers.insert(0, home);
        self.at = match known {
            Some(known) if known == self.at => 0,
            Some(known) if known < self.at => self.at,
            _ => self.at + 1,
        };
    }

    /// Notes what a token did at an address that it does not belong at.
    fn stray(&mut self, code: u32, trace: Trace, context: &Context<'_>) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.code == code) {
            let strayed = peer.strayed.get_or_insert_with(|| Box::new(Tally::empty()));
            strayed.add_trace(trace, context);
        }
    }
}

/// So many addresses that so many users have in common are those of a load balancer. With two of them, the other one may be a
/// thief's who has the credentials of several users of one gateway.
const BALANCED: usize = 3;

impl SharedCredential {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new(
        (sharing, parameters): (&RuleMeta, &Parameters),
        (away, of_away): (&RuleMeta, &Parameters),
    ) -> Result<Self, RuleError> {
        let by_design = parameters.strings("by_design")?.into_iter().map(|text| {
            let (username, agent) = text.split_once(" with ").unwrap_or((&text, ""));
            ByDesign {
                username: username.to_owned(),
                agent_prefix: agent.to_owned(),
            }
        });
        Ok(Self {
            sharing: sharing.clone(),
            away: away.clone(),
            settings: Settings {
                window_us: parameters.duration_us("window")?,
                least_returns: parameters.count("least_returns")? as usize,
                high_returns: parameters.count("high_returns")? as usize,
                longest_request_us: parameters.duration_us("longest_request")?,
                shared_peer_users: parameters.count("shared_peer_users")? as usize,
                by_design: by_design.collect(),
                by_hand: of_away.strings("by_hand")?,
            },
            holders: HashMap::new(),
            pods: HashMap::new(),
            platforms: HashMap::new(),
            nodes: HashSet::new(),
            node_users: HashSet::new(),
        })
    }

    /// Returns the credentials that were used at several places.
    pub fn credentials(&self) -> impl Iterator<Item = u32> {
        let holders = self.holders.iter();
        holders.filter_map(|(&credential, holders)| (holders.peers.len() > 1).then_some(credential))
    }

    /// Forgets what ended before a time, Pods that the ledger has forgotten, and tokens of Pods that were at one address and not
    /// used since `replaced`.
    pub fn forget(&mut self, before: i64, replaced: i64, ledger: &Ledger) {
        let pods: HashSet<u32> = ledger
            .entries()
            .iter()
            .map(|entry| entry.token_pod_uid)
            .collect();
        self.pods.retain(|uid, _| pods.contains(uid));
        self.holders.retain(|&credential, holders| {
            holders.episodes.retain(|episode| episode.last >= before);
            let last = holders.peers.iter().map(|peer| peer.last).max();
            // Where the tokens of a Pod belong is known without them.
            let entry = ledger.entry(credential);
            let is_wanted =
                entry.is_some_and(|entry| entry.token_pod_uid == NULL || entry.last >= replaced);
            last >= Some(before) && (holders.peers.len() > 1 || is_wanted)
        });
    }

    /// Takes in one request whose credential was accepted.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let Context {
            vocabulary,
            evidence_limit,
        } = *context;
        let settings = &self.settings;
        let peer = request.peer_ip();
        let secret_of_all_pods = request.legacy_token() != NULL
            && vocabulary.text(request.credential()).starts_with("legacy:");
        if peer == NULL || secret_of_all_pods {
            return;
        }
        // A watch that ends now says where its client was long ago. That is all there is of many a Pod.
        let is_long = request.ts - request.received > settings.longest_request_us;
        let ts = if is_long {
            request.received
        } else {
            request.ts
        };
        if is_long && request.token_pod_uid() == NULL {
            return;
        }
        self.precede(request, context);
        let settings = &self.settings;
        let holders = self.holders.entry(request.credential()).or_default();
        // Where a node is first served it is; elsewhere its name, maybe by another certificate, may be a thief's.
        if request.identity_kind() == known::NODE
            && request.succeeded()
            && self.node_users.insert(request.username())
        {
            self.nodes.insert(peer);
        }
        if request.token_pod_uid() != NULL {
            let pod = self.pods.entry(request.token_pod_uid());
            let pod = pod.or_insert_with(|| Home::new(peer, request.received));
            let is_new = holders.peers.is_empty();
            pod.keep(request);
            let home = pod.observe(peer, request.user_agent(), ts, is_new);
            if is_new && home != peer {
                holders.peers.push(Peer::new(home, NULL, pod.last));
            }
        }
        let platform = *self
            .platforms
            .entry(request.user_agent())
            .or_insert_with_key(|&agent| {
                platform(vocabulary.text(agent)).map_or(NULL, |text| vocabulary.code(text))
            });
        let is_here = |known: &Peer| {
            let either = [platform, known.platform];
            known.code == peer && (either.contains(&NULL) || known.platform == platform)
        };
        let at = if holders.peers.get(holders.at).is_some_and(is_here) {
            Some(holders.at)
        } else {
            holders.peers.iter().position(is_here)
        };
        let new = at.is_none();
        let at = at.unwrap_or_else(|| {
            holders.peers.push(Peer::new(peer, platform, ts));
            holders.peers.len() - 1
        });
        if holders.peers[at].platform == NULL {
            holders.peers[at].platform = platform;
        }
        if holders.peers.len() == 1 {
            holders.peers[0].last = holders.peers[0].last.max(ts);
            holders.at = 0;
            return;
        }
        let (username, agent) = (request.username(), request.user_agent());
        if settings.is_by_design(vocabulary.text(username), vocabulary.text(agent)) {
            return;
        }
        // The first address of a bound token is its home; the others' requests are evidence.
        if peer != holders.peers[0].code && request.token_pod_uid() != NULL {
            let strayed = &mut holders.peers[at].strayed;
            strayed
                .get_or_insert_with(|| Box::new(Tally::empty()))
                .add(request, context);
        }
        // It began before others came, and tells nothing of who came back.
        if is_long && holders.peers.iter().any(|peer| peer.last > ts) {
            holders.peers[at].last = holders.peers[at].last.max(ts);
            return;
        }
        let from = ts - settings.window_us;
        if at != holders.at && !new && holders.peers[at].last >= from {
            holders.returns.push_back(ts);
        }
        holders.returned_home += u64::from(at == 0 && holders.at != 0);
        holders.peers[at].last = ts;
        holders.at = at;
        while holders.returns.front().is_some_and(|&ts| ts < from) {
            holders.returns.pop_front();
        }
        holders.most_returns = holders.most_returns.max(holders.returns.len());
        let episode = holders.episodes.last_mut();
        if let Some(episode) = episode.filter(|episode| episode.last >= from) {
            episode.add(request, context);
            return;
        }
        let room = evidence_limit.saturating_mul(4).max(256);
        while holders.recent.front().is_some_and(|old| old.ts() < from)
            || holders.recent.len() >= room
        {
            holders.recent.pop_front();
        }
        holders.recent.push_back(Trace::of(request));
        if holders.returns.len() >= settings.least_returns {
            let mut episode = Tally::empty();
            for trace in holders.recent.drain(..) {
                episode.add_trace(trace, context);
            }
            holders.episodes.push(episode);
        }
    }

    /// Puts right where a Pod is at home if a request had begun elsewhere before all that is known of it.
    fn precede(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let (peer, received) = (request.peer_ip(), request.received);
        let home = self.pods.get_mut(&request.token_pod_uid());
        let Some((elsewhere, earliest)) = home.and_then(|home| home.precede(peer, received)) else {
            return;
        };
        if let Some(holders) = self.holders.get_mut(&request.credential()) {
            holders.come_home(peer, received);
        }
        for trace in earliest {
            if let Some(holders) = self.holders.get_mut(&trace.credential()) {
                holders.come_home(peer, received);
                holders.stray(elsewhere, trace, context);
            }
        }
    }

    /// Draws the findings.
    pub fn finish(
        mut self,
        context: &Context<'_>,
        ledger: &Ledger,
        masquerade: &Masquerade,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        let holders = std::mem::take(&mut self.holders);
        let natives = natives(&holders, ledger);
        let mut strays = Vec::new();
        for (credential, holders) in holders {
            let Some(entry) = ledger.entry(credential) else {
                continue;
            };
            if entry.token_pod_uid == NULL {
                self.shared(entry, &holders, context, ledger, &mut findings);
            } else {
                let places = (&natives, masquerade);
                strays.extend(self.away(entry, &holders, places, context, ledger));
            }
        }
        findings.extend(self.strayed(strays, context, ledger));
        self.balance(&mut findings);
        findings
    }

    /// Lowers what looks like a load balancer of several addresses: several users go back and forth between the same ones.
    fn balance(&self, findings: &mut [Finding]) {
        let mut users: BTreeMap<Vec<String>, BTreeSet<String>> = BTreeMap::new();
        let is_shared = |finding: &&mut Finding| {
            finding.rule.id == self.sharing.id && finding.severity > Severity::Low
        };
        for finding in findings.iter_mut().filter(is_shared) {
            let of_set = users.entry(finding.source.ips.clone()).or_default();
            of_set.extend(finding.actor.username.clone());
        }
        users.retain(|ips, users| ips.len() >= BALANCED && users.len() >= BALANCED);
        for finding in findings.iter_mut().filter(is_shared) {
            let within = |ips: &Vec<String>| finding.source.ips.iter().all(|ip| ips.contains(ip));
            if let Some((ips, users)) = users.iter().find(|(ips, _)| within(ips)) {
                finding.severity = Severity::Low;
                finding.confidence = Confidence::Low;
                finding.why.push(format!(
                    "{} users go back and forth between {}: a load balancer or gateways",
                    users.len(),
                    listed(ips)
                ));
            }
        }
    }

    fn shared(
        &self,
        entry: &Entry,
        holders: &Holders,
        context: &Context<'_>,
        ledger: &Ledger,
        findings: &mut Vec<Finding>,
    ) {
        let vocabulary = context.vocabulary;
        for episode in &holders.episodes {
            let peers = episode.peers(vocabulary);
            let usernames = episode.usernames(vocabulary);
            let of_node = usernames
                .iter()
                .all(|user| user.starts_with("system:node:"));
            let own: Vec<String> = peers
                .iter()
                .filter(|peer| {
                    let code = vocabulary.find(peer).unwrap_or(NULL);
                    !ledger.is_shared_peer(code, self.settings.shared_peer_users)
                        && (of_node || !is_of_several_nodes(code, ledger, vocabulary))
                })
                .cloned()
                .collect();
            let agents = episode.origin(vocabulary).user_agents;
            let key = vocabulary.text(entry.credential);
            let mut platforms: Vec<String> = agents
                .iter()
                .filter_map(|agent| platform(agent))
                .map(str::to_owned)
                .collect();
            platforms.sort_unstable();
            platforms.dedup();
            let one_address = peers.len() == 1 && platforms.len() > 1;
            let places = if one_address {
                format!("hosts ({}) behind {}", listed(&platforms), listed(&peers))
            } else {
                listed(&peers)
            };
            let mut draft = Draft::new(&self.sharing, vec![key.to_owned()], episode);
            draft.summary = format!(
                "the credential of `{}` went back and forth between {places} within {}: {}",
                listed(&usernames),
                lasting(episode.last - episode.first),
                counted(episode.count, "request"),
            );
            draft.why = vec![
                format!("credential = {key}"),
                format!(
                    "addresses = {}, platforms = {}",
                    peers.len(),
                    platforms.len()
                ),
                format!(
                    "ways back = {} within {}",
                    holders.most_returns,
                    lasting(self.settings.window_us)
                ),
                format!("agents = {}", listed(&agents)),
            ];
            draft.severity = if holders.most_returns >= self.settings.high_returns {
                Severity::High
            } else {
                self.sharing.severity
            };
            if !key.starts_with("JTI=") && !key.starts_with("X509SHA256=") {
                draft.confidence = Confidence::Medium;
                draft.blind_spots.push(
                    "the log has no id of the credential itself: these may be several credentials of one user"
                        .to_owned(),
                );
            }
            let node = |peer: &String| {
                vocabulary
                    .find(peer)
                    .is_some_and(|code| self.nodes.contains(&code))
            };
            let by_nodes = usernames.iter().all(|user| user.starts_with("system:"));
            let strangers = if of_node {
                self.other_nodes(&own, &usernames, episode, ledger, vocabulary)
            } else {
                Vec::new()
            };
            let doubt = if !strangers.is_empty() {
                draft
                    .why
                    .push(format!("at home there = {}", listed(&strangers)));
                None
            } else if is_of_sign_on(key, vocabulary.text(entry.kind), &usernames) {
                Some(
                    "a user of single sign-on has many tokens, and the log does not tell them apart",
                )
            } else if one_address {
                draft.severity = self.sharing.severity;
                draft.confidence = Confidence::Medium;
                None
            } else if own.len() < 2 {
                Some("all addresses but one stand for many users (a gateway or proxy)")
            } else if are_neighbours(own.iter().map(String::as_str)) {
                Some("the addresses may be one gateway's: one network, or one of each family")
            } else if by_nodes && !of_node && own.iter().all(node) {
                Some("all addresses are nodes: agents that share a credential by design")
            } else if usernames
                .iter()
                .all(|user| user.starts_with("system:bootstrap:"))
            {
                Some("a bootstrap token joins many nodes")
            } else {
                None
            };
            if of_node && doubt.is_none() && !one_address {
                // It is of one machine.
                draft.severity = Severity::High;
            }
            if let Some(doubt) = doubt {
                draft.severity = Severity::Low;
                draft.confidence = Confidence::Low;
                draft.why.push(doubt.to_owned());
            }
            findings.push(draft.finish(vocabulary));
        }
    }

    /// Returns the nodes, but for `usernames`, that were at one of `peers` while an episode lasted.
    fn other_nodes(
        &self,
        peers: &[String],
        usernames: &[String],
        episode: &Tally,
        ledger: &Ledger,
        vocabulary: &Vocabulary,
    ) -> Vec<String> {
        let codes = peers.iter().filter_map(|peer| vocabulary.find(peer));
        let nodes = codes
            .filter(|peer| self.nodes.contains(peer))
            .flat_map(|peer| {
                ledger.nodes_at(peer, vocabulary).filter(move |&user| {
                    let uses = ledger.of_username(user).flat_map(|entry| &entry.uses);
                    let mut here = uses.filter(|used| used.peer == peer);
                    here.any(|used| used.first <= episode.last && used.last >= episode.first)
                })
            });
        let mut names: Vec<String> = nodes
            .map(|user| vocabulary.text(user).to_owned())
            .filter(|user| !usernames.contains(user))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Settings {
    /// Names identity and program together: neither alone makes sharing harmless.
    fn is_by_design(&self, username: &str, agent: &str) -> bool {
        self.by_design
            .iter()
            .any(|known| username == known.username && agent.starts_with(&known.agent_prefix))
    }
}

/// Returns whether several nodes come from an address: a load balancer or a gateway, as a node has its own.
fn is_of_several_nodes(peer: u32, ledger: &Ledger, vocabulary: &Vocabulary) -> bool {
    ledger.nodes_at(peer, vocabulary).count() > 1
}

/// Returns what client-go's user agents say of the host: `kubectl/v1.36.2 (linux/amd64) ...`.
fn platform(agent: &str) -> Option<&str> {
    let (_, rest) = agent.split_once(" (")?;
    let (platform, _) = rest.split_once(')')?;
    let (os, arch) = platform.split_once('/')?;
    let is_word =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_word(os) && is_word(arch)).then_some(platform)
}

/// From how many users on a log can tell that they all come from one address.
const GATEWAY_USERS: usize = 8;

/// Returns the number of users that share the busiest address, in words, if it hides who is who.
pub fn gateway_note(ledger: &Ledger, vocabulary: &Vocabulary) -> Option<String> {
    let (peer, users, all) = ledger.busiest_peer(vocabulary)?;
    (users >= GATEWAY_USERS && users * 2 > all).then(|| {
        format!(
            "{users} of {all} users come from the one address {peer}: addresses tell little here; look at credentials and agents"
        )
    })
}

/// Returns whether a credential is known by its user only, and that user signs in somewhere to get a token each time:
/// a webhook accepted it (`OpenShift`), it is the object id of a user of Entra ID, or the names are claims.
fn is_of_sign_on(key: &str, kind: &str, usernames: &[String]) -> bool {
    match key.split_once(':') {
        Some(("user", _)) => kind == "webhook" || usernames.iter().all(|user| is_claim(user)),
        Some(("cloud", id)) => is_uuid(id.as_bytes()),
        _ => false,
    }
}

/// Returns whether a name is a claim of an identity provider: with its prefix or its URL (kube-apiserver,
/// `--oidc-username-prefix`), or an address, which has no prefix by default.
fn is_claim(username: &str) -> bool {
    let prefix = username.split_once([':', '#']).map(|(prefix, _)| prefix);
    prefix.is_some_and(|prefix| !prefix.is_empty() && prefix != "system") || username.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_from_user_agents() {
        let check = |agent: &str, expected: Option<&str>| assert_eq!(platform(agent), expected);
        check(
            "kubectl/v1.36.2 (linux/amd64) kubernetes/8e16b12",
            Some("linux/amd64"),
        );
        check(
            "app/1.4.2 (darwin/arm64) kubernetes/$Format",
            Some("darwin/arm64"),
        );
        check("Mozilla/5.0 (X11; Linux x86_64)", None);
        check("curl/8.5.0", None);
    }
}
