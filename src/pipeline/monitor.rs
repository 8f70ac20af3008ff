//! Watching and stopping a scan from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How far a scan has come, and whether it should stop. Cloning it gives the same one.
#[derive(Debug, Clone, Default)]
pub struct Monitor {
    shared: Arc<Shared>,
    /// Bytes read from files, as they stand there.
    pub(super) read_bytes: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    total_bytes: AtomicU64,
    events: AtomicU64,
    findings: AtomicU64,
}

/// How far a scan has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Bytes read from files, as they stand there.
    pub read_bytes: u64,
    /// Bytes of all files; 0 as long as they are not known, and for standard input.
    pub total_bytes: u64,
    /// Events.
    pub events: u64,
    /// Findings of single events so far; what rests on many is known at the end only.
    pub findings: u64,
}

impl Monitor {
    /// Asks the scan to stop reading and to report what it knows.
    ///
    /// Returns whether it was asked before.
    pub fn stop(&self) -> bool {
        self.shared.stop.swap(true, Ordering::Relaxed)
    }

    /// Returns whether it was asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    /// Returns how far the scan has come.
    pub fn position(&self) -> Position {
        let Shared {
            total_bytes,
            events,
            findings,
            ..
        } = &*self.shared;
        Position {
            read_bytes: self.read_bytes.load(Ordering::Relaxed),
            total_bytes: total_bytes.load(Ordering::Relaxed),
            events: events.load(Ordering::Relaxed),
            findings: findings.load(Ordering::Relaxed),
        }
    }

    pub(super) fn set_total(&self, bytes: u64) {
        self.shared.total_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn note(&self, events: u64, findings: u64) {
        self.shared.events.store(events, Ordering::Relaxed);
        self.shared.findings.store(findings, Ordering::Relaxed);
    }
}
