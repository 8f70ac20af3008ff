//! Words that were misspelt, and those that were meant.

/// How alike two words are for one to be taken for the other, from 0 to 1.
const LIKENESS: f64 = 0.6;

/// Returns the one of `known` that is most like `word`, if it is like enough.
pub fn closest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let likeness = |other: &str| strsim::normalized_damerau_levenshtein(word, other);
    let best = known.map(|other| (likeness(other), other));
    let best = best.max_by(|(left, _), (right, _)| left.total_cmp(right))?;
    (best.0 >= LIKENESS).then_some(best.1)
}
