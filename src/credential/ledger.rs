//! One entry per credential, in the order of first use.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::Deaths;
use crate::detect::request::{Request, Sighting};
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
}

/// What of a ledger is written: the rest follows from the entries.
#[derive(Deserialize)]
struct Kept {
    entries: Vec<Entry>,
    by_client: HashMap<(u32, u32), Vec<u32>>,
    usernames_by_peer: HashMap<u32, Vec<u32>>,
}

impl From<Kept> for Ledger {
    fn from(kept: Kept) -> Self {
        let Kept {
            entries,
            by_client,
            usernames_by_peer,
        } = kept;
        let mut ledger = Self {
            entries,
            by_client,
            usernames_by_peer,
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
    paths: Vec<u64>,
}

impl Use {
    /// Returns whether the same path was served here before, as far as this use remembers.
    pub fn was_served(&self, path: &str) -> bool {
        self.paths.contains(&path_key(path))
    }
}

fn path_key(path: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(path.as_bytes())
}

impl Ledger {
    /// Enters one request whose credential was accepted.
    pub fn enter(&mut self, request: &Request<'_>) {
        let credential = request.credential();
        let index = *self.by_credential.entry(credential).or_insert_with(|| {
            let index = u32::try_from(self.entries.len()).expect("fewer than 2^32 credentials");
            self.entries.push(Entry {
                credential,
                kind: request.credential_kind(),
                username: request.username(),
                user_uid: request.user_uid(),
                token_pod: request.token_pod(),
                token_pod_uid: request.token_pod_uid(),
                first: request.ts,
                last: request.ts,
                count: 0,
                uses: Vec::new(),
            });
            self.by_username
                .entry(request.username())
                .or_default()
                .push(index);
            if request.token_pod() != NULL {
                self.by_pod
                    .entry(request.token_pod())
                    .or_default()
                    .push(index);
            }
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
            });
            entry.uses.len() - 1
        });
        let used = &mut entry.uses[at];
        used.first = used.first.min(request.ts);
        used.last = used.last.max(request.ts);
        used.last_received = used.last_received.max(request.received);
        used.count += 1;
        if used.paths.len() < PATHS && request.succeeded() {
            let key = path_key(request.path());
            if !used.paths.contains(&key) {
                used.paths.push(key);
            }
        }
    }

    /// Forgets what was not used since `before` and can vouch for nothing any more: credentials that died before, whose
    /// deaths are remembered elsewhere and for good, and tokens of Pods that were replaced by newer ones of the same Pod.
    /// The latest entry of each user stays, since it says where that user is at home, and so do all credentials that
    /// may yet die.
    pub fn forget(&mut self, before: i64, deaths: &Deaths) {
        if self.entries.iter().all(|entry| entry.last >= before) {
            return;
        }
        let (mut of_user, mut of_pod) = (HashMap::new(), HashMap::new());
        for entry in &self.entries {
            let latest = of_user.entry(entry.username).or_insert(entry.last);
            *latest = entry.last.max(*latest);
            let latest = of_pod.entry(entry.token_pod_uid).or_insert(entry.last);
            *latest = entry.last.max(*latest);
        }
        let is_over = |entry: &Entry| {
            let is_spent = match deaths.of(entry.credential) {
                Some((_, death)) => death.ts < before,
                None => entry.token_pod_uid != NULL && entry.last < of_pod[&entry.token_pod_uid],
            };
            is_spent && entry.last < before && entry.last < of_user[&entry.username]
        };
        let mut numbers = Vec::with_capacity(self.entries.len());
        let mut left = 0;
        self.entries.retain(|entry| {
            let stays = !is_over(entry);
            numbers.push(stays.then_some(left));
            left += u32::from(stays);
            stays
        });
        self.by_client.retain(|_, indices| {
            *indices = (indices.iter())
                .filter_map(|&index| numbers[index as usize])
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
        for (index, entry) in (0..).zip(&self.entries) {
            self.by_credential.insert(entry.credential, index);
            let of_user = self.by_username.entry(entry.username).or_default();
            of_user.push(index);
            if entry.token_pod != NULL {
                self.by_pod.entry(entry.token_pod).or_default().push(index);
            }
            for (at, used) in entry.uses.iter().enumerate() {
                self.by_use.insert((index, used.peer, used.agent), at);
            }
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
        self.usernames_by_peer
            .iter()
            .map(|(&peer, users)| (vocabulary.text(peer), users.len(), self.by_username.len()))
            .max_by_key(|&(peer, users, _)| (users, std::cmp::Reverse(peer)))
    }
}
