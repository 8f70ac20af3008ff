//! Cards: what the log says about one identity, credential, address, object, event, finding or incident.
//!
//! Comes in: a [`Pivot`] and [`Sources`], plain data. Goes out: a [`Document`] with links to further cards. Pure, and
//! made on a worker thread; who no longer wants a card sets `stop`. Counts are exact: they are of all requests kept,
//! and what is a list is cut where it says `+N more`.
//!
//! A request counts once, by its last event. Refused logins (401) carry no name, so no identity and no credential has
//! any; where that matters the card says so.

mod about;
mod address;
mod credential;
mod deed;
mod event;
mod finding;
mod grid;
mod identity;
mod incident;
mod inventory;
mod life;
mod lineage;
mod link;
mod news;
mod object;
mod overview;
mod page;
mod question;
mod reading;
mod remedy;
mod rows;
mod tally;
mod value;

use std::sync::atomic::AtomicBool;

use super::clock::Clock;
use super::document::Document;
use super::pivot::Pivot;
use super::results::Results;
use crate::store::{Snapshot, StoreError};
pub use inventory::{CredentialRow, credentials};
pub use overview::{Progress, overview};
use rows::Reader;

/// What cards are made from.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The events.
    pub snapshot: &'a Snapshot,
    /// What a scan came to.
    pub results: &'a Results,
    /// How times are shown.
    pub clock: Clock,
}

/// Returns the card of what `pivot` stands for; nothing if it was stopped.
///
/// # Errors
/// When a file cannot be read.
pub fn card(
    pivot: &Pivot,
    sources: &Sources<'_>,
    stop: &AtomicBool,
) -> Result<Option<Document>, StoreError> {
    let reader = Reader::new(sources.snapshot, stop);
    ended(match pivot {
        Pivot::Finding(id) => finding::card(id, sources, reader),
        Pivot::Incident(id) => Ok(incident::card(id, sources)),
        Pivot::Identity(name) => identity::card(name, sources, reader),
        Pivot::Credential(key) => credential::card(key, sources, reader),
        Pivot::Address(address) => address::card(address, sources, reader),
        Pivot::Object(object) => object::card(object, sources, reader),
        Pivot::Event(row) => event::card(*row, sources, reader),
        Pivot::Place(place) => event::place(place, sources, reader),
        Pivot::Question(name, parameters) => Ok(question::card(name, parameters)),
        Pivot::Value(field, value) => value::card(*field, value, sources, reader),
        Pivot::All(listing, order) => overview::all(listing, *order, sources, reader),
    })
}

/// Why a card is not made.
enum Halt {
    /// Nobody wants it any more.
    Stopped,
    /// Events cannot be read.
    Store(StoreError),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

type Built<T> = Result<T, Halt>;

fn ended(built: Built<Document>) -> Result<Option<Document>, StoreError> {
    match built {
        Ok(document) => Ok(Some(document)),
        Err(Halt::Stopped) => Ok(None),
        Err(Halt::Store(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests;
