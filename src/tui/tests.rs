//! The browser played without a terminal: keys go in, screens come out.

mod bugs;
mod findings;
mod guide;
mod hostile;
mod hostile_log;
mod log;
mod offers;
mod play;
mod random;
mod screens;
mod sql;
mod stale;
mod themes;

use log::Log;
use play::Play;
