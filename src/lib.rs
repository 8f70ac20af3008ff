//! kubescry reads Kubernetes API audit logs and says who should not be trusted any more, and why.
//!
//! ```text
//! source → decode → frame → detect → finding → report | browse
//! ```
//!
//! The modules in reading order: [`source`] turns paths into chunks of whole lines, [`decode`] lines
//! into events, [`frame`] events into columns; [`rules`] reads what to look for, [`detect`] looks for
//! it, with the [`credential`] ledger as its memory; a [`finding`] is what it says, [`report`] prints
//! it, [`pipeline`] joins the stages. A [`store`] keeps events for those who ask ([`query`]) and look
//! ([`tui`]), a [`case`] what an investigator adds. [`alert`]
//! runs again and again, and sends what is new. [`trial`] tries a rule on test events, [`lint`] says
//! what is wrong with one, and [`cli`] is the program.

pub mod alert;
pub mod case;
pub mod cli;
pub mod credential;
pub mod decode;
pub mod detect;
pub mod finding;
pub mod frame;
pub mod lint;
mod memory;
pub mod pipeline;
mod private;
pub mod query;
pub mod redact;
pub mod report;
pub mod rules;
pub mod source;
pub mod store;
pub mod trial;
pub mod tui;
