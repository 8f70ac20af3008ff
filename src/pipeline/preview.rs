//! Telling on the way what a scan has found so far.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::detect::engine::Outcome;
use crate::report::Summary;

/// Takes in what would be found if the log ended where it has been read to.
type Tell = dyn Fn(Outcome, Summary) + Send + Sync;

/// Who is told.
#[derive(Clone)]
pub struct Preview(Arc<Tell>);

impl fmt::Debug for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Preview")
    }
}

impl Preview {
    /// Returns one that calls `tell` now and then, on a thread that merges.
    pub fn new(tell: impl Fn(Outcome, Summary) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(super) fn tell(&self, outcome: Outcome, summary: Summary) {
        (self.0)(outcome, summary);
    }
}

/// How long after the beginning the first preview comes.
const FIRST: Duration = Duration::from_millis(300);

/// How many times as long as a preview took the next one waits, so that all of them cost little beside reading.
const WAIT: u32 = 20;

/// How often is looked whether a preview is due, while nothing comes that could tell of it.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// When the next preview is due.
pub(super) struct Due {
    at: Instant,
    /// Whether there is something that the last one did not tell.
    has_news: bool,
}

impl Due {
    pub(super) fn start() -> Self {
        Self {
            at: Instant::now() + FIRST,
            has_news: false,
        }
    }

    /// Notes that there is something to tell.
    pub(super) fn note(&mut self) {
        self.has_news = true;
    }

    pub(super) fn is_now(&self) -> bool {
        self.has_news && Instant::now() >= self.at
    }

    /// Puts the next one off, by how long this one took since `began`.
    pub(super) fn put_off(&mut self, began: Instant) {
        self.has_news = false;
        self.at = Instant::now() + (began.elapsed() * WAIT).max(FIRST * 3);
    }
}
