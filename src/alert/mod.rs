//! `alert`: one incremental run after the other, and what they leave for each other.
//!
//! ```text
//! cursors ──▶ what is new ──▶ detection, with its memory ──▶ decisions ──▶ one transaction ──▶ sinks
//! ```
//!
//! Comes in: a [`config`]. Goes out: alerts, at least once each, with a key that tells a second copy. The order is what
//! makes it safe: how far the logs were read, what detection remembers of them, what was decided and what is to be sent
//! are stored in one transaction ([`state`]), and only then is anything sent. A run that is killed before has not
//! happened; one that is killed after sends again, with the same keys.
//!
//! The modules in reading order: [`reading`] finds what is new ([`crate::source::follow`]) and detects in it
//! ([`crate::pipeline::Session`]); [`decide`] says what of the findings is told, [`noise`] what is not told all the same;
//! [`stale`] tells of logs that have stopped; [`outbox`] delivers to the sinks ([`sink`]); [`figures`] counts;
//! [`round`] is what a run comes to, and [`run`](run::Runner) joins them.

pub mod config;
pub mod decide;
mod figures;
pub mod inspect;
mod noise;
mod outbox;
mod reading;
mod round;
pub mod run;
pub mod sink;
pub mod stale;
pub mod state;
