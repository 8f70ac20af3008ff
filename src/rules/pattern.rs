//! What a regular expression costs. It never takes more than linear time, but it may be large, or say the same as
//! something cheaper.

/// Characters of an expression before it is called long.
const LONG: usize = 1000;

/// Copies of a part before they are called many.
const COPIES: u64 = 1000;

/// Returns what is dear about an expression, and what to write instead.
pub(super) fn costs(pattern: &str) -> Vec<(String, &'static str)> {
    let mut costs = Vec::new();
    let body = strip_flags(pattern);
    if pattern.chars().count() > LONG {
        let what = format!(
            "an expression of {} characters is dear",
            pattern.chars().count()
        );
        costs.push((what, "a list of values is looked for at once"));
    }
    if body.starts_with(".*") || body.starts_with("^.*") {
        let what = "the expression begins with `.*`, which says nothing".to_owned();
        costs.push((what, "leave it out: expressions are not anchored"));
    }
    let nesting = Nesting::of(body);
    if nesting.is_redundant {
        let what = "a repetition of nothing but a repetition".to_owned();
        costs.push((what, "`(a+)+` says the same as `a+`"));
    }
    if nesting.copies >= COPIES {
        let what = format!(
            "counts within counts make {} copies of a part",
            nesting.copies
        );
        costs.push((what, "an expression is as large as all copies together"));
    }
    costs
}

/// Returns an expression without flags such as `(?i)` at its start.
fn strip_flags(pattern: &str) -> &str {
    let flags = pattern
        .strip_prefix("(?")
        .and_then(|rest| rest.split_once(')'));
    match flags {
        Some((flags, rest)) if flags.chars().all(|flag| flag.is_ascii_alphabetic()) => rest,
        _ => pattern,
    }
}

/// How quantifiers stand within each other.
#[derive(Debug, Clone, Copy, Default)]
struct Nesting {
    /// Whether a group of one repeated part is repeated itself, both without bound.
    is_redundant: bool,
    /// Into how many copies counted repetitions unfold the part that they repeat most.
    copies: u64,
}

/// A group under way.
#[derive(Debug, Clone, Copy, Default)]
struct Group {
    parts: usize,
    /// Whether the last part is repeated without bound.
    is_repeated: bool,
    copies: u64,
}

impl Nesting {
    fn of(pattern: &str) -> Self {
        let mut nesting = Self::default();
        let mut groups = vec![Group::default()];
        let mut closed = None;
        let mut rest = pattern.chars();
        while let Some(sign) = rest.next() {
            let is_inner = groups.len() > 1;
            let group = groups.last_mut().expect("the outermost is never closed");
            match sign {
                '*' | '+' => {
                    let is_same =
                        closed.is_some_and(|group: Group| group.parts == 1 && group.is_repeated);
                    nesting.is_redundant |= is_same;
                    group.is_repeated = true;
                }
                '{' => {
                    let (count, after) = rest.as_str().split_once('}').unwrap_or_default();
                    let most = count
                        .rsplit(',')
                        .find_map(|number| number.trim().parse().ok());
                    let inner = closed.map_or(1, |group: Group| group.copies.max(1));
                    group.copies = group.copies.max(inner.saturating_mul(most.unwrap_or(1)));
                    rest = after.chars();
                }
                '(' => groups.push(Group::default()),
                ')' if is_inner => {
                    closed = groups.pop();
                    let outer = groups.last_mut().expect("the outermost is never closed");
                    outer.copies = outer.copies.max(closed.map_or(0, |group| group.copies));
                    outer.parts += 1;
                    outer.is_repeated = false;
                    continue;
                }
                '?' => {}
                _ => {
                    skip(sign, &mut rest);
                    group.parts += 1;
                    group.is_repeated = false;
                }
            }
            closed = None;
        }
        nesting.copies = groups.iter().map(|group| group.copies).max().unwrap_or(0);
        nesting
    }
}

/// Takes what belongs to a part that begins with `sign`: what is escaped, or the rest of a class.
fn skip(sign: char, rest: &mut std::str::Chars<'_>) {
    if sign == '\\' {
        rest.next();
    } else if sign == '[' {
        while let Some(sign) = rest.next() {
            match sign {
                '\\' => {
                    rest.next();
                }
                ']' => return,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dear_expressions_are_told() {
        fn check(pattern: &str, expected: &[&str]) {
            let costs = costs(pattern);
            let found: Vec<&str> = costs.iter().map(|(what, _)| what.as_str()).collect();
            assert_eq!(found.len(), expected.len(), "{pattern}: {found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.contains(expected), "{pattern}: {found:?}");
            }
        }
        check("^system:(node|serviceaccount):.*$", &[]);
        check("(?i)^.*admin", &["begins with `.*`"]);
        check("(a+)+", &["a repetition of nothing but"]);
        check("((ab*)c)*", &[]);
        check(r"(--\S+\s+)*-x", &[]);
        check(r"x([\]a]+)*", &["a repetition of nothing but"]);
        check("(a{1,50}b){20}", &["make 1000 copies"]);
        check("(a{1,5}b){20}", &[]);
        check(r"(a\+)+", &[]);
        check("([+*])+", &[]);
        check("(a+)?", &[]);
        check(&"a".repeat(1001), &["1001 characters"]);
    }
}
