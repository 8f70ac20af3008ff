//! JSON as envelopes need it: one level at a time, values as raw text, and new objects written.
//!
//! RFC 8259. Nothing here recurses: `serde_json` skips raw values with a stack on the heap. Of a
//! repeated key the last value counts, as in the decoder.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The members of one object, values unread.
#[derive(Debug, Default)]
pub(super) struct Object<'a> {
    /// The text of the object.
    pub(super) text: &'a str,
    members: Vec<(Cow<'a, str>, &'a str)>,
}

/// An object that ends too early or is damaged.
pub(super) struct Damaged<'a> {
    /// The members before the damage.
    pub(super) sound: Object<'a>,
    /// Key and text of the member that holds the damage, up to the end.
    pub(super) open: Option<(Cow<'a, str>, &'a str)>,
    /// What the parser says.
    pub(super) cause: String,
}

impl<'a> Object<'a> {
    /// Reads the members of `text`, which is one JSON object.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        Self::parse_or_damage(text).ok()
    }

    /// As [`Object::parse`], and tells how far a damaged object goes.
    pub(super) fn parse_or_damage(text: &'a str) -> Result<Self, Box<Damaged<'a>>> {
        struct Members<'a, 'm>(&'m RefCell<Found<'a>>);
        #[derive(Default)]
        struct Found<'a> {
            members: Vec<(Cow<'a, str>, &'a str)>,
            open: Option<Cow<'a, str>>,
        }
        impl<'a> Visitor<'a> for Members<'a, '_> {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
                while let Some(Text(key)) = map.next_key()? {
                    self.0.borrow_mut().open = Some(key);
                    let value: &RawValue = map.next_value()?;
                    let mut found = self.0.borrow_mut();
                    if let Some(key) = found.open.take() {
                        found.members.push((key, value.get()));
                    }
                }
                Ok(())
            }
        }
        let found = RefCell::default();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let read = deserializer
            .deserialize_map(Members(&found))
            .and_then(|()| deserializer.end());
        let Found { members, open } = found.into_inner();
        let sound = Self { text, members };
        let Err(cause) = read else {
            return Ok(sound);
        };
        // A borrowed key tells where its value starts.
        let open = open.and_then(|key| {
            let Cow::Borrowed(name) = key else {
                return None;
            };
            let end = name.as_ptr() as usize - text.as_ptr() as usize + name.len();
            let value = text.get(end..)?.strip_prefix('"')?.trim_start();
            Some((key, value.strip_prefix(':')?.trim_start()))
        });
        let cause = cause.to_string();
        Err(Box::new(Damaged { sound, open, cause }))
    }

    /// Returns the members, in order.
    pub(super) fn members(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.members
            .iter()
            .map(|(key, value)| (key.as_ref(), *value))
    }

    /// Returns the text of member `key`; null counts as absent.
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        let (_, value) = self.members.iter().rev().find(|(name, _)| name == key)?;
        (*value != "null").then_some(*value)
    }

    /// Returns member `key`, whatever its case and underscores: `callerIp` finds `caller_ip`.
    pub(super) fn get_loose(&self, key: &str) -> Option<&'a str> {
        let folded = |text: &str| -> Vec<u8> {
            text.bytes()
                .filter(|&byte| byte != b'_')
                .map(|byte| byte.to_ascii_lowercase())
                .collect()
        };
        self.get(key).or_else(|| {
            let key = folded(key);
            let fits = |name: &str| name.len() < 64 && folded(name) == key;
            let (_, value) = self.members.iter().rev().find(|(name, _)| fits(name))?;
            (*value != "null").then_some(*value)
        })
    }

    /// Returns whether the object has all of `keys`.
    pub(super) fn has_all(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| self.get(key).is_some())
    }

    /// Returns whether the object has any of `keys`.
    pub(super) fn has_any(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.get(key).is_some())
    }

    /// Returns a string, number or boolean as text; empty if there is none.
    pub(super) fn text(&self, key: &str) -> Cow<'a, str> {
        self.get(key).map_or(Cow::Borrowed(""), scalar)
    }

    /// Returns a member that is an object, or text that is one.
    pub(super) fn object(&self, key: &str) -> Option<Self> {
        Self::parse(self.get(key)?)
    }
}

/// Returns the value of a scalar as text: strings unescaped, numbers and booleans as written.
pub(in crate::decode) fn scalar(raw: &str) -> Cow<'_, str> {
    match raw.as_bytes().first() {
        Some(b'"') => string(raw).unwrap_or_default(),
        Some(b'{' | b'[') | None => Cow::Borrowed(""),
        Some(_) if raw == "null" => Cow::Borrowed(""),
        Some(_) => Cow::Borrowed(raw),
    }
}

/// Unescapes a string literal without halves of surrogate pairs.
pub(in crate::decode) fn strict_string(raw: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str(raw).ok().map(|Text(text)| text)
}

/// Returns whether a text is one JSON value, and nothing else.
pub(super) fn is_valid(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Returns the JSON objects that `text` consists of, with nothing but blanks, commas and semicolons between them.
pub(super) fn objects_to_end(text: &str) -> Option<Vec<&str>> {
    let (mut objects, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() {
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        let object = stream.next()?.ok()?.get();
        if !object.starts_with('{') {
            return None;
        }
        objects.push(object);
        let is_between = |char: char| char.is_whitespace() || matches!(char, ',' | ';');
        rest = rest[stream.byte_offset()..].trim_start_matches(is_between);
    }
    (!objects.is_empty()).then_some(objects)
}

/// Unescapes a string literal; halves of surrogate pairs become U+FFFD. `None` if it is none.
pub(super) fn string(raw: &str) -> Option<Cow<'_, str>> {
    if let Some(text) = strict_string(raw) {
        return Some(text);
    }
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::with_capacity(inner.len());
    let mut units: Vec<u16> = Vec::new();
    let mut rest = inner;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let escape = rest[at + 1..].chars().next()?;
        if at > 0 {
            flush(&mut units, &mut text);
            text.push_str(&rest[..at]);
        }
        rest = &rest[at + 1 + escape.len_utf8()..];
        let plain = match escape {
            'u' => {
                units.push(u16::from_str_radix(rest.get(..4)?, 16).ok()?);
                rest = &rest[4..];
                continue;
            }
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            other => other,
        };
        flush(&mut units, &mut text);
        text.push(plain);
    }
    flush(&mut units, &mut text);
    text.push_str(rest);
    Some(Cow::Owned(text))
}

fn flush(units: &mut Vec<u16>, text: &mut String) {
    let decoded = char::decode_utf16(units.drain(..));
    text.extend(decoded.map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
}

/// Calls `element` with each element of the array `text`, as far as the array is sound.
///
/// # Errors
/// What the parser says of the damage; `text` may also be no array.
pub(super) fn each_element<'a>(
    text: &'a str,
    element: impl FnMut(&'a str),
) -> Result<(), serde_json::Error> {
    struct Elements<F>(F);
    impl<'a, F: FnMut(&'a str)> Visitor<'a> for Elements<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'a>>(mut self, mut seq: A) -> Result<(), A::Error> {
            while let Some(value) = seq.next_element::<&RawValue>()? {
                (self.0)(value.get());
            }
            Ok(())
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_seq(Elements(element))?;
    deserializer.end()
}

/// Returns the elements of an array whose text goes on with `text`, an element first, if nothing but the ends of so many
/// objects follows it.
///
/// What seems an event in a body is text that a client chose; an array in there is followed by the rest of its event.
pub(in crate::decode) fn list_to_end(
    text: &str,
    n_objects: RangeInclusive<usize>,
) -> Option<Vec<&str>> {
    let (mut elements, mut rest) = (Vec::new(), text);
    loop {
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        elements.push(stream.next()?.ok()?.get());
        rest = rest[stream.byte_offset()..].trim_start();
        if let Some(behind) = rest.strip_prefix(']') {
            let ends: String = behind.split_ascii_whitespace().collect();
            let is_end = ends.bytes().all(|byte| byte == b'}') && n_objects.contains(&ends.len());
            return is_end.then_some(elements);
        }
        rest = rest.strip_prefix(',')?;
    }
}

/// Returns the elements of a short array; none if it is no array.
pub(super) fn elements(text: &str) -> Vec<&str> {
    serde_json::from_str::<Vec<&RawValue>>(text).map_or_else(
        |_| Vec::new(),
        |list| list.into_iter().map(RawValue::get).collect(),
    )
}

/// Appends `text` as a string literal.
pub(super) fn push_string(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).expect("a string is JSON"));
}

/// An object being written.
#[derive(Debug)]
pub(super) struct Writer {
    text: String,
}

impl Writer {
    /// Starts an empty object.
    pub(super) fn new() -> Self {
        Self {
            text: "{".to_owned(),
        }
    }

    /// Starts an audit event.
    pub(super) fn event() -> Self {
        let mut event = Self::new();
        event.text("kind", "Event");
        event.text("apiVersion", "audit.k8s.io/v1");
        event
    }

    /// Adds a member whose value is JSON already.
    pub(super) fn raw(&mut self, key: &str, value: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        push_string(&mut self.text, key);
        self.text.push(':');
        self.text.push_str(value);
    }

    /// Adds a string; an empty one is left out, as the API server does.
    pub(super) fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            let mut literal = String::with_capacity(value.len() + 2);
            push_string(&mut literal, value);
            self.raw(key, &literal);
        }
    }

    /// Adds a list of strings; an empty one is left out.
    pub(super) fn list<T: AsRef<str>>(&mut self, key: &str, values: &[T]) {
        if !values.is_empty() {
            let texts: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
            self.raw(
                key,
                &serde_json::to_string(&texts).expect("strings are JSON"),
            );
        }
    }

    /// Adds an object; an empty one is left out.
    pub(super) fn object(&mut self, key: &str, value: Self) {
        if !value.is_empty() {
            self.raw(key, &value.finish());
        }
    }

    /// Returns whether nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.text.len() == 1
    }

    /// Ends the object.
    pub(super) fn finish(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

/// A string that borrows where it can.
struct Text<'a>(Cow<'a, str>);

impl<'a> Deserialize<'a> for Text<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'a> Visitor<'a> for TextVisitor {
            type Value = Text<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'a str) -> Result<Text<'a>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'a>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Returns the first element of an array, whatever follows.
pub(super) fn first(array: &str) -> Option<&str> {
    let inner = array.strip_prefix('[')?;
    let mut stream = serde_json::Deserializer::from_str(inner).into_iter::<&RawValue>();
    stream.next()?.ok().map(RawValue::get)
}
