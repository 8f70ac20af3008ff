//! The terminal browser.

pub mod card;
pub mod clock;
pub mod document;
pub mod pivot;
pub mod results;
