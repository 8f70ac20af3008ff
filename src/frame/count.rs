//! Counting what repeats within a chunk.

/// Values that are counted without a map; a power of two.
const SLOTS: usize = 128;

/// Counts values, each with a number that most of them have to themselves; `add` is given them, some more than once.
///
/// A few values make up a chunk, and a map costs more than all else that is done with them.
pub(crate) fn count<T: Copy + PartialEq>(
    values: impl Iterator<Item = (u32, T)>,
    mut add: impl FnMut(T, u64),
) {
    let mut slots = [None::<(T, u64)>; SLOTS];
    for (number, value) in values {
        match &mut slots[number as usize % SLOTS] {
            Some((known, count)) if *known == value => *count += 1,
            slot => {
                if let Some((value, count)) = slot.replace((value, 1)) {
                    add(value, count);
                }
            }
        }
    }
    for (value, count) in slots.into_iter().flatten() {
        add(value, count);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn all_are_counted_where_some_share_a_number() {
        let values = || (0..1000_u32).map(|at| at * at % 300);
        let (mut counts, mut expected) = (BTreeMap::new(), BTreeMap::new());
        count(values().map(|value| (value / 2, value)), |value, count| {
            *counts.entry(value).or_insert(0) += count;
        });
        values().for_each(|value| *expected.entry(value).or_insert(0) += 1);
        assert_eq!(counts, expected);
    }
}
