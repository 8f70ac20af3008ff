//! What an explanation consists of: conditions, and whether an event meets them.

use rsigma_parser::{DetectionItem, Modifier, SigmaValue};

use super::json::Json;
use super::tree::Tree;
use super::value::Values;

/// A condition, and whether an event meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Whether it holds.
    pub is_met: bool,
    /// The condition, as the rule writes it.
    pub text: String,
    /// Of a test: what the event holds in its field.
    pub found: Found,
    /// Why the event holds nothing there, if that is known.
    pub hint: Option<String>,
    /// What the condition consists of.
    pub parts: Vec<Self>,
}

/// What an event holds in a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Found {
    /// Does not apply: the condition is about others, or about the whole record.
    #[default]
    Unasked,
    /// These values; none if the event lacks the field.
    Values(Vec<String>),
    /// A command line, of which parts may be secret.
    Command(Vec<String>),
    /// So many values that are nobody's business: what a Secret or a token consists of.
    Secret(usize),
}

impl Found {
    /// Returns the values of a field; lists and objects as compact JSON.
    pub(super) fn of(values: &Values<'_>) -> Self {
        let mut texts = Vec::new();
        match values {
            Values::Found(found) => {
                for value in found {
                    gather(value, &mut texts);
                }
            }
            values => values.texts(&mut texts),
        }
        Self::Values(texts)
    }
}

fn gather(value: &Json<'_>, texts: &mut Vec<String>) {
    match value {
        Json::List(elements) => elements.iter().for_each(|element| gather(element, texts)),
        Json::Object(members) => {
            let keys: Vec<&str> = members.keys().collect();
            texts.push(format!("an object with {}", keys.join(", ")));
        }
        Json::Text(text) => texts.push(text.clone().into_owned()),
        Json::Number(number) => texts.push(number.to_string()),
        Json::Bool(value) => texts.push(value.to_string()),
        Json::Null => texts.push("null".to_owned()),
    }
}

impl Trace {
    /// Returns a condition over `parts`.
    pub(super) fn group(is_met: bool, text: impl Into<String>, parts: Vec<Self>) -> Self {
        Self {
            is_met,
            text: text.into(),
            found: Found::Unasked,
            hint: None,
            parts,
        }
    }

    /// Follows a tree of tests, each traced by `test`; connectives are worded.
    pub(super) fn of_tree<L>(tree: &Tree<L>, test: &mut impl FnMut(&L) -> Self) -> Self {
        let mut all = |parts: &[Tree<L>]| -> Vec<Self> {
            parts.iter().map(|part| Self::of_tree(part, test)).collect()
        };
        let count = |parts: &[Self]| parts.iter().filter(|part| part.is_met).count();
        match tree {
            Tree::And(parts) => {
                let parts = all(parts);
                Self::group(count(&parts) == parts.len(), "all of", parts)
            }
            Tree::Or(parts) => {
                let parts = all(parts);
                Self::group(count(&parts) > 0, "any of", parts)
            }
            Tree::AtLeast(n, parts) => {
                let parts = all(parts);
                Self::group(count(&parts) >= *n, format!("{n} of"), parts)
            }
            Tree::Not(inner) => {
                let inner = Self::of_tree(inner, test);
                Self::group(!inner.is_met, "not", vec![inner])
            }
            Tree::Test(leaf) => test(leaf),
        }
    }
}

/// Returns an item as rules write it: `verb|contains: [a, b]`.
pub(super) fn text_of_item(item: &DetectionItem) -> String {
    let mut text = item.field.name.clone().unwrap_or_default();
    for modifier in &item.field.modifiers {
        text.push('|');
        text.push_str(&word(*modifier));
    }
    if text.is_empty() {
        text.push_str("anywhere in the record");
    }
    format!("{text}: {}", text_of_values(&item.values))
}

fn text_of_values(values: &[SigmaValue]) -> String {
    match values {
        [value] => value.to_string(),
        values => {
            let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
            format!("[{}]", texts.join(", "))
        }
    }
}

/// Returns how rules write a modifier: as it is serialized.
fn word(modifier: Modifier) -> String {
    let word = serde_json::to_value(modifier).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}
