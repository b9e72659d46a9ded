//! Writes values as msgpack, bytes included.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt::Display;

use serde::ser::{Error, Serialize, Serializer};

use crate::socket::EncodeError;
use crate::socket::compound::compound;

/// Serializes one value, or an argument list.
pub(super) struct Msgpack<'a> {
    out: &'a mut Vec<u8>,
    place: Place<'a>,
}

/// What the value is to become.
enum Place<'a> {
    /// The arguments, which are counted: a tuple is written without its head, and `()` not at all.
    Arguments(&'a mut usize),
    /// The key of a map, which is a string: JavaScript knows no others.
    Key,
    Value,
}

impl<'a> Msgpack<'a> {
    /// A serializer of arguments, one after the other, which adds their number to `count`.
    pub(super) const fn arguments(out: &'a mut Vec<u8>, count: &'a mut usize) -> Self {
        Self { out, place: Place::Arguments(count) }
    }

    pub(super) const fn value(out: &'a mut Vec<u8>) -> Self {
        Self { out, place: Place::Value }
    }

    /// A value that can be no key: the buffer to write it to.
    fn begin(self) -> Result<&'a mut Vec<u8>, EncodeError> {
        match self.place {
            Place::Key => return Err(EncodeError::custom("key must be a string")),
            Place::Arguments(count) => *count += 1,
            Place::Value => {}
        }
        Ok(self.out)
    }

    fn array(self, len: Option<usize>) -> Result<Compound<'a>, EncodeError> {
        let out = self.begin()?;
        let patch = head(out, len, write_array);
        Ok(Compound { out, expected: len, written: 0, patch, arguments: None })
    }

    fn map(self, len: Option<usize>) -> Result<Compound<'a>, EncodeError> {
        let out = self.begin()?;
        let patch = head(out, len, write_map);
        Ok(Compound { out, expected: len, written: 0, patch, arguments: None })
    }

    /// Opens the map around a variant with content.
    fn variant(self, variant: &str) -> Result<Self, EncodeError> {
        let out = self.begin()?;
        write_map(out, 1);
        write_str(out, variant);
        Ok(Self::value(out))
    }

    fn number<T: itoa::Integer>(self, value: T, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EncodeError> {
        if let Place::Key = self.place {
            write_str(self.out, itoa::Buffer::new().format(value));
        } else {
            write(self.begin()?);
        }
        Ok(())
    }
}

/// Writes the head of an array or a map. Where its length is unknown, a byte for that of up to fifteen elements, and
/// says where it is.
fn head(out: &mut Vec<u8>, len: Option<usize>, write: fn(&mut Vec<u8>, usize)) -> Option<usize> {
    write(out, len.unwrap_or(0));
    if len.is_some() { None } else { Some(out.len() - 1) }
}

macro_rules! signed {
    ($($method:ident($type:ty))*) => {$(
        fn $method(self, value: $type) -> Result<(), EncodeError> {
            self.number(value, |out| write_int(out, value.into()))
        }
    )*};
}

macro_rules! unsigned {
    ($($method:ident($type:ty))*) => {$(
        fn $method(self, value: $type) -> Result<(), EncodeError> {
            self.number(value, |out| write_uint(out, value.into()))
        }
    )*};
}

impl<'a> Serializer for Msgpack<'a> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    signed! { serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) }

    unsigned! { serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) }

    fn serialize_i128(self, value: i128) -> Result<(), EncodeError> {
        if let Ok(value) = u64::try_from(value) {
            return self.serialize_u64(value);
        }
        self.serialize_i64(value.try_into().map_err(EncodeError::custom)?)
    }

    fn serialize_u128(self, value: u128) -> Result<(), EncodeError> {
        self.serialize_u64(value.try_into().map_err(EncodeError::custom)?)
    }

    fn serialize_bool(self, value: bool) -> Result<(), EncodeError> {
        if let Place::Key = self.place {
            return self.serialize_str(if value { "true" } else { "false" });
        }
        self.begin()?.push(if value { 0xC3 } else { 0xC2 });
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), EncodeError> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), EncodeError> {
        if let Place::Key = self.place {
            return self.serialize_str(zmij::Buffer::new().format(value));
        }
        let out = self.begin()?;
        out.push(0xCB);
        out.extend_from_slice(&value.to_be_bytes());
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), EncodeError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), EncodeError> {
        let out = match self.place {
            Place::Key => self.out,
            _ => self.begin()?,
        };
        write_str(out, value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), EncodeError> {
        let out = self.begin()?;
        match value.len() {
            len @ 0..=0xFF => out.extend_from_slice(&[0xC4, len as u8]),
            len @ 0..=0xFFFF => sized(out, 0xC5, (len as u16).to_be_bytes()),
            len => sized(out, 0xC6, (len as u32).to_be_bytes()),
        }
        out.extend_from_slice(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        self.begin()?.push(0xC0);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        if let Place::Arguments(_) = self.place {
            return value.serialize(Msgpack::value(self.begin()?));
        }
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        if let Place::Arguments(_) = self.place { Ok(()) } else { self.serialize_none() }
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), EncodeError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        value.serialize(self.variant(variant)?)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Compound<'a>, EncodeError> {
        self.array(len)
    }

    fn serialize_tuple(self, len: usize) -> Result<Compound<'a>, EncodeError> {
        match self.place {
            Place::Arguments(count) => Ok(Compound {
                out: self.out,
                expected: Some(len),
                written: 0,
                patch: None,
                arguments: Some(count),
            }),
            _ => self.array(Some(len)),
        }
    }

    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Compound<'a>, EncodeError> {
        self.serialize_tuple(len)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Compound<'a>, EncodeError> {
        self.variant(variant)?.array(Some(len))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Compound<'a>, EncodeError> {
        self.map(len)
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Compound<'a>, EncodeError> {
        if name.starts_with("$serde_json::private::") {
            return Err(EncodeError::custom("JSON text has no place in msgpack"));
        }
        self.map(Some(len))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Compound<'a>, EncodeError> {
        self.variant(variant)?.map(Some(len))
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        // The length comes first, and it is only known afterwards.
        self.serialize_str(&value.to_string())
    }
}

/// An array, a map or an argument list that is being written.
pub(super) struct Compound<'a> {
    out: &'a mut Vec<u8>,
    expected: Option<usize>,
    written: usize,
    /// Where the number of elements goes, if it was not known before.
    patch: Option<usize>,
    /// Where the number of arguments goes.
    arguments: Option<&'a mut usize>,
}

impl Compound<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.written += 1;
        value.serialize(Msgpack::value(self.out))
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.element(value)
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        key.serialize(Msgpack { out: self.out, place: Place::Key })
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), EncodeError> {
        write_str(self.out, key);
        self.element(value)
    }

    fn close(self) -> Result<(), EncodeError> {
        if self.expected.is_some_and(|expected| expected != self.written) {
            return Err(EncodeError::custom("not as many elements as announced"));
        }
        if let Some((at, head)) = self.patch.and_then(|at| Some((at, self.out.get_mut(at)?))) {
            if self.written <= 15 {
                *head |= self.written as u8;
            } else {
                // Rare: what follows has to be moved.
                let write = if *head == EMPTY_MAP { write_map } else { write_array };
                let mut longer = Vec::new();
                write(&mut longer, self.written);
                self.out.splice(at..=at, longer);
            }
        }
        if let Some(arguments) = self.arguments {
            *arguments += self.written;
        }
        Ok(())
    }
}

compound!(Compound);

/// Appends a string.
pub(super) fn write_str(out: &mut Vec<u8>, text: &str) {
    match text.len() {
        len @ 0..=31 => out.push(0xA0 | len as u8),
        len @ 0..=0xFF => out.extend_from_slice(&[0xD9, len as u8]),
        len @ 0..=0xFFFF => sized(out, 0xDA, (len as u16).to_be_bytes()),
        len => sized(out, 0xDB, (len as u32).to_be_bytes()),
    }
    out.extend_from_slice(text.as_bytes());
}

/// Appends the head of an array.
pub(super) fn write_array(out: &mut Vec<u8>, len: usize) {
    match len {
        0..=15 => out.push(0x90 | len as u8),
        16..=0xFFFF => sized(out, 0xDC, (len as u16).to_be_bytes()),
        _ => sized(out, 0xDD, (len as u32).to_be_bytes()),
    }
}

/// Appends the head of a map.
pub(super) fn write_map(out: &mut Vec<u8>, len: usize) {
    match len {
        0..=15 => out.push(0x80 | len as u8),
        16..=0xFFFF => sized(out, 0xDE, (len as u16).to_be_bytes()),
        _ => sized(out, 0xDF, (len as u32).to_be_bytes()),
    }
}

/// Appends a number in its shortest form.
pub(super) fn write_uint(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=0x7F => out.push(value as u8),
        0x80..=0xFF => out.extend_from_slice(&[0xCC, value as u8]),
        0x100..=0xFFFF => sized(out, 0xCD, (value as u16).to_be_bytes()),
        0x1_0000..=0xFFFF_FFFF => sized(out, 0xCE, (value as u32).to_be_bytes()),
        _ => sized(out, 0xCF, value.to_be_bytes()),
    }
}

fn write_int(out: &mut Vec<u8>, value: i64) {
    match value {
        0.. => write_uint(out, value as u64),
        -32.. => out.push(value as u8),
        -0x80.. => out.extend_from_slice(&[0xD0, value as u8]),
        -0x8000.. => sized(out, 0xD1, (value as i16).to_be_bytes()),
        -0x8000_0000.. => sized(out, 0xD2, (value as i32).to_be_bytes()),
        _ => sized(out, 0xD3, value.to_be_bytes()),
    }
}

fn sized<const N: usize>(out: &mut Vec<u8>, marker: u8, value: [u8; N]) {
    out.push(marker);
    out.extend_from_slice(&value);
}

/// The head of a map without entries.
const EMPTY_MAP: u8 = 0x80;
