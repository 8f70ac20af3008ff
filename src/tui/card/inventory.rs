//! The list of all credentials, as rows of a table.

use super::lineage::fate;
use crate::finding::credential::Credential;
use crate::report::clean;
use crate::tui::clock::Clock;
use crate::tui::pivot::Pivot;
use crate::tui::results::Results;

/// A credential on a row; all texts are clean.
#[derive(Debug, Clone, PartialEq)]
pub struct CredentialRow {
    /// Its key.
    pub credential: String,
    /// Its kind.
    pub kind: String,
    /// Whose it is.
    pub owner: String,
    /// First use; empty if there was none.
    pub first: String,
    /// Last use.
    pub last: String,
    /// Requests.
    pub requests: u64,
    /// From how many addresses and programs, or from which address if it is one.
    pub from: String,
    /// How it was made and how it ended.
    pub fate: String,
    /// Whether it was used after its end.
    pub is_undead: bool,
    /// Its card.
    pub pivot: Pivot,
    /// The card of whose it is.
    pub owner_pivot: Pivot,
}

/// Returns all credentials: those first that were used after their end, then by first use; those never used come last.
pub fn credentials(results: &Results, clock: Clock) -> Vec<CredentialRow> {
    let mut all: Vec<&Credential> = results.credentials.iter().collect();
    all.sort_by_key(|one| {
        let first = one.first_use.map_or(i64::MAX, |time| time.0);
        (one.uses_after_end == 0, first, one.credential.as_str())
    });
    all.into_iter().map(|one| row(one, clock)).collect()
}

fn row(credential: &Credential, clock: Clock) -> CredentialRow {
    let safe = |text: &str| clean::safe(text).into_owned();
    let time = |time: Option<crate::finding::Timestamp>| {
        time.map_or(String::new(), |time| clock.show(time.0))
    };
    let minted = credential.minted.as_ref();
    let minted = minted.map(|minted| format!("minted by {}", minted.by));
    let fates: Vec<String> = minted.into_iter().chain(fate(credential)).collect();
    CredentialRow {
        credential: safe(&credential.credential),
        kind: safe(&credential.credential_kind),
        owner: safe(&credential.username),
        first: time(credential.first_use),
        last: time(credential.last_use),
        requests: credential.requests,
        from: safe(&from(credential)),
        fate: safe(&fates.join(", ")),
        is_undead: credential.uses_after_end > 0,
        pivot: Pivot::Credential(credential.credential.clone()),
        owner_pivot: Pivot::Identity(credential.username.clone()),
    }
}

fn from(credential: &Credential) -> String {
    let mut peers: Vec<&str> = credential
        .uses
        .iter()
        .filter_map(|place| place.peer.as_deref())
        .collect();
    peers.sort_unstable();
    peers.dedup();
    match (&peers[..], credential.more_uses) {
        ([], _) => String::new(),
        ([one], 0) => (*one).to_owned(),
        (several, 0) => format!("{} addresses", several.len()),
        (several, _) => format!("{} addresses or more", several.len()),
    }
}
