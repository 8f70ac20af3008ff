//! Credentials: who held what, where it came from, where it was used, and whether it outlived its end.
//!
//! Comes in: what [`crate::credential`] remembers of a log. Goes out: plain data, one [`Credential`] per key. Left out on
//! purpose: judgement, which is what findings are for, and credentials that were only ever refused: a 401 names none.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// How many places of use one credential lists, the earliest ones.
pub const USES: usize = 64;

/// One credential, by the best key that the log offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// The key (column `credential`), such as `JTI=...`, `X509SHA256=...`, `secret:prod/web-token` or `user:dev`.
    pub credential: String,
    /// The method of authentication (column `credential_kind`); of a token that is minted and never used `unknown`, unless
    /// its request tells.
    pub credential_kind: String,
    /// Whose it is.
    pub username: String,
    /// `user`, `serviceaccount`, `node` or `component`.
    pub identity_kind: String,
    /// Uid of whose it is, if the log has it.
    pub user_uid: Option<String>,
    /// The Pod that it is bound to, if it is bound to one.
    pub token_pod: Option<String>,
    /// First request; `None` if it was minted and never used.
    pub first_use: Option<Timestamp>,
    /// Last request.
    pub last_use: Option<Timestamp>,
    /// Requests that it was accepted for, whatever became of them.
    pub requests: u64,
    /// By address and program, in the order of first use; at most [`USES`].
    pub uses: Vec<Use>,
    /// Addresses and programs beyond those in `uses`.
    #[serde(default)]
    pub more_uses: u64,
    /// How it was made, if the log has the token request.
    pub minted: Option<Minted>,
    /// What ended it, if the log has the deletion.
    pub ended: Option<Ended>,
    /// Requests that it was accepted for after its end, apart from those that the API server's cache explains.
    pub uses_after_end: u64,
    /// The last of them.
    pub last_use_after_end: Option<Timestamp>,
}

impl Credential {
    /// Returns those among `all` that were minted with it.
    pub fn minted_with<'a>(&'a self, all: &'a [Self]) -> impl Iterator<Item = &'a Self> {
        all.iter().filter(|other| {
            let minted = other.minted.as_ref();
            minted.is_some_and(|minted| minted.with == self.credential)
        })
    }
}

/// A credential used from one address by one program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// Address of the connection, if the log has it.
    pub peer: Option<String>,
    /// User agent, if the client sent one.
    pub user_agent: Option<String>,
    /// First request.
    pub first: Timestamp,
    /// Last request.
    pub last: Timestamp,
    /// Requests.
    pub requests: u64,
}

/// The token request that made a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minted {
    /// User who asked for it.
    pub by: String,
    /// Key of the credential with which that user asked.
    pub with: String,
    /// When.
    pub at: Timestamp,
}

/// The deletion that ended a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// What was deleted, as `ServiceAccount prod/web`.
    pub object: String,
    /// When.
    pub at: Timestamp,
    /// User who deleted it.
    pub by: String,
    /// Whether the object was gone then. A Pod may run on through its grace period, and use its token; it is gone when its
    /// kubelet deletes it.
    pub is_gone: bool,
    /// Whether an object of that name was made again and the key, which says no more than that name, may be a new
    /// credential's since. Uses from then on do not count as uses after the end.
    pub is_renewed: bool,
}
