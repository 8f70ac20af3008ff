//! The one integration binary: each further one would link Polars again.

mod corpus;
mod laws;
mod queries;
mod scan;
mod stories;
mod support;
