//! The terminal browser.

pub mod json;
