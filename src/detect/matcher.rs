//! One compiled test of one field.
//!
//! Texts ignore case: equal is equal in lower case, by Unicode. Numbers match numeric texts and the
//! other way round. `null` matches what is absent or null, `''` what is present and empty; a column
//! keeps these no apart, and there both match null. A list matches if any element does.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use chrono::{DateTime, Datelike, Timelike};
use hashbrown::HashSet;
use ipnet::IpNet;
use regex::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use rsigma_parser::{Modifier, SigmaValue, SpecialChar, StringPart};

use super::modifier::Modifiers;
use super::needle;
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
    Regex(Pattern),
    Network(IpNet),
    /// Part of a time.
    Part(TimePart, Box<Self>),
}

/// Returns what is wrong, without the drawing of the place that stands in lines above it.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// A regular expression, built when it is first asked for: most rules of a run never are.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    builder: RegexBuilder,
    built: OnceLock<Option<Regex>>,
    /// What it is built of, and with the same flags.
    text: String,
    parser: ParserBuilder,
}

impl Pattern {
    /// Takes an expression; `parser` has the flags of `builder`.
    pub(super) fn new(text: String, builder: RegexBuilder, parser: ParserBuilder) -> Self {
        Self {
            builder,
            built: OnceLock::new(),
            text,
            parser,
        }
    }

    /// Builds the expression now.
    ///
    /// # Errors
    /// When it is none, or too large.
    pub(super) fn check(&self) -> Result<(), regex::Error> {
        let regex = self.builder.build()?;
        self.built.get_or_init(|| Some(regex));
        Ok(())
    }

    fn needles(&self) -> Option<Vec<String>> {
        needle::of(&self.parser.build().parse(&self.text).ok()?)
    }

    fn is_match(&self, text: &str) -> bool {
        let built = self.built.get_or_init(|| self.builder.build().ok());
        built.as_ref().is_some_and(|regex| regex.is_match(text))
    }
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
    /// Checks what is left for later when the rules are known to be right.
    ///
    /// # Errors
    /// When a regular expression is none, or too large; says why.
    pub(super) fn check(&self) -> Result<(), String> {
        for test in &self.tests {
            if let Test::Regex(pattern) = test {
                pattern
                    .check()
                    .map_err(|error| format!("not a regular expression: {}", reason(&error)))?;
            }
        }
        Ok(())
    }

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
        let mut joined = any_text(texts.collect())?;
        joined.extend(others);
        Ok(Self { tests: joined })
    }

    /// Returns texts in lower case, of which at least one stands in the lower case of every ASCII text that the test
    /// holds for; `None` if there are none, or too many or too short ones to be of use.
    ///
    /// For a field that is not there the test does not hold either, if there are such texts.
    pub(super) fn needles(&self) -> Option<Vec<String>> {
        let mut needles = Vec::new();
        for test in &self.tests {
            needles.extend(match test {
                Test::Text(text) => text.needles()?,
                Test::AnyText(any) => any.needles(),
                Test::Regex(pattern) => pattern.needles()?,
                _ => return None,
            });
        }
        needle::are_of_use(&needles).then_some(needles)
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
            Self::Part(part, inner) => part
                .take(text)
                .is_some_and(|number| inner.matches(Scalar::Number(number))),
            Self::Regex(pattern) => pattern.is_match(text),
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

/// From this many texts on, one look-up or automaton looks for all of them.
const MANY: usize = 8;

/// Joins what one automaton can look for at once.
fn any_text(texts: Vec<TextTest>) -> Result<Vec<Test>, String> {
    let (globs, plain): (Vec<_>, Vec<_>) = texts
        .into_iter()
        .partition(|text| matches!(text.shape, Shape::Glob(_)) || text.needle.is_empty());
    let mut joined: Vec<Test> = globs.into_iter().map(Test::Text).collect();
    if plain.len() < MANY {
        joined.extend(plain.into_iter().map(Test::Text));
    } else {
        joined.push(Test::AnyText(AnyText::new(plain)?));
    }
    Ok(joined)
}

/// Any of many texts, without wildcards in them, of one case.
#[derive(Debug, Clone)]
pub(super) struct AnyText {
    equal: HashSet<String>,
    /// The others, and where each has to stand.
    others: Vec<(String, Shape)>,
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
            // The smallest kind to build: a rule is compiled at every start.
            let automaton = AhoCorasick::builder()
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .build(needles);
            Some(automaton.map_err(|error| format!("the values are too many: {error}"))?)
        };
        Ok(Self {
            equal: equal.into_iter().map(|text| text.needle).collect(),
            others: others
                .into_iter()
                .map(|text| (text.needle, text.shape))
                .collect(),
            automaton,
            cased,
        })
    }

    fn needles(&self) -> Vec<String> {
        let others = self.others.iter().map(|(needle, _)| needle);
        let all = self.equal.iter().chain(others);
        all.map(|needle| needle.to_lowercase()).collect()
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
            match self.others[found.pattern().as_usize()].1 {
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
    /// Where the rarest byte of the needle stands.
    rarest: usize,
    cased: bool,
}

#[derive(Debug, Clone)]
enum Shape {
    Equal,
    Prefix,
    Suffix,
    Contains,
    /// Wildcards in other places; over the text in lower case, unless `cased`.
    Glob(Glob),
}

impl TextTest {
    /// Compiles a text with wildcards.
    pub(super) fn new(parts: &[StringPart], cased: bool) -> Self {
        use SpecialChar::WildcardMulti as Many;
        use StringPart::{Plain, Special};
        let (shape, needle) = match parts {
            [] => (Shape::Equal, ""),
            [Plain(text)] => (Shape::Equal, text.as_str()),
            [Special(Many)] => (Shape::Contains, ""),
            [Plain(text), Special(Many)] => (Shape::Prefix, text.as_str()),
            [Special(Many), Plain(text)] => (Shape::Suffix, text.as_str()),
            [Special(Many), Plain(text), Special(Many)] => (Shape::Contains, text.as_str()),
            parts => (Shape::Glob(Glob::new(parts, cased)), ""),
        };
        let needle = if cased {
            needle.to_owned()
        } else {
            needle.to_lowercase()
        };
        Self {
            shape,
            rarest: rarest(needle.as_bytes()),
            needle,
            cased,
        }
    }

    fn needles(&self) -> Option<Vec<String>> {
        let needle = match &self.shape {
            Shape::Glob(glob) => glob.needle()?,
            _ => self.needle.to_lowercase(),
        };
        Some(vec![needle])
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
            Shape::Contains => contains_ascii(text, needle, self.rarest),
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
            Shape::Glob(glob) => glob.matches(text),
        }
    }
}

/// A text with wildcards: what stands between them.
///
/// A hand-written matcher rather than an expression, since hundreds of rules are compiled at every start.
#[derive(Debug, Clone)]
struct Glob {
    /// Split at `*`; `None` in a piece is a `?`, any one character.
    pieces: Vec<Vec<Option<char>>>,
}

impl Glob {
    fn new(parts: &[StringPart], cased: bool) -> Self {
        let mut pieces = vec![Vec::new()];
        for part in parts {
            let piece = pieces.last_mut().expect("there is one");
            match part {
                StringPart::Plain(text) if cased => piece.extend(text.chars().map(Some)),
                StringPart::Plain(text) => piece.extend(text.to_lowercase().chars().map(Some)),
                StringPart::Special(SpecialChar::WildcardSingle) => piece.push(None),
                StringPart::Special(SpecialChar::WildcardMulti) => pieces.push(Vec::new()),
            }
        }
        Self { pieces }
    }

    /// Returns the longest text without wildcards, in lower case.
    fn needle(&self) -> Option<String> {
        let runs = self
            .pieces
            .iter()
            .flat_map(|piece| piece.split(Option::is_none));
        let longest = runs.max_by_key(|run| run.len())?;
        let text: String = longest.iter().flatten().collect();
        Some(text.to_lowercase())
    }

    /// Returns whether the whole of `text` is as asked for.
    ///
    /// The first place of each piece behind the one before is enough, so the time is at most that of the text by
    /// the longest piece.
    fn matches(&self, text: &str) -> bool {
        let (first, rest) = self.pieces.split_first().expect("there is one");
        let Some(mut text) = after(first, text) else {
            return false;
        };
        let Some((last, middle)) = rest.split_last() else {
            return text.is_empty();
        };
        for piece in middle {
            let mut starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            let found = starts.find_map(|at| after(piece, &text[at..]));
            match found {
                Some(rest) => text = rest,
                None => return false,
            }
        }
        let n_chars = text.chars().count();
        let Some(before) = n_chars.checked_sub(last.len()) else {
            return false;
        };
        let start = text
            .char_indices()
            .nth(before)
            .map_or(text.len(), |(at, _)| at);
        after(last, &text[start..]).is_some()
    }
}

/// Returns what follows `piece` at the start of `text`, if it stands there.
fn after<'t>(piece: &[Option<char>], text: &'t str) -> Option<&'t str> {
    let mut signs = text.chars();
    for expected in piece {
        let sign = signs.next()?;
        if expected.is_some_and(|expected| expected != sign) {
            return None;
        }
    }
    Some(signs.as_str())
}

/// Bytes of logs, the most frequent first; what is not among them is rare.
const FREQUENT: &[u8] = b"\"e,:taosinr-l/cmd0pu1.vk2gbhyf534";

/// Returns where the rarest byte of a text stands.
fn rarest(text: &[u8]) -> usize {
    let frequency = |byte: &u8| FREQUENT.iter().position(|other| other == byte);
    let rarity = |byte: &u8| frequency(byte).unwrap_or(FREQUENT.len());
    let bytes = text.iter().enumerate();
    bytes
        .max_by_key(|(_, byte)| rarity(byte))
        .map_or(0, |(at, _)| at)
}

/// Returns whether `text` holds `needle`, which is in lower case, in any case.
///
/// Looks for the rarest byte of the needle first: there are few places to compare at.
fn contains_ascii(text: &[u8], needle: &[u8], rarest: usize) -> bool {
    let Some(&byte) = needle.get(rarest) else {
        return true;
    };
    let Some(last) = text.len().checked_sub(needle.len()) else {
        return false;
    };
    // Where that byte may stand so that the needle is within the text.
    let places = &text[rarest..=last + rarest];
    memchr::memchr2_iter(byte, byte.to_ascii_uppercase(), places)
        .any(|at| text[at..at + needle.len()].eq_ignore_ascii_case(needle))
}

#[cfg(test)]
mod tests;
