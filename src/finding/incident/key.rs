//! What a finding may share with others.

use super::wording::distinct;
use super::{Maker, Surroundings};
use crate::finding::Finding;

/// What two findings may share; what proves more comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key<'a> {
    Credential(&'a str),
    Actor(&'a str),
    Object(&'a str),
    Address(&'a str),
}
/// About how many users or credentials a finding may be and still speak of each of them.
const IDENTITIES: usize = 3;

/// From how many addresses a finding may come and still speak of each of them.
const ADDRESSES: usize = 16;

/// Returns what a finding may share with others, sorted.
pub(super) fn keys<'a>(finding: &'a Finding, surroundings: &Surroundings) -> Vec<Key<'a>> {
    let (users, ids) = (distinct(usernames(finding)), distinct(credentials(finding)));
    let mut keys = Vec::new();
    if users.len() <= IDENTITIES && ids.len() <= IDENTITIES {
        let ids = credentials(finding).filter(|id| is_id(id));
        keys.extend(ids.map(Key::Credential));
        let users = usernames(finding).filter(|user| is_somebody(user));
        keys.extend(users.map(Key::Actor));
    }
    let addresses = &finding.source.ips;
    if addresses.len() <= ADDRESSES && users.len() <= IDENTITIES {
        let common = &surroundings.common_addresses;
        let own = addresses
            .iter()
            .filter(|address| !common.contains(*address));
        keys.extend(own.map(|address| Key::Address(address)));
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Returns what a maker shares with the findings about it: the address only where nothing else tells who it was.
pub(super) fn maker_keys<'a>(maker: &'a Maker, surroundings: &Surroundings) -> Vec<Key<'a>> {
    let mut keys = Vec::new();
    if is_id(&maker.credential) {
        keys.push(Key::Credential(&maker.credential));
    }
    if is_somebody(&maker.username) {
        keys.push(Key::Actor(&maker.username));
    }
    if keys.is_empty() && !surroundings.common_addresses.contains(&maker.peer) {
        keys.push(Key::Address(&maker.peer));
    }
    keys
}

pub(super) fn usernames(finding: &Finding) -> impl Iterator<Item = &str> {
    let others = finding.ties.usernames.iter();
    finding
        .actor
        .username
        .iter()
        .chain(others)
        .map(String::as_str)
}

pub(super) fn credentials(finding: &Finding) -> impl Iterator<Item = &str> {
    let others = finding.ties.credentials.iter();
    finding
        .actor
        .credential_id
        .iter()
        .chain(others)
        .map(String::as_str)
}

/// Returns the users an incident names for a finding: of several, those who are somebody.
pub(super) fn actors(finding: &Finding) -> impl Iterator<Item = &str> {
    let alone = finding.ties.usernames.len() <= 1;
    usernames(finding).filter(move |user| alone || is_somebody(user))
}

/// Returns whether a user is a person or one service account.
pub(super) fn is_somebody(username: &str) -> bool {
    match username.strip_prefix("system:serviceaccount:") {
        Some(account) => !account.starts_with("kube-system:"),
        None => !username.is_empty() && !username.starts_with("system:"),
    }
}

/// Returns whether a credential's key tells it from others of its user.
pub(super) fn is_id(credential: &str) -> bool {
    !credential.is_empty() && !credential.starts_with("user:")
}
