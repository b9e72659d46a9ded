//! Writes values as JSON, into a buffer of the caller, and takes the bytes out (REFERENCE 3.1).
//!
//! `serde_json` has no serializer without `std` that writes into a given buffer. The text is the same as its own,
//! but for bytes: they become attachments, and placeholders are left in their place.

use alloc::vec::Vec;
use core::fmt::{self, Display, Write};

use bytes::Bytes;
use serde::ser::{Error, Serialize, Serializer};

use super::EncodeError;
use crate::socket::Attachments;
use crate::socket::compound::compound;
use crate::socket::json::plain;
use crate::socket::placeholder;

/// Serializes one value, or an argument list.
pub(super) struct Json<'a> {
    out: &'a mut Vec<u8>,
    /// Where bytes go; without it they are written as an array of numbers.
    attachments: Option<&'a mut Attachments>,
    place: Place,
}

/// What the value is to become.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// The arguments: a tuple is written without its brackets, and `()` not at all.
    Arguments,
    /// The key of an object, which is a string.
    Key,
    /// JSON in a string, to be written as it is.
    Raw,
    Value,
}

impl<'a> Json<'a> {
    /// A serializer of arguments, separated by commas.
    pub(super) const fn arguments(out: &'a mut Vec<u8>, attachments: &'a mut Attachments) -> Self {
        Self { out, attachments: Some(attachments), place: Place::Arguments }
    }

    /// A serializer of one value without attachments.
    pub(super) const fn value(out: &'a mut Vec<u8>) -> Self {
        Self { out, attachments: None, place: Place::Value }
    }

    /// Writes a token that is no string; as a key it needs quotes.
    #[inline]
    fn token(self, token: &str) -> Result<(), EncodeError> {
        if self.place == Place::Key {
            self.out.push(b'"');
            self.out.extend_from_slice(token.as_bytes());
            self.out.push(b'"');
        } else {
            self.out.extend_from_slice(token.as_bytes());
        }
        Ok(())
    }

    /// Refuses whatever cannot be a key.
    fn not_a_key(&self) -> Result<(), EncodeError> {
        if self.place == Place::Key { Err(EncodeError::custom("key must be a string")) } else { Ok(()) }
    }

    #[inline]
    fn open(self, open: &str, close: &'static str) -> Result<Compound<'a>, EncodeError> {
        self.not_a_key()?;
        self.out.extend_from_slice(open.as_bytes());
        let Self { out, attachments, .. } = self;
        Ok(Compound { out, attachments, close, first: true, place: Place::Value })
    }

    /// Opens the object around a variant with content.
    fn variant(self, variant: &str, open: &str, close: &'static str) -> Result<Compound<'a>, EncodeError> {
        self.not_a_key()?;
        self.out.push(b'{');
        write_string(self.out, variant);
        self.out.push(b':');
        self.open(open, close)
    }
}

macro_rules! integers {
    ($($method:ident($type:ty))*) => {$(
        fn $method(self, value: $type) -> Result<(), EncodeError> {
            self.token(itoa::Buffer::new().format(value))
        }
    )*};
}

macro_rules! floats {
    ($($method:ident($type:ty))*) => {$(
        fn $method(self, value: $type) -> Result<(), EncodeError> {
            if value.is_finite() {
                self.token(zmij::Buffer::new().format_finite(value))
            } else {
                self.serialize_none()
            }
        }
    )*};
}

impl<'a> Serializer for Json<'a> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    integers! {
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
    }

    floats! { serialize_f32(f32) serialize_f64(f64) }

    fn serialize_bool(self, value: bool) -> Result<(), EncodeError> {
        self.token(if value { "true" } else { "false" })
    }

    fn serialize_char(self, value: char) -> Result<(), EncodeError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), EncodeError> {
        if self.place == Place::Raw {
            self.out.extend_from_slice(value.as_bytes());
        } else {
            write_string(self.out, value);
        }
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), EncodeError> {
        self.not_a_key()?;
        let Some(attachments) = self.attachments else {
            return Self { attachments: None, ..self }.collect_seq(value);
        };
        placeholder::write(self.out, attachments.len());
        // Serde hands out a slice, whatever it was a slice of: this copy is the only one.
        attachments.push(Bytes::copy_from_slice(value));
        Ok(())
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        self.not_a_key()?;
        self.token("null")
    }

    fn serialize_some<T: Serialize + ?Sized>(mut self, value: &T) -> Result<(), EncodeError> {
        if self.place == Place::Arguments {
            self.place = Place::Value;
        }
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        if self.place == Place::Arguments { Ok(()) } else { self.serialize_none() }
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
        let mut object = self.variant(variant, "", "}")?;
        object.value(value)?;
        object.close()
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Compound<'a>, EncodeError> {
        self.open("[", "]")
    }

    fn serialize_tuple(self, _len: usize) -> Result<Compound<'a>, EncodeError> {
        if self.place == Place::Arguments { self.open("", "") } else { self.open("[", "]") }
    }

    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Compound<'a>, EncodeError> {
        self.serialize_tuple(len)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Compound<'a>, EncodeError> {
        self.variant(variant, "[", "]}")
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Compound<'a>, EncodeError> {
        self.open("{", "}")
    }

    fn serialize_struct(self, name: &'static str, _len: usize) -> Result<Compound<'a>, EncodeError> {
        if let RAW_VALUE | RAW_NUMBER = name {
            return Ok(Compound { place: Place::Raw, ..self.open("", "")? });
        }
        self.open("{", "}")
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Compound<'a>, EncodeError> {
        self.variant(variant, "{", "}}")
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        self.out.push(b'"');
        write!(Escaping(self.out), "{value}").map_err(EncodeError::custom)?;
        self.out.push(b'"');
        Ok(())
    }
}

/// An array or object that is being written.
pub(super) struct Compound<'a> {
    out: &'a mut Vec<u8>,
    attachments: Option<&'a mut Attachments>,
    close: &'static str,
    first: bool,
    /// What its values are: almost always values.
    place: Place,
}

impl Compound<'_> {
    #[inline]
    fn separate(&mut self) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
    }

    #[inline]
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        let Self { out, attachments, place, .. } = self;
        value.serialize(Json { out, attachments: attachments.as_deref_mut(), place: *place })
    }

    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.separate();
        self.value(value)
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.separate();
        key.serialize(Json { out: self.out, attachments: None, place: Place::Key })?;
        self.out.push(b':');
        Ok(())
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), EncodeError> {
        if self.place != Place::Raw {
            self.separate();
            write_string(self.out, key);
            self.out.push(b':');
        }
        self.value(value)
    }

    #[inline]
    fn close(self) -> Result<(), EncodeError> {
        match *self.close.as_bytes() {
            [] => {}
            [one] => self.out.push(one), // without a call to copy it
            ref more => self.out.extend_from_slice(more),
        }
        Ok(())
    }
}

compound!(Compound);

/// Appends a JSON string.
#[inline]
pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    // Mostly nothing is to be escaped: three writes, and one look at the room for them.
    out.reserve(text.len() + 2);
    out.push(b'"');
    write_escaped(out, text);
    out.push(b'"');
}

#[inline]
fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let plain = plain(text.as_bytes());
    if plain == text.len() {
        out.extend_from_slice(text.as_bytes());
    } else {
        write_specials(out, text.as_bytes());
    }
}

fn write_specials(out: &mut Vec<u8>, mut rest: &[u8]) {
    loop {
        let (plain, special) = rest.split_at(plain(rest));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = special.split_first() else { return };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0C => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let [high, low] =
                    [byte >> 4, byte & 0xF].map(|digit| b"0123456789abcdef"[usize::from(digit)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
        rest = after;
    }
}

struct Escaping<'a>(&'a mut Vec<u8>);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_escaped(self.0, text);
        Ok(())
    }
}

/// The names under which `serde_json` hides text that is JSON already.
const RAW_VALUE: &str = "$serde_json::private::RawValue";
const RAW_NUMBER: &str = "$serde_json::private::Number";

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::string::String;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn write<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
        let mut out = Vec::new();
        value.serialize(Json::value(&mut out)).unwrap();
        out
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[\\x00-\\x30\\\\]*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_text_is_that_of_serde_json(value in value()) {
            prop_assert_eq!(write(&value), serde_json::to_vec(&value).unwrap());
        }

        #[test]
        fn numbers_and_keys_are_those_of_serde_json(
            float in any::<f32>(), wide in any::<i128>(), map in any::<BTreeMap<i32, Option<char>>>(),
        ) {
            let value = (float, wide, map);
            prop_assert_eq!(write(&value), serde_json::to_vec(&value).unwrap());
        }
    }

    #[test]
    fn displayed_values_are_escaped() {
        struct Shown;

        impl Serialize for Shown {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&format_args!("a\"{}", 1))
            }
        }

        assert_eq!(write(&Shown), br#""a\"1""#);
    }

    #[test]
    fn without_attachments_bytes_are_numbers() {
        assert_eq!(write(&Bytes::from_static(&[1, 255])), b"[1,255]");
    }
}
