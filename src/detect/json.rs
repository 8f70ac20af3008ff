//! Bodies as trees, with only those members that some rule may ask for.
//!
//! Most of a body is of no interest to any rule (managed fields, status, volumes), and a tree of all of it costs
//! more than all else that is done with an event. So the keys that rules name are gathered first ([`Keys`]), and a
//! member of another key is skipped, at any depth. Texts are borrowed from the record where they can be.

mod mend;
mod native;

use std::borrow::Cow;
use std::fmt;

use hashbrown::HashMap;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::value::Number;

/// A JSON value.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Json<'a> {
    /// `null`
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Self>),
    /// An object.
    Object(Members<'a>),
}

/// The members of an object, in the order of the record; of equal keys the last one counts.
#[derive(Debug, Clone, Default)]
pub struct Members<'a> {
    entries: Vec<(Cow<'a, str>, Json<'a>)>,
    /// Whether any key holds a dot: what a path joins cannot be a key else.
    has_dots: bool,
}

impl PartialEq for Members<'_> {
    /// Compares as sets.
    fn eq(&self, other: &Self) -> bool {
        let is_there = |(key, value): &(Cow<'_, str>, Json<'_>)| other.get(key) == Some(value);
        self.entries.len() == other.entries.len() && self.entries.iter().all(is_there)
    }
}

impl<'a> Members<'a> {
    /// Returns the value of `key`.
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        let mut entries = self.entries.iter();
        entries.find_map(|(name, value)| (name == key).then_some(value))
    }

    /// Returns the value of `key` to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Json<'a>> {
        let mut entries = self.entries.iter_mut();
        entries.find_map(|(name, value)| (name == key).then_some(value))
    }

    /// Returns the value of `key`, which is null if there was none.
    pub fn entry(&mut self, key: Cow<'a, str>) -> &mut Json<'a> {
        let at = self.entries.iter().position(|(name, _)| *name == key);
        let at = at.unwrap_or_else(|| {
            self.has_dots |= key.contains('.');
            self.entries.push((key, Json::Null));
            self.entries.len() - 1
        });
        &mut self.entries[at].1
    }

    /// Returns the values.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Json<'a>> {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    /// Returns the keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(key, _)| &**key)
    }

    /// Returns whether any key holds a dot.
    pub fn has_dots(&self) -> bool {
        self.has_dots
    }
}

/// The keys that are kept.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// With their numbers.
    kept: HashMap<Box<str>, u32>,
    keeps_all: bool,
}

/// Keys by their numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct KeySet(Vec<u64>);

impl KeySet {
    fn add(&mut self, number: u32) {
        let (word, bit) = (number as usize / 64, number % 64);
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << bit;
    }

    /// Returns whether it has any of `numbers`.
    pub(super) fn has_any(&self, numbers: &[u32]) -> bool {
        let has = |number: &u32| {
            let word = self.0.get(*number as usize / 64);
            word.is_some_and(|word| word >> (number % 64) & 1 == 1)
        };
        numbers.iter().any(has)
    }
}

impl Keys {
    /// Returns a set that keeps every member.
    pub fn all() -> Self {
        Self {
            kept: HashMap::new(),
            keeps_all: true,
        }
    }

    /// Returns a set that keeps members of these keys.
    pub fn of(keys: &[&str]) -> Self {
        let mut set = Self::default();
        for key in keys {
            set.keep(key);
        }
        set
    }

    /// Keeps members of this key.
    pub fn keep(&mut self, key: &str) {
        if !self.kept.contains_key(key) {
            let number = u32::try_from(self.kept.len()).expect("fewer than 2^32 keys");
            self.kept.insert(key.into(), number);
        }
    }

    /// Returns the number of a key that is kept by its name.
    pub(super) fn number(&self, key: &str) -> Option<u32> {
        self.kept.get(key).copied()
    }

    /// Returns the keys of all members within `value`, at any depth, that are kept by their names.
    pub(super) fn within(&self, value: &Json<'_>) -> KeySet {
        let mut keys = KeySet::default();
        self.gather(value, &mut keys);
        keys
    }

    fn gather(&self, value: &Json<'_>, keys: &mut KeySet) {
        match value {
            Json::List(elements) => elements
                .iter()
                .for_each(|element| self.gather(element, keys)),
            Json::Object(members) => {
                for (key, value) in &members.entries {
                    if let Some(number) = self.number(key) {
                        keys.add(number);
                    }
                    self.gather(value, keys);
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => {}
        }
    }

    /// Returns whether members of this key are kept.
    pub fn keeps(&self, key: &str) -> bool {
        self.keeps_all || self.kept.contains_key(key)
    }
}

impl<'a> Json<'a> {
    /// Parses a text. What is no JSON is as if it were null, and so is what lies deeper than a hundred levels.
    ///
    /// What the API server takes for JSON is JSON here: half a surrogate pair is read as U+FFFD.
    pub fn parse(text: &'a str, keys: &Keys) -> Self {
        let known = native::read(text, keys).or_else(|| general(text, keys));
        known
            .or_else(|| {
                let mended = mend::mended(text).unwrap_or_default();
                let parser = serde_json::Deserializer::from_reader(mended.as_bytes());
                read(parser, keys).ok()
            })
            .unwrap_or_default()
    }

    /// Returns the text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the elements, if it is a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// Returns the member of that key, if it is an object with one.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(key),
            _ => None,
        }
    }

    /// Returns the member of that key to be changed, if it is an object with one.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        match self {
            Self::Object(members) => members.get_mut(key),
            _ => None,
        }
    }

    /// Returns whether it is null.
    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }
}

/// Reads a text of one value.
fn general<'a>(text: &'a str, keys: &Keys) -> Option<Json<'a>> {
    read(serde_json::Deserializer::from_str(text), keys).ok()
}

/// Reads one value, and nothing behind it.
fn read<'de>(
    mut parser: serde_json::Deserializer<impl serde_json::de::Read<'de>>,
    keys: &Keys,
) -> serde_json::Result<Json<'de>> {
    let value = Seed(keys, DEPTH).deserialize(&mut parser)?;
    parser.end()?;
    Ok(value)
}

/// Levels that are built; what lies deeper is as if it were null, and hides nothing beside it.
const DEPTH: usize = 100;

/// The keys to keep, and the levels left.
struct Seed<'k>(&'k Keys, usize);

impl Seed<'_> {
    /// Returns the seed of the values one level down; `None` if that is too deep.
    fn below(&self) -> Option<Self> {
        Some(Seed(self.0, self.1.checked_sub(1)?))
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Integer(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Integer(value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Float(value)))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json<'de>, A::Error> {
        let mut elements = Vec::new();
        while let Some(below) = self.below() {
            match list.next_element_seed(below)? {
                Some(element) => elements.push(element),
                None => return Ok(Json::List(elements)),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Json::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let mut members = Members::default();
        while let Some(key) = map.next_key_seed(Key)? {
            match self.below() {
                Some(below) if self.0.keeps(&key) => {
                    *members.entry(key) = map.next_value_seed(below)?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Json::Object(members))
    }
}

/// A key, borrowed if it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_members_that_are_kept_are_built() {
        let mut keys = Keys::default();
        keys.keep("a");
        keys.keep("b.c");
        let text = r#"{"x": {"a": 1}, "a": [{"a": "t", "y": []}, null, 1.5, true], "b.c": "\u0041", "a2": 1}"#;
        let json = Json::parse(text, &keys);
        let text = |text: &'static str| Json::Text(Cow::Borrowed(text));
        let mut inner = Members::default();
        *inner.entry("a".into()) = text("t");
        let list = [
            Json::Object(inner),
            Json::Null,
            Json::Number(Number::Float(1.5)),
            Json::Bool(true),
        ];
        assert_eq!(json.get("a"), Some(&Json::List(list.to_vec())));
        assert_eq!(json.get("b.c"), Some(&text("A")));
        assert_eq!(json.get("x"), None);
        assert!(matches!(&json, Json::Object(members) if members.has_dots()));
    }

    #[test]
    fn what_only_the_api_server_reads_hides_nothing() {
        let one = Json::Number(Number::Integer(1));
        for text in [
            r#"{"x": "\ud800", "a": 1}"#,
            r#"{"\udc00": {}, "a": 1}"#,
            r#"{"x": [1e999], "a": 1}"#,
        ] {
            assert_eq!(
                Json::parse(text, &Keys::all()).get("a"),
                Some(&one),
                "{text}"
            );
        }
        let half = Json::parse(r#"{"x": "y\ud800"}"#, &Keys::all());
        assert_eq!(half.get("x").and_then(Json::as_text), Some("y\u{fffd}"));
    }

    #[test]
    fn what_is_no_json_is_null() {
        let deep = format!(
            r#"{{"x": {}1{}, "a": 1}}"#,
            "[".repeat(120),
            "]".repeat(120)
        );
        let one = Json::Number(Number::Integer(1));
        assert_eq!(Json::parse(&deep, &Keys::all()).get("a"), Some(&one));
        for text in ["", "{", "{} x", "tru", &"[".repeat(200)] {
            assert!(Json::parse(text, &Keys::all()).is_null(), "{text}");
        }
        // Behind damage that can be mended, too.
        for text in [r#"{"\ud800": 1"#, r#"{"a": "\ud800"} x"#] {
            assert!(Json::parse(text, &Keys::all()).is_null(), "{text}");
        }
        let twice = Json::parse(r#"{"a": 1, "a": 2}"#, &Keys::all());
        assert_eq!(twice.get("a"), Some(&Json::Number(Number::Integer(2))));
    }
}
