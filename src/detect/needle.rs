//! Needles: texts of which one stands wherever a test holds.
//!
//! To look for the needles of all tests at once is much cheaper than to run the tests, and hardly any of them holds.
//! Needles are in lower case and speak of ASCII texts only, where lower case is simple.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use regex_syntax::hir::{Class, Hir, HirKind};

/// A needle must be at least that long: shorter ones stand everywhere.
const SHORTEST: usize = 3;

/// A needle of that length is rare.
const ENOUGH: usize = 6;

/// Needles of one test.
const MOST: usize = 256;

/// Texts that are followed through an expression.
const FOLLOWED: usize = 64;

/// Returns whether looking for `needles` is of use.
pub(super) fn are_of_use(needles: &[String]) -> bool {
    needles.len() <= MOST && shortest(needles) >= SHORTEST
}

fn shortest(needles: &[String]) -> usize {
    needles.iter().map(String::len).min().unwrap_or(0)
}

/// Returns the needles of a regular expression.
pub(super) fn of(expression: &Hir) -> Option<Vec<String>> {
    let part = Part::of(expression);
    part.exact
        .filter(|exact| are_of_use(exact))
        .or(part.needles)
}

/// What a part of an expression asks for.
#[derive(Default)]
struct Part {
    /// All that it matches, if that is little.
    exact: Option<Vec<String>>,
    /// What stands in all that it matches.
    needles: Option<Vec<String>>,
}

impl Part {
    fn exact(texts: Vec<String>) -> Self {
        Self {
            exact: Some(texts),
            needles: None,
        }
    }

    fn of(expression: &Hir) -> Self {
        match expression.kind() {
            HirKind::Empty | HirKind::Look(_) => Self::exact(vec![String::new()]),
            HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
                Ok(text) => Self::exact(vec![text.to_lowercase()]),
                Err(_) => Self::default(),
            },
            HirKind::Class(class) => character(class).map_or_else(Self::default, |character| {
                Self::exact(vec![character.to_string()])
            }),
            HirKind::Capture(capture) => Self::of(&capture.sub),
            HirKind::Repetition(repetition) if repetition.min == 0 => {
                match Self::of(&repetition.sub).exact {
                    Some(mut texts) if repetition.max == Some(1) => {
                        texts.push(String::new());
                        Self::exact(texts)
                    }
                    _ => Self::default(),
                }
            }
            HirKind::Repetition(repetition) => Self {
                exact: None,
                needles: of(&repetition.sub),
            },
            HirKind::Concat(parts) => Self::joined(parts),
            HirKind::Alternation(parts) => Self::any(parts),
        }
    }

    /// Returns what parts ask for that follow each other.
    fn joined(parts: &[Hir]) -> Self {
        let mut exact = vec![String::new()];
        let mut is_exact = true;
        let mut best: Option<Vec<String>> = None;
        let mut offer = |needles: Vec<String>| {
            // Longer ones are rarer, up to a point; fewer ones are found faster.
            let rank =
                |needles: &Vec<String>| (shortest(needles).min(ENOUGH), Reverse(needles.len()));
            let is_better = |best: &Vec<String>| rank(&needles) > rank(best);
            if are_of_use(&needles) && best.as_ref().is_none_or(is_better) {
                best = Some(needles);
            }
        };
        for part in parts {
            let part = Self::of(part);
            match part.exact {
                Some(texts) if texts.len() * exact.len() <= FOLLOWED => {
                    let longer = |head: &String| {
                        let head = head.clone();
                        texts.iter().map(move |tail| format!("{head}{tail}"))
                    };
                    exact = exact.iter().flat_map(longer).collect();
                }
                other => {
                    is_exact = false;
                    offer(std::mem::replace(&mut exact, vec![String::new()]));
                    other.or(part.needles).into_iter().for_each(&mut offer);
                }
            }
        }
        if is_exact {
            return Self::exact(exact);
        }
        offer(exact);
        Self {
            exact: None,
            needles: best,
        }
    }

    /// Returns what parts ask for of which one matches.
    fn any(parts: &[Hir]) -> Self {
        let parts: Vec<Self> = parts.iter().map(Self::of).collect();
        let exact: Option<Vec<&Vec<String>>> =
            parts.iter().map(|part| part.exact.as_ref()).collect();
        if let Some(exact) = exact
            && exact.iter().map(|texts| texts.len()).sum::<usize>() <= FOLLOWED
        {
            return Self::exact(exact.into_iter().flatten().cloned().collect());
        }
        let needles = parts.into_iter().map(|part| part.exact.or(part.needles));
        let needles: Option<Vec<_>> = needles.collect();
        Self {
            exact: None,
            needles: needles
                .map(|needles| needles.concat())
                .filter(|all| are_of_use(all)),
        }
    }
}

/// Returns the one ASCII character of a class, in lower case.
///
/// More of them would make many needles of one that is rare enough without.
fn character(class: &Class) -> Option<char> {
    let is_in = |byte: u8| match class {
        Class::Unicode(class) => {
            let mut ranges = class.ranges().iter();
            ranges.any(|range| (range.start()..=range.end()).contains(&char::from(byte)))
        }
        Class::Bytes(class) => {
            let mut ranges = class.ranges().iter();
            ranges.any(|range| (range.start()..=range.end()).contains(&byte))
        }
    };
    let bytes = (0..=0x7f).filter(|byte| is_in(*byte));
    let characters: BTreeSet<u8> = bytes.map(|byte| byte.to_ascii_lowercase()).collect();
    let first = characters.first().filter(|_| characters.len() == 1);
    first.map(|byte| char::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needles(pattern: &str) -> Option<Vec<String>> {
        of(&regex_syntax::parse(pattern).unwrap())
    }

    #[test]
    fn an_expression_asks_for_its_longest_texts() {
        let of = |pattern, expected: &[&str]| {
            let mut found = needles(pattern).unwrap_or_default();
            found.sort_unstable();
            let mut expected: Vec<&str> = expected.to_vec();
            expected.sort_unstable();
            assert_eq!(found, expected, "{pattern}");
        };
        of(
            "^/(debug/(pprof|flags)|logs)([/?]|$)",
            &["/debug/pprof", "/debug/flags", "/logs"],
        );
        of(
            "(?i:[?&](Access|id)_token)=.*",
            &["access_token=", "id_token="],
        );
        of("x*[a-z]+needle[0-9]{2}hay", &["needle"]);
        of("api_?key", &["api_key", "apikey"]);
        of("(?:abcd)+", &["abcd"]);
        of("\\S+(?:one[a-z]|two\\d)x?", &["one", "two"]);
        // The Kelvin sign is no ASCII.
        of("(?i)kind", &["kind"]);
    }

    #[test]
    fn what_may_match_anything_asks_for_nothing() {
        for pattern in ["", ".*", "[a-z]+", "ab", "abc|x*", "(?:abc)?", "(?:abc)*"] {
            assert_eq!(needles(pattern), None, "{pattern}");
        }
    }
}
