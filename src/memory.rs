//! Memory: what is remembered between requests, to bytes and back.
//!
//! What remembers is mixed with what follows from the rules (words, parameters, codes of words). Only the first is written;
//! it is read into a state that was made anew from the same rules. [`remembers`] says of each field which of the two it is,
//! so that a new one cannot be forgotten. The bytes are those of postcard, without names: they can be read by the
//! program that wrote them only, which [`crate::pipeline::MemoryError`] sees to.

use serde::Serialize;
use serde::de::DeserializeOwned;

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

/// What is written.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Starts behind `head`, whose capacity should be that of all that follows: a vector that grows is copied.
    pub(crate) fn behind(head: Vec<u8>) -> Self {
        Self { bytes: head }
    }

    /// Writes a value.
    pub(crate) fn put<T: Serialize + ?Sized>(&mut self, value: &T) {
        let bytes = std::mem::take(&mut self.bytes);
        self.bytes = postcard::to_extend(value, bytes).expect("what is remembered has a length");
    }

    /// Returns the bytes.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// What is read.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Reads a value. No length in the bytes is believed: nothing is made room for beyond some kilobytes.
    ///
    /// # Errors
    /// When the bytes end, or are not of that form.
    pub(crate) fn take<T: DeserializeOwned>(&mut self) -> Result<T, Broken> {
        let (value, rest) = postcard::take_from_bytes(self.rest)?;
        self.rest = rest;
        Ok(value)
    }

    /// Returns whether all was read.
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
macro_rules! remembers {
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

    #[test]
    fn what_follows_from_the_rules_is_made_anew() {
        let mut old = Both {
            limit: 7,
            seen: vec!["a".to_owned()],
            looked_up: Some(1),
        };
        let mut memory = Writer::default();
        old.write(&mut memory);
        let bytes = memory.finish();
        let mut new = Both {
            limit: 8,
            ..Both::default()
        };
        let mut reader = Reader::new(&bytes);
        new.read(&mut reader).unwrap();
        assert!(reader.is_at_end());
        (old.limit, old.looked_up) = (8, None);
        assert_eq!(new, old);
        assert!(new.read(&mut Reader::new(&bytes[..2])).is_err());
    }

    #[test]
    fn a_length_is_not_believed() {
        let mut memory = Writer::default();
        memory.put(&(u64::MAX / 2));
        let bytes = memory.finish();
        assert!(Reader::new(&bytes).take::<Vec<[u64; 8]>>().is_err());
        assert!(Reader::new(&bytes).take::<String>().is_err());
        assert!(
            Reader::new(&bytes)
                .take::<hashbrown::HashMap<u64, u64>>()
                .is_err()
        );
    }
}
