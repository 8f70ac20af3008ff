//! Stand-in.
pub mod config;
pub mod sink;
