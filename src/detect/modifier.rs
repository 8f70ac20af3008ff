//! The modifiers of a detection item, and what they make of a value (Sigma modifiers appendix 2.1.0).
//!
//! They apply from left to right: encodings change the value, the last one says how it is compared.

mod relate;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use regex::RegexBuilder;
use rsigma_parser::{Modifier, SigmaString, SigmaValue, SpecialChar, StringPart};

use super::encode;
use super::matcher::{Comparison, Pattern, Test, TextTest, TimePart};
use super::tree::Tree;
use super::value::Number;

/// Bytes that one compiled regular expression may take.
const REGEX_BYTES: usize = 1 << 20;

/// The modifiers of a detection item, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one per modifier that takes nothing"
)]
pub struct Modifiers {
    operator: Operator,
    /// What the value is turned into first, from left to right.
    encodings: Vec<Modifier>,
    /// The part of a time that is compared.
    part: Option<TimePart>,
    /// Placeholders in values stand for lists.
    is_expanded: bool,
    /// Every value must be met, not any.
    pub all: bool,
    /// The negation.
    pub negate: bool,
    /// The values are names of fields.
    pub is_fieldref: bool,
    /// The text is the raw JSON of a record.
    is_keyword: bool,
    /// Case counts.
    pub cased: bool,
    ignore_case: bool,
    multi_line: bool,
    dot_all: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Operator {
    #[default]
    Equal,
    Contains,
    StartsWith,
    EndsWith,
    Regex,
    Network,
    Exists,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Modifiers {
    /// Checks the modifiers of an item.
    ///
    /// # Errors
    /// When one is not supported, or two do not go together; says which.
    pub fn parse(modifiers: &[Modifier]) -> Result<Self, String> {
        let mut parsed = Self::default();
        for modifier in modifiers {
            let operator = match modifier {
                Modifier::Contains => Operator::Contains,
                Modifier::StartsWith => Operator::StartsWith,
                Modifier::EndsWith => Operator::EndsWith,
                Modifier::Re => Operator::Regex,
                Modifier::Cidr => Operator::Network,
                Modifier::Exists => Operator::Exists,
                Modifier::Lt => Operator::Less,
                Modifier::Lte => Operator::LessOrEqual,
                Modifier::Gt => Operator::Greater,
                Modifier::Gte => Operator::GreaterOrEqual,
                Modifier::All => {
                    parsed.all = true;
                    continue;
                }
                Modifier::Neq => {
                    parsed.negate = true;
                    continue;
                }
                Modifier::Cased => {
                    parsed.cased = true;
                    continue;
                }
                Modifier::FieldRef => {
                    parsed.is_fieldref = true;
                    continue;
                }
                Modifier::IgnoreCase => {
                    parsed.ignore_case = true;
                    continue;
                }
                Modifier::Multiline => {
                    parsed.multi_line = true;
                    continue;
                }
                Modifier::DotAll => {
                    parsed.dot_all = true;
                    continue;
                }
                Modifier::Base64
                | Modifier::Base64Offset
                | Modifier::Wide
                | Modifier::Utf16
                | Modifier::Utf16be
                | Modifier::WindAsh => {
                    // Public rules write `windash` behind `contains`; what it makes of a value is the same.
                    if parsed.operator != Operator::Equal && *modifier != Modifier::WindAsh {
                        return Err("encodings stand before the comparison".to_owned());
                    }
                    parsed.encodings.push(*modifier);
                    continue;
                }
                Modifier::Expand => {
                    parsed.is_expanded = true;
                    continue;
                }
                Modifier::Minute
                | Modifier::Hour
                | Modifier::Day
                | Modifier::Week
                | Modifier::Month
                | Modifier::Year => {
                    if parsed.part.replace(TimePart::of(*modifier)).is_some() {
                        return Err("a time has one part that is compared".to_owned());
                    }
                    continue;
                }
            };
            if parsed.operator != Operator::Equal {
                return Err("two of these modifiers do not go together".to_owned());
            }
            parsed.operator = operator;
        }
        parsed.check()
    }

    fn check(self) -> Result<Self, String> {
        let is_text = matches!(
            self.operator,
            Operator::Equal | Operator::Contains | Operator::StartsWith | Operator::EndsWith
        );
        let has_flags = self.ignore_case || self.multi_line || self.dot_all;
        if has_flags && self.operator != Operator::Regex {
            return Err("the modifiers `i`, `m` and `s` need `re`".to_owned());
        }
        let is_number = matches!(
            self.operator,
            Operator::Equal
                | Operator::Less
                | Operator::LessOrEqual
                | Operator::Greater
                | Operator::GreaterOrEqual
        );
        if self.part.is_some() && !is_number {
            return Err("parts of a time are compared as numbers".to_owned());
        }
        if !self.encodings.is_empty() && (!is_text || self.part.is_some() || self.is_fieldref) {
            return Err("encodings are for texts only".to_owned());
        }
        if self.cased && !is_text {
            return Err("modifier `cased` is for texts only".to_owned());
        }
        if self.is_fieldref && !is_text {
            return Err(
                "modifier `fieldref` goes with `contains`, `startswith`, `endswith`, `cased` \
                        and `neq` only"
                    .to_owned(),
            );
        }
        if self.operator == Operator::Exists && (self.negate || self.all) {
            return Err("modifier `exists` goes with no other; write `exists: false`".to_owned());
        }
        Ok(self)
    }

    /// Returns whether the values are compared as they stand.
    pub fn is_plain(&self) -> bool {
        self.operator == Operator::Equal && self.part.is_none() && self.encodings.is_empty()
    }

    /// Returns `values` with each placeholder `%name%` replaced by what it stands for, if that is asked for.
    ///
    /// # Errors
    /// When a placeholder is not known.
    pub fn expand(
        &self,
        values: &[SigmaValue],
        placeholders: &BTreeMap<&String, &Vec<String>>,
    ) -> Result<Vec<SigmaValue>, String> {
        if !self.is_expanded {
            return Ok(values.to_vec());
        }
        let mut expanded = Vec::new();
        for value in values {
            let SigmaValue::String(text) = value else {
                expanded.push(value.clone());
                continue;
            };
            let mut texts = vec![String::new()];
            for (at, part) in text.original.split('%').enumerate() {
                let parts = if at % 2 == 0 {
                    std::slice::from_ref(&part.to_owned()).to_vec()
                } else {
                    let values = placeholders.get(&part.to_owned());
                    let values = values.ok_or_else(|| {
                        format!("nothing is known for the placeholder `%{part}%`; a file below `lists` says it under `placeholders`")
                    })?;
                    (*values).clone()
                };
                texts = texts
                    .iter()
                    .flat_map(|text| parts.iter().map(move |part| format!("{text}{part}")))
                    .collect();
            }
            let texts = texts
                .iter()
                .map(|text| SigmaValue::String(SigmaString::new(text)));
            expanded.extend(texts);
        }
        Ok(expanded)
    }

    /// Returns what is compared in the place of `value`: any of it is meant.
    ///
    /// # Errors
    /// When the value cannot be encoded.
    pub(super) fn encode(&self, value: &SigmaValue) -> Result<Vec<SigmaValue>, String> {
        let mut values = vec![value.clone()];
        for &encoding in &self.encodings {
            let encoded = values.iter().map(|value| encode::apply(encoding, value));
            values = encoded.collect::<Result<Vec<_>, _>>()?.concat();
        }
        let values: Result<Vec<_>, _> = values.iter().map(encode::unpack).collect();
        Ok(match values? {
            values if self.is_keyword => values.iter().flat_map(encode::in_json).collect(),
            values => values,
        })
    }

    /// Combines the tests of `values` as `all` and `neq` say, each alternative made by `compile`.
    ///
    /// # Errors
    /// When `compile` fails, or `all` stands with a single value.
    pub fn combine<L>(
        &self,
        values: &[SigmaValue],
        mut compile: impl FnMut(&[SigmaValue]) -> Result<Tree<L>, String>,
    ) -> Result<Tree<L>, String> {
        let tree = match (self.all, values) {
            (true, [] | [_]) => return Err("modifier `all` needs several values".to_owned()),
            (true, values) => Tree::and(
                values
                    .chunks(1)
                    .map(&mut compile)
                    .collect::<Result<_, _>>()?,
            ),
            (false, values) => compile(values)?,
        };
        Ok(if self.negate { tree.negate() } else { tree })
    }

    /// Returns these modifiers without `all` and `neq`, which are about the item as a whole.
    #[must_use]
    pub fn alone(&self) -> Self {
        Self {
            all: false,
            negate: false,
            ..self.clone()
        }
    }

    /// Returns these modifiers for a keyword: it is contained rather than equal.
    #[must_use]
    pub fn keyword(mut self) -> Self {
        if self.operator == Operator::Equal {
            self.operator = Operator::Contains;
            self.is_keyword = true;
        }
        self
    }
}

impl Modifiers {
    /// Compiles the test for one value.
    ///
    /// # Errors
    /// When the modifiers cannot take the value; says why.
    pub(super) fn test(&self, value: &SigmaValue) -> Result<Test, String> {
        if let Some(part) = self.part {
            let plain = Self {
                part: None,
                ..self.clone()
            };
            return Ok(Test::Part(part, Box::new(plain.test(value)?)));
        }
        let comparison = match self.operator {
            Operator::Exists => {
                return match value {
                    SigmaValue::Bool(expected) => Ok(Test::Exists(*expected)),
                    _ => Err("modifier `exists` takes `true` or `false`".to_owned()),
                };
            }
            Operator::Regex => return Ok(self.regex(value)),
            Operator::Network => {
                let text = value.to_string();
                let network = text
                    .parse()
                    .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
                let wrong = |_| format!("`{text}` is not a network such as 10.0.0.0/8");
                return Ok(Test::Network(network.map_err(wrong)?));
            }
            Operator::Less => Comparison::Less,
            Operator::LessOrEqual => Comparison::LessOrEqual,
            Operator::Greater => Comparison::Greater,
            Operator::GreaterOrEqual => Comparison::GreaterOrEqual,
            Operator::Equal => {
                return Ok(match value {
                    SigmaValue::Null => Test::Null,
                    SigmaValue::Bool(value) => Test::Bool(*value),
                    SigmaValue::Integer(value) => Test::Number(Number::Integer((*value).into())),
                    SigmaValue::Float(value) => Test::Number(Number::Float(*value)),
                    SigmaValue::String(text) => Test::Text(self.text(text)),
                });
            }
            Operator::Contains | Operator::StartsWith | Operator::EndsWith => {
                return match value {
                    SigmaValue::Null => Err("`null` is no text to look for".to_owned()),
                    SigmaValue::String(text) => Ok(Test::Text(self.text(text))),
                    value => Ok(Test::Text(
                        self.text(&SigmaString::from_raw(&value.to_string())),
                    )),
                };
            }
        };
        let number = Number::parse(&value.to_string())
            .ok_or_else(|| format!("`{value}` is not a number to compare with"))?;
        Ok(Test::Compare(comparison, number))
    }

    fn regex(&self, value: &SigmaValue) -> Test {
        let text = value.to_string();
        let mut builder = RegexBuilder::new(&text);
        builder
            .case_insensitive(self.ignore_case)
            .multi_line(self.multi_line)
            .dot_matches_new_line(self.dot_all)
            .size_limit(REGEX_BYTES);
        let mut parser = regex_syntax::ParserBuilder::new();
        parser
            .case_insensitive(self.ignore_case)
            .multi_line(self.multi_line)
            .dot_matches_new_line(self.dot_all);
        Test::Regex(Pattern::new(text, builder, parser))
    }

    fn text(&self, text: &SigmaString) -> TextTest {
        let many = StringPart::Special(SpecialChar::WildcardMulti);
        let is_open = |operator| self.operator == Operator::Contains || self.operator == operator;
        let mut parts = text.parts.clone();
        if is_open(Operator::EndsWith) {
            parts.insert(0, many.clone());
        }
        if is_open(Operator::StartsWith) {
            parts.push(many.clone());
        }
        parts.dedup_by(|next, part| *next == many && *part == many);
        TextTest::new(&parts, self.cased)
    }

    /// Returns whether any of `lefts` stands to any of `rights` as the modifiers say; for `fieldref`.
    pub(super) fn relate(&self, mut lefts: Vec<String>, mut rights: Vec<String>) -> bool {
        if !self.cased {
            for text in lefts.iter_mut().chain(&mut rights) {
                *text = text.to_lowercase();
            }
        }
        relate::any(self.operator, &lefts, &rights)
    }
}
