//! Two lists of texts of which one pair has to stand to each other as `fieldref` says.
//!
//! Who writes an event chooses both lists, and a line may hold a million texts: no way here compares every pair of long
//! lists, and none leaves a pair out. What is equal is looked up, what begins or ends so is searched for in order, and what
//! is contained is looked for all at once.

use std::collections::{BTreeSet, HashSet};

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::Operator;

/// So many pairs are compared one by one: to prepare anything would cost more.
const FEW_PAIRS: usize = 64;

/// Bytes of texts that are looked for in one pass: what searches for them takes some fifty times as many.
const BATCH_BYTES: usize = if cfg!(test) { 8 } else { 1 << 20 };

/// Returns whether any of `lefts` stands to any of `rights` as the operator says.
pub(super) fn any(operator: Operator, lefts: &[String], rights: &[String]) -> bool {
    if lefts.len().saturating_mul(rights.len()) <= FEW_PAIRS {
        return any_pair(operator, lefts, rights);
    }
    let bytes = |text: &String| text.as_bytes().to_vec();
    let backwards = |text: &String| text.bytes().rev().collect();
    match operator {
        Operator::Contains => any_contains(lefts, rights),
        Operator::StartsWith => {
            any_starts(lefts.iter().map(bytes), rights.iter().map(bytes).collect())
        }
        Operator::EndsWith => any_starts(
            lefts.iter().map(backwards),
            rights.iter().map(backwards).collect(),
        ),
        _ => {
            let rights: HashSet<&String> = rights.iter().collect();
            lefts.iter().any(|left| rights.contains(left))
        }
    }
}

fn any_pair(operator: Operator, lefts: &[String], rights: &[String]) -> bool {
    let relate = |left: &str, right: &str| match operator {
        Operator::Contains => left.contains(right),
        Operator::StartsWith => left.starts_with(right),
        Operator::EndsWith => left.ends_with(right),
        _ => left == right,
    };
    lefts
        .iter()
        .any(|left| rights.iter().any(|right| relate(left, right)))
}

/// Returns whether any of `lefts` starts with any of `rights`.
fn any_starts(mut lefts: impl Iterator<Item = Vec<u8>>, mut rights: Vec<Vec<u8>>) -> bool {
    rights.sort_unstable();
    // One that starts with another says nothing more. All that start with one stand behind it without a gap, so the only
    // one that a text can start with is the last that is not behind the text.
    rights.dedup_by(|next, kept| next.starts_with(kept));
    lefts.any(|left| {
        let behind = rights.partition_point(|right| *right <= left);
        let candidate = behind.checked_sub(1).map(|at| &rights[at]);
        candidate.is_some_and(|right| left.starts_with(right))
    })
}

/// Returns whether any of `lefts` contains any of `rights`.
fn any_contains(lefts: &[String], rights: &[String]) -> bool {
    let longest = lefts.iter().map(String::len).max().unwrap_or(0);
    let lefts: BTreeSet<&String> = lefts.iter().collect();
    let rights: BTreeSet<&String> = rights
        .iter()
        .filter(|right| right.len() <= longest)
        .collect();
    let mut rights = rights.into_iter().peekable();
    while rights.peek().is_some() {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(right) = rights.next_if(|right| bytes + right.len() <= BATCH_BYTES) {
            bytes += right.len();
            batch.push(right);
        }
        let is_met = if batch.is_empty() {
            // Longer than a batch, so there are few of them.
            let right = rights.next().expect("it was seen just now");
            let finder = memchr::memmem::Finder::new(right.as_bytes());
            lefts
                .iter()
                .any(|left| finder.find(left.as_bytes()).is_some())
        } else {
            let search = AhoCorasick::builder()
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .build(batch)
                .expect("fewer than 2^31 bytes");
            lefts.iter().any(|left| search.is_match(left.as_bytes()))
        };
        if is_met {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn long_lists_are_related_as_pair_by_pair(
            lefts in proptest::collection::vec("[ab\u{e4}]{0,6}", 0..40),
            rights in proptest::collection::vec("[ab\u{e4}]{2,12}|[bc]{0,9}", 0..40),
        ) {
            for operator in [
                Operator::Equal,
                Operator::Contains,
                Operator::StartsWith,
                Operator::EndsWith,
            ] {
                let expected = any_pair(operator, &lefts, &rights);
                proptest::prop_assert_eq!(any(operator, &lefts, &rights), expected, "{:?}", operator);
                // Alone each is seldom met, so one right at a time, and many times.
                for right in &rights {
                    let right = std::slice::from_ref(right);
                    let expected = any_pair(operator, &lefts, right);
                    let many = vec![right[0].clone(); FEW_PAIRS + 1];
                    proptest::prop_assert_eq!(any(operator, &lefts, &many), expected, "{:?}", operator);
                }
            }
        }
    }

    #[test]
    fn long_lists_are_not_compared_pair_by_pair() {
        let texts = |start: &str| -> Vec<String> {
            (0..200_000)
                .map(|n| format!("{start}{n:06}{start}"))
                .collect()
        };
        let (lefts, rights) = (texts("u"), texts("g"));
        let start = std::time::Instant::now();
        for operator in [Operator::Equal, Operator::StartsWith, Operator::EndsWith] {
            assert!(!any(operator, &lefts, &rights));
        }
        // Pair by pair, they are 40 thousand million.
        assert!(start.elapsed().as_secs() < 60);
    }
}
