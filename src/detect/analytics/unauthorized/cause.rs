//! The likely cause of refusals that recur, what in the log speaks for it, and what to do.
//!
//! kube-apiserver says `Unauthorized` and no more; other servers and proxies in front of it keep what the
//! authenticator said (kubernetes/apiserver `pkg/endpoints/filters/authn_audit.go`). An annotation names a Secret
//! token that was invalidated for disuse. Else the credential that the same program last had at the same
//! address tells how it will have ended.

use serde::{Deserialize, Serialize};

use super::super::{lasting, listed};
use super::session::Session;
use crate::credential::{Entry, Ledger};
use crate::detect::request::Request;
use crate::finding::Timestamp;
use crate::frame::{Column, NULL, Vocabulary};

/// What a refusal says of its cause by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Hint {
    /// The token of this Secret was invalidated.
    Invalidated(u32),
    /// The message says so.
    Said(Said),
}

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Said {
    Nothing,
    Expired,
    Audience,
    Authority,
    Signature,
}

/// By parts of messages, in lower case.
const MESSAGES: [(&str, Said); 7] = [
    ("no credentials provided", Said::Nothing),
    ("expired", Said::Expired),
    ("audience", Said::Audience),
    ("unknown authority", Said::Authority),
    ("unknown issuer", Said::Authority),
    ("signature", Said::Signature),
    ("verification error", Said::Signature),
];

impl Hint {
    /// Reads what a refusal says of its cause.
    pub(super) fn of(request: &Request<'_>, vocabulary: &Vocabulary) -> Option<Self> {
        let secret = request.code_of(Column::LegacyInvalidated, vocabulary);
        if secret != NULL {
            return Some(Self::Invalidated(secret));
        }
        said(request.message()).map(Self::Said)
    }
}

fn said(message: &str) -> Option<Said> {
    // What kube-apiserver always says.
    if matches!(message, "" | "Unauthorized") {
        return None;
    }
    let message = message.to_ascii_lowercase();
    let found = MESSAGES.iter().find(|(part, _)| message.contains(part));
    found.map(|(_, said)| *said)
}

/// A likely cause.
#[derive(Clone)]
pub(super) struct Cause {
    /// In a few words.
    pub(super) what: String,
    /// What in the log speaks for it.
    pub(super) why: Option<String>,
    /// What to do.
    pub(super) remedy: Option<&'static str>,
}

impl Cause {
    fn new(what: &str, why: impl Into<Option<String>>, remedy: &'static str) -> Self {
        Self {
            what: what.to_owned(),
            why: why.into(),
            remedy: Some(remedy),
        }
    }

    /// Returns the likely cause of the refusals of one address.
    pub(super) fn of(sessions: &[&Session], ledger: &Ledger, vocabulary: &Vocabulary) -> Self {
        let hint = sessions.iter().find_map(|session| session.hint);
        if let Some(hint) = hint {
            return Self::of_hint(hint, vocabulary);
        }
        if sessions.iter().all(|session| session.has_recovered()) {
            return Self {
                what: "renewed since: the same program was accepted afterwards".to_owned(),
                why: None,
                remedy: None,
            };
        }
        if sessions.iter().any(|session| session.tied > 0) {
            return Self::new(
                "deleted: what the credential hung on was deleted before",
                None,
                "Give the program a new credential, or stop it",
            );
        }
        if let Some(last) = last_of(sessions, ledger, vocabulary) {
            return Self::of_last(last, vocabulary);
        }
        if !sessions.iter().any(|session| session.repeats_itself()) {
            return Self {
                what: "unknown: expired, deleted, forged, meant for another audience, or of an unknown CA all look the same".to_owned(),
                why: None,
                remedy: None,
            };
        }
        let agents = sessions.iter().flat_map(|session| &session.agents);
        let elsewhere = served_elsewhere(agents.copied(), sessions[0].peer, ledger);
        if elsewhere.is_empty() {
            let what = "perhaps a credential that expired, or is of another cluster, and that its program keeps retrying: it was never accepted in this log";
            let remedy = "Look into the configuration of the program; if nobody knows one there, it is somebody who guesses";
            return Self::new(what, None, remedy);
        }
        let what = "an expired or deleted credential that its program keeps retrying";
        let peers: Vec<String> = elsewhere
            .iter()
            .map(|&peer| vocabulary.text(peer).to_owned())
            .collect();
        Self::new(
            what,
            format!(
                "the same program is accepted at other addresses: {}",
                listed(&peers)
            ),
            "Compare its credential with that of the same program elsewhere",
        )
    }

    fn of_hint(hint: Hint, vocabulary: &Vocabulary) -> Self {
        match hint {
            Hint::Invalidated(secret) => Self::new(
                "a Secret token that was invalidated because nobody had used it for long",
                format!(
                    "annotations.authentication.k8s.io/legacy-token-invalidated = {}",
                    vocabulary.text(secret)
                ),
                "Ask who came back with it; delete the Secret, or take its label kubernetes.io/legacy-token-invalid-since away",
            ),
            Hint::Said(said) => Self::of_message(said),
        }
    }

    fn of_message(said: Said) -> Self {
        let why = |what: &str| format!("responseStatus.message speaks of {what}");
        match said {
            Said::Nothing => Self::new(
                "no credential that the server reads: not a Bearer token, and no certificate",
                why("no credentials"),
                "Let the program send `Authorization: Bearer TOKEN`, without Basic and without an empty token",
            ),
            Said::Expired => Self::new(
                "expired",
                why("an expiry"),
                "Renew the credential; let the program read its token file again before each use",
            ),
            Said::Audience => Self::new(
                "a token for another audience",
                why("the audience"),
                "Ask for a token with the API server's audience (--audience)",
            ),
            Said::Authority => Self::new(
                "a certificate or token of an authority that the server does not know",
                why("the authority"),
                "Check that the credential is of this cluster, and that no CA or issuer was replaced",
            ),
            Said::Signature => Self::new(
                "a signature that does not fit: forged, or of another cluster's key",
                why("the signature"),
                "Check that the token is of this cluster; if nobody knows it, treat it as a try to get in",
            ),
        }
    }

    /// Judges by the credential that the program last had there.
    fn of_last(last: &Entry, vocabulary: &Vocabulary) -> Self {
        let kind = vocabulary.text(last.kind);
        let (what, remedy) = match kind {
            "x509" => (
                "an expired client certificate, or a CA that was replaced",
                "Renew the certificate (kubeadm certs check-expiration, kubelet rotation)",
            ),
            "bound-token" => (
                "an expired token: the program does not read its token file again",
                "Update the client library: tokens of Pods are renewed on disk within the hour",
            ),
            "unbound-token" => (
                "an expired token that somebody asked for",
                "Let the program ask for its token itself, instead of being handed one",
            ),
            "legacy-token" => (
                "a Secret token whose Secret or ServiceAccount is gone",
                "Give the program a token that it asks for itself",
            ),
            "bootstrap-token" => (
                "a bootstrap token that expired or was deleted",
                "Join the node with a new token",
            ),
            "oidc" => (
                "an expired ID token, or a key of the issuer that was replaced",
                "Log in again; let the program refresh its token",
            ),
            _ => (
                "an expired credential, or one that was taken out of the server's files",
                "Renew the credential of the program",
            ),
        };
        let why = format!(
            "`{}` was accepted there with a credential of kind {kind} for {}, the last time at {}",
            vocabulary.text(last.username),
            lasting(last.last - last.first),
            Timestamp(last.last),
        );
        Self::new(what, why, remedy)
    }
}

/// Returns the credential that was last accepted from the same address and program.
fn last_of<'l>(
    sessions: &[&Session],
    ledger: &'l Ledger,
    vocabulary: &Vocabulary,
) -> Option<&'l Entry> {
    let clients = sessions.iter().flat_map(|session| {
        let agents = session.agents.iter();
        agents.map(|&agent| (session.peer, agent))
    });
    let start = sessions.first()?.tally.first;
    let entries = clients.flat_map(|(peer, agent)| ledger.of_client(peer, agent));
    entries
        .filter(|entry| entry.first < start)
        .max_by_key(|entry| (entry.last, vocabulary.text(entry.credential)))
}

/// How many addresses are named where the program is accepted.
const ELSEWHERE: usize = 8;

fn served_elsewhere(agents: impl Iterator<Item = u32>, peer: u32, ledger: &Ledger) -> Vec<u32> {
    let agents: Vec<u32> = agents.filter(|&agent| agent != NULL).collect();
    let mut peers = Vec::new();
    for used in ledger.entries().iter().flat_map(|entry| &entry.uses) {
        let fits = agents.contains(&used.agent) && used.peer != peer && !peers.contains(&used.peer);
        if fits && peers.len() < ELSEWHERE {
            peers.push(used.peer);
        }
    }
    peers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_more_than_unauthorized() {
        let check = |message: &str, expected: Option<Said>| assert_eq!(said(message), expected);
        check("Unauthorized", None);
        check("", None);
        check(
            "Authentication failed, no credentials provided",
            Some(Said::Nothing),
        );
        check(
            "[invalid bearer token, oidc: verify token: Token is Expired]",
            Some(Said::Expired),
        );
        check(
            "expected audience \"api\" got [\"vault\"]",
            Some(Said::Audience),
        );
        check(
            "x509: certificate signed by unknown authority",
            Some(Said::Authority),
        );
        check("Authentication failed, attempted: bearer", None);
    }
}
