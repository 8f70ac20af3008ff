//! Records seen before: equal content is a duplicate.
//!
//! A log is nearly in order, and a duplicate has the time of its original. So what is younger than all
//! before it is new without a look; what is not is looked for among the records since its time. Only
//! where that is far back (the same log given twice, one after the other) a hash set takes over.

use std::collections::VecDeque;

use hashbrown::HashSet;
use serde::{Deserialize, Serialize};

use crate::memory::{Broken, Reader, Remember, Writer};

/// How many records back the plain list is searched before a set takes over.
const LOOK_BACK: usize = 4096;

/// Content hashes of records; knows at least the last `window` of them.
pub(super) struct Seen {
    window: usize,
    known: Known,
}

enum Known {
    /// Of each record the latest time so far, which never falls, and its hash.
    InOrder(VecDeque<(i64, u64)>),
    /// Two generations; the older goes when the younger is full.
    Set {
        young: HashSet<u64>,
        old: HashSet<u64>,
    },
}

/// What is written: hashes as they stand, since they have no small numbers among them.
#[derive(Serialize, Deserialize)]
enum Written {
    /// Of each record how much later it is than the one before it, and its hash.
    InOrder(i64, Vec<(u64, [u8; 8])>),
    Set {
        young: Vec<[u8; 8]>,
        old: Vec<[u8; 8]>,
    },
}

impl Remember for Seen {
    fn write(&self, memory: &mut Writer) {
        let hashes = |set: &HashSet<u64>| set.iter().map(|hash| hash.to_le_bytes()).collect();
        memory.put(&match &self.known {
            Known::InOrder(records) => {
                let first = records.front().map_or(0, |&(ts, _)| ts);
                let mut before = first;
                let records = records.iter().map(|&(ts, hash)| {
                    let later = ts.wrapping_sub(std::mem::replace(&mut before, ts));
                    (later.cast_unsigned(), hash.to_le_bytes())
                });
                Written::InOrder(first, records.collect())
            }
            Known::Set { young, old } => Written::Set {
                young: hashes(young),
                old: hashes(old),
            },
        });
    }

    fn read(&mut self, memory: &mut Reader<'_>) -> Result<(), Broken> {
        let hashes = |list: Vec<[u8; 8]>| list.into_iter().map(u64::from_le_bytes).collect();
        self.known = match memory.take()? {
            Written::InOrder(first, records) => {
                let mut before = first;
                let records = records.into_iter().map(|(later, hash)| {
                    before = before.wrapping_add(later.cast_signed());
                    (before, u64::from_le_bytes(hash))
                });
                Known::InOrder(records.collect())
            }
            Written::Set { young, old } => Known::Set {
                young: hashes(young),
                old: hashes(old),
            },
        };
        Ok(())
    }
}

impl Seen {
    pub(super) fn new(window: usize) -> Self {
        Self {
            window,
            // All of it at once: pages that are never reached cost nothing, growing copies those that are.
            known: Known::InOrder(VecDeque::with_capacity(window)),
        }
    }

    /// Takes in the record with content `hash` of time `ts`; returns whether it is new.
    pub(super) fn insert(&mut self, ts: i64, hash: u64) -> bool {
        if let Known::InOrder(records) = &mut self.known {
            let latest = records.back().map_or(i64::MIN, |&(latest, _)| latest);
            let mut since = records
                .iter()
                .rev()
                .take_while(|&&(latest, _)| latest >= ts);
            let is_known = since
                .by_ref()
                .take(LOOK_BACK)
                .any(|&(_, other)| other == hash);
            if is_known {
                return false;
            }
            if since.next().is_none() {
                if records.len() >= self.window {
                    records.pop_front();
                }
                records.push_back((latest.max(ts), hash));
                return true;
            }
            let old = records.iter().map(|&(_, hash)| hash).collect();
            let young = HashSet::new();
            self.known = Known::Set { young, old };
        }
        let Known::Set { young, old } = &mut self.known else {
            return true;
        };
        if old.contains(&hash) || !young.insert(hash) {
            return false;
        }
        if young.len() >= self.window {
            // The older one's room serves again: growing anew costs more than the look-ups.
            std::mem::swap(young, old);
            young.clear();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inserts records of (time, hash); returns which were new.
    fn insert(seen: &mut Seen, records: impl IntoIterator<Item = (i64, u64)>) -> Vec<bool> {
        let insert = |(ts, hash)| seen.insert(ts, hash);
        records.into_iter().map(insert).collect()
    }

    #[test]
    fn late_duplicates_are_known() {
        let mut seen = Seen::new(100);
        let records = [
            (5, 1),
            (9, 2),
            (7, 3),
            (7, 3),
            (9, 4),
            (5, 1),
            (9, 2),
            (6, 5),
        ];
        let new = insert(&mut seen, records);
        assert_eq!(new, [true, true, true, false, true, false, false, true]);
        assert!(matches!(seen.known, Known::InOrder(_)));
    }

    #[test]
    fn a_log_given_twice_counts_once() {
        let log = || (0..20_000_u64).map(|n| (n.cast_signed(), n));
        let mut seen = Seen::new(1 << 20);
        assert!(insert(&mut seen, log()).iter().all(|&new| new));
        assert!(insert(&mut seen, log()).iter().all(|&new| !new));
        assert!(matches!(seen.known, Known::Set { .. }));
    }

    #[test]
    fn what_is_written_is_known_by_who_reads_it() {
        let log = |from: i64| (from..from + 9_000).map(|n| (n / 3, n.cast_unsigned() << 40));
        for twice in [false, true] {
            let mut old = Seen::new(1 << 20);
            insert(&mut old, log(-5));
            if twice {
                insert(&mut old, log(-5));
            }
            let mut memory = Writer::default();
            old.write(&mut memory);
            let bytes = memory.finish();
            let mut new = Seen::new(1 << 20);
            new.read(&mut Reader::new(&bytes)).unwrap();
            assert_eq!(matches!(new.known, Known::Set { .. }), twice);
            assert!(insert(&mut new, log(-5)).iter().all(|&new| !new));
            assert!(insert(&mut new, log(9_000)).iter().all(|&new| new));
        }
    }

    #[test]
    fn what_has_no_time_is_still_known() {
        let mut seen = Seen::new(1 << 20);
        let records: Vec<_> = (0..10_000).map(|n| (0, n)).collect();
        assert!(insert(&mut seen, records.clone()).iter().all(|&new| new));
        assert!(insert(&mut seen, records).iter().all(|&new| !new));
    }
}
