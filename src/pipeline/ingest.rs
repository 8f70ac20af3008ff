//! Figures of what was read, gathered beside the findings.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;

use hashbrown::hash_map::Entry;
use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::Found;
use crate::detect::analytics::audit_gap::{Beat, Class, Pulse};
use crate::detect::request::RequestColumns;
use crate::detect::supply::{Kind, Portion};
use crate::finding::Timestamp;
use crate::finding::words::listed;
use crate::frame::pieces::Piece;
use crate::frame::vocabulary::{is_cut, known};
use crate::frame::{Column, EventFrame, NULL, Vocabulary, count};
use crate::memory::remembers;
use crate::report::{ApiServer, Census, GAPS, Gap, Guess, Ingest};

/// Resources whose bodies decide what rules can see.
const RESOURCES: [&str; 10] = [
    "clusterrolebindings",
    "clusterroles",
    "configmaps",
    "daemonsets",
    "pods",
    "rolebindings",
    "roles",
    "secrets",
    "serviceaccounts",
    "validatingwebhookconfigurations",
];

/// Counts by code.
#[derive(Default, Serialize, Deserialize)]
struct Counts(HashMap<u32, u64>);

impl Counts {
    fn add(&mut self, code: u32, count: u64) {
        *self.0.entry(code).or_default() += count;
    }

    fn add_all(&mut self, codes: &[u32]) {
        let codes = codes.iter().map(|&code| (code, code));
        count(codes, |code, count| self.add(code, count));
    }

    /// Takes back one of a code.
    fn take_back(&mut self, code: u32) {
        take_back(&mut self.0, code);
    }

    /// Returns the counts by text, in the order of the texts: nothing may depend on codes.
    fn by_text<'v>(&self, vocabulary: &'v Vocabulary) -> BTreeMap<&'v str, u64> {
        let counts = self.0.iter();
        counts
            .map(|(&code, &count)| (vocabulary.text(code), count))
            .collect()
    }

    fn census(&self, vocabulary: &Vocabulary) -> Census {
        let mut census = Census::default();
        for (text, count) in self.by_text(vocabulary) {
            if !text.is_empty() {
                census.add_n(text, count);
            }
        }
        census
    }
}

fn take_back<K: Eq + Hash>(counts: &mut HashMap<K, u64>, key: K) {
    if let Entry::Occupied(mut count) = counts.entry(key) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

/// Returns whether something of this kind has the body of a Secret or token.
fn has_secret(kind: &Kind) -> bool {
    let resource = kind.code_of(Column::Resource);
    let is_secret = resource == known::SECRETS
        || resource == known::TOKEN_REVIEWS
        || kind.code_of(Column::Subresource) == known::TOKEN;
    is_secret && resource != NULL && kind.has_body()
}

/// Of what decides the kind of an event, what is counted by itself.
const OF_KIND: [Column; 4] = [Column::Resource, Column::Verb, Column::Stage, Column::Level];

/// Gathers figures while the log goes by.
pub(super) struct Gathering {
    gap_us: i64,
    stages: Counts,
    levels: Counts,
    verbs: Counts,
    agents: Counts,
    envelopes: Census,
    other_kinds: Census,
    oddities: Census,
    usernames: HashSet<u32>,
    resource_levels: HashMap<(u32, u32), u64>,
    sources: Vec<Source>,
    by_key: HashMap<SourceKey, usize>,
    /// The source of the last row.
    last: Option<(SourceKey, usize)>,
    events: u64,
    with_credential_id: u64,
    with_decision: u64,
    truncated: u64,
    secret_bodies: u64,
    /// Lane, name and uid of who has a uid.
    accounts: HashSet<(u32, u32, u32)>,
    /// That of the last row.
    last_account: (u32, u32, u32),
}

/// Accounts that are kept to tell clusters apart.
const ACCOUNTS_MAX: usize = 50_000;

/// ServiceAccounts that every cluster has; each cluster gives them uids of its own.
const EVERYWHERE: &str = "system:serviceaccount:kube-system:";

/// How many of [`EVERYWHERE`] must have other uids for two logs to be of two clusters: one or two may have been made anew.
const FOREIGN_MIN: usize = 3;

remembers!(
    Gathering: [stages, levels, verbs, agents, envelopes, other_kinds, oddities, usernames, resource_levels, sources, by_key, events, with_credential_id, with_decision, truncated, secret_bodies, accounts],
    anew [gap_us, last, last_account]
);

/// Lane; cluster, node and stream of the log.
type SourceKey = (u32, [u32; 3]);

#[derive(Serialize, Deserialize)]
struct Source {
    key: SourceKey,
    file: u32,
    events: u64,
    first: i64,
    last: i64,
    gaps: Vec<Gap>,
    n_gaps: u64,
    pulse: Pulse,
}

impl Source {
    /// Returns cluster, node and stream, as far as the log tells them.
    fn origin(&self, vocabulary: &Vocabulary) -> String {
        let origin = self.key.1.map(|code| vocabulary.text(code));
        let known: Vec<&str> = origin.into_iter().filter(|text| !text.is_empty()).collect();
        known.join(" / ")
    }
}

impl Gathering {
    /// Starts; silences from `gap_us` on are noted.
    pub(super) fn new(gap_us: i64) -> Self {
        Self {
            gap_us,
            stages: Counts::default(),
            levels: Counts::default(),
            verbs: Counts::default(),
            agents: Counts::default(),
            envelopes: Census::default(),
            other_kinds: Census::default(),
            oddities: Census::default(),
            usernames: HashSet::new(),
            resource_levels: HashMap::new(),
            sources: Vec::new(),
            by_key: HashMap::new(),
            last: None,
            events: 0,
            with_credential_id: 0,
            with_decision: 0,
            truncated: 0,
            secret_bodies: 0,
            accounts: HashSet::new(),
            last_account: (u32::MAX, NULL, NULL),
        }
    }

    /// Takes in what records turned out to be.
    pub(super) fn records(&mut self, found: &Found) {
        self.envelopes.merge(&found.envelopes);
        self.other_kinds.merge(&found.kinds);
        self.oddities.merge(&found.oddities);
    }

    /// Takes in the events of a chunk, duplicates too: those are taken back once they are known.
    pub(super) fn frame(&mut self, frame: &EventFrame, offers: &Portion) {
        for (kind, count) in offers.kinds() {
            let [resource, verb, stage, level] = OF_KIND.map(|column| kind.code_of(column));
            self.verbs.add(verb, count);
            self.stages.add(stage, count);
            self.levels.add(level, count);
            if resource != NULL {
                *self.resource_levels.entry((resource, level)).or_default() += count;
            }
            if has_secret(kind) {
                self.secret_bodies += count;
            }
        }
        self.agents.add_all(&frame.codes(Column::UserAgent));
        self.events += frame.height() as u64;
        let mut last = [u32::MAX; 2];
        let [mut has_id, mut has_decision, mut is_truncated] = [0; 3];
        let has = |column, row_idx| u64::from(frame.code(column, row_idx) != NULL);
        let [users, annotations] =
            [Piece::User, Piece::Annotations].map(|piece| frame.pieces(piece));
        for (row_idx, (&user, &annotation)) in users.iter().zip(annotations).enumerate() {
            if user != std::mem::replace(&mut last[0], user) {
                self.usernames.insert(frame.code(Column::Username, row_idx));
                has_id = has(Column::CredentialId, row_idx);
            }
            if annotation != std::mem::replace(&mut last[1], annotation) {
                has_decision = has(Column::Decision, row_idx);
                is_truncated = has(Column::Truncated, row_idx);
            }
            self.with_credential_id += has_id;
            self.with_decision += has_decision;
            self.truncated += is_truncated;
        }
    }

    /// Takes back one event, which is a duplicate.
    pub(super) fn duplicate(&mut self, frame: &EventFrame, row_idx: usize) {
        let kind = Kind::of(frame, row_idx);
        let [resource, verb, stage, level] = OF_KIND.map(|column| kind.code_of(column));
        self.verbs.take_back(verb);
        self.stages.take_back(stage);
        self.levels.take_back(level);
        take_back(&mut self.resource_levels, (resource, level));
        self.secret_bodies -= u64::from(has_secret(&kind));
        self.agents
            .take_back(frame.code(Column::UserAgent, row_idx));
        self.events -= 1;
        let has = |column| u64::from(frame.code(column, row_idx) != NULL);
        self.with_credential_id -= has(Column::CredentialId);
        self.with_decision -= has(Column::Decision);
        self.truncated -= has(Column::Truncated);
    }

    /// Takes in one event in the order of time, no duplicate.
    pub(super) fn event(
        &mut self,
        (lane, file): (u32, u32),
        frame: &EventFrame,
        row_idx: usize,
        vocabulary: &Vocabulary,
    ) {
        let origin = [Column::Cluster, Column::LogNode, Column::LogStream];
        let key = (lane, origin.map(|column| frame.code(column, row_idx)));
        let [name, uid] =
            [Column::Username, Column::UserUid].map(|column| frame.code(column, row_idx));
        let account = (lane, name, uid);
        if account != std::mem::replace(&mut self.last_account, account)
            && uid != NULL
            && self.accounts.len() < ACCOUNTS_MAX
        {
            self.accounts.insert(account);
        }
        let ts = frame.place_in_time(row_idx);
        let at = match self.last {
            Some((last, at)) if last == key => at,
            _ => *self.by_key.entry(key).or_insert_with(|| {
                self.sources.push(Source {
                    key,
                    file,
                    events: 0,
                    first: ts,
                    last: ts,
                    gaps: Vec::new(),
                    n_gaps: 0,
                    pulse: Pulse::default(),
                });
                self.sources.len() - 1
            }),
        };
        self.last = Some((key, at));
        let source = &mut self.sources[at];
        source.events += 1;
        if ts == 0 {
            return;
        }
        if ts - source.last >= self.gap_us && source.last != 0 {
            source.n_gaps += 1;
            let (from, to) = (Timestamp(source.last), Timestamp(ts));
            source.gaps.push(Gap { from, to });
            if source.gaps.len() > GAPS {
                let length = |gap: &Gap| gap.to.0 - gap.from.0;
                let shortest = (0..source.gaps.len()).min_by_key(|&at| length(&source.gaps[at]));
                source.gaps.remove(shortest.expect("there are some"));
            }
        }
        source.first = source.first.min(ts);
        source.last = source.last.max(ts);
        let received = frame.times(Column::Ts)[row_idx];
        let beat = Beat {
            ts,
            received: if received == 0 { ts } else { received },
            stage: frame.code(Column::Stage, row_idx),
            level: frame.code(Column::Level, row_idx),
            file,
            user: frame.code(Column::Username, row_idx),
            class: Class::of(
                frame.code(Column::Resource, row_idx),
                frame.code(Column::Subresource, row_idx),
                vocabulary,
            ),
        };
        let sighting = || RequestColumns::new(frame).request(row_idx).sighting();
        source.pulse.note(&beat, self.gap_us, sighting);
        if frame.code(Column::Username, row_idx) == known::API_SERVER {
            source
                .pulse
                .note_process(frame.code(Column::UserUid, row_idx));
        }
    }

    /// Returns how far sources have come, with their lanes.
    pub(super) fn reached(&self) -> impl Iterator<Item = (u32, i64)> {
        (self.sources.iter()).map(|source| (source.key.0, source.last))
    }

    /// Returns the pulse of each API server, with what the log calls it.
    pub(super) fn pulses(&self, vocabulary: &Vocabulary) -> Vec<(String, &Pulse)> {
        let sources = self.sources.iter();
        sources
            .map(|source| (source.origin(vocabulary), &source.pulse))
            .collect()
    }

    /// Guesses the distribution from what was read so far.
    pub(super) fn distribution(&self, vocabulary: &Vocabulary) -> Option<Guess> {
        let usernames: Vec<&str> = self
            .usernames
            .iter()
            .map(|&code| vocabulary.text(code))
            .collect();
        let agents = self.agents.by_text(vocabulary);
        distribution(&self.envelopes, &usernames, &agents)
    }

    /// Says whether logs are of several clusters: by what their envelopes call those, or by the uids of ServiceAccounts that
    /// every cluster has; `files` are the names of the files.
    fn several_clusters(&self, vocabulary: &Vocabulary, files: &[&str]) -> Option<String> {
        let sources = self.sources.iter();
        let clusters = sources.map(|source| vocabulary.text(source.key.1[0]));
        let clusters: BTreeSet<&str> = clusters.filter(|name| !name.is_empty()).collect();
        // Azure spells the id of a cluster in capitals in one export and in small letters in another.
        let distinct: BTreeMap<String, &str> = clusters
            .into_iter()
            .map(|name| (name.to_lowercase(), name))
            .collect();
        if distinct.len() > 1 {
            let names: Vec<String> = distinct.values().map(|name| format!("`{name}`")).collect();
            return Some(format!(
                "the log is of several clusters, {}",
                listed(&names)
            ));
        }
        let mut lanes: BTreeMap<u32, BTreeMap<&str, BTreeSet<u32>>> = BTreeMap::new();
        for &(lane, name, uid) in &self.accounts {
            let name = vocabulary.text(name);
            if name.starts_with(EVERYWHERE) {
                let uids = lanes.entry(lane).or_default().entry(name).or_default();
                uids.insert(uid);
            }
        }
        let name = |lane: u32| {
            let source = self.sources.iter().find(|source| source.key.0 == lane)?;
            files.get(source.file as usize)
        };
        let mut lanes = lanes.iter();
        let (&first, of_first) = lanes.next()?;
        lanes.find_map(|(&other, of_other)| {
            let shared = of_first.iter().filter_map(|(name, uids)| {
                let others = of_other.get(name)?;
                Some(uids.is_disjoint(others))
            });
            let shared: Vec<bool> = shared.collect();
            let is_foreign = shared.len() >= FOREIGN_MIN && shared.iter().all(|it| *it);
            is_foreign.then(|| {
                let [first, other] = [name(first)?, name(other)?];
                Some(format!(
                    "`{first}` and `{other}` are of different clusters: {} ServiceAccounts of kube-system have the same names and other uids",
                    shared.len()
                ))
            })?
        })
    }

    /// Returns how many events have an agent that was cut.
    pub(super) fn n_cut(&self, vocabulary: &Vocabulary) -> u64 {
        let counts = self.agents.0.iter();
        let cut = counts.filter(|(code, _)| is_cut(vocabulary.text(**code)));
        cut.map(|(_, count)| count).sum()
    }

    /// Returns the report; `files` are the names of the files.
    ///
    /// Files that were left out are not known here.
    pub(super) fn ingest(&self, vocabulary: &Vocabulary, files: &[&str]) -> Ingest {
        let distribution = self.distribution(vocabulary);
        let mut resource_levels: BTreeMap<String, Census> = BTreeMap::new();
        for (&(resource, level), &count) in &self.resource_levels {
            let resource = vocabulary.text(resource);
            if RESOURCES.contains(&resource) {
                let levels = resource_levels.entry(resource.to_owned()).or_default();
                levels.add_n(vocabulary.text(level), count);
            }
        }
        let percent = |part: u64| {
            let share = (part * 100).checked_div(self.events).unwrap_or(0);
            u8::try_from(share).expect("a part is at most the whole")
        };
        let name = |source: &Source| {
            let origin = source.origin(vocabulary);
            if origin.is_empty() {
                files[source.file as usize].to_owned()
            } else {
                origin
            }
        };
        let api_servers = self.sources.iter().map(|source| ApiServer {
            name: name(source),
            events: source.events,
            first: (source.first != 0).then_some(Timestamp(source.first)),
            last: (source.last != 0).then_some(Timestamp(source.last)),
            gaps: source.gaps.clone(),
            n_gaps: source.n_gaps,
        });
        Ingest {
            several_clusters: self.several_clusters(vocabulary, files),
            distribution,
            version: version(&self.agents.by_text(vocabulary)),
            credential_id_percent: percent(self.with_credential_id),
            decision_percent: percent(self.with_decision),
            api_servers: api_servers.collect(),
            stages: self.stages.census(vocabulary),
            levels: self.levels.census(vocabulary),
            verbs: self.verbs.census(vocabulary),
            envelopes: self.envelopes.clone(),
            other_kinds: self.other_kinds.clone(),
            oddities: self.oddities.clone(),
            resource_levels,
            truncated: self.truncated,
            secret_bodies: self.secret_bodies,
            skipped_files: 0,
            skipped_names: Vec::new(),
        }
    }
}

/// What only one kind of cluster writes: in envelopes, in user names, in agents of its own programs.
const MARKS: [(&str, Mark, &str); 17] = [
    ("GKE", Mark::Envelope, "GKE"),
    ("AKS", Mark::Envelope, "AKS"),
    (
        "OpenShift",
        Mark::Namespaces,
        "system:serviceaccount:openshift-",
    ),
    ("EKS", Mark::UserPrefix, "eks:"),
    ("EKS", Mark::UserPrefix, "arn:aws:sts::"),
    ("AKS", Mark::UserPrefix, "aksService"),
    ("AKS", Mark::UserPrefix, "hcpService"),
    ("GKE", Mark::UserPrefix, "system:gke-"),
    ("GKE", Mark::UserPrefix, "system:serviceaccount:gke-"),
    ("RKE2", Mark::Agent, "rke2"),
    ("k3s", Mark::Agent, "k3s"),
    ("k3s", Mark::UserPrefix, "system:k3s-"),
    ("k0s", Mark::Agent, "k0s"),
    ("Talos", Mark::Agent, "talos"),
    ("MicroK8s", Mark::Agent, "microk8s"),
    ("kubeadm", Mark::UserPrefix, "kubernetes-admin"),
    ("kubeadm", Mark::Agent, "kubeadm/"),
];

/// Namespaces of a platform that must be at work: anybody may make one.
const NAMESPACES: usize = 5;

enum Mark {
    Envelope,
    UserPrefix,
    /// `ServiceAccount`s of many namespaces that begin so.
    Namespaces,
    Agent,
}

/// Guesses the distribution. Agents are the client's own words, so they count only if no other mark does.
fn distribution(
    envelopes: &Census,
    usernames: &[&str],
    agents: &BTreeMap<&str, u64>,
) -> Option<Guess> {
    let find = |mark: &Mark, text: &str| match mark {
        Mark::Envelope => envelopes
            .ranked()
            .iter()
            .find(|(name, _)| name.split([' ', '>']).any(|word| word == text))
            .map(|(name, _)| format!("envelope `{name}`")),
        Mark::UserPrefix => usernames
            .iter()
            .filter(|name| name.starts_with(text))
            .min()
            .map(|name| format!("user `{name}`")),
        Mark::Namespaces => {
            let rest = usernames.iter().filter_map(|name| name.strip_prefix(text));
            let namespaces: BTreeSet<&str> =
                rest.filter_map(|rest| rest.split(':').next()).collect();
            (namespaces.len() >= NAMESPACES).then(|| {
                format!(
                    "ServiceAccounts in {} namespaces `{text}...`",
                    namespaces.len()
                )
            })
        }
        Mark::Agent => agents
            .keys()
            .find(|agent| agent.starts_with(text))
            .map(|agent| format!("user agent `{agent}`")),
    };
    MARKS.iter().find_map(|(name, mark, text)| {
        Some(Guess {
            name: (*name).to_owned(),
            evidence: find(mark, text)?,
        })
    })
}

/// Reads the version from what the API server calls itself where it is its own client.
fn version(agents: &BTreeMap<&str, u64>) -> Option<Guess> {
    const PREFIX: &str = "kube-apiserver/v";
    let own = agents.iter().filter(|(agent, _)| agent.starts_with(PREFIX));
    let (agent, _) = own.max_by_key(|&(agent, &count)| (count, *agent))?;
    let version = agent[PREFIX.len() - 1..].split([' ', '/']).next()?;
    Some(Guess {
        name: version.to_owned(),
        evidence: format!("user agent `{agent}`"),
    })
}
