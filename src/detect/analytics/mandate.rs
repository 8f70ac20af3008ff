//! On whose word an operator acts.
//!
//! An operator watches objects of kinds of its own (custom resources), and does what they say within seconds. What is
//! new in what it does is then as old as the object: who wrote that is to be asked. Somebody else's object explains nothing
//! if the operator never looked at its kind, if it is of another namespace, or if it was written by itself.

use std::collections::VecDeque;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use crate::detect::rbac::Grant;
use crate::detect::request::Request;
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::redact::redact;

/// So soon an operator acts on what it sees, in microseconds.
const SOON_US: i64 = 10_000_000;

/// Words that are remembered at once, and pairs of an account and a kind that it looks at.
const WORDS: usize = 1024;
const LISTENERS: usize = 1 << 14;

/// What is written and watched of custom resources.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Words {
    spoken: VecDeque<Word>,
    /// Accounts, and the kinds that they look at.
    listeners: HashSet<(u32, u32)>,
    /// Groups of the API: whether they are no part of Kubernetes.
    #[serde(skip)]
    groups: HashMap<u32, bool>,
}

/// Somebody wrote an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Word {
    ts: i64,
    user: u32,
    resource: u32,
    namespace: u32,
    name: Box<str>,
    /// Whether it is a superuser's, or of an account that has written such objects for days.
    pub(super) is_trusted: bool,
}

impl Words {
    /// Returns whether a request is about an object of a custom kind.
    pub(super) fn concerns(&mut self, request: &Request<'_>, vocabulary: &Vocabulary) -> bool {
        let group = request.api_group();
        group != NULL
            && request.subresource() == NULL
            && *self
                .groups
                .entry(group)
                .or_insert_with(|| is_custom(vocabulary.text(group)))
    }

    /// Notes that an account looks at such objects.
    pub(super) fn listen(&mut self, request: &Request<'_>) {
        let is_account = request.identity_kind() == known::SERVICE_ACCOUNT;
        if is_account && self.listeners.len() < LISTENERS {
            self.listeners
                .insert((request.username(), request.resource()));
        }
    }

    /// Notes that somebody wrote such an object.
    pub(super) fn hear(
        &mut self,
        request: &Request<'_>,
        does_always: bool,
        vocabulary: &Vocabulary,
    ) {
        let before = request.ts - SOON_US;
        while self.spoken.front().is_some_and(|word| word.ts < before) || self.spoken.len() >= WORDS
        {
            self.spoken.pop_front();
        }
        let reason = Grant::parse(vocabulary.text(request.authz_reason()));
        self.spoken.push_back(Word {
            ts: request.ts,
            user: request.username(),
            resource: request.resource(),
            namespace: request.namespace(),
            name: redact(request.name()).into(),
            is_trusted: does_always
                || request.is_masters
                || reason.is_some_and(|grant| grant.is_of_superuser()),
        });
    }

    /// Returns on which word of somebody else an account does what it does, if there is one: one that is not trusted, if any
    /// is not, else the latest.
    pub(super) fn on_which(&self, request: &Request<'_>) -> Option<&Word> {
        let user = request.username();
        let recent = (request.received - SOON_US)..=request.ts;
        let is_for = |word: &&Word| {
            let places = [word.namespace, request.namespace()];
            word.user != user
                && recent.contains(&word.ts)
                && (places.contains(&NULL) || places[0] == places[1])
                && self.listeners.contains(&(user, word.resource))
        };
        let mut words = self.spoken.iter().rev().filter(is_for);
        let latest = words.next()?;
        let mut all = std::iter::once(latest).chain(words);
        Some(all.find(|word| !word.is_trusted).unwrap_or(latest))
    }
}

impl Word {
    /// Says who wrote what.
    pub(super) fn text(&self, vocabulary: &Vocabulary) -> String {
        let [user, resource, namespace] =
            [self.user, self.resource, self.namespace].map(|code| vocabulary.text(code));
        let name = match (namespace, &*self.name) {
            (namespace, "") => namespace.to_owned(),
            ("", name) => name.to_owned(),
            (namespace, name) => format!("{namespace}/{name}"),
        };
        format!("`{user}`, who wrote {resource} {name}")
    }
}

/// Returns whether a group of the API is no part of Kubernetes: those have no dot, or are of its own domain.
fn is_custom(group: &str) -> bool {
    group.contains('.') && !group.ends_with(".k8s.io")
}
