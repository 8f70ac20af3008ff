//! Credentials: who held what, from where it was used, and what became of it.
//!
//! Comes in: requests in log order. Goes out: the [`Ledger`], one entry per credential by the best key
//! the log offers, the [`deaths`](death) of credentials and, where they are asked for, their [`fates`](fate).
//! Left out on purpose: judgement; the analytics of `detect` draw the conclusions.

pub mod death;
pub mod fate;
pub mod ledger;

pub use death::{Death, Deaths};
pub use fate::Fates;
pub use ledger::{Entry, Horizons, Ledger, Use};
