//! The terminal browser.

pub mod document;
pub mod json;
pub mod pivot;
