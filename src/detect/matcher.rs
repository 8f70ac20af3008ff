//! One compiled test of one field.
//!
//! Texts ignore case: equal is equal in lower case, by Unicode. Numbers match numeric texts and the
//! other way round. `null` matches what is absent or null, `''` what is present and empty; a column
//! keeps these no apart, and there both match null. A list matches if any element does.

use std::cmp::Ordering;
use std::net::IpAddr;

use ipnet::IpNet;
use regex::Regex;
use rsigma_parser::{SigmaValue, SpecialChar, StringPart};

use super::modifier::Modifiers;
use super::value::{Number, Scalar, Values};

/// A compiled test; it holds if any of its alternatives does.
#[derive(Debug, Clone)]
pub struct Matcher {
    tests: Vec<Test>,
}

#[derive(Debug, Clone)]
pub(super) enum Test {
    Exists(bool),
    Null,
    Bool(bool),
    Number(Number),
    Compare(Comparison, Number),
    Text(TextTest),
    Regex(Regex),
    Network(IpNet),
}

/// `lt`, `lte`, `gt` or `gte`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Matcher {
    /// Compiles the alternatives `values`; `is_column` if the field is a column.
    ///
    /// # Errors
    /// When a modifier cannot take the value; says why.
    pub fn compile(
        modifiers: &Modifiers,
        values: &[SigmaValue],
        is_column: bool,
    ) -> Result<Self, String> {
        if values.is_empty() {
            return Err("the list of values is empty".to_owned());
        }
        if values.len() > 1 && values.contains(&SigmaValue::Null) {
            return Err("`null` cannot stand in a list of values".to_owned());
        }
        let compiled = values.iter().map(|value| {
            let is_empty = matches!(value, SigmaValue::String(text) if text.parts.is_empty());
            if is_column && is_empty && modifiers.is_plain() {
                Ok(Test::Null)
            } else {
                modifiers.test(value)
            }
        });
        Ok(Self {
            tests: compiled.collect::<Result<_, _>>()?,
        })
    }

    /// Returns whether the test holds for a field with `values`.
    pub fn matches(&self, values: &Values<'_>) -> bool {
        self.tests.iter().any(|test| match test {
            Test::Exists(expected) => values.is_present() == *expected,
            Test::Null => values.scalars(&mut |scalar| scalar == Scalar::Null) != Some(false),
            test => values.scalars(&mut |scalar| test.matches(scalar)) == Some(true),
        })
    }
}

impl Test {
    /// Tests one value that is there; null is matched by [`Test::Null`] alone.
    fn matches(&self, scalar: Scalar<'_>) -> bool {
        let number = match scalar {
            Scalar::Null | Scalar::Object => return false,
            Scalar::Text(text) => return self.matches_text(text),
            Scalar::Bool(value) => match self {
                Self::Bool(expected) => return value == *expected,
                _ => return self.matches_text(if value { "true" } else { "false" }),
            },
            Scalar::Number(number) => number,
        };
        match self {
            Self::Number(expected) => number.order(*expected) == Some(Ordering::Equal),
            Self::Compare(comparison, bound) => comparison.holds(number.order(*bound)),
            _ => self.matches_text(&number.to_string()),
        }
    }

    fn matches_text(&self, text: &str) -> bool {
        match self {
            Self::Text(comparison) => comparison.matches(text),
            Self::Regex(regex) => regex.is_match(text),
            Self::Network(network) => text
                .parse::<IpAddr>()
                .is_ok_and(|address| network.contains(&address.to_canonical())),
            Self::Bool(expected) => {
                text.eq_ignore_ascii_case(if *expected { "true" } else { "false" })
            }
            Self::Number(expected) => {
                let number = Number::parse(text);
                number.is_some_and(|number| number.order(*expected) == Some(Ordering::Equal))
            }
            Self::Compare(comparison, bound) => {
                Number::parse(text).is_some_and(|number| comparison.holds(number.order(*bound)))
            }
            Self::Exists(_) | Self::Null => false,
        }
    }
}

impl Comparison {
    fn holds(self, order: Option<Ordering>) -> bool {
        match self {
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

/// A comparison of texts.
#[derive(Debug, Clone)]
pub(super) struct TextTest {
    shape: Shape,
    /// In lower case, unless `cased`.
    needle: String,
    cased: bool,
}

#[derive(Debug, Clone)]
enum Shape {
    Equal,
    Prefix,
    Suffix,
    Contains,
    /// Wildcards in other places; over the text in lower case, unless `cased`.
    Glob(Regex),
}

impl TextTest {
    /// Compiles a text with wildcards.
    ///
    /// # Errors
    /// When it is so long that its expression is too large.
    pub(super) fn new(parts: &[StringPart], cased: bool) -> Result<Self, String> {
        use SpecialChar::WildcardMulti as Many;
        use StringPart::{Plain, Special};
        let (shape, needle) = match parts {
            [] => (Shape::Equal, ""),
            [Plain(text)] => (Shape::Equal, text.as_str()),
            [Special(Many)] => (Shape::Contains, ""),
            [Plain(text), Special(Many)] => (Shape::Prefix, text.as_str()),
            [Special(Many), Plain(text)] => (Shape::Suffix, text.as_str()),
            [Special(Many), Plain(text), Special(Many)] => (Shape::Contains, text.as_str()),
            parts => (Shape::Glob(glob(parts, cased)?), ""),
        };
        let needle = if cased {
            needle.to_owned()
        } else {
            needle.to_lowercase()
        };
        Ok(Self {
            shape,
            needle,
            cased,
        })
    }

    /// Returns whether `text` is as asked for.
    fn matches(&self, text: &str) -> bool {
        if self.cased {
            return self.holds(text);
        }
        if !text.is_ascii() || !self.needle.is_ascii() {
            return self.holds(&text.to_lowercase());
        }
        let (text, needle) = (text.as_bytes(), self.needle.as_bytes());
        match &self.shape {
            Shape::Equal => text.eq_ignore_ascii_case(needle),
            Shape::Prefix => text
                .get(..needle.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(needle)),
            Shape::Suffix => {
                let tail = text
                    .len()
                    .checked_sub(needle.len())
                    .map(|from| &text[from..]);
                tail.is_some_and(|tail| tail.eq_ignore_ascii_case(needle))
            }
            Shape::Contains => contains_ascii(text, needle),
            Shape::Glob(_) => {
                let lower = text.to_ascii_lowercase();
                self.holds(std::str::from_utf8(&lower).expect("ASCII is UTF-8"))
            }
        }
    }

    /// Compares with a text in the case of the needle.
    fn holds(&self, text: &str) -> bool {
        match &self.shape {
            Shape::Equal => text == self.needle,
            Shape::Prefix => text.starts_with(&self.needle),
            Shape::Suffix => text.ends_with(&self.needle),
            Shape::Contains => text.contains(&self.needle),
            Shape::Glob(regex) => regex.is_match(text),
        }
    }
}

/// Returns the anchored expression of a text with wildcards: linear in the text, whatever the pattern.
fn glob(parts: &[StringPart], cased: bool) -> Result<Regex, String> {
    let mut pattern = String::from("(?s)^");
    for part in parts {
        match part {
            StringPart::Plain(text) if cased => pattern.push_str(&regex::escape(text)),
            StringPart::Plain(text) => pattern.push_str(&regex::escape(&text.to_lowercase())),
            StringPart::Special(SpecialChar::WildcardMulti) => pattern.push_str(".*"),
            StringPart::Special(SpecialChar::WildcardSingle) => pattern.push('.'),
        }
    }
    pattern.push('$');
    Regex::new(&pattern).map_err(|error| format!("the wildcards are too many: {error}"))
}

/// Returns whether `text` holds `needle`, which is in lower case, in any case.
fn contains_ascii(text: &[u8], needle: &[u8]) -> bool {
    let Some(&first) = needle.first() else {
        return true;
    };
    let Some(last) = text.len().checked_sub(needle.len()) else {
        return false;
    };
    memchr::memchr2_iter(first, first.to_ascii_uppercase(), &text[..=last])
        .any(|at| text[at..at + needle.len()].eq_ignore_ascii_case(needle))
}

#[cfg(test)]
mod tests {
    use rsigma_parser::parse_sigma_yaml;
    use rsigma_parser::{Detection, DetectionItem};
    use serde_json::{Value, json};

    use super::*;

    fn item(line: &str) -> DetectionItem {
        let yaml =
            format!("title: t\nlogsource: {{}}\ndetection:\n  s:\n    {line}\n  condition: s\n");
        let collection = parse_sigma_yaml(&yaml).unwrap();
        assert!(collection.errors.is_empty(), "{:?}", collection.errors);
        match &collection.rules[0].detection.named["s"] {
            Detection::AllOf(items) => items[0].clone(),
            other => panic!("{other:?}"),
        }
    }

    fn compile(line: &str, is_column: bool) -> Result<Matcher, String> {
        let item = item(line);
        Matcher::compile(
            &Modifiers::parse(&item.field.modifiers)?,
            &item.values,
            is_column,
        )
    }

    /// Tests `{"f": value}`; `found` is `None` if the field is missing.
    #[track_caller]
    fn check(line: &str, found: impl Into<Option<Value>>, expected: bool) {
        let found: Option<Value> = found.into();
        let values = Values::Found(found.as_slice().iter().collect());
        assert_eq!(
            compile(line, false).unwrap().matches(&values),
            expected,
            "{line} on {found:?}"
        );
    }

    #[track_caller]
    fn check_error(line: &str, expected: &str) {
        let error = compile(line, false).unwrap_err();
        assert!(error.contains(expected), "{line}: {error}");
    }

    #[test]
    fn texts_ignore_case() {
        check("f: Secrets", Some(json!("sEcrets")), true);
        check("f: Secrets", Some(json!("secret")), false);
        check("f: straße", Some(json!("STRAßE")), true);
        check("f: kelvin", Some(json!("\u{212a}elvin")), true);
        check("f|cased: Secrets", Some(json!("secrets")), false);
        check("f|contains: LOW", Some(json!("Mellow")), true);
        check("f|contains: low", Some(json!("lo")), false);
        check("f|contains: ÄÖ", Some(json!("xäöx")), true);
        check("f|startswith: /API", Some(json!("/api/v1")), true);
        check("f|endswith: .Exe", Some(json!("a.exE")), true);
        check("f|endswith: abcdef", Some(json!("ef")), false);
        check("f|contains|cased: LOW", Some(json!("low")), false);
        check("f: [a, b]", Some(json!("B")), true);
    }

    #[test]
    fn wildcards() {
        check("f: 'system:*'", Some(json!("system:x")), true);
        check("f: '*:admin'", Some(json!("system:ADMIN")), true);
        check("f: 's*:*n'", Some(json!("System:admin")), true);
        check("f: 's?stem'", Some(json!("sYstem")), true);
        check("f: 's?stem'", Some(json!("sstem")), false);
        check("f: 'ä?b*'", Some(json!("Äöbc\nd")), true);
        check("f: '*'", Some(json!("")), true);
        check("f: '*'", None, false);
        check(r"f: 'a\*'", Some(json!("a*")), true);
        check(r"f: 'a\*'", Some(json!("ab")), false);
        check(r"f: 'a\\*'", Some(json!(r"a\b")), true);
        check("f|contains: 'a*c'", Some(json!("xabcx")), true);
        check("f|startswith: '*c'", Some(json!("abcx")), true);
    }

    #[test]
    fn numbers_and_numeric_texts_are_equal() {
        check("f: 200", Some(json!(200)), true);
        check("f: 200", Some(json!("200")), true);
        check("f: '200'", Some(json!(200)), true);
        check("f: 200", Some(json!(200.0)), true);
        check(
            "f: 9007199254740993",
            Some(json!(9_007_199_254_740_992_i64)),
            false,
        );
        check("f: true", Some(json!("True")), true);
        check("f: 'true'", Some(json!(true)), true);
        check("f: true", Some(json!(1)), false);
        check("f|gte: 400", Some(json!("403")), true);
        check("f|lt: 400", Some(json!(399.5)), true);
        check("f|lt: 400", Some(json!("many")), false);
        check("f|gt: '4'", Some(json!(5)), true);
        check("f|lte: 4", None, false);
        check("f|contains: 20", Some(json!(1200)), true);
    }

    #[test]
    fn null_empty_and_missing() {
        check("f: null", None, true);
        check("f: null", Some(json!(null)), true);
        check("f: null", Some(json!([])), true);
        check("f: null", Some(json!("")), false);
        check("f: ''", Some(json!("")), true);
        check("f: ''", Some(json!(null)), false);
        check("f: ''", None, false);
        check("f|exists: true", Some(json!(null)), true);
        check("f|exists: true", Some(json!([])), true);
        check("f|exists: true", None, false);
        check("f|exists: false", None, true);
        let empty = compile("f: ''", true).unwrap();
        assert!(empty.matches(&Values::MISSING));
        assert!(!compile("f: '*'", true).unwrap().matches(&Values::MISSING));
    }

    #[test]
    fn any_element_of_a_list_matches() {
        check("f: b", Some(json!(["a", ["B"]])), true);
        check("f: b", Some(json!({"b": 1})), false);
        check(
            "f|cidr: 10.0.0.0/8",
            Some(json!(["1.1.1.1", "10.2.3.4"])),
            true,
        );
        check("f|cidr: 'fd00::/8'", Some(json!("fd12::1")), true);
        check("f|cidr: 10.0.0.0/8", Some(json!("::ffff:10.0.0.1")), true);
        check("f|cidr: 10.0.0.1", Some(json!("10.0.0.2")), false);
        check("f|re: '^a.c$'", Some(json!("abc")), true);
        check("f|re: '^a.c$'", Some(json!("ABC")), false);
        check("f|re|i: '^a.c$'", Some(json!("ABC")), true);
        check("f|re|s: 'a.c'", Some(json!("a\nc")), true);
        check("f|re: '2..'", Some(json!(204)), true);
    }

    #[test]
    fn what_cannot_be_compiled_says_why() {
        check_error("f|base64: x", "`base64` is not supported yet");
        check_error("f|contains|re: x", "do not go together");
        check_error("f|i: x", "need `re`");
        check_error("f|re: '('", "not a regular expression");
        check_error("f|re: '(a{1000}){1000}'", "not a regular expression");
        check_error("f|cidr: 10.0.0.0/99", "not a network");
        check_error("f|gt: x", "not a number");
        check_error("f|exists: maybe", "takes `true` or `false`");
        check_error("f: [a, null]", "`null` cannot stand in a list");
        check_error("f: []", "list of values is empty");
    }
}
