//! What a regular expression costs. It never takes more than linear time, but it may be large, or say the same as
//! something cheaper.

/// Characters of an expression before it is called long.
const LONG: usize = 1000;

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
    if has_nested_quantifiers(body) {
        let what = "a quantifier stands within another: the expression grows with their product";
        costs.push((what.to_owned(), "`(a+)+` says the same as `a+`"));
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

/// Returns whether a group that holds an unbounded quantifier is repeated without bound itself.
fn has_nested_quantifiers(pattern: &str) -> bool {
    // By open group: whether it holds a quantifier.
    let mut groups = Vec::new();
    let mut signs = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(sign) = signs.next() {
        match sign {
            '\\' => {
                signs.next();
            }
            '[' => in_class = true,
            ']' => in_class = false,
            _ if in_class => {}
            '(' => groups.push(false),
            ')' => {
                let has_quantifier = groups.pop().unwrap_or(false);
                let is_repeated = matches!(signs.peek(), Some('*' | '+'));
                if has_quantifier && is_repeated {
                    return true;
                }
                // What is in an inner group is in the outer one, too.
                if let Some(outer) = groups.last_mut() {
                    *outer |= has_quantifier;
                }
            }
            '*' | '+' => {
                if let Some(group) = groups.last_mut() {
                    *group = true;
                }
            }
            _ => {}
        }
    }
    false
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
        check("(a+)+", &["within another"]);
        check("((ab*)c)*", &["within another"]);
        check(r"(a\+)+", &[]);
        check("([+*])+", &[]);
        check("(a+)?", &[]);
        check(&"a".repeat(1001), &["1001 characters"]);
    }
}
