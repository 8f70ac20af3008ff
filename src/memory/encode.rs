//! Values to bytes, in the form that postcard reads (its wire format 1.0), with one thing more: the entries of a map stand
//! in the order of their bytes. So what is remembered is the same bytes as long as it is the same, although hash maps are
//! iterated in an order that no two runs share; sets are no maps to serde, and have no order here either.
//!
//! Bytes go straight into one vector: postcard's own way to write into one pushes them one by one.

use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::Broken;

/// Writes values behind what is there.
#[derive(Default)]
pub(super) struct Encoder {
    pub(super) bytes: Vec<u8>,
    /// Which codes were written, of as many as there are bits.
    pub(super) codes: Bits,
    /// Where entries are put in order; empty between maps.
    sorted: Vec<u8>,
}

/// Which of so many numbers.
#[derive(Default)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    /// Returns none of at least `n`.
    pub(crate) fn new(n: u32) -> Self {
        Self(vec![0; (n as usize).div_ceil(64)])
    }

    fn set(&mut self, number: u32) {
        if let Some(bits) = self.0.get_mut(number as usize / 64) {
            *bits |= 1 << (number % 64);
        }
    }

    /// Returns whether `number` is among them.
    pub(crate) fn has(&self, number: u32) -> bool {
        let bits = self.0.get(number as usize / 64);
        bits.is_some_and(|bits| bits >> (number % 64) & 1 == 1)
    }
}

impl Encoder {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value.to_le_bytes()[0]);
    }

    fn text(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    fn length(&mut self, length: Option<usize>) -> Result<(), Broken> {
        let length = length.ok_or_else(|| Broken::custom("its length is not known"))?;
        self.varint(length as u64);
        Ok(())
    }

    /// Puts entries, which start at `starts` and reach to the end, into the order of their bytes.
    fn sort(&mut self, starts: &[usize]) {
        let Some(&first) = starts.first() else { return };
        let ends = starts[1..].iter().copied().chain([self.bytes.len()]);
        // Most differ in what a comparison of numbers sees.
        let mut entries: Vec<(u64, &[u8])> = starts
            .iter()
            .zip(ends)
            .map(|(&start, end)| &self.bytes[start..end])
            .map(|entry| (beginning(entry), entry))
            .collect();
        if entries.is_sorted() {
            return;
        }
        entries.sort_unstable();
        self.sorted.clear();
        for (_, entry) in entries {
            self.sorted.extend_from_slice(entry);
        }
        self.bytes[first..].copy_from_slice(&self.sorted);
    }
}

/// Returns the first eight bytes as the number that has their order.
fn beginning(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    let length = bytes.len().min(8);
    first[..length].copy_from_slice(&bytes[..length]);
    u64::from_be_bytes(first)
}

/// Writes a map, whose entries start at these places.
pub(super) struct Entries<'e> {
    encoder: &'e mut Encoder,
    starts: Vec<usize>,
}

impl SerializeMap for Entries<'_> {
    type Ok = ();
    type Error = Broken;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Broken> {
        self.starts.push(self.encoder.bytes.len());
        key.serialize(&mut *self.encoder)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Broken> {
        value.serialize(&mut *self.encoder)
    }

    fn end(self) -> Result<(), Broken> {
        self.encoder.sort(&self.starts);
        Ok(())
    }
}

/// Says of the parts of a value that they stand one behind the other.
macro_rules! in_a_row {
    ($($trait:ident::$method:ident($($name:ident)?);)*) => {
        $(impl $trait for &mut Encoder {
            type Ok = ();
            type Error = Broken;

            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($name: &'static str,)?
                value: &T,
            ) -> Result<(), Broken> {
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), Broken> {
                Ok(())
            }
        })*
    };
}

in_a_row! {
    SerializeSeq::serialize_element();
    SerializeTuple::serialize_element();
    SerializeTupleStruct::serialize_field();
    SerializeTupleVariant::serialize_field();
    SerializeStruct::serialize_field(_name);
    SerializeStructVariant::serialize_field(_name);
}

/// Numbers of which only so many bytes are written as they need.
macro_rules! varints {
    ($($method:ident $type:ty;)*) => {
        $(fn $method(self, value: $type) -> Result<(), Broken> {
            self.varint(u64::from(value));
            Ok(())
        })*
    };
}

/// The same of numbers with a sign, which goes into the lowest bit.
macro_rules! zigzags {
    ($($method:ident $type:ty;)*) => {
        $(fn $method(self, value: $type) -> Result<(), Broken> {
            let value = i64::from(value);
            self.varint(((value << 1) ^ (value >> 63)).cast_unsigned());
            Ok(())
        })*
    };
}

impl<'e> Serializer for &'e mut Encoder {
    type Ok = ();
    type Error = Broken;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Entries<'e>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    varints! {
        serialize_u16 u16;
        serialize_u64 u64;
    }

    /// Codes are written as numbers of this type, and few other numbers are.
    fn serialize_u32(self, value: u32) -> Result<(), Broken> {
        self.codes.set(value);
        self.varint(u64::from(value));
        Ok(())
    }

    zigzags! {
        serialize_i16 i16;
        serialize_i32 i32;
        serialize_i64 i64;
    }

    fn serialize_bool(self, value: bool) -> Result<(), Broken> {
        self.serialize_u8(u8::from(value))
    }

    fn serialize_u8(self, value: u8) -> Result<(), Broken> {
        self.bytes.push(value);
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Broken> {
        self.serialize_u8(value.cast_unsigned())
    }

    fn serialize_u128(self, mut value: u128) -> Result<(), Broken> {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.serialize_u8(value.to_le_bytes()[0])
    }

    fn serialize_i128(self, value: i128) -> Result<(), Broken> {
        self.serialize_u128(((value << 1) ^ (value >> 127)).cast_unsigned())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Broken> {
        self.bytes.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Broken> {
        self.bytes.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Broken> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Broken> {
        self.text(value.as_bytes());
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Broken> {
        self.text(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Broken> {
        self.serialize_u8(0)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Broken> {
        self.bytes.push(1);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Broken> {
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Broken> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
    ) -> Result<(), Broken> {
        self.varint(u64::from(index));
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), Broken> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
        value: &T,
    ) -> Result<(), Broken> {
        self.varint(u64::from(index));
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self, Broken> {
        self.length(length)?;
        Ok(self)
    }

    fn serialize_tuple(self, _length: usize) -> Result<Self, Broken> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _name: &'static str, _length: usize) -> Result<Self, Broken> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
        _length: usize,
    ) -> Result<Self, Broken> {
        self.varint(u64::from(index));
        Ok(self)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Entries<'e>, Broken> {
        self.length(length)?;
        let starts = Vec::with_capacity(length.unwrap_or_default());
        Ok(Entries {
            encoder: self,
            starts,
        })
    }

    fn serialize_struct(self, _name: &'static str, _length: usize) -> Result<Self, Broken> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self, Broken> {
        self.serialize_tuple_variant(name, index, variant, length)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hashbrown::HashMap;
    use serde::{Deserialize, Serialize};

    use super::*;

    fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
        let mut encoder = Encoder::default();
        value.serialize(&mut encoder).unwrap();
        encoder.bytes
    }

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    enum Any {
        Unit,
        New(i128),
        Tuple(u8, i16),
        Struct { a: f64, b: Option<char> },
    }

    #[test]
    fn the_bytes_are_those_of_postcard() {
        let value = (
            (true, -1_i8, 300_u16, u32::MAX, u64::MAX, u128::MAX),
            (i16::MIN, i32::MIN, i64::MIN, i128::MIN, 1.5_f32),
            ("text", [1_u8, 2], vec![Some(7_u32), None], ()),
            [
                Any::Unit,
                Any::New(-5),
                Any::Tuple(1, -2),
                Any::Struct {
                    a: 0.5,
                    b: Some('ü'),
                },
            ],
            BTreeMap::from([(1_u64, "one"), (2, "two")]),
        );
        assert_eq!(encoded(&value), postcard::to_stdvec(&value).unwrap());
    }

    #[test]
    fn equal_maps_are_equal_bytes() {
        let map = |numbers: &mut dyn Iterator<Item = u32>| {
            let inner = |n: u32| (0..n % 9).map(|n| (n, n)).collect::<HashMap<_, _>>();
            numbers.map(|n| (n, inner(n))).collect::<HashMap<_, _>>()
        };
        let (a, b) = (map(&mut (0..1000)), map(&mut (0..1000).rev()));
        assert_eq!(encoded(&a), encoded(&b));
        let read: HashMap<u32, HashMap<u32, u32>> = postcard::from_bytes(&encoded(&a)).unwrap();
        assert_eq!(read, a);
    }
}
