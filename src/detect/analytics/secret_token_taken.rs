//! `secret-token-taken`: somebody read a token's Secret, and the token came up where it had never been.
//!
//! A token that lives in a Secret is whoever's who reads that Secret. The new place alone may be a new holder by
//! agreement, and the read alone is daily work; together they name who handed the token on. Who read which Secret is kept
//! until the end, and looked up in the ledger there, which knows such a token by its Secret (Kubernetes 1.27 and later).

use std::collections::BTreeMap;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::address::is_public;
use super::custody::{Sum, distinct};
use super::{Context, Draft, begins, counted, lasting, listed};
use crate::credential::{Entry, Ledger, Use};
use crate::detect::request::{Request, Sighting};
use crate::finding::{Finding, Severity, Timestamp};
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct SecretTokenTaken {
    meta: RuleMeta,
    within_us: i64,
    shared_peer_users: usize,
    /// How user agents of tools begin.
    by_hand: Vec<String>,
    /// By namespace and name; lists of several have no name, and those of all namespaces no namespace.
    read: HashMap<u32, HashMap<Box<str>, Vec<Reader>>>,
    n_read: usize,
}

remembers!(SecretTokenTaken: [read, n_read], anew [meta, within_us, shared_peer_users, by_hand]);

/// Somebody who read Secrets from an address: the first time and the latest.
#[derive(Clone, Serialize, Deserialize)]
struct Reader {
    user: u32,
    peer: u32,
    is_person: bool,
    first: Sighting,
    last: Sighting,
}

impl Reader {
    /// Returns the latest read before a time, as far as it is known.
    fn before(&self, ts: i64) -> Option<&Sighting> {
        let mut reads = [&self.last, &self.first].into_iter();
        reads.find(|read| read.ts <= ts)
    }
}

/// A token that came up where it had never been.
struct Taken<'l> {
    entry: &'l Entry,
    used: &'l Use,
    reader: u32,
    read: &'l Sighting,
    /// Whether the reader came from that address, too.
    is_at_reader: bool,
}

/// Secrets that are remembered, and how many of those who read one.
const SECRETS: usize = 8192;
const READERS: usize = 16;

/// A holder that was there before must have gone on for so long.
const GOES_ON_US: i64 = 30_000_000;

impl SecretTokenTaken {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            within_us: parameters.duration_us("within")?,
            shared_peer_users: parameters.count("shared_peer_users")? as usize,
            by_hand: parameters.strings("by_hand")?,
            read: HashMap::new(),
            n_read: 0,
        })
    }

    /// Takes in one request on Secrets.
    pub fn observe(&mut self, request: &Request<'_>, vocabulary: &Vocabulary) {
        // Nodes read what they mount; the control plane makes the tokens.
        let is_of_cluster = [known::NODE, known::COMPONENT].contains(&request.identity_kind());
        let reads = matches!(vocabulary.text(request.verb()), "get" | "list");
        if !reads || is_of_cluster || request.peer_ip() == NULL || !request.succeeded() {
            return;
        }
        let of_namespace = self.read.entry(request.namespace()).or_default();
        let readers = match of_namespace.get_mut(request.name()) {
            Some(readers) => readers,
            None if self.n_read >= SECRETS => return,
            None => {
                self.n_read += 1;
                of_namespace.entry(request.name().into()).or_default()
            }
        };
        let (user, peer) = (request.username(), request.peer_ip());
        let mut known = readers.iter_mut();
        if let Some(known) = known.find(|it| (it.user, it.peer) == (user, peer)) {
            known.last = request.sighting();
        } else if readers.len() < READERS {
            readers.push(Reader {
                user,
                peer,
                is_person: request.identity_kind() == known::USER,
                first: request.sighting(),
                last: request.sighting(),
            });
        }
    }

    /// Forgets what was read before a time.
    pub fn forget(&mut self, before: i64) {
        self.n_read = 0;
        for of_namespace in self.read.values_mut() {
            of_namespace.retain(|_, readers| {
                readers.retain(|reader| reader.last.ts >= before);
                !readers.is_empty()
            });
            self.n_read += of_namespace.len();
        }
        self.read.retain(|_, of_namespace| !of_namespace.is_empty());
    }

    /// Draws the findings: one for each token and who read it.
    pub fn finish(self, context: &Context<'_>, ledger: &Ledger) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let mut taken: BTreeMap<[&str; 2], Vec<Taken<'_>>> = BTreeMap::new();
        for entry in ledger.entries() {
            let key = vocabulary.text(entry.credential);
            let Some(secret) = key.strip_prefix("secret:") else {
                continue;
            };
            for used in entry.uses.iter().filter(|used| is_new(used, entry)) {
                if let Some(found) = self.taken(secret, entry, used, ledger, vocabulary) {
                    let reader = vocabulary.text(found.reader);
                    taken.entry([secret, reader]).or_default().push(found);
                }
            }
        }
        let taken = taken.iter();
        taken
            .map(|(&[secret, reader], found)| self.finding(secret, reader, found, context))
            .collect()
    }

    /// Returns who read the Secret last before its token came up at a new address, and could have brought it there.
    fn taken<'l>(
        &'l self,
        secret: &str,
        entry: &'l Entry,
        used: &'l Use,
        ledger: &Ledger,
        vocabulary: &Vocabulary,
    ) -> Option<Taken<'l>> {
        if ledger.is_shared_peer(used.peer, self.shared_peer_users) {
            return None;
        }
        let (namespace, name) = secret.split_once('/')?;
        let namespace = vocabulary.find(namespace).unwrap_or(NULL);
        let readers = [(namespace, name), (namespace, ""), (NULL, "")];
        let readers = readers.into_iter().flat_map(|(namespace, name)| {
            let of_namespace = self.read.get(&namespace);
            let readers = of_namespace.and_then(|secrets| secrets.get(name));
            readers
                .into_iter()
                .flatten()
                .map(move |reader| (reader, !name.is_empty()))
        });
        // A further Pod of the same program is a new address, too; tools are the same everywhere.
        let mut others = entry.uses.iter().filter(|other| other.peer != used.peer);
        let is_moved_by_hand = begins(vocabulary.text(used.agent), &self.by_hand)
            && earlier(entry, used.first, vocabulary).len() == 1;
        let is_foreign = is_moved_by_hand || !others.any(|other| other.agent == used.agent);
        let found = readers.filter_map(|(reader, is_named)| {
            let read = reader.before(used.first)?;
            let is_at_reader = ledger.usernames_of(used.peer).contains(&reader.user);
            let is_likely = is_at_reader || (is_named && reader.is_person && is_foreign);
            let is_recent = used.first - read.ts <= self.within_us;
            (is_likely && is_recent && reader.user != entry.username).then_some(Taken {
                entry,
                used,
                reader: reader.user,
                read,
                is_at_reader,
            })
        });
        found.max_by_key(|taken| (taken.is_at_reader, taken.read.ts))
    }

    fn finding(
        &self,
        secret: &str,
        reader: &str,
        taken: &[Taken<'_>],
        context: &Context<'_>,
    ) -> Finding {
        let vocabulary = context.vocabulary;
        let mut sum = Sum::default();
        for found in taken {
            sum.add_sighting(found.read);
            sum.add(found.used);
        }
        let tally = sum.tally(context);
        let peers = distinct(taken.iter().map(|found| found.used.peer), vocabulary);
        let agents = distinct(taken.iter().map(|found| found.used.agent), vocabulary);
        let first = taken[0].used.first;
        let read = taken[0].read.ts;
        let entry = taken[0].entry;
        let account = vocabulary.text(entry.username);
        let mut draft = Draft::new(
            &self.meta,
            vec![secret.to_owned(), reader.to_owned()],
            &tally,
        );
        let requests = taken.iter().map(|found| found.used.count).sum();
        draft.summary = format!(
            "`{reader}` read the Secret `{secret}`, and {} later its token (`{account}`) was used from {}, where it had never been: {} with {}",
            lasting(first - read),
            listed(&peers),
            counted(requests, "request"),
            listed(&agents),
        );
        draft.why = vec![
            format!("read at {}", Timestamp(read)),
            format!("first used there at {}", Timestamp(first)),
            format!(
                "earlier holders go on: {}",
                listed(&earlier(entry, first, vocabulary))
            ),
        ];
        let is_at_reader = taken.iter().any(|found| found.is_at_reader);
        if is_at_reader {
            draft.why.push(format!("`{reader}` came from there, too"));
        }
        if is_at_reader || peers.iter().any(|peer| is_public(peer)) {
            draft.severity = Severity::High;
        }
        let mut finding = sum.finish(draft, vocabulary);
        finding.actor.username = Some(reader.to_owned());
        finding.ties.usernames = vec![reader.to_owned(), account.to_owned()];
        finding.ties.credentials = vec![vocabulary.text(entry.credential).to_owned()];
        finding
    }
}

/// Returns whether a token came up at an address while who had held it before went on elsewhere.
fn is_new(used: &Use, entry: &Entry) -> bool {
    let mut others = entry.uses.iter().filter(|other| other.peer != used.peer);
    let here = entry.uses.iter().filter(|other| other.peer == used.peer);
    let is_first_here = here.map(|other| other.first).min() == Some(used.first);
    is_first_here
        && used.first > entry.first
        && others
            .any(|other| other.first < used.first && other.last_received > used.first + GOES_ON_US)
}

/// Returns the addresses at which a token had been before.
fn earlier(entry: &Entry, before: i64, vocabulary: &Vocabulary) -> Vec<String> {
    let earlier = entry.uses.iter().filter(|used| used.first < before);
    distinct(earlier.map(|used| used.peer), vocabulary)
}
