//! The run's dictionary: every repeated text has one 32-bit code in all chunks and columns.
//!
//! Codes differ from run to run (threads race for them), so nothing may depend on their order.

use std::borrow::Cow;
use std::sync::Arc;

use polars::prelude::{CategoricalMapping, CategoricalPhysical, Categories, DataType, PlSmallStr};

/// The code of null.
pub const NULL: u32 = u32::MAX;

/// A dictionary of texts that threads share. Cloning it is cheap and gives the same dictionary.
#[derive(Clone)]
pub struct Vocabulary {
    data_type: DataType,
    mapping: Arc<CategoricalMapping>,
}

impl Vocabulary {
    /// Returns an empty dictionary.
    pub fn new() -> Self {
        let categories = Categories::random(
            PlSmallStr::from_static("kubescry"),
            CategoricalPhysical::U32,
        );
        let mapping = categories.mapping();
        Self {
            data_type: DataType::Categorical(categories, mapping.clone()),
            mapping,
        }
    }

    /// Returns the Polars type of the coded columns.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// Returns the code of `text`, which is new if it has to be; the empty text is null.
    pub fn code(&self, text: &str) -> u32 {
        if text.is_empty() {
            return NULL;
        }
        self.mapping
            .insert_cat(text)
            .expect("fewer than 2^32 distinct texts")
    }

    /// Returns the code of `text`, if it has one.
    pub fn find(&self, text: &str) -> Option<u32> {
        self.mapping.get_cat(text)
    }

    /// Returns the text of `code`; null is the empty text.
    pub fn text(&self, code: u32) -> &str {
        if code == NULL {
            return "";
        }
        self.mapping
            .cat_to_str(code)
            .expect("code of this vocabulary")
    }

    /// Returns the elements of a list column's value.
    pub fn list(&self, code: u32) -> Vec<Cow<'_, str>> {
        parse_list(self.text(code))
    }
}

impl Default for Vocabulary {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the elements of a list column's text.
pub fn parse_list(text: &str) -> Vec<Cow<'_, str>> {
    serde_json::from_str(text).unwrap_or_default()
}

/// Slots of a [`Memo`].
const SLOTS: usize = 128;

/// A small cache in front of the dictionary, one per column: values repeat from line to line, and a
/// comparison is much cheaper than a look-up that threads share.
pub(super) struct Memo<'a> {
    slots: Box<[(&'a str, u32); SLOTS]>,
}

impl<'a> Memo<'a> {
    pub(super) fn new() -> Self {
        Self {
            slots: Box::new([("", NULL); SLOTS]),
        }
    }

    /// Returns the code of `text`.
    #[expect(clippy::ptr_arg, reason = "only borrowed text can stay in the memo")]
    pub(super) fn code(&mut self, vocabulary: &Vocabulary, text: &Cow<'a, str>) -> u32 {
        match text {
            Cow::Borrowed(text) => {
                let slot = &mut self.slots[Self::slot(text.as_bytes())];
                if slot.0 != *text {
                    *slot = (text, vocabulary.code(text));
                }
                slot.1
            }
            Cow::Owned(text) => vocabulary.code(text),
        }
    }

    /// Mixes the length and both ends of the text: enough to tell the values of one column apart.
    fn slot(text: &[u8]) -> usize {
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        let mixed = match text.len() {
            length @ 0..8 => text
                .iter()
                .fold(length as u64, |sum, &byte| sum << 8 | u64::from(byte)),
            length => {
                word(&text[..8]) ^ word(&text[length - 8..]).rotate_left(29) ^ (length as u64) << 3
            }
        };
        // 2^64 divided by the golden ratio (Knuth, The Art of Computer Programming 3, 6.4).
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 57) as usize
    }
}
