//! The terminal browser.

pub mod clock;
pub mod document;
pub mod pivot;
pub mod results;
