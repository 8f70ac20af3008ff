//! Lanes in step from run to run: what waits for API servers whose logs have not come as far.

use serde::Deserialize;

use crate::finding::Timestamp;
use crate::source::{Chunk, Start};

/// What is left for a later run: an API server that has not come as far may still log something earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Records later than this wait, in microseconds.
    pub after: i64,
    /// Records later than this do not: they are ahead of the clock, and would wait for ever.
    pub until: i64,
}

impl Hold {
    /// Returns what waits at `now`, if lanes have come as far as `reached` says: what is later than the last record of any
    /// of them. A lane that has said nothing for `lateness_us` keeps no other waiting, so nothing waits longer than that.
    pub fn new(reached: impl IntoIterator<Item = i64>, now: i64, lateness_us: i64) -> Option<Self> {
        let since = now.saturating_sub(lateness_us);
        let live = reached.into_iter().filter(|last| *last > since);
        Some(Self {
            after: live.min()?,
            until: now,
        })
    }

    /// Cuts a chunk, which ends at the place behind it, before the first record that waits; returns whether one does.
    ///
    /// Only events as the API server writes them wait, one a line.
    pub(super) fn cut(self, (chunk, behind): &mut (Chunk, Start)) -> bool {
        if chunk.records.is_some() || chunk.header.is_some() {
            return false;
        }
        let waits = |line: &[u8]| {
            stage_time(line).is_some_and(|ts| (self.after + 1..=self.until).contains(&ts))
        };
        let mut lines = chunk.data.split_inclusive(|byte| *byte == b'\n');
        // Most chunks are long before; logs are nearly in order.
        if !lines.clone().next_back().is_some_and(waits) {
            return false;
        }
        let before: Vec<&[u8]> = lines.by_ref().take_while(|line| !waits(line)).collect();
        let length: usize = before.iter().map(|line| line.len()).sum();
        *behind = Start {
            offset: chunk.offset + length as u64,
            lines: chunk.line - 1 + before.len() as u64,
        };
        chunk.data.truncate(length);
        true
    }
}

/// Returns the time at which an event was logged, if a line is one as the API server writes it.
pub(crate) fn stage_time(line: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Staged {
        #[serde(rename = "stageTimestamp")]
        ts: Timestamp,
    }
    let staged: Staged = serde_json::from_slice(line).ok()?;
    Some(staged.ts.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    #[test]
    fn who_is_silent_keeps_nobody_waiting() {
        let after = |reached: &[i64], now| {
            let hold = Hold::new(reached.iter().copied(), now, 10 * MINUTE);
            hold.map(|hold| hold.after / MINUTE)
        };
        let reached = [100, 103, 109].map(|minutes| minutes * MINUTE);
        assert_eq!(after(&reached, 109 * MINUTE), Some(100));
        assert_eq!(after(&reached, 110 * MINUTE), Some(103));
        assert_eq!(after(&reached, 113 * MINUTE), Some(109));
        assert_eq!(after(&reached, 119 * MINUTE), None);
        assert_eq!(after(&[], 0), None);
    }

    #[test]
    fn a_chunk_is_cut_before_the_first_record_that_waits() {
        let line = |second: i64| {
            let ts = Timestamp(second * 1_000_000);
            format!(
                "{{\"requestObject\":{{\"stageTimestamp\":\"x\"}},\"stageTimestamp\":\"{ts}\"}}\n"
            )
        };
        let kept = |seconds: &[i64]| {
            let text: String = seconds.iter().copied().map(line).collect();
            let place = Start {
                offset: 1000 + text.len() as u64,
                lines: 6 + seconds.len() as u64,
            };
            let chunk = Chunk {
                offset: 1000,
                line: 7,
                data: text.into_bytes(),
                ..Chunk::default()
            };
            let mut next = (chunk, place);
            let hold = Hold {
                after: 10_000_000,
                until: 20_000_000,
            };
            let is_cut = hold.cut(&mut next);
            let (chunk, place) = next;
            assert_eq!(place.offset, 1000 + chunk.data.len() as u64);
            assert_eq!(
                place.lines,
                6 + memchr::memchr_iter(b'\n', &chunk.data).count() as u64
            );
            (is_cut, place.lines - 6)
        };
        assert_eq!(kept(&[8, 9, 10]), (false, 3));
        assert_eq!(kept(&[9, 10, 11, 12]), (true, 2));
        assert_eq!(kept(&[11, 12]), (true, 0));
        // Ahead of the clock.
        assert_eq!(kept(&[9, 21]), (false, 2));
    }
}
