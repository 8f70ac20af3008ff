//! What a request tells of its identity, and what the identity had behind it when that was new.

use serde::{Deserialize, Serialize};

use crate::detect::analytics::lasting;
use crate::detect::request::Request;
use crate::frame::{NULL, Vocabulary};

/// Verb, resource and subresource.
pub(super) type Deed = (u32, u32, u32);

/// A deed, and the address and program that it was done from: what is done elsewhere does not go on with it.
pub(super) type Act = (Deed, u32, u32);

/// Something about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Thing {
    Deed(Deed),
    Namespace(u32),
    Address(u32),
    Program(u32),
    Impersonated(u32),
    /// Writing again after a silence; not remembered.
    Awake(i64),
}

pub(super) const ASPECTS: usize = 5;

impl Thing {
    /// Returns whether it is about where a request came from.
    pub(super) const fn is_whence(self) -> bool {
        matches!(self, Self::Address(_) | Self::Program(_))
    }

    pub(super) const fn aspect(self) -> usize {
        match self {
            Self::Deed(_) | Self::Awake(_) => 0,
            Self::Namespace(_) => 1,
            Self::Address(_) => 2,
            Self::Program(_) => 3,
            Self::Impersonated(_) => 4,
        }
    }

    /// What is named first, and counts as an aspect of its own.
    pub(super) const fn order(self) -> usize {
        match self {
            Self::Awake(_) => 0,
            Self::Impersonated(_) => 1,
            Self::Deed(_) => 2,
            Self::Namespace(_) => 3,
            Self::Address(_) => 4,
            Self::Program(_) => 5,
        }
    }

    pub(super) fn text(self, vocabulary: &Vocabulary) -> String {
        match self {
            Self::Deed((verb, resource, NULL)) => {
                format!("{} {}", vocabulary.text(verb), vocabulary.text(resource))
            }
            Self::Deed((verb, resource, subresource)) => {
                let [verb, resource, subresource] =
                    [verb, resource, subresource].map(|code| vocabulary.text(code));
                format!("{verb} {resource}/{subresource}")
            }
            Self::Namespace(code) => format!("namespace {}", vocabulary.text(code)),
            Self::Address(code) => format!("address {}", vocabulary.text(code)),
            Self::Program(NULL) => "no program named".to_owned(),
            Self::Program(code) => format!("program {}", vocabulary.text(code)),
            Self::Impersonated(code) => format!("impersonates {}", vocabulary.text(code)),
            Self::Awake(silent_us) => format!("writes after a silence of {}", lasting(silent_us)),
        }
    }
}

/// Since when something is known, and what the identity had behind it then.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Since {
    pub(super) ts: i64,
    pub(super) past: Option<History>,
}

/// What an identity had behind it when something new came.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct History {
    pub(super) requests: u64,
    pub(super) lasted_us: i64,
    pub(super) bits: f64,
}

/// Returns how surprising news are together, in bits: what is done and whence are independent of each other, if both are
/// new.
pub(super) fn together(news: &[(Thing, History)]) -> f64 {
    let most = |is_whence: bool| {
        let of_kind = news
            .iter()
            .filter(|(thing, _)| thing.is_whence() == is_whence);
        of_kind.map(|(_, history)| history.bits).fold(0.0, f64::max)
    };
    let (what, whence) = (most(false), most(true));
    if what > 0.0 && whence > 0.0 {
        what + whence
    } else {
        0.0
    }
}

pub(super) fn deed(request: &Request<'_>) -> Deed {
    (request.verb(), request.resource(), request.subresource())
}

pub(super) fn act(request: &Request<'_>) -> Act {
    (deed(request), request.peer_ip(), request.user_agent())
}
