//! The terminal browser.

pub mod card;
pub mod clock;
pub mod document;
pub mod json;
pub mod pivot;
pub mod results;
