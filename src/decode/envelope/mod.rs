//! Envelopes: records that wrap audit events, to bare events.
//!
//! Comes in: one record, a line or one JSON document. Goes out: an [`Item`] for each thing in it,
//! at least one, in order. Promised: no record is lost in silence; an event is handed out as it was
//! written where the envelope keeps it, and otherwise mapped field by field without inventing any;
//! a bare event and what only looks like one are never searched, so that no request body passes as
//! an event. Left out on purpose: decoding, framing, files.
//!
//! Shapes: `EventList` of the audit webhook (`audit.k8s.io/v1`); exports of CloudWatch Logs, Azure
//! Monitor, Google Cloud Logging; container logs (CRI, Docker); the shippers and stores in between.
//! Envelopes nest, as a container log line with a subscription record inside; the chain is
//! reported.

mod azure;
mod cloudwatch;
mod context;
mod csv;
mod fields;
mod format;
mod gke;
mod join;
pub(super) mod json;
mod legacy;
mod line;
mod list;
mod packed;
mod queue;
mod recognise;
mod request_info;
mod restore;
mod shipper;
mod store;
pub(super) mod time;
mod walk;

use std::borrow::Cow;

pub use csv::is_header as is_csv_header;
pub(crate) use csv::{is_row as is_csv_row, width as csv_width};
pub(super) use fields::listed;
pub use format::{Format, UnknownFormat};
pub use recognise::UNREAD;
pub use restore::key as restored_key;

use crate::source::bracketed;
use context::Context;
use walk::Walk;

/// Opens the records of one file in their order.
#[derive(Debug)]
pub struct Unwrapper {
    state: State,
}

/// What spans records.
#[derive(Debug, Default)]
struct State {
    only: Option<Format>,
    header: Option<csv::Header>,
    joins: join::Joins,
    legacy: legacy::Requests,
}

/// One thing found in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item<'a> {
    /// An audit event.
    Event(Found<'a>),
    /// Something readable that is no audit event; counted, never analysed.
    Other {
        /// Its name as a noun phrase.
        what: Cow<'a, str>,
        /// The member of it that holds the words of an event, in a wrapping that is not known.
        under: Option<&'a str>,
    },
    /// Damage.
    Bad {
        /// What is wrong, with the audit ID if one can be read.
        cause: String,
    },
}

/// An audit event and what its envelopes say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// JSON text of the event.
    pub text: &'a str,
    /// The chain of envelopes from outside in, as `docker > CloudWatch Logs`.
    pub envelope: &'a str,
    /// The cluster.
    pub cluster: Option<&'a str>,
    /// The machine that wrote the log.
    pub node: Option<&'a str>,
    /// The log stream, or the pod of the API server.
    pub stream: Option<&'a str>,
    /// Whether fields are missing because the export did not select them.
    pub partial: bool,
    /// Whether it was found by looking for a beginning behind damage.
    pub is_recovered: bool,
}

impl Unwrapper {
    /// Starts a run of records of one file.
    ///
    /// `only` fixes the family of the outermost envelope. `csv_header` is the first line of the
    /// file, where the run starts behind it and [`is_csv_header`] holds for it, or the user says
    /// that the file is CSV.
    pub fn new(only: Option<Format>, csv_header: Option<&str>) -> Self {
        let mut state = State {
            only,
            ..State::default()
        };
        if let Some(header) = csv_header {
            state.header = csv::header(header);
        }
        Self { state }
    }

    /// Takes one record and hands what it holds to `item`: at least one thing, in order.
    ///
    /// A bare event is taken too, and handed out with an empty chain.
    pub fn record(&mut self, text: &str, item: &mut dyn FnMut(Item<'_>)) {
        if is_separator(text) {
            let what = "a comma or bracket between records".into();
            return item(Item::Other { what, under: None });
        }
        let mut walk = Walk::new(text.len(), &mut self.state, item);
        let context = Context::default();
        let opened = csv::open(&mut walk, text, &context) || walk.text(text, &context);
        if walk.n_items > 0 {
            return;
        }
        debug_assert!(!opened, "what was opened holds something");
        let text = text.trim();
        match (walk.state.only, json::Object::parse(text)) {
            (Some(only), _) => walk.bad(format!("no record of the format `{only}`")),
            (None, Some(object)) => walk.unknown_object(&object),
            (None, None) if text.starts_with('[') && bracketed(text.as_bytes()).is_none() => {
                walk.other(recognise::unread("a JSON array of another kind", text));
            }
            (None, None) => walk.bad(list::damage("neither JSON nor a known log line", text)),
        }
    }

    /// Hands out what is still unfinished, as [`Item::Bad`].
    pub fn finish(&mut self, item: &mut dyn FnMut(Item<'_>)) {
        for text in self.state.joins.take() {
            item(Item::Bad {
                cause: list::damage("a container log line without its end", &text),
            });
        }
    }
}

/// Returns whether a line is what stands between the elements of an array, each on a line of its own.
fn is_separator(line: &str) -> bool {
    matches!(line.trim(), "," | ";" | "[" | "]" | "]," | "];")
}

#[cfg(test)]
mod tests;
