//! `authentication-methods`: by which methods people and machines authenticate, as far as the log can tell.
//!
//! Everything is read from the ledger at the end; no request is looked at.

use std::collections::BTreeMap;

use super::custody::Sum;
use super::{Context, Draft, counted, listed};
use crate::credential::{Entry, Ledger};
use crate::finding::Finding;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// The analytic.
#[derive(Clone)]
pub struct Method {
    meta: RuleMeta,
    least_requests: u64,
}

/// One method: the name of its kind, what to say of it, and what to do.
struct Words {
    kind: &'static str,
    what: &'static str,
    advice: &'static str,
}

/// In the order of what to change first.
const METHODS: [Words; 9] = [
    Words {
        kind: "unknown",
        what: "a static token, a webhook or a proxy, or a certificate without a fingerprint in the log",
        advice: "Replace static tokens (--token-auth-file): they never expire and stand in a file in the clear",
    },
    Words {
        kind: "legacy-token",
        what: "long-lived Secret token",
        advice: "Replace Secret tokens by mounted or requested ones, which expire",
    },
    Words {
        kind: "bootstrap-token",
        what: "bootstrap token",
        advice: "Delete bootstrap tokens once the nodes have joined",
    },
    Words {
        kind: "x509",
        what: "client certificate",
        advice: "Move people from client certificates to OIDC: nothing revokes a certificate before its time",
    },
    Words {
        kind: "unbound-token",
        what: "token of a ServiceAccount, bound to nothing",
        advice: "Bind tokens to a Pod or Secret, so that they die with it, and let CI fetch its own",
    },
    Words {
        kind: "bound-token",
        what: "token of a ServiceAccount, bound to a Pod or node",
        advice: "",
    },
    Words {
        kind: "oidc",
        what: "OpenID Connect",
        advice: "",
    },
    Words {
        kind: "webhook",
        what: "webhook or cloud authenticator",
        advice: "",
    },
    Words {
        kind: "proxy",
        what: "authenticating proxy",
        advice: "",
    },
];

#[derive(Default)]
struct Users<'a> {
    by_name: BTreeMap<&'a str, u64>,
    credentials: u64,
    requests: u64,
}

impl Method {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            least_requests: parameters.count("least_requests")?.into(),
        })
    }

    /// Draws the finding, if the log has something to count.
    pub fn finish(self, context: &Context<'_>, ledger: &Ledger) -> Option<Finding> {
        let vocabulary = context.vocabulary;
        // The API server's client to itself uses no method.
        let is_client = |entry: &&Entry| vocabulary.text(entry.username) != "system:apiserver";
        let mut methods: BTreeMap<&str, Users<'_>> = BTreeMap::new();
        let mut sum = Sum::default();
        for entry in ledger.entries().iter().filter(is_client) {
            let users = methods.entry(vocabulary.text(entry.kind)).or_default();
            users.credentials += 1;
            users.requests += entry.count;
            *users
                .by_name
                .entry(vocabulary.text(entry.username))
                .or_default() += entry.count;
            entry
                .uses
                .iter()
                .take(1)
                .for_each(|used| sum.add_sighting(&used.sighting));
        }
        let requests: u64 = methods.values().map(|users| users.requests).sum();
        if requests < self.least_requests {
            return None;
        }
        let mut tally = sum.tally(context);
        tally.first = ledger.entries().iter().map(|entry| entry.first).min()?;
        tally.last = ledger.entries().iter().map(|entry| entry.last).max()?;
        tally.count = requests;
        let mut draft = Draft::new(&self.meta, Vec::new(), &tally);
        let has_fingerprints = methods.contains_key("x509");
        let present = METHODS
            .iter()
            .filter_map(|words| Some((words, methods.get(words.kind)?)));
        let mut names = Vec::new();
        let mut advice = Vec::new();
        for (words, users) in present {
            let what = match words.kind {
                "unknown" if has_fingerprints => "a static token, a webhook or a proxy",
                _ => words.what,
            };
            names.push(format!("{what} ({})", users.by_name.len()));
            draft.why.push(format!(
                "{what}: {} of {} in {}: {}",
                counted(users.credentials, "credential"),
                counted(users.by_name.len() as u64, "user"),
                counted(users.requests, "request"),
                busiest(&users.by_name),
            ));
            // Components and nodes have certificates rightly, controllers unbound tokens.
            let is_meant = matches!(words.kind, "x509" | "unbound-token")
                && users.by_name.keys().all(|name| is_system(name));
            if !words.advice.is_empty() && !is_meant {
                advice.push(words.advice.to_owned());
            }
        }
        draft.summary = format!("users by method of authentication: {}", names.join("; "));
        let mut finding = sum.finish(draft, vocabulary);
        finding.source = crate::finding::Origin::default();
        finding.next_steps.splice(0..0, advice);
        Some(finding)
    }
}

fn is_system(name: &str) -> bool {
    name.starts_with("system:serviceaccount:kube-system:")
        || (name.starts_with("system:") && !name.starts_with("system:serviceaccount:"))
}

/// Names the users with the most requests, people and programs before the system's own.
fn busiest(by_name: &BTreeMap<&str, u64>) -> String {
    let mut users: Vec<(&str, u64)> = by_name
        .iter()
        .map(|(name, count)| (*name, *count))
        .collect();
    users.sort_by_key(|&(name, count)| (is_system(name), std::cmp::Reverse(count), name));
    let names: Vec<String> = users.into_iter().map(|(name, _)| name.to_owned()).collect();
    listed(&names)
}
