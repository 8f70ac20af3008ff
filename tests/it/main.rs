//! The one integration binary: each further one would link Polars again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod alert;
mod behaviour;
#[cfg(target_os = "linux")]
mod browse;
mod corpus;
mod custody;
mod grants;
mod help;
mod incidents;
mod ingest;
mod json_texts;
mod laws;
mod oracle;
mod pipe;
mod queries;
mod questions;
mod reread;
mod resume;
mod rules;
mod scan;
mod shapes;
mod stories;
mod support;
