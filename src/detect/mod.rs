//! Detection: rules and frames to hits.
//!
//! Comes in: a [`crate::rules::RuleSet`], once, and an [`crate::frame::EventFrame`] with the text it
//! was decoded from, per chunk. Goes out: [`evaluate::Hits`], rows and the rules that hold there. Knows
//! neither terminal nor file system.
//!
//! The semantics of Sigma 2.1, and where it is silent ours:
//!
//! - Texts ignore case unless `cased` or `re`; numbers and numeric texts are equal.
//! - A field that an event lacks matches nothing; so `not` and `neq` hold there. `null` is absent or
//!   null, `''` is present and empty; in columns both are the same null.
//! - A list matches if any element does, each test on its own. Same-element tests are written with the
//!   array blocks of Sigma enhancement proposal 212 (`containers[any]:`, with `sigma-version: 3`).
//! - Keys may hold dots: a path takes the shortest key first at every object ([`path`]).
//! - A keyword is looked for in the record's raw text, as it stands in the log.
//!
//! How it is fast: every distinct test of all rules stands once ([`compile`]), and a test of a coded column runs once
//! per distinct value of the run. Rows for which the same of these hold are of one class, for which it is worked out
//! once what is left of the rules; what reads text or bodies runs on rows where it still matters, bodies parsed last and
//! once per row for all rules ([`evaluate`]).

pub mod analytics;
pub mod check;
mod class;
pub mod compile;
mod correlate;
pub mod coverage;
mod encode;
pub mod engine;
pub mod evaluate;
pub mod explain;
pub mod feed;
pub mod field;
pub mod fold;
mod habit;
pub mod json;
mod leaf;
pub mod makers;
pub mod matcher;
pub mod members;
pub mod modifier;
mod needle;
pub mod outline;
pub mod path;
pub mod rbac;
pub mod request;
mod row;
pub mod sample;
mod screen;
mod seen;
mod summary;
pub mod supply;
pub mod tally;
pub(crate) mod templates;
pub mod trace;
pub mod tree;
pub mod value;
pub mod view;
pub mod watch;
mod workload;

pub use compile::{CompileError, CompiledRules};
pub use evaluate::{Hit, Hits};
pub use field::Field;

#[cfg(test)]
mod tests;
