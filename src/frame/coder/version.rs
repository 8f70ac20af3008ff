//! Versions: each update of an object raises its `resourceVersion`, which is in no column. So an object is known by its
//! text without one.

use memchr::memmem::Finder;

use super::Span;

/// Takes the versions out of texts; one per thread.
pub(super) struct Unversioned {
    before: Finder<'static>,
    /// Room for a text without its version.
    text: String,
}

impl Unversioned {
    pub(super) fn new() -> Self {
        Self {
            before: Finder::new(b"\"resourceVersion\":\""),
            text: String::new(),
        }
    }

    /// Returns the text of an `objectRef` without the digits of its version, and where these stand; `None` if it has no version
    /// or another one than digits.
    ///
    /// What is JSON with the one version is JSON with any other, and means the same but for that.
    pub(super) fn of(&mut self, json: &str) -> Option<(&str, Span)> {
        let start = self.before.find(json.as_bytes())? + self.before.needle().len();
        let digits = json.as_bytes()[start..].iter();
        let n_digits = digits.take_while(|byte| byte.is_ascii_digit()).count();
        let (before, version) = json.split_at(start);
        let (version, after) = version.split_at(n_digits);
        if version.is_empty() || !after.starts_with('"') {
            return None;
        }
        self.text.clear();
        self.text.extend([before, after]);
        Some((&self.text, Span::of(version, json)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_digits_and_nothing_else() {
        let check = |json: &str, expected: Option<(&str, &str)>| {
            let mut unversioned = Unversioned::new();
            let found = unversioned.of(json);
            let found = found.map(|(text, version)| (text, version.slice(json)));
            assert_eq!(found, expected, "{json}");
        };
        check(
            r#"{"name":"a","resourceVersion":"915410","subresource":"status"}"#,
            Some((
                r#"{"name":"a","resourceVersion":"","subresource":"status"}"#,
                "915410",
            )),
        );
        check(r#"{"name":"a"}"#, None);
        for odd in ["", "-1", "12a", "1\\\"", "\\u0031"] {
            check(&format!(r#"{{"resourceVersion":"{odd}"}}"#), None);
        }
        check(r#"{"resourceVersion":"12"#, None);
        check(r#"{"name":"\"resourceVersion\":\"12"}"#, None);
    }
}
