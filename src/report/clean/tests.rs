//! What hostile text becomes.

use super::*;

#[test]
fn hidden_text_becomes_visible() {
    fn check(input: &str, expected: &str) {
        assert_eq!(clean(input), expected);
        assert_eq!(clean(expected), expected, "a second pass changes nothing");
    }
    check("", "");
    check(
        "system:serviceaccount:ci:builder",
        "system:serviceaccount:ci:builder",
    );
    check("a\tb\r\nc", "a\\tb\\r\\nc");
    check("\u{1b}[2Jgone", "\\u{1b}[2Jgone");
    check(
        "\u{1b}]8;;https://evil.example\u{7}ok",
        "\\u{1b}]8;;https://evil.example\\u{7}ok",
    );
    check(
        "\u{1b}]52;c;cm0gLXJm\u{1b}\\",
        "\\u{1b}]52;c;cm0gLXJm\\u{1b}\\",
    );
    check(
        "\u{9b}31m\u{9d}0;title\u{9c}",
        "\\u{9b}31m\\u{9d}0;title\\u{9c}",
    );
    check("a\0b\u{8}c\u{7f}", "a\\u{0}b\\u{8}c\\u{7f}");
    check("x\u{85}y\u{2028}z\u{2029}", "x\\u{85}y\\u{2028}z\\u{2029}");
    check(
        "adm\u{202e}nib\u{2066}\u{61c}",
        "adm\\u{202e}nib\\u{2066}\\u{61c}",
    );
    check(
        "ad\u{200b}min\u{feff}\u{ad}",
        "ad\\u{200b}min\\u{feff}\\u{ad}",
    );
    check(
        "\u{e0041}\u{e000}\u{10ffff}\u{fdd0}",
        "\\u{e0041}\\u{e000}\\u{10ffff}\\u{fdd0}",
    );
    check(
        "\u{3164}\u{2800}\u{fffd}\u{a0}",
        "\\u{3164}\\u{2800}\\u{fffd}\\u{a0}",
    );
    check("\u{378}", "\\u{378}");
    check("Jürgen 監査 é e\u{301}", "Jürgen 監査 é e\u{301}");
    check("\u{301}x", "\\u{301}x");
}

#[test]
fn marks_are_capped() {
    let zalgo = format!("a{}b", "\u{301}".repeat(100));
    assert_eq!(
        clean(&zalgo),
        format!("a{}[+92 marks]b", "\u{301}".repeat(8))
    );
    let hangul = format!("\u{1100}{}", "\u{1161}".repeat(9));
    assert_eq!(
        clean(&hangul),
        format!("\u{1100}{}[+1 marks]", "\u{1161}".repeat(8))
    );
    let living = "e\u{301}".repeat(50);
    assert!(matches!(clean(&living), Cow::Borrowed(_)));
}

#[test]
fn no_character_stays_hidden() {
    for c in '\0'..=char::MAX {
        let text = format!("a{c}");
        let cleaned = clean(&text);
        assert!(
            !cleaned.chars().any(|c| c.is_control() || is_hidden(c)),
            "{c:?}"
        );
        assert!(c == ' ' || !c.is_whitespace() || cleaned != text, "{c:?}");
    }
}

#[test]
fn clipping_counts_columns() {
    fn check(input: &str, width: usize, expected: &str) {
        let clipped = clip(input, width);
        assert_eq!(clipped, expected);
        assert!(columns(&clipped) <= width);
    }
    check("abc", 3, "abc");
    check("abcd", 3, "ab…");
    check("abcd", 1, "…");
    check("abcd", 0, "");
    check("", 0, "");
    check("監査記録", 8, "監査記録");
    check("監査記録", 7, "監査記…");
    check("監査記録", 6, "監査…");
    check("ab\u{202e}cd", 12, "ab\\u{202e}cd");
    check("ab\u{202e}cd", 10, "ab…");
    check("ab\u{202e}cd", 11, "ab\\u{202e}…");
    check("ab\u{202e}cde", 9, "ab…");
    check("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…");
    check(&"x".repeat(1 << 20), 5, "xxxx…");
    check(&"\u{1b}".repeat(1 << 20), 13, "\\u{1b}\\u{1b}…");
    check(
        &format!("a{}", "\u{301}".repeat(1 << 20)),
        5,
        "a\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}…",
    );
}

#[test]
fn lines_break_at_spaces_and_stay_inside() {
    fn check(input: &str, first: usize, rest: usize, expected: &[&str]) {
        assert_eq!(wrap(input, first, rest), expected);
    }
    check("", 5, 5, &[""]);
    check("one two three", 7, 7, &["one two", "three"]);
    check("one two three", 3, 9, &["one", "two three"]);
    check("abcdefghij", 4, 3, &["abcd", "efg", "hij"]);
    check("ab abcdefghij", 4, 4, &["ab", "abcd", "efgh", "ij"]);
    check("a          b", 4, 4, &["a", "b"]);
    check("監査記録", 5, 5, &["監査", "記録"]);
    check("a  b", 9, 9, &["a  b"]);
    check("   ", 2, 2, &[""]);
    check("  abcd e", 4, 4, &["abcd", "e"]);
    check("abcdefgh ij", 4, 4, &["abcd", "efgh", "ij"]);
}

#[test]
fn hostile_length_costs_linear_time() {
    // Each would take minutes if a pattern backtracked or the clean-up were quadratic.
    for part in [
        "eyJaaaa.",
        "a.b",
        "-----BEGIN A-----",
        "command=",
        "?command=token",
        "mysql -p",
        "\u{301}",
    ] {
        let text = part.repeat((1 << 20) / part.len());
        assert!(!safe(&text).contains('\u{1b}'));
    }
}

#[test]
fn redaction_comes_before_cleaning() {
    assert_eq!(
        safe("\u{1b}[0m?token=abc&x\n"),
        "\\u{1b}[0m?token=[redacted]&x\\n"
    );
}
