//! A cache from pieces of a record to what they mean: most pieces repeat from line to line.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

/// Pieces of a [`Memo`]; a power of two.
const SLOTS: usize = 2048;

/// Longest piece that is kept, so that a memo stays under 4 MiB.
const LONGEST: usize = 2048;

/// A two-way associative cache, keyed by the exact text of a piece.
///
/// Comparing a piece with the one seen before is much cheaper than reading it. Hash collisions cost
/// time only: a value is returned for equal text alone.
pub(super) struct Memo<T> {
    slots: Box<[Slot<T>]>,
    hasher: RandomState,
}

#[derive(Clone)]
struct Slot<T> {
    hash: u64,
    text: String,
    value: T,
}

impl<T: Copy + Default> Memo<T> {
    pub(super) fn new() -> Self {
        let empty = Slot {
            hash: 0,
            text: String::new(),
            value: T::default(),
        };
        Self {
            slots: vec![empty; SLOTS].into_boxed_slice(),
            hasher: RandomState::default(),
        }
    }

    /// Returns what `text` means, if it is known, and its place.
    pub(super) fn get(&mut self, text: &str) -> Option<(u32, &mut T)> {
        let (hash, at) = self.place(text);
        let is_it = |slot: &Slot<T>| slot.hash == hash && slot.text == text;
        let at = if is_it(&self.slots[at]) { at } else { at ^ 1 };
        let slot = &mut self.slots[at];
        is_it(slot).then_some((number(at), &mut slot.value))
    }

    /// Returns the two places where something may stand that once stood at `place`.
    pub(super) fn ways(place: u32) -> [u32; 2] {
        [place, place ^ 1]
    }

    /// Returns what stands at a place: whatever was kept there last.
    pub(super) fn at(&mut self, place: u32) -> &mut T {
        &mut self.slots[place as usize].value
    }

    /// Keeps what `text` means; returns its place, unless it is too long for that.
    pub(super) fn insert(&mut self, text: &str, value: T) -> Option<u32> {
        // The empty text is what an empty slot holds.
        if text.len() > LONGEST || text.is_empty() {
            return None;
        }
        let (hash, at) = self.place(text);
        self.slots.swap(at, at ^ 1);
        let slot = &mut self.slots[at];
        slot.hash = hash;
        slot.text.clear();
        slot.text.push_str(text);
        slot.value = value;
        Some(number(at))
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low bits are meant")]
    #[inline]
    fn place(&self, text: &str) -> (u64, usize) {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(text.as_bytes());
        let hash = hasher.finish();
        (hash, hash as usize % SLOTS)
    }
}

fn number(at: usize) -> u32 {
    u32::try_from(at).expect("slots are few")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_exactly_what_it_was_told() {
        let mut memo = Memo::new();
        let mut known = 0;
        for round in 0..2 {
            for number in 0..5_000_u32 {
                let text = format!("text {number}");
                if let Some((_, value)) = memo.get(&text) {
                    assert_eq!(*value, number);
                    known += round;
                }
                memo.insert(&text, number);
                let found = memo.get(&text).map(|(place, value)| (place, *value));
                let (place, value) = found.expect("it was just kept");
                assert_eq!((value, *memo.at(place)), (number, number), "round {round}");
            }
        }
        assert!((1..5_000).contains(&known), "bounded, and of use: {known}");
    }

    #[test]
    fn long_and_empty_texts_are_not_kept() {
        let mut memo = Memo::new();
        for text in [String::new(), "x".repeat(LONGEST + 1)] {
            memo.insert(&text, 1_u32);
            assert!(memo.get(&text).is_none_or(|(_, value)| *value != 1));
        }
    }
}
