//! Records seen before: one with the same key is a duplicate.
//!
//! A log is nearly in order, and a duplicate has the time of its original. So what is younger than all
//! before it is new without a look; what is not is looked for among the records since its time. Only
//! where that is far back (the same log given twice, one after the other) a hash set takes over.
//!
//! They are most of what is remembered of a large log, so they are written in blocks, of which a whole one is never
//! written again.

use std::collections::VecDeque;

use hashbrown::HashSet;
use serde::{Deserialize, Serialize};

use crate::memory::{Broken, Reader, Remember, Writer};

/// How many records back the plain list is searched before a set takes over.
const LOOK_BACK: usize = 4096;

/// How many records a block has.
const BLOCK: u64 = 1 << 15;

/// Name of the part with the older generation.
const OLD: &str = "seen.old";

/// Name of the part with the younger generation.
const YOUNG: &str = "seen.young";

/// Keys of records; knows at least the last `window` of them.
pub(super) struct Seen {
    window: usize,
    known: Known,
    /// How many records in order have come and gone: the number of the first that is known.
    gone: u64,
    /// Below this number, records in order are in blocks that were read.
    stored: u64,
    /// Whether the older generation is the one that was read.
    is_old_stored: bool,
}

enum Known {
    /// Of each record the latest time so far, which never falls, and its key.
    InOrder(VecDeque<(i64, u64)>),
    /// Two generations; the older goes when the younger is full.
    Set {
        young: HashSet<u64>,
        old: HashSet<u64>,
    },
}

/// What is written before the blocks or generations.
#[derive(Serialize, Deserialize)]
enum Form {
    /// Numbers of the first record that is known, and of the one behind the last.
    InOrder(u64, u64),
    Set,
}

/// A block of records in order. Hashes are written as they stand, since they have no small numbers among them.
#[derive(Serialize, Deserialize)]
struct Block {
    /// Number of the first record.
    number: u64,
    /// Time of the first record.
    first: i64,
    /// Of each record how much later it is than the one before it, and its key.
    records: Vec<(u64, [u8; 8])>,
}

impl Block {
    fn of(number: u64, records: impl Iterator<Item = (i64, u64)>) -> Self {
        let mut records = records.peekable();
        let first = records.peek().map_or(0, |&(ts, _)| ts);
        let mut before = first;
        let records = records.map(|(ts, key)| {
            let later = ts.wrapping_sub(std::mem::replace(&mut before, ts));
            (later.cast_unsigned(), key.to_le_bytes())
        });
        Self {
            number,
            first,
            records: records.collect(),
        }
    }

    fn records(self) -> impl Iterator<Item = (i64, u64)> {
        let mut before = self.first;
        self.records.into_iter().map(move |(later, key)| {
            before = before.wrapping_add(later.cast_signed());
            (before, u64::from_le_bytes(key))
        })
    }

    /// Returns the name of the part that a block is.
    fn name(block: u64) -> String {
        format!("seen.{block}")
    }
}

/// What is known is in parts of their own, behind which the part that is under way does not go on.
impl Remember for Seen {
    fn write(&self, memory: &mut Writer) {
        match &self.known {
            Known::InOrder(records) => {
                let end = self.gone + records.len() as u64;
                memory.put(&Form::InOrder(self.gone, end));
                for block in self.gone / BLOCK..end.div_ceil(BLOCK) {
                    let name = Block::name(block);
                    if (block + 1) * BLOCK <= self.stored {
                        memory.keep(name);
                        continue;
                    }
                    memory.part(name);
                    let from = self.gone.max(block * BLOCK);
                    let to = end.min((block + 1) * BLOCK);
                    let place = |number: u64| {
                        usize::try_from(number - self.gone).expect("a place in a list")
                    };
                    let records = records.range(place(from)..place(to)).copied();
                    memory.put(&Block::of(from, records));
                }
            }
            Known::Set { young, old } => {
                memory.put(&Form::Set);
                if self.is_old_stored {
                    memory.keep(OLD);
                } else {
                    memory.part(OLD);
                    memory.put(&keys(old));
                }
                memory.part(YOUNG);
                memory.put(&keys(young));
            }
        }
    }

    fn read(&mut self, memory: &mut Reader<'_>) -> Result<(), Broken> {
        match memory.take()? {
            Form::InOrder(gone, end) => {
                let mut records = VecDeque::new();
                let blocks = gone / BLOCK..end.div_ceil(BLOCK);
                for number in blocks {
                    memory.part(&Block::name(number))?;
                    let block: Block = memory.take()?;
                    let known = usize::try_from(gone.saturating_sub(block.number));
                    records.extend(block.records().skip(known.unwrap_or(usize::MAX)));
                }
                if end.checked_sub(gone) != Some(records.len() as u64) {
                    return Err(Broken::DeserializeUnexpectedEnd);
                }
                (self.gone, self.stored) = (gone, end / BLOCK * BLOCK);
                self.known = Known::InOrder(records);
            }
            Form::Set => {
                let mut generation = |name| -> Result<HashSet<u64>, Broken> {
                    memory.part(name)?;
                    let keys: Vec<[u8; 8]> = memory.take()?;
                    Ok(keys.into_iter().map(u64::from_le_bytes).collect())
                };
                let (old, young) = (generation(OLD)?, generation(YOUNG)?);
                self.is_old_stored = true;
                self.known = Known::Set { young, old };
            }
        }
        Ok(())
    }
}

fn keys(set: &HashSet<u64>) -> Vec<[u8; 8]> {
    set.iter().map(|key| key.to_le_bytes()).collect()
}

impl Seen {
    pub(super) fn new(window: usize) -> Self {
        Self {
            window,
            // All of it at once: pages that are never reached cost nothing, growing copies those that are.
            known: Known::InOrder(VecDeque::with_capacity(window)),
            gone: 0,
            stored: 0,
            is_old_stored: false,
        }
    }

    /// Takes in the record with key `key` of time `ts`; returns whether it is new.
    pub(super) fn insert(&mut self, ts: i64, key: u64) -> bool {
        if let Known::InOrder(records) = &mut self.known {
            let latest = records.back().map_or(i64::MIN, |&(latest, _)| latest);
            let mut since = records
                .iter()
                .rev()
                .take_while(|&&(latest, _)| latest >= ts);
            let is_known = since
                .by_ref()
                .take(LOOK_BACK)
                .any(|&(_, other)| other == key);
            if is_known {
                return false;
            }
            if since.next().is_none() {
                if records.len() >= self.window {
                    records.pop_front();
                    self.gone += 1;
                }
                records.push_back((latest.max(ts), key));
                return true;
            }
            let old = records.iter().map(|&(_, key)| key).collect();
            let young = HashSet::new();
            self.known = Known::Set { young, old };
        }
        let Known::Set { young, old } = &mut self.known else {
            return true;
        };
        if old.contains(&key) || !young.insert(key) {
            return false;
        }
        if young.len() >= self.window {
            // The older one's room serves again: growing anew costs more than the look-ups.
            std::mem::swap(young, old);
            young.clear();
            self.is_old_stored = false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Parts;

    /// Inserts records of (time, key); returns which were new.
    fn insert(seen: &mut Seen, records: impl IntoIterator<Item = (i64, u64)>) -> Vec<bool> {
        let insert = |(ts, key)| seen.insert(ts, key);
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
            let mut parts = Parts::new();
            keep(&old, &mut parts);
            let mut new = recalled(&parts, 1 << 20);
            assert_eq!(matches!(new.known, Known::Set { .. }), twice);
            assert!(insert(&mut new, log(-5)).iter().all(|&new| !new));
            assert!(insert(&mut new, log(9_000)).iter().all(|&new| new));
        }
    }

    /// Takes what a part of it has to be written of into `parts`; returns the names of those that were written.
    fn keep(seen: &Seen, parts: &mut Parts) -> Vec<String> {
        let mut memory = Writer::default();
        memory.part("form");
        seen.write(&mut memory);
        let all = memory.finish();
        parts.retain(|known, _| all.iter().any(|(name, _)| name == known));
        let written = all.into_iter().filter_map(|(name, bytes)| {
            let is_new = bytes.is_some();
            match bytes {
                Some(bytes) => drop(parts.insert(name.clone(), bytes)),
                None => assert!(parts.contains_key(&name)),
            }
            (is_new && name != "form").then_some(name)
        });
        written.collect()
    }

    fn recalled(parts: &Parts, window: usize) -> Seen {
        let mut memory = Reader::within(parts, &[]);
        memory.part("form").unwrap();
        let mut seen = Seen::new(window);
        seen.read(&mut memory).unwrap();
        assert!(memory.is_at_end());
        seen
    }

    #[test]
    fn what_is_whole_is_written_once() {
        let (block, window) = (BLOCK.cast_signed(), 3 * BLOCK);
        let log = |from: i64, to: i64| (from..to).map(|n| (n, n.cast_unsigned()));
        let mut parts = Parts::new();
        let window = usize::try_from(window).unwrap();
        let mut all = Seen::new(window);
        let mut at = 0;
        for (to, expected) in [
            (10, &["seen.0"][..]),
            (block + 5, &["seen.0", "seen.1"]),
            (block + 6, &["seen.1"]),
            (2 * block, &["seen.1"]),
            (2 * block, &[]),
            (4 * block + 7, &["seen.2", "seen.3", "seen.4"]),
            (4 * block + 8, &["seen.4"]),
        ] {
            let mut seen = match at {
                0 => Seen::new(window),
                _ => recalled(&parts, window),
            };
            insert(&mut all, log(at, to));
            insert(&mut seen, log(at, to));
            assert_eq!(keep(&seen, &mut parts), expected, "up to {to}");
            at = to;
        }
        assert!(!parts.contains_key("seen.0"), "nobody knows it any more");
        let seen = recalled(&parts, window);
        let known = |seen: &Seen| match &seen.known {
            Known::InOrder(records) => (seen.gone, records.clone()),
            Known::Set { .. } => panic!("it was in order"),
        };
        assert_eq!(known(&seen), known(&all));
    }

    #[test]
    fn the_older_generation_is_written_once() {
        let log = || (0..9_000_u64).map(|n| (n.cast_signed(), n));
        let mut seen = Seen::new(10_000);
        insert(&mut seen, log());
        insert(&mut seen, log());
        let mut parts = Parts::new();
        assert_eq!(keep(&seen, &mut parts), [OLD, YOUNG]);
        let mut seen = recalled(&parts, 10_000);
        insert(&mut seen, [(9, 1 << 50)]);
        assert_eq!(keep(&seen, &mut parts), [YOUNG]);
        let mut seen = recalled(&parts, 10_000);
        insert(&mut seen, (0..10_000).map(|n| (9, 1 << 40 | n)));
        assert_eq!(keep(&seen, &mut parts), [OLD, YOUNG]);
    }

    #[test]
    fn what_has_no_time_is_still_known() {
        let mut seen = Seen::new(1 << 20);
        let records: Vec<_> = (0..10_000).map(|n| (0, n)).collect();
        assert!(insert(&mut seen, records.clone()).iter().all(|&new| new));
        assert!(insert(&mut seen, records).iter().all(|&new| !new));
    }
}
