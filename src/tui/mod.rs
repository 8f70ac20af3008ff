//! The terminal browser.
//!
//! ```text
//! keys, answers, news ─▶ Event ─update─▶ App ─draw─▶ screen
//!        ▲                         │
//!        └── workers, ingest ◀── Effect
//! ```
//!
//! [`update`] changes the state and asks for work; [`view`] draws the state; workers and the thread that reads the log
//! answer with events. Nothing on the thread that draws reads a log, asks SQL or waits, so a key is answered at once
//! however large the log is. Log text is cleaned where it enters a [`document`] or is fitted into columns ([`text`]).

pub mod app;
pub mod aspect;
pub mod card;
pub mod cells;
pub mod chips;
pub mod clock;
pub mod document;
pub mod grid;
pub mod growth;
pub mod ingest;
pub mod json;
pub mod keymap;
pub mod layout;
pub mod pivot;
pub mod results;
pub mod run;
pub mod terminal;
#[cfg(test)]
mod tests;
pub mod text;
pub mod theme;
pub mod update;
pub mod view;
pub mod work;
pub mod worker;
