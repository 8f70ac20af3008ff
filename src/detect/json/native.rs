//! Reading JSON as the API server writes it: without blanks, most texts without escapes, most members unasked for.

use std::borrow::Cow;

use super::{Json, Keys, Members, general};
use crate::decode::skip;

/// Most levels that are built; the general parser decides about deeper ones.
const DEEPEST: usize = 64;

/// Reads a text of one value; `None` is for the general parser to decide.
pub(super) fn read<'a>(text: &'a str, keys: &Keys) -> Option<Json<'a>> {
    let mut reader = Reader { text, at: 0, keys };
    let value = reader.value(DEEPEST)?;
    (reader.at == text.len()).then_some(value)
}

struct Reader<'a, 'k> {
    text: &'a str,
    at: usize,
    keys: &'k Keys,
}

impl<'a> Reader<'a, '_> {
    fn value(&mut self, levels: usize) -> Option<Json<'a>> {
        match self.peek()? {
            b'{' => self.object(levels.checked_sub(1)?),
            b'[' => self.list(levels.checked_sub(1)?),
            b'"' => self.string().map(Json::Text),
            _ => general(self.skipped()?, self.keys),
        }
    }

    fn object(&mut self, levels: usize) -> Option<Json<'a>> {
        let mut members = Members::default();
        self.each(b'}', |reader| {
            if reader.peek()? != b'"' {
                return None;
            }
            let key = reader.string()?;
            if !reader.takes(b':') {
                return None;
            }
            if reader.keys.keeps(&key) {
                *members.entry(key) = reader.value(levels)?;
            } else {
                reader.skipped()?;
            }
            Some(())
        })?;
        Some(Json::Object(members))
    }

    fn list(&mut self, levels: usize) -> Option<Json<'a>> {
        let mut elements = Vec::new();
        self.each(b']', |reader| {
            elements.push(reader.value(levels)?);
            Some(())
        })?;
        Some(Json::List(elements))
    }

    /// Reads what stands between an opening bracket and `close`, one by one.
    fn each(&mut self, close: u8, mut one: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.at += 1;
        if self.takes(close) {
            return Some(());
        }
        loop {
            one(self)?;
            if self.takes(close) {
                return Some(());
            }
            if !self.takes(b',') {
                return None;
            }
        }
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at + 1;
        let end = start + skip::end_of_plain(self.text.as_bytes().get(start..)?)?;
        if self.text.as_bytes()[end] == b'"' {
            self.at = end + 1;
            return Some(Cow::Borrowed(&self.text[start..end]));
        }
        let string = serde_json::from_str(self.skipped()?).ok()?;
        Some(Cow::Owned(string))
    }

    /// Passes over a value; returns its text.
    fn skipped(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.at = skip::value(self.text.as_bytes(), start)?;
        Some(&self.text[start..self.at])
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is_it = self.peek() == Some(byte);
        self.at += usize::from(is_it);
        is_it
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> Keys {
        Keys::of(&["a", "b.c", "é\"", ""])
    }

    fn values() -> impl Strategy<Value = serde_json::Value> {
        let texts = || prop_oneof!["[a-z\"\\\\\n\u{7f}é😀]{0,20}", Just("x".repeat(70))];
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            texts().prop_map(Into::into),
        ];
        let keys = || prop_oneof!["a|b\\.c|é\"|", "[a-c]{1,2}"];
        leaf.prop_recursive(6, 60, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::vec((keys(), inner), 0..5)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn native_texts_are_read_as_in_general(value in values()) {
            let text = value.to_string();
            for keys in [keys(), Keys::all()] {
                let native = read(&text, &keys);
                prop_assert!(native.is_some(), "{text}");
                prop_assert_eq!(native, general(&text, &keys), "{}", text);
            }
        }

        /// Of damaged texts, and those that nobody writes so.
        #[test]
        fn what_is_read_is_so_in_general(
            value in values(),
            at in any::<prop::sample::Index>(),
            with in "|[\\[\\]{}\",:\\\\ ue0-9.-]|\\\\u[0-9a-fA-F]{4}|\"a\":1,",
            length in 0..3_usize,
        ) {
            let mut text: Vec<char> = value.to_string().chars().collect();
            let at = at.index(text.len());
            text.splice(at..(at + length).min(text.len()), with.chars());
            let text: String = text.into_iter().collect();
            for keys in [keys(), Keys::all()] {
                if let Some(native) = read(&text, &keys) {
                    prop_assert_eq!(Some(native), general(&text, &keys), "{}", text);
                }
            }
        }
    }

    #[test]
    fn what_is_deep_is_for_the_general_parser() {
        for (levels, is_read) in [(DEEPEST, true), (DEEPEST + 1, false)] {
            let text = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
            assert_eq!(read(&text, &keys()).is_some(), is_read, "{levels}");
        }
    }
}
