//! Memory: what is remembered between requests, to bytes and back.
//!
//! What remembers is mixed with what follows from the rules (words, parameters, codes of words). Only the first is written;
//! it is read into a state that was made anew from the same rules. [`remembers`] says of each field which of the two it is,
//! so that a new one cannot be forgotten. The bytes are those of postcard, without names: they can be read by the
//! program that wrote them only, which [`crate::pipeline::MemoryError`] sees to.
//!
//! A memory has parts, each with a name, so that who keeps it writes what has changed and no more. What is equal is equal
//! bytes, but for hash sets ([`encode`]).

mod encode;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use encode::Encoder;

pub(crate) use encode::Bits;

/// Says how a remembered value cannot be read.
pub(crate) type Broken = postcard::Error;

/// Something that remembers, apart from what follows from the rules.
pub(crate) trait Remember {
    /// Writes what is remembered.
    fn write(&self, memory: &mut Writer);

    /// Takes in what [`Self::write`] wrote, in place of what is remembered; of no use after an error.
    ///
    /// # Errors
    /// When the bytes are not of that form.
    fn read(&mut self, memory: &mut Reader<'_>) -> Result<(), Broken>;
}

/// Parts of a memory, by their names.
pub type Parts = BTreeMap<String, Vec<u8>>;

/// A part that is written: its name, and its bytes unless they are those that were read.
pub(crate) type Part = (String, Option<Vec<u8>>);

/// What is written.
#[derive(Default)]
pub(crate) struct Writer {
    parts: Vec<Part>,
    /// Name of the part that is under way.
    name: Option<String>,
    encoder: Encoder,
}

impl Writer {
    /// Starts to write what holds codes below `end`.
    pub(crate) fn of_codes(end: u32) -> Self {
        let mut writer = Self::default();
        writer.encoder.codes = Bits::new(end);
        writer
    }

    /// Returns which codes were written so far; a code is any number of 32 bits, so there may be some among them that
    /// nothing refers to.
    pub(crate) fn take_codes(&mut self) -> Bits {
        std::mem::take(&mut self.encoder.codes)
    }

    /// Begins a part, which ends where the next one begins.
    pub(crate) fn part(&mut self, name: impl Into<String>) {
        self.end();
        self.name = Some(name.into());
    }

    /// Says that the part of that name is what was read, so that nobody has to write it.
    pub(crate) fn keep(&mut self, name: impl Into<String>) {
        self.end();
        self.parts.push((name.into(), None));
    }

    fn end(&mut self) {
        if let Some(name) = self.name.take() {
            let bytes = std::mem::take(&mut self.encoder.bytes);
            self.parts.push((name, Some(bytes)));
        }
    }

    /// Writes a value.
    pub(crate) fn put<T: Serialize + ?Sized>(&mut self, value: &T) {
        let put = value.serialize(&mut self.encoder);
        put.expect("what is remembered has a length");
    }

    /// Returns the parts, in the order in which they were written.
    pub(crate) fn finish(mut self) -> Vec<Part> {
        self.end();
        self.parts
    }
}

/// What is read.
pub(crate) struct Reader<'a> {
    parts: &'a Parts,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts in one of `parts`, of which `rest` is left.
    pub(crate) fn within(parts: &'a Parts, rest: &'a [u8]) -> Self {
        Self { parts, rest }
    }

    /// Goes on with a part.
    ///
    /// # Errors
    /// When there is none of that name, or the one before was not read to its end.
    pub(crate) fn part(&mut self, name: &str) -> Result<(), Broken> {
        let part = self.parts.get(name).filter(|_| self.is_at_end());
        self.rest = part.ok_or(Broken::DeserializeUnexpectedEnd)?;
        Ok(())
    }

    /// Reads a value. No length in the bytes is believed: nothing is made room for beyond some kilobytes.
    ///
    /// # Errors
    /// When the bytes end, or are not of that form.
    pub(crate) fn take<T: Deserialize<'a>>(&mut self) -> Result<T, Broken> {
        let (value, rest) = postcard::take_from_bytes(self.rest)?;
        self.rest = rest;
        Ok(value)
    }

    /// Returns whether all of the part was read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}

impl<T: Remember> Remember for Vec<T> {
    fn write(&self, memory: &mut Writer) {
        for part in self {
            part.write(memory);
        }
    }

    /// How many there are follows from the rules.
    fn read(&mut self, memory: &mut Reader<'_>) -> Result<(), Broken> {
        self.iter_mut().try_for_each(|part| part.read(memory))
    }
}

/// Says of every field of a type whether it is remembered as a whole, remembers itself in parts, or is made anew: as it
/// follows from the rules, or is nothing but a look-up that was done already.
///
/// With `each` in front, every field is a part of the memory, which has its name.
macro_rules! remembers {
    (each $type:ty: [$($kept:ident),* $(,)?], parts [$($part:ident),* $(,)?], anew [$($anew:ident),* $(,)?]) => {
        impl $crate::memory::Remember for $type {
            fn write(&self, memory: &mut $crate::memory::Writer) {
                let Self { $($kept,)* $($part,)* $($anew: _,)* } = self;
                $(memory.part(stringify!($kept)); memory.put($kept);)*
                $(memory.part(stringify!($part)); $part.write(memory);)*
            }

            fn read(
                &mut self,
                memory: &mut $crate::memory::Reader<'_>,
            ) -> Result<(), $crate::memory::Broken> {
                $(memory.part(stringify!($kept))?; self.$kept = memory.take()?;)*
                $(memory.part(stringify!($part))?; self.$part.read(memory)?;)*
                Ok(())
            }
        }
    };
    ($type:ty: [$($kept:ident),* $(,)?], parts [$($part:ident),* $(,)?], anew [$($anew:ident),* $(,)?]) => {
        impl $crate::memory::Remember for $type {
            fn write(&self, memory: &mut $crate::memory::Writer) {
                let Self { $($kept,)* $($part,)* $($anew: _,)* } = self;
                $(memory.put($kept);)*
                $($part.write(memory);)*
            }

            fn read(
                &mut self,
                memory: &mut $crate::memory::Reader<'_>,
            ) -> Result<(), $crate::memory::Broken> {
                $(self.$kept = memory.take()?;)*
                $(self.$part.read(memory)?;)*
                Ok(())
            }
        }
    };
    ($type:ty: [$($kept:ident),* $(,)?], anew [$($anew:ident),* $(,)?]) => {
        $crate::memory::remembers!($type: [$($kept),*], parts [], anew [$($anew),*]);
    };
}
pub(crate) use remembers;

/// Arrays of any length; serde knows those up to 32.
pub(crate) mod array {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes an array as a list.
    pub(crate) fn serialize<S: Serializer, T: Serialize, const N: usize>(
        array: &[T; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        array.as_slice().serialize(serializer)
    }

    /// Reads an array that was written as a list.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[T; N], D::Error> {
        let list = Vec::deserialize(deserializer)?;
        let length = list.len();
        list.try_into().map_err(|_list: Vec<T>| {
            D::Error::invalid_length(length, &"an array of another length")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Both {
        limit: usize,
        seen: Vec<String>,
        looked_up: Option<u32>,
    }

    remembers!(Both: [seen], anew [limit, looked_up]);

    /// Returns the parts of a memory that has one only.
    fn written(write: impl FnOnce(&mut Writer)) -> Parts {
        let mut memory = Writer::default();
        memory.part("all");
        write(&mut memory);
        let parts = memory.finish().into_iter();
        parts.map(|(name, bytes)| (name, bytes.unwrap())).collect()
    }

    #[test]
    fn what_follows_from_the_rules_is_made_anew() {
        let mut old = Both {
            limit: 7,
            seen: vec!["a".to_owned()],
            looked_up: Some(1),
        };
        let mut parts = written(|memory| old.write(memory));
        let mut new = Both {
            limit: 8,
            ..Both::default()
        };
        let mut reader = Reader::within(&parts, &[]);
        assert!(reader.part("other").is_err());
        reader.part("all").unwrap();
        assert!(reader.part("all").is_err(), "it was not read");
        new.read(&mut reader).unwrap();
        assert!(reader.is_at_end());
        (old.limit, old.looked_up) = (8, None);
        assert_eq!(new, old);
        parts.get_mut("all").unwrap().truncate(2);
        let mut reader = Reader::within(&parts, &[]);
        reader.part("all").unwrap();
        assert!(new.read(&mut reader).is_err());
    }

    #[test]
    fn a_length_is_not_believed() {
        let parts = written(|memory| memory.put(&(u64::MAX / 2)));
        let reader = || {
            let mut reader = Reader::within(&parts, &[]);
            reader.part("all").unwrap();
            reader
        };
        assert!(reader().take::<Vec<[u64; 8]>>().is_err());
        assert!(reader().take::<String>().is_err());
        assert!(reader().take::<hashbrown::HashMap<u64, u64>>().is_err());
    }
}
