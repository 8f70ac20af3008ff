//! One entry per credential, in the order of first use.

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::Deaths;
use crate::detect::request::{Request, Sighting};
use crate::detect::templates::Templates;
use crate::frame::{NULL, Vocabulary};

/// How many distinct paths a use remembers, to recognise the same program by what it asks for.
const PATHS: usize = 32;

/// Every credential of the log.
///
/// Memory: one entry per credential, one [`Use`] per address and agent it came from.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Kept")]
pub struct Ledger {
    entries: Vec<Entry>,
    #[serde(skip)]
    by_credential: HashMap<u32, u32>,
    #[serde(skip)]
    by_username: HashMap<u32, Vec<u32>>,
    #[serde(skip)]
    by_pod: HashMap<u32, Vec<u32>>,
    /// Where an entry's use of an address and agent stands.
    #[serde(skip)]
    by_use: HashMap<(u32, u32, u32), usize>,
    /// Which entries came from an address with an agent, in the order in which they did: where a refused one may belong.
    by_client: HashMap<(u32, u32), Vec<u32>>,
    usernames_by_peer: HashMap<u32, Vec<u32>>,
    /// By user: addresses of Pods whose tokens were forgotten.
    former_places: HashMap<u32, BTreeSet<u32>>,
}

/// What of a ledger is written: the rest follows from the entries.
#[derive(Deserialize)]
struct Kept {
    entries: Vec<Entry>,
    by_client: HashMap<(u32, u32), Vec<u32>>,
    usernames_by_peer: HashMap<u32, Vec<u32>>,
    former_places: HashMap<u32, BTreeSet<u32>>,
}

impl From<Kept> for Ledger {
    fn from(kept: Kept) -> Self {
        let Kept {
            entries,
            by_client,
            usernames_by_peer,
            former_places,
        } = kept;
        let mut ledger = Self {
            entries,
            by_client,
            usernames_by_peer,
            former_places,
            ..Self::default()
        };
        ledger.index();
        ledger
    }
}

/// One credential; codes belong to the run's vocabulary, times are microseconds UTC.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// The best key the log offers (column `credential`).
    pub credential: u32,
    /// Its method (column `credential_kind`).
    pub kind: u32,
    /// Whose it is.
    pub username: u32,
    /// Uid of the owner.
    pub user_uid: u32,
    /// The Pod it is bound to.
    pub token_pod: u32,
    /// Uid of that Pod.
    pub token_pod_uid: u32,
    /// The node on which it runs.
    pub token_node: u32,
    /// First use.
    pub first: i64,
    /// Last use.
    pub last: i64,
    /// Requests.
    pub count: u64,
    /// Uses by address and agent, in order of first use.
    pub uses: Vec<Use>,
}

/// A credential used from one address by one program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Use {
    /// Address of the connection.
    pub peer: u32,
    /// User agent.
    pub agent: u32,
    /// First use.
    pub first: i64,
    /// Last use.
    pub last: i64,
    /// When its latest request was received.
    pub last_received: i64,
    /// Requests.
    pub count: u64,
    /// The request that came first.
    pub sighting: Sighting,
    paths: Vec<u32>,
    /// Templates of which there was a request that was served: their paths are noted.
    #[serde(skip)]
    templates: Templates<()>,
}

/// What is older is forgotten: times, in microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Horizons {
    /// Of tokens that were replaced.
    pub replaced: i64,
    /// Of tokens whose Pod is gone.
    pub orphaned: i64,
    /// Of all others.
    pub over: i64,
}

impl Entry {
    /// Takes in what a later token of the same Pod did.
    fn absorb(&mut self, later: Self) {
        self.first = self.first.min(later.first);
        self.last = self.last.max(later.last);
        self.count += later.count;
        for used in later.uses {
            let is_same = |known: &&mut Use| (known.peer, known.agent) == (used.peer, used.agent);
            match self.uses.iter_mut().find(is_same) {
                Some(known) => known.absorb(used),
                None => self.uses.push(used),
            }
        }
    }
}

impl Use {
    fn absorb(&mut self, later: Self) {
        self.first = self.first.min(later.first);
        self.last = self.last.max(later.last);
        self.last_received = self.last_received.max(later.last_received);
        self.count += later.count;
        for path in later.paths {
            self.note(path);
        }
    }

    fn note(&mut self, path: u32) {
        if self.paths.len() < PATHS && !self.paths.contains(&path) {
            self.paths.push(path);
        }
    }

    /// Returns whether the same path was served here before, as far as this use remembers.
    pub fn was_served(&self, path: &str) -> bool {
        self.paths.contains(&path_key(path))
    }
}

/// Returns half a hash: it is compared with [`PATHS`] others at most.
fn path_key(path: &str) -> u32 {
    (xxhash_rust::xxh3::xxh3_64(path.as_bytes()) >> 32) as u32
}

impl Ledger {
    /// Enters one request whose credential was accepted.
    pub fn enter(&mut self, request: &Request<'_>) {
        let credential = request.credential();
        let known = self.by_credential.get(&credential).copied();
        let index = known.unwrap_or_else(|| {
            let index = u32::try_from(self.entries.len()).expect("fewer than 2^32 credentials");
            self.entries.push(Entry {
                credential,
                kind: request.credential_kind(),
                username: request.username(),
                user_uid: request.user_uid(),
                token_pod: request.token_pod(),
                token_pod_uid: request.token_pod_uid(),
                token_node: request.token_node(),
                first: request.ts,
                last: request.ts,
                count: 0,
                // Most have one, and grown from nothing there would be room for four.
                uses: Vec::with_capacity(1),
            });
            self.refer(index);
            index
        });
        let entry = &mut self.entries[index as usize];
        entry.first = entry.first.min(request.ts);
        entry.last = entry.last.max(request.ts);
        entry.count += 1;
        let (peer, agent) = (request.peer_ip(), request.user_agent());
        let at = *self.by_use.entry((index, peer, agent)).or_insert_with(|| {
            self.by_client.entry((peer, agent)).or_default().push(index);
            let usernames = self.usernames_by_peer.entry(peer).or_default();
            if !usernames.contains(&request.username()) {
                usernames.push(request.username());
            }
            entry.uses.push(Use {
                peer,
                agent,
                first: request.ts,
                last: request.ts,
                last_received: request.received,
                count: 0,
                sighting: request.sighting(),
                paths: Vec::new(),
                templates: Templates::default(),
            });
            entry.uses.len() - 1
        });
        let used = &mut entry.uses[at];
        used.first = used.first.min(request.ts);
        used.last = used.last.max(request.ts);
        used.last_received = used.last_received.max(request.received);
        used.count += 1;
        if used.paths.len() < PATHS
            && request.succeeded()
            && used.templates.get(request.template).is_none()
        {
            used.note(path_key(request.path()));
            used.templates.insert(request.template, ());
        }
    }

    /// Forgets credentials that can vouch for nothing any more, but for those in `needed` and the latest of each user, which
    /// says where that user is at home:
    ///
    /// - what was not used since `over` and died before, as deaths are remembered elsewhere, and tokens that are known by
    ///   an id of their own, as they have expired;
    /// - tokens of a Pod that were not used since `orphaned`, before which it was deleted;
    /// - tokens of a Pod that were not used since `replaced`, while a newer one of that Pod was. What they did becomes part
    ///   of the Pod's first token, so that it stays known where the Pod was.
    pub fn forget(
        &mut self,
        Horizons {
            replaced,
            orphaned,
            over,
        }: Horizons,
        deaths: &Deaths,
        needed: &HashSet<u32>,
        vocabulary: &Vocabulary,
    ) {
        if self.entries.iter().all(|entry| entry.last >= replaced) {
            return;
        }
        let mut of_user = HashMap::new();
        // Of each Pod the first token that nobody needs as it is, and the last use of all.
        let mut of_pod: HashMap<u32, (Option<usize>, i64)> = HashMap::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let latest = of_user.entry(entry.username).or_insert(entry.last);
            *latest = entry.last.max(*latest);
            if entry.token_pod_uid != NULL {
                let pod = of_pod.entry(entry.token_pod_uid);
                let (first, latest) = pod.or_insert((None, entry.last));
                *latest = entry.last.max(*latest);
                if !needed.contains(&entry.credential) {
                    first.get_or_insert(index);
                }
            }
        }
        let is_over = |entry: &Entry| {
            let (end, before) = match deaths.of(entry.credential) {
                Some((_, death)) if death.is_of_pod() => (death.ts, orphaned),
                Some((_, death)) => (death.ts, over),
                None if vocabulary.text(entry.credential).starts_with("JTI=") => (i64::MIN, over),
                None => return false,
            };
            end.max(entry.last) < before && entry.last < of_user[&entry.username]
        };
        let mut numbers: Vec<Option<usize>> = Vec::with_capacity(self.entries.len());
        let mut left: Vec<Entry> = Vec::with_capacity(self.entries.len());
        for entry in std::mem::take(&mut self.entries) {
            let first = of_pod
                .get(&entry.token_pod_uid)
                .filter(|(_, latest)| entry.last < replaced.min(*latest))
                .and_then(|&(first, _)| *numbers.get(first?)?);
            numbers.push(if needed.contains(&entry.credential) {
                left.push(entry);
                Some(left.len() - 1)
            } else if is_over(&entry) {
                if entry.token_pod_uid != NULL {
                    let places = self.former_places.entry(entry.username).or_default();
                    places.extend(entry.uses.iter().map(|used| used.peer));
                }
                None
            } else if let Some(first) = first {
                left[first].absorb(entry);
                Some(first)
            } else {
                left.push(entry);
                Some(left.len() - 1)
            });
        }
        let is_as_before = left.len() == numbers.len();
        self.entries = left;
        if is_as_before {
            return;
        }
        self.by_client.retain(|_, indices| {
            let number = |index: &u32| u32::try_from(numbers[*index as usize]?).ok();
            let mut known = HashSet::new();
            *indices = (indices.iter().filter_map(number))
                .filter(|number| known.insert(*number))
                .collect();
            !indices.is_empty()
        });
        self.index();
    }

    /// Makes anew what follows from the entries.
    fn index(&mut self) {
        self.by_credential.clear();
        self.by_username.clear();
        self.by_pod.clear();
        self.by_use.clear();
        self.by_credential.reserve(self.entries.len());
        self.by_use.reserve(self.entries.len());
        for index in (0..).take(self.entries.len()) {
            self.refer(index);
        }
    }

    /// Makes an entry known by its credential, user and Pod, and by its uses.
    fn refer(&mut self, index: u32) {
        let entry = &self.entries[index as usize];
        self.by_credential.insert(entry.credential, index);
        let of_username = self.by_username.entry(entry.username).or_default();
        of_username.push(index);
        if entry.token_pod != NULL {
            self.by_pod.entry(entry.token_pod).or_default().push(index);
        }
        for (at, used) in entry.uses.iter().enumerate() {
            self.by_use.insert((index, used.peer, used.agent), at);
        }
    }

    /// Returns all entries in order of first use.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the entry of a credential.
    pub fn entry(&self, credential: u32) -> Option<&Entry> {
        self.by_credential
            .get(&credential)
            .map(|&index| &self.entries[index as usize])
    }

    /// Returns the entries of a user.
    pub fn of_username(&self, username: u32) -> impl Iterator<Item = &Entry> {
        self.at(self.by_username.get(&username))
    }

    /// Returns where Pods of a user were, of which no entry tells any more.
    pub fn former_places(&self, username: u32) -> impl Iterator<Item = u32> {
        self.former_places
            .get(&username)
            .into_iter()
            .flatten()
            .copied()
    }

    /// Returns the entries of tokens bound to a Pod of that name, in whatever namespace.
    pub fn of_pod(&self, pod: u32) -> impl Iterator<Item = &Entry> {
        self.at(self.by_pod.get(&pod))
    }

    /// Returns the entries that came from that address with that agent.
    pub fn of_client(&self, peer: u32, agent: u32) -> impl Iterator<Item = &Entry> {
        self.at(self.by_client.get(&(peer, agent)))
    }

    fn at(&self, indices: Option<&Vec<u32>>) -> impl Iterator<Item = &Entry> {
        let indices = indices.map_or(&[][..], Vec::as_slice);
        indices.iter().map(|&index| &self.entries[index as usize])
    }

    /// Returns the users that came from that address.
    pub fn usernames_of(&self, peer: u32) -> &[u32] {
        self.usernames_by_peer.get(&peer).map_or(&[], Vec::as_slice)
    }

    /// Returns the users that came from that address and are nodes.
    pub fn nodes_at<'l>(
        &'l self,
        peer: u32,
        vocabulary: &'l Vocabulary,
    ) -> impl Iterator<Item = u32> + 'l {
        let users = self.usernames_of(peer).iter().copied();
        users.filter(|&user| vocabulary.text(user).starts_with("system:node:"))
    }

    /// Returns whether so many users come from `peer` that it stands for none of them: a NAT gateway,
    /// a load balancer, an API proxy or the control plane itself.
    pub fn is_shared_peer(&self, peer: u32, least_users: usize) -> bool {
        let users = self.usernames_of(peer).len();
        users >= least_users && users * 10 >= self.by_username.len() && peer != NULL
    }

    /// Returns how many addresses credentials were used from.
    pub fn peers(&self) -> usize {
        self.usernames_by_peer.len()
    }

    /// Returns the busiest address by users, with its users and the users of the whole log.
    pub fn busiest_peer<'v>(&self, vocabulary: &'v Vocabulary) -> Option<(&'v str, usize, usize)> {
        let by_peer = self.usernames_by_peer.values();
        let all: HashSet<u32> = by_peer.flatten().copied().collect();
        self.usernames_by_peer
            .iter()
            .map(|(&peer, users)| (vocabulary.text(peer), users.len(), all.len()))
            .max_by_key(|&(peer, users, _)| (users, std::cmp::Reverse(peer)))
    }
}
