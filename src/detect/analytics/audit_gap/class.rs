//! Classes of requests that an audit policy may leave out by what they are for, and how they come.

use serde::{Deserialize, Serialize};

use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};

/// Requests that a policy may leave out by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// For Secrets.
    Secrets,
    /// For tokens of `ServiceAccounts`.
    Tokens,
    /// For a way into a Pod.
    Shells,
}

impl Class {
    /// Returns the class of a request, by the codes of what it is for; one comparison or two for most.
    pub fn of(resource: u32, subresource: u32, vocabulary: &Vocabulary) -> Option<Self> {
        match (resource, subresource) {
            (known::SECRETS, NULL) => Some(Self::Secrets),
            (_, NULL) => None,
            (known::SERVICE_ACCOUNTS, known::TOKEN) => Some(Self::Tokens),
            (known::PODS, known::EXEC) => Some(Self::Shells),
            (known::PODS, other) => {
                let is_shell = matches!(vocabulary.text(other), "attach" | "portforward");
                is_shell.then_some(Self::Shells)
            }
            _ => None,
        }
    }
}

/// What the classes are called.
pub(super) const CLASSES: [&str; 3] = [
    "requests for Secrets",
    "requests for tokens of ServiceAccounts",
    "ways into Pods (exec, attach, port-forward)",
];

/// How the requests of one class came.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Course {
    pub(super) count: u64,
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) longest_pause: i64,
    /// Events of the server up to the last one.
    pub(super) until: u64,
    /// Who sent them, with the number of requests.
    pub(super) users: Vec<(u32, u64)>,
}

impl Course {
    pub(super) fn note(&mut self, ts: i64, user: u32, events: u64) {
        if self.count == 0 {
            self.first = ts;
        } else {
            self.longest_pause = self.longest_pause.max(ts - self.last);
        }
        self.count += 1;
        self.last = self.last.max(ts);
        self.until = events;
        if let Some((_, count)) = self.users.iter_mut().find(|(known, _)| *known == user) {
            *count += 1;
        } else if self.users.len() < USERS {
            self.users.push((user, 1));
        }
    }
}

/// How many users of one class are known.
const USERS: usize = 64;
