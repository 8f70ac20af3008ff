//! Alerts to where people and machines read them, one sink per file.
//!
//! Comes in: alerts that are in a committed outbox, and the settings of each sink. Goes out: bytes on a target, and for
//! each alert what became of it. [`deliver`](deliver::deliver) holds what all sinks have in common; a sink knows how its
//! target wants an alert written and what its answers mean.
//!
//! Promised:
//! - at least once, with a key that tells a second copy;
//! - log text is redacted, cleaned and escaped for each target ([`text`]), and never part of a URL, a header, an
//!   argument or a file name;
//! - secrets are in none of our words: not in outcomes, previews, errors or `Debug`;
//! - a connection only to an address that [`address`] let pass, and no redirect is followed.
//!
//! Left out on purpose: the outbox, and what is new; those are state.

pub mod address;
mod alert;
mod alertmanager;
mod append;
mod cef;
pub mod clock;
pub mod deliver;
mod digest;
mod email;
mod exec;
mod file;
mod http;
mod json;
mod metrics;
mod ocsf;
mod pagerduty;
mod process;
mod prometheus;
mod registry;
mod slack;
mod stdout;
mod syslog;
mod teams;
pub mod text;
mod tls;
mod webhook;

use std::time::{Duration, Instant};

pub use alert::{Alert, Event, Resolution, Run, key};
pub use append::{AppendError, DeadLetters, Letter};
pub(super) use json::record;
pub use metrics::{BlindRule, ClusterMetrics, Metrics, RuleMetrics, SourceMetrics};
pub use registry::{Entry, SinkError, Sinks};
pub(super) use text::redacted;

/// One target of alerts.
pub trait Sink: Send {
    /// Returns the name that the configuration gives it.
    fn name(&self) -> &str;

    /// Sends `batch` in one call, if the target takes several at once; is back at `deadline`, give or take a second.
    ///
    /// Shape: one outcome per alert, in the order given.
    fn send(&mut self, batch: &[&Alert], deadline: Instant) -> Delivery;

    /// Returns what [`send`](Self::send) would send, as text for people, with no secret in it.
    fn preview(&self, batch: &[&Alert]) -> String;

    /// Looks whether [`send`](Self::send) and [`finish`](Self::finish) could write where they are to, and writes nothing;
    /// what is behind a connection is not looked at.
    ///
    /// # Errors
    /// When they could not; in words without secrets.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Tells the sink how the run went, once, after all deliveries.
    ///
    /// # Errors
    /// When the target cannot be written; in words without secrets.
    fn finish(&mut self, _metrics: &Metrics) -> Result<(), String> {
        Ok(())
    }
}

/// What one call of a sink came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// One outcome per alert, in the order of the batch.
    pub outcomes: Vec<Outcome>,
}

/// What one call came to for one alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The target has it.
    Delivered,
    /// Not now, perhaps later.
    Retry {
        /// How long the target asks to be left alone (`Retry-After`).
        after: Option<Duration>,
        /// What went wrong, in words that hold no secret and no log text.
        why: String,
    },
    /// Not as things are set up: the target takes no call like this, whatever is in it. Somebody has to mend that, and
    /// then all is delivered.
    Denied {
        /// What it answers, as above.
        why: String,
    },
    /// The target says that something is wrong with what was sent.
    Refused {
        /// Why not, as above.
        why: String,
    },
}

impl Outcome {
    /// Returns that something may be better later.
    pub(crate) fn retry(why: impl Into<String>) -> Self {
        Self::Retry {
            after: None,
            why: why.into(),
        }
    }

    /// Returns that the target takes nothing as things are set up.
    pub(crate) fn denied(why: impl Into<String>) -> Self {
        Self::Denied { why: why.into() }
    }

    /// Returns that something is wrong with what was sent.
    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into() }
    }
}

impl Delivery {
    /// Returns the same outcome for all `n` alerts.
    pub fn all(n: usize, outcome: Outcome) -> Self {
        Self {
            outcomes: vec![outcome; n],
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
