//! The values of a field, as tests see them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use super::json::Json;

/// A single value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'a> {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(&'a str),
    /// An object, which no value equals.
    Object,
}

/// A number, whole if it can be: audit logs hold integers that `f64` cannot.
#[derive(Debug, Clone, Copy)]
pub enum Number {
    /// A whole number.
    Integer(i128),
    /// Any other.
    Float(f64),
}

/// The values that an event has in one field; empty if the event lacks it.
#[derive(Debug, Clone, PartialEq)]
pub enum Values<'a> {
    /// Of a column.
    Texts(Vec<Cow<'a, str>>),
    /// Of a column.
    Single(Scalar<'a>),
    /// Of a body: what stands at the path, lists not yet taken apart.
    Found(Vec<&'a Json<'a>>),
}

impl Number {
    /// Returns whether it is zero.
    pub fn is_zero(self) -> bool {
        match self {
            Self::Integer(number) => number == 0,
            Self::Float(number) => number == 0.0,
        }
    }

    /// Reads a number; what is not one, or not finite, is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(integer) = text.parse() {
            return Some(Self::Integer(integer));
        }
        text.parse()
            .ok()
            .filter(|float: &f64| float.is_finite())
            .map(Self::Float)
    }

    /// Compares; `None` if a number is not one.
    pub fn order(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => Some(left.cmp(&right)),
            (left, right) => left.float().partial_cmp(&right.float()),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "the other number is no more exact"
    )]
    fn float(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.order(*other) == Some(Ordering::Equal)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(integer) => integer.fmt(f),
            Self::Float(float) => float.fmt(f),
        }
    }
}

impl Values<'_> {
    /// The event lacks the field.
    pub const MISSING: Self = Self::Texts(Vec::new());

    /// Returns whether the event has the field, be it null.
    pub fn is_present(&self) -> bool {
        match self {
            Self::Texts(texts) => !texts.is_empty(),
            Self::Single(_) => true,
            Self::Found(values) => !values.is_empty(),
        }
    }

    /// Returns whether `test` holds for any single value; `None` if there is no value.
    pub fn scalars(&self, test: &mut impl FnMut(Scalar<'_>) -> bool) -> Option<bool> {
        match self {
            Self::Texts(texts) if texts.is_empty() => None,
            Self::Texts(texts) => Some(texts.iter().any(|text| test(Scalar::Text(text)))),
            Self::Single(scalar) => Some(test(*scalar)),
            Self::Found(values) => any_of(values.iter().copied(), test),
        }
    }

    /// Appends the values as texts; null and objects have none.
    pub fn texts(&self, texts: &mut Vec<String>) {
        self.scalars(&mut |scalar| {
            match scalar {
                Scalar::Text(text) => texts.push(text.to_owned()),
                Scalar::Number(number) => texts.push(number.to_string()),
                Scalar::Bool(value) => texts.push(value.to_string()),
                Scalar::Null | Scalar::Object => {}
            }
            false
        });
    }
}

/// Returns whether `test` holds for any single value among `values`; `None` if there is none.
fn any_of<'v>(
    values: impl Iterator<Item = &'v Json<'v>>,
    test: &mut impl FnMut(Scalar<'_>) -> bool,
) -> Option<bool> {
    let mut seen = None;
    for value in values {
        let met = match value {
            Json::List(elements) => any_of(elements.iter(), test),
            value => Some(test(Scalar::from(value))),
        };
        if met == Some(true) {
            return met;
        }
        seen = seen.or(met);
    }
    seen
}

impl<'a> From<&'a Json<'_>> for Scalar<'a> {
    /// A list has no single value; it is taken apart before.
    fn from(value: &'a Json<'_>) -> Self {
        match value {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => Self::Number(*number),
            Json::Text(text) => Self::Text(text),
            Json::List(_) | Json::Object(_) => Self::Object,
        }
    }
}
