//! One compiled test of one field.
//!
//! Texts ignore case: equal is equal in lower case, by Unicode. Numbers match numeric texts and the
//! other way round. `null` matches what is absent or null, `''` what is present and empty; a column
//! keeps these no apart, and there both match null. A list matches if any element does.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::net::IpAddr;

use aho_corasick::AhoCorasick;
use chrono::{DateTime, Datelike, Timelike};
use hashbrown::HashSet;
use ipnet::IpNet;
use regex::Regex;
use rsigma_parser::{Modifier, SigmaValue, SpecialChar, StringPart};

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
    /// Any of many texts.
    AnyText(AnyText),
    Regex(Regex),
    Network(IpNet),
    /// Part of a time.
    Part(TimePart, Box<Self>),
}

/// The part of a time that a modifier takes, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimePart {
    Minute,
    Hour,
    Day,
    /// Of ISO 8601.
    Week,
    Month,
    Year,
}

impl TimePart {
    pub(super) fn of(modifier: Modifier) -> Self {
        match modifier {
            Modifier::Minute => Self::Minute,
            Modifier::Hour => Self::Hour,
            Modifier::Day => Self::Day,
            Modifier::Week => Self::Week,
            Modifier::Month => Self::Month,
            _ => Self::Year,
        }
    }

    /// Returns the part of a time in RFC 3339; `None` if the text is none.
    fn take(self, text: &str) -> Option<Number> {
        let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
        Some(Number::Integer(match self {
            Self::Minute => time.minute().into(),
            Self::Hour => time.hour().into(),
            Self::Day => time.day().into(),
            Self::Week => time.iso_week().week().into(),
            Self::Month => time.month().into(),
            Self::Year => time.year().into(),
        }))
    }
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
        let encoded = values.iter().map(|value| modifiers.encode(value));
        let encoded = encoded.collect::<Result<Vec<_>, _>>()?.concat();
        let compiled = encoded.iter().map(|value| {
            let is_empty = matches!(value, SigmaValue::String(text) if text.parts.is_empty());
            if is_column && is_empty && modifiers.is_plain() {
                Ok(Test::Null)
            } else {
                modifiers.test(value)
            }
        });
        let (texts, others): (Vec<_>, Vec<_>) = compiled
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .partition(|test| matches!(test, Test::Text(_)));
        let texts = texts.into_iter().filter_map(|test| match test {
            Test::Text(text) => Some(text),
            _ => None,
        });
        let mut tests = any_text(texts.collect())?;
        tests.extend(others);
        Ok(Self { tests })
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
            Self::AnyText(any) => any.matches(text),
            Self::Part(part, test) => part
                .take(text)
                .is_some_and(|number| test.matches(Scalar::Number(number))),
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

/// From this many texts on, one automaton looks for all of them.
const MANY: usize = 4;

/// Joins what one automaton can look for at once.
fn any_text(texts: Vec<TextTest>) -> Result<Vec<Test>, String> {
    let (globs, plain): (Vec<_>, Vec<_>) = texts
        .into_iter()
        .partition(|text| matches!(text.shape, Shape::Glob(_)) || text.needle.is_empty());
    let mut tests: Vec<Test> = globs.into_iter().map(Test::Text).collect();
    if plain.len() < MANY {
        tests.extend(plain.into_iter().map(Test::Text));
    } else {
        tests.push(Test::AnyText(AnyText::new(plain)?));
    }
    Ok(tests)
}

/// Any of many texts, without wildcards in them, of one case.
#[derive(Debug, Clone)]
pub(super) struct AnyText {
    equal: HashSet<String>,
    /// For the others: where each has to stand.
    shapes: Vec<Shape>,
    automaton: Option<AhoCorasick>,
    cased: bool,
}

impl AnyText {
    fn new(texts: Vec<TextTest>) -> Result<Self, String> {
        let cased = texts.iter().any(|text| text.cased);
        let (equal, others): (Vec<_>, Vec<_>) = texts
            .into_iter()
            .partition(|text| matches!(text.shape, Shape::Equal));
        let automaton = if others.is_empty() {
            None
        } else {
            let needles = others.iter().map(|text| text.needle.as_bytes());
            let automaton = AhoCorasick::new(needles);
            Some(automaton.map_err(|error| format!("the values are too many: {error}"))?)
        };
        Ok(Self {
            equal: equal.into_iter().map(|text| text.needle).collect(),
            shapes: others.into_iter().map(|text| text.shape).collect(),
            automaton,
            cased,
        })
    }

    fn matches(&self, text: &str) -> bool {
        let folded = if self.cased {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(text.to_lowercase())
        };
        if self.equal.contains(&*folded) {
            return true;
        }
        let Some(automaton) = &self.automaton else {
            return false;
        };
        automaton.find_overlapping_iter(&*folded).any(|found| {
            match self.shapes[found.pattern().as_usize()] {
                Shape::Prefix => found.start() == 0,
                Shape::Suffix => found.end() == folded.len(),
                _ => true,
            }
        })
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
mod tests;
