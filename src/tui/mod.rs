//! The terminal browser.

pub mod document;
pub mod pivot;
