//! `secret-token-lifecycle`: tokens that live in Secrets and never expire.
//!
//! What a Secret holds is not in the log at level Metadata, but what happens to it is: the tokens controller
//! fills a token Secret right after its creation, as `system:kube-controller-manager`, and the API server
//! notes the first use of each day on it (kubernetes/kubernetes `pkg/serviceaccount/legacy.go`). Each use names
//! the Secret, or, before Kubernetes 1.27, the `ServiceAccount`.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::custody::{Sum, Superusers};
use super::{Context, Draft, counted, lasting, listed};
use crate::credential::{Entry, Ledger};
use crate::detect::request::{Request, Sighting};
use crate::finding::{Finding, Timestamp};
use crate::frame::Vocabulary;
use crate::frame::vocabulary::known;
use crate::memory::remembers;
use crate::rules::RuleMeta;

/// State of the analytic.
#[derive(Clone)]
pub struct SecretToken {
    meta: RuleMeta,
    superuser: RuleMeta,
    /// Secrets just made, which may turn out to hold a token.
    young: VecDeque<(i64, String, Made)>,
    /// Secrets that hold a token, by the ledger's key.
    secrets: BTreeMap<String, Secret>,
}

remembers!(SecretToken: [young, secrets], anew [meta, superuser]);

#[derive(Clone, Default, Serialize, Deserialize)]
struct Secret {
    made: Option<Made>,
    deleted: Option<(u32, i64)>,
    first_use: Option<i64>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Made {
    by: u32,
    sighting: Sighting,
    by_controller: bool,
}

/// How long after its creation a Secret is filled with a token, at the most.
const FILLED_US: i64 = 30_000_000;

/// How many Secrets may be young at once.
const YOUNG: usize = 1024;

const LINES: usize = 20;

const TOKENS_CONTROLLER: &str = "system:kube-controller-manager";

const TYPE: &[u8] = b"kubernetes.io/service-account-token";

impl SecretToken {
    /// Starts with nothing.
    pub fn new(meta: &RuleMeta, superuser: &RuleMeta) -> Self {
        Self {
            meta: meta.clone(),
            superuser: superuser.clone(),
            young: VecDeque::new(),
            secrets: BTreeMap::new(),
        }
    }

    /// Takes in a request on a Secret; `body` is asked for what a creation sent.
    pub fn observe<'b>(
        &mut self,
        request: &Request<'_>,
        body: impl FnOnce() -> &'b str,
        vocabulary: &Vocabulary,
    ) {
        let verb = request.verb();
        let writes = [known::CREATE, known::UPDATE, known::PATCH, known::DELETE].contains(&verb);
        if !writes || !request.succeeded() || request.name().is_empty() {
            return;
        }
        let user = vocabulary.text(request.username());
        let namespace = vocabulary.text(request.namespace());
        let key = || format!("secret:{namespace}/{}", request.name());
        if verb == known::CREATE {
            let made = Made {
                by: request.username(),
                sighting: request.sighting(),
                by_controller: user == TOKENS_CONTROLLER,
            };
            let is_token = (made.by_controller && request.name().contains("-token-"))
                || memchr::memmem::find(body().as_bytes(), TYPE).is_some();
            if is_token {
                self.secrets.entry(key()).or_default().made = Some(made);
            } else {
                self.expect(request.ts, key(), made);
            }
        } else if verb == known::UPDATE && user == TOKENS_CONTROLLER {
            self.filled(&key());
        } else if verb == known::PATCH && user == "system:apiserver" {
            let secret = self.secrets.entry(key()).or_default();
            secret.first_use.get_or_insert(request.ts);
        } else if verb == known::DELETE
            && let Some(secret) = self.secrets.get_mut(&key())
        {
            secret.deleted = Some((request.username(), request.ts));
        }
    }

    fn expect(&mut self, ts: i64, key: String, made: Made) {
        while self
            .young
            .front()
            .is_some_and(|(old, ..)| *old < ts - FILLED_US)
            || self.young.len() >= YOUNG
        {
            self.young.pop_front();
        }
        self.young.push_back((ts, key, made));
    }

    fn filled(&mut self, key: &str) {
        let Some(at) = self.young.iter().position(|(_, young, _)| young == key) else {
            return;
        };
        let (_, key, made) = self.young.remove(at).expect("it was just found");
        self.secrets.entry(key).or_default().made = Some(made);
    }

    /// Draws the findings; `superusers` are those who may do everything.
    pub fn finish(
        self,
        context: &Context<'_>,
        ledger: &Ledger,
        superusers: &Superusers,
    ) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let used: BTreeMap<&str, &Entry> = ledger
            .entries()
            .iter()
            .filter(|entry| entry.kind == known::LEGACY_TOKEN)
            .map(|entry| (vocabulary.text(entry.credential), entry))
            .collect();
        let mut findings = self.rises(&used, superusers, context);
        findings.extend(self.inventory(&used, context));
        findings
    }

    /// Says who, being none, made a Secret with the token of a superuser, which was used.
    fn rises(
        &self,
        used: &BTreeMap<&str, &Entry>,
        superusers: &Superusers,
        context: &Context<'_>,
    ) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let made = self.secrets.iter().filter_map(|(key, secret)| {
            let made = secret.made.as_ref().filter(|made| !made.by_controller)?;
            Some((key, made, *used.get(&**key)?))
        });
        let is_rise = |(_, made, entry): &(&String, &Made, &Entry)| {
            let [by, account] = [made.by, entry.username].map(|code| vocabulary.text(code));
            superusers.is_rise(by, account, made.sighting.ts)
        };
        let findings = made.filter(is_rise).map(|(key, made, entry)| {
            let (by, account) = (vocabulary.text(made.by), vocabulary.text(entry.username));
            let secret = key.trim_start_matches("secret:");
            let mut sum = Sum::default();
            sum.add_sighting(&made.sighting);
            entry.uses.iter().for_each(|used| sum.add(used));
            let tally = sum.tally(context);
            let group = vec![by.to_owned(), account.to_owned(), secret.to_owned()];
            let mut draft = Draft::new(&self.superuser, group, &tally);
            let peers = unique(entry.uses.iter().map(|used| vocabulary.text(used.peer)));
            draft.summary = format!(
                "`{by}` made the Secret `{secret}` with a token of `{account}`, which may do everything in the cluster; it was used from {}",
                listed(&peers),
            );
            draft.why = Superusers::why(by, account);
            let mut finding = sum.finish(draft, vocabulary);
            finding.actor.username = Some(by.to_owned());
            finding.ties.usernames = vec![by.to_owned(), account.to_owned()];
            finding.ties.credentials = vec![key.clone()];
            finding
        });
        findings.collect()
    }

    /// Lists all such tokens, if there are any.
    fn inventory(
        mut self,
        used: &BTreeMap<&str, &Entry>,
        context: &Context<'_>,
    ) -> Option<Finding> {
        let vocabulary = context.vocabulary;
        // Before 1.24 each ServiceAccount had one by itself: only those in use are worth a word.
        let is_own = |secret: &Secret| secret.made.as_ref().is_some_and(|made| made.by_controller);
        self.secrets.retain(|key, secret| {
            used.contains_key(&**key) || secret.first_use.is_some() || !is_own(secret)
        });
        for key in used.keys() {
            self.secrets.entry((*key).to_owned()).or_default();
        }
        if self.secrets.is_empty() {
            return None;
        }
        let mut sum = Sum::default();
        for (key, secret) in &self.secrets {
            if let Some(made) = &secret.made {
                sum.add_sighting(&made.sighting);
            }
            for used in used.get(&**key).into_iter().flat_map(|entry| &entry.uses) {
                sum.add(used);
            }
        }
        let made = self
            .secrets
            .values()
            .filter(|secret| secret.made.is_some())
            .count();
        let is_idle = |(key, secret): &(&String, &Secret)| {
            secret.made.is_some() && secret.first_use.is_none() && !used.contains_key(&***key)
        };
        let idle = self.secrets.iter().filter(is_idle).count();
        let tally = sum.tally(context);
        let mut draft = Draft::new(&self.meta, Vec::new(), &tally);
        draft.summary = format!(
            "{}: {} used in this log, {made} made in it, {idle} of those never used",
            counted(self.secrets.len() as u64, "long-lived Secret token"),
            used.len(),
        );
        draft.why = self
            .secrets
            .iter()
            .take(LINES)
            .map(|(key, secret)| line(key, secret, used.get(&**key).copied(), vocabulary))
            .collect();
        if self.secrets.len() > LINES {
            draft
                .why
                .push(format!("and {} more", self.secrets.len() - LINES));
        }
        Some(sum.finish(draft, vocabulary))
    }
}

/// Says what became of one token.
fn line(key: &str, secret: &Secret, used: Option<&Entry>, vocabulary: &Vocabulary) -> String {
    let mut parts = Vec::new();
    if let Some(made) = &secret.made {
        let by = vocabulary.text(made.by);
        parts.push(format!("made by {by} at {}", Timestamp(made.sighting.ts)));
    }
    match (used, secret.first_use) {
        (Some(entry), _) => {
            let peers: Vec<String> =
                unique(entry.uses.iter().map(|used| vocabulary.text(used.peer)));
            parts.push(format!(
                "used by {} {} times over {} from {}, last at {}",
                vocabulary.text(entry.username),
                entry.count,
                lasting(entry.last - entry.first),
                listed(&peers),
                Timestamp(entry.last),
            ));
        }
        (None, Some(ts)) => parts.push(format!(
            "in use at {}, by the API server's note",
            Timestamp(ts)
        )),
        (None, None) => parts.push("never used in this log".to_owned()),
    }
    if let Some((by, ts)) = secret.deleted {
        parts.push(format!(
            "deleted by {} at {}",
            vocabulary.text(by),
            Timestamp(ts)
        ));
    }
    let name = match key.split_once(':') {
        Some(("secret", name)) => format!("Secret {name}"),
        _ => "Secret not named".to_owned(),
    };
    format!("{name}: {}", parts.join("; "))
}

fn unique<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<String> {
    let mut texts: Vec<String> = texts.map(str::to_owned).collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}
